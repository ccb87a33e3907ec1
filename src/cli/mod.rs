//! The command line: one file a command, and the face they share.
//!
//! Owns the arguments, what is printed where, and the exit status. Must not know
//! Postfix's syntax, paths, or what should be configured.

pub mod failure;
pub mod ui;

mod apply;
mod carry;
mod check;
mod collect;
mod completions;
mod diagnose;
mod dkim;
mod dns;
mod doctor;
mod elsewhere;
mod explain;
mod history;
mod init;
mod json;
mod logs;
mod migrate;
mod moment;
mod out;
mod plan;
mod prepare;
mod probe;
mod profile;
mod progress;
mod providers;
mod refresh;
mod remedies;
mod show;
mod stats;
#[cfg(test)]
mod tests;
mod undo;

use std::ffi::OsString;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::dns::Resolver;
use crate::host::Facts;
use crate::system::{RealSystem, System};
use crate::wizard::quoted;
pub use failure::{Failure, FailureKind};
use ui::Ui;

/// What the world outside gives a run of the program.
pub struct World {
    /// The words typed, the program's name first.
    pub arguments: Vec<OsString>,
    /// The time of the start.
    pub now: Timestamp,
    /// Whether questions can be asked: standard input and standard error are terminals.
    pub is_terminal: bool,
    /// The kernel's name, as `uname -s` gives it.
    pub kernel: String,
    /// The user and group the process runs as.
    pub user: (u32, u32),
    /// Where our program lies, if that is known.
    pub program: Option<Utf8PathBuf>,
    /// Who answers about DNS; without one, the servers that `/etc/resolv.conf` names.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Standard input.
    pub input: Box<dyn std::io::Read + Send>,
    /// Whether colour reaches who reads standard output.
    pub is_coloured: bool,
    /// Where colour is wanted, what strips it elsewhere.
    pub out: Box<dyn std::io::Write>,
    /// The same for all that is not data.
    pub err: Box<dyn std::io::Write>,
}

/// Finds out why the big receivers refuse a Postfix server's mail, and mends it safely.
///
/// Start with `mailfix init`: it looks at the host, asks what it cannot know, shows
/// every change, and applies it when you agree. `mailfix undo` takes it all back.
#[derive(Debug, Parser)]
#[command(
    name = "mailfix",
    version,
    max_term_width = 80,
    disable_help_subcommand = true
)]
#[command(after_help = EXIT_STATUS)]
struct Arguments {
    #[command(flatten)]
    common: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_STATUS: &str = "\
Exit status: 0 done; 1 failed, or errors found; 2 changes are pending (only with
--detailed-exitcode); 3 stopped part-way; 64 wrong usage; 70 a fault of mailfix;
75 DNS could not be asked; 78 the site file is wrong.";

/// Options that most commands take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of most commands")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct GlobalOptions {
    /// The site file [default: the profile's, /etc/mailfix/mailfix.toml on Linux]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "MAILFIX_SITE",
        hide_env_values = true
    )]
    pub site: Option<Utf8PathBuf>,
    /// A profile's name (`mailfix profile list`) or the path of one of your own
    #[arg(long, global = true, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// Work on the tree below DIR instead of `/`; of what runs, only DNS is touched, by updates
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<Utf8PathBuf>,
    /// Do it without asking
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Never ask; what cannot be known is an error that names its key
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Ask no DNS server
    #[arg(long, global = true)]
    pub offline: bool,
    /// Let private and documentation addresses stand where public ones must
    #[arg(long, global = true)]
    pub allow_non_global: bool,
}

impl GlobalOptions {
    /// Says how a further command has to be typed to mean the same files.
    pub(crate) fn command(&self, words: &str) -> String {
        let mut command = format!("mailfix {words}");
        for word in self.paths() {
            command.push(' ');
            command.push_str(&quoted(&word));
        }
        command
    }

    /// The words that name the same files.
    pub(crate) fn paths(&self) -> Vec<String> {
        let profile = self.profile.as_deref();
        let paths = [("--site", &self.site), ("--root", &self.root)];
        let paths = paths.map(|(flag, path)| (flag, path.as_deref().map(Utf8Path::as_str)));
        paths
            .into_iter()
            .chain([("--profile", profile)])
            .filter_map(|(flag, value)| Some([flag.to_owned(), value?.to_owned()]))
            .flatten()
            .collect()
    }

    /// Says how a further command has to be typed to mean the same files and find the same.
    pub(crate) fn alike(&self, words: &str) -> String {
        let mut command = self.command(words);
        for (flag, given) in [
            (" --offline", self.offline),
            (" --allow-non-global", self.allow_non_global),
        ] {
            if given {
                command.push_str(flag);
            }
        }
        command
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Plan(plan::PlanCommand),
    Apply(apply::Apply),
    Refresh(refresh::Refresh),
    Undo(undo::Undo),
    History(history::History),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Diagnose(diagnose::Diagnose),
    Probe(probe::ProbeCommand),
    Explain(explain::Explain),
    Stats(stats::Stats),
    Collect(collect::Collect),
    Profile(profile::ProfileCommand),
    Providers(providers::Providers),
    Remedies(remedies::Remedies),
    Dns(dns::Dns),
    Dkim(dkim::Dkim),
    Completions(completions::Completions),
}

/// What a command works with.
pub(crate) struct Session {
    /// The common options.
    pub common: GlobalOptions,
    /// The face.
    pub ui: Ui,
    /// The machine.
    pub system: Box<dyn System>,
    /// The machine itself where `system` is a tree: files of the person's own, the resolver.
    pub outside: RealSystem,
    /// The user and group we run as.
    pub user: (u32, u32),
    /// Where our program lies, if that is known.
    pub program: Option<Utf8PathBuf>,
    /// Who answers about DNS, if it was handed in.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Who is asked about DNS, once that was chosen.
    pub asked: Option<Arc<dyn Resolver>>,
    /// All of this machine's Postfix, once a command that changes nothing has looked at it.
    pub observed: Vec<Facts>,
    /// Whether it was said where the configuration lies.
    pub is_config_noted: bool,
    /// Standard input, until somebody takes it.
    pub input: Option<Box<dyn std::io::Read + Send>>,
    /// The time of the start.
    pub now: Timestamp,
    /// Whether questions can be asked.
    pub is_terminal: bool,
    /// The kernel's name.
    pub kernel: String,
}

/// Runs the program and gives its exit status.
#[must_use]
pub fn run(world: World) -> u8 {
    let World {
        arguments,
        now,
        is_terminal,
        kernel,
        user,
        program,
        resolver,
        input,
        is_coloured,
        out,
        err,
    } = world;
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, out, err),
    };
    let mut ui = Ui::new(out, err).coloured(is_coloured);
    let machines = RealSystem::new(parsed.common.root.clone())
        .and_then(|system| Ok((system, RealSystem::new(None)?)));
    let (system, outside) = match machines {
        Ok(machines) => machines,
        Err(error) => return report(&mut ui, &error.into()),
    };
    let mut session = Session {
        common: parsed.common,
        ui,
        system: Box::new(system),
        outside,
        user,
        program,
        resolver,
        asked: None,
        observed: Vec::new(),
        is_config_noted: false,
        input: Some(input),
        now,
        is_terminal,
        kernel,
    };
    let is_json = match &parsed.verb {
        Verb::Plan(command) => command.json,
        Verb::Refresh(command) => command.json,
        Verb::History(command) => command.json,
        Verb::Check(command) => command.json,
        Verb::Doctor(command) => command.json,
        Verb::Diagnose(command) => command.json,
        Verb::Probe(command) => command.json,
        Verb::Explain(command) => command.json,
        Verb::Stats(command) => command.json,
        Verb::Providers(command) => command.json,
        Verb::Remedies(command) => command.json,
        Verb::Dns(command) => command.is_json(),
        _ => false,
    };
    let outcome = match parsed.verb {
        Verb::Init(command) => command.run(&mut session),
        Verb::Plan(command) => command.run(&mut session),
        Verb::Apply(command) => command.run(&mut session),
        Verb::Refresh(command) => command.run(&mut session),
        Verb::Undo(command) => command.run(&mut session),
        Verb::History(command) => command.run(&mut session),
        Verb::Check(command) => command.run(&mut session),
        Verb::Doctor(command) => command.run(&mut session),
        Verb::Diagnose(command) => command.run(&mut session),
        Verb::Probe(command) => command.run(&mut session),
        Verb::Explain(command) => command.run(&mut session),
        Verb::Stats(command) => command.run(&mut session),
        Verb::Collect(command) => command.run(&mut session),
        Verb::Profile(command) => command.run(&mut session),
        Verb::Providers(command) => command.run(&mut session),
        Verb::Remedies(command) => command.run(&mut session),
        Verb::Dns(command) => command.run(&mut session),
        Verb::Dkim(command) => command.run(&mut session),
        Verb::Completions(command) => Ok(command.run(&mut session)),
    };
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            if is_json {
                session.ui.data(&json::text(&json::failure(&failure)));
            }
            report(&mut session.ui, &failure)
        }
    }
}

fn report(ui: &mut Ui, failure: &Failure) -> u8 {
    ui.remarks(&failure.findings);
    ui.failure(&failure.message, &failure.hints);
    failure.kind.status()
}

/// Help and version go to standard output and are no error; clap's own status for
/// wrong usage, 2, means pending changes here.
fn usage(
    error: &clap::Error,
    mut out: Box<dyn std::io::Write>,
    mut err: Box<dyn std::io::Write>,
) -> u8 {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        let _ = err.write_all(text.as_bytes());
        FailureKind::Usage.status()
    } else {
        let _ = out.write_all(text.as_bytes());
        0
    }
}
