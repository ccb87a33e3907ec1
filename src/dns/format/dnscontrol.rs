//! JavaScript of dnscontrol: one `D()` a zone.
//!
//! Owns the calls and their strings. dnscontrol escapes and splits texts itself, so a text is one
//! string. Must not know which provider keeps the zone: `DSP` stands for it.
//! Follows dnscontrol 4, which changes of a zone marked `NO_PURGE` only the names and types that
//! are stated.

use std::fmt::Write as _;

use super::{Comments, RecordData, Set, WHOLE_SET, Written, Zone};

const COMMENTS: Comments<'static> = Comments { mark: "//" };
const INNER: Comments<'static> = Comments { mark: "  //" };

/// Writes zones.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    let text = &mut written.text;
    COMMENTS.say(
        text,
        "`REG_NONE` leaves the registration alone; put the name that your `creds.json` gives the \
         provider in place of \"bind\".",
    );
    text.push_str(
        "var REG_NONE = NewRegistrar(\"none\");\nvar DSP = NewDnsProvider(\"bind\");\n\n",
    );
    for zone in zones {
        COMMENTS.say(text, &zone.title());
        COMMENTS.say(
            text,
            "`NO_PURGE` keeps the records of all other names and types.",
        );
        let _ = write!(
            text,
            "D({}, REG_NONE, DnsProvider(DSP), NO_PURGE",
            string(&zone.cut.zone.host())
        );
        for set in &zone.sets {
            write_set(zone, set, text, &mut written.left_out);
        }
        text.push_str("\n);\n\n");
    }
    written
}

/// A comma stands before a call, not behind it: the last may be a record that is left out.
fn write_set(zone: &Zone, set: &Set, text: &mut String, left_out: &mut Vec<super::LeftOut>) {
    let mut remarks = String::new();
    let mut calls = String::new();
    INNER.say_live(&mut remarks, set);
    let ours = set
        .members
        .iter()
        .map(|member| (&member.data, Some(member)));
    let others = set.kept().into_iter().map(|data| (data, None));
    let mut is_ours = false;
    for (data, member) in ours.chain(others) {
        let remark = match member {
            Some(member) => member.remark(),
            None if !is_ours => continue,
            None => "stands there and stays".to_owned(),
        };
        match call(zone, set, data) {
            Ok(call) => {
                is_ours = true;
                let mut comment = String::new();
                INNER.say(&mut comment, &remark);
                let _ = write!(calls, ",\n{comment}  {call}");
            }
            Err(why) => {
                let fault = set.left_out(why);
                INNER.say_left_out(&mut remarks, &fault);
                left_out.push(fault);
            }
        }
    }
    if is_ours && set.may_hide_others() {
        INNER.say(&mut remarks, WHOLE_SET);
    }
    // The comma of the first call ends the line before the remarks.
    let remarks = remarks.trim_end_matches('\n');
    match (remarks.is_empty(), calls.strip_prefix(',')) {
        (true, _) => text.push_str(&calls),
        (false, Some(calls)) => {
            let _ = write!(text, ",\n{remarks}{calls}");
        }
        (false, None) => {
            let _ = write!(text, "\n{remarks}");
        }
    }
}

fn call(zone: &Zone, set: &Set, data: &RecordData) -> Result<String, &'static str> {
    let label = string(&zone.label(&set.owner));
    let arguments = match data {
        RecordData::A(address) => string(&address.to_string()),
        RecordData::Aaaa(address) => string(&address.to_string()),
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
            string(&name.fully_qualified())
        }
        RecordData::Mx {
            preference,
            exchange,
        } => format!("{preference}, {}", string(&exchange.fully_qualified())),
        RecordData::Txt(text) => string(
            std::str::from_utf8(text).map_err(|_| "a string of JavaScript holds no such bytes")?,
        ),
        RecordData::Soa(_) | RecordData::Other { .. } => {
            return Err("dnscontrol gets no such records from here");
        }
    };
    Ok(format!(
        "{}({label}, {arguments}, TTL({}))",
        set.kind, set.ttl
    ))
}

/// A string of JavaScript, in ASCII: older engines end a line at U+2028.
fn string(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            ' '..='~' => literal.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(literal, "\\u{unit:04x}");
                }
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_ascii() {
        assert_eq!(string("a \"b\" \\ c"), r#""a \"b\" \\ c""#);
        assert_eq!(
            string("\u{fc}\u{2028}\u{1f4e7}\n"),
            r#""\u00fc\u2028\ud83d\udce7\u000a""#
        );
    }
}
