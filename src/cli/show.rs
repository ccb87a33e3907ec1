//! How a draft is shown: what and why, the diffs, the commands.

use crate::cli::ui::Ui;
use crate::diff;
use crate::draft::Draft;
use crate::finding::{Severity, escape};
use crate::host::{Origin, Running};
use crate::plan::{Nature, Plan};
use crate::target;

/// Shows everything a person has to know before agreeing.
pub fn draft(ui: &mut Ui, draft: &Draft) {
    part(ui, draft, "Postfix is configured as it should be");
}

/// The same of a draft that may be about a part of the configuration; `right` says of what it is
/// about that it is as it should be.
pub fn part(ui: &mut Ui, draft: &Draft, right: &str) {
    decisions(ui, draft);
    if draft.is_empty() {
        ui.data("\n");
        let faults = &draft.target.findings;
        let is_right = faults
            .iter()
            .all(|finding| finding.severity < Severity::Error);
        ui.heading(&if is_right {
            format!("Nothing to do: {right}")
        } else {
            "Nothing is changed, and what is wrong stays so".to_owned()
        });
        return;
    }
    ui.data("\n");
    plan(ui, &draft.plan);
    if !draft.unbuilt.is_empty() {
        let facts = &draft.host.facts;
        ui.data("\n");
        ui.heading("Databases that will be built on the server");
        for table in &draft.unbuilt {
            let source = target::table_path(facts, table);
            ui.point(
                "-",
                &format!("`postmap {}:{source}`, beside its place", table.kind),
            );
        }
    }
    notes(ui, draft);
}

/// Shows what was decided and why.
pub fn decisions(ui: &mut Ui, draft: &Draft) {
    for (number, decision) in draft.target.decisions.iter().enumerate() {
        if number > 0 {
            ui.data("\n");
        }
        ui.heading(&format!("{}: {}", decision.about, decision.outcome));
        for why in &decision.why {
            ui.point("-", why);
        }
    }
}

/// Shows every forward that leads outside.
pub fn forwards(ui: &mut Ui, draft: &Draft) {
    let Some(forwarding) = &draft.host.facts.forwarding else {
        return;
    };
    if forwarding.ways.is_empty() {
        return;
    }
    ui.data("\n");
    ui.heading("Forwards that lead outside, one by one");
    for way in &forwarding.ways {
        let from = match way.from.as_str() {
            "" => "all".to_owned(),
            from => escape(from),
        };
        let owner = if way.keeps_sender {
            ""
        } else {
            ", under the sender of its owner"
        };
        let to = escape(&way.to);
        ui.point(
            "-",
            &format!("{from} to {to}{owner} ({})", escape(&way.place)),
        );
    }
}

/// Shows a plan: its steps, its diffs, its commands.
pub fn plan(ui: &mut Ui, plan: &Plan) {
    ui.heading("What will be done");
    let steps: Vec<_> = plan.steps.iter().filter(|step| !step.is_empty()).collect();
    for (number, step) in steps.iter().enumerate() {
        ui.point(&format!("{}.", number + 1), &step.title);
    }
    ui.data("\n");
    ui.diff(&diff::render(plan));
    let commands: Vec<_> = steps
        .iter()
        .enumerate()
        .flat_map(|(number, step)| step.then.iter().map(move |command| (number + 1, command)))
        .collect();
    let built: Vec<_> = plan
        .changes()
        .filter(|change| change.nature == Nature::Index && change.after.is_some())
        .filter_map(|change| {
            change
                .path
                .file_stem()
                .and_then(|stem| Some(change.path.parent()?.join(stem)))
        })
        .collect();
    if !commands.is_empty() || !built.is_empty() {
        ui.data("\n");
        ui.heading("Commands that will be run");
        match built.as_slice() {
            [] => {}
            [source] => ui.point(
                "-",
                &format!(
                    "the index of `{source}` was built in a private copy, and is put in place whole"
                ),
            ),
            several => ui.point(
                "-",
                &format!(
                    "the {} indexes were built in a private copy, and are put in place whole",
                    several.len()
                ),
            ),
        }
        for (number, command) in commands {
            ui.point("-", &format!("`{command}` (after step {number})"));
        }
    }
}

fn notes(ui: &mut Ui, draft: &Draft) {
    let facts = &draft.host.facts;
    if facts.running == Running::No {
        ui.say("note: Postfix does not run; it is not started, and reads the files when it is");
    }
    if facts.origin == Origin::Collected {
        ui.say("note: Postfix itself checks the files on the server, before they count");
    }
    if !draft.checked && facts.origin == Origin::Machine {
        ui.say("note: `postfix check` was skipped, only root may run it");
    }
}
