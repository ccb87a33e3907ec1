//! All phrases of all signs, found in one walk over a text.
//!
//! Owns what is looked for ([`Wanted`]) and what was found ([`Found`]). Letters of ASCII count
//! without their case. Must not know what a phrase means.
//!
//! A phrase begins where a word does, so only the beginnings of words are looked at, and of most
//! of these the first letters say that no phrase begins so. That takes a fraction of what an
//! automaton over all letters takes.

use std::collections::HashMap;
use std::ops::Range;

use crate::cause::Sign;
use crate::memo::Quick;

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

/// All phrases, ready to be found; in lower case.
#[derive(Clone, Debug)]
pub(super) struct Phrases {
    long: ByHead<8>,
    middle: ByHead<4>,
    short: ByHead<1>,
    /// How phrases begin that are one word.
    single: Heads,
    /// How the last words of others begin.
    last: Heads,
    /// Their other words.
    others: Heads,
}

type Phrase = (Box<[u8]>, Id);

/// Phrases by their first letters.
#[derive(Clone, Debug)]
struct ByHead<const N: usize> {
    /// In the order of their letters.
    sorted: Vec<Phrase>,
    /// Where those of a head stand among these.
    heads: HashMap<[u8; N], Range<usize>, Quick>,
    /// Whether there is such a head at all.
    bits: Bits,
}

/// How many bits say which heads there are.
const BITS: usize = 1 << 16;

impl<const N: usize> ByHead<N> {
    /// Takes those that are long enough out of others.
    fn of(phrases: &mut Vec<Phrase>) -> Self {
        let mut sorted: Vec<Phrase> = phrases
            .extract_if(.., |(phrase, _)| phrase.len() >= N)
            .collect();
        sorted.sort();
        let mut heads: HashMap<[u8; N], Range<usize>, Quick> = HashMap::default();
        let mut bits = Bits::default();
        for (at, (phrase, _)) in sorted.iter().enumerate() {
            let Some(head) = phrase.first_chunk() else {
                continue;
            };
            heads.entry(*head).or_insert(at..at).end = at + 1;
            bits.insert(number(head));
        }
        Self {
            sorted,
            heads,
            bits,
        }
    }

    /// Those that may stand at the beginning of a text.
    fn beginning(&self, text: &[u8]) -> &[Phrase] {
        let places = text.first_chunk().and_then(|head| {
            let may_be = self.bits.may_have(number(head));
            may_be.then(|| self.heads.get(head))?
        });
        let found = places.and_then(|places| self.sorted.get(places.clone()));
        found.unwrap_or_default()
    }
}

/// A head as a number.
fn number<const N: usize>(head: &[u8; N]) -> u64 {
    head.iter()
        .fold(0, |so_far, byte| so_far << 8 | u64::from(*byte))
}

/// Numbers by a bit of a hash: that one is not among them is sure.
#[derive(Clone, Debug)]
struct Bits(Vec<u64>);

impl Default for Bits {
    fn default() -> Self {
        Self(vec![0; BITS / 64])
    }
}

impl Bits {
    fn insert(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_have(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Which word a number is in, and its bit.
    fn place(number: u64) -> (usize, u64) {
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        (
            usize::try_from(hash / 64).unwrap_or_default(),
            1 << (hash % 64),
        )
    }
}

/// Words by how they begin and, where that matters, by how long they are: a bit for each.
#[derive(Clone, Debug, Default)]
struct Heads {
    bits: Bits,
    /// The lengths there are of words that are shorter than a beginning, as bits.
    short: u8,
}

/// How long a beginning is.
const HEAD: usize = 4;

impl Heads {
    fn add(&mut self, word: &[u8], length: usize) {
        let head = word.len().min(HEAD);
        self.short |= u8::from(head < HEAD) << head;
        self.bits.insert(Self::number(first(word), length));
    }

    /// Tells whether a text may begin with one of the words.
    fn may_begin(&self, text: &[u8]) -> bool {
        let all = first(text);
        let is_short = |head: usize| {
            let first = all & ((1 << (8 * head)) - 1);
            self.short & 1 << head != 0
                && head < text.len()
                && self.bits.may_have(Self::number(first, 0))
        };
        self.bits.may_have(Self::number(all, 0)) || self.short > 1 && (1..HEAD).any(is_short)
    }

    /// Tells whether a text may be one of the words.
    fn may_be(&self, text: &[u8]) -> bool {
        self.bits.may_have(Self::number(first(text), text.len()))
    }

    fn number(first: u32, length: usize) -> u64 {
        u64::from(first) | u64::try_from(length).unwrap_or_default() << 32
    }
}

/// The first bytes of a text, without the case of letters.
fn first(text: &[u8]) -> u32 {
    let whole = text
        .first_chunk::<HEAD>()
        .map(|head| u32::from_le_bytes(*head));
    whole.map_or_else(
        || {
            text.iter()
                .rev()
                .fold(0, |so_far, byte| so_far << 8 | u32::from(byte | 0x20))
        },
        |head| head | u32::from_le_bytes([0x20; HEAD]),
    )
}

/// Which phrases a text has, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// By number, the first place of each.
    places: Vec<(Id, Range<usize>)>,
    /// The text in lower case.
    lower: Vec<u8>,
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
    pub(super) fn build(self) -> Phrases {
        let phrases = self.phrases.iter().zip(0..);
        let lower =
            phrases.map(|(phrase, id)| (phrase.to_ascii_lowercase().into_bytes().into(), id));
        let mut all: Vec<Phrase> = lower.collect();
        let [mut single, mut last, mut others] = [(); 3].map(|()| Heads::default());
        for (phrase, _) in &all {
            let mut words = phrase.split(|byte| *byte == b' ');
            match words.next_back() {
                Some(word) if word.len() == phrase.len() => single.add(word, 0),
                Some([mark]) if !mark.is_ascii_alphanumeric() => {}
                Some(word) => last.add(word, 0),
                None => {}
            }
            words.for_each(|word| others.add(word, word.len()));
        }
        Phrases {
            single,
            last,
            others,
            long: ByHead::of(&mut all),
            middle: ByHead::of(&mut all),
            short: ByHead::of(&mut all),
        }
    }
}

impl Phrases {
    /// Visits the phrases that lie within a word of a text, whatever words stand around it; `None`
    /// where one may reach into it, or out of it. A mark before the word, and any behind it, may be
    /// part of one all the same.
    pub(super) fn inside(&self, word: &[u8], mut visit: impl FnMut(Id)) -> Option<()> {
        let end = word.iter().rposition(u8::is_ascii_alphanumeric);
        let end = end.map_or(0, |last| last + 1);
        if self.last.may_begin(word) {
            return None;
        }
        for at in beginnings(word.get(..end).unwrap_or_default()) {
            let rest = word.get(at..).unwrap_or_default();
            if self.others.may_be(rest) {
                return None;
            }
            if self.single.may_begin(rest) {
                let lower = rest.to_ascii_lowercase();
                let found = self.beginning(&lower);
                let found = found.filter(|(phrase, _)| lower.starts_with(phrase));
                found.for_each(|(_, id)| visit(*id));
            }
        }
        Some(())
    }

    /// Those that may stand at the beginning of a text in lower case.
    fn beginning(&self, text: &[u8]) -> impl Iterator<Item = &Phrase> {
        let found = [
            self.long.beginning(text),
            self.middle.beginning(text),
            self.short.beginning(text),
        ];
        found.into_iter().flatten()
    }

    /// Finds all of them in a text; what was found before is forgotten.
    pub(super) fn find(&self, text: &str, found: &mut Found) {
        let Found { places, lower } = found;
        places.clear();
        lower.clear();
        lower.extend_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        for at in beginnings(lower) {
            let rest = lower.get(at..).unwrap_or_default();
            for (phrase, id) in self.beginning(rest) {
                if rest.starts_with(phrase) && places.iter().all(|(held, _)| held != id) {
                    places.push((*id, at..at + phrase.len()));
                }
            }
        }
        places.sort_unstable_by_key(|(id, _)| *id);
    }
}

/// The places of a text where a phrase may begin: there is no `spam` in a host's name that ends so.
fn beginnings(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut is_within = false;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        let is_letter = byte.is_ascii_alphanumeric();
        let begins = !(is_within && is_letter);
        is_within = is_letter;
        begins.then_some(at)
    })
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
