//! DNS as it will be once the needed records are there.
//!
//! Owns the look at a zone that nobody has published yet, so that a record is judged beside
//! those it goes with: an SPF record may say `a` of a name whose addresses are only planned.
//! Must not know which records are needed.

use std::collections::BTreeMap;

use super::live::{Live, Standing};
use crate::dns::{Answer, DnsError, Name, Record, RecordType, Resolver};

/// Answers from planned sets, and from what stands in DNS where nothing is planned.
pub struct Planned<'a> {
    base: &'a dyn Resolver,
    sets: BTreeMap<(Name, RecordType), Vec<Record>>,
}

impl<'a> Planned<'a> {
    /// DNS once all changes were made. A needed record whose set could not be asked is taken for
    /// all there is.
    #[must_use]
    pub fn new(base: &'a dyn Resolver, live: &Live) -> Self {
        let mut sets: BTreeMap<(Name, RecordType), Vec<Record>> = BTreeMap::new();
        for (needed, standing) in live.iter() {
            if matches!(standing, Standing::CouldNotAsk(_)) {
                let record = needed.record.clone();
                let key = (record.owner.clone(), record.data.kind());
                sets.entry(key).or_default().push(record);
            }
        }
        for change in live.changes() {
            let key = (change.owner.clone(), change.kind);
            sets.insert(key, change.wanted.clone());
        }
        Self { base, sets }
    }
}

impl Resolver for Planned<'_> {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        match self.sets.get(&(name.clone(), kind)) {
            Some(records) if !records.is_empty() => Ok(Answer::Records(records.clone())),
            Some(_) => Ok(Answer::NoData),
            None => match self.base.lookup(name, kind)? {
                // A name that gets a record of another type exists.
                Answer::NoSuchName if self.sets.keys().any(|(owner, _)| owner == name) => {
                    Ok(Answer::NoData)
                }
                answer => Ok(answer),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, RecordData, zone};
    use crate::records::{Needed, Role};

    #[test]
    fn what_is_planned_is_seen_beside_what_stands_there() {
        let base = FixedResolver::from_zone(
            "m.example. 60 IN A 192.0.2.9\n$SERVFAIL broken.example.\nx.example. 60 IN A 192.0.2.8\n",
        )
        .unwrap();
        let needed: Vec<Needed> = zone::read(
            "m.example. 60 IN A 192.0.2.1\nnew.example. 60 IN A 192.0.2.2\n\
             broken.example. 60 IN A 192.0.2.3\n",
        )
        .unwrap()
        .into_iter()
        .map(|record| Needed::new(Role::Address, record, ""))
        .collect();
        let planned = Planned::new(&base, &Live::ask(&needed, &base));
        let addresses = |name: &str| {
            let answer = planned
                .lookup(&name.parse().unwrap(), RecordType::A)
                .unwrap();
            let data = answer.records().iter().map(|record| match record.data {
                RecordData::A(address) => address.to_string(),
                _ => panic!("only addresses were asked for"),
            });
            data.collect::<Vec<_>>()
        };
        assert_eq!(addresses("m.example"), ["192.0.2.9", "192.0.2.1"]);
        assert_eq!(addresses("new.example"), ["192.0.2.2"]);
        assert_eq!(addresses("broken.example"), ["192.0.2.3"]);
        assert_eq!(addresses("x.example"), ["192.0.2.8"]);
        let lookup = |name: &str| planned.lookup(&name.parse().unwrap(), RecordType::Txt);
        assert_eq!(lookup("new.example"), Ok(Answer::NoData));
        assert_eq!(lookup("nobody.example"), Ok(Answer::NoSuchName));
        assert!(lookup("broken.example").is_err());
    }
}
