//! `mailfix doctor` on a tree: one list of what several looks show, and only news the second time.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Snapshots, Tree, has_postfix, normalized, run};

const NOW: &str = "2026-11-25T19:30:00Z";

/// A refusal of Google's over IPv6, and a table whose index is not there.
const LOG: &str = "\
Nov 25 10:00:00 mail postfix/smtp[100]: A1B2C3D4E5: to=<bob@gmail.com>, relay=gmail-smtp-in.l.google.com[2001:db8::100]:25, delay=1, delays=0/0/1/0, dsn=5.7.1, status=bounced (host gmail-smtp-in.l.google.com[2001:db8::100] said: 550-5.7.1 [2001:db8::10      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . x1 - gsmtp (in reply to end of DATA command))
Nov 25 10:00:01 mail postfix/qmgr[90]: A1B2C3D4E5: removed
Nov 25 10:00:02 mail postfix/trivial-rewrite[101]: error: open database /etc/postfix/transport.db: No such file or directory
";

fn tree() -> Tree {
    let tree = Tree::new();
    let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/stock/linux");
    for name in ["main.cf", "master.cf"] {
        let mut text = fs::read_to_string(stock.join(name)).unwrap();
        if name == "main.cf" {
            text += "transport_maps = hash:/etc/postfix/transport\n";
        }
        tree.write(Path::new("/etc/postfix").join(name), text);
    }
    tree.write("/etc/postfix/transport", "example.net smtp:\n");
    tree.settle();
    tree.write("/var/log/mail.log", LOG);
    tree
}

#[test]
fn what_several_looks_show_is_one_list() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let root = tree.path().to_str().unwrap();
    let now = NOW.parse().unwrap();
    let words = ["doctor", "--root", root, "--offline", "--profile", "linux"];
    let shown = run(&words, now, None);
    assert_eq!(shown.status, 1, "{}", shown.stderr);
    let snapshots = Snapshots::new("doctor");
    snapshots.check("text", &normalized(&shown.stdout, tree.path()));
    let json = run(&[&words[..], &["--json"]].concat(), now, None);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let found: Vec<(&str, &str)> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["code"].as_str().unwrap(), one["harm"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [("ipv6-no-ptr", "lost"), ("hash-map-missing", "stuck")]
    );
    let missing = &json["findings"][1];
    assert_eq!(
        missing["commands"][0],
        "postmap hash:/etc/postfix/transport && postfix -c /etc/postfix reload"
    );
    let by = |one: &Value| one["by"].as_str().unwrap().to_owned();
    let by: Vec<String> = missing["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(by)
        .collect();
    assert!(by.contains(&"host".to_owned()), "{by:?}");
    snapshots.end();
}

#[test]
fn only_news_are_told_a_second_time() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let root = tree.path().to_str().unwrap();
    let now = NOW.parse().unwrap();
    let before = tree.entries();
    let words = ["doctor", "--root", root, "--offline", "--profile", "linux"];
    assert_eq!(run(&words, now, None).status, 1);
    assert_eq!(tree.entries(), before, "looking changes nothing");
    let news = || run(&[&words[..], &["--new"]].concat(), now, None);
    let first = news();
    assert_eq!(first.status, 1, "{}", first.stderr);
    assert!(
        first.stdout.contains("hash-map-missing"),
        "{}",
        first.stdout
    );
    let second = news();
    assert_eq!(
        (second.status, second.stdout.as_str()),
        (0, ""),
        "{}",
        second.stderr
    );
    tree.write("/etc/postfix/master.cf", "smtp inet n\n");
    let third = news();
    assert_eq!(third.status, 1, "{}", third.stderr);
    assert!(!third.stdout.contains("ipv6-no-ptr"), "{}", third.stdout);
}
