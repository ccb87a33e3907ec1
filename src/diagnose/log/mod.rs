//! What a log says of mail that did not get through: failing lines read, joined and grouped.
//!
//! Owns the order of it: ranges of files are taken apart side by side ([`lines`]), what they come
//! to is joined in the order of the log ([`join`]), and summed up ([`group`]). A log that grows is
//! read the same way ([`Reading`]). Must not know where logs lie, nor how findings are shown.
//!
//! One pass over the bytes; of lines that tell nothing only the marker is looked for, and those of
//! mail that went well are kept unread, for the few that somebody waits for ([`passed`]). Memory
//! grows with the messages that are in the queue at a time.

mod counts;
mod group;
mod join;
mod kinds;
mod lines;
mod markers;
mod masked;
mod note;
mod outage;
mod passed;
mod processes;
mod source;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::thread;

use crate::diagnose::{Knowledge, LOCAL, OTHER};
use crate::stats::{LastDay, Parts, Source, Span};
use join::Join;
use lines::Reader;
use markers::Markers;
use note::Notes;

pub(in crate::diagnose) use note::Hash;

pub use group::{Bounced, Ends, From, Group, Report, UNKNOWN};
pub use outage::cause_of_all;
pub use tell::Known;

/// How many notes of a stream are gathered before they are joined: some MiB.
const GATHERED: usize = 1 << 16;

/// How much of a file a thread takes at a time: little, so that what is noted of it takes little
/// memory until it is joined.
const RANGE: u64 = 4 << 20;

/// What is wanted of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which lines count.
    pub span: Span,
    /// Whether the addresses are wanted that mail was given up for.
    pub recipients: bool,
}

/// All ids of receivers, by place; the first is nobody we know.
fn providers(knowledge: &Knowledge) -> Vec<&str> {
    let known = knowledge
        .providers()
        .iter()
        .map(|provider| provider.id.as_str());
    [OTHER, LOCAL].into_iter().chain(known).collect()
}

/// All codes of causes, by place; the first is none.
fn causes(knowledge: &Knowledge) -> Vec<&str> {
    let known = knowledge.causes().iter().map(|cause| cause.code.as_str());
    std::iter::once("").chain(known).collect()
}

/// A log that is read as it grows.
#[derive(Debug)]
pub struct Reading<'k> {
    knowledge: &'k Knowledge,
    reader: Reader<'k>,
    join: Join,
    room: Notes,
}

impl<'k> Reading<'k> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(knowledge: &'k Knowledge, options: Options) -> Self {
        Self {
            knowledge,
            reader: Reader::new(knowledge, Arc::new(Markers::new()), options),
            join: Join::new(knowledge, options),
            room: Notes::default(),
        }
    }

    /// Takes the lines that come next, all of them whole.
    pub fn feed(&mut self, lines: &[u8], last: LastDay) {
        self.reader.block(lines, last);
        let notes = self.reader.take(std::mem::take(&mut self.room));
        self.join.take(&notes);
        self.room = notes.emptied();
    }

    /// Takes all that is in these logs already, in their order; `done` is told how many more bytes
    /// were read.
    ///
    /// # Errors
    /// When one cannot be read to its end.
    pub fn feed_all(&mut self, sources: &[Source], done: &(dyn Fn(u64) + Sync)) -> io::Result<()> {
        let parts = Parts::new(sources, RANGE);
        while let Some(part) = parts.take() {
            parts.read(part, done, |lines, last| {
                self.feed(lines, last);
                true
            })?;
        }
        Ok(())
    }

    /// What the lines so far come to.
    #[must_use]
    pub fn report(&self) -> Report {
        group::report(self.knowledge, &self.join)
    }
}

/// The notes of all threads, on their way into one order.
struct Order {
    queue: Mutex<Queue>,
    turned: Condvar,
    /// Held by the thread that joins; others leave their notes to it and read on.
    join: Mutex<Join>,
    /// How many finished parts may wait.
    most: usize,
}

struct Queue {
    /// The job whose notes come next.
    next: usize,
    /// Notes in the order of the log, to be joined.
    ready: VecDeque<Notes>,
    /// Those of jobs that came before their turn.
    waiting: BTreeMap<usize, Notes>,
    /// Room for more notes.
    rooms: Vec<Notes>,
    /// A thread ended early, and nobody need wait for it.
    is_broken: bool,
}

impl Order {
    /// Room for notes, that of others where there is some.
    fn room(&self) -> io::Result<Notes> {
        Ok(lock(&self.queue)?.rooms.pop().unwrap_or_default())
    }

    /// Hands the notes of a job over, and waits until there is room; of a job that goes on only
    /// when its turn has come. Gives whether there is anybody to go on for.
    fn hand_over(&self, job: usize, notes: Notes, is_last: bool) -> io::Result<bool> {
        let mut queue = lock(&self.queue)?;
        while job != queue.next && (!is_last || queue.waiting.len() >= self.most) {
            if queue.is_broken {
                return Ok(false);
            }
            queue = self.turned.wait(queue).map_err(|_| io::ErrorKind::Other)?;
        }
        if job != queue.next {
            queue.waiting.insert(job, notes);
            return Ok(!queue.is_broken);
        }
        queue.ready.push_back(notes);
        if is_last {
            queue.next += 1;
            loop {
                let next = queue.next;
                let Some(notes) = queue.waiting.remove(&next) else {
                    break;
                };
                queue.ready.push_back(notes);
                queue.next += 1;
            }
            self.turned.notify_all();
        }
        let (is_broken, is_full) = (queue.is_broken, queue.ready.len() > self.most);
        drop(queue);
        self.join_ready(is_full)?;
        Ok(!is_broken)
    }

    /// Joins all notes that are ready, unless another thread is at it; who must waits for that one.
    fn join_ready(&self, must: bool) -> io::Result<()> {
        let mut must = must;
        loop {
            let join = if must {
                Some(lock(&self.join)?)
            } else {
                match self.join.try_lock() {
                    Ok(join) => Some(join),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Poisoned(_)) => return Err(io::ErrorKind::Other.into()),
                }
            };
            let Some(mut join) = join else {
                return Ok(());
            };
            while let Some(notes) = self.ready()? {
                join.take(&notes);
                lock(&self.queue)?.rooms.push(notes.emptied());
            }
            drop(join);
            // Who came meanwhile left it to this thread.
            if lock(&self.queue)?.ready.is_empty() {
                return Ok(());
            }
            must = false;
        }
    }

    /// The notes that come next, where they are ready.
    fn ready(&self) -> io::Result<Option<Notes>> {
        Ok(lock(&self.queue)?.ready.pop_front())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> io::Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| io::ErrorKind::Other.into())
}

/// Tells the others, whichever way a thread ends.
struct Ending<'o>(&'o Order, bool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.1 {
            if let Ok(mut queue) = self.0.queue.lock() {
                queue.is_broken = true;
            }
            self.0.turned.notify_all();
        }
    }
}

/// Reads all sources; `done` is told how many more bytes were read.
///
/// # Errors
/// When a source cannot be read to its end.
pub fn read(
    sources: &[Source],
    knowledge: &Knowledge,
    options: Options,
    done: &(dyn Fn(u64) + Sync),
) -> io::Result<Report> {
    read_in_ranges(sources, knowledge, options, done, RANGE)
}

fn read_in_ranges(
    sources: &[Source],
    knowledge: &Knowledge,
    options: Options,
    done: &(dyn Fn(u64) + Sync),
    range: u64,
) -> io::Result<Report> {
    let parts = Parts::new(sources, range);
    let order = Order {
        queue: Mutex::new(Queue {
            next: 0,
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            rooms: Vec::new(),
            is_broken: false,
        }),
        turned: Condvar::new(),
        join: Mutex::new(Join::new(knowledge, options)),
        most: parts.threads(),
    };
    let markers = Arc::new(Markers::new());
    let work = || -> io::Result<()> {
        let mut ending = Ending(&order, false);
        let mut reader = Reader::new(knowledge, Arc::clone(&markers), options);
        while let Some(part) = parts.take() {
            let mut failed = None;
            parts.read(part, done, |block, last| {
                reader.block(block, last);
                if !part.is_stream || reader.len() < GATHERED {
                    return true;
                }
                let notes = order.room().map(|room| reader.take(room));
                match notes.and_then(|notes| order.hand_over(part.number, notes, false)) {
                    Ok(goes_on) => goes_on,
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if !order.hand_over(part.number, reader.take(order.room()?), true)? {
                break;
            }
        }
        ending.1 = true;
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..parts.threads()).map(|_| scope.spawn(work)).collect();
        let mut outcome = work();
        for other in others {
            let ended = other.join().map_err(|_| io::ErrorKind::Other)?;
            outcome = outcome.and(ended);
        }
        outcome
    })?;
    let join = order.join.into_inner().map_err(|_| io::ErrorKind::Other)?;
    Ok(group::report(knowledge, &join))
}
