//! Internet addresses: which of them the world can reach.
//!
//! Owns [`Scope`], [`family`], and the finding of addresses in words. Must not know mail or DNS.
//! Follows the IANA special-purpose address registries (RFC 6890 and its updates).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr2;

/// The protocol of an address, 4 or 6.
#[must_use]
pub fn family(address: IpAddr) -> u8 {
    if address.is_ipv6() { 6 } else { 4 }
}

/// What an address is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reachable from the whole Internet.
    Global,
    /// RFC 1918; behind a NAT.
    Private,
    /// RFC 6598; behind a provider's NAT.
    Shared,
    /// RFC 4193.
    UniqueLocal,
    /// The machine itself.
    Loopback,
    /// One network segment.
    LinkLocal,
    /// RFC 5737, RFC 3849, RFC 9637: for books and examples.
    Documentation,
    /// Many machines at once.
    Multicast,
    /// No address yet.
    Unspecified,
    /// An IPv4 address written as IPv6.
    Mapped,
    /// Set aside for something else.
    Reserved,
}

impl Scope {
    /// Finds the scope of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        match v4.octets() {
            [0, 0, 0, 0] => Self::Unspecified,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            [100, 64..=127, ..] => Self::Shared,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Documentation,
            [224..=239, ..] => Self::Multicast,
            [0 | 240..=255, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Self::Reserved,
            _ => Self::Global,
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        if v6.is_unspecified() {
            return Self::Unspecified;
        }
        if v6.is_loopback() {
            return Self::Loopback;
        }
        if v6.to_ipv4_mapped().is_some() {
            return Self::Mapped;
        }
        match v6.segments() {
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] => Self::UniqueLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Documentation,
            // Benchmarking and ORCHIDs (RFC 5180, RFC 4843, RFC 7343).
            [0x2001, 2, 0, ..] | [0x2001, 0x10..=0x2f, ..] => Self::Reserved,
            // RFC 4291, 2.4: global unicast as handed out today.
            [0x2000..=0x3fff, ..] => Self::Global,
            _ => Self::Reserved,
        }
    }

    /// Tells whether the world can reach such an address.
    #[must_use]
    pub fn is_global(self) -> bool {
        self == Self::Global
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "a public address",
            Self::Private => "a private address (RFC 1918)",
            Self::Shared => "an address behind a provider's NAT (RFC 6598)",
            Self::UniqueLocal => "a unique local address (RFC 4193)",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Documentation => "a documentation address",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Mapped => "an IPv4 address written as IPv6",
            Self::Reserved => "a reserved address",
        })
    }
}

/// The addresses that words of another host name, such as `[2001:db8::1      16]`.
pub fn named(words: &str) -> impl Iterator<Item = IpAddr> {
    words
        .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | ',' | ';' | '='))
        .filter_map(|word| word.trim_end_matches(['.', ':']).parse().ok())
}

/// The addresses anywhere in bytes, whatever stands around them; loose numbers are none.
pub fn within(bytes: &[u8]) -> impl Iterator<Item = IpAddr> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let mut rest = bytes;
    let words = std::iter::from_fn(move || {
        // Every address has one of these; most texts have few of them.
        let at = memchr2(b'.', b':', rest)?;
        let (before, behind) = rest.split_at_checked(at)?;
        let start = at - before.iter().rev().take_while(|byte| is_part(byte)).count();
        let end = at + behind.iter().take_while(|byte| is_part(byte)).count();
        let word = rest.get(start..end)?;
        rest = rest.get(end..)?;
        Some(word)
    });
    words
        .filter(|word| (7..=40).contains(&word.len()))
        .filter_map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            word.trim_end_matches(['.', ':']).parse().ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_whatever_stands_around_them() {
        for (text, expected) in [
            ("[192.0.2.1]:25", &["192.0.2.1"][..]),
            (
                "client=192.0.2.1;x=2001:db8::1.",
                &["192.0.2.1", "2001:db8::1"],
            ),
            ("see https://x.example/192.0.2.1/a", &["192.0.2.1"]),
            ("at 12:30:45.678 id 1.2.3", &[]),
            ("::1 1.2.3.4", &["1.2.3.4"]),
            ("", &[]),
        ] {
            let found: Vec<_> = within(text.as_bytes()).map(|ip| ip.to_string()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn scopes_follow_the_registries() {
        for (address, scope) in [
            ("8.8.8.8", Scope::Global),
            ("172.15.0.1", Scope::Global),
            ("172.16.0.1", Scope::Private),
            ("10.0.0.1", Scope::Private),
            ("192.168.1.1", Scope::Private),
            ("100.64.0.1", Scope::Shared),
            ("127.0.0.2", Scope::Loopback),
            ("169.254.1.1", Scope::LinkLocal),
            ("198.51.100.7", Scope::Documentation),
            ("0.0.0.0", Scope::Unspecified),
            ("0.1.2.3", Scope::Reserved),
            ("255.255.255.255", Scope::Reserved),
            ("224.0.0.1", Scope::Multicast),
            ("2a01:4f8::1", Scope::Global),
            ("2001:470::1", Scope::Global),
            ("2001:db8::7", Scope::Documentation),
            ("3fff:fff::1", Scope::Documentation),
            ("3fff:1000::1", Scope::Global),
            ("fe80::1", Scope::LinkLocal),
            ("fd00::1", Scope::UniqueLocal),
            ("fec0::1", Scope::Reserved),
            ("::1", Scope::Loopback),
            ("::", Scope::Unspecified),
            ("::ffff:8.8.8.8", Scope::Mapped),
            ("ff02::1", Scope::Multicast),
            ("64:ff9b::1", Scope::Reserved),
        ] {
            assert_eq!(Scope::of(address.parse().unwrap()), scope, "{address}");
        }
    }
}
