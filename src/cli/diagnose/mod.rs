//! `mailfix diagnose`: what the log says of mail that did not get through, and what mends it.

mod follow;
mod forms;
mod plan;

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::logs::{self, cannot_read};
use crate::cli::moment::{Moment, moment};
use crate::cli::{Failure, FailureKind, Session, json};
use crate::diagnose::Knowledge;
use crate::diagnose::log::{self, Options, Report};
use crate::finding::{Severity, escape};
use crate::mask::Mask;
use crate::stats::Span;

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
    /// Look from then on: a date such as 2026-11-20 or 2026-11-20T10:30, or how long ago, 7d
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    since: Option<Moment>,
    /// Look until then
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    until: Option<Moment>,
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
    #[arg(long, conflicts_with_all = ["recipients", "plan", "json", "csv", "since", "until", "top"])]
    follow: bool,
    /// Show nobody's address: numbers stand in for what is before the `@`
    #[arg(long, conflicts_with = "plan")]
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
            span: Span {
                since: self.since.map(|since| since.stamp(session.now)),
                until: self.until.map(|until| until.stamp(session.now)),
            },
            recipients: self.recipients,
        };
        let mut mask = self.mask.then(Mask::new);
        if self.follow {
            return follow::follow(session, &self.logs, &knowledge, options, mask);
        }
        let mut report = session.report(&self.logs, self.since, &knowledge, options)?;
        if let Some(mask) = &mut mask {
            report.mask(mask);
        }
        if self.plan {
            return plan::carry_out(session, &report, &knowledge);
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
        let shown = if self.top == 0 {
            all
        } else {
            all.min(self.top)
        };
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

/// Text of strangers, on one line.
fn plain(text: &str) -> String {
    escape(text).replace(['\n', '\t'], " ")
}
