//! The lookup tables a configuration names.
//!
//! Owns which parameters take tables, and the reading of `type:name` with its wrappers
//! (`proxy:`, `unionmap:{}`). Must not know what is wrong with a table.
//! Follows postconf(5) and the type list of postconf(1) `-m`.

use super::Subject;
use super::subject::Assignment;
use crate::finding::Place;
use crate::postfix::parameter::ValueKind;
use crate::postfix::{parameter, split_list};

/// The table types whose name is a file, read as it is or through an index beside it.
pub(super) const FILE_TYPES: [&str; 10] = [
    "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "regexp", "pcre", "cidr",
];

/// Every table type a released Postfix has had.
pub(super) const KNOWN_TYPES: [&str; 35] = [
    "btree",
    "cdb",
    "cidr",
    "dbm",
    "debug",
    "environ",
    "fail",
    "hash",
    "inline",
    "internal",
    "ldap",
    "lmdb",
    "memcache",
    "mongodb",
    "mysql",
    "netinfo",
    "nis",
    "nisplus",
    "pcre",
    "pgsql",
    "pipemap",
    "proxy",
    "randmap",
    "redis",
    "regexp",
    "sdbm",
    "socketmap",
    "sqlite",
    "static",
    "tcp",
    "texthash",
    "unionmap",
    "unix",
    "avl",
    "nqmgr",
];

/// A table, as one place names it.
#[derive(Clone, Debug)]
pub(super) struct TableReference<'a> {
    /// The parameter that names it.
    pub assignment: Assignment<'a>,
    /// The type, such as `hash`; empty if the word has none.
    pub kind: String,
    /// What stands behind the type: a path, or the table itself in braces.
    pub name: String,
    /// The word as it stands.
    pub word: String,
}

impl TableReference<'_> {
    /// The place of the word.
    pub fn place(&self, subject: &Subject) -> Place {
        subject.place_of_word(&self.assignment, &self.word)
    }

    /// The table as `postmap` takes it.
    pub fn spelled(&self) -> String {
        format!("{}:{}", self.kind, self.name)
    }

    /// The command that builds its index.
    pub fn indexer(&self) -> String {
        let program = match self.assignment.name.as_str() {
            name if name.starts_with("alias_") => "postalias",
            "tls_server_sni_maps" => "postmap -F",
            _ => "postmap",
        };
        format!("{program} {}", self.spelled())
    }

    /// Whether the name is the path of a file in the whole file system.
    pub fn is_file(&self) -> bool {
        FILE_TYPES.contains(&self.kind.as_str()) && self.name.starts_with('/')
    }
}

/// Lists the tables that `main.cf` and the `-o` of services name, in the order they stand.
pub(super) fn references<'a>(subject: &Subject<'a>) -> Vec<TableReference<'a>> {
    let mut references = Vec::new();
    for assignment in subject.assignments() {
        let Some(use_of) = use_of(subject, &assignment.name) else {
            continue;
        };
        let Some(value) = subject.expand(&assignment) else {
            continue;
        };
        for word in split_list(&value) {
            read(&assignment, &word, &word, use_of, &mut references);
        }
    }
    references
}

/// How a parameter takes tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Only tables.
    Tables,
    /// Tables among other things: host names, restrictions, `/file` names.
    Mixed,
}

/// How a parameter takes tables; `None` if it does not, or if daemons make the table themselves.
fn use_of(subject: &Subject, name: &str) -> Option<Use> {
    // Lists of tables to be served, not tables that are looked up; every name is an echo.
    let served = matches!(name, "proxy_read_maps" | "proxy_write_maps");
    // What `newaliases` makes anew.
    let made = name == "alias_database" || parameter::is_cache(name);
    if served || made {
        return None;
    }
    let Some(parameter) = parameter::lookup(name) else {
        return is_restriction_class(subject, name).then_some(Use::Mixed);
    };
    match parameter.kind {
        ValueKind::Table | ValueKind::Tables => Some(
            // A policy is one of some words, or a table.
            if name == "smtp_requiretls_policy" {
                Use::Mixed
            } else {
                Use::Tables
            },
        ),
        ValueKind::List => Some(Use::Mixed),
        _ => None,
    }
}

fn is_restriction_class(subject: &Subject, name: &str) -> bool {
    subject
        .effective("smtpd_restriction_classes", None)
        .is_some_and(|classes| split_list(&classes).iter().any(|class| class == name))
}

fn read<'a>(
    assignment: &Assignment<'a>,
    text: &str,
    word: &str,
    use_of: Use,
    references: &mut Vec<TableReference<'a>>,
) {
    let strict = use_of == Use::Tables;
    let Some((kind, name)) = text.split_once(':') else {
        if strict {
            push(assignment, "", text, word, references);
        }
        return;
    };
    let kind = if strict {
        kind
    } else {
        kind.trim_start_matches('!')
    };
    if !strict && !KNOWN_TYPES.contains(&kind) {
        return;
    }
    match kind {
        "proxy" | "debug" => read(assignment, name, word, use_of, references),
        "unionmap" | "pipemap" | "randmap" => {
            let inner = name
                .trim()
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            push(assignment, kind, name, word, references);
            // The values of a random map are no tables.
            if kind != "randmap" {
                for item in inner.map(split_list).unwrap_or_default() {
                    read(assignment, &item, word, Use::Tables, references);
                }
            }
        }
        _ => push(assignment, kind, name, word, references),
    }
}

fn push<'a>(
    assignment: &Assignment<'a>,
    kind: &str,
    name: &str,
    word: &str,
    references: &mut Vec<TableReference<'a>>,
) {
    references.push(TableReference {
        assignment: assignment.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        word: word.to_owned(),
    });
}
