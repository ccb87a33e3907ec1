//! The page of `mailfix stats --html`, opened from a file in a real browser without a network:
//! narrow and wide, light and dark. `tests/browser/look.mjs` drives it and says what it sees;
//! pictures of each view stay in `target/page`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::binary;

/// Hours of the log: as many as the plot has room for, each with a bar of its own.
const HOURS: usize = 120;

/// Names of domains, among them what strangers send to see what happens.
const DOMAINS: [&str; 6] = [
    "gmail.com",
    "yahoo.com",
    "a-name-without-a-place-to-break-it-that-goes-on-and-on-until-63-x.example.org",
    "<script>alert(1)</script>",
    "<img src=http://198.51.100.1/x onerror=alert(1)>",
    "\u{202e}moc.elpmaxe",
];

/// A log of five days that sends much at noon and nothing is refused on the third day; and how
/// many parts the bars of its hours have.
fn log() -> (String, usize) {
    let mut log = String::new();
    let mut parts = 0;
    for hour in 0..HOURS {
        let (day, of_day) = (1 + hour / 24, hour % 24);
        let count = 3 + 40 * (12 - of_day.abs_diff(12));
        let mut seen = [false; 3];
        for at in 0..count {
            let kind = match at % 20 {
                1 | 2 if day != 3 => 1,
                3 if day != 3 => 2,
                _ => 0,
            };
            seen[kind] = true;
            let status = [
                "2.0.0, status=sent (250 ok)",
                "4.7.0, status=deferred (host mx.example.org[198.51.100.7] said: 421 4.7.0 later (in reply to MAIL FROM command))",
                "5.1.1, status=bounced (host mx.example.org[198.51.100.7] said: 550 5.1.1 no (in reply to RCPT TO command))",
            ][kind];
            let instance = ["postfix", "postfix-therest-a", "postfix-msn-b"][at % 3];
            let domain = DOMAINS[at % DOMAINS.len()];
            writeln!(
                log,
                "2026-03-{day:02}T{of_day:02}:{:02}:00+00:00 mx {instance}/smtp[7]: A1B2C3{at:03}: to=<\"a b\"@{domain}>, relay=mx.example.org[198.51.100.7]:25, delay=1.{}, delays=0/0/0/1, dsn={status}",
                at % 60,
                at % 10,
            )
            .unwrap();
        }
        parts += seen.iter().filter(|seen| **seen).count();
    }
    (log, parts)
}

/// What the browser sees, or `None` where there is none.
fn look(page: &Path, pictures: &Path) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/look.mjs");
    let missing: Vec<&str> = ["node", "chromium"]
        .into_iter()
        .filter(|program| Command::new(program).arg("--version").output().is_err())
        .collect();
    if !missing.is_empty() {
        println!("skipped: not installed: {missing:?}");
        assert!(std::env::var_os("CI").is_none(), "missing: {missing:?}");
        return None;
    }
    fs::create_dir_all(pictures).unwrap();
    let output = Command::new("node")
        .arg(script)
        .args([page, pictures])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_page_is_readable_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let (log, parts) = log();
    fs::write(folder.path().join("mail.log"), log).unwrap();
    let words = ["stats", "--html", "page.html", "mail.log"];
    let output = binary(folder.path(), &words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page");
    let Some(seen) = look(&folder.path().join("page.html"), &pictures) else {
        return;
    };
    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.len(), 4);
    for view in views {
        let name = format!("{} {}", view["width"], view["scheme"]);
        let faults: &[Value] = view["faults"].as_array().unwrap();
        assert!(faults.is_empty(), "{name}: {faults:#?}");
        let plots = view["plots"].as_array().unwrap();
        assert_eq!(plots.len(), 1, "{name}");
        let number = |key: &str| plots[0][key].as_f64().unwrap();
        let count = |key: &str| plots[0][key].as_u64().unwrap();
        assert_eq!(count("bars"), HOURS as u64, "{name}");
        assert_eq!(count("parts"), parts as u64, "{name}");
        assert_eq!(count("drawn"), parts as u64, "{name}");
        // The largest hour fills the plot, whose edges are a pixel each.
        assert!(number("highest") > number("height") - 4.0, "{name}");
        let said = view["said"].as_str().unwrap();
        for words in ["Mail deliveries", "2026-03-01 00:00 to 2026-03-05 23:59"] {
            assert!(said.contains(words), "{name}: {said}");
        }
        for domain in DOMAINS {
            // What turns a text would show another name.
            let shown = domain.replace('\u{202e}', "\\u{202e}");
            assert!(said.contains(&shown), "{name}: {said}");
        }
    }
}
