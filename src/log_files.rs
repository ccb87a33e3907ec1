//! The files of a mail log: which there are, and their bytes out of whatever packed them.
//!
//! Owns the rotations of a log and the decoders of gzip, zstd and xz, told by the first bytes and
//! not by a name. Must not know what stands in a log. What a log gains while one looks is
//! [`maillog`](crate::maillog)'s.

use std::io::{self, BufReader, Read};
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::stats::{LastMonth, Source};
use crate::system::{Kind, Pieces, System, SystemError};

/// The most memory a decoder of xz may take, in KiB: what `xz -9` needs, and a little more.
const XZ_MEMORY: u32 = 80 * 1024;

/// How formats begin.
const MAGIC: [(&[u8], Packing); 3] = [
    (&[0x1f, 0x8b], Packing::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Packing::Xz),
];

#[derive(Clone, Copy)]
enum Packing {
    /// RFC 1952; logrotate and pigz append members.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The `.xz` file format.
    Xz,
}

/// Opens a log, packed or not.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn open(system: &dyn System, path: &Utf8Path) -> Result<Source, SystemError> {
    let read = |source| SystemError::Read {
        path: path.to_owned(),
        source,
    };
    let file = system
        .pieces(path)?
        .ok_or_else(|| read(io::ErrorKind::NotFound.into()))?;
    let mut first = [0; 6];
    let length = file.read_at(&mut first, 0).map_err(read)?;
    let first = first.get(..length).unwrap_or_default();
    let last = LastMonth::of(file.modified());
    let packing = MAGIC.iter().find(|(magic, _)| first.starts_with(magic));
    Ok(match packing {
        None => Source::File(file),
        Some((_, packing)) => Source::Stream {
            bytes: Mutex::new(unpacked(InOrder { file, offset: 0 }, *packing)),
            last,
        },
    })
}

/// Takes what comes in order, such as standard input, packed or not; it ends in the month given.
///
/// # Errors
/// When it cannot be read.
pub fn stream(mut from: Box<dyn Read + Send>, last: LastMonth) -> io::Result<Source> {
    let mut first = Vec::new();
    from.by_ref().take(6).read_to_end(&mut first)?;
    let packing = MAGIC.iter().find(|(magic, _)| first.starts_with(magic));
    let whole = io::Cursor::new(first).chain(from);
    let bytes: Box<dyn Read + Send> = match packing {
        None => Box::new(whole),
        Some((_, packing)) => unpacked(whole, *packing),
    };
    Ok(Source::Stream {
        bytes: Mutex::new(bytes),
        last,
    })
}

fn unpacked(packed: impl Read + Send + 'static, packing: Packing) -> Box<dyn Read + Send> {
    let packed = BufReader::new(packed);
    match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Packing::Zstd => Box::new(Frames {
            rest: Some(packed),
            frame: None,
        }),
        Packing::Xz => Box::new(XzReader::new_mem_limit(packed, true, XZ_MEMORY)),
    }
}

/// A file read from its start to its end.
struct InOrder {
    file: Box<dyn Pieces>,
    offset: u64,
}

impl Read for InOrder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += u64::try_from(count).unwrap_or_default();
        Ok(count)
    }
}

/// Frames of zstd, one behind the other, as appending makes them.
struct Frames<R: Read> {
    /// What follows the last frame.
    rest: Option<BufReader<R>>,
    frame: Option<StreamingDecoder<BufReader<R>, ruzstd::decoding::FrameDecoder>>,
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
            }
            if let Some(frame) = self.frame.take() {
                self.rest = Some(frame.into_inner());
            }
            let Some(mut rest) = self.rest.take() else {
                return Ok(0);
            };
            if io::BufRead::fill_buf(&mut rest)?.is_empty() {
                self.rest = Some(rest);
                return Ok(0);
            }
            let frame = StreamingDecoder::new(rest).map_err(io::Error::other)?;
            self.frame = Some(frame);
        }
    }
}

/// Lists the files of a log that are there: itself and its rotations, the oldest first.
///
/// # Errors
/// When a directory cannot be read.
pub fn with_rotations(
    system: &dyn System,
    path: &Utf8Path,
) -> Result<Vec<Utf8PathBuf>, SystemError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in system.list(directory)? {
        let is_rotation = entry.strip_prefix(name).is_some_and(|rest| {
            // `mail.log.2.gz` of logrotate; `maillog-20260301`, `maillog.20260301-000000`.
            rest.is_empty()
                || (rest.starts_with(['.', '-'])
                    && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        });
        let path = directory.join(&entry);
        if is_rotation
            && let Some(stat) = system.stat(&path)?
            && stat.kind == Kind::File
        {
            found.push((stat.modified, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    fn text_of(source: Source) -> Vec<u8> {
        let mut text = Vec::new();
        match source {
            Source::File(file) => {
                InOrder { file, offset: 0 }.read_to_end(&mut text).unwrap();
            }
            Source::Stream { bytes, .. } => {
                bytes.into_inner().unwrap().read_to_end(&mut text).unwrap();
            }
        }
        text
    }

    /// The same text as the programs of each format pack it, in two parts, one behind the other.
    const PACKED: [&[u8]; 3] = [
        include_bytes!("../tests/packed/log.gz"),
        include_bytes!("../tests/packed/log.zst"),
        include_bytes!("../tests/packed/log.xz"),
    ];

    #[test]
    fn every_packing_is_undone_whatever_the_name_says() {
        let expected = b"one\ntwo\n".as_slice();
        for packed in PACKED.into_iter().chain([expected]) {
            let path = Utf8Path::new("/var/log/mail.log");
            let system = MemorySystem::new().file(path, packed);
            assert_eq!(text_of(open(&system, path).unwrap()), expected);
            let last = LastMonth::of(0);
            let stream = stream(Box::new(io::Cursor::new(packed.to_vec())), last).unwrap();
            assert_eq!(text_of(stream), expected);
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for packed in PACKED {
            let cut = packed[..packed.len() - 9].to_vec();
            let source = stream(Box::new(io::Cursor::new(cut)), LastMonth::of(0)).unwrap();
            let Source::Stream { bytes, .. } = source else {
                panic!("a stream stays one");
            };
            let mut text = Vec::new();
            assert!(bytes.into_inner().unwrap().read_to_end(&mut text).is_err());
        }
    }

    #[test]
    fn rotations_go_with_their_log() {
        let mut system = MemorySystem::new();
        for name in [
            "mail.log",
            "mail.log.1",
            "mail.log.2.gz",
            "mail.log-20260301",
            "mail.log.offset",
            "mail.logs",
        ] {
            system = system.file(Utf8Path::new("/var/log").join(name), "");
        }
        let found = with_rotations(&system, Utf8Path::new("/var/log/mail.log")).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(
            names,
            [
                "mail.log",
                "mail.log-20260301",
                "mail.log.1",
                "mail.log.2.gz"
            ]
        );
    }
}
