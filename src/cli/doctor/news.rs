//! `mailfix doctor --new`: what was not told before, and nothing at all where there is nothing.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anstream::adapter::strip_bytes;
use camino::{Utf8Path, Utf8PathBuf};

use super::look::{Looked, look};
use super::{Doctor, Outcome, list};
use crate::cli::ui::Ui;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::doctor::By;
use crate::doctor::told::{self, Told, ToldError};
use crate::system::{Letter, SystemError};

/// How long another run may take to tell what it has found.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks, tells what is new, and takes note of all of it.
///
/// Whatever keeps it from being noted, it is told: then it is told again the next time.
pub fn tell(session: &mut Session, command: &Doctor) -> Result<u8, Failure> {
    let state = session.state()?;
    let before = Told::read(session.system.as_ref(), &state).ok();
    let mut looked = look(session, command)?;
    let held = hold(session, &state);
    if let Err(error @ SystemError::Locked { .. }) = held {
        return Err(error.into());
    }
    let mut obstacle = held.err();
    let told = match Told::read(session.system.as_ref(), &state) {
        Ok(told) => told,
        // It is written anew; what was told is told once more.
        Err(error @ ToldError::Broken { .. }) => {
            session
                .ui
                .say(&format!("warning: {error}; it is begun anew"));
            Told::default()
        }
        Err(ToldError::System(error)) => {
            obstacle.get_or_insert(error);
            Told::default()
        }
    };
    let unseen: Vec<By> = looked
        .skipped
        .iter()
        .filter_map(|skipped| by(skipped.what))
        .collect();
    let mut after = told.after(&looked.troubles, &unseen);
    if before.as_ref() != Some(&told) {
        after = after.beside(&told);
    }
    looked.troubles = told.news(&looked.troubles);
    if !looked.troubles.is_empty() {
        say(session, command, &looked)?;
    }
    // Only what was told is known: a run that could not tell is made up for by the next.
    if obstacle.is_none() && after != told {
        obstacle = after.write(session.system.as_mut(), &state).err();
    }
    if let Some(error) = obstacle {
        let message = format!("what was told cannot be noted: {error}");
        let hint = "until it can, every run tells all of it again";
        session.ui.failure(&message, &[hint.to_owned()]);
        return Ok(FailureKind::Failed.status());
    }
    Ok(match looked.outcome() {
        Outcome::Wrong => FailureKind::Failed.status(),
        Outcome::Unasked | Outcome::Right => 0,
    })
}

/// Waits until no other run tells anything.
fn hold(session: &mut Session, state: &Utf8Path) -> Result<(), SystemError> {
    let begin = Instant::now();
    loop {
        match told::hold(session.system.as_mut(), state) {
            Err(SystemError::Locked { .. }) if begin.elapsed() < PATIENCE => thread::sleep(PAUSE),
            other => return other,
        }
    }
}

/// Tells it, as was asked for.
fn say(session: &mut Session, command: &Doctor, looked: &Looked) -> Result<(), Failure> {
    let mailed = match &command.mail {
        Some(address) => mail(session, address, looked),
        None => Ok(()),
    };
    if command.json {
        let object = json::doctor(looked, looked.outcome());
        session.ui.data(&json::text(&object));
    } else if command.mail.is_none() || mailed.is_err() {
        // What no mail brings may still be read where the job's output goes.
        list::show(&mut session.ui, &looked.troubles);
    }
    mailed
}

/// The look that could not be taken.
fn by(what: &str) -> Option<By> {
    match what {
        "host" => Some(By::Host),
        "queue" => Some(By::Queue),
        "history" => Some(By::Receipts),
        "log" => Some(By::Log),
        "dns" => Some(By::Dns),
        _ => None,
    }
}

/// Mails the list.
fn mail(session: &mut Session, address: &str, looked: &Looked) -> Result<(), Failure> {
    let Some(sendmail) = looked.sendmail.clone() else {
        return Err(Failure::failed(
            "there is no Postfix here that could send the list",
        ));
    };
    let text = Written::default();
    let mut ui = Ui::new(Box::new(text.clone()), Box::new(io::sink()));
    list::show(&mut ui, &looked.troubles);
    drop(ui);
    let body = strip_bytes(&text.0.borrow()).into_vec();
    let number = looked.troubles.len();
    let many = if number == 1 { "" } else { "s" };
    let host = &sendmail.host;
    let head = format!(
        "From: mailfix on {host} <postmaster@{host}>\nTo: {address}\nSubject: {number} new \
         finding{many} of mailfix on {host}\nAuto-Submitted: auto-generated\nMIME-Version: \
         1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    );
    let letter = Letter {
        config: sendmail.config,
        sendmail: sendmail.path,
        sender: format!("postmaster@{host}"),
        recipient: address.to_owned(),
        text: [head.into_bytes(), body].concat(),
    };
    let output = session.system.send(&letter)?;
    if output.success() {
        return Ok(());
    }
    let said = output.errors();
    Err(Failure::failed(format!(
        "`sendmail` did not take the list for `{address}`: {}",
        said.trim()
    )))
}

/// By what a letter is handed over.
#[derive(Clone, Debug)]
pub struct Sendmail {
    /// The program.
    pub path: Utf8PathBuf,
    /// The configuration directory.
    pub config: Utf8PathBuf,
    /// The name of this host.
    pub host: String,
}

/// What was written, shared with whoever wrote it.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads an address for the command line: one that can stand in a header, and is no option.
pub fn address(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>(),;:\\\"[]".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
        return Err(format!("`{}` is no address", crate::finding::escape(text)));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_brings_no_header_of_its_own() {
        assert_eq!(address("root").unwrap(), "root");
        assert_eq!(address("a+b@example.org").unwrap(), "a+b@example.org");
        for bad in ["", "-oX", "a@b\nBcc: c@d", "a@b, c@d", "a b", "a@é"] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }
}
