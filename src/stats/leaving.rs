//! From which of our addresses deliveries left, by number.
//!
//! Owns [`Leaving`]. What is known of a delivery is [`departure`](crate::departure)'s.

use std::collections::BTreeSet;

use crate::departure::{Departure, Departures, addresses_named};
use crate::postfix::log::{Delivery, Line, Status};

/// Most departures that are told apart: replies could name any address.
const MOST: usize = 1000;

/// Most other hosts that are remembered by name.
const MOST_STRANGERS: usize = 100;

/// The departures one thread has seen.
#[derive(Debug)]
pub(super) struct Leaving<'a> {
    departures: &'a Departures,
    seen: Vec<Departure>,
    /// Other machines whose lines were there.
    strangers: BTreeSet<Vec<u8>>,
    /// The host of the last line, which is mostly that of the next.
    host: Vec<u8>,
}

impl<'a> Leaving<'a> {
    pub(super) fn new(departures: &'a Departures) -> Self {
        Self {
            departures,
            seen: Vec::new(),
            strangers: BTreeSet::new(),
            host: Vec::new(),
        }
    }

    /// The number of where a delivery left from.
    pub(super) fn number(&mut self, line: &Line<'_>, delivery: &Delivery<'_>) -> u16 {
        if self.host != line.host {
            line.host.clone_into(&mut self.host);
            if self.strangers.len() < MOST_STRANGERS && !self.departures.is_own_host(line.host) {
                self.strangers.insert(line.host.to_vec());
            }
        }
        // Who takes a message seldom says from where.
        let named = match delivery.status {
            Status::Sent => Vec::new(),
            _ => addresses_named(&delivery.answer()),
        };
        self.of(self.departures.of(line, delivery.relay.ip(), &named))
    }

    fn of(&mut self, departure: Departure) -> u16 {
        let known = self.seen.iter().position(|seen| *seen == departure);
        let number = known.unwrap_or_else(|| {
            if self.seen.len() < MOST {
                self.seen.push(departure);
            }
            self.seen.len() - 1
        });
        u16::try_from(number).unwrap_or_default()
    }

    /// Takes another thread's; gives the numbers here of those there.
    pub(super) fn join(&mut self, other: &Self) -> Vec<u16> {
        self.strangers.extend(other.strangers.iter().cloned());
        other.seen.iter().map(|one| self.of(*one)).collect()
    }

    pub(super) fn label(&self, number: u16) -> String {
        let seen = self.seen.get(usize::from(number));
        let seen = seen.copied().unwrap_or(Departure::Stayed);
        self.departures.unhidden(seen, &self.seen).label()
    }

    pub(super) fn strangers(&self) -> Vec<String> {
        let names = self.strangers.iter();
        names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }
}
