//! Lookup tables that cannot be looked up, or answer differently from how they read.
//!
//! Owns what is asked of every table: that its type is known, that it is there, that its index is
//! newer than its source, that its lines are read. Must not know patterns, nor what an answer means.
//! Follows postmap(1) and postconf(1), `-m`.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::table_reference::{KNOWN_TYPES, TableReference, references};
use super::{Check, Presence, Subject, faults, mend};
use crate::finding::{Finding, Place, escape};
use crate::postfix::table::index_suffixes;
use crate::postfix::{ProblemKind, Table, Version};
use crate::spelling::near_miss;

pub(super) const CHECK: Check = Check {
    name: "lookup-tables",
    about: "table types this Postfix does not have, tables that are missing, old or malformed",
    run,
};

/// The first version that can put another index type in the place of Berkeley DB.
const REDIRECTS: Version = Version::new(3, 11, 0);

/// How many malformed lines and duplicate keys of one table are shown.
const SHOWN_LINES: usize = 10;

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in references(subject) {
        // The same table in the same role is named by several parameters as a rule.
        let first = seen.insert(reference.spelled());
        if let Some(finding) = unknown_type(subject, &reference) {
            findings.push(finding);
            continue;
        }
        if !first || !reference.is_file() {
            continue;
        }
        if let Some(finding) = absent(subject, &reference) {
            findings.push(finding);
            continue;
        }
        findings.extend(stale_index(subject, &reference));
        findings.extend(odd_lines(subject, &reference));
    }
    findings
}

fn unknown_type(subject: &Subject, reference: &TableReference) -> Option<Finding> {
    let kind = reference.kind.as_str();
    if kind.is_empty() {
        return Some(
            Finding::error(
                "table-without-type",
                format!(
                    "`{}` in `{}` is not `type:name`",
                    escape(&reference.word),
                    reference.assignment.name
                ),
            )
            .at(reference.place(subject))
            .because("the program that reads it stops as it starts")
            .mend("write the table type before the name, as in `hash:/etc/postfix/table`"),
        );
    }
    if subject
        .table_types
        .map_or_else(|| KNOWN_TYPES.contains(&kind), |types| types.contains(kind))
    {
        return None;
    }
    let broken = subject.broken_types.get(kind);
    let known = KNOWN_TYPES.contains(&kind) || broken.is_some();
    let effect = format!(
        "every lookup in `{}` fails, and the mail concerned is deferred; `postfix check` does not look",
        escape(&reference.spelled())
    );
    let finding = Finding::error(
        "unknown-table-type",
        match broken {
            Some(_) => format!("this Postfix names the table type `{kind}`, which does not work"),
            None if known => format!("this Postfix has no table type `{kind}`"),
            None => format!("`{}` is no table type", escape(kind)),
        },
    )
    .at(reference.place(subject))
    .because(match broken {
        Some(reason) => format!("{}; {effect}", escape(reason)),
        None => effect,
    });
    if known {
        return Some(finding.mend(how_to_get(subject, kind)));
    }
    let names: Vec<&str> = match subject.table_types {
        Some(types) => types.iter().map(String::as_str).collect(),
        None => KNOWN_TYPES.to_vec(),
    };
    Some(match near_miss(kind, names) {
        Some(near) => finding.mend(format!("`{near}` is one")),
        None => finding.mend("`postconf -m` lists those there are"),
    })
}

/// Says what brings a table type.
fn how_to_get(subject: &Subject, kind: &str) -> String {
    let has = |kind: &str| {
        subject
            .table_types
            .is_some_and(|types| types.contains(kind))
    };
    if let Some(command) = subject.packages.and_then(|packages| packages.install(kind)) {
        return format!("`{command}` brings it");
    }
    match kind {
        "hash" | "btree" if has("lmdb") || has("cdb") => {
            let to = if has("lmdb") { "lmdb" } else { "cdb" };
            format!("`mailfix plan --migrate-tables {to}` shows how to leave Berkeley DB")
        }
        // What it adds to `regexp` is rarely used.
        "pcre" => "install what brings it (often a package `postfix-pcre`), or write the patterns for `regexp`, which every Postfix has".to_owned(),
        _ => format!(
            "install what brings it (often a package `postfix-{kind}`), or use another type"
        ),
    }
}

/// The files one of which a lookup opens.
fn opened(subject: &Subject, reference: &TableReference) -> Vec<Utf8PathBuf> {
    let suffixes = index_suffixes(&reference.kind);
    if suffixes.is_empty() {
        return vec![Utf8PathBuf::from(&reference.name)];
    }
    let redirects = subject.version >= REDIRECTS;
    let counted = if redirects { suffixes.len() } else { 1 };
    suffixes[..counted]
        .iter()
        .map(|suffix| Utf8PathBuf::from(format!("{}.{suffix}", reference.name)))
        .collect()
}

fn absent(subject: &Subject, reference: &TableReference) -> Option<Finding> {
    let opened = opened(subject, reference);
    if opened
        .iter()
        .any(|path| subject.files.presence(path) != Presence::Absent)
    {
        return None;
    }
    let source = Utf8Path::new(&reference.name);
    let why = format!(
        "every lookup of `{}` in it fails, and the mail concerned is deferred; `postfix check` does not look",
        reference.assignment.name
    );
    let is_indexed = !index_suffixes(&reference.kind).is_empty();
    let finding = if is_indexed && subject.files.presence(source) == Presence::There {
        let command = if reference.assignment.name.starts_with("alias_") {
            "newaliases".to_owned()
        } else {
            format!("postmap {}", reference.spelled())
        };
        Finding::error("table-not-indexed", format!("`{source}` has no index"))
            // A program that has failed to open a table does not try again.
            .mend(format!("run `{command}`, then {}", mend::reload(subject)))
    } else {
        Finding::error(
            "missing-table",
            format!("the table `{source}` is not there"),
        )
        .mend("make it, or take it out of the parameter")
    };
    Some(finding.at(reference.place(subject)).because(why))
}

fn stale_index(subject: &Subject, reference: &TableReference) -> Option<Finding> {
    if index_suffixes(&reference.kind).is_empty() {
        return None;
    }
    let source = subject.files.modified(Utf8Path::new(&reference.name))?;
    let index = opened(subject, reference)
        .iter()
        .filter_map(|path| subject.files.modified(path))
        .max()?;
    (index < source).then(|| {
        Finding::warning(
            "stale-index",
            format!("the index of `{}` is older than the table", reference.name),
        )
        .at(reference.place(subject))
        .because("Postfix reads the index: what was changed since is not in force")
        .mend(format!("run `{}`", reference.indexer()))
    })
}

/// A table that is looked up in an index which does not hold what its source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// Its source.
    pub path: Utf8PathBuf,
    /// The command that builds the index anew.
    pub command: String,
}

/// Lists the tables whose index is older than the source.
#[must_use]
pub fn outdated_tables(subject: &Subject) -> Vec<Outdated> {
    let mut found = Vec::new();
    for reference in references(subject) {
        if reference.is_file() && stale_index(subject, &reference).is_some() {
            let outdated = Outdated {
                path: reference.name.clone().into(),
                command: reference.indexer(),
            };
            if !found.contains(&outdated) {
                found.push(outdated);
            }
        }
    }
    found
}

fn odd_lines(subject: &Subject, reference: &TableReference) -> Vec<Finding> {
    if !matches!(
        reference.kind.as_str(),
        "hash" | "btree" | "lmdb" | "cdb" | "dbm" | "sdbm" | "texthash"
    ) || reference.assignment.name.starts_with("alias_")
    {
        return Vec::new();
    }
    let path = Utf8Path::new(&reference.name);
    let Some(bytes) = subject.files.read(path) else {
        return Vec::new();
    };
    Table::parse(&bytes)
        .problems()
        .into_iter()
        .filter_map(|problem| {
            let text = bytes.get(problem.span.clone()).unwrap_or_default();
            let text = escape(&String::from_utf8_lossy(text));
            let finding = match problem.kind {
                ProblemKind::MissingValue | ProblemKind::UnbalancedQuote => {
                    faults::malformed_line()
                }
                ProblemKind::DuplicateKey => {
                    faults::duplicate_key(text.split_ascii_whitespace().next().unwrap_or_default())
                }
                ProblemKind::LeadingBlank => Finding::warning(
                    "leading-blank",
                    format!("`{text}` is indented, and there is nothing above it to continue"),
                )
                .because("the line is left out"),
                ProblemKind::ByteOrderMark => {
                    Finding::warning("byte-order-mark", "the file begins with a byte order mark")
                        .because("it becomes part of the first key, which is never found")
                        .mend("save the file without byte order mark")
                }
                ProblemKind::NulByte => Finding::warning("nul-byte", "a NUL byte")
                    .because("what follows it on the line is not seen"),
                _ => return None,
            };
            Some(finding.at(Place::new(path, &bytes, problem.span)))
        })
        .take(SHOWN_LINES)
        .collect()
}
