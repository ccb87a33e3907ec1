//! Waiting until DNS says what it should.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::cli::{Failure, Session};
use crate::dns::{Name, negative_ttl};
use crate::finding::escape;

/// The pause after the first look.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two looks: the servers asked are other people's too.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What makes a second that has begun a whole one.
const ALMOST: Duration = Duration::from_millis(999);

/// How often the time on a terminal is redrawn.
const TICK: Duration = Duration::from_millis(250);

/// What one look at DNS found.
#[derive(Debug)]
pub struct Look<T> {
    /// All that was found.
    pub found: T,
    /// What is not right yet, a few words each; empty when all is.
    pub left: Vec<String>,
}

/// Looks again and again until nothing is left, at most for so long; gives the last look.
///
/// On a terminal one line tells what is waited for and how long; elsewhere a line is said
/// whenever that changes. Ctrl-C ends it as it ends any program: nothing is half done. `names`
/// are those whose records are waited for.
///
/// # Errors
/// When a look cannot be made at all.
pub fn until_right<T>(
    session: &mut Session,
    limit: Duration,
    names: &[Name],
    mut look: impl FnMut(&mut Session) -> Result<Look<T>, Failure>,
) -> Result<Look<T>, Failure> {
    let begun = Instant::now();
    let mut seen = look(session)?;
    let was_right = seen.left.is_empty();
    let mut said = None;
    let mut pause = FIRST_PAUSE;
    let line = session.waiting();
    while !seen.left.is_empty() && begun.elapsed() < limit {
        if line.is_none() && said.as_ref() != Some(&seen.left) {
            session.ui.say(&format!(
                "waiting for up to {}: {}",
                in_words(limit.saturating_sub(begun.elapsed()) + ALMOST),
                summary(&seen.left)
            ));
            said = Some(seen.left.clone());
        }
        let until = (Instant::now() + pause).min(begun + limit);
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let Some(line) = &line else {
                sleep(left);
                continue;
            };
            line.say(format!(
                "{} of {}: {}",
                in_words(begun.elapsed()),
                in_words(limit),
                summary(&seen.left)
            ));
            sleep(left.min(TICK));
        }
        seen = look(session)?;
    }
    drop(line);
    if seen.left.is_empty() && !was_right {
        tell_who_remembers(session, names)?;
    }
    Ok(seen)
}

/// Says how long others may go on believing what was before.
fn tell_who_remembers(session: &mut Session, names: &[Name]) -> Result<(), Failure> {
    let resolver = session.resolver()?;
    let longest = names
        .iter()
        .filter_map(|name| negative_ttl(resolver.as_ref(), name).ok())
        .max();
    if let Some(longest) = longest.filter(|longest| !longest.is_zero()) {
        session.ui.say(&format!(
            "note: who asked in vain before may remember that for up to {}",
            in_words(longest)
        ));
    }
    Ok(())
}

/// The first of what is left, and how many more.
fn summary(left: &[String]) -> String {
    match left {
        [] => String::new(),
        [one] => escape(one),
        [first, others @ ..] => format!("{}, and {} more", escape(first), others.len()),
    }
}

/// A time as people say it: `45 s`, `10 min`, `1 h 30 min`.
#[must_use]
pub fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .take(2)
        .collect();
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// Reads a time as a word of the command line: `30s`, `10m`, `1h30m`.
pub fn duration(word: &str) -> Result<Duration, String> {
    word.parse::<SignedDuration>()
        .ok()
        .and_then(|time| Duration::try_from(time).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a time is a number with its unit, such as `30s`, `10m` or `2h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_told() {
        let check = |word: &str, seconds: u64, told: &str| {
            let time = duration(word).unwrap();
            assert_eq!(time, Duration::from_secs(seconds), "{word}");
            assert_eq!(in_words(time), told);
        };
        check("30s", 30, "30 s");
        check("10m", 600, "10 min");
        check("2h", 7200, "2 h");
        check("1h30m", 5400, "1 h 30 min");
        check("90 seconds", 90, "1 min 30 s");
        for wrong in ["", "10", "ten minutes", "-5m", "0s", "10x"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
