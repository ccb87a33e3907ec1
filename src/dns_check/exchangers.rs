//! Whether mail can come back to a domain: receivers refuse senders nobody can answer.
//! Follows RFC 5321, 5.1; RFC 7505; RFC 2181, 10.3.

use serde::Serialize;

use super::senders::KnownBy;
use super::{Cell, Sender, State, listed, mend};
use crate::dns::{Answer, Name, RecordType, Resolver, addresses_of};
use crate::finding::{Finding, Severity};

/// The code of a domain that does not exist.
const NO_DOMAIN: &str = "no-sender-domain";

/// Most exchangers that are looked at.
const MOST: usize = 20;

/// The mail exchangers of a domain.
#[derive(Clone, Debug, Serialize)]
pub struct Exchangers {
    /// How they stand.
    #[serde(flatten)]
    pub cell: Cell,
    /// Their names, the preferred first, safe to print.
    pub hosts: Vec<String>,
    #[serde(skip)]
    faults: Vec<Finding>,
}

/// Asks for the exchangers, and whether they have addresses.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name) -> Exchangers {
    let mut found = Exchangers {
        cell: Cell::new(State::Right, "yes"),
        hosts: Vec::new(),
        faults: Vec::new(),
    };
    let text = domain.host();
    let answer = match resolver.lookup(domain, RecordType::Mx) {
        Ok(answer) => answer,
        Err(error) => return found.unasked(&text, &error),
    };
    let hosts = answer.exchanges();
    found.hosts = hosts.iter().map(|(_, name)| name.host()).collect();
    if hosts.is_empty() {
        return found.without(resolver, domain, &answer);
    }
    if hosts.iter().any(|(_, name)| name.is_root()) {
        // RFC 7505, 4.2: mail from such a domain may be refused.
        found.cell = Cell::new(State::Wrong, "null");
        found.faults.push(
            Finding::error(
                "null-mx",
                format!("`{text}` says that it takes no mail, and mail is sent for it"),
            )
            .because("it has a null MX (`0 .`): receivers refuse senders that nobody can answer"),
        );
        return found;
    }
    for (_, name) in hosts.iter().take(MOST) {
        found.host(resolver, &text, name);
    }
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    if found.cell.state != State::Unasked && !found.faults.is_empty() {
        // One exchanger that works will do.
        let broken = found.faults.iter().filter(|fault| is_error(fault)).count();
        if broken < hosts.len() {
            for fault in &mut found.faults {
                fault.severity = Severity::Warning;
            }
            found.cell = Cell::new(State::Doubtful, "some");
        } else {
            found.cell = Cell::new(State::Wrong, "wrong");
        }
    }
    found
}

impl Exchangers {
    fn unasked(mut self, domain: &str, error: &crate::dns::DnsError) -> Self {
        self.cell = Cell::unasked();
        self.faults.push(
            Finding::warning(
                "dns-unasked",
                format!("the MX of `{domain}` could not be asked for"),
            )
            .because(error.to_string()),
        );
        self
    }

    /// Without MX the domain's own address counts (RFC 5321, 5.1).
    fn without(mut self, resolver: &dyn Resolver, domain: &Name, answer: &Answer) -> Self {
        let text = domain.host();
        if *answer == Answer::NoSuchName {
            self.cell = Cell::new(State::Wrong, "no domain");
            self.faults.push(
                Finding::error(NO_DOMAIN, format!("mail is sent for `{text}`, and there is no such domain"))
                    .because("DNS says that the name does not exist (NXDOMAIN): receivers refuse or rate-limit such senders, and no bounce comes back")
                    .mend("send under a domain that exists (`myorigin` in main.cf, or the program that sends), or register it"),
            );
            return self;
        }
        for ipv6 in [false, true] {
            match addresses_of(resolver, domain, ipv6) {
                Ok(addresses) if !addresses.is_empty() => {
                    self.cell = Cell::new(State::Doubtful, "host");
                    self.faults.push(
                        Finding::note(
                            "no-mx",
                            format!(
                                "`{text}` has no MX record; mail to it goes to its own address"
                            ),
                        )
                        .because("that is lawful, and some receivers ask for an MX of a sender"),
                    );
                    return self;
                }
                Ok(_) => {}
                Err(error) => return self.unasked(&text, &error),
            }
        }
        self.cell = Cell::new(State::Wrong, "none");
        self.faults.push(
            Finding::error(
                "sender-domain-no-mail",
                format!("mail is sent for `{text}`, which has neither MX nor address"),
            )
            .because("receivers refuse senders nobody can answer, and no bounce comes back"),
        );
        self
    }

    fn host(&mut self, resolver: &dyn Resolver, domain: &str, name: &Name) {
        let host = name.host();
        if host.parse::<std::net::IpAddr>().is_ok() {
            self.faults.push(
                Finding::error(
                    "mx-address",
                    format!("the MX of `{domain}` is the address {host}"),
                )
                .because("an MX names a host, never an address (RFC 5321, 5.1)"),
            );
            return;
        }
        match resolver.lookup(name, RecordType::Cname) {
            Ok(answer) if !answer.records().is_empty() => self.faults.push(
                Finding::warning("mx-alias", format!("the MX `{host}` of `{domain}` is an alias (CNAME)"))
                    .because("it must be a name with addresses of its own (RFC 2181, 10.3); some senders do not follow it"),
            ),
            _ => {}
        }
        let both = [false, true].map(|ipv6| addresses_of(resolver, name, ipv6));
        if both
            .iter()
            .any(|led| led.as_ref().is_ok_and(|led| !led.is_empty()))
        {
            return;
        }
        if let Some(error) = both.iter().find_map(|led| led.as_ref().err()) {
            self.cell = Cell::unasked();
            self.faults.push(
                Finding::warning(
                    "dns-unasked",
                    format!("the address of `{host}`, MX of `{domain}`, could not be asked for"),
                )
                .because(error.to_string()),
            );
            return;
        }
        self.faults.push(
            Finding::error(
                "mx-unresolved",
                format!("the MX `{host}` of `{domain}` has no address"),
            )
            .because("mail to the domain, and every bounce, cannot be delivered there"),
        );
    }

    /// Tells that the domain does not exist.
    pub(super) fn is_of_no_domain(&self) -> bool {
        self.faults.iter().any(|fault| fault.code == NO_DOMAIN)
    }

    /// Adds what is wrong.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        for fault in &self.faults {
            let mut fault = explained(fault, sender);
            if fault.fix.is_none()
                && fault.severity != Severity::Note
                && fault.code != "dns-unasked"
            {
                fault.fix = Some(mend::domain(sender));
            }
            findings.push(fault);
        }
    }

    /// Adds only that the domain does not exist: all else is somebody else's.
    pub(super) fn find_missing(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        let missing = self.faults.iter().filter(|fault| fault.code == NO_DOMAIN);
        findings.extend(missing.map(|fault| explained(fault, sender)));
    }
}

/// Says of a domain that does not exist how it is known, and how sure it is that this is a
/// matter of this host: what was handed in here was made here.
fn explained(fault: &Finding, sender: &Sender) -> Finding {
    let mut fault = fault.clone();
    if fault.code == NO_DOMAIN {
        let seen = listed(sender.known_by.iter().map(KnownBy::in_words));
        let why = fault.why.take().unwrap_or_default();
        fault.why = Some(format!("{why}; the domain is known by {seen}"));
        if !sender.is_ours() && !sender.known_by.contains(&KnownBy::Submitted) {
            fault.severity = Severity::Warning;
        }
    }
    fault
}
