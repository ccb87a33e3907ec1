//! Lists the data folders, so that adding a profile, provider or template is one file and no Rust.
//!
//! Writes `embedded.rs` with one table a folder: name and text of every file in it.
#![expect(
    clippy::disallowed_methods,
    reason = "runs while building, where there is no `System`"
)]

use std::{env, fmt::Write as _, fs, io, path::Path};

/// The folders of single files: constant, folder, extension that is no part of the name, sentence.
const FOLDERS: &[(&str, &str, &str, &str)] = &[
    ("PROFILES", "profiles", ".toml", "The profiles, by name."),
    (
        "PACKAGES",
        "profiles/packages",
        ".toml",
        "The package managers, by the name of their program.",
    ),
    (
        "PROVIDERS",
        "profiles/providers",
        ".toml",
        "The providers, by id.",
    ),
    (
        "KEEPERS",
        "profiles/keepers",
        ".toml",
        "The keepers of jails, by name.",
    ),
    (
        "REMEDIES",
        "profiles/remedies",
        ".toml",
        "The sheets of the remedies, by word.",
    ),
    (
        "CAUSES",
        "profiles/causes",
        ".toml",
        "The causes of refusals, by code.",
    ),
    (
        "AILMENTS",
        "profiles/ailments",
        ".toml",
        "What may ail a mail server, by code.",
    ),
    (
        "FINDINGS",
        "profiles/findings",
        ".toml",
        "What findings mean, by subject.",
    ),
    (
        "SCHEDULERS",
        "profiles/schedulers",
        ".toml",
        "The schedulers, by id.",
    ),
    (
        "SIGNERS",
        "profiles/signers",
        ".toml",
        "The signers, by id.",
    ),
    (
        "REWRITERS",
        "profiles/rewriters",
        ".toml",
        "The programs that rewrite senders, by id.",
    ),
    ("TEMPLATES", "templates", "", "The templates, by file name."),
];

/// The folder of folders with a `main.cf` and a `master.cf` each.
const STOCK: &str = "profiles/stock";

fn main() -> io::Result<()> {
    let home = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let home = Path::new(&home);
    let mut code = String::new();
    for &(constant, folder, extension, sentence) in FOLDERS {
        watch(folder);
        let path = home.join(folder);
        let mut rows = String::new();
        for name in names(&path, extension, false)? {
            let place = literal(&path.join(format!("{name}{extension}")))?;
            writeln!(rows, "    ({name:?}, include_str!({place})),").map_err(io::Error::other)?;
        }
        write!(
            code,
            "/// {sentence}\npub const {constant}: &[(&str, &str)] = &[\n{rows}];\n"
        )
        .map_err(io::Error::other)?;
    }
    watch(STOCK);
    let stock = home.join(STOCK);
    let mut rows = String::new();
    for name in names(&stock, "", true)? {
        let main = literal(&stock.join(&name).join("main.cf"))?;
        let master = literal(&stock.join(&name).join("master.cf"))?;
        writeln!(
            rows,
            "    ({name:?}, include_str!({main}), include_str!({master})),"
        )
        .map_err(io::Error::other)?;
    }
    write!(
        code,
        "/// The stock configurations: name, `main.cf`, `master.cf`.\n\
         pub const STOCK: &[(&str, &str, &str)] = &[\n{rows}];\n"
    )
    .map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("embedded.rs"), code)
}

/// Has cargo run this again when something in the folder changes.
fn watch(folder: &str) {
    println!("cargo::rerun-if-changed={folder}");
}

/// A path as a string literal of Rust.
fn literal(path: &Path) -> io::Result<String> {
    let path = path
        .to_str()
        .ok_or_else(|| io::Error::other("the path of the sources is not UTF-8"))?;
    Ok(format!("{path:?}"))
}

/// The names of the files, or of the folders, in a folder, without their extension and sorted;
/// none when it is not there.
fn names(folder: &Path, extension: &str, folders: bool) -> io::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Hidden files are an editor's, not ours.
        if let Ok(file) = entry.file_name().into_string()
            && let Some(name) = file.strip_suffix(extension)
            && entry.path().is_dir() == folders
            && !file.starts_with('.')
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
