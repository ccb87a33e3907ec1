//! Changing zones by signed updates, and the server that takes them.
//!
//! Owns [`UpdateServer`]: it is asked and told over one kind of connection, TCP, and every
//! message either way is signed with the key. So what is read is what the key's view shows, a
//! wrong key is noticed before anything is changed, a large update needs no second way, and
//! none is sent twice. An update asks the server to make sure that everything still is as it
//! was read, else to change nothing.
//! Must not know what a record is good for, nor who agreed to a change.
//! Follows RFC 2136; RFC 8945; RFC 7766.

mod key;
mod server_name;
mod set;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use domain::base::iana::{Class, Opcode, Rcode, Rtype, TsigRcode};
use domain::base::message::RecordSection;
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::rdata::{ComposeRecordData, UnknownRecordData};
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, ParsedName, Ttl};
use domain::rdata::ZoneRecordData;
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{ClientTransaction, Key, ValidationError};
use jiff::Timestamp;

use super::message::{follow, from_domain_data, from_domain_name};
use super::{Answer, Name, Record, RecordData, RecordType};

pub use key::{KeyFileError, TsigKey};
pub use server_name::{ServerHost, ServerName, ServerNameError};
pub use set::{RecordSet, SetChange, ZoneChange};

/// How long one exchange may take. A server writes an update to disk before it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection to one address may take.
const CONNECTING: Duration = Duration::from_secs(3);

/// A name server that takes updates signed with a key.
#[derive(Debug)]
pub struct UpdateServer {
    /// How it is called in messages.
    called: String,
    /// Its addresses, in the order they are tried.
    addresses: Vec<SocketAddr>,
    key: TsigKey,
    /// The time at a moment; signatures carry the time they were made at.
    clock: (Timestamp, Instant),
}

/// What stands at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Present {
    /// These records of the type asked for.
    Set(RecordSet),
    /// None of the type.
    Nothing,
    /// The name is another name for this one.
    Alias(Name),
}

/// Why a server did not answer, or did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// It cannot be reached.
    #[error("{server} cannot be reached over TCP: {reason}")]
    Unreachable {
        /// The server.
        server: String,
        /// What the system says.
        reason: io::ErrorKind,
    },
    /// It did not answer in time.
    #[error("{server} did not answer in time")]
    Silent {
        /// The server.
        server: String,
    },
    /// It ended the connection without an answer.
    #[error("{server} broke off the connection: {reason}")]
    BrokeOff {
        /// The server.
        server: String,
        /// What the system says.
        reason: io::ErrorKind,
    },
    /// SERVFAIL: it tried and could not.
    #[error("{server} failed (SERVFAIL) on {about}")]
    Failed {
        /// The server.
        server: String,
        /// What was asked of it.
        about: String,
    },
    /// Its answer cannot be understood, or is not signed as it should be.
    #[error("the answer of {server} cannot be trusted: {why}")]
    Untrusted {
        /// The server.
        server: String,
        /// Why.
        why: &'static str,
    },
    /// BADKEY: it does not know the key by this name and algorithm.
    #[error("{server} does not know the key `{key}` (BADKEY)")]
    UnknownKey {
        /// The server.
        server: String,
        /// The key's name.
        key: String,
    },
    /// BADSIG: it has another secret under this name.
    #[error("{server} does not accept the signature of the key `{key}` (BADSIG)")]
    WrongSecret {
        /// The server.
        server: String,
        /// The key's name.
        key: String,
    },
    /// BADTIME: the clocks differ too much.
    #[error("the clocks differ: that of {server} is {} (BADTIME)", apart(*.ahead))]
    Clock {
        /// The server.
        server: String,
        /// By how many seconds its clock is ahead of ours.
        ahead: i64,
    },
    /// REFUSED: it does not do this for this key.
    #[error("{server} refuses {about} (REFUSED)")]
    Refused {
        /// The server.
        server: String,
        /// What was asked of it.
        about: String,
    },
    /// It has no zone that holds the name.
    #[error("{server} has no zone for `{}`", .name.host())]
    NoZone {
        /// The server.
        server: String,
        /// The name.
        name: Name,
    },
    /// NOTAUTH: it is not the zone's primary server.
    #[error("{server} does not change {about}: it is not its primary server (NOTAUTH)")]
    NotPrimary {
        /// The server.
        server: String,
        /// What was asked of it.
        about: String,
    },
    /// NXRRSET and its kin: something is not as it was read.
    #[error("{about} was changed meanwhile, so {server} changed nothing ({code})")]
    Changed {
        /// The server.
        server: String,
        /// What was asked of it.
        about: String,
        /// The code it answered with.
        code: String,
    },
    /// Another code.
    #[error("{server} answered {code} to {about}")]
    Code {
        /// The server.
        server: String,
        /// What was asked of it.
        about: String,
        /// The code's name or number.
        code: String,
    },
    /// More than a message holds.
    #[error("the update of {about} is longer than a DNS message may be")]
    TooLong {
        /// What it is of.
        about: String,
    },
}

impl UpdateError {
    /// Tells whether no answer came, or none that counts: what holds is not known.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || self.is_unsure()
    }

    /// Tells whether the server may have done what it was asked to all the same.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. }
                | Self::BrokeOff { .. }
                | Self::Failed { .. }
                | Self::Untrusted { .. }
        )
    }
}

fn apart(ahead: i64) -> String {
    let seconds = ahead.unsigned_abs();
    let side = if ahead < 0 { "behind" } else { "ahead" };
    match seconds {
        0..7200 => format!("{seconds} s {side}"),
        _ => format!("{} hours {side}", seconds / 3600),
    }
}

impl UpdateServer {
    /// Makes a server that is reached at the first of these addresses that answers.
    ///
    /// `now` is the time at this moment.
    #[must_use]
    pub fn new(called: String, addresses: Vec<SocketAddr>, key: TsigKey, now: Timestamp) -> Self {
        Self {
            called,
            addresses,
            key,
            clock: (now, Instant::now()),
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn called(&self) -> &str {
        &self.called
    }

    /// The name of the key.
    #[must_use]
    pub fn key_name(&self) -> String {
        self.key.name()
    }

    /// Finds the zone that holds a name on this server.
    ///
    /// # Errors
    /// When it has none, or could not be asked.
    pub fn zone_of(&self, name: &Name) -> Result<Name, UpdateError> {
        let said = self.query(name, RecordType::Soa)?;
        let soa = |records: &[Record]| {
            let mut found = records.iter().filter(|record| {
                record.data.kind() == RecordType::Soa && name.is_subdomain_of(&record.owner)
            });
            found.next().map(|record| record.owner.clone())
        };
        // An alias is never the top of a zone; its target's SOA says nothing of it.
        if alias(&said.answers, name).is_some() {
            return match name.parent() {
                Some(parent) => self.zone_of(&parent),
                None => Err(self.no_zone(name)),
            };
        }
        soa(&said.answers)
            .or_else(|| soa(&said.authority))
            .filter(|_| said.authoritative)
            .ok_or_else(|| self.no_zone(name))
    }

    /// Reads what stands at a name, byte for byte.
    ///
    /// # Errors
    /// When it could not be asked, or has no zone for the name.
    pub fn read(&self, name: &Name, kind: RecordType) -> Result<Present, UpdateError> {
        let said = self.query(name, kind)?;
        if !said.authoritative {
            return Err(self.no_zone(name));
        }
        if let Some(target) = alias(&said.answers, name).filter(|_| kind != RecordType::Cname) {
            return Ok(Present::Alias(target));
        }
        let of_name = |(record, data): (&Record, &Vec<u8>)| {
            (record.owner == *name && record.data.kind() == kind)
                .then(|| (record.ttl, data.clone()))
        };
        let found: Vec<_> = said
            .answers
            .iter()
            .zip(&said.data)
            .filter_map(of_name)
            .collect();
        Ok(match found.first() {
            None => Present::Nothing,
            Some((ttl, _)) => Present::Set(RecordSet {
                ttl: *ttl,
                data: found.iter().map(|(_, data)| data.clone()).collect(),
            }),
        })
    }

    /// Asks it as a resolver is asked, of the names in its own zones; `None` for all others.
    ///
    /// # Errors
    /// When it could not be asked.
    pub fn answer(&self, name: &Name, kind: RecordType) -> Result<Option<Answer>, UpdateError> {
        let said = match self.query(name, kind) {
            Err(UpdateError::NoZone { .. } | UpdateError::Refused { .. }) => return Ok(None),
            other => other?,
        };
        if !said.authoritative {
            return Ok(None);
        }
        let Some((end, found)) = follow(&said.answers, name, kind) else {
            return Err(self.untrusted("its aliases lead round in a circle"));
        };
        Ok(if !found.is_empty() {
            Some(Answer::Records(found))
        } else if end != *name {
            // Where an alias leads out of its zones it has not looked.
            None
        } else if said.exists {
            Some(Answer::NoData)
        } else {
            Some(Answer::NoSuchName)
        })
    }

    /// Sends an update. It is carried out as a whole, and only if every set still is as it was
    /// before the change.
    ///
    /// # Errors
    /// When nothing was changed, or, if [`UpdateError::is_unsure`], that is not known.
    pub fn update(&self, change: &ZoneChange) -> Result<(), UpdateError> {
        let about = format!("the zone `{}`", change.zone.host());
        let message = message(change).map_err(|_| UpdateError::TooLong {
            about: about.clone(),
        })?;
        let answer = self.exchange(message, &about)?;
        match answer.header().rcode() {
            Rcode::NOERROR => Ok(()),
            code => Err(self.refusal(code, about)),
        }
    }

    fn query(&self, name: &Name, kind: RecordType) -> Result<Said, UpdateError> {
        let about = format!("{kind} of `{}`", name.host());
        let mut message = MessageBuilder::new_vec().question();
        message.header_mut().set_random_id();
        message
            .push((owner(name), Rtype::from_int(kind.number()), Class::IN))
            .expect("a question fits into any message");
        let answer = self.exchange(message.additional(), &about)?;
        let header = answer.header();
        match header.rcode() {
            Rcode::NOERROR | Rcode::NXDOMAIN => {}
            Rcode::REFUSED => return Err(self.no_zone(name)),
            code => return Err(self.refusal(code, about)),
        }
        let malformed = || self.untrusted("it is malformed");
        let (answers, data) = records(answer.answer()).ok_or_else(malformed)?;
        let (authority, _) = records(answer.authority()).ok_or_else(malformed)?;
        Ok(Said {
            authoritative: header.aa(),
            exists: header.rcode() == Rcode::NOERROR,
            answers,
            data,
            authority,
        })
    }

    /// Signs a message, sends it, and checks that the answer is the server's to just this one.
    fn exchange(
        &self,
        mut message: AdditionalBuilder<Vec<u8>>,
        about: &str,
    ) -> Result<Message<Vec<u8>>, UpdateError> {
        let too_long = |_| UpdateError::TooLong {
            about: about.to_owned(),
        };
        let (id, opcode) = (message.header().id(), message.header().opcode());
        let key: &Key = self.key.key();
        let signed = ClientTransaction::request(key, &mut message, self.now()).map_err(too_long)?;
        let bytes = self.over_tcp(&message.finish(), about)?;
        let mut answer =
            Message::from_octets(bytes).map_err(|_| self.untrusted("it is malformed"))?;
        let header = answer.header();
        if header.id() != id || !header.qr() || header.opcode() != opcode {
            return Err(self.untrusted("it does not belong to what was sent"));
        }
        // What a server says of the time it cannot always sign so that we can check it.
        let time = bad_time(&answer);
        match signed.answer(&mut answer, self.now()) {
            Ok(()) => Ok(answer),
            Err(error) => {
                let said =
                    time.map(|(client, server)| ValidationError::ServerBadTime { client, server });
                Err(self.unsigned(said.unwrap_or(error), header.rcode(), about))
            }
        }
    }

    /// What an answer means whose signature is missing or wrong.
    fn unsigned(&self, error: ValidationError, code: Rcode, about: &str) -> UpdateError {
        let server = self.called.clone();
        let key = self.key.name();
        match error {
            ValidationError::ServerBadKey => UpdateError::UnknownKey { server, key },
            ValidationError::ServerBadSig => UpdateError::WrongSecret { server, key },
            ValidationError::ServerBadTime {
                client,
                server: theirs,
            } => {
                let seconds = |time: Time48| i64::try_from(u64::from(time)).unwrap_or(i64::MAX);
                UpdateError::Clock {
                    server,
                    ahead: seconds(theirs).saturating_sub(seconds(client)),
                }
            }
            // What was not done, the sender finds out by reading; a refusal is told as it came.
            ValidationError::ServerUnsigned if code == Rcode::NOERROR => {
                self.untrusted("it is not signed")
            }
            ValidationError::ServerUnsigned => self.refusal(code, about.to_owned()),
            ValidationError::BadTime => self.untrusted("it was signed at another time"),
            _ => self.untrusted("its signature is wrong"),
        }
    }

    fn refusal(&self, code: Rcode, about: String) -> UpdateError {
        let server = self.called.clone();
        let said = code.to_string();
        match code {
            Rcode::SERVFAIL => UpdateError::Failed { server, about },
            Rcode::REFUSED => UpdateError::Refused { server, about },
            Rcode::NOTAUTH | Rcode::NOTIMP => UpdateError::NotPrimary { server, about },
            Rcode::YXRRSET | Rcode::NXRRSET | Rcode::YXDOMAIN | Rcode::NXDOMAIN => {
                UpdateError::Changed {
                    server,
                    about,
                    code: said,
                }
            }
            _ => UpdateError::Code {
                server,
                about,
                code: said,
            },
        }
    }

    fn untrusted(&self, why: &'static str) -> UpdateError {
        let server = self.called.clone();
        UpdateError::Untrusted { server, why }
    }

    fn no_zone(&self, name: &Name) -> UpdateError {
        UpdateError::NoZone {
            server: self.called.clone(),
            name: name.clone(),
        }
    }

    fn now(&self) -> Time48 {
        let (then, begun) = self.clock;
        let passed = i64::try_from(begun.elapsed().as_secs()).unwrap_or_default();
        let seconds = then.as_second().saturating_add(passed);
        Time48::from_u64(u64::try_from(seconds).unwrap_or_default())
    }

    /// Exchanges messages with the first address that takes the connection.
    fn over_tcp(&self, message: &[u8], about: &str) -> Result<Vec<u8>, UpdateError> {
        let length = u16::try_from(message.len()).map_err(|_| UpdateError::TooLong {
            about: about.to_owned(),
        })?;
        let sent = [&length.to_be_bytes(), message].concat();
        let mut reason = io::ErrorKind::AddrNotAvailable;
        for &address in &self.addresses {
            match TcpStream::connect_timeout(&address, CONNECTING) {
                Ok(stream) => {
                    return talk(stream, &sent, Instant::now() + PATIENCE)
                        .map_err(|error| self.missed(&error));
                }
                Err(error) => reason = error.kind(),
            }
        }
        let server = self.called.clone();
        Err(UpdateError::Unreachable { server, reason })
    }

    fn missed(&self, error: &io::Error) -> UpdateError {
        let server = self.called.clone();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => UpdateError::Silent { server },
            reason => UpdateError::BrokeOff { server, reason },
        }
    }
}

/// What a server said to a question.
struct Said {
    /// Whether it speaks of a zone of its own.
    authoritative: bool,
    /// Whether the name exists.
    exists: bool,
    answers: Vec<Record>,
    /// The data of each answer, as on the wire.
    data: Vec<Vec<u8>>,
    authority: Vec<Record>,
}

/// Writes an update: the zone, what must still hold, what changes.
fn message(change: &ZoneChange) -> Result<AdditionalBuilder<Vec<u8>>, PushError> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_random_id();
    message.header_mut().set_opcode(Opcode::UPDATE);
    let mut zone = message.question();
    zone.push((owner(&change.zone), Rtype::SOA, Class::IN))?;
    let mut requirements = zone.answer();
    for set in &change.sets {
        if let Some(before) = &set.before {
            // RFC 2136, 2.4.2: the set exists, with just this data.
            for data in &before.data {
                requirements.push(record(set, Class::IN, 0, data))?;
            }
        } else {
            // RFC 2136, 2.4.3: there is no such set. An alias would swallow what is added.
            requirements.push(record(set, Class::NONE, 0, &[]))?;
            let alias = SetChange {
                kind: RecordType::Cname,
                ..set.clone()
            };
            requirements.push(record(&alias, Class::NONE, 0, &[]))?;
        }
    }
    let mut changes = requirements.authority();
    for set in &change.sets {
        if set.before.is_some() {
            // RFC 2136, 2.5.2: delete the set.
            changes.push(record(set, Class::ANY, 0, &[]))?;
        }
        if let Some(after) = &set.after {
            for data in &after.data {
                changes.push(record(set, Class::IN, after.ttl, data))?;
            }
        }
    }
    Ok(changes.additional())
}

type DomainName = domain::base::Name<Vec<u8>>;

fn owner(name: &Name) -> DomainName {
    DomainName::from_octets(name.wire().to_vec()).expect("a name holds the wire form of a name")
}

fn record<'a>(
    set: &SetChange,
    class: Class,
    ttl: u32,
    data: &'a [u8],
) -> (DomainName, Class, Ttl, UnknownRecordData<&'a [u8]>) {
    let kind = Rtype::from_int(set.kind.number());
    let data = UnknownRecordData::from_octets(kind, data).expect("data came in one message");
    (owner(&set.name), class, Ttl::from_secs(ttl), data)
}

/// The name that a name stands for.
fn alias(answers: &[Record], name: &Name) -> Option<Name> {
    answers.iter().find_map(|record| match &record.data {
        RecordData::Cname(target) if record.owner == *name => Some(target.clone()),
        _ => None,
    })
}

/// The records of class IN of a section, and their data as on the wire, uncompressed.
fn records(
    section: Result<RecordSection<'_, Vec<u8>>, ParseError>,
) -> Option<(Vec<Record>, Vec<Vec<u8>>)> {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    for record in section.ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN || record.rtype() == Rtype::OPT {
            continue;
        }
        let record = record
            .into_record::<ZoneRecordData<_, ParsedName<_>>>()
            .ok()??;
        let mut data = Vec::new();
        record.data().compose_rdata(&mut data).ok()?;
        bytes.push(data);
        found.push(Record {
            owner: from_domain_name(record.owner()),
            ttl: record.ttl().as_secs(),
            data: from_domain_data(record.data()),
        });
    }
    Some((found, bytes))
}

/// What an answer with BADTIME says: when our message was signed, and the server's time.
fn bad_time(answer: &Message<Vec<u8>>) -> Option<(Time48, Time48)> {
    let record = answer.additional().ok()?.last()?.ok()?;
    let record = record.into_record::<Tsig<_, ParsedName<_>>>().ok()??;
    let tsig = record.data();
    (tsig.error() == TsigRcode::BADTIME).then_some(())?;
    Some((tsig.time_signed(), tsig.other_time()?))
}

/// Sends a message and reads one back before the deadline (RFC 1035, 4.2.2).
fn talk(mut stream: TcpStream, sent: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(sent)?;
    let mut length = [0; 2];
    read_exactly(&mut stream, &mut length, until)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    read_exactly(&mut stream, &mut bytes, until)?;
    Ok(bytes)
}

/// Fills the buffer before the deadline, however small the pieces come.
fn read_exactly(stream: &mut TcpStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => buffer = &mut buffer[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
