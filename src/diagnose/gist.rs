//! What replies have in common that differ in nothing but ids and addresses of mail.
//!
//! Owns [`mix`]: one number for all replies of which the same is to be said, found much sooner than
//! that is. A word with an id, or an address of mail, counts as any other such word but for the
//! marks around it and the phrases within it, unless a phrase may reach into it from outside, or it
//! has a code or the address of a host. Must not know what is said of a reply.

use memchr::memchr_iter;

use super::log::Hash;
use super::phrases::Phrases;
use crate::postfix::log::near_digit_or;

/// From how many bytes on a word with a digit can be an id; shorter ones are codes and counts.
const ID: usize = 8;

/// Adds what a reply says.
pub(super) fn mix(hash: &mut Hash, said: &[u8], phrases: &Phrases) {
    // What stands between ids is taken in one piece.
    let (mut piece, mut at) = (0, 0);
    while let Some(sign) = near_digit_or(b'@', said.get(at..).unwrap_or_default()) {
        let (before, behind) = said.split_at_checked(at + sign).unwrap_or_default();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace();
        let start = before
            .iter()
            .rposition(is_blank)
            .map_or(0, |blank| blank + 1);
        let rest = behind.iter().position(is_blank).unwrap_or(behind.len());
        let end = before.len() + rest;
        let word = said.get(start..end).unwrap_or_default();
        if let Some(within) = as_id(word, phrases) {
            let is_mark = |byte: &u8| !byte.is_ascii_alphanumeric();
            let first = usize::from(word.first().is_some_and(is_mark));
            let last = word.iter().rev().take_while(|byte| is_mark(byte)).count();
            hash.add(said.get(piece..start + first).unwrap_or_default());
            hash.mix(within);
            piece = end - last;
        }
        at = end;
    }
    hash.add(said.get(piece..).unwrap_or_default());
}

/// Takes a word with a digit or an `@`, of which it does not matter which it is, for the phrases that
/// lie within it.
fn as_id(word: &[u8], phrases: &Phrases) -> Option<u64> {
    // Digits and these are codes, counts, times and addresses.
    let is_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-');
    let may_be = (word.len() >= ID && !word.iter().all(is_number)) || word.contains(&b'@');
    if !may_be || is_code(word) || may_have_address(word) {
        return None;
    }
    let mut hash = Hash::default();
    phrases.inside(word, |phrase| hash.mix(u64::from(phrase)))?;
    Some(hash.number())
}

/// Tells whether a word may hold the address of a host: all have two colons, or three full stops
/// behind digits.
fn may_have_address(word: &[u8]) -> bool {
    let colons = memchr_iter(b':', word).count();
    let is_stop = |pair: &&[u8]| matches!(pair, [b'0'..=b'9', b'.']);
    colons >= 2 || word.windows(2).filter(is_stop).count() >= 3
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
    use crate::address::within;
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
