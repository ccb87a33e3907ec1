//! Transports that no service of `master.cf` carries.
//!
//! Owns which values and table answers name a transport. Must not know what a transport does.
//! Follows transport(5) and access(5), "FILTER": `transport:nexthop`, split at the first colon;
//! an empty transport leaves the choice as it was.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::subject::Assignment;
use super::table_reference::{TableReference, references};
use super::{Check, Subject, mend};
use crate::finding::{Finding, Place, escape};
use crate::postfix::parameter::ValueKind;
use crate::postfix::pattern::RuleKind;
use crate::postfix::{Engine, PatternTable, ServiceType, Table, parameter};
use crate::spelling::near_miss;

pub(super) const CHECK: Check = Check {
    name: "transports",
    about: "transports that master.cf has no service for",
    run,
};

/// Tables whose answers are `transport:nexthop`.
const TABLES: [&str; 5] = [
    "transport_maps",
    "sender_dependent_default_transport_maps",
    "mailbox_transport_maps",
    "fallback_transport_maps",
    "address_verify_transport_maps",
];

/// How many entries of one table are shown.
const SHOWN: usize = 10;

fn run(subject: &Subject) -> Vec<Finding> {
    let services = reachable(subject);
    let mut findings = unknown_services(subject);
    findings.extend(named(subject, &services, &|transport| {
        !services.contains(transport)
    }));
    findings
}

/// Tells whether a parameter or an entry of a table sends mail to this transport.
#[must_use]
pub fn names_transport(subject: &Subject, name: &str) -> bool {
    let services = reachable(subject);
    !named(subject, &services, &|transport| transport == name).is_empty()
}

/// The places that name a transport which is missing.
fn named(
    subject: &Subject,
    services: &BTreeSet<String>,
    is_missing: &dyn Fn(&str) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for assignment in subject.assignments() {
        if !takes_transport(&assignment.name) || is_default(subject, &assignment) {
            continue;
        }
        let Some(value) = subject.expand(&assignment) else {
            continue;
        };
        if let Some(transport) = transport_of(&value)
            && is_missing(transport)
        {
            findings.push(
                unknown(subject, services, transport, &assignment.name)
                    .at(subject.place_of_word(&assignment, transport)),
            );
        }
    }
    let mut seen = BTreeSet::new();
    for reference in references(subject) {
        let answers = if TABLES.contains(&reference.assignment.name.as_str()) {
            Answers::Transports
        } else {
            Answers::Actions
        };
        if seen.insert((reference.spelled(), answers)) {
            let complain = |answer: &str| {
                let transport = answers.transport(answer)?;
                let parameter = reference.assignment.name.as_str();
                is_missing(transport).then(|| unknown(subject, services, transport, parameter))
            };
            findings.extend(entries(subject, &reference, &complain));
        }
    }
    findings
}

/// Whether the value is `transport:nexthop`.
fn takes_transport(name: &str) -> bool {
    name == "content_filter"
        || parameter::lookup(name).is_some_and(|parameter| parameter.kind == ValueKind::Transport)
}

/// Whether the file spells out the default, which may well be of no use here.
fn is_default(subject: &Subject, assignment: &Assignment) -> bool {
    parameter::lookup(&assignment.name)
        .is_some_and(|parameter| parameter.default_in(subject.version) == assignment.value)
}

/// Parameters that name a service of Postfix's own by a name there is none of.
fn unknown_services(subject: &Subject) -> Vec<Finding> {
    let names: BTreeSet<&str> = subject
        .services()
        .filter(|service| service.kind != ServiceType::Inet)
        .map(|service| service.name.as_str())
        .collect();
    subject
        .assignments()
        .into_iter()
        .filter_map(|assignment| {
            let parameter = parameter::lookup(&assignment.name)?;
            let value = subject.expand(&assignment)?;
            let is_service = parameter.kind == ValueKind::Service && !value.is_empty();
            let is_default = is_default(subject, &assignment);
            if !is_service || is_default || names.contains(value.as_str()) {
                return None;
            }
            let finding = Finding::error(
                "unknown-service",
                format!(
                    "`{}` names `{}`, which is no service of `{}`",
                    assignment.name,
                    escape(&value),
                    subject.master.path
                ),
            )
            .at(subject.place_of_word(&assignment, &value))
            .because("whoever needs that service waits for it in vain");
            Some(match near_miss(&value, names.iter().copied()) {
                Some(near) => finding.mend(format!("`{near}` is a service")),
                None => finding.mend(format!("add the service to `{}`", subject.master.path)),
            })
        })
        .collect()
}

/// What a table's answers are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answers {
    Transports,
    Actions,
}

impl Answers {
    fn transport(self, answer: &str) -> Option<&str> {
        match self {
            Self::Transports => transport_of(answer),
            Self::Actions => {
                let (action, rest) = answer.trim().split_once([' ', '\t'])?;
                action
                    .eq_ignore_ascii_case("FILTER")
                    .then(|| transport_of(rest.trim()))
                    .flatten()
            }
        }
    }
}

/// The services a transport can name: sockets that only Postfix itself can reach.
fn reachable(subject: &Subject) -> BTreeSet<String> {
    subject
        .services()
        .filter(|service| !matches!(service.kind, ServiceType::Inet))
        .filter(|service| service.private != Some(false))
        .map(|service| service.name.clone())
        .collect()
}

/// The transport of `transport:nexthop`; `None` where the choice is left as it was or not known.
fn transport_of(answer: &str) -> Option<&str> {
    let transport = answer
        .split_once(':')
        .map_or(answer, |(transport, _)| transport)
        .trim();
    let known = !transport.is_empty() && !transport.contains(['$', '{', ' ']);
    known.then_some(transport)
}

fn unknown(subject: &Subject, services: &BTreeSet<String>, transport: &str, by: &str) -> Finding {
    let finding = Finding::error(
        "unknown-transport",
        format!(
            "`{by}` names the transport `{}`, which is no service of `{}`",
            escape(transport),
            subject.master.path
        ),
    );
    let is_public = subject
        .services()
        .any(|service| service.name == transport && service.private == Some(false));
    let finding = if is_public {
        finding
            .because("its socket is public, and transports are looked for among the private ones: the mail stays in the queue")
            .mend("write `-` in the private field of the service")
    } else {
        finding.because("the mail stays in the queue: \"mail transport unavailable\"")
    };
    match near_miss(transport, services.iter().map(String::as_str)) {
        _ if is_public => finding,
        Some(near) => finding.mend(format!("`{near}` is a service")),
        None => {
            let add = format!(
                "add the service to `{}`, or name another",
                subject.master.path
            );
            finding.mend(match mend::add_client(subject.directory, transport) {
                Some(command) => format!("{add}; for a client of its own: {command}"),
                None => add,
            })
        }
    }
}

/// What there is to complain of about the answers of a table, at their places.
fn entries(
    subject: &Subject,
    reference: &TableReference,
    complain: &dyn Fn(&str) -> Option<Finding>,
) -> Vec<Finding> {
    match reference.kind.as_str() {
        "inline" => inline_answers(&reference.name)
            .iter()
            .filter_map(|answer| complain(answer))
            .map(|finding| finding.at(reference.place(subject)))
            .collect(),
        "static" => {
            let answer = reference.name.trim();
            let answer = answer
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .unwrap_or(answer);
            complain(answer)
                .map(|finding| finding.at(reference.place(subject)))
                .into_iter()
                .collect()
        }
        _ if reference.is_file() => {
            let path = Utf8Path::new(&reference.name);
            let Some(bytes) = subject.files.read(path) else {
                return Vec::new();
            };
            let place = |span| Place::new(path, &bytes, span);
            if let Some(engine) = Engine::parse(&reference.kind) {
                return PatternTable::parse(&bytes, engine)
                    .rules()
                    .iter()
                    .filter_map(|rule| match &rule.kind {
                        RuleKind::Match { result, .. } => Some((result, rule.span.clone())),
                        RuleKind::If(_) | RuleKind::Endif => None,
                    })
                    .filter_map(|(result, span)| Some(complain(result)?.at(place(span))))
                    .take(SHOWN)
                    .collect();
            }
            // The fields of a cidr table are read alike.
            Table::parse(&bytes)
                .entries()
                .filter_map(|entry| Some(complain(&entry.value)?.at(place(entry.span))))
                .take(SHOWN)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The values of `{ key=value, { key = value with blanks } }`.
fn inline_answers(name: &str) -> Vec<String> {
    let Some(inner) = name
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return Vec::new();
    };
    crate::postfix::split_list(inner)
        .iter()
        .filter_map(|item| {
            let item = item
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .unwrap_or(item);
            item.split_once('=')
                .map(|(_, value)| value.trim().to_owned())
        })
        .collect()
}
