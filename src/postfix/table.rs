//! Lookup-table sources: one `key value` a logical line.
//!
//! Owns reading, and edits of one entry that leave every other byte alone.
//! Must not know which table type is built from a source nor what a value
//! means. Follows postmap(1); tables of patterns are in
//! [`pattern`](super::pattern).
//!
//! A source may hold a million entries, so only the places of its logical
//! lines are kept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::logical_line::{self, Content, PieceKind, is_blank, trim};
use super::problem::{byte_problems, first_line};
use super::{EditError, Problem, ProblemKind};

/// Every suffix an index can have beside its source's name (postmap(1)), whatever its type.
pub const INDEX_SUFFIXES: [&str; 5] = ["db", "lmdb", "cdb", "dir", "pag"];

/// The table types in use today that read an index which postmap(1) builds.
pub const DATABASES: [&str; 4] = ["hash", "btree", "lmdb", "cdb"];

/// The file name suffixes a table type's index can have, the expected ones first.
///
/// A `hash` can end up as another type: Postfix 3.11 redirects where Berkeley DB is missing.
#[must_use]
pub fn index_suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "hash" | "btree" => &["db", "lmdb", "cdb"],
        "lmdb" => &["lmdb"],
        "cdb" => &["cdb"],
        "dbm" | "sdbm" => &["dir", "pag"],
        _ => &[],
    }
}

/// A lookup-table source, every byte of it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    text: Vec<u8>,
    /// The logical lines that begin with no blank.
    lines: Vec<Range<usize>>,
}

/// One entry, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key as written; lookups ignore its case.
    pub key: Cow<'a, str>,
    /// The value, continuation lines joined.
    pub value: Cow<'a, str>,
    /// From the first byte of the key to the last byte of the value.
    pub span: Range<usize>,
    /// Whether postmap takes it while `smtputf8_enable` is on.
    pub is_utf8: bool,
}

/// Where key and value stand in a content.
struct Parts {
    key: Range<usize>,
    value: Range<usize>,
}

impl Parts {
    fn of(content: &[u8]) -> Result<Self, ProblemKind> {
        let end = key_end(content)?;
        let rest = &content[end..];
        let start = end + rest.iter().take_while(|byte| is_blank(**byte)).count();
        let value = start..start + trim(rest).len();
        if end == 0 || value.is_empty() {
            return Err(ProblemKind::MissingValue);
        }
        Ok(Self { key: 0..end, value })
    }
}

/// Finds the first blank outside of quotes.
// postmap(1), "TABLE FILE FORMAT"
fn key_end(content: &[u8]) -> Result<usize, ProblemKind> {
    let mut quoted = false;
    let mut bytes = content.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quoted = !quoted,
            _ if is_blank(*byte) && !quoted => return Ok(at),
            _ => {}
        }
    }
    if quoted {
        Err(ProblemKind::UnbalancedQuote)
    } else {
        Ok(content.len())
    }
}

/// Folds the case of a key as tables do when they are built and queried.
#[must_use]
pub fn fold_key(key: &str) -> Cow<'_, str> {
    if key
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    {
        Cow::Owned(key.to_lowercase())
    } else {
        Cow::Borrowed(key)
    }
}

/// Joins the content of a logical line, copying only when it has to.
fn content(text: &[u8]) -> Cow<'_, [u8]> {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if body.iter().any(|byte| matches!(byte, b'\n' | 0)) {
        Cow::Owned(Content::of(text).bytes)
    } else {
        Cow::Borrowed(body)
    }
}

fn lossy<'a>(content: &Cow<'a, [u8]>, range: Range<usize>) -> Cow<'a, str> {
    match content {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(&bytes[range]),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes[range]).into_owned()),
    }
}

impl Table {
    /// Reads a source; odd lines are kept and reported by [`Self::problems`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self::from(text.to_vec())
    }

    /// Prints the source, byte for byte what was read except for what was edited.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.text.clone()
    }

    /// Gives the value of a key: the first one counts, the case of the key does not.
    ///
    /// An entry that is not UTF-8 is passed over, as postmap does since 3.0
    /// while `smtputf8_enable` is on.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.entry(key).map(|entry| entry.value.into_owned())
    }

    /// Gives the entry of a key that counts.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<Entry<'_>> {
        let line = &self.lines[self.find(&fold_key(key))?];
        self.read(line).ok()
    }

    /// Lists the entries that postmap takes, in file order, also those after the first of a key.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.lines.iter().filter_map(|line| self.read(line).ok())
    }

    fn read(&self, line: &Range<usize>) -> Result<Entry<'_>, ProblemKind> {
        let text = &self.text[line.clone()];
        let content = content(text);
        let parts = Parts::of(&content)?;
        let length = match &content {
            Cow::Borrowed(_) => parts.value.end,
            Cow::Owned(_) => Content::of(text).span(&parts.value).end,
        };
        Ok(Entry {
            key: lossy(&content, parts.key),
            value: lossy(&content, parts.value),
            span: line.start..line.start + length,
            is_utf8: std::str::from_utf8(&content).is_ok(),
        })
    }

    /// Finds the first line of a folded key.
    fn find(&self, key: &str) -> Option<usize> {
        let first = key.as_bytes().first()?;
        self.lines.iter().position(|line| {
            let text = &self.text[line.clone()];
            // Most lines differ in the first byte; folding changes no other ASCII byte.
            if text[0].is_ascii() && text[0].to_ascii_lowercase() != *first && first.is_ascii() {
                return false;
            }
            let content = content(text);
            Parts::of(&content).is_ok_and(|parts| {
                let found = &content[parts.key];
                (found.eq_ignore_ascii_case(key.as_bytes())
                    || std::str::from_utf8(found).is_ok_and(|found| fold_key(found) == key))
                    && std::str::from_utf8(&content).is_ok()
            })
        })
    }

    /// Sets the value of a key: the entry that counts is changed in place, or one is added at the end.
    ///
    /// # Errors
    /// Fails if key or value would not be read back as given.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        let value = value.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_blank));
        let text = format!("{key} {value}");
        let reads_back = !key.bytes().any(|byte| matches!(byte, b'\n' | 0))
            && !key.starts_with('#')
            && !key.bytes().next().is_none_or(is_blank)
            && Parts::of(text.as_bytes()).is_ok_and(|parts| parts.key.end == key.len());
        if !reads_back {
            return Err(EditError::Name {
                name: key.to_owned(),
            });
        }
        if value.is_empty() || value.bytes().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(EditError::Value {
                name: key.to_owned(),
                value: value.to_owned(),
            });
        }
        if let Some(index) = self.find(&fold_key(key)) {
            let line = self.lines[index].clone();
            let old = &self.text[line.clone()];
            if let Some(new) = with_value(old, value.as_bytes()) {
                self.splice(line, &new);
            }
            return Ok(());
        }
        let line_end = logical_line::line_end(&self.text);
        logical_line::end_last_line(&mut self.text);
        let gap = self.last_gap();
        let mut text = key.as_bytes().to_vec();
        text.extend(gap);
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(line_end);
        let start = self.text.len();
        self.text.extend_from_slice(&text);
        self.lines.push(start..self.text.len());
        Ok(())
    }

    /// Gives what the last entry has between key and value, if that is tabs; else one blank.
    fn last_gap(&self) -> Vec<u8> {
        let gap = self.lines.last().and_then(|line| {
            let content = content(&self.text[line.clone()]);
            let parts = Parts::of(&content).ok()?;
            Some(content[parts.key.end..parts.value.start].to_vec())
        });
        gap.filter(|gap| gap.iter().all(|byte| *byte == b'\t'))
            .unwrap_or_else(|| b" ".to_vec())
    }

    /// Removes every entry of a key; comments inside it stay.
    pub fn remove(&mut self, key: &str) {
        let key = fold_key(key);
        while let Some(index) = self.find(&key) {
            let line = self.lines[index].clone();
            let comments = logical_line::ignored_lines(&self.text[line.clone()]);
            self.splice(line, &comments);
        }
    }

    fn splice(&mut self, range: Range<usize>, text: &[u8]) {
        let mut whole = std::mem::take(&mut self.text);
        whole.splice(range, text.iter().copied());
        *self = Self::from(whole);
    }

    /// Lists what is odd about the source, in file order.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |kind, span: Range<usize>| problems.push(Problem { kind, span });
        byte_problems(&self.text, true, &mut report);
        for (kind, range) in logical_line::pieces(&self.text) {
            if kind == PieceKind::Orphan {
                let line = first_line(&self.text[range.clone()]);
                report(
                    ProblemKind::LeadingBlank,
                    range.start..range.start + line.end,
                );
            }
        }
        let mut keys = HashSet::new();
        for line in &self.lines {
            let first = first_line(&self.text[line.clone()]);
            let first = line.start..line.start + first.end;
            if std::str::from_utf8(&content(&self.text[line.clone()])).is_err() {
                report(ProblemKind::NotUtf8, first);
                continue;
            }
            match self.read(line) {
                Err(kind) => report(kind, first),
                Ok(entry) => {
                    if entry.key.ends_with(':') {
                        report(
                            ProblemKind::ColonKey,
                            entry.span.start..entry.span.start + entry.key.len(),
                        );
                    }
                    if !keys.insert(fold_key(&entry.key).into_owned()) {
                        report(ProblemKind::DuplicateKey, entry.span);
                    }
                }
            }
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

impl From<Vec<u8>> for Table {
    /// Reads a source without copying it.
    fn from(text: Vec<u8>) -> Self {
        let lines = logical_line::pieces(&text)
            .filter(|(kind, _)| *kind == PieceKind::Line)
            .map(|(_, range)| range)
            .collect();
        Self { text, lines }
    }
}

/// Gives the text of an entry with another value, or nothing if it has that value.
fn with_value(text: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let content = Content::of(text);
    let parts = Parts::of(&content.bytes).ok()?;
    if content.bytes[parts.value.clone()] == *value {
        return None;
    }
    let old = content.span(&parts.value);
    let folded = text[..old.start].contains(&b'\n');
    if folded && value.starts_with(b"#") {
        // On a line of its own it would be a comment.
        let mut new = content.bytes[parts.key].to_vec();
        new.push(b' ');
        new.extend_from_slice(value);
        new.extend_from_slice(logical_line::line_end(text));
        new.extend(logical_line::ignored_lines(text));
        return Some(new);
    }
    let mut new = text[..old.start].to_vec();
    new.extend_from_slice(value);
    let stop = logical_line::line_stop(text, old.start);
    let rest = text[stop..].iter().position(|byte| *byte == b'\n');
    let rest = rest.map_or(text.len(), |at| stop + at + 1);
    new.extend_from_slice(&text[stop..rest]);
    new.extend(logical_line::ignored_lines(&text[rest..]));
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffixes_of_all_types_are_known() {
        let mut suffixes: Vec<&str> = ["hash", "btree", "lmdb", "cdb", "dbm", "sdbm"]
            .iter()
            .flat_map(|kind| index_suffixes(kind))
            .copied()
            .collect();
        suffixes.sort_unstable();
        suffixes.dedup();
        let mut known = INDEX_SUFFIXES;
        known.sort_unstable();
        assert_eq!(suffixes, known);
    }

    fn set(before: &str, key: &str, value: &str, after: &str) {
        let mut table = Table::parse(before.as_bytes());
        table.set(key, value).unwrap();
        assert_eq!(String::from_utf8(table.to_bytes()).unwrap(), after);
        assert_eq!(table.get(key).as_deref(), Some(value));
        table.set(key, value).unwrap();
        assert_eq!(table.to_bytes(), after.as_bytes(), "a second time");
    }

    #[test]
    fn entries_are_read_as_postmap_reads_them() {
        let check = |text: &[u8], key, expected: Option<&str>| {
            let table = Table::parse(text);
            assert_eq!(
                table.get(key).as_deref(),
                expected,
                "{key} in {}",
                String::from_utf8_lossy(text)
            );
            assert_eq!(table.to_bytes(), text);
        };
        check(b"A  one  two \n", "a", Some("one  two"));
        check(b"a one\n", "A", Some("one"));
        check(b"a 1\nA 2\n", "a", Some("1"));
        check(b"a\n", "a", None);
        check(b" a 1\n", "a", None);
        check(b"\"b c\"@x v\n", "\"b c\"@x", Some("v"));
        check(b"\"a\\\" b\" c\n", "\"a\\\" b\"", Some("c"));
        check(b"\"b c v\n", "\"b", None);
        check(b"o\\ p q\n", "o\\ p", Some("q"));
        check(b"m 1\n#c\n\n  2\n", "m", Some("1  2"));
        check(b"m\n  2\r\n", "m", Some("2"));
        check(b"n 1\0z\n", "n", Some("1"));
        check(b"key: v", "key:", Some("v"));
        check("É u\n".as_bytes(), "é", Some("u"));
        check(b"a \xe9\na 2\n", "a", Some("2"));
        check(b"a 1\n", "", None);
    }

    #[test]
    fn setting_changes_the_entry_that_counts() {
        set("A 1\na 2\n", "a", "3", "A 3\na 2\n");
        set("a\t1\r\n", "a", "3", "a\t3\r\n");
        set("a\n#c\n  1\n  2\n", "a", "3", "a\n#c\n  3\n");
        set("a\n  1\n", "a", "#3", "a #3\n");
        set("a 1\n# c\n  2\n# d\n", "a", "3 4", "a 3 4\n# c\n# d\n");
        set("b 1", "a", "3", "b 1\na 3\n");
        set("b\t\t1\r\n", "a", "3", "b\t\t1\r\na\t\t3\r\n");
        set("", "a", "3", "a 3\n");
        set("a\n", "a", "3", "a\na 3\n");
        set("# c", "\"a b\"@x", "3", "# c\n\"a b\"@x 3\n");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut table = Table::parse(b"");
        for key in ["", " a", "a b", "#a", "a\n", "\"a", "a\\"] {
            assert!(table.set(key, "1").is_err(), "{key:?}");
        }
        for value in ["", " ", "1\n2", "1\0"] {
            assert!(table.set("a", value).is_err(), "{value:?}");
        }
        assert_eq!(table.to_bytes(), b"");
    }

    #[test]
    fn removing_takes_every_entry_of_the_key() {
        let mut table = Table::parse(b"A 1\n# c\n  2\nb 3\na 4");
        table.remove("a");
        assert_eq!(table.to_bytes(), b"# c\nb 3\n");
    }

    #[test]
    fn spans_point_at_entries() {
        let text = b"# c\na 1 \nb\n  2\nc\n";
        let table = Table::parse(text);
        let spans: Vec<_> = table.entries().map(|entry| &text[entry.span]).collect();
        assert_eq!(spans, [&b"a 1"[..], b"b\n  2"]);
    }

    #[test]
    fn odd_lines_are_reported_where_they_stand() {
        use ProblemKind::{
            ByteOrderMark, ColonKey, DuplicateKey, LeadingBlank, MissingValue, NotUtf8,
            UnbalancedQuote,
        };
        let check = |text: &[u8], expected: &[(ProblemKind, &[u8])]| {
            let problems = Table::parse(text).problems();
            let got: Vec<_> = problems
                .iter()
                .map(|p| (p.kind, &text[p.span.clone()]))
                .collect();
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(text));
        };
        check(b"a 1\n# c\n\n  2\nb 3", &[]);
        check(b" a 1\nb 2\n", &[(LeadingBlank, b" a 1")]);
        check(b"a\n", &[(MissingValue, b"a")]);
        check(b"\"a b\n", &[(UnbalancedQuote, b"\"a b")]);
        check(b"a: b\n", &[(ColonKey, b"a:")]);
        check(b"a 1\nA 2\n", &[(DuplicateKey, b"A 2")]);
        check(b"a \xe9\n", &[(NotUtf8, b"a \xe9")]);
        check(b"\xef\xbb\xbfa 1\n", &[(ByteOrderMark, b"\xef\xbb\xbf")]);
    }
}
