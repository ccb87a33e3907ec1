//! All phrases of all signs, found in one walk over a text.
//!
//! Owns what is looked for ([`Wanted`]) and what was found ([`Found`]). Letters of ASCII count
//! without their case. Must not know what a phrase means.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::cause::Sign;

/// The number of a phrase.
type Id = u32;

/// Collects phrases.
#[derive(Debug, Default)]
pub(super) struct Builder {
    ids: HashMap<String, Id>,
    phrases: Vec<String>,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// One of these, with their lengths; all is well where there are none.
    any: Vec<(Id, usize)>,
    /// Each of these.
    all: Vec<(Id, usize)>,
}

/// All phrases, ready to be found.
#[derive(Clone, Debug)]
pub(super) struct Phrases {
    search: AhoCorasick,
}

/// Which phrases a text has, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// By number, the first place of each.
    places: Vec<(Id, Range<usize>)>,
}

impl Builder {
    /// Numbers the phrases of a sign.
    pub(super) fn wanted(&mut self, sign: &Sign) -> Wanted {
        let any = sign.has.iter().map(|phrase| self.id(phrase)).collect();
        let all = sign.all.iter().map(|phrase| self.id(phrase)).collect();
        Wanted { any, all }
    }

    /// Numbers phrases of which one is enough.
    pub(super) fn any_of(&mut self, phrases: &[String]) -> Wanted {
        Wanted {
            any: phrases.iter().map(|phrase| self.id(phrase)).collect(),
            all: Vec::new(),
        }
    }

    fn id(&mut self, phrase: &str) -> (Id, usize) {
        let next = Id::try_from(self.phrases.len()).unwrap_or(Id::MAX);
        let id = *self.ids.entry(phrase.to_owned()).or_insert_with(|| {
            self.phrases.push(phrase.to_owned());
            next
        });
        (id, phrase.len())
    }

    /// Makes the search.
    ///
    /// # Panics
    /// Never: it would take phrases of gigabytes.
    pub(super) fn build(self) -> Phrases {
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&self.phrases)
            .expect("the phrases of data files are few and short");
        Phrases { search }
    }
}

impl Phrases {
    /// Finds all of them in a text; what was found before is forgotten.
    pub(super) fn find(&self, text: &str, found: &mut Found) {
        let places = &mut found.places;
        places.clear();
        for found in self.search.find_overlapping_iter(text) {
            // A phrase begins where a word does: there is no `spam` in a host's name that ends so.
            let is_letter = |at: Option<usize>| {
                let byte = at.and_then(|at| text.as_bytes().get(at));
                byte.is_some_and(u8::is_ascii_alphanumeric)
            };
            if is_letter(found.start().checked_sub(1)) && is_letter(Some(found.start())) {
                continue;
            }
            let id = found.pattern().as_u32();
            if !places.iter().any(|(held, _)| *held == id) {
                places.push((id, found.range()));
            }
        }
        places.sort_unstable_by_key(|(id, _)| *id);
    }
}

impl Found {
    /// Which, by number.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.places.iter().map(|(id, _)| *id)
    }

    fn place(&self, id: Id) -> Option<&Range<usize>> {
        let at = self.places.binary_search_by_key(&id, |(held, _)| *held);
        self.places.get(at.ok()?).map(|(_, place)| place)
    }
}

impl Wanted {
    /// Tells whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty()
    }

    /// Tells whether what is looked for is there.
    pub(super) fn fits(&self, found: &Found) -> bool {
        self.weight(found).is_some()
    }

    /// How many letters say it; `None` where something lacks.
    pub(super) fn weight(&self, found: &Found) -> Option<usize> {
        let mut weight = 0;
        for (id, length) in &self.all {
            found.place(*id)?;
            weight += length;
        }
        if self.any.is_empty() {
            return Some(weight);
        }
        let there = self.any.iter().filter(|(id, _)| found.place(*id).is_some());
        Some(weight + there.map(|(_, length)| *length).max()?)
    }

    /// Where in the text that stands which says it.
    pub(super) fn places(&self, found: &Found) -> impl Iterator<Item = Range<usize>> {
        let there = self.any.iter().filter_map(|&(id, length)| {
            let place = found.place(id)?.clone();
            Some((length, place))
        });
        let longest = there.max_by_key(|(length, _)| *length);
        let all = self
            .all
            .iter()
            .filter_map(|(id, _)| found.place(*id).cloned());
        let all: Vec<_> = all.collect();
        all.into_iter().chain(longest.map(|(_, place)| place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_in_phrases_are_found() {
        let mut builder = Builder::default();
        let sign = |text: &str| toml::from_str::<Sign>(text).unwrap();
        let inner = builder.wanted(&sign("has = ['block list', 'list']"));
        let outer = builder.wanted(&sign("has = ['is on our block list']"));
        let all = builder.wanted(&sign("all = ['our', 'list']\nhas = ['is', 'other']"));
        let lacks = builder.wanted(&sign("all = ['our', 'none']"));
        let nothing = builder.wanted(&sign("family = 4"));
        let within = builder.wanted(&sign("has = ['ther']"));
        let phrases = builder.build();
        let text = "It is on our Block List, on our block list";
        let mut found = Found::default();
        phrases.find("our", &mut found);
        phrases.find(text, &mut found);
        assert_eq!(inner.weight(&found), Some(10));
        assert_eq!(outer.weight(&found), Some(20));
        assert_eq!(all.weight(&found), Some(9));
        assert_eq!(lacks.weight(&found), None);
        assert_eq!(nothing.weight(&found), Some(0));
        let mut inside = Found::default();
        phrases.find("other 4ther", &mut inside);
        assert_eq!(within.weight(&inside), None);
        phrases.find("o ther", &mut inside);
        assert_eq!(within.weight(&inside), Some(4));
        let said: Vec<_> = inner.places(&found).map(|place| text.get(place)).collect();
        assert_eq!(said, [Some("Block List")]);
        phrases.find("", &mut found);
        assert_eq!(found.places, []);
    }
}
