//! What `main.cf` and `master.cf` say once no table is of Berkeley DB any more.
//!
//! Owns the edits, a word each: `hash` and `btree` become another type wherever they name a
//! table, and every other byte stays. Must not look at files nor build anything.
//! Follows the manual on databases; `cdb` cannot be written to, so it is no type for caches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};

use super::NewType;
use super::uses::{BERKELEY, Use, readings, takes_tables, uses};
use crate::finding::Finding;
use crate::host::Parameters;
use crate::postfix::expand::references;
use crate::postfix::{EditError, MainCf, MasterCf, Service, ServiceType, parameter, table_names};
use crate::system::Indexer;

/// What `postmap FILE` without a type writes, and what some defaults are made of.
const DEFAULT_TYPE: &str = "default_database_type";

/// The same for caches (3.11+).
const DEFAULT_CACHE_TYPE: &str = "default_cache_db_type";

/// The parameter whose tables hold the content of the files they name.
const CERTIFICATES: &str = "tls_server_sni_maps";

/// A table whose index is to be built anew in another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its source.
    pub path: Utf8PathBuf,
    /// The type it had.
    pub from: String,
    /// What builds its index.
    pub indexer: Indexer,
}

/// Both files as they will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// `main.cf`
    pub main: Vec<u8>,
    /// `master.cf`
    pub master: Vec<u8>,
    /// The parameters of `main.cf` that change.
    pub settings: Vec<String>,
    /// The services of `master.cf` that change.
    pub services: Vec<String>,
    /// The tables that need an index of the new type, by path.
    pub moved: Vec<Moved>,
    /// The caches that daemons begin anew, each with its parameter.
    pub caches: Vec<String>,
    /// What is left as it is.
    pub findings: Vec<Finding>,
    /// What stands in the way.
    pub refusals: Vec<Finding>,
}

/// A configuration, and what is known of the host.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// `main.cf`
    pub main: &'a [u8],
    /// `master.cf`
    pub master: &'a [u8],
    /// Every parameter's value, defaults included.
    pub parameters: &'a Parameters,
    /// The table types that work.
    pub types: &'a BTreeSet<String>,
    /// Whether a file is there.
    pub exists: &'a dyn Fn(&Utf8Path) -> bool,
}

/// Rewrites both files.
///
/// # Errors
/// When an edit would not be read back as meant, with the name of the file.
pub fn rewrite(to: NewType, given: &Given<'_>) -> Result<Rewritten, (&'static str, EditError)> {
    let before = (MainCf::parse(given.main), MasterCf::parse(given.master));
    let used = uses(&before.0, &before.1, given.parameters);
    let cache_type = to.for_caches(given.types);
    let rewriter = Rewriter {
        to,
        cache_type,
        readings: readings(&before.0, &before.1, given.parameters),
        in_force: used
            .iter()
            .filter(|table| table.is_berkeley())
            .map(|table| table.path.clone())
            .collect(),
        caches: used
            .iter()
            .filter(|table| table.is_cache())
            .map(|table| table.path.clone())
            .collect(),
    };
    let (mut main, mut master) = before.clone();
    let mut rewritten = Rewritten::default();
    rewriter
        .main(&mut main, &before.1, &mut rewritten.settings)
        .map_err(|error| ("main.cf", error))?;
    rewriter
        .defaults(&mut main, &before.1, given, &mut rewritten.settings)
        .map_err(|error| ("main.cf", error))?;
    rewriter
        .master(&mut master, &mut rewritten.services)
        .map_err(|error| ("master.cf", error))?;

    rewriter.not_in_force(&main, &master, &mut rewritten.findings);
    let now = uses(&main, &master, given.parameters);
    rewritten.moved = moved(to, &used, &now, given);
    for table in used
        .iter()
        .filter(|table| table.is_berkeley() && table.is_cache())
    {
        let stays = now.iter().any(|later| later == table);
        let named = format!("`{}`", table.parameter);
        if !stays && !rewritten.caches.contains(&named) {
            rewritten.caches.push(named);
        }
    }
    judge(to, cache_type, &now, given, &mut rewritten);
    rewritten.main = main.to_bytes();
    rewritten.master = master.to_bytes();
    Ok(rewritten)
}

struct Rewriter {
    to: NewType,
    cache_type: Option<&'static str>,
    /// What `$name` can mean: in main.cf first, then for each service that has options.
    readings: Vec<Parameters>,
    /// The paths of the tables of Berkeley DB that Postfix opens: only these get an index.
    in_force: BTreeSet<Utf8PathBuf>,
    /// The paths of caches, which a variable may hold.
    caches: BTreeSet<Utf8PathBuf>,
}

impl Rewriter {
    fn main(
        &self,
        main: &mut MainCf,
        master: &MasterCf,
        changed: &mut Vec<String>,
    ) -> Result<(), EditError> {
        for name in self.named(main, master) {
            let Some(value) = main.get_bytes(&name).map(<[u8]>::to_vec) else {
                continue;
            };
            let parts = self.parts(&name, &value);
            if !parts.is_empty() {
                main.replace_in(&name, &parts)?;
                changed.push(name);
            }
        }
        Ok(())
    }

    /// The parameters of `main.cf` in which tables can stand, and the variables that these use.
    fn named(&self, main: &MainCf, master: &MasterCf) -> Vec<String> {
        let mut left: Vec<String> = main
            .names()
            .filter(|name| takes_tables(name, self.parameters()))
            .chain([DEFAULT_TYPE, DEFAULT_CACHE_TYPE])
            .map(str::to_owned)
            .collect();
        for service in master.services().filter(|service| !service.overridden) {
            for (_, value) in service.overrides() {
                left.extend(variables(value, main));
            }
        }
        let mut found = BTreeSet::new();
        while let Some(name) = left.pop() {
            if let Some(value) = main.get(&name) {
                left.extend(
                    variables(&value, main)
                        .into_iter()
                        .filter(|variable| !found.contains(variable)),
                );
            }
            found.insert(name);
        }
        // In the order of the file, as it is shown.
        main.names()
            .filter(|name| found.contains(*name))
            .map(str::to_owned)
            .collect()
    }

    fn master(&self, master: &mut MasterCf, changed: &mut Vec<String>) -> Result<(), EditError> {
        let mut options: Vec<(String, ServiceType, String, String)> = Vec::new();
        for service in master.services().filter(|service| !service.overridden) {
            for (option, value) in service.overrides() {
                let known = parameter::lookup(option).is_some();
                if known && !takes_tables(option, self.parameters()) {
                    continue;
                }
                // Of several of one name the last counts.
                options.retain(|(name, kind, other, _)| {
                    (name, kind, other.as_str()) != (&service.name, &service.kind, option)
                });
                let (name, kind) = (service.name.clone(), service.kind.clone());
                options.push((name, kind, option.to_owned(), value.to_owned()));
            }
        }
        for (name, kind, option, value) in options {
            let parts = self.parts(&option, value.as_bytes());
            if parts.is_empty() {
                continue;
            }
            master.replace_in_option(&name, &kind, &option, &parts)?;
            if !changed.contains(&name) {
                changed.push(name);
            }
        }
        Ok(())
    }

    /// What becomes of defaults that are Berkeley DB and are used: they are written out.
    fn defaults(
        &self,
        main: &mut MainCf,
        master: &MasterCf,
        given: &Given<'_>,
        changed: &mut Vec<String>,
    ) -> Result<(), EditError> {
        let default = given.parameters.get(DEFAULT_TYPE);
        if main.get_bytes(DEFAULT_TYPE).is_none() && BERKELEY.contains(&default.as_str()) {
            main.set(DEFAULT_TYPE, self.to.name())?;
            changed.push(DEFAULT_TYPE.to_owned());
        }
        let says = |word: &str| {
            main.settings().any(|setting| setting.value.contains(word))
                || master
                    .services()
                    .flat_map(Service::overrides)
                    .any(|(_, value)| value.contains(word))
        };
        let runs = |command: &str| {
            let mut services = master.services();
            services.any(|service| !service.overridden && service.command == command)
        };
        let cached = [
            ("address_verify_map", says("reject_unverified_")),
            ("postscreen_cache_map", runs("postscreen")),
        ];
        let wanted = ["alias_maps", "alias_database"]
            .map(|name| (name, true))
            .into_iter()
            .chain(cached)
            .filter(|(name, used)| *used && main.get_bytes(name).is_none())
            .map(|(name, _)| name)
            .collect::<Vec<_>>();
        for name in wanted {
            let Some(value) = given.parameters.raw(name) else {
                continue;
            };
            let is_there = parameter::is_cache(name)
                || self.tables(value).iter().any(|path| (given.exists)(path));
            let parts = self.parts(name, value.as_bytes());
            if is_there && !parts.is_empty() {
                let value = parts
                    .iter()
                    .rev()
                    .fold(value.to_owned(), |mut value, part| {
                        value.replace_range(part.0.clone(), part.1);
                        value
                    });
                main.set(name, &value)?;
                changed.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn parameters(&self) -> &Parameters {
        &self.readings[0]
    }

    /// What a name can mean.
    fn paths(&self, name: &[u8]) -> Vec<Utf8PathBuf> {
        let name = String::from_utf8_lossy(name);
        let readings = self.readings.iter();
        readings
            .map(|parameters| Utf8PathBuf::from(parameters.expand(&name)))
            .collect()
    }

    /// Tells whether Postfix opens what a parameter names; a variable may hold the path's start.
    fn is_opened(&self, parameter: &str, paths: &[Utf8PathBuf]) -> bool {
        let is_variable = parameter::lookup(parameter).is_none();
        paths.iter().any(|path| {
            self.in_force.iter().any(|opened| {
                opened == path || (is_variable && opened.as_str().starts_with(path.as_str()))
            })
        })
    }

    /// Tells of the names that stay because nothing opens them now, as in the other branch of a
    /// condition: renamed they would name an index that nobody built.
    fn not_in_force(&self, main: &MainCf, master: &MasterCf, findings: &mut Vec<Finding>) {
        let named = self.named(main, master).into_iter();
        let settings = named.filter_map(|name| Some((main.get(&name)?, name)));
        let services = master.services().filter(|service| !service.overridden);
        let options = services.flat_map(Service::overrides).filter(|(name, _)| {
            parameter::lookup(name).is_none() || takes_tables(name, self.parameters())
        });
        let options = options.map(|(name, value)| (value.to_owned(), name.to_owned()));
        let mut said = BTreeSet::new();
        for (value, parameter) in settings.chain(options) {
            for table in table_names(value.as_bytes()) {
                let kind = value.get(table.kind).unwrap_or_default();
                let name = value.get(table.name).unwrap_or_default();
                let paths = self.paths(name.as_bytes());
                if BERKELEY.contains(&kind)
                    && !self.is_opened(&parameter, &paths)
                    && said.insert((parameter.clone(), name.to_owned()))
                {
                    findings.push(
                        Finding::warning(
                            "still-berkeley-db",
                            format!("`{parameter}` names `{kind}:{name}`"),
                        )
                        .because("nothing opens it as the configuration stands, so it stays")
                        .mend(format!(
                            "before it comes into force, write `{to}:{name}` and build its index",
                            to = self.to.name()
                        )),
                    );
                }
            }
        }
    }

    /// The paths of the tables of Berkeley DB in a value.
    fn tables(&self, value: &str) -> Vec<Utf8PathBuf> {
        let value = self.parameters().expand(value);
        table_names(value.as_bytes())
            .into_iter()
            .filter(|table| BERKELEY.contains(&value.get(table.kind.clone()).unwrap_or_default()))
            .filter_map(|table| value.get(table.name).map(Utf8PathBuf::from))
            .collect()
    }

    /// The words of a value to replace, each with what takes its place.
    fn parts(&self, parameter: &str, value: &[u8]) -> Vec<(Range<usize>, &'static str)> {
        let is_cache = parameter::is_cache(parameter)
            || parameter == DEFAULT_CACHE_TYPE
            || parameter == "proxy_write_maps";
        let is_berkeley = |word: &[u8]| BERKELEY.iter().any(|kind| kind.as_bytes() == word);
        let new = |is_cache: bool| {
            if is_cache {
                self.cache_type
            } else {
                Some(self.to.name())
            }
        };
        // A variable may hold the type alone, for others to write `$type:/path`.
        let holds_type = parameter::lookup(parameter).is_none()
            || matches!(parameter, DEFAULT_TYPE | DEFAULT_CACHE_TYPE);
        if is_berkeley(value) {
            let new = new(is_cache).filter(|_| holds_type);
            return new.map(|new| (0..value.len(), new)).into_iter().collect();
        }
        table_names(value)
            .into_iter()
            .filter(|table| is_berkeley(&value[table.kind.clone()]))
            .filter_map(|table| {
                let paths = self.paths(&value[table.name]);
                if !self.is_opened(parameter, &paths) {
                    return None;
                }
                let of_cache = paths.iter().any(|path| self.caches.contains(path));
                let new = new(is_cache || of_cache)?;
                Some((table.kind, new))
            })
            .collect()
    }
}

/// The variables of a value that `main.cf` sets and Postfix does not know.
fn variables(value: &str, main: &MainCf) -> Vec<String> {
    references(value)
        .into_iter()
        .filter(|name| parameter::lookup(name).is_none() && main.get_bytes(name).is_some())
        .collect()
}

fn moved(to: NewType, before: &[Use], now: &[Use], given: &Given<'_>) -> Vec<Moved> {
    let mut moved: BTreeMap<&Utf8Path, Moved> = BTreeMap::new();
    for table in before.iter().filter(|table| table.is_berkeley()) {
        let path = table.path.as_path();
        let is_moved = |later: &Use| later.path == path && later.kind == to.name();
        let is_unused_default = table.implicit && !(given.exists)(path);
        if table.is_cache() || is_unused_default || !now.iter().any(is_moved) {
            continue;
        }
        let entry = moved.entry(path).or_insert_with(|| Moved {
            path: path.to_owned(),
            from: table.kind.clone(),
            indexer: Indexer::Postmap,
        });
        if table.is_aliases() {
            entry.indexer = Indexer::Postalias;
        } else if table.parameter == CERTIFICATES {
            entry.indexer = Indexer::PostmapFiles;
        }
    }
    moved.into_values().collect()
}

/// What is left of Berkeley DB, and what cannot be.
fn judge(
    to: NewType,
    cache_type: Option<&str>,
    now: &[Use],
    given: &Given<'_>,
    rewritten: &mut Rewritten,
) {
    for table in &rewritten.moved {
        if !table.path.is_absolute() {
            rewritten.refusals.push(
                Finding::error(
                    "relative-table",
                    format!("`{}:{}` is no whole path", table.from, table.path),
                )
                .because("daemons and commands look for it in different directories")
                .mend("write the whole path first"),
            );
        }
    }
    let mut said = BTreeSet::new();
    for table in now.iter().filter(|table| said.insert(table.spelled())) {
        let unused = table.implicit && (table.is_cache() || !(given.exists)(&table.path));
        let title = format!("`{}` names `{}`", table.parameter, table.spelled());
        if table.is_cache() && table.kind == "cdb" {
            rewritten.refusals.push(
                Finding::error("cache-in-cdb", title)
                    .because("daemons write to it, and a cdb cannot be written to")
                    .mend("name its type itself, not by a variable"),
            );
        } else if table.is_berkeley() && !unused {
            let finding = if table.is_cache() && cache_type.is_none() {
                Finding::warning("cache-left", title)
                    .because(format!(
                        "daemons write to it, and a {} cannot be written to; without Berkeley DB it needs `lmdb`, which does not work here",
                        to.name()
                    ))
            } else {
                Finding::warning("still-berkeley-db", title)
                    .because("it is named in a way that is not rewritten here")
                    .mend(format!("write `{}:{}`", to.name(), table.path))
            };
            rewritten.findings.push(finding);
        }
    }
}
