//! Notes joined, in the order of the log: messages with what becomes of them, attempts with the
//! delivery that follows, messages that a dead program held up with the reason it died of.
//!
//! Owns what is remembered between lines: messages that were refused and have not left the queue,
//! attempts of processes that are not done, faults of the last minutes. It grows with what is in
//! the queue at a time, never with the log; what was not seen for long is forgotten. Must not
//! know how lines read.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use super::Options;
use super::counts::{Groups, Slot};
use super::note::{ByHash, Key, Names, Note, Notes, Texts, What};
use super::outage::Outages;
use super::passed::Passed;
use super::processes::{Attempts, Met, Processes, process};
use crate::diagnose::Knowledge;
use crate::memo::Quick;
use crate::postfix::log::Line;
use crate::stats::{Clock, Stamp};

/// How long a message may not be seen before it is forgotten, in hours: twice the five days that
/// Postfix keeps one.
const FORGOTTEN: usize = 240;

/// For how many seconds a fault explains what follows from it.
const EXPLAINS: u64 = 600;

/// After how many notes what is old is looked for.
const SWEEP: u64 = 1 << 16;

/// Most messages that are remembered.
const MAX_MESSAGES: usize = 1 << 20;

/// Most `syslog_name`s and programs.
const MAX_TAGS: usize = 4000;

/// Groups, mostly one or two.
type Slots = SmallVec<[Slot; 4]>;

/// A message that was refused at least once, until it leaves the queue.
#[derive(Clone, Debug)]
struct Message {
    instance: u16,
    last: Option<Stamp>,
    /// The groups it was counted in.
    groups: Slots,
    recipients: SmallVec<[Recipient; 1]>,
}

/// A recipient of such a message.
#[derive(Clone, Debug)]
struct Recipient {
    name: u64,
    is_open: bool,
    /// The groups it was counted in, that of the last failure at the end.
    groups: Slots,
    texts: Option<Box<Texts>>,
}

/// Whether a failure is the first of its group that met a message, and a recipient of it.
#[derive(Clone, Copy, Debug)]
struct Counts {
    message: bool,
    recipient: bool,
}

impl Message {
    /// Tells what a failure is the first of, and remembers that the message is counted.
    fn counts(&mut self, recipient: u64, slot: Slot) -> Counts {
        let message = !self.groups.contains(&slot);
        if message {
            self.groups.push(slot);
        }
        let mut recipients = self.recipients.iter();
        let known = recipients.find(|one| one.name == recipient);
        Counts {
            message,
            recipient: known.is_none_or(|known| !known.groups.contains(&slot)),
        }
    }

    /// The recipient of a name, made where there is none.
    fn recipient(&mut self, name: u64) -> &mut Recipient {
        let mut recipients = self.recipients.iter();
        let place = recipients.position(|one| one.name == name);
        let place = place.unwrap_or_else(|| {
            self.recipients.push(Recipient {
                name,
                is_open: true,
                groups: Slots::new(),
                texts: None,
            });
            self.recipients.len() - 1
        });
        &mut self.recipients[place]
    }
}

/// A message, by its place among those of its id.
fn held(messages: &mut ByHash<Vec<Message>>, message: u64, at: usize) -> Option<&mut Message> {
    messages.get_mut(&message)?.get_mut(at)
}

/// A fault that explains what follows.
#[derive(Clone, Copy, Debug)]
struct Fault {
    slot: Slot,
    stamp: Option<Stamp>,
}

/// An address that mail was given up for.
#[derive(Clone, Debug)]
pub(super) struct Bounce {
    pub slot: Slot,
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    pub times: u64,
    pub reply: Box<[u8]>,
}

/// All that the notes so far come to.
#[derive(Debug)]
pub(super) struct Join {
    options: Options,
    /// Places of the causes that are treated apart.
    causes: Apart,
    pub groups: Groups,
    pub tags: Names,
    pub instances: Names,
    /// By tag, the number of its instance.
    instance_of: Vec<u16>,
    /// Instances whose queue manager was heard: others are services of one of them.
    managers: HashSet<u16, Quick>,
    pub domains: Names,
    /// The domain of the last line that was looked at closer.
    domain: Vec<u8>,
    times: Clock,
    messages: ByHash<Vec<Message>>,
    processes: Processes,
    /// By instance, the last faults that explain.
    faults: HashMap<u16, Vec<Fault>>,
    pub outages: Outages,
    pub bounces: HashMap<Box<[u8]>, Vec<Bounce>>,
    /// The latest time that was told.
    clock: Option<Stamp>,
    /// The latest time of all lines.
    latest: Option<Stamp>,
    /// How many lines were read.
    pub lines: u64,
    count: u64,
}

/// Causes that are treated apart, by their places.
#[derive(Clone, Copy, Debug)]
struct Apart {
    unreachable6: u16,
    broken: u16,
    missing: u16,
    timeout: u16,
    dns: u16,
}

impl Join {
    /// Begins with nothing.
    pub(super) fn new(knowledge: &Knowledge, options: Options) -> Self {
        let codes = super::causes(knowledge);
        let place = |code: &str| {
            let place = codes.iter().position(|known| *known == code);
            place
                .and_then(|place| u16::try_from(place).ok())
                .unwrap_or(u16::MAX)
        };
        Self {
            options,
            causes: Apart {
                unreachable6: place("ipv6-unreachable"),
                broken: place("transport-broken"),
                missing: place("transport-missing"),
                timeout: place("connect-timeout"),
                dns: place("dns-tempfail"),
            },
            groups: Groups::default(),
            tags: Names::default(),
            instances: Names::default(),
            instance_of: Vec::new(),
            managers: HashSet::default(),
            domains: Names::default(),
            domain: Vec::new(),
            times: Clock::default(),
            messages: ByHash::default(),
            processes: Processes::default(),
            faults: HashMap::new(),
            outages: Outages::default(),
            bounces: HashMap::new(),
            clock: None,
            latest: None,
            lines: 0,
            count: 0,
        }
    }

    /// The latest time that was told.
    pub(super) fn latest(&self) -> Option<Stamp> {
        self.clock.max(self.latest)
    }

    /// Takes the notes that come next in the log.
    pub(super) fn take(&mut self, notes: &Notes) {
        self.lines += notes.lines;
        let tags: Vec<u16> = notes.tags.all.iter().map(|tag| self.tag(tag)).collect();
        let tag_of = |tag: u16| tags.get(usize::from(tag)).copied().unwrap_or_default();
        let mut slots: Vec<Option<Slot>> = vec![None; notes.classes.len()];
        let mut domains: Vec<Option<u32>> = vec![None; notes.domains.all.len()];
        let mut passed = notes.passed.all.iter();
        let mut count = 0;
        for told in &notes.all {
            for passed in passed.by_ref().take(index(told.passed - count)) {
                self.pass(*passed, notes);
            }
            count = told.passed;
            let tag = tag_of(told.tag);
            let mut note = Note {
                what: told.what,
                message: told.message,
                process: process(told.process, tag),
                stamp: told.stamp,
                tag,
                recipient: 0,
                place: 0,
                class: None,
                domain: 0,
            };
            let detail = notes.details.get(index(told.at));
            let detail = detail.copied().unwrap_or_default();
            (note.recipient, note.place) = (detail.recipient, detail.place);
            // Groups and domains are numbered as they come up, so that it is the same wherever
            // the log was cut.
            if let Some(place) = detail.class
                && let Some(class) = notes.classes.get(index(place))
                && let Some(held) = slots.get_mut(index(place))
            {
                let groups = &mut self.groups;
                let slot = held.get_or_insert_with(|| {
                    let mut key = class.key;
                    if key.address.is_none() {
                        key.tag = tag_of(key.tag);
                    }
                    groups.slot(key, &class.line, &class.words)
                });
                note.class = Some(*slot);
            }
            let is_wanted = match note.what {
                What::Failed { .. } => true,
                What::Sent { .. } => self.processes.are_at_work(note.process),
                _ => false,
            };
            if is_wanted && let Some(held) = domains.get_mut(index(detail.domain)) {
                let name = notes.domains.name(detail.domain);
                let number = held
                    .get_or_insert_with(|| self.domains.number(name, super::counts::MAX_DOMAINS));
                note.domain = *number;
            }
            let texts = detail.texts.and_then(|place| notes.texts.get(index(place)));
            self.note(&note, texts);
        }
        for passed in passed {
            self.pass(*passed, notes);
        }
        self.latest = self.latest.max(notes.passed.latest);
    }

    /// Passes a line of mail that went well over, unless somebody waits for it.
    fn pass(&mut self, passed: Passed, notes: &Notes) {
        let is_delivery = passed.process != 0;
        let is_waited_for = self.messages.contains_key(&passed.message)
            || is_delivery
                && (self.outages.is_any() || self.processes.may_be_at_work(passed.process));
        let line = (is_waited_for || (self.count + 1).is_multiple_of(SWEEP))
            .then(|| Line::parse(notes.passed.text(passed)))
            .flatten();
        let Some(line) = line else {
            self.count += 1;
            return;
        };
        let stamp = notes.last.and_then(|last| self.times.read(line.time, last));
        let mut name = std::mem::take(&mut self.domain);
        if let Some((what, recipient)) = super::lines::went_well(&line, &mut name) {
            let tag = self.tag(line.tag);
            let process = process(passed.process, tag);
            let is_pending = self.processes.are_at_work(process);
            let domain = if is_pending {
                self.domains.number(&name, super::counts::MAX_DOMAINS)
            } else {
                0
            };
            let note = Note {
                what,
                message: passed.message,
                process,
                recipient,
                place: 0,
                stamp,
                tag,
                class: None,
                domain,
            };
            self.note(&note, None);
        } else {
            self.count(stamp);
        }
        self.domain = name;
    }

    /// Counts a note, whatever it says.
    fn count(&mut self, stamp: Option<Stamp>) {
        if stamp > self.clock {
            self.clock = stamp;
        }
        self.count += 1;
        if self.count.is_multiple_of(SWEEP) {
            self.sweep();
        }
    }

    fn tag(&mut self, tag: &[u8]) -> u16 {
        let number = self.tags.number(tag, MAX_TAGS);
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        if usize::from(number) == self.instance_of.len() {
            let end = memchr::memrchr(b'/', tag).unwrap_or(tag.len());
            // A service calls itself by the instance, a slash and its own name.
            let first = memchr::memchr(b'/', tag).unwrap_or(tag.len()).min(end);
            let instance = tag.get(..first).unwrap_or_default();
            let instance = self.instances.number(instance, MAX_TAGS);
            self.instance_of
                .push(u16::try_from(instance).unwrap_or(u16::MAX));
        }
        number
    }

    fn instance(&self, tag: u16) -> u16 {
        self.instance_of
            .get(usize::from(tag))
            .copied()
            .unwrap_or_default()
    }

    fn note(&mut self, note: &Note, texts: Option<&Texts>) {
        self.count(note.stamp);
        let instance = self.instance(note.tag);
        match note.what {
            What::Sent { abroad } => self.sent(note, instance, abroad),
            What::Failed {
                is_final,
                suspended,
            } => self.failed(note, instance, is_final, suspended, texts),
            What::Attempt => {
                let messages = &self.messages;
                let is_known = |message| messages.contains_key(&message);
                self.processes.attempt(note, is_known);
            }
            What::Expired => {
                self.managers.insert(instance);
                self.give_up(note, instance);
            }
            What::Removed => {
                let tag = self.tags.name(u32::from(note.tag));
                if tag.ends_with(b"/qmgr") {
                    self.managers.insert(instance);
                }
                self.removed(note, instance);
            }
            What::Trouble { is_reason } => self.trouble(note, instance, is_reason),
            What::NotFound => {
                self.outages
                    .not_found(instance, note.class.unwrap_or_default(), note);
            }
            What::Resolved => self.outages.resolved(instance),
        }
    }

    /// Finds a message: of the same instance, or told by a service of it that has a name of its
    /// own. Two queue managers have two messages, even under one id.
    fn find(&self, message: u64, instance: u16) -> Option<usize> {
        let held = self.messages.get(&message)?;
        let own = held.iter().position(|held| held.instance == instance);
        own.or_else(|| {
            let is_of = |held: &Message| {
                self.is_service(held.instance, instance) || self.is_service(instance, held.instance)
            };
            held.iter().position(is_of)
        })
    }

    /// Tells whether a name is one that a service of an instance calls itself by: it goes on where
    /// that of the instance ends, and no queue manager has it.
    fn is_service(&self, name: u16, instance: u16) -> bool {
        let text = |number: u16| self.instances.name(u32::from(number));
        self.managers.contains(&instance)
            && !self.managers.contains(&name)
            && text(name).starts_with(text(instance))
    }

    /// What a process met with before this delivery line, and whether it is the first.
    fn met(&mut self, note: &Note) -> (Met, bool) {
        let (mut attempts, is_first) = self.processes.met(note);
        // An address that cannot be reached is passed over in no time.
        let unreachable = self.causes.unreachable6;
        attempts.retain(|one| self.groups.cause(one.slot) != unreachable);
        (attempts, is_first)
    }

    /// Counts attempts that another address followed.
    fn count_attempts(&mut self, one: Attempts, note: &Note, is_first: bool, counts: Counts) {
        if let Some(group) = self.groups.get_mut(one.slot) {
            if is_first {
                group.tries += one.count;
                group.seen(one.first);
                group.seen(one.last);
            }
            group.messages += u64::from(counts.message);
            group.recipients += u64::from(counts.recipient);
        }
        if counts.recipient {
            self.groups.count_domain(one.slot, note.domain);
        }
    }

    fn sent(&mut self, note: &Note, instance: u16, abroad: bool) {
        if abroad {
            self.outages.reached(instance);
        }
        let (met, is_first) = self.met(note);
        let at = if met.is_empty() {
            self.find(note.message, instance)
        } else {
            // It is remembered, so that the same address counts it once, whoever else waits.
            Some(self.message(note, instance))
        };
        let Some(message) = at.and_then(|at| held(&mut self.messages, note.message, at)) else {
            return;
        };
        let counted: SmallVec<[(Attempts, Counts); 1]> = met
            .into_iter()
            .map(|one| (one, message.counts(note.recipient, one.slot)))
            .collect();
        let is_waited_for = |one: &&mut Recipient| one.name == note.recipient && one.is_open;
        let recipient = message.recipients.iter_mut().find(is_waited_for);
        let mut met = recipient.map_or_else(Slots::new, |recipient| {
            recipient.is_open = false;
            recipient.texts = None;
            std::mem::take(&mut recipient.groups)
        });
        for (one, counts) in counted {
            self.count_attempts(one, note, is_first, counts);
            met.extend(counts.recipient.then_some(one.slot));
        }
        for slot in met {
            if let Some(group) = self.groups.get_mut(slot) {
                group.delivered += 1;
            }
        }
    }

    fn failed(
        &mut self,
        note: &Note,
        instance: u16,
        is_final: bool,
        suspended: bool,
        texts: Option<&Texts>,
    ) {
        let (met, is_first) = self.met(note);
        let slot = self.behind(note, instance, &met);
        let cause = self.groups.cause(slot);
        if !suspended {
            if cause == self.causes.timeout {
                self.outages.timed_out(instance, slot, note);
            } else if cause == self.causes.dns {
                self.outages.not_resolved(instance, slot, note);
            }
        }
        let at = self.message(note, instance);
        let Some(message) = held(&mut self.messages, note.message, at) else {
            return;
        };
        // What the result says again is no other failure.
        let key = |slot: Slot| self.groups.get(slot).map(|group| group.key);
        let kind = |slot: Slot| key(slot).map(|key| (key.provider, key.cause));
        let others: SmallVec<[(Attempts, Counts); 1]> = met
            .into_iter()
            .filter(|one| kind(one.slot) != kind(slot))
            .map(|one| (one, message.counts(note.recipient, one.slot)))
            .collect();
        let counts = message.counts(note.recipient, slot);
        message.last = note.stamp.or(message.last);
        let recipient = message.recipient(note.recipient);
        for (one, counts) in &others {
            if counts.recipient {
                recipient.groups.push(one.slot);
            }
        }
        recipient.groups.retain(|held| *held != slot);
        recipient.groups.push(slot);
        let mut left = Slots::new();
        let mut bounced = None;
        if is_final {
            recipient.is_open = false;
            recipient.texts = None;
            left = std::mem::take(&mut recipient.groups);
            bounced = texts.cloned();
        } else if self.options.recipients {
            recipient.texts = texts.cloned().map(Box::new);
        }
        for (one, counts) in others {
            self.count_attempts(one, note, is_first, counts);
        }
        if let Some(group) = self.groups.get_mut(slot) {
            group.tries += u64::from(!suspended);
            group.messages += u64::from(counts.message);
            group.recipients += u64::from(counts.recipient);
            group.seen(note.stamp);
        }
        if counts.recipient {
            self.groups.count_domain(slot, note.domain);
        }
        self.end(&left);
        if let Some(texts) = bounced {
            self.bounce(slot, texts, note.stamp);
        }
    }

    /// The group that a failure really belongs to, where other lines say more than its own.
    fn behind(&mut self, note: &Note, instance: u16, met: &[Attempts]) -> Slot {
        let class = note.class.unwrap_or_default();
        let cause = self.groups.cause(class);
        if cause == self.causes.unreachable6
            && let Some(one) = met.first()
        {
            // The last address was passed over; why the one before it did not do is the reason.
            let attempt = self.groups.get(one.slot).cloned();
            if let Some(attempt) = attempt {
                let key = Key {
                    is_attempt: false,
                    ..attempt.key
                };
                return self.groups.slot(key, &attempt.line, &attempt.words);
            }
        }
        if cause == self.causes.broken || cause == self.causes.missing {
            let wanted = |other: u16| {
                cause == self.causes.broken && other != self.causes.missing
                    || cause == self.causes.missing && other == self.causes.missing
            };
            let faults = self
                .faults
                .get(&instance)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fault = faults.iter().rev().find(|fault| {
                wanted(self.groups.cause(fault.slot)) && is_near(fault.stamp, note.stamp)
            });
            return fault.map_or(class, |fault| fault.slot);
        }
        class
    }

    /// The place of the message among those of its id, made where there is none.
    fn message(&mut self, note: &Note, instance: u16) -> usize {
        let fresh = Message {
            instance,
            last: note.stamp,
            groups: Slots::new(),
            recipients: SmallVec::new(),
        };
        let found = self.find(note.message, instance);
        let held = self.messages.entry(note.message).or_default();
        let Some(at) = found else {
            held.push(fresh);
            return held.len() - 1;
        };
        // Whoever was done with and fails again belongs to another message of the same id.
        let is_used_again = held.get(at).is_some_and(|message| {
            let mut recipients = message.recipients.iter();
            recipients.any(|one| one.name == note.recipient && !one.is_open)
        });
        if is_used_again && let Some(message) = held.get_mut(at) {
            *message = fresh;
        }
        at
    }

    /// Ends what was still open of a message without success.
    fn give_up(&mut self, note: &Note, instance: u16) {
        let Some(at) = self.find(note.message, instance) else {
            return;
        };
        let held = self
            .messages
            .get_mut(&note.message)
            .and_then(|held| held.get_mut(at));
        let last = held.as_ref().and_then(|message| message.last);
        let stamp = note.stamp.or(last);
        let mut open = Vec::new();
        for recipient in held.into_iter().flat_map(|message| &mut message.recipients) {
            if recipient.is_open {
                recipient.is_open = false;
                let groups = std::mem::take(&mut recipient.groups);
                open.push((groups, recipient.texts.take()));
            }
        }
        for (groups, texts) in open {
            self.end(&groups);
            if let (Some(&slot), Some(texts)) = (groups.last(), texts) {
                self.bounce(slot, *texts, stamp);
            }
        }
    }

    /// Counts a recipient that was given up: in the last group as such.
    fn end(&mut self, groups: &[Slot]) {
        let Some((last, others)) = groups.split_last() else {
            return;
        };
        if let Some(group) = self.groups.get_mut(*last) {
            group.given_up += 1;
        }
        for other in others {
            if let Some(group) = self.groups.get_mut(*other) {
                group.elsewhere += 1;
            }
        }
    }

    fn removed(&mut self, note: &Note, instance: u16) {
        let Some(at) = self.find(note.message, instance) else {
            return;
        };
        self.give_up(note, instance);
        if let Some(held) = self.messages.get_mut(&note.message) {
            held.swap_remove(at);
            if held.is_empty() {
                self.messages.remove(&note.message);
            }
        }
    }

    fn bounce(&mut self, slot: Slot, texts: Texts, stamp: Option<Stamp>) {
        let held = self.bounces.entry(texts.address).or_default();
        if let Some(known) = held.iter_mut().find(|known| known.slot == slot) {
            known.last = stamp.or(known.last);
            known.times += 1;
            known.reply = texts.reply;
        } else {
            held.push(Bounce {
                slot,
                first: stamp,
                last: stamp,
                times: 1,
                reply: texts.reply,
            });
        }
    }

    fn trouble(&mut self, note: &Note, instance: u16, is_reason: bool) {
        let class = note.class.unwrap_or_default();
        let faults = self.faults.entry(instance).or_default();
        if is_reason {
            faults.retain(|fault| fault.slot != class);
            if faults.len() >= 8 {
                faults.remove(0);
            }
            faults.push(Fault {
                slot: class,
                stamp: note.stamp,
            });
        } else {
            // What only follows from a fault is no further one.
            let fault = faults
                .last()
                .filter(|fault| is_near(fault.stamp, note.stamp))
                .copied();
            if let Some(fault) = fault {
                if let Some(group) = self.groups.get_mut(fault.slot) {
                    group.seen(note.stamp);
                }
                return;
            }
        }
        if let Some(group) = self.groups.get_mut(class) {
            group.told += 1;
            group.seen(note.stamp);
        }
    }

    /// Forgets what was not seen for long.
    fn sweep(&mut self) {
        let Some(clock) = self.clock else {
            return;
        };
        let is_old =
            |last: Option<Stamp>| last.is_none_or(|last| clock.hour.since(last.hour) > FORGOTTEN);
        self.messages.retain(|_, held| {
            held.retain(|message| !is_old(message.last));
            !held.is_empty()
        });
        if self.messages.len() > MAX_MESSAGES {
            let times = self.messages.values().flatten().map(|message| message.last);
            let mut times: Vec<Option<Stamp>> = times.collect();
            let middle = times.len() / 2;
            let (_, middle, _) = times.select_nth_unstable(middle);
            let middle = *middle;
            self.messages.retain(|_, held| {
                held.retain(|message| message.last > middle);
                !held.is_empty()
            });
        }
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Tells whether one time is soon after another; where one is not known they may be.
fn is_near(earlier: Option<Stamp>, later: Option<Stamp>) -> bool {
    let (Some(earlier), Some(later)) = (earlier, later) else {
        return true;
    };
    let hours = u64::try_from(later.hour.since(earlier.hour)).unwrap_or(u64::MAX);
    let seconds = hours.saturating_mul(3600) + u64::from(later.second);
    seconds <= u64::from(earlier.second) + EXPLAINS
}
