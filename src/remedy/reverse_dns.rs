//! Publish what receivers ask for: PTR, A and AAAA that confirm each other, and SPF.
//!
//! Changes nothing on the host, so it adds nothing to the target. It is the cure itself;
//! the others are for the time until it works.

use std::net::IpAddr;

use crate::host::{Facts, Origin};
use crate::remedy::{Case, Contribution, Fit};
use crate::site::{Control, Site};
use crate::target::ipv6_sources;

/// Says what has to be published and by whom, or that nobody can.
///
/// # Errors
/// None; the type is that of all remedies.
pub fn fit(case: &Case<'_>) -> Fit {
    let Case { site, facts, .. } = *case;
    let sources = match ipv6_sources(site, facts) {
        Ok(sources) => sources,
        Err(why) => return Ok(Err(why)),
    };
    let objections = |address: IpAddr| facts.dns.objections(address, true, true);
    let wrong: Vec<IpAddr> = sources
        .into_iter()
        .filter(|&address| !objections(address).is_empty())
        .collect();
    if without_ptr(&wrong, facts).any(|address| site.reverse_control(address) == Control::None) {
        return Ok(Err(NOBODY.to_owned()));
    }
    let mut contribution = Contribution::default();
    if wrong.is_empty() {
        "the records are right".clone_into(&mut contribution.outcome);
    } else {
        "records to publish".clone_into(&mut contribution.outcome);
        for &address in &wrong {
            contribution.reasons.extend(objections(address));
        }
        contribution.reasons.push(outlook(site, &wrong, facts));
    }
    Ok(Ok(contribution))
}

const NOBODY: &str =
    "nobody here can set that PTR record (`reverse6 = \"none\"`), so IPv4 is the way to stay";

fn without_ptr<'a>(
    addresses: &'a [IpAddr],
    facts: &'a Facts,
) -> impl Iterator<Item = IpAddr> + use<'a> {
    addresses
        .iter()
        .copied()
        .filter(|&address| !facts.dns.objections(address, true, false).is_empty())
}

/// Says what would make a cure unnecessary, or that nothing will.
pub(crate) fn outlook(site: &Site, addresses: &[IpAddr], facts: &Facts) -> String {
    let controls: Vec<Control> = without_ptr(addresses, facts)
        .map(|address| site.reverse_control(address))
        .collect();
    let again = match facts.origin {
        Origin::Stock => "",
        Origin::Machine | Origin::Tree | Origin::Collected => "; then run `mailfix plan` again",
    };
    if controls.contains(&Control::None) {
        NOBODY.to_owned()
    } else if controls.contains(&Control::Provider) {
        format!(
            "ask the provider of the address for the PTR record that `mailfix dns show` prints{again}"
        )
    } else {
        format!("publish the records that `mailfix dns show` prints{again}")
    }
}
