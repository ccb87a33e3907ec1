//! `mailfix dns request`: the texts to those who keep the zones, each as a snapshot.

use std::fs;

use jiff::Timestamp;

use crate::support::{Shown, Snapshots, run};

/// A registrar that has to be written to, two providers of addresses, and one reverse zone that
/// nobody sets.
const SITE: &str = "\
allow_non_global = true
[server]
hostname = \"mail.example.org\"
ipv4 = [\"192.0.2.25\"]
ipv6 = [\"2001:db8::25\", \"2001:db8:1::25\"]
[dns]
forward = \"provider\"
reverse4 = \"provider\"
reverse6 = \"none\"
[[dns.reverse]]
network = \"2001:db8:1::/48\"
control = \"provider\"
[[domain]]
name = \"example.org\"
[[domain]]
name = \"example.net\"
";

const ZONE: &str = "\
mail.example.org. 300 IN A 192.0.2.25
mail.example.org. 300 IN TXT \"v=spf1 a -all\"
example.org. 300 IN TXT \"v=spf1 mx -all\"
example.org. 300 IN TXT \"site-verification=1\"
_dmarc.example.org. 300 IN TXT \"v=DMARC1; p=none\"
25.2.0.192.in-addr.arpa. 300 IN PTR generic.example.net.
";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(site: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc/mailfix")).unwrap();
        fs::write(folder.path().join("etc/mailfix/mailfix.toml"), site).unwrap();
        Self(folder)
    }

    fn run(&self, zone: &str, words: &[&str]) -> Shown {
        let root = self.0.path().to_str().unwrap();
        let words = [
            &["dns", "request"],
            words,
            &["--root", root, "--profile", "linux"],
        ]
        .concat();
        let mut shown = run(&words, Timestamp::UNIX_EPOCH, Some(zone));
        shown.stderr = shown.stderr.replace(root, "TREE");
        shown
    }
}

#[test]
fn requests_say_what_why_and_where_it_is_required() {
    let snapshots = Snapshots::new("request");
    let tree = Tree::new(SITE);
    snapshots.check("missing", &tree.run(ZONE, &[]).to_string());
    snapshots.check("all", &tree.run(ZONE, &["--all"]).to_string());
    // Without DNS nobody knows what is missing.
    let offline = tree.run(ZONE, &["--offline"]);
    assert!(
        offline.stdout.contains("Please add these AAAA records"),
        "{offline}"
    );
    let own = Tree::new(&SITE.replace("forward = \"provider\"", "forward = \"self\""));
    snapshots.check("own-panel", &own.run(ZONE, &[]).to_string());
    snapshots.end();
}

#[test]
fn nothing_is_asked_for_that_is_there_or_that_nobody_could_say() {
    let site = SITE
        .replace("ipv6 = [\"2001:db8::25\", \"2001:db8:1::25\"]\n", "")
        .replace("[[domain]]\nname = \"example.net\"\n", "");
    let tree = Tree::new(&site);
    let zone = ZONE
        .replace("generic.example.net", "mail.example.org")
        .replace("v=spf1 mx", "v=spf1 ip4:192.0.2.25 mx");
    let shown = tree.run(&zone, &[]);
    assert_eq!((shown.status, shown.stdout.as_str()), (0, ""), "{shown}");
    assert!(
        shown.stderr.contains("nobody has to be asked for anything"),
        "{shown}"
    );
    let zone = format!("{zone}$SERVFAIL 25.2.0.192.in-addr.arpa.\n");
    let shown = tree.run(&zone, &[]);
    assert_eq!((shown.status, shown.stdout.as_str()), (75, ""), "{shown}");
    assert!(shown.stderr.contains("failed (SERVFAIL) on PTR"), "{shown}");
    assert!(shown.stderr.contains("no request could be made"), "{shown}");
}

#[test]
fn each_addressee_gets_a_file() {
    let tree = Tree::new(SITE);
    let out = tree.0.path().join("letters");
    let shown = tree.run(ZONE, &["-o", out.to_str().unwrap()]);
    assert_eq!((shown.status, shown.stdout.as_str()), (0, ""), "{shown}");
    let mut names: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "request-example.net.txt",
            "request-example.org.txt",
            "request-ptr-2001-db8-1---48.txt",
            "request-ptr-ipv4.txt",
            "request-ptr-ipv6.txt",
        ]
    );
    // What somebody has changed there since is not lost.
    fs::write(out.join("request-example.org.txt"), "mine\n").unwrap();
    let shown = tree.run(ZONE, &["-o", out.to_str().unwrap()]);
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown
            .stderr
            .contains("is there already, and mailfix did not write it"),
        "{shown}"
    );
}

#[test]
fn what_a_push_writes_is_asked_of_nobody() {
    let site = SITE.replace("forward = \"provider\"", "forward = \"self\"")
        + "[dns.update]\nserver = \"192.0.2.53\"\nkey = \"/etc/mailfix/tsig.key\"\n";
    let shown = Tree::new(&site).run(ZONE, &[]);
    assert!(!shown.stdout.contains("v=spf1"), "{shown}");
    assert!(shown.stderr.contains("dns push"), "{shown}");
}
