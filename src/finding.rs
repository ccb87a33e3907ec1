//! Findings: one thing that is wrong or worth knowing, and where.
//!
//! Owns [`Finding`], its severity and its place. An `Err` says mailfix could
//! not do its work; a finding says the work was done and this is what it shows.
//! Also how any text is made safe to show and folded.
//! Must not know who found it; drawing is `cli::ui`'s.

use std::ops::Range;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Works today, by luck or not as meant.
    Warning,
    /// Mail is lost, refused or stuck because of it.
    Error,
}

/// Where in a file a finding points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as the administrator knows it.
    pub path: Utf8PathBuf,
    /// The bytes of the file, lossily read; what the span counts in.
    #[serde(skip)]
    pub source: String,
    /// Byte range in `source`; empty ranges point between two bytes.
    #[serde(skip)]
    pub span: Range<usize>,
    /// Line of the span's start, from 1.
    pub line: usize,
    /// Column of the span's start in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Makes a place from a byte range of a file that may not be UTF-8.
    #[must_use]
    pub fn new(path: impl Into<Utf8PathBuf>, bytes: &[u8], span: Range<usize>) -> Self {
        // Lossy reading changes lengths, so both ends are measured by what stands before them.
        let lossy_length =
            |end: usize| String::from_utf8_lossy(&bytes[..end.min(bytes.len())]).len();
        let source = String::from_utf8_lossy(bytes).into_owned();
        let floor = |mut at: usize| {
            at = at.min(source.len());
            while !source.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(lossy_length(span.start));
        let end = floor(lossy_length(span.end.max(span.start))).max(start);
        let before = source.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Self {
            path: path.into(),
            source,
            span: start..end,
            line,
            column,
        }
    }
}

/// One thing wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Stable identifier, such as `unknown-transport`.
    pub code: &'static str,
    /// One line: what is wrong.
    pub title: String,
    /// Where, if it stands in a file.
    pub place: Option<Place>,
    /// Why it matters, in a sentence.
    pub why: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// Makes a finding without place, reason or fix.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, title: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            title: title.into(),
            place: None,
            why: None,
            fix: None,
        }
    }

    /// Makes an error.
    #[must_use]
    pub fn error(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, title)
    }

    /// Makes a warning.
    #[must_use]
    pub fn warning(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, title)
    }

    /// Makes a note.
    #[must_use]
    pub fn note(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, title)
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the reason.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn mend(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Tells all of it but the place in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = self.title.clone();
        for more in [&self.why, &self.fix].into_iter().flatten() {
            words.push_str("; ");
            words.push_str(more);
        }
        words
    }

    /// Tells whether two findings are the same fault, wherever lines have moved to.
    #[must_use]
    pub fn same_fault(&self, other: &Self) -> bool {
        self.code == other.code && self.title == other.title
    }
}

/// Escapes what a terminal would act on: control characters become `\u{..}`, and so do those that
/// turn the direction of a text, for what is turned reads as something else.
///
/// Text from files, logs and DNS answers passes through here before it is shown.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' || !is_obeyed(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// Tells whether a terminal acts on a character: control characters, and those that turn the
/// direction of a text.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Folds a text at blanks; what cannot be folded stays whole, and so does what stands between
/// backticks: a command must survive copying.
#[must_use]
pub fn fold(text: &str, width: usize, indent: &str) -> String {
    let lines = folds(text, width);
    let lines = lines.into_iter().filter_map(|line| text.get(line));
    lines.collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// The lines that [`fold`] makes of a text, as ranges of it: what lies between them are the blanks
/// that a break takes the place of.
#[must_use]
pub fn folds(text: &str, width: usize) -> Vec<Range<usize>> {
    let mut folds = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut place = start;
        start += line.len();
        let line = line.trim_end_matches('\n').trim_end_matches('\r');
        let mut current: Option<Range<usize>> = None;
        let mut used = 0;
        for word in words(line) {
            for (piece, is_whole) in pieces(word) {
                let (length, blank) = (columns(piece), usize::from(is_whole));
                if used > 0 && used + blank + length > width {
                    folds.extend(current.take());
                    used = 0;
                } else if used > 0 {
                    used += blank;
                }
                let from = current.filter(|_| used > 0).map_or(place, |all| all.start);
                place += piece.len();
                current = Some(from..place);
                used += length;
            }
            // The blank that ends it.
            place += 1;
        }
        folds.extend(current);
    }
    folds
}

/// The beginning of a text that is too long, up to a word's end: half an address leads nowhere.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let Some((end, next)) = text.char_indices().nth(most) else {
        return text.to_owned();
    };
    let (head, _) = text.split_at(end);
    let is_whole = next == ' ';
    match head.rsplit_once(' ').filter(|_| !is_whole) {
        Some((words, _)) => format!("{} …", words.trim_end()),
        None if is_whole => format!("{} …", head.trim_end()),
        None => format!("{head}…"),
    }
}

/// How many columns of a terminal a text takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The beginning of a text that takes no more than so many columns, with a sign where more follows.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut used = 0;
    let is_held = |c: &char| {
        used += c.width().unwrap_or_default();
        used < most
    };
    text.chars().take_while(is_held).chain(['…']).collect()
}

/// The parts of a word that a line may end behind: those scripts that use no blanks end a line
/// anywhere but before a mark that closes something. The first begins the word.
fn pieces(word: &str) -> Vec<(&str, bool)> {
    const CLOSING: &str = "、。，．：；！？）」』】〉》ー々…";
    let is_wide = |c: char| c.width() == Some(2);
    if word.contains('`') || !word.contains(is_wide) {
        return vec![(word, true)];
    }
    let mut pieces = Vec::new();
    let (mut start, mut before) = (0, None);
    for (at, c) in word.char_indices() {
        let may_end = before.is_some_and(|before| is_wide(before) || is_wide(c));
        if may_end && !CLOSING.contains(c) {
            pieces.push((word.get(start..at).unwrap_or_default(), start == 0));
            start = at;
        }
        before = Some(c);
    }
    pieces.push((word.get(start..).unwrap_or_default(), start == 0));
    pieces
}

/// Splits a line at the blanks outside backticks.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_folded_at_blanks() {
        assert_eq!(fold("one two three", 7, "  "), "one two\n  three");
        assert_eq!(fold("unbreakable", 3, "  "), "unbreakable");
        assert_eq!(fold("type `a b c` now", 6, " "), "type\n `a b c`\n now");
        // A character of these scripts is as wide as two letters.
        assert_eq!(
            fold("mail メールは、受け取れません", 11, "  "),
            "mail メール\n  は、受け取\n  れません"
        );
        assert_eq!(fold("`日本語 日本語`", 4, ""), "`日本語 日本語`");
        assert_eq!(cut("日本語メール", 7), "日本語…");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(fold("日本 語 x", 6, ""), "日本\n語 x");
        assert_eq!(fold("abc日本語abc", 5, ""), "abc日\n本語\nabc");
        assert_eq!(fold(" a\n\nb  c ", 9, " "), "a\n \n b  c ");
        assert_eq!(fold("", 9, " "), "");
    }

    #[test]
    fn texts_are_cut_between_words() {
        let cut = |most| shortened("one two https://example.org/?p=1", most);
        assert_eq!(cut(99), "one two https://example.org/?p=1");
        assert_eq!(cut(31), "one two …");
        assert_eq!(cut(7), "one two …");
        assert_eq!(cut(6), "one …");
        assert_eq!(cut(2), "on…");
        assert_eq!(shortened("ééé", 2), "éé…");
    }

    #[test]
    fn places_survive_bytes_that_are_not_utf8() {
        let place = Place::new("main.cf", b"# caf\xe9\nmyhostname = x\n", 7..17);
        assert_eq!((place.line, place.column), (2, 1));
        assert_eq!(place.source.get(place.span.clone()), Some("myhostname"));
    }

    #[test]
    fn places_past_the_end_are_clamped() {
        let place = Place::new("main.cf", b"a", 5..9);
        assert_eq!(place.span, 1..1);
    }

    #[test]
    fn terminal_escapes_are_shown_not_obeyed() {
        assert_eq!(escape("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }
}
