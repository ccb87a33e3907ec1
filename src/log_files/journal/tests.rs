use std::io::{self, Read};

use jiff::tz::{Offset, TimeZone};

use super::{FIELD, Form, Lines, MESSAGE};

/// The same three entries as `journalctl` of systemd 252 wrote them in each form: one of text, one
/// with bytes that are none, one whose message has two lines.
const WRITTEN: [&[u8]; 5] = [
    include_bytes!("../../../tests/journal/export"),
    include_bytes!("../../../tests/journal/json"),
    include_bytes!("../../../tests/journal/json-pretty"),
    include_bytes!("../../../tests/journal/json-seq"),
    include_bytes!("../../../tests/journal/json-sse"),
];

const LINES: &str = "\
2026-11-26T05:44:25.629791+01:00 mail postfix/smtp[4711]: A1B2C3D4E5: to=<b@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
2026-11-26T05:44:25.631323+01:00 mail postfix-out/smtp[4712]: A1B2C3D4E6: to=<c@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx said: 550 \u{1}\u{1b}[31m no)
2026-11-26T05:44:25.732636+01:00 mail my_tag[13213]: first line#0122026-11-26T00:00:00 x postfix/smtp[1]: FORGED1: to=<a@b.example>, dsn=2.0.0, status=sent (no)
";

fn zone() -> TimeZone {
    TimeZone::fixed(Offset::constant(1))
}

fn made(from: impl Read) -> io::Result<String> {
    let mut from = io::BufReader::new(from);
    let form = Form::of(io::BufRead::fill_buf(&mut from)?).expect("it is a journal");
    let mut text = Vec::new();
    Lines::in_zone(from, form, zone()).read_to_end(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

/// Gives a few bytes at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(7);
        self.0.read(&mut buffer[..room])
    }
}

#[test]
fn every_form_gives_the_same_lines() {
    for written in WRITTEN {
        assert_eq!(made(written).unwrap(), LINES);
        let form = Form::of(written).unwrap();
        let mut text = String::new();
        Lines::in_zone(Slow(written), form, zone())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, LINES);
    }
}

#[test]
fn what_is_there_is_given_before_more_comes() {
    /// Fails the test when asked for more than there is.
    struct Once<'a>(&'a [u8]);
    impl Read for Once<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "nobody waits for more");
            self.0.read(buffer)
        }
    }
    for written in WRITTEN {
        let form = Form::of(written).unwrap();
        let mut lines = Lines::in_zone(Once(written), form, zone());
        let mut buffer = vec![0; 1 << 16];
        let count = lines.read(&mut buffer).unwrap();
        assert!(LINES.as_bytes().starts_with(&buffer[..count]));
        assert!(count > 0);
    }
}

#[test]
fn logs_are_no_journals() {
    for line in [
        "Nov 25 10:00:00 m postfix/smtp[1]: A1B2C3: to=<a@b.example>",
        "2026-11-25T10:00:00 m postfix/smtp[1]: A1B2C3: to=<a@b.example>",
        "__CURSORS",
        "{ not of JSON }",
        "",
    ] {
        assert_eq!(Form::of(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn an_entry_tells_what_it_can() {
    let check = |entry: &str, expected: &str| {
        let entry = format!("__CURSOR=s=1\n{entry}");
        assert_eq!(made(entry.as_bytes()).unwrap(), expected, "{entry}");
    };
    // The last entry may lack the blank line behind it, and its own end.
    check("MESSAGE=a", "localhost unknown: a\n");
    check(
        "MESSAGE=a=b\n_COMM=smtp\n_PID=7\n\n",
        "localhost smtp[7]: a=b\n",
    );
    check(
        "_PID=7\nSYSLOG_PID=8\n_COMM=x\nSYSLOG_IDENTIFIER=y\nMESSAGE=a\n\n\n\nMESSAGE=b\n",
        "localhost y[8]: a\nlocalhost unknown: b\n",
    );
    check("_PID=7\nPRIORITY=6\n\n", "");
    check(
        "_PID=nan\n__REALTIME_TIMESTAMP=99999999999999999999\nMESSAGE=a\n",
        "localhost unknown: a\n",
    );
    check("MESSAGE=\n", "localhost unknown: \n");
    // What is no object of a journal, or not of JSON at all, is passed over.
    let json = r#"{"MESSAGE":null} {"a":{"b":[{}]}} x {"MESSAGE":["1","2"],"_PID":3} {"MESSAGE":"\"}{"} {"a":}"#;
    assert_eq!(
        made(json.as_bytes()).unwrap(),
        "localhost unknown[3]: 1\nlocalhost unknown: \"}{\n"
    );
}

#[test]
fn an_object_that_is_cut_off_is_not_passed_over() {
    let whole = r#"{"MESSAGE":"a","_PID":3}"#;
    for cut in [
        r#"{"MESSAGE":"b"#,
        r#"{"MESSAGE":"b","_PID""#,
        r#"{"MESSAGE":{"#,
    ] {
        let text = format!("{whole}\n{cut}");
        let error = made(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "the journal is cut off within an entry");
    }
    // A single bracket is of whoever wrapped it.
    assert!(made(format!("{whole}\n{{").as_bytes()).is_ok());
}

/// A field that says it is so long, and so many bytes of it.
fn counted(name: &str, length: u64, given: u64) -> impl Read {
    let head = format!("__CURSOR=s=1\n{name}\n").into_bytes();
    let head = [head, length.to_le_bytes().to_vec()].concat();
    io::Cursor::new(head).chain(io::repeat(b'x').take(given))
}

#[test]
fn lengths_take_no_memory() {
    for name in ["MESSAGE", "OTHER", "_PID"] {
        for length in [u64::MAX, u64::MAX - 1, 1 << 40] {
            let error = made(counted(name, length, 3_000_000)).unwrap_err();
            assert_eq!(error.to_string(), "the journal is cut off within an entry");
        }
    }
    let long = 40_000_000;
    let whole = counted("MESSAGE", long, long).chain(&b"\n\n"[..]);
    assert_eq!(
        made(whole).unwrap().len(),
        "localhost unknown: \n".len() + MESSAGE
    );
    // Nor do lines without an end, be they fields or none, nor endless objects.
    let text = io::Cursor::new(b"__CURSOR=s=1\nMESSAGE=").chain(io::repeat(b'x').take(long));
    assert!(made(text).unwrap().len() < MESSAGE + 2 * FIELD);
    let name = io::Cursor::new(b"__CURSOR=s=1\n").chain(io::repeat(b'x').take(long));
    assert_eq!(made(name).unwrap(), "");
    for endless in ["{\"MESSAGE\":\"", "{\"a\":[[", "{\"{", "{\"a\":{{{"] {
        let object = io::Cursor::new(endless).chain(io::repeat(b'{').take(long));
        assert_eq!(made(object).unwrap(), "");
    }
}

proptest::proptest! {
    #[test]
    fn anything_is_survived(bytes in proptest::collection::vec(0_u8.., 0..400), is_export: bool) {
        let form = if is_export { Form::Export } else { Form::Json };
        let mut text = Vec::new();
        let _ = Lines::in_zone(bytes.as_slice(), form, zone()).read_to_end(&mut text);
        // No field makes a line that begins as it likes.
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            proptest::prop_assert!(line.starts_with(b"localhost ") || line.starts_with(b"2") || line.starts_with(b"1"));
        }
    }
}
