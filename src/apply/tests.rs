//! Apply and undo on a machine in memory that fails or dies at every call in turn.

use std::collections::BTreeMap;

use super::*;
use crate::plan::{Nature, NewDirectory};
use crate::receipt::Receipts;
use crate::system::{Fault, MemorySystem, Node};
use crate::undo::{Choice, History, State, UndoError, undo};

const STATE: &str = "/var/lib/mailfix";
const CONFIG: &str = "/etc/postfix";
const RELOAD: &str = "postfix -c /etc/postfix reload";
const CHECK: &str = "postfix -c /etc/postfix check";
const READ: &str = "systemctl daemon-reload";
const START: &str = "systemctl start x.timer";
const STOP: &str = "systemctl stop x.timer";

type Tree = BTreeMap<Utf8PathBuf, Node>;

fn machine() -> MemorySystem {
    let main_cf = File {
        attributes: vec![("user.note".to_owned(), b"mine".to_vec())],
        ..File::new("inet_protocols = all\n", 0o640, 3, 4)
    };
    MemorySystem::new()
        .directory("/var/lib")
        .directory("/etc/systemd/system")
        .file("/etc/postfix/master.cf", "smtp unix - - n - - smtp\n")
        .node("/srv/main.cf", Node::File(main_cf))
        .link("/etc/postfix/main.cf", "/srv/main.cf")
        .file("/etc/postfix/old", "no longer needed\n")
}

fn tree(system: &MemorySystem) -> Tree {
    system.tree_without(STATE)
}

/// Plans what is still missing on a machine, as a real planner would.
fn planned(system: &MemorySystem) -> Plan {
    let change = |path: &str, after: Option<File>, nature| FileChange {
        path: path.into(),
        before: system.read(path.into()).unwrap(),
        after,
        nature,
    };
    let file = |text: &str, mode| Some(File::new(text, mode, 0, 0));
    let directory = |path: &str| {
        let is_missing = system.stat(path.into()).unwrap().is_none();
        is_missing.then(|| NewDirectory {
            path: path.into(),
            mode: 0o750,
            uid: 0,
            gid: 5,
        })
    };
    let config = Utf8PathBuf::from(CONFIG);
    let then = vec![
        Command::Check {
            config: config.clone(),
        },
        Command::Reload { config },
    ];
    let main_cf = File {
        attributes: vec![("user.note".to_owned(), b"mine".to_vec())],
        ..File::new("inet_protocols = all\ntransport_maps = x\n", 0o640, 3, 4)
    };
    let mut steps = vec![
        Step {
            title: "services".to_owned(),
            files: vec![change(
                "/etc/postfix/master.cf",
                file("smtp unix - - n - - smtp\nx\n", 0o644),
                Nature::Text,
            )],
            then: then.clone(),
            ..Step::default()
        },
        Step {
            title: "tables".to_owned(),
            directories: ["/etc/postfix/mailfix", "/etc/postfix/mailfix/keys"]
                .into_iter()
                .filter_map(directory)
                .collect(),
            files: vec![
                change(
                    "/etc/postfix/mailfix/transport",
                    file("gmail.com x:\n", 0o644),
                    Nature::Text,
                ),
                change(
                    "/etc/postfix/mailfix/transport.db",
                    file("built", 0o644),
                    Nature::Index,
                ),
                change(
                    "/etc/postfix/mailfix/keys/key",
                    file("secret", 0o600),
                    Nature::Secret,
                ),
            ],
            ..Step::default()
        },
        Step {
            title: "parameters".to_owned(),
            files: vec![
                change("/etc/postfix/main.cf", Some(main_cf), Nature::Text),
                change("/etc/postfix/old", None, Nature::Text),
            ],
            then,
            ..Step::default()
        },
        Step {
            title: "a job".to_owned(),
            files: vec![change(
                "/etc/systemd/system/x.timer",
                file("[Timer]\n", 0o644),
                Nature::Text,
            )],
            then: vec![
                Command::ReadUnits,
                Command::StartUnit {
                    unit: "x.timer".to_owned(),
                },
            ],
            ..Step::default()
        },
    ];
    for step in &mut steps {
        step.files.retain(FileChange::is_change);
    }
    steps.retain(|step| !step.files.is_empty() || !step.directories.is_empty());
    Plan { steps }
}

fn options(undoes: Option<String>) -> Options {
    Options {
        state: STATE.into(),
        config: CONFIG.into(),
        running: true,
        undoes,
    }
}

fn run(
    system: &mut MemorySystem,
    plan: &Plan,
    undoes: Option<String>,
) -> Result<Applied, ApplyError> {
    let now = "2026-11-25T19:30:00Z".parse().unwrap();
    let mut proof = |_: &dyn System| Vec::new();
    apply(plan, system, &options(undoes), now, &mut proof, &mut |_| {})
}

fn run_planned(system: &mut MemorySystem) -> Result<Applied, ApplyError> {
    let plan = planned(system);
    run(system, &plan, None)
}

/// Undoes the newest apply of which anything holds, as the command does.
fn run_undo(system: &mut MemorySystem) -> Result<Applied, ApplyError> {
    let history = History::read(&Receipts::new(STATE), system).unwrap();
    let (plan, undoes) = match history.to_undo() {
        None => (Plan::default(), None),
        Some(receipt) => {
            let plan = undo(receipt, &history, &Choice::default(), system).unwrap();
            (plan, Some(receipt.id.clone()))
        }
    };
    run(system, &plan, undoes)
}

/// The states of all receipts, newest first.
fn states(system: &MemorySystem) -> Vec<State> {
    let history = History::read(&Receipts::new(STATE), system).unwrap();
    history.past.iter().map(|past| past.state).collect()
}

fn applied() -> (Tree, Tree, MemorySystem) {
    let mut system = machine();
    let before = tree(&system);
    run_planned(&mut system).unwrap();
    (before, tree(&system), system)
}

/// Runs `act` on copies of a machine with a fault at every call in turn, and `then` on what
/// is left each time.
fn at_every_call(
    start: &MemorySystem,
    act: fn(&mut MemorySystem) -> Result<Applied, ApplyError>,
    mut then: impl FnMut(Fault, MemorySystem, Result<Applied, ApplyError>),
) {
    let mut whole = start.clone();
    whole.calls = 0;
    act(&mut whole).unwrap();
    assert!(whole.calls > 10, "{} calls", whole.calls);
    for at in 1..=whole.calls {
        for fault in [Fault::Killed(at), Fault::KilledWithin(at), Fault::Fails(at)] {
            let mut system = start.clone();
            system.calls = 0;
            system.fault = Some(fault);
            let result = act(&mut system);
            system.fault = None;
            then(fault, system, result);
        }
    }
}

fn ran(system: &MemorySystem) -> Vec<String> {
    system.ran.iter().map(ToString::to_string).collect()
}

/// The last that Postfix was told, and the last that was done about jobs.
fn last_ran(system: &MemorySystem) -> (String, String) {
    let last = |of_postfix| {
        let mut all = system.ran.iter().rev();
        let last = all.find(|command| {
            command.is_of_postfix() == of_postfix && **command != Command::ReadUnits
        });
        last.map(ToString::to_string).unwrap_or_default()
    };
    (last(true), last(false))
}

#[test]
fn what_is_applied_is_undone_to_the_byte() {
    let (before, after, mut system) = applied();
    assert_ne!(before, after);
    assert_eq!(planned(&system), Plan::default());
    assert_eq!(states(&system), [State::Applied]);
    assert_eq!(ran(&system), [CHECK, RELOAD, CHECK, RELOAD, READ, START]);
    system.ran.clear();
    run_undo(&mut system).unwrap();
    assert_eq!(ran(&system), [STOP, READ, CHECK, RELOAD, CHECK, RELOAD]);
    assert_eq!(tree(&system), before);
    assert_eq!(states(&system), [State::Applied, State::Undone]);
}

#[test]
fn many_applies_to_one_file_are_undone_one_after_the_other() {
    let table = Utf8Path::new("/etc/postfix/old");
    let rewrite = |system: &mut MemorySystem, text: &str| {
        let before = system.read(table).unwrap();
        let change = FileChange {
            path: table.to_owned(),
            after: Some(File::new(text, 0o644, 0, 0)),
            before,
            nature: Nature::Text,
        };
        let step = Step {
            files: vec![change],
            ..Step::default()
        };
        run(system, &Plan { steps: vec![step] }, None).unwrap();
    };
    let mut system = machine();
    let mut trees = vec![tree(&system)];
    for text in ["1", "2", "3", "4"] {
        rewrite(&mut system, text);
        trees.push(tree(&system));
    }
    trees.pop();
    run_undo(&mut system).unwrap();
    assert_eq!(Some(tree(&system)), trees.pop());
    // What is done after an undo comes before what is older.
    rewrite(&mut system, "5");
    let (applied, undone) = (State::Applied, State::Undone);
    assert_eq!(
        states(&system),
        [applied, applied, undone, applied, applied, applied]
    );
    run_undo(&mut system).unwrap();
    run_undo(&mut system).unwrap();
    for before in trees.iter().rev() {
        assert_eq!(&tree(&system), before);
        run_undo(&mut system).unwrap();
    }
    let history = History::read(&Receipts::new(STATE), &system).unwrap();
    assert!(history.to_undo().is_none());
    assert_eq!(tree(&system), tree(&machine()));
}

#[test]
fn a_folder_that_comes_and_goes_is_undone_as_often() {
    let mut system = machine();
    let mut trees = Vec::new();
    // There and gone and there again: each is the folder's with the table in it.
    for service in [Some("smtp-ipv4"), None, Some("smtp-google")] {
        trees.push(tree(&system));
        let text = service.map(|service| format!("gmail.com {service}:\n"));
        let path = Utf8Path::new("/etc/postfix/mailfix/table");
        let folder = NewDirectory {
            path: "/etc/postfix/mailfix".into(),
            mode: 0o755,
            uid: 0,
            gid: 0,
        };
        let (directories, abandoned) = if text.is_some() {
            (vec![folder], Vec::new())
        } else {
            (Vec::new(), vec![folder])
        };
        let step = Step {
            files: vec![FileChange {
                path: path.to_owned(),
                before: system.read(path).unwrap(),
                after: text.map(|text| File::new(text, 0o644, 0, 0)),
                nature: Nature::Text,
            }],
            directories,
            abandoned,
            ..Step::default()
        };
        run(&mut system, &Plan { steps: vec![step] }, None).unwrap();
    }
    for before in trees.iter().rev() {
        run_undo(&mut system).unwrap();
        assert_eq!(&tree(&system), before);
    }
    assert!(!states(&system).contains(&State::PartlyApplied));
}

#[test]
fn an_empty_plan_touches_nothing() {
    let mut system = machine();
    let whole = system.tree_without("/nothing");
    run(&mut system, &Plan::default(), None).unwrap();
    assert_eq!((system.tree_without("/nothing"), system.calls), (whole, 0));

    let (_, _, mut system) = applied();
    let (whole, calls) = (system.tree_without("/nothing"), system.calls);
    assert_eq!(run_planned(&mut system).unwrap().receipt, None);
    assert_eq!(
        (system.tree_without("/nothing"), system.calls),
        (whole, calls)
    );
}

#[test]
fn wherever_apply_is_killed_undo_brings_every_byte_back() {
    let before = tree(&machine());
    at_every_call(&machine(), run_planned, |fault, mut system, result| {
        if !matches!((fault, &result), (Fault::Fails(_), Err(_))) {
            run_undo(&mut system).unwrap();
        }
        assert_eq!(tree(&system), before, "{fault:?} {result:?}");
        assert!(!states(&system).contains(&State::PartlyApplied));
    });
}

#[test]
fn wherever_apply_is_killed_a_second_one_completes_and_one_undo_suffices() {
    let (before, after, _) = applied();
    at_every_call(&machine(), run_planned, |fault, mut system, _| {
        run_planned(&mut system).unwrap();
        assert_eq!(tree(&system), after, "{fault:?}");
        let told = (RELOAD.to_owned(), START.to_owned());
        assert_eq!(last_ran(&system), told, "{fault:?}");
        run_undo(&mut system).unwrap();
        assert_eq!(tree(&system), before, "{fault:?}");
    });
}

#[test]
fn wherever_undo_is_killed_a_second_one_completes() {
    let (before, after, system) = applied();
    at_every_call(&system, run_undo, |fault, mut system, result| {
        if let Fault::Fails(_) = fault {
            // It brought itself back, or the fault struck outside of its changes.
            let is_done = result.is_ok();
            let wanted = if is_done { &before } else { &after };
            assert_eq!(&tree(&system), wanted, "{fault:?} {result:?}");
        }
        system.ran.clear();
        run_undo(&mut system).unwrap();
        assert_eq!(tree(&system), before, "{fault:?}");
        if result.is_err() {
            assert_eq!(last_ran(&system).0, RELOAD, "{fault:?}");
        }
        assert!(
            History::read(&Receipts::new(STATE), &system)
                .unwrap()
                .to_undo()
                .is_none()
        );
    });
}

#[test]
fn wherever_undo_is_killed_apply_goes_forward_and_one_undo_suffices() {
    let (before, after, system) = applied();
    at_every_call(&system, run_undo, |fault, mut system, _| {
        run_planned(&mut system).unwrap();
        assert_eq!(tree(&system), after, "{fault:?}");
        run_undo(&mut system).unwrap();
        assert_eq!(tree(&system), before, "{fault:?}");
    });
}

#[test]
fn two_kills_in_a_row_are_one_undo_too() {
    let (before, _, _) = applied();
    at_every_call(&machine(), run_planned, |_, first, _| {
        for at in [8, 10, 12, 15] {
            let mut system = first.clone();
            system.calls = 0;
            system.fault = Some(Fault::KilledWithin(at));
            let _ = run_planned(&mut system);
            system.fault = None;
            run_planned(&mut system).unwrap();
            run_undo(&mut system).unwrap();
            assert_eq!(tree(&system), before);
        }
    });
}

#[test]
fn a_full_disk_brings_itself_back() {
    let before = tree(&machine());
    let mut rolled_back = 0;
    at_every_call(&machine(), run_planned, |fault, system, result| {
        if let (Fault::Fails(_), Err(error)) = (fault, result) {
            assert_eq!(tree(&system), before, "{fault:?} {error}");
            assert!(!matches!(error, ApplyError::Stopped { .. }), "{error}");
            rolled_back += usize::from(matches!(error, ApplyError::RolledBack { .. }));
        }
    });
    assert!(rolled_back >= 10, "{rolled_back}");
}

#[test]
fn a_failing_check_is_quoted_and_tells_postfix_of_nothing() {
    let mut system = machine().reply(CHECK, 1, "postfix: fatal: bad numerical configuration\n");
    let before = tree(&system);
    let error = run_planned(&mut system).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`postfix -c /etc/postfix check` failed with status 1: postfix: fatal: bad numerical \
         configuration; everything is as it was before"
    );
    assert_eq!(tree(&system), before);
    assert_eq!(system.ran.len(), 1);
    assert_eq!(states(&system), [State::Undone]);
}

#[test]
fn a_failing_reload_is_brought_back_with_a_reload_of_the_old() {
    let mut system =
        machine()
            .reply(RELOAD, 0, "")
            .reply(RELOAD, 1, "postfix/postfix-script: fatal: no\n");
    let before = tree(&system);
    let error = run_planned(&mut system).unwrap_err();
    assert!(matches!(error, ApplyError::RolledBack { .. }), "{error}");
    assert_eq!(tree(&system), before);
    let ran: Vec<_> = system.ran.iter().map(ToString::to_string).collect();
    assert_eq!(
        ran,
        [CHECK, RELOAD, CHECK, RELOAD, CHECK, RELOAD, CHECK, RELOAD]
    );
}

#[test]
fn a_postfix_that_died_of_the_new_files_is_started_on_the_old() {
    let status = Query::Status {
        config: CONFIG.into(),
    };
    let down = Output {
        status: 1,
        ..Output::default()
    };
    let mut system = machine()
        .answer(status, down)
        .reply(RELOAD, 1, "fatal: not running\n")
        .reply(RELOAD, 1, "fatal: not running\n");
    let before = tree(&system);
    let error = run_planned(&mut system).unwrap_err();
    assert!(matches!(error, ApplyError::RolledBack { .. }), "{error}");
    assert_eq!(tree(&system), before);
    let last = system.ran.last().unwrap().to_string();
    assert_eq!(last, "postfix -c /etc/postfix start");
}

#[test]
fn what_cannot_be_brought_back_says_so_and_undo_finishes_it() {
    let mut system = machine()
        .reply(RELOAD, 1, "new\n")
        .reply(RELOAD, 1, "old\n");
    let before = tree(&system);
    let error = run_planned(&mut system).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`postfix -c /etc/postfix reload` failed with status 1: new; bringing it back stopped: \
         `postfix -c /etc/postfix reload` failed with status 1: old"
    );
    assert_eq!(tree(&system), before);
    system.ran.clear();
    run_undo(&mut system).unwrap();
    assert_eq!(system.ran.last().unwrap().to_string(), RELOAD);
    system.ran.clear();
    run_undo(&mut system).unwrap();
    assert_eq!(system.ran, []);
}

#[test]
fn an_unproven_result_is_brought_back() {
    let mut system = machine();
    let before = tree(&system);
    let plan = planned(&system);
    let now = "2026-11-25T19:30:00Z".parse().unwrap();
    let mut events = Vec::new();
    let error = apply(
        &plan,
        &mut system,
        &options(None),
        now,
        &mut |_| vec![Finding::error("x", "`gmail.com` still goes out over IPv6")],
        &mut |event| events.push(format!("{event:?}")),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the result is not as planned: `gmail.com` still goes out over IPv6; everything is as \
         it was before"
    );
    assert_eq!(tree(&system), before);
    assert!(events.iter().any(|event| event == "Verifying"));
}

#[test]
fn what_does_not_run_is_checked_but_not_reloaded() {
    let mut system = machine();
    let plan = planned(&system);
    let now = "2026-11-25T19:30:00Z".parse().unwrap();
    let stopped = Options {
        running: false,
        ..options(None)
    };
    let mut proof = |_: &dyn System| Vec::new();
    apply(&plan, &mut system, &stopped, now, &mut proof, &mut |_| {}).unwrap();
    assert_eq!(ran(&system), [CHECK, CHECK, READ, START]);
}

#[test]
fn a_job_that_cannot_be_started_brings_all_back() {
    let mut system = machine().reply(START, 1, "Failed to start x.timer\n");
    let before = tree(&system);
    let error = run_planned(&mut system).unwrap_err();
    assert!(matches!(error, ApplyError::RolledBack { .. }), "{error}");
    assert_eq!(tree(&system), before);
    // What never ran cannot be stopped.
    let mut system = machine().reply(STOP, 5, "Unit x.timer not loaded.\n");
    run_planned(&mut system).unwrap();
    run_undo(&mut system).unwrap();
    assert_eq!(tree(&system), before);
}

#[test]
fn a_service_that_fails_both_ways_keeps_no_file_from_coming_back() {
    const RESTART: &str = "service postsrsd restart";
    let mut system = machine()
        .reply(RESTART, 1, "new\n")
        .reply(RESTART, 1, "old\n");
    let before = tree(&system);
    let mut plan = planned(&system);
    let restart = Command::RestartService {
        service: "postsrsd".to_owned(),
    };
    // Between master.cf and main.cf, as the rewriter's step is.
    plan.steps[1].then.push(restart.clone());
    let error = run(&mut system, &plan, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`service postsrsd restart` failed with status 1: new; everything is as it was before, \
         but on the way back `service postsrsd restart` failed with status 1: old"
    );
    let ApplyError::RolledBack { left, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].command, restart);
    assert_eq!(tree(&system), before);
    assert_eq!(
        ran(&system),
        [CHECK, RELOAD, RESTART, RESTART, CHECK, RELOAD]
    );
    assert_eq!(states(&system), [State::Undone]);
    system.ran.clear();
    run_undo(&mut system).unwrap();
    assert_eq!(system.ran, []);
}

#[test]
fn a_stale_plan_is_refused_before_anything_is_written() {
    let mut system = machine();
    let plan = planned(&system);
    let edited = File::new("edited", 0o644, 0, 0);
    system
        .write("/etc/postfix/master.cf".into(), &edited)
        .unwrap();
    system.remove("/etc/postfix/old".into()).unwrap();
    let before = tree(&system);
    let error = run(&mut system, &plan, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan is out of date: `/etc/postfix/master.cf` was changed after the plan was made; \
         `/etc/postfix/old` was removed after the plan was made"
    );
    assert_eq!((tree(&system), states(&system)), (before, vec![]));
}

#[test]
fn a_second_mailfix_is_kept_out() {
    let mut system = machine();
    system.locked = true;
    let error = run_planned(&mut system).unwrap_err();
    assert_eq!(
        error.to_string(),
        "another mailfix is at work (it holds `/var/lib/mailfix/lock`)"
    );
}

fn drifted() -> (MemorySystem, History) {
    let (_, _, mut system) = applied();
    let edited = File::new("edited", 0o644, 0, 0);
    system
        .write("/etc/postfix/mailfix/transport".into(), &edited)
        .unwrap();
    let history = History::read(&Receipts::new(STATE), &system).unwrap();
    (system, history)
}

#[test]
fn drift_is_named_and_refused() {
    let (system, history) = drifted();
    assert_eq!(history.past[0].state, State::Drifted);
    let receipt = history.to_undo().unwrap();
    let error = undo(receipt, &history, &Choice::default(), &system).unwrap_err();
    assert_eq!(
        error.to_string(),
        "changed since `20261125T193000Z` was applied: `/etc/postfix/mailfix/transport`"
    );
}

#[test]
fn drift_is_overwritten_only_when_forced() {
    let (mut system, history) = drifted();
    let receipt = history.to_undo().unwrap();
    let choice = Choice {
        force: vec!["/etc/postfix/mailfix/transport".into()],
        ..Choice::default()
    };
    let plan = undo(receipt, &history, &choice, &system).unwrap();
    run(&mut system, &plan, Some(receipt.id.clone())).unwrap();
    assert_eq!(tree(&system), tree(&machine()));
}

#[test]
fn one_file_can_be_undone_alone() {
    let (mut system, history) = drifted();
    let receipt = history.to_undo().unwrap();
    let choice = Choice {
        only: vec!["/etc/postfix/main.cf".into()],
        ..Choice::default()
    };
    let plan = undo(receipt, &history, &choice, &system).unwrap();
    assert_eq!(plan.changes().count(), 1);
    run(&mut system, &plan, Some(receipt.id.clone())).unwrap();
    assert_eq!(
        system.read("/srv/main.cf".into()).unwrap(),
        machine().read("/srv/main.cf".into()).unwrap()
    );
    let choice = Choice {
        only: vec!["/etc/passwd".into()],
        ..Choice::default()
    };
    let error = undo(receipt, &history, &choice, &system).unwrap_err();
    assert!(matches!(error, UndoError::NotInReceipt { .. }), "{error}");
}

#[test]
fn an_index_built_anew_is_no_drift() {
    let (before, _, mut system) = applied();
    let rebuilt = File::new("built anew", 0o644, 0, 0);
    system
        .write("/etc/postfix/mailfix/transport.db".into(), &rebuilt)
        .unwrap();
    run_undo(&mut system).unwrap();
    assert_eq!(tree(&system), before);
}

#[test]
fn a_directory_with_a_strangers_file_stays() {
    let (_, _, system) = applied();
    let mut system = system.file("/etc/postfix/mailfix/keys/theirs", "");
    run_undo(&mut system).unwrap();
    assert!(
        system
            .read("/etc/postfix/mailfix/keys/theirs".into())
            .unwrap()
            .is_some()
    );
    assert!(
        system
            .read("/etc/postfix/mailfix/keys/key".into())
            .unwrap()
            .is_none()
    );
    let history = History::read(&Receipts::new(STATE), &system).unwrap();
    assert!(history.to_undo().is_none());
}

#[test]
fn an_undo_can_be_undone() {
    let (before, after, mut system) = applied();
    run_undo(&mut system).unwrap();
    let history = History::read(&Receipts::new(STATE), &system).unwrap();
    let undone = &history.past[0].receipt;
    let plan = undo(undone, &history, &Choice::default(), &system);
    // What comes after an undo is the content from before, which the undo's receipt has whole.
    run(&mut system, &plan.unwrap(), Some(undone.id.clone())).unwrap();
    assert_eq!(tree(&system), after);
    assert_eq!(states(&system).last(), Some(&State::Applied));
    run_undo(&mut system).unwrap();
    assert_eq!(tree(&system), before);
}

#[test]
fn later_changes_are_undone_first() {
    let (before, after, mut system) = applied();
    let change = FileChange {
        path: "/etc/postfix/main.cf".into(),
        before: system.read("/etc/postfix/main.cf".into()).unwrap(),
        after: Some(File::new("later", 0o640, 3, 4)),
        nature: Nature::Text,
    };
    let step = Step {
        files: vec![change],
        ..Step::default()
    };
    run(&mut system, &Plan { steps: vec![step] }, None).unwrap();
    let history = History::read(&Receipts::new(STATE), &system).unwrap();
    assert_eq!(states(&system), [State::Applied, State::Applied]);
    let error = undo(
        &history.past[1].receipt,
        &history,
        &Choice::default(),
        &system,
    );
    let Err(UndoError::Drift { drift, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(drift[0].later.as_deref(), Some("20261125T193000Z-2"));
    run_undo(&mut system).unwrap();
    assert_eq!(tree(&system), after);
    run_undo(&mut system).unwrap();
    assert_eq!(tree(&system), before);
}
