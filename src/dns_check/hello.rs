//! The name said in HELO: it must be a name in DNS, should lead to the address, and bounces are
//! judged by its SPF record.
//! Follows RFC 5321, 4.1.4; RFC 7208, 2.3.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{AddressReport, Cell, Source, State, listed, mend, spf};
use crate::dns::{Name, Resolver, addresses_of};
use crate::finding::Finding;

/// What DNS says of a name in HELO.
#[derive(Clone, Debug, Serialize)]
pub struct Hello {
    /// The name, as configured.
    pub name: String,
    /// How it stands.
    pub cell: Cell,
    /// What its SPF record says of the address: bounces have no other sender.
    pub spf: Cell,
    #[serde(skip)]
    why: String,
    #[serde(skip)]
    spf_why: String,
}

/// Asks about a name.
pub(super) fn look(
    resolver: &dyn Resolver,
    address: IpAddr,
    text: &str,
    pointed: &[Name],
) -> Hello {
    let literal = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = text.parse::<Name>().ok();
    let name = parsed.filter(|name| name.is_host_name() && name.labels().count() > 1);
    let Some(name) = name else {
        // RFC 5321, 4.1.3: an address in brackets is lawful where there is no name.
        let (state, word, why) = if literal.is_some() {
            (
                State::Doubtful,
                "literal",
                "it is an address, which many receivers take for a sign of spam",
            )
        } else {
            (
                State::Wrong,
                "no name",
                "it is no full domain name, and many receivers refuse such a HELO",
            )
        };
        return Hello {
            name: text.to_owned(),
            cell: Cell::new(state, word),
            spf: Cell::absent(),
            why: why.to_owned(),
            spf_why: String::new(),
        };
    };
    let (cell, why) = leads(resolver, address, &name, pointed);
    let result = spf::of_hello(resolver, &name, address);
    Hello {
        name: text.to_owned(),
        cell,
        spf: result.cell,
        why,
        spf_why: result.why,
    }
}

fn leads(
    resolver: &dyn Resolver,
    address: IpAddr,
    name: &Name,
    pointed: &[Name],
) -> (Cell, String) {
    let (mut found, mut failure) = (Vec::new(), None);
    for ipv6 in [address.is_ipv6(), !address.is_ipv6()] {
        match addresses_of(resolver, name, ipv6) {
            Ok(addresses) => found.extend(addresses),
            Err(error) => failure = failure.or(Some(error)),
        }
        if found.contains(&address) {
            return (Cell::new(State::Right, "yes"), String::new());
        }
    }
    if let Some(error) = failure {
        return (Cell::unasked(), error.to_string());
    }
    if found.is_empty() {
        return (
            Cell::new(State::Wrong, "none"),
            "it has no address in DNS".to_owned(),
        );
    }
    let mut why = format!("it leads to {}", listed(found));
    if pointed.contains(name) {
        why.push_str(", though the PTR names it");
    }
    (Cell::new(State::Doubtful, "other"), why)
}

/// Adds what is wrong: one finding for all addresses of which the same holds.
pub(super) fn find(addresses: &[AddressReport], findings: &mut Vec<Finding>) {
    let mut alike: BTreeMap<(&str, &str), Vec<(&Source, &Hello)>> = BTreeMap::new();
    let mut spf: BTreeMap<(&str, &str), Vec<(&Source, &Hello)>> = BTreeMap::new();
    for address in addresses {
        for hello in &address.hello {
            let one = (&address.source, hello);
            alike
                .entry((&hello.name, &hello.cell.says))
                .or_default()
                .push(one);
            spf.entry((&hello.name, &hello.spf.says))
                .or_default()
                .push(one);
        }
    }
    findings.extend(alike.values().filter_map(|same| of_name(same)));
    findings.extend(spf.values().filter_map(|same| of_spf(same)));
}

fn of_name(same: &[(&Source, &Hello)]) -> Option<Finding> {
    let (source, hello) = same.first()?;
    let name = crate::finding::escape(&hello.name);
    let from = listed(same.iter().map(|(source, _)| source.address));
    let fix = format!(
        "`smtp_helo_name` (or `myhostname`) should be a name that has that address: {}",
        mend::forward(source.forward_control)
    );
    Some(match (hello.cell.state, hello.cell.says.as_str()) {
        (State::Wrong, "none") => Finding::error(
            "helo-unresolved",
            format!("the name `{name}`, said in HELO from {from}, does not exist in DNS"),
        )
        .because("many receivers refuse such a name for good")
        .mend(fix),
        (State::Wrong, _) => Finding::error(
            "helo-no-name",
            format!("`{name}`, said in HELO from {from}, is no host name"),
        )
        .because(hello.why.clone())
        .mend("set `myhostname` in main.cf to the full name of the server"),
        (State::Doubtful, _) => Finding::warning(
            "helo-elsewhere",
            format!("the name `{name}`, said in HELO from {from}, does not lead to it"),
        )
        .because(hello.why.clone())
        .mend(fix),
        (State::Unasked, _) => Finding::warning(
            "dns-unasked",
            format!("whether `{name}`, said in HELO, leads to {from} could not be asked"),
        )
        .because(hello.why.clone()),
        _ => return None,
    })
}

fn of_spf(same: &[(&Source, &Hello)]) -> Option<Finding> {
    let (source, hello) = same.first()?;
    let name = crate::finding::escape(&hello.name);
    let from = listed(same.iter().map(|(source, _)| source.address));
    Some(match hello.spf.state {
        State::Wrong => Finding::error(
            "helo-spf",
            format!(
                "the SPF record of `{name}`, said in HELO, says `{}` of {from}",
                hello.spf.says
            ),
        )
        .because(format!(
            "bounces have no other sender to be judged by; {}",
            hello.spf_why
        ))
        .mend(mend::forward(source.forward_control)),
        State::Unasked => Finding::warning(
            "dns-unasked",
            format!("the SPF record of `{name}`, said in HELO, could not be followed for {from}"),
        )
        .because(hello.spf_why.clone()),
        _ => return None,
    })
}
