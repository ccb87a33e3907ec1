//! SPF: the command, and against others: the public test suite of RFC 7208, and pyspf on random
//! records.
//!
//! The others come with `script/python`. Without it a test says that it is skipped; with `CI=true`
//! that is a failure.

mod command;
mod peer;
mod suite;
mod zone;

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs one of our scripts in the environment that `script/python` makes; `None` without it.
fn python(script: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write as _;

    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = home.join("target/python/bin/python");
    if !program.exists() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI runs script/python first"
        );
        println!("skipped: `script/python` makes what SPF is compared with");
        return None;
    }
    let mut child = Command::new(program)
        .arg(home.join("tests/python").join(script))
        .args(arguments)
        .env_clear()
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{script} failed");
    Some(output.stdout)
}
