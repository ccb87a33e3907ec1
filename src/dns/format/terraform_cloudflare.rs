//! Terraform for Cloudflare: one `cloudflare_dns_record` a record.
//!
//! Owns the resource as version 5 of the provider has it: the value is `content`, that of a TXT
//! record in quoted strings (RFC 1035, 5.1), and no record is proxied: the proxy takes no mail.
//! Must not know the ids of zones; each is a variable.

use std::fmt::Write as _;

use super::hcl::{COMMENTS, Names, declare_zone, string, zone_variable};
use super::{RecordData, Set, Written, Zone, zone};

/// Writes zones.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    let mut names = Names::default();
    COMMENTS.say(
        &mut written.text,
        "for version 5 of the provider `cloudflare/cloudflare`; what stands there already is \
         taken over by `terraform import`, what is shown as standing now has to go",
    );
    written.text.push('\n');
    for zone in zones {
        declare_zone(&mut written.text, zone, "Cloudflare");
        for set in &zone.sets {
            write_set(zone, set, &mut names, &mut written);
        }
    }
    written
}

fn write_set(zone: &Zone, set: &Set, names: &mut Names, written: &mut Written) {
    let text = &mut written.text;
    COMMENTS.say_live(text, set);
    for member in &set.members {
        let Some((content, preference)) = content(&member.data) else {
            let fault = set.left_out("Cloudflare wants such a record in parts");
            COMMENTS.say_left_out(text, &fault);
            written.left_out.push(fault);
            continue;
        };
        COMMENTS.say(text, &member.remark());
        let name = names.record(&set.owner, &member.data);
        let _ = write!(
            text,
            "resource \"cloudflare_dns_record\" \"{name}\" {{\n  zone_id  = var.{}\n  \
             name     = {}\n  type     = \"{}\"\n  content  = {}\n",
            zone_variable(zone),
            string(&set.owner.host()),
            set.kind,
            string(&content),
        );
        if let Some(preference) = preference {
            let _ = writeln!(text, "  priority = {preference}");
        }
        let _ = write!(text, "  ttl      = {}\n  proxied  = false\n}}\n\n", set.ttl);
    }
}

/// The value without what has a field of its own, and that.
fn content(data: &RecordData) -> Option<(String, Option<u16>)> {
    Some(match data {
        RecordData::Ptr(name) | RecordData::Cname(name) | RecordData::Ns(name) => {
            (name.host(), None)
        }
        RecordData::Mx {
            preference,
            exchange,
        } => (exchange.host(), Some(*preference)),
        RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Txt(_) => (zone::line(data), None),
        RecordData::Soa(_) | RecordData::Other { .. } => return None,
    })
}
