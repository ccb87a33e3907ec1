//! What a provider demands over IPv6 and over IPv4, and how it refuses what is not so.
//!
//! Owns [`Demand`] and [`Refusal`]: what plans go by. Must not know what is done about one.

use std::ops::Range;

use serde::Deserialize;

use super::plain;
use crate::data_file::Faults;
use crate::finding::{Finding, escape};

/// What a provider demands, by the protocol the mail comes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Over IPv6; nothing known when absent.
    pub ipv6: Option<Demand>,
    /// Over IPv4; nothing known when absent.
    pub ipv4: Option<Demand>,
}

/// What a provider demands over one protocol, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How it refuses an address whose PTR is not as demanded; empty where nobody knows.
    pub refusals: Vec<Refusal>,
    /// Last lines of refusals for other reasons.
    pub other_refusals: Vec<String>,
}

/// How a refusal reads in the last line of the reply, the one that smtp(8) goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its enhanced status code (RFC 3463), such as `5.7.25`; the reply code is 550.
    pub code: String,
    /// The words the line ends in, where the code also says other things; [`ANY_WORD`] stands
    /// for one that always differs.
    pub endings: Vec<String>,
    /// What else the provider says in such lines.
    pub shared: Option<String>,
    /// Lines that are such refusals, each ending among them.
    pub samples: Vec<Sample>,
}

/// A line that a provider has said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Sample {
    /// Since when it is worded so, `YYYY-MM`.
    pub since: String,
    /// The line.
    pub line: String,
}

/// What stands in an ending for a word that is different in each reply.
pub const ANY_WORD: &str = "*";

/// The reply code of a refusal for good, and the blank that says that no line follows.
// RFC 5321, 4.2.1
const REFUSED: &str = "550 ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct DemandData {
    ptr: bool,
    authentication: bool,
    why: String,
    source: String,
    date: String,
    #[serde(default, rename = "refusal")]
    refusals: Vec<RefusalData>,
    #[serde(default)]
    other_refusals: Vec<toml::Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RefusalData {
    code: toml::Spanned<String>,
    #[serde(default)]
    endings: Vec<toml::Spanned<String>>,
    shared: Option<String>,
    samples: Vec<toml::Spanned<Sample>>,
}

impl Demand {
    /// Lists every line that is known: refusals of this demand and others.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let samples = self.refusals.iter().flat_map(|refusal| &refusal.samples);
        samples
            .map(|sample| &sample.line)
            .chain(&self.other_refusals)
            .cloned()
    }
}

impl Refusal {
    /// Tells whether a line of a reply is such a refusal.
    #[must_use]
    pub fn is(&self, line: &str) -> bool {
        let Some(text) = line
            .strip_prefix(REFUSED)
            .and_then(|rest| rest.strip_prefix(self.code.as_str()))
        else {
            return false;
        };
        let Some(text) = text.strip_prefix(' ') else {
            return text.is_empty() && self.endings.is_empty();
        };
        self.endings.is_empty() || self.endings.iter().any(|ending| ends_in(text, ending))
    }
}

fn ends_in(text: &str, ending: &str) -> bool {
    let mut words = text.rsplit(' ');
    ending.rsplit(' ').all(|wanted| {
        words.next().is_some_and(|word| {
            word.eq_ignore_ascii_case(wanted) || (wanted == ANY_WORD && !word.is_empty())
        })
    })
}

impl DemandData {
    pub(super) fn read(self, faults: &mut Faults<'_>) -> Demand {
        let refusals: Vec<Refusal> = self
            .refusals
            .into_iter()
            .map(|refusal| refusal.read(faults))
            .collect();
        for other in &self.other_refusals {
            if let Some(refusal) = refusals.iter().find(|refusal| refusal.is(other.get_ref())) {
                faults.add(
                    other.span(),
                    Finding::error(
                        "other-refusal-taken",
                        format!("this line is taken for the refusal `{}`", refusal.code),
                    ),
                );
            }
        }
        Demand {
            ptr: self.ptr,
            authentication: self.authentication,
            why: self.why,
            source: self.source,
            date: self.date,
            refusals,
            other_refusals: plain(self.other_refusals),
        }
    }
}

impl RefusalData {
    fn read(self, faults: &mut Faults<'_>) -> Refusal {
        let mut add = |span, code, title: &str, why: &str| {
            faults.add(span, Finding::error(code, title).because(why));
        };
        if !is_permanent_code(self.code.get_ref()) {
            add(
                self.code.span(),
                "bad-status-code",
                &format!("`{}` is no status code of a refusal", self.code.get_ref()),
                "three numbers with dots between them, the first of them 5, such as `5.7.1`",
            );
        }
        let (code, code_span) = (self.code.get_ref().clone(), self.code.span());
        for ending in &self.endings {
            let text = ending.get_ref();
            if text.is_empty() || !text.split(' ').all(is_plain_word) {
                add(
                    ending.span(),
                    "bad-ending",
                    &format!("`{}` is no ending of a line", escape(text)),
                    "printable words of ASCII with one blank between them",
                );
            }
        }
        let samples: Vec<(Range<usize>, Sample)> = self
            .samples
            .into_iter()
            .map(|sample| (sample.span(), sample.into_inner()))
            .collect();
        let refusal = Refusal {
            code,
            endings: plain(self.endings),
            shared: self.shared,
            samples: samples.iter().map(|(_, sample)| sample.clone()).collect(),
        };
        for (span, sample) in samples {
            if !refusal.is(&sample.line) {
                add(
                    span.clone(),
                    "sample-not-taken",
                    "this line is not taken for the refusal",
                    "it begins with `550`, a blank and the code, and ends in one of the endings",
                );
            }
            if format!("{}-01", sample.since)
                .parse::<jiff::civil::Date>()
                .is_err()
            {
                add(
                    span,
                    "bad-month",
                    &format!("`{}` is no month", escape(&sample.since)),
                    "a year and a month, such as `2020-03`",
                );
            }
        }
        let lacks_sample = |ending: &&String| {
            let mut lines = refusal.samples.iter();
            !lines.any(|sample| ends_in(&sample.line, ending))
        };
        let ending = refusal.endings.iter().find(lacks_sample);
        if refusal.samples.is_empty() || ending.is_some() {
            add(
                code_span,
                "no-sample",
                &format!(
                    "no sample of the refusal{}",
                    ending.map_or_else(String::new, |ending| format!(" ends in `{ending}`"))
                ),
                "a rule that no line tries may be one that no line fits",
            );
        }
        refusal
    }
}

/// An enhanced status code of class 5. // RFC 3463, 2
fn is_permanent_code(code: &str) -> bool {
    let mut parts = code.split('.');
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    parts.next() == Some("5") && parts.clone().count() == 2 && parts.all(is_number)
}

fn is_plain_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())
}
