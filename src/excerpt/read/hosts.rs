//! What smtp(8) tells of other hosts: what they said, that they did not answer, that they left.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{Around, reply};
use crate::excerpt::wrap::floor;
use crate::excerpt::{Kind, Sighting};
use crate::postfix::log::Manner;

/// What the stage of a session stands behind.
const STAGE: &str = "(in reply to ";

/// What smtpd(8) puts before that which another host told it: `undeliverable address: host …`.
const PROBED: &str = "address: host ";

/// Reads all that smtp(8) tells of hosts in a text.
pub(super) fn hosts(text: &str, around: &Around, seen: &mut Vec<Sighting>) {
    let marks = marks(text);
    let mut from = 0;
    while let Some(found) = next_host(text, &marks, from) {
        // Words end where those of the next host begin.
        let rest = text.get(found.words..).unwrap_or_default();
        let beyond = found.words.max(found.start + "lost connection with ".len());
        let beyond = beyond + quoted(&found, rest);
        let next = next_host(text, &marks, beyond).map(|next| lead_of(text, next.start));
        let limit = next.map_or(rest.len(), |next| next.saturating_sub(found.words));
        let rest = rest.get(..limit).unwrap_or(rest);
        let (words, stage, used) = ended(text, &found, rest);
        let mut sighting = found.sighting(words);
        sighting.stage = stage.map(str::to_owned);
        // Postfix closes every reply to a command by naming that.
        sighting.is_cut = found.manner == Manner::Said && stage.is_none();
        let before = text.get(..found.start).unwrap_or_default().trim_end();
        let before = before
            .strip_suffix("delivery temporarily suspended:")
            .map_or(before, |before| {
                sighting.suspended = true;
                before.trim_end()
            });
        let named = recipient_before(before);
        let is_report = named.is_some() || before.ends_with('(');
        sighting.kind = around.kind.unwrap_or(if is_report {
            Kind::Report
        } else {
            Kind::Attempt
        });
        sighting.queue_id.clone_from(&around.queue_id);
        let behind = || {
            // `mailq` names the recipient behind the words.
            let behind = rest.get(used..)?.trim_start_matches([')', ' ']);
            let word = behind.split(' ').next()?;
            (before.ends_with('(') && word.contains('@')).then(|| word.to_owned())
        };
        sighting.recipient = around.recipient.clone().or(named).or_else(behind);
        seen.push(sighting);
        from = beyond.max(found.words + used);
    }
}

/// A place in which a host is told of.
struct Told<'a> {
    /// Where its form begins.
    start: usize,
    /// Where the words begin.
    words: usize,
    name: Option<&'a str>,
    address: Option<&'a str>,
    manner: Manner,
    port: Option<u16>,
}

impl Told<'_> {
    fn sighting(&self, words: &str) -> Sighting {
        let mut sighting = match self.manner {
            Manner::Said | Manner::RefusedToTalk => reply::sighting(words),
            _ => Sighting {
                words: words.trim_end_matches('.').to_owned(),
                ..Sighting::default()
            },
        };
        sighting.manner = self.manner;
        sighting.port = self.port;
        sighting.host = self.name.map(str::to_owned);
        set_address(&mut sighting, self.address);
        // Our own address is not that of the host.
        if sighting
            .client
            .as_ref()
            .is_some_and(|client| Some(client.text.as_str()) == self.address)
        {
            sighting.client = None;
        }
        sighting
    }
}

/// What stands where a host is told of, and how its words came about.
const MARKS: [(&str, Manner); 5] = [
    (" said:", Manner::Said),
    (" refused to talk to me:", Manner::RefusedToTalk),
    ("connect to ", Manner::NotConnected),
    ("lost connection with ", Manner::LostConnection),
    ("conversation with ", Manner::TimedOut),
];

/// The most letters of a host's name and address, and of the words around them.
const NAMED: usize = 300;

static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let marks = MARKS.map(|(mark, _)| mark);
    AhoCorasick::new(marks).expect("the marks are few and short")
});

/// A place at which one of the [`MARKS`] stands.
struct Mark {
    at: usize,
    text: &'static str,
    manner: Manner,
}

/// Finds all marks of a text, in order.
fn marks(text: &str) -> Vec<Mark> {
    let found = SEARCH.find_iter(text);
    let found = found.filter_map(|found| {
        let &(mark, manner) = MARKS.get(found.pattern().as_usize())?;
        Some(Mark {
            at: found.start(),
            text: mark,
            manner,
        })
    });
    found.collect()
}

/// Finds the next host that a text tells of.
fn next_host<'a>(text: &'a str, marks: &[Mark], from: usize) -> Option<Told<'a>> {
    let first = marks.partition_point(|mark| mark.at < from);
    marks
        .get(first..)?
        .iter()
        .find_map(|mark| match mark.manner {
            Manner::Said | Manner::RefusedToTalk => spoken(text, mark, from),
            _ => told(text, mark),
        })
}

/// A host that spoke: its name stands before the mark.
fn spoken<'a>(text: &'a str, mark: &Mark, from: usize) -> Option<Told<'a>> {
    let from = from.max(floor(text, mark.at.saturating_sub(NAMED)));
    let before = text.get(from..mark.at)?;
    let start = before.rfind("host ").or_else(|| before.rfind("server"))?;
    let whole = before.get(start..)?;
    // `connect to HOST: server refused to talk to me:` of Postfix before 2.4.
    let old = whole
        .starts_with("server")
        .then(|| before.rfind("connect to "))
        .flatten();
    let (start, name) = match old {
        Some(connect) => (connect, before.get(connect + "connect to ".len()..)),
        None => (start, whole.strip_prefix("host ")),
    };
    let (name, address) = peer(name.unwrap_or_default());
    Some(Told {
        start: from + start,
        words: skip_blank(text, mark.at + mark.text.len()),
        name,
        address,
        manner: mark.manner,
        port: None,
    })
}

/// A host that did not: its name stands behind the mark.
fn told<'a>(text: &'a str, mark: &Mark) -> Option<Told<'a>> {
    let begin = mark.at + mark.text.len();
    let whole = text.get(begin..)?;
    if whole.starts_with("transport ") || whole.starts_with("private/") {
        return None;
    }
    let (name, address) = peer(whole);
    let name_ends = name?.len();
    let used = match address {
        Some(_) => name_ends + whole.get(name_ends..)?.find(']')? + 1,
        None => name_ends,
    };
    let after = whole.get(used..)?;
    let port = after.find([' ', ',']).unwrap_or(after.len());
    let (port, rest) = after.split_at_checked(port)?;
    let is_told = match mark.manner {
        Manner::NotConnected => port.ends_with(':'),
        Manner::TimedOut => rest.starts_with(" timed out"),
        _ => rest.starts_with(" while"),
    };
    if !is_told || rest.starts_with(" server refused to talk to me") {
        return None;
    }
    let words = match mark.manner {
        Manner::NotConnected => skip_blank(text, begin + used + port.len()),
        _ => mark.at,
    };
    Some(Told {
        start: mark.at,
        words,
        name,
        address,
        manner: mark.manner,
        port: port_of(port),
    })
}

/// How much of the words of a host is its own up to their stage, though it tells of another one
/// in them: `Sender address rejected: unverified address: connect to …`.
fn quoted(told: &Told<'_>, rest: &str) -> usize {
    let to_stage = rest.find(STAGE).filter(|_| told.manner == Manner::Said);
    let own = to_stage.and_then(|stage| rest.get(..stage));
    let speaks = |words: &str| words.contains(" said: ") || words.contains(" refused to talk ");
    own.filter(|words| !speaks(words) || words.contains(PROBED))
        .map_or(0, str::len)
}

/// Where the words of a host end: what they are, the stage, and how much of the text they take.
fn ended<'a>(text: &str, told: &Told<'_>, rest: &'a str) -> (&'a str, Option<&'a str>, usize) {
    if let Some(at) = rest.find(STAGE) {
        let inside = rest.get(at + STAGE.len()..).unwrap_or_default();
        let end = inside.find(')').unwrap_or(inside.len());
        let words = rest.get(..at).unwrap_or_default().trim_end();
        let used = at + STAGE.len() + (end + 1).min(inside.len());
        return (words, inside.get(..end), used);
    }
    // The parenthesis that the words stand in, where it is closed.
    let before = text.get(..told.start).unwrap_or_default().trim_end();
    let before = before
        .strip_suffix("delivery temporarily suspended:")
        .unwrap_or(before);
    if before.trim_end().ends_with('(') {
        let (words, more) = in_parentheses_open(rest);
        return (words, None, rest.len() - more.len());
    }
    (rest.trim_end(), None, rest.len())
}

/// Where that which belongs to a host's form begins: a recipient, a queue id, a parenthesis.
fn lead_of(text: &str, start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default().trim_end();
    let before = before
        .strip_suffix("delivery temporarily suspended:")
        .unwrap_or(before)
        .trim_end();
    if before.ends_with(':') {
        return before.rfind(' ').map_or(0, |blank| blank + 1);
    }
    before.strip_suffix('(').map_or(start, str::len)
}

/// The recipient that stands before the words of a report: `<user@example.org>:`.
pub(super) fn recipient_before(before: &str) -> Option<String> {
    let before = before.strip_suffix(':')?;
    let word = before.rsplit([' ', '(']).next()?;
    let word = word.trim_matches(['<', '>', '(', ')', ']', '[']);
    let word = word.strip_prefix("mailto:").unwrap_or(word);
    word.contains('@').then(|| word.to_owned())
}

/// Reads `NAME[ADDRESS]` at the start of a text; people and their programs put a blank between.
pub(super) fn peer(text: &str) -> (Option<&str>, Option<&str>) {
    let end = text.find([' ', ',', '[', ';']).unwrap_or(text.len());
    let name = text.get(..end).unwrap_or_default();
    let rest = text.get(end..).unwrap_or_default();
    let inside = rest.strip_prefix('[').or_else(|| rest.strip_prefix(" ["));
    let address = inside.and_then(|inside| inside.get(..inside.find(']')?));
    let address =
        address.filter(|address| rest.starts_with('[') || reply::family_of(address).is_some());
    let name = if address.is_none() {
        name.trim_end_matches([':', '.'])
    } else {
        name
    };
    (Some(name).filter(|name| !name.is_empty()), address)
}

/// The port behind a host: `:587`.
pub(super) fn port_of(text: &str) -> Option<u16> {
    let text = text.strip_prefix(':')?;
    text.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

pub(super) fn set_address(sighting: &mut Sighting, address: Option<&str>) {
    let Some(text) = address else { return };
    let text = text.strip_prefix("IPv6:").unwrap_or(text);
    sighting.here = text.contains('/');
    sighting.address = text.parse().ok();
    sighting.family = reply::family_of(text).or(sighting.family);
}

/// Splits a parenthesis off the start of a text: what it holds, and what follows.
pub(super) fn in_parentheses(text: &str) -> (&str, &str) {
    match text.strip_prefix('(') {
        Some(inside) => in_parentheses_open(inside),
        None => (text, ""),
    }
}

/// The same behind the opening one. A parenthesis that is never closed was cut off.
fn in_parentheses_open(inside: &str) -> (&str, &str) {
    let mut depth = 1_usize;
    for (at, character) in inside.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let more = inside.get(at + 1..).unwrap_or_default();
            return (inside.get(..at).unwrap_or_default(), more);
        }
    }
    // Replies do not count their own: the last one is ours.
    match inside.strip_suffix(')') {
        Some(words) => (words, ""),
        None => (inside, ""),
    }
}

/// Tells whether a parenthesis that a text begins with is closed in it.
pub(super) fn is_closed(text: &str) -> bool {
    text.starts_with('(') && (text.ends_with(')') || !in_parentheses(text).1.is_empty())
}

fn skip_blank(text: &str, at: usize) -> usize {
    let blank = text.get(at..).is_some_and(|rest| rest.starts_with(' '));
    at + usize::from(blank)
}
