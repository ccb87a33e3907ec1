//! Snapshots, in folders below `snapshots/` at the top of the project.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of snapshots; all that is in it must be looked at.
pub struct Snapshots {
    folder: PathBuf,
    seen: RefCell<BTreeSet<String>>,
}

impl Snapshots {
    /// Names the folder.
    pub fn new(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("snapshots")
            .join(folder);
        Self {
            folder,
            seen: RefCell::default(),
        }
    }

    /// Compares a text with its snapshot.
    #[track_caller]
    pub fn check(&self, name: &str, text: &str) {
        self.seen.borrow_mut().insert(format!("{name}.snap"));
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&self.folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }

    /// Ends the checks: a snapshot that nothing gives any more is a fault.
    pub fn end(self) {
        let seen = self.seen.into_inner();
        for entry in fs::read_dir(&self.folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let left = path.extension().is_some_and(|end| end == "snap") && !seen.contains(&name);
            assert!(
                !left,
                "nothing gives {} any more: remove it",
                path.display()
            );
        }
    }
}

/// Takes out of a text what differs from run to run and from machine to machine: the folder of
/// the tree, digests and sizes of databases, the versions of mailfix and Postfix, who runs the tests.
pub fn normalized(text: &str, tree: &Path) -> String {
    let text = text.replace(&*tree.to_string_lossy(), "TREE");
    let version = env!("CARGO_PKG_VERSION");
    let text = text.replace(&format!("mailfix {version}"), "mailfix VERSION");
    let text = text.replace(
        &format!("\"mailfix\": \"{version}\""),
        "\"mailfix\": \"VERSION\"",
    );
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let text = text.replace(&format!("owner {uid}:{gid}"), "owner 0:0");
    let postfix = postfix_version();
    let text = text.replace(&format!("with Postfix {postfix} "), "with Postfix VERSION ");
    let text = text.replace(
        &format!("\"postfix\": \"{postfix}\""),
        "\"postfix\": \"VERSION\"",
    );
    let text = masked(&text, "sha256 ", |c| c.is_ascii_hexdigit(), "DIGEST");
    let mut lines: Vec<String> = text.lines().map(without_size).collect();
    if text.ends_with('\n') {
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Replaces what follows a word and is made of certain characters.
fn masked(text: &str, after: &str, of: impl Fn(char) -> bool, mask: &str) -> String {
    let mut parts = text.split(after);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(after);
        masked.push_str(mask);
        masked.push_str(part.trim_start_matches(&of));
    }
    masked
}

/// Databases differ in size by the library that makes them.
fn without_size(line: &str) -> String {
    let Some((before, after)) = line.split_once(" bytes, sha256") else {
        return line.to_owned();
    };
    let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
    format!("{before}N bytes, sha256{}", without_size(after))
}

/// The version of the Postfix that is here.
fn postfix_version() -> String {
    let output = std::process::Command::new("postconf")
        .args(["-d", "-h", "mail_version"])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}
