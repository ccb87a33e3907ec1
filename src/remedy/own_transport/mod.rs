//! A client of its own for mail to a provider: an smtp(8) service like the host's, but for what is
//! wanted of it, and the transport table that sends recipient domains there.
//!
//! Owns how such a service is named, made, found again and told from others. A domain has one
//! transport only, so one service does all that is wanted for its mail. What the administrator
//! has routed already stays as it is, and what is half done by hand is completed. Must not know
//! the remedies, nor why any of it is wanted.

mod limits;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::finding::Finding;
use crate::host::{ANYBODY, Facts, REPLY_FILTER, Route, TRANSPORT};
use crate::postfix::{Field, MasterCf, Service, ServiceType, Version};
use crate::profile::Profile;
use crate::provider::{Limits, Provider};
use crate::remedy::interfaces::ipv4_interfaces;
use crate::remedy::{Case, Contribution, Fit, Named, chroot, named};
use crate::target::{Ensure, ServiceWanted, Setting, TableWanted};
use crate::template::{self, TemplateError};

use limits::{limits, no_more_connections, process_limit};
pub use limits::{own_limits, pauses_for_all};

/// The name of a service that only keeps off IPv6; a number follows where it is taken.
const NAME: &str = "smtp-ipv4";

/// How many domains are named where there may be hundreds.
const SHOWN: usize = 8;

/// The name of the table's file and template.
pub const FILE: &str = TRANSPORT;

/// The parameter that names the table.
const PARAMETER: &str = "transport_maps";

/// Options of the host's own client that an IPv4-only one must not have: it sets its own
/// protocols, an IPv6 source address means nothing to it, and with no AAAA
/// record ever asked for there is nothing to filter.
const NOT_COPIED: [&str; 4] = [
    "inet_protocols",
    "smtp_bind_address6",
    "smtp_address_preference",
    "smtp_dns_reply_filter",
];

/// The first version in which `-o { name = value }` is understood (master(5)).
const BRACES: Version = Version::new(3, 0, 0);

/// What is wanted of a client beside being like the host's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client<'a> {
    /// It never uses IPv6.
    pub ipv4_only: bool,
    /// It keeps to what this provider takes at a time.
    pub paced: Option<&'a Provider>,
}

/// The client that keeps off IPv6, and does nothing else.
pub(super) const IPV4_ONLY: Client<'static> = Client {
    ipv4_only: true,
    paced: None,
};

/// Mail that shall go through a client of its own.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    /// Whose mail it is, as people call them.
    pub whose: String,
    /// Its recipient domains.
    pub domains: Vec<String>,
    /// The client.
    pub client: Client<'a>,
}

/// Recipient domains, and the service that takes their mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Whose they are, as people call them.
    pub whose: String,
    /// The domains.
    pub domains: Vec<String>,
    /// The service.
    pub service: String,
    /// Whether it never uses IPv6.
    pub ipv4_only: bool,
}

#[derive(Serialize)]
struct ServiceVariables {
    columns: String,
    options: Vec<String>,
    own: Vec<(String, String)>,
}

#[derive(Serialize)]
struct TableVariables {
    how: &'static str,
    providers: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    service: String,
    domains: Vec<String>,
}

impl<'a> Wanted<'a> {
    /// Wants all mail to a provider there, at the pace that the site file wishes, and with it that
    /// to domains it hosts: these, and where a pace is wished those that the site file names.
    pub(super) fn of(
        provider: &'a Provider,
        hosted: Vec<String>,
        ipv4_only: bool,
        case: &Case<'_>,
    ) -> Self {
        let is_gentle = case.site.is_gentle_to(&provider.id);
        let mut domains = provider.domains.clone();
        domains.extend(hosted);
        if is_gentle {
            domains.extend(case.site.wish(&provider.id).hosted_domains);
        }
        Self {
            whose: provider.name.clone(),
            domains,
            client: Client {
                ipv4_only,
                paced: Some(provider).filter(|_| is_gentle),
            },
        }
    }
}

impl<'a> Client<'a> {
    /// The name of its service: a number follows where it is taken.
    pub(super) fn name(self) -> String {
        match (self.paced, self.ipv4_only) {
            (None, _) => NAME.to_owned(),
            (Some(provider), false) => format!("smtp-{}", provider.id),
            (Some(provider), true) => format!("smtp-{}-ipv4", provider.id),
        }
    }

    /// Tells whether a service may have got its name from this.
    fn is_named(self, service: &str) -> bool {
        let rest = service.strip_prefix(self.name().as_str());
        let is_number = |number: &str| number.parse::<usize>().is_ok();
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(is_number))
    }

    /// Tells whether a service does what is wanted, whatever else it does.
    fn is_done_by(self, service: &Service) -> bool {
        service.command == "smtp"
            && (!self.ipv4_only || is_ipv4_only(service))
            && self
                .limits()
                .is_none_or(|limits| limits.connections.is_none() || processes(service).is_some())
    }

    /// Tells whether a service does just what is wanted.
    fn is(self, service: &Service) -> bool {
        self.is_done_by(service) && (self.ipv4_only || !is_ipv4_only(service))
    }

    fn limits(self) -> Option<&'a Limits> {
        self.paced.and_then(Provider::pace)
    }

    /// What a service that does it is said to do already.
    fn in_words(self) -> &'static str {
        match (self.ipv4_only, self.paced.is_some()) {
            (true, false) => "over IPv4 only",
            (_, true) => "through a client that runs only so often",
            (false, false) => "through a client of its own",
        }
    }
}

/// The clients that a service may have been made for, by its name.
pub(super) fn clients_named(service: &str) -> Vec<Client<'static>> {
    let paced = Provider::brought().iter();
    let paced = paced.filter(|provider| provider.pace().is_some());
    let paced = paced.flat_map(|provider| {
        [false, true].map(|ipv4_only| Client {
            ipv4_only,
            paced: Some(provider),
        })
    });
    paced.filter(|client| client.is_named(service)).collect()
}

/// Gives what it takes to send all of it through clients of their own, or why that does not fit.
///
/// `soon` are changes of services that the same plan makes: a copy is one of what will be there.
///
/// # Errors
/// When a template cannot be rendered.
pub(super) fn fit(case: &Case<'_>, wanted: Vec<Wanted<'_>>, soon: &[ServiceWanted]) -> Fit {
    let Case { profile, facts, .. } = *case;
    if let Some(why) = overrides(facts) {
        return Ok(Err(why));
    }
    if place(profile, facts).is_none() {
        return Ok(Err(no_type(profile, facts)));
    }
    let mut contribution = Contribution::default();
    let mut outcomes = Vec::new();
    let mut groups = sorted(wanted, facts, &mut contribution.findings);
    groups.retain(|group| !group.entries.is_empty() || group.by_hand.is_some());
    if groups.is_empty() {
        "your own entries decide".clone_into(&mut contribution.outcome);
        return Ok(Ok(contribution));
    }
    let letter = chroot::letter(facts.service("smtp", &ServiceType::Unix), profile, facts);
    for group in groups {
        let mut client = group.client;
        let name = group.by_hand.unwrap_or_else(|| free_name(client, facts));
        let is_ours = client.paced.is_none() || client.is_named(&name);
        if !is_ours {
            // Whoever made it by hand has given it the figures it shall have.
            client.paced = None;
        }
        let present = facts.service(&name, &ServiceType::Unix);
        let missed = present.and_then(|present| chroot::missed(present, profile, facts));
        let (service, reasons) = service(&name, client, letter.clone(), missed, facts, soon)?;
        for reason in reasons {
            if !contribution.reasons.contains(&reason) {
                contribution.reasons.push(reason);
            }
        }
        contribution.services.extend(service);
        contribution.settings.extend(limits(&name, client, facts));
        contribution
            .findings
            .extend(limits::differing(&name, client, facts));
        if group.entries.is_empty() {
            outcomes.push(format!("`{name}` is there already"));
            continue;
        }
        let listed: Vec<String> = group
            .entries
            .iter()
            .flat_map(|(_, domains)| domains.clone())
            .collect();
        outcomes.push(format!("`{name}` takes mail to {}", few(&listed)));
        contribution
            .routes
            .extend(group.entries.into_iter().map(|(whose, domains)| Routed {
                whose,
                domains,
                service: name.clone(),
                ipv4_only: client.ipv4_only,
            }));
    }
    contribution.outcome = outcomes.join("; ");
    Ok(Ok(contribution))
}

/// Mail that one client takes.
struct Group<'a> {
    client: Client<'a>,
    /// Whose mail, and the domains.
    entries: Vec<(String, Vec<String>)>,
    /// The service that the administrator's own entries send a part of it to.
    by_hand: Option<String>,
}

/// Sorts the domains by client; tells of those that the administrator has routed.
fn sorted<'a>(
    wanted: Vec<Wanted<'a>>,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for Wanted {
        whose,
        domains,
        client,
    } in wanted
    {
        let at = groups.iter().position(|group| group.client == client);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                client,
                entries: Vec::new(),
                by_hand: None,
            });
            groups.len() - 1
        });
        let mut taken: Vec<String> = Vec::new();
        for domain in domains {
            if !seen.insert(domain.clone()) {
                continue;
            }
            if let Some(parameter) = facts.routes.own.get(&domain) {
                findings.push(own_domain(&domain, parameter, &whose, true));
                continue;
            }
            let Some(route) = facts.routes.domains.get(&domain) else {
                taken.push(domain);
                continue;
            };
            match way(route, &domain, client, facts) {
                Way::Done(name) => {
                    findings.push(Finding::note(
                        "already-routed",
                        format!(
                            "`{}` sends `{domain}` {} already",
                            route.table,
                            client.in_words()
                        ),
                    ));
                    groups[at].by_hand.get_or_insert(name);
                }
                Way::Missing(name) => {
                    findings.push(Finding::note(
                        "half-routed",
                        format!("`{}` sends `{domain}` to `{name}`, a service that is missing and is made", route.table),
                    ));
                    groups[at].by_hand.get_or_insert(name);
                }
                Way::Elsewhere => findings.push(left_alone(route, &domain, client)),
            }
        }
        if !taken.is_empty() {
            groups[at].entries.push((whose, taken));
        }
    }
    groups
}

/// The table that holds all these entries, and the setting that names it; neither where there is
/// no entry, or no type to write it in.
///
/// # Errors
/// When its template cannot be rendered.
pub fn table(
    routes: &[Routed],
    profile: &Profile,
    facts: &Facts,
) -> Result<Option<(TableWanted, Setting)>, TemplateError> {
    let Some(Named { kind, item }) = place(profile, facts).filter(|_| !routes.is_empty()) else {
        return Ok(None);
    };
    let samples = routes.iter().flat_map(|route| {
        let domains = route.domains.iter();
        domains.map(|domain| (domain.clone(), format!("{}:", route.service)))
    });
    let entries = routes.iter().map(|route| Entry {
        name: route.whose.clone(),
        service: route.service.clone(),
        domains: route.domains.clone(),
    });
    let variables = TableVariables {
        how: if routes.iter().all(|route| route.ipv4_only) {
            "over IPv4 only"
        } else {
            "through clients of their own"
        },
        providers: entries.collect(),
    };
    let table = TableWanted {
        file: FILE.to_owned(),
        kind,
        text: template::render(FILE, &variables)?,
        samples: samples.collect(),
    };
    let setting = Setting::Has {
        name: PARAMETER.to_owned(),
        item,
    };
    Ok(Some((table, setting)))
}

/// Tells whether a service means just what a new one of that name would.
///
/// # Errors
/// When the template cannot be rendered.
pub fn is_as_made(name: &str, facts: &Facts) -> Result<bool, TemplateError> {
    let Some(present) = facts.service(name, &ServiceType::Unix) else {
        return Ok(false);
    };
    let mut without = facts.clone();
    without
        .services
        .retain(|service| !service.is(name, &ServiceType::Unix));
    let clients = clients_named(name).into_iter().chain([IPV4_ONLY]);
    // The jail may have been filled, or emptied, since.
    for (client, letter) in clients.flat_map(|client| [(client, 'n'), (client, 'y')]) {
        let (made, _) = service(name, client, (letter, String::new()), None, &without, &[])?;
        let Some(Ensure::Whole(text)) = made.map(|made| made.ensure) else {
            continue;
        };
        let mut made = MasterCf::parse(text.as_bytes());
        // A reply filter is taken away from such a service behind our back.
        let spared = present.option(REPLY_FILTER).is_none_or(|value| {
            made.set_option(name, &ServiceType::Unix, REPLY_FILTER, value)
                .is_ok()
        });
        if spared && made.services().any(|made| made.same_meaning(present)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells whether entries of the administrator's send a provider's domains over IPv4 only.
#[must_use]
pub fn is_by_hand(facts: &Facts) -> bool {
    let mut routes = facts.routes.domains.iter();
    routes.any(|(domain, route)| matches!(way(route, domain, IPV4_ONLY, facts), Way::Done(_)))
}

/// The entries of the table as it is that lead to a service without IPv6: domain and service.
pub fn over_ipv4(facts: &Facts) -> impl Iterator<Item = (&str, &str)> {
    let entries = facts.own.transport.iter();
    entries.filter_map(|(domain, value)| {
        let name = value.split(':').next().unwrap_or_default();
        let service = facts.service(name, &ServiceType::Unix)?;
        is_ipv4_only(service).then_some((domain.as_str(), name))
    })
}

/// Tells whether a service is named as one that keeps to a provider's limits, to those of this one
/// if one is given.
#[must_use]
pub fn is_paced(service: &str, by: Option<&Provider>) -> bool {
    let clients = clients_named(service).into_iter();
    let mut paced = clients.filter_map(|client| client.paced);
    paced.any(|paced| by.is_none_or(|by| by.id == paced.id))
}

/// Tells whether the host's own client is told to use IPv4 only, once a plan has changed it.
pub(super) fn is_client_ipv4_only(facts: &Facts, soon: &[ServiceWanted]) -> bool {
    let smtp = facts.service("smtp", &ServiceType::Unix);
    let options = overrides_of(smtp, soon);
    let protocols = options.iter().rfind(|(name, _)| name == "inet_protocols");
    protocols.is_some_and(|(_, value)| value == "ipv4")
}

/// Tells of a domain that is this host's own, and so is not sent away.
pub(super) fn own_domain(domain: &str, parameter: &str, name: &str, is_declared: bool) -> Finding {
    let found = format!(
        "`{domain}` is in `{parameter}`, so it is not listed among the domains that {name} hosts"
    );
    let finding = if is_declared {
        Finding::warning("own-domain", found)
            .mend("take it out of `hosted_domains` in mailfix.toml, or out of that list")
    } else {
        Finding::note("own-domain", found)
    };
    finding.because(
        "a transport entry would send its mail away, which Postfix now takes care of itself",
    )
}

/// Lists names, and where there are many the first of them and how many more.
fn few(names: &[String]) -> String {
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Names what a transport entry of ours would override, if anything.
fn overrides(facts: &Facts) -> Option<String> {
    let set = |name: &str| {
        let value = facts.parameters.get(name);
        (!value.is_empty()).then_some(value)
    };
    for name in [
        "sender_dependent_default_transport_maps",
        "sender_dependent_relayhost_maps",
    ] {
        if let Some(value) = set(name) {
            return Some(format!(
                "`{name} = {value}` chooses the way by sender, and a transport entry would override it"
            ));
        }
    }
    if let Some(value) = set("content_filter") {
        return Some(format!(
            "`content_filter = {value}` decides the way of mail, and a transport entry would meddle with it"
        ));
    }
    let transport = facts.default_transport();
    if transport == "smtp" {
        return None;
    }
    let setting = match &facts.routes.rest {
        Some(rest) if rest.value.starts_with(&transport) => {
            format!("`*` in `{}`", rest.table)
        }
        _ => "`default_transport`".to_owned(),
    };
    Some(format!(
        "{setting} sends mail through the service `{transport}`, and a transport entry would override it"
    ))
}

/// How the table is named, or would be.
fn place(profile: &Profile, facts: &Facts) -> Option<Named> {
    let path = facts.own_folder().join(FILE);
    named(facts, PARAMETER, &path).or_else(|| {
        let kind = table_type(profile, facts)?;
        let item = format!("{kind}:{path}");
        Some(Named { kind, item })
    })
}

/// The host's own default, if the profile has it among its types; else the first that works.
///
/// `texthash` is the last resort and enough of one: every Postfix that has `inline` has it too.
fn table_type(profile: &Profile, facts: &Facts) -> Option<String> {
    let has = |kind: &str| facts.table_types.contains(kind);
    let default = facts.parameters.get("default_database_type");
    if profile.tables.contains(&default) && has(&default) {
        return Some(default);
    }
    profile.tables.iter().find(|kind| has(kind)).cloned()
}

/// Says that there is no type to write a table in, and what would bring one.
fn no_type(profile: &Profile, facts: &Facts) -> String {
    let types = profile.tables.join(", ");
    let brings = facts.packages.as_ref().and_then(|packages| {
        profile
            .tables
            .iter()
            .find_map(|kind| packages.install(kind))
    });
    match brings {
        Some(command) => {
            format!("none of the table types {types} works here; `{command}` brings one")
        }
        None => format!("none of the table types {types} works here"),
    }
}

fn left_alone(route: &Route, domain: &str, client: Client<'_>) -> Finding {
    let trouble = if client.ipv4_only {
        "is refused over IPv6"
    } else {
        "is put off for coming too fast"
    };
    Finding::warning(
        "own-route",
        format!(
            "`{}` routes `{domain}` to `{}`, which stays as it is",
            route.table, route.value
        ),
    )
    .because(format!(
        "{} is yours and wins over any of ours",
        match &route.key {
            key if key.starts_with(ANYBODY) => format!("the entry for every address of `{domain}`"),
            key => format!("the entry for `{key}`"),
        }
    ))
    .mend(format!(
        "if mail to `{domain}` {trouble}, remove that entry and run `mailfix plan` again"
    ))
}

/// Where a route of the administrator's leads.
enum Way {
    /// To a service that does what ours would.
    Done(String),
    /// To a service of our name, which master.cf does not have: half of it.
    Missing(String),
    /// Somewhere else, on purpose.
    Elsewhere,
}

fn way(route: &Route, domain: &str, client: Client<'_>, facts: &Facts) -> Way {
    let (transport, nexthop) = route.value.split_once(':').unwrap_or((&route.value, ""));
    if !(nexthop.is_empty() || nexthop.eq_ignore_ascii_case(domain)) {
        return Way::Elsewhere;
    }
    match facts.service(transport, &ServiceType::Unix) {
        Some(service) if client.is_done_by(service) => Way::Done(transport.to_owned()),
        None if transport == client.name() => Way::Missing(transport.to_owned()),
        _ => Way::Elsewhere,
    }
}

/// Tells whether a service is an smtp(8) client that is told to use IPv4 only.
pub(crate) fn is_ipv4_only(service: &Service) -> bool {
    service.command == "smtp" && service.option("inet_protocols") == Some("ipv4")
}

/// How many processes of a service may run at once, if it says so; 0 is as many as there is room
/// for (master(5)).
fn processes(service: &Service) -> Option<u32> {
    service
        .process_limit
        .parse()
        .ok()
        .filter(|limit| *limit > 0)
}

/// The first of `smtp-ipv4`, `smtp-ipv4-2`, … that is free or means the same already.
fn free_name(client: Client<'_>, facts: &Facts) -> String {
    let name = client.name();
    let usable = |name: &String| {
        let present = facts.service(name, &ServiceType::Unix);
        present.is_none_or(|present| client.is(present))
    };
    // Of one name more than there are services, one is free.
    let numbered = (2..facts.services.len() + 2).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(usable)
        .unwrap_or_else(|| name.clone())
}

/// What master.cf must say of our service, and the words why: the letter of a new one, and
/// what one that is there misses in its jail.
fn service(
    name: &str,
    client: Client<'_>,
    (letter, why): (char, String),
    missed: Option<String>,
    facts: &Facts,
    soon: &[ServiceWanted],
) -> Result<(Option<ServiceWanted>, Vec<String>), TemplateError> {
    let smtp = facts.service("smtp", &ServiceType::Unix);
    // A service that is there has options of its own; a new one takes those of `smtp`.
    let like = facts.service(name, &ServiceType::Unix).or(smtp);
    let interfaces = if client.ipv4_only {
        ipv4_interfaces(like, facts)
    } else {
        Vec::new()
    };
    let mut reasons = vec![why];
    if !interfaces.is_empty() {
        reasons.push(format!(
            "`inet_interfaces` or `proxy_interfaces` names an IPv6 address, at which a client without IPv6 dies: `{name}` gets the IPv4 ones only"
        ));
    }
    let wanted = |ensure| ServiceWanted {
        name: name.to_owned(),
        kind: ServiceType::Unix,
        ensure,
    };
    if facts.service(name, &ServiceType::Unix).is_some() {
        // It is there already, ours or made by hand: only what would make it fail is mended.
        let mut reasons = reasons.split_off(1);
        let letter = missed.is_some().then_some('n');
        reasons.extend(missed.map(|missed| {
            format!("`{name}` runs chrooted, {missed}: its chroot column becomes `n`")
        }));
        if letter.is_none() && interfaces.is_empty() {
            return Ok((None, Vec::new()));
        }
        return Ok((
            Some(wanted(Ensure::Words {
                chroot: letter,
                options: interfaces,
            })),
            reasons,
        ));
    }
    let mut own = Vec::new();
    if client.ipv4_only {
        own.push(("inet_protocols".to_owned(), "ipv4".to_owned()));
    }
    own.extend(interfaces);
    own.extend(no_more_connections(client, facts));
    let is_replaced = |name: &str| {
        (client.ipv4_only && NOT_COPIED.contains(&name)) || own.iter().any(|(own, _)| own == name)
    };
    let options = overrides_of(smtp, soon).into_iter();
    let options = options.filter(|(name, _)| !is_replaced(name));
    let field = |field: Field| smtp.map_or("-", |smtp| smtp.field(field)).to_owned();
    let variables = ServiceVariables {
        // As wide as the columns of the master.cf that Postfix comes with.
        columns: format!(
            "{name:<9} unix  {:<7} {:<7} {letter:<7} {:<7} {:<7}",
            field(Field::Private),
            field(Field::Unprivileged),
            field(Field::Wakeup),
            process_limit(client, smtp, facts),
        ),
        options: options
            .map(|(name, value)| written(&name, &value, facts.version))
            .collect(),
        own,
    };
    let text = template::render("service.cf", &variables)?;
    Ok((Some(wanted(Ensure::Whole(text))), reasons))
}

/// The options of the host's own client, as they will be.
fn overrides_of(smtp: Option<&Service>, soon: &[ServiceWanted]) -> Vec<(String, String)> {
    let Some(smtp) = smtp else {
        return Vec::new();
    };
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut options: Vec<(String, String)> = smtp.overrides().map(owned).collect();
    let soon = soon
        .iter()
        .filter(|soon| smtp.is(&soon.name, &soon.kind))
        .filter_map(|soon| match &soon.ensure {
            Ensure::Words { options, .. } => Some(options),
            Ensure::Whole(_) | Ensure::Absent => None,
        });
    for (name, value) in soon.flatten() {
        match options.iter_mut().rfind(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => options.push((name.clone(), value.clone())),
        }
    }
    options
}

/// An option as this version reads it.
fn written(name: &str, value: &str, version: Version) -> String {
    if value.contains([' ', '\t']) && version >= BRACES {
        format!("{{ {name} = {value} }}")
    } else {
        format!("{name}={value}")
    }
}

#[cfg(test)]
mod tests;
