//! A plan kept in a file between `plan -o FILE` and `apply FILE`.
//!
//! Owns the versioned JSON. The plan in it carries every `before`, so that
//! [`Plan::against`] refuses it once anything changed.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;

/// The one format written, and the newest read.
const FORMAT: u32 = 1;

/// A plan with what is needed to apply it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    format: u32,
    /// The version that made it.
    pub mailfix: String,
    /// When it was made.
    pub created: Timestamp,
    /// The configuration directory it is for.
    pub config: Utf8PathBuf,
    /// The plan.
    pub plan: Plan,
}

/// A failure to read a saved plan.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// A later version wrote it.
    #[error(
        "this plan has format {format}, a newer mailfix made it; this one knows format {FORMAT}"
    )]
    Newer {
        /// Its format.
        format: u32,
    },
    /// It is no saved plan, or a damaged one.
    #[error("this is not a saved plan: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl SavedPlan {
    /// Makes a plan ready to be saved.
    #[must_use]
    pub fn new(plan: Plan, config: impl Into<Utf8PathBuf>, created: Timestamp) -> Self {
        Self {
            format: FORMAT,
            mailfix: env!("CARGO_PKG_VERSION").to_owned(),
            created,
            config: config.into(),
            plan,
        }
    }

    /// Prints the file's bytes.
    ///
    /// # Errors
    /// When it cannot be put into JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, SavedPlanError> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// When they are no plan, or one of a newer format.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SavedPlanError> {
        // The format is read alone first: a newer plan may have any shape beside it.
        let version: Version = serde_json::from_slice(bytes)?;
        if version.format > FORMAT {
            return Err(SavedPlanError::Newer {
                format: version.format,
            });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{FileChange, Nature, Step};
    use crate::system::{Command, File};

    fn saved() -> SavedPlan {
        let plan = Plan {
            steps: vec![Step {
                title: "let `smtp-ipv4` deliver to Google".to_owned(),
                files: vec![FileChange {
                    path: "/etc/postfix/master.cf".into(),
                    before: Some(File {
                        attributes: vec![("user.x".to_owned(), vec![0, 255])],
                        ..File::new(b"caf\xe9\n", 0o644, 0, 0)
                    }),
                    after: None,
                    nature: Nature::Text,
                }],
                then: vec![Command::Reload {
                    config: "/etc/postfix".into(),
                }],
                ..Step::default()
            }],
        };
        SavedPlan::new(plan, "/etc/postfix", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_saved_is_read_again() {
        assert_eq!(
            SavedPlan::from_json(&saved().to_json().unwrap()).unwrap(),
            saved()
        );
    }

    #[test]
    fn newer_formats_are_named() {
        let error = SavedPlan::from_json(br#"{"format": 7, "plan": 3}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this plan has format 7, a newer mailfix made it; this one knows format 1"
        );
    }

    #[test]
    fn other_files_are_no_plan() {
        for other in ["", "[]", "{}", r#"{"format": 1}"#] {
            let error = SavedPlan::from_json(other.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("this is not a saved plan: "));
        }
    }
}
