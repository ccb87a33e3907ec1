//! What is known of the parameters of `main.cf`: which version has them, what they take.
//!
//! Owns `parameters.tsv` and the judgement of single values. Must not know
//! which value is a good idea. Follows postconf(5) of every release since 2.6.
//!
//! Only what Postfix itself would refuse is called a problem; a parameter
//! whose values cannot be listed is [`ValueKind::Text`] and never judged.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Version, split_list};

/// One parameter, or one a service gives its name to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name; `<transport>_…` for those that begin with the name of a service.
    pub name: &'static str,
    /// The first version of it; `None` for 2.0 and older.
    pub introduced: Option<Version>,
    /// Later patch releases of older series that have it too.
    pub backported: Vec<Version>,
    /// The first version without it.
    pub removed: Option<Version>,
    /// The first version that says it will go.
    pub deprecated: Option<Version>,
    /// What to use in its stead.
    pub replacement: Option<&'static str>,
    /// What it takes.
    pub kind: ValueKind,
    /// Its default in the newest version, nothing expanded; empty for an old name of another.
    pub default: &'static str,
    /// Older defaults: from which version on, oldest first; empty if it never changed since 2.6.
    defaults: Vec<(Version, &'static str)>,
}

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `yes` or `no`.
    Boolean,
    /// An integer.
    Number,
    /// An integer with a unit of time; without one the default unit counts.
    Time {
        /// `s`, `m`, `h`, `d` or `w`.
        unit: char,
    },
    /// One of some words.
    Word {
        /// The words.
        allowed: Vec<&'static str>,
        /// Whether the empty value is allowed.
        empty: bool,
    },
    /// A list of some words.
    Words {
        /// The words.
        allowed: Vec<&'static str>,
        /// Whether the empty value is allowed.
        empty: bool,
    },
    /// One `type:name`.
    Table,
    /// A list of `type:name`.
    Tables,
    /// A list of anything, tables and files often among it.
    List,
    /// The name of a service.
    Service,
    /// `transport:nexthop`.
    Transport,
    /// Text whose `$name` the daemon fills in when it delivers; not expanded as other values are.
    Raw,
    /// Anything else.
    Text,
}

/// Why Postfix refuses a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// Neither `yes` nor `no`.
    #[error("`{value}` is neither `yes` nor `no`")]
    Boolean {
        /// The value.
        value: String,
    },
    /// No integer.
    #[error("`{value}` is no number")]
    Number {
        /// The value.
        value: String,
    },
    /// No integer with a unit of time.
    #[error("`{value}` is no time; it takes a number with `s`, `m`, `h`, `d` or `w`")]
    Time {
        /// The value.
        value: String,
    },
    /// None of the allowed words.
    #[error("`{word}` is not one of `{}`", allowed.join("`, `"))]
    Word {
        /// The word.
        word: String,
        /// The allowed words.
        allowed: Vec<&'static str>,
    },
}

/// What the name of a parameter begins with if a service gives it its own name.
const SERVICE: &str = "<transport>";

/// How many letters may be wrong in a name for it to be a near miss.
const NEAR: usize = 2;

static PARAMETERS: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    include_str!("parameters.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| Parameter::read(line).expect("the table of parameters is well-formed"))
        .collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, &'static Parameter>> = LazyLock::new(|| {
    PARAMETERS
        .iter()
        .map(|parameter| (parameter.name, parameter))
        .collect()
});

/// Tells whether a parameter names a table that daemons make and keep themselves: a cache.
#[must_use]
pub fn is_cache(name: &str) -> bool {
    ["_cache_name", "_cache_database", "_cache_map"]
        .iter()
        .any(|end| name.ends_with(end))
        || name == "address_verify_map"
}

/// Lists every parameter, sorted by name.
#[must_use]
pub fn all() -> &'static [Parameter] {
    &PARAMETERS
}

/// Finds a parameter, also one that begins with the name of a service.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Parameter> {
    if let Some(parameter) = BY_NAME.get(name) {
        return Some(parameter);
    }
    PARAMETERS
        .iter()
        .filter(|parameter| {
            let suffix = parameter.name.strip_prefix(SERVICE);
            suffix.is_some_and(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
        })
        .max_by_key(|parameter| parameter.name.len())
}

/// Gives the service a parameter name begins with, if it is of that sort.
#[must_use]
pub fn service_of(name: &str) -> Option<&str> {
    let suffix = lookup(name)?.name.strip_prefix(SERVICE)?;
    name.strip_suffix(suffix)
}

/// Finds the parameter that was most likely meant by an unknown name.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    if lookup(name).is_some() {
        return None;
    }
    let folded = name.to_ascii_lowercase().replace('-', "_");
    PARAMETERS
        .iter()
        .filter(|parameter| parameter.name.len().abs_diff(name.len()) <= NEAR)
        .map(|parameter| {
            (
                distance(parameter.name.as_bytes(), folded.as_bytes()),
                parameter.name,
            )
        })
        // Of a short name two letters are too much.
        .filter(|(distance, known)| *distance <= NEAR.min(known.len() / 4))
        .min()
        .map(|(_, known)| known)
}

/// Counts the letters to insert, delete, replace or swap with a neighbour.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

impl Parameter {
    fn read(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let name = next()?;
        let introduced = version(next()?);
        let backported = next()?.split_whitespace().filter_map(version).collect();
        let removed = version(next()?);
        let deprecated = version(next()?);
        let replacement = Some(next()?).filter(|name| !name.is_empty());
        let kind = ValueKind::read(next()?)?;
        let default = next()?;
        let defaults = fields
            .map(|field| {
                let (since, default) = field.split_once('=')?;
                Some((version(since)?, default))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            name,
            introduced,
            backported,
            removed,
            deprecated,
            replacement,
            kind,
            default,
            defaults,
        })
    }

    /// Tells whether a version reads this parameter; others ignore it silently.
    #[must_use]
    pub fn exists_in(&self, version: Version) -> bool {
        let backported = self.backported.iter().any(|patch| {
            (patch.major, patch.minor) == (version.major, version.minor)
                && patch.patch <= version.patch
        });
        let introduced = self
            .introduced
            .is_none_or(|introduced| introduced <= version)
            || backported;
        introduced && self.removed.is_none_or(|removed| version < removed)
    }

    /// Gives the default of a version (2.6 and later), nothing expanded.
    ///
    /// A distribution may have compiled in another one.
    #[must_use]
    pub fn default_in(&self, version: Version) -> &'static str {
        let change = self
            .defaults
            .iter()
            .rev()
            .find(|(since, _)| *since <= version);
        match (change, self.defaults.first()) {
            (Some((_, default)), _) | (None, Some((_, default))) => default,
            (None, None) => self.default,
        }
    }

    /// Judges an expanded value as the program does that reads the parameter.
    ///
    /// # Errors
    /// Fails if that program stops with a message instead of running.
    pub fn check(&self, value: &str) -> Result<(), ValueProblem> {
        let problem = |make: fn(String) -> ValueProblem| Err(make(value.to_owned()));
        match &self.kind {
            ValueKind::Boolean if !is_boolean(value) => {
                problem(|value| ValueProblem::Boolean { value })
            }
            ValueKind::Number if !is_number(value) => {
                problem(|value| ValueProblem::Number { value })
            }
            ValueKind::Time { .. } if !is_time(value) => {
                problem(|value| ValueProblem::Time { value })
            }
            ValueKind::Word { allowed, empty } => {
                if (value.is_empty() && *empty) || is_word(value, allowed) {
                    return Ok(());
                }
                Err(ValueProblem::Word {
                    word: value.to_owned(),
                    allowed: allowed.clone(),
                })
            }
            ValueKind::Words { allowed, empty } => {
                let words = split_list(value);
                let wrong = words.iter().find(|word| !is_word(word, allowed));
                if wrong.is_none() && (*empty || !words.is_empty()) {
                    return Ok(());
                }
                Err(ValueProblem::Word {
                    word: wrong.cloned().unwrap_or_default(),
                    allowed: allowed.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

impl ValueKind {
    fn read(text: &'static str) -> Option<Self> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let allowed = || rest.split(',').collect();
        Some(match kind {
            "boolean" => Self::Boolean,
            "number" => Self::Number,
            "time" => Self::Time {
                unit: rest.chars().next()?,
            },
            "word" | "word?" => Self::Word {
                allowed: allowed(),
                empty: kind.ends_with('?'),
            },
            "words" | "words?" => Self::Words {
                allowed: allowed(),
                empty: kind.ends_with('?'),
            },
            "table" => Self::Table,
            "tables" => Self::Tables,
            "list" => Self::List,
            "service" => Self::Service,
            "transport" => Self::Transport,
            "raw" => Self::Raw,
            "text" => Self::Text,
            _ => return None,
        })
    }
}

/// Reads a version of the table, which names series by two numbers.
fn version(text: &str) -> Option<Version> {
    Version::parse(text)
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("no")
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_time(value: &str) -> bool {
    is_number(
        value
            .strip_suffix(['s', 'm', 'h', 'd', 'w'])
            .unwrap_or(value),
    ) && !value.starts_with('-')
}

fn is_word(value: &str, allowed: &[&str]) -> bool {
    allowed.iter().any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postfix::expand;
    use std::borrow::Cow;

    /// The default of every parameter is a value Postfix takes, in every release.
    #[test]
    fn every_default_is_accepted() {
        for minor in [(2, 6), (2, 9), (2, 11), (3, 0), (3, 7), (3, 11), (3, 12)] {
            let version = Version::new(minor.0, minor.1, 0);
            for parameter in all() {
                // An old name has no default: the default of its successor refers to it.
                let old_name =
                    parameter.replacement.is_some() && parameter.default_in(version).is_empty();
                if !parameter.exists_in(version) || parameter.kind == ValueKind::Raw || old_name {
                    continue;
                }
                let lookup =
                    |name: &str| lookup(name).map(|found| Cow::Borrowed(found.default_in(version)));
                let value = expand(parameter.default_in(version), &lookup).unwrap();
                assert_eq!(
                    parameter.check(&value),
                    Ok(()),
                    "{} of {version}",
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn parameters_are_found() {
        assert_eq!(all().len(), 964);
        assert_eq!(lookup("myhostname").unwrap().name, "myhostname");
        assert_eq!(lookup("Myhostname"), None);
        assert_eq!(
            lookup("smtp-ipv4_destination_rate_delay").unwrap().name,
            "<transport>_destination_rate_delay"
        );
        assert_eq!(
            service_of("smtp-ipv4_destination_rate_delay"),
            Some("smtp-ipv4")
        );
        assert_eq!(service_of("default_destination_rate_delay"), None);
        assert_eq!(lookup("_destination_rate_delay"), None);
    }

    #[test]
    fn versions_have_their_parameters() {
        let check = |name, version, expected| {
            let version = Version::parse(version).unwrap();
            assert_eq!(
                lookup(name).unwrap().exists_in(version),
                expected,
                "{name} in {version}"
            );
        };
        check("smtp_reply_filter", "2.6.6", false);
        check("smtp_reply_filter", "2.7.0", true);
        check("smtp_dns_reply_filter", "2.11.11", false);
        check("smtp_dns_reply_filter", "3.0.0", true);
        check("smtpd_forbid_bare_newline", "3.7.8", false);
        check("smtpd_forbid_bare_newline", "3.7.9", true);
        check("smtpd_forbid_bare_newline", "3.9.0", true);
        check("tls_legacy_public_key_fingerprints", "3.10.13", true);
        check("tls_legacy_public_key_fingerprints", "3.11.0", false);
        check("relayhost", "2.6.0", true);
    }

    #[test]
    fn defaults_depend_on_the_version() {
        let check = |name, version, expected| {
            let version = Version::parse(version).unwrap();
            assert_eq!(
                lookup(name).unwrap().default_in(version),
                expected,
                "{name} in {version}"
            );
        };
        check("inet_protocols", "2.8.1", "ipv4");
        check("inet_protocols", "3.7.11", "all");
        check("milter_default_action", "3.10.1", "tempfail");
        check("milter_default_action", "3.11.0", "shutdown");
        check("append_dot_mydomain", "2.6.0", "yes");
        check("transport_maps", "2.6.0", "");
    }

    #[test]
    fn values_are_judged_as_postfix_judges_them() {
        let check = |name, value, expected| {
            assert_eq!(
                lookup(name).unwrap().check(value).is_ok(),
                expected,
                "{name} = {value}"
            );
        };
        check("soft_bounce", "yes", true);
        check("soft_bounce", "No", true);
        check("soft_bounce", "true", false);
        check("soft_bounce", "", false);
        check("smtpd_hard_error_limit", "20", true);
        check("smtpd_hard_error_limit", "20 # was 10", false);
        check("smtp_connect_timeout", "5x", false);
        check("smtp_connect_timeout", "5", true);
        check("smtp_destination_rate_delay", "2s", true);
        check("smtp_destination_rate_delay", "fast", false);
        check("bounce_queue_lifetime", "1d12h", false);
        check("smtp_tls_security_level", "may", true);
        check("smtp_tls_security_level", "", true);
        check("smtp_tls_security_level", "maybe", false);
        check("smtp_address_preference", "foo", false);
        check("smtp_address_preference", "", false);
        check("inet_protocols", "ipv4, ipv6", true);
        check("inet_protocols", "ipv9", false);
        check("inet_protocols", "", false);
        check("internal_mail_filter_classes", "", true);
        check("relayhost", "whatever", true);
    }

    #[test]
    fn near_misses_are_found() {
        let check = |name, expected| assert_eq!(nearest(name), expected, "{name}");
        check("smtp_tls_securty_level", Some("smtp_tls_security_level"));
        check("inet_protcols", Some("inet_protocols"));
        check("RelayHost", Some("relayhost"));
        check("relayhost", None);
        check("mydomian", Some("mydomain"));
        check("PATH", None);
        check("mydomain_fallback", None);
        check("smtp-ipv4_destination_rate_delay", None);
    }
}
