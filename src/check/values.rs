//! Values that the program reading them refuses.
//!
//! Owns the question put to each parameter about its value, in `main.cf` and after `-o`.
//! Must not know which values a parameter takes. Follows postconf(5).

use super::{Check, Subject};
use crate::finding::{Finding, escape};
use crate::postfix::{CompatibilityLevel, parameter};

pub(super) const CHECK: Check = Check {
    name: "values",
    about: "values that the program which reads them refuses",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    subject
        .assignments()
        .into_iter()
        .filter_map(|assignment| {
            let parameter = parameter::lookup(&assignment.name)?;
            let value = subject.expand(&assignment)?;
            let fault = if assignment.name == "compatibility_level" {
                CompatibilityLevel::read(&value, subject.version)
                    .err()
                    .map(|error| error.to_string())
            } else {
                parameter.check(&value).err().map(|error| error.to_string())
            }?;
            let who = assignment.service.map_or_else(
                || "the programs that read it stop as they start".to_owned(),
                |service| {
                    format!(
                        "the service `{}` stops as it starts, and its mail is stuck",
                        service.name
                    )
                },
            );
            let finding = Finding::error(
                "bad-value",
                format!(
                    "`{}` cannot be `{}`: {fault}",
                    assignment.name,
                    escape(&value)
                ),
            )
            .at(subject.place_of(&assignment))
            .because(format!("{who}; `postfix check` looks at few values"));
            Some(if value.contains(" #") {
                finding.mend("a comment needs a line of its own")
            } else {
                finding
            })
        })
        .collect()
}
