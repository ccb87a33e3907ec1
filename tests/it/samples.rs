//! The Postfix files the laws and the oracle are tried on: our own, and any folder of real ones.
//!
//! `MAILFIX_CORPUS=DIR` names the folder. Subfolders called `main.cf`,
//! `master.cf`, `transport`, `pcre` and `regexp` tell what a file is; other
//! files are judged by their name, and then by what is in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    MainCf,
    MasterCf,
    Table,
    Pattern,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub syntax: Syntax,
    pub bytes: Vec<u8>,
}

/// Reads our own files and those of `MAILFIX_CORPUS`.
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postfix"),
        &mut samples,
    );
    assert!(samples.len() >= 20, "our own files are there");
    if let Some(corpus) = std::env::var_os("MAILFIX_CORPUS") {
        let before = samples.len();
        collect(&PathBuf::from(corpus), &mut samples);
        assert!(
            samples.len() > before,
            "MAILFIX_CORPUS names a folder without files"
        );
    }
    samples
}

pub fn of(syntax: Syntax) -> Vec<Sample> {
    all()
        .into_iter()
        .filter(|sample| sample.syntax == syntax)
        .collect()
}

/// Runs a check on every sample, on as many threads as there are processors.
pub fn each(samples: &[Sample], check: impl Fn(&Sample) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(sample) = samples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(sample);
                }
            });
        }
    });
}

fn collect(folder: &Path, samples: &mut Vec<Sample>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, samples);
            continue;
        }
        let name = path.display().to_string();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        if let Some(syntax) = syntax_of(&path, &bytes) {
            samples.push(Sample {
                name,
                syntax,
                bytes,
            });
        }
    }
}

/// Tells what a file is; nothing for what is no Postfix file.
fn syntax_of(path: &Path, bytes: &[u8]) -> Option<Syntax> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    if [
        "md", "tsv", "json", "jsonl", "db", "lmdb", "cdb", "txt", "sh",
    ]
    .contains(&extension)
    {
        return None;
    }
    if path.file_name()?.to_str()?.starts_with('.') {
        return None;
    }
    let named = |word: &str| match word {
        "main.cf" => Some(Syntax::MainCf),
        "master.cf" => Some(Syntax::MasterCf),
        "transport" | "hash" | "virtual" | "aliases" | "table" => Some(Syntax::Table),
        "pcre" | "regexp" => Some(Syntax::Pattern),
        _ => None,
    };
    let mut folders = path.components().rev().skip(1);
    let by_folder = folders.find_map(|part| named(part.as_os_str().to_str()?));
    let file = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let words = [
        ("main.cf", Syntax::MainCf),
        ("main_cf", Syntax::MainCf),
        ("master", Syntax::MasterCf),
        ("pcre", Syntax::Pattern),
        ("regexp", Syntax::Pattern),
        ("_checks", Syntax::Pattern),
        ("transport", Syntax::Table),
    ];
    let by_name = || {
        words
            .iter()
            .find(|(word, _)| file.contains(word))
            .map(|(_, syntax)| *syntax)
    };
    Some(
        by_folder
            .or_else(by_name)
            .unwrap_or_else(|| by_content(bytes)),
    )
}

fn by_content(bytes: &[u8]) -> Syntax {
    let text = String::from_utf8_lossy(bytes);
    let mut counts = [
        (0, Syntax::MainCf),
        (0, Syntax::MasterCf),
        (0, Syntax::Pattern),
        (1, Syntax::Table),
    ];
    for line in text
        .lines()
        .filter(|line| !line.starts_with(['#', ' ', '\t']))
    {
        let words: Vec<_> = line.split_whitespace().collect();
        let service =
            words.len() >= 8 && ["inet", "unix", "fifo", "pass", "unix-dgram"].contains(&words[1]);
        let setting = line
            .split_once('=')
            .is_some_and(|(name, _)| !name.trim().contains([' ', '/', '@']));
        let pattern = line.starts_with(['/', '!']) || line.starts_with("if /") || line == "endif";
        let index = [setting && !service, service, pattern, true]
            .iter()
            .position(|is| *is);
        counts[index.unwrap_or(3)].0 += 1;
    }
    counts
        .iter()
        .max_by_key(|(count, _)| *count)
        .map_or(Syntax::Table, |(_, syntax)| *syntax)
}
