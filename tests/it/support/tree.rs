//! Trees below a folder of their own, as `--root` takes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// How long ago the files of a tree were written: postconf(1) waits while `main.cf` is new.
const AGE: Duration = Duration::from_secs(3600);

/// Tells whether Postfix is here; says that a test is skipped where it is not.
pub fn has_postfix() -> bool {
    let found = Command::new("postconf")
        .args(["-d", "mail_version"])
        .output();
    let missing = matches!(found, Err(error) if error.kind() == ErrorKind::NotFound);
    if missing {
        assert!(std::env::var_os("CI").is_none(), "CI has Postfix");
        println!("skipped: no Postfix here");
    }
    !missing
}

/// Runs postmap(1) or postalias(1) and gives what it prints, or what it complains of.
///
/// It works with a configuration of its own: that of a tree may name users whom this machine
/// does not know.
pub fn postmap(program: &str, words: &[&str]) -> Result<String, String> {
    let config = tempfile::tempdir().unwrap();
    let main = fs::File::create(config.path().join("main.cf")).unwrap();
    main.set_modified(SystemTime::now() - AGE).unwrap();
    let output = Command::new(program)
        .arg("-c")
        .arg(config.path())
        .args(words)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// One file or directory of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The permission bits.
    pub mode: u32,
    /// When it was last written.
    pub modified: SystemTime,
    /// The bytes; `None` for a directory.
    pub bytes: Option<Vec<u8>>,
}

impl Entry {
    /// The entry without its time.
    pub fn lasting(&self) -> (u32, Option<&[u8]>) {
        (self.mode, self.bytes.as_deref())
    }
}

/// A tree that is gone when it is dropped.
pub struct Tree {
    folder: TempDir,
}

impl Tree {
    /// Makes an empty tree.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
        }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a path of the tree really lies.
    pub fn real(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.path().join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.real(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Copies a folder over the tree.
    pub fn lay(&self, folder: &Path) {
        for (path, entry) in entries(folder) {
            if let Some(bytes) = entry.bytes {
                self.write(Path::new("/").join(path), bytes);
            }
        }
    }

    /// Builds the databases that `main.cf` names and whose sources are there.
    pub fn build_databases(&self, config: &Path) {
        let main = fs::read(self.real(config).join("main.cf")).unwrap();
        let main =
            String::from_utf8_lossy(&main).replace("$config_directory", &config.to_string_lossy());
        for word in main.split([' ', ',', '\r', '\n']) {
            let table = ["hash", "btree"].into_iter().find_map(|kind| {
                let (before, path) = word.split_once(&format!("{kind}:"))?;
                ["", "proxy:"].contains(&before).then_some((kind, path))
            });
            let Some((kind, source)) = table.map(|(kind, path)| (kind, self.real(path))) else {
                continue;
            };
            if !source.is_file() {
                continue;
            }
            let program = if source.ends_with("aliases") {
                "postalias"
            } else {
                "postmap"
            };
            let built = postmap(program, &[&format!("{kind}:{}", source.display())]);
            assert!(built.is_ok(), "{built:?}");
        }
    }

    /// Gives everything the modes of a fresh installation and a time that is long past.
    pub fn settle(&self) {
        let then = SystemTime::now() - AGE;
        for (path, entry) in self.entries() {
            let path = self.real(path);
            let mode = if entry.bytes.is_some() { 0o644 } else { 0o755 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            fs::File::open(&path).unwrap().set_modified(then).unwrap();
        }
    }

    /// Lists everything, by its path within the tree.
    pub fn entries(&self) -> BTreeMap<PathBuf, Entry> {
        entries(self.path())
            .into_iter()
            .map(|(path, entry)| (Path::new("/").join(path), entry))
            .collect()
    }
}

/// Lists everything below a folder, by its path relative to it.
fn entries(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let entry = Entry {
                mode: metadata.permissions().mode() & 0o7777,
                modified: metadata.modified().unwrap(),
                bytes: metadata.is_file().then(|| fs::read(&path).unwrap()),
            };
            if metadata.is_dir() {
                left.push(path.clone());
            }
            let path = path
                .strip_prefix(folder)
                .expect("it is below the folder")
                .to_owned();
            found.insert(path, entry);
        }
    }
    found
}
