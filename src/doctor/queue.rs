//! The messages that wait, by what holds them up.
//!
//! Owns the reading of what `postqueue -p` lists, and when waiting is worth a word. A message that
//! waits for a fault of this host is; one that a receiver puts off is only after some hours.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::DateTime;

use super::ailment::holds_up;
use super::{By, Witness};
use crate::cause::{Cause, Harm};
use crate::diagnose::Knowledge;
use crate::finding::{Severity, escape, shortened};
use crate::mask::Mask;
use crate::postfix::log::{Answer, Event, Line};

/// How long a message may wait before that is worth a word: Postfix itself warns a sender after
/// four hours where it is told to warn at all (`delay_warning_time`).
const PATIENCE: i64 = 4 * 3600;

/// How much of a reason is quoted.
const QUOTED: usize = 200;

/// What waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many messages.
    pub messages: usize,
    /// What of it is worth knowing, by cause.
    pub witnesses: Vec<Witness>,
}

/// One message of the listing.
struct Waiting<'a> {
    arrived: Option<DateTime>,
    is_on_hold: bool,
    reason: Option<&'a str>,
    recipients: Vec<&'a str>,
}

/// Reads a listing; `now` is the time of this machine. With a mask nobody's address is told.
#[must_use]
pub fn read(
    listing: &str,
    now: DateTime,
    knowledge: &Knowledge,
    mut mask: Option<&mut Mask>,
) -> Queue {
    let mut queue = Queue::default();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    // Of thousands that wait, most wait for the same.
    let mut causes: HashMap<&str, Option<Cause>> = HashMap::new();
    for waiting in messages(listing, now) {
        queue.messages += 1;
        let cause = waiting.reason.and_then(|reason| {
            let known = causes.entry(reason);
            known.or_insert_with(|| cause(reason, knowledge)).as_ref()
        });
        let code = match cause {
            _ if waiting.is_on_hold => "queue-on-hold",
            Some(cause) => cause.code.as_str(),
            None => "queue-waiting",
        };
        let code = code.to_owned();
        let group = groups.entry(code).or_insert_with(|| Group {
            count: 0,
            first: None,
            last: None,
            reason: waiting.reason.map(|reason| match &mut mask {
                Some(mask) => mask.text_about(reason, &waiting.recipients),
                None => reason.to_owned(),
            }),
            is_harmless: cause.is_some_and(|cause| cause.harm == Harm::Harmless),
        });
        group.count += 1;
        group.first = match (group.first, waiting.arrived) {
            (Some(first), Some(arrived)) => Some(first.min(arrived)),
            (first, arrived) => first.or(arrived),
        };
        group.last = group.last.max(waiting.arrived);
    }
    queue.witnesses = groups
        .into_iter()
        .map(|(code, group)| group.witness(code, now))
        .collect();
    queue
}

/// Messages that wait for the same.
struct Group {
    count: u64,
    first: Option<DateTime>,
    last: Option<DateTime>,
    reason: Option<String>,
    is_harmless: bool,
}

impl Group {
    fn witness(self, code: String, now: DateTime) -> Witness {
        let age = self.first.map(|first| seconds(now, first));
        let is_old = age.is_some_and(|age| age >= PATIENCE);
        let severity = if code == "queue-on-hold" || self.is_harmless {
            Severity::Note
        } else if holds_up(&code) {
            // Nobody but this host can end it.
            Severity::Error
        } else if is_old {
            Severity::Warning
        } else {
            Severity::Note
        };
        let count = match self.count {
            1 => "1 message waits".to_owned(),
            many => format!("{many} messages wait"),
        };
        let since = age.map_or_else(String::new, |age| {
            let oldest = if self.count == 1 { "" } else { ", the oldest" };
            format!("{oldest} for {}", span(age))
        });
        let reason = self.reason.as_deref().map(|reason| quoted(&plain(reason)));
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Witness {
            by: By::Queue,
            code,
            severity,
            says: format!("{count}{since}{reason}"),
            place: None,
            count: Some(self.count),
            first: self.first,
            last: self.last,
            why: None,
            fix: None,
            family: None,
            harm: None,
            commands: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// Words of strangers, as they may be shown, and no longer than is useful.
pub(super) fn quoted(words: &str) -> String {
    // Between backticks nothing is folded: that is for words of ours.
    let words = escape(words).replace(['\n', '\t'], " ").replace('`', "'");
    shortened(&words, QUOTED)
}

fn seconds(now: DateTime, then: DateTime) -> i64 {
    now.duration_since(then).as_secs().max(0)
}

/// A span of time as people say it.
pub(super) fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "min")];
    UNITS.iter().find(|(unit, _)| seconds >= *unit).map_or_else(
        || format!("{seconds} s"),
        |(unit, name)| format!("{} {name}", seconds / unit),
    )
}

/// A reason as a person reads it: without the codes that each line of a reply repeats.
fn plain(reason: &str) -> String {
    let Some((host, said)) = reason.split_once(" said: ") else {
        return reason.to_owned();
    };
    let answer = Answer::reply(said.as_bytes());
    format!("{host} said: {}", answer.plain())
}

/// What a reason comes down to.
fn cause(reason: &str, knowledge: &Knowledge) -> Option<Cause> {
    // The log has the same words in such a line.
    let line = format!("A1: to=<x>, relay=none, dsn=4.0.0, status=deferred ({reason})");
    let Event::Delivery(delivery) = Line::bare(line.as_bytes()).record().event else {
        return None;
    };
    knowledge.of_delivery(&delivery).map(|found| found.cause)
}

/// The messages of a listing.
///
/// An id stands at the start of its line, with `*` behind it while the message is in the active
/// queue and `!` while it is on hold; size, time of arrival and sender follow. A reason stands in
/// parentheses on a line of its own before the recipients it holds for.
fn messages(listing: &str, now: DateTime) -> impl Iterator<Item = Waiting<'_>> {
    let mut lines = listing.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let mut words = line.split_whitespace();
            let is_entry = line.starts_with(|c: char| c.is_ascii_alphanumeric());
            let (Some(id), Some(size)) = (words.next(), words.next()) else {
                continue;
            };
            if !is_entry || size.parse::<u64>().is_err() {
                continue;
            }
            let mut reason = None;
            let mut recipients = Vec::new();
            while let Some(next) = lines.next_if(|line| line.starts_with([' ', '('])) {
                let next = next.trim();
                let inside = next
                    .strip_prefix('(')
                    .and_then(|next| next.strip_suffix(')'));
                match inside {
                    Some(_) => reason = reason.or(inside),
                    None => recipients.push(next),
                }
            }
            // The day of the week says nothing.
            let time: Vec<&str> = words.skip(1).take(3).collect();
            return Some(Waiting {
                arrived: arrival(&time, now),
                is_on_hold: id.ends_with('!'),
                reason,
                recipients,
            });
        }
    })
}

/// A time without a year: the last that is not ahead of us.
fn arrival(words: &[&str], now: DateTime) -> Option<DateTime> {
    let [month, day, clock] = words else {
        return None;
    };
    let of = |year: i16| {
        let text = format!("{year} {month} {day} {clock}");
        DateTime::strptime("%Y %b %d %H:%M:%S", text).ok()
    };
    let this = of(now.year());
    match this {
        Some(time) if seconds(time, now) <= 86_400 => Some(time),
        _ => of(now.year() - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime {
        "2026-01-02T12:00:00".parse().unwrap()
    }

    #[track_caller]
    fn check(listing: &str, expected: &[&str]) {
        let found = read(listing, now(), &Knowledge::built_in(), None);
        let said: Vec<String> = found
            .witnesses
            .iter()
            .map(|one| format!("{:?} {}: {}", one.severity, one.code, one.says))
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn messages_are_told_apart_by_what_holds_them_up() {
        check(
            "\
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
A1B2C3D4E5     1234 Fri Jan  2 11:59:00  a@example.org
(delivery temporarily suspended: unknown mail transport error)
                                         b@example.net

4XyZ12AbCz1z   99 Wed Dec 31 12:00:00  a@example.org
                     (mail transport unavailable)
                                         b@example.net
                                         c@example.net

A1B2C3D4E6*     12 Fri Jan  2 05:00:00  a@example.org
                                         b@example.net

A1B2C3D4E7!     12 Fri Jan  2 05:00:00  MAILER-DAEMON
                                         b@example.net

-- 3 Kbytes in 4 Requests.
",
            &[
                "Note queue-on-hold: 1 message waits for 7 h",
                "Warning queue-waiting: 1 message waits for 7 h",
                "Error transport-broken: 1 message waits for 1 min: delivery temporarily suspended: unknown mail transport error",
                "Error transport-missing: 1 message waits for 2 d: mail transport unavailable",
            ],
        );
        check("Mail queue is empty\n", &[]);
        check("", &[]);
    }

    #[test]
    fn a_receiver_that_puts_mail_off_is_worth_a_word_after_hours() {
        let listing = |time: &str| {
            format!(
                "A1B2C3D4E5 1234 {time} a@example.org\n(host mx.example.net[192.0.2.1] said: 450 \
                 4.7.1 Greylisted (in reply to RCPT TO command))\n b@example.net\n"
            )
        };
        let severity = |time: &str| {
            let found = read(&listing(time), now(), &Knowledge::built_in(), None);
            (found.witnesses[0].code.clone(), found.witnesses[0].severity)
        };
        let (code, young) = severity("Fri Jan  2 11:00:00");
        assert_eq!((code.as_str(), young), ("greylisted", Severity::Note));
    }

    #[test]
    fn a_reply_of_several_lines_is_quoted_as_one_reads_it() {
        let listing = "A1B2C3D4E5 9 Fri Jan  2 01:00:00 a@example.org\n(host \
                       mx.example.net[192.0.2.1] said: 450-4.7.1 Please 450-4.7.1 try again 450 \
                       4.7.1 later (in reply to RCPT TO command))\n b@example.net\n";
        let found = read(listing, now(), &Knowledge::built_in(), None);
        let says = &found.witnesses[0].says;
        assert!(
            says.contains("mx.example.net[192.0.2.1] said: Please try again later"),
            "{says}"
        );
    }

    #[test]
    fn nobodys_address_is_told_where_that_is_asked() {
        let listing = "A1B2C3D4E5 9 Fri Jan  2 01:00:00 joe@example.org\n(host \
                       mx.example.net[192.0.2.1] said: 450 4.2.0 <ann.lee@example.net>: no ann.lee \
                       now (in reply to RCPT TO command))\n  ann.lee@example.net\n";
        let mut mask = Mask::new();
        let found = read(listing, now(), &Knowledge::built_in(), Some(&mut mask));
        let says = &found.witnesses[0].says;
        assert!(says.contains("user1@example.net"), "{says}");
        assert!(!says.contains("lee"), "{says}");
    }

    #[test]
    fn hostile_listings_are_survived() {
        for listing in [
            "A1 2",
            "A1 2 x y z",
            "A1 2 Fri Feb 30 25:61:61 a",
            "(\u{1b}[2J)",
            "A1 2 Fri Jan 2 1:1:1 a\n(\u{1b}[2J)",
        ] {
            let found = read(listing, now(), &Knowledge::built_in(), None);
            assert!(
                found
                    .witnesses
                    .iter()
                    .all(|one| !one.says.contains('\u{1b}'))
            );
        }
    }
}
