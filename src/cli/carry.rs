//! What is carried back to a machine that was collected: the changed files, and scripts that put
//! them in place there and take them back.
//!
//! Owns how a plan becomes these files. The scripts do what `mailfix apply` does, in the same
//! order, with what every machine has; databases are built there, under another name first.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::out::{INSTALL, OutFile};
use crate::diff;
use crate::draft::Draft;
use crate::finding::escape;
use crate::host::Facts;
use crate::plan::build::needs_restart;
use crate::plan::{FileChange, NewDirectory, Step};
use crate::postfix::table::index_suffixes;
use crate::profile::Profile;
use crate::system::{Command, File, Kind, LEFT_OUT, Original, PackedSystem, System, SystemError};
use crate::target::{self, TableWanted};
use crate::template;
use crate::wizard::quoted;

/// The template of both scripts, and that of what to do.
const SCRIPT: &str = "carry.sh";
const TEXT: &str = "CARRY.txt";

/// The scripts.
pub const APPLY: &str = "apply.sh";
const UNDO: &str = "undo.sh";

/// The folder of the changed files.
const NEW: &str = "new";

/// Changed files can be as private as those on the machine.
const PRIVATE: u32 = 0o600;

#[derive(Serialize)]
struct Variables {
    undo: bool,
    version: &'static str,
    host: String,
    collected: String,
    left_out: &'static str,
    programs: String,
    config: String,
    state: String,
    kept: String,
    restart: Option<&'static str>,
    files: Vec<Item>,
    backwards: String,
    directories: Vec<Directory>,
    /// Those that go if they are empty.
    abandoned: Vec<Directory>,
    tables: Vec<Table>,
    steps: Vec<Stage>,
}

/// One file, as the scripts know it; paths are words of the shell.
#[derive(Clone, Debug, Serialize)]
struct Item {
    number: usize,
    kind: &'static str,
    #[serde(skip)]
    shown: Utf8PathBuf,
    path: String,
    real: String,
    staged: String,
    /// The number of an earlier change of the same file.
    earlier: Option<usize>,
    /// Whether no later change is of the same file.
    last: u8,
    /// What cksum says of it now, or `absent`.
    before: String,
    /// What ls says of its mode and owner now.
    letters: String,
    new: Option<String>,
    carried: String,
    hidden: u8,
    mode: Option<String>,
    owner: String,
}

#[derive(Clone, Serialize)]
struct Directory {
    path: String,
    mode: String,
    owner: String,
    appeared: String,
}

#[derive(Serialize)]
struct Table {
    number: usize,
    kind: String,
    #[serde(skip)]
    shown: String,
    indexed: bool,
    says: String,
    samples: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Stage {
    title: String,
    files: Vec<usize>,
    abandoned: Vec<Directory>,
    check: bool,
    reload: bool,
}

#[derive(Serialize)]
struct TextVariables<'a> {
    host: &'a str,
    collected: &'a str,
    kept: &'a str,
    nothing: bool,
    order: Vec<String>,
}

/// Makes the files; `id` tells this set from others on the machine.
///
/// # Errors
/// When the plan would change a line that was left out, or the archive does not say enough.
pub fn files(
    draft: &Draft,
    profile: &Profile,
    packed: &PackedSystem,
    id: &str,
) -> Result<Vec<OutFile>, Failure> {
    let facts = &draft.host.facts;
    let mut carry = Carry {
        packed,
        items: Vec::new(),
        numbers: BTreeMap::new(),
        files: Vec::new(),
    };
    let mut stages = Vec::new();
    for step in draft.plan.steps.iter().filter(|step| !step.is_empty()) {
        stages.push(carry.step(step, draft)?);
    }
    let outdated = carry.outdated(draft)?;
    if !outdated.is_empty() {
        // Before main.cf may name one.
        let is_main = |change: &FileChange| change.path.file_name() == Some("main.cf");
        let mut steps = draft.plan.steps.iter().filter(|step| !step.is_empty());
        let main = steps.position(|step| step.files.iter().any(is_main));
        let at = main.unwrap_or(stages.len());
        let title = "the indexes of mailfix's own tables".to_owned();
        let step = Step {
            title,
            ..Step::default()
        };
        stages.insert(at, stage(&step, outdated));
    }
    let kept = profile.paths.state.join(format!("carried-{id}"));
    let steps = &draft.plan.steps;
    let backwards: Vec<String> = carry.backwards().iter().map(ToString::to_string).collect();
    let directories = steps.iter().flat_map(|step| &step.directories);
    let abandoned = steps.iter().flat_map(|step| step.abandoned.iter().rev());
    let programs: Vec<&str> = profile.programs.iter().map(|path| path.as_str()).collect();
    let mut variables = Variables {
        undo: false,
        version: env!("CARGO_PKG_VERSION"),
        host: plain(packed.host()),
        collected: plain(packed.time()),
        left_out: LEFT_OUT,
        programs: programs.join(":"),
        config: quoted(facts.config.as_str()),
        state: quoted(profile.paths.state.as_str()),
        kept: quoted(kept.as_str()),
        restart: needs_restart(&draft.plan),
        backwards: backwards.join(" "),
        directories: directories.map(directory).collect(),
        abandoned: abandoned.map(directory).collect(),
        tables: carry.tables(draft),
        files: carry.items.clone(),
        steps: stages,
    };
    let order = order(&variables, facts);
    let text = TextVariables {
        host: &variables.host,
        collected: &variables.collected,
        kept: kept.as_str(),
        nothing: draft.is_empty(),
        order,
    };
    let mut files = vec![OutFile::text(INSTALL, template::render(TEXT, &text)?)];
    if draft.is_empty() {
        return Ok(files);
    }
    let diff = diff::text(&diff::render(&draft.plan));
    files.push(OutFile::text("changes.diff", diff));
    files.push(OutFile::text(APPLY, template::render(SCRIPT, &variables)?));
    variables.undo = true;
    variables.steps = undo_stages(variables.steps);
    files.push(OutFile::text(UNDO, template::render(SCRIPT, &variables)?));
    files.append(&mut carry.files);
    Ok(files)
}

/// The last step first; within a step the texts first, so that no index is older than its text.
fn undo_stages(stages: Vec<Stage>) -> Vec<Stage> {
    let mut stages = stages;
    stages.reverse();
    stages
}

fn stage(step: &Step, files: Vec<usize>) -> Stage {
    let then = &step.then;
    Stage {
        title: quoted(&step.title),
        files,
        // Parents first, as they are made again.
        abandoned: step.abandoned.iter().rev().map(directory).collect(),
        check: then
            .iter()
            .any(|command| matches!(command, Command::Check { .. })),
        reload: then
            .iter()
            .any(|command| matches!(command, Command::Reload { .. })),
    }
}

fn directory(directory: &NewDirectory) -> Directory {
    Directory {
        path: quoted(directory.path.as_str()),
        mode: format!("{:04o}", directory.mode),
        owner: format!("{}:{}", directory.uid, directory.gid),
        appeared: quoted(&format!(
            "was not there when it was collected: {}",
            directory.path
        )),
    }
}

/// The steps in words, as somebody would take them by hand.
fn order(variables: &Variables, facts: &Facts) -> Vec<String> {
    let config = &facts.config;
    let mut order = Vec::new();
    for table in variables.tables.iter().filter(|table| table.indexed) {
        order.push(format!(
            "postmap {} (beside its place)",
            escape(&table.shown)
        ));
    }
    for step in &variables.steps {
        for number in &step.files {
            if let Some(item) = variables.files.get(number - 1)
                && !matches!(item.kind, "keep" | "index")
            {
                let verb = if item.kind == "remove" {
                    "remove"
                } else {
                    "write"
                };
                order.push(format!("{verb} {}", escape(item.shown.as_str())));
            }
        }
        if step.check {
            order.push(format!("postfix -c {config} check"));
        }
        if step.reload {
            order.push(format!("postfix -c {config} reload"));
        }
    }
    order
}

/// The making of the list of files.
struct Carry<'a> {
    packed: &'a PackedSystem,
    items: Vec<Item>,
    numbers: BTreeMap<Utf8PathBuf, usize>,
    files: Vec<OutFile>,
}

impl Carry<'_> {
    fn step(&mut self, step: &Step, draft: &Draft) -> Result<Stage, Failure> {
        let mut numbers = Vec::new();
        for change in step.files.iter().filter(|change| change.is_change()) {
            numbers.push(self.change(change)?);
            let table = draft
                .unbuilt
                .iter()
                .find(|table| target::table_path(&draft.host.facts, table) == change.path);
            if let Some(table) = table {
                numbers.extend(self.indexes(&change.path, table)?);
            }
        }
        Ok(stage(step, numbers))
    }

    /// Tables whose text stays while their index is built anew.
    fn outdated(&mut self, draft: &Draft) -> Result<Vec<usize>, Failure> {
        let mut numbers = Vec::new();
        for table in &draft.unbuilt {
            let source = target::table_path(&draft.host.facts, table);
            if self.numbers.contains_key(&source) {
                continue;
            }
            let change = FileChange {
                before: self.packed.read(&source)?,
                after: self.packed.read(&source)?,
                path: source.clone(),
                nature: crate::plan::Nature::Text,
            };
            numbers.push(self.change(&change)?);
            numbers.extend(self.indexes(&source, table)?);
        }
        Ok(numbers)
    }

    fn change(&mut self, change: &FileChange) -> Result<usize, Failure> {
        let real = self.real(&change.path)?;
        let original = self.packed.originals().get(&real);
        let number = self.items.len() + 1;
        let kind = match (&change.before, &change.after) {
            (before, after) if before == after => "keep",
            (_, None) => "remove",
            (None, _) => "create",
            _ => "change",
        };
        let earlier = self.numbers.get(&change.path).copied();
        let mut item = self.item(number, kind, &change.path, &real, None)?;
        if let Some(earlier) = earlier {
            // The name stays one that a later run of mailfix finds.
            let first = real.with_file_name(format!(
                ".{number}.{}",
                real.file_name().unwrap_or_default()
            ));
            item.staged = quoted(&staged(&first));
            item.earlier = Some(earlier);
            // What the earlier one leaves is only known on the machine.
            item.before.clear();
            item.letters.clear();
            if let Some(old) = self.items.get_mut(earlier - 1) {
                old.last = 0;
            }
        }
        if let Some(after) = change.after.as_ref().filter(|_| kind != "keep") {
            let hidden = original.is_some_and(|original| original.hidden > 0);
            if hidden {
                keeps_left_out(
                    &change.path,
                    self.packed.read(&change.path)?.as_ref(),
                    after,
                )?;
            }
            let name = change.path.file_name().unwrap_or("file");
            let name = format!("{NEW}/{number}-{name}");
            item.new = Some(quoted(&name));
            item.carried = format!("{} {}", after.cksum(), after.bytes.len());
            item.hidden = hidden.into();
            let same = change.before.as_ref().is_some_and(|before| {
                (before.mode, before.uid, before.gid) == (after.mode, after.uid, after.gid)
            });
            if !same {
                item.mode = Some(format!("{:04o}", after.mode));
                item.owner = format!("{}:{}", after.uid, after.gid);
            }
            self.files.push(OutFile {
                name,
                bytes: after.bytes.clone(),
                mode: PRIVATE,
            });
        }
        self.items.push(item);
        self.numbers.insert(change.path.clone(), number);
        Ok(number)
    }

    /// The databases that `postmap` may make of a table; which it does, it alone knows.
    fn indexes(&mut self, source: &Utf8Path, table: &TableWanted) -> Result<Vec<usize>, Failure> {
        let mut numbers = Vec::new();
        for suffix in index_suffixes(&table.kind) {
            let path = Utf8PathBuf::from(format!("{source}.{suffix}"));
            let real = self.real(&path)?;
            let number = self.items.len() + 1;
            let staged = staged(&self.real(source)?);
            let staged = format!("{staged}.{suffix}");
            let item = self.item(number, "index", &path, &real, Some(&staged))?;
            self.items.push(item);
            self.numbers.insert(path, number);
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn item(
        &self,
        number: usize,
        kind: &'static str,
        path: &Utf8Path,
        real: &Utf8Path,
        beside: Option<&str>,
    ) -> Result<Item, Failure> {
        let stat = self.packed.stat(path)?;
        let (before, letters) = match stat {
            None => ("absent".to_owned(), String::new()),
            Some(stat) => {
                if stat.kind != Kind::File {
                    return Err(SystemError::NotAFile { path: path.into() }.into());
                }
                let Some(Original { sum, size, .. }) = self.packed.originals().get(real) else {
                    return Err(SystemError::NotCollected {
                        what: format!("the content of `{path}`"),
                    }
                    .into());
                };
                let letters = format!("{} {} {}", letters(stat.mode), stat.uid, stat.gid);
                (format!("{sum} {size}"), letters)
            }
        };
        let staged = beside.map_or_else(|| staged(real), str::to_owned);
        Ok(Item {
            number,
            kind,
            shown: path.to_owned(),
            path: quoted(path.as_str()),
            real: quoted(real.as_str()),
            staged: quoted(&staged),
            earlier: None,
            last: 1,
            before,
            letters,
            new: None,
            carried: String::new(),
            hidden: 0,
            mode: None,
            owner: String::new(),
        })
    }

    /// Where a path leads; what is not there yet goes where its directory leads.
    fn real(&self, path: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
        if let Some(stat) = self.packed.stat(path)? {
            return Ok(stat.real);
        }
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.real(parent)?.join(name)),
            _ => Ok(path.to_owned()),
        }
    }

    fn tables(&self, draft: &Draft) -> Vec<Table> {
        let facts = &draft.host.facts;
        let tables = draft.target.tables.iter().filter_map(|table| {
            let path = target::table_path(facts, table);
            let number = *self.numbers.get(&path)?;
            Some(Table {
                number,
                kind: quoted(&table.kind),
                shown: format!("{}:{path}", table.kind),
                indexed: table.is_indexed(),
                says: quoted(&format!(
                    "  running `postmap {}:{path}`, beside its place",
                    table.kind
                )),
                samples: table
                    .samples
                    .iter()
                    .map(|(key, value)| (quoted(key), quoted(value)))
                    .collect(),
            })
        });
        tables.collect()
    }

    /// The numbers in the order of taking back: the last first, but an index behind its text,
    /// which must not be younger than it.
    fn backwards(&self) -> Vec<usize> {
        let (indexes, texts): (Vec<&Item>, Vec<&Item>) = self
            .items
            .iter()
            .rev()
            .partition(|item| item.kind == "index");
        let numbers = texts.into_iter().chain(indexes);
        numbers.map(|item| item.number).collect()
    }
}

/// Refuses to change a line whose password is not here: it would be lost.
fn keeps_left_out(path: &Utf8Path, collected: Option<&File>, after: &File) -> Result<(), Failure> {
    let lines = |file: &File| -> Vec<String> {
        let text = String::from_utf8_lossy(&file.bytes);
        text.split('\n').map(str::to_owned).collect()
    };
    let old = collected.map(lines).unwrap_or_default();
    for line in lines(after) {
        let Some((_, rest)) = line.split_once(LEFT_OUT) else {
            continue;
        };
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = rest
            .get(..digits)
            .and_then(|digits| digits.parse::<usize>().ok());
        let same = number
            .and_then(|number| old.get(number.checked_sub(1)?))
            .is_some_and(|old| *old == line);
        if !same {
            return Err(Failure::failed(format!(
                "the plan changes a line of `{path}` that was left out for its password"
            ))
            .hint("put the password into a file of its own there, and collect again"));
        }
    }
    Ok(())
}

/// The name of a file that is laid out beside its place, as the rest of mailfix has it.
fn staged(real: &Utf8Path) -> String {
    let directory = real.parent().map_or("", Utf8Path::as_str);
    let name = real.file_name().unwrap_or_default();
    format!("{}/.{name}.mailfix-new", directory.trim_end_matches('/'))
}

/// The permissions as `ls -l` prints them for a file.
fn letters(mode: u32) -> String {
    let mut text = String::from("-");
    for group in 0..3 {
        let bits = mode >> (6 - 3 * group);
        let special = mode & (0o4000 >> group) != 0;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        let (set, clear) = if group == 2 { ('t', 'T') } else { ('s', 'S') };
        text.push(match (bits & 1 != 0, special) {
            (true, true) => set,
            (false, true) => clear,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// What the archive says of itself, fit for a comment: no line end, no control characters.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_as_ls_writes_them() {
        for (mode, expected) in [
            (0o644, "-rw-r--r--"),
            (0o755, "-rwxr-xr-x"),
            (0o7010, "---S--s--T"),
            (0o7755, "-rwsr-sr-t"),
        ] {
            assert_eq!(letters(mode), expected);
        }
    }

    #[test]
    fn names_are_fit_for_scripts() {
        assert_eq!(plain("mail\n; rm \u{1b}[2J"), "mail;rm[2J");
        assert_eq!(staged("/main.cf".into()), "/.main.cf.mailfix-new");
        assert_eq!(staged("/etc/x/t".into()), "/etc/x/.t.mailfix-new");
    }

    /// A file before and after, and whether a password would be lost.
    #[track_caller]
    fn check(before: &str, after: &str, is_lost: bool) {
        let file = |text: &str| File::new(text, 0o644, 0, 0);
        let kept = keeps_left_out("/main.cf".into(), Some(&file(before)), &file(after));
        assert_eq!(kept.is_err(), is_lost, "{after}");
    }

    #[test]
    fn lines_without_their_password_must_stay() {
        let before = "a = 1\nb = static:mailfix-left-out-2\nc = 3\n";
        check(before, before, false);
        check(
            before,
            "new = 0\na = 1\nb = static:mailfix-left-out-2\n",
            false,
        );
        check(before, "a = 1\n", false);
        check(before, "b = static:mailfix-left-out-2, x\n", true);
        check(before, "c = mailfix-left-out-3\n", true);
        check(before, "c = mailfix-left-out-9\n", true);
        check(before, "c = mailfix-left-out-\n", true);
        check(before, "c = mailfix-left-out-0\n", true);
    }
}
