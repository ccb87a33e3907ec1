//! Greetings: what a mail server says to whoever connects, and what it means that it does not.
//!
//! Owns the connections; nothing is sent over them but `QUIT`. Follows RFC 5321, section 3.1.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::SystemError;

/// How much of a greeting is read.
const LONGEST: usize = 512;

/// What came of a connection to a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It said who it is, in its first line.
    Says(Vec<u8>),
    /// The connection was refused: by the host, or by what answers in its place.
    Refused,
    /// Nobody answered in time.
    TimedOut,
    /// There is no way to it.
    Unreachable,
    /// It closed the connection without a word.
    Closed,
    /// It took the connection, and said nothing in time.
    Silent,
}

impl Greeting {
    /// The word for it in files.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Says(_) => "greeted",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Silent => "silent",
        }
    }
}

/// Connects to all of them at once; a tree is nowhere to connect from.
pub(super) fn greet(
    servers: &[SocketAddr],
    patience: Duration,
    rooted: bool,
) -> Result<Vec<Greeting>, SystemError> {
    if rooted {
        return Err(SystemError::Rooted {
            command: "connecting to mail servers".to_owned(),
        });
    }
    Ok(thread::scope(|scope| {
        let asked: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(move || one(*server, patience)))
            .collect();
        asked
            .into_iter()
            .map(|done| done.join().unwrap_or(Greeting::Closed))
            .collect()
    }))
}

fn one(server: SocketAddr, patience: Duration) -> Greeting {
    let mut stream = match TcpStream::connect_timeout(&server, patience) {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                // What stands on the way and forbids it answers so, too.
                ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => Greeting::Refused,
                ErrorKind::TimedOut | ErrorKind::WouldBlock => Greeting::TimedOut,
                ErrorKind::ConnectionReset => Greeting::Closed,
                _ => Greeting::Unreachable,
            };
        }
    };
    if stream.set_read_timeout(Some(patience)).is_err() {
        return Greeting::Closed;
    }
    let mut said = Vec::new();
    let mut buffer = [0; LONGEST];
    while said.len() < LONGEST && !said.contains(&b'\n') {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if said.is_empty()
                    && matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) =>
            {
                return Greeting::Silent;
            }
            Err(_) => break,
        }
    }
    // Whether it hears that we leave is its own affair.
    let _ = stream.write_all(b"QUIT\r\n");
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match line.trim_ascii_end() {
        [] => Greeting::Closed,
        line => Greeting::Says(line.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// A server of the loopback interface that says so much to the first who comes, and gives
    /// what it was told.
    fn served(says: Option<&'static [u8]>) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let Some(says) = says else {
                return Vec::new();
            };
            stream.write_all(says).unwrap();
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            heard
        });
        (address, served)
    }

    #[test]
    fn a_greeting_is_read_and_answered_with_a_farewell() {
        let (address, server) = served(Some(b"220-mx.example.org\r\n220 hello\r\n"));
        let greeting = greet(&[address], SHORT, false).unwrap();
        assert_eq!(greeting, [Greeting::Says(b"220-mx.example.org".to_vec())]);
        assert_eq!(server.join().unwrap(), b"QUIT\r\n");
    }

    #[test]
    fn silence_and_refusal_are_told_apart() {
        let (hangs_up, server) = served(None);
        let (silent, still) = served(Some(b""));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let refuses = closed.local_addr().unwrap();
        drop(closed);
        let greetings = greet(&[hangs_up, silent, refuses], SHORT, false).unwrap();
        assert_eq!(
            greetings,
            [Greeting::Closed, Greeting::Silent, Greeting::Refused]
        );
        server.join().unwrap();
        still.join().unwrap();
    }
}
