//! The servers of the zones themselves, asked past a resolver that remembers: a small DNS of
//! our own by two BINDs, with a root, delegations, and zones on several servers.
//!
//! Everything stays on loopback, on a port the system gives. Without `named` it says that it
//! skipped; `CI=true` makes that a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot be set up ends there, and says what it skips"
)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mailfix::dns::{
    Answer, AuthoritativeResolver, CachedResolver, DnsError, Name, RealResolver, RecordData,
    RecordType, Resolver, negative_ttl,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::binary;

const NAMED: &[&str] = &["/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named"];

/// How long a server may take to come up, or to read its zones again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const ROOT: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 3);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 4);
const SILENT: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 6);

const TOP: &str = "\
$TTL 300
. SOA root. admin. 1 3600 600 86400 60
. NS root.
root. A 127.77.0.1
example.org. NS ns1.example.org.
example.org. NS ns2.example.org.
ns1.example.org. A 127.77.0.2
ns2.example.org. A 127.77.0.3
2.0.192.in-addr.arpa. NS ns1.example.org.
example. NS root.
";

const DOT_EXAMPLE: &str = "\
$TTL 300
@ SOA root. admin 1 3600 600 86400 60
@ NS root.
elsewhere NS ns.elsewhere
ns.elsewhere A 127.77.0.4
lame NS ns1.example.org.
lame NS ns.elsewhere
lame NS nowhere.elsewhere
half NS ns.elsewhere
half NS ns.half
ns.half A 127.77.0.6
gone NS ns.gone
ns.gone A 127.77.0.9
";

const EXAMPLE: &str = "\
$TTL 300
@ SOA ns1 admin SERIAL 3600 600 86400 120
@ NS ns1
@ NS ns2
ns1 A 127.77.0.2
ns2 A 127.77.0.3
@ MX 10 out
mail A 192.0.2.25
out A 192.0.2.26
www CNAME web.elsewhere.example.
round CNAME about.elsewhere.example.
sub NS ns.elsewhere.example.
selector._domainkey CNAME key.elsewhere.example.
";

const ELSEWHERE_ZONE: &str = "\
$TTL 300
@ SOA ns admin 1 3600 600 86400 60
@ NS ns
ns A 127.77.0.4
web A 192.0.2.80
about CNAME round.example.org.
key TXT \"v=DKIM1; p=\"
";

const REVERSE: &str = "\
$TTL 300
@ SOA ns1.example.org. admin.example.org. 1 3600 600 86400 60
@ NS ns1.example.org.
26 PTR out.example.org.
25 CNAME 25.0-63
0-63 NS ns.elsewhere.example.
";

const CLASSLESS: &str = "\
$TTL 300
@ SOA ns.elsewhere.example. admin.example.org. 1 3600 600 86400 60
@ NS ns.elsewhere.example.
25 PTR mail.example.org.
";

const SMALL: &str = "\
$TTL 300
@ SOA ns.elsewhere.example. admin.example.org. 1 3600 600 86400 60
@ NS ns.elsewhere.example.
@ TXT \"here\"
";

/// Two servers: one that speaks for all zones, by the address it is asked at; one that asks
/// it, and remembers. Both end when dropped.
///
/// BIND listens only where an interface has the address, so others stand before it and pass on
/// what they hear, each from an address of its own.
struct World {
    speaking: Child,
    recursive: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl World {
    fn start() -> Option<Self> {
        let Some(program) = NAMED.iter().find(|path| Path::new(path).exists()) else {
            let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!in_ci, "there is no `named`, and CI=true");
            println!("skipped: there is no `named`");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let (port, behind) = (free_port(), free_port());
        for address in [ROOT, FIRST, SECOND, ELSEWHERE] {
            pass_on(address, port, behind);
        }
        let root = directory.path().display();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        let options = |port: u16, more: &str| {
            format!(
                "options {{ directory \"{root}\"; port {port}; listen-on {{ 127.0.0.1; }};
                 listen-on-v6 {{ none; }}; pid-file none; session-keyfile none;
                 dnssec-validation no; empty-zones-enable no; notify no; {more} }};
                 controls {{ }};\n"
            )
        };
        let view = |name: &str, address: Ipv4Addr, zones: &[(&str, &str)]| {
            let zones: Vec<String> = zones
                .iter()
                .map(|(zone, file)| {
                    format!("zone \"{zone}\" {{ type primary; file \"{file}\"; }};\n")
                })
                .collect();
            let zones = zones.concat();
            format!(
                "view \"{name}\" {{ match-clients {{ {}; }};\n{zones}}};\n",
                upstream(address)
            )
        };
        let reverse = "2.0.192.in-addr.arpa";
        let config = [
            options(behind, "recursion no; minimal-responses no;"),
            view(
                "top",
                ROOT,
                &[(".", "root.zone"), ("example", "example.zone")],
            ),
            view(
                "first",
                FIRST,
                &[("example.org", "first.zone"), (reverse, "reverse.zone")],
            ),
            view("second", SECOND, &[("example.org", "second.zone")]),
            view(
                "elsewhere",
                ELSEWHERE,
                &[
                    ("elsewhere.example", "elsewhere.zone"),
                    ("0-63.2.0.192.in-addr.arpa", "classless.zone"),
                    ("lame.example", "small.zone"),
                    ("half.example", "small.zone"),
                    ("sub.example.org", "small.zone"),
                ],
            ),
        ];
        write("speaking.conf", &config.concat());
        write("root.zone", TOP);
        write("example.zone", DOT_EXAMPLE);
        for file in ["first.zone", "second.zone"] {
            write(file, &EXAMPLE.replace("SERIAL", "1"));
        }
        write("elsewhere.zone", ELSEWHERE_ZONE);
        write("reverse.zone", REVERSE);
        write("classless.zone", CLASSLESS);
        write("small.zone", SMALL);
        let hints = "zone \".\" { type hint; file \"hints\"; };\n";
        let recursive = options(port, "recursion yes;");
        write("recursive.conf", &format!("{recursive}{hints}"));
        write("hints", &format!(". 300 NS root.\nroot. 300 A {ROOT}\n"));
        let start = |name: &str| {
            let log = std::fs::File::create(directory.path().join(format!("{name}.log"))).unwrap();
            Command::new(program)
                .args(["-g", "-4", "-n", "1", "-c"])
                .arg(directory.path().join(format!("{name}.conf")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap()
        };
        let world = Self {
            speaking: start("speaking"),
            recursive: start("recursive"),
            directory,
            port,
        };
        world.until("it answers", || {
            let answer = world
                .recursive()
                .lookup(&name("ns.elsewhere.example"), RecordType::A);
            answer.is_ok_and(|answer| !answer.records().is_empty())
        });
        Some(world)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Asks the server that remembers.
    fn recursive(&self) -> RealResolver {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        RealResolver::new(vec![server], Instant::now()).allowing_each(Duration::from_secs(8))
    }

    /// Asks the servers of the zones.
    fn authoritative(&self) -> AuthoritativeResolver<CachedResolver<RealResolver>> {
        AuthoritativeResolver::new(CachedResolver::new(self.recursive())).at_port(self.port)
    }

    /// Writes a zone file, and has it read.
    fn change(&self, file: &str, text: &str, server: Ipv4Addr, asked: &str) {
        std::fs::write(self.path(file), text).unwrap();
        let pid = Pid::from_raw(self.speaking.id().try_into().unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
        let direct = RealResolver::new(vec![(server, self.port).into()], Instant::now())
            .allowing_each(Duration::from_secs(2));
        self.until("the change is read", || {
            let answer = direct.lookup(&name(asked), RecordType::Txt);
            answer.is_ok_and(|answer| !answer.records().is_empty())
        });
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            let log = |name| std::fs::read_to_string(self.path(name)).unwrap();
            assert!(
                begin.elapsed() < PATIENCE,
                "not yet: {what}\n{}{}",
                log("speaking.log"),
                log("recursive.log")
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.speaking, &mut self.recursive] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that is free at all our addresses.
fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        let others = [ROOT, FIRST, SECOND, ELSEWHERE, SILENT];
        let free = others.map(|address| UdpSocket::bind((address, port)).is_ok());
        if free.into_iter().all(|free| free)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return port;
        }
    }
}

/// The address from which questions to another one are passed on.
fn upstream(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, _, d] = address.octets();
    Ipv4Addr::new(a, b, 1, d)
}

/// Passes on what is asked at an address, until nobody asks any more.
fn pass_on(address: Ipv4Addr, port: u16, behind: u16) {
    let socket = UdpSocket::bind((address, port)).unwrap();
    socket.set_read_timeout(Some(3 * PATIENCE)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let server = UdpSocket::bind((upstream(address), 0)).unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            server.connect((Ipv4Addr::LOCALHOST, behind)).unwrap();
            server.send(&buffer[..length]).unwrap();
            if let Ok(length) = server.recv(&mut buffer) {
                socket.send_to(&buffer[..length], client).unwrap();
            }
        }
    });
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn data(answer: &Result<Answer, DnsError>) -> Vec<&RecordData> {
    let records = answer.as_ref().unwrap().records();
    records.iter().map(|record| &record.data).collect()
}

#[test]
fn zones_are_asked_where_they_are() {
    let Some(world) = World::start() else { return };
    let resolver = world.authoritative();
    let ask = |asked: &str, kind| resolver.lookup(&name(asked), kind);
    let a = |text: &str| RecordData::A(text.parse().unwrap());

    let mail = ask("Mail.example.org", RecordType::A);
    assert_eq!(data(&mail), [&a("192.0.2.25")]);
    assert_eq!(
        ask("mail.example.org", RecordType::Aaaa),
        Ok(Answer::NoData)
    );
    assert_eq!(
        ask("nobody.example.org", RecordType::A),
        Ok(Answer::NoSuchName)
    );
    assert_eq!(ask("nobody.nowhere", RecordType::A), Ok(Answer::NoSuchName));
    // Aliases lead into zones of other servers (a key elsewhere, RFC 2317).
    let web = ask("www.example.org", RecordType::A);
    assert_eq!(data(&web), [&a("192.0.2.80")]);
    let key = ask("selector._domainkey.example.org", RecordType::Txt);
    assert_eq!(data(&key), [&RecordData::Txt(b"v=DKIM1; p=".to_vec())]);
    let alias = ask("www.example.org", RecordType::Cname);
    assert_eq!(
        data(&alias),
        [&RecordData::Cname(name("web.elsewhere.example"))]
    );
    let reverse = Name::reverse_of(IpAddr::from([192, 0, 2, 25]));
    let pointer = resolver.lookup(&reverse, RecordType::Ptr);
    assert_eq!(data(&pointer), [&RecordData::Ptr(name("mail.example.org"))]);
    let round = ask("round.example.org", RecordType::A);
    assert!(matches!(round, Err(DnsError::Aliases { .. })), "{round:?}");
    let sub = ask("sub.example.org", RecordType::Txt);
    assert_eq!(data(&sub), [&RecordData::Txt(b"here".to_vec())]);
    assert_eq!(resolver.differences(), []);
    assert_eq!(resolver.faults(), []);

    let remembered = negative_ttl(&resolver, &name("x.mail.example.org"));
    assert_eq!(remembered, Ok(Duration::from_secs(120)));
}

#[test]
fn servers_that_are_of_no_use_are_named() {
    let Some(world) = World::start() else { return };
    let resolver = world.authoritative();
    let lame = resolver.lookup(&name("lame.example"), RecordType::Txt);
    assert_eq!(data(&lame), [&RecordData::Txt(b"here".to_vec())]);
    let _silent = UdpSocket::bind((SILENT, world.port)).unwrap();
    for _ in 0..3 {
        let half = resolver.lookup(&name("half.example"), RecordType::Txt);
        assert_eq!(data(&half), [&RecordData::Txt(b"here".to_vec())]);
    }
    // The resolver hides behind one word what the servers do, and the servers are named.
    let gone = name("mail.gone.example");
    let hidden = world.recursive().lookup(&gone, RecordType::A);
    assert!(
        matches!(hidden, Err(DnsError::ServerFailure { .. })),
        "{hidden:?}"
    );
    let error = resolver.lookup(&gone, RecordType::A).unwrap_err();
    let port = world.port;
    assert_eq!(
        error.to_string(),
        format!(
            "ns.gone.example (127.77.0.9:{port}) could not be asked for A of `mail.gone.example`: \
             connection refused"
        )
    );
    let faults: Vec<String> = resolver
        .faults()
        .iter()
        .map(|fault| {
            let (zone, server) = (fault.zone.host(), fault.server.host());
            format!("{zone}: {server} {}", fault.what)
        })
        .collect();
    assert_eq!(
        faults,
        [
            "gone.example: ns.gone.example cannot be reached",
            "half.example: ns.half.example does not answer",
            "lame.example: ns1.example.org refuses to answer",
            "lame.example: nowhere.elsewhere.example has no address",
        ]
    );
}

#[test]
fn a_fresh_change_shows_and_where_it_is_missing() {
    let Some(world) = World::start() else { return };
    let asked = name("_dmarc.example.org");
    let published = RecordData::Txt(b"v=DMARC1; p=none".to_vec());
    let remembering = world.recursive();
    let nothing = remembering.lookup(&asked, RecordType::Txt);
    assert_eq!(nothing, Ok(Answer::NoSuchName));

    let changed = EXAMPLE.replace("SERIAL", "2") + "_dmarc TXT \"v=DMARC1; p=none\"\n";
    world.change("second.zone", &changed, SECOND, "_dmarc.example.org");
    let resolver = world.authoritative();
    let fresh = resolver.lookup(&asked, RecordType::Txt);
    assert_eq!(data(&fresh), [&published]);
    // The other one still remembers that there is none.
    let nothing = remembering.lookup(&asked, RecordType::Txt);
    assert_eq!(nothing, Ok(Answer::NoSuchName));
    let differences = resolver.differences();
    let [difference] = differences.as_slice() else {
        panic!("{differences:?}")
    };
    assert_eq!(difference.name, asked);
    let versions: Vec<(String, Option<u32>, usize)> = difference
        .versions
        .iter()
        .map(|version| {
            let servers: Vec<String> = version.servers.iter().map(ToString::to_string).collect();
            let records = version.answer.records().len();
            (servers.join(" "), version.serial, records)
        })
        .collect();
    let port = world.port;
    assert_eq!(
        versions,
        [
            (format!("ns2.example.org (127.77.0.3:{port})"), Some(2), 1),
            (format!("ns1.example.org (127.77.0.2:{port})"), Some(1), 0),
        ]
    );

    world.change("first.zone", &changed, FIRST, "_dmarc.example.org");
    let resolver = world.authoritative();
    let fresh = resolver.lookup(&asked, RecordType::Txt);
    assert_eq!(data(&fresh), [&published]);
    assert_eq!(resolver.differences(), []);
}

#[test]
fn waiting_ends_when_all_is_right() {
    let Some(world) = World::start() else { return };
    let server = format!("{FIRST}:{}", world.port);
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "dns",
        "check",
        "example.org",
        "--wait",
        "5m",
        "--address",
        "192.0.2.26",
        "--server",
        &server,
        "--root",
        ".",
        "--profile",
        "linux",
    ];
    let mut run = binary(folder.path(), &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    assert!(
        first.starts_with("waiting for up to 5 min: `example.org` has no SPF record"),
        "{first}"
    );
    let right = EXAMPLE.replace("SERIAL", "2")
        + "@ TXT \"v=spf1 mx -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n";
    world.change("first.zone", &right, FIRST, "_dmarc.example.org");
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    let output = run.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{rest:?}\n{shown}");
    let note = "note: who asked in vain before may remember that for up to 2 min";
    assert!(rest.iter().any(|line| line == note), "{rest:?}");
}

#[test]
fn waiting_ends_with_what_is_left() {
    let Some(world) = World::start() else { return };
    let server = format!("{FIRST}:{}", world.port);
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "dns",
        "check",
        "example.org",
        "--wait",
        "1s",
        "--address",
        "192.0.2.27",
        "--server",
        &server,
        "--root",
        ".",
        "--profile",
        "linux",
    ];
    let output = binary(folder.path(), &words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("error[no-ptr]: 192.0.2.27"), "{shown}");
}
