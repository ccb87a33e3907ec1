//! What became of mail: deliveries counted by instance, provider, domain and protocol over time.
//!
//! Owns the reading of logs side by side ([`read`]) and what is counted ([`Tally`]).
//! Must not know where logs lie nor how counts are shown.
//!
//! One pass over the bytes: lines are found by ` status=`, and only those are taken apart. Plain
//! files are cut into ranges that threads take in turn; memory does not grow with their length.

mod delays;
mod late;
mod leaving;
mod parts;
mod report;
mod tally;
mod time;

use std::io::{self, Read};
use std::sync::Mutex;
use std::thread;

use crate::departure::Departures;
use crate::postfix::log::Marker;
use crate::system::Pieces;

pub use crate::mail_hosts::{MailHosts, OTHER};
pub use delays::Delays;
pub use parts::{Part, Parts, RANGE};
pub use report::{By, Row};
pub use tally::{Cell, Counted, Ends, Family, Tally};
pub use time::{Clock, Hour, LastDay, Stamp};

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
    let parts = Parts::new(sources, RANGE);
    let marker = Marker::new(MARKER);
    let work = || -> io::Result<Tally<'a>> {
        let mut tally = Tally::new(mail_hosts, span, departures);
        while let Some(part) = parts.take() {
            parts.read(part, done, |block, last| {
                tally.block(block, &marker, last);
                true
            })?;
        }
        Ok(tally)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..parts.threads()).map(|_| scope.spawn(work)).collect();
        let mut all = work()?;
        for other in others {
            all.join(&other.join().map_err(|_| io::ErrorKind::Other)??);
        }
        Ok(all)
    })
}
