//! What the SPF record of a domain says of each address.
//! Follows RFC 7208.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::{Cell, Sender, Source, State, listed, mend, shown, where_is};
use crate::dns::{DnsError, Name, RecordType, Resolver};
use crate::finding::Finding;
use crate::mail::spf::{self, Identity, Judgement, MAX_LOOKUPS, MAX_VOID_LOOKUPS, Status};

/// The SPF record of a domain.
#[derive(Clone, Debug, Serialize)]
pub struct SpfReport {
    /// How the record stands, and how many of the lookups that are allowed it takes.
    #[serde(flatten)]
    pub cell: Cell,
    /// Its text, as it may be shown.
    pub record: Option<String>,
    /// By address, what it says.
    pub results: BTreeMap<IpAddr, SpfResult>,
    #[serde(skip)]
    oddities: Vec<String>,
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
    /// Whether the address is let pass only because everybody is.
    #[serde(skip)]
    by_all: bool,
}

/// Asks for the record, and follows it for each address.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name, sources: &[Source]) -> SpfReport {
    let results: BTreeMap<IpAddr, SpfResult> = std::thread::scope(|scope| {
        let threads: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| (source.address, evaluate(resolver, domain, source))))
            .collect();
        super::joined(threads).into_iter().collect()
    });
    let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
    let published = lookup(domain, RecordType::Txt);
    let texts = published.as_ref().map(spf::spf_texts);
    let oddities = match texts.as_deref() {
        Ok([one]) => spf::Spf::parse(one)
            .map(|record| record.oddities())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    SpfReport {
        cell: record_cell(&results, &texts),
        record: texts
            .ok()
            .and_then(|texts| texts.first().map(|text| shown(text))),
        results,
        oddities: oddities
            .iter()
            .map(|oddity| shown(&oddity.to_string()))
            .collect(),
    }
}

/// What there is in a word, or the lookups it takes of those allowed.
fn record_cell(
    results: &BTreeMap<IpAddr, SpfResult>,
    texts: &Result<Vec<String>, &DnsError>,
) -> Cell {
    match texts {
        Err(_) => return Cell::unasked(),
        Ok(texts) if texts.is_empty() => return Cell::new(State::Wrong, "none"),
        Ok(texts) if texts.len() > 1 => return Cell::new(State::Wrong, "several"),
        Ok(_) => {}
    }
    let worst =
        |count: fn(&SpfResult) -> usize| results.values().map(count).max().unwrap_or_default();
    let (lookups, void) = (worst(|one| one.lookups), worst(|one| one.void_lookups));
    if lookups > MAX_LOOKUPS || void > MAX_VOID_LOOKUPS {
        Cell::new(State::Wrong, "too long")
    } else if results.values().any(|one| one.cell.says == "permerror") {
        Cell::new(State::Wrong, "wrong")
    } else {
        Cell::new(State::Right, format!("yes {lookups}/{MAX_LOOKUPS}"))
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
    let by_all = judgement.status == Status::Pass
        && judgement
            .by
            .as_ref()
            .is_some_and(|by| by.mechanism == spf::Mechanism::All);
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
        by_all,
    }
}

impl SpfReport {
    /// Adds what is wrong: one finding for all addresses of which the same is said.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        let domain = sender.domain.host();
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
            let finding = match (result.cell.state, word) {
                (State::Unasked, _) => {
                    findings.push(
                        Finding::warning(
                            "dns-unasked",
                            format!("SPF of `{domain}` could not be followed for {addresses}"),
                        )
                        .because(result.why.clone()),
                    );
                    continue;
                }
                (State::Wrong, "none") => {
                    findings.push(
                        Finding::error("no-spf", format!("`{domain}` has no SPF record"))
                            .because("nothing says who may send for it: Google and others then want DKIM, or refuse")
                            .mend(mend::domain(sender)),
                    );
                    continue;
                }
                (State::Wrong, "permerror") => Finding::error(
                    "spf-permerror",
                    format!(
                        "the SPF record of `{domain}` is wrong: receivers see `permerror` from {addresses}"
                    ),
                ),
                (State::Wrong, _) => Finding::error(
                    "spf-not-covered",
                    format!("SPF of `{domain}` does not let {addresses} send: `{word}`"),
                ),
                _ if result.by_all => Finding::warning(
                    "spf-passes-all",
                    format!(
                        "SPF of `{domain}` lets {addresses} send only because it lets everybody send"
                    ),
                ),
                _ => continue,
            };
            findings.push(
                finding
                    .because(result.why.clone())
                    .mend(mend::domain(sender)),
            );
        }
        for oddity in &self.oddities {
            findings.push(
                Finding::warning("spf-odd", format!("the SPF record of `{domain}`: {oddity}"))
                    .mend(mend::domain(sender)),
            );
        }
    }
}
