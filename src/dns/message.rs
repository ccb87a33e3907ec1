//! Messages on the wire: the question we send, the answer we trust.
//!
//! Owns the step between our types and the `domain` package's. Must not know
//! sockets; whatever the bytes are, nothing here panics.
//! Follows RFC 1035, 4; RFC 2308, 2; RFC 6891, 6.

use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, ParsedName};
use domain::rdata::ZoneRecordData;

use super::{Answer, Name, Record, RecordData, RecordType, StartOfAuthority};

/// The largest datagram we announce to take: it passes every path in one piece.
///
/// It is what the makers of DNS servers agreed on, and what RFC 9715 asks for.
const PAYLOAD: u16 = 1232;

/// Most aliases followed one after the other; resolvers stop at about as many.
pub(super) const MAX_ALIASES: usize = 16;

/// A question, with and without EDNS (RFC 6891) under one id.
#[derive(Debug)]
pub(super) struct Query {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub kind: RecordType,
    plain: Vec<u8>,
    extended: Vec<u8>,
}

/// What a server says of our question, as far as it answers at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// It speaks for the zone (`aa`).
    pub is_authoritative: bool,
    /// It asks others for us (`ra`).
    recurses: bool,
    /// There is no such name, where aliases lead to in the end.
    pub no_such_name: bool,
    /// The records that answer.
    pub answer: Vec<Record>,
    /// Who speaks for the zone.
    pub authority: Vec<Record>,
    /// Addresses of those.
    pub additional: Vec<Record>,
}

/// Why a message is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not about our question at all.
    Foreign,
    /// The answer did not fit; it is to be fetched over TCP.
    Truncated,
    /// The server could not, or would not, answer.
    Failure(OptRcode),
    /// The server sends us to others instead of answering.
    Referral,
    /// The server is named for a zone and does not speak for it.
    Lame,
    /// It answers our question, and breaks off or contradicts itself.
    Malformed,
}

impl Query {
    /// Makes a question with a random id; a server may be asked to find the answer elsewhere.
    pub(super) fn new(name: &Name, kind: RecordType, recursion: bool) -> Self {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_random_id();
        message.header_mut().set_rd(recursion);
        let mut question = message.question();
        let owner = domain::base::Name::from_octets(name.wire())
            .expect("a name holds the wire form of a name");
        question
            .push((owner, Rtype::from_int(kind.number()), Class::IN))
            .expect("a question fits into any message");
        let plain = question.clone().finish();
        let mut additional = question.additional();
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(PAYLOAD);
                Ok(())
            })
            .expect("an OPT record fits behind a question");
        Self {
            name: name.clone(),
            kind,
            plain,
            extended: additional.finish(),
        }
    }

    /// The bytes, with EDNS or without.
    pub(super) fn bytes(&self, edns: bool) -> &[u8] {
        if edns { &self.extended } else { &self.plain }
    }

    /// Reads a server's message as what it says of this question.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Said, Fault> {
        let (Ok(message), Ok(asked)) = (
            Message::from_octets(bytes),
            Message::from_octets(self.plain.as_slice()),
        ) else {
            return Err(Fault::Foreign);
        };
        let header = message.header();
        if header.opcode() != Opcode::QUERY {
            return Err(Fault::Foreign);
        }
        // A server from before EDNS may not even repeat the question it did not understand.
        let repeats = message.header_counts().qdcount() == 1
            && message.question().all(|question| question.is_ok())
            && message.is_answer(&asked);
        let is_bare = message.header_counts().qdcount() == 0
            && header.qr()
            && header.id() == asked.header().id()
            && [Rcode::FORMERR, Rcode::NOTIMP].contains(&header.rcode());
        if !repeats && !is_bare {
            return Err(Fault::Foreign);
        }
        if header.tc() {
            return Err(Fault::Truncated);
        }
        let no_such_name = match message.opt_rcode() {
            OptRcode::NOERROR => false,
            OptRcode::NXDOMAIN => true,
            other => return Err(Fault::Failure(other)),
        };
        let read = |section| records(section).ok_or(Fault::Malformed);
        Ok(Said {
            is_authoritative: header.aa(),
            recurses: header.ra(),
            no_such_name,
            answer: read(message.answer())?,
            authority: read(message.authority())?,
            additional: read(message.additional())?,
        })
    }
}

impl Said {
    /// What it means, of a server that is asked to find out all of it.
    pub(super) fn answer(&self, name: &Name, kind: RecordType) -> Result<Answer, Fault> {
        let (end, found) = follow(&self.answer, name, kind).ok_or(Fault::Malformed)?;
        match (found.is_empty(), self.no_such_name) {
            (false, false) => return Ok(Answer::Records(found)),
            (false, true) => return Err(Fault::Malformed),
            (true, true) => return Ok(Answer::NoSuchName),
            (true, false) => {}
        }
        // RFC 2308, 2.2: an SOA says "no data"; name servers without it are a referral. A
        // server that does not recurse knows its own zones only, and where an alias leads
        // out of them it has not looked.
        let looked = self.recurses || (self.is_authoritative && end == *name);
        if !self.has(RecordType::Soa) && (self.has(RecordType::Ns) || !looked) {
            return Err(Fault::Referral);
        }
        Ok(Answer::NoData)
    }

    /// Tells whether the authority section holds records of a type.
    pub(super) fn has(&self, kind: RecordType) -> bool {
        self.authority
            .iter()
            .any(|record| record.data.kind() == kind)
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
/// circle, or on for too long.
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
    let mut aliases = 0;
    while let Some(target) = alias(current) {
        aliases += 1;
        if aliases > MAX_ALIASES {
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

    /// What a server that is asked to find out all of it means.
    fn judge(query: &Query, bytes: &[u8]) -> Result<Answer, Fault> {
        query.read(bytes)?.answer(&query.name, query.kind)
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
        let query = Query::new(&asked, RecordType::A, true);
        let check = |rcode, answer: &str, authority: &str, expected: Result<Answer, Fault>| {
            let bytes = reply(&query.plain, rcode, answer, authority);
            assert_eq!(judge(&query, &bytes), expected);
        };
        let none = || Ok(Answer::NoData);
        check(Rcode::NOERROR, "", SOA, none());
        check(Rcode::NOERROR, "", "", none());
        check(Rcode::NOERROR, "", NS, Err(Fault::Referral));
        check(Rcode::NXDOMAIN, "", SOA, Ok(Answer::NoSuchName));
        check(
            Rcode::SERVFAIL,
            "",
            "",
            Err(Fault::Failure(OptRcode::SERVFAIL)),
        );
        check(
            Rcode::REFUSED,
            "",
            "",
            Err(Fault::Failure(OptRcode::REFUSED)),
        );
        let a = "x.example.org. 60 IN A 192.0.2.1\n";
        let chain = format!(
            "Mail.example.org. 60 IN CNAME y.example.org.\n{a}y.example.org. 60 IN CNAME x.example.org.\n"
        );
        let found = Record {
            owner: name("x.example.org"),
            ttl: 60,
            data: RecordData::A("192.0.2.1".parse().unwrap()),
        };
        let found = || Ok(Answer::Records(vec![found.clone()]));
        check(Rcode::NOERROR, &chain, "", found());
        // A record of a name that was not asked for is none of ours.
        check(Rcode::NOERROR, a, "", none());
        check(
            Rcode::NOERROR,
            "mail.example.org. 60 IN CNAME mail.example.org.\n",
            "",
            Err(Fault::Malformed),
        );
    }

    #[test]
    fn only_the_answer_to_our_question_counts() {
        let asked = name("mail.example.org");
        let query = Query::new(&asked, RecordType::A, true);
        let good = reply(&query.plain, Rcode::NOERROR, "", SOA);
        let judge = |bytes: &[u8]| judge(&query, bytes);
        let altered = |at: usize, bits: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            bytes
        };
        assert_eq!(judge(&good), Ok(Answer::NoData));
        assert_eq!(judge(&altered(0, 1)), Err(Fault::Foreign), "another id");
        assert_eq!(judge(&altered(2, 0x80)), Err(Fault::Foreign), "a question");
        assert_eq!(
            judge(&altered(2, 0x08)),
            Err(Fault::Foreign),
            "another opcode"
        );
        assert_eq!(judge(&altered(13, 1)), Err(Fault::Foreign), "another name");
        assert_eq!(judge(&altered(5, 1)), Err(Fault::Foreign), "no question");
        let end = query.plain.len();
        assert_eq!(
            judge(&altered(end - 3, 2)),
            Err(Fault::Foreign),
            "another type"
        );
        assert_eq!(
            judge(&altered(end - 1, 2)),
            Err(Fault::Foreign),
            "another class"
        );
        assert_eq!(judge(&altered(13, 0x20)), Ok(Answer::NoData), "case");
        assert_eq!(judge(&altered(2, 0x02)), Err(Fault::Truncated));
        assert_eq!(judge(&[]), Err(Fault::Foreign));
        assert_eq!(judge(&query.plain), Err(Fault::Foreign));
        for length in 0..good.len() {
            let cut = judge(&good[..length]);
            assert!(
                matches!(cut, Err(Fault::Foreign | Fault::Malformed)),
                "{length} {cut:?}"
            );
        }
    }

    #[test]
    fn ids_are_random() {
        let ids: std::collections::BTreeSet<_> = (0..50)
            .map(|_| Query::new(&Name::root(), RecordType::A, true).plain[..2].to_vec())
            .collect();
        assert!(ids.len() > 40);
    }

    #[test]
    fn aliases_without_end_are_no_answer() {
        let asked = name("n0.example");
        let query = Query::new(&asked, RecordType::A, true);
        let mut chain = String::new();
        let last = MAX_ALIASES + 1;
        for at in 0..last {
            use std::fmt::Write as _;
            let _ = writeln!(chain, "n{at}.example. 60 IN CNAME n{}.example.", at + 1);
        }
        let end = |at: usize| format!("n{at}.example. 60 IN A 192.0.2.1\n");
        let answer = |text: &str| judge(&query, &reply(&query.plain, Rcode::NOERROR, text, ""));
        assert_eq!(answer(&(chain.clone() + &end(last))), Err(Fault::Malformed));
        let shorter: String = chain.split_inclusive('\n').take(last - 1).collect();
        let found = answer(&(shorter + &end(last - 1))).unwrap();
        assert_eq!(found.records().len(), 1);
    }

    #[test]
    fn the_largest_messages_are_read() {
        let query = Query::new(&name("a.example"), RecordType::A, true);
        let head = |records: u16| {
            let mut bytes = query.plain.clone();
            bytes[2] |= 0x80;
            bytes[3] |= 0x80;
            bytes[6..8].copy_from_slice(&records.to_be_bytes());
            bytes
        };
        // As many records as there is room for, each the one asked for.
        let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
        let room = (usize::from(u16::MAX) - query.plain.len()) / record.len();
        let mut bytes = head(u16::try_from(room).unwrap());
        bytes.extend(record.repeat(room));
        let found = judge(&query, &bytes).unwrap();
        assert_eq!(found.records().len(), room);
        // Pointers to pointers, all the way down, and names that begin at each of them.
        let mut bytes = head(u16::MAX);
        while bytes.len() + 2 < usize::from(u16::MAX) {
            let before = u16::try_from(bytes.len() - 2).unwrap_or_default() & 0x3fff;
            bytes.extend((before | 0xc000).to_be_bytes());
        }
        assert_eq!(judge(&query, &bytes), Err(Fault::Malformed));
        // A pointer to itself.
        let mut bytes = head(1);
        let here = u16::try_from(bytes.len()).unwrap() | 0xc000;
        bytes.extend(here.to_be_bytes());
        bytes.extend(&record[2..]);
        assert_eq!(judge(&query, &bytes), Err(Fault::Malformed));
    }

    /// A piece of a message that someone who means ill may put together.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let label = prop::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| {
            let length = u8::try_from(bytes.len()).unwrap();
            [vec![length], bytes].concat()
        });
        let pointer = (0u16..80).prop_map(|to| (to | 0xc000).to_be_bytes().to_vec());
        let middle = (
            prop::sample::select(vec![1u16, 2, 5, 6, 12, 15, 16, 28, 33, 39, 41, 46, 64, 255]),
            prop::sample::select(vec![1u16, 1, 1, 3, 255]),
            any::<u32>(),
            0u16..40,
        )
            .prop_map(|(kind, class, ttl, length)| {
                let mut bytes = kind.to_be_bytes().to_vec();
                bytes.extend(class.to_be_bytes());
                bytes.extend(ttl.to_be_bytes());
                bytes.extend(length.to_be_bytes());
                bytes
            });
        let own = Just(vec![0xc0, 12]);
        let noise = prop::collection::vec(any::<u8>(), 0..20);
        prop_oneof![
            label,
            pointer,
            middle.clone(),
            middle,
            own,
            noise,
            Just(vec![0])
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..300), counts in any::<[u8; 3]>()) {
            let asked = name("mail.example.org");
            let query = Query::new(&asked, RecordType::Txt, true);
            // A head that is ours, so that what follows is looked at.
            let mut bytes = query.plain.clone();
            bytes[2] |= 0x80;
            bytes[7] = counts[0] % 8;
            bytes[9] = counts[1] % 4;
            bytes[11] = counts[2] % 4;
            bytes.extend(&tail);
            let _ = judge(&query, &bytes);
            let _ = judge(&query, &tail);
        }

        #[test]
        fn what_is_put_together_in_bad_faith_answers_nothing_else(
            pieces in prop::collection::vec(piece(), 0..30),
            counts in any::<[u8; 3]>(),
            kind in prop::sample::select(vec![1u16, 5, 15, 16]),
        ) {
            let asked = name("mail.example.org");
            let kind = RecordType::from(kind);
            let query = Query::new(&asked, kind, true);
            let mut bytes = query.plain.clone();
            bytes[2] |= 0x80;
            bytes[3] |= 0x80;
            bytes[7] = counts[0] % 8;
            bytes[9] = counts[1] % 4;
            bytes[11] = counts[2] % 4;
            bytes.extend(pieces.concat());
            if let Ok(Answer::Records(found)) = judge(&query, &bytes) {
                prop_assert!(!found.is_empty());
                let owner = &found[0].owner;
                prop_assert!(found.iter().all(|it| it.data.kind() == kind && it.owner == *owner));
            }
        }

        #[test]
        fn names_of_any_bytes_are_kept_and_print_safely(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..6)
        ) {
            let odd = Name::from_labels(labels).unwrap();
            let asked = name("mail.example.org");
            let query = Query::new(&asked, RecordType::Mx, true);
            let answer = format!("mail.example.org. 60 IN MX 10 {}\n", odd.fully_qualified());
            let bytes = reply(&query.plain, Rcode::NOERROR, &answer, "");
            let found = judge(&query, &bytes).unwrap();
            let exchange = match &found.records()[0].data {
                RecordData::Mx { exchange, .. } => exchange.clone(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(&exchange, &odd);
            prop_assert!(exchange.host().bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn foreign_records_never_answer(others in prop::collection::vec("[a-d]{1,2}", 0..8)) {
            let asked = name("mail.example.org");
            let query = Query::new(&asked, RecordType::A, true);
            let mut answer = String::from("mail.example.org. 60 IN CNAME host.example.net.\n");
            for (number, other) in others.iter().enumerate() {
                use std::fmt::Write as _;
                let _ = writeln!(answer, "{other}.example.net. 60 IN A 192.0.2.{number}");
                let _ = writeln!(answer, "{other}.example.net. 60 IN CNAME host.example.net.");
            }
            answer.push_str("host.example.net. 60 IN A 198.51.100.1\n");
            let bytes = reply(&query.plain, Rcode::NOERROR, &answer, "");
            let found = judge(&query, &bytes).unwrap();
            let expected = RecordData::A("198.51.100.1".parse().unwrap());
            prop_assert_eq!(found.records().len(), 1);
            prop_assert_eq!(&found.records()[0].data, &expected);
        }

        #[test]
        fn damaged_answers_do_not_panic(at in 0usize..400, bits in any::<u8>(), cut in 0usize..400) {
            let asked = name("example.org");
            let query = Query::new(&asked, RecordType::Mx, true);
            let answer = "example.org. 60 IN MX 10 mail.example.org.\n\
                          example.org. 60 IN TXT \"a\" \"b\"\n\
                          example.org. 60 IN SRV 0 0 25 mail.example.org.\n\
                          example.org. 60 IN AAAA 2001:db8::1\n\
                          example.org. 60 IN TYPE65280 \\# 2 ABCD\n";
            let mut bytes = reply(&query.plain, Rcode::NOERROR, answer, SOA);
            let length = bytes.len();
            bytes[at % length] ^= bits;
            bytes.truncate(cut % length + 1);
            let _ = judge(&query, &bytes);
        }
    }
}
