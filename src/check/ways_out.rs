//! Ways out that lead nowhere: a relay that is this very host, mail that is put off for good.
//!
//! Owns what `relayhost` and `defer_transports` may say. Must not know what DNS says of a relay.
//! Follows postconf(5), "`relayhost`" and "`defer_transports`".

use super::{Check, Subject, mend};
use crate::finding::{Finding, escape};

pub(super) const CHECK: Check = Check {
    name: "ways-out",
    about: "mail that goes round in circles or is put off",
    run,
};

/// How a host calls itself.
const ITSELF: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How the port of mail is written.
const PORTS: [&str; 2] = ["25", "smtp"];

fn run(subject: &Subject) -> Vec<Finding> {
    let of_main = subject
        .assignments()
        .into_iter()
        .filter(|assignment| assignment.service.is_none());
    of_main
        .filter_map(|assignment| {
            let value = subject.expand(&assignment)?;
            let value = value.trim();
            let finding = match assignment.name.as_str() {
                "relayhost" if is_itself(subject, value) => Finding::error(
                    "relayhost-itself",
                    format!("`relayhost = {}` is this host itself", escape(value)),
                )
                .because("no mail leaves: \"mail for … loops back to myself\""),
                "defer_transports" if !value.is_empty() => Finding::warning(
                    "deferred-transport",
                    format!("`defer_transports = {}` puts mail off", escape(value)),
                )
                .because("what takes these transports waits until somebody runs `postqueue -f`"),
                _ => return None,
            }
            .at(subject.place_of(&assignment));
            Some(match mend::unset(subject, &assignment.name) {
                Some(command) => finding.mend(format!("take it away: {command}")),
                None => finding.mend("take it away"),
            })
        })
        .collect()
}

/// Whether a relay is this host, at the port where it takes mail itself.
fn is_itself(subject: &Subject, relay: &str) -> bool {
    let (host, port) = match relay
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match relay.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (relay, None),
        },
    };
    let host = host.strip_prefix("ipv6:").unwrap_or(host);
    let is_host = ITSELF.contains(&host)
        || subject
            .effective("myhostname", None)
            .is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(host));
    is_host && port.is_none_or(|port| PORTS.contains(&port))
}
