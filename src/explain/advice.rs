//! What to do: commands of ours first, then steps, then the receiver's forms.

use crate::cause::{Cause, Look};
use crate::diagnose::{Knowledge, Verdict};
use crate::excerpt::Sighting;
use crate::provider::{Form, Provider};

/// What to do about a cause, and what need not be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice<'k> {
    /// What the refusal means, in whole sentences.
    pub means: Vec<&'k str>,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Where the receiver can be asked.
    pub forms: Vec<&'k Form>,
    /// What is not the matter, each a phrase.
    pub not: Vec<&'k str>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A command of ours, with the word `mailfix`.
    pub command: Option<String>,
    /// What it is for, or what to do: a phrase.
    pub says: String,
}

impl<'k> Advice<'k> {
    /// Puts together what is known of a cause, from a certain receiver, about a certain address.
    pub(super) fn of(
        knowledge: &'k Knowledge,
        verdict: &Verdict<'k>,
        cause: Option<&'k Cause>,
        sighting: &Sighting,
    ) -> Self {
        let Some(cause) = cause else {
            return Self::default();
        };
        let signature = verdict
            .signature
            .filter(|signature| signature.cause == cause.code);
        let mut advice = Self::of_cause(cause);
        if let Some(says) = signature.and_then(|signature| signature.says.as_deref()) {
            advice.means.insert(0, says);
        }
        if verdict.code() == cause.code {
            let of_words = verdict.steps.iter().map(|says| Step::of(says));
            advice.steps.splice(0..0, of_words);
        }
        if let Some(signature) = signature {
            let own = signature.steps.iter().map(|says| Step::of(says));
            advice.steps.splice(0..0, own);
            // What the receiver's own words say of a matter is said once.
            let own = signature.not.iter().map(String::as_str);
            let is_said = |says: &str| own.clone().any(|own| matter(own) == matter(says));
            advice.not.retain(|says| !is_said(says));
            advice.not.splice(0..0, own);
        }
        let first = looks(cause, sighting);
        // What they say at less length.
        if !first.is_empty() {
            let same = |says: &str| says.contains("dns check") && says.contains("PTR");
            advice.steps.retain(|step| !same(&step.says));
        }
        advice.steps.retain(|step| {
            let all = step.command.as_deref().map(|all| format!("{all} "));
            let is_first = |look: &Step| {
                let look = look.command.as_deref().map(|command| format!("{command} "));
                look.zip(all.as_ref())
                    .is_some_and(|(look, all)| look.starts_with(all.as_str()))
            };
            !first.iter().any(is_first)
        });
        let looks = first.len();
        advice.steps.splice(0..0, first);
        if let Some(provider) = Provider::gentler(verdict.provider, cause, signature) {
            let step = Step {
                command: Some("mailfix diagnose --plan".to_owned()),
                says: provider.gentle_in_words(),
            };
            advice
                .steps
                .retain(|step| Some(&step.says) != cause.pace.as_ref());
            advice.steps.insert(looks, step);
        }
        if let Some(provider) = knowledge.provider(verdict.provider) {
            advice.forms = provider.forms_for(&cause.code).collect();
        }
        advice
    }

    /// What is known of a cause whoever the receiver is.
    #[must_use]
    pub fn of_cause(cause: &'k Cause) -> Self {
        let steps = cause.steps.iter().chain(&cause.pace);
        let mut steps: Vec<Step> = steps.map(|says| Step::of(says)).collect();
        // A phrase of advice is what steps say at more length.
        let advice = cause.advice.iter().filter(|_| steps.is_empty());
        let advice: Vec<Step> = advice.map(|says| Step::of(says)).collect();
        let mut commands = Vec::new();
        for words in &cause.mend {
            let command = format!("mailfix {words}");
            let own = |step: &Step| step.command.as_ref() == Some(&command);
            if let Some(at) = steps.iter().position(own) {
                commands.push(steps.remove(at));
            } else if is_cure(words)
                || !steps
                    .iter()
                    .any(|step| step.commands().any(|named| named == command))
            {
                commands.push(Step {
                    says: purpose(words).to_owned(),
                    command: Some(command),
                });
            }
        }
        Self {
            means: vec![cause.means.as_str()],
            steps: [commands, steps, advice].concat(),
            forms: Vec::new(),
            not: cause.not.iter().map(String::as_str).collect(),
        }
    }

    /// All commands of ours that it names, each once.
    #[must_use]
    pub fn commands(&self) -> Vec<&str> {
        let mut commands = Vec::new();
        for command in self.steps.iter().flat_map(Step::commands) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

impl Step {
    /// Takes a phrase. That of a command of ours, `see what passes: COMMAND` or `run COMMAND: what
    /// for`, is taken apart.
    #[must_use]
    pub fn of(says: &str) -> Self {
        let behind = || says.strip_suffix('`')?.rsplit_once(": `");
        let before = || {
            let (command, says) = says.strip_prefix("run `")?.split_once("`: ")?;
            Some((says, command))
        };
        let command = behind().or_else(before).filter(|(says, command)| {
            command.starts_with("mailfix ") && !command.contains('`') && !says.contains("`mailfix")
        });
        match command {
            Some((says, command)) => Self {
                command: Some(command.to_owned()),
                says: says.to_owned(),
            },
            None => Self {
                command: None,
                says: says.to_owned(),
            },
        }
    }

    /// The commands of ours that it names.
    fn commands(&self) -> impl Iterator<Item = &str> {
        let quoted = self.says.split('`').skip(1).step_by(2);
        let named = quoted.filter(|words| words.starts_with("mailfix "));
        self.command.as_deref().into_iter().chain(named)
    }
}

/// What a phrase is about: what stands before the reason.
fn matter(says: &str) -> &str {
    says.split([':', ',']).next().unwrap_or(says)
}

/// What is to be looked at first of the address that mail left from.
fn looks(cause: &Cause, sighting: &Sighting) -> Vec<Step> {
    let ours = sighting.client.as_ref();
    let address = ours
        .and_then(|client| client.address)
        .filter(|address| !is_theirs(address, sighting));
    let family = ours.map(|client| client.family).or(sighting.family);
    let looks = if family == Some(6) && !cause.look6.is_empty() {
        &cause.look6
    } else {
        &cause.look
    };
    let whose = address.map_or_else(
        || "the address that mail leaves from".to_owned(),
        |address| address.to_string(),
    );
    let option = address.map_or_else(String::new, |address| format!(" --address {address}"));
    looks
        .iter()
        .map(|look| {
            let record = if family == Some(6) { "AAAA" } else { "A" };
            let (command, says) = match look {
                Look::Ptr => (
                    "dns check",
                    format!("the PTR of {whose}: it has to name a host whose {record} record leads back to it"),
                ),
                Look::Forward => (
                    "dns check",
                    format!("A and AAAA: a name has to have {whose}, and the PTR has to lead to that name"),
                ),
                Look::Spf => ("dns spf", format!("SPF: the sender's record has to cover {whose}")),
                Look::Dkim => (
                    "dkim new",
                    "DKIM: mail has to be signed; this makes the key where nothing signs yet".to_owned(),
                ),
            };
            let option = if *look == Look::Dkim { "" } else { &option };
            Step {
                command: Some(format!("mailfix {command}{option}")),
                says,
            }
        })
        .collect()
}

fn is_theirs(address: &std::net::IpAddr, sighting: &Sighting) -> bool {
    sighting.address == Some(*address)
}

/// Tells whether a command mends a cause, and does not only show it.
fn is_cure(words: &str) -> bool {
    ["init", "plan", "apply"]
        .iter()
        .any(|verb| words.split(' ').next() == Some(verb))
}

/// What a command of ours does about a cause.
fn purpose(words: &str) -> &'static str {
    match words {
        "init" | "apply" => "plans the cure, and applies it after asking",
        "plan" => "shows what cures it here, and changes nothing",
        "check" => "looks for the fault in the configuration",
        "dns check" => "shows what DNS says of the addresses mail leaves from",
        "dns spf" => "shows the SPF record and what it covers",
        "dns show" => "shows the records that are wanted",
        "dkim new" => "makes the key that mail is signed with",
        "probe" => "sends a test message, and tells what becomes of it",
        words if words.starts_with("dns") => "shows what DNS says, and what is wanted",
        words if words.starts_with("dkim") => "makes the key that mail is signed with",
        words if words.starts_with("plan") => "shows what cures it here, and changes nothing",
        _ => "helps against it",
    }
}
