//! All the looks, one after the other, and what could not be looked at.
//!
//! A look that fails keeps none of the others from being taken: it is said with what it lacks.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Doctor;
use super::news::Sendmail;
use crate::cli::dns::check::subject;
use crate::cli::logs::measure;
use crate::cli::moment::Moment;
use crate::cli::prepare::Wished;
use crate::cli::{Failure, FailureKind, Session};
use crate::diagnose::log::Options;
use crate::diagnose::{self, Knowledge};
use crate::dns::{Name, RecordType, Resolver, addresses_of};
use crate::dns_check::{self, AddressReport, Outcome, Verdict};
use crate::doctor::applies::{self, Applies};
use crate::doctor::port25::{self, Attempt, Host};
use crate::doctor::queue::{self, Queue};
use crate::doctor::{By, Standing, Trouble, Witness, rank};
use crate::doctor::{configuration, log};
use crate::draft::{Draft, DraftError, silenced};
use crate::finding::{Finding, Severity};
use crate::host::{Facts, HostError, Running};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::receipt::Receipts;
use crate::stats::Span;
use crate::system::Query;
use crate::target::ipv6_sources;

/// How many providers' mail hosts are tried on port 25, and how many hosts of each.
const TRIED: usize = 3;

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
    /// How many checks each was given.
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
    /// How many lines, those of before among them where a file has both.
    pub lines: u64,
}

/// What was not looked at.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// What.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

/// What the looks share.
struct Looking<'a> {
    session: &'a mut Session,
    looked: Looked,
    witnesses: Vec<Witness>,
    standing: Standing,
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
        options: session.common.paths(),
        ..Standing::default()
    };
    let mut looking = Looking {
        session,
        looked: Looked::default(),
        witnesses: Vec::new(),
        standing,
    };
    looking.looked.at.checks = configuration::checks();
    let instances = looking.configurations(&profile, wished.as_ref())?;
    for facts in &instances {
        looking.queue(facts, &knowledge);
    }
    let draft = looking.plan(wished.as_ref(), &instances);
    looking.receipts(draft.as_ref(), site_path.as_deref(), &profile)?;
    looking.log(command.since, &knowledge);
    looking.dns(!instances.is_empty())?;
    if let Some(host) = &command.port25 {
        looking.port25(host, command.patience(), &instances)?;
    }
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
        let found = findings.into_iter().map(|finding| Witness::of(by, finding));
        self.witnesses.extend(found);
    }

    /// The time of this machine.
    fn local(moment: Timestamp) -> DateTime {
        moment.to_zoned(TimeZone::system()).datetime()
    }

    /// The configurations of all of this machine's Postfix; those that could be read are given.
    fn configurations(
        &mut self,
        profile: &Profile,
        wished: Option<&Wished>,
    ) -> Result<Vec<Facts>, Failure> {
        let site = wished.map(|wished| wished.wish().site);
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
            let system = self.session.system.as_ref();
            let checked = match configuration::look(system, profile, &config, site) {
                Ok(checked) => checked,
                Err(DraftError::Host(HostError::NoPostfix { reason })) if is_first => {
                    self.looked
                        .skip("host", format!("there is no Postfix here: {reason}"));
                    continue;
                }
                Err(error) if is_first => return Err(error.into()),
                Err(error) => {
                    let why = format!("the instance in `{config}`: {error}");
                    self.looked.skip("host", why);
                    continue;
                }
            };
            self.looked.at.configurations.push(config.clone());
            self.looked.at.postfix_check |= checked.checked;
            self.found(By::Host, checked.findings);
            let Some(host) = checked.host else {
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
            left.extend(host.facts.instances.iter().cloned());
            instances.push(host.facts);
        }
        if !self.looked.at.postfix_check && !self.looked.at.configurations.is_empty() {
            let why = if self.session.system.root().is_some() {
                "it is not run for a tree"
            } else {
                "only root may run it"
            };
            self.looked.skip("postfix-check", why);
        }
        Ok(instances)
    }

    /// Whether Postfix runs, where nobody can read its configuration.
    fn stopped_unasked(&self, config: &Utf8Path) -> Result<Option<Finding>, Failure> {
        let system = self.session.system.as_ref();
        let running = crate::host::running_unasked(system, config)?;
        Ok(configuration::stopped(running, config))
    }

    /// What waits.
    fn queue(&mut self, facts: &Facts, knowledge: &Knowledge) {
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
        let listing = match self.session.system.query(&query) {
            Ok(output) if output.success() => output.text(),
            Ok(output) => {
                let why = output.errors();
                return self.looked.skip("queue", why.trim().to_owned());
            }
            Err(error) => return self.looked.skip("queue", error.to_string()),
        };
        let now = Self::local(self.session.now);
        let Queue {
            messages,
            witnesses,
        } = queue::read(&listing, now, knowledge);
        *self.looked.at.queue.get_or_insert(0) += messages;
        self.witnesses.extend(witnesses);
    }

    /// What the mail log tells of the last days.
    fn log(&mut self, since: Moment, knowledge: &Knowledge) {
        let now = self.session.now;
        let sources = match self.session.logs(&[], Some(since)) {
            Ok(sources) => sources,
            Err(failure) => return self.looked.skip("log", failure.message),
        };
        let options = Options {
            span: Span {
                since: Some(since.stamp(now)),
                until: None,
            },
            recipients: false,
        };
        let progress = self.session.progress(measure(&sources));
        let read = diagnose::log::read(&sources, knowledge, options, &|count| progress.more(count));
        drop(progress);
        match read {
            Ok(report) => {
                self.looked.at.log = Some(LogRead {
                    since: since.stamp(now).to_string(),
                    lines: report.lines,
                });
                self.witnesses.extend(log::witnesses(&report, knowledge));
            }
            Err(error) => self.looked.skip("log", error.to_string()),
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
                self.looked.skip("plan", failure.message);
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
                self.looked.skip("history", error.to_string());
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
            self.looked.skip("history", why);
        }
        Ok(())
    }

    /// What DNS says of addresses and domains.
    fn dns(&mut self, has_postfix: bool) -> Result<(), Failure> {
        if self.session.common.offline {
            self.looked.skip("dns", "`--offline` forbids to ask");
            return Ok(());
        }
        if !has_postfix && !self.standing.has_site {
            self.looked
                .skip("dns", "without Postfix and a site file no address is known");
            return Ok(());
        }
        let (site, subject) = match subject::gather(self.session, Vec::new(), &[]) {
            Ok(gathered) => gathered,
            Err(failure) => {
                self.looked.skip("dns", failure.message);
                return Ok(());
            }
        };
        let resolver = self.session.resolver()?;
        let report = dns_check::check(resolver.as_ref(), &subject, &Provider::demanding());
        self.looked.at.addresses = Some(report.addresses.len());
        self.looked.at.domains = Some(report.domains.len());
        self.looked.is_unasked = report.unasked;
        self.standing.has_dns = !report.unasked && report.outcome() != Outcome::Unasked;
        let findings = match &site {
            Some(site) => silenced(site, report.findings),
            None => report.findings,
        };
        // Behind a relay nobody here knows the addresses, which is no fault.
        let is_unknown = |finding: &Finding| finding.code == "source-unknown";
        let (unknown, findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_unknown);
        for finding in unknown {
            self.looked.skip("dns", finding.title);
        }
        let is_unasked = |finding: &Finding| finding.code == "dns-unasked";
        if findings.iter().any(is_unasked) {
            let open = findings.iter().filter(|one| is_unasked(one)).count();
            self.looked
                .skip("dns", format!("{open} questions got no answer"));
        }
        self.found(By::Dns, findings);
        self.found(By::Dns, refusals(&report.addresses));
        Ok(())
    }

    /// Whether port 25 elsewhere can be reached.
    fn port25(
        &mut self,
        asked: &str,
        patience: std::time::Duration,
        instances: &[Facts],
    ) -> Result<(), Failure> {
        let resolver = self.session.resolver()?;
        let hosts = if asked.is_empty() {
            receivers(resolver.as_ref())
        } else {
            vec![host(resolver.as_ref(), asked)?]
        };
        if hosts.iter().all(|host| host.addresses.is_empty()) {
            self.looked
                .skip("port25", "DNS names no address of a host to connect to");
            return Ok(());
        }
        let system = self.session.system.as_ref();
        let attempts = match port25::look(system, &hosts, patience) {
            Ok(attempts) => attempts,
            Err(error) => {
                self.looked.skip("port25", error.to_string());
                return Ok(());
            }
        };
        let ours = system.addresses().unwrap_or_default();
        let mut witnesses = port25::witnesses(&attempts, &ours);
        let relayed = instances
            .iter()
            .any(|facts| facts.sent_elsewhere().is_some());
        if relayed {
            // Mail takes another way.
            for witness in &mut witnesses {
                witness.severity = Severity::Note;
            }
        }
        self.witnesses.extend(witnesses);
        self.looked.at.port25 = attempts;
        Ok(())
    }
}

/// What receivers are known to refuse, by what they demand.
fn refusals(addresses: &[AddressReport]) -> Vec<Finding> {
    let of = |report: &AddressReport| {
        let refusing = report.receivers.iter();
        let names: Vec<&str> = refusing
            .filter(|receiver| receiver.verdict == Verdict::Refuses)
            .map(|receiver| receiver.name.as_str())
            .collect();
        let verb = if names.len() == 1 {
            "refuses"
        } else {
            "refuse"
        };
        let code = if report.is_confirmed() {
            "refused-unauthenticated"
        } else {
            "refused-by-ptr"
        };
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            let address = report.source.address;
            Finding::error(code, format!("{names} {verb} mail from {address}"))
        })
    };
    addresses.iter().filter_map(of).collect()
}

/// The mail hosts of some big receivers.
fn receivers(resolver: &dyn Resolver) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for provider in Provider::known() {
        if hosts.len() >= TRIED {
            break;
        }
        let domain = provider.domains.first();
        let Some(domain) = domain.and_then(|domain| domain.parse::<Name>().ok()) else {
            continue;
        };
        let Ok(answer) = resolver.lookup(&domain, RecordType::Mx) else {
            continue;
        };
        let mut named = answer.exchanges().into_iter().map(|(_, name)| Host {
            addresses: addresses(resolver, name, port25::PORT),
            name: name.host(),
        });
        hosts.extend(named.find(|host| !host.addresses.is_empty()));
    }
    hosts
}

/// A host that a person names: a name or an address, perhaps with a port.
fn host(resolver: &dyn Resolver, asked: &str) -> Result<Host, Failure> {
    let at = |address| Host {
        name: asked.to_owned(),
        addresses: vec![address],
    };
    if let Ok(address) = asked.parse::<SocketAddr>() {
        return Ok(at(address));
    }
    if let Ok(address) = asked.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(at(SocketAddr::new(address, port25::PORT)));
    }
    let (name, port) = match asked.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, port),
            Err(_) => return Err(Failure::usage(format!("`{port}` is no port"))),
        },
        None => (asked, port25::PORT),
    };
    let parsed: Name = name
        .parse()
        .map_err(|error: crate::dns::NameError| Failure::usage(error.to_string()))?;
    Ok(Host {
        addresses: addresses(resolver, &parsed, port),
        name: parsed.host(),
    })
}

/// One address of each protocol is enough to tell.
fn addresses(resolver: &dyn Resolver, name: &Name, port: u16) -> Vec<SocketAddr> {
    let of = |ipv6| addresses_of(resolver, name, ipv6).unwrap_or_default();
    [of(false), of(true)]
        .into_iter()
        .filter_map(|of| of.first().copied())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}
