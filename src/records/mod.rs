//! The DNS records that a mail server needs.
//!
//! Owns which records follow from a site, and why; one file a kind of record. What stands in DNS
//! is kept where it says what the site does not: an SPF record is added to, never replaced by a
//! poorer one. Must not know who controls a zone, or how records are written down.
//! Follows RFC 1912, 2.1; RFC 7208; RFC 6376; RFC 9989; RFC 8460; RFC 8461; RFC 7505.

mod addresses;
mod dkim;
mod dmarc;
mod exchanges;
pub mod live;
mod needed;
mod planned;
mod spf;
mod tls;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::dns::{
    CachedResolver, DnsError, Name, NameError, Record, RecordData, RecordType, Resolver,
    side_by_side,
};
use crate::finding::escape;
use crate::mail::dkim::KeyRecord;
use crate::mail::dmarc::Dmarc;
use crate::mail::mta_sts::Policy;
use crate::mail::spf::{NotUnited, SpfError, Status};
use crate::site::Site;

use live::Live;

pub use needed::{Needed, Role};
pub use planned::Planned;

/// How long the records may be cached, in seconds: short enough to mend a mistake the same hour.
pub const TTL: u32 = 3600;

/// How much is asked side by side.
const AT_ONCE: usize = 16;

/// A published key and the selector it stands under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The selector.
    pub selector: String,
    /// The key record.
    pub record: KeyRecord,
}

/// The records, and those that could not be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The records: of the servers, then domain by domain. No two contradict each other.
    pub needed: Vec<Needed>,
    /// Records that somebody else has to publish, in a zone that is none of the site's.
    pub elsewhere: Vec<Needed>,
    /// The policies about TLS, by domain; each has to stand on a web server.
    pub policies: Vec<(Name, Policy)>,
    /// What stands in the way of others; one faulty domain does not hide the rest.
    pub refused: Vec<RecordRefused>,
}

/// Why a record could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
    /// A record that has to be kept could not be read.
    #[error("the {record} record of `{}` was not made, for nobody could say what stands there: {error}", .domain.host())]
    CouldNotAsk {
        /// Which record.
        record: &'static str,
        /// The domain.
        domain: Name,
        /// What went wrong.
        error: DnsError,
    },
    /// The SPF record that stands in DNS is wrong; what it means to say is not guessed.
    #[error("the SPF record of `{}` is wrong and cannot be added to: {}", .domain.host(), list(.errors))]
    ExistingSpf {
        /// The domain.
        domain: Name,
        /// The record, as it stands there.
        text: String,
        /// Its faults, with places in the text.
        errors: Vec<SpfError>,
    },
    /// An include is no name that SPF takes.
    #[error("no SPF record can be made for `{}`: {}", .domain.host(), list(.errors))]
    Include {
        /// The domain.
        domain: Name,
        /// What is wrong.
        errors: Vec<SpfError>,
    },
    /// The domain has several SPF records, which do not make one.
    #[error("the SPF records of `{}` cannot be united: {error}", .domain.host())]
    NotUnited {
        /// The domain.
        domain: Name,
        /// What is in the way.
        error: NotUnited,
    },
    /// The SPF record costs receivers more than they spend.
    #[error("the SPF record of `{}` would be an error to receivers: {why}", .domain.host())]
    SpfTooDear {
        /// The domain.
        domain: Name,
        /// The record.
        text: String,
        /// What it costs.
        why: String,
        /// All that it leads to, a line each.
        tree: Vec<String>,
        /// What to drop, a line each.
        advice: Vec<String>,
    },
    /// The SPF record does not let an address send, whatever is added to it.
    #[error("SPF of `{}` would say `{status}` of {address}{}", .domain.host(), reason(.why.as_deref()))]
    SpfFails {
        /// The domain.
        domain: Name,
        /// The record.
        text: String,
        /// The address.
        address: IpAddr,
        /// What it says of the address.
        status: Status,
        /// Why, where that is not plain.
        why: Option<String>,
    },
    /// Nobody has said which hosts take the mail of a domain.
    #[error("the MTA-STS policy of `{}` has to name the hosts that take its mail, and there are none", .domain.host())]
    NoExchange {
        /// The domain.
        domain: Name,
    },
    /// The place of a record is no name.
    #[error("the {record} record of `{domain}` has no place: {source}")]
    Owner {
        /// Which record.
        record: &'static str,
        /// The domain.
        domain: String,
        /// What is wrong with the name.
        source: NameError,
    },
}

fn list(errors: &[SpfError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

fn reason(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

impl RecordRefused {
    /// Tells whether DNS could not be asked, so that another time may bring the record.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        matches!(self, Self::CouldNotAsk { .. })
    }

    /// Says what to do about it, a line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::CouldNotAsk { .. } => {
                vec![
                    "try again; `--offline` makes the records as if nothing stood there".to_owned(),
                ]
            }
            Self::ExistingSpf { text, .. } => vec![
                format!("it says `{}`", escape(text)),
                "correct it, or take it away and a fresh one is made".to_owned(),
            ],
            Self::SpfTooDear {
                text, tree, advice, ..
            } => {
                let mut hints = vec![format!("the record: {}", escape(text))];
                hints.extend(tree.iter().cloned());
                hints.extend(advice.iter().cloned());
                hints
            }
            Self::SpfFails { text, .. } => vec![format!("the record: {}", escape(text))],
            Self::NoExchange { .. } => {
                vec!["name them with `mx` in the `[[domain]]` of the site file".to_owned()]
            }
            Self::Include { .. } => {
                vec!["`spf_includes` in the site file lists domains with SPF records".to_owned()]
            }
            Self::NotUnited { .. } => {
                vec!["unite them into one record by hand, and delete the others".to_owned()]
            }
            Self::Owner { .. } => Vec::new(),
        }
    }
}

/// Computes the records that a site needs so that its mail is taken.
///
/// What stands in DNS is asked of the resolver; without one the records are made as if nothing
/// stood there.
#[must_use]
pub fn records(site: &Site, keys: &[SigningKey], resolver: Option<&dyn Resolver>) -> Records {
    let cached = resolver.map(CachedResolver::new);
    let resolver = cached.as_ref().map(|cached| cached as &dyn Resolver);
    let mut making = Making {
        site,
        keys,
        resolver,
        records: Records::default(),
    };
    making.ask_ahead();
    making.addresses();
    let first = making.records.needed.len();
    making.exchanges();
    let live = resolver.map(|resolver| Live::ask(&making.records.needed, resolver));
    let planned = match (resolver, &live) {
        (Some(resolver), Some(live)) => Some(Planned::new(resolver, live)),
        _ => None,
    };
    let exchanges = making.records.needed.split_off(first);
    let mut spf = making.spf_records(planned.as_ref());
    making.spf_of_servers(&mut spf);
    for domain in &site.domains {
        let Some(domain) = making.name("SPF", domain) else {
            continue;
        };
        making.keep(exchanges.iter().filter(|one| one.record.owner == domain));
        making.spf_of_domain(&domain, &mut spf);
        making.dkim(&domain);
        making.dmarc(&domain);
        making.tls(&domain, planned.as_ref());
    }
    for domain in &site.silent_domains {
        let Some(domain) = making.name("SPF", domain) else {
            continue;
        };
        making.keep(exchanges.iter().filter(|one| one.record.owner == domain));
        making.silence(&domain);
        if site
            .exchanges
            .get(&domain.host())
            .is_some_and(|mx| !mx.is_empty())
        {
            making.tls(&domain, planned.as_ref());
        }
    }
    making.records
}

/// Records in the making.
struct Making<'a> {
    site: &'a Site,
    keys: &'a [SigningKey],
    resolver: Option<&'a dyn Resolver>,
    records: Records,
}

impl Making<'_> {
    /// Asks side by side for what will be needed one by one.
    fn ask_ahead(&self) {
        let Some(resolver) = self.resolver else {
            return;
        };
        let domains = self
            .site
            .domains
            .iter()
            .filter_map(|name| name.parse().ok());
        let names: Vec<Name> = domains
            .flat_map(|domain: Name| [Dmarc::owner(&domain).ok(), Some(domain)])
            .flatten()
            .collect();
        side_by_side(&names, AT_ONCE, |name| {
            let _ = resolver.lookup(name, RecordType::Txt);
        });
    }

    /// Adds a record, once.
    fn add(&mut self, role: Role, owner: Name, data: RecordData, why: impl Into<String>) {
        let record = Record {
            owner,
            ttl: TTL,
            data,
        };
        if !self.records.needed.iter().any(|one| one.record == record) {
            self.records.needed.push(Needed::new(role, record, why));
        }
    }

    fn keep<'n>(&mut self, needed: impl Iterator<Item = &'n Needed>) {
        self.records.needed.extend(needed.cloned());
    }

    fn refuse(&mut self, refused: RecordRefused) {
        self.records.refused.push(refused);
    }

    /// Reads a name of the site file, or the name of a record below it.
    fn name(&mut self, record: &'static str, text: &str) -> Option<Name> {
        let name = text.parse();
        self.place(record, text, name)
    }

    /// Takes the place of a record, or says why it has none.
    fn place(
        &mut self,
        record: &'static str,
        domain: &str,
        name: Result<Name, NameError>,
    ) -> Option<Name> {
        name.map_err(|source| {
            self.refuse(RecordRefused::Owner {
                record,
                domain: domain.to_owned(),
                source,
            });
        })
        .ok()
    }

    /// Every server by its name, with the addresses its mail comes from; the own one first.
    fn servers(&self) -> Vec<(String, BTreeSet<IpAddr>)> {
        let own = (
            self.site.server.hostname.clone(),
            self.site.addresses().collect(),
        );
        let others = self.site.other_servers.iter().map(|other| {
            let v4 = other.ipv4.iter().copied().map(IpAddr::V4);
            let v6 = other.ipv6.iter().copied().map(IpAddr::V6);
            (other.name.clone(), v4.chain(v6).collect())
        });
        std::iter::once(own).chain(others).collect()
    }
}

#[cfg(test)]
mod tests;
