//! How this host runs a program every day, and what of such a job is there.
//!
//! Owns the choice among the schedulers by what stands on the machine, and the question whether
//! root may run a program every day without anybody looking. Must not know whether a job is
//! wanted.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Files;
use crate::scheduler::{MARK, Scheduler};
use crate::system::{Kind, System, SystemError};

/// Permission bits that let others than the owner change a file.
///
/// A sticky directory is no better: what lies there may be gone after a reboot, and be anybody's
/// that comes first.
const WRITABLE: u32 = 0o022;

/// How a job calls us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The words, the path of our program first.
    pub words: Vec<String>,
    /// The site file that says whether there shall be a job.
    pub site: Utf8PathBuf,
    /// The profile's file, where the site file names one.
    pub profile: Option<Utf8PathBuf>,
}

/// What there is for a job that is run every day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// What this host runs programs with.
    pub scheduler: Option<Scheduler>,
    /// Files of ours that are there, of this scheduler or another one.
    pub installed: BTreeSet<Utf8PathBuf>,
    /// Files that stand where ours would, and are somebody else's.
    pub foreign: BTreeSet<Utf8PathBuf>,
    /// How it would call us.
    pub call: Option<Call>,
    /// Why root should not do so unattended, if there is a reason.
    pub distrust: Option<String>,
}

/// Looks what is there for the job of that name; the files go to `files`.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn observe(
    system: &dyn System,
    job: &str,
    call: Option<&Call>,
    files: &mut Files,
) -> Result<Jobs, SystemError> {
    let mut jobs = Jobs {
        call: call.cloned(),
        ..Jobs::default()
    };
    for scheduler in Scheduler::of(job) {
        for file in &scheduler.files {
            let found = system.read(&file.path)?;
            if let Some(found) = &found {
                let text = String::from_utf8_lossy(&found.bytes);
                let list = if text.contains(MARK) {
                    &mut jobs.installed
                } else {
                    &mut jobs.foreign
                };
                list.insert(file.path.clone());
            }
            if let Some(parent) = file.path.parent()
                && let Some(stat) = system.stat(parent)?
                && stat.kind == Kind::Directory
            {
                files.insert_directory(parent, stat);
            }
            files.insert(file.path.clone(), found);
        }
        if jobs.scheduler.is_none() && is_there(system, &scheduler)? {
            jobs.scheduler = Some(scheduler);
        }
    }
    if let Some(call) = call {
        jobs.distrust = distrust(system, call)?;
    }
    Ok(jobs)
}

fn is_there(system: &dyn System, scheduler: &Scheduler) -> Result<bool, SystemError> {
    let exists = |path: &Utf8PathBuf| Ok::<_, SystemError>(system.stat(path)?.is_some());
    for path in &scheduler.needs {
        if !exists(path)? {
            return Ok(false);
        }
    }
    for path in &scheduler.any {
        if exists(path)? {
            return Ok(true);
        }
    }
    Ok(scheduler.any.is_empty())
}

/// Says what could come of the call that it is not meant to do.
fn distrust(system: &dyn System, call: &Call) -> Result<Option<String>, SystemError> {
    // Every scheduler has characters of its own: `%` for cron(8), `$` for systemd.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.+@:=".contains(c);
    let words = || call.words.iter().map(String::as_str);
    for word in words().chain([call.site.as_str()]) {
        if word.is_empty() || !word.chars().all(plain) {
            return Ok(Some(format!(
                "`{word}` has characters that mean something else in a job"
            )));
        }
    }
    // A job is run from another directory.
    let is_relative = |word: &&str| {
        let path = Utf8Path::new(word);
        (word.contains('/') || path.extension() == Some("toml")) && !path.is_absolute()
    };
    let files = || {
        let read = [Some(&call.site), call.profile.as_ref()];
        words().chain(read.into_iter().flatten().map(|path| path.as_str()))
    };
    if let Some(path) = files().find(is_relative) {
        return Ok(Some(format!("`{path}` is no absolute path")));
    }
    let program = Utf8Path::new(words().next().unwrap_or_default());
    if system.stat(program)?.is_none() {
        return Ok(Some(format!("`{program}` does not exist")));
    }
    for path in files().filter(|word| word.starts_with('/')) {
        // Whoever may change a directory on the way may put a link of his own into it.
        for step in system.way(Utf8Path::new(path))? {
            let Some(stat) = system.stat(&step)? else {
                continue;
            };
            if stat.uid != 0 || stat.mode & WRITABLE != 0 {
                let step = if stat.kind == Kind::Directory {
                    step
                } else {
                    stat.real
                };
                return Ok(Some(format!("others than root may change `{step}`")));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{File, MemorySystem, Node};

    fn looked(system: &MemorySystem) -> Jobs {
        observe(system, "refresh", None, &mut Files::default()).unwrap()
    }

    #[track_caller]
    fn check(paths: &[&str], expected: Option<&str>) {
        let mut system = MemorySystem::new();
        for path in paths {
            system = system.directory(path);
        }
        let found = looked(&system).scheduler;
        assert_eq!(found.as_ref().map(|one| one.id.as_str()), expected);
    }

    #[test]
    fn the_scheduler_is_told_by_what_is_there() {
        check(&[], None);
        check(&["/etc/systemd/system", "/etc/cron.d"], None);
        check(&["/etc/cron.d", "/usr/sbin/cron"], Some("cron"));
        check(
            &[
                "/run/systemd/system",
                "/etc/systemd/system",
                "/etc/cron.d",
                "/usr/sbin/cron",
            ],
            Some("systemd"),
        );
        check(
            &[
                "/etc/periodic/daily",
                "/etc/crontabs/root",
                "/etc/cron.d",
                "/usr/sbin/crond",
            ],
            Some("periodic"),
        );
        check(
            &["/sbin/launchd", "/Library/LaunchDaemons"],
            Some("launchd"),
        );
    }

    #[test]
    fn our_files_are_told_from_others() {
        let system = MemorySystem::new()
            .file("/etc/cron.d/mailfix-refresh", "# Written by mailfix; x\n")
            .file("/etc/systemd/system/mailfix-refresh.timer", "[Timer]\n");
        let jobs = looked(&system);
        assert_eq!(
            jobs.installed,
            ["/etc/cron.d/mailfix-refresh".into()].into()
        );
        assert_eq!(
            jobs.foreign,
            ["/etc/systemd/system/mailfix-refresh.timer".into()].into()
        );
    }

    #[test]
    fn a_program_that_others_may_change_is_not_for_root() {
        let program = |path: &str, mode, uid| {
            let file = File::new("", mode, uid, 0);
            MemorySystem::new().node(path, Node::File(file))
        };
        let check = |system: &MemorySystem, path: &str, expected: Option<&str>| {
            let call = Call {
                words: vec![path.to_owned(), "--x=y".to_owned()],
                site: "/etc/mailfix/mailfix.toml".into(),
                profile: None,
            };
            let found = distrust(system, &call).unwrap();
            assert_eq!(found.as_deref(), expected, "{path}");
        };
        let path = "/usr/local/sbin/mailfix";
        check(&program(path, 0o755, 0), path, None);
        let may = "others than root may change `/usr/local/sbin/mailfix`";
        check(&program(path, 0o755, 1000), path, Some(may));
        check(&program(path, 0o775, 0), path, Some(may));
        let open = |mode| {
            let directory = Node::Directory {
                mode,
                uid: 0,
                gid: 0,
            };
            program("/tmp/x/mailfix", 0o755, 0).node("/tmp", directory)
        };
        let anybody = Some("others than root may change `/tmp`");
        check(&open(0o755), "/tmp/x/mailfix", None);
        check(&open(0o777), "/tmp/x/mailfix", anybody);
        check(&open(0o1777), "/tmp/x/mailfix", anybody);
        // The way a link leads there counts, and where it leads to.
        let linked = program("/home/x/mailfix", 0o755, 1000).link(path, "/home/x/mailfix");
        let home = "others than root may change `/home/x/mailfix`";
        check(&linked, path, Some(home));
        // So does every link between the two.
        let twice = |mode| {
            open(mode)
                .link(path, "/tmp/link")
                .link("/tmp/link", "/usr/bin/mailfix")
                .node("/usr/bin/mailfix", Node::File(File::new("", 0o755, 0, 0)))
        };
        check(&twice(0o755), path, None);
        check(&twice(0o1777), path, anybody);
        check(
            &program(path, 0o755, 0),
            "/usr/bin/mailfix",
            Some("`/usr/bin/mailfix` does not exist"),
        );
        check(
            &MemorySystem::new(),
            "/a b/mailfix",
            Some("`/a b/mailfix` has characters that mean something else in a job"),
        );
    }

    #[test]
    fn what_the_program_reads_is_not_for_others_to_change() {
        let check = |words: &[&str], site: &str, profile: Option<&str>, expected: Option<&str>| {
            let directory = |mode, uid| Node::Directory { mode, uid, gid: 0 };
            let system = MemorySystem::new()
                .file("/usr/sbin/mailfix", "")
                .file("/etc/mailfix/mailfix.toml", "")
                .node("/srv", directory(0o755, 1000))
                .file("/srv/x.toml", "")
                .node("/tmp", directory(0o1777, 0));
            let program = std::iter::once("/usr/sbin/mailfix");
            let call = Call {
                words: program
                    .chain(words.iter().copied())
                    .map(str::to_owned)
                    .collect(),
                site: site.into(),
                profile: profile.map(Utf8PathBuf::from),
            };
            let found = distrust(&system, &call).unwrap();
            assert_eq!(found.as_deref(), expected);
        };
        let site = "/etc/mailfix/mailfix.toml";
        let (srv, tmp) = (
            Some("others than root may change `/srv`"),
            Some("others than root may change `/tmp`"),
        );
        check(&["refresh"], site, None, None);
        check(&["refresh"], "/srv/x.toml", None, srv);
        // It need not be there yet.
        check(&["refresh"], "/etc/new/mailfix.toml", None, None);
        check(&["refresh"], "/tmp/new/mailfix.toml", None, tmp);
        check(&["--profile", "/srv/x.toml"], site, None, srv);
        check(&[], site, Some("/srv/x.toml"), srv);
        check(&[], site, Some("/etc/mailfix/x.toml"), None);
        let relative = Some("`x.toml` is no absolute path");
        check(&[], site, Some("x.toml"), relative);
    }
}
