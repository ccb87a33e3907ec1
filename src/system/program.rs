//! Programs: where they are, and how every one of them is started.
//!
//! Owns the environment, the streams and the time limit. Must not know what
//! the programs are asked.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where programs are started"
)]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Output, SystemError, signal};

/// Where Postfix's programs are beside what `PATH` says; a user's `PATH` lacks these.
const FURTHER_DIRECTORIES: [&str; 6] = [
    "/usr/sbin",
    "/sbin",
    "/usr/local/sbin",
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
];

/// How long a question may take; `postconf` alone can sleep two seconds.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// How long a change may take: `postfix reload` walks the whole active queue.
const CHANGE_LIMIT: Duration = Duration::from_secs(300);

/// How long to wait for the rest of the output once a program has ended: what it left
/// running in the background holds the pipes open.
const REST_LIMIT: Duration = Duration::from_millis(200);

/// The longest nap between two looks at a running program.
const LONGEST_NAP: Duration = Duration::from_millis(20);

/// Where programs are searched.
#[derive(Debug)]
pub(super) struct Programs {
    directories: Vec<Utf8PathBuf>,
}

impl Programs {
    /// Takes `PATH`, then the usual places. The directory that holds `postconf` comes first of
    /// all: where several Postfixes are installed, their programs are not to be mixed.
    pub(super) fn new() -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut directories: Vec<Utf8PathBuf> = path
            .split(':')
            .chain(FURTHER_DIRECTORIES)
            // What is relative would find programs of whoever owns the current directory.
            .filter(|directory| directory.starts_with('/'))
            .map(Utf8PathBuf::from)
            .collect();
        if let Some(first) = directories
            .iter()
            .position(|directory| is_program(&directory.join("postconf")))
        {
            let first = directories.remove(first);
            directories.insert(0, first);
        }
        Self { directories }
    }

    /// Prepares a program.
    ///
    /// # Errors
    /// When it is not installed.
    pub(super) fn program(&self, name: &str) -> Result<Program, SystemError> {
        let path = self
            .directories
            .iter()
            .map(|directory| directory.join(name))
            .find(|path| is_program(path))
            .ok_or_else(|| SystemError::Missing {
                program: name.to_owned(),
            })?;
        Ok(self.prepare(name, &path))
    }

    /// Prepares a program that stands at a known place.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn at(&self, name: &str, path: &Utf8Path) -> Result<Program, SystemError> {
        if !path.is_absolute() || !is_program(path) {
            return Err(SystemError::Missing {
                program: path.to_string(),
            });
        }
        Ok(self.prepare(name, path))
    }

    fn prepare(&self, name: &str, path: &Utf8Path) -> Program {
        let mut command = Command::new(path);
        let directories: Vec<_> = self.directories.iter().map(|path| path.as_str()).collect();
        command
            // MAIL_CONFIG, LD_* and the like change what Postfix's programs do.
            .env_clear()
            .env("PATH", directories.join(":"))
            .env("LC_ALL", "C")
            .current_dir("/")
            // Of its own group: Ctrl-C reaches us, not a half-done `postfix reload`.
            .process_group(0);
        Program {
            name: name.to_owned(),
            command,
            input: Vec::new(),
            terminal: false,
            limit: QUESTION_LIMIT,
            interruptible: true,
        }
    }
}

fn is_program(path: &Utf8Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// One program, ready to run.
pub(super) struct Program {
    name: String,
    command: Command,
    input: Vec<u8>,
    terminal: bool,
    limit: Duration,
    interruptible: bool,
}

impl Program {
    pub(super) fn argument(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn arguments(mut self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Gives it lines to read on standard input.
    pub(super) fn lines(mut self, lines: &[String]) -> Self {
        for line in lines {
            self.input.extend_from_slice(line.as_bytes());
            self.input.push(b'\n');
        }
        self
    }

    /// Gives it bytes to read on standard input.
    pub(super) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    /// Makes its standard error a terminal: up to Postfix 3.7 `postfix` tells its errors to
    /// nobody but the log otherwise.
    pub(super) fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Gives it the time that a change may take, and lets no Ctrl-C end it.
    pub(super) fn uninterrupted(mut self) -> Self {
        self.limit = CHANGE_LIMIT;
        self.interruptible = false;
        self
    }

    /// Lets a Ctrl-C end it only if `interruptible`.
    pub(super) fn interruptible(mut self, interruptible: bool) -> Self {
        self.interruptible = interruptible;
        self
    }

    /// Runs it and waits.
    ///
    /// # Errors
    /// When it cannot be started, is not done in time or is interrupted.
    pub(super) fn run(mut self) -> Result<Output, SystemError> {
        let failed = |source: io::Error| SystemError::Run {
            program: self.name.clone(),
            source,
        };
        let terminal = if self.terminal {
            Some(terminal().map_err(failed)?)
        } else {
            None
        };
        self.command
            .stdin(if self.input.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped());
        let listening = match terminal {
            None => {
                self.command.stderr(Stdio::piped());
                None
            }
            Some(OpenptyResult { master, slave }) => {
                self.command.stderr(Stdio::from(slave));
                Some(std::fs::File::from(master))
            }
        };
        let mut child = self.command.spawn().map_err(failed)?;
        // The command holds our end of the terminal, which would keep it from ever closing.
        drop(self.command);

        let (closed, closings) = channel();
        let stdout = child.stdout.take().map(|pipe| Stream::new(pipe, &closed));
        let stderr = match listening {
            Some(terminal) => Some(Stream::new(terminal, &closed)),
            None => child.stderr.take().map(|pipe| Stream::new(pipe, &closed)),
        };
        drop(closed);
        if let Some(mut pipe) = child.stdin.take() {
            let input = self.input;
            // A program that does not read to the end is no failure; its status tells.
            thread::spawn(move || pipe.write_all(&input));
        }
        let waiting = Waiting {
            name: self.name.clone(),
            limit: self.limit,
            interruptible: self.interruptible,
        };
        let status = waiting.wait(&mut child, &closings)?;
        let mut stderr = stderr.map(Stream::take).unwrap_or_default();
        if self.terminal {
            // A terminal ends its lines with CR LF.
            stderr = without_carriage_returns(&stderr);
        }
        Ok(Output {
            status,
            stdout: stdout.map(Stream::take).unwrap_or_default(),
            stderr,
        })
    }
}

impl Program {
    /// Starts it, and gives what it says while it runs; it is ended when nobody reads on. Unless
    /// one `waits` for it, reading gives [`io::ErrorKind::WouldBlock`] where it has said no more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn stream(mut self, waits: bool) -> Result<Box<dyn Read + Send>, SystemError> {
        let failed = |source: io::Error| SystemError::Run {
            program: self.name.clone(),
            source,
        };
        // It prints times by the zone we take them in.
        if let Some(zone) = std::env::var_os("TZ") {
            self.command.env("TZ", zone);
        }
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = self.command.spawn().map_err(failed)?;
        let pipe = child.stdout.take();
        if let Some(pipe) = pipe.as_ref().filter(|_| !waits) {
            let set = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            if let Err(errno) = set {
                end(&mut child);
                return Err(failed(errno.into()));
            }
        }
        Ok(Box::new(Said {
            name: self.name,
            child,
            pipe,
        }))
    }
}

/// What a program says while it runs.
struct Said {
    name: String,
    child: Child,
    pipe: Option<ChildStdout>,
}

impl Read for Said {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(0);
        };
        let count = pipe.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.pipe = None;
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!(
                    "`{}` failed: {status}",
                    self.name
                )));
            }
        }
        Ok(count)
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        self.pipe = None;
        end(&mut self.child);
    }
}

struct Waiting {
    name: String,
    limit: Duration,
    interruptible: bool,
}

impl Waiting {
    /// Waits for the program's end, then a little for the rest of what it said.
    fn wait(&self, child: &mut Child, closings: &Receiver<()>) -> Result<i32, SystemError> {
        let started = Instant::now();
        let mut nap = Duration::from_micros(500);
        let mut open = true;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => {
                    let ended = Instant::now();
                    while open && ended.elapsed() < REST_LIMIT {
                        open = closings.recv_timeout(REST_LIMIT)
                            != Err(RecvTimeoutError::Disconnected);
                    }
                    return Ok(status
                        .code()
                        .or_else(|| status.signal().map(|signal| 128 + signal))
                        .unwrap_or(-1));
                }
                Ok(None) => {}
                Err(source) => {
                    return Err(SystemError::Run {
                        program: self.name.clone(),
                        source,
                    });
                }
            }
            if self.interruptible && signal::is_noted() {
                end(child);
                return Err(SystemError::Interrupted);
            }
            if started.elapsed() > self.limit {
                end(child);
                return Err(SystemError::Slow {
                    program: self.name.clone(),
                    seconds: self.limit.as_secs(),
                });
            }
            if open {
                // Closed streams are the first sign of the end, so this wakes at once.
                open = closings.recv_timeout(nap) != Err(RecvTimeoutError::Disconnected);
            } else {
                thread::sleep(nap);
            }
            nap = (nap * 2).min(LONGEST_NAP);
        }
    }
}

/// Ends a program and all it started.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // Both fail only when it has ended already.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

/// What a program says, collected beside us.
struct Stream {
    said: Arc<Mutex<Vec<u8>>>,
}

impl Stream {
    fn new(mut from: impl Read + Send + 'static, closed: &Sender<()>) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let (shared, closed) = (Arc::clone(&said), closed.clone());
        thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            loop {
                match from.read(&mut block) {
                    // A terminal that nobody writes to any more gives EIO instead of an end.
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                    Err(_) => {}
                    Ok(length) => shared
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&block[..length]),
                }
            }
            drop(closed);
        });
        Self { said }
    }

    fn take(self) -> Vec<u8> {
        std::mem::take(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn terminal() -> io::Result<OpenptyResult> {
    let pair = openpty(None, None)?;
    close_on_exec(&pair.master)?;
    close_on_exec(&pair.slave)?;
    Ok(pair)
}

fn close_on_exec(descriptor: &OwnedFd) -> io::Result<()> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

fn without_carriage_returns(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in text {
        if byte == b'\n' && lines.last() == Some(&b'\r') {
            lines.pop();
        }
        lines.push(byte);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Programs::new()
            .program("sh")
            .unwrap()
            .argument("-c")
            .argument(script)
    }

    #[test]
    fn streams_and_status_are_kept_apart() {
        let output = shell("echo out; echo err >&2; exit 3").run().unwrap();
        assert_eq!(
            (output.status, output.text(), output.errors()),
            (3, "out\n".to_owned(), "err\n".to_owned())
        );
    }

    #[test]
    fn a_signal_is_a_status() {
        assert_eq!(shell("kill -TERM $$").run().unwrap().status, 128 + 15);
    }

    #[test]
    fn standard_error_is_a_terminal_when_asked() {
        let script = "if [ -t 2 ]; then echo yes >&2; else echo no >&2; fi";
        assert_eq!(shell(script).on_terminal().run().unwrap().errors(), "yes\n");
        assert_eq!(shell(script).run().unwrap().errors(), "no\n");
    }

    #[test]
    fn the_environment_is_ours() {
        let output = shell("env | cut -d= -f1 | grep -v -x -e PWD -e SHLVL -e _ -e OLDPWD | sort")
            .run()
            .unwrap();
        assert_eq!(output.text(), "LC_ALL\nPATH\n");
    }

    #[test]
    fn lines_are_its_input() {
        let lines = ["a".to_owned(), "b c".to_owned()];
        assert_eq!(shell("cat").lines(&lines).run().unwrap().text(), "a\nb c\n");
        assert_eq!(shell("cat").run().unwrap().text(), "");
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let started = Instant::now();
        let output = shell("sleep 5 & echo done").on_terminal().run().unwrap();
        assert_eq!(output.text(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn long_output_does_not_block() {
        let output = shell("head -c 3000000 /dev/zero").run().unwrap();
        assert_eq!(output.stdout.len(), 3_000_000);
    }

    #[test]
    fn the_slow_are_ended_with_all_they_started() {
        let mut program = shell("sleep 60 & sleep 60");
        program.limit = Duration::from_millis(50);
        let error = program.run().unwrap_err();
        assert!(matches!(error, SystemError::Slow { .. }), "{error}");
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let error = Programs::new().program("no-such-program").err().unwrap();
        assert_eq!(
            error.to_string(),
            "`no-such-program` is not installed, or not on the path"
        );
    }
}
