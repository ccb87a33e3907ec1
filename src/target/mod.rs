//! The target: what should hold on the host.
//!
//! Owns the decision per provider, made of the site file, the profile, the
//! provider's demands and the facts, and the words that explain it.
//! Must not know files, the machine or the resolver: the same facts always give
//! the same target, so a second run changes nothing.

mod choose;
mod compare;
mod forwarding;
mod job;
mod pace;
mod retire;
mod signing;
mod sources;

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::finding::Finding;
use crate::host::{Facts, REPLY_FILTER, REPLY_FILTER_FILE};
use crate::postfix::table::index_suffixes;
use crate::postfix::{MasterCf, ServiceType};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::own_transport::{self, Routed};
use crate::remedy::srs::RewriterWanted;
use crate::remedy::{self, Case, Contribution};
use crate::remedy_sheet::RemedyId;
use crate::scheduler::Scheduler;
use crate::site::{Ipv6Wish, Site};
use crate::template::TemplateError;

pub use choose::{Choice, choose, fit};
pub use compare::{Comparison, Row, compare};
pub use forwarding::warning as forwards_without_srs;
pub use job::NAME as REFRESH;
use pace::Paced;
pub use signing::{KeyWanted, SigningWanted};
pub use sources::{bound_elsewhere, ipv4_sources, ipv6_sources};
use sources::{has_ipv4, ipv4_doubtful};

/// What should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// Services of master.cf.
    pub services: Vec<ServiceWanted>,
    /// Tables of our own.
    pub tables: Vec<TableWanted>,
    /// Files in our own folder that go, with the databases made of them.
    pub leftovers: Vec<String>,
    /// Files that the jail gets.
    pub copies: Vec<CopyWanted>,
    /// What becomes of the job that is run every day.
    pub job: Job,
    /// What rewrites the senders of forwarded mail, as it shall be set up.
    pub rewriter: Option<RewriterWanted>,
    /// What a signer needs to sign.
    pub signing: Option<SigningWanted>,
    /// The remedies in use.
    pub remedies: Vec<RemedyId>,
    /// The entries of the transport table.
    pub routes: Vec<Routed>,
    /// What was decided, for whom and why.
    pub decisions: Vec<Decision>,
    /// What was noticed and left alone.
    pub findings: Vec<Finding>,
    /// Why nothing of it may be done.
    pub refusals: Vec<Finding>,
}

/// What becomes of the job that is run every day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Job {
    /// Whatever is there stays.
    #[default]
    AsItIs,
    /// There is this one, and no other of ours.
    Wanted {
        /// What runs it.
        scheduler: Box<Scheduler>,
        /// What is in its files, in the scheduler's order.
        texts: Vec<String>,
    },
    /// There is none of ours.
    Absent,
}

/// One parameter of main.cf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It has just this value.
    Is {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
    },
    /// The list it holds has this item.
    Has {
        /// The parameter.
        name: String,
        /// The item.
        item: String,
    },
    /// The list it holds does not have this item; an empty list is no setting.
    Lacks {
        /// The parameter.
        name: String,
        /// The item.
        item: String,
    },
    /// It is not set.
    Unset {
        /// The parameter.
        name: String,
    },
}

impl Setting {
    /// The parameter.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Is { name, .. }
            | Self::Has { name, .. }
            | Self::Lacks { name, .. }
            | Self::Unset { name } => name,
        }
    }
}

/// One service of master.cf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceWanted {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ServiceType,
    /// What shall hold of it.
    pub ensure: Ensure,
}

/// What shall hold of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensure {
    /// It is there as this text in the syntax of master.cf says.
    Whole(String),
    /// It is the administrator's, and only these of its words change.
    Words {
        /// The chroot letter.
        chroot: Option<char>,
        /// Options (`-o name=value`).
        options: Vec<(String, String)>,
    },
    /// It is not there; nothing names it any more.
    Absent,
}

/// One table below our own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWanted {
    /// Its file, relative to our folder.
    pub file: String,
    /// Its type.
    pub kind: String,
    /// Its source.
    pub text: String,
    /// Keys to ask of it, with what they give.
    pub samples: Vec<(String, String)>,
}

impl TableWanted {
    /// Tells whether postmap(1) makes a database of its source.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        !index_suffixes(&self.kind).is_empty()
    }
}

/// A copy of a file of this host, in the jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyWanted {
    /// Where it stands, as seen from outside.
    pub path: Utf8PathBuf,
    /// What it is a copy of.
    pub from: Utf8PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What was decided about mail to one provider, or about all mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The provider's name, `all mail`, or the name of a remedy.
    pub about: String,
    /// The outcome in a phrase.
    pub outcome: String,
    /// Why, a sentence each.
    pub why: Vec<String>,
}

/// Decides what should hold.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub fn decide(
    site: &Site,
    profile: &Profile,
    providers: &[Provider],
    facts: &Facts,
) -> Result<Target, TemplateError> {
    let mut target = Target::default();
    let judged = over_ipv6(&mut target, site, profile, providers, facts)?;
    let case = Case {
        providers: &providers.iter().collect::<Vec<_>>(),
        site,
        profile,
        facts,
    };
    let paced = pace::decide(&mut target, &case, &judged)?;
    if !target.remedies.is_empty() || paced == Paced::Done {
        target.spare(facts);
        target.fill_jail(profile, facts);
    }
    match (&judged, paced) {
        (Judged::All { .. }, _) => take_away(&mut target, facts, &[])?,
        // The table is as it shall be; what else the cure needs is.
        (Judged::None, Paced::Done) => {
            take_away(&mut target, facts, &OF_IPV6)?;
            leave(&mut target, facts);
        }
        (Judged::None, Paced::Not) => leave(&mut target, facts),
    }
    job::decide(&mut target, site, facts)?;
    // Whatever way mail takes.
    forwarding::decide(&mut target, site, providers, facts);
    signing::decide(&mut target, site, facts)?;
    Ok(target)
}

/// What was found out about mail over IPv6.
enum Judged {
    /// Whose mail needs a cure, and what was set up before and is not wanted now may go.
    All {
        /// The ids of the providers whose mail one has sent through a client without IPv6.
        routed: Vec<String>,
    },
    /// Nobody could judge, or nothing fits: what was set up before stays.
    None,
}

/// The tables of cures that say nothing of the way mail takes.
const OF_IPV6: [&str; 2] = [remedy::mx_filter::FILE, REPLY_FILTER_FILE];

/// Decides about mail over IPv6.
fn over_ipv6(
    target: &mut Target,
    site: &Site,
    profile: &Profile,
    providers: &[Provider],
    facts: &Facts,
) -> Result<Judged, TemplateError> {
    let none_ill = || Judged::All { routed: Vec::new() };
    target.findings.extend(other_instances(facts));
    if let Some(why) = facts.sent_elsewhere() {
        target.decide("all mail", "nothing to change here", vec![why]);
        // A table of ours still sends mail its way, past a relay host too.
        return Ok(none_ill());
    }
    let sources = match ipv6_sources(site, facts) {
        Ok(sources) => sources,
        Err(why) => {
            target.decide("all mail", "nothing to change", vec![why]);
            target.findings.extend(ipv6_off(site, providers, facts));
            // IPv6 may be back any time, and then the cure is needed.
            return Ok(Judged::None);
        }
    };
    target.findings.extend(bound_elsewhere(facts));
    let judged: Vec<Strict<'_>> = providers
        .iter()
        .filter_map(|provider| judge(site, provider, &sources, facts))
        .collect();
    let ill: Vec<&Provider> = judged
        .iter()
        .filter(|judged| judged.ill)
        .map(|judged| judged.provider)
        .collect();
    let case = Case {
        providers: &ill,
        site,
        profile,
        facts,
    };
    let choices = if ill.is_empty() {
        Vec::new()
    } else {
        choose(&case)?
    };
    let used = choices.iter().find(|choice| choice.fit.is_ok());
    let needs_ipv4 = used.is_none_or(|choice| choice.id.needs_ipv4());
    for judged in judged {
        let outcome = match used {
            _ if !judged.ill => "keep IPv6".to_owned(),
            Some(choice) => choice.id.sheet().outcome,
            None => "refused over IPv6".to_owned(),
        };
        target.decide(&judged.provider.name, &outcome, judged.why);
    }
    if ill.is_empty() {
        target.findings.extend(ipv4_first(facts));
        return Ok(none_ill());
    }
    if needs_ipv4 && !has_ipv4(site, facts) {
        target.findings.push(
            Finding::error("no-ipv4", "there is no IPv4 to send over instead")
                .because("`inet_protocols` leaves IPv4 out, or no IPv4 address is known")
                .mend(RIGHT_RECORDS),
        );
        return Ok(Judged::None);
    }
    if needs_ipv4 {
        target.findings.extend(ipv4_doubtful(&ill, site, facts));
    }
    target.findings.extend(unanswered(facts));
    let filters = |choice: &Choice| choice.id == RemedyId::ReplyFilter && choice.fit.is_ok();
    if !choices.iter().any(filters) {
        // Its own contribution says it too.
        target.findings.extend(remedy::reply_filter::judged(&case));
    }
    let nothing_fits = used.is_none();
    target.take_all(choices, &case)?;
    if nothing_fits {
        let none = "none of the cures fits this configuration";
        let finding = Finding::error("no-cure", none).mend(RIGHT_RECORDS);
        target.findings.push(finding);
        return Ok(Judged::None);
    }
    let routes = [RemedyId::Ipv4Transport, RemedyId::HostedDomains];
    let ids = ill.iter().map(|provider| provider.id.clone());
    let is_routed = routes.iter().any(|id| target.remedies.contains(id));
    Ok(Judged::All {
        routed: ids.filter(|_| is_routed).collect(),
    })
}

/// Tells that an option keeps mail off IPv6 although mailfix.toml asks for something else.
fn ipv6_off(site: &Site, providers: &[Provider], facts: &Facts) -> Option<Finding> {
    let client = facts.client()?;
    client.option("inet_protocols")?;
    let chosen = site.remedies.as_ref();
    let other = chosen.is_some_and(|chosen| !chosen.contains(&RemedyId::Ipv4Only));
    let keeps = |provider: &Provider| site.wish(&provider.id).ipv6 == Ipv6Wish::Keep;
    if !other && !providers.iter().any(keeps) {
        return None;
    }
    Some(
        Finding::error(
            "ipv6-off",
            format!(
                "`-o inet_protocols` of the service `{}` keeps all mail off IPv6, and mailfix.toml asks for something else",
                client.name
            ),
        )
        .because("whether it is yours or came with the remedy `ipv4-only` cannot be told, so it stays")
        .mend("delete that option in master.cf, or `mailfix undo` the apply that set it; then run `mailfix plan` again"),
    )
}

/// Tells that a setting still sends mail over IPv4 where nothing needs it any more.
fn ipv4_first(facts: &Facts) -> Option<Finding> {
    (facts.of_client("smtp_address_preference") == "ipv4").then(|| {
        Finding::note(
            "ipv4-first",
            "`smtp_address_preference = ipv4` still sends mail over IPv4 where both would do",
        )
        .because("whether it is yours or came with the remedy `address-preference` cannot be told, so it stays")
        .mend("delete it if nothing else needs it, or `mailfix undo` the apply that set it")
    })
}

const RIGHT_RECORDS: &str =
    "give the IPv6 addresses a PTR record that is confirmed forwards, and cover them in SPF";

/// Takes away what an earlier apply brought and nothing wants any more, but for these tables.
fn take_away(target: &mut Target, facts: &Facts, stay: &[&str]) -> Result<(), TemplateError> {
    let mut gone = retire::retire(target, facts, stay)?;
    if !target.lists_hosted_domains() {
        gone.extend(job::retire(target, facts));
    }
    if !gone.is_empty() {
        target.decide("what mailfix set up before", "taken away again", gone);
    }
    Ok(())
}

/// Says that it stays.
fn leave(target: &mut Target, facts: &Facts) {
    let mut left: Vec<&str> = retire::left(target, facts)
        .into_iter()
        .map(|(parameter, _)| parameter)
        .collect();
    left.dedup();
    if !left.is_empty() {
        let why = format!(
            "`{}` still names a table of an earlier apply, which works as before; `mailfix undo` takes it away",
            left.join("` and `")
        );
        target.decide("what mailfix set up before", "left as it is", vec![why]);
    }
}

/// A provider that is strict over IPv6, and what becomes of mail to it.
struct Strict<'a> {
    provider: &'a Provider,
    /// Whether it needs a cure.
    ill: bool,
    why: Vec<String>,
}

fn judge<'a>(
    site: &Site,
    provider: &'a Provider,
    sources: &BTreeSet<IpAddr>,
    facts: &Facts,
) -> Option<Strict<'a>> {
    let demand = provider.demands.ipv6.as_ref()?;
    let judged = |ill, why| Some(Strict { provider, ill, why });
    match site.wish(&provider.id).ipv6 {
        Ipv6Wish::Keep => {
            let why = format!("mailfix.toml says `ipv6 = \"keep\"` for {}", provider.id);
            return judged(false, vec![why]);
        }
        Ipv6Wish::Avoid => {
            let why = format!("mailfix.toml says `ipv6 = \"avoid\"` for {}", provider.id);
            return judged(true, vec![why]);
        }
        Ipv6Wish::Auto => {}
    }
    let mut why = Vec::new();
    let mut doubtful = Vec::new();
    for &address in sources {
        let objections = facts
            .dns
            .objections(address, demand.ptr, demand.authentication);
        if !objections.is_empty() {
            doubtful.push(address);
        }
        why.extend(objections);
    }
    if doubtful.is_empty() {
        let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let why = format!(
            "PTR and SPF are right for every IPv6 address mail leaves from: {}",
            list.join(", ")
        );
        return judged(false, vec![why]);
    }
    why.push(demand.why.clone());
    why.push(remedy::reverse_dns::outlook(site, &doubtful, facts));
    judged(true, why)
}

impl Target {
    fn decide(&mut self, about: &str, outcome: &str, why: Vec<String>) {
        self.decisions.push(Decision {
            about: about.to_owned(),
            outcome: outcome.to_owned(),
            why,
        });
    }

    /// All mail leaves through clients in the jail, once Postfix has read its files again.
    fn fill_jail(&mut self, profile: &Profile, facts: &Facts) {
        let filling = remedy::chroot::filling(profile, facts);
        self.copies = filling.copies;
        self.refusals.extend(filling.refusal);
    }

    /// Takes what fits of the remedies considered; one that mailfix.toml asks for has to fit.
    fn take_all(&mut self, choices: Vec<Choice>, case: &Case<'_>) -> Result<(), TemplateError> {
        let asked_for = case.site.remedies.is_some();
        for choice in choices {
            let title = choice.id.sheet().title;
            match choice.fit {
                Ok(contribution) => {
                    self.remedies.push(choice.id);
                    let (outcome, reasons) = self.take(contribution, case)?;
                    self.decide(&title, &outcome, reasons);
                }
                Err(why) => {
                    if asked_for {
                        self.findings.push(
                            Finding::error(
                                "remedy-unfit",
                                format!(
                                    "mailfix.toml asks for `{}`, which does not fit",
                                    choice.id
                                ),
                            )
                            .because(why.clone())
                            .mend("`mailfix remedies` shows those that do"),
                        );
                    }
                    self.decide(&title, "left out", vec![why]);
                }
            }
        }
        Ok(())
    }

    /// Takes what a remedy adds; gives the words about it, outcome and reasons.
    fn take(
        &mut self,
        contribution: Contribution,
        case: &Case<'_>,
    ) -> Result<(String, Vec<String>), TemplateError> {
        self.settings.extend(contribution.settings);
        self.services.extend(contribution.services);
        self.tables.extend(contribution.tables);
        for finding in contribution.findings {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        if !contribution.routes.is_empty() {
            self.routes.extend(contribution.routes);
            self.route(case)?;
        }
        Ok((contribution.outcome, contribution.reasons))
    }

    /// Has the one table hold all entries that there are by now.
    fn route(&mut self, case: &Case<'_>) -> Result<(), TemplateError> {
        let made = own_transport::table(&self.routes, case.profile, case.facts)?;
        let Some((table, setting)) = made else {
            return Ok(());
        };
        let mut tables = self.tables.iter_mut();
        if let Some(known) = tables.find(|known| known.file == table.file) {
            *known = table;
        } else {
            self.tables.push(table);
            self.settings.push(setting);
        }
        Ok(())
    }

    /// Keeps a reply filter of ours away from the clients without IPv6 that are made with it.
    fn spare(&mut self, facts: &Facts) {
        let is_filter =
            |setting: &Setting| matches!(setting, Setting::Is { name, .. } if name == REPLY_FILTER);
        if !self.settings.iter().any(is_filter) {
            return;
        }
        for service in &mut self.services {
            if let Ensure::Whole(text) = &mut service.ensure
                && MasterCf::parse(text.as_bytes())
                    .services()
                    .any(own_transport::is_ipv4_only)
            {
                let value = remedy::reply_filter::without_ipv6(facts);
                *text = format!("{text}    -o {REPLY_FILTER}={value}\n");
            }
        }
    }

    /// Tells whether a parameter shall name this table of ours.
    fn wants(&self, parameter: &str, table: &str) -> bool {
        self.settings.iter().any(|setting| match setting {
            Setting::Has { name, item } => name == parameter && item == table,
            Setting::Is { name, value } => name == parameter && value == table,
            Setting::Lacks { .. } | Setting::Unset { .. } => false,
        })
    }

    /// Tells whether a table of ours sends mail to this service.
    fn uses_service(&self, name: &str) -> bool {
        let route = format!("{name}:");
        let mut samples = self.tables.iter().flat_map(|table| &table.samples);
        samples.any(|(_, value)| *value == route)
            || self
                .services
                .iter()
                .any(|service| service.name == name && !is_spared(service))
    }

    /// Tells whether nothing has to hold or to go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && self.services.is_empty()
            && self.tables.is_empty()
            && self.leftovers.is_empty()
            && self.rewriter.is_none()
            && self.job == Job::AsItIs
            && self.signing.is_none()
    }

    /// Tells whether the domains that providers host are listed one by one.
    #[must_use]
    pub fn lists_hosted_domains(&self) -> bool {
        self.remedies.contains(&RemedyId::HostedDomains)
    }

    /// The same with nothing to hold but the table that lists these domains.
    #[must_use]
    pub fn of_hosted_domains(&self) -> Self {
        let title = RemedyId::HostedDomains.sheet().title;
        let decisions = self.decisions.iter();
        Self {
            tables: self
                .tables
                .iter()
                .filter(|table| table.file == own_transport::FILE)
                .cloned()
                .collect(),
            decisions: decisions
                .filter(|decision| decision.about == title)
                .cloned()
                .collect(),
            findings: self.findings.clone(),
            remedies: self.remedies.clone(),
            ..Self::default()
        }
    }
}

/// Tells whether a service is only touched to keep a reply filter of ours away from it.
fn is_spared(service: &ServiceWanted) -> bool {
    matches!(&service.ensure, Ensure::Words { chroot: None, options }
        if options.iter().all(|(name, _)| name == REPLY_FILTER))
}

/// Names the other instances: mail that leaves through one of them is not looked at here.
fn other_instances(facts: &Facts) -> Option<Finding> {
    let others: Vec<String> = facts
        .instances
        .iter()
        .filter(|instance| **instance != facts.config)
        .map(|instance| format!("`{instance}`"))
        .collect();
    (!others.is_empty()).then(|| {
        Finding::note(
            "other-instances",
            format!("Postfix has more instances: {}", others.join(", ")),
        )
        .because(format!(
            "all this is about `{}` alone; mail that leaves through another instance leaves as it did",
            facts.config
        ))
        .mend("run mailfix with a profile of your own for each instance that sends to the outside")
    })
}

/// Tables and lists of the administrator's that say where mail goes and gave no answer.
fn unanswered(facts: &Facts) -> Vec<Finding> {
    let unanswered = &facts.routes.unanswered;
    let finding = |(table, said): &(String, String)| {
        Finding::warning(
            "table-unanswered",
            format!("`{table}` could not be asked: {said}"),
        )
        .because(if facts.routes.own_unread.contains(table) {
            "domains it lists are this host's own, and their mail must not be sent away: so no further domain is listed as hosted elsewhere"
        } else {
            "where it has an entry for one of these domains, that entry wins over ours"
        })
    };
    unanswered.iter().map(finding).collect()
}

/// The path of a table's source.
#[must_use]
pub fn table_path(facts: &Facts, table: &TableWanted) -> Utf8PathBuf {
    facts.own_folder().join(&table.file)
}

#[cfg(test)]
mod tests;
