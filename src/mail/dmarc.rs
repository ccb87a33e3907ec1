//! DMARC: what receivers are to do with mail that is not proven to be ours.
//!
//! Owns the policy record. Must not know whether mail passes it.
//! Follows RFC 9989, which knows no `pct`, `rf` and `ri` any more.

use std::fmt;
use std::str::FromStr;

use super::tag_list::{self, Tag, TagError, TagFault};
use crate::dns::{Name, NameError};

/// What every record begins with.
const VERSION: &str = "v=DMARC1";

/// Tags of RFC 7489 that receivers now ignore (RFC 9989, appendix C).
const REMOVED: [&str; 3] = ["pct", "rf", "ri"];

/// A policy record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dmarc {
    /// `p`: what is to be done with mail of the domain that fails. A record without it, and
    /// with somewhere to report to, means `none`.
    pub policy: Option<Policy>,
    /// `sp`: the same for subdomains that exist.
    pub subdomains: Option<Policy>,
    /// `np`: the same for subdomains that do not exist.
    pub nonexistent: Option<Policy>,
    /// `adkim`: how the DKIM domain must fit.
    pub dkim_alignment: Option<Alignment>,
    /// `aspf`: how the SPF domain must fit.
    pub spf_alignment: Option<Alignment>,
    /// `t`: the policy is being tried out and softened by one step.
    pub testing: Option<bool>,
    /// `rua`: where daily reports go.
    pub aggregate_reports: Vec<ReportUri>,
    /// `ruf`: where reports of single failures go.
    pub failure_reports: Vec<ReportUri>,
    /// Tags that this list lacks, such as `fo` and `psd`, as they stand there.
    pub other: Vec<(String, String)>,
}

/// What is to be done with mail that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    None,
    /// Treat it as suspicious.
    Quarantine,
    /// Refuse it.
    Reject,
}

/// How a domain must fit the one in From.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// `r`: the organizational domains must be the same.
    Relaxed,
    /// `s`: the domains must be the same.
    Strict,
}

/// Where reports go, such as `mailto:dmarc@example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportUri(String);

/// Something that receivers ignore and that is most likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// A tag that RFC 9989 took out.
    #[error("`{tag}=` was removed by RFC 9989; receivers ignore it")]
    Removed {
        /// The tag.
        tag: String,
    },
    /// A tag nobody knows.
    #[error("`{tag}=` is no tag of DMARC; receivers ignore it")]
    Unknown {
        /// The tag.
        tag: String,
    },
    /// No `p=`.
    #[error("without `p=` the policy is `none`, and older receivers ignore the record")]
    NoPolicy,
    /// A size behind a report address.
    #[error("the size behind `{uri}` was removed by RFC 9989; receivers ignore it")]
    ReportSize {
        /// The address.
        uri: String,
    },
}

impl Dmarc {
    /// Gives the name the record of a domain stands at.
    ///
    /// # Errors
    /// When the name gets too long.
    pub fn owner(domain: &Name) -> Result<Name, NameError> {
        domain.below("_dmarc")
    }

    /// Reads a record strictly.
    ///
    /// # Errors
    /// The first fault with its place. Receivers pass over some of them, each its own way.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let tags = tag_list::parse(text)?;
        let mut tags = tags.iter();
        let first = tags.next();
        // RFC 9989, 4.7: the version is the first tag, its value in this case.
        if !first.is_some_and(|tag| tag.name.eq_ignore_ascii_case("v") && tag.value == "DMARC1") {
            return Err(TagError {
                span: first.map(|tag| tag.span.clone()).unwrap_or_default(),
                fault: TagFault::Version { version: VERSION },
            });
        }
        let mut record = Self::default();
        for tag in tags {
            match tag.name.to_ascii_lowercase().as_str() {
                "p" => record.policy = Some(policy(tag, "p")?),
                "sp" => record.subdomains = Some(policy(tag, "sp")?),
                "np" => record.nonexistent = Some(policy(tag, "np")?),
                "adkim" => record.dkim_alignment = Some(alignment(tag, "adkim")?),
                "aspf" => record.spf_alignment = Some(alignment(tag, "aspf")?),
                "t" => {
                    record.testing = Some(match tag.value.to_ascii_lowercase().as_str() {
                        "y" => true,
                        "n" => false,
                        _ => return Err(tag.refuse("t", "it is `y` or `n`")),
                    });
                }
                "rua" => record.aggregate_reports = uris(tag, "rua")?,
                "ruf" => record.failure_reports = uris(tag, "ruf")?,
                _ => record.other.push((tag.name.clone(), tag.value.clone())),
            }
        }
        if record.policy.is_none() && record.aggregate_reports.is_empty() {
            return Err(TagError {
                span: text.len()..text.len(),
                fault: TagFault::Missing { name: "p" },
            });
        }
        Ok(record)
    }

    /// Lists what receivers ignore.
    #[must_use]
    pub fn oddities(&self) -> Vec<Oddity> {
        const KEPT: [&str; 2] = ["fo", "psd"];
        let mut found = Vec::new();
        if self.policy.is_none() {
            found.push(Oddity::NoPolicy);
        }
        for uri in self.aggregate_reports.iter().chain(&self.failure_reports) {
            if uri.0.contains('!') {
                found.push(Oddity::ReportSize { uri: uri.0.clone() });
            }
        }
        for (tag, _) in &self.other {
            let known = tag.to_ascii_lowercase();
            let tag = tag.clone();
            if REMOVED.contains(&known.as_str()) {
                found.push(Oddity::Removed { tag });
            } else if !KEPT.contains(&known.as_str()) {
                found.push(Oddity::Unknown { tag });
            }
        }
        found
    }
}

impl fmt::Display for Dmarc {
    /// Prints the record, `p` right behind the version, where older receivers want it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        let policies = [
            ("p", self.policy),
            ("sp", self.subdomains),
            ("np", self.nonexistent),
        ];
        for (tag, policy) in policies {
            if let Some(policy) = policy {
                write!(f, "; {tag}={policy}")?;
            }
        }
        let alignments = [("adkim", self.dkim_alignment), ("aspf", self.spf_alignment)];
        for (tag, alignment) in alignments {
            match alignment {
                Some(Alignment::Relaxed) => write!(f, "; {tag}=r")?,
                Some(Alignment::Strict) => write!(f, "; {tag}=s")?,
                None => {}
            }
        }
        if let Some(testing) = self.testing {
            write!(f, "; t={}", if testing { 'y' } else { 'n' })?;
        }
        let reports = [
            ("rua", &self.aggregate_reports),
            ("ruf", &self.failure_reports),
        ];
        for (tag, uris) in reports {
            if !uris.is_empty() {
                let uris: Vec<&str> = uris.iter().map(|uri| uri.0.as_str()).collect();
                write!(f, "; {tag}={}", uris.join(","))?;
            }
        }
        self.other
            .iter()
            .try_for_each(|(tag, value)| write!(f, "; {tag}={value}"))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        })
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        [Self::None, Self::Quarantine, Self::Reject]
            .into_iter()
            .find(|policy| policy.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPolicy {
                text: crate::finding::escape(text),
            })
    }
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no DMARC policy; there are `none`, `quarantine` and `reject`")]
pub struct UnknownPolicy {
    /// The text, escaped.
    pub text: String,
}

/// Why a text is no place to report to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no report address; write `mailto:NAME@DOMAIN`, `,` `;` and blanks percent-encoded"
)]
pub struct BadReportUri {
    /// The text, escaped.
    pub text: String,
}

impl FromStr for ReportUri {
    type Err = BadReportUri;

    fn from_str(text: &str) -> Result<Self, BadReportUri> {
        let fits = |(scheme, rest): (&str, &str)| {
            let address = rest
                .split_once('!')
                .map_or(rest, |(address, _size)| address);
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b",;".contains(&b))
                && !address.is_empty()
                && (!scheme.eq_ignore_ascii_case("mailto") || is_mailbox(address))
        };
        if text.split_once(':').is_some_and(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadReportUri {
                text: crate::finding::escape(text),
            })
        }
    }
}

impl ReportUri {
    /// Gives the scheme, as it is written.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Gives the domain of a mail address; `None` for other places.
    #[must_use]
    pub fn mail_domain(&self) -> Option<Name> {
        let (scheme, address) = self.0.split_once(':')?;
        let address = address.split(['!', '?']).next()?;
        let (_, domain) = address.rsplit_once('@')?;
        let is_mail = scheme.eq_ignore_ascii_case("mailto");
        domain.parse().ok().filter(|_| is_mail)
    }
}

impl fmt::Display for ReportUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether `NAME@DOMAIN` can be written to, by its looks.
fn is_mailbox(address: &str) -> bool {
    let address = address
        .split_once('?')
        .map_or(address, |(address, _)| address);
    address.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.parse::<Name>().is_ok_and(|name| name.is_host_name())
    })
}

fn policy(tag: &Tag, name: &'static str) -> Result<Policy, TagError> {
    tag.value
        .parse()
        .map_err(|_| tag.refuse(name, "it is `none`, `quarantine` or `reject`"))
}

fn alignment(tag: &Tag, name: &'static str) -> Result<Alignment, TagError> {
    match tag.value.to_ascii_lowercase().as_str() {
        "r" => Ok(Alignment::Relaxed),
        "s" => Ok(Alignment::Strict),
        _ => Err(tag.refuse(name, "it is `r` (relaxed) or `s` (strict)")),
    }
}

fn uris(tag: &Tag, name: &'static str) -> Result<Vec<ReportUri>, TagError> {
    tag.value
        .split(',')
        .map(|uri| uri.trim_ascii().parse())
        .collect::<Result<_, BadReportUri>>()
        .map_err(|_| {
            tag.refuse(
                name,
                "it lists addresses such as `mailto:dmarc@example.org`",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_print_as_they_were_read() {
        for text in [
            "v=DMARC1; p=none",
            "v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; aspf=r; t=y",
            "v=DMARC1; p=none; t=n; rua=mailto:a@example.org,mailto:b@example.com; ruf=mailto:c@example.org; fo=1:d",
            "v=DMARC1; rua=mailto:a@example.org",
            "v=DMARC1; p=quarantine; pct=50; x_y=z",
        ] {
            assert_eq!(Dmarc::parse(text).unwrap().to_string(), text);
        }
        let check = |text: &str, expected: &str| {
            assert_eq!(Dmarc::parse(text).unwrap().to_string(), expected);
        };
        check(
            "V = DMARC1 ;P=None;rua= mailto:a@example.org , https://example.org/r ;",
            "v=DMARC1; p=none; rua=mailto:a@example.org,https://example.org/r",
        );
        check("v=DMARC1;ri=1;p=none", "v=DMARC1; p=none; ri=1");
    }

    #[test]
    fn faults_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = Dmarc::parse(text).expect_err(text);
            assert_eq!(text.get(error.span.clone()), Some(place), "{text}");
            assert_eq!(error.to_string(), expected, "{text}");
        };
        let version = "the record does not begin with `v=DMARC1`";
        check("p=none; v=DMARC1", "p=none", version);
        check("v=dmarc1; p=none", "v=dmarc1", version);
        check("v=DMARC1", "", "`p=` is missing");
        check(
            "v=DMARC1; p=block",
            "p=block",
            "`p=block` is wrong: it is `none`, `quarantine` or `reject`",
        );
        check(
            "v=DMARC1; p=none; aspf=x",
            "aspf=x",
            "`aspf=x` is wrong: it is `r` (relaxed) or `s` (strict)",
        );
        check(
            "v=DMARC1; p=none; rua=dmarc@example.org",
            "rua=dmarc@example.org",
            "`rua=dmarc@example.org` is wrong: it lists addresses such as `mailto:dmarc@example.org`",
        );
        check(
            "v=DMARC1; p=none; t=1",
            "t=1",
            "`t=1` is wrong: it is `y` or `n`",
        );
    }

    #[test]
    fn oddities() {
        let check = |text: &str, expected: &[&str]| {
            let record = Dmarc::parse(text).unwrap();
            let found: Vec<String> = record.oddities().iter().map(Oddity::to_string).collect();
            assert_eq!(found, expected);
        };
        check("v=DMARC1; p=none; fo=1; psd=n", &[]);
        check(
            "v=DMARC1; rua=mailto:a@example.org!10m; pct=10; xx=1",
            &[
                "without `p=` the policy is `none`, and older receivers ignore the record",
                "the size behind `mailto:a@example.org!10m` was removed by RFC 9989; receivers ignore it",
                "`pct=` was removed by RFC 9989; receivers ignore it",
                "`xx=` is no tag of DMARC; receivers ignore it",
            ],
        );
    }

    #[test]
    fn report_addresses() {
        for good in [
            "mailto:a@example.org",
            "https://example.org/x",
            "MAILTO:a%2Cb@example.org!5m",
        ] {
            assert_eq!(good.parse::<ReportUri>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a@example.org",
            "mailto:",
            "mailto:a",
            "mailto:@example.org",
            "mailto:a@",
            "mailto:a@b c",
            "mailto:a@example.org,b",
            "mailto:a@example.org;",
            "mailto:a@\u{1b}",
        ] {
            assert!(bad.parse::<ReportUri>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_record_stands_below_its_domain() {
        let owner = Dmarc::owner(&"Example.org".parse().unwrap()).unwrap();
        assert_eq!(owner.host(), "_dmarc.example.org");
    }

    fn any_policy() -> impl Strategy<Value = Option<Policy>> {
        prop::option::of(prop::sample::select(vec![
            Policy::None,
            Policy::Quarantine,
            Policy::Reject,
        ]))
    }

    fn any_alignment() -> impl Strategy<Value = Option<Alignment>> {
        prop::option::of(prop::sample::select(vec![
            Alignment::Relaxed,
            Alignment::Strict,
        ]))
    }

    proptest! {
        #[test]
        fn what_is_made_parses_clean(
            (policy, subdomains, nonexistent) in (any_policy(), any_policy(), any_policy()),
            (dkim_alignment, spf_alignment) in (any_alignment(), any_alignment()),
            testing in any::<Option<bool>>(),
            reports in prop::collection::vec("mailto:[a-z]{1,8}@[a-z]{1,8}\\.example", 0..3),
        ) {
            let record = Dmarc {
                policy: policy.or(Some(Policy::None)),
                subdomains,
                nonexistent,
                dkim_alignment,
                spf_alignment,
                testing,
                aggregate_reports: reports.iter().map(|uri| uri.parse().unwrap()).collect(),
                ..Dmarc::default()
            };
            let text = record.to_string();
            prop_assert_eq!(Dmarc::parse(&text).unwrap(), record);
        }

        #[test]
        fn no_text_panics(text in "(v=DMARC1;)?[ -~\u{fc}]{0,60}") {
            if let Ok(record) = Dmarc::parse(&text) {
                let printed = record.to_string();
                prop_assert_eq!(Dmarc::parse(&printed).unwrap().to_string(), printed);
            }
        }
    }
}
