//! Undoing: a receipt, turned round against the files as they are now, is a plan.
//!
//! Owns which receipt is undone, what of it still holds, and what someone
//! else has changed since. The plan it makes is shown, confirmed and applied
//! like any other.

use std::collections::{HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::plan::{FileChange, Nature, NewDirectory, Plan, Step};
use crate::receipt::{Holding, Receipt, ReceiptError, Receipts, Standing, View};
use crate::system::{Command, System, SystemError};

/// Which part of a receipt is undone.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These files only; all if empty.
    pub only: Vec<Utf8PathBuf>,
    /// These files even if someone else has changed them since.
    pub force: Vec<Utf8PathBuf>,
}

/// A file that is neither as the receipt left it nor as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which.
    pub path: Utf8PathBuf,
    /// The later receipt that also changed it, if one did: undoing that first may help.
    pub later: Option<String>,
}

/// A failure to plan an undo.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Files were changed since; undoing would lose these changes.
    #[error("changed since `{receipt}` was applied: {}", paths(.drift))]
    Drift {
        /// The receipt.
        receipt: String,
        /// The files.
        drift: Vec<Drift>,
    },
    /// A path was chosen that the receipt does not name.
    #[error("`{receipt}` did not change `{path}`")]
    NotInReceipt {
        /// The receipt.
        receipt: String,
        /// The path.
        path: Utf8PathBuf,
    },
    /// A receipt cannot be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The machine cannot be looked at.
    #[error(transparent)]
    System(#[from] SystemError),
}

fn paths(drift: &[Drift]) -> String {
    let paths: Vec<_> = drift
        .iter()
        .map(|drift| format!("`{}`", drift.path))
        .collect();
    paths.join(", ")
}

/// How much of a receipt holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Applied,
    /// Some of it: it was interrupted.
    PartlyApplied,
    /// Nothing: it was undone, or never got that far.
    Undone,
    /// Someone else has changed some of its files since.
    Drifted,
}

/// One line of the history.
#[derive(Debug)]
pub struct Past {
    /// The receipt.
    pub receipt: Receipt,
    /// How much of it holds, once all that came after it is undone.
    pub state: State,
}

/// What was done on this machine.
#[derive(Debug, Default)]
pub struct History {
    /// The receipts, newest first.
    pub past: Vec<Past>,
    /// The receipts that cannot be read.
    pub broken: Vec<ReceiptError>,
}

impl History {
    /// Reads all receipts and compares them with the machine.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn read(receipts: &Receipts, system: &dyn System) -> Result<Self, SystemError> {
        let mut history = Self::default();
        let mut view = View::new(system);
        let mut undone = Undone::new();
        for receipt in receipts.list(system)?.into_iter().rev() {
            match receipt {
                Err(error) => history.broken.push(error),
                Ok(receipt) => {
                    let state = state(&receipt, &mut view, &mut undone)?;
                    history.past.push(Past { receipt, state });
                }
            }
        }
        Ok(history)
    }

    /// The newest apply of which anything holds.
    #[must_use]
    pub fn to_undo(&self) -> Option<&Receipt> {
        self.past
            .iter()
            .find(|past| past.receipt.undoes.is_none() && past.state != State::Undone)
            .map(|past| &past.receipt)
    }

    fn later(&self, than: &Receipt, path: &Utf8Path) -> Option<String> {
        self.past
            .iter()
            .take_while(|past| past.receipt.id != than.id)
            // An undo brings back what was there, and what is undone changes nothing any more.
            .filter(|past| past.receipt.undoes.is_none() && past.state != State::Undone)
            .find(|past| past.receipt.entries().any(|entry| entry.path == path))
            .map(|past| past.receipt.id.clone())
    }
}

/// The files that later undos have brought back, by the receipt they belong to.
type Undone = HashMap<String, HashSet<Utf8PathBuf>>;

/// Compares a receipt with the files, and takes it as never applied for all older ones.
///
/// What an undo did is taken back too, if all of it still holds: only then older receipts find
/// the files as they left them, and those it undid are known by it. An undo that was
/// interrupted shows in the receipt it undid.
fn state(
    receipt: &Receipt,
    view: &mut View<'_>,
    undone: &mut Undone,
) -> Result<State, SystemError> {
    let holdings = receipt.holdings(view)?;
    let brought_back = undone.remove(&receipt.id).unwrap_or_default();
    // What somebody has taken over is as good one way as the other.
    let is = |held: &Holding<'_>, standing| {
        held.standing == standing || held.standing == Standing::Taken
    };
    let is_after = holdings
        .iter()
        .all(|held| is(held, Standing::After) && !brought_back.contains(held.path));
    let is_before = holdings
        .iter()
        .all(|held| is(held, Standing::Before) || brought_back.contains(held.path));
    let is_drifted = holdings
        .iter()
        .any(|held| held.standing == Standing::Drifted && !brought_back.contains(held.path));
    // An undo that was taken back has done its part too: what is older stands between the two.
    let is_there = holdings.iter().all(|held| is(held, Standing::After));
    if let Some(id) = receipt.undoes.clone().filter(|_| is_there) {
        let paths = holdings.iter().map(|held| held.path);
        let paths = paths.filter(|path| !brought_back.contains(*path));
        undone
            .entry(id)
            .or_default()
            .extend(paths.map(ToOwned::to_owned));
    }
    let mut has_directories = false;
    if receipt.undoes.is_none() || is_there {
        for held in holdings.iter().filter(|held| held.is_ours()) {
            view.set(held.path, held.before.cloned());
        }
        // What an undo made anew is nothing that an older apply of the same has left behind.
        for new in directories(receipt) {
            has_directories |= view.remove_directory(&new.path)?;
        }
    }
    Ok(if is_drifted {
        State::Drifted
    } else if is_before && !has_directories {
        State::Undone
    } else if is_after {
        State::Applied
    } else {
        State::PartlyApplied
    })
}

/// The directories a receipt made, children first.
fn directories(receipt: &Receipt) -> impl Iterator<Item = &NewDirectory> {
    let steps = receipt.steps.iter().rev();
    steps.flat_map(|step| step.directories.iter().rev())
}

/// Plans to undo a receipt.
///
/// What is as the receipt left it is turned back; what is as it was before stays. The steps come
/// in reverse, so that what is named by others goes after them.
///
/// # Errors
/// When files were changed since by someone else and are not among those forced.
pub fn undo(
    receipt: &Receipt,
    history: &History,
    choice: &Choice,
    system: &dyn System,
) -> Result<Plan, UndoError> {
    let mut view = View::new(system);
    let holdings = receipt.holdings(&view)?;
    for path in choice.only.iter().chain(&choice.force) {
        if !holdings.iter().any(|held| held.path == path) {
            return Err(UndoError::NotInReceipt {
                receipt: receipt.id.clone(),
                path: path.clone(),
            });
        }
    }
    // An index goes with its text, for better or worse.
    let is_in = |list: &[Utf8PathBuf], held: &Holding<'_>| {
        let is_listed = |path: &Utf8Path| list.iter().any(|listed| listed == path);
        is_listed(held.path) || held.text().is_some_and(is_listed)
    };
    let is_drifted = |held: &Holding<'_>| {
        let of_text = |text: &Utf8Path| {
            holdings
                .iter()
                .any(|held| held.path == text && held.standing == Standing::Drifted)
        };
        held.standing == Standing::Drifted || (held.is_ours() && held.text().is_some_and(of_text))
    };
    let mut chosen = Vec::new();
    let mut drift = Vec::new();
    for held in &holdings {
        if !choice.only.is_empty() && !is_in(&choice.only, held) {
            continue;
        }
        let is_named = |text: &Utf8Path| drift.iter().any(|drift: &Drift| drift.path == text);
        if is_drifted(held) && !is_in(&choice.force, held) {
            if held.text().is_some_and(is_named) {
                // It goes with its text, so there is nothing of its own to decide about it.
                continue;
            }
            drift.push(Drift {
                path: held.path.to_owned(),
                later: history.later(receipt, held.path),
            });
        } else if held.standing != Standing::Before
            && (held.standing != Standing::Taken || is_in(&choice.force, held))
        {
            chosen.push(held);
        }
    }
    if !drift.is_empty() {
        return Err(UndoError::Drift {
            receipt: receipt.id.clone(),
            drift,
        });
    }
    for held in &chosen {
        view.set(held.path, held.before.cloned());
    }
    let mut steps = Vec::new();
    for (number, step) in receipt.steps.iter().enumerate().rev() {
        let mut files: Vec<_> = chosen
            .iter()
            .rev()
            .filter(|held| held.step == number)
            .map(|held| FileChange {
                path: held.path.to_owned(),
                before: held.now.clone(),
                after: held.before.cloned(),
                nature: held.nature,
            })
            .collect();
        // An index must not be older than its text, or Postfix complains of it.
        files.sort_by_key(|change| change.nature == Nature::Index);
        let mut directories = Vec::new();
        let mut abandoned = Vec::new();
        if choice.only.is_empty() {
            for old in step.abandoned.iter().rev() {
                if system.stat(&old.path)?.is_none() {
                    directories.push(old.clone());
                }
            }
            for new in step.directories.iter().rev() {
                if view.remove_directory(&new.path)? {
                    abandoned.push(new.clone());
                }
            }
        }
        if files.is_empty() && directories.is_empty() && abandoned.is_empty() {
            continue;
        }
        steps.push(Step {
            title: format!("undo: {}", step.title),
            then: if files.is_empty() {
                Vec::new()
            } else {
                Command::inverses(&step.then)
            },
            directories,
            files,
            abandoned,
            ..Step::default()
        });
    }
    Ok(Plan { steps })
}
