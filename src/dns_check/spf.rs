//! What the SPF record of a domain says of each address.
//! Follows RFC 7208.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::{Cell, Sender, Source, State, listed, mend, shown, where_is};
use crate::dns::{Name, RecordType, Resolver};
use crate::finding::{Finding, Severity};
use crate::mail::spf::{
    self, Fault, Identity, Judgement, MAX_LOOKUPS, Status, Survey, Unconfirmed,
};

/// The SPF record of a domain.
#[derive(Clone, Debug, Serialize)]
pub struct SpfReport {
    /// How the record stands, and how many of the lookups that are allowed it takes.
    #[serde(flatten)]
    pub cell: Cell,
    /// All that it leads to, and what it costs.
    #[serde(flatten)]
    pub survey: Survey,
    /// By address, what it says.
    pub results: BTreeMap<IpAddr, SpfResult>,
}

/// What a record says of an address.
#[derive(Clone, Debug, Serialize)]
pub struct SpfResult {
    /// The result, one of the seven words of RFC 7208, 2.6.
    #[serde(flatten)]
    pub cell: Cell,
    /// By which term, or why there is none.
    pub why: String,
    /// How many terms caused lookups until then.
    pub lookups: usize,
    /// How many lookups found nothing.
    pub void_lookups: usize,
}

/// Asks for the record, follows it for each address, and walks all of it.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name, sources: &[Source]) -> SpfReport {
    let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
    std::thread::scope(|scope| {
        let results: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| (source.address, evaluate(resolver, domain, source))))
            .collect();
        let survey = spf::survey(domain, &lookup);
        SpfReport {
            cell: record_cell(&survey),
            survey,
            results: super::joined(results).into_iter().collect(),
        }
    })
}

/// What there is in a word, and the lookups it takes of those allowed.
fn record_cell(survey: &Survey) -> Cell {
    match &survey.tree.fault {
        Some(Fault::Unconfirmed(
            Unconfirmed::NotPublished { .. } | Unconfirmed::NoDomain { .. },
        )) => Cell::new(State::Wrong, "none"),
        Some(Fault::Unconfirmed(Unconfirmed::SeveralRecords { .. })) => {
            Cell::new(State::Wrong, "several")
        }
        _ if survey.endless => Cell::new(State::Wrong, "endless"),
        _ if survey.costs.lookups > MAX_LOOKUPS => Cell::new(
            State::Wrong,
            format!("{}/{MAX_LOOKUPS}", survey.costs.lookups),
        ),
        _ if survey.is_wrong() => Cell::new(State::Wrong, "wrong"),
        _ if survey.unasked().is_some() || !survey.complete => Cell::unasked(),
        _ => Cell::new(
            State::Right,
            format!("yes {}/{MAX_LOOKUPS}", survey.costs.lookups),
        ),
    }
}

/// What the SPF record of a name in HELO says; a name need not have one.
pub(super) fn of_hello(resolver: &dyn Resolver, name: &Name, address: IpAddr) -> SpfResult {
    let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
    let identity = Identity::helo(address, &name.host());
    let mut result = result(&spf::check_host(&identity, &lookup));
    if result.cell.says == "none" {
        result.cell.state = State::Absent;
    }
    result
}

fn evaluate(resolver: &dyn Resolver, domain: &Name, source: &Source) -> SpfResult {
    let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
    let helo = source.hello.first().map(String::as_str).unwrap_or_default();
    let sender = format!("postmaster@{}", domain.host());
    let identity = Identity::mail_from(source.address, helo, &sender);
    result(&spf::check_host(&identity, &lookup))
}

fn result(judgement: &Judgement) -> SpfResult {
    let state = match judgement.status {
        Status::Pass => State::Right,
        Status::TempError => State::Unasked,
        _ => State::Wrong,
    };
    let mut why = match (&judgement.why, &judgement.by) {
        (Some(why), _) => shown(&why.to_string()),
        (None, Some(by)) => format!("by `{}` of `{}`", shown(&by.term), by.domain.host()),
        (None, None) => "no term of it matches".to_owned(),
    };
    if let Some(term) = &judgement.message_term {
        let _ = write!(
            why,
            "; {}, so another message may fare otherwise",
            shown(&term.to_string())
        );
    }
    SpfResult {
        cell: Cell::new(state, judgement.status.to_string()),
        why,
        lookups: judgement.lookups,
        void_lookups: judgement.void_lookups,
    }
}

impl SpfReport {
    /// Adds what is wrong: with the record, and what it says of the addresses, those of which the
    /// same is said in one finding.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        let domain = sender.domain.host();
        let of_record = self.survey.findings();
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let is_explained = of_record.iter().any(is_error);
        for mut finding in of_record {
            if finding.fix.is_none() && is_error(&finding) {
                finding.fix = Some(mend::domain(sender));
            }
            findings.push(finding);
        }
        let mut said: Vec<&str> = self
            .results
            .values()
            .map(|result| result.cell.says.as_str())
            .collect();
        said.sort_unstable();
        said.dedup();
        for word in said {
            let of = where_is(&self.results, |result| result.cell.says == word);
            let Some(result) = of.first().and_then(|address| self.results.get(address)) else {
                continue;
            };
            let addresses = listed(&of);
            findings.push(match (result.cell.state, word) {
                // The survey has told why.
                (State::Wrong, "none" | "permerror") if is_explained => continue,
                (State::Unasked, _) if self.survey.unasked().is_some() => continue,
                (State::Wrong, _) => Finding::error(
                    "spf-not-covered",
                    format!("SPF of `{domain}` does not let {addresses} send: `{word}`"),
                )
                .because(result.why.clone())
                .mend(mend::domain(sender)),
                (State::Unasked, _) => Finding::warning(
                    "dns-unasked",
                    format!("SPF of `{domain}` could not be followed for {addresses}"),
                )
                .because(result.why.clone()),
                _ => continue,
            });
        }
    }
}
