//! Replies of other hosts (RFC 5321, 4.2): their codes, and the addresses they name.

use std::net::IpAddr;

use crate::address::family;
use crate::excerpt::wrap::is_enhanced;
use crate::excerpt::{Client, Sighting};
use crate::postfix::log::Answer;

/// Reads a reply that is all of a text.
pub(super) fn sighting(text: &str) -> Sighting {
    let text = text.trim();
    let text = text.strip_prefix("smtp;").map_or(text, str::trim_start);
    let text = text.strip_prefix('#').unwrap_or(text);
    let answer = Answer::reply(text.as_bytes());
    let client = client(text);
    let code = answer.code();
    let enhanced = answer.enhanced().map(String::from_utf8_lossy);
    let first = text
        .split([' ', ';', ','])
        .next()
        .filter(|word| is_enhanced(word));
    let later = || enhanced_behind_code(text, code);
    Sighting {
        code: code.or_else(|| code_within(text)),
        enhanced: enhanced
            .map(std::borrow::Cow::into_owned)
            .or_else(|| first.map(str::to_owned))
            .or_else(later),
        words: answer.plain(),
        family: client.as_ref().map(|client| client.family),
        client,
        ..Sighting::default()
    }
}

/// The status that stands behind a code with more between them: `550 #5.1.0`, `550; 5.7.515`.
fn enhanced_behind_code(text: &str, code: Option<u16>) -> Option<String> {
    code?;
    let rest = text.get(3..)?.trim_start_matches([';', ' ', '-', '#', '(']);
    let word = rest.split([' ', ';', ',', ')', ':']).next()?;
    is_enhanced(word).then(|| word.to_owned())
}

/// The code in a text that begins with something else.
fn code_within(text: &str) -> Option<u16> {
    let rest = text.get(coded(text)?..)?;
    rest.get(..3)?.parse().ok()
}

/// Finds a code with an enhanced one behind it, or a code behind a colon, in a text.
pub(super) fn coded(text: &str) -> Option<usize> {
    let behind_colon = |at: usize| {
        text.get(..at)
            .unwrap_or_default()
            .trim_end()
            .ends_with([':', ';'])
    };
    codes(text).find(|at| {
        let rest = text
            .get(at + 4..)
            .unwrap_or_default()
            .trim_start_matches([' ', '#', ';']);
        let next = rest.split([' ', ';', ',']).next().unwrap_or_default();
        is_enhanced(next) || behind_colon(*at)
    })
}

/// The places at which a code of a reply may stand.
fn codes(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    bytes.windows(3).enumerate().filter_map(move |(at, three)| {
        let [first, second, third] = three else {
            return None;
        };
        let begins = at == 0
            || bytes
                .get(at - 1)
                .is_some_and(|byte| matches!(byte, b' ' | b';' | b'(' | b'"' | b'\'' | b'>'));
        let ends = matches!(bytes.get(at + 3), None | Some(b' ' | b'-' | b';'));
        let is_code = matches!(first, b'2' | b'4' | b'5')
            && matches!(second, b'0'..=b'7')
            && third.is_ascii_digit();
        (begins && ends && is_code).then_some(at)
    })
}

/// Where a reply begins in a text that has no other form: at a code the text begins with, or at
/// one that has an enhanced code behind it.
pub(super) fn start_of_reply(text: &str) -> Option<usize> {
    let trimmed = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let start = text.len() - trimmed.len();
    let skipped = ["smtp;", "SMTP;", "<<<"].into_iter().find_map(|mark| {
        let rest = trimmed.strip_prefix(mark)?.trim_start();
        Some(text.len() - rest.len())
    });
    let start = skipped.unwrap_or(start);
    let rest = text.get(start..)?;
    if codes(rest).next() == Some(0) {
        return Some(start);
    }
    let first = rest.split([' ', ';', ',']).next().unwrap_or_default();
    if is_enhanced(first) {
        return Some(start);
    }
    coded(text)
}

/// The host a text names before a reply: `mx.example.org (192.0.2.1): …`.
pub(super) fn host_before(before: &str) -> (Option<&str>, Option<&str>) {
    let mut name = None;
    let mut address = None;
    for word in before.split([' ', '<', '>', '@']) {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != ':');
        let bare = bare.trim_end_matches(':');
        if bare.parse::<IpAddr>().is_ok() {
            address = Some(bare);
        } else if is_host(bare) {
            name = Some(bare);
        }
    }
    // qmail names the address alone.
    let is_told = name.is_some()
        || before.contains("Connected to ") && before.contains(" but ")
        || before.contains(" does not like ");
    (name, address.filter(|_| is_told))
}

fn is_host(word: &str) -> bool {
    let labels = word.split('.').count();
    let last = word.rsplit('.').next().unwrap_or_default();
    labels >= 3
        && last.len() >= 2
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// The protocol of an address, also of one that was made unreadable.
pub(super) fn family_of(text: &str) -> Option<u8> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(family(address));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("ipv6") || lower.contains("v6") {
        return Some(6);
    }
    let of = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | 'x' | '*');
    let plain = !lower.is_empty() && lower.chars().all(of);
    if plain && lower.matches(':').count() >= 2 {
        return Some(6);
    }
    (plain && lower.matches('.').count() == 3).then_some(4)
}

/// Our address, as a reply names it: in brackets, or behind a word that says so.
fn client(text: &str) -> Option<Client> {
    let bracketed = text.split('[').skip(1).find_map(|rest| {
        // Google fills the brackets up: `[192.0.2.1      15]`.
        let inside = rest.split(']').next()?.trim();
        let inside = inside.strip_prefix("IPv6:").unwrap_or(inside);
        let word = inside.split(' ').next()?;
        let family = family_of(word).or_else(|| family_of(inside).filter(|_| inside.len() < 20))?;
        Some(made(word, family))
    });
    bracketed.or_else(|| {
        text.split([' ', '=', '(', ')', ',', ';', '"', '?', '&'])
            .find_map(|word| {
                let word = word.trim_matches(['.', ':', '\'', '<', '>', '[', ']']);
                let address: IpAddr = word.parse().ok()?;
                Some(made(word, family(address)))
            })
    })
}

fn made(text: &str, family: u8) -> Client {
    Client {
        text: text.to_owned(),
        address: text.parse().ok(),
        family,
    }
}
