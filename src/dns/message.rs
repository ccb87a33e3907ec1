//! Messages on the wire: the question we send, the answer we trust.
//!
//! Owns the step between our types and the `domain` package's. Must not know
//! sockets; whatever the bytes are, nothing here panics.
//! Follows RFC 1035, 4; RFC 2308, 2.

use std::collections::BTreeSet;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, ParsedName};
use domain::rdata::ZoneRecordData;

use super::{Answer, Name, Record, RecordData, RecordType, StartOfAuthority};

/// What a server's message says of our question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It answers.
    Answer(Answer),
    /// The answer did not fit; it is to be fetched over TCP.
    Truncated,
    /// The server could not, or would not, answer.
    Failure(Rcode),
    /// The server sends us to others instead of answering.
    Referral,
    /// It answers our question, and breaks off or contradicts itself.
    Malformed,
    /// It is not about our question at all.
    Foreign,
}

/// Writes a question with a random id.
pub(super) fn query(name: &Name, kind: RecordType) -> Vec<u8> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_random_id();
    message.header_mut().set_rd(true);
    let mut question = message.question();
    let owner =
        domain::base::Name::from_octets(name.wire()).expect("a name holds the wire form of a name");
    question
        .push((owner, Rtype::from_int(kind.number()), Class::IN))
        .expect("a question fits into any message");
    question.finish()
}

/// Reads a server's message as the answer to `query`, which asks for `name` and `kind`.
pub(super) fn read(bytes: &[u8], query: &[u8], name: &Name, kind: RecordType) -> Reply {
    let (Ok(message), Ok(asked)) = (Message::from_octets(bytes), Message::from_octets(query))
    else {
        return Reply::Foreign;
    };
    let header = message.header();
    if header.opcode() != Opcode::QUERY
        || message.header_counts().qdcount() != 1
        || message.question().any(|question| question.is_err())
        || !message.is_answer(&asked)
    {
        return Reply::Foreign;
    }
    if header.tc() {
        return Reply::Truncated;
    }
    match header.rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Reply::Answer(Answer::NoSuchName),
        other => return Reply::Failure(other),
    }
    let (Some(answers), Some(authority)) =
        (records(message.answer()), records(message.authority()))
    else {
        return Reply::Malformed;
    };
    match follow(&answers, name, kind) {
        None => Reply::Malformed,
        Some((_, found)) if !found.is_empty() => Reply::Answer(Answer::Records(found)),
        Some(_) => {
            // RFC 2308, 2.2: an SOA says "no data"; name servers without it are a referral. A
            // server that does not recurse and shows neither has not looked.
            let has = |kind| authority.iter().any(|record| record.data.kind() == kind);
            let referral = has(RecordType::Ns) || !(header.ra() || header.aa());
            if !has(RecordType::Soa) && referral {
                Reply::Referral
            } else {
                Reply::Answer(Answer::NoData)
            }
        }
    }
}

/// Reads the records of class IN of one section; `None` when any of it is malformed.
fn records(section: Result<RecordSection<'_, &[u8]>, ParseError>) -> Option<Vec<Record>> {
    let mut found = Vec::new();
    for record in section.ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN || record.rtype() == Rtype::OPT {
            continue;
        }
        let record = record
            .into_record::<ZoneRecordData<_, ParsedName<_>>>()
            .ok()??;
        found.push(Record {
            owner: from_domain_name(record.owner()),
            ttl: record.ttl().as_secs(),
            data: from_domain_data(record.data()),
        });
    }
    Some(found)
}

/// Picks the records asked for, along the aliases that stand beside them.
///
/// Gives the name the aliases end at and what stands there; `None` when they lead round in a
/// circle.
pub(super) fn follow(
    records: &[Record],
    name: &Name,
    kind: RecordType,
) -> Option<(Name, Vec<Record>)> {
    let alias = |owner: &Name| {
        records.iter().find_map(|record| match &record.data {
            RecordData::Cname(target) if record.owner == *owner && kind != RecordType::Cname => {
                Some(target)
            }
            _ => None,
        })
    };
    let mut current = name;
    let mut seen = BTreeSet::new();
    while let Some(target) = alias(current) {
        if !seen.insert(current) {
            return None;
        }
        current = target;
    }
    let wanted = |record: &&Record| record.owner == *current && record.data.kind() == kind;
    Some((
        current.clone(),
        records.iter().filter(wanted).cloned().collect(),
    ))
}

/// Takes over a name of the `domain` package.
pub(super) fn from_domain_name(name: &impl ToName) -> Name {
    let labels = name.iter_labels().filter(|label| !label.is_root());
    Name::from_labels(labels).expect("both packages keep the limits of RFC 1035")
}

/// Takes over record data of the `domain` package.
pub(super) fn from_domain_data<O, N>(data: &ZoneRecordData<O, N>) -> RecordData
where
    O: AsRef<[u8]>,
    N: ToName,
    ZoneRecordData<O, N>: ComposeRecordData,
{
    match data {
        ZoneRecordData::A(a) => RecordData::A(a.addr()),
        ZoneRecordData::Aaaa(aaaa) => RecordData::Aaaa(aaaa.addr()),
        ZoneRecordData::Ptr(ptr) => RecordData::Ptr(from_domain_name(ptr.ptrdname())),
        ZoneRecordData::Cname(cname) => RecordData::Cname(from_domain_name(cname.cname())),
        ZoneRecordData::Ns(ns) => RecordData::Ns(from_domain_name(ns.nsdname())),
        ZoneRecordData::Mx(mx) => RecordData::Mx {
            preference: mx.preference(),
            exchange: from_domain_name(mx.exchange()),
        },
        ZoneRecordData::Txt(txt) => {
            RecordData::Txt(txt.iter().flat_map(|part| part.iter().copied()).collect())
        }
        ZoneRecordData::Soa(soa) => RecordData::Soa(Box::new(StartOfAuthority {
            primary: from_domain_name(soa.mname()),
            mailbox: from_domain_name(soa.rname()),
            serial: soa.serial().into_int(),
            refresh: soa.refresh().as_secs(),
            retry: soa.retry().as_secs(),
            expire: soa.expire().as_secs(),
            minimum: soa.minimum().as_secs(),
        })),
        other => {
            let mut bytes = Vec::new();
            other
                .compose_rdata(&mut bytes)
                .expect("a vector takes any number of bytes");
            RecordData::Other {
                kind: domain::base::rdata::RecordData::rtype(other).to_int(),
                data: bytes,
            }
        }
    }
}
