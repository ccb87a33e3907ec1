//! What lines that matter have, and how it is found among all the others.
//!
//! Owns [`Markers`]. Must not know what the lines tell.

use aho_corasick::AhoCorasick;
use aho_corasick::packed::{self, Searcher};

use super::passed::{REMOVED, TO};

/// What lines that matter have, each before it anything else may stand.
const MARKERS: [&[u8]; 13] = [
    TO,
    REMOVED,
    b" status=",
    b": host ",
    b": connect to ",
    b": lost connection with ",
    b": conversation with ",
    b": warning: ",
    b": fatal: ",
    b": panic: ",
    b": error: ",
    b"ejected: ",
    b"]: connect from ",
];

/// How many of them lines of mail that went well have, too: the first.
pub(super) const PASSING: usize = 2;

/// Finds the lines that matter.
#[derive(Debug)]
pub(super) struct Markers {
    all: Search,
    /// But for the last: hosts that come make for a large part of a log.
    most: Search,
}

/// A search for several texts.
#[derive(Debug)]
struct Search {
    /// Where the processor has what it takes.
    fast: Option<Searcher>,
    plain: AhoCorasick,
}

impl Markers {
    /// Makes it.
    pub(super) fn new() -> Self {
        let [most @ .., _] = &MARKERS;
        Self {
            all: Search::new(&MARKERS),
            most: Search::new(most),
        }
    }

    /// The first marker of a text: which it is, and where; that of hosts that come only where it
    /// is news that they do.
    pub(super) fn find(&self, text: &[u8], is_arrival_news: bool) -> Option<(usize, usize)> {
        if is_arrival_news {
            self.all.find(text)
        } else {
            self.most.find(text)
        }
    }
}

impl Search {
    /// Makes it.
    ///
    /// # Panics
    /// Never: the markers are few and short.
    fn new(markers: &[&[u8]]) -> Self {
        Self {
            fast: packed::Config::new().builder().extend(markers).build(),
            plain: AhoCorasick::new(markers).expect("a few short markers make a search"),
        }
    }

    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        let found = match &self.fast {
            Some(fast) => fast.find(text),
            None => self.plain.find(text),
        }?;
        Some((found.pattern().as_usize(), found.start()))
    }
}
