//! Moving tables off Berkeley DB with the real Postfix: what is compared with what, and what is
//! refused.

use std::fs;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::support::{Shown, Tree, has_postfix, postmap, run};

const CONFIG: &str = "/etc/postfix";

/// A tree with one table, its database built.
fn tree() -> Tree {
    let tree = Tree::new();
    let main = "compatibility_level = 3.6\nqueue_directory = /q\nrelay_domains = hash:/etc/postfix/t\ndefault_database_type = hash\n";
    tree.write("/etc/postfix/main.cf", main);
    let master = "smtp unix - - n - - smtp\npostlog unix-dgram n - n - 1 postlogd\n";
    tree.write("/etc/postfix/master.cf", master);
    tree.write("/etc/postfix/t", "a 1\nb 2\n");
    tree.build_databases(CONFIG.as_ref());
    tree.settle();
    tree
}

fn moved(tree: &Tree, words: &[&str]) -> Shown {
    let mut all = words.to_vec();
    let root = tree.path().to_str().unwrap();
    all.extend(["--root", root, "--profile", "linux"]);
    let now: Timestamp = "2026-11-25T19:30:00Z".parse().unwrap();
    run(&all, now, None)
}

fn plan(tree: &Tree, kind: &str) -> Shown {
    moved(tree, &["plan", "--migrate-tables", kind])
}

/// Says when a file was written, before or after all others.
fn date(tree: &Tree, path: &str, hours_later: u64) {
    let time =
        SystemTime::now() - Duration::from_secs(3600) + Duration::from_secs(600 * hours_later);
    let file = fs::File::open(tree.real(path)).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_table_changed_since_is_told_and_a_database_made_otherwise_is_refused() {
    if !has_postfix() {
        return;
    }
    for kind in ["lmdb", "cdb"] {
        let tree = tree();
        assert_eq!(plan(&tree, kind).status, 0);
        tree.write("/etc/postfix/t", "a 1\nb 3\nc 4\n");
        date(&tree, "/etc/postfix/t", 1);
        let shown = plan(&tree, kind);
        assert_eq!(shown.status, 0, "{shown}");
        assert!(
            shown.stderr.contains("is out of date: 2 entries differ"),
            "{shown}"
        );
        date(&tree, "/etc/postfix/t.db", 2);
        let shown = plan(&tree, kind);
        assert_eq!(shown.status, 1, "{shown}");
        assert!(shown.stderr.contains("error[table-differs]"), "{shown}");
        fs::remove_file(tree.real("/etc/postfix/t")).unwrap();
        let shown = plan(&tree, kind);
        assert_eq!(shown.status, 1, "{shown}");
        assert!(
            shown.stderr.contains("`postmap -s hash:/etc/postfix/t`"),
            "{shown}"
        );
    }
}

#[test]
fn an_index_that_holds_the_same_is_not_written_again() {
    if !has_postfix() {
        return;
    }
    for kind in ["lmdb", "cdb"] {
        let tree = tree();
        let index = format!("/etc/postfix/t.{kind}");
        let table = format!("{kind}:{}", tree.real("/etc/postfix/t").display());
        postmap("postmap", &[&table]).unwrap();
        let before = tree.entries();
        let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", kind]);
        assert_eq!(shown.status, 0, "{shown}");
        assert!(!shown.stderr.contains(&index), "{shown}");
        assert_eq!(
            before[index.as_ref() as &std::path::Path],
            tree.entries()[index.as_ref() as &std::path::Path]
        );
        // One that holds something else is.
        let undone = moved(&tree, &["undo", "--yes"]);
        assert_eq!(undone.status, 0, "{undone}");
        tree.write("/etc/postfix/t", "a 5\n");
        postmap("postmap", &[&table]).unwrap();
        tree.write("/etc/postfix/t", "a 1\nb 2\n");
        tree.settle();
        let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", kind]);
        assert!(shown.stderr.contains(&format!("wrote {index}")), "{shown}");
        let value = postmap("postmap", &["-q", "a", &table]).unwrap();
        assert_eq!(value.trim(), "1");
    }
}

#[test]
fn a_saved_plan_is_stale_once_a_table_changed() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("plan.json");
    let saved = saved.to_str().unwrap();
    let shown = moved(&tree, &["plan", "--migrate-tables", "lmdb", "-o", saved]);
    assert_eq!(shown.status, 0, "{shown}");
    tree.write("/etc/postfix/t", "a 1\nb 2\nc 3\n");
    let shown = moved(&tree, &["apply", "--yes", saved]);
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown.stderr.contains("`/etc/postfix/t` was changed"),
        "{shown}"
    );
    assert!(!tree.real("/etc/postfix/t.lmdb").exists());
}

#[test]
fn an_undo_does_not_bring_an_old_index_into_force() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", "lmdb"]);
    assert_eq!(shown.status, 0, "{shown}");
    // The administrator keeps the table that is in force, and only that.
    tree.write("/etc/postfix/t", "a 1\nb 2\nc 3\n");
    date(&tree, "/etc/postfix/t", 1);
    let real = tree.real("/etc/postfix/t");
    postmap("postmap", &[&format!("lmdb:{}", real.display())]).unwrap();
    let before = tree.entries();
    for words in [
        &["undo", "--yes"] as &[&str],
        &["undo", "--yes", "--only", "/etc/postfix/main.cf"],
    ] {
        let shown = moved(&tree, words);
        assert_eq!(shown.status, 1, "{shown}");
        for expected in [
            "is older than its table: `/etc/postfix/t`",
            "`postmap hash:/etc/postfix/t` first; `--force /etc/postfix/t`",
        ] {
            let said = shown.stderr.replace("\n      ", " ");
            assert!(said.contains(expected), "{shown}");
        }
        assert_eq!(tree.entries(), before);
    }
    let shown = moved(&tree, &["undo", "--yes", "--force", "/etc/postfix/x"]);
    assert!(shown.stderr.contains("did not change"), "{shown}");
    postmap("postmap", &[&format!("hash:{}", real.display())]).unwrap();
    date(&tree, "/etc/postfix/t.db", 2);
    let shown = moved(&tree, &["undo", "--yes"]);
    assert_eq!(shown.status, 0, "{shown}");
    assert!(!tree.real("/etc/postfix/t.lmdb").exists());
}

#[test]
fn an_undo_that_is_forced_takes_an_old_index_as_it_is() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", "lmdb"]);
    assert_eq!(shown.status, 0, "{shown}");
    tree.write("/etc/postfix/t", "a 1\nc 3\n");
    date(&tree, "/etc/postfix/t", 1);
    let shown = moved(&tree, &["undo", "--yes", "--force", "/etc/postfix/t"]);
    assert_eq!(shown.status, 0, "{shown}");
    assert!(!tree.real("/etc/postfix/t.lmdb").exists());
}

#[test]
fn the_aliases_that_only_a_default_names_are_looked_at_too() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    tree.write("/etc/aliases", "root: a\n");
    let real = tree.real("/etc/aliases");
    let build = |kind: &str| postmap("postalias", &[&format!("{kind}:{}", real.display())]);
    build("hash").unwrap();
    tree.settle();
    let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", "lmdb"]);
    assert_eq!(shown.status, 0, "{shown}");
    assert!(tree.real("/etc/aliases.lmdb").exists(), "{shown}");
    tree.write("/etc/aliases", "root: b\n");
    date(&tree, "/etc/aliases", 1);
    build("lmdb").unwrap();
    let shown = moved(&tree, &["undo", "--yes"]);
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown.stderr.contains("`postalias hash:/etc/aliases`"),
        "{shown}"
    );
    build("hash").unwrap();
    date(&tree, "/etc/aliases.db", 2);
    let shown = moved(&tree, &["undo", "--yes"]);
    assert_eq!(shown.status, 0, "{shown}");
}

#[test]
fn capital_letters_in_keys_are_no_difference() {
    if !has_postfix() {
        return;
    }
    for kind in ["lmdb", "cdb"] {
        let tree = tree();
        tree.write("/etc/postfix/t", "Example.ORG 1\nb 2\n");
        fs::remove_file(tree.real("/etc/postfix/t.db")).unwrap();
        let shown = plan(&tree, kind);
        assert_eq!(shown.status, 0, "{shown}");
    }
}

#[test]
fn an_index_that_comes_back_itself_may_be_too_old_too() {
    if !has_postfix() {
        return;
    }
    let tree = tree();
    // Both types of one table are in force, and one index is out of date.
    let main = fs::read_to_string(tree.real("/etc/postfix/main.cf")).unwrap();
    let more = format!("{main}transport_maps = lmdb:/etc/postfix/t\n");
    tree.write("/etc/postfix/main.cf", more);
    let real = tree.real("/etc/postfix/t");
    tree.write("/etc/postfix/t", "a 1\n");
    postmap("postmap", &[&format!("lmdb:{}", real.display())]).unwrap();
    tree.write("/etc/postfix/t", "a 1\nb 2\n");
    tree.settle();
    let shown = moved(&tree, &["apply", "--yes", "--migrate-tables", "lmdb"]);
    assert_eq!(shown.status, 0, "{shown}");
    assert!(
        shown.stderr.contains("wrote /etc/postfix/t.lmdb"),
        "{shown}"
    );
    tree.write("/etc/postfix/t", "a 1\nb 2\nc 3\n");
    for kind in ["lmdb", "hash"] {
        postmap("postmap", &[&format!("{kind}:{}", real.display())]).unwrap();
    }
    // After the receipt, whatever the clock says.
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    for name in ["t", "t.db", "t.lmdb"] {
        let file = fs::File::open(tree.real(format!("/etc/postfix/{name}"))).unwrap();
        file.set_modified(later).unwrap();
    }
    let shown = moved(&tree, &["undo", "--yes"]);
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown
            .stderr
            .contains("`postmap lmdb:/etc/postfix/t` afterwards"),
        "{shown}"
    );
    assert!(!shown.stderr.contains("`postmap hash:"), "{shown}");
    let shown = moved(&tree, &["undo", "--yes", "--force", "/etc/postfix/t"]);
    assert_eq!(shown.status, 0, "{shown}");
}
