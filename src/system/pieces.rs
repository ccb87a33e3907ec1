//! Files that are longer than memory.
//!
//! Owns [`Pieces`]. Must not know what stands in them.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

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
