//! The chroot field: what is left to a default, what cannot be locked in, what is not in force.
//!
//! Owns the meaning of that field as findings. Must not know what a jail lacks.
//! Follows master(5), "chroot".

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Field, Service, effective_chroot};

pub(super) const CHECK: Check = Check {
    name: "chroot",
    about: "services that are chrooted, or not, by a default that has changed or against all use",
    run,
};

/// Programs that work on what is outside: mailboxes, commands, tables of all others.
const OUTSIDE: [&str; 6] = [
    "local",
    "virtual",
    "pipe",
    "spawn",
    "proxymap",
    "proxywrite",
];

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings: Vec<Finding> = by_default(subject).into_iter().collect();
    findings.extend(locked_in(subject));
    findings.extend(not_in_force(subject));
    findings
}

fn is_chrooted(subject: &Subject, service: &Service) -> bool {
    effective_chroot(service.chroot, subject.version, subject.level)
}

fn program(service: &Service) -> &str {
    service.command.rsplit('/').next().unwrap_or_default()
}

fn by_default(subject: &Subject) -> Option<Finding> {
    let undecided: Vec<_> = subject
        .services()
        .filter(|service| service.field(Field::Chroot) == "-")
        .collect();
    let first = undecided.first()?;
    let place = subject.master.place(first.field_span(Field::Chroot));
    let names: Vec<String> = undecided
        .iter()
        .map(|service| format!("`{}`", service.name))
        .collect();
    let title = format!("`-` in the chroot field of {}", names.join(", "));
    let (version, level) = (subject.version, subject.level);
    let finding = if !effective_chroot(None, version, level) {
        Finding::note("chroot-by-default", title).because(format!(
            "with Postfix {version} and compatibility level {level} that means `n`; with Postfix 2, or with level 0, it means `y`"
        ))
    } else if version.major < 3 {
        Finding::warning("chroot-by-default", title).because(format!(
            "with Postfix {version} that means `y`: these services see nothing outside the queue directory; from Postfix 3 on it means `n` as soon as `compatibility_level` is 1 or more"
        ))
    } else {
        Finding::warning("chroot-by-default", title).because(format!(
            "with Postfix {version} and compatibility level {level} that means `y`: these services see nothing outside the queue directory; with level 1 or more it means `n`"
        ))
    };
    Some(
        finding
            .at(place)
            .mend("write `n` or `y`, whichever is meant"),
    )
}

fn locked_in(subject: &Subject) -> impl Iterator<Item = Finding> {
    subject
        .services()
        .filter(|service| OUTSIDE.contains(&program(service)) && is_chrooted(subject, service))
        .map(|service| {
            let title = format!("`{}` is locked into the queue directory", service.name);
            Finding::warning("chroot-unsuitable", title)
                .because(format!(
                    "{}(8) works on mailboxes, commands or tables that lie outside",
                    program(service)
                ))
                .at(subject.master.place(service.field_span(Field::Chroot)))
                .mend("write `n` into its chroot field")
        })
}

/// Daemons that run elsewhere than their field says.
fn not_in_force(subject: &Subject) -> Vec<Finding> {
    let Some(jail) = subject.jail else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for service in subject.services() {
        let is_locked_in = is_chrooted(subject, service);
        let is_like = |other: &Service| {
            program(other) != program(service) || is_chrooted(subject, other) == is_locked_in
        };
        // Which of several services a process belongs to cannot be seen.
        let holds = jail.holds(program(service));
        if holds.is_none_or(|holds| holds == is_locked_in) || !subject.services().all(is_like) {
            continue;
        }
        let title = if is_locked_in {
            format!(
                "`{}` is to run chrooted, and its daemon does not",
                service.name
            )
        } else {
            format!(
                "`{}` is to run outside, and its daemon runs chrooted",
                service.name
            )
        };
        let why = if service.chroot.is_none() {
            "its chroot field is `-`: either this Postfix has another default than the version says, or it has not read its files since they changed"
        } else {
            "Postfix has not read its files since they changed"
        };
        findings.push(
            Finding::warning("chroot-not-in-force", title)
                .because(why)
                .at(subject.master.place(service.field_span(Field::Chroot)))
                .mend(format!(
                    "`postfix -c {} reload`; write `n` or `y` where `-` stands",
                    subject.directory
                )),
        );
    }
    findings
}
