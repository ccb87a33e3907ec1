//! One address that mail leaves from: its PTR records, whether they are confirmed forwards, and
//! the name it says in HELO.

use std::collections::BTreeMap;

use serde::Serialize;

use super::hello::{self, Hello};
use super::{Cell, Receiver, Source, State, host, listed, mend};
use crate::dns::{DnsError, Resolver, Reverse};
use crate::finding::Finding;

/// What DNS says of an address.
#[derive(Clone, Debug, Serialize)]
pub struct AddressReport {
    /// Which.
    #[serde(flatten)]
    pub source: Source,
    /// Whether it has a PTR record.
    pub ptr: Cell,
    /// The names of these records, safe to print.
    pub names: Vec<String>,
    /// Whether one of the names leads back to it.
    pub forward: Cell,
    /// The names it says in HELO.
    pub hello: Vec<Hello>,
    /// What the SPF record of each domain says of it.
    pub spf: BTreeMap<String, Cell>,
    /// What receivers make of it.
    pub receivers: Vec<Receiver>,
    #[serde(skip)]
    reverse: Result<Reverse, DnsError>,
}

/// Asks for the name of the address and the way back.
pub(super) fn look(resolver: &dyn Resolver, source: &Source) -> AddressReport {
    let reverse = Reverse::look_up(resolver, source.address);
    let names = reverse.as_ref().map(|reverse| reverse.names.as_slice());
    let hello = source
        .hello
        .iter()
        .map(|name| hello::look(resolver, source.address, name, names.unwrap_or_default()))
        .collect();
    let (ptr, forward) = cells(source, &reverse);
    AddressReport {
        source: source.clone(),
        ptr,
        names: names.unwrap_or_default().iter().map(host).collect(),
        forward,
        hello,
        spf: BTreeMap::new(),
        receivers: Vec::new(),
        reverse,
    }
}

fn cells(source: &Source, reverse: &Result<Reverse, DnsError>) -> (Cell, Cell) {
    let Ok(reverse) = reverse else {
        return (Cell::unasked(), Cell::unasked());
    };
    if reverse.names.is_empty() {
        return (
            Cell::new(State::Wrong, "none"),
            Cell::new(State::Wrong, "no"),
        );
    }
    let ptr = Cell::new(State::Right, "yes");
    if reverse.confirmed(source.address).is_some() {
        (ptr, Cell::new(State::Right, "yes"))
    } else if reverse.failure().is_some() {
        (ptr, Cell::unasked())
    } else {
        (ptr, Cell::new(State::Wrong, "no"))
    }
}

impl AddressReport {
    /// Whether a name of it leads back.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.forward.state == State::Right
    }

    /// Every cell of it, but those of domains.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        let hello = self
            .hello
            .iter()
            .flat_map(|hello| [&hello.cell, &hello.spf]);
        [&self.ptr, &self.forward].into_iter().chain(hello)
    }

    /// Adds what is wrong.
    pub(super) fn find(&self, findings: &mut Vec<Finding>) {
        let address = self.source.address;
        let fix = || mend::reverse(address, self.source.control);
        match &self.reverse {
            Err(error) => findings.push(
                Finding::warning(
                    "dns-unasked",
                    format!("the PTR of {address} could not be asked for"),
                )
                .because(error.to_string()),
            ),
            Ok(reverse) if reverse.names.is_empty() => findings.push(
                Finding::error("no-ptr", format!("{address} has no PTR record"))
                    .because(format!(
                        "there is none at `{}`",
                        host(&crate::dns::Name::reverse_of(address))
                    ))
                    .mend(fix()),
            ),
            Ok(reverse) if reverse.confirmed(address).is_none() => {
                self.find_unconfirmed(reverse, findings);
            }
            Ok(_) => {}
        }
    }

    fn find_unconfirmed(&self, reverse: &Reverse, findings: &mut Vec<Finding>) {
        let address = self.source.address;
        let names = listed(reverse.names.iter().map(|name| format!("`{}`", host(name))));
        if let Some(error) = reverse.failure() {
            findings.push(
                Finding::warning(
                    "dns-unasked",
                    format!("whether the PTR of {address} leads back could not be asked"),
                )
                .because(format!("it names {names}; {error}")),
            );
            return;
        }
        let kind = if address.is_ipv6() { "AAAA" } else { "A" };
        let led = reverse.names.iter().zip(&reverse.followed);
        let led: Vec<String> = led
            .map(|(name, led)| match led.as_deref() {
                Ok([]) => format!("`{}` has no {kind} record", host(name)),
                Ok(addresses) => format!("`{}` is {}", host(name), listed(addresses)),
                Err(error) => error.to_string(),
            })
            .collect();
        let ours = self
            .source
            .hello
            .iter()
            .any(|hello| reverse.names.iter().any(|name| host(name) == *hello));
        let fix = if ours {
            // The name is the server's own: it lacks the address.
            format!(
                "add the {kind} record of {address} to that name: {}",
                mend::forward(self.source.forward_control)
            )
        } else {
            format!(
                "the PTR has to name a host that has {address}: {}",
                mend::reverse(address, self.source.control)
            )
        };
        findings.push(
            Finding::error(
                "ptr-unconfirmed",
                format!("the PTR of {address} does not lead back to it"),
            )
            .because(format!("it names {names}; {}", listed(led)))
            .mend(fix),
        );
    }
}
