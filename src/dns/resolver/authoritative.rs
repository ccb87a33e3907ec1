//! The resolver that asks the servers of the zones themselves.
//!
//! Owns the way there, and what these servers have among them: a change is seen
//! at once, and where they do not all say the same, that is kept. Another
//! resolver finds out which servers they are; what it remembers of old is asked
//! no more than that.
//! Must not know what an answer is good for.
//! Follows RFC 1034, 4.2 and 5.3.3; RFC 2308, 2; RFC 2317; RFC 1982.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::{Asked, Miss};
use super::real::PORT;
use super::{Answer, DnsError, Resolver, side_by_side};
use crate::dns::message::{Fault, MAX_ALIASES, Query, Said};
use crate::dns::{Name, Record, RecordData, RecordType};

/// How long one server may take for one question.
const EACH: Duration = Duration::from_secs(4);

/// How often a silent server is asked in that time.
const ATTEMPTS: u32 = 3;

/// Most addresses asked for a zone: more than any zone has that means well.
const MAX_SERVERS: usize = 26;

/// How many servers of the zone above are tried.
const MAX_PARENTS: usize = 2;

/// Asks every server of the zone a name is in.
#[derive(Debug)]
pub struct AuthoritativeResolver<R> {
    recursive: R,
    port: u16,
    /// What was learned from a zone about a zone below it.
    delegations: Mutex<HashMap<Name, Delegation>>,
    zones: Mutex<HashMap<Name, Arc<OnceLock<Arc<Zone>>>>>,
    /// Servers that did not answer, which is waited for once only.
    gone: Mutex<HashMap<SocketAddr, Miss>>,
    differences: Mutex<BTreeMap<(Name, RecordType), Vec<Version>>>,
    faults: Mutex<BTreeSet<ServerFault>>,
}

/// A name server at one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameServer {
    /// Its name.
    pub name: Name,
    /// Where it is asked.
    pub address: SocketAddr,
}

/// What some of a zone's servers say where others say something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The servers.
    pub servers: Vec<NameServer>,
    /// Their version of the zone, as far as they tell it.
    pub serial: Option<u32>,
    /// What they say: an alias is a record like another here.
    pub answer: Answer,
}

/// One question that a zone's servers answer differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub kind: RecordType,
    /// Each answer, the one taken first.
    pub versions: Vec<Version>,
}

/// A server that a zone names and that is of no use to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerFault {
    /// The zone.
    pub zone: Name,
    /// The server's name.
    pub server: Name,
    /// The address it was asked at; none where it has none.
    pub address: Option<SocketAddr>,
    /// What is wrong, as a phrase behind the server's name.
    pub what: &'static str,
}

/// Who a zone says speaks for a zone below it.
#[derive(Clone, Debug, Default)]
struct Delegation {
    servers: BTreeSet<Name>,
    glue: BTreeSet<(Name, IpAddr)>,
}

/// A zone and whom to ask about it.
#[derive(Debug)]
struct Zone {
    apex: Name,
    servers: Vec<NameServer>,
}

/// What one server says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// This, itself.
    Answer(Answer),
    /// The name stands for another one; here is the record.
    Alias(Name, Record),
    /// Another zone begins on the way there.
    Below(Name),
}

impl<R: Resolver> AuthoritativeResolver<R> {
    /// Makes a resolver that learns from another one who speaks for a zone.
    pub fn new(recursive: R) -> Self {
        Self {
            recursive,
            port: PORT,
            delegations: Mutex::default(),
            zones: Mutex::default(),
            gone: Mutex::default(),
            differences: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Asks servers at another port than that of DNS.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What servers of one zone said differently so far.
    pub fn differences(&self) -> Vec<Difference> {
        let differences = lock(&self.differences);
        differences
            .iter()
            .map(|((name, kind), versions)| Difference {
                name: name.clone(),
                kind: *kind,
                versions: versions.clone(),
            })
            .collect()
    }

    /// Which servers were of no use so far.
    pub fn faults(&self) -> Vec<ServerFault> {
        lock(&self.faults).iter().cloned().collect()
    }

    /// The zone a name is in: the nearest one above that DNS knows servers of.
    fn zone_of(&self, name: &Name) -> Result<Arc<Zone>, DnsError> {
        let (apex, delegation) = self.find(name)?;
        Ok(self.zone(&apex, &delegation))
    }

    fn find(&self, name: &Name) -> Result<(Name, Delegation), DnsError> {
        let mut failure = None;
        let mut apex = Some(name.clone());
        while let Some(candidate) = apex {
            let known = lock(&self.delegations).get(&candidate).cloned();
            let delegation = known.map_or_else(|| self.servers_of(&candidate), |it| Ok(Some(it)));
            match delegation {
                Ok(Some(delegation)) => return Ok((candidate, delegation)),
                Ok(None) => {}
                Err(error) if error.is_silence() => return Err(error),
                // Where all servers of a zone fail, its parent tells which they are.
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
            apex = candidate.parent();
        }
        Err(failure.unwrap_or_else(|| DnsError::NoServer {
            name: name.clone(),
            kind: RecordType::Ns,
        }))
    }

    /// The servers of the zone that begins at a name; `None` where none does.
    fn servers_of(&self, name: &Name) -> Result<Option<Delegation>, DnsError> {
        let answer = self.recursive.lookup(name, RecordType::Ns)?;
        // An alias has no servers of its own: those are of the zone it leads to.
        let own = answer
            .records()
            .iter()
            .filter(|record| record.owner == *name);
        let servers: BTreeSet<Name> = own.filter_map(server_name).collect();
        Ok((!servers.is_empty()).then_some(Delegation {
            servers,
            glue: BTreeSet::new(),
        }))
    }

    /// A zone, with the addresses of its servers.
    fn zone(&self, apex: &Name, delegation: &Delegation) -> Arc<Zone> {
        let place = Arc::clone(lock(&self.zones).entry(apex.clone()).or_default());
        let zone = place.get_or_init(|| {
            let delegation = self.with_parent(apex, delegation);
            let servers = self.addresses(&delegation);
            for name in &delegation.servers {
                if !servers.iter().any(|server| server.name == *name) {
                    self.note(apex, name, None, "has no address");
                }
            }
            let mut seen = BTreeSet::new();
            let servers = servers.into_iter();
            Arc::new(Zone {
                apex: apex.clone(),
                servers: servers
                    .filter(|server| seen.insert(server.address))
                    .take(MAX_SERVERS)
                    .collect(),
            })
        });
        Arc::clone(zone)
    }

    /// Adds the servers that the zone above names: others come by way of these, also where the
    /// zone itself names them no more.
    fn with_parent(&self, apex: &Name, delegation: &Delegation) -> Delegation {
        let mut all = delegation.clone();
        // What the root names is well kept, and far away.
        let above = apex.parent().filter(|parent| !parent.is_root());
        let Some(Ok((parent, servers))) = above.map(|above| self.find(&above)) else {
            return all;
        };
        let query = Query::new(apex, RecordType::Ns, false);
        let said = self
            .addresses(&servers)
            .into_iter()
            .take(MAX_PARENTS)
            .find_map(|server| self.ask_server(&query, server.address).ok());
        if let Some(said) = said {
            all.learn(&parent, apex, &said);
        }
        all
    }

    /// The addresses of servers.
    fn addresses(&self, delegation: &Delegation) -> Vec<NameServer> {
        let questions: Vec<(&Name, RecordType)> = delegation
            .servers
            .iter()
            // A zone can name thousands.
            .take(MAX_SERVERS)
            .flat_map(|name| [(name, RecordType::A), (name, RecordType::Aaaa)])
            .collect();
        let answers = side_by_side(&questions, questions.len(), |(name, kind)| {
            self.recursive.lookup(name, *kind)
        });
        let mut found = BTreeSet::new();
        for ((name, _), answer) in questions.iter().zip(&answers) {
            let records = answer.as_ref().map_or(&[][..], Answer::records);
            let addresses = records.iter().filter_map(ip);
            found.extend(addresses.map(|ip| ((*name).clone(), ip)));
        }
        let known: BTreeSet<Name> = found.iter().map(|(name, _)| name.clone()).collect();
        let glue = delegation.glue.iter();
        found.extend(glue.filter(|(name, _)| !known.contains(name)).cloned());
        found
            .into_iter()
            .map(|(name, ip)| NameServer {
                name,
                address: (ip, self.port).into(),
            })
            .collect()
    }

    /// What the servers of the zone say of a name itself, aliases not followed.
    fn ask(&self, name: &Name, kind: RecordType) -> Result<Told, DnsError> {
        let mut zone = self.zone_of(name)?;
        loop {
            match self.ask_zone(&zone, name, kind)? {
                // Each is below the one before, so this ends.
                Told::Below(apex) => {
                    let delegation = lock(&self.delegations).get(&apex).cloned();
                    zone = self.zone(&apex, &delegation.unwrap_or_default());
                }
                told => return Ok(told),
            }
        }
    }

    fn ask_zone(&self, zone: &Zone, name: &Name, kind: RecordType) -> Result<Told, DnsError> {
        let query = Query::new(name, kind, false);
        let heard = side_by_side(&zone.servers, zone.servers.len(), |server| {
            let said = self.ask_server(&query, server.address)?;
            self.understand(zone, &query, &said).map_err(Miss::Said)
        });
        let mut groups: Vec<(Told, Vec<NameServer>)> = Vec::new();
        let mut misses = Vec::new();
        for (server, told) in zone.servers.iter().zip(heard) {
            match told {
                // Whoever serves both zones may answer for the lower one; its own servers decide.
                Ok(below @ Told::Below(_)) => return Ok(below),
                Ok(told) => match groups.iter_mut().find(|(other, _)| other.agrees(&told)) {
                    Some((_, servers)) => servers.push(server.clone()),
                    None => groups.push((told, vec![server.clone()])),
                },
                Err(miss) => misses.push((server, miss)),
            }
        }
        for (server, miss) in &misses {
            // That there is no IPv6 here is no fault of a server that can be asked over IPv4.
            if !is_no_way(miss) || groups.is_empty() {
                self.note(
                    &zone.apex,
                    &server.name,
                    Some(server.address),
                    in_words(miss),
                );
            }
        }
        let Some(at) = self.choose(zone, &query, &groups) else {
            let said = misses
                .iter()
                .find(|(_, miss)| matches!(miss, Miss::Said(_)))
                .or(misses.first());
            return Err(said.map_or_else(
                || DnsError::Unserved {
                    name: name.clone(),
                    kind,
                    zone: zone.apex.clone(),
                },
                |(server, miss)| miss.of(&query, server),
            ));
        };
        Ok(groups.swap_remove(at).0)
    }

    /// Picks among different answers the one of the newest zone, else that of most servers, and
    /// keeps that they differ.
    fn choose(
        &self,
        zone: &Zone,
        query: &Query,
        groups: &[(Told, Vec<NameServer>)],
    ) -> Option<usize> {
        if groups.len() < 2 {
            return (!groups.is_empty()).then_some(0);
        }
        let soa = Query::new(&zone.apex, RecordType::Soa, false);
        let serials: Vec<Option<u32>> = groups
            .iter()
            .map(|(_, servers)| {
                let serials = side_by_side(servers, servers.len(), |server| {
                    let said = self.ask_server(&soa, server.address).ok()?;
                    said.answer.iter().find_map(|record| match &record.data {
                        RecordData::Soa(soa) => Some(soa.serial),
                        _ => None,
                    })
                });
                serials.into_iter().flatten().reduce(newer)
            })
            .collect();
        let newest = serials.iter().copied().flatten().reduce(newer);
        let best = (0..groups.len()).max_by_key(|&at| {
            let is_newest = serials[at].is_some() && serials[at] == newest;
            // Of equals the first.
            (is_newest, groups[at].1.len(), groups.len() - at)
        })?;
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&at| at != best);
        let versions = order.into_iter().map(|at| Version {
            servers: groups[at].1.clone(),
            serial: serials[at],
            answer: match &groups[at].0 {
                Told::Answer(answer) => answer.clone(),
                Told::Alias(_, record) => Answer::Records(vec![record.clone()]),
                Told::Below(_) => Answer::NoData,
            },
        });
        // That serials differ is told where anything else does.
        if query.kind != RecordType::Soa {
            lock(&self.differences).insert((query.name.clone(), query.kind), versions.collect());
        }
        Some(best)
    }

    /// Asks one server, unless it is known to be silent.
    fn ask_server(&self, query: &Query, server: SocketAddr) -> Result<Said, Miss> {
        if let Some(miss) = lock(&self.gone).get(&server) {
            return Err(miss.clone());
        }
        let mut asked = Asked::new(query, server);
        let mut said = Err(Miss::Silence);
        for attempt in 1..=ATTEMPTS {
            if attempt == ATTEMPTS {
                asked.plainly();
            }
            said = asked.ask(Instant::now() + EACH / ATTEMPTS);
            if !matches!(said, Err(Miss::Silence)) {
                break;
            }
        }
        if let Err(miss @ (Miss::Silence | Miss::Unreachable(_))) = &said {
            // One that answers small questions only is not gone.
            if !asked.answered {
                lock(&self.gone).insert(server, miss.clone());
            }
        }
        said
    }

    /// What a server of a zone means.
    fn understand(&self, zone: &Zone, query: &Query, said: &Said) -> Result<Told, Fault> {
        let Query { name, kind, .. } = query;
        if !said.is_authoritative {
            let below = said.authority.iter().find(|record| {
                record.data.kind() == RecordType::Ns
                    && record.owner != zone.apex
                    && record.owner.is_subdomain_of(&zone.apex)
                    && name.is_subdomain_of(&record.owner)
            });
            let Some(apex) = below.map(|record| record.owner.clone()) else {
                return Err(Fault::Lame);
            };
            lock(&self.delegations)
                .entry(apex.clone())
                .or_default()
                .learn(&zone.apex, &apex, said);
            return Ok(Told::Below(apex));
        }
        let own = said
            .answer
            .iter()
            .filter(|record| record.owner == *name)
            .cloned();
        let (mut wanted, others): (Vec<_>, Vec<_>) =
            own.partition(|record| record.data.kind() == *kind);
        if !wanted.is_empty() {
            // Servers give them in any order, and with the time that is left of others' answers.
            wanted.sort_by(|a, b| a.data.cmp(&b.data));
            wanted.dedup_by(|a, b| a.data == b.data);
            return Ok(Told::Answer(Answer::Records(wanted)));
        }
        let alias = others.into_iter().find_map(|record| match &record.data {
            RecordData::Cname(target) => Some(Told::Alias(target.clone(), record.clone())),
            _ => None,
        });
        Ok(alias.unwrap_or(Told::Answer(if said.no_such_name {
            Answer::NoSuchName
        } else {
            Answer::NoData
        })))
    }

    fn note(&self, zone: &Name, server: &Name, address: Option<SocketAddr>, what: &'static str) {
        lock(&self.faults).insert(ServerFault {
            zone: zone.clone(),
            server: server.clone(),
            address,
            what,
        });
    }
}

impl<R: Resolver> Resolver for AuthoritativeResolver<R> {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let mut current = name.clone();
        for _ in 0..=MAX_ALIASES {
            match self.ask(&current, kind)? {
                Told::Answer(answer) => return Ok(answer),
                Told::Alias(target, _) => current = target,
                Told::Below(_) => break,
            }
        }
        Err(DnsError::Aliases {
            name: name.clone(),
            kind,
        })
    }
}

impl Delegation {
    /// Keeps what a server of the zone above says of who speaks for the zone at `apex`.
    fn learn(&mut self, parent: &Name, apex: &Name, said: &Said) {
        let named = said.authority.iter().filter(|it| it.owner == *apex);
        self.servers.extend(named.filter_map(server_name));
        // An address of a server elsewhere is not the parent's to tell.
        let glue = said.additional.iter().filter(|record| {
            self.servers.contains(&record.owner) && record.owner.is_subdomain_of(parent)
        });
        self.glue
            .extend(glue.filter_map(|record| Some((record.owner.clone(), ip(record)?))));
    }
}

impl Told {
    /// Tells whether both say the same; how long it may be remembered does not matter.
    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(Answer::Records(a)), Self::Answer(Answer::Records(b))) => {
                let data = |records: &[Record]| -> Vec<RecordData> {
                    records.iter().map(|record| record.data.clone()).collect()
                };
                data(a) == data(b)
            }
            (Self::Alias(a, _), Self::Alias(b, _)) => a == b,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name.host())?;
        if self.address.port() == PORT {
            write!(f, "({})", self.address.ip())
        } else {
            write!(f, "({})", self.address)
        }
    }
}

/// The name in an NS record.
fn server_name(record: &Record) -> Option<Name> {
    match &record.data {
        RecordData::Ns(name) => Some(name.clone()),
        _ => None,
    }
}

/// The address in an A or AAAA record.
fn ip(record: &Record) -> Option<IpAddr> {
    match record.data {
        RecordData::A(v4) => Some(v4.into()),
        RecordData::Aaaa(v6) => Some(v6.into()),
        _ => None,
    }
}

/// The newer of two serials (RFC 1982, 3.2).
fn newer(a: u32, b: u32) -> u32 {
    if a != b && b.wrapping_sub(a) < 1 << 31 {
        b
    } else {
        a
    }
}

/// Tells whether there is no way from here to the server's network.
fn is_no_way(miss: &Miss) -> bool {
    matches!(
        miss,
        Miss::Unreachable(
            ErrorKind::NetworkUnreachable
                | ErrorKind::HostUnreachable
                | ErrorKind::AddrNotAvailable
        )
    )
}

/// What a server does, as a phrase behind its name.
fn in_words(miss: &Miss) -> &'static str {
    match miss {
        Miss::Silence => "does not answer",
        Miss::Unreachable(_) => "cannot be reached",
        Miss::Said(Fault::Lame | Fault::Referral) => "does not speak for it",
        Miss::Said(Fault::Failure(code)) if *code == domain::base::iana::OptRcode::REFUSED => {
            "refuses to answer"
        }
        Miss::Said(Fault::Failure(_)) => "fails",
        Miss::Said(Fault::Foreign | Fault::Truncated | Fault::Malformed) => {
            "gives malformed answers"
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_wrap() {
        assert_eq!(newer(1, 2), 2);
        assert_eq!(newer(2, 1), 2);
        assert_eq!(newer(u32::MAX, 1), 1);
        assert_eq!(newer(1, u32::MAX), 1);
        assert_eq!(newer(7, 7), 7);
    }
}
