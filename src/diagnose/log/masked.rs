//! What a log comes to, with nobody's address left in it.
//!
//! Owns which fields hold addresses. How they are masked is [`mask`](crate::mask)'s.

use super::group::{Group, Report};
use crate::mask::Mask;
use crate::postfix::log::{Event, Line};

impl Report {
    /// Masks all of it.
    pub fn mask(&mut self, mask: &mut Mask) {
        for group in &mut self.groups {
            group.mask(mask);
        }
        for one in &mut self.bounced {
            one.reply = mask.text_about(&one.reply, &[&one.address]);
            one.address = mask.address(&one.address);
        }
    }
}

impl Group {
    /// Masks the line and the words of it.
    pub fn mask(&mut self, mask: &mut Mask) {
        let about = recipients(&self.line);
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        self.words = mask.text_about(&self.words, &about);
        self.line = mask.text_about(&self.line, &about);
    }
}

/// Whom a line is about.
fn recipients(line: &str) -> Vec<String> {
    let parsed = Line::parse(line.as_bytes()).unwrap_or_else(|| Line::bare(line.as_bytes()));
    let Event::Delivery(delivery) = parsed.record().event else {
        return Vec::new();
    };
    let all = std::iter::once(delivery.to).chain(delivery.orig_to);
    all.map(|address| String::from_utf8_lossy(address).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Knowledge;
    use crate::diagnose::log::{Options, Reading};
    use crate::stats::LastDay;

    #[test]
    fn nobodys_address_is_left() {
        let knowledge = Knowledge::built_in();
        let options = Options {
            recipients: true,
            ..Options::default()
        };
        let mut reading = Reading::new(&knowledge, options);
        let line = "2026-03-03T10:00:00+00:00 m postfix/smtp[9]: A1B2C3D4E5: to=<joe.doe@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 joe.doe: no such user (in reply to RCPT TO command))\n";
        reading.feed(line.as_bytes(), LastDay::of(0));
        let mut report = reading.report();
        assert_eq!(report.groups.len(), 1);
        assert!(report.groups[0].line.contains("joe.doe"));
        report.mask(&mut Mask::new());
        let group = &report.groups[0];
        assert!(
            group.line.contains("to=<user1@example.org>"),
            "{}",
            group.line
        );
        assert!(
            group.words.contains("user1: no such user"),
            "{}",
            group.words
        );
        assert_eq!(report.bounced[0].address, "user1@example.org");
        assert!(!format!("{report:?}").contains("joe"), "{report:?}");
    }
}
