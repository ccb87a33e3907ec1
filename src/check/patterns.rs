//! Rules of regexp and pcre tables that are skipped, or never match as meant.
//!
//! Owns how grave each oddity of a pattern table is. Must not know what the answers are for.
//! Follows `regexp_table(5)`, `pcre_table(5)` and `regex(7)`.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::table_reference::references;
use super::{Check, Subject};
use crate::finding::{Finding, Place, escape};
use crate::postfix::pattern::RuleKind;
use crate::postfix::{Engine, PatternTable, ProblemKind};

pub(super) const CHECK: Check = Check {
    name: "patterns",
    about: "rules of regexp and pcre tables that are skipped, or never match as meant",
    run,
};

/// Letters behind a backslash that mean something to pcre only; regexp takes them for themselves.
const PCRE_ONLY: &str = "dDhHvVntrxAzZQEKR";

/// Letters behind a backslash that the GNU C library adds to regexp; others may not.
const GNU_ONLY: &str = "wWsSbB<>";

/// How many rules of one table are shown.
const SHOWN: usize = 10;

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in references(subject) {
        let Some(engine) = Engine::parse(&reference.kind) else {
            continue;
        };
        if !reference.is_file() || !seen.insert(reference.spelled()) {
            continue;
        }
        let path = Utf8Path::new(&reference.name);
        let Some(bytes) = subject.files.read(path) else {
            continue;
        };
        let table = PatternTable::parse(&bytes, engine);
        let odd = table.problems().iter().filter_map(|problem| {
            let text = bytes.get(problem.span.clone()).unwrap_or_default();
            let text = escape(String::from_utf8_lossy(text).trim());
            let place = Place::new(path, &bytes, problem.span.clone());
            fault(problem.kind, &text).map(|finding| finding.at(place))
        });
        findings.extend(odd.take(SHOWN));
        if engine == Engine::Regexp {
            let foreign = table.rules().iter().filter_map(|rule| {
                let place = Place::new(path, &bytes, rule.span.clone());
                foreign_escape(&rule.kind).map(|finding| finding.at(place))
            });
            findings.extend(foreign.take(SHOWN));
        }
    }
    findings
}

fn fault(kind: ProblemKind, text: &str) -> Option<Finding> {
    let skipped = |fault: &str| {
        Finding::error("broken-pattern", format!("`{text}`: {fault}"))
            .because("the rule is skipped with a warning in the log, so it never matches")
    };
    Some(match kind {
        ProblemKind::UnknownRequest => {
            skipped("a rule begins with a delimiter such as `/`, or is an `if` or `endif`")
        }
        ProblemKind::MissingDelimiter => skipped("the pattern is not closed"),
        ProblemKind::UnknownFlag => {
            skipped("a letter behind the pattern that this table type does not know")
        }
        ProblemKind::BrokenPattern => skipped("the pattern is broken"),
        ProblemKind::BadSubstitution => {
            skipped("a `$` that names no group of the pattern; `$$` stands for a plain `$`")
        }
        ProblemKind::NegatedSubstitution => {
            skipped("a pattern that must not match has no groups to put in")
        }
        ProblemKind::MissingResult => {
            Finding::warning("missing-result", format!("`{text}` gives no result"))
                .because("the empty result is a configuration error wherever it is looked up")
                .mend("write the result behind the pattern")
        }
        ProblemKind::TextAfterIf | ProblemKind::TextAfterEndif => Finding::warning(
            "text-after-if",
            format!("`{text}`: text behind an `if` or `endif`"),
        )
        .because("it is ignored")
        .mend("give the rule a line of its own"),
        ProblemKind::EndifWithoutIf | ProblemKind::IfWithoutEndif => {
            Finding::warning("unbalanced-if", format!("`{text}` has no counterpart"))
                .because(
                    "the rules up to the end of the file may be read under the wrong condition",
                )
                .mend("pair each `if` with an `endif`")
        }
        ProblemKind::LeadingBlank => Finding::warning(
            "leading-blank",
            format!("`{text}` is indented, and there is nothing above it to continue"),
        )
        .because("the line is left out"),
        ProblemKind::ByteOrderMark => {
            Finding::error("byte-order-mark", "the file begins with a byte order mark")
                .because("it becomes part of the first rule, which is skipped")
                .mend("save the file without byte order mark")
        }
        ProblemKind::NulByte => Finding::warning("nul-byte", "a NUL byte")
            .because("what follows it on the line is not seen"),
        _ => return None,
    })
}

/// A rule of a regexp table written in the language of pcre.
fn foreign_escape(rule: &RuleKind) -> Option<Finding> {
    let patterns: Vec<&str> = match rule {
        RuleKind::Match {
            pattern, except, ..
        } => std::iter::once(pattern)
            .chain(except)
            .map(|pattern| pattern.text.as_str())
            .collect(),
        RuleKind::If(pattern) => vec![pattern.text.as_str()],
        RuleKind::Endif => Vec::new(),
    };
    let escapes: BTreeSet<char> = patterns.into_iter().flat_map(escapes).collect();
    let of = |letters: &str| escapes.iter().copied().find(|c| letters.contains(*c));
    if let Some(letter) = of(PCRE_ONLY) {
        return Some(
            Finding::warning(
                "foreign-escape",
                format!("`\\{letter}` in a regexp table stands for the letter `{letter}`"),
            )
            .because("the rule does not match what it seems to; no program warns of it")
            .mend(match letter {
                'd' => "write `[0-9]`, or make it a pcre table",
                'D' => "write `[^0-9]`, or make it a pcre table",
                _ => "make it a pcre table",
            }),
        );
    }
    of(GNU_ONLY).map(|letter| {
        Finding::note(
            "gnu-escape",
            format!("`\\{letter}` in a regexp table is understood by the GNU C library only"),
        )
        .because("on another system the rule does not match what it seems to")
        .mend("write a bracket expression, such as `[[:space:]]`")
    })
}

/// The letters that stand behind a backslash.
fn escapes(pattern: &str) -> Vec<char> {
    let mut escapes = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character == '\\'
            && let Some(letter) = characters.next()
        {
            escapes.push(letter);
        }
    }
    escapes
}
