//! Target and files make a plan.
//!
//! Owns the order: the signer, the jail, `master.cf`, then tables, then `main.cf`, so that whatever is named
//! exists first and Postfix can run after every step; what goes, goes the other way round.
//! Turned round, it is the safe undo.
//! Must not know why the target is as it is.

use camino::{Utf8Path, Utf8PathBuf};

use super::{FileChange, Nature, NewDirectory, Plan, Step, jobs, rewriter, signing};
use crate::host::{Facts, Files, Running};
use crate::postfix::table::INDEX_SUFFIXES;
use crate::postfix::{EditError, MainCf, MasterCf};
use crate::system::{Command, File};
use crate::target::{Ensure, REFRESH, ServiceWanted, Setting, TableWanted, Target};

/// Permission bits of the directories and tables we make: Postfix's own files are public.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// A target that cannot be written into the files as they are.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file is gone.
    #[error("`{path}` does not exist")]
    NoFile {
        /// Which.
        path: camino::Utf8PathBuf,
    },
    /// The edit would not be read back as meant.
    #[error("cannot edit `{path}`: {source}")]
    Edit {
        /// The file.
        path: camino::Utf8PathBuf,
        /// Why.
        source: EditError,
    },
}

/// Builds the plan; indexes of tables are added by [`add_index`] once they are built.
///
/// # Errors
/// When a file is missing or an edit would not be read back as meant.
pub fn build(target: &Target, facts: &Facts, files: &Files) -> Result<Plan, BuildError> {
    let mut plan = Plan::default();
    let commands = commands(facts);

    let path = facts.config.join("master.cf");
    let before = present(files, &path)?;
    let mut services = MasterCf::parse(&before.bytes);
    let (gone, wanted): (Vec<_>, Vec<_>) = target
        .services
        .iter()
        .partition(|service| service.ensure == Ensure::Absent);
    for service in &wanted {
        ensure_service(&mut services, service).map_err(|source| BuildError::Edit {
            path: path.clone(),
            source,
        })?;
    }
    push_edit(
        &mut plan,
        &path,
        before,
        services.to_bytes(),
        &commands,
        || format!("master.cf: the {}", names(&wanted)),
    );
    let master = File {
        bytes: services.to_bytes(),
        ..before.clone()
    };

    let folder = facts.own_folder();
    let main_path = facts.config.join("main.cf");
    let main_before = present(files, &main_path)?;
    plan.steps.extend(rewriter::step(target, facts, files));
    let tables = tables(target, facts, files, main_before);
    if !tables.is_empty() {
        plan.steps.push(tables);
    }
    let steps = plan.steps.len();

    let mut document = MainCf::parse(&main_before.bytes);
    for setting in &target.settings {
        apply_setting(&mut document, setting, facts).map_err(|source| BuildError::Edit {
            path: main_path.clone(),
            source,
        })?;
    }
    push_edit(
        &mut plan,
        &main_path,
        main_before,
        document.to_bytes(),
        &commands,
        || {
            let mut names: Vec<&str> = target.settings.iter().map(Setting::name).collect();
            names.dedup();
            format!("main.cf: `{}`", names.join("`, `"))
        },
    );
    // Daemons notice a new database within a minute, and read a table that is none once, when
    // they start.
    let mut paths = target.tables.iter().map(|table| folder.join(&table.file));
    if plan.steps.len() == steps
        && let Some(last) = plan.steps.last_mut()
        && paths.any(|path| last.writes(&path))
    {
        last.then.clone_from(&commands);
    }
    plan.steps.extend(leftovers(target, facts, files));
    for service in &gone {
        services.remove(&service.name, &service.kind);
    }
    push_edit(
        &mut plan,
        &path,
        &master,
        services.to_bytes(),
        &commands,
        || format!("master.cf: without the {}", names(&gone)),
    );
    if let Some(mut jail) = jail(target, facts, files) {
        // Daemons read what is in their jail when they start: the next reload starts them anew.
        if plan.steps.iter().all(|step| step.then.is_empty()) {
            jail.then = commands;
        }
        plan.steps.insert(0, jail);
    }
    // It answers before anything names it.
    if let Some(signer) = signing::step(target, facts, files) {
        plan.steps.insert(0, signer);
    }
    let daily = jobs::steps(REFRESH, &target.job, &facts.jobs, facts.origin, files);
    plan.steps.extend(daily);
    Ok(plan)
}

fn names(services: &[&ServiceWanted]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for service in services {
        if !names.contains(&service.name.as_str()) {
            names.push(&service.name);
        }
    }
    let noun = if names.len() == 1 {
        "service"
    } else {
        "services"
    };
    format!("{noun} `{}`", names.join("`, `"))
}

/// Removes tables of ours that nothing names any more, their databases, and our folder if it
/// is empty then.
fn leftovers(target: &Target, facts: &Facts, files: &Files) -> Option<Step> {
    let folder = facts.own_folder();
    let mut step = Step {
        title: "mailfix's own tables that nothing uses any more".to_owned(),
        ..Step::default()
    };
    for name in &target.leftovers {
        let source = folder.join(name);
        let mut paths: Vec<(Utf8PathBuf, Nature)> = INDEX_SUFFIXES
            .iter()
            .map(|suffix| (format!("{source}.{suffix}").into(), Nature::Index))
            .collect();
        paths.push((source, Nature::Text));
        for (path, nature) in paths {
            if let Some(before) = files.get(&path) {
                step.files.push(FileChange {
                    path,
                    before: Some(before.clone()),
                    after: None,
                    nature,
                });
            }
        }
    }
    if step.files.is_empty() {
        return None;
    }
    if target.tables.is_empty()
        && let Some(stat) = files.directory(&folder)
    {
        step.abandoned.push(NewDirectory {
            path: folder,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
        });
    }
    Some(step)
}

/// Adds the index of a table to the step that writes its source, or makes a step for it.
pub fn add_index(plan: &mut Plan, source: &Utf8Path, index: FileChange) {
    let step = plan
        .steps
        .iter_mut()
        .find(|step| step.files.iter().any(|change| change.path == source));
    if let Some(step) = step {
        // Behind its source: Postfix complains of an index that is older.
        step.files.push(index);
        return;
    }
    // Before main.cf may name it.
    let is_main = |change: &FileChange| change.path.file_name() == Some("main.cf");
    let main = plan
        .steps
        .iter()
        .position(|step| step.files.iter().any(is_main));
    let at = main.unwrap_or(plan.steps.len());
    let step = Step {
        title: format!("the index of `{source}`"),
        files: vec![index],
        ..Step::default()
    };
    plan.steps.insert(at, step);
}

/// Parameters that a reload does not take up: master(8) says so of the first two, and
/// postconf(5) of the others.
const RESTART: [&str; 4] = [
    "inet_interfaces",
    "inet_protocols",
    "tcp_windowsize",
    "maillog_file",
];

/// The parameter a plan changes that only a stop and a start take up, if it changes one.
#[must_use]
pub fn needs_restart(plan: &Plan) -> Option<&'static str> {
    let mains: Vec<(MainCf, MainCf)> = plan
        .changes()
        .filter(|change| change.path.file_name() == Some("main.cf"))
        .filter_map(|change| Some((change.before.as_ref()?, change.after.as_ref()?)))
        .map(|(before, after)| (MainCf::parse(&before.bytes), MainCf::parse(&after.bytes)))
        .collect();
    RESTART.into_iter().find(|name| {
        mains
            .iter()
            .any(|(before, after)| before.get(name) != after.get(name))
    })
}

/// A step that writes both configuration files anew, where they differ, and has Postfix told.
///
/// One step for both: what one of them names the other may have to allow, as `proxy_read_maps`.
///
/// # Errors
/// When one of the files is missing.
pub fn rewrite(
    title: String,
    edits: [(&str, Vec<u8>); 2],
    facts: &Facts,
    files: &Files,
) -> Result<Step, BuildError> {
    let mut step = Step {
        title,
        ..Step::default()
    };
    for (name, bytes) in edits {
        let path = facts.config.join(name);
        let before = present(files, &path)?;
        if bytes != before.bytes {
            let after = File {
                bytes,
                ..before.clone()
            };
            step.files.push(FileChange {
                path,
                before: Some(before.clone()),
                after: Some(after),
                nature: Nature::Text,
            });
        }
    }
    if !step.files.is_empty() {
        step.then = commands(facts);
    }
    Ok(step)
}

fn present<'a>(files: &'a Files, path: &Utf8Path) -> Result<&'a File, BuildError> {
    files.get(path).ok_or_else(|| BuildError::NoFile {
        path: path.to_owned(),
    })
}

fn commands(facts: &Facts) -> Vec<Command> {
    let config = facts.config.clone();
    match facts.running {
        Running::Yes(_) => vec![
            Command::Check {
                config: config.clone(),
            },
            Command::Reload { config },
        ],
        // It is not started if it was not running.
        Running::No => vec![Command::Check { config }],
        Running::Unknown => Vec::new(),
    }
}

fn push_edit(
    plan: &mut Plan,
    path: &Utf8Path,
    before: &File,
    bytes: Vec<u8>,
    commands: &[Command],
    title: impl FnOnce() -> String,
) {
    if bytes == before.bytes {
        return;
    }
    let after = File {
        bytes,
        ..before.clone()
    };
    let change = FileChange {
        path: path.to_owned(),
        before: Some(before.clone()),
        after: Some(after),
        nature: Nature::Text,
    };
    plan.steps.push(Step {
        title: title(),
        files: vec![change],
        then: commands.to_vec(),
        ..Step::default()
    });
}

fn ensure_service(document: &mut MasterCf, service: &ServiceWanted) -> Result<(), EditError> {
    match &service.ensure {
        // It goes in a step of its own, when nothing names it any more.
        Ensure::Absent => {}
        Ensure::Whole(text) => document.add(text.as_bytes())?,
        Ensure::Words { chroot, options } => {
            if let Some(letter) = chroot {
                document.set_field(
                    &service.name,
                    &service.kind,
                    crate::postfix::Field::Chroot,
                    &letter.to_string(),
                )?;
            }
            for (option, value) in options {
                document.set_option(&service.name, &service.kind, option, value)?;
            }
        }
    }
    Ok(())
}

/// What the jail gets: before anything else, as the first reload already needs it.
fn jail(target: &Target, facts: &Facts, files: &Files) -> Option<Step> {
    let first = target.copies.first()?;
    let paths: Vec<String> = target
        .copies
        .iter()
        .map(|copy| format!("`{}`", copy.from))
        .collect();
    let mut step = Step {
        title: format!(
            "a copy of {} in the jail `{}`",
            paths.join(" and of "),
            facts.jail.directory
        ),
        ..Step::default()
    };
    if let Some(directory) = first.path.parent()
        && !files.has_directory(directory)
    {
        step.directories.push(NewDirectory {
            path: directory.to_owned(),
            mode: DIRECTORY_MODE,
            uid: 0,
            gid: 0,
        });
    }
    for copy in &target.copies {
        step.files.push(FileChange {
            path: copy.path.clone(),
            before: None,
            after: Some(File::new(copy.bytes.clone(), FILE_MODE, 0, 0)),
            nature: Nature::Copy,
        });
    }
    Some(step)
}

fn tables(target: &Target, facts: &Facts, files: &Files, like: &File) -> Step {
    let folder = facts.own_folder();
    let mut step = Step {
        title: "mailfix's own tables".to_owned(),
        ..Step::default()
    };
    for table in &target.tables {
        let path = folder.join(&table.file);
        let before = files.get(&path);
        if before.is_some_and(|file| file.bytes == table.text.as_bytes()) {
            continue;
        }
        let after = new_file(table, before, like);
        step.files.push(FileChange {
            path,
            before: before.cloned(),
            after: Some(after),
            nature: Nature::Text,
        });
    }
    if !step.files.is_empty() && !files.has_directory(&folder) {
        step.directories.push(NewDirectory {
            path: folder,
            mode: DIRECTORY_MODE,
            uid: like.uid,
            gid: like.gid,
        });
    }
    step
}

/// A table of ours keeps the owner and mode it has; a new one belongs to whom main.cf belongs.
fn new_file(table: &TableWanted, before: Option<&File>, like: &File) -> File {
    let bytes = table.text.clone().into_bytes();
    match before {
        Some(before) => File {
            bytes,
            ..before.clone()
        },
        None => File {
            bytes,
            mode: FILE_MODE,
            uid: like.uid,
            gid: like.gid,
            attributes: Vec::new(),
        },
    }
}

fn apply_setting(document: &mut MainCf, setting: &Setting, facts: &Facts) -> Result<(), EditError> {
    match setting {
        Setting::Is { name, value } => {
            if document.get(name).as_deref() == Some(value) {
                Ok(())
            } else {
                document.set(name, value)
            }
        }
        // The list may hold it by way of a `$name`.
        Setting::Has { name, item } if facts.parameters.list(name).contains(item) => Ok(()),
        Setting::Has { name, item } => document.add_item(name, item, facts.parameters.raw(name)),
        Setting::Lacks { name, item } => {
            document.remove_item(name, item);
            let left: Vec<bool> = document
                .settings()
                .filter(|setting| setting.name == name)
                .map(|setting| setting.value.is_empty())
                .collect();
            if left == [true] {
                document.unset(name);
            }
            Ok(())
        }
        Setting::Unset { name } => {
            document.unset(name);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, example};
    use crate::postfix::{Field, ServiceType};

    const TABLE: &str = "/etc/postfix/mailfix/transport";

    /// A target that touches everything.
    fn target() -> Target {
        let service = |name: &str, ensure| ServiceWanted {
            name: name.to_owned(),
            kind: ServiceType::Unix,
            ensure,
        };
        Target {
            settings: vec![
                Setting::Is {
                    name: "smtp-ipv4_x".to_owned(),
                    value: "1".to_owned(),
                },
                Setting::Has {
                    name: "transport_maps".to_owned(),
                    item: format!("hash:{TABLE}"),
                },
                Setting::Unset {
                    name: "mynetworks_style".to_owned(),
                },
            ],
            services: vec![
                service(
                    "smtp-ipv4",
                    Ensure::Whole("smtp-ipv4 unix - - n - - smtp\n".to_owned()),
                ),
                service(
                    "relay",
                    Ensure::Words {
                        chroot: Some('y'),
                        options: vec![("a".to_owned(), "b".to_owned())],
                    },
                ),
            ],
            tables: vec![TableWanted {
                file: "transport".to_owned(),
                kind: "hash".to_owned(),
                text: "gmail.com smtp-ipv4:\n".to_owned(),
                samples: Vec::new(),
            }],
            ..Target::default()
        }
    }

    fn host() -> Host {
        example::host("3.7.11", "", "")
    }

    fn built(host: &Host) -> Plan {
        build(&target(), &host.facts, &host.files).unwrap()
    }

    /// A line a directory, file and command, in the order they are done.
    fn lines(plan: &Plan) -> Vec<String> {
        let mut lines = Vec::new();
        for step in &plan.steps {
            lines.extend(
                step.directories
                    .iter()
                    .map(|new| format!("make {}", new.path)),
            );
            lines.extend(step.files.iter().map(|change| {
                let verb = if change.before.is_some() {
                    "change"
                } else {
                    "write"
                };
                format!("{verb} {}", change.path)
            }));
            lines.extend(step.then.iter().map(|command| command.words().join(" ")));
        }
        lines
    }

    /// What is done on a host, once it is changed.
    #[track_caller]
    fn check(change: impl Fn(&mut Host), expected: &[&str]) {
        let mut host = host();
        change(&mut host);
        assert_eq!(lines(&built(&host)), expected);
    }

    const MASTER: &str = "change /etc/postfix/master.cf";
    const MAIN: &str = "change /etc/postfix/main.cf";
    const FOLDER: &str = "make /etc/postfix/mailfix";
    const NEW: &str = "write /etc/postfix/mailfix/transport";
    const CHECK: &str = "postfix -c /etc/postfix check";
    const RELOAD: &str = "postfix -c /etc/postfix reload";

    #[test]
    fn what_is_named_exists_first_and_postfix_is_told_if_it_runs() {
        let runs = |running| move |host: &mut Host| host.facts.running = running;
        check(
            runs(Running::Yes(7)),
            &[MASTER, CHECK, RELOAD, FOLDER, NEW, MAIN, CHECK, RELOAD],
        );
        check(
            runs(Running::No),
            &[MASTER, CHECK, FOLDER, NEW, MAIN, CHECK],
        );
        check(runs(Running::Unknown), &[MASTER, FOLDER, NEW, MAIN]);
    }

    #[test]
    fn what_is_there_is_neither_made_nor_written_again() {
        let lay = |text: &'static str| {
            move |host: &mut Host| {
                host.files.insert_directory(
                    "/etc/postfix/mailfix",
                    example::directory("/etc/postfix/mailfix"),
                );
                let file = File::new(text, 0o600, 5, 6);
                host.files.insert(TABLE, Some(file));
            }
        };
        check(lay("gmail.com smtp-ipv4:\n"), &[MASTER, MAIN]);
        let other = "change /etc/postfix/mailfix/transport";
        check(lay("old\n"), &[MASTER, other, MAIN]);
        let mut host = host();
        lay("old\n")(&mut host);
        let plan = built(&host);
        let change = plan.changes().find(|change| change.path == TABLE).unwrap();
        let after = change.after.as_ref().unwrap();
        // A table of ours keeps its owner and mode.
        assert_eq!((after.mode, after.uid, after.gid), (0o600, 5, 6));
    }

    #[test]
    fn a_table_that_changes_is_followed_by_a_reload() {
        let run = |kind: &str, text: &str| {
            let mut host = example::host(
                "3.7.11",
                "smtp_reply_filter = regexp:/etc/postfix/mailfix/transport",
                "",
            );
            host.facts.running = Running::Yes(7);
            let stat = example::directory("/etc/postfix/mailfix");
            host.files.insert_directory("/etc/postfix/mailfix", stat);
            let file = File::new("/old/ x\n", 0o600, 5, 6);
            host.files.insert(TABLE, Some(file));
            let wanted = TableWanted {
                file: "transport".to_owned(),
                kind: kind.to_owned(),
                text: text.to_owned(),
                samples: Vec::new(),
            };
            let target = Target {
                tables: vec![wanted],
                ..Target::default()
            };
            lines(&build(&target, &host.facts, &host.files).unwrap())
        };
        let change = "change /etc/postfix/mailfix/transport";
        assert_eq!(run("regexp", "/new/ x\n"), [change, CHECK, RELOAD]);
        assert_eq!(run("hash", "/new/ x\n"), [change, CHECK, RELOAD]);
        assert_eq!(run("regexp", "/old/ x\n"), [""; 0]);
    }

    #[test]
    fn a_missing_file_is_refused() {
        for name in ["main.cf", "master.cf"] {
            let mut host = host();
            let path = host.facts.config.join(name);
            host.files.insert(path.clone(), None);
            let error = build(&target(), &host.facts, &host.files).unwrap_err();
            assert_eq!(error.to_string(), format!("`{path}` does not exist"));
        }
    }

    #[test]
    fn new_files_belong_to_whom_main_cf_belongs() {
        let mut host = host();
        let path = host.facts.config.join("main.cf");
        let main = File {
            mode: 0o640,
            uid: 3,
            gid: 4,
            attributes: vec![("user.a".to_owned(), b"b".to_vec())],
            ..host.files.get(&path).unwrap().clone()
        };
        host.files.insert(path.clone(), Some(main.clone()));
        let plan = built(&host);
        let folder = &plan.steps[1].directories[0];
        assert_eq!((folder.mode, folder.uid, folder.gid), (0o755, 3, 4));
        let new = plan.steps[1].files[0].after.as_ref().unwrap();
        assert_eq!((new.mode, new.uid, new.gid), (0o644, 3, 4));
        assert!(new.attributes.is_empty());
        // The file itself keeps all but its bytes.
        let change = &plan.steps[2].files[0];
        let after = change.after.as_ref().unwrap();
        assert_eq!(change.before.as_ref(), Some(&main));
        let bytes = main.bytes.clone();
        assert_eq!(
            File {
                bytes,
                ..after.clone()
            },
            main
        );
    }

    #[test]
    fn files_say_what_the_target_says() {
        let plan = built(&host());
        let after = |step: usize| plan.steps[step].files[0].after.clone().unwrap().bytes;
        let master = MasterCf::parse(&after(0));
        assert!(master.get("smtp-ipv4", &ServiceType::Unix).is_some());
        let relay = master.get("relay", &ServiceType::Unix).unwrap();
        assert_eq!(relay.field(Field::Chroot), "y");
        assert_eq!(relay.option("a"), Some("b"));
        let main = MainCf::parse(&after(2));
        assert_eq!(main.get("smtp-ipv4_x").as_deref(), Some("1"));
        assert_eq!(main.get("transport_maps"), Some(format!("hash:{TABLE}")));
        assert_eq!(main.get("mynetworks_style"), None);
        let titles: Vec<&str> = plan.steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "master.cf: the services `smtp-ipv4`, `relay`",
                "mailfix's own tables",
                "main.cf: `smtp-ipv4_x`, `transport_maps`, `mynetworks_style`"
            ]
        );
    }

    #[test]
    fn an_empty_target_is_an_empty_plan() {
        let host = host();
        let plan = build(&Target::default(), &host.facts, &host.files).unwrap();
        assert_eq!(plan, Plan::default());
    }

    fn index() -> FileChange {
        FileChange {
            path: format!("{TABLE}.db").into(),
            before: None,
            after: Some(File::new("db", 0o644, 0, 0)),
            nature: Nature::Index,
        }
    }

    #[test]
    fn an_index_comes_behind_its_source_and_before_its_use() {
        const INDEX: &str = "write /etc/postfix/mailfix/transport.db";
        let mut plan = built(&host());
        add_index(&mut plan, TABLE.into(), index());
        assert_eq!(lines(&plan), [MASTER, FOLDER, NEW, INDEX, MAIN]);
        // Where the source stays as it is.
        plan.steps.remove(1);
        add_index(&mut plan, TABLE.into(), index());
        assert_eq!(lines(&plan), [MASTER, INDEX, MAIN]);
        plan.steps.drain(..2);
        add_index(&mut plan, TABLE.into(), index());
        assert_eq!(lines(&plan), [INDEX, MAIN]);
        let mut plan = Plan::default();
        add_index(&mut plan, TABLE.into(), index());
        assert_eq!(lines(&plan), [INDEX]);
    }

    #[test]
    fn a_changed_protocol_needs_a_restart_and_a_changed_table_does_not() {
        let plan = |before: &str, after: &str| Plan {
            steps: vec![Step {
                files: vec![FileChange {
                    path: "/etc/postfix/main.cf".into(),
                    before: Some(File::new(before, 0o644, 0, 0)),
                    after: Some(File::new(after, 0o644, 0, 0)),
                    nature: Nature::Text,
                }],
                ..Step::default()
            }],
        };
        let check = |before: &str, after: &str, expected: Option<&str>| {
            assert_eq!(needs_restart(&plan(before, after)), expected);
        };
        check(
            "inet_protocols = all\n",
            "inet_protocols = ipv4\n",
            Some("inet_protocols"),
        );
        check(
            "a = 1\n",
            "a = 1\nmaillog_file = /var/log/maillog\n",
            Some("maillog_file"),
        );
        check("transport_maps =\n", "transport_maps = hash:/t\n", None);
        check("inet_protocols = all\n", "inet_protocols =   all\n", None);
    }
}
