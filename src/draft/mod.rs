//! From wishes to a plan: the flow put together.
//!
//! Owns the order of looking, deciding, planning and trying out. Everything here only
//! looks; what it gives can be shown, saved, applied or thrown away.
//! Must not know how anything is printed and must not change the machine.

mod dns;
mod forwards;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::check;
use crate::check::{
    Candidate, Document, Files as CheckedFiles, Outdated, Report, Subject, TriedTable,
};
use crate::dns::Resolver;
use crate::finding::{Finding, Severity};
use crate::host::{
    self, Call, Destinations, Facts, Host, HostError, Interest, Origin, Parameters, Places,
    ask_mail_hosts,
};
use crate::plan::build::{self, BuildError, build};
use crate::plan::{FileChange, Nature, Plan};
use crate::postfix::MainCf;
use crate::postfix::table::{DATABASES, index_suffixes};
use crate::profile::Profile;
use crate::provider::{Demand, Provider};
use crate::remedy::{OWN_TABLES, hosted_domains, own_transport};
use crate::site::{Dkim, Site};
use crate::system::{File, Query, System, SystemError};
use crate::target::{self, Comparison, Ensure, TableWanted, Target};
use crate::template::TemplateError;

use dns::{ask_dns, ask_keys, sources};

pub use forwards::silent_rewriter;

/// What is wished for.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The operator's declaration.
    pub site: &'a Site,
    /// The kind of host.
    pub profile: &'a Profile,
    /// The receivers known.
    pub providers: &'a [Provider],
    /// How much of it.
    pub extent: Extent,
    /// How a job that is run every day would call us, where one may be made.
    pub call: Option<&'a Call>,
}

impl<'a> Wish<'a> {
    /// Wishes for all of a site, without a job that is run every day.
    #[must_use]
    pub fn new(site: &'a Site, profile: &'a Profile, providers: &'a [Provider]) -> Self {
        Self {
            site,
            profile,
            providers,
            extent: Extent::All,
            call: None,
        }
    }
}

/// How much of a wish is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    All,
    /// Nothing but the list of domains that providers host.
    HostedDomains,
}

/// What was found, decided and planned.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The host as it is.
    pub host: Host,
    /// What should hold.
    pub target: Target,
    /// What has to be done for it.
    pub plan: Plan,
    /// What was noticed on the way; nothing of it keeps the plan from being applied.
    pub findings: Vec<Finding>,
    /// What the plan would break, or what Postfix cannot read: it must not be applied.
    pub refusals: Vec<Finding>,
    /// Whether Postfix itself checked the planned configuration; only root may ask it to.
    pub checked: bool,
    /// Tables whose databases the machine has to build itself: of a collected one.
    pub unbuilt: Vec<TableWanted>,
    /// What else is pending, a step each, where only a part was planned.
    pub left: Vec<String>,
}

impl Draft {
    /// Tells whether what is asked for cannot be reached, or not all of it.
    #[must_use]
    pub fn falls_short(&self) -> bool {
        let mut findings = self.target.findings.iter();
        findings.any(|finding| finding.severity == Severity::Error)
    }

    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.unbuilt.is_empty()
    }
}

/// A draft that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The host cannot be looked at.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The files cannot be edited.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A template of ours is broken.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Looks at the host and plans what the wish needs there.
///
/// # Errors
/// When the host cannot be looked at or its files not be edited.
pub fn draft(
    system: &dyn System,
    resolver: &dyn Resolver,
    config: &Utf8Path,
    wish: &Wish<'_>,
) -> Result<Draft, DraftError> {
    let mut host = host::observe(system, config, &asked(wish))?;
    host.facts.dns = ask_dns(resolver, wish.site, &host.facts);
    host.facts.dns.keys = ask_keys(resolver, wish.site, &host.facts);
    if lists_hosted_domains(wish, &host.facts)? {
        host.facts.destinations = Some(find_destinations(system, resolver, wish, &host.facts));
    }
    observe_ways(system, wish, &mut host.facts)?;
    forwards::find(system, resolver, wish, &mut host);
    draft_of(system, wish, host)
}

/// Plans anew for a host that was just looked at, after the wish has changed.
///
/// # Errors
/// When its files cannot be edited.
pub fn redraft(system: &dyn System, wish: &Wish<'_>, draft: Draft) -> Result<Draft, DraftError> {
    draft_of(system, wish, draft.host)
}

fn draft_of(system: &dyn System, wish: &Wish<'_>, mut host: Host) -> Result<Draft, DraftError> {
    let Decided {
        target,
        mut plan,
        left,
    } = settle(system, wish, &mut host)?;
    let mut draft = Draft {
        findings: target.findings.clone(),
        refusals: target.refusals.clone(),
        checked: false,
        unbuilt: Vec::new(),
        left,
        target,
        plan: Plan::default(),
        host,
    };
    let outdated = outdated_indexes(system, &draft, &plan)?;
    if draft.host.facts.origin == Origin::Collected {
        let is_changed = |table: &&TableWanted| {
            let source = target::table_path(&draft.host.facts, table);
            table.is_indexed() && plan.changes().any(|change| change.path == source)
        };
        let changed = draft.target.tables.iter().filter(is_changed).cloned();
        draft.unbuilt = changed.chain(outdated.iter().cloned()).collect();
    }
    if !plan.is_empty() || !outdated.is_empty() {
        try_out(system, wish, &mut draft, &mut plan)?;
    } else {
        // Whoever asks for a plan wants mail to arrive, and from a jail like that none does.
        let live = own_checks(&draft.host, &CheckedFiles::live(system), &BTreeMap::new());
        let of_jail = |finding: &Finding| finding.code.starts_with("jail-");
        let found = live.into_iter().filter(of_jail).collect();
        draft.findings.extend(silenced(wish.site, found));
    }
    draft.plan = plan;
    Ok(draft)
}

/// Compares the remedies for a host; for the profile's stock configuration where there is no
/// Postfix.
///
/// # Errors
/// When the host cannot be looked at.
pub fn compare(
    system: &dyn System,
    resolver: &dyn Resolver,
    config: &Utf8Path,
    wish: &Wish<'_>,
) -> Result<Comparison, DraftError> {
    let mut host = match host::observe(system, config, &asked(wish)) {
        Err(HostError::NoPostfix { .. }) => host::stock(wish.profile)?,
        other => other?,
    };
    host.facts.dns = ask_dns(resolver, wish.site, &host.facts);
    let Wish {
        site,
        profile,
        providers,
        ..
    } = *wish;
    Ok(target::compare(site, profile, providers, &host.facts)?)
}

/// Plans against the profile's stock configuration, where there is no Postfix to look at.
///
/// # Errors
/// When the profile's own data is broken.
pub fn stock_draft(resolver: &dyn Resolver, wish: &Wish<'_>) -> Result<Draft, DraftError> {
    let mut host = host::stock(wish.profile)?;
    host.facts.dns = ask_dns(resolver, wish.site, &host.facts);
    let Decided { target, plan, left } = decide(wish, &host)?;
    Ok(Draft {
        findings: target.findings.clone(),
        refusals: target.refusals.clone(),
        checked: false,
        unbuilt: Vec::new(),
        left,
        target,
        plan,
        host,
    })
}

/// Looks again after an apply: the same wish must find nothing left to do, and our tables
/// must answer as meant. DNS and the log are not asked again; `before` is what the plan went by.
///
/// # Errors
/// When the host cannot be looked at.
pub fn remaining(
    system: &dyn System,
    config: &Utf8Path,
    wish: &Wish<'_>,
    before: &Facts,
) -> Result<Vec<Finding>, DraftError> {
    let mut host = host::observe(system, config, &asked(wish))?;
    host.facts.dns.clone_from(&before.dns);
    host.facts.destinations.clone_from(&before.destinations);
    forwards::find_again(system, &mut host, before);
    observe_ways(system, wish, &mut host.facts)?;
    let Decided { target, plan, .. } = settle(system, wish, &mut host)?;
    let mut findings: Vec<Finding> = plan
        .steps
        .iter()
        .filter(|step| !step.is_empty())
        .map(|step| {
            Finding::error(
                "not-as-planned",
                format!("still to be done: {}", step.title),
            )
        })
        .collect();
    for table in &target.tables {
        findings.extend(ask_table(system, &host.facts, table)?);
    }
    findings.extend(silent_rewriter(system, &host.facts));
    Ok(findings)
}

/// The checks of the live configuration, our own and Postfix's.
///
/// # Errors
/// When the host cannot be looked at.
pub fn check_live(system: &dyn System, host: &Host) -> Result<(Vec<Finding>, bool), SystemError> {
    let own = own_checks(host, &CheckedFiles::live(system), &BTreeMap::new());
    let report = rehearse_files(system, host, &BTreeMap::new(), &[])?;
    Ok((check::join(own, report.findings), report.checked))
}

/// What a plan that was not drafted here would break: a part of an undo may take away what
/// another part still names.
///
/// # Errors
/// When the files cannot be read.
pub fn refusals_of(
    system: &dyn System,
    host: &Host,
    plan: &Plan,
) -> Result<Vec<Finding>, SystemError> {
    let (laid, planned) = lay(system, plan);
    let before = own_checks(host, &CheckedFiles::live(system), &BTreeMap::new());
    let after = own_checks(host, &laid, &planned);
    Ok(check::refusals(&before, &after))
}

/// The tables that are looked up in an index which does not hold what their source says, once a
/// plan is carried out; `dated` says of what time indexes are that the plan brings back.
#[must_use]
pub fn outdated_tables(
    system: &dyn System,
    host: &Host,
    plan: &Plan,
    dated: &BTreeMap<Utf8PathBuf, i64>,
) -> Vec<Outdated> {
    let (laid, planned) = lay(system, plan);
    let laid = dated.iter().fold(laid, |laid, (path, modified)| {
        laid.dated(path.clone(), *modified)
    });
    with_subject(host, &laid, &planned, check::outdated_tables)
}

/// The places at which Postfix's programs stop reading a configuration, which therefore
/// nobody can be asked about.
///
/// # Errors
/// When the files cannot be read.
pub fn check_unreadable(
    system: &dyn System,
    profile: &Profile,
    config: &Utf8Path,
) -> Result<Vec<Finding>, DraftError> {
    let mut host = host::stock(profile)?;
    config.clone_into(&mut host.facts.config);
    for name in ["main.cf", "master.cf"] {
        let path = config.join(name);
        let file = system.read(&path)?;
        host.files.insert(path, file);
    }
    let findings = own_checks(&host, &CheckedFiles::live(system), &BTreeMap::new());
    Ok(findings.into_iter().filter(check::is_unparsable).collect())
}

/// What is to be found out on a host beyond its configuration; without a site, of all that the
/// receivers say themselves.
#[must_use]
pub fn interest(site: Option<&Site>, providers: &[Provider]) -> Interest {
    let mut domains = BTreeSet::new();
    let mut suffixes = BTreeSet::new();
    let mut replies = BTreeSet::new();
    for provider in providers {
        domains.extend(provider.domains.iter().cloned());
        if let Some(site) = site {
            domains.extend(site.wish(&provider.id).hosted_domains);
        }
        suffixes.extend(provider.mx_suffixes.iter().cloned());
        replies.extend(provider.demands.ipv6.iter().flat_map(Demand::lines));
    }
    let mut own_files: Vec<String> = OWN_TABLES.map(ToOwned::to_owned).to_vec();
    for kind in DATABASES {
        own_files.extend(
            index_suffixes(kind)
                .iter()
                .map(|suffix| format!("{}.{suffix}", own_transport::FILE)),
        );
    }
    own_files.sort();
    own_files.dedup();
    Interest {
        domains: domains.into_iter().collect(),
        suffixes: suffixes.into_iter().collect(),
        replies: replies.into_iter().collect(),
        own_files,
        call: None,
        one_will_do: true,
        ..Interest::in_tables()
    }
}

fn asked(wish: &Wish<'_>) -> Interest {
    let signs = wish.extent == Extent::All;
    let dkim = wish.site.dkim.iter().filter(|_| signs);
    Interest {
        call: wish.call.cloned(),
        keys: dkim
            .flat_map(Dkim::keys)
            .map(|(selector, file)| (selector.to_owned(), file.to_owned()))
            .collect(),
        ..interest(Some(wish.site), wish.providers)
    }
}

/// Tells whether the domains that providers host have to be known: looking for them takes
/// longer than all the rest.
fn lists_hosted_domains(wish: &Wish<'_>, facts: &Facts) -> Result<bool, DraftError> {
    // What was packed elsewhere can be asked no further questions.
    if !matches!(facts.origin, Origin::Machine | Origin::Tree) {
        return Ok(false);
    }
    let target = target::decide(wish.site, wish.profile, wish.providers, facts)?;
    Ok(target.lists_hosted_domains())
}

fn find_destinations(
    system: &dyn System,
    resolver: &dyn Resolver,
    wish: &Wish<'_>,
    facts: &Facts,
) -> Destinations {
    let declared = |provider: &Provider| wish.site.wish(&provider.id).hosted_domains;
    let places = Places {
        declared: wish.providers.iter().flat_map(declared).collect(),
        logs: wish.profile.paths.logs.clone(),
    };
    let mut destinations = host::observe_destinations(system, facts, &places);
    ask_mail_hosts(resolver, &mut destinations);
    destinations
}

/// Looks at the ways of mail to the domains that may come to be listed.
fn observe_ways(system: &dyn System, wish: &Wish<'_>, facts: &mut Facts) -> Result<(), DraftError> {
    // What was packed elsewhere can be asked no further questions.
    if !matches!(facts.origin, Origin::Machine | Origin::Tree) {
        return Ok(());
    }
    let destinations = facts.destinations.as_ref();
    let found = destinations.map(|found| hosted_domains::candidates(wish.providers, found));
    let mut domains = found.unwrap_or_default();
    for provider in wish.providers {
        if wish.site.is_gentle_to(&provider.id) {
            domains.extend(wish.site.wish(&provider.id).hosted_domains);
        }
    }
    if !domains.is_empty() {
        host::observe_ways(system, facts, &domains)?;
    }
    Ok(())
}

/// What was decided, and what has to be done for it.
struct Decided {
    target: Target,
    plan: Plan,
    /// The titles of steps beyond the extent.
    left: Vec<String>,
}

fn decide(wish: &Wish<'_>, host: &Host) -> Result<Decided, DraftError> {
    let target = target::decide(wish.site, wish.profile, wish.providers, &host.facts)?;
    let whole = build(&target, &host.facts, &host.files)?;
    if wish.extent == Extent::All {
        return Ok(Decided {
            target,
            plan: whole,
            left: Vec::new(),
        });
    }
    let target = target.of_hosted_domains();
    let plan = build(&target, &host.facts, &host.files)?;
    let is_planned = |change: &FileChange| plan.changes().any(|one| one.path == change.path);
    let left = whole
        .steps
        .iter()
        .filter(|step| step.files.iter().any(|change| !is_planned(change)))
        .map(|step| step.title.clone())
        .collect();
    Ok(Decided { target, plan, left })
}

/// Decides with a look at what would be left: a service of ours that an entry of the
/// administrator's names by now is not taken away from under it.
fn settle(system: &dyn System, wish: &Wish<'_>, host: &mut Host) -> Result<Decided, DraftError> {
    let decided = decide(wish, host)?;
    let (laid, planned) = lay(system, &decided.plan);
    let is_named = |name: &String| {
        with_subject(host, &laid, &planned, |subject| {
            check::names_transport(subject, name)
        })
    };
    let in_use: BTreeSet<String> = decided
        .target
        .services
        .iter()
        .filter(|service| service.ensure == Ensure::Absent)
        .map(|service| service.name.clone())
        .filter(is_named)
        .collect();
    if in_use.is_empty() {
        return Ok(decided);
    }
    host.facts.own.in_use = in_use;
    decide(wish, host)
}

/// The files as they will stand, and those of them that are planned.
fn lay<'a>(system: &'a dyn System, plan: &Plan) -> (CheckedFiles<'a>, BTreeMap<Utf8PathBuf, File>) {
    let mut laid = CheckedFiles::live(system);
    let mut planned = BTreeMap::new();
    for change in plan.changes() {
        laid = laid.with(change.path.clone(), change.after.clone());
        if let Some(file) = &change.after {
            planned.insert(change.path.clone(), file.clone());
        }
    }
    (laid, planned)
}

/// Tables whose source stands as it should while the database made of it is missing or older.
fn outdated_indexes(
    system: &dyn System,
    draft: &Draft,
    plan: &Plan,
) -> Result<Vec<TableWanted>, SystemError> {
    let mut outdated = Vec::new();
    for table in &draft.target.tables {
        let source = target::table_path(&draft.host.facts, table);
        if !table.is_indexed() || plan.changes().any(|change| change.path == source) {
            continue;
        }
        let mut newest = None;
        for suffix in index_suffixes(&table.kind) {
            let stat = system.stat(&with_suffix(&source, suffix))?;
            newest = newest.max(stat.map(|stat| stat.modified));
        }
        let written = system.stat(&source)?.map(|stat| stat.modified);
        if newest.is_none() || newest < written {
            outdated.push(table.clone());
        }
    }
    Ok(outdated)
}

fn with_suffix(path: &Utf8Path, suffix: &str) -> camino::Utf8PathBuf {
    format!("{path}.{suffix}").into()
}

/// Lays the plan over the host in a private copy, has Postfix and our own checks look at it,
/// and takes the databases that were built there.
fn try_out(
    system: &dyn System,
    wish: &Wish<'_>,
    draft: &mut Draft,
    plan: &mut Plan,
) -> Result<(), SystemError> {
    let (_, planned) = lay(system, plan);
    let facts = &draft.host.facts;
    let mut files = planned.clone();
    for table in &draft.target.tables {
        let path = target::table_path(facts, table);
        if let Some(file) = draft.host.files.get(&path) {
            files.entry(path).or_insert_with(|| file.clone());
        }
    }
    let tables: Vec<TriedTable> = draft
        .target
        .tables
        .iter()
        .map(|table| TriedTable {
            kind: table.kind.clone(),
            path: target::table_path(facts, table),
            keys: table.samples.iter().map(|(key, _)| key.clone()).collect(),
        })
        .collect();

    let report = rehearse_files(system, &draft.host, &files, &tables)?;
    let mut built = report.indexes.clone();
    for table in &draft.unbuilt {
        // Its content is nobody's business here; that it will be there is.
        if let Some(suffix) = index_suffixes(&table.kind).first() {
            let path = with_suffix(&target::table_path(facts, table), suffix);
            built.insert(path, Vec::new());
        }
    }
    let (refusals, staying) = weigh(system, &draft.host, plan, &built, &report.findings)?;
    draft.refusals.extend(refusals);
    draft.findings.extend(silenced(wish.site, staying));
    let Report {
        indexes,
        answers,
        checked,
        ..
    } = report;
    draft.checked = checked;
    for (table, answers) in draft.target.tables.iter().zip(&answers) {
        draft.refusals.extend(wrong_answers(table, answers));
    }
    for (path, bytes) in indexes {
        let Some(table) = tables
            .iter()
            .find(|table| path.as_str().starts_with(table.path.as_str()))
        else {
            continue;
        };
        let before = draft.host.files.get(&path).cloned();
        let source = files.get(&table.path);
        let after = match (&before, source) {
            (Some(before), _) => File {
                bytes,
                ..before.clone()
            },
            (None, Some(source)) => File {
                bytes,
                attributes: Vec::new(),
                ..source.clone()
            },
            (None, None) => continue,
        };
        // A database that still answers for its source is not built again.
        if before.is_some()
            && !planned.contains_key(&table.path)
            && !is_older(system, &path, &table.path)?
        {
            continue;
        }
        let change = FileChange {
            path,
            before,
            after: Some(after),
            nature: Nature::Index,
        };
        build::add_index(plan, &table.path, change);
    }
    Ok(())
}

/// Compares what a plan would leave with what stands: what it would break, and what was wrong
/// before and stays so.
///
/// # Errors
/// When the files cannot be read.
pub(crate) fn weigh(
    system: &dyn System,
    host: &Host,
    plan: &Plan,
    indexes: &BTreeMap<Utf8PathBuf, Vec<u8>>,
    findings: &[Finding],
) -> Result<(Vec<Finding>, Vec<Finding>), SystemError> {
    let before = own_checks(host, &CheckedFiles::live(system), &BTreeMap::new());
    let (mut laid, planned) = lay(system, plan);
    for (path, bytes) in indexes {
        let file = File::new(bytes.clone(), 0o644, 0, 0);
        laid = laid.with(path.clone(), Some(file));
    }
    // Postfix is only asked about what stands now where it finds errors in what is planned:
    // otherwise its complaints are not of our making, and a second rehearsal tells nothing.
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    let said = if findings.iter().any(is_error) {
        rehearse_files(system, host, &BTreeMap::new(), &[])?.findings
    } else {
        findings.to_vec()
    };
    let before = check::join(before, said);
    let after = check::join(own_checks(host, &laid, &planned), findings.to_vec());
    let refusals = check::refusals(&before, &after);
    // What the plan mends on its way is not worth a word.
    let stays = |finding: &Finding| after.iter().any(|later| later.same_fault(finding));
    let staying = before.into_iter().filter(stays).collect();
    Ok((refusals, staying))
}

fn is_older(system: &dyn System, index: &Utf8Path, source: &Utf8Path) -> Result<bool, SystemError> {
    let time = |path| Ok::<_, SystemError>(system.stat(path)?.map(|stat| stat.modified));
    Ok(time(index)? < time(source)?)
}

/// Leaves out what the operator does not want to hear of.
#[must_use]
pub fn silenced(site: &Site, findings: Vec<Finding>) -> Vec<Finding> {
    findings
        .into_iter()
        .filter(|finding| !site.silence.iter().any(|code| code == finding.code))
        .collect()
}

/// Has Postfix look at a private copy with these files laid over what stands.
///
/// # Errors
/// When the copy cannot be made.
pub(crate) fn rehearse_files(
    system: &dyn System,
    host: &Host,
    files: &BTreeMap<Utf8PathBuf, File>,
    tables: &[TriedTable],
) -> Result<Report, SystemError> {
    if host.facts.origin == Origin::Collected {
        // Its Postfix is not here, and another one would say other things.
        return Ok(Report::default());
    }
    let mut all = files.clone();
    for name in ["main.cf", "master.cf"] {
        let path = host.facts.config.join(name);
        if let Some(file) = host.files.get(&path) {
            all.entry(path).or_insert_with(|| file.clone());
        }
    }
    let candidate = Candidate {
        directory: &host.facts.config,
        files: &all,
        tables,
        version: host.facts.version,
    };
    check::rehearse(system, &candidate)
}

fn own_checks(
    host: &Host,
    files: &CheckedFiles<'_>,
    planned: &BTreeMap<Utf8PathBuf, File>,
) -> Vec<Finding> {
    with_subject(host, files, planned, check::run)
}

fn with_subject<T>(
    host: &Host,
    files: &CheckedFiles<'_>,
    planned: &BTreeMap<Utf8PathBuf, File>,
    look: impl Fn(&Subject<'_>) -> T,
) -> T {
    let facts = &host.facts;
    let bytes = |path: &Utf8Path| {
        let file = planned.get(path).or_else(|| host.files.get(path));
        file.map(|file| file.bytes.clone()).unwrap_or_default()
    };
    let (main_path, master_path) = (facts.config.join("main.cf"), facts.config.join("master.cf"));
    let main = Document::main(main_path.clone(), bytes(&main_path));
    let master = Document::master(master_path.clone(), bytes(&master_path));
    let parameters = overlaid(&facts.parameters, &main.parsed);
    let get = |name: &str| parameters.raw(name).map(str::to_owned);
    let jail = facts.jail.clone().with(planned.keys().map(AsRef::as_ref));
    look(&Subject {
        directory: &facts.config,
        main: &main,
        master: &master,
        version: facts.version,
        level: facts.level,
        parameters: &get,
        table_types: (facts.origin != Origin::Stock).then_some(&facts.table_types),
        broken_types: &facts.broken_types,
        packages: facts.packages.as_ref(),
        programs: facts.daemons.as_ref(),
        jail: Some(&jail),
        files,
    })
}

fn overlaid(parameters: &Parameters, main: &MainCf) -> Parameters {
    let mut parameters = parameters.clone();
    for setting in main.settings() {
        parameters.set(setting.name, &setting.value);
    }
    parameters
}

fn ask_table(
    system: &dyn System,
    facts: &Facts,
    table: &TableWanted,
) -> Result<Vec<Finding>, SystemError> {
    let path = target::table_path(facts, table);
    let query = Query::Lookup {
        config: facts.config.clone(),
        table: format!("{}:{path}", table.kind),
        keys: table.samples.iter().map(|(key, _)| key.clone()).collect(),
    };
    let text = system.query(&query)?.text();
    let answers = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Ok(wrong_answers(table, &answers))
}

fn wrong_answers(table: &TableWanted, answers: &BTreeMap<String, String>) -> Vec<Finding> {
    table
        .samples
        .iter()
        .filter(|(key, wanted)| answers.get(key) != Some(wanted))
        .map(|(key, wanted)| {
            let said = answers.get(key).map_or("nothing", String::as_str);
            let title = format!(
                "the table `{}:{}` answers `{said}` for `{key}`, not `{wanted}`",
                table.kind, table.file
            );
            Finding::error("wrong-answer", title)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::host::DnsFacts;
    use crate::host::example;
    use crate::system::{MemorySystem, Output};

    const CONFIG: &str = "/etc/postfix";
    const TABLE: &str = "texthash:/etc/postfix/mailfix/transport";
    const FILTER: &str = "regexp:/etc/postfix/mailfix/reply_filter";

    fn site(more: &str) -> Site {
        let text = format!(
            "allow_non_global = true\n[server]\nhostname = \"mail.example.org\"\nipv4 = [\"192.0.2.25\"]\nipv6 = [\"2001:db8::25\"]\n[[domain]]\nname = \"example.org\"\n{more}"
        );
        Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
    }

    fn output(text: &str) -> Output {
        Output {
            status: 0,
            stdout: text.into(),
            stderr: Vec::new(),
        }
    }

    /// A machine with the stock files of the profile `linux`, of a version without the filter.
    fn system() -> MemorySystem {
        let host = example::host("2.11.6", "", "");
        let bytes = |name: &str| {
            let path = Utf8Path::new(CONFIG).join(name);
            host.files.get(&path).unwrap().bytes.clone()
        };
        let ask = |arguments: &[&str]| Query::Postconf {
            config: Some(CONFIG.into()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let dump = "mail_version = 2.11.6\ninet_protocols = all\nqueue_directory = /q\n";
        MemorySystem::new()
            .file("/etc/postfix/main.cf", bytes("main.cf"))
            .file("/etc/postfix/master.cf", bytes("master.cf"))
            .answer(ask(&[]), output(dump))
            .answer(ask(&["-m"]), output("texthash\nregexp\n"))
    }

    /// Does what a plan says, commands left out.
    fn applied(mut system: MemorySystem, plan: &Plan) -> MemorySystem {
        for change in plan.changes() {
            let after = change.after.clone().unwrap();
            system = system.node(&change.path, crate::system::Node::File(after));
        }
        system
    }

    /// Wishes for the site, in which a zone without any record is the whole of DNS.
    fn with_wish<T>(site: &Site, work: impl FnOnce(&FixedResolver, &Wish<'_>) -> T) -> T {
        let (profile, providers) = (Profile::built_in("linux").unwrap(), Provider::demanding());
        let wish = Wish::new(site, &profile, &providers);
        work(&FixedResolver::default(), &wish)
    }

    fn drafted(system: &MemorySystem) -> Draft {
        with_wish(&site(""), |resolver, wish| {
            draft(system, resolver, CONFIG.into(), wish).unwrap()
        })
    }

    /// What is left to do on a machine whose table answers so.
    #[track_caller]
    fn check(system: MemorySystem, answer: &str, expected: &[&str]) {
        let draft = drafted(&system);
        let [table, filter] = &draft.target.tables[..] else {
            panic!("{:?}", draft.target.tables);
        };
        let ask = |table: &TableWanted, name: &str| Query::Lookup {
            config: CONFIG.into(),
            table: name.to_owned(),
            keys: table.samples.iter().map(|(key, _)| key.clone()).collect(),
        };
        let right = |(key, value): &(String, String)| format!("{key}\t{value}\n");
        let replies: String = filter.samples.iter().map(right).collect();
        let system = system
            .answer(ask(table, TABLE), output(answer))
            .answer(ask(filter, FILTER), output(&replies));
        let found = with_wish(&site(""), |_, wish| {
            remaining(&system, CONFIG.into(), wish, &draft.host.facts).unwrap()
        });
        let titles: Vec<&str> = found.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, expected);
    }

    const RIGHT: &str = "gmail.com\tsmtp-ipv4:\ngooglemail.com\tsmtp-ipv4:\n";

    #[test]
    fn a_host_that_needs_it_is_planned_for_and_then_needs_nothing() {
        let draft = drafted(&system());
        let titles: Vec<&str> = draft
            .plan
            .steps
            .iter()
            .map(|step| step.title.as_str())
            .collect();
        assert_eq!(
            titles,
            [
                "master.cf: the service `smtp-ipv4`",
                "mailfix's own tables",
                "main.cf: `transport_maps`, `smtp_reply_filter`"
            ]
        );
        let after = drafted(&applied(system(), &draft.plan));
        assert!(after.plan.is_empty(), "{:?}", after.plan);
        assert_eq!(after.target.tables, draft.target.tables);
    }

    #[test]
    fn what_is_still_to_be_done_is_found() {
        check(
            system(),
            RIGHT,
            &[
                "still to be done: master.cf: the service `smtp-ipv4`",
                "still to be done: mailfix's own tables",
                "still to be done: main.cf: `transport_maps`, `smtp_reply_filter`",
            ],
        );
        let done = || applied(system(), &drafted(&system()).plan);
        check(done(), RIGHT, &[]);
        check(
            done(),
            "gmail.com\tsmtp:\n",
            &[
                "the table `texthash:transport` answers `smtp:` for `gmail.com`, not `smtp-ipv4:`",
                "the table `texthash:transport` answers `nothing` for `googlemail.com`, not `smtp-ipv4:`",
            ],
        );
        let main = Utf8Path::new("/etc/postfix/main.cf");
        let undone = done().file(main, system().read(main).unwrap().unwrap().bytes);
        check(
            undone,
            RIGHT,
            &["still to be done: main.cf: `transport_maps`, `smtp_reply_filter`"],
        );
    }

    #[test]
    fn an_index_that_is_missing_is_outdated() {
        let mut draft = drafted(&system());
        let done = applied(system(), &draft.plan);
        let outdated = |system: &MemorySystem, draft: &Draft| {
            outdated_indexes(system, draft, &Plan::default())
                .unwrap()
                .len()
        };
        // A texthash has none.
        assert_eq!(outdated(&done, &draft), 0);
        "hash".clone_into(&mut draft.target.tables[0].kind);
        assert_eq!(outdated(&done, &draft), 1);
        // Its source is written anyway.
        assert_eq!(outdated_indexes(&done, &draft, &draft.plan).unwrap(), []);
        for suffix in ["db", "lmdb"] {
            let path = format!("/etc/postfix/mailfix/transport.{suffix}");
            assert_eq!(outdated(&done.clone().file(path, "db"), &draft), 0);
        }
    }

    #[test]
    fn everything_a_remedy_goes_by_is_asked_for() {
        let site = site("[providers.google]\nhosted_domains = [\"hosted.example\"]");
        let interest = with_wish(&site, |_, wish| interest(Some(wish.site), wish.providers));
        assert_eq!(
            interest.domains,
            ["gmail.com", "googlemail.com", "hosted.example"]
        );
        assert_eq!(interest.suffixes, ["google.com", "googlemail.com"]);
        assert!(
            interest
                .replies
                .iter()
                .any(|reply| reply.starts_with("550 5.7.25 "))
        );
        assert!(
            interest
                .replies
                .iter()
                .any(|reply| reply.starts_with("550 5.1.1 "))
        );
        assert_eq!(
            interest.own_files,
            [
                "dns_reply_filter",
                "reply_filter",
                "transport",
                "transport.cdb",
                "transport.db",
                "transport.lmdb"
            ]
        );
    }

    #[test]
    fn dns_is_asked_only_where_mail_leaves_over_ipv6() {
        let ask = |main| {
            let facts = example::host("3.7.11", main, "").facts;
            ask_dns(&FixedResolver::default(), &site(""), &facts)
        };
        // The IPv4 address is where a cure would send mail from.
        let asked: Vec<String> = ask("").addresses.keys().map(ToString::to_string).collect();
        assert_eq!(asked, ["192.0.2.25", "2001:db8::25"]);
        assert_eq!(ask("inet_protocols = ipv4"), DnsFacts::default());
    }

    #[test]
    fn what_is_not_to_be_heard_of_is_left_out() {
        let site = site("[checks]\nsilence = [\"unused-service\"]");
        let findings = ["unused-service", "own-route"].map(|code| Finding::note(code, "x"));
        let left = silenced(&site, findings.to_vec());
        assert_eq!(left, [Finding::note("own-route", "x")]);
    }

    #[test]
    fn without_a_postfix_the_stock_configuration_is_planned_for() {
        let draft = with_wish(&site(""), |resolver, wish| {
            stock_draft(resolver, wish).unwrap()
        });
        assert_eq!(draft.host.facts.origin, Origin::Stock);
        assert_eq!(draft.plan.steps.len(), 3);
        assert!(draft.plan.steps.iter().all(|step| step.then.is_empty()));
    }
}
