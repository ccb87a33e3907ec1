//! Runs of the program.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use anstream::StripStream;
use jiff::Timestamp;
use mailfix::cli::{self, World};
use mailfix::dns::{FixedResolver, Resolver};

/// What a run showed, and how it ended.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
}

impl fmt::Display for Shown {
    /// All of it as one block; a stream without text is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "----- {name}\n{}", text.trim_end_matches('\n'))?;
            }
        }
        write!(f, "----- status {}", self.status)
    }
}

/// A stream that keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// A stream without the escape sequences of colours.
    fn plain(&self) -> Box<dyn Write> {
        struct Plain(StripStream<Vec<u8>>, Kept);
        impl Write for Plain {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let written = self.0.write(bytes)?;
                let stripped = std::mem::replace(&mut self.0, StripStream::new(Vec::new()));
                self.1.write_all(&stripped.into_inner())?;
                Ok(written)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        Box::new(Plain(StripStream::new(Vec::new()), self.clone()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

/// Runs the program within this process: at a time of our own, and with DNS as zone text
/// has it. Without a terminal and without colour.
pub fn run(words: &[&str], now: Timestamp, zone: Option<&str>) -> Shown {
    run_from(None, words, now, zone)
}

/// The same of a program that lies somewhere.
pub fn run_from(
    program: Option<&str>,
    words: &[&str],
    now: Timestamp,
    zone: Option<&str>,
) -> Shown {
    let (out, err) = (Kept::default(), Kept::default());
    let resolver = zone.map(|text| FixedResolver::from_zone(text).expect("the zone text is right"));
    let status = cli::run(World {
        arguments: std::iter::once("mailfix")
            .chain(words.iter().copied())
            .map(Into::into)
            .collect(),
        now,
        is_terminal: false,
        kernel: "Linux".to_owned(),
        user: (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        ),
        program: program.map(Into::into),
        resolver: resolver.map(|resolver| Arc::new(resolver) as Arc<dyn Resolver>),
        input: Box::new(io::empty()),
        is_coloured: false,
        out: out.plain(),
        err: err.plain(),
    });
    Shown {
        stdout: out.text(),
        stderr: err.text(),
        status: status.into(),
    }
}

/// Makes ready a run of the program as it is installed, in a folder, with an environment that
/// says no more than where programs are.
pub fn binary(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailfix"));
    command
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("COLUMNS", "80")
        .stdin(std::process::Stdio::null());
    command
}

impl From<std::process::Output> for Shown {
    fn from(output: std::process::Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code().expect("no signal ends it"),
        }
    }
}
