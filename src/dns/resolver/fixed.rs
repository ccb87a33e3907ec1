//! A resolver that reads zone text instead of asking anybody.
//!
//! Owns the answers of tests and cases. Must not touch the network.

use std::collections::BTreeSet;

use super::{Answer, DnsError, Resolver};
use crate::dns::message::follow;
use crate::dns::zone::{self, ZoneError};
use crate::dns::{Name, Record, RecordType};

/// Marks, in the zone text, a name whose lookup fails: `$SERVFAIL broken.example.org.`
const FAILING: &str = "$SERVFAIL";

/// What its errors call the server.
const SERVER: &str = "the zone text";

/// Answers from zone text, as a server that knows the whole of DNS would.
#[derive(Clone, Debug, Default)]
pub struct FixedResolver {
    records: Vec<Record>,
    failing: BTreeSet<Name>,
}

impl FixedResolver {
    /// Reads zone text.
    ///
    /// A line `$SERVFAIL NAME` makes every lookup of that name fail.
    ///
    /// # Errors
    /// When the text is no zone text.
    pub fn from_zone(text: &str) -> Result<Self, ZoneError> {
        let mut failing = BTreeSet::new();
        let mut plain = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let Some(name) = line.strip_prefix(FAILING) else {
                plain.push_str(line);
                continue;
            };
            let name = name.trim().parse().map_err(|error| ZoneError::Failing {
                line: plain.matches('\n').count() + 1,
                source: error,
            })?;
            failing.insert(name);
            plain.push('\n'); // line numbers in errors stay right
        }
        Ok(Self {
            records: zone::read(&plain)?,
            failing,
        })
    }

    /// Makes every lookup of a name fail.
    #[must_use]
    pub fn failing(mut self, name: Name) -> Self {
        self.failing.insert(name);
        self
    }
}

impl Resolver for FixedResolver {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let failure = || DnsError::ServerFailure {
            name: name.clone(),
            kind,
            server: SERVER.to_owned(),
        };
        let (end, found) = follow(&self.records, name, kind).ok_or_else(failure)?;
        if self.failing.contains(name) || self.failing.contains(&end) {
            return Err(failure());
        }
        if !found.is_empty() {
            return Ok(Answer::Records(found));
        }
        // A name with something below it exists, even when it holds nothing (RFC 8020).
        let exists = self
            .records
            .iter()
            .any(|record| record.owner.is_subdomain_of(&end));
        Ok(if exists {
            Answer::NoData
        } else {
            Answer::NoSuchName
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::RecordData;

    const ZONE: &str = "\
mail.example.org. 300 IN A 192.0.2.1
mail.example.org. 300 IN A 192.0.2.2
www.example.org.  300 IN CNAME mail.example.org.
a.example.org.    300 IN CNAME b.example.org.
b.example.org.    300 IN CNAME a.example.org.
$SERVFAIL broken.example.org.
lame.example.org. 300 IN CNAME broken.example.org.
";

    fn lookup(name: &str, kind: RecordType) -> Result<Answer, DnsError> {
        let resolver = FixedResolver::from_zone(ZONE).unwrap();
        resolver.lookup(&name.parse().unwrap(), kind)
    }

    #[test]
    fn records_no_data_and_no_such_name_are_apart() {
        let found = lookup("MAIL.example.org", RecordType::A).unwrap();
        assert_eq!(found.records().len(), 2);
        let none = lookup("mail.example.org", RecordType::Aaaa);
        assert_eq!(none, Ok(Answer::NoData));
        assert_eq!(lookup("example.org", RecordType::A), Ok(Answer::NoData));
        let nobody = lookup("nobody.example.org", RecordType::A);
        assert_eq!(nobody, Ok(Answer::NoSuchName));
    }

    #[test]
    fn aliases_are_followed() {
        let found = lookup("www.example.org", RecordType::A).unwrap();
        assert_eq!(found.records()[0].owner.host(), "mail.example.org");
        let alias = lookup("www.example.org", RecordType::Cname).unwrap();
        assert!(matches!(alias.records()[0].data, RecordData::Cname(_)));
        assert!(lookup("a.example.org", RecordType::A).is_err());
    }

    #[test]
    fn failing_names_fail() {
        for name in ["broken.example.org", "lame.example.org"] {
            let error = lookup(name, RecordType::A).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("the zone text failed (SERVFAIL) on A of `{name}`")
            );
        }
        let marked = FixedResolver::from_zone(ZONE)
            .unwrap()
            .failing("mail.example.org".parse().unwrap());
        let name = "mail.example.org".parse().unwrap();
        assert!(marked.lookup(&name, RecordType::A).is_err());
    }

    #[test]
    fn faults_of_the_text_keep_their_lines() {
        let check = |text: &str, expected: &str| {
            let error = FixedResolver::from_zone(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(
            "$SERVFAIL x.\nb. MX x mail.example.\n",
            "zone text is wrong at or just before 2:",
        );
        check(
            "\n$SERVFAIL\n",
            "`$SERVFAIL` in line 2 of zone text names no name",
        );
    }
}
