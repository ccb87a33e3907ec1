//! What a pasted text comes down to: of all that was seen, what explains that mail was not
//! taken, and what is to be done about it.
//!
//! Owns the choice among several sightings, and [`Advice`]. Must not know how it is shown.

mod advice;
mod codes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::cause::{Cause, Evidence};
use crate::diagnose::log::cause_of_all;
use crate::diagnose::{Confidence, DELIVERED, Knowledge, LOCAL, OTHER, Seen, Verdict};
use crate::excerpt::{self, Ending, Kind, Sighting};
use crate::mask::Mask;
use crate::postfix::log::{Manner, Severity};

pub use advice::{Advice, Step};
pub use codes::Code;

/// What a text comes down to.
#[derive(Clone, Debug)]
pub struct Explanation<'k> {
    /// All that was seen.
    pub seen: Vec<Sighting>,
    /// The cause of each, in their order; empty where none is known.
    pub causes: Vec<&'k str>,
    /// The place of what decided, in `seen`.
    pub decided: Option<usize>,
    /// The receiver's id, `other` or `local`.
    pub provider: Option<&'k str>,
    /// The cause; none where nothing is known that would fit.
    pub cause: Option<&'k Cause>,
    /// How sure that is.
    pub confidence: Confidence,
    /// What decided: words of the text.
    pub because: Vec<String>,
    /// Whether a receiver that we know said what we do not know of it.
    pub is_new: bool,
    /// Whether the message got through after all.
    pub delivered: bool,
    /// What to do.
    pub advice: Advice<'k>,
}

impl Explanation<'_> {
    /// What decided.
    #[must_use]
    pub fn sighting(&self) -> Option<&Sighting> {
        self.seen.get(self.decided?)
    }

    /// Masks everybody's address in what the text was: a text that is broken in the midst of an
    /// address, or has it in the code of a page, is masked once it is whole.
    pub fn mask(&mut self, mask: &mut Mask, text: &str) {
        let mut about: Vec<String> = Vec::new();
        for one in &self.seen {
            about.extend(one.recipient.clone());
            about.extend(Mask::addresses(&one.words));
        }
        about.extend(Mask::addresses(text));
        about.sort();
        about.dedup();
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        for one in &mut self.seen {
            one.recipient = one.recipient.as_ref().map(|address| mask.address(address));
            one.words = mask.text_about(&one.words, &about);
        }
        for words in &mut self.because {
            *words = mask.text_about(words, &about);
        }
    }

    /// What programs said of their own end, beside what decided.
    pub fn troubles(&self) -> impl Iterator<Item = &Sighting> {
        let decided = self.decided;
        let seen = self.seen.iter().enumerate();
        seen.filter(move |(at, one)| Some(*at) != decided && matches!(one.kind, Kind::Trouble(_)))
            .map(|(_, one)| one)
    }
}

/// Explains a text.
#[must_use]
pub fn explain<'k>(knowledge: &'k Knowledge, text: &[u8]) -> Explanation<'k> {
    let seen = excerpt::read(text);
    let verdicts: Vec<Verdict<'k>> = seen.iter().map(|one| judged(knowledge, one)).collect();
    let causes = verdicts
        .iter()
        .map(|verdict| verdict.cause.map_or("", |cause| cause.code.as_str()))
        .collect();
    let Some(decided) = chosen(&seen, &verdicts) else {
        return Explanation {
            seen,
            causes,
            decided: None,
            provider: None,
            cause: None,
            confidence: Confidence::Guess,
            because: Vec::new(),
            is_new: false,
            delivered: false,
            advice: Advice::default(),
        };
    };
    let (sighting, verdict) = (&seen[decided], &verdicts[decided]);
    let behind = behind_all(knowledge, &seen, &verdicts, verdict);
    let cause = behind.or(verdict.cause);
    let named = verdict.provider != OTHER || sighting.kind != Kind::Loose || cause.is_some();
    let delivered = got_through(&seen, decided);
    let confidence = match sighting.kind {
        Kind::Loose => Confidence::Guess,
        _ if behind.is_some() => Confidence::Likely,
        _ => verdict.confidence,
    };
    let provider = match cause {
        Some(cause) if cause.here && verdict.provider == OTHER && !of_another(sighting) => LOCAL,
        // What befalls all is told of the receiver that is known, of several the last.
        Some(_) if behind.is_some() && verdict.provider == OTHER => verdicts
            .iter()
            .filter(|other| other.code() == verdict.code())
            .map(|other| other.provider)
            .rfind(|id| ![OTHER, LOCAL].contains(id))
            .unwrap_or(OTHER),
        _ => verdict.provider,
    };
    let advice = Advice::of(knowledge, verdict, cause, sighting);
    Explanation {
        decided: Some(decided),
        provider: named.then_some(provider),
        cause,
        confidence,
        because: verdict.because.clone(),
        is_new: verdict.is_new && behind.is_none(),
        delivered,
        advice,
        causes,
        seen,
    }
}

/// Judges what was seen.
fn judged<'k>(knowledge: &'k Knowledge, sighting: &Sighting) -> Verdict<'k> {
    let manner = match sighting.kind {
        // Whoever said it, it was not Postfix.
        Kind::Loose | Kind::Refusal => Manner::Said,
        _ => sighting.manner,
    };
    let here = sighting.kind == Kind::Refusal;
    let made = sighting
        .code
        .filter(|_| sighting.dsn.is_empty() && sighting.enhanced.is_none());
    // What Postfix makes of a reply without an enhanced code.
    let dsn = made.map_or_else(
        || sighting.dsn.clone(),
        |code| format!("{}.0.0", code / 100),
    );
    let is_its = !here && !sighting.is_relayed();
    let mut verdict = knowledge.judge(&Seen {
        host: sighting.host.as_deref().map(Cow::Borrowed),
        domain: sighting.domain().filter(|_| is_its).map(Cow::Borrowed),
        here: sighting.here,
        evidence: Evidence {
            dsn: &dsn,
            enhanced: sighting.enhanced.as_deref(),
            code: sighting.code,
            family: sighting.family,
            manner,
        },
        words: Cow::Borrowed(&sighting.words),
    });
    if verdict.provider == OTHER
        && let Some(provider) = of_named_recipient(knowledge, sighting, verdict.cause)
    {
        verdict.provider = provider;
    }
    if here {
        verdict.provider = LOCAL;
        if let Some((cause, confidence)) = turned_away(knowledge, sighting) {
            verdict.cause = Some(cause);
            verdict.confidence = confidence;
            let said = sighting.words.split_once("rejected: ");
            verdict.because = said.map(|(_, said)| said.to_owned()).into_iter().collect();
        }
    }
    if let Some(made) = made {
        for words in verdict.because.iter_mut().filter(|words| **words == dsn) {
            *words = made.to_string();
        }
    }
    if sighting.is_cut {
        verdict.confidence = verdict.confidence.min(Confidence::Likely);
    }
    if is_sent(sighting) {
        verdict.cause = knowledge.cause(DELIVERED);
        verdict.confidence = Confidence::Certain;
        verdict.because = vec!["status=sent".to_owned()];
        verdict.signature = None;
        verdict.steps = &[];
        verdict.is_new = false;
        // What has a code came from another host, also where the line no longer names it.
        if sighting.code.is_some() && !sighting.here && verdict.provider == LOCAL {
            verdict.provider = OTHER;
        }
    }
    verdict
}

/// The receiver of the one address that a reply names, where neither host nor recipient stands
/// beside it: of what is the recipient's own matter that is who gets the mail, and not who sent it.
fn of_named_recipient<'k>(
    knowledge: &'k Knowledge,
    sighting: &Sighting,
    cause: Option<&Cause>,
) -> Option<&'k str> {
    let is_alone = sighting.kind == Kind::Reply
        && sighting.host.is_none()
        && sighting.recipient.is_none()
        && cause.is_some_and(|cause| cause.recipient.is_some());
    let addresses = is_alone.then(|| Mask::addresses(&sighting.words))?;
    let domain = |address: &String| Some(address.rsplit_once('@')?.1.to_ascii_lowercase());
    let mut domains = addresses.iter().filter_map(domain);
    let first = domains.next()?;
    let number = knowledge.hosts().of_domain(first.as_bytes())?;
    domains
        .all(|other| other == first)
        .then(|| knowledge.hosts().id(number))
}

/// This host refuses for a while, because a name is not found. For most clients that is so, for
/// they name what is not there; a name that is there surely is found by whoever can ask DNS.
fn turned_away<'k>(
    knowledge: &'k Knowledge,
    sighting: &Sighting,
) -> Option<(&'k Cause, Confidence)> {
    let for_now = sighting.code.is_some_and(|code| code / 100 == 4);
    let nameless = ["rejected: Host not found", "rejected: Domain not found"];
    let nameless = nameless.iter().any(|words| sighting.words.contains(words));
    if !for_now || !nameless {
        return None;
    }
    let name = rejected_name(&sighting.words).unwrap_or_default();
    let is_there = knowledge.hosts().of_domain(name.as_bytes()).is_some();
    Some(if is_there {
        (knowledge.cause("chroot-dns")?, Confidence::Likely)
    } else {
        (knowledge.cause("dns-tempfail")?, Confidence::Guess)
    })
}

/// The domain that smtpd(8) did not find: `<user@example.org>: Sender address rejected: …`.
fn rejected_name(words: &str) -> Option<String> {
    let (name, _) = words.strip_prefix('<')?.split_once('>')?;
    let domain = name.rsplit('@').next()?;
    Some(domain.to_ascii_lowercase()).filter(|domain| !domain.is_empty())
}

/// Tells whether a host of somebody else said so.
fn of_another(sighting: &Sighting) -> bool {
    let spoke = matches!(sighting.manner, Manner::Said | Manner::RefusedToTalk);
    spoke && sighting.host.is_some()
}

fn is_sent(sighting: &Sighting) -> bool {
    sighting.kind == Kind::Delivery(Ending::Sent)
}

/// Tells whether two sightings may be of one message.
fn same_message(one: &Sighting, other: &Sighting) -> bool {
    let agree = |one: Option<&String>, other: Option<&String>| match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => true,
    };
    agree(one.queue_id.as_ref(), other.queue_id.as_ref())
        && agree(one.recipient.as_ref(), other.recipient.as_ref())
}

/// Tells whether what decided was followed by a delivery of the same message.
fn got_through(seen: &[Sighting], decided: usize) -> bool {
    let Some(one) = seen.get(decided) else {
        return false;
    };
    is_sent(one)
        || (one.kind == Kind::Attempt
            && seen
                .iter()
                .skip(decided + 1)
                .any(|later| is_sent(later) && same_message(one, later)))
}

/// Chooses what explains the failure.
///
/// What became of a recipient says more than an attempt, a host's own words more than silence,
/// a cause that was found more than none. Of equals the first counts.
fn chosen(seen: &[Sighting], verdicts: &[Verdict<'_>]) -> Option<usize> {
    let mut best: Option<((u8, u8, u8, Confidence), usize)> = None;
    for (at, (one, verdict)) in seen.iter().zip(verdicts).enumerate() {
        if one.kind == Kind::Loose && verdict.cause.is_none() && verdict.provider == OTHER {
            continue;
        }
        let spoke = matches!(one.manner, Manner::Said | Manner::RefusedToTalk);
        let known = u8::from(verdict.cause.is_some());
        let rank = match one.kind {
            Kind::Delivery(Ending::Failed | Ending::Deferred) | Kind::Report => 6,
            Kind::Attempt if spoke => 6,
            Kind::Reply | Kind::Refusal | Kind::Own => 5,
            Kind::Attempt | Kind::Trouble(Severity::Fatal | Severity::Panic) => 4,
            Kind::Trouble(Severity::Error) => 3,
            Kind::Trouble(Severity::Warning) => 2,
            Kind::Delivery(Ending::Sent) => 1,
            Kind::Loose => 0,
        };
        // The service died, or could not ask a table, and here stands why.
        let names_why = matches!(one.kind, Kind::Trouble(_))
            && known > 0
            && verdict.confidence > Confidence::Guess
            && seen.iter().zip(verdicts).any(|(other, effect)| {
                !matches!(other.kind, Kind::Trouble(_)) && is_effect(effect, verdict)
            });
        let rank = if names_why { 7 } else { rank };
        // An attempt that was given up for the next address is the way to a delivery line.
        let last = u8::from(!matches!(one.kind, Kind::Attempt));
        // Nothing but a delivery: that is all there is to tell.
        let order = if rank == 1 {
            (0, 1, 1, Confidence::Guess)
        } else {
            (known, rank, last, verdict.confidence)
        };
        if best.is_none_or(|(most, _)| order > most) {
            best = Some((order, at));
        }
    }
    best.map(|(_, at)| at)
}

/// Tells whether what a delivery met is but the effect of what a program said.
fn is_effect(delivery: &Verdict<'_>, trouble: &Verdict<'_>) -> bool {
    let of_table = ["hash-map-missing", "map-type-unsupported"].contains(&trouble.code());
    match delivery.code() {
        "transport-broken" => trouble.code() != "transport-broken",
        "local-misconfig" => {
            let says = |word: &str| delivery.because.iter().any(|words| words.contains(word));
            of_table && (says("unavailable") || says("lookup") || says("resolver"))
        }
        _ => false,
    }
}

/// The cause behind one that all of several destinations share.
fn behind_all<'k>(
    knowledge: &'k Knowledge,
    seen: &[Sighting],
    verdicts: &[Verdict<'k>],
    verdict: &Verdict<'k>,
) -> Option<&'k Cause> {
    let code = verdict.code();
    if seen.len() < 2 || seen.iter().any(is_sent) {
        return None;
    }
    let destinations: HashSet<String> = seen
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.code() == code)
        .filter_map(|(one, _)| {
            // The recipient of what this host refuses is its own.
            if one.kind == Kind::Refusal {
                return rejected_name(&one.words);
            }
            let domain = one
                .domain()
                .or(one.host.as_deref())
                .or_else(|| name_in(&one.words))?;
            Some(domain.to_ascii_lowercase())
        })
        .collect();
    knowledge.cause(cause_of_all(code, destinations.len())?)
}

/// The name that was looked up: `name=example.org`.
fn name_in(words: &str) -> Option<&str> {
    words.split_once("name=")?.1.split(' ').next()
}
