//! Schedulers: how kinds of hosts run a program every day.
//!
//! Owns [`Scheduler`], read from `profiles/schedulers/*.toml`: by which paths one is recognised,
//! which files make a job for it and what is run then. Must not know what the job does, nor
//! which scheduler a host has.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::data_file::{self, DataError, Faults};
use crate::embedded::{SCHEDULERS, TEMPLATES};
use crate::finding::Finding;
use crate::system::Command;
use crate::template::{self, TemplateError};

/// What every file of a job says near its beginning; one that does not is somebody else's.
pub const MARK: &str = "Written by mailfix";

/// What stands for the name of the job in a scheduler's file.
const JOB: &str = "{job}";

/// A job that is run every day, as its files tell of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Job<'a> {
    /// Its name: the verb that is run.
    #[serde(rename = "job")]
    pub name: &'a str,
    /// What it is for, a phrase.
    pub about: &'a str,
    /// What to do instead of editing its files, a sentence.
    pub instead: &'a str,
    /// What becomes of it when DNS could not be asked, a phrase.
    pub unasked: &'a str,
    /// The words that are run, the path of our program first.
    pub words: &'a [String],
}

/// A program that runs others by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// The name of its data file.
    pub id: String,
    /// Its name.
    pub title: String,
    /// When it runs a job, words behind "it looks".
    pub when: String,
    /// Where what a job prints goes, words behind "to".
    pub tells: String,
    /// Of several that a host has, the lowest is taken.
    pub rank: u32,
    /// Paths that are all there where it runs.
    pub needs: Vec<Utf8PathBuf>,
    /// Paths of which one is there; empty where that says nothing.
    pub any: Vec<Utf8PathBuf>,
    /// The files that make a job.
    pub files: Vec<JobFile>,
    /// What is run once they stand; the inverse is run once they are gone.
    pub run: Vec<Command>,
}

/// One file of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFile {
    /// Where it lies.
    pub path: Utf8PathBuf,
    /// The template it is made of.
    pub template: String,
    /// Its permission bits.
    pub mode: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    title: String,
    when: String,
    tells: String,
    rank: u32,
    needs: Vec<Utf8PathBuf>,
    #[serde(default)]
    any: Vec<Utf8PathBuf>,
    #[serde(rename = "file")]
    files: Vec<FileData>,
    #[serde(default)]
    run: Vec<Command>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct FileData {
    path: Utf8PathBuf,
    template: Spanned<String>,
    #[serde(default = "readable")]
    mode: Spanned<String>,
}

fn readable() -> Spanned<String> {
    Spanned::new(0..0, "0644".to_owned())
}

impl Scheduler {
    /// Reads a scheduler's file; its id is the file's name.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        let mut files = Vec::new();
        for file in data.files {
            let template = file.template.get_ref();
            if !TEMPLATES.iter().any(|(name, _)| name == template) {
                let finding =
                    Finding::error("no-template", format!("there is no template `{template}`"));
                faults.add(file.template.span(), finding);
            }
            let mode = u32::from_str_radix(file.mode.get_ref(), 8).unwrap_or_else(|_| {
                let finding = Finding::error("bad-mode", "permission bits are octal digits");
                faults.add(file.mode.span(), finding);
                0
            });
            files.push(JobFile {
                path: file.path,
                template: file.template.into_inner(),
                mode,
            });
        }
        faults.finish(Self {
            id: path.file_stem().unwrap_or_default().to_owned(),
            title: data.title,
            when: data.when,
            tells: data.tells,
            rank: data.rank,
            needs: data.needs,
            any: data.any,
            files,
            run: data.run,
        })
    }

    /// Lists the schedulers that mailfix knows, the preferred first, as they run a job of that name.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn of(job: &str) -> Vec<Self> {
        let mut all: Vec<Self> = SCHEDULERS
            .iter()
            .map(|(id, text)| {
                let text = text.replace(JOB, job);
                Self::parse(text, Utf8Path::new(&format!("{id}.toml")))
                    .expect("a test reads every embedded scheduler")
            })
            .collect();
        all.sort_by_key(|scheduler| scheduler.rank);
        all
    }

    /// The texts of the files that make a job, in their order.
    ///
    /// # Errors
    /// When a template of ours is broken.
    pub fn texts(&self, job: &Job<'_>) -> Result<Vec<String>, TemplateError> {
        #[derive(Serialize)]
        struct Variables<'a> {
            #[serde(flatten)]
            job: &'a Job<'a>,
            command: String,
        }
        let variables = Variables {
            job,
            command: job.words.join(" "),
        };
        let files = self.files.iter();
        files
            .map(|file| template::render(&file.template, &variables))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_scheduler_is_read_and_whole() {
        let all = Scheduler::of("refresh");
        let ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["systemd", "launchd", "periodic", "cron"]);
        for scheduler in &all {
            assert!(!scheduler.needs.is_empty() && !scheduler.files.is_empty());
            let paths = scheduler.needs.iter().chain(&scheduler.any);
            for path in paths.chain(scheduler.files.iter().map(|file| &file.path)) {
                assert!(path.is_absolute(), "{path}");
            }
            assert!(!scheduler.run.iter().any(Command::is_of_postfix));
        }
    }

    #[test]
    fn every_file_of_a_job_is_marked_and_is_of_that_job_alone() {
        let words = ["/usr/bin/mailfix", "doctor", "--new"].map(str::to_owned);
        let job = Job {
            name: "doctor",
            about: "what is new",
            instead: "Leave it.",
            unasked: "so be it",
            words: &words,
        };
        for scheduler in Scheduler::of(job.name) {
            let texts = scheduler.texts(&job).unwrap();
            for (file, text) in scheduler.files.iter().zip(texts) {
                assert!(text.contains(MARK) && text.contains(job.instead), "{text}");
                assert!(file.path.as_str().contains(job.name), "{}", file.path);
                assert!(!text.contains("refresh"), "{text}");
            }
        }
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        let text = "title = \"x\"\nwhen = \"x\"\ntells = \"x\"\nrank = 1\nneeds = []\n[[file]]\npath = \"/x\"\ntemplate = \"no\"\nmode = \"9\"\n";
        let error = Scheduler::parse(text, Utf8Path::new("x.toml")).unwrap_err();
        let said: Vec<&str> = error
            .findings
            .iter()
            .map(|one| one.title.as_str())
            .collect();
        assert_eq!(
            said,
            [
                "there is no template `no`",
                "permission bits are octal digits"
            ]
        );
    }
}
