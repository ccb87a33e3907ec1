//! The steps about a job that is run every day.
//!
//! Must not know why there shall be one.

use camino::Utf8Path;

use super::{FileChange, Nature, NewDirectory, Step};
use crate::host::{Facts, Files, Origin};
use crate::scheduler::Scheduler;
use crate::system::{Command, File};
use crate::target::{Job, Target};

/// Permission bits of a directory that has to be made for a file.
const DIRECTORY_MODE: u32 = 0o755;

/// Makes the job that is wanted, and removes those that are not.
pub(super) fn steps(target: &Target, facts: &Facts, files: &Files) -> Vec<Step> {
    let wanted = match &target.job {
        Job::AsItIs => return Vec::new(),
        Job::Absent => None,
        Job::Wanted { scheduler, texts } => Some((scheduler, texts)),
    };
    let mut steps = Vec::new();
    if let Some((scheduler, texts)) = wanted {
        steps.extend(made(scheduler, texts, facts, files));
    }
    for scheduler in Scheduler::all() {
        if wanted.is_none_or(|(wanted, _)| wanted.id != scheduler.id) {
            steps.extend(removed(&scheduler, facts, files));
        }
    }
    steps
}

fn made(scheduler: &Scheduler, texts: &[String], facts: &Facts, files: &Files) -> Option<Step> {
    let mut step = Step {
        title: format!("a daily job of {}: `mailfix refresh`", scheduler.title),
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
    step.then = commands(&scheduler.run, facts);
    Some(step)
}

fn removed(scheduler: &Scheduler, facts: &Facts, files: &Files) -> Option<Step> {
    let mut step = Step {
        title: format!("without the daily job of {}", scheduler.title),
        ..Step::default()
    };
    for file in &scheduler.files {
        let is_ours = facts.jobs.installed.contains(&file.path);
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
    step.then = Command::inverses(&commands(&scheduler.run, facts));
    Some(step)
}

/// Only on the machine itself anything is told.
fn commands(run: &[Command], facts: &Facts) -> Vec<Command> {
    match facts.origin {
        Origin::Machine => run.to_vec(),
        _ => Vec::new(),
    }
}
