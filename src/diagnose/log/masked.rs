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
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::diagnose::Knowledge;
    use crate::diagnose::log::{Options, Reading};
    use crate::stats::LastDay;

    static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(Knowledge::built_in);

    #[test]
    fn nobodys_address_is_left() {
        let knowledge = &*KNOWLEDGE;
        let options = Options {
            recipients: true,
            ..Options::default()
        };
        let mut reading = Reading::new(knowledge, options);
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

    /// A name that no text of ours holds, in the ways people and programs write them.
    fn name() -> impl Strategy<Value = String> {
        let plain = "zq[a-z0-9]{2,8}";
        prop_oneof![
            plain.prop_map(|name| name),
            ("zq[a-z]{2,6}", "[.+_-]", plain).prop_map(|(one, sign, two)| one + &sign + &two),
            plain.prop_map(|name| name.to_uppercase()),
            ("zq[a-z]{2,6}", "zq[a-z]{2,6}").prop_map(|(one, two)| format!("{one}={two}")),
            "zq[äöüé]{1,3}[a-z]{2}".prop_map(|name| name),
        ]
    }

    /// A reply that tells of a mailbox.
    fn reply(form: usize, name: &str, domain: &str) -> String {
        match form {
            0 => format!("550 5.1.1 <{name}@{domain}>: Recipient address rejected: User unknown"),
            1 => format!("550 5.1.1 No such user '{name}' here"),
            2 => format!("552 5.2.2 {name}: mailbox full"),
            3 => format!("554 5.7.1 {name}@{domain} is not taking mail from [192.0.2.1]"),
            4 => format!("550 5.7.1 bounces+{name}={domain}@lists.example refused"),
            5 => format!(
                "450 4.2.0 <{name}@{domain}>: greylisted, http://x.example/?to={name}%40{domain}"
            ),
            6 => format!("550 5.9.9 nobody has ever heard of mailto:{name}@{domain}?subject=x"),
            _ => format!("421 4.7.0 try again, \"{name}\"@{domain} is busy"),
        }
    }

    proptest! {
        #[test]
        fn no_name_is_left_whatever_the_replies_say(
            lines in proptest::collection::vec((name(), 0_usize..8, 0_usize..3), 1..12),
        ) {
            let knowledge = &*KNOWLEDGE;
            let options = Options {
                recipients: true,
                ..Options::default()
            };
            let mut reading = Reading::new(knowledge, options);
            for (number, (name, form, kind)) in lines.iter().enumerate() {
                let domain = ["example.org", "gmail.com", "xn--maana-pta.example"][number % 3];
                let reply = reply(*form, name, domain);
                let status = if *kind == 0 { "deferred" } else { "bounced" };
                let orig = if *kind == 2 { format!(" orig_to=<{name}>,") } else { String::new() };
                let host = format!("mx.{domain}[192.0.2.9]");
                let line = format!(
                    "2026-03-03T10:00:00+00:00 m postfix/smtp[9]: A1B2C3D{number:X}: to=<{name}@{domain}>,{orig} relay={host}:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status={status} (host {host} said: {reply} (in reply to RCPT TO command))\n"
                );
                reading.feed(line.as_bytes(), LastDay::of(0));
            }
            let mut report = reading.report();
            report.mask(&mut Mask::new());
            let shown: Vec<String> = report
                .groups
                .iter()
                .map(|group| format!("{:?}", group.finding(knowledge)))
                .collect();
            let all = format!("{report:?}{shown:?}").to_lowercase();
            prop_assert!(!all.contains("zq"), "{}", all);
        }
    }
}
