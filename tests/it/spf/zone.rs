//! A zone as data, which Python and Rust read alike.

use std::collections::BTreeMap;

use mailfix::dns::{Answer, DnsError, Name, Record, RecordData, RecordType};
use serde_json::{Value, json};

/// What stands at each name: type and value. `TIMEOUT` as type makes lookups of all types that
/// do not stand there fail.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    names: BTreeMap<String, Entries>,
    /// The same by what is asked for.
    by_name: BTreeMap<Name, Entries>,
}

type Entries = Vec<(String, Value)>;

impl Zone {
    pub fn add(&mut self, name: &str, kind: &str, value: impl Into<Value>) {
        let entry = (kind.to_owned(), value.into());
        if let Some(asked) = name_of(name) {
            self.by_name.entry(asked).or_default().push(entry.clone());
        }
        self.names.entry(name.to_owned()).or_default().push(entry);
    }

    pub fn from_json(value: &Value) -> Self {
        let mut zone = Self::default();
        for (name, entries) in value.as_object().unwrap() {
            for entry in entries.as_array().unwrap() {
                zone.add(name, entry[0].as_str().unwrap(), entry[1].clone());
            }
        }
        zone
    }

    pub fn to_json(&self) -> Value {
        json!(self.names)
    }

    pub fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub fn has(&self, name: &str, kind: &str) -> bool {
        let entries = self.names.get(name);
        entries.is_some_and(|entries| entries.iter().any(|(written, _)| written == kind))
    }

    /// Answers as a resolver would that follows aliases.
    pub fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let timeout = || DnsError::Timeout {
            name: name.clone(),
            kind,
            server: "the zone".to_owned(),
        };
        let mut owner = name.clone();
        for _ in 0..10 {
            let entries = self.by_name.get(&owner).map_or(&[][..], Vec::as_slice);
            let found: Vec<Record> = entries
                .iter()
                .filter_map(|(written, value)| data(written, value))
                .filter(|data| data.kind() == kind)
                .map(|data| Record {
                    owner: owner.clone(),
                    ttl: 60,
                    data,
                })
                .collect();
            if !found.is_empty() {
                return Ok(Answer::Records(found));
            }
            let written = |wanted: &str| entries.iter().find(|(kind, _)| kind == wanted);
            if written("TIMEOUT").is_some() {
                return Err(timeout());
            }
            match written("CNAME") {
                Some((_, target)) => owner = name_of(target.as_str().unwrap()).unwrap(),
                None if entries.is_empty() => return Ok(Answer::NoSuchName),
                None => return Ok(Answer::NoData),
            }
        }
        // An alias that leads round in a circle.
        Err(timeout())
    }
}

/// Reads a name of which every character but the dot stands for itself.
pub fn name_of(text: &str) -> Option<Name> {
    if text.is_empty() {
        return Some(Name::root());
    }
    Name::from_labels(text.strip_suffix('.').unwrap_or(text).split('.')).ok()
}

fn data(kind: &str, value: &Value) -> Option<RecordData> {
    let text = || value.as_str().unwrap();
    let name = |value: &Value| name_of(value.as_str().unwrap()).unwrap();
    Some(match kind {
        "A" => RecordData::A(text().parse().unwrap()),
        "AAAA" => RecordData::Aaaa(text().parse().unwrap()),
        "PTR" => RecordData::Ptr(name(value)),
        "TXT" => RecordData::Txt(text().into()),
        "MX" => RecordData::Mx {
            preference: u16::try_from(value[0].as_u64().unwrap()).unwrap(),
            exchange: name(&value[1]),
        },
        "CNAME" | "TIMEOUT" => return None,
        other => panic!("a zone knows no {other}"),
    })
}
