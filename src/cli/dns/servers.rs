//! Which DNS servers are asked: the options of every command that asks about records.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::{Failure, Session};
use crate::dns::{
    Answer, AuthoritativeResolver, CachedResolver, Difference, Name, RealResolver, Resolver,
    ServerFault, Version, panel, server_address,
};
use crate::finding::{Finding, Severity};
use crate::site::Site;

/// How long one question may take.
const EACH: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Clone, Debug, Default, Args)]
pub struct Servers {
    /// Ask this DNS server instead of those in `/etc/resolv.conf`
    #[arg(long, value_name = "IP[:PORT]", value_parser = server, conflicts_with = "offline")]
    pub server: Option<SocketAddr>,
    /// Ask all the servers of each zone itself, so that a fresh change shows
    #[arg(long, conflicts_with = "offline")]
    pub authoritative: bool,
}

/// A resolver that finds the servers of each zone by another one, and asks each question once.
type Authoritative = CachedResolver<AuthoritativeResolver<Arc<dyn Resolver>>>;

/// Who is asked now.
#[derive(Default)]
pub struct Asked {
    authoritative: Option<Arc<Authoritative>>,
}

impl Servers {
    /// The same, but past resolvers that remember what was: for those who wait for a change.
    ///
    /// A server that was named is asked as it is.
    #[must_use]
    pub fn for_waiting(mut self) -> Self {
        self.authoritative |= self.server.is_none();
        self
    }

    /// Makes the session ask the servers wanted from here on, each question once; called again,
    /// all of them anew.
    pub fn begin(&self, session: &mut Session) -> Result<Asked, Failure> {
        if session.common.offline {
            return Ok(Asked::default());
        }
        let first: Arc<dyn Resolver> = match (self.server, &session.resolver) {
            (Some(server), _) => remembering(RealResolver::new(vec![server], Instant::now())),
            (None, Some(given)) => Arc::new(CachedResolver::new(Arc::clone(given))),
            (None, None) => remembering(RealResolver::from_resolv_conf(
                &session.resolv_conf()?,
                Instant::now(),
            )),
        };
        let mut asked = Asked::default();
        if self.authoritative {
            let resolver = Arc::new(CachedResolver::new(AuthoritativeResolver::new(first)));
            session.asked = Some(Arc::clone(&resolver) as Arc<dyn Resolver>);
            asked.authoritative = Some(resolver);
        } else {
            session.asked = Some(first);
        }
        Ok(asked)
    }
}

fn remembering(resolver: RealResolver) -> Arc<dyn Resolver> {
    Arc::new(CachedResolver::new(resolver.allowing_each(EACH)))
}

impl Asked {
    /// What the servers of the zones have among them, as far as they were asked.
    ///
    /// A difference is an error at or below names that are ours. Elsewhere servers may differ on
    /// purpose, as those of big networks do.
    pub fn findings(&self, ours: &[Name]) -> Vec<Finding> {
        let Some(resolver) = &self.authoritative else {
            return Vec::new();
        };
        let resolver = resolver.inner();
        let differences = resolver.differences();
        let differences = differences.iter().map(|difference| {
            let name = &difference.name;
            disagreement(difference, ours.iter().any(|own| name.is_subdomain_of(own)))
        });
        let faults = resolver.faults();
        let faults = faults.iter().map(|fault| {
            // Every name is in a zone such as `org`.
            let zone = &fault.zone;
            let own = |name: &Name| name.is_subdomain_of(zone) || zone.is_subdomain_of(name);
            useless(fault, zone.labels().count() > 1 && ours.iter().any(own))
        });
        differences.chain(faults).collect()
    }
}

/// The names of a site: of the server, of its addresses, and the domains mail is sent for.
pub fn names_of(site: &Site) -> Vec<Name> {
    let hosts = site.domains.iter().chain(&site.silent_domains);
    let hosts = hosts.chain(std::iter::once(&site.server.hostname));
    hosts
        .filter_map(|host| host.parse().ok())
        .chain(site.sending_addresses().map(Name::reverse_of))
        .collect()
}

/// Servers of one zone do not say the same.
fn disagreement(difference: &Difference, ours: bool) -> Finding {
    let Difference { name, kind, .. } = difference;
    let severity = if ours {
        Severity::Error
    } else {
        Severity::Note
    };
    let versions: Vec<String> = difference.versions.iter().map(version).collect();
    let title = format!(
        "the name servers of its zone differ on {kind} of `{}`",
        name.host()
    );
    let fix = "wait until all have the newest zone; if one never gets it, look at the transfers \
               from the primary server, or tell whoever runs the servers";
    let finding = Finding::new(severity, "dns-servers-differ", title).because(versions.join("; "));
    if ours { finding.mend(fix) } else { finding }
}

/// What some of the servers say.
fn version(version: &Version) -> String {
    let servers: Vec<String> = version.servers.iter().map(ToString::to_string).collect();
    let (say, have) = if servers.len() == 1 {
        ("says", "has")
    } else {
        ("say", "have")
    };
    let serial = version
        .serial
        .map_or_else(String::new, |serial| format!("{have} serial {serial} and "));
    let answer = match &version.answer {
        Answer::Records(records) => {
            let values: Vec<String> = records
                .iter()
                .map(|record| format!("`{}`", panel::value(&record.data)))
                .collect();
            values.join(" and ")
        }
        Answer::NoData => "that there is no such record".to_owned(),
        Answer::NoSuchName => "that there is no such name".to_owned(),
    };
    format!("{} {serial}{say} {answer}", servers.join(", "))
}

/// A server is named for a zone and of no use to it.
fn useless(fault: &ServerFault, ours: bool) -> Finding {
    let address = fault
        .address
        .map_or_else(String::new, |address| format!(" ({})", address.ip()));
    let severity = if ours {
        Severity::Warning
    } else {
        Severity::Note
    };
    let title = format!(
        "`{}`{address} is a name server of `{}` and {}",
        fault.server.host(),
        fault.zone.host(),
        fault.what
    );
    let finding = Finding::new(severity, "dns-server-useless", title)
        .because("who asks it first waits, or learns nothing where the others are away");
    if ours {
        finding.mend("mend the server, or take its NS record out of the zone and of the zone above")
    } else {
        finding
    }
}

/// Reads the address of a server as a word of the command line.
fn server(word: &str) -> Result<SocketAddr, String> {
    server_address(word).ok_or_else(|| {
        "a server is given by its address: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or \
         `[2001:db8::53]:5353`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{NameServer, Record, RecordData, RecordType};

    #[test]
    fn a_difference_names_who_says_what() {
        let server = |name: &str, address: &str| NameServer {
            name: name.parse().unwrap(),
            address: format!("{address}:53").parse().unwrap(),
        };
        let name: Name = "_dmarc.example.org".parse().unwrap();
        let record = Record {
            owner: name.clone(),
            ttl: 60,
            data: RecordData::Txt(b"v=DMARC1; p=none\x1b".to_vec()),
        };
        let difference = Difference {
            name,
            kind: RecordType::Txt,
            versions: vec![
                Version {
                    servers: vec![server("ns1.example.org", "192.0.2.1")],
                    serial: Some(2),
                    answer: Answer::Records(vec![record]),
                },
                Version {
                    servers: vec![
                        server("ns2.example.org", "192.0.2.2"),
                        server("ns3.example.org", "192.0.2.3"),
                    ],
                    serial: None,
                    answer: Answer::NoSuchName,
                },
            ],
        };
        let finding = disagreement(&difference, true);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.in_words(),
            "the name servers of its zone differ on TXT of `_dmarc.example.org`; \
             ns1.example.org (192.0.2.1) has serial 2 and says `v=DMARC1; p=none\\027`; \
             ns2.example.org (192.0.2.2), ns3.example.org (192.0.2.3) say that there is no such \
             name; wait until all have the newest zone; if one never gets it, look at the \
             transfers from the primary server, or tell whoever runs the servers"
        );
        assert_eq!(disagreement(&difference, false).severity, Severity::Note);
    }
}
