//! What a chrooted smtp(8) finds in the queue directory.
//!
//! Owns the list of files it needs there. Must not judge whether anything should be chrooted.

use camino::Utf8Path;

use crate::host::{HostError, Parameters};
use crate::postfix::Version;
use crate::system::System;

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
        let stat = system.stat(&queue.join(&name))?;
        if stat.is_none_or(|stat| stat.size == 0) {
            missing.push(name);
        }
    }
    Ok(Jail { missing })
}
