//! TOML files that people write: what is wrong in them, and where.
//!
//! Owns [`DataError`], the reading of TOML into a type, and the words in which the
//! faults that `toml` finds are told. Must not know what any key means.
//! Follows TOML 1.1.

use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;

use crate::finding::{Finding, Place};
use crate::spelling::{listed, near_miss};

/// A TOML file that is wrong: every fault found in it, each with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// The file.
    pub path: Utf8PathBuf,
    /// What is wrong, in the order of the file; never empty.
    pub findings: Vec<Finding>,
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.path)?;
        if let Some(finding) = self.findings.first() {
            if let Some(place) = &finding.place {
                write!(f, ", line {}", place.line)?;
            }
            write!(f, ": {}", finding.title)?;
        }
        match self.findings.len() {
            0 | 1 => Ok(()),
            2 => write!(f, " (and one more fault)"),
            faults => write!(f, " (and {} more faults)", faults - 1),
        }
    }
}

impl std::error::Error for DataError {}

/// The faults of one file, gathered while it is read.
#[derive(Debug)]
pub struct Faults<'a> {
    path: &'a Utf8Path,
    text: &'a str,
    findings: Vec<Finding>,
}

impl<'a> Faults<'a> {
    /// Starts with none.
    #[must_use]
    pub fn new(path: &'a Utf8Path, text: &'a str) -> Self {
        Self {
            path,
            text,
            findings: Vec::new(),
        }
    }

    /// Adds one, pointing at a byte range.
    pub fn add(&mut self, span: Range<usize>, finding: Finding) {
        let place = Place::new(self.path, self.text.as_bytes(), span);
        self.findings.push(finding.at(place));
    }

    /// Ends the reading: the value, if nothing was wrong.
    ///
    /// # Errors
    /// When something was.
    pub fn finish<T>(mut self, value: T) -> Result<T, DataError> {
        if self.findings.is_empty() {
            return Ok(value);
        }
        self.findings
            .sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
        Err(DataError {
            path: self.path.to_owned(),
            findings: self.findings,
        })
    }
}

/// Reads bytes as UTF-8 text.
///
/// # Errors
/// When they are not, pointing at the first wrong byte.
pub fn text<'a>(bytes: &'a [u8], path: &Utf8Path) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let finding = Finding::error("not-utf8", format!("byte 0x{byte:02x} is not UTF-8"))
            .because("TOML is UTF-8 text")
            .mend("save the file as UTF-8")
            .at(Place::new(path, bytes, at..at + 1));
        DataError {
            path: path.to_owned(),
            findings: vec![finding],
        }
    })
}

/// Reads TOML text into a type.
///
/// # Errors
/// When it is no TOML, or has unknown keys, wrong types or missing keys.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Utf8Path) -> Result<T, DataError> {
    toml::from_str(text).map_err(|error| {
        let mut faults = Faults::new(path, text);
        let span = error.span().unwrap_or(0..0);
        faults.add(span, told(error.message()));
        DataError {
            path: path.to_owned(),
            findings: faults.findings,
        }
    })
}

/// Makes the finding for a word that is not among the allowed ones.
///
/// `what` says what kind of word it is: "key", "value", "provider".
#[must_use]
pub fn unknown<'a>(
    code: &'static str,
    what: &str,
    word: &str,
    allowed: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Finding {
    let allowed = allowed.into_iter();
    let list = match listed(allowed.clone()) {
        none if none.is_empty() => "nothing".to_owned(),
        list => list,
    };
    let finding = Finding::error(code, format!("unknown {what} `{word}`"))
        .because(format!("allowed here: {list}"));
    match near_miss(word, allowed) {
        Some(meant) => finding.mend(format!("did you mean `{meant}`?")),
        None => finding,
    }
}

/// Tells one of serde's or toml's messages in our words.
fn told(message: &str) -> Finding {
    // The text that begins serde's messages is part of its public interface:
    // `Error::unknown_field` and its sisters.
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let word = quoted.next().unwrap_or_default();
        return unknown("unknown-key", "key", word, quoted.collect::<Vec<_>>());
    }
    if message.starts_with("unknown variant") {
        let word = quoted.next().unwrap_or_default();
        return unknown("unknown-value", "value", word, quoted.collect::<Vec<_>>());
    }
    if message.starts_with("missing field") {
        let key = quoted.next().unwrap_or_default();
        return Finding::error("missing-key", format!("the key `{key}` is missing"));
    }
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        let expected = match expected {
            "a sequence" => "a list",
            "a boolean" => "`true` or `false`",
            other => other,
        };
        let found = match found {
            "sequence" => "list",
            "map" => "table",
            other => other,
        };
        return Finding::error(
            "wrong-type",
            format!("{expected} must stand here, not the {found}"),
        );
    }
    Finding::error("syntax", message.trim().replace('\n', "; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "a table")]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Example {
        hostname: String,
        #[serde(default)]
        ipv4: Vec<String>,
        #[serde(default)]
        allow: bool,
        #[serde(default)]
        control: Option<Control>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Control {
        Own,
        Provider,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, expecting = "a table")]
    struct Inner {}

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let path = Utf8Path::new("f.toml");
        let error = text(bytes, path)
            .and_then(|text| parse::<Example>(text, path))
            .unwrap_err();
        let finding = &error.findings[0];
        let place = finding.place.as_ref().unwrap();
        let shown = [
            Some(format!(
                "{}:{} {}: {}",
                place.line, place.column, finding.code, finding.title
            )),
            finding.why.clone(),
            finding.fix.clone(),
        ];
        assert_eq!(
            shown.into_iter().flatten().collect::<Vec<_>>().join("; "),
            expected
        );
    }

    #[test]
    fn faults_are_told_in_our_words() {
        check(
            b"hostname = 'a'\nip4 = []\n",
            "2:1 unknown-key: unknown key `ip4`; allowed here: `hostname`, `ipv4`, `allow`, \
             `control`, `inner`; did you mean `ipv4`?",
        );
        check(
            b"ipv4 = []\n",
            "1:1 missing-key: the key `hostname` is missing",
        );
        check(
            b"hostname = 5\n",
            "1:12 wrong-type: a string must stand here, not the integer `5`",
        );
        check(
            b"hostname = ['a']\n",
            "1:12 wrong-type: a string must stand here, not the list",
        );
        check(
            b"hostname = 'a'\nallow = 'yes'\n",
            "2:9 wrong-type: `true` or `false` must stand here, not the string \"yes\"",
        );
        check(
            b"hostname = 'a'\nipv4 = 'x'\n",
            "2:8 wrong-type: a list must stand here, not the string \"x\"",
        );
        check(
            b"hostname = 'a'\ninner = 1\n",
            "2:9 wrong-type: a table must stand here, not the integer `1`",
        );
        check(
            b"hostname = 'a'\ncontrol = 'onw'\n",
            "2:11 unknown-value: unknown value `onw`; allowed here: `own`, `provider`; \
             did you mean `own`?",
        );
        check(
            b"hostname = 'a'\ninner = { x = 1 }\n",
            "2:11 unknown-key: unknown key `x`; allowed here: nothing",
        );
        check(
            b"# caf\xe9\nhostname = 'a'\n",
            "1:6 not-utf8: byte 0xe9 is not UTF-8; TOML is UTF-8 text; save the file as UTF-8",
        );
        check(
            b"hostname = 'a'\nhostname = 'b'\n",
            "2:1 syntax: duplicate key",
        );
        check(
            b"hostname = a\n",
            "1:12 syntax: string values must be quoted, expected literal string",
        );
        check(b"hostname\n", "1:9 syntax: key with no value, expected `=`");
    }

    #[test]
    fn the_error_names_file_line_and_number_of_faults() {
        let path = Utf8Path::new("/etc/mailfix/mailfix.toml");
        let mut faults = Faults::new(path, "a = 1\nb = 2\n");
        faults.add(6..7, Finding::error("x", "second"));
        faults.add(0..1, Finding::error("x", "first"));
        assert_eq!(
            faults.finish(()).unwrap_err().to_string(),
            "`/etc/mailfix/mailfix.toml`, line 1: first (and one more fault)"
        );
    }
}
