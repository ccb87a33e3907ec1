//! Services whose chroot field leaves the answer to the version and the compatibility level.
//!
//! Owns the meaning of `-` in that field as a finding. Must not know what a jail holds.
//! Follows master(5), "chroot".

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Field, effective_chroot};

pub(super) const CHECK: Check = Check {
    name: "chroot",
    about: "services that are chrooted, or not, by a default that has changed",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    let undecided: Vec<_> = subject
        .services()
        .filter(|service| service.field(Field::Chroot) == "-")
        .collect();
    let Some(first) = undecided.first() else {
        return Vec::new();
    };
    let place = subject.master.place(first.field_span(Field::Chroot));
    let names: Vec<String> = undecided
        .iter()
        .map(|service| format!("`{}`", service.name))
        .collect();
    let title = format!("`-` in the chroot field of {}", names.join(", "));
    let chrooted = effective_chroot(None, subject.version, subject.level);
    let finding = if chrooted {
        Finding::warning("chroot-by-default", title).because(format!(
            "with Postfix {} and compatibility level {} that means `y`: these services see nothing outside the queue directory, not even resolv.conf unless it was copied there",
            subject.version, subject.level
        ))
    } else {
        Finding::note("chroot-by-default", title).because(format!(
            "with Postfix {} and compatibility level {} that means `n`; with Postfix 2, or with level 0, it means `y`",
            subject.version, subject.level
        ))
    };
    vec![
        finding
            .at(place)
            .mend("write `n` or `y`, whichever is meant"),
    ]
}
