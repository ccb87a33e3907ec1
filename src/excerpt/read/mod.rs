//! One whole line at a time: which of the known forms it has, and what stands in it.
//!
//! Forms are found anywhere in a line, for people cut lines at any place and write around them.
//! Must not know how lines were broken.

mod hosts;
mod reply;

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::excerpt::wrap::{is_enhanced, is_time, log_line};
use crate::excerpt::{Ending, Kind, Sighting};
use crate::postfix::log::{Line, Manner, Peer, Severity};
use hosts::{hosts, in_parentheses, is_closed, peer, port_of, recipient_before, set_address};
use reply::{coded, start_of_reply};

/// The most words that are kept of a text that has no form.
const LOOSE: usize = 4000;

/// Words that Postfix prints of itself, in lines that tell of no other host; at the end those of
/// Exim and qmail.
const OWN: [&str; 89] = [
    "unknown mail transport error",
    "mail transport unavailable",
    "host or domain name not found",
    "name service error for",
    "tls is required, but",
    "cannot start tls",
    "ssl_connect error",
    "tls library problem",
    "certificate verification failed",
    "server certificate not",
    "loops back to myself",
    "mail forwarding loop",
    "open database ",
    "unsupported dictionary type",
    "unsupported map type",
    "is the postfix-lmdb package",
    "is unavailable. ",
    " lookup error for ",
    "expecting \"type:name\" form",
    "smtps wrappermode",
    "connect to transport ",
    "bad command startup",
    "unknown user: ",
    "user unknown in ",
    "user unknown. command output",
    "malformed name server reply",
    "malformed or unexpected name server reply",
    "delivery temporarily suspended",
    "alias database unavailable",
    "local configuration error",
    "local data error while talking to",
    "network is unreachable",
    "cannot assign requested address",
    "connection timed out",
    "operation timed out",
    "connection refused",
    "no route to host",
    "lost connection",
    "bad address syntax",
    "command died with",
    "command time limit exceeded",
    "exceeds size limit",
    "does not accept mail (nullmx)",
    "unable to look up host",
    "transport is unavailable",
    "name server loop for",
    "malformed domain name in resource",
    "numeric domain name in resource",
    "no tlsa records found",
    "tlsa records unusable",
    "mx rrset is insecure",
    "non dnssec destination",
    "tlsa lookup error",
    "offered no supported auth",
    "offered null auth",
    "sasl authentication failed;",
    "maildir delivery failed",
    "cannot update mailbox",
    "cannot append message to file",
    "delivery failed to mailbox",
    "smtp_connect_addr: bind",
    "has a valid address record",
    "unable to find primary relay",
    "user has moved to",
    "too many hops",
    "dns reply filter",
    "smtputf8 is required",
    "address resolver failure",
    "unreadable mail queue entry",
    "client tls configuration problem",
    "with my own hostname",
    "mail to command is restricted",
    "mail to file is restricted",
    "deferred transport",
    "create maildir file",
    "host found but no data record",
    "null recipient address",
    "alias database loop",
    "invalid host or domain name",
    "server unavailable or unable to receive",
    "retry timeout exceeded",
    "have been failing for a long time",
    "lowest numbered mx record",
    "all relevant mx records",
    "couldn't find any host",
    "find a mail exchanger or ip address",
    "able to establish an smtp connection",
    "cname lookup failed",
    "no recipients specified",
];

static OWN_WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .ascii_case_insensitive(true)
        .build(OWN);
    words.expect("the words are few and short")
});

/// What stands before the name of the host whose reply is told without it: so do Sendmail and
/// Exchange.
const TALKING: [&str; 4] = [
    "while talking to ",
    "Remote server: ",
    "Remote Server: ",
    "rejected your message: ",
];

/// What words of another program end in before they tell a reply.
const TOLD: [&str; 4] = ["said", "replied", "responded", "response"];

/// What lines around a delivery report said.
#[derive(Default)]
struct Fields {
    recipient: Option<String>,
    host: Option<String>,
    status: String,
    diagnostic: Option<String>,
    /// Whether the diagnostic is Postfix's own, and no other host's.
    is_own: bool,
}

/// Reads whole lines.
pub(super) fn sightings(lines: &[String]) -> Vec<Sighting> {
    let mut seen = Vec::new();
    let mut fields = Fields::default();
    // The host that Sendmail and its like name a line before its reply.
    let mut talking_to = None;
    for line in lines {
        if field(line, &mut fields, &mut seen) {
            continue;
        }
        let before = seen.len();
        read_line(line, &mut seen);
        // Exchange names it behind the reply too.
        let host = TALKING.iter().find_map(|mark| after(line, mark));
        let host = host.map(|host| host.trim_end_matches(['.', ':']));
        if let Some(host) = host.filter(|host| host.contains('.')) {
            talking_to = Some(host.to_owned());
        }
        for sighting in seen.iter_mut().skip(before) {
            if sighting.host.is_none() && sighting.kind == Kind::Reply {
                sighting.host.clone_from(&talking_to);
            }
        }
    }
    flush(&mut fields, &mut seen);
    let nameless = |one: &&mut Sighting| one.host.is_none() && one.kind == Kind::Reply;
    for sighting in seen.iter_mut().filter(nameless) {
        sighting.host.clone_from(&talking_to);
    }
    if seen.is_empty() {
        let mut words = lines.join(" ");
        if let Some((end, _)) = words.char_indices().nth(LOOSE) {
            words.truncate(end);
        }
        if words.chars().any(char::is_alphanumeric) {
            seen.push(Sighting {
                words,
                ..Sighting::default()
            });
        }
    }
    seen
}

/// Takes a field of a delivery report (RFC 3464, 2.3); false where the line is none.
fn field(line: &str, fields: &mut Fields, seen: &mut Vec<Sighting>) -> bool {
    let Some((name, value)) = line.split_once(':') else {
        return false;
    };
    let value = value.trim();
    // The type before the semicolon: `rfc822; user@example.org`.
    let typed = value
        .split_once(';')
        .map_or(value, |(_, value)| value)
        .trim();
    let bare = |text: &str| text.trim_matches(['<', '>', '.']).to_owned();
    match name.trim().to_ascii_lowercase().as_str() {
        "final-recipient" => {
            flush(fields, seen);
            fields.recipient = Some(bare(typed));
        }
        "original-recipient" => {
            fields.recipient.get_or_insert_with(|| bare(typed));
        }
        "remote-mta" => fields.host = Some(bare(typed)),
        "status" if value.split(' ').next().is_some_and(is_enhanced) => {
            value
                .split(' ')
                .next()
                .unwrap_or_default()
                .clone_into(&mut fields.status);
        }
        "diagnostic-code" => {
            fields.is_own = value.to_ascii_lowercase().starts_with("x-postfix");
            fields.diagnostic = Some(typed.to_owned());
        }
        _ => return false,
    }
    true
}

/// Makes a sighting of the fields of one recipient.
fn flush(fields: &mut Fields, seen: &mut Vec<Sighting>) {
    let Fields {
        recipient,
        host,
        status,
        diagnostic,
        is_own,
    } = std::mem::take(fields);
    let before = seen.len();
    if let Some(diagnostic) = diagnostic {
        // What stands behind a code is all of one reply, whatever hosts it tells of.
        if coded(&diagnostic) != Some(0) {
            hosts(&diagnostic, &Around::default(), seen);
        }
        if seen.len() == before {
            let manner = if is_own { Manner::Own } else { Manner::Said };
            seen.push(Sighting {
                manner,
                ..reply::sighting(&diagnostic)
            });
        }
    } else if !status.is_empty() && !status.starts_with('2') {
        seen.push(Sighting {
            manner: Manner::Said,
            ..Sighting::default()
        });
    }
    for sighting in seen.iter_mut().skip(before) {
        sighting.kind = Kind::Report;
        if sighting.host.is_none() {
            sighting.host.clone_from(&host);
        }
        sighting.recipient = sighting.recipient.take().or_else(|| recipient.clone());
        if sighting.dsn.is_empty() {
            sighting.dsn.clone_from(&status);
        }
    }
}

/// What a line says beside the words of a host.
#[derive(Default)]
struct Around {
    queue_id: Option<String>,
    recipient: Option<String>,
    kind: Option<Kind>,
}

/// Reads one line.
fn read_line(line: &str, seen: &mut Vec<Sighting>) {
    let parsed = log_line(line.as_bytes());
    let head = parsed.unwrap_or_else(|| Line::bare(line.as_bytes()));
    let is_log = parsed.is_some();
    let (queue_id, text) = queue_id(&head);
    let text = String::from_utf8_lossy(text);
    let text = text.as_ref();
    let before = seen.len();
    let around = Around {
        queue_id,
        kind: is_log.then_some(Kind::Attempt),
        recipient: None,
    };
    if let Some(at) = text.find("status=") {
        delivery(text, at, &around, seen);
    } else if let Some(at) = text.find("stat=") {
        sendmail(text, at, &around, seen);
    } else if let Some(at) = text
        .find("reject: ")
        .filter(|_| is_log || text.contains("NOQUEUE"))
    {
        refusal(text, at, &around, seen);
    } else if !exim(text, seen) {
        hosts(text, &around, seen);
    }
    if seen.len() > before {
        return;
    }
    // What stands behind a code is a reply, whatever it says.
    let is_reply = || !is_log && coded(text).is_some();
    let own = || own(text).filter(|_| !is_reply());
    if let Some(sighting) = trouble(text).or_else(own) {
        seen.push(Sighting {
            queue_id: around.queue_id,
            ..sighting
        });
    } else if let Some(at) = start_of_reply(text).filter(|_| !is_log) {
        seen.push(reply_at(text, at));
    }
}

/// Splits the queue id off what a program said.
fn queue_id<'a>(head: &Line<'a>) -> (Option<String>, &'a [u8]) {
    let text = head.text;
    let id = head.record().queue_id;
    match id {
        Some(id) => (
            Some(String::from_utf8_lossy(id).into_owned()),
            text.get(id.len() + 2..).unwrap_or_default(),
        ),
        None => (None, text),
    }
}

/// Reads a delivery line, as much of it as there is.
fn delivery(text: &str, at: usize, around: &Around, seen: &mut Vec<Sighting>) {
    let (fields, rest) = text.split_at(at);
    let rest = rest.strip_prefix("status=").unwrap_or(rest);
    let status = rest.split([' ', '(']).next().unwrap_or_default();
    let ending = match status {
        "sent" | "deliverable" => Ending::Sent,
        "deferred" => Ending::Deferred,
        _ => Ending::Failed,
    };
    // What another line, run together with this one, said before.
    let to = fields
        .rfind("to=<")
        .filter(|at| !fields.get(..*at).unwrap_or_default().ends_with("orig_"));
    let to = to.or_else(|| fields.find("to=<"));
    let earlier = to.map_or("", |to| fields.get(..to).unwrap_or_default());
    if earlier.contains(" said: ") || earlier.contains("refused to talk") {
        hosts(earlier, around, seen);
    }
    let words = rest.get(status.len()..).unwrap_or_default().trim_start();
    let is_cut = !is_closed(words);
    let (words, more) = in_parentheses(words);
    let recipient = first_recipient(fields);
    let inside = Around {
        queue_id: around.queue_id.clone(),
        recipient,
        kind: Some(Kind::Delivery(ending)),
    };
    let first = seen.len();
    if ending != Ending::Sent {
        hosts(words, &inside, seen);
    }
    if seen.len() == first {
        seen.push(Sighting {
            kind: Kind::Delivery(ending),
            recipient: inside.recipient,
            queue_id: inside.queue_id,
            ..if ending == Ending::Sent {
                Sighting {
                    manner: Manner::Own,
                    ..reply::sighting(words)
                }
            } else {
                Sighting {
                    words: words.to_owned(),
                    ..Sighting::default()
                }
            }
        });
    }
    // In brackets there may be words in place of an address.
    let relay = fields.split_once("relay=").map(|(_, relay)| relay);
    let is_here = relay.is_some_and(|relay| {
        let word = relay.split([' ', ',']).next().unwrap_or_default();
        Peer::parse(word.as_bytes()).is_here()
    });
    let (name, address) = relay.map(peer).unwrap_or_default();
    let behind = relay.and_then(|relay| relay.split_once(']'));
    let port = behind.and_then(|(_, behind)| port_of(behind));
    for sighting in seen.iter_mut().skip(first) {
        sighting.is_cut |= is_cut;
        sighting.port = sighting.port.or(port);
        if let Some(dsn) = after(fields, "dsn=") {
            dsn.trim_end_matches(',').clone_into(&mut sighting.dsn);
        }
        if sighting.host.is_none() && address.is_some() {
            sighting.host = name.map(str::to_owned);
            set_address(sighting, address);
        }
        sighting.here |= is_here && sighting.host.is_none();
    }
    if !more.is_empty() {
        hosts(more, around, seen);
    }
}

/// The recipient of a delivery line: quotes may hold anything (RFC 5321, 4.1.2).
fn first_recipient(fields: &str) -> Option<String> {
    let at = fields
        .match_indices("to=<")
        .map(|(at, _)| at)
        .find(|at| !fields.get(..*at).unwrap_or_default().ends_with("orig_"))
        .or_else(|| fields.find("to=<"))?;
    let text = fields.get(at + "to=<".len()..)?;
    if text.starts_with('"') {
        let end = text.find(">, ").or_else(|| text.find('>'))?;
        return text.get(..end).map(str::to_owned);
    }
    // No blank stands in an address: there the text was broken.
    let address: String = text.get(..text.find('>')?)?.split_whitespace().collect();
    Some(address).filter(|address| !address.is_empty())
}

/// Reads Sendmail's delivery line.
fn sendmail(text: &str, at: usize, around: &Around, seen: &mut Vec<Sighting>) {
    let (fields, words) = text.split_at(at);
    let words = words.strip_prefix("stat=").unwrap_or(words);
    let ending = if words.starts_with("Sent") {
        Ending::Sent
    } else if words.starts_with("Deferred") {
        Ending::Deferred
    } else {
        Ending::Failed
    };
    let words = words.strip_prefix("Deferred: ").unwrap_or(words);
    let value = |key| after(fields, key).map(|value| value.trim_end_matches(','));
    let recipient = value("to=").map(|to| to.trim_matches(['<', '>']).to_owned());
    let relay = fields.find("relay=").and_then(|at| fields.get(at + 6..));
    let name = relay
        .and_then(|relay| relay.split([',', ' ']).next())
        .unwrap_or_default();
    let mut sighting = Sighting {
        kind: Kind::Delivery(ending),
        queue_id: around.queue_id.clone(),
        recipient,
        host: Some(name.trim_end_matches('.').to_owned()).filter(|name| !name.is_empty()),
        dsn: value("dsn=").unwrap_or_default().to_owned(),
        manner: Manner::Said,
        ..reply::sighting(words)
    };
    // Its own words: `Deferred: Connection refused by mx.example.org.`
    if sighting.code.is_none() && words.starts_with("Connection ") {
        sighting.manner = Manner::NotConnected;
    }
    let address = relay.and_then(|relay| relay.split('[').nth(1)?.split(']').next());
    set_address(&mut sighting, address);
    seen.push(sighting);
}

/// Reads the line in which this host refuses a client.
fn refusal(text: &str, at: usize, around: &Around, seen: &mut Vec<Sighting>) {
    let rest = text.get(at + "reject: ".len()..).unwrap_or_default();
    let Some((_, said)) = rest.split_once(": ") else {
        return;
    };
    let said = said.split("; from=<").next().unwrap_or(said);
    seen.push(Sighting {
        kind: Kind::Refusal,
        queue_id: around.queue_id.clone(),
        recipient: first_recipient(rest),
        ..reply::sighting(said)
    });
}

/// Reads Exim's line; false where it is none.
fn exim(text: &str, seen: &mut Vec<Sighting>) -> bool {
    let Some(at) = text.find("SMTP error from remote mail") else {
        return false;
    };
    let (before, said) = text.split_at(at);
    let Some(start) = coded(said) else {
        return false;
    };
    let mut sighting = Sighting {
        kind: Kind::Report,
        manner: if said.contains("after initial connection") {
            Manner::RefusedToTalk
        } else {
            Manner::Said
        },
        ..reply::sighting(said.get(start..).unwrap_or_default())
    };
    let host = after(before, "H=").or_else(|| after(before, "host "));
    let host = host.or_else(|| after(said, "host "));
    sighting.host = host.map(|host| host.trim_end_matches([':', '.']).to_owned());
    let address = before.rsplit('[').next().filter(|_| before.contains('['));
    set_address(
        &mut sighting,
        address.and_then(|rest| rest.split(']').next()),
    );
    let mut words = before
        .split(' ')
        .skip_while(|word| !matches!(*word, "**" | "=="));
    let recipient = words.nth(1).or_else(|| {
        before
            .split([' ', '<', '>'])
            .find(|word| word.contains('@'))
    });
    sighting.recipient = recipient.map(|word| word.trim_matches(['<', '>', ':']).to_owned());
    seen.push(sighting);
    true
}

/// Reads what a program says of its own end.
fn trouble(text: &str) -> Option<Sighting> {
    let marks = [
        ("panic: ", Severity::Panic),
        ("fatal: ", Severity::Fatal),
        ("error: ", Severity::Error),
        ("warning: ", Severity::Warning),
    ];
    let (at, severity) = marks.into_iter().find_map(|(mark, severity)| {
        let at = text.find(mark)?;
        let before = text.get(..at)?.trim_end();
        // Only a program's name, a time or another severity may stand before.
        let names = before.is_empty()
            || before.split_ascii_whitespace().count() <= 2 && before.ends_with(':')
            || is_time(before);
        names.then_some((at, severity))
    })?;
    Some(Sighting {
        kind: Kind::Trouble(severity),
        // How bad it is belongs to the words: `fatal: parameter …`.
        words: text.get(at..)?.to_owned(),
        ..Sighting::default()
    })
}

/// Reads Postfix's own words where nothing is around them that says whose they are.
fn own(text: &str) -> Option<Sighting> {
    let at = OWN_WORDS.find(text)?.start();
    // A parenthesis, as `mailq` has it, holds them all; else they are a sentence of a text.
    let before = text.get(..at)?;
    let open = before
        .rfind('(')
        .filter(|open| !before.get(*open..).unwrap_or_default().contains(')'));
    let (words, recipient) = match open {
        Some(open) => {
            let (words, more) = in_parentheses(text.get(open..)?);
            let behind = more.split(' ').find(|word| word.contains('@'));
            (
                words,
                behind.map(|word| word.trim_matches(['<', '>']).to_owned()),
            )
        }
        None if text.len() < 600 => {
            let colon = before.find(">: ").or_else(|| {
                before
                    .find(": ")
                    .filter(|at| before.get(..*at).unwrap_or_default().contains('@'))
            });
            let start = colon.map_or(0, |colon| colon + 2);
            (
                text.get(start..)?.trim_start(),
                colon.and_then(|colon| {
                    recipient_before(
                        text.get(..=colon + usize::from(text.get(colon..)?.starts_with('>')))?,
                    )
                }),
            )
        }
        None => {
            let start = before.rfind(". ").map_or(0, |stop| stop + 2);
            let end = text
                .get(at..)?
                .find(". ")
                .map_or(text.len(), |stop| at + stop);
            (text.get(start..end)?, None)
        }
    };
    let named = words.split(' ').find_map(|word| match peer(word) {
        (name, address @ Some(_)) if name.is_some_and(|name| name.contains('.')) => {
            Some((name, address))
        }
        _ => None,
    });
    // Exim: `H=mx.example.org [192.0.2.1]`.
    let named = named.or_else(|| after(text, "H=").map(|name| (Some(name), None)));
    let (host, address) = named.unwrap_or_default();
    let mut sighting = Sighting {
        kind: Kind::Own,
        host: host.map(str::to_owned),
        recipient,
        suspended: words.starts_with("delivery temporarily suspended"),
        words: words
            .strip_prefix("delivery temporarily suspended: ")
            .unwrap_or(words)
            .to_owned(),
        ..Sighting::default()
    };
    set_address(&mut sighting, address);
    Some(sighting)
}

/// A reply that stands alone, or behind words of another program.
fn reply_at(text: &str, at: usize) -> Sighting {
    let before = text.get(..at).unwrap_or_default();
    let said = text.get(at..).unwrap_or_default();
    let mut sighting = Sighting {
        kind: Kind::Reply,
        manner: Manner::Said,
        ..reply::sighting(said)
    };
    // Words before the first code belong to a reply whose beginning was cut off.
    let alone = before.trim_matches(|c: char| !c.is_alphanumeric());
    let (name, address) = reply::host_before(before);
    sighting.host = name.map(str::to_owned);
    set_address(&mut sighting, address);
    sighting.recipient = recipient_before(before.trim_end()).or_else(|| only_address(before));
    let is_told = TOLD.iter().any(|told| alone.ends_with(told));
    let is_of_it = !alone.is_empty() && !is_told;
    if is_of_it && sighting.host.is_none() && sighting.recipient.is_none() {
        sighting.words = format!("{} {}", before.trim(), sighting.words);
    }
    sighting
}

/// The one mail address in what stands before a reply: that of the recipient.
fn only_address(before: &str) -> Option<String> {
    let is_edge = |c: char| !c.is_alphanumeric();
    let mut addresses = before
        .split([' ', '<', '>', '(', ')', ',', ';', '"'])
        .map(|word| word.trim_matches(is_edge))
        .filter(|word| {
            word.split_once('@')
                .is_some_and(|(_, domain)| domain.contains('.'))
        });
    let first = addresses.next()?;
    addresses
        .all(|other| other.eq_ignore_ascii_case(first))
        .then(|| first.to_owned())
}

/// The word behind a mark.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let rest = text.get(text.find(mark)? + mark.len()..)?;
    rest.split(' ').next().filter(|word| !word.is_empty())
}
