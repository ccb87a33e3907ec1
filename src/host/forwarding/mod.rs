//! Mail that is forwarded to the outside: by which alias, to whom, and what rewrites its sender.
//!
//! Owns where it is looked for (tables, users' own files, the mail log), which domains are this
//! host's own, and what of a program that rewrites senders is there. What cannot be read is said,
//! and all is bounded.
//! Must not know what receivers think of it nor what is done about it.
//! Follows aliases(5), virtual(5) and local(8).

mod own;
mod rewriting;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};

use super::destinations::forwards::{self, Syntax, Told};
use super::destinations::{ask_each, domain, log};
use super::{DomainFacts, Facts, Files, MailHosts, Origin, observe_dns};
use crate::dns::{Answer, Name, RecordData, RecordType, Resolver};
use crate::postfix::log::{Event, Line, Marker};
use crate::system::System;

pub use own::OwnDomains;
pub use rewriting::{Installed, Served, observe as observe_rewriter, silence};

/// Most forwards that are kept.
const MOST: usize = 10_000;

/// Most receiving domains whose mail hosts are asked for.
const ASKED: usize = 500;

/// How an address begins that was rewritten.
const REWRITTEN: [&str; 2] = ["srs0", "srs1"];

/// What is forwarded to the outside, and what there is about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// The forwards that lead outside.
    pub ways: BTreeSet<Way>,
    /// How many more there are.
    pub left_out: usize,
    /// Who takes the mail of the receiving domains, as far as it was asked and answered.
    pub hosts: BTreeMap<String, MailHosts>,
    /// The domains that are this host's own.
    pub own: OwnDomains,
    /// What rewrites senders, if something known is installed.
    pub installed: Option<Installed>,
    /// What DNS says of the domain that rewritten addresses have.
    pub bounces: Option<Bounces>,
    /// Places that were not read, or not wholly, and why.
    pub unread: Vec<(String, String)>,
}

/// One forward that leads outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The receiving domain.
    pub domain: String,
    /// The receiving address.
    pub to: String,
    /// What it is forwarded from: an alias, an address or a user; empty for all addresses.
    pub from: String,
    /// Where that was found.
    pub place: String,
    /// Whether the message keeps the envelope sender it came with.
    pub keeps_sender: bool,
}

impl Way {
    fn recipient(&self) -> String {
        self.to.to_ascii_lowercase()
    }
}

/// What DNS says of the domain that rewritten addresses have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounces {
    /// The domain.
    pub domain: String,
    /// Whether a host that takes its mail is this one; what could not be found out says why.
    pub come_back: Result<bool, String>,
    /// Its SPF record.
    pub spf: DomainFacts,
}

impl Forwarding {
    /// Counts the forwards to each domain, the most first.
    #[must_use]
    pub fn by_domain(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for way in &self.ways {
            counts.entry(&way.domain).or_default().insert(&way.to);
        }
        let mut counts: Vec<(&str, usize)> = counts
            .into_iter()
            .map(|(domain, addresses)| (domain, addresses.len()))
            .collect();
        counts.sort_by_key(|&(domain, count)| (std::cmp::Reverse(count), domain));
        counts
    }
}

/// Looks at what is forwarded; files that may have to be changed go to `files`.
///
/// `declared` are further domains of the operator's: whoever takes their mail is no stranger.
#[must_use]
pub fn observe(
    system: &dyn System,
    facts: &Facts,
    files: &mut Files,
    logs: &[Utf8PathBuf],
    declared: &[String],
) -> Forwarding {
    let mut found = Forwarding::default();
    if facts.origin == Origin::Stock {
        return found;
    }
    let mut candidates = Candidates::default();
    let mut owners: BTreeSet<String> = BTreeSet::new();
    forwards::read(system, facts, &mut |told| match told {
        Told::Entry {
            item,
            key,
            text,
            syntax,
        } => {
            let key = key.to_ascii_lowercase();
            if syntax == Syntax::Aliases
                && let Some(list) = key.strip_prefix("owner-")
            {
                owners.insert(list.to_owned());
            }
            candidates.take(&key, text, item, syntax == Syntax::Aliases);
        }
        Told::Unread(item, why) => found.unread.push((item.to_owned(), why)),
    });
    users::read(system, facts, &mut |told| match told {
        users::Told::Forward { user, text } => candidates.take(user, text, "`.forward`", false),
        users::Told::Unread(place, why) => found.unread.push((place, why)),
    });
    let mut logged = Candidates::default();
    let marker = Marker::new(b", orig_to=<");
    log::read(system, facts, logs, &mut |file, text| {
        // That a log is missing is said where one is needed.
        for line in text.iter().flat_map(|text| marker.lines(text)) {
            if let Some((from, to)) = forwarded(line) {
                logged.take(&from.to_ascii_lowercase(), to, file.as_str(), false);
            }
        }
    });
    found.left_out = candidates.left_out + logged.left_out;
    // Of what tables say the log has nothing to add.
    let known: BTreeSet<String> = candidates.ways.iter().map(Way::recipient).collect();
    let unknown = logged.ways.into_iter();
    candidates
        .ways
        .extend(unknown.filter(|way| !known.contains(&way.recipient())));
    let domains = candidates.ways.iter().map(|way| way.domain.clone());
    found.own = own::observe(
        system,
        facts,
        &domains.chain(declared.iter().cloned()).collect(),
    );
    for mut way in candidates.ways {
        let is_own = found.own.has(&way.domain) || declared.contains(&way.domain);
        let is_last = found.ways.last().is_some_and(|last| {
            (&last.domain, &last.to, &last.from) == (&way.domain, &way.to, &way.from)
        });
        if !is_own && !is_last {
            // local(8): the sender becomes the owner of the list.
            way.keeps_sender = !(way.keeps_sender && owners.contains(&way.from));
            found.ways.insert(way);
        }
    }
    found.installed = rewriting::observe(system, facts, files);
    found
}

/// Asks who takes the mail of the receiving domains, those with most addresses first.
pub fn ask_receivers(resolver: &dyn Resolver, forwarding: &mut Forwarding) {
    let domains: Vec<String> = forwarding
        .by_domain()
        .into_iter()
        .take(ASKED)
        .map(|(domain, _)| domain.to_owned())
        .collect();
    let domains: Vec<&String> = domains.iter().collect();
    forwarding.hosts = ask_each(resolver, &domains).into_iter().collect();
}

/// Asks whether bounces to a domain come back to one of these addresses or to that host, and
/// whether its SPF record covers them.
#[must_use]
pub fn ask_bounces(
    resolver: &dyn Resolver,
    domain: &str,
    host: &str,
    addresses: &[IpAddr],
) -> Bounces {
    let domains = [domain.to_owned()];
    let spf = observe_dns(resolver, addresses, &domains)
        .domains
        .remove(domain)
        .unwrap_or_default();
    let hosts = ask_each(resolver, &[&domains[0]]).pop();
    let come_back = match hosts.map(|(_, hosts)| hosts) {
        Some(MailHosts::Known(hosts)) => {
            // RFC 5321, 5.1: without an MX record the domain itself is the host.
            let hosts = if hosts.is_empty() {
                domains.to_vec()
            } else {
                hosts
            };
            leads_to(resolver, &hosts, host, addresses)
        }
        Some(MailHosts::Unknown(why)) => Err(why),
        None => Err("nobody was asked".to_owned()),
    };
    Bounces {
        domain: domain.to_owned(),
        come_back,
        spf,
    }
}

fn leads_to(
    resolver: &dyn Resolver,
    hosts: &[String],
    host: &str,
    addresses: &[IpAddr],
) -> Result<bool, String> {
    if hosts.iter().any(|name| name == host) {
        return Ok(true);
    }
    let mut failure = None;
    for name in hosts.iter().filter_map(|name| name.parse::<Name>().ok()) {
        for kind in [RecordType::A, RecordType::Aaaa] {
            match resolver.lookup(&name, kind) {
                Ok(Answer::Records(records)) => {
                    let is_ours = records.iter().any(|record| match record.data {
                        RecordData::A(found) => addresses.contains(&found.into()),
                        RecordData::Aaaa(found) => addresses.contains(&found.into()),
                        _ => false,
                    });
                    if is_ours {
                        return Ok(true);
                    }
                }
                Ok(_) => {}
                Err(error) => failure = Some(error.to_string()),
            }
        }
    }
    failure.map_or(Ok(false), Err)
}

/// The address before and after aliases changed it, in a line of smtp(8).
fn forwarded(line: &[u8]) -> Option<(&str, &str)> {
    let line = Line::parse(line)?;
    if line.daemon() != b"smtp" {
        return None;
    }
    let Event::Delivery(delivery) = line.record().event else {
        return None;
    };
    let from = std::str::from_utf8(delivery.orig_to?).ok()?;
    let to = std::str::from_utf8(delivery.to).ok()?;
    // A bounce on its way back to the original sender is no forward.
    let is_rewritten = from
        .get(..4)
        .is_some_and(|start| REWRITTEN.contains(&start.to_ascii_lowercase().as_str()));
    (!is_rewritten && !from.is_empty() && from != to).then_some((from, to))
}

/// Addresses that are forwarded to, wherever they lead.
#[derive(Default)]
struct Candidates {
    ways: BTreeSet<Way>,
    left_out: usize,
}

impl Candidates {
    /// Takes the addresses of a text; `is_list` where an alias may have an owner.
    fn take(&mut self, from: &str, text: &str, place: &str, is_list: bool) {
        for to in addresses(text) {
            let Some(domain) = to.rsplit_once('@').and_then(|(_, name)| domain(name)) else {
                continue;
            };
            let way = Way {
                domain,
                to: to.to_owned(),
                from: from.to_owned(),
                place: place.to_owned(),
                keeps_sender: is_list,
            };
            if self.ways.len() < MOST {
                self.ways.insert(way);
            } else if !self.ways.contains(&way) {
                self.left_out += 1;
            }
        }
    }
}

/// The addresses of a list as aliases and tables have them; programs and files are none.
fn addresses(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut quoted) = (0, false);
    let ends = text.char_indices().chain([(text.len(), ',')]);
    for (at, c) in ends {
        quoted ^= c == '"';
        let is_end = at == text.len() || (!quoted && (c == ',' || c.is_whitespace()));
        if !is_end {
            continue;
        }
        let word = text.get(start..at).unwrap_or_default();
        let word = word.trim_matches(['<', '>']);
        let inner = word
            .strip_prefix('"')
            .and_then(|word| word.strip_suffix('"'));
        let word = inner.unwrap_or(word);
        let is_other = word.starts_with(['|', '/', ':', '\\']);
        if word.contains('@') && !is_other {
            found.push(word);
        }
        start = at + c.len_utf8();
    }
    found
}

/// Whether a path is below another, and how it is called there.
fn below<'a>(path: &'a Utf8Path, directory: &str) -> Option<&'a Utf8Path> {
    path.strip_prefix(directory)
        .ok()
        .filter(|rest| !rest.as_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;
    use crate::host::example;
    use crate::system::{File, MemorySystem, Node};

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n";

    fn looked(system: &MemorySystem, main: &str) -> Forwarding {
        // The stock configuration names tables that this machine lacks.
        let main = format!("alias_maps =\nmydestination = own.example\n{main}");
        let facts = example::host("3.7.11", &main, "").facts;
        let facts = Facts {
            origin: Origin::Machine,
            ..facts
        };
        let logs = ["/var/log/mail.log".into()];
        observe(system, &facts, &mut Files::default(), &logs, &[])
    }

    /// What leads outside, as `FROM TO` with ` (owner)` where the sender does not stay.
    #[track_caller]
    fn check(system: &MemorySystem, main: &str, expected: &[&str]) -> Forwarding {
        let found = looked(system, main);
        let ways: Vec<String> = found
            .ways
            .iter()
            .map(|way| {
                let owner = if way.keeps_sender { "" } else { " (owner)" };
                format!("{} {}{owner}", way.from, way.to)
            })
            .collect();
        assert_eq!(ways, expected);
        found
    }

    #[test]
    fn aliases_that_lead_outside_are_found() {
        let system = MemorySystem::new()
            .file(
                "/etc/aliases",
                "# x: a@comment.example\nroot: ann, bob@own.example\nList: a@one.example,\n  \"b\"@two.example\nlog: \"|/bin/x -f a@no.example\", /var/a@no.example\nall: :include:/etc/all\nowner-all: ann\n",
            )
            .file("/etc/all", "c@one.example\n");
        check(
            &system,
            "alias_maps = hash:/etc/aliases",
            &[
                "list a@one.example",
                "all c@one.example (owner)",
                "list \"b\"@two.example",
            ],
        );
    }

    #[test]
    fn virtual_tables_and_the_log_are_read() {
        let log = |from: &str, to: &str| {
            format!(
                "Nov 25 10:00:00 mx postfix/smtp[9]: A1: to=<{to}>, orig_to=<{from}>, relay=a, status=sent (ok)\n"
            )
        };
        let text = [
            log("x@own.example", "X@one.example"),
            log("y@own.example", "y@three.example"),
            log("SRS0=a=b=far.example=c@own.example", "c@far.example"),
            "Nov 25 10:00:00 mx postfix/smtp[9]: A1: to=<z@four.example>, relay=a, status=sent (ok)\n".to_owned(),
        ]
        .concat();
        let system = MemorySystem::new().file("/var/log/mail.log", text).file(
            "/v",
            "x@own.example x@one.example y@own.example\n@own.example @two.example\n",
        );
        let found = check(
            &system,
            "virtual_alias_maps = hash:/v\nrecipient_canonical_maps = tcp:127.0.0.1:10002",
            &[
                "x@own.example x@one.example",
                "y@own.example y@three.example",
                "@own.example @two.example",
            ],
        );
        assert_eq!(found.by_domain()[0], ("one.example", 1));
        assert_eq!(found.unread, []);
    }

    #[test]
    fn users_forward_by_files_that_local_would_read() {
        let file = |text: &str, mode, uid| Node::File(File::new(text, mode, uid, 0));
        let plain = MemorySystem::new().file("/etc/passwd", PASSWD);
        let forward = "/home/ann/.forward";
        let text = "# mine\n\\ann, ann@one.example\n\"|x a@no.example\"\n";
        let own = plain.clone().node(forward, file(text, 0o644, 1000));
        check(&own, "", &["ann ann@one.example"]);
        check(&own, "mydestination =", &[]);
        check(&own, "forward_path = /var/forward/${user}, $x/y", &[]);
        let central = plain.clone().node("/var/forward/ann", file(text, 0o644, 0));
        check(
            &central,
            "forward_path = /var/forward/${user}",
            &["ann ann@one.example"],
        );
        let others = plain.clone().node(forward, file(text, 0o644, 1001));
        check(&others, "", &[]);
        let open = plain.clone().node(forward, file(text, 0o666, 1000));
        check(&open, "", &[]);
        let linked = plain
            .link(forward, "/etc/secret")
            .file("/etc/secret", "root@secret.example\n");
        check(&linked, "", &[]);
    }

    #[test]
    fn own_domains_are_listed_as_far_as_they_can_be() {
        let system = MemorySystem::new()
            .file("/d", "Hosted.example x\n")
            .file("/f", "file.example\n");
        let found = looked(
            &system,
            "myhostname = mx.own.example\nmyorigin = own.example\nvirtual_mailbox_domains = hash:/d, mysql:/m\nrelay_domains = relayed.example\nvirtual_alias_domains = /f",
        );
        let names: Vec<&str> = found.own.names.iter().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                ".relayed.example",
                "file.example",
                "hosted.example",
                "mx.own.example",
                "own.example",
                "relayed.example",
            ]
        );
        assert_eq!(
            found.own.unlisted,
            [(
                "virtual_mailbox_domains = mysql:/m".to_owned(),
                "what a `mysql` table holds cannot be listed".to_owned()
            )]
        );
        assert!(found.own.has("a.relayed.example") && !found.own.has("a.own.example"));
    }

    #[test]
    fn bounces_come_back_by_name_by_address_or_not() {
        let zone = "\
named.example. 60 IN MX 10 mx.example.
other.example. 60 IN MX 10 relay.example.
relay.example. 60 IN AAAA 2001:db8::1
bare.example. 60 IN A 192.0.2.1
bare.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"
away.example. 60 IN MX 10 away.example.
away.example. 60 IN A 192.0.2.9
$SERVFAIL broken.example.
";
        let resolver = FixedResolver::from_zone(zone).unwrap();
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        for (domain, expected) in [
            ("named.example", Some(true)),
            ("other.example", Some(true)),
            ("bare.example", Some(true)),
            ("away.example", Some(false)),
            ("absent.example", Some(false)),
            ("broken.example", None),
        ] {
            let found = ask_bounces(&resolver, domain, "mx.example", &addresses);
            assert_eq!(found.come_back.clone().ok(), expected, "{domain}");
            if domain == "bare.example" {
                let covers: Vec<_> = found.spf.covers.values().cloned().collect();
                assert_eq!(covers, [Ok(true), Ok(false)]);
            }
        }
    }
}
