//! The addresses that mail leaves from.
//!
//! Owns what main.cf, master.cf, the site file and the interfaces say of them together.
//! Must not know what DNS says.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::address::Scope;
use crate::finding::Finding;
use crate::host::{Facts, Origin};
use crate::postfix::split_list;
use crate::provider::Provider;
use crate::site::Site;

/// The IPv6 addresses mail can leave from, or why it cannot leave over IPv6.
///
/// # Errors
/// With the reason, when IPv6 is out of use.
pub fn ipv6_sources(site: &Site, facts: &Facts) -> Result<BTreeSet<IpAddr>, String> {
    // An option of the service wins over main.cf, in both directions (master(5)).
    let own = facts.of_client("inet_protocols");
    if !protocols(&own).contains("ipv6") {
        let has_option = facts
            .client()
            .is_some_and(|client| client.option("inet_protocols").is_some());
        return Err(if has_option {
            format!(
                "the `{}` service has `-o inet_protocols={own}`: mail goes over IPv4 only",
                facts.default_transport()
            )
        } else {
            "`inet_protocols` leaves IPv6 out: mail goes over IPv4 only".to_owned()
        });
    }
    if let Some(address) = bound(facts) {
        return Ok(BTreeSet::from([address]));
    }
    let listed = site.server.ipv6.iter().map(|&address| IpAddr::V6(address));
    let found = facts.addresses.iter().copied().filter(|address| {
        address.is_ipv6() && (site.allow_non_global || Scope::of(*address).is_global())
    });
    let sources: BTreeSet<IpAddr> = listed.chain(found).collect();
    if sources.is_empty() {
        return Err("this host has no IPv6 address: mail goes over IPv4 only".to_owned());
    }
    Ok(sources)
}

/// The IPv4 addresses mail can leave from; empty where none is known.
#[must_use]
pub fn ipv4_sources(site: &Site, facts: &Facts) -> BTreeSet<IpAddr> {
    if let Ok(bound) = facts.of_client("smtp_bind_address").parse::<IpAddr>() {
        return BTreeSet::from([bound]);
    }
    // Behind a translator only the person knows the address that the world sees.
    let listed: BTreeSet<IpAddr> = site.server.ipv4.iter().map(|&ip| IpAddr::V4(ip)).collect();
    if !listed.is_empty() {
        return listed;
    }
    let found = facts.addresses.iter().copied().filter(|address| {
        address.is_ipv4() && (site.allow_non_global || Scope::of(*address).is_global())
    });
    found.collect()
}

/// Tells of each provider that may refuse mail over IPv4 as well, so that a cure which sends it
/// there is none.
pub(super) fn ipv4_doubtful(providers: &[&Provider], site: &Site, facts: &Facts) -> Vec<Finding> {
    let sources = ipv4_sources(site, facts);
    let doubt = |provider: &&Provider| {
        let demand = provider.demands.ipv4.as_ref()?;
        let faults: Vec<String> = sources
            .iter()
            .flat_map(|&address| facts.dns.faults(address, demand.ptr, demand.authentication))
            .collect();
        (!faults.is_empty()).then(|| {
            Finding::warning(
                "ipv4-doubtful",
                format!("{} may refuse mail over IPv4 too: {}", provider.name, faults.join(", ")),
            )
            .because(demand.why.clone())
            .mend("publish the records that `mailfix dns show` prints, or ask for them who controls the zones")
        })
    };
    providers.iter().filter_map(doubt).collect()
}

/// The IPv6 address that all mail leaves from, where one is set.
fn bound(facts: &Facts) -> Option<IpAddr> {
    let address = |word: &str| word.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if let Some(bound) = address(&facts.of_client("smtp_bind_address6")) {
        return Some(bound);
    }
    // postconf(5): a single IPv6 address among the interfaces is bound to by itself, unless it
    // is a loopback one. What a name stands for is not known here.
    let interfaces: Option<Vec<IpAddr>> = split_list(&facts.of_client("inet_interfaces"))
        .iter()
        .map(|word| address(word))
        .collect();
    let mut ipv6 = interfaces?.into_iter().filter(IpAddr::is_ipv6);
    match (ipv6.next(), ipv6.next()) {
        (Some(only), None) if !only.is_loopback() => Some(only),
        _ => None,
    }
}

/// Tells that mail is bound to an address that this host does not have.
#[must_use]
pub fn bound_elsewhere(facts: &Facts) -> Option<Finding> {
    let address = bound(facts)?;
    let is_seen = matches!(facts.origin, Origin::Machine | Origin::Collected);
    if !is_seen || facts.addresses.contains(&address) {
        return None;
    }
    let enforced = facts.of_client("smtp_bind_address_enforce") == "yes";
    Some(
        Finding::error(
            "bound-elsewhere",
            format!("mail is to leave from {address}, an address that this host does not have"),
        )
        .because(if enforced {
            "with `smtp_bind_address_enforce = yes` mail goes over IPv4, and to receivers that have IPv6 only it waits"
        } else {
            "Postfix warns of it in the log and lets the mail leave from any other address"
        })
        .mend("give the host that address, or take `smtp_bind_address6` away"),
    )
}

fn protocols(value: &str) -> BTreeSet<&str> {
    let mut protocols: BTreeSet<&str> = value
        .split([',', ' ', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    if protocols.contains("all") {
        protocols.extend(["ipv4", "ipv6"]);
    }
    protocols
}

pub(super) fn has_ipv4(site: &Site, facts: &Facts) -> bool {
    let name = "inet_protocols";
    let usable = [facts.parameters.get(name), facts.of_client(name)]
        .iter()
        .any(|value| protocols(value).contains("ipv4"));
    usable && (!site.server.ipv4.is_empty() || facts.addresses.iter().any(IpAddr::is_ipv4))
}
