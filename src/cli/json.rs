//! The `--json` forms, all with a `format` number that grows when a field goes or changes.
//!
//! Fields may be added without a new number. Documented in the README, "For programs".

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::doctor::look::Looked;
use crate::diff;
use crate::dns_check::{DomainReport, Outcome, Report};
use crate::draft::Draft;
use crate::finding::{Finding, is_obeyed};
use crate::plan::{FileChange, Nature, Plan};
use crate::target::table_path;

/// The number of the form.
const FORMAT: u32 = 1;

/// Turns a value into its text, with a final newline.
pub fn text(value: &Value) -> String {
    format!("{}\n", shown(&format!("{value:#}")))
}

/// The same on a line of its own.
pub fn line(value: &Value) -> String {
    format!("{}\n", shown(&value.to_string()))
}

/// JSON lets stand what a terminal obeys (C1 controls) and what turns text around; within its
/// strings, where alone they can be, they may as well be written as numbers (RFC 8259, 7).
fn shown(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) {
        return Cow::Borrowed(json);
    }
    // What else of ASCII is obeyed is a number in JSON anyway, or stands between the strings.
    let is_told = |c: char| is_obeyed(c) && (!c.is_ascii() || c == '\x7f');
    if !json.contains(is_told) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_told(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// A draft.
pub fn draft(draft: &Draft) -> Value {
    json!({
        "format": FORMAT,
        "mailfix": env!("CARGO_PKG_VERSION"),
        "config": draft.host.facts.config,
        "postfix": draft.host.facts.version.to_string(),
        "pending": !draft.is_empty(),
        "refused": !draft.refusals.is_empty(),
        "decisions": draft.target.decisions,
        "forwards": forwards(draft),
        "steps": steps(&draft.plan),
        "unbuilt": unbuilt(draft),
        "findings": findings(draft.refusals.iter().chain(&draft.findings)),
    })
}

/// Every forward that leads outside.
fn forwards(draft: &Draft) -> Vec<Value> {
    let forwarding = draft.host.facts.forwarding.iter();
    let ways = forwarding.flat_map(|forwarding| &forwarding.ways);
    ways.map(|way| {
        json!({
            "from": way.from,
            "to": way.to,
            "place": way.place,
            "keeps_sender": way.keeps_sender,
        })
    })
    .collect()
}

/// Findings alone.
pub fn findings_only(all: &[Finding], checked: bool) -> Value {
    json!({
        "format": FORMAT,
        "mailfix": env!("CARGO_PKG_VERSION"),
        "postfix_check": checked,
        "findings": findings(all),
    })
}

/// All that is wrong, ranked.
pub fn doctor(looked: &Looked, outcome: impl Serialize) -> Value {
    json!({
        "format": FORMAT,
        "mailfix": env!("CARGO_PKG_VERSION"),
        "outcome": outcome,
        "findings": looked.troubles,
        "past": looked.past,
        "looked": looked.at,
        "not_looked": looked.skipped,
    })
}

/// What DNS says of the server's mail.
pub fn dns_check(report: &Report) -> Value {
    json!({
        "format": FORMAT,
        "mailfix": env!("CARGO_PKG_VERSION"),
        "outcome": report.outcome(),
        "addresses": report.addresses,
        "unknown": report.unknown,
        "domains": report.domains,
        "findings": findings(&report.findings),
    })
}

/// What DNS says of one domain of a list, for a line of its own.
pub fn dns_check_line(report: &DomainReport, all: &[Finding], outcome: Outcome) -> Value {
    json!({
        "format": FORMAT,
        "mailfix": env!("CARGO_PKG_VERSION"),
        "outcome": outcome,
        "domain": report,
        "findings": findings(all),
    })
}

/// Why a command did not do its work.
pub fn failure(failure: &Failure) -> Value {
    let error = json!({
        "status": failure.kind.status(),
        "message": failure.message,
        "hints": failure.hints,
        "findings": findings(&failure.findings),
    });
    object("error", &error)
}

/// Anything else, with the number of the form.
pub fn object(name: &str, value: &impl Serialize) -> Value {
    json!({ "format": FORMAT, "mailfix": env!("CARGO_PKG_VERSION"), name: value })
}

fn findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<&'a Finding> {
    findings.into_iter().collect()
}

/// Tables whose databases the machine has to build itself, as `postmap` takes them.
fn unbuilt(draft: &Draft) -> Vec<String> {
    let facts = &draft.host.facts;
    let tables = draft.unbuilt.iter();
    tables
        .map(|table| format!("{}:{}", table.kind, table_path(facts, table)))
        .collect()
}

fn steps(plan: &Plan) -> Vec<Value> {
    plan.steps
        .iter()
        .filter(|step| !step.is_empty())
        .map(|step| {
            let commands: Vec<String> = step.then.iter().map(ToString::to_string).collect();
            let directories: Vec<&str> = step.directories.iter().map(|directory| directory.path.as_str()).collect();
            let files: Vec<Value> = step.files.iter().filter(|change| change.is_change()).map(file).collect();
            json!({ "title": step.title, "directories": directories, "files": files, "commands": commands })
        })
        .collect()
}

fn file(change: &FileChange) -> Value {
    let action = match (&change.before, &change.after) {
        (None, _) => "create",
        (_, None) => "remove",
        _ => "change",
    };
    let single = Plan {
        steps: vec![crate::plan::Step {
            files: vec![change.clone()],
            ..Default::default()
        }],
    };
    let diff = diff::text(&diff::render(&single));
    let nature = match change.nature {
        Nature::Text => "text",
        Nature::Index => "index",
        Nature::Copy => "copy",
        Nature::Secret => "secret",
    };
    json!({
        "path": change.path,
        "action": action,
        "nature": nature,
        "mode": change.after.as_ref().map(|file| format!("{:04o}", file.mode)),
        "diff": diff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::escape;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed_raw() {
        let value = json!({ "a": "\u{1b}[31m \u{9b}31m \u{7f} \u{202e} é" });
        for text in [text(&value), line(&value)] {
            let obeyed = |c: char| {
                c != '\n' && escape(c.encode_utf8(&mut [0; 4])).starts_with('\\') && c != '\\'
            };
            assert!(!text.contains(obeyed), "{text:?}");
            assert!(text.contains('é'));
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
