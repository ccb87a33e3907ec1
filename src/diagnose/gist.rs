//! What replies have in common that differ in nothing but ids and addresses of mail.
//!
//! Owns [`mix`]: one number for all replies of which the same is to be said, found much sooner than
//! that is. A word with an id, or an address of mail, counts as any other such word but for the
//! marks around it, unless a phrase may have a part in it, a code, or the address of a host. Must
//! not know what is said of a reply.

use super::log::Hash;
use super::phrases::Phrases;
use crate::address::within;

/// From how many bytes on a word with a digit can be an id; shorter ones are codes and counts.
const ID: usize = 8;

/// Adds what a reply says.
pub(super) fn mix(hash: &mut Hash, said: &[u8], phrases: &Phrases) {
    // What stands between ids is taken in one piece.
    let (mut piece, mut at) = (0, 0);
    while let Some(sign) = digit_or_at(said.get(at..).unwrap_or_default()) {
        let (before, behind) = said.split_at_checked(at + sign).unwrap_or_default();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace();
        let start = before
            .iter()
            .rposition(is_blank)
            .map_or(0, |blank| blank + 1);
        let rest = behind.iter().position(is_blank).unwrap_or(behind.len());
        let end = before.len() + rest;
        let word = said.get(start..end).unwrap_or_default();
        if is_id(word, phrases) {
            let is_mark = |byte: &u8| !byte.is_ascii_alphanumeric();
            let first = usize::from(word.first().is_some_and(is_mark));
            let last = word.iter().rev().take_while(|byte| is_mark(byte)).count();
            hash.add(said.get(piece..start + first).unwrap_or_default());
            piece = end - last;
        }
        at = end;
    }
    hash.add(said.get(piece..).unwrap_or_default());
}

/// Finds the first digit or `@`, eight bytes at a time.
fn digit_or_at(text: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let (eights, rest) = text.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        // A digit becomes less than ten, and what is not sets its byte's highest bit.
        let digit = word ^ (EACH * u64::from(b'0'));
        let no_digit = ((digit & !HIGH) + EACH * (0x80 - 10)) | digit;
        let at_sign = word ^ (EACH * u64::from(b'@'));
        let no_at = ((at_sign & !HIGH) + EACH * 0x7F) | at_sign;
        let found = !(no_digit & no_at) & HIGH;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let is_wanted = |byte: &u8| byte.is_ascii_digit() || *byte == b'@';
    Some(eights.len() * 8 + rest.iter().position(is_wanted)?)
}

/// Tells of a word with a digit or an `@` whether it does not matter which it is.
fn is_id(word: &[u8], phrases: &Phrases) -> bool {
    // Digits and these are codes, counts, times and addresses.
    let is_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-');
    let may_be = word.contains(&b'@') || (word.len() >= ID && !word.iter().all(is_number));
    may_be && !is_code(word) && !phrases.may_touch(word) && within(word).next().is_none()
}

/// Tells whether a word begins as a reply's code does (RFC 5321, 4.2.1; RFC 3463, 2).
fn is_code(word: &[u8]) -> bool {
    matches!(
        word,
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..]
            | [b'2' | b'4' | b'5', b'.', b'0'..=b'9', ..]
    )
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::diagnose::Knowledge;
    use crate::diagnose::phrases::Found;
    use crate::postfix::log::Answer;

    static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(Knowledge::built_in);

    fn gist(said: &str) -> u64 {
        let mut hash = Hash::default();
        mix(&mut hash, said.as_bytes(), &KNOWLEDGE.phrases);
        hash.number()
    }

    /// All of a reply that a verdict hangs on.
    fn matter(said: &str) -> (Vec<u32>, Option<u16>, Option<Vec<u8>>, Vec<IpAddr>) {
        let answer = Answer::reply(said.as_bytes());
        let mut found = Found::default();
        KNOWLEDGE.phrases.find(&answer.plain(), &mut found);
        (
            found.ids().collect(),
            answer.code(),
            answer.enhanced().map(<[u8]>::to_vec),
            within(said.as_bytes()).collect(),
        )
    }

    /// Replies that are known, and words of them.
    static REPLIES: LazyLock<(Vec<&str>, Vec<&str>)> = LazyLock::new(|| {
        let known = include_str!("replies.txt").lines();
        let known = known.filter_map(|line| Some(line.split_once('|')?.1));
        let samples = KNOWLEDGE.providers().iter();
        let samples = samples.flat_map(|provider| &provider.signatures);
        let samples = samples.flat_map(|signature| &signature.samples);
        let replies: Vec<&str> = known.chain(samples.map(|sample| &*sample.reply)).collect();
        let words = replies.iter().flat_map(|reply| reply.split(' '));
        let words = words.filter(|word| !word.is_empty()).collect();
        (replies, words)
    });

    #[test]
    fn digits_and_at_signs_are_found() {
        for byte in 0..=u8::MAX {
            for at in 0..19 {
                let mut text = [0xFF; 19];
                text[at] = byte;
                let found = byte.is_ascii_digit() || byte == b'@';
                assert_eq!(digit_or_at(&text), found.then_some(at), "{byte} {at}");
            }
        }
    }

    #[test]
    fn ids_do_not_matter_and_codes_addresses_and_phrases_do() {
        let said = |id: &str| format!("550-5.7.1 [2001:db8::1] no PTR {id} - gsmtp");
        let google = gist(&said("q43si37022102eeo.243"));
        assert_eq!(google, gist(&said("mz9si1019871pdb.205")));
        for other in [
            "q43si37022102eeo.243 x",
            "spam=q43si37022102eeo.243",
            "5.7.26q43si37022102eeo.243",
            "550-q43si37022102eeo.243",
            "q43si;198.51.100.7;eeo.243",
            "gsmtp",
        ] {
            assert_ne!(google, gist(&said(other)), "{other}");
        }
        assert_ne!(
            google,
            gist(&said("q43si37022102eeo.243").replace("::1", "::2"))
        );
        let unknown = |to: &str| gist(&format!("550 5.1.1 <{to}>: User unknown"));
        assert_eq!(unknown("ada@lovelace.example"), unknown("grace@x.example"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn replies_with_one_gist_come_to_the_same(
            reply in any::<Index>(),
            place in any::<Index>(),
            glued in any::<[Index; 2]>(),
            ids in [
                select(&["", "@", "12345678", "a1b2c3d4e5", "198.51.100.7", "2001:db8::7", "550-", "5.7.1_", "(", "<x@y.example>"][..]),
                select(&["", "@", "87654321", "f6a7b8c9d0", "198.51.100.9", "2001:db8::9", "554-", "4.7.0_", "[", "<z@y.example>"][..]),
            ],
            ends in [0_usize..3, 0_usize..3],
        ) {
            let (replies, words) = &*REPLIES;
            let words_of: Vec<&str> = reply.get(replies).split(' ').collect();
            let at = place.index(words_of.len());
            let made = |which: usize| {
                let word = glued[which].get(words);
                let word = match ends[which] {
                    0 => format!("{word}{}", ids[which]),
                    1 => format!("{}{word}", ids[which]),
                    _ => format!("{}.{}", ids[which], ids[1 - which]),
                };
                let mut words = words_of.clone();
                words[at] = &word;
                words.join(" ")
            };
            let (one, other) = (made(0), made(1));
            if gist(&one) == gist(&other) {
                prop_assert_eq!(matter(&one), matter(&other), "{}\n{}", one, other);
            }
        }
    }
}
