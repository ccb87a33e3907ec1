//! `mailfix doctor`: all that is wrong, in the order it should be mended.

mod list;
pub mod look;
mod news;
mod timer;

use std::time::Duration;

use clap::Args;

use crate::cli::moment::{Moment, moment};
use crate::cli::{Failure, FailureKind, Session, json};
use crate::doctor::Trouble;
use crate::finding::Severity;

use look::Looked;

/// Say what is wrong with this server's mail, in the order it should be mended
///
/// Looks at all that can be known without changing anything: the configuration, what waits in the
/// queue, what of earlier applies still holds, and DNS as receivers ask it. What several of them
/// tell of is one finding with all the evidence, the cause and the command that mends it.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Look at the log from then on: a date such as 2026-11-20, or how long ago
    #[arg(long, value_parser = moment, default_value = "7d", value_name = "WHEN")]
    since: Moment,
    /// Try whether port 25 of big receivers, or of HOST, can be reached; over each protocol
    #[arg(long, value_name = "HOST", num_args = 0..=1, default_missing_value = "")]
    port25: Option<String>,
    /// Show nobody's address: numbers stand in for what is before the `@`
    #[arg(long)]
    mask: bool,
    /// Tell only what was not told before by this option, and nothing where there is nothing;
    /// what is gone and comes back is told again
    #[arg(long = "new")]
    news: bool,
    /// Mail it there instead of printing it, if there is anything new
    #[arg(long, value_name = "ADDRESS", value_parser = news::address)]
    mail: Option<String>,
    /// Set up a job of systemd, launchd or cron that runs `--new` every day; `off` takes it away
    #[arg(long, value_enum, value_name = "SWITCH", num_args = 0..=1, require_equals = true,
        default_missing_value = "on", conflicts_with_all = ["json", "port25", "news", "since"])]
    timer: Option<timer::Switch>,
    /// How long a host may take to answer there, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 15,
        requires = "port25"
    )]
    patience: u64,
}

/// How all of it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Right,
    Wrong,
    Unasked,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        if self.mail.is_some() && !self.news && self.timer.is_none() {
            return Err(Failure::usage("`--mail` goes with `--new` or `--timer`"));
        }
        if let Some(switch) = self.timer {
            return timer::run(session, switch, self.mail.as_deref(), self.mask);
        }
        if self.news {
            return news::tell(session, &self);
        }
        let looked = look::look(session, &self)?;
        let outcome = looked.outcome();
        if self.json {
            let object = json::doctor(&looked, outcome);
            session.ui.data(&json::text(&object));
        } else {
            list::show(&mut session.ui, &looked.troubles);
            list::show_looked(&mut session.ui, &looked);
            list::summary(&mut session.ui, &looked, outcome);
            let is_here = |what| !matches!(what, "dns" | "port25");
            if !session.system.is_root() && looked.missed().any(is_here) {
                session
                    .ui
                    .hint("as root (`sudo mailfix doctor`) all of it can be looked at");
            }
        }
        Ok(match outcome {
            Outcome::Right => 0,
            Outcome::Wrong => FailureKind::Failed.status(),
            Outcome::Unasked => FailureKind::Unasked.status(),
        })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

impl Looked {
    /// Says that something is not there to be looked at, or not wanted, and why.
    fn skip(&mut self, what: &'static str, why: impl Into<String>) {
        self.pass_over(what, why.into(), false);
    }

    /// Says that something could not be looked at, and why.
    fn miss(&mut self, what: &'static str, why: impl Into<String>) {
        self.pass_over(what, why.into(), true);
    }

    fn pass_over(&mut self, what: &'static str, why: String, failed: bool) {
        let skipped = look::Skipped { what, why, failed };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }

    /// What could not be looked at.
    fn missed(&self) -> impl Iterator<Item = &'static str> + '_ {
        let failed = self.skipped.iter().filter(|skipped| skipped.failed);
        failed.map(|skipped| skipped.what)
    }

    /// How all of it ended.
    fn outcome(&self) -> Outcome {
        let is_error = |trouble: &Trouble| trouble.severity == Severity::Error;
        if self.troubles.iter().any(is_error) {
            Outcome::Wrong
        } else if self.is_unasked || self.missed().any(|what| what == "host") {
            Outcome::Unasked
        } else {
            Outcome::Right
        }
    }
}
