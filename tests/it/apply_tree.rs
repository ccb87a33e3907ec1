//! A program that applies a fixed plan to a tree and undoes it: `apply_tree apply|undo TREE`.
//!
//! It is what the tests kill at every system call that changes something. With
//! `rehearse` it tries a configuration in a private copy, for the tests that
//! look whether anything else is touched.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use mailfix::apply::{Options, apply};
use mailfix::plan::{FileChange, Nature, NewDirectory, Plan, Step};
use mailfix::receipt::Receipts;
use mailfix::system::{Command, File, RealSystem, Rehearsal, System, Trial};
use mailfix::undo::{Choice, History, undo};

const STATE: &str = "/var/lib/mailfix";
const CONFIG: &str = "/etc/postfix";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [act, tree] = arguments.as_slice() else {
        return Err("usage: apply_tree apply|undo|rehearse TREE".into());
    };
    if act == "rehearse" {
        return rehearse();
    }
    let mut system = RealSystem::new(Some(tree.into()))?;
    let mut options = Options {
        state: STATE.into(),
        config: CONFIG.into(),
        running: false,
        undoes: None,
    };
    let mut plan = planned(&system)?;
    if act == "undo" {
        let history = History::read(&Receipts::new(STATE), &system)?;
        plan = Plan::default();
        if let Some(receipt) = history.to_undo() {
            plan = undo(receipt, &history, &Choice::default(), &system)?;
            options.undoes = Some(receipt.id.clone());
        }
    }
    let now = Timestamp::UNIX_EPOCH;
    apply(
        &plan,
        &mut system,
        &options,
        now,
        &mut |_| Vec::new(),
        &mut |_| {},
    )?;
    Ok(())
}

/// Plans what the tree lacks: a service, our own directory with a table in it, a parameter.
fn planned(system: &RealSystem) -> Result<Plan, Failure> {
    let append = |path: &str, line: &str| -> Result<FileChange, Failure> {
        let path = Utf8PathBuf::from(path);
        let before = system.read(&path)?;
        let mut after = before.clone().ok_or("the tree is not complete")?;
        if !after.bytes.ends_with(line.as_bytes()) {
            after.bytes.extend_from_slice(line.as_bytes());
        }
        Ok(change(path, before, after, Nature::Text))
    };
    let make = |path: &str, text: &str, nature| -> Result<FileChange, Failure> {
        let path = Utf8PathBuf::from(path);
        let before = system.read(&path)?;
        let stat = system
            .stat(CONFIG.into())?
            .ok_or("the tree is not complete")?;
        let after = File::new(text, 0o640, stat.uid, stat.gid);
        Ok(change(path, before, after, nature))
    };
    let check = vec![Command::Check {
        config: CONFIG.into(),
    }];
    let mut tables = Step {
        title: "tables".to_owned(),
        files: vec![
            make(
                "/etc/postfix/mailfix/transport",
                "gmail.com smtp-ipv4:\n",
                Nature::Text,
            )?,
            make("/etc/postfix/mailfix/transport.db", "built", Nature::Index)?,
        ],
        ..Step::default()
    };
    if system.stat("/etc/postfix/mailfix".into())?.is_none() {
        let stat = system
            .stat(CONFIG.into())?
            .ok_or("the tree is not complete")?;
        tables.directories.push(NewDirectory {
            path: "/etc/postfix/mailfix".into(),
            mode: 0o750,
            uid: stat.uid,
            gid: stat.gid,
        });
    }
    let services = Step {
        title: "services".to_owned(),
        files: vec![append(
            "/etc/postfix/master.cf",
            "smtp-ipv4 unix - - n - - smtp\n",
        )?],
        then: check.clone(),
        ..Step::default()
    };
    let parameters = Step {
        title: "parameters".to_owned(),
        files: vec![append("/etc/postfix/main.cf", "transport_maps = hash:x\n")?],
        then: check,
        ..Step::default()
    };
    let mut steps = vec![services, tables, parameters];
    for step in &mut steps {
        step.files.retain(FileChange::is_change);
    }
    steps.retain(|step| !step.files.is_empty() || !step.directories.is_empty());
    Ok(Plan { steps })
}

fn change(path: Utf8PathBuf, before: Option<File>, after: File, nature: Nature) -> FileChange {
    FileChange {
        path,
        before,
        after: Some(after),
        nature,
    }
}

fn rehearse() -> Result<(), Failure> {
    let file = |text: &str| File::new(text, 0o644, 0, 0);
    let main_cf = "compatibility_level = 3.6\nqueue_directory = @COPY@/queue\n\
                   data_directory = @COPY@/data\nmaillog_file =\n";
    let config = Utf8PathBuf::from("etc");
    let system = RealSystem::new(None)?;
    let mut runs = vec![
        Trial::Postconf {
            config: config.clone(),
            arguments: vec!["-n".to_owned()],
        },
        Trial::Index {
            config: config.clone(),
            kind: "hash".to_owned(),
            source: "etc/table".into(),
        },
        Trial::Lookup {
            config: config.clone(),
            table: "hash:@COPY@/etc/table".to_owned(),
            keys: vec!["a".to_owned()],
        },
    ];
    if system.is_root() {
        runs.push(Trial::Check { config });
    }
    let rehearsal = Rehearsal {
        files: vec![
            ("etc/main.cf".into(), file(main_cf)),
            ("etc/master.cf".into(), file("smtp unix - - n - - smtp\n")),
            ("etc/table".into(), file("a b\n")),
        ],
        directories: vec!["queue".into(), "data".into()],
        runs,
        collect: vec!["etc/table.db".into()],
    };
    let rehearsed = system.rehearse(&rehearsal)?;
    if rehearsed.outputs.iter().any(|output| !output.success()) || rehearsed.collected == [None] {
        return Err(format!("{rehearsed:?}").into());
    }
    Ok(())
}
