//! The addresses of a machine as its own programs print them.
//!
//! Owns the reading of `ip addr` (iproute2) and of `ifconfig -a` in its three dialects: BSD and
//! Mac OS X, net-tools before and since 2.0. All begin a line without a blank with the name of
//! an interface, and say `inet` or `inet6` before an address.

use std::net::IpAddr;

/// Reads the addresses of interfaces that are up, without those of no use outside the machine.
pub(super) fn addresses(said: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut interface = Interface::default();
    for line in said.lines() {
        if !line.starts_with([' ', '\t']) {
            found.append(&mut interface.usable());
            interface = Interface::default();
        }
        interface.read(line);
    }
    found.append(&mut interface.usable());
    found.sort_unstable();
    found.dedup();
    found
}

#[derive(Default)]
struct Interface {
    up: bool,
    loopback: bool,
    addresses: Vec<IpAddr>,
}

impl Interface {
    fn read(&mut self, line: &str) {
        // `<UP,BROADCAST,…>`; net-tools before 2.0 have a line `UP BROADCAST …`.
        let between = line
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let flags: Vec<&str> = match between {
            Some((flags, _)) => flags.split(',').collect(),
            None if line.trim_start().starts_with("UP ") => line.split_whitespace().collect(),
            None => Vec::new(),
        };
        self.up |= flags.contains(&"UP");
        self.loopback |= flags.contains(&"LOOPBACK");
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            if !matches!(word, "inet" | "inet6") {
                continue;
            }
            let address = match words.next() {
                Some("addr:") => words.next(),
                Some(word) => Some(word.strip_prefix("addr:").unwrap_or(word)),
                None => None,
            };
            let address = address.and_then(|word| word.split(['/', '%']).next());
            self.addresses
                .extend(address.and_then(|word| word.parse::<IpAddr>().ok()));
        }
    }

    fn usable(&mut self) -> Vec<IpAddr> {
        let mut addresses = std::mem::take(&mut self.addresses);
        if !self.up || self.loopback {
            return Vec::new();
        }
        addresses.retain(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
            IpAddr::V6(v6) => {
                !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified()
            }
        });
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str) {
        let found: Vec<String> = addresses(said).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.10", "2001:db8::10"]);
    }

    #[test]
    fn iproute2_is_read() {
        check(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n    \
             link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    \
             inet 127.0.0.1/8 scope host lo\n    inet 203.0.113.9/32 scope global lo\n    \
             inet6 ::1/128 scope host\n\
             2: eth0@if5: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    \
             link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0\n    \
             inet 192.0.2.10/24 brd 192.0.2.255 scope global eth0\n       valid_lft forever\n    \
             inet6 2001:db8::10/64 scope global nodad\n    inet6 fe80::1/64 scope link\n\
             3: eth1: <BROADCAST,MULTICAST> mtu 1500 state DOWN\n    inet 198.51.100.1/24 scope global eth1\n",
        );
    }

    #[test]
    fn mac_os_x_is_read() {
        check(
            "lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384\n\
             \toptions=3<RXCSUM,TXCSUM>\n\tinet6 ::1 prefixlen 128\n\
             \tinet 127.0.0.1 netmask 0xff000000\n\tinet6 fe80::1%lo0 prefixlen 64 scopeid 0x1\n\
             gif0: flags=8010<POINTOPOINT,MULTICAST> mtu 1280\n\
             en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500\n\
             \tether 00:25:00:00:00:01\n\tinet6 fe80::225:ff:fe00:1%en0 prefixlen 64 scopeid 0x4\n\
             \tinet 192.0.2.10 netmask 0xffffff00 broadcast 192.0.2.255\n\
             \tinet6 2001:db8::10 prefixlen 64 autoconf\n\tmedia: autoselect (1000baseT)\n\tstatus: active\n",
        );
    }

    #[test]
    fn old_net_tools_are_read() {
        check(
            "eth0      Link encap:Ethernet  HWaddr 02:00:00:00:00:01\n          \
             inet addr:192.0.2.10  Bcast:192.0.2.255  Mask:255.255.255.0\n          \
             inet6 addr: 2001:db8::10/64 Scope:Global\n          \
             inet6 addr: fe80::1/64 Scope:Link\n          \
             UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n          \
             RX packets:0 errors:0 dropped:0 overruns:0 frame:0\n\n\
             lo        Link encap:Local Loopback\n          \
             inet addr:127.0.0.1  Mask:255.0.0.0\n          \
             UP LOOPBACK RUNNING  MTU:65536  Metric:1\n",
        );
    }

    #[test]
    fn new_net_tools_are_read() {
        check(
            "eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500\n        \
             inet 192.0.2.10  netmask 255.255.255.0  broadcast 192.0.2.255\n        \
             inet6 2001:db8::10  prefixlen 64  scopeid 0x0<global>\n        \
             ether 02:00:00:00:00:01  txqueuelen 1000  (Ethernet)\n\n\
             lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n",
        );
    }

    #[test]
    fn nonsense_gives_nothing() {
        assert!(addresses("inet\n inet6 addr:\n<UP> inet x\n").is_empty());
    }
}
