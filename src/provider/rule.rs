//! What a provider asks of senders, how much it takes, and where it is asked: for people to read.
//!
//! Owns [`Rule`], [`Limits`] and [`Form`]. Plans go by [`Demands`](super::Demands),
//! and by [`Limits`] where the site file wishes so.

use serde::Deserialize;

use super::read::{check_date, check_day, check_source};
use crate::data_file::Faults;
use crate::finding::{Finding, escape};

/// One thing that a provider demands of those who send to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What.
    pub what: Wanted,
    /// The protocol it is demanded over, 4 or 6; both where nothing is told.
    pub family: Option<u8>,
    /// Only of those who send it so many messages a day; 0 is many, where it gives no number.
    pub bulk: Option<u32>,
    /// Since when, `YYYY-MM-DD`.
    pub since: Option<String>,
    /// The demand in a sentence: no capital, no full stop.
    pub says: String,
    /// Where it is written.
    pub source: String,
    /// When it stood there, `YYYY-MM-DD`, as far as that is known.
    pub date: String,
}

/// What can be demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// A pass of SPF.
    Spf,
    /// A pass of DKIM.
    Dkim,
    /// A pass of one of the two.
    SpfOrDkim,
    /// A DMARC record of the domain in `From:`.
    Dmarc,
    /// SPF or DKIM for the very domain in `From:`.
    Alignment,
    /// What forwarders and lists have to do.
    Forwarding,
    /// A PTR record that leads back.
    Ptr,
    /// A proper name in the greeting.
    Helo,
    /// An encrypted session.
    Tls,
    /// An address that is no home line's.
    StaticIp,
    /// An address that is known there, or on no block list.
    Reputation,
    /// A sender's domain that DNS knows.
    SenderDomain,
    /// A way to unsubscribe at one click.
    Unsubscribe,
    /// Few complaints.
    Complaints,
    /// No more than so much mail.
    Volume,
    /// No larger messages than so.
    Size,
    /// A message built as RFC 5322 has it.
    Format,
    /// A web page that says who sends.
    Imprint,
}

impl Wanted {
    /// The word for it in files and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::SpfOrDkim => "spf-or-dkim",
            Self::Dmarc => "dmarc",
            Self::Alignment => "alignment",
            Self::Forwarding => "forwarding",
            Self::Ptr => "ptr",
            Self::Helo => "helo",
            Self::Tls => "tls",
            Self::StaticIp => "static-ip",
            Self::Reputation => "reputation",
            Self::SenderDomain => "sender-domain",
            Self::Unsubscribe => "unsubscribe",
            Self::Complaints => "complaints",
            Self::Volume => "volume",
            Self::Size => "size",
            Self::Format => "format",
            Self::Imprint => "imprint",
        }
    }
}

/// How much mail a provider takes without complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, over all its hosts and domains.
    pub connections: Option<u32>,
    /// Messages in one connection.
    pub messages: Option<u32>,
    /// Time between two deliveries, as Postfix writes it: `5s`.
    pub delay: Option<String>,
    /// What else to keep to: a sentence, no capital, no full stop.
    pub says: Option<String>,
    /// Where it is written.
    pub source: String,
    /// When it stood there, `YYYY-MM-DD`, as far as that is known.
    pub date: String,
}

impl Limits {
    /// How many connections at a time, and how often, in a phrase.
    #[must_use]
    pub fn in_words(&self) -> String {
        let connections = self.connections.map(|most| match most {
            1 => "one connection at a time".to_owned(),
            most => format!("{most} connections at a time"),
        });
        let delay = self.delay.as_ref();
        let delay = delay.map(|delay| format!("a delivery every {delay}"));
        let parts: Vec<String> = [connections, delay].into_iter().flatten().collect();
        parts.join(", ")
    }
}

/// A place where a provider can be asked for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The codes of the causes it helps against.
    pub causes: Vec<String>,
    /// An address of the web or of mail.
    pub place: String,
    /// What to put there: a sentence, no capital, no full stop.
    pub says: String,
    /// Where it is written.
    pub source: String,
    /// When it stood there, `YYYY-MM-DD`, as far as that is known.
    pub date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RuleData {
    what: Wanted,
    family: Option<toml::Spanned<u8>>,
    bulk: Option<u32>,
    since: Option<toml::Spanned<String>>,
    says: String,
    source: toml::Spanned<String>,
    date: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LimitsData {
    connections: Option<u32>,
    messages: Option<u32>,
    delay: Option<toml::Spanned<String>>,
    says: Option<String>,
    source: toml::Spanned<String>,
    date: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct FormData {
    causes: Vec<toml::Spanned<String>>,
    place: toml::Spanned<String>,
    says: String,
    source: toml::Spanned<String>,
    date: toml::Spanned<String>,
}

impl RuleData {
    pub(super) fn read(self, faults: &mut Faults<'_>) -> Rule {
        if let Some(family) = &self.family {
            super::read::check_family(family.span(), *family.get_ref(), faults);
        }
        if let Some(since) = &self.since {
            check_day(since, faults);
        }
        Rule {
            what: self.what,
            family: self.family.map(toml::Spanned::into_inner),
            bulk: self.bulk,
            since: self.since.map(toml::Spanned::into_inner),
            says: self.says,
            source: check_source(self.source, faults),
            date: check_date(self.date, faults),
        }
    }
}

impl LimitsData {
    pub(super) fn read(self, faults: &mut Faults<'_>) -> Limits {
        if let Some(delay) = &self.delay
            && !is_time(delay.get_ref())
        {
            faults.add(
                delay.span(),
                Finding::error(
                    "bad-time",
                    format!("`{}` is no span of time", escape(delay.get_ref())),
                )
                .because("a number and one of the letters s, m, h, such as `5s`"),
            );
        }
        Limits {
            connections: self.connections,
            messages: self.messages,
            delay: self.delay.map(toml::Spanned::into_inner),
            says: self.says,
            source: check_source(self.source, faults),
            date: check_date(self.date, faults),
        }
    }
}

impl FormData {
    pub(super) fn read(self, causes: &[&str], faults: &mut Faults<'_>) -> Form {
        for cause in &self.causes {
            super::read::check_cause(cause, causes, faults);
        }
        let place = self.place.get_ref();
        if !["https://", "http://", "mailto:"]
            .iter()
            .any(|kind| place.starts_with(kind))
        {
            faults.add(
                self.place.span(),
                Finding::error("bad-place", format!("`{}` is no place", escape(place)))
                    .because("it begins with `https://` or `mailto:`"),
            );
        }
        Form {
            causes: super::plain(self.causes),
            place: self.place.into_inner(),
            says: self.says,
            source: check_source(self.source, faults),
            date: check_date(self.date, faults),
        }
    }
}

fn is_time(text: &str) -> bool {
    text.strip_suffix(['s', 'm', 'h']).is_some_and(|number| {
        !number.is_empty() && number.len() < 6 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
