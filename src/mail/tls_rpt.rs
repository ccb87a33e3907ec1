//! TLS reporting: where senders report whether they could encrypt mail to a domain.
//!
//! Owns the record. Must not know what stands in the reports.
//! Follows RFC 8460, 3.

use std::fmt;

use super::dmarc::ReportUri;
use super::tag_list::{self, TagError, TagFault};
use crate::dns::{Name, NameError};

/// What every record begins with.
const VERSION: &str = "v=TLSRPTv1";

/// Where reports about TLS go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRpt {
    /// `rua`: the places, of `mailto:` or `https:`; at least one.
    pub reports: Vec<ReportUri>,
    /// Tags of later standards, as they stand there.
    pub other: Vec<(String, String)>,
}

impl TlsRpt {
    /// Gives the name the record of a domain stands at.
    ///
    /// # Errors
    /// When the name gets too long.
    pub fn owner(domain: &Name) -> Result<Name, NameError> {
        domain.below("_smtp._tls")
    }

    /// Reads a record strictly.
    ///
    /// # Errors
    /// The first fault with its place.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let tags = tag_list::parse(text)?;
        let mut tags = tags.iter();
        tag_list::version(tags.next(), VERSION)?;
        let mut record = Self {
            reports: Vec::new(),
            other: Vec::new(),
        };
        for tag in tags {
            if tag.name != "rua" {
                record.other.push((tag.name.clone(), tag.value.clone()));
                continue;
            }
            let places: Result<Vec<ReportUri>, _> = tag
                .value
                .split(',')
                .map(|place| place.trim_ascii().parse())
                .collect();
            let good = |place: &ReportUri| {
                ["mailto", "https"]
                    .iter()
                    .any(|scheme| place.scheme().eq_ignore_ascii_case(scheme))
            };
            match places {
                Ok(places) if places.iter().all(good) => record.reports = places,
                _ => {
                    return Err(tag.refuse(
                        "rua",
                        "it lists places such as `mailto:tls@example.org` or `https://…`",
                    ));
                }
            }
        }
        if record.reports.is_empty() {
            return Err(TagError {
                span: text.len()..text.len(),
                fault: TagFault::Missing { name: "rua" },
            });
        }
        Ok(record)
    }
}

impl fmt::Display for TlsRpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reports: Vec<String> = self.reports.iter().map(ToString::to_string).collect();
        write!(f, "{VERSION}; rua={}", reports.join(","))?;
        self.other
            .iter()
            .try_for_each(|(tag, value)| write!(f, "; {tag}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_print_as_they_were_read() {
        for text in [
            "v=TLSRPTv1; rua=mailto:tls@example.org",
            "v=TLSRPTv1; rua=https://example.org/tls,mailto:tls@example.org; x=y",
        ] {
            assert_eq!(TlsRpt::parse(text).unwrap().to_string(), text);
        }
        let loose = TlsRpt::parse("v=TLSRPTv1;rua = mailto:a@b.example ;").unwrap();
        assert_eq!(loose.to_string(), "v=TLSRPTv1; rua=mailto:a@b.example");
    }

    #[test]
    fn faults_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = TlsRpt::parse(text).expect_err(text);
            assert_eq!(text.get(error.span.clone()), Some(place), "{text}");
            assert_eq!(error.to_string(), expected, "{text}");
        };
        let version = "the record does not begin with `v=TLSRPTv1`";
        check("v=TLSRPTv2; rua=mailto:a@b.example", "v=TLSRPTv2", version);
        check("rua=mailto:a@b.example", "rua=mailto:a@b.example", version);
        check("v=TLSRPTv1", "", "`rua=` is missing");
        for place in ["a@b.example", "http://b.example", "mailto:", ""] {
            check(
                &format!("v=TLSRPTv1; rua={place}"),
                &format!("rua={place}"),
                &format!(
                    "`rua={place}` is wrong: it lists places such as `mailto:tls@example.org` or \
                     `https://…`"
                ),
            );
        }
    }

    #[test]
    fn the_record_stands_below_its_domain() {
        let owner = TlsRpt::owner(&"example.org".parse().unwrap()).unwrap();
        assert_eq!(owner.host(), "_smtp._tls.example.org");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(v=TLSRPTv1;)?[ -~\u{fc}]{0,60}") {
            if let Ok(record) = TlsRpt::parse(&text) {
                let printed = record.to_string();
                prop_assert_eq!(TlsRpt::parse(&printed).unwrap(), record);
            }
        }
    }
}
