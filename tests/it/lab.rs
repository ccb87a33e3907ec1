//! End to end: worlds of the laboratory with a real Postfix, see `tests/lab/README.md`.
//!
//! The worlds are data; this only starts them. Where the machine cannot build one the
//! test says that it skipped; `CI=true` makes that a failure.

use std::path::Path;
use std::process::{Command, Output};

/// How many worlds run at a time: each keeps about one processor busy.
const JOBS: &str = "2";

/// `script/lab`'s status for "this machine lacks something".
const LACKING: i32 = 3;

#[test]
fn the_laboratory_itself_is_sound() {
    println!("{}", lab(&["self-test"]));
}

#[test]
fn every_world_can_be_read() {
    println!("{}", lab(&["list"]));
}

#[test]
fn the_chosen_worlds_end_as_they_say() {
    let program = env!("CARGO_BIN_EXE_mailfix");
    let report = lab(&["ci", "--jobs", JOBS, "--mailfix", program]);
    println!("{report}");
}

/// Runs the laboratory and returns its report; panics if it does not end well.
fn lab(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("script/lab");
    let output = Command::new(script).args(arguments).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("`script/lab` is there and executable");
    let report = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    if status.code() == Some(LACKING) && !in_ci {
        return format!("skipped: {report}");
    }
    assert!(status.success(), "{report}");
    report
}
