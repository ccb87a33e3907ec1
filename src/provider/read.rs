//! A provider's file: TOML to [`Provider`], every fault with its place.

use std::ops::Range;

use camino::Utf8Path;
use serde::Deserialize;

use super::demand::DemandData;
use super::rule::{FormData, LimitsData, RuleData};
use super::{Demands, Provider, Reply, Signature, plain};
use crate::cause::{Cause, Cure, Sign};
use crate::data_file::{self, DataError, Faults};
use crate::finding::{Finding, escape};

/// The word for the date of a page that has none.
const UNDATED: &str = "undated";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    name: String,
    about: String,
    domains: Vec<toml::Spanned<String>>,
    mx_suffixes: Vec<toml::Spanned<String>>,
    #[serde(default)]
    mx_prefixes: Vec<toml::Spanned<String>>,
    #[serde(default)]
    marks: Vec<toml::Spanned<String>>,
    ipv6: Option<DemandData>,
    ipv4: Option<DemandData>,
    limits: Option<LimitsData>,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleData>,
    #[serde(default, rename = "form")]
    forms: Vec<FormData>,
    #[serde(default, rename = "signature")]
    signatures: Vec<SignatureData>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct SignatureData {
    cause: toml::Spanned<String>,
    sign: toml::Spanned<Sign>,
    says: Option<String>,
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    not: Vec<String>,
    #[serde(default)]
    plan: Vec<Cure>,
    samples: Vec<toml::Spanned<Reply>>,
}

impl Provider {
    /// Reads a provider's file; its id is the file's name. The causes it names are those that
    /// mailfix brings.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let causes: Vec<&str> = Cause::codes().collect();
        Self::parse_among(bytes, path, &causes)
    }

    /// Reads a provider's file that may name these causes.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse_among(
        bytes: impl AsRef<[u8]>,
        path: &Utf8Path,
        causes: &[&str],
    ) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        check_names(&data, &mut faults);
        let signatures = data.signatures.into_iter();
        let signatures = signatures
            .map(|signature| signature.read(causes, &mut faults))
            .collect();
        let demands = Demands {
            ipv6: data.ipv6.map(|demand| demand.read(&mut faults)),
            ipv4: data.ipv4.map(|demand| demand.read(&mut faults)),
        };
        let rules = data.rules.into_iter();
        let rules = rules.map(|rule| rule.read(&mut faults)).collect();
        let limits = data.limits.map(|limits| limits.read(&mut faults));
        let forms = data.forms.into_iter();
        let forms = forms.map(|form| form.read(causes, &mut faults)).collect();
        faults.finish(Self {
            id: path.file_stem().unwrap_or_default().to_owned(),
            name: data.name,
            about: data.about,
            domains: plain(data.domains),
            mx_suffixes: plain(data.mx_suffixes),
            mx_prefixes: plain(data.mx_prefixes),
            marks: plain(data.marks),
            demands,
            rules,
            limits,
            forms,
            signatures,
        })
    }
}

impl SignatureData {
    fn read(self, causes: &[&str], faults: &mut Faults<'_>) -> Signature {
        check_cause(&self.cause, causes, faults);
        if let Some(fault) = self.sign.get_ref().fault() {
            faults.add(self.sign.span(), fault);
        }
        for sample in &self.samples {
            let (span, reply) = (sample.span(), sample.get_ref());
            if let Some(family) = reply.family {
                check_family(span.clone(), family, faults);
            }
            if !is_source(&reply.source) {
                faults.add(span.clone(), no_source(&reply.source));
            }
            if !is_date(&reply.date) {
                faults.add(span, no_date(&reply.date));
            }
        }
        Signature {
            cause: self.cause.into_inner(),
            sign: self.sign.into_inner(),
            says: self.says,
            steps: self.steps,
            not: self.not,
            plan: self.plan,
            samples: self
                .samples
                .into_iter()
                .map(toml::Spanned::into_inner)
                .collect(),
        }
    }
}

fn check_names(data: &Data, faults: &mut Faults<'_>) {
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
    for label in &data.mx_prefixes {
        if !is_plain_label(label.get_ref()) {
            faults.add(
                label.span(),
                Finding::error(
                    "bad-label",
                    format!(
                        "`{}` is no beginning of a host's name",
                        escape(label.get_ref())
                    ),
                )
                .because("letters in lower case, digits and `-`, such as `ironport`"),
            );
        }
    }
    for mark in &data.marks {
        let text = mark.get_ref();
        // A shorter one stands in replies of others by chance.
        if text.chars().count() < 4 || *text != text.to_lowercase() {
            faults.add(
                mark.span(),
                Finding::error(
                    "bad-mark",
                    format!("`{}` marks no provider's replies", escape(text)),
                )
                .because("a phrase in lower case, of four letters at least"),
            );
        }
    }
}

pub(super) fn check_cause(cause: &toml::Spanned<String>, causes: &[&str], faults: &mut Faults<'_>) {
    let code = cause.get_ref();
    if !causes.iter().any(|known| known == code) {
        let known = causes.iter().copied();
        let finding = data_file::unknown("unknown-cause", "cause", code, known);
        faults.add(cause.span(), finding);
    }
}

pub(super) fn check_family(span: Range<usize>, family: u8, faults: &mut Faults<'_>) {
    if ![4, 6].contains(&family) {
        faults.add(
            span,
            Finding::error("bad-family", format!("`{family}` is no protocol"))
                .because("4 for IPv4, 6 for IPv6"),
        );
    }
}

pub(super) fn check_source(source: toml::Spanned<String>, faults: &mut Faults<'_>) -> String {
    if !is_source(source.get_ref()) {
        faults.add(source.span(), no_source(source.get_ref()));
    }
    source.into_inner()
}

pub(super) fn check_date(date: toml::Spanned<String>, faults: &mut Faults<'_>) -> String {
    if !is_date(date.get_ref()) {
        faults.add(date.span(), no_date(date.get_ref()));
    }
    date.into_inner()
}

/// The day that a demand holds from: not less than a day of it.
pub(super) fn check_day(date: &toml::Spanned<String>, faults: &mut Faults<'_>) {
    if !is_day(date.get_ref()) {
        let title = format!("`{}` is no day", escape(date.get_ref()));
        faults.add(
            date.span(),
            Finding::error("bad-date", title).because("year, month and day, such as `2026-02-15`"),
        );
    }
}

fn no_source(source: &str) -> Finding {
    let title = format!("`{}` is no page of the web", escape(source));
    Finding::error("bad-source", title).because("it begins with `https://` or `http://`")
}

fn no_date(date: &str) -> Finding {
    let title = format!("`{}` is no date", escape(date));
    Finding::error("bad-date", title).because(
        "year, month and day, such as `2026-02-15`, without the day or the month where nobody \
         knows them; `undated` where nothing says it",
    )
}

fn is_source(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Tells whether a text is a day, or as much of one as is known.
fn is_date(text: &str) -> bool {
    let rest = match text.len() {
        4 => "-01-01",
        7 => "-01",
        10 => "",
        _ => return false,
    };
    text == UNDATED || format!("{text}{rest}").parse::<jiff::civil::Date>().is_ok()
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && is_date(text)
}

fn is_plain_domain(name: &str) -> bool {
    name.contains('.') && name.split('.').all(is_plain_label)
}

fn is_plain_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
