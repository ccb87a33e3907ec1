//! `mailfix check`: what is wrong with the configuration as it stands.

use clap::Args;

use crate::cli::{Failure, Session, json};
use crate::doctor::configuration;

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
        let looked = configuration::look(system, &profile, &config, site.as_ref())?;
        let (findings, checked) = (looked.findings, looked.checked);
        let (errors, warnings) = configuration::counted(&findings);
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
