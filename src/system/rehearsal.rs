//! The private copy: laid out in a temporary directory, tried there, gone afterwards.
//!
//! Owns the directory and what `@COPY@` stands for. Must not know what is tried.
#![expect(clippy::disallowed_methods, reason = "it writes a copy of its own")]

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::program::Programs;
use super::signal::Hold;
use super::{Output, Rehearsal, Rehearsed, SystemError, Trial};

/// What stands for the directory in files, arguments and output.
const COPY: &str = "@COPY@";

/// How old the files claim to be: Postfix sleeps over a `main.cf` under two seconds old.
const AGE: Duration = Duration::from_secs(60);

/// Lays the copy out, tries it and removes it.
///
/// # Errors
/// When the copy cannot be made, a program not be started, or the person interrupts.
pub(super) fn rehearse(
    programs: &Programs,
    rehearsal: &Rehearsal,
    interruptible: bool,
) -> Result<Rehearsed, SystemError> {
    let copy = Copy::new()?;
    for directory in &rehearsal.directories {
        copy.directory(directory)?;
    }
    for (path, file) in &rehearsal.files {
        copy.file(path, &file.bytes, file.mode)?;
    }
    let mut outputs = Vec::with_capacity(rehearsal.runs.len());
    for trial in &rehearsal.runs {
        let mut output = copy.run(programs, trial, interruptible)?;
        output.stdout = copy.hidden(&output.stdout);
        output.stderr = copy.hidden(&output.stderr);
        outputs.push(output);
    }
    let collected = rehearsal
        .collect
        .iter()
        .map(|path| copy.collect(path))
        .collect::<Result<_, _>>()?;
    Ok(Rehearsed { outputs, collected })
}

/// The directory of a private copy.
pub(super) struct Copy {
    top: Utf8PathBuf,
    /// Removes the directory when dropped, also when a panic does that.
    _folder: tempfile::TempDir,
    /// Comes last: the directory is gone before a Ctrl-C takes effect.
    _hold: Hold,
}

impl Copy {
    /// Makes an empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> Result<Self, SystemError> {
        let failed = |source| SystemError::Write {
            path: COPY.into(),
            source,
        };
        let hold = Hold::new().map_err(failed)?;
        // 0700 from the first moment: it may hold passwords of relay hosts.
        let folder = tempfile::Builder::new()
            .prefix("mailfix-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(failed)?;
        let top = Utf8Path::from_path(folder.path())
            .ok_or_else(|| io::Error::other("the temporary directory is not UTF-8"))
            .and_then(Utf8Path::canonicalize_utf8)
            .map_err(failed)?;
        if top.as_str().contains([' ', '\t', ',', '$', '{', '}']) {
            // Such a path means something else in main.cf.
            return Err(failed(io::Error::other(format!(
                "the temporary directory `{top}` has a character that Postfix takes for a separator"
            ))));
        }
        Ok(Self {
            top,
            _folder: folder,
            _hold: hold,
        })
    }

    /// Where it is.
    pub(super) fn top(&self) -> &Utf8Path {
        &self.top
    }

    /// Where a relative path is; one that would lead out of the copy is refused.
    fn place(&self, path: &Utf8Path) -> Result<Utf8PathBuf, SystemError> {
        let inside = path
            .components()
            .all(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir));
        if inside {
            Ok(self.top.join(path))
        } else {
            Err(SystemError::Write {
                path: path.to_owned(),
                source: io::Error::other("it leads out of the private copy"),
            })
        }
    }

    fn directory(&self, path: &Utf8Path) -> Result<(), SystemError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(self.place(path)?)
            .map_err(|source| SystemError::Write {
                path: path.to_owned(),
                source,
            })
    }

    /// Lays a file out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn file(&self, path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<(), SystemError> {
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        let place = self.place(path)?;
        let write = || -> io::Result<()> {
            let mut file = std::fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&place)?;
            file.write_all(&replace(
                bytes,
                COPY.as_bytes(),
                self.top.as_str().as_bytes(),
            ))?;
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            file.set_modified(SystemTime::now() - AGE)
        };
        write().map_err(|source| SystemError::Write {
            path: path.to_owned(),
            source,
        })
    }

    fn run(
        &self,
        programs: &Programs,
        trial: &Trial,
        interruptible: bool,
    ) -> Result<Output, SystemError> {
        let program = match trial {
            Trial::Postconf { config, arguments } => programs
                .program("postconf")?
                .argument("-c")
                .argument(self.place(config)?)
                .arguments(&self.shown(arguments)),
            Trial::Check { config } => programs
                .program("postfix")?
                .on_terminal()
                .argument("-c")
                .argument(self.place(config)?)
                .argument("check"),
            Trial::Index {
                config,
                indexer,
                kind,
                source,
            } => {
                let (name, flags) = indexer.words().split_first().expect("it has a name");
                flags
                    .iter()
                    .fold(programs.program(name)?, |program, flag| {
                        program.argument(flag)
                    })
                    .argument("-c")
                    .argument(self.place(config)?)
                    .argument(format!("{kind}:{}", self.place(source)?))
            }
            Trial::Dump { config, table } => programs
                .program("postmap")?
                .argument("-c")
                .argument(self.place(config)?)
                .argument("-s")
                .argument(table.replace(COPY, self.top.as_str())),
            Trial::Lookup {
                config,
                table,
                keys,
            } => programs
                .program("postmap")?
                .argument("-c")
                .argument(self.place(config)?)
                .argument("-q")
                .argument("-")
                .argument(table.replace(COPY, self.top.as_str()))
                .lines(keys),
        };
        program.interruptible(interruptible).run()
    }

    fn shown(&self, arguments: &[String]) -> Vec<String> {
        arguments
            .iter()
            .map(|argument| argument.replace(COPY, self.top.as_str()))
            .collect()
    }

    fn hidden(&self, text: &[u8]) -> Vec<u8> {
        replace(text, self.top.as_str().as_bytes(), COPY.as_bytes())
    }

    fn collect(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, SystemError> {
        match std::fs::read(self.place(path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SystemError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Replaces every occurrence in text that need not be UTF-8.
pub(super) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&first) = rest.first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(first);
            rest = &rest[1..];
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::File;

    fn main_cf() -> (Utf8PathBuf, File) {
        let text = "syslog_name = @COPY@/\u{e9}x\ninet_protocols = ipv4\n";
        ("etc/main.cf".into(), File::new(text, 0o640, 0, 0))
    }

    #[test]
    fn the_copy_is_asked_and_gone() {
        let programs = Programs::new();
        if programs.program("postconf").is_err() {
            assert!(std::env::var("CI").is_err(), "CI has Postfix");
            println!("skipped: no Postfix here");
            return;
        }
        let rehearsal = Rehearsal {
            directories: vec!["queue".into()],
            files: vec![
                main_cf(),
                ("etc/table".into(), File::new("a b\n", 0o644, 0, 0)),
            ],
            runs: vec![
                Trial::Postconf {
                    config: "etc".into(),
                    arguments: vec!["-h".to_owned(), "syslog_name".to_owned()],
                },
                Trial::Postconf {
                    config: "elsewhere".into(),
                    arguments: vec!["-n".to_owned()],
                },
                Trial::Lookup {
                    config: "etc".into(),
                    table: "texthash:@COPY@/etc/table".to_owned(),
                    keys: vec!["a".to_owned(), "x".to_owned()],
                },
            ],
            collect: vec!["etc/table".into(), "etc/nothing".into()],
        };
        let started = std::time::Instant::now();
        let Rehearsed { outputs, collected } = rehearse(&programs, &rehearsal, true).unwrap();
        assert_eq!(outputs[0].text(), "@COPY@/\u{e9}x\n");
        assert_ne!(outputs[1].status, 0);
        assert!(outputs[1].errors().contains("@COPY@/elsewhere/main.cf"));
        assert_eq!(outputs[2].text(), "a\tb\n");
        assert_eq!(collected, [Some(b"a b\n".to_vec()), None]);
        // A fatal error takes a second; sleeping over a young main.cf would take two more.
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn nothing_leads_out_of_the_copy() {
        let programs = Programs::new();
        for path in ["/etc/passwd", "../x", "a/../../x"] {
            let rehearsal = Rehearsal {
                files: vec![(path.into(), File::new("", 0o644, 0, 0))],
                ..Rehearsal::default()
            };
            let error = rehearse(&programs, &rehearsal, true).unwrap_err();
            assert!(error.to_string().contains("leads out"), "{error}");
        }
    }

    #[test]
    fn the_copy_goes_when_it_is_dropped() {
        let copy = Copy::new().unwrap();
        copy.file("a/b/c".into(), b"secret", 0o600).unwrap();
        let top = copy.top.clone();
        assert_eq!(
            std::fs::metadata(&top).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(copy);
        assert!(!top.exists());
    }

    #[test]
    fn replacing_leaves_other_bytes_alone() {
        assert_eq!(
            replace(b"\xff@COPY@@COP@COPY@", b"@COPY@", b"/t"),
            b"\xff/t@COP/t"
        );
    }
}
