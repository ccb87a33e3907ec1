//! `--migrate-tables` of `mailfix plan` and `mailfix apply`: off Berkeley DB.

use clap::ValueEnum;

use crate::check::is_unparsable;
use crate::cli::{Failure, FailureKind, Session};
use crate::draft::{DraftError, check_unreadable};
use crate::finding::Finding;
use crate::host::HostError;
use crate::migration::{self, Migration, NewType};
use crate::profile::Profile;
use crate::site::Site;

/// The type tables are moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MigrateTo {
    // Without help of their own: it would spread the help of every other option.
    Lmdb,
    Cdb,
}

impl MigrateTo {
    /// The option as it is typed behind a command.
    pub fn option(self) -> String {
        format!(" --migrate-tables {}", NewType::from(self).name())
    }
}

impl From<MigrateTo> for NewType {
    fn from(to: MigrateTo) -> Self {
        match to {
            MigrateTo::Lmdb => Self::Lmdb,
            MigrateTo::Cdb => Self::Cdb,
        }
    }
}

/// A move that something stands in the way of.
pub fn not_moved(refusals: &[Finding]) -> Failure {
    let message = if refusals.iter().any(is_unparsable) {
        "Postfix cannot read its configuration, so nothing is written"
    } else {
        "the tables cannot be moved as they are, so nothing is written"
    };
    let mut failure = Failure::failed(message);
    failure.findings = refusals.to_vec();
    failure
}

impl Session {
    /// Plans the move, and gives the profile. It needs no site file.
    pub fn migration(&mut self, to: MigrateTo) -> Result<(Migration, Profile), Failure> {
        let (site, profile) = self.site_if_any()?;
        let config = self.config_directory(&profile)?;
        self.note_config(&profile, &config);
        let system = self.system.as_ref();
        let migration = match migration::draft(system, &config, to.into(), site.as_ref()) {
            Err(DraftError::Host(error @ HostError::Unreadable { .. })) => {
                let mut failure = Failure::from(error);
                failure.findings = check_unreadable(system, &profile, &config)?;
                return Err(failure);
            }
            other => other?,
        };
        Ok((migration, profile))
    }

    /// The site file, if there is one, and the profile.
    fn site_if_any(&mut self) -> Result<(Option<Site>, Profile), Failure> {
        match self.site() {
            Ok((site, chosen)) => Ok((Some(site), chosen.profile)),
            // One that is wrong is told; one that is not there is not needed.
            Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
                Ok((None, self.choose_profile(None)?.profile))
            }
            Err(failure) => Err(failure),
        }
    }
}
