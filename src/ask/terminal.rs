//! A person at a terminal.
//!
//! Owns dialoguer. It draws on stderr, so that stdout stays data.

use std::io::{self, IsTerminal};

use dialoguer::console::Term;
use dialoguer::theme::SimpleTheme;
use nix::sys::signal::{SigSet, Signal};

use super::{AskError, Asker, Choice, Kind, Question};
use crate::finding::escape;

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Asks at the terminal of stdin and stderr.
#[derive(Debug)]
pub struct TerminalAsker {
    terminal: Term,
}

impl TerminalAsker {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When stdin or stderr is none.
    pub fn new() -> Result<Self, AskError> {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            Ok(Self {
                terminal: Term::stderr(),
            })
        } else {
            Err(AskError::NoTerminal)
        }
    }

    fn columns(&self) -> usize {
        self.terminal
            .size_checked()
            .map_or(USUAL_COLUMNS, |(_, columns)| usize::from(columns))
    }

    fn introduce(&self, question: &Question, columns: usize) -> io::Result<()> {
        self.terminal.write_line("")?;
        for line in wrapped(&escape(&question.why), columns) {
            self.terminal.write_line(&line)?;
        }
        if let Kind::Choice(choices) = &question.kind {
            for line in list(choices, columns) {
                self.terminal.write_line(&line)?;
            }
        }
        Ok(())
    }

    fn interact(&self, question: &Question) -> io::Result<String> {
        let columns = self.columns();
        self.introduce(question, columns)?;
        let check = |typed: &String| {
            question
                .read(typed)
                .map(drop)
                .map_err(|reason| wrapped(&escape(&reason), columns).join("\n"))
        };
        let mut input = dialoguer::Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(escape(&question.prompt))
            .validate_with(check)
            // Nothing typed and no default is refused by the check, which says so.
            .allow_empty(true);
        if let Some(default) = &question.default {
            input = input.default(default.clone());
        }
        let dialoguer::Error::IO(error) = match input.interact_text_on(&self.terminal) {
            Ok(typed) => return question.read(&typed).map_err(io::Error::other),
            Err(error) => error,
        };
        Err(error)
    }
}

impl Asker for TerminalAsker {
    fn ask(&mut self, question: &Question) -> Result<String, AskError> {
        // On Ctrl-C the prompt raises SIGINT on this thread and returns. Blocked, the signal
        // waits until it is taken below, and the terminal is put in order before anything else.
        let mut interrupt = SigSet::empty();
        interrupt.add(Signal::SIGINT);
        let failed = |source: io::Error| AskError::Terminal { source };
        let before = interrupt
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .map_err(|errno| failed(errno.into()))?;
        let answer = self.interact(question);
        let interrupted =
            matches!(&answer, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        if interrupted {
            let _ = interrupt.wait();
        }
        before
            .thread_set_mask()
            .map_err(|errno| failed(errno.into()))?;
        if answer.is_err() {
            // The line that was being typed stays as it is; the shell's prompt goes below it.
            let _ = self.terminal.show_cursor();
            let _ = self.terminal.write_line("");
        }
        match answer {
            Ok(answer) => Ok(answer),
            Err(_) if interrupted => Err(AskError::Interrupted),
            Err(source) => Err(failed(source)),
        }
    }
}

/// Sets choices one below the other, what they mean beside them.
fn list(choices: &[Choice], columns: usize) -> Vec<String> {
    let widest = choices
        .iter()
        .map(|choice| choice.value.chars().count())
        .max()
        .unwrap_or_default();
    let indent = widest + 4;
    let mut lines = Vec::new();
    for choice in choices {
        let room = columns.saturating_sub(indent).max(1);
        for (number, line) in wrapped(&choice.label, room).into_iter().enumerate() {
            let word = if number == 0 { &choice.value } else { "" };
            lines.push(format!("  {word:widest$}  {line}"));
        }
    }
    lines
}

/// Breaks the lines of a text that are longer than a terminal is wide, between words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.chars().count() <= columns {
            lines.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            let length = current.chars().count();
            if length > 0 && length + 1 + word.chars().count() > columns {
                lines.push(std::mem::take(&mut current));
            } else if length > 0 {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaaa bb", 5), ["aaaaaaaa", "bb"]);
        assert_eq!(wrapped("  a\n  b", 5), ["  a", "  b"]);
    }

    #[test]
    fn choices_stand_in_columns() {
        let Kind::Choice(choices) = Question::choice(
            "x",
            "",
            "",
            None,
            &[("yes", "do it now"), ("explain", "say why")],
        )
        .kind
        else {
            unreachable!()
        };
        assert_eq!(
            list(&choices, 17),
            [
                "  yes      do it",
                "           now",
                "  explain  say",
                "           why"
            ]
        );
    }
}
