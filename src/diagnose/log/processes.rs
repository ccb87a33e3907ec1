//! What processes met with before they were done with a message.
//!
//! Owns attempts of processes until the delivery line that follows them, and for how many that is
//! remembered. Must not know what is counted of them.

use smallvec::SmallVec;

use super::counts::Slot;
use super::note::{ByHash, Note};
use crate::stats::Stamp;

/// Most processes whose attempts are remembered, and how many are before any is forgotten.
const MOST: usize = 1 << 16;
const FEW: usize = 1 << 12;

/// What a process met with before it was done with a message.
#[derive(Clone, Debug)]
struct Pending {
    /// The message; 0 where no line told it yet.
    message: u64,
    /// The recipients whose delivery lines came.
    done: SmallVec<[u64; 2]>,
    attempts: Met,
}

/// Attempts of one process, mostly alike.
pub(super) type Met = SmallVec<[Attempts; 1]>;

/// Attempts that failed alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    pub slot: Slot,
    pub count: u64,
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
}

/// Processes by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes {
    pending: ByHash<Pending>,
    /// How many there are of those that have the same number on their host.
    numbers: ByHash<u32>,
    /// How many there may be before those that are done with are looked for.
    most: usize,
}

impl Processes {
    /// Tells whether a process met with something before, by its number on its host: perhaps it
    /// was another one of that number.
    pub(super) fn may_be_at_work(&self, number: u64) -> bool {
        !self.numbers.is_empty() && self.numbers.contains_key(&on_host(number))
    }

    /// Tells whether a process met with something before.
    pub(super) fn are_at_work(&self, process: u64) -> bool {
        !self.pending.is_empty() && self.pending.contains_key(&process)
    }

    /// Takes an attempt that failed; `is_queued` tells of a message whether it is in the queue.
    pub(super) fn attempt(&mut self, note: &Note, is_queued: impl Fn(u64) -> bool) {
        let class = note.class.unwrap_or_default();
        if self.pending.len() >= self.most.max(FEW) && !self.pending.contains_key(&note.process) {
            self.forget(is_queued);
        }
        let fresh = || Pending {
            message: note.message,
            done: SmallVec::new(),
            attempts: Met::new(),
        };
        let numbers = &mut self.numbers;
        let pending = self.pending.entry(note.process).or_insert_with(|| {
            *numbers.entry(on_host(note.process)).or_default() += 1;
            fresh()
        });
        let is_other = note.message != 0 && pending.message != 0 && note.message != pending.message;
        if is_other || !pending.done.is_empty() {
            *pending = fresh();
        }
        if note.message != 0 {
            pending.message = note.message;
        }
        let known = pending.attempts.iter_mut().find(|one| one.slot == class);
        if let Some(known) = known {
            known.count += 1;
            known.last = note.stamp.or(known.last);
        } else {
            pending.attempts.push(Attempts {
                slot: class,
                count: 1,
                first: note.stamp,
                last: note.stamp,
            });
        }
    }

    /// Forgets processes that end, which no line tells of: those whose message left the queue, and
    /// if these are not enough, all that were done with theirs and at last everyone.
    fn forget(&mut self, is_queued: impl Fn(u64) -> bool) {
        let pending = &mut self.pending;
        pending.retain(|_, one| one.done.is_empty() || is_queued(one.message));
        if pending.len() > MOST / 2 {
            pending.retain(|_, one| one.done.is_empty());
        }
        if pending.len() > MOST / 2 {
            pending.clear();
        }
        self.most = 2 * pending.len();
        self.numbers.clear();
        for process in self.pending.keys() {
            *self.numbers.entry(on_host(*process)).or_default() += 1;
        }
    }

    /// What a process met with before this delivery line, and whether it is the first.
    pub(super) fn met(&mut self, note: &Note) -> (Met, bool) {
        let Some(pending) = self.pending.get_mut(&note.process) else {
            return (Met::new(), false);
        };
        let is_other = pending.message != 0 && pending.message != note.message;
        // Who has had a line of this delivery is tried anew, by the same process.
        if is_other || pending.done.contains(&note.recipient) {
            self.pending.remove(&note.process);
            let number = on_host(note.process);
            if let Some(count) = self.numbers.get_mut(&number) {
                *count -= 1;
                if *count == 0 {
                    self.numbers.remove(&number);
                }
            }
            return (Met::new(), false);
        }
        let is_first = pending.done.is_empty();
        pending.done.push(note.recipient);
        pending.message = note.message;
        (pending.attempts.clone(), is_first)
    }
}

/// How many bits of a process's number are its tag's.
const OF_TAG: u32 = 12;

/// The number of a process, by the number on its host and its tag.
pub(super) fn process(number: u64, tag: u16) -> u64 {
    number ^ u64::from(tag) << (u64::BITS - OF_TAG)
}

/// What is the same in the numbers of all processes of one number on a host.
fn on_host(process: u64) -> u64 {
    process & (u64::MAX >> OF_TAG)
}
