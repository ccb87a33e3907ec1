//! All the looks, one after the other, and what could not be looked at.
//!
//! A look that fails keeps none of the others from being taken: it is said with what it lacks.

mod host;
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Doctor;
use super::news::Sendmail;
use crate::cli::logs::measure;
use crate::cli::moment::Moment;
use crate::cli::prepare::Wished;
use crate::cli::{Failure, FailureKind, Session};
use crate::diagnose::log::Options;
use crate::diagnose::{self, Knowledge};
use crate::doctor::applies::{self, Applies};
use crate::doctor::port25::Attempt;
use crate::doctor::{By, Standing, Trouble, Witness, rank};
use crate::doctor::{configuration, log};
use crate::draft::Draft;
use crate::finding::{Finding, Severity};
use crate::host::Facts;
use crate::mask::Mask;
use crate::profile::Profile;
use crate::receipt::Receipts;
use crate::stats::{Source, Span, Stamp};
use crate::target::ipv6_sources;

/// What was found, and what was looked at for it.
#[derive(Debug, Default)]
pub struct Looked {
    /// What is wrong, ranked.
    pub troubles: Vec<Trouble>,
    /// What the log tells from before the last change, and nothing else does.
    pub past: Vec<Witness>,
    /// Whether DNS did not answer something.
    pub is_unasked: bool,
    /// What was looked at.
    pub at: At,
    /// What was not.
    pub skipped: Vec<Skipped>,
    /// By what a letter could be sent.
    pub sendmail: Option<Sendmail>,
}

/// What was looked at.
#[derive(Debug, Default, Serialize)]
pub struct At {
    /// The configuration directories.
    pub configurations: Vec<Utf8PathBuf>,
    /// Those that Postfix itself cannot read: their syntax alone was checked.
    pub unreadable: Vec<Utf8PathBuf>,
    /// How many checks each of the others was given.
    pub checks: usize,
    /// Whether Postfix's own check was among them.
    pub postfix_check: bool,
    /// How many addresses DNS was asked about; none where it was not.
    pub addresses: Option<usize>,
    /// How many domains.
    pub domains: Option<usize>,
    /// The log; none where there is no log that could be read.
    pub log: Option<LogRead>,
    /// How many messages wait; none where nobody could say.
    pub queue: Option<usize>,
    /// How many applies there are that nobody has taken back.
    pub applies: usize,
    /// Whether there is a site file whose plan was made.
    pub plan: bool,
    /// The connections that were tried.
    pub port25: Vec<Attempt>,
}

/// What of the log was read.
#[derive(Debug, Serialize)]
pub struct LogRead {
    /// From when on.
    pub since: String,
    /// The time of its last line; none where it is not known without unpacking.
    pub last: Option<String>,
    /// How many lines, those of before among them where a file has both.
    pub lines: u64,
}

/// What was not looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What.
    pub what: &'static str,
    /// Why not.
    pub why: String,
    /// Whether it should have been possible, so that something wrong may be hidden there.
    pub failed: bool,
}

/// What the looks share.
struct Looking<'a> {
    session: &'a mut Session,
    looked: Looked,
    witnesses: Vec<Witness>,
    standing: Standing,
    /// Where nobody's address is to be shown. Each text is masked once.
    mask: Option<Mask>,
}

/// When the last line of any log was written, as far as that is known.
fn last_line(sources: &[Source]) -> io::Result<Option<Stamp>> {
    let mut last = None;
    for source in sources {
        last = last.max(source.last_line()?);
    }
    Ok(last)
}

/// Takes all the looks.
pub fn look(session: &mut Session, command: &Doctor) -> Result<Looked, Failure> {
    let (wished, site_path) = match session.site_with_path() {
        Ok((site, chosen, path)) => (Some(Wished::new(site, chosen.profile, None)), Some(path)),
        Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
            (None, None)
        }
        Err(failure) => return Err(failure),
    };
    let profile = match &wished {
        Some(wished) => wished.profile.clone(),
        None => session.choose_profile(None)?.profile,
    };
    let knowledge = Knowledge::new(session.catalogue()?);
    let standing = Standing {
        has_site: wished.is_some(),
        now: Some(Looking::local(session.now)),
        options: session.common.paths(),
        ..Standing::default()
    };
    let mut looking = Looking {
        session,
        looked: Looked::default(),
        witnesses: Vec::new(),
        standing,
        mask: command.mask.then(Mask::new),
    };
    looking.looked.at.checks = configuration::checks();
    let instances = looking.configurations(&profile, wished.as_ref())?;
    looking.session.observed.clone_from(&instances);
    for facts in &instances {
        looking.queue(facts, &knowledge);
    }
    let draft = looking.plan(wished.as_ref(), &instances);
    looking.receipts(draft.as_ref(), site_path.as_deref(), &profile)?;
    let routes = draft.map(|draft| draft.host.facts.own.transport);
    let routes = routes.unwrap_or_default();
    looking.log(command.since, &knowledge, &instances, &routes);
    looking.dns(!instances.is_empty())?;
    if let Some(host) = &command.port25 {
        looking.port25(host, command.patience(), &instances)?;
    }
    looking.standing.config = match instances.as_slice() {
        [only] => Some(only.config.clone()),
        _ => None,
    };
    looking.looked.sendmail = instances.first().map(|facts| Sendmail {
        path: facts.parameters.get("sendmail_path").into(),
        config: facts.config.clone(),
        host: facts.parameters.get("myhostname"),
    });
    let Looking {
        mut looked,
        witnesses,
        standing,
        ..
    } = looking;
    let found = rank(witnesses, &standing, knowledge.causes());
    looked.troubles = found.troubles;
    looked.past = found.past;
    Ok(looked)
}

impl Looking<'_> {
    fn found(&mut self, by: By, findings: impl IntoIterator<Item = Finding>) {
        for mut finding in findings {
            if let Some(mask) = &mut self.mask {
                let texts = [&mut finding.title].into_iter();
                for text in texts.chain(&mut finding.why).chain(&mut finding.fix) {
                    *text = mask.text(text);
                }
            }
            self.witnesses.push(Witness::of(by, finding));
        }
    }

    /// The time of this machine.
    fn local(moment: Timestamp) -> DateTime {
        moment.to_zoned(TimeZone::system()).datetime()
    }

    /// What the mail log tells of the last days.
    fn log(
        &mut self,
        since: Moment,
        knowledge: &Knowledge,
        instances: &[Facts],
        routes: &BTreeMap<String, String>,
    ) {
        let now = self.session.now;
        let sources = match self.session.logs(&[], Some(since)) {
            Ok(sources) => sources,
            Err(failure) => return self.looked.miss("log", failure.message),
        };
        let since = since.stamp(now);
        let last = match last_line(&sources) {
            Ok(last) => last,
            Err(error) => return self.looked.miss("log", error.to_string()),
        };
        // What is packed ends when it ends.
        let is_plain = sources
            .iter()
            .all(|source| matches!(source, Source::File(_)));
        if is_plain && last.is_none_or(|last| last < since) {
            let why = last.map_or_else(
                || "it is empty".to_owned(),
                |last| format!("its last line is of {last}"),
            );
            return self.looked.miss("log", why);
        }
        let options = Options {
            span: Span {
                since: Some(since),
                until: None,
            },
            recipients: false,
        };
        let progress = self.session.progress(measure(&sources));
        let read = diagnose::log::read(&sources, knowledge, options, &|count| progress.more(count));
        drop(progress);
        match read {
            Ok(mut report) => {
                if let Some(mask) = &mut self.mask {
                    report.mask(mask);
                }
                self.looked.at.log = Some(LogRead {
                    since: since.to_string(),
                    last: last.map(|last| last.to_string()),
                    lines: report.lines,
                });
                self.witnesses
                    .extend(log::witnesses(&report, knowledge, instances, routes));
            }
            Err(error) => self.looked.miss("log", error.to_string()),
        }
    }

    /// What the site file wishes for and is not so.
    fn plan(&mut self, wished: Option<&Wished>, instances: &[Facts]) -> Option<Draft> {
        let Some(wished) = wished else {
            self.looked.skip("plan", "there is no site file");
            return None;
        };
        if instances.is_empty() {
            return None;
        }
        let draft = match self.session.draft(&wished.wish()) {
            Ok(draft) => draft,
            Err(failure) => {
                self.looked.miss("plan", failure.message);
                return None;
            }
        };
        self.looked.at.plan = true;
        self.standing.is_pending = !draft.is_empty() && draft.refusals.is_empty();
        if !draft.target.remedies.is_empty() {
            let outcomes = draft.target.decisions.iter();
            self.standing.cure = outcomes
                .filter(|decision| decision.outcome != "keep IPv6")
                .map(|decision| format!("{}: {}", decision.about, decision.outcome))
                .next();
        }
        // A site file may leave IPv6 out altogether.
        if let Some(facts) = instances.first()
            && let Err(why) = ipv6_sources(wished.wish().site, facts)
        {
            self.standing.cure.get_or_insert(why);
        }
        if self.standing.is_pending {
            let steps: Vec<&str> = draft
                .plan
                .steps
                .iter()
                .filter(|step| !step.is_empty())
                .map(|step| step.title.as_str())
                .collect();
            let finding = Finding::note(
                "plan-pending",
                format!(
                    "what the site file asks for is not so yet: {}",
                    steps.join("; ")
                ),
            )
            .mend(format!(
                "`{}` shows it",
                self.session.common.command("plan")
            ));
            self.found(By::Plan, [finding]);
        } else if !draft.refusals.is_empty() {
            let refused = draft.refusals.iter().map(|one| one.title.clone());
            let refused: Vec<String> = refused.collect();
            let finding = Finding::warning(
                "plan-refused",
                "what the site file asks for would break something, and cannot be applied",
            )
            .because(refused.join("; "));
            self.found(By::Plan, [finding]);
        }
        let told: BTreeSet<&str> = self.witnesses.iter().map(|one| one.code.as_str()).collect();
        let short =
            draft.target.findings.iter().filter(|finding| {
                finding.severity == Severity::Error && !told.contains(finding.code)
            });
        let short: Vec<Finding> = short.cloned().collect();
        self.found(By::Plan, short);
        Some(draft)
    }

    /// What of earlier applies is gone again.
    fn receipts(
        &mut self,
        draft: Option<&Draft>,
        site: Option<&Utf8Path>,
        profile: &Profile,
    ) -> Result<(), Failure> {
        let state = match site {
            Some(_) => self.session.state()?,
            None => profile.paths.state.clone(),
        };
        let receipts = Receipts::new(state);
        let system = self.session.system.as_ref();
        let applies = match applies::look(system, &receipts, draft, site) {
            Ok(applies) => applies,
            Err(error) => {
                self.looked.miss("history", error.to_string());
                return Ok(());
            }
        };
        let Applies {
            count,
            last,
            witnesses,
            broken,
        } = applies;
        self.looked.at.applies = count;
        self.standing.applied = last.map(Self::local);
        self.witnesses.extend(witnesses);
        for why in broken {
            self.looked.miss("history", why);
        }
        Ok(())
    }
}
