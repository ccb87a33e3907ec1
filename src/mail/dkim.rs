//! DKIM: the key pair behind a signature and the record that publishes it.
//!
//! Owns key records, and private keys from their making or reading to their
//! PEM text. A private key is wiped when dropped and never shows in `Debug`.
//! Must not know where keys are kept or who signs with them.
//! Follows RFC 6376, 3.6; RFC 8463; RFC 8301; RFC 7468.

use std::fmt;

use aws_lc_rs::encoding::{
    AsBigEndian as _, AsDer as _, Curve25519SeedBin, Pkcs8V1Der, PublicKeyX509Der,
};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64;
use pem_rfc7468::LineEnding;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::tag_list::{self, TagError, TagFault};
use crate::dns::{Name, NameError};

/// The only version there is.
const VERSION: &str = "v=DKIM1";

/// Length of an Ed25519 key in a record (RFC 8463, 4).
const ED25519_LENGTH: usize = 32;

/// PEM label of PKCS#8 (RFC 7468, 10).
const PKCS8: &str = "PRIVATE KEY";

/// PEM label of PKCS#1, as older `openssl genrsa` and `opendkim-genkey` write.
const PKCS1: &str = "RSA PRIVATE KEY";

/// PEM label of an encrypted key (RFC 7468, 11).
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// A key record: what stands at `selector._domainkey.domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// `k` and `p`: the key.
    pub key: PublicKey,
    /// Further tags (`h`, `s`, `t`, `n` and unknown ones), as they stand there.
    pub other: Vec<(String, String)>,
}

/// A published key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// An RSA key: a `SubjectPublicKeyInfo` structure, or in old records PKCS#1's.
    Rsa(Vec<u8>),
    /// An Ed25519 key (RFC 8463).
    Ed25519([u8; ED25519_LENGTH]),
    /// A key that was taken back: `p=` is empty.
    Revoked,
}

/// An algorithm that mail is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// `rsa-sha256`: what every receiver checks.
    Rsa,
    /// `ed25519-sha256` (RFC 8463): what some receivers check beside it.
    Ed25519,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A private key.
pub enum PrivateKey {
    /// Of RSA.
    Rsa(KeyPair),
    /// Of Ed25519.
    Ed25519(Ed25519KeyPair),
}

/// Why there is no private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// The bytes are no PEM text.
    #[error("this is no PEM text with a private key: {source}")]
    Pem {
        /// What is wrong.
        source: pem_rfc7468::Error,
    },
    /// The PEM text holds something else.
    #[error("this PEM text holds a `{label}`; a `{PKCS8}` or `{PKCS1}` is needed")]
    Label {
        /// What it holds.
        label: String,
    },
    /// The key needs a passphrase.
    #[error("the private key is encrypted; signing needs one without a passphrase")]
    Encrypted,
    /// The key is shorter than receivers take, or longer than they must.
    #[error(
        "the private key is neither an RSA key of 2048 to 8192 bits nor one of Ed25519 ({reason})"
    )]
    Rejected {
        /// What the cryptography library says.
        reason: String,
    },
    /// No key could be made.
    #[error("no key could be made: the system gave no randomness or memory")]
    Generate,
}

impl KeyRecord {
    /// Makes the record of an RSA key.
    #[must_use]
    pub fn rsa(subject_public_key_info: Vec<u8>) -> Self {
        Self {
            key: PublicKey::Rsa(subject_public_key_info),
            other: Vec::new(),
        }
    }

    /// Gives the name the record of a selector stands at (RFC 6376, 3.6.2.1).
    ///
    /// # Errors
    /// When the selector is no name, or the whole gets too long.
    pub fn owner(selector: &str, domain: &Name) -> Result<Name, NameError> {
        domain.below("_domainkey")?.below(selector)
    }

    /// Reads a record strictly.
    ///
    /// # Errors
    /// The first fault with its place; verifiers then find no key.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        let tags = tag_list::parse(text)?;
        let find = |name: &str| tags.iter().find(|tag| tag.name == name);
        // RFC 6376, 3.6.1: where there is a version, it comes first.
        if let Some(version) = find("v")
            && (version.value != "DKIM1" || tags.first() != Some(version))
        {
            return Err(TagError {
                span: version.span.clone(),
                fault: TagFault::Version { version: VERSION },
            });
        }
        let p = find("p").ok_or(TagError {
            span: text.len()..text.len(),
            fault: TagFault::Missing { name: "p" },
        })?;
        let base64: String = p.value.split_ascii_whitespace().collect();
        let bytes = BASE64
            .decode(base64.as_bytes())
            .map_err(|_| p.refuse("p", "it is the key in base64"))?;
        let kind = find("k");
        let key = match kind.map_or("rsa", |tag| tag.value.as_str()) {
            "rsa" | "ed25519" if bytes.is_empty() => PublicKey::Revoked,
            "rsa" => PublicKey::Rsa(bytes),
            "ed25519" => PublicKey::Ed25519(
                bytes
                    .try_into()
                    .map_err(|_| p.refuse("p", "a key of Ed25519 has 32 bytes"))?,
            ),
            _ => {
                let tag = kind.unwrap_or(p);
                return Err(tag.refuse("k", "it is `rsa` or `ed25519`"));
            }
        };
        let other = tags
            .iter()
            .filter(|tag| !["v", "k", "p"].contains(&tag.name.as_str()))
            .map(|tag| (tag.name.clone(), tag.value.clone()))
            .collect();
        Ok(Self { key, other })
    }
}

impl fmt::Display for KeyRecord {
    /// Prints the record, the long key last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        match &self.key {
            PublicKey::Rsa(_) => f.write_str("; k=rsa")?,
            PublicKey::Ed25519(_) => f.write_str("; k=ed25519")?,
            PublicKey::Revoked => {}
        }
        for (tag, value) in &self.other {
            write!(f, "; {tag}={value}")?;
        }
        write!(f, "; p={}", self.key.base64())
    }
}

impl PublicKey {
    /// Gives the value of `p=`.
    #[must_use]
    pub fn base64(&self) -> String {
        match self {
            Self::Rsa(bytes) => BASE64.encode(bytes),
            Self::Ed25519(bytes) => BASE64.encode(bytes),
            Self::Revoked => String::new(),
        }
    }

    /// Gives the length of the key in bits; `None` where it is revoked or no key at all.
    #[must_use]
    pub fn bits(&self) -> Option<usize> {
        match self {
            Self::Rsa(bytes) => rsa_bits(bytes),
            Self::Ed25519(_) => Some(ED25519_LENGTH * 8),
            Self::Revoked => None,
        }
    }
}

impl PrivateKey {
    /// Makes a new key: of RSA one of 2048 bits (RFC 8301, 3.2: "SHOULD use at least 2048").
    ///
    /// Longer ones do not fit into one DNS datagram and some verifiers refuse them.
    ///
    /// # Errors
    /// When the system has no randomness or memory.
    pub fn generate(algorithm: Algorithm) -> Result<Self, PrivateKeyError> {
        match algorithm {
            Algorithm::Rsa => KeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            Algorithm::Ed25519 => Ed25519KeyPair::generate().map(Self::Ed25519),
        }
        .map_err(|_| PrivateKeyError::Generate)
    }

    /// Reads a private key from PEM text, in the form of PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// When the text is no PEM, or holds no key that can sign.
    pub fn from_pem(text: &[u8]) -> Result<Self, PrivateKeyError> {
        let (label, der) = match pem_rfc7468::decode_vec(text) {
            Ok((label, der)) => (label, Zeroizing::new(der)),
            // The lines before the key, `Proc-Type: 4,ENCRYPTED`, are no PEM of RFC 7468.
            Err(pem_rfc7468::Error::HeaderDisallowed) => return Err(PrivateKeyError::Encrypted),
            Err(source) => return Err(PrivateKeyError::Pem { source }),
        };
        let pair = match label {
            // RFC 8410, 7: without the public half, as OpenSSL writes it.
            PKCS8 => match Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                Ok(pair) => return Ok(Self::Ed25519(pair)),
                Err(_) => KeyPair::from_pkcs8(&der),
            },
            PKCS1 => KeyPair::from_der(&der),
            ENCRYPTED => return Err(PrivateKeyError::Encrypted),
            other => {
                return Err(PrivateKeyError::Label {
                    label: other.to_owned(),
                });
            }
        };
        pair.map(Self::Rsa)
            .map_err(|error| PrivateKeyError::Rejected {
                reason: error.to_string(),
            })
    }

    /// Writes the key as PEM text, in the form of PKCS#8; the text is wiped when dropped.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, PrivateKeyError> {
        let print = |der: &[u8]| pem_rfc7468::encode_string(PKCS8, LineEnding::LF, der);
        let text = match self {
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| PrivateKeyError::Generate)?;
                print(der.as_ref())
            }
            Self::Ed25519(pair) => {
                let der = pair.to_pkcs8v1().map_err(|_| PrivateKeyError::Generate)?;
                print(der.as_ref())
            }
        };
        text.map(Zeroizing::new)
            .map_err(|source| PrivateKeyError::Pem { source })
    }

    /// Writes an Ed25519 key as the bytes themselves in base64, the public half behind the seed;
    /// `None` where it is of RSA. The text is wiped when dropped.
    #[must_use]
    pub fn to_base64(&self) -> Option<Zeroizing<String>> {
        let Self::Ed25519(pair) = self else {
            return None;
        };
        let seed = pair.seed().ok()?;
        let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().ok()?;
        let mut both = Zeroizing::new(Vec::with_capacity(2 * ED25519_LENGTH));
        both.extend_from_slice(seed.as_ref());
        both.extend_from_slice(pair.public_key().as_ref());
        Some(Zeroizing::new(BASE64.encode(&both)))
    }

    /// Gives the record that publishes the key's other half.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn record(&self) -> Result<KeyRecord, PrivateKeyError> {
        match self {
            Self::Rsa(pair) => {
                // The SubjectPublicKeyInfo; `as_ref` would give the form of PKCS#1.
                let der: PublicKeyX509Der<'_> = pair
                    .public_key()
                    .as_der()
                    .map_err(|_| PrivateKeyError::Generate)?;
                Ok(KeyRecord::rsa(der.as_ref().to_vec()))
            }
            Self::Ed25519(pair) => {
                let bytes = pair.public_key().as_ref().try_into();
                Ok(KeyRecord {
                    key: PublicKey::Ed25519(bytes.map_err(|_| PrivateKeyError::Generate)?),
                    other: Vec::new(),
                })
            }
        }
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rsa,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Gives the length of the key in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match self {
            Self::Rsa(pair) => pair.public_modulus_len() * 8,
            Self::Ed25519(_) => ED25519_LENGTH * 8,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, {} bits)", self.algorithm(), self.bits())
    }
}

/// Tells the length of an RSA key's modulus, in either form a record may hold.
///
/// The cryptography library reads neither the old form nor keys under 2048 bits, and both are
/// out there. (RFC 8017, A.1.1; RFC 5280, 4.1)
fn rsa_bits(der: &[u8]) -> Option<usize> {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    let (body, _) = der_value(der, SEQUENCE)?;
    let modulus = match der_value(body, SEQUENCE) {
        Some((_algorithm, rest)) => {
            let (bits, _) = der_value(rest, BIT_STRING)?;
            let (key, _) = der_value(bits.strip_prefix(&[0])?, SEQUENCE)?;
            der_value(key, INTEGER)?.0
        }
        None => der_value(body, INTEGER)?.0,
    };
    let first = modulus.iter().position(|&byte| byte != 0)?;
    let bytes = modulus.get(first..)?;
    let unused = usize::try_from(bytes.first()?.leading_zeros()).ok()?;
    Some(bytes.len() * 8 - unused)
}

/// Takes one DER value of a kind off the front (X.690, 8.1).
fn der_value(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.strip_prefix(&[kind])?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // Two bytes of length hold every key there is.
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let value = length
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (value, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
    };
    use proptest::prelude::*;

    /// An RSA key of 1024 bits, published.
    const SMALL: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCZVsGulE+P51Bs4/GzUk9ay22vWfiLoODj\
        06Bs7+nPKwvQZexSb6WvhSS2F8zDD1ROlx72+qT298/v+DdSwCIeKwvDIaQpLRUP1nkd+Cj6djnAGpLxawFl2x7N3N\
        LyrTyW/LJh27tEHVQKSexkw2Y8TwqeFX8cv4TAXDPC9a0NLQIDAQAB";

    #[test]
    fn a_new_key_publishes_what_verifies_its_signatures() {
        let key = PrivateKey::generate(Algorithm::Rsa).unwrap();
        assert_eq!(key.bits(), 2048);
        let text = key.record().unwrap().to_string();
        assert!(
            text.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"),
            "{text}"
        );
        let record = KeyRecord::parse(&text).unwrap();
        assert_eq!(record, key.record().unwrap());
        assert_eq!(record.key.bits(), Some(2048));
        let PublicKey::Rsa(spki) = &record.key else {
            panic!("{record:?}");
        };
        let mut signature = vec![0; 256];
        let PrivateKey::Rsa(pair) = &key else {
            panic!("{key:?}");
        };
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"mail",
            &mut signature,
        )
        .unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki)
            .verify(b"mail", &signature)
            .unwrap();
    }

    #[test]
    fn keys_are_read_back_in_both_forms_and_never_shown() {
        let key = PrivateKey::generate(Algorithm::Rsa).unwrap();
        let pem = key.to_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(pem.ends_with("-----END PRIVATE KEY-----\n"));
        let again = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(again.record(), key.record());
        // PKCS#8 holds the form of PKCS#1 behind 26 bytes that name the algorithm.
        let (_, der) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
        let old = pem_rfc7468::encode_string(PKCS1, LineEnding::CRLF, &der[26..]).unwrap();
        let old = PrivateKey::from_pem(old.as_bytes()).unwrap();
        assert_eq!(old.record(), key.record());
        assert_eq!(format!("{old:?}"), "PrivateKey(RSA, 2048 bits)");
    }

    #[test]
    fn an_ed25519_key_signs_for_its_record() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        assert_eq!((key.algorithm(), key.bits()), (Algorithm::Ed25519, 256));
        let text = key.record().unwrap().to_string();
        assert!(text.starts_with("v=DKIM1; k=ed25519; p="), "{text}");
        let again = PrivateKey::from_pem(key.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(again.record(), key.record());
        let PrivateKey::Ed25519(pair) = &again else {
            panic!("{again:?}");
        };
        let PublicKey::Ed25519(public) = KeyRecord::parse(&text).unwrap().key else {
            panic!("{text}");
        };
        UnparsedPublicKey::new(&ED25519, public)
            .verify(b"mail", pair.sign(b"mail").as_ref())
            .unwrap();
        let both = BASE64.decode(key.to_base64().unwrap().as_bytes()).unwrap();
        assert_eq!((both.len(), &both[32..]), (64, &public[..]));
        let rsa = PrivateKey::generate(Algorithm::Rsa).unwrap();
        assert_eq!(rsa.to_base64(), None);
    }

    #[test]
    fn the_key_of_rfc_8463_has_the_record_given_there() {
        // RFC 8463, A.2: the seed, in the form of RFC 8410, 7.
        let seed = BASE64
            .decode(b"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
            .unwrap();
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(seed);
        let pem = pem_rfc7468::encode_string(PKCS8, LineEnding::LF, &der).unwrap();
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(
            key.record().unwrap().to_string(),
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
        );
    }

    #[test]
    fn what_is_no_usable_key_is_named() {
        let check = |text: &str, expected: &str| {
            let error = PrivateKey::from_pem(text.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        };
        let pem = |label: &str, der: &[u8]| {
            pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
        };
        check("", "this is no PEM text with a private key: ");
        check("key", "this is no PEM text with a private key: ");
        check(
            &pem("CERTIFICATE", b"x"),
            "this PEM text holds a `CERTIFICATE`; a `PRIVATE KEY` or `RSA PRIVATE KEY` is needed",
        );
        check(&pem(ENCRYPTED, b"x"), "the private key is encrypted");
        check(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
             DEK-Info: AES-128-CBC,3A83E3129FB53D97AF73BE010FFC4CED\n\nAAAA\n\
             -----END RSA PRIVATE KEY-----\n",
            "the private key is encrypted",
        );
        check(
            &pem(PKCS8, b"x"),
            "the private key is neither an RSA key of 2048 to 8192 bits nor one of Ed25519",
        );
    }

    #[test]
    fn records_print_as_they_were_read() {
        for text in [
            format!("v=DKIM1; k=rsa; p={SMALL}"),
            format!("v=DKIM1; k=rsa; h=sha256; s=email; t=y:s; n=note; p={SMALL}"),
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned(),
            "v=DKIM1; p=".to_owned(),
        ] {
            assert_eq!(KeyRecord::parse(&text).unwrap().to_string(), text);
        }
        // Defaults, white space inside the key, another order.
        let (front, back) = SMALL.split_at(70);
        let loose = format!("p={front} {back} ;k=rsa;t=s");
        assert_eq!(
            KeyRecord::parse(&loose).unwrap().to_string(),
            format!("v=DKIM1; k=rsa; t=s; p={SMALL}")
        );
    }

    #[test]
    fn faults_have_places() {
        let check = |text: &str, place: &str, expected: &str| {
            let error = KeyRecord::parse(text).expect_err(text);
            assert_eq!(text.get(error.span.clone()), Some(place), "{text}");
            assert_eq!(error.to_string(), expected, "{text}");
        };
        check("v=DKIM1; k=rsa", "", "`p=` is missing");
        check(
            "v=DKIM2; p=",
            "v=DKIM2",
            "the record does not begin with `v=DKIM1`",
        );
        check(
            "p=; v=DKIM1",
            "v=DKIM1",
            "the record does not begin with `v=DKIM1`",
        );
        check("p=a", "p=a", "`p=a` is wrong: it is the key in base64");
        check(
            "k=dsa; p=",
            "k=dsa",
            "`k=dsa` is wrong: it is `rsa` or `ed25519`",
        );
        check(
            "k=ed25519; p=AAAA",
            "p=AAAA",
            "`p=AAAA` is wrong: a key of Ed25519 has 32 bytes",
        );
    }

    #[test]
    fn lengths_of_keys() {
        let small = BASE64.decode(SMALL.as_bytes()).unwrap();
        assert_eq!(PublicKey::Rsa(small.clone()).bits(), Some(1024));
        // The same key in the form of PKCS#1, behind 22 bytes that name the algorithm.
        assert_eq!(PublicKey::Rsa(small[22..].to_vec()).bits(), Some(1024));
        assert_eq!(PublicKey::Rsa(small[..100].to_vec()).bits(), None);
        assert_eq!(PublicKey::Rsa(b"no key".to_vec()).bits(), None);
        assert_eq!(PublicKey::Revoked.bits(), None);
        assert_eq!(PublicKey::Ed25519([0; 32]).bits(), Some(256));
    }

    #[test]
    fn the_record_stands_below_its_domain() {
        let domain = "example.org".parse().unwrap();
        let owner = KeyRecord::owner("s1", &domain).unwrap();
        assert_eq!(owner.host(), "s1._domainkey.example.org");
        assert!(KeyRecord::owner("", &domain).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(v=DKIM1;)?[ -~\u{fc}]{0,80}") {
            if let Ok(record) = KeyRecord::parse(&text) {
                let printed = record.to_string();
                prop_assert_eq!(KeyRecord::parse(&printed).unwrap().to_string(), printed);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = rsa_bits(&bytes);
            let _ = PrivateKey::from_pem(&bytes);
        }
    }
}
