//! Records as the tools that keep zones read them; one file a format.
//!
//! Owns the records of a zone set by set, with what is said beside each, and their texts. A
//! record that a tool cannot hold is left out and named, never written wrong. Must not know
//! what a record is good for, who controls a zone or which format is wanted.

pub mod bind;
pub mod dnscontrol;
mod hcl;
pub mod json;
pub mod nsupdate;
pub mod octodns;
pub mod panel;
pub mod terraform_cloudflare;
pub mod terraform_route53;

use std::fmt::Write as _;

use super::{Name, Record, RecordData, RecordType, zone};
use crate::finding::{escape, fold};

/// The width comments are folded to.
const WIDTH: usize = 80;

/// A record that is wanted, and all that is said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The record.
    pub record: Record,
    /// Why it is wanted, in one line.
    pub why: String,
    /// Who has to set it, in one line.
    pub who: String,
    /// The zone it lies in.
    pub cut: Cut,
    /// What stands at its name and type; `None` when that is not known.
    pub live: Option<Live>,
}

/// Where a zone begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The name of the zone.
    pub zone: Name,
    /// Whether nobody said so.
    pub is_guess: bool,
}

/// What stands at a name for a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// All of it.
    pub members: Vec<RecordData>,
    /// Those of it that a wanted record takes the place of.
    pub stale: Vec<RecordData>,
    /// Where the name leads instead: nothing may stand beside an alias.
    pub alias: Option<Name>,
}

/// The wanted records of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Where it begins.
    pub cut: Cut,
    /// Its records by name and type.
    pub sets: Vec<Set>,
}

/// The wanted records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The name.
    pub owner: Name,
    /// The type.
    pub kind: RecordType,
    /// How long they may be cached, in seconds; one for all (RFC 2181, 5.2).
    pub ttl: u32,
    /// The records.
    pub members: Vec<Member>,
    /// What stands there; `None` when that is not known.
    pub live: Option<Live>,
}

/// One record of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its content.
    pub data: RecordData,
    /// Why it is wanted.
    pub why: String,
    /// Who has to set it.
    pub who: String,
}

/// A text in some format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// The records that are not in it.
    pub left_out: Vec<LeftOut>,
}

/// A record that a format cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} of `{}` is left out: {why}", .owner.host())]
pub struct LeftOut {
    /// Its name.
    pub owner: Name,
    /// Its type.
    pub kind: RecordType,
    /// What the format cannot hold.
    pub why: String,
}

/// Puts records together by zone, then by name and type; what comes first stays first.
#[must_use]
pub fn zones(wanted: impl IntoIterator<Item = Wanted>) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for Wanted {
        record: Record { owner, ttl, data },
        why,
        who,
        cut,
        live,
    } in wanted
    {
        let at = zones.iter().position(|zone| zone.cut.zone == cut.zone);
        let at = at.unwrap_or_else(|| {
            zones.push(Zone {
                cut,
                sets: Vec::new(),
            });
            zones.len() - 1
        });
        let sets = &mut zones[at].sets;
        let kind = data.kind();
        let at = sets
            .iter()
            .position(|set| set.owner == owner && set.kind == kind);
        let at = at.unwrap_or_else(|| {
            sets.push(Set {
                owner,
                kind,
                ttl,
                members: Vec::new(),
                live,
            });
            sets.len() - 1
        });
        let members = &mut sets[at].members;
        if members.iter().all(|member| member.data != data) {
            members.push(Member { data, why, who });
        }
    }
    zones
}

impl Zone {
    /// Says which zone it is, for a comment.
    fn title(&self) -> String {
        let zone = self.cut.zone.host();
        if self.cut.is_guess {
            format!("zone `{zone}` (most likely: DNS did not say where it begins)")
        } else {
            format!("zone `{zone}`")
        }
    }

    /// The part of a name in front of the zone, `@` for the zone itself.
    fn label(&self, owner: &Name) -> String {
        owner
            .host_in(&self.cut.zone)
            .unwrap_or_else(|| owner.host())
    }
}

impl Set {
    /// Gives the records one by one.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.members.iter().map(|member| Record {
            owner: self.owner.clone(),
            ttl: self.ttl,
            data: member.data.clone(),
        })
    }

    /// What stands there, is not wanted by us and in nobody's way: it stays.
    fn kept(&self) -> Vec<&RecordData> {
        let live = self.live.iter().flat_map(|live| {
            let members = live.members.iter();
            members.filter(|data| !live.stale.contains(data))
        });
        live.filter(|data| !self.wants(data)).collect()
    }

    /// What stands there and has to go.
    fn stale(&self) -> Vec<&RecordData> {
        let live = self.live.iter().flat_map(|live| &live.stale);
        live.filter(|data| !self.wants(data)).collect()
    }

    fn wants(&self, data: &RecordData) -> bool {
        self.members.iter().any(|member| member.data == *data)
    }

    /// Tells whether others may well have records in this set too, and nobody has looked.
    ///
    /// A name below an underscore is one purpose's own (RFC 8552).
    fn may_hide_others(&self) -> bool {
        let is_shared = !self.owner.labels().any(|label| label.starts_with(b"_"));
        self.live.is_none() && self.kind == RecordType::Txt && is_shared
    }

    /// Names a record of this set that a format cannot hold.
    fn left_out(&self, why: impl Into<String>) -> LeftOut {
        LeftOut {
            owner: self.owner.clone(),
            kind: self.kind,
            why: why.into(),
        }
    }

    /// Names what stands there and stays, but cannot be written: a format that states whole sets
    /// would remove it.
    fn would_lose<T>(
        &self,
        value: impl Fn(&RecordData) -> Result<T, &'static str>,
    ) -> Option<LeftOut> {
        let live = self.live.iter().flat_map(|live| &live.members);
        let ours = live.filter(|data| self.wants(data));
        let (whose, why) = self
            .kept()
            .into_iter()
            .map(|data| ("others", data))
            .chain(ours.map(|data| ("ours", data)))
            .find_map(|(whose, data)| value(data).err().map(|why| (whose, why)))?;
        Some(self.left_out(format!(
            "a record of {whose} in this set cannot be written: {why}; the set is left out, for \
             to state it without would remove that one"
        )))
    }
}

impl Member {
    /// Why, and who has to do it.
    fn remark(&self) -> String {
        if self.who.is_empty() {
            self.why.clone()
        } else {
            format!("{} ({})", self.why, self.who)
        }
    }
}

/// What is said in formats that state whole sets.
const WHOLE_SET: &str = "the whole set is stated here: add the other TXT values of this name, or \
                         they are removed";

/// Writes comments, each of their lines behind a mark.
struct Comments<'a> {
    mark: &'a str,
}

impl Comments<'_> {
    /// Says one thing.
    fn say(&self, text: &mut String, sentence: &str) {
        let width = WIDTH.saturating_sub(self.mark.len() + 1);
        // A line end in it would end the comment.
        let sentence = escape(sentence).replace(['\n', '\t'], " ");
        for line in fold(&sentence, width, "").lines() {
            self.line(text, line);
        }
    }

    fn line(&self, text: &mut String, line: &str) {
        let gap = if self.mark.is_empty() { "" } else { " " };
        let _ = writeln!(text, "{}{gap}{line}", self.mark);
    }

    /// Says what stands there now; values stay on their line, so that they can be compared.
    fn say_live(&self, text: &mut String, set: &Set) {
        let Some(live) = &set.live else { return };
        if let Some(alias) = &live.alias {
            let alias = zone::line(&RecordData::Cname(alias.clone()));
            self.say(text, &format!("now: CNAME {alias}, which has to go first"));
        } else if live.members.is_empty() {
            self.say(text, &format!("now: no {} record", set.kind));
        }
        for data in set.stale() {
            self.line(text, &format!("now: {}", zone::line(data)));
        }
    }

    /// Says what is left out.
    fn say_left_out(&self, text: &mut String, left_out: &LeftOut) {
        self.say(text, &left_out.to_string());
    }
}

/// Tells whether a text is made of what any keyboard has.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set that is wanted, beside which a text of others stands.
    fn beside(foreign: &[u8]) -> Vec<Zone> {
        zones([Wanted {
            record: Record {
                owner: "example.org".parse().unwrap(),
                ttl: 300,
                data: RecordData::Txt(b"v=spf1 -all".to_vec()),
            },
            why: "names nobody".to_owned(),
            who: String::new(),
            cut: Cut {
                zone: "example.org".parse().unwrap(),
                is_guess: false,
            },
            live: Some(Live {
                members: vec![RecordData::Txt(foreign.to_vec())],
                ..Live::default()
            }),
        }])
    }

    #[test]
    fn no_whole_set_is_stated_without_what_others_have_in_it() {
        let check = |write: fn(&[Zone]) -> Written, foreign: &[u8], is_stated: bool| {
            let written = write(&beside(foreign));
            let states = |line: &str| line.contains("v=spf1 -all");
            assert_eq!(written.text.lines().any(states), is_stated, "{foreign:?}");
            let said: Vec<String> = written.left_out.iter().map(ToString::to_string).collect();
            assert_eq!(said.is_empty(), is_stated, "{said:?}");
            for said in said {
                assert!(said.starts_with(
                    "TXT of `example.org` is left out: a record of others in this set cannot be \
                     written: "
                ));
            }
        };
        let odd: [&[u8]; 3] = [b"a\x1b[31m", b"a\\b", b"a\" \"b"];
        for foreign in odd {
            check(octodns::write, foreign, false);
            check(dnscontrol::write, foreign, true);
            check(terraform_route53::write, foreign, true);
        }
        check(octodns::write, b"a;b", true);
        check(dnscontrol::write, b"a\xff", false);
        check(terraform_route53::write, &[b'a'; 4100], false);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let written = octodns::write(&beside(b"a\\b"));
        assert_eq!(
            written.left_out[0].to_string(),
            "TXT of `example.org` is left out: a record of others in this set cannot be written: \
             octoDNS's providers do not agree on what a backslash is; the set is left out, for to \
             state it without would remove that one"
        );
    }
}
