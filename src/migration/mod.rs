//! Moving a configuration off Berkeley DB: every `hash:` and `btree:` becomes another type.
//!
//! Owns the flow of it, from the live configuration to a plan like any other: what both files
//! will say, the indexes built for it, what keeps it from being done. The old databases stay
//! where they are, so that an undo finds them. Must not print and must not change the machine.

mod content;
mod indexes;
mod rewrite;
mod uses;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::check::Report;
use crate::draft::{Draft, DraftError, rehearse_files, silenced, weigh};
use crate::finding::{Finding, escape};
use crate::host::{self, Facts, Host, Interest};
use crate::plan::build::{self, BuildError};
use crate::plan::{Plan, Step};
use crate::postfix::{ArgumentKind, MasterCf};
use crate::site::Site;
use crate::system::{File, Indexer, Kind, Query, System, SystemError};
use crate::target::{Decision, Target};

pub use indexes::Asked;
use indexes::Built;
use rewrite::{Given, Moved, Rewritten};
use uses::BERKELEY;

/// The largest file of the configuration directory that is searched for table names.
const LARGEST_SEARCHED: u64 = 64 * 1024;

/// A table type that takes the place of Berkeley DB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewType {
    /// `lmdb`, which caches can use too.
    Lmdb,
    /// `cdb`, which is only read.
    Cdb,
}

impl NewType {
    /// Its word in Postfix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lmdb => "lmdb",
            Self::Cdb => "cdb",
        }
    }

    /// The type that caches get, if there is one that works.
    fn for_caches(self, types: &BTreeSet<String>) -> Option<&'static str> {
        let name = Self::Lmdb.name();
        (self == Self::Lmdb || types.contains(name)).then_some(name)
    }
}

/// A plan to move, and what to ask once it is done.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The plan, with all that was found.
    pub draft: Draft,
    /// What the new tables must answer.
    pub asked: Vec<Asked>,
}

/// Plans the move of a configuration to another table type.
///
/// # Errors
/// When the host cannot be looked at or its files not be edited.
pub fn draft(
    system: &dyn System,
    config: &Utf8Path,
    to: NewType,
    site: Option<&Site>,
) -> Result<Migration, DraftError> {
    let host = host::observe(system, config, &Interest::in_tables())?;
    let mut migration = Migration {
        draft: Draft {
            host,
            target: Target::default(),
            plan: Plan::default(),
            findings: Vec::new(),
            refusals: Vec::new(),
            checked: false,
            unbuilt: Vec::new(),
            left: Vec::new(),
        },
        asked: Vec::new(),
    };
    let draft = &mut migration.draft;
    if let Some(refusal) = not_usable(to, &draft.host.facts) {
        draft.refusals.push(refusal);
        return Ok(migration);
    }
    let rewritten = rewritten(system, &draft.host, to)?;
    let built = indexes::build(
        system,
        &draft.host.facts,
        &rewritten.main,
        to,
        &rewritten.moved,
    )?;
    draft.target.decisions = vec![decision(to, &rewritten)];
    draft.refusals.extend(rewritten.refusals.iter().cloned());
    draft.refusals.extend(built.refusals.iter().cloned());
    let mut findings = rewritten.findings.clone();
    findings.extend(built.findings.iter().cloned());
    findings.extend(elsewhere(system, &draft.host, to, &rewritten)?);

    let edits = [
        ("master.cf", rewritten.master.clone()),
        ("main.cf", rewritten.main.clone()),
    ];
    let facts = &draft.host.facts;
    let step = build::rewrite(title(&rewritten), edits, facts, &draft.host.files)?;
    if !step.files.is_empty() && draft.refusals.is_empty() {
        let planned_step = Plan {
            steps: vec![step.clone()],
        };
        let mut planned = BTreeMap::new();
        for change in planned_step.changes() {
            if let Some(file) = &change.after {
                planned.insert(change.path.clone(), file.clone());
            }
        }
        let report = try_out(system, &draft.host, &planned, &built)?;
        let (refusals, staying) = weigh(
            system,
            &draft.host,
            &planned_step,
            &report.indexes,
            &report.findings,
        )?;
        draft.checked = report.checked;
        draft.refusals = refusals;
        findings.extend(staying);
    }
    draft.findings = match site {
        Some(site) => silenced(site, findings),
        None => findings,
    };
    let Built {
        changes,
        read,
        asked,
        ..
    } = built;
    let indexes = Step {
        title: format!(
            "the {} of {}",
            indexes_of(to, changes.len()),
            counted(changes.len())
        ),
        files: changes,
        read,
        ..Step::default()
    };
    draft.plan.steps = [indexes, step]
        .into_iter()
        .filter(|step| !step.is_empty())
        .collect();
    migration.asked = asked;
    Ok(migration)
}

/// What is still to be done after an apply, and what the new tables answer wrongly.
///
/// # Errors
/// When the host cannot be looked at.
pub fn remaining(
    system: &dyn System,
    config: &Utf8Path,
    to: NewType,
    asked: &[Asked],
) -> Result<Vec<Finding>, DraftError> {
    let host = host::observe(system, config, &Interest::in_tables())?;
    let rewritten = rewritten(system, &host, to)?;
    let mut findings = Vec::new();
    for (name, bytes) in [
        ("main.cf", &rewritten.main),
        ("master.cf", &rewritten.master),
    ] {
        let stands = host.files.get(&config.join(name));
        if stands.is_none_or(|file| file.bytes != *bytes) {
            findings.push(Finding::error(
                "not-as-planned",
                format!("still to be done: tables of Berkeley DB in {name}"),
            ));
        }
    }
    for table in asked.iter().filter(|table| !table.entries.is_empty()) {
        let query = Query::Lookup {
            config: config.to_owned(),
            table: table.table.clone(),
            keys: table.entries.iter().map(|(key, _)| key.clone()).collect(),
        };
        let said = system.query(&query)?.text();
        let answers: BTreeSet<&str> = said.lines().collect();
        // A value may be a password: it is not for the screen.
        for (key, value) in &table.entries {
            if !answers.contains(format!("{key}\t{value}").as_str()) {
                findings.push(Finding::error(
                    "wrong-answer",
                    format!(
                        "the table `{}` does not answer for `{}` as it should",
                        table.table,
                        escape(key)
                    ),
                ));
            }
        }
    }
    Ok(findings)
}

fn not_usable(to: NewType, facts: &Facts) -> Option<Finding> {
    let kind = to.name();
    if facts.table_types.contains(kind) {
        return None;
    }
    let finding = Finding::error(
        "unknown-table-type",
        format!("the table type `{kind}` does not work here"),
    )
    .because(match facts.broken_types.get(kind) {
        Some(reason) => reason.clone(),
        None => "this Postfix does not have it (`postconf -m`)".to_owned(),
    });
    let command = facts
        .packages
        .as_ref()
        .and_then(|packages| packages.install(kind));
    Some(match command {
        Some(command) => finding.mend(format!("`{command}` brings it; then run this again")),
        None => finding.mend(format!(
            "install what brings it, often a package `postfix-{kind}`"
        )),
    })
}

fn rewritten(system: &dyn System, host: &Host, to: NewType) -> Result<Rewritten, DraftError> {
    let config = &host.facts.config;
    let file = |name: &str| host.files.get(&config.join(name));
    let bytes = |name: &str| {
        file(name)
            .map(|file| file.bytes.as_slice())
            .unwrap_or_default()
    };
    let exists = |path: &Utf8Path| {
        let database = Utf8PathBuf::from(format!("{path}.db"));
        [path, &database]
            .iter()
            .any(|path| !matches!(system.stat(path), Ok(None)))
    };
    let given = Given {
        main: bytes("main.cf"),
        master: bytes("master.cf"),
        parameters: &host.facts.parameters,
        types: &host.facts.table_types,
        exists: &exists,
    };
    rewrite::rewrite(to, &given).map_err(|(name, source)| {
        DraftError::Build(BuildError::Edit {
            path: config.join(name),
            source,
        })
    })
}

/// Has Postfix look at the planned files; the indexes lie where the checks look for them.
fn try_out(
    system: &dyn System,
    host: &Host,
    planned: &BTreeMap<Utf8PathBuf, File>,
    built: &Built,
) -> Result<Report, SystemError> {
    let mut report = rehearse_files(system, host, planned, &[])?;
    for change in &built.changes {
        if let Some(file) = &change.after {
            report
                .indexes
                .insert(change.path.clone(), file.bytes.clone());
        }
    }
    Ok(report)
}

fn counted(tables: usize) -> String {
    match tables {
        1 => "one table".to_owned(),
        tables => format!("{tables} tables"),
    }
}

fn indexes_of(to: NewType, tables: usize) -> String {
    let name = to.name();
    match tables {
        1 => format!("{name} index"),
        _ => format!("{name} indexes"),
    }
}

fn title(rewritten: &Rewritten) -> String {
    let named = |names: &[String]| format!("`{}`", names.join("`, `"));
    let mut parts = Vec::new();
    if !rewritten.services.is_empty() {
        parts.push(format!("master.cf: {}", named(&rewritten.services)));
    }
    if !rewritten.settings.is_empty() {
        parts.push(format!("main.cf: {}", named(&rewritten.settings)));
    }
    parts.join("; ")
}

fn decision(to: NewType, rewritten: &Rewritten) -> Decision {
    let name = to.name();
    let mut why: Vec<String> = rewritten
        .moved
        .iter()
        .map(|table| {
            format!(
                "`{}:{path}` becomes `{name}:{path}`",
                table.from,
                path = table.path
            )
        })
        .collect();
    if !why.is_empty() {
        why.push(
            "the old databases (`.db`) stay as they are, and nothing reads them any more"
                .to_owned(),
        );
    }
    if !rewritten.caches.is_empty() {
        why.push(format!(
            "caches begin anew in `{}`: {}",
            NewType::Lmdb.name(),
            rewritten.caches.join(", ")
        ));
    }
    let changes = !(rewritten.settings.is_empty() && rewritten.services.is_empty());
    let outcome = if changes {
        match rewritten.moved.len() {
            0 => format!("what names a type names {name}"),
            1 => format!("one table moves to {name}"),
            tables => format!("{tables} tables move to {name}"),
        }
    } else {
        why.push("no parameter and no service names `hash` or `btree`".to_owned());
        "nothing is left to move".to_owned()
    };
    Decision {
        about: "tables of Berkeley DB".to_owned(),
        outcome,
        why,
    }
}

/// What else names the old type, and what writes tables that move: it is not changed from here.
fn elsewhere(
    system: &dyn System,
    host: &Host,
    to: NewType,
    rewritten: &Rewritten,
) -> Result<Vec<Finding>, SystemError> {
    let config = &host.facts.config;
    let mut findings: Vec<Finding> = rewritten
        .moved
        .iter()
        .filter(|table| is_made_elsewhere(table, config))
        .map(|table| {
            Finding::note(
                "made-elsewhere",
                format!("`{}` lies outside of `{config}`", table.path),
            )
            .because("other software may write it, and build its index in the old type")
            .mend(format!(
                "have it run `{} {to}:{}`, or name no type, which then means {to}",
                table.indexer.words().join(" "),
                table.path,
                to = to.name()
            ))
        })
        .collect();
    let mut naming = Vec::new();
    for name in system.list(config)? {
        let path = config.join(&name);
        // Copies of them are nobody's business.
        if name.starts_with("main.cf") || name.starts_with("master.cf") {
            continue;
        }
        let Some(stat) = system.stat(&path)? else {
            continue;
        };
        if stat.kind != Kind::File || stat.size > LARGEST_SEARCHED {
            continue;
        }
        // What cannot be read cannot be searched, and needs no word more.
        if let Ok(Some(file)) = system.read(&path)
            && names_berkeley(&file.bytes)
        {
            naming.push(format!("`{path}`"));
        }
    }
    let master = host.files.get(&config.join("master.cf"));
    let master = master
        .map(|file| MasterCf::parse(&file.bytes))
        .unwrap_or_default();
    for service in master.services().filter(|service| !service.overridden) {
        let names = service
            .arguments
            .iter()
            .any(|argument| match &argument.kind {
                ArgumentKind::Word(word) | ArgumentKind::Option(word) => {
                    names_berkeley(word.as_bytes())
                }
                _ => false,
            });
        if names {
            naming.push(format!("the arguments of `{}` in master.cf", service.name));
        }
    }
    if !naming.is_empty() && !rewritten.moved.is_empty() {
        findings.push(
            Finding::note(
                "named-elsewhere",
                format!("tables of Berkeley DB are named in {}", naming.join(", ")),
            )
            .because("what is no configuration of Postfix is not changed")
            .mend("look whether it has to name the new type"),
        );
    }
    Ok(findings)
}

/// Tables outside of the configuration directory are other software's as a rule; the table of
/// aliases has always had its place elsewhere.
fn is_made_elsewhere(table: &Moved, config: &Utf8Path) -> bool {
    let aliases = table.indexer == Indexer::Postalias && table.path.starts_with("/etc");
    !(aliases || table.path.starts_with(config))
}

/// Tells whether a text that is no comment names a table of Berkeley DB.
fn names_berkeley(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .any(|line| {
            BERKELEY.iter().any(|kind| {
                let named = format!("{kind}:/");
                line.windows(named.len()).enumerate().any(|(at, window)| {
                    let behind_a_letter = at > 0 && line[at - 1].is_ascii_alphanumeric();
                    window == named.as_bytes() && !behind_a_letter
                })
            })
        })
}
