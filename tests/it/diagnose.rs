//! What `mailfix diagnose` makes of logs: what it prints, and counts against logs of known truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::made::{Failures, Family, Kind, Shape};
use crate::stats::{make, shape};
use crate::support::{SITE, Snapshots, Tree, binary, has_postfix, normalized};

/// A log with one of each.
const LOG: &[u8] = include_bytes!("../diagnose/mail.log");

fn touch(path: &Path) {
    // Lines without a year are of this one.
    let touched = Command::new("touch")
        .args(["-d", "2026-04-01T00:00:00Z"])
        .arg(path)
        .status();
    assert!(touched.unwrap().success());
}

fn diagnose(folder: &Path, words: &[&str]) -> (String, String, i32) {
    let words: Vec<&str> = ["diagnose"].iter().chain(words).copied().collect();
    let output = binary(folder, &words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap(),
    )
}

#[test]
fn what_is_found_is_told_at_a_terminals_width() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    fs::write(&path, LOG).unwrap();
    touch(&path);
    let snapshots = Snapshots::new("cli/diagnose");
    for (name, words, status) in [
        ("findings", &["mail.log", "--top", "0"][..], 1),
        ("json", &["mail.log", "--json"], 1),
        ("recipients", &["mail.log", "--recipients"], 0),
        ("recipients-csv", &["mail.log", "--recipients", "--csv"], 0),
        (
            "recipients-json",
            &["mail.log", "--recipients", "--json"],
            0,
        ),
        (
            "span",
            &[
                "mail.log",
                "--since",
                "2026-03-03T10:03",
                "--until",
                "2026-03-03T10:12",
            ],
            0,
        ),
    ] {
        let (out, err, code) = diagnose(folder.path(), words);
        assert_eq!(code, status, "{name}: {err}");
        assert!(!out.contains('\x1b'), "{name}");
        if !words.iter().any(|word| ["--json", "--csv"].contains(word)) {
            for line in out.lines().chain(err.lines()) {
                let is_address = line.starts_with("    ") && line.contains('@');
                assert!(line.chars().count() <= 80 || is_address, "{name}: {line}");
            }
        }
        let shown = normalized(&format!("{out}{err}"), folder.path());
        snapshots.check(
            name,
            &format!("$ mailfix diagnose {}\n{shown}", words.join(" ")),
        );
    }
    snapshots.end();
}

/// What `--json` tells, in the terms of a made-up log: a group is of an instance, not of a program.
fn failures(diagnosis: &Value) -> BTreeMap<Kind, Failures> {
    let mut all: BTreeMap<Kind, Failures> = BTreeMap::new();
    for group in diagnosis["groups"].as_array().unwrap() {
        let text = |name: &str| group[name].as_str();
        let program = || text("program").unwrap().split('/').next();
        let kind = Kind {
            provider: text("provider").unwrap().to_owned().leak(),
            cause: text("code").unwrap().to_owned().leak(),
            family: match text("protocol") {
                Some("IPv4") => Family::V4,
                Some("IPv6") => Family::V6,
                Some(other) => panic!("{other} is no protocol"),
                None => Family::None,
            },
            from: text("address").or_else(program).unwrap().to_owned(),
            is_detour: group["detour"] == true,
        };
        let number = |value: &Value| value.as_u64().unwrap();
        let ends = &group["ends"];
        let failures = Failures {
            tries: number(&group["tries"]),
            messages: number(&group["messages"]),
            recipients: number(&group["recipients"]),
            delivered: number(&ends["delivered"]),
            waiting: number(&ends["waiting"]),
            given_up: number(&ends["given_up"]),
            elsewhere: number(&ends["elsewhere"]),
        };
        let of_domains = group["domains"].as_array().unwrap().iter();
        let of_domains: u64 = of_domains.map(|one| number(&one["recipients"])).sum();
        let all_domains = of_domains + number(&group["further"]);
        assert_eq!(all_domains, failures.recipients, "{group}");
        assert_eq!(all.insert(kind, failures), None, "twice: {group}");
    }
    all
}

#[test]
fn counts_are_true_in_every_form_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    for (iso, long_ids) in [(false, false), (true, false), (false, true), (true, true)] {
        let shape = Shape {
            iso,
            long_ids,
            ..shape(100_000)
        };
        let truth = make(&path, shape);
        let (out, err, code) = diagnose(folder.path(), &["mail.log", "--json"]);
        assert_eq!(code, 1, "{err}");
        let found: Value = serde_json::from_str(&out).unwrap();
        let found = failures(&found["diagnosis"]);
        let wrong: Vec<String> = found
            .keys()
            .chain(truth.failures.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|kind| found.get(kind) != truth.failures.get(kind))
            .map(|kind| {
                let (found, truth) = (found.get(kind), truth.failures.get(kind));
                format!("{kind:?}\n  found {found:?}\n  truth {truth:?}")
            })
            .collect();
        assert!(wrong.is_empty(), "{shape:?}\n{}", wrong.join("\n"));
    }
}

#[test]
fn what_the_log_asks_for_is_put_into_the_site_file() {
    if !has_postfix() {
        return;
    }
    let profile = mailfix::profile::Profile::built_in("linux").expect("it is one of ours");
    let tree = Tree::new();
    tree.write("/etc/postfix/main.cf", profile.stock.main_cf);
    tree.write("/etc/postfix/master.cf", profile.stock.master_cf);
    tree.write("/etc/aliases", "root: admin@example.org\n");
    let site = format!(
        "{SITE}\n# we thought we knew better\n[providers.google]\nipv6 = \"keep\" # for now\n"
    );
    tree.write("/etc/mailfix/mailfix.toml", &site);
    tree.write("/mail.log", LOG);
    tree.build_databases(Path::new("/etc/postfix"));
    tree.settle();
    touch(&tree.real("/mail.log"));
    let run = |words: &[&str]| {
        let all = ["--root", ".", "--profile", "linux", "--offline"];
        let words: Vec<&str> = words.iter().copied().chain(all).collect();
        let output = binary(tree.path(), &words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        (normalized(&text, tree.path()), output.status.code())
    };
    let snapshots = Snapshots::new("cli/diagnose-plan");
    let (shown, status) = run(&["diagnose", "--plan", "mail.log"]);
    assert_eq!(status, Some(0), "{shown}");
    snapshots.check("shown", &shown);
    let file = || fs::read_to_string(tree.real("/etc/mailfix/mailfix.toml")).unwrap();
    assert_eq!(file(), site, "nobody agreed");
    let (planned, status) = run(&["plan", "--from-log", "mail.log"]);
    assert_eq!(status, Some(0), "{planned}");
    assert!(planned.contains("ipv6 = \"avoid\" # for now"), "{planned}");
    let (done, status) = run(&["diagnose", "--plan", "mail.log", "--yes"]);
    assert_eq!(status, Some(0), "{done}");
    assert_eq!(file(), site.replace("\"keep\"", "\"avoid\""));
    // Once it is done the log asks for nothing more.
    let (again, status) = run(&["diagnose", "--plan", "mail.log"]);
    assert_eq!(status, Some(0), "{again}");
    assert!(!again.contains("mailfix.toml shall say"), "{again}");
    snapshots.end();
}
