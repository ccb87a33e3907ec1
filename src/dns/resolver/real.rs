//! The resolver that asks servers which find out the rest.
//!
//! Owns which server is asked when, and for how long. Must not read files: what
//! stands in resolv.conf is handed in.
//! Follows resolv.conf(5).

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use resolv_conf::ScopedIp;

use super::exchange::{Asked, Miss};
use super::{Answer, DnsError, Resolver};
use crate::dns::message::Query;
use crate::dns::{Name, RecordType};

/// The port of DNS.
pub(super) const PORT: u16 = 53;

/// Most servers taken from resolv.conf; the C library takes no more either.
const MAX_SERVERS: usize = 3;

/// How often a silent server is asked, unless resolv.conf says otherwise.
const ATTEMPTS: u32 = 2;

/// Most times a silent server is asked, whatever resolv.conf says.
const MAX_ATTEMPTS: u32 = 5;

/// How many questions in a row may go without an answer before the servers count as gone.
const PATIENCE: usize = 16;

/// How long a question waits for servers that count as gone.
const GLANCE: Duration = Duration::from_millis(250);

/// Asks servers over UDP, and over TCP where an answer is too long.
#[derive(Clone, Debug)]
pub struct RealResolver {
    servers: Vec<SocketAddr>,
    attempts: u32,
    time: Time,
    /// Questions in a row that nobody answered.
    unanswered: Arc<AtomicUsize>,
    /// The server asked first: one that answers where those before it were silent.
    first: Arc<AtomicUsize>,
}

/// How long is asked.
#[derive(Clone, Copy, Debug)]
enum Time {
    /// All questions together, until then.
    Until(Instant),
    /// Each question for so long.
    Each(Duration),
}

/// A [`RealResolver`] whose time runs from the first question on.
///
/// What is done between its making and that question, such as waiting for a program that
/// waits itself, costs no answers.
#[derive(Debug)]
pub struct UnhurriedResolver {
    resolv_conf: Vec<u8>,
    allowed: Duration,
    begun: OnceLock<RealResolver>,
    /// For very many questions: how long all of them may take, and how long one.
    many: (Duration, Duration),
    begun_many: OnceLock<RealResolver>,
}

impl UnhurriedResolver {
    /// Makes a resolver that asks the servers of a resolv.conf, whose text is handed in, and
    /// for all its questions together takes no longer than is allowed.
    #[must_use]
    pub fn from_resolv_conf(text: Vec<u8>, allowed: Duration) -> Self {
        Self {
            resolv_conf: text,
            allowed,
            begun: OnceLock::new(),
            many: (allowed, allowed),
            begun_many: OnceLock::new(),
        }
    }

    /// Allows another time for very many questions: for all of them together, and for one.
    #[must_use]
    pub fn allowing_many(mut self, all: Duration, each: Duration) -> Self {
        self.many = (all, each);
        self
    }

    fn begin(&self, allowed: Duration) -> RealResolver {
        RealResolver::from_resolv_conf(&self.resolv_conf, Instant::now() + allowed)
    }
}

impl Resolver for UnhurriedResolver {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let begun = self.begun.get_or_init(|| self.begin(self.allowed));
        begun.lookup(name, kind)
    }

    fn lookup_among_many(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let (all, each) = self.many;
        let begun = self.begun_many.get_or_init(|| self.begin(all));
        begun.lookup_until(name, kind, begun.deadline().min(Instant::now() + each))
    }
}

impl RealResolver {
    /// Makes a resolver that asks the given servers, in turn, until the deadline.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, deadline: Instant) -> Self {
        Self {
            servers,
            attempts: ATTEMPTS,
            time: Time::Until(deadline),
            unanswered: Arc::default(),
            first: Arc::default(),
        }
    }

    /// Makes a resolver that asks the servers of a resolv.conf, whose text is handed in.
    ///
    /// Lines that make no sense are passed over, as the C library does. Without any server the
    /// one on this machine is meant.
    #[must_use]
    pub fn from_resolv_conf(text: &[u8], deadline: Instant) -> Self {
        let (config, _faults) = resolv_conf::Config::parse_with_errors(text);
        let mut servers: Vec<SocketAddr> = config
            .nameservers
            .iter()
            .filter_map(with_port)
            .take(MAX_SERVERS)
            .collect();
        if config.nameservers.is_empty() {
            servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        Self {
            attempts: config.attempts.clamp(1, MAX_ATTEMPTS),
            ..Self::new(servers, deadline)
        }
    }

    /// Allows each question so much time, and all of them as much as they need.
    ///
    /// Servers that leave many in a row unanswered are only glanced at until they answer again:
    /// a thousand domains shall not wait for a server that is gone.
    #[must_use]
    pub fn allowing_each(mut self, time: Duration) -> Self {
        self.time = Time::Each(time);
        self
    }

    /// The servers, in the order they are asked.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// When a question that is asked now must be answered.
    fn deadline(&self) -> Instant {
        match self.time {
            Time::Until(deadline) => deadline,
            Time::Each(time) if self.unanswered.load(Ordering::Relaxed) < PATIENCE => {
                Instant::now() + time
            }
            Time::Each(time) => Instant::now() + time.min(GLANCE),
        }
    }

    fn lookup_until(
        &self,
        name: &Name,
        kind: RecordType,
        deadline: Instant,
    ) -> Result<Answer, DnsError> {
        let query = Query::new(name, kind, true);
        let mut failure = None;
        let first = self.first.load(Ordering::Relaxed);
        let mut queue: VecDeque<(usize, Asked<'_>, u32)> = self
            .servers
            .iter()
            .enumerate()
            .map(|(at, &server)| (at, Asked::new(&query, server), self.attempts))
            .collect();
        queue.rotate_left(first.min(queue.len()));
        let mut is_first_silent = false;
        while let Some((at, mut asked, tries_left)) = queue.pop_front() {
            let turns = tries_left + queue.iter().map(|(_, _, tries)| tries).sum::<u32>();
            if tries_left == 1 && self.attempts > 1 {
                asked.plainly();
            }
            let answer = asked.ask(share(deadline, turns)).and_then(|said| {
                let answer = said.answer(name, kind);
                answer.map_err(Miss::Said)
            });
            is_first_silent |= at == first && matches!(answer, Err(Miss::Silence));
            match answer {
                Ok(answer) => {
                    if is_first_silent {
                        self.first.store(at, Ordering::Relaxed);
                    }
                    return Ok(answer);
                }
                Err(Miss::Silence) if tries_left > 1 && Instant::now() < deadline => {
                    queue.push_back((at, asked, tries_left - 1));
                }
                // What a server said tells more than another one's silence.
                Err(Miss::Silence) if failure.is_some() => {}
                Err(miss) => failure = Some(miss.of(&query, &asked.server)),
            }
        }
        Err(failure.unwrap_or_else(|| DnsError::NoServer {
            name: name.clone(),
            kind,
        }))
    }
}

impl Resolver for RealResolver {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let answer = self.lookup_until(name, kind, self.deadline());
        if matches!(answer, Err(DnsError::Timeout { .. })) {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unanswered.store(0, Ordering::Relaxed);
        }
        answer
    }
}

/// Tells when this turn ends, so that each of `turns` gets its share of what time is left.
fn share(deadline: Instant, turns: u32) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / turns.max(1)
}

/// Reads the address of a server: an IP address, with a port behind it or without.
///
/// IPv6 stands in brackets before a port; `%` and an interface behind a link-local one.
#[must_use]
pub fn server_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(address);
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, PORT),
        Some(Some((host, port))) => (host, port.strip_prefix(':')?.parse().ok()?),
        Some(None) => return None,
        None => (text, PORT),
    };
    let mut address = with_port(&host.parse().ok()?)?;
    address.set_port(port);
    (port != 0).then_some(address)
}

/// The address of a server as resolv.conf names it; `None` for an interface that is not there.
fn with_port(server: &ScopedIp) -> Option<SocketAddr> {
    match server {
        ScopedIp::V4(address) => Some((*address, PORT).into()),
        ScopedIp::V6(address, None) => Some((*address, PORT).into()),
        ScopedIp::V6(address, Some(scope)) => {
            let index = match scope.parse() {
                Ok(index) => index,
                Err(_) => nix::net::if_::if_nametoindex(scope.as_str()).ok()?,
            };
            Some(SocketAddrV6::new(*address, PORT, 0, index).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            let address = server_address(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text}");
        };
        check("192.0.2.53", Some("192.0.2.53:53"));
        check("192.0.2.53:5353", Some("192.0.2.53:5353"));
        check("2001:db8::53", Some("[2001:db8::53]:53"));
        check("[2001:db8::53]", Some("[2001:db8::53]:53"));
        check("[2001:db8::53]:5353", Some("[2001:db8::53]:5353"));
        check("fe80::1%lo", Some("[fe80::1%1]:53"));
        check("[fe80::1%lo]:5353", Some("[fe80::1%1]:5353"));
        for wrong in [
            "",
            "ns.example.org",
            "192.0.2",
            "192.0.2.53:",
            "192.0.2.53:0",
            "192.0.2.53:65536",
            "[2001:db8::53",
            "[2001:db8::53]5353",
            "[2001:db8::53]:x",
            "fe80::1%nosuchif0",
        ] {
            check(wrong, None);
        }
    }
}
