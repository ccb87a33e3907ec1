//! A real name server of a test's own, on a port of loopback.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where Debian and the BSDs keep it.
const NAMED: &[&str] = &["/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named"];

/// How long a server may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A zone that it serves.
pub struct Zone<'a> {
    pub name: &'a str,
    /// Its records, below SOA and NS.
    pub text: &'a str,
    /// What else stands in its statement, such as who may update it.
    pub options: &'a str,
}

/// A running `named`; ended when dropped.
pub struct Named {
    child: Child,
    pub address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Named {
    /// Starts it, or gives nothing where there is none. `keys` stands in its configuration.
    pub fn start(keys: &str, zones: &[Zone<'_>]) -> Option<Self> {
        let program = NAMED.iter().find(|path| Path::new(path).exists())?;
        let directory = tempfile::tempdir().unwrap();
        let address = free_port();
        let (root, port) = (directory.path().display(), address.port());
        let mut config = format!(
            "{keys}
            options {{ directory \"{root}\"; listen-on port {port} {{ 127.0.0.1; }};
                listen-on-v6 {{ none; }}; recursion no; pid-file none; session-keyfile none;
                dnssec-validation no; empty-zones-enable no; notify no;
                allow-transfer {{ any; }}; }};
            controls {{ }};\n"
        );
        for zone in zones {
            let (name, text) = (zone.name, zone.text);
            let text = format!(
                "$TTL 300\n@ IN SOA ns.test. admin.test. 1 3600 600 86400 60\n@ IN NS ns.test.\n{text}"
            );
            std::fs::write(directory.path().join(format!("{name}.zone")), text).unwrap();
            let options = zone.options;
            writeln!(
                config,
                "zone \"{name}\" {{ type primary; file \"{name}.zone\"; {options} }};"
            )
            .unwrap();
        }
        std::fs::write(directory.path().join("named.conf"), config).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["-g", "-4", "-n", "1", "-c"])
            .arg(directory.path().join("named.conf"))
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
        while !named.log().contains("all zones loaded") || TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < PATIENCE, "{}", named.log());
            let ended = named.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", named.log());
            thread::sleep(Duration::from_millis(20));
        }
        Some(named)
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A file beside its zones.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// All records of a zone as `dig` prints them, but its SOA, whose serial every change moves.
    pub fn records(&self, zone: &str) -> Vec<String> {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &self.address.port().to_string()])
            .args([zone, "AXFR", "+noall", "+answer", "+nocrypto"])
            .args(["+tries=1", "+onesoa"])
            .output()
            .expect("`dig` starts");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.contains(" IN SOA "))
            .collect();
        assert!(!lines.is_empty(), "no records of {zone}: {}", self.log());
        lines.sort();
        lines
    }

    /// Changes a zone as somebody else would, with BIND's own tool.
    pub fn change(&self, key: &Path, commands: &str) {
        let script = self.path("commands");
        let port = self.address.port();
        let text = format!("server 127.0.0.1 {port}\n{commands}\nsend\n");
        std::fs::write(&script, text).unwrap();
        let output = Command::new("nsupdate")
            .arg("-k")
            .arg(key)
            .arg(&script)
            .output()
            .expect("`nsupdate` starts");
        assert!(output.status.success(), "{output:?}");
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.stop();
    }
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
