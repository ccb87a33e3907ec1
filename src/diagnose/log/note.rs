//! What one line comes down to, in few bytes.
//!
//! Owns [`Note`] and the tables that notes of one part of a log point into ([`Notes`]). Must not
//! know what notes mean together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use crate::stats::{Family, Stamp};

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
    /// A recipient's mail was taken, and nobody looked closer yet.
    Taken,
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
    /// The place of its details; of what was taken, where its line begins.
    pub at: u32,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// The lines of what was taken, one behind the other as far as they matter.
    pub taken: Vec<u8>,
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
        self.taken.clear();
        Self {
            all: self.all,
            details: self.details,
            taken: self.taken,
            ..Self::default()
        }
    }

    /// A line of what was taken.
    pub(super) fn taken(&self, told: &Told) -> &[u8] {
        let at = usize::try_from(told.at).unwrap_or(usize::MAX);
        let rest = self.taken.get(at..).unwrap_or_default();
        rest.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }
}

/// Names by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Box<[u8]>, u32>,
    pub names: Vec<Box<[u8]>>,
}

impl Names {
    /// The number of a name; names beyond a limit share one that has no name.
    pub(super) fn number(&mut self, name: &[u8], most: usize) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        if self.names.len() < most {
            let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            self.names.push(name.into());
            // What strangers choose takes no room beyond the limit.
            self.numbers.insert(name.into(), number);
            return number;
        }
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    /// The name of a number.
    pub(super) fn name(&self, number: u32) -> &[u8] {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.names.get(at).map(AsRef::as_ref).unwrap_or_default()
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
        let rest = words.remainder();
        let mut last = [0; 8];
        if let Some(held) = last.get_mut(..rest.len()) {
            held.copy_from_slice(rest);
        }
        self.mix(u64::from_le_bytes(last));
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

/// Values by such a number.
pub(super) type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

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
        assert_eq!(names.names.len(), 10);
        assert_eq!(names.numbers.len(), 10);
        assert_eq!(names.name(9), b"d9.example");
        assert_eq!(names.name(10), b"");
        assert_eq!(names.number(b"d3.example", 10), 3);
    }
}
