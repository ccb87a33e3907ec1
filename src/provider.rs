//! Providers: what a receiver demands of those who send to it.
//!
//! Owns [`Provider`], read from `profiles/providers/*.toml`: a new one is a file there and
//! no Rust. Must not know what is done about a demand.

use std::ops::Range;

use camino::Utf8Path;
use serde::Deserialize;

use crate::cause::{Cause, Sign};
use crate::data_file::{self, DataError, Faults};
use crate::embedded::PROVIDERS;
use crate::finding::{Finding, escape};

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
    /// When it stood there, `YYYY-MM-DD`.
    pub date: String,
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
struct DemandData {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    name: String,
    about: String,
    domains: Vec<toml::Spanned<String>>,
    mx_suffixes: Vec<toml::Spanned<String>>,
    ipv6: Option<DemandData>,
    ipv4: Option<DemandData>,
    #[serde(default, rename = "signature")]
    signatures: Vec<SignatureData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct SignatureData {
    cause: toml::Spanned<String>,
    sign: Sign,
    samples: Vec<Reply>,
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
        let ipv6 = data.ipv6.map(|demand| demand.read(&mut faults));
        let ipv4 = data.ipv4.map(|demand| demand.read(&mut faults));
        let mut signatures = Vec::new();
        for signature in data.signatures {
            let cause = signature.cause.get_ref();
            if !Cause::codes().any(|code| code == cause) {
                let finding = data_file::unknown("unknown-cause", "cause", cause, Cause::codes());
                faults.add(signature.cause.span(), finding);
            }
            signatures.push(Signature {
                cause: signature.cause.into_inner(),
                sign: signature.sign,
                samples: signature.samples,
            });
        }
        faults.finish(Self {
            id: path.file_stem().unwrap_or_default().to_owned(),
            name: data.name,
            about: data.about,
            domains: plain(data.domains),
            mx_suffixes: plain(data.mx_suffixes),
            demands: Demands { ipv6, ipv4 },
            signatures,
        })
    }

    /// Lists the providers whose demands mailfix knows, by id: those that it can do something
    /// about.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut known = Self::known();
        known.retain(Self::has_demands);
        known
    }

    /// Lists every provider whose replies mailfix knows, by id.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn known() -> Vec<Self> {
        PROVIDERS
            .iter()
            .map(|(id, text)| {
                Self::parse(text, Utf8Path::new(&format!("{id}.toml")))
                    .expect("a test reads every embedded provider")
            })
            .collect()
    }

    /// Lists the ids of the providers whose demands mailfix knows.
    #[must_use]
    pub fn ids() -> Vec<String> {
        Self::all()
            .into_iter()
            .map(|provider| provider.id)
            .collect()
    }

    fn has_demands(&self) -> bool {
        self.demands.ipv4.is_some() || self.demands.ipv6.is_some()
    }

    /// Tells whether a domain is one of the provider's own.
    #[must_use]
    pub fn owns(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|own| own.eq_ignore_ascii_case(domain))
    }
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
    fn read(self, faults: &mut Faults<'_>) -> Demand {
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

fn plain(list: Vec<toml::Spanned<String>>) -> Vec<String> {
    list.into_iter().map(toml::Spanned::into_inner).collect()
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
        assert_eq!(all.len(), Provider::ids().len());
        for provider in Provider::known() {
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
    fn a_refusal_is_known_by_its_code_and_its_last_words() {
        let google = Provider::parse(
            PROVIDERS.iter().find(|(id, _)| *id == "google").unwrap().1,
            Utf8Path::new("google.toml"),
        );
        let refusals = google.unwrap().demands.ipv6.unwrap().refusals;
        let check = |line: &str, expected: &str| {
            let taken = refusals.iter().find(|refusal| refusal.is(line));
            assert_eq!(
                taken.map_or("", |refusal| &refusal.code),
                expected,
                "{line}"
            );
        };
        check("550 5.7.25", "5.7.25");
        check("550 5.7.25 whatever", "5.7.25");
        check("550 5.7.250 whatever", "");
        check("550 5.7.2", "");
        check("550-5.7.25 whatever", "");
        check("554 5.7.25 whatever", "");
        check("450 4.7.25 whatever", "");
        check("550 5.7.1 information. x - gsmtp", "5.7.1");
        check("550 5.7.1  for more INFORMATION. x - gsmtp", "5.7.1");
        check("550 5.7.1 for more information . x - gsmtp", "5.7.1");
        check("550 5.7.1 . x - gsmtp", "5.7.1");
        check("550 5.7.1 misinformation. x - gsmtp", "");
        check("550 5.7.1 initiative. x - gsmtp", "");
        check("550 5.7.1 information.  - gsmtp", "");
        check("550 5.7.1 information. x y - gsmtp", "");
        check("550 5.7.1 information. x - gsmtp later", "");
        check("550 5.7.1 information.", "");
        check("550 5.7.1", "");
        check("550-5.7.1 information. x - gsmtp", "");
    }

    #[test]
    fn refusals_that_contradict_themselves_are_refused() {
        let check = |refusals: &str, expected: &[&str]| {
            let text = format!(
                "name = 'x'\nabout = 'x'\ndomains = []\nmx_suffixes = ['x.example']\n[ipv6]\nptr = true\nauthentication = true\nwhy = 'x'\nsource = 'x'\ndate = 'x'\n{refusals}"
            );
            let found = Provider::parse(&text, Utf8Path::new("x.toml")).map_or_else(
                |error| {
                    let line = |finding: &Finding| {
                        let place = finding.place.as_ref().unwrap();
                        format!("{} {}: {}", place.line, finding.code, finding.title)
                    };
                    error.findings.iter().map(line).collect()
                },
                |_| Vec::new(),
            );
            assert_eq!(found, expected);
        };
        let good = "[[ipv6.refusal]]\ncode = '5.7.1'\nendings = ['in * end']\nsamples = [{ since = '2020-01', line = '550 5.7.1 in the end' }]\n";
        check(good, &[]);
        check(
            &format!("other_refusals = ['550 5.7.1 in no end', '550 5.7.1 in']\n{good}"),
            &["11 other-refusal-taken: this line is taken for the refusal `5.7.1`"],
        );
        check(
            &good.replace("'5.7.1'", "'4.7.1'"),
            &[
                "12 bad-status-code: `4.7.1` is no status code of a refusal",
                "14 sample-not-taken: this line is not taken for the refusal",
            ],
        );
        check(
            &good.replace("'in * end'", "'in * end', 'no  words'"),
            &[
                "12 no-sample: no sample of the refusal ends in `no  words`",
                "13 bad-ending: `no  words` is no ending of a line",
            ],
        );
        check(
            &good.replace("550 5", "550-5"),
            &["14 sample-not-taken: this line is not taken for the refusal"],
        );
        check(
            &good.replace("2020-01", "2020"),
            &["14 bad-month: `2020` is no month"],
        );
        check(
            "[[ipv6.refusal]]\ncode = '5.7.1'\nsamples = []\n",
            &["12 no-sample: no sample of the refusal"],
        );
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
