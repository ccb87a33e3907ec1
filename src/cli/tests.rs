//! Every command that a text of ours names is one of the command line, as it stands there.

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Arguments;
use crate::diagnose::Knowledge;
use crate::embedded::{AILMENTS, CAUSES, FINDINGS, PROVIDERS, REMEDIES};
use crate::meaning::Meaning;

/// What stands in texts for a word of the reader's own.
fn filled(word: &str) -> &str {
    match word {
        "ADDRESS" => "you@example.org",
        "DOMAIN" => "example.org",
        "HOST" => "mx.example.org",
        "IP" => "192.0.2.1",
        "TYPE" => "lmdb",
        "SHELL" => "bash",
        "ID" => "20261126T002008Z",
        word => word,
    }
}

/// Why a command, without the word `mailfix`, is none; empty where it is one. Its bare name may
/// stand for a command that wants more.
fn fault(command: &str) -> String {
    let words = command.split_whitespace().map(filled);
    let words: Vec<&str> = std::iter::once("mailfix").chain(words).collect();
    match Arguments::try_parse_from(&words) {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => String::new(),
        Err(error) if error.use_stderr() => format!("`{}`: {error}", words.join(" ")),
        _ => String::new(),
    }
}

/// The commands that stand in backticks in a text.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let found = text.match_indices("`mailfix ");
    found.filter_map(move |(at, start)| {
        let rest = text.get(at + start.len()..)?;
        rest.split_once('`').map(|(command, _)| command)
    })
}

#[test]
fn commands_that_are_named_exist() {
    let mut faults = String::new();
    let mut count = 0;
    for (name, text) in [CAUSES, PROVIDERS, AILMENTS, REMEDIES, FINDINGS].concat() {
        for fault in named(text).map(fault) {
            count += 1;
            if !fault.is_empty() {
                faults.extend([name, ": ", &fault]);
            }
        }
    }
    let knowledge = Knowledge::built_in();
    for cause in knowledge.causes() {
        for command in &cause.mend {
            count += 1;
            faults += &fault(command);
        }
    }
    for meaning in Meaning::all() {
        for command in &meaning.found_by {
            faults += &fault(command);
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 80, "{count} were found");
}

#[test]
fn what_readers_are_sent_to_explain_is_explained() {
    let knowledge = Knowledge::built_in();
    for (name, text) in [CAUSES, PROVIDERS, AILMENTS, REMEDIES, FINDINGS].concat() {
        let words = named(text).filter_map(|command| command.strip_prefix("explain "));
        for word in words.filter(|word| *word != "CAUSE") {
            assert!(knowledge.cause(word).is_some(), "{name}: {word}");
        }
    }
}

#[test]
fn commands_of_the_readme_exist() {
    let readme = include_str!("../../README.md");
    let mut faults = String::new();
    // What need not be typed stands in brackets, and whole texts in quotes.
    let is_plain = |command: &&str| !command.contains(['[', '\'', '\n', '…']);
    for command in named(readme).filter(is_plain) {
        faults += &fault(command);
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn a_command_that_does_not_exist_is_noticed() {
    for command in ["dns chekc", "stats --by sender", "diagnose --form x"] {
        assert!(!fault(command).is_empty(), "{command}");
    }
    assert_eq!(fault("dns spf DOMAIN"), "");
}
