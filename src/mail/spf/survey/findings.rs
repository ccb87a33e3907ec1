//! What is wrong in a survey, as findings with the place in the record.
//!
//! Owns their codes and words, so that every command says the same of a record.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Fault, Survey, Tree};
use crate::dns::{DnsError, Name};
use crate::finding::{Finding, Place, Severity, escape};
use crate::mail::spf::{MAX_LOOKUPS, MAX_VOID_LOOKUPS, Oddity, Unconfirmed, cut};

/// What becomes of mail beyond a limit.
const BEYOND: &str = "beyond that the result is `permerror`, and no sender of the domain passes";

/// As many savings, or findings of a kind, are named: more would not be read.
const NAMED: usize = 5;

/// Records of more bytes are not shown whole.
const LONG: usize = 1000;

/// As many bytes of those are shown around a place.
const AROUND: usize = 60;

impl Survey {
    /// Everything wrong or worth knowing.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut few = Few::default();
        for (tree, fault) in self.tree.faults() {
            fault_findings(tree, fault, &mut few);
        }
        if self.costs.lookups > MAX_LOOKUPS && !self.endless {
            few.found.push(self.over());
        }
        few.found.extend(self.void());
        self.tree.own_findings(&mut few);
        few.found
    }

    /// Too many lookups: what to drop is the fix.
    fn over(&self) -> Finding {
        let savings: Vec<String> = self
            .savings()
            .iter()
            .take(NAMED)
            .map(|saving| {
                format!(
                    "`{}` of `{}` (saves {}): {}",
                    escape(&cut(&saving.term)),
                    saving.domain.host(),
                    saving.saves,
                    saving.waste
                )
            })
            .collect();
        let title = format!(
            "the SPF record of `{}` causes {} lookups, and receivers stop at {MAX_LOOKUPS}",
            self.tree.domain.host(),
            self.costs.lookups
        );
        let finding = Finding::error("spf-lookups", title).because(BEYOND);
        if savings.is_empty() {
            finding.mend("drop an `include` of a service that no longer sends for the domain")
        } else {
            finding.mend(format!("drop or rewrite {}", savings.join("; ")))
        }
    }

    /// Too many lookups that find nothing, for one kind of address or for both.
    fn void(&self) -> Option<Finding> {
        let (ipv4, ipv6) = (self.costs.void_ipv4, self.costs.void_ipv6);
        let (count, family) = match (ipv4 > MAX_VOID_LOOKUPS, ipv6 > MAX_VOID_LOOKUPS) {
            (false, false) => return None,
            (true, true) => (ipv4.max(ipv6), ""),
            (true, false) => (ipv4, " for mail over IPv4"),
            (false, true) => (ipv6, " for mail over IPv6"),
        };
        let terms: Vec<String> = self
            .tree
            .void_terms()
            .iter()
            .take(NAMED)
            .map(|(domain, term)| format!("`{}` of `{}`", escape(&cut(term)), domain.host()))
            .collect();
        let title = format!(
            "the SPF record of `{}` causes {count} lookups that find nothing{family}, and many \
             receivers stop at {MAX_VOID_LOOKUPS}",
            self.tree.domain.host()
        );
        let fix = format!(
            "drop terms that name nothing, or write addresses in place of names that lack one of \
             A and AAAA: {}",
            terms.join(", ")
        );
        let finding = Finding::error("spf-void-lookups", title);
        Some(finding.because(BEYOND).mend(fix))
    }
}

/// Findings, a few of each kind for a record: hostile ones would make thousands.
#[derive(Default)]
struct Few<'a> {
    found: Vec<Finding>,
    /// How many there are of a record and code, and which finding counts those left out.
    counts: BTreeMap<(&'a Name, &'static str, Severity), (usize, usize)>,
}

impl<'a> Few<'a> {
    /// Adds a finding, which is made only if it is told.
    fn add(
        &mut self,
        domain: &'a Name,
        (code, severity): (&'static str, Severity),
        make: impl FnOnce() -> Finding,
    ) {
        let (count, at) = self.counts.entry((domain, code, severity)).or_default();
        *count += 1;
        if *count <= NAMED {
            self.found.push(make());
            return;
        }
        let title = format!(
            "and {} more of these in the SPF record of `{}`",
            *count - NAMED,
            domain.host()
        );
        if *count == NAMED + 1 {
            *at = self.found.len();
            self.found.push(Finding::new(severity, code, title));
        } else if let Some(more) = self.found.get_mut(*at) {
            more.title = title;
        }
    }
}

fn fault_findings<'a>(tree: &'a Tree, fault: &Fault, few: &mut Few<'a>) {
    let title = fault.to_string();
    let unconfirmed = match fault {
        // What went without an answer before it is told of.
        Fault::NotAsked => return,
        Fault::GivenUp => {
            let finding = Finding::warning("spf-endless", title);
            // It is given up everywhere at once, and once is enough to say so.
            if !few.found.contains(&finding) {
                few.found.push(finding);
            }
            return;
        }
        Fault::Loop { .. } => {
            return few.add(&tree.domain, ("spf-loop", Severity::Error), || {
                Finding::error("spf-loop", title)
                    .because("receivers follow it until their limit, and stop with `permerror`")
            });
        }
        Fault::Unconfirmed(unconfirmed) => unconfirmed,
    };
    let finding = match unconfirmed {
        Unconfirmed::Syntax { errors, .. } => {
            for error in errors {
                few.add(&tree.domain, ("spf-syntax", Severity::Error), || {
                    let title = format!(
                        "the SPF record of `{}` is wrong: {}",
                        tree.domain.host(),
                        cut(&error.to_string())
                    );
                    Finding::error("spf-syntax", title)
                        .at(tree.place(error.span.clone()))
                        .because("receivers take the whole record for an error, and trust nobody")
                });
            }
            return;
        }
        Unconfirmed::Lookup(error) => {
            Finding::warning("dns-unasked", title).because(what_is_unknown(error))
        }
        Unconfirmed::NoDomain { .. } | Unconfirmed::NotPublished { .. } => {
            Finding::error("no-spf", title).mend("publish one: `mailfix dns show`")
        }
        Unconfirmed::SeveralRecords { .. } => Finding::error("spf-several", title)
            .mend("unite them into one record and delete the others"),
        Unconfirmed::NoRecord { .. } | Unconfirmed::Target { .. } => {
            Finding::error("spf-include", title)
                .because("receivers take that for an error of the whole record")
                .mend("drop the term, or correct the name in it")
        }
        Unconfirmed::TooManyExchangers { .. } => Finding::error("spf-exchangers", title),
        Unconfirmed::TooManyLookups { .. } | Unconfirmed::TooManyVoidLookups { .. } => {
            Finding::error("spf-lookups", title)
        }
    };
    few.add(&tree.domain, (finding.code, finding.severity), || finding);
}

fn what_is_unknown(error: &DnsError) -> String {
    if error.is_silence() {
        "what this part of the record says is not known".to_owned()
    } else {
        "receivers meet the same: while it lasts, they put mail off (`temperror`)".to_owned()
    }
}

impl Tree {
    /// The terms whose lookups find nothing, with the domains they stand at.
    fn void_terms(&self) -> Vec<(&Name, &str)> {
        let mut terms = Vec::new();
        for branch in self.branches.iter().filter(|branch| branch.reached) {
            if branch.costs.void_ipv4 + branch.costs.void_ipv6 > 0 {
                terms.push((&self.domain, branch.term.as_str()));
            }
            terms.extend(branch.tree.iter().flat_map(|tree| tree.void_terms()));
        }
        terms
    }

    /// What is odd in this record; those of others are theirs.
    fn own_findings<'a>(&'a self, few: &mut Few<'a>) {
        for oddity in &self.oddities {
            let code = match oddity {
                Oddity::PassAll { .. } => "spf-open",
                Oddity::Ptr { .. } => "spf-ptr",
                Oddity::Long { .. } => "spf-long",
                _ => "spf-odd",
            };
            let severity = match oddity {
                Oddity::PassAll { .. } => Severity::Error,
                Oddity::Repeated { .. } => Severity::Note,
                _ => Severity::Warning,
            };
            few.add(&self.domain, (code, severity), || {
                let finding =
                    Finding::new(severity, code, oddity.to_string()).at(self.place(oddity.span()));
                match oddity {
                    Oddity::PassAll { .. } => finding.mend("end it with `~all` or `-all`"),
                    Oddity::Long { .. } => finding.because(
                        "longer answers do not fit into a UDP packet everywhere (RFC 7208, 3.4)",
                    ),
                    _ => finding,
                }
            });
        }
    }

    /// A place in the record; of a very long one, only what stands around it is shown.
    fn place(&self, span: Range<usize>) -> Place {
        let text = self.record.as_deref().unwrap_or_default();
        let path = format!("SPF record of {}", self.domain.host());
        if text.len() <= LONG {
            return Place::new(path, text.as_bytes(), span);
        }
        let end = span.end.min(span.start + AROUND);
        let floor = |at: usize| {
            let mut all = (0..=at.min(text.len())).rev();
            all.find(|&at| text.is_char_boundary(at))
                .unwrap_or_default()
        };
        let from = floor(span.start.saturating_sub(AROUND));
        let to = floor(end + AROUND);
        let before = text.get(..from).unwrap_or_default();
        let shown = text.get(from..to).unwrap_or_default();
        let mut place = Place::new(path, shown.as_bytes(), span.start - from..end - from);
        place.column += before.chars().count();
        place
    }
}
