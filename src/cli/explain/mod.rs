//! `mailfix explain`: from a log line, a bounce, a reply or a code to the cause and the cure.

mod form;
mod page;
mod show;

use std::io::{BufRead, BufReader, Read};

use camino::Utf8PathBuf;
use clap::Args;
use serde_json::Value;

use crate::cli::{Failure, Session, json};
use crate::diagnose::Knowledge;
use crate::excerpt::MOST;
use crate::explain::explain;
use crate::log_files;
use crate::mask::Mask;
use crate::system::System;
use page::Page;

/// How many bytes are read, and said, at a time.
const PIECE: usize = 64 * 1024;

/// Explain a log line, a bounce, a reply or a code: what it means and what to do
///
/// Paste anything: lines of the log or of `mailq`, a bounce, what the receiver said; cut off,
/// wrapped or with other text around it. A cause (`ipv6-no-ptr`), a status code (`5.7.26`) or a
/// receiver's own code (`TSS04`) is described.
#[derive(Debug, Args)]
pub struct Explain {
    /// The text, a cause or a code; several words are one text [default: standard input]
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Read the text from this file, `-` for standard input; can be given several times
    #[arg(long = "file", short, value_name = "FILE", conflicts_with = "text")]
    files: Vec<Utf8PathBuf>,
    /// Take every line of the input, plain or a JSON string, for a text of its own, and print one
    /// JSON object each
    #[arg(long)]
    lines: bool,
    /// Show nobody's address: numbers stand in for what is before the `@`
    #[arg(long)]
    mask: bool,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Explain {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let catalogue = session.catalogue()?;
        let knowledge = Knowledge::new(catalogue);
        let mut mask = self.mask.then(Mask::new);
        if !self.text.is_empty() && !is_stdin(&self.text) {
            let text = self.text.join(" ");
            if self.lines {
                return lines(session, &knowledge, text.as_bytes(), &mut mask);
            }
            if let Some(page) = page::find(&knowledge, text.trim()) {
                return Ok(self.page(session, &knowledge, &page));
            }
            if let Some(failure) = page::unknown(&knowledge, text.trim()) {
                return Err(failure);
            }
            return Ok(self.texts(session, &knowledge, &[text.into_bytes()]));
        }
        let files = if self.files.is_empty() {
            if self.text.is_empty() && session.is_terminal {
                return Err(Failure::usage("there is nothing to explain").hint(
                    "put the text behind the command, in quotes, or pipe it in: `tail /var/log/mail.log | mailfix explain`",
                ));
            }
            vec![Utf8PathBuf::from("-")]
        } else {
            self.files.clone()
        };
        let mut texts = Vec::new();
        for file in &files {
            let input: Box<dyn Read> = if file == "-" {
                session
                    .input
                    .take()
                    .ok_or_else(|| Failure::usage("standard input can be read once"))?
            } else {
                let pieces = session.outside.pieces(file)?;
                let pieces =
                    pieces.ok_or_else(|| Failure::failed(format!("`{file}` is not there")))?;
                log_files::as_it_stands(pieces)
            };
            if self.lines {
                lines(session, &knowledge, input, &mut mask)?;
            } else {
                let mut text = Vec::new();
                let most = u64::try_from(MOST).unwrap_or(u64::MAX);
                input
                    .take(most + 1)
                    .read_to_end(&mut text)
                    .map_err(|error| Failure::failed(format!("cannot read `{file}`: {error}")))?;
                if log_files::is_packed(&text) {
                    return Err(Failure::failed(format!("`{file}` is packed")).hint(
                        "`mailfix diagnose LOG` reads packed logs; a text has to be unpacked first",
                    ));
                }
                if text.len() > MOST {
                    session
                        .ui
                        .say(&format!("only the first {} MiB were read", MOST >> 20));
                    session.ui.hint("`mailfix diagnose` reads whole logs");
                }
                texts.push(text);
            }
        }
        if self.lines {
            return Ok(0);
        }
        if let [text] = texts.as_slice()
            && let Some(page) = page::find(&knowledge, String::from_utf8_lossy(text).trim())
        {
            return Ok(self.page(session, &knowledge, &page));
        }
        Ok(self.texts(session, &knowledge, &texts))
    }

    /// Explains texts, one after the other.
    fn texts(&self, session: &mut Session, knowledge: &Knowledge, texts: &[Vec<u8>]) -> u8 {
        let mut all = true;
        let mut mask = Mask::new();
        for (at, text) in texts.iter().enumerate() {
            let mut explanation = explain(knowledge, text);
            if self.mask {
                explanation.mask(&mut mask, &String::from_utf8_lossy(text));
            }
            all &= explanation.cause.is_some();
            if self.json {
                let object = form::object(&explanation);
                let text = if texts.len() > 1 {
                    json::line(&object)
                } else {
                    json::text(&object)
                };
                session.ui.data(&text);
            } else {
                if at > 0 {
                    session.ui.data("\n");
                }
                show::show(session, knowledge, &explanation);
            }
        }
        u8::from(!all)
    }

    fn page(&self, session: &mut Session, knowledge: &Knowledge, page: &Page<'_>) -> u8 {
        if self.json {
            session.ui.data(&json::text(&page.object(knowledge)));
        } else {
            page.show(session, knowledge);
        }
        0
    }
}

fn is_stdin(text: &[String]) -> bool {
    matches!(text, [only] if only == "-")
}

/// Explains every line: one object each, in order. What is there is answered before more is waited
/// for, so that a program may ask line by line.
fn lines(
    session: &mut Session,
    knowledge: &Knowledge,
    input: impl Read,
    mask: &mut Option<Mask>,
) -> Result<u8, Failure> {
    let mut input = BufReader::with_capacity(PIECE, input);
    let mut said = String::new();
    while let Some(line) = next_line(&mut input)
        .map_err(|error| Failure::failed(format!("cannot read the lines: {error}")))?
    {
        said += &object(knowledge, &line, mask.as_mut());
        if said.len() >= PIECE || memchr::memchr(b'\n', input.buffer()).is_none() {
            session.ui.data(&said);
            said.clear();
        }
        if session.ui.is_unread() {
            break;
        }
    }
    session.ui.data(&said);
    Ok(0)
}

/// Reads a line without its end; of one that is longer than any text its beginning.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let most = u64::try_from(MOST).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    if input.take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == MOST {
        input.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// The object of one line.
fn object(knowledge: &Knowledge, line: &[u8], mask: Option<&mut Mask>) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let quoted = line.trim_ascii().starts_with(b"\"");
    let string = quoted
        .then(|| serde_json::from_slice::<Value>(line).ok())
        .flatten();
    let text = match &string {
        Some(Value::String(text)) => text.as_bytes(),
        _ => line,
    };
    let mut explanation = explain(knowledge, text);
    if let Some(mask) = mask {
        explanation.mask(mask, &String::from_utf8_lossy(text));
    }
    json::line(&form::object(&explanation))
}
