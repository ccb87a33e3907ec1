//! The records a site needs, with what stands in DNS now and the keys on disk.

use crate::cli::{Failure, FailureKind, Session};
use crate::dns::{NameError, Record, RecordData};
use crate::mail::dkim::{KeyRecord, PrivateKey};
use crate::records::{Needed, Records, SigningKey, TTL, records};
use crate::site::Site;

impl Session {
    /// The records of a site: made to fit those that are published, where DNS can be asked. What
    /// could not be made is warned of.
    pub fn records(&mut self, site: &Site) -> Result<Vec<Needed>, Failure> {
        Ok(self.all_records(site)?.needed)
    }

    /// The same, with what could not be made, what others have to publish, and the policies
    /// about TLS.
    pub fn all_records(&mut self, site: &Site) -> Result<Records, Failure> {
        let keys = self.signing_keys(site)?;
        let resolver = (!self.common.offline)
            .then(|| self.resolver())
            .transpose()?;
        let records = records(site, &keys, resolver.as_deref());
        for refused in &records.refused {
            self.ui.say(&format!("warning: {refused}"));
            for hint in refused.hints() {
                self.ui.say(&format!("hint: {hint}"));
            }
        }
        Ok(records)
    }

    /// The public parts of the keys that mail is signed with, as far as they were made.
    fn signing_keys(&mut self, site: &Site) -> Result<Vec<SigningKey>, Failure> {
        let mut keys = Vec::new();
        let declared = site.dkim.iter().flat_map(crate::site::Dkim::keys);
        // The second one is of Ed25519.
        let ways = ["dkim new", "dkim new --ed25519"];
        for ((selector, path), way) in declared.zip(ways) {
            if let Some(file) = self.system.read(path)? {
                keys.push(SigningKey {
                    selector: selector.to_owned(),
                    record: PrivateKey::from_pem(&file.bytes)?.record()?,
                });
            } else {
                self.ui.say(&format!(
                    "note: there is no key `{path}` yet; `{}` makes it",
                    self.common.alike(way)
                ));
            }
        }
        Ok(keys)
    }
}

/// The exit status of a command that showed records: whether all could be made.
pub fn status(records: &Records) -> u8 {
    let unasked = records
        .refused
        .iter()
        .filter(|refused| refused.is_unasked());
    match (unasked.count(), records.refused.len()) {
        (_, 0) => 0,
        (unasked, all) if unasked == all => FailureKind::Unasked.status(),
        _ => FailureKind::Failed.status(),
    }
}

/// The site file says something no record can say.
fn wrong(error: impl std::error::Error) -> Failure {
    Failure::new(FailureKind::Site, error.to_string())
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        wrong(error)
    }
}

/// The records of a key, one a sending domain.
pub fn key_records(site: &Site, selector: &str, key: &KeyRecord) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for domain in &site.domains {
        let owner = KeyRecord::owner(selector, &domain.parse()?)?;
        records.push(Record {
            owner,
            ttl: TTL,
            data: RecordData::Txt(key.to_string().into()),
        });
    }
    Ok(records)
}
