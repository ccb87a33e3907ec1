//! Macro strings: `%{ir}.%{v}._spf.%{d2}`.
//!
//! Owns their grammar and how values go in. Must not know where a value comes from: some need
//! lookups, and whoever expands hands them in.
//! Follows RFC 7208, 7.

use std::fmt::Write as _;

/// What a text may hold beside letters that stand in every macro string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A term of a record.
    Record,
    /// An explanation: `c`, `r` and `t` too (RFC 7208, 7.2), and spaces.
    Explanation,
}

/// A text with macros, read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct MacroString {
    pieces: Vec<Piece>,
    ends_in_macro: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Literal(String),
    Macro(Macro),
}

/// One `%{…}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Macro {
    letter: Letter,
    /// Written in upper case: the value is escaped as in a URL.
    url: bool,
    /// How many parts are kept, counted from the right.
    keep: Option<usize>,
    reverse: bool,
    delimiters: String,
}

/// What a macro stands for (RFC 7208, 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Letter {
    /// `s`: the sender.
    Sender,
    /// `l`: its local part.
    LocalPart,
    /// `o`: its domain.
    SenderDomain,
    /// `d`: the domain whose record is read.
    Domain,
    /// `i`: the address, with dots.
    Address,
    /// `p`: the name that PTR gives the address, confirmed.
    Pointer,
    /// `v`: `in-addr` or `ip6`.
    Family,
    /// `h`: the name in HELO.
    Helo,
    /// `c`: the address as people write it.
    ReadableAddress,
    /// `r`: the receiving host.
    Receiver,
    /// `t`: the time.
    Time,
}

impl Letter {
    fn read(letter: char, place: Place) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            's' => Self::Sender,
            'l' => Self::LocalPart,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Address,
            'p' => Self::Pointer,
            'v' => Self::Family,
            'h' => Self::Helo,
            'c' if place == Place::Explanation => Self::ReadableAddress,
            'r' if place == Place::Explanation => Self::Receiver,
            't' if place == Place::Explanation => Self::Time,
            _ => return None,
        })
    }
}

impl MacroString {
    /// Reads a text; `None` where a `%` begins no macro.
    pub fn parse(text: &str, place: Place) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut ends_in_macro = false;
        while let Some((literal, tail)) = rest.split_once('%') {
            ends_in_macro = true;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let mut after = tail.chars();
            let constant = match after.next()? {
                '%' => "%",
                '_' => " ",
                '-' => "%20",
                '{' => {
                    let (inside, tail) = after.as_str().split_once('}')?;
                    pieces.push(Piece::Macro(Macro::parse(inside, place)?));
                    rest = tail;
                    continue;
                }
                _ => return None,
            };
            pieces.push(Piece::Literal(constant.to_owned()));
            rest = after.as_str();
        }
        if !rest.is_empty() {
            ends_in_macro = false;
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Some(Self {
            pieces,
            ends_in_macro,
        })
    }

    /// Tells whether nothing follows the last macro; `%%`, `%_` and `%-` are some too
    /// (RFC 7208, 7.1, "macro-expand").
    pub fn ends_in_macro(&self) -> bool {
        self.ends_in_macro
    }

    /// The letters that stand in it.
    pub fn letters(&self) -> impl Iterator<Item = Letter> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Macro(one) => Some(one.letter),
            Piece::Literal(_) => None,
        })
    }

    /// Puts the values in.
    ///
    /// # Errors
    /// When a value could not be found.
    pub fn expand<E>(
        &self,
        mut value: impl FnMut(Letter) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Macro(one) => text.push_str(&one.transform(&value(one.letter)?)),
            }
        }
        Ok(text)
    }
}

impl Macro {
    /// Reads what stands between `%{` and `}`.
    fn parse(inside: &str, place: Place) -> Option<Self> {
        let mut characters = inside.chars();
        let first = characters.next()?;
        let letter = Letter::read(first, place)?;
        let rest = characters.as_str();
        let digits_end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(digits_end);
        let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(delimiters) => (true, delimiters),
            None => (false, rest),
        };
        let keep = match digits {
            "" => None,
            // A number past all counting keeps everything.
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        // RFC 7208, 7.1: the number must not be zero.
        let is_right = keep != Some(0) && delimiters.chars().all(|c| ".-+,/_=".contains(c));
        is_right.then(|| Self {
            letter,
            url: first.is_ascii_uppercase(),
            keep,
            reverse,
            delimiters: delimiters.to_owned(),
        })
    }

    /// RFC 7208, 7.3: split, turn round, keep the right-hand parts, join with dots, escape.
    fn transform(&self, value: &str) -> String {
        let delimiters = match self.delimiters.as_str() {
            "" => ".",
            given => given,
        };
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if self.reverse {
            parts.reverse();
        }
        let left_out = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        let text = parts.get(left_out..).unwrap_or_default().join(".");
        if self.url { url_escaped(&text) } else { text }
    }
}

/// Escapes all but the characters that RFC 3986, 2.3 reserves for nothing.
fn url_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes any text");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of RFC 7208, 7.4.
    fn value(letter: Letter) -> String {
        match letter {
            Letter::Sender => "strong-bad@email.example.com",
            Letter::LocalPart => "strong-bad",
            Letter::SenderDomain | Letter::Domain => "email.example.com",
            Letter::Address | Letter::ReadableAddress => "192.0.2.3",
            Letter::Pointer => "mx.example.org",
            Letter::Family => "in-addr",
            Letter::Helo => "a b&c/d.example",
            Letter::Receiver => "unknown",
            Letter::Time => "0",
        }
        .to_owned()
    }

    #[test]
    fn the_examples_of_the_standard() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            (
                "%{ir}.%{v}._spf.%{d2}",
                "3.2.0.192.in-addr._spf.example.com",
            ),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            (
                "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
                "3.2.0.192.in-addr.strong.lp._spf.example.com",
            ),
            (
                "%{d2}.trusted-domains.example.net",
                "example.com.trusted-domains.example.net",
            ),
            // What the standard says without an example.
            ("%%%_%-", "% %20"),
            ("%{H}", "a%20b%26c%2Fd.example"),
            ("%{H1r/}", "a%20b%26c"),
            ("%{d99999999999999999999}", "email.example.com"),
        ] {
            let read = MacroString::parse(text, Place::Record).unwrap();
            let expanded = read.expand(|letter| Ok::<_, ()>(value(letter)));
            assert_eq!(expanded.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn explanations_have_letters_of_their_own() {
        for text in ["%{c}", "%{R}", "%{t}"] {
            assert_eq!(MacroString::parse(text, Place::Record), None);
            assert!(MacroString::parse(text, Place::Explanation).is_some());
        }
    }
}
