//! The machine: every file, every program and every clock we ever touch.
//!
//! Owns the [`System`] boundary. Looking takes `&self`, changing takes
//! `&mut self`: code that was handed a `&dyn System` cannot write, so a dry
//! run is simply "do not call apply".
//! Must not know why anything is read or run.

mod borrowed;
mod cksum;
mod greeting;
mod journal;
mod memory;
mod milter;
mod packed;
mod pieces;
mod program;
mod real;
mod rehearsal;
mod replace;
mod restart;
mod signal;
mod tree;
mod unopened;

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::digest;
use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

pub use greeting::Greeting;
pub use memory::{Fault, MemorySystem, Node};
pub use packed::{
    COLLECTED_FORMAT, LARGEST_ARCHIVE, LEFT_OUT, Original, PackedError, PackedSystem,
};
pub use pieces::Pieces;
pub use real::RealSystem;
pub use signal::Attention;

/// What the name of a file that is not finished begins and ends with.
///
/// The whole name follows from the file's, so that the next run finds what a killed one left.
/// Packages that write files atomically choose names at random, which nobody finds again.
const UNFINISHED: (&str, &str) = (".", ".mailfix-new");

/// Tells whether a name is that of a file a killed run did not finish.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    let (before, after) = UNFINISHED;
    name.starts_with(before) && name.ends_with(after)
}

/// A regular file: its bytes and what `stat` says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The content.
    #[serde(with = "base64")]
    pub bytes: Vec<u8>,
    /// Permission bits, such as `0o644`.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes (ACLs, labels), sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "attributes")]
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl File {
    /// Makes a file without extended attributes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>, mode: u32, uid: u32, gid: u32) -> Self {
        Self {
            bytes: bytes.into(),
            mode,
            uid,
            gid,
            attributes: Vec::new(),
        }
    }

    /// Tells whether content, mode and owner are the same. Attributes do not count: labels are
    /// given by the system, and some of them cannot be set.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
            && (self.mode, self.uid, self.gid) == (other.mode, other.uid, other.gid)
    }

    /// The SHA-256 of the content, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        HEXLOWER.encode(digest::digest(&digest::SHA256, &self.bytes).as_ref())
    }

    /// The sum of the content as `cksum` prints it, for machines that have no other program.
    #[must_use]
    pub fn cksum(&self) -> u32 {
        cksum::cksum(&self.bytes)
    }
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// What stands there, after symbolic links.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The path after every symbolic link was followed.
    pub real: Utf8PathBuf,
    /// Modification time, seconds since 1970.
    pub modified: i64,
    /// Size in bytes.
    pub size: u64,
    /// The number of the file in its file system: what tells it from a later one of its name.
    #[serde(default)]
    pub inode: u64,
}

/// The kinds of things a path can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket, device or fifo.
    Other,
}

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; 128 + signal when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Tells whether the program said it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A question to the machine: it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `postconf ARGUMENTS` (`-c DIR` is added when `config` is given): parameters, `-m`, `-M`.
    Postconf {
        /// The configuration directory, or the compiled-in one.
        config: Option<Utf8PathBuf>,
        /// Further arguments.
        arguments: Vec<String>,
    },
    /// `postmap -c DIR -q - TABLE`: one lookup a key; stdout is `key<TAB>value` a line.
    Lookup {
        /// The configuration directory.
        config: Utf8PathBuf,
        /// `type:name`, expanded.
        table: String,
        /// The keys, in order.
        keys: Vec<String>,
    },
    /// `postmap -c DIR -s TABLE`: all a table holds; stdout is `key<TAB>value` a line, unsorted.
    /// A type that cannot list what it holds, such as `cdb`, may give nothing and succeed.
    Dump {
        /// The configuration directory.
        config: Utf8PathBuf,
        /// `type:name`, expanded.
        table: String,
    },
    /// `postfix -c DIR status`: status 0 when the mail system runs. Needs root.
    Status {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `postqueue -c DIR -p`: what waits, with the reason.
    Queue {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `systemctl is-active UNIT`: status 0 when it runs.
    UnitRuns {
        /// The unit.
        unit: String,
    },
    /// `systemctl is-enabled UNIT`: says `disabled` when nothing starts it at boot.
    UnitEnabled {
        /// The unit.
        unit: String,
    },
    /// `service NAME status`: status 0 when it runs.
    ServiceRuns {
        /// Its name.
        service: String,
    },
    /// `journalctl --show-cursor`: what the journal got since a cursor, or its last entries.
    Journal {
        /// The cursor.
        after: Option<String>,
    },
}

/// Which part of the journal is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalPart {
    /// All there is, from a moment on (seconds since 1970) if one is given.
    Since(Option<i64>),
    /// What comes from now on, or from a moment on (seconds since 1970) if one is given. It does
    /// not end by itself, and where nothing has come reading gives
    /// [`ErrorKind::WouldBlock`](std::io::ErrorKind::WouldBlock).
    Coming(Option<i64>),
}

/// A private copy of a configuration, laid out in a temporary directory and tried there.
///
/// In the bytes of files and in arguments every `@COPY@` becomes the temporary directory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rehearsal {
    /// Files to lay out, by path relative to the temporary directory. Written with mode and
    /// an old modification time (a program that reads a `main.cf` under two seconds old sleeps).
    pub files: Vec<(Utf8PathBuf, File)>,
    /// Directories to make first, relative.
    pub directories: Vec<Utf8PathBuf>,
    /// What to run in it, in order; all are run whatever earlier ones said.
    pub runs: Vec<Trial>,
    /// Files to read back afterwards, relative.
    pub collect: Vec<Utf8PathBuf>,
}

/// One program run inside a private copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// `postconf -c @COPY@/CONFIG ARGUMENTS`
    Postconf {
        /// Configuration directory, relative.
        config: Utf8PathBuf,
        /// Further arguments.
        arguments: Vec<String>,
    },
    /// `postfix -c @COPY@/CONFIG check`, through a pseudo-terminal where old versions need one
    /// to say anything.
    Check {
        /// Configuration directory, relative.
        config: Utf8PathBuf,
    },
    /// `postmap -c @COPY@/CONFIG TYPE:@COPY@/SOURCE`, or what else builds the index.
    Index {
        /// Configuration directory, relative.
        config: Utf8PathBuf,
        /// What builds it.
        indexer: Indexer,
        /// Table type.
        kind: String,
        /// Source file, relative.
        source: Utf8PathBuf,
    },
    /// `postmap -c @COPY@/CONFIG -s TABLE`
    Dump {
        /// Configuration directory, relative.
        config: Utf8PathBuf,
        /// `type:name`; `@COPY@` is replaced.
        table: String,
    },
    /// `postmap -c @COPY@/CONFIG -q - TABLE`
    Lookup {
        /// Configuration directory, relative.
        config: Utf8PathBuf,
        /// `type:name`; `@COPY@` is replaced.
        table: String,
        /// The keys, in order.
        keys: Vec<String>,
    },
}

/// What builds the index of a table, by how its source is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indexer {
    /// `postmap`: `key value` a line.
    #[default]
    Postmap,
    /// `postmap -F`: the values are names of files, whose content goes into the index.
    PostmapFiles,
    /// `postalias`: `name: value` a line, as in aliases(5).
    Postalias,
}

impl Indexer {
    /// The words as a person would type them.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Postmap => &["postmap"],
            Self::PostmapFiles => &["postmap", "-F"],
            Self::Postalias => &["postalias"],
        }
    }
}

/// What a rehearsal showed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rehearsed {
    /// One output a run, in order; the temporary path is written back as `@COPY@`.
    pub outputs: Vec<Output>,
    /// The collected files, in order; `None` where nothing was made.
    pub collected: Vec<Option<Vec<u8>>>,
}

/// A change to what runs: the mail system, a milter, or the jobs run by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// `postfix -c DIR check`
    Check {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `postfix -c DIR reload`; its inverse is itself, on the old files.
    Reload {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `postfix -c DIR stop`
    Stop {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `postfix -c DIR start`
    Start {
        /// The configuration directory.
        config: Utf8PathBuf,
    },
    /// `systemctl daemon-reload`: has systemd read its unit files again; its inverse is itself,
    /// on the old files.
    ReadUnits,
    /// `systemctl start UNIT`
    StartUnit {
        /// The unit.
        unit: String,
    },
    /// `systemctl stop UNIT`: the inverse of [`Self::StartUnit`], also once its file is gone.
    StopUnit {
        /// The unit.
        unit: String,
    },
    /// `systemctl restart UNIT`; its inverse is itself, on the old files.
    RestartUnit {
        /// The unit.
        unit: String,
    },
    /// `systemctl reload UNIT`; its inverse is itself, on the old files.
    ReloadUnit {
        /// The unit.
        unit: String,
    },
    /// `systemctl enable UNIT`: has it started at every boot.
    EnableUnit {
        /// The unit.
        unit: String,
    },
    /// `systemctl disable UNIT`: the inverse of [`Self::EnableUnit`].
    DisableUnit {
        /// The unit.
        unit: String,
    },
    /// `service NAME start`, where there is no systemd.
    StartService {
        /// Its name.
        service: String,
    },
    /// `service NAME stop`: the inverse of [`Self::StartService`].
    StopService {
        /// Its name.
        service: String,
    },
    /// `service NAME restart`; its inverse is itself, on the old files.
    RestartService {
        /// Its name.
        service: String,
    },
    /// `service NAME reload`; its inverse is itself, on the old files.
    ReloadService {
        /// Its name.
        service: String,
    },
    /// A milter's own program reads its configuration and says whether it is right. The words
    /// are those of its data file. It has no inverse: what stood before may never have been right.
    CheckMilter {
        /// The words.
        words: Vec<String>,
    },
    /// Waits until a milter answers as one. It has no inverse.
    AwaitMilter {
        /// Where it listens, as Postfix names it.
        milter: String,
    },
    /// `launchctl load FILE`
    LoadJob {
        /// The file that describes the job; but for its end it is called as the job is.
        file: Utf8PathBuf,
    },
    /// `launchctl remove LABEL`: the inverse of [`Self::LoadJob`], also once its file is gone.
    RemoveJob {
        /// The file that described the job.
        file: Utf8PathBuf,
    },
}

impl Command {
    /// The program that is run.
    #[must_use]
    pub fn program(&self) -> &str {
        match self {
            Self::Check { .. } | Self::Reload { .. } | Self::Stop { .. } | Self::Start { .. } => {
                "postfix"
            }
            Self::ReadUnits
            | Self::StartUnit { .. }
            | Self::StopUnit { .. }
            | Self::RestartUnit { .. }
            | Self::ReloadUnit { .. }
            | Self::EnableUnit { .. }
            | Self::DisableUnit { .. } => "systemctl",
            Self::StartService { .. }
            | Self::StopService { .. }
            | Self::RestartService { .. }
            | Self::ReloadService { .. } => "service",
            Self::CheckMilter { words } => words.first().map_or("", String::as_str),
            Self::AwaitMilter { .. } => "wait",
            Self::LoadJob { .. } | Self::RemoveJob { .. } => "launchctl",
        }
    }

    /// Tells whether it is about the mail system; else it is about a milter or about jobs run by
    /// the clock.
    #[must_use]
    pub fn is_of_postfix(&self) -> bool {
        self.program() == "postfix"
    }

    /// Tells whether it ends something: what is not there any more has nothing left to end.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Self::StopUnit { .. }
                | Self::DisableUnit { .. }
                | Self::StopService { .. }
                | Self::RemoveJob { .. }
        )
    }

    fn inverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::StartUnit { unit } => Self::StopUnit { unit },
            Self::StopUnit { unit } => Self::StartUnit { unit },
            Self::EnableUnit { unit } => Self::DisableUnit { unit },
            Self::DisableUnit { unit } => Self::EnableUnit { unit },
            Self::StartService { service } => Self::StopService { service },
            Self::StopService { service } => Self::StartService { service },
            Self::LoadJob { file } => Self::RemoveJob { file },
            Self::RemoveJob { file } => Self::LoadJob { file },
            Self::CheckMilter { .. } | Self::AwaitMilter { .. } => return None,
            same => same,
        })
    }

    /// What is run in place of several where the old files stand again: Postfix is told the same
    /// in the same order, and of all else what came last is taken back first.
    #[must_use]
    pub fn inverses(commands: &[Self]) -> Vec<Self> {
        let (postfix, jobs): (Vec<_>, Vec<_>) = commands
            .iter()
            .filter_map(Self::inverse)
            .partition(Self::is_of_postfix);
        jobs.into_iter().rev().chain(postfix).collect()
    }

    /// The words as a person would type them.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let arguments = match self {
            Self::Check { config } => vec!["-c", config.as_str(), "check"],
            Self::Reload { config } => vec!["-c", config.as_str(), "reload"],
            Self::Stop { config } => vec!["-c", config.as_str(), "stop"],
            Self::Start { config } => vec!["-c", config.as_str(), "start"],
            Self::ReadUnits => vec!["daemon-reload"],
            Self::StartUnit { unit } => vec!["start", unit],
            Self::StopUnit { unit } => vec!["stop", unit],
            Self::RestartUnit { unit } => vec!["restart", unit],
            Self::ReloadUnit { unit } => vec!["reload", unit],
            Self::EnableUnit { unit } => vec!["enable", unit],
            Self::DisableUnit { unit } => vec!["disable", unit],
            Self::StartService { service } => vec![service, "start"],
            Self::StopService { service } => vec![service, "stop"],
            Self::RestartService { service } => vec![service, "restart"],
            Self::ReloadService { service } => vec![service, "reload"],
            Self::CheckMilter { words } => words.iter().skip(1).map(String::as_str).collect(),
            Self::AwaitMilter { milter } => vec!["for", "the", "milter", milter],
            Self::LoadJob { file } => vec!["load", file.as_str()],
            Self::RemoveJob { file } => vec!["remove", file.file_stem().unwrap_or_default()],
        };
        std::iter::once(self.program())
            .chain(arguments)
            .map(ToOwned::to_owned)
            .collect()
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

/// A message, handed to the mail system as a local user does it.
///
/// It cannot be taken back, so it is no [`Command`]: nothing has an inverse here, and no plan
/// can hold it. Who sends says what became of it; that is the receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The configuration directory of the mail system that takes it.
    pub config: Utf8PathBuf,
    /// The path of its `sendmail`.
    pub sendmail: Utf8PathBuf,
    /// The envelope sender.
    pub sender: String,
    /// The one recipient.
    pub recipient: String,
    /// Header and body.
    pub text: Vec<u8>,
}

impl Letter {
    /// The words behind `sendmail`. No report is asked for: whoever sends looks for himself.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let words = [
            "-C",
            self.config.as_str(),
            "-i",
            "-N",
            "never",
            "-f",
            &self.sender,
            "--",
            &self.recipient,
        ];
        words.map(ToOwned::to_owned).into()
    }
}

/// A failure of the machine, naming its thing.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A path could not be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The path.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path could not be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The path.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path is no regular file.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path.
        path: Utf8PathBuf,
    },
    /// A program is not installed.
    #[error("`{program}` is not installed, or not on the path")]
    Missing {
        /// The program.
        program: String,
    },
    /// A program could not be run.
    #[error("cannot run `{program}`: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program was not done in time.
    #[error("`{program}` did not end within {seconds} s")]
    Slow {
        /// The program.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// The work was broken off by the person.
    #[error("interrupted")]
    Interrupted,
    /// Under a root nothing of the running system is asked or changed.
    #[error("`{command}` is not run for a tree")]
    Rooted {
        /// The command.
        command: String,
    },
    /// Nobody looked at it on the machine that was collected.
    #[error("{what} was not collected")]
    NotCollected {
        /// What would have to be known.
        what: String,
    },
    /// Another mailfix is at work.
    #[error("another mailfix is at work (it holds `{path}`)")]
    Locked {
        /// The lock file.
        path: Utf8PathBuf,
    },
}

/// Everything outside the process but DNS and the person.
///
/// Five verbs of looking and changing files and programs, and what they need beside them:
/// `stat` and `list` (directories, symbolic links, leftovers), `rehearse` (the private copy),
/// `addresses`, `source`, `greet` and `user` (no program says these the same way everywhere),
/// `lock`. And one that cannot be taken back: `send`.
pub trait System {
    /// Reads a regular file through symbolic links; `None` when nothing is there.
    ///
    /// # Errors
    /// When it exists and cannot be read, or is no regular file.
    fn read(&self, path: &Utf8Path) -> Result<Option<File>, SystemError>;

    /// Says what a path is, through symbolic links; `None` when nothing is there.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>, SystemError>;

    /// Lists every path that is looked at where symbolic links are followed, in its real place:
    /// the directories from `/` on, the links themselves, and where the path leads, also if
    /// nothing is there.
    ///
    /// # Errors
    /// When a directory cannot be searched, or links go in circles.
    fn way(&self, path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, SystemError>;

    /// Lists the names in a directory, sorted; empty when it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, path: &Utf8Path) -> Result<Vec<String>, SystemError>;

    /// Reads what was added to a file behind a place in it: the end of a log, whatever its length.
    /// A file that is shorter than that was replaced, and is read from its start.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    fn read_after(&self, path: &Utf8Path, offset: u64) -> Result<Option<Vec<u8>>, SystemError>;

    /// Opens a regular file for reading in pieces: a log that is longer than memory. `None` when
    /// nothing is there.
    ///
    /// # Errors
    /// When it exists and cannot be opened.
    fn pieces(&self, path: &Utf8Path) -> Result<Option<Box<dyn Pieces>>, SystemError> {
        let file = self.read(path)?;
        Ok(file.map(|file| -> Box<dyn Pieces> { Box::new(pieces::Held(file.bytes)) }))
    }

    /// Opens the mail of the journal as the lines of a log, each with its whole time; it may be
    /// longer than memory.
    ///
    /// # Errors
    /// When there is no `journalctl` that can be run.
    fn journal(&self, _part: JournalPart) -> Result<Box<dyn Read + Send>, SystemError> {
        Err(SystemError::Missing {
            program: "journalctl".to_owned(),
        })
    }

    /// Asks a program.
    ///
    /// # Errors
    /// When it is missing or cannot be run; what it says, also by its exit status, is no error.
    fn query(&self, query: &Query) -> Result<Output, SystemError>;

    /// Tries a configuration in a private temporary copy, which is gone afterwards.
    ///
    /// # Errors
    /// When the copy cannot be made or a program not be started.
    fn rehearse(&self, rehearsal: &Rehearsal) -> Result<Rehearsed, SystemError>;

    /// The addresses of the network interfaces, loopback left out.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn addresses(&self) -> Result<Vec<IpAddr>, SystemError>;

    /// Looks up a user's and its group's number by name (in the tree's own passwd file under a root).
    ///
    /// # Errors
    /// When the user database cannot be read.
    fn user(&self, name: &str) -> Result<Option<(u32, u32)>, SystemError>;

    /// The address of ours that the kernel takes for a destination; `None` where there is no way
    /// to it. Nothing is sent.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn source(&self, destination: IpAddr) -> Result<Option<IpAddr>, SystemError>;

    /// Connects to mail servers, all at once, takes each one's greeting and leaves; none is waited
    /// for longer than `patience`.
    ///
    /// # Errors
    /// Where nothing is asked of the network: under a root, of a machine that was packed.
    fn greet(&self, _: &[SocketAddr], _: Duration) -> Result<Vec<Greeting>, SystemError> {
        Err(SystemError::NotCollected {
            what: "the way to other mail servers".to_owned(),
        })
    }

    /// Tells whether we may do what only root may.
    fn is_root(&self) -> bool;

    /// Tells whether a process lives.
    fn is_alive(&self, process: i32) -> bool;

    /// The tree worked on instead of `/`, if any: nothing is run but `postconf -c` and `postmap`.
    fn root(&self) -> Option<&Utf8Path>;

    /// Tells whether this is a machine as it was packed: nothing is tried out on it.
    fn is_collected(&self) -> bool {
        false
    }

    /// Replaces a file whole: temporary name beside the real file, fsync, rename, fsync of the
    /// directory. Symbolic links stay, mode, owner and attributes become those of `file`.
    ///
    /// # Errors
    /// When it cannot be written; the old file then stands untouched.
    fn write(&mut self, path: &Utf8Path, file: &File) -> Result<(), SystemError>;

    /// Removes a file; absent is fine.
    ///
    /// # Errors
    /// When it stays.
    fn remove(&mut self, path: &Utf8Path) -> Result<(), SystemError>;

    /// Makes one directory (its parent exists).
    ///
    /// # Errors
    /// When it cannot be made.
    fn make_directory(
        &mut self,
        path: &Utf8Path,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<(), SystemError>;

    /// Removes a directory if it is empty; says whether it is gone.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn remove_directory(&mut self, path: &Utf8Path) -> Result<bool, SystemError>;

    /// Removes what a killed `write` or `make_directory` of this path left beside it; says
    /// whether there was something.
    ///
    /// # Errors
    /// When it stays.
    fn remove_leftover(&mut self, path: &Utf8Path) -> Result<bool, SystemError>;

    /// Takes the lock that keeps other mailfix processes from changing anything, and keeps it
    /// until the system is dropped; the directory of `path` exists. From then on a Ctrl-C waits.
    ///
    /// # Errors
    /// [`SystemError::Locked`] when another process holds it.
    fn lock(&mut self, path: &Utf8Path) -> Result<(), SystemError>;

    /// Runs a command that changes what runs. Refused under a root.
    ///
    /// # Errors
    /// When it cannot be started.
    fn run(&mut self, command: &Command) -> Result<Output, SystemError>;

    /// Sends a message. Refused under a root; what `sendmail` says, also by its exit status, is
    /// no error.
    ///
    /// # Errors
    /// When `sendmail` is missing or cannot be run.
    fn send(&mut self, letter: &Letter) -> Result<Output, SystemError>;
}

mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// Extended attributes as a map from name to base64.
mod attributes {
    use std::collections::BTreeMap;

    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(
        attributes: &[(String, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            attributes
                .iter()
                .map(|(name, value)| (name, BASE64.encode(value))),
        )
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer)?
            .into_iter()
            .map(|(name, value)| match BASE64.decode(value.as_bytes()) {
                Ok(value) => Ok((name, value)),
                Err(error) => Err(D::Error::custom(error)),
            })
            .collect()
    }
}

/// Permission bits as administrators write them: `"0644"`.
pub(crate) mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes fields by reference"
    )]
    pub fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:04o}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        u32::from_str_radix(&text, 8).map_err(D::Error::custom)
    }
}
