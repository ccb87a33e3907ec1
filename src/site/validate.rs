//! From the site file as written to a [`Site`] that holds only what can be true.
//!
//! Owns the rules, each told once: [`host_name`], [`domain_name`], [`address`] and their
//! kin answer with the fault in words, so that the wizard refuses an answer exactly where the
//! file would be refused.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::IpNet;
use toml::Spanned;

use super::data::{self, Data};
use super::declared;
use super::{
    Dkim, Dmarc, Dns, OtherServer, Pace, ProviderWish, Reverse, SecondKey, Server, SignerWish,
    Site, SiteError, UpdateBy,
};
use crate::address::Scope;
use crate::data_file::{self, Faults};
use crate::dns::update::ServerNameError;
use crate::embedded::SIGNERS;
use crate::finding::Finding;
use crate::profile::Profile;
use crate::provider::Provider;
use crate::remedy_sheet::RemedyId;
use crate::spelling::{listed, near_miss};

/// Length of the longest domain name in text, without the final dot (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// Length of the longest label of a domain name (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// What a rule says of a value: what it means, or why it is refused.
pub type Verdict<T> = Result<T, Box<Finding>>;

/// Validates a domain name; gives it in lower case.
///
/// Labels may begin with `_`, as those of SPF and DKIM records do.
///
/// # Errors
/// When it is none; the finding has no place yet.
pub fn domain_name(text: &str) -> Verdict<String> {
    name(text, true, "domain name", "example.org")
}

/// Validates the name of a host: a domain name of letters, digits and hyphens (RFC 1123, 2.1).
///
/// # Errors
/// When it is none; the finding has no place yet.
pub fn host_name(text: &str) -> Verdict<String> {
    name(text, false, "host name", "mail.example.org")
}

fn name(text: &str, underscores: bool, what: &str, example: &str) -> Verdict<String> {
    match fault_in_name(text, underscores, what, example) {
        None => Ok(text.to_ascii_lowercase()),
        Some((title, None)) => Err(Box::new(Finding::error("bad-name", title))),
        Some((title, Some(fix))) => Err(Box::new(Finding::error("bad-name", title).mend(fix))),
    }
}

/// Finds the first fault in a name: what is wrong and, where that is plain, what to do.
fn fault_in_name(
    text: &str,
    underscores: bool,
    what: &str,
    example: &str,
) -> Option<(String, Option<String>)> {
    if text.is_empty() {
        return Some((format!("the {what} is empty"), None));
    }
    if !text.is_ascii() {
        return Some((
            format!("`{text}` is not ASCII"),
            Some("write it in the form that DNS has, as `xn--…`".to_owned()),
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some((format!("`{text}` is an address, not a {what}"), None));
    }
    if let Some(rest) = text.strip_suffix('.') {
        return Some((
            format!("`{text}` ends in a dot"),
            Some(format!("write `{rest}`")),
        ));
    }
    if text.len() > LONGEST_NAME {
        let letters = text.len();
        return Some((
            format!("the {what} has {letters} letters; DNS allows {LONGEST_NAME}"),
            None,
        ));
    }
    if !text.contains('.') {
        return Some((
            format!("`{text}` is not a full {what}"),
            Some(format!("write all of it, such as `{example}`")),
        ));
    }
    let no_name = |why: String| Some((format!("`{text}` is no {what}: {why}"), None));
    for label in text.split('.') {
        let stranger = label
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || (underscores && *c == '_')));
        if let Some(c) = stranger {
            return no_name(format!("`{c}` cannot stand in one"));
        }
        if label.is_empty() {
            return no_name("nothing stands between two dots".to_owned());
        }
        if label.len() > LONGEST_LABEL {
            return no_name(format!("`{label}` is longer than {LONGEST_LABEL} letters"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return no_name(format!("`{label}` begins or ends with a hyphen"));
        }
    }
    // A name whose last label is a number is taken for an address (RFC 1123, 2.1).
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return no_name("its last part is a number".to_owned());
    }
    None
}

/// A family of addresses.
pub trait Family: std::str::FromStr + Into<IpAddr> + Copy + Eq + std::hash::Hash {
    /// Its name.
    const NAME: &'static str;
    /// The key its addresses stand under in `mailfix.toml`.
    const KEY: &'static str;
}

impl Family for Ipv4Addr {
    const NAME: &'static str = "IPv4";
    const KEY: &'static str = "ipv4";
}

impl Family for Ipv6Addr {
    const NAME: &'static str = "IPv6";
    const KEY: &'static str = "ipv6";
}

/// Validates an address that the world must be able to reach.
///
/// # Errors
/// When it is none, of the other family, or not public unless that is allowed; the finding
/// has no place yet.
pub fn address<F: Family>(text: &str, allow_non_global: bool) -> Verdict<F> {
    let Ok(address) = text.parse::<F>() else {
        let family = F::NAME;
        let finding = Finding::error(
            "bad-address",
            format!("`{text}` is not an {family} address"),
        );
        return Err(Box::new(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => finding.mend("it is an IPv4 address: it belongs to `ipv4`"),
            Ok(IpAddr::V6(_)) => finding.mend("it is an IPv6 address: it belongs to `ipv6`"),
            Err(_) if text.parse::<IpNet>().is_ok() => {
                finding.mend("it is a network: write the single addresses that mail leaves from")
            }
            Err(_) if text.contains('%') => finding.mend("write it without the interface"),
            Err(_) => finding,
        }));
    };
    let scope = Scope::of(address.into());
    // These can never be a source, not even in a laboratory.
    let never = matches!(scope, Scope::Unspecified | Scope::Multicast | Scope::Mapped);
    if scope.is_global() || (allow_non_global && !never) {
        return Ok(address);
    }
    let finding = Finding::error("not-public", format!("`{text}` is {scope}"))
        .because("the address must be the one that other mail servers see");
    Err(Box::new(match scope {
        Scope::Mapped => finding.mend("write it as IPv4, under `ipv4`"),
        Scope::Unspecified | Scope::Multicast => finding,
        Scope::Private | Scope::Shared => finding.mend(
            "write the public address before the NAT; in a laboratory, set \
             `allow_non_global = true` or give `--allow-non-global`",
        ),
        _ => finding
            .mend("in a laboratory, set `allow_non_global = true` or give `--allow-non-global`"),
    }))
}

/// Validates the path of a file, which must not depend on where mailfix runs.
fn absolute_path(text: &str) -> Verdict<Utf8PathBuf> {
    let path = Utf8Path::new(text);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let finding = Finding::error("relative-path", format!("`{text}` is not an absolute path"));
    Err(finding
        .mend("write it from the root, beginning with `/`")
        .into())
}

/// Validates a DKIM selector: one or more labels of a domain name.
///
/// # Errors
/// When it is none; the finding has no place yet.
// RFC 6376, 3.1
pub fn selector(text: &str) -> Verdict<String> {
    let good = !text.is_empty()
        && text.split('.').all(|label| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    if good {
        return Ok(text.to_ascii_lowercase());
    }
    let finding = Finding::error("bad-selector", format!("`{text}` is no DKIM selector"));
    let finding =
        finding.because("letters, digits, `-` and dots between them, such as `mail` or `2026a`");
    Err(Box::new(finding))
}

/// Validates who signs mail: a signer mailfix sets up, by its id, or `other`.
///
/// # Errors
/// When it is neither; the finding has no place yet.
pub fn signer(text: &str) -> Verdict<SignerWish> {
    if text == SignerWish::OTHER {
        return Ok(SignerWish::Other);
    }
    let ids = || SIGNERS.iter().map(|(id, _)| *id);
    if ids().any(|id| id == text) {
        return Ok(SignerWish::SetUp(text.to_owned()));
    }
    let words = || ids().chain([SignerWish::OTHER]);
    let finding = Finding::error("unknown-signer", format!("there is no signer `{text}`"));
    Err(Box::new(match near_miss(text, words()) {
        Some(near) => finding.mend(format!("did you mean `{near}`?")),
        None => finding.mend(format!("it is one of {}", listed(words()))),
    }))
}

/// Validates where DMARC reports go: `mailto:` addresses, separated by commas.
///
/// # Errors
/// When it is none; the finding has no place yet.
// RFC 9989, "rua": commas and exclamation marks inside are written %2C and %21.
pub fn reports(text: &str) -> Verdict<String> {
    for place in text.split(',') {
        let address = place.trim().strip_prefix("mailto:");
        let good = address
            .and_then(|address| address.rsplit_once('@'))
            .is_some_and(|(local, domain)| {
                !local.is_empty()
                    && !local.contains([' ', '!', ';', '@', '"', '\\'])
                    && local.chars().all(|c| c.is_ascii_graphic())
                    && domain_name(domain).is_ok()
            });
        if !good {
            let finding = Finding::error(
                "bad-address",
                format!("`{}` is no place for reports", place.trim()),
            );
            return Err(Box::new(match address {
                None if place.contains('@') => {
                    finding.mend(format!("write `mailto:{}`", place.trim()))
                }
                _ => finding.because("reports go to `mailto:` and a mail address"),
            }));
        }
    }
    Ok(text.to_owned())
}

/// Validates everything.
pub(super) fn site(
    data: Data,
    text: &str,
    path: &Utf8Path,
    allow_non_global: bool,
) -> Result<Site, SiteError> {
    let mut judge = Judge {
        faults: Faults::new(path, text),
        allow_non_global: allow_non_global || data.allow_non_global,
    };
    let profile = data.profile.map(|profile| {
        let name = profile.get_ref();
        if !Profile::is_path(name) && !Profile::names().any(|known| known == name) {
            judge.faults.add(profile.span(), Profile::unknown(name));
        }
        profile.into_inner()
    });
    let place_of_server = data.server.get_ref().hostname.span();
    let server = judge.server(data.server);
    let dns = Dns {
        forward: data.dns.forward,
        reverse4: data.dns.reverse4,
        reverse6: data.dns.reverse6,
        reverse: judge.reverse(data.dns.reverse),
        update: data.dns.update.and_then(|update| judge.update(&update)),
    };
    let places_of_others: Vec<_> = data
        .other_servers
        .iter()
        .map(|other| other.get_ref().name.span())
        .collect();
    let other_servers: Vec<OtherServer> = data
        .other_servers
        .into_iter()
        .map(|other| judge.other_server(other))
        .collect();
    let places = std::iter::once(place_of_server).chain(places_of_others);
    judge.servers(&server, &other_servers, places);
    let domains = judge.domains(data.domains, text.len(), &server, &other_servers);
    let spf_includes = judge.names(data.third_parties.spf_includes, "include");
    let dkim = data.dkim.map(|dkim| judge.dkim(&dkim));
    let reports = data
        .dmarc
        .reports
        .and_then(|text| judge.value(&text, reports));
    let tls_reports = data
        .tls_rpt
        .and_then(|tls_rpt| judge.value(&tls_rpt.reports, declared::tls_reports));
    let mta_sts = data.mta_sts.map(|mta_sts| judge.mta_sts(mta_sts));
    let providers = judge.providers(data.providers);
    let remedies = data.remedies.chosen.map(|chosen| judge.remedies(chosen));
    let allow_non_global = judge.allow_non_global;
    judge.faults.finish(Site {
        profile,
        allow_non_global,
        server,
        dns,
        domains: domains.senders,
        silent_domains: domains.silent,
        exchanges: domains.exchanges,
        other_servers,
        spf_includes,
        spf_all: data.spf.all,
        dkim,
        dmarc: Dmarc {
            policy: data.dmarc.policy,
            reports,
        },
        tls_reports,
        mta_sts,
        providers,
        remedies,
        timer: data.refresh.timer,
        srs: data.forwarding.srs,
        silence: data.checks.silence,
    })
}

/// What is gathered while a file is judged.
pub(super) struct Judge<'a> {
    pub(super) faults: Faults<'a>,
    allow_non_global: bool,
}

impl Judge<'_> {
    /// Applies a rule to one value; a fault gets the value's place.
    pub(super) fn value<T>(
        &mut self,
        text: &Spanned<String>,
        rule: impl Fn(&str) -> Verdict<T>,
    ) -> Option<T> {
        rule(text.get_ref())
            .map_err(|finding| self.faults.add(text.span(), *finding))
            .ok()
    }

    fn server(&mut self, server: Spanned<data::Server>) -> Server {
        let span = server.span();
        let server = server.into_inner();
        let hostname = self.value(&server.hostname, host_name);
        let shared_name = server.shared_name;
        let shared_name = shared_name.and_then(|name| self.value(&name, host_name));
        if server.ipv4.is_empty() && server.ipv6.is_empty() {
            self.faults.add(
                span,
                Finding::error("no-address", "the server has no address")
                    .mend("name the addresses that mail leaves from in `ipv4` and `ipv6`"),
            );
        }
        Server {
            hostname: hostname.unwrap_or_default(),
            shared_name,
            ipv4: self.addresses(&server.ipv4),
            ipv6: self.addresses(&server.ipv6),
        }
    }

    fn other_server(&mut self, server: Spanned<data::OtherServer>) -> OtherServer {
        let span = server.span();
        let server = server.into_inner();
        let name = self.value(&server.name, host_name);
        if server.ipv4.is_empty() && server.ipv6.is_empty() {
            self.faults.add(
                span,
                Finding::error(
                    "no-address",
                    format!("the server `{}` has no address", server.name.get_ref()),
                )
                .mend("name the addresses that its mail leaves from in `ipv4` and `ipv6`"),
            );
        }
        OtherServer {
            name: name.unwrap_or_default(),
            ipv4: self.addresses(&server.ipv4),
            ipv6: self.addresses(&server.ipv6),
        }
    }

    fn addresses<F: Family>(&mut self, list: &[Spanned<String>]) -> Vec<F> {
        let allow = self.allow_non_global;
        let mut known = HashSet::new();
        let mut addresses = Vec::new();
        for text in list {
            let Some(one) = self.value(text, |text| address::<F>(text, allow)) else {
                continue;
            };
            if known.insert(one) {
                addresses.push(one);
            } else {
                self.twice(text, "address");
            }
        }
        addresses
    }

    /// Validates domain names that must differ from one another.
    fn names(&mut self, list: Vec<Spanned<String>>, what: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for text in list {
            if let Some(name) = self.value(&text, domain_name) {
                if names.contains(&name) {
                    self.twice(&text, what);
                } else {
                    names.push(name);
                }
            }
        }
        names
    }

    pub(super) fn twice(&mut self, text: &Spanned<String>, what: &str) {
        self.faults.add(
            text.span(),
            Finding::error(
                "duplicate",
                format!("the {what} `{}` stands here a second time", text.get_ref()),
            )
            .mend("remove one of the two"),
        );
    }

    fn reverse(&mut self, list: Vec<data::Reverse>) -> Vec<Reverse> {
        let mut networks: Vec<Reverse> = Vec::new();
        for reverse in list {
            let Some(network) = self.value(&reverse.network, network) else {
                continue;
            };
            if networks.iter().any(|known| known.network == network) {
                self.twice(&reverse.network, "network");
            } else {
                networks.push(Reverse {
                    network,
                    control: reverse.control,
                });
            }
        }
        networks
    }

    fn update(&mut self, update: &data::Update) -> Option<UpdateBy> {
        let server = self.value(&update.server, |text| {
            let refused = |error: ServerNameError| Finding::error("bad-server", error.to_string());
            text.parse().map_err(|error| Box::new(refused(error)))
        });
        let key = self.value(&update.key, absolute_path);
        Some(UpdateBy {
            server: server?,
            key: key?,
        })
    }

    fn dkim(&mut self, dkim: &data::Dkim) -> Dkim {
        let (selector, key) = self.signing_key(&dkim.selector, &dkim.key);
        let ed25519 = dkim.ed25519.as_ref().map(|second| {
            let found = self.signing_key(&second.selector, &second.key);
            let same = [
                (found.0 == selector, &second.selector, "selector"),
                (found.1 == key, &second.key, "file"),
            ];
            for (_, text, what) in same.iter().filter(|(is_same, ..)| *is_same) {
                let title = format!("both keys have the same {what}");
                let finding = Finding::error("same-key", title);
                self.faults
                    .add(text.span(), finding.mend("give each key its own"));
            }
            SecondKey {
                selector: found.0,
                key: found.1,
            }
        });
        let wish = dkim.signer.as_ref();
        Dkim {
            selector,
            key,
            ed25519,
            signer: wish.and_then(|word| self.value(word, signer)),
            beside: dkim.beside.clone(),
        }
    }

    fn signing_key(
        &mut self,
        name: &Spanned<String>,
        file: &Spanned<String>,
    ) -> (String, Utf8PathBuf) {
        let file = self.value(file, absolute_path);
        let name = self.value(name, selector);
        (name.unwrap_or_default(), file.unwrap_or_default())
    }

    fn remedies(&mut self, chosen: Spanned<Vec<Spanned<String>>>) -> Vec<RemedyId> {
        if chosen.get_ref().is_empty() {
            let finding = Finding::error("no-remedy", "no remedy is named")
                .mend("leave `use` out, and mailfix chooses; `mailfix remedies` compares them");
            self.faults.add(chosen.span(), finding);
        }
        let words = RemedyId::ALL.iter().map(|id| id.word());
        let mut remedies = Vec::new();
        for word in chosen.into_inner() {
            if let Some(id) = RemedyId::of(word.get_ref()) {
                remedies.push(id);
                continue;
            }
            let finding =
                data_file::unknown("unknown-remedy", "remedy", word.get_ref(), words.clone());
            self.faults.add(word.span(), finding);
        }
        remedies.sort_unstable();
        remedies.dedup();
        remedies
    }

    fn providers(
        &mut self,
        wishes: BTreeMap<Spanned<String>, data::Provider>,
    ) -> BTreeMap<String, ProviderWish> {
        let mut providers = BTreeMap::new();
        for (id, wish) in wishes {
            let provider = Provider::by_id(id.get_ref());
            if provider.is_none() {
                let word = id.get_ref();
                let title = format!("unknown provider `{word}`");
                let known = Provider::brought().iter();
                let known = known.map(|provider| provider.id.as_str());
                let fix = match near_miss(word, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "`mailfix providers` lists those that mailfix brings".to_owned(),
                };
                let finding = Finding::error("unknown-provider", title).mend(fix);
                self.faults.add(id.span(), finding);
            }
            if let Some(provider) = provider {
                self.provider(provider, &wish);
            }
            let wish = ProviderWish {
                ipv6: wish.ipv6.map(Spanned::into_inner).unwrap_or_default(),
                pace: wish.pace.map(Spanned::into_inner).unwrap_or_default(),
                hosted_domains: self.names(wish.hosted_domains, "domain"),
            };
            providers.insert(id.into_inner(), wish);
        }
        providers
    }

    /// Refuses wishes that nothing would come of.
    fn provider(&mut self, provider: &Provider, wish: &data::Provider) {
        let (id, name) = (&provider.id, &provider.name);
        if let Some(ipv6) = wish.ipv6.as_ref().filter(|_| !provider.has_demands()) {
            let title = format!("`ipv6` does nothing for `{id}`");
            let finding = Finding::error("idle-wish", title).because(format!(
                "nothing is known that {name} refuses over IPv6 alone"
            ));
            self.faults
                .add(ipv6.span(), finding.mend("take the key out"));
        }
        let gentle = wish.pace.as_ref();
        let gentle = gentle.filter(|pace| *pace.get_ref() == Pace::Gentle);
        if let Some(pace) = gentle.filter(|_| provider.pace().is_none()) {
            let title = format!("nobody knows a pace that is gentle to `{id}`");
            let finding = Finding::error("no-pace", title).because(format!(
                "its file has no limits: {name} does not say how much it takes at a time"
            ));
            let fix = "take the key out; `mailfix providers` shows whose limits are known";
            self.faults.add(pace.span(), finding.mend(fix));
        }
        if let Some(first) = wish.hosted_domains.first()
            && !provider.has_demands()
            && provider.pace().is_none()
        {
            let title = format!("`hosted_domains` does nothing for `{id}`");
            let finding = Finding::error("idle-wish", title)
                .because(format!("mail to {name} needs no way of its own"));
            self.faults
                .add(first.span(), finding.mend("take the key out"));
        }
    }
}

/// Validates a network, written with its first address.
///
/// # Errors
/// When it is none; the finding has no place yet.
pub fn network(text: &str) -> Verdict<IpNet> {
    let Ok(network) = text.parse::<IpNet>() else {
        let finding = Finding::error("bad-network", format!("`{text}` is not a network"));
        return Err(Box::new(match text.parse::<IpAddr>() {
            Ok(address) => {
                let network = IpNet::from(address);
                finding.mend(format!("write `{network}` for the one address"))
            }
            Err(_) => finding.because("an address, `/` and a length, such as `2001:db8::/48`"),
        }));
    };
    let whole = network.trunc();
    if whole == network {
        return Ok(network);
    }
    let title = format!("`{text}` has bits set beyond its length");
    let finding = Finding::error("bad-network", title).mend(format!("write `{whole}`"));
    Err(Box::new(finding))
}
