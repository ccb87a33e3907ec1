//! Whether port 25 elsewhere can be reached, by protocol.
//!
//! Owns which outcome of a connection means what. One host that does not answer says little; that
//! none does is what a hoster's filter looks like. Must not know how a connection is made.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use super::queue::quoted;
use super::{By, Witness};
use crate::address::family;
use crate::finding::{Finding, Severity};
use crate::system::{Greeting, System, SystemError};

/// The port mail servers talk to each other on.
pub const PORT: u16 = 25;

/// How long a host may take to say who it is. Some make strangers wait before the greeting.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A host that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, or its address where it has none.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// What came of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The host.
    pub host: String,
    /// Its address.
    pub address: SocketAddr,
    /// The protocol, 4 or 6.
    pub family: u8,
    /// What came of it: greeted, refused, timed-out, unreachable, closed or silent.
    pub outcome: &'static str,
    /// What it said.
    pub banner: Option<String>,
}

/// Tries all hosts at once.
///
/// # Errors
/// When nothing may be tried from here, as for a tree.
pub fn look(
    system: &dyn System,
    hosts: &[Host],
    patience: Duration,
) -> Result<Vec<Attempt>, SystemError> {
    let all: Vec<(&Host, SocketAddr)> = hosts
        .iter()
        .flat_map(|host| host.addresses.iter().map(move |address| (host, *address)))
        .collect();
    let addresses: Vec<SocketAddr> = all.iter().map(|(_, address)| *address).collect();
    let greetings = system.greet(&addresses, patience)?;
    let attempts = all.into_iter().zip(greetings);
    let attempts = attempts.map(|((host, address), greeting)| Attempt {
        host: host.name.clone(),
        address,
        family: family(address.ip()),
        outcome: greeting.word(),
        banner: match &greeting {
            Greeting::Says(words) => Some(quoted(&String::from_utf8_lossy(words))),
            _ => None,
        },
    });
    Ok(attempts.collect())
}

/// What the attempts come down to; `ours` are the addresses of this machine.
#[must_use]
pub fn witnesses(attempts: &[Attempt], ours: &[IpAddr]) -> Vec<Witness> {
    let mut witnesses = Vec::new();
    for protocol in [4, 6] {
        let of: Vec<&Attempt> = attempts
            .iter()
            .filter(|attempt| attempt.family == protocol)
            .collect();
        if of.is_empty() || of.iter().any(|attempt| attempt.outcome == "greeted") {
            continue;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for attempt in &of {
            *counts.entry(attempt.outcome).or_default() += 1;
        }
        let has_address = ours.iter().any(|address| family(*address) == protocol);
        let is_only = |outcome: &str| counts.keys().all(|other| *other == outcome);
        let other_goes = attempts
            .iter()
            .any(|attempt| attempt.family != protocol && attempt.outcome == "greeted");
        let severity = if other_goes {
            Severity::Warning
        } else {
            Severity::Error
        };
        let each: Vec<String> = of
            .iter()
            .map(|attempt| {
                format!(
                    "`{}` ({}) {}",
                    attempt.host,
                    attempt.address.ip(),
                    phrase(attempt.outcome)
                )
            })
            .collect();
        let each = each.join(", ");
        let finding = if is_only("unreachable") && protocol == 6 {
            // Without an address of its own the host has no IPv6, and mail takes IPv4.
            if !has_address {
                continue;
            }
            Finding::new(
                severity,
                "ipv6-unreachable",
                "no host outside can be reached over IPv6",
            )
            .mend("give the host a route for IPv6, or set `inet_protocols = ipv4` in main.cf")
        } else if is_only("unreachable") {
            Finding::new(
                severity,
                "network-unreachable",
                "no host outside can be reached over IPv4",
            )
            .mend("give the host a route (`ip route` shows those there are)")
        } else if is_only("closed") || is_only("silent") {
            Finding::new(
                severity,
                "connection-lost",
                format!("no host outside says a word on port 25 over IPv{protocol}"),
            )
        } else if let Some(host) = only_host(attempts) {
            Finding::warning(
                "host-unreached",
                format!("`{host}` cannot be reached over IPv{protocol}"),
            )
            .mend("try another host, such as one of a big receiver: `--port25` alone tries some")
        } else {
            Finding::new(
                severity,
                "port25-blocked",
                format!("no host outside can be reached on port 25 over IPv{protocol}"),
            )
        };
        let mut witness = Witness::of(By::Port25, finding.because(each));
        witness.family = Some(protocol);
        witnesses.push(witness);
    }
    witnesses
}

/// The one host that was tried, which tells nothing of all others.
fn only_host(attempts: &[Attempt]) -> Option<&str> {
    let host = attempts.first()?.host.as_str();
    let is_same = |attempt: &Attempt| attempt.host == host;
    attempts.iter().all(is_same).then_some(host)
}

fn phrase(outcome: &str) -> &'static str {
    match outcome {
        "refused" => "refuses the connection",
        "timed-out" => "does not answer",
        "unreachable" => "cannot be reached",
        "closed" => "closes the connection at once",
        "silent" => "says nothing",
        _ => "greets",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    fn hosts() -> Vec<Host> {
        let host = |name: &str, addresses: &[&str]| Host {
            name: name.to_owned(),
            addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        };
        vec![
            host("mx.a.example", &["192.0.2.1:25", "[2001:db8::1]:25"]),
            host("mx.b.example", &["192.0.2.2:25", "[2001:db8::2]:25"]),
        ]
    }

    /// What is said where the four addresses, in their order, answer so.
    #[track_caller]
    fn check(answers: [Greeting; 4], expected: &[&str]) {
        let mut system = MemorySystem::new();
        let addresses = hosts().into_iter().flat_map(|host| host.addresses);
        system.greetings = addresses.zip(answers).collect();
        let attempts = look(&system, &hosts(), PATIENCE).unwrap();
        let ours = ["192.0.2.9", "2001:db8::9"].map(|one| one.parse().unwrap());
        let found: Vec<String> = witnesses(&attempts, &ours)
            .iter()
            .map(|one| format!("{:?} {} {:?}", one.severity, one.code, one.family))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_filter_is_told_from_a_host_that_is_down() {
        let hello = || Greeting::Says(b"220 mx.example ESMTP".to_vec());
        let (out, no) = (Greeting::TimedOut, Greeting::Unreachable);
        check([hello(), hello(), out.clone(), Greeting::Refused], &[]);
        check(
            [out.clone(), hello(), out.clone(), hello()],
            &["Warning port25-blocked Some(4)"],
        );
        check(
            [out.clone(), out.clone(), Greeting::Refused, out],
            &[
                "Error port25-blocked Some(4)",
                "Error port25-blocked Some(6)",
            ],
        );
        check(
            [hello(), no.clone(), hello(), no.clone()],
            &["Warning ipv6-unreachable Some(6)"],
        );
        check(
            [no.clone(), hello(), no, hello()],
            &["Warning network-unreachable Some(4)"],
        );
        check(
            [Greeting::Closed, hello(), Greeting::Silent, hello()],
            &["Warning port25-blocked Some(4)"],
        );
    }

    #[test]
    fn one_host_that_is_down_says_nothing_of_port_25() {
        let mut system = MemorySystem::new();
        let hosts = hosts().split_off(1);
        let addresses = hosts.iter().flat_map(|host| host.addresses.clone());
        system.greetings = addresses.map(|one| (one, Greeting::Refused)).collect();
        let attempts = look(&system, &hosts, PATIENCE).unwrap();
        let codes: Vec<String> = witnesses(&attempts, &[])
            .into_iter()
            .map(|one| one.code)
            .collect();
        assert_eq!(codes, ["host-unreached", "host-unreached"]);
    }
}
