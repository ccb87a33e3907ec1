//! Records for programs.
//!
//! Owns the fields. A text stands there twice over: `value` is one string, as people read it,
//! `data` is exact, as zone text has it, in strings of at most 255 bytes. Must not know what
//! frames the list.

use serde_json::{Value, json};

use super::{RecordData, Set, Zone, panel, zone};

/// Writes zones as one list.
#[must_use]
pub fn write(zones: &[Zone]) -> Vec<Value> {
    let mut records = Vec::new();
    for zone in zones {
        for set in &zone.sets {
            write_set(zone, set, &mut records);
        }
    }
    records
}

fn write_set(zone: &Zone, set: &Set, records: &mut Vec<Value>) {
    let present = set.live.as_ref().map(|live| {
        let members = live.members.iter();
        members.map(zone::line).collect::<Vec<_>>()
    });
    let stale: Vec<String> = set.stale().into_iter().map(zone::line).collect();
    for member in &set.members {
        let mut record = json!({
            "name": set.owner.fully_qualified(),
            "type": set.kind.to_string(),
            "ttl": set.ttl,
            "value": panel::value(&member.data),
            "data": zone::line(&member.data),
            "zone": zone.cut.zone.fully_qualified(),
            "zone_is_guess": zone.cut.is_guess,
            "why": member.why,
            "who": member.who,
            "present": present,
            "stale": stale,
        });
        if let (RecordData::Txt(text), Some(fields)) = (&member.data, record.as_object_mut()) {
            let strings = text.chunks(zone::MAX_STRING).map(panel::plain);
            fields.insert("strings".to_owned(), strings.collect());
        }
        records.push(record);
    }
}
