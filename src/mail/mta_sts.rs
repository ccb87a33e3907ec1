//! MTA-STS: that mail to a domain is only to be sent encrypted, and to which hosts.
//!
//! Owns the record that announces a policy, and the policy, which stands on a web server. Must
//! not know how either is published or fetched.
//! Follows RFC 8461, 3.

use std::fmt::{self, Write as _};
use std::ops::Range;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::Deserialize;

use super::tag_list::{self, TagError, TagFault};
use crate::dns::{Name, NameError};
use crate::finding::escape;

/// What every record begins with.
const VERSION: &str = "v=STSv1";

/// Most letters of an id.
const LONGEST_ID: usize = 32;

/// The longest time a policy may be kept: about a year.
pub const LONGEST_AGE: u32 = 31_557_600;

/// The record that says which policy is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtaSts {
    /// `id`: another one with every change of the policy.
    pub id: String,
    /// Tags of later standards, as they stand there.
    pub other: Vec<(String, String)>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What senders do where it is not kept.
    pub mode: Mode,
    /// The hosts that take mail; `*.example.org` is any one label. Empty only with
    /// [`Mode::None`].
    pub hosts: Vec<String>,
    /// How long senders may keep it, in seconds.
    pub max_age: u32,
}

/// What senders do where a policy is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They report it and deliver.
    #[default]
    Testing,
    /// They do not deliver.
    Enforce,
    /// There is no policy any more.
    None,
}

/// Why a text is no policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PolicyError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub fault: PolicyFault,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// No `:`.
    #[error("`{0}` is no `key: value`")]
    NoPair(String),
    /// A value that the key does not take.
    #[error("`{key}: {value}` is wrong: {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, escaped.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A key a second time that may stand there once.
    #[error("`{0}` stands there twice")]
    Twice(&'static str),
    /// A key that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
}

impl MtaSts {
    /// Gives the name the record of a domain stands at.
    ///
    /// # Errors
    /// When the name gets too long.
    pub fn owner(domain: &Name) -> Result<Name, NameError> {
        domain.below("_mta-sts")
    }

    /// Gives the host that serves the policy of a domain.
    ///
    /// # Errors
    /// When the name gets too long.
    pub fn policy_host(domain: &Name) -> Result<Name, NameError> {
        domain.below("mta-sts")
    }

    /// Announces a policy: the same one always by the same id.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let sum = digest::digest(&digest::SHA256, policy.to_string().as_bytes());
        let mut id = HEXLOWER.encode(sum.as_ref());
        id.truncate(LONGEST_ID);
        Self {
            id,
            other: Vec::new(),
        }
    }

    /// Reads a record strictly.
    ///
    /// # Errors
    /// The first fault with its place.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let tags = tag_list::parse(text)?;
        let mut tags = tags.iter();
        tag_list::version(tags.next(), VERSION)?;
        let mut id = None;
        let mut other = Vec::new();
        for tag in tags {
            if tag.name != "id" {
                other.push((tag.name.clone(), tag.value.clone()));
            } else if (1..=LONGEST_ID).contains(&tag.value.len())
                && tag.value.bytes().all(|b| b.is_ascii_alphanumeric())
            {
                id = Some(tag.value.clone());
            } else {
                return Err(tag.refuse("id", "it has 1 to 32 letters and digits"));
            }
        }
        let missing = || TagError {
            span: text.len()..text.len(),
            fault: TagFault::Missing { name: "id" },
        };
        Ok(Self {
            id: id.ok_or_else(missing)?,
            other,
        })
    }
}

impl fmt::Display for MtaSts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}; id={}", self.id)?;
        self.other
            .iter()
            .try_for_each(|(tag, value)| write!(f, "; {tag}={value}"))
    }
}

impl Policy {
    /// Reads a policy strictly; lines may end either way.
    ///
    /// # Errors
    /// The first fault with its place.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut hosts = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let at = start;
            start += line.len();
            let plain = line.trim_ascii_end();
            if plain.is_empty() {
                continue;
            }
            let fail = |fault| PolicyError {
                span: at..at + plain.len(),
                fault,
            };
            let (key, value) = plain
                .split_once(':')
                .ok_or_else(|| fail(PolicyFault::NoPair(escape(plain))))?;
            let value = value.trim_ascii();
            let refuse = |key, expected| {
                fail(PolicyFault::Value {
                    key,
                    value: escape(value),
                    expected,
                })
            };
            let is_second = match key {
                "version" if value == "STSv1" => version.replace(()).is_some(),
                "version" => return Err(refuse("version", "it is `STSv1`")),
                "mode" => {
                    let found = [Mode::Testing, Mode::Enforce, Mode::None]
                        .into_iter()
                        .find(|mode| mode.to_string() == value)
                        .ok_or_else(|| refuse("mode", "it is `testing`, `enforce` or `none`"))?;
                    mode.replace(found).is_some()
                }
                "max_age" => {
                    let found = value
                        .parse::<u32>()
                        .ok()
                        .filter(|seconds| *seconds <= LONGEST_AGE)
                        .ok_or_else(|| refuse("max_age", "it is a number up to 31557600"))?;
                    max_age.replace(found).is_some()
                }
                "mx" => {
                    let host = value.strip_prefix("*.").unwrap_or(value);
                    if !host.parse::<Name>().is_ok_and(|name| name.is_host_name()) {
                        return Err(refuse("mx", "it is a host name, or one behind `*.`"));
                    }
                    hosts.push(value.to_ascii_lowercase());
                    false
                }
                _ => false, // keys of later standards
            };
            if is_second {
                return Err(fail(PolicyFault::Twice(match key {
                    "version" => "version",
                    "mode" => "mode",
                    _ => "max_age",
                })));
            }
        }
        let missing = |key| PolicyError {
            span: text.len()..text.len(),
            fault: PolicyFault::Missing(key),
        };
        version.ok_or_else(|| missing("version"))?;
        let policy = Self {
            mode: mode.ok_or_else(|| missing("mode"))?,
            hosts,
            max_age: max_age.ok_or_else(|| missing("max_age"))?,
        };
        if policy.hosts.is_empty() && policy.mode != Mode::None {
            return Err(missing("mx"));
        }
        Ok(policy)
    }
}

impl fmt::Display for Policy {
    /// Prints the text of the policy file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("version: STSv1\nmode: {}\n", self.mode);
        for host in &self.hosts {
            writeln!(text, "mx: {host}")?;
        }
        writeln!(text, "max_age: {}", self.max_age)?;
        f.write_str(&text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Testing => "testing",
            Self::Enforce => "enforce",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy {
            mode: Mode::Enforce,
            hosts: vec!["mail.example.org".to_owned(), "*.example.net".to_owned()],
            max_age: 604_800,
        }
    }

    #[test]
    fn records_print_as_they_were_read() {
        for text in ["v=STSv1; id=20160831085700Z", "v=STSv1; id=a; x=y"] {
            assert_eq!(MtaSts::parse(text).unwrap().to_string(), text);
        }
        let loose = MtaSts::parse("v=STSv1;id = 1 ;").unwrap();
        assert_eq!(loose.to_string(), "v=STSv1; id=1");
    }

    #[test]
    fn faults_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = MtaSts::parse(text).expect_err(text);
            assert_eq!(text.get(error.span.clone()), Some(place), "{text}");
            assert_eq!(error.to_string(), expected, "{text}");
        };
        let version = "the record does not begin with `v=STSv1`";
        check("v=STSv2; id=1", "v=STSv2", version);
        check("id=1; v=STSv1", "id=1", version);
        check("v=STSv1", "", "`id=` is missing");
        let long = format!("id={}", "a".repeat(33));
        for id in ["id=", "id=2026-11-26", long.as_str()] {
            check(
                &format!("v=STSv1; {id}"),
                id,
                &format!("`{id}` is wrong: it has 1 to 32 letters and digits"),
            );
        }
    }

    #[test]
    fn a_policy_keeps_its_id_until_it_changes() {
        let first = MtaSts::of(&policy());
        assert_eq!(first, MtaSts::of(&policy()));
        assert_eq!(MtaSts::parse(&first.to_string()).unwrap(), first);
        let mut other = policy();
        other.mode = Mode::Testing;
        assert_ne!(first.id, MtaSts::of(&other).id);
    }

    #[test]
    fn policies_print_as_they_were_read() {
        let text = "version: STSv1\nmode: enforce\nmx: mail.example.org\nmx: *.example.net\n\
                    max_age: 604800\n";
        assert_eq!(policy().to_string(), text);
        assert_eq!(Policy::parse(text).unwrap(), policy());
        let crlf = text.replace('\n', "\r\n") + "later: on";
        assert_eq!(Policy::parse(&crlf).unwrap(), policy());
    }

    #[test]
    fn faults_of_policies_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = Policy::parse(text).expect_err(text);
            assert_eq!(text.get(error.span.clone()), Some(place), "{text}");
            assert_eq!(error.to_string(), expected, "{text}");
        };
        check("", "", "`version` is missing");
        check("version: STSv1\n", "", "`mode` is missing");
        check("mode none\n", "mode none", "`mode none` is no `key: value`");
        check(
            "version: STSv1\nmode: on\n",
            "mode: on",
            "`mode: on` is wrong: it is `testing`, `enforce` or `none`",
        );
        check(
            "version: STSv1\nmode: testing\nmax_age: 1\n",
            "",
            "`mx` is missing",
        );
        check(
            "max_age: 31557601",
            "max_age: 31557601",
            "`max_age: 31557601` is wrong: it is a number up to 31557600",
        );
        check(
            "mode: none\nmode: none",
            "mode: none",
            "`mode` stands there twice",
        );
        check(
            "mx: 192.0.2.1",
            "mx: 192.0.2.1",
            "`mx: 192.0.2.1` is wrong: it is a host name, or one behind `*.`",
        );
    }

    #[test]
    fn names() {
        let domain = "example.org".parse().unwrap();
        assert_eq!(
            MtaSts::owner(&domain).unwrap().host(),
            "_mta-sts.example.org"
        );
        assert_eq!(
            MtaSts::policy_host(&domain).unwrap().host(),
            "mta-sts.example.org"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(v=STSv1;|version: STSv1\n)?[ -~\n\u{fc}]{0,60}") {
            if let Ok(record) = MtaSts::parse(&text) {
                prop_assert_eq!(MtaSts::parse(&record.to_string()).unwrap(), record);
            }
            if let Err(error) = Policy::parse(&text) {
                prop_assert!(text.get(error.span).is_some());
            }
        }
    }
}
