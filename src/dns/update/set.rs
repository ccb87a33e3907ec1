//! Record sets as a server has them, byte for byte, and how they change.
//!
//! Owns [`SetChange`]. Data is kept as it is on the wire: a text keeps its division into
//! strings, a name its capitals, so that what is put back is what was there.
//! Follows RFC 2181, 5; RFC 3597, 4.

use std::collections::BTreeSet;

use data_encoding::HEXUPPER;
use domain::base::ParsedName;
use domain::base::iana::Rtype;
use domain::base::rdata::ParseRecordData;
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;
use serde::{Deserialize, Serialize};

use crate::dns::message::from_domain_data;
use crate::dns::{Name, Record, RecordData, RecordType};

/// Most bytes of one string of a TXT record (RFC 1035, 3.3).
const MAX_STRING: usize = 255;

/// The data of all records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// How long they may be cached, in seconds.
    pub ttl: u32,
    /// Their data as on the wire, uncompressed.
    #[serde(with = "hex")]
    pub data: BTreeSet<Vec<u8>>,
}

/// What becomes of the records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetChange {
    /// The name.
    #[serde(with = "absolute")]
    pub name: Name,
    /// The number of the type.
    #[serde(rename = "type", with = "number")]
    pub kind: RecordType,
    /// The records that stand there; none if there are none.
    pub before: Option<RecordSet>,
    /// Those that shall stand there.
    pub after: Option<RecordSet>,
}

/// What becomes of record sets of one zone, all at once or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneChange {
    /// The zone.
    #[serde(with = "absolute")]
    pub zone: Name,
    /// The sets; none of them is the zone's SOA.
    pub sets: Vec<SetChange>,
}

impl RecordSet {
    /// Puts records of one name and type together; none make no set.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Self> {
        let mut set: Option<Self> = None;
        for record in records {
            let set = set.get_or_insert_with(|| Self {
                ttl: record.ttl,
                data: BTreeSet::new(),
            });
            set.data.insert(wire(&record.data));
        }
        set
    }

    /// Puts records together in place of this set: what stays of it stays byte for byte.
    #[must_use]
    pub fn replaced_by<'a>(
        &self,
        kind: RecordType,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Option<Self> {
        let mut data = BTreeSet::new();
        for record in records {
            let mut old = self.data.iter();
            let old = old.find(|data| read(kind, data) == record.data);
            data.insert(old.cloned().unwrap_or_else(|| wire(&record.data)));
        }
        let ttl = self.ttl;
        (!data.is_empty()).then_some(Self { ttl, data })
    }

    /// Gives the records.
    #[must_use]
    pub fn records(&self, owner: &Name, kind: RecordType) -> Vec<Record> {
        let record = |data: &Vec<u8>| Record {
            owner: owner.clone(),
            ttl: self.ttl,
            data: read(kind, data),
        };
        self.data.iter().map(record).collect()
    }
}

impl SetChange {
    /// Turns it round.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            before: self.after.clone(),
            after: self.before.clone(),
            ..self.clone()
        }
    }

    /// The records before and after, for showing.
    #[must_use]
    pub fn records(&self) -> [Vec<Record>; 2] {
        [&self.before, &self.after].map(|set| match set {
            Some(set) => set.records(&self.name, self.kind),
            None => Vec::new(),
        })
    }
}

/// The data of a record as on the wire.
fn wire(data: &RecordData) -> Vec<u8> {
    match data {
        RecordData::A(address) => address.octets().to_vec(),
        RecordData::Aaaa(address) => address.octets().to_vec(),
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
            name.wire().to_vec()
        }
        RecordData::Mx {
            preference,
            exchange,
        } => [&preference.to_be_bytes(), exchange.wire()].concat(),
        RecordData::Txt(text) if text.is_empty() => vec![0],
        RecordData::Txt(text) => text.chunks(MAX_STRING).flat_map(string).collect(),
        RecordData::Soa(soa) => {
            let numbers = [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum];
            let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
            [soa.primary.wire(), soa.mailbox.wire(), &numbers].concat()
        }
        RecordData::Other { data, .. } => data.clone(),
    }
}

/// One string of a TXT record, behind its length.
fn string(chunk: &[u8]) -> Vec<u8> {
    let length = u8::try_from(chunk.len()).expect("a chunk has 255 bytes at most");
    [&[length], chunk].concat()
}

/// Reads data as it is on the wire; what is malformed stays bytes.
fn read(kind: RecordType, data: &[u8]) -> RecordData {
    let bytes = || RecordData::Other {
        kind: kind.number(),
        data: data.to_vec(),
    };
    let mut parser = Parser::from_ref(data);
    let rtype = Rtype::from_int(kind.number());
    match ZoneRecordData::<_, ParsedName<_>>::parse_rdata(rtype, &mut parser) {
        Ok(Some(read)) if parser.remaining() == 0 => from_domain_data(&read),
        _ => bytes(),
    }
}

mod hex {
    use super::{BTreeSet, Deserialize, HEXUPPER, Serialize};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(set: &BTreeSet<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = set.iter().map(|data| HEXUPPER.encode(data)).collect();
        texts.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let decode = |text: &String| HEXUPPER.decode(text.as_bytes());
        texts
            .iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(D::Error::custom)
    }
}

mod absolute {
    use super::{Deserialize, Name, Serialize};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(name: &Name, to: S) -> Result<S::Ok, S::Error> {
        name.fully_qualified().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

mod number {
    use super::{Deserialize, RecordType, Serialize};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
    pub fn serialize<S: Serializer>(kind: &RecordType, to: S) -> Result<S::Ok, S::Error> {
        kind.number().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RecordType, D::Error> {
        u16::deserialize(from).map(RecordType::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zone;

    #[test]
    fn data_goes_over_the_wire_and_back() {
        let (long, rest) = ("x".repeat(255), "x".repeat(45));
        let text = format!(
            "a.example. 60 IN A 192.0.2.1\na.example. 60 IN AAAA 2001:db8::1\n\
             a.example. 60 IN PTR b.example.\na.example. 60 IN MX 10 b.example.\n\
             a.example. 60 IN TXT \"{long}\" \"{rest}\"\na.example. 60 IN TXT \"\"\n\
             a.example. 60 IN SOA b. c. 1 2 3 4 5\na.example. 60 IN SRV 0 0 25 b.example.\n"
        );
        for record in zone::read(&text).unwrap() {
            let set = RecordSet::of([&record]).unwrap();
            assert_eq!(set.records(&record.owner, record.data.kind()), [record]);
        }
    }

    #[test]
    fn a_text_that_stays_keeps_its_strings() {
        let divided = RecordSet {
            ttl: 60,
            data: [b"\x01a\x01b".to_vec()].into(),
        };
        let name = "a.example".parse().unwrap();
        let mut records = divided.records(&name, RecordType::Txt);
        records.push(Record {
            data: RecordData::Txt(b"c".to_vec()),
            ..records[0].clone()
        });
        let more = divided.replaced_by(RecordType::Txt, &records).unwrap();
        assert_eq!(
            more.data,
            [b"\x01a\x01b".to_vec(), b"\x01c".to_vec()].into()
        );
        assert_eq!(divided.replaced_by(RecordType::Txt, []), None);
        let change = SetChange {
            name: "a.example".parse().unwrap(),
            kind: RecordType::Txt,
            before: Some(divided),
            after: None,
        };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(
            json,
            r#"{"name":"a.example.","type":16,"before":{"ttl":60,"data":["01610162"]},"after":null}"#
        );
        assert_eq!(serde_json::from_str::<SetChange>(&json).unwrap(), change);
        assert_eq!(change.inverse().inverse(), change);
    }

    #[test]
    fn malformed_data_stays_bytes() {
        let data = read(RecordType::Mx, b"\x00");
        assert_eq!(
            data,
            RecordData::Other {
                kind: 15,
                data: vec![0]
            }
        );
    }
}
