//! What decides the way of mail to a domain today.
//!
//! Owns the questions put to `transport_maps` and `smtp_dns_reply_filter`, asked
//! as Postfix asks: every key in all tables before the next key (transport(5)).
//! Must not know what the answers should be.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::host::{HostError, Interest, OWN_FOLDER, Parameters};
use crate::postfix::split_list;
use crate::system::{Query, System, SystemError};

/// A local part nobody has: it finds the patterns that match every address of a domain.
pub const ANYBODY: &str = "mailfix-asks-for-anybody";

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
    /// What `*` gives.
    pub rest: Option<Route>,
    /// Suffixes of mail hosts whose AAAA records a filter of the administrator's drops.
    pub filtered: BTreeSet<String>,
    /// Tables that could not be asked, with what was said.
    pub unanswered: Vec<(String, String)>,
}

pub(super) fn observe(
    system: &dyn System,
    config: &Utf8Path,
    parameters: &Parameters,
    interest: &Interest,
) -> Result<Routes, HostError> {
    let mut routes = Routes::default();
    let exact = parameters
        .list("parent_domain_matches_subdomains")
        .iter()
        .any(|name| name == "transport_maps");
    let mut keys: Vec<String> = vec!["*".to_owned()];
    for domain in &interest.domains {
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
    routes.rest = route("*");
    for domain in &interest.domains {
        if let Some(route) = keys_of(domain, exact).iter().find_map(|key| route(key)) {
            routes.domains.insert(domain.clone(), route);
        }
    }

    let samples: Vec<(String, String)> = interest
        .suffixes
        .iter()
        .map(|suffix| {
            (
                suffix.clone(),
                format!("mx.{suffix}. 300 IN AAAA 2001:db8::1"),
            )
        })
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
    let own = format!(":{}/", config.join(OWN_FOLDER));
    split_list(&parameters.get(name))
        .into_iter()
        .filter(|table| !table.contains(&own))
        .collect()
}

fn ask(
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
