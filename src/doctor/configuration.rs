//! The checks of a host's configuration, as it stands.
//!
//! Owns what is looked at: the checks of our own, Postfix's, forwards that break SPF, and an
//! address to leave from that is not there. `mailfix
//! check` shows the same. Whether Postfix runs, and when its files were changed last, stands here
//! too, for those who ask more.

use camino::{Utf8Path, Utf8PathBuf};

use crate::check;
use crate::draft::{DraftError, check_live, check_unreadable, silenced, silent_rewriter};
use crate::finding::{Finding, Severity};
use crate::host::{self, Facts, Host, HostError, Interest, Running};
use crate::profile::Profile;
use crate::site::Site;
use crate::system::{Command, System, SystemError};
use crate::target::{bound_elsewhere, forwards_without_srs};

/// What the checks of one configuration show.
#[derive(Debug)]
pub struct Checked {
    /// The host; `None` where Postfix's own programs cannot read the configuration.
    pub host: Option<Host>,
    /// What is wrong or worth knowing, the worst first.
    pub findings: Vec<Finding>,
    /// Whether root's `postfix check` was run.
    pub checked: bool,
}

/// Looks for faults; the site file is no condition, it may only silence codes.
///
/// # Errors
/// When there is no Postfix, or the machine cannot be looked at.
pub fn look(
    system: &dyn System,
    profile: &Profile,
    config: &Utf8Path,
    site: Option<&Site>,
) -> Result<Checked, DraftError> {
    let mut checked = match host::observe(system, config, &Interest::in_tables()) {
        Ok(mut host) => {
            let (mut findings, checked) = check_live(system, &host)?;
            let own = site.map_or(&[][..], |site| &site.domains);
            let logs = &profile.paths.logs;
            let forwarding =
                host::observe_forwarding(system, &host.facts, &mut host.files, logs, own);
            host.facts.forwarding = Some(forwarding);
            findings.extend(forwards_without_srs(&host.facts, site));
            findings.extend(bound_elsewhere(&host.facts));
            findings.extend(silent_rewriter(system, &host.facts));
            Checked {
                host: Some(host),
                findings,
                checked,
            }
        }
        Err(error @ HostError::Unreadable { .. }) => {
            let findings = check_unreadable(system, profile, config)?;
            if findings.is_empty() {
                return Err(error.into());
            }
            Checked {
                host: None,
                findings,
                checked: false,
            }
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(site) = site {
        checked.findings = silenced(site, checked.findings);
    }
    checked
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(checked)
}

/// Why a configuration could not be looked at, where that is a fault itself and not only ours.
#[must_use]
pub fn fault(error: &HostError, config: &Utf8Path, is_first: bool) -> Option<Finding> {
    let (code, fix) = match error {
        HostError::NoPostfix { .. } if !is_first => {
            let title = format!("the instance in `{config}` has no `main.cf`");
            let fix = "bring it back, or take its directory out of `multi_instance_directories` \
                       in the first instance's main.cf";
            let why = "postmulti(1), by which all instances are started and stopped, ends at it";
            return Some(Finding::error("no-instance", title).because(why).mend(fix));
        }
        HostError::NoPostfix { .. } => (
            "no-postfix",
            "install it; or where it lies elsewhere, say so by `--profile`, and of a copied tree by \
             `--root`",
        ),
        HostError::NoMaster { .. } => (
            "no-master",
            "bring it back, from a backup or from the package",
        ),
        HostError::Unreadable { .. } | HostError::Level { .. } => (
            "postfix-fatal",
            "mend what it names first: as it is, Postfix cannot be started or reloaded",
        ),
        HostError::System(_) | HostError::InTheWay { .. } | HostError::Version { .. } => {
            return None;
        }
    };
    let finding = Finding::error(code, error.to_string()).mend(fix);
    Some(finding.because("no mail comes in, and none goes out"))
}

/// How many checks are made.
#[must_use]
pub fn checks() -> usize {
    check::all().len()
}

/// That the mail system does not run, where that is known.
#[must_use]
pub fn stopped(running: Running, config: &Utf8Path) -> Option<Finding> {
    let start = Command::Start {
        config: config.to_owned(),
    };
    (running == Running::No).then(|| {
        Finding::error("postfix-stopped", "Postfix does not run")
            .because(format!(
                "no process of master(8) is there for `{config}`: no mail comes in, and none goes out"
            ))
            .mend(format!("run `{start}`"))
    })
}

/// When the configuration was changed last: its files, tables beside them, what the jail asks of
/// DNS, and the types of tables there are. Seconds since 1970.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn changed(system: &dyn System, facts: &Facts) -> Result<Option<i64>, SystemError> {
    let mut paths: Vec<Utf8PathBuf> = Vec::new();
    for folder in [facts.config.clone(), facts.own_folder()] {
        let names = system.list(&folder)?;
        paths.extend(names.into_iter().map(|name| folder.join(name)));
    }
    paths.push(facts.jail.directory.join("etc/resolv.conf"));
    // A package brings files of old into a folder that is new by it.
    let plugins = Utf8PathBuf::from(facts.parameters.get("shlib_directory"));
    paths.extend(Some(plugins).filter(|path| path.is_absolute()));
    let mut last = None;
    for path in paths {
        // What cannot be looked at says nothing.
        if let Ok(Some(stat)) = system.stat(&path) {
            last = last.max(Some(stat.modified));
        }
    }
    Ok(last)
}

/// How many of the findings are errors, and how many warnings.
#[must_use]
pub fn counted(findings: &[Finding]) -> (usize, usize) {
    let count = |severity| {
        let of = findings.iter().filter(|one| one.severity == severity);
        of.count()
    };
    (count(Severity::Error), count(Severity::Warning))
}
