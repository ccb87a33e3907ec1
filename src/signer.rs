//! Signers: the milters that sign mail, and how each is set up.
//!
//! Owns [`Signer`], read from `profiles/signers/*.toml`: a new one is a file there, with its
//! templates, and no Rust. Knows two ways in which such programs write their configuration.
//! Must not know which of them a host has, nor what is to be signed.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use toml::Spanned;

use crate::data_file::{self, DataError, Faults};
use crate::embedded::{SIGNERS, TEMPLATES};
use crate::finding::Finding;
use crate::mail::dkim::Algorithm;
use crate::postfix::Milter;

/// What every file of ours says near its beginning; one that does not is somebody else's.
pub const MARK: &str = "Written by mailfix";

/// A milter that signs mail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Signer {
    /// The name of its data file, which is also what its package goes by.
    #[serde(skip)]
    pub id: String,
    /// Its name.
    pub title: String,
    /// Where its program can be.
    pub programs: Vec<Utf8PathBuf>,
    /// The users it may run as: the first that there is, where its configuration names none.
    pub users: Vec<String>,
    /// The algorithms it signs one message with.
    pub algorithms: Vec<Algorithm>,
    /// Whether it reads an Ed25519 key as bytes in base64, not as PEM.
    #[serde(default)]
    pub ed25519_in_base64: bool,
    /// What else it does with mail once Postfix names it.
    pub also: Option<String>,
    /// The folder that is ours entirely.
    pub folder: Utf8PathBuf,
    /// Files that would win over what is set up.
    #[serde(default)]
    pub in_the_way: Vec<Utf8PathBuf>,
    /// The command that reads its configuration and says whether it is right.
    pub check: Vec<String>,
    /// Its unit of systemd.
    pub unit: String,
    /// What service(8) calls it.
    pub service: String,
    /// Where it listens.
    pub socket: Socket,
    /// The file of the administrator's in which single words are set.
    pub conf: Option<Conf>,
    /// The files that are ours.
    #[serde(rename = "file")]
    files: Vec<SignerFile>,
}

/// How a signer is told where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Socket {
    /// The files that may say it, the one that wins first.
    pub files: Vec<Utf8PathBuf>,
    /// The name it has there.
    pub key: String,
    /// How these files are written.
    pub syntax: Syntax,
    /// Where it listens if none says it; without it, it does not.
    pub default: Option<String>,
    /// What we say, if we say it.
    pub ours: Option<String>,
    /// What packages say, which nobody chose.
    #[serde(default)]
    pub shipped: Vec<String>,
}

/// A file of the administrator's in which we set single words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Conf {
    /// Where it lies.
    pub path: Utf8PathBuf,
    /// The name under which it says whom it runs as.
    pub user: String,
    /// Names that say, where they are set, that it signs already.
    pub against: Vec<String>,
    /// The only values with which it can do what we want, by name.
    pub allowed: BTreeMap<String, Vec<String>>,
    /// What we set; set to something else, it signs already.
    pub ours: BTreeMap<String, String>,
    /// What we set where nobody has.
    pub unless_set: BTreeMap<String, String>,
}

/// A file that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct SignerFile {
    /// Where it lies.
    pub path: Utf8PathBuf,
    /// The template it is made of.
    template: Spanned<String>,
}

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// `Name value`, a line each, names in any case; sockets as sendmail names them.
    Words,
    /// `name = "value";`; sockets as `host:port` or a path.
    Assignments,
}

impl Signer {
    /// Reads a signer's file; its id is the file's name.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let mut signer: Self = data_file::parse(text, path)?;
        path.file_stem()
            .unwrap_or_default()
            .clone_into(&mut signer.id);
        let mut faults = Faults::new(path, text);
        for file in &signer.files {
            let template = file.template.get_ref();
            if !TEMPLATES.iter().any(|(name, _)| name == template) {
                let title = format!("there is no template `{template}`");
                faults.add(file.template.span(), Finding::error("no-template", title));
            }
        }
        faults.finish(signer)
    }

    /// Lists the signers that mailfix knows, by id.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        SIGNERS
            .iter()
            .map(|(id, text)| {
                Self::parse(text, Utf8Path::new(&format!("{id}.toml")))
                    .expect("a test reads every embedded signer")
            })
            .collect()
    }

    /// Finds one by its id.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|signer| signer.id == id)
    }

    /// The files that are ours: path and template of each.
    pub fn files(&self) -> impl Iterator<Item = (&Utf8Path, &str)> {
        let files = self.files.iter();
        files.map(|file| (file.path.as_path(), file.template.get_ref().as_str()))
    }

    /// Where the copy of a key lies that only the signer may read.
    #[must_use]
    pub fn key_file(&self, selector: &str) -> Utf8PathBuf {
        self.folder.join(format!("{selector}.private"))
    }
}

impl Syntax {
    /// The values a text gives a name, in order.
    #[must_use]
    pub fn values(self, text: &str, name: &str) -> Vec<String> {
        let lines = text.lines().filter_map(|line| self.line(line));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// Name and value of a line, if it has both.
    fn line(self, line: &str) -> Option<(&str, &str)> {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (name, value) = match self {
            Self::Words => line.split_once(char::is_whitespace)?,
            Self::Assignments => line.split_once(['=', ':', ' '])?,
        };
        let value = match self {
            Self::Words => value.trim(),
            Self::Assignments => value
                .trim_start_matches([' ', '\t', '='])
                .trim_end_matches([';', ' ', '\t'])
                .trim_matches('"'),
        };
        Some((name.trim(), value))
    }

    /// Gives the text with one name set: its last line says it, or a line is added. Every other
    /// byte stays.
    #[must_use]
    pub fn set(self, text: &str, name: &str, value: &str) -> String {
        let setting = match self {
            Self::Words => format!("{name} {value}"),
            Self::Assignments => format!("{name} = \"{value}\";"),
        };
        let is_it = |line: &&str| {
            self.line(line)
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let last = lines.iter().rposition(is_it);
        let old = last.and_then(|at| lines.get_mut(at));
        if let Some(line) = old {
            let value_of = self.line(line).map(|(_, value)| value).unwrap_or_default();
            let new = line.replacen(value_of, value, 1);
            // The name may hold the value, as in `Mode m`.
            let read = self.line(&new).map(|(_, value)| value.to_owned());
            let end = if line.ends_with('\n') { "\n" } else { "" };
            let new = if read.as_deref() == Some(value) {
                new
            } else {
                format!("{setting}{end}")
            };
            *line = &new;
            return lines.concat();
        }
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        format!("{text}{gap}{setting}\n")
    }

    /// Where a socket that such a file names is for Postfix; `None` where it cannot be reached
    /// from this host.
    #[must_use]
    pub fn milter(self, socket: &str) -> Option<Milter> {
        let inet = |host: &str, port: &str| {
            let host = match host.trim_matches(['[', ']']) {
                // Wherever it listens, it does so here too.
                "" | "*" | "0.0.0.0" | "localhost" => "127.0.0.1",
                "::" => "::1",
                host => host,
            };
            Some(Milter::Inet {
                host: host.to_owned(),
                port: port.to_owned(),
            })
        };
        let unix = |path: &str| {
            Some(Milter::Unix {
                path: path.to_owned(),
            })
        };
        // `/path mode=0660 owner=…`
        let socket = socket.split_whitespace().next()?;
        if socket.starts_with('/') {
            return unix(socket);
        }
        let (before, after) = socket.rsplit_once(':')?;
        match self {
            Self::Words => match socket.split_once(':')? {
                ("local" | "unix", path) => unix(path),
                ("inet" | "inet6", place) => {
                    let (port, host) = place.split_once('@').unwrap_or((place, ""));
                    inet(host, port)
                }
                _ => None,
            },
            Self::Assignments => inet(before, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_signer_is_read_and_whole() {
        let all = Signer::all();
        let ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["opendkim", "rspamd"]);
        for signer in &all {
            let files = signer.files().map(|(path, _)| path);
            let conf = signer.conf.iter().map(|conf| conf.path.as_path());
            let programs = signer.programs.iter().map(AsRef::as_ref);
            for path in files.chain(conf).chain(programs) {
                assert!(path.is_absolute(), "{path}");
            }
            assert!(signer.algorithms.contains(&Algorithm::Rsa));
            let socket = signer
                .socket
                .ours
                .as_ref()
                .or(signer.socket.default.as_ref());
            let milter = signer.socket.syntax.milter(socket.unwrap()).unwrap();
            assert!(milter.is_local(), "{milter}");
        }
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        let text = SIGNERS[0].1.replace("opendkim-key.table", "no");
        let error = Signer::parse(text, Utf8Path::new("x.toml")).unwrap_err();
        assert_eq!(error.findings[0].title, "there is no template `no`");
    }

    const CONF: &str = "# Socket inet:1@localhost\nMode\tsv # as ever\n\nsocket  local:/run/a";

    #[test]
    fn words_are_read_and_set_and_all_else_stays() {
        let words = Syntax::Words;
        assert_eq!(words.values(CONF, "Socket"), ["local:/run/a"]);
        assert_eq!(words.values(CONF, "mode"), ["sv"]);
        assert_eq!(words.values(CONF, "KeyTable"), [""; 0]);
        let set = words.set(CONF, "Socket", "inet:8891@127.0.0.1");
        assert_eq!(set, CONF.replace("local:/run/a", "inet:8891@127.0.0.1"));
        let set = words.set(CONF, "Mode", "s");
        assert_eq!(set, CONF.replace("sv", "s"));
        let set = words.set(CONF, "KeyTable", "/k");
        assert_eq!(set, format!("{CONF}\nKeyTable /k\n"));
        assert_eq!(words.set("Mode o\n", "mode", "v"), "mode v\n");
    }

    #[test]
    fn assignments_are_read() {
        let text = "milter = yes; # on\nbind_socket = \"*:11332\";\n";
        let read = |name| Syntax::Assignments.values(text, name);
        assert_eq!(read("bind_socket"), ["*:11332"]);
        assert_eq!(read("milter"), ["yes"]);
    }

    #[track_caller]
    fn check(syntax: Syntax, socket: &str, expected: Option<&str>) {
        let found = syntax.milter(socket).map(|milter| milter.to_string());
        assert_eq!(found.as_deref(), expected, "{socket}");
    }

    #[test]
    fn sockets_are_named_as_postfix_names_them() {
        let words = |socket, expected| check(Syntax::Words, socket, expected);
        words("inet:8891@127.0.0.1", Some("inet:127.0.0.1:8891"));
        words("inet:8891@localhost", Some("inet:127.0.0.1:8891"));
        words("inet:8891", Some("inet:127.0.0.1:8891"));
        words("inet6:8891@[::1]", Some("inet:[::1]:8891"));
        words(
            "local:/run/opendkim/opendkim.sock",
            Some("unix:/run/opendkim/opendkim.sock"),
        );
        words("/run/a", Some("unix:/run/a"));
        words("fd:3", None);
        let assigned = |socket, expected| check(Syntax::Assignments, socket, expected);
        assigned("localhost:11332", Some("inet:127.0.0.1:11332"));
        assigned("*:11332", Some("inet:127.0.0.1:11332"));
        assigned(
            "/run/rspamd/milter.sock mode=0660",
            Some("unix:/run/rspamd/milter.sock"),
        );
    }
}
