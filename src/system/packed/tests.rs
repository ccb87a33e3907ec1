use tar::{Builder, Header};

use super::*;

const MANIFEST: &str =
    "format 1\nmailfix 0.1.0\nkernel Darwin\nhost mail\ntime 2026-11-25T22:00:00Z\nend\n";

/// The paths of a machine like Mac OS X, where `/etc` is a link.
const PATHS: &str = "\
path /etc
ls lrwxr-xr-x  1 0  0  11 Nov 25 22:00 /etc -> private/etc
path /private
ls drwxr-xr-x  6 0  0  204 Nov 25 22:00 /private
path /private/etc
ls drwxr-xr-x  90 0  0  3060 Nov 25 22:00 /private/etc
path /private/etc/postfix
ls drwxr-xr-x@ 4 0  0  136 Nov 25 22:00 /private/etc/postfix
listed /private/etc/postfix
path /private/etc/postfix/main.cf
ls -rw-r-----+ 1 0  27  4 Nov 25 22:00 /private/etc/postfix/main.cf
path /private/etc/postfix/a b
ls -rwsr-xr-t  1 4242  8  5 Nov 25 22:00 /private/etc/postfix/a b
path /private/etc/postfix/out
ls lrwxr-xr-x  1 0  0  4 Nov 25 22:00 /private/etc/postfix/out -> /opt/x
path /private/etc/postfix/pipe
ls prw-------  1 0  0  0 Nov 25 22:00 /private/etc/postfix/pipe
absent /Library
";

/// An archive of these files; what is not among them is there as it should be.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut all = BTreeMap::from([
        ("manifest", MANIFEST),
        ("paths", PATHS),
        ("alive", "77\n"),
        ("users", "27 28 _postfix\n"),
        ("contents", "3911966975 4 0 /private/etc/postfix/main.cf\n"),
        ("files/private/etc/postfix/main.cf", "a=1\n"),
        ("times/private/etc/postfix/a b", ""),
        ("queries/1/words", "postconf\n\n-d\n-h\nconfig_directory\n"),
        ("queries/1/status", "0\n"),
        ("queries/1/out", "/etc/postfix\n"),
        ("queries/2/words", "postconf\n/etc/postfix\n"),
        ("queries/2/status", "0\n"),
        (
            "queries/2/out",
            "mail_version = 2.9.1\nlong = a,\n    b\nempty =\nlast = x\n",
        ),
        ("queries/3/words", "postmap\n/etc/postfix\nhash:/t\n"),
        ("queries/3/status", "1\n"),
        ("queries/3/keys", "*\ngmail.com\n"),
        ("queries/3/out", "gmail.com\tsmtp:\n"),
    ]);
    all.extend(files.iter().copied());
    let mut builder = Builder::new(Vec::new());
    for (name, text) in all {
        let mut header = Header::new_ustar();
        header.set_size(text.len().try_into().unwrap());
        header.set_mtime(1000);
        header.set_mode(0o600);
        builder
            .append_data(
                &mut header,
                format!("mailfix-collected/{name}"),
                text.as_bytes(),
            )
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn machine() -> PackedSystem {
    PackedSystem::read(&archive(&[])).unwrap()
}

fn said<T: std::fmt::Debug>(result: Result<T, SystemError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn files_are_read_through_links_as_they_were() {
    let machine = machine();
    let file = machine
        .read("/etc/postfix/main.cf".into())
        .unwrap()
        .unwrap();
    assert_eq!(file, File::new("a=1\n", 0o640, 0, 27));
    let stat = machine
        .stat("/etc/postfix/main.cf".into())
        .unwrap()
        .unwrap();
    assert_eq!(stat.real, "/private/etc/postfix/main.cf");
    assert_eq!((stat.kind, stat.modified, stat.size), (Kind::File, 1000, 4));
    let stat = machine.stat("/etc/postfix/a b".into()).unwrap().unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid), (0o5755, 4242, 8));
    assert_eq!(stat.modified, 1000);
    let pipe = machine.stat("/etc/postfix/pipe".into()).unwrap().unwrap();
    assert_eq!(pipe.kind, Kind::Other);
    assert_eq!(
        machine.list("/etc/postfix".into()).unwrap(),
        ["a b", "main.cf", "out", "pipe"]
    );
    assert_eq!((machine.kernel(), machine.host()), ("Darwin", "mail"));
    assert!(machine.is_alive(77) && !machine.is_alive(78));
    assert_eq!(machine.user("_postfix").unwrap(), Some((27, 28)));
    assert_eq!(
        said(machine.user("other")),
        "the number of the user `other` was not collected"
    );
}

#[test]
fn what_nobody_looked_at_is_not_taken_for_missing() {
    let machine = machine();
    for absent in [
        "/etc/postfix/mailfix/transport",
        "/Library/Server",
        "/etc/postfix/main.cf/x",
    ] {
        assert_eq!(machine.stat(absent.into()).unwrap(), None, "{absent}");
        assert_eq!(machine.read(absent.into()).unwrap(), None, "{absent}");
        assert_eq!(machine.list(absent.into()).unwrap(), [""; 0], "{absent}");
    }
    for unknown in ["/usr/lib", "/etc/aliases", "/etc/postfix/out"] {
        assert_eq!(
            said(machine.stat(unknown.into())),
            format!("what is at `{unknown}` was not collected")
        );
    }
    assert_eq!(
        said(machine.list("/etc".into())),
        "what is in `/etc` was not collected"
    );
    assert_eq!(
        said(machine.read("/etc/postfix/a b".into())),
        "cannot read `/etc/postfix/a b`: its content was left behind on the server"
    );
    assert_eq!(
        said(machine.addresses()),
        "the addresses of the network interfaces was not collected"
    );
}

#[test]
fn programs_say_what_they_said() {
    let machine = machine();
    let postconf = |config: Option<&str>, arguments: &[&str]| {
        machine.query(&Query::Postconf {
            config: config.map(Into::into),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        })
    };
    let text = |output: Result<Output, SystemError>| output.unwrap().text();
    assert_eq!(
        text(postconf(None, &["-d", "-h", "config_directory"])),
        "/etc/postfix\n"
    );
    let config = Some("/etc/postfix");
    assert!(text(postconf(config, &[])).starts_with("mail_version"));
    assert_eq!(
        text(postconf(
            config,
            &["-h", "long", "none", "empty", "mail_version"]
        )),
        "a, b\n\n2.9.1\n"
    );
    assert_eq!(
        said(postconf(config, &["-M"])),
        "what `postconf -c /etc/postfix -M` says was not collected"
    );
    let lookup = |table: &str, keys: &[&str]| {
        machine.query(&Query::Lookup {
            config: "/etc/postfix".into(),
            table: table.to_owned(),
            keys: keys.iter().map(ToString::to_string).collect(),
        })
    };
    assert_eq!(
        text(lookup("hash:/t", &["gmail.com"])),
        "gmail.com\tsmtp:\n"
    );
    assert_eq!(
        said(lookup("hash:/t", &["gmail.com", "other.example"])),
        "what `hash:/t` says of `other.example` was not collected"
    );
    assert_eq!(
        said(lookup("hash:/u", &[])),
        "what `hash:/u` says was not collected"
    );
}

#[test]
fn nothing_can_be_changed() {
    let mut machine = machine();
    let path = Utf8Path::new("/etc/postfix/main.cf");
    assert!(machine.write(path, &File::default()).is_err());
    assert!(machine.remove(path).is_err());
    assert!(machine.make_directory(path, 0o755, 0, 0).is_err());
    assert!(machine.lock(path).is_err());
    let reload = Command::Reload {
        config: path.into(),
    };
    assert!(machine.run(&reload).is_err());
}

#[test]
fn addresses_come_from_either_program() {
    let ip = "2: eth0: <UP> mtu 1500\n    inet 192.0.2.10/24 scope global eth0\n";
    let ifconfig = "en0: flags=8863<UP> mtu 1500\n\tinet6 2001:db8::10 prefixlen 64\n";
    let bytes = archive(&[("addresses/ip", ip), ("addresses/ifconfig", ifconfig)]);
    let found = PackedSystem::read(&bytes).unwrap().addresses().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let error = PackedSystem::read(&archive(files)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_is_wrong_with_an_archive_is_named() {
    check(
        &[("manifest", "format 7\n")],
        "this archive has format 7, the script of a newer mailfix wrote it; this one knows format 1",
    );
    check(
        &[("manifest", "format 1\nkernel Linux\n")],
        "the archive is not complete: the script was broken off",
    );
    check(
        &[("manifest", "nonsense\n")],
        "`manifest` of the archive has a line that cannot be read: `nonsense`",
    );
    check(
        &[("files/private/etc/postfix/main.cf", "a=2\n")],
        "`/private/etc/postfix/main.cf` was damaged on its way: its sum is not the one taken on the machine",
    );
    check(
        &[("contents", "1 2 0 /nowhere\n")],
        "`mailfix collect` has not written this archive: it lacks `files/nowhere`",
    );
    for (file, line) in [
        ("contents", "1 2 /nowhere"),
        ("paths", "nonsense"),
        ("alive", "x"),
        ("users", "1 postfix"),
        ("queries/1/words", "rm"),
        ("queries/1/status", "x"),
    ] {
        check(
            &[(file, &format!("{line}\n"))],
            &format!("`{file}` of the archive has a line that cannot be read: `{line}`"),
        );
    }
    check(
        &[("paths", "path /x\nls no\n")],
        "`paths` of the archive has a line that cannot be read: `ls no`",
    );
}

#[test]
fn lines_that_were_left_out_are_known() {
    let bytes = archive(&[("contents", "1 9 1 /private/etc/postfix/main.cf\n")]);
    let machine = PackedSystem::read(&bytes).unwrap();
    let original = machine.originals()[Utf8Path::new("/private/etc/postfix/main.cf")];
    assert_eq!((original.sum, original.size, original.hidden), (1, 9, 1));
}

#[test]
fn an_empty_archive_is_none() {
    let bytes = Builder::new(Vec::new()).into_inner().unwrap();
    assert_eq!(
        PackedSystem::read(&bytes).unwrap_err().to_string(),
        "`mailfix collect` has not written this archive: it lacks `manifest`"
    );
}

#[test]
fn letters_are_permissions() {
    for (letters, bits) in [
        ("rw-r--r--", 0o644),
        ("rwxrwxrwx", 0o777),
        ("--S--s--T", 0o7010),
        ("rwsr-sr-t", 0o7755),
    ] {
        assert_eq!(lines::mode(letters.as_bytes()), Some(bits), "{letters}");
    }
    assert_eq!(lines::mode(b"rw?r--r--"), None);
}
