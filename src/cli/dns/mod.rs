//! `mailfix dns`: the records the site needs, one file a verb.

pub mod check;
mod preview;
pub mod push;
mod request;
mod servers;
mod show;
mod spf;
mod take_back;
pub mod wait;
mod wanted;

use clap::{Args, Subcommand};

use crate::cli::{Failure, Session};

pub use preview::{preview, published};
pub use servers::Servers;
pub use show::files;
pub use wanted::key_records;

/// Show the DNS records this site needs, and check what stands there
#[derive(Debug, Args)]
pub struct Dns {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(show::Show),
    Check(check::Check),
    Push(push::Push),
    Request(request::Request),
    Spf(spf::SpfCommand),
}

impl Dns {
    /// Tells whether the answer is for a program.
    pub fn is_json(&self) -> bool {
        match &self.verb {
            Verb::Show(show) => show.is_json(),
            Verb::Check(check) => check.json,
            Verb::Push(_) | Verb::Request(_) => false,
            Verb::Spf(spf) => spf.json,
        }
    }

    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        match self.verb {
            Verb::Show(show) => show.run(session),
            Verb::Check(check) => check.run(session),
            Verb::Push(push) => push.run(session),
            Verb::Request(request) => request.run(session),
            Verb::Spf(spf) => spf.run(session),
        }
    }
}
