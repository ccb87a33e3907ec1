//! Send all mail over IPv4 only: the last resort.
//!
//! Fits every version that knows IPv6. `inet_protocols = ipv4` in main.cf would do it too, but it
//! also ends receiving over IPv6 and needs a stop and a start. The manual's own way is to give
//! the option to the smtp(8) clients alone (postconf(5), `smtp_address_preference`): smtpd(8)
//! keeps listening, and a reload is enough.

use crate::finding::Finding;
use crate::host::Facts;
use crate::postfix::{Service, ServiceType, split_list};
use crate::remedy::interfaces::ipv4_interfaces;
use crate::remedy::{Case, Contribution, Fit};
use crate::target::{Ensure, ServiceWanted};

/// The option.
const PARAMETER: &str = "inet_protocols";

/// Its value.
const VALUE: &str = "ipv4";

/// Gives what the remedy adds, or why it does not fit.
///
/// # Errors
/// Never: it has no template.
pub fn fit(case: &Case<'_>) -> Fit {
    let facts = case.facts;
    let default = facts.default_transport();
    let Some(client) = facts.client().filter(|client| client.command == "smtp") else {
        return Ok(Err(format!(
            "mail leaves through the service `{default}`, which is no smtp(8) client of master.cf"
        )));
    };
    if let Some(why) = own_choice(client, facts) {
        return Ok(Err(why));
    }
    let mut contribution = Contribution::default();
    let relay = relay(facts).filter(|relay| relay.name != client.name);
    for service in [Some(client), relay].into_iter().flatten() {
        if let Some(why) = own_choice(service, facts) {
            contribution
                .findings
                .push(Finding::warning("own-protocols", why));
            continue;
        }
        let mut options = vec![(PARAMETER.to_owned(), VALUE.to_owned())];
        options.extend(ipv4_interfaces(Some(service), facts));
        options.retain(|(name, value)| service.option(name) != Some(value));
        if !options.is_empty() {
            contribution.services.push(ServiceWanted {
                name: service.name.clone(),
                kind: ServiceType::Unix,
                ensure: Ensure::Words {
                    chroot: None,
                    options,
                },
            });
        }
    }
    if contribution.services.is_empty() {
        contribution.outcome = format!("`{}` uses no IPv6 already", client.name);
        return Ok(Ok(contribution));
    }
    let names: Vec<String> = contribution
        .services
        .iter()
        .map(|service| format!("`{}`", service.name))
        .collect();
    contribution.outcome = format!("no IPv6 for {}, to whatever receiver", names.join(" and "));
    contribution.reasons = vec![
        "receiving goes on over IPv6: `inet_protocols` of main.cf, which would end it and needs a stop and a start, stays as it is".to_owned(),
    ];
    if relay.is_some() {
        contribution.reasons.push(
            "the domains of `relay_domains` may be hosted by such a receiver, so their service is among them".to_owned(),
        );
    }
    contribution.findings.push(
        Finding::warning(
            "ipv6-only-bounces",
            "mail to receivers that have IPv6 only will bounce (5.4.4)",
        )
        .because("a client without IPv6 asks for no AAAA record and finds no address")
        .mend("choose this only where no other remedy fits; `mailfix remedies` compares them"),
    );
    Ok(Ok(contribution))
}

/// The smtp(8) client that mail to `relay_domains` leaves through, if there are any.
fn relay(facts: &Facts) -> Option<&Service> {
    let ours = facts.parameters.list("mydestination");
    let relayed = facts.parameters.list("relay_domains");
    // Up to 2.11 the default is `$mydestination`, of which nothing is relayed.
    if relayed.iter().all(|domain| ours.contains(domain)) {
        return None;
    }
    let transport = facts.parameters.get("relay_transport");
    let (name, nexthop) = transport.split_once(':').unwrap_or((&transport, ""));
    let service = facts.service(name, &ServiceType::Unix)?;
    (nexthop.is_empty() && service.command == "smtp").then_some(service)
}

/// Says that a service is told by the administrator which protocols to use, if it is.
fn own_choice(service: &Service, facts: &Facts) -> Option<String> {
    let own = facts.parameters.expand(service.option(PARAMETER)?);
    let has_ipv6 = split_list(&own).iter().any(|word| word != VALUE);
    has_ipv6.then(|| {
        format!(
            "the `{}` service has `-o {PARAMETER}={own}`, which stays as it is",
            service.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::remedy::shown;

    #[track_caller]
    fn check(given: (&str, &str, &str), expected: Result<&[&str], &str>) {
        let (version, main, master) = given;
        let facts = example::host(version, main, master).facts;
        shown::check(fit, &facts, expected);
    }

    const SMTP: &str = "smtp: chroot None, options [(\"inet_protocols\", \"ipv4\")]";
    const RELAY: &str = "relay: chroot None, options [(\"inet_protocols\", \"ipv4\")]";
    const BOUNCES: &str =
        "ipv6-only-bounces: mail to receivers that have IPv6 only will bounce (5.4.4)";

    #[test]
    fn only_the_client_gives_up_ipv6() {
        check(("3.7.11", "", ""), Ok(&[SMTP, BOUNCES]));
        check(("2.6.6", "", ""), Ok(&[SMTP, BOUNCES]));
        check(
            (
                "3.7.11",
                "",
                "smtp unix - - n - - smtp -o inet_protocols=ipv4",
            ),
            Ok(&[]),
        );
    }

    #[test]
    fn domains_that_are_relayed_go_the_same_way() {
        check(
            ("3.7.11", "relay_domains = hosted.example", ""),
            Ok(&[SMTP, RELAY, BOUNCES]),
        );
        let relayed = "relay_domains = hosted.example\nrelay_transport = ";
        for transport in ["relay:[mx.example]", "lmtp", "smtp"] {
            let main = format!("{relayed}{transport}");
            check(("3.7.11", &main, ""), Ok(&[SMTP, BOUNCES]));
        }
        let own = "relay unix - - n - - smtp -o inet_protocols=all";
        check(
            ("3.7.11", "relay_domains = hosted.example", own),
            Ok(&[
                SMTP,
                "own-protocols: the `relay` service has `-o inet_protocols=all`, which stays as it is",
                BOUNCES,
            ]),
        );
        // What is relayed by default is delivered here.
        let main = "mydestination = a.example\nrelay_domains = $mydestination";
        check(("2.10.1", main, ""), Ok(&[SMTP, BOUNCES]));
    }

    #[test]
    fn what_the_administrator_has_said_of_the_client_stays() {
        check(
            (
                "3.7.11",
                "",
                "smtp unix - - n - - smtp -o inet_protocols=all",
            ),
            Err("the `smtp` service has `-o inet_protocols=all`, which stays as it is"),
        );
        check(
            ("3.7.11", "default_transport = uucp", ""),
            Err("mail leaves through the service `uucp`, which is no smtp(8) client of master.cf"),
        );
    }

    #[test]
    fn an_ipv6_interface_would_kill_the_client() {
        check(
            ("3.7.11", "inet_interfaces = 192.0.2.25, 2001:db8::25", ""),
            Ok(&[
                "smtp: chroot None, options [(\"inet_protocols\", \"ipv4\"), (\"inet_interfaces\", \"192.0.2.25\")]",
                BOUNCES,
            ]),
        );
    }
}
