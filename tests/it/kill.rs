//! Apply and undo, killed with SIGKILL at every system call that changes something.
//!
//! strace(1) counts the calls of the program and of all it starts, and kills
//! before the Nth; N counts up until nothing is hit. What is left must be
//! brought back by one undo, to the byte, or be completed by a second apply.
//! The same with calls that fail instead: then the program brings itself back.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::system::has_postfix;
use crate::trace::has_strace;

/// What is run on a tree, whose path comes last: the whole job, and the way back.
const APPLY: &[&str] = &[
    "init",
    "--no-input",
    "--yes",
    "--offline",
    "--allow-non-global",
    "--profile",
    "linux",
    "--hostname",
    "mail.example.org",
    "--ipv4",
    "192.0.2.1",
    "--ipv6",
    "2001:db8::1",
    "--reverse-dns6",
    "none",
    "--domain",
    "example.org",
    "--root",
];
const UNDO: &[&str] = &["undo", "--yes", "--root"];

/// The directory of a tree that keeps receipts and may hold what a killed run left.
const STATE: &str = "var/lib/mailfix";

/// Every system call that can change a file, a directory or what is on the disk of them.
const CHANGING: [&str; 38] = [
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "sendfile",
    "copy_file_range",
    "splice",
    "openat",
    "openat2",
    "open",
    "creat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "fsetxattr",
    "fremovexattr",
    "utimensat",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "flock",
];

/// Calls that mostly change nothing, of which those that do are picked.
const PICKED: [&str; 4] = ["open", "openat", "openat2", "write"];

/// Calls that a full or broken disk makes fail, and how.
const FAILING: [(&str, &str); 9] = [
    ("write", "ENOSPC"),
    ("rename", "ENOSPC"),
    ("mkdir", "ENOSPC"),
    ("fsync", "EIO"),
    ("fchmod", "EPERM"),
    ("fchown", "EPERM"),
    ("unlink", "EROFS"),
    ("rmdir", "EROFS"),
    ("fsetxattr", "ENOSPC"),
];

/// The most calls of one kind that a run is expected to make.
const MOST_CALLS: usize = 2000;

/// A path's kind, mode, owner, content and attributes.
type Thing = (u32, u32, u32, Vec<u8>, Vec<(std::ffi::OsString, Vec<u8>)>);

/// A folder of trees.
struct Trees {
    folder: tempfile::TempDir,
    made: AtomicUsize,
}

impl Trees {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            made: AtomicUsize::new(0),
        }
    }

    fn fresh(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        self.folder.path().join(number.to_string())
    }

    fn copy(&self, tree: &Path) -> PathBuf {
        let copy = self.fresh();
        let status = Command::new("cp")
            .arg("-a")
            .args([tree, &copy])
            .status()
            .unwrap();
        assert!(status.success());
        copy
    }

    /// A small Postfix whose main.cf is a symbolic link, with a mode and an attribute to keep.
    fn original(&self) -> PathBuf {
        let tree = self.fresh();
        for directory in ["etc/postfix", "var/lib", "var/spool/postfix", "srv"] {
            std::fs::create_dir_all(tree.join(directory)).unwrap();
        }
        for (path, text) in [
            ("etc/postfix/master.cf", "smtp unix - - n - - smtp\n"),
            (
                "etc/passwd",
                "root:x:0:0::/:/bin/sh\npostfix:x:101:102::/:/bin/false\n",
            ),
            ("srv/main.cf", "# caf\u{e9}\ncompatibility_level = 3.6\n"),
        ] {
            std::fs::write(tree.join(path), text).unwrap();
        }
        let main_cf = tree.join("srv/main.cf");
        std::fs::set_permissions(&main_cf, PermissionsExt::from_mode(0o640)).unwrap();
        // Not every file system keeps attributes; where one does, they must come back.
        let _ = xattr::set(&main_cf, "user.note", b"mine");
        symlink("/srv/main.cf", tree.join("etc/postfix/main.cf")).unwrap();
        tree
    }
}

/// The things of a tree, by path.
type Things = BTreeMap<PathBuf, Thing>;

/// Everything in a tree but the state directory.
fn snapshot(tree: &Path) -> Things {
    let mut things = everything(tree);
    things.retain(|path, _| !path.starts_with(STATE));
    things
}

/// Everything in a tree, with the times and digests in receipts made equal: two runs that were
/// killed at the same point have the same.
fn timeless(tree: &Path) -> Things {
    everything(tree)
        .into_iter()
        .map(|(path, mut thing)| {
            if !path.starts_with(STATE) {
                return (path, thing);
            }
            let text = String::from_utf8_lossy(&thing.3).into_owned();
            let is_same =
                |line: &&str| !line.contains("\"created\": ") && !line.contains("\"sha256\": ");
            let lines = text.lines().filter(is_same);
            thing.3 = lines
                .map(without_time)
                .collect::<Vec<_>>()
                .join("\n")
                .into();
            (without_time(&path.to_string_lossy()).into(), thing)
        })
        .collect()
}

/// Panics if two trees differ, naming what differs.
fn assert_same(now: &Things, wanted: &Things, when: &str) {
    let paths: BTreeSet<_> = now.keys().chain(wanted.keys()).collect();
    let show = |thing: Option<&Thing>| {
        thing.map(|(mode, uid, gid, content, attributes)| {
            let content = String::from_utf8_lossy(content).into_owned();
            format!("{mode:o} {uid}:{gid} {content:?} {attributes:?}")
        })
    };
    let different: Vec<_> = paths
        .into_iter()
        .filter(|path| now.get(*path) != wanted.get(*path))
        .map(|path| {
            format!(
                "{}: {:?}, not {:?}",
                path.display(),
                show(now.get(path)),
                show(wanted.get(path))
            )
        })
        .collect();
    assert!(different.is_empty(), "{when}:\n{}", different.join("\n"));
}

/// Replaces the time in a receipt's name, such as `20261125T193000Z`.
fn without_time(text: &str) -> String {
    let is_time =
        |word: &str| word.len() == 16 && word.ends_with('Z') && word.chars().nth(8) == Some('T');
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric())
        .map(|part| {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_time(word) {
                part.replace(word, "TIME")
            } else {
                part.to_owned()
            }
        })
        .collect()
}

fn everything(tree: &Path) -> Things {
    let mut things = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = tree.join(&path);
        let metadata = std::fs::symlink_metadata(&full).unwrap();
        let mut attributes = Vec::new();
        let content = if metadata.is_symlink() {
            std::fs::read_link(&full)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else if metadata.is_dir() {
            let entries = std::fs::read_dir(&full).unwrap();
            open.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
            Vec::new()
        } else {
            for name in xattr::list(&full).into_iter().flatten() {
                let value = xattr::get(&full, &name).unwrap().unwrap_or_default();
                attributes.push((name, value));
            }
            let content = std::fs::read(&full).unwrap();
            // Berkeley DB puts a number of its own into every file it makes.
            let is_index = path.extension().is_some_and(|suffix| suffix == "db");
            if is_index { Vec::new() } else { content }
        };
        let thing = (
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            content,
            attributes,
        );
        things.insert(path, thing);
    }
    things
}

/// A directory for the private copies of a run: one that is killed leaves its copy behind.
fn own_temporary(tree: &Path) -> PathBuf {
    let folder = tree.with_extension("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(command: &[&str], tree: &Path) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_mailfix"))
        .env("TMPDIR", own_temporary(tree))
        .args(command)
        .arg(tree)
        .output()
        .unwrap();
    output.status.success()
}

/// Runs a command with one system call tampered with; says whether that call was reached.
fn run_tampered(command: &[&str], tree: &Path, call: &str, tamper: &str) -> bool {
    let log = tree.with_extension("strace");
    Command::new("strace")
        .env("TMPDIR", own_temporary(tree))
        .args(["-f", "-q", "-y", "-o"])
        .arg(&log)
        .arg("-e")
        .arg(format!("trace=?{call}"))
        .arg("-e")
        .arg(format!("inject=?{call}:{tamper}"))
        .arg(env!("CARGO_BIN_EXE_mailfix"))
        .args(command)
        .arg(tree)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    // A signal may hit a program that this one has started.
    log.contains("(INJECTED)") || log.contains("+++ killed by SIG")
}

/// Works through the jobs on as many threads as there are processors.
fn in_parallel<T: Sync>(jobs: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(job);
                }
            });
        }
    });
}

/// The numbers of the calls to tamper with, as each process counts them: what is opened for
/// reading only and what is written to a pipe or a terminal changes nothing, and is left out.
fn numbers(start: &Path, command: &[&str], call: &str, trees: &Trees) -> Vec<usize> {
    if !PICKED.contains(&call) {
        return (1..MOST_CALLS).collect();
    }
    let tree = trees.copy(start);
    run_tampered(
        command,
        &tree,
        call,
        &format!("delay_exit=0:when={MOST_CALLS}"),
    );
    let log = std::fs::read(tree.with_extension("strace")).unwrap();
    let log = String::from_utf8_lossy(&log);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for line in log.lines() {
        let Some((process, arguments)) = line.split_once(&format!(" {call}(")) else {
            continue;
        };
        let number = seen.entry(process.trim_end()).or_default();
        *number += 1;
        let is_change = if call == "write" {
            let file = arguments.split_once('<').map_or("", |(_, file)| file);
            file.starts_with('/') && !file.starts_with("/dev/")
        } else {
            arguments.contains("O_CREAT") || arguments.contains("O_TRUNC")
        };
        if is_change {
            numbers.insert(*number);
        }
    }
    assert!(call.starts_with("open") || !numbers.is_empty(), "{log}");
    numbers.into_iter().collect()
}

/// Kills a command at every call in turn, starting from a tree each time, and looks at what
/// is left; says how often it was killed.
fn kill_everywhere(start: &Path, command: &[&str], trees: &Trees) -> usize {
    let original = snapshot(&trees.original());
    let target = {
        let tree = trees.original();
        assert!(run(APPLY, &tree));
        snapshot(&tree)
    };
    assert_ne!(original, target);
    let kills = AtomicUsize::new(0);
    // What was proven of one tree need not be proven again of its twin.
    let proven = Mutex::new(Vec::new());
    in_parallel(&CHANGING, |call| {
        for number in numbers(start, command, call, trees) {
            let killed = trees.copy(start);
            let tamper = format!("signal=KILL:when={number}");
            if !run_tampered(command, &killed, call, &tamper) {
                if PICKED.contains(call) {
                    continue;
                }
                break;
            }
            kills.fetch_add(1, Ordering::SeqCst);
            let state = timeless(&killed);
            let mut proven = proven.lock().unwrap();
            if proven.contains(&state) {
                std::fs::remove_dir_all(killed).unwrap();
                continue;
            }
            proven.push(state);
            drop(proven);
            let again = trees.copy(&killed);
            run(UNDO, &killed);
            assert_same(
                &snapshot(&killed),
                &original,
                &format!("undo after {call} {number}"),
            );
            assert!(run(APPLY, &again), "apply after {call} {number}");
            assert_same(
                &snapshot(&again),
                &target,
                &format!("apply after {call} {number}"),
            );
            run(UNDO, &again);
            assert_same(
                &snapshot(&again),
                &original,
                &format!("apply, undo after {call} {number}"),
            );
            for tree in [killed, again] {
                std::fs::remove_dir_all(tree).unwrap();
            }
        }
    });
    println!(
        "{} different trees were left",
        proven.into_inner().unwrap().len()
    );
    kills.into_inner()
}

#[test]
fn a_killed_apply_is_undone_or_completed() {
    if !has_strace() || !has_postfix() {
        return;
    }
    let trees = Trees::new();
    let kills = kill_everywhere(&trees.original(), APPLY, &trees);
    println!("killed {kills} times");
    assert!(kills > 50, "killed only {kills} times");
}

#[test]
fn a_killed_undo_is_completed_or_applied_again() {
    if !has_strace() || !has_postfix() {
        return;
    }
    let trees = Trees::new();
    let start = trees.original();
    assert!(run(APPLY, &start));
    let kills = kill_everywhere(&start, UNDO, &trees);
    println!("killed {kills} times");
    assert!(kills > 50, "killed only {kills} times");
}

#[test]
fn ctrl_c_waits_until_all_is_done() {
    if !has_strace() || !has_postfix() {
        return;
    }
    let trees = Trees::new();
    let start = trees.original();
    let original = snapshot(&start);
    let applied = trees.copy(&start);
    assert!(run(APPLY, &applied));
    let target = snapshot(&applied);
    let (mut completed, mut broken_off) = (0, 0);
    for number in 1..MOST_CALLS {
        let tree = trees.copy(&start);
        let tamper = format!("signal=INT:when={number}");
        if !run_tampered(APPLY, &tree, "rename", &tamper) {
            break;
        }
        if snapshot(&tree) == target {
            completed += 1;
        } else {
            // It came before the lock, when nothing had begun.
            broken_off += 1;
            run(UNDO, &tree);
            assert_same(&snapshot(&tree), &original, &format!("{number}"));
        }
    }
    assert!(
        completed >= 5 && broken_off <= 2,
        "{completed} {broken_off}"
    );
}

#[test]
fn a_failing_call_is_brought_back_at_once() {
    if !has_strace() || !has_postfix() {
        return;
    }
    let trees = Trees::new();
    let start = trees.original();
    let original = snapshot(&start);
    let applied = trees.copy(&start);
    assert!(run(APPLY, &applied));
    let target = snapshot(&applied);
    let jobs: Vec<_> = FAILING
        .iter()
        .flat_map(|failing| [(APPLY, failing), (UNDO, failing)])
        .collect();
    let failures = AtomicUsize::new(0);
    in_parallel(&jobs, |&(command, &(call, error))| {
        let (from, before, after) = if command == APPLY {
            (&start, &original, &target)
        } else {
            (&applied, &target, &original)
        };
        for number in numbers(from, command, call, &trees) {
            let tree = trees.copy(from);
            let tamper = format!("error={error}:when={number}");
            if !run_tampered(command, &tree, call, &tamper) {
                if PICKED.contains(&call) {
                    continue;
                }
                break;
            }
            failures.fetch_add(1, Ordering::SeqCst);
            let now = snapshot(&tree);
            // A failure outside of what was to be done, such as of the message, hinders nothing.
            if now != *after {
                assert_same(&now, before, &format!("{call} {number} {error}"));
            }
            run(UNDO, &tree);
            assert_same(
                &snapshot(&tree),
                &original,
                &format!("undo, {call} {number} {error}"),
            );
        }
    });
    let failures = failures.into_inner();
    println!("failed {failures} times");
    assert!(failures > 40, "failed only {failures} times");
}
