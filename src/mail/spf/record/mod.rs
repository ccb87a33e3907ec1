//! The SPF record: terms with their places.
//!
//! Owns the grammar of RFC 7208, 12 and what is legal but odd. Must not know
//! what a record says of an address.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::dns::Name;
use crate::finding::escape;
use crate::mail::spf::cut;
use crate::mail::spf::macros::{MacroString, Place};

/// What every record begins with.
pub(in crate::mail::spf) const VERSION: &str = "v=spf1";

/// Most bytes that a record should have (RFC 7208, 3.4).
const LONGEST: usize = 450;

/// The mechanisms, for messages.
const MECHANISMS: &str = "all, include, a, mx, ptr, ip4, ip6, exists";

/// An SPF record, each term with the text it was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spf {
    terms: Vec<Term>,
}

/// One term of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The text, as it was read.
    pub text: String,
    /// Where it stands in the record, in bytes.
    pub span: Range<usize>,
    /// What it means.
    pub content: Content,
}

/// What a term is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// It may match an address.
    Directive(Directive),
    /// It says something more.
    Modifier(Modifier),
}

/// A mechanism and what its match means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Directive {
    /// What a match means.
    pub qualifier: Qualifier,
    /// What matches.
    pub mechanism: Mechanism,
}

/// What a match means (RFC 7208, 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qualifier {
    /// `+`, or nothing: the host may send.
    Pass,
    /// `-`: it may not.
    Fail,
    /// `~`: it probably may not.
    SoftFail,
    /// `?`: nothing is said.
    Neutral,
}

/// What matches (RFC 7208, 5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Every address.
    All,
    /// What passes the record of another domain.
    Include(DomainSpec),
    /// The addresses of a name.
    A {
        /// The name; the domain itself where none is given.
        domain: Option<DomainSpec>,
        /// Leading bits that count of an IPv4 address.
        ipv4_bits: u8,
        /// Leading bits that count of an IPv6 address.
        ipv6_bits: u8,
    },
    /// The addresses of a domain's mail exchangers.
    Mx {
        /// The domain; the record's own where none is given.
        domain: Option<DomainSpec>,
        /// Leading bits that count of an IPv4 address.
        ipv4_bits: u8,
        /// Leading bits that count of an IPv6 address.
        ipv6_bits: u8,
    },
    /// Addresses whose PTR leads into a domain; discouraged (RFC 7208, 5.5).
    Ptr(Option<DomainSpec>),
    /// An IPv4 network.
    Ip4(Ipv4Net),
    /// An IPv6 network.
    Ip6(Ipv6Net),
    /// Whatever makes a name have an A record.
    Exists(DomainSpec),
}

/// What else a record can say (RFC 7208, 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// Where nothing matches, the record of that domain decides.
    Redirect(DomainSpec),
    /// Where the explanation of a failure stands.
    Explanation(DomainSpec),
    /// One that RFC 7208 does not define; it is ignored.
    Unknown {
        /// Its name, as written.
        name: String,
        /// Its value.
        value: String,
    },
}

/// A domain name in which macros may stand (RFC 7208, 7.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DomainSpec {
    text: String,
    macros: MacroString,
}

/// Why a text is no SPF record, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct SpfError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub fault: SpfFault,
}

/// What is wrong with a term.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpfFault {
    /// The text does not begin with the version.
    #[error("an SPF record begins with `{VERSION}` and a space")]
    Version,
    /// A character that no record holds.
    #[error(
        "`{character}` cannot stand in an SPF record; terms are printable ASCII, with spaces between"
    )]
    Character {
        /// The character, escaped.
        character: String,
    },
    /// A mechanism that does not exist.
    #[error("`{name}` is no mechanism; there are {MECHANISMS}")]
    UnknownMechanism {
        /// Its name.
        name: String,
    },
    /// A modifier written with a colon.
    #[error("`{name}` is a modifier; write `{name}=`")]
    ModifierWithColon {
        /// Its name.
        name: String,
    },
    /// `redirect` or `exp` has a qualifier in front.
    #[error("`{term}` is a modifier and takes no qualifier")]
    QualifiedModifier {
        /// The term.
        term: String,
    },
    /// A mechanism that needs a value has none.
    #[error("`{name}` needs `:` and a value")]
    MissingValue {
        /// The mechanism.
        name: &'static str,
    },
    /// A mechanism that takes no value has one.
    #[error("`all` takes no value")]
    ValueOfAll,
    /// No IPv4 network.
    #[error("`{value}` is no IPv4 address or network")]
    Ip4 {
        /// The value.
        value: String,
    },
    /// No IPv6 network.
    #[error("`{value}` is no IPv6 address or network")]
    Ip6 {
        /// The value.
        value: String,
    },
    /// An address of the other kind.
    #[error("`{value}` belongs to `{other}:`")]
    OtherFamily {
        /// The value.
        value: String,
        /// The mechanism that takes it.
        other: &'static str,
    },
    /// A prefix length that does not exist.
    #[error("`/{length}` is no prefix length; 0 to {limit} are")]
    PrefixLength {
        /// The length, as written.
        length: String,
        /// The longest.
        limit: u8,
    },
    /// No domain name.
    #[error("`{value}` is no domain name with at least one dot")]
    Domain {
        /// The value.
        value: String,
    },
    /// A `%` that begins no macro.
    #[error("`{value}` has a bad macro; `%` begins `%{{letter}}`, `%%`, `%_` or `%-`")]
    Macro {
        /// The value.
        value: String,
    },
    /// `redirect` or `exp` twice (RFC 7208, 6).
    #[error("`{name}=` stands there twice")]
    Twice {
        /// The modifier.
        name: &'static str,
    },
}

/// Something legal that is most likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// Mechanisms behind `all` are never reached (RFC 7208, 5.1).
    #[error("`{term}` stands behind `all` and is never looked at")]
    AfterAll {
        /// The term.
        term: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// `redirect` beside `all` is ignored (RFC 7208, 6.1).
    #[error("`{term}` is ignored because there is an `all`")]
    RedirectBesideAll {
        /// The term.
        term: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// Everybody may send.
    #[error("`{term}` lets every host in the world send for the domain")]
    PassAll {
        /// The term.
        term: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// `ptr` should not be used (RFC 7208, 5.5).
    #[error("`{term}` is slow and unreliable; some receivers ignore it")]
    Ptr {
        /// The term.
        term: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// A mechanism written with `=` is an unknown modifier and does nothing.
    #[error("`{term}` does nothing; a mechanism takes `:`")]
    MechanismWithEquals {
        /// The term.
        term: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// The same term twice.
    #[error("`{term}` stands there twice")]
    Repeated {
        /// The term.
        term: String,
        /// Where the second one stands.
        span: Range<usize>,
    },
    /// Longer than answers over UDP should be (RFC 7208, 3.4).
    #[error("the record has {} bytes; up to {LONGEST} reach every receiver", .span.end)]
    Long {
        /// All of it.
        span: Range<usize>,
    },
}

impl Oddity {
    /// Where it stands in the record, in bytes.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::AfterAll { span, .. }
            | Self::RedirectBesideAll { span, .. }
            | Self::PassAll { span, .. }
            | Self::Ptr { span, .. }
            | Self::MechanismWithEquals { span, .. }
            | Self::Repeated { span, .. }
            | Self::Long { span } => span.clone(),
        }
    }
}

impl Spf {
    /// Reads a record strictly.
    ///
    /// # Errors
    /// Every fault of the text with its place; receivers take such a record for a permanent
    /// error and trust no address.
    pub fn parse(text: &str) -> Result<Self, Vec<SpfError>> {
        let fail = |span, fault| SpfError { span, fault };
        let Some(body) = strip_version(text) else {
            let end = text.find(' ').unwrap_or(text.len());
            return Err(vec![fail(0..end, SpfFault::Version)]);
        };
        let mut terms: Vec<Term> = Vec::new();
        let mut errors = Vec::new();
        let mut start = text.len() - body.len();
        for word in body.split(' ') {
            let span = start..start + word.len();
            start = span.end + 1;
            if word.is_empty() {
                continue;
            }
            match content(word) {
                Ok(content) => {
                    if let Content::Modifier(modifier) = &content
                        && let Some(name) = modifier.only_once()
                        && terms.iter().any(|term| term.is_modifier(name))
                    {
                        errors.push(fail(span.clone(), SpfFault::Twice { name }));
                    }
                    terms.push(Term {
                        text: word.to_owned(),
                        span,
                        content,
                    });
                }
                Err(fault) => errors.push(fail(span, fault)),
            }
        }
        if errors.is_empty() {
            Ok(Self { terms })
        } else {
            Err(errors)
        }
    }

    /// Gives the terms in order.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Gives the directives in order, each with its term.
    pub fn directives(&self) -> impl Iterator<Item = (&Term, &Directive)> {
        self.terms.iter().filter_map(|term| match &term.content {
            Content::Directive(directive) => Some((term, directive)),
            Content::Modifier(_) => None,
        })
    }

    /// Gives where the record goes on when nothing matches.
    #[must_use]
    pub fn redirect(&self) -> Option<&DomainSpec> {
        self.terms.iter().find_map(|term| match &term.content {
            Content::Modifier(Modifier::Redirect(domain)) => Some(domain),
            _ => None,
        })
    }

    /// Gives where the explanation of a failure stands.
    #[must_use]
    pub fn explanation(&self) -> Option<&DomainSpec> {
        self.terms.iter().find_map(|term| match &term.content {
            Content::Modifier(Modifier::Explanation(domain)) => Some(domain),
            _ => None,
        })
    }

    /// Gives what the first `all` says.
    #[must_use]
    pub fn all(&self) -> Option<Qualifier> {
        self.directives()
            .find(|(_, directive)| directive.mechanism == Mechanism::All)
            .map(|(_, directive)| directive.qualifier)
    }

    /// Tells whether an `ip4:` or `ip6:` of the record lets the address send.
    ///
    /// Only what is written in the record counts, nothing that needs a lookup.
    #[must_use]
    pub fn covers_literal(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.directives()
            .take_while(|(_, directive)| directive.mechanism != Mechanism::All)
            .find(|(_, directive)| directive.mechanism.holds_literally(address))
            .is_some_and(|(_, directive)| directive.qualifier == Qualifier::Pass)
    }

    /// Counts the terms that cost receivers a lookup; more than ten are an error
    /// (RFC 7208, 4.6.4). Those of included records come on top.
    #[must_use]
    pub fn lookup_terms(&self) -> usize {
        let cost = |term: &&Term| match &term.content {
            Content::Directive(directive) => directive.mechanism.costs_a_lookup(),
            Content::Modifier(modifier) => {
                matches!(modifier, Modifier::Redirect(_)) && self.all().is_none()
            }
        };
        self.terms.iter().filter(cost).count()
    }

    /// Lists what is legal and most likely not meant.
    #[must_use]
    pub fn oddities(&self) -> Vec<Oddity> {
        let mut found = Vec::new();
        let length = self.terms.last().map_or(0, |term| term.span.end);
        if length > LONGEST {
            found.push(Oddity::Long { span: 0..length });
        }
        let mut all_seen = false;
        let mut seen = HashSet::new();
        for record_term in &self.terms {
            let (term, span) = (cut(&record_term.text), record_term.span.clone());
            let is_new = seen.insert(&record_term.content);
            match &record_term.content {
                Content::Directive(_) if all_seen => found.push(Oddity::AfterAll { term, span }),
                content if !is_new => {
                    // An unknown modifier may stand there as often as it likes.
                    if matches!(content, Content::Directive(_)) {
                        found.push(Oddity::Repeated { term, span });
                    }
                }
                Content::Directive(directive) => match directive.mechanism {
                    Mechanism::All => {
                        all_seen = true;
                        if directive.qualifier == Qualifier::Pass {
                            found.push(Oddity::PassAll { term, span });
                        }
                    }
                    Mechanism::Ptr(_) => found.push(Oddity::Ptr { term, span }),
                    _ => {}
                },
                Content::Modifier(Modifier::Redirect(_)) if self.all().is_some() => {
                    found.push(Oddity::RedirectBesideAll { term, span });
                }
                Content::Modifier(Modifier::Unknown { name, .. }) if is_mechanism(name) => {
                    found.push(Oddity::MechanismWithEquals { term, span });
                }
                Content::Modifier(_) => {}
            }
        }
        found
    }
}

impl fmt::Display for Spf {
    /// Prints the record, one space between terms.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.terms.iter().try_for_each(|term| write!(f, " {term}"))
    }
}

impl Term {
    fn is_modifier(&self, name: &str) -> bool {
        matches!(&self.content, Content::Modifier(modifier) if modifier.only_once() == Some(name))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Qualifier {
    /// Gives the sign in front of a mechanism.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Pass => '+',
            Self::Fail => '-',
            Self::SoftFail => '~',
            Self::Neutral => '?',
        }
    }

    fn from_sign(sign: char) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::SoftFail, Self::Neutral]
            .into_iter()
            .find(|qualifier| qualifier.sign() == sign)
    }
}

impl Mechanism {
    /// Tells whether receivers ask DNS for it (RFC 7208, 4.6.4).
    #[must_use]
    pub fn costs_a_lookup(&self) -> bool {
        !matches!(self, Self::All | Self::Ip4(_) | Self::Ip6(_))
    }

    /// The domain written here; `None` where it is the record's own, or there is none.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainSpec> {
        match self {
            Self::Include(domain) | Self::Exists(domain) => Some(domain),
            Self::A { domain, .. } | Self::Mx { domain, .. } | Self::Ptr(domain) => domain.as_ref(),
            Self::All | Self::Ip4(_) | Self::Ip6(_) => None,
        }
    }

    /// Tells whether the address lies in the network written here.
    #[must_use]
    pub fn holds_literally(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Ip4(network), IpAddr::V4(v4)) => network.contains(&v4),
            (Self::Ip6(network), IpAddr::V6(v6)) => network.contains(&v6),
            _ => false,
        }
    }

    /// The network written here.
    #[must_use]
    pub fn network(&self) -> Option<IpNet> {
        match self {
            Self::Ip4(network) => Some((*network).into()),
            Self::Ip6(network) => Some((*network).into()),
            _ => None,
        }
    }
}

impl Modifier {
    /// The name, if the modifier must not stand there twice.
    fn only_once(&self) -> Option<&'static str> {
        match self {
            Self::Redirect(_) => Some("redirect"),
            Self::Explanation(_) => Some("exp"),
            Self::Unknown { .. } => None,
        }
    }
}

impl DomainSpec {
    /// Reads a domain name with macros.
    fn parse(text: &str) -> Result<Self, SpfFault> {
        let macros = macros(text)?;
        // RFC 7208, 7.1: it ends in a macro, or in a dot and a top label.
        let name = text.strip_suffix('.').unwrap_or(text);
        let ends_well = match name.rsplit_once('.') {
            _ if macros.ends_in_macro() => true,
            Some((_, top)) => is_top_label(top),
            None => false,
        };
        if !ends_well {
            return Err(SpfFault::Domain {
                value: escape(text),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            macros,
        })
    }

    /// Gives the text, macros unexpanded.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells whether it may mean another name for another message.
    #[must_use]
    pub fn has_macros(&self) -> bool {
        self.macros.letters().next().is_some()
    }

    /// Gives the macros read.
    pub(in crate::mail::spf) fn macros(&self) -> &MacroString {
        &self.macros
    }

    /// Gives the name, if it is the same for every message and DNS can hold it.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        let text = self.macros.expand(|_| Err(())).ok()?;
        target_name(&text)
    }
}

/// The name a domain of a record means, its macros expanded; `None` where DNS cannot hold it.
///
/// Every character stands for itself, a backslash too. What is too long loses labels at its
/// left (RFC 7208, 7.3).
pub(in crate::mail::spf) fn target_name(text: &str) -> Option<Name> {
    /// Most bytes of a name as text (RFC 7208, 7.3).
    const LONGEST: usize = 253;
    let mut name = text.strip_suffix('.').unwrap_or(text);
    while name.len() > LONGEST {
        (_, name) = name.split_once('.')?;
    }
    Name::from_labels(name.split('.')).ok()
}

/// Cuts off the version, if the text is an SPF record (RFC 7208, 4.5).
pub(in crate::mail::spf) fn strip_version(text: &str) -> Option<&str> {
    let (version, body) = text.split_at_checked(VERSION.len())?;
    let is_record =
        version.eq_ignore_ascii_case(VERSION) && (body.is_empty() || body.starts_with(' '));
    is_record.then_some(body)
}

/// Reads one term.
fn content(word: &str) -> Result<Content, SpfFault> {
    if let Some(bad) = word.chars().find(|c| !c.is_ascii_graphic()) {
        let character = bad.escape_default().to_string();
        return Err(SpfFault::Character { character });
    }
    let name_end = word.find([':', '/', '=']).unwrap_or(word.len());
    let (name, rest) = word.split_at(name_end);
    if let Some(value) = rest.strip_prefix('=')
        && is_modifier_name(name)
    {
        return modifier(name, value).map(Content::Modifier);
    }
    let sign = name.chars().next().and_then(Qualifier::from_sign);
    let name = match sign {
        Some(_) => name.get(1..).unwrap_or_default(),
        None => name,
    };
    let known = name.to_ascii_lowercase();
    if matches!(known.as_str(), "redirect" | "exp") && !rest.is_empty() {
        return Err(match sign {
            None => SpfFault::ModifierWithColon { name: known },
            Some(_) => SpfFault::QualifiedModifier {
                term: word.to_owned(),
            },
        });
    }
    let mechanism = mechanism(&known, rest).ok_or_else(|| SpfFault::UnknownMechanism {
        name: name.to_owned(),
    })??;
    Ok(Content::Directive(Directive {
        qualifier: sign.unwrap_or(Qualifier::Pass),
        mechanism,
    }))
}

/// Reads a mechanism; `None` when there is none of the name.
fn mechanism(name: &str, rest: &str) -> Option<Result<Mechanism, SpfFault>> {
    let value = rest.strip_prefix(':');
    let needed = |name| {
        value
            .filter(|v| !v.is_empty())
            .ok_or(SpfFault::MissingValue { name })
    };
    Some(match name {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err(SpfFault::ValueOfAll),
        "include" => needed("include")
            .and_then(DomainSpec::parse)
            .map(Mechanism::Include),
        "exists" => needed("exists")
            .and_then(DomainSpec::parse)
            .map(Mechanism::Exists),
        "a" => with_prefixes(rest).map(|(domain, ipv4_bits, ipv6_bits)| Mechanism::A {
            domain,
            ipv4_bits,
            ipv6_bits,
        }),
        "mx" => with_prefixes(rest).map(|(domain, ipv4_bits, ipv6_bits)| Mechanism::Mx {
            domain,
            ipv4_bits,
            ipv6_bits,
        }),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => needed("ptr")
            .and_then(DomainSpec::parse)
            .map(|domain| Mechanism::Ptr(Some(domain))),
        "ip4" => needed("ip4").and_then(ip4),
        "ip6" => needed("ip6").and_then(ip6),
        _ => return None,
    })
}

fn is_mechanism(name: &str) -> bool {
    MECHANISMS
        .split(", ")
        .any(|mechanism| mechanism.eq_ignore_ascii_case(name))
}

fn ip4(value: &str) -> Result<Mechanism, SpfFault> {
    let (address, length) = value.split_once('/').unwrap_or((value, "32"));
    match address.parse::<Ipv4Addr>() {
        Ok(address) => {
            let network = Ipv4Net::new(address, prefix_length(length, 32)?);
            Ok(Mechanism::Ip4(network.expect("the length was checked")))
        }
        Err(_) if address.parse::<Ipv6Addr>().is_ok() => Err(SpfFault::OtherFamily {
            value: value.to_owned(),
            other: "ip6",
        }),
        Err(_) => Err(SpfFault::Ip4 {
            value: value.to_owned(),
        }),
    }
}

fn ip6(value: &str) -> Result<Mechanism, SpfFault> {
    let (address, length) = value.split_once('/').unwrap_or((value, "128"));
    match address.parse::<Ipv6Addr>() {
        Ok(address) => {
            let network = Ipv6Net::new(address, prefix_length(length, 128)?);
            Ok(Mechanism::Ip6(network.expect("the length was checked")))
        }
        Err(_) if address.parse::<Ipv4Addr>().is_ok() => Err(SpfFault::OtherFamily {
            value: value.to_owned(),
            other: "ip4",
        }),
        Err(_) => Err(SpfFault::Ip6 {
            value: value.to_owned(),
        }),
    }
}

/// Reads `[:domain][/bits4][//bits6]` (RFC 7208, 5.3 and 5.6).
///
/// A domain may hold slashes itself, so the lengths are taken off the end.
fn with_prefixes(rest: &str) -> Result<(Option<DomainSpec>, u8, u8), SpfFault> {
    let (rest, ipv6_bits) = match rest.rsplit_once("//") {
        Some((front, length)) if is_number(length) => (front, prefix_length(length, 128)?),
        _ => (rest, 128),
    };
    let (rest, ipv4_bits) = match rest.rsplit_once('/') {
        Some((front, length)) if is_number(length) => (front, prefix_length(length, 32)?),
        _ => (rest, 32),
    };
    let domain = match rest.strip_prefix(':') {
        Some(domain) => Some(DomainSpec::parse(domain)?),
        None if rest.is_empty() => None,
        None => {
            return Err(SpfFault::PrefixLength {
                length: rest.trim_start_matches('/').to_owned(),
                limit: if rest.starts_with("//") { 128 } else { 32 },
            });
        }
    };
    Ok((domain, ipv4_bits, ipv6_bits))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a prefix length; leading zeros are not allowed (RFC 7208, 5.6).
fn prefix_length(text: &str, limit: u8) -> Result<u8, SpfFault> {
    text.parse()
        .ok()
        .filter(|&length: &u8| length <= limit && length.to_string() == text)
        .ok_or_else(|| SpfFault::PrefixLength {
            length: text.to_owned(),
            limit,
        })
}

fn modifier(name: &str, value: &str) -> Result<Modifier, SpfFault> {
    if name.eq_ignore_ascii_case("redirect") {
        return DomainSpec::parse(value).map(Modifier::Redirect);
    }
    if name.eq_ignore_ascii_case("exp") {
        return DomainSpec::parse(value).map(Modifier::Explanation);
    }
    macros(value)?;
    Ok(Modifier::Unknown {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

fn macros(text: &str) -> Result<MacroString, SpfFault> {
    MacroString::parse(text, Place::Record).ok_or_else(|| SpfFault::Macro {
        value: escape(text),
    })
}

/// RFC 7208, 12, "name".
fn is_modifier_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(inner)
}

/// RFC 7208, 12, "toplabel": letters, digits, inner hyphens; not only digits.
fn is_top_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !label.is_empty()
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !is_number(label)
}

#[cfg(test)]
mod tests;
