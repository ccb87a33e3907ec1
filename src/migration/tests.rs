//! The rewriting of both files, as lines that differ, and what stands in the way of it.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::rewrite::{Given, Rewritten, rewrite};
use super::{NewType, draft, remaining};
use crate::host::Parameters;
use crate::system::{Indexer, MemorySystem, Output, Query, Rehearsed, Trial};

/// What Postfix takes by itself where main.cf says nothing.
const DEFAULTS: [(&str, &str); 6] = [
    ("default_database_type", "hash"),
    ("data_directory", "/var/lib/postfix"),
    ("alias_maps", "hash:/etc/aliases, nis:mail.aliases"),
    ("address_verify_map", "btree:$data_directory/verify_cache"),
    (
        "postscreen_cache_map",
        "btree:$data_directory/postscreen_cache",
    ),
    ("smtpd_restriction_classes", ""),
];

struct Host {
    types: &'static [&'static str],
    /// Files that are there.
    files: &'static [&'static str],
    defaults: &'static [(&'static str, &'static str)],
}

const STOCK: Host = Host {
    types: &["hash", "btree", "lmdb", "cdb"],
    files: &[],
    defaults: &[],
};

fn rewritten(host: &Host, to: NewType, main: &str, master: &str) -> Rewritten {
    let pairs = DEFAULTS.iter().chain(host.defaults);
    let mut parameters =
        Parameters::new(pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    parameters.set("config_directory", "/etc/postfix");
    let types: BTreeSet<String> = host.types.iter().map(ToString::to_string).collect();
    let exists = |path: &Utf8Path| host.files.contains(&path.as_str());
    let given = Given {
        main: main.as_bytes(),
        master: master.as_bytes(),
        parameters: &parameters,
        types: &types,
        exists: &exists,
    };
    rewrite(to, &given).unwrap()
}

/// What becomes of a file: its lines that were not there, `|` between them.
fn added(before: &str, after: &[u8]) -> String {
    let after = String::from_utf8(after.to_vec()).unwrap();
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().filter(|line| !old.contains(line)).collect();
    new.join("|")
}

const DEFAULT: &str = "default_database_type = lmdb";

#[track_caller]
fn check(main: &str, expected: &str, moved: &[&str]) {
    let done = rewritten(&STOCK, NewType::Lmdb, main, "");
    let lines = added(main, &done.main);
    let lines = lines.strip_suffix(DEFAULT).unwrap_or(&lines);
    assert_eq!(lines.trim_end_matches('|'), expected);
    let paths: Vec<String> = done
        .moved
        .iter()
        .map(|table| format!("{}:{}", table.from, table.path))
        .collect();
    assert_eq!(paths, moved);
    assert_eq!((done.findings, done.refusals), (Vec::new(), Vec::new()));
    // What was done is not done again.
    let again = String::from_utf8(done.main.clone()).unwrap();
    let twice = rewritten(&STOCK, NewType::Lmdb, &again, "");
    assert_eq!((twice.main, twice.moved), (done.main, Vec::new()));
}

#[test]
fn tables_are_found_wherever_they_are_named() {
    check(
        "transport_maps = hash:/t\n",
        "transport_maps = lmdb:/t",
        &["hash:/t"],
    );
    check(
        "virtual_alias_maps = proxy:btree:/b, hash:$config_directory/v\n",
        "virtual_alias_maps = proxy:lmdb:/b, lmdb:$config_directory/v",
        &["btree:/b", "hash:/etc/postfix/v"],
    );
    check(
        "mynetworks = 127.0.0.0/8,\n# hash:/old\n   hash:/n\n",
        "   lmdb:/n",
        &["hash:/n"],
    );
    check(
        "smtpd_sender_restrictions = check_sender_access pipemap:{hash:/a, inline:{b=hash:/c}}\n",
        "smtpd_sender_restrictions = check_sender_access pipemap:{lmdb:/a, inline:{b=hash:/c}}",
        &["hash:/a"],
    );
    check(
        "smtpd_restriction_classes = mine\nmine = check_client_access hash:/c\n",
        "mine = check_client_access lmdb:/c",
        &["hash:/c"],
    );
    check(
        "relay_domains = hash:/x\nproxy_read_maps = proxy:hash:/x\n",
        "relay_domains = lmdb:/x|proxy_read_maps = proxy:lmdb:/x",
        &["hash:/x"],
    );
}

#[test]
fn what_nothing_opens_keeps_its_name_and_is_told() {
    for (main, master, expected) in [
        (
            "transport_maps = ${more?{hash:/a}:{hash:/b}}\n",
            "",
            "transport_maps = ${more?{hash:/a}:{lmdb:/b}}",
        ),
        (
            "proxy_read_maps = proxy:hash:/a, proxy:hash:/b\nrelay_domains = hash:/b\n",
            "",
            "proxy_read_maps = proxy:hash:/a, proxy:lmdb:/b|relay_domains = lmdb:/b",
        ),
        (
            "transport_maps = ${more?{hash:/a}:{hash:$at}}\n",
            "smtp unix - - n - - smtp -o at=/b\n",
            "transport_maps = ${more?{hash:/a}:{lmdb:$at}}",
        ),
    ] {
        let done = rewritten(&STOCK, NewType::Lmdb, main, master);
        let lines = added(main, &done.main);
        let lines = lines.strip_suffix(DEFAULT).unwrap_or(&lines);
        assert_eq!(lines.trim_end_matches('|'), expected);
        let told: Vec<_> = done.findings.iter().map(|one| one.title.as_str()).collect();
        let parameter = main.split(' ').next().unwrap();
        assert_eq!(told, [format!("`{parameter}` names `hash:/a`")]);
        assert!(done.moved.iter().all(|table| table.path != "/a"));
    }
}

#[test]
fn what_is_no_table_of_berkeley_db_stays() {
    check(
        "transport_maps = lmdb:/t, regexp:/r, texthash:/x\n",
        "",
        &[],
    );
    check("smtpd_banner = hash:/t\n", "", &[]);
    check("unused_variable = hash:/t\n", "", &[]);
    // Of several definitions the last counts.
    check(
        "relay_domains = hash:/r\nrelay_domains = example.org\n",
        "",
        &[],
    );
}

#[test]
fn variables_are_followed() {
    check(
        "base = hash:$config_directory/\ntransport_maps = ${base}t\n",
        "base = lmdb:$config_directory/",
        &["hash:/etc/postfix/t"],
    );
    check(
        "kind = btree\ntransport_maps = $kind:/t\n",
        "kind = lmdb",
        &["btree:/t"],
    );
    check(
        "transport_maps = $default_database_type:/t\n",
        "",
        &["hash:/t"],
    );
    check(
        "default_database_type = btree\ntransport_maps = $default_database_type:/t\n",
        "",
        &["btree:/t"],
    );
}

#[test]
fn defaults_that_are_used_are_written_out() {
    let check = |host: &Host, main: &str, master: &str, expected: &str| {
        let done = rewritten(host, NewType::Lmdb, main, master);
        assert_eq!(added(main, &done.main), expected);
        done
    };
    let nothing = check(&STOCK, "", "", DEFAULT);
    assert_eq!(nothing.moved, []);
    let aliases = Host {
        files: &["/etc/aliases"],
        ..STOCK
    };
    let done = check(
        &aliases,
        "",
        "",
        &format!("{DEFAULT}|alias_maps = lmdb:/etc/aliases, nis:mail.aliases"),
    );
    assert_eq!(done.moved[0].indexer, Indexer::Postalias);
    check(
        &STOCK,
        "smtpd_sender_restrictions = reject_unverified_sender\n",
        "smtp inet n - n - 1 postscreen\n",
        &format!(
            "{DEFAULT}|address_verify_map = lmdb:$data_directory/verify_cache|postscreen_cache_map = lmdb:$data_directory/postscreen_cache"
        ),
    );
    // From 3.11 on the default follows the type.
    let follows = Host {
        files: &["/etc/aliases"],
        defaults: &[("alias_maps", "$default_database_type:/etc/aliases")],
        ..STOCK
    };
    let done = check(&follows, "", "", DEFAULT);
    assert_eq!(done.moved[0].path, "/etc/aliases");
}

#[test]
fn options_of_services_are_rewritten() {
    let check = |master: &str, main: &str, expected: &str, services: &[&str]| {
        let done = rewritten(&STOCK, NewType::Lmdb, main, master);
        assert_eq!(added(master, &done.master), expected);
        assert_eq!(done.services, services);
        done.moved
            .iter()
            .map(|table| table.path.to_string())
            .collect::<Vec<_>>()
    };
    let smtpd = "smtp inet n - n - - smtpd\n";
    let moved = check(
        &format!(
            "{smtpd} -o smtpd_client_restrictions=check_client_access,hash:/c,reject\n -o {{ alias_maps = btree:/a }}\n"
        ),
        "",
        " -o smtpd_client_restrictions=check_client_access,lmdb:/c,reject| -o { alias_maps = lmdb:/a }",
        &["smtp"],
    );
    assert_eq!(moved, ["/a", "/c"]);
    // What the service calls a variable may stand in main.cf, and the other way round.
    let moved = check(
        &format!("{smtpd} -o table=hash:/c\n"),
        "smtpd_client_restrictions = check_client_access $table\n",
        " -o table=lmdb:/c",
        &["smtp"],
    );
    assert_eq!(moved, ["/c"]);
    let main = "table = hash:/c\n";
    let master = format!("{smtpd} -o smtpd_client_restrictions=check_client_access,$table\n");
    let done = rewritten(&STOCK, NewType::Lmdb, main, &master);
    assert_eq!(
        added(main, &done.main),
        format!("table = lmdb:/c|{DEFAULT}")
    );
    assert_eq!(done.master, master.as_bytes());
    // A command of somebody else's, and a service that another replaces.
    let twice = "x unix - n n - - pipe argv=/x hash:/a\ny inet n - n - - smtpd -o alias_maps=hash:/a\ny inet n - n - - smtpd\n";
    assert_eq!(check(twice, "", "", &[]), [""; 0]);
}

#[test]
fn caches_are_never_cdb() {
    let main = "smtp_tls_session_cache_database = btree:${data_directory}/s\nmine = btree:/m\nsmtpd_tls_session_cache_database = $mine\ntransport_maps = hash:/t\n";
    let done = rewritten(&STOCK, NewType::Cdb, main, "");
    assert_eq!(
        added(main, &done.main),
        "smtp_tls_session_cache_database = lmdb:${data_directory}/s|mine = lmdb:/m|transport_maps = cdb:/t|default_database_type = cdb"
    );
    assert_eq!(done.moved.len(), 1);
    assert_eq!(done.caches.len(), 2);
    let only_cdb = Host {
        types: &["hash", "btree", "cdb"],
        ..STOCK
    };
    let done = rewritten(&only_cdb, NewType::Cdb, main, "");
    assert_eq!(
        added(main, &done.main),
        "transport_maps = cdb:/t|default_database_type = cdb"
    );
    let codes: Vec<&str> = done.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["cache-left", "cache-left"]);
    // One variable for a table and a cache.
    let main =
        "kind = btree\ntransport_maps = $kind:/t\nsmtp_tls_session_cache_database = $kind:/s\n";
    let done = rewritten(&STOCK, NewType::Cdb, main, "");
    let codes: Vec<&str> = done.refusals.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["cache-in-cdb"]);
}

#[test]
fn a_table_without_a_whole_path_is_not_moved() {
    let done = rewritten(&STOCK, NewType::Lmdb, "transport_maps = hash:t\n", "");
    assert_eq!(done.refusals[0].code, "relative-table");
}

#[test]
fn every_table_is_built_by_its_own_program() {
    let main = "alias_database = hash:/a\nlocal_recipient_maps = hash:/a\ntls_server_sni_maps = hash:/s\nrelay_domains = hash:/r\n";
    let done = rewritten(&STOCK, NewType::Lmdb, main, "");
    let indexers: Vec<Indexer> = done.moved.iter().map(|table| table.indexer).collect();
    assert_eq!(
        indexers,
        [Indexer::Postalias, Indexer::Postmap, Indexer::PostmapFiles]
    );
}

const CONFIG: &str = "/etc/postfix";

/// A machine whose one table holds `a b`; its programs list these contents.
fn machine(old: &'static str, types: &str) -> MemorySystem {
    let ask = |arguments: &[&str]| Query::Postconf {
        config: Some(CONFIG.into()),
        arguments: arguments.iter().map(ToString::to_string).collect(),
    };
    let output = |text: &str| Output {
        stdout: text.into(),
        ..Output::default()
    };
    let dump = "mail_version = 3.7.11\ndaemon_directory = /d\nqueue_directory = /q\ncompatibility_level = 3.6\ndefault_database_type = hash\n";
    let listing = Query::Dump {
        config: CONFIG.into(),
        table: "hash:/etc/postfix/t".to_owned(),
    };
    MemorySystem::new()
        .file(
            "/etc/postfix/main.cf",
            "relay_domains = hash:/etc/postfix/t\n",
        )
        .file("/etc/postfix/master.cf", "smtp unix - - n - - smtp\n")
        .file("/etc/postfix/t", "a b\n")
        .file("/etc/postfix/t.db", "old")
        .file("/d/smtp", "")
        .file("/usr/bin/apt-get", "")
        .answer(ask(&[]), output(dump))
        .answer(ask(&["-m"]), output(types))
        .answer(listing, output(old))
        .rehearsing(|rehearsal| Rehearsed {
            outputs: rehearsal
                .runs
                .iter()
                .map(|run| Output {
                    stdout: match run {
                        Trial::Dump { .. } => "a\tb\n".into(),
                        _ => Vec::new(),
                    },
                    ..Output::default()
                })
                .collect(),
            collected: rehearsal
                .collect
                .iter()
                .map(|path| (path == "moved/table.lmdb").then(|| b"new".to_vec()))
                .collect(),
        })
}

fn codes(system: &MemorySystem) -> Vec<&'static str> {
    let migration = draft(system, CONFIG.into(), NewType::Lmdb, None).unwrap();
    let findings = migration
        .draft
        .refusals
        .iter()
        .chain(&migration.draft.findings);
    findings.map(|finding| finding.code).collect()
}

#[test]
fn an_index_is_part_of_the_plan_and_its_source_is_watched() {
    let system = machine("a\tb\n", "hash\nlmdb\n");
    let migration = draft(&system, CONFIG.into(), NewType::Lmdb, None).unwrap();
    assert_eq!(migration.draft.refusals, []);
    let plan = &migration.draft.plan;
    let paths: Vec<&str> = plan.changes().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/etc/postfix/t.lmdb", "/etc/postfix/main.cf"]);
    assert!(plan.against(&system).is_ok());
    let changed = system.file("/etc/postfix/t", "a c\n");
    assert_eq!(plan.against(&changed).unwrap_err().len(), 1);
}

#[test]
fn a_table_that_is_not_what_its_database_holds_is_not_moved() {
    assert_eq!(codes(&machine("a\tc\n", "hash\nlmdb\n")), ["table-differs"]);
    for (path, expected) in [("/etc/postfix/t", "no-source"), ("/etc/postfix/t.db", "")] {
        let mut system = machine("a\tb\n", "hash\nlmdb\n");
        crate::system::System::remove(&mut system, path.into()).unwrap();
        let expected: &[&str] = if expected.is_empty() {
            &[]
        } else {
            &[expected]
        };
        assert_eq!(codes(&system), expected, "{path}");
    }
}

#[test]
fn a_database_that_cannot_be_read_is_said_to_be_uncompared() {
    assert_eq!(codes(&machine("", "lmdb\n"))[0], "not-compared");
}

#[test]
fn a_type_that_does_not_work_is_named_with_what_brings_it() {
    let migration = draft(
        &machine("a\tb\n", "hash\n"),
        CONFIG.into(),
        NewType::Lmdb,
        None,
    )
    .unwrap();
    let refusal = &migration.draft.refusals[0];
    assert_eq!(refusal.code, "unknown-table-type");
    let fix = refusal.fix.clone().unwrap();
    assert!(fix.contains("`apt-get install postfix-lmdb`"), "{fix}");
    assert!(migration.draft.plan.is_empty());
}

#[test]
fn what_is_left_and_wrong_answers_are_found() {
    let system = machine("a\tb\n", "hash\nlmdb\n");
    let migration = draft(&system, CONFIG.into(), NewType::Lmdb, None).unwrap();
    let titles = |system: &MemorySystem| -> Vec<String> {
        let found = remaining(system, CONFIG.into(), NewType::Lmdb, &migration.asked).unwrap();
        found.into_iter().map(|finding| finding.title).collect()
    };
    let query = Query::Lookup {
        config: CONFIG.into(),
        table: "lmdb:/etc/postfix/t".to_owned(),
        keys: vec!["a".to_owned()],
    };
    let answering = |text: &str| Output {
        stdout: text.into(),
        ..Output::default()
    };
    let mut done = system.clone();
    for change in migration.draft.plan.changes() {
        done = done.file(&change.path, &change.after.clone().unwrap().bytes);
    }
    let right = done.clone().answer(query.clone(), answering("a\tb\n"));
    assert_eq!(titles(&right), [""; 0]);
    let wrong = done.answer(query.clone(), answering("a\tx\n"));
    assert_eq!(
        titles(&wrong),
        ["the table `lmdb:/etc/postfix/t` does not answer for `a` as it should"]
    );
    let undone = system.answer(query, answering("a\tb\n"));
    assert_eq!(
        titles(&undone),
        ["still to be done: tables of Berkeley DB in main.cf"]
    );
}
