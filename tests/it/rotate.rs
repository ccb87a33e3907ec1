//! `mailfix dkim rotate` with a real BIND: from the new key to the removal of the old record,
//! and every place where it can be interrupted.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::push::World;
use crate::support::Shown;

/// Runs a rotation that asks the one server there is.
fn rotate(world: &World, words: &str) -> Shown {
    let server = world.named.address;
    world.run(&format!("dkim rotate --yes --server {server} {words}"))
}

fn site(world: &World) -> String {
    fs::read_to_string(world.folder.path().join("etc/mailfix/mailfix.toml")).unwrap()
}

/// The key files.
fn keys(world: &World) -> Vec<String> {
    let folder = fs::read_dir(world.folder.path().join("etc/mailfix/dkim")).unwrap();
    let mut names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The selectors that have a record.
fn selectors(world: &World) -> Vec<String> {
    let records = world.records();
    let owners = records
        .iter()
        .filter_map(|line| line.split_once("._domainkey.example.org. "));
    owners.map(|(selector, _)| selector.to_owned()).collect()
}

/// A world in which mail is signed as `mx1`, and the record is published.
fn signed() -> Option<World> {
    let world = World::start()?;
    let shown = world.run("dkim new --yes --selector mx1");
    assert_eq!(shown.status, 0, "{shown}");
    assert_eq!(world.run("dns push --yes").status, 0);
    assert_eq!(selectors(&world), ["mx1"]);
    Some(world)
}

#[test]
fn a_rotation_leaves_no_gap_and_is_taken_back_step_by_step() {
    let Some(world) = signed() else { return };
    let (before, file) = (world.records(), site(&world));
    let shown = world.run("dkim rotate");
    assert_eq!(shown.status, 1, "{shown}");
    assert_eq!(
        (world.records(), keys(&world)),
        (before.clone(), vec!["mx1.private".to_owned()])
    );

    let shown = rotate(&world, "--wait 20s");
    assert_eq!(shown.status, 0, "{shown}");
    let next = selectors(&world)[0].clone();
    assert!(next.starts_with("mx1-2"), "{next}");
    assert_eq!(
        keys(&world),
        [format!("{next}.private"), "mx1.private".to_owned()]
    );
    assert!(
        site(&world).contains(&format!("selector = \"{next}\"")),
        "{}",
        site(&world)
    );
    assert!(site(&world).contains(&format!("dkim/{next}.private")));
    assert!(
        shown.stderr.contains("all name servers have the record"),
        "{shown}"
    );
    assert!(
        shown.stderr.contains("the record of `mx1` stays"),
        "{shown}"
    );
    assert!(!shown.to_string().contains("PRIVATE KEY"), "{shown}");
    assert!(!world.receipts().concat().contains("PRIVATE KEY"));

    // The old record has its days, and another run changes nothing before they are over.
    for words in ["", "--finish"] {
        let shown = rotate(&world, words);
        assert_eq!((shown.status, shown.stdout.as_str()), (0, ""), "{shown}");
        assert!(
            shown.stderr.contains("the record of `mx1` stays until "),
            "{shown}"
        );
        assert_eq!(selectors(&world), [next.as_str(), "mx1"]);
    }
    let shown = rotate(&world, "--keep-days 4294967295");
    assert_eq!(shown.status, 64, "{shown}");
    // Only the operator knows what a signer does that mailfix does not set up.
    let shown = rotate(&world, "--keep-days 0");
    assert_eq!(shown.status, 0, "{shown}");
    let said = format!("the record of `mx1` may go once your signer signs with `{next}`");
    assert!(shown.stderr.contains(&said), "{shown}");
    assert_eq!(selectors(&world), [next.as_str(), "mx1"]);
    // Another host may sign with a key that is not here.
    let key = world.folder.path().join("etc/mailfix/dkim/mx1.private");
    let other = key.with_file_name(format!("{next}.private"));
    let pem = fs::read(&key).unwrap();
    for text in [None, Some(fs::read(other).unwrap())] {
        fs::remove_file(&key).unwrap();
        if let Some(text) = &text {
            fs::write(&key, text).unwrap();
        }
        let shown = rotate(&world, "--finish --keep-days 0");
        assert_eq!((shown.status, shown.stdout.as_str()), (0, ""), "{shown}");
        assert!(
            shown
                .stderr
                .contains("the record of `mx1` is not of a key of this host; it stays"),
            "{shown}"
        );
        assert_eq!(selectors(&world), [next.as_str(), "mx1"]);
        fs::write(&key, &pem).unwrap();
    }
    let shown = rotate(&world, "--finish --keep-days 0");
    assert_eq!(shown.status, 0, "{shown}");
    assert_eq!(selectors(&world), [next.as_str()]);
    assert!(
        shown.stderr.contains("mx1.private` is of no use any more"),
        "{shown}"
    );
    let shown = rotate(&world, "--finish --keep-days 0");
    assert!(
        shown
            .stderr
            .contains("no record of an old key of this host is left"),
        "{shown}"
    );

    // The removal, the change, the publication and the key, each by one undo.
    for (selectors_left, keys_left) in [(2, 2), (2, 2), (1, 2), (1, 1)] {
        let shown = world.run("undo --yes");
        assert_eq!(shown.status, 0, "{shown}");
        assert_eq!(
            (selectors(&world).len(), keys(&world).len()),
            (selectors_left, keys_left)
        );
        // What can bring the key back is named.
        let says = shown.stderr.contains("keeps the removed key (mode 0600)");
        assert_eq!(says, keys_left == 1, "{shown}");
    }
    assert_eq!((world.records(), site(&world)), (before, file));
}

#[test]
fn a_wait_in_vain_is_taken_up_by_the_next_run() {
    let Some(world) = signed() else { return };
    // A lax mode is not taken over.
    let folder = world.folder.path().join("etc/mailfix/dkim");
    let lax = fs::Permissions::from_mode(0o644);
    fs::set_permissions(folder.join("mx1.private"), lax).unwrap();
    // The zone is somebody else's now.
    let path = world.folder.path().join("etc/mailfix/mailfix.toml");
    let update = [
        "[dns.update]",
        "server = ",
        "key = \"/etc/mailfix/tsig.key\"",
    ];
    let file: String = site(&world)
        .replace("[dns]\n", "[dns]\nforward = \"provider\"\n")
        .split_inclusive('\n')
        .filter(|line| !update.iter().any(|words| line.starts_with(words)))
        .collect();
    fs::write(&path, &file).unwrap();
    let shown = rotate(&world, "--wait 1s");
    assert_eq!(shown.status, 1, "{shown}");
    assert!(shown.stdout.contains("Publish this"), "{shown}");
    assert!(
        shown
            .stderr
            .contains("so nothing signs with the new key yet"),
        "{shown}"
    );
    assert_eq!(site(&world), file);
    let made = keys(&world);
    assert_eq!(made.len(), 2);
    let bits = fs::metadata(folder.join(&made[0])).unwrap().mode();
    assert_eq!(bits & 0o777, 0o640);

    // Another key under the selector is not the one.
    let next = made[0].trim_end_matches(".private");
    let owner = format!("{next}._domainkey.example.org.");
    let add = format!("update add {owner} 300 TXT \"v=DKIM1; k=rsa; p=AAAA\"");
    world.named.change(&world.key_path(), &add);
    let shown = rotate(&world, "--wait 1s");
    assert_eq!((shown.status, site(&world)), (1, file), "{shown}");
    assert_eq!(keys(&world), made);

    let record = shown.stdout.split("Publish this\n").nth(1).unwrap();
    let (_, value) = record.split_once(" TXT ").unwrap();
    let value: Vec<&str> = value.split('"').filter(|part| part.len() > 9).collect();
    let value: Vec<String> = value.iter().map(|part| format!("\"{part}\"")).collect();
    let value = value.join(" ");
    let change = format!("update delete {owner} TXT\nupdate add {owner} 300 TXT {value}");
    world.named.change(&world.key_path(), &change);
    let shown = rotate(&world, "--wait 20s");
    assert_eq!(shown.status, 0, "{shown}");
    assert!(
        site(&world).contains(&format!("selector = \"{next}\"")),
        "{shown}"
    );
    assert_eq!(keys(&world), made);
    assert!(!shown.stdout.contains("Publish this"), "{shown}");
}

#[test]
fn without_a_key_or_the_right_to_ask_nothing_is_begun() {
    let Some(world) = World::start() else { return };
    let shown = rotate(&world, "");
    assert_eq!(shown.status, 1, "{shown}");
    assert!(shown.stderr.contains("dkim new"), "{shown}");
    assert_eq!(world.run("dkim new --yes --selector mx1").status, 0);
    let shown = world.run("dkim rotate --yes --offline");
    assert_eq!(shown.status, 64, "{shown}");
    let shown = rotate(&world, "--selector mx1");
    assert_eq!(shown.status, 64, "{shown}");
    assert!(
        shown.stderr.contains("is the selector that signs now"),
        "{shown}"
    );
    world.serve(([127, 0, 0, 1], 9).into());
    fs::write(
        world.folder.path().join("etc/mailfix/mailfix.toml"),
        site(&world) + "[dkim]\nselector = \"mx1\"\nkey = \"/etc/mailfix/dkim/mx1.private\"\n",
    )
    .unwrap();
    let shown = rotate(&world, "--selector mx2");
    assert_eq!(shown.status, 75, "{shown}");
    assert!(
        shown.stderr.contains("cannot be reached over TCP"),
        "{shown}"
    );
    assert!(site(&world).contains("selector = \"mx1\""));
}
