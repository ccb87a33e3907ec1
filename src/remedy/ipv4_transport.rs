//! Send the recipient domains of a provider through an smtp(8) client without IPv6.
//!
//! Fits every version of Postfix. It goes by recipient domain: the provider's own ones
//! and those the site file lists as hosted there. What the administrator has routed
//! already stays as it is, and what is half done by hand is completed.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::finding::Finding;
use crate::host::{ANYBODY, Facts, Route};
use crate::postfix::{Field, Service, ServiceType, Version, split_list};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::{Contribution, Named, named};
use crate::target::{Ensure, ServiceWanted, Setting, TableWanted};
use crate::template::{self, TemplateError};

/// The name of our service; a number follows where it is taken.
const NAME: &str = "smtp-ipv4";

/// The name of the table's file and template.
pub const FILE: &str = "transport";

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
    inet_interfaces: Option<String>,
    proxy_interfaces: Option<String>,
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
pub fn fit(
    providers: &[&Provider],
    hosted: impl Fn(&Provider) -> Vec<String>,
    profile: &Profile,
    facts: &Facts,
) -> Result<Result<Contribution, String>, TemplateError> {
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
        return Ok(Err(format!(
            "this Postfix has none of the table types {} (`postconf -m`)",
            profile.tables.join(", ")
        )));
    };
    let mut contribution = Contribution::default();
    let mut entries = Vec::new();
    let mut by_hand = None;
    let mut seen = BTreeSet::new();
    for provider in providers {
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
    let (service, reasons) = service(&name, facts)?;
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
    contribution.outcome = format!("`{name}` takes mail to {}", listed.join(", "));
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

/// The host's own default, if the profile has it among its types; else the first the host has.
fn table_type(profile: &Profile, facts: &Facts) -> Option<String> {
    let has = |kind: &str| facts.table_types.contains(kind);
    let default = facts.parameters.get("default_database_type");
    if profile.tables.contains(&default) && has(&default) {
        return Some(default);
    }
    profile.tables.iter().find(|kind| has(kind)).cloned()
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

/// What master.cf must say of our service, and the words why.
fn service(
    name: &str,
    facts: &Facts,
) -> Result<(Option<ServiceWanted>, Vec<String>), TemplateError> {
    let smtp = facts.service("smtp", &ServiceType::Unix);
    let (chroot, why) = chroot_letter(smtp, facts);
    // A service that is there has options of its own; a new one takes those of `smtp`.
    let like = facts.service(name, &ServiceType::Unix).or(smtp);
    let members = |parameter: &str, none: &str| {
        let value = match like.and_then(|like| like.option(parameter)) {
            Some(own) => facts.parameters.expand(own),
            None => facts.parameters.get(parameter),
        };
        ipv4_members(&split_list(&value), none)
    };
    let inet_interfaces = members("inet_interfaces", "all");
    let proxy_interfaces = members("proxy_interfaces", "");
    let mut reasons = vec![why];
    if inet_interfaces.is_some() || proxy_interfaces.is_some() {
        reasons.push(format!(
            "`inet_interfaces` or `proxy_interfaces` names an IPv6 address, at which a client without IPv6 dies: `{name}` gets the IPv4 ones only"
        ));
    }
    let wanted = |ensure| ServiceWanted {
        name: name.to_owned(),
        kind: ServiceType::Unix,
        ensure,
    };
    if let Some(present) = facts.service(name, &ServiceType::Unix) {
        // It is there already, ours or made by hand: only what would make it fail is mended.
        let mut reasons = reasons.split_off(1);
        let dies = facts.is_chrooted(present) && !facts.jail.is_complete();
        let letter = dies.then_some('n');
        if dies {
            reasons.push(format!(
                "`{name}` runs chrooted, and the jail in the queue directory lacks {}: its chroot column becomes `n`",
                facts.jail.missing.join(", ")
            ));
        }
        let mut options = Vec::new();
        for (option, value) in [
            ("inet_interfaces", inet_interfaces),
            ("proxy_interfaces", proxy_interfaces),
        ] {
            options.extend(value.map(|value| (option.to_owned(), value)));
        }
        if letter.is_none() && options.is_empty() {
            return Ok((None, Vec::new()));
        }
        return Ok((
            Some(wanted(Ensure::Words {
                chroot: letter,
                options,
            })),
            reasons,
        ));
    }
    let options = smtp
        .map(|smtp| {
            let is_replaced = |name: &str| {
                NOT_COPIED.contains(&name)
                    || (name == "inet_interfaces" && inet_interfaces.is_some())
                    || (name == "proxy_interfaces" && proxy_interfaces.is_some())
            };
            copied(smtp, facts.version, is_replaced)
        })
        .unwrap_or_default();
    let field = |field: Field| smtp.map_or("-", |smtp| smtp.field(field)).to_owned();
    let variables = ServiceVariables {
        // As wide as the columns of the master.cf that Postfix comes with.
        columns: format!(
            "{name:<9} unix  {:<7} {:<7} {chroot:<7} {:<7} {:<7}",
            field(Field::Private),
            field(Field::Unprivileged),
            field(Field::Wakeup),
            field(Field::ProcessLimit),
        ),
        options,
        inet_interfaces,
        proxy_interfaces,
    };
    let text = template::render("service.cf", &variables)?;
    Ok((Some(wanted(Ensure::Whole(text))), reasons))
}

/// `y` only if the host's own client really runs chrooted and the jail is complete.
fn chroot_letter(smtp: Option<&Service>, facts: &Facts) -> (char, String) {
    match smtp {
        Some(smtp) if facts.is_chrooted(smtp) => {
            if facts.jail.is_complete() {
                ('y', "the chroot column is `y`, as the `smtp` service runs chrooted and its jail is complete".to_owned())
            } else {
                let missing = facts.jail.missing.join(", ");
                ('n', format!("the chroot column is `n`, because the jail in the queue directory lacks {missing}"))
            }
        }
        Some(smtp) if smtp.chroot.is_none() => (
            'n',
            "the chroot column is `n`: the `-` of the `smtp` service means not chrooted here, and something else in other versions".to_owned(),
        ),
        _ => ('n', "the chroot column is `n`, as the `smtp` service does not run chrooted".to_owned()),
    }
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

/// The IPv4 members of a list of interfaces, if it names an IPv6 address; `none` where nothing is left.
fn ipv4_members(list: &[String], none: &str) -> Option<String> {
    let is_ipv6 = |word: &String| {
        word.trim_matches(['[', ']'])
            .parse::<std::net::Ipv6Addr>()
            .is_ok()
    };
    if !list.iter().any(is_ipv6) {
        return None;
    }
    let rest: Vec<&str> = list
        .iter()
        .filter(|word| !is_ipv6(word))
        .map(String::as_str)
        .collect();
    Some(if rest.is_empty() {
        none.to_owned()
    } else {
        rest.join(",")
    })
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
    use crate::host;
    use crate::postfix::MasterCf;

    fn facts(master: &str) -> Facts {
        let profile = Profile::built_in("linux").unwrap();
        let mut facts = host::stock(&profile).unwrap().facts;
        let document = MasterCf::parse(master.as_bytes());
        facts.services = document.services().cloned().collect();
        facts
    }

    const SMTP: &str = "smtp unix - - n - - smtp\n";

    fn fitted(facts: &Facts) -> Result<Contribution, String> {
        let google = Provider::all()
            .into_iter()
            .find(|provider| provider.id == "google")
            .unwrap();
        let profile = Profile::built_in("linux").unwrap();
        fit(&[&google], |_| Vec::new(), &profile, facts).unwrap()
    }

    fn text(contribution: &Contribution) -> String {
        match contribution.services.first().map(|service| &service.ensure) {
            Some(Ensure::Whole(text)) => text.clone(),
            Some(Ensure::Words { chroot, options }) => format!("{chroot:?} {options:?}"),
            None => String::new(),
        }
    }

    fn route(key: &str, value: &str) -> Route {
        Route {
            table: "hash:/etc/postfix/transport".to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_wildcard_to_a_service_of_ones_own_is_not_overridden() {
        let mut facts = facts(&format!("{SMTP}slow unix - - n - - smtp\n"));
        for (value, fits) in [
            ("slow:", false),
            ("slow", false),
            ("smtp:", true),
            (":", true),
        ] {
            facts.routes.rest = Some(route("*", value));
            assert_eq!(fitted(&facts).is_ok(), fits, "{value}");
        }
        facts.routes.rest = Some(route("*", "slow:"));
        let why = fitted(&facts).unwrap_err();
        assert!(
            why.starts_with("`*` in `hash:/etc/postfix/transport`"),
            "{why}"
        );
    }

    #[test]
    fn a_route_to_a_missing_service_of_our_name_is_half_of_the_cure() {
        let mut facts = facts(SMTP);
        let half = route("gmail.com", "smtp-ipv4:");
        facts.routes.domains.insert("gmail.com".to_owned(), half);
        let contribution = fitted(&facts).unwrap();
        assert_eq!(contribution.findings[0].code, "half-routed");
        assert!(text(&contribution).starts_with("smtp-ipv4 "));
        assert!(!contribution.tables[0].text.contains("\ngmail.com"));
        // Another name is not guessed about.
        let other = route("gmail.com", "gsmtp:");
        facts.routes.domains.insert("gmail.com".to_owned(), other);
        assert_eq!(fitted(&facts).unwrap().findings[0].code, "own-route");
    }

    #[test]
    fn interfaces_with_ipv6_are_replaced_wherever_they_are_named() {
        let mut facts = facts(&format!("{SMTP}  -o inet_interfaces=192.0.2.7\n"));
        facts
            .parameters
            .set("inet_interfaces", "192.0.2.1, [2001:db8::1]");
        assert!(text(&fitted(&facts).unwrap()).contains("-o inet_interfaces=192.0.2.7\n"));
        let mut facts = self::facts(&format!(
            "{SMTP}  -o inet_interfaces=192.0.2.7,2001:db8::7\n"
        ));
        let service = text(&fitted(&facts).unwrap());
        assert!(
            service.contains("-o inet_interfaces=192.0.2.7\n"),
            "{service}"
        );
        assert!(!service.contains("2001"), "{service}");
        facts = self::facts(&format!(
            "{SMTP}smtp-ipv4 unix - - n - - smtp -o inet_protocols=ipv4\n"
        ));
        facts.parameters.set("proxy_interfaces", "2001:db8::1");
        assert_eq!(
            text(&fitted(&facts).unwrap()),
            "None [(\"proxy_interfaces\", \"\")]"
        );
    }

    #[test]
    fn a_table_of_ours_stays_named_as_it_is() {
        let has = |present: &str, default: &str| {
            let mut facts = facts(SMTP);
            facts.table_types.insert("lmdb".to_owned());
            facts.parameters.set("default_database_type", default);
            facts.parameters.set("transport_maps", present);
            let contribution = fitted(&facts).unwrap();
            let setting = contribution.settings.last().unwrap().clone();
            (contribution.tables[0].kind.clone(), setting)
        };
        for (present, default, kind, item) in [
            ("", "lmdb", "lmdb", "lmdb:/etc/postfix/mailfix/transport"),
            (
                "hash:/a, hash:/etc/postfix/mailfix/transport",
                "lmdb",
                "hash",
                "hash:/etc/postfix/mailfix/transport",
            ),
            (
                "proxy:hash:/etc/postfix/mailfix/transport",
                "hash",
                "hash",
                "proxy:hash:/etc/postfix/mailfix/transport",
            ),
            (
                "gone:/etc/postfix/mailfix/transport",
                "hash",
                "hash",
                "hash:/etc/postfix/mailfix/transport",
            ),
        ] {
            let wanted = Setting::Has {
                name: "transport_maps".to_owned(),
                item: item.to_owned(),
            };
            assert_eq!(
                has(present, default),
                (kind.to_owned(), wanted),
                "{present}"
            );
        }
    }

    #[test]
    fn a_domain_is_listed_once() {
        let google = Provider::all()
            .into_iter()
            .find(|provider| provider.id == "google")
            .unwrap();
        let profile = Profile::built_in("linux").unwrap();
        let hosted = |_: &Provider| vec!["a.example".to_owned(), "gmail.com".to_owned()];
        let fitted = fit(&[&google], hosted, &profile, &facts(SMTP)).unwrap();
        let text = fitted.unwrap().tables.remove(0).text;
        assert_eq!(text.matches("\ngmail.com ").count(), 1, "{text}");
    }

    #[test]
    fn limits_of_the_client_hold_for_ours_too() {
        let mut facts = facts(SMTP);
        facts
            .explicit
            .insert("smtp_destination_rate_delay".to_owned());
        let wanted = Setting::Is {
            name: "smtp-ipv4_destination_rate_delay".to_owned(),
            value: "$smtp_destination_rate_delay".to_owned(),
        };
        assert!(fitted(&facts).unwrap().settings.contains(&wanted));
        facts
            .parameters
            .set("smtp-ipv4_destination_rate_delay", "9s");
        assert!(!fitted(&facts).unwrap().settings.contains(&wanted));
    }
}
