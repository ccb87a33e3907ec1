//! The records a site needs, with what stands in DNS now and the key on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cli::{Failure, FailureKind, Session};
use crate::dns::{Name, NameError, Record, RecordData};
use crate::host::DnsFacts;
use crate::mail::dkim::{KeyRecord, PrivateKey};
use crate::mail::dmarc::{self, Dmarc};
use crate::mail::spf::Closing;
use crate::records::{Needed, RecordsWanted, SigningKey, records};
use crate::site::{All, Policy, Site};

/// How long the records may be cached, in seconds: short enough to mend a mistake the same hour.
const TTL: u32 = 3600;

impl Session {
    /// The records of a site: merged with the SPF records that are published, where DNS can be asked.
    pub fn records(&mut self, site: &Site) -> Result<Vec<Needed>, Failure> {
        let key = match &site.dkim {
            Some(dkim) => {
                if let Some(file) = self.system.read(&dkim.key)? {
                    Some(SigningKey {
                        selector: dkim.selector.clone(),
                        record: PrivateKey::from_pem(&file.bytes)?.record()?,
                    })
                } else {
                    self.ui.say(&format!(
                        "note: there is no key `{}` yet; `{}` makes it",
                        dkim.key,
                        self.common.alike("dkim new")
                    ));
                    None
                }
            }
            None => None,
        };
        let published = if self.common.offline {
            DnsFacts::default()
        } else {
            let senders: Vec<IpAddr> = site.sending_addresses().collect();
            crate::host::observe_dns(self.resolver()?.as_ref(), &senders, &site.domains)
        };
        let wanted = wanted(site, &published, key)?;
        let records = records(&wanted);
        for refused in &records.refused {
            self.ui.say(&format!("warning: {refused}"));
        }
        Ok(records.needed)
    }
}

/// What the records are computed from.
fn wanted(
    site: &Site,
    published: &DnsFacts,
    dkim: Option<SigningKey>,
) -> Result<RecordsWanted, Failure> {
    let name = |text: &String| text.parse::<Name>();
    let names = |texts: &[String]| texts.iter().map(name).collect::<Result<Vec<_>, _>>();
    let mut existing_spf = BTreeMap::new();
    let mut covered = BTreeMap::new();
    for (domain, facts) in &published.domains {
        if let Some(text) = &facts.spf {
            existing_spf.insert(name(domain)?, text.clone());
            let passing = facts
                .covers
                .iter()
                .filter(|(_, passes)| **passes == Ok(true));
            let passing: BTreeSet<IpAddr> = passing.map(|(address, _)| *address).collect();
            covered.insert(name(domain)?, passing);
        }
    }
    let own: BTreeSet<IpAddr> = site.addresses().collect();
    Ok(RecordsWanted {
        server: name(&site.server.hostname)?,
        addresses: site.addresses().collect(),
        domains: names(&site.domains)?,
        others: site
            .sending_addresses()
            .filter(|address| !own.contains(address))
            .collect(),
        includes: names(&site.spf_includes)?,
        existing_spf,
        covered,
        dkim,
        dmarc: Some(dmarc_policy(site)?),
        ttl: TTL,
        spf_all: match site.spf_all {
            All::SoftFail => Closing::SoftFail,
            All::Fail => Closing::Fail,
        },
    })
}

fn dmarc_policy(site: &Site) -> Result<Dmarc, Failure> {
    let policy = match site.dmarc.policy {
        Policy::None => dmarc::Policy::None,
        Policy::Quarantine => dmarc::Policy::Quarantine,
        Policy::Reject => dmarc::Policy::Reject,
    };
    let reports = site.dmarc.reports.iter().flat_map(|list| list.split(','));
    let reports = reports
        .map(|uri| uri.trim().parse().map_err(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Dmarc {
        policy: Some(policy),
        aggregate_reports: reports,
        ..Dmarc::default()
    })
}

/// The site file says something no record can say.
fn wrong(error: impl std::error::Error) -> Failure {
    Failure::new(FailureKind::Site, error.to_string())
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        wrong(error)
    }
}

/// The records of a key, one a sending domain.
pub fn key_records(site: &Site, selector: &str, key: &KeyRecord) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for domain in &site.domains {
        let owner = KeyRecord::owner(selector, &domain.parse()?)?;
        records.push(Record {
            owner,
            ttl: TTL,
            data: RecordData::Txt(key.to_string().into()),
        });
    }
    Ok(records)
}
