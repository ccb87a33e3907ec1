//! The program: hands the real machine, terminal and clock to [`mailfix::cli::run`].
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the arguments and sets the exit status"
)]

use std::io::IsTerminal;
use std::process::ExitCode;

use mailfix::cli::{FailureKind, World, run};

fn main() -> ExitCode {
    let out = anstream::stdout();
    let world = World {
        arguments: std::env::args_os().collect(),
        now: jiff::Timestamp::now(),
        is_terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        kernel: nix::sys::utsname::uname()
            .map(|name| name.sysname().to_string_lossy().into_owned())
            .unwrap_or_default(),
        user: (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        ),
        program: std::env::current_exe()
            .ok()
            .and_then(|path| path.try_into().ok()),
        resolver: None,
        input: Box::new(std::io::stdin()),
        is_coloured: out.current_choice() != anstream::ColorChoice::Never,
        out: Box::new(out),
        err: Box::new(anstream::stderr()),
    };
    // A panic is our bug, and has its own status; what was half written is gone by then.
    let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(world)))
        .unwrap_or_else(|_| FailureKind::Bug.status());
    ExitCode::from(status)
}
