//! Changing DNS: what is written to which zone, in which order, and how it is taken back.
//!
//! Owns the plan of an update, its sending and its inverse. A zone changes as a whole or not at
//! all, and only if it still is as it was read; the server sees to that. How far an update of
//! several zones came is read off the zones.
//! Must not know what the records are good for, what is asked of whom, or how it is printed.

mod first_hand;
mod receipt;

use std::collections::BTreeMap;

use crate::dns::Name;
use crate::dns::update::{Present, RecordSet, SetChange, UpdateError, UpdateServer, ZoneChange};
use crate::records::live::RrsetChange;

pub use first_hand::FirstHand;
pub use receipt::{State, UpdateReceipt, states};

/// What an update would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The zones and what becomes of them, in the order they are changed.
    pub zones: Vec<ZoneChange>,
    /// Changes of names that the server has no zone for.
    pub elsewhere: Vec<RrsetChange>,
}

/// A failure to plan an update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The server did not say what stands there.
    #[error(transparent)]
    Server(#[from] UpdateError),
    /// A set is not as it was a moment ago.
    #[error("{kind} of `{}` changed while it was looked at", .name.host())]
    Unsteady {
        /// The name.
        name: Name,
        /// The type.
        kind: crate::dns::RecordType,
    },
}

/// A failure to carry out an update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was changed anywhere.
    #[error("{0}")]
    Nothing(UpdateError),
    /// Some zones were changed and this one was not.
    #[error("{error}; changed already: {}", names(.done))]
    PartWay {
        /// The zones that were changed.
        done: Vec<Name>,
        /// What came of the next.
        error: UpdateError,
    },
    /// Whether a zone was changed is not known.
    #[error("whether the zone `{}` was changed is not known: {error}", .zone.host())]
    Unknown {
        /// The zone.
        zone: Name,
        /// What came of it.
        error: UpdateError,
    },
    /// The server took the update, and the zone does not say so.
    #[error("the server took the update of the zone `{}`, and does not give back: {}", .zone.host(), .sets.join(", "))]
    NotThere {
        /// The zone.
        zone: Name,
        /// What is not as it was sent.
        sets: Vec<String>,
    },
}

/// How a set stands to a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it was before.
    Before,
    /// As the change left it.
    After,
    /// Neither: someone else changed it.
    Drifted,
}

fn names(zones: &[Name]) -> String {
    let names: Vec<String> = zones
        .iter()
        .map(|zone| format!("`{}`", zone.host()))
        .collect();
    names.join(", ")
}

/// Plans what has to be written to the server so that these sets are as they are wanted.
///
/// # Errors
/// When the server does not say what stands there.
pub fn draft(changes: &[RrsetChange], server: &UpdateServer) -> Result<Draft, DraftError> {
    let mut draft = Draft::default();
    for change in changes {
        let zone = match server.zone_of(&change.owner) {
            Err(UpdateError::NoZone { .. }) => {
                draft.elsewhere.push(change.clone());
                continue;
            }
            other => other?,
        };
        let set = set_change(change, server)?;
        match draft.zones.iter_mut().find(|known| known.zone == zone) {
            Some(known) => known.sets.push(set),
            None => draft.zones.push(ZoneChange {
                zone,
                sets: vec![set],
            }),
        }
    }
    Ok(draft)
}

/// Reads the set byte for byte, and makes sure that it is the one that was compared.
fn set_change(change: &RrsetChange, server: &UpdateServer) -> Result<SetChange, DraftError> {
    let unsteady = || DraftError::Unsteady {
        name: change.owner.clone(),
        kind: change.kind,
    };
    let before = match server.read(&change.owner, change.kind)? {
        Present::Set(set) => Some(set),
        Present::Nothing => None,
        Present::Alias(_) => return Err(unsteady()),
    };
    let mut compared = change.present.clone();
    let mut read = match &before {
        Some(set) => set.records(&change.owner, change.kind),
        None => Vec::new(),
    };
    compared.sort();
    read.sort();
    if !compared
        .iter()
        .map(|one| &one.data)
        .eq(read.iter().map(|one| &one.data))
    {
        return Err(unsteady());
    }
    let after = match &before {
        Some(set) => set.replaced_by(change.kind, &change.wanted),
        None => RecordSet::of(&change.wanted),
    };
    Ok(SetChange {
        name: change.owner.clone(),
        kind: change.kind,
        before,
        after,
    })
}

/// Sends the updates, zone after zone, and reads back after each what stands there.
///
/// # Errors
/// At the first zone that is not changed as it should be; those after it are left alone.
pub fn send(
    zones: &[ZoneChange],
    server: &UpdateServer,
    report: &mut dyn FnMut(&ZoneChange),
) -> Result<(), SendError> {
    let mut done = Vec::new();
    for change in zones {
        match server.update(change) {
            Ok(()) => confirm(change, server)?,
            // Nothing went out.
            Err(error @ (UpdateError::Unreachable { .. } | UpdateError::TooLong { .. })) => {
                return Err(stopped(done, error));
            }
            // A failure may be somebody else's word, who stands in between: the zone tells.
            Err(error) => match standings(change, server) {
                Ok(found) if found.iter().all(|one| *one == Standing::After) => {}
                // One that is slow, or hands it on to another (RFC 2136, 6), may do it yet.
                _ if error.is_unsure() => {
                    let zone = change.zone.clone();
                    return Err(SendError::Unknown { zone, error });
                }
                _ => return Err(stopped(done, error)),
            },
        }
        report(change);
        done.push(change.zone.clone());
    }
    Ok(())
}

fn stopped(done: Vec<Name>, error: UpdateError) -> SendError {
    if done.is_empty() {
        SendError::Nothing(error)
    } else {
        SendError::PartWay { done, error }
    }
}

/// Makes sure that a zone says what was sent.
fn confirm(change: &ZoneChange, server: &UpdateServer) -> Result<(), SendError> {
    let zone = change.zone.clone();
    let found = match standings(change, server) {
        Ok(found) => found,
        Err(error) => return Err(SendError::Unknown { zone, error }),
    };
    let missing = change
        .sets
        .iter()
        .zip(found)
        .filter(|(_, standing)| *standing != Standing::After);
    let sets: Vec<String> = missing
        .map(|(set, _)| format!("{} of `{}`", set.kind, set.name.host()))
        .collect();
    if sets.is_empty() {
        return Ok(());
    }
    Err(SendError::NotThere { zone, sets })
}

/// Tells how each set of a zone stands to a change, in order.
///
/// # Errors
/// When the server does not say what stands there.
pub fn standings(change: &ZoneChange, server: &UpdateServer) -> Result<Vec<Standing>, UpdateError> {
    let read = |set: &SetChange| Ok(standing(set, present(set, server)?.as_ref()));
    change.sets.iter().map(read).collect()
}

/// What stands at the name of a change; an alias is none of its records.
fn present(set: &SetChange, server: &UpdateServer) -> Result<Option<RecordSet>, UpdateError> {
    Ok(match server.read(&set.name, set.kind)? {
        Present::Set(present) => Some(present),
        Present::Nothing | Present::Alias(_) => None,
    })
}

/// Compares the records alone: how long they may be cached is no part of what was agreed to.
fn standing(set: &SetChange, now: Option<&RecordSet>) -> Standing {
    let data = |set: Option<&RecordSet>| set.map(|set| set.data.clone());
    let now = data(now);
    if now == data(set.after.as_ref()) {
        Standing::After
    } else if now == data(set.before.as_ref()) {
        Standing::Before
    } else {
        Standing::Drifted
    }
}

/// A set that is neither as an update left it nor as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What the update did.
    pub set: SetChange,
    /// What stands there now.
    pub now: Option<RecordSet>,
}

/// Plans to take an update back: what is as it left it, the last zone first.
///
/// # Errors
/// When the server does not say what stands there.
pub fn take_back(
    zones: &[ZoneChange],
    server: &UpdateServer,
) -> Result<Result<Vec<ZoneChange>, Vec<Drift>>, UpdateError> {
    let mut back = Vec::new();
    let mut drift = Vec::new();
    for change in zones.iter().rev() {
        let mut sets = Vec::new();
        for set in change.sets.iter().rev() {
            let now = present(set, server)?;
            match standing(set, now.as_ref()) {
                // What stands there is what the server is to make sure of, its TTL included.
                Standing::After => sets.push(SetChange {
                    before: now,
                    ..set.inverse()
                }),
                Standing::Before => {}
                Standing::Drifted => drift.push(Drift {
                    set: set.clone(),
                    now,
                }),
            }
        }
        if !sets.is_empty() {
            back.push(ZoneChange {
                zone: change.zone.clone(),
                sets,
            });
        }
    }
    Ok(if drift.is_empty() {
        Ok(back)
    } else {
        Err(drift)
    })
}

/// What stands in zones, by name and type, as far as it was asked for.
type Seen = BTreeMap<(Name, crate::dns::RecordType), Option<RecordSet>>;
