//! The mail log: lines as Postfix's programs write them, read without copying a byte.
//!
//! Owns the forms of a line's head (RFC 3164 and ISO times, `maillog_file`, `journalctl`,
//! containers that put their name in front), queue ids, and what a line tells ([`Event`]).
//! Must not know what a reply means, nor which lines matter to whom.
//! Follows postlogd(8), `bounce(8)`, smtp(8) and what the programs print where the manuals are
//! silent; RFC 3164 for the head.
//!
//! A log is bytes of strangers: any of them are taken, nothing panics, and work grows with the
//! length alone. To read gigabytes, find lines by a [`Marker`] and parse those only.

mod blocks;
mod eights;
mod event;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

pub use blocks::blocks;
use eights::{begins_with, near};
pub(crate) use eights::{last_word, near_digit_or, near_either, trailing_number};
pub use event::{Answer, Delivery, Event, Manner, Severity, Sign, Status, Tls, Trouble};

/// How many words before the program's name are looked at: more than any known head has.
const HEAD_WORDS: usize = 9;

/// One line, taken apart as far as every line goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// The time as written, `Nov 25 10:00:00` or `2026-11-25T10:00:00.5+01:00`; empty where the
    /// line has none.
    pub time: &'a [u8],
    /// The host as written; empty where the line has none.
    pub host: &'a [u8],
    /// The program with its `syslog_name`: `postfix/smtp`, `postfix-out/submission/smtpd`.
    pub tag: &'a [u8],
    /// The process.
    pub pid: Option<u32>,
    /// All that the program said.
    pub text: &'a [u8],
}

/// What a line of Postfix tells, and of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The message's queue id, short or long; `NOQUEUE` is none.
    pub queue_id: Option<&'a [u8]>,
    /// What happened.
    pub event: Event<'a>,
}

impl<'a> Line<'a> {
    /// Reads a line with a head; `None` where no `program[process]:` is found near its start.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Self::usual(line).or_else(|| Self::any(line))
    }

    /// Reads the head that nearly all lines have: time, host, program and process. Whatever is not
    /// quite so is left to [`any`](Self::any), which reads this the same way and takes longer.
    fn usual(line: &'a [u8]) -> Option<Self> {
        let (time, host) = usual_head(line)?;
        let rest = line.get(time.len() + host.len() + 2..)?;
        let (tag, rest) = rest.split_at_checked(near_either([b'[', b' '], rest)?)?;
        let (pid, rest) = leading_number(rest.strip_prefix(b"[")?)?;
        let rest = rest.strip_prefix(b"]: ")?;
        (!tag.is_empty() && pid < u32::MAX).then(|| Self {
            time,
            host,
            tag,
            pid: Some(pid),
            text: without_identity(rest),
        })
    }

    fn any(line: &'a [u8]) -> Option<Self> {
        let (mut start, mut words) = (0, 0);
        while words < HEAD_WORDS && start < line.len() {
            let rest = line.get(start..)?;
            let word = rest.get(..near(b' ', rest).unwrap_or(rest.len()))?;
            let end = start + word.len();
            if let Some((tag, pid)) = program(word) {
                let (time, host) = head(line.get(..start)?);
                return Some(Self {
                    time,
                    host,
                    tag,
                    pid,
                    text: without_identity(line.get(end + 1..).unwrap_or_default()),
                });
            }
            words += usize::from(!word.is_empty());
            start = end + 1;
        }
        None
    }

    /// Takes a line without a head, as `journalctl -o cat` and people who quote logs give it.
    #[must_use]
    pub fn bare(text: &'a [u8]) -> Self {
        Self {
            text: text.strip_suffix(b"\r").unwrap_or(text),
            ..Self::default()
        }
    }

    /// The program's own name, `smtp`: what stands behind the last slash of the tag.
    #[must_use]
    pub fn daemon(&self) -> &'a [u8] {
        match self.slash() {
            Some(slash) => self.tag.get(slash + 1..).unwrap_or_default(),
            None => self.tag,
        }
    }

    /// The `syslog_name`, `postfix` or that of an instance or service; empty where there is none,
    /// as with programs that are not Postfix's.
    #[must_use]
    pub fn syslog_name(&self) -> &'a [u8] {
        match self.slash() {
            Some(slash) => self.tag.get(..slash).unwrap_or_default(),
            None => b"",
        }
    }

    fn slash(&self) -> Option<usize> {
        self.tag.iter().rposition(|&byte| byte == b'/')
    }

    /// Reads what became of a recipient, where the line tells that: no more than
    /// [`record`](Self::record) would, at less cost.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery<'a>> {
        let (_, said) = queue_id(self.text);
        said.starts_with(b"to=")
            .then(|| Delivery::parse(said))
            .flatten()
    }

    /// The queue id, where it is plain that the line tells of a recipient whose mail was taken;
    /// `marker` is the first ` status=` in the text. Of what is not plain, as an address with
    /// quotes, nothing is said; where fields are broken, [`delivery`](Self::delivery) has the last
    /// word.
    #[must_use]
    pub fn plainly_sent(&self, marker: usize) -> Option<&'a [u8]> {
        let (before, behind) = self.text.split_at_checked(marker)?;
        if !behind.starts_with(b" status=sent (") || !before.ends_with(b",") {
            return None;
        }
        let (id, said) = queue_id(before);
        let to = said.strip_prefix(b"to=<")?;
        let rest = to.get(near(b'>', to)?..)?;
        let is_plain = rest.starts_with(b">, ") && memchr(b'"', to).is_none();
        id.filter(|_| is_plain)
    }

    /// Reads what the line tells.
    #[must_use]
    pub fn record(&self) -> Record<'a> {
        let (queue_id, said) = queue_id(self.text);
        Record {
            queue_id,
            event: Event::parse(said),
        }
    }
}

/// Another host as Postfix names it: `mx.example.org[192.0.2.1]:25`, `none`, `local`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// The name.
    pub name: &'a [u8],
    /// What stands in brackets: an address, or the path of a socket.
    pub address: Option<&'a [u8]>,
    /// The port.
    pub port: Option<u16>,
}

impl<'a> Peer<'a> {
    /// Reads a peer that is all of a text.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        Self::begin(text).map_or(
            Self {
                name: text,
                ..Self::default()
            },
            |(peer, _)| peer,
        )
    }

    /// Reads `NAME[ADDRESS]`, perhaps with `:PORT`, at the start of a text, and gives what follows.
    fn begin(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        Self::bracketed(text, near_either([b'[', b' '], text)?)
    }

    /// The same where it is known how long the name is.
    fn bracketed(text: &'a [u8], length: usize) -> Option<(Self, &'a [u8])> {
        let (name, inside) = text.split_at_checked(length)?;
        let inside = inside.strip_prefix(b"[")?;
        let (address, rest) = inside.split_at_checked(near(b']', inside)?)?;
        let rest = rest.get(1..)?;
        let port = rest.strip_prefix(b":").and_then(leading_number);
        let peer = Self {
            name,
            address: Some(address),
            port: port.and_then(|(port, _)| u16::try_from(port).ok()),
        };
        Some((peer, port.map_or(rest, |(_, rest)| rest)))
    }

    /// The address, where it is one: its family says over which protocol mail went.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.address?).ok()?;
        text.strip_prefix("IPv6:").unwrap_or(text).parse().ok()
    }

    /// Tells whether it is a service of this host: `local`, the name of another one in master.cf,
    /// or a socket that is a file.
    #[must_use]
    pub fn is_here(&self) -> bool {
        match self.address {
            Some(address) => address.contains(&b'/'),
            // Names of hosts come with their address, and have a dot where a log was cut.
            None => !self.name.is_empty() && !self.is_none() && !self.name.contains(&b'.'),
        }
    }

    /// Tells whether it stands for no host at all: there was no session.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.name == b"none" && self.address.is_none()
    }
}

/// Text by which lines are found: `status=`, `message-id=<…>`. Made once, used on any number of logs.
#[derive(Clone, Debug)]
pub struct Marker(Finder<'static>);

impl Marker {
    /// Makes a marker; an empty one, or one that holds a line's end, finds nothing.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        Self(Finder::new(text).into_owned())
    }

    /// Walks over the lines that hold the marker; others are skipped at the speed of memory.
    pub fn lines<'a>(&self, log: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let needle = self.0.needle();
        let mut rest = if needle.is_empty() || needle.contains(&b'\n') {
            &[][..]
        } else {
            log
        };
        std::iter::from_fn(move || {
            // An empty needle is found in an empty text, and would be for ever.
            let found = (!rest.is_empty()).then(|| self.0.find(rest))??;
            let start = memrchr(b'\n', rest.get(..found)?).map_or(0, |end| end + 1);
            let after = rest.get(found..)?;
            let end = found + memchr(b'\n', after).unwrap_or(after.len());
            let line = rest.get(start..end)?;
            rest = rest.get(end + 1..).unwrap_or_default();
            Some(line)
        })
    }
}

/// Walks over all lines of a log; the last may be unfinished.
pub fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = log;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end)?;
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// Time and host of lines one after the other. Most have those of the line before, and then there
/// is nothing to read.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    /// Time and host of the last line, with the blank behind each.
    last: Vec<u8>,
    /// How long the time is.
    time: usize,
}

impl Heads {
    /// Reads how a line begins, as [`Line::parse`] does, where it begins as nearly all do; gives
    /// whether that is how the line before began.
    pub fn read(&mut self, line: &[u8]) -> Option<bool> {
        if !self.last.is_empty() && begins_with(line, &self.last) {
            return Some(true);
        }
        let (time, host) = usual_head(line)?;
        let head = line.get(..time.len() + host.len() + 2)?;
        head.clone_into(&mut self.last);
        self.time = time.len();
        Some(false)
    }

    /// How many bytes of the last line that was read are time and host.
    #[must_use]
    pub fn length(&self) -> usize {
        self.last.len()
    }

    /// The time of the last line that was read.
    #[must_use]
    pub fn time(&self) -> &[u8] {
        self.last.get(..self.time).unwrap_or_default()
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        let host = self.last.get(self.time + 1..).unwrap_or_default();
        host.strip_suffix(b" ").unwrap_or(host)
    }
}

/// Time and host at the start of a line, each with a blank behind it, in one of the usual forms.
fn usual_head(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let time = match line.first_chunk::<16>()? {
        [
            a,
            b,
            c,
            b' ',
            b' ' | b'0'..=b'9',
            b'0'..=b'9',
            b' ',
            ..,
            b' ',
        ] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_alphabetic() => {
            line.get(..15).filter(|time| is_clock(time, 7))?
        }
        [_, _, _, _, b'-', ..] => line.get(..near(b' ', line)?).filter(|word| is_time(word))?,
        _ => return None,
    };
    let rest = line.get(time.len() + 1..)?;
    let host = rest.get(..near(b' ', rest)?)?;
    let is_host = !matches!(host.last(), None | Some(b':')) && near(b'|', host).is_none();
    (is_host && !is_time(host)).then_some((time, host))
}

/// Reads `TAG[PROCESS]:`, or `TAG:` where the tag has a slash.
fn program(word: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let word = word.strip_suffix(b":")?;
    if let Some(inside) = word.strip_suffix(b"]") {
        let before = inside.iter().rposition(|byte| !byte.is_ascii_digit())?;
        let digits = inside.get(before + 1..)?;
        let tag = inside.get(..=before)?.strip_suffix(b"[")?;
        return (!digits.is_empty() && !tag.is_empty()).then(|| (tag, number(digits)));
    }
    // A path is no program of Postfix: it begins with the slash, or has none behind its first word.
    let slash = memchr(b'/', word)?;
    (slash > 0 && word.iter().all(|&byte| is_tag(byte))).then_some((word, None))
}

fn is_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.')
}

/// Parts what stands before the program into time and host.
fn head(head: &[u8]) -> (&[u8], &[u8]) {
    // A container's name is set off by a bar.
    let head = match head.iter().rposition(|&byte| byte == b'|') {
        Some(bar) => head.get(bar + 1..).unwrap_or_default(),
        None => head,
    };
    let head = head.trim_ascii();
    let blank = head.iter().rposition(|&byte| byte == b' ');
    let last = blank.map_or(0, |blank| blank + 1);
    let (before, word) = head.split_at(last);
    if is_time(word) {
        (head, b"")
    } else {
        (before.trim_ascii_end(), word)
    }
}

/// Tells whether a word is a time of day, alone or behind a date.
fn is_time(word: &[u8]) -> bool {
    is_clock(word, 0) || (word.get(10) == Some(&b'T') && is_clock(word, 11))
}

/// Tells whether hours and minutes stand at a place.
fn is_clock(word: &[u8], at: usize) -> bool {
    let clock = word.get(at..).and_then(|clock| clock.first_chunk::<5>());
    clock.is_some_and(|[a, b, colon, c, d]| {
        *colon == b':' && [a, b, c, d].into_iter().all(u8::is_ascii_digit)
    })
}

/// Solaris puts `[ID 197553 mail.info] ` before the text.
fn without_identity(text: &[u8]) -> &[u8] {
    let Some(inside) = text.strip_prefix(b"[ID ") else {
        return text;
    };
    match memchr(b']', inside) {
        Some(close) => inside
            .get(close + 1..)
            .unwrap_or_default()
            .trim_ascii_start(),
        None => text,
    }
}

/// Splits a queue id off; `NOQUEUE` counts as none.
fn queue_id(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = near(b':', text).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix(b": ") else {
        return (None, text);
    };
    if word == b"NOQUEUE" {
        return (None, rest);
    }
    // Who publishes a log often makes ids up.
    let made_up = || rest.starts_with(b"to=") && near(b' ', word).is_none();
    if made_up() || is_queue_id(word) {
        (Some(word), rest)
    } else {
        (None, text)
    }
}

/// Tells whether a word can be a queue id.
///
/// Short ids are five hexadecimal digits of microseconds and more of the inode. Long ones
/// (`enable_long_queue_ids`) are written with 52 letters, the vowels left out, `z` standing
/// between time and inode (`mail_queue.h`).
#[must_use]
pub fn is_queue_id(word: &[u8]) -> bool {
    let short = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
    if word.len() >= 6 && word.iter().all(short) {
        return true;
    }
    let long = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            && !matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u')
    };
    word.len() >= 10 && word.iter().all(long) && word.contains(&b'z')
}

/// The bytes at the start that are all of a kind.
fn leading(text: &[u8], is: impl Fn(&u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !is(byte)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// A number at the start of a text, and what follows; one that is too large is the largest.
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (mut value, mut length) = (0_u32, 0);
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            break;
        }
        value = value.saturating_mul(10).saturating_add(u32::from(digit));
        length += 1;
    }
    (length > 0).then_some((value, text.get(length..)?))
}

/// A number that is all of a text.
pub(crate) fn number<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty())
        .then(|| T::try_from(value).ok())
        .flatten()
}
