//! The address of ours that a message left from.
//!
//! The log does not say it. What the receiver names in its reply is the best witness, then
//! what Postfix was told to bind to, then what the kernel chooses for that host.

use std::net::IpAddr;

use serde::Serialize;

use super::Ending;
use crate::address::{Scope, named};
use crate::host::Facts;
use crate::system::{System, SystemError};

/// An address, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// How it is known.
    pub known_by: KnownBy,
}

/// How an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The receiver named it.
    Reply,
    /// Postfix binds to it.
    Bound,
    /// The kernel takes it for this host.
    Route,
}

/// Finds the address that a session left from.
pub(super) fn find(
    system: &dyn System,
    facts: &Facts,
    ending: &Ending,
) -> Result<Option<Source>, SystemError> {
    let Some(relay) = ending.address else {
        return Ok(None);
    };
    let ours = match bound(facts, relay.is_ipv6()) {
        Some(address) => Some((address, KnownBy::Bound)),
        None => system
            .source(relay)?
            .map(|address| (address, KnownBy::Route)),
    };
    // Behind a NAT the receiver sees an address that no interface has.
    let is_hidden = ours.is_some_and(|(address, _)| Scope::of(address) == Scope::Private);
    let named = named(&ending.reply)
        .filter(|address| address.is_ipv6() == relay.is_ipv6() && *address != relay)
        .find(|address| is_hidden || facts.addresses.contains(address));
    let found = named.map(|address| (address, KnownBy::Reply)).or(ours);
    Ok(found.map(|(address, known_by)| Source { address, known_by }))
}

/// The address that Postfix binds to for a protocol, if it is the same for every service.
fn bound(facts: &Facts, ipv6: bool) -> Option<IpAddr> {
    let mut all = facts
        .smtp_clients()
        .map(|service| facts.bound(service, ipv6));
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::system::MemorySystem;

    #[track_caller]
    fn check(
        main: &str,
        master: &str,
        relay: &str,
        reply: &str,
        expected: Option<(&str, KnownBy)>,
    ) {
        let mut facts = example::host("3.7.11", main, master).facts;
        facts.addresses = ["192.0.2.10", "2001:db8::10", "2001:db8::11"]
            .map(|text| text.parse().unwrap())
            .into();
        let mut system = MemorySystem::new();
        for (to, from) in [
            ("192.0.2.100", "192.0.2.10"),
            ("2001:db8::100", "2001:db8::11"),
            ("192.0.2.200", "10.0.0.1"),
        ] {
            system
                .sources
                .insert(to.parse().unwrap(), from.parse().unwrap());
        }
        let ending = Ending {
            address: relay.parse().ok(),
            reply: reply.to_owned(),
            ..Ending::default()
        };
        let found = find(&system, &facts, &ending).unwrap();
        let expected = expected.map(|(address, known_by)| Source {
            address: address.parse().unwrap(),
            known_by,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_best_witness_is_heard() {
        let google = "550-5.7.1 [2001:db8::10      16] Our system";
        check(
            "",
            "",
            "2001:db8::100",
            google,
            Some(("2001:db8::10", KnownBy::Reply)),
        );
        check(
            "",
            "",
            "2001:db8::100",
            "550 no",
            Some(("2001:db8::11", KnownBy::Route)),
        );
        check(
            "",
            "",
            "192.0.2.100",
            google,
            Some(("192.0.2.10", KnownBy::Route)),
        );
        // An address of somebody else is not ours for being named.
        check(
            "",
            "",
            "2001:db8::100",
            "550 see [2001:db8::99]",
            Some(("2001:db8::11", KnownBy::Route)),
        );
        // But behind a NAT it is.
        check(
            "",
            "",
            "192.0.2.200",
            "550 [198.51.100.7] refused",
            Some(("198.51.100.7", KnownBy::Reply)),
        );
        check("", "", "2001:db8::1", "", None);
        check("", "", "none", "", None);
    }

    #[test]
    fn what_postfix_binds_to_is_known() {
        let bound = |address| Some((address, KnownBy::Bound));
        let main = "smtp_bind_address6 = 2001:db8::12\nsmtp_bind_address = 192.0.2.12";
        check(main, "", "2001:db8::100", "", bound("2001:db8::12"));
        check(main, "", "192.0.2.100", "", bound("192.0.2.12"));
        check(
            "inet_interfaces = localhost, 127.0.0.1, [2001:db8::13]",
            "",
            "2001:db8::100",
            "",
            bound("2001:db8::13"),
        );
        // Where services differ, the kernel's choice is as good a guess as any.
        let other = "other unix - - n - - smtp -o smtp_bind_address6=2001:db8::14";
        check(
            main,
            other,
            "2001:db8::100",
            "",
            Some(("2001:db8::11", KnownBy::Route)),
        );
    }
}
