//! What Postfix stays silent about, found before mail is lost over it.
//!
//! Owns the checks of one instance's configuration, live or planned, and the rehearsal that lets
//! Postfix's own programs look at a private copy. A check is a function from a [`Subject`] to
//! findings; none knows another, none prints, none touches a file but through the subject.
//! Must not know who planned what it looks at. Follows postconf(5), master(5), transport(5) and
//! what the programs do where the manuals are silent.
//!
//! A check says "error" only for what is certain: mail is refused, lost or stuck, or a program
//! stops. What depends on what cannot be seen from here is a warning or nothing.

mod chroot;
mod daemons;
mod faults;
mod interfaces;
mod jail;
mod lookup_tables;
mod mend;
mod overrides;
mod patterns;
mod ports;
mod references;
mod rehearse;
mod relay;
mod reply_filters;
mod subject;
mod syntax;
mod table_reference;
mod transports;
mod unused;
mod values;
mod versions;
mod ways_out;

#[cfg(test)]
mod tests;

use std::ops::Range;

use camino::Utf8Path;

pub use lookup_tables::{Outdated, outdated_tables};
pub use mend::add_client;
pub use rehearse::{Candidate, Report, TriedTable, rehearse};
pub use subject::{Document, Files, Presence, Subject};
pub use transports::names_transport;

use crate::finding::{Finding, Place, Severity};

/// One check: what it looks for, and the function that does.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, stable: the file it lives in.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub about: &'static str,
    /// Looks.
    pub run: fn(&Subject) -> Vec<Finding>,
}

/// Every check, in the order their findings are shown.
#[must_use]
pub fn all() -> &'static [Check] {
    const ALL: &[Check] = &[
        syntax::CHECK,
        references::CHECK,
        unused::CHECK,
        values::CHECK,
        versions::CHECK,
        daemons::CHECK,
        ports::CHECK,
        overrides::CHECK,
        interfaces::CHECK,
        relay::CHECK,
        chroot::CHECK,
        jail::CHECK,
        lookup_tables::CHECK,
        patterns::CHECK,
        reply_filters::CHECK,
        transports::CHECK,
        ways_out::CHECK,
    ];
    ALL
}

/// Runs every check; errors come first, else the order of [`all`] is kept.
#[must_use]
pub fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings: Vec<Finding> = all()
        .iter()
        .flat_map(|check| (check.run)(subject))
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Adds what the rehearsal found to what the checks found, each fault once.
///
/// Postfix names no line where the checks do, so a fault known to both is kept as the checks tell it.
#[must_use]
pub fn join(own: Vec<Finding>, rehearsed: Vec<Finding>) -> Vec<Finding> {
    let further: Vec<Finding> = rehearsed
        .into_iter()
        .filter(|finding| !own.iter().any(|other| is_told_by(finding, other)))
        .collect();
    let mut all = own;
    all.extend(further);
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// Tells whether a message of Postfix is about what a check has found.
fn is_told_by(rehearsed: &Finding, own: &Finding) -> bool {
    if rehearsed.same_fault(own) {
        return true;
    }
    let line = |finding: &Finding| {
        finding
            .place
            .as_ref()
            .map(|place| (place.path.clone(), place.line))
    };
    own.severity >= rehearsed.severity
        && line(rehearsed).is_some()
        && line(rehearsed) == line(own)
        && (rehearsed.code == own.code || rehearsed.code.starts_with("postfix-"))
}

/// The faults that are in `after` and were not in `before`: what a plan would introduce.
///
/// Counted, so that a second fault of the same kind is seen; notes are no faults.
#[must_use]
pub fn introduced(before: &[Finding], after: &[Finding]) -> Vec<Finding> {
    let mut old: Vec<&Finding> = before.iter().collect();
    after
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .filter(|finding| {
            old.iter()
                .position(|known| known.same_fault(finding))
                .map(|at| old.swap_remove(at))
                .is_none()
        })
        .cloned()
        .collect()
}

/// What forbids a plan: errors it would introduce, and files that Postfix itself cannot parse.
///
/// Faults that were there before do not: the plan has not made them, and mends what it can.
#[must_use]
pub fn refusals(before: &[Finding], after: &[Finding]) -> Vec<Finding> {
    let mut refusals: Vec<Finding> = introduced(before, after)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    for finding in after {
        if is_unparsable(finding) && !refusals.contains(finding) {
            refusals.push(finding.clone());
        }
    }
    refusals
}

/// Tells whether a finding says that Postfix's programs stop at the file.
#[must_use]
pub fn is_unparsable(finding: &Finding) -> bool {
    matches!(
        finding.code,
        "postfix-fatal" | "not-a-setting" | "bad-field" | "field-count" | "bad-reference"
    )
}

/// The place of a whole line of a file, counted from 1; `None` past the end.
fn line_place(path: &Utf8Path, bytes: &[u8], number: usize) -> Option<Place> {
    let mut start = 0;
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if at + 1 == number {
            let text = line.trim_ascii_end().len();
            return Some(Place::new(path, bytes, start..start + text));
        }
        start += line.len();
    }
    None
}

/// The range of the part without blanks at its ends.
fn trimmed(bytes: &[u8], span: Range<usize>) -> Range<usize> {
    let text = bytes.get(span.clone()).unwrap_or_default();
    let start = span.start + (text.len() - text.trim_ascii_start().len());
    start..(start + text.trim_ascii().len())
}
