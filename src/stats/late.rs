//! The end of a long log: where a moment may begin, and when its last line was written, found
//! without reading all of it.
//!
//! Must not know what lines tell. A log is not trusted to be in order: a clock may have been
//! wrong for a while, and lines of another machine come late.

use std::io;

use memchr::{memchr, memrchr};

use super::{LastDay, RANGE, Source, Stamp};
use crate::postfix::log::Line;
use crate::system::Pieces;

/// How much is read at a place to find a line with a time.
const SAMPLE: usize = 64 * 1024;

impl Source {
    /// Leaves out what is of long before a moment, as far as that can be told by looking at a line
    /// here and there; what is packed has to be read from its start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from(self, moment: Stamp) -> io::Result<Self> {
        match self {
            Self::File(file) => {
                let start = beginning(file.as_ref(), moment, RANGE)?;
                Ok(if start == 0 {
                    Self::File(file)
                } else {
                    Self::File(Box::new(Rest { file, start }))
                })
            }
            stream @ Self::Stream { .. } => Ok(stream),
        }
    }

    /// The time of the last line that has one, of a file that can be read at any place.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_line(&self) -> io::Result<Option<Stamp>> {
        let Self::File(file) = self else {
            return Ok(None);
        };
        let length = u64::try_from(SAMPLE).unwrap_or(u64::MAX);
        let bytes = sample(file.as_ref(), file.length().saturating_sub(length))?;
        let last = LastDay::of(file.modified());
        let mut lines = bytes.rsplit(|&byte| byte == b'\n');
        Ok(lines.find_map(|line| time(line, last)))
    }
}

/// A file from the beginning of one of its lines on.
struct Rest {
    file: Box<dyn Pieces>,
    start: u64,
}

impl Pieces for Rest {
    fn length(&self) -> u64 {
        self.file.length().saturating_sub(self.start)
    }

    fn modified(&self) -> i64 {
        self.file.modified()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, self.start + offset)
    }
}

/// The beginning of a line before which all is older, as far as one line each `step` bytes tells.
///
/// The first of these that is young enough decides, and another step before it is read too: a
/// wrong clock behind that place leaves nothing out, and one before it only has more read.
fn beginning(file: &dyn Pieces, moment: Stamp, step: u64) -> io::Result<u64> {
    let last = LastDay::of(file.modified());
    let (mut before, mut here) = (0, 0);
    let mut place = step;
    while place < file.length() {
        let bytes = sample(file, place)?;
        // It may begin anywhere in a line.
        let start = memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
        let whole = bytes.get(start..).unwrap_or_default();
        let end = memrchr(b'\n', whole).unwrap_or_default();
        let lines = whole.get(..end).unwrap_or_default();
        let mut lines = lines.split(|&byte| byte == b'\n');
        match lines.find_map(|line| time(line, last)) {
            Some(time) if time < moment => {}
            // A place that tells nothing may be young enough.
            _ => break,
        }
        before = here;
        here = place + u64::try_from(start).unwrap_or_default();
        place += step;
    }
    Ok(before)
}

fn sample(file: &dyn Pieces, place: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; SAMPLE];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let offset = place + u64::try_from(filled).unwrap_or_default();
        match file.read_at(rest, offset)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The time of a line, whoever wrote it.
fn time(line: &[u8], last: LastDay) -> Option<Stamp> {
    Stamp::parse(Line::parse(line)?.time, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, System};

    fn file(text: &str) -> Box<dyn Pieces> {
        let system = MemorySystem::new().file("/log", text);
        system.pieces("/log".into()).unwrap().unwrap()
    }

    fn line(day: u32, hour: u32) -> String {
        format!("2026-03-{day:02}T{hour:02}:00:00Z mail postfix/smtp[1]: A1: status=sent\n")
    }

    fn stamp(day: u32) -> Stamp {
        Stamp::parse(line(day, 0).as_bytes(), LastDay::of(0)).unwrap()
    }

    /// What is read of a log from a day on.
    fn read(text: &str, day: u32, step: u64) -> String {
        let file = file(text);
        let start = beginning(file.as_ref(), stamp(day), step).unwrap();
        let start = usize::try_from(start).unwrap();
        text.split_at(start).1.to_owned()
    }

    #[test]
    fn no_line_that_is_wanted_is_left_out_wherever_one_looks() {
        let text: String = (1..=28)
            .flat_map(|day| (0..24).map(move |hour| line(day, hour)))
            .collect();
        for step in [100, 500, 1000, 4096] {
            for day in 1..=28 {
                let wanted = text.find(&line(day, 0)).unwrap();
                let read = read(&text, day, step);
                let wanted = text.split_at(wanted).1;
                assert!(read.ends_with(wanted), "{day} by {step}");
                assert!(read.starts_with("2026-"), "{day} by {step}");
                let more = read.len() - wanted.len();
                assert!(
                    more <= 4 * usize::try_from(step).unwrap(),
                    "{more} by {step}"
                );
            }
        }
    }

    #[test]
    fn a_clock_that_was_wrong_leaves_nothing_out() {
        let days = |from: u32, to: u32| {
            (from..=to).flat_map(|day| (0..24).map(move |hour| line(day, hour)))
        };
        let wrong = "2000-01-01T00:00:00Z mail kernel[1]: no clock\n".repeat(100);
        let text: String = days(1, 20).chain([wrong]).chain(days(21, 28)).collect();
        for step in [300, 1000] {
            assert!(read(&text, 18, step).contains(&line(18, 0)));
            let ahead = text.replacen("2026-03-05", "2036-03-05", 30);
            assert!(read(&ahead, 18, step).contains(&line(6, 0)));
        }
    }

    #[test]
    fn what_has_no_time_is_read() {
        for text in [
            "",
            "x",
            &"no time here\n".repeat(1000),
            &"\0".repeat(100_000),
        ] {
            assert_eq!(read(text, 1, 100), text);
        }
    }

    #[test]
    fn the_last_line_says_when_a_log_ends() {
        let last = |text: &str| Source::File(file(text)).last_line().unwrap();
        assert_eq!(last(""), None);
        assert_eq!(last("x\ny"), None);
        let text = line(1, 0) + &line(2, 0) + "no time\n";
        assert_eq!(last(&text), Some(stamp(2)));
        assert_eq!(last(&line(3, 0).repeat(2000)), Some(stamp(3)));
    }
}
