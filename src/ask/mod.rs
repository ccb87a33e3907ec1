//! The person: every question we ever ask.
//!
//! Owns the [`Asker`] boundary and [`Question`], a value. Must not know what an answer is
//! good for.

mod scripted;
mod terminal;

use crate::data_file::unknown;

pub use scripted::ScriptedAsker;
pub use terminal::TerminalAsker;

/// One question.
pub struct Question {
    /// By what it is answered without a terminal.
    pub id: &'static str,
    /// The question, in a few words and without the mark at its end.
    pub prompt: String,
    /// Why it is asked, in one line.
    pub why: String,
    /// What is taken when nothing is typed.
    pub default: Option<String>,
    /// What kind of answer it wants.
    pub kind: Kind,
    /// Refuses an answer, saying why.
    pub check: Check,
}

/// Refuses an answer, saying why.
pub type Check = Box<dyn Fn(&str) -> Result<(), String>>;

/// The kinds of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Text,
    /// Several values, with commas or blanks between them; `none` for no value.
    List,
    /// One of these words.
    Choice(Vec<Choice>),
}

/// A word that can be answered, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The word.
    pub value: String,
    /// What it means, in a phrase.
    pub label: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The person ended it.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// There is nobody to ask.
    #[error("there is no terminal to ask on")]
    NoTerminal,
    /// The terminal failed.
    #[error("cannot ask on the terminal: {source}")]
    Terminal {
        /// Why.
        source: std::io::Error,
    },
}

/// Who answers.
pub trait Asker {
    /// Asks until the answer passes the question's check; gives it without blanks around it.
    ///
    /// # Errors
    /// When there is no answer.
    fn ask(&mut self, question: &Question) -> Result<String, AskError>;
}

impl Question {
    /// Makes a question that one of a few words answers.
    pub fn choice(
        id: &'static str,
        prompt: impl Into<String>,
        why: impl Into<String>,
        default: Option<&str>,
        choices: &[(&str, &str)],
    ) -> Self {
        Self {
            id,
            prompt: prompt.into(),
            why: why.into(),
            default: default.map(str::to_owned),
            kind: Kind::Choice(
                choices
                    .iter()
                    .map(|(value, label)| Choice {
                        value: (*value).to_owned(),
                        label: (*label).to_owned(),
                    })
                    .collect(),
            ),
            check: Box::new(|_| Ok(())),
        }
    }

    /// Reads what was typed: the answer, or why it is none.
    ///
    /// The beginning of a word is enough where only one word begins so.
    ///
    /// # Errors
    /// When it is refused; the message says why.
    pub fn read(&self, typed: &str) -> Result<String, String> {
        let typed = match typed.trim() {
            "" => self.default.as_deref().ok_or("an answer is needed")?,
            typed => typed,
        };
        let answer = match &self.kind {
            Kind::Text | Kind::List => typed.to_owned(),
            Kind::Choice(choices) => {
                let words = || choices.iter().map(|choice| choice.value.as_str());
                let lower = typed.to_ascii_lowercase();
                let mut begun = words().filter(|word| word.starts_with(&lower));
                match (
                    words().find(|word| *word == lower),
                    begun.next(),
                    begun.next(),
                ) {
                    (Some(word), ..) | (None, Some(word), None) => word.to_owned(),
                    _ => {
                        let allowed = words().collect::<Vec<_>>();
                        return Err(unknown("unknown-value", "answer", typed, allowed).in_words());
                    }
                }
            }
        };
        (self.check)(&answer)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply() -> Question {
        Question::choice(
            "apply",
            "Apply?",
            "nothing was written yet",
            Some("no"),
            &[("yes", "do it"), ("no", "leave it"), ("explain", "say why")],
        )
    }

    #[test]
    fn words_may_be_shortened() {
        let question = apply();
        for (typed, answer) in [("yes", "yes"), (" Y ", "yes"), ("e", "explain"), ("", "no")] {
            assert_eq!(question.read(typed).as_deref(), Ok(answer));
        }
        assert_eq!(
            question.read("yse").unwrap_err(),
            "unknown answer `yse`; allowed here: `yes`, `no`, `explain`; did you mean `yes`?"
        );
    }

    #[test]
    fn a_word_may_begin_another() {
        let question = Question::choice("x", "", "", None, &[("linux", ""), ("linux-chroot", "")]);
        assert_eq!(question.read("linux").as_deref(), Ok("linux"));
        assert_eq!(question.read("linux-c").as_deref(), Ok("linux-chroot"));
        assert!(question.read("lin").is_err());
        assert_eq!(question.read("").unwrap_err(), "an answer is needed");
    }
}
