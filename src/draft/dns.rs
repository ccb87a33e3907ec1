//! What a draft asks of DNS.
//!
//! Owns which addresses, domains and keys are asked about. Must not know what follows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::dns::Resolver;
use crate::host::{self, DnsFacts, Facts, Published, observe_dns};
use crate::site::{SignerWish, Site};
use crate::target;

/// Asks whether the keys are published that a signer shall sign with.
pub(super) fn ask_keys(
    resolver: &dyn Resolver,
    site: &Site,
    facts: &Facts,
) -> BTreeMap<(String, String), Published> {
    let (Some(dkim), Some(signing)) = (&site.dkim, &facts.signing) else {
        return BTreeMap::new();
    };
    if !matches!(dkim.signer, Some(SignerWish::SetUp(_))) {
        return BTreeMap::new();
    }
    let record = |file| signing.keys.get(file)?.clone().ok();
    let keys: Vec<_> = dkim
        .keys()
        .filter_map(|(selector, file)| Some((selector.to_owned(), record(file)?)))
        .collect();
    host::observe_keys(resolver, &keys, &site.domains)
}

/// Asks about the addresses mail leaves from, where it leaves over IPv6 at all.
pub(super) fn ask_dns(resolver: &dyn Resolver, site: &Site, facts: &Facts) -> DnsFacts {
    if target::ipv6_sources(site, facts).is_err() {
        return DnsFacts::default();
    }
    observe_dns(resolver, &sources(site, facts), &site.domains)
}

/// The addresses mail leaves from. Over IPv4 the same is often demanded as over IPv6, and that is
/// where a cure sends mail.
pub(super) fn sources(site: &Site, facts: &Facts) -> Vec<IpAddr> {
    let sources = target::ipv6_sources(site, facts).unwrap_or_default();
    let instead = target::ipv4_sources(site, facts);
    sources.into_iter().chain(instead).collect()
}
