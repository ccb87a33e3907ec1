//! What kind of failure a reply tells of, made once for all replies of which the same is to be said.
//!
//! Owns how a [`Key`] comes of words, and how kinds that were made are found again by what replies
//! have in common ([`gist`]). Must not know lines, nor what is counted by kinds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use super::note::{ByHash, Hash, Key};
use crate::address::within;
use crate::diagnose::gist;
use crate::diagnose::phrases::Found;
use crate::diagnose::{Knowledge, LOCAL, NO_DOMAIN, NO_RESOLVER, Seen, family};
use crate::memo::Memo;
use crate::postfix::log::{Answer, Delivery, Manner, Peer};
use crate::stats::Family;

/// Most verdicts that are remembered.
const MAX_VERDICTS: usize = 10_000;

/// Most replies that are remembered.
const MAX_REPLIES: usize = 20_000;

/// About how many hosts are remembered.
const HOSTS: usize = 256;

/// Tells kinds of failures.
#[derive(Debug)]
pub(super) struct Kinds<'k> {
    knowledge: &'k Knowledge,
    /// Places of what the knowledge names.
    providers: HashMap<&'k str, u16>,
    causes: HashMap<&'k str, u16>,
    /// The last words, as a person reads them, and the phrases they have.
    words: String,
    found: Found,
    /// Verdicts by all that they hang on.
    verdicts: HashMap<u64, Brief<'k>>,
    /// Of hosts that spoke a moment ago, what a verdict hangs on: the number of the name, and the
    /// protocol of the address.
    names: Memo,
    addresses: Memo,
    /// Kinds by what replies have in common; none where it hangs on the address of the other side,
    /// too.
    replies: ByHash<Option<Key>>,
}

/// What matters of a verdict.
#[derive(Clone, Copy, Debug)]
struct Brief<'k> {
    provider: &'k str,
    code: &'k str,
    is_here: bool,
    is_new: bool,
}

impl<'k> Kinds<'k> {
    /// Begins with nothing.
    pub(super) fn new(knowledge: &'k Knowledge) -> Self {
        let numbered = |names: Vec<&'k str>| {
            let numbers = names.into_iter().enumerate();
            let numbers = numbers.map(|(number, name)| (name, u16::try_from(number).unwrap_or(0)));
            numbers.collect()
        };
        Self {
            knowledge,
            providers: numbered(super::providers(knowledge)),
            causes: numbered(super::causes(knowledge)),
            words: String::new(),
            found: Found::default(),
            verdicts: HashMap::new(),
            names: Memo::new(HOSTS),
            addresses: Memo::new(HOSTS),
            replies: ByHash::default(),
        }
    }

    /// The kind of a failure, whatever program told it: made once for all replies of which the same
    /// is to be said.
    pub(super) fn of(
        &mut self,
        delivery: Option<&Delivery<'_>>,
        answer: &Answer<'_>,
        is_here: bool,
    ) -> Key {
        // A host must have spoken, or been spoken to: other words hold names that matter.
        let Some(peer) = answer.peer else {
            return self.key(delivery, answer, is_here);
        };
        let mut reply = self.reply(peer, delivery, answer, is_here);
        let mut known = self.replies.get(&reply.number()).copied();
        let names_hosts = match known {
            Some(known) => known.is_none(),
            None => within(answer.said).next().is_some(),
        };
        // Replies that have as much in common name the same addresses, and which of them is ours
        // hangs on whose the other one is.
        if names_hosts {
            if known.is_none() {
                self.remember(reply, None);
            }
            reply.add(peer.address.unwrap_or_default());
            known = self.replies.get(&reply.number()).copied();
        }
        known.flatten().unwrap_or_else(|| {
            let key = self.key(delivery, answer, is_here);
            self.remember(reply, Some(key));
            key
        })
    }

    fn remember(&mut self, reply: Hash, key: Option<Key>) {
        if self.replies.len() >= MAX_REPLIES {
            self.replies.clear();
        }
        self.replies.insert(reply.number(), key);
    }

    /// A number for all that the kind of a failure hangs on, but for the address of the other side.
    fn reply(
        &mut self,
        peer: Peer<'_>,
        delivery: Option<&Delivery<'_>>,
        answer: &Answer<'_>,
        is_here: bool,
    ) -> Hash {
        let host = self.names.number(peer.name, || {
            let name = String::from_utf8_lossy(peer.name);
            Some(self.knowledge.number_of_host(&name))
        });
        let mut family_of = |peer: Peer<'_>| {
            self.addresses
                .number(peer.address?, || {
                    Some(peer.ip().map_or(0, |address| u32::from(family(address))))
                })
                .filter(|family| *family != 0)
        };
        let family = family_of(peer).or_else(|| family_of(delivery?.relay));
        let mut hash = Hash::default();
        hash.mix(
            u64::from(is_here)
                | u64::from(delivery.is_some()) << 1
                | u64::from(peer.is_here()) << 2
                | (answer.manner as u64) << 8
                | u64::from(family.unwrap_or_default()) << 16
                | u64::from(host.unwrap_or_default()) << 32,
        );
        if let Some(delivery) = delivery {
            hash.add(delivery.dsn);
        }
        gist::mix(&mut hash, answer.said, &self.knowledge.phrases);
        hash
    }

    /// The kind of a failure, whatever program told it.
    fn key(&mut self, delivery: Option<&Delivery<'_>>, answer: &Answer<'_>, is_here: bool) -> Key {
        let (verdict, family) = self.verdict(delivery, answer);
        let code = verdict.code;
        let is_here = is_here || verdict.is_here;
        let provider = if is_here { LOCAL } else { verdict.provider };
        let family = match family {
            _ if is_here => Family::None,
            Some(6) => Family::V6,
            Some(_) => Family::V4,
            None => Family::None,
        };
        let refused = answer.manner == Manner::RefusedToTalk;
        Key {
            provider: self.provider(provider),
            cause: self.cause(code),
            address: own_address(answer, family),
            tag: 0,
            family,
            is_attempt: delivery.is_none(),
            is_greeting: refused && answer.code().is_some_and(|code| code >= 500),
            wording: if verdict.is_new || code.is_empty() {
                wording(answer.said)
            } else {
                0
            },
        }
    }

    /// What is to be said of words, with the protocol. A verdict is made once for all lines that
    /// it would be the same for.
    fn verdict(
        &mut self,
        delivery: Option<&Delivery<'_>>,
        answer: &Answer<'_>,
    ) -> (Brief<'k>, Option<u8>) {
        let knowledge = self.knowledge;
        answer.plain_into(&mut self.words);
        knowledge.phrases.find(&self.words, &mut self.found);
        let words = Cow::Borrowed(self.words.as_str());
        let seen = match delivery {
            Some(delivery) => Seen::with_words(answer, delivery.dsn, words).of_delivery(delivery),
            None => Seen::with_words(answer, b"", words),
        };
        let family = seen.evidence.family;
        let number = knowledge.number(&seen, &self.found);
        if let Some(brief) = self.verdicts.get(&number) {
            return (*brief, family);
        }
        let (verdict, _) = knowledge.decide(&seen, &self.found);
        let code = verdict.cause.map_or("", |cause| cause.code.as_str());
        let brief = Brief {
            provider: verdict.provider,
            code,
            is_here: knowledge.is_here(code),
            is_new: verdict.is_new,
        };
        // Whether a name is one that must be there is not in the phrases.
        let is_of_a_name = seen.host.is_none() && [NO_DOMAIN, NO_RESOLVER].contains(&code);
        if !is_of_a_name && self.verdicts.len() < MAX_VERDICTS {
            self.verdicts.insert(number, brief);
        }
        (brief, family)
    }

    /// The place of a receiver.
    pub(super) fn provider(&self, id: &str) -> u16 {
        self.providers.get(id).copied().unwrap_or_default()
    }

    /// The place of a cause.
    pub(super) fn cause(&self, code: &str) -> u16 {
        self.causes.get(code).copied().unwrap_or_default()
    }
}

/// Our own address, where the reply names it: one of the session's protocol that is not the
/// other side's. Black lists answer with addresses too, of `127.0.0.0/8`.
fn own_address(answer: &Answer<'_>, family: Family) -> Option<IpAddr> {
    if !matches!(answer.manner, Manner::Said | Manner::RefusedToTalk) {
        return None;
    }
    let peer = answer.peer.and_then(|peer| peer.ip());
    within(answer.said).find(|address| {
        let fits = match family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            Family::None => true,
        };
        fits && Some(*address) != peer && !address.is_loopback() && !address.is_unspecified()
    })
}

/// A number for words, whatever ids, addresses and counts stand between them.
pub(super) fn wording(said: &[u8]) -> u64 {
    let mut hash = Hash::default();
    let words = said.split(u8::is_ascii_whitespace);
    let is_own = |word: &&[u8]| {
        !word
            .iter()
            .any(|byte| byte.is_ascii_digit() || *byte == b'@')
    };
    for word in words.filter(|word| !word.is_empty()).filter(is_own) {
        hash.add(word);
    }
    hash.number()
}
