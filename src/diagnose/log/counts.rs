//! What is counted of each kind of failure.
//!
//! Owns the groups while they grow, and how many there may be. Must not know what is remembered
//! of messages.

use std::collections::HashMap;

use super::note::Key;
use crate::stats::Stamp;

/// Most groups; then what strangers choose tells none apart any more.
const MAX_GROUPS: usize = 2000;

/// Most domains that are told apart, and most that all groups count each for itself.
pub(super) const MAX_DOMAINS: usize = 100_000;

/// A group's number.
pub(super) type Slot = u32;

/// What is counted of a kind of failure.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub key: Key,
    pub line: Box<[u8]>,
    pub words: Box<[u8]>,
    pub tries: u64,
    /// Lines of our own programs that tell of it.
    pub told: u64,
    pub messages: u64,
    pub recipients: u64,
    pub delivered: u64,
    pub given_up: u64,
    /// Recipients that were tried again and then failed for another cause.
    pub elsewhere: u64,
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    /// Recipients by the number of their domain.
    pub domains: HashMap<u32, u64>,
    /// Recipients of domains for which there was no room.
    pub further: u64,
}

impl Counted {
    pub(super) fn seen(&mut self, stamp: Option<Stamp>) {
        if let Some(stamp) = stamp {
            self.first = Some(self.first.map_or(stamp, |first| first.min(stamp)));
            self.last = Some(self.last.map_or(stamp, |last| last.max(stamp)));
        }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Counted>,
    by_key: HashMap<Key, Slot>,
    domains: usize,
}

impl Groups {
    /// The group of a key, made where there is none.
    pub(super) fn slot(&mut self, key: Key, line: &[u8], words: &[u8]) -> Slot {
        let key = if self.by_key.len() < MAX_GROUPS || self.by_key.contains_key(&key) {
            key
        } else {
            key.coarse()
        };
        if let Some(&slot) = self.by_key.get(&key) {
            return slot;
        }
        let slot = Slot::try_from(self.all.len()).unwrap_or(Slot::MAX);
        self.by_key.insert(key, slot);
        self.all.push(Counted {
            key,
            line: line.into(),
            words: words.into(),
            tries: 0,
            told: 0,
            messages: 0,
            recipients: 0,
            delivered: 0,
            given_up: 0,
            elsewhere: 0,
            first: None,
            last: None,
            domains: HashMap::new(),
            further: 0,
        });
        slot
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Counted)> {
        (0..).zip(&self.all)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Counted> {
        self.all.get(usize::try_from(slot).ok()?)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Counted> {
        self.all.get_mut(usize::try_from(slot).ok()?)
    }

    /// The place of a group's cause.
    pub(super) fn cause(&self, slot: Slot) -> u16 {
        self.get(slot).map_or(u16::MAX, |group| group.key.cause)
    }

    /// Counts a recipient of a domain.
    pub(super) fn count_domain(&mut self, slot: Slot, domain: u32) {
        let is_full = self.domains >= MAX_DOMAINS
            || usize::try_from(domain).is_ok_and(|domain| domain >= MAX_DOMAINS);
        let Some(group) = self.get_mut(slot) else {
            return;
        };
        if let Some(count) = group.domains.get_mut(&domain) {
            *count += 1;
        } else if is_full {
            group.further += 1;
        } else {
            group.domains.insert(domain, 1);
            self.domains += 1;
        }
    }
}
