//! The job that makes the list of hosted domains anew every day.
//!
//! Owns whether there shall be one: only where such a list is in use, and only as the site file
//! says. Must not know how a scheduler is told.

use crate::finding::Finding;
use crate::host::Facts;
use crate::scheduler;
use crate::site::Site;
use crate::template::TemplateError;

use super::{Job, Target};

/// The word for it in explanations.
const ABOUT: &str = "Daily refresh";

/// The verb that the job runs.
pub const NAME: &str = "refresh";

/// Decides, where a list is in use.
pub(super) fn decide(target: &mut Target, site: &Site, facts: &Facts) -> Result<(), TemplateError> {
    let jobs = &facts.jobs;
    if !target.lists_hosted_domains() {
        return Ok(());
    }
    match site.timer {
        None => {
            if jobs.installed.is_empty() && jobs.call.is_some() {
                let why = "the list ages: `timer = true` below `[refresh]` in mailfix.toml has it made anew every day; `mailfix refresh` does it once";
                target.decide(ABOUT, "not set up", vec![why.to_owned()]);
            }
            return Ok(());
        }
        Some(false) => {
            let gone = retire(target, facts);
            if !gone.is_empty() {
                target.decide(ABOUT, "taken away", gone);
            }
            return Ok(());
        }
        Some(true) => {}
    }
    // Who has no program to call has nothing to say about a job.
    let Some(call) = &jobs.call else {
        return Ok(());
    };
    let refused = |why: &str, fix: &str| {
        Finding::warning(
            "no-timer",
            "the list cannot be made anew every day by itself",
        )
        .because(why)
        .mend(fix)
    };
    let Some(scheduler) = &jobs.scheduler else {
        target.findings.push(refused(
            "this host has neither systemd, launchd nor a cron that mailfix knows",
            "have `mailfix refresh --yes --no-input` run every day, and set `timer = false`",
        ));
        return Ok(());
    };
    if let Some(why) = &jobs.distrust {
        target.findings.push(refused(
            &format!("root would run it unattended, and {why}"),
            "put the program and the files it reads where only root may write, such as `/usr/local/sbin/mailfix` and `/etc/mailfix`, and run `mailfix apply` from there",
        ));
        return Ok(());
    }
    let foreign = |path| jobs.foreign.contains(path);
    if let Some(file) = scheduler.files.iter().find(|file| foreign(&file.path)) {
        target.findings.push(refused(
            &format!("`{}` is there, and mailfix did not write it", file.path),
            "move it elsewhere and run `mailfix apply`",
        ));
        return Ok(());
    }
    let instead = format!(
        "change {} and run `mailfix apply` instead of editing.",
        call.site
    );
    let texts = scheduler.texts(&scheduler::Job {
        name: NAME,
        about: "which domains that mail goes to a provider hosts",
        instead: &instead,
        unasked: "the list stays as it is until the next time",
        words: &call.words,
    })?;
    let why = format!(
        "{} runs `{}` every day",
        scheduler.title,
        call.words.join(" ")
    );
    target.decide(ABOUT, &format!("by {}", scheduler.title), vec![why]);
    target.job = Job::Wanted {
        scheduler: Box::new(scheduler.clone()),
        texts,
    };
    Ok(())
}

/// Takes the job away, if there is one, and says what goes.
pub(super) fn retire(target: &mut Target, facts: &Facts) -> Vec<String> {
    if facts.jobs.installed.is_empty() {
        return Vec::new();
    }
    target.job = Job::Absent;
    let paths = facts.jobs.installed.iter();
    paths.map(|path| format!("`{path}` goes")).collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::host::{Call, example};
    use crate::remedy_sheet::RemedyId;
    use crate::scheduler::{MARK, Scheduler};

    /// What the site file says, what is changed about a host with systemd, whether a list is in
    /// use; the job, by its first text, and what is said.
    #[track_caller]
    fn check(
        timer: &str,
        edit: impl Fn(&mut Facts),
        lists: bool,
        expected: (Option<&str>, &[&str]),
    ) {
        let text = format!(
            "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"9.9.9.9\"]\n[[domain]]\nname = \"example.org\"\n[refresh]\n{timer}\n"
        );
        let site = Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap();
        let mut facts = example::host("2.11.6", "", "").facts;
        facts.jobs.scheduler = Some(Scheduler::of(NAME).remove(0));
        facts.jobs.call = Some(Call {
            words: ["/usr/sbin/mailfix", "refresh"].map(str::to_owned).to_vec(),
            site: "/etc/mailfix/mailfix.toml".into(),
            profile: None,
        });
        edit(&mut facts);
        let mut target = Target::default();
        if lists {
            target.remedies.push(RemedyId::HostedDomains);
        }
        decide(&mut target, &site, &facts).unwrap();
        let said = target.decisions.iter().map(|one| one.outcome.as_str());
        let found = target.findings.iter().map(|one| one.code);
        let said: Vec<&str> = said.chain(found).collect();
        let job = match &target.job {
            Job::AsItIs => None,
            Job::Absent => Some("absent"),
            Job::Wanted { texts, .. } => {
                assert!(texts.iter().all(|text| text.contains(MARK)));
                texts[0].lines().find(|line| line.starts_with("ExecStart="))
            }
        };
        assert_eq!((job, said.as_slice()), expected);
    }

    #[test]
    fn there_is_one_where_a_list_is_in_use_and_the_site_file_says_so() {
        let same = |_: &mut Facts| ();
        let call = Some("ExecStart=/usr/sbin/mailfix refresh");
        check("timer = true", same, true, (call, &["by systemd"]));
        check("timer = true", same, false, (None, &[]));
        check("timer = false", same, true, (None, &[]));
        check("", same, true, (None, &["not set up"]));
        let installed = |facts: &mut Facts| {
            facts
                .jobs
                .installed
                .insert("/etc/cron.d/mailfix-refresh".into());
        };
        check(
            "timer = false",
            installed,
            true,
            (Some("absent"), &["taken away"]),
        );
        check("", installed, true, (None, &[]));
    }

    #[test]
    fn why_there_is_none_is_said() {
        let refused = (None, &["no-timer"][..]);
        check(
            "timer = true",
            |facts| facts.jobs.scheduler = None,
            true,
            refused,
        );
        let distrust = |facts: &mut Facts| facts.jobs.distrust = Some("x".to_owned());
        check("timer = true", distrust, true, refused);
        let foreign = |facts: &mut Facts| {
            let path = "/etc/systemd/system/mailfix-refresh.timer";
            facts.jobs.foreign.insert(path.into());
        };
        check("timer = true", foreign, true, refused);
        // Who has no program to call says nothing.
        check(
            "timer = true",
            |facts| facts.jobs.call = None,
            true,
            (None, &[]),
        );
    }
}
