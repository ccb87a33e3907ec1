//! How `journalctl` is asked.
//!
//! Owns its words. Must not know who asks, nor why.
//! Follows journalctl(1); facilities as in syslog(3).

use std::io::Read;

use super::program::Program;
use super::{JournalPart, SystemError};

/// How many of its last entries the journal is asked for where none is known.
const LAST: usize = 1000;

/// What programs told syslog as mail, whoever they are.
const MAIL_FACILITY: &str = "SYSLOG_FACILITY=2";

/// The words for what came after a cursor, or for the last entries.
pub(super) fn words(after: Option<&str>) -> [String; 5] {
    let which = match after {
        Some(cursor) => format!("--after-cursor={cursor}"),
        None => format!("--lines={LAST}"),
    };
    let [cursor, pager, all, form] = ["--show-cursor", "--no-pager", "--all", "--output=short"];
    [
        which,
        cursor.to_owned(),
        pager.to_owned(),
        all.to_owned(),
        form.to_owned(),
    ]
}

/// Opens a part of it as the lines of a log.
///
/// # Errors
/// When it cannot be started.
pub(super) fn stream(
    program: Program,
    part: JournalPart,
) -> Result<Box<dyn Read + Send>, SystemError> {
    let which = match part {
        JournalPart::Since(None) => vec![],
        JournalPart::Since(Some(second)) => vec![format!("--since=@{second}")],
        JournalPart::Coming(None) => vec!["--follow".to_owned(), "--lines=0".to_owned()],
        JournalPart::Coming(Some(second)) => vec![
            "--follow".to_owned(),
            "--no-tail".to_owned(),
            format!("--since=@{second}"),
        ],
    };
    let how = [
        "--no-pager",
        "--quiet",
        "--all",
        "--output=short-iso",
        MAIL_FACILITY,
    ];
    let waits = !matches!(part, JournalPart::Coming(_));
    program.arguments(&which).arguments(&how).stream(waits)
}
