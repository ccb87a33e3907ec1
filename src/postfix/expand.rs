//! `$name` expansion, for Postfix versions whose `postconf` cannot do it and for files not installed.
//!
//! Owns the language of postconf(5), "The general format of the main.cf file". Must not know where values come from.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

/// How deep Postfix follows references before it gives up; a loop ends here.
const DEEPEST: usize = 100;

/// How many references one expansion may follow, a limit of ours.
///
/// Values that double at every level would take for ever long before the
/// depth is reached.
const MOST: usize = 100_000;

/// How much text an expansion may come to, a limit of ours.
const LONGEST: usize = 1 << 20;

/// Why a value cannot be expanded; every program that evaluates it stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A reference that is never closed.
    #[error("`{text}` holds a reference that is never closed")]
    Truncated {
        /// The text with the reference.
        text: String,
    },
    /// A `$` with nothing behind it that could be a name.
    #[error("`{text}` holds a `$` without a name; `$$` stands for a plain `$`")]
    EmptyName {
        /// The text with the reference.
        text: String,
    },
    /// A reference that is none of the forms Postfix knows.
    #[error("`{text}` is no reference Postfix understands")]
    Syntax {
        /// What stands between the braces.
        text: String,
    },
    /// `domain_to_ascii` (3.11+) of a name that has yet to be encoded, which is not done here.
    #[error("`{text}` is not ASCII; write the domain in its `xn--` form")]
    NotAscii {
        /// The expanded argument.
        text: String,
    },
    /// References that lead on and on, or back to themselves.
    #[error("`{text}` refers on and on")]
    Loop {
        /// Where it was given up.
        text: String,
    },
}

/// Expands a value as the newest Postfix does, asking `lookup` for the parameters it names.
///
/// What `lookup` gives is expanded too. An undefined name is the empty text.
///
/// # Errors
/// Fails where every Postfix program that evaluates the value stops.
pub fn expand<'a>(
    value: &str,
    lookup: &dyn Fn(&str) -> Option<Cow<'a, str>>,
) -> Result<String, ExpandError> {
    let mut result = String::new();
    Expansion {
        lookup,
        followed: Cell::new(0),
    }
    .write(value, 0, &mut result)?;
    Ok(result)
}

struct Expansion<'l, 'a> {
    lookup: &'l dyn Fn(&str) -> Option<Cow<'a, str>>,
    followed: Cell<usize>,
}

impl Expansion<'_, '_> {
    fn write(&self, value: &str, depth: usize, result: &mut String) -> Result<(), ExpandError> {
        let mut rest = value;
        while let Some((literal, after)) = rest.split_once('$') {
            result.push_str(literal);
            if let Some(after) = after.strip_prefix('$') {
                result.push('$');
                rest = after;
                continue;
            }
            let (reference, after) = reference(after).ok_or_else(|| ExpandError::Truncated {
                text: value.to_owned(),
            })?;
            if reference.is_empty() {
                return Err(ExpandError::EmptyName {
                    text: value.to_owned(),
                });
            }
            let followed = self.followed.replace(self.followed.get() + 1);
            if depth > DEEPEST || followed > MOST || result.len() > LONGEST {
                return Err(ExpandError::Loop {
                    text: reference.to_owned(),
                });
            }
            self.refer(reference, depth + 1, result)?;
            rest = after;
        }
        result.push_str(rest);
        Ok(())
    }

    /// Writes what the text between the braces of a reference stands for.
    fn refer(&self, text: &str, depth: usize, result: &mut String) -> Result<(), ExpandError> {
        let syntax = || ExpandError::Syntax {
            text: text.to_owned(),
        };
        let (holds, rest);
        if let Some(expression) = braced_start(text) {
            let (truth, after) = self
                .compare(expression, depth)
                .map_err(|error| error.unwrap_or_else(syntax))?;
            if after.is_empty() {
                result.push_str(if truth { "true" } else { "" });
                return Ok(());
            }
            (holds, rest) = (truth, after);
        } else {
            if let Some(argument) = text.strip_prefix("domain_to_ascii").and_then(braced_start) {
                let (argument, after) = braced(argument).ok_or_else(syntax)?;
                if !after.is_empty() {
                    return Err(syntax());
                }
                return self.domain_to_ascii(argument, depth, result);
            }
            let name_end = text.find(['?', ':']).unwrap_or(text.len());
            let (name, after) = text.split_at(name_end);
            let name = name.trim_matches(BLANKS);
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(syntax());
            }
            let value = (self.lookup)(name);
            if after.is_empty() {
                return match value {
                    Some(value) => self.write(&value, depth, result),
                    None => Ok(()),
                };
            }
            (holds, rest) = (value.is_some_and(|value| !value.is_empty()), after);
        }
        if let Some(after) = rest.strip_prefix('?') {
            let (then, after) = operand(after).ok_or_else(syntax)?;
            if holds {
                self.write(then, depth, result)?;
            }
            if after.is_empty() {
                return Ok(());
            }
            let otherwise = after.strip_prefix(':').ok_or_else(syntax)?;
            return self.otherwise(holds, otherwise, depth, result, &syntax);
        }
        let otherwise = rest.strip_prefix(':').ok_or_else(syntax)?;
        self.otherwise(holds, otherwise, depth, result, &syntax)
    }

    /// Writes the argument of the one function there is (3.11+).
    fn domain_to_ascii(
        &self,
        argument: &str,
        depth: usize,
        result: &mut String,
    ) -> Result<(), ExpandError> {
        let mut text = String::new();
        self.write(argument, depth, &mut text)?;
        if !text.is_ascii() {
            return Err(ExpandError::NotAscii { text });
        }
        result.push_str(&text);
        Ok(())
    }

    /// Writes the operand behind a `:`.
    fn otherwise(
        &self,
        holds: bool,
        text: &str,
        depth: usize,
        result: &mut String,
        syntax: &dyn Fn() -> ExpandError,
    ) -> Result<(), ExpandError> {
        let (text, after) = operand(text).ok_or_else(syntax)?;
        if !holds {
            self.write(text, depth, result)?;
        }
        if after.is_empty() {
            Ok(())
        } else {
            Err(syntax())
        }
    }

    /// Evaluates `{left} == {right}` and gives the text behind it; a syntax error is `Err(None)`.
    fn compare<'t>(
        &self,
        text: &'t str,
        depth: usize,
    ) -> Result<(bool, &'t str), Option<ExpandError>> {
        let (left, rest) = braced(text).ok_or(None)?;
        let is_operator = |c: char| "<>!=?+-*/~&|%".contains(c);
        let length = rest.find(|c| !is_operator(c)).unwrap_or(rest.len());
        let (operator, rest) = rest.split_at(length);
        // 3.6+: `<level` and its kin compare compatibility levels; no blank before the word.
        let (by_level, rest) = match rest.strip_prefix("level") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (right, rest) = braced_start(rest).and_then(braced).ok_or(None)?;
        let (mut left_value, mut right_value) = (String::new(), String::new());
        self.write(left, depth, &mut left_value)?;
        self.write(right, depth, &mut right_value)?;
        let order = if by_level {
            level_order(&left_value, &right_value).ok_or(None)?
        } else {
            order(&left_value, &right_value)
        };
        let holds = match operator {
            "==" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            _ => return Err(None),
        };
        Ok((holds, rest))
    }
}

/// Compares as numbers where both are, else byte by byte.
fn order(left: &str, right: &str) -> Ordering {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().unwrap_or(i64::MAX))
    };
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_bytes().cmp(right.as_bytes()),
    }
}

fn level_order(left: &str, right: &str) -> Option<Ordering> {
    let level =
        |text: &str| super::CompatibilityLevel::read(text, super::Version::new(3, 6, 0)).ok();
    Some(level(left)?.cmp(&level(right)?))
}

/// Cuts a reference off a text that follows a `$`: what is between its braces, and the rest.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (open, close) = match text.as_bytes().first() {
        Some(b'{') => (b'{', b'}'),
        Some(b'(') => (b'(', b')'),
        _ => {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let end = text
                .bytes()
                .position(|byte| !word(byte))
                .unwrap_or(text.len());
            return Some(text.split_at(end));
        }
    };
    let end = closing(text, open, close)?;
    Some((text.get(1..end)?, text.get(end + 1..)?))
}

/// Gives where the bracket that opens a text is closed.
fn closing(text: &str, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    text.bytes().position(|byte| {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth -= 1;
        }
        depth == 0
    })
}

/// What counts as white space inside a reference.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(BLANKS)
}

/// Gives the text from its `{` on, if nothing but blanks stands before one.
fn braced_start(text: &str) -> Option<&str> {
    let text = skip_blanks(text);
    text.starts_with('{').then_some(text)
}

/// Cuts `{…}` off a text, and the blanks behind it.
fn braced(text: &str) -> Option<(&str, &str)> {
    let end = closing(text, b'{', b'}')?;
    Some((text.get(1..end)?, skip_blanks(text.get(end + 1..)?)))
}

/// Cuts an operand of `?` or `:` off: in braces, or everything.
fn operand(text: &str) -> Option<(&str, &str)> {
    match braced_start(text) {
        Some(text) => braced(text),
        None => Some((text, "")),
    }
}

/// Lists the names a value refers to, also those in branches not taken; a broken value gives what it can.
#[must_use]
pub fn references(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    collect(value, &mut names);
    names
}

fn collect(value: &str, names: &mut Vec<String>) {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let Some((inner, after)) = reference(after) else {
            return;
        };
        if braced_start(inner).is_none() {
            let end = inner.find(['?', ':']).unwrap_or(inner.len());
            let (name, tail) = inner.split_at(end);
            let name = name.trim_matches(BLANKS);
            if name.contains('{') {
                // A function, 3.11+.
                collect(inner, names);
            } else if !name.is_empty() {
                names.push(name.to_owned());
            }
            collect(tail, names);
        } else {
            collect(inner, names);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<Cow<'static, str>> {
        let value = match name {
            "a" => "A",
            "b" => "<$a>",
            "empty" => "",
            "level" => "3.6",
            "two" => "2",
            "ten" => "10",
            "loop" => "x$loop",
            "wide" => "$wide$wide",
            "dollar" => "$$a",
            _ => return None,
        };
        Some(Cow::Borrowed(value))
    }

    #[test]
    fn values_are_expanded_as_postfix_expands_them() {
        let check = |value, expected: &str| {
            assert_eq!(expand(value, &lookup).as_deref(), Ok(expected), "{value}");
        };
        check("plain", "plain");
        check("$a-${b}-$(a)", "A-<A>-A");
        check("$$a $undefined.", "$a .");
        check("$dollar", "$a");
        check(
            "${a?yes}${empty?no}${a:no}${empty:yes}${undefined:yes}",
            "yesyesyes",
        );
        check("${a?{yes}:{no}} ${empty? {yes} : {no} }", "yes no");
        check("${a?{$b}}", "<A>");
        check("${a?x:y}", "x:y");
        check("${a??foo:{b}ar}", "?foo:{b}ar");
        check("${{$a} == {A} ? {y} : {n}}", "y");
        check("${{$a}!={A}?{y}:{n}}", "n");
        check("${{$two} < {$ten} ? {y} : {n}}", "y");
        check("${{x2} < {x10} ? {y} : {n}}", "n");
        check("${{$level} <level {3.11} ? {y} : {n}}", "y");
        check("${{$level} < {3.11} ? {y} : {n}}", "n");
        check("${{a}=={a}}", "true");
        check("${{a}=={a}:{n}}|", "|");
        check("${ a }${a ?x}", "Ax");
        check("${{3.6} ==level {3.6.0} ? {y} : {n}}", "y");
        check("${empty?{$}}", "");
        check("${domain_to_ascii{$a.example}}", "A.example");
        check("é$a", "éA");
    }

    #[test]
    fn broken_values_are_errors() {
        let check = |value: &str| expand(value, &lookup).unwrap_err();
        assert!(matches!(check("${a"), ExpandError::Truncated { .. }));
        assert!(matches!(check("$(a"), ExpandError::Truncated { .. }));
        assert!(matches!(check("a $ b"), ExpandError::EmptyName { .. }));
        assert!(matches!(check("$"), ExpandError::EmptyName { .. }));
        assert!(matches!(check("${}"), ExpandError::EmptyName { .. }));
        assert!(matches!(check("${a-b}"), ExpandError::Syntax { .. }));
        assert!(matches!(
            check("${{1} < level {2}?{y}}"),
            ExpandError::Syntax { .. }
        ));
        assert!(matches!(
            check("${{x} <level {2}?{y}}"),
            ExpandError::Syntax { .. }
        ));
        assert!(matches!(check("${{a}}"), ExpandError::Syntax { .. }));
        assert!(matches!(check("${{a} = {b}}"), ExpandError::Syntax { .. }));
        assert!(matches!(check("${a?{b}c}"), ExpandError::Syntax { .. }));
        assert!(matches!(check("${a?{b}:{c}d}"), ExpandError::Syntax { .. }));
        assert!(matches!(check("$loop"), ExpandError::Loop { .. }));
        assert!(matches!(check("$wide"), ExpandError::Loop { .. }));
        assert!(matches!(
            check("${domain_to_ascii{é}}"),
            ExpandError::NotAscii { .. }
        ));
    }

    #[test]
    fn values_that_double_at_every_level_end() {
        let lookup = |name: &str| {
            let level: u32 = name.strip_prefix('l')?.parse().ok()?;
            Some(Cow::Owned(format!("$l{0}$l{0}", level + 1))).filter(|_| level < 60)
        };
        assert!(matches!(
            expand("$l0", &lookup),
            Err(ExpandError::Loop { .. })
        ));
    }

    #[test]
    fn references_are_listed_whatever_the_branch() {
        assert_eq!(
            references("$a ${b?$c} ${{$d} == {$e} ? {$f} : {${g}}} $$h ${i"),
            ["a", "b", "c", "d", "e", "f", "g"]
        );
    }
}
