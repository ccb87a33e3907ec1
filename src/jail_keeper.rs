//! Keepers of jails: what copies files into the queue directory on kinds of hosts.
//!
//! Owns [`Keeper`], read from `profiles/keepers/*.toml`: a new one is a file there and no Rust.
//! One is recognised by files that are there and what they say, never by a name of a
//! distribution. Must not know what a jail holds; nothing here is ever run by mailfix.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::data_file::{self, DataError};
use crate::embedded::KEEPERS;

/// Something that copies files into the jail, if it is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Keeper {
    /// The file that tells it is there; `{daemon}` and `{config}` are directories of Postfix.
    pub file: Utf8PathBuf,
    /// What that file must say.
    #[serde(default)]
    pub has: String,
    /// When it copies, in a phrase.
    pub when: String,
    /// The command by which it copies at once, if there is one.
    #[serde(default)]
    pub fill: Option<String>,
    /// How it is switched off.
    #[serde(default)]
    pub off: Option<Switch>,
}

/// Lines of a file that switch a keeper off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Switch {
    /// The file.
    pub file: Utf8PathBuf,
    /// The lines, any of which does it.
    pub lines: Vec<String>,
}

impl Keeper {
    /// Reads a keeper's file.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        data_file::parse(data_file::text(bytes.as_ref(), path)?, path)
    }

    /// Gives every keeper that mailfix knows.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    pub fn all() -> impl Iterator<Item = Self> {
        KEEPERS.iter().map(|(name, text)| {
            Self::parse(text, Utf8Path::new(name)).expect("a test reads every embedded keeper")
        })
    }

    /// Puts the directories of this host into a text of the file.
    #[must_use]
    pub fn filled(text: &str, daemon: &str, config: &Utf8Path) -> String {
        text.replace("{daemon}", daemon)
            .replace("{config}", config.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keeper_is_read_and_says_when() {
        assert_eq!(Keeper::all().count(), KEEPERS.len());
        for keeper in Keeper::all() {
            assert!(!keeper.when.is_empty() && !keeper.when.ends_with('.'));
            let path = Keeper::filled(keeper.file.as_str(), "/usr/sbin", "/etc/postfix".into());
            assert!(path.starts_with('/') && !path.contains('{'), "{path}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = Keeper::parse("file = '/a'\nwhen = 'b'\nrun = 'c'\n", "x.toml".into());
        assert!(error.unwrap_err().to_string().contains("unknown key `run`"));
    }
}
