//! Lines that were broken, made whole: which belong together, and whether a break took a blank's
//! place (mail programs) or fell anywhere (terminals).
//!
//! Knows how lines of logs and of reports begin. Must not know what they mean.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::postfix::log::{Line, is_queue_id};

/// Fields of a delivery report (RFC 3464), as far as they say something here.
const FIELDS: [&str; 16] = [
    "final-recipient",
    "original-recipient",
    "action",
    "status",
    "remote-mta",
    "diagnostic-code",
    "reporting-mta",
    "received-from-mta",
    "arrival-date",
    "last-attempt-date",
    "will-retry-until",
    "final-log-id",
    "x-postfix-queue-id",
    "x-postfix-sender",
    "content-type",
    "content-description",
];

/// Programs of Postfix that write a line without a process in brackets behind their name.
const DAEMONS: [&[u8]; 14] = [
    b"anvil",
    b"bounce",
    b"cleanup",
    b"error",
    b"lmtp",
    b"local",
    b"master",
    b"pickup",
    b"pipe",
    b"qmgr",
    b"smtp",
    b"smtpd",
    b"trivial-rewrite",
    b"virtual",
];

/// Keys of a delivery line.
const KEYS: [&str; 8] = [
    "to=<",
    "orig_to=<",
    "relay=",
    "delay=",
    "delays=",
    "dsn=",
    "status=",
    "conn_use=",
];

/// Words that replies are made of, one of which a break in the middle leaves two that are none.
static WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("words.txt").split_ascii_whitespace().collect());

/// Narrower terminals are not thought of.
const NARROWEST: usize = 16;

/// The most bytes of one whole line, and of the lines that may make one up: no log and no report
/// has longer ones, and work on a line may grow faster than its length.
const LONGEST: usize = 16 * 1024;

/// Makes lines whole; blanks are squeezed.
pub(super) fn whole(lines: &[Cow<'_, str>]) -> Vec<String> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut open = false;
    let mut size = 0;
    for line in lines {
        let text = line.trim();
        if text.is_empty() {
            open = false;
            continue;
        }
        let group = groups.last_mut().filter(|_| open);
        match group {
            Some(group) if size < LONGEST && !begins(text, group) => group.push(line),
            _ => {
                groups.push(vec![line]);
                size = 0;
            }
        }
        size += line.len();
        open = !groups.last().is_some_and(|group| is_complete(group));
    }
    groups.iter().flat_map(|group| cut(joined(group))).collect()
}

/// Cuts what is too long.
fn cut(mut line: String) -> Vec<String> {
    let mut pieces = Vec::new();
    while line.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&at| line.is_char_boundary(at));
        let rest = line.split_off(end.unwrap_or_default());
        pieces.push(std::mem::replace(&mut line, rest));
    }
    pieces.push(line);
    pieces
}

/// Tells whether a line begins something new.
fn begins(text: &str, group: &[&str]) -> bool {
    let is_field = |text: &str| {
        let name = text.split(':').next().unwrap_or_default();
        name.len() < text.len()
            && name.len() < 24
            && FIELDS.contains(&name.to_ascii_lowercase().as_str())
    };
    if is_field(text) || is_time(text) || (is_trouble(text) && !is_in_a_reply(group)) {
        return true;
    }
    let bytes = text.as_bytes();
    let tagged = Line::parse(bytes)
        .filter(|line| line.pid.is_some() || DAEMONS.contains(&line.daemon()))
        .filter(|line| !line.tag.starts_with(b"private/") && !line.tag.starts_with(b"public/"));
    let id = text.split(": ").next().unwrap_or_default();
    let named = id.len() + 2 < text.len() && is_queue_id(id.as_bytes());
    let queued = text
        .split([' ', '*', '!'])
        .next()
        .is_some_and(|id| id.len() + 20 < text.len() && is_queue_id(id.as_bytes()))
        && text.split_ascii_whitespace().count() >= 6
        && text.contains('@');
    (tagged.is_some() || named || queued) && !is_bare_head(group)
}

/// Tells whether a program's warning or end begins here, `postmap: fatal: …`.
fn is_trouble(text: &str) -> bool {
    let mut words = text.split(' ');
    let first = words.next().unwrap_or_default();
    let is_severity = |word| matches!(word, "warning:" | "error:" | "fatal:" | "panic:");
    is_severity(first)
        || (first.starts_with("post") && first.ends_with(':'))
            && words.next().is_some_and(is_severity)
}

/// Tells whether a host is speaking still: `554 delivery error: dd …` may break anywhere.
fn is_in_a_reply(group: &[&str]) -> bool {
    let text = group.join(" ");
    let speaks = [" said:", " to talk to me:", "Diagnostic-Code:"];
    speaks.iter().any(|mark| text.contains(mark)) && !text.contains(" command)")
}

/// Tells whether all that stands there yet is when, where, who and the start of a queue id.
fn is_bare_head(group: &[&str]) -> bool {
    let text = group.concat();
    let text = text.trim();
    if text.len() > 120 {
        return false;
    }
    match text.rfind("]:").and_then(|at| text.get(at + 2..)) {
        Some(rest) => rest.trim().bytes().all(|byte| byte.is_ascii_alphanumeric()),
        None => is_time(text) || (text.ends_with(']') && !text.contains(' ')),
    }
}

/// Tells whether a line begins with a time as logs write it.
pub(super) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shaped = |shape: &[u8]| {
        bytes.len() >= shape.len()
            && shape.iter().zip(bytes).all(|(like, byte)| match like {
                b'0' => byte.is_ascii_digit(),
                b' ' => matches!(byte, b' ' | b'0'..=b'9'),
                b'A' => byte.is_ascii_uppercase(),
                b'a' => byte.is_ascii_lowercase(),
                b'_' => matches!(byte, b' ' | b'T'),
                like => like == byte,
            })
    };
    shaped(b"Aaa  0 00:0") || shaped(b"Aaa 0 00:00:00") || shaped(b"0000-00-00_00:0")
}

/// Tells whether nothing can follow: a delivery line whose words are in parentheses, all closed.
fn is_complete(group: &[&str]) -> bool {
    let end = group.last().is_some_and(|line| {
        let line = line.trim_end();
        line.ends_with(')') || line.ends_with("removed")
    });
    if !end {
        return false;
    }
    let text: String = group.concat();
    if text.ends_with(": removed") {
        return true;
    }
    let Some(words) = text.find("status=").and_then(|at| text.get(at..)) else {
        return text.trim_end().ends_with(" command)");
    };
    let (opened, closed) = (words.matches('(').count(), words.matches(')').count());
    opened > 0 && closed >= opened
}

/// Joins the lines of one group.
fn joined(group: &[&str]) -> String {
    let mut text = String::new();
    let hard = broken_anywhere(group);
    for line in group {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let begins = if hard.is_some() { line } else { line.trim() };
        for (at, word) in begins.split(' ').enumerate() {
            if at > 0 && !text.is_empty() && !text.ends_with(' ') {
                text.push(' ');
            }
            text.push_str(word);
        }
        // A line that fell short of the edge lost the blank that filled it.
        let short = hard.is_some_and(|width| line.chars().count() < width);
        if (hard.is_none() || short) && !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The width at which lines were broken wherever it fell, if they were.
fn broken_anywhere(group: &[&str]) -> Option<usize> {
    let full = group.split_last().map(|(_, full)| full)?;
    let width = group.iter().map(|line| line.chars().count()).max()?;
    let short = |line: &&str| width.saturating_sub(line.chars().count());
    // A blank at the edge may have been cut off with what filled the line.
    if full.is_empty() || width < NARROWEST || full.iter().any(|line| short(line) > 1) {
        return None;
    }
    let indented = group.iter().skip(1).all(|line| line.starts_with(' '));
    let mut votes = 0;
    let mut exact = 0;
    for pair in group.windows(2) {
        let [line, next] = pair else { continue };
        if short(line) == 0 {
            exact += 1;
            // A blank that one line alone begins with is no indentation.
            let is_one = !indented && next.starts_with(' ') && !next.starts_with("  ");
            votes += if is_one { 3 } else { vote(line, next) };
        }
    }
    match votes {
        1.. => Some(width),
        0 if exact > 1 && exact == full.len() => Some(width),
        _ => None,
    }
}

/// What one break says: above 0 that it fell inside a word.
fn vote(line: &str, next: &str) -> i32 {
    if line.ends_with(' ') || next.starts_with(' ') {
        return if next.starts_with("  ") { -2 } else { 0 };
    }
    let mut words = line.rsplit(' ');
    let left = words.next().unwrap_or_default();
    let before = words.next().unwrap_or_default();
    let right = next.split(' ').next().unwrap_or_default();
    let both = format!("{left}{right}");
    let (left, right, both) = (
        left.trim_start_matches('('),
        right,
        both.trim_start_matches('('),
    );
    // A dash alone stands between blanks.
    if left == "-" || right == "-" {
        return -2;
    }
    // No word begins so.
    if right.starts_with([',', ';', ':', ')', ']', '>', '=', '.']) {
        return 2;
    }
    by_key(left, right, both)
        .or_else(|| by_host(before, left, right, both))
        .or_else(|| by_bracket(left, right, both))
        .or_else(|| by_code(left, right, both))
        .unwrap_or_else(|| by_word(left, right, both))
}

/// Keys of a delivery line, and their values.
fn by_key(left: &str, right: &str, both: &str) -> Option<i32> {
    let has_key = |word: &str| KEYS.iter().find(|key| word.starts_with(**key));
    if has_key(right).is_some() {
        return Some(-3);
    }
    let Some(key) = has_key(left) else {
        return has_key(both).map(|_| 3);
    };
    if *key == "status=" {
        let is_status = |word: &str| {
            let status = word.strip_prefix("status=").unwrap_or_default();
            ["sent", "deferred", "bounced", "expired"].contains(&status)
        };
        return Some(if is_status(left) { -3 } else { 3 });
    }
    Some(if left.ends_with(',') { -3 } else { 3 })
}

/// Hosts and programs, whose names end with a bracket.
fn by_host(before: &str, left: &str, right: &str, both: &str) -> Option<i32> {
    let in_place = matches!(
        before,
        "host" | "(host" | "to" | "with" | "by" | "from" | "for"
    );
    let open = right
        .find('[')
        .filter(|open| right.get(*open..).is_some_and(|rest| rest.contains(']')));
    if in_place && !left.contains('[') && open.is_some() {
        return Some(3);
    }
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if left.rsplit_once("]:").is_some_and(|(_, port)| digits(port)) && digits(right) {
        return Some(2);
    }
    let tag = Line::parse(both.as_bytes()).is_some_and(|line| line.pid.is_some());
    let ends = left.ends_with("]:")
        || Line::parse(right.as_bytes()).is_some_and(|line| line.tag.contains(&b'/'));
    (tag && !ends && both.contains('/')).then_some(3)
}

/// Addresses in brackets hold no blank.
fn by_bracket(left: &str, right: &str, both: &str) -> Option<i32> {
    if left.contains('<') && !left.contains('>') {
        return Some(2);
    }
    let inside = |word: &str| {
        let open = word.rfind('[')?;
        let inside = word.get(open + 1..)?;
        Some(inside.split(']').next().unwrap_or_default().to_owned())
    };
    if !left.contains('[') || left.ends_with(']') {
        return None;
    }
    let is_address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    let (alone, together) = (inside(left)?, inside(both)?);
    match (is_address(&alone), is_address(&together)) {
        (false, true) => Some(3),
        (true, false) => Some(-2),
        // What stands before the bracket tells a host, whose address is all there is.
        (true, true) if !left.starts_with('[') && right.contains(']') => Some(2),
        // What else stands in brackets holds no blank either, if it is no word.
        (false, false) if right.contains(']') && !right.starts_with('[') && !is_known(right) => {
            Some(2)
        }
        _ => None,
    }
}

/// Codes of replies.
fn by_code(left: &str, right: &str, both: &str) -> Option<i32> {
    let is_code = |word: &str| {
        let (code, rest) = word.split_at_checked(3).unwrap_or((word, ""));
        let number = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        number && (rest.is_empty() || rest.strip_prefix('-').is_some_and(is_enhanced))
    };
    let whole = |word: &str| is_code(word) || is_enhanced(word);
    match (whole(left), whole(right), whole(both)) {
        (false, _, true) => Some(2),
        (true, _, true) if !right.is_empty() => Some(2),
        (true, _, false) | (_, true, false) => Some(-1),
        _ => None,
    }
}

/// Tells whether a word is one that replies are made of.
fn is_known(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    !word.is_empty() && WORDS.contains(word.to_ascii_lowercase().as_str())
}

/// Words, names and links.
fn by_word(left: &str, right: &str, both: &str) -> i32 {
    let key = |word: &str| word.split_once('=').is_some_and(|(key, _)| is_known(key));
    if left.ends_with('=')
        || both.starts_with("http")
            && both.contains("://")
            && !right.starts_with("http")
            && !left.contains("://")
    {
        return 2;
    }
    if key(right) {
        return -2;
    }
    if left.ends_with([',', ';', ')', '>']) || right.starts_with(['(', '<', '[']) {
        return -1;
    }
    match (is_known(left), is_known(right), is_known(both)) {
        (true, true, _) => -2,
        (_, _, true) => 2,
        (true, false, false) | (false, true, false) => -1,
        (false, false, false) => {
            let link = left.contains('=') || key(both) && !key(right) || left.contains("://");
            let is_name = |word: &str| {
                word.split_once('.')
                    .is_some_and(|(_, rest)| !rest.is_empty())
            };
            let name = left.ends_with(['-', '/', '=', '@', ':'])
                || right.starts_with(['-', '/', '@'])
                || (is_name(left) && left.ends_with('.'));
            i32::from(link || name)
        }
    }
}

/// Tells whether a word is an enhanced status code (RFC 3463).
pub(super) fn is_enhanced(word: &str) -> bool {
    let mut parts = word.split('.');
    let mut part = |most: usize| {
        parts.next().is_some_and(|part| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    part(1) && part(3) && part(3) && parts.next().is_none() && word.starts_with(['2', '4', '5'])
}
