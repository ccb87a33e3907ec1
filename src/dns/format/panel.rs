//! Records for web panels: plain values to be copied into a form.
//!
//! Owns the plain form. Must not know any panel by name: the host part and the
//! full name both stand there, because panels differ in which they want.

use std::fmt::Write as _;

use super::{Comments, Written, Zone};
use crate::dns::{Name, Record, RecordData, zone};

/// No comment needs a mark here: people read this, no program.
const COMMENTS: Comments<'static> = Comments { mark: "" };

/// Writes zones.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    let text = &mut written.text;
    for zone in zones {
        let mut title = String::new();
        COMMENTS.say(&mut title, &zone.title());
        let _ = writeln!(text, "{title}");
        for set in &zone.sets {
            for (member, record) in set.members.iter().zip(set.records()) {
                COMMENTS.say(text, &member.remark());
                text.push_str(&form(&record, &zone.cut.zone));
                COMMENTS.say_live(text, set);
                text.push('\n');
            }
        }
    }
    written
}

/// Writes one record as a small form.
///
/// Names, type and TTL keep to 80 columns. The value stays on one line whatever its length,
/// for a line broken here would be copied broken. `zone` is the zone the panel edits.
#[must_use]
pub fn form(record: &Record, zone: &Name) -> String {
    let mut text = String::new();
    let mut line = |label: &str, content: &str| {
        writeln!(text, "{label:<6} {content}").expect("a string takes any text");
    };
    line("Type", &record.data.kind().to_string());
    if let Some(host) = record.owner.host_in(zone) {
        line("Host", &host);
    }
    line("Name", &record.owner.host());
    match &record.data {
        RecordData::Mx {
            preference,
            exchange,
        } => {
            line("Prio", &preference.to_string());
            line("Value", &exchange.host());
        }
        other => line("Value", &value(other)),
    }
    line("TTL", &record.ttl.to_string());
    if let RecordData::Txt(long) = &record.data
        && long.len() > zone::MAX_STRING
    {
        line("Split", &zone::line(&record.data));
        text.push_str("       only where the panel refuses the value in one piece\n");
    }
    text
}

/// Writes a value without quotes or final dots.
///
/// Bytes that a terminal would act on are escaped, as in zone text.
#[must_use]
pub fn value(data: &RecordData) -> String {
    match data {
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => name.host(),
        RecordData::Mx {
            preference,
            exchange,
        } => format!("{preference} {}", exchange.host()),
        RecordData::Txt(text) => plain(text),
        other => zone::line(other),
    }
}

/// A text with the bytes escaped that a terminal would act on.
pub(super) fn plain(text: &[u8]) -> String {
    let mut plain = String::new();
    for &byte in text {
        if matches!(byte, b' '..=b'~') {
            plain.push(char::from(byte));
        } else {
            write!(plain, "\\{byte:03}").expect("a string takes any text");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(owner: &str, data: RecordData, expected: &str) {
        let record = Record {
            owner: owner.parse().unwrap(),
            ttl: 300,
            data,
        };
        assert_eq!(form(&record, &"example.org".parse().unwrap()), expected);
    }

    #[test]
    fn forms() {
        check(
            "s1._domainkey.example.org",
            RecordData::Txt(b"v=DKIM1; p=\"x\"".to_vec()),
            "Type   TXT\nHost   s1._domainkey\nName   s1._domainkey.example.org\n\
             Value  v=DKIM1; p=\"x\"\nTTL    300\n",
        );
        check(
            "example.org",
            RecordData::Mx {
                preference: 10,
                exchange: "mail.example.org".parse().unwrap(),
            },
            "Type   MX\nHost   @\nName   example.org\nPrio   10\nValue  mail.example.org\n\
             TTL    300\n",
        );
        check(
            "1.2.0.192.in-addr.arpa",
            RecordData::Ptr("mail.example.org".parse().unwrap()),
            "Type   PTR\nName   1.2.0.192.in-addr.arpa\nValue  mail.example.org\nTTL    300\n",
        );
    }

    #[test]
    fn values_cannot_steer_a_terminal() {
        assert_eq!(value(&RecordData::Txt(b"a\x1b[31m".to_vec())), "a\\027[31m");
    }
}
