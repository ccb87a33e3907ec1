//! A record without lookups.
//!
//! Owns what stands in place of names: the networks they lead to today. The result is the same
//! for every address, and stays so only until somebody changes theirs.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::text::network_text;
use super::{Fault, Survey, Tree};
use crate::dns::Name;
use crate::finding::escape;
use crate::mail::spf::record::VERSION;
use crate::mail::spf::{Content, Mechanism, Modifier, Qualifier, Spf, SpfError};

/// Most networks of a flattened record: far more than any record may hold.
const MOST: usize = 2000;

/// Why a record cannot be flattened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFlat {
    /// A part of it is wrong, or could not be asked for.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What a term matches is no list of addresses.
    #[error("`{term}` of `{}` cannot be flattened: {why}", .domain.host())]
    Term {
        /// The domain whose record it stands in.
        domain: Name,
        /// The term, escaped.
        term: String,
        /// What keeps it.
        why: &'static str,
    },
    /// There are too many networks.
    #[error("it would hold more than {MOST} networks")]
    TooMany,
    /// The record would be wrong; this is a fault of ours.
    #[error("the flattened record is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<SpfError>),
}

/// What a record says, first match first.
struct Rules {
    networks: Vec<(IpNet, Qualifier)>,
    all: Option<Qualifier>,
}

impl Survey {
    /// Gives the record with addresses in place of names.
    ///
    /// The result for every address is the same, today. Explanations stay those of this record.
    ///
    /// # Errors
    /// When a term depends on the message or on PTR, and when a part is wrong or unknown.
    pub fn flatten(&self) -> Result<Spf, NotFlat> {
        let rules = rules(&self.tree)?;
        let mut terms = vec![VERSION.to_owned()];
        for (networks, qualifier) in runs(&rules) {
            terms.extend(networks.iter().map(|network| term(network, qualifier)));
        }
        terms.extend(rules.all.map(|qualifier| format!("{}all", sign(qualifier))));
        let modifiers = self.tree.branches.iter().filter(|branch| {
            matches!(&branch.content, Content::Modifier(modifier) if !matches!(modifier, Modifier::Redirect(_)))
        });
        terms.extend(modifiers.map(|branch| branch.term.clone()));
        Spf::parse(&terms.join(" ")).map_err(NotFlat::Wrong)
    }
}

fn rules(tree: &Tree) -> Result<Rules, NotFlat> {
    if let Some(fault) = &tree.fault {
        return Err(fault.clone().into());
    }
    let mut rules = Rules {
        networks: Vec::new(),
        all: None,
    };
    let mut redirect = None;
    for branch in tree.branches.iter().filter(|branch| branch.reached) {
        if let Some(fault) = &branch.fault {
            return Err(fault.clone().into());
        }
        let refuse = |why| NotFlat::Term {
            domain: tree.domain.clone(),
            term: escape(&branch.term),
            why,
        };
        let directive = match &branch.content {
            Content::Directive(directive) => directive,
            Content::Modifier(Modifier::Redirect(_)) => {
                if branch.by_message {
                    return Err(refuse("it depends on the message"));
                }
                redirect = branch.tree.as_deref();
                continue;
            }
            Content::Modifier(_) => continue,
        };
        match &directive.mechanism {
            Mechanism::Ptr(_) => return Err(refuse("it goes by the names of the sender")),
            _ if branch.by_message => return Err(refuse("it depends on the message")),
            Mechanism::Exists(_) => return Err(refuse("it matches every address or none")),
            Mechanism::All => rules.all = Some(directive.qualifier),
            Mechanism::Include(_) => {
                let tree = branch.tree.as_deref();
                let passing = tree.map(self::rules).transpose()?;
                let passing = passing.as_ref().map(Rules::passing).transpose()?;
                let named = passing.into_iter().flatten();
                rules
                    .networks
                    .extend(named.map(|network| (network, directive.qualifier)));
            }
            Mechanism::A { .. } | Mechanism::Mx { .. } | Mechanism::Ip4(_) | Mechanism::Ip6(_) => {
                let named = branch.networks.iter().map(IpNet::trunc);
                rules
                    .networks
                    .extend(named.map(|network| (network, directive.qualifier)));
            }
        }
        if rules.networks.len() > MOST {
            return Err(NotFlat::TooMany);
        }
    }
    if let Some(next) = redirect {
        let next = self::rules(next)?;
        rules.networks.extend(next.networks);
        rules.all = next.all;
    }
    Ok(rules)
}

impl Rules {
    /// The networks that pass: an `include` matches these and no others.
    fn passing(&self) -> Result<Vec<IpNet>, NotFlat> {
        let whole = [
            IpNet::from(Ipv4Net::default()),
            IpNet::from(Ipv6Net::default()),
        ];
        let all = self.all.map(|qualifier| whole.map(|net| (net, qualifier)));
        let mut passing = Vec::new();
        let mut seen: Vec<IpNet> = Vec::new();
        for (network, qualifier) in self
            .networks
            .iter()
            .copied()
            .chain(all.into_iter().flatten())
        {
            if qualifier == Qualifier::Pass {
                let mut left = vec![network];
                for other in &seen {
                    left = left
                        .into_iter()
                        .flat_map(|net| without(net, other))
                        .collect();
                }
                passing.extend(left);
            }
            if passing.len() > MOST {
                return Err(NotFlat::TooMany);
            }
            seen.push(network);
        }
        Ok(IpNet::aggregate(&passing))
    }
}

/// What is left of a network without another.
fn without(network: IpNet, other: &IpNet) -> Vec<IpNet> {
    if other.contains(&network) {
        return Vec::new();
    }
    if !network.contains(other) {
        return vec![network];
    }
    let halves = network.subnets(network.prefix_len() + 1);
    let halves = halves.into_iter().flatten();
    halves.flat_map(|half| without(half, other)).collect()
}

/// The networks in order, those of one qualifier together; what changes nothing is left out.
fn runs(rules: &Rules) -> Vec<(Vec<IpNet>, Qualifier)> {
    let mut runs: Vec<(Vec<IpNet>, Qualifier)> = Vec::new();
    for (network, qualifier) in &rules.networks {
        let decided = |(earlier, _): &(Vec<IpNet>, _)| {
            earlier.iter().any(|earlier| earlier.contains(network))
        };
        if runs.iter().any(decided) {
            continue;
        }
        match runs.last_mut() {
            Some((networks, last)) if last == qualifier => networks.push(*network),
            _ => runs.push((vec![*network], *qualifier)),
        }
    }
    // The end says it of all that is left.
    let end = rules.all.unwrap_or(Qualifier::Neutral);
    if runs.last().is_some_and(|(_, last)| *last == end) {
        runs.pop();
    }
    for (networks, _) in &mut runs {
        *networks = IpNet::aggregate(networks);
    }
    runs
}

fn term(network: &IpNet, qualifier: Qualifier) -> String {
    let mechanism = if network.addr().is_ipv4() {
        "ip4"
    } else {
        "ip6"
    };
    format!("{}{mechanism}:{}", sign(qualifier), network_text(network))
}

/// The sign in front; `+` goes without saying.
fn sign(qualifier: Qualifier) -> String {
    match qualifier {
        Qualifier::Pass => String::new(),
        other => other.sign().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, RecordType, Resolver};
    use crate::mail::spf::{Identity, as_if, check_host, survey};
    use proptest::prelude::*;
    use std::fmt::Write as _;
    use std::net::IpAddr;

    const ZONE: &str = "\
mail.example.org. 300 IN A    192.0.2.1
mail.example.org. 300 IN AAAA 2001:db8::1
example.org.      300 IN MX   10 mail.example.org.
inc.example.org.  300 IN TXT  \"v=spf1 -ip4:192.0.2.130 ip4:192.0.2.128/30 ~all\"
";

    fn flat(text: &str) -> Result<String, String> {
        let resolver = FixedResolver::from_zone(ZONE).unwrap();
        let domain = "example.org".parse().unwrap();
        let lookup = |name: &Name, kind| resolver.lookup(name, kind);
        let flat = survey(&domain, &as_if(&domain, text, &lookup)).flatten();
        flat.map(|spf| spf.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_become_networks() {
        let check = |text: &str, expected: &str| assert_eq!(flat(text).unwrap(), expected);
        check(
            "v=spf1 mx -all",
            "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all",
        );
        // What an included record refuses is not refused outside: it does not match.
        check(
            "v=spf1 include:inc.example.org ip4:192.0.2.130 ?all exp=why.example.org",
            "v=spf1 ip4:192.0.2.128/30 ?all exp=why.example.org",
        );
        check(
            "v=spf1 include:inc.example.org -all",
            "v=spf1 ip4:192.0.2.128/31 ip4:192.0.2.131 -all",
        );
        check(
            "v=spf1 -a:mail.example.org/24 mx redirect=inc.example.org",
            "v=spf1 -ip4:192.0.2.0/24 -ip6:2001:db8::1 ~all",
        );
        check("v=spf1 -mx -all", "v=spf1 -all");
        check("v=spf1 ?mx", "v=spf1");
    }

    #[test]
    fn what_is_no_list_of_addresses_is_refused_by_name() {
        let check = |text: &str, expected: &str| assert_eq!(flat(text).unwrap_err(), expected);
        check(
            "v=spf1 exists:%{i}.example.org -all",
            "`exists:%{i}.example.org` of `example.org` cannot be flattened: it depends on the \
             message",
        );
        check(
            "v=spf1 ptr -all",
            "`ptr` of `example.org` cannot be flattened: it goes by the names of the sender",
        );
        check(
            "v=spf1 include:nobody.example.org -all",
            "`nobody.example.org` has no SPF record, and `include:nobody.example.org` needs one",
        );
    }

    fn term() -> impl Strategy<Value = String> {
        let sign = prop::sample::select(vec!["", "", "-", "~", "?"]);
        let mechanism = prop_oneof![
            (0..16u8, 26..=32u8).prop_map(|(end, bits)| format!("ip4:192.0.2.{end}/{bits}")),
            (0..16u8, 122..=128u8).prop_map(|(end, bits)| format!("ip6:2001:db8::{end:x}/{bits}")),
            (0..4u8, 28..=32u8).prop_map(|(at, bits)| format!("a:d{at}.example/{bits}//127")),
            (0..4u8).prop_map(|at| format!("mx:d{at}.example")),
            Just("mx//126".to_owned()),
        ];
        (sign, mechanism).prop_map(|(sign, mechanism)| format!("{sign}{mechanism}"))
    }

    /// Records that lead only to later ones, so that none leads back.
    fn records() -> impl Strategy<Value = Vec<String>> {
        let record = |at: usize| {
            let include = (prop::sample::select(vec!["", "-", "?"]), at + 1..5)
                .prop_map(|(sign, to)| format!("{sign}include:d{to}.example"));
            let any = prop_oneof![3 => term(), u32::from(at < 4) => include];
            let end = prop::sample::select(vec!["-all", "~all", "all", "", "redirect"]);
            (prop::collection::vec(any, 0..4), end).prop_map(move |(terms, end)| {
                let end = match (end, at) {
                    ("redirect", 0..4) => format!("redirect=d{}.example", at + 1),
                    ("redirect", _) => String::new(),
                    (end, _) => end.to_owned(),
                };
                format!("v=spf1 {} {end}", terms.join(" "))
            })
        };
        (record(0), record(1), record(2), record(3), record(4))
            .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
    }

    proptest! {
        #[test]
        fn the_result_is_the_same_for_every_address(
            records in records(),
            hosts in prop::collection::vec((0..4u8, 0..16u8), 0..6),
            exchangers in prop::collection::vec((0..4u8, 0..4u8), 0..4),
        ) {
            let mut zone = String::new();
            for (at, record) in records.iter().enumerate() {
                let _ = writeln!(zone, "d{at}.example. 60 IN TXT \"{record}\"");
            }
            for (at, end) in hosts {
                let _ = writeln!(zone, "d{at}.example. 60 IN A 192.0.2.{end}");
                let _ = writeln!(zone, "d{at}.example. 60 IN AAAA 2001:db8::{end:x}");
            }
            for (at, to) in exchangers {
                let _ = writeln!(zone, "d{at}.example. 60 IN MX 10 d{to}.example.");
            }
            let resolver = FixedResolver::from_zone(&zone).unwrap();
            let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
            let domain = "d0.example".parse().unwrap();
            let flat = survey(&domain, &lookup).flatten().unwrap().to_string();
            let known = as_if(&domain, &flat, &lookup);
            for end in 0..40u16 {
                for address in [
                    IpAddr::from([192, 0, 2, end.to_le_bytes()[0]]),
                    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, end]),
                ] {
                    let identity = Identity::mail_from(address, "x", "bob@d0.example");
                    let written = check_host(&identity, &lookup);
                    // Limits are what flattening gets rid of.
                    if written.why.is_some() {
                        continue;
                    }
                    let flattened = check_host(&identity, &known);
                    prop_assert_eq!(flattened.status, written.status, "{} {}\n{}", address, flat, zone);
                    prop_assert_eq!(flattened.lookups, 0);
                }
            }
        }
    }
}
