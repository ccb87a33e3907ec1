//! Addresses of names, and names of addresses.
//!
//! Owns that the two agree: every server's name leads to each of its addresses, and each of them
//! back to that name alone.
//! Follows RFC 1912, 2.1.

use std::net::IpAddr;

use super::{Making, Role};
use crate::dns::{Name, RecordData};

impl Making<'_> {
    /// A and AAAA of each server and of the name they share, and PTR of each address.
    pub(super) fn addresses(&mut self) {
        let servers = self.servers();
        let mut names = Vec::new();
        for (server, addresses) in &servers {
            if let Some(name) = self.name("A", server) {
                for &address in addresses {
                    let why = format!("`{server}` must lead to every address its mail comes from");
                    self.add(Role::Address, name.clone(), data(address), why);
                }
                names.push((name, addresses));
            }
        }
        if let Some(shared) = &self.site.server.shared_name
            && let Some(name) = self.name("A", shared)
        {
            for &address in servers.iter().flat_map(|(_, addresses)| addresses) {
                let why =
                    format!("`{shared}` has the addresses of all servers, and SPF goes by it");
                self.add(Role::Address, name.clone(), data(address), why);
            }
        }
        for (name, addresses) in names {
            for &address in addresses {
                let why = format!(
                    "receivers ask for the name of {address} and expect one that leads back"
                );
                let owner = Name::reverse_of(address);
                self.add(Role::Reverse, owner, RecordData::Ptr(name.clone()), why);
            }
        }
    }
}

fn data(address: IpAddr) -> RecordData {
    match address.to_canonical() {
        IpAddr::V4(v4) => RecordData::A(v4),
        IpAddr::V6(v6) => RecordData::Aaaa(v6),
    }
}
