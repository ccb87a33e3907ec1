//! Filters of what servers and the DNS answer: rules that do more, or less, than they seem to.
//!
//! Owns what `smtp_reply_filter` and `smtp_dns_reply_filter` ask of a rule. Must not know how a
//! broken pattern looks. Follows postconf(5), "`smtp_reply_filter`", and how smtp(8) reads replies:
//! line by line, a line whose fourth character is `-` being followed by another.

use camino::Utf8Path;

use super::table_reference::{TableReference, references};
use super::{Check, Subject};
use crate::finding::{Finding, Place};
use crate::postfix::pattern::RuleKind;
use crate::postfix::{Engine, PatternTable, split_list};

pub(super) const CHECK: Check = Check {
    name: "reply-filters",
    about: "reply filters that lose step with the server, match too much or are not one table",
    run,
};

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings = several_tables(subject);
    for reference in references(subject) {
        let name = reference.assignment.name.as_str();
        let Some(engine) = Engine::parse(&reference.kind) else {
            continue;
        };
        if !reference.is_file() {
            continue;
        }
        if is_reply_filter(name) {
            findings.extend(rules(subject, &reference, engine, reply_rule));
        } else if name.ends_with("_dns_reply_filter") {
            findings.extend(rules(subject, &reference, engine, dns_rule));
        }
    }
    findings
}

fn is_reply_filter(name: &str) -> bool {
    matches!(name, "smtp_reply_filter" | "lmtp_reply_filter")
}

/// A reply filter is one table; what looks like a list is one table with an odd name.
fn several_tables(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    for assignment in subject.assignments() {
        if !is_reply_filter(&assignment.name) {
            continue;
        }
        let Some(value) = subject.expand(&assignment) else {
            continue;
        };
        if split_list(&value).len() > 1 {
            findings.push(
                Finding::error(
                    "several-reply-filters",
                    format!("`{}` names more than one table", assignment.name),
                )
                .at(subject.place_of(&assignment))
                .because("it takes one table, so the whole text is read as the name of one that is not there, and all mail of the service is deferred")
                .mend("put the rules into one table"),
            );
        }
    }
    findings
}

fn rules(
    subject: &Subject,
    reference: &TableReference,
    engine: Engine,
    check: fn(&str, &str) -> Option<Finding>,
) -> Vec<Finding> {
    let path = Utf8Path::new(&reference.name);
    let Some(bytes) = subject.files.read(path) else {
        return Vec::new();
    };
    PatternTable::parse(&bytes, engine)
        .rules()
        .iter()
        .filter_map(|rule| {
            let RuleKind::Match {
                pattern, result, ..
            } = &rule.kind
            else {
                return None;
            };
            if pattern.negated {
                return None;
            }
            let finding = check(&pattern.text, result)?;
            Some(finding.at(Place::new(path, &bytes, rule.span.clone())))
        })
        .collect()
}

fn reply_rule(pattern: &str, result: &str) -> Option<Finding> {
    if fourth_character(pattern, result) == Fourth::Changed {
        return Some(
            Finding::error(
                "reply-filter-changes-length",
                "a reply filter rule that can change the fourth character of a reply line",
            )
            .because("a `-` there says that the reply goes on: changed to a blank, the rest of the reply is taken for answers to later commands; accepted recipients bounce and empty messages are sent")
            .mend("capture the fourth character and put it back: `/^550([ -])5\\.7\\.1 (.*)/ 450${1}4.7.1 $2`"),
        );
    }
    unanchored(pattern).then(|| {
        Finding::warning(
            "unanchored-reply-filter",
            "a reply filter rule that does not begin with `^`",
        )
        .because("it also matches its words further inside a reply, of whatever code")
        .mend("begin the pattern with `^`")
    })
}

fn dns_rule(pattern: &str, _result: &str) -> Option<Finding> {
    unanchored(pattern).then(|| {
        Finding::warning(
            "unanchored-dns-filter",
            "a DNS reply filter rule that does not begin with `^`",
        )
        .because("it also matches inside longer names, whose mail is deferred when nothing but the dropped records is left")
        .mend("begin the pattern with `^`, and write a `\\.` before the domain")
    })
}

fn unanchored(pattern: &str) -> bool {
    !pattern.starts_with('^') && !pattern.starts_with("(^") && !pattern.starts_with("\\A")
}

/// What a rule does to the fourth character of a reply line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fourth {
    /// It stays as it is.
    Kept,
    /// A line exists in which it changes.
    Changed,
    /// It cannot be told from the text.
    Unknown,
}

/// Place of the character that says whether the reply goes on, from 0. // RFC 5321, 4.2.1
const FOURTH: usize = 3;

/// What one character of a matched line can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Possible {
    blank: bool,
    hyphen: bool,
}

impl Possible {
    const ANY: Self = Self {
        blank: true,
        hyphen: true,
    };

    fn only(character: char) -> Self {
        Self {
            blank: character == ' ',
            hyphen: character == '-',
        }
    }
}

/// What the beginning of an anchored pattern says about the first characters of a line.
#[derive(Debug, Default)]
struct Beginning {
    /// What the first characters can be, as far as it is certain.
    characters: Vec<Possible>,
    /// The groups: where each begins and, if certain, ends.
    groups: Vec<(Option<usize>, Option<usize>)>,
}

impl Beginning {
    /// Reads a pattern up to the first part of variable length.
    fn read(pattern: &str) -> Option<Self> {
        let mut rest = pattern.strip_prefix('^')?;
        if has_top_level_bar(rest) {
            return None;
        }
        let mut beginning = Self::default();
        let mut open = Vec::new();
        let mut certain = true;
        while let Some(first) = rest.chars().next() {
            let here = beginning.characters.len();
            if first == '(' {
                let captures = !rest.starts_with("(?");
                if captures {
                    open.push(Some(beginning.groups.len()));
                    beginning.groups.push((certain.then_some(here), None));
                } else {
                    open.push(None);
                }
                // What is repeated or a choice has no certain length.
                certain &= is_plain_group(rest);
                rest = rest.strip_prefix("(?:").unwrap_or_else(|| after(rest, 1));
                continue;
            }
            if first == ')' {
                if let Some(Some(group)) = open.pop() {
                    beginning.groups[group].1 = certain.then_some(here);
                }
                rest = after(rest, 1);
                if let (_, length) = quantifier(rest)
                    && length > 0
                {
                    certain = false;
                    rest = after(rest, length);
                }
                continue;
            }
            let (possible, length) = atom(rest);
            rest = after(rest, length);
            let before = rest;
            let (times, length) = quantifier(rest);
            rest = after(rest, length);
            if certain {
                for _ in 0..times.unwrap_or(0).min(FOURTH + 1) {
                    beginning.characters.push(possible);
                }
                certain = times.is_some();
                // `.*` matches whatever stands there.
                if before.starts_with(['*', '+']) && possible == Possible::ANY {
                    let known = beginning.characters.len().max(FOURTH + 1);
                    beginning.characters.resize(known, Possible::ANY);
                }
            }
        }
        Some(beginning)
    }
}

/// The text from a byte position on, or nothing.
fn after(text: &str, length: usize) -> &str {
    text.get(length..).unwrap_or_default()
}

/// Tells whether a choice stands outside all parentheses.
fn has_top_level_bar(pattern: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        match first {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
        rest = after(
            rest,
            if first == '(' || first == ')' {
                1
            } else {
                atom(rest).1
            },
        );
    }
    false
}

/// Tells whether a group that begins here is neither repeated nor a choice.
fn is_plain_group(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '(' => {
                depth += 1;
                rest = after(rest, 1);
            }
            ')' => {
                depth -= 1;
                rest = after(rest, 1);
                if depth == 0 {
                    return quantifier(rest).1 == 0;
                }
            }
            '|' if depth == 1 => return false,
            _ => rest = after(rest, atom(rest).1),
        }
    }
    false
}

/// Reads one character, escape or bracket expression: what it can be, and its length in bytes.
fn atom(text: &str) -> (Possible, usize) {
    let mut characters = text.char_indices();
    match characters.next().map(|(_, first)| first) {
        Some('.') => (Possible::ANY, 1),
        Some('\\') => {
            let second = characters.next().map_or(' ', |(_, second)| second);
            let length = 1 + second.len_utf8().min(text.len() - 1);
            let possible = match second {
                'd' | 'w' => Possible {
                    blank: false,
                    hyphen: false,
                },
                's' => Possible::only(' '),
                'S' => Possible::only('-'),
                'D' | 'W' => Possible::ANY,
                other => Possible::only(other),
            };
            (possible, length)
        }
        Some('[') => bracket(text),
        Some(other) => (Possible::only(other), other.len_utf8()),
        None => (Possible::ANY, 0),
    }
}

fn bracket(text: &str) -> (Possible, usize) {
    let inner = after(text, 1);
    let (negated, body) = inner
        .strip_prefix('^')
        .map_or((false, inner), |body| (true, body));
    // A `]` right at the start is an ordinary character; classes such as [:space:] hold one too.
    let mut end = usize::from(body.starts_with(']'));
    while let Some(rest) = body.get(end..)
        && !rest.is_empty()
        && !rest.starts_with(']')
    {
        end += if rest.starts_with("[:") {
            rest.find(":]").map_or(2, |at| at + 2)
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
    }
    let set = body.get(..end).unwrap_or_default();
    let length = (text.len() - body.len() + end + 1).min(text.len());
    let has_blank = set.contains(' ') || set.contains("[:space:]") || set.contains("\\s");
    let has_hyphen = set.starts_with('-') || set.ends_with('-') || set.contains("[:punct:]");
    let possible = if negated {
        Possible {
            blank: !has_blank,
            hyphen: !has_hyphen,
        }
    } else {
        Possible {
            blank: has_blank,
            hyphen: has_hyphen,
        }
    };
    (possible, length)
}

/// Reads what says how often: the number if it is certain, and its length in bytes.
fn quantifier(text: &str) -> (Option<usize>, usize) {
    match text.chars().next() {
        Some('*' | '+' | '?') => (None, 1),
        Some('{') => {
            let length = text.find('}').map_or(0, |at| at + 1);
            let times = text
                .get(1..length.saturating_sub(1))
                .and_then(|digits| digits.parse().ok());
            (times, length)
        }
        _ => (Some(1), 0),
    }
}

/// Says what becomes of the fourth character of a line that matches.
fn fourth_character(pattern: &str, result: &str) -> Fourth {
    let Some(beginning) = Beginning::read(pattern) else {
        return Fourth::Unknown;
    };
    let mut at = 0;
    let mut rest = result;
    while at <= FOURTH {
        if let Some((group, length)) = substitution(rest) {
            rest = after(rest, length);
            let (start, end) = beginning
                .groups
                .get(group.wrapping_sub(1))
                .copied()
                .unwrap_or_default();
            match (start, end) {
                // The group stands where it stood, so every character of it does.
                (Some(start), end) if start == at => match end {
                    Some(end) if end <= FOURTH => at = end,
                    _ => return Fourth::Kept,
                },
                _ => return Fourth::Unknown,
            }
        } else {
            // A reply line that ends here is a last line, as with a blank.
            let literal = rest.chars().next().unwrap_or(' ');
            if at == FOURTH {
                return match beginning.characters.get(FOURTH) {
                    None => Fourth::Unknown,
                    Some(possible) if literal == '-' && possible.blank => Fourth::Changed,
                    Some(possible) if literal != '-' && possible.hyphen => Fourth::Changed,
                    Some(_) => Fourth::Kept,
                };
            }
            let doubled = rest.starts_with("$$");
            rest = after(rest, if doubled { 2 } else { literal.len_utf8() });
            at += 1;
        }
    }
    Fourth::Unknown
}

/// Reads `$1`, `${1}` or `$(1)`: the group and the length in bytes.
fn substitution(text: &str) -> Option<(usize, usize)> {
    let inner = text.strip_prefix('$')?;
    let (open, close) = match inner.chars().next()? {
        '{' | '(' => (1, 1),
        _ => (0, 0),
    };
    let digits: String = inner
        .chars()
        .skip(open)
        .take_while(char::is_ascii_digit)
        .collect();
    Some((digits.parse().ok()?, 1 + open + digits.len() + close))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_character_is_followed_through_a_rule() {
        let check = |pattern, result, expected| {
            assert_eq!(
                fourth_character(pattern, result),
                expected,
                "/{pattern}/ {result}"
            );
        };
        check(r"^5(\d\d )5(.*)", "4${1}4$2", Fourth::Kept);
        check(r"^550([ -])5\.7\.25(.*)", "450${1}4.7.25$2", Fourth::Kept);
        check(r"^5(.*)", "4$1", Fourth::Kept);
        check("^550 5.7.1(.*)", "450 4.7.1$1", Fourth::Kept);
        check("^550-5.7.1(.*)", "450-4.7.1$1", Fourth::Kept);
        check("^550-5.7.1(.*)", "450 4.7.1$1", Fourth::Changed);
        check("^550[ -]5.7.1(.*)", "450 4.7.1$1", Fourth::Changed);
        check("^550.5.7.1", "450 4.7.1", Fourth::Changed);
        check(r"^5\d{2}.5.7.1", "450 4.7.1", Fourth::Changed);
        check("^5[0-9][0-9] 5", "450 4", Fourth::Kept);
        check("^5[0-9][0-9][- ]5", "450-4", Fourth::Changed);
        check("^(5)(50)(.)(.*)", "4$2 $4", Fourth::Changed);
        check("^(5)(50)(.)(.*)", "4$2$3$4", Fourth::Kept);
        check("^5.*gsmtp", "450 4.7.1 later", Fourth::Changed);
        check("^5[0-9]*.x", "450 4", Fourth::Unknown);
        check("^5(.*)? x", "450 4", Fourth::Unknown);
        check("^(550|554) 5", "450 4", Fourth::Unknown);
        check("^550 a|^551-b", "450 4", Fourth::Unknown);
        check("550-5", "450 4", Fourth::Unknown);
        check("^550[^-]5", "450 4", Fourth::Kept);
        check("^550[[:space:]]5", "450 4", Fourth::Kept);
        check("^550-", "450", Fourth::Changed);
        check("^550", "", Fourth::Unknown);
        check("^(", "4", Fourth::Unknown);
        check(r"^\", "4", Fourth::Unknown);
        check("^[", "4$9", Fourth::Unknown);
    }
}
