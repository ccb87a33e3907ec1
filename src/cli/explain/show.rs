//! What a person reads.

use crate::cli::Session;
use crate::cli::explain::form::kind;
use crate::cli::ui::Ui;
use crate::diagnose::{Confidence, Knowledge, LOCAL, OTHER};
use crate::excerpt::{Ending, Kind, Sighting};
use crate::explain::{Advice, Explanation};
use crate::postfix::log::Manner;

/// The most of a reply that is shown; the person has the rest.
const WORDS: usize = 700;

/// How many other things that were seen are listed.
const OTHERS: usize = 4;

/// Shows one explanation.
pub fn show(session: &mut Session, knowledge: &Knowledge, explanation: &Explanation<'_>) {
    let ui = &mut session.ui;
    let Some(sighting) = explanation.sighting() else {
        ui.heading("nothing that tells of mail was recognized");
        ui.point("-", "paste the line of the mail log with the words behind `status=`, or all that the bounce says between \"host\" and \"(in reply to …)\"");
        return;
    };
    match explanation.cause {
        Some(cause) => ui.heading(&format!("{}: {}", cause.code, cause.says)),
        None => ui.heading("no known cause fits what this says"),
    }
    facts(ui, knowledge, explanation, sighting);
    advice(ui, &explanation.advice);
    let troubles: Vec<&Sighting> = explanation.troubles().collect();
    if !troubles.is_empty() {
        section(ui, "What programs said beside it");
        for trouble in troubles.iter().take(OTHERS) {
            ui.point("-", &trouble.words);
        }
    }
    others(ui, explanation);
}

/// Shows what to do, and what not.
pub fn advice(ui: &mut Ui, advice: &Advice<'_>) {
    if !advice.means.is_empty() {
        section(ui, "What it means");
        for means in &advice.means {
            ui.paragraph(means);
        }
    }
    if !advice.steps.is_empty() {
        section(ui, "What to do");
        for (at, step) in advice.steps.iter().enumerate() {
            let text = match &step.command {
                Some(command) => format!("`{command}`\n{}", step.says),
                None => step.says.clone(),
            };
            ui.point(&format!("{}.", at + 1), &text);
        }
    }
    if !advice.forms.is_empty() {
        section(ui, "Where to ask");
        for form in &advice.forms {
            ui.point("-", &format!("{}\n{}", form.place, form.says));
        }
    }
    if !advice.not.is_empty() {
        section(ui, "What is not the matter");
        for not in &advice.not {
            ui.point("-", not);
        }
    }
}

/// Begins a part of the answer.
pub fn section(ui: &mut Ui, title: &str) {
    ui.data("\n");
    ui.heading(title);
}

fn facts(ui: &mut Ui, knowledge: &Knowledge, explanation: &Explanation<'_>, sighting: &Sighting) {
    if let Some(who) = who(knowledge, explanation, sighting) {
        ui.point("-", &format!("who: {who}"));
    }
    if let Some(client) = &sighting.client
        && client
            .address
            .is_none_or(|address| Some(address) != sighting.address)
    {
        ui.point(
            "-",
            &format!("our address, as the reply names it: {}", client.text),
        );
    }
    if let Some(recipient) = &sighting.recipient {
        ui.point(
            "-",
            &format!("to: {recipient}{}", ending(explanation, sighting)),
        );
    } else if explanation.delivered && sighting.kind == Kind::Attempt {
        ui.point(
            "-",
            &format!("the message{}", ending(explanation, sighting)),
        );
    }
    let codes = [
        sighting.code.map(|code| code.to_string()),
        sighting.enhanced.clone(),
    ];
    let codes: Vec<String> = codes.into_iter().flatten().collect();
    let words = shortened(&sighting.words);
    let said = format!("{} {words}", codes.join(" "));
    if !said.trim().is_empty() {
        let spoke = matches!(sighting.manner, Manner::Said | Manner::RefusedToTalk);
        let label = match sighting.kind {
            Kind::Refusal | Kind::Delivery(Ending::Sent) => "reply",
            Kind::Loose => "text",
            _ if spoke => "reply",
            _ => "what happened",
        };
        let said = format!("{label}: {}", said.trim());
        ui.marked_point("-", &said, &explanation.because);
    }
    if explanation.cause.is_some() {
        ui.point("-", &sure(explanation));
    }
    if explanation.is_new {
        ui.point(
            "-",
            "these words of it are not known yet; the cause is taken from the code alone",
        );
    }
}

/// Whose host it was.
fn who(
    knowledge: &Knowledge,
    explanation: &Explanation<'_>,
    sighting: &Sighting,
) -> Option<String> {
    let host = sighting.host.as_ref().map(|host| {
        let address = sighting
            .address
            .map_or_else(String::new, |address| format!("[{address}]"));
        format!("{host}{address}")
    });
    if explanation.cause.is_some_and(|cause| cause.here) {
        let named = explanation.provider.and_then(|id| knowledge.provider(id));
        let meant = named.map(|provider| format!(" (the mail was for {})", provider.name));
        let meant = meant.unwrap_or_default();
        return Some(format!("this host itself, not the receiver{meant}"));
    }
    let name = match explanation.provider? {
        LOCAL if sighting.kind == Kind::Refusal => {
            return Some("this host itself, which refused somebody".to_owned());
        }
        LOCAL => return Some("Postfix on this host; no receiver said anything".to_owned()),
        OTHER => None,
        id => Some(
            knowledge
                .provider(id)
                .map_or(id, |provider| &provider.name)
                .to_owned(),
        ),
    };
    let over = sighting.family.filter(|_| sighting.host.is_some());
    let over = over.map(|family| format!("over IPv{family}"));
    let words: Vec<String> = [name, host, over].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What became of the message.
fn ending(explanation: &Explanation<'_>, sighting: &Sighting) -> &'static str {
    match sighting.kind {
        Kind::Delivery(Ending::Sent) => " (delivered)",
        Kind::Delivery(Ending::Deferred) => " (deferred: Postfix tries again)",
        Kind::Delivery(Ending::Failed) => " (given up)",
        _ if explanation.delivered => " (delivered by another way afterwards)",
        _ => "",
    }
}

/// How sure it is, and what decided.
fn sure(explanation: &Explanation<'_>) -> String {
    let is_cut = explanation.sighting().is_some_and(|one| one.is_cut);
    let sure = match explanation.confidence {
        Confidence::Certain => "certain",
        Confidence::Likely if is_cut => "likely (the text is cut off)",
        Confidence::Likely => "likely",
        Confidence::Guess => "a guess",
    };
    let because: Vec<String> = explanation
        .because
        .iter()
        .map(|words| format!("\"{}\"", shortened(words)))
        .collect();
    if because.is_empty() {
        return format!("{sure}, by how it came about");
    }
    format!("{sure}, by {}", because.join(" and "))
}

fn shortened(words: &str) -> String {
    match words.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{} …", words.get(..end).unwrap_or_default()),
        None => words.to_owned(),
    }
}

/// What else there was in the text.
fn others(ui: &mut Ui, explanation: &Explanation<'_>) {
    let decided = explanation.sighting();
    let others: Vec<(&Sighting, &str)> = explanation
        .seen
        .iter()
        .zip(explanation.causes.iter().copied())
        .filter(|(one, _)| !matches!(one.kind, Kind::Trouble(_)))
        // A report says the same more than once.
        .filter(|(one, _)| {
            decided.is_none_or(|decided| {
                decided.words != one.words || decided.recipient != one.recipient
            })
        })
        .collect();
    if others.is_empty() {
        return;
    }
    section(ui, "Also in the text");
    for (other, cause) in others.iter().take(OTHERS) {
        let whom = other.recipient.as_ref().or(other.host.as_ref());
        let whom = whom.map_or_else(String::new, |whom| format!(", {whom}"));
        let what = if cause.is_empty() {
            kind(other.kind)
        } else {
            cause
        };
        ui.point("-", &format!("{what}{whom}"));
    }
    if others.len() > OTHERS {
        let more = others.len() - OTHERS;
        ui.point("-", &format!("and {more} more; `--lines` explains each"));
    }
}
