//! Lines taken apart, each for itself: what the log says is found, read and judged.
//!
//! Owns which lines matter and how they are found among all the others. Looks at one line at a
//! time and remembers nothing of it but names, so that parts of a log can be read side by side.
//! Must not know what lines mean together.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use aho_corasick::packed::{self, Searcher};
use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::Options;
use super::note::{Class, Detail, Hash, Key, Notes, Texts, Told, What, hash};
use crate::diagnose::phrases::Found;
use crate::diagnose::{Knowledge, LOCAL, NO_DOMAIN, NO_RESOLVER, Seen};
use crate::memo::Memo;
use crate::postfix::log::{
    Answer, Delivery, Event, Line, Manner, Severity, Sign, Status, Trouble, is_queue_id,
};
use crate::stats::{Clock, Family, LastDay, Span, Stamp};

/// What lines that matter have, each before it anything else may stand.
const MARKERS: [&[u8]; 12] = [
    b" status=",
    b": removed",
    b": host ",
    b": connect to ",
    b": lost connection with ",
    b": conversation with ",
    b": warning: ",
    b": fatal: ",
    b": panic: ",
    b": error: ",
    b"ejected: ",
    b"]: connect from ",
];

/// The places of those that need less than all of a line.
const STATUS: usize = 0;
const REMOVED: usize = 1;
const CONNECT: usize = 11;

/// Most tags that are told apart in a part of a log.
const MAX_TAGS: usize = 4000;

/// Most domains that are told apart in a part of a log.
const MAX_DOMAINS: usize = 100_000;

/// Most kinds of failures that are told apart in a part of a log; then the less important goes.
const MAX_CLASSES: usize = 4000;

/// Most wordings of warnings that are known to tell nothing.
const MAX_DULL: usize = 20_000;

/// Most verdicts that are remembered.
const MAX_VERDICTS: usize = 10_000;

/// How much of a line is kept as an example.
const EXAMPLE: usize = 1500;

/// How much of a reply is kept for each address.
const REPLY: usize = 500;

/// What a line has whose recipient's mail was taken.
const SENT: &[u8] = b" status=sent (";

/// Where no details are.
const NO_DETAIL: u32 = u32::MAX;

/// The longest domain there is (RFC 1035, 2.3.4).
const DOMAIN: usize = 255;

/// How words begin that repeat an earlier refusal.
const SUSPENDED: &[u8] = b"delivery temporarily suspended: ";

/// Programs that only hosts outside talk to: what they warn of is mostly of those.
const FACING_OUT: [&[u8]; 5] = [b"smtpd", b"postscreen", b"dnsblog", b"tlsproxy", b"anvil"];

/// Programs that are part of the way of a message; if one dies, messages wait.
const ON_THE_WAY: [&[u8]; 14] = [
    b"smtp",
    b"lmtp",
    b"local",
    b"virtual",
    b"pipe",
    b"error",
    b"qmgr",
    b"trivial-rewrite",
    b"cleanup",
    b"bounce",
    b"scache",
    b"tlsmgr",
    b"proxymap",
    b"master",
];

/// Commands that people call: what they complain of is no fault of the server.
const COMMANDS: [&[u8]; 12] = [
    b"postfix",
    b"postfix-script",
    b"postsuper",
    b"postqueue",
    b"postmap",
    b"postalias",
    b"postconf",
    b"postdrop",
    b"postcat",
    b"postmulti",
    b"sendmail",
    b"newaliases",
];

/// Finds the lines that matter.
#[derive(Debug)]
pub(super) struct Markers {
    /// Where the processor has what it takes.
    fast: Option<Searcher>,
    plain: AhoCorasick,
}

impl Markers {
    /// Makes it.
    ///
    /// # Panics
    /// Never: the markers are few and short.
    pub(super) fn new() -> Self {
        Self {
            fast: packed::Config::new().builder().extend(MARKERS).build(),
            plain: AhoCorasick::new(MARKERS).expect("a few short markers make a search"),
        }
    }

    /// Gives each line that has a marker: which is the first it has, where that is, the line.
    fn lines<'b>(&self, block: &'b [u8], mut visit: impl FnMut(usize, usize, &'b [u8])) {
        let mut rest = block;
        loop {
            let found = match &self.fast {
                Some(fast) => fast.find(rest),
                None => self.plain.find(rest),
            };
            let Some(found) = found else {
                return;
            };
            let before = rest.get(..found.start()).unwrap_or_default();
            let start = memrchr(b'\n', before).map_or(0, |end| end + 1);
            let after = rest.get(found.start()..).unwrap_or_default();
            let end = memchr(b'\n', after).map_or(rest.len(), |end| found.start() + end);
            visit(
                found.pattern().as_usize(),
                found.start() - start,
                rest.get(start..end).unwrap_or_default(),
            );
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
}

/// Makes notes of lines.
#[derive(Debug)]
pub(super) struct Reader<'k> {
    knowledge: &'k Knowledge,
    markers: Arc<Markers>,
    options: Options,
    /// Places of what the knowledge names.
    providers: HashMap<&'k str, u16>,
    causes: HashMap<&'k str, u16>,
    classes: HashMap<Key, u32>,
    notes: Notes,
    tag_memo: Memo,
    clock: Clock,
    /// The last host, and its number.
    host: (Vec<u8>, u64),
    /// The last name of a host that came was found.
    is_resolved: bool,
    /// Wordings of warnings that tell nothing.
    dull: HashSet<u64>,
    /// The last domain, in lower case.
    domain: Vec<u8>,
    /// The last words, as a person reads them, and the phrases they have.
    words: String,
    found: Found,
    /// Verdicts by all that they hang on.
    verdicts: HashMap<u64, Brief<'k>>,
}

/// What matters of a verdict.
#[derive(Clone, Copy, Debug)]
struct Brief<'k> {
    provider: &'k str,
    code: &'k str,
    is_here: bool,
    is_new: bool,
}

impl<'k> Reader<'k> {
    /// Begins with nothing.
    pub(super) fn new(knowledge: &'k Knowledge, markers: Arc<Markers>, options: Options) -> Self {
        let numbered = |names: Vec<&'k str>| {
            let numbers = names.into_iter().enumerate();
            let numbers = numbers.map(|(number, name)| (name, u16::try_from(number).unwrap_or(0)));
            numbers.collect()
        };
        Self {
            knowledge,
            markers,
            options,
            providers: numbered(super::providers(knowledge)),
            causes: numbered(super::causes(knowledge)),
            classes: HashMap::new(),
            notes: Notes::default(),
            tag_memo: Memo::new(256),
            clock: Clock::default(),
            host: (Vec::new(), hash(&[b""])),
            is_resolved: false,
            dull: HashSet::new(),
            domain: Vec::new(),
            words: String::new(),
            found: Found::default(),
            verdicts: HashMap::new(),
        }
    }

    /// How many notes there are.
    pub(super) fn len(&self) -> usize {
        self.notes.all.len()
    }

    /// Gives the notes, and begins anew with none in the room of others.
    pub(super) fn take(&mut self, room: Notes) -> Notes {
        self.classes.clear();
        self.tag_memo = Memo::new(256);
        self.is_resolved = false;
        std::mem::replace(&mut self.notes, room)
    }

    /// Reads a block of whole lines of a log that ends in a month.
    pub(super) fn block(&mut self, block: &[u8], last: LastDay) {
        let ended = memchr_iter(b'\n', block).count();
        // The last line of a file may lack its end.
        let lines = ended + usize::from(block.last().is_some_and(|last| *last != b'\n'));
        self.notes.lines += u64::try_from(lines).unwrap_or_default();
        let markers = Arc::clone(&self.markers);
        markers.lines(block, |marker, at, line| self.line(marker, at, line, last));
    }

    fn line(&mut self, marker: usize, at: usize, text: &[u8], last: LastDay) {
        if marker == REMOVED
            && self.options.span == Span::default()
            && let Some((host, tag, id)) = removed(text)
        {
            let (tag, message) = (self.tag(tag), self.message(host, id));
            self.push(What::Removed, message, tag);
            return;
        }
        if marker == CONNECT && self.is_resolved {
            return;
        }
        let Some(line) = Line::parse(text) else {
            return;
        };
        let stamp = self.clock.read(line.time, last);
        if !self.options.span.holds(stamp) {
            return;
        }
        let tag = self.tag(line.tag);
        if marker == STATUS && self.taken(text, at, &line, tag, stamp) {
            return;
        }
        let record = line.record();
        let message = record.queue_id.map_or(0, |id| self.message(line.host, id));
        let before = self.len();
        match record.event {
            Event::Delivery(delivery) if message != 0 => {
                self.delivery(text, &line, &delivery, message, tag);
            }
            Event::Attempt(answer) => self.attempt(text, &answer, message, tag),
            Event::Expired { .. } => self.push(What::Expired, message, tag),
            Event::Removed => self.push(What::Removed, message, tag),
            Event::Trouble(trouble) => self.trouble(text, &line, &trouble, tag),
            Event::Other(said) if line.daemon() == b"smtpd" => {
                if let Some(host) = said.strip_prefix(b"connect from ") {
                    self.came(host, tag);
                } else {
                    self.turned_away(text, said, tag);
                }
            }
            _ => {}
        }
        let process = self.process(&line, message);
        if let Some(told) = self.notes.all.get_mut(before) {
            (told.stamp, told.process) = (stamp, process);
        }
    }

    fn push(&mut self, what: What, message: u64, tag: u16) {
        self.notes.all.push(Told {
            what,
            message,
            process: 0,
            stamp: None,
            tag,
            at: NO_DETAIL,
        });
    }

    /// Adds details to the last note.
    fn detail(&mut self, detail: Detail) {
        if let Some(told) = self.notes.all.last_mut() {
            told.at = u32::try_from(self.notes.details.len()).unwrap_or(NO_DETAIL);
            self.notes.details.push(detail);
        }
    }

    /// Notes that a recipient's mail was taken, and keeps the line: who is not waited for, as
    /// nearly all, is not looked at closer.
    fn taken(
        &mut self,
        text: &[u8],
        marker: usize,
        line: &Line<'_>,
        tag: u16,
        stamp: Option<Stamp>,
    ) -> bool {
        let length = text.strip_suffix(b"\r").unwrap_or(text).len();
        let marker_in_text = (marker + line.text.len()).checked_sub(length);
        let Some(id) = marker_in_text.and_then(|marker| line.plainly_sent(marker)) else {
            return false;
        };
        let Ok(at) = u32::try_from(self.notes.taken.len()) else {
            return false;
        };
        let message = self.message(line.host, id);
        let process = self.process(line, message);
        self.notes.all.push(Told {
            what: What::Taken,
            message,
            process,
            stamp,
            tag,
            at,
        });
        let kept = text.get(..marker + SENT.len()).unwrap_or(text);
        self.notes.taken.extend_from_slice(kept);
        self.notes.taken.push(b'\n');
        true
    }

    fn tag(&mut self, tag: &[u8]) -> u16 {
        let tags = &mut self.notes.tags;
        let number = self
            .tag_memo
            .number(tag, || Some(tags.number(tag, MAX_TAGS)));
        u16::try_from(number.unwrap_or_default()).unwrap_or(u16::MAX)
    }

    /// The number of a message.
    fn message(&mut self, host: &[u8], id: &[u8]) -> u64 {
        let host = self.host(host);
        let mut hash = Hash::default();
        hash.mix(host);
        hash.add(id);
        hash.number()
    }

    /// The number of a host.
    fn host(&mut self, name: &[u8]) -> u64 {
        let (last, number) = &mut self.host;
        if last != name {
            name.clone_into(last);
            *number = hash(&[name]);
        }
        *number
    }

    /// The number of the process that a line is of; where it names none, its message stands for it.
    fn process(&mut self, line: &Line<'_>, message: u64) -> u64 {
        let Some(pid) = line.pid else {
            return message;
        };
        let mut hash = Hash::default();
        hash.mix(self.host(line.host) ^ u64::from(pid));
        hash.number()
    }

    fn delivery(
        &mut self,
        text: &[u8],
        line: &Line<'_>,
        delivery: &Delivery<'_>,
        message: u64,
        tag: u16,
    ) {
        let what = match delivery.status {
            Status::Sent => What::Sent {
                abroad: is_abroad(delivery),
            },
            Status::Deferred | Status::SoftBounce | Status::Bounced | Status::Expired => {
                What::Failed {
                    is_final: matches!(delivery.status, Status::Bounced | Status::Expired),
                    suspended: delivery.words.starts_with(SUSPENDED),
                }
            }
            // Probes of addresses are no mail.
            Status::Deliverable | Status::Undeliverable | Status::Other(_) => return,
        };
        domain_of(delivery, &mut self.domain);
        let domain = self.notes.domains.number(&self.domain, MAX_DOMAINS);
        let (mut class, mut place, mut texts) = (None, 0, None);
        if matches!(what, What::Failed { .. }) {
            let answer = delivery.answer();
            let is_here = is_here(line, delivery);
            class = Some(self.class(text, Some(delivery), &answer, tag, is_here));
            place = answer.peer.map_or(0, |peer| hash(&[peer.name]));
            if self.options.recipients {
                texts = u32::try_from(self.notes.texts.len()).ok();
                self.notes.texts.push(Texts {
                    address: cut(delivery.to, REPLY).into(),
                    reply: cut(answer.said, REPLY).into(),
                });
            }
        }
        self.push(what, message, tag);
        self.detail(Detail {
            recipient: recipient(delivery),
            class,
            domain,
            place,
            texts,
        });
    }

    fn attempt(&mut self, text: &[u8], answer: &Answer<'_>, message: u64, tag: u16) {
        let class = self.class(text, None, answer, tag, false);
        self.push(What::Attempt, message, tag);
        self.detail(Detail {
            class: Some(class),
            ..Detail::default()
        });
    }

    fn trouble(&mut self, text: &[u8], line: &Line<'_>, trouble: &Trouble<'_>, tag: u16) {
        let daemon = line.daemon();
        if line.syslog_name().is_empty() || COMMANDS.contains(&daemon) {
            return;
        }
        let is_warning = trouble.severity < Severity::Fatal;
        let is_sign = trouble.sign != Sign::None;
        let wording = wording(trouble.said);
        if self.dull.contains(&wording) {
            return;
        }
        let answer = Answer::parse(trouble.said);
        let verdict = self.knowledge.judge(&Seen::in_answer(&answer, b""));
        let code = verdict.code();
        let cause = if self.knowledge.is_here(code) {
            code
        } else if matches!(trouble.sign, Sign::NoTransport { .. }) {
            "transport-missing"
        } else if is_sign || (!is_warning && ON_THE_WAY.contains(&daemon)) {
            "transport-broken"
        } else if !is_warning {
            "local-misconfig"
        } else {
            // Strangers at the door make for most warnings of a log, in the same words.
            if self.dull.len() < MAX_DULL {
                self.dull.insert(wording);
            }
            return;
        };
        let is_reason = matches!(trouble.sign, Sign::None | Sign::NoTransport { .. });
        // Each fault is told in its own words; what only follows from one is not.
        let wording = if is_reason { wording } else { 0 };
        let key = Key {
            provider: self.provider(LOCAL),
            cause: self.cause(cause),
            address: None,
            tag,
            family: Family::None,
            is_attempt: false,
            is_greeting: false,
            wording,
        };
        let class = self.number(key, text, trouble.said);
        let blames = is_reason && !FACING_OUT.contains(&daemon);
        self.push(What::Trouble { is_reason: blames }, 0, tag);
        self.detail(Detail {
            class: Some(class),
            ..Detail::default()
        });
    }

    /// A host that smtpd(8) looked up; once is enough until one is turned away.
    fn came(&mut self, host: &[u8], tag: u16) {
        if !host.starts_with(b"unknown[") && !host.starts_with(b"localhost[") {
            self.push(What::Resolved, 0, tag);
            self.is_resolved = true;
        }
    }

    /// A host that smtpd(8) turned away because a name of it was not found.
    fn turned_away(&mut self, text: &[u8], said: &[u8], tag: u16) {
        const REJECTED: [&[u8]; 3] = [
            b">: Helo command rejected: Host not found",
            b">: Sender address rejected: Domain not found",
            b">: Recipient address rejected: Domain not found",
        ];
        let found = REJECTED
            .into_iter()
            .find_map(|words| memchr::memmem::find(said, words));
        let Some(end) = found.filter(|_| said.starts_with(b"reject: ")) else {
            return;
        };
        let before = said.get(..end).unwrap_or_default();
        let open = memrchr(b'<', before).map_or(0, |at| at + 1);
        let name = before.get(open..).unwrap_or_default();
        let at = memrchr(b'@', name).map_or(0, |at| at + 1);
        let domain = name.get(at..).unwrap_or_default().to_ascii_lowercase();
        let key = Key {
            provider: self.provider(LOCAL),
            cause: self.cause("chroot-dns"),
            address: None,
            tag,
            family: Family::None,
            is_attempt: false,
            is_greeting: false,
            wording: 0,
        };
        let class = self.number(key, text, said.get(end + 3..).unwrap_or_default());
        self.push(What::NotFound, 0, tag);
        self.is_resolved = false;
        self.detail(Detail {
            recipient: hash(&[&domain]),
            class: Some(class),
            ..Detail::default()
        });
    }

    /// What is to be said of words, with the protocol. A verdict is made once for all lines that
    /// it would be the same for.
    fn verdict(
        &mut self,
        delivery: Option<&Delivery<'_>>,
        answer: &Answer<'_>,
    ) -> (Brief<'k>, Option<u8>) {
        let knowledge = self.knowledge;
        answer.plain_into(&mut self.words);
        knowledge.phrases.find(&self.words, &mut self.found);
        let words = Cow::Borrowed(self.words.as_str());
        let seen = match delivery {
            Some(delivery) => Seen::with_words(answer, delivery.dsn, words).of_delivery(delivery),
            None => Seen::with_words(answer, b"", words),
        };
        let family = seen.evidence.family;
        let number = knowledge.number(&seen, &self.found);
        if let Some(brief) = self.verdicts.get(&number) {
            return (*brief, family);
        }
        let (verdict, _) = knowledge.decide(&seen, &self.found);
        let code = verdict.cause.map_or("", |cause| cause.code.as_str());
        let brief = Brief {
            provider: verdict.provider,
            code,
            is_here: knowledge.is_here(code),
            is_new: verdict.is_new,
        };
        // Whether a name is one that must be there is not in the phrases.
        let is_of_a_name = seen.host.is_none() && [NO_DOMAIN, NO_RESOLVER].contains(&code);
        if !is_of_a_name && self.verdicts.len() < MAX_VERDICTS {
            self.verdicts.insert(number, brief);
        }
        (brief, family)
    }

    /// The number of the kind of failure that a line tells of; without a delivery it is an
    /// attempt.
    fn class(
        &mut self,
        text: &[u8],
        delivery: Option<&Delivery<'_>>,
        answer: &Answer<'_>,
        tag: u16,
        is_here: bool,
    ) -> u32 {
        let (verdict, family) = self.verdict(delivery, answer);
        let code = verdict.code;
        let is_here = is_here || verdict.is_here;
        let provider = if is_here { LOCAL } else { verdict.provider };
        let family = match family {
            _ if is_here => Family::None,
            Some(6) => Family::V6,
            Some(_) => Family::V4,
            None => Family::None,
        };
        let refused = answer.manner == Manner::RefusedToTalk;
        let address = own_address(answer, family);
        let key = Key {
            provider: self.provider(provider),
            cause: self.cause(code),
            address,
            tag: if address.is_some() { 0 } else { tag },
            family,
            is_attempt: delivery.is_none(),
            is_greeting: refused && answer.code().is_some_and(|code| code >= 500),
            wording: if verdict.is_new || code.is_empty() {
                wording(answer.said)
            } else {
                0
            },
        };
        self.number(key, text, answer.said)
    }

    fn number(&mut self, key: Key, text: &[u8], words: &[u8]) -> u32 {
        let key = if self.classes.len() < MAX_CLASSES || self.classes.contains_key(&key) {
            key
        } else {
            key.coarse()
        };
        if let Some(&number) = self.classes.get(&key) {
            return number;
        }
        let number = u32::try_from(self.notes.classes.len()).unwrap_or(u32::MAX);
        self.classes.insert(key, number);
        self.notes.classes.push(Class {
            key,
            line: cut(text, EXAMPLE).into(),
            words: cut(words, EXAMPLE).into(),
        });
        number
    }

    fn provider(&self, id: &str) -> u16 {
        self.providers.get(id).copied().unwrap_or_default()
    }

    fn cause(&self, code: &str) -> u16 {
        self.causes.get(code).copied().unwrap_or_default()
    }
}

/// Reads a line of a recipient whose mail was taken: whether another host took it, and the number
/// of the recipient; the domain is put where it is wanted.
pub(super) fn sent(line: &[u8], domain: &mut Vec<u8>) -> Option<(bool, u64)> {
    let line = Line::parse(line)?;
    let delivery = line.delivery()?;
    domain_of(&delivery, domain);
    Some((is_abroad(&delivery), recipient(&delivery)))
}

/// The domain of a recipient, in lower case.
fn domain_of(delivery: &Delivery<'_>, domain: &mut Vec<u8>) {
    let at = memrchr(b'@', delivery.to).map_or(delivery.to.len(), |at| at + 1);
    domain.clear();
    let name = delivery.to.get(at..).unwrap_or_default();
    domain.extend_from_slice(cut(name, DOMAIN));
    domain.make_ascii_lowercase();
}

/// The number of a recipient.
fn recipient(delivery: &Delivery<'_>) -> u64 {
    hash(&[delivery.to, delivery.orig_to.unwrap_or_default()])
}

/// Tells whether another host took mail on port 25.
fn is_abroad(delivery: &Delivery<'_>) -> bool {
    let relay = delivery.relay;
    let is_host = relay
        .address
        .is_some_and(|address| !address.contains(&b'/'));
    is_host && relay.port.is_none_or(|port| port == 25)
}

/// Reads a line that ends with `removed`: the host, the tag and the queue id.
fn removed(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let head = line.strip_suffix(b": removed")?;
    let word = |text: &'_ [u8]| memrchr(b' ', text).map(|blank| blank + 1);
    let at = word(head)?;
    let id = head.get(at..)?;
    let head = head.get(..at - 1)?.strip_suffix(b"]:")?;
    let at = word(head)?;
    let tag = head.get(at..)?;
    let tag = tag.get(..memchr(b'[', tag)?)?;
    let head = head.get(..at - 1)?;
    let host = head.get(word(head)?..)?;
    // A time is no host: such a log has none.
    (is_queue_id(id) && !tag.is_empty() && !host.is_empty() && !host.contains(&b':'))
        .then_some((host, tag, id))
}

/// Tells whether a recipient's mail stays on this host.
fn is_here(line: &Line<'_>, delivery: &Delivery<'_>) -> bool {
    let relay = delivery.relay;
    let is_agent = [b"local".as_slice(), b"virtual", b"pipe"].contains(&line.daemon());
    let is_socket = relay.address.is_some_and(|address| address.contains(&b'/'));
    is_agent || is_socket || (!relay.is_none() && relay.address.is_none())
}

/// Our own address, where the reply names it: one of the session's protocol that is not the
/// other side's. Black lists answer with addresses too, of `127.0.0.0/8`.
fn own_address(answer: &Answer<'_>, family: Family) -> Option<IpAddr> {
    if !matches!(answer.manner, Manner::Said | Manner::RefusedToTalk) {
        return None;
    }
    let peer = answer.peer.and_then(|peer| peer.ip());
    let said = answer.said;
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let fits = |address: &IpAddr| {
        let fits = match family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            Family::None => true,
        };
        fits && Some(*address) != peer && !address.is_loopback() && !address.is_unspecified()
    };
    // Every address has one of these; most replies have few of them.
    let mut from = 0;
    while let Some(at) = memchr2(b'.', b':', said.get(from..)?).map(|at| from + at) {
        let before = said.get(from..at)?.iter().rev();
        let start = at - before.take_while(|byte| is_part(**byte)).count();
        let after = said.get(at..)?.iter();
        let end = at + after.take_while(|byte| is_part(**byte)).count();
        from = end;
        let word = said.get(start..end)?;
        if !(7..=40).contains(&word.len()) {
            continue;
        }
        let word = std::str::from_utf8(word).ok()?;
        let address = word.trim_end_matches(['.', ':']).parse::<IpAddr>().ok();
        if address.is_some_and(|address| fits(&address)) {
            return address;
        }
    }
    None
}

/// A number for words, whatever ids, addresses and counts stand between them.
fn wording(said: &[u8]) -> u64 {
    let mut hash = Hash::default();
    let words = said.split(u8::is_ascii_whitespace);
    let is_own = |word: &&[u8]| {
        !word
            .iter()
            .any(|byte| byte.is_ascii_digit() || *byte == b'@')
    };
    for word in words.filter(|word| !word.is_empty()).filter(is_own) {
        hash.add(word);
    }
    hash.number()
}

fn cut(text: &[u8], most: usize) -> &[u8] {
    text.get(..most).unwrap_or(text)
}

impl Key {
    /// The same without what strangers choose.
    pub(super) fn coarse(self) -> Self {
        Self {
            address: None,
            wording: 0,
            ..self
        }
    }
}
