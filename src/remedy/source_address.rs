//! Send over IPv6 from the one address whose records are right.
//!
//! Fits a host with several IPv6 addresses, some of which pass at every receiver that is
//! strict. The kernel chooses the source by its own rules, often a temporary address (RFC
//! 8981) or the last one added; `smtp_bind_address6` chooses it for Postfix (postconf(5)).

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::host::{Facts, Origin};
use crate::postfix::{Service, ServiceType, Version};
use crate::remedy::{Case, Contribution, Fit};
use crate::target::{Ensure, ServiceWanted, ipv6_sources};

/// The first version that has `smtp_bind_address6`, and the one that can insist on it.
const SINCE: Version = Version::new(2, 2, 0);
const ENFORCED: Version = Version::new(3, 7, 0);

/// Gives what the remedy adds, or why it does not fit.
///
/// # Errors
/// None; the type is that of all remedies.
pub fn fit(case: &Case<'_>) -> Fit {
    let facts = case.facts;
    if facts.version < SINCE {
        return Ok(Err(format!(
            "Postfix {} has no `smtp_bind_address6` (2.2 and later)",
            facts.version
        )));
    }
    let sources = match ipv6_sources(case.site, facts) {
        Ok(sources) => sources,
        Err(why) => return Ok(Err(why)),
    };
    if sources.len() < 2 {
        return Ok(Err("mail leaves from one IPv6 address only".to_owned()));
    }
    let Some(chosen) = best(case, &sources) else {
        return Ok(Err(
            "none of the IPv6 addresses that stay has PTR and SPF right".to_owned(),
        ));
    };
    let services: Vec<&Service> = senders(facts).collect();
    if services.is_empty() {
        return Ok(Err(
            "no service that sends to the outside would take the option".to_owned(),
        ));
    }
    let mut contribution = Contribution {
        outcome: format!("mail over IPv6 leaves from {chosen}"),
        ..Contribution::default()
    };
    contribution
        .reasons
        .push(format!("PTR and SPF are right for {chosen}"));
    let mut options = vec![("smtp_bind_address6".to_owned(), chosen.to_string())];
    if facts.version >= ENFORCED {
        // Else a failed bind(2) is a warning, and mail leaves from whatever address.
        options.push(("smtp_bind_address_enforce".to_owned(), "yes".to_owned()));
    }
    contribution.services = services
        .into_iter()
        .map(|service| ServiceWanted {
            name: service.name.clone(),
            kind: service.kind.clone(),
            ensure: Ensure::Words {
                chroot: None,
                options: options.clone(),
            },
        })
        .collect();
    Ok(Ok(contribution))
}

/// The address that passes everywhere and stays: what the site file names goes first.
fn best(case: &Case<'_>, sources: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let facts = case.facts;
    let passes = |address: IpAddr| {
        case.providers.iter().all(|provider| {
            provider.demands.ipv6.as_ref().is_none_or(|demand| {
                facts
                    .dns
                    .objections(address, demand.ptr, demand.authentication)
                    .is_empty()
            })
        })
    };
    // On the machine itself bind(2) takes only what an interface has.
    let is_here = |address: IpAddr| match facts.origin {
        Origin::Machine | Origin::Collected => {
            facts.addresses.contains(&address) && !facts.passing.contains(&address)
        }
        Origin::Tree | Origin::Stock => true,
    };
    let declared = |address: &IpAddr| {
        !case
            .site
            .server
            .ipv6
            .iter()
            .any(|listed| IpAddr::V6(*listed) == *address)
    };
    sources
        .iter()
        .copied()
        .filter(|&address| passes(address) && is_here(address))
        .min_by_key(|address| (declared(address), *address))
}

/// The services that send to the outside and leave the choice of the address to the kernel.
fn senders(facts: &Facts) -> impl Iterator<Item = &Service> {
    let default = facts.default_transport();
    let relay = facts.parameters.get("relay_transport");
    let relay = relay.split(':').next().unwrap_or_default().to_owned();
    facts.services.iter().filter(move |service| {
        service.kind == ServiceType::Unix
            && service.command == "smtp"
            && [default.as_str(), relay.as_str(), "smtp", "relay"].contains(&service.name.as_str())
            && service.option("smtp_bind_address6").is_none()
            && service.option("inet_protocols") != Some("ipv4")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::remedy::shown;

    /// `::25` is right, `::26` has no PTR.
    const ZONE: &str = "\
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
7.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
mail.example.org. 60 IN AAAA 2001:db8::25
mail.example.org. 60 IN AAAA 2001:db8::27
example.org. 60 IN TXT \"v=spf1 ip6:2001:db8::/64 -all\"
";

    /// A version, lines of main.cf and master.cf, addresses on the interfaces and those that pass.
    #[track_caller]
    fn check(given: (&str, &str, &str, &[&str], &[&str]), expected: Result<&[&str], &str>) {
        let (version, main, master, found, passing) = given;
        let mut facts = example::host(version, main, master).facts;
        let all: Vec<&str> = found.iter().chain(&["2001:db8::25"]).copied().collect();
        facts.dns = example::dns(ZONE, &all, &["example.org"]);
        facts.origin = Origin::Machine;
        facts.addresses = found.iter().map(|text| text.parse().unwrap()).collect();
        facts.passing = passing.iter().map(|text| text.parse().unwrap()).collect();
        let given = shown::fitted(fit, &facts)
            .map(|fitted| shown::lines(&fitted.settings, &fitted.services, &fitted.tables, &[]));
        let expected = expected
            .map(|lines| lines.iter().map(ToString::to_string).collect())
            .map_err(ToOwned::to_owned);
        assert_eq!(given, expected);
    }

    const SMTP: &str = "smtp: chroot None, options [(\"smtp_bind_address6\", \"2001:db8::25\"), (\"smtp_bind_address_enforce\", \"yes\")]";
    const RELAY: &str = "relay: chroot None, options [(\"smtp_bind_address6\", \"2001:db8::25\"), (\"smtp_bind_address_enforce\", \"yes\")]";
    const TWO: &[&str] = &["2001:db8::25", "2001:db8::26"];

    #[test]
    fn of_several_addresses_the_right_one_is_bound_to() {
        check(("3.7.11", "", "", TWO, &[]), Ok(&[SMTP, RELAY]));
        // What the site file names goes before another that is right too.
        let three = &["2001:db8::25", "2001:db8::26", "2001:db8::27"];
        check(("3.7.11", "", "", three, &[]), Ok(&[SMTP, RELAY]));
    }

    #[test]
    fn before_3_7_nothing_insists_on_it() {
        check(
            ("3.5.25", "", "", TWO, &[]),
            Ok(&[
                "smtp: chroot None, options [(\"smtp_bind_address6\", \"2001:db8::25\")]",
                "relay: chroot None, options [(\"smtp_bind_address6\", \"2001:db8::25\")]",
            ]),
        );
    }

    #[test]
    fn it_takes_an_address_that_stays_on_this_host() {
        let none = Err("none of the IPv6 addresses that stay has PTR and SPF right");
        check(("3.7.11", "", "", TWO, &["2001:db8::25"]), none);
        check(("3.7.11", "", "", &["2001:db8::26"], &[]), none);
    }

    #[test]
    fn services_that_choose_for_themselves_stay() {
        check(
            (
                "3.7.11",
                "",
                "relay unix - - n - - smtp -o smtp_bind_address6=2001:db8::26\nscan unix - - n - - smtp",
                TWO,
                &[],
            ),
            Ok(&[SMTP]),
        );
    }

    #[test]
    fn with_one_address_there_is_no_choice() {
        let one = Err("mail leaves from one IPv6 address only");
        check(("3.7.11", "", "", &["2001:db8::25"], &[]), one);
        check(
            ("3.7.11", "smtp_bind_address6 = 2001:db8::26", "", TWO, &[]),
            one,
        );
        check(
            (
                "3.7.11",
                "inet_interfaces = 192.0.2.25, 2001:db8::26",
                "",
                TWO,
                &[],
            ),
            one,
        );
    }
}
