//! `mailfix providers`: what is known of receivers, as people and programs get it.

use jiff::Timestamp;
use mailfix::provider::Provider;
use serde_json::Value;

use crate::support::{Shown, Snapshots, Tree, binary, normalized, run};

/// A receiver of the administrator's own, with all there can be.
const OWN: &str = "\
name = \"Town Net\"
about = \"mail of the town's cable network\"
domains = [\"town.example\", \"net.example\"]
mx_suffixes = [\"mx.town.example\"]
mx_prefixes = [\"filter\"]
[ipv6]
ptr = true
authentication = false
why = \"over IPv6 it wants a PTR record\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[limits]
connections = 1
messages = 20
delay = \"5s\"
says = \"after a refusal half an hour of silence\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[[rule]]
what = \"spf-or-dkim\"
since = \"2025-01-01\"
says = \"one of the two passes\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[[rule]]
what = \"dmarc\"
bulk = 100
says = \"a DMARC record\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[[rule]]
what = \"unsubscribe\"
family = 6
bulk = 0
says = \"one click\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[[form]]
causes = [\"ip-blocklist\"]
place = \"mailto:postmaster@town.example\"
says = \"the whole reply, and why it should be lifted\"
source = \"https://town.example/postmaster\"
date = \"2026-08-01\"
[[signature]]
cause = \"ip-blocklist\"
sign = { has = [\"local list 7\"] }
says = \"Somebody at the desk put the address there by hand.\"
steps = [\"call the desk\"]
not = [\"a public list\"]
samples = [{ reply = \"550 local list 7 \\u001b[31m\", source = \"https://town.example/postmaster\", date = \"2026-08-01\" }]
[[signature]]
cause = \"no-ptr\"
sign = { has = [\"nameless\"] }
samples = [{ reply = \"550 go away, nameless host\", source = \"https://town.example/postmaster\", date = \"2026-08-01\" }]
[[signature]]
cause = \"ip-blocklist\"
sign = { has = [\"local list 8\"] }
samples = [{ reply = \"550 local list 8\", source = \"https://town.example/postmaster\", date = \"2026-08-01\" }]
";

const ZONE: &str = "\
hosted.example. MX 20 backup.example.
hosted.example. MX 10 a.mx.town.example.
alone.example. MX 10 mail.alone.example.
nothing.example. TXT \"x\"
";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.write("/etc/mailfix/providers/town.toml", OWN);
    tree
}

/// Runs the program on the tree, with DNS as the zone has it.
fn shown(tree: &Tree, words: &[&str]) -> Shown {
    let root = tree.path().to_str().expect("the path is text");
    let all = ["--root", root, "--profile", "linux"];
    let words: Vec<&str> = words.iter().copied().chain(all).collect();
    let now: Timestamp = "2026-11-25T19:30:00Z".parse().expect("it is a time");
    let shown = run(&words, now, Some(ZONE));
    Shown {
        stdout: normalized(&shown.stdout, tree.path()),
        stderr: normalized(&shown.stderr, tree.path()),
        status: shown.status,
    }
}

#[test]
fn one_is_told_of_by_id_domain_and_host() {
    let snapshots = Snapshots::new("cli/providers");
    let tree = tree();
    let check = |name: &str, words: &[&str], status: i32| {
        let shown = shown(&tree, words);
        assert_eq!(shown.status, status, "{name}\n{shown}");
        assert!(!shown.stdout.contains('\x1b'), "{shown}");
        snapshots.check(name, &format!("$ mailfix {}\n{shown}", words.join(" ")));
    };
    check("show", &["providers", "show", "town"], 0);
    check(
        "show-json",
        &["providers", "show", "A.mx.Town.Example.", "--json"],
        0,
    );
    check("unknown-id", &["providers", "show", "twon"], 64);
    check("unknown-domain", &["providers", "show", "alone.example"], 1);
    check("no-exchanger", &["providers", "show", "nothing.example"], 1);
    check("no-name", &["providers", "show", "a..example"], 64);
    check(
        "offline",
        &["providers", "show", "hosted.example", "--offline"],
        75,
    );
    tree.write(
        "/etc/mailfix/providers/town.toml",
        OWN.replace("mx.town", "MX.town"),
    );
    check("wrong-file", &["providers"], 78);
    snapshots.end();
}

#[test]
fn every_way_leads_to_the_same() {
    let tree = tree();
    let told = |word: &str| {
        let shown = shown(&tree, &["providers", "show", word, "--json"]);
        assert_eq!(shown.status, 0, "{word}: {shown}");
        let value: Value = serde_json::from_str(&shown.stdout).unwrap();
        let provider = &value["provider"];
        let text = |key: &str| provider[key].as_str().unwrap_or_default().to_owned();
        (text("id"), text("because"))
    };
    for (word, id, because) in [
        ("town", "town", ""),
        (
            "net.example",
            "town",
            "`net.example` is a domain of its own",
        ),
        (
            "a.mx.town.example",
            "town",
            "`a.mx.town.example` is a host of its mail",
        ),
        (
            "filter3.example.com",
            "town",
            "`filter3.example.com` is a host of its mail",
        ),
        (
            "hosted.example",
            "town",
            "it takes the mail for `hosted.example`, whose MX is `a.mx.town.example`",
        ),
        ("GMail.com", "google", "`gmail.com` is a domain of its own"),
        (
            "aspmx.l.google.com",
            "google",
            "`aspmx.l.google.com` is a host of its mail",
        ),
        (
            "mx0a-1.pphosted.com",
            "proofpoint",
            "`mx0a-1.pphosted.com` is a host of its mail",
        ),
    ] {
        assert_eq!(told(word), (id.to_owned(), because.to_owned()));
    }
}

#[test]
fn the_list_has_everybody_and_fits_a_terminal() {
    let tree = tree();
    let list = shown(&tree, &["providers"]);
    assert_eq!(list.status, 0, "{list}");
    for line in list.stdout.lines() {
        assert!(line.chars().count() <= 80, "too long: {line}");
    }
    let mut ids: Vec<String> = Provider::known()
        .into_iter()
        .map(|known| known.id)
        .collect();
    ids.push("town".to_owned());
    for id in &ids {
        let rows = list
            .stdout
            .lines()
            .filter(|line| line.split(' ').next() == Some(id));
        assert_eq!(rows.count(), 1, "{id}\n{list}");
    }
    let town = list
        .stdout
        .lines()
        .find(|line| line.starts_with("town "))
        .unwrap();
    let cells: Vec<&str> = town.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "town",
            "Town",
            "Net",
            "2",
            "SPF/DKIM*",
            "1/20",
            "5s",
            "mx.town.example",
            "and",
            "1"
        ]
    );
    let json = shown(&tree, &["providers", "--json"]);
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    let all = value["providers"].as_array().unwrap();
    assert_eq!(all.len(), ids.len());
    assert!(
        all.iter()
            .all(|one| one["refusals"].is_array() && one["name"].is_string())
    );
}

#[test]
fn all_that_is_told_of_each_fits_a_terminal() {
    let folder = Tree::new();
    for provider in Provider::known() {
        let words = [
            "--root",
            ".",
            "--profile",
            "linux",
            "providers",
            "show",
            &provider.id,
        ];
        let output = binary(folder.path(), &words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines() {
            // A reply may have a word, mostly a link, that no line holds.
            let words = line.split_whitespace().count();
            assert!(line.chars().count() <= 80 || words <= 2, "too long: {line}");
        }
        let code = provider
            .signatures
            .first()
            .map(|first| first.cause.as_str());
        assert!(text.contains(code.unwrap_or("not known")), "{text}");
    }
}
