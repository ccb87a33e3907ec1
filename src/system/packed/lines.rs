//! The files of an archive, line by line.
//!
//! Owns how each of them is read; what a line that nobody knows means is an error. Must not know
//! what a machine is asked.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::archive::Entry;
use super::{Answer, COLLECTED_FORMAT, Is, Original, PackedError, PackedSystem, Seen};
use crate::system::Output;
use crate::system::cksum::cksum;

impl PackedSystem {
    /// Reads what each path is, or that nothing is there, or that a folder was listed whole.
    pub(super) fn read_paths(&mut self, text: &str) -> Result<(), PackedError> {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let fail = |line: &str| PackedError::Line {
                file: "paths".to_owned(),
                line: line.to_owned(),
            };
            let (word, path) = line.split_once(' ').ok_or_else(|| fail(line))?;
            let path = Utf8PathBuf::from(path);
            match word {
                "absent" => {
                    self.absent.insert(path);
                }
                "listed" => {
                    self.listed.insert(path);
                }
                "path" => {
                    let said = lines.next().unwrap_or_default();
                    let seen = said
                        .strip_prefix("ls ")
                        .and_then(|said| seen(said, &path))
                        .ok_or_else(|| fail(said))?;
                    self.seen.insert(path, seen);
                }
                _ => return Err(fail(line)),
            }
        }
        Ok(())
    }

    /// Reads the numbers of processes.
    pub(super) fn read_alive(&mut self, text: &str) -> Result<(), PackedError> {
        for line in text.lines() {
            let process = line.trim().parse().map_err(|_| PackedError::Line {
                file: "alive".to_owned(),
                line: line.to_owned(),
            })?;
            self.alive.insert(process);
        }
        Ok(())
    }

    /// Reads `UID GID NAME` lines.
    pub(super) fn read_users(&mut self, text: &str) -> Result<(), PackedError> {
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let mut number = || words.next()?.parse().ok();
            let (uid, gid) = (number(), number());
            let (Some(uid), Some(gid), Some(name)) = (uid, gid, words.next()) else {
                return Err(PackedError::Line {
                    file: "users".to_owned(),
                    line: line.to_owned(),
                });
            };
            self.users.insert(name.to_owned(), (uid, gid));
        }
        Ok(())
    }

    /// Reads `SUM SIZE LEFT-OUT-LINES PATH` lines, and compares what is whole with its sum.
    pub(super) fn read_contents(&mut self, text: &str) -> Result<(), PackedError> {
        for line in text.lines() {
            let fail = || PackedError::Line {
                file: "contents".to_owned(),
                line: line.to_owned(),
            };
            let mut rest = line;
            let mut number = || {
                let (word, after) = rest.trim_start().split_once(' ')?;
                rest = after;
                word.parse::<u64>().ok()
            };
            let (Some(sum), Some(size), Some(hidden)) = (number(), number(), number()) else {
                return Err(fail());
            };
            let original = Original {
                sum: u32::try_from(sum).map_err(|_| fail())?,
                size,
                hidden: u32::try_from(hidden).map_err(|_| fail())?,
            };
            let path = Utf8PathBuf::from(rest);
            let content = self
                .contents
                .get(&path)
                .ok_or_else(|| PackedError::Foreign {
                    lacks: format!("files{path}"),
                })?;
            let is_whole = u64::try_from(content.bytes.len()) == Ok(original.size)
                && cksum(&content.bytes) == original.sum;
            if original.hidden == 0 && !is_whole {
                return Err(PackedError::Damaged { path });
            }
            self.originals.insert(path, original);
        }
        Ok(())
    }

    /// Reads what programs were asked, and what they said.
    pub(super) fn read_answers(
        &mut self,
        files: &mut BTreeMap<String, Entry>,
    ) -> Result<(), PackedError> {
        for number in 1.. {
            let name = |part: &str| format!("queries/{number}/{part}");
            if !files.contains_key(&name("words")) {
                break;
            }
            let words = text(files, &name("words"))?;
            let status = text(files, &name("status"))?;
            let mut bytes = |part: &str| files.remove(&name(part)).map(|entry| entry.bytes);
            let output = Output {
                status: status.trim().parse().map_err(|_| PackedError::Line {
                    file: name("status"),
                    line: status.trim().to_owned(),
                })?,
                stdout: bytes("out").unwrap_or_default(),
                stderr: bytes("err").unwrap_or_default(),
            };
            let keys = bytes("keys").unwrap_or_default();
            let mut lines = words.lines();
            let answer = match (lines.next(), lines.next()) {
                (Some("postconf"), Some(config)) => Answer::Postconf {
                    config: (!config.is_empty()).then(|| config.into()),
                    arguments: lines.map(str::to_owned).collect(),
                    output,
                },
                (Some("postmap"), Some(config)) => Answer::Lookup {
                    config: config.into(),
                    table: lines.next().unwrap_or_default().to_owned(),
                    keys: String::from_utf8_lossy(&keys)
                        .lines()
                        .map(str::to_owned)
                        .collect(),
                    output,
                },
                _ => {
                    return Err(PackedError::Line {
                        file: name("words"),
                        line: words.lines().next().unwrap_or_default().to_owned(),
                    });
                }
            };
            self.answers.push(answer);
        }
        Ok(())
    }
}

/// Takes a file out of the archive that must be there, as text.
pub(super) fn text(files: &mut BTreeMap<String, Entry>, name: &str) -> Result<String, PackedError> {
    let entry = files.remove(name).ok_or_else(|| PackedError::Foreign {
        lacks: name.to_owned(),
    })?;
    // Lines with names that are not UTF-8 name what nobody could ask for.
    Ok(String::from_utf8_lossy(&entry.bytes).into_owned())
}

/// Reads `NAME VALUE` lines; the format is looked at first, as a newer one may have any shape.
pub(super) fn manifest(text: &str) -> Result<BTreeMap<String, String>, PackedError> {
    let mut facts = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        facts.insert(name.to_owned(), value.to_owned());
    }
    let format = facts
        .get("format")
        .and_then(|format| format.parse().ok())
        .ok_or_else(|| PackedError::Line {
            file: "manifest".to_owned(),
            line: text.lines().next().unwrap_or_default().to_owned(),
        })?;
    if format > COLLECTED_FORMAT {
        return Err(PackedError::Newer { format });
    }
    if !facts.contains_key("end") {
        return Err(PackedError::Unfinished);
    }
    Ok(facts)
}

/// Reads a line of `ls -ldn`: `MODE LINKS UID GID SIZE …`, at a link with ` -> TARGET` at its end.
fn seen(said: &str, path: &Utf8Path) -> Option<Seen> {
    let mut words = said.split_whitespace();
    let letters = words.next()?.as_bytes();
    let mut numbers = words.skip(1);
    let uid = numbers.next()?.parse().ok()?;
    let gid = numbers.next()?.parse().ok()?;
    // Devices have two numbers here.
    let size = numbers.next()?.parse().unwrap_or_default();
    let kind = match letters.first()? {
        b'-' => Is::File,
        b'd' => Is::Directory,
        b'l' => {
            let (_, target) = said.split_once(&format!("{path} -> "))?;
            Is::Link(target.into())
        }
        _ => Is::Other,
    };
    Some(Seen {
        kind,
        mode: mode(letters.get(1..10)?)?,
        uid,
        gid,
        size,
    })
}

/// Reads the nine letters of permissions; what may follow them says that there is a list.
pub(super) fn mode(letters: &[u8]) -> Option<u32> {
    let mut mode = 0;
    for (at, letter) in letters.iter().enumerate() {
        let bit = 1 << (8 - at);
        let special = 0o1000 << (2 - at / 3);
        mode |= match letter {
            b'-' => 0,
            b'r' | b'w' | b'x' => bit,
            b's' | b't' => bit | special,
            b'S' | b'T' => special,
            _ => return None,
        };
    }
    Some(mode)
}
