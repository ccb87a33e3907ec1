//! Counts of `mailfix stats` against logs whose truth is known.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::binary;

#[path = "../make_log/log.rs"]
mod made;

use made::{Ends, Shape, Truth};

/// Makes a log and the truth of it.
fn make(path: &Path, shape: Shape) -> Truth {
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

fn shape(lines: u64) -> Shape {
    Shape {
        lines,
        iso: false,
        long_ids: false,
        open: 300,
        seed: 11,
    }
}

fn stats(folder: &Path, words: &[&str]) -> Value {
    let words: Vec<&str> = ["stats", "--json", "--top", "0"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let output = binary(folder, &words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["stats"].take()
}

fn ends(row: &Value) -> Ends {
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
