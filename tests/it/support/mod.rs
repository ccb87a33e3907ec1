//! What the tests of the whole program share: trees, runs, and how both are written down.
//!
//! Must not know what is tested.

mod named;
mod properties;
mod run;
mod snapshot;
mod tree;

pub use named::{Named, Zone};
pub use properties::properties;
pub use run::{Shown, binary, run, run_from};
pub use snapshot::{Snapshots, normalized};
pub use tree::{Entry, Tree, has_postfix, postmap};

/// Says that something is not tested here; in CI everything must be.
pub fn skip(why: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{why}, and CI=true");
    println!("skipped: {why}");
}

/// The site file of a host whose IPv6 address gets no PTR record.
pub const SITE: &str = "\
allow_non_global = true

[server]
hostname = \"mail.example.org\"
ipv4 = [\"192.0.2.25\"]
ipv6 = [\"2001:db8::25\"]

[dns]
reverse6 = \"none\"

[[domain]]
name = \"example.org\"
";
