//! Commands of `master.cf` that are not there, and services that are no services.
//!
//! Owns what `master.cf` asks of `daemon_directory`. Must not know what a daemon does.
//! Follows master(5), "Command name + arguments".

use std::ops::Range;

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Field, Service, ServiceType};
use crate::spelling::near_miss;

pub(super) const CHECK: Check = Check {
    name: "daemons",
    about: "commands that are not in the daemon directory, services hidden in other services",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    subject
        .services()
        .flat_map(|service| {
            let hidden = hidden_services(subject, service);
            missing_program(subject, service).into_iter().chain(hidden)
        })
        .collect()
}

fn missing_program(subject: &Subject, service: &Service) -> Option<Finding> {
    let programs = subject.programs?;
    let command = service.command.as_str();
    // A path is taken below the daemon directory; what is there was not listed.
    if command.contains(['/', '$']) || programs.contains(command) {
        return None;
    }
    let finding = Finding::error(
        "unknown-daemon",
        format!("`{command}` is not in the daemon directory"),
    )
    .at(subject.master.place(service.field_span(Field::Command)))
    .because(format!(
        "the service `{}` fails whenever it is used; `postfix check` does not look",
        service.name
    ));
    Some(
        match near_miss(command, programs.iter().map(String::as_str)) {
            Some(near) => finding.mend(format!("`{near}` is what there is")),
            None => finding.mend("install the program, or take the service out"),
        },
    )
}

/// Finds lines inside a service that are services themselves, but for the blanks before them.
fn hidden_services(subject: &Subject, service: &Service) -> Vec<Finding> {
    continuation_lines(&subject.master.bytes, service.span.clone())
        .filter_map(|span| {
            let bytes = subject.master.bytes.get(span.clone()).unwrap_or_default();
            let line = String::from_utf8_lossy(bytes);
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if !is_service(&words) {
                return None;
            }
            let key = format!("{}/{}", words[0], words[1]);
            Some(
                Finding::error(
                    "swallowed-service",
                    format!("the service `{key}` is part of the service above it"),
                )
                .at(subject.master.place(span))
                .because(format!(
                    "an indented line continues the line above, so there is no `{key}`, and `{}` gets words it should not have",
                    service.name
                ))
                .mend("take away the blanks before it"),
            )
        })
        .collect()
}

/// Whether words are the fields of a service.
fn is_service(words: &[&str]) -> bool {
    let [
        name,
        kind,
        private,
        unprivileged,
        chroot,
        wakeup,
        limit,
        _command,
        ..,
    ] = words
    else {
        return false;
    };
    let boolean = |field: &&str| matches!(*field, "y" | "n" | "-");
    let number = |field: &str| field == "-" || field.bytes().all(|byte| byte.is_ascii_digit());
    !name.starts_with('#')
        && !matches!(ServiceType::parse(kind), ServiceType::Other(_))
        && [private, unprivileged, chroot].into_iter().all(boolean)
        && number(wakeup.trim_end_matches('?'))
        && number(limit)
}

/// The lines of a service after its first, without the blanks around them.
fn continuation_lines(bytes: &[u8], span: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = span.start;
    bytes
        .get(span)
        .unwrap_or_default()
        .split_inclusive(|byte| *byte == b'\n')
        .map(move |line| {
            let here = start..start + line.len();
            start = here.end;
            here
        })
        .skip(1)
        .map(|line| super::trimmed(bytes, line))
}
