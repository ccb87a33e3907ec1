//! Table types that work, which is less than what Postfix names.
//!
//! `postconf -m` lists a type whose plugin is not there (`dynamicmaps.cf` says it is), and
//! `hash` in builds without Berkeley DB. So plugins are looked for, and the types that need an
//! index are tried in a private copy. Must not know which type is wanted for what.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::Parameters;
use crate::system::{File, Indexer, Output, Rehearsal, System, SystemError, Trial};

/// The list of plugins in `meta_directory` (`postfix-files`(5)), and the folder of further ones.
const PLUGINS: &str = "dynamicmaps.cf";

/// Where the configuration lies in the private copy.
const CONFIG: &str = "config";

/// The table that is tried, and what it holds.
const TRIED: (&str, &str, &str) = ("tried/table", "key", "value");

/// A status above it is that of a program which a signal ended (see [`Output`]).
const KILLED: i32 = 128;

/// Table types by whether they work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TableTypes {
    /// Those that do.
    pub working: BTreeSet<String>,
    /// Those that are only named, each with what is wrong.
    pub broken: BTreeMap<String, String>,
}

/// Which types are tried out, if Postfix names them; of others the name is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried<'a> {
    /// All of these.
    All(&'a [String]),
    /// These, until one works: trying costs more than all other looking.
    UntilOneWorks(&'a [String]),
}

/// Sorts the types that Postfix names.
pub(super) fn observe(
    system: &dyn System,
    main: &[u8],
    parameters: &Parameters,
    named: BTreeSet<String>,
    tried: Tried<'_>,
) -> Result<TableTypes, SystemError> {
    let mut types = TableTypes {
        working: named,
        broken: BTreeMap::new(),
    };
    if system.is_collected() {
        // Nothing can be tried there from here.
        return Ok(types);
    }
    // Of a tree often only the configuration was brought here, and the types are this machine's.
    if system.root().is_none() {
        for (kind, plugin) in plugins(system, parameters)? {
            if types.working.contains(&kind) && system.stat(&plugin)?.is_none() {
                types.working.remove(&kind);
                types
                    .broken
                    .insert(kind, format!("its plugin `{plugin}` is not there"));
            }
        }
    }
    let (Tried::All(kinds) | Tried::UntilOneWorks(kinds)) = tried;
    let kinds: Vec<&String> = kinds
        .iter()
        .filter(|kind| types.working.contains(*kind))
        .collect();
    let at_a_time = match tried {
        Tried::All(_) => kinds.len().max(1),
        Tried::UntilOneWorks(_) => 1,
    };
    for kinds in kinds.chunks(at_a_time) {
        let failed = try_out(system, main, parameters, kinds)?;
        let one_works = failed.len() < kinds.len();
        for (kind, said) in failed {
            types.working.remove(&kind);
            types.broken.insert(kind, said);
        }
        if one_works {
            break;
        }
    }
    Ok(types)
}

/// The plugin of each type that is one, as `dynamicmaps.cf` says it.
fn plugins(
    system: &dyn System,
    parameters: &Parameters,
) -> Result<Vec<(String, Utf8PathBuf)>, SystemError> {
    // Before 3.0 there is no such parameter, and the list has whole paths, where there is one.
    let meta = [
        parameters.get("meta_directory"),
        parameters.get("config_directory"),
    ]
    .into_iter()
    .find(|path| !path.is_empty())
    .unwrap_or_default();
    let folder = Utf8PathBuf::from(parameters.get("shlib_directory"));
    let list = Utf8Path::new(&meta).join(PLUGINS);
    let further = Utf8PathBuf::from(format!("{list}.d"));
    let mut lists = vec![list];
    if !meta.is_empty() && system.stat(&further)?.is_some() {
        let names = system.list(&further)?;
        lists.extend(names.iter().map(|name| further.join(name)));
    }
    let mut plugins = Vec::new();
    for list in lists {
        let Ok(Some(File { bytes, .. })) = system.read(&list) else {
            continue;
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(plugin)) = (words.next(), words.next()) else {
                continue;
            };
            let plugin = folder.join(plugin);
            if !kind.starts_with('#') && plugin.is_absolute() {
                plugins.push((kind.to_owned(), plugin));
            }
        }
    }
    Ok(plugins)
}

/// The `main.cf` for programs that build or ask tables in a private copy: as it stands, except
/// that what it says relative to its own place is still found.
#[must_use]
pub fn main_cf_of_copy(main: &[u8], parameters: &Parameters) -> File {
    let mut bytes = main.to_vec();
    bytes.push(b'\n');
    for name in ["meta_directory", "shlib_directory"] {
        if parameters.raw(name).is_some() {
            let line = format!("{name} = {}\n", parameters.get(name));
            bytes.extend_from_slice(line.as_bytes());
        }
    }
    File::new(bytes, 0o644, 0, 0)
}

/// Builds and asks a table of each type; gives those that failed, with what was said.
fn try_out(
    system: &dyn System,
    main: &[u8],
    parameters: &Parameters,
    kinds: &[&String],
) -> Result<Vec<(String, String)>, SystemError> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let (table, key, value) = TRIED;
    let config = Utf8PathBuf::from(CONFIG);
    let mut runs = Vec::new();
    let mut files = vec![(config.join("main.cf"), main_cf_of_copy(main, parameters))];
    for kind in kinds {
        // `hash` and `btree` write to the same name, so each has its own.
        let source = Utf8PathBuf::from(format!("{table}-{kind}"));
        let text = format!("{key} {value}\n");
        files.push((source.clone(), File::new(text, 0o644, 0, 0)));
        runs.push(Trial::Index {
            config: config.clone(),
            indexer: Indexer::Postmap,
            kind: (*kind).clone(),
            source: source.clone(),
        });
        runs.push(Trial::Lookup {
            config: config.clone(),
            table: format!("{kind}:@COPY@/{source}"),
            keys: vec![key.to_owned()],
        });
    }
    let rehearsal = Rehearsal {
        files,
        runs,
        ..Rehearsal::default()
    };
    let outputs = match system.rehearse(&rehearsal) {
        Ok(rehearsed) => rehearsed.outputs,
        // Without postmap(1) nothing is known but the names.
        Err(SystemError::Missing { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let failed = kinds
        .iter()
        .zip(outputs.chunks(2))
        .filter_map(|(kind, outputs)| {
            // Who was killed said nothing about the type.
            if outputs.iter().any(|output| output.status > KILLED) {
                return None;
            }
            let failure = outputs.iter().find(|output| !output.success())?;
            Some(((*kind).clone(), said(failure)))
        });
    Ok(failed.collect())
}

/// What a program said when it gave up, its name and the word `fatal` left out.
fn said(output: &Output) -> String {
    let errors = output.errors();
    let last = errors.lines().last().unwrap_or("it finds nothing");
    let text = last.split_once("fatal: ").map_or(last, |(_, text)| text);
    format!("`postmap` says: {}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Rehearsed};

    fn parameters(meta: &str) -> Parameters {
        let pairs = [
            ("meta_directory", meta),
            ("config_directory", "/etc/postfix"),
            ("shlib_directory", "/lib"),
        ];
        Parameters::new(
            pairs
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
    }

    fn observed(system: &MemorySystem, meta: &str) -> TableTypes {
        let named = ["cdb", "hash", "ldap", "lmdb"].map(str::to_owned);
        let tried = ["hash", "cdb", "sdbm"].map(str::to_owned);
        let all = Tried::All(&tried);
        observe(system, b"a = b", &parameters(meta), named.into(), all).unwrap()
    }

    #[track_caller]
    fn check(system: &MemorySystem, meta: &str, broken: &[&str]) {
        let types = observed(system, meta);
        let said: Vec<String> = types
            .broken
            .iter()
            .map(|(kind, why)| format!("{kind}: {why}"))
            .collect();
        assert_eq!(said, broken);
        assert_eq!(types.working.len() + broken.len(), 4);
    }

    #[test]
    fn a_type_without_its_plugin_does_not_work() {
        let system = || {
            MemorySystem::new()
                .file(
                    "/m/dynamicmaps.cf",
                    "# a\nlmdb p.so dict_open\nldap /x/l.so d\n",
                )
                .file("/m/dynamicmaps.cf.d/cdb", "cdb\tc.so\tdict_open\tmkmap\n")
        };
        check(
            &system(),
            "/m",
            &[
                "cdb: its plugin `/lib/c.so` is not there",
                "ldap: its plugin `/x/l.so` is not there",
                "lmdb: its plugin `/lib/p.so` is not there",
            ],
        );
        let there = system().file("/lib/c.so", "").file("/x/l.so", "");
        check(&there.file("/lib/p.so", ""), "/m", &[]);
        check(&MemorySystem::new(), "/m", &[]);
        // Before 3.0 the list lay beside main.cf.
        let old = MemorySystem::new().file("/etc/postfix/dynamicmaps.cf", "cdb /c.so open\n");
        check(&old, "", &["cdb: its plugin `/c.so` is not there"]);
    }

    #[test]
    fn a_type_that_builds_nothing_does_not_work() {
        let system = MemorySystem::new().rehearsing(|rehearsal| {
            let outputs = rehearsal.runs.iter().map(|run| match run {
                Trial::Index { kind, .. } if kind == "hash" => Output {
                    status: 1,
                    stdout: Vec::new(),
                    stderr: b"postmap: warning: x\npostmap: fatal: no Berkeley DB\n".to_vec(),
                },
                _ => Output::default(),
            });
            Rehearsed {
                outputs: outputs.collect(),
                collected: Vec::new(),
            }
        });
        check(&system, "/m", &["hash: `postmap` says: no Berkeley DB"]);
    }

    #[test]
    fn where_one_will_do_no_more_are_tried() {
        let system = MemorySystem::new().rehearsing(|rehearsal| {
            let outputs = rehearsal.runs.iter().map(|run| match run {
                Trial::Index { kind, .. } if kind != "cdb" => Output {
                    status: 1,
                    ..Output::default()
                },
                _ => Output::default(),
            });
            Rehearsed {
                outputs: outputs.collect(),
                collected: Vec::new(),
            }
        });
        let named = || ["cdb", "hash", "lmdb"].map(str::to_owned).into();
        let order = ["hash", "cdb", "lmdb"].map(str::to_owned);
        let broken = |tried| {
            let types = observe(&system, b"", &parameters("/m"), named(), tried).unwrap();
            types.broken.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(broken(Tried::All(&order)), ["hash", "lmdb"]);
        assert_eq!(broken(Tried::UntilOneWorks(&order)), ["hash"]);
        assert!(broken(Tried::UntilOneWorks(&[])).is_empty());
    }

    #[test]
    fn a_type_whose_trial_was_killed_is_believed() {
        let system = MemorySystem::new().rehearsing(|rehearsal| {
            let outputs = rehearsal.runs.iter().map(|run| Output {
                status: match run {
                    Trial::Index { kind, .. } if kind == "hash" => KILLED + 9,
                    Trial::Lookup { table, .. } if table.starts_with("hash:") => 1,
                    _ => 0,
                },
                ..Output::default()
            });
            Rehearsed {
                outputs: outputs.collect(),
                collected: Vec::new(),
            }
        });
        check(&system, "/m", &[]);
    }

    #[test]
    fn the_copy_finds_its_plugins_wherever_it_lies() {
        let file = main_cf_of_copy(b"meta_directory = $config_directory", &parameters("/m"));
        assert_eq!(
            String::from_utf8(file.bytes).unwrap(),
            "meta_directory = $config_directory\nmeta_directory = /m\nshlib_directory = /lib\n"
        );
    }
}
