//! Resource records.
//!
//! Owns [`Record`] and the record types that mail touches; every other type is
//! carried as bytes. Must not know how a record is written or asked for.
//! Follows RFC 1035, 3.3; RFC 3596; RFC 3597.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Name;

/// One resource record of class IN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The name it stands at.
    pub owner: Name,
    /// How long it may be cached, in seconds.
    pub ttl: u32,
    /// Type and content.
    pub data: RecordData,
}

/// Type and content of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name of an address.
    Ptr(Name),
    /// A mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host; the root says that the domain takes no mail (RFC 7505).
        exchange: Name,
    },
    /// Text, as one logical string: the strings of the record joined without a gap.
    Txt(Vec<u8>),
    /// Another name for the owner.
    Cname(Name),
    /// The start of a zone.
    Soa(Box<StartOfAuthority>),
    /// A name server.
    Ns(Name),
    /// Any other type.
    Other {
        /// Its number.
        kind: u16,
        /// Its content on the wire.
        data: Vec<u8>,
    },
}

/// Content of an SOA record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartOfAuthority {
    /// The primary server.
    pub primary: Name,
    /// Whom to write to, the `@` as a dot.
    pub mailbox: Name,
    /// Version of the zone.
    pub serial: u32,
    /// Seconds between a secondary's looks.
    pub refresh: u32,
    /// Seconds until it looks again after a failure.
    pub retry: u32,
    /// Seconds until it gives the zone up.
    pub expire: u32,
    /// Seconds that "no such record" may be cached.
    pub minimum: u32,
}

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// Mail exchanger.
    Mx,
    /// Name server.
    Ns,
    /// Name of an address.
    Ptr,
    /// Start of a zone.
    Soa,
    /// Text.
    Txt,
    /// Any other, by its number.
    Other(u16),
}

impl RecordData {
    /// Gives the type.
    #[must_use]
    pub fn kind(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Ptr(_) => RecordType::Ptr,
            Self::Mx { .. } => RecordType::Mx,
            Self::Txt(_) => RecordType::Txt,
            Self::Cname(_) => RecordType::Cname,
            Self::Soa(_) => RecordType::Soa,
            Self::Ns(_) => RecordType::Ns,
            Self::Other { kind, .. } => RecordType::Other(*kind),
        }
    }
}

impl RecordType {
    /// Gives the number used on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Ptr => 12,
            Self::Mx => 15,
            Self::Txt => 16,
            Self::Aaaa => 28,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for RecordType {
    fn from(number: u16) -> Self {
        const NAMED: [RecordType; 8] = [
            RecordType::A,
            RecordType::Ns,
            RecordType::Cname,
            RecordType::Soa,
            RecordType::Ptr,
            RecordType::Mx,
            RecordType::Txt,
            RecordType::Aaaa,
        ];
        NAMED
            .into_iter()
            .find(|kind| kind.number() == number)
            .unwrap_or(Self::Other(number))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Txt => "TXT",
            // RFC 3597, 5
            Self::Other(number) => return f.pad(&format!("TYPE{number}")),
        };
        f.pad(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_keep_their_numbers() {
        for number in 0..=300 {
            assert_eq!(RecordType::from(number).number(), number);
        }
        assert_eq!(RecordType::from(28), RecordType::Aaaa);
        assert_eq!(RecordType::from(99).to_string(), "TYPE99");
        assert_eq!(format!("{:<5}|", RecordType::Mx), "MX   |");
    }
}
