//! Which provider a mail host or a domain belongs to, found in the time of a few look-ups.
//!
//! Owns [`MailHosts`]. Must not know what a provider demands.

use std::collections::{HashMap, HashSet};

use memchr::memrchr;

use crate::memo::Quick;
use crate::provider::Provider;

/// Most labels of a suffix that is known: `mail.protection.outlook.com` has four.
const MAX_LABELS: usize = 6;

/// What the providers are known by.
#[derive(Clone, Debug, Default)]
pub struct MailHosts {
    /// Ids by number; 0 is nobody we know.
    ids: Vec<String>,
    /// Ends of the names of mail hosts.
    suffixes: HashMap<Box<[u8]>, u16, Quick>,
    domains: HashMap<Box<[u8]>, u16, Quick>,
    /// The last two labels of all of these: most hosts are of nobody we know, and a single look
    /// says so.
    ends: HashSet<Box<[u8]>, Quick>,
    /// Whether one of them has no two labels, so that this says nothing.
    single_labels: bool,
    /// Begins of the first labels of mail hosts.
    prefixes: Vec<(Box<[u8]>, u16)>,
    /// How many labels the longest suffix has.
    labels: usize,
}

/// The id of those that no data file tells of.
pub const OTHER: &str = "other";

impl MailHosts {
    /// Makes it of all providers; where two claim a name the first has it.
    #[must_use]
    pub fn new(providers: &[Provider]) -> Self {
        let mut hosts = Self {
            ids: vec![OTHER.to_owned()],
            ..Self::default()
        };
        for provider in providers {
            let number = u16::try_from(hosts.ids.len()).unwrap_or_default();
            hosts.ids.push(provider.id.clone());
            for name in provider.mx_suffixes.iter().chain(&provider.domains) {
                hosts.ends.insert(last_two(name.as_bytes()).into());
                hosts.single_labels |= !name.contains('.');
            }
            for suffix in &provider.mx_suffixes {
                hosts.labels = hosts.labels.max(suffix.split('.').count()).min(MAX_LABELS);
                hosts
                    .suffixes
                    .entry(suffix.as_bytes().into())
                    .or_insert(number);
            }
            for prefix in &provider.mx_prefixes {
                hosts.prefixes.push((prefix.as_bytes().into(), number));
            }
            for domain in &provider.domains {
                hosts.labels = hosts.labels.max(domain.split('.').count()).min(MAX_LABELS);
                hosts
                    .domains
                    .entry(domain.as_bytes().into())
                    .or_insert(number);
            }
        }
        hosts
    }

    /// The id that a number stands for.
    #[must_use]
    pub fn id(&self, number: u16) -> &str {
        self.ids
            .get(usize::from(number))
            .map_or(OTHER, String::as_str)
    }

    /// The number of the provider of a mail host, or else of a recipient's domain, which is in
    /// lower case.
    #[must_use]
    pub fn number(&self, host: &[u8], domain: &[u8]) -> u16 {
        self.of_host(host)
            .or_else(|| self.of_domain(domain))
            .unwrap_or_default()
    }

    /// The number of the provider of a recipient's domain, which is in lower case.
    #[must_use]
    pub fn of_domain(&self, domain: &[u8]) -> Option<u16> {
        self.domains.get(domain).copied()
    }

    /// The number of the provider of a mail host: by the end of its name, the longest first, by its
    /// first label, or because it stands below one of the provider's own domains.
    #[must_use]
    pub fn of_host(&self, host: &[u8]) -> Option<u16> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        // RFC 1035, 2.3.4: no name is longer.
        let mut lower = [0_u8; 256];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let (mut longest, mut below) = (None, None);
        let mut end = lower.len();
        let end_is_known = self.single_labels || self.ends.contains(last_two(lower));
        let labels = if end_is_known { self.labels } else { 0 };
        for _ in 0..labels {
            let dot = memrchr(b'.', lower.get(..end)?);
            let start = dot.map_or(0, |dot| dot + 1);
            let name = lower.get(start..)?;
            longest = self.suffixes.get(name).or(longest);
            below = self.domains.get(name).or(below);
            let Some(dot) = dot else { break };
            end = dot;
        }
        let by_prefix = || {
            let mut prefixes = self.prefixes.iter();
            let (_, number) = prefixes.find(|(prefix, _)| lower.starts_with(prefix))?;
            Some(*number)
        };
        longest.copied().or_else(by_prefix).or(below.copied())
    }
}

/// The last two labels of a name, or all of it.
fn last_two(name: &[u8]) -> &[u8] {
    let last = memrchr(b'.', name).unwrap_or_default();
    let start = memrchr(b'.', name.get(..last).unwrap_or_default()).map_or(0, |dot| dot + 1);
    name.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_before_a_domain() {
        let hosts = MailHosts::new(&Provider::known());
        let check = |host: &str, domain: &str, expected: &str| {
            let number = hosts.number(host.as_bytes(), domain.as_bytes());
            assert_eq!(hosts.id(number), expected, "{host} {domain}");
        };
        check("ASPMX.L.Google.com", "hosted.example", "google");
        check("none", "gmail.com", "google");
        check("mx.notgoogle.com", "example.org", OTHER);
        check("google.com", "", "google");
        check("mx1.hotmail.com", "", "microsoft-consumer");
        check(
            "a-com.olc.protection.outlook.com.",
            "",
            "microsoft-consumer",
        );
        check("example.mail.protection.outlook.com", "", "microsoft-eop");
        check("a.GOOGLE.com.", "", "google");
        for nobody in [
            "",
            ".",
            "com",
            "é.com",
            "notgoogle.com",
            "google.com.example",
        ] {
            check(nobody, "", OTHER);
        }
        check(&"a.".repeat(200), "", OTHER);
    }
}
