//! Why a message was not taken: what was seen of it, against the signs of causes.
//!
//! Owns [`Knowledge`], which says whose host it was ([`MailHosts`]), and chooses among all signs:
//! those of the receiver itself come first, then those that hold for everybody; of several the one
//! that says most. All phrases are looked for in one walk over the words, so a refusal costs about
//! a microsecond however many there are.
//! Must not read files, and must not know what is done about a cause.

mod gist;
pub mod log;
mod phrases;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use crate::address::family;
use crate::catalogue::Catalogue;
use crate::cause::{Cause, Evidence, Recipient, Sign};
use crate::mail_hosts::MailHosts;
use crate::postfix::log::{Answer, Delivery, Manner, Status};
use crate::provider::{Provider, Signature};
use log::Hash;
use phrases::{Found, Phrases, Wanted};

pub use crate::mail_hosts::OTHER;

/// The word for this host itself, where a fault that concerns no receiver lies.
pub const LOCAL: &str = "local";

/// The cause of a domain that is not in DNS.
const NO_DOMAIN: &str = "dns-nxdomain";

/// What that means where the domain is known to be there.
const NO_RESOLVER: &str = "chroot-dns";

/// The cause of what a host takes later, and says no more of.
const PUT_OFF: &str = "remote-temporary";

/// What that means where the host is this one.
const FAULT_HERE: &str = "local-misconfig";

/// The cause of a line that tells of no failure.
pub const DELIVERED: &str = "delivered";

/// What was seen of a message that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The name of the host that spoke, or was spoken to.
    pub host: Option<Cow<'a, str>>,
    /// The recipient's domain. With a host of nobody's that we know it still tells whose mail it
    /// was, unless that host is a relay of one's own: who knows that leaves the domain out.
    pub domain: Option<Cow<'a, str>>,
    /// Whether the message was handed to a service of this host, and to no other one.
    pub here: bool,
    /// The codes and the manner.
    pub evidence: Evidence<'a>,
    /// The words, as a person reads them: see [`Answer::plain`].
    pub words: Cow<'a, str>,
}

impl<'a> Seen<'a> {
    /// Takes words of, or about, a host; `dsn` is the code that Postfix made of them.
    #[must_use]
    pub fn in_answer(answer: &Answer<'a>, dsn: &'a [u8]) -> Self {
        Self::with_words(answer, dsn, Cow::Owned(answer.plain()))
    }

    /// The same, where the words were made plain already.
    fn with_words(answer: &Answer<'a>, dsn: &'a [u8], words: Cow<'a, str>) -> Self {
        let text = |bytes: &'a [u8]| String::from_utf8_lossy(bytes);
        Self {
            host: answer.peer.map(|peer| text(peer.name)),
            domain: None,
            here: answer.peer.is_some_and(|peer| peer.is_here()),
            evidence: Evidence {
                dsn: std::str::from_utf8(dsn).unwrap_or_default(),
                enhanced: answer
                    .enhanced()
                    .and_then(|code| std::str::from_utf8(code).ok()),
                code: answer.code(),
                family: answer.peer.and_then(|peer| peer.ip()).map(family),
                manner: answer.manner,
            },
            words,
        }
    }

    /// Takes what a delivery line says.
    #[must_use]
    pub fn in_delivery(delivery: &Delivery<'a>) -> Self {
        Self::in_answer(&delivery.answer(), delivery.dsn).of_delivery(delivery)
    }

    /// Adds what the line says where the answer does not.
    fn of_delivery(self, delivery: &Delivery<'a>) -> Self {
        let mut seen = self;
        let relay = delivery.relay;
        seen.here |= seen.host.is_none() && relay.is_here();
        if seen.host.is_none() && relay.ip().is_some() {
            seen.host = Some(String::from_utf8_lossy(relay.name));
        }
        seen.evidence.family = seen.evidence.family.or(relay.ip().map(family));
        if seen.host.is_none() {
            let at = memchr::memrchr(b'@', delivery.to);
            let domain = at.and_then(|at| delivery.to.get(at + 1..));
            seen.domain = domain.map(String::from_utf8_lossy);
        }
        seen
    }
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Only the kind of code says something.
    Guess,
    /// Words or a code that mean the same wherever they are used.
    Likely,
    /// The receiver's own words, known from it, or Postfix's own.
    Certain,
}

/// What is made of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'k> {
    /// The receiver's id; [`OTHER`] is one that no data file tells of, [`LOCAL`] this host.
    pub provider: &'k str,
    /// The cause, if any fits.
    pub cause: Option<&'k Cause>,
    /// The receiver's own sign that it was known by.
    pub signature: Option<&'k Signature>,
    /// What to do where these very words were said, beside what the cause says: see [`Sign::steps`].
    pub steps: &'k [String],
    /// How sure that is.
    pub confidence: Confidence,
    /// What decided: words as they stand in the text, codes.
    pub because: Vec<String>,
    /// Whether a receiver that we know said what we do not know of it.
    pub is_new: bool,
}

impl Verdict<'_> {
    /// The cause's code; empty where none fits.
    #[must_use]
    pub fn code(&self) -> &str {
        self.cause.map_or("", |cause| &cause.code)
    }
}

/// What a delivery line comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause.
    pub cause: Cause,
    /// The receiver by whose own signs it was known.
    pub provider: Option<String>,
}

/// A sign, ready to be tried.
#[derive(Clone, Debug)]
struct Rule {
    /// The place of its cause.
    cause: usize,
    /// The place among the receiver's signatures; none for those that hold for everybody.
    signature: Option<usize>,
    sign: Sign,
    wanted: Wanted,
    /// Whether its cause is the recipient's own matter.
    is_recipients: bool,
}

/// All that is known of causes.
#[derive(Clone, Debug)]
pub struct Knowledge {
    causes: Vec<Cause>,
    providers: Vec<Provider>,
    hosts: MailHosts,
    phrases: Phrases,
    /// By provider, in the order of `providers`.
    own: Vec<Vec<Rule>>,
    general: Vec<Rule>,
    /// What each provider is known by in a text that names no host.
    marks: Vec<Wanted>,
}

impl Knowledge {
    /// Takes what mailfix brings.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(Catalogue::built_in())
    }

    /// Takes a catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        let Catalogue { providers, causes } = catalogue;
        let mut phrases = phrases::Builder::default();
        let place = |code: &str| causes.iter().position(|cause| cause.code == code);
        let is_recipients = |cause: usize| {
            let cause = causes.get(cause);
            cause.is_some_and(|cause| cause.recipient.is_some())
        };
        let own = providers
            .iter()
            .map(|provider| {
                let signatures = provider.signatures.iter().enumerate();
                let rules = signatures.filter_map(|(number, signature)| {
                    let cause = place(&signature.cause)?;
                    Some(Rule {
                        cause,
                        signature: Some(number),
                        is_recipients: is_recipients(cause),
                        wanted: phrases.wanted(&signature.sign),
                        sign: signature.sign.clone(),
                    })
                });
                rules.collect()
            })
            .collect();
        let marks = providers
            .iter()
            .map(|provider| phrases.any_of(&provider.marks))
            .collect();
        let mut general = Vec::new();
        for (cause, data) in causes.iter().enumerate() {
            for sign in &data.signs {
                general.push(Rule {
                    cause,
                    signature: None,
                    is_recipients: is_recipients(cause),
                    wanted: phrases.wanted(sign),
                    sign: sign.clone(),
                });
            }
        }
        Self {
            hosts: MailHosts::new(&providers),
            phrases: phrases.build(),
            causes,
            providers,
            own,
            general,
            marks,
        }
    }

    /// Finds a cause by its code.
    #[must_use]
    pub fn cause(&self, code: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.code == code)
    }

    /// Tells whether a cause lies on this host, whoever the mail was for.
    #[must_use]
    pub fn is_here(&self, code: &str) -> bool {
        self.cause(code).is_some_and(|cause| cause.here)
    }

    /// How far a cause is the recipient's own matter.
    #[must_use]
    pub fn recipients_matter(&self, code: &str) -> Option<Recipient> {
        self.cause(code)?.recipient
    }

    /// All causes.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// All providers.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Finds a provider by its id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// Who has which mail hosts and domains.
    #[must_use]
    pub fn hosts(&self) -> &MailHosts {
        &self.hosts
    }

    /// Finds the cause for which a recipient's mail did not get through; `None` where it did,
    /// or where nothing is known that it would fit.
    #[must_use]
    pub fn of_delivery(&self, delivery: &Delivery<'_>) -> Option<Diagnosis> {
        if matches!(delivery.status, Status::Sent | Status::Deliverable) {
            return None;
        }
        let verdict = self.judge(&Seen::in_delivery(delivery));
        Some(Diagnosis {
            cause: verdict.cause?.clone(),
            provider: verdict.signature.map(|_| verdict.provider.to_owned()),
        })
    }

    /// Says whose refusal it was, and why.
    #[must_use]
    pub fn judge(&self, seen: &Seen<'_>) -> Verdict<'_> {
        let mut found = Found::default();
        self.phrases.find(&seen.words, &mut found);
        let (mut verdict, rule) = self.decide(seen, &found);
        if let Some(rule) = rule {
            verdict.because = rule.because(seen, &found);
        }
        verdict
    }

    /// A number for all that a verdict hangs on, but for a name that words hold: see
    /// [`Self::of_known_name`].
    fn number(&self, seen: &Seen<'_>, found: &Found) -> u64 {
        let host = seen.host.as_deref();
        let looked_up = looked_up(seen);
        let place = |place: Option<usize>| place.map_or(u64::MAX, |place| place as u64);
        let evidence = &seen.evidence;
        let mut hash = Hash::default();
        for number in [
            host.map_or(u64::MAX, |host| u64::from(self.number_of_host(host))),
            place(self.of_domain(seen)),
            place(looked_up.and_then(|name| self.of_host(name))),
            u64::from(seen.domain.is_some())
                | u64::from(evidence.enhanced.is_some()) << 1
                | u64::from(seen.here) << 2
                | u64::from(looked_up.is_some()) << 3
                | (evidence.manner as u64) << 8
                | u64::from(evidence.family.unwrap_or_default()) << 16
                | u64::from(evidence.code.unwrap_or_default()) << 32,
        ] {
            hash.mix(number);
        }
        hash.add(evidence.dsn.as_bytes());
        hash.add(evidence.enhanced.unwrap_or_default().as_bytes());
        for id in found.ids() {
            hash.mix(u64::from(id));
        }
        hash.number()
    }

    /// A number for all that a verdict hangs on of the name of the host that spoke.
    fn number_of_host(&self, host: &str) -> u32 {
        match self.hosts.of_host(host.as_bytes()) {
            Some(provider) => u32::from(provider),
            None => u32::from(is_loopback(host)) << 16,
        }
    }

    /// The verdict without what decided, and the rule that did.
    fn decide(&self, seen: &Seen<'_>, found: &Found) -> (Verdict<'_>, Option<&Rule>) {
        // What a host did not say itself is not in its words.
        let spoke = matches!(seen.evidence.manner, Manner::Said | Manner::RefusedToTalk);
        let own = |provider: usize| {
            let rules = self.own.get(provider).filter(|_| spoke)?;
            best(rules, &seen.evidence, found)
        };
        let provider = self.provider_of(seen, found).or_else(|| {
            // A host of nobody's that we know: the recipient's provider, if it speaks like that.
            let is_its = !seen.here && looked_up(seen).is_none();
            let provider = self.of_domain(seen).filter(|_| is_its)?;
            (!spoke || own(provider).is_some()).then_some(provider)
        });
        let own = provider.and_then(own);
        let rule = own.or_else(|| best(&self.general, &seen.evidence, found));
        let says_here = rule.is_some_and(|rule| rule.sign.here);
        let provider = provider.filter(|_| !says_here);
        if let Some(rule) = rule
            && let Some(verdict) = self.of_known_name(seen, rule)
        {
            return (verdict, Some(rule));
        }
        let own = own.and_then(|rule| rule.signature).zip(provider);
        let signature = own.and_then(|(signature, provider)| {
            self.providers.get(provider)?.signatures.get(signature)
        });
        let provider_data = provider.and_then(|number| self.providers.get(number));
        let is_here = match seen.host.as_deref() {
            _ if seen.here || says_here => true,
            Some(host) => is_loopback(host),
            None => {
                let cause = rule.and_then(|rule| self.causes.get(rule.cause));
                let is_there = cause.is_some_and(|cause| cause.there);
                seen.evidence.manner == Manner::Own && seen.domain.is_none() && !is_there
            }
        };
        let nobody = if is_here { LOCAL } else { OTHER };
        let cause = rule.and_then(|rule| self.causes.get(rule.cause));
        // What puts mail off without a word more is here no trouble of somebody else's.
        let is_ours = is_here && provider.is_none();
        let is_put_off = cause.is_some_and(|cause| cause.code == PUT_OFF);
        let cause = if is_ours && is_put_off {
            self.cause(FAULT_HERE).or(cause)
        } else {
            cause
        };
        let confidence = rule.map_or(Confidence::Guess, |rule| match rule {
            _ if signature.is_some() => Confidence::Certain,
            rule if !spoke && !rule.sign.is_of_a_kind() => Confidence::Certain,
            rule if !rule.wanted.is_empty() || rule.sign.names_whole_codes() => Confidence::Likely,
            rule if rule.sign.is_of_a_kind() => Confidence::Guess,
            _ => Confidence::Likely,
        });
        let verdict = Verdict {
            provider: provider_data.map_or(nobody, |provider| &provider.id),
            cause,
            signature,
            steps: rule.map_or(&[], |rule| &rule.sign.steps),
            confidence,
            because: Vec::new(),
            is_new: spoke && provider.is_some() && confidence == Confidence::Guess,
        };
        (verdict, rule)
    }

    /// The place of the provider whose host it was: by the host; where none is named, by the
    /// recipient or the host that was looked up; else by words that only its replies hold.
    fn provider_of(&self, seen: &Seen<'_>, found: &Found) -> Option<usize> {
        if seen.here {
            return None;
        }
        let host = seen.host.as_deref();
        let by_host = host.and_then(|host| self.of_host(host));
        let by_mark = || {
            let mut marks = self.marks.iter();
            marks.position(|mark| !mark.is_empty() && mark.fits(found))
        };
        if let Some(name) = looked_up(seen) {
            return self.of_host(name);
        }
        by_host
            .or_else(|| self.of_domain(seen).filter(|_| host.is_none()))
            .or_else(by_mark)
    }

    /// A domain of a big receiver is said not to exist, and it does: so no look-up of this host
    /// tells the truth.
    fn of_known_name(&self, seen: &Seen<'_>, rule: &Rule) -> Option<Verdict<'_>> {
        let cause = self.causes.get(rule.cause)?;
        if cause.code != NO_DOMAIN || seen.host.is_some() {
            return None;
        }
        let domain = named_domain(&seen.words)?.to_ascii_lowercase();
        let provider = place(self.hosts.of_domain(domain.as_bytes())?)?;
        Some(Verdict {
            provider: &self.providers.get(provider)?.id,
            cause: Some(self.cause(NO_RESOLVER)?),
            signature: None,
            steps: &[],
            confidence: Confidence::Likely,
            because: Vec::new(),
            is_new: false,
        })
    }

    /// The place of the provider of a mail host.
    fn of_host(&self, name: &str) -> Option<usize> {
        place(self.hosts.of_host(name.as_bytes())?)
    }

    /// The place of the recipient's provider.
    fn of_domain(&self, seen: &Seen<'_>) -> Option<usize> {
        let domain = seen.domain.as_deref()?.to_ascii_lowercase();
        place(self.hosts.of_domain(domain.as_bytes())?)
    }
}

/// The mail host whose address Postfix asked DNS for: one of the recipient's, or a relay of ours.
fn looked_up<'s>(seen: &'s Seen<'_>) -> Option<&'s str> {
    if seen.host.is_some() || seen.evidence.manner != Manner::Own {
        return None;
    }
    let (_, name) = seen.words.split_once("name=")?;
    let name = name.split_ascii_whitespace().next()?;
    // The recipient's own domain is no mail host.
    let domain = seen.domain.as_deref();
    let is_domain = domain.is_some_and(|domain| domain.eq_ignore_ascii_case(name));
    (!is_domain).then_some(name)
}

/// The place of a provider that [`MailHosts`] numbers; 0 is nobody.
fn place(number: u16) -> Option<usize> {
    usize::from(number).checked_sub(1)
}

/// The domain that Postfix says it did not find: `name=example.org`, or that of the address it
/// puts first.
fn named_domain(words: &str) -> Option<&str> {
    let domain = words.split_once("name=").map_or_else(
        || words.split_once('@').map(|(_, rest)| rest),
        |(_, rest)| Some(rest),
    )?;
    let ends = |c: char| c == '>' || c.is_whitespace();
    domain.split(ends).next()
}

/// Tells whether a host is this one: a filter beside Postfix, say.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

impl Rule {
    /// What decided, for a person to find again in the text.
    fn because(&self, seen: &Seen<'_>, found: &Found) -> Vec<String> {
        let words = |range: Range<usize>| seen.words.get(range).map(str::to_owned);
        let mut because: Vec<String> = self.wanted.places(found).filter_map(words).collect();
        if !self.sign.dsn.is_empty() {
            let evidence = &seen.evidence;
            let code = evidence.enhanced.filter(|code| self.sign.has_dsn(code));
            let code = code.unwrap_or(evidence.dsn);
            because.extend(Some(code.to_owned()).filter(|code| !code.is_empty()));
        }
        if let Some(code) = seen.evidence.code.filter(|_| !self.sign.code.is_empty()) {
            because.push(code.to_string());
        }
        because
    }
}

/// The rule that says most of those that fit; of equals the first.
fn best<'r>(rules: &'r [Rule], evidence: &Evidence<'_>, found: &Found) -> Option<&'r Rule> {
    let mut best: Option<(usize, &Rule)> = None;
    // At the greeting nobody has named a recipient yet.
    let greeting = evidence.manner == Manner::RefusedToTalk;
    for rule in rules
        .iter()
        .filter(|rule| !(greeting && rule.is_recipients))
    {
        let Some(phrases) = rule.wanted.weight(found) else {
            continue;
        };
        let Some(codes) = rule.sign.weight(evidence) else {
            continue;
        };
        let weight = phrases * 10 + codes;
        if best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, rule));
        }
    }
    best.map(|(_, rule)| rule)
}
