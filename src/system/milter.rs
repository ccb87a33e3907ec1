//! Asking a milter whether it is one: the first words of the protocol between it and Postfix.
//!
//! Owns the connection and how long it is tried. Must not know which program listens there.
// libmilter, mfdef.h: a length of four bytes, a command, its data

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::Output;

/// How long a milter may take to come up: rspamd compiles its rules first.
const COMES_UP: Duration = Duration::from_secs(120);

/// How long it may take to answer.
const ANSWERS: Duration = Duration::from_secs(5);

/// How long to wait between two tries.
const NAP: Duration = Duration::from_millis(50);

/// Option negotiation: version 6, every action, every event.
const HELLO: [u8; 17] = [0, 0, 0, 13, b'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0, 0, 0];

/// Takes leave.
const BYE: [u8; 5] = [0, 0, 0, 1, b'Q'];

/// Waits until a milter answers, and says like a program whether it did.
pub(super) fn wait(milter: &str) -> Output {
    let end = Instant::now() + COMES_UP;
    loop {
        match greet(milter) {
            Ok(()) => return Output::default(),
            Err(error) if Instant::now() >= end => {
                return Output {
                    status: 1,
                    stdout: Vec::new(),
                    stderr: format!("nothing there answers as a milter: {error}").into(),
                };
            }
            Err(_) => thread::sleep(NAP),
        }
    }
}

fn greet(milter: &str) -> io::Result<()> {
    let (kind, place) = milter.split_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    if kind == "unix" {
        let stream = UnixStream::connect(place)?;
        stream.set_read_timeout(Some(ANSWERS))?;
        return negotiate(stream);
    }
    let (host, port) = place.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    let port: u16 = port.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let host = host.trim_matches(['[', ']']);
    let address = (host, port).to_socket_addrs()?.next();
    let stream = TcpStream::connect_timeout(&address.ok_or(io::ErrorKind::NotFound)?, ANSWERS)?;
    stream.set_read_timeout(Some(ANSWERS))?;
    negotiate(stream)
}

fn negotiate(mut stream: impl Read + Write) -> io::Result<()> {
    stream.write_all(&HELLO)?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    if head[4] != b'O' {
        return Err(io::Error::other("it speaks another protocol"));
    }
    stream.write_all(&BYE)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is said of somebody who answers so.
    fn said(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; HELLO.len()];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(answer).unwrap();
        });
        let result = greet(&format!("inet:127.0.0.1:{port}"));
        answers.join().unwrap();
        result.map_or_else(|error| error.to_string(), |()| "a milter".to_owned())
    }

    #[test]
    fn a_milter_is_told_from_others() {
        assert_eq!(said(b"\0\0\0\x0dO\0\0\0\x06\0\0\0\0\0\0\0\0"), "a milter");
        assert_eq!(said(b"220 mail ESMTP\r\n"), "it speaks another protocol");
        assert_eq!(said(b"\0"), "failed to fill whole buffer");
    }
}
