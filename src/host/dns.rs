//! What DNS says of the addresses mail leaves from.
//!
//! Owns four questions: the PTR of an address, whether the name it gives has that
//! address, whether the SPF record of a sending domain covers it, and whether the key that mail
//! is signed with is published. A failed lookup is
//! never "not there": it is kept as what it is.
//! Must not know what follows from the answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::dns::{Answer, Name, RecordData, RecordType, Resolver, Reverse, side_by_side};
use crate::mail::dkim::KeyRecord;
use crate::mail::spf::{self, Identity, Spf};

/// How many lookups of keys are made side by side.
const THREADS: usize = 16;

/// What was asked and answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsFacts {
    /// By address.
    pub addresses: BTreeMap<IpAddr, AddressFacts>,
    /// By sending domain.
    pub domains: BTreeMap<String, DomainFacts>,
    /// Whether a key is published, by selector and domain.
    pub keys: BTreeMap<(String, String), Published>,
}

/// What DNS says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is there.
    Yes,
    /// There is none.
    Missing,
    /// There is another one, several, or something else.
    Other,
    /// Nobody could say.
    Unknown(String),
}

/// What DNS says of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFacts {
    /// Whether reverse and forward agree.
    pub confirmation: Confirmation,
}

/// Whether an address has a PTR whose name has that address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It has; this is the name.
    Confirmed(String),
    /// There is no PTR.
    NoPtr,
    /// There is one, and its name has other addresses or none.
    Unconfirmed(String),
    /// Nobody could say.
    Unknown(String),
}

/// What DNS says of one sending domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainFacts {
    /// Its SPF record as published, if there is just one.
    pub spf: Option<String>,
    /// Why there is none to go by.
    pub problem: Option<String>,
    /// Which addresses the record covers; what could not be found out says why.
    pub covers: BTreeMap<IpAddr, Result<bool, String>>,
}

/// Asks about every address and domain at once.
///
/// The resolver carries the deadline: what is not answered by then is [`Confirmation::Unknown`].
#[must_use]
pub fn observe_dns(resolver: &dyn Resolver, addresses: &[IpAddr], domains: &[String]) -> DnsFacts {
    std::thread::scope(|scope| {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|&address| (address, scope.spawn(move || confirm(resolver, address))))
            .collect();
        let ips: Vec<IpAddr> = addresses.iter().map(|(address, _)| *address).collect();
        let domains: Vec<_> = domains
            .iter()
            .map(|domain| {
                let ips = ips.clone();
                (
                    domain.clone(),
                    scope.spawn(move || look_up_spf(resolver, domain, &ips)),
                )
            })
            .collect();
        let died = || "the lookup died".to_owned();
        DnsFacts {
            keys: BTreeMap::new(),
            addresses: addresses
                .into_iter()
                .map(|(address, thread)| {
                    let confirmation = thread
                        .join()
                        .unwrap_or_else(|_| Confirmation::Unknown(died()));
                    (address, AddressFacts { confirmation })
                })
                .collect(),
            domains: domains
                .into_iter()
                .map(|(domain, thread)| {
                    let lost = |_| DomainFacts {
                        problem: Some(died()),
                        ..DomainFacts::default()
                    };
                    (domain, thread.join().unwrap_or_else(lost))
                })
                .collect(),
        }
    })
}

/// Asks whether keys are published under their selectors for every domain.
#[must_use]
pub fn observe_keys(
    resolver: &dyn Resolver,
    keys: &[(String, KeyRecord)],
    domains: &[String],
) -> BTreeMap<(String, String), Published> {
    let asked: Vec<_> = keys
        .iter()
        .flat_map(|key| domains.iter().map(move |domain| (key, domain)))
        .collect();
    let published = side_by_side(&asked, THREADS, |((selector, key), domain)| {
        look_up_key(resolver, selector, key, domain)
    });
    let names = asked
        .iter()
        .map(|((selector, _), domain)| (selector.clone(), (*domain).clone()));
    names.zip(published).collect()
}

fn look_up_key(
    resolver: &dyn Resolver,
    selector: &str,
    key: &KeyRecord,
    domain: &str,
) -> Published {
    let owner = domain
        .parse::<Name>()
        .and_then(|domain| KeyRecord::owner(selector, &domain));
    let owner = match owner {
        Ok(owner) => owner,
        Err(error) => return Published::Unknown(error.to_string()),
    };
    let records = match resolver.lookup(&owner, RecordType::Txt) {
        Ok(Answer::Records(records)) => records,
        Ok(Answer::NoData | Answer::NoSuchName) => return Published::Missing,
        Err(error) => return Published::Unknown(error.to_string()),
    };
    let texts: Vec<String> = records
        .into_iter()
        .filter_map(|record| match record.data {
            RecordData::Txt(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        })
        .collect();
    match texts.as_slice() {
        [] => Published::Missing,
        // RFC 6376, 3.6.2.2: of several any may be taken.
        [text] if KeyRecord::parse(text).is_ok_and(|found| found.key == key.key) => Published::Yes,
        _ => Published::Other,
    }
}

fn confirm(resolver: &dyn Resolver, address: IpAddr) -> Confirmation {
    let reverse = match Reverse::look_up(resolver, address) {
        Ok(reverse) => reverse,
        Err(error) => return Confirmation::Unknown(error.to_string()),
    };
    if let Some(name) = reverse.confirmed(address) {
        return Confirmation::Confirmed(name.host());
    }
    match (reverse.names.first(), reverse.failure()) {
        (None, _) => Confirmation::NoPtr,
        (Some(_), Some(error)) => Confirmation::Unknown(error.to_string()),
        (Some(first), None) => Confirmation::Unconfirmed(first.host()),
    }
}

fn look_up_spf(resolver: &dyn Resolver, domain: &str, addresses: &[IpAddr]) -> DomainFacts {
    let failed = |problem: String| DomainFacts {
        problem: Some(problem),
        ..DomainFacts::default()
    };
    let name = match domain.parse::<Name>() {
        Ok(name) => name,
        Err(error) => return failed(error.to_string()),
    };
    let texts: Vec<String> = match resolver.lookup(&name, RecordType::Txt) {
        Ok(Answer::Records(records)) => records
            .into_iter()
            .filter_map(|record| match record.data {
                RecordData::Txt(text) if spf::is_spf(&text) => {
                    Some(String::from_utf8_lossy(&text).into_owned())
                }
                _ => None,
            })
            .collect(),
        Ok(Answer::NoData) => Vec::new(),
        Ok(Answer::NoSuchName) => return failed("the domain does not exist in DNS".to_owned()),
        Err(error) => return failed(error.to_string()),
    };
    // RFC 7208, 4.5: more than one record is permerror.
    let text = match <[String; 1]>::try_from(texts) {
        Ok([text]) => text,
        Err(texts) if texts.is_empty() => return failed("it has no SPF record".to_owned()),
        Err(texts) => {
            return failed(format!(
                "it has {} SPF records, and only one may be",
                texts.len()
            ));
        }
    };
    if let Err(errors) = Spf::parse(&text) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let problem = format!("its SPF record is wrong: {}", errors.join("; "));
        return DomainFacts {
            spf: Some(text),
            problem: Some(problem),
            covers: BTreeMap::new(),
        };
    }
    let covers = addresses
        .iter()
        .map(|&address| {
            let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
            let known = spf::as_if(&name, &text, &lookup);
            (address, covers(domain, address, &known))
        })
        .collect();
    DomainFacts {
        spf: Some(text),
        problem: None,
        covers,
    }
}

/// Whether a domain names an address as a sender, whatever the message; or why that is not known.
fn covers(domain: &str, address: IpAddr, lookup: &spf::Lookup<'_>) -> Result<bool, String> {
    let identity = Identity::mail_from(address, domain, &format!("postmaster@{domain}"));
    let judgement = spf::check_host(&identity, lookup);
    match (&judgement.why, &judgement.message_term) {
        (Some(why), _) => Err(why.to_string()),
        (None, Some(term)) => Err(term.to_string()),
        (None, None) => Ok(judgement.covers()),
    }
}

impl DnsFacts {
    /// What DNS says of the key under a selector of a domain; `None` where nobody asked.
    #[must_use]
    pub fn key(&self, selector: &str, domain: &str) -> Option<&Published> {
        self.keys.get(&(selector.to_owned(), domain.to_owned()))
    }

    /// Why an address cannot be trusted to pass at a receiver that wants PTR and authentication;
    /// empty when all is right.
    #[must_use]
    pub fn objections(&self, address: IpAddr, ptr: bool, authentication: bool) -> Vec<String> {
        let mut objections = Vec::new();
        if ptr {
            objections.extend(self.fault_of_ptr(address));
            match self.confirmation(address) {
                Some(Confirmation::Unknown(why)) => objections.push(format!(
                    "the PTR of {address} could not be confirmed: {why}"
                )),
                None => objections.push(format!(
                    "the PTR of {address} could not be confirmed: nothing was asked"
                )),
                Some(_) => {}
            }
        }
        if authentication {
            for (domain, facts) in &self.domains {
                objections.extend(facts.fault(domain, address));
                let unknown = match (&facts.problem, facts.covers.get(&address)) {
                    (None, Some(Ok(_))) => None,
                    (Some(problem), _) => Some(problem.as_str()),
                    (None, Some(Err(why))) => Some(why.as_str()),
                    (None, None) => Some("nothing was asked"),
                };
                objections.extend(unknown.map(|why| {
                    format!("SPF of `{domain}` could not be confirmed for {address}: {why}")
                }));
            }
        }
        objections
    }

    /// The objections that DNS itself has answered with, without what nobody could say.
    #[must_use]
    pub fn faults(&self, address: IpAddr, ptr: bool, authentication: bool) -> Vec<String> {
        let of_ptr = self.fault_of_ptr(address).filter(|_| ptr);
        let domains = self.domains.iter().filter(|_| authentication);
        let of_spf = domains.filter_map(|(domain, facts)| facts.fault(domain, address));
        of_ptr.into_iter().chain(of_spf).collect()
    }

    fn confirmation(&self, address: IpAddr) -> Option<&Confirmation> {
        let facts = self.addresses.get(&address)?;
        Some(&facts.confirmation)
    }

    fn fault_of_ptr(&self, address: IpAddr) -> Option<String> {
        match self.confirmation(address)? {
            Confirmation::NoPtr => Some(format!("{address} has no PTR record")),
            Confirmation::Unconfirmed(name) => Some(format!(
                "{address} has the PTR `{name}`, but `{name}` does not have that address"
            )),
            Confirmation::Confirmed(_) | Confirmation::Unknown(_) => None,
        }
    }
}

impl DomainFacts {
    /// What is wrong with the record of this domain for an address.
    fn fault(&self, domain: &str, address: IpAddr) -> Option<String> {
        let fails = self.problem.is_none() && self.covers.get(&address) == Some(&Ok(false));
        fails.then(|| format!("SPF of `{domain}` does not cover {address}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;

    const ZONE: &str = "\
1.2.0.192.in-addr.arpa. 60 IN PTR mail.example.org.
2.2.0.192.in-addr.arpa. 60 IN PTR mail.example.org.
3.2.0.192.in-addr.arpa. 60 IN PTR nobody.example.org.
3.2.0.192.in-addr.arpa. 60 IN PTR three.example.org.
4.2.0.192.in-addr.arpa. 60 IN PTR broken.example.org.
5.2.0.192.in-addr.arpa. 60 IN PTR broken.example.org.
5.2.0.192.in-addr.arpa. 60 IN PTR three.example.org.
$SERVFAIL 6.2.0.192.in-addr.arpa.
$SERVFAIL broken.example.org.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
mail.example.org. 60 IN A 192.0.2.1
mail.example.org. 60 IN A 192.0.2.9
three.example.org. 60 IN A 192.0.2.3
three.example.org. 60 IN A 192.0.2.5
example.org. 60 IN TXT \"v=spf1 a:mail.example.org -all\"
example.org. 60 IN TXT \"v=spf10 is no SPF\"
twice.example. 60 IN TXT \"v=spf1 -all\"
twice.example. 60 IN TXT \"v=spf1 mx -all\"
wrong.example. 60 IN TXT \"v=spf1 ip:192.0.2.1 -all\"
lame.example. 60 IN TXT \"v=spf1 include:broken.example.org -all\"
bare.example. 60 IN A 192.0.2.1
$SERVFAIL silent.example.
";

    /// What speaks against an address, of its PTR and of the SPF record of a domain.
    #[track_caller]
    fn check(address: &str, domain: &str, expected: &[&str]) {
        let domains: &[&str] = if domain.is_empty() { &[] } else { &[domain] };
        let facts = example::dns(ZONE, &[address], domains);
        let objections = facts.objections(address.parse().unwrap(), domain.is_empty(), true);
        assert_eq!(objections, expected);
    }

    #[test]
    fn a_ptr_is_confirmed_by_any_of_its_names() {
        check("192.0.2.1", "", &[]);
        check("192.0.2.3", "", &[]);
        check("192.0.2.5", "", &[]);
    }

    #[test]
    fn what_is_wrong_with_a_ptr_is_told_apart() {
        check("192.0.2.9", "", &["192.0.2.9 has no PTR record"]);
        check(
            "192.0.2.2",
            "",
            &[
                "192.0.2.2 has the PTR `mail.example.org`, but `mail.example.org` does not have that address",
            ],
        );
        // An A record confirms no IPv6 address.
        check(
            "2001:db8::1",
            "",
            &[
                "2001:db8::1 has the PTR `mail.example.org`, but `mail.example.org` does not have that address",
            ],
        );
        for (address, name, kind) in [
            ("192.0.2.4", "broken.example.org", "A"),
            ("192.0.2.6", "6.2.0.192.in-addr.arpa", "PTR"),
        ] {
            let why = format!(
                "the PTR of {address} could not be confirmed: the zone text failed (SERVFAIL) on {kind} of `{name}`"
            );
            check(address, "", &[&why]);
        }
    }

    #[test]
    fn what_was_not_asked_is_not_confirmed() {
        let facts = example::dns(ZONE, &[], &["example.org"]);
        assert_eq!(
            facts.objections("192.0.2.1".parse().unwrap(), true, true),
            [
                "the PTR of 192.0.2.1 could not be confirmed: nothing was asked",
                "SPF of `example.org` could not be confirmed for 192.0.2.1: nothing was asked"
            ]
        );
        assert!(
            facts
                .objections("192.0.2.1".parse().unwrap(), false, false)
                .is_empty()
        );
    }

    #[test]
    fn faults_are_what_dns_has_answered() {
        let check = |address: &str, domain: &str, expected: &[&str]| {
            let facts = example::dns(ZONE, &[address], &[domain]);
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(facts.faults(address, true, true), expected);
            assert_eq!(facts.faults(address, false, false), [""; 0]);
        };
        check("192.0.2.1", "example.org", &[]);
        check(
            "192.0.2.7",
            "example.org",
            &[
                "192.0.2.7 has no PTR record",
                "SPF of `example.org` does not cover 192.0.2.7",
            ],
        );
        check("192.0.2.6", "silent.example", &[]);
        check("192.0.2.4", "lame.example", &[]);
    }

    #[test]
    fn spf_must_cover_the_address() {
        check("192.0.2.1", "example.org", &[]);
        check(
            "192.0.2.2",
            "example.org",
            &["SPF of `example.org` does not cover 192.0.2.2"],
        );
    }

    #[test]
    fn spf_that_cannot_be_gone_by_is_told_apart() {
        for (domain, problem) in [
            ("bare.example", "it has no SPF record"),
            ("absent.example", "the domain does not exist in DNS"),
            ("twice.example", "it has 2 SPF records, and only one may be"),
            (
                "silent.example",
                "the zone text failed (SERVFAIL) on TXT of `silent.example`",
            ),
            (
                "wrong.example",
                "its SPF record is wrong: `ip` is no mechanism; there are all, include, a, mx, ptr, ip4, ip6, exists",
            ),
        ] {
            let why = format!("SPF of `{domain}` could not be confirmed for 192.0.2.1: {problem}");
            check("192.0.2.1", domain, &[&why]);
        }
        let facts = example::dns(ZONE, &["192.0.2.1"], &["lame.example"]);
        let objections = facts.objections("192.0.2.1".parse().unwrap(), false, true);
        assert!(
            objections[0].contains("could not be confirmed") && objections[0].contains("broken"),
            "{objections:?}"
        );
    }
}
