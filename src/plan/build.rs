//! Target and files make a plan.
//!
//! Owns the order: `master.cf`, then tables, then `main.cf`, so that whatever is named
//! exists first and Postfix can run after every step. Turned round, it is the safe undo.
//! Must not know why the target is as it is.

use camino::Utf8Path;

use super::{FileChange, Nature, NewDirectory, Plan, Step};
use crate::host::{Facts, Files, Running};
use crate::postfix::{EditError, MainCf, MasterCf};
use crate::system::{Command, File};
use crate::target::{Ensure, ServiceWanted, Setting, TableWanted, Target};

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
    let mut document = MasterCf::parse(&before.bytes);
    for service in &target.services {
        ensure_service(&mut document, service).map_err(|source| BuildError::Edit {
            path: path.clone(),
            source,
        })?;
    }
    let names: Vec<&str> = target
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    push_edit(
        &mut plan,
        &path,
        before,
        document.to_bytes(),
        &commands,
        || format!("master.cf: the service `{}`", names.join("`, `")),
    );

    let main_path = facts.config.join("main.cf");
    let main_before = present(files, &main_path)?;
    let tables = tables(target, facts, files, main_before);
    if !tables.is_empty() {
        plan.steps.push(tables);
    }

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
            let mut names: Vec<&str> = target.settings.iter().map(name_of).collect();
            names.dedup();
            format!("main.cf: `{}`", names.join("`, `"))
        },
    );
    Ok(plan)
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
    let at = usize::from(plan.steps.first().is_some_and(|step| {
        step.files
            .iter()
            .any(|change| change.path.file_name() == Some("master.cf"))
    }));
    let step = Step {
        title: format!("the index of `{source}`"),
        files: vec![index],
        ..Step::default()
    };
    plan.steps.insert(at, step);
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

fn name_of(setting: &Setting) -> &str {
    match setting {
        Setting::Is { name, .. } | Setting::Has { name, .. } | Setting::Unset { name } => name,
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
        Setting::Unset { name } => {
            document.unset(name);
            Ok(())
        }
    }
}
