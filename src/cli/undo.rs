//! `mailfix undo`: brings back, byte for byte, what was before an apply.

use camino::Utf8PathBuf;
use clap::Args;

use crate::apply::{Options, with_unfinished};
use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, Session, show};
use crate::draft::refusals_of;
use crate::finding::Finding;
use crate::host::{self, Interest, Running};
use crate::plan::Plan;
use crate::receipt::{Receipt, Receipts};
use crate::system::System;
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
        "main.cf comes first and master.cf last, so that nothing names what is gone",
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
        let history = History::read(&receipts, session.system.as_ref())?;
        for broken in &history.broken {
            session.ui.say(&format!("warning: {broken}"));
        }
        let receipt: Option<Receipt> = match &self.id {
            Some(id) => Some(receipts.load(session.system.as_ref(), id)?),
            None => history.to_undo().cloned(),
        };
        let inside =
            |paths: &[Utf8PathBuf]| paths.iter().map(|path| session.inside(path)).collect();
        let choice = Choice {
            only: inside(&self.only),
            force: inside(&self.force),
        };
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
        if let Some(host) = host.as_ref().filter(|_| !choice.only.is_empty()) {
            let refusals = refusals_of(session.system.as_ref(), host, &plan)?;
            if !refusals.is_empty() {
                let mut failure = Failure::failed(
                    "taking back these files alone would break the configuration, so nothing is written",
                )
                .hint("take back the files that name them too (another `--only PATH`), or all");
                failure.findings = refusals;
                return Err(failure);
            }
        }
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
        session.ui.say(&if choice.only.is_empty() {
            format!("done; `{}` is undone", receipt.id)
        } else {
            format!("done; these files are as they were before `{}`", receipt.id)
        });
        Ok(0)
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
