//! Answers written down beforehand, for tests.

use std::collections::{BTreeMap, VecDeque};

use super::{AskError, Asker, Question};

/// Answers questions by their id.
///
/// An unanswered question panics, and so does an unasked answer when this is dropped:
/// a test then says exactly what is asked.
#[derive(Debug, Default)]
pub struct ScriptedAsker {
    answers: BTreeMap<String, VecDeque<String>>,
    /// Why answers were refused, in order.
    pub refusals: Vec<String>,
}

impl ScriptedAsker {
    /// Takes the answers; several for one id are typed one after the other.
    #[must_use]
    pub fn new(answers: &[(&str, &str)]) -> Self {
        let mut asker = Self::default();
        for (id, answer) in answers {
            asker
                .answers
                .entry((*id).to_owned())
                .or_default()
                .push_back((*answer).to_owned());
        }
        asker
    }
}

impl Asker for ScriptedAsker {
    fn ask(&mut self, question: &Question) -> Result<String, AskError> {
        loop {
            let typed = self
                .answers
                .get_mut(question.id)
                .and_then(VecDeque::pop_front);
            let typed = typed.unwrap_or_else(|| {
                panic!(
                    "nothing answers the question `{}`; refused before: {:?}",
                    question.id, self.refusals
                )
            });
            match question.read(&typed) {
                Ok(answer) => return Ok(answer),
                Err(reason) => self.refusals.push(reason),
            }
        }
    }
}

impl Drop for ScriptedAsker {
    fn drop(&mut self) {
        self.answers.retain(|_, answers| !answers.is_empty());
        assert!(
            self.answers.is_empty() || std::thread::panicking(),
            "these answers were not asked for: {:?}",
            self.answers
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question::choice("apply", "Apply?", "", None, &[("yes", ""), ("no", "")])
    }

    #[test]
    fn refused_answers_are_followed_by_the_next() {
        let mut asker = ScriptedAsker::new(&[("apply", "perhaps"), ("apply", "yes")]);
        assert_eq!(asker.ask(&question()).unwrap(), "yes");
        assert_eq!(asker.refusals.len(), 1);
    }

    #[test]
    #[should_panic(expected = "nothing answers the question `apply`")]
    fn an_unanswered_question_panics() {
        let _ = ScriptedAsker::new(&[]).ask(&question());
    }

    #[test]
    #[should_panic(expected = "these answers were not asked for: {\"other\": [\"x\"]}")]
    fn an_unasked_answer_panics() {
        drop(ScriptedAsker::new(&[("other", "x")]));
    }
}
