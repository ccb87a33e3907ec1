//! The addresses mail leaves from, as far as they can be known.
//!
//! Owns what main.cf, master.cf, all instances, the kernel, the site file and the words of
//! receivers say of them together; each address says how it is known. Postfix does not log it,
//! so what nobody says is unknown, and never guessed.
//! Must not know what DNS says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::senders::Logged;
use crate::address::Scope;
use crate::finding::{Finding, Severity};
use crate::host::{Facts, Origin};
use crate::site::{Control, Site};
use crate::system::{System, SystemError};

/// Where the default route is asked for: an address far away that is always there (a root
/// server's). Nothing is sent to it.
const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
];

/// An address that mail leaves from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The address, as the world sees it.
    pub address: IpAddr,
    /// How it is known.
    pub known_by: BTreeSet<KnownBy>,
    /// The server it belongs to, as the site file names it.
    pub server: Option<String>,
    /// The names said in HELO from it.
    #[serde(skip)]
    pub hello: BTreeSet<String>,
    /// Whether it comes and goes (RFC 8981).
    pub passing: bool,
    /// Who controls its reverse zone.
    #[serde(skip)]
    pub control: Option<Control>,
    /// Who controls the zone of the server's name.
    #[serde(skip)]
    pub forward_control: Option<Control>,
}

/// How an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// It was named on the command line.
    Asked,
    /// The site file names it.
    Site,
    /// The site file names it as another server's.
    OtherServer,
    /// Postfix binds to it.
    Bound,
    /// The kernel takes it for the outside.
    Route,
    /// An interface has it, and nothing says more.
    Interface,
    /// A receiver named it in a reply.
    Reply,
}

impl Source {
    /// An address that was named on the command line, of which no more is known.
    #[must_use]
    pub fn asked(address: IpAddr) -> Self {
        Self {
            address,
            known_by: [KnownBy::Asked].into(),
            server: None,
            hello: BTreeSet::new(),
            passing: false,
            control: None,
            forward_control: None,
        }
    }
}

impl KnownBy {
    /// In words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Asked => "the command line",
            Self::Site => "the site file",
            Self::OtherServer => "the site file, as another server's",
            Self::Bound => "what Postfix binds to",
            Self::Route => "the kernel's choice",
            Self::Interface => "an interface",
            Self::Reply => "replies of receivers",
        }
    }
}

/// Mail leaves, and from which address cannot be known here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unknown {
    /// The protocol: `4` or `6`; none where it holds for both.
    pub family: Option<u8>,
    /// Why.
    pub why: String,
}

impl Unknown {
    /// What it is called in a table.
    #[must_use]
    pub fn label(&self) -> String {
        match self.family {
            Some(family) => format!("unknown IPv{family}"),
            None => "unknown".to_owned(),
        }
    }

    pub(super) fn finding(&self) -> Finding {
        let over = self
            .family
            .map_or_else(String::new, |family| format!(" over IPv{family}"));
        Finding::warning("source-unknown", format!("from which address mail leaves{over} cannot be known here"))
            .because(self.why.clone())
            .mend("name the address that the world sees in mailfix.toml (`ipv4`, `ipv6` below `[server]`, or `[[other_server]]` for the host that hands mail on)")
    }
}

/// That no address was checked, which is all right where only domains were asked about.
pub(super) fn none_known(domains_asked: bool) -> Finding {
    let severity = if domains_asked {
        Severity::Note
    } else {
        Severity::Error
    };
    Finding::new(severity, "no-source", "no address is known that mail leaves from, so none was checked")
        .mend("name the server's addresses in mailfix.toml (`mailfix init` makes one), or one with `--address`")
}

/// The addresses, and what cannot be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// IPv4 first.
    pub sources: Vec<Source>,
    /// What cannot be known.
    pub unknown: Vec<Unknown>,
}

/// Puts together what is known; `instances` are all of this machine's Postfix.
///
/// # Errors
/// When the machine cannot be asked.
pub fn gather(
    system: &dyn System,
    instances: &[Facts],
    site: Option<&Site>,
    logged: &Logged,
) -> Result<Found, SystemError> {
    let mut gathering = Gathering {
        system,
        site,
        logged,
        found: BTreeMap::new(),
        unknown: BTreeSet::new(),
        hellos: BTreeSet::new(),
        passed_over: BTreeSet::new(),
        chosen_by_kernel: BTreeSet::new(),
    };
    for facts in instances {
        gathering.instance(facts)?;
    }
    gathering.declared();
    let Gathering { found, unknown, .. } = gathering;
    Ok(Found {
        sources: found.into_values().collect(),
        unknown: unknown.into_iter().collect(),
    })
}

/// A name that an instance says of itself; none where it is that of the machine a tree is looked
/// at on.
#[must_use]
pub fn said(facts: &Facts, name: &str) -> Option<String> {
    let is_its_own = matches!(facts.origin, Origin::Machine | Origin::Collected)
        || facts.explicit.contains("myhostname")
        || ["myhostname", "mydomain"]
            .iter()
            .all(|of| facts.parameters.get(of) != name);
    (is_its_own && !name.is_empty()).then(|| name.to_owned())
}

struct Gathering<'a> {
    system: &'a dyn System,
    site: Option<&'a Site>,
    logged: &'a Logged,
    found: BTreeMap<IpAddr, Source>,
    unknown: BTreeSet<Unknown>,
    /// Every name that this machine says in HELO.
    hellos: BTreeSet<String>,
    /// Addresses of this machine, where all that sends over their protocol is bound.
    passed_over: BTreeSet<IpAddr>,
    /// Whether something that is not bound sends, for each protocol where it is so: IPv6 or not.
    chosen_by_kernel: BTreeSet<bool>,
}

impl Gathering<'_> {
    fn add(&mut self, address: IpAddr, by: KnownBy) -> &mut Source {
        let site = self.site;
        let source = self.found.entry(address).or_insert_with(|| Source {
            address,
            known_by: BTreeSet::new(),
            server: None,
            hello: BTreeSet::new(),
            passing: false,
            control: site.map(|site| site.reverse_control(address)),
            forward_control: site.map(|site| site.dns.forward),
        });
        source.known_by.insert(by);
        source
    }

    fn instance(&mut self, facts: &Facts) -> Result<(), SystemError> {
        if let Some(why) = facts.sent_elsewhere() {
            self.unknown.insert(Unknown { family: None, why });
            return Ok(());
        }
        for ipv6 in [false, true] {
            let clients: Vec<_> = facts
                .smtp_clients()
                .filter(|service| facts.sends_over(service, ipv6))
                .collect();
            let (mut is_loose, mut loose) = (false, BTreeSet::new());
            for client in &clients {
                let hello = said(facts, &facts.of_service(client, "smtp_helo_name"));
                self.hellos.extend(hello.clone());
                if let Some(address) = facts.bound(client, ipv6) {
                    let source = self.add(address, KnownBy::Bound);
                    source.hello.extend(hello);
                    source.passing = facts.passing.contains(&address);
                } else {
                    is_loose = true;
                    loose.extend(hello);
                }
            }
            if is_loose {
                self.chosen_by_kernel.insert(ipv6);
                self.unbound(facts, ipv6, &loose)?;
            } else if !clients.is_empty() {
                let own = facts.addresses.iter().copied();
                self.passed_over
                    .extend(own.filter(|address| address.is_ipv6() == ipv6));
            }
        }
        Ok(())
    }

    /// What the kernel takes where nothing is bound.
    fn unbound(
        &mut self,
        facts: &Facts,
        ipv6: bool,
        hello: &BTreeSet<String>,
    ) -> Result<(), SystemError> {
        let allows = self.site.is_some_and(|site| site.allow_non_global);
        let own: Vec<IpAddr> = facts
            .addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv6() == ipv6)
            .collect();
        let mut chosen = BTreeSet::new();
        if facts.origin == Origin::Machine || facts.origin == Origin::Collected {
            let relays = self.logged.relays.iter().chain(&FAR);
            for &to in relays.filter(|to| to.is_ipv6() == ipv6) {
                match self.system.source(to) {
                    Ok(from) => chosen.extend(from),
                    // Of a machine that was packed only what was asked there is known.
                    Err(SystemError::NotCollected { .. } | SystemError::Rooted { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let by = if chosen.is_empty() {
            KnownBy::Interface
        } else {
            KnownBy::Route
        };
        if chosen.is_empty() {
            chosen.extend(&own);
        }
        let mut hidden = None;
        let mut seen = BTreeSet::new();
        for address in chosen {
            match Scope::of(address) {
                Scope::Global | Scope::Documentation => seen.insert((address, by)),
                Scope::Private | Scope::Shared | Scope::UniqueLocal if allows => {
                    seen.insert((address, by))
                }
                Scope::Private | Scope::Shared => {
                    hidden = Some(address);
                    false
                }
                _ => false,
            };
        }
        // Behind a translator the receiver sees an address that no interface has.
        let replies = self.logged.quoted.iter().copied();
        let replies = replies.filter(|address| address.is_ipv6() == ipv6);
        let witnessed = replies.filter(|address| {
            own.contains(address) || (hidden.is_some() && Scope::of(*address).is_global())
        });
        seen.extend(witnessed.map(|address| (address, KnownBy::Reply)));
        if let Some(hidden) = hidden.filter(|_| seen.is_empty() && !self.declares(ipv6)) {
            self.unknown.insert(Unknown {
                family: Some(if ipv6 { 6 } else { 4 }),
                why: format!("the address {hidden} of this host is replaced on the way (NAT), and no receiver has named the other one in the log"),
            });
        }
        let is_machine = facts.origin == Origin::Machine || facts.origin == Origin::Collected;
        if !is_machine && own.is_empty() && !self.declares(ipv6) && self.site.is_none() {
            self.unknown.insert(Unknown {
                family: Some(if ipv6 { 6 } else { 4 }),
                why: "the interfaces of a machine that does not run here are not known".to_owned(),
            });
        }
        for (address, by) in seen {
            let source = self.add(address, by);
            source.hello.extend(hello.iter().cloned());
            source.passing = facts.passing.contains(&address);
        }
        Ok(())
    }

    /// Tells whether the site file names an address of the protocol.
    fn declares(&self, ipv6: bool) -> bool {
        self.site
            .is_some_and(|site| site.addresses().any(|address| address.is_ipv6() == ipv6))
    }

    /// What the site file says.
    fn declared(&mut self) {
        let Some(site) = self.site else {
            return;
        };
        let mut hello = std::mem::take(&mut self.hellos);
        if hello.is_empty() {
            hello.insert(site.server.hostname.clone());
        }
        for address in site.addresses() {
            let is_passed_over = self.passed_over.contains(&address)
                && !self.chosen_by_kernel.contains(&address.is_ipv6());
            // The host has it, and no mail leaves from it: `init` writes down all there are.
            if is_passed_over && !self.found.contains_key(&address) {
                continue;
            }
            let source = self.add(address, KnownBy::Site);
            source.server = Some(site.server.hostname.clone());
            if source.hello.is_empty() {
                source.hello.clone_from(&hello);
            }
        }
        for other in &site.other_servers {
            let v4 = other.ipv4.iter().copied().map(IpAddr::V4);
            let v6 = other.ipv6.iter().copied().map(IpAddr::V6);
            for address in v4.chain(v6) {
                let source = self.add(address, KnownBy::OtherServer);
                source.server = Some(other.name.clone());
                if source.hello.is_empty() {
                    source.hello.insert(other.name.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::system::MemorySystem;

    const SITE: &str = "\
[server]
hostname = \"mail.example.org\"
ipv4 = [\"198.51.100.7\"]
[[domain]]
name = \"example.org\"
[[other_server]]
name = \"web.example.org\"
ipv6 = [\"2001:db8::80\"]
";

    struct Given<'a> {
        main: &'a str,
        master: &'a str,
        addresses: &'a [&'a str],
        routes: &'a [(&'a str, &'a str)],
        site: Option<&'a str>,
        log: &'a str,
    }

    const PLAIN: Given<'_> = Given {
        main: "inet_protocols = all\nmyhostname = mail.example.org",
        master: "",
        addresses: &["192.0.2.10", "2001:db8::10"],
        routes: &[],
        site: None,
        log: "",
    };

    #[track_caller]
    fn check(given: &Given<'_>, expected: &[&str]) {
        let mut facts = example::host("3.7.11", given.main, given.master).facts;
        facts.origin = Origin::Machine;
        facts.addresses = given
            .addresses
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let mut system = MemorySystem::new();
        for (to, from) in given.routes {
            system
                .sources
                .insert(to.parse().unwrap(), from.parse().unwrap());
        }
        let site = given.site.map(|text| {
            Site::parse_with(text, "mailfix.toml".into(), true)
                .map(|mut site| {
                    site.allow_non_global = false;
                    site
                })
                .unwrap()
        });
        let logged = Logged::read(given.log.as_bytes());
        let found = gather(&system, &[facts], site.as_ref(), &logged).unwrap();
        let sources = found.sources.iter().map(|source| {
            let by: Vec<&str> = source.known_by.iter().map(|by| by.in_words()).collect();
            let hello: Vec<&str> = source.hello.iter().map(String::as_str).collect();
            format!(
                "{} by {} as {}",
                source.address,
                by.join(" + "),
                hello.join(" ")
            )
        });
        let unknown = found.unknown.iter().map(Unknown::label);
        let shown: Vec<String> = sources.chain(unknown).collect();
        assert_eq!(shown, expected);
    }

    const FAR4: &str = "198.41.0.4";
    const FAR6: &str = "2001:503:ba3e::2:30";

    #[test]
    fn without_a_route_the_interfaces_count() {
        check(
            &PLAIN,
            &[
                "192.0.2.10 by an interface as mail.example.org",
                "2001:db8::10 by an interface as mail.example.org",
            ],
        );
    }

    #[test]
    fn the_kernel_chooses_among_several() {
        check(
            &Given {
                addresses: &["192.0.2.10", "192.0.2.11", "2001:db8::10", "fe80::1"],
                routes: &[(FAR4, "192.0.2.11"), (FAR6, "2001:db8::10")],
                ..PLAIN
            },
            &[
                "192.0.2.11 by the kernel's choice as mail.example.org",
                "2001:db8::10 by the kernel's choice as mail.example.org",
            ],
        );
        // Another route for a receiver in the log.
        check(
            &Given {
                routes: &[(FAR4, "192.0.2.10"), ("198.51.100.25", "192.0.2.11")],
                main: "inet_protocols = ipv4\nmyhostname = mail.example.org",
                log: "Nov 25 10:00:00 m postfix/smtp[9]: A1B2C3: to=<a@b.example>, relay=mx.b.example[198.51.100.25]:25, delay=1, dsn=2.0.0, status=sent (250 ok)\n",
                ..PLAIN
            },
            &[
                "192.0.2.10 by the kernel's choice as mail.example.org",
                "192.0.2.11 by the kernel's choice as mail.example.org",
            ],
        );
    }

    #[test]
    fn what_is_bound_counts_for_each_service() {
        check(
            &Given {
                main: "inet_protocols = all\nmyhostname = mail.example.org\nsmtp_bind_address = 192.0.2.10\nsmtp_bind_address6 = 2001:db8::10",
                master: "bulk unix - - n - - smtp -o smtp_bind_address=192.0.2.99 -o smtp_helo_name=bulk.example.org -o inet_protocols=ipv4",
                ..PLAIN
            },
            &[
                "192.0.2.10 by what Postfix binds to as mail.example.org",
                "192.0.2.99 by what Postfix binds to as bulk.example.org",
                "2001:db8::10 by what Postfix binds to as mail.example.org",
            ],
        );
    }

    #[test]
    fn what_the_site_file_names_beside_the_bound_address_sends_nothing() {
        let site = SITE.replace(
            "[\"198.51.100.7\"]",
            "[\"198.51.100.7\"]\nipv6 = [\"2001:db8::10\", \"2001:db8::11\", \"2001:db8::12\"]",
        );
        let site = site.replace(
            "[[other_server]]\nname = \"web.example.org\"\nipv6 = [\"2001:db8::80\"]\n",
            "",
        );
        let bound = Given {
            main: "inet_protocols = all\nmyhostname = mail.example.org\nsmtp_bind_address6 = 2001:db8::10",
            addresses: &["2001:db8::10", "2001:db8::11"],
            site: Some(&site),
            ..PLAIN
        };
        let named = "198.51.100.7 by the site file as mail.example.org";
        check(
            &bound,
            &[
                named,
                "2001:db8::10 by the site file + what Postfix binds to as mail.example.org",
                // No interface has it: a translator may put it there.
                "2001:db8::12 by the site file as mail.example.org",
            ],
        );
        check(
            &Given {
                master: "bulk unix - - n - - smtp -o smtp_bind_address6=",
                routes: &[(FAR6, "2001:db8::10")],
                ..bound
            },
            &[
                named,
                "2001:db8::10 by the site file + what Postfix binds to + the kernel's choice as mail.example.org",
                "2001:db8::11 by the site file as mail.example.org",
                "2001:db8::12 by the site file as mail.example.org",
            ],
        );
    }

    #[test]
    fn behind_a_translator_only_witnesses_know() {
        let hidden = Given {
            main: "inet_protocols = ipv4\nmyhostname = mail.example.org",
            addresses: &["10.0.0.5"],
            routes: &[(FAR4, "10.0.0.5")],
            ..PLAIN
        };
        check(&hidden, &["unknown IPv4"]);
        check(
            &Given {
                log: "Nov 25 10:00:00 m postfix/smtp[9]: A1B2C3: to=<a@b.example>, relay=mx.google.com[203.0.113.25]:25, delay=1, dsn=4.7.0, status=deferred (host mx.google.com[203.0.113.25] said: 421-4.7.0 [8.8.4.4      15] Our system has detected an unusual rate of mail. (in reply to end of DATA command))\n",
                ..hidden
            },
            &["8.8.4.4 by replies of receivers as mail.example.org"],
        );
        check(
            &Given {
                site: Some(SITE),
                ..hidden
            },
            &[
                "198.51.100.7 by the site file as mail.example.org",
                "2001:db8::80 by the site file, as another server's as web.example.org",
            ],
        );
    }

    #[test]
    fn a_relay_has_its_own_addresses() {
        check(
            &Given {
                main: "relayhost = [smart.example]",
                ..PLAIN
            },
            &["unknown"],
        );
    }
}
