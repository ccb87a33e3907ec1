//! The schema of `mailfix.toml` as it is written, before validation.
//!
//! Every value that a later fault may point at keeps its place.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use crate::mail::mta_sts::Mode;

/// Who controls a DNS zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// The operator.
    #[serde(rename = "self")]
    Own,
    /// The provider of the line or the machine, who changes it when asked.
    Provider,
    /// Nobody who would change it.
    None,
}

/// What the operator wishes about IPv6 to one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6Wish {
    /// mailfix decides by what DNS says.
    #[default]
    Auto,
    /// Mail may go there over IPv6, whatever DNS says.
    Keep,
    /// Mail never goes there over IPv6.
    Avoid,
}

/// How fast mail goes to one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// As fast as Postfix sends to anybody.
    #[default]
    Normal,
    /// No faster than the provider takes it: as the limits in its file say.
    Gentle,
}

/// What rewrites the envelope sender of mail that is forwarded to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srs {
    /// `PostSRSd`.
    Postsrsd,
    /// Nothing, and the operator knows.
    None,
}

/// A DMARC policy.
// RFC 9989, "p"
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Deliver as if there were no record.
    #[default]
    None,
    /// Treat as suspicious.
    Quarantine,
    /// Refuse.
    Reject,
}

/// How an SPF record ends: the qualifier of its `all`.
// RFC 7208, 5.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
pub enum All {
    /// `~all`: other senders are probably not authorized.
    #[default]
    #[serde(rename = "~all")]
    SoftFail,
    /// `-all`: other senders are not authorized.
    #[serde(rename = "-all")]
    Fail,
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "self",
            Self::Provider => "provider",
            Self::None => "none",
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        })
    }
}

impl fmt::Display for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SoftFail => "~all",
            Self::Fail => "-all",
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Data {
    pub profile: Option<Spanned<String>>,
    #[serde(default)]
    pub allow_non_global: bool,
    pub server: Spanned<Server>,
    #[serde(default)]
    pub dns: Dns,
    #[serde(default, rename = "domain")]
    pub domains: Vec<Domain>,
    #[serde(default, rename = "other_server")]
    pub other_servers: Vec<Spanned<OtherServer>>,
    #[serde(default)]
    pub third_parties: ThirdParties,
    pub dkim: Option<Dkim>,
    #[serde(default)]
    pub dmarc: Dmarc,
    pub tls_rpt: Option<TlsRpt>,
    pub mta_sts: Option<MtaSts>,
    #[serde(default)]
    pub spf: Spf,
    #[serde(default)]
    pub providers: BTreeMap<Spanned<String>, Provider>,
    #[serde(default)]
    pub remedies: Remedies,
    #[serde(default)]
    pub refresh: Refresh,
    #[serde(default)]
    pub forwarding: Forwarding,
    #[serde(default)]
    pub checks: Checks,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Forwarding {
    pub srs: Option<Srs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Server {
    pub hostname: Spanned<String>,
    pub shared_name: Option<Spanned<String>>,
    #[serde(default)]
    pub ipv4: Vec<Spanned<String>>,
    #[serde(default)]
    pub ipv6: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Dns {
    pub forward: Control,
    pub reverse4: Control,
    pub reverse6: Control,
    pub reverse: Vec<Reverse>,
    pub update: Option<Update>,
}

impl Default for Dns {
    /// The usual server on the net: its own domains, its provider's addresses.
    fn default() -> Self {
        Self {
            forward: Control::Own,
            reverse4: Control::Provider,
            reverse6: Control::Provider,
            reverse: Vec::new(),
            update: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Update {
    pub server: Spanned<String>,
    pub key: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Reverse {
    pub network: Spanned<String>,
    pub control: Control,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Domain {
    pub name: Spanned<String>,
    pub mx: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default = "yes")]
    pub sends: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct OtherServer {
    pub name: Spanned<String>,
    #[serde(default)]
    pub ipv4: Vec<Spanned<String>>,
    #[serde(default)]
    pub ipv6: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct ThirdParties {
    pub spf_includes: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Dkim {
    pub selector: Spanned<String>,
    pub key: Spanned<String>,
    pub signer: Option<Spanned<String>>,
    #[serde(default)]
    pub beside: Vec<String>,
    pub ed25519: Option<SecondKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct SecondKey {
    pub selector: Spanned<String>,
    pub key: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Dmarc {
    pub policy: Option<Policy>,
    pub reports: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct TlsRpt {
    pub reports: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct MtaSts {
    #[serde(default)]
    pub mode: Mode,
    pub max_age: Option<Spanned<i64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Spf {
    pub all: All,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Provider {
    pub ipv6: Option<Spanned<Ipv6Wish>>,
    pub pace: Option<Spanned<Pace>>,
    pub hosted_domains: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Remedies {
    #[serde(rename = "use")]
    pub chosen: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Refresh {
    pub timer: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Checks {
    pub silence: Vec<String>,
}
