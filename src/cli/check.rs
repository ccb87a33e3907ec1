//! `mailfix check`: what is wrong with the configuration as it stands.

use clap::Args;

use crate::cli::{Failure, Session, json};
use crate::draft::{check_live, check_unreadable, silenced, silent_rewriter};
use crate::finding::Severity;
use crate::host::{self, HostError, Interest};
use crate::target::forwards_without_srs;

/// Look for faults in the live configuration, also those Postfix is silent about
#[derive(Debug, Args)]
pub struct Check {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Check {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        // A site file is no condition: it may only silence codes.
        let (site, profile) = match session.site() {
            Ok((site, chosen)) => (Some(site), chosen.profile),
            Err(failure)
                if failure.kind == crate::cli::FailureKind::Site && failure.findings.is_empty() =>
            {
                (None, session.choose_profile(None)?.profile)
            }
            Err(failure) => return Err(failure),
        };
        let config = session.config_directory(&profile)?;
        session.note_config(&profile, &config);
        let system = session.system.as_ref();
        let (mut findings, checked) = match host::observe(system, &config, &Interest::in_tables()) {
            Ok(mut host) => {
                let (mut findings, checked) = check_live(system, &host)?;
                let own = site.as_ref().map_or(&[][..], |site| &site.domains);
                let logs = &profile.paths.logs;
                let forwarding =
                    host::observe_forwarding(system, &host.facts, &mut host.files, logs, own);
                host.facts.forwarding = Some(forwarding);
                findings.extend(forwards_without_srs(&host.facts, site.as_ref()));
                findings.extend(silent_rewriter(system, &host.facts));
                (findings, checked)
            }
            Err(error @ HostError::Unreadable { .. }) => {
                let findings = check_unreadable(system, &profile, &config)?;
                if findings.is_empty() {
                    return Err(error.into());
                }
                (findings, false)
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(site) = &site {
            findings = silenced(site, findings);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        let warnings = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .count();
        if self.json {
            session
                .ui
                .data(&json::text(&json::findings_only(&findings, checked)));
        } else {
            session.ui.findings(&findings);
            let count = |number: usize, what: &str| {
                format!("{number} {what}{}", if number == 1 { "" } else { "s" })
            };
            session.ui.say(&format!(
                "`{config}`: {}, {}",
                count(errors, "error"),
                count(warnings, "warning")
            ));
            if !checked && !session.may_write() {
                session
                    .ui
                    .say("note: `postfix check` was skipped, only root may run it");
            }
        }
        Ok(u8::from(errors > 0))
    }
}
