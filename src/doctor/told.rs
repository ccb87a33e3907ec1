//! What was told before, so that a daily run tells only what is new.
//!
//! Owns the file below the state directory and by what a trouble is known again: its code, and
//! for what does not change by itself the words of each witness. Counts and times do not make
//! news. What is gone is forgotten, so that it is news when it comes back; what could not be
//! looked at this time is neither. Runs at the same time tell one after the other ([`hold`]).

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{By, Trouble};
use crate::finding::Severity;
use crate::receipt::Receipts;
use crate::system::{System, SystemError};

/// The one format written and read.
const FORMAT: u32 = 1;

/// The folder below the state directory.
const FOLDER: &str = "doctor";

/// The file in it.
const FILE: &str = "told.json";

/// Held while something is told and noted.
const LOCK: &str = "lock";

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    format: u32,
    marks: BTreeSet<Mark>,
}

/// By what a trouble is known again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Mark {
    code: String,
    by: By,
    /// The words, of those who say the same every day.
    says: Option<String>,
}

/// What was told could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Its file is not ours, or of a newer mailfix.
    #[error("`{path}` cannot be read: {why}")]
    Broken {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Where it is kept.
#[must_use]
pub fn path(state: &Utf8Path) -> Utf8PathBuf {
    state.join(FOLDER).join(FILE)
}

/// Keeps others from telling until the system is dropped; makes what that needs.
///
/// # Errors
/// [`SystemError::Locked`] while another run tells; others when nothing can be noted here.
pub fn hold(system: &mut dyn System, state: &Utf8Path) -> Result<(), SystemError> {
    let receipts = Receipts::new(state);
    receipts.prepare_folder(system, FOLDER)?;
    system.lock(&state.join(FOLDER).join(LOCK))?;
    system.remove_leftover(&path(state))?;
    Ok(())
}

impl Told {
    /// Reads what was told; nothing where there is no file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(system: &dyn System, state: &Utf8Path) -> Result<Self, ToldError> {
        let path = path(state);
        let Some(file) = system.read(&path)? else {
            return Ok(Self::default());
        };
        let broken = |why: String| ToldError::Broken {
            path: path.clone(),
            why,
        };
        let told: Self =
            serde_json::from_slice(&file.bytes).map_err(|error| broken(error.to_string()))?;
        if told.format != FORMAT {
            return Err(broken(format!("it has format {}", told.format)));
        }
        Ok(told)
    }

    /// Those of the troubles that were not told before.
    #[must_use]
    pub fn news(&self, troubles: &[Trouble]) -> Vec<Trouble> {
        let is_new = |trouble: &&Trouble| {
            let known = |mark: &Mark| self.marks.contains(mark);
            let is_known = |code: &str| self.marks.iter().any(|mark| mark.code == code);
            trouble.severity > Severity::Note
                && (!is_known(&trouble.code)
                    || marks(trouble).any(|mark| mark.says.is_some() && !known(&mark)))
        };
        troubles.iter().filter(is_new).cloned().collect()
    }

    /// What is known after these were told; `unseen` are those who could not look this time.
    #[must_use]
    pub fn after(&self, troubles: &[Trouble], unseen: &[By]) -> Self {
        let kept = self.marks.iter().filter(|mark| unseen.contains(&mark.by));
        let told = troubles
            .iter()
            .filter(|trouble| trouble.severity > Severity::Note);
        Self {
            format: FORMAT,
            marks: kept.cloned().chain(told.flat_map(marks)).collect(),
        }
    }

    /// The same, and nothing forgotten of what another run has noted meanwhile.
    #[must_use]
    pub fn beside(mut self, other: &Self) -> Self {
        self.marks.extend(other.marks.iter().cloned());
        self
    }

    /// Writes it; [`hold`] has gone before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, system: &mut dyn System, state: &Utf8Path) -> Result<(), SystemError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Receipts::new(state).keep(system, &Utf8Path::new(FOLDER).join(FILE), text)
    }
}

fn marks(trouble: &Trouble) -> impl Iterator<Item = Mark> + '_ {
    trouble.evidence.iter().map(|witness| {
        let is_steady = !matches!(witness.by, By::Log | By::Queue | By::Plan);
        Mark {
            code: trouble.code.clone(),
            by: witness.by,
            says: is_steady.then(|| witness.says.clone()),
        }
    })
}
