//! Package managers: the command that brings a table type, or a program beside Postfix.
//!
//! Owns [`Packages`], read from `profiles/packages/*.toml`: a new one is a file there and
//! no Rust. It is known by its program being there, never by the name of a system.
//! Must not know which types are missing; the commands are shown and never run.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::data_file::{self, DataError};
use crate::embedded::PACKAGES;
use crate::system::System;

/// A package manager, as far as Postfix's table types and the programs beside it go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Packages {
    /// Where its program can be.
    programs: Vec<Utf8PathBuf>,
    /// The command that brings a table type, by type.
    install: BTreeMap<String, String>,
    /// The command that brings a program that works beside Postfix, by its name.
    #[serde(default)]
    beside: BTreeMap<String, String>,
}

impl Packages {
    fn parse(text: &str, path: &Utf8Path) -> Result<Self, DataError> {
        data_file::parse(text, path)
    }

    fn all() -> impl Iterator<Item = Self> {
        PACKAGES.iter().map(|(name, text)| {
            Self::parse(text, Utf8Path::new(&format!("{name}.toml")))
                .expect("a test reads every embedded list")
        })
    }

    /// Finds the one whose program is seen on a machine; of several the first by name.
    #[must_use]
    pub fn find(system: &dyn System) -> Option<Self> {
        let is_there = |program: &Utf8PathBuf| matches!(system.stat(program), Ok(Some(_)));
        Self::all().find(|manager| manager.programs.iter().any(is_there))
    }

    /// The command that brings a table type, as a person types it.
    #[must_use]
    pub fn install(&self, kind: &str) -> Option<&str> {
        self.install.get(kind).map(String::as_str)
    }

    /// The command that brings a program that works beside Postfix, as a person types it.
    #[must_use]
    pub fn bring(&self, program: &str) -> Option<&str> {
        self.beside.get(program).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    #[track_caller]
    fn check(programs: &[&str], kind: &str, expected: Option<&str>) {
        let system = programs
            .iter()
            .fold(MemorySystem::new(), |system, program| {
                system.file(program, "")
            });
        let found = Packages::find(&system);
        let command = found.as_ref().and_then(|found| found.install(kind));
        assert_eq!(command, expected);
    }

    #[test]
    fn the_program_that_is_there_says_how() {
        let apt = "apt-get install postfix-pcre";
        check(&["/usr/bin/apt-get"], "pcre", Some(apt));
        // What the main package brings nobody can install.
        check(&["/usr/bin/apt-get"], "hash", None);
        check(
            &["/usr/bin/dnf", "/usr/bin/yum"],
            "lmdb",
            Some("dnf install postfix-lmdb"),
        );
        check(&["/usr/sbin/apk"], "lmdb", Some("apk add postfix-lmdb"));
        check(&[], "pcre", None);
    }

    #[test]
    fn programs_beside_postfix_are_brought_too() {
        let system = MemorySystem::new().file("/usr/bin/apt-get", "");
        let manager = Packages::find(&system).unwrap();
        assert_eq!(manager.bring("opendkim"), Some("apt-get install opendkim"));
        assert_eq!(manager.bring("pcre"), None);
    }

    #[test]
    fn every_embedded_list_can_be_recognised() {
        for manager in Packages::all() {
            assert!(!manager.programs.is_empty(), "{manager:?}");
            assert!(!manager.install.is_empty(), "{manager:?}");
            assert!(manager.programs.iter().all(|path| path.is_absolute()));
        }
    }
}
