//! What a line tells, once its head and its queue id are off.
//!
//! Owns the forms of delivery lines, of answers of other hosts, of TLS sessions and of
//! programs that die. Must not know heads of lines.

use std::borrow::Cow;

use memchr::memmem::{find, rfind};
use memchr::{memchr, memrchr};

use super::{Peer, leading, near, near_either, number};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A delivery agent is done with a recipient, for good or for now.
    Delivery(Delivery<'a>),
    /// A host did not take the message; the next address follows, or a delivery line.
    Attempt(Answer<'a>),
    /// A local program handed a message in (pickup).
    Submitted {
        /// The user's number.
        uid: Option<u32>,
        /// The envelope sender.
        from: &'a [u8],
    },
    /// The message has this `Message-ID`, brackets included (cleanup).
    MessageId(&'a [u8]),
    /// The message came into the active queue (qmgr).
    Queued {
        /// The envelope sender.
        from: &'a [u8],
        /// Its bytes.
        size: Option<u64>,
        /// How many recipients it has.
        recipients: Option<u32>,
    },
    /// The message was given up after `maximal_queue_lifetime`.
    Expired {
        /// The envelope sender.
        from: &'a [u8],
    },
    /// The message left the queue.
    Removed,
    /// A report about the message was made; it has this queue id.
    Notified(&'a [u8]),
    /// A TLS session was made.
    Tls(Tls<'a>),
    /// A program warns, or ends.
    Trouble(Trouble<'a>),
    /// Anything else, as it was said.
    Other(&'a [u8]),
}

impl<'a> Event<'a> {
    /// Reads what was said.
    pub(super) fn parse(said: &'a [u8]) -> Self {
        Self::known(said).unwrap_or(Self::Other(said))
    }

    fn known(said: &'a [u8]) -> Option<Self> {
        // By first byte: most lines of a log are told apart by it.
        match said.first()? {
            b't' if said.starts_with(b"to=") => Delivery::parse(said).map(Self::Delivery),
            // From 3.10 on a message that was never finished is `removed (canceled)`.
            b'r' if said == b"removed" || said.starts_with(b"removed (") => Some(Self::Removed),
            b'm' | b'r' if is_message_id(said) => {
                let at = memchr(b'=', said)? + 1;
                Some(Self::MessageId(said.get(at..)?))
            }
            b'f' if said.starts_with(b"from=") => queued(said),
            b'u' if said.starts_with(b"uid=") => {
                let rest = said.get(4..)?;
                let digits = leading(rest, u8::is_ascii_digit);
                let from = rest.get(digits.len()..)?.strip_prefix(b" from=")?;
                let (from, _) = address(from);
                let uid = number(digits);
                Some(Self::Submitted { uid, from })
            }
            b's' | b'p' if find(said, b" notification: ").is_some() => {
                let at = find(said, b" notification: ")? + b" notification: ".len();
                Some(Self::Notified(said.get(at..)?))
            }
            b'h' | b'l' | b'c' => Answer::of_attempt(said)
                .map(Self::Attempt)
                .or_else(|| Trouble::parse(said).map(Self::Trouble)),
            b'w' | b'e' | b'f' | b'p' => Trouble::parse(said).map(Self::Trouble),
            b'A' | b'U' | b'T' | b'V' => Tls::parse(said).map(Self::Tls),
            _ => None,
        }
    }
}

fn is_message_id(said: &[u8]) -> bool {
    said.starts_with(b"message-id=") || said.starts_with(b"resent-message-id=")
}

fn queued(said: &[u8]) -> Option<Event<'_>> {
    let (from, rest) = address(said.get(5..)?);
    if rest.starts_with(b", status=expired") {
        return Some(Event::Expired { from });
    }
    let field = |name: &[u8]| {
        let at = find(rest, name)? + name.len();
        Some(leading(rest.get(at..)?, u8::is_ascii_digit))
    };
    let size = field(b", size=");
    let recipients = field(b", nrcpt=");
    (size.is_some() || recipients.is_some()).then(|| Event::Queued {
        from,
        size: size.and_then(number),
        recipients: recipients.and_then(number),
    })
}

/// Splits `<address>` off a text; without brackets what stands before the next comma.
///
/// Quotes count: a local part may hold anything between them, also what looks like the next
/// field (RFC 5321, 4.1.2).
fn address(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(inside) = text.strip_prefix(b"<") else {
        let end = find(text, b", ").unwrap_or(text.len());
        return text.split_at(end);
    };
    // Nearly all addresses are plain, and then the first bracket that ends something ends them.
    let plain = near_either([b'>', b'"'], inside).filter(|&end| {
        inside.get(end) == Some(&b'>') && matches!(inside.get(end + 1), None | Some(b',' | b' '))
    });
    if let Some(end) = plain {
        let rest = inside.get(end + 1..).unwrap_or_default();
        return (inside.get(..end).unwrap_or_default(), rest);
    }
    let (mut quoted, mut escaped, mut last) = (false, false, None);
    for (at, &byte) in inside.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' => {
                let ends = matches!(inside.get(at + 1), None | Some(b',' | b' '));
                if ends && !quoted {
                    last = Some(at);
                    break;
                }
                // A quote that is never closed ends nowhere else.
                last = last.or(ends.then_some(at));
            }
            _ => {}
        }
    }
    match last {
        Some(end) => (
            inside.get(..end).unwrap_or_default(),
            inside.get(end + 1..).unwrap_or_default(),
        ),
        None => (inside, b""),
    }
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The recipient.
    pub to: &'a [u8],
    /// The recipient before aliases changed it.
    pub orig_to: Option<&'a [u8]>,
    /// Who took it: a host, `local`, or `none` where there was no session.
    pub relay: Peer<'a>,
    /// How often the session was used, from the second message on.
    pub conn_use: Option<u32>,
    /// Seconds since the message came in, as written.
    pub delay: &'a [u8],
    /// The same by stage, `before/active/connecting/sending`, as written.
    pub delays: &'a [u8],
    /// How the session was protected; told from Postfix 3.11 on.
    pub tls: Option<&'a [u8]>,
    /// The enhanced status code, after all filters; empty before Postfix 2.3.
    pub dsn: &'a [u8],
    /// The result.
    pub status: Status<'a>,
    /// The words in parentheses behind it.
    pub words: &'a [u8],
}

/// The result for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// Another host, or a mailbox, has it.
    Sent,
    /// It will be tried again.
    Deferred,
    /// It was given up.
    Bounced,
    /// It was given up because it is too old.
    Expired,
    /// It would have been given up, but for `soft_bounce`.
    SoftBounce,
    /// An address probe found it would be taken.
    Deliverable,
    /// An address probe found it would not.
    Undeliverable,
    /// A word no known version writes.
    Other(&'a [u8]),
}

impl<'a> Delivery<'a> {
    pub(super) fn parse(said: &'a [u8]) -> Option<Self> {
        Self::usual(said).or_else(|| Self::any(said))
    }

    /// Reads the fields that nearly all lines have, in the order they have them. Whatever is not
    /// quite so is left to [`any`](Self::any), which reads this the same way and takes longer.
    pub(super) fn usual(said: &'a [u8]) -> Option<Self> {
        /// Reads `NAME=VALUE, ` at the start of a text.
        fn field<'a, const N: usize>(rest: &mut &'a [u8], name: &[u8; N]) -> Option<&'a [u8]> {
            let value = rest.strip_prefix(name)?;
            let end = near(b',', value)?;
            *rest = value.get(end..)?.strip_prefix(b", ")?;
            value.get(..end)
        }
        let rest = said.strip_prefix(b"to=<")?;
        let (to, rest) = rest.split_at_checked(near_either([b'>', b'"'], rest)?)?;
        let value = rest.strip_prefix(b">, relay=")?;
        let end = near_either([b'[', b' '], value)?;
        let (relay, mut rest) = if value.get(end) == Some(&b'[') {
            let (relay, rest) = Peer::bracketed(value, end)?;
            (relay, rest.strip_prefix(b", ")?)
        } else {
            let name = value.get(..end)?.strip_suffix(b",")?;
            (
                Peer {
                    name,
                    ..Peer::default()
                },
                value.get(end + 1..)?,
            )
        };
        let conn_use = field(&mut rest, b"conn_use=").and_then(number);
        let tls = field(&mut rest, b"tls=");
        let delay = field(&mut rest, b"delay=")?;
        let delays = field(&mut rest, b"delays=")?;
        let dsn = field(&mut rest, b"dsn=")?;
        let rest = rest.strip_prefix(b"status=")?;
        let (status, rest) = match rest {
            [b's', b'e', b'n', b't', b' ', rest @ ..] => (Status::Sent, rest),
            [
                b'd',
                b'e',
                b'f',
                b'e',
                b'r',
                b'r',
                b'e',
                b'd',
                b' ',
                rest @ ..,
            ] => (Status::Deferred, rest),
            [b'b', b'o', b'u', b'n', b'c', b'e', b'd', b' ', rest @ ..] => (Status::Bounced, rest),
            _ => return None,
        };
        Some(Self {
            to,
            orig_to: None,
            relay,
            conn_use,
            delay,
            delays,
            tls,
            dsn,
            status,
            words: in_parentheses(rest),
        })
    }

    /// Reads fields in any order, for versions add some and others are left out.
    pub(super) fn any(said: &'a [u8]) -> Option<Self> {
        let mut delivery = Self {
            to: b"",
            orig_to: None,
            relay: Peer::default(),
            conn_use: None,
            delay: b"",
            delays: b"",
            tls: None,
            dsn: b"",
            status: Status::Other(b""),
            words: b"",
        };
        let mut rest = said;
        loop {
            let equals = near(b'=', rest)?;
            let (key, value) = (rest.get(..equals)?, rest.get(equals + 1..)?);
            let field = || value.split_at_checked(field_end(value)?);
            let after;
            match key {
                b"status" => {
                    let word = leading(value, |byte| !byte.is_ascii_whitespace());
                    delivery.status = Status::of(word);
                    delivery.words = in_parentheses(value.get(word.len()..)?);
                    return Some(delivery);
                }
                b"to" => (delivery.to, after) = address(value),
                b"orig_to" => {
                    let (orig_to, rest) = address(value);
                    delivery.orig_to = Some(orig_to);
                    after = rest;
                }
                b"delay" => (delivery.delay, after) = field()?,
                b"delays" => (delivery.delays, after) = field()?,
                b"dsn" => (delivery.dsn, after) = field()?,
                _ => {
                    let (value, rest) = field()?;
                    match key {
                        b"relay" => delivery.relay = Peer::parse(value),
                        b"conn_use" => delivery.conn_use = number(value),
                        b"tls" => delivery.tls = Some(value),
                        _ => {}
                    }
                    after = rest;
                }
            }
            rest = after.strip_prefix(b",")?.trim_ascii_start();
        }
    }

    /// Reads who said the words, and what.
    #[must_use]
    pub fn answer(&self) -> Answer<'a> {
        Answer::parse(self.words)
    }
}

impl<'a> Status<'a> {
    fn of(word: &'a [u8]) -> Self {
        match word {
            b"sent" => Self::Sent,
            b"deferred" => Self::Deferred,
            b"bounced" => Self::Bounced,
            b"expired" => Self::Expired,
            b"SOFTBOUNCE" => Self::SoftBounce,
            b"deliverable" => Self::Deliverable,
            b"undeliverable" => Self::Undeliverable,
            other => Self::Other(other),
        }
    }
}

/// Where a value ends: at the next comma before a blank. A relay's name may hold other commas.
fn field_end(value: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let comma = start + near(b',', value.get(start..)?)?;
        start = comma + 1;
        if value.get(start) == Some(&b' ') {
            return Some(comma);
        }
    }
}

fn in_parentheses(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text.strip_prefix(b"(") {
        // syslog cuts long lines off, so the end may be missing.
        Some(inside) => inside.strip_suffix(b")").unwrap_or(inside),
        None => text,
    }
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The host replied to a command.
    Said,
    /// The host's greeting, or its answer to the first command, was a refusal.
    RefusedToTalk,
    /// There was no connection.
    NotConnected,
    /// The connection broke.
    LostConnection,
    /// The host fell silent.
    TimedOut,
    /// These are words of Postfix's own, or of a host that took the message.
    Own,
}

/// Words of another host, or about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Who.
    pub peer: Option<Peer<'a>>,
    /// How it came about.
    pub manner: Manner,
    /// What was said, without the host before it and the stage behind it. The lines of a reply
    /// are joined by blanks, each with its code.
    pub said: &'a [u8],
    /// At which stage, `end of DATA command` or `receiving the initial server greeting`.
    pub stage: Option<&'a [u8]>,
    /// Whether nothing was tried: an earlier message met this, and the host is left alone.
    pub suspended: bool,
}

impl<'a> Answer<'a> {
    /// Reads the words of a delivery line.
    #[must_use]
    pub fn parse(words: &'a [u8]) -> Self {
        const SUSPENDED: &[u8] = b"delivery temporarily suspended: ";
        if let Some(earlier) = words.strip_prefix(SUSPENDED) {
            return Self {
                suspended: true,
                ..Self::of_attempt(earlier).unwrap_or_else(|| Self::own(earlier))
            };
        }
        Self::of_attempt(words).unwrap_or_else(|| Self::own(words))
    }

    /// Takes what a host said that is not named.
    #[must_use]
    pub fn reply(said: &'a [u8]) -> Self {
        Self {
            peer: None,
            manner: Manner::Said,
            said,
            stage: None,
            suspended: false,
        }
    }

    fn own(said: &'a [u8]) -> Self {
        Self {
            manner: Manner::Own,
            ..Self::reply(said)
        }
    }

    /// Reads the forms in which smtp(8) tells of a host.
    fn of_attempt(words: &'a [u8]) -> Option<Self> {
        let begin = |start: &[u8]| Peer::begin(words.strip_prefix(start)?);
        let answer = |(peer, said, manner, stage)| Self {
            peer: Some(peer),
            manner,
            said,
            stage,
            suspended: false,
        };
        let (peer, said, manner, stage) = if let Some((peer, rest)) = begin(b"host ") {
            if let Some(said) = rest.strip_prefix(b" said: ") {
                let (said, stage) = stage_of(said);
                (peer, said, Manner::Said, stage)
            } else {
                let said = rest.strip_prefix(b" refused to talk to me: ")?;
                (peer, said, Manner::RefusedToTalk, None)
            }
        } else if let Some((peer, rest)) = begin(b"connect to ") {
            (peer, rest.strip_prefix(b": ")?, Manner::NotConnected, None)
        } else if let Some((peer, rest)) = begin(b"lost connection with ") {
            let stage = rest.strip_prefix(b" while ")?;
            (peer, words, Manner::LostConnection, Some(stage))
        } else {
            let (peer, rest) = begin(b"conversation with ")?;
            let stage = rest.strip_prefix(b" timed out while ")?;
            (peer, words, Manner::TimedOut, Some(stage))
        };
        Some(answer((peer, said, manner, stage)))
    }

    /// The reply's code, where it has one: `550`.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        code_of(self.said)
    }

    /// The enhanced status code of the reply itself: `5.7.1` (RFC 3463). Of several lines the
    /// last counts, as it does for Postfix.
    #[must_use]
    pub fn enhanced(&self) -> Option<&'a [u8]> {
        let code = code_of(self.said)?;
        let final_line = rfind(self.said, format!(" {code} ").as_bytes()).map_or(0, |at| at + 1);
        [final_line, 0].into_iter().find_map(|line| {
            let words = self.said.get(line + 4..)?.trim_ascii_start();
            let status = leading(words, |&byte| byte.is_ascii_digit() || byte == b'.');
            is_enhanced(status).then_some(status)
        })
    }

    /// The words as a person reads them: codes that every line of the reply repeats and blanks
    /// that fill it up are left out, so that a phrase is found wherever the host broke its lines.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut plain = String::new();
        self.plain_into(&mut plain);
        plain
    }

    /// The same, put into a text that may have been used before.
    pub fn plain_into(&self, plain: &mut String) {
        plain.clear();
        let text = String::from_utf8_lossy(self.said);
        let code = code_of(self.said).and_then(|_| text.get(..3));
        let mut is_first = true;
        let mut after_code = false;
        for word in text.split_ascii_whitespace() {
            let begun = code
                .and_then(|code| word.strip_prefix(code))
                .filter(|rest| rest.is_empty() || rest.starts_with('-'));
            let rest = begun.map_or(word, |rest| rest.strip_prefix('-').unwrap_or(rest));
            let skipped = rest.is_empty() || is_enhanced(rest.as_bytes());
            if skipped && (begun.is_some() || after_code) {
                after_code = rest.is_empty();
            } else {
                if !std::mem::take(&mut is_first) {
                    plain.push(' ');
                }
                plain.push_str(rest);
                after_code = false;
            }
        }
    }

    /// All of the words, as text.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.said)
    }
}

/// Splits `(in reply to STAGE)` off.
fn stage_of(said: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut end = said.len();
    while let Some(open) = memrchr(b'(', said.get(..end).unwrap_or_default()) {
        let (before, behind) = said.split_at_checked(open).unwrap_or_default();
        if let Some(said) = before.strip_suffix(b" ")
            && let Some(stage) = behind.strip_prefix(b"(in reply to ")
        {
            return (said, Some(stage.strip_suffix(b")").unwrap_or(stage)));
        }
        end = open;
    }
    (said, None)
}

/// The code that a reply begins with (RFC 5321, 4.2).
fn code_of(said: &[u8]) -> Option<u16> {
    let digits = leading(said, u8::is_ascii_digit);
    let ends = matches!(said.get(3), None | Some(b' ' | b'-'));
    if digits.len() != 3 || !ends {
        return None;
    }
    number(digits).filter(|code| (200..600).contains(code))
}

/// Tells whether a word is an enhanced status code (RFC 3463, 2).
fn is_enhanced(word: &[u8]) -> bool {
    let mut parts = word.split(|&byte| byte == b'.');
    let mut part = |most: usize| {
        parts.next().is_some_and(|part| {
            (1..=most).contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
        })
    };
    part(1) && part(3) && part(3) && parts.next().is_none() && matches!(word[0], b'2' | b'4' | b'5')
}

/// A TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls<'a> {
    /// How far the other side is known: `Anonymous`, `Untrusted`, `Trusted` or `Verified`.
    pub trust: &'a [u8],
    /// Whether we are the client.
    pub outgoing: bool,
    /// The other side.
    pub peer: Peer<'a>,
    /// `TLSv1.3`.
    pub protocol: &'a [u8],
    /// `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'a [u8],
}

impl<'a> Tls<'a> {
    fn parse(said: &'a [u8]) -> Option<Self> {
        const MADE: &[u8] = b" TLS connection ";
        let at = find(said, MADE)?;
        let rest = said.get(at + MADE.len()..)?;
        let (rest, outgoing) = [
            (&b"established to "[..], true),
            (b"reused to ", true),
            (b"established from ", false),
        ]
        .into_iter()
        .find_map(|(start, outgoing)| Some((rest.strip_prefix(start)?, outgoing)))?;
        let (peer, rest) = Peer::begin(rest)?;
        let rest = rest.strip_prefix(b": ")?;
        let protocol = leading(rest, |&byte| byte != b' ');
        let cipher = rest.get(protocol.len()..)?.strip_prefix(b" with cipher ")?;
        Some(Self {
            trust: said.get(..at)?,
            outgoing,
            peer,
            protocol,
            cipher: leading(cipher, |&byte| byte != b' '),
        })
    }
}

/// How much a program means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It goes on.
    Warning,
    /// It goes on, and something was not done.
    Error,
    /// It ends.
    Fatal,
    /// It ends because of a fault of its own.
    Panic,
}

/// What a program warns of, or ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// How much it means it.
    pub severity: Severity,
    /// What it is a sign of.
    pub sign: Sign<'a>,
    /// What it said, without the severity.
    pub said: &'a [u8],
}

/// Signs that a service does not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign<'a> {
    /// The program behind a socket ended before it answered.
    MalformedResponse {
        /// The socket, `private/smtp`.
        socket: &'a [u8],
    },
    /// master(8) starts a program no more for a while, because it dies at its start.
    Throttled {
        /// Its path.
        program: &'a [u8],
    },
    /// A program ended with a status.
    Exited {
        /// Its path.
        program: &'a [u8],
        /// Its process.
        pid: Option<u32>,
        /// The status.
        status: Option<u32>,
    },
    /// A program was killed.
    Killed {
        /// Its path.
        program: &'a [u8],
        /// Its process.
        pid: Option<u32>,
        /// The signal.
        signal: Option<u32>,
    },
    /// Nothing listens at a transport's socket.
    NoTransport {
        /// The socket, `private/smtp`.
        socket: &'a [u8],
    },
    /// A transport failed, for a reason that another line gives.
    TransportFailed {
        /// The transport.
        transport: &'a [u8],
    },
    /// Nothing that is known to be one.
    None,
}

impl<'a> Trouble<'a> {
    fn parse(said: &'a [u8]) -> Option<Self> {
        let (severity, said) = [
            (&b"warning: "[..], Severity::Warning),
            (b"error: ", Severity::Error),
            (b"fatal: ", Severity::Fatal),
            (b"panic: ", Severity::Panic),
        ]
        .into_iter()
        .find_map(|(word, severity)| Some((severity, said.strip_prefix(word)?)))?;
        Some(Self {
            severity,
            sign: Sign::of(said).unwrap_or(Sign::None),
            said,
        })
    }
}

impl<'a> Sign<'a> {
    fn of(said: &'a [u8]) -> Option<Self> {
        if let Some(socket) = said.strip_suffix(b" socket: malformed response") {
            return Some(Self::MalformedResponse { socket });
        }
        if let Some(program) = said.strip_suffix(b": bad command startup -- throttling") {
            return Some(Self::Throttled { program });
        }
        if let Some(rest) = said.strip_prefix(b"process ") {
            let program = leading(rest, |&byte| byte != b' ');
            let rest = rest.get(program.len()..)?.strip_prefix(b" pid ")?;
            let digits = leading(rest, u8::is_ascii_digit);
            let rest = rest.get(digits.len()..)?;
            let pid = number(digits);
            return if let Some(status) = rest.strip_prefix(b" exit status ") {
                let status = number(status);
                Some(Self::Exited {
                    program,
                    pid,
                    status,
                })
            } else {
                let signal = number(rest.strip_prefix(b" killed by signal ")?);
                Some(Self::Killed {
                    program,
                    pid,
                    signal,
                })
            };
        }
        if let Some(rest) = said.strip_prefix(b"connect to transport ") {
            let socket = rest.get(..find(rest, b": ")?)?;
            return Some(Self::NoTransport { socket });
        }
        let rest = said.strip_prefix(b"transport ")?;
        let transport = rest.get(..find(rest, b" failure -- see ")?)?;
        Some(Self::TransportFailed { transport })
    }
}
