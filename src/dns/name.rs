//! Domain names: absolute, compared without case, safe to print.
//!
//! Owns [`Name`] and its limits. Must not know who asks for it.
//! Follows RFC 1034, 3.1; RFC 1035, 2.3.4 and 5.1; RFC 4343.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use crate::finding::escape;

/// Most bytes of a label (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// Most bytes of a name on the wire, length bytes and root included (RFC 1035, 2.3.4).
const MAX_WIRE: usize = 255;

/// A domain name, absolute and in lower case.
///
/// Two methods print it, [`Name::fully_qualified`] with the final dot and
/// [`Name::host`] without, so that nobody adds or trims a dot "if needed".
/// There is no `Display`: the caller always says which of them is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Wire form: each label behind its length, the root's zero last.
    wire: Vec<u8>,
}

/// Why a text is not a domain name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("a domain name is missing")]
    Empty,
    /// Two dots in a row, or a dot at the start.
    #[error("`{name}` has an empty label: two dots in a row, or one at the start")]
    EmptyLabel {
        /// The text, escaped.
        name: String,
    },
    /// A label over 63 bytes.
    #[error("`{name}` has a label of {length} bytes; {MAX_LABEL} are allowed")]
    LabelTooLong {
        /// The text, escaped.
        name: String,
        /// The label's length.
        length: usize,
    },
    /// The whole name is over 255 bytes.
    #[error("`{name}` is {length} bytes long on the wire; {MAX_WIRE} are allowed")]
    TooLong {
        /// The text, escaped.
        name: String,
        /// Its length on the wire.
        length: usize,
    },
    /// A letter that DNS does not have.
    #[error("`{name}` is not ASCII; write it in its `xn--` form")]
    NotAscii {
        /// The text, escaped.
        name: String,
    },
    /// A character that cannot stand in a name as it is.
    #[error("`{name}` holds `{character}`, which cannot stand in a domain name")]
    Character {
        /// The text, escaped.
        name: String,
        /// The character, escaped.
        character: String,
    },
    /// A backslash without a character or three digits up to 255 behind it.
    #[error("`{name}` has a bad escape; `\\` takes one character or three digits up to 255")]
    Escape {
        /// The text, escaped.
        name: String,
    },
}

impl Name {
    /// Makes the root.
    #[must_use]
    pub fn root() -> Self {
        Self { wire: vec![0] }
    }

    /// Makes a name from the bytes of its labels, outermost last.
    ///
    /// Any byte may stand in a label; printing escapes what is unsafe.
    ///
    /// # Errors
    /// When a label is empty or too long, or the whole is too long.
    pub fn from_labels<L: AsRef<[u8]>>(
        labels: impl IntoIterator<Item = L>,
    ) -> Result<Self, NameError> {
        let mut fault = None;
        let wire = wire_of(labels.into_iter().inspect(|label| {
            let length = label.as_ref().len();
            if length == 0 || length > MAX_LABEL {
                fault.get_or_insert(length);
            }
        }));
        if let Some(length) = fault {
            let name = labels_text(&wire);
            return Err(match length {
                0 => NameError::EmptyLabel { name },
                _ => NameError::LabelTooLong { name, length },
            });
        }
        if wire.len() > MAX_WIRE {
            let name = labels_text(&wire);
            return Err(NameError::TooLong {
                name,
                length: wire.len(),
            });
        }
        Ok(Self { wire })
    }

    /// Makes the name under which the PTR record of an address stands.
    #[must_use]
    pub fn reverse_of(address: IpAddr) -> Self {
        let mut labels: Vec<String> = match address {
            // RFC 1035, 3.5
            IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
            // RFC 3596, 2.5
            IpAddr::V6(v6) => v6
                .octets()
                .iter()
                .rev()
                .flat_map(|byte| [byte & 15, byte >> 4])
                .map(|nibble| format!("{nibble:x}"))
                .collect(),
        };
        let tree = if address.is_ipv4() { "in-addr" } else { "ip6" };
        labels.extend([tree.to_owned(), "arpa".to_owned()]);
        // At most 74 bytes, in labels of at most 7.
        Self {
            wire: wire_of(labels),
        }
    }

    /// Gives the labels, outermost last, the root left out.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.wire.as_slice();
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at(usize::from(length));
            rest = tail;
            Some(label)
        })
    }

    /// Gives the form sent over the wire, uncompressed.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Tells whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// Tells whether this name is `zone` or lies below it, on label boundaries.
    #[must_use]
    pub fn is_subdomain_of(&self, zone: &Self) -> bool {
        self.relative_labels(zone).is_some()
    }

    /// Tells whether a host can have this name: letters, digits and inner hyphens only.
    ///
    /// The last label must not be all digits, or the name reads like an address
    /// (RFC 1123, 2.1).
    #[must_use]
    pub fn is_host_name(&self) -> bool {
        let plain = |label: &[u8]| {
            let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            label.iter().all(inner) && !label.starts_with(b"-") && !label.ends_with(b"-")
        };
        !self.is_root()
            && self.labels().all(plain)
            && self
                .labels()
                .last()
                .is_some_and(|label| !label.iter().all(u8::is_ascii_digit))
    }

    /// Gives the name one label up; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (&length, rest) = self.wire.split_first()?;
        let wire = rest.get(usize::from(length)..)?.to_vec();
        (length > 0).then_some(Self { wire })
    }

    /// Makes the name that stands `labels` below this one.
    ///
    /// # Errors
    /// When `labels` is no name or the whole gets too long.
    pub fn below(&self, labels: &str) -> Result<Self, NameError> {
        let inner: Self = labels.parse()?;
        Self::from_labels(inner.labels().chain(self.labels()))
    }

    /// Prints the name with its final dot, as zone text needs it.
    #[must_use]
    pub fn fully_qualified(&self) -> String {
        let mut text = labels_text(&self.wire);
        text.push('.');
        text
    }

    /// Prints the name without a final dot, as people and Postfix write it; the root is `.`.
    #[must_use]
    pub fn host(&self) -> String {
        if self.is_root() {
            return ".".to_owned();
        }
        labels_text(&self.wire)
    }

    /// Prints the part in front of `zone`, as web panels ask for it: `@` for the zone itself.
    ///
    /// `None` when the name is not in the zone.
    #[must_use]
    pub fn host_in(&self, zone: &Self) -> Option<String> {
        let mut wire = self.relative_labels(zone)?.to_vec();
        if wire.is_empty() {
            return Some("@".to_owned());
        }
        wire.push(0);
        Some(labels_text(&wire))
    }

    /// The wire form of the labels in front of `zone`.
    fn relative_labels(&self, zone: &Self) -> Option<&[u8]> {
        let at = self.wire.len().checked_sub(zone.wire.len())?;
        let (front, back) = self.wire.split_at(at);
        if back != zone.wire {
            return None;
        }
        // The suffix counts only where a label begins.
        let mut start = 0;
        while start < at {
            start += usize::from(front[start]) + 1;
        }
        (start == at).then_some(front)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.fully_qualified())
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads a whole name; a final dot may be there or not.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = || escape(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text == "." {
            return Ok(Self::root());
        }
        if !text.is_ascii() {
            return Err(NameError::NotAscii { name: name() });
        }
        let mut labels = vec![Vec::new()];
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let label = labels.last_mut().expect("it starts with one label");
            match byte {
                b'.' => labels.push(Vec::new()),
                b'\\' => label.push(
                    escaped_byte(&mut bytes).ok_or_else(|| NameError::Escape { name: name() })?,
                ),
                _ if stands_for_itself(byte) => label.push(byte),
                _ => {
                    return Err(NameError::Character {
                        name: name(),
                        character: char::from(byte).escape_default().to_string(),
                    });
                }
            }
        }
        if labels.last().is_some_and(Vec::is_empty) {
            labels.pop(); // the final dot
        }
        match Self::from_labels(labels) {
            Err(NameError::EmptyLabel { .. }) => Err(NameError::EmptyLabel { name: name() }),
            other => other,
        }
    }
}

/// Reads what stands behind a backslash (RFC 1035, 5.1).
fn escaped_byte(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

/// Tells whether a byte of a label is printed and read without an escape.
fn stands_for_itself(byte: u8) -> bool {
    // `@`, `$`, `;`, quotes and parentheses mean something in zone text; backquotes end a
    // quotation in our messages.
    byte.is_ascii_graphic() && !br#".\@$;"()`'"#.contains(&byte)
}

/// Puts labels behind their lengths; whoever calls has checked or checks them.
fn wire_of<L: AsRef<[u8]>>(labels: impl IntoIterator<Item = L>) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        let label = label.as_ref();
        wire.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire
}

/// Prints labels in wire form, unsafe bytes escaped.
fn labels_text(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&length, tail)) = rest.split_first() {
        let (label, tail) = tail.split_at(usize::from(length).min(tail.len()));
        if length > 0 && !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            if stands_for_itself(byte) {
                text.push(char::from(byte));
            } else if byte.is_ascii_graphic() {
                text.extend(['\\', char::from(byte)]);
            } else {
                write!(text, "\\{byte:03}").expect("a string takes any text");
            }
        }
        rest = tail;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_print_with_and_without_the_dot() {
        for text in ["Mail.Example.ORG", "mail.example.org."] {
            assert_eq!(name(text).fully_qualified(), "mail.example.org.");
            assert_eq!(name(text).host(), "mail.example.org");
        }
        assert_eq!(name(".").fully_qualified(), ".");
        assert_eq!(name(".").host(), ".");
    }

    #[test]
    fn faults_are_named() {
        let long = "a".repeat(64);
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Name>().unwrap_err().to_string(), expected);
        };
        check("", "a domain name is missing");
        check(
            "mail..example",
            "`mail..example` has an empty label: two dots in a row, or one at the start",
        );
        check(
            ".org",
            "`.org` has an empty label: two dots in a row, or one at the start",
        );
        check(
            "..",
            "`..` has an empty label: two dots in a row, or one at the start",
        );
        check(
            "bücher.example",
            "`bücher.example` is not ASCII; write it in its `xn--` form",
        );
        check(
            "mail example.org",
            "`mail example.org` holds ` `, which cannot stand in a domain name",
        );
        check(
            "a\u{1b}[31m",
            "`a\\u{1b}[31m` holds `\\u{1b}`, which cannot stand in a domain name",
        );
        check(
            "a\\25",
            "`a\\25` has a bad escape; `\\` takes one character or three digits up to 255",
        );
        check(
            "a\\256",
            "`a\\256` has a bad escape; `\\` takes one character or three digits up to 255",
        );
        check(
            &long,
            &format!("`{long}` has a label of 64 bytes; 63 are allowed"),
        );
        let whole = ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join(".");
        assert!(
            format!("{whole}.{}", "d".repeat(61))
                .parse::<Name>()
                .is_ok()
        );
        let over = format!("{whole}.{}", "d".repeat(62));
        check(
            &over,
            &format!("`{over}` is 256 bytes long on the wire; 255 are allowed"),
        );
    }

    #[test]
    fn hostile_bytes_print_escaped() {
        let hostile = Name::from_labels([&b"a.b\x1b[31m\n"[..], b"ex\xffample"]).unwrap();
        assert_eq!(hostile.host(), "a\\.b\\027[31m\\010.ex\\255ample");
        assert_eq!(name(&hostile.host()), hostile);
    }

    #[test]
    fn suffixes_match_on_label_boundaries() {
        let zone = name("google.com");
        assert!(name("mx.GOOGLE.com").is_subdomain_of(&zone));
        assert!(zone.is_subdomain_of(&zone));
        assert!(zone.is_subdomain_of(&Name::root()));
        assert!(!name("notgoogle.com").is_subdomain_of(&zone));
        assert!(!name("google.com.example").is_subdomain_of(&zone));
        assert!(!name("com").is_subdomain_of(&zone));
        // The bytes of "\006google\003com" inside one label are no suffix.
        let tricky = Name::from_labels([&b"x\x06google\x03com"[..]]).unwrap();
        assert!(!tricky.is_subdomain_of(&zone));
    }

    #[test]
    fn reverse_names() {
        let check = |address: &str, expected: &str| {
            assert_eq!(Name::reverse_of(address.parse().unwrap()).host(), expected);
        };
        check("192.0.2.25", "25.2.0.192.in-addr.arpa");
        check(
            "2001:db8::25",
            "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        );
    }

    #[test]
    fn panels_get_the_part_in_front_of_the_zone() {
        let zone = name("example.org");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(name(text).host_in(&zone).as_deref(), expected);
        };
        check("example.org", Some("@"));
        check("s1._domainkey.example.org", Some("s1._domainkey"));
        check("example.com", None);
        check("badexample.org", None);
    }

    #[test]
    fn host_names_are_letters_digits_hyphens() {
        for good in ["mail.example.org", "xn--bcher-kva.example", "3com.com", "a"] {
            assert!(name(good).is_host_name(), "{good}");
        }
        for bad in [
            "_dmarc.example.org",
            "-a.example",
            "a-.example",
            "192.0.2.1",
            "*.example",
        ] {
            assert!(!name(bad).is_host_name(), "{bad}");
        }
        assert!(!Name::root().is_host_name());
    }

    #[test]
    fn parents_and_children() {
        assert_eq!(name("a.b").parent(), Some(name("b")));
        assert_eq!(name("b").parent(), Some(Name::root()));
        assert_eq!(Name::root().parent(), None);
        assert_eq!(name("b").below("x.y").unwrap(), name("x.y.b"));
        assert_eq!(Name::root().below("x").unwrap(), name("x"));
    }

    proptest! {
        #[test]
        fn any_labels_print_and_read_back(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)
        ) {
            let made = Name::from_labels(&labels).unwrap();
            prop_assert_eq!(made.labels().count(), labels.len());
            prop_assert!(made.host().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(&made.host().parse::<Name>().unwrap(), &made);
            prop_assert_eq!(&made.fully_qualified().parse::<Name>().unwrap(), &made);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            if let Ok(read) = text.parse::<Name>() {
                prop_assert_eq!(read.fully_qualified().parse::<Name>().unwrap(), read);
            }
        }
    }
}
