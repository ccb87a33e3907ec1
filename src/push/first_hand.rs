//! A resolver that hears of a server's zones from the server itself.
//!
//! Owns the choice whom to ask. What is to be written is computed from what the server has, not
//! from what others still remember of it.

use std::sync::Arc;

use crate::dns::update::{UpdateError, UpdateServer};
use crate::dns::{Answer, DnsError, Name, RecordType, Resolver};

/// Asks the server about names in its own zones, and another resolver about all others.
pub struct FirstHand {
    /// The server.
    pub server: Arc<UpdateServer>,
    /// Who knows the rest.
    pub elsewhere: Arc<dyn Resolver>,
}

impl Resolver for FirstHand {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let said = self.server.answer(name, kind);
        match said.map_err(|error| failure(error, name.clone(), kind))? {
            Some(answer) => Ok(answer),
            None => self.elsewhere.lookup(name, kind),
        }
    }
}

/// The failure in the words of a resolver.
fn failure(error: UpdateError, name: Name, kind: RecordType) -> DnsError {
    match error {
        UpdateError::Unreachable { server, reason } | UpdateError::BrokeOff { server, reason } => {
            DnsError::Unreachable {
                name,
                kind,
                server,
                reason,
            }
        }
        UpdateError::Silent { server } => DnsError::Timeout { name, kind, server },
        UpdateError::Failed { server, .. } => DnsError::ServerFailure { name, kind, server },
        UpdateError::Untrusted { server, .. } => DnsError::Malformed { name, kind, server },
        UpdateError::Code { server, code, .. } => DnsError::Code {
            name,
            kind,
            server,
            code,
        },
        UpdateError::UnknownKey { server, .. }
        | UpdateError::WrongSecret { server, .. }
        | UpdateError::Clock { server, .. }
        | UpdateError::Refused { server, .. }
        | UpdateError::NoZone { server, .. }
        | UpdateError::NotPrimary { server, .. }
        | UpdateError::Changed { server, .. } => DnsError::Refused { name, kind, server },
        UpdateError::TooLong { about } => DnsError::Malformed {
            name,
            kind,
            server: about,
        },
    }
}
