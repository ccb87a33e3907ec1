//! A restart by a start script that does not wait.
//!
//! Owns how often a restart that failed is tried again. Some scripts, as Debian's of `PostSRSd`,
//! signal the old process and start the new one at once, which finds the port still taken; by
//! then the old one is on its way out.

use std::thread;
use std::time::Duration;

use super::{Output, SystemError};

/// The pauses between the tries: a daemon that was told to end does so within seconds.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Runs it until it succeeds; what the last try said is given.
pub(super) fn tried(
    pauses: &[Duration],
    mut run: impl FnMut() -> Result<Output, SystemError>,
) -> Result<Output, SystemError> {
    let mut output = run()?;
    for &pause in pauses {
        if output.success() {
            break;
        }
        thread::sleep(pause);
        output = run()?;
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statuses: &[i32], expected: i32, runs: usize) {
        let mut ran = 0;
        let output = tried(&[Duration::ZERO; 2], || {
            let status = statuses[ran];
            ran += 1;
            Ok(Output {
                status,
                ..Output::default()
            })
        });
        assert_eq!((output.unwrap().status, ran), (expected, runs));
    }

    #[test]
    fn what_fails_is_tried_again_a_few_times() {
        check(&[0], 0, 1);
        check(&[1, 1, 0], 0, 3);
        check(&[1, 1, 2], 2, 3);
    }
}
