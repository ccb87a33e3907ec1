//! Name the domains a provider hosts among those whose mail takes IPv4.
//!
//! A transport table goes by recipient domain, so it needs the names that the DNS reply filter
//! gets by without. They are looked for on the host; a domain counts as hosted if every one of
//! its mail hosts is the provider's. What nobody could say changes nothing: a domain that is
//! listed stays, another one is not added.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Finding;
use crate::host::{Destination, Destinations, Facts, MailHosts, Seen};
use crate::provider::Provider;
use crate::remedy::own_transport::own_domain;
use crate::remedy::{Case, Contribution};

/// How many names are shown where there may be very many.
const SHOWN: usize = 5;

/// The domains to list, and what is said about them.
#[derive(Clone, Debug, Default)]
pub struct Hosted {
    domains: BTreeMap<String, Vec<String>>,
    /// Outcome, reasons and findings; it adds nothing to main.cf and master.cf.
    pub contribution: Contribution,
}

impl Hosted {
    /// The domains that a provider hosts, in the order of the alphabet.
    #[must_use]
    pub fn of(&self, provider: &Provider) -> Vec<String> {
        self.domains.get(&provider.id).cloned().unwrap_or_default()
    }
}

/// The domains that may come to be listed: the ways of their mail have to be known.
#[must_use]
pub fn candidates(providers: &[Provider], destinations: &Destinations) -> BTreeSet<String> {
    let may_be = |destination: &Destination| {
        let is_hosted = |provider: &Provider| {
            let verdict = destination.hosts.are_all_below(&provider.mx_suffixes);
            verdict.unwrap_or(destination.seen.contains(&Seen::Own))
        };
        destination.seen.contains(&Seen::Declared) || providers.iter().any(is_hosted)
    };
    let all = destinations.domains.iter();
    all.filter(|(_, destination)| may_be(destination))
        .map(|(domain, _)| domain.clone())
        .collect()
}

/// Sorts the domains mail goes to.
#[must_use]
pub fn find(case: &Case<'_>) -> Hosted {
    let mut sorted = Sorted::default();
    let mut domains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let nothing = Destinations::default();
    let destinations = case.facts.destinations.as_ref().unwrap_or(&nothing);
    let mut taken = BTreeSet::new();
    for provider in case.providers {
        let declared = case.site.wish(&provider.id).hosted_domains;
        let mut list: Vec<String> = Vec::new();
        for domain in &declared {
            let hosts = destinations.domains.get(domain).map(|one| &one.hosts);
            let is_own = sorted.is_own(domain, case.facts, provider, true);
            if !is_own && taken.insert(domain.clone()) {
                let moved = hosts.and_then(|hosts| hosts.are_all_below(&provider.mx_suffixes));
                if moved == Some(false) {
                    sorted.findings.push(elsewhere(domain, provider, hosts));
                }
                list.push(domain.clone());
            }
        }
        for (domain, destination) in &destinations.domains {
            if provider.domains.contains(domain) || taken.contains(domain) {
                continue;
            }
            let was_listed = destination.seen.contains(&Seen::Own);
            match destination.hosts.are_all_below(&provider.mx_suffixes) {
                Some(true) => {
                    if sorted.is_own(domain, case.facts, provider, false) {
                        continue;
                    }
                    if case.facts.routes.domains.contains_key(domain) {
                        sorted.routed.push(domain.clone());
                        continue;
                    }
                    if !was_listed && !case.facts.routes.own_unread.is_empty() {
                        sorted.unsure.insert(domain.clone());
                        continue;
                    }
                }
                None if was_listed => sorted.kept.push(domain.clone()),
                None => {
                    sorted.unknown.insert(domain.clone());
                    continue;
                }
                Some(false) => {
                    if was_listed {
                        sorted.gone.insert(domain.clone());
                    }
                    continue;
                }
            }
            taken.insert(domain.clone());
            list.push(domain.clone());
        }
        list.sort();
        sorted.hosted.push((provider.name.clone(), list.len()));
        domains.insert(provider.id.clone(), list);
    }
    // What one provider has let go another may host, or be a domain of its own.
    sorted.gone.retain(|domain| {
        let is_provider = |one: &&Provider| one.domains.contains(domain);
        !taken.contains(domain) && !case.providers.iter().any(is_provider)
    });
    Hosted {
        domains,
        contribution: sorted.into_words(case.facts.destinations.as_ref()),
    }
}

/// What became of the domains, for the words about it.
#[derive(Default)]
struct Sorted {
    /// How many are listed, by provider's name.
    hosted: Vec<(String, usize)>,
    /// Listed before, and nobody could say whether they still should be.
    kept: Vec<String>,
    /// Listed before, and hosted elsewhere now.
    gone: BTreeSet<String>,
    /// Not listed, and nobody could say whether they should be.
    unknown: BTreeSet<String>,
    /// Hosted, and perhaps in a list of this host's own domains that could not be read.
    unsure: BTreeSet<String>,
    /// Hosted, and an entry of the administrator's says where their mail goes.
    routed: Vec<String>,
    findings: Vec<Finding>,
}

impl Sorted {
    /// Tells whether the host delivers or relays mail of a domain itself, and says so.
    fn is_own(
        &mut self,
        domain: &str,
        facts: &Facts,
        provider: &Provider,
        is_declared: bool,
    ) -> bool {
        let Some(parameter) = facts.routes.own.get(domain) else {
            return false;
        };
        let finding = own_domain(domain, parameter, &provider.name, is_declared);
        self.findings.push(finding);
        true
    }

    fn into_words(self, destinations: Option<&Destinations>) -> Contribution {
        let listed: Vec<String> = self
            .hosted
            .iter()
            .map(|(name, count)| format!("listed: {} that {name} hosts", domains_in_words(*count)))
            .collect();
        let mut reasons = Vec::new();
        let mut findings = self.findings;
        if let Some(destinations) = destinations {
            reasons.push(counts(destinations));
            findings.extend(destinations.unread.iter().map(|(place, why)| {
                Finding::note(
                    "not-read",
                    format!("`{place}` was not searched for domains: {why}"),
                )
            }));
        }
        if !self.gone.is_empty() {
            reasons.push(format!(
                "no longer hosted there, and taken off: {}",
                named(self.gone.iter())
            ));
        }
        if !self.kept.is_empty() {
            reasons.push(format!(
                "DNS could not say who takes their mail, so they stay listed: {}",
                named(self.kept.iter())
            ));
        }
        if !self.unknown.is_empty() {
            reasons.push(format!(
                "DNS could not say who takes their mail, so they are not added: {}",
                named(self.unknown.iter())
            ));
        }
        if !self.unsure.is_empty() {
            reasons.push(format!(
                "a list of this host's own domains could not be read, so they are not added: {}",
                named(self.unsure.iter())
            ));
        }
        if !self.routed.is_empty() {
            reasons.push(format!(
                "entries of your own say where mail goes to {}, and win",
                named(self.routed.iter())
            ));
        }
        Contribution {
            outcome: listed.join(", "),
            reasons,
            findings,
            ..Contribution::default()
        }
    }
}

fn elsewhere(domain: &str, provider: &Provider, hosts: Option<&MailHosts>) -> Finding {
    let hosts = match hosts {
        Some(MailHosts::Known(hosts)) if !hosts.is_empty() => {
            format!("its mail hosts are {}", named(hosts.iter()))
        }
        _ => "DNS names no mail host of it".to_owned(),
    };
    Finding::warning(
        "not-hosted",
        format!(
            "mailfix.toml says that {} hosts `{domain}`, and DNS does not",
            provider.name
        ),
    )
    .because(format!("{hosts}; it is listed as you say"))
    .mend("take it out of `hosted_domains` if it has moved away")
}

/// Says how many domains were found where.
fn counts(destinations: &Destinations) -> String {
    let all = domains_in_words(destinations.domains.len());
    let mut places: BTreeMap<&Seen, usize> = BTreeMap::new();
    for seen in destinations.domains.values().flat_map(|one| &one.seen) {
        *places.entry(seen).or_default() += 1;
    }
    let parts: Vec<String> = places
        .into_iter()
        .map(|(seen, number)| match seen {
            Seen::Own => format!("{number} listed before"),
            Seen::Declared => format!("{number} in mailfix.toml"),
            Seen::Forward(table) => format!("{number} in `{table}`"),
            Seen::Log(path) => format!("{number} in `{path}`"),
        })
        .collect();
    if parts.is_empty() {
        return "no domain that mail goes to was found on this host".to_owned();
    }
    format!("looked at {all} that mail goes to: {}", parts.join(", "))
}

fn domains_in_words(number: usize) -> String {
    let noun = if number == 1 { "domain" } else { "domains" };
    format!("{number} {noun}")
}

/// Names a few of many.
fn named<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::host::{Route, ask_mail_hosts, example};
    use crate::profile::Profile;
    use crate::site::Site;
    use camino::Utf8Path;

    const ZONE: &str = "\
one.example. 60 IN MX 1 aspmx.l.google.com.
two.example. 60 IN MX 1 ALT1.aspmx.l.google.COM.
two.example. 60 IN MX 5 aspmx2.googlemail.com.
mixed.example. 60 IN MX 1 aspmx.l.google.com.
mixed.example. 60 IN MX 9 mx.mixed.example.
away.example. 60 IN MX 1 mx.notgoogle.com.
gmail.com. 60 IN MX 1 gmail-smtp-in.l.google.com.
$SERVFAIL broken.example.
$SERVFAIL silent.example.
";

    /// Declared domains, those listed before, those in a table, and lines of main.cf.
    fn hosted(
        declared: &[&str],
        own: &[&str],
        forwarded: &[&str],
        edit: impl Fn(&mut Facts),
    ) -> Hosted {
        let text = format!(
            "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"9.9.9.9\"]\n[[domain]]\nname = \"example.org\"\n[providers.google]\nhosted_domains = {declared:?}\n"
        );
        let site = Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap();
        let mut facts = example::host("2.11.6", "", "").facts;
        let mut destinations = Destinations::default();
        let forward = Seen::Forward("hash:/etc/postfix/virtual".to_owned());
        for (domains, seen) in [
            (own, Seen::Own),
            (declared, Seen::Declared),
            (forwarded, forward),
        ] {
            for domain in domains {
                destinations
                    .domains
                    .entry((*domain).to_owned())
                    .or_insert_with(|| Destination {
                        seen: BTreeSet::new(),
                        hosts: MailHosts::Unknown(String::new()),
                    })
                    .seen
                    .insert(seen.clone());
            }
        }
        ask_mail_hosts(&FixedResolver::from_zone(ZONE).unwrap(), &mut destinations);
        facts.destinations = Some(destinations);
        edit(&mut facts);
        let providers = Provider::demanding();
        let google = providers.iter().find(|one| one.id == "google").unwrap();
        find(&Case {
            providers: &[google],
            site: &site,
            profile: &Profile::built_in("linux").unwrap(),
            facts: &facts,
        })
    }

    #[track_caller]
    fn check(hosted: &Hosted, domains: &[&str], reasons: &[&str], findings: &[&str]) {
        let listed: Vec<&String> = hosted.domains["google"].iter().collect();
        assert_eq!(listed, domains);
        let said = hosted.contribution.reasons.iter().skip(1);
        assert_eq!(said.collect::<Vec<_>>(), reasons);
        let found = hosted.contribution.findings.iter().map(|one| one.code);
        assert_eq!(found.collect::<Vec<_>>(), findings);
    }

    #[test]
    fn a_domain_is_listed_if_all_its_mail_hosts_are_the_providers() {
        let all = [
            "one.example",
            "two.example",
            "mixed.example",
            "away.example",
            "absent.example",
            "gmail.com",
        ];
        let hosted = hosted(&[], &["gmail.com"], &all, |_| ());
        check(&hosted, &["one.example", "two.example"], &[], &[]);
        assert_eq!(
            hosted.contribution.outcome,
            "listed: 2 domains that Google hosts"
        );
        assert_eq!(
            hosted.contribution.reasons,
            [
                "looked at 6 domains that mail goes to: 1 listed before, 6 in `hash:/etc/postfix/virtual`"
            ]
        );
    }

    #[test]
    fn what_moved_away_goes_and_what_nobody_knows_stays_as_it_is() {
        let hosted = hosted(
            &[],
            &["one.example", "away.example", "broken.example"],
            &["broken.example", "silent.example"],
            |_| (),
        );
        check(
            &hosted,
            &["broken.example", "one.example"],
            &[
                "no longer hosted there, and taken off: `away.example`",
                "DNS could not say who takes their mail, so they stay listed: `broken.example`",
                "DNS could not say who takes their mail, so they are not added: `silent.example`",
            ],
            &[],
        );
    }

    #[test]
    fn the_operators_word_counts_and_is_questioned() {
        let hosted = hosted(
            &["away.example", "one.example", "silent.example"],
            &[],
            &[],
            |_| (),
        );
        check(
            &hosted,
            &["away.example", "one.example", "silent.example"],
            &[],
            &["not-hosted"],
        );
        let finding = &hosted.contribution.findings[0];
        assert_eq!(
            finding.why.as_deref(),
            Some("its mail hosts are `mx.notgoogle.com`; it is listed as you say")
        );
    }

    #[test]
    fn mail_that_the_host_or_the_administrator_takes_care_of_is_left_alone() {
        let edit = |facts: &mut Facts| {
            for domain in ["one.example", "away.example"] {
                let entry = (domain.to_owned(), "mydestination".to_owned());
                facts.routes.own.extend([entry]);
            }
            let route = Route {
                table: "hash:/etc/postfix/transport".to_owned(),
                key: "two.example".to_owned(),
                value: "relay:[mx]".to_owned(),
            };
            facts.routes.domains.insert("two.example".to_owned(), route);
        };
        let found = hosted(&[], &[], &["one.example", "two.example"], edit);
        check(
            &found,
            &[],
            &["entries of your own say where mail goes to `two.example`, and win"],
            &["own-domain"],
        );
        // A domain that is declared is routed by what the other remedy knows of routes.
        let found = hosted(&["away.example", "two.example"], &[], &[], edit);
        check(&found, &["two.example"], &[], &["own-domain"]);
    }

    #[test]
    fn nothing_new_is_listed_where_a_list_of_own_domains_cannot_be_read() {
        let edit = |facts: &mut Facts| {
            facts.routes.own_unread.insert("/etc/domains".to_owned());
        };
        let found = hosted(&[], &["two.example"], &["one.example"], edit);
        check(
            &found,
            &["two.example"],
            &[
                "a list of this host's own domains could not be read, so they are not added: `one.example`",
            ],
            &[],
        );
        let found = hosted(&["one.example"], &[], &[], edit);
        check(&found, &["one.example"], &[], &[]);
    }

    #[test]
    fn only_what_may_be_listed_is_looked_at_further() {
        let mut destinations = Destinations::default();
        for (domain, seen, hosts) in [
            ("a.example", Seen::Own, None),
            ("b.example", Seen::Forward(String::new()), None),
            ("c.example", Seen::Declared, None),
            ("d.example", Seen::Own, Some("mx.d.example")),
            (
                "e.example",
                Seen::Forward(String::new()),
                Some("x.google.com"),
            ),
        ] {
            let hosts = match hosts {
                Some(host) => MailHosts::Known(vec![host.to_owned()]),
                None => MailHosts::Unknown(String::new()),
            };
            let seen = BTreeSet::from([seen]);
            let destination = Destination { seen, hosts };
            destinations.domains.insert(domain.to_owned(), destination);
        }
        let found = candidates(&Provider::demanding(), &destinations);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["a.example", "c.example", "e.example"]);
    }
}
