//! The rehearsal: a planned configuration, tried out by Postfix's own programs in a private copy.
//!
//! Owns how the copy differs from what will stand (its queue, its log, its tables' paths) and what
//! the programs' messages mean. Exit statuses are not enough: `postmap` ends with 0 after malformed
//! and duplicate lines, `postconf` after unused parameters, so every message is read.
//! Must not know who planned it or why; the copy itself is made by [`System::rehearse`].

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{faults, line_place};
use crate::finding::{Finding, Severity, escape, shortened};
use crate::postfix::Version;
use crate::postfix::table::index_suffixes;
use crate::system::{File, Indexer, Output, Rehearsal, System, SystemError, Trial};

/// What the temporary directory is called in files and arguments.
const COPY: &str = "@COPY@";

/// Where the configuration directory lies in the copy.
const CONFIG: &str = "config";

/// Where tables outside the configuration directory lie in the copy.
const ELSEWHERE: &str = "elsewhere";

/// The queue directory of the copy.
const QUEUE: &str = "queue";

/// The log of the copy; without one the trial's messages would go to the machine's mail log.
const LOG: &str = "maillog";

/// The first version that knows `postconf -M`.
const LISTS_SERVICES: Version = Version::new(2, 9, 0);

/// The first version that knows `maillog_file`.
const WRITES_LOG: Version = Version::new(3, 4, 0);

/// A configuration to be tried: what stands, with what is planned laid over it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The configuration directory, absolute.
    pub directory: &'a Utf8Path,
    /// `main.cf`, `master.cf` and the tables tried, by the path they have or will have.
    pub files: &'a BTreeMap<Utf8PathBuf, File>,
    /// The tables to index and to ask; their sources are among `files`.
    pub tables: &'a [TriedTable],
    /// The Postfix that tries it.
    pub version: Version,
}

/// A table to be indexed and asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedTable {
    /// The table type, such as `hash`.
    pub kind: String,
    /// The source file.
    pub path: Utf8PathBuf,
    /// What to ask it.
    pub keys: Vec<String>,
}

/// What the rehearsal showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What the programs complained of.
    pub findings: Vec<Finding>,
    /// The index files made, by the path they belong at.
    pub indexes: BTreeMap<Utf8PathBuf, Vec<u8>>,
    /// The answers of each table, in the order of the candidate's; a key without answer is absent.
    pub answers: Vec<BTreeMap<String, String>>,
    /// Whether `postfix check` was run; only root may.
    pub checked: bool,
}

/// Tries a configuration in a private copy.
///
/// # Errors
/// When the copy cannot be made, or a program of Postfix not be started.
pub fn rehearse(system: &dyn System, candidate: &Candidate) -> Result<Report, SystemError> {
    // `postfix check` looks at the running system's ownership, so under a root it says nothing true.
    let checked = system.is_root() && system.root().is_none();
    let (rehearsal, purposes) = lay_out(candidate, checked);
    let rehearsed = system.rehearse(&rehearsal)?;

    let mut report = Report {
        checked,
        ..Report::default()
    };
    let mut findings = Findings::new(candidate);
    for (purpose, output) in purposes.iter().zip(&rehearsed.outputs) {
        findings.read(purpose, output);
        if let Purpose::Answers(table) = purpose {
            report.answers.push(answers(&table.keys, &output.text()));
        }
    }
    let collected: BTreeMap<&Utf8PathBuf, &Vec<u8>> = rehearsal
        .collect
        .iter()
        .zip(&rehearsed.collected)
        .filter_map(|(path, bytes)| Some((path, bytes.as_ref()?)))
        .collect();
    if let Some(log) = collected.get(&Utf8PathBuf::from(LOG)) {
        findings.read_log(&String::from_utf8_lossy(log));
    }
    for table in candidate.tables {
        let suffixes = index_suffixes(&table.kind);
        let before = report.indexes.len();
        for suffix in suffixes {
            let made = Utf8PathBuf::from(format!("{}.{suffix}", inside(candidate, &table.path)));
            if let Some(bytes) = collected.get(&made) {
                let path = Utf8PathBuf::from(format!("{}.{suffix}", table.path));
                report.indexes.insert(path, (*bytes).clone());
            }
        }
        if !suffixes.is_empty() && report.indexes.len() == before {
            findings.push(
                Finding::error(
                    "no-index",
                    format!("`postmap` makes no index of `{}:{}`", table.kind, table.path),
                )
                .because("Postfix reads the index, not the source; without it every lookup fails and mail is deferred")
                .mend("use a table type this Postfix can write (`postconf -m` lists more than it can)"),
            );
        }
    }
    report.findings = findings.found;
    Ok(report)
}

/// What a run is for; says how its output is read.
enum Purpose<'a> {
    Settings,
    Services,
    Check,
    Index,
    Answers(&'a TriedTable),
}

impl Purpose<'_> {
    fn words(&self) -> &'static str {
        match self {
            Self::Settings => "postconf -n",
            Self::Services => "postconf -M",
            Self::Check => "postfix check",
            Self::Index => "postmap",
            Self::Answers(_) => "postmap -q",
        }
    }
}

fn lay_out<'a>(candidate: &Candidate<'a>, check: bool) -> (Rehearsal, Vec<Purpose<'a>>) {
    let config = Utf8PathBuf::from(CONFIG);
    // `postfix check` makes what it misses in the queue directory, but not the directory itself.
    let mut directories = BTreeSet::from([config.clone(), Utf8PathBuf::from(QUEUE)]);
    let mut files = Vec::new();
    for (path, file) in candidate.files {
        let place = inside(candidate, path);
        for parent in place.ancestors().skip(1) {
            if !parent.as_str().is_empty() {
                directories.insert(parent.to_owned());
            }
        }
        let mut file = file.clone();
        // Ownership is the live file's business; the copy belongs to whoever tries it.
        file.attributes.clear();
        if path.parent() == Some(candidate.directory) {
            match path.file_name() {
                Some("main.cf") => file.bytes = own_main_cf(candidate, &file.bytes),
                Some("master.cf") => file.bytes = own_master_cf(candidate, &file.bytes),
                _ => {}
            }
        }
        files.push((place, file));
    }

    let mut runs = vec![Trial::Postconf {
        config: config.clone(),
        arguments: vec!["-n".to_owned()],
    }];
    let mut purposes = vec![Purpose::Settings];
    let mut collect = Vec::new();
    if candidate.version >= LISTS_SERVICES {
        runs.push(Trial::Postconf {
            config: config.clone(),
            arguments: vec!["-M".to_owned()],
        });
        purposes.push(Purpose::Services);
    }
    if check {
        runs.push(Trial::Check {
            config: config.clone(),
        });
        purposes.push(Purpose::Check);
        collect.push(Utf8PathBuf::from(LOG));
    }
    for table in candidate.tables {
        let source = inside(candidate, &table.path);
        for suffix in index_suffixes(&table.kind) {
            collect.push(Utf8PathBuf::from(format!("{source}.{suffix}")));
        }
        if !index_suffixes(&table.kind).is_empty() {
            runs.push(Trial::Index {
                config: config.clone(),
                indexer: Indexer::Postmap,
                kind: table.kind.clone(),
                source: source.clone(),
            });
            purposes.push(Purpose::Index);
        }
    }
    // Asked only once all are indexed, so that answers and tables keep one order.
    for table in candidate.tables {
        runs.push(Trial::Lookup {
            config: config.clone(),
            table: format!("{}:{COPY}/{}", table.kind, inside(candidate, &table.path)),
            keys: table.keys.clone(),
        });
        purposes.push(Purpose::Answers(table));
    }
    let rehearsal = Rehearsal {
        files,
        directories: directories.into_iter().collect(),
        runs,
        collect,
    };
    (rehearsal, purposes)
}

/// Where a file lies in the copy, relative.
fn inside(candidate: &Candidate, path: &Utf8Path) -> Utf8PathBuf {
    path.strip_prefix(candidate.directory).map_or_else(
        |_| Utf8Path::new(ELSEWHERE).join(path.as_str().trim_start_matches('/')),
        |rest| Utf8Path::new(CONFIG).join(rest),
    )
}

/// The `main.cf` of the copy: the same lines, and after them what must be the copy's own.
///
/// The last definition wins, so no line before moves and line numbers in messages stay true.
fn own_main_cf(candidate: &Candidate, bytes: &[u8]) -> Vec<u8> {
    let mut own = own_paths(candidate, bytes);
    if !own.is_empty() && !own.ends_with(b"\n") {
        own.push(b'\n');
    }
    let mut set = |line: String| own.extend_from_slice(line.as_bytes());
    set(format!("queue_directory = {COPY}/{QUEUE}\n"));
    set(format!("data_directory = {COPY}/data\n"));
    if candidate.version >= WRITES_LOG {
        set(format!("maillog_file = {COPY}/{LOG}\n"));
        set(format!("maillog_file_prefixes = {COPY}\n"));
    }
    // With these set, `postfix` and `postmulti` would turn to the live instances.
    let instance_parameters: BTreeSet<&str> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"multi_instance_"))
        .filter_map(|line| line.split(|byte| b" \t\r=".contains(byte)).next())
        .filter_map(|name| std::str::from_utf8(name).ok())
        .collect();
    for name in instance_parameters {
        let value = if name == "multi_instance_enable" {
            "no"
        } else {
            ""
        };
        set(format!("{name} = {value}\n"));
    }
    own
}

/// The `master.cf` of the copy: the same lines, and the service that its log needs.
///
/// `postfix check` refuses a log file without `postlog`, which files from before 3.4 lack. Where
/// the live configuration has a log file too, that is its own fault and is to be found.
fn own_master_cf(candidate: &Candidate, bytes: &[u8]) -> Vec<u8> {
    let mut own = own_paths(candidate, bytes);
    let begins = |bytes: &[u8], word: &str| {
        bytes
            .split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(word.as_bytes()))
    };
    let main_cf = candidate.files.get(&candidate.directory.join("main.cf"));
    let logs = main_cf.is_some_and(|file| begins(&file.bytes, "maillog_file"));
    if candidate.version >= WRITES_LOG && !logs && !begins(bytes, "postlog") {
        if !own.is_empty() && !own.ends_with(b"\n") {
            own.push(b'\n');
        }
        own.extend_from_slice(b"postlog unix-dgram n - n - 1 postlogd\n");
    }
    own
}

/// Points tables that are tried to the copy, and all else away from it.
///
/// `postconf -c` sets `config_directory` to the copy, where the files that are not tried
/// (of an LDAP table, say) do not lie.
fn own_paths(candidate: &Candidate, bytes: &[u8]) -> Vec<u8> {
    let mut own = bytes.to_vec();
    for reference in [
        "$config_directory/",
        "${config_directory}/",
        "$(config_directory)/",
    ] {
        let real = format!("{}/", candidate.directory);
        own = replace(&own, reference.as_bytes(), real.as_bytes(), |_| true);
    }
    for table in candidate.tables {
        let there = format!("{COPY}/{}", inside(candidate, &table.path));
        own = replace(
            &own,
            table.path.as_str().as_bytes(),
            there.as_bytes(),
            |next| {
                next.is_none_or(|byte| !(byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)))
            },
        );
    }
    own
}

/// Replaces each occurrence whose following byte is accepted.
fn replace(bytes: &[u8], from: &[u8], to: &[u8], accepts: impl Fn(Option<u8>) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(from) && accepts(bytes.get(at + from.len()).copied()) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

/// Reads `key<TAB>value` lines; keys may hold blanks, so they are told apart by the keys asked.
fn answers(keys: &[String], stdout: &str) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    for line in stdout.lines() {
        for key in keys {
            if let Some(value) = line
                .strip_prefix(key.as_str())
                .and_then(|rest| rest.strip_prefix('\t'))
            {
                answers.insert(key.clone(), value.to_owned());
                break;
            }
        }
    }
    answers
}

/// How much of a message is quoted: it may hold a whole value.
const QUOTED: usize = 300;

/// What stands between a program and its words.
const SAYS: &str = " says: ";

/// One line a program wrote.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    severity: Severity,
    /// Whether the program gave up.
    fatal: bool,
    text: &'a str,
}

impl<'a> Message<'a> {
    /// Reads `PROGRAM: SEVERITY: TEXT`; a line of another shape is a note.
    fn read(line: &'a str) -> Self {
        const LABELS: [(&str, Severity, bool); 4] = [
            ("warning: ", Severity::Warning, false),
            ("error: ", Severity::Error, false),
            ("fatal: ", Severity::Error, true),
            ("panic: ", Severity::Error, true),
        ];
        for (label, severity, fatal) in LABELS {
            let after_program = line.split_once(": ").map_or("", |(_, rest)| rest);
            for candidate in [line, after_program] {
                if let Some(text) = candidate.strip_prefix(label) {
                    return Self {
                        severity,
                        fatal,
                        text,
                    };
                }
            }
        }
        // Of the terminal and the log only the one names the program.
        let text = line
            .split_once(": ")
            .filter(|(program, _)| program.starts_with("post") && !program.contains(' '))
            .map_or(line, |(_, text)| text);
        Self {
            severity: Severity::Note,
            fatal: false,
            text,
        }
    }
}

/// Whether two programs gave the same message.
fn is_same_message(one: &Finding, other: &Finding) -> bool {
    let message = |finding: &Finding| {
        let (_, text) = finding.title.split_once(SAYS)?;
        (finding.code.starts_with("postfix-")).then(|| text.to_owned())
    };
    one.severity == other.severity && message(one).is_some_and(|text| message(other) == Some(text))
}

/// The findings of all runs, each fault once: the programs call one another and repeat themselves.
struct Findings<'a> {
    candidate: &'a Candidate<'a>,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    fn new(candidate: &'a Candidate<'a>) -> Self {
        Self {
            candidate,
            found: Vec::new(),
        }
    }

    fn push(&mut self, finding: Finding) {
        let known = |old: &Finding| {
            (old.same_fault(&finding) || is_same_message(old, &finding))
                && old.place.as_ref().map(|place| place.line)
                    == finding.place.as_ref().map(|place| place.line)
        };
        if !self.found.iter().any(known) {
            self.found.push(finding);
        }
    }

    fn read(&mut self, purpose: &Purpose, output: &Output) {
        let before = self.found.len();
        let mut said = output.errors();
        if matches!(purpose, Purpose::Check) {
            // Through a terminal both streams are one.
            said.push('\n');
            said.push_str(&output.text());
        }
        for line in said.lines() {
            self.read_line(line.trim_end(), purpose);
        }
        // A lookup that finds nothing ends with 1 and says nothing.
        let silent = self.found.len() == before && said.trim().is_empty();
        if !output.success() && silent && !matches!(purpose, Purpose::Answers(_)) {
            self.push(
                Finding::error(
                    "postfix-fatal",
                    format!(
                        "`{}` ends with status {} and gives no reason",
                        purpose.words(),
                        output.status
                    ),
                )
                .because("a reload or restart with these files may stop the mail system"),
            );
        }
    }

    /// Reads the copy's log: `DATE HOST postfix/PROGRAM[PID]: SEVERITY: TEXT`.
    fn read_log(&mut self, log: &str) {
        for line in log.lines() {
            if let Some((_, message)) = line.split_once("]: ") {
                self.read_line(message.trim_end(), &Purpose::Check);
            }
        }
    }

    fn read_line(&mut self, line: &str, purpose: &Purpose) {
        let message = Message::read(line);
        if message.text.is_empty()
            || is_about_the_copy(message.text)
            || message.severity == Severity::Warning && is_about_the_first(message.text)
        {
            return;
        }
        // So `postfix` puts it when `postconf` has refused the files, with a reason of its own.
        let has_reason = self.found.iter().any(|old| old.severity == Severity::Error);
        if message.text.starts_with("cannot execute ") && has_reason {
            return;
        }
        let (path, number, text) = self.locate(message.text);
        let mut finding = known(path.as_deref(), text).unwrap_or_else(|| {
            let text = shortened(&escape(&self.real(text)), QUOTED);
            let code = match (message.severity, message.fatal) {
                (_, true) => "postfix-fatal",
                (Severity::Error, _) => "postfix-error",
                (Severity::Warning, _) => "postfix-warning",
                (Severity::Note, _) => "postfix-note",
            };
            Finding::new(
                message.severity,
                code,
                format!("`{}`{SAYS}{text}", purpose.words()),
            )
        });
        if let Some(path) = path
            && let Some(file) = self.candidate.files.get(&path)
            && let Some(number) = number
        {
            // Lines past the end are the copy's own.
            match line_place(&path, &file.bytes, number) {
                Some(place) => finding = finding.at(place),
                None => return,
            }
        }
        self.push(finding);
    }

    /// Splits the file and the line a message names off its front.
    fn locate<'t>(&self, text: &'t str) -> (Option<Utf8PathBuf>, Option<usize>, &'t str) {
        let body = text
            .strip_prefix("file ")
            .or_else(|| {
                text.split_once(" map ")
                    .filter(|(kind, _)| !kind.contains(' '))
                    .map(|(_, rest)| rest)
            })
            .unwrap_or(text);
        for path in self.candidate.files.keys() {
            let there = format!("{COPY}/{}", inside(self.candidate, path));
            // `postmap` names the index in `t.db: duplicate entry`, or `lmdb:t`.
            let start = body.strip_prefix(there.as_str()).or_else(|| {
                body.split_once(':')
                    .and_then(|(_, rest)| rest.strip_prefix(there.as_str()))
            });
            let Some(rest) = start else { continue };
            let rest = [".db", ".lmdb", ".cdb", ".dir", ".pag"]
                .iter()
                .find_map(|suffix| rest.strip_prefix(suffix))
                .unwrap_or(rest);
            if let Some(rest) = rest
                .strip_prefix(", line ")
                .or_else(|| rest.strip_prefix(": line "))
                && let Some((number, rest)) = rest.split_once(": ")
                && let Ok(number) = number.parse()
            {
                return (Some(path.clone()), Some(number), rest);
            }
            if let Some(rest) = rest.strip_prefix(": ") {
                return (Some(path.clone()), None, rest);
            }
        }
        (None, None, text)
    }

    /// Writes real paths where the message has those of the copy.
    fn real(&self, text: &str) -> String {
        text.replace(
            &format!("{COPY}/{CONFIG}"),
            self.candidate.directory.as_str(),
        )
        .replace(&format!("{COPY}/{ELSEWHERE}"), "")
    }
}

/// Tells whether a message speaks of what only the copy has: its queue, its data, its owner.
fn is_about_the_copy(text: &str) -> bool {
    let own = [
        format!("{COPY}/{QUEUE}"),
        format!("{COPY}/data"),
        format!("{COPY}/{LOG}"),
    ];
    let ownership =
        text.starts_with("not owned by ") || text.starts_with("group or other writable");
    own.iter().any(|path| text.contains(path.as_str()))
        || (ownership && text.contains(COPY))
        || text.contains("maillog_file")
}

/// Tells whether a message speaks of the files of the first instance as they are: `postfix check`
/// asks it whether there are others, whatever it was told to look at.
fn is_about_the_first(text: &str) -> bool {
    let path = text.split([':', ',']).next().unwrap_or_default();
    path.starts_with('/') && (path.ends_with("/main.cf") || path.ends_with("/master.cf"))
}

/// The finding of a message whose meaning is known.
fn known(path: Option<&Utf8Path>, text: &str) -> Option<Finding> {
    let name_of = |assignment: &str| -> String {
        escape(assignment.split(['=', ' ']).next().unwrap_or_default())
    };
    if let Some(assignment) = text.strip_prefix("overriding earlier entry: ") {
        return Some(faults::overridden(&name_of(assignment)));
    }
    if let Some(assignment) = text.strip_prefix("unused parameter: ") {
        return Some(faults::unused(&name_of(assignment)));
    }
    if let Some(name) = text.strip_prefix("undefined parameter: ") {
        return Some(faults::undefined(&escape(name)));
    }
    if text.starts_with("missing '=' after attribute name: ")
        || text.starts_with("missing attribute name: ")
    {
        return Some(faults::no_setting());
    }
    if text.starts_with("expected format: key whitespace value") {
        return Some(faults::malformed_line());
    }
    if let Some(key) = text.strip_prefix("duplicate entry: ") {
        return Some(faults::duplicate_key(&escape(key.trim_matches('"'))));
    }
    if text.starts_with("bad field count") && path.is_some() {
        return Some(faults::bad_field_count());
    }
    None
}

#[cfg(test)]
mod tests;
