//! The forms in which `mailfix diagnose` prints what it found.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plain;
use crate::cli::ui::csv_field;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{self, Bounced, From, Group, Report};
use crate::finding::cut;
use crate::stats::{Family, Stamp};

/// All groups; documented in the README.
pub fn as_json(report: &Report, knowledge: &Knowledge) -> Value {
    let groups: Vec<Value> = report
        .groups
        .iter()
        .map(|group| of_group(group, knowledge))
        .collect();
    json!({ "last": shown(report.last), "groups": groups })
}

/// One group.
pub fn of_group(group: &Group, knowledge: &Knowledge) -> Value {
    let known = group.known(knowledge);
    let (program, known_by) = match &group.from {
        From::Address(_) => (None, Some("reply")),
        From::Program(tag) => (Some(tag), group.address().map(|_| "configuration")),
    };
    let forms: Vec<Value> = group
        .forms(knowledge)
        .into_iter()
        .map(|form| json!({ "place": form.place, "says": form.says }))
        .collect();
    let commands = group.commands(knowledge);
    let commands: Vec<String> = commands
        .into_iter()
        .map(|command| format!("mailfix {command}"))
        .collect();
    let domains: Vec<Value> = group
        .domains
        .iter()
        .map(|(name, count)| json!({ "name": name, "recipients": count }))
        .collect();
    json!({
        "severity": group.severity(),
        "code": group.code(),
        "provider": group.provider,
        "cause": (!group.cause.is_empty()).then_some(&group.cause),
        "confidence": known.confidence,
        "title": group.title(knowledge),
        "way": group.way(),
        "means": group.meaning(knowledge),
        "address": group.address(),
        "known_by": known_by,
        "program": program,
        "protocol": (group.family != Family::None).then(|| group.family.word()),
        "detour": group.is_detour,
        "greeting": group.is_greeting,
        "unknown": group.is_new,
        "tries": group.tries,
        "messages": group.messages,
        "recipients": group.recipients,
        "ends": group.ends,
        "first": shown(group.first),
        "last": shown(group.last),
        "reply": group.words,
        "line": group.line,
        "domains": domains,
        "further": group.further,
        "steps": group.steps(knowledge),
        "commands": commands,
        "forms": forms,
    })
}

/// Addresses that mail was given up for.
pub fn bounced_json(report: &Report) -> Value {
    let all = report.bounced.iter().map(|one| {
        json!({
            "address": one.address,
            "provider": one.provider,
            "cause": (!one.cause.is_empty()).then_some(&one.cause),
            "gone": one.is_gone,
            "times": one.times,
            "first": shown(one.first),
            "last": shown(one.last),
            "reply": one.reply,
        })
    });
    all.collect()
}

/// The same as comma-separated values (RFC 4180).
pub fn bounced_csv(report: &Report) -> String {
    let mut text = String::from("address,what,cause,provider,times,first,last,reply\n");
    for one in &report.bounced {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{}",
            csv_field(&plain(&one.address)),
            what(one),
            csv_field(&one.cause),
            csv_field(&one.provider),
            one.times,
            shown(one.first).unwrap_or_default(),
            shown(one.last).unwrap_or_default(),
            csv_field(&plain(&one.reply)),
        );
    }
    text
}

/// The same for a person.
pub fn bounced_text(report: &Report) -> String {
    let mut text = String::new();
    for (is_gone, heading) in [
        (
            false,
            "Not gone for good: send again once the cause is mended",
        ),
        (true, "Mailboxes that are gone: take them off the list"),
    ] {
        let of_kind = report.bounced.iter().filter(|one| one.is_gone == is_gone);
        let of_kind: Vec<&Bounced> = of_kind.collect();
        if of_kind.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{heading}");
        let mut cause = None;
        for one in of_kind {
            if cause != Some(&one.cause) {
                let _ = writeln!(text, "\n  {}", name(&one.cause));
                cause = Some(&one.cause);
            }
            let last = shown(one.last).unwrap_or_default();
            let since = shown(one.first).filter(|_| one.times > 1);
            let since = since.map(|since| format!(", {} times since {since}", one.times));
            let _ = writeln!(
                text,
                "    {}\n      {last}{}\n      {}",
                plain(&one.address),
                since.unwrap_or_default(),
                shortened(&plain(&one.reply)),
            );
        }
    }
    if text.is_empty() {
        text.push_str("no mail was given up\n");
    }
    text
}

/// Whether the mailbox is gone, in a word for scripts.
fn what(one: &Bounced) -> &'static str {
    if one.is_gone { "gone" } else { "refused" }
}

fn name(cause: &str) -> &str {
    if cause.is_empty() {
        log::UNKNOWN
    } else {
        cause
    }
}

/// A time for programs and people.
fn shown(stamp: Option<Stamp>) -> Option<String> {
    stamp.map(|stamp| stamp.to_string())
}

/// Cut to what fits on a line.
fn shortened(text: &str) -> String {
    const WIDTH: usize = 72;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&words, WIDTH)
}

/// `1 error`, `2 errors`.
pub fn count(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}
