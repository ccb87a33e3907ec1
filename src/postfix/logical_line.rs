//! Logical lines: which physical lines belong together.
//!
//! Owns the reading rules shared by `main.cf`, `master.cf` and lookup tables
//! (postconf(5), "The general format of the main.cf file"), and the cutting and splicing of
//! a logical line without touching its comments. Must not know what a line says.

use std::ops::Range;

/// Tells whether Postfix takes a byte for white space (`isspace` in the C locale).
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Strips white space from both ends.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_blank(*byte));
    let Some(start) = start else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_blank(*byte));
    &bytes[start..=end.unwrap_or(start)]
}

/// Splits into physical lines, each with its newline if it has one.
pub(super) fn physical_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// What a physical line is for the logical lines around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    /// Empty, all blanks, or a comment: dropped wherever it stands.
    Ignored,
    /// Begins a logical line.
    Start,
    /// Begins with a blank: belongs to the logical line above.
    Continuation,
}

/// Tells what a physical line is.
pub(super) fn classify(line: &[u8]) -> Physical {
    match line.iter().find(|byte| !is_blank(**byte)) {
        None | Some(b'#') => Physical::Ignored,
        Some(_) if is_blank(line[0]) => Physical::Continuation,
        Some(_) => Physical::Start,
    }
}

/// What a piece of a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// Comments and blank lines between logical lines.
    Filler,
    /// One logical line, with the comments and blank lines inside it.
    Line,
    /// A logical line that begins with a blank: Postfix warns and ignores it.
    Orphan,
}

/// Cuts a document into its pieces, which together are every byte of it.
///
/// Comments and blank lines after the last line of a value belong to no value.
pub(super) fn pieces(text: &[u8]) -> impl Iterator<Item = (PieceKind, Range<usize>)> {
    let mut lines = physical_lines(text).peekable();
    // Where the piece begins, and where the physical lines looked at end.
    let mut start = 0;
    let mut at = 0;
    std::iter::from_fn(move || {
        if start < at {
            // What stands behind the last content line, up to the next logical line.
            let piece = (PieceKind::Filler, start..at);
            start = at;
            return Some(piece);
        }
        let kind = match classify(lines.peek()?) {
            Physical::Ignored => PieceKind::Filler,
            Physical::Start => PieceKind::Line,
            Physical::Continuation => PieceKind::Orphan,
        };
        let mut end = at;
        while let Some(line) = lines.peek() {
            match (classify(line), kind) {
                (Physical::Ignored, _) => {}
                (Physical::Start, _) if end > start => break,
                (_, PieceKind::Filler) => break,
                _ => end = at + line.len(),
            }
            at += line.len();
            lines.next();
        }
        if kind == PieceKind::Filler {
            end = at;
        }
        let piece = (kind, start..end);
        start = end;
        Some(piece)
    })
}

/// The line end a document uses for most of its lines.
pub(super) fn line_end(text: &[u8]) -> &'static [u8] {
    let (mut lines, mut with_return) = (0_usize, 0_usize);
    for line in physical_lines(text) {
        lines += usize::from(line.ends_with(b"\n"));
        with_return += usize::from(line.ends_with(b"\r\n"));
    }
    if with_return * 2 > lines {
        b"\r\n"
    } else {
        b"\n"
    }
}

/// What Postfix sees of a logical line, and where each byte of it stands in the text.
#[derive(Debug)]
pub(super) struct Content {
    /// The content lines, newlines deleted, up to the first NUL byte.
    pub bytes: Vec<u8>,
    /// Where each content line begins: in `bytes`, in the text.
    lines: Vec<(usize, usize)>,
}

impl Content {
    /// Joins the content lines of a logical line.
    pub fn of(text: &[u8]) -> Self {
        let mut content = Self {
            bytes: Vec::with_capacity(text.len()),
            lines: Vec::with_capacity(1),
        };
        let mut at = 0;
        for line in physical_lines(text) {
            if classify(line) != Physical::Ignored {
                content.lines.push((content.bytes.len(), at));
                let end = line.len() - usize::from(line.ends_with(b"\n"));
                content.bytes.extend_from_slice(&line[..end]);
            }
            at += line.len();
        }
        // C strings end here; the programs go on with the next logical line.
        if let Some(nul) = content.bytes.iter().position(|byte| *byte == 0) {
            content.bytes.truncate(nul);
        }
        content
    }

    /// Gives the place in the text of a byte of the content.
    pub fn place(&self, at: usize) -> usize {
        let line = self.lines.partition_point(|(start, _)| *start <= at);
        let (start, place) = self.lines[line.saturating_sub(1)];
        place + (at - start)
    }

    /// Gives the place in the text of a range of the content.
    pub fn span(&self, range: &Range<usize>) -> Range<usize> {
        if range.is_empty() {
            let end = range
                .start
                .checked_sub(1)
                .map_or(0, |last| self.place(last) + 1);
            return end..end;
        }
        self.place(range.start)..self.place(range.end - 1) + 1
    }

    /// Gives where in the content a place of the text is.
    pub fn offset(&self, place: usize) -> usize {
        let line = self.lines.partition_point(|(_, start)| *start <= place);
        let (offset, start) = self.lines[line.saturating_sub(1)];
        offset + (place - start)
    }
}

/// Replaces ranges of a text, which are in order and do not overlap.
pub(super) fn spliced<'a>(
    text: &[u8],
    parts: impl Iterator<Item = (Range<usize>, &'a str)>,
) -> Vec<u8> {
    let mut new = Vec::with_capacity(text.len());
    let mut at = 0;
    for (range, part) in parts {
        new.extend_from_slice(&text[at..range.start]);
        new.extend_from_slice(part.as_bytes());
        at = range.end;
    }
    new.extend_from_slice(&text[at..]);
    new
}

/// Cuts ranges of the content out of a logical line.
///
/// Comments and blank lines stay, and so do indents and line ends; a
/// continuation line of which nothing is left goes.
pub(super) fn without(text: &[u8], cuts: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut first = true;
    for line in physical_lines(text) {
        if classify(line) == Physical::Ignored {
            kept.extend_from_slice(line);
            continue;
        }
        let body = line.len() - usize::from(line.ends_with(b"\n"));
        let indent = line.iter().take_while(|byte| is_blank(**byte)).count();
        let tail = body - usize::from(line.ends_with(b"\r\n"));
        let start = kept.len();
        for (offset, byte) in line.iter().enumerate() {
            let fixed = offset < indent || offset >= tail;
            if fixed || !cuts.iter().any(|cut| cut.contains(&(at + offset))) {
                kept.push(*byte);
            }
        }
        if !first && kept[start..].iter().all(|byte| is_blank(*byte)) {
            kept.truncate(start);
        }
        first = false;
        at += body;
    }
    kept
}

/// Chooses the cuts that take words and their separators out of a line.
///
/// The separator behind a word goes along or, at the end, the one before.
/// `start` is where what stands before the first word ends, if anything does.
pub(super) fn cuts(
    words: &[Range<usize>],
    start: Option<usize>,
    goes: impl Fn(usize) -> bool,
) -> Vec<Range<usize>> {
    let last_kept = (0..words.len()).rev().find(|index| !goes(*index));
    let mut kept_end = start;
    let mut cuts = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if !goes(index) {
            kept_end = Some(word.end);
        } else if last_kept.is_some_and(|last| index < last) {
            cuts.push(word.start..words[index + 1].start);
        } else {
            cuts.push(kept_end.unwrap_or(word.start)..word.end);
        }
    }
    cuts
}

/// Ends the last line of a text that lacks its newline.
///
/// With a newline alone, whatever the other lines end in: a carriage return
/// would become part of a word that an open brace has begun.
pub(super) fn end_last_line(text: &mut Vec<u8>) {
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
}

/// Keeps the comments and blank lines of a logical line and nothing else.
pub(super) fn ignored_lines(text: &[u8]) -> Vec<u8> {
    physical_lines(text)
        .filter(|line| classify(line) == Physical::Ignored)
        .flatten()
        .copied()
        .collect()
}

/// Tells the indent of the physical line that holds a place of the text.
pub(super) fn indent_at(text: &[u8], place: usize) -> &[u8] {
    let start = text[..place]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let length = text[start..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    &text[start..start + length]
}

/// Gives the end of the visible part of the physical line that holds a place: before its line end.
pub(super) fn line_stop(text: &[u8], place: usize) -> usize {
    let newline = text[place..].iter().position(|byte| *byte == b'\n');
    let stop = newline.map_or(text.len(), |length| place + length);
    if newline.is_some() && stop > place && text[stop - 1] == b'\r' {
        stop - 1
    } else {
        stop
    }
}

/// Splits at `separators` outside of `{ }`, as Postfix does since 3.0.
pub(super) fn split_outside_braces(text: &[u8], separators: &[u8]) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut depth = 0_usize;
    for (at, byte) in text.iter().enumerate() {
        if depth == 0 && separators.contains(byte) {
            if let Some(start) = start.take() {
                words.push(start..at);
            }
            continue;
        }
        start.get_or_insert(at);
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if let Some(start) = start {
        words.push(start..text.len());
    }
    words
}

/// Tells whether a text ends inside of braces; a `}` without `{` counts for nothing.
pub(super) fn ends_in_braces(text: &[u8]) -> bool {
    let depth = text.iter().fold(0_usize, |depth, byte| match byte {
        b'{' => depth + 1,
        b'}' => depth.saturating_sub(1),
        _ => depth,
    });
    depth > 0
}

/// Tells whether every `{` is closed and no `}` stands alone.
pub(super) fn is_balanced(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let closed = text.iter().all(|byte| match byte {
        b'{' => {
            depth += 1;
            true
        }
        b'}' => depth.checked_sub(1).map(|less| depth = less).is_some(),
        _ => true,
    });
    closed && depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[(PieceKind, &[u8])]) {
        let got: Vec<_> = pieces(text)
            .map(|(kind, range)| (kind, &text[range]))
            .collect();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn comments_inside_a_value_stay_inside_and_those_after_it_do_not() {
        use PieceKind::{Filler, Line, Orphan};
        check(b"", &[]);
        check(b"# only", &[(Filler, b"# only")]);
        check(
            b"a\n#c\n\n  b\n#d\ne",
            &[(Line, b"a\n#c\n\n  b\n"), (Filler, b"#d\n"), (Line, b"e")],
        );
        check(
            b"\n a\n b\nc\n",
            &[(Filler, b"\n"), (Orphan, b" a\n b\n"), (Line, b"c\n")],
        );
        check(
            b"a\n \t\r\n  #x\n\x0bb",
            &[(Line, b"a\n \t\r\n  #x\n\x0bb")],
        );
    }

    #[test]
    fn content_is_joined_and_places_lead_back() {
        let text = b"a = 1\n# c\n\n  2\r\n";
        let content = Content::of(text);
        assert_eq!(content.bytes, b"a = 1  2\r");
        assert_eq!(content.place(7), 13);
        assert_eq!(content.span(&(4..8)), 4..14);
        assert_eq!(Content::of(b"a = b\0c\n").bytes, b"a = b");
    }

    #[test]
    fn cutting_leaves_comments_indents_and_line_ends() {
        let text = b"a = x,\r\n# about y\r\n  y,\r\n  z\r\n";
        let content = Content::of(text);
        let y = content.bytes.iter().position(|byte| *byte == b'y').unwrap();
        let z = content.bytes.iter().position(|byte| *byte == b'z').unwrap();
        assert_eq!(
            without(text, std::slice::from_ref(&(y..z))),
            b"a = x,\r\n# about y\r\n  z\r\n"
        );
        assert_eq!(
            without(text, std::slice::from_ref(&(5..y + 1))),
            b"a = x\r\n# about y\r\n  ,\r\n  z\r\n"
        );
    }

    #[test]
    fn most_lines_decide_the_line_end() {
        assert_eq!(line_end(b"a\r\nb\r\nc\n"), b"\r\n");
        assert_eq!(line_end(b"a\nb\r\n"), b"\n");
        assert_eq!(line_end(b"a"), b"\n");
    }
}
