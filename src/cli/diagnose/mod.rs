//! `mailfix diagnose`: what the log says of mail that did not get through, and what mends it.

mod cure;
mod follow;
mod forms;
mod plan;

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::logs::{self, cannot_read};
use crate::cli::moment::{Moment, When};
use crate::cli::{Failure, FailureKind, Session, json};
use crate::diagnose::Knowledge;
use crate::diagnose::log::{self, Options, Report};
use crate::finding::{Severity, escape};
use crate::mask::Mask;

pub use plan::from_log;

/// Find in the log which mail did not get through, why, and what mends it
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Diagnose {
    /// Logs to read, packed (gzip, zstd, xz) or not; `-` is standard input [default: the mail log
    /// and its rotations]
    #[arg(value_name = "LOG")]
    pub logs: Vec<Utf8PathBuf>,
    #[command(flatten)]
    when: When,
    /// The most findings to show; 0 shows all
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    top: usize,
    /// List the addresses that mail was given up for, by cause: to be sent again, or taken off a
    /// list
    #[arg(long)]
    recipients: bool,
    /// Turn what was found into changes of the site file and a plan; ask, and apply it
    #[arg(long, conflicts_with_all = ["recipients", "json"])]
    plan: bool,
    /// Follow the log as it grows, through rotations, and tell what is new; Ctrl-C ends it
    #[arg(long, conflicts_with_all = ["recipients", "plan", "csv", "until"])]
    follow: bool,
    /// Show nobody's address: numbers stand in for what is before the `@`
    #[arg(long)]
    mask: bool,
    /// Print it as JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print the addresses as comma-separated values
    #[arg(long, requires = "recipients")]
    csv: bool,
}

impl Diagnose {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let knowledge = session.knowledge()?;
        let options = Options {
            span: self.when.span(session.now),
            recipients: self.recipients,
        };
        let mut mask = self.mask.then(Mask::new);
        if self.follow {
            let wanted = follow::Wanted {
                options,
                since: self.when.since,
                top: self.top,
                is_json: self.json,
                mask,
            };
            return follow::follow(session, &self.logs, &knowledge, wanted);
        }
        let mut report = session.report(&self.logs, self.when.since, &knowledge, options)?;
        if let Some(mask) = &mut mask {
            report.mask(mask);
        }
        if !self.recipients {
            session.locate(&mut report)?;
        }
        if self.plan {
            return plan::carry_out(session, &report, &knowledge, mask);
        }
        if self.recipients {
            let text = if self.json {
                let object = json::object("recipients", &forms::bounced_json(&report));
                json::text(&object)
            } else if self.csv {
                forms::bounced_csv(&report)
            } else {
                forms::bounced_text(&report)
            };
            session.ui.data(&text);
            return Ok(0);
        }
        if self.json {
            let object = json::object("diagnosis", &forms::as_json(&report, &knowledge));
            session.ui.data(&json::text(&object));
        } else {
            self.show(session, &report, &knowledge);
        }
        Ok(if report.has_errors() {
            FailureKind::Failed.status()
        } else {
            0
        })
    }

    fn show(&self, session: &mut Session, report: &Report, knowledge: &Knowledge) {
        let all = report.groups.len();
        let shown = shown(all, self.top);
        for group in report.groups.iter().take(shown) {
            session.ui.findings(&[group.finding(knowledge)]);
            session.ui.data("\n");
        }
        let number = |severity: Severity, word: &str| {
            let count = report
                .groups
                .iter()
                .filter(|group| group.severity() == severity);
            forms::count(count.count(), word)
        };
        if all == 0 {
            session.ui.say("nothing was refused, lost or stuck");
            return;
        }
        if shown < all {
            session
                .ui
                .say(&format!("{} more; `--top 0` shows all", all - shown));
        }
        session.ui.say(&format!(
            "{}, {}, {}",
            number(Severity::Error, "error"),
            number(Severity::Warning, "warning"),
            number(Severity::Note, "note")
        ));
    }
}

impl Session {
    /// What is known of receivers and causes, the administrator's own included.
    pub fn knowledge(&mut self) -> Result<Knowledge, Failure> {
        let catalogue = self.catalogue()?;
        Ok(Knowledge::new(catalogue))
    }

    /// Fills in from which address mail left where no reply names it, if this host's configuration
    /// tells; a configuration or site file that cannot be read tells nothing.
    fn locate(&mut self, report: &mut Report) -> Result<(), Failure> {
        let is_open = |group: &log::Group| matches!(group.from, log::From::Program(_));
        if report.groups.iter().any(is_open) {
            report.locate_all(&self.departures_if_known()?);
        }
        Ok(())
    }

    /// What the logs say of mail that did not get through.
    pub fn report(
        &mut self,
        named: &[Utf8PathBuf],
        since: Option<Moment>,
        knowledge: &Knowledge,
        options: Options,
    ) -> Result<Report, Failure> {
        let sources = self.logs(named, since)?;
        let progress = self.progress(logs::measure(&sources));
        let report = log::read(&sources, knowledge, options, &|bytes| progress.more(bytes));
        report.map_err(|error| cannot_read("the log", &error))
    }
}

/// How many of all are shown where `top` are wanted; 0 stands for all.
fn shown(all: usize, top: usize) -> usize {
    if top == 0 { all } else { all.min(top) }
}

/// Text of strangers, on one line.
fn plain(text: &str) -> String {
    escape(text).replace(['\n', '\t'], " ")
}
