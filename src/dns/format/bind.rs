//! Zone text as BIND reads it, with a comment above each record.
//!
//! Owns the arrangement; the syntax is [`crate::dns::zone`]'s. Must not know where the text is
//! included: every owner is written in full.

use super::{Comments, Written, Zone, zone};

const COMMENTS: Comments<'static> = Comments { mark: ";" };

/// Writes zones.
#[must_use]
pub fn write(zones: &[Zone]) -> Written {
    let mut written = Written::default();
    let text = &mut written.text;
    for zone in zones {
        COMMENTS.say(text, &zone.title());
        text.push('\n');
        for set in &zone.sets {
            COMMENTS.say_live(text, set);
            for (member, record) in set.members.iter().zip(set.records()) {
                COMMENTS.say(text, &member.remark());
                text.push_str(&zone::write(&[record]));
                text.push('\n');
            }
        }
    }
    written
}
