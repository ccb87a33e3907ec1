//! `mailfix dns push` against a real BIND: what it writes, what it takes back, and all the ways
//! in which nothing must change.
//!
//! Everything stays on loopback. Without `named` these tests say that they skipped; `CI=true`
//! makes that a failure.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::support::{Named, Shown, Zone, binary, run, skip};

/// Secrets as `tsig-keygen` writes them; these were made for the tests.
const SECRET: &str = "1Xg9u7Vd3c0eJ4m8hW2pQbZ6tRkYfA5sLnOqTvUxEwM=";
const OTHER_SECRET: &str = "mW3xEuTvOqLns5AfYkRt6ZbQp2Wh8m4Je0c3dV7u9gA=";

const SITE: &str = "\
allow_non_global = true
[server]
hostname = \"mail.example.org\"
ipv4 = [\"192.0.2.25\"]
ipv6 = [\"2001:db8::25\"]
[dns]
reverse4 = \"self\"
reverse6 = \"provider\"
[[domain]]
name = \"example.org\"
";

/// A text in two strings and a name with capitals: both must survive.
const FORWARD: &str = "\
@ IN TXT \"v=spf1 ip4:192.0.2.25 -all\"
@ 300 IN TXT \"site-\" \"verification=1\"
@ IN MX 10 mail
mail 60 IN A 192.0.2.25
ns 300 IN A 127.0.0.1
";
const REVERSE: &str = "25 IN PTR Generic.Host.example.net.\n";

const ZONES: [&str; 2] = ["example.org", "2.0.192.in-addr.arpa"];

fn key(name: &str, algorithm: &str, secret: &str) -> String {
    format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n")
}

/// A name server, a site file that names it, and a place for receipts.
pub struct World {
    pub named: Named,
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn start() -> Option<Self> {
        Self::with("allow-update { key mailfix; };")
    }

    /// Starts it with a reverse zone that has these options.
    fn with(reverse: &str) -> Option<Self> {
        let keys = key("mailfix", "hmac-sha256", SECRET) + &key("other", "hmac-sha512", SECRET);
        let zone = |name, text, options| Zone {
            name,
            text,
            options,
        };
        let named = Named::start(
            &keys,
            &[
                zone(
                    ZONES[0],
                    FORWARD,
                    "update-policy { grant mailfix zonesub ANY; };",
                ),
                zone(ZONES[1], REVERSE, reverse),
            ],
        );
        let Some(named) = named else {
            skip("there is no `named`");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc/mailfix")).unwrap();
        let world = Self { named, folder };
        world.write_key(&key("mailfix", "hmac-sha256", SECRET), 0o640);
        world.serve(world.named.address);
        Some(world)
    }

    /// Names a server in the site file.
    pub fn serve(&self, address: SocketAddr) {
        let site = format!(
            "{SITE}[dns.update]\nserver = \"{address}\"\nkey = \"/etc/mailfix/tsig.key\"\n"
        );
        fs::write(self.folder.path().join("etc/mailfix/mailfix.toml"), site).unwrap();
    }

    pub fn key_path(&self) -> PathBuf {
        self.folder.path().join("etc/mailfix/tsig.key")
    }

    fn write_key(&self, text: &str, mode: u32) {
        fs::write(self.key_path(), text).unwrap();
        fs::set_permissions(self.key_path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn run(&self, words: &str) -> Shown {
        self.run_at(Timestamp::now(), words)
    }

    fn run_at(&self, now: Timestamp, words: &str) -> Shown {
        let root = self.folder.path().to_str().unwrap();
        let mut all: Vec<&str> = words.split_ascii_whitespace().collect();
        all.extend(["--root", root, "--profile", "linux", "--no-input"]);
        // Nobody else knows anything of these names.
        run(&all, now, Some("test. 60 IN A 192.0.2.99\n"))
    }

    /// All records of all zones.
    pub fn records(&self) -> Vec<String> {
        ZONES
            .iter()
            .flat_map(|zone| self.named.records(zone))
            .collect()
    }

    /// The receipts of updates that lie there.
    pub fn receipts(&self) -> Vec<String> {
        let folder = self.folder.path().join("var/lib/mailfix/updates");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut texts: Vec<_> = entries
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        texts.sort();
        texts
    }

    /// Expects a run that fails with words about why, and changes neither zone nor receipts.
    #[track_caller]
    fn refuses(&self, words: &str, status: i32, said: &[&str]) {
        self.refuses_at(Timestamp::now(), words, status, said);
    }

    #[track_caller]
    fn refuses_at(&self, now: Timestamp, words: &str, status: i32, said: &[&str]) {
        let (records, receipts) = (self.records(), self.receipts());
        let shown = self.run_at(now, words);
        assert_eq!(shown.status, status, "{shown}");
        for said in said {
            assert!(shown.stderr.contains(said), "{said}\n{shown}");
        }
        assert_eq!(self.records(), records, "{shown}");
        assert_eq!(self.receipts(), receipts, "{shown}");
    }
}

/// What a proxy does with a message on its way to the server.
#[derive(Clone, Copy)]
enum Deal {
    /// Hands it on, and the answer back.
    Pass,
    /// Ends the connection instead.
    Drop,
    /// Hands it on and keeps the answer.
    Mute,
    /// Answers itself that all is well, unsigned.
    Lie,
}

/// Stands between mailfix and a server; `deal` is given how many updates came before, or nothing
/// for a question. Runs until the test ends.
fn proxy(
    server: SocketAddr,
    deal: impl Fn(Option<usize>) -> Deal + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut updates = 0;
        for client in listener.incoming() {
            let Ok(mut client) = client else { return };
            let Some(message) = message(&mut client) else {
                continue;
            };
            // RFC 1035, 4.1.1, and RFC 2136, 1.3: the opcode of an update is 5.
            let is_update = (message[4] >> 3) & 15 == 5;
            let deal = deal(is_update.then_some(updates));
            updates += usize::from(is_update);
            match deal {
                Deal::Drop => continue,
                Deal::Lie => {
                    let mut answer = vec![0, 12, message[2], message[3], message[4] | 0x80];
                    answer.extend([0; 9]);
                    let _ = client.write_all(&answer);
                    continue;
                }
                Deal::Pass | Deal::Mute => {}
            }
            let mut upstream = TcpStream::connect(server).unwrap();
            upstream.write_all(&message).unwrap();
            let answer = self::message(&mut upstream);
            if let (Deal::Pass, Some(answer)) = (deal, answer) {
                let _ = client.write_all(&answer);
            }
        }
    });
    address
}

/// One message with its length in front; nothing where the other side has none.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).ok()?;
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes.resize(2 + length, 0);
    stream.read_exact(&mut bytes[2..]).ok()?;
    Some(bytes)
}

#[test]
fn what_is_missing_is_written_once_and_taken_back_byte_for_byte() {
    let Some(world) = World::start() else { return };
    let before = world.records();
    let shown = world.run("dns push");
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown.stderr.contains("`--yes` agrees beforehand"),
        "{shown}"
    );
    for line in [
        "Zone example.org on 127.0.0.1:",
        "signed with the key mailfix",
        " example.org. 300 IN TXT \"site-verification=1\"",
        "-example.org. 300 IN TXT \"v=spf1 ip4:192.0.2.25 -all\"",
        "+example.org. 300 IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"",
        "+mail.example.org. 3600 IN AAAA 2001:db8::25",
        "-25.2.0.192.in-addr.arpa. 300 IN PTR generic.host.example.net.",
        "+25.2.0.192.in-addr.arpa. 300 IN PTR mail.example.org.",
    ] {
        assert!(shown.stdout.contains(line), "{line}\n{shown}");
    }
    // The provider's reverse zone is none of ours.
    assert!(
        shown.stderr.contains("ip6.arpa`; `mailfix dns request"),
        "{shown}"
    );
    assert!(!shown.stdout.contains("ip6.arpa"), "{shown}");
    assert_eq!(world.records(), before);
    assert_eq!(world.receipts(), [""; 0]);

    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 0, "{shown}");
    let written = world.records();
    for line in [
        "_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=none\"",
        "example.org. 300 IN TXT \"site-\" \"verification=1\"",
        "example.org. 300 IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"",
        "mail.example.org. 3600 IN AAAA 2001:db8::25",
        "25.2.0.192.in-addr.arpa. 300 IN PTR mail.example.org.",
    ] {
        assert!(
            written.iter().any(|record| record == line),
            "{line}\n{written:#?}"
        );
    }
    assert_eq!(written.len(), before.len() + 3);
    assert!(!world.receipts().concat().contains(SECRET));
    assert!(!shown.to_string().contains(SECRET));

    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 0, "{shown}");
    assert!(shown.stderr.contains("nothing was written"), "{shown}");
    assert_eq!((world.records(), world.receipts().len()), (written, 1));

    let shown = world.run("history");
    assert!(
        shown.stdout.contains("applied  5 DNS record sets"),
        "{shown}"
    );
    let shown = world.run("undo");
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown
            .stdout
            .contains("+25.2.0.192.in-addr.arpa. 300 IN PTR generic.host"),
        "{shown}"
    );
    let shown = world.run("undo --yes");
    assert_eq!(shown.status, 0, "{shown}");
    assert_eq!(world.records(), before);
    assert!(
        world
            .run("undo --yes")
            .stderr
            .contains("there is nothing to undo")
    );
    let shown = world.run("history");
    assert!(
        shown.stdout.contains("undone") && shown.stdout.contains("undo of "),
        "{shown}"
    );

    // And all of it once more.
    assert_eq!(world.run("dns push --yes").status, 0);
    assert_eq!(world.run("undo --yes").status, 0);
    assert_eq!(world.records(), before);
}

#[test]
fn a_wrong_key_changes_nothing_and_says_what_is_wrong() {
    let Some(world) = World::start() else { return };
    let push = "dns push --yes";
    let good = key("mailfix", "hmac-sha256", SECRET);
    let tries: [(&str, u32, &[&str]); 7] = [
        (
            &key("nobody", "hmac-sha256", SECRET),
            0o600,
            &[
                "does not know the key `nobody` (BADKEY)",
                "`key \"nobody\" { … };`",
            ],
        ),
        (
            &key("mailfix", "hmac-sha512", SECRET),
            0o600,
            &["does not know the key `mailfix` (BADKEY)", "the algorithm"],
        ),
        (
            &key("mailfix", "hmac-sha256", OTHER_SECRET),
            0o600,
            &[
                "the signature of the key `mailfix` (BADSIG)",
                "copy the key file",
            ],
        ),
        (
            &good,
            0o644,
            &["everybody on this machine can read", "chmod o= "],
        ),
        (
            "key mailfix {",
            0o600,
            &["tsig.key` is no key file", "tsig-keygen"],
        ),
        (
            &good.replace("sha256", "md5"),
            0o600,
            &["in line 2 the algorithm is none of"],
        ),
        (
            &good.repeat(2),
            0o600,
            &["it holds several keys", "a file of its own"],
        ),
    ];
    for (text, mode, said) in tries {
        world.write_key(text, mode);
        world.refuses(push, 1, said);
    }
    fs::remove_file(world.key_path()).unwrap();
    world.refuses(push, 1, &["there is no key file", "tsig-keygen"]);
    world.write_key(&good, 0o600);

    let hour = SignedDuration::from_secs(4000);
    for (now, said) in [
        (Timestamp::now() - hour, "s ahead (BADTIME)"),
        (Timestamp::now() + hour, "s behind (BADTIME)"),
    ] {
        world.refuses_at(
            now,
            push,
            1,
            &["the clocks differ: that of 127.0.0.1", said, "timedatectl"],
        );
    }
    // The other algorithms are as good.
    world.write_key(&key("other", "hmac-sha512", SECRET), 0o600);
    world.refuses(
        push,
        1,
        &["refuses the zone `example.org` (REFUSED); nothing was written"],
    );
}

#[test]
fn a_server_that_refuses_or_is_away_changes_nothing() {
    let Some(mut world) = World::start() else {
        return;
    };
    let push = "dns push --yes";
    world.refuses(&format!("{push} --offline"), 64, &["`--offline` forbids"]);
    let site = world.folder.path().join("etc/mailfix/mailfix.toml");
    let named = fs::read_to_string(&site).unwrap();
    fs::write(&site, SITE).unwrap();
    world.refuses(
        push,
        64,
        &["no server is named that takes updates", "[dns.update]"],
    );
    fs::write(&site, named).unwrap();
    // An update whose answer is a lie of somebody in between.
    world.serve(proxy(world.named.address, |update| match update {
        Some(_) => Deal::Lie,
        None => Deal::Pass,
    }));
    let before = world.records();
    let shown = world.run(push);
    assert_eq!(shown.status, 3, "{shown}");
    assert!(
        shown.stderr.contains(
            "whether the zone `example.org` was changed is not known: the answer of 127.0.0.1"
        ) && shown.stderr.contains("cannot be trusted: it is not signed"),
        "{shown}"
    );
    assert!(!shown.stderr.contains("nothing was written"), "{shown}");
    assert_eq!((world.records(), world.receipts().len()), (before, 1));
    world.serve(proxy(world.named.address, |_| Deal::Lie));
    world.refuses(push, 75, &["cannot be trusted: it is not signed"]);
    world.serve(proxy(world.named.address, |_| Deal::Drop));
    world.refuses(push, 75, &["broke off the connection"]);
    world.serve(world.named.address);
    world.named.stop();
    let shown = world.run(push);
    assert_eq!((shown.status, world.receipts().len()), (75, 1), "{shown}");
    assert!(
        shown
            .stderr
            .contains("cannot be reached over TCP: connection refused"),
        "{shown}"
    );
    assert!(!shown.stderr.contains("missing"), "{shown}");
}

#[test]
fn a_zone_that_changed_meanwhile_is_left_alone() {
    let Some(world) = World::start() else { return };
    // Somebody else is faster: between what was read and the update.
    let changed = Arc::new(AtomicBool::new(false));
    let (port, key) = (world.named.address.port(), world.key_path());
    let script = world.named.path("faster");
    let text = format!("server 127.0.0.1 {port}\nupdate add example.org. 300 TXT \"new\"\nsend\n");
    fs::write(&script, text).unwrap();
    let done = Arc::clone(&changed);
    world.serve(proxy(world.named.address, move |update| {
        if update.is_some() && !done.swap(true, Ordering::SeqCst) {
            let status = std::process::Command::new("nsupdate")
                .arg("-k")
                .arg(&key)
                .arg(&script)
                .status();
            assert!(status.unwrap().success());
        }
        Deal::Pass
    }));
    let mut expected = world.records();
    expected.push("example.org. 300 IN TXT \"new\"".to_owned());
    expected.sort();
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 1, "{shown}");
    assert!(
        shown
            .stderr
            .contains("the zone `example.org` was changed meanwhile")
            && shown.stderr.contains("NXRRSET")
            && shown.stderr.contains("nothing was written"),
        "{shown}"
    );
    let mut records = world.records();
    records.sort();
    assert_eq!((records, world.receipts().len()), (expected, 0));

    // A record that was not there and is there now.
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 0, "{shown}");
    let id = {
        let words: Vec<&str> = shown.stderr.split("mailfix undo ").collect();
        words[1].split(' ').next().unwrap().to_owned()
    };
    world.named.change(
        &world.key_path(),
        "update delete example.org. TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"\n\
         update add example.org. 300 TXT \"v=spf1 -all\"",
    );
    world.refuses(
        "undo --yes",
        1,
        &[
            "changed since",
            "so nothing is taken back: TXT of `example.org`",
            "\"v=spf1 -all\"",
        ],
    );
    world.refuses(&format!("undo {id} --yes"), 1, &["changed since"]);
    assert!(world.run("history").stdout.contains("changed since"));
    world.named.change(
        &world.key_path(),
        "update delete example.org. TXT \"v=spf1 -all\"\n\
         update add example.org. 300 TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all\"",
    );
    assert_eq!(world.run(&format!("undo {id} --yes")).status, 0);
}

#[test]
fn half_of_several_zones_is_told_and_can_go_on_or_back() {
    let Some(world) = World::with("allow-update { none; };") else {
        return;
    };
    let before = world.records();
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 3, "{shown}");
    for said in [
        "refuses the zone `2.0.192.in-addr.arpa` (REFUSED); changed already: `example.org`",
        "`mailfix dns push",
        "takes back what was written",
    ] {
        assert!(shown.stderr.contains(said), "{said}\n{shown}");
    }
    assert!(world.run("history").stdout.contains("applied in part"));
    let shown = world.run("undo --yes");
    assert_eq!(shown.status, 0, "{shown}");
    assert_eq!(world.records(), before);
}

#[test]
fn a_server_that_dies_half_way_leaves_what_the_next_run_mends() {
    let Some(world) = World::start() else { return };
    let before = world.records();
    // It takes the first zone, and its answer to the second does not come back.
    world.serve(proxy(world.named.address, |update| match update {
        Some(1) => Deal::Drop,
        _ => Deal::Pass,
    }));
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 3, "{shown}");
    assert!(shown.stderr.contains("broke off the connection"), "{shown}");
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 0, "{shown}");
    assert!(!shown.stdout.contains("Zone example.org"), "{shown}");
    for _ in 0..2 {
        assert_eq!(world.run("undo --yes").status, 0);
    }
    assert_eq!(world.records(), before);

    // An update whose answer is lost was carried out all the same: the zone says so.
    world.serve(proxy(world.named.address, |update| match update {
        Some(_) => Deal::Mute,
        None => Deal::Pass,
    }));
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 0, "{shown}");
    assert_eq!(world.run("undo --yes").status, 0);
    assert_eq!(world.records(), before);

    // And where it says nothing any more, that is said, and not taken for either.
    let gone = AtomicBool::new(false);
    world.serve(proxy(world.named.address, move |update| {
        if update.is_some() {
            gone.store(true, Ordering::SeqCst);
            return Deal::Mute;
        }
        if gone.load(Ordering::SeqCst) {
            Deal::Drop
        } else {
            Deal::Pass
        }
    }));
    let shown = world.run("dns push --yes");
    assert_eq!(shown.status, 3, "{shown}");
    assert!(
        shown
            .stderr
            .contains("whether the zone `example.org` was changed is not known"),
        "{shown}"
    );
    let shown = world.run("history --json");
    assert!(shown.stdout.contains("\"state\": \"unknown\""), "{shown}");
    world.serve(world.named.address);
}

#[test]
fn a_kill_between_receipt_and_update_leaves_the_zone_as_it_was() {
    let Some(world) = World::start() else { return };
    let before = world.records();
    let reached = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&reached);
    world.serve(proxy(world.named.address, move |update| {
        if update.is_some() {
            seen.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_secs(2));
            return Deal::Drop;
        }
        Deal::Pass
    }));
    let root = world.folder.path().to_str().unwrap();
    let words = ["dns", "push", "--yes", "--root", root, "--profile", "linux"];
    // Its own reverse zones are all on the server, so that nobody else is asked.
    let site = world.folder.path().join("etc/mailfix/mailfix.toml");
    let text = fs::read_to_string(&site)
        .unwrap()
        .replace("ipv6 = [\"2001:db8::25\"]\n", "");
    fs::write(&site, text).unwrap();
    let mut child = binary(world.folder.path(), &words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !reached.load(Ordering::SeqCst) {
        assert!(begin.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.records(), before);
    assert_eq!(world.receipts().len(), 1);
    world.serve(world.named.address);
    assert!(
        world
            .run("undo --yes")
            .stderr
            .contains("there is nothing to undo")
    );
    assert_eq!(world.run("dns push --yes").status, 0);
    assert_eq!(world.run("undo --yes").status, 0);
    assert_eq!(world.records(), before);
}
