//! A person at a terminal.
//!
//! Owns dialoguer. It draws on stderr, so that stdout stays data.

use std::fmt;
use std::io::{self, IsTerminal};

use dialoguer::console::Term;
use dialoguer::theme::Theme;
use nix::sys::signal::{SigSet, Signal};

use super::{AskError, Asker, Choice, Kind, Question};
use crate::finding::escape;

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Columns left on the line of a question for what is typed.
const ROOM_TO_TYPE: usize = 20;

/// What dialoguer writes before the reason of a refusal.
const BEFORE_REFUSAL: &str = "error: ";

/// How questions look.
struct Look;

impl Theme for Look {
    fn format_input_prompt(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        default: Option<&str>,
    ) -> fmt::Result {
        let end = if prompt.ends_with('?') { "" } else { ":" };
        match default {
            Some(default) => write!(f, "{prompt} [{default}]{end} "),
            None => write!(f, "{prompt}{end} "),
        }
    }
}

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

    /// Writes what stands above the line of the question.
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
        if let Some(default) = &question.default
            && !fits(question, columns)
        {
            let text = format!("Enter alone takes: {}", escape(default));
            for line in wrapped(&text, columns) {
                self.terminal.write_line(&line)?;
            }
        }
        Ok(())
    }

    fn interact(&self, question: &Question) -> io::Result<String> {
        let columns = self.columns();
        self.introduce(question, columns)?;
        let room = columns.saturating_sub(BEFORE_REFUSAL.len());
        let check = |typed: &String| {
            question
                .read(typed)
                .map(drop)
                .map_err(|reason| wrapped(&escape(&reason), room).join("\n"))
        };
        let mut input = dialoguer::Input::<String>::with_theme(&Look)
            .with_prompt(escape(&question.prompt))
            .validate_with(check)
            // The answer is shown below as it is understood.
            .report(false)
            // Nothing typed and no default is refused by the check, which says so.
            .allow_empty(true);
        if let Some(default) = &question.default {
            input = input
                .default(default.clone())
                .show_default(fits(question, columns));
        }
        let typed = input
            .interact_text_on(&self.terminal)
            .map_err(|dialoguer::Error::IO(error)| error)?;
        let answer = question.read(&typed).map_err(io::Error::other)?;
        let end = if question.prompt.ends_with('?') {
            ""
        } else {
            ":"
        };
        let line = format!("{}{end} {answer}", question.prompt);
        for line in wrapped(&escape(&line), columns) {
            self.terminal.write_line(&line)?;
        }
        Ok(answer)
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

/// Tells whether question and default stand on one line and leave room to type.
fn fits(question: &Question, columns: usize) -> bool {
    let default = question.default.as_deref().unwrap_or_default();
    // The prompt is followed by ` [DEFAULT]: `.
    question.prompt.chars().count() + default.chars().count() + 5 + ROOM_TO_TYPE <= columns
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

/// Breaks the lines of a text that are longer than a terminal is wide, between words; what
/// belongs to an indented line is indented further.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == ' ').count();
        let hanging = if indent == 0 { 0 } else { indent + 2 };
        let mut current = String::new();
        let mut length = 0;
        for word in line.split_inclusive(' ') {
            let width = word.trim_end().chars().count();
            if length > indent.max(hanging) && length + width > columns {
                lines.push(current.trim_end().to_owned());
                current = " ".repeat(hanging);
                length = hanging;
            }
            current.push_str(word);
            length += word.chars().count();
        }
        lines.push(current.trim_end().to_owned());
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
        assert_eq!(wrapped("  aa bb cc", 7), ["  aa bb", "    cc"]);
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
