//! Remedy sheets: what each remedy is, in words that can be compared.
//!
//! Owns [`RemedyId`], the vocabulary, and [`Sheet`], read from `profiles/remedies/*.toml`:
//! what a remedy changes, needs, covers and costs, how it is verified, and what makes it
//! unnecessary. Must not know when one fits: that is code, in the module `remedy`.

use std::fmt;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::data_file::{self, DataError, Faults};
use crate::embedded::REMEDIES;
use crate::finding::Finding;
use crate::postfix::Version;

/// The remedies, from what mends the cause to the last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyId {
    /// Publish what receivers ask for.
    ReverseDns,
    /// Send from the address that has what receivers ask for.
    SourceAddress,
    /// Drop the IPv6 addresses of mail hosts from DNS answers.
    MxFilter,
    /// Send recipient domains through a client without IPv6.
    Ipv4Transport,
    /// The same for the domains that are found to be hosted by a provider.
    HostedDomains,
    /// Turn the refusal into a temporary one.
    ReplyFilter,
    /// Try IPv4 first.
    AddressPreference,
    /// Send over IPv4 only.
    Ipv4Only,
}

impl RemedyId {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::ReverseDns,
        Self::SourceAddress,
        Self::MxFilter,
        Self::Ipv4Transport,
        Self::HostedDomains,
        Self::ReplyFilter,
        Self::AddressPreference,
        Self::Ipv4Only,
    ];

    /// The word for it in files and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ReverseDns => "reverse-dns",
            Self::SourceAddress => "source-address",
            Self::MxFilter => "mx-filter",
            Self::Ipv4Transport => "ipv4-transport",
            Self::HostedDomains => "hosted-domains",
            Self::ReplyFilter => "reply-filter",
            Self::AddressPreference => "address-preference",
            Self::Ipv4Only => "ipv4-only",
        }
    }

    /// Tells whether it sends mail over IPv4 instead.
    #[must_use]
    pub fn needs_ipv4(self) -> bool {
        !matches!(self, Self::ReverseDns | Self::SourceAddress)
    }

    /// Finds one by its word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.word() == word)
    }

    /// Its sheet.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn sheet(self) -> Sheet {
        REMEDIES
            .iter()
            .find(|(word, _)| *word == self.word())
            .and_then(|(word, text)| {
                Sheet::parse(text, Utf8Path::new(&format!("{word}.toml"))).ok()
            })
            .expect("a test reads the sheet of every remedy")
    }
}

impl fmt::Display for RemedyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a remedy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its name.
    pub title: String,
    /// What becomes of mail to the provider, in a phrase.
    pub outcome: String,
    /// What it changes.
    pub changes: String,
    /// What it costs.
    pub cost: String,
    /// How one sees that it works.
    pub verify: String,
    /// What makes it unnecessary.
    pub until: String,
    /// The first version of Postfix that has what it takes, if not every one.
    pub since: Option<Version>,
    /// Table types of which it needs one.
    pub tables: Vec<String>,
    /// What it covers.
    pub covers: Covers,
}

/// What a remedy covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of the comparison"
)]
pub struct Covers {
    /// Mail to the provider's own domains.
    pub own_domains: bool,
    /// Mail to domains that the provider hosts for others.
    pub hosted_domains: bool,
    /// The stages of an SMTP session at which a refusal is cured.
    pub stage: String,
    /// Mail to all other receivers goes over IPv6 as before.
    pub keeps_ipv6: bool,
    /// It works whatever words a refusal has.
    pub any_wording: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    title: String,
    outcome: String,
    changes: String,
    cost: String,
    verify: String,
    until: String,
    since: Option<toml::Spanned<String>>,
    #[serde(default)]
    tables: Vec<String>,
    covers: Covers,
}

impl Sheet {
    /// Reads a sheet.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        let since = data.since.and_then(|since| {
            let version = Version::parse(since.get_ref());
            if version.is_none() {
                let title = format!("`{}` is no version of Postfix", since.get_ref());
                faults.add(since.span(), Finding::error("bad-version", title));
            }
            version
        });
        faults.finish(Self {
            title: data.title,
            outcome: data.outcome,
            changes: data.changes,
            cost: data.cost,
            verify: data.verify,
            until: data.until,
            since,
            tables: data.tables,
            covers: data.covers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_remedy_has_a_sheet_and_every_sheet_a_remedy() {
        for (word, text) in REMEDIES {
            let id = RemedyId::of(word).unwrap();
            let sheet = Sheet::parse(text, Utf8Path::new(word)).unwrap();
            assert_eq!(id.sheet(), sheet);
            assert_eq!(serde_json::to_value(id).unwrap(), *word);
            for sentence in [
                &sheet.outcome,
                &sheet.changes,
                &sheet.cost,
                &sheet.verify,
                &sheet.until,
            ] {
                assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{word}");
            }
            assert!(sheet.covers.own_domains || sheet.covers.hosted_domains);
        }
        assert_eq!(REMEDIES.len(), RemedyId::ALL.len());
        assert!(RemedyId::ALL.is_sorted());
    }

    #[test]
    fn wrong_sheets_are_refused_with_the_place() {
        let text = REMEDIES[0].1.replace("changes", "chnges");
        let error = Sheet::parse(text, Utf8Path::new("x.toml")).unwrap_err();
        assert!(
            error.to_string().contains("unknown key `chnges`"),
            "{error}"
        );
        let (_, text) = REMEDIES
            .iter()
            .find(|(word, _)| *word == "mx-filter")
            .unwrap();
        let text = text.replace("\"3.0\"", "\"three\"");
        let error = Sheet::parse(text, Utf8Path::new("x.toml")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`x.toml`, line 7: `three` is no version of Postfix"
        );
    }
}
