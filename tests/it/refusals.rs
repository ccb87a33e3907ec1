//! What receivers say, from `tests/refusals.txt`: whose it is and what it comes down to.
//!
//! Beside the samples of the data files, which a unit test goes through: here the words stand in
//! lines as Postfix writes them, at hosts of every kind, with replies of several lines and
//! refusals at the greeting.

use std::fmt::Write;
use std::path::Path;

use mailfix::diagnose::{Knowledge, Seen};
use mailfix::postfix::log::{Event, Line};

/// Who is spoken of, and what is expected of it.
struct Row<'t> {
    provider: &'t str,
    host: &'t str,
    cause: &'t str,
    flags: Vec<&'t str>,
    words: &'t str,
}

fn rows(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let (mut provider, mut host) = ("", "");
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            (provider, host) = title.split_once(' ').unwrap_or((title, ""));
            continue;
        }
        let (head, words) = line.split_once(" | ").expect("a row has ` | `");
        let mut head = head.split(' ');
        rows.push(Row {
            provider,
            host,
            cause: head.next().expect("a row begins with a cause"),
            flags: head.collect(),
            words,
        });
    }
    rows
}

/// The line that Postfix writes.
fn line(row: &Row<'_>) -> String {
    let begin = "A1B2C3D: to=<b@example.org>, relay=";
    if row.host.is_empty() {
        let (dsn, words) = row.words.split_once(' ').expect("the code comes first");
        return format!("{begin}none, dsn={dsn}, status=deferred ({words})");
    }
    let address = if row.flags.contains(&"6") {
        "2001:db8::1"
    } else {
        "192.0.2.1"
    };
    let host = format!("{}[{address}]", row.host);
    // RFC 3463: the last enhanced code after a code of the reply, or what its first digit says.
    let mut words = row.words.split(' ').peekable();
    let (mut dsn, mut class) = (String::new(), '5');
    while let Some(word) = words.next() {
        let code = word.get(..3).filter(|code| code.parse::<u16>().is_ok());
        let Some(code) = code.filter(|_| word.len() == 3 || word.get(3..4) == Some("-")) else {
            continue;
        };
        class = code.chars().next().unwrap_or('5');
        let rest = word.get(4..).unwrap_or_default();
        let next = if word.len() == 3 {
            words.peek().copied().unwrap_or_default()
        } else {
            rest
        };
        dsn = if next.split('.').count() == 3 && next.starts_with(class) {
            next.to_owned()
        } else {
            String::new()
        };
    }
    if dsn.is_empty() {
        dsn = format!("{class}.0.0");
    }
    if row.flags.contains(&"greeting") {
        // A refusal for good at the greeting is a reason to try the next host.
        dsn.replace_range(..1, "4");
        return format!(
            "{begin}{host}:25, dsn={dsn}, status=deferred (host {host} refused to talk to me: {})",
            row.words
        );
    }
    let status = if class == '4' { "deferred" } else { "bounced" };
    format!(
        "{begin}{host}:25, dsn={dsn}, status={status} (host {host} said: {} (in reply to end of DATA command))",
        row.words
    )
}

#[test]
fn refusals_come_down_to_what_they_mean() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let knowledge = Knowledge::built_in();
    let rows = rows(&text);
    assert!(rows.len() > 300, "{}", rows.len());
    let mut wrong = String::new();
    for row in &rows {
        let line = line(row);
        let Event::Delivery(delivery) = Line::bare(line.as_bytes()).record().event else {
            panic!("no delivery: {line}");
        };
        let verdict = knowledge.judge(&Seen::in_delivery(&delivery));
        let is_own = row.host.is_empty();
        if verdict.code() != row.cause || !(is_own || verdict.provider == row.provider) {
            let found = format!("{} {}", verdict.provider, verdict.code());
            writeln!(
                wrong,
                "{} {}, not {found}: {}",
                row.provider, row.cause, row.words
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
