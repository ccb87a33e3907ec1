//! `mailfix collect`: prints the script that packs what a plan has to know of a machine which
//! cannot run mailfix.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde::Serialize;

use crate::cli::{Failure, Session};
use crate::draft::interest;
use crate::host::{IF_INET6, Questions};
use crate::jail_keeper::Keeper;
use crate::profile::Profile;
use crate::provider::Provider;
use crate::rewriter::Rewriter;
use crate::site::Site;
use crate::system::{COLLECTED_FORMAT, LEFT_OUT};
use crate::template;

/// The template of the script.
const SCRIPT: &str = "collect.sh";

/// The largest table that is packed, in bytes; planning needs none, checking reads small ones.
const LARGEST: u32 = 1024 * 1024;

/// Files beside Postfix's own of which planning compares what they hold with the jail's.
const HOST_FILES: [&str; 4] = [
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/hosts",
    "/etc/nsswitch.conf",
];

/// Files that a kernel shows, of which planning reads what they hold.
const KERNEL_FILES: [&str; 1] = [IF_INET6];

/// Print a script that packs an old server's set-up into a file for `plan --from`
///
/// It runs where mailfix cannot: `mailfix collect > collect.sh`, then on the server, as
/// root, `sh collect.sh`. It needs Postfix's own programs and a POSIX shell, changes
/// nothing, and leaves passwords and keys out.
#[derive(Debug, Args)]
pub struct Collect {
    /// Domains hosted at a receiver to ask the server's tables about, beside those of
    /// the site file (repeatable)
    #[arg(long, value_name = "DOMAIN,…", value_delimiter = ',')]
    domain: Vec<String>,
}

#[derive(Serialize)]
struct Variables {
    version: &'static str,
    format: u32,
    largest: u32,
    left_out: &'static str,
    programs: String,
    probes: Vec<Utf8PathBuf>,
    /// With `{daemon}` and `{config}` for directories of Postfix.
    host_files: BTreeSet<Utf8PathBuf>,
    kernel_files: [&'static str; 1],
    configurations: Vec<Utf8PathBuf>,
    transport_keys: Vec<String>,
    filter_keys: Vec<String>,
    reply_keys: Vec<String>,
}

impl Collect {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        for domain in &self.domain {
            if domain.parse::<crate::dns::Name>().is_err() {
                return Err(Failure::usage(format!("`{domain}` is not a domain")));
            }
        }
        let site = session.site_elsewhere()?;
        let site = site.as_ref().map(|(site, _)| site);
        let receivers = site.map_or_else(Provider::demanding, Site::receivers);
        let mut interest = interest(site, &receivers);
        interest.domains.extend(self.domain);
        let text = script(&Questions::of(&interest))?;
        session.ui.data(&text);
        Ok(0)
    }
}

/// Makes the script that asks these questions.
fn script(questions: &Questions) -> Result<String, Failure> {
    let profiles: Vec<Profile> = Profile::all().collect();
    let programs: BTreeSet<&Utf8Path> = profiles
        .iter()
        .flat_map(|profile| &profile.programs)
        .map(Utf8PathBuf::as_path)
        .collect();
    let programs: Vec<&str> = programs.into_iter().map(Utf8Path::as_str).collect();
    let configurations: BTreeSet<Utf8PathBuf> = profiles
        .iter()
        .map(|profile| profile.paths.config.clone())
        .collect();
    let keepers = Keeper::all().flat_map(|keeper| {
        let off = keeper.off.map(|off| off.file);
        [Some(keeper.file), off].into_iter().flatten()
    });
    let rewriters = Rewriter::all();
    let settings = rewriters.iter().map(|rewriter| rewriter.config.clone());
    let host_files = HOST_FILES.map(Utf8PathBuf::from).into_iter().chain(keepers);
    let mut probes = Profile::probes();
    probes.extend(
        rewriters
            .iter()
            .flat_map(|one| one.needs.iter().chain(&one.without))
            .cloned(),
    );
    let variables = Variables {
        version: env!("CARGO_PKG_VERSION"),
        format: COLLECTED_FORMAT,
        largest: LARGEST,
        left_out: LEFT_OUT,
        programs: programs.join(":"),
        probes,
        host_files: host_files.chain(settings).collect(),
        kernel_files: KERNEL_FILES,
        configurations: configurations.into_iter().collect(),
        transport_keys: questions.transport.clone(),
        filter_keys: questions.filter.clone(),
        reply_keys: questions.replies.clone(),
    };
    Ok(template::render(SCRIPT, &variables)?)
}
