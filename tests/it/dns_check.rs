//! `mailfix dns check` as it is installed, against a real BIND that has each fault on purpose.
//!
//! Everything stays on loopback. Without `named` the tests say that they skipped; with `CI=true`
//! that is a failure.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::Duration;

use mailfix::dns::Name;
use mailfix::mail::dkim::{Algorithm, PrivateKey};
use serde_json::Value;

use crate::support::{Named, Shown, Snapshots, Tree, Zone, binary, skip};

/// Runs at a time.
const WORKERS: usize = 4;

/// The zone in which all is right. `DOMAIN` and the addresses differ in each case.
const RIGHT: &str = "\
REVERSE4 PTR mail.DOMAIN.
REVERSE6 PTR mail.DOMAIN.
mail.DOMAIN. A ADDRESS4
mail.DOMAIN. AAAA ADDRESS6
mail.DOMAIN. TXT \"v=spf1 a -all\"
DOMAIN. MX 10 mail.DOMAIN.
DOMAIN. TXT \"v=spf1 ip4:ADDRESS4 ip6:ADDRESS6 -all\"
s1._domainkey.DOMAIN. TXT KEY
_dmarc.DOMAIN. TXT \"v=DMARC1; p=reject; rua=mailto:d@DOMAIN\"
";

/// One fault: which lines of the right zone are left out, what stands there instead, and what
/// then is not as it should be.
struct Case {
    name: &'static str,
    without: &'static [&'static str],
    with: &'static str,
    expected: &'static [&'static str],
}

/// What is said of an address, of the domain and in the end where nothing is wrong.
const FINE: [&str; 4] = [
    "v4: yes yes, helo yes pass, spf pass, Google takes",
    "v6: yes yes, helo yes pass, spf pass, Google takes",
    "domain: mx yes, dkim yes, dmarc reject",
    "0: ",
];

const CASES: &[Case] = &[
    Case {
        name: "right",
        without: &[],
        with: "",
        expected: &[],
    },
    Case {
        name: "ptr-missing",
        without: &["REVERSE6"],
        with: "",
        expected: &[
            "v6: none no, helo yes pass, spf pass, Google refuses",
            "1: no-ptr",
        ],
    },
    Case {
        name: "ptr-other",
        without: &["REVERSE6"],
        with: "REVERSE6 PTR other.DOMAIN.\nother.DOMAIN. AAAA 2001:db8::ffff",
        expected: &[
            "v6: yes no, helo yes pass, spf pass, Google refuses",
            "1: ptr-unconfirmed",
        ],
    },
    Case {
        name: "ptr-no-aaaa",
        without: &["AAAA"],
        with: "",
        expected: &[
            "v6: yes no, helo other fail, spf pass, Google refuses",
            "1: helo-elsewhere helo-spf ptr-unconfirmed",
        ],
    },
    Case {
        name: "ptr-several",
        without: &[],
        with: "REVERSE6 PTR a.DOMAIN.\nREVERSE6 PTR zzz.DOMAIN.\nREVERSE4 PTR gone.invalid.",
        expected: &[],
    },
    Case {
        name: "spf-v4-only",
        without: &["ip4:"],
        with: "DOMAIN. TXT \"v=spf1 include:spf.DOMAIN a:mail4.DOMAIN ~all\"\n\
               spf.DOMAIN. TXT \"v=spf1 ip4:ADDRESS4 -all\"\n\
               mail4.DOMAIN. A ADDRESS4",
        expected: &[
            "v6: yes yes, helo yes pass, spf softfail, Google if-signed",
            "1: spf-not-covered",
        ],
    },
    Case {
        name: "spf-eleven",
        without: &["ip4:"],
        with: "DOMAIN. TXT \"v=spf1 a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN \" \
               \"a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN a:x.DOMAIN mx -all\"\n\
               x.DOMAIN. A 203.0.113.1\nx.DOMAIN. AAAA 2001:db8::ffff",
        expected: &[
            "v4: yes yes, helo yes pass, spf permerror, Google if-signed",
            "v6: yes yes, helo yes pass, spf permerror, Google if-signed",
            "1: spf-lookups spf-odd",
        ],
    },
    Case {
        name: "spf-void",
        without: &["ip4:"],
        with: "DOMAIN. TXT \"v=spf1 a:x1.DOMAIN a:x2.DOMAIN exists:x3.DOMAIN mx -all\"",
        expected: &[
            "v4: yes yes, helo yes pass, spf permerror, Google if-signed",
            "v6: yes yes, helo yes pass, spf permerror, Google if-signed",
            "1: spf-void-lookups",
        ],
    },
    Case {
        name: "spf-two",
        without: &[],
        with: "DOMAIN. TXT \"v=spf1 mx -all\"",
        expected: &[
            "v4: yes yes, helo yes pass, spf permerror, Google if-signed",
            "v6: yes yes, helo yes pass, spf permerror, Google if-signed",
            "1: spf-several",
        ],
    },
    Case {
        name: "spf-loop",
        without: &["ip4:"],
        with: "DOMAIN. TXT \"v=spf1 include:a.DOMAIN mx -all\"\n\
               a.DOMAIN. TXT \"v=spf1 include:DOMAIN -all\"",
        expected: &[
            "v4: yes yes, helo yes pass, spf permerror, Google if-signed",
            "v6: yes yes, helo yes pass, spf permerror, Google if-signed",
            "1: spf-loop",
        ],
    },
    Case {
        name: "dkim-alias",
        without: &["_domainkey"],
        with: "s1._domainkey.DOMAIN. CNAME s1.keys.DOMAIN.\ns1.keys.DOMAIN. TXT KEY",
        expected: &[],
    },
    Case {
        name: "dkim-mismatch",
        without: &["_domainkey"],
        with: "s1._domainkey.DOMAIN. TXT OTHER",
        expected: &[
            "domain: mx yes, dkim other, dmarc reject",
            "1: dkim-mismatch",
        ],
    },
    Case {
        name: "dkim-revoked",
        without: &["_domainkey"],
        with: "s1._domainkey.DOMAIN. TXT \"v=DKIM1; k=rsa; p=\"",
        expected: &[
            "domain: mx yes, dkim revoked, dmarc reject",
            "1: dkim-revoked",
        ],
    },
    Case {
        name: "dmarc-no-policy",
        without: &["_dmarc"],
        with: "_dmarc.DOMAIN. TXT \"v=DMARC1; adkim=s\"",
        expected: &["domain: mx yes, dkim yes, dmarc wrong", "1: dmarc-wrong"],
    },
    Case {
        name: "servfail",
        without: &["ip4:"],
        with: "DOMAIN. TXT \"v=spf1 include:spf.broken.test -all\"",
        expected: &[
            "v4: yes yes, helo yes pass, spf temperror, Google if-signed",
            "v6: yes yes, helo yes pass, spf temperror, Google if-signed",
            "75: dns-unasked",
        ],
    },
    Case {
        name: SILENT,
        without: &[],
        with: "",
        expected: &["domain: mx yes, dkim yes, dmarc ?", "75: dns-unasked"],
    },
    Case {
        name: "truncated",
        without: &[],
        with: "DOMAIN. TXT LONG",
        expected: &[],
    },
    Case {
        name: "hostile",
        without: &["REVERSE6", "ip4:", "_domainkey", "_dmarc"],
        with: "REVERSE6 PTR evil\\027[2J\\007.DOMAIN.\n\
               DOMAIN. TXT \"v=spf1 \\027[2J:x -all\"\n\
               s1._domainkey.DOMAIN. TXT \"\\027]0;x\\007\"\n\
               _dmarc.DOMAIN. TXT \"v=DMARC1; p=\\027[31m\"",
        expected: &[
            "v4: yes yes, helo yes pass, spf permerror, Google may-refuse",
            "v6: yes no, helo yes pass, spf permerror, Google refuses",
            "domain: mx yes, dkim no key, dmarc wrong",
            "1: dkim-no-key dmarc-wrong ptr-unconfirmed spf-syntax",
        ],
    },
];

/// The case whose DMARC record is asked for in vain.
const SILENT: &str = "silent";

/// A case and what belongs to it alone.
struct World<'a> {
    case: &'a Case,
    domain: String,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

impl<'a> World<'a> {
    fn new(number: usize, case: &'a Case) -> Self {
        let number = u8::try_from(number + 10).unwrap();
        Self {
            case,
            domain: format!("{}.test", case.name),
            ipv4: Ipv4Addr::new(192, 0, 2, number),
            ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()),
        }
    }

    fn zone(&self, keys: &[String; 2]) -> String {
        let kept = RIGHT
            .lines()
            .filter(|line| !self.case.without.iter().any(|text| line.contains(text)));
        let zone = kept
            .chain(self.case.with.lines())
            .collect::<Vec<_>>()
            .join("\n");
        let reverse = |address: std::net::IpAddr| Name::reverse_of(address).fully_qualified();
        zone.replace("DOMAIN", &self.domain)
            .replace("ADDRESS4", &self.ipv4.to_string())
            .replace("ADDRESS6", &self.ipv6.to_string())
            .replace("REVERSE4", &reverse(self.ipv4.into()))
            .replace("REVERSE6", &reverse(self.ipv6.into()))
            .replace("KEY", &keys[0])
            .replace("OTHER", &keys[1])
            .replace("LONG", &format!("\"{}\" ", "x".repeat(250)).repeat(12))
            + "\n"
    }

    fn tree(&self, key: &str) -> Tree {
        let tree = Tree::new();
        let (domain, ipv4, ipv6) = (&self.domain, self.ipv4, self.ipv6);
        let site = format!(
            "allow_non_global = true\n[server]\nhostname = \"mail.{domain}\"\nipv4 = [\"{ipv4}\"]\n\
             ipv6 = [\"{ipv6}\"]\n[[domain]]\nname = \"{domain}\"\n\
             [dkim]\nselector = \"s1\"\nkey = \"/etc/mailfix/key\"\n"
        );
        tree.write("/etc/mailfix/mailfix.toml", site);
        tree.write("/etc/mailfix/key", key);
        tree
    }
}

/// Runs the check as it is installed.
fn dns_check(tree: &Tree, server: SocketAddr, more: &[&str]) -> Shown {
    let root = tree.path().display().to_string();
    let server = server.to_string();
    let mut words = vec!["dns", "check", "--root", &root, "--server", &server];
    words.extend(["--profile", "linux"]);
    words.extend(more);
    binary(tree.path(), &words).output().unwrap().into()
}

/// What the JSON says, in lines as the cases have them.
fn words(shown: &Shown) -> String {
    let json: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown}"));
    let says = |value: &Value| value["says"].as_str().unwrap_or("-").to_owned();
    let mut text = String::new();
    for address in json["addresses"].as_array().unwrap() {
        let family = if address["address"].as_str().unwrap().contains(':') {
            6
        } else {
            4
        };
        let hello = &address["hello"][0];
        let spf: Vec<String> = address["spf"]
            .as_object()
            .unwrap()
            .values()
            .map(says)
            .collect();
        let receivers = address["receivers"].as_array().unwrap();
        let google = receivers.iter().find(|one| one["id"] == "google").unwrap();
        let _ = writeln!(
            text,
            "v{family}: {} {}, helo {} {}, spf {}, Google {}",
            says(&address["ptr"]),
            says(&address["forward"]),
            says(&hello["cell"]),
            says(&hello["spf"]),
            spf.join(" "),
            google["verdict"].as_str().unwrap()
        );
    }
    for domain in json["domains"].as_array().unwrap() {
        let _ = writeln!(
            text,
            "domain: mx {}, dkim {}, dmarc {}",
            says(&domain["mx"]),
            says(&domain["dkim"][0]),
            says(&domain["dmarc"])
        );
    }
    let findings = json["findings"].as_array().unwrap().iter();
    let mut codes: Vec<&str> = findings.map(|one| one["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes.dedup();
    let _ = write!(text, "{}: {}", shown.status, codes.join(" "));
    text
}

/// A TXT record's strings of a key: three of them.
fn strings(key: &PrivateKey) -> String {
    let text = key.record().unwrap().to_string();
    let parts = text.as_bytes().chunks(text.len().div_ceil(3));
    let parts: Vec<String> = parts
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    parts.join(" ")
}

/// A server that passes questions on, except those for one name, which it never answers.
fn forgetful(named: SocketAddr, forgets: &'static [u8]) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = buffer[..length].to_vec();
            if question
                .windows(forgets.len())
                .any(|part| part.eq_ignore_ascii_case(forgets))
            {
                continue;
            }
            let socket = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                let asking = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                asking
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .unwrap();
                let mut buffer = [0; 4096];
                if asking.send_to(&question, named).is_ok()
                    && let Ok(length) = asking.recv(&mut buffer)
                {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            });
        }
    });
    address
}

fn start(zone: &str) -> Option<Named> {
    let root = format!("ns.test. A 127.0.0.1\n{zone}");
    let zones = [
        Zone {
            name: ".",
            text: &root,
            // A hostile zone has names that BIND would else not serve.
            options: "check-names ignore;",
        },
        // It is no zone text, so the server knows the zone and can say nothing of it.
        Zone {
            name: "broken.test",
            text: "( unfinished",
            options: "",
        },
    ];
    let named = Named::start("", &zones);
    match &named {
        None => skip("there is no `named`"),
        Some(named) => {
            // A record that BIND does not like, and it serves nothing of the zone.
            let log = named.log();
            assert!(log.contains("zone ./IN: loaded"), "{log}");
        }
    }
    named
}

#[test]
fn every_fault_is_found_in_a_real_zone() {
    let keys = [(); 2].map(|()| PrivateKey::generate(Algorithm::Rsa).unwrap());
    let texts = [strings(&keys[0]), strings(&keys[1])];
    let pem = keys[0].to_pem().unwrap();
    let worlds: Vec<World<'_>> = CASES
        .iter()
        .enumerate()
        .map(|(number, case)| World::new(number, case))
        .collect();
    let zone: String = worlds.iter().map(|world| world.zone(&texts)).collect();
    let Some(named) = start(&zone) else { return };
    let forgetful = forgetful(named.address, b"\x06_dmarc\x06silent");
    let left = Mutex::new(worlds.iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(world) = left.lock().unwrap().next() else {
                        break;
                    };
                    let name = world.case.name;
                    let server = if name == SILENT {
                        forgetful
                    } else {
                        named.address
                    };
                    let tree = world.tree(&pem);
                    let shown = dns_check(&tree, server, &[]);
                    let found = words(&dns_check(&tree, server, &["--json"]));
                    let found: Vec<&str> =
                        found.lines().filter(|line| !FINE.contains(line)).collect();
                    assert_eq!(found, world.case.expected, "{name}\n{shown}");
                    let too_wide = |line: &&str| line.chars().count() > 80 && !line.contains('`');
                    assert_eq!(shown.stdout.lines().find(too_wide), None, "{name}");
                    let is_odd = |c: char| c.is_control() && c != '\n';
                    assert!(
                        !shown.stdout.contains(is_odd) && !shown.stderr.contains(is_odd),
                        "{shown:?}"
                    );
                }
            });
        }
    });

    // What programs read, whole.
    let world = worlds.iter().find(|world| world.case.name == "spf-v4-only");
    let tree = world.unwrap().tree(&pem);
    let snapshots = Snapshots::new("dns-check");
    let json = dns_check(&tree, named.address, &["--json"]);
    snapshots.check("json", &json.to_string());
    let text = dns_check(&tree, named.address, &["--tree"]);
    snapshots.check("text", &text.to_string());
    snapshots.end();
}
/// Four servers of one domain, one name over all of them.
const FOUR: &str = r#"
allow_non_global = true
[server]
hostname = "web.hoge.test"
shared_name = "mail.hoge.test"
ipv4 = ["192.0.2.1"]
ipv6 = ["2001:db8::1"]
[[domain]]
name = "hoge.test"
mx = ["10 mail.hoge.test"]
[[other_server]]
name = "web01.hoge.test"
ipv4 = ["192.0.2.2"]
ipv6 = ["2001:db8::2"]
[[other_server]]
name = "app01.hoge.test"
ipv4 = ["192.0.2.3"]
ipv6 = ["2001:db8::3"]
[[other_server]]
name = "app02.hoge.test"
ipv4 = ["192.0.2.4"]
ipv6 = ["2001:db8::4"]
[dkim]
selector = "s1"
key = "/etc/mailfix/key"
"#;

#[test]
fn the_records_of_four_servers_pass_for_each_of_their_addresses() {
    let tree = Tree::new();
    let key = PrivateKey::generate(Algorithm::Rsa).unwrap();
    tree.write("/etc/mailfix/mailfix.toml", FOUR);
    tree.write("/etc/mailfix/key", key.to_pem().unwrap().as_bytes());
    let root = tree.path().display().to_string();
    let show = [
        "dns",
        "show",
        "--root",
        &root,
        "--profile",
        "linux",
        "--offline",
    ];
    let records: Shown = binary(tree.path(), &show).output().unwrap().into();
    assert_eq!(records.status, 0, "{records}");
    let Some(named) = start(&records.stdout) else {
        return;
    };
    let found = words(&dns_check(&tree, named.address, &["--json"]));
    let each = ["v4", "v6"].map(|family| {
        format!("{family}: yes yes, helo yes pass, spf pass, Google takes\n").repeat(4)
    });
    assert_eq!(
        found,
        format!("{}domain: mx yes, dkim yes, dmarc none\n0: ", each.concat()),
        "{}",
        dns_check(&tree, named.address, &[])
    );
}
