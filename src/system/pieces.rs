//! Files that are longer than memory.
//!
//! Owns [`Pieces`]. Must not know what stands in them.

#![expect(
    clippy::disallowed_methods,
    reason = "files of the machine are opened here"
)]

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::SystemError;
use super::real::cannot_read;
use super::tree::is_absent;

/// A file that is read in pieces, by several threads at once.
pub trait Pieces: Send + Sync {
    /// Its bytes when it was opened.
    fn length(&self) -> u64;

    /// When it was last written, seconds since 1970.
    fn modified(&self) -> i64;

    /// Reads what stands at a place, as much as there is room for; 0 at the end.
    ///
    /// # Errors
    /// When it cannot be read any more.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A file of the machine.
pub(super) struct Opened {
    file: std::fs::File,
    metadata: Metadata,
}

impl Opened {
    pub(super) fn new(file: std::fs::File, metadata: Metadata) -> Self {
        Self { file, metadata }
    }
}

impl Pieces for Opened {
    fn length(&self) -> u64 {
        self.metadata.size()
    }

    fn modified(&self) -> i64 {
        self.metadata.mtime()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Opens a regular file; `None` when nothing is there. It is read `outside`, and `path` is what
/// the person calls it.
///
/// # Errors
/// When it is something else, or may not be read.
pub(super) fn open_regular(
    outside: &Utf8Path,
    path: &Utf8Path,
) -> Result<Option<(std::fs::File, Metadata)>, SystemError> {
    let open = std::fs::File::options()
        .read(true)
        // Opening a fifo would wait for its other end.
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(outside);
    let opened = match open {
        Ok(opened) => opened,
        Err(error) if is_absent(&error) => return Ok(None),
        // A socket cannot be opened at all.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            return Err(SystemError::NotAFile { path: path.into() });
        }
        Err(error) => return Err(cannot_read(path)(error)),
    };
    let metadata = opened.metadata().map_err(cannot_read(path))?;
    if !metadata.is_file() {
        return Err(SystemError::NotAFile { path: path.into() });
    }
    Ok(Some((opened, metadata)))
}

/// A content that is in memory already.
pub(super) struct Held(pub(super) Vec<u8>);

impl Pieces for Held {
    fn length(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    fn modified(&self) -> i64 {
        0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut rest = self.0.get(start..).unwrap_or_default();
        rest.read(buffer)
    }
}
