//! The boundary to DNS.
//!
//! Owns [`Resolver`], what it answers and how it fails. "There is no record"
//! is an answer; a server that failed, refused or kept silent is an error,
//! and the two are never confused.
//! Must not know what an answer is good for.

mod authoritative;
mod cached;
mod exchange;
mod fixed;
mod parallel;
mod real;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Name, Record, RecordData, RecordType};

pub use authoritative::{AuthoritativeResolver, Difference, NameServer, ServerFault, Version};
pub use cached::CachedResolver;
pub use fixed::FixedResolver;
pub use parallel::side_by_side;
pub use real::{RealResolver, UnhurriedResolver, server_address};

/// Answers questions to DNS.
///
/// Lookups take `&self` and may run side by side in threads.
pub trait Resolver: Send + Sync {
    /// Asks for the records of one type at a name; aliases are followed.
    ///
    /// # Errors
    /// Whenever it could not be found out whether there are such records.
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError>;

    /// Asks one question of very many: for these there is more time in all, and less for each.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    fn lookup_among_many(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        self.lookup(name, kind)
    }
}

impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        (**self).lookup(name, kind)
    }

    fn lookup_among_many(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        (**self).lookup_among_many(name, kind)
    }
}

impl<R: Resolver + ?Sized> Resolver for &R {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        (**self).lookup(name, kind)
    }

    fn lookup_among_many(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        (**self).lookup_among_many(name, kind)
    }
}

/// What DNS says of a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records; never empty. Their owner differs from the name asked for when that is an
    /// alias.
    Records(Vec<Record>),
    /// The name exists and has no record of the type.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
}

impl Answer {
    /// Gives the records; none for both ways of saying that there are none.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) => records,
            Self::NoData | Self::NoSuchName => &[],
        }
    }

    /// The mail hosts that MX records name, the preferred ones first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<(u16, &Name)> {
        let mut exchanges: Vec<(u16, &Name)> = self
            .records()
            .iter()
            .filter_map(|record| match &record.data {
                RecordData::Mx {
                    preference,
                    exchange,
                } => Some((*preference, exchange)),
                _ => None,
            })
            .collect();
        exchanges.sort();
        exchanges
    }
}

/// Why a lookup gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// Nothing may be asked.
    #[error("{kind} of `{}` was not looked up: offline", .name.host())]
    Offline {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
    },
    /// No server is known.
    #[error("{kind} of `{}` was not looked up: no DNS server is known", .name.host())]
    NoServer {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
    },
    /// No answer came in time.
    #[error("{server} did not answer in time for {kind} of `{}`", .name.host())]
    Timeout {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server, or the servers.
        server: String,
    },
    /// The server cannot be reached.
    #[error("{server} could not be asked for {kind} of `{}`: {reason}", .name.host())]
    Unreachable {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
        /// What the system says.
        reason: io::ErrorKind,
    },
    /// SERVFAIL: the server tried and could not find out.
    #[error("{server} failed (SERVFAIL) on {kind} of `{}`", .name.host())]
    ServerFailure {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
    },
    /// REFUSED: the server does not answer us.
    #[error("{server} refused to answer for {kind} of `{}`", .name.host())]
    Refused {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
    },
    /// Another failure code.
    #[error("{server} answered {code} for {kind} of `{}`", .name.host())]
    Code {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
        /// The code's name or number.
        code: String,
    },
    /// The server points elsewhere: it does not resolve for others.
    #[error("{server} only refers to other servers for {kind} of `{}`", .name.host())]
    Referral {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
    },
    /// The server is named for a zone and does not speak for it.
    #[error("{server} was asked for {kind} of `{}` and does not speak for its zone", .name.host())]
    Lame {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
    },
    /// No server of the zone can be asked.
    #[error("{kind} of `{}` was not looked up: no name server of `{}` has an address", .name.host(), .zone.host())]
    Unserved {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The zone.
        zone: Name,
    },
    /// An alias leads to an alias, and so on without end.
    #[error("{kind} of `{}` cannot be looked up: its aliases lead round in a circle, or on too far", .name.host())]
    Aliases {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
    },
    /// The answer cannot be understood.
    #[error("{server} gave a malformed answer for {kind} of `{}`", .name.host())]
    Malformed {
        /// The name asked for.
        name: Name,
        /// The type asked for.
        kind: RecordType,
        /// The server.
        server: String,
    },
}

impl DnsError {
    /// Tells whether no server said anything at all: asking for another name is of no use.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Offline { .. }
                | Self::NoServer { .. }
                | Self::Timeout { .. }
                | Self::Unreachable { .. }
        )
    }
}

/// How long others may go on believing that a record is not there, after it is: what the zone
/// of the name allows them to remember "no" for (RFC 2308, 5).
///
/// # Errors
/// When the zone cannot be asked.
pub fn negative_ttl(resolver: &dyn Resolver, name: &Name) -> Result<Duration, DnsError> {
    let mut zone = Some(name.clone());
    while let Some(apex) = zone {
        let answer = resolver.lookup(&apex, RecordType::Soa)?;
        let seconds = answer
            .records()
            .iter()
            .find_map(|record| match &record.data {
                RecordData::Soa(soa) if record.owner == apex => Some(record.ttl.min(soa.minimum)),
                _ => None,
            });
        if let Some(seconds) = seconds {
            return Ok(Duration::from_secs(seconds.into()));
        }
        zone = apex.parent();
    }
    Err(DnsError::NoServer {
        name: name.clone(),
        kind: RecordType::Soa,
    })
}

/// Answers that nothing may be asked; for `--offline`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfflineResolver;

impl Resolver for OfflineResolver {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let name = name.clone();
        Err(DnsError::Offline { name, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_says_so() {
        let name = "mail.example.org".parse().unwrap();
        let error = OfflineResolver.lookup(&name, RecordType::A).unwrap_err();
        assert_eq!(
            error.to_string(),
            "A of `mail.example.org` was not looked up: offline"
        );
    }
}
