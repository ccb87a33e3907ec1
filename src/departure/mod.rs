//! From which address of ours a delivery left, as far as configuration and log tell.
//!
//! Owns the answer for each `syslog_name` and protocol ([`Departures`]): what its services bind
//! to, else what the kernel takes; and what a receiver's reply names counts before both. Postfix
//! does not log it, so where they leave a choice, or the log is another machine's, it is unknown
//! and never guessed. Must not know what a delivery came to, nor who asks.
//! Follows postconf(5), `smtp_bind_address`, `syslog_name`; the rest is [`host`](crate::host)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use camino::Utf8Path;

use crate::address::{Scope, family, named};
use crate::host::{Facts, Origin};
use crate::postfix::log::{Answer, Line, Manner};
use crate::site::Site;
use crate::system::{System, SystemError};

/// Where the kernel is asked for its choice: addresses of all parts of the world, for among several
/// of our own it may choose by the destination. Nothing is sent to them.
const FAR: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(17, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
    IpAddr::V6(Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2607, 0xf8b0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2800, 0x3f0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0, 0, 1)),
];

/// Files that hold a machine's name: of Linux, of its kernel, of FreeBSD.
const NAMES: [&str; 3] = ["/etc/hostname", "/proc/sys/kernel/hostname", "/etc/rc.conf"];

/// Where a delivery left from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Departure {
    /// It left from this address, as the receiver sees it.
    From(IpAddr),
    /// It left from an address that is replaced on the way (NAT) by one that is not known; the
    /// protocol is `4` or `6`.
    Hidden(u8),
    /// It left, and from where is not known.
    Unknown(u8),
    /// It did not leave: for a mailbox or a program on this host, or there was no session.
    Stayed,
}

impl Departure {
    /// What it is called: the address, `unknown IPv4`, `none`.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::From(address) => address.to_string(),
            Self::Hidden(family) | Self::Unknown(family) => format!("unknown IPv{family}"),
            Self::Stayed => "none".to_owned(),
        }
    }
}

/// The addresses of ours, by who uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// By `syslog_name`: over IPv4 and over IPv6.
    ways: BTreeMap<Vec<u8>, [Way; 2]>,
    /// The interfaces' addresses.
    own: BTreeSet<IpAddr>,
    /// What this machine may be called in a log, in lower case, first labels only.
    hosts: BTreeSet<String>,
}

/// Where one `syslog_name` sends from over one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Way {
    /// To the outside.
    outward: BTreeSet<Departure>,
    /// To hosts of a network of our own, where nothing is replaced.
    inward: BTreeSet<Departure>,
}

impl Departures {
    /// Puts together what is known; `instances` are all of this machine's Postfix.
    ///
    /// # Errors
    /// When the machine cannot be asked.
    pub fn gather(
        system: &dyn System,
        instances: &[Facts],
        site: Option<&Site>,
    ) -> Result<Self, SystemError> {
        let mut all = Self::default();
        for facts in instances {
            let is_here = matches!(facts.origin, Origin::Machine | Origin::Collected);
            all.own.extend(&facts.addresses);
            all.hosts
                .extend(first_label(&facts.parameters.get("myhostname")));
            for service in facts.smtp_clients() {
                let name = facts.of_service(service, "syslog_name");
                for ipv6 in [false, true] {
                    if !facts.sends_over(service, ipv6) {
                        continue;
                    }
                    let own = facts.addresses.iter().copied();
                    let mut own = own.filter(|address| address.is_ipv6() == ipv6);
                    let only = own.next().filter(|_| own.next().is_none());
                    let family = if ipv6 { 6 } else { 4 };
                    let bound = facts.bound(service, ipv6);
                    let chosen = match bound {
                        Some(bound) => Some(bound),
                        None if is_here => kernels_choice(system, ipv6)?.or(only),
                        None => only,
                    };
                    let ways = all.ways.entry(name.clone().into_bytes()).or_default();
                    let way = &mut ways[usize::from(ipv6)];
                    way.outward.insert(seen_outside(chosen, family, site));
                    let inside = bound.or(only);
                    way.inward
                        .insert(inside.map_or(Departure::Unknown(family), Departure::From));
                }
            }
        }
        for path in NAMES {
            if let Ok(Some(file)) = system.read(Utf8Path::new(path)) {
                let text = String::from_utf8_lossy(&file.bytes).into_owned();
                let name = if path.ends_with("rc.conf") {
                    text.lines()
                        .filter_map(|line| line.trim().strip_prefix("hostname="))
                        .next_back()
                        .map(|value| value.trim_matches(['"', '\'']).to_owned())
                } else {
                    text.lines().next().map(|line| line.trim().to_owned())
                };
                all.hosts.extend(name.as_deref().and_then(first_label));
            }
        }
        Ok(all)
    }

    /// Tells whether a line was written on this machine, as far as it says.
    #[must_use]
    pub fn is_own_host(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else {
            return false;
        };
        // Where nothing is known of this one, it makes no difference.
        self.ways.is_empty() || first_label(host).is_none_or(|label| self.hosts.contains(&label))
    }

    /// Says where a delivery left from: by the line that tells of it, the address of the host it
    /// went to, and the addresses that host named in its reply ([`addresses_named`]).
    #[must_use]
    pub fn of(&self, line: &Line<'_>, relay: Option<IpAddr>, named: &[IpAddr]) -> Departure {
        let Some(relay) = relay else {
            return Departure::Stayed;
        };
        let scope = Scope::of(relay);
        if scope == Scope::Loopback {
            return Departure::Stayed;
        }
        let family = family(relay);
        let is_inside = matches!(
            scope,
            Scope::Private | Scope::UniqueLocal | Scope::LinkLocal | Scope::Shared
        );
        let known = if self.is_own_host(line.host) {
            self.way(line.syslog_name(), family, is_inside)
        } else {
            Departure::Unknown(family)
        };
        // Other addresses stand in replies, too: of the message's first sender, say. Ours are
        // known, but for the one outside of a NAT.
        let is_ours = |address: &&IpAddr| {
            self.own.contains(address)
                || (Scope::of(**address).is_global()
                    && (self.own.is_empty() || matches!(known, Departure::Hidden(_))))
        };
        let mut ours = named.iter().filter(is_ours);
        match (ours.next(), ours.next()) {
            (Some(only), None) => Departure::From(*only),
            _ => known,
        }
    }

    /// What a hidden departure was, judged by all that a log has: the address outside, where
    /// receivers name no more than one.
    #[must_use]
    pub fn unhidden(&self, departure: Departure, all: &[Departure]) -> Departure {
        let Departure::Hidden(family) = departure else {
            return departure;
        };
        let outside: BTreeSet<IpAddr> = all
            .iter()
            .filter_map(|departure| match departure {
                Departure::From(address) => Some(*address),
                _ => None,
            })
            .filter(|address| address.is_ipv6() == (family == 6) && !self.own.contains(address))
            .collect();
        match outside.first() {
            Some(&only) if outside.len() == 1 => Departure::From(only),
            _ => departure,
        }
    }

    /// Where a `syslog_name` sends from: to the outside, or to a network of our own.
    #[must_use]
    pub fn way(&self, syslog_name: &[u8], family: u8, is_inside: bool) -> Departure {
        let ends = self.ways.get(syslog_name).map(|[v4, v6]| {
            let way = if family == 6 { v6 } else { v4 };
            if is_inside { &way.inward } else { &way.outward }
        });
        let mut ends = ends.into_iter().flatten();
        match (ends.next(), ends.next()) {
            (Some(only), None) => *only,
            _ => Departure::Unknown(family),
        }
    }
}

/// The addresses that a host named in a reply of its own, of the protocol that was spoken; its own
/// left out. Mostly that is the one of ours that it sees.
#[must_use]
pub fn addresses_named(answer: &Answer<'_>) -> Vec<IpAddr> {
    let Some(peer) = answer
        .peer
        .and_then(|peer| peer.ip())
        .filter(|_| matches!(answer.manner, Manner::Said | Manner::RefusedToTalk))
    else {
        return Vec::new();
    };
    // Only what stands in brackets: links and examples hold addresses, too.
    let text = answer.plain();
    let inside = text.split('[').skip(1);
    inside
        .filter_map(|rest| rest.split(']').next())
        .filter_map(|inside| {
            named(inside).find(|address| address.is_ipv6() == peer.is_ipv6() && *address != peer)
        })
        .collect()
}

/// The address the kernel takes for the outside; none where it takes several.
fn kernels_choice(system: &dyn System, ipv6: bool) -> Result<Option<IpAddr>, SystemError> {
    let mut chosen = BTreeSet::new();
    for to in FAR.into_iter().filter(|to| to.is_ipv6() == ipv6) {
        match system.source(to) {
            Ok(from) => chosen.extend(from),
            // Of a machine that was packed only what was asked there is known.
            Err(SystemError::NotCollected { .. } | SystemError::Rooted { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let only = chosen.pop_first();
    Ok(only.filter(|_| chosen.is_empty()))
}

/// What receivers see where mail leaves from an address of an interface.
fn seen_outside(chosen: Option<IpAddr>, family: u8, site: Option<&Site>) -> Departure {
    let Some(address) = chosen else {
        return Departure::Unknown(family);
    };
    match Scope::of(address) {
        Scope::Global | Scope::Documentation => Departure::From(address),
        _ if site.is_some_and(|site| site.allow_non_global) => Departure::From(address),
        Scope::Private | Scope::Shared | Scope::UniqueLocal => {
            let declared = site.into_iter().flat_map(Site::addresses);
            let mut declared = declared.filter(|address| address.is_ipv6() == (family == 6));
            match (declared.next(), declared.next()) {
                (Some(only), None) => Departure::From(only),
                _ => Departure::Hidden(family),
            }
        }
        _ => Departure::Unknown(family),
    }
}

/// The first label of a name, in lower case; syslog writes no more of it.
fn first_label(name: &str) -> Option<String> {
    let label = name.split('.').next().unwrap_or_default();
    (!label.is_empty()).then(|| label.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
