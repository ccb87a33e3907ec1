//! The form for programs. Documented in the README, "For programs".

use serde_json::{Value, json};

use crate::cli::json;
use crate::excerpt::{Ending, Kind, Sighting};
use crate::explain::{Advice, Explanation};
use crate::postfix::log::{Manner, Severity};

/// One text.
pub fn object(explanation: &Explanation<'_>) -> Value {
    let sighting = explanation.sighting();
    let cause = explanation.cause;
    let mut object = json::object("provider", &explanation.provider);
    let more = json!({
        "cause": cause.map(|cause| &cause.code),
        "says": cause.map(|cause| &cause.says),
        "confidence": cause.map(|_| explanation.confidence),
        "because": explanation.because,
        "new": explanation.is_new,
        "delivered": explanation.delivered,
        "code": sighting.and_then(|one| one.code).map(|code| code.to_string()),
        "enhanced": sighting.and_then(|one| one.enhanced.as_ref()),
        "dsn": sighting.map(|one| &one.dsn).filter(|dsn| !dsn.is_empty()),
        "host": sighting.and_then(|one| one.host.as_ref()),
        "address": sighting.and_then(|one| one.address),
        "family": sighting.and_then(|one| one.family),
        "client": sighting.and_then(|one| one.client.as_ref()).map(|client| json!({
            "text": client.text, "address": client.address, "family": client.family,
        })),
        "recipient": sighting.and_then(|one| one.recipient.as_ref()),
        "queue_id": sighting.and_then(|one| one.queue_id.as_ref()),
        "words": sighting.map(|one| &one.words),
        "means": explanation.advice.means,
        "remedy": remedy(&explanation.advice),
        "not": explanation.advice.not,
        "seen": explanation.seen.iter().zip(&explanation.causes).map(seen).collect::<Vec<_>>(),
    });
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

/// What to do.
pub fn remedy(advice: &Advice<'_>) -> Value {
    let steps: Vec<Value> = advice
        .steps
        .iter()
        .map(|step| json!({ "command": step.command, "says": step.says }))
        .collect();
    let forms: Vec<Value> = advice
        .forms
        .iter()
        .map(|form| json!({ "place": form.place, "says": form.says }))
        .collect();
    json!({ "commands": advice.commands(), "steps": steps, "forms": forms })
}

fn seen((sighting, cause): (&Sighting, &&str)) -> Value {
    json!({
        "kind": kind(sighting.kind),
        "cause": Some(cause).filter(|cause| !cause.is_empty()),
        "manner": manner(sighting.manner),
        "host": sighting.host,
        "recipient": sighting.recipient,
        "code": sighting.code.map(|code| code.to_string()),
        "enhanced": sighting.enhanced,
        "words": sighting.words,
    })
}

/// The word for a kind of text.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Delivery(Ending::Sent) => "sent",
        Kind::Delivery(Ending::Deferred) => "deferred",
        Kind::Delivery(Ending::Failed) => "bounced",
        Kind::Attempt => "attempt",
        Kind::Report => "report",
        Kind::Refusal => "refusal",
        Kind::Trouble(Severity::Warning) => "warning",
        Kind::Trouble(Severity::Error) => "error",
        Kind::Trouble(Severity::Fatal) => "fatal",
        Kind::Trouble(Severity::Panic) => "panic",
        Kind::Reply => "reply",
        Kind::Own => "postfix",
        Kind::Loose => "text",
    }
}

fn manner(manner: Manner) -> &'static str {
    match manner {
        Manner::Said => "said",
        Manner::RefusedToTalk => "refused",
        Manner::NotConnected => "not-connected",
        Manner::LostConnection => "lost",
        Manner::TimedOut => "timed-out",
        Manner::Own => "own",
    }
}
