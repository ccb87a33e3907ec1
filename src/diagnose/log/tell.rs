//! A group in words.
//!
//! Owns the phrases: what happens to whose mail, how often, what the other side says, and what
//! mends it. Must not know how they are laid out; texts of the log stand in them as they are.

use super::{Ends, From, Group};
use crate::cause::{Cause, Cure, Harm};
use crate::departure::Departure;
use crate::diagnose::{Confidence, Knowledge, LOCAL, OTHER, Seen};
use crate::finding::{Finding, Severity, shortened};
use crate::postfix::log::{Answer, Event, Line};
use crate::provider::{Form, Provider, Signature};
use crate::stats::Family;

/// How much of a reply is quoted where it is known.
const QUOTED: usize = 200;

/// How many domains are named.
const DOMAINS: usize = 5;

/// The command that turns findings of a log into a plan.
const PLAN: &str = "diagnose --plan";

/// What a group's first line says of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// The cause, where one is known.
    pub cause: Option<&'k Cause>,
    /// The receiver's own sign.
    pub signature: Option<&'k Signature>,
    /// How sure it is.
    pub confidence: Confidence,
}

impl Group {
    /// What is known of it.
    #[must_use]
    pub fn known<'k>(&self, knowledge: &'k Knowledge) -> Known<'k> {
        let line = Line::parse(self.line.as_bytes()).unwrap_or_default();
        let verdict = match line.record().event {
            Event::Delivery(delivery) => Some(knowledge.judge(&Seen::in_delivery(&delivery))),
            Event::Attempt(answer) => Some(knowledge.judge(&Seen::in_answer(&answer, b""))),
            Event::Trouble(trouble) => {
                let answer = Answer::parse(trouble.said);
                Some(knowledge.judge(&Seen::in_answer(&answer, b"")))
            }
            _ => None,
        };
        // What many lines mean together is not in one of them.
        let verdict = verdict.filter(|verdict| verdict.code() == self.cause);
        Known {
            cause: knowledge.cause(&self.cause),
            signature: verdict.as_ref().and_then(|verdict| verdict.signature),
            confidence: verdict.map_or(Confidence::Likely, |verdict| verdict.confidence),
        }
    }

    /// The receiver's name.
    #[must_use]
    pub fn receiver<'a>(&'a self, knowledge: &'a Knowledge) -> &'a str {
        match self.provider.as_str() {
            OTHER => "other receivers",
            LOCAL => "this host",
            id => knowledge.provider(id).map_or(id, |provider| &provider.name),
        }
    }

    /// What happens to whose mail, in a line.
    #[must_use]
    pub fn title(&self, knowledge: &Knowledge) -> String {
        let receiver = self.receiver(knowledge);
        if self.recipients == 0 {
            return match &self.from {
                From::Program(tag) => format!("`{tag}` tells of a fault of this host"),
                From::Address(_) => format!("mail to {receiver} is held up"),
            };
        }
        let mail = if self.provider == LOCAL {
            "mail".to_owned()
        } else {
            format!("mail to {receiver}")
        };
        let fate = match self.harm {
            _ if self.is_detour => "takes a second way",
            Harm::Lost => "is lost",
            Harm::Stuck => "is stuck",
            Harm::Harmless if self.ends.given_up > 0 => "comes back",
            Harm::Delayed | Harm::Harmless => "is late",
        };
        format!("{mail} {fate}: {}", count(self.messages, "message"))
    }

    /// The title with the way: one line for those who have no more room.
    #[must_use]
    pub fn headline(&self, knowledge: &Knowledge) -> String {
        let title = self.title(knowledge);
        if self.recipients == 0 {
            return title;
        }
        format!("{title} {}", self.way())
    }

    /// Over which protocol, and where it left from.
    #[must_use]
    pub fn way(&self) -> String {
        let from = match (&self.from, self.source) {
            (From::Address(address), _) => format!("from {address}"),
            (From::Program(tag), Some(Departure::From(address))) => {
                format!("from {address}, by `{tag}`")
            }
            (From::Program(tag), Some(Departure::Hidden(_))) => {
                format!("by `{tag}` (address outside the NAT not known)")
            }
            (From::Program(tag), Some(Departure::Unknown(_))) => {
                format!("by `{tag}` (address not known)")
            }
            (From::Program(tag), Some(Departure::Stayed) | None) => format!("by `{tag}`"),
        };
        match self.family {
            Family::None => from,
            family => format!("over {} {from}", family.word()),
        }
    }

    /// How often, since when, and what became of it.
    #[must_use]
    pub fn numbers(&self) -> String {
        let mut parts = Vec::new();
        if self.recipients == 0 {
            parts.push(format!("told {}", times(self.tries)));
        } else {
            parts.push(count(self.recipients, "recipient"));
            parts.push(match self.tries {
                0 => "not tried again".to_owned(),
                tries => format!("tried {}", times(tries)),
            });
        }
        let is_once = self.recipients == 0 && self.tries < 2;
        match (self.first, self.last) {
            (Some(first), Some(last)) if is_once || first == last => parts.push(first.to_string()),
            (Some(first), Some(last)) => parts.push(format!("from {first} to {last}")),
            _ => {}
        }
        let Ends {
            delivered,
            waiting,
            given_up,
            elsewhere,
        } = self.ends;
        let ends: Vec<String> = [
            (given_up, "given up"),
            (waiting, "still waiting"),
            (delivered, "delivered in the end"),
            (elsewhere, "then refused for something else"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let counted = parts.join(", ");
        if ends.is_empty() {
            counted
        } else {
            format!("{counted}; {}", ends.join(", "))
        }
    }

    /// Which domains, the most first.
    #[must_use]
    pub fn named_domains(&self) -> Option<String> {
        let shown = self.domains.iter().take(DOMAINS);
        let shown: Vec<String> = shown
            .map(|(name, count)| format!("{name} ({count})"))
            .collect();
        let more = self.domains.len().saturating_sub(DOMAINS);
        let more = if self.further > 0 {
            " and many more".to_owned()
        } else if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (!shown.is_empty()).then(|| shown.join(", ") + &more)
    }

    /// What the other side says, or our own program.
    #[must_use]
    pub fn quoted(&self) -> String {
        let raw = self.words.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.is_new {
            return raw;
        }
        let answer = Answer::reply(self.words.as_bytes());
        shortened(&answer.plain(), QUOTED)
    }

    /// What it means.
    #[must_use]
    pub fn meaning(&self, knowledge: &Knowledge) -> String {
        let receiver = self.receiver(knowledge);
        if self.is_new || self.cause.is_empty() {
            return format!("nobody knows this reply of {receiver} yet, so look at what it says");
        }
        let known = self.known(knowledge);
        let own = known.signature.and_then(|signature| signature.says.clone());
        let cause = known.cause.map(|cause| cause.says.clone());
        own.or(cause).unwrap_or_else(|| match self.cause.as_str() {
            "port25-blocked" => "no host outside answers on port 25: somebody on the way, mostly the hoster, blocks it".to_owned(),
            "chroot-dns" => "no name is found at all: the resolver does not answer, or the program runs in a jail without the resolver's files".to_owned(),
            code => format!("the cause is `{code}`"),
        })
    }

    /// What mends it: commands of ours without the word `mailfix`.
    #[must_use]
    pub fn commands(&self, knowledge: &Knowledge) -> Vec<String> {
        let known = self.known(knowledge);
        let mut commands = Vec::new();
        if self.may_be_planned(knowledge) || self.gentler(knowledge).is_some() {
            commands.push(PLAN.to_owned());
        }
        commands.extend(known.cause.into_iter().flat_map(|cause| cause.mend.clone()));
        commands
    }

    /// What mends it where no command does: steps in order.
    #[must_use]
    pub fn steps(&self, knowledge: &Knowledge) -> Vec<String> {
        if self.is_new || self.cause.is_empty() {
            let place = format!(
                "add it as a `[[signature]]` to `/etc/mailfix/providers/{}.toml`, and report it, so that all know it",
                self.provider
            );
            return if self.provider == OTHER {
                Vec::new()
            } else {
                vec![place]
            };
        }
        let known = self.known(knowledge);
        let own = known.signature.map(|signature| signature.steps.clone());
        let own = own.filter(|steps| !steps.is_empty());
        own.unwrap_or_else(|| {
            let Some(cause) = known.cause else {
                return Vec::new();
            };
            let steps = cause.steps.iter();
            let advice = cause.advice.iter().filter(|_| cause.steps.is_empty());
            let pace = cause.pace.iter();
            let pace = pace.filter(|_| self.gentler(knowledge).is_none());
            steps.chain(advice).chain(pace).cloned().collect()
        })
    }

    /// Where the receiver can be asked about it.
    #[must_use]
    pub fn forms<'k>(&'k self, knowledge: &'k Knowledge) -> Vec<&'k Form> {
        let provider = knowledge.provider(&self.provider).filter(|_| !self.is_new);
        let forms = provider.map(|provider| provider.forms_for(self.cause.as_str()));
        forms.into_iter().flatten().collect()
    }

    /// What mends it, a line each: a plan where there may be one, then what is left to do.
    #[must_use]
    pub fn fixes(&self, knowledge: &Knowledge) -> Vec<String> {
        let mut fixes = Vec::new();
        if self.may_be_planned(knowledge) {
            fixes.push(format!(
                "run `mailfix {PLAN}`: it plans here what mends this"
            ));
        } else if let Some(provider) = self.gentler(knowledge) {
            fixes.push(format!("`mailfix {PLAN}` {}", provider.gentle_in_words()));
        } else if !self.cures(knowledge).is_empty() {
            fixes.push(format!(
                "`mailfix {PLAN}` looks whether mailfix.toml can mend it here"
            ));
        }
        fixes.extend(self.by_hand(knowledge));
        fixes
    }

    /// What there is to do beside a plan, a line each: steps, or else commands, and the receiver's
    /// forms.
    #[must_use]
    pub fn by_hand(&self, knowledge: &Knowledge) -> Vec<String> {
        let mut fixes = Vec::new();
        let steps = self.steps(knowledge);
        if steps.is_empty() {
            let commands = self.commands(knowledge).into_iter();
            let commands = commands.filter(|command| command != PLAN);
            fixes.extend(commands.map(|command| format!("`mailfix {command}`")));
        }
        fixes.extend(steps);
        let forms = self.forms(knowledge).into_iter();
        fixes.extend(forms.map(|form| format!("{}: {}", form.says, form.place)));
        fixes
    }

    /// The receiver, where a plan can send to it no faster than it takes mail, and that helps.
    #[must_use]
    pub fn gentler(&self, knowledge: &Knowledge) -> Option<&'static Provider> {
        let known = self.known(knowledge);
        let cause = known.cause.filter(|_| !self.is_new)?;
        let provider = Provider::gentler(&self.provider, cause, known.signature);
        provider.filter(|_| self.severity() > Severity::Note)
    }

    /// Tells whether changes of the site file mend it on any host: the receiver's demands are
    /// known, and it is over IPv6 that it makes them.
    #[must_use]
    pub fn may_be_planned(&self, knowledge: &Knowledge) -> bool {
        self.cures(knowledge).contains(&Cure::AvoidIpv6)
    }

    /// What a site file and its plan may do about it, on a host that it fits.
    #[must_use]
    pub fn cures(&self, knowledge: &Knowledge) -> Vec<Cure> {
        let cause = knowledge.cause(&self.cause).filter(|_| !self.is_new);
        let demands = knowledge
            .provider(&self.provider)
            .is_some_and(|provider| self.family == Family::V6 && provider.demands.ipv6.is_some());
        let fits = |cure: &Cure| match cure {
            Cure::AvoidIpv6 | Cure::ListDomains => demands,
            Cure::GentlePace => self.gentler(knowledge).is_some(),
            _ => true,
        };
        let own = self.known(knowledge).signature.filter(|_| cause.is_some());
        let own = own.into_iter().flat_map(|signature| &signature.plan);
        let cures = cause.into_iter().flat_map(|cause| cause.plan.iter());
        cures.chain(own).copied().filter(fits).collect()
    }

    /// All of it as a finding.
    #[must_use]
    pub fn finding(&self, knowledge: &Knowledge) -> Finding {
        let mut why = vec![self.meaning(knowledge)];
        why.push(if self.recipients == 0 {
            self.numbers()
        } else {
            format!("{}: {}", self.way(), self.numbers())
        });
        if self.is_greeting && !self.is_detour {
            why.push("the greeting itself is a refusal for good; Postfix keeps such mail and tries again in vain".to_owned());
        }
        if self.is_detour {
            why.push(if self.ends.delivered == self.recipients {
                "another address took it at once, so it is only slow".to_owned()
            } else {
                "another address was tried at once".to_owned()
            });
        }
        why.push(format!("it says: {}", self.quoted()));
        if let Some(domains) = self.named_domains() {
            why.push(format!("for: {domains}"));
        }
        let fix = self.fixes(knowledge);
        let code = Cause::codes().find(|code| *code == self.code());
        // Causes of the administrator's own have no place in the program.
        let other = if self.is_new || self.cause.is_empty() {
            super::UNKNOWN
        } else {
            "own-cause"
        };
        let code = code.unwrap_or(other);
        let finding = Finding::new(self.severity(), code, self.title(knowledge));
        let finding = finding.because(why.join("\n"));
        if fix.is_empty() {
            finding
        } else {
            finding.mend(fix.join("\n"))
        }
    }
}

fn count(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        number => format!("{number} times"),
    }
}
