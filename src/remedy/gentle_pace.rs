//! Send mail to a provider no faster than it takes it.
//!
//! Fits every version of Postfix while mail leaves from here to the receivers themselves. How much
//! a provider takes stands in its file. It counts connections over all its domains, and Postfix's
//! own limits go by single ones; so its mail goes through a client of its own, which runs no more
//! often than there may be connections.

use crate::host::Facts;
use crate::provider::Provider;
use crate::remedy::own_transport::{self, IPV4_ONLY, Wanted};
use crate::remedy::{Case, Fit};
use crate::target::ServiceWanted;

/// Whose domains they are where no provider of ours has them as its own.
const HOSTED: &str = "Hosted domains, as they were listed";

/// Gives what the remedy adds, or why it does not fit.
///
/// Where nobody could judge whose mail has to take IPv4 (`is_judged`), that is left as the table of
/// an earlier apply has it. `soon` are changes of services that the same plan makes.
///
/// # Errors
/// When a template cannot be rendered.
pub fn fit(case: &Case<'_>, is_judged: bool, soon: &[ServiceWanted]) -> Fit {
    let facts = case.facts;
    if let Some(why) = facts.sent_elsewhere() {
        return Ok(Err(why));
    }
    let before: Vec<(&str, &str)> = own_transport::over_ipv4(facts)
        .filter(|_| !is_judged)
        .collect();
    let everything = own_transport::is_client_ipv4_only(facts, soon);
    let paced = case.providers.iter().map(|&provider| {
        let over_ipv4 = everything || before.iter().any(|(domain, _)| provider.owns(domain));
        let hosted = before.iter();
        let hosted = hosted.filter(|(_, service)| own_transport::is_paced(service, Some(provider)));
        let hosted = hosted.map(|(domain, _)| (*domain).to_owned()).collect();
        Wanted::of(provider, hosted, over_ipv4, case)
    });
    let kept = before.iter().map(|(domain, _)| {
        let owner = Provider::brought().iter().find(|one| one.owns(domain));
        let whose = owner.map_or(HOSTED, |owner| owner.name.as_str());
        (whose.to_owned(), (*domain).to_owned())
    });
    let mut wanted: Vec<Wanted<'_>> = paced.collect();
    for (whose, domain) in kept {
        let known = wanted
            .iter_mut()
            .find(|one| one.whose == whose && one.client == IPV4_ONLY);
        match known {
            Some(known) => known.domains.push(domain),
            None => wanted.push(Wanted {
                whose,
                domains: vec![domain],
                client: IPV4_ONLY,
            }),
        }
    }
    own_transport::fit(case, wanted, soon)
}

/// Says why mail to these providers is sent so, a sentence each.
#[must_use]
pub fn reasons(providers: &[&Provider], facts: &Facts) -> Vec<String> {
    let paces = || providers.iter().filter_map(|one| Some((one, one.pace()?)));
    let takes = paces().map(|(provider, limits)| {
        format!(
            "mailfix.toml says `pace = \"gentle\"` for {}: {} takes {} ({}, {})",
            provider.id,
            provider.name,
            limits.in_words(),
            limits.source,
            limits.date
        )
    });
    let mut reasons: Vec<String> = takes.collect();
    reasons.push(
        "Postfix's own limits count each domain for itself, so such a client runs no more often than its receiver takes connections, and keeps none open for the next message"
            .to_owned(),
    );
    let pauses = paces().any(|(_, limits)| limits.delay.is_some());
    if pauses && !own_transport::pauses_for_all(facts) {
        reasons.push(format!(
            "Postfix {} can pause only between two deliveries to one domain",
            facts.version
        ));
    }
    let anew = if pauses {
        ", and each pause begins anew"
    } else {
        ""
    };
    reasons.push(format!(
        "with each `postfix reload` clients at work finish beside new ones{anew}: no mail is lost, but reload seldom while it is put off"
    ));
    reasons
}
