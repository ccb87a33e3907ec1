//! Logs of any length, a block of whole lines at a time.
//!
//! Owns how a log is cut: a line belongs to the range it begins in, so ranges of one file can be
//! read side by side and give every line once. Must not know what stands in a line.

use std::io;
use std::ops::Range;

use memchr::{memchr, memrchr};

/// How much is read at once: few calls, and it stays in the processor's cache.
const BLOCK: usize = 256 * 1024;

/// Walks over the lines that begin in a range, in blocks that end with a line's end (but for the
/// last of the log, which may be unfinished).
///
/// `read` fills a buffer from a place and gives 0 at the end. A line longer than a block is given
/// by its beginning, for there is nothing to read in the rest; so memory is bounded.
///
/// # Errors
/// What `read` says.
pub fn blocks(
    range: Range<u64>,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    mut visit: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    // The byte before says whether a line begins at the very start.
    let mut skipping = range.start > 0;
    let mut base = range.start.saturating_sub(u64::from(skipping));
    let mut kept = 0;
    while base < range.end {
        let got = read(
            buffer.get_mut(kept..).unwrap_or_default(),
            base + count(kept),
        )?;
        let filled = kept + got;
        let held = buffer.get(..filled).unwrap_or_default();
        let mut start = 0;
        if skipping {
            if let Some(end) = memchr(b'\n', held) {
                start = end + 1;
                skipping = false;
            } else if got == 0 {
                return Ok(());
            } else {
                base += count(filled);
                kept = 0;
                continue;
            }
        }
        // The last line that is ours begins before the end of the range.
        let last = range.end.saturating_sub(base + 1);
        let limit = usize::try_from(last).ok().filter(|&last| last < filled);
        let end_of_range = limit.and_then(|last| {
            let tail = held.get(last..).unwrap_or_default();
            memchr(b'\n', tail).map(|end| last + end + 1)
        });
        if let Some(end) = end_of_range {
            visit(held.get(start..end.max(start)).unwrap_or_default());
            return Ok(());
        }
        if got == 0 {
            visit(held.get(start..).unwrap_or_default());
            return Ok(());
        }
        let rest = held.get(start..).unwrap_or_default();
        match memrchr(b'\n', rest) {
            Some(end) => {
                let end = start + end + 1;
                visit(held.get(start..end).unwrap_or_default());
                start = end;
            }
            None if start == 0 && filled == buffer.len() => {
                visit(held);
                skipping = true;
                start = filled;
            }
            None => {}
        }
        buffer.copy_within(start..filled, 0);
        base += count(start);
        kept = filled - start;
    }
    Ok(())
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::postfix::log::lines;

    /// The lines of a range of a log that is read in pieces of some size.
    fn of_range(log: &[u8], range: Range<u64>, piece: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let read = |buffer: &mut [u8], offset: u64| {
            let from = usize::try_from(offset).unwrap().min(log.len());
            let end = log.len().min(from + piece.min(buffer.len()));
            buffer[..end - from].copy_from_slice(&log[from..end]);
            Ok(end - from)
        };
        blocks(range, read, |block| {
            found.extend(lines(block).map(<[u8]>::to_vec));
        })
        .unwrap();
        found
    }

    proptest! {
        #[test]
        fn ranges_give_every_line_once(
            log in "([a-c]{0,9}\n?){0,40}",
            cuts in proptest::collection::vec(0_u64..400, 0..5),
            piece in 1_usize..20,
        ) {
            let log = log.as_bytes();
            let length = count(log.len());
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(length)).collect();
            cuts.extend([0, length]);
            cuts.sort_unstable();
            let found: Vec<Vec<u8>> = cuts
                .windows(2)
                .flat_map(|cut| of_range(log, cut[0]..cut[1], piece))
                .collect();
            prop_assert_eq!(found, lines(log).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_a_block() {
        let mut log = vec![b'x'; 3 * BLOCK];
        log.extend(b"\nnext\n");
        let found = of_range(&log, 0..count(log.len()), BLOCK);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].len(), BLOCK);
        assert_eq!(found[1], b"next");
    }
}
