//! A list of domains: each is checked beside the others, and gives one line.

use std::collections::BTreeSet;
use std::io::Read as _;

use camino::Utf8Path;

use crate::cli::progress::Measure;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::{Name, side_by_side};
use crate::dns_check::{Cell, DomainReport, Outcome, State, Subject, check_domain};
use crate::draft::silenced;
use crate::finding::{Finding, Place, Severity};
use crate::site::Site;
use crate::system::System;

use super::status;
use crate::cli::dns::Servers;

/// How many domains are checked side by side: they mostly wait for answers.
const AT_A_TIME: usize = 64;

/// The column the cells stand in, unless a name is longer.
const COLUMN: usize = 32;

/// The longest list that is taken from standard input, in bytes.
const LONGEST: u64 = 64 << 20;

/// Reads a list, `-` from standard input: one domain a line; what follows a `#` is a remark.
pub fn read(session: &mut Session, path: &Utf8Path) -> Result<Vec<Name>, Failure> {
    let bytes = if path == "-" {
        let mut bytes = Vec::new();
        if let Some(input) = session.input.take() {
            input
                .take(LONGEST)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::failed(format!("cannot read the list: {error}")))?;
        }
        bytes
    } else if let Some(file) = session.outside.read(path)? {
        file.bytes
    } else {
        return Err(Failure::usage(format!(
            "there is no file `{path}`; `-` reads standard input"
        )));
    };
    let (names, faults) = parse(path, &bytes);
    if !faults.is_empty() {
        let count = faults.len();
        let lines = if count == 1 { "line" } else { "lines" };
        let mut failure = Failure::new(
            FailureKind::Usage,
            format!("{count} {lines} of `{path}` hold no domain"),
        );
        failure.findings = faults;
        return Err(failure);
    }
    if names.is_empty() {
        return Err(Failure::usage(format!("`{path}` names no domain")));
    }
    Ok(names)
}

/// The domains of a list, each once, and the lines that are wrong.
fn parse(path: &Utf8Path, bytes: &[u8]) -> (Vec<Name>, Vec<Finding>) {
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let begin = start;
        start += line.len();
        let text = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let blank = text.len() - text.trim_ascii_start().len();
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let why = match String::from_utf8_lossy(text).parse::<Name>() {
            Ok(name) if name.is_root() => "`.` is no domain that mail is sent for".to_owned(),
            Ok(name) => {
                if seen.insert(name.clone()) {
                    names.push(name);
                }
                continue;
            }
            Err(error) => error.to_string(),
        };
        let span = begin + blank..begin + blank + text.len();
        faults.push(Finding::error("not-a-domain", why).at(Place::new(path, bytes, span)));
    }
    (names, faults)
}

/// Checks each domain of the subject, and shows a line of it.
pub fn run(
    session: &mut Session,
    site: Option<&Site>,
    subject: &Subject,
    servers: &Servers,
    json: bool,
) -> Result<u8, Failure> {
    let asked = servers.begin(session)?;
    let resolver = session.resolver()?;
    let progress = session.progress(Measure::Domains(subject.senders.len()));
    let checked = side_by_side(&subject.senders, AT_A_TIME, |sender| {
        let (report, mut findings) = check_domain(resolver.as_ref(), sender, subject);
        if let Some(site) = site {
            findings = silenced(site, findings);
        }
        progress.more(1);
        let outcome = report.outcome(&findings);
        (report, findings, outcome)
    });
    drop(progress);
    let mut text = String::new();
    for (report, findings, outcome) in &checked {
        if json {
            text.push_str(&json::dns_check_line(report, findings, *outcome).to_string());
        } else {
            text.push_str(&line(report, *outcome));
        }
        text.push('\n');
    }
    session.ui.data(&text);
    let names: Vec<Name> = subject
        .senders
        .iter()
        .map(|sender| sender.domain.clone())
        .collect();
    let differences = asked.findings(&names);
    session.ui.remarks(&differences);
    let differ = differences
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let count = |of| {
        checked
            .iter()
            .filter(|(_, _, outcome)| *outcome == of)
            .count()
    };
    let (wrong, unasked) = (count(Outcome::Wrong), count(Outcome::Unasked));
    // Most often one reason holds for all of them.
    let reason = checked
        .iter()
        .flat_map(|(_, findings, _)| findings)
        .find(|finding| finding.code == "dns-unasked")
        .and_then(|finding| finding.why.as_ref());
    if let Some(reason) = reason {
        session.ui.say(&format!("warning: {reason}"));
    }
    let domains = if checked.len() == 1 {
        "domain"
    } else {
        "domains"
    };
    session.ui.say(&format!(
        "{} {domains}: {} right, {wrong} wrong, {unasked} could not be asked",
        checked.len(),
        count(Outcome::Right)
    ));
    if !json && wrong > 0 {
        session
            .ui
            .hint("`mailfix dns check DOMAIN` says what is wrong, and what to do");
    }
    Ok(status(if wrong > 0 || differ {
        Outcome::Wrong
    } else if unasked > 0 {
        Outcome::Unasked
    } else {
        Outcome::Right
    }))
}

/// The domain, how it stands, and what is not as it should be.
fn line(report: &DomainReport, outcome: Outcome) -> String {
    let word = match outcome {
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::Unasked => "unasked",
    };
    let dkim = report.dkim.iter().map(|key| ("DKIM", &key.cell));
    let results = report.spf.results.values();
    // What receivers make of a record says more than that it is wrong.
    let is_said = results.clone().any(|result| is_odd(&result.cell))
        && ["wrong", "?"].contains(&report.spf.cell.says.as_str());
    let record = (!is_said).then_some(("SPF", &report.spf.cell));
    let cells = [("MX", &report.mx.cell)]
        .into_iter()
        .chain(record)
        .chain(results.map(|result| ("SPF", &result.cell)))
        .chain(dkim)
        .chain([
            ("DMARC", &report.dmarc.cell),
            ("TLS-RPT", &report.tls.tls_rpt),
            ("MTA-STS", &report.tls.mta_sts),
        ]);
    let mut odd: Vec<String> = Vec::new();
    for (name, cell) in cells.filter(|(_, cell)| is_odd(cell)) {
        let says = format!("{name} {}", cell.says);
        if !odd.contains(&says) {
            odd.push(says);
        }
    }
    let line = format!(
        "{word:<8}{:<COLUMN$} {}",
        report.sender.name,
        odd.join(", ")
    );
    line.trim_end().to_owned()
}

fn is_odd(cell: &Cell) -> bool {
    !matches!(cell.state, State::Right | State::Absent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_faults_have_their_line() {
        let text = b"# ours\nexample.org\n\n  Example.ORG.  # again\nexample.net\r\nexa mple.com\n\xff\n.\n";
        let (names, faults) = parse(Utf8Path::new("list"), text);
        let names: Vec<String> = names.iter().map(Name::host).collect();
        assert_eq!(names, ["example.org", "example.net"]);
        let places: Vec<(usize, usize)> = faults
            .iter()
            .filter_map(|fault| fault.place.as_ref())
            .map(|place| (place.line, place.column))
            .collect();
        assert_eq!(places, [(6, 1), (7, 1), (8, 1)]);
        assert_eq!(
            faults[0].title,
            "`exa mple.com` holds ` `, which cannot stand in a domain name"
        );
    }
}
