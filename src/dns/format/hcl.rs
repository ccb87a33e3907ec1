//! What both Terraform formats share: strings, names of resources, variables.
//!
//! Owns the escapes of HCL and names that stay the same when values change. Must not know a
//! provider.
//! Follows the specification of HCL's native syntax: `${` and `%{` begin templates.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Comments, Name, RecordData, RecordType, Zone};

pub const COMMENTS: Comments<'static> = Comments { mark: "#" };

/// A string of HCL.
///
/// `${` is written `$${`. Behind another `$`, or with nothing that closes it, that is not read
/// the same way by all; there it has no brace behind its sign.
pub fn string(text: &str) -> String {
    let mut literal = String::from("\"");
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let is_template = matches!(c, '$' | '%') && rest.starts_with('{');
        let is_usual = !matches!(last, '$' | '%') && rest.contains('}');
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            _ if is_template && is_usual => literal.extend([c, c]),
            ' '..='~' if !is_template => literal.push(c),
            _ => {
                let _ = write!(literal, "\\U{:08x}", u32::from(c));
            }
        }
        last = c;
    }
    literal.push('"');
    literal
}

/// The variable that holds the id of a zone.
pub fn zone_variable(zone: &Zone) -> String {
    format!("zone_id_{}", word(&zone.cut.zone.host()))
}

/// Declares that variable.
pub fn declare_zone(text: &mut String, zone: &Zone, keeper: &str) {
    let variable = zone_variable(zone);
    let description = string(&format!(
        "{keeper}'s id of the zone {}",
        zone.cut.zone.host()
    ));
    COMMENTS.say(text, &zone.title());
    let _ = write!(
        text,
        "variable \"{variable}\" {{\n  type        = string\n  description = {description}\n}}\n\n"
    );
}

/// Names resources; no name twice.
#[derive(Default)]
pub struct Names {
    given: BTreeSet<String>,
}

impl Names {
    /// Names the resource of a set.
    ///
    /// The type stands first, because a name must not begin with a digit.
    pub fn set(&mut self, kind: RecordType, owner: &Name) -> String {
        let kind = kind.to_string().to_ascii_lowercase();
        self.unique(&format!("{kind}_{}", word(&owner.host())))
    }

    /// Names the resource of one record, after what does not change with its value's details:
    /// a second address must not rename the first, nor a new sender the SPF record.
    pub fn record(&mut self, owner: &Name, data: &RecordData) -> String {
        let kind = data.kind().to_string().to_ascii_lowercase();
        let last = match data {
            RecordData::A(address) => Some(address.to_string()),
            RecordData::Aaaa(address) => Some(address.to_string()),
            RecordData::Mx { exchange, .. } => Some(exchange.host()),
            RecordData::Ptr(name) | RecordData::Ns(name) => Some(name.host()),
            _ => None,
        };
        let last = last
            .map(|last| format!("_{}", word(&last)))
            .unwrap_or_default();
        self.unique(&format!("{kind}_{}{last}", word(&owner.host())))
    }

    fn unique(&mut self, name: &str) -> String {
        let mut given = name.to_owned();
        let mut number = 1;
        while !self.given.insert(given.clone()) {
            number += 1;
            given = format!("{name}_{number}");
        }
        given
    }
}

/// A text in the letters of an identifier.
fn word(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_no_templates() {
        assert_eq!(
            string("a\"b\\ ${x} %{y} $x 5%"),
            r#""a\"b\\ $${x} %%{y} $x 5%""#
        );
        assert_eq!(string("$${ %${"), r#""$\U00000024{ %\U00000024{""#);
    }

    #[test]
    fn names_are_unique_and_stay() {
        let mut names = Names::default();
        let owner: Name = "mail.example.org".parse().unwrap();
        let address = RecordData::A("192.0.2.1".parse().unwrap());
        assert_eq!(
            names.record(&owner, &address),
            "a_mail_example_org_192_0_2_1"
        );
        let text = |text: &str| RecordData::Txt(text.into());
        assert_eq!(names.record(&owner, &text("a")), "txt_mail_example_org");
        assert_eq!(names.record(&owner, &text("b")), "txt_mail_example_org_2");
        let reverse = Name::reverse_of("192.0.2.1".parse().unwrap());
        assert_eq!(
            names.set(RecordType::Ptr, &reverse),
            "ptr_1_2_0_192_in-addr_arpa"
        );
    }
}
