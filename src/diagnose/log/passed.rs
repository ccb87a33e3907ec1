//! Lines of mail that went well, kept as text: nearly nobody waits for them, and only then they
//! are read.
//!
//! Owns [`Passing`], which sees from a few bytes around a marker that a line is one of those, and
//! whose it is; and [`Passed`], what is kept of it. What it sees only decides who may want to read
//! the line: what it tells is known when it was read. Must not know who waits.

use memchr::memchr;

use super::note::{Hash, hash};
use crate::postfix::log::{Heads, last_word, near_either, trailing_number};
use crate::stats::{LastDay, Span, Stamp};

/// What a line of a delivery has behind its queue id.
pub(super) const TO: &[u8] = b": to=<";

/// What a line has behind its queue id whose message left the queue.
pub(super) const REMOVED: &[u8] = b": removed";

/// What a line of a delivery has where a recipient's mail was taken.
const SENT: &[u8] = b", status=sent (";

/// How many places there are for queue managers that were heard, and how many have one place;
/// whoever has more of them has some read anew, now and then.
const MANAGERS: usize = 64;
const AT_A_PLACE: usize = 4;

/// A line that nobody read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    /// The message: its queue id on its host.
    pub message: u64,
    /// The process on its host that delivered it; 0 where the message left the queue.
    pub process: u64,
    /// Where its text begins among those kept, and how long it is.
    at: u32,
    length: u32,
}

/// The lines of a part of a log, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub all: Vec<Passed>,
    text: Vec<u8>,
    /// The latest time among them.
    pub latest: Option<Stamp>,
}

impl Lines {
    /// The text of a line, as far as it matters.
    pub(super) fn text(&self, passed: Passed) -> &[u8] {
        let [at, length] =
            [passed.at, passed.length].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let text = self.text.get(at..).and_then(|rest| rest.get(..length));
        text.unwrap_or_default()
    }

    /// None of them, in the same room.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.text.clear();
        self.latest = None;
    }
}

/// Tells which lines are such.
#[derive(Debug)]
pub(super) struct Passing {
    heads: Heads,
    /// What the last head came to: the time, by the day the log ends on, and the host.
    stamp: Option<Stamp>,
    last: Option<LastDay>,
    host: u64,
    /// Queue managers that said of a message that it left the queue.
    managers: [[u64; AT_A_PLACE]; MANAGERS],
}

impl Passing {
    /// Begins with nothing.
    pub(super) fn new() -> Self {
        Self {
            heads: Heads::default(),
            stamp: None,
            last: None,
            host: 0,
            managers: [[0; AT_A_PLACE]; MANAGERS],
        }
    }

    /// Forgets what was seen: a new part of a log begins.
    pub(super) fn begin(&mut self) {
        self.last = None;
        self.managers = [[0; AT_A_PLACE]; MANAGERS];
    }

    /// Keeps a line that tells of a recipient whose mail was taken, or of a message that left the
    /// queue; gives none where it is no such line. `at` is where [`TO`] or [`REMOVED`] stands.
    pub(super) fn keep(
        &mut self,
        line: &[u8],
        at: usize,
        last: LastDay,
        span: Span,
        lines: &mut Lines,
    ) -> Option<()> {
        let (before, behind) = line.split_at_checked(at)?;
        let is_removed = behind.strip_prefix(REMOVED);
        let is_removed = is_removed.is_some_and(|rest| matches!(rest, b"" | b"\r"));
        let kept = if is_removed {
            at + REMOVED.len()
        } else {
            at + Self::taken(behind)?
        };
        let is_same = self.heads.read(before)?;
        if !is_same || self.last != Some(last) {
            self.last = Some(last);
            self.stamp = Stamp::parse(self.heads.time(), last);
            self.host = hash(&[self.heads.host()]);
            if span.holds(self.stamp) && self.stamp > lines.latest {
                lines.latest = self.stamp;
            }
        }
        // `TAG[PROCESS]: ID`, read backwards from where it ends.
        let (before, id) = last_word(before)?;
        let (before, pid) = trailing_number(before.strip_suffix(b"]: ")?)?;
        let tag = before.strip_suffix(b"[")?.get(self.heads.length()..)?;
        let process = process(self.host, pid);
        if is_removed && tag.ends_with(b"/qmgr") && !self.is_known_manager(process, tag) {
            return None;
        }
        if !span.holds(self.stamp) {
            return Some(());
        }
        let process = if is_removed { 0 } else { process };
        let at = u32::try_from(lines.text.len()).ok()?;
        lines.text.extend_from_slice(line.get(..kept)?);
        lines.all.push(Passed {
            message: message(self.host, id),
            process,
            at,
            length: u32::try_from(kept).ok()?,
        });
        Some(())
    }

    /// How much of a delivery's line tells that the mail was taken, where that is plain: an address
    /// with quotes may hold what looks like another field.
    fn taken(line: &[u8]) -> Option<usize> {
        let to = line.strip_prefix(TO)?;
        let close = near_either([b'>', b'"'], to)?;
        let rest = to.get(close..)?;
        let start = TO.len() + close;
        rest.starts_with(b">, ").then_some(())?;
        // What the receiver said begins with the first such bracket, or an address holds one.
        let end = memchr(b'(', rest)? + 1;
        rest.get(..end)?.ends_with(SENT).then_some(start + end)
    }

    /// Tells whether it was heard before; from now on it was.
    fn is_known_manager(&mut self, process: u64, tag: &[u8]) -> bool {
        let mut hash = Hash::default();
        hash.mix(process);
        hash.add(tag);
        let number = hash.number();
        let place = usize::try_from(number >> 32).unwrap_or_default() % MANAGERS;
        let Some(held) = self.managers.get_mut(place) else {
            return false;
        };
        let is_known = held.contains(&number);
        if !is_known {
            held.rotate_right(1);
            held[0] = number;
        }
        is_known
    }
}

/// The number of a message on a host.
pub(super) fn message(host: u64, id: &[u8]) -> u64 {
    let mut hash = Hash::default();
    hash.mix(host);
    hash.add(id);
    hash.number()
}

/// The number of a process on a host.
pub(super) fn process(host: u64, pid: u32) -> u64 {
    let mut hash = Hash::default();
    hash.mix(host ^ u64::from(pid));
    hash.number()
}
