//! Where the mail log is, and what was added to it since a moment.
//!
//! Owns [`MailLog`]: the file that main.cf names, the files of syslog daemons and the journal, all
//! of them that are there, for which of them is in use shows only in what comes (and a changed
//! `maillog_file` is taken up at the next start); and what happens when one is rotated meanwhile.
//! Must not know what is looked for in it; `postfix::log` reads its lines.

use camino::{Utf8Path, Utf8PathBuf};

use crate::system::{Kind, Query, Stat, System, SystemError};

/// What `journalctl --show-cursor` puts before the place it got to.
const CURSOR: &str = "-- cursor: ";

/// What `journalctl` says to those it does not show the mail log to.
const NOT_SHOWN: &str = "not seeing messages from other users and the system";

/// A mail log, marked at a moment.
#[derive(Clone, Debug, Default)]
pub struct MailLog {
    files: Vec<Reading>,
    /// Where the journal got to, if there is one.
    cursor: Option<String>,
    /// Its last lines before the mark.
    journal: String,
}

/// A file, and how far it was read.
#[derive(Clone, Debug)]
struct Reading {
    path: Utf8PathBuf,
    /// Which file has this name; 0 before there is one.
    inode: u64,
    offset: u64,
}

/// There is no log to read.
#[derive(Debug, thiserror::Error)]
pub enum MailLogError {
    /// main.cf sends it to where it is gone.
    #[error(
        "`maillog_file = {path}` in main.cf sends the mail log to where nobody can read it back"
    )]
    Stream {
        /// Where.
        path: Utf8PathBuf,
    },
    /// It is there, and may not be read.
    #[error("the mail log cannot be read: {}", .why.join("; "))]
    Refused {
        /// Why, for each place.
        why: Vec<String>,
    },
    /// It is nowhere.
    #[error("there is no mail log: neither {} nor a journal", listed(.looked))]
    None {
        /// The files looked for.
        looked: Vec<Utf8PathBuf>,
    },
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
}

fn listed(paths: &[Utf8PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    paths.join(", ")
}

impl MailLog {
    /// Marks the present end of the log: `named` is `maillog_file`, empty where it is not set;
    /// `usual` are the files of syslog daemons.
    ///
    /// # Errors
    /// When there is no log, or none that may be read.
    pub fn mark(
        system: &dyn System,
        named: &str,
        usual: &[Utf8PathBuf],
    ) -> Result<Self, MailLogError> {
        let mut log = Self::default();
        let mut refused = Vec::new();
        if !named.is_empty() {
            let path = Utf8Path::new(named);
            if path.starts_with("/dev") {
                return Err(MailLogError::Stream { path: path.into() });
            }
            if let Err(why) = log.mark_file(system, path) {
                return Err(MailLogError::Refused { why: vec![why] });
            }
        }
        for path in usual.iter().filter(|path| *path != named) {
            if let Err(why) = log.mark_file(system, path) {
                refused.push(why);
            }
        }
        match end_of_journal(system) {
            Ok(Some((cursor, last))) => {
                log.cursor = Some(cursor);
                log.journal = last;
            }
            Ok(None) => {}
            Err(why) => refused.push(why),
        }
        // The file that main.cf names is made when it is needed.
        let is_there = |file: &Reading| file.inode != 0 || file.path == named;
        if log.cursor.is_some() || log.files.iter().any(is_there) {
            Ok(log)
        } else if refused.is_empty() {
            Err(MailLogError::None {
                looked: usual.to_vec(),
            })
        } else {
            Err(MailLogError::Refused { why: refused })
        }
    }

    /// Marks the present end of these files; any of them may still appear.
    ///
    /// # Errors
    /// When one may not be read.
    pub fn of_files(system: &dyn System, files: &[Utf8PathBuf]) -> Result<Self, MailLogError> {
        let mut log = Self::default();
        for path in files {
            log.follow(system, path)?;
        }
        Ok(log)
    }

    /// Marks the present end of one file more, which may still appear; gives whether it is one more.
    ///
    /// # Errors
    /// When it may not be read.
    pub fn follow(&mut self, system: &dyn System, path: &Utf8Path) -> Result<bool, MailLogError> {
        if self.files.iter().any(|file| file.path == path) {
            return Ok(false);
        }
        let marked = self.mark_file(system, path);
        marked.map_err(|why| MailLogError::Refused { why: vec![why] })?;
        Ok(true)
    }

    /// Moves the mark of a file to where somebody has read it to.
    pub fn is_read(&mut self, path: &Utf8Path, length: u64) {
        for file in self.files.iter_mut().filter(|file| file.path == path) {
            file.offset = length;
        }
    }

    /// Marks the end of a file; one that is not there may appear.
    fn mark_file(&mut self, system: &dyn System, path: &Utf8Path) -> Result<(), String> {
        let found = system.stat(path).map_err(|error| error.to_string())?;
        let (inode, offset) = match found {
            Some(stat) if stat.kind != Kind::File => return Ok(()),
            Some(stat) => {
                // Whether it may be read shows only here.
                let read = system.read_after(path, stat.size);
                read.map_err(|error| error.to_string())?;
                (identity(&stat), stat.size)
            }
            None => (0, 0),
        };
        self.files.push(Reading {
            path: path.to_owned(),
            inode,
            offset,
        });
        Ok(())
    }

    /// The places that are read, for a person.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        let files = self.files.iter().filter(|file| file.inode != 0);
        let files = files.map(|file| format!("`{}`", file.path));
        let journal = self.cursor.iter().map(|_| "the journal".to_owned());
        files.chain(journal).collect()
    }

    /// Reads up to so many bytes of each file from before the mark, and what the journal had last.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn before(&self, system: &dyn System, length: u64) -> Result<Vec<u8>, SystemError> {
        let mut past = Vec::new();
        for file in self.files.iter().filter(|file| file.inode != 0) {
            let start = file.offset.saturating_sub(length);
            let mut bytes = system.read_after(&file.path, start)?.unwrap_or_default();
            bytes.truncate(usize::try_from(file.offset - start).unwrap_or(usize::MAX));
            past.append(&mut bytes);
            past.push(b'\n');
        }
        past.extend_from_slice(self.journal.as_bytes());
        Ok(past)
    }

    /// Reads the whole lines that were added since the mark, or since this was last asked.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn added(&mut self, system: &dyn System) -> Result<Vec<u8>, SystemError> {
        let mut added = Vec::new();
        for file in &mut self.files {
            file.read(system, &mut added)?;
        }
        if let Some(cursor) = &mut self.cursor {
            let query = Query::Journal {
                after: Some(cursor.clone()),
            };
            for line in system.query(&query)?.text().split_inclusive('\n') {
                match line.strip_prefix(CURSOR) {
                    Some(next) => next.trim().clone_into(cursor),
                    None => added.extend_from_slice(line.as_bytes()),
                }
            }
        }
        Ok(added)
    }
}

impl Reading {
    fn read(&mut self, system: &dyn System, added: &mut Vec<u8>) -> Result<(), SystemError> {
        let found = system
            .stat(&self.path)?
            .filter(|stat| stat.kind == Kind::File);
        let inode = found.as_ref().map_or(0, identity);
        if self.inode != 0 && inode != self.inode {
            self.finish_rotated(system, added)?;
            self.offset = 0;
        }
        self.inode = inode;
        let Some(stat) = found else {
            return Ok(());
        };
        if stat.size < self.offset {
            // It was emptied in place (logrotate's `copytruncate`).
            self.offset = 0;
        }
        if stat.size > self.offset
            && let Some(bytes) = system.read_after(&self.path, self.offset)?
        {
            let whole = bytes.iter().rposition(|&byte| byte == b'\n');
            let whole = bytes
                .get(..whole.map_or(0, |end| end + 1))
                .unwrap_or_default();
            added.extend_from_slice(whole);
            self.offset += u64::try_from(whole.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Reads the rest of a file that has another name by now: `mail.log.1`, `maillog-20261125`.
    fn finish_rotated(&self, system: &dyn System, added: &mut Vec<u8>) -> Result<(), SystemError> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(());
        };
        let directory = match directory.as_str() {
            "" => Utf8Path::new("."),
            _ => directory,
        };
        for other in system.list(directory)? {
            let is_rotated = other
                .strip_prefix(name)
                .is_some_and(|end| end.starts_with(['.', '-']));
            let path = directory.join(&other);
            if is_rotated
                && let Some(stat) = system.stat(&path)?
                && identity(&stat) == self.inode
            {
                let rest = system.read_after(&path, self.offset)?.unwrap_or_default();
                added.extend_from_slice(&rest);
                if !rest.is_empty() && !rest.ends_with(b"\n") {
                    added.push(b'\n');
                }
            }
        }
        Ok(())
    }
}

/// What tells a file from another one of its name; never 0, which stands for none.
fn identity(stat: &Stat) -> u64 {
    stat.inode.max(1)
}

/// Tells whether there is a journal that has something in it.
///
/// # Errors
/// When there is one, and it is not shown to us; with the reason.
pub fn has_journal(system: &dyn System) -> Result<bool, String> {
    Ok(end_of_journal(system)?.is_some())
}

/// Asks for the present end of the journal and its last lines; `None` where there is none.
fn end_of_journal(system: &dyn System) -> Result<Option<(String, String)>, String> {
    let output = match system.query(&Query::Journal { after: None }) {
        Ok(output) => output,
        Err(SystemError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if output.errors().contains(NOT_SHOWN) {
        return Err("the journal is not shown to this user".to_owned());
    }
    let text = output.text();
    let (last, cursor) = text.rsplit_once(CURSOR).unwrap_or((&text, ""));
    let cursor = cursor.trim().to_owned();
    Ok((!cursor.is_empty()).then(|| (cursor, last.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Node, Output};

    const LOG: &str = "/var/log/mail.log";

    fn usual() -> Vec<Utf8PathBuf> {
        vec![LOG.into(), "/var/log/maillog".into()]
    }

    fn added(log: &mut MailLog, system: &MemorySystem) -> String {
        String::from_utf8(log.added(system).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_new_and_whole_is_read() {
        let mut log = MailLog::mark(&MemorySystem::new().file(LOG, "old\n"), "", &usual()).unwrap();
        let system = MemorySystem::new().file(LOG, "old\nnew\nhal");
        assert_eq!(added(&mut log, &system), "new\n");
        assert_eq!(added(&mut log, &system), "");
        let system = MemorySystem::new().file(LOG, "old\nnew\nhalf\n");
        assert_eq!(added(&mut log, &system), "half\n");
        assert_eq!(log.places(), ["`/var/log/mail.log`"]);
    }

    #[test]
    fn a_log_that_is_rotated_meanwhile_is_read_to_its_end() {
        let before = MemorySystem::new().file(LOG, "old\n").with_inode(LOG, 7);
        let rotated = "/var/log/mail.log.1";
        let after = MemorySystem::new()
            .file(rotated, "old\nlast\n")
            .file(LOG, "first, and longer than before\n")
            .file("/var/log/mail.log.2", "elder\n")
            .with_inode(rotated, 7)
            .with_inode(LOG, 8)
            .with_inode("/var/log/mail.log.2", 6);
        let mut log = MailLog::mark(&before, "", &usual()).unwrap();
        assert_eq!(
            added(&mut log, &after),
            "last\nfirst, and longer than before\n"
        );
        assert_eq!(added(&mut log, &after), "");
        // Between the two there may be none.
        let between = MemorySystem::new()
            .file("/var/log/mail.log-20261125", "old\nlast")
            .with_inode("/var/log/mail.log-20261125", 7);
        let mut log = MailLog::mark(&before, "", &usual()).unwrap();
        assert_eq!(added(&mut log, &between), "last\n");
        assert_eq!(added(&mut log, &after), "first, and longer than before\n");
    }

    #[test]
    fn a_log_that_is_emptied_in_place_is_read_from_its_start() {
        let mut log =
            MailLog::mark(&MemorySystem::new().file(LOG, "old\nold\n"), "", &usual()).unwrap();
        assert_eq!(
            added(&mut log, &MemorySystem::new().file(LOG, "new\n")),
            "new\n"
        );
    }

    #[test]
    fn the_file_that_main_cf_names_is_read_first() {
        let system = MemorySystem::new()
            .file(LOG, "old\n")
            .file("/var/log/own", "a\n");
        let mut log = MailLog::mark(&system, "/var/log/own", &usual()).unwrap();
        assert_eq!(log.places(), ["`/var/log/own`", "`/var/log/mail.log`"]);
        let system = MemorySystem::new()
            .file(LOG, "old\nnew\n")
            .file("/var/log/own", "a\nb\n");
        // A change of `maillog_file` is not taken up before the next start.
        assert_eq!(added(&mut log, &system), "b\nnew\n");
        // It may not be there yet.
        let mut log = MailLog::mark(&MemorySystem::new(), "/var/log/own", &[]).unwrap();
        assert_eq!(added(&mut log, &system), "a\nb\n");
    }

    #[test]
    fn files_are_followed_by_name_and_more_may_come() {
        let system = MemorySystem::new().file(LOG, "old\n");
        let mut log = MailLog::of_files(&system, &[LOG.into(), "/var/log/new".into()]).unwrap();
        let system = MemorySystem::new()
            .file(LOG, "old\na\n")
            .file("/var/log/new", "b\n")
            .file("/var/log/own", "old\n");
        assert_eq!(added(&mut log, &system), "a\nb\n");
        log.follow(&system, "/var/log/own".into()).unwrap();
        log.follow(&system, LOG.into()).unwrap();
        let system = MemorySystem::new()
            .file(LOG, "old\na\n")
            .file("/var/log/new", "b\n")
            .file("/var/log/own", "old\nc\n");
        assert_eq!(added(&mut log, &system), "c\n");
    }

    #[test]
    fn the_journal_is_read_from_where_it_was() {
        let journal = |after: Option<&str>, said: &str| {
            let query = Query::Journal {
                after: after.map(str::to_owned),
            };
            let output = Output {
                stdout: said.as_bytes().to_vec(),
                ..Output::default()
            };
            (query, output)
        };
        let mut system = MemorySystem::new();
        for (query, output) in [
            journal(None, "old\n-- cursor: s=1\n"),
            journal(Some("s=1"), "new\n-- cursor: s=2\n"),
            journal(Some("s=2"), ""),
        ] {
            system = system.answer(query, output);
        }
        let mut log = MailLog::mark(&system, "", &usual()).unwrap();
        assert_eq!(log.places(), ["the journal"]);
        assert_eq!(log.before(&system, 0).unwrap(), b"old\n");
        assert_eq!(added(&mut log, &system), "new\n");
        assert_eq!(added(&mut log, &system), "");
        assert_eq!(added(&mut log, &system), "");
    }

    #[test]
    fn that_there_is_no_log_is_said_with_the_reason() {
        let check = |system: &MemorySystem, named: &str, expected: &str| {
            let error = MailLog::mark(system, named, &usual()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            &MemorySystem::new(),
            "",
            "there is no mail log: neither `/var/log/mail.log`, `/var/log/maillog` nor a journal",
        );
        check(
            &MemorySystem::new(),
            "/dev/stdout",
            "`maillog_file = /dev/stdout` in main.cf sends the mail log to where nobody can read it back",
        );
        let hidden = Output {
            stderr:
                b"Hint: You are currently not seeing messages from other users and the system.\n"
                    .to_vec(),
            ..Output::default()
        };
        let system = MemorySystem::new().answer(Query::Journal { after: None }, hidden);
        check(
            &system,
            "",
            "the mail log cannot be read: the journal is not shown to this user",
        );
        let looping = MemorySystem::new().node(LOG, Node::Link(LOG.into()));
        assert!(matches!(
            MailLog::mark(&looping, "", &usual()).unwrap_err(),
            MailLogError::Refused { .. }
        ));
    }

    #[test]
    fn the_past_is_read_up_to_the_mark() {
        let system = MemorySystem::new().file(LOG, "one\ntwo\n");
        let log = MailLog::mark(&system, "", &usual()).unwrap();
        let later = MemorySystem::new().file(LOG, "one\ntwo\nthree\n");
        assert_eq!(log.before(&later, 4).unwrap(), b"two\n\n");
        assert_eq!(log.before(&later, 400).unwrap(), b"one\ntwo\n\n");
    }
}
