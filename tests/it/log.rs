//! The parser of the mail log on entries that people found in theirs.
//!
//! `MAILFIX_CORPUS=DIR` names a folder; every `*.jsonl` in it holds an object a line, with an
//! entry of a log as `line` (people fold them, so it may have several) and what kind of text
//! it is as `form`. Without it the parser is tested beside its code alone.

use std::path::PathBuf;

use mailfix::postfix::log::{Answer, Event, Line, Manner};

struct Sample {
    form: String,
    line: String,
}

fn samples() -> Vec<Sample> {
    let Some(corpus) = std::env::var_os("MAILFIX_CORPUS").map(PathBuf::from) else {
        println!("skipped: MAILFIX_CORPUS is not set");
        return Vec::new();
    };
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
            samples.push(Sample {
                form: text("form"),
                line: text("line"),
            });
        }
    }
    samples
}

/// Undoes what mail programs and forums do to long lines: a line without a head goes on.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        match lines.last_mut() {
            Some(last) if Line::parse(part.as_bytes()).is_none() => {
                if !part.starts_with('[') {
                    last.push(' ');
                }
                last.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

#[test]
fn entries_of_real_logs_are_read() {
    for Sample { form, line } in samples() {
        let is_log = form == "maillog" || form == "fragment";
        for text in unfolded(&line) {
            let bytes = text.as_bytes();
            let line = Line::parse(bytes).unwrap_or_else(|| Line::bare(bytes));
            let event = line.record().event;
            let answer = match event {
                Event::Delivery(delivery) => Some(delivery.answer()),
                Event::Attempt(answer) => Some(answer),
                Event::Other(said) => Some(Answer::parse(said)),
                _ => None,
            };
            if !is_log {
                continue;
            }
            if text.contains(" status=") {
                assert!(matches!(event, Event::Delivery(_)), "{text}\n{event:?}");
            }
            let told = |part: &str| {
                // Not quoted by another host, not cut off.
                text.contains(part)
                    && !text.starts_with('(')
                    && matches!(event, Event::Delivery(_) | Event::Attempt(_))
            };
            let manner = answer.map(|answer| answer.manner);
            for (part, expected) in [
                ("] said: ", Manner::Said),
                ("] refused to talk to me: ", Manner::RefusedToTalk),
                (" timed out while ", Manner::TimedOut),
            ] {
                if told(part) {
                    assert_eq!(manner, Some(expected), "{text}");
                }
            }
            for (part, code) in [
                ("] said: 550", 550),
                ("] said: 421", 421),
                ("] said: 450", 450),
            ] {
                if told(part) {
                    assert_eq!(
                        answer.and_then(|answer| answer.code()),
                        Some(code),
                        "{text}"
                    );
                }
            }
        }
    }
}
