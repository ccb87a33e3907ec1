//! Domains that are this host's own: Postfix delivers or relays their mail by itself.
//!
//! Owns the questions put to the lists of domains, asked as Postfix asks: the first item that
//! matches decides. A transport entry would win over all of them (transport(5)), so mail for
//! such a domain would leave the host it belongs to.
//! Follows `ADDRESS_CLASS_README`.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::routes::ask;
use super::{HostError, Parameters};
use crate::postfix::Engine;
use crate::system::System;

/// The parameters that list domains of the host, whatever it does with their mail.
pub(super) const LISTS: [&str; 4] = [
    "mydestination",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
    "relay_domains",
];

/// Says which of the domains are the host's own, with the parameter that lists each; a list that
/// cannot be read is added to `unanswered`.
pub(super) fn observe(
    system: &dyn System,
    config: &Utf8Path,
    parameters: &Parameters,
    domains: &BTreeSet<String>,
    unanswered: &mut Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, HostError> {
    let mut own = BTreeMap::new();
    if domains.is_empty() {
        return Ok(own);
    }
    for name in LISTS {
        let below = parameters
            .list("parent_domain_matches_subdomains")
            .iter()
            .any(|list| list == name);
        let mut open: Vec<&String> = domains
            .iter()
            .filter(|domain| !own.contains_key(*domain))
            .collect();
        for item in parameters.list(name) {
            let (item, is_out) = match item.strip_prefix('!') {
                Some(rest) => (rest.to_owned(), true),
                None => (item, false),
            };
            let matching: BTreeSet<String> = if item.starts_with('/') {
                let bytes = match system.read(Utf8Path::new(&item)) {
                    Ok(Some(file)) => file.bytes,
                    Ok(None) => {
                        unanswered.push((item, "it does not exist".to_owned()));
                        continue;
                    }
                    Err(error) => {
                        unanswered.push((item, error.to_string()));
                        continue;
                    }
                };
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let is_listed = |domain: &&&String| {
                    text.split_whitespace()
                        .any(|pattern| matches(pattern, domain, below))
                };
                open.iter()
                    .filter(is_listed)
                    .map(|&domain| domain.clone())
                    .collect()
            } else if item.contains(':') {
                let upward = below && !has_patterns(&item);
                let keys: BTreeSet<&str> = domains
                    .iter()
                    .flat_map(|domain| keys_of(domain, upward))
                    .collect();
                let keys: Vec<String> = keys.into_iter().map(ToOwned::to_owned).collect();
                let found = ask(system, config, &item, &keys, unanswered)?;
                let is_listed =
                    |domain: &&&String| keys_of(domain, upward).any(|key| found.contains_key(key));
                open.iter()
                    .filter(is_listed)
                    .map(|&domain| domain.clone())
                    .collect()
            } else {
                let is_listed = |domain: &&&String| matches(&item, domain, below);
                open.iter()
                    .filter(is_listed)
                    .map(|&domain| domain.clone())
                    .collect()
            };
            open.retain(|domain| {
                let matched = matching.contains(*domain);
                if matched && !is_out {
                    own.insert((*domain).clone(), name.to_owned());
                }
                !matched
            });
        }
    }
    Ok(own)
}

/// Tells whether a table holds patterns: Postfix asks such a one for whole names only.
fn has_patterns(table: &str) -> bool {
    let direct = table.strip_prefix("proxy:").unwrap_or(table);
    let kind = direct.split(':').next().unwrap_or_default();
    Engine::parse(kind).is_some()
}

/// The keys that a table is asked for because of a domain, its parents among them if `upward`.
fn keys_of(domain: &str, upward: bool) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), move |name| {
        let (_, parent) = name.split_once('.')?;
        upward.then_some(parent)
    })
}

fn matches(pattern: &str, domain: &str, below: bool) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    if pattern == domain {
        return true;
    }
    let parent = if below {
        format!(".{pattern}")
    } else {
        pattern
    };
    parent.starts_with('.') && domain.ends_with(&parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Output, Query};

    const CONFIG: &str = "/etc/postfix";

    /// Parameters, and the domains of the three asked about that are the host's own.
    #[track_caller]
    fn check(set: &[(&str, &str)], expected: &[(&str, &str)]) {
        let names = ["a.example", "b.example", "sub.a.example"];
        let domains: BTreeSet<String> = names.map(str::to_owned).into();
        let query = |table: &str, keys: &[&str]| Query::Lookup {
            config: CONFIG.into(),
            table: table.to_owned(),
            keys: keys.iter().map(ToString::to_string).collect(),
        };
        let upward = ["a.example", "b.example", "example", "sub.a.example"];
        let answer = |stdout: &str| Output {
            status: 1,
            stdout: stdout.into(),
            stderr: Vec::new(),
        };
        let system = MemorySystem::new()
            .file("/etc/domains", "x.example\nA.example\n")
            .answer(query("hash:/v", &names), answer("b.example\tanything\n"))
            .answer(query("hash:/r", &names), answer("a.example\tanything\n"))
            .answer(query("hash:/r", &upward), answer("a.example\tanything\n"))
            .answer(query("pcre:/p", &names), answer("b.example\tanything\n"));
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let parameters = Parameters::new(set.iter().map(own));
        let mut unanswered = Vec::new();
        let found = observe(
            &system,
            CONFIG.into(),
            &parameters,
            &domains,
            &mut unanswered,
        );
        assert_eq!(unanswered, []);
        let expected: BTreeMap<String, String> = expected.iter().map(own).collect();
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn each_kind_of_list_is_asked() {
        let mine = ("mydestination", "localhost, A.example");
        check(&[], &[]);
        check(&[mine], &[("a.example", "mydestination")]);
        check(
            &[("virtual_mailbox_domains", "/etc/domains")],
            &[("a.example", "virtual_mailbox_domains")],
        );
        check(
            &[mine, ("virtual_alias_domains", "proxy:hash:/v")],
            &[
                ("a.example", "mydestination"),
                ("b.example", "virtual_alias_domains"),
            ],
        );
    }

    #[test]
    fn subdomains_match_as_the_configuration_says() {
        check(
            &[("relay_domains", "a.example")],
            &[("a.example", "relay_domains")],
        );
        check(
            &[("relay_domains", ".a.example")],
            &[("sub.a.example", "relay_domains")],
        );
        check(
            &[
                ("relay_domains", "a.example"),
                ("parent_domain_matches_subdomains", "relay_domains"),
            ],
            &[
                ("a.example", "relay_domains"),
                ("sub.a.example", "relay_domains"),
            ],
        );
    }

    #[test]
    fn tables_are_asked_for_the_parents_as_the_configuration_says() {
        let below = ("parent_domain_matches_subdomains", "relay_domains");
        let (parent, sub) = (
            ("a.example", "relay_domains"),
            ("sub.a.example", "relay_domains"),
        );
        check(&[("relay_domains", "hash:/r")], &[parent]);
        check(&[("relay_domains", "hash:/r"), below], &[parent, sub]);
        check(
            &[("relay_domains", "proxy:pcre:/p"), below],
            &[("b.example", "relay_domains")],
        );
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_empty() {
        let check = |value: &str, expected: &str| {
            let system = MemorySystem::new().directory("/etc/domains.d");
            let parameters = Parameters::new([("virtual_alias_domains".into(), value.into())]);
            let domains = ["a.example".to_owned()].into();
            let mut unanswered = Vec::new();
            let found = observe(
                &system,
                CONFIG.into(),
                &parameters,
                &domains,
                &mut unanswered,
            );
            assert_eq!(found.unwrap(), BTreeMap::new());
            let [(list, said)] = unanswered.as_slice() else {
                panic!("{unanswered:?}");
            };
            assert_eq!(format!("{list}: {said}"), expected);
        };
        check("/etc/none", "/etc/none: it does not exist");
        check(
            "!/etc/domains.d",
            "/etc/domains.d: `/etc/domains.d` is not a regular file",
        );
    }

    #[test]
    fn the_first_match_decides() {
        check(
            &[("mydestination", "!a.example, a.example, b.example")],
            &[("b.example", "mydestination")],
        );
    }
}
