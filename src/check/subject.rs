//! What a check looks at: one instance's configuration, live or planned, and the files it names.
//!
//! Owns the reading of files through the plan: a planned file hides the live one. What cannot be
//! seen is unknown, never absent. Must not know what any of it means.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};

use crate::finding::Place;
use crate::host::Jail;
use crate::package::Packages;
use crate::postfix::{
    ArgumentKind, CompatibilityLevel, MainCf, MasterCf, Service, Version, expand,
};
use crate::system::{File, Kind, System};

/// The largest table source that is read: a checker must not take a gigabyte to read a relay map.
pub const LARGEST_TABLE: u64 = 4 * 1024 * 1024;

/// A file that was read: its path, its bytes and what they mean.
#[derive(Clone, Debug)]
pub struct Document<T> {
    /// The path as the administrator knows it.
    pub path: Utf8PathBuf,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they mean.
    pub parsed: T,
}

impl<T> Document<T> {
    /// Gives the place of a range of the bytes.
    #[must_use]
    pub fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.path.clone(), &self.bytes, span)
    }
}

impl Document<MainCf> {
    /// Reads a `main.cf`.
    #[must_use]
    pub fn main(path: impl Into<Utf8PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            path: path.into(),
            parsed: MainCf::parse(&bytes),
            bytes,
        }
    }
}

impl Document<MasterCf> {
    /// Reads a `master.cf`.
    #[must_use]
    pub fn master(path: impl Into<Utf8PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            path: path.into(),
            parsed: MasterCf::parse(&bytes),
            bytes,
        }
    }
}

/// One instance's configuration, live or planned, and what is known of its Postfix.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The configuration directory.
    pub directory: &'a Utf8Path,
    /// `main.cf`
    pub main: &'a Document<MainCf>,
    /// `master.cf`
    pub master: &'a Document<MasterCf>,
    /// The version that reads them.
    pub version: Version,
    /// The compatibility level they are read with.
    pub level: CompatibilityLevel,
    /// The effective value of a parameter, not expanded: the file's, else Postfix's default;
    /// `None` where neither is known.
    pub parameters: &'a dyn Fn(&str) -> Option<String>,
    /// The table types that work; `None` where there is no Postfix to ask.
    pub table_types: Option<&'a BTreeSet<String>>,
    /// The table types that Postfix names and that do not work, each with what is wrong.
    pub broken_types: &'a BTreeMap<String, String>,
    /// The package manager, if a known one is there.
    pub packages: Option<&'a Packages>,
    /// The programs in `daemon_directory`; `None` where there is no Postfix to look at.
    pub programs: Option<&'a BTreeSet<String>>,
    /// What chrooted daemons find in the queue directory; `None` where it is not known.
    pub jail: Option<&'a Jail>,
    /// The files the configuration names.
    pub files: &'a Files<'a>,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("directory", &self.directory)
            .field("version", &self.version)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Whether something is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    There,
    /// Nothing is.
    Absent,
    /// It cannot be seen from here.
    Unknown,
}

/// The files of a machine with the planned ones laid over them.
#[derive(Clone, Default)]
pub struct Files<'a> {
    planned: BTreeMap<Utf8PathBuf, Option<File>>,
    dated: BTreeMap<Utf8PathBuf, i64>,
    live: Option<&'a dyn System>,
}

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("planned", &self.planned.keys())
            .finish_non_exhaustive()
    }
}

impl<'a> Files<'a> {
    /// The files of a machine as they are.
    #[must_use]
    pub fn live(system: &'a dyn System) -> Self {
        Self {
            live: Some(system),
            ..Self::default()
        }
    }

    /// No machine: what is not planned is unknown.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Lays a planned file over what is there; `None` for a file that will be gone.
    #[must_use]
    pub fn with(mut self, path: impl Into<Utf8PathBuf>, file: Option<File>) -> Self {
        self.planned.insert(path.into(), file);
        self
    }

    /// Takes the content of a planned file to be as old as this.
    #[must_use]
    pub fn dated(mut self, path: impl Into<Utf8PathBuf>, modified: i64) -> Self {
        self.dated.insert(path.into(), modified);
        self
    }

    /// Tells whether something is at a path.
    #[must_use]
    pub fn presence(&self, path: &Utf8Path) -> Presence {
        if let Some(planned) = self.planned.get(path) {
            return if planned.is_some() {
                Presence::There
            } else {
                Presence::Absent
            };
        }
        match self.live.map(|system| system.stat(path)) {
            Some(Ok(Some(_))) => Presence::There,
            Some(Ok(None)) => Presence::Absent,
            Some(Err(_)) | None => Presence::Unknown,
        }
    }

    /// Reads a regular file of bearable size; `None` where there is none to be read.
    #[must_use]
    pub fn read(&self, path: &Utf8Path) -> Option<Vec<u8>> {
        if let Some(planned) = self.planned.get(path) {
            return planned.as_ref().map(|file| file.bytes.clone());
        }
        let system = self.live?;
        let stat = system.stat(path).ok()??;
        if stat.kind != Kind::File || stat.size > LARGEST_TABLE {
            return None;
        }
        Some(system.read(path).ok()??.bytes)
    }

    /// Gives the modification time of a live file; planned ones have none unless they are dated.
    #[must_use]
    pub fn modified(&self, path: &Utf8Path) -> Option<i64> {
        if self.planned.contains_key(path) {
            return self.dated.get(path).copied();
        }
        Some(self.live?.stat(path).ok()??.modified)
    }
}

/// One value given to a parameter: by `main.cf`, or by the `-o` of a service.
#[derive(Clone, Debug)]
pub(super) struct Assignment<'a> {
    /// The parameter.
    pub name: String,
    /// The value, not expanded.
    pub value: String,
    /// The service that overrides it; `None` for `main.cf`.
    pub service: Option<&'a Service>,
    /// Where it stands in its file.
    span: Range<usize>,
}

impl<'a> Subject<'a> {
    /// Lists every value that counts: the winning ones of `main.cf`, then those of services.
    pub(super) fn assignments(&self) -> Vec<Assignment<'a>> {
        let main: &'a Document<MainCf> = self.main;
        let settings = main
            .parsed
            .settings()
            .filter(|setting| !setting.overridden)
            .map(|setting| Assignment {
                name: setting.name.to_owned(),
                value: setting.value.into_owned(),
                service: None,
                span: setting.span,
            });
        settings.chain(self.overrides()).collect()
    }

    /// Lists the `-o` of the services that count.
    pub(super) fn overrides(&self) -> impl Iterator<Item = Assignment<'a>> + use<'a> {
        self.services().flat_map(|service| {
            service
                .arguments
                .iter()
                .filter_map(move |argument| match &argument.kind {
                    ArgumentKind::Override { name, value } => Some(Assignment {
                        name: name.clone(),
                        value: value.clone(),
                        service: Some(service),
                        span: argument.span.clone(),
                    }),
                    _ => None,
                })
        })
    }

    /// Lists the services that count: of several of one name and type, the last.
    pub(super) fn services(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        let master: &'a Document<MasterCf> = self.master;
        master
            .parsed
            .services()
            .filter(|service| !service.overridden)
    }

    /// The value of a parameter as a service sees it, not expanded.
    pub(super) fn value(&self, name: &str, service: Option<&Service>) -> Option<String> {
        service
            .and_then(|service| service.option(name))
            .map(str::to_owned)
            .or_else(|| (self.parameters)(name))
    }

    /// The value of a parameter as a service sees it, expanded; `None` if it is not known or broken.
    pub(super) fn effective(&self, name: &str, service: Option<&Service>) -> Option<String> {
        self.expand_for(&self.value(name, service)?, service)
    }

    /// Expands the value of an assignment as its reader does; `None` if it is broken.
    pub(super) fn expand(&self, assignment: &Assignment) -> Option<String> {
        self.expand_for(&assignment.value, assignment.service)
    }

    fn expand_for(&self, value: &str, service: Option<&Service>) -> Option<String> {
        expand(value, &|name| self.value(name, service).map(Cow::Owned)).ok()
    }

    /// The place of an assignment.
    pub(super) fn place_of(&self, assignment: &Assignment) -> Place {
        match assignment.service {
            None => self.main.place(assignment.span.clone()),
            Some(_) => self.master.place(assignment.span.clone()),
        }
    }

    /// The place of a word of an assignment's value; of the whole if it came by expansion.
    pub(super) fn place_of_word(&self, assignment: &Assignment, word: &str) -> Place {
        let bytes = match assignment.service {
            None => &self.main.bytes,
            Some(_) => &self.master.bytes,
        };
        let text = bytes.get(assignment.span.clone()).unwrap_or_default();
        // The name comes first, and may hold the word.
        let skipped = assignment.name.len().min(text.len());
        let found = (!word.is_empty())
            .then(|| {
                text[skipped..]
                    .windows(word.len())
                    .position(|window| window == word.as_bytes())
            })
            .flatten();
        let Some(at) = found else {
            return self.place_of(assignment);
        };
        let start = assignment.span.start + skipped + at;
        let span = start..start + word.len();
        match assignment.service {
            None => self.main.place(span),
            Some(_) => self.master.place(span),
        }
    }
}
