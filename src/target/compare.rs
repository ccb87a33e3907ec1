//! All remedies side by side, for this very host.
//!
//! Owns what is said of each here: whether it fits, whether it is in place, whether it is
//! what mailfix recommends. Must not know how the table is printed.

use crate::host::{Facts, is_own_table};
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy::{Case, own_transport};
use crate::remedy_sheet::{RemedyId, Sheet};
use crate::site::Site;
use crate::template::TemplateError;

use super::choose::{self, fit};
use super::{Strict, ipv6_sources, judge};

/// The comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Every remedy, from what mends the cause to the last resort.
    pub rows: Vec<Row>,
    /// Those mailfix would use by itself; none where none is needed.
    pub recommended: Vec<RemedyId>,
    /// Those the site file names, if it does.
    pub chosen: Option<Vec<RemedyId>>,
    /// Whom mail goes to that one is needed for, by name.
    pub providers: Vec<String>,
    /// Why so, a sentence each.
    pub reason: Vec<String>,
}

/// One remedy on this host.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub id: RemedyId,
    /// What it is.
    pub sheet: Sheet,
    /// What it would do here, or why it does not fit.
    pub here: Result<String, String>,
    /// Whether it is in use already.
    pub in_place: bool,
}

/// Compares them.
///
/// # Errors
/// When a template of ours cannot be rendered.
pub fn compare(
    site: &Site,
    profile: &Profile,
    providers: &[Provider],
    facts: &Facts,
) -> Result<Comparison, TemplateError> {
    let sources = ipv6_sources(site, facts);
    let judged: Vec<Strict<'_>> = match &sources {
        Ok(sources) => providers
            .iter()
            .filter_map(|provider| judge(site, provider, sources, facts))
            .collect(),
        Err(_) => Vec::new(),
    };
    let ill: Vec<&Provider> = judged
        .iter()
        .filter(|judged| judged.ill)
        .map(|judged| judged.provider)
        .collect();
    // Where nobody needs one, they are compared for everybody who could.
    let strict: Vec<&Provider> = providers
        .iter()
        .filter(|provider| provider.demands.ipv6.is_some())
        .collect();
    let case = Case {
        providers: if ill.is_empty() { &strict } else { &ill },
        site,
        profile,
        facts,
    };
    let mut rows = Vec::new();
    for id in RemedyId::ALL {
        rows.push(Row {
            id,
            sheet: id.sheet(),
            here: fit(id, &case)?.map(|contribution| contribution.outcome),
            in_place: in_place(id, &judged, facts),
        });
    }
    let mut comparison = Comparison {
        rows,
        recommended: Vec::new(),
        chosen: site.remedies.clone(),
        providers: case
            .providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect(),
        reason: Vec::new(),
    };
    if let Some(why) = facts.sent_elsewhere().or_else(|| sources.err()) {
        comparison.reason.push(why);
        return Ok(comparison);
    }
    for judged in &judged {
        if judged.ill || ill.is_empty() {
            comparison.reason.extend(judged.why.iter().cloned());
        }
    }
    if ill.is_empty() {
        return Ok(comparison);
    }
    comparison.recommended = choose::best(&case)?
        .into_iter()
        .filter(|choice| choice.fit.is_ok())
        .map(|choice| choice.id)
        .collect();
    comparison.recommended.sort_unstable();
    Ok(comparison)
}

/// Tells whether a remedy is in use, whoever set it up.
fn in_place(id: RemedyId, judged: &[Strict<'_>], facts: &Facts) -> bool {
    let names_ours =
        |parameter: &str| is_own_table(&facts.config, &facts.parameters.get(parameter));
    match id {
        RemedyId::ReverseDns => !judged.is_empty() && judged.iter().all(|judged| !judged.ill),
        RemedyId::SourceAddress => !facts.of_client("smtp_bind_address6").is_empty(),
        RemedyId::MxFilter => {
            names_ours("smtp_dns_reply_filter") || !facts.routes.filtered.is_empty()
        }
        RemedyId::Ipv4Transport => {
            let listed = &facts.own.transport;
            let is_ours = listed.is_empty() || own_transport::over_ipv4(facts).next().is_some();
            (names_ours("transport_maps") && is_ours) || own_transport::is_by_hand(facts)
        }
        RemedyId::HostedDomains => {
            let mut listed = own_transport::over_ipv4(facts).map(|(domain, _)| domain);
            let is_own = |domain: &str| {
                let mut all = judged.iter();
                all.any(|judged| judged.provider.owns(domain))
            };
            names_ours("transport_maps") && listed.any(|domain| !is_own(domain))
        }
        RemedyId::ReplyFilter => names_ours("smtp_reply_filter"),
        RemedyId::AddressPreference => facts.of_client("smtp_address_preference") == "ipv4",
        RemedyId::Ipv4Only => facts.of_client("inet_protocols") == "ipv4",
    }
}
