//! How a name server is named: by address or by name, with or without a port.
//!
//! Owns [`ServerName`]. Must not know how a name is turned into addresses.
//! Follows RFC 3986, 3.2.2, for the brackets around an IPv6 address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::dns::Name;

/// The port of DNS.
const PORT: u16 = 53;

/// A name server as a person writes it: `192.0.2.53`, `[2001:db8::53]:5353`, `ns1.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// Where it is.
    pub host: ServerHost,
    /// The port.
    pub port: u16,
}

/// Where a name server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerHost {
    /// At an address.
    Address(IpAddr),
    /// Where a name leads.
    Name(Name),
}

/// A text that names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no name server: write an address or a name, and `:PORT` where it is not 53", crate::finding::escape(.text))]
pub struct ServerNameError {
    text: String,
}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).ok_or_else(|| ServerNameError {
            text: text.to_owned(),
        })
    }
}

fn read(text: &str) -> Option<ServerName> {
    let host = |host: &str| -> Option<ServerHost> {
        if let Ok(address) = host.parse() {
            return Some(ServerHost::Address(address));
        }
        let name: Name = host.parse().ok()?;
        name.is_host_name().then_some(ServerHost::Name(name))
    };
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(ServerName {
            host: ServerHost::Address(address.into()),
            port: match rest.strip_prefix(':') {
                Some(number) => port(number)?,
                None if rest.is_empty() => PORT,
                None => return None,
            },
        });
    }
    // An IPv6 address without brackets has several colons, and then no port.
    match text.split_once(':') {
        Some((front, number)) if !number.contains(':') => Some(ServerName {
            host: host(front)?,
            port: port(number)?,
        }),
        _ => Some(ServerName {
            host: host(text)?,
            port: PORT,
        }),
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ServerHost::Address(IpAddr::V6(address)) if self.port != PORT => {
                write!(f, "[{address}]")?;
            }
            ServerHost::Address(address) => write!(f, "{address}")?,
            ServerHost::Name(name) => f.write_str(&name.host())?,
        }
        match self.port {
            PORT => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_as_people_do() {
        let check = |text: &str, expected: &str| {
            let said = match text.parse::<ServerName>() {
                Ok(server) => server.to_string(),
                Err(_) => "none".to_owned(),
            };
            assert_eq!(said, expected, "{text}");
        };
        check("192.0.2.53", "192.0.2.53");
        check("192.0.2.53:53", "192.0.2.53");
        check("192.0.2.53:5353", "192.0.2.53:5353");
        check("2001:db8::53", "2001:db8::53");
        check("[2001:db8::53]", "2001:db8::53");
        check("[2001:db8::53]:5353", "[2001:db8::53]:5353");
        check("NS1.example.org", "ns1.example.org");
        check("ns1.example.org:5353", "ns1.example.org:5353");
        for text in [
            "",
            ":53",
            "192.0.2.53:",
            "192.0.2.53:0",
            "a b",
            "[::1]5",
            "[x]:5",
            "ns1:99999",
        ] {
            check(text, "none");
        }
        assert_eq!(
            "a\u{1b}[2J".parse::<ServerName>().unwrap_err().to_string(),
            "`a\\u{1b}[2J` names no name server: write an address or a name, and `:PORT` where it is not 53"
        );
    }
}
