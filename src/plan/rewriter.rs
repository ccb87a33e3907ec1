//! The step about a program that rewrites senders: its settings, and that it runs by them.
//!
//! Must not know why it is wanted.

use super::{FileChange, Nature, Step};
use crate::host::{Facts, Files, Origin};
use crate::system::{Command, File};
use crate::target::Target;

/// Sets it up. It comes before main.cf names its tables: while they do not answer, mail waits.
pub(super) fn step(target: &Target, facts: &Facts, files: &Files) -> Option<Step> {
    let wanted = target.rewriter.as_ref()?;
    let rewriter = &wanted.rewriter;
    let before = files.get(&rewriter.config)?;
    let mut bytes = before.bytes.clone();
    for (name, words, is_list) in &wanted.words {
        bytes = rewriter.set(&bytes, name, words, *is_list);
    }
    let mut step = Step {
        title: format!("{}: its settings, and that it runs", rewriter.title),
        ..Step::default()
    };
    if bytes != before.bytes {
        let after = File {
            bytes,
            ..before.clone()
        };
        step.files.push(FileChange {
            path: rewriter.config.clone(),
            before: Some(before.clone()),
            after: Some(after),
            nature: Nature::Text,
        });
    }
    if facts.origin == Origin::Machine && (wanted.is_new || !step.files.is_empty()) {
        step.then.push(Command::RestartService {
            service: rewriter.service.clone(),
        });
    }
    (!step.is_empty()).then_some(step)
}
