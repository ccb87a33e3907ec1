//! A test message and what becomes of it.
//!
//! Owns the message ([`Sender`]), its way through the mail log to the end ([`Trail`]), and what
//! is told of it ([`Report`]). A message cannot be taken back: it is sent by
//! [`System::send`], and what is told in the end is the receipt of that.
//! Must not know how a report is shown, nor ask whether anything may be sent.

mod letter;
mod source;
mod trail;

use std::thread::sleep;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde::Serialize;

use crate::diagnose::Knowledge;
use crate::host::Facts;
use crate::mail::Mailbox;
use crate::maillog::MailLog;
use crate::postfix::log;
use crate::system::{Query, System, SystemError};

pub use letter::Sender;
pub use source::{KnownBy, Source};
use trail::{Deaths, Trail};
pub use trail::{Ending, Outcome, Told, Tried};

/// The most messages of one run: a test needs few, and more would be something else.
pub const MOST: usize = 10;

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a message may still come to an end after a delivery agent has died.
const GRACE: Duration = Duration::from_secs(20);

/// The code of the cause that an agent dies.
const DIES: &str = "transport-broken";

/// How much of the log before the mark is read for an agent that died earlier and rests.
const PAST: u64 = 256 * 1024;

/// A message handed to Postfix.
#[derive(Clone, Debug)]
pub struct Sent {
    /// To whom.
    pub to: Mailbox,
    /// By what it is found in the log.
    pub message_id: String,
    /// What `sendmail` said where it did not take the message.
    pub refused: Option<String>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// To whom it went.
    pub address: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// The ids it had in the queue; an alias or a content filter gives it a further one.
    pub queue_ids: Vec<String>,
    /// The result.
    pub outcome: Outcome,
    /// How it ended for each recipient; aliases may make several of one.
    pub deliveries: Vec<Ending>,
    /// Why there is no end, where there is none.
    pub stuck: Option<Stuck>,
    /// What `sendmail` said where it did not take the message.
    pub refused: Option<String>,
}

/// A message without an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// Whether it lies in the queue; `None` where the queue could not be asked.
    pub in_queue: Option<bool>,
    /// What the queue gives as the reason.
    pub reason: Option<String>,
    /// What the log says of agents that died since it was sent, or not long before.
    pub deaths: Vec<String>,
    /// The cause, where that tells it.
    pub cause: Option<Told>,
}

impl Report {
    /// The commands that are told to help.
    pub fn mend_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let stuck = self
            .stuck
            .iter_mut()
            .filter_map(|stuck| stuck.cause.as_mut());
        let causes = self
            .deliveries
            .iter_mut()
            .filter_map(|ending| ending.cause.as_mut());
        causes.chain(stuck).flat_map(|told| told.mend.iter_mut())
    }
}

/// Hands one message for each recipient to Postfix.
///
/// # Errors
/// When the first cannot be handed over at all; later failures are part of the result.
pub fn send(
    system: &mut dyn System,
    sender: &Sender,
    recipients: &[Mailbox],
) -> Result<Vec<Sent>, SystemError> {
    let mut sent: Vec<Sent> = Vec::new();
    for (number, to) in recipients.iter().enumerate() {
        let (message_id, letter) = sender.letter(to, number);
        let refused = match system.send(&letter) {
            Ok(output) if output.success() => None,
            Ok(output) => {
                let said = output.errors();
                let said = said.trim();
                Some(if said.is_empty() {
                    format!("it ended with status {}", output.status)
                } else {
                    said.to_owned()
                })
            }
            Err(error) if sent.is_empty() => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        sent.push(Sent {
            to: to.clone(),
            message_id,
            refused,
        });
    }
    Ok(sent)
}

/// Follows messages through the log, for `wait` at most, and tells what became of each.
///
/// # Errors
/// When the log cannot be read any more.
pub fn follow(
    system: &dyn System,
    facts: &Facts,
    log: &mut MailLog,
    sent: &[Sent],
    wait: Duration,
) -> Result<Vec<Report>, SystemError> {
    let mut trail = Trail::new(Knowledge::built_in(), sent);
    let began = Instant::now();
    let mut died: Option<Instant> = None;
    loop {
        trail.read(&log.added(system)?);
        if trail.deaths.hit_a_transport() {
            died.get_or_insert_with(Instant::now);
        }
        let is_over = began.elapsed() >= wait || died.is_some_and(|at| at.elapsed() >= GRACE);
        if trail.is_complete() || is_over {
            break;
        }
        sleep(PAUSE.min(wait));
    }
    let mut past = None;
    let mut reports = Vec::new();
    for (number, message) in sent.iter().enumerate() {
        let mut report = trail.report(number, message);
        for ending in &mut report.deliveries {
            ending.source = source::find(system, facts, ending)?;
            ending.tls_told(facts);
        }
        if report.outcome == Outcome::Stuck {
            if trail.deaths.is_empty() && past.is_none() {
                let mut earlier = Deaths::default();
                let bytes = log.before(system, PAST)?;
                for line in log::lines(&bytes).filter_map(log::Line::parse) {
                    earlier.note(&line);
                }
                past = Some(earlier);
            }
            let deaths = past.as_ref().unwrap_or(&trail.deaths);
            report.stuck = Some(Stuck {
                cause: (!deaths.is_empty()).then(|| trail.told(DIES)).flatten(),
                ..stuck(system, &facts.config, &report.queue_ids, deaths)
            });
        }
        reports.push(report);
    }
    Ok(reports)
}

fn stuck(system: &dyn System, config: &Utf8Path, ids: &[String], deaths: &Deaths) -> Stuck {
    let query = Query::Queue {
        config: config.to_owned(),
    };
    let listing = system.query(&query).ok();
    let listing = listing.filter(crate::system::Output::success);
    let text = listing.map(|output| output.text());
    let found = text.as_deref().and_then(|text| in_queue(text, ids));
    Stuck {
        in_queue: text.as_ref().map(|_| found.is_some()),
        reason: found.and_then(|waiting| waiting.reason),
        deaths: deaths.said(),
        cause: None,
    }
}

/// Finds a message in what `postqueue -p` lists, and the reason given for it.
///
/// An id stands at the start of its line, with `*` behind it while the message is in the active
/// queue and `!` while it is on hold; a reason follows in parentheses on a line of its own.
fn in_queue(listing: &str, ids: &[String]) -> Option<Waiting> {
    let mut lines = listing.lines();
    let is_ours = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        ids.iter()
            .any(|id| id == word.trim_end_matches(['*', '!', '#']))
    };
    let line = lines.find(|line| is_ours(line))?;
    let id = line.split_whitespace().next().unwrap_or_default();
    let reason = lines
        .take_while(|line| !line.trim().is_empty())
        .find_map(|line| Some(line.trim().strip_prefix('(')?.strip_suffix(')')?.to_owned()));
    let reason = reason.or_else(|| id.ends_with('!').then(|| "it is on hold".to_owned()));
    Some(Waiting { reason })
}

/// What the queue says of a message that is in it.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    reason: Option<String>,
}

#[cfg(test)]
mod tests;
