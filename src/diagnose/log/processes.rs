//! What processes met with before they were done with a message.
//!
//! Owns attempts of processes until the delivery line that follows them, and for how many that is
//! remembered. Must not know what is counted of them.

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
    done: Vec<u64>,
    attempts: Vec<Attempts>,
}

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
    /// How many there may be before those that are done with are looked for.
    most: usize,
}

impl Processes {
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
            done: Vec::new(),
            attempts: Vec::new(),
        };
        let pending = self.pending.entry(note.process).or_insert_with(fresh);
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
    }

    /// What a process met with before this delivery line, and whether it is the first.
    pub(super) fn met(&mut self, note: &Note) -> (Vec<Attempts>, bool) {
        let Some(pending) = self.pending.get_mut(&note.process) else {
            return (Vec::new(), false);
        };
        let is_other = pending.message != 0 && pending.message != note.message;
        // Who has had a line of this delivery is tried anew, by the same process.
        if is_other || pending.done.contains(&note.recipient) {
            self.pending.remove(&note.process);
            return (Vec::new(), false);
        }
        let is_first = pending.done.is_empty();
        pending.done.push(note.recipient);
        pending.message = note.message;
        (pending.attempts.clone(), is_first)
    }
}
