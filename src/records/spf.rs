//! Who may send.
//!
//! Owns the one SPF record of each domain and of each server's own name, by which bounces are
//! judged: what stands there, with whoever is missing added. It is judged as receivers will do,
//! beside the other records that are planned.
//! Follows RFC 7208.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{AT_ONCE, Making, Planned, RecordRefused, Role};
use crate::dns::{Name, RecordData, RecordType, Resolver as _, side_by_side};
use crate::finding::escape;
use crate::mail::spf::{
    self, Closing, Identity, Saving, Spf, SpfError, Status, Unconfirmed, as_if, check_host,
    spf_texts, survey, unite,
};
use crate::site::All;

/// The record of a server's own name that has none: its addresses and nobody else.
const SERVER: &str = "v=spf1 a -all";

/// Whom a record has to let send.
struct Senders {
    /// The name the record stands at.
    owner: Name,
    addresses: BTreeSet<IpAddr>,
    /// A name that has them all.
    host: Option<Name>,
    includes: Vec<Name>,
    all: Closing,
    /// The whole record where there is none yet.
    fresh: Option<&'static str>,
}

/// A record and how it came about.
pub(super) struct Made {
    spf: Spf,
    /// How many records stand there.
    count: usize,
    /// Whether the one that stands there says it all.
    is_kept: bool,
}

/// The records by the name they stand at.
pub(super) type Outcomes = BTreeMap<Name, Result<Made, RecordRefused>>;

impl Making<'_> {
    /// Makes all the records, side by side.
    pub(super) fn spf_records(&mut self, planned: Option<&Planned<'_>>) -> Outcomes {
        let shared = self.site.server.shared_name.clone();
        let shared = shared.and_then(|name| self.name("SPF", &name));
        let includes = self.site.spf_includes.clone();
        let includes = includes.iter().filter_map(|name| self.name("SPF", name));
        let includes: Vec<Name> = includes.collect();
        let all = match self.site.spf_all {
            All::SoftFail => Closing::SoftFail,
            All::Fail => Closing::Fail,
        };
        let domains = self
            .site
            .domains
            .iter()
            .filter_map(|name| name.parse().ok());
        let domains = domains.map(|owner| Senders {
            owner,
            addresses: self.site.sending_addresses().collect(),
            host: shared.clone(),
            includes: includes.clone(),
            all,
            fresh: None,
        });
        let servers = self
            .own_names()
            .into_iter()
            .map(|(owner, addresses)| Senders {
                owner,
                addresses,
                host: None,
                includes: Vec::new(),
                all: Closing::Fail,
                fresh: Some(SERVER),
            });
        let senders: Vec<Senders> = servers.chain(domains).collect();
        let made = side_by_side(&senders, AT_ONCE, |one| self.spf(one, planned));
        senders.into_iter().map(|one| one.owner).zip(made).collect()
    }

    /// The names of the servers that are no domain too, for that has its own record.
    fn own_names(&self) -> Vec<(Name, BTreeSet<IpAddr>)> {
        self.servers()
            .into_iter()
            .filter(|(server, _)| !self.site.domains.contains(server))
            .filter_map(|(server, addresses)| Some((server.parse().ok()?, addresses)))
            .collect()
    }

    /// The records of the servers' own names.
    pub(super) fn spf_of_servers(&mut self, outcomes: &mut Outcomes) {
        for (owner, _) in self.own_names() {
            match outcomes.remove(&owner) {
                Some(Ok(made)) => {
                    let why = format!(
                        "bounces have no sender, so the name that the server says, `{}`, is judged",
                        owner.host()
                    );
                    let data = RecordData::Txt(made.spf.to_string().into());
                    self.add(Role::Spf, owner, data, why);
                }
                Some(Err(refused)) => self.refuse(refused),
                None => {}
            }
        }
    }

    /// The record of a domain that sends.
    pub(super) fn spf_of_domain(&mut self, domain: &Name, outcomes: &mut Outcomes) {
        let host = domain.host();
        match outcomes.remove(domain) {
            Some(Ok(made)) => {
                let why = match made.count {
                    0 => format!("names the hosts that may send mail for `{host}`"),
                    1 if made.is_kept => {
                        format!("stands there and names every host that sends mail for `{host}`")
                    }
                    1 => format!(
                        "replaces the SPF record of `{host}`, which lacks some of its senders"
                    ),
                    count => format!(
                        "unites the {count} SPF records of `{host}`; receivers go by none of \
                         several"
                    ),
                };
                let data = RecordData::Txt(made.spf.to_string().into());
                self.add(Role::Spf, domain.clone(), data, why);
            }
            Some(Err(refused)) => self.refuse(refused),
            None => {}
        }
    }

    /// Makes one record.
    fn spf(&self, senders: &Senders, planned: Option<&Planned<'_>>) -> Result<Made, RecordRefused> {
        let domain = || senders.owner.clone();
        let texts = match self.resolver {
            None => Vec::new(),
            Some(resolver) => {
                let answer = resolver.lookup(&senders.owner, RecordType::Txt);
                spf_texts(&answer.map_err(|error| RecordRefused::CouldNotAsk {
                    record: "SPF",
                    domain: domain(),
                    error,
                })?)
            }
        };
        let mut records = Vec::new();
        for text in &texts {
            let record = Spf::parse(text).map_err(|errors| RecordRefused::ExistingSpf {
                domain: domain(),
                text: text.clone(),
                errors,
            })?;
            records.push(record);
        }
        let wrong = |errors| RecordRefused::Include {
            domain: domain(),
            errors,
        };
        let existing = match records.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(unite(several).map_err(|error| RecordRefused::NotUnited {
                domain: domain(),
                error,
            })?),
        };
        let make = |host: Option<&Name>| {
            let spf = match senders.fresh.filter(|_| existing.is_none()) {
                Some(fresh) => Spf::parse(fresh),
                None => add(senders, host, existing.as_ref(), planned),
            };
            let spf = spf.map_err(wrong)?;
            match planned {
                Some(planned) => judge(senders, &spf, planned).map(|()| spf),
                None => Ok(spf),
            }
        };
        let merged = match (make(senders.host.as_ref()), &senders.host) {
            // Addresses cost no lookup.
            (Err(RecordRefused::SpfTooDear { .. }), Some(_)) => make(None)?,
            (outcome, _) => outcome?,
        };
        Ok(Made {
            is_kept: existing.is_some_and(|spf| spf.to_string() == merged.to_string()),
            spf: merged,
            count: texts.len(),
        })
    }
}

/// Adds whom a record does not let send.
fn add(
    senders: &Senders,
    host: Option<&Name>,
    existing: Option<&Spf>,
    planned: Option<&Planned<'_>>,
) -> Result<Spf, Vec<SpfError>> {
    let mut missing: Vec<IpAddr> = senders.addresses.iter().copied().collect();
    missing.retain(|&address| !is_covered(&senders.owner, existing, address, planned));
    let (hosts, addresses) = match host {
        Some(host) if !missing.is_empty() => (vec![host.clone()], Vec::new()),
        _ => (Vec::new(), missing),
    };
    let wanted = spf::Wanted {
        addresses,
        networks: Vec::new(),
        hosts,
        includes: senders.includes.clone(),
        all: senders.all,
    };
    spf::merge(existing, &wanted)
}

/// Tells whether a record lets an address send already, also by a mechanism that only DNS can
/// answer.
fn is_covered(
    owner: &Name,
    record: Option<&Spf>,
    address: IpAddr,
    planned: Option<&Planned<'_>>,
) -> bool {
    let (Some(record), Some(planned)) = (record, planned) else {
        return false;
    };
    let text = record.to_string();
    let lookup = |name: &Name, kind: RecordType| planned.lookup(name, kind);
    let host = owner.host();
    let identity = Identity::mail_from(address, &host, &host);
    check_host(&identity, &as_if(owner, &text, &lookup)).covers()
}

/// Refuses a record that receivers will not take every sender by.
fn judge(senders: &Senders, spf: &Spf, planned: &Planned<'_>) -> Result<(), RecordRefused> {
    let text = spf.to_string();
    let lookup = |name: &Name, kind: RecordType| planned.lookup(name, kind);
    let host = senders.owner.host();
    let survey = survey(&senders.owner, &as_if(&senders.owner, &text, &lookup));
    if survey.is_over_limits() {
        let savings = survey.savings();
        let advice = savings.iter().map(|saving| {
            let Saving {
                domain,
                term,
                saves,
                waste,
                ..
            } = saving;
            format!(
                "drop `{}` from the record of `{}`: {waste}; {saves} less",
                escape(term),
                domain.host()
            )
        });
        return Err(RecordRefused::SpfTooDear {
            domain: senders.owner.clone(),
            text: text.clone(),
            why: survey.costs.to_string(),
            tree: survey.to_string().lines().map(str::to_owned).collect(),
            advice: advice.collect(),
        });
    }
    for &address in &senders.addresses {
        let identity = Identity::mail_from(address, &host, &host);
        let judgement = check_host(&identity, &as_if(&senders.owner, &text, &lookup));
        match judgement.status {
            Status::Pass => {}
            // What a third party's server fails to say now says nothing of the record.
            Status::TempError if matches!(judgement.why, Some(Unconfirmed::Lookup(_))) => {}
            status => {
                return Err(RecordRefused::SpfFails {
                    domain: senders.owner.clone(),
                    text,
                    address,
                    status,
                    why: judgement.why.map(|why| why.to_string()),
                });
            }
        }
    }
    Ok(())
}
