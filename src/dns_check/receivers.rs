//! What each receiver makes of an address, by its own demands.
//!
//! The demands are data (`profiles/providers/*.toml`); no receiver is named here.

use serde::Serialize;

use super::{AddressReport, DomainReport, KeyReport, State};
use crate::provider::{Demand, Provider};

/// A receiver and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receiver {
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it makes of the address.
    pub verdict: Verdict,
    /// Why.
    pub why: Vec<String>,
}

/// What a receiver makes of mail from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing it demands is missing.
    Takes,
    /// The same, if the mail is signed: SPF alone does not pass.
    IfSigned,
    /// It takes mail of some domains, and not of others.
    Partly,
    /// Nothing is known of what it demands over this protocol.
    NoDemand,
    /// It depends on what could not be asked.
    Unasked,
    /// A demand is not met; what it does then is not known to be a refusal.
    MayRefuse,
    /// A demand is not met, and it is known to refuse for that.
    Refuses,
}

impl Verdict {
    /// In a word, for a table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Takes => "takes",
            Self::IfSigned => "if signed",
            Self::Partly => "some",
            Self::NoDemand => "-",
            Self::Unasked => "?",
            Self::MayRefuse => "may refuse",
            Self::Refuses => "refuses",
        }
    }
}

/// Judges an address as each of them does.
pub(super) fn judge(
    providers: &[Provider],
    address: &AddressReport,
    domains: &[DomainReport],
) -> Vec<Receiver> {
    providers
        .iter()
        .map(|provider| {
            let demand = if address.source.address.is_ipv6() {
                provider.demands.ipv6.as_ref()
            } else {
                provider.demands.ipv4.as_ref()
            };
            let (verdict, why) = demand.map_or_else(
                || (Verdict::NoDemand, Vec::new()),
                |demand| judged(demand, address, domains),
            );
            Receiver {
                id: provider.id.clone(),
                name: provider.name.clone(),
                verdict,
                why,
            }
        })
        .collect()
}

fn judged(
    demand: &Demand,
    address: &AddressReport,
    domains: &[DomainReport],
) -> (Verdict, Vec<String>) {
    let mut verdict = Verdict::Takes;
    let mut why = Vec::new();
    let unmet = if demand.refusals.is_empty() {
        Verdict::MayRefuse
    } else {
        Verdict::Refuses
    };
    if demand.ptr {
        match address.forward.state {
            State::Right => {}
            State::Unasked => verdict = verdict.max(Verdict::Unasked),
            _ => {
                verdict = unmet;
                why.push("it demands a PTR record that leads back to the address".to_owned());
            }
        }
    }
    if demand.authentication {
        let ours = domains.iter().filter(|domain| domain.sender.is_ours());
        let each: Vec<_> = ours
            .map(|domain| authentication(domain, address, unmet))
            .collect();
        let is_taken = |one: Verdict| matches!(one, Verdict::Takes | Verdict::IfSigned);
        let worst = each
            .iter()
            .map(|(one, _)| *one)
            .max()
            .unwrap_or(Verdict::Takes);
        let some = worst == unmet && each.iter().any(|(one, _)| is_taken(*one));
        verdict = verdict.max(if some { Verdict::Partly } else { worst });
        why.extend(each.into_iter().filter_map(|(_, reason)| reason));
    }
    (verdict, why)
}

/// Whether SPF or DKIM of a domain passes from the address.
fn authentication(
    domain: &DomainReport,
    address: &AddressReport,
    unmet: Verdict,
) -> (Verdict, Option<String>) {
    let name = domain.sender.domain.host();
    let spf = domain
        .spf
        .results
        .get(&address.source.address)
        .map(|result| result.cell.state);
    let (state, signed) = (
        spf.unwrap_or(State::Unknown),
        domain.dkim.iter().any(KeyReport::verifies),
    );
    match state {
        State::Right => (Verdict::Takes, None),
        _ if signed => (Verdict::IfSigned, None),
        State::Unasked => (Verdict::Unasked, None),
        _ if domain.dkim.iter().any(KeyReport::is_open) => (Verdict::Unasked, None),
        _ => (
            unmet,
            Some(format!(
                "it demands SPF or DKIM, and neither passes for `{name}`"
            )),
        ),
    }
}
