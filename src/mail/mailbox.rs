//! Mail addresses of the plain kind: what a person types to say where mail goes.
//!
//! Owns [`Mailbox`], an RFC 5321 `Dot-string@Domain` of ASCII. Quoted local parts, address
//! literals and comments are lawful and hardly ever meant; they are refused, and with them
//! everything that could become a second header line, a second recipient or an option.

use std::fmt;

use crate::dns::Name;

/// RFC 5321, 4.5.3.1.1.
const LONGEST_LOCAL_PART: usize = 64;

/// The characters that may stand between the dots of a local part beside letters and digits
/// (RFC 5322, 3.2.3, `atext`).
const ATOM: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// `local@domain`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    local: String,
    domain: String,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// There is no `@`.
    #[error("it has no `@`")]
    NoDomain,
    /// A character that is not ASCII.
    #[error("only ASCII can be sent everywhere; write the domain as `xn--…`")]
    NotAscii,
    /// What stands before the `@`.
    #[error("what stands before the `@` is no plain name")]
    LocalPart,
    /// What stands behind the `@`.
    #[error("`{0}` is no domain")]
    Domain(String),
}

impl Mailbox {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none of the plain kind.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        if !text.is_ascii() {
            return Err(MailboxError::NotAscii);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(MailboxError::NoDomain)?;
        let is_atom = |atom: &str| {
            !atom.is_empty()
                && atom
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || ATOM.contains(&byte))
        };
        if local.len() > LONGEST_LOCAL_PART || !local.split('.').all(is_atom) {
            return Err(MailboxError::LocalPart);
        }
        let is_domain = domain.contains('.')
            && !domain.ends_with('.')
            && domain.parse().is_ok_and(|name: Name| name.is_host_name())
            // An address of numbers is no name (RFC 3696, 2).
            && !domain.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_domain {
            return Err(MailboxError::Domain(domain.to_owned()));
        }
        Ok(Self {
            local: local.to_owned(),
            domain: domain.to_ascii_lowercase(),
        })
    }

    /// What stands behind the `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken() {
        for (text, shown) in [
            ("bob@example.org", "bob@example.org"),
            ("a.b+c'd=e@Sub.Example.ORG", "a.b+c'd=e@sub.example.org"),
            ("-x@example.org", "-x@example.org"),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ] {
            assert_eq!(
                Mailbox::parse(text)
                    .map(|mailbox| mailbox.to_string())
                    .as_deref(),
                Ok(shown)
            );
        }
        assert_eq!(Mailbox::parse("a@B.example").unwrap().domain(), "b.example");
    }

    #[test]
    fn all_else_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "bob",
            "@example.org",
            "bob@",
            "bob@localhost",
            "bob@example.org.",
            "bob@[192.0.2.1]",
            "bob@192.0.2.1",
            "a b@example.org",
            "\"a b\"@example.org",
            "a@b@example.org",
            "<bob@example.org>",
            "bob@example.org,eve@example.org",
            "bob@example.org\nBcc: eve@example.org",
            "bob\r@example.org",
            "bob@exa\0mple.org",
            "a..b@example.org",
            ".a@example.org",
            "bücher@example.org",
            "bob@bücher.example",
            "bob@-x.example",
            "bob@ex_ample.org",
            &long,
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}
