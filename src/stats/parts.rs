//! Logs cut into parts that threads take in turn.
//!
//! Owns [`Parts`]: which parts there are, who takes the next, and how the bytes of one come, for
//! whatever is looked for in them. Must not know what that is.

use std::cell::Cell;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{LastDay, Source};
use crate::postfix::log::blocks;

/// How much of a file a thread takes at a time.
pub const RANGE: u64 = 16 << 20;

/// What one thread takes at a time.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its place in the order of all.
    pub number: usize,
    /// Whether it is all of a stream: as long as that goes on.
    pub is_stream: bool,
    source: usize,
    start: u64,
}

/// The parts of all sources, in order.
pub struct Parts<'s> {
    sources: &'s [Source],
    range: u64,
    all: Vec<Part>,
    next: AtomicUsize,
}

impl<'s> Parts<'s> {
    /// Cuts files into ranges; a stream is one part.
    #[must_use]
    pub fn new(sources: &'s [Source], range: u64) -> Self {
        let step = usize::try_from(range).unwrap_or(usize::MAX);
        let cut = sources.iter().enumerate().flat_map(|(source, log)| {
            let (length, is_stream) = match log {
                Source::File(file) => (file.length(), false),
                Source::Stream { .. } => (1, true),
            };
            let starts = (0..length).step_by(step);
            starts.map(move |start| (source, start, is_stream))
        });
        let numbered = cut
            .enumerate()
            .map(|(number, (source, start, is_stream))| Part {
                number,
                is_stream,
                source,
                start,
            });
        Self {
            sources,
            range,
            all: numbered.collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// How many threads there is work for.
    #[must_use]
    pub fn threads(&self) -> usize {
        thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(self.all.len())
    }

    /// The part that nobody took yet.
    pub fn take(&self) -> Option<Part> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.all.get(number).copied()
    }

    /// Hands the lines of a part over, in blocks; a stream, which may never end, only as long as
    /// `visit` says that more are wanted. `done` is told how many more bytes were read.
    ///
    /// # Errors
    /// When it cannot be read to its end.
    pub fn read(
        &self,
        part: Part,
        done: &(dyn Fn(u64) + Sync),
        mut visit: impl FnMut(&[u8], LastDay) -> bool,
    ) -> io::Result<()> {
        match self.sources.get(part.source) {
            Some(Source::File(file)) => {
                let last = LastDay::of(file.modified());
                let end = file.length().min(part.start + self.range);
                let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
                blocks(part.start..end, read, |block| {
                    visit(block, last);
                })?;
                done(end - part.start);
            }
            Some(Source::Stream { bytes, last }) => {
                let mut bytes = bytes.lock().map_err(|_| io::ErrorKind::Other)?;
                let is_wanted = Cell::new(true);
                let read = |buffer: &mut [u8], _| {
                    if !is_wanted.get() {
                        return Ok(0);
                    }
                    let count = bytes.read(buffer)?;
                    done(u64::try_from(count).unwrap_or_default());
                    Ok(count)
                };
                blocks(0..u64::MAX, read, |block| {
                    is_wanted.set(visit(block, *last));
                })?;
            }
            None => {}
        }
        Ok(())
    }
}
