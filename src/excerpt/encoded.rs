//! What mail encodes: text in UTF-16, and parts in quoted-printable or base64, made readable.
//!
//! Follows RFC 2045, 6.7 and 6.8. What does not read as the encoding it is said to have stays as it
//! is. Must not know what a text says.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use data_encoding::BASE64;

/// Reads bytes as text: UTF-16 where they are that, else UTF-8 with what is none replaced.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let decoded = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if is_every_other_nul(bytes, 1) => utf16(bytes, u16::from_le_bytes),
        _ if is_every_other_nul(bytes, 0) => utf16(bytes, u16::from_be_bytes),
        _ => return String::from_utf8_lossy(bytes),
    };
    Cow::Owned(decoded)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units)
}

/// Tells whether a text of ASCII has a NUL beside nearly each of its letters, and none elsewhere.
fn is_every_other_nul(bytes: &[u8], first: usize) -> bool {
    let (pairs, _) = bytes
        .get(..bytes.len().min(256))
        .unwrap_or_default()
        .as_chunks::<2>();
    let is_ascii = |pair: &&[u8; 2]| {
        let [one, other] = if first == 0 {
            **pair
        } else {
            [pair[1], pair[0]]
        };
        one == 0 && other != 0
    };
    let ascii = pairs.iter().filter(is_ascii).count();
    pairs.len() > 4 && ascii * 10 >= pairs.len() * 9
}

/// How a part of a message is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    QuotedPrintable,
    Base64,
}

/// The word by which a part says so.
const HEADER: &str = "content-transfer-encoding:";

/// Decodes the parts of a message that say they are encoded, and a text that is quoted-printable
/// without saying so.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    let says = text.split('\n').any(|line| header(line).is_some());
    if !says {
        return if is_quoted_printable(text) {
            Cow::Owned(quoted_printable(text))
        } else {
            Cow::Borrowed(text)
        };
    }
    let mut out = String::with_capacity(text.len());
    let mut encoding = None;
    let mut part: Option<String> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        match &mut part {
            // A boundary, or the headers of the next part where the boundary was left out.
            Some(inside) if bare.starts_with("--") || header(bare).is_some() => {
                out += &finished(encoding.take(), inside);
                encoding = header(bare);
                part = None;
                out += line;
            }
            Some(inside) => inside.push_str(line),
            None => {
                encoding = header(bare).or(encoding);
                out += line;
                if bare.is_empty() && encoding.is_some() {
                    part = Some(String::new());
                }
            }
        }
    }
    if let Some(inside) = part {
        out += &finished(encoding, &inside);
    }
    Cow::Owned(out)
}

/// The encoding that a header names.
fn header(line: &str) -> Option<Encoding> {
    let (name, value) = line.split_at_checked(HEADER.len())?;
    if !name.eq_ignore_ascii_case(HEADER) {
        return None;
    }
    match value.trim().to_ascii_lowercase().as_str() {
        "quoted-printable" => Some(Encoding::QuotedPrintable),
        "base64" => Some(Encoding::Base64),
        _ => None,
    }
}

/// A whole part.
fn finished(encoding: Option<Encoding>, part: &str) -> String {
    match encoding {
        Some(Encoding::QuotedPrintable) => quoted_printable(part),
        Some(Encoding::Base64) => base64(part).unwrap_or_else(|| part.to_owned()),
        None => part.to_owned(),
    }
}

/// Tells whether each `=` begins two digits or ends a line, and one is there that nothing else
/// explains: an encoded `=`, or a line that was broken as late as may be.
fn is_quoted_printable(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut is_broken = false;
    for at in memchr::memchr_iter(b'=', bytes) {
        match bytes.get(at + 1..).unwrap_or_default() {
            [b'\n', ..] | [b'\r', b'\n', ..] => {
                let before = bytes.get(..at).unwrap_or_default();
                let start = memchr::memrchr(b'\n', before).map_or(0, |start| start + 1);
                is_broken |= LATE.contains(&(at - start));
            }
            [first, second, ..] if digit(*first).is_some() && digit(*second).is_some() => {}
            _ => return false,
        }
    }
    is_broken || text.contains("=3D")
}

/// Where programs break a line of quoted-printable: 76 letters are the most, and no code is broken.
const LATE: RangeInclusive<usize> = 71..=75;

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

// What people paste is half decoded already: letters that are no ASCII stand in it as they are, and
// an `=` begins no code in words such as `p=ab`. The crate `quoted_printable` leaves such letters
// out, reads small digits as codes and makes each end of a line CRLF; so it is read here.
fn quoted_printable(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            out.push(*byte);
            continue;
        }
        match after {
            [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => rest = after,
            [first, second, after @ ..] => match (digit(*first), digit(*second)) {
                (Some(high), Some(low)) => {
                    out.push(high * 16 + low);
                    rest = after;
                }
                _ => out.push(b'='),
            },
            _ => out.push(b'='),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn base64(text: &str) -> Option<String> {
    let mut letters: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    // What was cut off in the midst of a group says nothing.
    letters.truncate(letters.len() / 4 * 4);
    let decoded = BASE64.decode(&letters).ok()?;
    Some(format!("{}\n", String::from_utf8_lossy(&decoded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_what_they_are() {
        let units = "550 5.7.1 nein, größer".encode_utf16();
        let little: Vec<u8> = units.clone().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
        for bytes in [little.clone(), big.clone()] {
            assert_eq!(text(&bytes), "550 5.7.1 nein, größer");
        }
        assert_eq!(
            text(&[&[0xff, 0xfe][..], &little].concat()),
            "550 5.7.1 nein, größer"
        );
        assert_eq!(
            text(&[&[0xfe, 0xff][..], &big].concat()),
            "550 5.7.1 nein, größer"
        );
        assert_eq!(text(b"a\0b\xff"), "a\0b\u{fffd}");
        assert_eq!(text(&[0; 64]), "\0".repeat(64));
        assert_eq!(text(&[0xff, 0xfe, 0x41]), "");
    }

    #[test]
    fn parts_are_decoded_and_what_is_none_stays() {
        let check = |text: &str, expected: &str| assert_eq!(decoded(text), expected, "{text:?}");
        check(
            "to=3D<a@example=\n.org> gr=C3=B6=C3=9Fer",
            "to=<a@example.org> größer",
        );
        check(
            "to=<a@b>, relay=none,\nx=\n1",
            "to=<a@b>, relay=none,\nx=\n1",
        );
        check("delay=44899", "delay=44899");
        let long = "x".repeat(75);
        check(&format!("{long}=\ny"), &format!("{long}y"));
        check("?ip=\n192.0.2.1", "?ip=\n192.0.2.1");
        check(
            "--x\nContent-Transfer-Encoding: Base64\n\nNTUwIDUu\r\nNy4xIG5v\n--x\nplain=3D\n",
            "--x\nContent-Transfer-Encoding: Base64\n\n550 5.7.1 no\n--x\nplain=3D\n",
        );
        check(
            "Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\na=bc",
        );
        check(
            "Content-Transfer-Encoding: base64\n\nno base64, this\n",
            "Content-Transfer-Encoding: base64\n\nno base64, this\n",
        );
        check(
            "Content-Transfer-Encoding: base64\n",
            "Content-Transfer-Encoding: base64\n",
        );
    }
}
