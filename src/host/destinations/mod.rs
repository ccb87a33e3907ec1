//! The domains mail goes to, and the hosts that take it there.
//!
//! Owns where they are looked for: our own transport table, what the operator declares, the
//! tables that forward mail, the mail log. What cannot be read is said, and all is bounded:
//! a log of years and a table of millions cost no more than a part of them.
//! Must not know which of the hosts matter to whom.

pub(super) mod forwards;
pub(super) mod log;
mod mail_hosts;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use crate::dns::Name;
use crate::host::Facts;
use crate::system::System;

pub(super) use mail_hosts::ask_each;
pub use mail_hosts::{MailHosts, ask_mail_hosts};

/// Most domains looked at: what a resolver answers within the time a command may take.
const MOST: usize = 10_000;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Domains the operator names.
    pub declared: Vec<String>,
    /// Files that the mail log may be in, beside the one that main.cf names.
    pub logs: Vec<Utf8PathBuf>,
}

/// The domains mail goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// By name, in lower case.
    pub domains: BTreeMap<String, Destination>,
    /// Places that were not read, or not wholly, and why.
    pub unread: Vec<(String, String)>,
}

/// One domain mail goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it was found.
    pub seen: BTreeSet<Seen>,
    /// The hosts that take its mail.
    pub hosts: MailHosts,
}

/// Where a domain was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// In our own transport table, since an earlier run.
    Own,
    /// The operator names it.
    Declared,
    /// A table that forwards mail sends some there.
    Forward(String),
    /// The log tells of mail sent there.
    Log(Utf8PathBuf),
}

impl Destinations {
    /// Tells whether DNS was asked, and said nothing of any domain.
    #[must_use]
    pub fn are_all_unknown(&self) -> bool {
        let is_unknown = |one: &Destination| matches!(one.hosts, MailHosts::Unknown(_));
        !self.domains.is_empty() && self.domains.values().all(is_unknown)
    }

    fn add(&mut self, domain: String, seen: Seen) -> bool {
        if !self.domains.contains_key(&domain) && self.domains.len() >= MOST {
            return false;
        }
        self.domains
            .entry(domain)
            .or_insert_with(|| Destination {
                seen: BTreeSet::new(),
                hosts: MailHosts::Unknown("nobody was asked".to_owned()),
            })
            .seen
            .insert(seen);
        true
    }

    fn pass_over(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.unread.push((place.into(), why.into()));
    }
}

/// Looks for the domains mail goes to; who takes it there is not asked yet.
///
/// What is most certain comes first, so that a limit cuts off the least.
#[must_use]
pub fn observe(system: &dyn System, facts: &Facts, places: &Places) -> Destinations {
    let mut found = Destinations::default();
    for domain in facts.own.transport.keys().filter_map(|key| domain(key)) {
        found.add(domain, Seen::Own);
    }
    for name in &places.declared {
        found.add(name.clone(), Seen::Declared);
    }
    forwards::look(system, facts, &mut found);
    log::look(system, facts, &places.logs, &mut found);
    found
}

/// Reads a domain as mail addresses and tables have it; `None` for what DNS cannot be asked for
/// or is an address.
pub(super) fn domain(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let name: Name = text.parse().ok()?;
    let is_full = text.contains('.') && name.is_host_name();
    is_full.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::system::MemorySystem;

    #[test]
    fn domains_are_told_from_what_is_none() {
        for (text, expected) in [
            ("Example.ORG", Some("example.org")),
            ("example.org.", Some("example.org")),
            ("a-b.xn--p1ai", Some("a-b.xn--p1ai")),
            ("localhost", None),
            ("192.0.2.1", None),
            ("[192.0.2.1]", None),
            ("", None),
            ("a..b", None),
            ("-a.example", None),
            (".example.org", None),
            ("ex\u{e4}mple.org", None),
            ("a b.example", None),
            ("a\\.example", None),
        ] {
            assert_eq!(domain(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_place_is_remembered() {
        let mut host = example::host(
            "2.11.6",
            "alias_maps =\nvirtual_alias_maps = inline:{a=b@one.example}",
            "",
        );
        for key in ["gmail.com", "One.example", "user@x"] {
            let entry = (key.to_owned(), "smtp-ipv4:".to_owned());
            host.facts.own.transport.extend([entry]);
        }
        let system = MemorySystem::new().file(
            "/var/log/mail.log",
            "Nov 25 10:00:00 mx postfix/smtp[9]: A1: to=<x@one.example>, relay=a, status=sent (ok)\n",
        );
        let places = Places {
            declared: vec!["two.example".to_owned()],
            logs: vec!["/var/log/mail.log".into(), "/var/log/maillog".into()],
        };
        let found = observe(&system, &host.facts, &places);
        let shown: Vec<String> = found
            .domains
            .iter()
            .map(|(domain, one)| format!("{domain} {:?}", one.seen))
            .collect();
        assert_eq!(
            shown,
            [
                "gmail.com {Own}",
                "one.example {Own, Forward(\"inline:{a=b@one.example}\"), Log(\"/var/log/mail.log\")}",
                "two.example {Declared}",
            ]
        );
        assert_eq!(found.unread, []);
        assert!(found.are_all_unknown() && !Destinations::default().are_all_unknown());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut found = Destinations::default();
        for number in 0..MOST {
            assert!(found.add(format!("d{number}.example"), Seen::Declared));
        }
        assert!(!found.add("more.example".to_owned(), Seen::Declared));
        assert!(found.add("d7.example".to_owned(), Seen::Own));
        assert_eq!(found.domains.len(), MOST);
    }
}
