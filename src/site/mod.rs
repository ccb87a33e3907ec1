//! The site: what the operator declares in `mailfix.toml`.
//!
//! Owns [`Site`], its schema and its validation: after [`Site::parse`] every name is a domain
//! name, every address one the world can reach, every provider and profile one that exists.
//! Must not know what a platform is like, nor what DNS says.

mod data;
mod declared;
mod validate;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::IpNet;

use crate::data_file::{self, DataError};
use crate::dns::Name;
use crate::dns::update::ServerName;
use crate::mail::mta_sts::Mode;
use crate::provider::Provider;
use crate::remedy_sheet::RemedyId;

pub use data::{All, Control, Ipv6Wish, Pace, Policy, Srs};
pub use declared::{exchange, tls_reports};
pub use validate::{Verdict, address, domain_name, host_name, network, reports, selector, signer};

/// A site file that is wrong: every fault in it, with its place.
pub type SiteError = DataError;

/// What the operator declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The profile's name or the path of its file, if the operator chose one.
    pub profile: Option<String>,
    /// Whether addresses that the world cannot reach are allowed: laboratories, NAT.
    pub allow_non_global: bool,
    /// The server.
    pub server: Server,
    /// Who controls which DNS zone.
    pub dns: Dns,
    /// The domains that mail is sent for, in lower case; never empty.
    pub domains: Vec<String>,
    /// The names that no mail is sent for, in lower case.
    pub silent_domains: Vec<String>,
    /// The hosts that take mail, of the domains that say so; none where a domain takes no mail.
    pub exchanges: BTreeMap<String, Vec<Exchange>>,
    /// Further servers that send for these domains.
    pub other_servers: Vec<OtherServer>,
    /// SPF records of third parties that send for these domains.
    pub spf_includes: Vec<String>,
    /// How the domains' SPF record ends.
    pub spf_all: All,
    /// The DKIM key that mail is signed with, if it is.
    pub dkim: Option<Dkim>,
    /// The DMARC record.
    pub dmarc: Dmarc,
    /// Where reports about TLS go: `mailto:` and `https:` places, separated by commas.
    pub tls_reports: Option<String>,
    /// The policy about TLS, if there is to be one.
    pub mta_sts: Option<MtaSts>,
    /// Wishes about providers, by their id.
    pub providers: BTreeMap<String, ProviderWish>,
    /// The remedies to use where one is needed, in their own order; `None` leaves the choice to
    /// mailfix.
    pub remedies: Option<Vec<RemedyId>>,
    /// Whether a job looks every day which domains a provider hosts, if the operator has said.
    pub timer: Option<bool>,
    /// What rewrites the senders of forwarded mail, if the operator has said.
    pub srs: Option<Srs>,
    /// Codes of findings that are not to be shown.
    pub silence: Vec<String>,
}

/// The server that mail leaves from; it has at least one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its host name, in lower case.
    pub hostname: String,
    /// A name that has the addresses of this and of every other server, in lower case.
    pub shared_name: Option<String>,
    /// The IPv4 addresses that mail leaves from.
    pub ipv4: Vec<Ipv4Addr>,
    /// The IPv6 addresses that mail leaves from.
    pub ipv6: Vec<Ipv6Addr>,
}

/// Who controls which DNS zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The zones of the server's name and of the domains.
    pub forward: Control,
    /// The reverse zones of the IPv4 addresses.
    pub reverse4: Control,
    /// The reverse zones of the IPv6 addresses.
    pub reverse6: Control,
    /// Networks whose reverse zone differs.
    pub reverse: Vec<Reverse>,
    /// The server that takes changes of the operator's own zones, if one does.
    pub update: Option<UpdateBy>,
}

/// How zones are changed: by signed updates to a server.
// RFC 2136; RFC 8945
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateBy {
    /// The server.
    pub server: ServerName,
    /// The file of the key, as `tsig-keygen` writes it.
    pub key: Utf8PathBuf,
}

/// A network whose reverse zone is controlled otherwise than its family's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The network.
    pub network: IpNet,
    /// Who controls its reverse zone.
    pub control: Control,
}

/// A further server that sends for the domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherServer {
    /// Its host name, in lower case.
    pub name: String,
    /// Its IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

/// A host that takes mail for a domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// Lower is tried first.
    pub preference: u16,
    /// Its name, in lower case.
    pub host: String,
}

/// The policy about TLS of mail to the domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtaSts {
    /// What senders do where it is not kept.
    pub mode: Mode,
    /// How long senders may keep it, in seconds.
    pub max_age: u32,
}

/// What mail is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dkim {
    /// The selector its record is published under.
    pub selector: String,
    /// The file of the private key; the public part is derived from it.
    pub key: Utf8PathBuf,
    /// A second key, of Ed25519, that signs beside it.
    pub ed25519: Option<SecondKey>,
    /// Who signs; `None` where the operator has not said.
    pub signer: Option<SignerWish>,
    /// Milters and content filters that neither sign nor change what is signed, as Postfix
    /// names them.
    pub beside: Vec<String>,
}

/// A key that mail is signed with beside the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondKey {
    /// The selector its record is published under.
    pub selector: String,
    /// The file of the private key.
    pub key: Utf8PathBuf,
}

/// Who signs mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerWish {
    /// A program that mailfix sets up, by its id.
    SetUp(String),
    /// Something the operator takes care of.
    Other,
}

impl SignerWish {
    /// The word for what the operator takes care of.
    pub const OTHER: &str = "other";

    /// The word for it in the site file.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::SetUp(id) => id,
            Self::Other => Self::OTHER,
        }
    }
}

impl Dkim {
    /// Selector and file of each key, the one every receiver can check first.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Utf8Path)> {
        let second = self.ed25519.as_ref();
        let second = second.map(|second| (second.selector.as_str(), second.key.as_path()));
        std::iter::once((self.selector.as_str(), self.key.as_path())).chain(second)
    }
}

/// What the DMARC record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dmarc {
    /// What receivers shall do with mail that fails; `None` leaves it as DNS has it.
    pub policy: Option<Policy>,
    /// Where they send aggregate reports: `mailto:` addresses, separated by commas.
    pub reports: Option<String>,
}

/// What the operator wishes about one provider.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProviderWish {
    /// Whether mail goes there over IPv6.
    pub ipv6: Ipv6Wish,
    /// How fast mail goes there; gentle only where its file has limits to keep to.
    pub pace: Pace,
    /// Domains that the provider hosts and that mail goes to, in lower case.
    ///
    /// Postfix before 3.0 cannot tell them by their MX.
    pub hosted_domains: Vec<String>,
}

impl Site {
    /// Reads a site file.
    ///
    /// # Errors
    /// When anything in it is wrong; nothing is guessed.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, SiteError> {
        Self::parse_with(bytes, path, false)
    }

    /// Reads a site file, allowing addresses that the world cannot reach even if it does not.
    ///
    /// # Errors
    /// When anything in it is wrong.
    pub fn parse_with(
        bytes: impl AsRef<[u8]>,
        path: &Utf8Path,
        allow_non_global: bool,
    ) -> Result<Self, SiteError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data = data_file::parse(text, path)?;
        validate::site(data, text, path, allow_non_global)
    }

    /// Tells who controls the reverse zone of an address: the smallest network that has it
    /// decides, and the family where none does.
    #[must_use]
    pub fn reverse_control(&self, address: IpAddr) -> Control {
        self.dns
            .reverse
            .iter()
            .filter(|reverse| reverse.network.contains(&address))
            .max_by_key(|reverse| reverse.network.prefix_len())
            .map_or(
                match address {
                    IpAddr::V4(_) => self.dns.reverse4,
                    IpAddr::V6(_) => self.dns.reverse6,
                },
                |reverse| reverse.control,
            )
    }

    /// Tells who controls the zone of a name: that of an address where it is the reverse name of
    /// one that sends, else the zone of the domains.
    #[must_use]
    pub fn control_of(&self, owner: &Name) -> Control {
        self.sending_addresses()
            .find(|&address| Name::reverse_of(address) == *owner)
            .map_or(self.dns.forward, |address| self.reverse_control(address))
    }

    /// Lists the addresses that mail leaves from, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.server.ipv4.iter().copied().map(IpAddr::V4);
        v4.chain(self.server.ipv6.iter().copied().map(IpAddr::V6))
    }

    /// Lists every address that sends for the domains, the other servers' included.
    pub fn sending_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses()
            .chain(self.other_servers.iter().flat_map(|server| {
                let v4 = server.ipv4.iter().copied().map(IpAddr::V4);
                v4.chain(server.ipv6.iter().copied().map(IpAddr::V6))
            }))
    }

    /// Gives the wish about a provider, which is the default where the operator has none.
    #[must_use]
    pub fn wish(&self, provider: &str) -> ProviderWish {
        self.providers.get(provider).cloned().unwrap_or_default()
    }

    /// Tells whether mail goes to a provider no faster than it takes it.
    #[must_use]
    pub fn is_gentle_to(&self, provider: &str) -> bool {
        let wish = self.providers.get(provider);
        wish.is_some_and(|wish| wish.pace == Pace::Gentle)
    }

    /// Lists the receivers that plans by this site look at: those that demand something, and
    /// those that mail goes to at a pace of its own.
    #[must_use]
    pub fn receivers(&self) -> Vec<Provider> {
        let is_looked_at =
            |provider: &&Provider| provider.has_demands() || self.is_gentle_to(&provider.id);
        let receivers = Provider::brought().iter().filter(is_looked_at);
        receivers.cloned().collect()
    }
}

#[cfg(test)]
mod tests;
