//! The questions' ids, and answers by them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{NONE, WizardError, YES};
use crate::data_file::unknown;
use crate::dns::update::ServerName;
use crate::profile::Profile;
use crate::site::{self, Control, OtherServer, Site, address, domain_name, host_name};
use crate::spelling::near_miss;

/// A question of the wizard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// What kind of host it is.
    Profile,
    /// The server's name.
    Hostname,
    /// The IPv4 addresses that mail leaves from.
    Ipv4,
    /// The IPv6 addresses that mail leaves from.
    Ipv6,
    /// The domains that mail is sent for.
    Domain,
    /// Who controls the domains' zones.
    ForwardDns,
    /// The server that takes changes of them, and the file of the key, as `SERVER FILE`.
    DnsUpdate,
    /// Who controls the reverse zones of the IPv4 addresses.
    ReverseDns4,
    /// Who controls the reverse zones of the IPv6 addresses.
    ReverseDns6,
    /// Further servers, as `NAME=ADDRESS+ADDRESS`.
    OtherServers,
    /// SPF records of third parties.
    ThirdParties,
    /// The DMARC policy.
    Dmarc,
    /// Where DMARC reports go.
    DmarcReports,
    /// The DKIM selector.
    DkimSelector,
    /// The file of the DKIM key.
    DkimKey,
    /// Who signs mail.
    DkimSigner,
    /// The selector of the second key, of Ed25519.
    Ed25519Selector,
    /// The file of the second key.
    Ed25519Key,
    /// How the SPF record ends.
    SpfAll,
    /// Whether a job makes the list of hosted domains anew every day.
    Timer,
}

/// The answer that zones are changed by updates: `self` with a server and a key.
pub(super) const UPDATE: &str = "update";

/// Words that can be answered, and what they mean.
type Choices = &'static [(&'static str, &'static str)];

const FORWARD: Choices = &[
    (
        "self",
        "I can change its records, on a web page or in a file",
    ),
    (UPDATE, "I can, by signed updates to a server (RFC 2136)"),
    ("provider", "somebody changes them when I ask"),
    ("none", "nobody will change them"),
];

const REVERSE: Choices = &[
    ("self", "I can set the PTR records"),
    ("provider", "the provider sets them when I ask"),
    ("none", "nobody will set them"),
];

const POLICIES: Choices = &[
    ("none", "deliver it, and report"),
    ("quarantine", "treat it as suspicious"),
    ("reject", "refuse it"),
];

const ENDS: Choices = &[
    ("~all", "others are probably not authorized"),
    ("-all", "others are not authorized"),
];

const TIMER: Choices = &[
    ("yes", "a daily job runs `mailfix refresh`"),
    ("no", "I run `mailfix refresh` myself"),
];

impl Id {
    /// Every question, in the order of the site file.
    pub const ALL: [Self; 20] = [
        Self::Profile,
        Self::Hostname,
        Self::Ipv4,
        Self::Ipv6,
        Self::Domain,
        Self::ForwardDns,
        Self::DnsUpdate,
        Self::ReverseDns4,
        Self::ReverseDns6,
        Self::OtherServers,
        Self::ThirdParties,
        Self::Dmarc,
        Self::DmarcReports,
        Self::DkimSelector,
        Self::DkimKey,
        Self::DkimSigner,
        Self::Ed25519Selector,
        Self::Ed25519Key,
        Self::SpfAll,
        Self::Timer,
    ];

    /// The questions that are asked, in order; the others have defaults that fit nearly always,
    /// or, as [`Self::Timer`], only have a sense once the host was looked at.
    pub const ASKED: [Self; 12] = [
        Self::Profile,
        Self::Hostname,
        Self::Ipv4,
        Self::Ipv6,
        Self::Domain,
        Self::ForwardDns,
        Self::DnsUpdate,
        Self::ReverseDns4,
        Self::ReverseDns6,
        Self::OtherServers,
        Self::ThirdParties,
        Self::Dmarc,
    ];

    /// The word for it on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Hostname => "hostname",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Domain => "domain",
            Self::ForwardDns => "forward-dns",
            Self::DnsUpdate => "dns-update",
            Self::ReverseDns4 => "reverse-dns4",
            Self::ReverseDns6 => "reverse-dns6",
            Self::OtherServers => "other-servers",
            Self::ThirdParties => "third-parties",
            Self::Dmarc => "dmarc",
            Self::DmarcReports => "dmarc-reports",
            Self::DkimSelector => "dkim-selector",
            Self::DkimKey => "dkim-key",
            Self::DkimSigner => "dkim-signer",
            Self::Ed25519Selector => "ed25519-selector",
            Self::Ed25519Key => "ed25519-key",
            Self::SpfAll => "spf-all",
            Self::Timer => "timer",
        }
    }

    /// Finds the question of that word.
    ///
    /// # Errors
    /// When there is none; the error lists them.
    pub fn of(word: &str) -> Result<Self, WizardError> {
        let found = Self::ALL.into_iter().find(|id| id.as_str() == word);
        found.ok_or_else(|| WizardError::UnknownQuestion {
            id: word.to_owned(),
            near_miss: near_miss(word, Self::ALL.map(Self::as_str)),
        })
    }

    /// Writes an answer as it is typed on the command line.
    #[must_use]
    pub fn flag(self, value: &str) -> String {
        let id = self.as_str();
        // Of those that have a flag of their own all but one come first in the site file.
        if self <= Self::ReverseDns6 || self == Self::Timer {
            format!("--{id} {}", quoted(value))
        } else {
            format!("--set {}", quoted(&format!("{id}={value}")))
        }
    }

    /// The question in a few words.
    pub(super) fn prompt(self) -> &'static str {
        match self {
            Self::Profile => "Kind of host",
            Self::Hostname => "Host name of the server",
            Self::Ipv4 => "IPv4 addresses",
            Self::Ipv6 => "IPv6 addresses",
            Self::Domain => "Domains",
            Self::ForwardDns => "Who controls the domains' DNS",
            Self::DnsUpdate => "Server and key of updates",
            Self::ReverseDns4 => "Who controls reverse DNS of IPv4",
            Self::ReverseDns6 => "Who controls reverse DNS of IPv6",
            Self::OtherServers => "Other servers",
            Self::ThirdParties => "Third parties",
            Self::Dmarc => "DMARC policy",
            Self::DmarcReports => "DMARC reports to",
            Self::DkimSelector => "DKIM selector",
            Self::DkimKey => "DKIM key file",
            Self::DkimSigner => "Who signs mail",
            Self::Ed25519Selector => "Selector of the Ed25519 key",
            Self::Ed25519Key => "Ed25519 key file",
            Self::SpfAll => "End of the SPF record",
            Self::Timer => "Look for hosted domains every day",
        }
    }

    /// Why it is asked, in one line.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Profile => "It says where Postfix keeps its files and whether it runs in a jail.",
            Self::Hostname => "Receivers look this name up and compare it with the address.",
            Self::Ipv4 | Self::Ipv6 => {
                "The addresses that other servers see mail come from, or `none`"
            }
            Self::Domain => "Each domain in senders' addresses needs SPF, DKIM and DMARC records.",
            Self::ForwardDns => "It decides who is told which records to publish.",
            Self::DnsUpdate => {
                "For `mailfix dns push`: `192.0.2.53 /etc/mailfix/tsig.key`, as tsig-keygen writes it."
            }
            Self::ReverseDns4 => "Receivers want a PTR record for the address.",
            Self::ReverseDns6 => {
                "Without a PTR record for the address Google refuses mail over IPv6."
            }
            Self::OtherServers => {
                "SPF must name them too: `backup.example.org=192.0.2.1+2001:db8::1`, or `none`."
            }
            Self::ThirdParties => "Their SPF records are included: `_spf.example.net`, or `none`.",
            Self::Dmarc => "What receivers shall do with mail that fails SPF and DKIM.",
            Self::DmarcReports => "Receivers send daily reports there.",
            Self::DkimSelector => "The name of the key's DNS record, or `none` for no DKIM.",
            Self::DkimKey | Self::Ed25519Key => "Where the private key is kept.",
            Self::DkimSigner => {
                "`opendkim` or `rspamd`, which mailfix sets up; `other` for what you see to; or `none`."
            }
            Self::Ed25519Selector => "A second key, which some receivers check; or `none`.",
            Self::SpfAll => "What receivers shall think of all other senders.",
            Self::Timer => {
                "This Postfix must be told each domain that Google hosts, and domains move."
            }
        }
    }

    /// The words it can be answered with, if they are few.
    pub(super) fn choices(self) -> Option<Choices> {
        match self {
            Self::ForwardDns => Some(FORWARD),
            Self::ReverseDns4 | Self::ReverseDns6 => Some(REVERSE),
            Self::Dmarc => Some(POLICIES),
            Self::SpfAll => Some(ENDS),
            Self::Timer => Some(TIMER),
            _ => None,
        }
    }

    /// Judges an answer by the rules of the site file; gives it in the form that is compared.
    ///
    /// # Errors
    /// When it is refused; the message says why.
    pub fn judge(self, value: &str, allow_non_global: bool) -> Result<String, String> {
        let value = value.trim();
        let words = |finding: Box<crate::finding::Finding>| finding.in_words();
        if let Some(choices) = self.choices() {
            let allowed = || choices.iter().map(|(word, _)| *word);
            if allowed().any(|word| word == value) {
                return Ok(value.to_owned());
            }
            let allowed = allowed().collect::<Vec<_>>();
            return Err(unknown("unknown-value", "answer", value, allowed).in_words());
        }
        match self {
            Self::Profile if Profile::is_path(value) || Profile::names().any(|n| n == value) => {
                Ok(value.to_owned())
            }
            Self::Profile => Err(Profile::unknown(value).in_words()),
            Self::Hostname => host_name(value).map_err(words),
            Self::Ipv4 => list(value, true, |one| {
                let address = address::<Ipv4Addr>(one, allow_non_global).map_err(words)?;
                Ok(address.to_string())
            }),
            Self::Ipv6 => list(value, true, |one| {
                let address = address::<Ipv6Addr>(one, allow_non_global).map_err(words)?;
                Ok(address.to_string())
            }),
            Self::Domain => list(value, false, |one| domain_name(one).map_err(words)),
            Self::ThirdParties => list(value, true, |one| domain_name(one).map_err(words)),
            Self::OtherServers => list(value, true, |one| {
                other_server(one, allow_non_global).map(|server| written(&server))
            }),
            Self::DnsUpdate => dns_update(value).map(|(server, key)| format!("{server} {key}")),
            Self::DmarcReports | Self::DkimSelector | Self::DkimSigner | Self::Ed25519Selector
                if value == NONE =>
            {
                Ok(NONE.to_owned())
            }
            Self::DmarcReports => site::reports(value).map_err(words),
            Self::DkimSelector | Self::Ed25519Selector => site::selector(value).map_err(words),
            Self::DkimSigner => site::signer(value)
                .map(|signer| signer.word().to_owned())
                .map_err(words),
            Self::DkimKey | Self::Ed25519Key
                if value.starts_with('/') && !value.contains(char::is_control) =>
            {
                Ok(value.to_owned())
            }
            Self::DkimKey | Self::Ed25519Key => Err(format!("`{value}` is not an absolute path")),
            Self::ForwardDns
            | Self::ReverseDns4
            | Self::ReverseDns6
            | Self::Dmarc
            | Self::SpfAll
            | Self::Timer => unreachable!("these have choices"),
        }
    }
}

/// Judges every value of a list; `none` is the empty one.
fn list(
    text: &str,
    may_be_empty: bool,
    judge: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut values: Vec<String> = Vec::new();
    let items = || text.split([',', ' ', '\t']).filter(|item| !item.is_empty());
    if items().eq([NONE]) && may_be_empty {
        return Ok(NONE.to_owned());
    }
    for item in items() {
        let value = judge(item)?;
        if values.contains(&value) {
            return Err(format!("`{value}` stands there twice"));
        }
        values.push(value);
    }
    if values.is_empty() {
        return Err("an answer is needed".to_owned());
    }
    Ok(values.join(", "))
}

/// Reads `SERVER FILE`.
pub(super) fn dns_update(text: &str) -> Result<(String, &str), String> {
    let Some((server, key)) = text.split_once([' ', '\t']) else {
        return Err(format!(
            "`{text}` names no key: write `{text} /etc/mailfix/tsig.key`"
        ));
    };
    let key = key.trim_start();
    let server = server.parse::<ServerName>();
    let server = server.map_err(|error| error.to_string())?.to_string();
    if key.starts_with('/') && !key.contains(char::is_control) {
        Ok((server, key))
    } else {
        Err(format!("`{key}` is not an absolute path"))
    }
}

/// Reads `NAME=ADDRESS+ADDRESS`.
fn other_server(text: &str, allow_non_global: bool) -> Result<OtherServer, String> {
    let Some((name, addresses)) = text.split_once('=') else {
        return Err(format!(
            "`{text}` names no address: write `{text}=ADDRESS`, several with `+` between them"
        ));
    };
    let mut server = OtherServer {
        name: host_name(name).map_err(|finding| finding.in_words())?,
        ipv4: Vec::new(),
        ipv6: Vec::new(),
    };
    for one in addresses.split('+') {
        let judged = if one.contains(':') {
            address(one, allow_non_global).map(|address| server.ipv6.push(address))
        } else {
            address(one, allow_non_global).map(|address| server.ipv4.push(address))
        };
        judged.map_err(|finding| finding.in_words())?;
    }
    Ok(server)
}

fn written(server: &OtherServer) -> String {
    let v4 = server.ipv4.iter().map(ToString::to_string);
    let v6 = server.ipv6.iter().map(ToString::to_string);
    let addresses: Vec<String> = v4.chain(v6).collect();
    format!("{}={}", server.name, addresses.join("+"))
}

/// Quotes a word for a shell where it needs it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Answers by question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Id, String>);

impl Answers {
    /// Takes `ID=VALUE`, as `--set` has it; it replaces an earlier answer.
    ///
    /// # Errors
    /// When there is no such question or no `=`.
    pub fn set(&mut self, assignment: &str) -> Result<(), WizardError> {
        let Some((id, value)) = assignment.split_once('=') else {
            return Err(WizardError::NoAssignment {
                text: assignment.to_owned(),
            });
        };
        self.insert(Id::of(id.trim())?, value.trim());
        Ok(())
    }

    /// Takes an answer; it replaces an earlier one.
    pub fn insert(&mut self, id: Id, value: impl Into<String>) {
        self.0.insert(id, value.into());
    }

    /// Gives an answer.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }

    /// Tells whether there is an answer.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.0.contains_key(&id)
    }

    /// Lists the answers in the order of the site file.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &str)> {
        self.0.iter().map(|(id, value)| (*id, value.as_str()))
    }

    /// Lists the values of a list; none for `none`.
    pub fn list(&self, id: Id) -> impl Iterator<Item = &str> {
        self.get(id)
            .filter(|value| *value != NONE)
            .into_iter()
            .flat_map(|value| value.split(", "))
    }

    /// Lists the other servers.
    pub(super) fn other_servers(&self) -> Vec<OtherServer> {
        self.list(Id::OtherServers)
            .filter_map(|text| other_server(text, true).ok())
            .collect()
    }

    /// Gives the answers that a site file stands for.
    #[must_use]
    pub fn of_site(site: &Site) -> Self {
        fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
            let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
            if values.is_empty() {
                NONE.to_owned()
            } else {
                values.join(", ")
            }
        }
        let mut answers = Self::default();
        if let Some(profile) = &site.profile {
            answers.insert(Id::Profile, profile);
        }
        answers.insert(Id::Hostname, &site.server.hostname);
        answers.insert(Id::Ipv4, joined(&site.server.ipv4));
        answers.insert(Id::Ipv6, joined(&site.server.ipv6));
        answers.insert(Id::Domain, joined(&site.domains));
        match &site.dns.update {
            Some(update) if site.dns.forward == Control::Own => {
                answers.insert(Id::ForwardDns, UPDATE);
                answers.insert(Id::DnsUpdate, format!("{} {}", update.server, update.key));
            }
            _ => answers.insert(Id::ForwardDns, site.dns.forward.to_string()),
        }
        if !site.server.ipv4.is_empty() {
            answers.insert(Id::ReverseDns4, site.dns.reverse4.to_string());
        }
        if !site.server.ipv6.is_empty() {
            answers.insert(Id::ReverseDns6, site.dns.reverse6.to_string());
        }
        let servers = site.other_servers.iter().map(written);
        answers.insert(Id::OtherServers, joined(servers));
        answers.insert(Id::ThirdParties, joined(&site.spf_includes));
        if let Some(policy) = site.dmarc.policy {
            answers.insert(Id::Dmarc, policy.to_string());
        }
        answers.insert(Id::DmarcReports, joined(&site.dmarc.reports));
        match &site.dkim {
            Some(dkim) => {
                answers.insert(Id::DkimSelector, &dkim.selector);
                answers.insert(Id::DkimKey, dkim.key.as_str());
                if let Some(signer) = &dkim.signer {
                    answers.insert(Id::DkimSigner, signer.word());
                }
                if let Some(second) = &dkim.ed25519 {
                    answers.insert(Id::Ed25519Selector, &second.selector);
                    answers.insert(Id::Ed25519Key, second.key.as_str());
                }
            }
            None => answers.insert(Id::DkimSelector, NONE),
        }
        answers.insert(Id::SpfAll, site.spf_all.to_string());
        if let Some(timer) = site.timer {
            answers.insert(Id::Timer, if timer { YES } else { "no" });
        }
        answers
    }
}
