//! Terraform for Route 53: one `aws_route53_record` a set.
//!
//! Owns the resource and its texts. The provider puts the outer quotes around a TXT value itself,
//! so further strings of it begin with `""` inside; Route 53 writes bytes in octal. Must not know
//! the ids of zones; each is a variable.

use std::fmt::Write as _;

use super::hcl::{COMMENTS, Names, declare_zone, string, zone_variable};
use super::{RecordData, Set, WHOLE_SET, Written, Zone, zone};

/// Most characters of a TXT value that Route 53 takes.
const MAX_VALUE: usize = 4000;

/// Writes zones.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    let mut names = Names::default();
    COMMENTS.say(
        &mut written.text,
        "for the provider `hashicorp/aws`; a set that stands there already is taken over by \
         `terraform import`",
    );
    written.text.push('\n');
    for zone in zones {
        declare_zone(&mut written.text, zone, "Route 53");
        for set in &zone.sets {
            write_set(zone, set, &mut names, &mut written);
        }
    }
    written
}

fn write_set(zone: &Zone, set: &Set, names: &mut Names, written: &mut Written) {
    let text = &mut written.text;
    COMMENTS.say_live(text, set);
    let mut values = Vec::new();
    for member in &set.members {
        match value(&member.data) {
            Ok(value) => {
                COMMENTS.say(text, &member.remark());
                values.push(value);
            }
            Err(why) => {
                let fault = set.left_out(why);
                COMMENTS.say_left_out(text, &fault);
                written.left_out.push(fault);
            }
        }
    }
    if values.is_empty() {
        return;
    }
    if let Some(fault) = set.would_lose(value) {
        COMMENTS.say_left_out(text, &fault);
        written.left_out.push(fault);
        return;
    }
    values.extend(set.kept().into_iter().filter_map(|data| value(data).ok()));
    if set.may_hide_others() {
        COMMENTS.say(text, WHOLE_SET);
    }
    let _ = write!(
        text,
        "resource \"aws_route53_record\" \"{}\" {{\n  zone_id = var.{}\n  name    = {}\n  \
         type    = \"{}\"\n  ttl     = {}\n  records = [\n",
        names.set(set.kind, &set.owner),
        zone_variable(zone),
        string(&set.owner.host()),
        set.kind,
        set.ttl,
    );
    for value in values {
        let _ = writeln!(text, "    {},", string(&value));
    }
    text.push_str("  ]\n}\n\n");
}

fn value(data: &RecordData) -> Result<String, &'static str> {
    match data {
        RecordData::Txt(text) => {
            let strings: Vec<String> = text.chunks(zone::MAX_STRING).map(escaped).collect();
            let value = strings.join("\"\"");
            if value.len() + 2 > MAX_VALUE {
                return Err("Route 53 takes values up to 4000 characters");
            }
            Ok(value)
        }
        RecordData::Soa(_) | RecordData::Other { .. } => {
            Err("Route 53 gets no such records from here")
        }
        other => Ok(zone::line(other)),
    }
}

/// One string without its quotes.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}
