//! `mailfix apply`: does what `mailfix plan` shows, after it was agreed to.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::apply::{self, Applied, ApplyError, Event, Options};
use crate::ask::{AskError, Asker, Question, TerminalAsker};
use crate::cli::migrate::{MigrateTo, not_moved};
use crate::cli::plan::{PENDING, refused};
use crate::cli::{Failure, FailureKind, Session, show};
use crate::draft::{Draft, DraftError, Wish, remaining};
use crate::finding::{Finding, Severity};
use crate::host::{self, Facts, Interest, Running};
use crate::migration;
use crate::plan::build::needs_restart;
use crate::plan::{Plan, SavedPlan};
use crate::profile::Profile;
use crate::receipt::Receipts;
use crate::system::{Command, System};
use crate::watch::{Mark, WATCHED, watch};

/// Do what `mailfix plan` shows, after asking
#[derive(Debug, Args)]
pub struct Apply {
    /// A plan saved with `mailfix plan -o FILE`; refused if anything changed since
    #[arg(conflicts_with = "migrate_tables")]
    plan: Option<Utf8PathBuf>,
    /// Move every table of Berkeley DB to this type, and do nothing else
    #[arg(long, value_name = "TYPE")]
    migrate_tables: Option<MigrateTo>,
    /// Stop and start Postfix where a reload is not enough
    #[arg(long)]
    restart: bool,
    /// End with status 2 if there was something to do
    #[arg(long)]
    detailed_exitcode: bool,
}

/// The answer to `Apply?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Do it.
    Yes,
    /// Leave it.
    No,
}

/// A question for consent.
pub struct Asking<'a> {
    /// The question itself.
    pub prompt: &'a str,
    /// What yes means.
    pub yes: &'a str,
    /// What is said to `explain`, a point each.
    pub explanation: &'a [&'a str],
}

/// Consent to an apply.
pub const APPLY: Asking<'_> = Asking {
    prompt: "Apply?",
    yes: "write the files and run the commands shown",
    explanation: &[
        "a receipt with a copy of every file goes to the state directory first",
        "each file is written under another name, then renamed into its place: Postfix never sees half of one; mode, owner and symbolic links stay",
        "what is named comes before what names it; what goes, goes the other way round; after each step the configuration is checked and reloaded",
        "then mailfix looks whether everything is as planned, and watches master and the log for three seconds",
        "if any of it fails, everything is brought back at once; `mailfix undo` brings it back later, byte for byte",
    ],
};

impl Apply {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        match (&self.plan, self.migrate_tables) {
            (Some(path), _) => self.saved(session, path),
            (None, Some(to)) => self.migration(session, to),
            (None, None) => self.fresh(session),
        }
    }

    fn migration(&self, session: &mut Session, to: MigrateTo) -> Result<u8, Failure> {
        let (migration, profile) = session.migration(to)?;
        let draft = &migration.draft;
        if !draft.refusals.is_empty() {
            session.ui.remarks(&draft.findings);
            return Err(not_moved(&draft.refusals));
        }
        show::draft(&mut session.ui, draft);
        session.ui.remarks(&draft.findings);
        let (config, asked) = (&draft.host.facts.config, &migration.asked);
        let left = |system: &dyn System| migration::remaining(system, config, to.into(), asked);
        let carried = carry_out_and_prove(session, &profile, draft, &left, self.restart)?;
        Ok(carried.status(self.detailed_exitcode))
    }

    fn fresh(&self, session: &mut Session) -> Result<u8, Failure> {
        let wished = session.wished()?;
        let wish = wished.wish();
        let draft = session.draft(&wish)?;
        if draft.host.facts.origin == host::Origin::Stock {
            return Err(
                Failure::failed("there is no Postfix here to apply anything to")
                    .hint("`mailfix init` writes the files for a server elsewhere"),
            );
        }
        show::draft(&mut session.ui, &draft);
        session.ui.remarks(&draft.findings);
        if !draft.refusals.is_empty() {
            return Err(refused(&draft.refusals));
        }
        let carried = carry_out(session, &wish, &draft, self.restart)?;
        if matches!(carried, Carried::Nothing) && draft.falls_short() {
            return Ok(FailureKind::Failed.status());
        }
        Ok(carried.status(self.detailed_exitcode))
    }

    fn saved(&self, session: &mut Session, path: &Utf8Path) -> Result<u8, Failure> {
        let Some(file) = session.outside.read(path)? else {
            return Err(
                Failure::usage(format!("the saved plan `{path}` does not exist"))
                    .hint("`mailfix plan -o FILE` saves one"),
            );
        };
        let saved = SavedPlan::from_json(&file.bytes)?;
        session.require_root("apply")?;
        let state = session.state()?;
        if let Err(stale) = saved.plan.against(session.system.as_ref()) {
            return Err(ApplyError::Stale(stale).into());
        }
        show::plan(&mut session.ui, &saved.plan);
        if saved.plan.is_empty() {
            session.ui.say("the saved plan has nothing to do");
            return Ok(0);
        }
        if session.consent(&APPLY)? == Consent::No {
            return Err(declined());
        }
        let host = host::observe(session.system.as_ref(), &saved.config, &Interest::default())?;
        let mark = Mark::set(session.system.as_ref(), &host.facts)?;
        let facts = host.facts;
        let mut verify = |system: &dyn System| watched(system, &facts, &mark);
        let options = options(state, &facts);
        let applied = session.apply(&saved.plan, &options, &mut verify)?;
        session.report_applied(&applied);
        session.take_up(&saved.plan, &facts, self.restart)?;
        Ok(if self.detailed_exitcode { PENDING } else { 0 })
    }
}

/// What came of a draft.
#[derive(Debug)]
pub enum Carried {
    /// There was nothing to do.
    Nothing,
    /// It was done; a receipt undoes it, if any file was changed.
    Done(Option<String>),
}

impl Carried {
    /// The exit status, which tells of changes where that is asked for.
    pub fn status(&self, detailed: bool) -> u8 {
        match self {
            Self::Done(_) if detailed => PENDING,
            _ => 0,
        }
    }
}

/// Asks for consent, applies a draft and proves the result.
pub fn carry_out(
    session: &mut Session,
    wish: &Wish<'_>,
    draft: &Draft,
    restart: bool,
) -> Result<Carried, Failure> {
    let facts = &draft.host.facts;
    let left = |system: &dyn System| remaining(system, &facts.config, wish, facts);
    carry_out_and_prove(session, wish.profile, draft, &left, restart)
}

/// Says what is left to do of a plan once it was applied.
type Remaining<'a> = dyn Fn(&dyn System) -> Result<Vec<Finding>, DraftError> + 'a;

/// Asks for consent, applies a draft and looks for what is left to do of it.
pub fn carry_out_and_prove(
    session: &mut Session,
    profile: &Profile,
    draft: &Draft,
    left: &Remaining<'_>,
    restart: bool,
) -> Result<Carried, Failure> {
    let facts = &draft.host.facts;
    let options = options(profile.paths.state.clone(), facts);
    let unfinished = session.is_unfinished(profile)?;
    if draft.plan.is_empty() && !unfinished {
        session.ui.say("nothing was written");
        return Ok(Carried::Nothing);
    }
    session.require_root("apply")?;
    if unfinished {
        session
            .ui
            .say("note: an earlier run has not ended; this one completes it");
    }
    if session.consent(&APPLY)? == Consent::No {
        return Err(declined());
    }
    let mark = Mark::set(session.system.as_ref(), facts)?.expecting(&draft.findings);
    if !mark.has_log() && matches!(facts.running, Running::Yes(_)) {
        session
            .ui
            .say("note: there is no log file to watch after the reload, only the master process");
    }
    let mut verify = |system: &dyn System| {
        let mut findings = match left(system) {
            Ok(findings) => findings,
            Err(error) => vec![Finding::error("not-as-planned", error.to_string())],
        };
        if !findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
        {
            findings.extend(watched(system, facts, &mark));
        }
        findings
    };
    let applied = session.apply(&draft.plan, &options, &mut verify)?;
    session.report_applied(&applied);
    session.take_up(&draft.plan, facts, restart)?;
    Ok(Carried::Done(applied.receipt))
}

fn watched(system: &dyn System, facts: &Facts, mark: &Mark) -> Vec<Finding> {
    watch(system, facts, mark).unwrap_or_else(|error| {
        vec![Finding::warning(
            "not-watched",
            format!("cannot watch Postfix: {error}"),
        )]
    })
}

/// What an apply has to know beside the plan.
pub fn options(state: Utf8PathBuf, facts: &Facts) -> Options {
    Options {
        state,
        config: facts.config.clone(),
        running: matches!(facts.running, Running::Yes(_)),
        undoes: None,
    }
}

/// The person said no.
pub fn declined() -> Failure {
    Failure::failed("not agreed to; nothing was written")
}

impl Session {
    /// Tells whether the machine may be changed at all by this user.
    pub fn may_write(&self) -> bool {
        self.system.root().is_some() || self.system.is_root()
    }

    /// Tells whether an earlier run was interrupted and has left work to do.
    pub fn is_unfinished(&self, profile: &Profile) -> Result<bool, Failure> {
        let receipts = Receipts::new(&profile.paths.state);
        Ok(self.may_write() && receipts.unfinished(self.system.as_ref())?.is_some())
    }

    /// Asks `yes / no / explain`, unless it was agreed to beforehand.
    pub fn consent(&mut self, asking: &Asking<'_>) -> Result<Consent, Failure> {
        self.consent_before(asking, "written")
    }

    /// The same for what is no writing: `done` says what does not happen before a yes.
    pub fn consent_before(&mut self, asking: &Asking<'_>, done: &str) -> Result<Consent, Failure> {
        if self.common.yes {
            return Ok(Consent::Yes);
        }
        if self.common.no_input || !self.is_terminal {
            let why = if self.common.no_input {
                "`--no-input` forbids to ask"
            } else {
                "there is no terminal to ask on"
            };
            return Err(Failure::failed(format!("{why}, so nothing was {done}"))
                .hint("`--yes` agrees beforehand"));
        }
        let mut asker = TerminalAsker::new()?;
        let question = Question::choice(
            "apply",
            asking.prompt,
            format!("Nothing is {done} before you say yes."),
            Some("no"),
            &[
                ("yes", asking.yes),
                ("no", "leave everything as it is"),
                ("explain", "say how it is done and how it is taken back"),
            ],
        );
        loop {
            match asker.ask(&question)?.as_str() {
                "yes" => return Ok(Consent::Yes),
                "explain" => {
                    self.ui.heading("How it is done");
                    for text in asking.explanation {
                        self.ui.point("-", text);
                    }
                    self.ui.data("\n");
                }
                _ => return Ok(Consent::No),
            }
        }
    }

    /// Stops and starts Postfix where a reload does not take up what the plan changed, or says
    /// that it is left to do.
    fn take_up(&mut self, plan: &Plan, facts: &Facts, restart: bool) -> Result<(), Failure> {
        let (Some(parameter), Running::Yes(_)) = (needs_restart(plan), facts.running) else {
            return Ok(());
        };
        let config = || facts.config.clone();
        let commands = [
            Command::Stop { config: config() },
            Command::Start { config: config() },
        ];
        if !restart {
            let [stop, start] = commands;
            self.ui.say(&format!(
                "left to do: `{parameter}` is only taken up by `{stop}` and `{start}`"
            ));
            return Ok(());
        }
        for command in commands {
            self.ui.say(&format!("running `{command}`"));
            let output = self.system.run(&command)?;
            if !output.success() {
                let said = output.errors();
                let message = format!("`{command}` failed: {}", said.trim());
                let undo = self.common.command("undo");
                return Err(Failure::new(FailureKind::Stopped, message)
                    .hint(format!("`{undo}` brings the old configuration back")));
            }
        }
        Ok(())
    }

    /// Applies a plan, telling what happens.
    pub fn apply(
        &mut self,
        plan: &Plan,
        options: &Options,
        verify: &mut dyn FnMut(&dyn System) -> Vec<Finding>,
    ) -> Result<Applied, Failure> {
        let ui = &mut self.ui;
        let running = options.running;
        let mut report = |event: Event<'_>| match event {
            Event::Step(title) => ui.say(&format!("- {title}")),
            Event::Wrote(path) => ui.say(&format!("  wrote {path}")),
            Event::Removed(path) => ui.say(&format!("  removed {path}")),
            Event::Made(path) => ui.say(&format!("  made {path}")),
            Event::Tidied(path) => ui.say(&format!(
                "  removed what an interrupted run left beside {path}"
            )),
            Event::Running(command) => ui.say(&format!("  running `{command}`")),
            Event::Verifying if running => {
                ui.say(&format!(
                    "- verifying, and watching Postfix for {} s",
                    WATCHED.as_secs()
                ));
            }
            Event::Verifying => ui.say("- verifying"),
            Event::RollingBack(cause) => {
                ui.say(&format!("- failed: {cause}\n- bringing everything back"));
            }
        };
        apply::apply(
            plan,
            self.system.as_mut(),
            options,
            self.now,
            verify,
            &mut report,
        )
        .map_err(|error| match &error {
            ApplyError::Stopped {
                receipt: Some(id), ..
            } => {
                let undo = self.common.command(&format!("undo {id}"));
                let hint = format!("once that is mended, `{undo}` brings everything back");
                Failure::from(error).hint(hint)
            }
            _ => error.into(),
        })
    }

    /// Says what was done and how to take it back.
    pub fn report_applied(&mut self, applied: &Applied) {
        self.ui.remarks(&applied.findings);
        match &applied.receipt {
            Some(id) => self.ui.say(&format!(
                "done; `{}` takes it back",
                self.common.command(&format!("undo {id}"))
            )),
            None => self.ui.say("done; no file had to be changed"),
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Stale(_) => {
                Self::failed(message).hint("make the plan again: `mailfix plan`")
            }
            ApplyError::System(error) => error.into(),
            ApplyError::RolledBack { cause, left, .. } => {
                let mut failure = Self::failed(message);
                for apply::Left { command, .. } in &left {
                    let hint = format!("once what it says is mended: `{command}`");
                    failure = failure.hint(hint);
                }
                if let apply::Cause::Unproven(findings) = cause.as_ref() {
                    if findings
                        .iter()
                        .any(|finding| finding.code == "service-died")
                    {
                        failure = failure.hint(
                            "a service that died rests for a minute (`service_throttle_time`); `postfix stop` and `postfix start` wake it at once",
                        );
                    }
                    failure.findings.clone_from(findings);
                }
                failure
            }
            ApplyError::Stopped { .. } => Self::new(FailureKind::Stopped, message),
            ApplyError::Receipt(_) => Self::failed(message),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Interrupted => Self::failed("interrupted; nothing was written"),
            other => Self::failed(other.to_string()),
        }
    }
}
