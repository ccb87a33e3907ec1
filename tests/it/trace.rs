//! What a program changes, read off its system calls by strace(1).

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Finds a program that was built with this one.
pub fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    // This one is in target/debug/deps.
    this.ancestors().nth(2).unwrap().join(name)
}

/// Tells whether there is a strace that works, and says so if not.
pub fn has_strace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        assert!(std::env::var_os("CI").is_none(), "CI has strace");
        println!("skipped: strace is not installed, or not allowed to trace");
    }
    works
}

/// Runs a command and gives every system call of it, and of all it starts, that has changed a
/// file or directory, but for those with one of these texts in them.
pub fn changes(command: &mut Command, but: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-e", "signal=none", "-o"])
        .arg(&log)
        // Everything that takes a path or a file to be changed.
        .args([
            "-e",
            "trace=%file,fchmod,fchown,ftruncate,fallocate,fsetxattr,fremovexattr",
        ])
        .arg(command.get_program())
        .args(command.get_args())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?} failed");
    let log = std::fs::read(log).unwrap();
    whole_calls(&String::from_utf8_lossy(&log))
        .into_iter()
        .filter(|line| is_change(line) && !but.iter().any(|text| line.contains(text)))
        .collect()
}

/// Puts calls together that another process came between: `call(… <unfinished ...>`, and later
/// `<... call resumed>…`.
fn whole_calls(log: &str) -> Vec<String> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let process = line.split(' ').next().unwrap_or_default();
        if let Some(start) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(process, start);
        } else if let Some((_, end)) = line.split_once(" resumed>") {
            let start = begun.remove(process).unwrap_or_default();
            calls.push(format!("{start}{end}"));
        } else {
            calls.push(line.to_owned());
        }
    }
    calls
}

/// Calls that take a path and only look.
const LOOKING: [&str; 17] = [
    "execve",
    "execveat",
    "access",
    "faccessat",
    "faccessat2",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "statfs",
    "readlink",
    "readlinkat",
    "chdir",
    "getcwd",
    "getxattr",
    "lgetxattr",
    "inotify_add_watch",
];

/// Tells whether a line of the log is a call that has changed something.
fn is_change(line: &str) -> bool {
    let call = line
        .split_once(' ')
        .map_or(line, |(_process, call)| call.trim_start());
    let Some((name, arguments)) = call.split_once('(') else {
        return false;
    };
    if LOOKING.contains(&name) || call.contains(" = -1 ") {
        return false;
    }
    if matches!(name, "open" | "openat" | "openat2") {
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
        return writes.iter().any(|flag| arguments.contains(flag))
            && !arguments.contains("\"/dev/");
    }
    true
}

#[test]
fn calls_that_were_interrupted_are_put_together() {
    let log = "\
1 unlink(\"/etc/x\" <unfinished ...>
2 mkdir(\"/etc/y\", 0700) = 0
1 <... unlink resumed>) = 0
";
    assert_eq!(
        whole_calls(log),
        ["2 mkdir(\"/etc/y\", 0700) = 0", "1 unlink(\"/etc/x\") = 0"]
    );
}

#[test]
fn changes_are_told_from_looks() {
    for (line, change) in [
        (
            "12 openat(AT_FDCWD</>, \"/etc/x\", O_RDONLY) = 3</etc/x>",
            false,
        ),
        (
            "12 openat(AT_FDCWD</>, \"/etc/x\", O_WRONLY|O_CREAT, 0666) = 3</etc/x>",
            true,
        ),
        (
            "12 openat(AT_FDCWD</>, \"/dev/null\", O_RDWR) = 3</dev/null>",
            false,
        ),
        (
            "12 mkdir(\"/etc/x\", 0700) = -1 EEXIST (File exists)",
            false,
        ),
        ("12 unlink(\"/etc/x\") = 0", true),
        ("12    statx(AT_FDCWD</>, \"/etc/x\", 0, 0, {}) = 0", false),
        ("12 fchmod(3</etc/x>, 0644) = 0", true),
        ("12 +++ exited with 0 +++", false),
    ] {
        assert_eq!(is_change(line), change, "{line}");
    }
}
