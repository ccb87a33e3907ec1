//! Send the recipient domains of a provider through an smtp(8) client without IPv6.
//!
//! Fits every version of Postfix. It goes by recipient domain: the provider's own ones
//! and those the site file lists as hosted there. What the administrator has routed
//! already stays as it is, and what is half done by hand is completed.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::finding::Finding;
use crate::host::{ANYBODY, Facts, REPLY_FILTER, Route, TRANSPORT};
use crate::postfix::{Field, MasterCf, Service, ServiceType, Version};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::interfaces::ipv4_interfaces;
use crate::remedy::{Case, Contribution, Fit, Named, chroot, named};
use crate::target::{Ensure, ServiceWanted, Setting, TableWanted};
use crate::template::{self, TemplateError};

/// The name of our service; a number follows where it is taken.
const NAME: &str = "smtp-ipv4";

/// How many domains are named where there may be hundreds.
const SHOWN: usize = 8;

/// The name of the table's file and template.
pub const FILE: &str = TRANSPORT;

/// Options of the host's own client that an IPv4-only one must not have: it sets its own
/// protocols, an IPv6 source address means nothing to it, and with no AAAA
/// record ever asked for there is nothing to filter.
const NOT_COPIED: [&str; 4] = [
    "inet_protocols",
    "smtp_bind_address6",
    "smtp_address_preference",
    "smtp_dns_reply_filter",
];

/// Ends of the parameters that qmgr(8) reads per transport (postconf(5), "transport_…"):
/// a limit set for `smtp` must hold for our transport too.
const PER_TRANSPORT: [&str; 17] = [
    "_destination_concurrency_failed_cohort_limit",
    "_destination_concurrency_limit",
    "_destination_concurrency_negative_feedback",
    "_destination_concurrency_positive_feedback",
    "_destination_rate_delay",
    "_destination_recipient_limit",
    "_initial_destination_concurrency",
    "_delivery_slot_cost",
    "_delivery_slot_discount",
    "_delivery_slot_loan",
    "_extra_recipient_limit",
    "_minimum_delivery_slots",
    "_recipient_limit",
    "_recipient_refill_delay",
    "_recipient_refill_limit",
    "_transport_rate_delay",
    "_time_limit",
];

/// The first version in which `-o { name = value }` is understood (master(5)).
const BRACES: Version = Version::new(3, 0, 0);

#[derive(Serialize)]
struct ServiceVariables {
    columns: String,
    options: Vec<String>,
    interfaces: Vec<(String, String)>,
}

#[derive(Serialize)]
struct TableVariables {
    service: String,
    providers: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    domains: Vec<String>,
}

/// Gives what the remedy adds, or why it does not fit.
///
/// `hosted` names the recipient domains a provider hosts that shall be listed too.
///
/// # Errors
/// When a template cannot be rendered.
pub fn fit(case: &Case<'_>, hosted: impl Fn(&Provider) -> Vec<String>) -> Fit {
    let Case { profile, facts, .. } = *case;
    if let Some(why) = overrides(facts) {
        return Ok(Err(why));
    }
    let path = facts.own_folder().join(FILE);
    let named = named(facts, "transport_maps", &path).or_else(|| {
        let kind = table_type(profile, facts)?;
        let item = format!("{kind}:{path}");
        Some(Named { kind, item })
    });
    let Some(Named { kind, item }) = named else {
        return Ok(Err(no_type(profile, facts)));
    };
    let mut contribution = Contribution::default();
    let mut entries = Vec::new();
    let mut by_hand = None;
    let mut seen = BTreeSet::new();
    for provider in case.providers {
        let mut domains: Vec<String> = Vec::new();
        let all = provider.domains.iter().cloned().chain(hosted(provider));
        for domain in all.filter(|domain| seen.insert(domain.clone())) {
            match facts.routes.domains.get(&domain) {
                None => domains.push(domain),
                Some(route) => match way(route, &domain, facts) {
                    Way::Ipv4(name) => {
                        contribution.findings.push(Finding::note(
                            "already-routed",
                            format!("`{}` sends `{domain}` over IPv4 only already", route.table),
                        ));
                        by_hand.get_or_insert(name);
                    }
                    Way::Missing(name) => {
                        contribution.findings.push(Finding::note(
                            "half-routed",
                            format!("`{}` sends `{domain}` to `{name}`, a service that is missing and is made", route.table),
                        ));
                        by_hand.get_or_insert(name);
                    }
                    Way::Elsewhere => contribution.findings.push(left_alone(route, &domain)),
                },
            }
        }
        if !domains.is_empty() {
            entries.push(Entry {
                name: provider.name.clone(),
                domains,
            });
        }
    }
    if entries.is_empty() && by_hand.is_none() {
        "your own entries decide".clone_into(&mut contribution.outcome);
        return Ok(Ok(contribution));
    }
    let name = by_hand.unwrap_or_else(|| free_name(facts));
    let letter = chroot::letter(facts.service("smtp", &ServiceType::Unix), profile, facts);
    let missed = facts
        .service(&name, &ServiceType::Unix)
        .and_then(|present| chroot::missed(present, profile, facts));
    let (service, reasons) = service(&name, letter, missed, facts)?;
    contribution.reasons.extend(reasons);
    contribution.services.extend(service);
    contribution.settings.extend(limits(&name, facts));
    if entries.is_empty() {
        contribution.outcome = format!("`{name}` is there already");
        return Ok(Ok(contribution));
    }
    let listed: Vec<String> = entries
        .iter()
        .flat_map(|entry| entry.domains.clone())
        .collect();
    let samples = listed
        .iter()
        .map(|domain| (domain.clone(), format!("{name}:")))
        .collect();
    contribution.outcome = format!("`{name}` takes mail to {}", few(&listed));
    contribution.tables.push(TableWanted {
        file: FILE.to_owned(),
        kind,
        text: template::render(
            FILE,
            &TableVariables {
                service: name.clone(),
                providers: entries,
            },
        )?,
        samples,
    });
    contribution.settings.push(Setting::Has {
        name: "transport_maps".to_owned(),
        item,
    });
    Ok(Ok(contribution))
}

/// Tells whether a service means just what a new one of that name would.
///
/// # Errors
/// When the template cannot be rendered.
pub fn is_as_made(name: &str, facts: &Facts) -> Result<bool, TemplateError> {
    let Some(present) = facts.service(name, &ServiceType::Unix) else {
        return Ok(false);
    };
    let mut without = facts.clone();
    without
        .services
        .retain(|service| !service.is(name, &ServiceType::Unix));
    // The jail may have been filled, or emptied, since.
    for letter in ['n', 'y'] {
        let (made, _) = service(name, (letter, String::new()), None, &without)?;
        let Some(Ensure::Whole(text)) = made.map(|made| made.ensure) else {
            continue;
        };
        let mut made = MasterCf::parse(text.as_bytes());
        // A reply filter is taken away from such a service behind our back.
        let spared = present.option(REPLY_FILTER).is_none_or(|value| {
            made.set_option(name, &ServiceType::Unix, REPLY_FILTER, value)
                .is_ok()
        });
        if spared && made.services().any(|made| made.same_meaning(present)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells whether entries of the administrator's send a provider's domains over IPv4 only.
#[must_use]
pub fn is_by_hand(facts: &Facts) -> bool {
    let mut routes = facts.routes.domains.iter();
    routes.any(|(domain, route)| matches!(way(route, domain, facts), Way::Ipv4(_)))
}

/// The limits that main.cf sets for a service of ours to those of `smtp`.
#[must_use]
pub fn own_limits(name: &str, facts: &Facts) -> Vec<String> {
    PER_TRANSPORT
        .iter()
        .map(|suffix| (format!("{name}{suffix}"), format!("$smtp{suffix}")))
        .filter(|(own, value)| {
            facts.explicit.contains(own) && facts.parameters.raw(own) == Some(value.as_str())
        })
        .map(|(own, _)| own)
        .collect()
}

/// Lists names, and where there are many the first of them and how many more.
fn few(names: &[String]) -> String {
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Names what a transport entry of ours would override, if anything.
fn overrides(facts: &Facts) -> Option<String> {
    let set = |name: &str| {
        let value = facts.parameters.get(name);
        (!value.is_empty()).then_some(value)
    };
    for name in [
        "sender_dependent_default_transport_maps",
        "sender_dependent_relayhost_maps",
    ] {
        if let Some(value) = set(name) {
            return Some(format!(
                "`{name} = {value}` chooses the way by sender, and a transport entry would override it"
            ));
        }
    }
    if let Some(value) = set("content_filter") {
        return Some(format!(
            "`content_filter = {value}` decides the way of mail, and a transport entry would meddle with it"
        ));
    }
    let transport = facts.default_transport();
    if transport == "smtp" {
        return None;
    }
    let setting = match &facts.routes.rest {
        Some(rest) if rest.value.starts_with(&transport) => {
            format!("`*` in `{}`", rest.table)
        }
        _ => "`default_transport`".to_owned(),
    };
    Some(format!(
        "{setting} sends mail through the service `{transport}`, and a transport entry would override it"
    ))
}

/// The host's own default, if the profile has it among its types; else the first that works.
///
/// `texthash` is the last resort and enough of one: every Postfix that has `inline` has it too.
fn table_type(profile: &Profile, facts: &Facts) -> Option<String> {
    let has = |kind: &str| facts.table_types.contains(kind);
    let default = facts.parameters.get("default_database_type");
    if profile.tables.contains(&default) && has(&default) {
        return Some(default);
    }
    profile.tables.iter().find(|kind| has(kind)).cloned()
}

/// Says that there is no type to write a table in, and what would bring one.
fn no_type(profile: &Profile, facts: &Facts) -> String {
    let types = profile.tables.join(", ");
    let brings = facts.packages.as_ref().and_then(|packages| {
        profile
            .tables
            .iter()
            .find_map(|kind| packages.install(kind))
    });
    match brings {
        Some(command) => {
            format!("none of the table types {types} works here; `{command}` brings one")
        }
        None => format!("none of the table types {types} works here"),
    }
}

fn left_alone(route: &Route, domain: &str) -> Finding {
    Finding::warning(
        "own-route",
        format!(
            "`{}` routes `{domain}` to `{}`, which stays as it is",
            route.table, route.value
        ),
    )
    .because(format!(
        "{} is yours and wins over any of ours",
        match &route.key {
            key if key.starts_with(ANYBODY) => format!("the entry for every address of `{domain}`"),
            key => format!("the entry for `{key}`"),
        }
    ))
    .mend(format!(
        "if mail to `{domain}` is refused over IPv6, remove that entry and run `mailfix plan` again"
    ))
}

/// Where a route of the administrator's leads.
enum Way {
    /// To a service that does what ours would.
    Ipv4(String),
    /// To a service of our name, which master.cf does not have: half of the cure.
    Missing(String),
    /// Somewhere else, on purpose.
    Elsewhere,
}

fn way(route: &Route, domain: &str, facts: &Facts) -> Way {
    let (transport, nexthop) = route.value.split_once(':').unwrap_or((&route.value, ""));
    if !(nexthop.is_empty() || nexthop.eq_ignore_ascii_case(domain)) {
        return Way::Elsewhere;
    }
    match facts.service(transport, &ServiceType::Unix) {
        Some(service) if is_ipv4_only(service) => Way::Ipv4(transport.to_owned()),
        None if transport == NAME => Way::Missing(transport.to_owned()),
        _ => Way::Elsewhere,
    }
}

fn is_ipv4_only(service: &Service) -> bool {
    service.command == "smtp" && service.option("inet_protocols") == Some("ipv4")
}

/// The first of `smtp-ipv4`, `smtp-ipv4-2`, … that is free or means the same already.
fn free_name(facts: &Facts) -> String {
    let usable = |name: &String| {
        facts
            .service(name, &ServiceType::Unix)
            .is_none_or(is_ipv4_only)
    };
    // Of one name more than there are services, one is free.
    let numbered = (2..facts.services.len() + 2).map(|number| format!("{NAME}-{number}"));
    std::iter::once(NAME.to_owned())
        .chain(numbered)
        .find(usable)
        .unwrap_or_else(|| NAME.to_owned())
}

/// What master.cf must say of our service, and the words why: the letter of a new one, and
/// what one that is there misses in its jail.
fn service(
    name: &str,
    (letter, why): (char, String),
    missed: Option<String>,
    facts: &Facts,
) -> Result<(Option<ServiceWanted>, Vec<String>), TemplateError> {
    let smtp = facts.service("smtp", &ServiceType::Unix);
    // A service that is there has options of its own; a new one takes those of `smtp`.
    let like = facts.service(name, &ServiceType::Unix).or(smtp);
    let interfaces = ipv4_interfaces(like, facts);
    let mut reasons = vec![why];
    if !interfaces.is_empty() {
        reasons.push(format!(
            "`inet_interfaces` or `proxy_interfaces` names an IPv6 address, at which a client without IPv6 dies: `{name}` gets the IPv4 ones only"
        ));
    }
    let wanted = |ensure| ServiceWanted {
        name: name.to_owned(),
        kind: ServiceType::Unix,
        ensure,
    };
    if facts.service(name, &ServiceType::Unix).is_some() {
        // It is there already, ours or made by hand: only what would make it fail is mended.
        let mut reasons = reasons.split_off(1);
        let letter = missed.is_some().then_some('n');
        reasons.extend(missed.map(|missed| {
            format!("`{name}` runs chrooted, {missed}: its chroot column becomes `n`")
        }));
        if letter.is_none() && interfaces.is_empty() {
            return Ok((None, Vec::new()));
        }
        return Ok((
            Some(wanted(Ensure::Words {
                chroot: letter,
                options: interfaces,
            })),
            reasons,
        ));
    }
    let options = smtp
        .map(|smtp| {
            let is_replaced = |name: &str| {
                NOT_COPIED.contains(&name) || interfaces.iter().any(|(own, _)| own == name)
            };
            copied(smtp, facts.version, is_replaced)
        })
        .unwrap_or_default();
    let field = |field: Field| smtp.map_or("-", |smtp| smtp.field(field)).to_owned();
    let variables = ServiceVariables {
        // As wide as the columns of the master.cf that Postfix comes with.
        columns: format!(
            "{name:<9} unix  {:<7} {:<7} {letter:<7} {:<7} {:<7}",
            field(Field::Private),
            field(Field::Unprivileged),
            field(Field::Wakeup),
            field(Field::ProcessLimit),
        ),
        options,
        interfaces,
    };
    let text = template::render("service.cf", &variables)?;
    Ok((Some(wanted(Ensure::Whole(text))), reasons))
}

fn copied(smtp: &Service, version: Version, is_replaced: impl Fn(&str) -> bool) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for (name, value) in smtp.overrides() {
        if is_replaced(name) {
            continue;
        }
        let blanks = value.contains([' ', '\t']);
        options.push(if blanks && version >= BRACES {
            format!("{{ {name} = {value} }}")
        } else {
            format!("{name}={value}")
        });
    }
    options
}

/// Limits set for `smtp` hold for our transport too, and follow when they are changed.
fn limits(name: &str, facts: &Facts) -> Vec<Setting> {
    let known: BTreeSet<&str> = facts.explicit.iter().map(String::as_str).collect();
    PER_TRANSPORT
        .iter()
        .filter(|suffix| known.contains(format!("smtp{suffix}").as_str()))
        .filter(|suffix| {
            let own = format!("{name}{suffix}");
            // A value the administrator gave our transport is meant; the default that
            // postconf(1) shows of every service is not.
            !known.contains(own.as_str())
                || facts.parameters.raw(&own) == Some(format!("$smtp{suffix}").as_str())
        })
        .map(|suffix| Setting::Is {
            name: format!("{name}{suffix}"),
            value: format!("$smtp{suffix}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Lack, State, example};
    use crate::postfix::Need;
    use crate::remedy::shown;

    /// What differs from a stock host.
    #[derive(Clone, Copy)]
    struct Given {
        version: &'static str,
        main: &'static str,
        master: &'static str,
        /// Domain, table, key, value.
        routes: &'static [[&'static str; 4]],
        missing: &'static [Need],
        types: &'static [&'static str],
        hosted: &'static [&'static str],
    }

    const STOCK: Given = Given {
        version: "3.7.11",
        main: "",
        master: "",
        routes: &[],
        missing: &[],
        types: &["hash", "texthash", "regexp"],
        hosted: &[],
    };

    const LINE: &str = "smtp-ipv4 unix - - n - - smtp -o inet_protocols=ipv4";
    const ITEM: &str = "transport_maps += hash:/etc/postfix/mailfix/transport";
    /// What an administrator has made by hand.
    const TABLE: &str = "hash:/etc/postfix/transport";
    const V4: &str = "v4 unix - - n - - smtp\n -o inet_protocols=ipv4";

    const BOTH: &str = "hash:transport: gmail.com smtp-ipv4:, googlemail.com smtp-ipv4:";

    fn facts(given: &Given) -> Facts {
        let mut facts = example::host(given.version, given.main, given.master).facts;
        for need in given.missing {
            let (why, copy) = (Lack::Absent, None);
            facts.jail.set(need.clone(), State::Lacks { why, copy });
        }
        facts.table_types = given.types.iter().map(ToString::to_string).collect();
        for [domain, table, key, value] in given.routes {
            let route = Route {
                table: (*table).to_owned(),
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            };
            facts.routes.domains.insert((*domain).to_owned(), route);
        }
        facts
    }

    fn fitted(given: &Given) -> Result<Contribution, String> {
        let hosted = |_: &Provider| given.hosted.iter().map(ToString::to_string).collect();
        shown::fitted(|case| fit(case, hosted), &facts(given))
    }

    fn lines(given: &Given) -> Vec<String> {
        match fitted(given) {
            Ok(fitted) => shown::lines(
                &fitted.settings,
                &fitted.services,
                &fitted.tables,
                &fitted.findings,
            ),
            Err(why) => vec![why],
        }
    }

    #[track_caller]
    fn check(given: Given, expected: &[&str]) {
        let mut given = lines(&given);
        let mut expected = expected.to_vec();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected);
    }

    #[test]
    fn the_stock_host_gets_a_service_a_table_and_its_name() {
        check(STOCK, &[LINE, ITEM, BOTH]);
    }

    #[test]
    fn hosted_domains_are_listed_once() {
        let hosted = |hosted| Given { hosted, ..STOCK };
        let with = |more: &str| format!("{BOTH}{more}");
        let one = with(", example.com smtp-ipv4:");
        check(hosted(&["example.com"]), &[LINE, ITEM, &one]);
        check(
            hosted(&["example.com", "gmail.com", "example.com"]),
            &[LINE, ITEM, &one],
        );
    }

    #[test]
    fn what_chooses_the_way_already_is_not_overridden() {
        for (main, why) in [
            (
                "sender_dependent_default_transport_maps = hash:/etc/postfix/by",
                "`sender_dependent_default_transport_maps = hash:/etc/postfix/by` chooses the way by sender, and a transport entry would override it",
            ),
            (
                "sender_dependent_relayhost_maps = hash:/etc/postfix/by",
                "`sender_dependent_relayhost_maps = hash:/etc/postfix/by` chooses the way by sender, and a transport entry would override it",
            ),
            (
                "content_filter = scan:[127.0.0.1]:10025",
                "`content_filter = scan:[127.0.0.1]:10025` decides the way of mail, and a transport entry would meddle with it",
            ),
            (
                "default_transport = slow",
                "`default_transport` sends mail through the service `slow`, and a transport entry would override it",
            ),
            (
                "default_transport = slow:",
                "`default_transport` sends mail through the service `slow`, and a transport entry would override it",
            ),
        ] {
            check(Given { main, ..STOCK }, &[why]);
        }
        for main in [
            "sender_dependent_relayhost_maps =",
            "content_filter =",
            "default_transport = smtp:",
            "outer = smtp\ndefault_transport = $outer",
        ] {
            check(Given { main, ..STOCK }, &[LINE, ITEM, BOTH]);
        }
    }

    #[test]
    fn the_table_has_a_type_of_the_host_and_of_the_profile() {
        let check_type = |main, types, expected: &str| {
            let given = Given {
                main,
                types,
                ..STOCK
            };
            let kind = fitted(&given).map(|fitted| fitted.tables[0].kind.clone());
            assert_eq!(kind.unwrap_or_else(|why| why), expected);
        };
        let all = &["texthash", "cdb", "lmdb", "hash", "regexp"];
        check_type("", all, "hash");
        check_type("default_database_type = cdb", all, "cdb");
        // Not among the profile's, or not among the host's.
        check_type("default_database_type = dbm", &["dbm", "lmdb"], "lmdb");
        check_type("default_database_type = cdb", &["texthash"], "texthash");
        check_type(
            "",
            &["regexp", "pcre"],
            "none of the table types hash, lmdb, cdb, btree, texthash works here",
        );
    }

    #[test]
    fn a_table_of_ours_stays_named_as_it_is() {
        let check_item = |present: &str, default: &str, kind: &str, item: &str| {
            let main = format!("default_database_type = {default}\ntransport_maps = {present}");
            let given = Given {
                main: main.leak(),
                types: &["hash", "lmdb"],
                ..STOCK
            };
            let fitted = fitted(&given).unwrap();
            let wanted = Setting::Has {
                name: "transport_maps".to_owned(),
                item: item.to_owned(),
            };
            assert_eq!(fitted.tables[0].kind, kind);
            assert_eq!(fitted.settings, [wanted]);
        };
        let ours = |kind: &str| format!("{kind}:/etc/postfix/mailfix/transport");
        let (hash, lmdb, proxy) = (ours("hash"), ours("lmdb"), ours("proxy:hash"));
        check_item("", "lmdb", "lmdb", &lmdb);
        check_item(&format!("hash:/a, {hash}"), "lmdb", "hash", &hash);
        check_item(&proxy, "hash", "hash", &proxy);
        check_item(&ours("gone"), "hash", "hash", &hash);
        let variable = "hash:$config_directory/mailfix/transport";
        check_item(variable, "lmdb", "hash", &hash);
    }

    #[test]
    fn the_name_is_one_that_is_free_or_means_the_same() {
        let check_name = |master, expected: &str| {
            assert_eq!(free_name(&facts(&Given { master, ..STOCK })), expected);
        };
        check_name("", "smtp-ipv4");
        check_name("smtp-ipv4 inet n - n - - smtpd", "smtp-ipv4");
        check_name(
            "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4",
            "smtp-ipv4",
        );
        check_name("smtp-ipv4 unix - - n - - smtp", "smtp-ipv4-2");
        check_name(
            "smtp-ipv4 unix - - n - - lmtp\n -o inet_protocols=ipv4",
            "smtp-ipv4-2",
        );
        check_name(
            "smtp-ipv4 unix - - n - - smtp\nsmtp-ipv4-2 unix - - n - - smtp\n -o inet_protocols=all",
            "smtp-ipv4-3",
        );
        check_name(
            "smtp-ipv4 unix - - n - - smtp\nsmtp-ipv4-2 unix - - n - - smtp\n -o inet_protocols=ipv4",
            "smtp-ipv4-2",
        );
    }

    #[test]
    fn a_service_made_by_hand_is_taken_as_it_is() {
        let by_hand = "smtp-ipv4 unix - - n - 5 smtp\n -o inet_protocols=ipv4\n -o x=y";
        let given = Given {
            master: by_hand,
            ..STOCK
        };
        check(given, &[ITEM, BOTH]);
    }

    #[test]
    fn a_service_made_by_hand_is_mended_where_it_would_die() {
        let given = Given {
            master: "smtp-ipv4 unix - - y - - smtp\n -o inet_protocols=ipv4",
            ..STOCK
        };
        check(given, &[ITEM, BOTH]);
        let missing = Given {
            missing: &[Need::Resolver],
            ..given
        };
        check(
            missing,
            &["smtp-ipv4: chroot Some('n'), options []", ITEM, BOTH],
        );
        let interfaces = Given {
            main: "inet_interfaces = 192.0.2.1, [2001:db8::1]\nproxy_interfaces = 2001:db8::2",
            ..given
        };
        check(
            interfaces,
            &[
                "smtp-ipv4: chroot None, options [(\"inet_interfaces\", \"192.0.2.1\"), (\"proxy_interfaces\", \"\")]",
                ITEM,
                BOTH,
            ],
        );
    }

    #[test]
    fn routes_that_lead_to_an_ipv4_only_service_are_completed() {
        let routed = |routes| Given {
            master: V4,
            routes,
            ..STOCK
        };
        let note = |domain: &str| {
            format!("already-routed: `{TABLE}` sends `{domain}` over IPv4 only already")
        };
        // One of the two: the other follows through the same service.
        check(
            routed(&[["gmail.com", TABLE, "gmail.com", "v4:"]]),
            &[
                ITEM,
                "hash:transport: googlemail.com v4:",
                &note("gmail.com"),
            ],
        );
        // Both, in the ways transport(5) has of saying it.
        check(
            routed(&[
                ["gmail.com", TABLE, "gmail.com", "v4:gmail.com"],
                ["googlemail.com", TABLE, ".com", "v4"],
            ]),
            &[&note("gmail.com"), &note("googlemail.com")],
        );
    }

    #[test]
    fn a_route_of_the_administrators_wins() {
        let check_route = |master, value: &'static str| {
            let routes: &'static [[&str; 4]] =
                vec![["gmail.com", TABLE, "gmail.com", value]].leak();
            let left = format!(
                "own-route: `{TABLE}` routes `gmail.com` to `{value}`, which stays as it is"
            );
            let given = Given {
                master,
                routes,
                ..STOCK
            };
            let rest = "hash:transport: googlemail.com smtp-ipv4:";
            check(given, &[LINE, ITEM, rest, &left]);
        };
        check_route("", "relay:[mx.example]");
        check_route("", "smtp:");
        check_route("", ":");
        check_route("", "v4:"); // which is not there
        check_route(V4, "v4:[mx.example]"); // another host
        let both = Given {
            routes: &[
                ["gmail.com", TABLE, ".com", "smtp:"],
                ["googlemail.com", TABLE, ".com", "smtp:"],
            ],
            ..STOCK
        };
        let fitted = fitted(&both).unwrap();
        assert_eq!(fitted.outcome, "your own entries decide");
        assert!(fitted.services.is_empty() && fitted.settings.is_empty());
        assert_eq!(fitted.findings.len(), 2);
    }

    #[test]
    fn a_wildcard_to_a_service_of_ones_own_is_not_overridden() {
        let check_rest = |value: &str, fits: bool| {
            let mut facts = facts(&STOCK);
            facts.routes.rest = Some(Route {
                table: TABLE.to_owned(),
                key: "*".to_owned(),
                value: value.to_owned(),
            });
            let why = format!(
                "`*` in `{TABLE}` sends mail through the service `slow`, and a transport entry would override it"
            );
            assert_eq!(overrides(&facts), (!fits).then_some(why), "{value}");
        };
        check_rest("slow:", false);
        check_rest("slow", false);
        check_rest("smtp:", true);
        check_rest(":", true);
    }

    #[test]
    fn a_route_to_a_missing_service_of_our_name_is_half_of_the_cure() {
        let given = Given {
            routes: &[["gmail.com", TABLE, "gmail.com", "smtp-ipv4:"]],
            ..STOCK
        };
        let half = format!(
            "half-routed: `{TABLE}` sends `gmail.com` to `smtp-ipv4`, a service that is missing and is made"
        );
        let rest = "hash:transport: googlemail.com smtp-ipv4:";
        check(given, &[LINE, ITEM, rest, &half]);
    }

    #[test]
    fn options_of_the_hosts_own_client_are_copied() {
        let check_line = |version, smtp: &str, expected: &str| {
            let master = format!("smtp unix {smtp}").leak();
            let given = Given {
                version,
                master,
                ..STOCK
            };
            check(given, &[expected, ITEM, BOTH]);
        };
        check_line(
            "3.7.11",
            "- - n - 7 smtp\n -o smtp_helo_name=a.example -v",
            "smtp-ipv4 unix - - n - 7 smtp -o smtp_helo_name=a.example -o inet_protocols=ipv4",
        );
        check_line(
            "3.7.11",
            "y n n 9 - smtp\n -o inet_protocols=all -o smtp_bind_address=192.0.2.1\n -o smtp_bind_address6=2001:db8::1 -o smtp_address_preference=ipv6",
            "smtp-ipv4 unix y n n 9 - smtp -o smtp_bind_address=192.0.2.1 -o inet_protocols=ipv4",
        );
        check_line(
            "3.7.11",
            "- - n - - smtp\n -o { smtp_tls_mandatory_ciphers = high }\n -o { smtp_header_checks = regexp:/a, regexp:/b }",
            "smtp-ipv4 unix - - n - - smtp -o smtp_tls_mandatory_ciphers=high -o { smtp_header_checks = regexp:/a, regexp:/b } -o inet_protocols=ipv4",
        );
        check_line(
            "2.10.1",
            "- - n - - smtp\n -o smtp_header_checks=regexp:/a,regexp:/b",
            "smtp-ipv4 unix - - n - - smtp -o smtp_header_checks=regexp:/a,regexp:/b -o inet_protocols=ipv4",
        );
    }

    #[test]
    fn it_is_chrooted_only_as_the_hosts_own_client_is_and_only_if_it_works() {
        let check_letter = |letter: &str, missing, expected: &str| {
            let given = Given {
                master: format!("smtp unix - - {letter} - - smtp").leak(),
                missing,
                ..STOCK
            };
            let line = format!("smtp-ipv4 unix - - {expected} - - smtp -o inet_protocols=ipv4");
            check(given, &[&line, ITEM, BOTH]);
        };
        check_letter("y", &[], "y");
        check_letter("y", &[Need::Resolver], "n");
        check_letter("n", &[Need::Resolver], "n");
        check_letter("-", &[], "n");
    }

    #[test]
    fn interfaces_of_ipv6_are_kept_from_it() {
        let check_interfaces = |main, expected: &str| {
            let line = format!("{LINE}{expected}");
            check(Given { main, ..STOCK }, &[&line, ITEM, BOTH]);
        };
        check_interfaces("inet_interfaces = 192.0.2.1", "");
        check_interfaces("inet_interfaces = loopback-only", "");
        check_interfaces(
            "inet_interfaces = 192.0.2.1, 2001:db8::1, localhost",
            " -o inet_interfaces=192.0.2.1,localhost",
        );
        check_interfaces("inet_interfaces = [2001:db8::1]", " -o inet_interfaces=all");
        check_interfaces("proxy_interfaces = 2001:db8::1", " -o proxy_interfaces=");
        check_interfaces(
            "own = 2001:db8::1\nproxy_interfaces = $own 198.51.100.1",
            " -o proxy_interfaces=198.51.100.1",
        );
    }

    #[test]
    fn interfaces_of_the_hosts_own_client_are_copied_unless_they_are_ipv6() {
        let check_option = |option: &str, expected: &str| {
            let given = Given {
                main: "inet_interfaces = 192.0.2.1, [2001:db8::1]",
                master: format!("smtp unix - - n - - smtp -o inet_interfaces={option}").leak(),
                ..STOCK
            };
            let line = format!("smtp-ipv4 unix - - n - - smtp {expected}");
            check(given, &[&line, ITEM, BOTH]);
        };
        check_option(
            "192.0.2.7",
            "-o inet_interfaces=192.0.2.7 -o inet_protocols=ipv4",
        );
        check_option(
            "192.0.2.7,2001:db8::7",
            "-o inet_protocols=ipv4 -o inet_interfaces=192.0.2.7",
        );
    }

    #[test]
    fn limits_of_the_hosts_own_client_are_followed() {
        let check_limits = |main, expected: &[&str]| {
            let given = facts(&Given { main, ..STOCK });
            let given = shown::lines(&limits("smtp-ipv4", &given), &[], &[], &[]);
            assert_eq!(given, expected);
        };
        check_limits("", &[]);
        check_limits("default_destination_concurrency_limit = 3", &[]);
        let follows =
            "smtp-ipv4_destination_concurrency_limit = $smtp_destination_concurrency_limit";
        check_limits("smtp_destination_concurrency_limit = 3", &[follows]);
        check_limits(
            "smtp_destination_concurrency_limit = 3\nsmtp_destination_rate_delay = 1s",
            &[
                follows,
                "smtp-ipv4_destination_rate_delay = $smtp_destination_rate_delay",
            ],
        );
        check_limits(
            "smtp_destination_concurrency_limit = 3\nsmtp-ipv4_destination_concurrency_limit = 9",
            &[],
        );
        check_limits(
            "smtp_destination_concurrency_limit = 3\nsmtp-ipv4_destination_concurrency_limit = $smtp_destination_concurrency_limit",
            &[follows],
        );
    }

    #[test]
    fn a_default_of_our_transport_is_no_value_of_the_administrators() {
        let given = Given {
            main: "smtp_destination_concurrency_limit = 3",
            ..STOCK
        };
        let mut facts = facts(&given);
        // So postconf(1) shows it as soon as master.cf has the service.
        facts.parameters.set(
            "smtp-ipv4_destination_concurrency_limit",
            "$default_destination_concurrency_limit",
        );
        assert_eq!(limits("smtp-ipv4", &facts).len(), 1);
    }
}
