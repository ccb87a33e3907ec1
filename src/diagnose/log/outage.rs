//! What is behind failures of many destinations at once.
//!
//! Owns the rules that look at more than one line: where every destination falls silent it is
//! port 25, where no name is found it is the resolver, or a jail without its files. Whoever has
//! several lines at hand asks [`cause_of_all`].

use std::collections::{BTreeSet, HashMap, HashSet};

use super::counts::Slot;
use super::note::Note;
use crate::stats::Stamp;

/// How many destinations are many.
const MANY: usize = 3;

/// Most destinations that are told apart.
const MAX_DESTINATIONS: usize = 64;

/// The cause behind one that all of several destinations share, where nothing was delivered to
/// others at the same time.
#[must_use]
pub fn cause_of_all(code: &str, destinations: usize) -> Option<&'static str> {
    if destinations < MANY {
        return None;
    }
    match code {
        "connect-timeout" => Some("port25-blocked"),
        "dns-tempfail" => Some("chroot-dns"),
        _ => None,
    }
}

/// Failures of one kind since something was last reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Outage {
    pub slots: BTreeSet<Slot>,
    /// Domains of recipients, or names that were not found.
    pub domains: HashSet<u64>,
    /// Hosts.
    pub places: HashSet<u64>,
    pub count: u64,
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
}

impl Outage {
    fn add(&mut self, slot: Slot, domain: u64, place: u64, stamp: Option<Stamp>) {
        self.slots.insert(slot);
        if self.domains.len() < MAX_DESTINATIONS {
            self.domains.insert(domain);
        }
        if self.places.len() < MAX_DESTINATIONS {
            self.places.insert(place);
        }
        self.count += 1;
        self.first = self.first.or(stamp);
        self.last = stamp.or(self.last);
    }

    /// How many destinations do not answer.
    pub(super) fn destinations(&self) -> usize {
        self.domains.len().min(self.places.len())
    }
}

/// What does not work at the moment, by instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Outages {
    /// Whether there is any, so that nobody looks for nothing.
    any: bool,
    pub silent: HashMap<u16, Outage>,
    pub nameless: HashMap<u16, Outage>,
    pub turned_away: HashMap<u16, Outage>,
}

impl Outages {
    pub(super) fn timed_out(&mut self, instance: u16, slot: Slot, note: &Note) {
        self.any = true;
        let outage = self.silent.entry(instance).or_default();
        outage.add(slot, u64::from(note.domain), note.place, note.stamp);
    }

    pub(super) fn not_resolved(&mut self, instance: u16, slot: Slot, note: &Note) {
        self.any = true;
        let outage = self.nameless.entry(instance).or_default();
        let domain = u64::from(note.domain);
        outage.add(slot, domain, domain, note.stamp);
    }

    pub(super) fn not_found(&mut self, instance: u16, slot: Slot, note: &Note) {
        let outage = self.turned_away.entry(instance).or_default();
        outage.add(slot, note.recipient, note.recipient, note.stamp);
    }

    /// Tells whether a host that is reached ends one.
    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// A host outside was reached, so neither its port nor its name is the matter.
    pub(super) fn reached(&mut self, instance: u16) {
        if self.any {
            self.silent.remove(&instance);
            self.nameless.remove(&instance);
            self.any = !self.silent.is_empty() || !self.nameless.is_empty();
        }
    }

    /// A name of a host that came was found.
    pub(super) fn resolved(&mut self, instance: u16) {
        self.turned_away.remove(&instance);
    }
}
