//! Lines taken apart, each for itself: what the log says is found, read and judged.
//!
//! Owns what is made of a line that [`Markers`] find. Looks at one line at a time and remembers
//! nothing of it but names, so that parts of a log can be read side by side. Must not know what
//! lines mean together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::Options;
use super::kinds::{Kinds, wording};
use super::markers::{Markers, PASSING};
use super::note::{Class, Detail, Key, Notes, Numbered, Texts, Told, What, hash};
use super::passed::{Passing, message, process};
use crate::diagnose::{Knowledge, LOCAL, Seen};
use crate::postfix::log::{Answer, Delivery, Event, Line, Severity, Sign, Status, Trouble};
use crate::stats::{Clock, Family, LastDay};

/// Most tags that are told apart in a part of a log.
const MAX_TAGS: usize = 4000;

/// Most domains that are told apart in a part of a log.
const MAX_DOMAINS: usize = 100_000;

/// Most kinds of failures that are told apart in a part of a log; then the less important goes.
const MAX_CLASSES: usize = 4000;

/// Most wordings of warnings that are known to tell nothing.
const MAX_DULL: usize = 20_000;

/// How much of a line is kept as an example.
const EXAMPLE: usize = 1500;

/// How much of a reply is kept for each address.
const REPLY: usize = 500;

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

/// How a warning begins that the administrator's own checks asked for: it quotes a message.
// header_checks(5), "WARN"
const QUOTES: [&[u8]; 3] = [b"header ", b"body ", b"content "];

/// Makes notes of lines.
#[derive(Debug)]
pub(super) struct Reader<'k> {
    knowledge: &'k Knowledge,
    markers: Arc<Markers>,
    options: Options,
    classes: HashMap<Key, u32, Numbered>,
    notes: Notes,
    passing: Passing,
    clock: Clock,
    /// The last host, and its number.
    host: (Vec<u8>, u64),
    /// The last name of a host that came was found.
    is_resolved: bool,
    /// Wordings of warnings that tell nothing.
    dull: HashSet<u64>,
    /// The last domain, in lower case.
    domain: Vec<u8>,
    kinds: Kinds<'k>,
}

impl<'k> Reader<'k> {
    /// Begins with nothing.
    pub(super) fn new(knowledge: &'k Knowledge, markers: Arc<Markers>, options: Options) -> Self {
        Self {
            knowledge,
            markers,
            options,
            classes: HashMap::default(),
            notes: Notes::default(),
            passing: Passing::new(),
            clock: Clock::default(),
            host: (Vec::new(), hash(&[b""])),
            is_resolved: false,
            dull: HashSet::new(),
            domain: Vec::new(),
            kinds: Kinds::new(knowledge),
        }
    }

    /// How many notes there are.
    pub(super) fn len(&self) -> usize {
        self.notes.all.len() + self.notes.passed.all.len()
    }

    /// Gives the notes, and begins anew with none in the room of others.
    pub(super) fn take(&mut self, room: Notes) -> Notes {
        self.classes.clear();
        self.is_resolved = false;
        self.passing.begin();
        std::mem::replace(&mut self.notes, room)
    }

    /// Reads a block of whole lines of a log that ends in a month.
    pub(super) fn block(&mut self, block: &[u8], last: LastDay) {
        let ended = memchr_iter(b'\n', block).count();
        // The last line of a file may lack its end.
        let lines = ended + usize::from(block.last().is_some_and(|last| *last != b'\n'));
        self.notes.lines += u64::try_from(lines).unwrap_or_default();
        self.notes.last = Some(last);
        let markers = Arc::clone(&self.markers);
        let mut rest = block;
        loop {
            let Some((marker, at)) = markers.find(rest, !self.is_resolved) else {
                return;
            };
            let (before, behind) = rest.split_at_checked(at).unwrap_or_default();
            let start = memrchr(b'\n', before).map_or(0, |end| end + 1);
            let end = at + memchr(b'\n', behind).unwrap_or(behind.len());
            let line = rest.get(start..end).unwrap_or_default();
            let passed = &mut self.notes.passed;
            let span = self.options.span;
            let is_passed = marker < PASSING
                && self
                    .passing
                    .keep(line, at - start, last, span, passed)
                    .is_some();
            if !is_passed {
                self.line(line, last);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    fn line(&mut self, text: &[u8], last: LastDay) {
        let Some(line) = Line::parse(text) else {
            return;
        };
        let stamp = self.clock.read(line.time, last);
        if !self.options.span.holds(stamp) {
            return;
        }
        let tag = self.tag(line.tag);
        let record = line.record();
        let message = record.queue_id.map_or(0, |id| self.message(line.host, id));
        let before = self.notes.all.len();
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
            passed: u32::try_from(self.notes.passed.all.len()).unwrap_or(u32::MAX),
        });
    }

    /// Adds details to the last note.
    fn detail(&mut self, detail: Detail) {
        if let Some(told) = self.notes.all.last_mut() {
            told.at = u32::try_from(self.notes.details.len()).unwrap_or(NO_DETAIL);
            self.notes.details.push(detail);
        }
    }

    fn tag(&mut self, tag: &[u8]) -> u16 {
        let number = self.notes.tags.number(tag, MAX_TAGS);
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    /// The number of a message.
    fn message(&mut self, host: &[u8], id: &[u8]) -> u64 {
        message(self.host(host), id)
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
        process(self.host(line.host), pid)
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
        let is_quote = |said: &[u8]| QUOTES.iter().any(|part| said.starts_with(part));
        if line.syslog_name().is_empty() || COMMANDS.contains(&daemon) || is_quote(trouble.said) {
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
            provider: self.kinds.provider(LOCAL),
            cause: self.kinds.cause(cause),
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
            provider: self.kinds.provider(LOCAL),
            cause: self.kinds.cause("chroot-dns"),
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
        let mut key = self.kinds.of(delivery, answer, is_here);
        if key.address.is_none() {
            key.tag = tag;
        }
        self.number(key, text, answer.said)
    }

    fn number(&mut self, key: Key, text: &[u8], words: &[u8]) -> u32 {
        let mut key = key;
        let mut known = self.classes.get(&key);
        if known.is_none() && self.classes.len() >= MAX_CLASSES {
            key = key.coarse();
            known = self.classes.get(&key);
        }
        if let Some(number) = known {
            return *number;
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
}

/// What a line tells of mail that went well: as a note is told of it, and the number of the
/// recipient; the domain is put where it is wanted.
pub(super) fn went_well(line: &Line<'_>, domain: &mut Vec<u8>) -> Option<(What, u64)> {
    match line.record().event {
        Event::Delivery(delivery) if delivery.status == Status::Sent => {
            domain_of(&delivery, domain);
            let abroad = is_abroad(&delivery);
            Some((What::Sent { abroad }, recipient(&delivery)))
        }
        Event::Removed => Some((What::Removed, 0)),
        _ => None,
    }
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

/// Tells whether a recipient's mail stays on this host.
fn is_here(line: &Line<'_>, delivery: &Delivery<'_>) -> bool {
    let relay = delivery.relay;
    let is_agent = [b"local".as_slice(), b"virtual", b"pipe"].contains(&line.daemon());
    let is_socket = relay.address.is_some_and(|address| address.contains(&b'/'));
    is_agent || is_socket || (!relay.is_none() && relay.address.is_none())
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
