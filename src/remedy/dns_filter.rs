//! Drop the IPv6 addresses of a provider's mail hosts from DNS answers.
//!
//! Fits Postfix 3.0 and later (`smtp_dns_reply_filter`, postconf(5)) while smtp(8) asks
//! DNS. It goes by the name of the MX host, so it also catches the domains the provider
//! hosts, at any stage of the session; receivers with IPv6 only are kept waiting if
//! their host is the provider's, and are untouched otherwise.

use serde::Serialize;

use crate::finding::Finding;
use crate::host::Facts;
use crate::postfix::{ServiceType, Version};
use crate::provider::Provider;
use crate::remedy::Contribution;
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
    let smtp = facts.service("smtp", &ServiceType::Unix);
    if smtp.is_some_and(|smtp| smtp.option(PARAMETER).is_some()) {
        return Ok(Err(format!(
            "the `smtp` service sets its own `-o {PARAMETER}`, which stays as it is"
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
    contribution.tables.push(TableWanted {
        file: FILE.to_owned(),
        kind: KIND.to_owned(),
        text: template::render(FILE, &Variables { providers: entries })?,
        samples,
    });
    contribution.settings.push(Setting::Has {
        name: PARAMETER.to_owned(),
        item: format!("{KIND}:{path}"),
    });
    contribution.outcome = format!("no IPv6 to hosts below {}", listed.join(", "));
    contribution.reasons.push(format!(
        "`{PARAMETER}` goes by the mail host, so the domains that a provider hosts are reached over IPv4 too"
    ));
    Ok(Ok(contribution))
}

fn dns_is_off(facts: &Facts) -> Option<String> {
    let parameters = &facts.parameters;
    if parameters.get("smtp_dns_support_level") == "disabled" {
        return Some("`smtp_dns_support_level = disabled`".to_owned());
    }
    if parameters.get("smtp_dns_support_level").is_empty()
        && parameters.get("disable_dns_lookups") == "yes"
    {
        return Some("`disable_dns_lookups = yes`".to_owned());
    }
    let ways = parameters.list("smtp_host_lookup");
    if !ways.is_empty() && !ways.iter().any(|way| way == "dns") {
        return Some(format!("`smtp_host_lookup = {}`", ways.join(", ")));
    }
    None
}
