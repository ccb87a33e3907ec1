//! What the SPF record of a domain says of a message: `check_host()`.
//!
//! Owns the walk through a record and those it leads to, with the limits that receivers keep.
//! It stops at the first term that matches, as receivers do. Lookups are handed in.
//! Follows RFC 7208, 2.6, 4, 5 and 6.

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use super::macros::{Letter, MacroString, Place};
use super::published::sole_record;
use super::record::target_name;
use super::{Directive, DomainSpec, Identity, Mechanism, Qualifier, Spf, SpfError, cut};
use crate::dns::{Answer, DnsError, Name, RecordData, RecordType};
use crate::finding::escape;

/// Most terms that may cause lookups in one walk (RFC 7208, 4.6.4).
pub const MAX_LOOKUPS: usize = 10;

/// Most lookups in one walk that may find nothing (RFC 7208, 4.6.4).
pub const MAX_VOID_LOOKUPS: usize = 2;

/// Most mail exchangers or PTR names of one term that are looked up (RFC 7208, 4.6.4).
pub const MAX_NAMES: usize = 10;

/// Asks DNS; aliases are followed.
pub type Lookup<'a> = dyn Fn(&Name, RecordType) -> Result<Answer, DnsError> + 'a;

/// The results of RFC 7208, 2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There is no record to go by.
    None,
    /// Nothing is said.
    Neutral,
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// DNS could not say.
    TempError,
    /// The record, or one it leads to, is wrong.
    PermError,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}

/// What a receiver makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The result.
    pub status: Status,
    /// The innermost term that matched; none where no term did.
    pub by: Option<Matched>,
    /// Why it is `none`, `temperror` or `permerror`.
    pub why: Option<Unconfirmed>,
    /// What the domain has to say to those whose mail fails.
    pub explanation: Option<String>,
    /// How many terms caused lookups.
    pub lookups: usize,
    /// How many lookups found nothing.
    pub void_lookups: usize,
    /// The first term that asked for the local part of the sender or for the HELO name: with
    /// others, the result may be another.
    pub message_term: Option<MessageTerm>,
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

/// A term whose macros take from the message more than address and domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{term}` in the SPF record of `{}` depends on the message", .domain.host())]
pub struct MessageTerm {
    /// The domain whose record it stands in.
    pub domain: Name,
    /// The term.
    pub term: String,
}

/// Why nothing can be said of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// The sender's domain cannot be looked up: `none` (RFC 7208, 4.3).
    #[error("`{domain}` is no domain that SPF could be asked of")]
    NoDomain {
        /// The domain, escaped.
        domain: String,
    },
    /// The sender's domain has no record: `none`.
    #[error("`{}` has no SPF record", .domain.host())]
    NotPublished {
        /// The domain.
        domain: Name,
    },
    /// A lookup failed: `temperror`.
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
    /// What `include` or `redirect` names is no domain: `permerror`.
    #[error("`{term}` leads to `{target}`, which is no domain that DNS could hold")]
    Target {
        /// The term.
        term: String,
        /// What it names, macros expanded, escaped.
        target: String,
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
    #[error("the SPF record of `{}` is wrong: {}", .domain.host(), in_short(.errors))]
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
}

/// The first faults of a record; hostile ones have thousands.
fn in_short(errors: &[SpfError]) -> String {
    const NAMED: usize = 5;
    let named = errors
        .iter()
        .take(NAMED)
        .map(|error| cut(&error.to_string()));
    let more = errors.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    named.chain(more).collect::<Vec<_>>().join("; ")
}

impl Judgement {
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

impl Unconfirmed {
    /// The result that receivers come to.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::NoDomain { .. } | Self::NotPublished { .. } => Status::None,
            Self::Lookup(_) => Status::TempError,
            _ => Status::PermError,
        }
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

/// Judges a message as a receiver does (RFC 7208, 4).
#[must_use]
pub fn check_host(identity: &Identity, lookup: &Lookup<'_>) -> Judgement {
    let mut walk = Walk {
        identity,
        address: identity.address.to_canonical(),
        lookup,
        terms: 0,
        void: 0,
        limited: true,
        pointers: None,
        message_term: None,
    };
    let outcome = walk.begin();
    let (lookups, void_lookups) = (walk.terms, walk.void);
    let (verdict, why) = match outcome {
        Ok(verdict) => (verdict, None),
        Err(why) => (Verdict::new(why.status()), Some(why)),
    };
    let explanation = walk.explanation(&verdict);
    Judgement {
        status: verdict.status,
        by: verdict.by,
        why,
        explanation,
        lookups,
        void_lookups,
        message_term: walk.message_term,
    }
}

/// A domain whose record is read: its name, and the text that `%{d}` stands for.
#[derive(Clone)]
struct Domain {
    name: Name,
    text: String,
}

/// What one record says, and where it asks for an explanation.
struct Verdict {
    status: Status,
    by: Option<Matched>,
    explanation: Option<(DomainSpec, Domain)>,
}

impl Verdict {
    fn new(status: Status) -> Self {
        Self {
            status,
            by: None,
            explanation: None,
        }
    }
}

/// One walk through a record and those it leads to.
struct Walk<'a> {
    identity: &'a Identity,
    address: IpAddr,
    lookup: &'a Lookup<'a>,
    /// Terms that caused lookups.
    terms: usize,
    /// Lookups that found nothing.
    void: usize,
    /// Whether lookups count: those for an explanation do not (RFC 7208, 4.6.4).
    limited: bool,
    /// The confirmed names of the address, once `%{p}` has asked for them.
    pointers: Option<Vec<Name>>,
    message_term: Option<MessageTerm>,
}

impl Walk<'_> {
    /// RFC 7208, 4.3 to 4.5; this first lookup counts for no limit.
    fn begin(&mut self) -> Result<Verdict, Unconfirmed> {
        let text = self.identity.domain.as_str();
        let domain = domain_named(text).ok_or_else(|| Unconfirmed::NoDomain {
            domain: escape(text),
        })?;
        let answer = (self.lookup)(&domain.name, RecordType::Txt)?;
        let record =
            sole_record(&domain.name, &answer)?.ok_or_else(|| Unconfirmed::NotPublished {
                domain: domain.name.clone(),
            })?;
        self.record(&record, &domain)
    }

    /// RFC 7208, 4.6.
    fn record(&mut self, record: &Spf, domain: &Domain) -> Result<Verdict, Unconfirmed> {
        for (term, directive) in record.directives() {
            let matched = self.directive(directive, &term.text, domain)?;
            if let Some(by) = matched {
                let explanation = record.explanation().cloned();
                return Ok(Verdict {
                    status: directive.qualifier.into(),
                    by: Some(by),
                    explanation: explanation.map(|spec| (spec, domain.clone())),
                });
            }
        }
        let Some(target) = record.redirect() else {
            return Ok(Verdict::new(Status::Neutral));
        };
        let term = format!("redirect={}", target.text());
        self.count()?;
        let (record, target) = self.fetch(target, &term, domain)?;
        self.record(&record, &target)
    }

    /// Tells whether a mechanism matches, and by which term in the end.
    fn directive(
        &mut self,
        directive: &Directive,
        term: &str,
        domain: &Domain,
    ) -> Result<Option<Matched>, Unconfirmed> {
        let mechanism = &directive.mechanism;
        if mechanism.costs_a_lookup() {
            self.count()?;
        }
        let matches = match mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(_) | Mechanism::Ip6(_) => mechanism.holds_literally(self.address),
            Mechanism::A {
                domain: spec,
                ipv4_bits,
                ipv6_bits,
            } => match self.target(spec.as_ref(), term, domain)? {
                Some(target) => self.has_address(&target, *ipv4_bits, *ipv6_bits)?,
                None => false,
            },
            Mechanism::Mx {
                domain: spec,
                ipv4_bits,
                ipv6_bits,
            } => match self.target(spec.as_ref(), term, domain)? {
                Some(target) => self.has_exchanger(&target, *ipv4_bits, *ipv6_bits)?,
                None => false,
            },
            Mechanism::Ptr(spec) => match self.target(spec.as_ref(), term, domain)? {
                // RFC 7208, 5.5
                Some(target) => self
                    .confirmed_pointers()?
                    .iter()
                    .any(|pointer| pointer.is_subdomain_of(&target)),
                None => false,
            },
            Mechanism::Exists(spec) => match self.target(Some(spec), term, domain)? {
                Some(target) => !self.ask(&target, RecordType::A)?.records().is_empty(),
                None => false,
            },
            Mechanism::Include(spec) => {
                let (record, target) = self.fetch(spec, term, domain)?;
                // RFC 7208, 5.2: only a pass matches.
                let verdict = self.record(&record, &target)?;
                return Ok(verdict.by.filter(|_| verdict.status == Status::Pass));
            }
        };
        Ok(matches.then(|| Matched {
            domain: domain.name.clone(),
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
        let answer = self.ask(target, kind)?;
        Ok(networks(&answer, ipv4_bits, ipv6_bits).any(|network| network.contains(&self.address)))
    }

    /// RFC 7208, 5.4: every exchanger is looked up, so that the order in which they come does
    /// not matter.
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
        let mut found = false;
        for exchange in exchangers(&answer) {
            found |= self.has_address(exchange, ipv4_bits, ipv6_bits)?;
        }
        Ok(found)
    }

    /// The names that lead back to the address; failed lookups confirm nothing (RFC 7208, 5.5).
    fn confirmed_pointers(&mut self) -> Result<Vec<Name>, Unconfirmed> {
        let answer = match self.ask(&Name::reverse_of(self.address), RecordType::Ptr) {
            Err(Unconfirmed::Lookup(_)) => return Ok(Vec::new()),
            other => other?,
        };
        let mut confirmed = Vec::new();
        for record in answer.records().iter().take(MAX_NAMES) {
            let RecordData::Ptr(pointer) = &record.data else {
                continue;
            };
            match self.has_address(pointer, 32, 128) {
                Ok(true) => confirmed.push(pointer.clone()),
                Ok(false) | Err(Unconfirmed::Lookup(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(confirmed)
    }

    /// The name a term means; `None` where DNS cannot hold it, which matches nothing
    /// (RFC 7208, 4.8).
    fn target(
        &mut self,
        spec: Option<&DomainSpec>,
        term: &str,
        domain: &Domain,
    ) -> Result<Option<Name>, Unconfirmed> {
        let Some(spec) = spec else {
            return Ok(Some(domain.name.clone()));
        };
        let text = self.expand(spec.macros(), term, domain)?;
        Ok(target_name(&text))
    }

    /// Fetches the record of another domain, which must be there (RFC 7208, 5.2 and 6.1).
    fn fetch(
        &mut self,
        spec: &DomainSpec,
        term: &str,
        domain: &Domain,
    ) -> Result<(Spf, Domain), Unconfirmed> {
        let text = self.expand(spec.macros(), term, domain)?;
        let target = domain_named(&text).ok_or_else(|| Unconfirmed::Target {
            term: escape(term),
            target: escape(&text),
        })?;
        let answer = self.ask(&target.name, RecordType::Txt)?;
        let record = sole_record(&target.name, &answer)?.ok_or_else(|| Unconfirmed::NoRecord {
            domain: target.name.clone(),
            term: term.to_owned(),
        })?;
        Ok((record, target))
    }

    /// Puts the values of the message into macros.
    fn expand(
        &mut self,
        text: &MacroString,
        term: &str,
        domain: &Domain,
    ) -> Result<String, Unconfirmed> {
        text.expand(|letter| {
            if matches!(letter, Letter::Sender | Letter::LocalPart | Letter::Helo) {
                self.message_term.get_or_insert_with(|| MessageTerm {
                    domain: domain.name.clone(),
                    term: term.to_owned(),
                });
            }
            self.value(letter, domain)
        })
    }

    /// RFC 7208, 7.2 and 7.3.
    fn value(&mut self, letter: Letter, domain: &Domain) -> Result<String, Unconfirmed> {
        let identity = self.identity;
        Ok(match letter {
            Letter::Sender => identity.sender(),
            Letter::LocalPart => identity.local_part.clone(),
            Letter::SenderDomain => identity.domain.clone(),
            Letter::Domain => domain.text.clone(),
            Letter::Address => dotted(self.address),
            Letter::Pointer => self.pointer(&domain.name)?,
            Letter::Family if self.address.is_ipv4() => "in-addr".to_owned(),
            Letter::Family => "ip6".to_owned(),
            Letter::Helo => identity.helo.clone(),
            Letter::ReadableAddress => self.address.to_string(),
            Letter::Receiver => identity.receiver.clone(),
            Letter::Time => identity.time.to_string(),
        })
    }

    /// The confirmed name of the address: best the domain itself, then one below it
    /// (RFC 7208, 7.3).
    fn pointer(&mut self, domain: &Name) -> Result<String, Unconfirmed> {
        let pointers = if let Some(known) = self.pointers.take() {
            known
        } else {
            // RFC 7208, 4.6.4: terms are counted. These names are the client's, and the domain
            // has no say in what they lead to.
            let limited = std::mem::replace(&mut self.limited, false);
            let found = self.confirmed_pointers();
            self.limited = limited;
            found?
        };
        let best = pointers
            .iter()
            .find(|name| *name == domain)
            .or_else(|| pointers.iter().find(|name| name.is_subdomain_of(domain)))
            .or(pointers.first());
        let text = best.map_or_else(|| "unknown".to_owned(), plain);
        self.pointers = Some(pointers);
        Ok(text)
    }

    /// What the domain says to those whose mail fails; whatever is wrong with it, the result
    /// stays as it is (RFC 7208, 6.2).
    fn explanation(&mut self, verdict: &Verdict) -> Option<String> {
        if verdict.status != Status::Fail {
            return None;
        }
        let (spec, domain) = verdict.explanation.as_ref()?;
        self.limited = false;
        let expand = |walk: &mut Self, text: &MacroString| {
            text.expand(|letter| walk.value(letter, domain)).ok()
        };
        let target = target_name(&expand(self, spec.macros())?)?;
        let answer = (self.lookup)(&target, RecordType::Txt).ok()?;
        let [record] = answer.records() else {
            return None;
        };
        let RecordData::Txt(text) = &record.data else {
            return None;
        };
        let text = std::str::from_utf8(text).ok().filter(|t| t.is_ascii())?;
        let text = MacroString::parse(text, Place::Explanation)?;
        expand(self, &text)
    }

    /// Counts a term that causes lookups.
    fn count(&mut self) -> Result<(), Unconfirmed> {
        self.terms += 1;
        if self.terms > MAX_LOOKUPS {
            return Err(Unconfirmed::TooManyLookups {
                domain: self.start(),
            });
        }
        Ok(())
    }

    /// Asks, and counts what finds nothing: each lookup of a term, as the receivers in use do.
    fn ask(&mut self, name: &Name, kind: RecordType) -> Result<Answer, Unconfirmed> {
        let answer = (self.lookup)(name, kind)?;
        if self.limited && answer.records().is_empty() {
            self.void += 1;
            if self.void > MAX_VOID_LOOKUPS {
                return Err(Unconfirmed::TooManyVoidLookups {
                    domain: self.start(),
                });
            }
        }
        Ok(answer)
    }

    /// The domain the walk began at.
    fn start(&self) -> Name {
        domain_named(&self.identity.domain).map_or_else(Name::root, |domain| domain.name)
    }
}

/// A domain that can have a record: of several labels, and no address (RFC 7208, 4.3).
fn domain_named(text: &str) -> Option<Domain> {
    let name = target_name(text).filter(|name| name.labels().count() > 1)?;
    let is_literal = text.starts_with('[');
    (!is_literal).then(|| Domain {
        name,
        text: text.strip_suffix('.').unwrap_or(text).to_owned(),
    })
}

/// The networks that the addresses of an answer stand for.
pub(super) fn networks(
    answer: &Answer,
    ipv4_bits: u8,
    ipv6_bits: u8,
) -> impl Iterator<Item = IpNet> {
    answer
        .records()
        .iter()
        .filter_map(move |record| match &record.data {
            RecordData::A(v4) => Ipv4Net::new(*v4, ipv4_bits).ok().map(IpNet::from),
            RecordData::Aaaa(v6) => Ipv6Net::new(*v6, ipv6_bits).ok().map(IpNet::from),
            _ => None,
        })
}

/// The mail exchangers of an answer; the root means no mail at all (RFC 7505).
pub(super) fn exchangers(answer: &Answer) -> impl Iterator<Item = &Name> {
    answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Mx { exchange, .. } if !exchange.is_root() => Some(exchange),
            _ => None,
        })
}

/// A name as it goes into another: nothing escaped.
pub(super) fn plain(name: &Name) -> String {
    let labels: Vec<_> = name.labels().map(String::from_utf8_lossy).collect();
    labels.join(".")
}

/// The address with dots: IPv6 as its nibbles (RFC 7208, 7.3).
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles: Vec<String> = v6
                .octets()
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|nibble| format!("{nibble:X}"))
                .collect();
            nibbles.join(".")
        }
    }
}

#[cfg(test)]
mod tests;
