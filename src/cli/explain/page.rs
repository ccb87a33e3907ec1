//! Pages about a cause, a finding, a remedy, a receiver, a code, or a code of a receiver's own: what
//! is known without a line.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cause::Cause;
use crate::cli::explain::form::remedy;
use crate::cli::explain::show::{advice, section};
use crate::cli::{Failure, Session, json};
use crate::diagnose::Knowledge;
use crate::explain::{Advice, Code, Step};
use crate::meaning::Meaning;
use crate::provider::{Provider, Signature};
use crate::remedy_sheet::RemedyId;
use crate::spelling::near_miss;

/// How many sample replies a page shows.
const SAMPLES: usize = 5;

/// The most bytes of a code; a text that is longer is none.
const LONGEST: usize = 60;

/// What somebody asks about.
pub enum Page<'k> {
    /// A cause.
    Cause(&'k Cause),
    /// A finding.
    Finding(Meaning),
    /// A remedy.
    Remedy(RemedyId),
    /// A receiver.
    Provider(&'k Provider),
    /// A status code.
    Code(Code),
    /// A code of a receiver's own, `TSS04`, and the signatures it stands in.
    Own(String, Vec<(&'k Provider, &'k Signature)>),
}

/// Finds what a text names, if it is all of the text.
pub fn find<'k>(knowledge: &'k Knowledge, text: &str) -> Option<Page<'k>> {
    if text.len() > LONGEST {
        return None;
    }
    let word = text
        .trim_matches(['[', ']', '(', ')', '"', '`', '#'])
        .to_lowercase();
    if let Some(page) = named(knowledge, &word) {
        return Some(page);
    }
    if let Some(code) = Code::parse(text) {
        return Some(Page::Code(code));
    }
    let is_word = (4..=30).contains(&word.chars().count())
        && !word.contains(char::is_whitespace)
        && !word.contains('@')
        && word.contains(|c: char| c.is_ascii_digit() || matches!(c, '_' | ':' | '#'));
    if !is_word {
        return None;
    }
    let signatures: Vec<_> = signatures(knowledge)
        .filter(|(_, signature)| {
            let sign = &signature.sign;
            let phrases = sign.has.iter().chain(&sign.all);
            phrases
                .into_iter()
                .any(|phrase| has_word(phrase, &word) || has_word(&word, phrase))
        })
        .collect();
    (!signatures.is_empty()).then_some(Page::Own(word, signatures))
}

/// Finds what a word of ours stands for.
fn named<'k>(knowledge: &'k Knowledge, word: &str) -> Option<Page<'k>> {
    let cause = knowledge.cause(word).map(Page::Cause);
    cause
        .or_else(|| Meaning::of(word).map(Page::Finding))
        .or_else(|| RemedyId::of(word).map(Page::Remedy))
        .or_else(|| knowledge.provider(word).map(Page::Provider))
}

/// What to say of a text that reads like a code of ours and is none: it is no text of mail.
pub fn unknown(knowledge: &Knowledge, text: &str) -> Option<Failure> {
    let is_code = text.len() < 40
        && text.contains('-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_code {
        return None;
    }
    let failure = Failure::failed(format!("`{text}` is no code that mailfix knows"));
    let meanings = Meaning::all();
    let findings = meanings.iter().map(|meaning| meaning.code.as_str());
    let codes: Vec<&str> = (knowledge.causes().iter().map(|cause| cause.code.as_str()))
        .chain(findings)
        .chain(RemedyId::ALL.iter().map(|id| id.word()))
        .collect();
    Some(match near_miss(text, codes) {
        Some(code) => failure.hint(format!("did you mean `mailfix explain {code}`?")),
        None => failure.hint(
            "codes stand in brackets where mailfix prints them, `warning[spf-long]`; anything else is taken for a text if it has a blank in it",
        ),
    })
}

/// Tells whether a phrase holds a code, by whole words.
fn has_word(phrase: &str, word: &str) -> bool {
    let bare = phrase.trim_matches(|c: char| !c.is_alphanumeric());
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    bare.contains(|c: char| c.is_ascii_digit()) && !word.is_empty() && bare == word
        || phrase
            .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | ','))
            .any(|part| part == word)
}

fn signatures(knowledge: &Knowledge) -> impl Iterator<Item = (&Provider, &Signature)> {
    let providers = knowledge.providers().iter();
    providers.flat_map(|provider| provider.signatures.iter().map(move |one| (provider, one)))
}

impl Page<'_> {
    /// Shows it.
    pub fn show(&self, session: &mut Session, knowledge: &Knowledge) {
        match self {
            Self::Cause(cause) => show_cause(session, knowledge, cause),
            Self::Finding(meaning) => show_finding(session, meaning),
            Self::Remedy(id) => show_remedy(session, *id),
            Self::Provider(provider) => show_provider(session, knowledge, provider),
            Self::Code(code) => show_code(session, knowledge, code),
            Self::Own(word, signatures) => show_own(session, knowledge, word, signatures),
        }
    }

    /// The form for programs.
    pub fn object(&self, knowledge: &Knowledge) -> Value {
        match self {
            Self::Cause(cause) => {
                let known = Advice::of_cause(cause);
                let providers: Vec<&str> =
                    by_provider(knowledge, |signature| signature.cause == cause.code)
                        .into_keys()
                        .collect();
                json::object(
                    "page",
                    &json!({
                        "cause": cause.code,
                        "says": cause.says,
                        "means": known.means,
                        "remedy": remedy(&known),
                        "not": known.not,
                        "providers": providers,
                    }),
                )
            }
            Self::Finding(meaning) => json::object(
                "page",
                &json!({
                    "finding": meaning.code,
                    "says": meaning.says,
                    "means": [meaning.means],
                    "remedy": remedy(&of_finding(meaning)),
                    "found_by": meaning.found_by,
                }),
            ),
            Self::Remedy(id) => {
                let sheet = id.sheet();
                json::object(
                    "page",
                    &json!({
                        "remedy": id,
                        "title": sheet.title,
                        "outcome": sheet.outcome,
                        "changes": sheet.changes,
                        "cost": sheet.cost,
                        "verify": sheet.verify,
                        "until": sheet.until,
                    }),
                )
            }
            Self::Provider(provider) => json::object(
                "page",
                &json!({
                    "provider": provider.id,
                    "name": provider.name,
                    "causes": causes_of(knowledge, provider).iter().map(|cause| &cause.code).collect::<Vec<_>>(),
                }),
            ),
            Self::Code(code) => {
                let says: Vec<Value> = code
                    .says()
                    .into_iter()
                    .map(|(code, says)| json!({ "code": code, "says": says }))
                    .collect();
                let providers = by_provider(knowledge, |signature| names(signature, code));
                json::object(
                    "page",
                    &json!({
                        "code": code.reply.map(|reply| reply.to_string()),
                        "enhanced": code.enhanced,
                        "says": says,
                        "providers": providers,
                    }),
                )
            }
            Self::Own(word, signatures) => {
                let means: Vec<Value> = signatures
                    .iter()
                    .map(|(provider, signature)| {
                        json!({
                            "provider": provider.id,
                            "cause": signature.cause,
                            "says": signature.says,
                        })
                    })
                    .collect();
                json::object("page", &json!({ "word": word, "means": means }))
            }
        }
    }
}

/// The causes of the signatures that fit, by the receiver's id.
fn by_provider(
    knowledge: &Knowledge,
    fits: impl Fn(&Signature) -> bool,
) -> BTreeMap<&str, Vec<&str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (provider, signature) in signatures(knowledge).filter(|(_, signature)| fits(signature)) {
        let causes = all.entry(&provider.id).or_default();
        if !causes.contains(&signature.cause.as_str()) {
            causes.push(&signature.cause);
        }
    }
    all
}

/// Tells whether a signature names a code, and that code to its end.
fn names(signature: &Signature, code: &Code) -> bool {
    let sign = &signature.sign;
    match &code.enhanced {
        Some(enhanced) => {
            let mut samples = signature.samples.iter();
            sign.dsn.contains(enhanced)
                || samples.any(|sample| sample.reply.split([' ', '-']).any(|word| word == enhanced))
        }
        None => code.reply.is_some_and(|reply| sign.code.contains(&reply)),
    }
}

/// What is to be done about a finding.
fn of_finding(meaning: &Meaning) -> Advice<'_> {
    Advice {
        means: vec![&meaning.means],
        steps: meaning.steps.iter().map(|says| Step::of(says)).collect(),
        ..Advice::default()
    }
}

fn show_finding(session: &mut Session, meaning: &Meaning) {
    let ui = &mut session.ui;
    ui.heading(&format!("{}: {}", meaning.code, meaning.says));
    advice(ui, &of_finding(meaning));
    let commands: Vec<String> = (meaning.found_by.iter())
        .map(|words| format!("`mailfix {words}`"))
        .collect();
    ui.hint(&format!(
        "where it stands on this host, and what mends it there: {}",
        commands.join(", ")
    ));
}

fn show_remedy(session: &mut Session, id: RemedyId) {
    let sheet = id.sheet();
    let ui = &mut session.ui;
    ui.heading(&format!("{id}: {}", sheet.title));
    for (name, text) in [
        ("what becomes of mail", &sheet.outcome),
        ("changes", &sheet.changes),
        ("costs", &sheet.cost),
        ("verified by", &sheet.verify),
        ("unnecessary when", &sheet.until),
    ] {
        ui.point("-", &format!("{name}: {text}"));
    }
    ui.hint(&format!(
        "`mailfix remedies {id}` says whether it fits this host"
    ));
}

/// The causes for which a receiver is known to refuse mail, in the order of its file.
fn causes_of<'k>(knowledge: &'k Knowledge, provider: &Provider) -> Vec<&'k Cause> {
    let mut causes: Vec<&Cause> = Vec::new();
    let signatures = provider.signatures.iter();
    for cause in signatures.filter_map(|one| knowledge.cause(&one.cause)) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

fn show_provider(session: &mut Session, knowledge: &Knowledge, provider: &Provider) {
    let ui = &mut session.ui;
    ui.heading(&format!("{}: {}", provider.id, provider.name));
    let causes = causes_of(knowledge, provider);
    if causes.is_empty() {
        ui.point("-", "no refusal in words of its own is known");
    } else {
        section(ui, "What it refuses mail for");
        for cause in causes {
            ui.point("-", &format!("{}: {}", cause.code, cause.says));
        }
    }
    ui.hint(&format!(
        "`mailfix explain CAUSE` says what to do; `mailfix providers show {}` tells all about it",
        provider.id
    ));
}

fn show_cause(session: &mut Session, knowledge: &Knowledge, cause: &Cause) {
    let ui = &mut session.ui;
    ui.heading(&format!("{}: {}", cause.code, cause.says));
    let mut known = Advice::of_cause(cause);
    let not = std::mem::take(&mut known.not);
    advice(ui, &known);
    let places: Vec<_> = knowledge
        .providers()
        .iter()
        .flat_map(|provider| {
            provider
                .forms_for(&cause.code)
                .map(move |form| (provider, form))
        })
        .collect();
    if !places.is_empty() {
        section(ui, "Where to ask");
        for (provider, form) in places {
            ui.point("-", &format!("{}: {}", provider.name, form.place));
        }
    }
    known.means.clear();
    known.steps.clear();
    known.not = not;
    advice(ui, &known);
    let samples: Vec<_> = signatures(knowledge)
        .filter(|(_, signature)| signature.cause == cause.code)
        .filter_map(|(provider, signature)| Some((provider, signature.samples.first()?)))
        .collect();
    let mut shown: Vec<&str> = Vec::new();
    for (provider, sample) in &samples {
        if shown.contains(&provider.id.as_str()) || shown.len() == SAMPLES {
            continue;
        }
        if shown.is_empty() {
            section(ui, "How receivers say it");
        }
        shown.push(&provider.id);
        ui.point("-", &format!("{}: {}", provider.name, sample.reply));
    }
    let others: Vec<&str> = by_provider(knowledge, |signature| signature.cause == cause.code)
        .into_keys()
        .filter(|id| !shown.contains(id))
        .collect();
    if !others.is_empty() {
        ui.point("-", &format!("also known from: {}", others.join(", ")));
    }
}

fn show_code(session: &mut Session, knowledge: &Knowledge, code: &Code) {
    let ui = &mut session.ui;
    let says = code.says();
    let title = says
        .last()
        .map_or("a code that is not registered", |(_, says)| says);
    ui.heading(&format!("{}: {title}", code.text()));
    for (part, says) in says.iter().take(says.len().saturating_sub(1)) {
        ui.point("-", &format!("{part}: {says}"));
    }
    let providers = by_provider(knowledge, |signature| names(signature, code));
    if !providers.is_empty() {
        section(ui, "What receivers mean by it");
        for (id, causes) in providers {
            let name = knowledge.provider(id).map_or(id, |provider| &provider.name);
            ui.point("-", &format!("{name}: {}", causes.join(", ")));
        }
    }
    session.ui.hint(
        "`mailfix explain CAUSE` says what to do; the whole line, instead of the code, tells which cause it is",
    );
}

fn show_own(
    session: &mut Session,
    knowledge: &Knowledge,
    word: &str,
    signatures: &[(&Provider, &Signature)],
) {
    let ui = &mut session.ui;
    let mut last = None;
    for (provider, signature) in signatures {
        let Some(cause) = knowledge.cause(&signature.cause) else {
            continue;
        };
        if last == Some((&provider.id, &signature.cause)) {
            continue;
        }
        if last.is_some() {
            ui.data("\n");
        }
        last = Some((&provider.id, &signature.cause));
        ui.heading(&format!(
            "{} of {}: {}: {}",
            word.to_uppercase(),
            provider.name,
            cause.code,
            cause.says
        ));
        let mut known = Advice::of_cause(cause);
        if let Some(says) = &signature.says {
            known.means.insert(0, says);
        }
        known.forms = provider.forms_for(&cause.code).collect();
        known
            .not
            .splice(0..0, signature.not.iter().map(String::as_str));
        let own = signature.steps.iter().map(|says| Step::of(says));
        known.steps.splice(0..0, own);
        advice(ui, &known);
    }
}
