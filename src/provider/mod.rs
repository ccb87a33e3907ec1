//! Providers: what a receiver demands of those who send to it, how it refuses, where one asks.
//!
//! Owns [`Provider`], read from `profiles/providers/*.toml`: a new one is a file there and
//! no Rust. Must not know what is done about a demand, nor how a reply is matched.

mod demand;
mod read;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use camino::Utf8Path;
use serde::Deserialize;

use crate::cause::{Cause, Cure, Sign};
use crate::embedded::PROVIDERS;

pub use demand::{ANY_WORD, Demand, Demands, Refusal, Sample};
pub use rule::{Form, Limits, Rule, Wanted};

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
    /// First labels of its MX hosts' names, where only that tells.
    pub mx_prefixes: Vec<String>,
    /// Phrases in lower case that only its replies hold.
    pub marks: Vec<String>,
    /// What it demands, as far as plans act on it.
    pub demands: Demands,
    /// All that it demands, for people to read.
    pub rules: Vec<Rule>,
    /// How much it takes without complaint.
    pub limits: Option<Limits>,
    /// Where it can be asked for something.
    pub forms: Vec<Form>,
    /// By what the causes of its refusals are known, beside the signs that hold for everybody.
    pub signatures: Vec<Signature>,
}

/// How one of a provider's refusals reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The code of its cause.
    pub cause: String,
    /// By what it is known.
    pub sign: Sign,
    /// What this very refusal means, where that is more than the cause says: whole sentences.
    pub says: Option<String>,
    /// What to do about it, in order, each a phrase; where there are some, they come before
    /// those of the cause.
    pub steps: Vec<String>,
    /// What is not the matter, each a phrase.
    pub not: Vec<String>,
    /// What a site file and its plan can do about it, beside what they can about the cause.
    pub plan: Vec<Cure>,
    /// Replies that are known by it; each of its phrases stands in one.
    pub samples: Vec<Reply>,
}

/// A reply of a provider, its hosts and ids made up, as it was found somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Reply {
    /// What it said.
    pub reply: String,
    /// The protocol it said it over, 4 or 6; 4 where nothing is told.
    pub family: Option<u8>,
    /// Where it was found.
    pub source: String,
    /// When it stood there, `YYYY-MM-DD`, as far as that is known.
    pub date: String,
}

/// What mailfix brings, read once: a site file is judged by it, and that is read often.
static KNOWN: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    let read = |(id, text): &(&str, &str)| {
        Provider::parse(text, Utf8Path::new(&format!("{id}.toml")))
            .expect("a test reads every embedded provider")
    };
    PROVIDERS.iter().map(read).collect()
});

impl Provider {
    /// Lists every provider that mailfix brings, by id.
    #[must_use]
    pub fn known() -> Vec<Self> {
        KNOWN.clone()
    }

    /// Gives every provider that mailfix brings, by id: those that plans act on.
    #[must_use]
    pub fn brought() -> &'static [Self] {
        &KNOWN
    }

    /// Finds one of them.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|provider| provider.id == id)
    }

    /// Lists those of them whose demands plans act on, by id.
    #[must_use]
    pub fn demanding() -> Vec<Self> {
        let demanding = KNOWN.iter().filter(|provider| provider.has_demands());
        demanding.cloned().collect()
    }

    /// Tells whether it demands anything that plans act on.
    #[must_use]
    pub fn has_demands(&self) -> bool {
        self.demands.ipv4.is_some() || self.demands.ipv6.is_some()
    }

    /// Gives the limits, if they name a number that a client can keep to.
    #[must_use]
    pub fn pace(&self) -> Option<&Limits> {
        let limits = self.limits.as_ref();
        limits.filter(|limits| limits.connections.is_some() || limits.delay.is_some())
    }

    /// Finds the provider, if plans can send to it no faster than it takes mail, and that helps
    /// against a cause: the cause says so, or the provider's own sign of it.
    #[must_use]
    pub fn gentler(
        id: &str,
        cause: &Cause,
        signature: Option<&Signature>,
    ) -> Option<&'static Self> {
        let own = signature.into_iter().flat_map(|signature| &signature.plan);
        let mut cures = cause.plan.iter().chain(own);
        let helps = cures.any(|cure| *cure == Cure::GentlePace);
        let provider = Self::by_id(id).filter(|_| helps)?;
        provider.pace().is_some().then_some(provider)
    }

    /// Says what the site file gets so that mail goes there no faster, after the name of a command.
    #[must_use]
    pub fn gentle_in_words(&self) -> String {
        let limits = self.pace().map(Limits::in_words).unwrap_or_default();
        format!(
            "sets `pace = \"gentle\"` below `[providers.{}]` in mailfix.toml: mail to {} then has a client of its own, which keeps to {limits}",
            self.id, self.name
        )
    }

    /// Tells whether a domain is one of the provider's own.
    #[must_use]
    pub fn owns(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|own| own.eq_ignore_ascii_case(domain))
    }

    /// The place where it can be asked about a cause.
    pub fn forms_for<'a>(&'a self, cause: &'a str) -> impl Iterator<Item = &'a Form> {
        self.forms
            .iter()
            .filter(move |form| form.causes.iter().any(|code| code == cause))
    }
}

fn plain(list: Vec<toml::Spanned<String>>) -> Vec<String> {
    list.into_iter().map(toml::Spanned::into_inner).collect()
}
