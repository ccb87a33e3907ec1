//! The rehearsal with the real Postfix: what it reports of planted mistakes, and what it leaves alone.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use mailfix::check::{Candidate, TriedTable, rehearse};
use mailfix::finding::{Finding, Severity};
use mailfix::postfix::Version;
use mailfix::system::{File, Query, RealSystem, System};

/// A `main.cf` that Postfix takes without a word; the paths are those of a machine that is not there.
const MAIN: &str = "\
compatibility_level = 3.6
myhostname = mail.example.org
mydestination = $myhostname, localhost
inet_protocols = all
smtp_tls_security_level = may
";

const MASTER: &str = "\
smtp      inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
local     unix  -       n       n       -       -       local
lmtp      unix  -       -       n       -       -       lmtp
postlog   unix-dgram n  -       n       -       1       postlogd
";

/// The configuration directory the files belong to; nothing is read or written there.
const DIRECTORY: &str = "/nonexistent/postfix";

/// The real machine and its Postfix; `None` where there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn postfix() -> Option<(RealSystem, Version)> {
    let system = RealSystem::new(None).expect("the machine has a root directory");
    let query = Query::Postconf {
        config: None,
        arguments: ["-d", "-h", "mail_version"].map(str::to_owned).to_vec(),
    };
    let version = system
        .query(&query)
        .ok()
        .and_then(|output| Version::parse(&output.text()));
    if version.is_none() {
        assert!(std::env::var("CI").is_err(), "CI has Postfix");
        println!("skipped: no Postfix here");
    }
    Some((system, version?))
}

fn files(main: &str, master: &str, tables: &[(&str, &str)]) -> BTreeMap<Utf8PathBuf, File> {
    let file = |text: &str| File::new(text, 0o644, 0, 0);
    let mut files = BTreeMap::from([
        (format!("{DIRECTORY}/main.cf").into(), file(main)),
        (format!("{DIRECTORY}/master.cf").into(), file(master)),
    ]);
    for (name, text) in tables {
        files.insert(format!("{DIRECTORY}/{name}").into(), file(text));
    }
    files
}

/// What Postfix's own programs say of a configuration.
fn said(main: &str, master: &str) -> Option<Vec<Finding>> {
    let (system, version) = postfix()?;
    let files = files(main, master, &[]);
    let candidate = Candidate {
        directory: DIRECTORY.into(),
        files: &files,
        tables: &[],
        version,
    };
    let report = rehearse(&system, &candidate).expect("a copy can be made");
    Some(report.findings)
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    let mut codes: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| finding.code)
        .collect();
    codes.sort_unstable();
    codes
}

#[test]
fn postfix_says_nothing_of_a_good_configuration() {
    let Some(findings) = said(MAIN, MASTER) else {
        return;
    };
    assert_eq!(findings, []);
}

#[test]
fn what_postfix_says_becomes_findings() {
    let check = |main: &str, master: &str, expected: &[&str]| {
        let (main, master) = (format!("{MAIN}{main}"), format!("{MASTER}{master}"));
        let Some(findings) = said(&main, &master) else {
            return;
        };
        assert_eq!(codes(&findings), expected, "{findings:#?}");
    };
    check("smtp_tls_securty_level = may\n", "", &["unused-parameter"]);
    check("relay_domains = $foo\n", "", &["undefined-parameter"]);
    check(
        "myhostname = mail.example.com\n",
        "",
        &["duplicate-setting"],
    );
    check("", "x unix - - n - smtp\n", &["field-count"]);
}

#[test]
fn what_postfix_refuses_is_an_error() {
    for (main, master) in [
        ("smtp_bind_address 192.0.2.1\n", ""),
        ("relay_domains = ${mydomain\n", ""),
        ("", "x unix - - z - - smtp\n"),
        ("", "x unx - - n - - smtp\n"),
    ] {
        let (main, master) = (format!("{MAIN}{main}"), format!("{MASTER}{master}"));
        let Some(findings) = said(&main, &master) else {
            return;
        };
        assert!(
            findings
                .iter()
                .any(|finding| finding.severity == Severity::Error),
            "{main}{master}{findings:#?}"
        );
    }
}

#[test]
fn only_root_hears_what_postfix_check_says() {
    let Some((system, version)) = postfix() else {
        return;
    };
    let main = MAIN.replace("inet_protocols = all", "inet_protocols = ipv9");
    let files = files(&main, MASTER, &[]);
    let candidate = Candidate {
        directory: DIRECTORY.into(),
        files: &files,
        tables: &[],
        version,
    };
    let report = rehearse(&system, &candidate).unwrap();
    assert_eq!(report.checked, system.is_root());
    let fatal = report
        .findings
        .iter()
        .any(|finding| finding.code == "postfix-fatal" && finding.title.contains("ipv9"));
    assert_eq!(fatal, system.is_root(), "{:#?}", report.findings);
}

#[test]
fn tables_are_indexed_and_asked_in_the_copy() {
    let Some((system, version)) = postfix() else {
        return;
    };
    let main = format!("{MAIN}transport_maps = hash:{DIRECTORY}/transport\n");
    let files = files(
        &main,
        MASTER,
        &[
            (
                "transport",
                "example.com relay:\nexample.com smtp:\nlonely\n",
            ),
            ("filter", "/^mx\\. .* AAAA / IGNORE\n/^(/ IGNORE\n"),
        ],
    );
    let tables = [
        TriedTable {
            kind: "hash".to_owned(),
            path: format!("{DIRECTORY}/transport").into(),
            keys: vec!["example.com".to_owned(), "example.net".to_owned()],
        },
        TriedTable {
            kind: "regexp".to_owned(),
            path: format!("{DIRECTORY}/filter").into(),
            keys: vec!["mx. 5 IN AAAA 2001:db8::1".to_owned()],
        },
    ];
    let candidate = Candidate {
        directory: DIRECTORY.into(),
        files: &files,
        tables: &tables,
        version,
    };
    let report = rehearse(&system, &candidate).unwrap();
    assert_eq!(
        codes(&report.findings),
        ["duplicate-key", "malformed-line", "postfix-warning"],
        "{:#?}",
        report.findings
    );
    let index = &report.indexes[&Utf8PathBuf::from(format!("{DIRECTORY}/transport.db"))];
    assert!(!index.is_empty());
    let answers = |table: usize, key: &str| report.answers[table].get(key).map(String::as_str);
    assert_eq!(answers(0, "example.com"), Some("relay:"));
    assert_eq!(answers(0, "example.net"), None);
    assert_eq!(answers(1, "mx. 5 IN AAAA 2001:db8::1"), Some("IGNORE"));
}
