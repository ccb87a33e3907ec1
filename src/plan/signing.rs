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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::host::{Host, Signing, example};
    use crate::mail::dkim::Algorithm;
    use crate::postfix::Milter;
    use crate::signer::Signer;

    const KEY: &str = "/etc/mailfix/dkim/mail.private";
    const CONF: &str = "Socket local:/run/opendkim/opendkim.sock\n";

    /// A host on which OpenDKIM runs, or does not, with its file as the package has it.
    fn host(runs: bool) -> Host {
        let mut host = example::host("3.7.11", "", "");
        let signer = Signer::named("opendkim").unwrap();
        let pem = PrivateKey::generate(Algorithm::Rsa).unwrap();
        let pem = pem.to_pem().unwrap();
        let files = &mut host.files;
        files.insert(KEY, Some(File::new(pem.as_bytes(), 0o600, 0, 0)));
        files.insert("/etc/opendkim.conf", Some(File::new(CONF, 0o640, 0, 7)));
        for directory in ["/", "/etc"] {
            files.insert_directory(directory, example::directory(directory));
        }
        host.facts.signing = Some(Signing {
            signers: vec![SignerFacts {
                signer,
                installed: true,
                owner: Some((105, 109)),
                socket: None,
                said: BTreeMap::new(),
                foreign: BTreeSet::new(),
                in_the_way: BTreeSet::new(),
                unread: None,
                starts: Some(Starts::Systemd),
                runs: Some(runs),
                enabled: Some(runs),
            }],
            keys: BTreeMap::new(),
        });
        host
    }

    fn target(in_use: bool, words: &[(&str, &str)]) -> Target {
        let signer = Signer::named("opendkim").unwrap();
        let words = words
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Target {
            signing: Some(SigningWanted {
                keys: vec![KeyWanted {
                    from: KEY.into(),
                    to: signer.key_file("mail"),
                    in_base64: false,
                }],
                texts: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
                words: words.collect(),
                milter: Milter::parse("inet:127.0.0.1:8891").unwrap(),
                owner: (105, 109),
                in_use,
                signer,
            }),
            ..Target::default()
        }
    }

    /// The commands of the step, and those of its inverse.
    fn commands_of(step: &Step) -> (Vec<String>, Vec<String>) {
        let words = |step: &Step| step.then.iter().map(ToString::to_string).collect();
        (words(step), words(&step.inverse()))
    }

    const MOVED: [(&str, &str); 1] = [("Socket", "inet:8891@127.0.0.1")];

    #[test]
    fn everything_is_written_before_the_signer_is_told() {
        let host = host(false);
        let step = step(&target(false, &MOVED), &host.facts, &host.files).unwrap();
        let made: Vec<&str> = step
            .directories
            .iter()
            .map(|new| new.path.as_str())
            .collect();
        assert_eq!(made, ["/etc/opendkim", "/etc/opendkim/mailfix"]);
        let key = &step.files[0];
        let after = key.after.as_ref().unwrap();
        assert_eq!((after.mode, after.uid, after.gid), (0o600, 105, 109));
        assert_eq!(key.nature, Nature::Secret);
        assert_eq!(step.read[0].path, KEY);
        let conf = step.files.last().unwrap().after.as_ref().unwrap();
        assert_eq!(conf.bytes, b"Socket inet:8891@127.0.0.1\n");
        assert_eq!((conf.mode, conf.gid), (0o640, 7));
        let (forward, back) = commands_of(&step);
        assert_eq!(
            forward,
            [
                "opendkim -n -x /etc/opendkim.conf",
                "systemctl start opendkim.service",
                "systemctl enable opendkim.service",
                "wait for the milter inet:127.0.0.1:8891",
            ]
        );
        assert_eq!(
            back,
            [
                "systemctl disable opendkim.service",
                "systemctl stop opendkim.service",
            ]
        );
    }

    #[test]
    fn a_signer_that_is_in_use_is_not_away_for_a_moment() {
        let host = host(true);
        let told = |target: &Target| {
            let step = step(target, &host.facts, &host.files).unwrap();
            commands_of(&step).0[1].clone()
        };
        assert_eq!(
            told(&target(true, &[])),
            "systemctl reload opendkim.service"
        );
        assert_eq!(
            told(&target(false, &[])),
            "systemctl restart opendkim.service"
        );
        // Only a new start takes up another socket.
        assert_eq!(
            told(&target(true, &MOVED)),
            "systemctl restart opendkim.service"
        );
    }

    #[test]
    fn what_stands_as_it_should_is_left_and_what_has_ended_is_started() {
        let mut host = host(true);
        let wanted = target(true, &[]);
        let first = step(&wanted, &host.facts, &host.files).unwrap();
        for change in first.files {
            host.files.insert(change.path, change.after);
        }
        assert_eq!(step(&wanted, &host.facts, &host.files), None);
        host.facts.signing.as_mut().unwrap().signers[0].runs = Some(false);
        let again = step(&wanted, &host.facts, &host.files).unwrap();
        assert_eq!(again.title, "OpenDKIM, which does not run");
        assert!(again.files.is_empty());
        // Of a tree nothing is told.
        host.facts.signing.as_mut().unwrap().signers[0].starts = None;
        assert_eq!(step(&wanted, &host.facts, &host.files), None);
    }
}
