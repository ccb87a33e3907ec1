//! `mailfix dns check`: what DNS says of this server's mail, as receivers see it.

mod many;
mod matrix;
pub mod subject;

use std::net::IpAddr;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::Name;
use crate::dns_check::{self, Outcome, Report, Subject};
use crate::draft::silenced;
use crate::finding::{Finding, Severity};
use crate::provider::Provider;
use crate::site::Site;

use super::Servers;
use super::servers::names_of;
use super::wait::{Look, duration, until_right};

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
    /// Judge by this address instead of those mail leaves from here; may be repeated
    #[arg(long = "address", value_name = "IP")]
    addresses: Vec<IpAddr>,
    /// Check the sending domains in FILE (`-`: standard input), one a line: each gives one line
    #[arg(long = "domains", value_name = "FILE", conflicts_with_all = ["domains", "wait"])]
    list: Option<Utf8PathBuf>,
    /// Look again until all is right, for as long as this (`30s`, `10m`, `2h`); asks the zones'
    /// own servers, unless `--server` names one
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "offline")]
    wait: Option<Duration>,
    #[command(flatten)]
    servers: Servers,
}

impl Check {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        if let Some(list) = &self.list {
            let names = many::read(session, list)?;
            let (site, subject) = subject::gather(session, names, &self.addresses)?;
            return many::run(session, site.as_ref(), &subject, &self.servers, self.json);
        }
        let asked = subject::names(&self.domains)?;
        let (site, subject) = subject::gather(session, asked, &self.addresses)?;
        let mut servers = self.servers.clone();
        if self.wait.is_some() {
            servers = servers.for_waiting();
        }
        let names = names(site.as_ref(), &subject);
        let look = |session: &mut Session| {
            let asked = servers.begin(session)?;
            let resolver = session.resolver()?;
            let mut report = dns_check::check(resolver.as_ref(), &subject, &Provider::demanding());
            report.findings.extend(asked.findings(&names));
            report
                .findings
                .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            if let Some(site) = &site {
                report.findings = silenced(site, report.findings);
            }
            Ok(Look {
                left: left(&report),
                found: report,
            })
        };
        let report = match self.wait {
            Some(limit) => until_right(session, limit, &names, look)?.found,
            None => look(session)?.found,
        };
        let outcome = report.outcome();
        if self.json {
            session.ui.data(&json::text(&json::dns_check(&report)));
        } else {
            matrix::show(&mut session.ui, &report, self.tree);
            session.ui.findings(&few_unasked(&report.findings));
            session.ui.say(&summary(&report.findings, outcome));
        }
        if servers.authoritative && !self.servers.authoritative && outcome == Outcome::Unasked {
            session.ui.hint(
                "the zones' own servers were asked; where they cannot be reached from here, name \
                 a server that can: `--server IP`",
            );
        }
        Ok(status(outcome))
    }
}

/// Findings as people read them: of many questions that nobody answered a few are enough.
fn few_unasked(findings: &[Finding]) -> Vec<Finding> {
    const FEW: usize = 2;
    let is_unasked = |finding: &Finding| finding.code.ends_with("unasked");
    let all = findings
        .iter()
        .filter(|finding| is_unasked(finding))
        .count();
    let mut seen = 0;
    let mut shown: Vec<Finding> = findings
        .iter()
        .filter(|finding| {
            seen += usize::from(is_unasked(finding));
            all <= FEW + 1 || !is_unasked(finding) || seen <= FEW
        })
        .cloned()
        .collect();
    if all > FEW + 1 {
        let more = format!(
            "{} more questions got no answer; `--json` has them all",
            all - FEW
        );
        shown.push(Finding::warning("dns-unasked", more));
    }
    shown
}

fn status(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Right => 0,
        Outcome::Wrong => FailureKind::Failed.status(),
        Outcome::Unasked => FailureKind::Unasked.status(),
    }
}

/// The names whose records are in question.
fn names(site: Option<&Site>, subject: &Subject) -> Vec<Name> {
    let senders = subject.senders.iter().map(|sender| sender.domain.clone());
    let sources = subject.sources.iter();
    let mut names: Vec<Name> = senders
        .chain(sources.map(|source| Name::reverse_of(source.address)))
        .chain(site.iter().flat_map(|site| names_of(site)))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What is not right yet.
fn left(report: &Report) -> Vec<String> {
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let unasked = report
        .unasked
        .then(|| "some questions got no answer".to_owned());
    errors
        .map(|finding| finding.title.clone())
        .chain(unasked)
        .collect()
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
