//! The files of a mail log: which there are, and their bytes out of whatever packed them.
//!
//! Owns the rotations of a log, the decoders of gzip, zstd and xz, and the forms in which
//! `journalctl` writes the journal out ([`journal`]); all told by the first bytes and not by a
//! name. Must not know what stands in a log. What a log gains while one looks is
//! [`maillog`](crate::maillog)'s.

mod journal;

use std::io::{self, BufReader, Read};
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use self::journal::{Form, Lines};
use crate::stats::{LastDay, Source};
use crate::system::{Kind, Pieces, System, SystemError};

/// The most memory a decoder of xz may take, in KiB: what `xz -9` needs, and a little more.
const XZ_MEMORY: u32 = 80 * 1024;

/// How many bytes tell how a log is packed, and in which form it is.
const FIRST: usize = 64;

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

impl Packing {
    fn of(first: &[u8]) -> Option<Self> {
        let found = MAGIC.iter().find(|(magic, _)| first.starts_with(magic));
        found.map(|(_, packing)| *packing)
    }

    /// The program that packs so, and the one that unpacks it.
    fn programs(self) -> [&'static str; 2] {
        match self {
            Self::Gzip => ["gzip", "zcat"],
            Self::Zstd => ["zstd", "zstdcat"],
            Self::Xz => ["xz", "xzcat"],
        }
    }
}

/// A packed log that cannot be unpacked to its end.
#[derive(Debug, thiserror::Error)]
#[error("the {packer} archive is cut off or damaged")]
pub struct Damaged {
    /// The program that packs so.
    pub packer: &'static str,
    /// The program that unpacks as much of it as is whole.
    pub unpacker: &'static str,
    /// The file, where it is one.
    pub path: Option<Utf8PathBuf>,
}

/// What comes out of a decoder, whose own errors are about blocks and streams.
struct Unpacked<R> {
    from: R,
    packing: Packing,
    path: Option<Utf8PathBuf>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted || error.raw_os_error().is_some() {
                return error;
            }
            let [packer, unpacker] = self.packing.programs();
            let path = self.path.clone();
            io::Error::other(Damaged {
                packer,
                unpacker,
                path,
            })
        })
    }
}

/// Opens a log, packed or not, or a journal that was written to a file.
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
        .ok_or_else(|| read(io::Error::new(io::ErrorKind::NotFound, "it is not there")))?;
    let mut first = [0; FIRST];
    let length = file.read_at(&mut first, 0).map_err(read)?;
    let first = first.get(..length).unwrap_or_default();
    let last = LastDay::of(file.modified());
    if Packing::of(first).is_none() && Form::of(first).is_none() {
        return Ok(Source::File(file));
    }
    opened(as_it_stands(file), last, Some(path)).map_err(read)
}

/// Takes what comes in order, such as standard input, packed or not; it ends on the day given.
///
/// # Errors
/// When it cannot be read.
pub fn stream(from: Box<dyn Read + Send>, last: LastDay) -> io::Result<Source> {
    opened(from, last, None)
}

fn opened(
    from: Box<dyn Read + Send>,
    last: LastDay,
    path: Option<&Utf8Path>,
) -> io::Result<Source> {
    let (first, whole) = begin(from)?;
    let plain = match Packing::of(&first) {
        None => whole,
        Some(packing) => Box::new(Unpacked {
            from: unpacked(whole, packing),
            packing,
            path: path.map(Utf8Path::to_owned),
        }),
    };
    let (first, whole) = begin(plain)?;
    let bytes = match Form::of(&first) {
        None => whole,
        Some(form) => Box::new(Lines::new(whole, form)),
    };
    Ok(Source::Stream {
        bytes: Mutex::new(bytes),
        last,
    })
}

/// Reads the first bytes, and gives all of them again.
fn begin(mut from: Box<dyn Read + Send>) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut first = Vec::new();
    let most = u64::try_from(FIRST).unwrap_or(u64::MAX);
    from.by_ref().take(most).read_to_end(&mut first)?;
    let whole = io::Cursor::new(first.clone()).chain(from);
    Ok((first, Box::new(whole)))
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

/// Reads a file from its beginning on as it stands, packed or not.
#[must_use]
pub fn as_it_stands(file: Box<dyn Pieces>) -> Box<dyn Read + Send> {
    Box::new(InOrder { file, offset: 0 })
}

/// Tells by its first bytes whether a file is packed.
#[must_use]
pub fn is_packed(first: &[u8]) -> bool {
    Packing::of(first).is_some()
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
        include_bytes!("../../tests/packed/log.gz"),
        include_bytes!("../../tests/packed/log.zst"),
        include_bytes!("../../tests/packed/log.xz"),
    ];

    #[test]
    fn every_packing_is_undone_whatever_the_name_says() {
        let expected = b"one\ntwo\n".as_slice();
        for packed in PACKED.into_iter().chain([expected]) {
            let path = Utf8Path::new("/var/log/mail.log");
            let system = MemorySystem::new().file(path, packed);
            assert_eq!(text_of(open(&system, path).unwrap()), expected);
            let last = LastDay::of(0);
            let stream = stream(Box::new(io::Cursor::new(packed.to_vec())), last).unwrap();
            assert_eq!(text_of(stream), expected);
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for packed in PACKED {
            let cut = packed[..packed.len() - 9].to_vec();
            let whole = stream(Box::new(io::Cursor::new(cut)), LastDay::of(0));
            let read = whole.and_then(|source| {
                let Source::Stream { bytes, .. } = source else {
                    panic!("a stream stays one");
                };
                bytes.into_inner().unwrap().read_to_end(&mut Vec::new())
            });
            let error = read.unwrap_err();
            assert!(
                error.to_string().ends_with("archive is cut off or damaged"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_journal_is_told_by_what_is_in_it_packed_or_not() {
        let written: &[u8] = include_bytes!("../../tests/journal/export");
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(written, flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        let path = Utf8Path::new("/var/log/mail.log");
        for bytes in [written, &packed] {
            let system = MemorySystem::new().file(path, bytes);
            let text = text_of(open(&system, path).unwrap());
            let text = String::from_utf8(text).unwrap();
            assert_eq!(
                text.matches(" mail postfix/smtp[4711]: A1B2C3D4E5: to=")
                    .count(),
                1
            );
            assert_eq!(text.lines().count(), 3);
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
