//! The step about a program that rewrites senders: its settings, and that it runs by them.
//!
//! Must not know why it is wanted.

use super::{FileChange, Nature, Step};
use crate::host::{Facts, Files, Origin};
use crate::system::{Command, File};
use crate::target::Target;

/// Sets it up. It comes before main.cf names its tables: while they do not answer, mail waits.
pub(super) fn step(target: &Target, facts: &Facts, files: &Files) -> Option<Step> {
    let wanted = target.rewriter.as_ref()?;
    let rewriter = &wanted.rewriter;
    let before = files.get(&rewriter.config)?;
    let mut bytes = before.bytes.clone();
    for (name, words, is_list) in &wanted.words {
        bytes = rewriter.set(&bytes, name, words, *is_list);
    }
    let mut step = Step {
        title: format!("{}: its settings, and that it runs", rewriter.title),
        ..Step::default()
    };
    if bytes != before.bytes {
        let after = File {
            bytes,
            ..before.clone()
        };
        step.files.push(FileChange {
            path: rewriter.config.clone(),
            before: Some(before.clone()),
            after: Some(after),
            nature: Nature::Text,
        });
    }
    if facts.origin == Origin::Machine {
        if wanted.is_new || !step.files.is_empty() {
            step.then.push(Command::RestartService {
                service: rewriter.service.clone(),
            });
        }
        let seen = facts.forwarding.as_ref();
        let installed = seen.and_then(|seen| seen.installed.as_ref());
        // After the next boot no mail would be taken.
        if installed.is_some_and(|installed| installed.enabled == Some(false)) {
            step.then.push(Command::EnableUnit {
                unit: rewriter.unit.clone(),
            });
        }
    }
    (!step.is_empty()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Forwarding, Installed, example};
    use crate::remedy::srs::RewriterWanted;
    use crate::rewriter::Rewriter;

    /// The file as it will be, and what is run.
    fn planned(text: &str, is_new: bool, origin: Origin) -> Option<(Option<String>, Vec<String>)> {
        planned_where(text, is_new, origin, None)
    }

    fn planned_where(
        text: &str,
        is_new: bool,
        origin: Origin,
        enabled: Option<bool>,
    ) -> Option<(Option<String>, Vec<String>)> {
        let rewriter = Rewriter::all().remove(0);
        let mut host = example::host("3.7.11", "", "");
        host.facts.origin = origin;
        let installed = Installed {
            rewriter: rewriter.clone(),
            domain: Ok(None),
            exempt: Ok(Vec::new()),
            exempt_file: None,
            tables: Err(String::new()),
            enabled,
        };
        host.facts.forwarding = Some(Forwarding {
            installed: Some(installed),
            ..Forwarding::default()
        });
        let file = File::new(text, 0o640, 0, 7);
        host.files.insert(rewriter.config.clone(), Some(file));
        let words = vec![("SRS_DOMAIN".to_owned(), vec!["a.example".to_owned()], false)];
        let target = Target {
            rewriter: Some(RewriterWanted {
                rewriter,
                words,
                is_new,
            }),
            ..Target::default()
        };
        let step = step(&target, &host.facts, &host.files)?;
        let file = step.files.first().and_then(|change| change.after.as_ref());
        if let Some(file) = file {
            assert_eq!((file.mode, file.gid), (0o640, 7));
        }
        let text = file.map(|file| String::from_utf8(file.bytes.clone()).unwrap());
        Some((text, step.then.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn it_is_started_anew_when_its_settings_change_or_it_is_newly_asked() {
        let line = "SRS_DOMAIN=a.example\n".to_owned();
        let run = || vec!["service postsrsd restart".to_owned()];
        let machine = Origin::Machine;
        assert_eq!(
            planned("SRS_DOMAIN=b\n", false, machine),
            Some((Some(line.clone()), run()))
        );
        assert_eq!(planned(&line, true, machine), Some((None, run())));
        assert_eq!(planned(&line, false, machine), None);
        // In a tree nothing runs.
        let tree = planned("", true, Origin::Tree);
        assert_eq!(tree, Some((Some(line), Vec::new())));
    }

    #[test]
    fn it_is_started_at_every_boot_where_systemd_would_not() {
        let line = "SRS_DOMAIN=a.example\n";
        let machine = Origin::Machine;
        let commands = |is_new, origin, enabled| {
            let planned = planned_where(line, is_new, origin, enabled);
            planned.map(|(_, commands)| commands)
        };
        let enable = "systemctl enable postsrsd.service".to_owned();
        let restart = "service postsrsd restart".to_owned();
        assert_eq!(
            commands(true, machine, Some(false)),
            Some(vec![restart.clone(), enable.clone()])
        );
        assert_eq!(commands(false, machine, Some(false)), Some(vec![enable]));
        assert_eq!(commands(false, machine, Some(true)), None);
        assert_eq!(commands(true, machine, Some(true)), Some(vec![restart]));
        assert_eq!(commands(false, Origin::Tree, Some(false)), None);
    }
}
