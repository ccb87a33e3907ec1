//! What was looked up a moment ago, found again in a few steps.
//!
//! Owns [`Memo`], and the hash [`Quick`] for tables of our own names. Must not know what names are
//! of. Most lines of a log name what a line shortly before has named. Names come from
//! strangers, so nothing depends on how well they spread: each has one place, whoever comes later
//! takes it over, and the real look-up behind it, which nobody can slow down, finds the other.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes the hash of tables that only we put names into: a stranger's name is asked for there, but
/// never kept, so that nobody can fill a table with names that meet.
pub type Quick = BuildHasherDefault<QuickHash>;

/// The hash of a [`Quick`] table.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuickHash(u64);

impl Hasher for QuickHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mixed(self.0, bytes);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// The longest name that is kept; nearly all are shorter.
const MAX_NAME: usize = 50;

/// A number for each of the names that came last.
#[derive(Clone, Debug)]
pub struct Memo {
    /// A power of two of them.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    name: [u8; MAX_NAME],
    length: u8,
    number: u32,
}

impl Memo {
    /// Makes room for about as many names.
    #[must_use]
    pub fn new(names: usize) -> Self {
        let nothing = Place {
            name: [0; MAX_NAME],
            // The length of no name that is kept.
            length: u8::MAX,
            number: 0,
        };
        Self {
            places: vec![nothing; names.next_power_of_two()],
        }
    }

    /// The number of a name: the one that was kept, or else what `look_up` gives; that is kept
    /// unless it is none.
    pub fn number(&mut self, name: &[u8], look_up: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let mask = self.places.len() - 1;
        let place = self.places.get_mut(spread(name) & mask)?;
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX - 1);
        if place.length == length && place.name.get(..name.len()) == Some(name) {
            return Some(place.number);
        }
        let number = look_up()?;
        if let Some(kept) = place.name.get_mut(..name.len()) {
            kept.copy_from_slice(name);
            (place.length, place.number) = (length, number);
        }
        Some(number)
    }
}

/// A number that similar names do not share.
fn spread(name: &[u8]) -> usize {
    usize::try_from(mixed(0, name) >> 40).unwrap_or_default()
}

/// Mixes bytes into a number, eight at a time, by a multiplication.
fn mixed(mut mixed: u64, bytes: &[u8]) -> u64 {
    let mut mix = |eight: u64| {
        mixed = (mixed.rotate_left(23) ^ eight).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    };
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        mix(u64::from_le_bytes(*eight));
    }
    let mut last = 0;
    for &byte in rest {
        last = last << 8 | u64::from(byte);
    }
    mix(last);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_own_number_whatever_came_between() {
        let long = "x".repeat(300);
        let names: Vec<String> = (0..200).map(|at| format!("mx{at}.example.org")).collect();
        let mut memo = Memo::new(16);
        let mut looked_up = 0;
        for round in 0..3_usize {
            for (at, name) in names.iter().enumerate() {
                let expected = u32::try_from(at).ok();
                // Twice, so that one of them is the kept one.
                for _ in 0..2 {
                    let number = memo.number(name.as_bytes(), || {
                        looked_up += 1;
                        expected
                    });
                    assert_eq!(number, expected, "{name} {round}");
                }
                assert_eq!(memo.number(long.as_bytes(), || Some(7)), Some(7));
                assert_eq!(memo.number(b"", || Some(9)), Some(9));
                assert_eq!(memo.number(b"none", || None), None);
            }
        }
        assert!((300..=600).contains(&looked_up), "{looked_up}");
    }

    #[test]
    fn bytes_that_are_nought_are_no_empty_place() {
        let mut memo = Memo::new(1);
        for length in 0..60 {
            let name = vec![0; length];
            let number = u32::try_from(length).ok();
            assert_eq!(memo.number(&name, || number), number);
        }
    }
}
