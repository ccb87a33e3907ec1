//! What became of mail: deliveries counted by instance, provider, domain and protocol over time.
//!
//! Owns the reading of logs side by side ([`read`]) and what is counted ([`Tally`]).
//! Must not know where logs lie nor how counts are shown.
//!
//! One pass over the bytes: lines are found by ` status=`, and only those are taken apart. Plain
//! files are cut into ranges that threads take in turn; memory does not grow with their length.

mod delays;
mod leaving;
mod report;
mod tally;
mod time;

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::departure::Departures;
use crate::postfix::log::{Marker, blocks};
use crate::system::Pieces;

pub use crate::mail_hosts::{MailHosts, OTHER};
pub use delays::Delays;
pub use report::{By, Row};
pub use tally::{Cell, Counted, Ends, Family, Tally};
pub use time::{Hour, LastDay, Stamp};

/// How much of a file a thread takes at a time.
const RANGE: u64 = 16 << 20;

/// What every line of a delivery has.
const MARKER: &[u8] = b" status=";

/// Which lines count, by their time; the start is in, the end is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From when on.
    pub since: Option<Stamp>,
    /// Until when.
    pub until: Option<Stamp>,
}

impl Span {
    /// Tells whether a line counts; one without a time counts where every line does.
    #[must_use]
    pub fn holds(&self, stamp: Option<Stamp>) -> bool {
        match (self, stamp) {
            (
                Self {
                    since: None,
                    until: None,
                },
                _,
            ) => true,
            (_, None) => false,
            (_, Some(stamp)) => {
                self.since.is_none_or(|since| stamp >= since)
                    && self.until.is_none_or(|until| stamp < until)
            }
        }
    }
}

/// A log to be read.
pub enum Source {
    /// A file that can be read at any place.
    File(Box<dyn Pieces>),
    /// What comes from elsewhere, or out of a decoder; in order, by one thread.
    Stream {
        /// The bytes.
        bytes: Mutex<Box<dyn Read + Send>>,
        /// The day it ends on.
        last: LastDay,
    },
}

impl Source {
    /// Its bytes, where they are known beforehand.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::File(file) => file.length(),
            Self::Stream { .. } => 0,
        }
    }
}

/// What one thread takes at a time.
struct Job {
    source: usize,
    start: u64,
}

/// Counts the deliveries of all sources, by where they left from too where it is handed in how
/// that is known; `done` is told how many more bytes were read.
///
/// # Errors
/// When a source cannot be read to its end.
pub fn read<'a>(
    sources: &[Source],
    mail_hosts: &'a MailHosts,
    span: Span,
    departures: Option<&'a Departures>,
    done: &(dyn Fn(u64) + Sync),
) -> io::Result<Tally<'a>> {
    let jobs: Vec<Job> = sources
        .iter()
        .enumerate()
        .flat_map(|(source, log)| {
            let length = match log {
                Source::File(file) => file.length(),
                Source::Stream { .. } => 1,
            };
            let step = usize::try_from(RANGE).unwrap_or(usize::MAX);
            (0..length)
                .step_by(step)
                .map(move |start| Job { source, start })
        })
        .collect();
    let next = AtomicUsize::new(0);
    let marker = Marker::new(MARKER);
    let work = || -> io::Result<Tally<'a>> {
        let mut tally = Tally::new(mail_hosts, span, departures);
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            match sources.get(job.source) {
                Some(Source::File(file)) => {
                    let last = LastDay::of(file.modified());
                    let end = file.length().min(job.start + RANGE);
                    let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
                    blocks(job.start..end, read, |block| {
                        tally.block(block, &marker, last);
                    })?;
                    done(end - job.start);
                }
                Some(Source::Stream { bytes, last }) => {
                    let mut bytes = bytes.lock().map_err(|_| io::ErrorKind::Other)?;
                    let read = |buffer: &mut [u8], _| {
                        let count = bytes.read(buffer)?;
                        done(u64::try_from(count).unwrap_or_default());
                        Ok(count)
                    };
                    blocks(0..u64::MAX, read, |block| {
                        tally.block(block, &marker, *last);
                    })?;
                }
                None => {}
            }
        }
        Ok(tally)
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(jobs.len());
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work()?;
        for other in others {
            all.join(&other.join().map_err(|_| io::ErrorKind::Other)??);
        }
        Ok(all)
    })
}
