//! `mailfix dkim`: the keys mail is signed with, one file a verb.

mod new;
mod rotate;

use clap::{Args, Subcommand};

use crate::cli::{Failure, Session};

/// Make the key mail is signed with (DKIM)
#[derive(Debug, Args)]
pub struct Dkim {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(new::New),
    Rotate(rotate::Rotate),
}

impl Dkim {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        match self.verb {
            Verb::New(new) => new.run(session),
            Verb::Rotate(rotate) => rotate.run(session),
        }
    }
}
