//! Causes: why mail is not taken, in words that stay the same.
//!
//! Owns [`Cause`], read from `profiles/causes/*.toml` (what it means, what mends it), and
//! [`Sign`], by which one is known: those in a cause's file hold for every receiver, those of
//! one receiver stand in its own file. A new cause is one file there and no Rust.
//! Must not know where the words that are judged come from.

use camino::Utf8Path;
use serde::Deserialize;

use crate::data_file::{self, DataError, Faults};
use crate::embedded::CAUSES;
use crate::finding::{Finding, escape};
use crate::postfix::log::Manner;

/// A reason for which mail is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The word for it: the name of its data file.
    pub code: String,
    /// What it means, a phrase.
    pub says: String,
    /// What it means, two sentences for an administrator.
    pub means: String,
    /// How much it hurts.
    pub harm: Harm,
    /// Whether the fault lies on this host, whoever the mail was for.
    pub here: bool,
    /// Whether it is about another host, even where none is named.
    pub there: bool,
    /// How far it is the recipient's own matter, whoever sends.
    pub recipient: Option<Recipient>,
    /// What a site file and its plan can do about it; of those that fit a host the first is taken.
    pub plan: Vec<Cure>,
    /// What to do about a receiver of which nobody knows how much it takes at a time, a phrase; where
    /// that is known, a plan may see to it.
    pub pace: Option<String>,
    /// What to do, a phrase, where no command of ours does it all.
    pub advice: Option<String>,
    /// Commands of ours that mend it or show what does, without the word `mailfix`.
    pub mend: Vec<String>,
    /// What to do, in order, each a phrase.
    pub steps: Vec<String>,
    /// What is not the matter, each a phrase.
    pub not: Vec<String>,
    /// What to look at first of the address that mail left from, in order.
    pub look: Vec<Look>,
    /// The same where mail left over IPv6, if that is something else.
    pub look6: Vec<Look>,
    /// By what it is known, whoever the receiver is.
    pub signs: Vec<Sign>,
}

/// A cause that is the recipient's own matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipient {
    /// It may pass, or be taken for that while the fault is ours: no reason to strike anybody off
    /// a list.
    Concerned,
    /// The mailbox is gone for good: nothing helps but to take the address off the list.
    Gone,
}

/// What a site file and its plan can do about a cause, where it fits the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cure {
    /// Send to the receiver over IPv4 only.
    AvoidIpv6,
    /// Send no faster than the receiver takes it.
    GentlePace,
    /// Name the domains that the receiver hosts, where they are listed one by one.
    ListDomains,
    /// Name the address that mail leaves from, so that the records are made for it.
    NameAddress,
    /// Have a signer that is installed sign.
    Sign,
    /// Rewrite the senders of forwarded mail.
    RewriteSenders,
    /// Publish a DMARC record.
    PublishDmarc,
    /// Fill the jail that clients are locked into.
    FillJail,
    /// Bring back what an earlier plan made and the log misses: a service, a table.
    Restore,
}

/// What there is to look at of an address that mail leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Whether its PTR record leads back to it.
    Ptr,
    /// Whether a name has it.
    Forward,
    /// Whether the sender's SPF record covers it.
    Spf,
    /// Whether mail is signed.
    Dkim,
}

/// How much a cause hurts, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Nothing is lost or late, or nobody here can help it.
    Harmless,
    /// Mail is late, and arrives without anybody doing anything.
    Delayed,
    /// Mail waits until somebody mends something, and is lost in the end if nobody does.
    Stuck,
    /// Mail is lost.
    Lost,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    says: String,
    means: String,
    harm: Harm,
    #[serde(default)]
    here: bool,
    #[serde(default)]
    there: bool,
    recipient: Option<Recipient>,
    #[serde(default)]
    plan: Vec<Cure>,
    pace: Option<String>,
    advice: Option<String>,
    #[serde(default)]
    mend: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    not: Vec<String>,
    #[serde(default)]
    look: Vec<Look>,
    #[serde(default)]
    look6: Vec<Look>,
    #[serde(default, rename = "sign")]
    signs: Vec<toml::Spanned<Sign>>,
}

/// By what a cause is known: all that is named must be so, of a list one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Sign {
    /// Enhanced status codes (RFC 3463); one that ends in a dot stands for all that begin so.
    #[serde(default)]
    pub dsn: Vec<String>,
    /// Codes of the reply.
    #[serde(default)]
    pub code: Vec<u16>,
    /// The protocol, 4 or 6.
    pub family: Option<u8>,
    /// How the words came about.
    pub manner: Option<How>,
    /// Phrases, in lower case: one of them stands in the words.
    #[serde(default)]
    pub has: Vec<String>,
    /// Phrases, in lower case, of which none is missing in the words.
    #[serde(default)]
    pub all: Vec<String>,
    /// Whether what it names is a code of the receiver's own, such as `OFR_535`: however much the
    /// words around it say, the code says it.
    #[serde(default)]
    pub decides: bool,
    /// Whether it was this host that said so, whoever the mail was for: its own tables, say.
    #[serde(default)]
    pub here: bool,
    /// What to do where these very words were said, each a phrase; before the steps of the cause.
    #[serde(default)]
    pub steps: Vec<String>,
}

/// The word for a [`Manner`] in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The host replied to a command.
    Said,
    /// The host refused at its greeting.
    Refused,
    /// There was no connection.
    NotConnected,
    /// The connection broke.
    Lost,
    /// The host fell silent.
    TimedOut,
    /// Words of Postfix's own.
    Own,
}

/// What is judged beside the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// The enhanced status code that Postfix made of it; empty where there is none.
    pub dsn: &'a str,
    /// The enhanced status code of the reply itself.
    pub enhanced: Option<&'a str>,
    /// The code of the reply.
    pub code: Option<u16>,
    /// The protocol, 4 or 6, where there was a host.
    pub family: Option<u8>,
    /// How the words came about.
    pub manner: Manner,
}

impl Cause {
    /// Reads a cause's file; its code is the file's name.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        for sign in &data.signs {
            if let Some(fault) = sign.get_ref().fault() {
                faults.add(sign.span(), fault);
            }
        }
        faults.finish(Self {
            code: path.file_stem().unwrap_or_default().to_owned(),
            says: data.says,
            means: data.means,
            harm: data.harm,
            here: data.here,
            there: data.there,
            recipient: data.recipient,
            plan: data.plan,
            pace: data.pace,
            advice: data.advice,
            mend: data.mend,
            steps: data.steps,
            not: data.not,
            look: data.look,
            look6: data.look6,
            signs: data
                .signs
                .into_iter()
                .map(toml::Spanned::into_inner)
                .collect(),
        })
    }

    /// Lists the causes that mailfix knows, by code.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        CAUSES
            .iter()
            .map(|(code, text)| {
                Self::parse(text, Utf8Path::new(&format!("{code}.toml")))
                    .expect("a test reads every embedded cause")
            })
            .collect()
    }

    /// Lists the codes.
    pub fn codes() -> impl Iterator<Item = &'static str> + Clone {
        CAUSES.iter().map(|(code, _)| *code)
    }
}

/// What a code of the receiver's own counts: more than all words of a reply.
const OWN_CODE: usize = 100_000;

impl Sign {
    /// How well the codes, the protocol and the manner fit; `None` where they do not. What the
    /// words say counts far more: see the module that looks for them.
    #[must_use]
    pub fn weight(&self, evidence: &Evidence<'_>) -> Option<usize> {
        let codes = [evidence.enhanced, Some(evidence.dsn)];
        let codes = || codes.into_iter().flatten();
        let fits = (self.dsn.is_empty() || codes().any(|code| self.has_dsn(code)))
            && (self.code.is_empty()
                || evidence.code.is_some_and(|code| self.code.contains(&code)))
            && (self.family.is_none() || self.family == evidence.family)
            && self.manner.is_none_or(|how| how.is(evidence.manner));
        let whole = codes().any(|code| self.dsn.iter().any(|known| known == code));
        let named = usize::from(whole) * 3
            + usize::from(!self.dsn.is_empty())
            + usize::from(!self.code.is_empty())
            + usize::from(self.family.is_some())
            + usize::from(self.manner.is_some())
            + usize::from(self.decides) * OWN_CODE;
        fits.then_some(named)
    }

    /// What is wrong with it as a sign; nothing in a good one.
    #[must_use]
    pub fn fault(&self) -> Option<Finding> {
        if self.is_empty() {
            return Some(
                Finding::error("empty-sign", "the sign fits everything")
                    .because("it names codes, phrases, the protocol or the manner"),
            );
        }
        if self.family.is_some_and(|family| ![4, 6].contains(&family)) {
            return Some(
                Finding::error("bad-family", "the protocol of the sign is neither 4 nor 6")
                    .because("4 for IPv4, 6 for IPv6"),
            );
        }
        if let Some(dsn) = self.dsn.iter().find(|dsn| !is_status(dsn)) {
            return Some(
                Finding::error(
                    "bad-status-code",
                    format!("`{}` is no status code", escape(dsn)),
                )
                .because("`5.7.1`, or its beginning with a dot at the end: `5.7.`"),
            );
        }
        if let Some(code) = self.code.iter().find(|code| !(200..600).contains(*code)) {
            return Some(Finding::error(
                "bad-reply-code",
                format!("`{code}` is no code of a reply"),
            ));
        }
        let mut phrases = self.has.iter().chain(&self.all);
        phrases
            .find(|phrase| phrase.trim().is_empty() || **phrase != phrase.to_lowercase())
            .map(|phrase| {
                Finding::error(
                    "bad-phrase",
                    format!("`{}` is no phrase in lower case", escape(phrase)),
                )
                .because("words are compared in lower case")
            })
    }

    /// Tells whether an enhanced status code is one of those it names.
    #[must_use]
    pub fn has_dsn(&self, code: &str) -> bool {
        let is =
            |known: &String| *known == code || (known.ends_with('.') && code.starts_with(known));
        self.dsn.iter().any(is)
    }

    /// Tells whether it names codes, and each of them to its end.
    #[must_use]
    pub fn names_whole_codes(&self) -> bool {
        !self.dsn.is_empty() && self.dsn.iter().all(|code| !code.ends_with('.'))
    }

    /// Tells whether it goes by the kind of code alone: refused for good, or for now.
    #[must_use]
    pub fn is_of_a_kind(&self) -> bool {
        let kind = self.dsn.iter().any(|code| code.ends_with('.')) || !self.code.is_empty();
        kind && self.has.is_empty() && self.all.is_empty() && !self.names_whole_codes()
    }

    /// Tells whether it names anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let bare = Self {
            decides: self.decides,
            here: self.here,
            steps: self.steps.clone(),
            ..Self::default()
        };
        *self == bare
    }
}

/// An enhanced status code, or the beginning of one that ends in a dot. // RFC 3463, 2
fn is_status(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        [class, rest @ .., ""] if rest.len() < 2 => {
            ["2", "4", "5"].contains(class) && rest.iter().all(is_number)
        }
        [class, subject, detail] => {
            ["2", "4", "5"].contains(class) && is_number(subject) && is_number(detail)
        }
        _ => false,
    }
}

impl How {
    fn is(self, manner: Manner) -> bool {
        self == match manner {
            Manner::Said => Self::Said,
            Manner::RefusedToTalk => Self::Refused,
            Manner::NotConnected => Self::NotConnected,
            Manner::LostConnection => Self::Lost,
            Manner::TimedOut => Self::TimedOut,
            Manner::Own => Self::Own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_cause_is_read() {
        let causes = Cause::all();
        for cause in causes {
            let phrases = cause.advice.iter().chain([&cause.says]);
            let of_signs = cause.signs.iter().flat_map(|sign| &sign.steps);
            for text in phrases
                .chain(&cause.steps)
                .chain(&cause.not)
                .chain(of_signs)
            {
                assert!(
                    !text.ends_with('.') && text.len() < 200,
                    "{}: {text}",
                    cause.code
                );
                let capital = text.starts_with(char::is_uppercase);
                let name = ["SPF", "TLS", "DKIM", "DNS", "PTR", "Postfix"];
                assert!(
                    !capital || name.iter().any(|name| text.starts_with(name)),
                    "{}: {text}",
                    cause.code
                );
            }
            assert!(!cause.steps.is_empty(), "{}", cause.code);
            let means = &cause.means;
            let sentences = means.matches(". ").count() + 1;
            assert!(means.ends_with('.'), "{}", cause.code);
            assert!(
                sentences == 2 && means.len() < 450,
                "{}: {means}",
                cause.code
            );
        }
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        for (text, expected) in [
            ("says = 'x'\nharm = 'lots'", "2 unknown-value"),
            ("says = 'x'\nharm = 'lost'", "1 missing-key"),
            (
                "says = 'x'\nmeans = 'x'\nharm = 'lost'\n[[sign]]\nhas = ['a']\n[[sign]]\n",
                "6 empty-sign",
            ),
            (
                "says = 'x'\nmeans = 'x'\nharm = 'lost'\n[[sign]]\nhas = ['A']\n",
                "4 bad-phrase",
            ),
        ] {
            let error = Cause::parse(text, Utf8Path::new("x.toml")).unwrap_err();
            let finding = &error.findings[0];
            let line = finding.place.as_ref().unwrap().line;
            assert_eq!(format!("{line} {}", finding.code), expected);
        }
        assert!(Harm::Lost > Harm::Stuck && Harm::Delayed > Harm::Harmless);
    }

    #[test]
    fn all_that_is_named_must_be_so() {
        let evidence = Evidence {
            dsn: "5.7.25",
            enhanced: None,
            code: Some(550),
            family: Some(6),
            manner: Manner::Said,
        };
        let text = |text: &str| toml::from_str::<Sign>(text).unwrap().weight(&evidence);
        assert!(text("dsn = ['4.7.25', '5.7.25']\nfamily = 6").is_some());
        assert!(text("dsn = ['5.7.']\ncode = [550]\nmanner = 'said'").is_some());
        for other in [
            "dsn = ['5.7.2']",
            "dsn = ['4.']",
            "family = 4",
            "code = [421]",
            "manner = 'lost'",
        ] {
            assert_eq!(text(other), None, "{other}");
        }
        // The more it says, the more it counts.
        let rising = [
            "dsn = ['5.']",
            "dsn = ['5.7.25']",
            "dsn = ['5.7.25']\nfamily = 6",
            "dsn = ['5.7.25']\nfamily = 6\nmanner = 'said'",
        ];
        let weights: Vec<_> = rising.iter().map(|sign| text(sign)).collect();
        assert!(weights.is_sorted() && weights[0].is_some(), "{weights:?}");
        assert_ne!(weights[0], weights[1]);
        // A code of the receiver's own counts more than any words could.
        assert!(text("family = 6\ndecides = true") >= Some(OWN_CODE));
        let alone = ["decides = true", "here = true"];
        for sign in alone.map(|text| toml::from_str::<Sign>(text).unwrap()) {
            assert!(sign.is_empty() && sign.fault().is_some(), "{sign:?}");
        }
    }
}
