//! From which address of ours the mail of a group left, where no reply names it.
//!
//! Owns how the configuration's answer ([`Departures`]) comes to a group, and which groups are the
//! same once it is known. What the configuration leaves open stays open.

use std::net::IpAddr;

use super::group::{From, Group, Report, rank};
use crate::departure::{Departure, Departures};
use crate::postfix::log::{Event, Line};
use crate::stats::Family;

impl Report {
    /// Fills in what the configuration says of the addresses that replies do not name, and puts
    /// together what is the same then.
    pub fn locate_all(&mut self, departures: &Departures) {
        self.locate(departures);
        let mut groups: Vec<Group> = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            let same = groups.iter_mut().find(|other| other.is_same(&group));
            match same {
                Some(same) => same.unite(group),
                None => groups.push(group),
            }
        }
        rank(&mut groups);
        self.groups = groups;
    }

    /// The same, with the groups as they are: for who tells them apart again later.
    pub fn locate(&mut self, departures: &Departures) {
        for group in &mut self.groups {
            group.locate(departures);
        }
        let named = self.groups.iter().filter_map(|group| match group.from {
            From::Address(address) => Some(Departure::From(address)),
            From::Program(_) => None,
        });
        let named: Vec<Departure> = named.collect();
        for group in &mut self.groups {
            let source = group.source;
            group.source = source.map(|source| departures.unhidden(source, &named));
        }
    }
}

impl Group {
    fn locate(&mut self, departures: &Departures) {
        let protocol = match self.family {
            Family::V4 => 4,
            Family::V6 => 6,
            Family::None => return,
        };
        let From::Program(tag) = &self.from else {
            return;
        };
        let line = Line::parse(self.line.as_bytes()).unwrap_or_default();
        let relay = match line.record().event {
            Event::Delivery(delivery) => delivery
                .relay
                .ip()
                .or_else(|| delivery.answer().peer.and_then(|peer| peer.ip())),
            Event::Attempt(answer) => answer.peer.and_then(|peer| peer.ip()),
            _ => None,
        };
        self.source = Some(match relay {
            Some(relay) => departures.of(&line, Some(relay), &[]),
            None if departures.is_own_host(line.host) => {
                let name = tag.rsplit_once('/').map_or(tag.as_str(), |(name, _)| name);
                departures.way(name.as_bytes(), protocol, false)
            }
            None => Departure::Unknown(protocol),
        });
    }

    /// The address mail left from, whoever names it.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match (&self.from, self.source) {
            (From::Address(address), _) => Some(*address),
            (From::Program(_), Some(Departure::From(address))) => Some(address),
            _ => None,
        }
    }

    /// Tells whether it is the same failure from the same address, once named by a reply and once
    /// by the configuration. Programs stay apart: each may be mended for itself.
    fn is_same(&self, other: &Self) -> bool {
        let is_named = |group: &Self| matches!(group.from, From::Address(_));
        is_named(self) != is_named(other)
            && self.address().is_some()
            && self.address() == other.address()
            && (&self.provider, &self.cause, self.family)
                == (&other.provider, &other.cause, other.family)
            && [self.is_detour, self.is_greeting, self.is_new]
                == [other.is_detour, other.is_greeting, other.is_new]
            && !self.is_new
            && !self.cause.is_empty()
    }

    /// Takes in the same failure; what a reply names counts before what the configuration says.
    fn unite(&mut self, other: Self) {
        if let From::Address(_) = other.from {
            self.from = other.from.clone();
            self.source = None;
        }
        if (other.first, self.first) != (None, None) && other.first < self.first {
            self.line.clone_from(&other.line);
            self.words.clone_from(&other.words);
        }
        self.harm = self.harm.max(other.harm);
        self.add(other);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::diagnose::Knowledge;
    use crate::diagnose::log::{Options, Reading};
    use crate::host::{Facts, Origin, example};
    use crate::stats::LastDay;
    use crate::system::MemorySystem;

    static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(Knowledge::built_in);

    /// One Postfix of a machine called `mail` with three addresses of each kind.
    fn instance(main: &str) -> Facts {
        let main = format!("inet_protocols = all\nmyhostname = mail.example.org\n{main}");
        let mut facts = example::host("3.7.11", &main, "").facts;
        facts.origin = Origin::Machine;
        let own = ["192.0.2.10", "192.0.2.11", "2001:db8::10", "2001:db8::11"];
        facts.addresses = own.iter().map(|text| text.parse().unwrap()).collect();
        facts
    }

    /// A refusal that some program met, of a message of its own.
    fn line(number: usize, host: &str, tag: &str, relay: &str, reply: &str) -> String {
        format!(
            "2026-03-03T10:00:0{number}+00:00 {host} {tag}[9]: A1B2C3D{number}: to=<a@b.example>, relay={relay}:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host {relay} said: {reply} (in reply to end of DATA command))\n"
        )
    }

    const V4: &str = "mx.b.example[198.51.100.25]";
    const SPF: &str = "550 5.7.23 SPF check failed";
    const NAMED: &str = "550 5.7.23 SPF check failed for [192.0.2.11]";

    /// The ways of the groups, with how often each was tried.
    fn ways(instances: &[Facts], lines: &[String]) -> Vec<String> {
        let system = MemorySystem::new().file("/etc/hostname", "mail\n");
        let departures = Departures::gather(&system, instances, None).unwrap();
        let mut reading = Reading::new(&KNOWLEDGE, Options::default());
        reading.feed(lines.concat().as_bytes(), LastDay::of(0));
        let mut report = reading.report();
        report.locate_all(&departures);
        let groups = report.groups.iter();
        groups
            .map(|group| format!("{} {}", group.tries, group.way()))
            .collect()
    }

    #[test]
    fn instances_are_told_by_what_they_bind_to() {
        let first = instance("smtp_bind_address = 192.0.2.10");
        let second = instance(
            "multi_instance_name = postfix-out\nsyslog_name = postfix-out\nsmtp_bind_address = 192.0.2.11",
        );
        let lines = [
            line(1, "mail", "postfix/smtp", V4, SPF),
            line(2, "mail", "postfix-out/smtp", V4, SPF),
            line(3, "mail", "postfix-out/smtp", V4, SPF),
            // What a reply names is the same address.
            line(4, "mail", "postfix-out/smtp", V4, NAMED),
        ];
        assert_eq!(
            ways(&[first, second], &lines),
            [
                "3 over IPv4 from 192.0.2.11",
                "1 over IPv4 from 192.0.2.10, by `postfix/smtp`"
            ]
        );
    }

    #[test]
    fn what_the_configuration_leaves_open_is_not_guessed() {
        let bound = || instance("smtp_bind_address = 192.0.2.10");
        let here = [line(1, "mail", "postfix/smtp", V4, SPF)];
        assert_eq!(
            ways(&[instance("")], &here),
            ["1 over IPv4 by `postfix/smtp` (address not known)"]
        );
        // Another machine's log, and a program that is not in the configuration.
        for (host, tag) in [("mx7", "postfix/smtp"), ("mail", "postfix-old/smtp")] {
            let lines = [line(1, host, tag, V4, SPF)];
            assert_eq!(
                ways(&[bound()], &lines),
                [format!("1 over IPv4 by `{tag}` (address not known)")]
            );
        }
        // A filter on this very host is reached from nowhere else.
        let filter = [line(1, "mail", "postfix/smtp", "localhost[127.0.0.1]", SPF)];
        assert_eq!(ways(&[bound()], &filter), ["1 over IPv4 by `postfix/smtp`"]);
    }
}
