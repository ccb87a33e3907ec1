//! `mailfix profile`: the kinds of hosts mailfix knows.

use camino::Utf8Path;
use clap::{Args, Subcommand};

use crate::cli::{Failure, Session};
use crate::embedded::PROFILES;
use crate::finding::fold;
use crate::profile::Profile;
use crate::system::System;

/// List the kinds of hosts mailfix knows, or show one
#[derive(Debug, Args)]
pub struct ProfileCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the profiles
    List,
    /// Print a profile's file, to see it or to start one of your own from
    Show {
        /// Its name or path [default: the best match for this host]
        name: Option<String>,
    },
}

impl ProfileCommand {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        match self.verb {
            Verb::List => {
                let profiles: Vec<Profile> = Profile::all().collect();
                let width = profiles
                    .iter()
                    .map(|profile| profile.name.len())
                    .max()
                    .unwrap_or(0);
                for profile in &profiles {
                    let indent = " ".repeat(width + 2);
                    let text = format!("{}: {}", profile.title, profile.about);
                    let text = fold(&text, 80 - indent.len(), &indent);
                    session
                        .ui
                        .data(&format!("{:width$}  {text}\n", profile.name));
                }
                let chosen = session.choose_profile(None)?;
                if let Some(reason) = chosen.reason {
                    session.ui.say(&format!(
                        "this host looks like `{}`: {reason}",
                        chosen.profile.name
                    ));
                }
            }
            Verb::Show { name } => {
                let name = name.or_else(|| session.common.profile.clone());
                let name = match name {
                    Some(name) => name,
                    None => session.choose_profile(None)?.profile.name,
                };
                let text = PROFILES
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, text)| *text);
                if let Some(text) = text {
                    session.ui.data(text);
                    return Ok(0);
                }
                // Says what the names are, or what is wrong in a file of one's own.
                session.named_profile(&name)?;
                if let Some(file) = session.outside.read(Utf8Path::new(&name))? {
                    session.ui.data(&String::from_utf8_lossy(&file.bytes));
                }
            }
        }
        Ok(0)
    }
}
