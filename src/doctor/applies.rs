//! What of an earlier apply is gone again.
//!
//! Owns the comparison of receipts, files and the plan: a file that an apply changed, that is no
//! longer as it left it, and that the plan would change again, was written by somebody else since
//! (Server.app, the upgrade of a package). Must not know what anything in a file means.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::{By, Witness};
use crate::draft::Draft;
use crate::finding::Finding;
use crate::receipt::{Receipt, Receipts, Standing, View};
use crate::system::{System, SystemError};
use crate::undo::{History, State};

/// What the receipts say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applies {
    /// How many applies there are that nobody has taken back.
    pub count: usize,
    /// When something was applied or taken back last.
    pub last: Option<Timestamp>,
    /// What is gone again.
    pub witnesses: Vec<Witness>,
    /// Receipts that cannot be read, with the reason.
    pub broken: Vec<String>,
}

/// Compares; `draft` is what the site file wishes for now, and `site` where that file lies.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn look(
    system: &dyn System,
    receipts: &Receipts,
    draft: Option<&Draft>,
    site: Option<&Utf8Path>,
) -> Result<Applies, SystemError> {
    let history = History::read(receipts, system)?;
    let mut applies = Applies {
        broken: history.broken.iter().map(ToString::to_string).collect(),
        last: history
            .past
            .iter()
            .filter(|past| is_of_postfix(&past.receipt))
            .map(|past| past.receipt.created)
            .max(),
        ..Applies::default()
    };
    let taken_back: BTreeSet<&str> = history
        .past
        .iter()
        .filter_map(|past| past.receipt.undoes.as_deref())
        .collect();
    let wished = match site {
        Some(path) => system.stat(path)?.map(|stat| stat.modified),
        None => None,
    };
    let mut seen: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for past in &history.past {
        let receipt = &past.receipt;
        if receipt.undoes.is_some() || taken_back.contains(receipt.id.as_str()) {
            continue;
        }
        applies.count += 1;
        if past.state == State::Applied {
            continue;
        }
        // `init` writes the site file before the receipt, and its run begins before both.
        let written = system.stat(&receipts.file(&receipt.id))?;
        let written = written.map_or(receipt.created.as_second(), |stat| stat.modified);
        let is_wished_anew = wished.is_some_and(|wished| wished > written);
        let when = receipt.created.strftime("%Y-%m-%d %H:%M UTC");
        for held in receipt.holdings(&View::new(system))? {
            // A later apply has its own word on it.
            if !seen.insert(held.path.to_owned()) || held.standing == Standing::After {
                continue;
            }
            let is_planned =
                |draft: &Draft| draft.plan.changes().any(|change| change.path == held.path);
            let is_gone = match draft {
                Some(draft) => {
                    is_planned(draft) && (held.standing != Standing::Drifted || !is_wished_anew)
                }
                // Without a plan only what is not there at all is certain.
                None => held.now.is_none(),
            };
            if !is_gone {
                continue;
            }
            let how = match held.standing {
                Standing::Before => "stands as it did before",
                _ if held.now.is_none() => "is not there any more",
                _ => "was written anew by somebody else",
            };
            let finding = Finding::error(
                "apply-gone",
                format!(
                    "what was applied on {when} is gone again from `{}`",
                    held.path
                ),
            )
            .because(format!(
                "the file {how}: an upgrade of Postfix, Server.app or another tool may have done \
                 so, and the cure is out of force"
            ));
            applies.witnesses.push(Witness::of(By::Receipts, finding));
        }
    }
    Ok(applies)
}

/// Tells whether an apply changed anything of Postfix, and not only a job of ours.
fn is_of_postfix(receipt: &Receipt) -> bool {
    let mut entries = receipt.entries();
    entries.any(|entry| entry.path.starts_with(&receipt.config))
}
