//! Diffs: what a plan changes, as text a person reads before agreeing.
//!
//! Owns the unified diff (`similar`). Changed words are marked, modes and owners
//! are said in words, databases and secrets are shown as length and digest.
//! Must not know colour or where the text goes.

use std::fmt;

use camino::Utf8Path;
use data_encoding::HEXLOWER;
use similar::{ChangeTag, TextDiff};

use crate::finding::escape;
use crate::plan::{FileChange, Nature, Plan};
use crate::system::File;

/// Lines of context around a change, as diff(1) gives them.
const CONTEXT: usize = 3;

/// Lines of a copy that are shown: nobody reads the hundreds of `/etc/services`.
const LONGEST_COPY: usize = 50;

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--- a/…` and `+++ b/…`.
    Header,
    /// `@@ … @@`.
    Hunk,
    /// An unchanged line.
    Context,
    /// A line that goes.
    Removed,
    /// A line that comes.
    Added,
    /// Something said in words.
    Remark,
}

/// One line of a diff, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Its text in pieces; `true` marks the words that differ.
    pub pieces: Vec<(bool, String)>,
}

impl Line {
    fn plain(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            pieces: vec![(false, text.into())],
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces
            .iter()
            .try_for_each(|(_, text)| f.write_str(text))
    }
}

/// Puts lines together into one text.
#[must_use]
pub fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

/// Renders all file changes of a plan, in order.
#[must_use]
pub fn render(plan: &Plan) -> Vec<Line> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        for directory in &step.directories {
            let text = format!(
                "new directory {}, mode {:04o}",
                directory.path, directory.mode
            );
            lines.push(Line::plain(Kind::Remark, text));
        }
        for change in step.files.iter().filter(|change| change.is_change()) {
            render_change(change, &mut lines);
        }
        for directory in &step.abandoned {
            let text = format!("removed directory {}, if it is empty then", directory.path);
            lines.push(Line::plain(Kind::Remark, text));
        }
    }
    lines
}

/// Renders the difference of two texts under names of their own; nothing where they are alike.
#[must_use]
pub fn texts(old_name: &str, new_name: &str, old: &str, new: &str) -> Vec<Line> {
    if old == new {
        return Vec::new();
    }
    let mut lines = vec![
        Line::plain(Kind::Header, format!("--- {}", escape(old_name))),
        Line::plain(Kind::Header, format!("+++ {}", escape(new_name))),
    ];
    render_text(old, new, &mut lines);
    lines
}

fn render_change(change: &FileChange, lines: &mut Vec<Line>) {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    // What is no UTF-8 is still shown where it can be: an old comment must not hide a change.
    let text = |file: Option<&File>| {
        String::from_utf8_lossy(file.map_or(&[], |file| &file.bytes)).into_owned()
    };
    let (old, new) = (text(before), text(after));
    let is_short = |text: &str| text.lines().count() <= LONGEST_COPY;
    match change.nature {
        Nature::Copy if !is_short(&old) || !is_short(&new) => {
            lines.push(Line::plain(Kind::Remark, opaque(change, change.nature)));
        }
        Nature::Text | Nature::Copy if old != new => {
            lines.push(Line::plain(
                Kind::Header,
                format!("--- {}", label("a", &change.path, before)),
            ));
            lines.push(Line::plain(
                Kind::Header,
                format!("+++ {}", label("b", &change.path, after)),
            ));
            render_text(&old, &new, lines);
        }
        Nature::Text | Nature::Copy if same_bytes(before, after) => {}
        nature => lines.push(Line::plain(Kind::Remark, opaque(change, nature))),
    }
    for remark in ownership(change) {
        lines.push(Line::plain(Kind::Remark, remark));
    }
}

fn same_bytes(before: Option<&File>, after: Option<&File>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if before.bytes == after.bytes)
}

fn label(side: &str, path: &Utf8Path, file: Option<&File>) -> String {
    match file {
        Some(_) if path.is_absolute() => format!("{side}{path}"),
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    }
}

fn opaque(change: &FileChange, nature: Nature) -> String {
    let what = match nature {
        Nature::Text => "file",
        Nature::Index => "table index",
        Nature::Copy => "copy",
        Nature::Secret => "secret",
    };
    let path = &change.path;
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("new {what} {path}: {}", digest(after)),
        (Some(before), None) => format!("removed {what} {path}: {}", digest(before)),
        (Some(before), Some(after)) => format!(
            "changed {what} {path}: {}, was {}",
            digest(after),
            digest(before)
        ),
        (None, None) => format!("{what} {path} stays absent"),
    }
}

fn digest(file: &File) -> String {
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &file.bytes);
    let sum = HEXLOWER.encode(sum.as_ref());
    format!(
        "{} bytes, sha256 {}…",
        file.bytes.len(),
        sum.get(..16).unwrap_or(&sum)
    )
}

fn ownership(change: &FileChange) -> Vec<String> {
    let path = &change.path;
    let mut remarks = Vec::new();
    match (&change.before, &change.after) {
        (None, Some(after)) => {
            remarks.push(format!(
                "new file {path}, mode {:04o}, owner {}:{}",
                after.mode, after.uid, after.gid
            ));
        }
        (Some(_), None) => remarks.push(format!("{path} is removed")),
        (Some(before), Some(after)) => {
            if before.mode != after.mode {
                remarks.push(format!(
                    "mode of {path} becomes {:04o}, was {:04o}",
                    after.mode, before.mode
                ));
            }
            if (before.uid, before.gid) != (after.uid, after.gid) {
                remarks.push(format!(
                    "owner of {path} becomes {}:{}, was {}:{}",
                    after.uid, after.gid, before.uid, before.gid
                ));
            }
        }
        (None, None) => {}
    }
    // A new index or secret has said so in its own line.
    if !matches!(change.nature, Nature::Text | Nature::Copy) {
        remarks.retain(|remark| remark.starts_with("mode") || remark.starts_with("owner"));
    }
    remarks
}

fn render_text(old: &str, new: &str, lines: &mut Vec<Line>) {
    let diff = TextDiff::from_lines(old, new);
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let range = |start: usize, end: usize| {
            // The line number of an empty range is the line before it, as diff(1) has it.
            let length = end - start;
            let from = if length == 0 { start } else { start + 1 };
            if length == 1 {
                from.to_string()
            } else {
                format!("{from},{length}")
            }
        };
        let hunk = format!(
            "@@ -{} +{} @@",
            range(first.old_range().start, last.old_range().end),
            range(first.new_range().start, last.new_range().end)
        );
        lines.push(Line::plain(Kind::Hunk, hunk));
        for op in &group {
            for change in diff.iter_inline_changes(op) {
                let (sign, kind) = match change.tag() {
                    ChangeTag::Equal => (' ', Kind::Context),
                    ChangeTag::Delete => ('-', Kind::Removed),
                    ChangeTag::Insert => ('+', Kind::Added),
                };
                let mut pieces = vec![(false, sign.to_string())];
                for (marked, text) in change.iter_strings_lossy() {
                    let text = text.trim_end_matches('\n').replace('\r', "\\r");
                    if !text.is_empty() {
                        pieces.push((marked, escape(&text)));
                    }
                }
                lines.push(Line { kind, pieces });
                if change.missing_newline() {
                    lines.push(Line::plain(Kind::Remark, "\\ No newline at end of file"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    fn file(text: &str, mode: u32) -> File {
        File {
            bytes: text.into(),
            mode,
            uid: 0,
            gid: 0,
            attributes: Vec::new(),
        }
    }

    fn shown(before: Option<File>, after: Option<File>, nature: Nature) -> String {
        let change = FileChange {
            path: "/etc/postfix/main.cf".into(),
            before,
            after,
            nature,
        };
        let plan = Plan {
            steps: vec![Step {
                files: vec![change],
                ..Step::default()
            }],
        };
        text(&render(&plan))
    }

    #[test]
    fn a_changed_line_is_a_unified_diff() {
        let text = shown(
            Some(file("a = 1\nb = 2\n", 0o644)),
            Some(file("a = 1\nb = 3\n", 0o644)),
            Nature::Text,
        );
        assert_eq!(
            text,
            "--- a/etc/postfix/main.cf\n+++ b/etc/postfix/main.cf\n@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n"
        );
    }

    #[test]
    fn a_mode_is_said_in_words() {
        let text = shown(
            Some(file("a\n", 0o600)),
            Some(file("a\n", 0o644)),
            Nature::Text,
        );
        assert_eq!(
            text,
            "mode of /etc/postfix/main.cf becomes 0644, was 0600\n"
        );
    }

    #[test]
    fn a_missing_final_newline_is_told() {
        let text = shown(
            Some(file("a", 0o644)),
            Some(file("a\nb\n", 0o644)),
            Nature::Text,
        );
        assert!(
            text.contains("-a\n\\ No newline at end of file\n+a\n+b\n"),
            "{text}"
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let text = shown(None, Some(file("PRIVATE", 0o600)), Nature::Secret);
        assert!(
            !text.contains("PRIVATE") && text.contains("7 bytes, sha256"),
            "{text}"
        );
    }

    #[test]
    fn a_long_copy_is_not_shown() {
        let text = shown(None, Some(file("nameserver ::1\n", 0o644)), Nature::Copy);
        assert!(text.contains("+nameserver ::1\n"), "{text}");
        let services = "smtp 25/tcp\n".repeat(51);
        let text = shown(None, Some(file(&services, 0o644)), Nature::Copy);
        assert!(
            text.starts_with("new copy /etc/postfix/main.cf: 612 bytes, sha256"),
            "{text}"
        );
        assert!(!text.contains("smtp"), "{text}");
    }

    #[test]
    fn terminal_escapes_and_other_encodings_are_shown_safely() {
        let mut old = file("# caf", 0o644);
        old.bytes.extend(b"\xe9 \x1b[2J\nb = 2\n");
        let mut new = old.clone();
        new.bytes.extend(b"c = 3\n");
        let text = shown(Some(old), Some(new), Nature::Text);
        assert!(
            text.contains("\u{fffd} \\u{1b}[2J") && text.contains("+c = 3"),
            "{text}"
        );
    }
}
