//! Programs that rewrite the envelope senders of forwarded mail (SRS).
//!
//! Owns [`Rewriter`], read from `profiles/rewriters/*.toml`: by which paths a version is
//! recognised, where and how its settings are written, which tables it serves; and the reading and
//! editing of these settings, one word at a time. Must not know whether one is wanted.
//! Follows postsrsd(8), its sample configurations, and `sh` assignments as far as people write
//! them there; what only a shell could tell is said not to be known.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::data_file::{self, DataError};
use crate::embedded::REWRITERS;

/// A version of such a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Rewriter {
    /// Its name with what tells it from other versions.
    pub title: String,
    /// Paths that are all there where it is installed.
    pub needs: Vec<Utf8PathBuf>,
    /// Paths that are not there then.
    #[serde(default)]
    pub without: Vec<Utf8PathBuf>,
    /// The service that runs it.
    pub service: String,
    /// Its unit of systemd.
    pub unit: String,
    /// The file of its settings.
    pub config: Utf8PathBuf,
    /// How they are written.
    pub syntax: Syntax,
    /// The setting that holds the domain of the rewritten addresses.
    pub domain: String,
    /// The setting that lists the domains whose addresses are left as they are.
    pub exempt: String,
    /// The setting that names a file of more such domains.
    pub exempt_file: Option<String>,
    /// The type of its tables.
    pub kind: String,
    /// The table that rewrites senders, `{SETTING}` for values.
    pub forward: String,
    /// The table that turns rewritten addresses back.
    pub reverse: String,
    /// Values of settings that are not made.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
}

/// How settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// Assignments of a shell: `NAME=value`, lists with commas.
    Shell,
    /// libconfuse: `name = "value"`, lists as `{ "a", "b" }`.
    Confuse,
}

/// A setting that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` in it is written in a way that mailfix does not read")]
pub struct Unreadable {
    /// Which.
    pub name: String,
}

impl Rewriter {
    fn parse(text: &str, path: &Utf8Path) -> Result<Self, DataError> {
        data_file::parse(text, path)
    }

    /// Lists those that mailfix knows.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let read = |(id, text): &(&str, &str)| {
            Self::parse(text, Utf8Path::new(&format!("{id}.toml")))
                .expect("a test reads every embedded rewriter")
        };
        REWRITERS.iter().map(read).collect()
    }

    /// Reads a setting as a list of words; `None` where it is not made.
    ///
    /// # Errors
    /// When it is written in a way that is not understood.
    pub fn get(&self, bytes: &[u8], name: &str) -> Result<Option<Vec<String>>, Unreadable> {
        let text = String::from_utf8_lossy(bytes);
        let Some((_, value)) = self.syntax.last(&text, name) else {
            return Ok(None);
        };
        let words = match self.syntax {
            Syntax::Shell => shell_words(value),
            Syntax::Confuse => confuse_words(value),
        };
        words.map(Some).ok_or_else(|| Unreadable {
            name: name.to_owned(),
        })
    }

    /// Sets a value, or a list of them, and leaves all else alone: every other line, and on its own
    /// what stands before it and the comment behind it.
    #[must_use]
    pub fn set(&self, bytes: &[u8], name: &str, words: &[String], is_list: bool) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes);
        let setting = self.syntax.line(name, words, is_list);
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let new;
        if let Some((at, _)) = self.syntax.last(&text, name) {
            let (before, after) = self.syntax.around(lines[at], name);
            new = [before, setting.as_bytes(), after].concat();
            lines[at] = &new;
        } else {
            new = format!("{setting}\n").into_bytes();
            let example = self.syntax.example(&text, name);
            let mut at = example.map_or(lines.len(), |example| example + 1);
            if lines[..at]
                .last()
                .is_some_and(|line| !line.ends_with(b"\n"))
            {
                lines.insert(at, b"\n");
                at += 1;
            }
            lines.insert(at, &new);
        }
        lines.concat()
    }
}

impl Syntax {
    /// The last line that makes a setting, by its number, and what it says.
    fn last<'a>(self, text: &'a str, name: &str) -> Option<(usize, &'a str)> {
        let lines = text.split_inclusive('\n').enumerate();
        lines
            .filter_map(|(at, line)| Some((at, self.value(line, name)?)))
            .last()
    }

    /// The line where the setting stands as a comment.
    fn example(self, text: &str, name: &str) -> Option<usize> {
        text.split_inclusive('\n').position(|line| {
            line.strip_prefix('#')
                .is_some_and(|line| self.value(line, name).is_some())
        })
    }

    fn value<'a>(self, line: &'a str, name: &str) -> Option<&'a str> {
        let line = line.trim();
        let rest = match self {
            Self::Shell => line.strip_prefix("export ").unwrap_or(line),
            Self::Confuse => line,
        };
        let rest = rest.strip_prefix(name)?;
        match self {
            // A blank before the sign would make a command of it.
            Self::Shell => rest.strip_prefix('='),
            Self::Confuse => rest.trim_start().strip_prefix('=').map(str::trim),
        }
    }

    /// What of a line that makes a setting is not the setting: what stands before its name, and
    /// its comment and end.
    fn around<'a>(self, line: &'a [u8], name: &str) -> (&'a [u8], &'a [u8]) {
        // A comment may be in any encoding.
        let text = line.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let before = text.find(name).unwrap_or_default();
        let after = self.comment(text).unwrap_or_else(|| {
            let end = line.strip_suffix(b"\n").unwrap_or(line);
            end.len()
        });
        (&line[..before], &line[after..])
    }

    /// Where the comment of a line begins, with the blanks before it.
    fn comment(self, line: &str) -> Option<usize> {
        let mut quote = None;
        let mut is_escaped = false;
        let mut last = '=';
        for (at, char) in line.char_indices() {
            let begins = self == Self::Confuse || last.is_whitespace();
            match char {
                _ if is_escaped => is_escaped = false,
                '\\' if quote != Some('\'') => is_escaped = true,
                '"' | '\'' if quote == Some(char) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(char),
                '#' if quote.is_none() && begins => {
                    return line.get(..at).map(|before| before.trim_end().len());
                }
                _ => {}
            }
            last = char;
        }
        None
    }

    fn line(self, name: &str, words: &[String], is_list: bool) -> String {
        let quoted = || words.iter().map(|word| format!("\"{word}\""));
        match self {
            Self::Shell => format!("{name}={}", words.join(",")),
            Self::Confuse if is_list => {
                let all: Vec<String> = quoted().collect();
                format!("{name} = {{ {} }}", all.join(", "))
            }
            Self::Confuse => format!("{name} = \"{}\"", words.concat()),
        }
    }
}

/// The words of an assignment's value, if no shell is needed to know them.
fn shell_words(value: &str) -> Option<Vec<String>> {
    if value.trim_start().starts_with('#') && value.starts_with(char::is_whitespace) {
        return Some(Vec::new());
    }
    let value = value.trim();
    let plain = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (inner, rest) = value.strip_prefix(quote)?.split_once(quote)?;
            let rest = rest.trim();
            (rest.is_empty() || rest.starts_with('#')).then_some(inner)?
        }
        _ => match value.split_once(char::is_whitespace) {
            None => value,
            Some((word, rest)) => rest.trim().starts_with('#').then_some(word)?,
        },
    };
    if plain.contains(['$', '`', '\\', '"', '\'', ';', '&', '|', '(', ')']) {
        return None;
    }
    let words = plain.split([',', ' ', '\t']);
    Some(
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

/// The words of a value of libconfuse that stands on one line.
fn confuse_words(value: &str) -> Option<Vec<String>> {
    let value = value.trim();
    let inner = match value.strip_prefix('{') {
        Some(rest) => {
            let (inner, rest) = rest.split_once('}')?;
            let rest = rest.trim();
            (rest.is_empty() || rest.starts_with('#')).then_some(inner)?
        }
        None => value,
    };
    let mut words = Vec::new();
    for item in inner.split(',').map(str::trim) {
        let word = match item.strip_prefix('"') {
            Some(rest) => {
                let (word, rest) = rest.split_once('"')?;
                let rest = rest.trim();
                (rest.is_empty() || rest.starts_with('#')).then_some(word)?
            }
            None => item.split('#').next().unwrap_or_default().trim(),
        };
        if word.contains(['\\', '$', '"', '{', '\'', ' ']) {
            return None;
        }
        if !word.is_empty() {
            words.push(word.to_owned());
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn rewriter(title: &str) -> Rewriter {
        let mut all = Rewriter::all().into_iter();
        all.find(|one| one.title == title).unwrap()
    }

    #[test]
    fn every_embedded_rewriter_is_read_and_whole() {
        let all = Rewriter::all();
        assert!(!all.is_empty());
        for one in all {
            let paths = one.needs.iter().chain(&one.without);
            assert!(paths.clone().all(|path| path.is_absolute()), "{one:?}");
            assert!(one.needs.contains(&one.config), "{one:?}");
            for table in [&one.forward, &one.reverse] {
                assert!(table.starts_with(&format!("{}:", one.kind)), "{table}");
                for part in table.split('{').skip(1) {
                    let (name, _) = part.split_once('}').unwrap();
                    assert!(one.defaults.contains_key(name), "{name}");
                }
            }
        }
    }

    /// What of `SRS_EXCLUDE_DOMAINS`, or of `domains`, is read; `None` where it is not understood.
    #[track_caller]
    fn check(title: &str, text: &str, expected: Option<&[&str]>) {
        let one = rewriter(title);
        let found = one.get(text.as_bytes(), &one.exempt);
        let found = found.ok().map(Option::unwrap_or_default);
        let expected = expected.map(|words| words.iter().map(ToString::to_string).collect());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_shell_is_not_needed_for_what_people_write() {
        let check = |text, expected| check("PostSRSd 1", text, expected);
        let two = Some(&["a.example", ".b.example"][..]);
        check("SRS_EXCLUDE_DOMAINS=a.example,.b.example\n", two);
        check("SRS_EXCLUDE_DOMAINS=\"a.example .b.example\" # mine", two);
        check(
            "export SRS_EXCLUDE_DOMAINS='a.example, .b.example'\r\n",
            two,
        );
        check(
            "SRS_EXCLUDE_DOMAINS=x\n #\nSRS_EXCLUDE_DOMAINS=a.example,.b.example",
            two,
        );
        check("SRS_EXCLUDE_DOMAINS=\n", Some(&[]));
        check("SRS_EXCLUDE_DOMAINS= # none\n", Some(&[]));
        check(
            "#SRS_EXCLUDE_DOMAINS=x\nSRS_EXCLUDE_DOMAINS2=x\n",
            Some(&[]),
        );
        check("SRS_EXCLUDE_DOMAINS=$OTHER\n", None);
        check("SRS_EXCLUDE_DOMAINS=\"`cat /etc/x`\"\n", None);
        check("SRS_EXCLUDE_DOMAINS=a b\n", None);
        check("SRS_EXCLUDE_DOMAINS=\"a\nb\"\n", None);
    }

    #[test]
    fn lists_of_libconfuse_are_read_where_they_stand_on_one_line() {
        let check = |text, expected| check("PostSRSd 2", text, expected);
        let two = Some(&["a.example", ".b.example"][..]);
        check("domains = {\"a.example\", .b.example}\n", two);
        check("domains={ \"a.example\",\".b.example\" } # mine\n", two);
        check("domains = {}\n", Some(&[]));
        check("domains-file = \"x\"\n", Some(&[]));
        check("domains = {\n\"a.example\"\n}\n", None);
    }

    #[track_caller]
    fn check_set(title: &str, before: &str, after: &str) {
        let one = rewriter(title);
        let words = ["a.example", "b.example"].map(str::to_owned);
        let bytes = one.set(before.as_bytes(), &one.exempt, &words, true);
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), after);
        assert_eq!(one.get(&bytes, &one.exempt).unwrap().unwrap(), words);
        assert_eq!(one.set(&bytes, &one.exempt, &words, true), bytes);
    }

    #[test]
    fn one_line_is_set_and_no_other() {
        let line = "SRS_EXCLUDE_DOMAINS=a.example,b.example\n";
        check_set("PostSRSd 1", "", line);
        check_set("PostSRSd 1", "x=1", &format!("x=1\n{line}"));
        check_set(
            "PostSRSd 1",
            "#SRS_EXCLUDE_DOMAINS=.c\nx=1\n",
            &format!("#SRS_EXCLUDE_DOMAINS=.c\n{line}x=1\n"),
        );
        check_set(
            "PostSRSd 1",
            "SRS_EXCLUDE_DOMAINS=$X\nx=1\n",
            &format!("{line}x=1\n"),
        );
        // The example may be the last line, and not be ended.
        check_set(
            "PostSRSd 1",
            "x=1\n#SRS_EXCLUDE_DOMAINS=.c",
            &format!("x=1\n#SRS_EXCLUDE_DOMAINS=.c\n{line}"),
        );
        check_set(
            "PostSRSd 2",
            "domains = {}\nx = 1\n",
            "domains = { \"a.example\", \"b.example\" }\nx = 1\n",
        );
    }

    #[test]
    fn what_stands_around_a_setting_stays() {
        check_set(
            "PostSRSd 1",
            "export SRS_EXCLUDE_DOMAINS='a # b'  # keep me\nx=1\n",
            "export SRS_EXCLUDE_DOMAINS=a.example,b.example  # keep me\nx=1\n",
        );
        check_set(
            "PostSRSd 1",
            "  SRS_EXCLUDE_DOMAINS=a#b",
            "  SRS_EXCLUDE_DOMAINS=a.example,b.example",
        );
        check_set(
            "PostSRSd 2",
            "  domains={\"#\"} # keep me\n",
            "  domains = { \"a.example\", \"b.example\" } # keep me\n",
        );
        let one = rewriter("PostSRSd 1");
        let words = ["b".to_owned()];
        let set = one.set(b"SRS_DOMAIN=a # \xfc\n", "SRS_DOMAIN", &words, false);
        assert_eq!(set, b"SRS_DOMAIN=b # \xfc\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_was_set_is_read_and_other_lines_stay(
            version in 0..2_usize,
            lines in vec(line(), 0..6),
            is_ended: bool,
            is_list: bool,
            mut words in vec("[.a-z][a-z.-]{0,8}", 0..4),
        ) {
            let one = Rewriter::all().remove(version);
            let name = if is_list { &one.exempt } else { &one.domain };
            if !is_list {
                words.truncate(1);
            }
            let mut text = lines.join("\n").replace("NAME", name);
            if is_ended {
                text.push('\n');
            }
            let set = one.set(text.as_bytes(), name, &words, is_list);
            let read = one.get(&set, name).unwrap().unwrap();
            prop_assert_eq!(&read, &words);
            prop_assert_eq!(&one.set(&set, name, &words, is_list), &set);
            let set = String::from_utf8(set).unwrap();
            let lines_of = |text: &str| text.split_terminator('\n').map(str::to_owned).collect::<Vec<_>>();
            let (old, new) = (lines_of(&text), lines_of(&set));
            let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
            let rest = old.len() - same;
            // One line is another, or is new.
            let is_other = rest > 0 && new.len() == old.len() && old[same + 1..] == new[same + 1..];
            let is_new = new.len() == old.len() + 1 && old[same..] == new[same + 1..];
            prop_assert!(is_other || is_new || old == new, "{text:?} {set:?}");
        }
    }

    /// A line with the setting, near it, or without it.
    fn line() -> impl Strategy<Value = String> {
        let parts = (
            select(&["", " ", "export ", "#", "# "][..]),
            select(&["NAME", "OTHER", ""][..]),
            select(&["=", " = ", ""][..]),
            select(
                &[
                    "",
                    "a",
                    "\"a\"",
                    "\"a # b\"",
                    "'a",
                    "{ \"a\", b }",
                    "{",
                    "$X",
                    "a#b",
                ][..],
            ),
            select(&["", " # note", "#note", " \r"][..]),
        );
        parts.prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
    }
}
