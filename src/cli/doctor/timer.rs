//! `mailfix doctor --timer`: a job that looks every day and tells what is new.
//!
//! The files of the job are a plan like any other: shown, agreed to, applied with a receipt, and
//! taken back by `mailfix undo`.

use clap::ValueEnum;

use crate::apply::Options;
use crate::cli::apply::{APPLY, Consent, declined};
use crate::cli::{Failure, FailureKind, Session, show};
use crate::host::{Call, Files, Jobs, Origin, observe_jobs};
use crate::plan::{Plan, jobs};
use crate::scheduler::{self, Scheduler};
use crate::target::Job;

/// The verb that the job runs.
const NAME: &str = "doctor";

/// Whether there shall be a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// There shall be one
    On,
    /// There shall be none
    Off,
}

/// Sets the job up, or takes it away.
pub fn run(
    session: &mut Session,
    switch: Switch,
    mail: Option<&str>,
    mask: bool,
) -> Result<u8, Failure> {
    let (site, profile) = match session.site_with_path() {
        Ok((_, chosen, path)) => (path, chosen.profile),
        Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
            let profile = session.choose_profile(None)?.profile;
            (session.site_path(&profile), profile)
        }
        Err(failure) => return Err(failure),
    };
    let call = session.program.clone().map(|program| {
        let mut words = vec![program.into_string()];
        words.extend([NAME, "--new", "--no-input"].map(ToOwned::to_owned));
        words.extend(mail.map(|address| format!("--mail={address}")));
        words.extend(session.common.paths());
        for (flag, given) in [
            ("--mask", mask),
            ("--offline", session.common.offline),
            ("--allow-non-global", session.common.allow_non_global),
        ] {
            words.extend(given.then(|| flag.to_owned()));
        }
        Call {
            words,
            site: site.clone(),
            profile: None,
        }
    });
    let mut files = Files::default();
    let found = observe_jobs(session.system.as_ref(), NAME, call.as_ref(), &mut files)?;
    let job = match switch {
        Switch::On => wanted(&found)?,
        Switch::Off => Job::Absent,
    };
    let origin = if session.system.root().is_some() {
        Origin::Tree
    } else {
        Origin::Machine
    };
    let plan = Plan {
        steps: jobs::steps(NAME, &job, &found, origin, &files),
    };
    if plan.is_empty() {
        session.ui.say(match switch {
            Switch::On => "nothing to do: the daily job is there already",
            Switch::Off => "nothing to do: there is no daily job of `mailfix doctor`",
        });
        return Ok(0);
    }
    show::plan(&mut session.ui, &plan);
    session.require_root("doctor --timer")?;
    if session.consent(&APPLY)? == Consent::No {
        return Err(declined());
    }
    let options = Options {
        state: profile.paths.state.clone(),
        config: session.config_directory(&profile)?,
        // Postfix is told nothing.
        running: false,
        undoes: None,
    };
    let applied = session.apply(&plan, &options, &mut |_| Vec::new())?;
    if let Job::Wanted { scheduler, .. } = &job {
        let tells = match mail {
            Some(address) => format!("goes by mail to `{address}`"),
            None => format!("goes to {}", scheduler.tells),
        };
        session.ui.say(&format!(
            "from now on it looks {}; what is new {tells}",
            scheduler.when
        ));
    }
    session.report_applied(&applied);
    Ok(0)
}

/// The job as it shall be, or why there can be none.
fn wanted(found: &Jobs) -> Result<Job, Failure> {
    let Some(call) = &found.call else {
        return Err(Failure::failed(
            "it is not known where the program `mailfix` lies, so no job can run it",
        ));
    };
    let Some(scheduler) = &found.scheduler else {
        return Err(Failure::failed(
            "this host has neither systemd, launchd nor a cron that mailfix knows",
        )
        .hint(format!("have `{}` run every day", call.words.join(" "))));
    };
    if let Some(why) = &found.distrust {
        return Err(
            Failure::failed(format!("root would run it unattended, and {why}")).hint(
                "put the program and the files it reads where only root may write, such as \
             `/usr/local/sbin/mailfix` and `/etc/mailfix`, and run it from there",
            ),
        );
    }
    let is_foreign = |scheduler: &Scheduler| {
        let mut files = scheduler.files.iter();
        let foreign = files.find(|file| found.foreign.contains(&file.path));
        foreign.map(|file| file.path.clone())
    };
    if let Some(path) = is_foreign(scheduler) {
        return Err(
            Failure::failed(format!("`{path}` is there, and mailfix did not write it"))
                .hint("move it elsewhere, and run this again"),
        );
    }
    let texts = scheduler.texts(&scheduler::Job {
        name: NAME,
        about: "what is newly wrong with this server's mail",
        instead: "run `mailfix doctor` with its option `timer` instead of editing.",
        unasked: "the next time will do",
        words: &call.words,
    })?;
    Ok(Job::Wanted {
        scheduler: Box::new(scheduler.clone()),
        texts,
    })
}
