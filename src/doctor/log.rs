//! What the mail log of the last days tells.
//!
//! Owns how a group of failures becomes a witness, and the command that follows from what its
//! words name. Must not know how logs are read.

use std::collections::BTreeMap;

use jiff::civil::DateTime;

use super::queue::quoted;
use super::{By, Harm, Witness, typed};
use crate::cause;
use crate::check::add_client;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{From, Group, Report};
use crate::finding::{Severity, escape};
use crate::host::Facts;
use crate::provider::Provider;
use crate::remedy::own_transport;
use crate::stats::{Family, Stamp};

/// What each group of failures tells of these instances of Postfix. `routes` are the entries of our
/// transport table: domain and value.
#[must_use]
pub fn witnesses(
    report: &Report,
    knowledge: &Knowledge,
    instances: &[Facts],
    routes: &BTreeMap<String, String>,
) -> Vec<Witness> {
    let groups = report.groups.iter();
    groups
        .map(|group| Witness {
            commands: commands(group, knowledge, instances, routes),
            ..witness(group, knowledge)
        })
        .collect()
}

fn witness(group: &Group, knowledge: &Knowledge) -> Witness {
    let mut says = escape(&group.title(knowledge));
    let words = quoted(&group.quoted());
    if !words.is_empty() {
        says = format!("{says}: {words}");
    }
    Witness {
        by: By::Log,
        code: group.code().to_owned(),
        severity: if is_theirs(group, knowledge) {
            Severity::Note
        } else {
            group.severity()
        },
        says,
        place: None,
        count: Some(group.messages.max(group.tries)),
        first: group.first.and_then(moment),
        last: group.last.and_then(moment),
        why: Some(group.meaning(knowledge)),
        fix: None,
        family: match group.family {
            Family::V4 => Some(4),
            Family::V6 => Some(6),
            Family::None => None,
        },
        // A line that tells of a fault shows no message that met it.
        harm: (group.messages > 0).then_some(match group.harm {
            cause::Harm::Lost => Harm::Lost,
            cause::Harm::Stuck => Harm::Stuck,
            cause::Harm::Delayed => Harm::Delayed,
            cause::Harm::Harmless => Harm::Hygiene,
        }),
        commands: Vec::new(),
        steps: group.steps(knowledge),
    }
}

/// What to type, by what its words name or else by the cause alone.
fn commands(
    group: &Group,
    knowledge: &Knowledge,
    instances: &[Facts],
    routes: &BTreeMap<String, String>,
) -> Vec<String> {
    if let Some(command) = missing_client(group, instances) {
        return vec![command];
    }
    // Where it goes at the receiver's pace, a plan has done what it can.
    let gentler = group.gentler(knowledge);
    if gentler.is_some_and(|provider| has_pace(group, provider, routes)) {
        return Vec::new();
    }
    let own = group.commands(knowledge).into_iter();
    own.map(|words| format!("mailfix {words}")).collect()
}

/// Whether all that mail goes through a client that keeps to the receiver's pace.
fn has_pace(group: &Group, provider: &Provider, routes: &BTreeMap<String, String>) -> bool {
    let is_paced = |domain: &String| {
        let service = routes.get(domain).and_then(|value| value.split(':').next());
        service.is_some_and(|service| own_transport::is_paced(service, Some(provider)))
    };
    group.further == 0 && group.domains.iter().all(|(domain, _)| is_paced(domain))
}

/// What makes the service that a line misses, where master.cf has none of that name.
fn missing_client(group: &Group, instances: &[Facts]) -> Option<String> {
    const SOCKET: &str = "connect to transport private/";
    let (_, rest) = group.words.split_once(SOCKET)?;
    let (name, _) = rest.split_once(':')?;
    let From::Program(program) = &group.from else {
        return None;
    };
    let is_of = |facts: &&Facts| {
        let syslog_name = facts.parameters.get("syslog_name");
        program
            .rsplit_once('/')
            .is_some_and(|(of, _)| of == syslog_name)
    };
    let facts = instances.iter().find(is_of)?;
    let is_there = facts.services.iter().any(|service| service.name == name);
    let words = (!is_there)
        .then(|| add_client(&facts.config, name))
        .flatten()?;
    typed(&words).0.pop()
}

/// Whether it is nothing that this host could do better: mail for who is not there, mail that took
/// the next address at once, or that has arrived by now.
fn is_theirs(group: &Group, knowledge: &Knowledge) -> bool {
    let has_arrived = group.recipients > 0 && group.ends.delivered == group.recipients;
    group.is_detour || has_arrived || knowledge.recipients_matter(&group.cause).is_some()
}

/// The time of a log as a calendar has it.
fn moment(stamp: Stamp) -> Option<DateTime> {
    stamp.to_string().replace(' ', "T").parse().ok()
}
