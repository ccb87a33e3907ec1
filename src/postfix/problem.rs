//! What can be odd about a line, and what no edit can express.
//!
//! Owns the closed list of oddities of all syntaxes. Must not know how grave
//! any of them is; that depends on the version and on who asks.

use std::fmt;
use std::ops::Range;

use super::logical_line::{self, Physical, classify, is_blank, physical_lines};

/// What begins a file written by an editor that marks UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One odd thing in a document, with the bytes of the printed text it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is odd.
    pub kind: ProblemKind,
    /// Where it stands in what `to_bytes` gives.
    pub span: Range<usize>,
}

/// What can be odd about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A logical line of `main.cf` without `=`: fatal for every program.
    MissingEquals,
    /// A logical line of `main.cf` that begins with `=`: fatal since 3.0.
    MissingName,
    /// A line that begins with a blank though nothing stands above it to continue: ignored.
    LeadingBlank,
    /// A byte order mark, which becomes part of the first word.
    ByteOrderMark,
    /// A NUL byte; what follows it on its logical line is not seen.
    NulByte,
    /// A carriage return that ends no line: it counts as a blank.
    LoneCarriageReturn,
    /// A backslash at the end of a line, which continues nothing.
    Backslash,
    /// A `#` after other text: part of the value, not a comment.
    CommentAfterText,
    /// An indented `name = value`: part of the setting above it.
    SwallowedSetting,
    /// A continuation line whose own first line is commented out: part of what stands above.
    LostContinuation,
    /// A setting that a later one of the same name replaces by another value.
    Overridden,
    /// A service with fewer than eight fields.
    FieldCount,
    /// A service type that no version knows.
    UnknownType,
    /// A private, unprivileged or chroot field that is not `y`, `n` or `-`.
    BadBoolean,
    /// A wakeup field that is not digits with an optional `?`.
    BadWakeup,
    /// A process limit that is not digits.
    BadProcessLimit,
    /// An `inet` service that is not explicitly `n` in the private field: master stops.
    PrivateInet,
    /// `-o name = value`, of which Postfix only takes `-o name`.
    SpacedOverride,
    /// `-o` with a word that holds no `=`, or with no word at all.
    OverrideWithoutEquals,
    /// `-o` after the first word that is no option: an ordinary word.
    OverrideAfterWords,
    /// A `{` that is never closed, or text after the closing `}`.
    UnbalancedBrace,
    /// A `/` in the name of a service that is no `inet` service: master stops.
    SlashInName,
    /// A service that a later one of the same name and type replaces.
    DuplicateService,
    /// A table line with a key and nothing else: skipped.
    MissingValue,
    /// A table key with an odd number of quotes: skipped.
    UnbalancedQuote,
    /// A table key that stands further up already: not used.
    DuplicateKey,
    /// A table line that is not UTF-8: skipped while `smtputf8_enable` is on.
    NotUtf8,
    /// A table key that ends in a colon, as keys of alias files do.
    ColonKey,
    /// A pattern line that begins with neither a delimiter nor `if` or `endif`: skipped.
    UnknownRequest,
    /// A pattern that is never closed: skipped.
    MissingDelimiter,
    /// A flag after a pattern that its table type does not know: skipped.
    UnknownFlag,
    /// A pattern that no engine takes: skipped.
    BrokenPattern,
    /// A pattern without result: the empty string, which lookups refuse.
    MissingResult,
    /// A `$` in a result that is followed by no group: skipped.
    BadSubstitution,
    /// A `$1` in the result of a negated pattern: skipped.
    NegatedSubstitution,
    /// Text after the pattern of an `if`: ignored.
    TextAfterIf,
    /// Text after `endif`: ignored.
    TextAfterEndif,
    /// An `endif` without `if`.
    EndifWithoutIf,
    /// An `if` without `endif`.
    IfWithoutEndif,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingEquals => "missing `=` after the parameter name",
            Self::MissingName => "missing parameter name before `=`",
            Self::LeadingBlank => "an indented line with nothing above it to continue",
            Self::ByteOrderMark => "a byte order mark becomes part of the first word",
            Self::NulByte => "what follows a NUL byte is not seen",
            Self::LoneCarriageReturn => "a carriage return that ends no line counts as a blank",
            Self::Backslash => "a backslash at the end of a line continues nothing",
            Self::CommentAfterText => "a `#` after other text begins no comment",
            Self::SwallowedSetting => "an indented setting is part of the one above it",
            Self::LostContinuation => "a continuation line of a commented-out setting",
            Self::Overridden => "a later setting of the same name replaces this one",
            Self::FieldCount => "a service needs eight fields",
            Self::UnknownType => "unknown service type",
            Self::BadBoolean => "only `y`, `n` and `-` are allowed here",
            Self::BadWakeup => "a wakeup time is digits, with `?` at most after them",
            Self::BadProcessLimit => "a process limit is digits",
            Self::PrivateInet => "an `inet` service must say `n` in the private field",
            Self::SpacedOverride => "`-o name = value` needs braces, or no blanks around `=`",
            Self::OverrideWithoutEquals => "`-o` needs `name=value`",
            Self::OverrideAfterWords => "`-o` after a word that is no option is not an option",
            Self::UnbalancedBrace => "unbalanced `{`",
            Self::SlashInName => "a service name must not hold `/`",
            Self::DuplicateService => "a later service of the same name and type replaces this one",
            Self::MissingValue => "a key without a value is skipped",
            Self::UnbalancedQuote => "a key with an unbalanced quote is skipped",
            Self::DuplicateKey => "the same key stands further up, and the first one counts",
            Self::NotUtf8 => "a line that is not UTF-8 is skipped",
            Self::ColonKey => "a key that ends in `:`, as in an alias file",
            Self::UnknownRequest => "neither a pattern nor `if` nor `endif`",
            Self::MissingDelimiter => "a pattern without closing delimiter",
            Self::UnknownFlag => "unknown pattern flag",
            Self::BrokenPattern => "broken pattern",
            Self::MissingResult => "a pattern without result",
            Self::BadSubstitution => "a `$` without group number",
            Self::NegatedSubstitution => "a negated pattern has no groups to substitute",
            Self::TextAfterIf => "text after the pattern of an `if` is ignored",
            Self::TextAfterEndif => "text after `endif` is ignored",
            Self::EndifWithoutIf => "`endif` without `if`",
            Self::IfWithoutEndif => "`if` without `endif`",
        })
    }
}

/// Why an edit cannot be written down in the syntax of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The name would not be read back as a name.
    #[error("`{name}` cannot be written as a name")]
    Name {
        /// The name.
        name: String,
    },
    /// The value would not be read back as it is.
    #[error("the value `{value}` of `{name}` cannot be written on one logical line")]
    Value {
        /// Whose value it is.
        name: String,
        /// The value.
        value: String,
    },
    /// The list item would not be read back as one item.
    #[error("`{item}` is not one list item for `{name}`")]
    Item {
        /// The list parameter.
        name: String,
        /// The item.
        item: String,
    },
    /// The text to edit holds a brace that is never closed, which would swallow the edit.
    #[error("`{name}` holds a brace that is never closed")]
    Unbalanced {
        /// The parameter or service.
        name: String,
    },
    /// The service to edit is not there.
    #[error("there is no service `{service}`")]
    NoService {
        /// `name/type` of the service.
        service: String,
    },
    /// The fragment holds something else than well-formed services.
    #[error("not a service in the syntax of `master.cf`: {kind}")]
    Fragment {
        /// What is odd about it.
        kind: ProblemKind,
    },
}

/// Gives the first line of a text without its line end.
pub(super) fn first_line(text: &[u8]) -> Range<usize> {
    0..logical_line::line_stop(text, 0)
}

/// Reports bytes that are odd in every syntax.
pub(super) fn byte_problems(
    text: &[u8],
    first: bool,
    report: &mut impl FnMut(ProblemKind, Range<usize>),
) {
    if first && text.starts_with(BYTE_ORDER_MARK) {
        report(ProblemKind::ByteOrderMark, 0..BYTE_ORDER_MARK.len());
    }
    let mut at = 0;
    for line in physical_lines(text) {
        if classify(line) != Physical::Ignored {
            if let Some(nul) = line.iter().position(|byte| *byte == 0) {
                report(ProblemKind::NulByte, at + nul..at + nul + 1);
            }
            let visible = logical_line::line_stop(line, 0);
            if let Some(lone) = line[..visible].iter().position(|byte| *byte == b'\r')
                && line[lone..visible].iter().any(|byte| !is_blank(*byte))
            {
                report(ProblemKind::LoneCarriageReturn, at + lone..at + lone + 1);
            }
            if visible < line.len() && line[..visible].ends_with(b"\\") {
                report(ProblemKind::Backslash, at + visible - 1..at + visible);
            }
        }
        at += line.len();
    }
}
