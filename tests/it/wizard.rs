//! `mailfix init` at a real terminal of 80 columns.

use std::path::Path;
use std::process::Command;

use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;

/// How long a prompt may take to appear, in milliseconds.
const PATIENCE: u64 = 60_000;

/// What the shell around the program says when that has ended.
const ENDED: &str = "the program ended with ";

/// A terminal in which `mailfix init` runs, on a tree without Postfix.
struct Terminal {
    session: PtySession,
    /// All that was shown.
    shown: String,
    /// The working directory, which has the tree in it.
    directory: TempDir,
}

impl Terminal {
    fn open(arguments: &[&str]) -> Self {
        Self::open_in(tempfile::tempdir().expect("there is room"), arguments)
    }

    fn open_in(directory: TempDir, arguments: &[&str]) -> Self {
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(&tree).expect("there is room");
        let mut command = Command::new("sh");
        let script = format!(
            "stty cols 80 rows 24; \"$@\"; echo '{ENDED}'$?; \
             stty -a | tr ' ' '\\n' | grep -E '^-?(icanon|isig);?$'"
        );
        command
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_mailfix"), "init"])
            .args(["--offline", "--root"])
            .arg(&tree)
            .args(arguments)
            .current_dir(directory.path())
            .env_remove("MAILFIX_SITE")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        Self {
            session: spawn_command(command, Some(PATIENCE)).expect("a terminal opens"),
            shown: String::new(),
            directory,
        }
    }

    /// Waits for a prompt, then types.
    fn answer(&mut self, prompt: &str, keys: &str) {
        let before = self.session.exp_string(prompt);
        let before = before.unwrap_or_else(|error| panic!("{error}\nshown:\n{}", self.shown));
        self.shown.push_str(&before);
        self.shown.push_str(prompt);
        self.session.send(keys).expect("the program reads");
        self.session.flush().expect("the program reads");
    }

    /// Answers all the questions of a host without Postfix, up to the last one.
    fn answer_all(&mut self) {
        self.answer("Kind of host [linux]: ", "\r");
        self.answer("Host name of the server: ", "mail\r");
        self.answer("error: `mail` is not a full host name", "");
        self.answer("Host name of the server: ", "mail.example.org\r");
        self.answer("IPv4 addresses: ", "10.0.0.1\r");
        self.answer("error: `10.0.0.1` is a private address", "");
        self.answer("IPv4 addresses: ", "8.8.4.4\r");
        self.answer(
            "IPv6 addresses [none]: ",
            "2a01:4f8:abcd:1234:5678:9abc:def0:1234, 2a01:4f8:abcd:1234:5678:9abc:def0:1235\r",
        );
        self.answer("Domains [example.org]: ", "\r");
        self.answer("Who controls the domains' DNS [self]: ", "\r");
        self.answer("Who controls reverse DNS of IPv4 [provider]: ", "\r");
        self.answer("Who controls reverse DNS of IPv6 [provider]: ", "nope\r");
        self.answer("error: unknown answer `nope`", "");
        self.answer(
            "Who controls reverse DNS of IPv6 [provider]: ",
            "nonx\u{7f}e\r",
        );
        self.answer("Other servers [none]: ", "\r");
        self.answer("Third parties [none]: ", "\r");
        self.answer("DMARC policy [none]: ", "\r");
    }

    /// Waits for the end; gives the exit status and all that was shown.
    fn close(mut self) -> (i32, String, TempDir) {
        let rest = self.session.exp_eof().expect("the program ends");
        self.shown.push_str(&rest);
        let status = self.session.process().wait().expect("the shell ended");
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
        let (_, status) = self.shown.split_once(ENDED).expect("the program ended");
        let status = status.lines().next().and_then(|text| text.parse().ok());
        (status.expect("a number"), self.shown, self.directory)
    }
}

/// Leaves out the escape sequences that move the cursor and clear lines.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // CSI: parameters, then one letter.
            let _ = rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(c);
        }
    }
    text
}

/// Lists the names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("it is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[test]
fn who_changes_zones_by_updates_is_asked_for_server_and_key() {
    let mut terminal = Terminal::open(&[
        "--hostname=mail.example.org",
        "--ipv4=8.8.4.4",
        "--ipv6=none",
        "--domain=example.org",
        "--profile=linux",
    ]);
    terminal.answer("Who controls the domains' DNS [self]: ", "update\r");
    terminal.answer("Server and key of updates: ", "192.0.2.53\r");
    terminal.answer("error: `192.0.2.53` names no key", "");
    terminal.answer(
        "Server and key of updates: ",
        "192.0.2.53 /etc/mailfix/tsig.key\r",
    );
    terminal.answer("Who controls reverse DNS of IPv4 [provider]: ", "\r");
    terminal.answer("Other servers [none]: ", "\r");
    terminal.answer("Third parties [none]: ", "\r");
    terminal.answer("DMARC policy [none]: ", "\r");
    terminal.answer("Write these files? [no] ", "y\r");
    let (status, shown, directory) = terminal.close();
    assert_eq!(status, 0, "{shown}");
    let text = std::fs::read_to_string(directory.path().join("mailfix-out/mailfix.toml")).unwrap();
    let expected = "[dns.update]\nserver = \"192.0.2.53\"\nkey = \"/etc/mailfix/tsig.key\"\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn questions_lead_to_the_plan_and_to_the_files() {
    let mut terminal = Terminal::open(&[]);
    terminal.answer_all();
    terminal.answer("Write these files? [no] ", "e\r");
    terminal.answer("Write these files? [no] ", "y\r");
    let (status, shown, directory) = terminal.close();
    assert_eq!(status, 0, "{shown}");
    let text = std::fs::read_to_string(directory.path().join("mailfix-out/mailfix.toml")).unwrap();
    for line in [
        "hostname = \"mail.example.org\"",
        "ipv4 = [\"8.8.4.4\"]",
        "reverse6 = \"none\"",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(names(&directory.path().join("tree")), [""; 0]);

    // The second time everything is known, and the only question is whether it is right.
    let mut terminal = Terminal::open_in(directory, &[]);
    terminal.answer("What the site file says already:", "");
    terminal.answer("Is this right? [yes] ", "\r");
    terminal.answer("Write these files? [no] ", "\u{3}");
    let (_, _, directory) = terminal.close();
    let again = std::fs::read_to_string(directory.path().join("mailfix-out/mailfix.toml")).unwrap();
    assert_eq!(again, text);
}

#[test]
fn what_the_wizard_shows_fits_the_terminal() {
    let mut terminal = Terminal::open(&[]);
    terminal.answer_all();
    terminal.answer("Write these files? [no] ", "n\r");
    let (_, shown, directory) = terminal.close();
    assert_eq!(names(directory.path()), ["tree"]);
    let shown = plain(&shown);
    let (asked, _) = shown.split_once("DMARC policy: none").expect("it is asked");
    for line in asked.lines() {
        // A question is overwritten by its answer; what was typed may be longer than the line.
        let line = line.rsplit('\r').find(|part| !part.is_empty());
        let line = line.unwrap_or_default();
        assert!(line.chars().count() <= 80, "{line:?}\n{shown}");
    }
}

#[test]
fn control_c_leaves_nothing_behind_and_the_terminal_in_order() {
    let at_once = |terminal: &mut Terminal| terminal.answer("Kind of host [linux]: ", "\u{3}");
    let while_typing = |terminal: &mut Terminal| {
        terminal.answer("Kind of host [linux]: ", "\r");
        terminal.answer("Host name of the server: ", "mail.exa\u{3}");
    };
    let at_the_end = |terminal: &mut Terminal| {
        terminal.answer_all();
        terminal.answer("Write these files? [no] ", "\u{3}");
    };
    let moments: [&dyn Fn(&mut Terminal); 3] = [&at_once, &while_typing, &at_the_end];
    for moment in moments {
        let mut terminal = Terminal::open(&[]);
        moment(&mut terminal);
        let (status, shown, directory) = terminal.close();
        assert_ne!(status, 0, "{shown}");
        assert!(
            shown.contains("error: interrupted; nothing was written"),
            "{shown}"
        );
        assert_eq!(names(directory.path()), ["tree"]);
        assert_eq!(names(&directory.path().join("tree")), [""; 0]);
        for mode in ["\r\nisig", "\r\nicanon"] {
            assert!(shown.contains(mode), "{shown}");
        }
        // A cursor that was hidden is shown again.
        let hidden = shown.rfind("\u{1b}[?25l");
        let visible = shown.rfind("\u{1b}[?25h");
        assert!(visible.is_some() && visible > hidden, "{shown:?}");
    }
}

#[test]
fn what_is_given_is_not_asked() {
    let mut terminal = Terminal::open(&[
        "--profile=osx-server",
        "--hostname=mail.example.org",
        "--ipv4=8.8.4.4",
        "--ipv6=none",
        "--domain=example.org",
        "--domain=example.net",
        "--forward-dns=self",
        "--reverse-dns4=provider",
        "--set=other-servers=none",
        "--set=third-parties=_spf.example.net",
    ]);
    terminal.answer("DMARC policy [none]: ", "\u{3}");
    let (_, shown, _) = terminal.close();
    assert!(!plain(&shown).contains("Domains"), "{shown}");
}

#[test]
fn without_a_terminal_the_whole_command_to_type_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("a tree")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mailfix"))
        .args(["init", "--offline", "--root", "a tree", "--ipv4=8.8.4.4"])
        .current_dir(directory.path())
        .env_remove("MAILFIX_SITE")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.starts_with("error: no answer for `hostname`, `domain`\n"),
        "{errors}"
    );
    let command = "`mailfix init --no-input --offline --root 'a tree' --ipv4 8.8.4.4 \
                   --hostname HOSTNAME --domain DOMAIN`";
    assert!(errors.contains(command), "{errors}");
    assert_eq!(names(directory.path()), ["a tree"]);
}

/// Without the DNS reply filter domains are listed, and a list ages: that is asked once it is
/// known, behind all other questions.
#[test]
fn a_daily_refresh_is_offered_where_a_list_is_in_use() {
    if !crate::support::has_postfix() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let config = directory.path().join("tree/etc/postfix");
    std::fs::create_dir_all(&config).expect("there is room");
    let main = "compatibility_level = 3.6\nsmtp_dns_support_level = disabled\n";
    std::fs::write(config.join("main.cf"), main).expect("there is room");
    let master = "smtp unix - - n - - smtp\n";
    std::fs::write(config.join("master.cf"), master).expect("there is room");
    let mut words = vec!["--profile", "linux", "--hostname", "mail.example.org"];
    words.extend(["--ipv4", "8.8.4.4", "--ipv6", "2a01:4f8::1", "--domain"]);
    words.extend([
        "example.org",
        "--forward-dns",
        "self",
        "--reverse-dns4",
        "self",
    ]);
    words.extend(["--reverse-dns6", "none", "--set", "other-servers=none"]);
    words.extend(["--set", "third-parties=none", "--set", "dmarc=none"]);
    let mut terminal = Terminal::open_in(directory, &words);
    terminal.answer("Look for hosted domains every day [yes]: ", "no\r");
    terminal.answer("+timer = false", "");
    terminal.answer("Apply? [no] ", "n\r");
    let (status, shown, directory) = terminal.close();
    assert_eq!(status, 1, "{shown}");
    assert!(plain(&shown).contains("domains move"), "{shown}");
    assert!(!directory.path().join("tree/etc/mailfix").exists());
}
