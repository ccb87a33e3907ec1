//! Names that look like parameters and are none.
//!
//! Owns what counts as used: built in, made from a service's name, a restriction class, the
//! settings of a table, or named by something used. Must not know values.
//! Follows postconf(1), which reports the same since 2.9.

use std::collections::BTreeSet;

use super::subject::Assignment;
use super::table_reference::references;
use super::{Check, Subject, faults};
use crate::finding::{Finding, escape};
use crate::postfix::expand::references as references_of;
use crate::postfix::{ArgumentKind, parameter, split_list};

pub(super) const CHECK: Check = Check {
    name: "unused",
    about: "parameters that Postfix does not know and nothing uses",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    let assignments = subject.assignments();
    let used = used_names(subject, &assignments);
    let mut findings = Vec::new();
    for assignment in &assignments {
        let name = assignment.name.as_str();
        if used.contains(name) || is_known(subject, name) {
            continue;
        }
        let finding = faults::unused(&escape(name)).at(subject.place_of(assignment));
        findings.push(match empty_setting_above(subject, assignment) {
            Some(above) => finding.mend(format!(
                "if it belongs to `{above}` above it, begin the line with a blank; else delete it"
            )),
            None => with_reason(subject, finding, name),
        });
    }
    findings
}

/// Whether this Postfix, or a service's name, makes a parameter of it.
pub(super) fn is_known(subject: &Subject, name: &str) -> bool {
    let Some(parameter) = parameter::lookup(name) else {
        return false;
    };
    parameter.exists_in(subject.version)
        && parameter::service_of(name)
            .is_none_or(|prefix| subject.services().any(|service| service.name == prefix))
}

/// The setting without a value that ends right above; the line may have been meant as its value.
fn empty_setting_above<'a>(subject: &Subject<'a>, assignment: &Assignment) -> Option<&'a str> {
    if assignment.service.is_some() || parameter::nearest(&assignment.name).is_some() {
        return None;
    }
    let main = subject.main;
    let line = |at: usize| main.place(at..at).line;
    let here = main.parsed.setting(&assignment.name)?;
    let above = main
        .parsed
        .settings()
        .take_while(|setting| setting.span.start < here.span.start)
        .last()?;
    (above.value.is_empty() && line(above.span.end) + 1 == line(here.span.start))
        .then_some(above.name)
}

/// Says why the name is not known, and what may have been meant.
fn with_reason(subject: &Subject, finding: Finding, name: &str) -> Finding {
    let version = subject.version;
    let Some(parameter) = parameter::lookup(name) else {
        return match parameter::nearest(name) {
            Some(near) => finding.mend(format!("`{near}` is a parameter")),
            None => finding.mend("delete it, or correct its name"),
        };
    };
    if let Some(service) = parameter::service_of(name)
        && parameter.exists_in(version)
    {
        return finding
            .because(format!(
                "it belongs to a service `{service}`, and `{}` has none",
                subject.master.path
            ))
            .mend("delete it, or correct its name");
    }
    match (
        parameter.introduced,
        parameter.removed,
        parameter.replacement,
    ) {
        (Some(introduced), _, _) if introduced > version => finding
            .because(format!(
                "it came with Postfix {}.{}; {version} passes over it without a word",
                introduced.major, introduced.minor
            ))
            .mend("delete it, or update Postfix"),
        (_, Some(removed), replacement) => {
            let finding = finding.because(format!(
                "it is gone since Postfix {}.{}; {version} passes over it without a word",
                removed.major, removed.minor
            ));
            match replacement {
                Some(replacement) => finding.mend(format!("use `{replacement}`")),
                None => finding.mend("delete it"),
            }
        }
        _ => finding,
    }
}

/// The names that something used refers to, however indirectly.
fn used_names(subject: &Subject, assignments: &[Assignment]) -> BTreeSet<String> {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let mut take = |names: Vec<String>, open: &mut Vec<String>| {
        for name in names {
            if used.insert(name.clone()) {
                open.push(name);
            }
        }
    };
    for assignment in assignments {
        // What an `-o` sets for a name of its own is used if that name is.
        if is_known(subject, &assignment.name) {
            take(references_of(&assignment.value), &mut open);
        }
        if assignment.name == "smtpd_restriction_classes"
            && let Some(value) = subject.expand(assignment)
        {
            take(split_list(&value), &mut open);
        }
    }
    for service in subject.services() {
        for argument in &service.arguments {
            if let ArgumentKind::Option(text) | ArgumentKind::Word(text) = &argument.kind {
                take(references_of(text), &mut open);
            }
        }
    }
    // Defaults of parameters that the files do not set refer to others too.
    for parameter in parameter::all() {
        if parameter.exists_in(subject.version) && subject.main.parsed.get(parameter.name).is_none()
        {
            take(
                references_of(parameter.default_in(subject.version)),
                &mut open,
            );
        }
    }
    // `ldap:accounts` reads accounts_server_host and the like from main.cf.
    let prefixes: Vec<String> = references(subject)
        .iter()
        .filter(|reference| !reference.name.starts_with(['/', '{']))
        .map(|reference| format!("{}_", reference.name))
        .collect();
    for assignment in assignments {
        if prefixes
            .iter()
            .any(|prefix| assignment.name.starts_with(prefix.as_str()))
        {
            take(vec![assignment.name.clone()], &mut open);
        }
    }
    while let Some(name) = open.pop() {
        for assignment in assignments.iter().filter(|other| other.name == name) {
            take(references_of(&assignment.value), &mut open);
        }
    }
    used
}
