//! Tables of patterns: regexp and pcre sources with `if` and `endif`.
//!
//! Owns their syntax and the faults that can be seen without compiling a
//! pattern. Must not match anything: `postmap -q` does that exactly.
//! Follows `regexp_table(5)` and `pcre_table(5)`.

use std::ops::Range;

use super::logical_line::{self, Content, PieceKind, is_blank, trim};
use super::problem::{byte_problems, first_line};
use super::{Problem, ProblemKind};

/// Which engine reads a table; they differ in flags and in what a pattern may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// POSIX extended regular expressions, always there.
    Regexp,
    /// Perl-compatible expressions, often a package of its own.
    Pcre,
}

impl Engine {
    /// Reads a table type, such as `pcre`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "regexp" => Some(Self::Regexp),
            "pcre" => Some(Self::Pcre),
            _ => None,
        }
    }

    fn flags(self) -> &'static [u8] {
        match self {
            Self::Regexp => b"imx",
            // X is obsolete and ignored.
            Self::Pcre => b"imsxAEUX",
        }
    }
}

/// A table of patterns, every byte of it.
#[derive(Clone, Debug)]
pub struct PatternTable {
    text: Vec<u8>,
    engine: Engine,
    rules: Vec<Rule>,
    problems: Vec<Problem>,
}

/// One line that Postfix takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub kind: RuleKind,
    /// How many `if` stand around it.
    pub depth: usize,
    /// From the first to the last byte.
    pub span: Range<usize>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// Gives a result where the pattern matches.
    Match {
        /// The pattern.
        pattern: Pattern,
        /// A second pattern behind a `!`, which must not match; regexp tables only.
        except: Option<Pattern>,
        /// The result, nothing substituted.
        result: String,
    },
    /// Opens a block that is read where the pattern matches.
    If(Pattern),
    /// Closes a block.
    Endif,
}

/// A pattern between its delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The expression, escapes of the delimiter included.
    pub text: String,
    /// The letters behind it.
    pub flags: String,
    /// Whether it is for what does not match.
    pub negated: bool,
}

impl PatternTable {
    /// Reads a table; odd lines are kept and reported by [`Self::problems`].
    #[must_use]
    pub fn parse(text: &[u8], engine: Engine) -> Self {
        let mut problems = Vec::new();
        let mut report = |kind, span| problems.push(Problem { kind, span });
        byte_problems(text, true, &mut report);
        let mut rules = Vec::new();
        let mut open: Vec<Range<usize>> = Vec::new();
        for (kind, range) in logical_line::pieces(text) {
            let piece = &text[range.clone()];
            let first = first_line(piece);
            let first = range.start..range.start + first.end;
            match kind {
                PieceKind::Filler => continue,
                PieceKind::Orphan => {
                    report(ProblemKind::LeadingBlank, first);
                    continue;
                }
                PieceKind::Line => {}
            }
            let content = Content::of(piece);
            let line = trim(&content.bytes);
            let span = content.span(&(0..line.len()));
            let span = range.start + span.start..range.start + span.end;
            let mut odd = |kind| report(kind, span.clone());
            let kind = match read_rule(line, engine, &mut odd) {
                Ok(kind) => kind,
                Err(kind) => {
                    odd(kind);
                    continue;
                }
            };
            if kind == RuleKind::Endif && open.pop().is_none() {
                report(ProblemKind::EndifWithoutIf, span);
                continue;
            }
            let depth = open.len();
            if matches!(kind, RuleKind::If(_)) {
                open.push(span.clone());
            }
            rules.push(Rule { kind, depth, span });
        }
        for span in open {
            report(ProblemKind::IfWithoutEndif, span);
        }
        problems.sort_by_key(|problem| problem.span.start);
        Self {
            text: text.to_vec(),
            engine,
            rules,
            problems,
        }
    }

    /// Prints the table, byte for byte what was read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.text.clone()
    }

    /// Tells which engine the table is read for.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Lists the rules that Postfix takes, in file order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Lists what is odd about the table, in file order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Reads one logical line; `odd` hears of what Postfix warns about and takes.
fn read_rule(
    line: &[u8],
    engine: Engine,
    odd: &mut impl FnMut(ProblemKind),
) -> Result<RuleKind, ProblemKind> {
    if !line.first().is_some_and(u8::is_ascii_alphanumeric) {
        return read_match(line, engine, odd);
    }
    let word = |word: &str| {
        let (head, rest) = line.split_at_checked(word.len())?;
        let ends = !rest.first().is_some_and(u8::is_ascii_alphanumeric);
        (head.eq_ignore_ascii_case(word.as_bytes()) && ends).then_some(rest)
    };
    if let Some(rest) = word("endif") {
        if !trim(rest).is_empty() {
            odd(ProblemKind::TextAfterEndif);
        }
        return Ok(RuleKind::Endif);
    }
    let mut rest = word("if").ok_or(ProblemKind::UnknownRequest)?;
    let pattern = read_pattern(&mut rest, engine)?;
    if !trim(rest).is_empty() {
        odd(ProblemKind::TextAfterIf);
    }
    look_at_pattern(&pattern, engine)?;
    Ok(RuleKind::If(pattern.owned()))
}

fn read_match(
    line: &[u8],
    engine: Engine,
    odd: &mut impl FnMut(ProblemKind),
) -> Result<RuleKind, ProblemKind> {
    let mut rest = line;
    let pattern = read_pattern(&mut rest, engine)?;
    let except = if engine == Engine::Regexp && rest.starts_with(b"!") {
        Some(read_pattern(&mut rest, engine)?)
    } else {
        None
    };
    let result = trim(rest);
    if result.is_empty() {
        odd(ProblemKind::MissingResult);
    }
    let highest = highest_group(result).ok_or(ProblemKind::BadSubstitution)?;
    if highest > 0 && pattern.negated {
        return Err(ProblemKind::NegatedSubstitution);
    }
    let groups = look_at_pattern(&pattern, engine)?;
    if groups.is_some_and(|groups| highest > groups) {
        return Err(ProblemKind::BadSubstitution);
    }
    if let Some(except) = &except {
        look_at_pattern(except, engine)?;
    }
    Ok(RuleKind::Match {
        pattern: pattern.owned(),
        except: except.map(|pattern| pattern.owned()),
        result: String::from_utf8_lossy(result).into_owned(),
    })
}

/// A pattern as it stands in the line.
struct Written<'a> {
    text: &'a [u8],
    flags: &'a [u8],
    negated: bool,
}

impl Written<'_> {
    fn owned(&self) -> Pattern {
        Pattern {
            text: String::from_utf8_lossy(self.text).into_owned(),
            flags: String::from_utf8_lossy(self.flags).into_owned(),
            negated: self.negated,
        }
    }
}

/// Reads `!`, a delimiter, the pattern up to the next unescaped delimiter, and its flags.
fn read_pattern<'a>(rest: &mut &'a [u8], engine: Engine) -> Result<Written<'a>, ProblemKind> {
    let mut negated = false;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'!' => negated = !negated,
            _ if is_blank(*byte) => {}
            _ => break,
        }
        *rest = after;
    }
    let (delimiter, body) = rest.split_first().ok_or(ProblemKind::MissingDelimiter)?;
    let mut end = 0;
    // A backslash escapes even where it is the delimiter, which then never closes.
    loop {
        match body.get(end).ok_or(ProblemKind::MissingDelimiter)? {
            b'\\' => end += 2,
            byte if byte == delimiter => break,
            _ => end += 1,
        }
    }
    let after = &body[end + 1..];
    let stops = |byte: &u8| is_blank(*byte) || (engine == Engine::Regexp && *byte == b'!');
    let length = after.iter().position(stops).unwrap_or(after.len());
    let flags = &after[..length];
    if flags.iter().any(|flag| !engine.flags().contains(flag)) {
        return Err(ProblemKind::UnknownFlag);
    }
    *rest = &after[length..];
    Ok(Written {
        text: &body[..end],
        flags,
        negated,
    })
}

/// Gives the highest group a result refers to, or nothing if a `$` is followed by no number.
fn highest_group(result: &[u8]) -> Option<usize> {
    let mut highest = 0;
    let mut rest = result;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        rest = &rest[at + 1..];
        let name = match rest.first()? {
            b'$' => {
                rest = &rest[1..];
                continue;
            }
            open @ (b'{' | b'(') => {
                let close = if *open == b'{' { b'}' } else { b')' };
                let length = rest.iter().position(|byte| *byte == close)?;
                let name = &rest[1..length];
                rest = &rest[length + 1..];
                name
            }
            _ => {
                let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
                let length = rest.iter().take_while(word).count();
                let name = &rest[..length];
                rest = &rest[length..];
                name
            }
        };
        let number: usize = std::str::from_utf8(name).ok()?.parse().ok()?;
        if number == 0 || !name.iter().all(u8::is_ascii_digit) {
            return None;
        }
        highest = highest.max(number);
    }
    Some(highest)
}

/// Counts the groups of a pattern and finds what no engine takes.
///
/// Only what is certain is reported: an open bracket or parenthesis, nothing
/// to repeat, a range that runs backwards. `None`: the groups are not known.
fn look_at_pattern(pattern: &Written<'_>, engine: Engine) -> Result<Option<usize>, ProblemKind> {
    let basic =
        engine == Engine::Regexp && pattern.flags.split(|flag| *flag == b'x').count() % 2 == 0;
    let text = pattern.text;
    if basic {
        return Ok(Some(text.windows(2).filter(|pair| *pair == b"\\(").count()));
    }
    // Perl's extended layout, comments and quoting are not looked into.
    let holds = |mark: &[u8]| text.windows(mark.len()).any(|part| part == mark);
    let unclear = pattern.flags.contains(&b'x') || holds(b"\\Q") || holds(b"(?#") || holds(b"(?x");
    if engine == Engine::Pcre && unclear {
        return Ok(None);
    }
    let (mut groups, mut depth, mut at) = (0, 0_usize, 0);
    // Whether something stands before, in this branch, that can be repeated.
    let mut repeatable = false;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => {
                at += 1;
                repeatable = true;
            }
            b'[' => {
                at = bracket_end(text, at, engine)?;
                repeatable = true;
            }
            b'(' => {
                depth += 1;
                repeatable = false;
                let special = engine == Engine::Pcre && matches!(text.get(at), Some(b'?' | b'*'));
                if special {
                    let named = matches!(
                        (text.get(at + 1), text.get(at + 2)),
                        (Some(b'P'), Some(b'<')) | (Some(b'\''), _)
                    ) || (text.get(at + 1) == Some(&b'<')
                        && !matches!(text.get(at + 2), Some(b'=' | b'!')));
                    groups += usize::from(named && text[at] == b'?');
                    at += 1;
                } else {
                    groups += 1;
                }
            }
            b')' => {
                depth = match depth.checked_sub(1) {
                    Some(less) => less,
                    // POSIX leaves open what it means; most take it for itself.
                    None if engine == Engine::Regexp => 0,
                    None => return Err(ProblemKind::BrokenPattern),
                };
                repeatable = true;
            }
            b'|' | b'^' => repeatable = false,
            b'*' | b'+' | b'?' if !repeatable => return Err(ProblemKind::BrokenPattern),
            b'*' | b'+' | b'?' => {
                // Perl's engine takes one more `?` or `+` behind a repeat, and no other.
                if engine == Engine::Pcre {
                    at += usize::from(matches!(text.get(at), Some(b'?' | b'+')));
                    repeatable = false;
                }
            }
            _ => repeatable = true,
        }
    }
    if depth > 0 {
        return Err(ProblemKind::BrokenPattern);
    }
    Ok(Some(groups))
}

/// Finds the end of a bracket expression whose `[` stands just before `at`.
fn bracket_end(text: &[u8], mut at: usize, engine: Engine) -> Result<usize, ProblemKind> {
    let broken = ProblemKind::BrokenPattern;
    at += usize::from(text.get(at) == Some(&b'^'));
    let first = at;
    // What a `-` would make a range from: a plain character, or a class.
    let mut from: Option<Result<u8, ()>> = None;
    loop {
        let byte = *text.get(at).ok_or(broken)?;
        if byte == b']' && at > first {
            return Ok(at + 1);
        }
        let class = match (byte, text.get(at + 1)) {
            (b'[', Some(kind @ (b':' | b'.' | b'='))) => {
                let end = text[at + 2..]
                    .windows(2)
                    .position(|pair| pair == [*kind, b']']);
                end.map(|end| at + 2 + end + 2)
            }
            _ => None,
        };
        if let Some(end) = class {
            from = None;
            at = end;
            continue;
        }
        let is_range =
            byte == b'-' && at > first && text.get(at + 1).is_some_and(|next| *next != b']');
        if let (true, Some(start)) = (is_range, from) {
            let to = text[at + 1];
            let plain = to.is_ascii() && !(engine == Engine::Pcre && to == b'\\') && to != b'[';
            match start {
                Err(()) => return Err(broken),
                Ok(start) if plain && start > to => return Err(broken),
                Ok(_) => {}
            }
            from = None;
            at += if engine == Engine::Pcre && to == b'\\' {
                3
            } else {
                2
            };
            continue;
        }
        if engine == Engine::Pcre && byte == b'\\' {
            let escaped = *text.get(at + 1).ok_or(broken)?;
            from = if b"dDsSwWhHvV".contains(&escaped) {
                Some(Err(()))
            } else {
                None
            };
            at += 2;
        } else {
            from = byte.is_ascii().then_some(Ok(byte));
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &[u8], engine: Engine) -> Vec<(ProblemKind, usize)> {
        let table = PatternTable::parse(text, engine);
        assert_eq!(table.to_bytes(), text);
        table
            .problems()
            .iter()
            .map(|problem| {
                let before = &text[..problem.span.start];
                (problem.kind, before.split(|byte| *byte == b'\n').count())
            })
            .collect()
    }

    #[test]
    fn rules_are_read_as_postfix_reads_them() {
        let text = b"# c\nif !/a/i\n/b\\/c/  REJECT $1\n  more\nendif\n!|d|ix/e\n";
        let text = [&text[..], b"/(x)/!/y/ ${1}\n"].concat();
        let table = PatternTable::parse(&text, Engine::Regexp);
        let pattern = |text: &str, flags: &str, negated| Pattern {
            text: text.into(),
            flags: flags.into(),
            negated,
        };
        let kinds: Vec<_> = table
            .rules()
            .iter()
            .map(|rule| (rule.depth, rule.kind.clone()))
            .collect();
        assert_eq!(
            kinds,
            [
                (0, RuleKind::If(pattern("a", "i", true))),
                (0, RuleKind::Endif),
                (
                    0,
                    RuleKind::Match {
                        pattern: pattern("(x)", "", false),
                        except: Some(pattern("y", "", true)),
                        result: "${1}".into(),
                    }
                ),
            ]
        );
        let text = b"/(b)\\/c/  REJECT $1\n  more\nif /x/\n/y/ Z\nendif";
        let table = PatternTable::parse(text, Engine::Pcre);
        let rule = &table.rules()[0];
        assert_eq!(&text[rule.span.clone()], b"/(b)\\/c/  REJECT $1\n  more");
        assert_eq!(
            rule.kind,
            RuleKind::Match {
                pattern: pattern("(b)\\/c", "", false),
                except: None,
                result: "REJECT $1  more".into(),
            }
        );
        assert_eq!(
            table
                .rules()
                .iter()
                .map(|rule| rule.depth)
                .collect::<Vec<_>>(),
            [0, 0, 1, 0]
        );
    }

    #[test]
    fn odd_lines_are_reported() {
        use ProblemKind::{
            BadSubstitution, BrokenPattern, EndifWithoutIf, IfWithoutEndif, LeadingBlank,
            MissingDelimiter, MissingResult, NegatedSubstitution, TextAfterEndif, TextAfterIf,
            UnknownFlag, UnknownRequest,
        };
        let both = |line: &str, expected: &[ProblemKind]| {
            for engine in [Engine::Regexp, Engine::Pcre] {
                let got: Vec<_> = problems(line.as_bytes(), engine)
                    .into_iter()
                    .map(|(kind, _)| kind)
                    .collect();
                assert_eq!(got, expected, "{engine:?}: {line}");
            }
        };
        both("/a/ OK", &[]);
        both("/a/", &[MissingResult]);
        both("/a", &[MissingDelimiter]);
        both("!", &[MissingDelimiter]);
        both("/a\\/ OK", &[MissingDelimiter]);
        both("\\a\\ OK", &[MissingDelimiter]);
        both("!/(a)/ $1", &[NegatedSubstitution]);
        both("!!/(a)/ $1", &[]);
        both("/(a)/ $2", &[BadSubstitution]);
        both("/a/ costs $$1", &[]);
        both("/a/ $x", &[BadSubstitution]);
        both("/a/ $", &[BadSubstitution]);
        both("/a/ ${1", &[BadSubstitution]);
        both("/a/q OK", &[UnknownFlag]);
        both("foo bar", &[UnknownRequest]);
        both("iffy", &[UnknownRequest]);
        both("if /a/\nendif", &[]);
        both("IF /a/\nENDIF", &[]);
        both("if /a/ b\nendif c", &[TextAfterIf, TextAfterEndif]);
        both("endif", &[EndifWithoutIf]);
        both("if /a/", &[IfWithoutEndif]);
        both(" /a/ b", &[LeadingBlank]);
        for broken in [
            "/(/",
            "/[/",
            "/[]/",
            "/*a/",
            "/^*:/",
            "/a|*b/",
            "/(+a)/",
            "/[z-a]/",
            "/[\\w-.]/",
        ] {
            both(&format!("{broken} OK"), &[BrokenPattern]);
        }
        for fine in [
            "/a*?/",
            "/[]a]/",
            "/[^]a]/",
            "/[a-]/",
            "/[[:alpha:]-]/",
            "/\\(/",
            "/a{2}/",
            "/[(]/",
            "/(a|b)+/",
            "/$/",
        ] {
            both(&format!("{fine} OK"), &[]);
        }
    }

    #[test]
    fn engines_differ() {
        let check = |line: &str, regexp: bool, pcre: bool| {
            assert_eq!(
                problems(line.as_bytes(), Engine::Regexp).is_empty(),
                regexp,
                "regexp {line}"
            );
            assert_eq!(
                problems(line.as_bytes(), Engine::Pcre).is_empty(),
                pcre,
                "pcre {line}"
            );
        };
        check("/a/s OK", false, true);
        check("/a/!/b/ OK", true, false);
        check("/(?:a)(b)/ $1", false, true);
        check("/(?P<n>a)(?<m>b)/ $2", false, true);
        check("/(?<=a)(b)/ $2", false, false);
        check("/a**/ OK", true, false);
        check("/a++/ OK", true, true);
        check("/a(/x OK", true, true);
        check("/a)/ OK", true, false);
        check("/(a)/x $1", false, true);
        check("/\\(a\\)/x $1", true, true);
        check("/[\\d-x]/ OK", true, false);
    }

    #[test]
    fn blocks_nest() {
        let text = b"if /a/\nif /b/\n/c/ d\nendif\nif /e/\n";
        assert_eq!(
            problems(text, Engine::Pcre),
            [
                (ProblemKind::IfWithoutEndif, 1),
                (ProblemKind::IfWithoutEndif, 5)
            ]
        );
    }
}
