//! What a text went through before it was pasted, undone: colours, quoting, the elements and entities
//! of pages, what editors make of blanks and quotes, what programs put before a line.
//!
//! Must not know what a text says.

use std::borrow::Cow;

use super::wrap::{floor, is_time};
use crate::postfix::log::Line;

/// Makes plain lines of a text.
pub(super) fn clean(text: &str) -> Vec<Cow<'_, str>> {
    // Programs that print a text of several lines on one write the breaks as letters.
    let is_one_line = !text.trim_end().contains('\n') && text.contains("\\n");
    if is_one_line {
        let text = text.replace("\\r\\n", "\n").replace("\\n", "\n");
        let lines = clean(&text).into_iter();
        return lines.map(|line| Cow::Owned(line.into_owned())).collect();
    }
    let mut lines: Vec<Cow<'_, str>> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        for line in line.split(BREAKS) {
            if line.contains(|c| matches!(c, '\x1b' | '&' | '<' | '\t') || !c.is_ascii()) {
                let plain = plain(line);
                // A break of the page at the end of a line is one with that of the text.
                let plain = plain.strip_suffix('\n').unwrap_or(&plain);
                lines.extend(plain.split('\n').map(|part| Cow::Owned(part.to_owned())));
            } else {
                lines.push(Cow::Borrowed(line));
            }
        }
    }
    unquote(&mut lines);
    unname(&mut lines);
    unnumber(&mut lines);
    for line in &mut lines {
        if let Some(rest) = after_lead(line) {
            *line = Cow::Owned(rest.to_owned());
        }
        if let Some(plain) = printed(line) {
            *line = Cow::Owned(plain);
        }
    }
    lines
}

/// What stands between the code and the words of a reply where a program prints its parts: Python's
/// `(550, b'…')`, Go's `Code: 550, Msg: "…"`, JSON's `"code": 550, "message": "…"`.
const PARTS: [&str; 8] = [
    ", b'",
    ", b\"",
    ", '",
    ", \"",
    ", Msg: \"",
    ", Msg:\"",
    ", \"message\": \"",
    ",\"message\":\"",
];

/// Puts a reply together whose parts a program printed one by one; `None` where there is none.
fn printed(line: &str) -> Option<String> {
    let (at, behind) = line
        .match_indices(", ")
        .chain(line.match_indices(",\""))
        .find_map(|(at, _)| {
            let (before, rest) = line.split_at_checked(at)?;
            let code = before.get(before.len().checked_sub(3)?..)?;
            let lead = before.strip_suffix(code)?.trim_end();
            let is_code =
                code.starts_with(['4', '5']) && code.bytes().all(|byte| byte.is_ascii_digit());
            let is_told = lead.ends_with(['(', ':']);
            let part = PARTS.iter().filter(|part| rest.starts_with(**part));
            let part = part.max_by_key(|part| part.len())?;
            (is_code && is_told).then_some((at, rest.get(part.len()..)?))
        })?;
    let (lead, code) = line.get(..at)?.split_at_checked(at.checked_sub(3)?)?;
    let lead = lead.trim_end_matches(|c: char| c == '(' || c.is_whitespace());
    Some(format!("{lead}: {code} {behind}"))
}

/// Characters that break a line, beside the usual one.
const BREAKS: [char; 6] = ['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{b}', '\u{c}'];

/// Elements of a page that stand on lines of their own, and those that stand within one.
const BLOCKS: [&str; 18] = [
    "br",
    "p",
    "div",
    "pre",
    "tr",
    "td",
    "th",
    "table",
    "tbody",
    "li",
    "ul",
    "ol",
    "blockquote",
    "body",
    "html",
    "h1",
    "h2",
    "h3",
];
const INLINE: [&str; 11] = [
    "span", "code", "strong", "em", "font", "tt", "samp", "kbd", "wbr", "a", "b",
];

/// Takes colours and the elements of pages off, reads entities, and writes in ASCII what editors
/// replace: quotes, hyphens and blanks of all kinds.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '\x1b' => rest = after_escape(rest),
            '&' => match entity(rest) {
                Some((character, after)) => {
                    out.push(character);
                    rest = after;
                }
                None => out.push('&'),
            },
            '<' => match element(rest) {
                Some((is_block, after)) => {
                    if is_block {
                        out.push('\n');
                    }
                    rest = after;
                }
                None => out.push('<'),
            },
            '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                out.push(' ');
            }
            // What has no width.
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {}
            '\u{2010}'..='\u{2014}' => out.push('-'),
            '\u{2018}' | '\u{2019}' => out.push('\''),
            '\u{201c}' | '\u{201d}' => out.push('"'),
            other => out.push(other),
        }
    }
    out
}

/// Reads an element's tag, its `<` gone: whether it stands on a line of its own, and what follows.
fn element(text: &str) -> Option<(bool, &str)> {
    let inside = text.strip_prefix('/').unwrap_or(text);
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (name, more) = inside.split_at_checked(end)?;
    let name = name.to_ascii_lowercase();
    let is_block = BLOCKS.contains(&name.as_str());
    if !is_block && !INLINE.contains(&name.as_str()) {
        return None;
    }
    // A blank, a slash or the end: an address of that beginning is none.
    if !more.starts_with([' ', '/', '>']) {
        return None;
    }
    let close = more.find(['<', '>'])?;
    let after = more.get(close..)?.strip_prefix('>')?;
    Some((is_block, after))
}

/// What stands before a line where a program that showed it put something: the file and number of
/// `grep`, a line's number, a container's name, the sign of a `diff`, the priority of syslog.
fn after_lead(line: &str) -> Option<&str> {
    let start = line.find(|c: char| !c.is_whitespace())?;
    if start == 0 && is_time(line) {
        return None;
    }
    let limit = floor(line, LEAD.min(line.len()));
    let mut places = line.get(..limit)?.char_indices().skip(1);
    let (at, rest) = places.find_map(|(at, _)| {
        let rest = line.get(at..)?;
        is_time(rest).then_some((at, rest))
    })?;
    let lead = line.get(..at)?.trim();
    let bare = lead.trim_end_matches('|').trim_end();
    let is_lead = !bare.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '@'));
    (is_lead && Line::parse(rest.as_bytes()).is_some_and(|line| line.pid.is_some())).then_some(rest)
}

/// Takes off what all lines begin with, where that is the sign of a `diff` or a name: that of a file,
/// as `grep` puts it, or of a container.
fn unname(lines: &mut [Cow<'_, str>]) {
    let mut all = lines.iter().filter(|line| !line.trim().is_empty());
    let Some(name) = all.next().and_then(|line| line.get(..name(line)?)) else {
        return;
    };
    let name = name.to_owned();
    let mut others = all.clone();
    if all.next().is_none() || !others.all(|line| line.starts_with(&name)) {
        return;
    }
    for line in lines {
        if let Some(rest) = line.strip_prefix(&name) {
            *line = Cow::Owned(rest.to_owned());
        }
    }
}

/// How much of a line is a name before it.
fn name(line: &str) -> Option<usize> {
    if line.starts_with('+') {
        return Some(1);
    }
    let end = line.find(|c: char| c.is_whitespace() || matches!(c, ':' | '|' | '<' | '@'))?;
    let (name, rest) = line.split_at_checked(end)?;
    if rest.starts_with(':') && name.contains('/') {
        return Some(end + 1);
    }
    let bar = rest.trim_start().strip_prefix('|')?;
    let bar = bar.strip_prefix(' ').unwrap_or(bar);
    (!name.is_empty()).then_some(line.len() - bar.len())
}

/// Takes the numbers of lines off, with the file's name before them, where all lines have theirs.
fn unnumber(lines: &mut [Cow<'_, str>]) {
    let all = lines.iter().filter(|line| !line.trim().is_empty());
    let mut numbers = all.map(|line| number(line).map(|(number, _)| number));
    let Some(Some(first)) = numbers.next() else {
        return;
    };
    let mut last = first;
    for number in numbers {
        match number {
            Some(number) if number > last && number - last < 4 => last = number,
            _ => return,
        }
    }
    if last == first {
        return;
    }
    for line in lines {
        if let Some((_, rest)) = number(line) {
            *line = Cow::Owned(rest.to_owned());
        }
    }
}

/// The number before a line, and the line.
fn number(line: &str) -> Option<(u32, &str)> {
    let text = line.trim_start();
    let is_path = |path: &str| !path.contains(char::is_whitespace) && path.contains('/');
    let text = match text.split_once(':') {
        Some((path, rest)) if is_path(path) => rest,
        _ => text,
    };
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at_checked(end)?;
    let rest = match rest.strip_prefix([':', '-', '|', '.', ')']) {
        Some(rest) => rest.strip_prefix(' ').unwrap_or(rest),
        None => rest.strip_prefix("  ").or_else(|| rest.strip_prefix(' '))?,
    };
    Some((digits.parse().ok()?, rest))
}

/// The longest of what stands before a line.
const LEAD: usize = 64;

/// What follows a terminal's control sequence (ECMA-48, 5.4).
fn after_escape(text: &str) -> &str {
    // Letters of Japanese, until ASCII is switched to again (RFC 1468).
    if text.starts_with("$B") || text.starts_with("$@") {
        let end = ["\x1b(B", "\x1b(J"]
            .iter()
            .filter_map(|mark| Some(text.find(mark)? + mark.len()))
            .min();
        return text.get(end.unwrap_or(text.len())..).unwrap_or_default();
    }
    if let Some(rest) = text.strip_prefix("(B").or_else(|| text.strip_prefix("(J")) {
        return rest;
    }
    let Some(inside) = text.strip_prefix('[') else {
        return text;
    };
    let end = inside.find(|c: char| ('@'..='~').contains(&c));
    match end.filter(|end| *end < 24) {
        Some(end) => inside.get(end + 1..).unwrap_or_default(),
        None => text,
    }
}

/// Reads an entity, its `&` gone.
fn entity(text: &str) -> Option<(char, &str)> {
    let end = text
        .bytes()
        .take(10)
        .position(|byte| byte == b';')
        .filter(|end| *end > 1)?;
    let (name, rest) = (text.get(..end)?, text.get(end + 1..)?);
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    Some((character, rest))
}

/// Takes the marks of quoted mail off, `> ` or `| `, where more than one line in a row has them:
/// one alone may be the end of an address that was broken.
fn unquote(lines: &mut [Cow<'_, str>]) {
    let is_quoted = |line: Option<&Cow<'_, str>>| {
        line.is_some_and(|line| {
            let line = line.trim_start();
            line.starts_with(QUOTES) && !line.starts_with(">>> ")
        })
    };
    let marks: Vec<bool> = (0..lines.len())
        .map(|at| {
            let before = at.checked_sub(1).and_then(|before| lines.get(before));
            is_quoted(lines.get(at))
                && (lines.len() == 1 || is_quoted(before) || is_quoted(lines.get(at + 1)))
        })
        .collect();
    for (line, quoted) in lines.iter_mut().zip(marks) {
        if quoted {
            let mut text = line.trim_start();
            while let Some(rest) = text.strip_prefix(QUOTES) {
                text = rest.strip_prefix(' ').unwrap_or(rest);
            }
            *line = Cow::Owned(text.to_owned());
        }
    }
}

/// The signs that mail programs quote by.
const QUOTES: [char; 2] = ['>', '|'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_went_through_is_undone() {
        let check = |text: &str, lines: &[&str]| assert_eq!(clean(text), lines, "{text:?}");
        check("\x1b[1;31mred\x1b[0m", &["red"]);
        check(
            "&lt;a@example.org&gt; &amp;lt; &nope; &",
            &["<a@example.org> &lt; &nope; &"],
        );
        check("> > one\r\n> two", &["one", "two"]);
        check(
            "to=<a@example\n>, relay=none",
            &["to=<a@example", ">, relay=none"],
        );
        check(">>> DATA\n<<< 550 no", &[">>> DATA", "<<< 550 no"]);
        check("one<br/>two<br>&#x41;&#66;", &["one", "two", "AB"]);
        check("a\u{a0}b\tc", &["a b c"]);
        check(
            "user doesn\u{2019}t, \u{201c}5.1.1\u{201d}",
            &["user doesn't, \"5.1.1\""],
        );
        check("a\u{a0}b\tc\u{202f}d\u{200b}e", &["a b c de"]);
        check(
            "<p class=\"x\">a <b>c</b></p>\nd<br>\ne",
            &["", "a c", "d", "e"],
        );
        check(
            "to=<b@example.org> <p@x> <no",
            &["to=<b@example.org> <p@x> <no"],
        );
        check(
            "550\u{2011}5.7.1 \u{201c}x\u{201d} \u{2013} gsmtp",
            &["550-5.7.1 \"x\" - gsmtp"],
        );
        check("| one\n| > two\n|", &["one", "two", ""]);
        check("a | b", &["a | b"]);
        check("\x1b$B%a!<%k\x1b(B 550 no \x1b$B%a", &[" 550 no "]);
        check("a: 1\\nb: 2\\r\\nc", &["a: 1", "b: 2", "c"]);
        let line = "Mar  1 10:00:00 mx postfix/smtp[1]: x";
        for lead in ["+", "/var/log/mail.log:12:", "   7  ", "mail_1  | ", "<22>"] {
            check(&format!("{lead}{line}"), &[line]);
        }
        check("mail_1  | one\nmail_1  |   two", &["one", "  two"]);
        check(
            "/var/log/mail:one\n\n/var/log/mail:two",
            &["one", "", "two"],
        );
        check("+one\n+  two", &["one", "  two"]);
        check("+one\ntwo", &["+one", "two"]);
        check("a.log/x:7:one\na.log/x:8:  two", &["one", " two"]);
        check("  1  one\n\n  3  two", &["one", "", "two"]);
        check("1: one\n2: two", &["one", "two"]);
        check("550 one\n550 two", &["550 one", "550 two"]);
        check("4 one\ntwo", &["4 one", "two"]);
        let two = format!("status=sent (250 ok) {line}");
        check(&two, &[&two]);
    }
}
