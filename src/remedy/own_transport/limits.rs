//! How much a client of its own sends at a time.
//!
//! Owns the parameters that qmgr(8) reads per transport, and how a provider's limits are said
//! with them. Those set for the host's own client, or for all clients, hold for ours too; of two
//! limits the stricter one holds. Which parameters this Postfix has is what postconf(1) says.

use super::{Client, IPV4_ONLY, clients_named, processes};
use crate::finding::Finding;
use crate::host::Facts;
use crate::postfix::{Field, Service, ServiceType};
use crate::provider::Limits;
use crate::target::Setting;

/// How many deliveries to one domain run at once.
const CONCURRENCY: &str = "_destination_concurrency_limit";

/// How often a connection fails before Postfix lets a whole domain rest, in rounds of as many
/// deliveries as run at once.
const FAILURES: &str = "_destination_concurrency_failed_cohort_limit";

/// The pause between two deliveries, whatever the domain (3.1 and later).
const PAUSE: &str = "_transport_rate_delay";

/// The pause between two deliveries to one domain; they then come one at a time.
const PAUSE_OF_DOMAIN: &str = "_destination_rate_delay";

/// Failures in a row that a domain is given where deliveries come one at a time: with Postfix's
/// own 1 a single failed connection would hold all its mail up.
// postconf(5), "default_destination_rate_delay"
const PATIENCE: u32 = 10;

/// What a client needs so that there are never more connections than clients. One that is kept open
/// for the next delivery counts at the receiver too, and so does one that the receiver has not closed
/// yet: no limit of Postfix's knows of either.
const NO_MORE: [(&str, &str); 3] = [
    ("smtp_connection_cache_on_demand", "no"),
    ("smtp_connection_cache_destinations", ""),
    ("smtp_skip_quit_response", "no"),
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

/// What main.cf says of a client's limits: those of `smtp`, which it follows when they are changed,
/// and what the provider takes.
pub(super) fn limits(name: &str, client: Client<'_>, facts: &Facts) -> Vec<Setting> {
    wished(client, facts)
        .into_iter()
        .filter(|(end, _)| theirs(name, end, client, facts).is_none())
        .map(|(end, value)| Setting::Is {
            name: format!("{name}{end}"),
            value,
        })
        .collect()
}

/// The limits that main.cf sets for a service of ours as we would.
#[must_use]
pub fn own_limits(name: &str, facts: &Facts) -> Vec<String> {
    let clients = [clients_named(name), vec![IPV4_ONLY]].concat();
    let is_ours = |end: &str| {
        let mut clients = clients.iter();
        clients.any(|client| theirs(name, end, *client, facts).is_none())
    };
    let own = PER_TRANSPORT.iter().filter(|end| is_ours(end));
    own.map(|end| format!("{name}{end}"))
        .filter(|own| facts.explicit.contains(own))
        .collect()
}

/// The value of a limit that the administrator has given a service of ours, which is meant: one that
/// is none of those we would give it. The default that postconf(1) shows of every service is none.
fn theirs<'f>(name: &str, end: &str, client: Client<'_>, facts: &'f Facts) -> Option<&'f str> {
    let own = format!("{name}{end}");
    let value = facts.parameters.raw(&own)?;
    let is_ours = || {
        let mut figures = client.limits().into_iter().flat_map(figures);
        let of_others = [format!("$smtp{end}"), format!("$default{end}")];
        of_others.iter().any(|other| other == value)
            || figures.any(|figure| figure == (end, value.to_owned()))
    };
    (facts.explicit.contains(&own) && !is_ours()).then_some(value)
}

/// Tells whether this Postfix can pause between two deliveries whatever their domain.
#[must_use]
pub fn pauses_for_all(facts: &Facts) -> bool {
    knows(PAUSE, facts)
}

/// Tells whether this Postfix has a limit: its default is a parameter of its own.
fn knows(end: &str, facts: &Facts) -> bool {
    facts.parameters.raw(&format!("default{end}")).is_some()
}

/// Tells of figures of the administrator's own that are above what the provider takes.
pub(super) fn differing(name: &str, client: Client<'_>, facts: &Facts) -> Vec<Finding> {
    let Some((provider, limits)) = client.paced.zip(client.limits()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let present = facts.service(name, &ServiceType::Unix);
    if let Some((has, takes)) = present.and_then(processes).zip(limits.connections)
        && has > takes
    {
        found.push(format!(
            "`{name}` may run {has} times at once, and {} takes {}",
            provider.name,
            limits.in_words()
        ));
    }
    for (end, value) in wished(client, facts) {
        if let Some(has) = theirs(name, end, client, facts) {
            found.push(format!("main.cf sets `{name}{end} = {has}`, not `{value}`"));
        }
    }
    let finding = |title| {
        Finding::note("own-pace", title)
            .because("it is yours, so it stays")
            .mend("if it is not meant, delete the parameter, or write the number into the process limit column")
    };
    found.into_iter().map(finding).collect()
}

/// The process limit of a new service: all that Postfix has to hold a whole provider, for its
/// limits go by single domains.
pub(super) fn process_limit(client: Client<'_>, smtp: Option<&Service>, facts: &Facts) -> String {
    let own = smtp.map_or("-", |smtp| smtp.field(Field::ProcessLimit));
    let Some(takes) = client.limits().and_then(|limits| limits.connections) else {
        return own.to_owned();
    };
    let present = match own {
        "-" => number(&facts.parameters.get("default_process_limit")).filter(|limit| *limit > 0),
        _ => smtp.and_then(processes),
    };
    let least = present.map_or(takes, |own| own.min(takes));
    least.to_string()
}

/// The options that keep a client of a provider's from leaving connections open.
pub(super) fn no_more_connections(client: Client<'_>, facts: &Facts) -> Vec<(String, String)> {
    let smtp = facts.service("smtp", &ServiceType::Unix);
    let present = |name: &str| match smtp {
        Some(smtp) => facts.of_service(smtp, name),
        None => facts.parameters.get(name),
    };
    let options = NO_MORE.iter().filter(|_| client.limits().is_some());
    options
        .filter(|(name, value)| facts.parameters.raw(name).is_some() && present(name) != *value)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The limits to set, in the order of [`PER_TRANSPORT`]: the end of the parameter, and its value.
fn wished(client: Client<'_>, facts: &Facts) -> Vec<(&'static str, String)> {
    let taken = client.limits().map(|limits| taken(limits, facts));
    let taken = taken.unwrap_or_default();
    let wished = PER_TRANSPORT.iter().filter_map(|&end| {
        let of_smtp = format!("smtp{end}");
        let of_all = format!("default{end}");
        let follows = facts.explicit.contains(&of_smtp);
        let present = if follows { &of_smtp } else { &of_all };
        let present = facts.parameters.get(present);
        let taken = taken.iter().find(|(known, _)| *known == end);
        match taken {
            Some((_, value)) if !is_stricter(end, &present, value) => Some((end, value.clone())),
            // Whoever holds all clients back means this one too.
            Some(_) if !follows => {
                let is_set = facts.explicit.contains(&of_all);
                is_set.then(|| (end, format!("${of_all}")))
            }
            _ => follows.then(|| (end, format!("${of_smtp}"))),
        }
    });
    wished.collect()
}

/// What this Postfix can be told of a provider's limits.
fn taken(limits: &Limits, facts: &Facts) -> Vec<(&'static str, String)> {
    let pauses_for_all = pauses_for_all(facts);
    let is_one_at_a_time =
        limits.connections == Some(1) || (limits.delay.is_some() && !pauses_for_all);
    figures(limits)
        .into_iter()
        .filter(|(end, _)| match *end {
            PAUSE_OF_DOMAIN => !pauses_for_all && knows(end, facts),
            FAILURES => is_one_at_a_time && knows(end, facts),
            end => knows(end, facts),
        })
        .collect()
}

/// A provider's limits in Postfix's words, whatever its version has.
fn figures(limits: &Limits) -> Vec<(&'static str, String)> {
    let connections = limits
        .connections
        .map(|most| (CONCURRENCY, most.to_string()));
    let pauses = limits.delay.iter().flat_map(|delay| {
        let pause = |end| (end, delay.clone());
        [pause(PAUSE), pause(PAUSE_OF_DOMAIN)]
    });
    let patience = (FAILURES, PATIENCE.to_string());
    connections
        .into_iter()
        .chain(pauses)
        .chain([patience])
        .collect()
}

/// Tells whether a value for the host's own client keeps more mail back than ours.
fn is_stricter(end: &str, present: &str, ours: &str) -> bool {
    match end {
        // 0 is no limit.
        CONCURRENCY => number(present)
            .zip(number(ours))
            .is_some_and(|(present, ours)| present > 0 && present < ours),
        // More patience is what it is set for.
        FAILURES => number(present) > number(ours),
        _ => seconds(present) > seconds(ours),
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// A span of time as Postfix writes it, in seconds.
// postconf(5), "default_destination_rate_delay": s, m, h, d, w; without one it is seconds
fn seconds(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 's') => (text.get(..at)?, 1),
        (at, 'm') => (text.get(..at)?, 60),
        (at, 'h') => (text.get(..at)?, 3_600),
        (at, 'd') => (text.get(..at)?, 86_400),
        (at, 'w') => (text.get(..at)?, 604_800),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
