//! JavaScript of dnscontrol: one `D()` a zone.
//!
//! Owns the calls and their strings. dnscontrol escapes and splits texts itself, so a text is one
//! string. Must not know which provider keeps the zone: `DSP` stands for it.
//! Follows dnscontrol 4, which changes of a zone marked `NO_PURGE` only the names and types that
//! are stated.

use std::fmt::Write as _;

use super::{Comments, LeftOut, RecordData, Set, WHOLE_SET, Written, Zone};

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
        let pieces: Vec<Piece> = zone
            .sets
            .iter()
            .flat_map(|set| pieces(zone, set, &mut written.left_out))
            .collect();
        let last = pieces.iter().rposition(|piece| piece.call.is_some());
        let _ = write!(
            text,
            "D({}, REG_NONE, DnsProvider(DSP), NO_PURGE",
            string(&zone.cut.zone.host())
        );
        text.push_str(if last.is_some() { ",\n" } else { "\n" });
        for (at, piece) in pieces.iter().enumerate() {
            text.push_str(&piece.comments);
            if let Some(call) = &piece.call {
                let comma = if Some(at) == last { "" } else { "," };
                let _ = writeln!(text, "  {call}{comma}");
            }
        }
        text.push_str(");\n\n");
    }
    written
}

/// Comments and the call below them, if one comes of it.
struct Piece {
    comments: String,
    call: Option<String>,
}

/// What is written of a set.
fn pieces(zone: &Zone, set: &Set, left_out: &mut Vec<LeftOut>) -> Vec<Piece> {
    let mut comments = String::new();
    INNER.say_live(&mut comments, set);
    let ours: Vec<_> = set
        .members
        .iter()
        .map(|member| (call(zone, set, &member.data), member.remark()))
        .collect();
    let is_stated = ours.iter().any(|(call, _)| call.is_ok());
    if is_stated && let Some(fault) = set.would_lose(|data| call(zone, set, data)) {
        INNER.say_left_out(&mut comments, &fault);
        left_out.push(fault);
        return vec![Piece {
            comments,
            call: None,
        }];
    }
    if is_stated && set.may_hide_others() {
        INNER.say(&mut comments, WHOLE_SET);
    }
    let others = set.kept().into_iter().filter(|_| is_stated);
    let others = others.map(|data| (call(zone, set, data), "stands there and stays".to_owned()));
    let mut pieces = Vec::new();
    for (call, remark) in ours.into_iter().chain(others) {
        let mut comments = std::mem::take(&mut comments);
        if let Err(why) = call {
            let fault = set.left_out(why);
            INNER.say_left_out(&mut comments, &fault);
            left_out.push(fault);
        } else {
            INNER.say(&mut comments, &remark);
        }
        pieces.push(Piece {
            comments,
            call: call.ok(),
        });
    }
    pieces
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
