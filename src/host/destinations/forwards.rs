//! Tables that forward mail: what they make of an address, and the domains of what they give.
//!
//! Follows virtual(5), aliases(5) and `DATABASE_README`. Read are sources in files, lists that
//! aliases include, and tables that stand in main.cf itself; what lives in a database server
//! cannot be listed, and is said. A user's own `.forward` is no table and not looked for here.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Destinations, Seen, domain};
use crate::host::{Facts, OWN_FOLDER};
use crate::postfix::pattern::RuleKind;
use crate::postfix::table::INDEX_SUFFIXES;
use crate::postfix::{Engine, PatternTable, Table, split_list};
use crate::system::System;

/// Parameters whose tables give addresses.
const VIRTUAL: [&str; 6] = [
    "virtual_alias_maps",
    "canonical_maps",
    "recipient_canonical_maps",
    "recipient_bcc_maps",
    "sender_bcc_maps",
    "always_bcc",
];

/// Where a program that rewrites senders is asked to turn its addresses back, and the types of
/// table it serves: they lead to where the mail came from.
const BACK: &str = "recipient_canonical_maps";
const SERVED: [&str; 2] = ["tcp:", "socketmap:"];

/// The parameter whose tables are written as aliases(5) says.
const ALIASES: &str = "alias_maps";

/// Table types with a source in a file of `key value` lines.
pub(in crate::host) const SOURCES: [&str; 8] = [
    "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "ldbm",
];

/// Table types made of other tables, and types whose text is the value itself.
const TABLES_OF_TABLES: [&str; 2] = ["pipemap", "unionmap"];
const TEXTS: [&str; 2] = ["static", "randmap"];

/// Table types that give no address.
const EMPTY: [&str; 5] = ["cidr", "fail", "environ", "unix", "proxy"];

/// Largest source that is read.
const LARGEST: u64 = 32 * 1024 * 1024;

/// How often a list is followed that an alias includes.
const INCLUSIONS: usize = 1000;

/// How a source is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Syntax {
    Virtual,
    Aliases,
}

/// What a look at the tables brings.
pub(in crate::host) enum Told<'a> {
    /// What an address becomes.
    Entry {
        /// The table as main.cf has it, or the list an alias includes.
        item: &'a str,
        /// The address as the table has it; empty where every address is meant.
        key: &'a str,
        /// What it becomes.
        text: &'a str,
        /// How that is written.
        syntax: Syntax,
    },
    /// A place that was not read, and why.
    Unread(&'a str, String),
}

/// Takes the domains that the tables give.
pub(super) fn look(system: &dyn System, facts: &Facts, found: &mut Destinations) {
    let (mut foreign, mut left_out) = (0, 0);
    read(system, facts, &mut |told| match told {
        Told::Entry { item, text, .. } => {
            for word in domains_of(text) {
                if !word.is_ascii() {
                    foreign += 1;
                } else if let Some(domain) = domain(word)
                    && !found.add(domain, Seen::Forward(item.to_owned()))
                {
                    left_out += 1;
                }
            }
        }
        Told::Unread(item, why) => found.pass_over(item, why),
    });
    if foreign > 0 {
        found.pass_over(
            "tables that forward mail",
            format!("domains of {foreign} addresses are not in ASCII; write them as `xn--…`"),
        );
    }
    if left_out > 0 {
        found.pass_over(
            "tables that forward mail",
            format!("{left_out} addresses more are not looked at"),
        );
    }
}

/// Whatever stands behind an `@`, up to the first character no domain has.
fn domains_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('@').skip(1).map(|after| {
        let end = after
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.')))
            .unwrap_or(after.len());
        after.split_at(end).0
    })
}

/// Reads the tables.
pub(in crate::host) fn read(system: &dyn System, facts: &Facts, tell: &mut dyn FnMut(Told<'_>)) {
    let mut look = Look {
        system,
        facts,
        tell,
        files: BTreeSet::new(),
        included: BTreeSet::new(),
    };
    for (names, syntax) in [
        (&VIRTUAL[..], Syntax::Virtual),
        (&[ALIASES], Syntax::Aliases),
    ] {
        for name in names {
            for item in facts.parameters.list(name) {
                if *name == BACK && SERVED.iter().any(|kind| item.starts_with(kind)) {
                    continue;
                }
                // What has no type is an address, as in `always_bcc`.
                if item.contains(':') {
                    look.table(&item, &item, syntax);
                } else {
                    look.entry(&format!("{name} = {item}"), "", &item, syntax);
                }
            }
        }
    }
}

struct Look<'a> {
    system: &'a dyn System,
    facts: &'a Facts,
    tell: &'a mut dyn FnMut(Told<'_>),
    /// Tables read already.
    files: BTreeSet<Utf8PathBuf>,
    /// Lists read already, with the alias: a list may include itself.
    included: BTreeSet<(String, Utf8PathBuf)>,
}

impl Look<'_> {
    fn entry(&mut self, item: &str, key: &str, text: &str, syntax: Syntax) {
        (self.tell)(Told::Entry {
            item,
            key,
            text,
            syntax,
        });
    }

    fn pass_over(&mut self, item: &str, why: impl Into<String>) {
        (self.tell)(Told::Unread(item, why.into()));
    }

    /// Reads one table; `item` is what main.cf calls the whole.
    fn table(&mut self, table: &str, item: &str, syntax: Syntax) {
        let table = table.strip_prefix("proxy:").unwrap_or(table);
        let Some((kind, name)) = table.split_once(':') else {
            return;
        };
        let inner = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        match (kind, inner) {
            (kind, Some(inner)) if TABLES_OF_TABLES.contains(&kind) => {
                for part in split_list(inner) {
                    self.table(&part, item, syntax);
                }
            }
            (kind, _) if TEXTS.contains(&kind) => {
                self.entry(item, "", inner.unwrap_or(name), syntax);
            }
            ("inline", Some(inner)) => {
                for entry in split_list(inner) {
                    let entry = entry.trim_matches(['{', '}']);
                    let (key, value) = entry.split_once('=').unwrap_or_default();
                    self.entry(item, key.trim(), value, syntax);
                }
            }
            // Postfix 3.7 and later: rules in main.cf, a pair of braces each.
            ("regexp" | "pcre", Some(inner)) => {
                for rule in split_list(inner) {
                    let rule = rule.trim_matches(['{', '}']).trim();
                    self.rules(rule.as_bytes(), kind, item, syntax);
                }
            }
            ("regexp" | "pcre", None) => {
                if let Some(bytes) = self.table_source(name, item) {
                    self.rules(&bytes, kind, item, syntax);
                }
            }
            (kind, None) if SOURCES.contains(&kind) => {
                let Some(bytes) = self.table_source(name, item) else {
                    return;
                };
                match syntax {
                    Syntax::Virtual => {
                        for entry in Table::parse(&bytes).entries() {
                            self.entry(item, &entry.key, &entry.value, syntax);
                        }
                    }
                    Syntax::Aliases => self.aliases(&bytes, item),
                }
            }
            (kind, _) if EMPTY.contains(&kind) => {}
            (kind, _) => {
                self.pass_over(
                    item,
                    format!("what a `{kind}` table holds cannot be listed"),
                );
            }
        }
    }

    fn table_source(&mut self, name: &str, item: &str) -> Option<Vec<u8>> {
        let path = Utf8Path::new(name);
        if !self.files.insert(path.to_owned()) {
            return None;
        }
        self.source(path, item)
    }

    fn source(&mut self, path: &Utf8Path, item: &str) -> Option<Vec<u8>> {
        // A table of ours forwards nothing.
        if !path.is_absolute() || path.starts_with(self.facts.config.join(OWN_FOLDER)) {
            return None;
        }
        let size = match self.system.stat(path) {
            Ok(Some(stat)) => stat.size,
            // Without an index either there is nothing that Postfix could look up.
            Ok(None) if !self.has_index(path) => return None,
            Ok(None) => {
                self.pass_over(item, format!("its source `{path}` does not exist"));
                return None;
            }
            Err(error) => {
                self.pass_over(item, error.to_string());
                return None;
            }
        };
        if size > LARGEST {
            let most = LARGEST / 1024 / 1024;
            self.pass_over(item, format!("its source is larger than {most} MiB"));
            return None;
        }
        match self.system.read(path) {
            Ok(file) => Some(file?.bytes),
            Err(error) => {
                self.pass_over(item, error.to_string());
                None
            }
        }
    }

    fn has_index(&self, path: &Utf8Path) -> bool {
        INDEX_SUFFIXES.iter().any(|suffix| {
            let index = Utf8PathBuf::from(format!("{path}.{suffix}"));
            self.system.stat(&index).is_ok_and(|stat| stat.is_some())
        })
    }

    fn rules(&mut self, bytes: &[u8], kind: &str, item: &str, syntax: Syntax) {
        let Some(engine) = Engine::parse(kind) else {
            return;
        };
        for rule in PatternTable::parse(bytes, engine).rules() {
            if let RuleKind::Match { result, .. } = &rule.kind {
                self.entry(item, "", result, syntax);
            }
        }
    }

    /// aliases(5): `name: value, …`, where a line that begins with a blank goes on with the last.
    fn aliases(&mut self, bytes: &[u8], item: &str) {
        let text = String::from_utf8_lossy(bytes);
        let mut entry = String::new();
        for line in text.lines().chain([""]) {
            let is_more = line.starts_with([' ', '\t']);
            if is_more && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                entry.push_str(line);
            } else if !is_more && !line.starts_with('#') {
                if let Some((key, value)) = entry.split_once(':') {
                    self.alias(key.trim().trim_matches('"'), value, item);
                }
                line.clone_into(&mut entry);
            }
        }
    }

    /// What an alias stands for; a value may name a file of further addresses.
    fn alias(&mut self, key: &str, value: &str, item: &str) {
        self.entry(item, key, value, Syntax::Aliases);
        let mut rest = value;
        while let Some((_, after)) = rest.split_once(":include:") {
            let end = after.find([',', '"', ' ', '\t']).unwrap_or(after.len());
            let (path, after) = after.split_at(end);
            let path = Utf8Path::new(path);
            if self.included.len() < INCLUSIONS
                && self.included.insert((key.to_owned(), path.to_owned()))
                && let Some(bytes) = self.source(path, &format!(":include:{path}"))
            {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                for line in text.lines().filter(|line| !line.starts_with('#')) {
                    self.alias(key, line, &format!(":include:{path}"));
                }
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::system::MemorySystem;

    fn looked(system: &MemorySystem, main: &str) -> Destinations {
        // The stock configuration names tables that this machine lacks.
        let facts = example::host("3.7.11", &format!("alias_maps =\n{main}"), "").facts;
        let mut found = Destinations::default();
        look(system, &facts, &mut found);
        found
    }

    /// Lines of main.cf, a file's path and text, the domains found and what was not read.
    #[track_caller]
    fn check(main: &str, file: (&str, &str), domains: &[&str], unread: &[&str]) {
        let system = MemorySystem::new().file(file.0, file.1);
        let found = looked(&system, main);
        let names: Vec<&str> = found.domains.keys().map(String::as_str).collect();
        assert_eq!(names, domains);
        let said: Vec<String> = found
            .unread
            .iter()
            .map(|(place, why)| format!("{place}: {why}"))
            .collect();
        assert_eq!(said, unread);
    }

    const VIRTUAL_TEXT: &str = "# x@comment.example\n\
        own.example anything\n\
        sales@own.example bob@One.example,\n  \"a b\"@two.example, local, x@[192.0.2.1]\n\
        @own.example @three.example\n";
    const FOUND: &[&str] = &["one.example", "three.example", "two.example"];

    #[test]
    fn sources_of_every_database_type_are_read() {
        for kind in [
            "hash",
            "proxy:hash",
            "btree",
            "lmdb",
            "cdb",
            "dbm",
            "texthash",
        ] {
            check(
                &format!("virtual_alias_maps = {kind}:/etc/postfix/virtual"),
                ("/etc/postfix/virtual", VIRTUAL_TEXT),
                FOUND,
                &[],
            );
        }
        check(
            "dir = /etc/postfix\nvirtual_alias_maps = unionmap:{static:local, hash:${dir}/virtual}",
            ("/etc/postfix/virtual", VIRTUAL_TEXT),
            FOUND,
            &[],
        );
    }

    #[test]
    fn what_stands_in_main_cf_itself_is_read() {
        for (value, domains) in [
            (
                "inline:{a=x@one.example, { b = y@two.example, z@three.example }}",
                FOUND,
            ),
            ("static:x@one.example", &["one.example"]),
            (
                "randmap:{x@one.example, y@two.example}",
                &["one.example", "two.example"],
            ),
            ("regexp:{{/^a@(.*)/ x@one.example}}", &["one.example"]),
        ] {
            check(
                &format!("virtual_alias_maps = {value}"),
                ("/x", ""),
                domains,
                &[],
            );
        }
        check(
            "always_bcc = archive@one.example",
            ("/x", ""),
            &["one.example"],
            &[],
        );
    }

    #[test]
    fn results_of_patterns_are_read_and_patterns_are_not() {
        check(
            "recipient_bcc_maps = pcre:/etc/postfix/bcc",
            (
                "/etc/postfix/bcc",
                "/^(.*)@pattern\\.example$/ $1@one.example\nif /@x.example/\n/^b/ c@two.example\nendif\n",
            ),
            &["one.example", "two.example"],
            &[],
        );
    }

    #[test]
    fn aliases_and_the_lists_they_include_are_read() {
        let system = MemorySystem::new()
            .file(
                "/etc/aliases",
                "# a@comment.example\nroot: bob@one.example,\n  carol\nlist: \":include:/etc/list\", \"|/bin/x\"\n",
            )
            .file(
                "/etc/list",
                "x@two.example\n:include:/etc/list, :include:/etc/missing\n",
            );
        let found = looked(&system, "alias_maps = hash:/etc/aliases");
        let names: Vec<&str> = found.domains.keys().map(String::as_str).collect();
        assert_eq!(names, ["one.example", "two.example"]);
        assert_eq!(found.unread, []);
    }

    #[test]
    fn what_cannot_be_listed_is_said() {
        check(
            "virtual_alias_maps = proxy:mysql:/etc/postfix/my.cf, hash:/etc/gone, hash:/etc/never\nalias_maps = nis:mail.aliases",
            ("/etc/gone.db", ""),
            &[],
            &[
                "proxy:mysql:/etc/postfix/my.cf: what a `mysql` table holds cannot be listed",
                "hash:/etc/gone: its source `/etc/gone` does not exist",
                "nis:mail.aliases: what a `nis` table holds cannot be listed",
            ],
        );
    }

    #[test]
    fn odd_bytes_do_no_harm() {
        let system = MemorySystem::new().file(
            "/v",
            b"a b@\xff\xfe.example\nc d@one.example\x1b[31m, e@\xd0\xbf.example\nf @\ng h@@two.example\n"
                .as_slice(),
        );
        let found = looked(&system, "virtual_alias_maps = hash:/v");
        let names: Vec<&str> = found.domains.keys().map(String::as_str).collect();
        assert_eq!(names, ["one.example", "two.example"]);
        assert_eq!(
            found.unread[0].1,
            "domains of 1 addresses are not in ASCII; write them as `xn--…`"
        );
    }
}
