//! Drop the IPv6 addresses of a provider's mail hosts from DNS answers.
//!
//! Fits Postfix 3.0 and later (`smtp_dns_reply_filter`, postconf(5)) while smtp(8) asks
//! DNS. It goes by the name of the MX host, so it also catches the domains the provider
//! hosts, at any stage of the session; receivers with IPv6 only are kept waiting if
//! their host is the provider's, and are untouched otherwise.

use serde::Serialize;

use crate::finding::Finding;
use crate::host::Facts;
use crate::postfix::{Version, split_list};
use crate::provider::Provider;
use crate::remedy::{Contribution, Named, named};
use crate::target::{Setting, TableWanted};
use crate::template::{self, TemplateError};

/// The first version that has the filter.
const SINCE: Version = Version::new(3, 0, 0);

/// The parameter.
const PARAMETER: &str = "smtp_dns_reply_filter";

/// The name of the table's file and template.
pub const FILE: &str = "dns_reply_filter";

/// `regexp` is compiled into every Postfix; `pcre` is a package of its own in most systems.
const KIND: &str = "regexp";

#[derive(Serialize)]
struct Variables {
    providers: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    suffixes: Vec<String>,
}

/// Gives what the remedy adds, or why it does not fit.
///
/// # Errors
/// When its template cannot be rendered.
pub fn fit(
    providers: &[&Provider],
    facts: &Facts,
) -> Result<Result<Contribution, String>, TemplateError> {
    if facts.version < SINCE {
        return Ok(Err(format!(
            "Postfix {} has no `{PARAMETER}` (3.0 and later): domains that a provider hosts are only caught if `hosted_domains` in mailfix.toml lists them",
            facts.version
        )));
    }
    if let Some(why) = dns_is_off(facts) {
        return Ok(Err(format!("{why}: there is no DNS answer to filter")));
    }
    if let Some(client) = facts.client()
        && client.option(PARAMETER).is_some()
    {
        return Ok(Err(format!(
            "the `{}` service sets its own `-o {PARAMETER}`, which stays as it is",
            client.name
        )));
    }
    let mut contribution = Contribution::default();
    let mut entries = Vec::new();
    let mut samples = Vec::new();
    let mut listed: Vec<String> = Vec::new();
    for provider in providers {
        let (done, open): (Vec<_>, Vec<_>) = provider
            .mx_suffixes
            .iter()
            .cloned()
            .partition(|suffix| facts.routes.filtered.contains(suffix));
        if !done.is_empty() {
            contribution.findings.push(Finding::note(
                "already-filtered",
                format!(
                    "a filter of your own drops the IPv6 addresses of hosts below {} already",
                    done.join(", ")
                ),
            ));
        }
        if open.is_empty() {
            continue;
        }
        for suffix in &open {
            samples.push((
                format!("mx.{suffix}. 300 IN AAAA 2001:db8::1"),
                "IGNORE".to_owned(),
            ));
        }
        listed.extend(open.iter().cloned());
        let suffixes = open
            .iter()
            .map(|suffix| suffix.replace('.', "\\."))
            .collect();
        entries.push(Entry {
            name: provider.name.clone(),
            suffixes,
        });
    }
    if entries.is_empty() {
        "there is one already".clone_into(&mut contribution.outcome);
        return Ok(Ok(contribution));
    }
    let path = facts.own_folder().join(FILE);
    let Named { kind, item } = named(facts, PARAMETER, &path).unwrap_or_else(|| Named {
        kind: KIND.to_owned(),
        item: format!("{KIND}:{path}"),
    });
    contribution.tables.push(TableWanted {
        file: FILE.to_owned(),
        kind,
        text: template::render(FILE, &Variables { providers: entries })?,
        samples,
    });
    contribution.settings.push(Setting::Has {
        name: PARAMETER.to_owned(),
        item,
    });
    contribution.outcome = format!("no IPv6 to hosts below {}", listed.join(", "));
    contribution.reasons.push(format!(
        "`{PARAMETER}` goes by the mail host, so the domains that a provider hosts are reached over IPv4 too"
    ));
    Ok(Ok(contribution))
}

fn dns_is_off(facts: &Facts) -> Option<String> {
    let level = facts.of_client("smtp_dns_support_level");
    if level == "disabled" {
        return Some("`smtp_dns_support_level = disabled`".to_owned());
    }
    if level.is_empty() && facts.of_client("disable_dns_lookups") == "yes" {
        return Some("`disable_dns_lookups = yes`".to_owned());
    }
    let ways = split_list(&facts.of_client("smtp_host_lookup"));
    if !ways.is_empty() && !ways.iter().any(|way| way == "dns") {
        return Some(format!("`smtp_host_lookup = {}`", ways.join(", ")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::postfix::MasterCf;
    use crate::profile::Profile;

    fn facts(master: &str) -> Facts {
        let profile = Profile::built_in("linux").unwrap();
        let mut facts = host::stock(&profile).unwrap().facts;
        let document = MasterCf::parse(master.as_bytes());
        facts.services = document.services().cloned().collect();
        facts
    }

    fn why_not(facts: &Facts) -> Option<String> {
        let providers = Provider::all();
        let providers: Vec<&Provider> = providers.iter().collect();
        fit(&providers, facts).unwrap().err()
    }

    #[test]
    fn no_answers_are_filtered_that_nobody_asks_for() {
        let mut facts = facts("smtp unix - - n - - smtp\n");
        assert_eq!(why_not(&facts), None);
        facts.parameters.set("smtp_host_lookup", "native");
        assert!(why_not(&facts).is_some());
        for option in [
            "smtp_host_lookup=native",
            "disable_dns_lookups=yes",
            "smtp_dns_reply_filter=",
        ] {
            let facts = self::facts(&format!("smtp unix - - n - - smtp -o {option}\n"));
            assert!(why_not(&facts).is_some(), "{option}");
        }
    }

    #[test]
    fn the_client_that_counts_is_the_default_transport() {
        let mut facts = facts(
            "smtp unix - - n - - smtp -o smtp_host_lookup=native\nslow unix - - n - - smtp\n",
        );
        assert!(why_not(&facts).is_some());
        facts.parameters.set("default_transport", "slow");
        assert_eq!(why_not(&facts), None);
    }

    #[test]
    fn an_old_postfix_is_told_what_is_not_covered() {
        let mut facts = facts("smtp unix - - n - - smtp\n");
        facts.version = Version::new(2, 11, 0);
        let why = why_not(&facts).unwrap();
        assert!(why.contains("hosted_domains"), "{why}");
    }
}
