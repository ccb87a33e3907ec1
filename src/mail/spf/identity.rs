//! Who a message claims to be from.
//!
//! Owns the values that macros take from a message. They are texts: what a client says in HELO
//! may be anything.
//! Follows RFC 7208, 2.3, 2.4 and 4.3.

use std::net::IpAddr;

/// The local part where the sender gives none (RFC 7208, 4.3).
const POSTMASTER: &str = "postmaster";

/// An address and the names it gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The address of the client.
    pub address: IpAddr,
    /// What it said in HELO or EHLO, as it said it.
    pub helo: String,
    /// The sender in front of the `@`.
    pub local_part: String,
    /// The sender behind the `@`: the domain that is asked.
    pub domain: String,
    /// The receiving host, for explanations.
    pub receiver: String,
    /// The time in seconds since 1970, for explanations.
    pub time: i64,
}

impl Identity {
    /// The one of MAIL FROM; bounces, which have none, are judged by HELO (RFC 7208, 2.4).
    #[must_use]
    pub fn mail_from(address: IpAddr, helo: &str, sender: &str) -> Self {
        let (local_part, domain) = match sender.rsplit_once('@') {
            _ if sender.is_empty() => (POSTMASTER, helo),
            Some(("", domain)) => (POSTMASTER, domain),
            Some(parts) => parts,
            None => (POSTMASTER, sender),
        };
        Self {
            // RFC 7208, 5: ::ffff:192.0.2.1 is an IPv4 address
            address: address.to_canonical(),
            helo: helo.to_owned(),
            local_part: local_part.to_owned(),
            domain: domain.to_owned(),
            receiver: "unknown".to_owned(),
            time: 0,
        }
    }

    /// The one of HELO (RFC 7208, 2.3).
    #[must_use]
    pub fn helo(address: IpAddr, helo: &str) -> Self {
        Self::mail_from(address, helo, "")
    }

    /// Gives the sender whole.
    #[must_use]
    pub fn sender(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_taken_apart() {
        for (sender, expected) in [
            ("", "postmaster@mail.example.net"),
            ("@example.org", "postmaster@example.org"),
            ("example.org", "postmaster@example.org"),
            ("bob@example.org", "bob@example.org"),
            ("\"a@b\"@example.org", "\"a@b\"@example.org"),
        ] {
            let identity = Identity::mail_from([192, 0, 2, 1].into(), "mail.example.net", sender);
            assert_eq!(identity.sender(), expected);
        }
    }
}
