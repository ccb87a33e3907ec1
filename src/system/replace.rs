//! How a file is replaced, and what is kept of it.
//!
//! Owns that whoever reads a file of ours at any moment finds the old one or the new one, whole
//! (rename(2)), and so does a machine that lost its power (fsync(2)); what a killed run leaves has
//! a known name. Paths are those of the kernel: must not know of trees.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the machine is touched"
)]

use std::fs::{Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use xattr::FileExt;

use super::tree::is_absent;
use super::{File, UNFINISHED};

/// The extended attribute that is a POSIX access list (acl(5)).
const ACCESS_LIST: &str = "system.posix_acl_access";

/// The permission bits.
pub(super) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

pub(super) fn parent(place: &Utf8Path) -> &Utf8Path {
    place.parent().unwrap_or(place)
}

/// The name that `place` has while it is not finished; `/` has none.
pub(super) fn unfinished(place: &Utf8Path) -> Option<Utf8PathBuf> {
    let (before, after) = UNFINISHED;
    let name = place.file_name()?;
    Some(place.with_file_name(format!("{before}{name}{after}")))
}

/// Removes what a killed run left; says whether there was something.
pub(super) fn remove_unfinished(unfinished: &Utf8Path) -> io::Result<bool> {
    let removed = match std::fs::symlink_metadata(unfinished) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir(unfinished),
        Ok(_) => std::fs::remove_file(unfinished),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn nameless() -> io::Error {
    io::Error::other("it has no name")
}

/// Replaces a file whole. A hard link to the old one keeps the old content: there is no way to
/// change all names of a file at once.
pub(super) fn put(place: &Utf8Path, file: &File) -> io::Result<()> {
    let unfinished = unfinished(place).ok_or_else(nameless)?;
    remove_unfinished(&unfinished)?;
    let written = fill(&unfinished, file).and_then(|()| std::fs::rename(&unfinished, place));
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = remove_unfinished(&unfinished);
    }
    written?;
    sync_directory(parent(place))
}

fn fill(unfinished: &Utf8Path, file: &File) -> io::Result<()> {
    let mut new = std::fs::File::options()
        .write(true)
        .read(true)
        .create_new(true)
        // Nobody else reads it before it has its owner and mode.
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(unfinished)?;
    new.write_all(&file.bytes)?;
    let metadata = new.metadata()?;
    if (metadata.uid(), metadata.gid()) != (file.uid, file.gid) {
        std::os::unix::fs::fchown(&new, Some(file.uid), Some(file.gid))?;
    }
    set_attributes(&new, &file.attributes)?;
    // Last, as a change of owner or access list changes the mode.
    new.set_permissions(Permissions::from_mode(file.mode))?;
    new.sync_all()
}

pub(super) fn make_directory(place: &Utf8Path, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
    if std::fs::symlink_metadata(place).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // As with files: it appears with its owner and mode, or not at all.
    let unfinished = unfinished(place).ok_or_else(nameless)?;
    remove_unfinished(&unfinished)?;
    let make = || -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(&unfinished)?;
        let metadata = std::fs::symlink_metadata(&unfinished)?;
        if (metadata.uid(), metadata.gid()) != (uid, gid) {
            std::os::unix::fs::lchown(&unfinished, Some(uid), Some(gid))?;
        }
        std::fs::set_permissions(&unfinished, Permissions::from_mode(mode))?;
        std::fs::rename(&unfinished, place)
    };
    let result = make();
    if result.is_err() {
        let _ = remove_unfinished(&unfinished);
    }
    result?;
    sync_directory(parent(place))
}

/// Makes a rename or removal survive a power failure.
pub(super) fn sync_directory(directory: &Utf8Path) -> io::Result<()> {
    match std::fs::File::open(directory)?.sync_all() {
        // fsync(2): some file systems have nothing to synchronize in a directory.
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
        result => result,
    }
}

/// Tells whether losing an attribute changes who may do what, or loses what a person noted.
/// The others are labels that the system gives by itself, and that even root may not be let set.
fn is_essential(name: &str) -> bool {
    name.starts_with("user.") || name.starts_with("system.") || name == "security.capability"
}

fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::ENOTSUP as i32, Errno::ENOSYS as i32];
    error
        .raw_os_error()
        .is_some_and(|code| unsupported.contains(&code))
}

pub(super) fn attributes(file: &std::fs::File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let names = match file.list_xattr() {
        Ok(names) => names,
        Err(error) if is_unsupported(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut attributes = Vec::new();
    for name in names {
        if let (Some(value), Ok(name)) = (file.get_xattr(&name)?, name.into_string()) {
            attributes.push((name, value));
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}

fn set_attributes(file: &std::fs::File, wanted: &[(String, Vec<u8>)]) -> io::Result<()> {
    let present = attributes(file)?;
    let is_inherited = |name: &str| present.iter().any(|(present, _)| present == name);
    if is_inherited(ACCESS_LIST) && !wanted.iter().any(|(name, _)| name == ACCESS_LIST) {
        // A directory's default list would open a file that was closed.
        file.remove_xattr(ACCESS_LIST)?;
    }
    for attribute in wanted {
        if present.contains(attribute) {
            continue;
        }
        let (name, value) = attribute;
        match file.set_xattr(name, value) {
            Err(error) if is_essential(name) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
