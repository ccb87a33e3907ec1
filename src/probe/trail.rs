//! The way of messages through the log.
//!
//! Owns what is put together from lines that do not name one another: a message is known by
//! its `Message-ID`, from then on by its queue ids; sessions and failed connections are told
//! by the delivery agent's process alone, before it says of which message.
//! Must not know where the lines come from.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use serde::Serialize;

use super::{Report, Sent, Source};
use crate::address::family;
use crate::diagnose::{Diagnosis, Knowledge};
use crate::host::Facts;
use crate::postfix::log::{self, Answer, Delivery, Event, Line, Peer, Severity, Sign, Status, Tls};

/// The programs a message that is sent passes through. That another one dies says nothing of it.
const PASSED: [&str; 11] = [
    "bounce",
    "cleanup",
    "error",
    "oqmgr",
    "pickup",
    "proxymap",
    "qmgr",
    "scache",
    "tlsmgr",
    "tlsproxy",
    "trivial-rewrite",
];

/// Those of them that deliver it in the end.
const AGENTS: [&str; 5] = ["lmtp", "local", "pipe", "smtp", "virtual"];

/// How many signs of death are told: they repeat one another.
const DEATHS: usize = 5;

/// What became of a message, or of one recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Another host, or a mailbox here, has it.
    Delivered,
    /// It was not taken, and is tried again later.
    Deferred,
    /// It was refused for good.
    Bounced,
    /// There is no end to be seen.
    #[default]
    Stuck,
    /// `sendmail` did not take it.
    Unsent,
}

/// How it ended for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ending {
    /// The id in the queue.
    pub queue_id: String,
    /// The recipient, after aliases.
    pub recipient: String,
    /// The result.
    pub outcome: Outcome,
    /// The enhanced status code.
    pub dsn: String,
    /// Who took it or refused it, as the log has it: a host, `local`, or `none`.
    pub relay: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The protocol, 4 or 6.
    pub family: Option<u8>,
    /// The address of ours that the session left from.
    pub source: Option<Source>,
    /// How the session was protected, `none` where it was not; absent where nobody can tell.
    pub tls: Option<String>,
    /// The words behind it, as the log has them.
    pub reply: String,
    /// Why it was not delivered.
    pub cause: Option<Told>,
    /// What was tried before, and failed.
    pub tried: Vec<Tried>,
    /// Whether the session was made for an earlier message.
    #[serde(skip)]
    pub reused: bool,
}

/// A try at another address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The host, `NAME[ADDRESS]`.
    pub host: String,
    /// What was said.
    pub reply: String,
}

/// How a session was protected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    address: Option<IpAddr>,
    text: String,
}

/// A cause, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its code.
    pub code: String,
    /// What it means.
    pub says: String,
    /// What to do.
    pub advice: Option<String>,
    /// Commands of ours that help, without the word `mailfix`.
    pub mend: Vec<String>,
    /// The receiver by whose own words it was known.
    pub provider: Option<String>,
}

impl From<Diagnosis> for Told {
    fn from(found: Diagnosis) -> Self {
        Self {
            code: found.cause.code,
            says: found.cause.says,
            advice: found.cause.advice,
            mend: found.cause.mend,
            provider: found.provider,
        }
    }
}

impl Ending {
    /// Says that a session was clear, where the configuration would have had the log say more.
    pub(super) fn tls_told(&mut self, facts: &Facts) {
        let level = facts.of_client("smtp_tls_loglevel");
        let logged = level.parse::<u32>().is_ok_and(|level| level > 0) && !self.reused;
        let unwanted = matches!(
            facts.of_client("smtp_tls_security_level").as_str(),
            "" | "none"
        ) && ["smtp_use_tls", "smtp_enforce_tls"]
            .iter()
            .all(|name| facts.of_client(name) != "yes")
            && facts.of_client("smtp_tls_policy_maps").is_empty()
            && facts.of_client("smtp_tls_per_site").is_empty();
        if self.tls.is_none() && self.address.is_some() && (logged || unwanted) {
            self.tls = Some("none".to_owned());
        }
    }
}

/// What is known so far.
pub(super) struct Trail {
    knowledge: Knowledge,
    messages: Vec<Message>,
    /// Whose a queue id is: message and way.
    owners: HashMap<Vec<u8>, (usize, usize)>,
    /// What delivery agents told before they said of which message, by process.
    agents: HashMap<u32, Agent>,
    pub(super) deaths: Deaths,
}

struct Message {
    id: String,
    ways: Vec<Way>,
    refused: bool,
}

/// One queue id of a message.
struct Way {
    queue_id: String,
    recipients: Option<u32>,
    removed: bool,
    endings: Vec<Ending>,
    tried: Vec<Tried>,
}

#[derive(Default)]
struct Agent {
    session: Option<Session>,
    tried: Vec<Tried>,
}

impl Trail {
    pub(super) fn new(knowledge: Knowledge, sent: &[Sent]) -> Self {
        let messages = sent.iter().map(|sent| Message {
            id: sent.message_id.clone(),
            ways: Vec::new(),
            refused: sent.refused.is_some(),
        });
        Self {
            knowledge,
            messages: messages.collect(),
            owners: HashMap::new(),
            agents: HashMap::new(),
            deaths: Deaths::default(),
        }
    }

    /// Takes what was added to the log.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for line in log::lines(bytes).filter_map(Line::parse) {
            self.deaths.note(&line);
            self.line(&line);
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        let record = line.record();
        let Some(queue_id) = record.queue_id else {
            let Some(pid) = line.pid else { return };
            match record.event {
                Event::Attempt(answer) => {
                    add(&mut self.agents.entry(pid).or_default().tried, &answer);
                }
                Event::Tls(tls) if tls.outgoing => {
                    self.agents.entry(pid).or_default().session = Some(session(&tls));
                }
                _ => {}
            }
            return;
        };
        if let Event::MessageId(message_id) = record.event {
            self.meet(queue_id, message_id);
            return;
        }
        let Some(&(message, way)) = self.owners.get(queue_id) else {
            // What the agent told before was about this message, which is none of ours.
            if let (Event::Delivery(_), Some(pid)) = (record.event, line.pid) {
                self.agents.remove(&pid);
            }
            return;
        };
        let Some(way) = self
            .messages
            .get_mut(message)
            .and_then(|message| message.ways.get_mut(way))
        else {
            return;
        };
        match record.event {
            Event::Queued { recipients, .. } => way.recipients = recipients.or(way.recipients),
            Event::Attempt(answer) => add(&mut way.tried, &answer),
            Event::Delivery(delivery) => {
                let agent = line.pid.and_then(|pid| self.agents.remove(&pid));
                let cause = self.knowledge.of_delivery(&delivery);
                way.end(&delivery, agent.unwrap_or_default(), cause);
            }
            Event::Removed => {
                way.removed = true;
                // A short id is soon given to another message.
                self.owners.remove(queue_id);
            }
            _ => {}
        }
    }

    /// A queue id is given to a message: by pickup, and again by an alias or a content filter.
    fn meet(&mut self, queue_id: &[u8], message_id: &[u8]) {
        let mut messages = self.messages.iter_mut().enumerate();
        let Some((number, message)) =
            messages.find(|(_, message)| message.id.as_bytes() == message_id)
        else {
            return;
        };
        // Where a syslog daemon and the journal both run, every line comes twice.
        let is_known = |way: &Way| way.queue_id.as_bytes() == queue_id;
        if message.ways.iter().any(is_known) {
            return;
        }
        self.owners
            .insert(queue_id.to_vec(), (number, message.ways.len()));
        message.ways.push(Way {
            queue_id: String::from_utf8_lossy(queue_id).into_owned(),
            recipients: None,
            removed: false,
            endings: Vec::new(),
            tried: Vec::new(),
        });
    }

    /// Tells whether every message has come to an end.
    pub(super) fn is_complete(&self) -> bool {
        self.messages.iter().all(Message::is_over)
    }

    /// Tells of a cause that no reply gives.
    pub(super) fn told(&self, code: &str) -> Option<Told> {
        let cause = self.knowledge.cause(code)?.clone();
        let provider = None;
        Some(Diagnosis { cause, provider }.into())
    }

    /// Puts together what is known of a message.
    pub(super) fn report(&self, number: usize, sent: &Sent) -> Report {
        let mut report = Report {
            address: sent.to.to_string(),
            message_id: sent.message_id.clone(),
            queue_ids: Vec::new(),
            outcome: Outcome::Stuck,
            deliveries: Vec::new(),
            stuck: None,
            refused: sent.refused.clone(),
        };
        if let Some(message) = self.messages.get(number) {
            let ids = message.ways.iter().map(|way| way.queue_id.clone());
            report.queue_ids = ids.collect();
            report.deliveries = message.endings();
            report.outcome = message.outcome(&report.deliveries);
        }
        report
    }
}

impl Message {
    fn is_over(&self) -> bool {
        self.refused || (!self.ways.is_empty() && self.ways.iter().all(Way::is_over))
    }

    /// The endings, without those that only handed the message on to itself: an alias or a
    /// content filter made a further queue id of it, and names that in its reply.
    fn endings(&self) -> Vec<Ending> {
        let handed_on = |ending: &Ending| {
            ending.outcome == Outcome::Delivered
                && self.ways.iter().any(|way| {
                    way.queue_id != ending.queue_id && ending.reply.contains(&way.queue_id)
                })
        };
        let all = self.ways.iter().flat_map(|way| way.endings.iter());
        all.filter(|ending| !handed_on(ending)).cloned().collect()
    }

    fn outcome(&self, endings: &[Ending]) -> Outcome {
        if self.refused {
            return Outcome::Unsent;
        }
        let worst = endings.iter().map(|ending| ending.outcome).max();
        match worst {
            Some(worst) if self.is_over() => worst,
            // Nothing else can be said of it either.
            Some(Outcome::Bounced) => Outcome::Bounced,
            _ => Outcome::Stuck,
        }
    }
}

impl Way {
    fn is_over(&self) -> bool {
        let count = u32::try_from(self.endings.len()).unwrap_or(u32::MAX);
        self.removed || self.recipients.is_some_and(|all| count >= all.max(1))
    }

    fn end(&mut self, delivery: &Delivery<'_>, agent: Agent, cause: Option<Diagnosis>) {
        let reply = text(delivery.words);
        let known = self
            .endings
            .iter_mut()
            .find(|known| known.recipient.as_bytes() == delivery.to);
        if known.as_ref().is_some_and(|known| known.reply == reply) {
            return;
        }
        let address = delivery.relay.ip();
        let session = agent
            .session
            .filter(|session| session.address == address)
            .map(|session| session.text);
        let mut tried = std::mem::take(&mut self.tried);
        tried.extend(agent.tried);
        // The last try is the reply itself.
        tried.retain(|tried| !reply.contains(&tried.reply) || !reply.contains(&tried.host));
        let ending = Ending {
            queue_id: self.queue_id.clone(),
            recipient: text(delivery.to),
            outcome: match delivery.status {
                Status::Sent | Status::Deliverable => Outcome::Delivered,
                Status::Bounced | Status::Expired | Status::Undeliverable => Outcome::Bounced,
                Status::Deferred | Status::SoftBounce | Status::Other(_) => Outcome::Deferred,
            },
            dsn: text(delivery.dsn),
            relay: shown(&delivery.relay),
            address,
            family: address.map(family),
            source: None,
            tls: session.or_else(|| delivery.tls.map(protection)),
            reply,
            cause: cause.map(Into::into),
            tried,
            reused: delivery.conn_use.is_some(),
        };
        // A queue run may try again while others are waited for.
        match known {
            Some(known) => *known = ending,
            None => self.endings.push(ending),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tells whether a program, or the path of one, has one of these names.
fn is_one_of(names: &[&str], program: &[u8]) -> bool {
    let name = program.rsplit(|&byte| byte == b'/').next();
    names.iter().any(|known| Some(known.as_bytes()) == name)
}

/// A peer as the log writes it, without the port that is always the same.
fn shown(peer: &Peer<'_>) -> String {
    let mut shown = text(peer.name);
    if let Some(address) = peer.address {
        shown.push('[');
        shown.push_str(&text(address));
        shown.push(']');
    }
    match peer.port {
        None | Some(25) => shown,
        Some(port) => format!("{shown}:{port}"),
    }
}

/// Adds what a host said, or what happened to it, once.
fn add(all: &mut Vec<Tried>, answer: &Answer<'_>) {
    let tried = Tried {
        host: answer.peer.as_ref().map(shown).unwrap_or_default(),
        reply: text(answer.said),
    };
    if !all.contains(&tried) {
        all.push(tried);
    }
}

/// Reads how a session was protected off a delivery line: the level of the policy, behind a colon
/// the one it came down to, then further features (postconf(5), `smtp_log_tls_feature_status`).
fn protection(field: &[u8]) -> String {
    let field = text(field);
    let levels = field.split('/').next().unwrap_or_default();
    let level = levels.rsplit(':').next().unwrap_or_default();
    let level = level.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if level == "none" {
        return level.to_owned();
    }
    format!("at level {level}")
}

fn session(tls: &Tls<'_>) -> Session {
    let [trust, protocol, cipher] = [tls.trust, tls.protocol, tls.cipher].map(text);
    Session {
        address: tls.peer.ip(),
        text: format!(
            "{protocol} with {cipher}, certificate: {}",
            trust.to_lowercase()
        ),
    }
}

/// Signs that a program on the way of mail dies.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    said: Vec<String>,
    /// What they are about, so that each is told once.
    known: BTreeSet<Vec<u8>>,
    transport: bool,
}

impl Deaths {
    /// Takes note of a line that is such a sign.
    pub(super) fn note(&mut self, line: &Line<'_>) {
        let Event::Trouble(trouble) = line.record().event else {
            return;
        };
        let is_passed = |program: &[u8]| is_one_of(&PASSED, program) || is_one_of(&AGENTS, program);
        let about = match trouble.sign {
            Sign::MalformedResponse { socket } => socket,
            Sign::TransportFailed { transport } => transport,
            Sign::Throttled { program } if is_passed(program) => program,
            Sign::Exited { program, .. } | Sign::Killed { program, .. } if is_passed(program) => {
                // master(8) says the same again when it gives up on the program.
                if self.known.contains(program) {
                    return;
                }
                line.tag
            }
            Sign::None if trouble.severity >= Severity::Fatal && is_passed(line.daemon()) => {
                trouble.said
            }
            _ => return,
        };
        self.transport |= match trouble.sign {
            Sign::MalformedResponse { .. } | Sign::TransportFailed { .. } => true,
            Sign::Throttled { program } => is_one_of(&AGENTS, program),
            _ => false,
        };
        if self.known.insert(about.to_vec()) && self.said.len() < DEATHS {
            self.said
                .push(format!("{}: {}", text(line.tag), text(line.text)));
        }
    }

    /// Tells whether an agent died on a message: nothing more is said of that one for now.
    pub(super) fn hit_a_transport(&self) -> bool {
        self.transport
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// The signs, as the log has them.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.clone()
    }
}
