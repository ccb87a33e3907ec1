//! What a person sees: findings, diffs, explanations, hints.
//!
//! Owns colour, width and the two streams: what was asked for goes to standard
//! output, all else to standard error. Nothing is understandable by colour alone.
//! Must not know what is being said.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::diff::{Kind, Line};
use crate::finding::{Finding, Severity, escape, fold, folds};
use crate::mask::Mask;

/// The width texts are folded to: every terminal has it.
const WIDTH: usize = 80;

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The two streams.
pub struct Ui {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    is_unread: bool,
    is_coloured: bool,
    mask: Option<Mask>,
}

impl Ui {
    /// Makes a face for two streams; they strip colour themselves where it is not wanted.
    #[must_use]
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            out,
            err,
            is_unread: false,
            is_coloured: false,
            mask: None,
        }
    }

    /// Says whether colour reaches who reads: where it does not, marks stand in for it.
    #[must_use]
    pub fn coloured(self, is_coloured: bool) -> Self {
        Self {
            is_coloured,
            ..self
        }
    }

    /// Shows nobody's address from now on, if there is a mask; a text is masked without its colour,
    /// which may stand in the midst of an address.
    pub fn mask(&mut self, mask: Option<Mask>) {
        self.mask = mask;
    }

    fn masked<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        match &mut self.mask {
            Some(mask) => Cow::Owned(mask.text(&strip_str(text).to_string())),
            None => Cow::Borrowed(text),
        }
    }

    /// Writes on the side.
    fn aside(&mut self, text: &str) {
        let text = self.masked(text);
        let _ = self.out.flush();
        let _ = self.err.write_all(text.as_bytes());
    }

    /// Writes what was asked for.
    ///
    /// A reader that went away (`| head`) is no failure of ours.
    pub fn data(&mut self, text: &str) {
        let text = self.masked(text);
        let written = self.out.write_all(text.as_bytes());
        self.is_unread |= written.and_then(|()| self.out.flush()).is_err();
    }

    /// Tells whether nobody reads any more what was asked for.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Says something on the side.
    pub fn say(&mut self, text: &str) {
        self.aside(&format!("{}\n", escape(text)));
    }

    /// Says what went wrong, and what to do.
    pub fn failure(&mut self, message: &str, hints: &[String]) {
        let red = RED.bold();
        self.aside(&format!(
            "{red}error{red:#}{BOLD}: {}{BOLD:#}\n",
            escape(message)
        ));
        for hint in hints {
            self.hint(hint);
        }
    }

    /// Says what to do next.
    pub fn hint(&mut self, text: &str) {
        let cyan = CYAN.bold();
        let text = fold(&escape(text), WIDTH - 6, "      ");
        self.aside(&format!("{cyan}hint{cyan:#}: {text}\n"));
    }

    /// Writes a heading of what was asked for.
    pub fn heading(&mut self, text: &str) {
        let folded = fold(&escape(text), WIDTH - 2, "  ");
        self.data(&format!("{BOLD}{folded}{BOLD:#}\n"));
    }

    /// Writes sentences below a heading.
    pub fn paragraph(&mut self, text: &str) {
        let folded = fold(&escape(text), WIDTH - 2, "  ");
        self.data(&format!("  {folded}\n"));
    }

    /// Writes one point of a list below a heading.
    pub fn point(&mut self, mark: &str, text: &str) {
        let indent = " ".repeat(mark.chars().count() + 3);
        let folded = fold(&escape(text), WIDTH - indent.len(), &indent);
        self.data(&format!("  {mark} {folded}\n"));
    }

    /// Writes a point in which phrases are marked: the first place of each, by colour, and where
    /// there is none by carets below it.
    pub fn marked_point(&mut self, mark: &str, text: &str, phrases: &[String]) {
        let indent = " ".repeat(mark.width() + 3);
        let text = escape(text);
        let places = phrases.iter().filter_map(|phrase| {
            let phrase = escape(phrase);
            let start = text.find(&phrase)?;
            Some(start..start + phrase.len())
        });
        let places: Vec<Range<usize>> = places.collect();
        let mut shown = String::new();
        for (number, line) in folds(&text, WIDTH - indent.len()).into_iter().enumerate() {
            let (marked, carets) = with_marks(&text, line, &places);
            let _ = match number {
                0 => writeln!(shown, "  {mark} {marked}"),
                _ => writeln!(shown, "{indent}{marked}"),
            };
            if !self.is_coloured && !carets.is_empty() {
                let _ = writeln!(shown, "{indent}{carets}");
            }
        }
        self.data(&shown);
    }

    /// Writes the line that begins one of a ranked list of findings.
    pub fn trouble(&mut self, rank: usize, severity: Severity, code: &str, title: &str) {
        let (style, word) = match severity {
            Severity::Error => (RED.bold(), "error"),
            Severity::Warning => (YELLOW.bold(), "warning"),
            Severity::Note => (CYAN.bold(), "note"),
        };
        let head = format!("{rank}. {word}[{code}]");
        let folded = fold(&escape(&format!("{head}: {title}")), WIDTH - 3, "   ");
        let rest = folded.strip_prefix(&head).unwrap_or_default();
        self.data(&format!("{style}{head}{style:#}{BOLD}{rest}{BOLD:#}\n"));
    }

    /// Writes a command, whole and on a line of its own: it is there to be copied.
    pub fn command(&mut self, command: &str) {
        let command = escape(command).replace(['\n', '\t'], " ");
        self.data(&format!("    $ {GREEN}{command}{GREEN:#}\n"));
    }

    /// Writes a diff.
    pub fn diff(&mut self, lines: &[Line]) {
        for line in lines {
            let (style, marked) = match line.kind {
                Kind::Header => (BOLD, BOLD),
                Kind::Hunk => (CYAN, CYAN),
                Kind::Context => (Style::new(), Style::new()),
                Kind::Removed => (RED, RED.bold().underline()),
                Kind::Added => (GREEN, GREEN.bold().underline()),
                Kind::Remark => (YELLOW, YELLOW),
            };
            let mut text = String::new();
            for (emphasis, piece) in &line.pieces {
                let style = if *emphasis { marked } else { style };
                let _ = write!(text, "{style}{piece}{style:#}");
            }
            text.push('\n');
            self.data(&text);
        }
    }

    /// Writes findings to standard output: they are what was asked for.
    pub fn findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            let text = render_finding(finding);
            self.data(&text);
        }
    }

    /// Writes findings to standard error: they are said on the side.
    pub fn remarks(&mut self, findings: &[Finding]) {
        for finding in findings {
            self.aside(&render_finding(finding));
        }
    }
}

/// A line of a text with places of it coloured, and the carets that stand for them below it.
fn with_marks(text: &str, line: Range<usize>, places: &[Range<usize>]) -> (String, String) {
    let style = YELLOW.bold();
    let (mut marked, mut carets) = (String::new(), String::new());
    let mut is_open = false;
    let inside = text.get(line.clone()).unwrap_or_default();
    for (at, character) in inside.char_indices() {
        let at = line.start + at;
        let is_marked = places.iter().any(|place| place.contains(&at));
        let _ = match (is_open, is_marked) {
            (false, true) => write!(marked, "{style}"),
            (true, false) => write!(marked, "{style:#}"),
            _ => Ok(()),
        };
        is_open = is_marked;
        marked.push(character);
        let sign = if is_marked { "^" } else { " " };
        carets += &sign.repeat(character.width().unwrap_or_default());
    }
    if is_open {
        let _ = write!(marked, "{style:#}");
    }
    carets.truncate(carets.trim_end().len());
    (marked, carets)
}

/// RFC 4180, 2; a spreadsheet takes what begins with these signs for a formula.
#[must_use]
pub fn csv_field(text: &str) -> String {
    let text = escape(text);
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains(['"', ',', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Draws a finding as rustc does.
fn render_finding(finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = escape(&finding.title);
    let (mut source, mut path) = (String::new(), String::new());
    let mut group = Group::with_title(level.primary_title(title.as_str()).id(finding.code));
    if let Some(place) = &finding.place {
        // A control character is drawn as one character, so that the caret stays where it belongs.
        source = place
            .source
            .chars()
            .map(|c| {
                if c.is_control() && c != '\n' && c != '\t' {
                    shown(c)
                } else {
                    c.to_string()
                }
            })
            .collect();
        path = place.path.to_string();
    }
    if let Some(place) = &finding.place {
        let shift = |at: usize| {
            let before = place.source.get(..at).unwrap_or(&place.source);
            before
                .chars()
                .map(|c| {
                    if c.is_control() && c != '\n' && c != '\t' {
                        shown(c).len()
                    } else {
                        c.len_utf8()
                    }
                })
                .sum::<usize>()
        };
        let (start, end) = (
            shift(place.span.start).min(source.len()),
            shift(place.span.end).min(source.len()),
        );
        let snippet = Snippet::source(source.as_str())
            .path(path.as_str())
            .annotation(AnnotationKind::Primary.span(start..end.max(start)));
        group = group.element(snippet);
    }
    let why = finding
        .why
        .as_deref()
        .map(|why| fold(&escape(why), WIDTH - 12, "            "));
    let fix = finding
        .fix
        .as_deref()
        .map(|fix| fold(&escape(fix), WIDTH - 12, "            "));
    if let Some(why) = &why {
        group = group.element(Level::NOTE.message(unfolded(why)));
    }
    if let Some(fix) = &fix {
        group = group.element(Level::HELP.message(unfolded(fix)));
    }
    let mut text = Renderer::styled()
        .term_width(WIDTH)
        .render(&[group])
        .clone();
    text.push('\n');
    text
}

/// A control character as one of Unicode's pictures of them.
fn shown(c: char) -> String {
    let picture = match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code),
        0x7f => Some('\u{2421}'),
        _ => None,
    };
    picture.unwrap_or('\u{fffd}').to_string()
}

/// The renderer indents further lines of a message itself.
fn unfolded(text: &str) -> String {
    text.lines()
        .map(str::trim_start)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;

    #[test]
    fn what_is_marked_is_marked_below_too() {
        let text = "日本 bad mail";
        let style = YELLOW.bold();
        let check = |line: Range<usize>, place: Range<usize>, marked: &str, carets: &str| {
            let places = std::slice::from_ref(&place);
            let expected = (marked.to_owned(), carets.to_owned());
            assert_eq!(with_marks(text, line, places), expected);
        };
        let bad = format!("{style}bad{style:#}");
        check(
            0..text.len(),
            7..10,
            &format!("日本 {bad} mail"),
            "     ^^^",
        );
        check(7..10, 0..0, "bad", "");
        check(7..10, 0..15, &bad, "^^^");
    }

    #[test]
    fn hostile_text_in_a_file_moves_no_caret_and_no_cursor() {
        let place = Place::new("main.cf", b"\x1b[2Ja\x07 = 1\n", 4..5);
        let text = render_finding(&Finding::error("x", "bad\x1b[2J").at(place));
        assert!(!text.contains("\x1b[2J"), "{text:?}");
    }
}
