//! The matrix: an address a line, a check a column; then the domains.
//!
//! Owns the drawing. It fits 80 columns, whatever the names: columns that do not fit stand in a
//! further block below, and a long name on a line of its own. Every state is a word; colour only
//! repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::cli::ui::Ui;
use crate::dns_check::{AddressReport, Cell, DomainReport, Report, State, Verdict};
use crate::finding::escape;

/// The width every terminal has.
const WIDTH: usize = 80;

/// Longest name that stands on a line with its cells; an IPv6 address has up to 39.
const LONGEST: usize = 39;

/// A cell: its text and its colour.
type Drawn = (String, Style);

/// Draws a report; with `trees`, what each SPF record leads to, else only of those that are wrong.
pub fn show(ui: &mut Ui, report: &Report, trees: bool) {
    if !report.addresses.is_empty() || !report.unknown.is_empty() {
        addresses(ui, report);
    }
    if !report.domains.is_empty() {
        if !report.addresses.is_empty() || !report.unknown.is_empty() {
            ui.data("\n");
        }
        domains(ui, report);
    }
    for domain in &report.domains {
        let is_wrong =
            domain.spf.cell.state == State::Wrong && domain.spf.survey.tree.record.is_some();
        if trees || is_wrong {
            ui.data("\n");
            ui.heading("What the SPF record leads to");
            for line in domain.spf.survey.to_string().lines() {
                ui.data(&format!("{}\n", escape(line)));
            }
        }
    }
    if is_drawn(report, |cell| cell.state == State::Unasked) {
        ui.data("\n");
        ui.point("?", "could not be asked: it may be there, or not");
    }
    ui.data("\n");
}

fn is_drawn(report: &Report, is: impl Fn(&Cell) -> bool) -> bool {
    let addresses = report.addresses.iter().flat_map(AddressReport::cells);
    let domains = report.domains.iter().flat_map(DomainReport::cells);
    addresses.chain(domains).any(is)
}

fn addresses(ui: &mut Ui, report: &Report) {
    ui.heading("Addresses that mail leaves from");
    let receivers: Vec<&str> = report
        .addresses
        .first()
        .map(|address| {
            address
                .receivers
                .iter()
                .map(|one| one.name.as_str())
                .collect()
        })
        .unwrap_or_default();
    let mut heads = vec!["PTR", "back", "HELO", "its SPF", "SPF"];
    heads.extend(&receivers);
    let mut rows: Vec<(String, Vec<Drawn>)> = report
        .addresses
        .iter()
        .map(|address| {
            let mut cells = vec![
                drawn(&address.ptr),
                drawn(&address.forward),
                worst(address.hello.iter().map(|hello| &hello.cell)),
                worst(address.hello.iter().map(|hello| &hello.spf)),
                worst(address.spf.values()),
            ];
            cells.extend(address.receivers.iter().map(|one| verdict(one.verdict)));
            (address.source.address.to_string(), cells)
        })
        .collect();
    for unknown in &report.unknown {
        let cells = heads
            .iter()
            .map(|_| ("unknown".to_owned(), Style::new()))
            .collect();
        rows.push((unknown.label(), cells));
    }
    table(ui, "address", &heads, &rows);
    ui.data("\n");
    known(ui, report);
    differing(ui, report);
}

/// How each address is known: those of which the same holds in one line.
fn known(ui: &mut Ui, report: &Report) {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for address in &report.addresses {
        let source = &address.source;
        let reasons: Vec<&str> = source.known_by.iter().map(|by| by.in_words()).collect();
        let mut text = format!("known by {}", reasons.join(" and "));
        if let Some(server) = &source.server {
            let _ = write!(text, " (`{server}`)");
        }
        if source.passing {
            text.push_str("; it comes and goes");
        }
        by.entry(text).or_default().push(source.address.to_string());
    }
    for (text, addresses) in by {
        ui.point("-", &format!("{}: {text}", addresses.join(", ")));
    }
}

/// What SPF of each domain says, where it is not the same for all.
fn differing(ui: &mut Ui, report: &Report) {
    let words = |address: &AddressReport| -> BTreeSet<String> {
        address.spf.values().map(|cell| cell.says.clone()).collect()
    };
    if report
        .addresses
        .iter()
        .all(|address| words(address).len() < 2)
    {
        return;
    }
    ui.data("\n");
    ui.heading("SPF, by sending domain");
    let names: Vec<String> = report
        .addresses
        .iter()
        .map(|address| address.source.address.to_string())
        .collect();
    let heads: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<(String, Vec<Drawn>)> = report
        .domains
        .iter()
        .map(|domain| {
            let cells = report.addresses.iter().map(|address| {
                let cell = address.spf.get(&domain.sender.name);
                cell.map_or_else(|| ("-".to_owned(), Style::new()), drawn)
            });
            (domain.sender.name.clone(), cells.collect())
        })
        .collect();
    table(ui, "domain", &heads, &rows);
}

fn domains(ui: &mut Ui, report: &Report) {
    ui.heading("Domains that mail is sent for");
    let heads = [
        "MX", "SPF", "DKIM", "DMARC", "reports", "TLS-RPT", "MTA-STS",
    ];
    let rows: Vec<(String, Vec<Drawn>)> = report
        .domains
        .iter()
        .map(|domain| {
            let cells = vec![
                drawn(&domain.mx.cell),
                drawn(&domain.spf.cell),
                worst(domain.dkim.iter().map(|key| &key.cell)),
                drawn(&domain.dmarc.cell),
                drawn(&domain.dmarc.reports),
                drawn(&domain.tls.tls_rpt),
                drawn(&domain.tls.mta_sts),
            ];
            (domain.sender.name.clone(), cells)
        })
        .collect();
    table(ui, "domain", &heads, &rows);
}

fn drawn(cell: &Cell) -> Drawn {
    (escape(&cell.says), style(cell.state))
}

fn style(state: State) -> Style {
    match state {
        State::Right => AnsiColor::Green.on_default(),
        State::Absent | State::Unknown => Style::new(),
        State::Doubtful | State::Unasked => AnsiColor::Yellow.on_default(),
        State::Wrong => AnsiColor::Red.on_default().bold(),
    }
}

fn verdict(verdict: Verdict) -> Drawn {
    let state = match verdict {
        Verdict::Takes => State::Right,
        Verdict::IfSigned | Verdict::Partly | Verdict::MayRefuse => State::Doubtful,
        Verdict::NoDemand => State::Absent,
        Verdict::Unasked => State::Unasked,
        Verdict::Refuses => State::Wrong,
    };
    (verdict.word().to_owned(), style(state))
}

/// The worst of several cells: one line stands for all of them.
fn worst<'a>(cells: impl Iterator<Item = &'a Cell>) -> Drawn {
    cells
        .max_by_key(|cell| cell.state)
        .map_or_else(|| ("-".to_owned(), Style::new()), drawn)
}

/// Draws rows in as few blocks as fit the width.
fn table(ui: &mut Ui, first: &str, heads: &[&str], rows: &[(String, Vec<Drawn>)]) {
    let length = |text: &str| text.chars().count();
    let names: Vec<String> = rows.iter().map(|(name, _)| escape(name)).collect();
    let label = names
        .iter()
        .map(|name| length(name))
        .filter(|&long| long <= LONGEST);
    let label = label.chain([length(first)]).max().unwrap_or_default();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            let cells = rows.iter().filter_map(|(_, cells)| cells.get(at));
            let cells = cells.map(|(text, _)| length(text));
            cells.chain([length(head)]).max().unwrap_or_default()
        })
        .collect();
    let mut begin = 0;
    while begin < heads.len() {
        let mut end = begin;
        let mut used = 2 + label;
        while end < heads.len() && (end == begin || used + 2 + widths[end] <= WIDTH) {
            used += 2 + widths[end];
            end += 1;
        }
        let mut text = format!("  {first:label$}");
        for at in begin..end {
            let _ = write!(text, "  {:1$}", heads[at], widths[at]);
        }
        ui.data(&format!("{}\n", text.trim_end()));
        for (name, (_, cells)) in names.iter().zip(rows) {
            let mut text = if length(name) > label {
                format!("  {name}\n  {:label$}", "")
            } else {
                format!("  {name:label$}")
            };
            for (at, (cell, style)) in cells.iter().enumerate().take(end).skip(begin) {
                let space = " ".repeat(widths[at].saturating_sub(length(cell)));
                let space = if at + 1 == end { "" } else { &space };
                let _ = write!(text, "  {style}{cell}{style:#}{space}");
            }
            ui.data(&format!("{text}\n"));
        }
        begin = end;
        if begin < heads.len() {
            ui.data("\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::dns_check::senders::KnownBy;
    use crate::dns_check::{Sender, Source, Subject, check};
    use crate::provider::Provider;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn drawn(subject: &Subject, zone: &str) -> String {
        let resolver = FixedResolver::from_zone(zone).unwrap();
        let report = check(&resolver, subject, &Provider::demanding());
        let kept = Kept::default();
        let mut ui = Ui::new(Box::new(kept.clone()), Box::new(io::sink()));
        show(&mut ui, &report, true);
        let bytes = kept.0.lock().unwrap().clone();
        anstream::adapter::strip_str(&String::from_utf8(bytes).unwrap()).to_string()
    }

    #[test]
    fn it_fits_whatever_the_names_and_however_many() {
        let long = format!("{}.example", ["a-very-long-label-of-a-domain"; 4].join("."));
        let sources = (0..8).map(|number| {
            let address = format!("2001:db8:1111:2222:3333:4444:5555:666{number}");
            Source::asked(address.parse().unwrap())
        });
        let senders = ["a.example", "b.example", &long];
        let subject = Subject {
            sources: sources.collect(),
            senders: senders
                .iter()
                .map(|name| Sender::new(name.parse().unwrap(), KnownBy::Asked))
                .collect(),
            ..Subject::default()
        };
        let zone = "a.example. 60 IN TXT \"v=spf1 ip6:2001:db8::/32 -all\"\n";
        let text = drawn(&subject, zone);
        let wide: Vec<&str> = text
            .lines()
            .filter(|line| line.chars().count() > WIDTH && !line.contains(&long))
            .collect();
        assert!(wide.is_empty(), "{text}");
        // Every address stands in every block of the two tables that name it.
        for number in 0..8 {
            let address = format!("2001:db8:1111:2222:3333:4444:5555:666{number}");
            assert!(text.matches(&address).count() >= 2, "{text}");
        }
        assert!(text.contains("refuses") && text.contains("pass"), "{text}");
    }
}
