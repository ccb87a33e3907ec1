//! Groups: what was joined, summed up, the worst first.
//!
//! Owns [`Group`] and how much one hurts. Must not know how groups are shown.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::counts::{Counted, Slot};
use super::join::Join;
use super::note::Key;
use super::outage::{Outage, cause_of_all};
use crate::cause::{Harm, Recipient};
use crate::departure::Departure;
use crate::diagnose::{Knowledge, LOCAL};
use crate::finding::Severity;
use crate::stats::{Family, Stamp};

/// The code of a group whose refusal nobody knows yet.
pub const UNKNOWN: &str = "unknown-refusal";

/// All that a log says of mail that did not get through.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The worst first.
    pub groups: Vec<Group>,
    /// Addresses that mail was given up for, where they were wanted.
    pub bounced: Vec<Bounced>,
    /// The latest time of a failure.
    pub last: Option<Stamp>,
    /// How many lines were read, those that tell nothing among them.
    pub lines: u64,
}

impl Report {
    /// Tells whether mail is lost or stuck.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.severity() == Severity::Error)
    }
}

/// Where mail left from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// One of our addresses, as the other side named it.
    Address(IpAddr),
    /// The program, with its `syslog_name`: what is known where no reply names an address.
    Program(String),
}

/// What became of recipients in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// Delivered after all.
    pub delivered: u64,
    /// In the queue when the log ends.
    pub waiting: u64,
    /// Given up for this.
    pub given_up: u64,
    /// Tried again, and then failed for another cause.
    pub elsewhere: u64,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The receiver's id, `other` or `local`.
    pub provider: String,
    /// The code of the cause; empty where nothing is known that would fit.
    pub cause: String,
    /// Where mail left from.
    pub from: From,
    /// From which address a program sends, by the configuration; none before anybody has looked
    /// there, and where a reply named the address.
    pub source: Option<Departure>,
    /// Over which protocol.
    pub family: Family,
    /// One address refused, and another was tried at once.
    pub is_detour: bool,
    /// The greeting itself was a refusal for good; Postfix keeps such mail and tries again.
    pub is_greeting: bool,
    /// A receiver that we know said what we do not know of it.
    pub is_new: bool,
    /// How much it hurts.
    pub harm: Harm,
    /// How often it was tried; of a fault that met no message yet, how often it was told.
    pub tries: u64,
    /// Messages.
    pub messages: u64,
    /// Recipients, of each message for itself.
    pub recipients: u64,
    /// What became of them.
    pub ends: Ends,
    /// When it was seen first.
    pub first: Option<Stamp>,
    /// When it was seen last.
    pub last: Option<Stamp>,
    /// The first line that told it; bytes of strangers.
    pub line: String,
    /// The words of that line.
    pub words: String,
    /// Domains of the recipients, the most first.
    pub domains: Vec<(String, u64)>,
    /// Recipients of domains that are not counted each for itself.
    pub further: u64,
}

/// An address that mail was given up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounced {
    /// The address.
    pub address: String,
    /// The receiver.
    pub provider: String,
    /// The code of the cause.
    pub cause: String,
    /// How often.
    pub times: u64,
    /// When first.
    pub first: Option<Stamp>,
    /// When last.
    pub last: Option<Stamp>,
    /// The last reply.
    pub reply: String,
    /// The mailbox is gone for good: nothing helps but to take the address off the list.
    pub is_gone: bool,
}

impl Group {
    /// The code of the finding that it is: the cause, or that it is not known.
    #[must_use]
    pub fn code(&self) -> &str {
        if self.is_new || self.cause.is_empty() {
            UNKNOWN
        } else {
            &self.cause
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self.harm {
            Harm::Lost | Harm::Stuck => Severity::Error,
            Harm::Delayed => Severity::Warning,
            Harm::Harmless => Severity::Note,
        }
    }

    /// How much it hurts: what a cause may do, and what it did here.
    fn weigh(&self, of_cause: Option<Harm>) -> Harm {
        let of_cause = of_cause.unwrap_or(Harm::Stuck);
        // IPv6 that is missing does no harm as long as something else is tried; here it was not.
        let of_cause = match self.cause.as_str() {
            "ipv6-unreachable" => Harm::Stuck,
            _ => of_cause,
        };
        if of_cause == Harm::Harmless || self.recipients == 0 {
            return of_cause;
        }
        let is_done = self.ends.delivered == self.recipients;
        match self.ends {
            // What passes by itself is nothing to mend once it has passed.
            _ if of_cause == Harm::Delayed && is_done => Harm::Harmless,
            _ if self.is_detour => Harm::Delayed,
            ends if ends.given_up > 0 => Harm::Lost,
            ends if ends.waiting > 0 && (self.is_greeting || of_cause > Harm::Delayed) => {
                Harm::Stuck
            }
            _ => Harm::Delayed,
        }
    }
}

/// Sums up.
pub(super) fn report(knowledge: &Knowledge, join: &Join) -> Report {
    let names = Names {
        knowledge,
        providers: super::providers(knowledge),
        causes: super::causes(knowledge),
        join,
    };
    let mut groups: Vec<Group> = Vec::new();
    let renamed = names.behind_outages(&mut groups);
    for (slot, counted) in join.groups.iter() {
        let is_any = counted.tries + counted.told + counted.recipients > 0;
        if is_any && !renamed.contains_key(&slot) {
            groups.push(names.group(counted));
        }
    }
    for group in &mut groups {
        let cause = knowledge.cause(&group.cause);
        group.harm = group.weigh(cause.map(|cause| cause.harm));
    }
    rank(&mut groups);
    Report {
        groups,
        bounced: names.bounced(&renamed),
        last: join.latest(),
        lines: join.lines,
    }
}

/// Puts the worst first.
pub(super) fn rank(groups: &mut [Group]) {
    groups.sort_by(|one, two| {
        let names = |group: &Group| {
            (
                group.provider.clone(),
                group.cause.clone(),
                group.from.clone(),
            )
        };
        (two.harm, two.messages, two.tries)
            .cmp(&(one.harm, one.messages, one.tries))
            .then_with(|| names(one).cmp(&names(two)))
            .then_with(|| (one.family, one.is_detour).cmp(&(two.family, two.is_detour)))
    });
}

/// What numbers stand for.
struct Names<'j> {
    knowledge: &'j Knowledge,
    providers: Vec<&'j str>,
    causes: Vec<&'j str>,
    join: &'j Join,
}

impl Names<'_> {
    fn provider(&self, key: Key) -> &str {
        let id = self.providers.get(usize::from(key.provider));
        id.copied().unwrap_or_default()
    }

    fn cause(&self, key: Key) -> &str {
        let code = self.causes.get(usize::from(key.cause));
        code.copied().unwrap_or_default()
    }

    fn from(&self, key: Key) -> From {
        key.address.map_or_else(
            || {
                let tag = self.join.tags.name(u32::from(key.tag));
                From::Program(String::from_utf8_lossy(tag).into_owned())
            },
            From::Address,
        )
    }

    fn group(&self, counted: &Counted) -> Group {
        let key = counted.key;
        let mut domains: Vec<(String, u64)> = counted
            .domains
            .iter()
            .map(|(&number, &count)| {
                let name = self.join.domains.name(number);
                (String::from_utf8_lossy(name).into_owned(), count)
            })
            .collect();
        sort_domains(&mut domains);
        let ends = Ends {
            delivered: counted.delivered,
            given_up: counted.given_up,
            elsewhere: counted.elsewhere,
            waiting: counted
                .recipients
                .saturating_sub(counted.delivered + counted.given_up + counted.elsewhere),
        };
        let provider = self.provider(key);
        Group {
            provider: provider.to_owned(),
            cause: self.cause(key).to_owned(),
            from: self.from(key),
            source: None,
            family: key.family,
            is_detour: key.is_attempt,
            is_greeting: key.is_greeting,
            is_new: key.wording != 0 && provider != LOCAL,
            harm: Harm::Harmless,
            tries: if counted.recipients == 0 {
                counted.tries + counted.told
            } else {
                counted.tries
            },
            messages: counted.messages,
            recipients: counted.recipients,
            ends,
            first: counted.first,
            last: counted.last,
            line: String::from_utf8_lossy(&counted.line).into_owned(),
            words: String::from_utf8_lossy(&counted.words).into_owned(),
            domains,
            further: counted.further,
        }
    }

    /// Puts groups together that have one reason, and says which went where.
    fn behind_outages(&self, groups: &mut Vec<Group>) -> BTreeMap<Slot, &'static str> {
        let mut renamed = BTreeMap::new();
        let outages = &self.join.outages;
        for (outages, code) in [
            (&outages.silent, "connect-timeout"),
            (&outages.nameless, "dns-tempfail"),
        ] {
            let mut outages: Vec<(&u16, &Outage)> = outages.iter().collect();
            outages.sort_by_key(|(instance, _)| **instance);
            for (_, outage) in outages {
                let Some(behind) = cause_of_all(code, outage.destinations()) else {
                    continue;
                };
                let counted = |slot: &Slot| self.join.groups.get(*slot);
                let mut all = outage
                    .slots
                    .iter()
                    .filter_map(counted)
                    .map(|one| self.group(one));
                let Some(mut whole) = all.next() else {
                    continue;
                };
                for one in all {
                    whole.add(one);
                }
                LOCAL.clone_into(&mut whole.provider);
                behind.clone_into(&mut whole.cause);
                whole.is_new = false;
                whole.first = outage.first.or(whole.first);
                renamed.extend(outage.slots.iter().map(|slot| (*slot, behind)));
                groups.push(whole);
            }
        }
        self.turned_away(groups);
        renamed
    }

    /// Hosts that come and have names of which none is found.
    fn turned_away(&self, groups: &mut Vec<Group>) {
        let mut outages: Vec<(&u16, &Outage)> = self.join.outages.turned_away.iter().collect();
        outages.sort_by_key(|(instance, _)| **instance);
        for (_, outage) in outages {
            let counted = outage
                .slots
                .first()
                .and_then(|slot| self.join.groups.get(*slot));
            let Some(counted) = counted else {
                continue;
            };
            if cause_of_all("dns-tempfail", outage.domains.len()).is_some() {
                let mut group = self.group(counted);
                group.tries = outage.count;
                group.first = outage.first;
                group.last = outage.last;
                groups.push(group);
            }
        }
    }

    fn bounced(&self, renamed: &BTreeMap<Slot, &'static str>) -> Vec<Bounced> {
        let mut all: Vec<Bounced> = Vec::new();
        for (address, bounces) in &self.join.bounces {
            for bounce in bounces {
                let Some(counted) = self.join.groups.get(bounce.slot) else {
                    continue;
                };
                let behind = renamed.get(&bounce.slot).copied();
                let cause = behind.unwrap_or_else(|| self.cause(counted.key));
                let provider = behind.map_or_else(|| self.provider(counted.key), |_| LOCAL);
                all.push(Bounced {
                    address: String::from_utf8_lossy(address).into_owned(),
                    provider: provider.to_owned(),
                    cause: cause.to_owned(),
                    times: bounce.times,
                    first: bounce.first,
                    last: bounce.last,
                    reply: String::from_utf8_lossy(&bounce.reply).into_owned(),
                    is_gone: self.knowledge.recipients_matter(cause) == Some(Recipient::Gone),
                });
            }
        }
        // One address may have met the same cause in several groups.
        all.sort_by(|one, two| {
            let key =
                |one: &Bounced| (one.cause.clone(), one.address.clone(), one.provider.clone());
            key(one)
                .cmp(&key(two))
                .then_with(|| one.last.cmp(&two.last))
        });
        all.dedup_by(|later, kept| {
            let is_same = later.cause == kept.cause
                && later.address == kept.address
                && later.provider == kept.provider;
            if is_same {
                kept.times += later.times;
                kept.first = kept.first.into_iter().chain(later.first).min();
                kept.last = later.last.or(kept.last);
                kept.reply.clone_from(&later.reply);
            }
            is_same
        });
        all
    }
}

impl Group {
    /// Adds another that has the same reason.
    pub(super) fn add(&mut self, other: Self) {
        self.tries += other.tries;
        self.messages += other.messages;
        self.recipients += other.recipients;
        self.ends.delivered += other.ends.delivered;
        self.ends.waiting += other.ends.waiting;
        self.ends.given_up += other.ends.given_up;
        self.ends.elsewhere += other.ends.elsewhere;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        if self.family != other.family {
            self.family = Family::None;
        }
        let mut domains: BTreeMap<String, u64> = self.domains.drain(..).collect();
        for (domain, count) in other.domains {
            *domains.entry(domain).or_default() += count;
        }
        self.domains = domains.into_iter().collect();
        sort_domains(&mut self.domains);
        self.further += other.further;
    }
}

fn sort_domains(domains: &mut [(String, u64)]) {
    domains.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
}
