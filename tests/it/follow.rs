//! `mailfix diagnose --follow` on a log that really grows, is rotated and emptied.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::Value;

use crate::support::{Tree, binary, has_postfix};

/// How long a line may take to be told of, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of one refusal, of a message of its own.
fn refusal(number: u32, reply: &str) -> String {
    format!(
        "2026-03-03T10:00:00+00:00 m postfix/smtp[9]: A1B2C3D4{number:02}: to=<joe.doe@example.org>, \
         relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced \
         (host mx.example.org[192.0.2.1] said: {reply} (in reply to RCPT TO command))\n"
    )
}

const UNKNOWN: &str = "550 5.1.1 <joe.doe@example.org>: user unknown";
const FULL: &str = "552 5.2.2 joe.doe is over quota";
const LISTED: &str =
    "554 5.7.1 Service unavailable; client [192.0.2.9] blocked using zen.spamhaus.org";
const GREY: &str = "450 4.2.0 greylisted, try again later";

fn append(path: &Path, text: &str) {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A run, and what it says, line by line.
struct Run {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Run {
    fn new(folder: &Path, words: &[&str], input: Stdio) -> Self {
        let words: Vec<&str> = ["diagnose", "--follow"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let mut child = binary(folder, &words)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            out: lines(out),
            err: lines(err),
        }
    }

    /// Waits for a line that holds a text, and gives what stood before it.
    #[track_caller]
    fn wait_for(from: &Receiver<String>, text: &str) -> String {
        let mut all = String::new();
        loop {
            let line = from
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no `{text}` in: {all}"));
            all += &line;
            all.push('\n');
            if line.contains(text) {
                return all;
            }
        }
    }

    /// Ends it as Ctrl-C does; gives what it still said, and its status.
    fn end(mut self) -> (String, i32) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let status = self.child.wait().unwrap();
        (
            self.out.iter().map(|line| line + "\n").collect(),
            status.code().unwrap(),
        )
    }
}

#[test]
fn what_is_new_is_told_through_rotations() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("mail.log");
    append(&log, &refusal(1, GREY));
    let run = Run::new(folder.path(), &["mail.log"], Stdio::null());
    let said = Run::wait_for(&run.err, "following");
    assert_eq!(
        said,
        "following `mail.log`; Ctrl-C ends it with a summary\n"
    );
    append(&log, &refusal(2, UNKNOWN));
    Run::wait_for(&run.out, "[mailbox-unknown]");
    // It is moved away, its last lines come, and a new one is begun.
    let rotated = folder.path().join("mail.log.1");
    fs::rename(&log, &rotated).unwrap();
    append(&rotated, &refusal(3, UNKNOWN));
    append(&log, &refusal(4, FULL));
    let block = Run::wait_for(&run.out, "[mailbox-full]");
    // Nothing is told twice, and nothing of before.
    assert!(
        !block.contains("[mailbox-unknown]") && !block.contains("greylisted"),
        "{block}"
    );
    // Half a line waits for its end.
    let line = refusal(5, LISTED);
    let (half, rest) = line.split_at(100);
    append(&log, half);
    thread::sleep(Duration::from_millis(700));
    append(&log, rest);
    Run::wait_for(&run.out, "[ip-blocklist]");
    // It is emptied in place.
    fs::write(&log, refusal(6, UNKNOWN)).unwrap();
    thread::sleep(Duration::from_millis(1500));
    let (rest, status) = run.end();
    let summary: Vec<&str> = rest.lines().skip_while(|line| *line != "summary").collect();
    let counted = |code: &str| {
        let line = summary.iter().find(|line| line.contains(code));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse::<u32>().ok())
    };
    assert_eq!(counted("mailbox-unknown"), Some(3), "{rest}");
    assert_eq!(counted("mailbox-full"), Some(1), "{rest}");
    assert_eq!(counted("ip-blocklist"), Some(1), "{rest}");
    assert_eq!(counted("greylisted"), None, "{rest}");
    assert_eq!(status, 1);
}

#[test]
fn standard_input_is_followed_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let run = {
        let mut run = Run::new(folder.path(), &["-", "--mask"], Stdio::piped());
        let mut input = run.child.stdin.take().unwrap();
        input.write_all(refusal(1, UNKNOWN).as_bytes()).unwrap();
        let block = Run::wait_for(&run.out, "user unknown");
        assert!(block.contains("user1@example.org"), "{block}");
        input
            .write_all(refusal(2, FULL).trim_end().as_bytes())
            .unwrap();
        run
    };
    let rest: Vec<String> = run.out.iter().collect();
    let rest = rest.join("\n");
    assert!(
        rest.contains("[mailbox-full]") && rest.contains("summary"),
        "{rest}"
    );
    assert!(!rest.contains("joe"), "{rest}");
}

#[test]
fn a_line_without_an_end_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), &["-"], Stdio::piped());
    let mut input = run.child.stdin.take().unwrap();
    // More parts than may be waited for one by one.
    let writer = thread::spawn(move || {
        input.write_all(&vec![b'='; 16 << 20]).unwrap();
        input.write_all(b"\n").unwrap();
        input.write_all(refusal(1, UNKNOWN).as_bytes()).unwrap();
    });
    Run::wait_for(&run.out, "user unknown");
    writer.join().unwrap();
}

#[test]
fn a_log_where_nothing_fails_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::new(folder.path(), &["mail.log"], Stdio::null());
    let said = Run::wait_for(&run.err, "following");
    assert!(
        said.starts_with("note: `mail.log` is not there yet\n"),
        "{said}"
    );
    let sent = refusal(1, "250 ok").replace("bounced", "sent");
    append(&folder.path().join("mail.log"), &sent);
    thread::sleep(Duration::from_millis(900));
    let err = {
        let Run { child, err, .. } = &run;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        Run::wait_for(err, "nothing was refused, lost or stuck")
    };
    assert_eq!(err.lines().count(), 1);
}

#[test]
fn at_a_terminal_ctrl_c_ends_it_with_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("mail.log");
    append(&log, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailfix"));
    command
        .args(["diagnose", "--follow", "mail.log"])
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .env("TERM", "xterm");
    let mut terminal = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    terminal.exp_string("Ctrl-C ends it").unwrap();
    append(&log, &refusal(1, &format!("{UNKNOWN} \u{1b}[31m")));
    let block = terminal.exp_string("[mailbox-unknown]").unwrap();
    assert!(!block.contains('\u{1b}'), "{block:?}");
    terminal.send_control('c').unwrap();
    terminal.exp_string("summary").unwrap();
    let rest = terminal.exp_eof().unwrap();
    assert!(
        rest.contains("mailbox-unknown") && !rest.contains('\u{1b}'),
        "{rest:?}"
    );
}

/// The objects that were told, by what each is about.
fn objects(lines: &[String]) -> Vec<(String, Value)> {
    let of = |line: &String| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(object["format"], 1, "{line}");
        let known = ["finding", "worse", "more", "summary"];
        let what = known.into_iter().find(|what| object.get(what).is_some());
        let what = what.unwrap_or_else(|| panic!("{line}"));
        (what.to_owned(), object[what].clone())
    };
    lines.iter().map(of).collect()
}

#[test]
fn programs_are_told_in_lines_of_json_as_things_come() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("mail.log");
    append(&log, &refusal(1, UNKNOWN));
    let words = ["mail.log", "--json", "--mask", "--top", "1"];
    let run = Run::new(folder.path(), &words, Stdio::null());
    Run::wait_for(&run.err, "following");
    append(&log, &refusal(2, GREY).replace("bounced", "deferred"));
    let first = run.out.recv_timeout(PATIENCE).unwrap();
    append(&log, &refusal(3, LISTED));
    let second = run.out.recv_timeout(PATIENCE).unwrap();
    // What was late is lost in the end.
    append(&log, &refusal(2, GREY));
    let third = run.out.recv_timeout(PATIENCE).unwrap();
    let (rest, status) = run.end();
    let mut all = vec![first, second, third];
    all.extend(rest.lines().map(ToOwned::to_owned));
    let told = objects(&all);
    let codes: Vec<(&str, &str)> = told
        .iter()
        .map(|(what, value)| (what.as_str(), value["code"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        codes,
        [
            ("finding", "greylisted"),
            ("finding", "ip-blocklist"),
            ("worse", "greylisted"),
            ("summary", "")
        ],
        "{all:?}"
    );
    assert_eq!(told[3].1["groups"].as_array().unwrap().len(), 1, "{all:?}");
    assert!(!all.join("").contains("joe"), "{all:?}");
    assert_eq!(status, 1);
}

#[test]
fn what_was_there_is_told_first_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("mail.log");
    append(&log, &refusal(1, GREY).replace("T10:", "T09:"));
    append(&log, &refusal(2, UNKNOWN));
    let words = ["mail.log", "--since", "2026-03-03T10:00"];
    let run = Run::new(folder.path(), &words, Stdio::null());
    let block = Run::wait_for(&run.out, "[mailbox-unknown]");
    assert!(!block.contains("greylisted"), "{block}");
    append(&log, &refusal(3, UNKNOWN));
    append(&log, &refusal(4, FULL));
    Run::wait_for(&run.out, "[mailbox-full]");
    let (rest, _) = run.end();
    let line = rest.lines().find(|line| line.contains("mailbox-unknown"));
    let line = line.unwrap_or_else(|| panic!("{rest}"));
    assert!(line.trim_start().starts_with("2 "), "nothing twice: {line}");
}

#[test]
fn another_maillog_file_is_taken_up() {
    if !has_postfix() {
        return;
    }
    let profile = mailfix::profile::Profile::built_in("linux").expect("it is one of ours");
    let tree = Tree::new();
    let main = |name: &str| format!("{}maillog_file = /var/log/{name}\n", profile.stock.main_cf);
    tree.write("/etc/postfix/main.cf", main("one.log"));
    tree.write("/etc/postfix/master.cf", profile.stock.master_cf);
    tree.write("/var/log/one.log", refusal(1, GREY));
    tree.settle();
    let words = ["--root", ".", "--profile", "linux"];
    let run = Run::new(tree.path(), &words, Stdio::null());
    let said = Run::wait_for(&run.err, "following");
    assert!(said.contains("following `/var/log/one.log`;"), "{said}");
    append(&tree.real("/var/log/one.log"), &refusal(2, UNKNOWN));
    Run::wait_for(&run.out, "[mailbox-unknown]");
    tree.write("/etc/postfix/main.cf", main("two.log"));
    let said = Run::wait_for(&run.err, "main.cf was changed");
    assert!(said.contains("following `/var/log/two.log` too"), "{said}");
    append(&tree.real("/var/log/two.log"), &refusal(3, FULL));
    Run::wait_for(&run.out, "[mailbox-full]");
    // What still comes into the old one is not lost.
    append(&tree.real("/var/log/one.log"), &refusal(4, LISTED));
    Run::wait_for(&run.out, "[ip-blocklist]");
    let (rest, status) = run.end();
    assert!(!rest.contains("greylisted"), "{rest}");
    assert_eq!(status, 1);
}
