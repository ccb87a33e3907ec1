//! Adding senders to an SPF record.
//!
//! Owns the one record a domain may have: what stands there stays, in its
//! order; only what is missing is added, and nothing ever opens the record to
//! the world.
//! Follows RFC 7208, 3.2 and 4.6.

use std::net::IpAddr;

use ipnet::IpNet;

use super::record::VERSION;
use super::{Content, Mechanism, Qualifier, Spf, SpfError};
use crate::dns::Name;

/// Who is to be allowed to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Single addresses.
    pub addresses: Vec<IpAddr>,
    /// Whole networks.
    pub networks: Vec<IpNet>,
    /// Names all of whose addresses may send.
    pub hosts: Vec<Name>,
    /// Domains whose records name further senders.
    pub includes: Vec<Name>,
    /// How a record ends that says nothing of other hosts yet.
    pub all: Closing,
}

/// How a record ends; there is no way to say that everybody may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Closing {
    /// `-all`: nobody else may.
    Fail,
    /// `~all`: probably nobody else may.
    #[default]
    SoftFail,
    /// `?all`: nothing is said of others.
    Neutral,
}

impl Closing {
    /// Gives the term.
    #[must_use]
    pub fn term(self) -> &'static str {
        match self {
            Self::Fail => "-all",
            Self::SoftFail => "~all",
            Self::Neutral => "?all",
        }
    }
}

/// Makes the one record that lets the wanted senders send.
///
/// Terms that stand there keep their text and order, `+all` excepted, which becomes the wanted
/// end. Addresses, networks and hosts go before the first term that costs a lookup (or that would
/// turn them away), includes behind the last term before `all`, or where one is turned away.
///
/// # Errors
/// When a name cannot stand in a record, having no dot or no proper top label.
pub fn merge(existing: Option<&Spf>, wanted: &Wanted) -> Result<Spf, Vec<SpfError>> {
    let mut terms: Vec<String> = Vec::new();
    let (mut cheap_at, mut include_at, mut end_at) = (None, None, None);
    for term in existing.map(Spf::terms).unwrap_or_default() {
        let mut text = term.text.clone();
        if let Content::Directive(directive) = &term.content {
            if directive.mechanism == Mechanism::All {
                include_at.get_or_insert(terms.len());
                end_at.get_or_insert(terms.len());
                if directive.qualifier == Qualifier::Pass {
                    wanted.all.term().clone_into(&mut text);
                }
            }
            let dear = !matches!(directive.mechanism, Mechanism::Ip4(_) | Mechanism::Ip6(_));
            if dear || directive.qualifier != Qualifier::Pass {
                cheap_at.get_or_insert(terms.len());
            }
            if directive.qualifier != Qualifier::Pass
                && let Mechanism::Include(spec) = &directive.mechanism
                && spec
                    .name()
                    .is_some_and(|name| wanted.includes.contains(&name))
            {
                include_at.get_or_insert(terms.len());
            }
        } else {
            // Modifiers apply wherever they stand; they are left at the end.
            let only_modifiers_follow = existing.is_some_and(|spf| {
                spf.directives()
                    .all(|(other, _)| other.span.end <= term.span.start)
            });
            if only_modifiers_follow {
                cheap_at.get_or_insert(terms.len());
                include_at.get_or_insert(terms.len());
                end_at.get_or_insert(terms.len());
            }
        }
        terms.push(text);
    }
    let cheap_at = cheap_at.unwrap_or(terms.len());
    let include_at = include_at.unwrap_or(terms.len());
    let end_at = end_at.unwrap_or(terms.len());
    let includes = missing_includes(existing, wanted);
    let networks = missing_networks(existing, wanted);
    let hosts = missing_hosts(existing, wanted);
    let ends = existing.is_some_and(|spf| spf.all().is_some() || spf.redirect().is_some());
    let end = (!ends).then(|| wanted.all.term().to_owned());
    // From the back, so that the first place stays right.
    terms.splice(end_at..end_at, end);
    terms.splice(include_at..include_at, includes);
    terms.splice(cheap_at..cheap_at, networks.into_iter().chain(hosts));
    terms.insert(0, VERSION.to_owned());
    Spf::parse(&terms.join(" "))
}

/// The terms for addresses and networks that no term names yet.
fn missing_networks(existing: Option<&Spf>, wanted: &Wanted) -> Vec<String> {
    let mut missing: Vec<IpNet> = Vec::new();
    let singles = wanted.addresses.iter().map(IpAddr::to_canonical);
    let wholes = wanted.networks.iter().map(IpNet::trunc);
    // Networks first, so that an address inside one is not named beside it.
    for network in wholes.chain(singles.map(IpNet::from)) {
        let stands = existing.is_some_and(|spf| allows(spf, &network));
        if !stands && !missing.iter().any(|other| other.contains(&network)) {
            missing.push(network);
        }
    }
    let whole = |network: &IpNet| network.prefix_len() < network.max_prefix_len();
    missing.sort_by_key(|network| (network.addr().is_ipv6(), whole(network)));
    missing.iter().map(network_term).collect()
}

/// Tells whether a record lets a whole network send, by what is written in it.
fn allows(spf: &Spf, network: &IpNet) -> bool {
    for (_, directive) in spf.directives() {
        if directive.mechanism == Mechanism::All {
            return false;
        }
        let Some(written) = directive.mechanism.network() else {
            continue;
        };
        let pass = directive.qualifier == Qualifier::Pass;
        if written.contains(network) {
            return pass;
        }
        if !pass && network.contains(&written) {
            return false;
        }
    }
    false
}

fn network_term(network: &IpNet) -> String {
    let mechanism = if network.addr().is_ipv4() {
        "ip4"
    } else {
        "ip6"
    };
    if network.prefix_len() == network.max_prefix_len() {
        format!("{mechanism}:{}", network.addr())
    } else {
        format!("{mechanism}:{network}")
    }
}

/// The terms for hosts that no `a` names in the plain form.
fn missing_hosts(existing: Option<&Spf>, wanted: &Wanted) -> Vec<String> {
    let names = |spf: &Spf, host: &Name| {
        let mut reached = spf
            .directives()
            .take_while(|(_, directive)| directive.mechanism != Mechanism::All);
        reached.any(|(_, directive)| {
            directive.qualifier == Qualifier::Pass
                && matches!(
                    &directive.mechanism,
                    Mechanism::A { domain: Some(spec), ipv4_bits: 32, ipv6_bits: 128 }
                        if spec.name().as_ref() == Some(host)
                )
        })
    };
    let mut missing: Vec<&Name> = Vec::new();
    for host in &wanted.hosts {
        if !existing.is_some_and(|spf| names(spf, host)) && !missing.contains(&host) {
            missing.push(host);
        }
    }
    missing
        .iter()
        .map(|host| format!("a:{}", host.host()))
        .collect()
}

/// The terms for includes that do not stand in the record in front of `all`, letting send.
fn missing_includes(existing: Option<&Spf>, wanted: &Wanted) -> Vec<String> {
    let stands = |name: &Name| {
        existing.is_some_and(|spf| {
            let mut reached = spf
                .directives()
                .take_while(|(_, directive)| directive.mechanism != Mechanism::All);
            reached.any(|(_, directive)| {
                directive.qualifier == Qualifier::Pass
                    && matches!(&directive.mechanism, Mechanism::Include(spec) if spec.name().as_ref() == Some(name))
            })
        })
    };
    let mut missing: Vec<&Name> = Vec::new();
    for name in &wanted.includes {
        if !stands(name) && !missing.contains(&name) {
            missing.push(name);
        }
    }
    missing
        .iter()
        .map(|name| format!("include:{}", name.host()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(addresses: &[&str], includes: &[&str]) -> Wanted {
        Wanted {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            networks: Vec::new(),
            hosts: Vec::new(),
            includes: includes.iter().map(|text| text.parse().unwrap()).collect(),
            all: Closing::SoftFail,
        }
    }

    fn check(existing: &str, wanted: &Wanted, expected: &str) {
        let spf = (!existing.is_empty()).then(|| Spf::parse(existing).unwrap());
        let merged = merge(spf.as_ref(), wanted).unwrap();
        assert_eq!(merged.to_string(), expected);
        assert_eq!(
            merge(Some(&merged), wanted).unwrap(),
            merged,
            "a second run changes nothing"
        );
    }

    #[test]
    fn fresh_records() {
        check(
            "",
            &wanted(
                &["2001:db8::1", "192.0.2.1", "192.0.2.1"],
                &["_spf.google.com"],
            ),
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:_spf.google.com ~all",
        );
        let mut strict = wanted(&["192.0.2.1", "198.51.100.7"], &[]);
        strict.networks = vec!["192.0.2.9/24".parse().unwrap()];
        strict.all = Closing::Fail;
        check("", &strict, "v=spf1 ip4:198.51.100.7 ip4:192.0.2.0/24 -all");
        check("", &wanted(&[], &[]), "v=spf1 ~all");
        check(
            "",
            &wanted(&["::ffff:192.0.2.1"], &[]),
            "v=spf1 ip4:192.0.2.1 ~all",
        );
    }

    #[test]
    fn only_an_include_that_lets_send_is_one() {
        let include = wanted(&[], &["spf.example.net"]);
        check(
            "v=spf1 mx -all include:spf.example.net",
            &include,
            "v=spf1 mx include:spf.example.net -all include:spf.example.net",
        );
        check(
            "v=spf1 mx ?include:spf.example.net a",
            &include,
            "v=spf1 mx include:spf.example.net ?include:spf.example.net a ~all",
        );
    }

    #[test]
    fn what_stands_there_stays() {
        let both = wanted(&["192.0.2.1", "2001:db8::1"], &["spf.example.net"]);
        check(
            "v=spf1 IP4:192.0.2.0/24 include:_spf.google.com ?mx -all",
            &both,
            "v=spf1 IP4:192.0.2.0/24 ip6:2001:db8::1 include:_spf.google.com ?mx \
             include:spf.example.net -all",
        );
        check(
            "v=spf1 a mx ~all",
            &both,
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 a mx include:spf.example.net ~all",
        );
        check(
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 INCLUDE:SPF.example.net. ?all",
            &both,
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 INCLUDE:SPF.example.net. ?all",
        );
    }

    #[test]
    fn hosts_are_named_once() {
        let mut shared = wanted(&[], &["_spf.google.com"]);
        shared.hosts = vec!["mail.example.org".parse().unwrap()];
        check(
            "",
            &shared,
            "v=spf1 a:mail.example.org include:_spf.google.com ~all",
        );
        check(
            "v=spf1 include:_spf.google.com A:Mail.example.org ~all",
            &shared,
            "v=spf1 include:_spf.google.com A:Mail.example.org ~all",
        );
        check(
            "v=spf1 ip4:192.0.2.1 ~a:mail.example.org mx ~all",
            &shared,
            "v=spf1 ip4:192.0.2.1 a:mail.example.org ~a:mail.example.org mx \
             include:_spf.google.com ~all",
        );
    }

    #[test]
    fn records_end_as_they_did() {
        let one = wanted(&["192.0.2.1"], &["spf.example.net"]);
        check(
            "v=spf1 mx redirect=_spf.example.org",
            &one,
            "v=spf1 ip4:192.0.2.1 mx include:spf.example.net redirect=_spf.example.org",
        );
        check(
            "v=spf1 redirect=_spf.example.org",
            &one,
            "v=spf1 ip4:192.0.2.1 include:spf.example.net redirect=_spf.example.org",
        );
        check(
            "v=spf1 mx",
            &one,
            "v=spf1 ip4:192.0.2.1 mx include:spf.example.net ~all",
        );
        check(
            "v=spf1 mx exp=why.example.org",
            &one,
            "v=spf1 ip4:192.0.2.1 mx include:spf.example.net ~all exp=why.example.org",
        );
        check(
            "v=spf1 exp=why.example.org mx -all",
            &one,
            "v=spf1 exp=why.example.org ip4:192.0.2.1 mx include:spf.example.net -all",
        );
        // What stands behind `all` is never looked at: it does not count as there.
        check(
            "v=spf1 -all ip4:192.0.2.1",
            &wanted(&["192.0.2.1"], &[]),
            "v=spf1 ip4:192.0.2.1 -all ip4:192.0.2.1",
        );
    }

    #[test]
    fn nothing_opens_the_record_to_the_world() {
        check(
            "v=spf1 mx +all",
            &wanted(&["192.0.2.1"], &[]),
            "v=spf1 ip4:192.0.2.1 mx ~all",
        );
        check("v=spf1 all", &wanted(&[], &[]), "v=spf1 ~all");
    }

    #[test]
    fn addresses_go_before_terms_that_turn_them_away() {
        check(
            "v=spf1 -ip4:192.0.2.0/24 ip4:192.0.2.1 -all",
            &wanted(&["192.0.2.1"], &[]),
            "v=spf1 ip4:192.0.2.1 -ip4:192.0.2.0/24 ip4:192.0.2.1 -all",
        );
    }

    #[test]
    fn names_that_no_record_can_hold_are_refused() {
        let errors = merge(None, &wanted(&[], &["localhost"])).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "`localhost` is no domain name with at least one dot"
        );
    }

    proptest! {
        #[test]
        fn what_is_generated_passes_and_has_nothing_wrong(
            v4 in prop::collection::vec(any::<[u8; 4]>(), 0..4),
            v6 in prop::collection::vec(any::<[u8; 16]>(), 0..4),
            whole in prop::option::of((any::<[u8; 4]>(), 8u8..=32)),
            shared in prop::option::of((1u8..9, 1u8..9)),
            existing in prop::sample::select(vec!["", "v=spf1 mx ~all", "v=spf1 -ip4:10.0.0.0/8 include:s.example -all", "v=spf1 redirect=s.example", "v=spf1 +all"]),
        ) {
            use crate::dns::{FixedResolver, Resolver};
            use crate::mail::spf::{Identity, Status, as_if, check_host, survey};
            let mut zone = "s.example. 60 IN TXT \"v=spf1 ip4:203.0.113.0/24 ~all\"\n\
                            d.example. 60 IN MX 10 mx.d.example.\n\
                            mx.d.example. 60 IN A 192.0.2.1\nmx.d.example. 60 IN AAAA 2001:db8::1\n"
                .to_owned();
            let mut senders: Vec<IpAddr> = v4.into_iter().map(IpAddr::from).collect();
            senders.extend(v6.into_iter().map(IpAddr::from));
            let mut wanted = wanted(&[], &["s.example"]);
            wanted.addresses.clone_from(&senders);
            wanted.networks = whole
                .map(|(octets, bits)| IpNet::new(octets.into(), bits).unwrap())
                .into_iter()
                .collect();
            senders.extend(wanted.networks.iter().map(IpNet::addr));
            if let Some((v4, v6)) = shared {
                zone = format!(
                    "{zone}mail.d.example. 60 IN A 198.51.100.{v4}\nmail.d.example. 60 IN AAAA 2001:db8::{v6}\n"
                );
                wanted.hosts = vec!["mail.d.example".parse().unwrap()];
                senders.push([198, 51, 100, v4].into());
                senders.push([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(v6)].into());
            }
            let standing = (!existing.is_empty()).then(|| Spf::parse(existing).unwrap());
            let text = merge(standing.as_ref(), &wanted).unwrap().to_string();
            let resolver = FixedResolver::from_zone(&zone).unwrap();
            let domain: Name = "d.example".parse().unwrap();
            let lookup = |name: &Name, kind| resolver.lookup(name, kind);
            let known = as_if(&domain, &text, &lookup);
            let findings = survey(&domain, &known).findings();
            prop_assert!(findings.is_empty(), "{} {:?}", text, findings);
            for address in senders {
                let identity = Identity::mail_from(address, "mail.d.example", "bob@d.example");
                let judgement = check_host(&identity, &known);
                prop_assert_eq!(judgement.status, Status::Pass, "{} {}", address, text);
            }
        }

        #[test]
        fn merged_records_cover_what_was_wanted(
            terms in prop::collection::vec(
                "[?~-]?(a|mx|ip4:192\\.0\\.2\\.[0-9]|ip6:2001:db8::[0-9]|include:[ab]\\.example|all|exp=x\\.example|ip4:192\\.0\\.2\\.0/2[4-9])",
                0..6,
            ),
            v4 in prop::collection::vec(0u8..20, 0..3),
            v6 in prop::collection::vec(0u8..20, 0..3),
            fresh in any::<bool>(),
        ) {
            let existing = Spf::parse(&format!("v=spf1 {}", terms.join(" "))).ok().filter(|_| !fresh);
            let mut addresses: Vec<IpAddr> = v4.iter().map(|&end| [192, 0, 2, end].into()).collect();
            addresses.extend(v6.iter().map(|&end| {
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(end)])
            }));
            let wanted = Wanted {
                addresses,
                networks: vec![],
                hosts: vec![],
                includes: vec!["a.example".parse().unwrap()],
                all: Closing::Fail,
            };
            let merged = merge(existing.as_ref(), &wanted).unwrap();
            for &address in &wanted.addresses {
                prop_assert!(merged.covers_literal(address), "{} {}", merged, address);
            }
            prop_assert_ne!(merged.all(), Some(Qualifier::Pass));
            prop_assert_eq!(Spf::parse(&merged.to_string()).unwrap(), merged.clone());
            prop_assert_eq!(merge(Some(&merged), &wanted).unwrap(), merged.clone());
            if let Some(existing) = existing {
                let mut kept = merged.terms().iter();
                for term in existing.terms() {
                    let stays = kept.any(|other| other.text == term.text || term.text == "all");
                    prop_assert!(stays, "{} lost {}", merged, term);
                }
            }
        }
    }
}
