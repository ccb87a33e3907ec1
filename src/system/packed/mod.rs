//! A machine as `mailfix collect` packed it: looked at like any other, without being there.
//!
//! Owns the format of what is packed. What the script saw is there, what it saw missing is
//! absent, and about all else there is an error: a plan must not take for missing what nobody
//! looked at. Nothing can be written and nothing run. Must not know what is asked or why.

mod addresses;
mod archive;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};

use super::tree::{follow, way};
use super::{
    Command, File, Kind, Letter, Output, Query, Rehearsal, Rehearsed, Stat, System, SystemError,
};
use archive::Entry;
use lines::{manifest, text};

/// The one format the script packs, and the newest read.
pub const COLLECTED_FORMAT: u32 = 1;

/// What stands, with the number of its line behind it, for a line that holds a password or key.
pub const LEFT_OUT: &str = "mailfix-left-out-";

/// The largest archive that is read, in bytes; one of a large server has some hundred thousand.
pub const LARGEST_ARCHIVE: u64 = 256 * 1024 * 1024;

/// An archive that cannot be planned from.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// It is no tar file, or not all of one.
    #[error("this is not a tar archive, or a damaged one: {source}")]
    Broken {
        /// What the reading said.
        source: io::Error,
    },
    /// It holds something no collected machine has.
    #[error("the archive holds {why}: `{name}`")]
    Strange {
        /// The name of the entry.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something else packed it.
    #[error("`mailfix collect` has not written this archive: it lacks `{lacks}`")]
    Foreign {
        /// What is missing.
        lacks: String,
    },
    /// The script did not come to its end.
    #[error("the archive is not complete: the script was broken off")]
    Unfinished,
    /// A later version wrote the script.
    #[error(
        "this archive has format {format}, the script of a newer mailfix wrote it; this one knows format {COLLECTED_FORMAT}"
    )]
    Newer {
        /// Its format.
        format: u32,
    },
    /// A line of it cannot be read.
    #[error("`{file}` of the archive has a line that cannot be read: `{line}`")]
    Line {
        /// Which file.
        file: String,
        /// Which line.
        line: String,
    },
    /// A file is not what was packed.
    #[error("`{path}` was damaged on its way: its sum is not the one taken on the machine")]
    Damaged {
        /// Which.
        path: Utf8PathBuf,
    },
}

/// What a file was before lines were left out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// The sum that `cksum` prints.
    pub sum: u32,
    /// The size in bytes.
    pub size: u64,
    /// How many lines were left out of the copy that was packed.
    pub hidden: u32,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    kind: Is,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
}

/// The kinds of things a path can be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    File,
    Directory,
    Link(Utf8PathBuf),
    Other,
}

/// An answer of a program.
#[derive(Clone, Debug)]
enum Answer {
    Postconf {
        config: Option<Utf8PathBuf>,
        arguments: Vec<String>,
        output: Output,
    },
    Lookup {
        config: Utf8PathBuf,
        table: String,
        keys: BTreeSet<String>,
        output: Output,
    },
}

/// A [`System`] in an archive.
#[derive(Clone, Debug)]
pub struct PackedSystem {
    seen: BTreeMap<Utf8PathBuf, Seen>,
    absent: BTreeSet<Utf8PathBuf>,
    listed: BTreeSet<Utf8PathBuf>,
    contents: BTreeMap<Utf8PathBuf, Entry>,
    originals: BTreeMap<Utf8PathBuf, Original>,
    modified: BTreeMap<Utf8PathBuf, i64>,
    answers: Vec<Answer>,
    addresses: Option<Vec<IpAddr>>,
    alive: BTreeSet<i32>,
    users: BTreeMap<String, (u32, u32)>,
    facts: BTreeMap<String, String>,
}

impl PackedSystem {
    /// Reads an archive.
    ///
    /// # Errors
    /// When it is none of ours, is damaged, or holds what it should not.
    pub fn read(bytes: &[u8]) -> Result<Self, PackedError> {
        let mut files = archive::read(bytes)?;
        let facts = manifest(&text(&mut files, "manifest")?)?;
        let mut packed = Self {
            seen: BTreeMap::new(),
            absent: BTreeSet::new(),
            listed: BTreeSet::new(),
            contents: BTreeMap::new(),
            originals: BTreeMap::new(),
            modified: BTreeMap::new(),
            answers: Vec::new(),
            addresses: None,
            alive: BTreeSet::new(),
            users: BTreeMap::from([("root".to_owned(), (0, 0))]),
            facts,
        };
        packed.read_paths(&text(&mut files, "paths")?)?;
        packed.read_alive(&text(&mut files, "alive")?)?;
        packed.read_users(&text(&mut files, "users")?)?;
        let contents = text(&mut files, "contents")?;
        let mut said = String::new();
        for name in ["addresses/ip", "addresses/ifconfig"] {
            if let Some(entry) = files.remove(name) {
                said.push_str(&String::from_utf8_lossy(&entry.bytes));
                said.push('\n');
            }
        }
        if !said.trim().is_empty() {
            packed.addresses = Some(addresses::addresses(&said));
        }
        packed.read_answers(&mut files)?;
        for (name, entry) in files {
            if let Some(path) = name.strip_prefix("times/") {
                let path = Utf8Path::new("/").join(path);
                packed.modified.insert(path, entry.modified);
            } else if let Some(path) = name.strip_prefix("files/") {
                let path = Utf8Path::new("/").join(path);
                packed.modified.insert(path.clone(), entry.modified);
                packed.contents.insert(path, entry);
            }
        }
        packed.read_contents(&contents)?;
        Ok(packed)
    }

    /// The machine's kernel, as `uname -s` gives it.
    #[must_use]
    pub fn kernel(&self) -> &str {
        self.fact("kernel")
    }

    /// The machine's own name.
    #[must_use]
    pub fn host(&self) -> &str {
        self.fact("host")
    }

    /// When it was packed, as the machine's own clock had it.
    #[must_use]
    pub fn time(&self) -> &str {
        self.fact("time")
    }

    /// The configuration directories that were collected.
    pub fn configurations(&self) -> impl Iterator<Item = &Utf8Path> {
        self.answers.iter().filter_map(|answer| match answer {
            Answer::Postconf {
                config: Some(config),
                arguments,
                ..
            } if arguments.is_empty() => Some(config.as_path()),
            _ => None,
        })
    }

    /// What each file that was packed was on the machine, by its path without links.
    #[must_use]
    pub fn originals(&self) -> &BTreeMap<Utf8PathBuf, Original> {
        &self.originals
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    fn link(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        match self.seen.get(path) {
            Some(Seen {
                kind: Is::Link(target),
                ..
            }) => Some(target.clone()),
            _ => None,
        }
    }

    fn resolve(&self, path: &Utf8Path) -> Result<Utf8PathBuf, SystemError> {
        follow(path, |path| Ok(self.link(path))).map_err(|source| SystemError::Read {
            path: path.to_owned(),
            source,
        })
    }

    /// Finds what stands at a path; `None` where it is known that nothing does.
    fn find(&self, path: &Utf8Path) -> Result<(Utf8PathBuf, Option<&Seen>), SystemError> {
        let real = self.resolve(path)?;
        if let Some(seen) = self.seen.get(&real) {
            return Ok((real, Some(seen)));
        }
        // The nearest of those above it that is known decides.
        for above in real.ancestors() {
            if self.absent.contains(above) {
                return Ok((real, None));
            }
            match self.seen.get(above).map(|seen| &seen.kind) {
                None => {}
                Some(Is::Directory) if !self.listed.contains(above) => break,
                Some(_) => return Ok((real, None)),
            }
        }
        Err(not_collected(format!("what is at `{path}`")))
    }

    /// Picks single parameters out of the list of all.
    fn values(&self, wanted: &Utf8Path, names: &[String]) -> Option<Output> {
        let all = self.answers.iter().find_map(|answer| match answer {
            Answer::Postconf {
                config: Some(config),
                arguments,
                output,
            } if config == wanted && arguments.is_empty() => Some(output),
            _ => None,
        })?;
        let text = all.text();
        let mut stdout = String::new();
        for name in names {
            let mut lines = text.lines();
            let first = lines.by_ref().find_map(|line| {
                let (parameter, value) = line.split_once('=')?;
                (parameter.trim_end() == name).then_some(value)
            });
            if let Some(value) = first {
                stdout.push_str(value.trim());
                // Before 2.11 values are folded as in the file.
                for more in lines.take_while(|line| line.starts_with([' ', '\t'])) {
                    stdout.push(' ');
                    stdout.push_str(more.trim());
                }
                stdout.push('\n');
            }
        }
        Some(Output {
            status: all.status,
            stdout: stdout.into_bytes(),
            stderr: all.stderr.clone(),
        })
    }
}

impl System for PackedSystem {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>, SystemError> {
        let (real, Some(seen)) = self.find(path)? else {
            return Ok(None);
        };
        if seen.kind != Is::File {
            return Err(SystemError::NotAFile { path: path.into() });
        }
        let Some(content) = self.contents.get(&real) else {
            return Err(SystemError::Read {
                path: path.to_owned(),
                source: io::Error::other("its content was left behind on the server"),
            });
        };
        Ok(Some(File::new(
            content.bytes.clone(),
            seen.mode,
            seen.uid,
            seen.gid,
        )))
    }

    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>, SystemError> {
        let (real, Some(seen)) = self.find(path)? else {
            return Ok(None);
        };
        Ok(Some(Stat {
            kind: match seen.kind {
                Is::File => Kind::File,
                Is::Directory => Kind::Directory,
                Is::Link(_) | Is::Other => Kind::Other,
            },
            mode: seen.mode,
            uid: seen.uid,
            gid: seen.gid,
            modified: self.modified.get(&real).copied().unwrap_or_default(),
            inode: 0,
            size: seen.size,
            real,
        }))
    }

    fn way(&self, path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, SystemError> {
        way(path, |path| Ok(self.link(path))).map_err(|source| SystemError::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn list(&self, path: &Utf8Path) -> Result<Vec<String>, SystemError> {
        let (real, Some(_)) = self.find(path)? else {
            return Ok(Vec::new());
        };
        if !self.listed.contains(&real) {
            return Err(not_collected(format!("what is in `{path}`")));
        }
        let within = self.seen.keys().filter(|seen| seen.parent() == Some(&real));
        Ok(within
            .filter_map(|seen| seen.file_name().map(str::to_owned))
            .collect())
    }

    fn read_after(&self, path: &Utf8Path, _offset: u64) -> Result<Option<Vec<u8>>, SystemError> {
        Err(not_collected(format!("the end of `{path}`")))
    }

    fn query(&self, query: &Query) -> Result<Output, SystemError> {
        let exact = self
            .answers
            .iter()
            .find_map(|answer| match (answer, query) {
                (
                    Answer::Postconf {
                        config: there,
                        arguments: given,
                        output,
                    },
                    Query::Postconf { config, arguments },
                ) if there == config && given == arguments => Some(output.clone()),
                (
                    Answer::Lookup {
                        config: there,
                        table: asked,
                        keys: known,
                        output,
                    },
                    Query::Lookup {
                        config,
                        table,
                        keys,
                    },
                ) if there == config
                    && asked == table
                    && keys.iter().all(|key| known.contains(key)) =>
                {
                    Some(output.clone())
                }
                _ => None,
            });
        if let Some(output) = exact {
            return Ok(output);
        }
        if let Query::Postconf {
            config: Some(config),
            arguments,
        } = query
            && let Some((option, names)) = arguments.split_first()
            && option == "-h"
            && let Some(output) = self.values(config, names)
        {
            return Ok(output);
        }
        Err(not_collected(match query {
            Query::Postconf { config, arguments } => {
                let config = config.as_ref().map(|config| format!("-c {config} "));
                let config = config.unwrap_or_default();
                format!("what `postconf {config}{}` says", arguments.join(" "))
            }
            Query::Lookup { table, keys, .. } => {
                let known: BTreeSet<&String> = self
                    .answers
                    .iter()
                    .filter_map(|answer| match answer {
                        Answer::Lookup {
                            table: asked, keys, ..
                        } if asked == table => Some(keys),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                match keys.iter().find(|key| !known.contains(key)) {
                    Some(key) => format!("what `{table}` says of `{key}`"),
                    None => format!("what `{table}` says"),
                }
            }
            Query::Dump { table, .. } => format!("all that `{table}` holds"),
            Query::Status { config } => format!("what `postfix -c {config} status` says"),
            Query::Queue { .. } => "what is in the queue".to_owned(),
            Query::Journal { .. } => "what the journal says".to_owned(),
            Query::UnitRuns { unit } | Query::UnitEnabled { unit } => {
                format!("whether `{unit}` runs")
            }
            Query::ServiceRuns { service } => format!("whether `{service}` runs"),
        }))
    }

    fn rehearse(&self, _rehearsal: &Rehearsal) -> Result<Rehearsed, SystemError> {
        Err(not_collected("a trial of a configuration"))
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, SystemError> {
        self.addresses
            .clone()
            .ok_or_else(|| not_collected("the addresses of the network interfaces"))
    }

    fn source(&self, destination: IpAddr) -> Result<Option<IpAddr>, SystemError> {
        Err(not_collected(format!(
            "the address that {destination} is reached from"
        )))
    }

    fn user(&self, name: &str) -> Result<Option<(u32, u32)>, SystemError> {
        let user = self.users.get(name).copied();
        user.map(Some)
            .ok_or_else(|| not_collected(format!("the number of the user `{name}`")))
    }

    /// The script demands it.
    fn is_root(&self) -> bool {
        true
    }

    fn is_alive(&self, process: i32) -> bool {
        self.alive.contains(&process)
    }

    fn root(&self) -> Option<&Utf8Path> {
        None
    }

    fn is_collected(&self) -> bool {
        true
    }

    fn write(&mut self, path: &Utf8Path, _file: &File) -> Result<(), SystemError> {
        Err(unwritable(path))
    }

    fn remove(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        Err(unwritable(path))
    }

    fn make_directory(
        &mut self,
        path: &Utf8Path,
        _mode: u32,
        _uid: u32,
        _gid: u32,
    ) -> Result<(), SystemError> {
        Err(unwritable(path))
    }

    fn remove_directory(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        Err(unwritable(path))
    }

    fn remove_leftover(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        Err(unwritable(path))
    }

    fn lock(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        Err(unwritable(path))
    }

    fn send(&mut self, _letter: &Letter) -> Result<Output, SystemError> {
        Err(not_collected("what `sendmail` does"))
    }

    fn run(&mut self, command: &Command) -> Result<Output, SystemError> {
        Err(not_collected(format!("what `{command}` does")))
    }
}

fn not_collected(what: impl Into<String>) -> SystemError {
    SystemError::NotCollected { what: what.into() }
}

fn unwritable(path: &Utf8Path) -> SystemError {
    SystemError::Write {
        path: path.to_owned(),
        source: io::Error::other("a collected machine is not here"),
    }
}

#[cfg(test)]
mod tests;
