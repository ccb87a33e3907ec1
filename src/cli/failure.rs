//! Why a command did not do its work, with its exit status.
//!
//! The `From` impls, here and beside the commands, choose a kind and a hint for the errors of
//! the modules below.

use crate::finding::Finding;
use crate::host::HostError;
use crate::system::SystemError;

/// What to do where an archive does not answer.
pub const COLLECT_AGAIN: &str =
    "collect again: `mailfix collect --site FILE` prints the script that asks it on the server";

/// The kinds of failure; each has its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It could not be done.
    Failed,
    /// It stopped part-way; undo is needed.
    Stopped,
    /// The command line is wrong.
    Usage,
    /// DNS could not be asked.
    Unasked,
    /// The site file is wrong.
    Site,
    /// Our own fault.
    Bug,
}

impl FailureKind {
    /// The exit status; those from 64 on are those of sysexits(3).
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Stopped => 3,
            Self::Usage => 64,
            Self::Bug => 70,
            Self::Unasked => 75,
            Self::Site => 78,
        }
    }
}

/// A command that did not do its work.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What went wrong, a lower-case phrase.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
    /// Faults with their places, shown before the message.
    pub findings: Vec<Finding>,
}

impl Failure {
    /// Makes a failure without hints.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Makes a plain failure.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// Makes a failure of the command line.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<SystemError> for Failure {
    fn from(error: SystemError) -> Self {
        let hint = match &error {
            SystemError::Read { source, .. } | SystemError::Write { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Some("run it as root (`sudo mailfix …`)")
            }
            SystemError::Locked { .. } => Some("wait until it is done"),
            SystemError::NotCollected { .. } => Some(COLLECT_AGAIN),
            _ => None,
        };
        let failure = Self::failed(error.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::System(error) => error.into(),
            HostError::Unreadable { .. } => Self::failed(error.to_string())
                .hint("mend what it names first: as it is, Postfix cannot be started or reloaded"),
            HostError::InTheWay { .. } => Self::failed(error.to_string())
                .hint("move it elsewhere: tables of mailfix go there"),
            HostError::NoMaster { .. } => Self::failed(error.to_string())
                .hint("bring it back, from a backup or from the package, and try again"),
            other => Self::failed(other.to_string()),
        }
    }
}
