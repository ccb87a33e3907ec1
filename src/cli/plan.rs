//! `mailfix plan`: shows what would be done and why; changes nothing.

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::diagnose::from_log;
use crate::cli::elsewhere::Elsewhere;
use crate::cli::migrate::{MigrateTo, not_moved};
use crate::cli::{Failure, FailureKind, Session, json, show};
use crate::host::Origin;
use crate::plan::{Nature, SavedPlan};
use crate::system::{File, System};
use crate::wizard::quoted;

/// Exit status when changes are pending and the command line asks for it.
pub const PENDING: u8 = 2;

/// Show what would be done and why; change nothing
#[derive(Debug, Args)]
pub struct PlanCommand {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Name each forward that leads outside, with its addresses
    #[arg(long, short)]
    verbose: bool,
    /// Plan to move every table of Berkeley DB to this type, and nothing else
    #[arg(long, value_name = "TYPE")]
    migrate_tables: Option<MigrateTo>,
    /// Save the plan for `mailfix apply FILE`
    #[arg(long, short, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// Plan for the server that `mailfix collect` packed into FILE, and write what to carry
    /// there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "root", "migrate_tables"])]
    from: Option<Utf8PathBuf>,
    /// Where that is written [default: mailfix-out]
    #[arg(long, value_name = "DIR", requires = "from")]
    out: Option<Utf8PathBuf>,
    /// Plan by what these logs say of refused mail [default: the mail log and its rotations]
    #[arg(long, value_name = "LOG", num_args = 0.., conflicts_with_all = ["from", "migrate_tables"])]
    from_log: Option<Vec<Utf8PathBuf>>,
    /// End with status 2 when changes are pending
    #[arg(long)]
    detailed_exitcode: bool,
}

impl PlanCommand {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        if let Some(archive) = &self.from {
            let elsewhere = Elsewhere {
                archive,
                out: self.out.as_deref(),
                json: self.json,
                detailed: self.detailed_exitcode,
            };
            return elsewhere.plan(session);
        }
        let draft = if let Some(to) = self.migrate_tables {
            session.migration(to)?.0.draft
        } else if let Some(logs) = &self.from_log {
            from_log(session, logs, !self.json)?
        } else {
            let wished = session.wished()?;
            session.draft(&wished.wish())?
        };
        if self.json && !draft.refusals.is_empty() {
            // A program finds them in the object that it asked for.
            session.ui.data(&json::text(&json::draft(&draft)));
            return Ok(FailureKind::Failed.status());
        }
        if self.migrate_tables.is_some() && !draft.refusals.is_empty() {
            // What of it could be done is no plan.
            session.ui.remarks(&draft.findings);
            return Err(not_moved(&draft.refusals));
        }
        if !self.json {
            show::draft(&mut session.ui, &draft);
            if self.verbose {
                show::forwards(&mut session.ui, &draft);
            }
            session.ui.remarks(&draft.findings);
        }
        if !draft.refusals.is_empty() {
            return Err(refused(&draft.refusals));
        }
        if let Some(path) = &self.output {
            let saved = SavedPlan::new(
                draft.plan.clone(),
                draft.host.facts.config.clone(),
                session.now,
            );
            // It holds copies of files that not everyone may read.
            let file = File::new(saved.to_json()?, 0o600, session.user.0, session.user.1);
            session.outside.write(path, &file)?;
            let mut changes = draft.plan.changes();
            if changes.any(|change| change.nature == Nature::Secret) {
                session.ui.say(&format!(
                    "note: `{path}` holds the private key; only its owner can read it, and once it is applied nobody needs it"
                ));
            }
            session.ui.say(&format!(
                "saved; `{}` does it unless anything changes before",
                session
                    .common
                    .command(&format!("apply {}", quoted(path.as_str())))
            ));
        } else if !draft.plan.is_empty() && !self.json {
            let next = if draft.host.facts.origin == Origin::Stock {
                format!(
                    "`{}` writes the files for a server elsewhere",
                    session.common.alike("init")
                )
            } else if self.from_log.is_some() {
                format!(
                    "`{}` does it, as `--output FILE` and `mailfix apply FILE` do",
                    session.common.alike("diagnose --plan")
                )
            } else {
                let option = self.migrate_tables.map(MigrateTo::option);
                let words = format!("apply{}", option.unwrap_or_default());
                format!("`{}` does it", session.common.alike(&words))
            };
            session.ui.say(&format!("nothing was changed; {next}"));
        }
        if self.json {
            session.ui.data(&json::text(&json::draft(&draft)));
        }
        Ok(if draft.falls_short() {
            FailureKind::Failed.status()
        } else if self.detailed_exitcode && !draft.plan.is_empty() {
            PENDING
        } else {
            0
        })
    }
}

/// A plan that would break something.
pub fn refused(refusals: &[crate::finding::Finding]) -> Failure {
    let mut failure =
        Failure::failed("the planned configuration has faults, so nothing is written");
    failure.findings = refusals.to_vec();
    failure
}
