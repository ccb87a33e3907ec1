//! From a log to changes of the site file and a plan: each cure that causes name, end to end.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use mailfix::profile::Profile;

use crate::support::{SITE, Shown, Snapshots, Tree, has_postfix, normalized, run};

const NOW: &str = "2026-03-04T00:00:00Z";

/// What DNS says: both addresses have their PTR record, SPF covers them.
const ZONE: &str = "\
mail.example.org. 3600 IN A 192.0.2.25
mail.example.org. 3600 IN AAAA 2001:db8::25
25.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.org.
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mail.example.org.
example.org. 3600 IN MX 10 mail.example.org.
example.org. 3600 IN TXT \"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 ~all\"
hosted.example. 3600 IN MX 1 aspmx.l.google.com.
strict.example. 3600 IN MX 1 mx.strict.example.
";

/// The site file is where every profile of Linux has it.
const PLACE: &str = "/etc/mailfix/mailfix.toml";

/// A line of a delivery that was refused.
fn refused(to: &str, host: &str, reply: &str) -> String {
    let dsn = reply.split([' ', '-']).nth(1).unwrap();
    let status = if reply.starts_with('4') {
        "deferred"
    } else {
        "bounced"
    };
    format!(
        "2026-03-03T10:00:00+00:00 mail postfix/smtp[9]: A1B2C3D4: to=<{to}>, relay={host}:25, \
         delay=1, delays=0/0/0/1, dsn={dsn}, status={status} (host {host} said: {reply} (in reply to \
         end of DATA command))\n"
    )
}

const STRICT: &str = "mx.strict.example[192.0.2.99]";
const GOOGLE6: &str = "gmail-smtp-in.l.google.com[2001:db8:1::1b]";
const NO_PTR: &str = "550-5.7.1 [2001:db8::25      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . q43si37022102eeo.243 - gsmtp";

/// A host, as a profile has it when freshly installed.
struct Host {
    tree: Tree,
    place: String,
    /// What DNS says.
    zone: String,
}

impl Host {
    fn new(profile: &str) -> Self {
        let profile = Profile::built_in(profile).expect("it is one of ours");
        let tree = Tree::new();
        let config = &profile.paths.config;
        tree.write(config.join("main.cf"), profile.stock.main_cf);
        tree.write(config.join("master.cf"), profile.stock.master_cf);
        tree.write("/etc/aliases", "root: admin@example.org\n");
        Self {
            tree,
            place: profile.paths.site.to_string(),
            zone: ZONE.to_owned(),
        }
    }

    /// Nobody set the PTR record of the IPv6 address.
    fn without_ptr(mut self) -> Self {
        let lines = ZONE.split_inclusive('\n');
        self.zone = lines.filter(|line| !line.contains("ip6.arpa")).collect();
        self
    }

    fn with(self, path: &str, text: &str) -> Self {
        self.tree.write(path, text);
        self
    }

    fn site(self, text: &str) -> Self {
        let place = self.place.clone();
        self.with(&place, text)
    }

    /// Adds lines to main.cf.
    fn main_cf(self, text: &str) -> Self {
        let path = self.tree.real("/etc/postfix/main.cf");
        let before = fs::read_to_string(&path).unwrap();
        self.with("/etc/postfix/main.cf", &(before + text))
    }

    fn log(self, text: &str) -> Self {
        let host = self.with("/mail.log", text);
        if host.tree.real("/etc/postfix/main.cf").exists() {
            host.tree.build_databases(Path::new("/etc/postfix"));
        }
        host.tree.settle();
        host
    }

    fn run(&self, words: &[&str]) -> Shown {
        let log = self.tree.real("/mail.log");
        let root = self.tree.path().to_str().unwrap();
        let words = words.iter().map(|word| match *word {
            "LOG" => log.to_str().unwrap(),
            word => word,
        });
        let words: Vec<&str> = words.chain(["--root", root, "--no-input"]).collect();
        let now: Timestamp = NOW.parse().unwrap();
        run(&words, now, Some(&self.zone))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.tree.real(path)).unwrap()
    }

    fn shown(&self, shown: &Shown) -> String {
        normalized(&shown.to_string(), self.tree.path())
    }

    /// Shows the plan, proves that looking wrote nothing, and applies it; gives what it showed and
    /// what the site file says then.
    #[track_caller]
    fn carried_out(&self) -> (String, String) {
        let before = self.tree.entries();
        let shown = self.run(&["diagnose", "--plan", "LOG"]);
        assert_eq!(shown.status, 0, "{shown}");
        assert_eq!(before, self.tree.entries(), "nobody agreed");
        let planned = self.run(&["plan", "--from-log", "LOG"]);
        assert_eq!(planned.status, 0, "{planned}");
        let (planned, shown_again) = (self.shown(&planned), self.shown(&shown));
        let plan = |text: &str| text.split("----- stderr").next().map(str::to_owned);
        assert_eq!(plan(&planned), plan(&shown_again), "both plan the same");
        let done = self.run(&["diagnose", "--plan", "LOG", "--yes"]);
        assert_eq!(done.status, 0, "{done}");
        (self.shown(&shown), self.read(&self.place))
    }
}

#[test]
fn the_address_that_mail_left_from_is_named() {
    if !has_postfix() {
        return;
    }
    let reply = "550 5.7.23 SPF of example.org does not allow [192.0.2.77]: fail";
    let host = Host::new("linux")
        .site(&SITE.replace("[\"192.0.2.25\"]", "[\n  \"192.0.2.25\", # the old one\n]"))
        .log(&refused("a@strict.example", STRICT, reply));
    let (shown, site) = host.carried_out();
    assert!(
        site.contains("\"192.0.2.25\", # the old one\n  \"192.0.2.77\""),
        "{site}"
    );
    let records = host.run(&["dns", "show"]);
    assert!(records.stdout.contains("ip4:192.0.2.77"), "{records}");
    let snapshots = Snapshots::new("plan-from-log/address");
    snapshots.check("shown", &shown);
    snapshots.end();
}

#[test]
fn senders_of_forwarded_mail_are_rewritten() {
    if !has_postfix() {
        return;
    }
    let reply =
        "550 5.7.23 <far.example>: SPF: 192.0.2.25 is not allowed to send mail for far.example";
    let host = || {
        Host::new("linux")
            .site(SITE)
            .main_cf("myhostname = mail.example.org\nvirtual_alias_domains = example.org\nvirtual_alias_maps = hash:/etc/postfix/virtual\n")
            .with("/etc/postfix/virtual", "bob@example.org bob@strict.example\n")
            .with("/usr/sbin/postsrsd", "")
            .with(
                "/etc/default/postsrsd",
                "SRS_SEPARATOR==\nSRS_SECRET=/etc/postsrsd.secret\nSRS_FORWARD_PORT=10001\nSRS_REVERSE_PORT=10002\nRUN_AS=postsrsd\n",
            )
    };
    let forwarded = host().log(&refused("bob@strict.example", STRICT, reply));
    let (shown, site) = forwarded.carried_out();
    assert!(
        site.ends_with("[forwarding]\nsrs = \"postsrsd\"\n"),
        "{site}"
    );
    let main = forwarded.read("/etc/postfix/main.cf");
    assert!(main.contains("sender_canonical_maps"), "{main}");
    let snapshots = Snapshots::new("plan-from-log/forwards");
    snapshots.check("shown", &shown);
    snapshots.end();
    // Mail to a domain that no forward leads to is none of that.
    let own = host().log(&refused("a@else.example", STRICT, reply));
    let shown = own.run(&["diagnose", "--plan", "LOG"]);
    assert!(!shown.stdout.contains("srs = "), "{shown}");
    assert!(shown.stdout.contains("What no plan mends"), "{shown}");
}

#[test]
fn a_dmarc_record_is_published() {
    if !has_postfix() {
        return;
    }
    let reply = "550 5.7.26 the domain example.org has no DMARC record";
    let host = Host::new("linux")
        .site(SITE)
        .log(&refused("a@strict.example", STRICT, reply));
    let (shown, site) = host.carried_out();
    assert!(site.ends_with("[dmarc]\npolicy = \"none\"\n"), "{site}");
    let snapshots = Snapshots::new("plan-from-log/dmarc");
    snapshots.check("shown", &shown);
    snapshots.end();
    // Once the site file says it, DNS is what is left.
    let again = host.run(&["diagnose", "--plan", "LOG"]);
    assert!(!again.stdout.contains("shall say"), "{again}");
    assert!(again.stdout.contains("_dmarc.DOMAIN"), "{again}");
}

#[test]
fn the_signer_that_is_installed_signs() {
    if !has_postfix() {
        return;
    }
    let reply = "550 5.7.26 DKIM signature required, none found";
    let site = format!(
        "{SITE}\n[dkim]\nselector = \"mail\"\nkey = \"/etc/mailfix/dkim/mail.private\" # ours\n"
    );
    let host = || {
        Host::new("linux")
            .site(&site)
            .with(
                "/etc/passwd",
                "root:x:0:0::/:/bin/sh\nopendkim:x:105:109::/:/bin/sh\n",
            )
            .with("/etc/group", "root:x:0:\nopendkim:x:109:\n")
            .with(
                "/etc/opendkim.conf",
                "UserID opendkim\nSocket local:/run/opendkim/opendkim.sock\n",
            )
            .with("/usr/sbin/opendkim", "")
    };
    let log = refused("a@strict.example", STRICT, reply);
    let with_key = host();
    let key = with_key.tree.real("/etc/mailfix/dkim/mail.private");
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    let made = Command::new("openssl")
        .args(["genrsa", "-traditional", "-out"])
        .arg(&key)
        .arg("2048")
        .output()
        .unwrap();
    assert!(made.status.success());
    let with_key = with_key.log(&log);
    let (_, site) = with_key.carried_out();
    assert!(site.contains("# ours\nsigner = \"opendkim\"\n"), "{site}");
    let main = with_key.read("/etc/postfix/main.cf");
    assert!(main.contains("smtpd_milters"), "{main}");
    // Without a key there is nothing to sign with: what makes one is said.
    let shown = host().log(&log).run(&["diagnose", "--plan", "LOG"]);
    assert!(!shown.stdout.contains("signer ="), "{shown}");
    assert!(shown.stdout.contains("`mailfix dkim new`"), "{shown}");
}

#[test]
fn a_jail_that_is_empty_is_filled() {
    if !has_postfix() {
        return;
    }
    let failed = |id: &str, domain: &str| {
        format!(
            "2026-03-03T10:00:00+00:00 mail postfix/smtp[9]: {id}: to=<a@{domain}>, relay=none, \
             delay=1, delays=0/0/1/0, dsn=4.4.3, status=deferred (Host or domain name not found. \
             Name service error for name={domain} type=MX: Host not found, try again)\n"
        )
    };
    let log = failed("A1B2C3D4", "strict.example") + &failed("A1B2C3D5", "gmail.com");
    let host = |profile: &str| {
        Host::new("linux-chroot")
            .without_ptr()
            .site(&format!(
                "profile = \"{profile}\" # of this machine\n{SITE}"
            ))
            .with("/etc/resolv.conf", "nameserver 192.0.2.53\n")
            .with("/var/spool/postfix/etc/hosts", "127.0.0.1 localhost\n")
            .log(&log)
    };
    let other = host("linux");
    let (shown, site) = other.carried_out();
    assert!(
        site.starts_with("profile = \"linux-chroot\" # of this machine\n"),
        "{site}"
    );
    let jailed = other.read("/var/spool/postfix/etc/resolv.conf");
    assert_eq!(jailed, "nameserver 192.0.2.53\n");
    let snapshots = Snapshots::new("plan-from-log/jail");
    snapshots.check("shown", &shown);
    // Where the site file says so already, the plan does it as it is.
    let (shown, site) = host("linux-chroot").carried_out();
    assert!(site.starts_with("profile = \"linux-chroot\""), "{site}");
    snapshots.check("as-it-is", &shown);
    snapshots.end();
}

#[test]
fn what_an_earlier_plan_made_is_brought_back() {
    if !has_postfix() {
        return;
    }
    let site = format!("{SITE}\n[providers.google]\nipv6 = \"avoid\"\n");
    let missed = "2026-03-03T10:00:00+00:00 mail postfix/qmgr[9]: warning: connect to transport private/smtp-ipv4: No such file or directory\n\
        2026-03-03T10:00:01+00:00 mail postfix/error[9]: A1B2C3D4: to=<a@gmail.com>, relay=none, delay=1, delays=0/0/1/0, dsn=4.3.0, status=deferred (mail transport unavailable)\n";
    let host = Host::new("linux").site(&site).log(missed);
    let applied = host.run(&["apply", "--yes"]);
    assert_eq!(applied.status, 0, "{applied}");
    let master = host.read("/etc/postfix/master.cf");
    let without: String = master
        .split_inclusive('\n')
        .filter(|line| !line.contains("ipv4"))
        .collect();
    host.tree.write("/etc/postfix/master.cf", without);
    host.tree.settle();
    let (shown, _) = host.carried_out();
    assert!(
        shown.contains("What the plan sees to; mailfix.toml says enough for it\n  - mail is stuck"),
        "{shown}"
    );
    assert_eq!(host.read("/etc/postfix/master.cf"), master);
    // Of a service that is none of ours no plan knows.
    let foreign = Host::new("linux")
        .site(&site)
        .log(&missed.replace("smtp-ipv4", "their-own"));
    let shown = foreign.run(&["diagnose", "--plan", "LOG"]);
    assert!(
        shown
            .stdout
            .contains("What no plan mends\n  - mail is stuck"),
        "{shown}"
    );
}

#[test]
fn a_domain_that_the_list_lacks_is_named() {
    if !has_postfix() {
        return;
    }
    let site = format!("{SITE}\n[remedies]\nuse = [\"ipv4-transport\", \"hosted-domains\"]\n");
    let host = Host::new("linux")
        .site(&site.replace("[dns]", "[providers.google]\nipv6 = \"avoid\"\n\n[dns]"))
        .log(
            &(refused("a@unheard.example", GOOGLE6, NO_PTR)
                + &refused("a@gmail.com", GOOGLE6, NO_PTR).replace("A1B2C3D4", "A1B2C3D5")),
        );
    let (shown, site) = host.carried_out();
    assert!(
        site.contains("hosted_domains = [\"unheard.example\"]"),
        "{shown}\n{site}"
    );
    let table = host.read("/etc/postfix/mailfix/transport");
    assert!(table.contains("unheard.example smtp-ipv4:"), "{table}");
}

#[test]
fn a_site_file_is_begun_where_there_is_none() {
    if !has_postfix() {
        return;
    }
    let host = Host::new("linux")
        .main_cf("myhostname = mail.example.org\n")
        .log(&refused("a@gmail.com", GOOGLE6, NO_PTR));
    let snapshots = Snapshots::new("plan-from-log/first");
    // The addresses of a tree's machine nobody can see from here, and so they have to be given.
    let before = host.tree.entries();
    let shown = host.run(&["diagnose", "--plan", "LOG", "--allow-non-global"]);
    assert_eq!(before, host.tree.entries());
    snapshots.check("asks", &host.shown(&shown));
    // What no site file mends needs none.
    let listed =
        "554 5.7.1 Service unavailable; client [192.0.2.25] blocked using zen.spamhaus.org";
    let host = Host::new("linux").log(&refused("a@strict.example", STRICT, listed));
    let shown = host.run(&["diagnose", "--plan", "LOG"]);
    assert_eq!(shown.status, 0, "{shown}");
    snapshots.check("none", &host.shown(&shown));
    snapshots.end();
}

const YAHOO: &str = "mta5.am0.yahoodns.net[192.0.2.113]";
const TOO_FAST: &str = "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes";

#[test]
fn what_is_mended_elsewhere_is_said_with_its_steps_and_forms() {
    if !has_postfix() {
        return;
    }
    let host = Host::new("linux")
        .site(SITE)
        .main_cf("relayhost = [smart.example]\n")
        .log(&refused("a@yahoo.com", YAHOO, TOO_FAST));
    let shown = host.run(&["diagnose", "--plan", "LOG"]);
    assert_eq!(shown.status, 0, "{shown}");
    let snapshots = Snapshots::new("plan-from-log/elsewhere");
    snapshots.check("shown", &host.shown(&shown));
    snapshots.end();
    assert_eq!(host.read(PLACE), SITE);
}

#[test]
fn domains_that_a_receiver_hosts_go_at_its_pace_too() {
    if !has_postfix() {
        return;
    }
    let google = "aspmx.l.google.com[192.0.2.98]";
    let to = |domain: &str| refused(&format!("a@{domain}"), google, "421 4.7.28 unusual rate");
    // What the administrator routes stays where it is, and out of the site file.
    let host = Host::new("linux")
        .site(&format!(
            "{SITE}\n[providers.google]\nipv6 = \"keep\"\npace = \"normal\" # once\n"
        ))
        .main_cf("transport_maps = inline:{ own.example=relay: }\n")
        .log(&(to("hosted.example") + &to("own.example") + &to("gmail.com")));
    let (_, site) = host.carried_out();
    let wish = "[providers.google]\nipv6 = \"keep\"\npace = \"gentle\" # once\n";
    let wish = format!("{wish}hosted_domains = [\"hosted.example\"]\n");
    assert!(site.ends_with(&wish), "{site}");
    let table = host.read("/etc/postfix/mailfix/transport");
    assert!(table.contains("hosted.example smtp-google:"), "{table}");
    assert!(!table.contains("own.example"), "{table}");

    // One that comes later is added, and the wish stays.
    let host = host.log(&to("later.example"));
    host.carried_out();
    let table = host.read("/etc/postfix/mailfix/transport");
    for domain in ["later.example", "hosted.example", "gmail.com"] {
        assert!(
            table.contains(&format!("{domain} smtp-google:")),
            "{domain}"
        );
    }
    let again = host.run(&["diagnose", "--plan", "LOG"]);
    assert!(again.stdout.contains("What no plan mends"), "{again}");
    assert!(!again.stdout.contains("+++"), "{again}");
}

#[test]
fn mail_that_comes_too_fast_gets_a_client_of_its_own_and_loses_it_again() {
    if !has_postfix() {
        return;
    }
    let host = Host::new("linux")
        .site(SITE)
        .log(&refused("a@yahoo.com", YAHOO, TOO_FAST));
    let before = host.tree.entries();
    let (shown, site) = host.carried_out();
    assert_eq!(
        site,
        format!("{SITE}\n[providers.yahoo]\npace = \"gentle\"\n")
    );
    let snapshots = Snapshots::new("plan-from-log/too-fast");
    snapshots.check("shown", &shown);
    snapshots.end();

    // A key that nobody has applied yet is enough.
    let waiting = Host::new("linux")
        .site(&site)
        .log(&refused("a@yahoo.com", YAHOO, TOO_FAST));
    let seen = waiting.run(&["diagnose", "--plan", "LOG"]);
    assert!(seen.stdout.contains("What the plan sees to"), "{seen}");
    assert!(!seen.stdout.contains("What no plan mends"), "{seen}");

    // What Postfix makes of it.
    let config = host.tree.real("/etc/postfix");
    let ask = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        let output = command.arg("-c").arg(&config).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let made = ask("postconf", &["-M", "smtp-yahoo/unix"]);
    let made: Vec<&str> = made.split_whitespace().collect();
    assert_eq!(
        made,
        [
            "smtp-yahoo",
            "unix",
            "-",
            "-",
            "n",
            "-",
            "10",
            "smtp",
            "-o",
            "smtp_connection_cache_on_demand=no",
            "-o",
            "smtp_skip_quit_response=no",
        ]
    );
    let limit = "smtp-yahoo_destination_concurrency_limit";
    assert_eq!(ask("postconf", &["-h", limit]), "10\n");
    let table = format!("hash:{}/mailfix/transport", config.display());
    for (domain, route) in [("aol.com", "smtp-yahoo:\n"), ("gmail.com", "")] {
        assert_eq!(ask("postmap", &["-q", domain, &table]), route);
    }

    // The plan has done what it can.
    let again = host.run(&["diagnose", "--plan", "LOG"]);
    assert!(again.stdout.contains("What no plan mends"), "{again}");
    assert!(!again.stdout.contains("+++"), "{again}");

    // What was put off before that is past; what still is, no plan mends further.
    let late = refused("a@yahoo.com", YAHOO, "421 4.7.0 too many connections");
    let doctor = |host: &Host| host.run(&["doctor", "--offline", "--profile", "linux"]);
    let host = host.with("/var/log/mail.log", &late);
    let past = doctor(&host);
    assert!(!past.stdout.contains("[rate-limited]"), "{past}");
    assert!(past.stdout.contains("left out: 1 failure"), "{past}");
    let host = host.with("/var/log/mail.log", &late.replace("03-03T10", "03-04T01"));
    let still = doctor(&host);
    assert!(still.stdout.contains("[rate-limited]"), "{still}");
    assert!(!still.stdout.contains("--plan"), "{still}");

    // Without the key it all goes.
    let host = host.site(SITE);
    let gone = host.run(&["apply", "--yes"]);
    assert_eq!(gone.status, 0, "{gone}");
    for name in ["/etc/postfix/main.cf", "/etc/postfix/master.cf"] {
        assert!(!host.read(name).contains("smtp-yahoo"), "{gone}");
    }
    let left = host.tree.entries();
    let of_postfix = |entries: &std::collections::BTreeMap<std::path::PathBuf, _>| {
        let names = entries
            .keys()
            .filter(|path| path.starts_with("/etc/postfix"));
        names.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_postfix(&left), of_postfix(&before));
}

#[test]
fn a_masked_plan_shows_nobodys_address() {
    if !has_postfix() {
        return;
    }
    let site = format!("{SITE}\n[dmarc]\nreports = \"mailto:zqadmin@example.org\"\n");
    let host = Host::new("linux")
        .without_ptr()
        .site(&site)
        .main_cf("myhostname = mail.example.org\nluser_relay = zqcatch@else.example\nvirtual_alias_domains = example.org\nvirtual_alias_maps = hash:/etc/postfix/virtual\n")
        .with("/etc/postfix/virtual", "zqbob@example.org zqbob@strict.example\n")
        .log(&(refused("zqann@gmail.com", GOOGLE6, NO_PTR)
            + &refused(
                "zqbob@strict.example",
                STRICT,
                "550 5.7.23 <zqfar@far.example>: SPF: 192.0.2.25 is not allowed to send mail for far.example",
            )
            .replace("A1B2C3D4", "A1B2C3D5")));
    for words in [
        &["diagnose", "--plan", "LOG", "--mask"][..],
        &["diagnose", "--plan", "LOG", "--mask", "--yes"],
    ] {
        let shown = host.run(words);
        assert_eq!(shown.status, 0, "{shown}");
        assert!(
            shown.stdout.contains("+ipv6 = \"avoid\"") || shown.stdout.contains("srs = "),
            "{shown}"
        );
        assert!(
            shown.stdout.contains("@else.example"),
            "domains stay: {shown}"
        );
        let all = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!all.contains("zq"), "{shown}");
    }
    // What is written is what is meant.
    assert!(host.read(PLACE).contains("mailto:zqadmin@example.org"));
}
