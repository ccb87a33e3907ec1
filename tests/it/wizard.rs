//! The wizard at a real terminal of 80 columns.

use std::env::current_exe;
use std::time::Duration;

use mailfix::ask::{AskError, TerminalAsker};
use mailfix::wizard::{Answers, Detected, Wizard, WizardError};
use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

/// How long a prompt may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, when the other tests start this one inside a terminal.
#[test]
#[ignore = "runs inside the terminal that the other tests open"]
fn inside_a_terminal() {
    let detected = Detected {
        is_the_server: true,
        profile: Some((
            "linux-chroot".to_owned(),
            "the kernel is Linux, and `smtp` runs in a chroot".to_owned(),
        )),
        hostname: Some("mail.example.org".to_owned()),
        addresses: vec![
            "8.8.4.4".parse().unwrap(),
            "2a01:4f8:abcd:1234:5678:9abc:def0:1234".parse().unwrap(),
            "2a01:4f8:abcd:1234:5678:9abc:def0:1235".parse().unwrap(),
        ],
        domains: vec!["example.org".to_owned()],
    };
    let wizard = Wizard {
        given: Answers::default(),
        detected: &detected,
        existing: None,
        own_profile: None,
        allow_non_global: false,
    };
    let answers = TerminalAsker::new()
        .map_err(WizardError::from)
        .and_then(|mut asker| wizard.ask(&mut asker));
    match answers {
        Ok(answers) => {
            for (id, value) in answers.iter() {
                println!("answer {}={value}", id.as_str());
            }
        }
        Err(WizardError::Ask(AskError::Interrupted)) => println!("interrupted"),
        Err(error) => println!("error: {error}"),
    }
    println!("done");
}

struct Terminal {
    session: PtySession,
    /// All that was shown.
    shown: String,
}

impl Terminal {
    fn open() -> Self {
        let program = current_exe().expect("the test knows its program");
        let mut command = std::process::Command::new("sh");
        command
            .arg("-c")
            .arg(
                "stty cols 80 rows 24; \"$0\" --ignored --exact wizard::inside_a_terminal \
                 --nocapture; stty -a | tr ' ' '\\n' | grep -E '^-?(icanon|isig);?$'",
            )
            .arg(program)
            .env("TERM", "xterm");
        let patience = u64::try_from(PATIENCE.as_millis()).expect("patience is short");
        Self {
            session: spawn_command(command, Some(patience)).expect("a terminal opens"),
            shown: String::new(),
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

    fn close(mut self) -> String {
        let rest = self.session.exp_eof().expect("the program ends");
        self.shown.push_str(&rest);
        let status = self.session.process().wait().expect("the program ended");
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
        self.shown
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

#[test]
fn enter_takes_what_was_found_and_the_defaults() {
    let mut terminal = Terminal::open();
    terminal.answer("Is this right? [yes] ", "\r");
    terminal.answer("Domains [example.org]: ", "\r");
    terminal.answer("Who controls the domains' DNS [self]: ", "\r");
    terminal.answer("Who controls reverse DNS of IPv4 [provider]: ", "\r");
    terminal.answer("Who controls reverse DNS of IPv6 [provider]: ", "nope\r");
    terminal.answer("error: unknown answer `nope`", "");
    terminal.answer(
        "Who controls reverse DNS of IPv6 [provider]: ",
        "nonx\u{7f}e\r",
    );
    terminal.answer("Other servers [none]: ", "\r");
    terminal.answer("Third parties [none]: ", "\r");
    terminal.answer("DMARC policy [none]: ", "\r");
    let shown = plain(&terminal.close());
    for answer in [
        "answer profile=linux-chroot",
        "answer reverse-dns6=none",
        "answer dkim-key=/etc/mailfix/dkim/mail.private",
    ] {
        assert!(shown.contains(answer), "{shown}");
    }
    let (asked, _) = shown.split_once("answer ").expect("the answers are listed");
    for line in asked.lines() {
        // What is typed over is on the same line.
        let line = line.rsplit('\r').find(|part| !part.is_empty());
        assert!(
            line.unwrap_or_default().chars().count() <= 80,
            "{line:?}\n{shown}"
        );
    }
}

#[test]
fn control_c_ends_it_and_leaves_the_terminal_in_order() {
    let mut terminal = Terminal::open();
    terminal.answer("Is this right? [yes] ", "n\r");
    terminal.answer("Kind of host [linux-chroot]: ", "\r");
    terminal.answer("Host name of the server [mail.example.org]: ", "\r");
    terminal.answer("IPv4 addresses [8.8.4.4]: ", "\r");
    // A default too long for the line stands above it.
    terminal.answer("Enter alone takes: 2a01:", "");
    terminal.answer("IPv6 addresses: ", "\r");
    terminal.answer("Domains [example.org]: ", "exam\u{3}");
    let shown = terminal.close();
    assert!(shown.contains("interrupted\r\ndone"), "{shown}");
    for mode in ["\r\nisig", "\r\nicanon"] {
        assert!(shown.contains(mode), "{shown}");
    }
    // A cursor that was hidden is shown again.
    let hidden = shown.rfind("\u{1b}[?25l");
    let shown_again = shown.rfind("\u{1b}[?25h");
    assert!(shown_again >= hidden && shown_again.is_some(), "{shown:?}");
}
