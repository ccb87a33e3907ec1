//! The DNS records that a mail server needs.
//!
//! Owns which records follow from a server's name, addresses and domains, and
//! why. Must not know who controls a zone, what stands in DNS now (an SPF
//! record to be kept is handed in), or how records are written down.
//! Follows RFC 1912, 2.1; RFC 7208; RFC 6376; RFC 9989.

pub mod live;
mod needed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::dns::{Name, NameError, Record, RecordData};
use crate::mail::dkim::KeyRecord;
use crate::mail::dmarc::Dmarc;
use crate::mail::spf::{self, Closing, Spf, SpfError};

pub use needed::{Needed, Role};

/// What the records are computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsWanted {
    /// The name the server says hello with.
    pub server: Name,
    /// The addresses its mail comes from, as the world sees them.
    pub addresses: Vec<IpAddr>,
    /// The domains it sends mail for.
    pub domains: Vec<Name>,
    /// The addresses of other servers that send for the same domains.
    pub others: Vec<IpAddr>,
    /// Domains whose SPF records name further senders.
    pub includes: Vec<Name>,
    /// The SPF records that stand in DNS, by domain; what they say is kept.
    pub existing_spf: BTreeMap<Name, String>,
    /// The addresses these records let pass already, also by a mechanism that only DNS can
    /// answer (`a`, `mx`, `include`); they need not be named again.
    pub covered: BTreeMap<Name, BTreeSet<IpAddr>>,
    /// The key that mail is signed with.
    pub dkim: Option<SigningKey>,
    /// The policy for mail that fails.
    pub dmarc: Option<Dmarc>,
    /// How long the records may be cached, in seconds.
    pub ttl: u32,
    /// How a fresh SPF record ends.
    pub spf_all: Closing,
}

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
    /// The records, the server's first, then domain by domain.
    pub needed: Vec<Needed>,
    /// What stands in the way of others; one faulty domain does not hide the rest.
    pub refused: Vec<RecordRefused>,
}

/// Why a record could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
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
    /// The place of a record is no name.
    #[error("the {record} record of `{}` has no place: {source}", .domain.host())]
    Owner {
        /// Which record.
        record: &'static str,
        /// The domain.
        domain: Name,
        /// What is wrong with the name.
        source: NameError,
    },
}

fn list(errors: &[SpfError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// Computes the records that a server needs so that its mail is taken.
#[must_use]
pub fn records(wanted: &RecordsWanted) -> Records {
    let mut records = Records::default();
    let addresses: BTreeSet<IpAddr> = wanted.addresses.iter().map(IpAddr::to_canonical).collect();
    let server = wanted.server.host();
    for &address in &addresses {
        let data = match address {
            IpAddr::V4(v4) => RecordData::A(v4),
            IpAddr::V6(v6) => RecordData::Aaaa(v6),
        };
        records.add(
            Role::Address,
            wanted.ttl,
            wanted.server.clone(),
            data,
            format!("`{server}` must lead to every address that its mail comes from"),
        );
    }
    for &address in &addresses {
        records.add(
            Role::Reverse,
            wanted.ttl,
            Name::reverse_of(address),
            RecordData::Ptr(wanted.server.clone()),
            format!("receivers ask for the name of {address} and expect one that leads back"),
        );
    }
    let mut seen = BTreeSet::new();
    for domain in wanted.domains.iter().filter(|domain| seen.insert(*domain)) {
        let outcomes = [
            (Role::Spf, spf_record(wanted, domain).map(Some)),
            (Role::Dkim, dkim_record(wanted, domain)),
            (Role::Dmarc, dmarc_record(wanted, domain)),
        ];
        for (role, outcome) in outcomes {
            match outcome {
                Ok(Some((owner, text, why))) => {
                    let data = RecordData::Txt(text.into_bytes());
                    records.add(role, wanted.ttl, owner, data, why);
                }
                Ok(None) => {}
                Err(refused) => records.refused.push(refused),
            }
        }
    }
    records
}

impl Records {
    fn add(&mut self, role: Role, ttl: u32, owner: Name, data: RecordData, why: String) {
        let record = Record { owner, ttl, data };
        self.needed.push(Needed::new(role, record, why));
    }
}

/// Owner, text and reason of a TXT record.
type Text = (Name, String, String);

fn spf_record(wanted: &RecordsWanted, domain: &Name) -> Result<Text, RecordRefused> {
    let existing = match wanted.existing_spf.get(domain) {
        Some(text) => Some(
            Spf::parse(text).map_err(|errors| RecordRefused::ExistingSpf {
                domain: domain.clone(),
                text: text.clone(),
                errors,
            })?,
        ),
        None => None,
    };
    let is_covered = |address: &&IpAddr| {
        let covered = wanted.covered.get(domain);
        covered.is_some_and(|covered| covered.contains(*address))
    };
    let senders = spf::Wanted {
        addresses: wanted
            .addresses
            .iter()
            .chain(&wanted.others)
            .filter(|address| !is_covered(address))
            .copied()
            .collect(),
        networks: Vec::new(),
        hosts: Vec::new(),
        includes: wanted.includes.clone(),
        all: wanted.spf_all,
    };
    let merged =
        spf::merge(existing.as_ref(), &senders).map_err(|errors| RecordRefused::Include {
            domain: domain.clone(),
            errors,
        })?;
    let host = domain.host();
    let why = match &existing {
        None => format!("names the hosts that may send mail for `{host}`"),
        Some(existing) if existing.to_string() == merged.to_string() => {
            format!("stands there and names every host that sends mail for `{host}`")
        }
        Some(_) => format!("replaces the SPF record of `{host}`, which lacks some of its senders"),
    };
    Ok((domain.clone(), merged.to_string(), why))
}

fn dkim_record(wanted: &RecordsWanted, domain: &Name) -> Result<Option<Text>, RecordRefused> {
    let Some(key) = &wanted.dkim else {
        return Ok(None);
    };
    let owner = KeyRecord::owner(&key.selector, domain).map_err(|source| RecordRefused::Owner {
        record: "DKIM",
        domain: domain.clone(),
        source,
    })?;
    let why = format!("lets receivers check the signatures of `{}`", domain.host());
    Ok(Some((owner, key.record.to_string(), why)))
}

fn dmarc_record(wanted: &RecordsWanted, domain: &Name) -> Result<Option<Text>, RecordRefused> {
    let Some(dmarc) = &wanted.dmarc else {
        return Ok(None);
    };
    let owner = Dmarc::owner(domain).map_err(|source| RecordRefused::Owner {
        record: "DMARC",
        domain: domain.clone(),
        source,
    })?;
    let why = format!(
        "tells receivers what to do with forged mail of `{}`",
        domain.host()
    );
    Ok(Some((owner, dmarc.to_string(), why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zone;
    use crate::mail::dmarc::Policy;

    fn wanted() -> RecordsWanted {
        let name = |text: &str| text.parse().unwrap();
        RecordsWanted {
            server: name("mail.example.org"),
            addresses: vec![
                "2001:db8::25".parse().unwrap(),
                "192.0.2.25".parse().unwrap(),
                "192.0.2.25".parse().unwrap(),
            ],
            domains: vec![
                name("example.org"),
                name("example.net"),
                name("Example.org"),
            ],
            others: vec!["198.51.100.7".parse().unwrap()],
            includes: vec![name("_spf.example.com")],
            existing_spf: BTreeMap::from([(
                name("example.net"),
                "v=spf1 mx ip4:192.0.2.0/24 -all".to_owned(),
            )]),
            covered: BTreeMap::new(),
            dkim: Some(SigningKey {
                selector: "s1".to_owned(),
                record: KeyRecord::parse("v=DKIM1; k=rsa; p=AAAA").unwrap(),
            }),
            dmarc: Some(Dmarc {
                policy: Some(Policy::None),
                aggregate_reports: vec!["mailto:dmarc@example.org".parse().unwrap()],
                ..Dmarc::default()
            }),
            ttl: 3600,
            spf_all: Closing::SoftFail,
        }
    }

    #[test]
    fn the_whole_set() {
        let found = records(&wanted());
        assert_eq!(found.refused, []);
        let records: Vec<Record> = found.needed.iter().map(|one| one.record.clone()).collect();
        let text = zone::write(&records);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "mail.example.org. 3600 IN A 192.0.2.25",
                "mail.example.org. 3600 IN AAAA 2001:db8::25",
                "25.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.org.",
                "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mail.example.org.",
                "example.org. 3600 IN TXT \"v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 include:_spf.example.com ~all\"",
                "s1._domainkey.example.org. 3600 IN TXT \"v=DKIM1; k=rsa; p=AAAA\"",
                "_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@example.org\"",
                "example.net. 3600 IN TXT \"v=spf1 ip4:198.51.100.7 ip6:2001:db8::25 mx ip4:192.0.2.0/24 include:_spf.example.com -all\"",
                "s1._domainkey.example.net. 3600 IN TXT \"v=DKIM1; k=rsa; p=AAAA\"",
                "_dmarc.example.net. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:dmarc@example.org\"",
            ]
        );
        assert_eq!(zone::read(&text).unwrap(), records);
    }

    #[test]
    fn reasons_say_what_happens_to_a_record_that_stands_there() {
        let why = |existing: Option<&str>| {
            let mut wanted = wanted();
            wanted.domains.truncate(1);
            wanted.existing_spf = existing
                .map(|text| (wanted.domains[0].clone(), text.to_owned()))
                .into_iter()
                .collect();
            let found = records(&wanted);
            found.needed[4].why.clone()
        };
        assert_eq!(
            why(None),
            "names the hosts that may send mail for `example.org`"
        );
        assert_eq!(
            why(Some("v=spf1 mx -all")),
            "replaces the SPF record of `example.org`, which lacks some of its senders"
        );
        assert_eq!(
            why(Some(
                "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 include:_spf.example.com -all"
            )),
            "stands there and names every host that sends mail for `example.org`"
        );
    }

    #[test]
    fn what_a_mechanism_covers_already_is_not_named_again() {
        let mut wanted = wanted();
        wanted.domains.truncate(1);
        wanted.includes.clear();
        let domain = wanted.domains[0].clone();
        wanted.existing_spf = BTreeMap::from([(domain.clone(), "v=spf1 mx -all".to_owned())]);
        let senders = wanted.addresses.iter().chain(&wanted.others);
        wanted.covered = BTreeMap::from([(domain, senders.copied().collect())]);
        let found = records(&wanted);
        assert_eq!(
            found.needed[4].why,
            "stands there and names every host that sends mail for `example.org`"
        );
        let RecordData::Txt(text) = &found.needed[4].record.data else {
            panic!("SPF is TXT");
        };
        assert_eq!(text.as_slice(), b"v=spf1 mx -all");
    }

    #[test]
    fn one_faulty_domain_does_not_hide_the_rest() {
        let mut wanted = wanted();
        let net: Name = "example.net".parse().unwrap();
        wanted
            .existing_spf
            .insert(net, "v=spf1 ip:192.0.2.1 -all".to_owned());
        wanted.dkim = Some(SigningKey {
            selector: "a..b".to_owned(),
            record: KeyRecord::parse("p=").unwrap(),
        });
        let found = records(&wanted);
        let refused: Vec<String> = found.refused.iter().map(ToString::to_string).collect();
        let no_place = |domain: &str| {
            format!(
                "the DKIM record of `{domain}` has no place: `a..b` has an empty label: two dots \
                 in a row, or one at the start"
            )
        };
        assert_eq!(
            refused,
            [
                no_place("example.org"),
                "the SPF record of `example.net` is wrong and cannot be added to: `ip` is no \
                 mechanism; there are all, include, a, mx, ptr, ip4, ip6, exists"
                    .to_owned(),
                no_place("example.net"),
            ]
        );
        assert_eq!(found.needed.len(), 4 + 2 + 1);
    }
}
