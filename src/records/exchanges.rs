//! The hosts that take mail.
//!
//! Owns the MX records of the domains that say who takes theirs, and the one of those that take
//! none. What a domain does not say is left as it is.
//! Follows RFC 5321, 5.1; RFC 7505.

use super::{Making, Role};
use crate::dns::{Name, RecordData};

impl Making<'_> {
    /// MX of every domain that says who takes its mail.
    pub(super) fn exchanges(&mut self) {
        for (domain, hosts) in &self.site.exchanges {
            let Some(owner) = self.name("MX", domain) else {
                continue;
            };
            if hosts.is_empty() {
                let none = RecordData::Mx {
                    preference: 0,
                    exchange: Name::root(),
                };
                let why = format!("`{domain}` takes no mail");
                self.add(Role::Exchange, owner.clone(), none, why);
            }
            for host in hosts {
                let Some(exchange) = self.name("MX", &host.host) else {
                    continue;
                };
                let data = RecordData::Mx {
                    preference: host.preference,
                    exchange,
                };
                let why = format!("`{}` takes the mail of `{domain}`", host.host);
                self.add(Role::Exchange, owner.clone(), data, why);
            }
        }
    }
}
