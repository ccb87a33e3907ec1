//! Whatever records a site is given, the check of DNS finds nothing wrong once they stand there.
//!
//! Sites are made up: servers, addresses, domains, third parties with records of their own, what
//! stands in DNS before. The changes are made as a server would make them, set by set.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use camino::Utf8Path;
use mailfix::dns::{FixedResolver, Name, Record, zone};
use mailfix::dns_check::{self, Key, Outcome, Sender, Source, Subject, senders, sources};
use mailfix::mail::dkim::{Algorithm, KeyRecord, PrivateKey};
use mailfix::mail::spf::{Identity, Status, check_host};
use mailfix::provider::Provider;
use mailfix::records::live::{Live, Standing};
use mailfix::records::{Needed, RecordRefused, Records, Role, SigningKey, records};
use mailfix::site::{Control, Site};
use proptest::prelude::*;

use crate::support::properties;

/// What a site may be, and DNS before.
#[derive(Clone, Debug)]
struct World {
    /// IPv4 and IPv6 addresses of each server, at least one.
    servers: Vec<(u8, u8)>,
    shared: bool,
    /// Which domains send, and which of the hosts take their mail.
    domains: Vec<(usize, Option<Vec<usize>>)>,
    silent: bool,
    /// Which third parties send too.
    parties: BTreeSet<usize>,
    /// What stands at each domain already.
    existing: Vec<usize>,
    /// Whether addresses have other names, and names other addresses.
    generic: bool,
    reports: usize,
    policy: &'static str,
    tls_reports: Option<&'static str>,
    mta_sts: Option<&'static str>,
}

const DOMAINS: [&str; 5] = [
    "example.org",
    "example.net",
    "news.example.net",
    "s0.example.org",
    "xn--bcher-kva.example",
];

const EXISTING: [&str; 9] = [
    "",
    "v=spf1 mx -all",
    "v=spf1 a mx ~all",
    "v=spf1 include:t0.example include:t1.example ?all",
    "v=spf1 ip4:203.0.113.0/24 redirect=t2.example",
    "v=spf1 ip4:192.0.2.1 -ip4:192.0.2.0/24 exists:%{i}.list.example -all",
    "v=spf1 +all",
    "v=spf1 ptr",
    "v=spf1 A:S0.example.org exp=why.example -all",
];

/// What is warned of in terms that stood there and stay.
const ADMINISTRATORS: [&str; 1] = ["spf-ptr"];

const REPORTS: [&str; 4] = [
    "",
    "mailto:dmarc@example.org",
    "mailto:a@reports.example, mailto:b@example.net",
    "mailto:c@sub.news.example.net",
];

fn world() -> impl Strategy<Value = World> {
    let servers = prop::collection::vec(
        (0u8..3, 0u8..3).prop_filter("an address is needed", |(v4, v6)| v4 + v6 > 0),
        1..5,
    );
    let mx = prop::option::of(prop::collection::vec(0usize..6, 1..3));
    let domains = prop::collection::vec((0..DOMAINS.len(), mx), 1..4);
    let records = (
        prop::collection::btree_set(0usize..5, 0..4),
        prop::collection::vec(0..EXISTING.len() * 2, DOMAINS.len()),
        0..REPORTS.len(),
        prop::sample::select(vec!["none", "quarantine", "reject"]),
        prop::option::of(prop::sample::select(vec!["testing", "enforce", "none"])),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (servers, domains, records, flags).prop_map(
        |(servers, domains, (parties, existing, reports, policy, mta_sts), flags)| World {
            servers,
            shared: flags.0,
            domains,
            silent: flags.1,
            parties,
            existing,
            generic: flags.2,
            reports,
            policy,
            tls_reports: flags.3.then_some("mailto:tls@example.org"),
            mta_sts,
        },
    )
}

impl World {
    /// The addresses of a server.
    fn addresses(&self, server: usize) -> Vec<IpAddr> {
        let (v4, v6) = self.servers[server];
        let at = u8::try_from(server).unwrap() * 10;
        let v4 = (0..v4).map(|one| IpAddr::from([192, 0, 2, at + one]));
        let v6 = (0..v6)
            .map(|one| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, u16::from(at), u16::from(one)]));
        v4.chain(v6).collect()
    }

    fn quoted(&self, server: usize, is_v6: bool) -> String {
        let addresses = self.addresses(server);
        let kind = addresses.iter().filter(|one| one.is_ipv6() == is_v6);
        kind.map(|one| format!("\"{one}\""))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The domains, each once.
    fn senders(&self) -> Vec<(&'static str, Option<&Vec<usize>>)> {
        let mut seen = BTreeSet::new();
        let domains = self.domains.iter();
        domains
            .filter(|(at, _)| seen.insert(*at))
            .map(|(at, mx)| (DOMAINS[*at], mx.as_ref()))
            .collect()
    }

    fn site(&self) -> Site {
        let mut text = "allow_non_global = true\n".to_owned();
        for server in 0..self.servers.len() {
            let (head, key) = match server {
                0 => ("[server]", "hostname"),
                _ => ("[[other_server]]", "name"),
            };
            writeln!(text, "{head}\n{key} = 's{server}.example.org'").unwrap();
            if server == 0 && self.shared {
                text.push_str("shared_name = 'all.example.org'\n");
            }
            let (v4, v6) = (self.quoted(server, false), self.quoted(server, true));
            writeln!(text, "ipv4 = [{v4}]\nipv6 = [{v6}]").unwrap();
        }
        for (name, mx) in self.senders() {
            writeln!(text, "[[domain]]\nname = '{name}'").unwrap();
            if let Some(hosts) = mx {
                let mut hosts: Vec<&usize> = hosts.iter().collect();
                hosts.dedup();
                let hosts = hosts
                    .iter()
                    .map(|host| format!("'{host}0 h{host}.mx.example'"));
                writeln!(text, "mx = [{}]", hosts.collect::<Vec<_>>().join(", ")).unwrap();
            }
        }
        if self.silent {
            text.push_str("[[domain]]\nname = 'www.example.org'\nsends = false\nmx = []\n");
        }
        let parties = self
            .parties
            .iter()
            .map(|party| format!("'t{party}.example'"));
        let parties = parties.collect::<Vec<_>>().join(", ");
        writeln!(text, "[third_parties]\nspf_includes = [{parties}]").unwrap();
        writeln!(text, "[dmarc]\npolicy = '{}'", self.policy).unwrap();
        if !REPORTS[self.reports].is_empty() {
            writeln!(text, "reports = '{}'", REPORTS[self.reports]).unwrap();
        }
        if let Some(place) = self.tls_reports {
            writeln!(text, "[tls_rpt]\nreports = '{place}'").unwrap();
        }
        if let Some(mode) = self.mta_sts {
            writeln!(text, "[mta_sts]\nmode = '{mode}'").unwrap();
        }
        Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
    }

    /// DNS before anything is changed.
    fn zone(&self) -> String {
        let mut zone = "\
            t0.example. 60 IN TXT \"v=spf1 ip4:198.51.100.0/24 include:t3.example -all\"\n\
            t1.example. 60 IN TXT \"v=spf1 a:h0.mx.example -all\"\n\
            t2.example. 60 IN TXT \"v=spf1 mx:example.com ip4:198.51.100.9 ~all\"\n\
            t3.example. 60 IN TXT \"v=spf1 ip6:2001:db8:3::/48 ?all\"\n\
            t4.example. 60 IN TXT \"v=spf1 redirect=t3.example\"\n\
            example.com. 60 IN MX 10 h1.mx.example.\n"
            .to_owned();
        for host in 0..6 {
            writeln!(zone, "h{host}.mx.example. 60 IN A 198.51.100.{host}").unwrap();
            writeln!(zone, "h{host}.mx.example. 60 IN AAAA 2001:db8:ff::{host}").unwrap();
        }
        for (at, (name, mx)) in self.senders().into_iter().enumerate() {
            writeln!(zone, "{name}. 60 IN A 198.51.100.80").unwrap();
            writeln!(zone, "{name}. 60 IN TXT \"site-verification={at}\"").unwrap();
            // The web server of a policy is the administrator's.
            writeln!(zone, "mta-sts.{name}. 60 IN A 198.51.100.80").unwrap();
            if mx.is_none() {
                writeln!(zone, "{name}. 60 IN MX 5 h5.mx.example.").unwrap();
            }
            let existing = self.existing[at];
            let first = EXISTING[existing % EXISTING.len()];
            let second = EXISTING[(existing + 1) % EXISTING.len()];
            let two = existing >= EXISTING.len();
            for text in [first].into_iter().chain(two.then_some(second)) {
                if !text.is_empty() {
                    writeln!(zone, "{name}. 60 IN TXT \"{text}\"").unwrap();
                }
            }
        }
        if self.generic {
            for address in self.addresses(0) {
                let reverse = Name::reverse_of(address).fully_qualified();
                writeln!(zone, "{reverse} 60 IN PTR generic.isp.example.").unwrap();
            }
            zone.push_str("s0.example.org. 60 IN AAAA 2001:db8:9::9\n");
            zone.push_str("_dmarc.example.org. 60 IN TXT \"v=DMARC1; p=none; pct=5; sp=reject\"\n");
        }
        zone
    }

    fn subject(&self, site: &Site, key: &KeyRecord) -> Subject {
        let servers = 0..self.servers.len();
        let sources = servers.flat_map(|server| {
            let hello = format!("s{server}.example.org");
            self.addresses(server)
                .into_iter()
                .map(move |address| Source {
                    address,
                    known_by: [sources::KnownBy::Site].into(),
                    server: Some(hello.clone()),
                    hello: [hello.clone()].into(),
                    passing: false,
                    control: Some(Control::Own),
                    forward_control: Some(Control::Own),
                })
        });
        let senders = site.domains.iter().map(|domain| {
            let domain = domain.parse().unwrap();
            Sender::new(domain, senders::KnownBy::Site)
        });
        Subject {
            sources: sources.collect(),
            senders: senders.collect(),
            keys: vec![Key {
                selector: "s1".to_owned(),
                domain: None,
                path: "/etc/mailfix/dkim/s1.private".into(),
                record: Ok(key.clone()),
                is_unmade: false,
            }],
            ..Subject::default()
        }
    }
}

/// DNS once every set was changed as it was said.
fn changed(before: &str, live: &Live) -> FixedResolver {
    let mut records: Vec<Record> = zone::read(before).unwrap();
    for change in live.changes() {
        let stands =
            |record: &Record| record.owner == change.owner && record.data.kind() == change.kind;
        let present: Vec<Record> = records.iter().filter(|one| stands(one)).cloned().collect();
        assert_eq!(
            present, change.present,
            "what is changed is what stands there"
        );
        records.retain(|record| !stands(record));
        records.extend(change.wanted.iter().cloned());
    }
    FixedResolver::from_zone(&zone::write(&records)).unwrap()
}

fn key() -> KeyRecord {
    static KEY: std::sync::OnceLock<KeyRecord> = std::sync::OnceLock::new();
    let make = || {
        PrivateKey::generate(Algorithm::Rsa)
            .unwrap()
            .record()
            .unwrap()
    };
    KEY.get_or_init(make).clone()
}

fn plain(needed: &[Needed]) -> Vec<&Record> {
    needed.iter().map(|one| &one.record).collect()
}

/// No two records contradict each other.
fn assert_in_harmony(records: &Records) {
    let mut seen = BTreeSet::new();
    for needed in &records.needed {
        let record = &needed.record;
        assert!(
            seen.insert((record.owner.clone(), &record.data)),
            "{record:?} twice"
        );
        let of_role = records.needed.iter().filter(|other| {
            other.record.owner == record.owner
                && other.role == needed.role
                && other.record.data.kind() == record.data.kind()
        });
        let may_be_many = matches!(needed.role, Role::Address | Role::Exchange);
        assert!(
            may_be_many || of_role.count() == 1,
            "several {:?}",
            needed.role
        );
    }
}

fn check(world: &World) {
    let (site, before) = (world.site(), world.zone());
    let live_before = FixedResolver::from_zone(&before).unwrap();
    let keys = [SigningKey {
        selector: "s1".to_owned(),
        record: key(),
    }];
    let made = records(&site, &keys, Some(&live_before));
    if !made.refused.is_empty() {
        // What stands there and the third parties cost too much together; see how much. Or one of
        // two records turns away in front what it lets send behind.
        for refused in &made.refused {
            assert!(
                match refused {
                    RecordRefused::SpfTooDear { tree, .. } => tree.len() > 10,
                    RecordRefused::NotUnited { .. } => true,
                    _ => false,
                },
                "{refused:?}\n{before}"
            );
        }
        return;
    }
    assert_in_harmony(&made);
    let live = Live::ask(&made.needed, &live_before);
    assert!(live.failures().is_empty() && live.blocked().is_empty());
    // Those elsewhere have done what they were asked for.
    let elsewhere: Vec<Record> = plain(&made.elsewhere).into_iter().cloned().collect();
    let after = changed(&format!("{before}{}", zone::write(&elsewhere)), &live);

    let mut again = Live::ask(&made.needed, &after);
    assert!(
        again
            .iter()
            .all(|(_, standing)| *standing == Standing::Present)
    );
    let second = records(&site, &keys, Some(&after));
    assert_eq!(
        plain(&second.needed),
        plain(&made.needed),
        "a second run makes the same"
    );
    again = Live::ask(&second.needed, &after);
    assert!(again.changes().is_empty());

    let lookup = |name: &Name, kind| mailfix::dns::Resolver::lookup(&after, name, kind);
    for domain in &site.domains {
        for address in site.sending_addresses() {
            let identity = Identity::mail_from(address, "s0.example.org", &format!("a@{domain}"));
            assert_eq!(check_host(&identity, &lookup).status, Status::Pass);
        }
    }
    let subject = world.subject(&site, &keys[0].record);
    let report = dns_check::check(&after, &subject, &Provider::demanding());
    let found: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.severity != mailfix::finding::Severity::Note)
        .filter(|finding| !ADMINISTRATORS.contains(&finding.code))
        .map(|finding| format!("[{}] {}", finding.code, finding.in_words()))
        .collect();
    assert_eq!(report.outcome(), Outcome::Right, "{found:#?}");
    assert_eq!(found, [""; 0]);
}

proptest! {
    #![proptest_config(properties(100))]

    #[test]
    fn what_is_shown_is_found_clean(world in world()) {
        check(&world);
    }
}
