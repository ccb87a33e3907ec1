//! A record that must stand in DNS, and what it is there for.

use crate::dns::{Record, RecordData};
use crate::mail::dkim::KeyRecord;
use crate::mail::dmarc::Dmarc;
use crate::mail::spf::{self, Spf};

/// A record that must stand in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The record.
    pub record: Record,
    /// What it is there for.
    pub role: Role,
    /// Why, in one line.
    pub why: String,
    /// What stands in DNS in its place, as far as that was compared: the records that it
    /// replaces, or the alias that is in its way. None where nothing does.
    pub present: Vec<Record>,
}

/// What a record is there for.
///
/// It says which records of a set are replaced by it; all others of the set are somebody else's
/// and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An address of a name.
    Address,
    /// The name of an address.
    Reverse,
    /// A host that takes mail, or the word that none does.
    Exchange,
    /// Who may send (RFC 7208).
    Spf,
    /// A key of signatures (RFC 6376).
    Dkim,
    /// What becomes of forged mail (RFC 9989).
    Dmarc,
    /// That a domain takes DMARC reports about another one (RFC 9990, 4).
    ReportsTaken,
    /// Where reports about TLS go (RFC 8460).
    TlsReports,
    /// That there is a policy about TLS (RFC 8461).
    MtaSts,
}

impl Needed {
    /// A record that was not compared with what stands in DNS.
    #[must_use]
    pub fn new(role: Role, record: Record, why: impl Into<String>) -> Self {
        Self {
            record,
            role,
            why: why.into(),
            present: Vec::new(),
        }
    }

    /// Tells whether a record that stands there says the same, however it is written.
    #[must_use]
    pub fn is_met_by(&self, present: &RecordData) -> bool {
        let wanted = &self.record.data;
        if wanted == present {
            return true;
        }
        let (RecordData::Txt(wanted), RecordData::Txt(present)) = (wanted, present) else {
            return false;
        };
        let (Ok(wanted), Ok(present)) = (str::from_utf8(wanted), str::from_utf8(present)) else {
            return false;
        };
        match self.role {
            Role::Spf => same(Spf::parse(wanted), Spf::parse(present), |spf| {
                spf.to_string()
            }),
            // Flags and notes beside the key are the administrator's.
            Role::Dkim => same(KeyRecord::parse(wanted), KeyRecord::parse(present), |key| {
                key.key
            }),
            Role::Dmarc => same(Dmarc::parse(wanted), Dmarc::parse(present), |dmarc| dmarc),
            Role::ReportsTaken => begins_with(present, "v=DMARC1"),
            _ => false,
        }
    }

    /// Tells whether a record that stands in the same set has to go where this one is wanted.
    #[must_use]
    pub fn replaces(&self, present: &RecordData) -> bool {
        if self.is_met_by(present) {
            return false;
        }
        let begins = |version| match present {
            RecordData::Txt(text) => {
                str::from_utf8(text).is_ok_and(|text| begins_with(text, version))
            }
            _ => false,
        };
        match (self.role, &self.record.data, present) {
            // One name an address; two keys below one selector mean nothing (RFC 6376, 3.6.2.2).
            (Role::Reverse | Role::Dkim, ..) => true,
            (
                Role::Exchange,
                RecordData::Mx { exchange, .. },
                RecordData::Mx {
                    exchange: other, ..
                },
            ) => exchange == other || exchange.is_root() || other.is_root(), // RFC 7505, 3
            (Role::Spf, _, RecordData::Txt(text)) => spf::is_spf(text),
            (Role::Address | Role::Exchange | Role::Spf, ..) => false,
            (Role::Dmarc | Role::ReportsTaken, ..) => begins("v=DMARC1"),
            (Role::TlsReports, ..) => begins("v=TLSRPTv1"),
            (Role::MtaSts, ..) => begins("v=STSv1"),
        }
    }
}

/// Tells whether a tag list begins with a version.
fn begins_with(text: &str, version: &str) -> bool {
    let first = text.split(';').next().unwrap_or_default();
    let plain: String = first.split_ascii_whitespace().collect();
    plain.eq_ignore_ascii_case(version)
}

/// Tells whether both were read and agree in what counts.
fn same<T, E, C: PartialEq>(a: Result<T, E>, b: Result<T, E>, counts: impl Fn(T) -> C) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => counts(a) == counts(b),
        _ => false,
    }
}
