//! The looks outside: DNS as receivers ask it, and port 25 where that was asked for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Looking;
use crate::cli::Failure;
use crate::cli::dns::check::subject;
use crate::dns::{Name, RecordType, Resolver, addresses_of};
use crate::dns_check::{self, AddressReport, Verdict};
use crate::doctor::port25::{self, Host};
use crate::doctor::{By, Dns};
use crate::draft::silenced;
use crate::finding::{Finding, Severity};
use crate::host::Facts;
use crate::provider::Provider;

/// How many providers' mail hosts are tried on port 25, and how many hosts of each.
const TRIED: usize = 3;

/// What the check of DNS says where it was not told what to look at: behind a relay nobody here
/// knows the addresses, and without a site file perhaps no domain. Neither is a fault.
const UNKNOWN: [&str; 2] = ["source-unknown", "no-sender"];

impl Looking<'_> {
    /// What DNS says of addresses and domains.
    pub(super) fn dns(&mut self, has_postfix: bool) -> Result<(), Failure> {
        if self.session.common.offline {
            self.looked.skip("dns", "`--offline` forbids to ask");
            return Ok(());
        }
        if !has_postfix && !self.standing.has_site {
            self.looked
                .skip("dns", "without Postfix and a site file no address is known");
            return Ok(());
        }
        let (site, subject) = match subject::gather(self.session, Vec::new(), &[]) {
            Ok(gathered) => gathered,
            Err(failure) => {
                self.looked.miss("dns", failure.message);
                return Ok(());
            }
        };
        let resolver = self.session.resolver()?;
        let waiting = self.session.waiting();
        if let Some(waiting) = &waiting {
            waiting.say("asking DNS".to_owned());
        }
        let report = dns_check::check(resolver.as_ref(), &subject, &Provider::demanding());
        drop(waiting);
        self.looked.at.addresses = Some(report.addresses.len());
        self.looked.at.domains = Some(report.domains.len());
        self.looked.is_unasked = report.unasked;
        self.standing.dns = if report.is_silent() {
            Dns::Silent
        } else if report.unasked {
            Dns::Partly
        } else {
            Dns::Wholly
        };
        let findings = match &site {
            Some(site) => silenced(site, report.findings),
            None => report.findings,
        };
        let is_unknown = |finding: &Finding| UNKNOWN.contains(&finding.code);
        let (unknown, findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_unknown);
        for finding in unknown {
            self.looked.skip("dns", finding.title);
        }
        let is_unasked = |finding: &Finding| finding.code == "dns-unasked";
        if findings.iter().any(is_unasked) {
            let open = findings.iter().filter(|one| is_unasked(one)).count();
            self.looked
                .miss("dns", format!("{open} questions got no answer"));
        }
        if self.standing.dns == Dns::Silent {
            let why = findings.iter().find_map(|one| one.why.as_deref());
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            let title = format!("no question was answered{why}");
            self.found(By::Dns, [Finding::warning("resolver-silent", title)]);
        }
        self.found(By::Dns, findings);
        self.found(By::Dns, refusals(&report.addresses));
        Ok(())
    }

    /// Whether port 25 elsewhere can be reached.
    pub(super) fn port25(
        &mut self,
        asked: &str,
        patience: Duration,
        instances: &[Facts],
    ) -> Result<(), Failure> {
        let resolver = self.session.resolver()?;
        let hosts = if asked.is_empty() {
            receivers(resolver.as_ref())
        } else {
            vec![host(resolver.as_ref(), asked)?]
        };
        if hosts.iter().all(|host| host.addresses.is_empty()) {
            self.looked
                .miss("port25", "DNS names no address of a host to connect to");
            return Ok(());
        }
        let waiting = self.session.waiting();
        if let Some(waiting) = &waiting {
            waiting.say("connecting to port 25".to_owned());
        }
        let system = self.session.system.as_ref();
        let mut attempts = match port25::look(system, &hosts, patience) {
            Ok(attempts) => attempts,
            Err(error) => {
                self.looked.miss("port25", error.to_string());
                return Ok(());
            }
        };
        drop(waiting);
        if let Some(mask) = &mut self.mask {
            for banner in attempts.iter_mut().filter_map(|one| one.banner.as_mut()) {
                *banner = mask.text(banner);
            }
        }
        let ours = system.addresses().unwrap_or_default();
        let mut witnesses = port25::witnesses(&attempts, &ours);
        let relayed = instances
            .iter()
            .any(|facts| facts.sent_elsewhere().is_some());
        if relayed {
            // Mail takes another way.
            for witness in &mut witnesses {
                witness.severity = Severity::Note;
            }
        }
        self.witnesses.extend(witnesses);
        self.looked.at.port25 = attempts;
        Ok(())
    }
}

/// What receivers are known to refuse, by what they demand.
fn refusals(addresses: &[AddressReport]) -> Vec<Finding> {
    let of = |report: &AddressReport| {
        let refusing = report.receivers.iter();
        let names: Vec<&str> = refusing
            .filter(|receiver| receiver.verdict == Verdict::Refuses)
            .map(|receiver| receiver.name.as_str())
            .collect();
        let verb = if names.len() == 1 {
            "refuses"
        } else {
            "refuse"
        };
        let code = if report.is_confirmed() {
            "refused-unauthenticated"
        } else {
            "refused-by-ptr"
        };
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            let address = report.source.address;
            Finding::error(code, format!("{names} {verb} mail from {address}"))
        })
    };
    addresses.iter().filter_map(of).collect()
}

/// The mail hosts of some big receivers.
fn receivers(resolver: &dyn Resolver) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for provider in Provider::known() {
        if hosts.len() >= TRIED {
            break;
        }
        let domain = provider.domains.first();
        let Some(domain) = domain.and_then(|domain| domain.parse::<Name>().ok()) else {
            continue;
        };
        let Ok(answer) = resolver.lookup(&domain, RecordType::Mx) else {
            continue;
        };
        let mut named = answer.exchanges().into_iter().map(|(_, name)| Host {
            addresses: addresses(resolver, name, port25::PORT),
            name: name.host(),
        });
        hosts.extend(named.find(|host| !host.addresses.is_empty()));
    }
    hosts
}

/// A host that a person names: a name or an address, perhaps with a port.
fn host(resolver: &dyn Resolver, asked: &str) -> Result<Host, Failure> {
    let at = |address| Host {
        name: asked.to_owned(),
        addresses: vec![address],
    };
    if let Ok(address) = asked.parse::<SocketAddr>() {
        return Ok(at(address));
    }
    if let Ok(address) = asked.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(at(SocketAddr::new(address, port25::PORT)));
    }
    let (name, port) = match asked.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, port),
            Err(_) => return Err(Failure::usage(format!("`{port}` is no port"))),
        },
        None => (asked, port25::PORT),
    };
    let parsed: Name = name
        .parse()
        .map_err(|error: crate::dns::NameError| Failure::usage(error.to_string()))?;
    Ok(Host {
        addresses: addresses(resolver, &parsed, port),
        name: parsed.host(),
    })
}

/// One address of each protocol is enough to tell.
fn addresses(resolver: &dyn Resolver, name: &Name, port: u16) -> Vec<SocketAddr> {
    let of = |ipv6| addresses_of(resolver, name, ipv6).unwrap_or_default();
    [of(false), of(true)]
        .into_iter()
        .filter_map(|of| of.first().copied())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}
