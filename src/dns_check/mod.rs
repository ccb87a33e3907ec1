//! What DNS says of a server's mail, checked as receivers check it.
//!
//! Owns the questions for every address mail leaves from and every domain it is sent for, one
//! file a check, and what follows from the answers: a [`Report`] with its findings. Where the
//! addresses and domains come from is said in [`sources`] and [`senders`].
//! A failed lookup is never "not there": its state is [`State::Unasked`].
//! Must not know printing.
//! Follows RFC 8601, 3 (reverse DNS); RFC 5321, 4.1.4 (HELO); RFC 7208; RFC 6376; RFC 9989;
//! RFC 8460; RFC 8461.

mod address;
mod dkim;
mod dmarc;
mod exchangers;
mod hello;
pub mod keys;
mod mend;
mod receivers;
pub mod senders;
pub mod sources;
mod spf;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::dns::{Name, Resolver};
use crate::finding::{Finding, Severity};
use crate::provider::Provider;

pub use address::AddressReport;
pub use dkim::{Key, KeyReport};
pub use dmarc::DmarcReport;
pub use exchangers::Exchangers;
pub use hello::Hello;
pub use receivers::{Receiver, Verdict};
pub use senders::Sender;
pub use sources::{Source, Unknown};
pub use spf::{SpfReport, SpfResult};
pub use tls::Tls;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Right,
    /// Nothing is there, and nothing need be.
    Absent,
    /// It cannot be known from here.
    Unknown,
    /// It works, and not as it should.
    Doubtful,
    /// DNS could not be asked, or did not answer.
    Unasked,
    /// Wrong.
    Wrong,
}

/// How one thing stands, and in a word what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// How it stands.
    pub state: State,
    /// What is there: short enough for a table.
    pub says: String,
}

impl Cell {
    fn new(state: State, says: impl Into<String>) -> Self {
        Self {
            state,
            says: says.into(),
        }
    }

    /// The cell of what could not be asked.
    fn unasked() -> Self {
        Self::new(State::Unasked, "?")
    }

    /// The cell of what need not be there, and is not.
    fn absent() -> Self {
        Self::new(State::Absent, "-")
    }
}

/// What is checked.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The addresses mail leaves from.
    pub sources: Vec<Source>,
    /// Protocols mail leaves over from an address that nobody here knows.
    pub unknown: Vec<Unknown>,
    /// The domains mail is sent for.
    pub senders: Vec<Sender>,
    /// Domains of others in the log, of which only is asked whether they exist.
    pub strangers: Vec<Sender>,
    /// What `myorigin` is, where it is no domain.
    pub bad_origin: Option<String>,
    /// The keys mail is signed with.
    pub keys: Vec<Key>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// By address, in the order of the subject.
    pub addresses: Vec<AddressReport>,
    /// What cannot be known of the addresses.
    pub unknown: Vec<Unknown>,
    /// By domain, in the order of the subject.
    pub domains: Vec<DomainReport>,
    /// What is wrong or worth knowing, the worst first.
    #[serde(skip)]
    pub findings: Vec<Finding>,
    /// Whether something could not be asked.
    pub unasked: bool,
}

/// How a whole check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is wrong, as far as it could be known.
    Right,
    /// Something is wrong.
    Wrong,
    /// Nothing is known to be wrong, and something could not be asked.
    Unasked,
}

/// What DNS says of a sending domain.
#[derive(Clone, Debug, Serialize)]
pub struct DomainReport {
    /// Which.
    #[serde(flatten)]
    pub sender: Sender,
    /// Whether mail can come back to it: MX, or an address.
    pub mx: Exchangers,
    /// Its SPF record.
    pub spf: SpfReport,
    /// The records of the keys its mail is signed with.
    pub dkim: Vec<KeyReport>,
    /// Its DMARC policy.
    pub dmarc: DmarcReport,
    /// What it says of TLS.
    #[serde(flatten)]
    pub tls: Tls,
}

impl Report {
    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        if self.findings.iter().any(is_error) {
            Outcome::Wrong
        } else if self.unasked {
            Outcome::Unasked
        } else {
            Outcome::Right
        }
    }

    /// Whether nothing at all was answered.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let of_domains = self.domains.iter().flat_map(DomainReport::cells);
        let mut cells = self
            .addresses
            .iter()
            .flat_map(AddressReport::cells)
            .chain(of_domains);
        let is_answer =
            |cell: &Cell| matches!(cell.state, State::Right | State::Doubtful | State::Wrong);
        self.unasked && !cells.any(is_answer)
    }
}

/// Asks about all of it at once.
///
/// The resolver carries the deadline, and should ask no question twice.
#[must_use]
pub fn check(resolver: &dyn Resolver, subject: &Subject, providers: &[Provider]) -> Report {
    let (mut addresses, domains, strangers) = std::thread::scope(|scope| {
        let addresses: Vec<_> = subject
            .sources
            .iter()
            .map(|source| scope.spawn(move || address::look(resolver, source)))
            .collect();
        let domains: Vec<_> = subject
            .senders
            .iter()
            .map(|sender| scope.spawn(move || domain(resolver, sender, subject)))
            .collect();
        let strangers: Vec<_> = subject
            .strangers
            .iter()
            .map(|sender| scope.spawn(move || exchangers::look(resolver, &sender.domain)))
            .collect();
        (joined(addresses), joined(domains), joined(strangers))
    });
    let mut findings = Vec::new();
    for unknown in &subject.unknown {
        findings.push(unknown.finding());
    }
    if subject.sources.is_empty() && subject.unknown.is_empty() {
        // Whoever names domains may want no more than what stands at them.
        let is_asked = |sender: &Sender| sender.known_by.contains(&senders::KnownBy::Asked);
        findings.push(sources::none_known(subject.senders.iter().any(is_asked)));
    }
    findings.extend(subject.bad_origin.as_deref().map(senders::bad_origin));
    if subject.senders.is_empty() {
        findings.push(senders::none_known());
    }
    for report in &mut addresses {
        report.find(&mut findings);
        for domain in &domains {
            if let Some(result) = domain.spf.results.get(&report.source.address) {
                report
                    .spf
                    .insert(domain.sender.name.clone(), result.cell.clone());
            }
        }
        report.receivers = receivers::judge(providers, report, &domains);
    }
    hello::find(&addresses, &mut findings);
    let is_signed = subject.keys.iter().any(|key| !key.is_unmade)
        || domains.iter().any(|domain| !domain.dkim.is_empty());
    if !is_signed && !domains.is_empty() {
        findings.push(dkim::none_known());
    }
    for domain in &domains {
        domain.find(&mut findings);
    }
    for (sender, mx) in subject.strangers.iter().zip(&strangers) {
        mx.find_missing(sender, &mut findings);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let is_unasked = |cell: &&Cell| cell.state == State::Unasked;
    let unasked = addresses
        .iter()
        .flat_map(AddressReport::cells)
        .any(|cell| is_unasked(&cell))
        || domains
            .iter()
            .flat_map(DomainReport::cells)
            .any(|cell| is_unasked(&cell));
    Report {
        addresses,
        unknown: subject.unknown.clone(),
        domains,
        findings,
        unasked,
    }
}

/// Asks about one sending domain alone, as for a list of them, with what is wrong there.
#[must_use]
pub fn check_domain(
    resolver: &dyn Resolver,
    sender: &Sender,
    subject: &Subject,
) -> (DomainReport, Vec<Finding>) {
    let report = domain(resolver, sender, subject);
    let mut findings = Vec::new();
    report.find(&mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    (report, findings)
}

/// Asks all there is to ask of one domain, at once.
fn domain(resolver: &dyn Resolver, sender: &Sender, subject: &Subject) -> DomainReport {
    let name = &sender.domain;
    std::thread::scope(|scope| {
        let mx = scope.spawn(|| exchangers::look(resolver, name));
        let spf = scope.spawn(|| spf::look(resolver, name, &subject.sources));
        let keys: Vec<_> = subject
            .keys
            .iter()
            .filter(|key| key.signs(name))
            .map(|key| scope.spawn(|| dkim::look(resolver, name, key)))
            .collect();
        let tls = scope.spawn(|| tls::look(resolver, name));
        let dmarc = dmarc::look(resolver, name);
        DomainReport {
            sender: sender.clone(),
            mx: mx.join().expect("a lookup gives back what went wrong"),
            spf: spf.join().expect("a lookup gives back what went wrong"),
            dkim: joined(keys).into_iter().flatten().collect(),
            dmarc,
            tls: tls.join().expect("a lookup gives back what went wrong"),
        }
    })
}

impl DomainReport {
    fn find(&self, findings: &mut Vec<Finding>) {
        self.mx.find(&self.sender, findings);
        if self.mx.is_of_no_domain() {
            // What else is missing goes without saying.
            return;
        }
        self.spf.find(&self.sender, findings);
        for key in &self.dkim {
            key.find(&self.sender, findings);
        }
        self.dmarc.find(&self.sender, findings);
        self.tls.find(&self.sender, findings);
        dmarc::find_refused(self, findings);
    }

    /// How it stands, in the words of a whole check.
    #[must_use]
    pub fn outcome(&self, findings: &[Finding]) -> Outcome {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        if findings.iter().any(is_error) {
            Outcome::Wrong
        } else if self.cells().any(|cell| cell.state == State::Unasked) {
            Outcome::Unasked
        } else {
            Outcome::Right
        }
    }

    /// Every cell of it.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        let one = [
            &self.mx.cell,
            &self.spf.cell,
            &self.dmarc.cell,
            &self.dmarc.reports,
            &self.tls.tls_rpt,
            &self.tls.mta_sts,
        ];
        let spf = self.spf.results.values().map(|result| &result.cell);
        let dkim = self.dkim.iter().map(|key| &key.cell);
        one.into_iter().chain(spf).chain(dkim)
    }
}

fn joined<T>(threads: Vec<std::thread::ScopedJoinHandle<'_, T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a lookup gives back what went wrong"))
        .collect()
}

/// Names in words: "`a`, `b` and 3 more".
fn listed<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 8;
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    let shown = all
        .iter()
        .take(MOST)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Text of DNS as it may be shown: escaped, and no longer than is useful.
fn shown(text: &str) -> String {
    const MOST: usize = 300;
    let text: String = crate::finding::escape(text).replace(['\n', '\t'], " ");
    if text.chars().count() > MOST {
        let start: String = text.chars().take(MOST).collect();
        return format!("{start}…");
    }
    text
}

/// The addresses of a map whose value is so.
fn where_is<V>(map: &BTreeMap<IpAddr, V>, is: impl Fn(&V) -> bool) -> Vec<IpAddr> {
    let found = map.iter().filter(|(_, value)| is(value));
    found.map(|(address, _)| *address).collect()
}

/// A name and an error in one: names that are too long are no names.
fn host(name: &Name) -> String {
    name.host()
}
