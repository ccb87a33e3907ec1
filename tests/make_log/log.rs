//! Mail logs of any length with known truth, the same for the same seed.
//!
//! Owns what a made-up Postfix with several instances writes from a message's arrival to its end,
//! and the counts that a reader must come to. Hosts, addresses and ids are made up; the forms are
//! those of Postfix 3.5 to 3.11, the replies real ones ([`refusals`]).

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

mod refusals;

use refusals::{DESTINATIONS, Destination, Fate, Refusal, Step};

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Lines, at least; what is being delivered then is delivered or put off.
    pub lines: u64,
    /// ISO times instead of RFC 3164's.
    pub iso: bool,
    /// Long queue ids instead of short ones.
    pub long_ids: bool,
    /// Messages that are on their way at the same time, beside those that wait.
    pub open: usize,
    /// What the pseudo-random numbers begin with.
    pub seed: u64,
}

/// How many deliveries ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// `status=sent`
    pub sent: u64,
    /// `status=deferred`
    pub deferred: u64,
    /// `status=bounced`
    pub bounced: u64,
}

impl Ends {
    /// All of them.
    pub fn total(self) -> u64 {
        self.sent + self.deferred + self.bounced
    }
}

/// Over which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// There was no host.
    None,
}

/// What failures are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The receiver's id, `other` or `local`.
    pub provider: &'static str,
    /// The code of the cause.
    pub cause: &'static str,
    /// The protocol.
    pub family: Family,
    /// Our address where the reply names it, else the instance.
    pub from: String,
    /// Another address took it at once.
    pub is_detour: bool,
}

/// How often a kind of failure came up, and what became of whom it met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Tries of a recipient, or of all of a session where it is told of one address of several;
    /// where nothing was tried, it is none.
    pub tries: u64,
    /// Messages.
    pub messages: u64,
    /// Recipients, of each message for itself.
    pub recipients: u64,
    /// Recipients that were delivered to after all.
    pub delivered: u64,
    /// Recipients that are in the queue when the log ends.
    pub waiting: u64,
    /// Recipients given up for this.
    pub given_up: u64,
    /// Recipients given up for something else later.
    pub elsewhere: u64,
}

/// What a reader must come to.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Lines written.
    pub lines: u64,
    /// Messages.
    pub messages: u64,
    /// Messages with an id that an earlier one had.
    pub reused: u64,
    /// Messages that wait when the log ends.
    pub waiting: u64,
    /// Lines of IPv6 addresses that could not be reached, each followed by success over IPv4.
    pub unreachable: u64,
    /// Deliveries put off because of what an earlier message met.
    pub suspended: u64,
    /// Lines in which programs tell of faults of their own.
    pub troubles: u64,
    /// By `syslog_name`.
    pub instances: BTreeMap<&'static str, Ends>,
    /// By the recipient's domain.
    pub domains: BTreeMap<String, Ends>,
    /// By the id of the provider.
    pub providers: BTreeMap<&'static str, Ends>,
    /// By the hour since the log began.
    pub hours: BTreeMap<u64, Ends>,
    /// By kind.
    pub failures: BTreeMap<Kind, Failures>,
}

/// `syslog_name`s of a relay server with an instance a provider, each with addresses of its own.
const INSTANCES: [(&str, &str, &str); 5] = [
    ("postfix", "192.0.2.10", "2001:db8::10"),
    ("postfix-aol-a", "192.0.2.11", "2001:db8::11"),
    ("postfix-msn-a", "192.0.2.12", "2001:db8::12"),
    ("postfix-msn-b", "192.0.2.13", "2001:db8::13"),
    ("postfix-therest-a", "192.0.2.14", "2001:db8::14"),
];

/// What strangers at the door and other programs write between.
const NOISE: [&str; 6] = [
    "{i}/smtpd[{p}]: connect from unknown[203.0.113.77]",
    "{i}/smtpd[{p}]: warning: hostname host77.example.net does not resolve to address 203.0.113.77: Name or service not known",
    "{i}/smtpd[{p}]: NOQUEUE: reject: RCPT from unknown[203.0.113.77]: 554 5.7.1 <a@example.com>: Relay access denied; from=<x@example.net> to=<a@example.com> proto=ESMTP helo=<ylmf-pc>",
    "{i}/smtpd[{p}]: disconnect from unknown[203.0.113.77] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
    "{i}/anvil[{p}]: statistics: max connection rate 2/60s for (smtp:203.0.113.77) at Mar  3 00:00:00",
    "dovecot: imap-login: Login: user=<news>, method=PLAIN, rip=203.0.113.88, lip=192.0.2.10, mpid={p}, TLS, session=<q1w2e3r4t5>",
];

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// Pseudo-random numbers that are the same everywhere (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.roll() >> 32) % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or_default();
        &all[at]
    }

    fn fate(&mut self, fates: &'static [Fate]) -> &'static [Step] {
        let mut left = self.below(fates.iter().map(|fate| fate.weight).sum());
        let fate = fates.iter().find(|fate| {
            let is_it = left < fate.weight;
            left = left.saturating_sub(fate.weight);
            is_it
        });
        fate.map_or(&[], |fate| fate.steps)
    }
}

/// A recipient.
struct Recipient {
    address: String,
    domain: String,
    destination: &'static Destination,
    /// What is still to come; nothing once it is finished.
    steps: &'static [Step],
    /// The kinds of failure it met, the last at the end.
    met: Vec<Kind>,
}

/// What a line tells of a recipient.
struct Delivery {
    provider: &'static str,
    domain: String,
    /// Counts how it ended.
    end: fn(&mut Ends),
}

/// A line that is still to be written, without its time and host.
struct Said {
    text: String,
    /// It comes at once after the line before it.
    at_once: bool,
    /// What became of a recipient, where it tells that.
    tells: Option<Delivery>,
}

impl Said {
    /// A line that tells of no recipient.
    fn quiet(text: String) -> Self {
        Self {
            text,
            at_once: false,
            tells: None,
        }
    }
}

/// A message in the queue.
struct Message {
    id: String,
    instance: &'static (&'static str, &'static str, &'static str),
    sender: &'static str,
    recipients: Vec<Recipient>,
    born: u64,
    /// How often it was in the active queue.
    rounds: u32,
    /// The kinds of failure it is counted in.
    met: Vec<Kind>,
    lines: VecDeque<Said>,
    /// Whether its last line says that it left the queue.
    is_over: bool,
}

/// The made-up server.
struct Server<'a> {
    shape: &'a Shape,
    dice: Dice,
    truth: Truth,
    /// Microseconds since the log began.
    now: u64,
    /// Processes so far.
    processes: u64,
    /// Ids, and inodes, that are free again.
    free_ids: Vec<String>,
    inodes: u64,
}

/// Writes a log.
///
/// # Errors
/// When the target takes no more.
pub fn write(shape: Shape, out: &mut dyn Write) -> io::Result<Truth> {
    let mut server = Server {
        shape: &shape,
        dice: Dice(shape.seed | 1),
        truth: Truth::default(),
        now: 0,
        processes: 0,
        free_ids: Vec::new(),
        inodes: 0x4000,
    };
    let mut open: Vec<Message> = Vec::new();
    // By the time of the next try.
    let mut waiting: BTreeMap<(u64, u64), Message> = BTreeMap::new();
    loop {
        server.now += server.dice.below(80_000);
        let is_near_end = server.truth.lines >= shape.lines;
        while let Some(first) = waiting.first_entry()
            && first.key().0 <= server.now
            && !is_near_end
        {
            let mut message = first.remove();
            server.round(&mut message);
            open.push(message);
        }
        if open.len() < shape.open && !is_near_end {
            open.push(server.message());
        }
        if open.is_empty() {
            if is_near_end {
                break;
            }
            continue;
        }
        if server.dice.below(40) == 0 {
            let noise = *server.dice.of(&NOISE);
            let (instance, ..) = server.dice.of(&INSTANCES);
            let process = server.process();
            let text = noise.replace("{i}", instance).replace("{p}", &process);
            server.say(instance, Said::quiet(text), out)?;
        }
        let at = usize::try_from(server.dice.below(open.len() as u64)).unwrap_or_default();
        let (said, instance) = (open[at].lines.pop_front(), open[at].instance.0);
        if let Some(said) = said {
            server.say(instance, said, out)?;
        }
        while open[at].lines.front().is_some_and(|said| said.at_once)
            && let Some(said) = open[at].lines.pop_front()
        {
            server.say(instance, said, out)?;
        }
        if !open[at].lines.is_empty() {
            continue;
        }
        let message = open.swap_remove(at);
        if message.is_over {
            server.free_ids.push(message.id);
        } else {
            // Postfix doubles the time, from minimal_ up to maximal_backoff_time.
            let pause = (300 << message.rounds.min(4)).min(4000) * SECOND;
            let key = (server.now + pause, server.truth.lines);
            waiting.insert(key, message);
        }
    }
    for message in waiting.values() {
        server.truth.waiting += 1;
        let left = message.recipients.iter();
        for kind in left.flat_map(|recipient| &recipient.met) {
            server.failures(kind).waiting += 1;
        }
    }
    Ok(server.truth)
}

impl Server<'_> {
    fn process(&mut self) -> String {
        self.processes += 1;
        (1000 + self.processes % 4_000_000).to_string()
    }

    fn failures(&mut self, kind: &Kind) -> &mut Failures {
        if !self.truth.failures.contains_key(kind) {
            self.truth
                .failures
                .insert(kind.clone(), Failures::default());
        }
        self.truth.failures.get_mut(kind).expect("it was put there")
    }

    fn say(&mut self, instance: &'static str, said: Said, out: &mut dyn Write) -> io::Result<()> {
        time(self.shape, self.now, out)?;
        out.write_all(said.text.as_bytes())?;
        out.write_all(b"\n")?;
        let truth = &mut self.truth;
        truth.lines += 1;
        if let Some(told) = said.tells {
            let add = told.end;
            add(truth.instances.entry(instance).or_default());
            add(truth.providers.entry(told.provider).or_default());
            add(truth.hours.entry(self.now / 3600 / SECOND).or_default());
            add(truth.domains.entry(told.domain).or_default());
        }
        Ok(())
    }

    /// A queue id as Postfix makes them: of the time and an inode.
    fn id(&mut self) -> String {
        const LETTERS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
        let digits = |mut number: u64, base: u64, least: usize| {
            let mut text = String::new();
            while number > 0 || text.len() < least {
                let at = usize::try_from(number % base).unwrap_or_default();
                text.insert(0, char::from(LETTERS[at]));
                number /= base;
            }
            text
        };
        let micros = self.now % SECOND;
        if self.shape.long_ids {
            self.inodes += 1;
            let seconds = digits(1_772_496_000 + self.now / SECOND, 52, 6);
            let micros = digits(micros, 52, 4);
            return format!(
                "{seconds}{micros}z{}",
                digits(self.inodes % 0x4_0000, 51, 1)
            );
        }
        // A short one comes up again as soon as the inode is free.
        if self.free_ids.len() > 20 && self.dice.below(8) == 0 {
            let at = usize::try_from(self.dice.below(self.free_ids.len() as u64));
            self.truth.reused += 1;
            return self.free_ids.swap_remove(at.unwrap_or_default());
        }
        self.inodes += 1;
        format!("{micros:05X}{:X}", self.inodes)
    }

    /// A message that comes in.
    fn message(&mut self) -> Message {
        let instance = self.dice.of(&INSTANCES);
        let recipients = match self.dice.below(6) {
            0..4 => vec![self.recipient()],
            4 => vec![self.recipient(), self.recipient()],
            _ => {
                let first = self.recipient();
                let second = self.neighbour(&first);
                vec![first, second]
            }
        };
        let mut message = self.empty(instance, "news@sender.example", recipients);
        let (id, instance) = (message.id.clone(), instance.0);
        let process = self.process();
        let mut say = |text: String| message.lines.push_back(Said::quiet(text));
        let is_local = self.dice.below(2) == 0;
        if is_local {
            say(format!(
                "{instance}/pickup[811]: {id}: uid=33 from=<www-data>"
            ));
        } else {
            say(format!(
                "{instance}/smtpd[{process}]: connect from app.sender.example[192.0.2.80]"
            ));
            say(format!(
                "{instance}/smtpd[{process}]: {id}: client=app.sender.example[192.0.2.80]"
            ));
        }
        let (now, cleanup) = (self.now, self.process());
        say(format!(
            "{instance}/cleanup[{cleanup}]: {id}: message-id=<{now}.{id}@sender.example>"
        ));
        if !is_local {
            say(format!(
                "{instance}/smtpd[{process}]: disconnect from app.sender.example[192.0.2.80] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
            ));
        }
        self.round(&mut message);
        message
    }

    fn recipient(&mut self) -> Recipient {
        let destination = self.dice.of(DESTINATIONS);
        let domain = if destination.domain.is_empty() {
            format!("d{}.example.com", self.dice.below(20_000))
        } else {
            destination.domain.to_owned()
        };
        Recipient {
            address: format!("user{}@{domain}", self.dice.below(100_000)),
            domain,
            destination,
            steps: self.dice.fate(destination.fates),
            met: Vec::new(),
        }
    }

    /// One of the same domain who fares alike: both are told of by one session.
    fn neighbour(&mut self, other: &Recipient) -> Recipient {
        Recipient {
            address: format!("other{}@{}", self.dice.below(100_000), other.domain),
            domain: other.domain.clone(),
            met: Vec::new(),
            ..*other
        }
    }

    fn empty(
        &mut self,
        instance: &'static (&'static str, &'static str, &'static str),
        sender: &'static str,
        recipients: Vec<Recipient>,
    ) -> Message {
        self.truth.messages += 1;
        Message {
            id: self.id(),
            instance,
            sender,
            recipients,
            born: self.now,
            rounds: 0,
            met: Vec::new(),
            lines: VecDeque::new(),
            is_over: false,
        }
    }

    /// Tries every recipient that is not finished.
    fn round(&mut self, message: &mut Message) {
        let (id, instance) = (message.id.clone(), message.instance.0);
        message.rounds += 1;
        let (size, count) = (500 + self.dice.below(40_000), message.recipients.len());
        message.lines.push_back(Said::quiet(format!(
            "{instance}/qmgr[812]: {id}: from=<{}>, size={size}, nrcpt={count} (queue active)",
            message.sender
        )));
        let mut recipients = std::mem::take(&mut message.recipients);
        let (mut has_bounced, mut is_old) = (false, false);
        // The session: where to, which fate, and the process.
        let mut last: Option<(String, *const Step, String)> = None;
        for recipient in &mut recipients {
            if let Some((step, rest)) = recipient.steps.split_first() {
                recipient.steps = rest;
                let known = last.take().filter(|(domain, known, _)| {
                    *domain == recipient.domain && std::ptr::eq(*known, step)
                });
                let (process, is_first) = match known {
                    Some((.., process)) => (process, false),
                    None => (self.process(), true),
                };
                self.attempt(message, recipient, step, &process, is_first);
                last = Some((recipient.domain.clone(), step, process));
                let is_final = matches!(step, Step::Sent(_) | Step::Unreachable | Step::Detour(_));
                has_bounced |= matches!(step, Step::Bounced(..));
                is_old |= rest.is_empty() && !is_final && !matches!(step, Step::Bounced(..));
            }
        }
        if is_old {
            message.lines.push_back(Said::quiet(format!(
                "{instance}/qmgr[812]: {id}: from=<{}>, status=expired, returned to sender",
                message.sender
            )));
            for recipient in &mut recipients {
                recipient.steps = &[];
                self.give_up(recipient);
            }
        }
        if has_bounced || is_old {
            let (process, notice) = (self.process(), self.id());
            self.truth.messages += 1;
            let tells = Some(Delivery {
                provider: "other",
                domain: "sender.example".to_owned(),
                end: sent,
            });
            let lines = [
                (
                    format!(
                        "{instance}/cleanup[{process}]: {notice}: message-id=<{}.{notice}@relay.sender.example>",
                        self.now
                    ),
                    None,
                ),
                (
                    format!(
                        "{instance}/bounce[{process}]: {id}: sender non-delivery notification: {notice}"
                    ),
                    None,
                ),
                (
                    format!(
                        "{instance}/qmgr[812]: {notice}: from=<>, size=4321, nrcpt=1 (queue active)"
                    ),
                    None,
                ),
                (
                    format!(
                        "{instance}/local[{process}]: {notice}: to=<news@sender.example>, relay=local, delay=0.02, delays=0.01/0/0/0.01, dsn=2.0.0, status=sent (delivered to mailbox)"
                    ),
                    tells,
                ),
                (format!("{instance}/qmgr[812]: {notice}: removed"), None),
            ];
            message.lines.extend(lines.map(|(text, tells)| Said {
                tells,
                ..Said::quiet(text)
            }));
        }
        message.is_over = recipients.iter().all(|one| one.steps.is_empty());
        if message.is_over {
            message
                .lines
                .push_back(Said::quiet(format!("{instance}/qmgr[812]: {id}: removed")));
        }
        message.recipients = recipients;
    }

    /// Tries a recipient in a session of a process.
    #[expect(clippy::too_many_lines, reason = "an arm for each way a try can go")]
    fn attempt(
        &mut self,
        message: &mut Message,
        to: &mut Recipient,
        step: &'static Step,
        process: &str,
        is_first: bool,
    ) {
        let (instance, ours4, ours6) = *message.instance;
        let destination = to.destination;
        let (v4, v6, id) = (destination.v4, destination.v6, message.id.clone());
        let host = if destination.host.is_empty() {
            format!("mx.{}", to.domain)
        } else {
            destination.host.to_owned()
        };
        let agent = format!("{instance}/smtp[{process}]: ");
        let (number, address, domain) = (
            self.dice.roll() >> 24,
            to.address.clone(),
            to.domain.clone(),
        );
        let filled = |text: &str, ours: &str| {
            text.replace("{ours}", ours)
                .replace("{to}", &address)
                .replace("{domain}", &domain)
                .replace("{n}", &number.to_string())
        };
        let kind = |refusal: &Refusal, family| Kind {
            provider: destination.provider,
            cause: refusal.cause,
            family,
            from: match family {
                Family::V6 if refusal.said.contains("{ours}") => ours6,
                Family::V4 if refusal.said.contains("{ours}") => ours4,
                _ => instance,
            }
            .to_owned(),
            is_detour: family == Family::V6 && matches!(step, Step::Detour(_) | Step::Both(..)),
        };
        let theirs = |family| {
            if family == Family::V6 {
                (v6, ours6)
            } else {
                (v4, ours4)
            }
        };
        let said = |refusal: &Refusal, family| {
            let (address, ours) = theirs(family);
            let (words, stage) = (filled(refusal.said, ours), refusal.stage);
            if stage.is_empty() {
                format!("host {host}[{address}] refused to talk to me: {words}")
            } else {
                format!("host {host}[{address}] said: {words} (in reply to {stage})")
            }
        };
        let connection = |family| format!("{host}[{}]:25", theirs(family).0);
        let sent = |family| {
            (
                connection(family),
                "2.0.0",
                format!("sent ({})", filled(destination.accepts, "")),
            )
        };
        let mut lines: Vec<String> = Vec::new();
        let (relay, dsn, status) = match step {
            Step::Sent(family) => sent(*family),
            Step::Unreachable => {
                self.truth.unreachable += u64::from(is_first);
                lines.push(format!(
                    "{agent}connect to {host}[{v6}]:25: Network is unreachable"
                ));
                sent(Family::V4)
            }
            Step::Detour(refusal) => {
                lines.push(format!("{agent}{id}: {}", said(refusal, Family::V6)));
                self.failed(message, to, kind(refusal, Family::V6), is_first);
                sent(Family::V4)
            }
            Step::Both(refusal6, refusal4) => {
                lines.push(format!("{agent}{id}: {}", said(refusal6, Family::V6)));
                self.failed(message, to, kind(refusal6, Family::V6), is_first);
                self.failed(message, to, kind(refusal4, Family::V4), true);
                let words = format!("deferred ({})", said(refusal4, Family::V4));
                (connection(Family::V4), refusal4.dsn, words)
            }
            Step::Deferred(family, refusal) => {
                self.failed(message, to, kind(refusal, *family), true);
                let words = format!("deferred ({})", said(refusal, *family));
                (connection(*family), refusal.dsn, words)
            }
            Step::Greeting(refusal) => {
                self.failed(message, to, kind(refusal, Family::V4), true);
                let words = format!("deferred ({})", said(refusal, Family::V4));
                (connection(Family::V4), refusal.dsn, words)
            }
            Step::Bounced(family, refusal) => {
                self.failed(message, to, kind(refusal, *family), true);
                let words = format!("bounced ({})", said(refusal, *family));
                (connection(*family), refusal.dsn, words)
            }
            Step::Silent(why, cause) => {
                let addresses = [v6, v4].into_iter().filter(|address| !address.is_empty());
                lines.extend(
                    addresses
                        .map(|address| format!("{agent}connect to {host}[{address}]:25: {why}")),
                );
                let kind = Kind {
                    provider: destination.provider,
                    cause,
                    family: Family::V4,
                    from: instance.to_owned(),
                    is_detour: false,
                };
                self.failed(message, to, kind, true);
                let words = format!("deferred (connect to {host}[{v4}]:25: {why})");
                ("none".to_owned(), "4.4.1", words)
            }
            Step::Suspended(refusal) => {
                self.truth.suspended += 1;
                self.failed(message, to, kind(refusal, Family::V4), false);
                let words = said(refusal, Family::V4);
                let words = format!("deferred (delivery temporarily suspended: {words})");
                ("none".to_owned(), refusal.dsn, words)
            }
            Step::Broken => {
                let program = "/usr/lib/postfix/sbin/smtp";
                self.truth.troubles += if is_first { 5 } else { 0 };
                lines.extend([
                    format!("{agent}fatal: open database /etc/postfix/sasl_passwd.db: No such file or directory"),
                    format!("{instance}/master[810]: warning: process {program} pid {process} exit status 1"),
                    format!("{instance}/master[810]: warning: {program}: bad command startup -- throttling"),
                    format!("{instance}/qmgr[812]: warning: private/smtp-partner socket: malformed response"),
                    format!("{instance}/qmgr[812]: warning: transport smtp-partner failure -- see a previous warning/fatal/panic logfile record for the problem description"),
                ]);
                let kind = Kind {
                    provider: "local",
                    cause: "hash-map-missing",
                    family: Family::None,
                    from: instance.to_owned(),
                    is_detour: false,
                };
                self.failed(message, to, kind, true);
                (
                    "none".to_owned(),
                    "4.3.0",
                    "deferred (unknown mail transport error)".to_owned(),
                )
            }
        };
        if !is_first {
            // What happened before the first recipient's line is told once.
            lines.clear();
        }
        let agent = if matches!(step, Step::Suspended(_) | Step::Broken) {
            format!("{instance}/error[{}]: ", self.process())
        } else {
            agent
        };
        if is_first && relay != "none" && process.ends_with('7') {
            lines.push(format!("{agent}Trusted TLS connection established to {relay}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"));
        }
        let waited = (self.now - message.born) / 1000;
        let (before, sending) = (waited + self.dice.below(90), self.dice.below(2500));
        lines.push(format!(
            "{agent}{id}: to=<{address}>, relay={relay}, delay={}, delays={}/0.01/{}/{}, dsn={dsn}, status={status}",
            seconds(before + 10 + 240 + sending),
            seconds(before),
            seconds(240),
            seconds(sending),
        ));
        let end: fn(&mut Ends) = match step {
            Step::Sent(_) | Step::Unreachable | Step::Detour(_) => {
                for kind in std::mem::take(&mut to.met) {
                    self.failures(&kind).delivered += 1;
                }
                to.steps = &[];
                self::sent
            }
            Step::Bounced(..) => {
                self.give_up(to);
                |ends| ends.bounced += 1
            }
            _ => |ends| ends.deferred += 1,
        };
        let last = lines.len() - 1;
        // A transport that breaks is told of, and what was to go over it put off, in one moment.
        let is_broken = matches!(step, Step::Broken);
        message
            .lines
            .extend(lines.into_iter().enumerate().map(|(at, text)| Said {
                text,
                at_once: is_broken && (at > 0 || !is_first),
                tells: (at == last).then(|| Delivery {
                    provider: destination.provider,
                    domain: domain.clone(),
                    end,
                }),
            }));
    }

    /// Counts a recipient's failure.
    fn failed(&mut self, message: &mut Message, to: &mut Recipient, kind: Kind, is_try: bool) {
        let is_new_message = !message.met.contains(&kind);
        let is_new = !to.met.contains(&kind);
        let failures = self.failures(&kind);
        failures.tries += u64::from(is_try);
        failures.messages += u64::from(is_new_message);
        failures.recipients += u64::from(is_new);
        if is_new_message {
            message.met.push(kind.clone());
        }
        to.met.retain(|met| *met != kind);
        to.met.push(kind);
    }

    /// Counts a recipient that is given up.
    fn give_up(&mut self, to: &mut Recipient) {
        let mut met = std::mem::take(&mut to.met);
        if let Some(last) = met.pop() {
            self.failures(&last).given_up += 1;
        }
        for kind in met {
            self.failures(&kind).elsewhere += 1;
        }
    }
}

fn sent(ends: &mut Ends) {
    ends.sent += 1;
}

/// Milliseconds as Postfix writes delays: two digits that count.
fn seconds(milliseconds: u64) -> String {
    let (whole, rest) = (milliseconds / 1000, milliseconds % 1000);
    let text = match milliseconds {
        10_000.. => return whole.to_string(),
        1000.. => format!("{whole}.{}", rest / 100),
        _ => format!("0.{:02}", rest / 10),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Days before each month of a year that is no leap year.
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 0),
    ("Feb", 31),
    ("Mar", 59),
    ("Apr", 90),
    ("May", 120),
    ("Jun", 151),
    ("Jul", 181),
    ("Aug", 212),
    ("Sep", 243),
    ("Oct", 273),
    ("Nov", 304),
    ("Dec", 334),
];

/// The head of a line; the log begins on 3 March 2026 at midnight.
fn time(shape: &Shape, now: u64, out: &mut dyn Write) -> io::Result<()> {
    let seconds = now / 1_000_000;
    let day_of_year = 61 + seconds / 86_400;
    let (month, (name, before)) = MONTHS
        .iter()
        .enumerate()
        .rfind(|(_, (_, before))| *before <= day_of_year)
        .unwrap_or((0, &MONTHS[0]));
    let day = day_of_year - before + 1;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    if shape.iso {
        write!(
            out,
            "2026-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}+00:00 relay ",
            month + 1,
            now % 1_000_000
        )
    } else {
        write!(
            out,
            "{name} {day:2} {hour:02}:{minute:02}:{second:02} relay "
        )
    }
}
