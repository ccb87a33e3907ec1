//! What the program says at a terminal's width: its help, its errors, its forms for programs.
//!
//! Every run is one of the program as it is installed, in a folder of its own.

use std::path::Path;
use std::process::Output;

use crate::support::{SITE, Shown, Snapshots, Tree, binary, has_postfix, normalized};

/// What texts are folded to.
const WIDTH: usize = 80;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["init"],
    &["plan"],
    &["apply"],
    &["refresh"],
    &["undo"],
    &["history"],
    &["check"],
    &["probe"],
    &["diagnose"],
    &["explain"],
    &["stats"],
    &["collect"],
    &["profile"],
    &["profile", "list"],
    &["profile", "show"],
    &["providers"],
    &["providers", "show"],
    &["dns"],
    &["dns", "check"],
    &["dns", "push"],
    &["dns", "request"],
    &["dns", "show"],
    &["dns", "spf"],
    &["dkim"],
    &["dkim", "new"],
    &["dkim", "rotate"],
    &["completions"],
];

/// A tree with Postfix as it comes, and a site file.
fn tree(site: &str) -> Tree {
    let profile = mailfix::profile::Profile::built_in("linux").expect("it is one of ours");
    let tree = Tree::new();
    tree.write("/etc/postfix/main.cf", profile.stock.main_cf);
    tree.write("/etc/postfix/master.cf", profile.stock.master_cf);
    tree.write("/etc/aliases", "root: admin@example.org\n");
    if !site.is_empty() {
        tree.write("/etc/mailfix/mailfix.toml", site);
    }
    tree.build_databases(Path::new("/etc/postfix"));
    tree.settle();
    tree
}

/// Runs the program on a tree, in the tree's folder, with the words given and a profile.
fn output(tree: &Tree, words: &[&str]) -> Output {
    let all = ["--root", ".", "--profile", "linux", "--offline"];
    let words: Vec<&str> = words.iter().copied().chain(all).collect();
    binary(tree.path(), &words)
        .output()
        .expect("the program starts")
}

fn shown(tree: &Tree, words: &[&str]) -> Shown {
    let shown = Shown::from(output(tree, words));
    Shown {
        stdout: without_ids(&normalized(&shown.stdout, tree.path())),
        stderr: without_ids(&normalized(&shown.stderr, tree.path())),
        status: shown.status,
    }
}

/// Receipts are named after the time, `20261125T193000Z`; times are written `… 19:30:00 UTC`.
fn without_ids(text: &str) -> String {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut words = Vec::new();
    for word in text.split_inclusive([' ', '`', '"', '(', '\n']) {
        let bare = word.trim_end_matches([' ', '`', '"', '(', '\n']);
        let end = word.strip_prefix(bare).unwrap_or_default();
        let id = bare.split_once('T').is_some_and(|(day, time)| {
            day.len() == 8 && digits(day) && time.strip_suffix('Z').is_some_and(digits)
        });
        let day =
            bare.len() == 10 && bare.matches('-').count() == 2 && digits(&bare.replace('-', ""));
        let time =
            bare.len() == 8 && bare.matches(':').count() == 2 && digits(&bare.replace(':', ""));
        // RFC 3339, as programs get it.
        let both = bare.len() == 20
            && bare.split_once('T').is_some_and(|(day, time)| {
                digits(&day.replace('-', "")) && digits(&time.replace([':', 'Z'], ""))
            });
        words.push(match (id, day, time) {
            _ if both => format!("DATE-TIME{end}"),
            (true, ..) => format!("RECEIPT{end}"),
            (_, true, _) => format!("DATE{end}"),
            (.., true) => format!("TIME{end}"),
            _ => word.to_owned(),
        });
    }
    words.concat()
}

#[test]
fn help_fits_a_terminal() {
    let snapshots = Snapshots::new("cli/help");
    let folder = Tree::new();
    for command in COMMANDS {
        let words: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let output = binary(folder.path(), &words).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "too long: {line}");
        }
        let name = if command.is_empty() {
            "mailfix".to_owned()
        } else {
            command.join("-")
        };
        snapshots.check(&name, &text);
    }
    snapshots.end();
}

/// Runs the program and compares all it shows.
fn check(snapshots: &Snapshots, name: &str, tree: &Tree, words: &[&str], status: i32) {
    let shown = shown(tree, words);
    assert_eq!(shown.status, status, "{name}\n{shown}");
    snapshots.check(name, &format!("$ mailfix {}\n{shown}", words.join(" ")));
}

#[test]
fn faults_of_the_site_file_have_their_place() {
    if !has_postfix() {
        return;
    }
    let snapshots = Snapshots::new("cli/site-file");
    let check = |name: &str, tree: &Tree, words: &[&str], status| {
        check(&snapshots, name, tree, words, status);
    };
    let site = |name: &str, site: &str| check(name, &tree(site), &["plan"], 78);

    site("unknown-key", &SITE.replace("reverse6", "revers6"));
    site(
        "wrong-type",
        &SITE.replace("[\"192.0.2.25\"]", "\"192.0.2.25\""),
    );
    site(
        "duplicate-domain",
        &format!("{SITE}\n[[domain]]\nname = \"Example.org\"\n"),
    );
    site(
        "documentation-address",
        &SITE.replace("allow_non_global = true\n", ""),
    );
    site(
        "private-address",
        &SITE
            .replace("allow_non_global = true\n", "")
            .replace("192.0.2.25", "192.168.1.25"),
    );
    site("bad-syntax", &SITE.replace("[dns]", "[dns"));
    site("unknown-profile", &format!("profile = \"linus\"\n{SITE}"));
    site(
        "unknown-provider",
        &format!("{SITE}\n[providers.gogle]\nipv6 = \"avoid\"\n"),
    );
    let latin = tree(SITE);
    latin.write(
        "/etc/mailfix/mailfix.toml",
        [b"# J\xfcrgen\n", SITE.as_bytes()].concat(),
    );
    check("no-utf8", &latin, &["plan"], 78);
    check("no-site-file", &tree(""), &["plan"], 78);

    snapshots.end();
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    if !has_postfix() {
        return;
    }
    let snapshots = Snapshots::new("cli/errors");
    let check = |name: &str, tree: &Tree, words: &[&str], status| {
        check(&snapshots, name, tree, words, status);
    };
    let bare = Tree::new();
    check("no-postfix", &bare, &["check"], 1);
    bare.write("/etc/mailfix/mailfix.toml", SITE);
    check("no-postfix-to-apply-to", &bare, &["apply", "--yes"], 1);

    let good = tree(SITE);
    check("no-terminal", &good, &["apply"], 1);
    check("unknown-receipt", &good, &["undo", "20260101T000000Z"], 1);
    check("nothing-to-undo", &good, &["undo", "--yes"], 0);
    check(
        "missing-answers",
        &tree(""),
        &["init", "--no-input", "--yes"],
        1,
    );
    check(
        "unknown-answer-id",
        &tree(""),
        &["init", "--set", "hostnam=mail.example.org"],
        64,
    );
    check(
        "wrong-answer",
        &tree(""),
        &["init", "--no-input", "--domain", "example..org"],
        1,
    );
    check("unknown-command", &good, &["aply"], 64);
    check("probe-of-a-tree", &good, &["probe", "bob@example.org"], 64);
    check("unknown-flag", &good, &["plan", "--detailed"], 64);
    check("missing-subcommand", &good, &["dns"], 64);
    check("no-saved-plan", &good, &["apply", "nowhere.plan"], 64);
    good.write("/broken.plan", "{\"format\": 1,");
    check(
        "broken-saved-plan",
        &good,
        &["apply", "./broken.plan", "--yes"],
        1,
    );

    let stale = tree(SITE);
    assert_eq!(shown(&stale, &["plan", "-o", "./saved.plan"]).status, 0);
    let main = std::fs::read_to_string(stale.real("/etc/postfix/main.cf")).unwrap();
    stale.write("/etc/postfix/main.cf", format!("{main}biff = no\n"));
    check(
        "stale-saved-plan",
        &stale,
        &["apply", "./saved.plan", "--yes"],
        1,
    );

    let unreadable = tree(SITE);
    unreadable.write(
        "/etc/postfix/main.cf",
        main.replace("mail_owner = postfix", "mail_owner postfix"),
    );
    unreadable.settle();
    check("unreadable-main-cf", &unreadable, &["plan"], 1);
    check("unreadable-main-cf-checked", &unreadable, &["check"], 1);
    unreadable.write("/etc/postfix/main.cf", &main);
    unreadable.write("/etc/postfix/master.cf", "smtp inet n - n -\n");
    check("unreadable-master-cf-checked", &unreadable, &["check"], 1);

    let in_the_way = tree(SITE);
    in_the_way.write("/etc/postfix/mailfix", "");
    check("own-folder-is-a-file", &in_the_way, &["plan"], 1);
    let half = tree(SITE);
    std::fs::remove_file(half.real("/etc/postfix/master.cf")).unwrap();
    check("no-master-cf", &half, &["plan"], 1);

    assert_eq!(shown(&good, &["apply", "--yes"]).status, 0);
    check("no-terminal-for-undo", &good, &["undo"], 1);
    check(
        "undo-of-a-part-that-others-name",
        &good,
        &["undo", "--only", "/etc/postfix/master.cf", "--yes"],
        1,
    );
    good.write("/etc/postfix/mailfix/transport", "gmail.com smtp:\n");
    check("drifted-undo", &good, &["undo", "--yes"], 1);
    check(
        "unknown-file-in-receipt",
        &good,
        &["undo", "--only", "/etc/hosts", "--yes"],
        1,
    );
    snapshots.end();

    let mut command = binary(good.path(), &["--profile", "linus", "plan"]);
    let shown = Shown::from(command.output().unwrap());
    assert_eq!(shown.status, 64, "{shown}");
    assert!(shown.stderr.contains("did you mean `linux`?"), "{shown}");
}

#[test]
fn programs_get_json() {
    if !has_postfix() {
        return;
    }
    let snapshots = Snapshots::new("cli/json");
    let tree = tree(SITE);
    let check = |name: &str, words: &[&str]| {
        let shown = shown(&tree, words);
        let value: serde_json::Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
        assert_eq!(value["format"], 1);
        snapshots.check(name, &format!("$ mailfix {}\n{shown}", words.join(" ")));
    };
    check("plan", &["plan", "--json"]);
    check("dns", &["dns", "show", "--json"]);
    check("remedy", &["remedies", "mx-filter", "--json"]);
    check("history-empty", &["history", "--json"]);
    assert_eq!(shown(&tree, &["apply", "--yes"]).status, 0);
    check("history", &["history", "--json"]);
    check("plan-nothing", &["plan", "--json"]);
    let main = std::fs::read_to_string(tree.real("/etc/postfix/main.cf")).unwrap();
    tree.write(
        "/etc/postfix/main.cf",
        format!("{main}smtp_tls_securty_level = may\n"),
    );
    check("check", &["check", "--json"]);
    tree.write("/etc/mailfix/mailfix.toml", "[server\n");
    check("site-file-wrong", &["plan", "--json"]);
    tree.write("/etc/mailfix/mailfix.toml", SITE);
    snapshots.check("history-as-table", &shown(&tree, &["history"]).to_string());
    snapshots.end();
}

#[test]
fn colour_is_for_terminals_and_those_who_force_it() {
    let folder = Tree::new();
    let escapes = |name: &str, value: &str| {
        let mut command = binary(
            folder.path(),
            &["plan", "--root", ".", "--profile", "linux"],
        );
        if !name.is_empty() {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    assert!(!escapes("", ""), "nobody sees colour in a pipe");
    assert!(!escapes("NO_COLOR", "1"));
    assert!(escapes("CLICOLOR_FORCE", "1"));
}

/// The words that write files for a server elsewhere, into `out`.
const ELSEWHERE: [&str; 13] = [
    "init",
    "--no-input",
    "--yes",
    "--allow-non-global",
    "--hostname",
    "mail.example.org",
    "--ipv4",
    "192.0.2.25",
    "--ipv6=none",
    "--domain",
    "example.org",
    "--out",
    "out",
];

#[test]
fn files_for_elsewhere_replace_only_our_own() {
    let tree = Tree::new();
    tree.write("/out/records.txt", "not ours\n");
    let refused = shown(&tree, &ELSEWHERE);
    assert_eq!(refused.status, 1, "{refused}");
    assert!(
        refused
            .stderr
            .contains("`out/records.txt` is there already")
    );
    assert_eq!(
        std::fs::read(tree.real("/out/records.txt")).unwrap(),
        b"not ours\n"
    );
    assert!(!tree.real("/out/mailfix.toml").exists());

    std::fs::remove_file(tree.real("/out/records.txt")).unwrap();
    for _ in 0..2 {
        let done = shown(&tree, &ELSEWHERE);
        assert_eq!(done.status, 0, "{done}");
        // The second time it is.
        tree.write("/out/records.txt", "ours, and old\n");
    }
}

#[test]
fn a_site_file_named_in_a_tree_stays_in_the_tree() {
    let tree = Tree::new();
    tree.write("/etc/mailfix-test/site.toml", SITE);
    let words = [&ELSEWHERE[..], &["--site", "./etc/mailfix-test/site.toml"]].concat();
    let done = shown(&tree, &words);
    assert_eq!(done.status, 0, "{done}");
    let text = std::fs::read(tree.real("/etc/mailfix-test/site.toml")).unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("2001:db8::25"));
    assert!(!tree.real("/out/mailfix.toml").exists());
    assert!(!Path::new("/etc/mailfix-test").exists());
}

#[test]
fn profiles_are_shown_or_refused() {
    let tree = Tree::new();
    tree.write("/own.toml", "name = 1\n");
    for (name, status) in [
        ("linux", 0),
        ("linus", 64),
        ("./none.toml", 64),
        ("./own.toml", 78),
    ] {
        let shown = shown(&tree, &["profile", "show", name]);
        assert_eq!(shown.status, status, "{shown}");
        assert_eq!(shown.stdout.is_empty(), status != 0, "{shown}");
    }
    tree.write(
        "/own.toml",
        &shown(&tree, &["profile", "show", "linux"]).stdout,
    );
    let own = shown(&tree, &["profile", "show", "./own.toml"]);
    assert_eq!(own, shown(&tree, &["profile", "show", "linux"]));
}
