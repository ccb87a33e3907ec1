//! What findings mean: a page for each, for who meets its code and wants to know more than its
//! own words say.
//!
//! Owns [`Meaning`], read from `profiles/findings/*.toml`, a file for each subject. A new finding
//! is one entry there; a test holds the entries to the codes that the program uses. Codes that are
//! causes are described by [`Cause`](crate::cause::Cause).
//! Must not know who finds what, beyond the words of a command.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;

use crate::data_file::{self, DataError};
use crate::embedded::FINDINGS;

/// What a finding means, whatever it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The finding's code.
    pub code: String,
    /// What is so, a phrase.
    pub says: String,
    /// What it means and does, in sentences.
    pub means: String,
    /// What to do, in order, each a phrase.
    pub steps: Vec<String>,
    /// Commands of ours that show it, without the word `mailfix`.
    pub found_by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    found_by: Vec<String>,
    finding: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Entry {
    says: String,
    means: String,
    steps: Vec<String>,
}

impl Meaning {
    /// Reads a file of them.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Vec<Self>, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let entries = data.finding.into_iter();
        Ok(entries
            .map(|(code, entry)| Self {
                code,
                says: entry.says,
                means: entry.means,
                steps: entry.steps,
                found_by: data.found_by.clone(),
            })
            .collect())
    }

    /// Lists all of them, by code.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = FINDINGS
            .iter()
            .flat_map(|(name, text)| {
                Self::parse(text, Utf8Path::new(&format!("{name}.toml")))
                    .expect("a test reads every embedded file")
            })
            .collect();
        all.sort_by(|one, other| one.code.cmp(&other.code));
        all
    }

    /// Finds the one of a finding.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::all().into_iter().find(|one| one.code == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::remedy_sheet::RemedyId;

    #[test]
    fn every_entry_says_what_it_means_and_what_to_do() {
        let all = Meaning::all();
        for pair in all.windows(2) {
            assert_ne!(pair[0].code, pair[1].code);
        }
        for one in &all {
            let code = &one.code;
            assert!(Cause::codes().all(|cause| cause != code), "{code}");
            assert!(RemedyId::of(code).is_none(), "{code}");
            assert!(!one.says.ends_with('.') && !one.steps.is_empty(), "{code}");
            assert!(one.means.ends_with('.'), "{code}");
            for step in &one.steps {
                assert!(!step.is_empty() && !step.ends_with('.'), "{code}: {step}");
            }
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        let path = Utf8Path::new("x.toml");
        let error = Meaning::parse("found_by = []\n[finding.x]\nsay = 1\n", path).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
