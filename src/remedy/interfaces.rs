//! The interfaces that an smtp(8) client without IPv6 may be told of.
//!
//! Owns one rule: an IPv6 address in `inet_interfaces` or `proxy_interfaces` ends such a client
//! when it starts (`config variable inet_interfaces: host not found`). Must not know the remedies.

use std::net::Ipv6Addr;

use crate::host::Facts;
use crate::postfix::{Service, split_list};

/// The parameters, with what stands for "none of these".
const PARAMETERS: [(&str, &str); 2] = [("inet_interfaces", "all"), ("proxy_interfaces", "")];

/// The options that leave the IPv4 members of the interfaces only; none where no member is IPv6.
///
/// The values are those that a service has, or would have.
pub(super) fn ipv4_interfaces(service: Option<&Service>, facts: &Facts) -> Vec<(String, String)> {
    let options = PARAMETERS.iter().filter_map(|(name, none)| {
        let value = match service.and_then(|service| service.option(name)) {
            Some(own) => facts.parameters.expand(own),
            None => facts.parameters.get(name),
        };
        let members = ipv4_members(&split_list(&value), none)?;
        Some(((*name).to_owned(), members))
    });
    options.collect()
}

/// The IPv4 members of a list of interfaces, if it names an IPv6 address; `none` where nothing is left.
fn ipv4_members(list: &[String], none: &str) -> Option<String> {
    let is_ipv6 = |word: &String| word.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok();
    if !list.iter().any(is_ipv6) {
        return None;
    }
    let rest: Vec<&str> = list
        .iter()
        .filter(|word| !is_ipv6(word))
        .map(String::as_str)
        .collect();
    Some(if rest.is_empty() {
        none.to_owned()
    } else {
        rest.join(",")
    })
}
