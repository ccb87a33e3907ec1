//! Applying a plan: lock, receipt, steps in order, proof, and back again when a part fails.
//!
//! Owns the order in which things happen, so that at every moment a killed
//! process leaves a machine that Postfix can run on and that one undo brings
//! back. Must not know what the plan is for.
//!
//! The order: lock; remove what a killed run left; refuse a stale plan; write
//! the receipt; leave its name as the run that began; the steps; the proof;
//! take the name away. Nothing else is recorded.

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::finding::{Finding, Severity};
use crate::plan::{FileChange, Plan, Stale, Step};
use crate::receipt::{Receipt, ReceiptError, Receipts};
use crate::system::{Command, File, Output, Query, System, SystemError};

/// What an apply has to know beside the plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state directory, such as `/var/lib/mailfix`.
    pub state: Utf8PathBuf,
    /// The configuration directory, for the receipt.
    pub config: Utf8PathBuf,
    /// Whether Postfix runs. If not, it is neither reloaded nor started.
    pub running: bool,
    /// The receipt that the plan undoes, if it is an undo.
    pub undoes: Option<String>,
}

/// What happens during an apply, for whoever tells the person.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A step begins.
    Step(&'a str),
    /// A file was written.
    Wrote(&'a Utf8Path),
    /// A file or directory was removed.
    Removed(&'a Utf8Path),
    /// A directory was made.
    Made(&'a Utf8Path),
    /// What a killed run left was removed beside this path.
    Tidied(&'a Utf8Path),
    /// A command is about to be run.
    Running(&'a Command),
    /// All steps are done; now it is looked whether it is as it should be.
    Verifying,
    /// Something failed; all is brought back.
    RollingBack(&'a Cause),
}

/// What an apply did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The receipt to undo it by; `None` when no file was to be changed.
    pub receipt: Option<String>,
    /// What the proof showed that is no error.
    pub findings: Vec<Finding>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A command said no.
    #[error("`{command}` failed with status {}{}", output.status, quoted(output))]
    Command {
        /// Which.
        command: Command,
        /// What it said.
        output: Output,
    },
    /// The result is not what it should be.
    #[error("the result is not as planned: {}", titles(.0))]
    Unproven(Vec<Finding>),
    /// A file was changed by someone else in the middle of it.
    #[error("`{path}` was changed by someone else meanwhile")]
    Meddled {
        /// Which.
        path: Utf8PathBuf,
    },
}

/// A command that failed on the way back, and that the way back did not wait for.
#[derive(Debug)]
pub struct Left {
    /// Which.
    pub command: Command,
    /// Why.
    pub cause: Cause,
}

/// A plan that was not applied, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The machine is no longer what the plan was made for; nothing was changed.
    #[error("the plan is out of date: {}", reasons(.0))]
    Stale(Vec<Stale>),
    /// The receipt cannot be written or read; nothing was changed.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// It cannot be begun; nothing was changed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A part failed, and everything is as it was before, but for what others would not do again.
    #[error("{cause}; everything is as it was before{}", exceptions(.left))]
    RolledBack {
        /// What failed.
        cause: Box<Cause>,
        /// What failed on the way back. Nothing of it is of Postfix.
        left: Vec<Left>,
        /// The receipt of the attempt.
        receipt: Option<String>,
    },
    /// A part failed, and bringing things back failed too.
    #[error("{cause}; bringing it back stopped: {obstacle}")]
    Stopped {
        /// What failed first.
        cause: Box<Cause>,
        /// What kept it from being brought back.
        obstacle: Box<Cause>,
        /// The receipt to undo by.
        receipt: Option<String>,
    },
}

fn quoted(output: &Output) -> String {
    let said = match output.errors().trim() {
        "" => output.text(),
        errors => errors.to_owned(),
    };
    match said.trim() {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

fn exceptions(left: &[Left]) -> String {
    let causes: Vec<_> = left.iter().map(|left| left.cause.to_string()).collect();
    if causes.is_empty() {
        return String::new();
    }
    format!(", but on the way back {}", causes.join("; "))
}

fn titles(findings: &[Finding]) -> String {
    let titles: Vec<_> = findings
        .iter()
        .map(|finding| finding.title.as_str())
        .collect();
    titles.join("; ")
}

fn reasons(stale: &[Stale]) -> String {
    let reasons: Vec<_> = stale.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

/// Adds to a plan what an interrupted run has left to be done: where its files are in place
/// already, the running Postfix may not have been told of them.
///
/// # Errors
/// When the mark of the interrupted run cannot be read.
pub fn with_unfinished(
    plan: &Plan,
    system: &dyn System,
    receipts: &Receipts,
) -> Result<Plan, ReceiptError> {
    let mut whole = plan.clone();
    let Some(unfinished) = receipts.unfinished(system)? else {
        return Ok(whole);
    };
    let mut then: Vec<Command> = Vec::new();
    // A job can only be started where its files are; Postfix reads again what stands there.
    let held = unfinished.done(system)?;
    for command in unfinished.steps.iter().flat_map(|step| &step.then) {
        let is_planned = plan.steps.iter().any(|step| step.then.contains(command));
        let is_ready =
            command.is_of_postfix() || held.iter().any(|step| step.then.contains(command));
        if is_ready && !is_planned && !then.contains(command) {
            then.push(command.clone());
        }
    }
    if !then.is_empty() {
        whole.steps.push(Step {
            title: format!("finish what the interrupted run `{}` began", unfinished.id),
            then,
            ..Step::default()
        });
    }
    Ok(whole)
}

/// Applies a plan.
///
/// `verify` is asked once all steps are done; an error among its findings brings everything
/// back. An empty plan does nothing but tidy up after a killed run.
///
/// # Errors
/// When nothing was changed, when everything was brought back, and when it stopped part-way.
pub fn apply(
    plan: &Plan,
    system: &mut dyn System,
    options: &Options,
    now: Timestamp,
    verify: &mut dyn FnMut(&dyn System) -> Vec<Finding>,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Applied, ApplyError> {
    let receipts = Receipts::new(&options.state);
    receipts.tidy(system)?;
    if plan.is_empty() && !receipts.exist(system)? {
        return Ok(Applied {
            receipt: None,
            findings: Vec::new(),
        });
    }
    receipts.prepare(system)?;
    system.lock(&receipts.lock_path())?;
    let plan = with_unfinished(plan, system, &receipts)?;
    tidy(&plan, system, &receipts, report)?;
    plan.against(system).map_err(ApplyError::Stale)?;
    if plan.is_empty() {
        return Ok(Applied {
            receipt: None,
            findings: Vec::new(),
        });
    }
    let receipt = begin(&plan, system, options, &receipts, now)?;
    let mut run = Run {
        system,
        running: options.running,
        report,
    };
    match run.forward(&plan, verify) {
        Ok(mut findings) => {
            if let Err(error) = receipts.end(run.system) {
                // All is done; the next run will tell Postfix once more than needed.
                let title = format!("the mark of this run stays: {error}");
                findings.push(Finding::warning("mark-stays", title));
            }
            Ok(Applied { receipt, findings })
        }
        Err(Failure { cause, reached }) => {
            (run.report)(Event::RollingBack(&cause));
            let back = run.back(&plan, &reached);
            let cause = Box::new(cause);
            let ended = back.and_then(|left| {
                receipts.end(run.system)?;
                Ok(left)
            });
            if let (Ok(_), Some(id)) = (&ended, &receipt)
                && let Ok(mut failed) = receipts.load(run.system, id)
            {
                failed.brought_back = true;
                // Where that cannot be noted either, the files say as much.
                let _ = receipts.save(run.system, &failed);
            }
            match ended {
                Ok(left) => Err(ApplyError::RolledBack {
                    cause,
                    left,
                    receipt,
                }),
                Err(obstacle) => Err(ApplyError::Stopped {
                    cause,
                    obstacle: Box::new(obstacle),
                    receipt,
                }),
            }
        }
    }
}

/// Removes what killed runs left beside any file that this plan or a receipt names.
fn tidy(
    plan: &Plan,
    system: &mut dyn System,
    receipts: &Receipts,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<(), ApplyError> {
    let mut paths: Vec<Utf8PathBuf> = Vec::new();
    for step in &plan.steps {
        paths.extend(step.files.iter().map(|change| change.path.clone()));
        paths.extend(step.directories.iter().map(|new| new.path.clone()));
    }
    for receipt in receipts.list(system)?.into_iter().flatten() {
        for step in receipt.steps {
            paths.extend(step.files.into_iter().map(|entry| entry.path));
            paths.extend(step.directories.into_iter().map(|new| new.path));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        if system.remove_leftover(&path)? {
            report(Event::Tidied(&path));
        }
    }
    Ok(())
}

/// Writes the receipt, and its name as the run that began.
fn begin(
    plan: &Plan,
    system: &mut dyn System,
    options: &Options,
    receipts: &Receipts,
    now: Timestamp,
) -> Result<Option<String>, ApplyError> {
    let changes = plan.steps.iter().any(|step| {
        !step.directories.is_empty()
            || !step.abandoned.is_empty()
            || step.files.iter().any(FileChange::is_change)
    });
    if !changes {
        return Ok(None);
    }
    let id = receipts.free_id(system, now)?;
    let mut receipt = Receipt::new(plan, id, options.config.clone(), now);
    receipt.undoes.clone_from(&options.undoes);
    if receipt.undoes.is_none()
        && let Some(interrupted) = interrupted(system, receipts)?
    {
        let mut steps = interrupted.done(system)?;
        if !steps.is_empty() {
            steps.append(&mut receipt.steps);
            receipt.steps = steps;
            receipt.continues = Some(interrupted.id);
        }
    }
    // The mark of a run that has no receipt says nothing, so what is killed between the two never
    // was. The mark of an interrupted run stays until there is a receipt that goes on from it.
    if receipts.unfinished(system)?.is_none() {
        receipts.begin(system, &receipt)?;
        receipts.save(system, &receipt)?;
    } else {
        receipts.save(system, &receipt)?;
        receipts.begin(system, &receipt)?;
    }
    Ok(Some(receipt.id))
}

/// The apply that was interrupted, or whose undo was.
fn interrupted(system: &dyn System, receipts: &Receipts) -> Result<Option<Receipt>, ReceiptError> {
    let mut receipt = receipts.unfinished(system)?;
    while let Some(id) = receipt.as_ref().and_then(|receipt| receipt.undoes.clone()) {
        receipt = match receipts.load(system, &id) {
            Ok(undone) => Some(undone),
            Err(ReceiptError::Unknown { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(receipt)
}

/// How far a run came: the steps begun, and whether each has told Postfix of its files.
type Reached = Vec<bool>;

struct Failure {
    cause: Cause,
    reached: Reached,
}

struct Run<'a> {
    system: &'a mut dyn System,
    running: bool,
    report: &'a mut dyn FnMut(Event<'_>),
}

impl Run<'_> {
    fn forward(
        &mut self,
        plan: &Plan,
        verify: &mut dyn FnMut(&dyn System) -> Vec<Finding>,
    ) -> Result<Vec<Finding>, Failure> {
        let mut reached = Reached::new();
        for step in &plan.steps {
            (self.report)(Event::Step(&step.title));
            reached.push(false);
            let mut told = false;
            let result = self.step(step, &mut told);
            if let Some(last) = reached.last_mut() {
                *last = told;
            }
            if let Err(cause) = result {
                return Err(Failure { cause, reached });
            }
        }
        (self.report)(Event::Verifying);
        let findings = verify(self.system);
        if findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
        {
            let cause = Cause::Unproven(findings);
            return Err(Failure { cause, reached });
        }
        Ok(findings)
    }

    fn step(&mut self, step: &Step, told: &mut bool) -> Result<(), Cause> {
        for new in &step.directories {
            self.system
                .make_directory(&new.path, new.mode, new.uid, new.gid)?;
            (self.report)(Event::Made(&new.path));
        }
        for change in step.files.iter().filter(|change| change.is_change()) {
            self.put(&change.path, change.after.as_ref())?;
        }
        for old in &step.abandoned {
            if self.system.remove_directory(&old.path)? {
                (self.report)(Event::Removed(&old.path));
            }
        }
        for command in &step.then {
            if self.is_due(command) {
                *told |= !matches!(command, Command::Check { .. });
                self.run(command)?;
            }
        }
        Ok(())
    }

    /// Brings the steps begun back, last first, as an undo would: what is as it was left is
    /// turned back, what is as it was before never happened, and anything else stops it. A
    /// command that is not of Postfix does not: the files matter more than what it does.
    fn back(&mut self, plan: &Plan, reached: &Reached) -> Result<Vec<Left>, Cause> {
        let mut left: Vec<Left> = Vec::new();
        for (step, told) in plan.steps.iter().zip(reached).rev() {
            let inverse = step.inverse();
            for new in &inverse.directories {
                if self.system.stat(&new.path)?.is_none() {
                    self.system
                        .make_directory(&new.path, new.mode, new.uid, new.gid)?;
                    (self.report)(Event::Made(&new.path));
                }
            }
            for change in inverse.files.iter().filter(|change| change.is_change()) {
                let now = self.system.read(&change.path)?;
                if is_same(now.as_ref(), change.before.as_ref()) {
                    self.put(&change.path, change.after.as_ref())?;
                } else if !is_same(now.as_ref(), change.after.as_ref()) {
                    return Err(Cause::Meddled {
                        path: change.path.clone(),
                    });
                }
            }
            for old in &inverse.abandoned {
                if self.system.remove_directory(&old.path)? {
                    (self.report)(Event::Removed(&old.path));
                }
            }
            // A step that came no further than its check has told Postfix of nothing.
            if *told {
                for command in &inverse.then {
                    if !self.is_due(command) {
                        continue;
                    }
                    match self.run_again(command) {
                        Err(cause) if command.is_of_postfix() => return Err(cause),
                        Err(cause) if left.iter().all(|left| left.command != *command) => {
                            left.push(Left {
                                command: command.clone(),
                                cause,
                            });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(left)
    }

    fn put(&mut self, path: &Utf8Path, file: Option<&File>) -> Result<(), Cause> {
        if let Some(file) = file {
            self.system.write(path, file)?;
            (self.report)(Event::Wrote(path));
        } else {
            self.system.remove(path)?;
            (self.report)(Event::Removed(path));
        }
        Ok(())
    }

    /// Nothing is run for a tree, and a Postfix that does not run is not reloaded.
    fn is_due(&self, command: &Command) -> bool {
        let is_check = matches!(command, Command::Check { .. });
        let is_about_running = command.is_of_postfix() && !is_check;
        self.system.root().is_none() && (!is_about_running || self.running)
    }

    fn run(&mut self, command: &Command) -> Result<(), Cause> {
        (self.report)(Event::Running(command));
        let output = self.system.run(command)?;
        // What is not there any more cannot be stopped, and has nothing left that it could run.
        if output.success() || command.is_end() {
            return Ok(());
        }
        Err(Cause::Command {
            command: command.clone(),
            output,
        })
    }

    /// Runs a command on the old files. Postfix ran when all began: if the new files have
    /// stopped it, there is nothing to reload or stop, and it has to be started.
    fn run_again(&mut self, command: &Command) -> Result<(), Cause> {
        let Err(cause) = self.run(command) else {
            return Ok(());
        };
        match command {
            Command::Reload { config } if self.is_down(config) => self.run(&Command::Start {
                config: config.clone(),
            }),
            Command::Stop { config } if self.is_down(config) => Ok(()),
            _ => Err(cause),
        }
    }

    fn is_down(&self, config: &Utf8Path) -> bool {
        let status = self.system.query(&Query::Status {
            config: config.to_owned(),
        });
        status.is_ok_and(|output| !output.success())
    }
}

fn is_same(one: Option<&File>, other: Option<&File>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_same(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
