//! The DMARC policy of a domain, whether reports may go where they are sent, and what the policy
//! does to the server's own mail.
//! Follows RFC 9989; RFC 9990, 4 (reports to others).

use serde::Serialize;

use super::{Cell, DomainReport, Sender, State, host, listed, mend, shown, where_is};
use crate::dns::{Name, RecordData, RecordType, Resolver};
use crate::finding::Finding;
use crate::mail::dmarc::{Alignment, Dmarc, Policy};
use crate::mail::organization::{self, Published, Walk};

/// What DNS says of a domain's policy.
#[derive(Clone, Debug, Serialize)]
pub struct DmarcReport {
    /// How it stands: the policy in a word.
    #[serde(flatten)]
    pub cell: Cell,
    /// The name whose record counts, if it is not the domain itself.
    pub inherited_from: Option<String>,
    /// The organizational domain.
    pub organization: Option<String>,
    /// How SPF's domain has to fit: `relaxed` or `strict`.
    pub spf_alignment: Option<&'static str>,
    /// How DKIM's domain has to fit.
    pub dkim_alignment: Option<&'static str>,
    /// Whether the domains that reports go to agreed to it.
    pub reports: Cell,
    /// What the policy asks for mail that fails; softened while it is tried out.
    #[serde(skip)]
    effective: Option<Policy>,
    #[serde(skip)]
    faults: Vec<Finding>,
}

/// Asks for the policy.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name) -> DmarcReport {
    let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
    let walk = organization::walk(domain, &lookup);
    let mut report = DmarcReport {
        cell: Cell::absent(),
        inherited_from: None,
        organization: walk.organization().ok().map(|name| name.host()),
        spf_alignment: None,
        dkim_alignment: None,
        reports: Cell::absent(),
        effective: None,
        faults: Vec::new(),
    };
    let text = domain.host();
    match walk.own() {
        Some(Published::Several(count)) => {
            return report.wrong(
                "several",
                Finding::error(
                    "dmarc-several",
                    format!("`{text}` has {count} DMARC records, and only one may be"),
                )
                .because("receivers then take none of them"),
            );
        }
        Some(Published::One {
            text: said,
            record: Err(error),
        }) => {
            return report.wrong(
                "wrong",
                Finding::error(
                    "dmarc-wrong",
                    format!("the DMARC record of `{text}` is wrong: {error}"),
                )
                .because(format!("it says `{}`", shown(said))),
            );
        }
        Some(Published::One { record: Ok(_), .. }) | None => {}
    }
    let (name, record) = match walk.policy() {
        Ok(Some(found)) => found,
        Ok(None) => {
            report.cell = Cell::new(State::Doubtful, "none");
            report.faults.push(
                Finding::warning("no-dmarc", format!("`{text}` has no DMARC record"))
                    .because("Google and Yahoo demand one of whoever sends much; `p=none` will do"),
            );
            return report;
        }
        Err(error) => {
            report.cell = Cell::unasked();
            report.faults.push(
                Finding::warning(
                    "dns-unasked",
                    format!("the DMARC policy of `{text}` could not be asked for"),
                )
                .because(error.to_string()),
            );
            return report;
        }
    };
    report.inherited_from = (name != domain).then(|| host(name));
    let policy = applying(record, name == domain);
    report.cell = Cell::new(State::Right, policy.to_string());
    report.effective = Some(softened(policy, record.testing == Some(true)));
    report.spf_alignment = Some(word(record.spf_alignment));
    report.dkim_alignment = Some(word(record.dkim_alignment));
    if name == domain {
        report.oddities(&text, record);
        report.authorized(resolver, domain, record, &walk);
    }
    report
}

/// The policy for the domain itself, or for one below the record's name.
fn applying(record: &Dmarc, is_own: bool) -> Policy {
    let own = record.policy.unwrap_or(Policy::None);
    if is_own {
        own
    } else {
        record.subdomains.unwrap_or(own)
    }
}

/// RFC 9989, 4.7, "t": a policy that is tried out counts one step less.
fn softened(policy: Policy, testing: bool) -> Policy {
    match (policy, testing) {
        (Policy::Reject, true) => Policy::Quarantine,
        (Policy::Quarantine, true) => Policy::None,
        (policy, _) => policy,
    }
}

fn word(alignment: Option<Alignment>) -> &'static str {
    match alignment {
        Some(Alignment::Strict) => "strict",
        Some(Alignment::Relaxed) | None => "relaxed",
    }
}

impl DmarcReport {
    fn wrong(mut self, word: &str, finding: Finding) -> Self {
        self.cell = Cell::new(State::Wrong, word);
        self.faults.push(finding);
        self
    }

    fn oddities(&mut self, domain: &str, record: &Dmarc) {
        for oddity in record.oddities() {
            self.cell.state = State::Doubtful;
            self.faults.push(Finding::warning(
                "dmarc-odd",
                format!(
                    "the DMARC record of `{domain}`: {}",
                    shown(&oddity.to_string())
                ),
            ));
        }
    }

    /// Reports to another organization need its word (RFC 9990, 4).
    fn authorized(&mut self, resolver: &dyn Resolver, domain: &Name, record: &Dmarc, walk: &Walk) {
        let uris = record
            .aggregate_reports
            .iter()
            .chain(&record.failure_reports);
        let mut others: Vec<Name> = uris
            .filter_map(|uri| report_domain(&uri.to_string()))
            .collect();
        others.sort();
        others.dedup();
        let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
        for other in others {
            if self.reports.state == State::Absent {
                self.reports = Cell::new(State::Right, "yes");
            }
            if other == *domain {
                continue;
            }
            let theirs = organization::walk(&other, &lookup);
            let same = match (walk.organization(), theirs.organization()) {
                (Ok(ours), Ok(theirs)) => ours == theirs,
                // A name below our own is ours, whatever stands above it.
                _ => other.is_subdomain_of(domain) || domain.is_subdomain_of(&other),
            };
            if !same {
                self.agreed(resolver, domain, &other);
            }
        }
    }

    fn agreed(&mut self, resolver: &dyn Resolver, domain: &Name, other: &Name) {
        let (from, to) = (host(domain), host(other));
        let Ok(owner) = other
            .below("_report._dmarc")
            .and_then(|name| name.below(&from))
        else {
            return;
        };
        match resolver.lookup(&owner, RecordType::Txt) {
            Ok(answer) => {
                let agrees = answer.records().iter().any(|record| {
                    matches!(&record.data, RecordData::Txt(text) if text.trim_ascii_start().starts_with(b"v=DMARC1"))
                });
                if !agrees {
                    self.reports = Cell::new(State::Doubtful, "refused");
                    self.faults.push(
                        Finding::warning("dmarc-reports-refused", format!("DMARC reports of `{from}` go to `{to}`, which has not agreed to it"))
                            .because(format!("`{}` would have to be `v=DMARC1`; without it no report is sent", host(&owner)))
                            .mend(format!("have `{to}` publish it, or send the reports to an address below `{from}`")),
                    );
                }
            }
            Err(error) => {
                self.reports = Cell::unasked();
                self.faults.push(
                    Finding::warning(
                        "dns-unasked",
                        format!(
                            "whether `{to}` takes DMARC reports of `{from}` could not be asked"
                        ),
                    )
                    .because(error.to_string()),
                );
            }
        }
    }

    /// Adds what is wrong.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        for fault in &self.faults {
            let mut fault = fault.clone();
            if fault.fix.is_none() && fault.code != "dns-unasked" {
                fault.fix = Some(mend::domain(sender));
            }
            findings.push(fault);
        }
    }
}

/// The domain of `mailto:NAME@DOMAIN`, a size or headers behind it left out.
fn report_domain(uri: &str) -> Option<Name> {
    let (scheme, rest) = uri.split_once(':')?;
    let address = rest.split(['!', '?']).next()?;
    let (_, domain) = address.rsplit_once('@')?;
    scheme
        .eq_ignore_ascii_case("mailto")
        .then(|| domain.parse().ok())?
}

/// Adds that the policy turns against mail of the domain's own server.
pub(super) fn find_refused(domain: &DomainReport, findings: &mut Vec<Finding>) {
    let effective = domain.dmarc.effective.unwrap_or(Policy::None);
    if effective == Policy::None || domain.dkim.iter().any(super::KeyReport::verifies) {
        return;
    }
    let failing = where_is(&domain.spf.results, |result| {
        result.cell.state == State::Wrong
    });
    // Where that is open nothing is known of the signature.
    if failing.is_empty() || domain.dkim.iter().any(super::KeyReport::is_open) {
        return;
    }
    let name = domain.sender.domain.host();
    let done = if effective == Policy::Reject {
        "refused"
    } else {
        "treated as suspicious"
    };
    let addresses = listed(failing);
    let finding = if domain.dkim.is_empty() {
        Finding::warning("dmarc-refuses", format!("mail of `{name}` from {addresses} is {done}, by its own DMARC policy, unless it is signed"))
            .because("SPF does not pass, and no DKIM key is known here that it could be signed with")
    } else {
        Finding::error(
            "dmarc-refuses",
            format!("mail of `{name}` from {addresses} is {done}, by its own DMARC policy"),
        )
        .because("neither SPF nor DKIM passes")
    };
    findings.push(finding.mend(mend::domain(&domain.sender)));
}
