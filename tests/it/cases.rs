//! Cases: one folder of `tests/cases/` each, what it gives in `snapshots/`.
//!
//! A case is data; adding one edits no Rust:
//!
//! - `case.toml`: the profile, whether the tree begins with the profile's stock configuration,
//!   and what else is asked.
//! - `mailfix.toml`: the site file.
//! - `host/`: the tree, or what differs from stock. Without a configuration there is no Postfix.
//! - `zone.txt`: what DNS says. Without it nobody is asked (`--offline`).
//! - `provider-NAME.toml`: a further receiver, as in `profiles/providers/`.
//!
//! Changed on purpose: `INSTA_UPDATE=always cargo test cases`, then read the difference.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use camino::Utf8Path;
use jiff::Timestamp;
use mailfix::dns::{FixedResolver, OfflineResolver, Resolver};
use mailfix::draft::{Wish, draft};
use mailfix::profile::Profile;
use mailfix::provider::Provider;
use mailfix::site::Site;
use mailfix::system::RealSystem;
use serde::Deserialize;

use crate::support::{Entry, Shown, Snapshots, Tree, has_postfix, normalized, postmap, run};

/// Cases run at a time: most of one is waiting for postconf(1).
const WORKERS: usize = 4;

/// The time in all cases.
const NOW: &str = "2026-11-25T19:30:00Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    /// The kind of host.
    profile: String,
    /// Begin with the profile's stock configuration.
    #[serde(default)]
    stock: bool,
    /// Compare the remedies, too.
    #[serde(default)]
    remedies: bool,
    /// Answers to `mailfix init`, which then writes files for a server elsewhere.
    #[serde(default)]
    init: Vec<String>,
    /// The type that tables of Berkeley DB are moved to; nothing else is planned then.
    migrate: Option<String>,
}

struct Case {
    folder: PathBuf,
    data: Data,
    profile: Profile,
    tree: Tree,
    zone: Option<String>,
}

/// What a case gives: names and texts.
type Given = Vec<(&'static str, String)>;

#[test]
fn cases_give_what_their_snapshots_say() {
    if !has_postfix() {
        return;
    }
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut names: Vec<String> = fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let left = Mutex::new(names.iter());
    let given = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(name) = left.lock().unwrap().next() else {
                        break;
                    };
                    let texts = std::panic::catch_unwind(|| Case::load(name).give());
                    given.lock().unwrap().insert(name, texts);
                }
            });
        }
    });
    let given = given.into_inner().unwrap();
    let failed: Vec<_> = given
        .iter()
        .filter(|(_, texts)| texts.is_err())
        .map(|(name, _)| name)
        .collect();
    assert!(
        failed.is_empty(),
        "these cases failed, see above: {failed:?}"
    );
    for (name, texts) in given {
        let texts = texts.expect("none failed");
        let snapshots = Snapshots::new(name);
        for (snapshot, text) in texts {
            snapshots.check(snapshot, &text);
        }
        snapshots.end();
    }
}

impl Case {
    fn load(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases")
            .join(name);
        let text = fs::read_to_string(folder.join("case.toml")).unwrap();
        let data: Data = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let profile = Profile::built_in(&data.profile).expect("the profile is known");
        let tree = Tree::new();
        let config = &profile.paths.config;
        if data.stock {
            tree.write(config.join("main.cf"), profile.stock.main_cf);
            tree.write(config.join("master.cf"), profile.stock.master_cf);
        }
        let host = folder.join("host");
        if host.exists() {
            tree.lay(&host);
        }
        if let Ok(site) = fs::read(folder.join("mailfix.toml")) {
            tree.write(&profile.paths.site, site);
        }
        if tree.real(config).exists() {
            tree.build_databases(config.as_std_path());
        }
        tree.settle();
        Self {
            zone: fs::read_to_string(folder.join("zone.txt")).ok(),
            folder,
            data,
            profile,
            tree,
        }
    }

    /// Runs everything.
    fn give(&self) -> Given {
        if let Some(given) = self.with_further_providers() {
            return given;
        }
        if !self.data.init.is_empty() {
            return self.init();
        }
        let mut given = vec![("plan", self.run(&self.words(&["plan"])).to_string())];
        if self.data.remedies {
            given.push(("remedies", self.run(&["remedies"]).to_string()));
        }
        if self.data.migrate.is_none() {
            given.push(("records", self.run(&["dns", "show"]).to_string()));
        }
        if self.zone.is_some() {
            given.push(("dns-check", self.run(&["dns", "check"]).to_string()));
        }
        if !self.tree.real(&self.profile.paths.config).exists() {
            return given;
        }
        let before = self.tree.entries();
        let apply = self.words(&["apply", "--yes"]);
        let applied = self.run(&apply);
        let after = self.tree.entries();
        // What is shown before consent is the plan again.
        given.push(("apply", without_plan(&applied)));
        let differ = self.files(&before, &after);
        if differ.is_empty() {
            assert_eq!(
                before, after,
                "nothing is pending, so not even a time changes"
            );
        }
        given.push(("files", differ));

        let again = self.run(&apply);
        assert_eq!(again.status, 0, "{again}");
        assert!(again.stderr.contains("nothing was written"), "{again}");
        assert_eq!(after, self.tree.entries(), "a second apply writes nothing");

        let undone = self.run(&["undo", "--yes"]);
        assert_eq!(undone.status, 0, "{undone}");
        given.push(("undo", without_plan(&undone)));
        let entries = self.tree.entries();
        assert_eq!(
            self.outside_state(&before),
            self.outside_state(&entries),
            "undo brings every byte back"
        );
        given
    }

    /// The words of a command that plans.
    fn words<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        let mut words = command.to_vec();
        if let Some(kind) = &self.data.migrate {
            words.extend(["--migrate-tables", kind]);
        }
        words
    }

    fn run(&self, words: &[&str]) -> Shown {
        let root = self.tree.path().to_str().expect("the path is UTF-8");
        let mut all = words.to_vec();
        all.extend(["--root", root, "--profile", &self.data.profile]);
        all.extend(["--site", self.profile.paths.site.as_str()]);
        if self.zone.is_none() {
            all.push("--offline");
        }
        self.shown(&run(&all, now(), self.zone.as_deref()))
    }

    fn shown(&self, shown: &Shown) -> Shown {
        Shown {
            stdout: normalized(&shown.stdout, self.tree.path()),
            stderr: normalized(&shown.stderr, self.tree.path()),
            status: shown.status,
        }
    }

    /// `mailfix init` for a server elsewhere: every file it writes.
    fn init(&self) -> Given {
        let out = self.tree.path().join("out");
        let out = out.to_str().expect("the path is UTF-8");
        let root = self.tree.path().to_str().expect("the path is UTF-8");
        let mut words = vec!["init", "--no-input", "--yes", "--offline", "--root", root];
        words.extend(["--profile", &self.data.profile, "--out", out]);
        words.extend(self.data.init.iter().map(String::as_str));
        let shown = self.shown(&run(&words, now(), None));
        assert_eq!(shown.status, 0, "{shown}");
        let files = self.files(&BTreeMap::new(), &self.tree.entries());
        vec![
            ("init", shown.to_string()),
            ("files", normalized(&files, self.tree.path())),
        ]
    }

    /// The plan for all providers of the project and those of the case.
    fn with_further_providers(&self) -> Option<Given> {
        let mut providers = Provider::demanding();
        let known = providers.len();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some(id) = name.strip_prefix("provider-") {
                let text = fs::read(&path).unwrap();
                let place = Utf8Path::new(id).with_extension("toml");
                providers.push(Provider::parse(&text, &place).expect("the provider is right"));
            }
        }
        if providers.len() == known {
            return None;
        }
        let system =
            RealSystem::new(Some(self.tree.path().to_owned().try_into().unwrap())).unwrap();
        let resolver: Box<dyn Resolver> = match &self.zone {
            Some(text) => Box::new(FixedResolver::from_zone(text).unwrap()),
            None => Box::new(OfflineResolver),
        };
        let text = fs::read(self.folder.join("mailfix.toml")).unwrap();
        let site = Site::parse(&text, Utf8Path::new("mailfix.toml")).expect("the site is right");
        let wish = Wish::new(&site, &self.profile, &providers);
        let draft = draft(
            &system,
            resolver.as_ref(),
            &self.profile.paths.config,
            &wish,
        )
        .unwrap();
        assert_eq!(draft.refusals, []);
        let mut text = String::new();
        for decision in &draft.target.decisions {
            writeln!(text, "{}: {}", decision.about, decision.outcome).unwrap();
        }
        for change in draft.plan.changes() {
            if let (true, Some(after)) = (change.path.extension().is_none(), &change.after) {
                let bytes = String::from_utf8_lossy(&after.bytes);
                write!(text, "\n===== {}\n{bytes}", change.path).unwrap();
            }
        }
        Some(vec![("tables", text)])
    }

    /// Files that differ, as blocks. A database is shown by what it answers: its bytes differ
    /// from library to library.
    fn files(&self, before: &BTreeMap<PathBuf, Entry>, after: &BTreeMap<PathBuf, Entry>) -> String {
        let mut text = String::new();
        for (path, entry) in after {
            let same = before
                .get(path)
                .is_some_and(|old| old.lasting() == entry.lasting());
            let ours = path.starts_with(&self.profile.paths.state);
            let Some(bytes) = entry.bytes.as_deref().filter(|_| !same && !ours) else {
                continue;
            };
            writeln!(text, "===== {} ({:04o})", path.display(), entry.mode).unwrap();
            match path.extension().and_then(|end| end.to_str()) {
                Some("db" | "lmdb" | "cdb") => text.push_str(&self.answers(path)),
                _ => text.push_str(&String::from_utf8_lossy(bytes)),
            }
            if !text.ends_with('\n') {
                text.push_str("\n(no newline at the end)\n");
            }
        }
        text
    }

    /// All that a database answers.
    fn answers(&self, path: &Path) -> String {
        let kind = match path.extension().and_then(|end| end.to_str()) {
            Some("db") => "hash",
            Some(other) => other,
            None => unreachable!("a database has an extension"),
        };
        let table = format!(
            "{kind}:{}",
            self.tree.real(path.with_extension("")).display()
        );
        let text = postmap("postmap", &["-s", &table]).expect("the database can be read");
        let mut lines: Vec<String> = text
            .lines()
            // What postalias(1) says of the time and the machine.
            .filter(|line| !line.starts_with("YP_"))
            .map(|line| line.replace('\t', " answers ") + "\n")
            .collect();
        lines.sort();
        lines.concat()
    }

    /// Everything but our receipts and the directories that hold them.
    fn outside_state<'a>(
        &self,
        entries: &'a BTreeMap<PathBuf, Entry>,
    ) -> BTreeMap<&'a Path, (u32, Option<&'a [u8]>)> {
        let state = self.profile.paths.state.as_std_path();
        entries
            .iter()
            .filter(|(path, _)| !path.starts_with(state) && !state.starts_with(path))
            .map(|(path, entry)| (path.as_path(), entry.lasting()))
            .collect()
    }
}

fn now() -> Timestamp {
    NOW.parse().expect("it is a time")
}

/// What is said beside the plan, which has a snapshot of its own.
fn without_plan(shown: &Shown) -> String {
    Shown {
        stdout: String::new(),
        ..shown.clone()
    }
    .to_string()
}
