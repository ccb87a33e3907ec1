//! Addresses of a family that is switched off: the process stops as it starts.
//!
//! Owns what `inet_protocols` forbids in `inet_interfaces` and `proxy_interfaces`.
//! Must not know which addresses the machine has. Follows postconf(5), "`inet_protocols`".

use std::net::IpAddr;

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Service, split_list};

pub(super) const CHECK: Check = Check {
    name: "interfaces",
    about: "addresses of a protocol family that is switched off",
    run,
};

/// The parameters that list our own addresses.
const LISTS: [&str; 2] = ["inet_interfaces", "proxy_interfaces"];

fn run(subject: &Subject) -> Vec<Finding> {
    let overriding = subject.services().filter(|service| {
        service
            .overrides()
            .any(|(name, _)| name == "inet_protocols" || LISTS.contains(&name))
    });
    let main = fault(subject, None);
    // What main.cf gets wrong, every service gets wrong with it.
    if !main.is_empty() {
        return main;
    }
    overriding
        .flat_map(|service| fault(subject, Some(service)))
        .collect()
}

fn fault(subject: &Subject, service: Option<&Service>) -> Vec<Finding> {
    let Some(protocols) = subject.effective("inet_protocols", service) else {
        return Vec::new();
    };
    let protocols = split_list(&protocols);
    let (v4, v6) = match protocols.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ipv4"] => (true, false),
        ["ipv6"] => (false, true),
        _ => return Vec::new(),
    };
    LISTS
        .iter()
        .filter_map(|list| {
            let value = subject.effective(list, service)?;
            let members = split_list(&value);
            let wrong = members.iter().find(|member| match literal(member) {
                Some(IpAddr::V4(_)) => !v4,
                Some(IpAddr::V6(_)) => !v6,
                None => false,
            })?;
            let who = service.map_or_else(
                || "every program of Postfix".to_owned(),
                |service| format!("the service `{}`", service.name),
            );
            let finding = Finding::error(
                "address-of-other-family",
                format!(
                    "{who} speaks only {}, and `{list}` has `{wrong}`",
                    protocols[0]
                ),
            )
            .because(format!(
                "it stops as it starts: \"config variable {list}: host not found: {wrong}\""
            ));
            let place = place(subject, service, list);
            let finding = match place {
                Some(place) => finding.at(place),
                None => finding,
            };
            Some(match service {
                Some(_) => {
                    let kept: Vec<&str> = members
                        .iter()
                        .map(String::as_str)
                        .filter(|member| match literal(member) {
                            Some(IpAddr::V4(_)) => v4,
                            Some(IpAddr::V6(_)) => v6,
                            None => true,
                        })
                        .collect();
                    if kept.is_empty() {
                        finding.mend(format!("give the service a `-o {list}=` of its own"))
                    } else {
                        finding.mend(format!(
                            "give the service `-o {list}={}` too",
                            kept.join(",")
                        ))
                    }
                }
                None => finding.mend(format!("take `{wrong}` out of `{list}`")),
            })
        })
        .collect()
}

fn place(
    subject: &Subject,
    service: Option<&Service>,
    list: &str,
) -> Option<crate::finding::Place> {
    match service {
        Some(service) => subject
            .assignments()
            .into_iter()
            .find(|assignment| {
                assignment.service.is_some_and(|other| other == service)
                    && (assignment.name == "inet_protocols" || assignment.name == list)
            })
            .map(|assignment| subject.place_of(&assignment)),
        None => ["inet_protocols", list]
            .iter()
            .find_map(|name| subject.main.parsed.setting(name))
            .map(|setting| subject.main.place(setting.span)),
    }
}

/// An address, bare or in brackets.
fn literal(member: &str) -> Option<IpAddr> {
    member
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(member)
        .parse()
        .ok()
}
