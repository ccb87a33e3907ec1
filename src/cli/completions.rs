//! `mailfix completions`: what shells need to complete words.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Arguments, Session};

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> u8 {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "mailfix", &mut text);
        session.ui.data(&String::from_utf8_lossy(&text));
        0
    }
}
