//! The copy as it is laid out, and the messages of programs as they are read.

use super::*;
use crate::system::{MemorySystem, Rehearsed};

const MAIN: &str = "\
mydomain = a.example
multi_instance_directories = /etc/postfix-out
smtp_dns_reply_filter = regexp:/etc/postfix/mailfix/filter
transport_maps = hash:${config_directory}/transport, hash:/etc/postfix/mailfix/filter.old
mydomain = b.example";

fn files() -> BTreeMap<Utf8PathBuf, File> {
    let file = |text: &str| File::new(text, 0o644, 0, 0);
    BTreeMap::from([
        ("/etc/postfix/main.cf".into(), file(MAIN)),
        (
            "/etc/postfix/master.cf".into(),
            file("smtp unix - - n - - smtp\n"),
        ),
        ("/etc/postfix/mailfix/filter".into(), file("/^x/ IGNORE\n")),
        ("/var/db/relay".into(), file("a b\nnothing\n")),
    ])
}

fn tables() -> Vec<TriedTable> {
    let table = |kind: &str, path: &str, key: &str| TriedTable {
        kind: kind.to_owned(),
        path: path.into(),
        keys: vec![key.to_owned()],
    };
    vec![
        table("regexp", "/etc/postfix/mailfix/filter", "x. 5 IN A"),
        table("hash", "/var/db/relay", "a"),
    ]
}

fn candidate<'a>(
    files: &'a BTreeMap<Utf8PathBuf, File>,
    tables: &'a [TriedTable],
    version: Version,
) -> Candidate<'a> {
    Candidate {
        directory: "/etc/postfix".into(),
        files,
        tables,
        version,
    }
}

#[test]
fn the_copy_has_a_queue_a_log_and_tables_of_its_own() {
    let (files, tables) = (files(), tables());
    let candidate = candidate(&files, &tables, Version::new(3, 7, 11));
    let (rehearsal, purposes) = lay_out(&candidate, true);
    let main_cf = |rehearsal: &Rehearsal| {
        let mut files = rehearsal.files.iter();
        let (_, file) = files.find(|(path, _)| path == "config/main.cf").unwrap();
        String::from_utf8_lossy(&file.bytes).into_owned()
    };
    assert_eq!(
        main_cf(&rehearsal),
        "\
mydomain = a.example
multi_instance_directories = /etc/postfix-out
smtp_dns_reply_filter = regexp:@COPY@/config/mailfix/filter
transport_maps = hash:/etc/postfix/transport, hash:/etc/postfix/mailfix/filter.old
mydomain = b.example
queue_directory = @COPY@/queue
data_directory = @COPY@/data
maillog_file = @COPY@/maillog
maillog_file_prefixes = @COPY@
multi_instance_directories = 
"
    );
    assert!(
        rehearsal
            .files
            .iter()
            .any(|(path, _)| path == "elsewhere/var/db/relay")
    );
    assert!(rehearsal.directories.contains(&"queue".into()));
    assert_eq!(purposes.len(), rehearsal.runs.len());
    assert!(
        rehearsal
            .collect
            .contains(&"elsewhere/var/db/relay.db".into())
    );

    // Old versions know neither `-M` nor a log file of their own.
    let old = Candidate {
        version: Version::new(2, 6, 6),
        ..candidate
    };
    let (rehearsal, _) = lay_out(&old, false);
    let main = main_cf(&rehearsal);
    assert!(!main.contains("maillog_file"), "{main}");
    assert_eq!(rehearsal.runs.len(), 4);
}

#[test]
fn the_copy_has_the_service_that_its_log_needs() {
    let file = |text: &str| File::new(text, 0o644, 0, 0);
    let master_cf = |main_cf: &str, master_cf: &str, version| {
        let files = BTreeMap::from([
            ("/etc/postfix/main.cf".into(), file(main_cf)),
            ("/etc/postfix/master.cf".into(), file(master_cf)),
        ]);
        let (rehearsal, _) = lay_out(&candidate(&files, &[], version), true);
        let mut files = rehearsal.files.into_iter();
        let (_, laid) = files.find(|(path, _)| path == "config/master.cf").unwrap();
        String::from_utf8(laid.bytes).unwrap()
    };
    let (old, new) = (Version::new(2, 11, 0), Version::new(3, 7, 11));
    let smtp = "smtp unix - - n - - smtp";
    let postlog = "postlog unix-dgram n - n - 1 postlogd\n";
    assert_eq!(master_cf("", smtp, new), format!("{smtp}\n{postlog}"));
    assert_eq!(master_cf("", smtp, old), smtp);
    assert_eq!(master_cf("", postlog, new), postlog);
    // A log of the operator's own without the service is a fault to be found.
    assert_eq!(master_cf("maillog_file = /var/log/x\n", smtp, new), smtp);
}

/// What the programs say of the files above, as Postfix 3.7 does, and of others.
fn said(_: &Rehearsal) -> Rehearsed {
    let output = |status, errors: &str, text: &str| Output {
        status,
        stdout: text.as_bytes().to_vec(),
        stderr: errors.as_bytes().to_vec(),
    };
    Rehearsed {
        outputs: vec![
            output(
                0,
                "\
postconf: warning: @COPY@/config/main.cf, line 5: overriding earlier entry: mydomain=a.example
postconf: warning: @COPY@/config/main.cf, line 10: overriding earlier entry: multi_instance_directories=/etc/postfix-out
postconf: warning: @COPY@/config/main.cf: unused parameter: smtp_tls_securty_level=may
postconf: warning: @COPY@/config/main.cf: undefined parameter: foo
postconf: warning: said by more than one program
",
                "",
            ),
            output(
                1,
                "postconf: fatal: file @COPY@/config/master.cf: line 1: bad field count\n",
                "",
            ),
            output(
                1,
                "",
                "\
/usr/sbin/postconf: warning: @COPY@/config/main.cf, line 5: overriding earlier entry: mydomain=a.example\r
postfix: fatal: unknown inet_protocols value \"ipv9\" in \"ipv9\"\r
postfix/postfix-script: warning: not owned by root: @COPY@/config/./main.cf\r
/usr/sbin/postconf: warning: said by more than one program\r
/usr/sbin/postconf: warning: /etc/postfix/main.cf: unused parameter: of_the_first=x\r
postfix/postfix-script: warning: symlink leaves directory: /etc/postfix/./makedefs.out\r
postfix: Postfix is using backwards-compatible default settings\r
Postfix is using backwards-compatible default settings\r
",
            ),
            output(
                0,
                "\
postmap: warning: @COPY@/elsewhere/var/db/relay, line 2: expected format: key whitespace value
postmap: warning: @COPY@/elsewhere/var/db/relay.db: duplicate entry: \"a\"
",
                "",
            ),
            output(
                0,
                "postmap: warning: regexp map @COPY@/config/mailfix/filter, line 1: \u{1b}Unmatched ( or \\(\n",
                "x. 5 IN A\tIGNORE\n",
            ),
            output(1, "", ""),
        ],
        collected: vec![None, Some(b"index".to_vec()), None, None],
    }
}

#[test]
fn messages_become_findings_once_and_name_the_real_files() {
    let (files, tables) = (files(), tables());
    let candidate = candidate(&files, &tables, Version::new(3, 7, 11));
    let system = MemorySystem::new().rehearsing(said);
    assert!(system.is_root());
    let report = rehearse(&system, &candidate).unwrap();
    let told: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            let place = finding.place.as_ref();
            let place = place.map(|place| format!("{}:{} ", place.path, place.line));
            format!(
                "{}{} {}",
                place.unwrap_or_default(),
                finding.code,
                finding.title
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "/etc/postfix/main.cf:5 duplicate-setting `mydomain` is set more than once, to different values",
            "unused-parameter `smtp_tls_securty_level` is not a parameter of this Postfix, and nothing uses it",
            "undefined-parameter `$foo` is used, and nothing defines it",
            "postfix-warning `postconf -n` says: said by more than one program",
            "/etc/postfix/master.cf:1 field-count a service needs eight fields: name, type, private, unprivileged, chroot, wakeup, process limit, command",
            "postfix-fatal `postfix check` says: unknown inet_protocols value \"ipv9\" in \"ipv9\"",
            "postfix-warning `postfix check` says: symlink leaves directory: /etc/postfix/./makedefs.out",
            "postfix-note `postfix check` says: Postfix is using backwards-compatible default settings",
            "/var/db/relay:2 malformed-line a line that is not a key and a value",
            "duplicate-key the key `a` stands twice",
            "/etc/postfix/mailfix/filter:1 postfix-warning `postmap -q` says: \\u{1b}Unmatched ( or \\(",
        ]
    );
    assert_eq!(
        report.indexes,
        BTreeMap::from([("/var/db/relay.db".into(), b"index".to_vec())])
    );
    assert_eq!(
        report.answers,
        [
            BTreeMap::from([("x. 5 IN A".to_owned(), "IGNORE".to_owned())]),
            BTreeMap::new()
        ]
    );
}

#[test]
fn silence_with_a_bad_status_is_a_fault() {
    let files = files();
    let candidate = candidate(&files, &[], Version::new(2, 6, 6));
    let system = MemorySystem::new().rehearsing(|_| Rehearsed {
        outputs: vec![
            Output {
                status: 1,
                ..Output::default()
            },
            Output::default(),
        ],
        collected: vec![None],
    });
    let report = rehearse(&system, &candidate).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].code, "postfix-fatal");
}
