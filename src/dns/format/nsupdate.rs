//! Commands of `nsupdate`, one `send` a zone.
//!
//! Owns which records an update removes. Where it is known what stands there, the update demands
//! that it still does, and removes nothing but what is replaced. Where it is not, records are only
//! added: others' may stand at the same name; a name that leads somewhere, only where none does.
//! Must not know keys.
//! Follows RFC 2136 and nsupdate(1).

use std::fmt::Write as _;

use crate::dns::update::{ServerHost, ServerName};

use super::{Comments, LeftOut, RecordType, Set, Written, Zone, zone};

const COMMENTS: Comments<'static> = Comments { mark: ";" };

/// Writes zones. `server` takes the updates.
#[must_use]
pub fn write(zones: &[Zone], server: Option<&ServerName>) -> Written {
    let mut written = Written::default();
    let text = &mut written.text;
    COMMENTS.say(
        text,
        "feed this to `nsupdate -k KEYFILE`; a zone is changed whole or not at all",
    );
    if let Some(server) = server {
        let host = match &server.host {
            ServerHost::Address(address) => address.to_string(),
            ServerHost::Name(name) => name.fully_qualified(),
        };
        let _ = writeln!(text, "server {host} {}", server.port);
    } else {
        COMMENTS.say(
            text,
            "without a line `server ADDRESS` here, the primary server of each zone is asked",
        );
    }
    for zone in zones {
        text.push('\n');
        COMMENTS.say(text, &zone.title());
        let mut body = String::new();
        let mut is_change = false;
        for set in &zone.sets {
            is_change |= write_set(set, &mut body, &mut written.left_out);
        }
        if is_change {
            // Left to itself, nsupdate finds out where the zone begins.
            let mark = if zone.cut.is_guess { "; " } else { "" };
            let _ = writeln!(text, "{mark}zone {}", zone.cut.zone.fully_qualified());
        }
        text.push_str(&body);
        if is_change {
            text.push_str("send\n");
        }
    }
    written
}

/// Writes the commands for one set; tells whether there are any.
fn write_set(set: &Set, text: &mut String, left_out: &mut Vec<LeftOut>) -> bool {
    for member in &set.members {
        COMMENTS.say(text, &member.remark());
    }
    if set.live.as_ref().is_some_and(|live| live.alias.is_some()) {
        COMMENTS.say_live(text, set);
        left_out.push(set.left_out("an alias stands at its name"));
        return false;
    }
    let owner = set.owner.fully_qualified();
    let kind = set.kind;
    let live = set.live.as_ref();
    let is_live = |data| live.is_some_and(|live| live.members.contains(data));
    let members = set.members.iter().map(|member| &member.data);
    let missing: Vec<_> = members.filter(|data| !is_live(*data)).collect();
    let stale = set.stale();
    if live.is_some() && missing.is_empty() && stale.is_empty() {
        COMMENTS.say(text, "stands there already");
        return false;
    }
    if let Some(live) = live {
        if live.members.is_empty() {
            let _ = writeln!(text, "prereq nxrrset {owner} {kind}");
        }
        for data in &live.members {
            let _ = writeln!(text, "prereq yxrrset {owner} {kind} {}", zone::line(data));
        }
        for data in stale {
            let _ = writeln!(text, "update delete {owner} {kind} {}", zone::line(data));
        }
    } else if matches!(kind, RecordType::Ptr | RecordType::Cname) {
        // A second one beside it would be no good, and the one there may be right.
        COMMENTS.say(
            text,
            &format!(
                "what stands there is not known: if it is a {kind} record, nothing of this zone is \
                 changed"
            ),
        );
        let _ = writeln!(text, "prereq nxrrset {owner} {kind}");
    } else {
        // Others' texts and addresses may stand in the same set.
        COMMENTS.say(
            text,
            "what stands there is not known, so nothing is removed",
        );
    }
    for data in missing {
        let ttl = set.ttl;
        let _ = writeln!(text, "update add {owner} {ttl} {kind} {}", zone::line(data));
    }
    true
}
