//! `mailfix dns check --domains`: a list of domains, a line each.

use jiff::Timestamp;

use crate::support::{Shown, Tree, run};

const ZONE: &str = "\
right.example.   300 IN MX   10 mail.right.example.
right.example.   300 IN TXT  \"v=spf1 ip4:192.0.2.25 -all\"
right.example.   300 IN NS   ns.right.example.
_dmarc.right.example. 300 IN TXT \"v=DMARC1; p=reject; rua=mailto:postmaster@right.example\"
mail.right.example.   300 IN A   192.0.2.25
wrong.example.   300 IN A    192.0.2.80
wrong.example.   300 IN TXT  \"v=spf1 include:nowhere.example -all\"
example.         300 IN NS   ns.example.
$SERVFAIL broken.example.
$SERVFAIL _dmarc.broken.example.
";

fn check(list: &[u8], more: &[&str]) -> Shown {
    check_in(ZONE, list, more)
}

/// Checks a list, with DNS as the zone text has it.
fn check_in(zone: &str, list: &[u8], more: &[&str]) -> Shown {
    let tree = Tree::new();
    tree.write("/list", list);
    let root = tree.path().to_str().unwrap();
    let path = format!("{root}/list");
    let fixed = [
        "dns",
        "check",
        "--root",
        root,
        "--profile",
        "linux",
        "--domains",
        &path,
    ];
    let words: Vec<&str> = fixed.iter().chain(more).copied().collect();
    let shown = run(&words, Timestamp::UNIX_EPOCH, Some(zone));
    Shown {
        stdout: shown.stdout.replace(root, "TREE"),
        stderr: shown.stderr.replace(root, "TREE"),
        ..shown
    }
}

const ADDRESS: [&str; 2] = ["--address", "192.0.2.25"];

#[test]
fn each_domain_gives_a_line() {
    let list =
        b"# mine\nright.example\n\nwrong.example # and a remark\nbroken.example\nRight.Example.\n";
    let shown = check(list, &ADDRESS);
    assert_eq!(
        shown.to_string(),
        "----- stdout\n\
         right   right.example\n\
         wrong   wrong.example                    MX host, SPF permerror, DMARC none\n\
         unasked broken.example                   MX ?, SPF temperror, DMARC ?\n\
         ----- stderr\n\
         warning: the zone text failed (SERVFAIL) on MX of `broken.example`\n\
         3 domains: 1 right, 1 wrong, 1 could not be asked\n\
         hint: `mailfix dns check DOMAIN` says what is wrong, and what to do\n\
         ----- status 1"
    );
    let right = check(b"right.example\n", &ADDRESS);
    assert_eq!(right.status, 0, "{right}");
    let unasked = check(b"right.example\nbroken.example\n", &ADDRESS);
    assert_eq!(unasked.status, 75, "{unasked}");
}

#[test]
fn programs_get_a_line_of_json_each() {
    let words = [&ADDRESS[..], &["--json"]].concat();
    let shown = check(b"right.example\nwrong.example\nbroken.example\n", &words);
    let lines: Vec<serde_json::Value> = shown
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            let name = line["domain"]["name"].as_str().unwrap();
            (name, line["outcome"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            ("right.example", "right"),
            ("wrong.example", "wrong"),
            ("broken.example", "unasked")
        ]
    );
    let codes = lines[1]["findings"].as_array().unwrap();
    assert!(
        codes.iter().any(|finding| finding["code"] == "spf-include"),
        "{codes:?}"
    );
}

#[test]
fn records_without_end_end() {
    let record = |at: usize| {
        let include = format!("include:d{}.example", at + 1);
        format!("d{at}.example. 300 IN TXT \"v=spf1 {include} {include}\"\n")
    };
    let zone: Vec<String> = (0..400).map(record).collect();
    let shown = check_in(
        &zone.concat(),
        b"d0.example\nd1.example\nd200.example\n",
        &ADDRESS,
    );
    assert_eq!(
        shown.stdout.matches("SPF 100/10, SPF permerror").count(),
        3,
        "{shown}"
    );
}

#[test]
fn bad_lines_are_named() {
    let shown = check(b"right.example\nno domain\n\n.\n", &ADDRESS);
    assert_eq!(
        shown.stderr,
        "error[not-a-domain]: `no domain` holds ` `, which cannot stand in a domain name\n\
         \x20--> TREE/list:2:1\n  |\n2 | no domain\n  | ^^^^^^^^^\n\
         error[not-a-domain]: `.` is no domain that mail is sent for\n\
         \x20--> TREE/list:4:1\n  |\n4 | .\n  | ^\n\
         error: 2 lines of `TREE/list` hold no domain\n"
    );
    assert_eq!(shown.status, 64);
    let shown = check(b"# nothing\n", &ADDRESS);
    assert_eq!(shown.stderr, "error: `TREE/list` names no domain\n");
}
