//! Zone text: records as BIND reads them.
//!
//! Owns writing and reading of master files. Must not know where the text is
//! kept. Every owner is written in full, so the text means the same under any
//! `$ORIGIN`.
//! Follows RFC 1035, 5; RFC 3597, 5.

use std::fmt::Write as _;

use data_encoding::HEXUPPER;
use domain::base::iana::Class;
use domain::zonefile::inplace::{Entry, Zonefile};

use super::message::{from_domain_data, from_domain_name};
use super::{NameError, Record, RecordData};

/// Most bytes of one string of a TXT record (RFC 1035, 3.3).
pub const MAX_STRING: usize = 255;

/// Longest value that stays on the line of its owner; a longer one gets parentheses.
const MAX_INLINE: usize = 200;

/// Why a text is not zone text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The text is wrong at a place.
    #[error("zone text is wrong at or just before {place}")]
    Syntax {
        /// Line, column and the fault.
        place: String,
    },
    /// `$INCLUDE` names a file, and none is read here.
    #[error("zone text includes `{path}`; write its records in place")]
    Include {
        /// The file.
        path: String,
    },
    /// `$SERVFAIL`, which marks a name for tests, has none.
    #[error("`$SERVFAIL` in line {line} of zone text names no name")]
    Failing {
        /// The line, from 1.
        line: usize,
        /// What is wrong with the name.
        source: NameError,
    },
}

/// Writes records as zone text, one a line, in columns.
#[must_use]
pub fn write(records: &[Record]) -> String {
    let owners: Vec<String> = records
        .iter()
        .map(|record| record.owner.fully_qualified())
        .collect();
    let owner_width = owners.iter().map(String::len).max().unwrap_or(0);
    let ttl_width = records
        .iter()
        .map(|record| record.ttl.to_string().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (record, owner) in records.iter().zip(owners) {
        let kind = record.data.kind();
        let value = value(&record.data);
        let ttl = record.ttl;
        writeln!(
            text,
            "{owner:<owner_width$} {ttl:>ttl_width$} IN {kind:<5} {value}"
        )
        .expect("a string takes any text");
    }
    text
}

/// Writes the value of a record as it stands in zone text, long texts in parentheses.
#[must_use]
pub fn value(data: &RecordData) -> String {
    match data {
        RecordData::Txt(text) => match strings(text).as_slice() {
            [one] if one.len() <= MAX_INLINE => one.clone(),
            many => format!("(\n    {} )", many.join("\n    ")),
        },
        other => line(other),
    }
}

/// Writes the value of a record as it stands in zone text, on one line whatever its length.
#[must_use]
pub fn line(data: &RecordData) -> String {
    match data {
        RecordData::A(address) => address.to_string(),
        RecordData::Aaaa(address) => address.to_string(),
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
            name.fully_qualified()
        }
        RecordData::Mx {
            preference,
            exchange,
        } => format!("{preference} {}", exchange.fully_qualified()),
        RecordData::Txt(text) => strings(text).join(" "),
        RecordData::Soa(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.primary.fully_qualified(),
            soa.mailbox.fully_qualified(),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        RecordData::Other { data, .. } => format!("\\# {} {}", data.len(), HEXUPPER.encode(data))
            .trim_end()
            .to_owned(),
    }
}

/// Writes a logical text as quoted strings of at most 255 bytes; at least one.
fn strings(text: &[u8]) -> Vec<String> {
    if text.is_empty() {
        return vec![quote(text)];
    }
    text.chunks(MAX_STRING).map(quote).collect()
}

/// Quotes one string (RFC 1035, 5.1).
fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03}").expect("a string takes any text"),
        }
    }
    text.push('"');
    text
}

/// Reads zone text.
///
/// Names without a final dot lie under `$ORIGIN`, or under the root where none is given.
///
/// # Errors
/// When the text is no zone text, or includes a file.
pub fn read(text: &str) -> Result<Vec<Record>, ZoneError> {
    let mut zone = Zonefile::from(text);
    // A record at the very end needs its line end to be seen.
    zone.extend_from_slice(b"\n");
    zone.set_origin(domain::base::Name::root());
    zone.set_default_class(Class::IN);
    let mut records = Vec::new();
    while let Some(entry) = zone.next_entry().map_err(|error| ZoneError::Syntax {
        place: error.to_string(),
    })? {
        match entry {
            Entry::Record(record) => records.push(Record {
                owner: from_domain_name(record.owner()),
                ttl: record.ttl().as_secs(),
                data: from_domain_data(record.data()),
            }),
            Entry::Include { path, .. } => {
                return Err(ZoneError::Include {
                    path: path.to_string(),
                });
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Name, StartOfAuthority};
    use proptest::prelude::*;

    fn record(owner: &str, data: RecordData) -> Record {
        Record {
            owner: owner.parse().unwrap(),
            ttl: 3600,
            data,
        }
    }

    #[test]
    fn columns_line_up() {
        let records = [
            record(
                "mail.example.org",
                RecordData::A("192.0.2.1".parse().unwrap()),
            ),
            record("example.org", RecordData::Txt(b"v=spf1 -all".to_vec())),
        ];
        assert_eq!(
            write(&records),
            "mail.example.org. 3600 IN A     192.0.2.1\n\
             example.org.      3600 IN TXT   \"v=spf1 -all\"\n"
        );
    }

    #[test]
    fn texts_are_quoted_escaped_and_split() {
        let check = |text: &[u8], expected: &str| {
            assert_eq!(value(&RecordData::Txt(text.to_vec())), expected);
        };
        check(b"", "\"\"");
        check(b"a \"b\" \\ c;", "\"a \\\"b\\\" \\\\ c;\"");
        check(b"\x00\xc3\xbc\n", "\"\\000\\195\\188\\010\"");
        let long = [b'x'; 256];
        check(
            &long,
            &format!("(\n    \"{}\"\n    \"x\" )", "x".repeat(255)),
        );
        assert_eq!(
            line(&RecordData::Txt(long.to_vec())),
            format!("\"{}\" \"x\"", "x".repeat(255))
        );
    }

    #[test]
    fn other_zone_text_is_read() {
        let text = "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1 admin 1 2 3 4 5\n@ IN MX 10 mail\n\
                    mail A 192.0.2.1\n     AAAA 2001:db8::1\nlong 60 IN TXT \"a\" \"b\" ; remark\n\
                    srv SRV 0 0 587 mail.example.org.\nodd TYPE65280 \\# 2 ABCD";
        let records = read(text).unwrap();
        assert_eq!(records.len(), 7);
        assert_eq!(
            records[0].data,
            RecordData::Soa(Box::new(StartOfAuthority {
                primary: "ns1.example.org".parse().unwrap(),
                mailbox: "admin.example.org".parse().unwrap(),
                serial: 1,
                refresh: 2,
                retry: 3,
                expire: 4,
                minimum: 5,
            }))
        );
        assert_eq!(records[3].owner.host(), "mail.example.org");
        assert_eq!((records[3].ttl, records[4].ttl), (300, 60));
        assert_eq!(records[4].data, RecordData::Txt(b"ab".to_vec()));
        assert_eq!(records[5].data.kind().number(), 33);
        assert_eq!(
            records[6].data,
            RecordData::Other {
                kind: 65280,
                data: vec![0xab, 0xcd]
            }
        );
        assert_eq!(read(&write(&records)).unwrap(), records);
    }

    #[test]
    fn faults_have_a_place() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(
            "a. IN A 192.0.2.1\nb. IN MX x mail.example.\n",
            "zone text is wrong at or just before 2:",
        );
        check(
            "a. IN TXT \"open\n",
            "zone text is wrong at or just before ",
        );
        check("$INCLUDE other.zone\n", "zone text includes `other.zone`");
    }

    fn any_name() -> impl Strategy<Value = Name> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 0..5)
            .prop_map(|labels| Name::from_labels(labels).unwrap())
    }

    fn any_data() -> impl Strategy<Value = RecordData> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| RecordData::A(octets.into())),
            any::<[u8; 16]>().prop_map(|octets| RecordData::Aaaa(octets.into())),
            any_name().prop_map(RecordData::Ptr),
            any_name().prop_map(RecordData::Cname),
            any_name().prop_map(RecordData::Ns),
            (any::<u16>(), any_name()).prop_map(|(preference, exchange)| RecordData::Mx {
                preference,
                exchange
            }),
            prop::collection::vec(any::<u8>(), 0..900).prop_map(RecordData::Txt),
            prop::collection::vec(any::<u8>(), 0..40)
                .prop_map(|data| RecordData::Other { kind: 65_280, data }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            records in prop::collection::vec(
                (any_name(), 0..=i32::MAX.unsigned_abs(), any_data())
                    .prop_map(|(owner, ttl, data)| Record { owner, ttl, data }),
                0..6,
            )
        ) {
            let text = write(&records);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(read(&text).unwrap(), records);
        }

        #[test]
        fn no_zone_text_panics(text in "[a-z.$@\"\\\\()0-9; \nTXTINA]{0,80}") {
            let _ = read(&text);
        }
    }
}
