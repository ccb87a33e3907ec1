//! Deliveries counted as their lines come.
//!
//! Owns [`Tally`], which one thread fills, and the joining of several. Room grows with what is
//! told apart (instances, hours, domains up to a limit), never with the length of the log.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::MailHosts;
use super::Span;
use super::delays::Delays;
use super::leaving::Leaving;
use super::time::{Clock, Hour, LastDay};
use crate::departure::Departures;
use crate::memo::Memo;
use crate::postfix::log::{Delivery, Event, Line, Marker, Status};

/// Most domains that are told apart by one thread; what comes after is counted together.
const MAX_DOMAINS: usize = 50_000;

/// Most `syslog_name`s that are told apart.
const MAX_INSTANCES: usize = 1000;

/// How many cells are found without a map.
const CELL_MEMO: usize = 1024;

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
    /// The number of what is known of where it left from; 0 where nobody asks.
    pub departure: u16,
}

impl Cell {
    /// What it has in common with those of other hours.
    fn of_all_hours(self) -> Self {
        Self {
            hour: Hour::default(),
            ..self
        }
    }
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

/// Counts of one cell.
#[derive(Clone, Copy, Debug)]
struct InCell {
    cell: Cell,
    ends: Ends,
    /// The number of the delays that the cells like it of all hours have.
    delays: usize,
}

/// Counts of one recipient's domain.
#[derive(Clone, Debug, Default)]
struct InDomain {
    counted: Counted,
    /// Whose the domain is, where that is known without a mail host.
    provider: Option<u16>,
}

/// The counts of one thread.
///
/// What is told apart has numbers, given by maps that nobody's names can slow down. As a line
/// mostly names what lines before it have named, these are asked only where a memory of the last
/// ones does not have the answer.
#[derive(Debug)]
pub struct Tally<'a> {
    mail_hosts: &'a MailHosts,
    span: Span,
    clock: Clock,
    /// From where deliveries left, where that is asked.
    leaving: Option<Leaving<'a>>,
    /// The `syslog_name`s by number.
    instances: Vec<Box<[u8]>>,
    instance_numbers: HashMap<Box<[u8]>, u32>,
    instance_memo: Memo,
    /// The providers of mail hosts as lines name them, one more than their numbers.
    host_memo: Memo,
    /// By instance, provider, protocol and hour.
    cells: Vec<InCell>,
    cell_numbers: HashMap<Cell, usize>,
    /// The numbers of the cells that came last.
    cell_memo: Vec<usize>,
    /// The same of all hours.
    delays: Vec<(Cell, Delays)>,
    delays_numbers: HashMap<Cell, usize>,
    /// By the recipient's domain.
    domains: Vec<InDomain>,
    domain_numbers: HashMap<Box<[u8]>, u32>,
    /// Domains as lines write them.
    domain_memo: Memo,
    /// Of domains that came when there was no more room.
    pub further: Counted,
    /// Lines that have the marker and are no delivery.
    pub odd: u64,
}

impl<'a> Tally<'a> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(mail_hosts: &'a MailHosts, span: Span, departures: Option<&'a Departures>) -> Self {
        Self {
            mail_hosts,
            span,
            clock: Clock::default(),
            leaving: departures.map(Leaving::new),
            instances: Vec::new(),
            instance_numbers: HashMap::new(),
            instance_memo: Memo::new(64),
            host_memo: Memo::new(1024),
            cells: Vec::new(),
            cell_numbers: HashMap::new(),
            cell_memo: vec![0; CELL_MEMO],
            delays: Vec::new(),
            delays_numbers: HashMap::new(),
            domains: Vec::new(),
            domain_numbers: HashMap::new(),
            domain_memo: Memo::new(2048),
            further: Counted::default(),
            odd: 0,
        }
    }

    /// The cells, each once.
    pub fn cells(&self) -> impl Iterator<Item = (Cell, Ends)> {
        self.cells.iter().map(|held| (held.cell, held.ends))
    }

    /// How long what was sent took, by cells that stand for all hours.
    pub fn delays(&self) -> impl Iterator<Item = (Cell, &Delays)> {
        self.delays.iter().map(|(of, delays)| (*of, delays))
    }

    /// Recipients' domains in lower case.
    pub fn counted_domains(&self) -> impl Iterator<Item = (&[u8], &Counted)> {
        self.domain_numbers.iter().filter_map(|(name, &number)| {
            let held = self.domains.get(usize::try_from(number).ok()?)?;
            Some((&**name, &held.counted))
        })
    }

    /// The `syslog_name` that a number stands for.
    #[must_use]
    pub fn instance_name(&self, number: u16) -> &[u8] {
        let name = self.instances.get(usize::from(number));
        name.map_or(&[], |name| &**name)
    }

    /// Counts the deliveries of a block of lines.
    pub fn block(&mut self, block: &[u8], marker: &Marker, last: LastDay) {
        for line in marker.lines(block) {
            let line = Line::parse(line);
            if let Some(line) = &line
                && let Some(delivery) = line.delivery()
            {
                self.delivery(line, &delivery, last);
                continue;
            }
            // qmgr(8) tells of a message that it gives up, behind the deliveries that failed.
            let is_end = |line: Line<'_>| matches!(line.record().event, Event::Expired { .. });
            self.odd += u64::from(!line.is_some_and(is_end));
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
        let stamp = self.clock.read(line.time, last);
        if !self.span.holds(stamp) {
            return;
        }
        let at = memchr::memrchr(b'@', delivery.to).map_or(delivery.to.len(), |at| at + 1);
        let domain = delivery.to.get(at..).unwrap_or_default();
        let delay = milliseconds(delivery.delay).filter(|_| ends.sent > 0);
        let by_domain = if let Some(number) = self.domain(domain, MAX_DOMAINS)
            && let Some(held) = self.domains.get_mut(number)
        {
            held.counted.add(ends, delay);
            held.provider
        } else {
            self.further.add(ends, delay);
            self.mail_hosts.of_domain(&domain.to_ascii_lowercase())
        };
        let by_host = self.provider_of_host(delivery.relay.name);
        let family = match delivery.relay.address {
            // No group of an IPv6 address is longer than four digits.
            Some(address) if address.iter().take(5).any(|byte| *byte == b':') => Family::V6,
            Some(address) if address.first().is_some_and(u8::is_ascii_digit) => Family::V4,
            _ => Family::None,
        };
        let departure = match &mut self.leaving {
            Some(leaving) => leaving.number(line, delivery),
            None => 0,
        };
        let cell = Cell {
            instance: self.instance(line.syslog_name()),
            provider: by_host.or(by_domain).unwrap_or_default(),
            family,
            hour: stamp.unwrap_or_default().hour,
            departure,
        };
        let number = self.cell(cell);
        if let Some(held) = self.cells.get_mut(number) {
            held.ends += ends;
            if let Some(delay) = delay
                && let Some((_, delays)) = self.delays.get_mut(held.delays)
            {
                delays.add(delay);
            }
        }
    }

    /// From where the deliveries of a cell left, in a word.
    #[must_use]
    pub fn departure(&self, cell: &Cell) -> String {
        let leaving = self.leaving.as_ref();
        leaving.map_or_else(String::new, |leaving| leaving.label(cell.departure))
    }

    /// Hosts whose lines tell nothing of this machine's addresses, where these were asked for.
    #[must_use]
    pub fn strangers(&self) -> Vec<String> {
        let leaving = self.leaving.as_ref();
        leaving.map_or_else(Vec::new, Leaving::strangers)
    }

    /// The number of an instance; the log of one server names few.
    fn instance(&mut self, name: &[u8]) -> u16 {
        let (instances, numbers) = (&mut self.instances, &mut self.instance_numbers);
        let number = self.instance_memo.number(name, || {
            if let Some(&number) = numbers.get(name) {
                return Some(number);
            }
            if instances.len() < MAX_INSTANCES {
                let number = u32::try_from(instances.len()).ok()?;
                instances.push(name.into());
                numbers.insert(name.into(), number);
                return Some(number);
            }
            None
        });
        let last = instances.len().saturating_sub(1);
        u16::try_from(number.map_or(last, |number| number as usize)).unwrap_or(u16::MAX)
    }

    /// The number of a domain, whatever letters it is written with; none where there is no room
    /// for more than so many.
    fn domain(&mut self, name: &[u8], room: usize) -> Option<usize> {
        let (domains, numbers) = (&mut self.domains, &mut self.domain_numbers);
        let hosts = self.mail_hosts;
        let number = self.domain_memo.number(name, || {
            let lower = name.to_ascii_lowercase();
            if let Some(&number) = numbers.get(lower.as_slice()) {
                return Some(number);
            }
            if domains.len() >= room {
                return None;
            }
            let number = u32::try_from(domains.len()).ok()?;
            domains.push(InDomain {
                counted: Counted::default(),
                provider: hosts.of_domain(&lower),
            });
            numbers.insert(lower.into_boxed_slice(), number);
            Some(number)
        });
        usize::try_from(number?).ok()
    }

    fn provider_of_host(&mut self, host: &[u8]) -> Option<u16> {
        let hosts = self.mail_hosts;
        let one_more = self.host_memo.number(host, || {
            let number = hosts.of_host(host).map(|number| u32::from(number) + 1);
            Some(number.unwrap_or_default())
        });
        u16::try_from(one_more?.checked_sub(1)?).ok()
    }

    /// The number of a cell.
    fn cell(&mut self, cell: Cell) -> usize {
        let instance = usize::from(cell.instance) * 61 + usize::from(cell.provider) * 3;
        let place = (instance + cell.family as usize) % CELL_MEMO;
        if let Some(&number) = self.cell_memo.get(place)
            && self.cells.get(number).is_some_and(|held| held.cell == cell)
        {
            return number;
        }
        let number = *self.cell_numbers.entry(cell).or_insert_with(|| {
            let of = cell.of_all_hours();
            let delays = *self.delays_numbers.entry(of).or_insert_with(|| {
                self.delays.push((of, Delays::default()));
                self.delays.len() - 1
            });
            self.cells.push(InCell {
                cell,
                ends: Ends::default(),
                delays,
            });
            self.cells.len() - 1
        });
        if let Some(kept) = self.cell_memo.get_mut(place) {
            *kept = number;
        }
        number
    }

    /// Adds another thread's counts.
    pub fn join(&mut self, other: &Self) {
        let numbers: Vec<u16> = other
            .instances
            .iter()
            .map(|name| self.instance(name))
            .collect();
        let number = |old: u16| numbers.get(usize::from(old)).copied().unwrap_or_default();
        let departures = match (&mut self.leaving, &other.leaving) {
            (Some(leaving), Some(other)) => leaving.join(other),
            _ => Vec::new(),
        };
        let renumbered = |cell: Cell| {
            let departure = departures.get(usize::from(cell.departure));
            Cell {
                instance: number(cell.instance),
                departure: departure.copied().unwrap_or_default(),
                ..cell
            }
        };
        for held in &other.cells {
            let at = self.cell(renumbered(held.cell));
            if let Some(joined) = self.cells.get_mut(at) {
                joined.ends += held.ends;
            }
        }
        for (cell, delays) in &other.delays {
            if let Some(&at) = self.delays_numbers.get(&renumbered(*cell))
                && let Some((_, joined)) = self.delays.get_mut(at)
            {
                joined.join(delays);
            }
        }
        for (name, counted) in other.counted_domains() {
            if let Some(at) = self.domain(name, usize::MAX)
                && let Some(held) = self.domains.get_mut(at)
            {
                held.counted.join(counted);
            }
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
