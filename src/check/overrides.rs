//! `-o` options that the daemon they are given to never reads.
//!
//! Owns the few cases that are certain: scheduling limits and routing, which other daemons read
//! from `main.cf`. Must not know values. Follows qmgr(8), trivial-rewrite(8), smtp(8), smtpd(8).

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::expand::references;
use crate::postfix::{Service, parameter};

pub(super) const CHECK: Check = Check {
    name: "overrides",
    about: "`-o` options that the service's program does not read",
    run,
};

/// Programs that read the limits of each transport.
const QUEUE_PROGRAMS: [&str; 3] = ["qmgr", "nqmgr", "oqmgr"];

/// Delivery programs, which are told where to send and do not choose.
const DELIVERY_PROGRAMS: [&str; 7] = [
    "smtp", "lmtp", "pipe", "local", "virtual", "error", "discard",
];

/// What only trivial-rewrite(8) reads to choose a transport and next hop.
const ROUTING: [&str; 4] = [
    "transport_maps",
    "default_transport",
    "sender_dependent_relayhost_maps",
    "sender_dependent_default_transport_maps",
];

fn run(subject: &Subject) -> Vec<Finding> {
    subject
        .overrides()
        .filter_map(|assignment| {
            let service = assignment.service?;
            let name = assignment.name.as_str();
            if is_used_otherwise(service, name) {
                return None;
            }
            let reader = reader(service, name)?;
            Some(
                Finding::warning(
                    "override-not-read",
                    format!("`-o {name}` does nothing in the service `{}`", service.name),
                )
                .at(subject.place_of(&assignment))
                .because(format!(
                    "`{}` does not read it: {reader} does, from main.cf",
                    service.command
                ))
                .mend(if ROUTING.contains(&name) {
                    format!("take it out; `{name}` is one for the whole instance")
                } else {
                    format!("take it out, and set `{name}` in main.cf")
                }),
            )
        })
        .collect()
}

/// Who reads the parameter, if it is certain that this service does not.
fn reader(service: &Service, name: &str) -> Option<&'static str> {
    // The time limit of pipe(8) and spawn(8) is read by the service itself.
    let is_limit = parameter::service_of(name).is_some() && !name.ends_with("_time_limit");
    if is_limit && !QUEUE_PROGRAMS.contains(&service.command.as_str()) {
        return Some("the queue manager");
    }
    if ROUTING.contains(&name) && DELIVERY_PROGRAMS.contains(&service.command.as_str()) {
        return Some("trivial-rewrite");
    }
    None
}

/// Whether another argument of the service uses the value.
fn is_used_otherwise(service: &Service, name: &str) -> bool {
    service
        .overrides()
        .any(|(_, value)| references(value).iter().any(|used| used == name))
}
