//! References to other parameters: broken, circular, to nothing.
//!
//! Owns `$name` in values as a fault. Must not know what a value is for.
//! Follows postconf(5), "parameters"; the same since 2.10 in postconf(1)'s warnings.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::unused::is_known;
use super::{Check, Subject, faults};
use crate::finding::{Finding, escape};
use crate::postfix::expand::references;
use crate::postfix::parameter::ValueKind;
use crate::postfix::{ExpandError, expand, parameter};

pub(super) const CHECK: Check = Check {
    name: "references",
    about: "`$name` that is broken, goes round in a circle, or names nothing",
    run,
};

/// Names that daemons define as they run. // postconf(5); local(8); pipe(8)
const RUNTIME: [&str; 6] = [
    "stress",
    "service_name",
    "process_name",
    "process_id",
    "mail_version",
    "config_directory",
];

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    let assignments = subject.assignments();
    let defined: BTreeSet<&str> = assignments
        .iter()
        .map(|assignment| assignment.name.as_str())
        .collect();
    for assignment in &assignments {
        if is_raw(&assignment.name) {
            continue;
        }
        let value = |name: &str| subject.value(name, assignment.service).map(Cow::Owned);
        if let Err(error) = expand(&assignment.value, &value)
            && is_refused(&error)
        {
            findings.push(
                Finding::error(
                    "bad-reference",
                    format!("the value of `{}` cannot be expanded: {error}", escape(&assignment.name)),
                )
                .at(subject.place_of(assignment))
                .because("every program that reads it stops; `postconf` refuses any question about the file"),
            );
            continue;
        }
        for name in references(&assignment.value) {
            let exists = defined.contains(name.as_str())
                || RUNTIME.contains(&name.as_str())
                || is_known(subject, &name)
                || (subject.parameters)(&name).is_some();
            if !exists && told.insert((assignment.name.clone(), name.clone())) {
                findings.push(
                    faults::undefined(&name)
                        .at(subject.place_of_word(assignment, &name))
                        .mend("correct the name, or set it"),
                );
            }
        }
    }
    findings
}

/// Whether the daemon fills in names of its own as it delivers.
fn is_raw(name: &str) -> bool {
    parameter::lookup(name).is_some_and(|parameter| parameter.kind == ValueKind::Raw)
}

/// Whether Postfix itself stops at what could not be expanded here.
fn is_refused(error: &ExpandError) -> bool {
    matches!(
        error,
        ExpandError::Truncated { .. }
            | ExpandError::EmptyName { .. }
            | ExpandError::Syntax { .. }
            | ExpandError::Loop { .. }
    )
}
