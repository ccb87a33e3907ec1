//! YAML of octoDNS's `YamlProvider`: a file a zone, the types of a name in a list below it.
//!
//! Owns the form and what octoDNS takes amiss: `;` in a text is `\;`, keys stand in natural
//! order, targets end in a dot. Must not know the providers behind octoDNS. They do not agree on
//! what a backslash in a text is, so none is written.
//! Follows octoDNS 1 (`octodns.record.chunked`, `octodns.yaml`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Comments, RecordData, RecordType, Set, WHOLE_SET, Written, Zone, is_plain};

const COMMENTS: Comments<'static> = Comments { mark: "#" };

/// Writes zones, a YAML document each.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    COMMENTS.say(
        &mut written.text,
        "each document belongs into the file of its zone, merged with what is there: octoDNS \
         removes what its files do not name; `;` is written `\\;`, as octoDNS 1 reads it without \
         `escaped_semicolons: false`",
    );
    written.text.push('\n');
    for zone in zones {
        let title = format!(
            "{}: `{}yaml`",
            zone.title(),
            zone.cut.zone.fully_qualified()
        );
        COMMENTS.say(&mut written.text, &title);
        written.text.push_str("---\n");
        for (label, sets) in by_label(zone) {
            write_name(&label, &sets, &mut written);
        }
        written.text.push('\n');
    }
    written
}

/// The sets below their label, in the order octoDNS insists on.
fn by_label(zone: &Zone) -> Vec<(String, Vec<&Set>)> {
    let mut labels: BTreeMap<Natural, (String, Vec<&Set>)> = BTreeMap::new();
    for set in &zone.sets {
        let label = match zone.label(&set.owner) {
            apex if apex == "@" => String::new(),
            label => label,
        };
        let (_, sets) = labels
            .entry(Natural::of(&label))
            .or_insert_with(|| (label, Vec::new()));
        sets.push(set);
    }
    labels.into_values().collect()
}

fn write_name(label: &str, sets: &[&Set], written: &mut Written) {
    let mut body = String::new();
    for set in sets {
        write_set(set, &mut body, &mut written.left_out);
    }
    // A name without anything below it is no valid YAML for octoDNS.
    if body.contains("- ttl:") {
        let _ = writeln!(written.text, "{}:", quoted(label));
    }
    written.text.push_str(&body);
}

fn write_set(set: &Set, body: &mut String, left_out: &mut Vec<super::LeftOut>) {
    let mut remarks = String::new();
    let comments = Comments { mark: "  #" };
    comments.say_live(&mut remarks, set);
    let mut values = Vec::new();
    for member in &set.members {
        match value(&member.data) {
            Ok(value) => {
                comments.say(&mut remarks, &member.remark());
                values.push(value);
            }
            Err(why) => {
                let fault = set.left_out(why);
                comments.say_left_out(&mut remarks, &fault);
                left_out.push(fault);
            }
        }
    }
    let is_ours = !values.is_empty();
    if is_ours && let Some(fault) = set.would_lose(value) {
        comments.say_left_out(body, &fault);
        left_out.push(fault);
        return;
    }
    let kept = set.kept().into_iter().filter(|_| is_ours);
    values.extend(kept.filter_map(|data| value(data).ok()));
    if is_ours && set.may_hide_others() {
        comments.say(&mut remarks, WHOLE_SET);
    }
    body.push_str(&remarks);
    if !is_ours {
        return;
    }
    let _ = writeln!(body, "  - ttl: {}\n    type: {}", set.ttl, set.kind);
    // octoDNS knows one value of a CNAME only.
    if let (RecordType::Cname, [one]) = (set.kind, values.as_slice()) {
        let _ = writeln!(body, "    value: {one}");
        return;
    }
    body.push_str("    values:\n");
    for value in values {
        let _ = writeln!(body, "      - {value}");
    }
}

/// A value, or why octoDNS cannot hold it.
fn value(data: &RecordData) -> Result<String, &'static str> {
    Ok(match data {
        RecordData::A(address) => address.to_string(),
        RecordData::Aaaa(address) => quoted(&address.to_string()),
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
            quoted(&name.fully_qualified())
        }
        RecordData::Mx {
            preference,
            exchange,
        } => format!(
            "exchange: {}\n        preference: {preference}",
            quoted(&exchange.fully_qualified())
        ),
        RecordData::Txt(text) => quoted(&escaped(text)?),
        RecordData::Soa(_) | RecordData::Other { .. } => {
            return Err("octoDNS has no such records in its files");
        }
    })
}

/// A text as octoDNS keeps it.
fn escaped(text: &[u8]) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("octoDNS takes no empty text");
    }
    if !is_plain(text) {
        return Err("octoDNS takes printable ASCII only");
    }
    if text.contains(&b'\\') {
        return Err("octoDNS's providers do not agree on what a backslash is");
    }
    let text = String::from_utf8_lossy(text);
    if text.contains("\" \"") {
        return Err("octoDNS takes `\" \"` for the end of one string and the begin of another");
    }
    let escaped = text.replace(';', "\\;");
    // It takes off the quotes around a text that begins with one.
    Ok(if escaped.starts_with('"') {
        format!("\"{escaped}\"")
    } else {
        escaped
    })
}

/// A string of YAML; within single quotes nothing but the quote itself means anything.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A key in natural order: runs of digits count as numbers, other runs as text, by turns, text
/// first (natsort's default).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Natural {
    runs: Vec<Run>,
    /// Keys that are equal otherwise still are two.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    Text(String),
    /// Digits without leading zeros; the longer number is the greater one.
    Number(usize, String),
}

impl Natural {
    fn of(text: &str) -> Self {
        let mut runs = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let is_number = runs.len() % 2 == 1;
            let end = rest.find(|c: char| c.is_ascii_digit() != is_number);
            let (run, tail) = rest.split_at(end.unwrap_or(rest.len()));
            rest = tail;
            runs.push(if is_number {
                let digits = run.trim_start_matches('0').to_owned();
                Run::Number(digits.len(), digits)
            } else {
                Run::Text(run.to_owned())
            });
        }
        Self {
            runs,
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_keys_count_as_numbers() {
        let mut keys = ["mail10", "25", "", "mail2", "_dmarc", "3.x", "mail", "100"];
        keys.sort_by_key(|key| Natural::of(key));
        assert_eq!(
            keys,
            ["", "3.x", "25", "100", "_dmarc", "mail", "mail2", "mail10"]
        );
    }

    #[test]
    fn texts_are_escaped_or_refused() {
        let check = |text: &str, expected: &str| {
            assert_eq!(escaped(text.as_bytes()).unwrap(), expected);
        };
        check("v=DKIM1; p=x", "v=DKIM1\\; p=x");
        check("say \"x\"", "say \"x\"");
        check("\"x\" y", "\"\"x\" y\"");
        for bad in ["", "\u{fc}", "a\\b", "a\" \"b", "a\nb"] {
            assert!(escaped(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
