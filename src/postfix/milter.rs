//! Milters as `smtpd_milters` and `non_smtpd_milters` name them.
//!
//! Owns the reading of one item and when two items mean one socket. A name without a slash in
//! front lies below the queue directory, and so does every name where the daemon is locked in.
// postconf(5), "smtpd_milters"; MILTER_README, "Configuring Milters"

use std::fmt;

/// Where a milter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milter {
    /// On a port.
    Inet {
        /// The host, without brackets.
        host: String,
        /// The port.
        port: String,
    },
    /// On a socket file.
    Unix {
        /// Its path as written.
        path: String,
    },
}

impl Milter {
    /// Reads an item of a list; `None` where Postfix would refuse it.
    #[must_use]
    pub fn parse(item: &str) -> Option<Self> {
        let item = item.trim();
        // `{ inet:…, default_action = accept }`
        let inside = item
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let socket = match inside {
            None => item,
            Some(inside) => inside
                .split([',', ' ', '\t', '\r', '\n'])
                .find(|word| !word.is_empty())?,
        };
        let (kind, name) = socket.split_once(':')?;
        match kind {
            "inet" => {
                let (host, port) = name.rsplit_once(':')?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Some(Self::Inet {
                    host: host.to_owned(),
                    port: port.to_owned(),
                })
            }
            "unix" | "local" if !name.is_empty() => Some(Self::Unix {
                path: name.to_owned(),
            }),
            _ => None,
        }
    }

    /// Tells whether two names lead to one socket, given the queue directory.
    #[must_use]
    pub fn is_same(&self, other: &Self, queue: &str) -> bool {
        match (self, other) {
            (Self::Inet { host, port }, Self::Inet { host: h, port: p }) => {
                port == p && (host == h || (is_loopback(host) && is_loopback(h)))
            }
            (Self::Unix { path: one }, Self::Unix { path: two }) => {
                let queue = queue.trim_end_matches('/');
                let inside = |path: &str| {
                    let rest = path.strip_prefix(queue).unwrap_or(path);
                    rest.trim_start_matches('/').to_owned()
                };
                inside(one) == inside(two)
            }
            _ => false,
        }
    }

    /// Tells whether only this host reaches it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Inet { host, .. } => is_loopback(host),
            Self::Unix { .. } => true,
        }
    }
}

impl fmt::Display for Milter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet { host, port } if host.contains(':') => write!(f, "inet:[{host}]:{port}"),
            Self::Inet { host, port } => write!(f, "inet:{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{path}"),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, expected: Option<&str>) {
        let found = Milter::parse(item).map(|milter| milter.to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn items_are_read_in_every_form() {
        check("inet:127.0.0.1:8891", Some("inet:127.0.0.1:8891"));
        check("inet:[::1]:8891", Some("inet:[::1]:8891"));
        check("unix:opendkim/sock", Some("unix:opendkim/sock"));
        check("local:/run/a", Some("unix:/run/a"));
        check(
            "{ inet:localhost:11332, default_action=accept }",
            Some("inet:localhost:11332"),
        );
        check("localhost", None);
        check("inet:8891", None);
        check("{}", None);
    }

    #[track_caller]
    fn same(one: &str, two: &str, expected: bool) {
        let (first, second) = (Milter::parse(one).unwrap(), Milter::parse(two).unwrap());
        assert_eq!(first.is_same(&second, "/var/spool/postfix"), expected);
    }

    #[test]
    fn one_socket_has_many_names() {
        same("inet:localhost:8891", "inet:127.0.0.1:8891", true);
        same("inet:[::1]:8891", "inet:localhost:8891", true);
        same("inet:127.0.0.1:8891", "inet:127.0.0.1:8893", false);
        same("inet:192.0.2.1:8891", "inet:127.0.0.1:8891", false);
        same("unix:a/b", "unix:/var/spool/postfix/a/b", true);
        same("unix:/a/b", "unix:a/b", true);
        same("unix:a/b", "unix:a/c", false);
        same("unix:8891", "inet:localhost:8891", false);
    }
}
