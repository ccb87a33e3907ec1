//! Tables that postmap(1) could not open.
//!
//! Owns the answer that is given without it: asked, it would write a fault of its own into the mail
//! log, and looking leaves nothing there.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the machine is touched"
)]

use std::fs::File;

use nix::errno::Errno;

use super::Output;

/// What postmap(1) would answer of `type:name` if its file cannot be opened; nothing where it can
/// be, or where the table is no file.
pub(super) fn unopened(table: &str) -> Option<Output> {
    let (kind, name) = table.split_once(':')?;
    let (what, suffixes): (_, &[&str]) = match kind {
        // From 3.11 on a `hash` may be another type's index.
        "hash" | "btree" => ("open database", &[".db", ".lmdb", ".cdb"]),
        "lmdb" => ("open database", &[".lmdb"]),
        "cdb" => ("open database", &[".cdb"]),
        "regexp" | "pcre" | "cidr" | "texthash" => ("open", &[""]),
        _ => return None,
    };
    if !name.starts_with('/') {
        return None;
    }
    let mut first = None;
    for suffix in suffixes {
        let path = format!("{name}{suffix}");
        match File::open(&path) {
            Ok(_) => return None,
            Err(error) => first = first.or(Some((path, error))),
        }
    }
    let (path, error) = first?;
    let why = Errno::from_raw(error.raw_os_error()?).desc();
    Some(Output {
        status: 1,
        stdout: Vec::new(),
        stderr: format!("postmap: fatal: {what} {path}: {why}\n").into_bytes(),
    })
}
