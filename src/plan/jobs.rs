//! The steps about a job that is run every day.
//!
//! Must not know why there shall be one.

use camino::Utf8Path;

use super::{FileChange, Nature, NewDirectory, Step};
use crate::host::{Files, Jobs, Origin};
use crate::scheduler::Scheduler;
use crate::system::{Command, File};
use crate::target::Job;

/// Permission bits of a directory that has to be made for a file.
const DIRECTORY_MODE: u32 = 0o755;

/// Makes the job of that name as it is wanted, and removes those that are not.
#[must_use]
pub fn steps(name: &str, job: &Job, jobs: &Jobs, origin: Origin, files: &Files) -> Vec<Step> {
    let wanted = match job {
        Job::AsItIs => return Vec::new(),
        Job::Absent => None,
        Job::Wanted { scheduler, texts } => Some((scheduler, texts)),
    };
    let mut steps = Vec::new();
    if let Some((scheduler, texts)) = wanted {
        steps.extend(made(name, scheduler, texts, origin, files));
    }
    for scheduler in Scheduler::of(name) {
        if wanted.is_none_or(|(wanted, _)| wanted.id != scheduler.id) {
            steps.extend(removed(&scheduler, jobs, origin, files));
        }
    }
    steps
}

fn made(
    name: &str,
    scheduler: &Scheduler,
    texts: &[String],
    origin: Origin,
    files: &Files,
) -> Option<Step> {
    let mut step = Step {
        title: format!("a daily job of {}: `mailfix {name}`", scheduler.title),
        ..Step::default()
    };
    for (file, text) in scheduler.files.iter().zip(texts) {
        let before = files.get(&file.path);
        // What its owner has changed about it but the text stays.
        if before.is_some_and(|before| before.bytes == text.as_bytes()) {
            continue;
        }
        let after = match before {
            Some(before) => File {
                bytes: text.clone().into_bytes(),
                ..before.clone()
            },
            None => File::new(text.as_bytes(), file.mode, 0, 0),
        };
        if let Some(parent) = file.path.parent()
            && !files.has_directory(parent)
            && step.directories.iter().all(|new| new.path != parent)
        {
            step.directories.push(NewDirectory {
                path: parent.to_owned(),
                mode: DIRECTORY_MODE,
                uid: 0,
                gid: 0,
            });
        }
        step.files.push(FileChange {
            path: file.path.clone(),
            before: before.cloned(),
            after: Some(after),
            nature: Nature::Text,
        });
    }
    if step.files.is_empty() {
        return None;
    }
    step.then = commands(&scheduler.run, origin);
    Some(step)
}

fn removed(scheduler: &Scheduler, jobs: &Jobs, origin: Origin, files: &Files) -> Option<Step> {
    let mut step = Step {
        title: format!("without the daily job of {}", scheduler.title),
        ..Step::default()
    };
    for file in &scheduler.files {
        let is_ours = jobs.installed.contains(&file.path);
        let Some(before) = files.get(&file.path).filter(|_| is_ours) else {
            continue;
        };
        step.files.push(FileChange {
            path: file.path.clone(),
            before: Some(before.clone()),
            after: None,
            nature: Nature::Text,
        });
        // A directory the scheduler lives without may have been made for the file alone.
        let is_needed = |path: &Utf8Path| scheduler.needs.iter().any(|needed| needed == path);
        if let Some(parent) = file.path.parent().filter(|parent| !is_needed(parent))
            && let Some(stat) = files.directory(parent)
        {
            step.abandoned.push(NewDirectory {
                path: parent.to_owned(),
                mode: stat.mode,
                uid: stat.uid,
                gid: stat.gid,
            });
        }
    }
    if step.files.is_empty() {
        return None;
    }
    step.then = Command::inverses(&commands(&scheduler.run, origin));
    Some(step)
}

/// Only on the machine itself anything is told.
fn commands(run: &[Command], origin: Origin) -> Vec<Command> {
    match origin {
        Origin::Machine => run.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Call, example};
    use crate::system::Kind;
    use camino::Utf8PathBuf;

    fn scheduler(id: &str) -> Scheduler {
        let mut all = Scheduler::of("refresh").into_iter();
        all.find(|scheduler| scheduler.id == id).unwrap()
    }

    /// What is planned on a machine, as `+PATH`, `-PATH`, `~PATH` and commands.
    fn planned(job: &Job, there: &[(&str, &str)]) -> Vec<String> {
        let mut host = example::host("2.11.6", "", "");
        host.facts.origin = Origin::Machine;
        host.facts.jobs = Jobs {
            call: Some(Call {
                words: vec!["/usr/sbin/mailfix".to_owned()],
                site: "/etc/mailfix/mailfix.toml".into(),
                profile: None,
            }),
            ..Jobs::default()
        };
        for directory in ["/etc/systemd/system", "/etc/cron.d"] {
            let stat = example::directory(directory);
            assert_eq!(stat.kind, Kind::Directory);
            host.files.insert_directory(directory, stat);
        }
        for (path, text) in there {
            host.files
                .insert(*path, Some(File::new(*text, 0o640, 0, 3)));
            host.facts.jobs.installed.insert((*path).into());
            if let Some(parent) = Utf8PathBuf::from(*path).parent() {
                let stat = example::directory(parent.as_str());
                host.files.insert_directory(parent, stat);
            }
        }
        let facts = &host.facts;
        let mut lines = Vec::new();
        for step in steps("refresh", job, &facts.jobs, facts.origin, &host.files) {
            lines.extend(step.directories.iter().map(|new| format!("+{}/", new.path)));
            lines.extend(step.files.iter().map(|change| {
                let mark = match (&change.before, &change.after) {
                    (None, _) => '+',
                    (_, None) => '-',
                    _ => '~',
                };
                format!("{mark}{}", change.path)
            }));
            lines.extend(step.abandoned.iter().map(|old| format!("-{}/", old.path)));
            lines.extend(step.then.iter().map(ToString::to_string));
        }
        lines
    }

    fn wanted(id: &str, texts: &[&str]) -> Job {
        Job::Wanted {
            scheduler: Box::new(scheduler(id)),
            texts: texts.iter().map(ToString::to_string).collect(),
        }
    }

    const SERVICE: &str = "/etc/systemd/system/mailfix-refresh.service";
    const TIMER: &str = "/etc/systemd/system/mailfix-refresh.timer";
    const WANTS: &str = "/etc/systemd/system/timers.target.d/mailfix-refresh.conf";
    const CRON: &str = "/etc/cron.d/mailfix-refresh";

    #[test]
    fn a_job_of_systemd_is_made_of_files_and_started() {
        assert_eq!(
            planned(&wanted("systemd", &["a", "b", "c"]), &[]),
            [
                "+/etc/systemd/system/timers.target.d/",
                &format!("+{SERVICE}"),
                &format!("+{TIMER}"),
                &format!("+{WANTS}"),
                "systemctl daemon-reload",
                "systemctl start mailfix-refresh.timer",
            ]
        );
        // What stands as it should is left, and nothing is told.
        let there = [(SERVICE, "a"), (TIMER, "b"), (WANTS, "c")];
        assert_eq!(
            planned(&wanted("systemd", &["a", "b", "c"]), &there),
            [""; 0]
        );
        assert_eq!(planned(&Job::AsItIs, &there), [""; 0]);
    }

    #[test]
    fn a_job_that_goes_is_stopped_before_systemd_forgets_it() {
        let there = [(SERVICE, "a"), (TIMER, "b"), (WANTS, "c")];
        assert_eq!(
            planned(&Job::Absent, &there),
            [
                &format!("-{SERVICE}"),
                &format!("-{TIMER}"),
                &format!("-{WANTS}"),
                "-/etc/systemd/system/timers.target.d/",
                "systemctl stop mailfix-refresh.timer",
                "systemctl daemon-reload",
            ]
        );
    }

    #[test]
    fn a_host_with_another_scheduler_now_loses_the_old_job() {
        assert_eq!(
            planned(&wanted("cron", &["new"]), &[(CRON, "old"), (TIMER, "b")]),
            [
                &format!("~{CRON}"),
                &format!("-{TIMER}"),
                "systemctl stop mailfix-refresh.timer",
                "systemctl daemon-reload",
            ]
        );
    }

    #[test]
    fn launchd_is_told_by_file_and_by_name() {
        let plist = "/Library/LaunchDaemons/mailfix.refresh.plist";
        let rotated = "/etc/newsyslog.d/mailfix.refresh.conf";
        let made = planned(&wanted("launchd", &["a", "b"]), &[]);
        let load = format!("launchctl load {plist}");
        assert!(made.contains(&format!("+{rotated}")), "{made:?}");
        assert_eq!(made.last(), Some(&load));
        let gone = planned(&Job::Absent, &[(plist, "a"), (rotated, "b")]);
        let mut gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        assert_eq!(gone.pop(), Some("launchctl remove mailfix.refresh"));
        gone.sort_unstable();
        // Its folder goes where nothing else is in it.
        assert_eq!(
            gone,
            [
                format!("-{plist}"),
                "-/etc/newsyslog.d/".to_owned(),
                format!("-{rotated}")
            ]
        );
    }
}
