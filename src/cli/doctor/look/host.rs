//! The looks at Postfix itself: each instance's configuration, and what waits in its queue.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::Looking;
use crate::cli::Failure;
use crate::cli::prepare::Wished;
use crate::diagnose::Knowledge;
use crate::doctor::By;
use crate::doctor::configuration::{self, Checked};
use crate::doctor::queue::{self, Queue};
use crate::draft::DraftError;
use crate::finding::Finding;
use crate::host::{Facts, Running};
use crate::profile::Profile;
use crate::system::Query;

impl Looking<'_> {
    /// The configurations of all of this machine's Postfix; those that could be read are given.
    pub(super) fn configurations(
        &mut self,
        profile: &Profile,
        wished: Option<&Wished>,
    ) -> Result<Vec<Facts>, Failure> {
        let first = self.session.config_directory(profile)?;
        self.session.note_config(profile, &first);
        let mut left = vec![first];
        let mut done: BTreeSet<Utf8PathBuf> = BTreeSet::new();
        let mut instances = Vec::new();
        while let Some(config) = left.pop() {
            if !done.insert(config.clone()) {
                continue;
            }
            let is_first = done.len() == 1;
            let Some(checked) = self.checked(profile, &config, wished, is_first) else {
                continue;
            };
            self.looked.at.configurations.push(config.clone());
            self.looked.at.postfix_check |= checked.checked;
            self.found(By::Host, checked.findings);
            let Some(host) = checked.host else {
                self.looked.at.unreadable.push(config.clone());
                self.found(By::Host, self.stopped_unasked(&config)?);
                continue;
            };
            // Another instance may be left off on purpose, and nothing here says so.
            if is_first {
                self.found(
                    By::Host,
                    configuration::stopped(host.facts.running, &config),
                );
            }
            let system = self.session.system.as_ref();
            let changed = configuration::changed(system, &host.facts)?;
            let changed = changed.and_then(|at| Timestamp::from_second(at).ok());
            self.standing.changed = self.standing.changed.max(changed.map(Self::local));
            left.extend(host.facts.instances.iter().rev().cloned());
            instances.push(host.facts);
        }
        if !self.looked.at.postfix_check && !self.looked.at.configurations.is_empty() {
            if self.session.system.root().is_some() {
                self.looked
                    .skip("postfix-check", "it is not run for a tree");
            } else if self.session.system.is_root() {
                let why = "Postfix's programs cannot read these files";
                self.looked.skip("postfix-check", why);
            } else {
                self.looked.miss("postfix-check", "only root may run it");
            }
        }
        Ok(instances)
    }

    /// What the checks of one configuration show; a fault that leaves nothing to check is a
    /// finding, and what only we cannot look at is said.
    fn checked(
        &mut self,
        profile: &Profile,
        config: &Utf8Path,
        wished: Option<&Wished>,
        is_first: bool,
    ) -> Option<Checked> {
        let site = wished.map(|wished| wished.wish().site);
        let system = self.session.system.as_ref();
        let error = match configuration::look(system, profile, config, site) {
            Ok(checked) => return Some(checked),
            Err(error) => error,
        };
        if let DraftError::Host(fault) = &error
            && let Some(fault) = configuration::fault(fault, config, is_first)
        {
            self.found(By::Host, [fault]);
        } else {
            self.looked.miss("host", error.to_string());
        }
        None
    }

    /// Whether Postfix runs, where nobody can read its configuration.
    fn stopped_unasked(&self, config: &Utf8Path) -> Result<Option<Finding>, Failure> {
        let system = self.session.system.as_ref();
        let running = crate::host::running_unasked(system, config)?;
        Ok(configuration::stopped(running, config))
    }

    /// What waits.
    pub(super) fn queue(&mut self, facts: &Facts, knowledge: &Knowledge) {
        match facts.running {
            // What is asked then writes to the log that nobody answers.
            Running::No => return self.looked.skip("queue", "Postfix does not run"),
            Running::Unknown if self.session.system.root().is_some() => {
                return self.looked.skip("queue", "it is not asked for a tree");
            }
            Running::Yes(_) | Running::Unknown => {}
        }
        let query = Query::Queue {
            config: facts.config.clone(),
        };
        // Thousands of messages take their time.
        let waiting = self.session.waiting();
        if let Some(waiting) = &waiting {
            waiting.say("reading the queue".to_owned());
        }
        let answer = self.session.system.query(&query);
        drop(waiting);
        let listing = match answer {
            Ok(output) if output.success() => output.text(),
            Ok(output) => {
                let why = output.errors();
                return self.looked.miss("queue", why.trim().to_owned());
            }
            Err(error) => return self.looked.miss("queue", error.to_string()),
        };
        let now = Self::local(self.session.now);
        let Queue {
            messages,
            witnesses,
        } = queue::read(&listing, now, knowledge, self.mask.as_mut());
        *self.looked.at.queue.get_or_insert(0) += messages;
        self.witnesses.extend(witnesses);
    }
}
