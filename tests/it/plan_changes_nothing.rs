//! `mailfix plan` and `mailfix check` try a configuration out, and leave the machine as it is.

use std::path::Path;
use std::process::Command;

use crate::trace::{changes, has_strace, program};

/// A profile of a machine whose Postfix is configured in the folder of the test.
const PROFILE: &str = include_str!("../../profiles/linux.toml");

const MASTER: &str = include_str!("../../profiles/stock/linux/master.cf");

/// A setting of every kind that leads Postfix's programs out of a copy: queue, data, log, instances.
const MAIN: &str = "\
compatibility_level = 3.6
myhostname = mail.example.org
queue_directory = FOLDER/queue
data_directory = FOLDER/data
maillog_file = FOLDER/maillog
maillog_file_prefixes = FOLDER
multi_instance_wrapper = ${command_directory}/postmulti -p --
multi_instance_enable = yes
multi_instance_directories = FOLDER/other
transport_maps = texthash:$config_directory/transport
";

const SITE: &str = "\
profile = \"FOLDER/profile.toml\"
allow_non_global = true
[server]
hostname = \"mail.example.org\"
ipv4 = [\"192.0.2.1\"]
ipv6 = [\"2001:db8::1\"]
[dns]
forward = \"self\"
reverse4 = \"self\"
reverse6 = \"none\"
[[domain]]
name = \"example.org\"
";

fn has_postfix() -> bool {
    let has = Command::new("postconf")
        .args(["-d", "mail_version"])
        .output()
        .is_ok_and(|output| !output.stdout.is_empty());
    if !has {
        assert!(std::env::var_os("CI").is_none(), "CI has Postfix");
        println!("skipped: no Postfix here");
    }
    has
}

/// Lays the machine's files out in a folder.
fn lay_out(folder: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
    };
    let profile: String = PROFILE
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("config", _)) => "config = \"FOLDER/etc\"\n".to_owned(),
            Some(("state", _)) => "state = \"FOLDER/state\"\n".to_owned(),
            Some(("site", _)) => "site = \"FOLDER/mailfix.toml\"\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    write("profile.toml", &profile);
    write("mailfix.toml", SITE);
    write("etc/main.cf", MAIN);
    write("etc/master.cf", MASTER);
    write("etc/transport", "example.com relay:[192.0.2.9]\n");
    std::fs::create_dir(folder.join("tmp")).unwrap();
}

#[test]
fn nothing_outside_the_temporary_folder_is_changed() {
    if !has_strace() || !has_postfix() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    lay_out(&folder);
    let temporary = folder.join("tmp");
    let is_root = nix::unistd::geteuid().is_root();
    for verb in ["plan", "check"] {
        // strace hands its environment on, but `changes` takes the arguments only.
        let mut command = Command::new("env");
        command
            .arg(format!("TMPDIR={}", temporary.display()))
            .arg(program("mailfix"))
            .args([verb, "--offline", "--site"])
            .arg(folder.join("mailfix.toml"));
        let (inside, outside): (Vec<String>, Vec<String>) = changes(&mut command, &[])
            .into_iter()
            .partition(|change| change.contains(temporary.to_str().unwrap()));
        assert_eq!(outside, [""; 0], "`mailfix {verb}`");
        assert!(
            inside
                .iter()
                .any(|change| change.contains("config/main.cf")),
            "`mailfix {verb}` tries nothing out"
        );
        let checks = inside.iter().any(|change| change.contains("/queue/active"));
        assert_eq!(checks, is_root, "`postfix check` is for root");
        let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
