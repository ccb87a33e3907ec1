//! Ailments: which witnesses tell of the same cause, and what follows from it.
//!
//! Owns [`Ailment`], read from `profiles/ailments/*.toml`; its code is the file's name, and where
//! the mail log can tell of it, that of the cause. A further one is one file there and no Rust.
//! What no file names is a trouble of its own, by the words of its witness.

use camino::Utf8Path;
use serde::Deserialize;

use super::{By, Dns, Harm, Witness};
use crate::data_file::{self, DataError};
use crate::embedded::AILMENTS;
use crate::finding::Severity;

/// One thing that may be wrong, and all that tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailment {
    /// The word for it.
    pub code: String,
    /// What is wrong, a phrase; else its first witness says it.
    pub title: Option<String>,
    /// Why it matters.
    pub why: Option<String>,
    /// What it does to mail.
    pub harm: Harm,
    /// Its place among those that do the same, the lowest first.
    pub weight: u32,
    /// By what it is known.
    pub signs: Vec<Sign>,
    /// Codes of what follows from it.
    pub explains: Vec<String>,
    /// Codes of what it follows from, where a check of this host is certain of it; one that ends
    /// in `*` stands for all that begin so.
    pub explained_by: Vec<String>,
    /// What brings the command that mends it.
    pub mend: Mend,
    /// Commands that mend it, before those that the witnesses name.
    pub commands: Vec<String>,
    /// What else there is to do.
    pub steps: Vec<String>,
    /// What is said instead where DNS contradicts a log or a queue that tells of it.
    pub cleared: Option<Cleared>,
    /// What makes it past if the log does not tell of it again.
    pub over: Over,
}

/// What makes something past that only the log tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Nothing here.
    #[default]
    Never,
    /// An apply, or taking one back.
    Apply,
    /// Any change of the configuration, also by hand.
    Change,
}

/// What is left of it once DNS answers as it should.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Cleared {
    /// How much of DNS has to answer for that.
    pub from: Dns,
    /// What it is then, a phrase, where that is something else.
    pub title: Option<String>,
    /// What it does to mail then, where that is less.
    pub harm: Option<Harm>,
    /// Why it is still told.
    pub why: String,
    /// What to type, in order.
    pub commands: Vec<String>,
}

/// What brings the command that mends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mend {
    /// The witnesses name it.
    #[default]
    Witness,
    /// The plan of the site file, or of one still to be made.
    Plan,
}

/// By what an ailment is known: all that is named must be so, of a list one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Sign {
    /// Who looked.
    by: Vec<By>,
    /// Codes; one that ends in `*` stands for all that begin so.
    codes: Vec<String>,
    /// The protocol, 4 or 6.
    family: Option<u8>,
    /// Words, one of which is in what it says or why.
    #[serde(default)]
    has: Vec<String>,
    /// How much it matters at least.
    #[serde(default = "note")]
    severity: Severity,
    /// Whether it tells of this only beside another sign of the same ailment.
    #[serde(default)]
    beside: bool,
}

fn note() -> Severity {
    Severity::Note
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    title: Option<String>,
    why: Option<String>,
    harm: Harm,
    weight: u32,
    #[serde(rename = "sign")]
    signs: Vec<Sign>,
    #[serde(default)]
    explains: Vec<String>,
    #[serde(default)]
    explained_by: Vec<String>,
    #[serde(default)]
    mend: Mend,
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
    cleared: Option<Cleared>,
    #[serde(default)]
    over: Over,
}

impl Ailment {
    /// Reads an ailment's file.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        Ok(Self {
            code: path.file_stem().unwrap_or_default().to_owned(),
            title: data.title,
            why: data.why,
            harm: data.harm,
            weight: data.weight,
            signs: data.signs,
            explains: data.explains,
            explained_by: data.explained_by,
            mend: data.mend,
            commands: data.commands,
            steps: data.steps,
            cleared: data.cleared,
            over: data.over,
        })
    }

    /// Lists the ailments that mailfix knows, the worst first.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = AILMENTS
            .iter()
            .map(|(code, text)| {
                Self::parse(text, Utf8Path::new(&format!("{code}.toml")))
                    .expect("a test reads every embedded ailment")
            })
            .collect();
        all.sort_by_key(|ailment| (ailment.harm, ailment.weight));
        all
    }

    /// The place of a witness among those that tell of it: the one that says most comes first.
    #[must_use]
    pub fn place(&self, witness: &Witness) -> usize {
        let mut codes = self.signs.iter().flat_map(|sign| &sign.codes);
        let place = codes.position(|code| stands_for(code, &witness.code));
        place.unwrap_or(usize::MAX)
    }

    /// Takes from witnesses those that tell of it.
    pub fn take(&self, witnesses: &mut Vec<Witness>) -> Vec<Witness> {
        let is_told = |witness: &Witness, beside: bool| {
            let mut signs = self.signs.iter().filter(|sign| beside || !sign.beside);
            signs.any(|sign| sign.fits(witness))
        };
        let stands_alone = witnesses.iter().any(|witness| is_told(witness, false));
        witnesses
            .extract_if(.., |witness| is_told(witness, stands_alone))
            .collect()
    }
}

impl Sign {
    fn fits(&self, witness: &Witness) -> bool {
        let why = witness.why.as_deref().unwrap_or_default();
        let has = |words: &String| witness.says.contains(words) || why.contains(words);
        self.by.contains(&witness.by)
            && self
                .codes
                .iter()
                .any(|code| stands_for(code, &witness.code))
            && (self.family.is_none() || self.family == witness.family)
            && (self.has.is_empty() || self.has.iter().any(has))
            && witness.severity >= self.severity
    }
}

/// Tells whether a code of a file stands for another one.
pub(super) fn stands_for(code: &str, other: &str) -> bool {
    match code.strip_suffix('*') {
        Some(start) => other.starts_with(start),
        None => code == other,
    }
}

/// Tells whether it is a fault of this host that holds mail up until somebody mends it.
#[must_use]
pub fn holds_up(code: &str) -> bool {
    let mut all = Ailment::all().into_iter();
    all.any(|ailment| {
        ailment.code == code && ailment.over == Over::Change && ailment.harm <= Harm::Stuck
    })
}
