//! The domains mail is sent for, and what the log tells of them.
//!
//! Owns which domains are this host's own to answer for: those of the site file, `myorigin`, and
//! senders in the log whose domain Postfix lists as its own. Whom others' mail is forwarded for
//! is not judged, unless the domain does not exist at all.
//! Must not know what DNS says. From in the header is not logged and not known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::departure::addresses_named;
use crate::dns::Name;
use crate::finding::Finding;
use crate::postfix::log::{Answer, Event, Line, Marker};
use crate::site::{Control, Site};

/// Most domains of the log that are looked at, the most frequent first.
const MOST: usize = 100;

/// Most receivers of the log whose route is asked for.
const MOST_RELAYS: usize = 50;

/// A domain that mail is sent for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sender {
    /// The domain.
    #[serde(skip)]
    pub domain: Name,
    /// The same as text.
    pub name: String,
    /// How it is known.
    pub known_by: BTreeSet<KnownBy>,
    /// How many messages of it the log tells of that went to other hosts.
    pub messages: usize,
    /// Who controls its zone, if the site file says.
    #[serde(skip)]
    pub control: Option<Control>,
}

/// How a domain is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// The site file names it.
    Site,
    /// It was named on the command line.
    Asked,
    /// `myorigin` is added to senders without a domain.
    Myorigin,
    /// The log has senders of it, and Postfix lists it as its own.
    Own,
    /// The log has senders of it whose mail was handed in here: by a local program, or after
    /// authentication.
    Submitted,
    /// The log has senders of it.
    Logged,
}

impl KnownBy {
    /// In words.
    #[must_use]
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Site => "the site file",
            Self::Asked => "the command line",
            Self::Myorigin => "`myorigin`",
            Self::Own => "the log and the lists of own domains",
            Self::Submitted => "mail that was handed in here",
            Self::Logged => "the log",
        }
    }
}

impl Sender {
    /// Makes a domain that is known by one thing.
    #[must_use]
    pub fn new(domain: Name, by: KnownBy) -> Self {
        Self {
            name: domain.host(),
            domain,
            known_by: [by].into(),
            messages: 0,
            control: None,
        }
    }

    /// Tells whether the host has to answer for it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let ours = [
            KnownBy::Site,
            KnownBy::Asked,
            KnownBy::Myorigin,
            KnownBy::Own,
        ];
        ours.iter().any(|by| self.known_by.contains(by))
    }
}

/// That there is nothing to check.
pub(super) fn none_known() -> Finding {
    Finding::warning(
        "no-sender",
        "no domain is known that mail is sent for, so none was checked",
    )
    .mend("name the domains in mailfix.toml; `mailfix init` makes one")
}

/// That senders without a domain get one that is none.
pub(super) fn bad_origin(origin: &str) -> Finding {
    Finding::warning("myorigin-no-domain", format!("`myorigin = {origin}` is no domain that the world knows"))
        .because("mail of local users and programs leaves with a sender nobody can answer, and many receivers refuse it")
        .mend("set `myorigin` in main.cf to a domain of yours")
}

/// What the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// Domains of envelope senders of mail that went to other hosts.
    pub senders: BTreeMap<String, Count>,
    /// Addresses of hosts it went to, the most frequent first.
    pub relays: Vec<IpAddr>,
    /// Addresses that these hosts named in their replies, their own left out.
    pub quoted: BTreeSet<IpAddr>,
}

/// How many messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub all: usize,
    /// Those handed in by a local program or after authentication.
    pub submitted: usize,
}

impl Logged {
    /// Reads a log: what left by smtp(8), and whose it was.
    #[must_use]
    pub fn read(log: &[u8]) -> Self {
        let mut logged = Self::default();
        let mut gone: HashSet<&[u8]> = HashSet::new();
        let mut relays: HashMap<IpAddr, usize> = HashMap::new();
        for text in Marker::new(b" status=").lines(log) {
            let Some(line) = Line::parse(text).filter(|line| line.daemon() == b"smtp") else {
                continue;
            };
            let record = line.record();
            if let Event::Delivery(delivery) = record.event {
                gone.extend(record.queue_id);
                if let Some(relay) = delivery.relay.ip() {
                    *relays.entry(relay).or_default() += 1;
                }
                logged.quote(&delivery.answer());
            }
        }
        for text in Marker::new(b" said: ").lines(log) {
            if let Some(line) = Line::parse(text)
                && let Event::Attempt(answer) = line.record().event
            {
                logged.quote(&answer);
            }
        }
        let mut relays: Vec<(usize, IpAddr)> =
            relays.into_iter().map(|(ip, count)| (count, ip)).collect();
        relays.sort_by_key(|&(count, ip)| (std::cmp::Reverse(count), ip));
        logged.relays = relays
            .into_iter()
            .take(MOST_RELAYS)
            .map(|(_, ip)| ip)
            .collect();
        logged.count(log, &gone);
        logged
    }

    fn count(&mut self, log: &[u8], gone: &HashSet<&[u8]>) {
        let mut submitted: HashSet<&[u8]> = HashSet::new();
        for text in Marker::new(b"sasl_username=").lines(log) {
            submitted.extend(Line::parse(text).and_then(|line| line.record().queue_id));
        }
        let mut counted: HashSet<&[u8]> = HashSet::new();
        for text in Marker::new(b" from=<").lines(log) {
            let Some(line) = Line::parse(text) else {
                continue;
            };
            let record = line.record();
            let Some(id) = record.queue_id else {
                continue;
            };
            match record.event {
                Event::Submitted { .. } => {
                    submitted.insert(id);
                }
                // A message that waits comes into the active queue again and again.
                Event::Queued { from, .. } if gone.contains(id) && counted.insert(id) => {
                    if let Some(domain) = domain_of(from) {
                        let count = self.senders.entry(domain).or_default();
                        count.all += 1;
                        count.submitted += usize::from(submitted.contains(id));
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes the addresses that a host named in a reply of its own.
    fn quote(&mut self, answer: &Answer<'_>) {
        self.quoted.extend(addresses_named(answer));
    }
}

/// The domain behind an envelope sender, if DNS can be asked for it.
fn domain_of(from: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(from).ok()?;
    let (_, domain) = text.rsplit_once('@')?;
    let name: Name = domain.parse().ok()?;
    (name.is_host_name() && name.labels().count() > 1).then(|| name.host())
}

/// The domains to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those the host answers for.
    pub ours: Vec<Sender>,
    /// Others in the log, of which only is asked whether they exist.
    pub strangers: Vec<Sender>,
    /// How many more the log has.
    pub left_out: usize,
    /// What `myorigin` is, where it is no domain.
    pub no_origin: Option<String>,
}

/// Puts together what is known. `origins` are the values of `myorigin`; `own` are the domains of
/// the log that Postfix lists as its own.
#[must_use]
pub fn gather(
    site: Option<&Site>,
    origins: &BTreeSet<String>,
    own: &BTreeSet<String>,
    logged: &Logged,
) -> Found {
    let mut found = Found::default();
    let mut senders: BTreeMap<Name, Sender> = BTreeMap::new();
    let mut order: Vec<Name> = Vec::new();
    let mut add = |domain: Name, by: KnownBy| {
        if !senders.contains_key(&domain) {
            order.push(domain.clone());
        }
        let sender = senders
            .entry(domain.clone())
            .or_insert_with(|| Sender::new(domain, by.clone()));
        sender.known_by.insert(by.clone());
        if by == KnownBy::Site {
            sender.control = site.map(|site| site.dns.forward);
        }
    };
    let declared = site.iter().flat_map(|site| &site.domains);
    for domain in declared.filter_map(|domain| domain.parse().ok()) {
        add(domain, KnownBy::Site);
    }
    for origin in origins {
        match origin.parse::<Name>() {
            Ok(name) if name.is_host_name() && name.labels().count() > 1 => {
                add(name, KnownBy::Myorigin);
            }
            _ => found.no_origin = Some(origin.clone()),
        }
    }
    let mut logged: Vec<(&String, &Count)> = logged.senders.iter().collect();
    logged.sort_by_key(|(domain, count)| (std::cmp::Reverse(count.all), *domain));
    found.left_out = logged.len().saturating_sub(MOST);
    let mut counts = BTreeMap::new();
    for (domain, count) in logged.into_iter().take(MOST) {
        let Ok(name) = domain.parse::<Name>() else {
            continue;
        };
        let by = if own.contains(domain) {
            KnownBy::Own
        } else {
            KnownBy::Logged
        };
        add(name.clone(), by);
        if count.submitted > 0 {
            add(name.clone(), KnownBy::Submitted);
        }
        counts.insert(name, count.all);
    }
    for name in order {
        let Some(mut sender) = senders.remove(&name) else {
            continue;
        };
        sender.messages = counts.get(&name).copied().unwrap_or_default();
        if sender.is_ours() {
            found.ours.push(sender);
        } else {
            found.strangers.push(sender);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
Nov 25 10:00:00 m postfix/pickup[1]: A1B2C3: uid=498 from=<nginx>
Nov 25 10:00:00 m postfix/qmgr[2]: A1B2C3: from=<nginx@hoge.example>, size=930, nrcpt=1 (queue active)
Nov 25 10:00:01 m postfix/smtp[3]: A1B2C3: host mx.google.com[2001:db8:1::1b] said: 421-4.7.0 [2001:db8:9::444      15] Our system has detected an 421-4.7.0 unusual rate. http://x.example/?ip=2001:db8::dead - gsmtp (in reply to end of DATA command)
Nov 25 10:00:02 m postfix/smtp[3]: A1B2C3: to=<a@b.example>, relay=mx.google.com[192.0.2.26]:25, delay=4.7, delays=0/0/2/1, dsn=2.0.0, status=sent (250 2.0.0 OK gsmtp)
Nov 25 10:05:00 m postfix/qmgr[2]: A1B2C3: from=<nginx@hoge.example>, size=930, nrcpt=1 (queue active)
Nov 25 10:00:03 m postfix/smtpd[4]: B1B2C3: client=c[192.0.2.9], sasl_method=PLAIN, sasl_username=joe
Nov 25 10:00:03 m postfix/qmgr[2]: B1B2C3: from=<joe@own.example>, size=9, nrcpt=1 (queue active)
Nov 25 10:00:04 m postfix/smtp[3]: B1B2C3: to=<a@c.example>, relay=mx.c.example[192.0.2.27]:25, delay=1, delays=0/0/2/1, dsn=2.0.0, status=sent (250 see [192.0.2.1])
Nov 25 10:00:05 m postfix/qmgr[2]: C1B2C3: from=<x@other.example>, size=9, nrcpt=1 (queue active)
Nov 25 10:00:06 m postfix/smtp[3]: C1B2C3: to=<a@c.example>, relay=mx.c.example[192.0.2.27]:25, delay=1, delays=0/0/2/1, dsn=2.0.0, status=sent (250 ok)
Nov 25 10:00:05 m postfix/qmgr[2]: D1B2C3: from=<root@stays.example>, size=9, nrcpt=1 (queue active)
Nov 25 10:00:06 m postfix/local[3]: D1B2C3: to=<root@stays.example>, relay=local, delay=1, delays=0/0/2/1, dsn=2.0.0, status=sent (delivered to mailbox)
Nov 25 10:00:05 m postfix/qmgr[2]: E1B2C3: from=<>, size=9, nrcpt=1 (queue active)
Nov 25 10:00:06 m postfix/smtp[3]: E1B2C3: to=<a@c.example>, relay=none, delay=1, delays=0/0/2/1, dsn=4.4.1, status=deferred (connect to mx.c.example[192.0.2.27]:25: Connection refused)
";

    #[test]
    fn the_log_tells_who_sends_from_where_and_to_whom() {
        let logged = Logged::read(LOG.as_bytes());
        let senders: Vec<(&str, usize, usize)> = logged
            .senders
            .iter()
            .map(|(domain, count)| (domain.as_str(), count.all, count.submitted))
            .collect();
        assert_eq!(
            senders,
            [
                ("hoge.example", 1, 1),
                ("other.example", 1, 0),
                ("own.example", 1, 1)
            ]
        );
        let relays: Vec<String> = logged.relays.iter().map(ToString::to_string).collect();
        assert_eq!(relays, ["192.0.2.27", "192.0.2.26"]);
        let quoted: Vec<String> = logged.quoted.iter().map(ToString::to_string).collect();
        assert_eq!(quoted, ["2001:db8:9::444"]);
    }

    #[test]
    fn only_own_domains_are_answered_for() {
        let logged = Logged::read(LOG.as_bytes());
        let own = ["own.example".to_owned()].into();
        let origins = ["origin.example".to_owned(), "localhost".to_owned()].into();
        let found = gather(None, &origins, &own, &logged);
        let names = |senders: &[Sender]| {
            senders
                .iter()
                .map(|one| one.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&found.ours), ["origin.example", "own.example"]);
        assert_eq!(names(&found.strangers), ["hoge.example", "other.example"]);
        assert_eq!(found.no_origin.as_deref(), Some("localhost"));
        assert!(found.strangers[0].known_by.contains(&KnownBy::Submitted));
    }
}
