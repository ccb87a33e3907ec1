//! What a record could do without.
//!
//! Owns the advice to those whose record costs too much. It is about their own record and
//! those it goes on with by `redirect=`: what stands in the records of others is theirs.

use std::ops::Range;

use ipnet::IpNet;
use serde::Serialize;

use super::text::network_text;
use super::{Branch, Survey, Tree};
use crate::dns::Name;
use crate::mail::spf::{Content, Mechanism, Modifier};

/// As many networks are worth writing in place of a name.
const FEW: usize = 4;

/// A term to drop or to write otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saving {
    /// The domain whose record it stands in.
    #[serde(serialize_with = "super::host")]
    pub domain: Name,
    /// The term.
    pub term: String,
    /// Where it stands in the record, in bytes.
    pub span: Range<usize>,
    /// How many lookups less it makes.
    pub saves: usize,
    /// Why it can go.
    #[serde(flatten)]
    pub waste: Waste,
}

/// Why a term can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "waste")]
pub enum Waste {
    /// It lets nobody send.
    #[error("it names no address")]
    FindsNothing,
    /// It stands there before.
    #[error("it stands there twice")]
    Repeated,
    /// Another term includes the same record.
    #[error("`{by}` includes the same record")]
    Included {
        /// The other term.
        by: String,
    },
    /// Other terms name all that it names.
    #[error("all it names is named by `{by}` too")]
    Named {
        /// The other terms.
        by: String,
    },
    /// `ptr` should not be used (RFC 7208, 5.5).
    #[error("it is slow and unreliable, and some receivers ignore it")]
    Pointer,
    /// It can be written without a lookup.
    #[error("written as `{terms}` it needs no lookup, but has to follow when they change")]
    Literal {
        /// The terms in its place.
        terms: String,
    },
}

impl Survey {
    /// What the record could do without, the clearest first.
    #[must_use]
    pub fn savings(&self) -> Vec<Saving> {
        let mut found = Vec::new();
        let mut tree = Some(&self.tree);
        while let Some(own) = tree {
            for (at, branch) in own.branches.iter().enumerate() {
                if branch.costs.lookups > 0
                    && let Some(waste) = waste(own, at, branch)
                {
                    found.push(Saving {
                        domain: own.domain.clone(),
                        term: branch.term.clone(),
                        span: branch.span.clone(),
                        saves: branch.whole_costs().lookups,
                        waste,
                    });
                }
            }
            tree = own.branches.iter().find_map(|branch| match branch.content {
                Content::Modifier(Modifier::Redirect(_)) => branch.tree.as_deref(),
                _ => None,
            });
        }
        found.sort_by_key(|saving| matches!(saving.waste, Waste::Literal { .. }));
        found
    }
}

fn waste(own: &Tree, at: usize, branch: &Branch) -> Option<Waste> {
    let mechanism = branch.mechanism()?;
    let before = own.branches.get(..at).unwrap_or_default();
    if before.iter().any(|other| other.content == branch.content) {
        return Some(Waste::Repeated);
    }
    if matches!(mechanism, Mechanism::Ptr(_)) {
        return Some(Waste::Pointer);
    }
    if branch.by_message || branch.fault.is_some() {
        return None;
    }
    let others = || {
        own.branches
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
    };
    match mechanism {
        Mechanism::Include(_) => {
            let tree = branch.tree.as_ref()?;
            let names = |(other, one): &(usize, &Branch)| {
                // Of two that name it outright, the later one goes.
                let outright = one.target == branch.target && *other < at;
                one.lets_send()
                    && (outright
                        || one
                            .tree
                            .as_ref()
                            .is_some_and(|one| one.passes(&tree.domain)))
            };
            if branch.lets_send()
                && let Some((_, by)) = others().find(names)
            {
                let by = by.term.clone();
                return Some(Waste::Included { by });
            }
            tree.names_nobody().then_some(Waste::FindsNothing)
        }
        Mechanism::A { .. } | Mechanism::Mx { .. } => {
            if branch.networks.is_empty() {
                return Some(Waste::FindsNothing);
            }
            // What is written in the record stays; of two names, the later one goes.
            let others: Vec<&Branch> = others()
                .filter(|(other, one)| {
                    one.lets_send() && (one.is_literal() || *other < at && is_host(one))
                })
                .map(|(_, one)| one)
                .collect();
            named_by(branch, &others).or_else(|| literal(branch))
        }
        _ => None,
    }
}

fn is_host(branch: &Branch) -> bool {
    matches!(
        branch.mechanism(),
        Some(Mechanism::A { .. } | Mechanism::Mx { .. })
    )
}

/// The terms among others that name all that one names: one, if one does.
fn named_by(branch: &Branch, others: &[&Branch]) -> Option<Waste> {
    if !branch.lets_send() {
        return None;
    }
    let names =
        |other: &Branch, network: &IpNet| other.networks.iter().any(|one| one.contains(network));
    let names_all = |other: &&&Branch| branch.networks.iter().all(|network| names(other, network));
    let mut by: Vec<&str> = Vec::new();
    if let Some(one) = others.iter().find(names_all) {
        by.push(&one.term);
    } else {
        for network in &branch.networks {
            let term = others
                .iter()
                .find(|other| names(other, network))?
                .term
                .as_str();
            if !by.contains(&term) {
                by.push(term);
            }
        }
    }
    Some(Waste::Named { by: by.join(" ") })
}

fn literal(branch: &Branch) -> Option<Waste> {
    let Content::Directive(directive) = &branch.content else {
        return None;
    };
    let sign = Some(directive.qualifier.sign()).filter(|sign| *sign != '+');
    let sign = sign.map(String::from).unwrap_or_default();
    let mut networks: Vec<IpNet> = branch.networks.clone();
    networks.sort();
    networks.dedup();
    let terms: Vec<String> = networks
        .iter()
        .map(|network| {
            let mechanism = if network.addr().is_ipv4() {
                "ip4"
            } else {
                "ip6"
            };
            format!("{sign}{mechanism}:{}", network_text(network))
        })
        .collect();
    (terms.len() <= FEW).then(|| Waste::Literal {
        terms: terms.join(" "),
    })
}

impl Tree {
    /// Tells whether a term of it, or of one below, lets the senders of a domain send.
    fn passes(&self, domain: &Name) -> bool {
        self.branches.iter().any(|branch| {
            let goes_on = matches!(&branch.content, Content::Modifier(Modifier::Redirect(_)));
            branch.tree.as_ref().is_some_and(|tree| {
                (goes_on || branch.lets_send()) && (tree.domain == *domain || tree.passes(domain))
            })
        })
    }

    /// Tells whether no message can pass by it.
    fn names_nobody(&self) -> bool {
        self.fault.is_none()
            && self.branches.iter().all(|branch| {
                let goes_on = matches!(&branch.content, Content::Modifier(_));
                let below = branch.tree.as_ref().is_none_or(|tree| tree.names_nobody());
                let itself = branch.networks.is_empty()
                    && branch.fault.is_none()
                    && !branch.by_message
                    && !matches!(
                        branch.mechanism(),
                        Some(Mechanism::All | Mechanism::Exists(_))
                    );
                !(goes_on || branch.lets_send()) || below && itself
            })
    }
}
