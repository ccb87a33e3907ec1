//! What one line comes down to, in few bytes.
//!
//! Owns [`Note`] and the tables that notes of one part of a log point into ([`Notes`]). Must not
//! know what notes mean together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use super::passed::Lines;
use crate::memo::Memo;
use crate::stats::{Family, LastDay, Stamp};

/// What a line told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A recipient's mail was taken.
    Sent {
        /// By another host, on port 25.
        abroad: bool,
    },
    /// A recipient's mail was not taken, for now or for good.
    Failed {
        /// It was given up.
        is_final: bool,
        /// Nothing was tried: an earlier message met this.
        suspended: bool,
    },
    /// A host did not take the message, and another may.
    Attempt,
    /// The message was given up for its age.
    Expired,
    /// The message left the queue.
    Removed,
    /// A program of Postfix told of a fault of its own.
    Trouble {
        /// It says why; else it only tells what came of it.
        is_reason: bool,
    },
    /// A host was turned away because its name was not found.
    NotFound,
    /// A host came, and its name was found.
    Resolved,
}

/// A line as it is noted: most tell nothing but this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub what: What,
    /// The message: its queue id on its host; 0 is none.
    pub message: u64,
    /// The process on its host; with the tag it is the one that told it.
    pub process: u64,
    /// When, where that matters and is known.
    pub stamp: Option<Stamp>,
    /// The place of the program's tag.
    pub tag: u16,
    /// The place of its details.
    pub at: u32,
    /// How many lines of mail that went well were passed over before it.
    pub passed: u32,
}

/// What only some lines tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail {
    /// The recipient; of a name that was not found, the name.
    pub recipient: u64,
    /// The host that was tried.
    pub place: u64,
    /// The place of its class.
    pub class: Option<u32>,
    /// The place of the recipient's domain; of what has none any.
    pub domain: u32,
    /// The place of its texts, where they are wanted.
    pub texts: Option<u32>,
}

/// A line, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub what: What,
    /// The message: its queue id on its host; 0 is none.
    pub message: u64,
    /// The process that told it.
    pub process: u64,
    /// The recipient; of a name that was not found, the name.
    pub recipient: u64,
    /// The host that was tried.
    pub place: u64,
    /// When, where that matters and is known.
    pub stamp: Option<Stamp>,
    /// The place of the program's tag.
    pub tag: u16,
    /// The place of its class.
    pub class: Option<u32>,
    /// The place of the recipient's domain; of what has none any.
    pub domain: u32,
}

/// By what failures are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The place of the receiver's id.
    pub provider: u16,
    /// The place of the cause's code.
    pub cause: u16,
    /// Our address, where the reply named it.
    pub address: Option<IpAddr>,
    /// The place of the program's tag, where no address is known.
    pub tag: u16,
    pub family: Family,
    /// It is no result yet, but one address of several.
    pub is_attempt: bool,
    /// The greeting itself was a refusal for good, which Postfix takes for one for now.
    pub is_greeting: bool,
    /// Words that nobody knows yet; 0 where they are known.
    pub wording: u64,
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut hash = Hash::default();
        hash.mix(
            u64::from(self.provider)
                | u64::from(self.cause) << 16
                | u64::from(self.tag) << 32
                | (self.family as u64) << 48
                | u64::from(self.is_attempt) << 56
                | u64::from(self.is_greeting) << 57,
        );
        hash.mix(self.wording);
        match self.address {
            Some(IpAddr::V4(address)) => hash.add(&address.octets()),
            Some(IpAddr::V6(address)) => hash.add(&address.octets()),
            None => {}
        }
        state.write_u64(hash.number());
    }
}

/// A kind of failure, with its first line.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub key: Key,
    pub line: Box<[u8]>,
    pub words: Box<[u8]>,
}

/// An address that mail bounced from, and the reply.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub address: Box<[u8]>,
    pub reply: Box<[u8]>,
}

/// The notes of a part of a log, in its order.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// How many lines there were, those that tell nothing among them.
    pub lines: u64,
    pub all: Vec<Told>,
    pub details: Vec<Detail>,
    /// The lines of mail that went well.
    pub passed: Lines,
    /// The day the log ends on.
    pub last: Option<LastDay>,
    pub tags: Names,
    pub domains: Names,
    pub classes: Vec<Class>,
    pub texts: Vec<Texts>,
}

impl Notes {
    /// The same without notes; the room they took is kept.
    pub(super) fn emptied(mut self) -> Self {
        self.all.clear();
        self.details.clear();
        self.passed.clear();
        Self {
            all: self.all,
            details: self.details,
            passed: self.passed,
            ..Self::default()
        }
    }
}

/// Names by number.
#[derive(Debug)]
pub(super) struct Names {
    numbers: HashMap<Box<[u8]>, u32>,
    pub all: Vec<Box<[u8]>>,
    /// Those that were asked for a moment ago.
    memo: Memo,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            all: Vec::new(),
            memo: Memo::new(256),
        }
    }
}

impl Names {
    /// The number of a name; names beyond a limit share one that has no name.
    pub(super) fn number(&mut self, name: &[u8], most: usize) -> u32 {
        let (numbers, names) = (&mut self.numbers, &mut self.all);
        let number = self.memo.number(name, || {
            if let Some(&number) = numbers.get(name) {
                return Some(number);
            }
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            // What strangers choose takes no room beyond the limit.
            if names.len() < most {
                names.push(name.into());
                numbers.insert(name.into(), next);
            }
            Some(next)
        });
        number.unwrap_or(u32::MAX)
    }

    /// The name of a number.
    pub(super) fn name(&self, number: u32) -> &[u8] {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.all.get(at).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// A number for bytes, good enough to stand for them: the same on every run and every machine.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = Hash::default();
    for part in parts {
        hash.add(part);
    }
    hash.number()
}

/// A number that grows out of parts.
#[derive(Clone, Copy, Debug)]
pub(in crate::diagnose) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Hash {
    /// Adds a part; no two ways to cut the same bytes are alike.
    pub(in crate::diagnose) fn add(&mut self, part: &[u8]) {
        let mut words = part.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        // Of eight bytes or more, the last eight say what is left in one step.
        self.mix(match part.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last),
            None => part
                .iter()
                .fold(0, |so_far, byte| so_far << 8 | u64::from(*byte)),
        });
        self.mix(u64::try_from(part.len()).unwrap_or_default() ^ 0xE703_7ED1_A0B4_28DB);
    }

    /// Adds a number.
    pub(in crate::diagnose) fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0xA076_1D64_78BD_642F_u128;
        let folded = (wide & u128::from(u64::MAX)) ^ (wide >> 64);
        self.0 = u64::try_from(folded).unwrap_or_default();
    }

    /// The number; never 0, which stands for none.
    pub(in crate::diagnose) fn number(self) -> u64 {
        self.0.max(1)
    }
}

/// Numbers that are good to look up by as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }
}

/// Makes the hash of tables of what is or has such a number.
pub(super) type Numbered = BuildHasherDefault<AsItIs>;

/// Values by such a number.
pub(super) type ByHash<V> = HashMap<u64, V, Numbered>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_take_no_room_and_are_nobody_elses() {
        let mut names = Names::default();
        for number in 0..100_u32 {
            let given = names.number(format!("d{number}.example").as_bytes(), 10);
            assert_eq!(given, number.min(10));
        }
        assert_eq!(names.all.len(), 10);
        assert_eq!(names.numbers.len(), 10);
        assert_eq!(names.name(9), b"d9.example");
        assert_eq!(names.name(10), b"");
        assert_eq!(names.number(b"d3.example", 10), 3);
    }
}
