//! Counts of `mailfix stats` against logs whose truth is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::made::{self, Ends, Shape, Truth};
use crate::support::{Tree, binary, has_postfix, skip};

/// Makes a log and the truth of it.
pub fn make(path: &Path, shape: Shape) -> Truth {
    let mut bytes = Vec::new();
    let truth = made::write(shape, &mut bytes).unwrap();
    fs::write(path, bytes).unwrap();
    // Lines without a year are of this one, or else of the last; the log ends in March.
    let touched = Command::new("touch")
        .args(["-d", "2026-04-01T00:00:00Z"])
        .arg(path)
        .status();
    assert!(touched.unwrap().success());
    truth
}

pub fn shape(lines: u64) -> Shape {
    Shape {
        lines,
        iso: false,
        long_ids: false,
        open: 300,
        seed: 11,
    }
}

pub fn stats(folder: &Path, words: &[&str]) -> Value {
    let words: Vec<&str> = ["stats", "--json", "--top", "0"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let output = binary(folder, &words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["stats"].take()
}

pub fn ends(row: &Value) -> Ends {
    let count = |name: &str| row[name].as_u64().unwrap();
    Ends {
        sent: count("sent"),
        deferred: count("deferred"),
        bounced: count("bounced"),
    }
}

/// The rows of one way to tell deliveries apart, by name.
fn rows(stats: &Value, by: &str) -> BTreeMap<String, Ends> {
    let rows = stats["by"][by]["rows"].as_array().unwrap();
    let named = rows
        .iter()
        .map(|row| (row["name"].as_str().unwrap().to_owned(), ends(row)));
    named.collect()
}

fn owned<K: ToString>(truth: &BTreeMap<K, Ends>) -> BTreeMap<String, Ends> {
    truth
        .iter()
        .map(|(name, ends)| (name.to_string(), *ends))
        .collect()
}

/// Whatever else a catalogue may know, what the log's truth calls Google is Google's.
fn check(found: &Value, truth: &Truth) {
    assert_eq!(rows(found, "instance"), owned(&truth.instances));
    assert_eq!(rows(found, "domain"), owned(&truth.domains));
    assert_eq!(rows(found, "provider"), owned(&truth.providers));
    assert_eq!(found["not_understood"], 0);
    let of_hours = found["all"]["hours"].as_array().unwrap();
    let of_hours: Vec<Ends> = of_hours.iter().map(ends).collect();
    let expected: Vec<Ends> = truth.hours.values().copied().collect();
    assert_eq!(of_hours, expected);
    let total: u64 = truth.instances.values().map(|ends| ends.total()).sum();
    assert_eq!(found["all"]["total"], total);
}

#[test]
fn counts_are_true_in_every_form_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    for (iso, long_ids) in [(false, false), (true, false), (false, true), (true, true)] {
        let truth = make(
            &path,
            Shape {
                iso,
                long_ids,
                ..shape(100_000)
            },
        );
        check(&stats(folder.path(), &["mail.log"]), &truth);
    }
}

#[test]
fn packed_and_piped_logs_give_the_same_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    let truth = make(
        &path,
        Shape {
            iso: true,
            ..shape(30_000)
        },
    );
    let plain = stats(folder.path(), &["mail.log"]);
    check(&plain, &truth);
    for (program, end) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let Ok(packed) = Command::new(program).arg("-kq").arg(&path).status() else {
            println!("skipped: `{program}` is not installed");
            assert!(std::env::var_os("CI").is_none(), "`{program}` is missing");
            continue;
        };
        assert!(packed.success());
        let name = format!("mail.log.{end}");
        assert_eq!(stats(folder.path(), &[&name]), plain, "{name}");
    }
    let output = binary(folder.path(), &["stats", "--json", "--top", "0", "-"])
        .stdin(fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    let piped: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(piped["stats"], plain);
}

#[test]
fn a_span_of_time_is_cut_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    let truth = make(&path, shape(100_000));
    let span = ["--since", "2026-03-03T00:00", "--until", "2026-03-03 01:00"];
    let words: Vec<&str> = span.into_iter().chain(["mail.log"]).collect();
    let found = stats(folder.path(), &words);
    assert_eq!(ends(&found["all"]), truth.hours[&0]);
    assert!(truth.hours.len() > 1);
}

#[test]
fn the_other_forms_have_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    let truth = make(&path, shape(20_000));
    let text = |words: &[&str]| {
        let words: Vec<&str> = ["stats"]
            .iter()
            .chain(words)
            .chain(&["mail.log"])
            .copied()
            .collect();
        let output = binary(folder.path(), &words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = text(&["--plain"]);
    let csv = text(&["--csv", "--by", "instance"]);
    text(&["--openmetrics", "metrics.prom", "--html", "page.html"]);
    let metrics = fs::read_to_string(folder.path().join("metrics.prom")).unwrap();
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    for (name, ends) in &truth.instances {
        let (total, bounced) = (ends.total(), ends.bounced);
        let block = format!(
            "{name}:total:{total}\n{name}:bounced:{bounced}\n{name}:deferred:{}\n{name}:sent:{}\n",
            ends.deferred, ends.sent
        );
        assert!(plain.contains(&block), "{plain}");
        let line = format!(
            "instance,{name},{total},{},{},{bounced},",
            ends.sent, ends.deferred
        );
        assert!(csv.contains(&line), "{csv}");
        let of_instance = |line: &&str| {
            line.contains(&format!("instance=\"{name}\"")) && line.contains("status=\"sent\"")
        };
        let counted: u64 = metrics
            .lines()
            .filter(of_instance)
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(counted, ends.sent);
        assert!(page.contains(&format!("<td>{name}</td>")));
    }
    assert!(metrics.ends_with("# EOF\n"));
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
}

/// A host with two instances, one of which has a service of another name.
fn several_instances() -> Tree {
    let tree = Tree::new();
    let main = "compatibility_level = 3.6\nmyhostname = mail.example.org\ninet_protocols = all\n";
    let master = include_str!("../../profiles/stock/linux/master.cf");
    tree.write(
        "/etc/postfix/main.cf",
        format!(
            "{main}smtp_bind_address = 192.0.2.10\nmulti_instance_enable = yes\n\
             multi_instance_directories = /etc/postfix-msn-a\n"
        ),
    );
    tree.write(
        "/etc/postfix/master.cf",
        format!(
            "{master}slow unix - - n - - smtp\n  -o syslog_name=postfix/$service_name\n  \
             -o smtp_bind_address=192.0.2.12\n"
        ),
    );
    tree.write(
        "/etc/postfix-msn-a/main.cf",
        format!("{main}multi_instance_name = postfix-msn-a\nsmtp_bind_address = 192.0.2.11\nsmtp_bind_address6 = 2001:db8::11\n"),
    );
    tree.write("/etc/postfix-msn-a/master.cf", master);
    tree.write("/etc/hostname", "node7\n");
    let mut log = String::new();
    for (host, name, relay, status) in [
        (
            "node7",
            "postfix",
            "mx.example.org[198.51.100.7]:25",
            "sent (250 ok)",
        ),
        (
            "node7",
            "postfix",
            "mx.example.org[2001:db8:9::7]:25",
            "sent (250 ok)",
        ),
        (
            "node7",
            "postfix",
            "127.0.0.1[127.0.0.1]:10024",
            "sent (250 ok)",
        ),
        (
            "node7",
            "postfix",
            "none",
            "deferred (connect to mx.example.org[198.51.100.7]:25: Connection refused)",
        ),
        (
            "mail",
            "postfix/slow",
            "mx.example.org[198.51.100.7]:25",
            "sent (250 ok)",
        ),
        (
            "mail",
            "postfix-msn-a",
            "mx.example.org[198.51.100.7]:25",
            "sent (250 ok)",
        ),
        (
            "mail",
            "postfix-msn-a",
            "mx.example.org[2001:db8:9::7]:25",
            "bounced (host mx.example.org[2001:db8:9::7] said: 550 no (in reply to RCPT TO command))",
        ),
        (
            "web",
            "postfix-msn-a",
            "mx.example.org[2001:db8:9::7]:25",
            "sent (250 ok)",
        ),
    ] {
        writeln!(
            log,
            "2026-03-01T10:00:00+00:00 {host} {name}/smtp[9]: A1B2C3: to=<a@example.org>, \
             relay={relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, status={status}"
        )
        .unwrap();
    }
    tree.write("/var/log/mail.log", log);
    tree.settle();
    tree
}

#[test]
fn deliveries_are_counted_by_the_address_they_left_from() {
    if !has_postfix() {
        return;
    }
    let tree = several_instances();
    let root = tree.path().to_str().unwrap();
    let words = [
        "stats",
        "--root",
        root,
        "--profile",
        "linux",
        "--by",
        "source",
    ];
    let run = |more: &[&str]| {
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let output = binary(tree.path(), &words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (csv, said) = run(&[
        "--csv",
        "--openmetrics",
        "metrics.prom",
        "--html",
        "page.html",
    ]);
    let lines: Vec<&str> = csv.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "source,none,2,1,1,0,0.992,0.992",
            "source,unknown IPv6,2,2,0,0,0.992,0.992",
            "source,192.0.2.10,1,1,0,0,0.992,0.992",
            "source,192.0.2.11,1,1,0,0,0.992,0.992",
            "source,192.0.2.12,1,1,0,0,0.992,0.992",
            "source,2001:db8::11,1,0,0,1,,",
        ]
    );
    assert_eq!(
        said,
        "note: of lines that another machine wrote (`web`) only replies tell the address\n"
    );
    let (json, _) = run(&["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let found = rows(&json["stats"], "source");
    assert_eq!(found["unknown IPv6"].sent, 2);
    assert_eq!(found.len(), 6);
    let metrics = fs::read_to_string(tree.path().join("metrics.prom")).unwrap();
    let line = "instance=\"postfix/slow\",provider=\"other\",protocol=\"IPv4\",source=\"192.0.2.12\",status=\"sent\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let page = fs::read_to_string(tree.path().join("page.html")).unwrap();
    assert!(page.contains("<td>2001:db8::11</td>"));
}

#[test]
fn rotations_from_before_the_span_are_not_opened() {
    let tree = Tree::new();
    let now = Command::new("date").arg("-Iseconds").output().unwrap();
    let now = String::from_utf8(now.stdout).unwrap();
    let line = "m postfix/smtp[9]: A1B2C3: to=<a@example.org>, relay=none, delay=1, delays=0/0/0/1, \
                dsn=4.4.1, status=deferred (no)";
    tree.write("/var/log/mail.log", format!("{} {line}\n", now.trim()));
    // What claims to be packed and is not cannot be read.
    tree.write(
        "/var/log/mail.log.2.gz",
        b"\x1f\x8bbroken, and long enough to be looked at",
    );
    let aged = |age: &str| {
        let mut touched = Command::new("touch");
        touched
            .args(["-d", age])
            .arg(tree.real("/var/log/mail.log.2.gz"));
        let touched = touched.status();
        assert!(touched.unwrap().success());
    };
    let run = |more: &[&str]| {
        let root = tree.path().to_str().unwrap();
        let words = ["stats", "--root", root, "--profile", "linux", "--plain"];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        binary(tree.path(), &words).output().unwrap()
    };
    aged("5 days ago");
    let found = run(&["--since", "2d"]);
    assert!(found.status.success(), "{found:?}");
    assert!(found.stdout.starts_with(b"postfix:total:1\n"), "{found:?}");
    assert!(!run(&[]).status.success());
    aged("1 day ago");
    assert!(!run(&["--since", "2d"]).status.success());
}

/// Reads an exposition as Prometheus does: in its own format, as the textfile collector of a node
/// exporter, and as OpenMetrics. Gives a line of labels and value for each sample.
const PARSE: &str = r#"
import sys
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as classic
text = sys.stdin.read()
def lines(families):
    families = list(families)
    told = [(one.name, one.type, one.documentation != "") for one in families]
    assert told == [("mailfix_deliveries", "gauge", True)], told
    return sorted(
        f"{sample.labels!r} {int(sample.value)}"
        for family in families for sample in family.samples
        if sample.name == "mailfix_deliveries")
new = lines(openmetrics.text_string_to_metric_families(text))
old = lines(classic.text_string_to_metric_families(text))
assert new == old, (new, old)
print("\n".join(new))
"#;

#[test]
fn prometheus_reads_what_is_written_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = |tag: &str, number: u32| {
        format!(
            "2026-03-03T10:00:00+00:00 m {tag}/smtp[9]: A1B2C3{number}: to=<a@gmail.com>, \
             relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, \
             status=sent (250 ok)\n"
        )
    };
    // A name that is anybody's to choose.
    let log = line("postfix", 1) + &line("postfix", 2) + &line("a\"b\\c{d}\u{e9}", 3);
    fs::write(folder.path().join("mail.log"), log).unwrap();
    let words = ["stats", "mail.log", "--openmetrics", "-"];
    let output = binary(folder.path(), &words).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    // A node exporter goes by the very name: of `NAME_total` it loses what is said of `NAME`, and
    // `promtool check metrics` of Prometheus 2.42 complains of a metric without help.
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let names = |begin: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(begin));
        let lines = lines.filter(|line| !line.starts_with('#'));
        let until = |line: &str| line.split([' ', '{']).next().unwrap().to_owned();
        lines.map(until).collect()
    };
    assert_eq!(names(""), names("# TYPE "));
    assert_eq!(names(""), names("# HELP "));
    let is_there = Command::new("/usr/bin/python3")
        .args(["-c", "import prometheus_client.openmetrics.parser"])
        .output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        return skip("no Python package `prometheus_client`");
    }
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(&output.stdout)
        .unwrap();
    let parsed = python.wait_with_output().unwrap();
    assert!(parsed.status.success());
    let parsed = String::from_utf8(parsed.stdout).unwrap();
    let sent: Vec<&str> = parsed
        .lines()
        .filter(|line| line.contains("'sent'"))
        .collect();
    assert_eq!(
        sent,
        [
            "{'instance': 'a\"b\\\\c{d}\u{e9}', 'provider': 'google', 'protocol': 'IPv4', 'status': 'sent'} 1",
            "{'instance': 'postfix', 'provider': 'google', 'protocol': 'IPv4', 'status': 'sent'} 2",
        ]
    );
}

#[test]
fn several_ways_to_tell_apart_are_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let log = "2026-03-03T10:00:00+00:00 m =cmd|x,\"y/smtp[9]: A1B2C3: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=2, delays=0/0/0/2, dsn=2.0.0, status=sent (250 ok)\n";
    fs::write(folder.path().join("mail.log"), log).unwrap();
    let words = [
        "stats",
        "mail.log",
        "--csv",
        "--by",
        "protocol,hour,instance,source",
    ];
    let output = binary(folder.path(), &words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // RFC 4180, and no field that a spreadsheet would run.
    assert_eq!(
        text.lines().skip(1).collect::<Vec<_>>(),
        [
            "protocol,IPv4,1,1,0,0,1.984,1.984",
            "hour,2026-03-03 10,1,1,0,0,,",
            "instance,\"'=cmd|x,\"\"y\",1,1,0,0,1.984,1.984",
            "source,unknown IPv4,1,1,0,0,1.984,1.984",
        ]
    );
}
