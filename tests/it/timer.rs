//! `mailfix doctor --timer` on trees of each kind of host: what it writes is what the scheduler
//! there takes, and all of it goes again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Shown, Snapshots, Tree, has_postfix, normalized, run_from, skip};

const NOW: &str = "2026-11-25T19:30:00Z";
const PROGRAM: &str = "/usr/local/sbin/mailfix";

/// What stands on a host by which its scheduler is known, and who judges the files of a job.
struct Kind {
    name: &'static str,
    profile: &'static str,
    folders: &'static [&'static str],
    files: &'static [&'static str],
    judge: fn(&Tree),
}

const KINDS: &[Kind] = &[
    Kind {
        name: "systemd",
        profile: "linux",
        folders: &["/run/systemd/system", "/etc/systemd/system"],
        files: &[],
        judge: systemd,
    },
    Kind {
        name: "launchd",
        profile: "osx-server",
        folders: &["/Library/LaunchDaemons", "/etc/newsyslog.d"],
        // The system's own file keeps the folder.
        files: &["/sbin/launchd", "/etc/newsyslog.d/wifi.conf"],
        judge: launchd,
    },
    Kind {
        name: "periodic",
        profile: "linux",
        folders: &["/etc/periodic/daily"],
        files: &["/etc/crontabs/root"],
        judge: periodic,
    },
    Kind {
        name: "cron",
        profile: "linux",
        folders: &["/etc/cron.d"],
        files: &["/usr/sbin/cron"],
        judge: cron,
    },
];

/// Runs a program that judges; nothing where it is not installed.
fn judged(program: &str, words: &[&str]) -> Option<String> {
    match Command::new(program).args(words).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("there is no {program}"));
            None
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
            // systemd-analyze(1) only warns of what it does not know.
            assert!(output.stderr.is_empty(), "{output:?}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

fn systemd(tree: &Tree) {
    let units = tree.real("/etc/systemd/system");
    // It asks for the program itself, which lies in the tree.
    let program = tree.real(PROGRAM);
    let service = units.join("mailfix-doctor.service");
    let text = fs::read_to_string(&service).unwrap();
    assert!(text.contains(&format!(
        "ExecStart={PROGRAM} doctor --new --no-input --mail=root\n"
    )));
    let copies = tempfile::tempdir().unwrap();
    let copy = |name: &str, text: String| {
        let path = copies.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let service = copy(
        "mailfix-doctor.service",
        text.replace(PROGRAM, program.to_str().unwrap()),
    );
    let timer = fs::read_to_string(units.join("mailfix-doctor.timer")).unwrap();
    let timer = copy("mailfix-doctor.timer", timer);
    // A target that wants the timer, as the file beside `timers.target` has it.
    let wants = fs::read_to_string(units.join("timers.target.d/mailfix-doctor.conf")).unwrap();
    let target = copy("mailfix-test.target", wants);
    judged(
        "systemd-analyze",
        &["verify", "--man=no", &service, &timer, &target],
    );
}

fn launchd(tree: &Tree) {
    let path = tree.real("/Library/LaunchDaemons/mailfix.doctor.plist");
    let script = "import plistlib, sys\n\
                  job = plistlib.load(open(sys.argv[1], 'rb'))\n\
                  print(job['Label'], *job['ProgramArguments'])\n\
                  print(sorted(job['StartCalendarInterval'].items()))\n\
                  print(job['StandardOutPath'], job['StandardErrorPath'])\n\
                  assert len(job) == 5, job\n";
    let said = judged("python3", &["-c", script, path.to_str().unwrap()]);
    let expected = format!(
        "mailfix.doctor {PROGRAM} doctor --new --no-input --mail=root\n[('Hour', 4), ('Minute', 23)]\n\
         /var/log/mailfix-doctor.log /var/log/mailfix-doctor.log\n"
    );
    assert!(said.is_none_or(|said| said == expected));
    let rotated = fs::read_to_string(tree.real("/etc/newsyslog.d/mailfix.doctor.conf")).unwrap();
    let lines: Vec<&str> = rotated
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    // The file, its mode, how many old ones, kilobytes, no time, and no process to be told.
    assert_eq!(lines, ["/var/log/mailfix-doctor.log  640  4  100  *  N"]);
}

fn periodic(tree: &Tree) {
    let path = tree.real("/etc/periodic/daily/mailfix-doctor");
    // run-parts of busybox runs what may be run.
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let said = Command::new(&path).output().unwrap();
    assert_eq!(
        said.status.code(),
        Some(127),
        "the program is only there in the tree"
    );
    judged("sh", &["-n", path.to_str().unwrap()]);
}

fn cron(tree: &Tree) {
    let text = fs::read_to_string(tree.real("/etc/cron.d/mailfix-doctor")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let line = format!("23 4 * * * root {PROGRAM} doctor --new --no-input --mail=root");
    assert_eq!(lines, [line]);
    // Without it cron leaves the last line out.
    assert!(text.ends_with('\n'));
}

#[test]
fn a_daily_job_is_what_its_scheduler_takes_and_goes_again() {
    if !has_postfix() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        return skip("a job is only made of what belongs to root");
    }
    let snapshots = Snapshots::new("doctor-timer");
    for kind in KINDS {
        let tree = Tree::new();
        for folder in kind.folders {
            fs::create_dir_all(tree.real(folder)).unwrap();
        }
        for file in kind.files.iter().chain([&PROGRAM]) {
            tree.write(file, "#!/bin/sh\n");
        }
        tree.settle();
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(tree.real(PROGRAM), program).unwrap();
        let root = tree.path().to_str().unwrap();
        let mut before = tree.entries();
        let timer = |words: &[&str]| -> Shown {
            let all = [words, &["--yes", "--root", root, "--profile", kind.profile]].concat();
            run_from(Some(PROGRAM), &all, NOW.parse().unwrap(), None)
        };
        let check = |name: &str, shown: &Shown| {
            let text = normalized(&shown.to_string(), tree.path());
            snapshots.check(&format!("{}-{name}", kind.name), &text);
        };
        let made = timer(&["doctor", "--timer", "--mail", "root"]);
        check("on", &made);
        // The words that name the tree are for trees alone.
        for file in tree.entries().into_keys() {
            let real = tree.real(&file);
            if file.to_string_lossy().contains("doctor") && real.is_file() {
                let text = fs::read_to_string(&real).unwrap();
                let profile = format!(" --profile {}", kind.profile);
                let list = |text: &str, word: &str| {
                    text.replace(&format!("\t\t<string>{word}</string>\n"), "")
                };
                let text = text.replace(&format!(" --root {root}{profile}"), "");
                let words = ["--root", root, "--profile", kind.profile];
                let text = words.iter().fold(text, |text, word| list(&text, word));
                fs::write(&real, text).unwrap();
            }
        }
        (kind.judge)(&tree);
        let again = timer(&["doctor", "--timer", "--mail", "root"]);
        assert_eq!(again.status, 0, "{again}");
        check("off", &timer(&["doctor", "--timer=off"]));
        let nothing = timer(&["doctor", "--timer=off"]);
        assert!(
            nothing.stderr.contains("there is no daily job"),
            "{nothing}"
        );
        // Only what mailfix keeps of its own stays, and it is told in `history`.
        let mut after = tree.entries();
        for all in [&mut before, &mut after] {
            all.retain(|path, _| !path.starts_with("/var"));
            all.remove(Path::new("/"));
        }
        let lasting = |all: &std::collections::BTreeMap<_, crate::support::Entry>| {
            all.iter()
                .map(|(path, entry)| format!("{path:?} {:?}", entry.lasting()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lasting(&after), lasting(&before), "{}", kind.name);
    }
    snapshots.end();
}
