//! The needed records beside what stands in DNS.
//!
//! Owns the comparison, set by set: a DNS server changes whole sets (the records of one type at
//! one name), and what stands in a set beside ours stays in it. What could not be asked is never
//! "missing". Must not know how a change gets to the server.
//! Follows RFC 2181, 5; RFC 1034, 3.6.2; RFC 2317.

use std::collections::BTreeMap;

use super::{AT_ONCE, Needed, Role};
use crate::dns::{Answer, DnsError, Name, Record, RecordData, RecordType, Resolver, side_by_side};

/// How many aliases are followed to the set they stand for.
const MOST_ALIASES: usize = 8;

/// How a needed record stands in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, or one that says the same.
    Present,
    /// It is not there.
    Missing,
    /// Something else stands in its place.
    Wrong {
        /// What it replaces, or the alias that is in its way.
        present: Vec<Record>,
    },
    /// Nobody could say.
    CouldNotAsk(DnsError),
}

/// One set that has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrsetChange {
    /// Where the set stands; an alias of a reverse name (RFC 2317) is followed.
    pub owner: Name,
    /// The type of its records.
    pub kind: RecordType,
    /// The whole set as it stands; empty where there is none.
    pub present: Vec<Record>,
    /// The whole set as it must be; what is not ours stays in it.
    pub wanted: Vec<Record>,
    /// Why, a line each.
    pub why: String,
}

/// A set that cannot be made because an alias stands at its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The alias.
    pub alias: Record,
    /// The type of the set.
    pub kind: RecordType,
    /// The records that are wanted there.
    pub wanted: Vec<Record>,
}

/// One set that needed records belong to, whether or not it has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it stands; an alias of a reverse name (RFC 2317) is followed.
    pub place: Name,
    /// All that stands there.
    pub present: Vec<Record>,
    /// Those of it that needed records take the place of.
    pub replaced: Vec<Record>,
    /// The alias that leaves no room for a set at the name.
    pub alias: Option<Record>,
}

/// Needed records and what was found of them.
#[derive(Clone, Debug, Default)]
pub struct Live {
    asked: BTreeMap<(Name, RecordType), Asked>,
    compared: Vec<(Needed, Standing)>,
    changes: Vec<RrsetChange>,
    blocked: Vec<Blocked>,
    failures: Vec<DnsError>,
}

/// What stands at a name.
struct Found {
    /// Where it stands: the name asked for, or where its aliases lead.
    place: Name,
    /// The set.
    records: Vec<Record>,
    /// The alias at the name asked for.
    alias: Option<Record>,
}

impl Live {
    /// Asks for every set that a needed record belongs to; their order stays.
    #[must_use]
    pub fn ask(needed: &[Needed], resolver: &dyn Resolver) -> Self {
        let mut sets: BTreeMap<(Name, RecordType), Vec<usize>> = BTreeMap::new();
        let mut order = Vec::new();
        for (index, one) in needed.iter().enumerate() {
            let key = (one.record.owner.clone(), one.record.data.kind());
            let members = sets.entry(key.clone()).or_default();
            if members.is_empty() {
                order.push(key);
            }
            members.push(index);
        }
        let answers = side_by_side(&order, AT_ONCE, |(owner, kind)| {
            find(owner, *kind, resolver)
        });
        let mut live = Self {
            compared: needed
                .iter()
                .map(|one| (one.clone(), Standing::Missing))
                .collect(),
            ..Self::default()
        };
        for (key, answer) in order.iter().zip(answers) {
            if let Some(members) = sets.get(key) {
                live.compare(&key.0, key.1, members, answer);
            }
        }
        live
    }

    /// Every needed record and how it stands.
    pub fn iter(&self) -> impl Iterator<Item = (&Needed, &Standing)> {
        self.compared
            .iter()
            .map(|(needed, standing)| (needed, standing))
    }

    /// The needed records that DNS lacks or has wrong, with what stands there.
    #[must_use]
    pub fn missing(&self) -> Vec<Needed> {
        let lacking = self
            .compared
            .iter()
            .filter(|(_, standing)| matches!(standing, Standing::Missing | Standing::Wrong { .. }));
        lacking.map(|(needed, _)| needed.clone()).collect()
    }

    /// The set a needed record belongs to; `None` when it could not be asked.
    #[must_use]
    pub fn asked(&self, record: &Record) -> Option<&Asked> {
        self.asked.get(&(record.owner.clone(), record.data.kind()))
    }

    /// The sets that have to change, in the order of their records.
    #[must_use]
    pub fn changes(&self) -> &[RrsetChange] {
        &self.changes
    }

    /// The sets whose name is an alias that leads to something else. Nothing may stand beside an
    /// alias, and what it is good for only its owner knows.
    #[must_use]
    pub fn blocked(&self) -> &[Blocked] {
        &self.blocked
    }

    /// What could not be asked.
    #[must_use]
    pub fn failures(&self) -> &[DnsError] {
        &self.failures
    }

    /// Compares one set.
    fn compare(
        &mut self,
        owner: &Name,
        kind: RecordType,
        members: &[usize],
        answer: Result<Found, DnsError>,
    ) {
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                for &index in members {
                    self.compared[index].1 = Standing::CouldNotAsk(error.clone());
                }
                self.failures.push(error);
                return;
            }
        };
        let needed: Vec<Needed> = members
            .iter()
            .map(|&index| self.compared[index].0.clone())
            .collect();
        let (replaced, kept): (Vec<Record>, Vec<Record>) =
            found.records.iter().cloned().partition(|record| {
                !is_enough(&needed, &found.records)
                    && needed.iter().any(|one| one.replaces(&record.data))
            });
        let unmet: Vec<&Needed> = needed
            .iter()
            .filter(|one| !kept.iter().any(|record| one.is_met_by(&record.data)))
            .collect();
        let is_reverse = needed.iter().all(|one| one.role == Role::Reverse);
        let blocked = found.alias.as_ref().filter(|_| !is_reverse);
        let asked = Asked {
            place: found.place.clone(),
            present: found.records.clone(),
            replaced: replaced.clone(),
            alias: blocked.cloned(),
        };
        self.asked.insert((owner.clone(), kind), asked);
        for &index in members {
            let one = &self.compared[index].0;
            let in_place: Vec<Record> = found
                .records
                .iter()
                .filter(|record| replaced.contains(record) && one.replaces(&record.data))
                .cloned()
                .collect();
            let is_met = kept.iter().any(|record| one.is_met_by(&record.data));
            let standing = match blocked {
                _ if is_met && in_place.is_empty() => Standing::Present,
                Some(alias) => Standing::Wrong {
                    present: vec![alias.clone()],
                },
                None if in_place.is_empty() => Standing::Missing,
                None => Standing::Wrong {
                    // One that is right, among several of which one may be, belongs to the picture.
                    present: found
                        .records
                        .iter()
                        .filter(|record| {
                            in_place.contains(record) || (is_met && one.is_met_by(&record.data))
                        })
                        .cloned()
                        .collect(),
                },
            };
            if let Standing::Wrong { present } = &standing {
                self.compared[index].0.present.clone_from(present);
            }
            self.compared[index].1 = standing;
        }
        if unmet.is_empty() && replaced.is_empty() {
            return;
        }
        if let Some(alias) = blocked {
            self.blocked.push(Blocked {
                alias: alias.clone(),
                kind,
                wanted: needed.into_iter().map(|one| one.record).collect(),
            });
            return;
        }
        // A set has one TTL (RFC 2181, 5.2): the one that it has.
        let ttl = found.records.first().map(|record| record.ttl);
        let fresh = unmet.iter().map(|one| Record {
            owner: found.place.clone(),
            ttl: ttl.unwrap_or(one.record.ttl),
            data: one.record.data.clone(),
        });
        let wanted = kept.iter().cloned().chain(fresh).collect();
        let mut why: Vec<&str> = unmet.iter().map(|one| one.why.as_str()).collect();
        if why.is_empty() {
            why.extend(needed.iter().map(|one| one.why.as_str()));
        }
        why.dedup();
        let why = why.join("\n");
        debug_assert!(is_reverse || found.place == *owner);
        self.changes.push(RrsetChange {
            owner: found.place,
            kind,
            present: found.records,
            wanted,
            why,
        });
    }
}

/// Tells whether nothing has to go although it could: any one of several names confirms an
/// address.
fn is_enough(needed: &[Needed], present: &[Record]) -> bool {
    needed.iter().all(|one| {
        one.role == Role::Reverse && present.iter().any(|record| one.is_met_by(&record.data))
    })
}

/// Finds a set and the alias that leads to it.
fn find(owner: &Name, kind: RecordType, resolver: &dyn Resolver) -> Result<Found, DnsError> {
    let answer = resolver.lookup(owner, kind)?;
    let mut found = Found {
        place: owner.clone(),
        records: answer.records().to_vec(),
        alias: None,
    };
    if found.records.iter().any(|record| record.owner == *owner) {
        return Ok(found);
    }
    // Records of another owner, or none: there may be an alias.
    for _ in 0..MOST_ALIASES {
        let Answer::Records(aliases) = resolver.lookup(&found.place, RecordType::Cname)? else {
            break;
        };
        let Some(alias) = aliases.into_iter().next() else {
            break;
        };
        let RecordData::Cname(target) = &alias.data else {
            break;
        };
        found.place = target.clone();
        found.alias.get_or_insert(alias);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, zone};

    fn needed(role: Role, line: &str) -> Needed {
        let record = zone::read(line).unwrap().remove(0);
        Needed::new(role, record, format!("for {role:?}"))
    }

    /// Lines of zone text with single blanks.
    fn lines(records: &[Record]) -> Vec<String> {
        zone::write(records)
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// Compares and gives the standings, and the changes as whole sets.
    fn check(zone: &str, needed: &[Needed], standings: &[&str], changes: &[(&[&str], &[&str])]) {
        let live = Live::ask(needed, &FixedResolver::from_zone(zone).unwrap());
        let found: Vec<String> = live
            .iter()
            .map(|(_, standing)| match standing {
                Standing::Present => "present".to_owned(),
                Standing::Missing => "missing".to_owned(),
                Standing::Wrong { present } => format!("wrong: {}", lines(present).join(" | ")),
                Standing::CouldNotAsk(error) => error.to_string(),
            })
            .collect();
        assert_eq!(found, standings);
        let found: Vec<(Vec<String>, Vec<String>)> = live
            .changes()
            .iter()
            .map(|change| (lines(&change.present), lines(&change.wanted)))
            .collect();
        let expected: Vec<(Vec<String>, Vec<String>)> = changes
            .iter()
            .map(|(present, wanted)| {
                let owned = |list: &[&str]| {
                    list.iter()
                        .map(|line| (*line).to_owned())
                        .collect::<Vec<_>>()
                };
                (owned(present), owned(wanted))
            })
            .collect();
        assert_eq!(found, expected);
        for change in live.changes() {
            // What was wanted, once there, is all right.
            let after = FixedResolver::from_zone(&zone::write(&change.wanted)).unwrap();
            let these: Vec<Needed> = needed
                .iter()
                .filter(|one| one.record.owner == change.owner)
                .filter(|one| one.record.data.kind() == change.kind)
                .cloned()
                .collect();
            assert!(Live::ask(&these, &after).changes().is_empty());
        }
    }

    #[test]
    fn addresses_are_added_to_those_that_stand_there() {
        check(
            "m.example. 60 IN A 192.0.2.9\n",
            &[
                needed(Role::Address, "m.example. 3600 IN A 192.0.2.1"),
                needed(Role::Address, "m.example. 3600 IN A 192.0.2.9"),
                needed(Role::Address, "m.example. 3600 IN AAAA 2001:db8::1"),
            ],
            &["missing", "present", "missing"],
            &[
                (
                    &["m.example. 60 IN A 192.0.2.9"],
                    &[
                        "m.example. 60 IN A 192.0.2.9",
                        "m.example. 60 IN A 192.0.2.1",
                    ],
                ),
                (&[], &["m.example. 3600 IN AAAA 2001:db8::1"]),
            ],
        );
    }

    #[test]
    fn of_several_names_of_an_address_one_is_enough_and_else_one_is_left() {
        let ptr = needed(
            Role::Reverse,
            "1.2.0.192.in-addr.arpa. 60 IN PTR m.example.",
        );
        check(
            "1.2.0.192.in-addr.arpa. 60 IN PTR other.example.\n\
             1.2.0.192.in-addr.arpa. 60 IN PTR M.example.\n",
            std::slice::from_ref(&ptr),
            &["present"],
            &[],
        );
        check(
            "1.2.0.192.in-addr.arpa. 60 IN PTR a.example.\n\
             1.2.0.192.in-addr.arpa. 60 IN PTR b.example.\n",
            &[ptr],
            &[
                "wrong: 1.2.0.192.in-addr.arpa. 60 IN PTR a.example. | 1.2.0.192.in-addr.arpa. 60 IN PTR b.example.",
            ],
            &[(
                &[
                    "1.2.0.192.in-addr.arpa. 60 IN PTR a.example.",
                    "1.2.0.192.in-addr.arpa. 60 IN PTR b.example.",
                ],
                &["1.2.0.192.in-addr.arpa. 60 IN PTR m.example."],
            )],
        );
    }

    #[test]
    fn a_reverse_zone_without_an_octet_boundary_is_changed_where_its_aliases_lead() {
        check(
            "1.2.0.192.in-addr.arpa. 60 IN CNAME 1.0-63.2.0.192.in-addr.arpa.\n\
             x.1.0-63.2.0.192.in-addr.arpa. 60 IN A 192.0.2.1\n",
            &[needed(
                Role::Reverse,
                "1.2.0.192.in-addr.arpa. 60 IN PTR m.example.",
            )],
            &["missing"],
            &[(&[], &["1.0-63.2.0.192.in-addr.arpa. 60 IN PTR m.example."])],
        );
    }

    #[test]
    fn only_the_spf_records_of_a_name_are_replaced() {
        let spf = needed(
            Role::Spf,
            "d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"",
        );
        check(
            "d.example. 60 IN TXT \"site-verification=1\"\n\
             d.example. 60 IN TXT \"v=spf1 mx -all\"\n\
             d.example. 60 IN TXT \"v=spf1 a -all\"\n",
            std::slice::from_ref(&spf),
            &[
                "wrong: d.example. 60 IN TXT \"v=spf1 mx -all\" | d.example. 60 IN TXT \"v=spf1 a -all\"",
            ],
            &[(
                &[
                    "d.example. 60 IN TXT \"site-verification=1\"",
                    "d.example. 60 IN TXT \"v=spf1 mx -all\"",
                    "d.example. 60 IN TXT \"v=spf1 a -all\"",
                ],
                &[
                    "d.example. 60 IN TXT \"site-verification=1\"",
                    "d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"",
                ],
            )],
        );
        // The right one beside another is still two.
        check(
            "d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
             d.example. 60 IN TXT \"v=spf1 -all\"\n",
            &[spf],
            &[
                "wrong: d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\" | d.example. 60 IN TXT \"v=spf1 -all\"",
            ],
            &[(
                &[
                    "d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"",
                    "d.example. 60 IN TXT \"v=spf1 -all\"",
                ],
                &["d.example. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\""],
            )],
        );
    }

    #[test]
    fn records_that_say_the_same_are_present() {
        check(
            "s._domainkey.d.example. 60 IN TXT \"k=rsa; t=y; p=AA\" \"AA\"\n\
             _dmarc.d.example. 60 IN TXT \"v=DMARC1;p=none\"\n\
             d.example._report._dmarc.e.example. 60 IN TXT \"v=DMARC1;\"\n",
            &[
                needed(
                    Role::Dkim,
                    "s._domainkey.d.example. 60 IN TXT \"v=DKIM1; k=rsa; p=AAAA\"",
                ),
                needed(
                    Role::Dmarc,
                    "_dmarc.d.example. 60 IN TXT \"v=DMARC1; p=none\"",
                ),
                needed(
                    Role::ReportsTaken,
                    "d.example._report._dmarc.e.example. 60 IN TXT \"v=DMARC1\"",
                ),
            ],
            &["present", "present", "present"],
            &[],
        );
    }

    #[test]
    fn mail_exchangers_of_others_stay_except_beside_none_at_all() {
        let ours = needed(Role::Exchange, "d.example. 60 IN MX 10 m.example.");
        check(
            "d.example. 60 IN MX 20 m.example.\nd.example. 60 IN MX 30 backup.example.\n",
            std::slice::from_ref(&ours),
            &["wrong: d.example. 60 IN MX 20 m.example."],
            &[(
                &[
                    "d.example. 60 IN MX 20 m.example.",
                    "d.example. 60 IN MX 30 backup.example.",
                ],
                &[
                    "d.example. 60 IN MX 30 backup.example.",
                    "d.example. 60 IN MX 10 m.example.",
                ],
            )],
        );
        check(
            "d.example. 60 IN MX 0 .\n",
            &[ours],
            &["wrong: d.example. 60 IN MX 0 ."],
            &[(
                &["d.example. 60 IN MX 0 ."],
                &["d.example. 60 IN MX 10 m.example."],
            )],
        );
        check(
            "d.example. 60 IN MX 20 m.example.\n",
            &[needed(Role::Exchange, "d.example. 60 IN MX 0 .")],
            &["wrong: d.example. 60 IN MX 20 m.example."],
            &[(
                &["d.example. 60 IN MX 20 m.example."],
                &["d.example. 60 IN MX 0 ."],
            )],
        );
    }

    #[test]
    fn an_alias_serves_where_it_leads_to_the_same_and_blocks_where_not() {
        let key = needed(
            Role::Dkim,
            "s._domainkey.d.example. 60 IN TXT \"v=DKIM1; k=rsa; p=AAAA\"",
        );
        let zone = "s._domainkey.d.example. 60 IN CNAME d.keys.example.\n";
        check(
            &format!("{zone}d.keys.example. 60 IN TXT \"v=DKIM1; k=rsa; p=AAAA\"\n"),
            std::slice::from_ref(&key),
            &["present"],
            &[],
        );
        for rest in ["", "d.keys.example. 60 IN TXT \"v=DKIM1; k=rsa; p=BBBB\"\n"] {
            check(
                &format!("{zone}{rest}"),
                std::slice::from_ref(&key),
                &["wrong: s._domainkey.d.example. 60 IN CNAME d.keys.example."],
                &[],
            );
        }
        let live = Live::ask(&[key], &FixedResolver::from_zone(zone).unwrap());
        assert_eq!(live.blocked().len(), 1);
        assert_eq!(live.missing()[0].present, [live.blocked()[0].alias.clone()]);
    }

    #[test]
    fn what_could_not_be_asked_is_not_missing() {
        let spf = needed(Role::Spf, "d.example. 60 IN TXT \"v=spf1 -all\"");
        let resolver = FixedResolver::from_zone("$SERVFAIL d.example.\n").unwrap();
        let live = Live::ask(&[spf], &resolver);
        assert!(live.missing().is_empty() && live.changes().is_empty());
        assert_eq!(
            live.failures()[0].to_string(),
            "the zone text failed (SERVFAIL) on TXT of `d.example`"
        );
        assert!(matches!(
            live.iter().next().unwrap().1,
            Standing::CouldNotAsk(_)
        ));
    }
}
