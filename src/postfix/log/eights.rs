//! Short searches and numbers, eight bytes at a time.
//!
//! Owns what is looked for in a few bytes of every line, where the call of a search by [`memchr`]
//! costs more than the search. Must not know what the bytes are of.

/// One in each byte.
const EACH: u64 = u64::from_le_bytes([1; 8]);

/// The highest bit of each byte.
const HIGH: u64 = EACH << 7;

/// Finds a byte that is near: eight bytes at a time and no call, which makes most of what a
/// search by [`memchr`] costs over a few bytes.
pub(super) fn near(byte: u8, text: &[u8]) -> Option<usize> {
    near_either([byte, byte], text)
}

/// The same for the nearer of two.
pub(crate) fn near_either(bytes: [u8; 2], text: &[u8]) -> Option<usize> {
    let [one, two] = bytes.map(|byte| EACH * u64::from(byte));
    // A byte that is wanted becomes zero, and the lowest zero is the lowest whose highest bit a
    // subtraction sets.
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word & HIGH;
    first(
        text,
        |eight| zeros(eight ^ one) | zeros(eight ^ two),
        |other| bytes.contains(other),
    )
}

/// Finds the first digit or other byte.
pub(crate) fn near_digit_or(byte: u8, text: &[u8]) -> Option<usize> {
    let marks = |eight: u64| {
        let other = eight ^ (EACH * u64::from(byte));
        let no_other = ((other & !HIGH) + (HIGH - EACH)) | other;
        !(no_digits(eight) & no_other) & HIGH
    };
    let is_wanted = |other: &u8| other.is_ascii_digit() || *other == byte;
    first(text, marks, is_wanted)
}

/// Finds the first byte that is wanted; `marks` gives the highest bit of such bytes among eight, the
/// lowest of which has to be right.
#[inline]
fn first(
    text: &[u8],
    marks: impl Fn(u64) -> u64,
    is_wanted: impl Fn(&u8) -> bool,
) -> Option<usize> {
    let (eights, rest) = text.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*eight));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    Some(eights.len() * 8 + rest.iter().position(is_wanted)?)
}

/// Tells whether a text begins with a short one, eight bytes at a time.
pub(super) fn begins_with(text: &[u8], short: &[u8]) -> bool {
    let Some(begin) = text.get(..short.len()) else {
        return false;
    };
    let ((ones, one), (others, other)) = (begin.as_chunks::<8>(), short.as_chunks::<8>());
    let is_same = |(one, other): (&[u8; 8], &[u8; 8])| one == other;
    // Of eight bytes or more, the last eight say what is left in one step.
    let is_rest_same = match (begin.last_chunk::<8>(), short.last_chunk::<8>()) {
        (Some(last), Some(other)) => last == other,
        _ => one == other,
    };
    is_rest_same && ones.iter().zip(others).all(is_same)
}

/// The highest bit of each byte that is no digit.
const fn no_digits(eight: u64) -> u64 {
    // A digit becomes less than ten, and what is not sets its byte's highest bit.
    let digit = eight ^ (EACH * b'0' as u64);
    (((digit & !HIGH) + EACH * (0x80 - 10)) | digit) & HIGH
}

/// A number of at most seven digits at the end of a text that is longer, and what stands before it;
/// all digits at once, for there is one in every line.
pub(crate) fn trailing_number(text: &[u8]) -> Option<(&[u8], u32)> {
    let (_, eight) = text.split_last_chunk::<8>()?;
    let eight = u64::from_le_bytes(*eight);
    let length = no_digits(eight).leading_zeros() / 8;
    let others = match length {
        1..=7 => 64 - 8 * length,
        _ => return None,
    };
    // Without what stands before the digits, which becomes zeros; then two, four and eight of
    // them are made one.
    let ones = (eight ^ (EACH * u64::from(b'0'))) >> others << others;
    let tens = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = tens.wrapping_mul(100).wrapping_add(tens >> 16) & 0x0000_FFFF_0000_FFFF;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF;
    let before = text.get(..text.len() - length as usize)?;
    Some((before, u32::try_from(number).ok()?))
}

/// The last word of a text that holds a blank, and what stands before it.
pub(crate) fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const EACH: u128 = u128::from_le_bytes([1; 16]);
    const HIGH: u128 = EACH << 7;
    let short = text.last_chunk::<16>().and_then(|end| {
        // A blank becomes zero, and what is not sets its byte's highest bit.
        let word = u128::from_le_bytes(*end) ^ (EACH * u128::from(b' '));
        let no_blank = ((word & !HIGH) + (HIGH - EACH)) | word;
        let length = (!no_blank & HIGH).leading_zeros() as usize / 8;
        (length < end.len()).then_some(length)
    });
    let length = short.or_else(|| text.iter().rev().position(|byte| *byte == b' '))?;
    text.split_at_checked(text.len() - length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..19 {
                let mut text = [0xFF; 19];
                text[at] = byte;
                let digit = byte.is_ascii_digit() || byte == b'@';
                assert_eq!(
                    near_digit_or(b'@', &text),
                    digit.then_some(at),
                    "{byte} {at}"
                );
                let first = if byte == 0xFF { 0 } else { at };
                assert_eq!(near(byte, &text), Some(first), "{byte} {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn ends_and_beginnings_are_what_they_are_byte_by_byte(
            text in "[ -~\u{e9}]{0,20}[ 0-9]{0,9}",
            other in "[ -~]{0,30}",
            cut in 0_usize..40,
        ) {
            let text = text.as_bytes();
            let blank = text.iter().rposition(|byte| *byte == b' ');
            prop_assert_eq!(last_word(text), blank.map(|blank| text.split_at(blank + 1)));

            let start = text.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |at| at + 1);
            let (before, digits) = text.split_at(start);
            let number = std::str::from_utf8(digits).unwrap().parse().ok();
            let number = number.filter(|_| text.len() >= 8 && digits.len() < 8);
            prop_assert_eq!(trailing_number(text), number.map(|number| (before, number)));

            let begin = text.get(..cut).unwrap_or(text);
            prop_assert!(begins_with(text, begin));
            prop_assert_eq!(begins_with(text, other.as_bytes()), text.starts_with(other.as_bytes()));
            let mut changed = begin.to_vec();
            for at in 0..changed.len() {
                changed[at] ^= 1;
                prop_assert!(!begins_with(text, &changed));
                changed[at] ^= 1;
            }
        }
    }
}
