//! What an SPF record says of an address.
//!
//! Owns the walk through a record and those it includes, with the limits that
//! receivers keep. It knows the address and the domain and not yet a message:
//! macros, which need a sender, end the walk unconfirmed. Lookups are handed in.
//! Follows RFC 7208, 4 and 5.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::record::strip_version;
use super::{Directive, DomainSpec, Mechanism, Qualifier, Spf, SpfError};
use crate::dns::{Answer, DnsError, Name, RecordData, RecordType};

/// Most terms that may cause lookups in one walk (RFC 7208, 4.6.4).
pub const MAX_LOOKUPS: usize = 10;

/// Most lookups in one walk that may find nothing (RFC 7208, 4.6.4).
const MAX_VOID_LOOKUPS: usize = 2;

/// Most mail exchangers or PTR names of one term that are looked up (RFC 7208, 4.6.4).
const MAX_NAMES: usize = 10;

/// Asks DNS; aliases are followed.
pub type Lookup<'a> = dyn Fn(&Name, RecordType) -> Result<Answer, DnsError> + 'a;

/// What a record says of an address (RFC 7208, 2.6).
///
/// `none`, `temperror` and `permerror` are the cases of [`Unconfirmed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// Nothing is said.
    Neutral,
}

/// What a record says of an address, and by which term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is said.
    pub status: Status,
    /// The innermost term that matched; none where no term did.
    pub by: Option<Matched>,
}

/// The term that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The domain whose record it stands in.
    pub domain: Name,
    /// The term as written.
    pub term: String,
    /// What it is.
    pub mechanism: Mechanism,
}

/// Why nothing can be said of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// A lookup failed: receivers see `temperror`.
    #[error(transparent)]
    Lookup(#[from] DnsError),
    /// A domain named by `include` or `redirect` has no record: `permerror`.
    #[error("`{}` has no SPF record, and `{term}` needs one", .domain.host())]
    NoRecord {
        /// The domain.
        domain: Name,
        /// The term that names it.
        term: String,
    },
    /// A domain has several records: `permerror` (RFC 7208, 4.5).
    #[error("`{}` has {count} SPF records; receivers take that for an error", .domain.host())]
    SeveralRecords {
        /// The domain.
        domain: Name,
        /// How many.
        count: usize,
    },
    /// The record of a domain has faults: `permerror`.
    #[error("the SPF record of `{}` is wrong: {}", .domain.host(), .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Syntax {
        /// The domain.
        domain: Name,
        /// Its faults.
        errors: Vec<SpfError>,
    },
    /// Too many terms cause lookups: `permerror`.
    #[error("the SPF record of `{}` causes more than {MAX_LOOKUPS} lookups", .domain.host())]
    TooManyLookups {
        /// The domain the walk began at.
        domain: Name,
    },
    /// Too many lookups find nothing: `permerror`.
    #[error("the SPF record of `{}` causes more than {MAX_VOID_LOOKUPS} lookups that find nothing", .domain.host())]
    TooManyVoidLookups {
        /// The domain the walk began at.
        domain: Name,
    },
    /// A domain has too many mail exchangers: `permerror`.
    #[error("`{}` has more than {MAX_NAMES} mail exchangers, too many for `mx` in SPF", .domain.host())]
    TooManyExchangers {
        /// The domain.
        domain: Name,
    },
    /// The term holds macros, which only a message fills.
    #[error("`{term}` in the SPF record of `{}` depends on the message", .domain.host())]
    Macro {
        /// The domain whose record it stands in.
        domain: Name,
        /// The term.
        term: String,
    },
}

impl Verdict {
    /// Tells whether `ip4:`, `ip6:`, `a` or `mx` of a record names the address as a sender.
    ///
    /// A pass by `all`, `ptr` or `exists` is too thin to rely on.
    #[must_use]
    pub fn covers(&self) -> bool {
        let names_it = |matched: &Matched| {
            matches!(
                matched.mechanism,
                Mechanism::Ip4(_) | Mechanism::Ip6(_) | Mechanism::A { .. } | Mechanism::Mx { .. }
            )
        };
        self.status == Status::Pass && self.by.as_ref().is_some_and(names_it)
    }
}

/// Tells whether the text of a TXT record is an SPF record (RFC 7208, 4.5).
#[must_use]
pub fn is_spf(text: &[u8]) -> bool {
    strip_version(&String::from_utf8_lossy(text)).is_some()
}

/// Picks the SPF records out of the TXT records of a domain, as text; more than one is an error.
#[must_use]
pub fn spf_texts(answer: &Answer) -> Vec<String> {
    answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Txt(text) if is_spf(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        })
        .collect()
}

/// Fetches the SPF record of a domain; `None` where it has none.
///
/// # Errors
/// When the lookup fails, there are several records, or the one has faults.
pub fn published(domain: &Name, lookup: &Lookup<'_>) -> Result<Option<Spf>, Unconfirmed> {
    sole_record(domain, &lookup(domain, RecordType::Txt)?)
}

/// Reads the one SPF record among the TXT records of a domain (RFC 7208, 4.5).
fn sole_record(domain: &Name, answer: &Answer) -> Result<Option<Spf>, Unconfirmed> {
    match spf_texts(answer).as_slice() {
        [] => Ok(None),
        [one] => Spf::parse(one)
            .map(Some)
            .map_err(|errors| Unconfirmed::Syntax {
                domain: domain.clone(),
                errors,
            }),
        many => Err(Unconfirmed::SeveralRecords {
            domain: domain.clone(),
            count: many.len(),
        }),
    }
}

/// Finds out what the record of `domain` says of an address.
///
/// # Errors
/// Whenever a receiver might come to another conclusion: a lookup failed, a record is wrong, a
/// limit is passed, or the answer depends on the message.
pub fn evaluate(
    record: &Spf,
    domain: &Name,
    address: IpAddr,
    lookup: &Lookup<'_>,
) -> Result<Verdict, Unconfirmed> {
    let mut walk = Walk {
        start: domain,
        address: address.to_canonical(), // RFC 7208, 5: ::ffff:192.0.2.1 is an IPv4 address
        lookup,
        terms: 0,
        void: 0,
    };
    walk.record(record, domain)
}

/// One walk through a record and those it leads to.
struct Walk<'a> {
    start: &'a Name,
    address: IpAddr,
    lookup: &'a Lookup<'a>,
    /// Terms that caused lookups.
    terms: usize,
    /// Lookups that found nothing.
    void: usize,
}

impl Walk<'_> {
    /// RFC 7208, 4.6.
    fn record(&mut self, record: &Spf, domain: &Name) -> Result<Verdict, Unconfirmed> {
        for (term, directive) in record.directives() {
            let matched = self.directive(directive, &term.text, domain)?;
            if let Some(by) = matched {
                return Ok(Verdict {
                    status: directive.qualifier.into(),
                    by: Some(by),
                });
            }
        }
        let Some(target) = record.redirect() else {
            return Ok(Verdict {
                status: Status::Neutral,
                by: None,
            });
        };
        let term = format!("redirect={}", target.text());
        self.count()?;
        let target = name(target, &term, domain)?;
        let next = self.fetch(&target, &term)?;
        self.record(&next, &target)
    }

    /// Tells whether a mechanism matches, and by which term in the end.
    fn directive(
        &mut self,
        directive: &Directive,
        term: &str,
        domain: &Name,
    ) -> Result<Option<Matched>, Unconfirmed> {
        let mechanism = &directive.mechanism;
        if mechanism.costs_a_lookup() {
            self.count()?;
        }
        let target = |spec: &Option<DomainSpec>| match spec {
            Some(spec) => name(spec, term, domain),
            None => Ok(domain.clone()),
        };
        let matches = match mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(_) | Mechanism::Ip6(_) => mechanism.holds_literally(self.address),
            Mechanism::A {
                domain: spec,
                ipv4_bits,
                ipv6_bits,
            } => self.has_address(&target(spec)?, *ipv4_bits, *ipv6_bits)?,
            Mechanism::Mx {
                domain: spec,
                ipv4_bits,
                ipv6_bits,
            } => self.has_exchanger(&target(spec)?, *ipv4_bits, *ipv6_bits)?,
            Mechanism::Ptr(spec) => self.has_pointer(&target(spec)?)?,
            Mechanism::Exists(spec) => {
                let found = self.ask(&name(spec, term, domain)?, RecordType::A)?;
                !found.records().is_empty()
            }
            Mechanism::Include(spec) => {
                let target = name(spec, term, domain)?;
                let inner = self.fetch(&target, term)?;
                // RFC 7208, 5.2: only a pass matches.
                let verdict = self.record(&inner, &target)?;
                return Ok(verdict.by.filter(|_| verdict.status == Status::Pass));
            }
        };
        Ok(matches.then(|| Matched {
            domain: domain.clone(),
            term: term.to_owned(),
            mechanism: mechanism.clone(),
        }))
    }

    /// RFC 7208, 5.3.
    fn has_address(
        &mut self,
        target: &Name,
        ipv4_bits: u8,
        ipv6_bits: u8,
    ) -> Result<bool, Unconfirmed> {
        let kind = match self.address {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::Aaaa,
        };
        let network = |data: &RecordData| match data {
            RecordData::A(v4) => Ipv4Net::new(*v4, ipv4_bits).ok().map(IpNet::from),
            RecordData::Aaaa(v6) => Ipv6Net::new(*v6, ipv6_bits).ok().map(IpNet::from),
            _ => None,
        };
        let answer = self.ask(target, kind)?;
        Ok(answer
            .records()
            .iter()
            .filter_map(|record| network(&record.data))
            .any(|network| network.contains(&self.address)))
    }

    /// RFC 7208, 5.4.
    fn has_exchanger(
        &mut self,
        target: &Name,
        ipv4_bits: u8,
        ipv6_bits: u8,
    ) -> Result<bool, Unconfirmed> {
        let answer = self.ask(target, RecordType::Mx)?;
        if answer.records().len() > MAX_NAMES {
            return Err(Unconfirmed::TooManyExchangers {
                domain: target.clone(),
            });
        }
        for record in answer.records() {
            // RFC 7505: the root as exchanger means no mail at all.
            if let RecordData::Mx { exchange, .. } = &record.data
                && !exchange.is_root()
                && self.has_address(exchange, ipv4_bits, ipv6_bits)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// RFC 7208, 5.5: names that lead back to the address count; failed lookups do not.
    fn has_pointer(&mut self, target: &Name) -> Result<bool, Unconfirmed> {
        let answer = self.ask(&Name::reverse_of(self.address), RecordType::Ptr)?;
        for record in answer.records().iter().take(MAX_NAMES) {
            let RecordData::Ptr(pointer) = &record.data else {
                continue;
            };
            if !pointer.is_subdomain_of(target) {
                continue;
            }
            match self.has_address(pointer, 32, 128) {
                Ok(true) => return Ok(true),
                Ok(false) | Err(Unconfirmed::Lookup(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(false)
    }

    /// Fetches the record of another domain, which must be there (RFC 7208, 5.2 and 6.1).
    fn fetch(&mut self, domain: &Name, term: &str) -> Result<Spf, Unconfirmed> {
        let answer = self.ask(domain, RecordType::Txt)?;
        sole_record(domain, &answer)?.ok_or_else(|| Unconfirmed::NoRecord {
            domain: domain.clone(),
            term: term.to_owned(),
        })
    }

    /// Counts a term that causes lookups.
    fn count(&mut self) -> Result<(), Unconfirmed> {
        self.terms += 1;
        if self.terms > MAX_LOOKUPS {
            return Err(Unconfirmed::TooManyLookups {
                domain: self.start.clone(),
            });
        }
        Ok(())
    }

    /// Asks, and counts what finds nothing.
    fn ask(&mut self, name: &Name, kind: RecordType) -> Result<Answer, Unconfirmed> {
        let answer = (self.lookup)(name, kind)?;
        if answer.records().is_empty() {
            self.void += 1;
            if self.void > MAX_VOID_LOOKUPS {
                return Err(Unconfirmed::TooManyVoidLookups {
                    domain: self.start.clone(),
                });
            }
        }
        Ok(answer)
    }
}

impl From<Qualifier> for Status {
    fn from(qualifier: Qualifier) -> Self {
        match qualifier {
            Qualifier::Pass => Self::Pass,
            Qualifier::Fail => Self::Fail,
            Qualifier::SoftFail => Self::SoftFail,
            Qualifier::Neutral => Self::Neutral,
        }
    }
}

/// The name a term means.
fn name(spec: &DomainSpec, term: &str, domain: &Name) -> Result<Name, Unconfirmed> {
    // A text that the grammar takes and DNS cannot hold leads to no record either way; it is
    // reported like a macro, as something we cannot follow.
    spec.name().ok_or_else(|| Unconfirmed::Macro {
        domain: domain.clone(),
        term: term.to_owned(),
    })
}

#[cfg(test)]
mod tests;
