//! What of an earlier apply is gone again.
//!
//! Owns the comparison of receipts, files and the plan: a file that an apply changed, that is no
//! longer as it left it, and that the plan would change again, was written by somebody else since
//! (Server.app, the upgrade of a package). Where there is no plan, the parameters and services are
//! missed that the receipt wrote down. What a run did not come to is not gone: that it was broken
//! off is said instead. Must not know what anything in a file means.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::{By, Witness};
use crate::draft::Draft;
use crate::finding::{Finding, escape};
use crate::receipt::{Receipt, ReceiptError, Receipts, Standing, View};
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
    let unfinished = match receipts.unfinished(system) {
        Ok(unfinished) => unfinished,
        Err(ReceiptError::System(error)) => return Err(error),
        // It is among the broken ones.
        Err(_) => None,
    };
    if let Some(receipt) = &unfinished {
        let finding = broken_off(receipt, draft.is_some());
        applies.witnesses.push(Witness::of(By::Receipts, finding));
    }
    let is_unfinished = |receipt: &Receipt| {
        let unfinished = unfinished.as_ref().map(|receipt| &receipt.id);
        unfinished.is_some_and(|id| receipt.id == *id || receipt.continues.as_ref() == Some(id))
    };
    let mut seen: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    for past in &history.past {
        let receipt = &past.receipt;
        if is_unfinished(receipt) {
            // What of its files is as it was before is not gone.
            let entries = receipt.entries();
            seen.extend(entries.map(|entry| entry.path.clone()));
        }
        if receipt.undoes.is_some() || taken_back.contains(receipt.id.as_str()) {
            continue;
        }
        applies.count += usize::from(!receipt.brought_back);
        // What failed and was brought back never was in force.
        let has_failed = receipt.brought_back && past.state == State::Undone;
        if past.state == State::Applied || has_failed {
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
            let settings = receipt.gone(held.path, held.now.as_ref());
            let is_whole = held.standing == Standing::Before || held.now.is_none();
            let is_gone = match draft {
                Some(draft) => {
                    is_planned(draft) && (held.standing != Standing::Drifted || !is_wished_anew)
                }
                // Without a plan what the receipt wrote down is all that can be missed.
                None => is_whole || !settings.is_empty(),
            };
            if !is_gone {
                continue;
            }
            let how = match held.standing {
                Standing::Before => "the file stands as it did before",
                _ if held.now.is_none() => "the file is not there any more",
                _ if draft.is_none() => "somebody else has changed the file",
                _ => "the file was written anew by somebody else",
            };
            let what = match settings.as_slice() {
                [] => String::new(),
                names => format!(": {}", listed(names)),
            };
            let title = format!(
                "what was applied on {when} is gone again from `{}`{what}",
                held.path
            );
            // Nothing wishes for it where there is no site file, and it may have been meant so.
            let finding = if draft.is_none() && !is_whole {
                Finding::warning("apply-gone", title)
            } else {
                Finding::error("apply-gone", title)
            };
            let finding = finding.because(format!(
                "{how}: an upgrade of Postfix, Server.app or another tool may have done so, and \
                 the cure is out of force"
            ));
            applies.witnesses.push(Witness::of(By::Receipts, finding));
        }
    }
    Ok(applies)
}

/// That a run did not come to its end.
fn broken_off(receipt: &Receipt, has_plan: bool) -> Finding {
    let verb = if receipt.undoes.is_some() {
        "undo"
    } else {
        "apply"
    };
    let when = receipt.created.strftime("%Y-%m-%d %H:%M UTC");
    let title = format!("an `{verb}` of {when} has not come to its end");
    let fix = match &receipt.undoes {
        Some(undone) => format!("run `mailfix undo {undone}`"),
        None if has_plan => "run `mailfix apply`".to_owned(),
        None => format!("run `mailfix undo {}`", receipt.id),
    };
    Finding::error("apply-unfinished", title)
        .because("some of its files may be in place and others not, and Postfix not told of them")
        .mend(fix)
}

/// Names, and no more of them than one reads.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", escape(name)))
        .collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// Tells whether an apply changed anything of Postfix, and not only a job of ours.
fn is_of_postfix(receipt: &Receipt) -> bool {
    let mut entries = receipt.entries();
    entries.any(|entry| entry.path.starts_with(&receipt.config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::plan::{FileChange, Nature, Plan, Step};
    use crate::system::{File, MemorySystem};

    const MAIN: &str = "/etc/postfix/main.cf";

    /// A change of `main.cf`.
    fn plan(before: &str, after: &str) -> Plan {
        let file = |text: &str| File::new(text, 0o644, 0, 0);
        Plan {
            steps: vec![Step {
                files: vec![FileChange {
                    path: MAIN.into(),
                    before: Some(file(before)),
                    after: Some(file(after)),
                    nature: Nature::Text,
                }],
                ..Step::default()
            }],
        }
    }

    /// What is told where `now` stands in `main.cf` after an apply led from `before` to `after`.
    fn told(before: &str, after: &str, now: &str, failed: bool) -> Vec<(Severity, String)> {
        let plan = plan(before, after);
        let mut system = MemorySystem::new().file(MAIN, now);
        let receipts = Receipts::new("/var/lib/mailfix");
        receipts.prepare(&mut system).unwrap();
        let created = "2026-11-25T19:30:00Z".parse().unwrap();
        let mut receipt = Receipt::new(&plan, "1".to_owned(), "/etc/postfix".into(), created);
        receipt.brought_back = failed;
        receipts.save(&mut system, &receipt).unwrap();
        let applies = look(&system, &receipts, None, None).unwrap();
        applies
            .witnesses
            .into_iter()
            .map(|witness| (witness.severity, witness.says))
            .collect()
    }

    #[test]
    fn without_a_site_file_single_settings_are_missed() {
        let (before, after) = ("a = 1\n", "a = 1\nb = 2\nc = 3\n");
        assert_eq!(told(before, after, after, false), []);
        assert_eq!(told(before, after, "c = 3\nb = 2\nd = 4\n", false), []);
        let gone = |severity, names: &str| {
            let says = format!(
                "what was applied on 2026-11-25 19:30 UTC is gone again from `{MAIN}`: {names}"
            );
            vec![(severity, says)]
        };
        assert_eq!(
            told(before, after, "b = 2\n", false),
            gone(Severity::Warning, "`c`")
        );
        assert_eq!(
            told(before, after, before, false),
            gone(Severity::Error, "`b`, `c`")
        );
        assert_eq!(told(before, after, before, true), []);
    }

    #[test]
    fn what_a_run_did_not_come_to_is_not_gone() {
        let (before, after) = ("a = 1\n", "a = 1\nb = 2\n");
        let plan = plan(before, after);
        for now in [before, after] {
            let mut system = MemorySystem::new().file(MAIN, now);
            let receipts = Receipts::new("/var/lib/mailfix");
            receipts.prepare(&mut system).unwrap();
            let created = "2026-11-25T19:30:00Z".parse().unwrap();
            let receipt = Receipt::new(&plan, "1".to_owned(), "/etc/postfix".into(), created);
            receipts.save(&mut system, &receipt).unwrap();
            receipts.begin(&mut system, &receipt).unwrap();
            let applies = look(&system, &receipts, None, None).unwrap();
            let codes: Vec<&str> = applies
                .witnesses
                .iter()
                .map(|one| one.code.as_str())
                .collect();
            assert_eq!(codes, ["apply-unfinished"], "{now}");
            let fix = applies.witnesses[0].fix.as_deref();
            assert_eq!(fix, Some("run `mailfix undo 1`"));
            receipts.end(&mut system).unwrap();
            let applies = look(&system, &receipts, None, None).unwrap();
            assert_eq!(applies.witnesses.is_empty(), now == after);
        }
    }
}
