//! What is odd about a setting that Postfix accepts.

use std::ops::Range;

use super::{Item, list_words};
use crate::postfix::ProblemKind;
use crate::postfix::logical_line::{self, Physical, classify, is_blank, physical_lines, trim};

/// Reports what is odd about a setting that Postfix accepts.
pub(super) fn setting_problems(item: &Item, report: &mut impl FnMut(ProblemKind, Range<usize>)) {
    let (content, parts) = item.content();
    for word in list_words(&content.bytes, &parts) {
        if content.bytes[word.start] == b'#' {
            let end = content.span(&(word.start..parts.value.end)).end;
            let start = content.place(word.start);
            report(
                ProblemKind::CommentAfterText,
                start..end.min(logical_line::line_stop(&item.text, start)),
            );
            break;
        }
    }
    let mut at = 0;
    // The last comment line that looks like a setting, since the last content line.
    let mut commented_out = false;
    for line in physical_lines(&item.text) {
        let visible = trim(line);
        let span = || {
            let start = at + line.iter().take_while(|byte| is_blank(**byte)).count();
            start..start + visible.len()
        };
        match classify(line) {
            Physical::Ignored => {
                if let Some(comment) = visible.strip_prefix(b"#") {
                    commented_out =
                        looks_like_setting(comment.strip_prefix(b" ").unwrap_or(comment));
                }
            }
            Physical::Continuation if looks_like_setting(visible) => {
                report(ProblemKind::SwallowedSetting, span());
                commented_out = false;
            }
            Physical::Continuation if commented_out => {
                report(ProblemKind::LostContinuation, span());
                commented_out = false;
            }
            _ => commented_out = false,
        }
        at += line.len();
    }
}

/// Tells whether a line reads `name = value`, with a name as parameters have and blanks around `=`.
///
/// Blanks are asked for because `name=value` is an ordinary item of some lists.
fn looks_like_setting(line: &[u8]) -> bool {
    let name = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let after = &line[name..];
    let rest = trim(after);
    name > 0 && rest.starts_with(b"=") && !rest.starts_with(b"==") && (after.first() != Some(&b'='))
}
