//! The tar file of a collected machine, read into memory and nowhere else.
//!
//! Owns what such a file may hold. It comes from another machine by way of somebody's hands, so
//! nothing in it is believed: nothing is unpacked, links and devices are refused, and no name
//! leads anywhere but into a map. Must not know what the entries mean.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::PackedError;

/// The folder that all entries lie in.
const FOLDER: &str = "mailfix-collected/";

/// The most entries that are read; a collected machine has some hundred.
const MOST_ENTRIES: usize = 20_000;

/// One regular file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its modification time, seconds since 1970.
    pub modified: i64,
}

/// Reads all regular files, by their path below the folder.
///
/// # Errors
/// When it is no tar file or is cut off, and at anything that `mailfix collect` does not pack.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, PackedError> {
    let mut files = BTreeMap::new();
    let mut archive = Archive::new(bytes);
    for (number, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        let name = match std::str::from_utf8(&entry.path_bytes()) {
            Ok(name) => name.to_owned(),
            Err(error) => {
                return Err(PackedError::Strange {
                    name: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
                    why: format!("a name that is not UTF-8 ({error})"),
                });
            }
        };
        let strange = |why: &str| PackedError::Strange {
            name: name.clone(),
            why: why.to_owned(),
        };
        if number >= MOST_ENTRIES {
            return Err(strange("more entries than any collected machine has"));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            // What some programs say of the whole archive; no entry of its own.
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => return Err(strange("a link")),
            _ => return Err(strange("what is neither a file nor a directory")),
        }
        if name.starts_with('/') {
            return Err(strange("an absolute path"));
        }
        if name.split('/').any(|part| part == "..") {
            return Err(strange("a path that leads upwards"));
        }
        let inside = name.strip_prefix("./").unwrap_or(&name);
        if kind == EntryType::Directory {
            continue;
        }
        let Some(inside) = inside.strip_prefix(FOLDER) else {
            return Err(strange("a file that `mailfix collect` does not pack"));
        };
        let size = entry.size();
        let modified = i64::try_from(entry.header().mtime().map_err(broken)?).unwrap_or(i64::MAX);
        let mut content = Vec::new();
        // The archive is in memory whole, so no entry can be larger than it.
        entry.read_to_end(&mut content).map_err(broken)?;
        if u64::try_from(content.len()) != Ok(size) {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let new = Entry {
            bytes: content,
            modified,
        };
        if files.insert(inside.to_owned(), new).is_some() {
            return Err(strange("the same file twice"));
        }
    }
    Ok(files)
}

fn broken(source: io::Error) -> PackedError {
    PackedError::Broken { source }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    fn header(kind: EntryType, size: usize) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size.try_into().unwrap());
        header.set_mtime(77);
        header.set_mode(0o644);
        header
    }

    /// An archive with these names; what the `tar` crate itself would refuse is written raw.
    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            let mut header = header(*kind, bytes.len());
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(read(bytes).unwrap_err().to_string(), expected);
    }

    #[test]
    fn files_are_read_by_their_path_below_the_folder() {
        let bytes = archive(&[
            ("mailfix-collected/", EntryType::Directory, b""),
            ("mailfix-collected/files/a b", EntryType::Regular, b"x\xff"),
            ("./mailfix-collected/c", EntryType::Regular, b""),
        ]);
        let files = read(&bytes).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["c", "files/a b"]);
        let entry = &files["files/a b"];
        assert_eq!(
            (entry.bytes.as_slice(), entry.modified),
            (&b"x\xff"[..], 77)
        );
    }

    #[test]
    fn what_no_collected_machine_holds_is_refused() {
        let file = EntryType::Regular;
        for (name, kind, why) in [
            ("/etc/passwd", file, "an absolute path"),
            ("mailfix-collected/../x", file, "a path that leads upwards"),
            ("mailfix-collected/x", EntryType::Symlink, "a link"),
            ("mailfix-collected/x", EntryType::Link, "a link"),
            (
                "mailfix-collected/x",
                EntryType::Fifo,
                "what is neither a file nor a directory",
            ),
            (
                "mailfix-collected/x",
                EntryType::Block,
                "what is neither a file nor a directory",
            ),
            (
                "elsewhere/x",
                file,
                "a file that `mailfix collect` does not pack",
            ),
        ] {
            check(
                &archive(&[(name, kind, b"")]),
                &format!("the archive holds {why}: `{name}`"),
            );
        }
        let twice = [("mailfix-collected/x", file, &b""[..]); 2];
        check(
            &archive(&twice),
            "the archive holds the same file twice: `mailfix-collected/x`",
        );
    }

    /// A few bytes that claim to be a terabyte.
    #[test]
    fn sparse_files_are_refused() {
        let mut header = Header::new_gnu();
        header.set_path("mailfix-collected/x").unwrap();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(0);
        let sparse = header.as_gnu_mut().unwrap();
        sparse.set_real_size(1 << 40);
        sparse.sparse[0].set_offset(1 << 40);
        sparse.sparse[0].set_length(0);
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, &b""[..]).unwrap();
        check(
            &builder.into_inner().unwrap(),
            "the archive holds what is neither a file nor a directory: `mailfix-collected/x`",
        );
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused() {
        let mut header = header(EntryType::Regular, 0);
        header.as_ustar_mut().unwrap().name[..3].copy_from_slice(b"a\xffb");
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, &b""[..]).unwrap();
        let error = read(&builder.into_inner().unwrap()).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }

    #[test]
    fn other_files_and_cut_off_ones_are_no_archive() {
        let whole = archive(&[("mailfix-collected/x", EntryType::Regular, &[7; 2000])]);
        for bytes in [
            &b"not a tar file at all, though long enough".repeat(20)[..],
            &whole[..900],
        ] {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, PackedError::Broken { .. }), "{error}");
        }
        // A size that no archive of this length has.
        let mut header = header(EntryType::Regular, 1 << 30);
        header.as_ustar_mut().unwrap().name[..19].copy_from_slice(b"mailfix-collected/x");
        header.set_cksum();
        let error = read(header.as_bytes()).unwrap_err();
        assert!(matches!(error, PackedError::Broken { .. }), "{error}");
    }
}
