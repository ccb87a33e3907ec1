//! Where zones begin.
//!
//! Owns the question for it and the guess for those who may not ask. Must not know who controls
//! a zone.
//! Follows RFC 1034, 4.2.1.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Name, RecordType, Resolver};

/// Labels of the reverse zone of an IPv4 /24.
const REVERSE4: usize = 5;

/// Labels of the reverse zone of an IPv6 /64.
const REVERSE6: usize = 18;

/// Finds out where the zones of names begin; nothing is asked twice.
pub struct Cuts<'a> {
    resolver: &'a dyn Resolver,
    /// `None`: nobody could say.
    known: RefCell<BTreeMap<Name, Option<bool>>>,
}

impl<'a> Cuts<'a> {
    /// Asks here.
    #[must_use]
    pub fn new(resolver: &'a dyn Resolver) -> Self {
        Self {
            resolver,
            known: RefCell::default(),
        }
    }

    /// The zone of a name: the nearest name at or above it with an SOA record of its own.
    ///
    /// `None` when that could not be found out.
    #[must_use]
    pub fn zone_of(&self, name: &Name) -> Option<Name> {
        let mut candidate = name.clone();
        // The root and the registries' zones are no place for a record of ours.
        while candidate.labels().count() > 1 {
            if self.is_apex(&candidate)? {
                return Some(candidate);
            }
            candidate = candidate.parent()?;
        }
        None
    }

    fn is_apex(&self, name: &Name) -> Option<bool> {
        if let Some(known) = self.known.borrow().get(name) {
            return *known;
        }
        let answer = self.resolver.lookup(name, RecordType::Soa);
        // An alias is answered with the SOA record of its target.
        let found = answer.map(|answer| answer.records().iter().any(|soa| soa.owner == *name));
        self.known
            .borrow_mut()
            .insert(name.clone(), found.clone().ok());
        found.ok()
    }
}

/// Guesses the zone of a name from those that are known to be there: the nearest one above it.
///
/// Otherwise: of an IPv4 address the zone of its /24, of an IPv6 address that of its /64, of a
/// host the name above it, of a name below an underscore what a host there had.
#[must_use]
pub fn guess(name: &Name, known: &[Name]) -> Name {
    let above = known.iter().filter(|zone| name.is_subdomain_of(zone));
    if let Some(zone) = above.max_by_key(|zone| zone.labels().count()) {
        return zone.clone();
    }
    let labels: Vec<&[u8]> = name.labels().collect();
    let is_below = |tree: &str| labels.ends_with(&[tree.as_bytes(), b"arpa"]);
    let kept = if is_below("in-addr") {
        REVERSE4
    } else if is_below("ip6") {
        REVERSE6
    } else {
        let is_purpose = |label: &&[u8]| label.starts_with(b"_");
        let host = match labels.iter().rposition(is_purpose) {
            Some(at) => labels.len() - at - 1,
            None => labels.len(),
        };
        // A name of two labels has its own zone; what is above it is a registry's.
        (host - 1).max(2).min(labels.len())
    };
    let zone = labels.len().saturating_sub(kept);
    Name::from_labels(labels.iter().skip(zone)).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn guesses() {
        let check = |text: &str, expected: &str| {
            let known = [name("example.org"), name("lists.example.org")];
            assert_eq!(guess(&name(text), &known).host(), expected);
        };
        check("s1._domainkey.lists.example.org", "lists.example.org");
        check("mail.example.org", "example.org");
        check("mail.example.net", "example.net");
        check("example.net", "example.net");
        check("_dmarc.example.net", "example.net");
        check("example.org._report._dmarc.example.com", "example.com");
        check("org", "org");
        check("25.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa");
        let v6 = Name::reverse_of("2001:db8:1:2::25".parse().unwrap());
        check(&v6.host(), "2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }

    #[test]
    fn zones_are_found() {
        let resolver = FixedResolver::from_zone(
            "example.org. SOA ns.example.org. a.example.org. 1 2 3 4 5\n\
             mail.example.org. A 192.0.2.25\n\
             www.example.org. CNAME host.example.net.\n\
             example.net. SOA ns.example.org. a.example.org. 1 2 3 4 5\n\
             host.example.net. A 192.0.2.1\n\
             2.0.192.in-addr.arpa. SOA ns.example.org. a.example.org. 1 2 3 4 5\n\
             25.2.0.192.in-addr.arpa. CNAME 25.24-29.2.0.192.in-addr.arpa.\n\
             24-29.2.0.192.in-addr.arpa. SOA ns.example.org. a.example.org. 1 2 3 4 5\n\
             $SERVFAIL broken.example.\n",
        )
        .unwrap();
        let cuts = Cuts::new(&resolver);
        let zone = |text: &str| cuts.zone_of(&name(text)).map(|zone| zone.host());
        assert_eq!(zone("mail.example.org").as_deref(), Some("example.org"));
        assert_eq!(
            zone("s1._domainkey.example.org").as_deref(),
            Some("example.org")
        );
        assert_eq!(zone("www.example.org").as_deref(), Some("example.org"));
        assert_eq!(zone("mail.broken.example"), None);
        assert_eq!(zone("nowhere.test"), None);
        assert_eq!(
            zone("25.24-29.2.0.192.in-addr.arpa").as_deref(),
            Some("24-29.2.0.192.in-addr.arpa")
        );
    }
}
