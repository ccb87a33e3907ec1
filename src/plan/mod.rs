//! The plan: ordered steps of file changes and commands, each with what was there before.
//!
//! Owns [`Plan`], its check against the machine and its inverse. A plan is
//! plain data: it can be shown, saved, refused when stale and turned round.
//! Every change carries its `before`, so nothing is ever restored by guessing.
//! Must not change the machine and must not print.

pub mod build;
pub mod jobs;
mod rewriter;
mod saved;
mod signing;

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::system::{Command, File, System, SystemError};

pub use saved::{SavedPlan, SavedPlanError};

/// What will be done, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps; after each of them Postfix is able to run.
    pub steps: Vec<Step>,
}

/// One step: directories, then files, then abandoned directories, then commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What the step is for, as a person would say it.
    pub title: String,
    /// Directories it makes, parents first. They are not there yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<NewDirectory>,
    /// Files it changes, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// Directories it removes if they are empty then, children first: what an inverse step
    /// does about `directories`. One that is not empty stays, and that is no failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<NewDirectory>,
    /// Files it was made from and leaves alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<ReadFile>,
    /// What is run once the files stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Command>,
}

/// A directory to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDirectory {
    /// Where.
    pub path: Utf8PathBuf,
    /// Permission bits, such as `0o755`.
    #[serde(with = "crate::system::octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A file a step was made from: it must still say what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// Which.
    pub path: Utf8PathBuf,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// One file made, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Which, as the administrator knows it; symbolic links are followed.
    pub path: Utf8PathBuf,
    /// What stands there now; `None` when nothing does.
    pub before: Option<File>,
    /// What shall stand there; `None` when it is removed.
    pub after: Option<File>,
    /// How its content may be shown and compared.
    #[serde(default)]
    pub nature: Nature,
}

/// How the content of a file may be shown and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// Text a person may read.
    #[default]
    Text,
    /// A database built from a text; its bytes differ from one build to the next.
    Index,
    /// A copy of another file of this host, which others may refresh; shown if it is short.
    Copy,
    /// Shown as length and digest only.
    Secret,
}

/// A path that is no longer what the plan was made for.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// Content, mode, owner or attributes differ.
    #[error("`{path}` was changed after the plan was made")]
    Changed {
        /// Which.
        path: Utf8PathBuf,
    },
    /// Something stands where nothing did.
    #[error("`{path}` was made after the plan was made")]
    Appeared {
        /// Which.
        path: Utf8PathBuf,
    },
    /// Nothing stands where something did.
    #[error("`{path}` was removed after the plan was made")]
    Gone {
        /// Which.
        path: Utf8PathBuf,
    },
    /// It cannot be compared.
    #[error(transparent)]
    Unread(#[from] SystemError),
}

impl FileChange {
    /// Tells whether the change changes anything.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    /// Swaps before and after.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            path: self.path.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
            nature: self.nature,
        }
    }
}

impl Step {
    /// Tells whether the step changes the file there.
    #[must_use]
    pub fn writes(&self, path: &Utf8Path) -> bool {
        let mut changes = self.files.iter();
        changes.any(|change| change.path == path && change.is_change())
    }

    /// Tells whether the step does nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
            && self.abandoned.is_empty()
            && self.then.is_empty()
            && !self.files.iter().any(FileChange::is_change)
    }

    /// Turns the step round; what Postfix is told stays, being its own inverse on the old files.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut files: Vec<_> = self.files.iter().rev().map(FileChange::inverse).collect();
        // An index must not be older than its text, or Postfix complains of it.
        files.sort_by_key(|change| change.nature == Nature::Index);
        Self {
            title: self.title.clone(),
            directories: self.abandoned.iter().rev().cloned().collect(),
            files,
            abandoned: self.directories.iter().rev().cloned().collect(),
            // What stood before was not made from it.
            read: Vec::new(),
            then: Command::inverses(&self.then),
        }
    }
}

impl Plan {
    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(Step::is_empty)
    }

    /// All file changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = &FileChange> {
        self.steps.iter().flat_map(|step| &step.files)
    }

    /// Turns the plan round: the last step first, every change from after to before.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            steps: self.steps.iter().rev().map(Step::inverse).collect(),
        }
    }

    /// The same with every command at the end, each once: where Postfix cannot read what stands
    /// there now, there is nothing to ask it before all is in place.
    #[must_use]
    pub fn commands_last(mut self) -> Self {
        let mut then: Vec<Command> = Vec::new();
        for command in self.steps.iter_mut().flat_map(|step| step.then.drain(..)) {
            if !then.contains(&command) {
                then.push(command);
            }
        }
        if let Some(last) = self.steps.last_mut() {
            last.then = then;
        }
        self
    }

    /// Compares every `before` with the machine.
    ///
    /// A file that several steps change is compared once, with what the first of them starts from.
    ///
    /// # Errors
    /// Everything that no longer is what the plan was made for.
    pub fn against(&self, system: &dyn System) -> Result<(), Vec<Stale>> {
        let mut stale = Vec::new();
        let mut seen = HashSet::new();
        for directory in self.steps.iter().flat_map(|step| &step.directories) {
            if seen.insert(directory.path.as_path()) {
                match system.stat(&directory.path) {
                    Ok(None) => {}
                    Ok(Some(_)) => stale.push(Stale::Appeared {
                        path: directory.path.clone(),
                    }),
                    Err(error) => stale.push(error.into()),
                }
            }
        }
        for change in self.changes() {
            if seen.insert(change.path.as_path()) {
                match system.read(&change.path) {
                    Ok(now) => stale.extend(difference(
                        &change.path,
                        change.before.as_ref(),
                        now.as_ref(),
                    )),
                    Err(error) => stale.push(error.into()),
                }
            }
        }
        for read in self.steps.iter().flat_map(|step| &step.read) {
            if seen.insert(read.path.as_path()) {
                let path = read.path.clone();
                match system.read(&read.path) {
                    Ok(None) => stale.push(Stale::Gone { path }),
                    Ok(Some(now)) if now.digest() != read.sha256 => {
                        stale.push(Stale::Changed { path });
                    }
                    Ok(Some(_)) => {}
                    Err(error) => stale.push(error.into()),
                }
            }
        }
        if stale.is_empty() { Ok(()) } else { Err(stale) }
    }
}

fn difference(path: &Utf8Path, before: Option<&File>, now: Option<&File>) -> Option<Stale> {
    let path = path.to_owned();
    match (before, now) {
        (None, Some(_)) => Some(Stale::Appeared { path }),
        (Some(_), None) => Some(Stale::Gone { path }),
        _ if before == now => None,
        _ => Some(Stale::Changed { path }),
    }
}
