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
        Some((end, _)) => {
            // RFC 2308, 2.2: an SOA says "no data"; name servers without it are a referral. A
            // server that does not recurse knows its own zones only, and where an alias leads
            // out of them it has not looked.
            let has = |kind| authority.iter().any(|record| record.data.kind() == kind);
            let looked = header.ra() || (header.aa() && end == *name);
            if !has(RecordType::Soa) && (has(RecordType::Ns) || !looked) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// What a server that knows the zone text would send as answer and authority.
    fn reply(query: &[u8], rcode: Rcode, answer: &str, authority: &str) -> Vec<u8> {
        let asked = Message::from_octets(query.to_vec()).unwrap();
        let mut builder = MessageBuilder::new_vec()
            .start_answer(&asked, rcode)
            .unwrap();
        builder.header_mut().set_ra(true);
        let entries = |text: &str| {
            let mut zone = domain::zonefile::inplace::Zonefile::from(text);
            zone.set_origin(domain::base::Name::root());
            zone.map(|entry| match entry.unwrap() {
                domain::zonefile::inplace::Entry::Record(record) => record,
                include @ domain::zonefile::inplace::Entry::Include { .. } => {
                    panic!("{include:?}")
                }
            })
        };
        for record in entries(answer) {
            builder.push(record).unwrap();
        }
        let mut builder = builder.authority();
        for record in entries(authority) {
            builder.push(record).unwrap();
        }
        builder.finish()
    }

    const SOA: &str = "example.org. 60 IN SOA ns.example.org. a.example.org. 1 2 3 4 5\n";
    const NS: &str = "example.org. 60 IN NS ns.example.org.\n";

    #[test]
    fn answers_are_told_apart() {
        let asked = name("mail.example.org");
        let query = query(&asked, RecordType::A);
        let check = |rcode, answer: &str, authority: &str, expected: Reply| {
            let bytes = reply(&query, rcode, answer, authority);
            assert_eq!(read(&bytes, &query, &asked, RecordType::A), expected);
        };
        let none = || Reply::Answer(Answer::NoData);
        check(Rcode::NOERROR, "", SOA, none());
        check(Rcode::NOERROR, "", "", none());
        check(Rcode::NOERROR, "", NS, Reply::Referral);
        check(Rcode::NXDOMAIN, "", SOA, Reply::Answer(Answer::NoSuchName));
        check(Rcode::SERVFAIL, "", "", Reply::Failure(Rcode::SERVFAIL));
        check(Rcode::REFUSED, "", "", Reply::Failure(Rcode::REFUSED));
        let a = "x.example.org. 60 IN A 192.0.2.1\n";
        let chain = format!(
            "Mail.example.org. 60 IN CNAME y.example.org.\n{a}y.example.org. 60 IN CNAME x.example.org.\n"
        );
        let found = Record {
            owner: name("x.example.org"),
            ttl: 60,
            data: RecordData::A("192.0.2.1".parse().unwrap()),
        };
        let found = || Reply::Answer(Answer::Records(vec![found.clone()]));
        check(Rcode::NOERROR, &chain, "", found());
        // A record of a name that was not asked for is none of ours.
        check(Rcode::NOERROR, a, "", none());
        check(
            Rcode::NOERROR,
            "mail.example.org. 60 IN CNAME mail.example.org.\n",
            "",
            Reply::Malformed,
        );
    }

    #[test]
    fn only_the_answer_to_our_question_counts() {
        let asked = name("mail.example.org");
        let query = query(&asked, RecordType::A);
        let good = reply(&query, Rcode::NOERROR, "", SOA);
        let judge = |bytes: &[u8]| read(bytes, &query, &asked, RecordType::A);
        let altered = |at: usize, bits: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            bytes
        };
        assert_eq!(judge(&good), Reply::Answer(Answer::NoData));
        assert_eq!(judge(&altered(0, 1)), Reply::Foreign, "another id");
        assert_eq!(judge(&altered(2, 0x80)), Reply::Foreign, "a question");
        assert_eq!(judge(&altered(2, 0x08)), Reply::Foreign, "another opcode");
        assert_eq!(judge(&altered(13, 1)), Reply::Foreign, "another name");
        assert_eq!(judge(&altered(5, 1)), Reply::Foreign, "no question");
        let end = query.len();
        assert_eq!(judge(&altered(end - 3, 2)), Reply::Foreign, "another type");
        assert_eq!(judge(&altered(end - 1, 2)), Reply::Foreign, "another class");
        assert_eq!(
            judge(&altered(13, 0x20)),
            Reply::Answer(Answer::NoData),
            "case"
        );
        assert_eq!(judge(&altered(2, 0x02)), Reply::Truncated);
        assert_eq!(judge(&[]), Reply::Foreign);
        assert_eq!(judge(&query), Reply::Foreign);
        for length in 0..good.len() {
            let cut = judge(&good[..length]);
            assert!(
                matches!(cut, Reply::Foreign | Reply::Malformed),
                "{length} {cut:?}"
            );
        }
    }

    #[test]
    fn ids_are_random() {
        let ids: std::collections::BTreeSet<_> = (0..50)
            .map(|_| query(&Name::root(), RecordType::A)[..2].to_vec())
            .collect();
        assert!(ids.len() > 40);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..300), counts in any::<[u8; 3]>()) {
            let asked = name("mail.example.org");
            let query = query(&asked, RecordType::Txt);
            // A head that is ours, so that what follows is looked at.
            let mut bytes = query.clone();
            bytes[2] |= 0x80;
            bytes[7] = counts[0] % 8;
            bytes[9] = counts[1] % 4;
            bytes[11] = counts[2] % 4;
            bytes.extend(&tail);
            let _ = read(&bytes, &query, &asked, RecordType::Txt);
            let _ = read(&tail, &query, &asked, RecordType::Txt);
        }

        #[test]
        fn damaged_answers_do_not_panic(at in 0usize..400, bits in any::<u8>(), cut in 0usize..400) {
            let asked = name("example.org");
            let query = query(&asked, RecordType::Mx);
            let answer = "example.org. 60 IN MX 10 mail.example.org.\n\
                          example.org. 60 IN TXT \"a\" \"b\"\n\
                          example.org. 60 IN SRV 0 0 25 mail.example.org.\n\
                          example.org. 60 IN AAAA 2001:db8::1\n\
                          example.org. 60 IN TYPE65280 \\# 2 ABCD\n";
            let mut bytes = reply(&query, Rcode::NOERROR, answer, SOA);
            let length = bytes.len();
            bytes[at % length] ^= bits;
            bytes.truncate(cut % length + 1);
            let _ = read(&bytes, &query, &asked, RecordType::Mx);
        }
    }
}
