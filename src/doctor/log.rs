//! What the mail log of the last days tells.
//!
//! Owns how a group of failures becomes a witness. Must not know how logs are read.

use jiff::civil::DateTime;

use super::queue::quoted;
use super::{By, Harm, Witness};
use crate::cause;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{Group, Report, is_recipients};
use crate::finding::Severity;
use crate::stats::{Family, Stamp};

/// What each group of failures tells.
#[must_use]
pub fn witnesses(report: &Report, knowledge: &Knowledge) -> Vec<Witness> {
    let groups = report.groups.iter();
    groups.map(|group| witness(group, knowledge)).collect()
}

fn witness(group: &Group, knowledge: &Knowledge) -> Witness {
    let mut says = quoted(&group.title(knowledge));
    let words = quoted(&group.quoted());
    if !words.is_empty() {
        says = format!("{says}: {words}");
    }
    Witness {
        by: By::Log,
        code: group.code().to_owned(),
        severity: if is_theirs(group) {
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
        harm: Some(match group.harm {
            cause::Harm::Lost => Harm::Lost,
            cause::Harm::Stuck => Harm::Stuck,
            cause::Harm::Delayed => Harm::Delayed,
            cause::Harm::Harmless => Harm::Hygiene,
        }),
        commands: group.commands(knowledge),
        steps: group.steps(knowledge),
    }
}

/// Whether it is nothing that this host could do better: mail for who is not there, mail that took
/// the next address at once, or that has arrived by now.
fn is_theirs(group: &Group) -> bool {
    let has_arrived = group.recipients > 0 && group.ends.delivered == group.recipients;
    group.is_detour || has_arrived || is_recipients(&group.cause)
}

/// The time of a log as a calendar has it.
fn moment(stamp: Stamp) -> Option<DateTime> {
    stamp.to_string().replace(' ', "T").parse().ok()
}
