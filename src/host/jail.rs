//! What a chrooted smtp(8) finds in the queue directory.
//!
//! Owns the list of files it needs there. Must not judge whether anything should be chrooted.

use camino::Utf8Path;

use crate::host::{HostError, Parameters};
use crate::postfix::Version;
use crate::system::{Kind, System};

/// The first version that knows the ports of mail without `etc/services`.
const KNOWS_PORTS: Version = Version::new(3, 6, 0);

/// A queue directory as a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jail {
    /// What a chrooted client would miss, relative to the queue directory.
    pub missing: Vec<String>,
}

impl Jail {
    /// A jail that lacks nothing.
    #[must_use]
    pub fn complete() -> Self {
        Self::default()
    }

    /// Tells whether a client works in it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Looks what is there.
///
/// # Errors
/// When the directory cannot be looked at; a path closed to us counts as missing only for root.
pub(super) fn observe(
    system: &dyn System,
    queue: &Utf8Path,
    parameters: &Parameters,
    version: Version,
) -> Result<Jail, HostError> {
    let mut needed = vec!["etc/resolv.conf".to_owned()];
    if version < KNOWS_PORTS {
        needed.push("etc/services".to_owned());
    }
    if parameters
        .list("smtp_host_lookup")
        .iter()
        .any(|way| way == "native")
    {
        needed.extend(["etc/hosts".to_owned(), "etc/nsswitch.conf".to_owned()]);
    }
    let certificates = parameters.get("smtp_tls_CApath");
    if !certificates.is_empty() {
        needed.push(certificates.trim_start_matches('/').to_owned());
    }
    let mut missing = Vec::new();
    for name in needed {
        let path = queue.join(&name);
        let holds_something = match system.stat(&path)? {
            // The size of a directory says nothing of what is in it.
            Some(stat) if stat.kind == Kind::Directory => !system.list(&path)?.is_empty(),
            Some(stat) => stat.size > 0,
            None => false,
        };
        if !holds_something {
            missing.push(name);
        }
    }
    Ok(Jail { missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    const QUEUE: &str = "/var/spool/postfix";

    /// A version, settings, what the jail holds (a name with a `/` at its end is a directory).
    #[track_caller]
    fn check(version: Version, set: &[(&str, &str)], holds: &[&str], missing: &[&str]) {
        let queue = Utf8Path::new(QUEUE);
        let mut system = MemorySystem::new().directory(queue);
        for name in holds {
            system = match name.strip_suffix('/') {
                Some(name) => system.directory(queue.join(name)),
                None => system.file(queue.join(name), "something\n"),
            };
        }
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let parameters = Parameters::new(set.iter().map(own));
        let jail = observe(&system, queue, &parameters, version).unwrap();
        assert_eq!(jail.missing, missing);
        assert_eq!(jail.is_complete(), missing.is_empty());
    }

    const NEW: Version = Version::new(3, 6, 0);
    const OLD: Version = Version::new(3, 5, 25);

    #[test]
    fn ports_are_looked_up_before_3_6() {
        check(NEW, &[], &["etc/resolv.conf"], &[]);
        check(NEW, &[], &[], &["etc/resolv.conf"]);
        check(OLD, &[], &["etc/resolv.conf"], &["etc/services"]);
        check(OLD, &[], &["etc/resolv.conf", "etc/services"], &[]);
    }

    #[test]
    fn native_lookups_need_their_files() {
        let set = |ways| [("smtp_host_lookup", ways)];
        let both: &[&str] = &["etc/hosts", "etc/nsswitch.conf"];
        check(NEW, &set("dns"), &["etc/resolv.conf"], &[]);
        check(NEW, &set("dns, native"), &["etc/resolv.conf"], both);
        check(
            NEW,
            &set("native"),
            &["etc/resolv.conf", "etc/hosts"],
            &both[1..],
        );
    }

    #[test]
    fn certificates_are_needed_in_the_jail() {
        let set = [
            ("smtp_tls_CApath", "$config_directory/certs"),
            ("config_directory", "/etc/postfix"),
        ];
        let missing: &[&str] = &["etc/postfix/certs"];
        check(NEW, &set, &["etc/resolv.conf"], missing);
        check(
            NEW,
            &set,
            &["etc/resolv.conf", "etc/postfix/certs/"],
            missing,
        );
        check(
            NEW,
            &set,
            &[
                "etc/resolv.conf",
                "etc/postfix/certs/",
                "etc/postfix/certs/a.0",
            ],
            &[],
        );
    }

    #[test]
    fn an_empty_file_is_none() {
        let queue = Utf8Path::new(QUEUE);
        let system = MemorySystem::new().file(queue.join("etc/resolv.conf"), "");
        let jail = observe(&system, queue, &Parameters::default(), NEW).unwrap();
        assert_eq!(jail.missing, ["etc/resolv.conf"]);
    }
}
