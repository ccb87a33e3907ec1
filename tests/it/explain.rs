//! `mailfix explain`: texts as people paste them, codes, and lines for programs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Shown, Snapshots, Tree, binary};

/// What texts are folded to; a link or a command stays whole.
const WIDTH: usize = 80;

fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // Who wants no input closes it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

fn explain(words: &[&str], input: &[u8]) -> Output {
    let tree = Tree::new();
    let all = ["explain", "--root", "."];
    let words: Vec<&str> = all.iter().chain(words).copied().collect();
    run(binary(tree.path(), &words), input)
}

fn object(words: &[&str], input: &[u8]) -> Value {
    let words: Vec<&str> = words.iter().chain(&["--json"]).copied().collect();
    let output = explain(&words, input);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    fs::read(folder.join(format!("{name}.txt"))).expect("the text is there")
}

/// All commands and steps, in order.
fn steps(object: &Value) -> Vec<String> {
    let steps = object["remedy"]["steps"]
        .as_array()
        .expect("there are steps");
    let text = |step: &Value| {
        let command = step["command"]
            .as_str()
            .map(|command| format!("`{command}` "));
        format!(
            "{}{}",
            command.unwrap_or_default(),
            step["says"].as_str().unwrap_or_default()
        )
    };
    steps.iter().map(text).collect()
}

#[test]
fn whatever_is_pasted_is_shown_at_a_terminals_width() {
    let snapshots = Snapshots::new("explain");
    for name in [
        "forwarded-mail",
        "transport-in-a-jail",
        "rate-in-japanese",
        "bounce",
        "queue",
    ] {
        let shown = Shown::from(explain(&[], &text(name)));
        for line in shown.stdout.lines() {
            let command = line.contains('`') || line.contains("://");
            assert!(line.chars().count() <= WIDTH || command, "{line}");
        }
        snapshots.check(name, &shown.to_string());
    }
    for (name, words) in [
        ("cause", &["ipv6-no-ptr"][..]),
        ("code", &["5.7.26"]),
        ("reply-code", &["421", "4.7.28"]),
        ("own-code", &["TSS04"]),
        ("unknown-word", &["hello"]),
        (
            "new-refusal",
            &[
                "host mx.icloud.com[192.0.2.1] said: 550 5.7.99 the moon is full (in reply to MAIL FROM command)",
            ],
        ),
    ] {
        let shown = Shown::from(explain(words, b""));
        snapshots.check(
            name,
            &format!("$ mailfix explain {}\n{shown}", words.join(" ")),
        );
    }
    snapshots.end();
}

#[test]
fn mail_that_came_over_ipv6_first_has_its_address_looked_at() {
    let found = object(&[], &text("forwarded-mail"));
    assert_eq!(
        (&found["provider"], &found["cause"]),
        (&"google".into(), &"content-spam".into())
    );
    assert_eq!(
        (&found["code"], &found["enhanced"]),
        (&"550".into(), &"5.7.1".into())
    );
    let first = &steps(&found)[0];
    assert!(
        first.starts_with("`mailfix dns check --address 2001:db8:91ff::423f`")
            && first.contains("PTR"),
        "{first}"
    );
}

#[test]
fn a_transport_that_dies_is_suspected_of_its_jail_first() {
    let found = object(&[], &text("transport-in-a-jail"));
    assert_eq!(
        (&found["provider"], &found["cause"]),
        (&"local".into(), &"transport-broken".into())
    );
    let all = steps(&found);
    let suspect = all.iter().position(|step| step.contains("chroot"));
    assert!(suspect.is_some_and(|at| at <= 1), "{all:#?}");
}

#[test]
fn a_limited_address_is_looked_up_by_every_record() {
    let found = object(&[], &text("rate-in-japanese"));
    assert_eq!(
        (&found["provider"], &found["cause"]),
        (&"google".into(), &"rate-limited".into())
    );
    assert_eq!(found["delivered"], true);
    let all = steps(&found);
    let address = "2001:db8:102:2b04:111:222:333:444";
    for (at, what) in ["AAAA", "SPF", "DKIM"].into_iter().enumerate() {
        assert!(all[at].contains(what), "{all:#?}");
    }
    assert!(
        all[0].contains(address) && all[1].contains(address),
        "{all:#?}"
    );
}

#[test]
fn every_line_gets_one_object_in_order() {
    let mut input = Vec::new();
    let mut expected = Vec::new();
    let line = |to: usize, status: &str| {
        format!(
            "A1B2C3D: to=<{to}@example.org>, relay=mx.example.org[192.0.2.1]:25, dsn=2.0.0, status={status}"
        )
    };
    for number in 0..20_000 {
        match number % 4 {
            0 => {
                input.extend(line(number, "sent (250 ok)").into_bytes());
                expected.push(Some("delivered"));
            }
            1 => {
                let wrapped = line(
                    number,
                    "bounced (host\n mx.example.org[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))",
                );
                input.extend(serde_json::to_string(&wrapped).unwrap().into_bytes());
                expected.push(Some("mailbox-unknown"));
            }
            2 => expected.push(None),
            _ => {
                input.extend(b"\xff\xfe\x1b[31m nothing of note \x00");
                expected.push(None);
            }
        }
        input.push(b'\n');
    }
    let output = explain(&["--lines", "--json"], &input);
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), expected.len());
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found["cause"].as_str(), expected, "{number}: {found}");
        if expected.is_some() {
            assert_eq!(found["recipient"], format!("{number}@example.org"));
        }
    }
}

#[test]
fn files_are_texts_of_their_own() {
    let tree = Tree::new();
    tree.write(
        "/one.txt",
        "421 4.7.28 Gmail has detected an unusual rate of email",
    );
    tree.write("/two.txt", "status=sent (250 ok)");
    let words = [
        "explain",
        "--root",
        ".",
        "--json",
        "--file",
        "./one.txt",
        "--file",
        "./two.txt",
    ];
    let output = run(binary(tree.path(), &words), b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let causes: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["cause"].take())
        .collect();
    assert_eq!(causes, ["rate-limited", "delivered"]);
}

#[test]
fn escapes_in_a_text_reach_no_terminal() {
    let text = b"host mx.example.org[192.0.2.1] said: 550 5.7.1 \x1b]0;owned\x07 no \x9b2J";
    let output = explain(&[], text);
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&0x07));
    assert!(String::from_utf8(output.stdout).is_ok());
}

#[test]
fn nobodys_address_is_shown_where_that_is_asked() {
    let text = b"A1B2C3D4E5: to=<joe.doe@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.26]:25, \
        dsn=5.1.1, status=bounced (host gmail-smtp-in.l.google.com[192.0.2.26] said: 550-5.1.1 The \
        email account joe.doe@gmail.com that you tried to reach does not exist. (in reply to RCPT TO \
        command))";
    for form in [&["--mask"][..], &["--mask", "--json"]] {
        let output = explain(form, text);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("mailbox-unknown"), "{said}");
        assert!(!said.contains("joe"), "{said}");
    }
    // Line by line a person keeps the number.
    let other = String::from_utf8_lossy(text).replace("joe.doe", "zoe");
    let line = String::from_utf8_lossy(text).into_owned();
    let lines = format!("{line}\n{other}\n{line}\n");
    let output = explain(&["--mask", "--lines"], lines.as_bytes());
    let said = String::from_utf8(output.stdout).unwrap();
    let recipients: Vec<String> = said
        .lines()
        .map(|line| {
            let object: Value = serde_json::from_str(line).unwrap();
            object["recipient"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        recipients,
        ["user1@gmail.com", "user2@gmail.com", "user1@gmail.com"]
    );
    assert!(!said.contains("joe") && !said.contains("zoe"), "{said}");
}

#[test]
fn an_address_that_is_broken_or_written_as_a_page_does_is_nobodys_either() {
    let broken = b"A1B2C3D4E5: to=<joe.d\noe@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 joe.doe: no such\n user (in reply to RCPT TO command))";
    let page = b"&lt;joe&#64;example.org&gt;: host mx.example.org[192.0.2.1] said: 550 5.1.1 &lt;joe&#64;example.org&gt; unknown user (in reply to RCPT TO command)";
    for text in [&broken[..], page] {
        for form in [&["--mask"][..], &["--mask", "--json"]] {
            let output = explain(form, text);
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains("user1@example.org"), "{said}");
            assert!(!said.contains("joe"), "{said}");
        }
    }
}

#[test]
fn a_code_that_is_no_cause_is_told_from_a_text() {
    for (code, hint) in [
        ("chroot-dnss", "did you mean `mailfix explain chroot-dns`?"),
        ("jail-incomplete", "`mailfix doctor`"),
    ] {
        let output = explain(&[code], b"");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("`{code}` is no cause of refused mail");
        assert!(said.contains(&expected) && said.contains(hint), "{said}");
    }
}

#[test]
fn a_packed_file_is_told_from_a_text_that_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log.1.gz");
    std::fs::write(&path, b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    let output = explain(&["--file", path.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("is packed") && said.contains("mailfix diagnose"),
        "{said}"
    );
}
