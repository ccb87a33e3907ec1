//! The mail log, read for the domains that mail was sent to.
//!
//! Owns how much of it is read. Only what smtp(8) says of a recipient counts; it goes by
//! recipient, not by what the message or a mail host said. Must not judge how a delivery ended: mail that was refused is what this
//! is about.

use std::collections::{BTreeSet, HashMap};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Destinations, Seen, domain};
use crate::host::Facts;
use crate::postfix::log::{Event, Line, Marker};
use crate::system::System;

/// How much of the end of the log is read, the file before the last rotation included.
const READ: u64 = 32 * 1024 * 1024;

/// What a rotated log is called.
const ROTATED: [&str; 2] = [".1", ".0"];

/// Takes the domains of recipients.
pub(super) fn look(
    system: &dyn System,
    facts: &Facts,
    logs: &[Utf8PathBuf],
    found: &mut Destinations,
) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut places: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut seen_in: HashMap<String, Utf8PathBuf> = HashMap::new();
    let marker = Marker::new(b" status=");
    let is_read = read(system, facts, logs, &mut |file, text| match text {
        Ok(text) => {
            for line in marker.lines(text) {
                if let Some(domain) = recipient_domain(line).and_then(domain) {
                    *counts.entry(domain.clone()).or_default() += 1;
                    seen_in.entry(domain).or_insert_with(|| file.to_owned());
                }
            }
        }
        Err(why) => found.pass_over(file.as_str(), why),
    });
    if !is_read {
        found.pass_over(
            "the mail log",
            "there is no file of it; domains are only known from mail that is forwarded",
        );
    }
    // What is sent to most comes first, should there be too many.
    places.extend(
        counts
            .into_iter()
            .map(|(domain, count)| (usize::MAX - count, domain)),
    );
    let mut left_out = 0_usize;
    for (_, domain) in places {
        let file = seen_in.remove(&domain).unwrap_or_default();
        if !found.add(domain, Seen::Log(file)) {
            left_out += 1;
        }
    }
    if left_out > 0 {
        found.pass_over(
            "the mail log",
            format!("{left_out} domains more, the least used, are not looked at"),
        );
    }
}

/// Takes a file of the log, or why it was not read.
type Each<'a> = dyn FnMut(&Utf8Path, Result<&[u8], String>) + 'a;

/// Reads the ends of the logs, a file at a time, and says whether there was one.
pub(in crate::host) fn read(
    system: &dyn System,
    facts: &Facts,
    logs: &[Utf8PathBuf],
    each: &mut Each<'_>,
) -> bool {
    let own = facts.parameters.get("maillog_file");
    let own = (!own.is_empty()).then(|| Utf8PathBuf::from(own));
    let mut left = READ;
    let mut read: Vec<Utf8PathBuf> = Vec::new();
    for path in own.iter().chain(logs) {
        let rotated = ROTATED.map(|end| Utf8PathBuf::from(format!("{path}{end}")));
        for file in std::iter::once(path).chain(&rotated) {
            if left == 0 || read.contains(file) {
                continue;
            }
            match end_of(system, file, left) {
                Ok(Some(text)) => {
                    read.push(file.clone());
                    left = left.saturating_sub(text.len() as u64);
                    each(file, Ok(&text));
                }
                Ok(None) => {}
                Err(why) => each(file, Err(why)),
            }
        }
    }
    !read.is_empty()
}

fn end_of(system: &dyn System, path: &Utf8Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let in_words = |error: crate::system::SystemError| error.to_string();
    let Some(stat) = system.stat(path).map_err(in_words)? else {
        return Ok(None);
    };
    system
        .read_after(path, stat.size.saturating_sub(most))
        .map_err(in_words)
}

/// The domain of the recipient in a line of smtp(8) that tells how a delivery ended.
fn recipient_domain(line: &[u8]) -> Option<&str> {
    let line = Line::parse(line)?;
    if line.daemon() != b"smtp" {
        return None;
    }
    let Event::Delivery(delivery) = line.record().event else {
        return None;
    };
    let address = std::str::from_utf8(delivery.to).ok()?;
    address.rsplit_once('@').map(|(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::system::MemorySystem;

    #[track_caller]
    fn check(said: &str, expected: Option<&str>) {
        let line = format!("2026-11-25T10:00:00.000000+00:00 mx {said}");
        assert_eq!(recipient_domain(line.as_bytes()), expected);
    }

    #[test]
    fn recipients_of_smtp_count() {
        for end in [
            "sent (250 ok)",
            "bounced (host a said: 550 no)",
            "deferred (x)",
        ] {
            check(
                &format!(
                    "postfix/smtp[12]: A1B: to=<u@a.example>, relay=m[::1]:25, delay=1, dsn=2.0.0, status={end}"
                ),
                Some("a.example"),
            );
        }
        check(
            "postfix-out/relay/smtp[12]: 3f: to=<u@a.example>, orig_to=<list@own.example>, relay=m, status=sent (ok)",
            Some("a.example"),
        );
        check(
            "postfix/smtp[12]: 3f: to=<\"a>, b@c\"@a.example>, relay=m, status=sent (ok)",
            Some("a.example"),
        );
    }

    #[test]
    fn others_do_not() {
        for said in [
            "postfix/local[12]: A1B: to=<u@a.example>, relay=local, status=sent (ok)",
            "postfix/lmtp[12]: A1B: to=<u@a.example>, relay=local, status=sent (ok)",
            "postfix/smtpd[12]: A1B: to=<u@a.example>, relay=local, status=sent (ok)",
            "postfix/smtp[12]: A1B: host m said: 450 to=<u@a.example>, (in reply)",
            "postfix/smtp[12]: A1B: to=<u>, relay=m, status=sent (ok)",
            "postfix/smtp[12]: A1B: to=<u@\u{fffd}, relay=m, status=sent (ok)",
            "postfix/smtp[12]",
            "",
        ] {
            check(said, None);
        }
        assert_eq!(
            recipient_domain(b"x postfix/smtp[1]: A: to=<u@\xff.example>, relay=m, status=sent ()"),
            None
        );
    }

    fn line(domain: &str) -> String {
        format!("x postfix/smtp[9]: A1: to=<u@{domain}>, relay=a, status=sent (ok)\n")
    }

    fn looked(system: &MemorySystem, main: &str) -> Destinations {
        let facts = example::host("2.11.6", main, "").facts;
        let mut found = Destinations::default();
        look(system, &facts, &["/var/log/mail.log".into()], &mut found);
        found
    }

    #[test]
    fn the_log_that_main_cf_names_and_the_rotated_one_are_read() {
        let system = MemorySystem::new()
            .file("/var/log/mail.log", line("a.example"))
            .file(
                "/var/log/mail.log.1",
                line("b.example") + &line("USER\x1b[1m.example"),
            )
            .file("/var/log/own", line("c.example") + &line("[192.0.2.1]"));
        let found = looked(&system, "maillog_file = /var/log/own");
        let names: Vec<&str> = found.domains.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.example", "b.example", "c.example"]);
        assert_eq!(found.unread, []);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let size = usize::try_from(READ).unwrap();
        let long = line("old.example") + &"x".repeat(size - 80) + "\n" + &line("new.example");
        let system = MemorySystem::new()
            .file("/var/log/mail.log", long)
            .file("/var/log/mail.log.1", line("older.example"));
        let found = looked(&system, "");
        let names: Vec<&str> = found.domains.keys().map(String::as_str).collect();
        assert_eq!(names, ["new.example"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let found = looked(&MemorySystem::new(), "maillog_file = /dev/stdout");
        assert_eq!(found.unread[0].0, "the mail log");
        let system = MemorySystem::new().directory("/var/log/mail.log");
        let found = looked(&system, "");
        assert_eq!(
            found.unread[0],
            (
                "/var/log/mail.log".to_owned(),
                "`/var/log/mail.log` is not a regular file".to_owned()
            )
        );
    }
}
