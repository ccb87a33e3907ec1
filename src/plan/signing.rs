//! The step that has a signer sign.
//!
//! Must not know why it shall.

use camino::Utf8Path;

use super::{FileChange, Nature, NewDirectory, ReadFile, Step};
use crate::host::{Facts, Files, SignerFacts, Starts};
use crate::mail::dkim::PrivateKey;
use crate::system::{Command, File};
use crate::target::{KeyWanted, SigningWanted, Target};

/// Permission bits of directories and tables, which anybody may read.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Permission bits of a key: nobody reads it but the signer.
const KEY_MODE: u32 = 0o600;

/// Writes keys, tables and words, and has the signer take them up; or starts it, if that is all.
pub(super) fn step(target: &Target, facts: &Facts, files: &Files) -> Option<Step> {
    let wanted = target.signing.as_ref()?;
    let seen = facts.signing.as_ref()?.of(&wanted.signer.id)?;
    let mut step = Step::default();
    for key in &wanted.keys {
        copy_key(&mut step, key, wanted, files);
    }
    for ((path, _), text) in wanted.signer.files().zip(&wanted.texts) {
        write(&mut step, path, text.as_bytes().to_vec(), files);
    }
    let moved = set_words(&mut step, wanted, files);
    make_directories(&mut step, files);
    let is_changed = !step.files.is_empty();
    step.then = commands(wanted, seen, is_changed, moved);
    if step.is_empty() {
        return None;
    }
    let title = &wanted.signer.title;
    step.title = if is_changed {
        format!("{title}: what it signs, and its own copy of the key")
    } else {
        format!("{title}, which does not run")
    };
    Some(step)
}

fn copy_key(step: &mut Step, key: &KeyWanted, wanted: &SigningWanted, files: &Files) {
    let Some(source) = files.get(&key.from) else {
        return;
    };
    let bytes = if key.in_base64 {
        let read = PrivateKey::from_pem(&source.bytes).ok();
        let text = read.and_then(|key| key.to_base64());
        text.map(|text| format!("{}\n", text.as_str()).into_bytes())
    } else {
        Some(source.bytes.clone())
    };
    let (uid, gid) = wanted.owner;
    let after = File::new(bytes.unwrap_or_default(), KEY_MODE, uid, gid);
    let before = files.get(&key.to).cloned();
    if before.as_ref().is_some_and(|before| before.is_same(&after)) {
        return;
    }
    step.read.push(ReadFile {
        path: key.from.clone(),
        sha256: source.digest(),
    });
    step.files.push(FileChange {
        path: key.to.clone(),
        before,
        after: Some(after),
        nature: Nature::Secret,
    });
}

/// A file keeps the owner and mode it has.
fn write(step: &mut Step, path: &Utf8Path, bytes: Vec<u8>, files: &Files) {
    let before = files.get(path);
    if before.is_some_and(|before| before.bytes == bytes) {
        return;
    }
    let after = match before {
        Some(before) => File {
            bytes,
            ..before.clone()
        },
        None => File::new(bytes, FILE_MODE, 0, 0),
    };
    step.files.push(FileChange {
        path: path.to_owned(),
        before: before.cloned(),
        after: Some(after),
        nature: Nature::Text,
    });
}

/// Sets words in the administrator's file; tells whether the signer listens elsewhere then.
fn set_words(step: &mut Step, wanted: &SigningWanted, files: &Files) -> bool {
    let Some(conf) = &wanted.signer.conf else {
        return false;
    };
    let socket = &wanted.signer.socket;
    let before = files.get(&conf.path).map(|file| file.bytes.as_slice());
    // Bytes that are no UTF-8 would not survive.
    let Ok(mut text) = String::from_utf8(before.unwrap_or_default().to_vec()) else {
        return false;
    };
    let mut moved = false;
    for (name, value) in &wanted.words {
        if socket.syntax.values(&text, name).last() != Some(value) {
            text = socket.syntax.set(&text, name, value);
            moved |= *name == socket.key;
        }
    }
    write(step, &conf.path, text.into_bytes(), files);
    moved
}

fn make_directories(step: &mut Step, files: &Files) {
    let mut missing: Vec<&Utf8Path> = step
        .files
        .iter()
        .flat_map(|change| change.path.ancestors().skip(1))
        .filter(|above| !files.has_directory(above))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    step.directories = missing
        .into_iter()
        .map(|path| NewDirectory {
            path: path.to_owned(),
            mode: DIRECTORY_MODE,
            uid: 0,
            gid: 0,
        })
        .collect();
}

/// What is run: where nobody can be told anything, nothing.
fn commands(
    wanted: &SigningWanted,
    seen: &SignerFacts,
    is_changed: bool,
    moved: bool,
) -> Vec<Command> {
    let (Some(starts), Some(runs)) = (seen.starts, seen.runs) else {
        return Vec::new();
    };
    if runs && !is_changed {
        return Vec::new();
    }
    let unit = || wanted.signer.unit.clone();
    let service = || wanted.signer.service.clone();
    let mut commands = Vec::new();
    if is_changed {
        commands.push(Command::CheckMilter {
            words: wanted.signer.check.clone(),
        });
    }
    // While Postfix hands it mail it is not to be away.
    let stays = wanted.in_use && !moved;
    commands.push(match (starts, runs) {
        (Starts::Systemd, false) => Command::StartUnit { unit: unit() },
        (Starts::Systemd, true) if stays => Command::ReloadUnit { unit: unit() },
        (Starts::Systemd, true) => Command::RestartUnit { unit: unit() },
        (Starts::Service, false) => Command::StartService { service: service() },
        (Starts::Service, true) if stays => Command::ReloadService { service: service() },
        (Starts::Service, true) => Command::RestartService { service: service() },
    });
    if seen.enabled == Some(false) {
        commands.push(Command::EnableUnit { unit: unit() });
    }
    commands.push(Command::AwaitMilter {
        milter: wanted.milter.to_string(),
    });
    commands
}
