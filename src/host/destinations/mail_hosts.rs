//! Who takes the mail of a domain: its MX records.
//!
//! A failed lookup is kept as what it is: "there are no such hosts" and "nobody could say" lead
//! to different ends. Follows RFC 5321, 5.1, and RFC 7505.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Destinations;
use crate::dns::{Answer, DnsError, Name, RecordData, RecordType, Resolver};

/// How many lookups are under way at once: enough that five hundred domains take no longer
/// than the slowest few, and few enough for a resolver that limits its clients.
const AT_ONCE: usize = 32;

/// The hosts that take the mail of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailHosts {
    /// These, in lower case; none where the domain names no mail host.
    Known(Vec<String>),
    /// Nobody could say.
    Unknown(String),
}

impl MailHosts {
    /// Tells whether there are hosts and every one of them has a name below one of the suffixes,
    /// on label boundaries; `None` where nobody could say.
    #[must_use]
    pub fn are_all_below(&self, suffixes: &[String]) -> Option<bool> {
        let Self::Known(hosts) = self else {
            return None;
        };
        let is_below = |host: &String| {
            suffixes.iter().any(|suffix| {
                host.strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        Some(!hosts.is_empty() && hosts.iter().all(is_below))
    }
}

/// Asks for the mail hosts of every destination.
pub fn ask_mail_hosts(resolver: &dyn Resolver, destinations: &mut Destinations) {
    let domains: Vec<&String> = destinations.domains.keys().collect();
    for (domain, hosts) in ask_each(resolver, &domains) {
        if let Some(destination) = destinations.domains.get_mut(&domain) {
            destination.hosts = hosts;
        }
    }
}

/// Asks for the mail hosts of each domain.
///
/// The resolver carries the deadline: what is not answered by then is unknown. Where nobody has
/// said anything to the first questions, the others are not asked, and are left out.
pub(in crate::host) fn ask_each(
    resolver: &dyn Resolver,
    domains: &[&String],
) -> Vec<(String, MailHosts)> {
    let next = AtomicUsize::new(0);
    let (heard, silent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_dead =
        || heard.load(Ordering::Relaxed) == 0 && silent.load(Ordering::Relaxed) >= AT_ONCE;
    let ask = || {
        let mut answers = Vec::new();
        while let Some(domain) = domains.get(next.fetch_add(1, Ordering::Relaxed)) {
            if is_dead() {
                break;
            }
            let answer = look_up(resolver, domain);
            let count = match &answer {
                Err(error) if error.is_silence() => &silent,
                _ => &heard,
            };
            count.fetch_add(1, Ordering::Relaxed);
            let hosts = answer.unwrap_or_else(|error| MailHosts::Unknown(error.to_string()));
            answers.push(((*domain).clone(), hosts));
        }
        answers
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(domains.len()))
            .map(|_| scope.spawn(ask))
            .collect();
        // What a thread that died had asked stays unknown.
        let answers = threads.into_iter().filter_map(|thread| thread.join().ok());
        answers.flatten().collect()
    })
}

fn look_up(resolver: &dyn Resolver, domain: &str) -> Result<MailHosts, DnsError> {
    let Ok(name) = domain.parse::<Name>() else {
        // What DNS cannot have a name for has no mail hosts there.
        return Ok(MailHosts::Known(Vec::new()));
    };
    Ok(match resolver.lookup_among_many(&name, RecordType::Mx)? {
        Answer::Records(records) => MailHosts::Known(
            records
                .into_iter()
                .filter_map(|record| match record.data {
                    RecordData::Mx { exchange, .. } => Some(exchange.host().to_ascii_lowercase()),
                    _ => None,
                })
                .collect(),
        ),
        Answer::NoData | Answer::NoSuchName => MailHosts::Known(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::dns::{FixedResolver, OfflineResolver};
    use crate::host::destinations::{Destination, Seen};

    const ZONE: &str = "\
all.example. 60 IN MX 1 ASPMX.L.GOOGLE.com.
all.example. 60 IN MX 5 alt1.aspmx.l.google.com.
mixed.example. 60 IN MX 1 aspmx.l.google.com.
mixed.example. 60 IN MX 50 backup.mixed.example.
looks.example. 60 IN MX 1 mx.notgoogle.com.
alike.example. 60 IN MX 1 mx.google.com.example.
alias.example. 60 IN CNAME all.example.
null.example. 60 IN MX 0 .
bare.example. 60 IN A 192.0.2.1
apex.example. 60 IN MX 1 google.com.
$SERVFAIL broken.example.
";

    #[test]
    fn every_host_has_to_be_below_a_suffix() {
        let mut found = Destinations::default();
        let expected = [
            ("all.example", Some(true)),
            ("mixed.example", Some(false)),
            ("looks.example", Some(false)),
            ("alike.example", Some(false)),
            ("alias.example", Some(true)),
            ("null.example", Some(false)),
            ("bare.example", Some(false)),
            ("apex.example", Some(true)),
            ("absent.example", Some(false)),
            ("broken.example", None),
        ];
        for (domain, _) in expected {
            found.add(domain.to_owned(), Seen::Declared);
        }
        ask_mail_hosts(&FixedResolver::from_zone(ZONE).unwrap(), &mut found);
        let suffixes = ["google.com".to_owned(), "googlemail.com".to_owned()];
        for (domain, expected) in expected {
            let hosts = &found.domains[domain].hosts;
            assert_eq!(
                hosts.are_all_below(&suffixes),
                expected,
                "{domain}: {hosts:?}"
            );
        }
        assert_eq!(
            found.domains["broken.example"].hosts,
            MailHosts::Unknown(
                "the zone text failed (SERVFAIL) on MX of `broken.example`".to_owned()
            )
        );
    }

    /// Counts what it is asked, and says nothing.
    struct Silence(AtomicUsize);

    impl Resolver for Silence {
        fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            OfflineResolver.lookup(name, kind)
        }
    }

    #[test]
    fn where_nobody_answers_few_are_asked() {
        let mut found = Destinations::default();
        for number in 0..AT_ONCE * 10 {
            found.add(format!("d{number}.example"), Seen::Declared);
        }
        let silence = Silence(AtomicUsize::new(0));
        ask_mail_hosts(&silence, &mut found);
        assert!(silence.0.into_inner() < AT_ONCE * 3);
        let unknown = |one: &Destination| matches!(one.hosts, MailHosts::Unknown(_));
        assert!(found.domains.values().all(unknown));
    }

    #[test]
    fn all_of_many_are_asked() {
        let mut found = Destinations::default();
        let mut zone = String::new();
        for number in 0..AT_ONCE * 3 {
            let domain = format!("d{number}.example");
            writeln!(zone, "{domain}. 60 IN MX 1 mx{number}.google.com.").unwrap();
            found.add(domain, Seen::Declared);
        }
        ask_mail_hosts(&FixedResolver::from_zone(&zone).unwrap(), &mut found);
        let known =
            |hosts: &MailHosts| matches!(hosts, MailHosts::Known(hosts) if hosts.len() == 1);
        assert!(found.domains.values().all(|one| known(&one.hosts)));
    }
}
