//! Lists of `tag=value`, the syntax that DKIM, DMARC, TLS-RPT and MTA-STS share.
//!
//! Owns the splitting and its faults. Must not know any tag.
//! Follows RFC 6376, 3.2; RFC 9989, 4.8.

use std::ops::Range;

use crate::finding::escape;

/// One `tag=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// The name, as written.
    pub(super) name: String,
    /// The value, white space around it taken off.
    pub(super) value: String,
    /// Where the whole stands, in bytes.
    pub(super) span: Range<usize>,
}

/// Why a text is no tag list, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct TagError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub fault: TagFault,
}

/// What is wrong with a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// The first tag is not the version.
    #[error("the record does not begin with `{version}`")]
    Version {
        /// What it should begin with.
        version: &'static str,
    },
    /// No `=`, or no name in front of it.
    #[error("`{text}` is no `tag=value`")]
    NoTag {
        /// What stands there.
        text: String,
    },
    /// A character that no record holds.
    #[error("`{text}` holds a character that is not printable ASCII")]
    Character {
        /// What stands there, escaped.
        text: String,
    },
    /// The same tag twice.
    #[error("`{name}=` stands there twice")]
    Twice {
        /// The tag.
        name: String,
    },
    /// A tag that must be there is not.
    #[error("`{name}=` is missing")]
    Missing {
        /// The tag.
        name: &'static str,
    },
    /// A value that the tag does not take.
    #[error("`{name}={value}` is wrong: {expected}")]
    Value {
        /// The tag.
        name: &'static str,
        /// The value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl Tag {
    /// Makes the error that the tag does not take its value.
    pub(super) fn refuse(&self, name: &'static str, expected: &'static str) -> TagError {
        TagError {
            span: self.span.clone(),
            fault: TagFault::Value {
                name,
                value: self.value.clone(),
                expected,
            },
        }
    }
}

/// Refuses a list whose first tag is not the version, letter by letter.
pub(super) fn version(first: Option<&Tag>, version: &'static str) -> Result<(), TagError> {
    match first {
        Some(tag) if format!("{}={}", tag.name, tag.value) == version => Ok(()),
        other => Err(TagError {
            span: other.map(|tag| tag.span.clone()).unwrap_or_default(),
            fault: TagFault::Version { version },
        }),
    }
}

/// Splits a text into its tags.
pub(super) fn parse(text: &str) -> Result<Vec<Tag>, TagError> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut start = 0;
    let pieces = text.split(';').count();
    for (index, piece) in text.split(';').enumerate() {
        let lead = piece.len() - piece.trim_ascii_start().len();
        let trimmed = piece.trim_ascii();
        let span = start + lead..start + lead + trimmed.len();
        start += piece.len() + 1;
        // One `;` may stand at the end.
        if trimmed.is_empty() && index + 1 == pieces && index > 0 {
            break;
        }
        let fail = |fault| TagError {
            span: span.clone(),
            fault,
        };
        if !trimmed
            .bytes()
            .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        {
            let text = escape(trimmed);
            return Err(fail(TagFault::Character { text }));
        }
        let no_tag = || {
            fail(TagFault::NoTag {
                text: trimmed.to_owned(),
            })
        };
        let (name, value) = trimmed.split_once('=').ok_or_else(no_tag)?;
        let (name, value) = (name.trim_ascii_end(), value.trim_ascii_start());
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err(no_tag());
        }
        if tags.iter().any(|tag| tag.name == name) {
            let name = name.to_owned();
            return Err(fail(TagFault::Twice { name }));
        }
        tags.push(Tag {
            name: name.to_owned(),
            value: value.to_owned(),
            span,
        });
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_split() {
        let tags = parse(" v = X1 ;a=b=c ; d= ;").unwrap();
        let found: Vec<_> = tags
            .iter()
            .map(|tag| (tag.name.as_str(), tag.value.as_str(), tag.span.clone()))
            .collect();
        assert_eq!(
            found,
            [("v", "X1", 1..7), ("a", "b=c", 9..14), ("d", "", 17..19)]
        );
    }

    #[test]
    fn faults_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = parse(text).unwrap_err();
            assert_eq!(text.get(error.span.clone()), Some(place));
            assert_eq!(error.to_string(), expected);
        };
        check("a=b; c", "c", "`c` is no `tag=value`");
        check("a=b;; c=d", "", "`` is no `tag=value`");
        check("", "", "`` is no `tag=value`");
        check("=b", "=b", "`=b` is no `tag=value`");
        check("a=b; a=c", "a=c", "`a=` stands there twice");
        check(
            "a=\u{1b}b",
            "a=\u{1b}b",
            "`a=\\u{1b}b` holds a character that is not printable ASCII",
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            if let Err(error) = parse(&text) {
                prop_assert!(text.get(error.span).is_some());
            }
        }
    }
}
