//! The target: what should hold on the host.
//!
//! Owns the decision per provider, made of the site file, the profile, the
//! provider's demands and the facts, and the words that explain it.
//! Must not know files, the machine or the resolver: the same facts always give
//! the same target, so a second run changes nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::address::Scope;
use crate::finding::Finding;
use crate::host::{Facts, Origin};
use crate::postfix::ServiceType;
use crate::postfix::table::index_suffixes;
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::{self, Contribution};
use crate::site::{Control, Ipv6Wish, Site};
use crate::template::TemplateError;

/// What should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// Services of master.cf.
    pub services: Vec<ServiceWanted>,
    /// Tables of our own.
    pub tables: Vec<TableWanted>,
    /// What was decided, for whom and why.
    pub decisions: Vec<Decision>,
    /// What was noticed and left alone.
    pub findings: Vec<Finding>,
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
    /// It is not set.
    Unset {
        /// The parameter.
        name: String,
    },
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
    target.findings.extend(other_instances(facts));
    if let Some(why) = sent_elsewhere(facts) {
        target.decide("all mail", "nothing to change here", vec![why]);
        return Ok(target);
    }
    let strict: Vec<&Provider> = providers
        .iter()
        .filter(|provider| provider.demands.ipv6.is_some())
        .collect();
    let sources = match ipv6_sources(site, facts) {
        Ok(sources) => sources,
        Err(why) => {
            target.decide("all mail", "nothing to change", vec![why]);
            return Ok(target);
        }
    };
    let cured: Vec<&Provider> = strict
        .into_iter()
        .filter(|provider| needs_cure(site, provider, &sources, facts, &mut target))
        .collect();
    if cured.is_empty() {
        if is_in_place(facts) {
            let why =
                "the IPv4 cure of an earlier apply is still in place; `mailfix undo` takes it away";
            target.decide("what mailfix set up", "left as it is", vec![why.to_owned()]);
        }
        return Ok(target);
    }
    if !has_ipv4(site, facts) {
        target.findings.push(
            Finding::error("no-ipv4", "there is no IPv4 to send over instead")
                .because("`inet_protocols` leaves IPv4 out, or no IPv4 address is known")
                .mend("give the IPv6 addresses a PTR record that is confirmed forwards, and cover them in SPF"),
        );
        return Ok(target);
    }
    let filter = remedy::dns_filter::fit(&cured, facts)?;
    let filtered = filter.is_ok();
    let hosted = |provider: &Provider| {
        if filtered {
            Vec::new()
        } else {
            site.wish(&provider.id).hosted_domains
        }
    };
    let transport = remedy::ipv4_transport::fit(&cured, hosted, profile, facts)?;
    let nothing_left = transport.is_err() && !filtered;
    target.findings.extend(unanswered(facts));
    for (name, outcome) in [("IPv4 transport", transport), ("DNS reply filter", filter)] {
        match outcome {
            Ok(contribution) => target.take(name, contribution),
            Err(why) => target.decide(name, "left out", vec![why]),
        }
    }
    if nothing_left {
        target.findings.push(
            Finding::error("no-cure", "none of the cures fits this configuration")
                .mend("give the IPv6 addresses a PTR record that is confirmed forwards, and cover them in SPF"),
        );
    }
    Ok(target)
}

impl Target {
    fn decide(&mut self, about: &str, outcome: &str, why: Vec<String>) {
        self.decisions.push(Decision {
            about: about.to_owned(),
            outcome: outcome.to_owned(),
            why,
        });
    }

    fn take(&mut self, name: &str, contribution: Contribution) {
        self.settings.extend(contribution.settings);
        self.services.extend(contribution.services);
        self.tables.extend(contribution.tables);
        self.findings.extend(contribution.findings);
        self.decide(name, &contribution.outcome, contribution.reasons);
    }

    /// Tells whether nothing has to hold that mailfix would bring.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.services.is_empty() && self.tables.is_empty()
    }
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

/// Says why mail does not leave from here to the receivers themselves, if it does not.
fn sent_elsewhere(facts: &Facts) -> Option<String> {
    let relayhost = facts.parameters.get("relayhost");
    if !relayhost.is_empty() {
        return Some(format!(
            "`relayhost = {relayhost}` hands all mail to that host: what receivers see is its address, and the cure belongs there"
        ));
    }
    let default = facts.parameters.get("default_transport");
    let (transport, nexthop) = default.split_once(':').unwrap_or((&default, ""));
    if transport == "error" || transport == "retry" || transport == "discard" {
        return Some(format!(
            "`default_transport = {default}` sends nothing to the outside"
        ));
    }
    if !nexthop.is_empty() {
        return Some(format!(
            "`default_transport = {default}` hands all mail to that host: the cure belongs there"
        ));
    }
    let rest = facts.routes.rest.as_ref()?;
    let (transport, nexthop) = rest.value.split_once(':').unwrap_or((&rest.value, ""));
    if !nexthop.is_empty() || matches!(transport, "error" | "retry" | "discard") {
        return Some(format!(
            "`{}` sends all other mail to `{}`: the cure belongs on that host",
            rest.table, rest.value
        ));
    }
    None
}

/// Tables of the administrator's that say where mail goes and gave no answer.
fn unanswered(facts: &Facts) -> Vec<Finding> {
    let unanswered = &facts.routes.unanswered;
    let finding = |(table, said): &(String, String)| {
        Finding::warning(
            "table-unanswered",
            format!("`{table}` could not be asked: {said}"),
        )
        .because("where it has an entry for one of these domains, that entry wins over ours")
    };
    unanswered.iter().map(finding).collect()
}

/// Tells whether main.cf names a table of ours.
fn is_in_place(facts: &Facts) -> bool {
    let own = format!(":{}/", facts.own_folder());
    ["transport_maps", "smtp_dns_reply_filter"]
        .iter()
        .any(|name| facts.parameters.get(name).contains(&own))
}

/// The IPv6 addresses mail can leave from, or why it cannot leave over IPv6.
///
/// # Errors
/// With the reason, when IPv6 is out of use.
pub fn ipv6_sources(site: &Site, facts: &Facts) -> Result<BTreeSet<IpAddr>, String> {
    // An option of the service wins over main.cf, in both directions (master(5)).
    let own = facts.of_client("inet_protocols");
    if !protocols(&own).contains("ipv6") {
        let has_option = facts
            .client()
            .is_some_and(|client| client.option("inet_protocols").is_some());
        return Err(if has_option {
            format!(
                "the `{}` service has `-o inet_protocols={own}`: mail goes over IPv4 only",
                facts.default_transport()
            )
        } else {
            "`inet_protocols` leaves IPv6 out: mail goes over IPv4 only".to_owned()
        });
    }
    let bound = facts.of_client("smtp_bind_address6");
    if let Ok(address) = bound.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(BTreeSet::from([address]));
    }
    let listed = site.server.ipv6.iter().map(|&address| IpAddr::V6(address));
    let found = facts.addresses.iter().copied().filter(|address| {
        address.is_ipv6() && (site.allow_non_global || Scope::of(*address).is_global())
    });
    let sources: BTreeSet<IpAddr> = listed.chain(found).collect();
    if sources.is_empty() {
        return Err("this host has no IPv6 address: mail goes over IPv4 only".to_owned());
    }
    Ok(sources)
}

fn protocols(value: &str) -> BTreeSet<&str> {
    let mut protocols: BTreeSet<&str> = value
        .split([',', ' ', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    if protocols.contains("all") {
        protocols.extend(["ipv4", "ipv6"]);
    }
    protocols
}

fn has_ipv4(site: &Site, facts: &Facts) -> bool {
    let usable = protocols(&facts.parameters.get("inet_protocols")).contains("ipv4");
    usable && (!site.server.ipv4.is_empty() || facts.addresses.iter().any(IpAddr::is_ipv4))
}

fn needs_cure(
    site: &Site,
    provider: &Provider,
    sources: &BTreeSet<IpAddr>,
    facts: &Facts,
    target: &mut Target,
) -> bool {
    let Some(demand) = &provider.demands.ipv6 else {
        return false;
    };
    match site.wish(&provider.id).ipv6 {
        Ipv6Wish::Keep => {
            let why = format!("mailfix.toml says `ipv6 = \"keep\"` for {}", provider.id);
            target.decide(&provider.name, "keep IPv6", vec![why]);
            return false;
        }
        Ipv6Wish::Avoid => {
            let why = format!("mailfix.toml says `ipv6 = \"avoid\"` for {}", provider.id);
            target.decide(&provider.name, "send over IPv4 only", vec![why]);
            return true;
        }
        Ipv6Wish::Auto => {}
    }
    let mut why = Vec::new();
    let mut doubtful = BTreeSet::new();
    for &address in sources {
        let objections = facts
            .dns
            .objections(address, demand.ptr, demand.authentication);
        if !objections.is_empty() {
            doubtful.insert(address);
        }
        why.extend(objections);
    }
    if doubtful.is_empty() {
        let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let why = format!(
            "PTR and SPF are right for every IPv6 address mail leaves from: {}",
            list.join(", ")
        );
        target.decide(&provider.name, "keep IPv6", vec![why]);
        return false;
    }
    why.push(demand.why.clone());
    why.push(outlook(site, &doubtful, facts));
    target.decide(
        &provider.name,
        "send over IPv4 only, keep IPv6 for all others",
        why,
    );
    true
}

/// Says what would make the cure unnecessary, or that nothing will.
fn outlook(site: &Site, addresses: &BTreeSet<IpAddr>, facts: &Facts) -> String {
    let without_ptr = addresses
        .iter()
        .filter(|&&address| !facts.dns.objections(address, true, false).is_empty());
    let controls: Vec<Control> = without_ptr
        .map(|&address| site.reverse_control(address))
        .collect();
    let again = match facts.origin {
        Origin::Stock => "",
        Origin::Machine | Origin::Tree => "; then run `mailfix plan` again",
    };
    if controls.contains(&Control::None) {
        "nobody here can set that PTR record (`reverse6 = \"none\"`), so IPv4 is the way to stay"
            .to_owned()
    } else if controls.contains(&Control::Provider) {
        format!(
            "ask the provider of the address for the PTR record that `mailfix dns show` prints{again}"
        )
    } else {
        format!("publish the records that `mailfix dns show` prints{again}")
    }
}

/// The path of a table's source.
#[must_use]
pub fn table_path(facts: &Facts, table: &TableWanted) -> Utf8PathBuf {
    facts.own_folder().join(&table.file)
}
