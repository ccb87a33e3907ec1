//! The reply filter of the administrator's, if there is one.
//!
//! Owns what `smtp_reply_filter` names, the text of it where that can be copied, and what it
//! makes of replies. As the parameter takes one table, a table of ours that holds a copy takes
//! the place of theirs and says so in its first line: [`COPY_OF`].
//! Must not know what a filter should do.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::{HostError, Interest, OWN_FOLDER, Parameters, routes};
use crate::postfix::{Engine, PatternTable, ProblemKind};
use crate::system::{System, SystemError};

/// The parameter.
pub const REPLY_FILTER: &str = "smtp_reply_filter";

/// The name of our own table for it.
pub const REPLY_FILTER_FILE: &str = "reply_filter";

/// How the first line of our table begins if it holds a copy; the name of the table follows.
pub const COPY_OF: &str = "# Copy of ";

/// The line between the copy and our own rules.
pub const BEHIND_COPY: &str = "# End of the copy.";

/// How a line of our table begins that says what a parameter was before it was set along with it.
const BEFORE: &str = "# Before mailfix: ";

/// Says in a comment what a parameter was; [`super::Own::before`] is read from it.
#[must_use]
pub fn note(name: &str, before: Option<&str>) -> String {
    match before {
        Some(value) => format!("{BEFORE}{name} = {value}"),
        None => format!("{BEFORE}{name} not set"),
    }
}

/// Reads the notes of a table of ours, by parameter.
pub(super) fn noted(text: &str) -> BTreeMap<String, Option<String>> {
    let note = |line: &str| {
        let line = line.strip_prefix(BEFORE)?;
        if let Some(name) = line.strip_suffix(" not set") {
            return Some((name.to_owned(), None));
        }
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), Some(value.to_owned())))
    };
    text.lines().filter_map(note).collect()
}

/// A filter that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyFilter {
    /// `type:name`, expanded.
    pub table: String,
    /// What a copy has to hold, or why there can be none.
    pub source: Result<FilterSource, String>,
    /// What it makes of the replies of the [`Interest`]; those it leaves as they are, are absent.
    /// An error says why it could not be asked.
    pub answers: Result<BTreeMap<String, String>, String>,
    /// Whether it is left as a copy in a table of ours only.
    pub is_gone: bool,
}

/// The text of a pattern table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSource {
    /// Its type: `regexp` or `pcre`.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Whether everyone on the host may read it, as they may any table of ours.
    pub is_public: bool,
}

pub(super) fn observe(
    system: &dyn System,
    config: &Utf8Path,
    parameters: &Parameters,
    interest: &Interest,
) -> Result<Option<ReplyFilter>, HostError> {
    let named = parameters.get(REPLY_FILTER).trim().to_owned();
    if named.is_empty() {
        return Ok(None);
    }
    let own = config.join(OWN_FOLDER).join(REPLY_FILTER_FILE);
    if !named.ends_with(&format!(":{own}")) {
        let source = source(system, &named)?;
        let answers = answers(system, config, &named, interest)?;
        return Ok(Some(ReplyFilter {
            table: named,
            source,
            answers,
            is_gone: false,
        }));
    }
    let text = match system.read(&own) {
        Ok(file) => file.map(|file| file.bytes).unwrap_or_default(),
        Err(SystemError::Read { .. } | SystemError::NotAFile { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&text);
    let Some((table, copy)) = copied(&text) else {
        return Ok(None);
    };
    let source = source(system, table)?;
    let is_gone = source.is_err();
    if !is_gone {
        let answers = answers(system, config, table, interest)?;
        if answers.is_ok() {
            return Ok(Some(ReplyFilter {
                table: table.to_owned(),
                source,
                answers,
                is_gone,
            }));
        }
    }
    // The table copied is gone, or does not answer: the copy says what it said.
    let kind = table.split(':').find(|word| Engine::parse(word).is_some());
    Ok(Some(ReplyFilter {
        table: table.to_owned(),
        source: Ok(FilterSource {
            kind: kind.unwrap_or("regexp").to_owned(),
            text: copy.to_owned(),
            is_public: true,
        }),
        answers: answers(system, config, &named, interest)?,
        is_gone,
    }))
}

/// The name of the table that a table of ours holds a copy of, and the copy.
fn copied(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let table = first.strip_prefix(COPY_OF)?;
    let end = format!("{BEHIND_COPY}\n");
    let copy = rest.rsplit_once(&end).map_or(rest, |(copy, _)| copy);
    Some((table, copy))
}

fn source(system: &dyn System, table: &str) -> Result<Result<FilterSource, String>, HostError> {
    let direct = table.strip_prefix("proxy:").unwrap_or(table);
    let (kind, path) = direct.split_once(':').unwrap_or(("", direct));
    let Some(engine) = Engine::parse(kind) else {
        return Ok(Err(
            "only tables of the types `regexp` and `pcre` can be copied".to_owned(),
        ));
    };
    if !path.starts_with('/') || path.contains([' ', '\t', ',']) {
        return Ok(Err("it does not name one file".to_owned()));
    }
    let path = Utf8Path::new(path);
    let file = match system.read(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Err(format!("`{path}` does not exist"))),
        Err(
            error @ (SystemError::Read { .. }
            | SystemError::NotAFile { .. }
            | SystemError::NotCollected { .. }),
        ) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let is_public = file.mode & 0o004 != 0;
    let Ok(text) = String::from_utf8(file.bytes) else {
        return Ok(Err(format!("`{path}` is not UTF-8")));
    };
    let table = PatternTable::parse(text.as_bytes(), engine);
    let mut problems = table.problems().iter();
    if problems.any(|problem| problem.kind == ProblemKind::IfWithoutEndif) {
        // What stood behind it would only be read where the pattern matches.
        return Ok(Err(format!("an `if` in `{path}` has no `endif`")));
    }
    Ok(Ok(FilterSource {
        kind: kind.to_owned(),
        text,
        is_public,
    }))
}

fn answers(
    system: &dyn System,
    config: &Utf8Path,
    table: &str,
    interest: &Interest,
) -> Result<Result<BTreeMap<String, String>, String>, HostError> {
    if interest.replies.is_empty() {
        return Ok(Ok(BTreeMap::new()));
    }
    let mut unanswered = Vec::new();
    let asked = routes::ask(system, config, table, &interest.replies, &mut unanswered);
    let found = match asked {
        // Of another machine only the tables that main.cf names are asked.
        Err(HostError::System(error @ SystemError::NotCollected { .. })) => {
            return Ok(Err(error.to_string()));
        }
        other => other?,
    };
    Ok(match unanswered.pop() {
        Some((_, said)) => Err(said),
        None => Ok(found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Output, Query};

    const CONFIG: &str = "/etc/postfix";
    const OWN: &str = "regexp:/etc/postfix/mailfix/reply_filter";
    const REPLY: &str = "550 5.7.25 no PTR";

    /// What is seen of a filter, asked about one reply; a table that gives no answer fails.
    fn observed(
        value: &str,
        files: &[(&str, &str)],
        answers: &[(&str, &str)],
    ) -> Option<ReplyFilter> {
        let mut system = MemorySystem::new();
        for (path, text) in files {
            system = system.file(*path, *text);
        }
        for (table, said) in answers {
            let query = Query::Lookup {
                config: CONFIG.into(),
                table: (*table).to_owned(),
                keys: vec![REPLY.to_owned()],
            };
            let (stdout, stderr) = match said.strip_prefix("fatal: ") {
                Some(_) => (String::new(), format!("postmap: {said}\n")),
                None => ((*said).to_owned(), String::new()),
            };
            let output = Output {
                status: 1,
                stdout: stdout.into(),
                stderr: stderr.into(),
            };
            system = system.answer(query, output);
        }
        let parameters = Parameters::new([
            (REPLY_FILTER.to_owned(), value.to_owned()),
            ("config_directory".to_owned(), CONFIG.to_owned()),
        ]);
        let interest = Interest {
            replies: vec![REPLY.to_owned()],
            ..Interest::default()
        };
        observe(&system, CONFIG.into(), &parameters, &interest).unwrap()
    }

    fn text(kind: &str, text: &str) -> FilterSource {
        FilterSource {
            kind: kind.to_owned(),
            text: text.to_owned(),
            is_public: true,
        }
    }

    #[test]
    fn what_was_before_is_noted_and_read_again() {
        let text = [note("a", Some("1 = 2")), note("b", None)].join("\n");
        let noted = noted(&format!("# Written by mailfix\n{text}\n/a/ b\n"));
        assert_eq!(noted["a"].as_deref(), Some("1 = 2"));
        assert_eq!(noted["b"], None);
        assert_eq!(noted.len(), 2);
    }

    #[test]
    fn without_one_nothing_is_asked() {
        assert_eq!(observed("", &[], &[]), None);
        assert_eq!(
            observed(OWN, &[("/etc/postfix/mailfix/reply_filter", "x\n")], &[]),
            None
        );
        assert_eq!(observed(OWN, &[], &[]), None);
    }

    #[test]
    fn one_of_the_administrator_is_read_and_asked() {
        let found = observed(
            "proxy:pcre:$config_directory/own",
            &[("/etc/postfix/own", "/a/ b")],
            &[(
                "pcre:/etc/postfix/own",
                "550 5.7.25 no PTR\t450 4.7.25 no PTR\n",
            )],
        );
        let found = found.unwrap();
        assert_eq!(found.table, "proxy:pcre:/etc/postfix/own");
        assert_eq!(found.source.unwrap(), text("pcre", "/a/ b"));
        assert_eq!(found.answers.unwrap()[REPLY], "450 4.7.25 no PTR");
    }

    #[test]
    fn what_cannot_be_copied_says_why() {
        let check = |value: &str, files: &[(&str, &str)], expected: &str| {
            let table = value.strip_prefix("proxy:").unwrap_or(value);
            let found = observed(value, files, &[(table, "")]).unwrap();
            assert_eq!(found.source.unwrap_err(), expected);
            assert_eq!(found.answers, Ok(BTreeMap::new()));
        };
        let types = "only tables of the types `regexp` and `pcre` can be copied";
        check("hash:/etc/own", &[], types);
        check("pipemap:{pcre:/a,pcre:/b}", &[], types);
        let name = "it does not name one file";
        check("pcre:own", &[], name);
        check("regexp:{{/a/ b}}", &[], name);
        check("regexp:/a, regexp:/b", &[], name);
        check("regexp:/a", &[], "`/a` does not exist");
        check(
            "regexp:/a",
            &[("/a", "if /x/\n/y/ z\n")],
            "an `if` in `/a` has no `endif`",
        );
    }

    #[test]
    fn one_that_cannot_be_asked_says_why() {
        let found = observed("pcre:/a", &[("/a", "")], &[("pcre:/a", "fatal: no pcre")]);
        assert_eq!(found.unwrap().answers, Err("no pcre".to_owned()));
    }

    #[test]
    fn behind_a_copy_the_table_copied_is_looked_at() {
        let own = (
            "/etc/postfix/mailfix/reply_filter",
            "# Copy of pcre:/etc/own\n/old/ text\n# End of the copy.\n/ours/ x\n",
        );
        // It may have been edited since.
        let found = observed(
            OWN,
            &[own, ("/etc/own", "/new/ text\n")],
            &[("pcre:/etc/own", "")],
        );
        let found = found.unwrap();
        assert_eq!(found.table, "pcre:/etc/own");
        assert_eq!(found.source.unwrap(), text("pcre", "/new/ text\n"));
        // It may be gone.
        let found = observed(OWN, &[own], &[(OWN, "550 5.7.25 no PTR\t450 x\n")]).unwrap();
        assert!(found.is_gone);
        // It may be there and not answer.
        let found = observed(
            OWN,
            &[own, ("/etc/own", "/new/ text\n")],
            &[
                ("pcre:/etc/own", "fatal: no pcre"),
                (OWN, "550 5.7.25 no PTR\t450 x\n"),
            ],
        );
        let found = found.unwrap();
        assert_eq!(found.source.unwrap(), text("pcre", "/old/ text\n"));
        assert_eq!(found.answers.unwrap()[REPLY], "450 x");
        assert!(!found.is_gone);
        let found = observed(OWN, &[own], &[(OWN, "550 5.7.25 no PTR\t450 x\n")]).unwrap();
        assert_eq!(found.table, "pcre:/etc/own");
        assert_eq!(found.source.unwrap(), text("pcre", "/old/ text\n"));
        assert_eq!(found.answers.unwrap()[REPLY], "450 x");
    }
}
