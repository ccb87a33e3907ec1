//! Every branch of a record, for those who publish it.
//!
//! A receiver stops at the first term that matches ([`check_host`](super::check_host)); here all
//! of it is walked, so that one sees what a message costs that nothing matches. Owns the tree,
//! its counts and what is wrong in it. Hostile records cannot make it long: it gives up after
//! [`MAX_TERMS`] lookups or [`MAX_QUESTIONS`] questions and says so.
//! Follows RFC 7208, 4.6.4.

mod findings;
mod flatten;
mod savings;
mod text;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::evaluate::{exchangers, networks, plain};
use super::macros::Letter;
use super::published::{sole_record, spf_texts};
use super::record::target_name;
use super::{
    Content, DomainSpec, Lookup, MAX_LOOKUPS, MAX_NAMES, MAX_VOID_LOOKUPS, Mechanism, Modifier,
    Oddity, Qualifier, Spf, Term, Unconfirmed,
};
use crate::dns::{Answer, DnsError, Name, RecordType};
use crate::finding::escape;

pub use flatten::NotFlat;
pub use savings::{Saving, Waste};

/// Most terms with a lookup that are walked: ten times what receivers do.
pub const MAX_TERMS: usize = 100;

/// Most different questions that are asked.
pub const MAX_QUESTIONS: usize = 400;

/// As many questions may go without any answer; then no more are asked, for each takes its time.
const MAX_SILENT: usize = 5;

/// All that the record of a domain leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The record and those below it.
    pub tree: Tree,
    /// What a message costs that nothing matches.
    pub costs: Costs,
    /// Whether a record leads back to itself.
    pub endless: bool,
    /// Whether it was all walked.
    pub complete: bool,
}

/// A record and what its terms lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// The domain it stands at.
    #[serde(serialize_with = "host")]
    pub domain: Name,
    /// Its text, if there is just one.
    pub record: Option<String>,
    /// Its terms, in the order of the record.
    pub branches: Vec<Branch>,
    /// What is wrong with it.
    #[serde(serialize_with = "some_text")]
    pub fault: Option<Fault>,
    /// What is legal and most likely not meant.
    #[serde(serialize_with = "texts")]
    pub oddities: Vec<Oddity>,
    /// What it costs, with all that it leads to.
    pub costs: Costs,
}

/// A term and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// The term as written.
    pub term: String,
    /// Where it stands in the record, in bytes.
    pub span: Range<usize>,
    /// What it is.
    #[serde(skip)]
    pub content: Content,
    /// Whether receivers come to it: no `all` stands before it.
    pub reached: bool,
    /// Whether macros make it mean something else for each message.
    pub by_message: bool,
    /// The name it means.
    #[serde(serialize_with = "some_host")]
    pub target: Option<Name>,
    /// The networks it names.
    #[serde(serialize_with = "texts")]
    pub networks: Vec<IpNet>,
    /// What it costs by itself.
    pub costs: Costs,
    /// What is wrong with it.
    #[serde(serialize_with = "some_text")]
    pub fault: Option<Fault>,
    /// The record it leads to.
    pub tree: Option<Box<Tree>>,
}

/// What receivers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Terms that cause lookups; [`MAX_LOOKUPS`] are allowed.
    pub lookups: usize,
    /// Lookups that find nothing for an IPv4 sender; [`MAX_VOID_LOOKUPS`] are allowed.
    pub void_ipv4: usize,
    /// The same for an IPv6 sender.
    pub void_ipv6: usize,
}

/// What stands in the way of a receiver, or of us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What a receiver stumbles over too, or a question that nobody answered.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// A record leads back to itself.
    #[error("`{}` leads back to itself: {}", .domain.host(), .path.iter().map(Name::host).collect::<Vec<_>>().join(" > "))]
    Loop {
        /// The domain that comes again.
        domain: Name,
        /// How it got there, the domain first and last.
        path: Vec<Name>,
    },
    /// There was too much of it.
    #[error("given up here: the records go on beyond {MAX_TERMS} lookups")]
    GivenUp,
    /// Nobody answered the questions before.
    #[error("not asked: {MAX_SILENT} questions before it had no answer")]
    NotAsked,
}

impl From<DnsError> for Fault {
    fn from(error: DnsError) -> Self {
        Self::Unconfirmed(error.into())
    }
}

impl Costs {
    fn add(&mut self, other: Self) {
        self.lookups += other.lookups;
        self.void_ipv4 += other.void_ipv4;
        self.void_ipv6 += other.void_ipv6;
    }

    /// Tells whether receivers take it for an error.
    #[must_use]
    pub fn are_over(self) -> bool {
        self.lookups > MAX_LOOKUPS || self.void_ipv4.max(self.void_ipv6) > MAX_VOID_LOOKUPS
    }
}

impl Branch {
    /// What it costs with all that it leads to.
    #[must_use]
    pub fn whole_costs(&self) -> Costs {
        let mut costs = self.costs;
        if let Some(tree) = &self.tree {
            costs.add(tree.costs);
        }
        costs
    }
}

impl Branch {
    /// Tells whether a network is written in it.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.mechanism()
            .is_some_and(|mechanism| mechanism.network().is_some())
    }

    /// The mechanism; `None` for a modifier.
    fn mechanism(&self) -> Option<&Mechanism> {
        match &self.content {
            Content::Directive(directive) => Some(&directive.mechanism),
            Content::Modifier(_) => None,
        }
    }

    /// Tells whether it lets what it names send.
    fn lets_send(&self) -> bool {
        matches!(&self.content, Content::Directive(directive) if directive.qualifier == Qualifier::Pass)
            && self.reached
    }
}

impl Tree {
    /// Everything that is wrong in it and below, each with the tree it stands in.
    #[must_use]
    pub fn faults(&self) -> Vec<(&Self, &Fault)> {
        let mut found: Vec<_> = self.fault.iter().map(|fault| (self, fault)).collect();
        for branch in &self.branches {
            found.extend(branch.fault.iter().map(|fault| (self, fault)));
            found.extend(branch.tree.iter().flat_map(|tree| tree.faults()));
        }
        found
    }
}

impl Survey {
    /// The first lookup that nobody answered: what the survey says of the rest is not sure.
    #[must_use]
    pub fn unasked(&self) -> Option<&DnsError> {
        self.tree
            .faults()
            .into_iter()
            .find_map(|(_, fault)| match fault {
                Fault::Unconfirmed(Unconfirmed::Lookup(error)) => Some(error),
                _ => None,
            })
    }

    /// Tells whether receivers take the record for an error, or a part of it.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        let is_wrong = |fault: &Fault| {
            !matches!(
                fault,
                Fault::Unconfirmed(Unconfirmed::Lookup(_)) | Fault::GivenUp | Fault::NotAsked
            )
        };
        self.is_over_limits() || self.tree.faults().iter().any(|(_, fault)| is_wrong(fault))
    }

    /// Tells whether it costs more than receivers take.
    #[must_use]
    pub fn is_over_limits(&self) -> bool {
        self.costs.are_over() || self.endless
    }
}

/// Walks every branch of the record of a domain.
#[must_use]
pub fn survey(domain: &Name, lookup: &Lookup<'_>) -> Survey {
    let mut walk = Walk {
        start: domain,
        lookup,
        answers: RefCell::default(),
        silent: Cell::new(0),
        terms: 0,
        path: Vec::new(),
        endless: false,
    };
    let tree = walk.tree(domain, None);
    let complete = tree
        .faults()
        .iter()
        .all(|(_, fault)| !matches!(fault, Fault::GivenUp | Fault::NotAsked));
    Survey {
        costs: tree.costs,
        tree,
        endless: walk.endless,
        complete,
    }
}

struct Walk<'a> {
    start: &'a Name,
    lookup: &'a Lookup<'a>,
    /// What was asked; a domain that is included twice is asked once.
    answers: RefCell<BTreeMap<(Name, RecordType), Result<Answer, DnsError>>>,
    /// Questions without any answer.
    silent: Cell<usize>,
    /// Terms with a lookup so far.
    terms: usize,
    /// The domains above, the start first.
    path: Vec<Name>,
    endless: bool,
}

impl Walk<'_> {
    /// The record of a domain; `term` led here.
    fn tree(&mut self, domain: &Name, term: Option<&str>) -> Tree {
        let mut tree = Tree {
            domain: domain.clone(),
            record: None,
            branches: Vec::new(),
            fault: None,
            oddities: Vec::new(),
            costs: Costs::default(),
        };
        match self.record(domain, term, &mut tree) {
            Ok(record) => {
                tree.oddities = record.oddities();
                self.path.push(domain.clone());
                let all = record
                    .directives()
                    .find(|(_, directive)| directive.mechanism == Mechanism::All)
                    .map(|(term, _)| term);
                for term in record.terms() {
                    let branch = self.branch(all, term, domain);
                    if branch.reached {
                        tree.costs.add(branch.whole_costs());
                    }
                    let is_last = branch.fault == Some(Fault::GivenUp);
                    tree.branches.push(branch);
                    if is_last {
                        break;
                    }
                }
                self.path.pop();
            }
            Err(fault) => tree.fault = Some(fault),
        }
        tree
    }

    fn record(&self, domain: &Name, term: Option<&str>, tree: &mut Tree) -> Result<Spf, Fault> {
        let answer = self.ask(domain, RecordType::Txt)?;
        if let [text] = spf_texts(&answer).as_slice() {
            tree.record = Some(text.clone());
        }
        let domain = domain.clone();
        sole_record(&domain, &answer)?.ok_or_else(|| {
            Fault::Unconfirmed(match term {
                Some(term) => Unconfirmed::NoRecord {
                    domain,
                    term: term.to_owned(),
                },
                None => Unconfirmed::NotPublished { domain },
            })
        })
    }

    /// One term of a record; `all` is the first of its kind there.
    fn branch(&mut self, all: Option<&Term>, term: &Term, domain: &Name) -> Branch {
        let mut branch = Branch {
            term: term.text.clone(),
            span: term.span.clone(),
            content: term.content.clone(),
            reached: is_reached(all, term),
            by_message: false,
            target: None,
            networks: Vec::new(),
            costs: Costs::default(),
            fault: None,
            tree: None,
        };
        let (mechanism, spec) = match &term.content {
            Content::Directive(directive) => {
                let mechanism = &directive.mechanism;
                branch.networks.extend(mechanism.network());
                (Some(mechanism), mechanism.domain())
            }
            Content::Modifier(Modifier::Redirect(spec)) => (None, Some(spec)),
            Content::Modifier(_) => return branch,
        };
        let is_free = mechanism.is_some_and(|mechanism| !mechanism.costs_a_lookup());
        if !branch.reached || is_free {
            return branch;
        }
        if self.terms >= MAX_TERMS {
            branch.fault = Some(Fault::GivenUp);
            return branch;
        }
        self.terms += 1;
        branch.costs.lookups = 1;
        let expanded = match spec {
            Some(spec) => self.expand(spec, domain),
            None => Some(plain(domain)),
        };
        let Some(expanded) = expanded else {
            branch.by_message = true;
            return branch;
        };
        branch.target = target_name(&expanded);
        branch.fault = match (branch.target.clone(), mechanism) {
            (Some(target), _) => self.follow(&mut branch, mechanism, &target).err(),
            // What DNS cannot hold matches nothing; these two need a record there.
            (None, None | Some(Mechanism::Include(_))) => Some(
                Unconfirmed::Target {
                    term: escape(&term.text),
                    target: escape(&expanded),
                }
                .into(),
            ),
            (None, Some(_)) => None,
        };
        branch
    }

    /// Looks up what a term names.
    fn follow(
        &mut self,
        branch: &mut Branch,
        mechanism: Option<&Mechanism>,
        target: &Name,
    ) -> Result<(), Fault> {
        match mechanism {
            None | Some(Mechanism::Include(_)) => {
                if let Some(at) = self.path.iter().position(|above| above == target) {
                    self.endless = true;
                    let above = self.path.get(at..).unwrap_or_default();
                    return Err(Fault::Loop {
                        domain: target.clone(),
                        path: above.iter().chain([target]).cloned().collect(),
                    });
                }
                branch.tree = Some(Box::new(self.tree(target, Some(&branch.term))));
                Ok(())
            }
            Some(Mechanism::A {
                ipv4_bits,
                ipv6_bits,
                ..
            }) => self.addresses(branch, target, (*ipv4_bits, *ipv6_bits)),
            Some(Mechanism::Mx {
                ipv4_bits,
                ipv6_bits,
                ..
            }) => {
                let answer = self.ask(target, RecordType::Mx)?;
                if answer.records().is_empty() {
                    branch.costs.void_ipv4 += 1;
                    branch.costs.void_ipv6 += 1;
                }
                if answer.records().len() > MAX_NAMES {
                    let domain = target.clone();
                    return Err(Unconfirmed::TooManyExchangers { domain }.into());
                }
                exchangers(&answer).try_for_each(|exchange| {
                    self.addresses(branch, exchange, (*ipv4_bits, *ipv6_bits))
                })
            }
            Some(Mechanism::Exists(_)) => {
                if self.ask(target, RecordType::A)?.records().is_empty() {
                    branch.costs.void_ipv4 += 1;
                    branch.costs.void_ipv6 += 1;
                }
                Ok(())
            }
            Some(Mechanism::Ptr(_)) => {
                branch.by_message = true;
                Ok(())
            }
            Some(Mechanism::All | Mechanism::Ip4(_) | Mechanism::Ip6(_)) => Ok(()),
        }
    }

    fn addresses(
        &self,
        branch: &mut Branch,
        name: &Name,
        (ipv4_bits, ipv6_bits): (u8, u8),
    ) -> Result<(), Fault> {
        let ipv4 = self.ask(name, RecordType::A)?;
        let ipv6 = self.ask(name, RecordType::Aaaa)?;
        branch.costs.void_ipv4 += usize::from(ipv4.records().is_empty());
        branch.costs.void_ipv6 += usize::from(ipv6.records().is_empty());
        for answer in [ipv4, ipv6] {
            let found = networks(&answer, ipv4_bits, ipv6_bits).map(|network| network.trunc());
            branch.networks.extend(found);
        }
        Ok(())
    }

    /// Puts in what is the same for every message of the domain.
    fn expand(&self, spec: &DomainSpec, domain: &Name) -> Option<String> {
        let value = |letter| match letter {
            Letter::Domain => Ok(plain(domain)),
            Letter::SenderDomain => Ok(plain(self.start)),
            _ => Err(()),
        };
        spec.macros().expand(value).ok()
    }

    fn ask(&self, name: &Name, kind: RecordType) -> Result<Answer, Fault> {
        let mut answers = self.answers.borrow_mut();
        let key = (name.clone(), kind);
        if let Some(known) = answers.get(&key) {
            return Ok(known.clone()?);
        }
        if answers.len() >= MAX_QUESTIONS {
            return Err(Fault::GivenUp);
        }
        if self.silent.get() >= MAX_SILENT {
            return Err(Fault::NotAsked);
        }
        let answer = (self.lookup)(name, kind);
        if answer.as_ref().is_err_and(DnsError::is_silence) {
            self.silent.set(self.silent.get() + 1);
        }
        answers.insert(key, answer.clone());
        Ok(answer?)
    }
}

/// Tells whether receivers come to a term (RFC 7208, 5.1 and 6.1).
fn is_reached(all: Option<&Term>, term: &Term) -> bool {
    match (all, &term.content) {
        (None, _) => true,
        (Some(all), Content::Directive(_)) => term.span.start <= all.span.start,
        (Some(_), Content::Modifier(modifier)) => !matches!(modifier, Modifier::Redirect(_)),
    }
}

fn host<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.host())
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
fn some_host<S: Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_ref().map(Name::host).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde hands it over so")]
fn some_text<S: Serializer>(fault: &Option<Fault>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = fault.as_ref().map(ToString::to_string);
    text.serialize(serializer)
}

fn texts<S: Serializer>(items: &[impl ToString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests;
