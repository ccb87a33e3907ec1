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
use crate::remedy::{Case, Contribution, Fit, Named, named};
use crate::target::{Setting, TableWanted};
use crate::template;

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
pub fn fit(case: &Case<'_>) -> Fit {
    let facts = case.facts;
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
    for provider in case.providers {
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
    use crate::host::example;
    use crate::remedy::shown;

    const ITEM: &str = "smtp_dns_reply_filter += regexp:/etc/postfix/mailfix/dns_reply_filter";

    /// A version, lines of main.cf, the `smtp` service and suffixes filtered already.
    #[track_caller]
    fn check(given: (&str, &str, &str, &[&str]), expected: Result<&[&str], &str>) {
        let (version, main, master, filtered) = given;
        let mut facts = example::host(version, main, master).facts;
        facts.routes.filtered = filtered.iter().map(ToString::to_string).collect();
        shown::check(fit, &facts, expected);
    }

    const BOTH: &str = "regexp:dns_reply_filter: mx.google.com. 300 IN AAAA 2001:db8::1 IGNORE, mx.googlemail.com. 300 IN AAAA 2001:db8::1 IGNORE";

    #[test]
    fn it_fits_from_3_0_on() {
        check(("3.7.11", "", "", &[]), Ok(&[ITEM, BOTH]));
        check(("3.0.0", "", "", &[]), Ok(&[ITEM, BOTH]));
        check(
            ("2.11.6", "", "", &[]),
            Err(
                "Postfix 2.11.6 has no `smtp_dns_reply_filter` (3.0 and later): domains that a provider hosts are only caught if `hosted_domains` in mailfix.toml lists them",
            ),
        );
    }

    #[test]
    fn it_needs_dns() {
        let off = |main, why: &str| {
            let why = format!("{why}: there is no DNS answer to filter");
            check(("3.7.11", main, "", &[]), Err(&why));
        };
        off(
            "smtp_dns_support_level = disabled",
            "`smtp_dns_support_level = disabled`",
        );
        off("disable_dns_lookups = yes", "`disable_dns_lookups = yes`");
        off("smtp_host_lookup = native", "`smtp_host_lookup = native`");
        for main in [
            "smtp_dns_support_level = enabled\ndisable_dns_lookups = yes",
            "smtp_dns_support_level = dnssec",
            "smtp_host_lookup = native, dns",
            "smtp_host_lookup = dns",
        ] {
            check(("3.7.11", main, "", &[]), Ok(&[ITEM, BOTH]));
        }
    }

    #[test]
    fn an_option_of_the_service_would_win_over_it() {
        check(
            (
                "3.7.11",
                "",
                "smtp unix - - n - - smtp\n -o smtp_dns_reply_filter=regexp:/etc/postfix/own",
                &[],
            ),
            Err("the `smtp` service sets its own `-o smtp_dns_reply_filter`, which stays as it is"),
        );
    }

    #[test]
    fn what_is_filtered_already_is_completed() {
        let note = |list: &str| {
            format!(
                "already-filtered: a filter of your own drops the IPv6 addresses of hosts below {list} already"
            )
        };
        check(
            ("3.7.11", "", "", &["google.com"]),
            Ok(&[
                ITEM,
                "regexp:dns_reply_filter: mx.googlemail.com. 300 IN AAAA 2001:db8::1 IGNORE",
                &note("google.com"),
            ]),
        );
        check(
            ("3.7.11", "", "", &["google.com", "googlemail.com"]),
            Ok(&[&note("google.com, googlemail.com")]),
        );
    }

    #[test]
    fn dots_of_a_suffix_stand_for_themselves() {
        let facts = example::host("3.7.11", "", "").facts;
        let fitted = shown::fitted(fit, &facts).unwrap();
        let text = &fitted.tables[0].text;
        assert!(
            text.contains("/^[^ ]+\\.google\\.com\\. [0-9]+ IN AAAA / IGNORE\n"),
            "{text}"
        );
    }

    #[test]
    fn the_client_that_counts_is_the_default_transport() {
        let own = "smtp unix - - n - - smtp -o smtp_host_lookup=native\nslow unix - - n - - smtp";
        check(
            ("3.7.11", "", own, &[]),
            Err("`smtp_host_lookup = native`: there is no DNS answer to filter"),
        );
        check(
            ("3.7.11", "default_transport = slow", own, &[]),
            Ok(&[ITEM, BOTH]),
        );
        check(
            (
                "3.7.11",
                "",
                "smtp unix - - n - - smtp -o disable_dns_lookups=yes",
                &[],
            ),
            Err("`disable_dns_lookups = yes`: there is no DNS answer to filter"),
        );
    }
}
