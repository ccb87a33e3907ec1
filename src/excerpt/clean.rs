//! What a text went through before it was pasted, undone: colours, quoting, the entities of pages.
//!
//! Must not know what a text says.

use std::borrow::Cow;

/// What pages, terminals and word processors put in the place of something else.
const CHANGED: [char; 9] = [
    '\x1b', '&', '\u{a0}', '\u{3000}', '\t', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}',
];

/// Makes plain lines of a text.
pub(super) fn clean(text: &str) -> Vec<Cow<'_, str>> {
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split(['\r', '\u{2028}', '\u{b}', '\u{c}']));
    let mut lines: Vec<Cow<'_, str>> = if text.contains(CHANGED) || text.contains("<br") {
        lines.flat_map(|line| parts(&plain(line))).collect()
    } else {
        lines.map(Cow::Borrowed).collect()
    };
    unquote(&mut lines);
    lines
}

/// A page's line breaks are breaks.
fn parts(line: &str) -> Vec<Cow<'static, str>> {
    if !line.contains("<br") {
        return vec![Cow::Owned(line.to_owned())];
    }
    ["<br />", "<br>"]
        .iter()
        .fold(line.replace("<br/>", "\n"), |line, tag| {
            line.replace(tag, "\n")
        })
        .split('\n')
        .map(|part| Cow::Owned(part.to_owned()))
        .collect()
}

/// Takes colours off, reads entities, makes quotes and blanks plain.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(CHANGED) {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let mut characters = here.chars();
        let first = characters.next();
        rest = characters.as_str();
        match first {
            Some('\x1b') => rest = after_escape(rest),
            Some('&') => match entity(rest) {
                Some((character, after)) => {
                    out.push(character);
                    rest = after;
                }
                None => out.push('&'),
            },
            Some('\u{2018}' | '\u{2019}') => out.push('\''),
            Some('\u{201c}' | '\u{201d}') => out.push('"'),
            _ => out.push(' '),
        }
    }
    out.push_str(rest);
    out
}

/// What follows a terminal's control sequence (ECMA-48, 5.4).
fn after_escape(text: &str) -> &str {
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

/// Takes the marks of quoted mail off, `> `, where more than one line in a row has them: one
/// alone may be the end of an address that was broken.
fn unquote(lines: &mut [Cow<'_, str>]) {
    let is_quoted = |line: Option<&Cow<'_, str>>| {
        line.is_some_and(|line| {
            let line = line.trim_start();
            line.starts_with('>') && !line.starts_with(">>> ")
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
            while let Some(rest) = text.strip_prefix('>') {
                text = rest.strip_prefix(' ').unwrap_or(rest);
            }
            *line = Cow::Owned(text.to_owned());
        }
    }
}

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
    }
}
