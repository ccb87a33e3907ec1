//! Reverse DNS: the names of an address, and whether one of them leads back to it.
//!
//! Owns the two steps, address to names and names to addresses. Any of several names may lead
//! back. Must not know who asks for it, and why.
//! Follows RFC 1034, 5.2.1; RFC 1912, 2.1; RFC 8601, 3 ("iprev").

use std::net::IpAddr;

use super::{DnsError, Name, RecordData, RecordType, Resolver};

/// Most names of one address that are followed: what receivers do (RFC 8601, 3), so that a
/// hostile reverse zone costs no more than ten questions.
pub const MOST_NAMES: usize = 10;

/// What DNS says of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reverse {
    /// The names its PTR records give, in the order of the answer.
    pub names: Vec<Name>,
    /// Where the names lead that were followed, in the same order. The first that leads back
    /// ends it.
    pub followed: Vec<Result<Vec<IpAddr>, DnsError>>,
}

impl Reverse {
    /// Asks for the names of an address, and for the addresses of these.
    ///
    /// # Errors
    /// When nobody could say whether it has a name. A name that could not be followed is kept in
    /// [`Self::followed`]: another one may lead back.
    pub fn look_up(resolver: &dyn Resolver, address: IpAddr) -> Result<Self, DnsError> {
        let answer = resolver.lookup(&Name::reverse_of(address), RecordType::Ptr)?;
        let mut reverse = Self::default();
        for record in answer.records() {
            if let RecordData::Ptr(name) = &record.data {
                reverse.names.push(name.clone());
            }
        }
        for name in reverse.names.iter().take(MOST_NAMES) {
            let led = addresses_of(resolver, name, address.is_ipv6());
            let is_back = led.as_ref().is_ok_and(|led| led.contains(&address));
            reverse.followed.push(led);
            if is_back {
                break;
            }
        }
        Ok(reverse)
    }

    /// The name that leads back to the address.
    #[must_use]
    pub fn confirmed(&self, address: IpAddr) -> Option<&Name> {
        let is_back = |led: &Result<Vec<IpAddr>, DnsError>| {
            led.as_ref().is_ok_and(|led| led.contains(&address))
        };
        let at = self.followed.iter().position(is_back)?;
        self.names.get(at)
    }

    /// Why it cannot be said that no name leads back; the last of several reasons.
    #[must_use]
    pub fn failure(&self) -> Option<&DnsError> {
        self.followed
            .iter()
            .rev()
            .find_map(|led| led.as_ref().err())
    }
}

/// The addresses of a name in one family.
///
/// # Errors
/// When nobody could say.
pub fn addresses_of(
    resolver: &dyn Resolver,
    name: &Name,
    ipv6: bool,
) -> Result<Vec<IpAddr>, DnsError> {
    let kind = if ipv6 {
        RecordType::Aaaa
    } else {
        RecordType::A
    };
    let answer = resolver.lookup(name, kind)?;
    let addresses = answer
        .records()
        .iter()
        .filter_map(|record| match record.data {
            RecordData::A(v4) => Some(IpAddr::V4(v4)),
            RecordData::Aaaa(v6) => Some(IpAddr::V6(v6)),
            _ => None,
        });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedResolver;

    #[track_caller]
    fn check(zone: &str, confirmed: Option<&str>, names: usize, failed: bool) {
        let resolver = FixedResolver::from_zone(zone).unwrap();
        let address = "192.0.2.1".parse().unwrap();
        let reverse = Reverse::look_up(&resolver, address).unwrap();
        assert_eq!(
            reverse.confirmed(address).map(Name::host).as_deref(),
            confirmed
        );
        assert_eq!(reverse.names.len(), names);
        assert_eq!(reverse.failure().is_some(), failed);
    }

    #[test]
    fn any_name_that_leads_back_confirms() {
        let ptr = |name: &str| format!("1.2.0.192.in-addr.arpa. 60 IN PTR {name}.example.\n");
        let a = "mail.example. 60 IN A 192.0.2.1\n";
        check("", None, 0, false);
        check(&ptr("mail"), None, 1, false);
        check(&(ptr("mail") + a), Some("mail.example"), 1, false);
        check(
            &(ptr("a") + &ptr("mail") + a),
            Some("mail.example"),
            2,
            false,
        );
        let broken = "$SERVFAIL a.example.\n";
        check(&(ptr("a") + broken), None, 1, true);
        check(
            &(ptr("a") + &ptr("mail") + a + broken),
            Some("mail.example"),
            2,
            true,
        );
    }

    #[test]
    fn very_many_names_are_not_all_followed() {
        use std::fmt::Write as _;
        let mut zone = String::from("last.example. 60 IN A 192.0.2.1\n");
        for number in 0..300 {
            let _ = writeln!(zone, "1.2.0.192.in-addr.arpa. 60 IN PTR n{number}.example.");
        }
        zone.push_str("1.2.0.192.in-addr.arpa. 60 IN PTR last.example.\n");
        check(&zone, None, 301, false);
    }

    #[test]
    fn a_failure_is_no_answer() {
        let zone = "$SERVFAIL 1.2.0.192.in-addr.arpa.\n";
        let resolver = FixedResolver::from_zone(zone).unwrap();
        assert!(Reverse::look_up(&resolver, "192.0.2.1".parse().unwrap()).is_err());
    }
}
