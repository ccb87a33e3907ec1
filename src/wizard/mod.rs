//! The wizard: what has to be asked for a site file.
//!
//! Owns the questions and their order, [`Answers`] and what they become in `mailfix.toml`.
//! What was given on the command line comes first, then what stands in the site file, then
//! what was detected, then defaults. Must not know files on disk or DNS.

mod answers;
mod file;

use std::fmt::Write as _;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};

use crate::address::Scope;
use crate::ask::{AskError, Asker, Choice, Kind, Question};
use crate::data_file::DataError;
use crate::profile::Profile;
use crate::site::{Site, host_name};
use crate::spelling::listed;

use answers::UPDATE;
pub use answers::{Answers, Id, quoted};
pub use file::{SiteChange, changed, site_file};

/// The id of the question whether what is known is right.
pub const FOUND: &str = "found";

/// The answer that stands for no value.
pub const NONE: &str = "none";

/// The answer that agrees.
pub const YES: &str = "yes";

/// What was seen of the host and can stand for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// Whether this is the server: a Postfix is installed. If not, what was seen is no more than
    /// a default.
    pub is_the_server: bool,
    /// The profile that fits best, and why.
    pub profile: Option<(String, String)>,
    /// The host's name, as Postfix says it.
    pub hostname: Option<String>,
    /// The addresses of the network interfaces.
    pub addresses: Vec<IpAddr>,
    /// The domains that Postfix knows as its own.
    pub domains: Vec<String>,
}

/// What DNS says of a domain and need not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Whose records its SPF record includes.
    pub includes: Vec<String>,
    /// What its DMARC record asks for.
    pub dmarc: Option<String>,
}

/// Looks up what DNS says of a domain.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Published;

/// What the wizard starts from.
pub struct Wizard<'a> {
    /// What the command line says.
    pub given: Answers,
    /// What was seen of the host.
    pub detected: &'a Detected,
    /// The site file there is.
    pub existing: Option<&'a Site>,
    /// The profile in the operator's own file, if `profile` is a path.
    pub own_profile: Option<&'a Profile>,
    /// Whether addresses that the world cannot reach will do.
    pub allow_non_global: bool,
    /// What DNS says of a domain, where it may be asked.
    pub look_up: Option<LookUp<'a>>,
}

/// Why there is no site file.
#[derive(Debug, thiserror::Error)]
pub enum WizardError {
    /// The command line answers a question that there is not.
    #[error("there is no question `{id}`")]
    UnknownQuestion {
        /// The word.
        id: String,
        /// The question that was probably meant.
        near_miss: Option<&'static str>,
    },
    /// The command line sets something without `=`.
    #[error("`{text}` answers nothing: write `--set ID=VALUE`")]
    NoAssignment {
        /// The text.
        text: String,
    },
    /// An answer is refused.
    #[error("`{id}` cannot be `{value}`: {reason}")]
    Refused {
        /// The question.
        id: &'static str,
        /// The answer.
        value: String,
        /// Why.
        reason: String,
    },
    /// Answers are missing, and there is nobody to ask.
    #[error("no answer for {}", listed(.keys.iter().map(|key| key.as_str())))]
    Missing {
        /// The questions.
        keys: Vec<Id>,
        /// Why each cannot be known, in the same order.
        reasons: Vec<String>,
        /// The whole command to type.
        command: String,
    },
    /// The person was asked and gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The site file that is there cannot be kept.
    #[error(transparent)]
    Existing(#[from] DataError),
}

impl WizardError {
    /// Says what to do about it, a line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownQuestion { near_miss, .. } => {
                let mut hints = Vec::new();
                if let Some(meant) = near_miss {
                    hints.push(format!("did you mean `{meant}`?"));
                }
                let all = Id::ALL.iter().map(|id| id.as_str());
                hints.push(format!("the questions are {}", listed(all)));
                hints
            }
            Self::Missing {
                keys,
                reasons,
                command,
            } => {
                let mut hints: Vec<String> = keys
                    .iter()
                    .zip(reasons)
                    .map(|(key, reason)| format!("`{}`: {reason}", key.as_str()))
                    .collect();
                hints.push(format!("type `{command}`"));
                hints
            }
            Self::NoAssignment { .. } | Self::Refused { .. } | Self::Ask(_) | Self::Existing(_) => {
                Vec::new()
            }
        }
    }
}

impl Wizard<'_> {
    /// Asks what cannot be known.
    ///
    /// # Errors
    /// When an answer on the command line is refused, or the person ends it.
    pub fn ask(&self, asker: &mut dyn Asker) -> Result<Answers, WizardError> {
        let mut answers = self.given()?;
        let known = self.known(&answers);
        if !known.is_empty() && asker.ask(&self.found_question(&known))? == "yes" {
            for (id, value, _) in known {
                answers.insert(id, value);
            }
        }
        for id in Id::ASKED {
            if !answers.has(id) && applies(id, &answers) {
                let typed = asker.ask(&self.question(id, &answers))?;
                let value = id.judge(&typed, self.allow_non_global).unwrap_or(typed);
                answers.insert(id, value);
            }
        }
        self.complete(&mut answers);
        Ok(answers)
    }

    /// Asks one question more, which came up later; without an asker its default is taken.
    ///
    /// # Errors
    /// When the person ends it.
    pub fn ask_further(
        &self,
        id: Id,
        answers: &mut Answers,
        asker: Option<&mut dyn Asker>,
    ) -> Result<(), WizardError> {
        let value = match asker {
            Some(asker) => Some(asker.ask(&self.question(id, answers))?),
            None => self.default(id, answers),
        };
        if let Some(value) = value {
            answers.insert(id, value);
        }
        Ok(())
    }

    /// Answers from what is known and from defaults; `command` is what was typed, without the
    /// answers in it.
    ///
    /// # Errors
    /// When an answer on the command line is refused, or anything has no default: all such
    /// questions are named at once.
    pub fn answer_silently(&self, command: &str) -> Result<Answers, WizardError> {
        let mut answers = self.given()?;
        for (id, value, _) in self.known(&answers) {
            answers.insert(id, value);
        }
        let mut keys = Vec::new();
        let mut reasons = Vec::new();
        for id in Id::ASKED {
            if answers.has(id) || !applies(id, &answers) {
                continue;
            }
            match self.default(id, &answers) {
                Some(value) if self.check(id, &value, &answers).is_ok() => {
                    answers.insert(id, value);
                }
                _ => {
                    keys.push(id);
                    reasons.push(self.why(id, &answers));
                }
            }
        }
        if keys.is_empty() {
            self.complete(&mut answers);
            return Ok(answers);
        }
        let mut command = command.to_owned();
        for (id, value) in self.given.iter() {
            command.push(' ');
            command.push_str(&id.flag(value));
        }
        for id in &keys {
            command.push(' ');
            command.push_str(&id.flag(&id.as_str().to_ascii_uppercase()));
        }
        Err(WizardError::Missing {
            keys,
            reasons,
            command,
        })
    }

    /// Judges what the command line says.
    fn given(&self) -> Result<Answers, WizardError> {
        let mut answers = Answers::default();
        for (id, value) in self.given.iter() {
            let refused = |reason| WizardError::Refused {
                id: id.as_str(),
                value: value.to_owned(),
                reason,
            };
            let value = id.judge(value, self.allow_non_global).map_err(refused)?;
            answers.insert(id, value);
        }
        if answers.has(Id::DnsUpdate) && !answers.has(Id::ForwardDns) {
            answers.insert(Id::ForwardDns, UPDATE);
        }
        let none = |id| answers.get(id) == Some(NONE);
        if none(Id::Ipv4) && none(Id::Ipv6) {
            return Err(WizardError::Refused {
                id: Id::Ipv6.as_str(),
                value: NONE.to_owned(),
                reason: NO_ADDRESS.to_owned(),
            });
        }
        Ok(answers)
    }

    /// Lists what need not be asked: question, answer, and where it comes from.
    fn known(&self, answers: &Answers) -> Vec<(Id, String, String)> {
        let file = self.existing.map(Answers::of_site).unwrap_or_default();
        let mut known = Vec::new();
        for id in Id::ALL {
            if answers.has(id) || !applies(id, answers) {
                continue;
            }
            if let Some(value) = file.get(id) {
                known.push((id, value.to_owned(), "from the site file".to_owned()));
            } else if self.detected.is_the_server
                && let Some((value, reason)) = self.seen(id)
                && !(value == NONE && lacks_the_other_family(id, answers))
            {
                known.push((id, value, reason));
            }
        }
        known
    }

    /// Gives what was detected, and the reason where it is not plain.
    fn seen(&self, id: Id) -> Option<(String, String)> {
        let plain = |value: String| Some((value, String::new()));
        let addresses = |v4: bool| {
            let addresses = self.addresses(v4);
            (!addresses.is_empty()).then(|| addresses.join(", "))
        };
        match id {
            Id::Profile => self.detected.profile.clone(),
            Id::Hostname => self
                .detected
                .hostname
                .as_deref()
                .and_then(|name| host_name(name).ok())
                // What installers write where nobody gave the machine a name.
                .filter(|name| !name.ends_with(".localdomain"))
                .and_then(plain),
            Id::Ipv4 => addresses(true).and_then(plain),
            // Of a host that only other addresses were seen of, mail does not leave over IPv6.
            Id::Ipv6 if !self.detected.addresses.is_empty() => {
                plain(addresses(false).unwrap_or_else(|| NONE.to_owned()))
            }
            _ => None,
        }
    }

    /// Lists the addresses of one family that mail can leave from.
    fn addresses(&self, v4: bool) -> Vec<String> {
        let of_scope = |fits: &dyn Fn(Scope) -> bool| {
            self.detected
                .addresses
                .iter()
                .filter(|address| address.is_ipv4() == v4 && fits(Scope::of(**address)))
                .map(IpAddr::to_string)
                .collect::<Vec<_>>()
        };
        let global = of_scope(&Scope::is_global);
        if global.is_empty() && self.allow_non_global {
            return of_scope(&|scope| {
                matches!(
                    scope,
                    Scope::Private | Scope::Shared | Scope::UniqueLocal | Scope::Documentation
                )
            });
        }
        global
    }

    /// Says what can be taken where nothing is answered.
    fn default(&self, id: Id, answers: &Answers) -> Option<String> {
        let file = self.existing.map(Answers::of_site).unwrap_or_default();
        if let Some(value) = file.get(id) {
            return Some(value.to_owned());
        }
        if let Some((value, _)) = self.seen(id) {
            return Some(value);
        }
        match id {
            Id::Domain if !self.detected.domains.is_empty() => {
                Some(self.detected.domains.join(", "))
            }
            Id::Domain => answers.get(Id::Hostname).and_then(domain_of),
            Id::ForwardDns => Some("self".to_owned()),
            Id::ReverseDns4 | Id::ReverseDns6 => Some("provider".to_owned()),
            Id::Ipv6 | Id::OtherServers | Id::ThirdParties => Some(NONE.to_owned()),
            Id::Dmarc => Some(
                self.published_policy(answers)
                    .unwrap_or_else(|| NONE.to_owned()),
            ),
            Id::DmarcReports => {
                let domain = answers.list(Id::Domain).next()?;
                Some(format!("mailto:postmaster@{domain}"))
            }
            Id::DkimSelector => Some("mail".to_owned()),
            Id::DkimKey => {
                let selector = answers.get(Id::DkimSelector)?;
                let directory = self.site_directory(answers)?;
                Some(
                    directory
                        .join(format!("dkim/{selector}.private"))
                        .to_string(),
                )
            }
            Id::SpfAll => Some("~all".to_owned()),
            Id::Timer => Some(YES.to_owned()),
            Id::Profile
            | Id::Hostname
            | Id::Ipv4
            | Id::DnsUpdate
            | Id::DkimSigner
            | Id::Ed25519Selector
            | Id::Ed25519Key => None,
        }
    }

    /// The directory of the site file on such a host.
    fn site_directory(&self, answers: &Answers) -> Option<Utf8PathBuf> {
        let built_in = answers.get(Id::Profile).and_then(Profile::built_in);
        let profile = self.own_profile.cloned().or(built_in)?;
        profile.paths.site.parent().map(Utf8Path::to_owned)
    }

    /// Adds what is never asked.
    fn complete(&self, answers: &mut Answers) {
        for id in Id::ALL {
            let no_key = id == Id::DkimKey && answers.get(Id::DkimSelector) == Some(NONE);
            if !answers.has(id)
                && !no_key
                && applies(id, answers)
                && let Some(value) = self.default(id, answers)
            {
                answers.insert(id, value);
            }
        }
    }

    /// Refuses an answer that does not fit the question or the answers before it.
    fn check(&self, id: Id, value: &str, answers: &Answers) -> Result<(), String> {
        check(
            id,
            value,
            self.allow_non_global,
            lacks_the_other_family(id, answers),
        )
    }

    fn found_question(&self, known: &[(Id, String, String)]) -> Question {
        let mut why = match self.existing {
            Some(_) => "What the site file says already:".to_owned(),
            None => "Found on this host:".to_owned(),
        };
        let widest = known.iter().map(|(id, ..)| id.as_str().len()).max();
        let widest = widest.unwrap_or_default();
        for (id, value, reason) in known {
            let id = id.as_str();
            let written = if reason.is_empty() || self.existing.is_some() {
                write!(why, "\n  {id:widest$}  {value}")
            } else {
                write!(why, "\n  {id:widest$}  {value} ({reason})")
            };
            written.expect("strings take everything");
        }
        Question::choice(
            FOUND,
            "Is this right?",
            why,
            Some("yes"),
            &[
                ("yes", "take it; only the rest is asked"),
                ("no", "ask me each of these"),
            ],
        )
    }

    fn question(&self, id: Id, answers: &Answers) -> Question {
        let kind = match id {
            Id::Ipv4 | Id::Ipv6 | Id::Domain | Id::OtherServers | Id::ThirdParties => Kind::List,
            Id::Profile => Kind::Text,
            _ => id.choices().map_or(Kind::Text, |choices| {
                let choice = |(value, label): &(&str, &str)| Choice {
                    value: (*value).to_owned(),
                    label: (*label).to_owned(),
                };
                Kind::Choice(choices.iter().map(choice).collect())
            }),
        };
        let allow = self.allow_non_global;
        let needed = lacks_the_other_family(id, answers);
        Question {
            id: id.as_str(),
            prompt: id.prompt().to_owned(),
            why: self.why(id, answers),
            default: self
                .default(id, answers)
                .filter(|value| self.check(id, value, answers).is_ok()),
            kind,
            check: Box::new(move |typed| check(id, typed, allow, needed)),
        }
    }

    /// Says why a question is asked, with what was seen of the host where that matters.
    fn why(&self, id: Id, answers: &Answers) -> String {
        let mut why = id.why().to_owned();
        match id {
            Id::Profile => {
                for profile in Profile::all() {
                    write!(why, "\n  {:18} {}", profile.name, profile.title)
                        .expect("strings take everything");
                }
                if let Some((name, reason)) = &self.detected.profile {
                    write!(why, "\n`{name}` is proposed because {reason}.")
                        .expect("strings take everything");
                }
            }
            Id::Ipv4 if self.addresses(true).is_empty() => {
                let behind = self.detected.addresses.iter().find(|address| {
                    address.is_ipv4()
                        && matches!(Scope::of(**address), Scope::Private | Scope::Shared)
                });
                if let Some(address) = behind {
                    write!(why, "; `{address}` of this host is hidden behind a NAT")
                        .expect("strings take everything");
                }
            }
            Id::ThirdParties => {
                for (domain, published) in self.published(answers) {
                    if !published.includes.is_empty() {
                        let includes = listed(published.includes.iter().map(String::as_str));
                        write!(why, "\n`{domain}` includes {includes} already; that stays.")
                            .expect("strings take everything");
                    }
                }
            }
            Id::Dmarc => {
                if let Some(policy) = self.published_policy(answers) {
                    write!(why, "\nIn DNS stands `{policy}`.").expect("strings take everything");
                }
            }
            _ => {}
        }
        why
    }

    /// What DNS says of each domain.
    fn published<'d>(&self, answers: &'d Answers) -> Vec<(&'d str, Published)> {
        let domains = answers.list(Id::Domain);
        let looked_up = self
            .look_up
            .map(|look_up| domains.map(|domain| (domain, look_up(domain))));
        looked_up.into_iter().flatten().collect()
    }

    /// The DMARC policy that the domains have in DNS, if it is one.
    fn published_policy(&self, answers: &Answers) -> Option<String> {
        let published = self.published(answers);
        let mut policies = published.into_iter().map(|(_, published)| published.dmarc);
        let first = policies.next()??;
        policies
            .all(|other| other.as_ref() == Some(&first))
            .then_some(first)
    }
}

/// Why a server cannot be without both kinds of address.
const NO_ADDRESS: &str = "the server needs an address of one kind or the other";

/// Tells whether a question has a sense after the answers before it.
fn applies(id: Id, answers: &Answers) -> bool {
    match id {
        Id::DnsUpdate => answers.get(Id::ForwardDns).is_none_or(|who| who == UPDATE),
        Id::ReverseDns4 => answers.get(Id::Ipv4) != Some(NONE),
        Id::ReverseDns6 => answers.get(Id::Ipv6) != Some(NONE),
        // Who plans for the host finds out, and asks it then.
        Id::Timer => false,
        _ => true,
    }
}

/// Tells whether the question is for one kind of address and the server has none of the other.
fn lacks_the_other_family(id: Id, answers: &Answers) -> bool {
    let other = match id {
        Id::Ipv4 => Id::Ipv6,
        Id::Ipv6 => Id::Ipv4,
        _ => return false,
    };
    answers.get(other) == Some(NONE)
}

fn check(id: Id, value: &str, allow_non_global: bool, needed: bool) -> Result<(), String> {
    let value = id.judge(value, allow_non_global)?;
    if needed && value == NONE {
        return Err(NO_ADDRESS.to_owned());
    }
    Ok(())
}

/// Guesses the domain of a host: its name without the first part, if two parts remain.
fn domain_of(hostname: &str) -> Option<String> {
    let (_, domain) = hostname.split_once('.')?;
    let (first, last) = domain.split_once('.')?;
    // `co.uk`, `com.au` and the like are nobody's: the host has the domain's own name.
    let registry = first.len() <= 3 && last.len() == 2;
    Some(if registry { hostname } else { domain }.to_owned())
}

#[cfg(test)]
mod tests;
