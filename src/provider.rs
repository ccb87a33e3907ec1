//! Providers: what a receiver demands of those who send to it.
//!
//! Owns [`Provider`], read from `profiles/providers/*.toml`: a new one is a file there and
//! no Rust. Must not know what is done about a demand.

use camino::Utf8Path;
use serde::Deserialize;

use crate::data_file::{self, DataError, Faults};
use crate::embedded::PROVIDERS;
use crate::finding::Finding;

/// A receiver of mail, as the world knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The word for it in files and messages: the name of its data file.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is, in a phrase.
    pub about: String,
    /// Domains whose mail goes to it, whatever DNS says.
    pub domains: Vec<String>,
    /// Ends of its MX hosts' names, without the dot before them.
    pub mx_suffixes: Vec<String>,
    /// What it demands.
    pub demands: Demands,
}

/// What a provider demands, by the protocol the mail comes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Over IPv6; nothing known when absent.
    pub ipv6: Option<Demand>,
    /// Over IPv4; nothing known when absent.
    pub ipv4: Option<Demand>,
}

/// What a provider demands over one protocol, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Demand {
    /// A PTR record whose name has the sending address.
    pub ptr: bool,
    /// A pass of SPF or DKIM.
    pub authentication: bool,
    /// The demand in a sentence, as explanations quote it: no capital, no full stop.
    pub why: String,
    /// Where it is written.
    pub source: String,
    /// When it stood there, `YYYY-MM-DD`.
    pub date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    name: String,
    about: String,
    domains: Vec<toml::Spanned<String>>,
    mx_suffixes: Vec<toml::Spanned<String>>,
    ipv6: Option<Demand>,
    ipv4: Option<Demand>,
}

impl Provider {
    /// Reads a provider's file; its id is the file's name.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        for domain in data.domains.iter().chain(&data.mx_suffixes) {
            // They end up in tables and patterns of Postfix, which match in lower case.
            if !is_plain_domain(domain.get_ref()) {
                faults.add(
                    domain.span(),
                    Finding::error(
                        "bad-domain",
                        format!("`{}` is not a domain in lower case", domain.get_ref()),
                    )
                    .because("letters, digits, `-` and dots between them, such as `gmail.com`"),
                );
            }
        }
        let plain = |list: Vec<toml::Spanned<String>>| {
            list.into_iter().map(toml::Spanned::into_inner).collect()
        };
        faults.finish(Self {
            id: path.file_stem().unwrap_or_default().to_owned(),
            name: data.name,
            about: data.about,
            domains: plain(data.domains),
            mx_suffixes: plain(data.mx_suffixes),
            demands: Demands {
                ipv6: data.ipv6,
                ipv4: data.ipv4,
            },
        })
    }

    /// Lists the providers that mailfix knows, by id.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        PROVIDERS
            .iter()
            .map(|(id, text)| {
                Self::parse(text, Utf8Path::new(&format!("{id}.toml")))
                    .expect("a test reads every embedded provider")
            })
            .collect()
    }

    /// Lists the ids of the providers that mailfix knows.
    pub fn ids() -> impl Iterator<Item = &'static str> + Clone {
        PROVIDERS.iter().map(|(id, _)| *id)
    }

    /// Tells whether a domain is one of the provider's own.
    #[must_use]
    pub fn owns(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|own| own.eq_ignore_ascii_case(domain))
    }
}

fn is_plain_domain(name: &str) -> bool {
    name.contains('.')
        && name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_provider_is_read() {
        let all = Provider::all();
        assert!(all.iter().any(|provider| provider.id == "google"));
        assert_eq!(all.len(), Provider::ids().count());
        for provider in all {
            assert!(!provider.domains.is_empty() || !provider.mx_suffixes.is_empty());
            let demands = [provider.demands.ipv6, provider.demands.ipv4];
            for demand in demands.into_iter().flatten() {
                assert!(demand.date.parse::<jiff::civil::Date>().is_ok());
                assert!(demand.source.starts_with("https://"));
                assert!(!demand.why.ends_with('.'));
            }
        }
    }

    #[test]
    fn google_is_strict_over_ipv6() {
        let google = Provider::all()
            .into_iter()
            .find(|provider| provider.id == "google")
            .unwrap();
        assert!(google.owns("GMail.com") && !google.owns("example.org"));
        let demand = google.demands.ipv6.unwrap();
        assert!(demand.ptr && demand.authentication);
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        let path = Utf8Path::new("other.toml");
        let text =
            "name = 'x'\nabout = 'x'\ndomains = ['a.example', 'B.example']\nmx_suffixes = []\n";
        let error = Provider::parse(text, path).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`other.toml`, line 3: `B.example` is not a domain in lower case"
        );
        let error = Provider::parse("[ipv6]\nprt = true\n", path).unwrap_err();
        assert_eq!(error.to_string(), "`other.toml`, line 2: unknown key `prt`");
        assert_eq!(
            error.findings[0].fix.as_deref(),
            Some("did you mean `ptr`?")
        );
    }
}
