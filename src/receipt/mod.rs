//! Receipts: what an apply is about to do, on disk before it does anything.
//!
//! Owns the versioned format and the directory they lie in. A receipt holds
//! what was there before as a copy and what comes after as a digest. It keeps
//! no progress: how far a run came is read off the files themselves.
//! Must not know when to undo what.

mod settings;

use std::collections::HashMap;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{FileChange, Nature, NewDirectory, Plan};
use crate::postfix::table::INDEX_SUFFIXES;
use crate::system::{Command, File, System, SystemError, is_unfinished};

pub use settings::Setting;

/// The one format written, and the newest read.
const FORMAT: u32 = 1;

/// The folder of the receipts of applies.
const APPLIES: &str = "receipts";

/// The folder of the receipts of DNS updates.
pub const UPDATES: &str = "updates";

/// What one apply did, or was about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its name: the time in UTC, such as `20261125T193000Z`, and a number if that was taken.
    #[serde(skip)]
    pub id: String,
    format: u32,
    /// The version that wrote it.
    pub mailfix: String,
    /// When.
    pub created: Timestamp,
    /// The configuration directory it is about.
    pub config: Utf8PathBuf,
    /// The receipt that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The interrupted receipt that this one continues; its steps are repeated here, so that
    /// undoing this one alone brings the very first bytes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// It failed, and everything was brought back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub brought_back: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One step of a receipt: a [`crate::plan::Step`] that knows the after only by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What the step is for.
    pub title: String,
    /// Directories it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<NewDirectory>,
    /// Files it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Entry>,
    /// Directories it removes if they are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<NewDirectory>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Command>,
}

/// One file of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub path: Utf8PathBuf,
    /// What its content is.
    #[serde(default)]
    pub nature: Nature,
    /// What stood there, whole.
    pub before: Option<File>,
    /// What was put there.
    pub after: Option<Fingerprint>,
    /// What of it is in a file of Postfix's that others write too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// What a file is recognized by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// Permission bits.
    #[serde(with = "crate::system::octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// How a file stands to a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it was before.
    Before,
    /// As an earlier step left it, where several change it.
    Between,
    /// As the receipt left it.
    After,
    /// A copy that someone else keeps up to date by now: taking it away would hurt them.
    Taken,
    /// None of these: someone else changed it.
    Drifted,
}

/// A file of a receipt, compared with what stands there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<'a> {
    /// Which.
    pub path: &'a Utf8Path,
    /// What its content is.
    pub nature: Nature,
    /// How it stands.
    pub standing: Standing,
    /// What stood there before the first step that changes it.
    pub before: Option<&'a File>,
    /// What stands there now.
    pub now: Option<File>,
    /// The step that left it as it is; the last that changes it where that is not known.
    pub step: usize,
}

/// A failure to read or write receipts.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A later version wrote it.
    #[error(
        "receipt `{id}` has format {format}, a newer mailfix wrote it; this one knows format {FORMAT}"
    )]
    Newer {
        /// Which.
        id: String,
        /// Its format.
        format: u32,
    },
    /// It is no receipt, or a damaged one.
    #[error("receipt `{id}` cannot be understood: {source}")]
    Malformed {
        /// Which.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// There is none of this name.
    #[error("there is no receipt `{id}`")]
    Unknown {
        /// Which.
        id: String,
    },
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl From<&File> for Fingerprint {
    fn from(file: &File) -> Self {
        Self {
            sha256: file.digest(),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
        }
    }
}

impl Entry {
    fn new(change: &FileChange) -> Self {
        Self {
            path: change.path.clone(),
            nature: change.nature,
            before: change.before.clone(),
            after: change.after.as_ref().map(Fingerprint::from),
            settings: settings::between(
                &change.path,
                change.before.as_ref(),
                change.after.as_ref(),
            ),
        }
    }
}

impl Holding<'_> {
    /// Tells whether something of the receipt is on it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.standing, Standing::Between | Standing::After)
    }

    /// The text that it is built from, if it is an index.
    #[must_use]
    pub fn text(&self) -> Option<&Utf8Path> {
        text_of(self.path, self.nature)
    }
}

/// The text that a file is built from, if it is an index.
#[must_use]
pub fn text_of(path: &Utf8Path, nature: Nature) -> Option<&Utf8Path> {
    let is_index = nature == Nature::Index
        && path
            .extension()
            .is_some_and(|suffix| INDEX_SUFFIXES.contains(&suffix));
    let text = path.as_str().rsplit_once('.')?.0;
    is_index.then(|| Utf8Path::new(text))
}

impl Receipt {
    /// Writes down what a plan is about to do.
    #[must_use]
    pub fn new(plan: &Plan, id: String, config: Utf8PathBuf, created: Timestamp) -> Self {
        let steps = plan.steps.iter().map(|step| Step {
            title: step.title.clone(),
            directories: step.directories.clone(),
            files: step
                .files
                .iter()
                .filter(|change| change.is_change())
                .map(Entry::new)
                .collect(),
            abandoned: step.abandoned.clone(),
            then: step.then.clone(),
        });
        Self {
            id,
            format: FORMAT,
            mailfix: env!("CARGO_PKG_VERSION").to_owned(),
            created,
            config,
            undoes: None,
            continues: None,
            brought_back: false,
            steps: steps.collect(),
        }
    }

    /// The entries of all steps, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.steps.iter().flat_map(|step| &step.files)
    }

    /// The parameters or services of a file that do not hold any more as this receipt set them;
    /// nothing where a file has none, or an earlier mailfix did not write them down.
    #[must_use]
    pub fn gone(&self, path: &Utf8Path, now: Option<&File>) -> Vec<String> {
        let mut gone: Vec<String> = Vec::new();
        for entry in self.entries().filter(|entry| entry.path == path) {
            // A later step has the last word.
            gone.retain(|name| entry.settings.iter().all(|setting| setting.name != *name));
            let before = entry.before.as_ref();
            gone.extend(settings::gone(path, &entry.settings, before, now));
        }
        gone
    }

    /// Compares every file with what stands there now, in the order they are changed first.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn holdings(&self, view: &View<'_>) -> Result<Vec<Holding<'_>>, SystemError> {
        let mut changes: Vec<(&Utf8Path, Vec<(usize, &Entry)>)> = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            for entry in &step.files {
                match changes.iter_mut().find(|(path, _)| *path == entry.path) {
                    Some((_, entries)) => entries.push((number, entry)),
                    None => changes.push((&entry.path, vec![(number, entry)])),
                }
            }
        }
        changes
            .into_iter()
            .map(|(path, entries)| Ok(hold(path, &entries, view.read(path)?)))
            .collect()
    }

    /// The steps reduced to what of them holds now: files as they were left, directories that
    /// are there, and the commands that go with these.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn done(&self, system: &dyn System) -> Result<Vec<Step>, SystemError> {
        let holdings = self.holdings(&View::new(system))?;
        let mut done = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let holds = |entry: &&Entry| {
                holdings
                    .iter()
                    .any(|held| held.path == entry.path && held.is_ours() && number <= held.step)
            };
            let files: Vec<_> = step.files.iter().filter(holds).cloned().collect();
            let mut directories = Vec::new();
            for directory in &step.directories {
                if system.stat(&directory.path)?.is_some() {
                    directories.push(directory.clone());
                }
            }
            if !files.is_empty() || !directories.is_empty() {
                done.push(Step {
                    directories,
                    files,
                    ..step.clone()
                });
            }
        }
        Ok(done)
    }

    fn to_json(&self) -> Result<Vec<u8>, ReceiptError> {
        let mut json = serde_json::to_vec_pretty(self).map_err(|source| self.malformed(source))?;
        json.push(b'\n');
        Ok(json)
    }

    fn malformed(&self, source: serde_json::Error) -> ReceiptError {
        ReceiptError::Malformed {
            id: self.id.clone(),
            source,
        }
    }

    /// Reads a receipt's bytes.
    ///
    /// # Errors
    /// When they are no receipt, or one of a newer format.
    pub fn from_json(id: &str, bytes: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self = read_versioned(id, bytes, FORMAT)?;
        Ok(Self {
            id: id.to_owned(),
            ..receipt
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Compares one file with the entries that change it, in order.
fn hold<'a>(path: &'a Utf8Path, entries: &[(usize, &'a Entry)], now: Option<File>) -> Holding<'a> {
    let nature = entries.iter().map(|(_, entry)| entry.nature).next_back();
    let nature = nature.unwrap_or_default();
    let before = entries.first().and_then(|(_, entry)| entry.before.as_ref());
    let print = now.as_ref().map(Fingerprint::from);
    let last = entries.len().saturating_sub(1);
    let left = entries.iter().rposition(|(_, entry)| entry.after == print);
    let was_left = entries
        .last()
        .is_some_and(|(_, entry)| entry.after.is_some());
    let (standing, reached) = match (&now, before, left) {
        (None, None, _) => (Standing::Before, last),
        (Some(now), Some(before), _) if now.is_same(before) => (Standing::Before, last),
        (_, _, Some(left)) if left == last => (Standing::After, left),
        (_, _, Some(left)) => (Standing::Between, left),
        // Built anew from the same text its bytes differ, and it is still ours.
        (Some(_), _, None) if nature == Nature::Index && was_left => (Standing::After, last),
        (Some(_), _, None) if nature == Nature::Copy => (Standing::Taken, last),
        _ => (Standing::Drifted, last),
    };
    Holding {
        path,
        nature,
        standing,
        before,
        now,
        step: entries.get(reached).map_or(0, |(step, _)| *step),
    }
}

/// The machine as it would be after some changes.
#[derive(Clone)]
pub struct View<'a> {
    system: &'a dyn System,
    changed: HashMap<Utf8PathBuf, Option<File>>,
}

impl<'a> View<'a> {
    /// Looks at the machine as it is.
    #[must_use]
    pub fn new(system: &'a dyn System) -> Self {
        Self {
            system,
            changed: HashMap::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the machine cannot.
    pub fn read(&self, path: &Utf8Path) -> Result<Option<File>, SystemError> {
        match self.changed.get(path) {
            Some(file) => Ok(file.clone()),
            None => self.system.read(path),
        }
    }

    /// Takes a file to be another from now on.
    pub fn set(&mut self, path: &Utf8Path, file: Option<File>) {
        self.changed.insert(path.to_owned(), file);
    }

    /// Tells whether a directory is there and empty, and takes it as removed then.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn remove_directory(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        let is_gone = matches!(self.changed.get(path), Some(None));
        if is_gone || self.system.stat(path)?.is_none() {
            return Ok(false);
        }
        let is_empty = self.system.list(path)?.iter().all(|name| {
            is_unfinished(name) || matches!(self.changed.get(&path.join(name)), Some(None))
        });
        if is_empty {
            self.set(path, None);
        }
        Ok(is_empty)
    }
}

/// The state directory, where receipts, the lock and the mark of a running apply lie.
#[derive(Clone, Debug)]
pub struct Receipts {
    state: Utf8PathBuf,
}

/// How often two runs may be in each other's way where each makes the same folders.
const MOST_MEETINGS: u32 = 8;

/// Tells whether a folder could not be made because somebody else makes it: it is there, and in use
/// perhaps, or what was begun of it was taken for a killed run's.
fn is_of_another(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotFound)
}

impl Receipts {
    /// Takes the receipts of a state directory, such as `/var/lib/mailfix`.
    #[must_use]
    pub fn new(state: impl Into<Utf8PathBuf>) -> Self {
        Self {
            state: state.into(),
        }
    }

    /// The lock file.
    #[must_use]
    pub fn lock_path(&self) -> Utf8PathBuf {
        self.state.join("lock")
    }

    /// The file of the receipt of an apply.
    #[must_use]
    pub fn file(&self, id: &str) -> Utf8PathBuf {
        self.path(APPLIES, id)
    }

    fn path(&self, folder: &str, id: &str) -> Utf8PathBuf {
        self.state.join(folder).join(format!("{id}.json"))
    }

    fn mark(&self) -> Utf8PathBuf {
        self.state.join("unfinished")
    }

    /// Tells whether anything was ever applied here.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn exist(&self, system: &dyn System) -> Result<bool, SystemError> {
        Ok(system.stat(&self.state)?.is_some())
    }

    /// Removes what a run that was killed while it made the state directory left beside it.
    ///
    /// # Errors
    /// When it stays.
    pub fn tidy(&self, system: &mut dyn System) -> Result<(), SystemError> {
        for path in ancestors(&self.state) {
            system.remove_leftover(path)?;
        }
        Ok(())
    }

    /// Makes the state directory, readable by its owner only, and those above it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(&self, system: &mut dyn System) -> Result<(), SystemError> {
        self.prepare_folder(system, APPLIES)
    }

    /// Makes a folder of the state directory, as [`prepare`](Self::prepare) does.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare_folder(&self, system: &mut dyn System, folder: &str) -> Result<(), SystemError> {
        let directory = self.state.join(folder);
        let mut meetings = 0;
        loop {
            match self.make_missing(system, &directory) {
                // Another run makes the same folders at this moment.
                Err(SystemError::Write { source, .. })
                    if meetings < MOST_MEETINGS && is_of_another(&source) =>
                {
                    meetings += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn make_missing(
        &self,
        system: &mut dyn System,
        directory: &Utf8Path,
    ) -> Result<(), SystemError> {
        let mut missing = Vec::new();
        for path in ancestors(directory) {
            if system.stat(path)?.is_some() {
                break;
            }
            missing.push(path);
        }
        for path in missing.into_iter().rev() {
            let (uid, gid) = owner(system, path)?;
            let mode = if path.starts_with(&self.state) {
                0o700
            } else {
                0o755
            };
            system.make_directory(path, mode, uid, gid)?;
        }
        Ok(())
    }

    /// Writes a file below the state directory, whose folder is there, for its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(
        &self,
        system: &mut dyn System,
        path: &Utf8Path,
        bytes: Vec<u8>,
    ) -> Result<(), SystemError> {
        let path = self.state.join(path);
        let file = private(system, &path, bytes)?;
        system.write(&path, &file)
    }

    /// Chooses a name for a new receipt that sorts after all others, even if the clock was set
    /// back: the newest receipt is the first to be undone.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn free_id(&self, system: &dyn System, now: Timestamp) -> Result<String, SystemError> {
        let wanted = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let applies = self.ids(system, APPLIES)?.pop();
        let updates = self.ids(system, UPDATES)?.pop();
        let newest = applies.into_iter().chain(updates);
        let newest = newest.max_by(|a, b| rank(a).cmp(&rank(b)));
        Ok(match newest {
            Some(newest) if rank(&newest) >= rank(&wanted) => {
                let (time, number) = rank(&newest);
                format!("{time}-{}", number + 1)
            }
            _ => wanted,
        })
    }

    /// The names of the receipts of a kind, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn ids(&self, system: &dyn System, folder: &str) -> Result<Vec<String>, SystemError> {
        let names = system.list(&self.state.join(folder))?;
        let mut ids: Vec<String> = names
            .iter()
            // What a killed run left begins with a dot.
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .collect();
        ids.sort_by(|a, b| rank(a).cmp(&rank(b)));
        Ok(ids)
    }

    /// Reads all receipts, oldest first; a broken one does not hide the others.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(
        &self,
        system: &dyn System,
    ) -> Result<Vec<Result<Receipt, ReceiptError>>, SystemError> {
        let ids = self.ids(system, APPLIES)?;
        Ok(ids.iter().map(|id| self.load(system, id)).collect())
    }

    /// Reads one receipt.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be understood.
    pub fn load(&self, system: &dyn System, id: &str) -> Result<Receipt, ReceiptError> {
        let bytes = self.read(system, APPLIES, id)?;
        Receipt::from_json(id, &bytes)
    }

    /// Reads the bytes of a receipt of a kind.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn read(
        &self,
        system: &dyn System,
        folder: &str,
        id: &str,
    ) -> Result<Vec<u8>, ReceiptError> {
        let unknown = || ReceiptError::Unknown { id: id.to_owned() };
        if id.contains('/') {
            return Err(unknown());
        }
        let file = system.read(&self.path(folder, id))?.ok_or_else(unknown)?;
        Ok(file.bytes)
    }

    /// Writes the bytes of a receipt of a kind, readable by its owner only.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(
        &self,
        system: &mut dyn System,
        folder: &str,
        id: &str,
        bytes: Vec<u8>,
    ) -> Result<(), ReceiptError> {
        self.prepare_folder(system, folder)?;
        let path = self.path(folder, id);
        let file = private(system, &path, bytes)?;
        Ok(system.write(&path, &file)?)
    }

    /// Throws a receipt of a kind away.
    ///
    /// # Errors
    /// When it stays.
    pub fn discard(
        &self,
        system: &mut dyn System,
        folder: &str,
        id: &str,
    ) -> Result<(), SystemError> {
        system.remove(&self.path(folder, id))
    }

    /// Writes a receipt down.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, system: &mut dyn System, receipt: &Receipt) -> Result<(), ReceiptError> {
        let path = self.path(APPLIES, &receipt.id);
        let file = private(system, &path, receipt.to_json()?)?;
        Ok(system.write(&path, &file)?)
    }

    /// The receipt of a run that did not come to its end, if the last one did not.
    ///
    /// How far it came is read off the files; but that the running Postfix was not told of the
    /// last of them, no file can say. So a run leaves its name here until it is over.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn unfinished(&self, system: &dyn System) -> Result<Option<Receipt>, ReceiptError> {
        let Some(mark) = system.read(&self.mark())? else {
            return Ok(None);
        };
        let id = String::from_utf8_lossy(&mark.bytes);
        match self.load(system, id.trim()) {
            Ok(receipt) => Ok(Some(receipt)),
            // The receipt was thrown away by hand; then there is nothing to finish.
            Err(ReceiptError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Leaves the name of the run that begins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, system: &mut dyn System, receipt: &Receipt) -> Result<(), SystemError> {
        let path = self.mark();
        let file = private(system, &path, format!("{}\n", receipt.id).into_bytes())?;
        system.write(&path, &file)
    }

    /// Takes the name of the run away again: it is over.
    ///
    /// # Errors
    /// When it stays.
    pub fn end(&self, system: &mut dyn System) -> Result<(), SystemError> {
        system.remove(&self.mark())
    }
}

/// Where a receipt's name sorts: by its time, then by its number.
#[must_use]
pub fn rank(id: &str) -> (&str, u32) {
    match id.split_once('-') {
        Some((time, number)) => (time, number.parse().unwrap_or(1)),
        None => (id, 1),
    }
}

fn private(system: &dyn System, path: &Utf8Path, bytes: Vec<u8>) -> Result<File, SystemError> {
    let (uid, gid) = owner(system, path)?;
    Ok(File::new(bytes, 0o600, uid, gid))
}

/// A path and those above it; a relative one begins where the program runs, which has no name.
fn ancestors(path: &Utf8Path) -> impl Iterator<Item = &Utf8Path> {
    path.ancestors().filter(|path| !path.as_str().is_empty())
}

/// Whose a new file of the state directory is: root's, or whose tree we work in.
fn owner(system: &dyn System, path: &Utf8Path) -> Result<(u32, u32), SystemError> {
    if system.is_root() {
        return Ok((0, 0));
    }
    for above in path.ancestors().skip(1) {
        if let Some(stat) = system.stat(above)? {
            return Ok((stat.uid, stat.gid));
        }
    }
    Ok((0, 0))
}

/// Reads the bytes of a receipt whose formats are numbered up to `newest`.
///
/// # Errors
/// When they are no receipt, or one of a newer format.
pub(crate) fn read_versioned<T: serde::de::DeserializeOwned>(
    id: &str,
    bytes: &[u8],
    newest: u32,
) -> Result<T, ReceiptError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let malformed = |source| ReceiptError::Malformed {
        id: id.to_owned(),
        source,
    };
    // The format is read alone first: a newer receipt may have any shape beside it.
    let Version { format } = serde_json::from_slice(bytes).map_err(malformed)?;
    if format > newest {
        return Err(ReceiptError::Newer {
            id: id.to_owned(),
            format,
        });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;
    use crate::system::MemorySystem;

    const STATE: &str = "/var/lib/mailfix";

    fn change(path: &str, before: Option<&str>, after: Option<&str>) -> FileChange {
        let file = |text: &str| File::new(text, 0o644, 0, 0);
        FileChange {
            path: path.into(),
            before: before.map(file),
            after: after.map(file),
            nature: Nature::Text,
        }
    }

    fn receipt() -> Receipt {
        let step = |files| plan::Step {
            title: "step".to_owned(),
            files,
            ..plan::Step::default()
        };
        let plan = Plan {
            steps: vec![
                step(vec![
                    change("/a", Some("0"), Some("1")),
                    change("/same", Some("x"), Some("x")),
                ]),
                step(vec![
                    change("/a", Some("1"), Some("2")),
                    change("/b", None, Some("x")),
                ]),
            ],
        };
        Receipt::new(
            &plan,
            "20261125T193000Z".to_owned(),
            "/etc/postfix".into(),
            "2026-11-25T19:30:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let mut system = MemorySystem::new();
        let receipts = Receipts::new(STATE);
        assert!(!receipts.exist(&system).unwrap());
        receipts.prepare(&mut system).unwrap();
        receipts.save(&mut system, &receipt()).unwrap();
        assert_eq!(receipts.load(&system, &receipt().id).unwrap(), receipt());
        for path in [STATE, "/var/lib/mailfix/receipts"] {
            assert_eq!(system.stat(path.into()).unwrap().unwrap().mode, 0o700);
        }
        let path = "/var/lib/mailfix/receipts/20261125T193000Z.json";
        assert_eq!(system.stat(path.into()).unwrap().unwrap().mode, 0o600);
    }

    #[test]
    fn names_sort_in_the_order_of_the_runs() {
        let mut system = MemorySystem::new();
        let receipts = Receipts::new(STATE);
        receipts.prepare(&mut system).unwrap();
        let mut times = vec!["2026-11-25T19:30:00Z"; 11];
        times.push("2020-01-01T00:00:00Z");
        times.push("2026-11-25T19:30:01Z");
        let mut given = Vec::new();
        for time in times {
            let id = receipts.free_id(&system, time.parse().unwrap()).unwrap();
            let receipt = Receipt {
                id: id.clone(),
                ..receipt()
            };
            receipts.save(&mut system, &receipt).unwrap();
            given.push(id);
        }
        assert_eq!(receipts.ids(&system, APPLIES).unwrap(), given);
        assert_eq!(given[0], "20261125T193000Z");
        assert_eq!(given[11], "20261125T193000Z-12");
        assert_eq!(given[12], "20261125T193001Z");
    }

    #[test]
    fn broken_and_newer_receipts_are_named_and_hide_nothing() {
        let system = MemorySystem::new()
            .file("/var/lib/mailfix/receipts/1.json", "{")
            .file("/var/lib/mailfix/receipts/2.json", r#"{"format": 9}"#)
            .file(
                "/var/lib/mailfix/receipts/3.json",
                receipt().to_json().unwrap(),
            )
            .file("/var/lib/mailfix/receipts/.4.json.mailfix-new", "");
        let list = Receipts::new(STATE).list(&system).unwrap();
        let texts: Vec<_> = list
            .iter()
            .map(|receipt| match receipt {
                Ok(receipt) => receipt.id.clone(),
                Err(error) => error.to_string(),
            })
            .collect();
        assert_eq!(
            texts,
            [
                "receipt `1` cannot be understood: EOF while parsing an object at line 1 column 1",
                "receipt `2` has format 9, a newer mailfix wrote it; this one knows format 1",
                "3",
            ]
        );
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let system = MemorySystem::new().file("/var/lib/mailfix/x.json", "{}");
        let error = Receipts::new(STATE).load(&system, "../x").unwrap_err();
        assert_eq!(error.to_string(), "there is no receipt `../x`");
    }

    #[test]
    fn a_relative_path_begins_at_a_directory_with_a_name() {
        let above: Vec<_> = ancestors("out/state".into()).collect();
        assert_eq!(above, ["out/state", "out"]);
        let above: Vec<_> = ancestors("/out".into()).collect();
        assert_eq!(above, ["/out", "/"]);
    }

    #[test]
    fn what_is_done_is_read_off_the_files() {
        let done = |a: &str| {
            let system = MemorySystem::new().file("/a", a).file("/same", "x");
            let steps = receipt().done(&system).unwrap();
            let files = steps.iter().flat_map(|step| &step.files);
            files
                .map(|entry| entry.before.clone().unwrap().bytes)
                .collect::<Vec<_>>()
        };
        assert_eq!(done("0"), Vec::<Vec<u8>>::new());
        assert_eq!(done("1"), [b"0"]);
        assert_eq!(done("2"), [b"0", b"1"]);
        assert_eq!(done("3"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn files_are_compared_with_every_step() {
        let standing = |a: &str| {
            let system = MemorySystem::new().file("/a", a);
            let receipt = receipt();
            let holdings = receipt.holdings(&View::new(&system)).unwrap();
            assert_eq!(holdings.len(), 2);
            assert_eq!(holdings[1].standing, Standing::Before);
            (
                holdings[0].standing,
                holdings[0].before.unwrap().bytes.clone(),
            )
        };
        assert_eq!(standing("0"), (Standing::Before, b"0".to_vec()));
        assert_eq!(standing("1"), (Standing::Between, b"0".to_vec()));
        assert_eq!(standing("2"), (Standing::After, b"0".to_vec()));
        assert_eq!(standing("3"), (Standing::Drifted, b"0".to_vec()));
    }

    #[test]
    fn an_index_built_anew_is_still_ours() {
        let mut receipt = receipt();
        receipt.steps[0].files = vec![Entry {
            nature: Nature::Index,
            ..Entry::new(&change("/t.db", None, Some("1")))
        }];
        let system = MemorySystem::new().file("/t.db", "2");
        let holdings = receipt.holdings(&View::new(&system)).unwrap();
        assert_eq!(holdings[0].text(), Some(Utf8Path::new("/t")));
        assert!(holdings[0].is_ours());
        let bare = MemorySystem::new();
        let holdings = receipt.holdings(&View::new(&bare)).unwrap();
        assert_eq!(holdings[0].standing, Standing::Before);
    }

    #[test]
    fn a_copy_that_was_refreshed_is_someone_elses() {
        let mut receipt = receipt();
        receipt.steps[0].files = vec![Entry {
            nature: Nature::Copy,
            ..Entry::new(&change("/q/etc/resolv.conf", None, Some("1")))
        }];
        let standing = |system: &MemorySystem| {
            let holdings = receipt.holdings(&View::new(system)).unwrap();
            (holdings[0].standing, holdings[0].is_ours())
        };
        let with = |text: &str| MemorySystem::new().file("/q/etc/resolv.conf", text);
        assert_eq!(standing(&with("1")), (Standing::After, true));
        assert_eq!(standing(&with("2")), (Standing::Taken, false));
        assert_eq!(standing(&MemorySystem::new()), (Standing::Before, false));
    }

    #[test]
    fn a_directory_counts_as_empty_without_what_goes_with_it() {
        let system = MemorySystem::new().file("/d/e/ours", "").file("/f/x", "");
        let mut view = View::new(&system);
        view.set("/d/e/ours".into(), None);
        assert!(view.remove_directory("/d/e".into()).unwrap());
        assert!(view.remove_directory("/d".into()).unwrap());
        assert!(!view.remove_directory("/d".into()).unwrap());
        assert!(!view.remove_directory("/f".into()).unwrap());
        assert!(!view.remove_directory("/g".into()).unwrap());
    }
}
