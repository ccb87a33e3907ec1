//! `mailfix dns check`: what DNS says of this server's mail, as receivers see it.

mod matrix;
mod subject;

use clap::Args;

use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns_check::{self, Outcome};
use crate::draft::silenced;
use crate::finding::{Finding, Severity};
use crate::provider::Provider;

use super::Asking;

/// Check the addresses mail leaves from and the domains it is sent for
///
/// For every address: the PTR record, whether it leads back, the name said in HELO, and what SPF
/// of every sending domain says of it. For every domain: MX, SPF, DKIM against the key on disk,
/// DMARC, TLS-RPT and MTA-STS. A site file is not needed. Exit status: 0 all right, 1 something is wrong, 75
/// something could not be asked.
#[derive(Debug, Args)]
pub struct Check {
    /// Check these sending domains instead of those that are found
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Show what every SPF record leads to, not only those that are wrong
    #[arg(long)]
    tree: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Check {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        self.asking.begin(session)?;
        let (site, subject) = subject::gather(session, &self.domains)?;
        let resolver = session.resolver()?;
        let mut report = dns_check::check(resolver.as_ref(), &subject, &Provider::all());
        if let Some(site) = &site {
            report.findings = silenced(site, report.findings);
        }
        let outcome = report.outcome();
        if self.json {
            session.ui.data(&json::text(&json::dns_check(&report)));
        } else {
            matrix::show(&mut session.ui, &report, self.tree);
            session.ui.findings(&report.findings);
            session.ui.say(&summary(&report.findings, outcome));
        }
        Ok(match outcome {
            Outcome::Right => 0,
            Outcome::Wrong => FailureKind::Failed.status(),
            Outcome::Unasked => FailureKind::Unasked.status(),
        })
    }
}

fn summary(findings: &[Finding], outcome: Outcome) -> String {
    let count = |severity: Severity, what: &str| {
        let number = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    let counts = format!(
        "{}, {}",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning")
    );
    match outcome {
        Outcome::Right => format!("{counts}: nothing is wrong, as far as DNS says"),
        Outcome::Wrong => counts,
        Outcome::Unasked => format!("{counts}; not all could be asked, so try again later"),
    }
}
