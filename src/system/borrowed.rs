//! What the configuration of a tree borrows from the machine that mailfix runs on.
//!
//! Owns the parameters that Postfix's programs look up there before they do anything: users,
//! groups and interfaces. A tree may be another machine's and name users and addresses that
//! this one lacks; the programs would then not even say which table types they know.
//! Must not know what the programs are asked.

use super::SystemError;
use super::program::Programs;

/// The parameters that hold users and groups.
const USERS: [&str; 3] = ["mail_owner", "setgid_group", "default_privs"];

/// The parameter that holds interfaces.
const INTERFACES: &str = "inet_interfaces = all\n";

/// Lines to stand at the end of the copy of a tree's `main.cf`: the last definition wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Borrowed(Vec<u8>);

impl Borrowed {
    /// Asks Postfix for the users it was built with.
    ///
    /// # Errors
    /// When there is no Postfix.
    pub(super) fn ask(programs: &Programs) -> Result<Self, SystemError> {
        let arguments: Vec<String> = ["-d"]
            .iter()
            .chain(&USERS)
            .map(ToString::to_string)
            .collect();
        let output = programs.program("postconf")?.arguments(&arguments).run()?;
        let mut lines = String::from("\n");
        for line in output.text().lines() {
            lines.push_str(line);
            lines.push('\n');
        }
        lines.push_str(INTERFACES);
        Ok(Self(lines.into_bytes()))
    }

    /// Adds the lines to a `main.cf`.
    pub(super) fn to(&self, main: &[u8]) -> Vec<u8> {
        [main, &self.0].concat()
    }
}
