//! The resolver against a real BIND, and against servers that misbehave.
//!
//! Everything stays on loopback, on ports the system gives. Without `named` the first part
//! says that it skipped; `CI=true` makes that a failure.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up ends there"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mailfix::dns::{
    Answer, DnsError, Name, RealResolver, Record, RecordData, RecordType, Resolver,
    UnhurriedResolver, side_by_side,
};

use crate::support::skip;

/// Where Debian and the BSDs keep it.
const NAMED: &[&str] = &["/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named"];

/// How long a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const ZONE: &str = "\
$TTL 300
@        IN SOA   ns1 admin 1 3600 600 86400 60
@        IN NS    ns1
@        IN MX    10 mail
@        IN MX    20 backup
@        IN TXT   \"v=spf1 mx -all\"
ns1      IN A     127.0.0.1
mail     IN A     192.0.2.1
mail     IN A     192.0.2.2
mail     IN AAAA  2001:db8::1
backup   IN A     192.0.2.3
www      IN CNAME alias
alias    IN CNAME mail
away     IN CNAME mail.elsewhere.example.
empty.node IN A   192.0.2.9
sub      IN NS    ns.sub
ns.sub   IN A     127.0.0.2
";

const REVERSE: &str = "\
$TTL 300
@        IN SOA   ns1.example.org. admin.example.org. 1 3600 600 86400 60
@        IN NS    ns1.example.org.
1        IN PTR   mail.example.org.
";

/// A `named` of our own; ended when dropped.
struct Named {
    child: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Named {
    /// Starts it, or tells that there is none.
    fn start() -> Option<Self> {
        let Some(program) = NAMED.iter().find(|path| Path::new(path).exists()) else {
            skip("there is no `named`");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let address = free_port();
        let text = |length: usize| {
            let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
            let strings: Vec<String> = bytes
                .chunks(255)
                .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk)))
                .collect();
            strings.join(" ")
        };
        let zone = format!(
            "{ZONE}long IN TXT {}\nhuge IN TXT {}\n",
            text(400),
            text(3000)
        );
        std::fs::write(path("example.org.zone"), zone).unwrap();
        std::fs::write(path("reverse.zone"), REVERSE).unwrap();
        let root = directory.path().display();
        let port = address.port();
        let config = format!(
            "options {{ directory \"{root}\"; listen-on port {port} {{ 127.0.0.1; }};
                listen-on-v6 {{ none; }}; recursion no; pid-file none;
                session-keyfile none; dnssec-validation no; empty-zones-enable no; notify no; }};
            controls {{ }};
            zone \"example.org\" {{ type primary; file \"example.org.zone\"; }};
            zone \"2.0.192.in-addr.arpa\" {{ type primary; file \"reverse.zone\"; }};
            zone \"closed.example\" {{ type primary; file \"example.org.zone\";
                allow-query {{ none; }}; }};
            zone \"broken.example\" {{ type primary; file \"missing.zone\"; }};
            "
        );
        std::fs::write(path("named.conf"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(program)
            .args(["-g", "-4", "-n", "1", "-c"])
            .arg(path("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`named` starts");
        let mut named = Self {
            child,
            address,
            directory,
        };
        let begin = Instant::now();
        while named.lookup("example.org", RecordType::Soa).is_err() {
            let log = || std::fs::read_to_string(named.directory.path().join("log"));
            assert!(begin.elapsed() < PATIENCE, "{}", log().unwrap());
            let ended = named.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", log().unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        Some(named)
    }

    fn lookup(&self, name: &str, kind: RecordType) -> Result<Answer, DnsError> {
        ask(&[self.address], name, kind, Duration::from_secs(5))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ask(
    servers: &[SocketAddr],
    asked: &str,
    kind: RecordType,
    within: Duration,
) -> Result<Answer, DnsError> {
    RealResolver::new(servers.to_vec(), Instant::now() + within).lookup(&name(asked), kind)
}

/// A port nothing listens on, neither for UDP nor for TCP.
fn free_port() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A port that is closed to everybody while the socket lives: it talks to itself alone.
fn closed_port() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}

fn data(answer: Result<Answer, DnsError>) -> Vec<RecordData> {
    let mut found: Vec<_> = answer
        .unwrap()
        .records()
        .iter()
        .map(|record| record.data.clone())
        .collect();
    found.sort();
    found
}

#[test]
fn a_real_server_is_understood() {
    let Some(named) = Named::start() else { return };
    let a = |text: &str| RecordData::A(text.parse().unwrap());
    let mail = vec![a("192.0.2.1"), a("192.0.2.2")];

    assert_eq!(data(named.lookup("Mail.Example.ORG.", RecordType::A)), mail);
    assert_eq!(
        data(named.lookup("mail.example.org", RecordType::Aaaa)),
        [RecordData::Aaaa("2001:db8::1".parse().unwrap())]
    );
    assert_eq!(
        data(named.lookup("example.org", RecordType::Mx)),
        [(10, "mail"), (20, "backup")].map(|(preference, host)| RecordData::Mx {
            preference,
            exchange: name(&format!("{host}.example.org")),
        })
    );
    let reverse = Name::reverse_of("192.0.2.1".parse().unwrap()).host();
    assert_eq!(
        data(named.lookup(&reverse, RecordType::Ptr)),
        [RecordData::Ptr(name("mail.example.org"))]
    );
    let text = |length| RecordData::Txt((b'a'..=b'z').cycle().take(length).collect());
    assert_eq!(
        data(named.lookup("long.example.org", RecordType::Txt)),
        [text(400)]
    );
    // Over 512 bytes the server cuts its datagram: this came over TCP.
    assert_eq!(
        data(named.lookup("huge.example.org", RecordType::Txt)),
        [text(3000)]
    );

    let alias = named.lookup("www.example.org", RecordType::A).unwrap();
    assert!(
        alias
            .records()
            .iter()
            .all(|Record { owner, .. }| *owner == name("mail.example.org"))
    );
    assert_eq!(data(named.lookup("www.example.org", RecordType::A)), mail);
    assert_eq!(
        data(named.lookup("www.example.org", RecordType::Cname)),
        [RecordData::Cname(name("alias.example.org"))]
    );

    let none = |asked: &str, kind| named.lookup(asked, kind).unwrap();
    assert_eq!(none("mail.example.org", RecordType::Txt), Answer::NoData);
    assert_eq!(none("www.example.org", RecordType::Aaaa).records().len(), 1);
    assert_eq!(none("node.example.org", RecordType::A), Answer::NoData);
    assert_eq!(
        none("nobody.example.org", RecordType::A),
        Answer::NoSuchName
    );

    let error = |asked: &str| named.lookup(asked, RecordType::A).unwrap_err();
    let server = named.address;
    assert_eq!(
        error("mail.broken.example").to_string(),
        format!("{server} failed (SERVFAIL) on A of `mail.broken.example`")
    );
    assert_eq!(
        error("mail.closed.example").to_string(),
        format!("{server} refused to answer for A of `mail.closed.example`")
    );
    assert_eq!(
        error("host.sub.example.org").to_string(),
        format!("{server} only refers to other servers for A of `host.sub.example.org`")
    );
    // An alias into a zone the server does not know is no "no record" either.
    let away = error("away.example.org");
    assert!(matches!(away, DnsError::Referral { .. }), "{away}");
}

#[test]
fn zone_text_means_the_same_to_bind() {
    let Some(named) = Named::start() else { return };
    let mut written = Vec::new();
    for (owner, kind) in [
        ("example.org", RecordType::Mx),
        ("mail.example.org", RecordType::A),
        ("huge.example.org", RecordType::Txt),
        ("example.org", RecordType::Soa),
        ("example.org", RecordType::Ns),
    ] {
        written.extend_from_slice(named.lookup(owner, kind).unwrap().records());
    }
    written.push(Record {
        owner: name("odd.example.org"),
        ttl: 60,
        data: RecordData::Txt(b"a \"quoted\" \\ text; with \xfc \x00 in it".to_vec()),
    });
    let checker = Path::new("/usr/bin/named-checkzone");
    if !checker.exists() {
        skip("there is no `named-checkzone`");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (before, after) = (directory.path().join("a"), directory.path().join("b"));
    let mut text = mailfix::dns::zone::write(&written);
    text.push_str("ns1.example.org. 60 IN A 127.0.0.1\nbackup.example.org. 60 IN A 192.0.2.3\n");
    std::fs::write(&before, &text).unwrap();
    let output = Command::new(checker)
        .args(["-D", "-o"])
        .args([&after])
        .arg("example.org")
        .arg(&before)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
    let sorted = |text: &str| {
        let mut records = mailfix::dns::zone::read(text).unwrap();
        records.sort();
        records
    };
    let again = std::fs::read_to_string(&after).unwrap();
    assert_eq!(sorted(&again), sorted(&text));
}

#[test]
fn a_closed_port_is_an_error_at_once() {
    let (_closed, server) = closed_port();
    let error = ask(&[server], "example.org", RecordType::A, PATIENCE).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{server} could not be asked for A of `example.org`: connection refused")
    );
}

#[test]
fn silence_ends_at_the_deadline() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = silent.local_addr().unwrap();
    let within = Duration::from_millis(400);
    let begin = Instant::now();
    let error = ask(&[server, server], "example.org", RecordType::Mx, within).unwrap_err();
    // It waited as long as it was told to; how much longer depends on who else is at work here.
    assert!(begin.elapsed() >= within);
    assert_eq!(
        error.to_string(),
        format!("{server} did not answer in time for MX of `example.org`")
    );
}

#[test]
fn a_deadline_that_has_passed_asks_nobody_for_long() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = silent.local_addr().unwrap();
    let error = ask(&[server], "example.org", RecordType::A, Duration::ZERO).unwrap_err();
    assert!(matches!(error, DnsError::Timeout { .. }), "{error}");
}

#[test]
fn without_servers_the_error_says_so() {
    let error = ask(&[], "example.org", RecordType::A, PATIENCE).unwrap_err();
    assert!(matches!(error, DnsError::NoServer { .. }), "{error}");
}

/// A server that does to each question what it is told, until nobody listens any more.
fn server(mut act: impl FnMut(&UdpSocket, SocketAddr, Vec<u8>) + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            act(&socket, client, buffer[..length].to_vec());
        }
    });
    address
}

/// The answer that there is no such record.
fn no_data(mut question: Vec<u8>) -> Vec<u8> {
    question[2] |= 0x80; // an answer
    question[3] |= 0x80; // of a server that recurses
    question
}

#[test]
fn answers_that_are_not_ours_are_passed_over() {
    let address = server(|socket, client, question| {
        let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut refused = no_data(question.clone());
        refused[3] |= 5;
        elsewhere.send_to(&refused, client).unwrap(); // from another port
        refused[0] ^= 1;
        socket.send_to(&refused, client).unwrap(); // another id
        refused[0] ^= 1;
        refused[13] ^= 1;
        socket.send_to(&refused, client).unwrap(); // another name
        socket.send_to(b"noise", client).unwrap();
        socket.send_to(&no_data(question), client).unwrap();
    });
    let answer = ask(&[address], "example.org", RecordType::A, PATIENCE);
    assert_eq!(answer, Ok(Answer::NoData));
}

#[test]
fn servers_from_before_edns_are_asked_without_it() {
    /// What such a server does with a question that has an OPT record.
    fn old(act: fn(Vec<u8>) -> Option<Vec<u8>>) -> SocketAddr {
        server(move |socket, client, question| {
            let additional = question[11];
            let reply = if additional == 0 {
                Some(no_data(question))
            } else {
                act(question)
            };
            if let Some(reply) = reply {
                socket.send_to(&reply, client).unwrap();
            }
        })
    }
    /// The question back, with a code.
    fn coded(question: Vec<u8>, code: u8) -> Vec<u8> {
        let mut reply = no_data(question);
        reply[3] |= code;
        reply
    }
    let check = |act| {
        let answer = ask(
            &[old(act)],
            "example.org",
            RecordType::A,
            Duration::from_secs(4),
        );
        assert_eq!(answer, Ok(Answer::NoData));
    };
    check(|question| Some(coded(question, 1)));
    check(|question| Some(coded(question, 4)));
    // Nothing but the head of the message.
    check(|question| {
        let mut head = coded(question, 1);
        head.truncate(12);
        head[4..].fill(0);
        Some(head)
    });
    // BADVERS stands half in the OPT record (RFC 6891, 6.1.3).
    check(|question| {
        let mut reply = no_data(question);
        let ttl = reply.len() - 6;
        reply[ttl] = 1;
        Some(reply)
    });
    // A box on the way drops what it does not know.
    check(|_| None);
}

#[test]
fn many_questions_do_not_wait_for_a_server_that_is_gone() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = silent.local_addr().unwrap();
    let resolver =
        RealResolver::new(vec![server], Instant::now()).allowing_each(Duration::from_millis(1800));
    let names: Vec<Name> = (0..300).map(|n| name(&format!("d{n}.example"))).collect();
    let answers = side_by_side(&names, 64, |name| resolver.lookup(name, RecordType::A));
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(DnsError::Timeout { .. })))
    );
}

#[test]
fn a_silent_server_is_not_asked_first_again() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    silent.set_nonblocking(true).unwrap();
    let good = server(|socket, client, question| {
        socket.send_to(&no_data(question), client).unwrap();
    });
    let servers = vec![silent.local_addr().unwrap(), good];
    let resolver =
        RealResolver::new(servers, Instant::now()).allowing_each(Duration::from_secs(12));
    for asked in ["a.example", "b.example", "c.example"] {
        let answer = resolver.lookup(&name(asked), RecordType::A);
        assert_eq!(answer, Ok(Answer::NoData));
    }
    let mut buffer = [0; 512];
    assert!(silent.recv(&mut buffer).is_ok());
    assert!(silent.recv(&mut buffer).is_err(), "asked again");
}

#[test]
fn a_late_answer_to_the_first_try_counts() {
    let address = server(|socket, client, question| {
        // Longer than the first try lasts, which is half of the time.
        thread::sleep(Duration::from_millis(2700));
        socket.send_to(&no_data(question), client).unwrap();
    });
    let within = Duration::from_millis(4500);
    let answer = ask(&[address], "example.org", RecordType::A, within);
    assert_eq!(answer, Ok(Answer::NoData));
}

#[test]
fn the_next_server_is_asked_where_one_fails() {
    let failing = server(|socket, client, question| {
        let mut failure = no_data(question);
        failure[3] |= 2;
        socket.send_to(&failure, client).unwrap();
    });
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let good = server(|socket, client, question| {
        socket.send_to(&no_data(question), client).unwrap();
    });
    let (_closed, refusing) = closed_port();
    let servers = [refusing, failing, silent.local_addr().unwrap(), good];
    let within = Duration::from_secs(4);
    let answer = ask(&servers, "example.org", RecordType::A, within);
    assert_eq!(answer, Ok(Answer::NoData));
    // Where none answers, the failure that was heard is told.
    let error = ask(&servers[..3], "example.org", RecordType::A, within / 4).unwrap_err();
    assert!(matches!(error, DnsError::ServerFailure { .. }), "{error}");
}

#[test]
fn a_connection_that_trickles_ends_at_the_deadline() {
    let (listener, socket) = loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
            break (listener, socket);
        }
    };
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, client) = socket.recv_from(&mut buffer).unwrap();
        let mut cut = no_data(buffer[..length].to_vec());
        cut[2] |= 0x02;
        socket.send_to(&cut, client).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut buffer);
        // 65535 bytes are promised, one comes at a time.
        while stream.write_all(&[0xff]).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let within = Duration::from_millis(1800);
    let error = ask(&[address], "example.org", RecordType::A, within).unwrap_err();
    assert!(matches!(error, DnsError::Timeout { .. }), "{error}");
}

/// A server at the port that a resolv.conf means, on a loopback address of its own.
#[test]
fn time_runs_from_the_first_question_on() {
    let Ok(server) = UdpSocket::bind("127.53.0.9:53") else {
        return skip("only root may listen on port 53");
    };
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            // The question sent back as an answer without records: NXDOMAIN (RFC 1035, 4.1.1).
            buffer[2] = 0x84;
            buffer[3] = 0x83;
            if server.send_to(&buffer[..length], from).is_err() {
                return;
            }
        }
    });
    let allowed = Duration::from_secs(2);
    let resolver =
        UnhurriedResolver::from_resolv_conf(b"nameserver 127.53.0.9\n".to_vec(), allowed);
    thread::sleep(allowed);
    let answer = resolver.lookup(&name("example.org"), RecordType::A);
    assert_eq!(answer, Ok(Answer::NoSuchName));
    thread::sleep(allowed);
    let late = resolver.lookup(&name("example.org"), RecordType::A);
    assert!(matches!(late, Err(DnsError::Timeout { .. })), "{late:?}");
}

#[test]
fn resolv_conf_names_the_servers() {
    let check = |text: &[u8], expected: &[&str]| {
        let resolver = RealResolver::from_resolv_conf(text, Instant::now());
        let found: Vec<String> = resolver.servers().iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    };
    check(
        b"# made by hand\nsearch example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n\
          options edns0 trust-ad attempts:3 frobnicate\n",
        &["192.0.2.53:53", "[2001:db8::53]:53"],
    );
    check(b"", &["127.0.0.1:53"]);
    check(
        b"\xff\xfe nonsense\nnameserver 192.0.2.1\n",
        &["192.0.2.1:53"],
    );
    check(
        b"nameserver fe80::1%lo\nnameserver fe80::2%7\nnameserver fe80::3%nosuchif0\n",
        &["[fe80::1%1]:53", "[fe80::2%7]:53"],
    );
    check(
        b"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
        &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
    );
}
