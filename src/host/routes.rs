//! What decides the way of mail to a domain today.
//!
//! Owns the questions put to `transport_maps` and `smtp_dns_reply_filter`, asked
//! as Postfix asks: every key in all tables before the next key (transport(5)).
//! Must not know what the answers should be.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::classes;
use crate::host::{Facts, HostError, Interest, Parameters, is_own_table};
use crate::postfix::split_list;
use crate::system::{Query, System, SystemError};

/// A local part nobody has: it finds the patterns that match every address of a domain.
pub const ANYBODY: &str = "mailfix-asks-for-anybody";

/// The key of all that no other key finds.
const REST: &str = "*";

/// One table's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `type:name` as main.cf has it, expanded.
    pub table: String,
    /// The key that was found.
    pub key: String,
    /// What it gave.
    pub value: String,
}

/// The answers of the tables that are not ours.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// What wins for a domain, by domain.
    pub domains: BTreeMap<String, Route>,
    /// Domains of the host itself, with the parameter that lists each.
    pub own: BTreeMap<String, String>,
    /// Lists of such domains that could not be read: any domain may be in one of them.
    pub own_unread: BTreeSet<String>,
    /// What `*` gives.
    pub rest: Option<Route>,
    /// Suffixes of mail hosts whose AAAA records a filter of the administrator's drops.
    pub filtered: BTreeSet<String>,
    /// Tables and lists that could not be asked, with what was said.
    pub unanswered: Vec<(String, String)>,
}

/// The keys that tables can be asked for, whatever the configuration says of parents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Those of `transport_maps`.
    pub transport: Vec<String>,
    /// Those of `smtp_dns_reply_filter`.
    pub filter: Vec<String>,
    /// Those of `smtp_reply_filter`.
    pub replies: Vec<String>,
}

impl Questions {
    /// Lists what looking at a host with this interest may ask: who cannot look at it himself
    /// has it asked beforehand.
    #[must_use]
    pub fn of(interest: &Interest) -> Self {
        let mut transport = vec![REST.to_owned()];
        for domain in &interest.domains {
            transport.extend(keys_of(domain, false));
            transport.extend(keys_of(domain, true));
        }
        let mut seen = BTreeSet::new();
        transport.retain(|key| seen.insert(key.clone()));
        let samples = interest.suffixes.iter().map(|suffix| sample_of(suffix));
        Self {
            transport,
            filter: samples.collect(),
            replies: interest.replies.clone(),
        }
    }
}

pub(super) fn observe(
    system: &dyn System,
    config: &Utf8Path,
    parameters: &Parameters,
    interest: &Interest,
) -> Result<Routes, HostError> {
    let mut routes = Routes::default();
    ask_transports(system, config, parameters, &interest.domains, &mut routes)?;

    let samples: Vec<(String, String)> = interest
        .suffixes
        .iter()
        .map(|suffix| (suffix.clone(), sample_of(suffix)))
        .collect();
    let keys: Vec<String> = samples.iter().map(|(_, key)| key.clone()).collect();
    for table in foreign_tables(parameters, "smtp_dns_reply_filter", config) {
        let found = ask(system, config, &table, &keys, &mut routes.unanswered)?;
        for (suffix, key) in &samples {
            if found
                .get(key)
                .is_some_and(|action| action.eq_ignore_ascii_case("ignore"))
            {
                routes.filtered.insert(suffix.clone());
            }
        }
    }
    Ok(routes)
}

/// An address record of a mail host below the suffix, as a filter is asked about it.
fn sample_of(suffix: &str) -> String {
    format!("mx.{suffix}. 300 IN AAAA 2001:db8::1")
}

/// Asks about further domains, and whether any of them is the host's own.
pub(super) fn observe_further(
    system: &dyn System,
    facts: &mut Facts,
    domains: &BTreeSet<String>,
) -> Result<(), HostError> {
    let Facts {
        config,
        parameters,
        routes,
        ..
    } = facts;
    let new: Vec<String> = domains
        .iter()
        .filter(|domain| !routes.domains.contains_key(*domain))
        .cloned()
        .collect();
    let known = routes.unanswered.len();
    if !new.is_empty() {
        ask_transports(system, config, parameters, &new, routes)?;
    }
    let unanswered = &mut routes.unanswered;
    let before = unanswered.len();
    routes.own = classes::observe(system, config, parameters, domains, unanswered)?;
    let unread = unanswered.iter().skip(before);
    routes.own_unread = unread.map(|(list, _)| list.clone()).collect();
    // A table that gave no answer before gives none now.
    let mut seen = BTreeSet::new();
    let mut number = 0;
    routes.unanswered.retain(|(table, _)| {
        number += 1;
        seen.insert(table.clone()) || number <= known
    });
    Ok(())
}

/// Asks the administrator's transport tables about domains, and about all other mail.
fn ask_transports(
    system: &dyn System,
    config: &Utf8Path,
    parameters: &Parameters,
    domains: &[String],
    routes: &mut Routes,
) -> Result<(), HostError> {
    let exact = parameters
        .list("parent_domain_matches_subdomains")
        .iter()
        .any(|name| name == "transport_maps");
    let mut keys: Vec<String> = vec![REST.to_owned()];
    for domain in domains {
        keys.extend(keys_of(domain, exact));
    }
    let mut answers = Vec::new();
    for table in foreign_tables(parameters, "transport_maps", config) {
        let found = ask(system, config, &table, &keys, &mut routes.unanswered)?;
        answers.push((table, found));
    }
    let route = |key: &str| {
        answers.iter().find_map(|(table, found)| {
            let value = found.get(key)?;
            Some(Route {
                table: table.clone(),
                key: key.to_owned(),
                value: value.clone(),
            })
        })
    };
    routes.rest = route(REST);
    for domain in domains {
        if let Some(route) = keys_of(domain, exact).iter().find_map(|key| route(key)) {
            routes.domains.insert(domain.clone(), route);
        }
    }
    Ok(())
}

/// The keys transport(5) tries for an address of the domain, most specific first, without `*`.
fn keys_of(domain: &str, exact: bool) -> Vec<String> {
    let mut keys = vec![format!("{ANYBODY}@{domain}"), domain.to_owned()];
    let mut rest = domain;
    while let Some((_, parent)) = rest.split_once('.') {
        keys.push(if exact {
            parent.to_owned()
        } else {
            format!(".{parent}")
        });
        rest = parent;
    }
    keys
}

fn foreign_tables(parameters: &Parameters, name: &str, config: &Utf8Path) -> Vec<String> {
    split_list(&parameters.get(name))
        .into_iter()
        .filter(|table| !is_own_table(config, table))
        .collect()
}

/// Asks one table for keys; what cannot be asked is added to `unanswered`, with what was said.
pub(super) fn ask(
    system: &dyn System,
    config: &Utf8Path,
    table: &str,
    keys: &[String],
    unanswered: &mut Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, HostError> {
    // proxymap(8) only answers while the mail system runs; the table behind it can be asked itself.
    let direct = table.strip_prefix("proxy:").unwrap_or(table);
    let query = Query::Lookup {
        config: config.to_owned(),
        table: direct.to_owned(),
        keys: keys.to_vec(),
    };
    let output = match system.query(&query) {
        Ok(output) => output,
        Err(error @ (SystemError::Slow { .. } | SystemError::Run { .. })) => {
            unanswered.push((table.to_owned(), error.to_string()));
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error.into()),
    };
    // "Not found" ends with 1 too, and warnings may be about main.cf.
    if let Some((_, said)) = output
        .errors()
        .lines()
        .find_map(|line| line.split_once("fatal: "))
        .filter(|_| !output.success())
    {
        unanswered.push((table.to_owned(), said.to_owned()));
    }
    Ok(output
        .text()
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Output};

    const CONFIG: &str = "/etc/postfix";

    /// A machine whose tables give these lines, whatever of their keys is asked.
    fn system(tables: &[(&str, &str)], interest: &Interest, exact: bool) -> MemorySystem {
        let mut keys = vec!["*".to_owned()];
        keys.extend(
            interest
                .domains
                .iter()
                .flat_map(|name| keys_of(name, exact)),
        );
        let hosts: Vec<String> = interest
            .suffixes
            .iter()
            .map(|suffix| format!("mx.{suffix}. 300 IN AAAA 2001:db8::1"))
            .collect();
        let mut system = MemorySystem::new();
        for (table, text) in tables {
            for keys in [&keys, &hosts] {
                let query = Query::Lookup {
                    config: CONFIG.into(),
                    table: (*table).to_owned(),
                    keys: keys.clone(),
                };
                system = system.answer(query, output(1, text, ""));
            }
        }
        system
    }

    fn output(status: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            status,
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Parameters::new(pairs.iter().map(own))
    }

    fn interest(domains: &[&str], suffixes: &[&str]) -> Interest {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Interest {
            domains: own(domains),
            suffixes: own(suffixes),
            ..Interest::default()
        }
    }

    /// What wins for `mx.gmail.com`, and the rest, as `table key value`.
    #[track_caller]
    fn check(set: &[(&str, &str)], tables: &[(&str, &str)], expected: (&str, &str)) {
        let interest = interest(&["mx.gmail.com"], &[]);
        let exact = set
            .iter()
            .any(|(name, _)| *name == "parent_domain_matches_subdomains");
        let system = system(tables, &interest, exact);
        let routes = observe(&system, CONFIG.into(), &parameters(set), &interest).unwrap();
        let shown = |route: Option<&Route>| {
            route.map_or_else(String::new, |route| {
                format!("{} {} {}", route.table, route.key, route.value)
            })
        };
        let given = (
            shown(routes.domains.get("mx.gmail.com")),
            shown(routes.rest.as_ref()),
        );
        assert_eq!((given.0.as_str(), given.1.as_str()), expected);
        assert_eq!(routes.unanswered, []);
    }

    #[test]
    fn keys_come_most_specific_first() {
        assert_eq!(
            keys_of("mx.gmail.com", false),
            [
                "mailfix-asks-for-anybody@mx.gmail.com",
                "mx.gmail.com",
                ".gmail.com",
                ".com"
            ]
        );
        assert_eq!(
            keys_of("mx.gmail.com", true),
            [
                "mailfix-asks-for-anybody@mx.gmail.com",
                "mx.gmail.com",
                "gmail.com",
                "com"
            ]
        );
        assert_eq!(keys_of("localhost", false).len(), 2);
    }

    #[test]
    fn all_that_may_be_asked_is_known_beforehand() {
        let interest = interest(&["mx.gmail.com", "gmail.com"], &["google.com"]);
        let questions = Questions::of(&interest);
        for exact in [false, true] {
            for domain in &interest.domains {
                for key in keys_of(domain, exact) {
                    assert!(questions.transport.contains(&key), "{key}");
                }
            }
        }
        let once: BTreeSet<&String> = questions.transport.iter().collect();
        assert_eq!(once.len(), questions.transport.len());
        assert_eq!(questions.transport[0], "*");
        assert_eq!(questions.filter, ["mx.google.com. 300 IN AAAA 2001:db8::1"]);
    }

    #[test]
    fn the_most_specific_key_wins_and_then_the_first_table() {
        let maps = [("transport_maps", "hash:/a, hash:/b")];
        check(&maps, &[("hash:/a", ""), ("hash:/b", "")], ("", ""));
        check(
            &maps,
            &[
                ("hash:/a", ".gmail.com\tfar:\n*\trest:\n"),
                ("hash:/b", "mx.gmail.com\tnear:\n*\tother:\n"),
            ],
            ("hash:/b mx.gmail.com near:", "hash:/a * rest:"),
        );
        check(
            &maps,
            &[
                ("hash:/a", "mx.gmail.com\tfirst:\n"),
                ("hash:/b", "mx.gmail.com\tsecond:\n"),
            ],
            ("hash:/a mx.gmail.com first:", ""),
        );
        check(
            &maps,
            &[
                (
                    "hash:/a",
                    "mailfix-asks-for-anybody@mx.gmail.com\tpattern:\n",
                ),
                ("hash:/b", "mx.gmail.com\tplain:\n"),
            ],
            ("hash:/a mailfix-asks-for-anybody@mx.gmail.com pattern:", ""),
        );
    }

    #[test]
    fn parents_match_as_the_configuration_says() {
        let dotted = ("hash:/a", "gmail.com\tplain:\n.gmail.com\tdotted:\n");
        let maps = ("transport_maps", "hash:/a");
        check(&[maps], &[dotted], ("hash:/a .gmail.com dotted:", ""));
        let plain = (
            "parent_domain_matches_subdomains",
            "debug_peer_list, transport_maps",
        );
        check(&[maps, plain], &[dotted], ("hash:/a gmail.com plain:", ""));
    }

    #[test]
    fn tables_are_asked_by_their_expanded_name_and_without_proxymap() {
        check(
            &[
                ("transport_maps", "proxy:$kind:$config_directory/t"),
                ("kind", "hash"),
                ("config_directory", CONFIG),
            ],
            &[("hash:/etc/postfix/t", "mx.gmail.com\tnear:\n")],
            ("proxy:hash:/etc/postfix/t mx.gmail.com near:", ""),
        );
    }

    #[test]
    fn our_own_tables_are_not_asked() {
        // It has no answer here: asked, it would be an error.
        check(
            &[(
                "transport_maps",
                "hash:/etc/postfix/mailfix/transport hash:/a",
            )],
            &[("hash:/a", "*\trest:\n")],
            ("", "hash:/a * rest:"),
        );
    }

    #[test]
    fn suffixes_count_as_filtered_only_if_their_addresses_are_ignored() {
        let interest = interest(&[], &["google.com", "googlemail.com", "a.example"]);
        let text = "mx.google.com. 300 IN AAAA 2001:db8::1\tIGNORE\n\
                    mx.a.example. 300 IN AAAA 2001:db8::1\tignore\n\
                    mx.googlemail.com. 300 IN AAAA 2001:db8::1\tDUNNO\n";
        let system = system(&[("regexp:/f", text)], &interest, false);
        let filters = parameters(&[(
            "smtp_dns_reply_filter",
            "regexp:/f regexp:/etc/postfix/mailfix/dns_reply_filter",
        )]);
        let routes = observe(&system, CONFIG.into(), &filters, &interest).unwrap();
        let filtered: Vec<&str> = routes.filtered.iter().map(String::as_str).collect();
        assert_eq!(filtered, ["a.example", "google.com"]);
    }

    #[test]
    fn a_table_that_cannot_be_asked_is_named() {
        let keys = vec!["*".to_owned()];
        let query = Query::Lookup {
            config: CONFIG.into(),
            table: "ldap:/l".to_owned(),
            keys,
        };
        let said =
            "postmap: warning: main.cf is odd\npostmap: fatal: unsupported dictionary type: ldap\n";
        let system = MemorySystem::new().answer(query, output(1, "", said));
        let maps = parameters(&[("transport_maps", "proxy:ldap:/l")]);
        let routes = observe(&system, CONFIG.into(), &maps, &Interest::default()).unwrap();
        assert_eq!(
            routes.unanswered,
            [(
                "proxy:ldap:/l".to_owned(),
                "unsupported dictionary type: ldap".to_owned()
            )]
        );
        assert!(routes.rest.is_none());
    }
}
