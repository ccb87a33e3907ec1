//! The record of a key that mail is signed with, against the key on disk.
//! Follows RFC 6376, 3.6; RFC 8301, 3.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{Cell, Sender, State, mend, shown};
use crate::dns::{Name, RecordData, RecordType, Resolver};
use crate::finding::Finding;
use crate::mail::dkim::{KeyRecord, PublicKey};

/// Fewest bits of a key that verifiers must take for one (RFC 8301, 3.2).
const FEWEST_BITS: usize = 1024;

/// Bits of a key that is good for years (RFC 8301, 3.2).
const GOOD_BITS: usize = 2048;

/// What a cell says where the key on disk cannot be compared.
const UNREAD: &str = "unread";

/// What is said of a key whose record is not there.
const MISSING: &str = "none";

/// A key that mail is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The selector its record stands under.
    pub selector: String,
    /// The domain it signs for; `None`: every sending domain.
    pub domain: Option<Name>,
    /// The file of the private key.
    pub path: Utf8PathBuf,
    /// The record it needs, or why that is not known.
    pub record: Result<KeyRecord, String>,
    /// This host would have it, and has not: nobody has made it yet.
    pub is_unmade: bool,
}

impl Key {
    /// Tells whether mail of a domain is signed with it.
    #[must_use]
    pub fn signs(&self, domain: &Name) -> bool {
        self.domain.as_ref().is_none_or(|own| own == domain)
    }
}

/// That no key is known to compare with.
pub(super) fn none_known() -> Finding {
    Finding::note("dkim-unknown", "no key is known that mail is signed with, so no DKIM record was checked")
        .because("SPF breaks where mail is forwarded, and DKIM does not; Google and Yahoo demand both of whoever sends much")
        .mend("`mailfix dkim new` makes a key; `[dkim]` in mailfix.toml names one that is there")
}

/// What DNS says of a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// The selector.
    pub selector: String,
    /// The name of its record, safe to print.
    pub name: String,
    /// How it stands.
    #[serde(flatten)]
    pub cell: Cell,
    /// The length of the published key.
    pub bits: Option<usize>,
    /// Where the record really stands, if its name is an alias.
    pub alias_of: Option<String>,
    #[serde(skip)]
    faults: Vec<Finding>,
}

impl KeyReport {
    /// Tells whether it is open if signatures pass: DNS did not say, or the key could not be read.
    pub(super) fn is_open(&self) -> bool {
        self.cell.state == State::Unasked || self.cell.says == UNREAD
    }
}

/// Asks for the record; gives nothing where neither that nor the key is there: then nobody signs.
pub(super) fn look(resolver: &dyn Resolver, domain: &Name, key: &Key) -> Option<KeyReport> {
    let report = ask(resolver, domain, key);
    (!key.is_unmade || report.cell.says != MISSING).then_some(report)
}

fn ask(resolver: &dyn Resolver, domain: &Name, key: &Key) -> KeyReport {
    let mut report = KeyReport {
        selector: key.selector.clone(),
        name: format!("{}._domainkey.{}", key.selector, domain.host()),
        cell: Cell::new(State::Right, "yes"),
        bits: None,
        alias_of: None,
        faults: Vec::new(),
    };
    let owner = match KeyRecord::owner(&key.selector, domain) {
        Ok(owner) => owner,
        Err(error) => {
            report.wrong(
                "no name",
                Finding::error(
                    "dkim-no-name",
                    format!(
                        "the DKIM record of `{}` has no place: {error}",
                        domain.host()
                    ),
                ),
            );
            return report;
        }
    };
    report.name = owner.host();
    let name = report.name.clone();
    let answer = match resolver.lookup(&owner, RecordType::Txt) {
        Ok(answer) => answer,
        Err(error) => {
            report.cell = Cell::unasked();
            report.faults.push(
                Finding::warning(
                    "dns-unasked",
                    format!("the DKIM record `{name}` could not be asked for"),
                )
                .because(error.to_string()),
            );
            return report;
        }
    };
    report.alias_of = answer
        .records()
        .first()
        .filter(|record| record.owner != owner)
        .map(|record| record.owner.host());
    let texts: Vec<String> = answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Txt(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
        .collect();
    match texts.as_slice() {
        [] => report.wrong(
            MISSING,
            Finding::error("dkim-missing", format!("there is no DKIM record `{name}`")).because(
                format!("signatures made with `{}` cannot be verified", key.path),
            ),
        ),
        [text] => report.compare(text, key),
        // RFC 6376, 3.6.2.2: what several records mean is not defined.
        several => report.wrong(
            "several",
            Finding::error(
                "dkim-several",
                format!(
                    "`{name}` has {} TXT records, and only one may be",
                    several.len()
                ),
            )
            .because("verifiers take one of them by chance"),
        ),
    }
    report
}

impl KeyReport {
    fn wrong(&mut self, word: &str, finding: Finding) {
        self.cell = Cell::new(State::Wrong, word);
        self.faults.push(finding);
    }

    fn doubt(&mut self, word: &str, finding: Finding) {
        if self.cell.state == State::Right {
            self.cell = Cell::new(State::Doubtful, word);
        }
        self.faults.push(finding);
    }

    fn compare(&mut self, text: &str, key: &Key) {
        let name = self.name.clone();
        let published = match KeyRecord::parse(text) {
            Ok(published) => published,
            Err(error) => {
                return self.wrong(
                    "no key",
                    Finding::error(
                        "dkim-no-key",
                        format!("the record `{name}` is no DKIM key: {error}"),
                    )
                    .because(format!("it says `{}`", shown(text))),
                );
            }
        };
        self.bits = published.key.bits();
        if published.key == PublicKey::Revoked {
            return self.wrong(
                "revoked",
                Finding::error(
                    "dkim-revoked",
                    format!("the DKIM key `{name}` was taken back (`p=` is empty)"),
                )
                .because(format!("signatures made with `{}` fail", key.path)),
            );
        }
        if published.key.bits().is_none() {
            return self.wrong(
                "no key",
                Finding::error("dkim-no-key", format!("`p=` of `{name}` is no RSA key"))
                    .because("it decodes to something else; perhaps a part of it was lost when it was pasted"),
            );
        }
        match &key.record {
            Ok(wanted) if wanted.key != published.key => {
                return self.wrong(
                    "other",
                    Finding::error(
                        "dkim-mismatch",
                        format!(
                            "the DKIM record `{name}` is not that of the key `{}`",
                            key.path
                        ),
                    )
                    .because("it publishes another key, and signatures made with this one fail"),
                );
            }
            Ok(_) => {}
            Err(why) => self.doubt(
                UNREAD,
                Finding::warning(
                    "dkim-key-unread",
                    format!("whether `{name}` belongs to the key on disk cannot be told"),
                )
                .because(why.clone()),
            ),
        }
        self.tags(&published);
    }

    /// What the further tags say of a key that fits.
    fn tags(&mut self, published: &KeyRecord) {
        let name = self.name.clone();
        let tag = |wanted: &str| {
            let mut tags = published.other.iter();
            tags.find(|(tag, _)| tag == wanted)
                .map(|(_, value)| value.to_ascii_lowercase())
        };
        let lists = |value: &str, word: &str| value.split(':').any(|one| one.trim() == word);
        if tag("h").is_some_and(|hashes| !lists(&hashes, "sha256")) {
            self.wrong(
                "no sha256",
                Finding::error(
                    "dkim-hash",
                    format!("`h=` of `{name}` leaves out `sha256`, which every signature uses"),
                ),
            );
        }
        if tag("s").is_some_and(|services| !lists(&services, "email") && !lists(&services, "*")) {
            self.wrong(
                "no mail",
                Finding::error(
                    "dkim-service",
                    format!("`s=` of `{name}` does not name `email`: verifiers pass the key over"),
                ),
            );
        }
        if let (PublicKey::Rsa(_), Some(bits)) = (&published.key, self.bits) {
            if bits < FEWEST_BITS {
                self.wrong("weak", Finding::error("dkim-weak", format!("the key `{name}` has {bits} bits; verifiers refuse keys below {FEWEST_BITS}")));
            } else if bits < GOOD_BITS {
                self.doubt(
                    "short",
                    Finding::warning(
                        "dkim-short",
                        format!("the key `{name}` has {bits} bits; {GOOD_BITS} are usual"),
                    ),
                );
            }
        }
        if tag("t").is_some_and(|flags| lists(&flags, "y")) {
            self.doubt(
                "testing",
                Finding::warning(
                    "dkim-testing",
                    format!("`t=y` of `{name}` says that signing is only tried out"),
                )
                .because("a verifier may treat the mail as if it were not signed"),
            );
        }
    }

    /// Tells whether verifiers accept what the key signs.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.cell.state == State::Right || matches!(self.cell.says.as_str(), "short" | "testing")
    }

    /// Adds what is wrong.
    pub(super) fn find(&self, sender: &Sender, findings: &mut Vec<Finding>) {
        for fault in &self.faults {
            let mut fault = fault.clone();
            if fault.fix.is_none() && !matches!(fault.code, "dns-unasked" | "dkim-key-unread") {
                fault.fix = Some(mend::domain(sender));
            }
            if let Some(alias) = &self.alias_of {
                let also = format!("the name is an alias of `{alias}`");
                fault.why = Some(match fault.why {
                    Some(why) => format!("{why}; {also}"),
                    None => also,
                });
            }
            findings.push(fault);
        }
    }
}
