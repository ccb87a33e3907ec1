//! `mailfix explain`: texts as people paste them, codes, and lines for programs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mailfix::cause::Cause;
use mailfix::diagnose::Knowledge;
use mailfix::doctor::ailment::Ailment;
use mailfix::meaning::Meaning;
use mailfix::remedy_sheet::RemedyId;
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
        ("finding", &["jail-incomplete"]),
        ("remedy", &["ipv4-transport"]),
        ("receiver", &["t-online"]),
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
fn whatever_stands_on_a_line_it_gets_one_object() {
    let long = "x".repeat(5 * 1024 * 1024);
    let lines: [&[u8]; 14] = [
        b"",
        b"\"",
        b"\"550 5.1.1 \\ud800 no\"",
        b"\"550 5.1.1 user unknown",
        b"{\"a\": 1}",
        b"[1]",
        b"null",
        b"12",
        b"\0\0",
        b"\"a\\u0000\\u001b[31m\"",
        b"\xff\xfe",
        b"  \r",
        long.as_bytes(),
        b"\"550 5.1.1 user unknown\"",
    ];
    let output = explain(&["--lines", "--json"], &lines.join(&b'\n'));
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&0));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), lines.len());
    for one in &found {
        for field in [
            "provider",
            "cause",
            "code",
            "enhanced",
            "confidence",
            "remedy",
        ] {
            assert!(one.get(field).is_some(), "{field}: {one}");
        }
    }
    assert_eq!(found[13]["cause"], "mailbox-unknown");
    assert_eq!(explain(&["--lines", "--json"], b"").stdout, b"");
}

#[test]
fn a_line_is_answered_before_the_next_is_asked() {
    let tree = Tree::new();
    let words = ["explain", "--root", ".", "--lines"];
    let mut child = binary(tree.path(), &words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for (line, cause) in [
        ("421 4.7.28 an unusual rate of email", "rate-limited"),
        ("status=sent (250 ok)", "delivered"),
    ] {
        writeln!(stdin, "{line}").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["cause"], cause);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn bounces_of_all_systems_are_read() {
    let knowledge = Knowledge::built_in();
    for (name, provider, cause, recipient) in [
        ("postfix", "google", "ipv6-no-ptr", "bob@gmail.com"),
        (
            "postfix-delay",
            "microsoft-consumer",
            "ip-reputation",
            "bob@outlook.com",
        ),
        ("postfix-ja", "google", "mailbox-full", "bob@gmail.com"),
        ("exim", "unitedinternet", "no-ptr", "bob@gmx.de"),
        ("sendmail", "yahoo", "content-spam", "bob@yahoo.com"),
        ("qmail", "t-online", "ip-blocklist", "bob@t-online.de"),
        (
            "qmail2",
            "microsoft-consumer",
            "mailbox-unknown",
            "bob@hotmail.com",
        ),
        (
            "exchange",
            "microsoft-eop",
            "mailbox-unknown",
            "bob@contoso.example",
        ),
        ("exchange2", "microsoft-eop", "relay-denied", ""),
        ("gmail", "unitedinternet", "no-ptr", "bob@gmx.de"),
        ("gmail2", "google", "mailbox-unknown", "bob@gmail.com"),
        ("service", "apple", "domain-blocklist", "bob@icloud.com"),
    ] {
        let found = mailfix::explain::explain(&knowledge, &text(&format!("bounces/{name}")));
        let sighting = found.sighting().unwrap();
        assert_eq!(
            (
                found.provider.unwrap_or_default(),
                found.cause.map_or("", |cause| &cause.code),
                sighting.recipient.as_deref().unwrap_or_default(),
            ),
            (provider, cause, recipient),
            "{name}"
        );
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

/// Words of our own code that are joined by `-`: as codes are written.
fn words_like_codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2).filter(|word| {
        let mut parts = word.split('-');
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        word.contains('-') && parts.all(is_part) && !word.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The codes of the findings that a source file makes: what stands where a finding is made, and
/// where that is no text, every text of the file that is written like a code.
fn codes_in(source: &str) -> Vec<String> {
    let body = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut codes = Vec::new();
    let mut named_elsewhere = false;
    for severity in ["error", "warning", "note", "new"] {
        let mark = format!("Finding::{severity}(");
        for arguments in body.split(&mark).skip(1) {
            let mut arguments = arguments.trim_start();
            if severity == "new" {
                let (_, rest) = arguments.split_once(',').unwrap();
                arguments = rest.trim_start();
            }
            match arguments.strip_prefix('"') {
                Some(rest) => codes.push(rest.split('"').next().unwrap().to_owned()),
                None => named_elsewhere = true,
            }
        }
    }
    for arguments in body.split("unknown(").skip(1) {
        if let Some(rest) = arguments.trim_start().strip_prefix('"') {
            codes.push(rest.split('"').next().unwrap().to_owned());
        }
    }
    if named_elsewhere {
        codes.extend(words_like_codes(body).map(str::to_owned));
    }
    codes
}

/// All files of ours below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Words in files of findings that are none of their codes.
const NO_CODES: [&str; 2] = ["mta-sts", "postfix-check"];

#[test]
fn every_code_that_is_printed_is_explained() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&home.join("src"), &mut files);
    let mut codes: BTreeSet<String> = files
        .iter()
        .flat_map(|file| codes_in(&fs::read_to_string(file).unwrap()))
        .filter(|code| !NO_CODES.contains(&code.as_str()))
        .collect();
    let ours = codes.len();
    assert!(ours > 200, "{ours} were found");
    let findings: BTreeSet<String> = Meaning::all().into_iter().map(|one| one.code).collect();
    let known = |code: &str| {
        findings.contains(code)
            || Cause::codes().any(|cause| cause == code)
            || RemedyId::of(code).is_some()
    };
    codes.extend(Ailment::all().into_iter().map(|ailment| ailment.code));
    let unknown: Vec<&String> = codes.iter().filter(|code| !known(code)).collect();
    assert!(unknown.is_empty(), "without a page: {unknown:?}");
    // What is said of other places is not left behind when a finding goes.
    let all: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let left: Vec<&String> = findings
        .iter()
        .filter(|code| !codes.contains(*code) && !all.contains(&format!("\"{code}\"")))
        .collect();
    assert!(left.is_empty(), "pages of nothing: {left:?}");
}

#[test]
fn a_code_of_ours_is_described() {
    let tree = Tree::new();
    for (code, says) in [
        ("spf-lookups", "more than ten lookups"),
        ("`swallowed-setting`", "part of the value above it"),
        ("[postfix-stopped]", "Postfix does not run"),
        ("mx-filter", "what becomes of mail"),
        ("google", "What it refuses mail for"),
        ("port25-blocked", "port 25"),
    ] {
        let output = run(binary(tree.path(), &["explain", "--root", ".", code]), b"");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.contains(says),
            "{code}: {said}"
        );
        assert!(
            said.lines().all(|line| line.chars().count() <= WIDTH),
            "{said}"
        );
    }
    let page = object(&["duplicate-key"], b"");
    assert_eq!(page["page"]["finding"], "duplicate-key");
    assert!(!steps(&page["page"]).is_empty());
}

#[test]
fn a_code_that_is_no_cause_is_told_from_a_text() {
    for (code, hint) in [
        ("chroot-dnss", "did you mean `mailfix explain chroot-dns`?"),
        ("spf-lookup", "did you mean `mailfix explain spf-lookups`?"),
        ("nothing-like-it", "codes stand in brackets"),
    ] {
        let output = explain(&[code], b"");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("`{code}` is no code that mailfix knows");
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
