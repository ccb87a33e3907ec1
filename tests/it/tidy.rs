//! What keeps the project readable: who may name whom, what every file begins with, how long
//! it may be, how many packages it stands on, and which words it does without.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in reading order, a layer a line. A module may name those of its own layer and
/// of the layers below it, never those above. `src/lib.rs` says what each is.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["wizard", "ask"],
    &["doctor"],
    &["draft", "watch", "probe", "migration"],
    &["apply", "undo", "push", "receipt"],
    &["diff", "plan"],
    &["target", "remedy"],
    &["log_files"],
    &["check", "dns_check", "diagnose", "explain", "stats"],
    &["departure"],
    &["excerpt", "host", "records", "maillog", "mail_hosts"],
    &[
        "site",
        "profile",
        "jail_keeper",
        "provider",
        "package",
        "remedy_sheet",
        "meaning",
        "cause",
        "catalogue",
        "scheduler",
        "rewriter",
        "signer",
        "template",
        "data_file",
        "embedded",
    ],
    &["postfix"],
    &["mail"],
    &["dns"],
    &["finding", "system", "spelling", "address", "mask", "memo"],
];

/// Lines of code a file may have before it becomes a folder: what one reads in a sitting.
/// Comments, blank lines, tests and data do not count.
const LINES: usize = 650;

/// Packages in `Cargo.lock`, ours and those of the tests included. Each is code that others may
/// change under us, so more needs a reason here: the number is what the present list needs.
const PACKAGES: usize = 155;

/// Words that say nothing of what a thing is.
const EMPTY_WORDS: [&str; 9] = [
    "manager", "handler", "helper", "helpers", "util", "utils", "common", "entity", "info",
];

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with one of these ends.
fn files(folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![home().join(folder)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if ends.iter().any(|end| path.to_string_lossy().ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(home())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The part of a file that is no test and no comment.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    body.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |all, line| all + line + "\n")
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The module of the crate a file belongs to; `None` for the two roots.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(home().join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let first = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&first)).then(|| first.to_owned())
}

/// The modules of the crate that a text names: `crate::NAME`, also in a list of several.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code.get(at + "crate::".len()..).unwrap_or_default();
        let listed = rest.strip_prefix('{');
        for item in listed.map_or(vec![rest], |list| outer_items(list)) {
            let word: String = item
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            if !word.is_empty() {
                names.insert(word);
            }
        }
    }
    names
}

/// The items of a list in braces, its inner lists left whole.
fn outer_items(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(list.get(start..at).unwrap_or_default());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(list.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// Says which modules name one above them; `uses` gives what each names.
fn climbing(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut faults = Vec::new();
    for (from, names) in uses {
        let Some(own) = layer(from) else {
            faults.push(format!("`{from}` is in no layer"));
            continue;
        };
        for to in names {
            match layer(to) {
                Some(other) if other < own => {
                    faults.push(format!("`{from}` names `{to}`, which is above it"));
                }
                Some(_) => {}
                None => faults.push(format!("`{from}` names `{to}`, which is in no layer")),
            }
        }
    }
    faults
}

#[test]
fn modules_name_only_what_is_below_them() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files("src", &[".rs"]) {
        let Some(module) = module(&path).filter(|_| !is_test(&path)) else {
            continue;
        };
        uses.entry(module).or_default().extend(named(&code(&path)));
    }
    assert_eq!(climbing(&uses), [""; 0]);
    let known: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    let there: BTreeSet<&str> = uses.keys().map(String::as_str).collect();
    assert_eq!(known, there, "the list holds what is there");
    // Postfix's syntax could leave the project any day.
    assert!(
        uses["postfix"].iter().all(|name| name == "postfix"),
        "{uses:?}"
    );
    let crate_page = fs::read_to_string(home().join("src/lib.rs")).unwrap();
    for module in known {
        assert!(
            crate_page.contains(&format!("[`{module}`]")),
            "src/lib.rs says nothing of `{module}`"
        );
    }
}

#[test]
fn a_climbing_module_is_found() {
    let code =
        "use crate::{\n    finding::{Finding, Place},\n    cli,\n};\nuse crate::dns::Name;\n";
    let names = named(code);
    assert_eq!(names, ["cli", "dns", "finding"].map(str::to_owned).into());
    let uses = BTreeMap::from([("plan".to_owned(), names)]);
    assert_eq!(climbing(&uses), ["`plan` names `cli`, which is above it"]);
}

#[test]
fn files_say_what_they_own() {
    for path in ["src", "tests/it"]
        .into_iter()
        .flat_map(|folder| files(folder, &[".rs"]))
    {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//! ") || is_test(&path),
            "{} begins without `//!`",
            name(&path)
        );
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = files("src", &[".rs"])
        .iter()
        .filter(|path| !is_test(path))
        .map(|path| {
            (
                path,
                code(path)
                    .lines()
                    .filter(|line| !line.trim().is_empty())
                    .count(),
            )
        })
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{} has {lines} lines of code", name(path)))
        .collect();
    assert_eq!(
        long, [""; 0],
        "beyond {LINES} lines a file becomes a folder"
    );
}

#[test]
fn types_and_modules_say_what_they_are() {
    let words = |identifier: &str| -> Vec<String> {
        let mut spaced = String::new();
        for c in identifier.chars() {
            if c.is_ascii_uppercase() || c == '_' {
                spaced.push(' ');
            }
            spaced.push(c.to_ascii_lowercase());
        }
        spaced.split([' ', '_']).map(str::to_owned).collect()
    };
    for path in ["src", "tests/it"]
        .into_iter()
        .flat_map(|folder| files(folder, &[".rs"]))
    {
        let text = code(&path);
        for line in text.lines() {
            let mut parts = line
                .split_whitespace()
                .filter(|word| !word.starts_with("pub"));
            let kind = parts.next().unwrap_or_default();
            if !["mod", "struct", "enum", "trait", "type"].contains(&kind) {
                continue;
            }
            let identifier: String = parts
                .next()
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let empty = words(&identifier)
                .into_iter()
                .find(|word| EMPTY_WORDS.contains(&word.as_str()));
            assert_eq!(empty, None, "{}: `{identifier}` says nothing", name(&path));
        }
    }
}

#[test]
fn every_package_has_its_reason_and_all_stay_within_the_budget() {
    let manifest = fs::read_to_string(home().join("Cargo.toml")).unwrap();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && line.contains('=') {
            assert!(line.contains(" # "), "no reason is given for: {line}");
        }
    }
    let lock = fs::read_to_string(home().join("Cargo.lock")).unwrap();
    let packages = lock.matches("[[package]]").count();
    assert!(
        packages <= PACKAGES,
        "{packages} packages, {PACKAGES} are allowed"
    );
}

#[test]
fn the_readme_names_every_command() {
    let readme = fs::read_to_string(home().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let help = crate::support::binary(folder.path(), &["--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .expect("the help lists commands");
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"plan"), "{help}");
    for command in commands {
        assert!(
            readme.contains(&format!("`mailfix {command}")),
            "README.md says nothing of `{command}`"
        );
    }
}

#[test]
fn texts_know_nothing_of_the_machine_they_were_written_on() {
    let mut all: Vec<PathBuf> = [
        "src",
        "tests",
        "profiles",
        "templates",
        "snapshots",
        "script",
    ]
    .into_iter()
    .flat_map(|folder| files(folder, &[""]))
    .collect();
    all.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "Cargo.toml",
            "build.rs",
        ]
        .map(|name| home().join(name)),
    );
    // Put together here, so that this file does not find itself.
    let places = ["work", "root"].map(|place| format!("/{place}/"));
    for path in all {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if path.extension().is_some_and(|end| end == "pyc") {
            continue;
        }
        for place in &places {
            assert!(
                !text.contains(place.as_str()),
                "{} names {place}",
                name(&path)
            );
        }
    }
}
