//! The indexes of the new type: built in a private copy, and compared with the old databases.
//!
//! Owns what has to be true of a table before it moves: its source is there and can be read, and
//! what the new index holds is what the old one holds. Must not touch the old databases.
//! Follows postmap(1) and postalias(1).

use camino::{Utf8Path, Utf8PathBuf};

use super::NewType;
use super::content::Content;
use super::rewrite::Moved;
use crate::finding::{Finding, escape};
use crate::host::{Facts, main_cf_of_copy};
use crate::plan::{FileChange, Nature, ReadFile};
use crate::postfix::Table;
use crate::postfix::table::fold_key;
use crate::system::{File, Indexer, Query, Rehearsal, Stat, System, SystemError, Trial};

/// The largest source that is moved: source, index and both contents are held in memory.
const LARGEST_SOURCE: u64 = 128 * 1024 * 1024;

/// How many keys of a difference are named.
const NAMED_KEYS: usize = 3;

/// How many entries of a table are asked again once it is in place.
const SAMPLES: usize = 50;

/// Where configuration and source lie in the private copy.
const CONFIG: &str = "config";
const SOURCE: &str = "moved/table";

/// A table to be asked once it is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `type:path`
    pub table: String,
    /// Keys, with what they give.
    pub entries: Vec<(String, String)>,
}

/// What was built.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The indexes to put in place.
    pub changes: Vec<FileChange>,
    /// The sources they were made from.
    pub read: Vec<ReadFile>,
    /// What to ask of them afterwards.
    pub asked: Vec<Asked>,
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// What keeps a table from being moved.
    pub refusals: Vec<Finding>,
}

/// Builds the index of every table; `main` is the `main.cf` that will stand.
///
/// # Errors
/// When a private copy cannot be made, or Postfix's programs not be started.
pub fn build(
    system: &dyn System,
    facts: &Facts,
    main: &[u8],
    to: NewType,
    tables: &[Moved],
) -> Result<Built, SystemError> {
    let mut built = Built::default();
    let mover = Mover {
        system,
        facts,
        main: main_cf_of_copy(main, &facts.parameters),
        to,
    };
    for table in tables {
        match mover.source(table) {
            Ok((source, modified)) => mover.table(table, &source, modified, &mut built)?,
            Err(refusal) => built.refusals.push(*refusal),
        }
    }
    Ok(built)
}

struct Mover<'a> {
    system: &'a dyn System,
    facts: &'a Facts,
    main: File,
    to: NewType,
}

impl Mover<'_> {
    fn works(&self, kind: &str) -> bool {
        self.facts.table_types.contains(kind)
    }

    /// The source and its time, or why the table cannot move.
    fn source(&self, table: &Moved) -> Result<(File, i64), Box<Finding>> {
        let path = &table.path;
        let unreadable = |error: SystemError| {
            Finding::error("unreadable-table", error.to_string())
                .because("without its source no index can be built")
                .mend("run mailfix as root, or give the file a name that root can read")
        };
        let Some(stat) = self.system.stat(path).map_err(unreadable)? else {
            return Err(Box::new(self.without_source(table)));
        };
        if stat.size > LARGEST_SOURCE {
            let to = self.to.name();
            let command = table.indexer.words().join(" ");
            return Err(Box::new(
                Finding::error(
                    "huge-table",
                    format!("`{path}` is larger than {} MiB", LARGEST_SOURCE >> 20),
                )
                .because("it is held in memory while it is moved")
                .mend(format!(
                    "move it by hand: `{command} {to}:{path}`, then name it `{to}:` in the configuration"
                )),
            ));
        }
        match self.system.read(path).map_err(unreadable)? {
            Some(file) => Ok((file, stat.modified)),
            None => Err(Box::new(self.without_source(table))),
        }
    }

    fn without_source(&self, table: &Moved) -> Finding {
        let (path, from) = (&table.path, &table.from);
        let has_database = self
            .system
            .stat(&database(path))
            .is_ok_and(|stat| stat.is_some());
        if !has_database {
            return Finding::error("missing-table", format!("the table `{path}` is not there"))
                .because("neither its source nor its database is there: every lookup in it fails")
                .mend("make it, or take it out of the configuration first");
        }
        Finding::error(
            "no-source",
            format!("`{path}` is not there, only its database"),
        )
        .because("whatever writes the database would go on to write the old one")
        .mend(format!(
            "if nothing writes it any more, `{} -s {from}:{path}` prints what it holds: save that as `{path}`",
            table.indexer.words()[0]
        ))
    }

    fn table(
        &self,
        table: &Moved,
        source: &File,
        modified: i64,
        built: &mut Built,
    ) -> Result<(), SystemError> {
        let path = &table.path;
        let stat = self.system.stat(&database(path))?;
        let old = match self.old_content(table, stat.as_ref()) {
            Ok(old) => old,
            Err(finding) => {
                built.findings.push(*finding);
                None
            }
        };
        let trial = self.try_out(table, source, old.as_ref())?;
        let (index, new) = match trial {
            Ok(tried) => tried,
            Err(said) => {
                let to = self.to.name();
                built.refusals.push(
                    Finding::error("no-index", format!("no index `{to}:{path}` can be built"))
                        .because(said),
                );
                return Ok(());
            }
        };
        if let Some(old) = &old {
            let is_newer = stat.as_ref().is_some_and(|stat| modified > stat.modified);
            compare(table, old, &new, is_newer, built);
        }
        built.read.push(ReadFile {
            path: path.clone(),
            sha256: source.digest(),
        });
        built.asked.push(Asked {
            table: format!("{}:{path}", self.to.name()),
            entries: samples(&new),
        });
        self.put(table, source, stat, index, &new, built)
    }

    /// What the old database holds; `None` if there is none.
    fn old_content(
        &self,
        table: &Moved,
        stat: Option<&Stat>,
    ) -> Result<Option<Content>, Box<Finding>> {
        if stat.is_none() {
            return Ok(None);
        }
        let spelled = format!("{}:{}", table.from, table.path);
        let said = if self.works(&table.from) {
            let query = Query::Dump {
                config: self.facts.config.clone(),
                table: spelled.clone(),
            };
            match self.system.query(&query) {
                Ok(output) if output.success() => return Ok(Some(Content::read(output.stdout))),
                Ok(output) => output.errors().trim().to_owned(),
                Err(error) => error.to_string(),
            }
        } else {
            format!("this Postfix has no `{}` that works", table.from)
        };
        Err(Box::new(
            Finding::warning(
                "not-compared",
                format!("the old database of `{spelled}` cannot be read"),
            )
            .because(format!(
                "so nobody can tell whether it held what `{}` says: {said}",
                table.path
            )),
        ))
    }

    /// Builds the index, and says what it holds; else what the program said.
    fn try_out(
        &self,
        table: &Moved,
        source: &File,
        old: Option<&Content>,
    ) -> Result<Result<(Vec<u8>, Content), String>, SystemError> {
        let config = Utf8PathBuf::from(CONFIG);
        let to = self.to.name();
        let dumper = dumper(self.facts, self.to, table);
        let index = |kind: &str| Trial::Index {
            config: config.clone(),
            indexer: table.indexer,
            kind: kind.to_owned(),
            source: SOURCE.into(),
        };
        let mut runs = vec![index(to)];
        if let Some(dumper) = dumper {
            if dumper != to {
                runs.push(index(dumper));
            }
            runs.push(Trial::Dump {
                config: config.clone(),
                table: format!("{dumper}:@COPY@/{SOURCE}"),
            });
        }
        let keys = if dumper == Some(to) {
            Vec::new()
        } else {
            keys(table, source, old)
        };
        if dumper != Some(to) {
            runs.push(Trial::Lookup {
                config: config.clone(),
                table: format!("{to}:@COPY@/{SOURCE}"),
                keys: keys.clone(),
            });
        }
        let source = File {
            mode: 0o600,
            attributes: Vec::new(),
            ..source.clone()
        };
        let rehearsed = self.system.rehearse(&Rehearsal {
            files: vec![
                (config.join("main.cf"), self.main.clone()),
                (SOURCE.into(), source),
            ],
            collect: vec![format!("{SOURCE}.{to}").into()],
            runs: runs.clone(),
            ..Rehearsal::default()
        })?;
        let outputs = rehearsed.outputs;
        let failed = runs.iter().zip(&outputs).find(|(run, output)| {
            // A key that is not found ends a lookup with 1.
            !output.success() && !matches!(run, Trial::Lookup { .. })
        });
        if let Some((_, output)) = failed {
            return Ok(Err(output.errors().trim().replace('\n', "; ")));
        }
        let Some(bytes) = rehearsed.collected.into_iter().next().flatten() else {
            return Ok(Err("the program ends well and writes none".to_owned()));
        };
        let (mut listed, mut asked) = (None, None);
        for (run, output) in runs.iter().zip(outputs) {
            match run {
                Trial::Dump { .. } => listed = Some(Content::read(output.stdout)),
                Trial::Lookup { .. } => asked = Some(Content::read(output.stdout)),
                _ => {}
            }
        }
        if let (Some(listed), Some(asked)) = (&listed, &asked) {
            // What it is asked it must answer as the listing says.
            let expected = listed.clone().only(&keys);
            if let Some(key) = expected.differing(asked).first() {
                let key = escape(&String::from_utf8_lossy(key));
                return Ok(Err(format!(
                    "it gives another answer for `{key}` than the table"
                )));
            }
        }
        Ok(Ok((bytes, listed.or(asked).unwrap_or_default())))
    }

    /// Plans the index file, unless one that holds the same is there.
    fn put(
        &self,
        table: &Moved,
        source: &File,
        old: Option<Stat>,
        bytes: Vec<u8>,
        new: &Content,
        built: &mut Built,
    ) -> Result<(), SystemError> {
        let to = self.to.name();
        let path = Utf8PathBuf::from(format!("{}.{to}", table.path));
        let before = self.system.read(&path)?;
        if let Some(before) = &before {
            let is_fresh = match (self.system.stat(&path)?, self.system.stat(&table.path)?) {
                (Some(index), Some(source)) => index.modified >= source.modified,
                _ => false,
            };
            let query = Query::Dump {
                config: self.facts.config.clone(),
                table: format!("{to}:{}", table.path),
            };
            let holds_the_same = before.bytes == bytes
                || (self.to == NewType::Lmdb
                    && self.system.query(&query).is_ok_and(|output| {
                        output.success() && Content::read(output.stdout).differing(new).is_empty()
                    }));
            if is_fresh && holds_the_same {
                return Ok(());
            }
        }
        // It is as secret as the old one, and belongs to the same: local(8) runs the commands of
        // aliases with the rights of their database's owner.
        let (mode, uid, gid) = match old {
            Some(old) => (old.mode, old.uid, old.gid),
            None => (source.mode, source.uid, source.gid),
        };
        built.changes.push(FileChange {
            path,
            before,
            after: Some(File::new(bytes, mode, uid, gid)),
            nature: Nature::Index,
        });
        Ok(())
    }
}

/// A type that can list what it holds: a cdb cannot.
fn dumper<'a>(facts: &Facts, to: NewType, table: &'a Moved) -> Option<&'a str> {
    let kinds = [to.name(), NewType::Lmdb.name(), &table.from];
    kinds
        .into_iter()
        .find(|kind| *kind != NewType::Cdb.name() && facts.table_types.contains(*kind))
}

/// Tells how what an old database holds differs from the new index, if it does.
fn compare(table: &Moved, old: &Content, new: &Content, is_newer: bool, built: &mut Built) {
    let differing: Vec<String> = old
        .differing(new)
        .into_iter()
        .map(|key| format!("`{}`", escape(&String::from_utf8_lossy(key))))
        .collect();
    if differing.is_empty() {
        return;
    }
    let path = &table.path;
    let count = match differing.len() {
        1 => "one entry differs".to_owned(),
        count => format!("{count} entries differ"),
    };
    let mut named = differing[..differing.len().min(NAMED_KEYS)].join(", ");
    if differing.len() > NAMED_KEYS {
        named.push_str(", …");
    }
    // The content of certificates changes while the table does not.
    if is_newer || table.indexer == Indexer::PostmapFiles {
        built.findings.push(
            Finding::warning(
                "stale-index",
                format!("the old database of `{path}` is out of date: {count}"),
            )
            .because(format!(
                "what was changed since comes into force with the new one: {named}"
            )),
        );
        return;
    }
    built.refusals.push(
        Finding::error(
            "table-differs",
            format!("the database of `{path}` does not hold what the table says: {count}"),
        )
        .because(format!(
            "it was not built from it by `{}`: {named}",
            table.indexer.words().join(" ")
        ))
        .mend(format!(
            "if the table is right, run `{} {}:{path}` and look whether mail still goes its way",
            table.indexer.words().join(" "),
            table.from
        )),
    );
}

fn database(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.db").into()
}

/// The keys to ask an index that cannot be listed: those of the old database, else the table's.
fn keys(table: &Moved, source: &File, old: Option<&Content>) -> Vec<String> {
    match old {
        Some(old) => old
            .entries()
            .filter_map(|(key, _)| String::from_utf8(key.to_vec()).ok())
            .filter(|key| key != "@")
            .collect(),
        None if table.indexer == Indexer::Postalias => Vec::new(),
        None => Table::parse(&source.bytes)
            .entries()
            // What is built holds them folded, and an answer repeats the key it was asked.
            .map(|entry| fold_key(&entry.key).into_owned())
            .collect(),
    }
}

/// Some entries to ask again later.
fn samples(content: &Content) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    content
        .entries()
        .filter(|(key, _)| *key != b"@")
        .filter_map(|(key, value)| Some((text(key)?, text(value)?)))
        .take(SAMPLES)
        .collect()
}
