//! Which addresses of the interfaces come and go.
//!
//! Owns the reading of what the kernel tells of them where it does (Linux: `if_inet6`).
//! Must not judge.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use camino::Utf8Path;

use crate::system::{System, SystemError};

/// Where Linux shows the addresses of IPv6 with their flags.
pub const IF_INET6: &str = "/proc/net/if_inet6";

/// Flags of an address that will not be there for ever, or not yet (`linux/if_addr.h`):
/// temporary, deprecated, and those whose duplicate detection has not ended or has failed.
const PASSING: u32 = 0x01 | 0x20 | 0x40 | 0x08;

/// The addresses the kernel marks so; none where it does not say.
///
/// # Errors
/// When it cannot be read.
pub(super) fn passing(system: &dyn System) -> Result<BTreeSet<IpAddr>, SystemError> {
    let file = system.read(Utf8Path::new(IF_INET6))?;
    let bytes = file.map(|file| file.bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(passing_address).collect())
}

/// Reads a line: address, index, prefix length, scope, flags, device; numbers in hexadecimal.
fn passing_address(line: &str) -> Option<IpAddr> {
    let mut fields = line.split_whitespace();
    let address = u128::from_str_radix(fields.next()?, 16).ok()?;
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    (flags & PASSING != 0).then(|| IpAddr::V6(Ipv6Addr::from(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::MemorySystem;

    #[test]
    fn addresses_are_known_by_their_flags() {
        let text = "\
20010db8000000000000000000000025 02 40 00 80     eth0
20010db80000000000000000000000aa 02 40 00 01     eth0
20010db80000000000000000000000bb 02 40 00 20     eth0
fe80000000000000000000000000000a 02 40 20 80     eth0
nonsense
";
        let system = MemorySystem::new().file(IF_INET6, text);
        let passing = passing(&system).unwrap();
        let shown: Vec<String> = passing.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["2001:db8::aa", "2001:db8::bb"]);
        assert!(super::passing(&MemorySystem::new()).unwrap().is_empty());
    }
}
