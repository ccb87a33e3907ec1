//! Deliveries counted as their lines come.
//!
//! Owns [`Tally`], which one thread fills, and the joining of several. Room grows with what is
//! told apart (instances, hours, domains up to a limit), never with the length of the log.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::MailHosts;
use super::Span;
use super::delays::Delays;
use super::time::{Hour, LastDay, Stamp};
use crate::postfix::log::{Delivery, Event, Line, Marker, Status};

/// Most domains that are told apart by one thread; what comes after is counted together.
const MAX_DOMAINS: usize = 50_000;

/// Most `syslog_name`s that are told apart.
const MAX_INSTANCES: usize = 1000;

/// How many deliveries ended how. One message has one for each recipient and try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Taken by another host or a mailbox.
    pub sent: u64,
    /// To be tried again.
    pub deferred: u64,
    /// Given up, also for age.
    pub bounced: u64,
}

impl Ends {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.sent + self.deferred + self.bounced
    }
}

impl AddAssign for Ends {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.deferred += other.deferred;
        self.bounced += other.bounced;
    }
}

/// Over which protocol a delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// There was no host: a mailbox, or no session.
    None,
}

/// What is told apart at every hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The number of the instance.
    pub instance: u16,
    /// The number of the provider.
    pub provider: u16,
    /// The protocol.
    pub family: Family,
    /// The hour.
    pub hour: Hour,
}

/// Counts and delays of a kind of deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How they ended.
    pub ends: Ends,
    /// How long those that were sent took.
    pub delays: Delays,
}

impl Counted {
    /// Adds one delivery.
    fn add(&mut self, ends: Ends, delay: Option<u64>) {
        self.ends += ends;
        if let Some(delay) = delay {
            self.delays.add(delay);
        }
    }

    /// Adds another's.
    pub fn join(&mut self, other: &Self) {
        self.ends += other.ends;
        self.delays.join(&other.delays);
    }
}

/// The counts of one thread.
#[derive(Debug)]
pub struct Tally<'a> {
    mail_hosts: &'a MailHosts,
    span: Span,
    /// The `syslog_name`s by number.
    pub instances: Vec<Vec<u8>>,
    /// By hour.
    pub cells: HashMap<Cell, Ends>,
    /// By instance and provider.
    pub delays: HashMap<(u16, u16), Delays>,
    /// By the recipient's domain.
    pub domains: HashMap<Box<[u8]>, Counted>,
    /// Of domains that came when there was no more room.
    pub further: Counted,
    /// Lines that have the marker and are no delivery.
    pub odd: u64,
    /// The name of the last line's domain, in lower case.
    domain: Vec<u8>,
}

impl<'a> Tally<'a> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(mail_hosts: &'a MailHosts, span: Span) -> Self {
        Self {
            mail_hosts,
            span,
            instances: Vec::new(),
            cells: HashMap::new(),
            delays: HashMap::new(),
            domains: HashMap::new(),
            further: Counted::default(),
            odd: 0,
            domain: Vec::new(),
        }
    }

    /// Counts the deliveries of a block of lines.
    pub fn block(&mut self, block: &[u8], marker: &Marker, last: LastDay) {
        for line in marker.lines(block) {
            let delivery = Line::parse(line).and_then(|line| match line.record().event {
                Event::Delivery(delivery) => Some((line, delivery)),
                _ => None,
            });
            match delivery {
                Some((line, delivery)) => self.delivery(&line, &delivery, last),
                None => self.odd += 1,
            }
        }
    }

    fn delivery(&mut self, line: &Line<'_>, delivery: &Delivery<'_>, last: LastDay) {
        let mut ends = Ends::default();
        match delivery.status {
            Status::Sent => ends.sent = 1,
            Status::Deferred | Status::SoftBounce => ends.deferred = 1,
            Status::Bounced | Status::Expired => ends.bounced = 1,
            // Probes of addresses are no mail.
            Status::Deliverable | Status::Undeliverable => return,
            Status::Other(_) => {
                self.odd += 1;
                return;
            }
        }
        let stamp = Stamp::parse(line.time, last);
        if !self.span.holds(stamp) {
            return;
        }
        let hour = stamp.unwrap_or_default().hour;
        let instance = self.instance(line.syslog_name());
        let at = memchr::memrchr(b'@', delivery.to).map_or(delivery.to.len(), |at| at + 1);
        self.domain.clear();
        self.domain
            .extend_from_slice(delivery.to.get(at..).unwrap_or_default());
        self.domain.make_ascii_lowercase();
        let provider = self.mail_hosts.number(delivery.relay.name, &self.domain);
        let family = match delivery.relay.address {
            Some(address) if address.contains(&b':') => Family::V6,
            Some(address) if address.first().is_some_and(u8::is_ascii_digit) => Family::V4,
            _ => Family::None,
        };
        let cell = Cell {
            instance,
            provider,
            family,
            hour,
        };
        *self.cells.entry(cell).or_default() += ends;
        let delay = milliseconds(delivery.delay).filter(|_| ends.sent > 0);
        if let Some(delay) = delay {
            self.delays
                .entry((instance, provider))
                .or_default()
                .add(delay);
        }
        if let Some(held) = self.domains.get_mut(self.domain.as_slice()) {
            held.add(ends, delay);
        } else if self.domains.len() < MAX_DOMAINS {
            let name = self.domain.clone().into_boxed_slice();
            self.domains.entry(name).or_default().add(ends, delay);
        } else {
            self.further.add(ends, delay);
        }
    }

    /// The number of an instance; the log of one server names few.
    fn instance(&mut self, name: &[u8]) -> u16 {
        let known = self.instances.iter().position(|held| held == name);
        let number = known.unwrap_or_else(|| {
            if self.instances.len() < MAX_INSTANCES {
                self.instances.push(name.to_vec());
            }
            self.instances.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    /// Adds another thread's counts.
    pub fn join(&mut self, other: Self) {
        let numbers: Vec<u16> = other
            .instances
            .iter()
            .map(|name| self.instance(name))
            .collect();
        let number = |old: u16| numbers.get(usize::from(old)).copied().unwrap_or_default();
        for (cell, ends) in other.cells {
            let instance = number(cell.instance);
            *self.cells.entry(Cell { instance, ..cell }).or_default() += ends;
        }
        for ((instance, provider), delays) in other.delays {
            let held = self.delays.entry((number(instance), provider)).or_default();
            held.join(&delays);
        }
        for (domain, counted) in other.domains {
            self.domains.entry(domain).or_default().join(&counted);
        }
        self.further.join(&other.further);
        self.odd += other.odd;
    }
}

/// Reads seconds as Postfix writes them, `0.07` or `36`.
fn milliseconds(text: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    let mut digits = None;
    for &byte in text {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                digits = digits.map(|digits: u32| digits + 1);
            }
            b'.' if digits.is_none() => digits = Some(0),
            _ => return None,
        }
    }
    match digits.unwrap_or(0) {
        0 => value.checked_mul(1000),
        1 => value.checked_mul(100),
        2 => value.checked_mul(10),
        more => Some(value / 10_u64.checked_pow(more - 3)?),
    }
    .filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read() {
        for (text, expected) in [
            ("36", Some(36_000)),
            ("0.07", Some(70)),
            ("8.6", Some(8600)),
            ("1.2345", Some(1234)),
            ("", None),
            ("1.2.3", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected, "{text}");
        }
    }
}
