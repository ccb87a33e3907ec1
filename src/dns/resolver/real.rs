//! The resolver that asks servers.
//!
//! Owns the sockets. Must not read files: what stands in resolv.conf is handed
//! in. Only the asked server's answer to our own question counts; everything
//! happens before one deadline.
//! Follows RFC 1035, 4.2; RFC 5452, 9; RFC 7766; resolv.conf(5).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use resolv_conf::ScopedIp;

use super::{Answer, DnsError, Resolver};
use crate::dns::message::{self, Reply};
use crate::dns::{Name, RecordType};

/// The port of DNS.
const PORT: u16 = 53;

/// Most servers taken from resolv.conf; the C library takes no more either.
const MAX_SERVERS: usize = 3;

/// How often a silent server is asked, unless resolv.conf says otherwise.
const ATTEMPTS: u32 = 2;

/// Most times a silent server is asked, whatever resolv.conf says.
const MAX_ATTEMPTS: u32 = 5;

/// Largest datagram taken. We do not announce more than 512 bytes; some servers send more.
const MAX_DATAGRAM: usize = 4096;

/// Asks servers over UDP, and over TCP where an answer is too long.
#[derive(Clone, Debug)]
pub struct RealResolver {
    servers: Vec<SocketAddr>,
    attempts: u32,
    deadline: Instant,
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
        let hurried = RealResolver {
            deadline: begun.deadline.min(Instant::now() + each),
            ..begun.clone()
        };
        hurried.lookup(name, kind)
    }
}

/// One server in the course of one lookup.
struct Asked {
    server: SocketAddr,
    /// Open from the first try on: an answer to an earlier try still counts.
    socket: Option<UdpSocket>,
    tries_left: u32,
}

/// Why one try came to nothing.
enum Miss {
    /// Nothing was heard in the time given.
    Silence,
    /// The server cannot be reached.
    Unreachable(io::ErrorKind),
    /// It gave an answer that is none.
    Said(Reply),
}

impl RealResolver {
    /// Makes a resolver that asks the given servers, in turn, until the deadline.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, deadline: Instant) -> Self {
        Self {
            servers,
            attempts: ATTEMPTS,
            deadline,
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
            .filter_map(server_address)
            .take(MAX_SERVERS)
            .collect();
        if config.nameservers.is_empty() {
            servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        Self {
            servers,
            attempts: config.attempts.clamp(1, MAX_ATTEMPTS),
            deadline,
        }
    }

    /// The servers, in the order they are asked.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Tells when this turn ends, so that each of `turns` gets its share of what time is left.
    fn share(&self, turns: u32) -> Instant {
        let now = Instant::now();
        now + self.deadline.saturating_duration_since(now) / turns.max(1)
    }
}

impl Resolver for RealResolver {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        let question = Question {
            bytes: message::query(name, kind),
            name,
            kind,
        };
        let mut failure = None;
        let mut queue: VecDeque<Asked> = self
            .servers
            .iter()
            .map(|&server| Asked {
                server,
                socket: None,
                tries_left: self.attempts,
            })
            .collect();
        while let Some(mut asked) = queue.pop_front() {
            let turns = asked.tries_left + queue.iter().map(|other| other.tries_left).sum::<u32>();
            let tried = match question.over_udp(&mut asked, self.share(turns)) {
                Err(Miss::Said(Reply::Truncated)) => {
                    question.over_tcp(asked.server, self.share(turns))
                }
                other => other,
            };
            match tried {
                Ok(answer) => return Ok(answer),
                Err(Miss::Silence) if asked.tries_left > 1 && Instant::now() < self.deadline => {
                    asked.tries_left -= 1;
                    queue.push_back(asked);
                }
                // What a server said tells more than another one's silence.
                Err(Miss::Silence) if failure.is_some() => {}
                Err(miss) => failure = Some(question.error(asked.server, &miss)),
            }
        }
        Err(failure.unwrap_or_else(|| DnsError::NoServer {
            name: name.clone(),
            kind,
        }))
    }
}

/// A question and its bytes.
struct Question<'a> {
    bytes: Vec<u8>,
    name: &'a Name,
    kind: RecordType,
}

impl Question<'_> {
    /// Sends the question in a datagram and waits for its answer.
    fn over_udp(&self, asked: &mut Asked, until: Instant) -> Result<Answer, Miss> {
        let socket = match asked.socket.take() {
            Some(open) => asked.socket.insert(open),
            None => asked.socket.insert(connect(asked.server)?),
        };
        socket.send(&self.bytes)?;
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            socket.set_read_timeout(Some(time_left(until)?))?;
            let length = match socket.recv(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            match self.read(&buffer[..length]) {
                Err(Miss::Said(Reply::Foreign)) => {}
                other => return other,
            }
        }
    }

    /// Asks over a connection (RFC 1035, 4.2.2).
    fn over_tcp(&self, server: SocketAddr, until: Instant) -> Result<Answer, Miss> {
        let mut stream = TcpStream::connect_timeout(&server, time_left(until)?)?;
        stream.set_write_timeout(Some(time_left(until)?))?;
        let length = u16::try_from(self.bytes.len()).expect("a question is short");
        stream.write_all(&[&length.to_be_bytes(), self.bytes.as_slice()].concat())?;
        let mut length = [0; 2];
        read_exactly(&mut stream, &mut length, until)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        read_exactly(&mut stream, &mut bytes, until)?;
        match self.read(&bytes) {
            Err(Miss::Said(Reply::Foreign | Reply::Truncated)) => Err(Miss::Said(Reply::Malformed)),
            other => other,
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Answer, Miss> {
        match message::read(bytes, &self.bytes, self.name, self.kind) {
            Reply::Answer(answer) => Ok(answer),
            other => Err(Miss::Said(other)),
        }
    }

    fn error(&self, server: SocketAddr, miss: &Miss) -> DnsError {
        let (name, kind, server) = (self.name.clone(), self.kind, server.to_string());
        match miss {
            Miss::Silence => DnsError::Timeout { name, kind, server },
            Miss::Unreachable(reason) => DnsError::Unreachable {
                name,
                kind,
                server,
                reason: *reason,
            },
            Miss::Said(Reply::Failure(Rcode::SERVFAIL)) => {
                DnsError::ServerFailure { name, kind, server }
            }
            Miss::Said(Reply::Failure(Rcode::REFUSED)) => DnsError::Refused { name, kind, server },
            Miss::Said(Reply::Failure(code)) => DnsError::Code {
                name,
                kind,
                server,
                code: code.to_string(),
            },
            Miss::Said(Reply::Referral) => DnsError::Referral { name, kind, server },
            Miss::Said(_) => DnsError::Malformed { name, kind, server },
        }
    }
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silence,
            kind => Self::Unreachable(kind),
        }
    }
}

/// Opens a socket that hears the server only; the kernel picks a random port.
fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

/// Fills the buffer before the deadline, however small the pieces come.
fn read_exactly(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> Result<(), Miss> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(time_left(until)?))?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(Miss::Unreachable(io::ErrorKind::UnexpectedEof)),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The time until then; never zero, which sockets take for "for ever".
fn time_left(until: Instant) -> Result<Duration, Miss> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Miss::Silence);
    }
    Ok(left)
}

/// The address of a server as resolv.conf names it; `None` for an interface that is not there.
fn server_address(server: &ScopedIp) -> Option<SocketAddr> {
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
