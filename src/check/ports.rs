//! Ports of `inet` services that have no number.
//!
//! Owns the reading of a service's `host:port`. Must not know who listens.
//! Follows master(5), "Service name", and postconf(5), "`known_tcp_ports`".

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::{Check, Subject};
use crate::finding::Finding;
use crate::postfix::{Field, ServiceType, Version};
use crate::spelling::near_miss;

pub(super) const CHECK: Check = Check {
    name: "ports",
    about: "names of ports that nothing gives a number",
    run,
};

/// The list of port names.
const SERVICES: &str = "/etc/services";

/// The first version that knows some ports by itself.
const KNOWS_PORTS: Version = Version::new(3, 6, 0);

/// What it knows by default. // postconf(5), "`known_tcp_ports`"
const KNOWN_PORTS: [&str; 5] = ["lmtp", "smtp", "smtps", "submissions", "submission"];

fn run(subject: &Subject) -> Vec<Finding> {
    let Some(bytes) = subject.files.read(Utf8Path::new(SERVICES)) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut names = tcp_names(&text);
    if subject.version >= KNOWS_PORTS {
        names.extend(KNOWN_PORTS);
    }
    subject
        .services()
        .filter(|service| service.kind == ServiceType::Inet)
        .filter_map(|service| {
            let port = port_of(&service.name);
            if port.contains('$') || names.contains(port) || is_number(port) {
                return None;
            }
            let finding = Finding::error(
                "unknown-port",
                format!("`{port}` is not the name of a port"),
            )
            .at(subject.master.place(service.field_span(Field::Name)))
            .because("master stops when it reads this, also at a reload that reported success");
            Some(match near_miss(port, names.iter().copied()) {
                Some(near) => finding.mend(format!("`{near}` is one; a number does as well")),
                None => finding.mend(format!("write its number, or name it in `{SERVICES}`")),
            })
        })
        .collect()
}

fn is_number(port: &str) -> bool {
    port.parse::<u16>().is_ok()
}

/// The port of `port`, `host:port` or `[address]:port`.
fn port_of(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, port)| port)
}

/// The names and aliases of TCP ports in services(5).
fn tcp_names(services: &str) -> BTreeSet<&str> {
    services
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = words.next();
            let is_tcp = words.next().is_some_and(|port| port.ends_with("/tcp"));
            name.into_iter().chain(words).filter(move |_| is_tcp)
        })
        .collect()
}
