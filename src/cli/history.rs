//! `mailfix history`: what was applied here, and how much of it still holds.

use clap::Args;
use comfy_table::{Table, presets};

use crate::cli::{Failure, Session, json};
use crate::push::{self, UpdateReceipt};
use crate::receipt::{Receipts, rank};
use crate::undo::{self, Past, State};

/// List what was applied on this machine
#[derive(Debug, Args)]
pub struct History {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(serde::Serialize)]
struct Line {
    id: String,
    /// RFC 3339, to the second.
    created: String,
    #[serde(skip)]
    when: String,
    state: &'static str,
    undoes: Option<String>,
    files: Vec<String>,
    /// What of DNS it changed, as `NAME TYPE`.
    records: Vec<String>,
}

impl History {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let receipts = Receipts::new(session.state()?);
        let history = undo::History::read(&receipts, session.system.as_ref())?;
        let updates = session.updates(&receipts)?;
        let mut lines: Vec<Line> = history.past.iter().map(line).collect();
        lines.extend(
            updates
                .iter()
                .map(|(receipt, state)| of_update(receipt, *state)),
        );
        lines.sort_by(|a, b| rank(&b.id).cmp(&rank(&a.id)));
        for broken in &history.broken {
            session.ui.say(&format!("warning: {broken}"));
        }
        if self.json {
            session
                .ui
                .data(&json::text(&json::object("history", &lines)));
            return Ok(0);
        }
        if lines.is_empty() {
            session.ui.say("nothing was applied here yet");
            return Ok(0);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["ID", "When", "State", "Changed"]);
        for line in &lines {
            let state = match &line.undoes {
                Some(id) => format!("undo of {id}"),
                None => line.state.to_owned(),
            };
            table.add_row([
                line.id.clone(),
                line.when.clone(),
                state,
                match (line.files.len(), line.records.len()) {
                    (1, 0) => "1 file".to_owned(),
                    (files, 0) => format!("{files} files"),
                    (_, 1) => "1 DNS record set".to_owned(),
                    (_, sets) => format!("{sets} DNS record sets"),
                },
            ]);
        }
        let mut text = String::new();
        for line in table.to_string().lines() {
            text.push_str(line.trim());
            text.push('\n');
        }
        session.ui.data(&text);
        session.ui.say(&format!(
            "`{}` takes one back, the newest without ID",
            session.common.command("undo [ID]")
        ));
        Ok(0)
    }
}

fn line(past: &Past) -> Line {
    let receipt = &past.receipt;
    let mut files: Vec<String> = Vec::new();
    for entry in receipt.entries() {
        // A receipt that completes an interrupted one names some files twice.
        if !files.iter().any(|file| *file == entry.path) {
            files.push(entry.path.to_string());
        }
    }
    Line {
        id: receipt.id.clone(),
        created: receipt.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        when: receipt
            .created
            .strftime("%Y-%m-%d %H:%M:%S UTC")
            .to_string(),
        state: word(past.state),
        undoes: receipt.undoes.clone(),
        files,
        records: Vec::new(),
    }
}

fn of_update(receipt: &UpdateReceipt, state: push::State) -> Line {
    let sets = receipt.zones.iter().flat_map(|zone| &zone.sets);
    let records = sets.map(|set| format!("{} {}", set.name.fully_qualified(), set.kind));
    Line {
        id: receipt.id.clone(),
        created: receipt.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        when: receipt
            .created
            .strftime("%Y-%m-%d %H:%M:%S UTC")
            .to_string(),
        state: match state {
            push::State::Applied => word(State::Applied),
            push::State::PartlyApplied => word(State::PartlyApplied),
            push::State::Undone => word(State::Undone),
            push::State::Drifted => word(State::Drifted),
            push::State::Unknown => "unknown",
        },
        undoes: receipt.undoes.clone(),
        files: Vec::new(),
        records: records.collect(),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::PartlyApplied => "applied in part",
        State::Undone => "undone",
        State::Drifted => "changed since",
    }
}
