//! Addresses of people, made unknowable in what is shown.
//!
//! Owns [`Mask`]: within one output every address has one number, so that equal ones stay equal,
//! and nothing of its local part is left to be guessed from. Domains stay. Must not know what a
//! text is about.
//! Follows RFC 5321, 4.1.2 for addresses; the forms that carry one inside (VERP, `%`, SRS) keep it
//! in the local part, which goes whole.

use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// What stands in for a local part, its number behind it.
const STAND_IN: &str = "user";

/// Words with `=` behind them that name what follows, and are no part of an address.
const KEYS: [&str; 22] = [
    "to",
    "orig_to",
    "from",
    "user",
    "username",
    "sasl_username",
    "sasl_sender",
    "email",
    "e-mail",
    "mail",
    "addr",
    "address",
    "rcpt",
    "recipient",
    "sender",
    "mailfrom",
    "mfrom",
    "id",
    "s",
    "login",
    "account",
    "message-id",
];

/// Keys of Postfix and others behind which a name may stand without a domain.
const NAMING: [&str; 7] = [
    "to",
    "orig_to",
    "from",
    "user",
    "username",
    "sasl_username",
    "sasl_sender",
];

/// Local parts that are ordinary words too: alone they tell of nobody.
const WORDS: [&str; 30] = [
    "abuse",
    "account",
    "address",
    "admin",
    "bounce",
    "bounces",
    "contact",
    "domain",
    "email",
    "from",
    "host",
    "info",
    "list",
    "local",
    "mail",
    "mailbox",
    "message",
    "news",
    "office",
    "postmaster",
    "recipient",
    "root",
    "sales",
    "sender",
    "sent",
    "server",
    "service",
    "support",
    "test",
    "user",
];

/// The shortest local part that is looked for alone: shorter ones are in every other sentence.
const SHORTEST: usize = 3;

/// Keys of Postfix's lines: with `=` behind them they are nobody's name.
const KEYS_OF_LOGS: [&str; 14] = [
    "client",
    "conn_use",
    "delay",
    "delays",
    "dsn",
    "from",
    "helo",
    "message-id",
    "nrcpt",
    "orig_to",
    "proto",
    "relay",
    "size",
    "status",
];

/// How far a quoted local part may reach: RFC 5321, 4.5.3.1.3.
const LONGEST: usize = 256;

/// How many names are looked for alone in one text.
const MOST_ALONE: usize = 50;

/// Numbers for addresses.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    numbers: HashMap<String, usize>,
}

/// A local part found in a text, by its place.
struct Found {
    start: usize,
    end: usize,
    /// Behind what stands for `@`; the domain goes on from there, if there is one.
    domain: usize,
}

impl Mask {
    /// Begins an output.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Masks an address, or the name of a user of this host.
    pub fn address(&mut self, address: &str) -> String {
        if address.is_empty() {
            return String::new();
        }
        let (local, at, domain) = match address.rfind('@') {
            Some(at) => (
                address.get(..at).unwrap_or_default(),
                "@",
                address.get(at + 1..).unwrap_or_default(),
            ),
            None => (address, "", ""),
        };
        format!("{}{at}{domain}", self.stand_in(local, domain))
    }

    /// Masks every address in a text: a line of a log, a reply.
    pub fn text(&mut self, text: &str) -> String {
        self.text_about(text, &[])
    }

    /// Masks every address in a text, and the names of these addresses where they stand alone in
    /// it: `No such user 'joe' here`.
    pub fn text_about(&mut self, text: &str, about: &[&str]) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut alone: Vec<(String, String)> = Vec::new();
        let add = |local: &str, stand_in: &str, alone: &mut Vec<(String, String)>| {
            let all = std::iter::once(local).chain(names_in(local));
            for name in all.take(MOST_ALONE.saturating_sub(alone.len())) {
                alone.push((name.to_owned(), stand_in.to_owned()));
            }
        };
        for address in about {
            let masked = self.address(address);
            let local = |address: &str| match address.rfind('@') {
                Some(at) => address.get(..at).unwrap_or_default().to_owned(),
                None => address.to_owned(),
            };
            add(&local(address), &local(&masked), &mut alone);
        }
        let mut done = 0;
        while let Some(found) = next_address(text, done) {
            masked.push_str(text.get(done..found.start).unwrap_or_default());
            let local = text.get(found.start..found.end).unwrap_or_default();
            let domain = domain_at(text, found.domain);
            let stand_in = self.stand_in(local, domain);
            masked.push_str(&stand_in);
            add(local, &stand_in, &mut alone);
            done = found.end;
        }
        masked.push_str(text.get(done..).unwrap_or_default());
        for (local, stand_in) in alone {
            masked = without_word(&masked, &local, &stand_in);
        }
        masked
    }

    /// All addresses in a text, for [`text_about`](Self::text_about) other texts of the same matter.
    #[must_use]
    pub fn addresses(text: &str) -> Vec<String> {
        let (mut all, mut done) = (Vec::new(), 0);
        while let Some(found) = next_address(text, done) {
            let local = text.get(found.start..found.end).unwrap_or_default();
            let domain = domain_at(text, found.domain);
            let at = if domain.is_empty() { "" } else { "@" };
            all.push(format!("{local}{at}{domain}"));
            done = found.end;
            if all.len() == MOST_ALONE {
                break;
            }
        }
        all
    }

    fn stand_in(&mut self, local: &str, domain: &str) -> String {
        // Hosts tell apart what only they may; people write one address in many ways.
        let plain = local.trim_matches('"');
        let key = format!("{plain}@{}", domain.trim_end_matches('.')).to_lowercase();
        let next = self.numbers.len() + 1;
        let number = self.numbers.entry(key).or_insert(next);
        format!("{STAND_IN}{number}")
    }
}

/// Finds the next local part at or behind a place.
fn next_address(text: &str, from: usize) -> Option<Found> {
    let mut at = from;
    while at < text.len() {
        let rest = text.get(at..)?;
        // What comes first: a sign of an address, or a key behind which a bare name stands.
        let sign = rest.find(['@', '%', '=', '<'])? + at;
        let byte = text.as_bytes().get(sign).copied()?;
        let after = text.get(sign..)?;
        let found = match byte {
            b'@' => Some(1),
            // Percent-encoding, quoted-printable.
            _ if after.starts_with("%40") || after.starts_with("=40") => Some(3),
            _ => None,
        };
        if let Some(length) = found
            && let Some(found) = around(text, from, sign, length)
        {
            return Some(found);
        }
        if byte == b'='
            && let Some(found) = bare_name(text, from, sign)
        {
            return Some(found);
        }
        at = sign + 1;
    }
    None
}

/// The local part in front of an at-sign, if a domain follows it.
fn around(text: &str, from: usize, sign: usize, length: usize) -> Option<Found> {
    let domain = sign + length;
    let follows = text.get(domain..)?.chars().next();
    // A line may be cut off right behind the sign.
    if follows.is_some_and(|c| !c.is_alphanumeric() && c != '[') {
        return None;
    }
    // In a text that is encoded, `=40` and `%40` stand before a domain only.
    if length > 1 && !domain_at(text, domain).contains('.') {
        return None;
    }
    let before = text.get(from..sign)?;
    // The last sign of several is the one that counts: `a%40b@c`, `a@b@c`.
    let behind = domain_end(text, domain);
    if text.get(behind..).is_some_and(|rest| rest.starts_with('@')) || is_quoted(text, from, sign) {
        return None;
    }
    if before.ends_with('"') {
        let start = from + opening_quote(before)?;
        return Some(Found {
            start,
            end: sign,
            domain,
        });
    }
    let run = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_atom(*c) || *c == '@')
        .last()
        .map_or(sign, |(at, _)| from + at);
    let start = run + key_length(text, run, sign);
    // Trailing dots are none of a local part, nor is an empty one.
    (start < sign).then_some(Found {
        start,
        end: sign,
        domain,
    })
}

/// The name behind `to=<`, `user=` and the like, where no address stands there.
fn bare_name(text: &str, from: usize, equals: usize) -> Option<Found> {
    let key = text.get(from..equals)?;
    let start = key
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .last()
        .map_or(key.len(), |(at, _)| at);
    if !NAMING.contains(&key.get(start..)?.to_ascii_lowercase().as_str()) {
        return None;
    }
    let mut begin = equals + 1;
    let mut rest = text.get(begin..)?;
    let is_enclosed = rest.starts_with('<');
    if is_enclosed {
        begin += 1;
        rest = rest.get(1..)?;
    }
    let end = rest
        .find(|c: char| {
            if is_enclosed {
                c == '>'
            } else {
                c.is_whitespace() || matches!(c, ',' | ';' | ')' | '>' | '&')
            }
        })
        .unwrap_or(rest.len());
    let name = rest.get(..end)?;
    // An address is found by its own sign.
    let is_address = ["@", "%40", "=40"].iter().any(|sign| name.contains(sign));
    (!name.is_empty() && !is_address).then_some(Found {
        start: begin,
        end: begin + end,
        domain: text.len(),
    })
}

/// Tells whether a sign stands within a quoted local part.
fn is_quoted(text: &str, from: usize, sign: usize) -> bool {
    let rest = text.get(sign..).unwrap_or_default();
    let near = rest.char_indices().take(LONGEST);
    let mut closing = near.filter(|(at, c)| {
        *c == '"' && rest.get(at + 1..).is_some_and(|rest| rest.starts_with('@'))
    });
    closing.next().is_some_and(|(at, _)| {
        let before = text.get(from..=sign + at);
        let opening = before.and_then(opening_quote);
        opening.is_some_and(|opening| from + opening < sign)
    })
}

/// Where a quoted local part begins; the text ends with its closing quote.
fn opening_quote(text: &str) -> Option<usize> {
    let inside = text.get(..text.len() - 1)?;
    inside.char_indices().rev().find_map(|(at, c)| {
        let slashes = inside.get(..at)?.chars().rev().take_while(|c| *c == '\\');
        (c == '"' && slashes.count().is_multiple_of(2)).then_some(at)
    })
}

/// How much of a run of an address's signs is the key or the link in front of it.
fn key_length(text: &str, start: usize, end: usize) -> usize {
    let run = text.get(start..end).unwrap_or_default();
    // Of a link only what stands behind its last separator.
    let link = if run.contains("//")
        || text.get(..start).is_some_and(|text| text.ends_with(':')) && run.starts_with("//")
    {
        run.rfind(['/', '?', '&']).map_or(0, |at| at + 1)
    } else {
        0
    };
    let rest = run.get(link..).unwrap_or_default();
    let key = rest.find('=').filter(|equals| {
        let key = rest.get(..*equals).unwrap_or_default();
        KEYS.contains(&key.to_ascii_lowercase().as_str())
    });
    link + key.map_or(0, |equals| equals + 1)
}

/// Signs of a local part that is not quoted; letters of all scripts (RFC 6531).
fn is_atom(c: char) -> bool {
    c.is_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~.".contains(c)
        || (!c.is_ascii() && !c.is_whitespace())
}

fn domain_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let length = if rest.starts_with('[') {
        rest.find(']').map_or(rest.len(), |close| close + 1)
    } else {
        rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_'))
            .unwrap_or(rest.len())
    };
    start + length
}

fn domain_at(text: &str, start: usize) -> &str {
    text.get(start..domain_end(text, start))
        .unwrap_or_default()
        .trim_end_matches('.')
}

/// Replaces a name where it stands as a word of its own.
fn without_word(text: &str, word: &str, by: &str) -> String {
    let word = word.trim_matches('"');
    let is_stand_in = word
        .strip_prefix(STAND_IN)
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_ordinary = is_stand_in || WORDS.contains(&word.to_ascii_lowercase().as_str());
    if word.chars().count() < SHORTEST || is_ordinary {
        return text.to_owned();
    }
    let is_key = KEYS_OF_LOGS.contains(&word.to_ascii_lowercase().as_str());
    let (lower, wanted) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@');
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(&wanted) {
        let end = at + wanted.len();
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let mut behind = text.get(end..).unwrap_or_default().chars();
        let (next, after) = (behind.next(), behind.next());
        // A program is no file: `postfix/smtp`, but `/var/mail/joe.lock`.
        let is_path = is_path(text, at);
        let is_slash = |c: char| c == '/' && !is_path;
        // A dot goes on with a name, unless a sentence or the name of a file ends there.
        let is_dotted = next == Some('.') && after.is_some_and(char::is_alphanumeric) && !is_path;
        let goes_on = next.is_some_and(|c| is_part(c) || is_slash(c) || c == '=' && is_key);
        let begun = before.is_some_and(|c| is_part(c) || is_slash(c) || c == '.');
        if begun || goes_on || is_dotted || at < done {
            continue;
        }
        replaced.push_str(text.get(done..at).unwrap_or_default());
        replaced.push_str(by);
        done = end;
    }
    replaced.push_str(text.get(done..).unwrap_or_default());
    replaced
}

/// Tells whether a place lies within the name of a file.
fn is_path(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind(|c: char| c.is_whitespace() || "\"'(<[=,;:".contains(c));
    let run = before.get(start.unwrap_or_default()..).unwrap_or_default();
    run.trim_start_matches(|c: char| c.is_whitespace() || "\"'(<[=,;:".contains(c))
        .starts_with('/')
}

/// What of a local part may stand for the person where it stands alone: `joe` of `joe+list`,
/// and of those that carry another address inside.
fn names_in(local: &str) -> impl Iterator<Item = &str> {
    let is_srs = local
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("srs"));
    let last = local.rsplit_once('=').map(|(_, last)| last);
    // SRS has domains before the name, VERP one behind it; domains stay.
    let is_domain = move |part: &str| part.contains('.') && (is_srs || last == Some(part));
    let is_name = move |part: &&str| {
        part.contains(|c: char| !c.is_ascii_digit()) && part.len() < local.len() && !is_domain(part)
    };
    local.split(['+', '=', '%', '!']).filter(is_name)
}
