//! `mailfix doctor` on trees: a healthy one, several that are odd, and only news the second time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{SITE, Shown, Snapshots, Tree, binary, has_postfix, normalized, run, skip};

const NOW: &str = "2026-11-25T19:30:00Z";

/// A refusal of Google's over IPv6, and a table whose index is not there.
const LOG: &str = "\
Nov 25 10:00:00 mail postfix/smtp[100]: A1B2C3D4E5: to=<bob@gmail.com>, relay=gmail-smtp-in.l.google.com[2001:db8::100]:25, delay=1, delays=0/0/1/0, dsn=5.7.1, status=bounced (host gmail-smtp-in.l.google.com[2001:db8::100] said: 550-5.7.1 [2001:db8::10      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . x1 - gsmtp (in reply to end of DATA command))
Nov 25 10:00:01 mail postfix/qmgr[90]: A1B2C3D4E5: removed
Nov 25 10:00:02 mail postfix/trivial-rewrite[101]: error: open database /etc/postfix/transport.db: No such file or directory
";

/// A user who may do nothing.
const NOBODY: u32 = 65534;

/// A tree with the configuration that Postfix comes with.
fn stock() -> Tree {
    let tree = Tree::new();
    let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/stock/linux");
    for name in ["main.cf", "master.cf"] {
        let text = fs::read_to_string(stock.join(name)).unwrap();
        tree.write(Path::new("/etc/postfix").join(name), text);
    }
    tree
}

/// The same where nothing is wrong.
fn healthy() -> Tree {
    let tree = stock();
    tree.write("/etc/aliases", "postmaster: root\n");
    tree.build_databases(Path::new("/etc/postfix"));
    tree.write("/var/log/mail.log", "");
    tree.settle();
    tree.write(
        "/var/log/mail.log",
        "Nov 25 10:00:01 mail postfix/qmgr[90]: A1B2C3D4E5: removed\n",
    );
    tree
}

/// One with a fault that only some looks show.
fn tree() -> Tree {
    let tree = stock();
    append(
        &tree,
        "main.cf",
        "transport_maps = hash:/etc/postfix/transport\n",
    );
    tree.write("/etc/postfix/transport", "example.net smtp:\n");
    tree.settle();
    tree.write("/var/log/mail.log", LOG);
    tree
}

fn append(tree: &Tree, name: &str, text: impl AsRef<[u8]>) {
    let path = Path::new("/etc/postfix").join(name);
    let mut bytes = fs::read(tree.real(&path)).unwrap();
    bytes.extend(text.as_ref());
    tree.write(&path, bytes);
}

/// DNS as it should be for the site file.
const ZONE: &str = "\
25.2.0.192.in-addr.arpa. PTR mail.example.org.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mail.example.org.
mail.example.org. A 192.0.2.25
mail.example.org. AAAA 2001:db8::25
mail.example.org. TXT \"v=spf1 a -all\"
example.org. MX 10 mail.example.org.
example.org. TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"
_dmarc.example.org. TXT \"v=DMARC1; p=none\"
";

/// What is done to a healthy tree.
struct Odd {
    name: &'static str,
    change: fn(&Tree),
    zone: Option<&'static str>,
    status: i32,
}

const ODD: &[Odd] = &[
    Odd {
        name: "healthy",
        change: |_| {},
        zone: None,
        status: 0,
    },
    Odd {
        name: "healthy-with-site",
        change: |tree| {
            tree.write(
                "/etc/mailfix/mailfix.toml",
                SITE.replace("\"none\"", "\"self\""),
            );
        },
        zone: Some(ZONE),
        status: 0,
    },
    Odd {
        name: "no-postfix",
        change: |tree| fs::remove_dir_all(tree.real("/etc/postfix")).unwrap(),
        zone: None,
        status: 1,
    },
    Odd {
        name: "no-master",
        change: |tree| fs::remove_file(tree.real("/etc/postfix/master.cf")).unwrap(),
        zone: None,
        status: 1,
    },
    Odd {
        name: "postfix-cannot-read-it",
        change: |tree| append(tree, "main.cf", "myhostname = mail\n  .example.org\n"),
        zone: None,
        status: 1,
    },
    Odd {
        name: "bytes-of-no-text",
        change: |tree| {
            append(
                tree,
                "main.cf",
                b"\xff\xfe\n\x1b[2Jmydomain =\n # \xe9\n\texample.org\nrelayhost\n",
            );
        },
        zone: None,
        status: 1,
    },
    Odd {
        name: "no-log",
        change: |tree| fs::remove_file(tree.real("/var/log/mail.log")).unwrap(),
        zone: None,
        status: 0,
    },
    Odd {
        name: "empty-log",
        change: |tree| tree.write("/var/log/mail.log", ""),
        zone: None,
        status: 0,
    },
    Odd {
        name: "old-log",
        change: |tree| {
            let old = LOG
                .replace("Nov 25", "2026-10-25")
                .replace(" 10:00", "T10:00");
            tree.write("/var/log/mail.log", old);
        },
        zone: None,
        status: 0,
    },
    Odd {
        name: "dead-dns",
        change: |tree| tree.write("/etc/mailfix/mailfix.toml", SITE),
        zone: Some(
            "$SERVFAIL 25.2.0.192.in-addr.arpa.\n\
             $SERVFAIL 5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.\n\
             $SERVFAIL mail.example.org.\n$SERVFAIL example.org.\n$SERVFAIL _dmarc.example.org.\n",
        ),
        status: 75,
    },
    Odd {
        name: "hostile-dns",
        change: |tree| tree.write("/etc/mailfix/mailfix.toml", SITE),
        zone: Some(
            "25.2.0.192.in-addr.arpa. PTR \\027[2Jmail.example.org.\n\
             5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR x\\096y\\.z.example.\n\
             mail.example.org. CNAME mail.example.org.\n\
             example.org. MX 10 \\000.\n\
             example.org. TXT \"v=spf1 include:example.org \\027]0;x\\007 +all\"\n\
             _dmarc.example.org. TXT \"v=DMARC1; p=\\226\\128\\174reject; rua=mailto:a@b!0\"\n",
        ),
        status: 1,
    },
    Odd {
        name: "several-instances",
        change: |tree| {
            append(
                tree,
                "main.cf",
                "multi_instance_directories = /etc/postfix-out, /etc/postfix-gone\n",
            );
            for name in ["main.cf", "master.cf"] {
                let text = fs::read_to_string(tree.real(Path::new("/etc/postfix").join(name)));
                let mut text = text.unwrap().replace("multi_instance_directories", "#");
                if name == "main.cf" {
                    text += "multi_instance_name = postfix-out\ntransport_maps = hash:$config_directory/t\n";
                }
                tree.write(Path::new("/etc/postfix-out").join(name), text);
            }
            tree.write("/etc/postfix-out/t", "example.net smtp:\n");
        },
        zone: None,
        status: 1,
    },
];

/// All that is shown of a tree, in which nothing changes.
fn shown(tree: &Tree, zone: Option<&str>) -> Shown {
    let before = tree.entries();
    let root = tree.path().to_str().unwrap();
    let mut words = vec!["doctor", "--root", root, "--profile", "linux"];
    words.extend(zone.is_none().then_some("--offline"));
    let shown = run(&words, NOW.parse().unwrap(), zone);
    assert_eq!(tree.entries(), before, "looking changes nothing");
    shown
}

#[test]
fn whatever_a_host_is_like_it_is_said_in_one_list() {
    if !has_postfix() {
        return;
    }
    let snapshots = Snapshots::new("doctor");
    let all = ODD.iter().map(|odd| {
        let tree = healthy();
        (odd.change)(&tree);
        (odd.name, tree, odd.zone, odd.status)
    });
    for (name, tree, zone, status) in all.chain([("text", self::tree(), None, 1)]) {
        let shown = shown(&tree, zone);
        assert_eq!(shown.status, status, "{name}: {shown}");
        let text = normalized(&shown.to_string(), tree.path());
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(text.chars().all(is_plain), "{name}: {text:?}");
        for line in text.lines().filter(|line| !line.starts_with("    $ ")) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        snapshots.check(name, &text);
    }
    snapshots.end();
}

#[test]
fn who_may_not_read_it_is_told_so_and_by_whom_it_can_be_read() {
    if !has_postfix() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can be somebody else");
    }
    let tree = healthy();
    let set = |path: &str, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(tree.real(path), mode).unwrap();
    };
    set("/", 0o755);
    let shown = || {
        let root = tree.path().to_str().unwrap();
        let words = ["doctor", "--root", root, "--profile", "linux", "--offline"];
        let mut command = binary(Path::new("/"), &words);
        let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
        Shown::from(output)
    };
    set("/var/log/mail.log", 0o640);
    let without_log = shown();
    assert_eq!(without_log.status, 0, "{without_log}");
    assert!(
        without_log.stdout.contains("Permission denied"),
        "{without_log}"
    );
    assert!(
        !without_log.stderr.contains("nothing is wrong\n"),
        "{without_log}"
    );
    assert!(without_log.stderr.contains("sudo"), "{without_log}");
    set("/etc/postfix/main.cf", 0o600);
    let without_main = shown();
    assert_eq!(without_main.status, 75, "{without_main}");
    let all = without_main.to_string();
    assert!(
        all.contains("the configuration could not be looked at"),
        "{all}"
    );
}

#[test]
fn what_several_looks_show_is_one_finding() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let root = tree.path().to_str().unwrap();
    let words = [
        "doctor",
        "--root",
        root,
        "--offline",
        "--profile",
        "linux",
        "--json",
    ];
    let json = run(&words, NOW.parse().unwrap(), None);
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

/// Runs the daily look as it is installed; several at once if so many are asked for.
fn news(tree: &Tree, several: usize) -> Vec<Shown> {
    let root = tree.path().to_str().unwrap();
    let words = [
        "doctor",
        "--new",
        "--root",
        root,
        "--profile",
        "linux",
        "--offline",
    ];
    let spawned = (0..several).map(|_| {
        let mut command = binary(Path::new("/"), &words);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    });
    let running: Vec<_> = spawned.collect();
    let ended = running.into_iter().map(Child::wait_with_output);
    ended.map(|output| Shown::from(output.unwrap())).collect()
}

#[test]
fn several_daily_looks_at_once_tell_everything_once() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    // The log of the others is of a day that the clock of this machine does not know.
    fs::remove_file(tree.real("/var/log/mail.log")).unwrap();
    let told = news(&tree, 4);
    let all: String = told.iter().map(|one| one.stdout.as_str()).collect();
    assert_eq!(all.matches("[hash-map-missing]").count(), 1, "{told:#?}");
    assert_eq!(
        told.iter().filter(|one| one.status == 1).count(),
        1,
        "{told:#?}"
    );
    assert!(told.iter().all(|one| one.stderr.is_empty()), "{told:#?}");
    append(
        &tree,
        "main.cf",
        "virtual_alias_maps = hash:/etc/postfix/gone\n",
    );
    let told = news(&tree, 4);
    let is_told = |one: &&Shown| one.stdout.contains("/etc/postfix/gone");
    assert_eq!(told.iter().filter(is_told).count(), 1, "{told:#?}");
    assert!(news(&tree, 1)[0].stdout.is_empty());
}

#[test]
fn what_cannot_be_noted_is_told_all_the_same() {
    if !has_postfix() {
        return;
    }
    for in_the_way in ["/var/lib/mailfix", "/var/lib/mailfix/doctor"] {
        let tree = tree();
        fs::remove_file(tree.real("/var/log/mail.log")).unwrap();
        tree.write(in_the_way, "");
        for _ in 0..2 {
            let told = news(&tree, 1).remove(0);
            assert_eq!(told.status, 1, "{told}");
            assert!(told.stdout.contains("[hash-map-missing]"), "{told}");
            assert!(
                told.stderr.contains("what was told cannot be noted"),
                "{told}"
            );
        }
    }
    // What is noted by a newer mailfix, or is broken, says nothing; it is begun anew.
    let tree = tree();
    fs::remove_file(tree.real("/var/log/mail.log")).unwrap();
    tree.write("/var/lib/mailfix/doctor/told.json", "{");
    let told = news(&tree, 1).remove(0);
    assert!(told.stdout.contains("[hash-map-missing]"), "{told}");
    assert!(told.stderr.contains("it is begun anew"), "{told}");
    assert!(news(&tree, 1)[0].stdout.is_empty());
}

#[test]
fn nobodys_address_is_shown_where_that_is_asked() {
    if !has_postfix() {
        return;
    }
    let tree = healthy();
    let refused = "550 5.7.1 <ann.lee@gmail.com>: ann.lee is not wanted, ask joe@example.net \
                   about zen.spamhaus.org";
    tree.write(
        "/var/log/mail.log",
        format!(
            "Nov 25 10:00:00 mail postfix/smtp[100]: A1B2C3D4E5: to=<ann.lee@gmail.com>, \
             relay=mx.example.net[192.0.2.66]:25, delay=1, delays=0/0/1/0, dsn=5.7.1, \
             status=bounced (host mx.example.net[192.0.2.66] said: {refused} (in reply to RCPT \
             TO command))\n"
        ),
    );
    let root = tree.path().to_str().unwrap();
    for form in [&[][..], &["--json"]] {
        let words = [
            "doctor",
            "--root",
            root,
            "--offline",
            "--profile",
            "linux",
            "--mask",
        ];
        let shown = run(&[&words, form].concat(), NOW.parse().unwrap(), None);
        assert_eq!(shown.status, 1, "{shown}");
        assert!(shown.stdout.contains("user1@gmail.com"), "{shown}");
        assert!(shown.stdout.contains("user2@example.net"), "{shown}");
        assert!(!shown.stdout.contains("lee"), "{shown}");
        assert!(!shown.stdout.contains("joe"), "{shown}");
    }
}
