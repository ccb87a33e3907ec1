//! Writes a made-up mail log to standard output and what is true of it to standard error.
//!
//! usage: make-log LINES [iso] [long] [OPEN]

#![expect(clippy::print_stderr, reason = "a program of the tests")]

#[path = "log.rs"]
mod log;

use std::io::{self, BufWriter, Write};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.iter().filter_map(|word| word.parse().ok()).nth(at);
    let shape = log::Shape {
        lines: number(0).unwrap_or(100_000),
        iso: words.iter().any(|word| word == "iso"),
        long_ids: words.iter().any(|word| word == "long"),
        open: number(1)
            .and_then(|open| usize::try_from(open).ok())
            .unwrap_or(1000),
        seed: 7,
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let truth = log::write(shape, &mut out)?;
    out.flush()?;
    eprintln!(
        "{} lines, {} messages, {} of them with an id again, {} waiting",
        truth.lines, truth.messages, truth.reused, truth.waiting
    );
    for (name, ends) in &truth.instances {
        eprintln!("{name} {} {ends:?}", ends.total());
    }
    for (name, ends) in &truth.providers {
        eprintln!("{name} {} {ends:?}", ends.total());
    }
    eprintln!(
        "{} domains, {} hours",
        truth.domains.len(),
        truth.hours.len()
    );
    Ok(())
}
