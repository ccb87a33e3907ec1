//! Machines that cannot run mailfix: collected by a shell script, planned for here, changed by
//! the scripts that are carried back.
//!
//! `tests/collected/` holds machines as the script packs them, each a folder; they are put into
//! an archive here. Where there is a Postfix and we are root, the scripts themselves are run, by
//! every shell there is.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mailfix::profile::Profile;
use tempfile::TempDir;

use crate::support::{SITE, Shown, Snapshots, binary, has_postfix, normalized, run};

/// The time in all runs.
const NOW: &str = "2026-11-25T19:30:00Z";

/// Shells that old machines have, or that are like theirs.
const SHELLS: [&[&str]; 5] = [
    &["dash"],
    &["busybox", "sh"],
    &["bash"],
    &["ksh"],
    &["mksh"],
];

/// All that the scripts may use beside Postfix's own programs: POSIX utilities, and `tar`.
const UTILITIES: [&str; 25] = [
    "awk", "cat", "chmod", "chown", "cksum", "cp", "date", "find", "grep", "id", "ls", "mkdir",
    "mv", "printf", "ps", "rm", "rmdir", "sed", "sleep", "sh", "tail", "tar", "touch", "uname",
    "wc",
];

/// What must never leave a machine; each is planted somewhere in it.
const SECRETS: [&str; 42] = [
    "planted-1",
    "planted-2",
    "planted-3",
    "planted-4",
    "planted-10",
    "planted-11",
    "planted-5",
    "planted-6",
    "planted-7",
    "planted-8",
    "planted-9",
    "planted-12",
    "planted-13",
    "planted-14",
    "planted-15",
    "planted-16",
    "planted-17",
    "planted-18",
    "planted-19",
    "planted-20",
    "planted-21",
    "planted-22",
    "planted-23",
    "planted-24",
    "planted-25",
    "planted-26",
    "planted-27",
    "planted-28",
    "planted-29",
    "planted-30",
    "planted-31",
    "planted-32",
    "planted-33",
    "planted-34",
    "planted-35",
    "planted-36",
    "planted-37",
    "planted-38",
    "planted-41",
    "planted-42",
    "planted-43",
    "planted-44",
];

/// Settings with passwords in all shapes.
const PLANTED_MAIN: &str = "\
relay_maps = static:me:planted-13
sender_maps = $relay_maps
many_maps = hash:/x
  inline:{
  # off
  { a = me:planted-14 }, {b=me:planted-15} }
other_sasl_passwd_maps = inline:{ {a=me:planted-16},
  {b=me:planted-17} }
urls = http://a:planted-18@h http://a@b:planted-19@x@h http://h?a=b&password=planted-20
own_command = /bin/true --password=planted-21 --pass planted-22 -v
db_password2 = planted-23
ownpw = planted-24
own_credentials = planted-25
# own_pw3: planted-26
# relay_maps = static:me:planted-27
";

/// Services with passwords in all shapes, and one without.
const PLANTED_MASTER: &str = "\
i unix - - n - - smtp
  -o lmtp_sasl_password_maps=hash:/x/passwd
  -o syslog_name=kept-for-planning
a unix - - n - - smtp -o smtp_sasl_password_maps=hash:/x,static:me:planted-28 -o smtp_helo_timeout=9
b unix - - n - - smtp -o smtp_sasl_password_maps={static:me:planted-29}
c unix - - n - - smtp
  -o { smtp_sasl_password_maps =
  static:me:planted-30 }
  -o smtp_helo_timeout=9
d unix - n n - - pipe user=nobody argv=/bin/true --password
  planted-31 -v
e unix - - n - - smtp
  -o { smtp_sasl_password_maps = inline:{ {[h]=me:planted-32}, {[k]=me:planted-33} } }
f unix - - n - - smtp -o { smtp_sasl_password_maps = inline:{
  {[h]=me:planted-34}
  {[k]=me:planted-35} } }
g unix - - n - - smtp -o relay_maps=static:me:planted-36
h unix - n n - - pipe user=nobody argv=/bin/true --password=\"a planted-37\" http://a:planted-38@h
";

/// Puts a folder of `tests/collected/` into an archive.
fn pack(name: &str, archive: &Path) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/collected")
        .join(name);
    let mut builder = tar::Builder::new(fs::File::create(archive).unwrap());
    // Neither the order nor the times that a checkout gives files may matter.
    builder.mode(tar::HeaderMode::Deterministic);
    builder.append_dir_all("mailfix-collected", top).unwrap();
    builder.finish().unwrap();
}

#[test]
fn an_os_x_server_is_planned_for_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    pack("osx-server", Path::new(&path("machine.tar")));
    fs::write(path("site.toml"), SITE).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let (archive, site, out) = (path("machine.tar"), path("site.toml"), path("out"));
    let words = ["plan", "--from", &archive, "--site", &site, "--offline"];
    let run = |more: &[&str]| run(&[&words[..], more].concat(), now, None);
    let shown = run(&["--out", &out, "--yes"]);
    let snapshots = Snapshots::new("collected-osx-server");
    let check = |name: &str, text: &str| snapshots.check(name, &normalized(text, folder.path()));
    check("plan", &shown.to_string());
    for name in ["INSTALL.txt", "apply.sh", "undo.sh"] {
        let text = fs::read_to_string(folder.path().join("out").join(name)).unwrap();
        check(name, &text);
    }
    check("json", &run(&["--json", "--detailed-exitcode"]).to_string());
    // Nobody can be asked, and nobody agreed.
    check("no-answer", &run(&["--out", &path("other")]).to_string());
    assert!(!Path::new(&path("other")).exists());
    snapshots.end();
    // The same again changes nothing.
    let again = run(&["--out", &out, "--yes"]);
    assert!(!again.stderr.contains("wrote"), "{again}");
    // The changed files hold every byte of the old ones, other encodings too.
    let main = fs::read(new_file(&folder.path().join("out"), "main.cf")).unwrap();
    assert!(main.windows(8).any(|bytes| bytes == b"# r\xe9seau"));
}

/// The carried file of this name, whatever its number.
fn new_file(out: &Path, name: &str) -> PathBuf {
    fs::read_dir(out.join("new"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(&format!("-{name}")))
        .unwrap()
}

#[test]
fn what_was_not_collected_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    pack("osx-server", Path::new(&path("machine.tar")));
    fs::write(path("none.tar"), "nothing").unwrap();
    let site = format!("{SITE}\n[providers.google]\nhosted_domains = [\"hosted.example\"]\n");
    fs::write(path("site.toml"), site).unwrap();
    let check = |words: &[&str], status: i32, expected: &[&str]| {
        let words: Vec<String> = words
            .iter()
            .map(|word| {
                if word.contains('.') && !word.contains("..") {
                    path(word)
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let shown = run(&words, NOW.parse().unwrap(), None);
        assert_eq!(shown.status, status, "{shown}");
        for part in expected {
            assert!(shown.stderr.contains(part), "`{part}` is not in:\n{shown}");
        }
    };
    check(
        &[
            "plan",
            "--offline",
            "--from",
            "machine.tar",
            "--site",
            "site.toml",
        ],
        1,
        &[
            "says of `mailfix-asks-for-anybody@hosted.example` was not collected",
            "hint: collect again",
        ],
    );
    check(
        &[
            "plan",
            "--offline",
            "--from",
            "none.tar",
            "--site",
            "site.toml",
        ],
        1,
        &["not a tar archive", "hint: collect again"],
    );
    check(
        &[
            "plan",
            "--offline",
            "--from",
            "missing.tar",
            "--site",
            "site.toml",
        ],
        64,
        &[
            "missing.tar` does not exist",
            "`mailfix collect` prints the script",
        ],
    );
    check(
        &[
            "plan",
            "--offline",
            "--from",
            "machine.tar",
            "--site",
            "missing.toml",
        ],
        78,
        &["there is no site file"],
    );
    check(
        &["plan", "--from", "machine.tar", "--root", "/"],
        64,
        &["cannot be used with"],
    );
    check(&["plan", "--out", "x"], 64, &["--from"]);
    check(
        &["collect", "--domain", "a..b"],
        64,
        &["`a..b` is not a domain"],
    );
}

/// A machine of its own below a folder, with the real Postfix's programs.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Makes one; `None` where that cannot be done.
    fn new() -> Option<Self> {
        if !has_postfix() {
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI is root");
            println!("skipped: only root can do this");
            return None;
        }
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::set_permissions(machine.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["config", "real", "queue", "data", "tmp", "bin", "queue/etc"] {
            fs::create_dir(machine.path(name)).unwrap();
        }
        let top = machine.folder.path().to_str().unwrap();
        let main = format!(
            "# caf\u{e9}, password: planted-1\nqueue_directory = {top}/queue\ndata_directory = {top}/data\n\
             maillog_file = {top}/log\nmaillog_file_prefixes = {top}\ncompatibility_level = 3.6\n\
             myhostname = mail.example.org\ninet_interfaces = loopback-only\n\
             smtp_sasl_password_maps = static:me:planted-2\nowndb_pass =\n planted-10\n\
             place = postgresql://me:planted-11@db/mail\n\
             lmtp_sasl_password_maps =\n    inline:{{ a = planted-3 }}\n  # static:planted-4\n\
             relay_domains = regexp:$config_directory/relays hash:{top}/config/sasl_passwd\n\
             canonical_maps = ldap:{top}/config/people.cf\nsmtp_tls_key_file = {top}/config/odd\n\
             {PLANTED_MAIN}alias_maps = texthash:{top}/config/aliases\n\
             transport_maps = regexp:{top}/config/own_routes"
        );
        // Latin-1, and no final line end.
        let main: Vec<u8> = main.chars().map(|c| u8::try_from(c).unwrap()).collect();
        machine.write("real/main.cf", &main, 0o640);
        std::os::unix::fs::chown(machine.path("real/main.cf"), Some(1), Some(2)).unwrap();
        symlink("../real/main.cf", machine.path("config/main.cf")).unwrap();
        // Postfix's programs wait while the file is new.
        let written = fs::File::options()
            .append(true)
            .open(machine.path("real/main.cf"));
        let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
        written.unwrap().set_modified(an_hour_ago).unwrap();
        let stock = Profile::built_in("linux").unwrap().stock.master_cf;
        let master = format!(
            "{stock}other unix - - n - - smtp -o smtp_sasl_password_maps=static:planted-5 -o smtp_helo_timeout=9 \
             -o lmtp_sasl_password_maps=inline:{{a=planted-6}}\n\
             robot unix - n n - - pipe user=nobody argv=/bin/true --password planted-12 -v\n\
             {PLANTED_MASTER}"
        );
        machine.write("config/master.cf", master.as_bytes(), 0o600);
        machine.write("config/relays", b"/^x/ ok\n", 0o644);
        machine.write(
            "config/own_routes",
            b"/@own\\.example$/ smtp:[192.0.2.1]\n",
            0o644,
        );
        machine.write(
            "config/aliases",
            b"a \"|cmd --password=planted-41\", b\nc \"|cmd --pass planted-42\"\n\
              d \"|cmd --password=\\\"x planted-43\\\"\"\ne |cmd http://a:planted-44@h\n",
            0o644,
        );
        machine.write("config/a file", b"with a blank in its name\n", 0o644);
        machine.write("config/sasl_passwd", b"mx me:planted-7\n", 0o600);
        machine.write(
            "config/people.cf",
            b"server_host = localhost\nbind_pw = planted-8",
            0o644,
        );
        machine.write(
            "config/odd",
            b"-----BEGIN RSA PRIVATE KEY-----\nplanted-9\n",
            0o644,
        );
        machine.write("site.toml", SITE.as_bytes(), 0o644);
        // A profile of its own, so that nothing is kept among the files of this machine.
        let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/linux.toml");
        let profile = fs::read_to_string(profile).unwrap();
        let state = Profile::built_in("linux").unwrap().paths.state;
        let profile = profile.replace(state.as_str(), &format!("{top}/state"));
        machine.write("profile.toml", profile.as_bytes(), 0o644);
        for name in UTILITIES.iter().chain(&["postconf", "postmap", "postfix"]) {
            symlink(which(name).unwrap(), machine.path("bin").join(name)).unwrap();
        }
        let shown = Shown::from(
            binary(machine.folder.path(), &["collect", "--site", "site.toml"])
                .output()
                .unwrap(),
        );
        assert_eq!(shown.status, 0, "{shown}");
        machine.write("collect.sh", shown.stdout.as_bytes(), 0o644);
        Some(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Puts a program before the real one; it can `exec "$REAL/NAME"`.
    fn replace(&self, name: &str, script: &str) {
        let link = self.path("bin").join(name);
        fs::remove_file(&link).unwrap();
        let real = which(name).unwrap();
        let real = real.parent().unwrap().display();
        let text = format!(
            "#!/bin/sh\nREAL={real}\nTOP={}\n{script}\n",
            self.folder.path().display()
        );
        self.write(&format!("bin/{name}"), text.as_bytes(), 0o755);
    }

    /// Gets ready a shell that finds nothing but what is in `bin`.
    fn shell(&self, shell: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new(which(shell[0]).unwrap());
        command
            .args(&shell[1..])
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null());
        command
    }

    fn sh(&self, words: &[&str]) -> Shown {
        self.shell(&["sh"], words).output().unwrap().into()
    }

    fn collect(&self, shell: &[&str]) -> Shown {
        let words = ["collect.sh", "-c", "config", "machine.tar"];
        self.shell(shell, &words).output().unwrap().into()
    }

    /// Collects it, plans for it and writes what is carried back to `carry`.
    fn plan(&self) {
        let shown = self.collect(&["sh"]);
        assert_eq!(shown.status, 0, "{shown}");
        self.plan_collected();
    }

    /// Plans from what was collected.
    fn plan_collected(&self) {
        let words = [
            "plan",
            "--offline",
            "--from",
            "machine.tar",
            "--site",
            "site.toml",
            "--profile",
            "profile.toml",
            "--out",
            "carry",
            "--yes",
        ];
        let words = words.map(|word| {
            if word == "profile.toml" {
                "./profile.toml"
            } else {
                word
            }
        });
        let shown: Shown = binary(self.folder.path(), &words).output().unwrap().into();
        assert_eq!(shown.status, 0, "{shown}");
    }

    /// Applies, while something happens at one of the calls of Postfix.
    fn apply_with(&self, call: u32, does: &str) -> std::process::Output {
        let script = format!(
            "echo x >>$TOP/calls\nif [ $(wc -l <$TOP/calls) -eq {call} ]; then\n{does}\nfi\n\
             exec $REAL/postfix \"$@\""
        );
        self.replace("postfix", &script);
        fs::write(self.path("calls"), "").unwrap();
        let output = self.shell(&["sh"], &["carry/apply.sh"]).output();
        output.unwrap()
    }

    /// Everything of the configuration: mode, owner and content by path.
    fn tree(&self) -> BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.path("config"), self.path("real"), self.path("tmp")];
        while let Some(path) = left.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                left.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let entry = (metadata.mode(), metadata.uid(), metadata.gid(), content);
            found.insert(path, entry);
        }
        found
    }

    /// Asks the real Postfix.
    fn postconf(&self, name: &str) -> String {
        let output = Command::new("postconf")
            .args(["-c", self.path("config").to_str().unwrap(), "-h", name])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
}

#[track_caller]
fn holds(shown: &Shown, status: i32, parts: &[&str]) {
    assert_eq!(shown.status, status, "{shown}");
    for part in parts {
        assert!(shown.stderr.contains(part), "`{part}` is not in:\n{shown}");
    }
}

#[test]
fn every_shell_collects_applies_and_undoes() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let before = machine.tree();
    let mut tried = Vec::new();
    for shell in SHELLS {
        if which(shell[0]).is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI has `{}`", shell[0]);
            println!("skipped: no `{}` here", shell[0]);
            continue;
        }
        tried.push(shell[0]);
        println!("{shell:?}");
        let shown = machine.collect(shell);
        holds(
            &shown,
            0,
            &[
                "left out of",
                "sasl_passwd`",
                "odd`",
                "people.cf`",
                "done: ",
            ],
        );
        assert_eq!(machine.tree(), before, "collecting changes nothing");
        let bytes = fs::read(machine.path("machine.tar")).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("kept-for-planning"));
        for secret in SECRETS {
            let is_there = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!is_there, "{secret} left the machine");
        }
        let mode = fs::metadata(machine.path("machine.tar")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        machine.plan_collected();
        assert_eq!(machine.tree(), before, "planning changes nothing");
        let script = |name: &str| machine.shell(shell, &[name]).output().unwrap().into();
        let shown: Shown = script("carry/apply.sh");
        holds(&shown, 0, &["done; `sh undo.sh` takes it back"]);
        let cured = machine.tree();
        assert!(
            machine
                .postconf("transport_maps")
                .contains("/mailfix/transport")
        );
        // The lines that had been left out are what they were.
        let main = &cured[&machine.path("real/main.cf")];
        let old = &before[&machine.path("real/main.cf")];
        assert_eq!((main.0, main.1, main.2), (old.0, old.1, old.2));
        let text = String::from_utf8_lossy(&main.3).into_owned();
        let kept = old.3.rsplit(|byte| *byte == b'\n').nth(1).unwrap();
        assert!(main.3.windows(kept.len()).any(|part| part == kept));
        assert!(!text.contains("mailfix-left-out"), "{text}");
        for secret in &SECRETS[..6] {
            assert!(text.contains(secret), "{secret} is lost:\n{text}");
        }
        let master =
            String::from_utf8_lossy(&cured[&machine.path("config/master.cf")].3).into_owned();
        assert!(
            master.contains("static:planted-5 -o smtp_helo_timeout=9 "),
            "{master}"
        );
        assert!(
            cured[&machine.path("config/main.cf")].0 & 0o120_000 == 0o120_000,
            "a link stays one"
        );

        let shown: Shown = script("carry/apply.sh");
        holds(&shown, 0, &["applied already; nothing was written"]);
        assert_eq!(machine.tree(), cured);
        let shown: Shown = script("carry/undo.sh");
        holds(&shown, 0, &["every file is as it was"]);
        assert_eq!(machine.tree(), before, "taken back byte for byte");
        let shown: Shown = script("carry/undo.sh");
        holds(&shown, 1, &["taken back already"]);
        fs::remove_dir_all(machine.path("state")).unwrap();
        fs::remove_dir_all(machine.path("carry")).unwrap();
        fs::remove_file(machine.path("machine.tar")).unwrap();
    }
    assert!(!tried.is_empty());
}

#[test]
fn nothing_is_collected_where_something_is_missing() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let before = machine.tree();
    let text = fs::read_to_string(machine.path("collect.sh")).unwrap();
    let shown: Shown = machine
        .shell(&["sh"], &["-c", &text])
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap()
        .into();
    holds(&shown, 1, &["only root can see all of it"]);
    machine.write("taken.tar", b"somebody's", 0o644);
    holds(
        &machine.sh(&["collect.sh", "taken.tar"]),
        1,
        &["is not overwritten"],
    );
    assert_eq!(fs::read(machine.path("taken.tar")).unwrap(), b"somebody's");
    holds(
        &machine.sh(&["collect.sh", "-c", "nowhere"]),
        1,
        &["there is no `", "/nowhere/main.cf`"],
    );
    holds(&machine.sh(&["collect.sh", "-x"]), 1, &["usage: "]);
    holds(
        &machine.sh(&["collect.sh", "-c", "config", "no/such/x.tar"]),
        1,
        &["cannot write `"],
    );
    // An awk that breaks down, at once or late, lets nothing through.
    for (script, message) in [
        ("exit 1", "put a POSIX one first"),
        ("exec cat", "put a POSIX one first"),
        (
            "case $* in *count=1*) exit 2;; esac\nexec $REAL/awk \"$@\"",
            "failed, so passwords in `",
        ),
        (
            "case $* in *count=1*) exit 0;; esac\nexec $REAL/awk \"$@\"",
            "failed, so passwords in `",
        ),
        (
            "case $* in *words.awk*) exit 2;; esac\nexec $REAL/awk \"$@\"",
            "/master.cf`",
        ),
    ] {
        let link = machine.path("bin/awk");
        let real = fs::read_link(&link).unwrap();
        machine.replace("awk", script);
        holds(&machine.collect(&["sh"]), 1, &["`awk`", message]);
        fs::remove_file(&link).unwrap();
        symlink(real, &link).unwrap();
    }
    // A stop in the middle, whoever asks for it.
    for (signal, status) in [("TERM", 130), ("HUP", 130), ("INT", 130)] {
        machine.replace("postmap", &format!("kill -{signal} $PPID; sleep 1"));
        // What is ignored on entry stays ignored in a shell, as SIGINT is in the background.
        let shell = ["env", &format!("--default-signal={signal}"), "sh"];
        holds(&machine.collect(&shell), status, &["interrupted"]);
    }
    for (name, message) in [
        ("awk", "this machine lacks: awk"),
        ("cksum", "this machine lacks: cksum"),
        ("tar", "neither `tar` nor `pax`"),
    ] {
        let program = machine.path("bin").join(name);
        let real = fs::read_link(&program).unwrap();
        fs::remove_file(&program).unwrap();
        holds(&machine.collect(&["sh"]), 1, &[message]);
        symlink(real, &program).unwrap();
    }
    assert_eq!(machine.tree(), before);
    assert!(!machine.path("machine.tar").exists());
}

#[test]
fn a_relative_place_to_work_in_is_left_as_it_was() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let before = machine.tree();
    let words = ["collect.sh", "-c", "config", "machine.tar"];
    let mut command = machine.shell(&["sh"], &words);
    let shown: Shown = command.env("TMPDIR", "tmp").output().unwrap().into();
    holds(&shown, 0, &["done: "]);
    assert_eq!(machine.tree(), before);
}

/// What Postfix complains of, and what an old one does not complain of.
#[test]
fn a_broken_line_with_a_password_stays_behind() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.write(
        "config/relays",
        b"bind_pw planted-39\npassword: a=planted-40\nquery = whole\n",
        0o644,
    );
    machine.replace(
        "postconf",
        "$REAL/postconf \"$@\" >$TOP/said\nstatus=$?\nsed 's/regexp:\\(.*relays\\)/ldap:\\1/' \
         $TOP/said\nexit $status",
    );
    holds(&machine.collect(&["sh"]), 0, &["relays`", "done: "]);
    let bytes = fs::read(machine.path("machine.tar")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("query = whole"));
    assert!(!text.contains("planted-39") && !text.contains("planted-40"));
    fs::remove_file(machine.path("machine.tar")).unwrap();
    let main = fs::read(machine.path("real/main.cf")).unwrap();
    let broken = [&b"own_password planted-broken\n"[..], &main].concat();
    machine.write("real/main.cf", &broken, 0o640);
    holds(&machine.collect(&["sh"]), 0, &["Postfix cannot read `"]);
    let bytes = fs::read(machine.path("machine.tar")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("fatal: "), "Postfix did not complain");
    assert!(!text.contains("planted-broken"));
}

#[test]
fn nothing_is_applied_to_another_configuration() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.plan();
    let refused = |name: &str, bytes: &[u8], mode: u32, message: &str| {
        let old = fs::read(machine.path(name)).ok();
        let old_mode = fs::metadata(machine.path(name)).map_or(0o644, |metadata| metadata.mode());
        machine.write(name, bytes, mode);
        let before = machine.tree();
        holds(
            &machine.sh(&["carry/apply.sh"]),
            1,
            &[message, "nothing was written"],
        );
        assert_eq!(machine.tree(), before, "{name}");
        assert!(!machine.path("state").exists());
        match old {
            Some(old) => machine.write(name, &old, old_mode & 0o7777),
            None => fs::remove_file(machine.path(name)).unwrap(),
        }
    };
    let master = fs::read(machine.path("config/master.cf")).unwrap();
    refused(
        "config/master.cf",
        b"smtp unix - - n - - smtp\n",
        0o600,
        "not as it was collected: ",
    );
    refused(
        "config/master.cf",
        &master,
        0o666,
        "mode or owner is not as it was collected: ",
    );
    refused(
        "config/mailfix",
        b"",
        0o644,
        "was not there when it was collected: ",
    );
    let carried = new_file(&machine.path("carry"), "main.cf");
    let carried = carried.strip_prefix(machine.folder.path()).unwrap();
    refused(
        carried.to_str().unwrap(),
        b"damaged\r\n",
        0o644,
        "damaged on its way",
    );
    holds(
        &machine.sh(&["carry/undo.sh"]),
        1,
        &["nothing was applied here"],
    );
    let shown: Shown = machine
        .shell(
            &["sh"],
            &[
                "-c",
                &fs::read_to_string(machine.path("carry/apply.sh")).unwrap(),
            ],
        )
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap()
        .into();
    holds(&shown, 1, &["only root may change Postfix"]);
    holds(&machine.sh(&["carry/apply.sh"]), 0, &["done"]);
    // Somebody's own change since is not undone.
    let master = fs::read(machine.path("config/master.cf")).unwrap();
    machine.write(
        "config/master.cf",
        &[&master[..], b"# mine\n"].concat(),
        0o600,
    );
    let before = machine.tree();
    let message = [
        "changed since by somebody else: ",
        "/config/master.cf",
        "nothing was taken back",
    ];
    holds(&machine.sh(&["carry/undo.sh"]), 1, &message);
    assert_eq!(machine.tree(), before);
    machine.write("config/master.cf", &master, 0o600);
    // Where the carried folder is gone its copy does it.
    fs::remove_dir_all(machine.path("carry")).unwrap();
    let kept = fs::read_dir(machine.path("state"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let undo = kept.join("undo.sh");
    holds(
        &machine.sh(&[undo.to_str().unwrap()]),
        0,
        &["every file is as it was"],
    );
}

/// `postfix check` at the beginning, after master.cf, after main.cf.
#[test]
fn whatever_fails_everything_is_brought_back() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.plan();
    let before = machine.tree();
    for (call, message) in [
        (1, "fails already, so nothing was written"),
        (2, "nothing was changed"),
        (3, "nothing was changed"),
    ] {
        for does in ["exit 1", "kill -TERM $PPID; sleep 1; exit 1"] {
            if (call, does.starts_with("kill")) == (1, true) {
                // Nothing was begun, and nothing is caught.
                assert!(!machine.apply_with(call, does).status.success());
                assert_eq!(machine.tree(), before);
                continue;
            }
            let shown = Shown::from(machine.apply_with(call, does));
            assert_ne!(shown.status, 0, "{shown}");
            assert!(shown.stderr.contains(message), "{shown}");
            assert_eq!(machine.tree(), before, "call {call}, {does}");
            assert!(!machine.path("state").exists(), "call {call}, {does}");
        }
    }
    // Killed without a word: the next run says so, and undo brings everything back.
    for call in [2, 3] {
        assert_eq!(
            machine
                .apply_with(call, "kill -KILL $PPID; exit 1")
                .status
                .code(),
            None
        );
        assert_ne!(machine.tree(), before);
        holds(
            &machine.sh(&["carry/apply.sh"]),
            1,
            &["an earlier run was broken off"],
        );
        holds(
            &machine.sh(&["carry/undo.sh"]),
            0,
            &["every file is as it was"],
        );
        assert_eq!(machine.tree(), before, "killed at call {call}");
        fs::remove_dir_all(machine.path("state")).unwrap();
    }
    // A table that answers something else is not put in place.
    machine.replace(
        "postmap",
        "case \"$*\" in *-q*) echo nonsense; exit 0;; esac\nexec $REAL/postmap \"$@\"",
    );
    holds(
        &machine.sh(&["carry/apply.sh"]),
        1,
        &["answers `nonsense` for", "nothing was changed"],
    );
    assert_eq!(machine.tree(), before);
}

/// A plan that sets one service of master.cf before main.cf, and takes another away after it.
#[test]
fn a_file_that_changes_twice_is_turned_back_twice() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let script = fs::read_to_string(machine.path("collect.sh")).unwrap();
    machine.write(
        "collect.sh",
        script.replace("/sbin/ip ", "./ip ").as_bytes(),
        0o644,
    );
    let addresses = "#!/bin/sh\ncat <<END\n2: eth0: <UP> mtu 1500\n    inet 192.0.2.25/24 scope global\n    \
                     inet6 2001:db8::25/64 scope global\n    inet6 2001:db8::26/64 scope global\nEND\n";
    machine.write("ip", addresses.as_bytes(), 0o755);
    machine.plan();
    holds(&machine.sh(&["carry/apply.sh"]), 0, &["done"]);
    for name in ["state", "carry"] {
        fs::remove_dir_all(machine.path(name)).unwrap();
    }
    fs::remove_file(machine.path("machine.tar")).unwrap();
    let before = machine.tree();

    holds(&machine.collect(&["sh"]), 0, &["done"]);
    let zone = "\
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
mail.example.org. 60 IN AAAA 2001:db8::25
mail.example.org. 60 IN A 192.0.2.25
example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"
";
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    let words = [
        "plan",
        "--from",
        &path("machine.tar"),
        "--site",
        &path("site.toml"),
        "--profile",
        &path("profile.toml"),
        "--out",
        &path("carry"),
        "--yes",
    ];
    let shown = run(&words, NOW.parse().unwrap(), Some(zone));
    assert_eq!(shown.status, 0, "{shown}");
    let carried = fs::read_dir(machine.path("carry/new")).unwrap();
    let masters = carried.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with("-master.cf")
    });
    assert_eq!(masters.count(), 2, "{shown}");
    holds(&machine.sh(&["carry/apply.sh"]), 0, &["done"]);
    let after = machine.tree();
    let master = String::from_utf8_lossy(&after[&machine.path("config/master.cf")].3).into_owned();
    assert!(
        master.contains("smtp_bind_address6=2001:db8::25"),
        "{master}"
    );
    assert!(!master.contains("smtp-ipv4"), "{master}");
    assert!(!after.contains_key(&machine.path("config/mailfix")));
    holds(
        &machine.sh(&["carry/apply.sh"]),
        0,
        &["applied already; nothing was written"],
    );
    holds(
        &machine.sh(&["carry/undo.sh"]),
        0,
        &["every file is as it was"],
    );
    assert_eq!(machine.tree(), before);
    fs::remove_dir_all(machine.path("state")).unwrap();
    // Before anything, after master.cf, after main.cf, after master.cf again.
    for call in 2..=4 {
        let shown = Shown::from(machine.apply_with(call, "exit 1"));
        holds(&shown, 1, &["nothing was changed"]);
        assert_eq!(machine.tree(), before, "call {call}");
        let killed = machine.apply_with(call, "kill -KILL $PPID; exit 1");
        assert_eq!(killed.status.code(), None);
        assert_ne!(machine.tree(), before);
        holds(
            &machine.sh(&["carry/undo.sh"]),
            0,
            &["every file is as it was"],
        );
        assert_eq!(machine.tree(), before, "killed at call {call}");
        fs::remove_dir_all(machine.path("state")).unwrap();
    }
}

#[test]
fn the_scripts_are_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    pack("osx-server", Path::new(&path("machine.tar")));
    fs::write(path("site.toml"), SITE).unwrap();
    let (archive, site, out) = (path("machine.tar"), path("site.toml"), path("out"));
    let words = [
        "plan",
        "--from",
        &archive,
        "--site",
        &site,
        "--offline",
        "--out",
        &out,
        "--yes",
    ];
    let shown = run(&words, NOW.parse().unwrap(), None);
    assert_eq!(shown.status, 0, "{shown}");
    let shown = run(&["collect"], NOW.parse().unwrap(), None);
    fs::write(path("out/collect.sh"), &shown.stdout).unwrap();
    if which("shellcheck").is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI has shellcheck");
        println!("skipped: no shellcheck here");
        return;
    }
    for name in ["collect.sh", "apply.sh", "undo.sh"] {
        let output = Command::new("shellcheck")
            .args([
                "--shell=sh",
                "--severity=warning",
                &path(&format!("out/{name}")),
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
