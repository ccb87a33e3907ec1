//! The keys of signatures.
//!
//! Owns where each key is published. Must not know who signs.
//! Follows RFC 6376, 3.6; RFC 8463.

use super::{Making, Role};
use crate::dns::{Name, RecordData};
use crate::mail::dkim::KeyRecord;

impl Making<'_> {
    /// Every key that mail is signed with, below a domain.
    pub(super) fn dkim(&mut self, domain: &Name) {
        let host = domain.host();
        for key in self.keys {
            let owner = KeyRecord::owner(&key.selector, domain);
            if let Some(owner) = self.place("DKIM", &host, owner) {
                let data = RecordData::Txt(key.record.to_string().into_bytes());
                let why = format!("lets receivers check the signatures of `{host}`");
                self.add(Role::Dkim, owner, data, why);
            }
        }
    }
}
