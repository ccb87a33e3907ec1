//! The domains that are this host's own, listed: their senders are not rewritten.
//!
//! Must not know who asks. Follows `ADDRESS_CLASS_README`.

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::host::destinations::forwards::SOURCES;
use crate::host::{Facts, classes};
use crate::postfix::{Engine, Table};
use crate::system::System;

/// Most domains that are listed.
const MOST: usize = 10_000;

/// The domains that are this host's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnDomains {
    /// All that could be listed, in lower case; with a dot before it, all below it.
    pub names: BTreeSet<String>,
    /// Those of the domains asked about that mail is taken for.
    pub asked: BTreeSet<String>,
    /// Lists that more can be in, and why they were not read.
    pub unlisted: Vec<(String, String)>,
}

impl OwnDomains {
    /// Tells whether a domain is one of them, by what is known.
    #[must_use]
    pub fn has(&self, domain: &str) -> bool {
        let is_below = || {
            self.names
                .iter()
                .any(|name| name.starts_with('.') && domain.ends_with(name.as_str()))
        };
        self.asked.contains(domain) || self.names.contains(domain) || is_below()
    }
}

/// Lists them, and asks which of these domains are among them.
pub(super) fn observe(
    system: &dyn System,
    facts: &Facts,
    domains: &BTreeSet<String>,
) -> OwnDomains {
    let mut own = OwnDomains::default();
    for name in classes::LISTS {
        let below = facts
            .parameters
            .list("parent_domain_matches_subdomains")
            .iter()
            .any(|list| list == name);
        for item in facts.parameters.list(name) {
            if item.starts_with('!') {
                continue;
            }
            match listed(system, facts, name, &item) {
                Ok(found) => {
                    for found in found.iter().filter_map(|text| plain(text)) {
                        if below && !found.starts_with('.') {
                            own.names.insert(format!(".{found}"));
                        }
                        own.names.insert(found);
                    }
                }
                Err(why) => own.unlisted.push((format!("{name} = {item}"), why)),
            }
        }
    }
    if own.names.len() > MOST {
        let many = format!("there are {} domains", own.names.len());
        own.unlisted
            .push(("the host's own domains".to_owned(), many));
    }
    // What a table could not say is said above.
    let asked = classes::observe(
        system,
        &facts.config,
        &facts.parameters,
        domains,
        &mut Vec::new(),
    );
    own.asked = asked
        .map(|own| own.into_keys().collect())
        .unwrap_or_default();
    for name in ["myhostname", "myorigin"] {
        let value = facts.parameters.get(name);
        own.names.extend(plain(&value));
    }
    own
}

fn listed(
    system: &dyn System,
    facts: &Facts,
    name: &str,
    item: &str,
) -> Result<Vec<String>, String> {
    let read = |path: &Utf8Path| match system.read(path) {
        Ok(Some(file)) => Ok(file.bytes),
        Ok(None) => Err("it does not exist".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    if item.starts_with('/') {
        let bytes = read(Utf8Path::new(item))?;
        let text = String::from_utf8_lossy(&bytes);
        return Ok(text.split_whitespace().map(str::to_owned).collect());
    }
    let table = item.strip_prefix("proxy:").unwrap_or(item);
    let Some((kind, path)) = table.split_once(':') else {
        return Ok(vec![item.to_owned()]);
    };
    if SOURCES.contains(&kind) {
        let bytes = read(Utf8Path::new(path))?;
        let table = Table::parse(&bytes);
        // Tables of addresses are lists of domains by default: what has an `@` is none.
        let keys = table.entries().map(|entry| entry.key.into_owned());
        return Ok(keys.filter(|key| !key.contains('@')).collect());
    }
    // By default tables of aliases list domains too, and patterns for addresses do not match any.
    if Engine::parse(kind).is_some() && !facts.explicit.contains(name) {
        return Ok(Vec::new());
    }
    Err(format!("what a `{kind}` table holds cannot be listed"))
}

/// A domain as settings may have it: no character that means something there.
fn plain(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.chars().all(is_plain) && !text.starts_with('-')).then_some(text)
}
