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

/// How many eights of bytes the longest name has that is kept; nearly all are shorter.
const EIGHTS: usize = 7;

/// A number for each of the names that came last.
#[derive(Clone, Debug)]
pub struct Memo {
    /// A power of two of them.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The name as numbers, which are quickly compared.
    eights: [u64; EIGHTS],
    length: usize,
    number: u32,
}

impl Memo {
    /// Makes room for about as many names.
    #[must_use]
    pub fn new(names: usize) -> Self {
        let nothing = Place {
            eights: [0; EIGHTS],
            // The length of no name that is kept.
            length: usize::MAX,
            number: 0,
        };
        Self {
            places: vec![nothing; names.next_power_of_two().max(2)],
        }
    }

    /// The number of a name: the one that was kept, or else what `look_up` gives; that is kept
    /// unless it is none.
    #[inline]
    pub fn number(&mut self, name: &[u8], look_up: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let mut eights = [0; EIGHTS];
        let (whole, rest) = name.as_chunks::<8>();
        let Some(last) = eights.get_mut(whole.len()) else {
            return look_up();
        };
        *last = remainder(name, rest);
        for (eight, bytes) in eights.iter_mut().zip(whole) {
            *eight = u64::from_le_bytes(*bytes);
        }
        let used = eights.get(..=whole.len()).unwrap_or_default();
        let spread = used.iter().fold(0, |so_far, eight| mix(so_far, *eight)) >> 40;
        let first = usize::try_from(spread).unwrap_or_default() & (self.places.len() - 1);
        // Two names that come again and again may have the same place, so each has another one.
        for at in [first, first ^ 1] {
            if let Some(place) = self.places.get(at)
                && place.length == name.len()
                && place.eights.iter().zip(used).all(|(one, two)| one == two)
            {
                return Some(place.number);
            }
        }
        let number = look_up()?;
        self.places.swap(first, first ^ 1);
        if let Some(place) = self.places.get_mut(first) {
            (place.eights, place.length, place.number) = (eights, name.len(), number);
        }
        Some(number)
    }
}

/// Mixes bytes into a number, eight at a time, by a multiplication.
fn mixed(so_far: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let whole = eights.iter().fold(so_far, |so_far, eight| {
        mix(so_far, u64::from_le_bytes(*eight))
    });
    mix(whole, remainder(bytes, rest))
}

#[inline]
fn mix(so_far: u64, eight: u64) -> u64 {
    (so_far.rotate_left(23) ^ eight).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What is left behind the eights of some bytes, as a number.
#[inline]
fn remainder(bytes: &[u8], rest: &[u8]) -> u64 {
    // Of eight bytes or more, the last eight say it in one step.
    match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .fold(0, |so_far, byte| so_far << 8 | u64::from(*byte)),
    }
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
