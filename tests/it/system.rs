//! The real system, on trees of its own.

use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use mailfix::system::{
    Command, File, Kind, Letter, Query, RealSystem, Rehearsal, System, SystemError, Trial,
    is_unfinished,
};

struct Tree {
    folder: tempfile::TempDir,
    system: RealSystem,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("etc/postfix")).unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let system = RealSystem::new(Some(root)).unwrap();
        Self { folder, system }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    /// Whose the files of this test are.
    fn owner(&self) -> (u32, u32) {
        let metadata = std::fs::metadata(self.folder.path()).unwrap();
        (metadata.uid(), metadata.gid())
    }

    fn file(&self, text: &str, mode: u32) -> File {
        let (uid, gid) = self.owner();
        File::new(text, mode, uid, gid)
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const MAIN_CF: &str = "/etc/postfix/main.cf";

#[test]
fn what_is_written_is_read_again() {
    let mut tree = Tree::new();
    for mode in [0o600, 0o644, 0o444, 0o4755, 0o000] {
        let file = tree.file("a = 1\n", mode);
        tree.system.write(MAIN_CF.into(), &file).unwrap();
        if mode != 0 || tree.system.is_root() {
            assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), Some(file));
        }
    }
    assert_eq!(names(&tree.at("etc/postfix")), ["main.cf"]);
    tree.system.remove(MAIN_CF.into()).unwrap();
    tree.system.remove(MAIN_CF.into()).unwrap();
    assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), None);
    assert_eq!(tree.system.stat(MAIN_CF.into()).unwrap(), None);
}

#[test]
fn owners_are_kept() {
    let mut tree = Tree::new();
    if !tree.system.is_root() {
        println!("skipped: only root gives files away");
        return;
    }
    let file = File::new("a = 1\n", 0o2755, 12345, 54321);
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), Some(file));
    let directory = "/etc/postfix/mailfix";
    tree.system
        .make_directory(directory.into(), 0o2750, 12345, 54321)
        .unwrap();
    let stat = tree.system.stat(directory.into()).unwrap().unwrap();
    assert_eq!(
        (stat.kind, stat.mode, stat.uid, stat.gid),
        (Kind::Directory, 0o2750, 12345, 54321)
    );
}

#[test]
fn symbolic_links_stay_links_and_lead_within_the_tree() {
    let mut tree = Tree::new();
    std::fs::create_dir(tree.at("srv")).unwrap();
    symlink("/srv/main.cf", tree.at("etc/postfix/main.cf")).unwrap();
    for text in ["made through a dangling link", "replaced"] {
        let file = tree.file(text, 0o640);
        tree.system.write(MAIN_CF.into(), &file).unwrap();
        assert_eq!(
            std::fs::read_to_string(tree.at("srv/main.cf")).unwrap(),
            text
        );
        assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), Some(file));
    }
    assert!(tree.at("etc/postfix/main.cf").is_symlink());
    assert_eq!(names(&tree.at("srv")), ["main.cf"]);
    let stat = tree.system.stat(MAIN_CF.into()).unwrap().unwrap();
    assert_eq!(stat.real, "/srv/main.cf");
    tree.system.remove(MAIN_CF.into()).unwrap();
    assert!(tree.at("etc/postfix/main.cf").is_symlink());
    assert!(!tree.at("srv/main.cf").exists());
}

#[test]
fn attributes_are_kept() {
    let mut tree = Tree::new();
    let file = tree.file("a = 1\n", 0o440);
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    let place = tree.at("etc/postfix/main.cf");
    if let Err(error) = xattr::set(&place, "user.note", b"mine") {
        println!("skipped: this file system keeps no attributes: {error}");
        return;
    }
    let mut file = tree.system.read(MAIN_CF.into()).unwrap().unwrap();
    file.attributes.retain(|(name, _)| name == "user.note");
    assert_eq!(
        file.attributes,
        [("user.note".to_owned(), b"mine".to_vec())]
    );
    file.bytes = b"a = 2\n".to_vec();
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(
        xattr::get(&place, "user.note").unwrap(),
        Some(b"mine".to_vec())
    );
    file.attributes.clear();
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(xattr::get(&place, "user.note").unwrap(), None);
}

#[test]
fn access_lists_are_kept_and_not_inherited() {
    let mut tree = Tree::new();
    let file = tree.file("a = 1\n", 0o600);
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    let place = tree.at("etc/postfix/main.cf");
    // acl(5) on the disk: version 2; user::rw-, user:4242:r--, group::---, mask::r--, other::---.
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 4, 4242),
        (0x04, 0, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    if let Err(error) = xattr::set(&place, "system.posix_acl_access", &list) {
        println!("skipped: this file system keeps no access lists: {error}");
        return;
    }
    let mut listed = tree.system.read(MAIN_CF.into()).unwrap().unwrap();
    assert_eq!(listed.mode, 0o640, "the mask shows as the group's bits");
    listed.bytes = b"a = 2\n".to_vec();
    tree.system.write(MAIN_CF.into(), &listed).unwrap();
    assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), Some(listed));

    xattr::set(tree.at("etc/postfix"), "system.posix_acl_default", &list).unwrap();
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(tree.system.read(MAIN_CF.into()).unwrap(), Some(file));
}

#[test]
fn a_file_is_replaced_not_rewritten() {
    let mut tree = Tree::new();
    let old = tree.file("old", 0o644);
    tree.system.write(MAIN_CF.into(), &old).unwrap();
    let place = tree.at("etc/postfix/main.cf");
    let reader = std::fs::File::open(&place).unwrap();
    std::fs::hard_link(&place, tree.at("etc/postfix/other")).unwrap();
    let new = tree.file("new", 0o644);
    tree.system.write(MAIN_CF.into(), &new).unwrap();
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
    let other = std::fs::read_to_string(tree.at("etc/postfix/other")).unwrap();
    assert_eq!(other, "old");
}

#[test]
fn what_a_killed_run_left_is_found_and_replaced() {
    let mut tree = Tree::new();
    let left = tree.at("etc/postfix/.main.cf.mailfix-new");
    std::fs::write(&left, "half").unwrap();
    assert!(is_unfinished(".main.cf.mailfix-new"));
    let file = tree.file("whole", 0o644);
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(names(&tree.at("etc/postfix")), ["main.cf"]);

    // Someone's trap: writing must not go through a link of that name.
    symlink("main.cf", &left).unwrap();
    let file = tree.file("whole again", 0o644);
    tree.system.write(MAIN_CF.into(), &file).unwrap();
    assert_eq!(names(&tree.at("etc/postfix")), ["main.cf"]);

    std::fs::write(&left, "half").unwrap();
    assert!(tree.system.remove_leftover(MAIN_CF.into()).unwrap());
    assert!(!tree.system.remove_leftover(MAIN_CF.into()).unwrap());
    std::fs::create_dir(tree.at("etc/.postfix.mailfix-new")).unwrap();
    assert!(tree.system.remove_leftover("/etc/postfix".into()).unwrap());
    assert!(!tree.system.remove_leftover("/".into()).unwrap());
}

#[test]
fn what_cannot_be_written_leaves_all_as_it_was() {
    let mut tree = Tree::new();
    let file = tree.file("x", 0o644);
    let error = tree.system.write("/nowhere/main.cf".into(), &file);
    assert!(matches!(error, Err(SystemError::Write { .. })), "{error:?}");
    let error = tree.system.write("/etc/postfix".into(), &file).unwrap_err();
    assert_eq!(error.to_string(), "`/etc/postfix` is not a regular file");
    let long = format!("/etc/postfix/{}", "x".repeat(250));
    tree.system.write(long.as_str().into(), &file).unwrap_err();
    assert_eq!(names(&tree.at("etc/postfix")), Vec::<String>::new());
    assert_eq!(names(&tree.at("etc")), ["postfix"]);
}

#[test]
fn only_regular_files_are_read() {
    let mut tree = Tree::new();
    let status = Process::new("mkfifo")
        .arg(tree.at("etc/fifo"))
        .status()
        .unwrap();
    assert!(status.success());
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("etc/socket")).unwrap();
    for path in ["/etc/fifo", "/etc/socket", "/etc/postfix"] {
        let error = tree.system.read(path.into()).unwrap_err();
        assert!(matches!(error, SystemError::NotAFile { .. }), "{error}");
        let error = tree.system.remove(path.into()).unwrap_err();
        assert!(matches!(error, SystemError::NotAFile { .. }), "{error}");
    }
    assert_eq!(tree.system.read("/etc/fifo/x".into()).unwrap(), None);
    let stat = tree.system.stat("/etc/fifo".into()).unwrap().unwrap();
    assert_eq!(stat.kind, Kind::Other);
}

#[test]
fn directories_are_made_and_removed_when_empty() {
    let mut tree = Tree::new();
    let (uid, gid) = tree.owner();
    let path = Utf8Path::new("/etc/postfix/mailfix");
    tree.system.make_directory(path, 0o750, uid, gid).unwrap();
    let error = tree.system.make_directory(path, 0o750, uid, gid);
    assert!(matches!(error, Err(SystemError::Write { .. })), "{error:?}");
    assert_eq!(
        tree.system.list("/etc/postfix".into()).unwrap(),
        ["mailfix"]
    );
    let file = tree.file("", 0o644);
    tree.system.write(&path.join("x"), &file).unwrap();
    assert!(!tree.system.remove_directory(path).unwrap());
    tree.system.remove(&path.join("x")).unwrap();
    assert!(tree.system.remove_directory(path).unwrap());
    assert!(tree.system.remove_directory(path).unwrap());
    assert_eq!(tree.system.list(path).unwrap(), Vec::<String>::new());
}

#[test]
fn users_are_those_of_the_tree() {
    let tree = Tree::new();
    assert_eq!(tree.system.user("root").unwrap(), None);
    let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\npostfix:x:89:90::/:/bin/false\n";
    std::fs::write(tree.at("etc/passwd"), passwd).unwrap();
    assert_eq!(tree.system.user("postfix").unwrap(), Some((89, 90)));
    assert_eq!(tree.system.user("broken").unwrap(), None);
    let machine = RealSystem::new(None).unwrap();
    assert_eq!(machine.user("root").unwrap(), Some((0, 0)));
    assert_eq!(machine.user("no-such-user").unwrap(), None);
}

#[test]
fn one_mailfix_at_a_time() {
    let mut tree = Tree::new();
    let root = tree.system.root().unwrap().to_owned();
    let mut other = RealSystem::new(Some(root)).unwrap();
    let lock = Utf8Path::new("/etc/lock");
    tree.system.lock(lock).unwrap();
    tree.system.lock(lock).unwrap();
    let error = other.lock(lock).unwrap_err();
    assert_eq!(
        error.to_string(),
        "another mailfix is at work (it holds `/etc/lock`)"
    );
    drop(tree.system);
    other.lock(lock).unwrap();
    let mode = std::fs::metadata(tree.folder.path().join("etc/lock")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn nothing_of_the_running_system_is_asked_or_changed_for_a_tree() {
    let mut tree = Tree::new();
    let config = Utf8PathBuf::from("/etc/postfix");
    let status = Query::Status {
        config: config.clone(),
    };
    assert_eq!(tree.system.query(&status).unwrap().status, 1);
    let reload = Command::Reload {
        config: config.clone(),
    };
    let error = tree.system.run(&reload).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`postfix -c /etc/postfix reload` is not run for a tree"
    );
    let check = Rehearsal {
        runs: vec![Trial::Check { config }],
        ..Rehearsal::default()
    };
    let error = tree.system.rehearse(&check).unwrap_err();
    assert!(matches!(error, SystemError::Rooted { .. }), "{error}");
    let this = i32::try_from(std::process::id()).unwrap();
    assert!(!tree.system.is_alive(this));
    let machine = RealSystem::new(None).unwrap();
    assert!(machine.is_alive(this));
    assert!(machine.is_alive(1));
    assert!(!machine.is_alive(0));
}

#[test]
fn addresses_are_those_others_can_reach() {
    for address in RealSystem::new(None).unwrap().addresses().unwrap() {
        assert!(
            !address.is_loopback() && !address.is_unspecified(),
            "{address}"
        );
    }
}

#[test]
fn the_kernel_says_where_mail_would_leave_from() {
    let system = RealSystem::new(None).unwrap();
    let source = |to: &str| system.source(to.parse().unwrap()).unwrap();
    assert_eq!(source("127.0.0.1"), "127.0.0.1".parse().ok());
    // A machine without IPv6 has no way there, which is no error.
    assert!(matches!(
        source("::1"),
        None | Some(IpAddr::V6(Ipv6Addr::LOCALHOST))
    ));
}

#[test]
fn a_message_goes_to_the_sendmail_named_and_nowhere_else() {
    let mut tree = Tree::new();
    let note = tree.at("note");
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$@\" >{0}\ncat >>{0}\nexit 75\n",
        note.display()
    );
    let path = Utf8PathBuf::from_path_buf(tree.at("sendmail")).unwrap();
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let letter = Letter {
        config: "/etc/postfix".into(),
        sendmail: path,
        sender: "postmaster@example.org".to_owned(),
        recipient: "-x@example.org".to_owned(),
        text: b"Subject: x\n\n.\n".to_vec(),
    };
    // A tree is not the machine whose mail it would be.
    let error = tree.system.send(&letter).unwrap_err();
    assert!(matches!(error, SystemError::Rooted { .. }), "{error}");
    assert!(!note.exists());
    let mut system = RealSystem::new(None).unwrap();
    assert_eq!(system.send(&letter).unwrap().status, 75);
    assert_eq!(
        std::fs::read_to_string(&note).unwrap(),
        "-C|/etc/postfix|-i|-N|never|-f|postmaster@example.org|--|-x@example.org|Subject: x\n\n.\n"
    );
    for missing in ["/nowhere/sendmail", "sendmail", ""] {
        let letter = Letter {
            sendmail: missing.into(),
            ..letter.clone()
        };
        let error = system.send(&letter).unwrap_err();
        assert!(matches!(error, SystemError::Missing { .. }), "{error}");
    }
}

#[test]
fn a_file_is_told_from_a_later_one_of_its_name() {
    let tree = Tree::new();
    let inode = || tree.system.stat(MAIN_CF.into()).unwrap().unwrap().inode;
    std::fs::write(tree.at("etc/postfix/main.cf"), "a").unwrap();
    let first = inode();
    std::fs::write(tree.at("etc/postfix/main.cf"), "b").unwrap();
    assert_eq!(inode(), first);
    std::fs::rename(
        tree.at("etc/postfix/main.cf"),
        tree.at("etc/postfix/main.cf.1"),
    )
    .unwrap();
    std::fs::write(tree.at("etc/postfix/main.cf"), "c").unwrap();
    assert_ne!(inode(), first);
}

#[test]
fn a_root_must_be_a_directory() {
    let tree = Tree::new();
    std::fs::write(tree.at("file"), "").unwrap();
    for name in ["file", "nothing"] {
        let root = Utf8PathBuf::from_path_buf(tree.at(name)).unwrap();
        let error = RealSystem::new(Some(root)).unwrap_err();
        assert!(error.to_string().starts_with("cannot read `"), "{error}");
    }
}

pub fn has_postfix() -> bool {
    let is_there = Process::new("postconf")
        .env("PATH", "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin")
        .args(["-d", "mail_version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "CI has Postfix");
        println!("skipped: no Postfix here");
    }
    is_there
}

#[test]
fn postfix_is_asked_about_the_tree() {
    if !has_postfix() {
        return;
    }
    let tree = Tree::new();
    std::fs::create_dir_all(tree.at("srv")).unwrap();
    std::fs::write(tree.at("srv/main.cf"), "syslog_name = treefix\n").unwrap();
    std::fs::write(tree.at("srv/table"), "gmail.com x:\n").unwrap();
    symlink("/srv/main.cf", tree.at("etc/postfix/main.cf")).unwrap();
    symlink("/srv/table", tree.at("etc/postfix/table")).unwrap();
    std::fs::create_dir(tree.at("etc/plain")).unwrap();
    std::fs::write(tree.at("etc/plain/main.cf"), "syslog_name = plainfix\n").unwrap();
    let config = Utf8PathBuf::from("/etc/postfix");
    // The kernel would follow main.cf's link out of the tree.
    for (directory, name) in [("/etc/postfix", "treefix\n"), ("/etc/plain", "plainfix\n")] {
        let output = tree
            .system
            .query(&Query::Postconf {
                config: Some(directory.into()),
                arguments: vec!["-h".to_owned(), "syslog_name".to_owned()],
            })
            .unwrap();
        assert_eq!(output.text(), name);
    }
    for table in [
        "texthash:/etc/postfix/table",
        "proxy:texthash:/etc/postfix/table",
    ] {
        let output = tree
            .system
            .query(&Query::Lookup {
                config: config.clone(),
                table: table.to_owned(),
                keys: vec!["gmail.com".to_owned(), "example.org".to_owned()],
            })
            .unwrap();
        assert_eq!(output.text(), "gmail.com\tx:\n", "{}", output.errors());
    }
    let error = tree
        .system
        .query(&Query::Lookup {
            config,
            table: "unionmap:{texthash:/etc/postfix/table}".to_owned(),
            keys: vec!["x".to_owned()],
        })
        .unwrap_err();
    assert!(matches!(error, SystemError::Rooted { .. }), "{error}");
}

#[test]
fn a_rehearsed_check_says_what_is_wrong() {
    if !has_postfix() {
        return;
    }
    let system = RealSystem::new(None).unwrap();
    if !system.is_root() {
        println!("skipped: postfix check is root's");
        return;
    }
    let main_cf = "compatibility_level = 3.6\nqueue_directory = @COPY@/queue\n\
                   data_directory = @COPY@/data\nmaillog_file =\n";
    let master_cf = "smtp unix - - n - - smtp\n";
    let check = |main_cf: &str, master_cf: &str| {
        let file = |text: &str| File::new(text, 0o644, 0, 0);
        let rehearsal = Rehearsal {
            files: vec![
                ("etc/main.cf".into(), file(main_cf)),
                ("etc/master.cf".into(), file(master_cf)),
            ],
            directories: vec!["queue".into(), "data".into()],
            runs: vec![Trial::Check {
                config: "etc".into(),
            }],
            ..Rehearsal::default()
        };
        system.rehearse(&rehearsal).unwrap().outputs.remove(0)
    };
    let broken = format!("{main_cf}inet_protocols = ipv9\n");
    let output = check(&broken, master_cf);
    assert_ne!(output.status, 0);
    // Up to 3.7 this is said on a terminal only.
    assert!(output.errors().contains("ipv9"), "{}", output.errors());
    let output = check(main_cf, "smtp unix - - n smtp\n");
    assert_ne!(output.status, 0);
    assert!(
        output.errors().contains("@COPY@/etc/master.cf"),
        "{}",
        output.errors()
    );
    let output = check(main_cf, master_cf);
    assert_eq!(output.status, 0, "{}", output.errors());
}
