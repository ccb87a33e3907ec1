//! Which remedies are used where one is needed.
//!
//! Owns the choice: what the site file names, else the first that cures with the least
//! damage. Must not know what any remedy changes.

use crate::host::Origin;
use crate::postfix::Version;
use crate::provider::Provider;
use crate::remedy::{self, Case, Contribution, Fit};
use crate::remedy_sheet::RemedyId;
use crate::site::Ipv6Wish;
use crate::template::TemplateError;

/// The first version that can be told by the mail host alone.
const FILTERS: Version = Version::new(3, 0, 0);

/// A remedy that was considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub id: RemedyId,
    /// What it adds, or why it does not fit.
    pub fit: Result<Contribution, String>,
}

/// Fits one remedy, whatever the others do.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub fn fit(id: RemedyId, case: &Case<'_>) -> Fit {
    match id {
        RemedyId::ReverseDns => remedy::reverse_dns::fit(case),
        RemedyId::SourceAddress => remedy::source_address::fit(case),
        RemedyId::MxFilter => remedy::mx_filter::fit(case),
        RemedyId::Ipv4Transport => remedy::ipv4_transport::fit(case, |_| Vec::new()),
        RemedyId::HostedDomains => {
            let hosted = remedy::hosted_domains::find(case);
            let fit = remedy::ipv4_transport::fit(case, |provider| hosted.of(provider))?;
            Ok(fit.map(|transport| transport.with_reasons_of(hosted.contribution)))
        }
        RemedyId::ReplyFilter => remedy::reply_filter::fit(case),
        RemedyId::AddressPreference => remedy::address_preference::fit(case),
        RemedyId::Ipv4Only => remedy::ipv4_only::fit(case),
    }
}

/// Tells whether there is anything to find hosted domains by: a host, or the operator's word.
fn may_list(case: &Case<'_>) -> bool {
    let declares = |provider: &&Provider| !case.site.wish(&provider.id).hosted_domains.is_empty();
    matches!(case.facts.origin, Origin::Machine | Origin::Tree)
        || case.providers.iter().any(declares)
}

/// Chooses.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub fn choose(case: &Case<'_>) -> Result<Vec<Choice>, TemplateError> {
    match &case.site.remedies {
        Some(chosen) => asked_for(chosen, case),
        None => best(case),
    }
}

/// Fits these. One table holds all recipient domains, so the two that write it are one.
fn asked_for(chosen: &[RemedyId], case: &Case<'_>) -> Result<Vec<Choice>, TemplateError> {
    let both = chosen.contains(&RemedyId::HostedDomains);
    chosen
        .iter()
        .filter(|id| !(both && **id == RemedyId::Ipv4Transport))
        .map(|&id| considered(id, case))
        .collect()
}

fn considered(id: RemedyId, case: &Case<'_>) -> Result<Choice, TemplateError> {
    let fit = fit(id, case)?;
    Ok(Choice { id, fit })
}

pub(super) fn best(case: &Case<'_>) -> Result<Vec<Choice>, TemplateError> {
    // Who wants no IPv6 to a provider is not served by better IPv6.
    let avoids = case
        .providers
        .iter()
        .any(|provider| case.site.wish(&provider.id).ipv6 == Ipv6Wish::Avoid);
    if !avoids {
        let choice = considered(RemedyId::SourceAddress, case)?;
        if choice.fit.is_ok() {
            return Ok(vec![choice]);
        }
    }
    let filter = considered(RemedyId::MxFilter, case)?;
    // The filter goes by the mail host; without it, hosted domains must be listed.
    let transport = considered(
        if filter.fit.is_err() && may_list(case) {
            RemedyId::HostedDomains
        } else {
            RemedyId::Ipv4Transport
        },
        case,
    )?;
    let mut choices = vec![transport, filter];
    if case.facts.version < FILTERS {
        // What no list names is still caught by the refusal itself.
        choices.push(considered(RemedyId::ReplyFilter, case)?);
    }
    for id in [RemedyId::ReplyFilter, RemedyId::AddressPreference] {
        if choices.iter().any(|choice| choice.fit.is_ok()) {
            break;
        }
        if choices.iter().all(|choice| choice.id != id) {
            choices.push(considered(id, case)?);
        }
    }
    Ok(choices)
}
