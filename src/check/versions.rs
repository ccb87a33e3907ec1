//! Spellings and parameters that this version does not understand, or soon will not.
//!
//! Owns what of the language of the files came with Postfix 3, and deprecated parameters.
//! Must not know parameters this version lacks: those are unused. Follows RELEASE_NOTES-3.0
//! and `DEPRECATION_README`.

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Version, parameter};

pub(super) const CHECK: Check = Check {
    name: "versions",
    about: "spellings that came with a later version, parameters that will go",
    run,
};

/// The first version that reads braces in `master.cf`, and in the branches of `${}`.
const READS_BRACES: Version = Version::new(3, 0, 0);

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    if subject.version < READS_BRACES {
        findings.extend(braces(subject));
    }
    findings.extend(deprecated(subject));
    findings
}

fn braces(subject: &Subject) -> Vec<Finding> {
    let too_new = |what: &str| {
        Finding::error("braces-too-new", format!("{what} with braces")).because(format!(
            "that came with Postfix 3.0; {} takes the braces for text",
            subject.version
        ))
    };
    let in_services = subject.services().flat_map(|service| {
        service.arguments.iter().filter_map(|argument| {
            let text = subject.master.bytes.get(argument.span.clone())?;
            let word = text.strip_prefix(b"-o").unwrap_or(text).trim_ascii_start();
            word.starts_with(b"{").then(|| {
                too_new("an argument")
                    .at(subject.master.place(argument.span.clone()))
                    .mend("write `-o name=value` without blanks, with commas between the items of a list")
            })
        })
    });
    let in_values = subject.assignments().into_iter().filter_map(|assignment| {
        let value = &assignment.value;
        let branches = value.contains("?{") || value.contains("${{") || value.contains("? {");
        (branches && value.contains('$')).then(|| {
            too_new("a choice")
                .at(subject.place_of(&assignment))
                .mend("write `${name?text}` and `${name:text}`")
        })
    });
    in_services.chain(in_values).collect()
}

fn deprecated(subject: &Subject) -> Vec<Finding> {
    subject
        .assignments()
        .into_iter()
        .filter_map(|assignment| {
            let parameter = parameter::lookup(&assignment.name)?;
            let deprecated = parameter.deprecated?;
            if deprecated > subject.version || !parameter.exists_in(subject.version) {
                return None;
            }
            let finding = Finding::note(
                "deprecated-parameter",
                format!("`{}` will be gone in a later version", assignment.name),
            )
            .at(subject.place_of(&assignment))
            .because(format!(
                "Postfix warns of it since {}.{}",
                deprecated.major, deprecated.minor
            ));
            Some(match parameter.replacement {
                Some(replacement) => finding.mend(format!("use `{replacement}`")),
                None => finding,
            })
        })
        .collect()
}
