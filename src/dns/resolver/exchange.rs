//! One question to one server, and what it says.
//!
//! Owns the sockets: a datagram, then a connection where the answer does not fit
//! one; EDNS, then without where a server is too old for it. Only the asked
//! server's answer to our own question counts. Must not know which servers are
//! asked, nor how often.
//! Follows RFC 1035, 4.2; RFC 5452, 9; RFC 6891, 7; RFC 7766.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use domain::base::iana::OptRcode;

use super::DnsError;
use crate::dns::message::{Fault, Query, Said};

/// Largest datagram taken. Some servers send more than they were told we take.
const MAX_DATAGRAM: usize = 4096;

/// One server in the course of one lookup.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    query: &'a Query,
    /// The server.
    pub server: SocketAddr,
    /// Open from the first try on: an answer to an earlier try still counts.
    socket: Option<UdpSocket>,
    /// It has not yet shown that it does without.
    edns: bool,
    /// It answered a datagram, if only that the answer does not fit one.
    pub answered: bool,
}

/// Why one try came to nothing.
#[derive(Clone, Debug)]
pub(super) enum Miss {
    /// Nothing was heard in the time given.
    Silence,
    /// The server cannot be reached.
    Unreachable(io::ErrorKind),
    /// It gave an answer that is none.
    Said(Fault),
}

impl<'a> Asked<'a> {
    /// Makes ready to ask a server.
    pub(super) fn new(query: &'a Query, server: SocketAddr) -> Self {
        Self {
            query,
            server,
            socket: None,
            edns: true,
            answered: false,
        }
    }

    /// Asks, and gives up at the time given.
    pub(super) fn ask(&mut self, until: Instant) -> Result<Said, Miss> {
        let too_new = [OptRcode::FORMERR, OptRcode::NOTIMP, OptRcode::BADVERS];
        loop {
            let said = match self.over_udp(until) {
                Err(Miss::Said(Fault::Truncated)) => {
                    self.answered = true;
                    self.over_tcp(until)
                }
                other => other,
            };
            match said {
                // RFC 6891, 7
                Err(Miss::Said(Fault::Failure(code))) if self.edns && too_new.contains(&code) => {
                    self.edns = false;
                }
                other => return other,
            }
        }
    }

    /// Goes without EDNS from here on: what drops such questions in silence still stands about.
    pub(super) fn plainly(&mut self) {
        self.edns = false;
    }

    /// Sends the question in a datagram and waits for its answer.
    fn over_udp(&mut self, until: Instant) -> Result<Said, Miss> {
        let socket = match self.socket.take() {
            Some(open) => self.socket.insert(open),
            None => self.socket.insert(connect(self.server)?),
        };
        socket.send(self.query.bytes(self.edns))?;
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            socket.set_read_timeout(Some(time_left(until)?))?;
            let length = match socket.recv(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            match self.query.read(&buffer[..length]) {
                Err(Fault::Foreign) => {}
                other => return other.map_err(Miss::Said),
            }
        }
    }

    /// Asks over a connection (RFC 1035, 4.2.2).
    fn over_tcp(&self, until: Instant) -> Result<Said, Miss> {
        let question = self.query.bytes(self.edns);
        let mut stream = TcpStream::connect_timeout(&self.server, time_left(until)?)?;
        stream.set_write_timeout(Some(time_left(until)?))?;
        let length = u16::try_from(question.len()).expect("a question is short");
        stream.write_all(&[&length.to_be_bytes(), question].concat())?;
        let mut length = [0; 2];
        read_exactly(&mut stream, &mut length, until)?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        read_exactly(&mut stream, &mut bytes, until)?;
        match self.query.read(&bytes) {
            Err(Fault::Foreign | Fault::Truncated) => Err(Miss::Said(Fault::Malformed)),
            other => other.map_err(Miss::Said),
        }
    }
}

impl Miss {
    /// Tells in the words of a failed lookup what a server did.
    pub(super) fn of(&self, query: &Query, server: &impl ToString) -> DnsError {
        let (name, kind, server) = (query.name.clone(), query.kind, server.to_string());
        match self {
            Self::Silence => DnsError::Timeout { name, kind, server },
            Self::Unreachable(reason) => DnsError::Unreachable {
                name,
                kind,
                server,
                reason: *reason,
            },
            Self::Said(Fault::Failure(OptRcode::SERVFAIL)) => {
                DnsError::ServerFailure { name, kind, server }
            }
            Self::Said(Fault::Failure(OptRcode::REFUSED)) => {
                DnsError::Refused { name, kind, server }
            }
            Self::Said(Fault::Failure(code)) => DnsError::Code {
                name,
                kind,
                server,
                code: code.to_string(),
            },
            Self::Said(Fault::Referral) => DnsError::Referral { name, kind, server },
            Self::Said(Fault::Lame) => DnsError::Lame { name, kind, server },
            Self::Said(Fault::Foreign | Fault::Truncated | Fault::Malformed) => {
                DnsError::Malformed { name, kind, server }
            }
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
