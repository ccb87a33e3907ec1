//! The record of a domain among its TXT records.
//!
//! Owns which of them is the SPF record, and the look at a record that is not published yet.
//! Follows RFC 7208, 3.2 and 4.4 to 4.5.

use super::evaluate::Unconfirmed;
use super::record::strip_version;
use super::{Lookup, Spf};
use crate::dns::{Answer, DnsError, Name, Record, RecordData, RecordType};

/// Tells whether the text of a TXT record is an SPF record (RFC 7208, 4.5).
#[must_use]
pub fn is_spf(text: &[u8]) -> bool {
    strip_version(&String::from_utf8_lossy(text)).is_some()
}

/// Picks the SPF records out of the TXT records of a domain, as text; more than one is an error.
#[must_use]
pub fn spf_texts(answer: &Answer) -> Vec<String> {
    answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Txt(text) if is_spf(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        })
        .collect()
}

/// Fetches the SPF record of a domain; `None` where it has none.
///
/// # Errors
/// When the lookup fails, there are several records, or the one has faults.
pub fn published(domain: &Name, lookup: &Lookup<'_>) -> Result<Option<Spf>, Unconfirmed> {
    sole_record(domain, &lookup(domain, RecordType::Txt)?)
}

/// Reads the one SPF record among the TXT records of a domain (RFC 7208, 4.5).
pub(super) fn sole_record(domain: &Name, answer: &Answer) -> Result<Option<Spf>, Unconfirmed> {
    match spf_texts(answer).as_slice() {
        [] => Ok(None),
        [one] => Spf::parse(one)
            .map(Some)
            .map_err(|errors| Unconfirmed::Syntax {
                domain: domain.clone(),
                errors,
            }),
        many => Err(Unconfirmed::SeveralRecords {
            domain: domain.clone(),
            count: many.len(),
        }),
    }
}

/// Makes lookups as they will be answered once `text` is the record of `domain`.
pub fn as_if<'a>(
    domain: &'a Name,
    text: &'a str,
    lookup: &'a Lookup<'a>,
) -> impl Fn(&Name, RecordType) -> Result<Answer, DnsError> + 'a {
    move |name, kind| {
        if name != domain || kind != RecordType::Txt {
            return lookup(name, kind);
        }
        Ok(Answer::Records(vec![Record {
            owner: domain.clone(),
            ttl: 0,
            data: RecordData::Txt(text.into()),
        }]))
    }
}
