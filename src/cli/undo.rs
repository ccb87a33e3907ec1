//! `mailfix undo`: brings back, byte for byte, what was before an apply.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::apply::{Options, with_unfinished};
use crate::check::Outdated;
use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, Session, show};
use crate::draft::{outdated_tables, refusals_of};
use crate::finding::Finding;
use crate::host::{self, Host, Interest, Running};
use crate::plan::{FileChange, Nature, Plan};
use crate::postfix::MainCf;
use crate::receipt::{Receipt, Receipts, text_of};
use crate::system::{File, System, SystemError};
use crate::undo::{Choice, History, UndoError, undo};
use crate::watch::{Mark, watch};

/// Take back what an apply did, byte for byte
#[derive(Debug, Args)]
pub struct Undo {
    /// Which (`mailfix history`) [default: the newest that still holds]
    id: Option<String>,
    /// Take back this file only (repeatable)
    #[arg(long, value_name = "PATH")]
    only: Vec<Utf8PathBuf>,
    /// Take back this file even if it was changed since; that change is lost (repeatable)
    #[arg(long, value_name = "PATH")]
    force: Vec<Utf8PathBuf>,
}

const UNDO: Asking<'_> = Asking {
    prompt: "Undo?",
    yes: "put back the files and run the commands shown",
    explanation: &[
        "every file is compared first: what is as the apply left it goes back, what is as it was before stays, what someone else changed since is refused",
        "the steps go the other way round, so that nothing names what is gone",
        "an index that comes back into force and is older than its table is refused too: it has to be built anew first",
        "directories that were made are removed if they are empty",
        "the undo has a receipt of its own in `mailfix history`",
    ],
};

impl Undo {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let state = session.state()?;
        // What was done without root's rights is taken back without them.
        let stat = session.system.stat(&state)?;
        if stat.is_none_or(|stat| stat.uid != session.user.0) {
            session.require_root("undo")?;
        }
        let receipts = Receipts::new(&state);
        if let Some(update) = session.update_to_undo(&receipts, self.id.as_deref())? {
            if let Some(path) = self.only.iter().chain(&self.force).next() {
                let (receipt, path) = (update.id, path.clone());
                return Err(UndoError::NotInReceipt { receipt, path }.into());
            }
            return session.take_back(&state, &update);
        }
        let history = History::read(&receipts, session.system.as_ref())?;
        for broken in &history.broken {
            session.ui.say(&format!("warning: {broken}"));
        }
        let receipt: Option<Receipt> = match &self.id {
            Some(id) => Some(receipts.load(session.system.as_ref(), id)?),
            None => history.to_undo().cloned(),
        };
        let (choice, tables) = self.choice(session, receipt.as_ref());
        let plan = match &receipt {
            Some(receipt) => undo(receipt, &history, &choice, session.system.as_ref())?,
            None => Plan::default(),
        };
        // A run that was killed has not told Postfix of its last files.
        let plan = with_unfinished(&plan, session.system.as_ref(), &receipts)?;
        let unfinished = receipts.unfinished(session.system.as_ref())?;
        let Some(about) = receipt.clone().or(unfinished).filter(|_| !plan.is_empty()) else {
            tidy(session, state)?;
            session.ui.say(&match receipt {
                Some(receipt) => format!("`{}` is undone already", receipt.id),
                None => "there is nothing to undo".to_owned(),
            });
            return Ok(0);
        };
        let receipt = about;
        // The configuration may be broken: that must not keep the old one from coming back.
        let host = host::observe(
            session.system.as_ref(),
            &receipt.config,
            &Interest::default(),
        )
        .ok();
        judge(
            session.system.as_ref(),
            host.as_ref(),
            &plan,
            &receipt,
            &choice,
            &tables,
        )?;
        let facts = host.map(|host| host.facts);
        let plan = match &facts {
            Some(_) => plan,
            None => plan.commands_last(),
        };
        let when = receipt.created.strftime("%Y-%m-%d %H:%M:%S UTC");
        session
            .ui
            .heading(&format!("Undo of {} ({when})", receipt.id));
        session.ui.data("\n");
        show::plan(&mut session.ui, &plan);
        if session.consent(&UNDO)? == Consent::No {
            return Err(declined());
        }
        let running = match &facts {
            Some(facts) => facts.running,
            None => host::running_unasked(session.system.as_ref(), &receipt.config)?,
        };
        // A plan that runs nothing has nothing to be watched for.
        let commands = plan.steps.iter().any(|step| !step.then.is_empty());
        let running = commands && matches!(running, Running::Yes(_));
        let mark = match &facts {
            Some(facts) => Mark::set(session.system.as_ref(), facts)?,
            None => Mark::default(),
        };
        let mut verify = |system: &dyn System| match &facts {
            Some(facts) if running => watch(system, facts, &mark)
                .unwrap_or_else(|error| vec![Finding::warning("not-watched", error.to_string())]),
            _ => Vec::new(),
        };
        let options = Options {
            state,
            config: receipt.config.clone(),
            running,
            undoes: Some(receipt.id.clone()),
        };
        let applied = session.apply(&plan, &options, &mut verify)?;
        session.ui.remarks(&applied.findings);
        if let Some(id) = &applied.receipt {
            tell_of_keys(session, &plan, &receipts.file(id));
        }
        session.ui.say(&if choice.only.is_empty() {
            format!("done; `{}` is undone", receipt.id)
        } else {
            format!("done; these files are as they were before `{}`", receipt.id)
        });
        Ok(0)
    }

    /// What is chosen, and what is forced beyond the files of the receipt.
    fn choice(&self, session: &Session, receipt: Option<&Receipt>) -> (Choice, Vec<Utf8PathBuf>) {
        let inside = |paths: &[Utf8PathBuf]| -> Vec<Utf8PathBuf> {
            paths.iter().map(|path| session.inside(path)).collect()
        };
        // A table that is not of the receipt may be forced too: an old index of it may come back.
        let (force, tables): (Vec<_>, Vec<_>) = inside(&self.force).into_iter().partition(|path| {
            let mut entries = receipt.into_iter().flat_map(Receipt::entries);
            entries.any(|entry| entry.path == *path)
        });
        let only = inside(&self.only);
        (Choice { only, force }, tables)
    }
}

/// Stops at what would break the configuration, or bring an old index into force.
fn judge(
    system: &dyn System,
    host: Option<&Host>,
    plan: &Plan,
    receipt: &Receipt,
    choice: &Choice,
    forced: &[Utf8PathBuf],
) -> Result<(), Failure> {
    let mut old = Vec::new();
    if let Some(host) = host {
        if !choice.only.is_empty() {
            let refusals = refusals_of(system, host, plan)?;
            if !refusals.is_empty() {
                let mut failure = Failure::failed(
                    "taking back these files alone would break the configuration, so nothing is written",
                )
                .hint("take back the files that name them too (another `--only PATH`), or all");
                failure.findings = refusals;
                return Err(failure);
            }
        }
        old = outdated(system, host, plan, receipt)?;
    }
    let is_old = |path: &Utf8PathBuf| old.iter().any(|table| table.path == *path);
    if let Some(path) = forced.iter().find(|path| !is_old(path)) {
        let (receipt, path) = (receipt.id.clone(), path.clone());
        return Err(UndoError::NotInReceipt { receipt, path }.into());
    }
    refuse(old, plan, forced)
}

/// The tables that would be looked up in an index which does not hold what they say by now: it
/// was not in force, so nobody kept it.
fn outdated(
    system: &dyn System,
    host: &Host,
    plan: &Plan,
    receipt: &Receipt,
) -> Result<Vec<Outdated>, SystemError> {
    // A text that comes back with its index agrees with it.
    let is_alone = |text: &&Utf8Path| !receipt.entries().any(|entry| entry.path == **text);
    // An index that comes back was built before the receipt was written.
    let dated = plan
        .changes()
        .filter(|change| change.after.is_some())
        .filter(|change| {
            let text = text_of(&change.path, change.nature);
            text.as_ref().is_some_and(is_alone)
        })
        .map(|change| (change.path.clone(), receipt.created.as_second()))
        .collect();
    let before = outdated_tables(system, host, &Plan::default(), &BTreeMap::new());
    let mut tables = outdated_tables(system, host, plan, &dated);
    let is_ours = |table: &Outdated| {
        let texts = receipt
            .entries()
            .filter_map(|entry| text_of(&entry.path, entry.nature));
        texts.filter(is_alone).any(|text| text == table.path)
    };
    tables.retain(|table| !before.contains(table) || is_ours(table));
    for change in plan.changes().filter(|change| change.after.is_none()) {
        let text = text_of(&change.path, change.nature).filter(is_alone);
        if let Some(text) = text.filter(|text| become_default(host, plan, text)) {
            tables.extend(outdated_by_default(system, text)?);
        }
    }
    Ok(tables)
}

/// Tells whether a table of aliases is named by nothing but Postfix's default once a plan is
/// carried out.
fn become_default(host: &Host, plan: &Plan, text: &Utf8Path) -> bool {
    let path = host.facts.config.join("main.cf");
    let Some(change) = plan.changes().find(|change| change.path == path) else {
        return false;
    };
    let value = |file: &Option<File>| {
        let main = file.as_ref().map(|file| MainCf::parse(&file.bytes));
        main.unwrap_or_default().get("alias_maps")
    };
    let names = |value: String| value.contains(&format!(":{text}"));
    value(&change.before).is_some_and(names) && value(&change.after).is_none()
}

/// A default names no type that could be read anywhere: the database that is there tells.
fn outdated_by_default(
    system: &dyn System,
    text: &Utf8Path,
) -> Result<Option<Outdated>, SystemError> {
    let database = system.stat(Utf8Path::new(&format!("{text}.db")))?;
    let (Some(database), Some(source)) = (database, system.stat(text)?) else {
        return Ok(None);
    };
    Ok((database.modified < source.modified).then(|| Outdated {
        path: text.to_owned(),
        command: format!("postalias hash:{text}"),
    }))
}

fn refuse(mut outdated: Vec<Outdated>, plan: &Plan, forced: &[Utf8PathBuf]) -> Result<(), Failure> {
    outdated.retain(|table| !forced.contains(&table.path));
    if outdated.is_empty() {
        return Ok(());
    }
    let paths: Vec<_> = outdated
        .iter()
        .map(|table| format!("`{}`", table.path))
        .collect();
    let mut failure = Failure::failed(format!(
        "an index that comes back into force is older than its table: {}",
        paths.join(", ")
    ));
    for table in outdated {
        let mut changes = plan.changes().filter(|change| change.after.is_some());
        let comes_back = changes
            .any(|change| text_of(&change.path, change.nature) == Some(table.path.as_path()));
        // What is built now would be replaced.
        let way = if comes_back {
            format!("run `{}` afterwards", table.command)
        } else {
            format!("run `{}` first", table.command)
        };
        failure = failure.hint(format!(
            "{way}; `--force {}` takes the old index as it is",
            table.path
        ));
    }
    Err(failure)
}

/// Says where a key that was removed still is: an undo can be undone too.
fn tell_of_keys(session: &mut Session, plan: &Plan, receipt: &Utf8Path) {
    let is_secret = |change: &FileChange| change.nature == Nature::Secret;
    let mut removed = plan.changes().filter(|change| change.before.is_some());
    if removed.any(is_secret) {
        session.ui.say(&format!(
            "note: the receipt {receipt} keeps the removed key (mode 0600), to bring it back; delete it if the key must be gone"
        ));
    }
}

/// Removes what a run that was killed before it changed anything has left.
fn tidy(session: &mut Session, state: Utf8PathBuf) -> Result<(), Failure> {
    let options = Options {
        state,
        config: Utf8PathBuf::new(),
        running: false,
        undoes: None,
    };
    session.apply(&Plan::default(), &options, &mut |_| Vec::new())?;
    Ok(())
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        let message = error.to_string();
        match error {
            UndoError::Drift { drift, .. } => {
                let mut failure = Self::failed(message);
                for drift in drift {
                    failure = failure.hint(match drift.later {
                        Some(later) => format!("`{}` was changed again by `{later}`: undo that first", drift.path),
                        None => format!(
                            "`--force {0}` brings it back and loses that change; `--only PATH` for each of the other files leaves it alone",
                            drift.path
                        ),
                    });
                }
                failure
            }
            UndoError::System(error) => error.into(),
            UndoError::NotInReceipt { .. } | UndoError::Receipt(_) => {
                Self::failed(message).hint("`mailfix history` lists what was applied")
            }
        }
    }
}
