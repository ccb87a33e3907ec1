//! Mistakes planted into a configuration as distributions ship it.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::{Document, Files, Subject, all, introduced, refusals, run};
use crate::finding::{Finding, Severity};
use crate::host::{Jail, Kept, Lack, State};
use crate::package::Packages;
use crate::postfix::{CompatibilityLevel, Need, Version};
use crate::system::{File, MemorySystem};

/// A `main.cf` as a distribution and an administrator leave it.
const MAIN: &str = "\
# See postconf(5).
smtpd_banner = $myhostname ESMTP $mail_name
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6

smtpd_tls_cert_file = /etc/ssl/certs/mail.pem
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache

smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated
    defer_unauth_destination
myhostname = mail.example.org
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
myorigin = /etc/mailname
mydestination = $myhostname, example.org, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
transport_maps = hash:/etc/postfix/transport
virtual_transport = lmtp:unix:private/dovecot-lmtp
smtpd_client_restrictions = check_client_access cidr:/etc/postfix/clients
submission_client_restrictions = permit_sasl_authenticated, reject
slow_destination_rate_delay = 2s
";

/// A `master.cf` with the services every Postfix has and two of the administrator's.
const MASTER: &str = "\
# See master(5).
smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
# the others may not
  -o smtpd_client_restrictions=$submission_client_restrictions
127.0.0.1:10025 inet n  -       n       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
defer     unix  -       -       y       -       0       bounce
trace     unix  -       -       y       -       0       bounce
verify    unix  -       -       y       -       1       verify
flush     unix  n       -       y       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
slow      unix  -       -       y       -       2       smtp
showq     unix  n       -       y       -       -       showq
error     unix  -       -       y       -       -       error
retry     unix  -       -       y       -       -       error
discard   unix  -       -       y       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
anvil     unix  -       -       y       -       1       anvil
scache    unix  -       -       y       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
";

const TABLE_TYPES: [&str; 12] = [
    "btree", "cidr", "environ", "hash", "inline", "lmdb", "pcre", "proxy", "regexp", "static",
    "texthash", "unix",
];

const PROGRAMS: [&str; 24] = [
    "anvil",
    "bounce",
    "cleanup",
    "discard",
    "error",
    "flush",
    "lmtp",
    "local",
    "pickup",
    "pipe",
    "postlogd",
    "postscreen",
    "proxymap",
    "qmgr",
    "scache",
    "showq",
    "smtp",
    "smtpd",
    "spawn",
    "tlsmgr",
    "trivial-rewrite",
    "verify",
    "virtual",
    "tlsproxy",
];

/// A configuration to plant mistakes into.
struct Planted {
    main: String,
    master: String,
    files: BTreeMap<String, Option<String>>,
    version: Version,
    level: CompatibilityLevel,
    jail: Jail,
    broken: BTreeMap<String, String>,
    packages: Option<Packages>,
}

fn stock() -> Planted {
    let files = [
        ("/etc/aliases", "postmaster: root\n"),
        ("/etc/aliases.db", ""),
        ("/etc/postfix/transport", "slow.example slow:\n"),
        ("/etc/postfix/transport.db", ""),
        ("/etc/postfix/clients", "192.0.2.0/24 OK\n"),
        ("/etc/services", "ssh 22/tcp\nsubmission 587/tcp msa\n"),
    ];
    Planted {
        main: MAIN.to_owned(),
        master: MASTER.to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), Some(text.to_owned())))
            .into(),
        version: Version::new(3, 7, 11),
        level: CompatibilityLevel::new(3, 6, 0),
        jail: Jail::default(),
        broken: BTreeMap::new(),
        packages: None,
    }
}

impl Planted {
    fn main(mut self, text: &str) -> Self {
        self.main.push_str(text);
        self
    }

    fn master(mut self, text: &str) -> Self {
        self.master.push_str(text);
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), Some(text.to_owned()));
        self
    }

    fn broken(mut self, kind: &str, why: &str) -> Self {
        self.broken.insert(kind.to_owned(), why.to_owned());
        self
    }

    /// On a machine with a program.
    fn having(mut self, program: &str) -> Self {
        self.packages = Packages::find(&MemorySystem::new().file(program, ""));
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.files.insert(path.to_owned(), None);
        self
    }

    fn on(mut self, version: &str, level: &str) -> Self {
        self.version = Version::parse(version).unwrap();
        self.level = CompatibilityLevel::read(level, self.version).unwrap();
        self
    }

    fn findings(&self) -> Vec<Finding> {
        self.look(run)
    }

    fn look<T>(&self, look: impl Fn(&Subject<'_>) -> T) -> T {
        let main = Document::main("/etc/postfix/main.cf", self.main.as_bytes());
        let master = Document::master("/etc/postfix/master.cf", self.master.as_bytes());
        let mut files = Files::unknown();
        for (path, text) in &self.files {
            let file = text
                .as_ref()
                .map(|text| File::new(text.as_bytes(), 0o644, 0, 0));
            files = files.with(path.as_str(), file);
        }
        // What Postfix says of parameters the file does not set.
        let defaults = |name: &str| {
            let default = match name {
                "data_directory" => "/var/lib/postfix",
                "mail_name" => "Postfix",
                "proxy_interfaces" => "",
                "default_transport" => "smtp",
                _ => return None,
            };
            Some(default.to_owned())
        };
        let parameters = |name: &str| main.parsed.get(name).or_else(|| defaults(name));
        let table_types: BTreeSet<String> = TABLE_TYPES.map(str::to_owned).into();
        let programs: BTreeSet<String> = PROGRAMS.map(str::to_owned).into();
        look(&Subject {
            directory: Utf8Path::new("/etc/postfix"),
            main: &main,
            master: &master,
            version: self.version,
            level: self.level,
            parameters: &parameters,
            table_types: Some(&table_types),
            broken_types: &self.broken,
            packages: self.packages.as_ref(),
            programs: Some(&programs),
            jail: Some(&self.jail),
            files: &files,
        })
    }
}

/// Expects exactly these faults, `severity code`, besides notes.
#[track_caller]
fn expect(planted: &Planted, expected: &[&str]) {
    let findings = planted.findings();
    let faults: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| format!("{:?} {}", finding.severity, finding.code).to_lowercase())
        .collect();
    assert_eq!(faults, expected, "{findings:#?}");
    for finding in findings {
        assert!(finding.place.is_some(), "no place: {finding:?}");
        assert!(finding.why.is_some(), "no reason: {finding:?}");
    }
}

#[test]
fn a_configuration_as_shipped_has_no_fault() {
    expect(&stock(), &[]);
    assert_eq!(stock().findings(), []);
}

#[test]
fn mistakes_postfix_is_silent_about_are_found() {
    let main = |text: &str| stock().main(text);
    let master = |text: &str| stock().master(text);
    let smtp4 = "smtp4 unix - - n - - smtp\n";
    expect(
        &main("smtp_tls_securty_level = may\n"),
        &["warning unused-parameter"],
    );
    expect(
        &main("lmtp_tls_security_level = maybe\n"),
        &["error bad-value"],
    );
    expect(
        &main("smtp_destination_rate_delay = fast\n"),
        &["error bad-value"],
    );
    expect(
        &main("smtpd_hard_error_limit = 20 # was 10\n"),
        &["error bad-value", "warning trailing-comment"],
    );
    expect(
        &main("relay_recipient_maps = hsh:/etc/postfix/relay\n"),
        &["error unknown-table-type"],
    );
    expect(
        &main("relay_recipient_maps = hash:/etc/postfix/nope\n")
            .without("/etc/postfix/nope")
            .without("/etc/postfix/nope.db"),
        &["error missing-table"],
    );
    expect(
        &main("smtp_reply_filter = pcre:/etc/postfix/rf\n").file("/etc/postfix/rf", "/^5(/ 4\n"),
        &["error broken-pattern"],
    );
    expect(
        &main("smtp_bind_address 192.0.2.1\n"),
        &["error not-a-setting"],
    );
    expect(
        &Planted {
            main: MAIN.replace("inet_protocols = all", "inet_protocols = ipv9"),
            ..stock()
        },
        &["error bad-value"],
    );
    expect(
        &master(&format!("{smtp4}  -o inet_protocols=ipv9\n")),
        &["error bad-value"],
    );
    expect(
        &master(&format!("{smtp4}  -o inet_protocols = ipv4\n")),
        &["error spaced-override"],
    );
    expect(
        &master(&format!("{smtp4}  -o inet_protcols=ipv4\n")),
        &["warning unused-parameter"],
    );
    expect(
        &master("smtp4 unix - - n - - smpt\n"),
        &["error unknown-daemon"],
    );
    expect(&master("smtp4 unix - - n - smtp\n"), &["error field-count"]);
    expect(
        &master(&format!("{smtp4}{smtp4}")),
        &["warning duplicate-service"],
    );
    expect(&master(&format!("  {smtp4}")), &["error swallowed-service"]);
    expect(
        &Planted {
            main: MAIN.replace(
                "hash:/etc/postfix/transport",
                "inline:{gmail.com=smtp4:}, hash:/etc/postfix/transport",
            ),
            ..stock()
        },
        &["error unknown-transport"],
    );
}

#[test]
fn values_that_must_not_be_empty_are_found() {
    expect(&stock().main("smtp_helo_name =\n"), &["error bad-value"]);
    expect(
        &stock().main("smtpd_service_name =\n"),
        &["error bad-value"],
    );
    expect(&stock().main("relay_domains =\n"), &[]);
}

#[test]
fn lines_that_seem_to_say_something_else_are_found() {
    let main = |text: &str| stock().main(text);
    expect(
        &main("mydomain = a.example\nmydomain = b.example\n"),
        &["warning duplicate-setting"],
    );
    expect(&main("mydomain = a.example\nmydomain = a.example\n"), &[]);
    // The first line of a continued setting is commented out, or was indented by mistake.
    expect(
        &main("mydomain = a.example\n# relay_domains = b.example,\n  c.example\n"),
        &["warning lost-continuation"],
    );
    expect(
        &Planted {
            main: MAIN.replace("relayhost =", "  relayhost = [192.0.2.1]"),
            ..stock()
        },
        &["error swallowed-setting"],
    );
    expect(
        &Planted {
            main: format!("\u{feff}{}", MAIN.replace("# See postconf(5).\n", "")),
            ..stock()
        },
        &["error byte-order-mark", "warning unused-parameter"],
    );
    expect(&main("mydomain = a\0.example\n"), &["error nul-byte"]);
    expect(
        &main("mydomain = a.example \\\n  b.example\n"),
        &["warning backslash"],
    );
}

#[test]
fn references_that_lead_nowhere_are_found() {
    let main = |text: &str| stock().main(text);
    expect(
        &main("relay_domains = $my_domains\n"),
        &["warning undefined-parameter"],
    );
    expect(
        &main("my_domains = a.example\nrelay_domains = $my_domains\n"),
        &[],
    );
    expect(
        &main("my_domains = a.example\n"),
        &["warning unused-parameter"],
    );
    expect(
        &main("relay_domains = ${mydomain\n"),
        &["error bad-reference"],
    );
    expect(&main("mydomain = $mydomain\n"), &["error bad-reference"]);
    let path = main("debugger_command =\nPATH=/bin:/usr/bin; sleep 5\n");
    expect(&path, &["warning unused-parameter"]);
    let fix = path.findings()[0].fix.clone().unwrap();
    assert!(fix.contains("`debugger_command`"), "{fix}");
    // A service gone leaves its limits behind.
    expect(
        &Planted {
            master: MASTER.replace("slow      unix", "other     unix"),
            ..stock()
        },
        &["error unknown-transport", "warning unused-parameter"],
    );
}

#[test]
fn services_that_stop_master_or_themselves_are_found() {
    let master = |text: &str| stock().master(text);
    expect(&master("x unix - - z - - smtp\n"), &["error bad-field"]);
    expect(&master("x unix - - n - many smtp\n"), &["error bad-field"]);
    expect(&master("x unx - - n - - smtp\n"), &["error bad-field"]);
    expect(
        &master("2525 inet - - n - - smtpd\n"),
        &["error private-inet-service"],
    );
    expect(
        &master("no-such-port inet n - n - - smtpd\n"),
        &["error unknown-port"],
    );
    expect(&master("[::1]:msa inet n - n - - smtpd\n"), &[]);
    expect(
        &master("a/b unix - - n - - smtp\n"),
        &["error slash-in-service-name"],
    );
    expect(
        &master("x unix - - n - - smtp -o { mydomain = a\n"),
        &["error unbalanced-brace"],
    );
    expect(
        &master("x unix - - n - - smtp -o { mydomain = a.example }\n"),
        &[],
    );
    expect(
        &master("x unix - - n - - smtp\n  -o x_destination_concurrency_limit=2\n"),
        &["warning override-not-read"],
    );
    expect(
        &Planted {
            master: format!("{MASTER}v4 unix - - n - - smtp\n  -o inet_protocols=ipv4\n"),
            main: MAIN.replace("inet_interfaces = all", "inet_interfaces = 192.0.2.1, ::1"),
            ..stock()
        },
        &["error address-of-other-family"],
    );
    expect(
        &Planted {
            master: format!(
                "{MASTER}v4 unix - - n - - smtp\n  -o inet_protocols=ipv4 -o inet_interfaces=192.0.2.1\n"
            ),
            main: MAIN.replace("inet_interfaces = all", "inet_interfaces = 192.0.2.1, ::1"),
            ..stock()
        },
        &[],
    );
    expect(
        &master("v4 unix - - n - - smtp\n  -o inet_protocols=ipv4\n")
            .main("proxy_interfaces = [2001:db8::1]\n"),
        &["error address-of-other-family"],
    );
}

#[test]
fn a_chroot_left_to_the_default_is_a_warning_where_it_means_yes() {
    let planted = || stock().master("x unix - - - - - smtp\n");
    expect(&planted(), &[]);
    assert_eq!(planted().findings()[0].code, "chroot-by-default");
    expect(&planted().on("3.7.11", "0"), &["warning chroot-by-default"]);
}

/// A configuration with a jail in the queue directory that lacks something.
fn jailed(need: Need, why: Lack) -> Planted {
    let mut planted = stock();
    planted.jail.directory = "/var/spool/postfix".into();
    planted.jail.set(need, State::Lacks { why, copy: None });
    planted
}

#[test]
fn a_jail_that_lacks_something_is_told_of_each_program() {
    let resolver = || jailed(Need::Resolver, Lack::Absent);
    // smtpd and the clients; `relay` and `slow` are clients too.
    let both: &[&str] = &["error jail-incomplete", "warning jail-incomplete"];
    expect(&resolver(), both);
    let titles = |planted: &Planted| -> Vec<String> {
        let findings = planted.findings().into_iter();
        findings
            .filter(|finding| finding.code.starts_with("jail-"))
            .map(|finding| finding.title)
            .collect()
    };
    assert_eq!(
        titles(&resolver()),
        [
            "`etc/resolv.conf` is missing in the jail of `smtp/unix`, `relay/unix`, `slow/unix`",
            "`etc/resolv.conf` is missing in the jail of `smtp/inet`, `submission/inet`",
        ]
    );
    let refuses = "smtpd_helo_restrictions = reject_unknown_helo_hostname\n";
    expect(&resolver().main(refuses), &["error jail-incomplete"; 2]);
    // To an address nothing has to be looked up.
    let relayed = Planted {
        main: MAIN.replace("relayhost =", "relayhost = [192.0.2.1]"),
        ..resolver()
    };
    expect(&relayed, &["warning jail-incomplete"]);
    for why in [Lack::Empty, Lack::Closed, Lack::LeadsOut] {
        expect(&jailed(Need::Resolver, why), both);
    }
    // Nobody is in the jail, or nobody looks for it there.
    let free = Planted {
        master: MASTER.replace(" y  ", " n  "),
        ..resolver()
    };
    expect(&free, &[]);
    let ports = |version, level| {
        let services = "smtp 25/tcp\nsubmission 587/tcp\n";
        jailed(Need::Ports, Lack::Absent)
            .on(version, level)
            .file("/etc/services", services)
    };
    expect(&ports("3.7.11", "3.6"), &[]);
    expect(&ports("3.5.25", "2"), &["error jail-incomplete"]);
    // `-` locks in at level 0.
    let dash = || Planted {
        master: free.master.replace(
            "smtp      unix  -       -       n",
            "smtp      unix  -       -       -",
        ),
        ..resolver()
    };
    expect(&dash(), &[]);
    expect(
        &dash().on("3.7.11", "0"),
        &["error jail-incomplete", "warning chroot-by-default"],
    );
}

#[test]
fn a_lack_is_as_bad_as_what_it_does_to_mail() {
    let socket = Need::Socket("/run/milter".to_owned());
    let milter = || jailed(socket.clone(), Lack::Absent).main("smtpd_milters = unix:/run/milter\n");
    expect(&milter(), &["error jail-incomplete"]);
    let waved = milter().main("milter_default_action = accept\n");
    expect(&waved, &["warning jail-incomplete"]);
    let native = |need| jailed(need, Lack::Absent).main("smtp_host_lookup = native\n");
    expect(&native(Need::Hosts), &["warning jail-incomplete"]);
    expect(&native(Need::NameService), &["error jail-incomplete"]);
    let mut certificates = jailed(Need::Authorities("/etc/certs".to_owned()), Lack::Absent)
        .main("smtp_tls_CApath = /etc/certs\n");
    let (may, secure) = (
        "smtp_tls_security_level = may",
        "smtp_tls_security_level = secure",
    );
    expect(&certificates, &[]);
    certificates.main = certificates.main.replace(may, secure);
    expect(&certificates, &["error jail-incomplete"]);
}

#[test]
fn saslauthd_is_looked_for_in_the_jail() {
    let planted = |letter: &str, main: &str, conf: &str| {
        let mut planted = stock()
            .main(main)
            .file("/etc/postfix/sasl/smtpd.conf", conf)
            .file("/var/run/saslauthd/mux", "")
            .without("/q/var/run/saslauthd/mux");
        planted.master = MASTER.replace(
            "smtp      inet  n       -       y",
            &format!("smtp      inet  n       -       {letter}"),
        );
        planted.master = planted.master.replace(
            "submission inet n       -       y",
            "submission inet n       -       n",
        );
        planted.jail.directory = "/q".into();
        planted
    };
    let cyrus = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\n";
    let asks = "# PAM\npwcheck_method: saslauthd\nmech_list: PLAIN\n";
    let error: &[&str] = &["error jail-incomplete"];
    expect(&planted("y", cyrus, asks), error);
    expect(&planted("n", cyrus, asks), &[]);
    expect(&planted("y", cyrus, "pwcheck_method: auxprop\n"), &[]);
    expect(&planted("y", "", asks), &[]);
    let inside = planted("y", cyrus, asks).file("/q/var/run/saslauthd/mux", "");
    expect(&inside, &[]);
    let stopped = planted("y", cyrus, asks).without("/var/run/saslauthd/mux");
    expect(&stopped, &[]);
    let elsewhere = format!("{asks}saslauthd_path: /run/sasl/door\n");
    let elsewhere = planted("y", cyrus, &elsewhere)
        .file("/run/sasl/door", "")
        .without("/q/run/sasl/door");
    expect(&elsewhere, error);
}

#[test]
fn the_command_that_fills_the_jail_is_named() {
    let fix = |why, kept: Option<Kept>| {
        let mut planted = jailed(Need::Resolver, why);
        planted.jail.kept = kept;
        planted.findings()[0].fix.clone().unwrap()
    };
    assert_eq!(
        fix(Lack::Absent, None),
        "`mkdir -p /var/spool/postfix/etc && cp /etc/resolv.conf /var/spool/postfix/etc/resolv.conf`, \
         then `postfix -c /etc/postfix reload`; or write `n` into the chroot column"
    );
    let kept = |fill: Option<&str>| {
        Some(Kept {
            when: "at its start".to_owned(),
            fill: fill.map(str::to_owned),
        })
    };
    assert!(fix(Lack::Absent, kept(Some("fill-it"))).starts_with("`fill-it`, then `postfix"));
    assert!(fix(Lack::Absent, kept(None)).starts_with("`mkdir -p"));
    assert!(fix(Lack::Closed, kept(Some("fill-it"))).starts_with("`chmod a+rX /var"));
    assert!(fix(Lack::LeadsOut, None).starts_with("`rm /var/spool/postfix/etc/resolv.conf && cp"));
}

#[test]
fn a_stale_copy_is_a_warning() {
    let mut planted = stock();
    planted.jail.set(
        Need::Resolver,
        State::Differs {
            jail: vec!["10.0.0.1".to_owned()],
            host: vec!["192.0.2.53".to_owned()],
        },
    );
    expect(&planted, &["warning jail-stale"]);
    let why = planted.findings()[0].why.clone().unwrap();
    assert!(
        why.contains("10.0.0.1 is asked, outside 192.0.2.53"),
        "{why}"
    );
}

#[test]
fn what_works_on_the_outside_is_not_locked_in() {
    let piped = |letter| stock().master(&format!("x unix - n {letter} - - pipe user=a argv=/b\n"));
    expect(&piped("y"), &["warning chroot-unsuitable"]);
    expect(&piped("n"), &[]);
    expect(&piped("-"), &[]);
    let level0 = piped("-").on("3.7.11", "0");
    expect(
        &level0,
        &["warning chroot-by-default", "warning chroot-unsuitable"],
    );
}

#[test]
fn a_daemon_that_runs_elsewhere_is_found() {
    let running = |program, inside| {
        let mut planted = stock();
        planted.jail.run(program, inside);
        planted
    };
    expect(&running("pickup", true), &[]);
    expect(&running("qmgr", false), &[]);
    expect(&running("pickup", false), &["warning chroot-not-in-force"]);
    expect(&running("qmgr", true), &["warning chroot-not-in-force"]);
    // One of two smtpd is in the jail, the other is not: the process may be of either.
    expect(&running("smtpd", false), &[]);
    let mut dash = stock();
    dash.master = MASTER.replace("qmgr      unix  n       -       n", "qmgr unix n - -");
    dash.jail.run("qmgr", true);
    expect(&dash, &["warning chroot-not-in-force"]);
}

#[test]
fn tables_that_do_not_answer_as_they_read_are_found() {
    let relay = "relay_recipient_maps = hash:/etc/postfix/relay\n";
    let table = |text: &str| {
        stock()
            .main(relay)
            .file("/etc/postfix/relay", text)
            .file("/etc/postfix/relay.db", "")
    };
    expect(&table("a@example.org x\n"), &[]);
    expect(&table("a@example.org\n"), &["warning malformed-line"]);
    expect(
        &table("a@example.org x\nA@example.org y\n"),
        &["warning duplicate-key"],
    );
    expect(
        &table("a@example.org x\n").without("/etc/postfix/relay.db"),
        &["error table-not-indexed"],
    );
    expect(
        &stock().main("relay_recipient_maps = cdb:/etc/postfix/relay\n"),
        &["error unknown-table-type"],
    );
    expect(
        &stock().main("relay_recipient_maps = /etc/postfix/relay\n"),
        &["error table-without-type"],
    );
    expect(
        &stock()
            .main("relay_recipient_maps = proxy:unionmap:{static:x, hash:/nope}\n")
            .without("/nope")
            .without("/nope.db"),
        &["error unknown-table-type", "error missing-table"],
    );
}

#[test]
fn what_brings_a_missing_table_type_is_named() {
    #[track_caller]
    fn check(planted: &Planted, title: &str, fix: &str) {
        let findings = planted.findings();
        let [finding] = findings.as_slice() else {
            panic!("{findings:#?}");
        };
        assert_eq!(finding.code, "unknown-table-type");
        assert_eq!(finding.title, title);
        assert_eq!(finding.fix.as_deref(), Some(fix));
    }
    let named = |kind: &str| stock().main(&format!("relay_recipient_maps = {kind}:/x\n"));
    let apt = "/usr/bin/apt-get";
    check(
        &named("cdb").having(apt),
        "this Postfix has no table type `cdb`",
        "`apt-get install postfix-cdb` brings it",
    );
    check(
        &named("cdb"),
        "this Postfix has no table type `cdb`",
        "install what brings it (often a package `postfix-cdb`), or use another type",
    );
    check(
        &named("mysql").having("/usr/bin/dnf"),
        "this Postfix has no table type `mysql`",
        "`dnf install postfix-mysql` brings it",
    );
    let plugin = "its plugin `/usr/lib/postfix/postfix-sdbm.so` is not there";
    let broken = named("sdbm").broken("sdbm", plugin);
    check(
        &broken,
        "this Postfix names the table type `sdbm`, which does not work",
        "install what brings it (often a package `postfix-sdbm`), or use another type",
    );
    let why = broken.findings()[0].why.clone().unwrap();
    assert!(why.starts_with(plugin), "{why}");
}

#[test]
fn pattern_tables_are_read() {
    let table = |kind: &str, text: &str| {
        stock()
            .main(&format!("header_checks = {kind}:/etc/postfix/hc\n"))
            .file("/etc/postfix/hc", text)
    };
    expect(&table("pcre", r"/^Subject: \d+$/ IGNORE"), &[]);
    expect(
        &table("regexp", r"/^Subject: \d+$/ IGNORE"),
        &["warning foreign-escape"],
    );
    expect(
        &table("regexp", "/^X: (a/ IGNORE"),
        &["error broken-pattern"],
    );
    expect(&table("regexp", "/^X: a IGNORE"), &["error broken-pattern"]);
    expect(&table("regexp", "X: a IGNORE"), &["error broken-pattern"]);
    expect(&table("regexp", "/^X: a/"), &["warning missing-result"]);
    expect(
        &table("regexp", "if /^X/\n/a/ IGNORE\n"),
        &["warning unbalanced-if"],
    );
    expect(
        &table("regexp", "/^X/ FILTER slwo:[127.0.0.1]\n"),
        &["error unknown-transport"],
    );
}

#[test]
fn reply_filters_are_read() {
    let filter = |parameter: &str, text: &str| {
        stock()
            .main(&format!("{parameter} = regexp:/etc/postfix/rf\n"))
            .file("/etc/postfix/rf", text)
    };
    let reply = |text: &str| filter("smtp_reply_filter", text);
    expect(&reply(r"/^550([ -])5\.7\.25(.*)/ 450${1}4.7.25$2"), &[]);
    expect(
        &reply(r"/^550.5\.7\.25(.*)/ 450 4.7.25$1"),
        &["error reply-filter-changes-length"],
    );
    expect(
        &reply(r"/5\.7\.25/ 450 4.7.25 later"),
        &["warning unanchored-reply-filter"],
    );
    let dns = |text: &str| filter("smtp_dns_reply_filter", text);
    expect(&dns(r"/^[^ ]+\.google\.com\. [^ ]+ IN AAAA / IGNORE"), &[]);
    expect(
        &dns(r"/google\.com.*AAAA/ IGNORE"),
        &["warning unanchored-dns-filter"],
    );
    expect(
        &stock()
            .main("smtp_reply_filter = regexp:/etc/postfix/a, regexp:/etc/postfix/b\n")
            .file("/etc/postfix/a", "/^550 x/ 450 x\n")
            .file("/etc/postfix/b", "/^550 x/ 450 x\n"),
        &["error several-reply-filters"],
    );
}

#[test]
fn transports_without_service_are_found_wherever_they_are_named() {
    let main = |text: &str| stock().main(text);
    for planted in [
        main("default_transport = smtp4\n"),
        main("relay_transport = smtp4:[192.0.2.1]\n"),
        main("content_filter = smtp4:[127.0.0.1]:10024\n"),
        main("mailbox_transport = dovecot\n"),
        stock().master("2525 inet n - n - - smtpd\n  -o content_filter=smtp4:[127.0.0.1]\n"),
        stock().file("/etc/postfix/transport", "a.example smtp4:\n"),
        stock().file("/etc/postfix/transport", "a.example smtp4\n"),
    ] {
        expect(&planted, &["error unknown-transport"]);
    }
    expect(
        &stock().master("2525 inet n - n - - smtpd\n  -o cleanup_service_name=cleanup2\n"),
        &["error unknown-service"],
    );
    for harmless in [
        main("default_transport = error:no mail leaves here\n"),
        main("content_filter =\n"),
        stock().file(
            "/etc/postfix/transport",
            "a.example :[192.0.2.1]\nb.example :\n",
        ),
    ] {
        expect(&harmless, &[]);
    }
}

#[test]
fn whether_a_transport_is_named_does_not_hang_on_its_service() {
    let check = |planted: Planted, expected| {
        let named = planted.look(|subject| super::names_transport(subject, "smtp4"));
        assert_eq!(named, expected);
    };
    let service = "smtp4 unix - - n - - smtp\n";
    check(stock(), false);
    check(stock().master(service), false);
    check(
        stock()
            .main("relay_transport = smtp4:[192.0.2.1]\n")
            .master(service),
        true,
    );
    let entries = |text| stock().master(service).file("/etc/postfix/transport", text);
    check(entries("a.example smtp4:\n"), true);
    check(entries("a.example smtp:\n# smtp4:\n"), false);
}

#[test]
fn parameters_of_other_versions_are_found() {
    expect(
        &Planted {
            main: "smtp_reply_filter = regexp:/etc/postfix/rf\nsmtp_dns_reply_filter = regexp:/etc/postfix/rf\n".to_owned(),
            master: "smtp unix - - n - - smtp\n".to_owned(),
            ..stock().file("/etc/postfix/rf", "/^550 x/ 450 x\n").on("2.11.3", "0")
        },
        &["warning unused-parameter"],
    );
}

#[test]
fn only_what_is_new_counts_as_introduced() {
    let before = stock().main("lmtp_tls_security_level = maybe\n").findings();
    let after = stock()
        .main("lmtp_tls_security_level = maybe\nsmtp_sasl_tls_security_level = x\n")
        .master("smtp4 unix - - n - - smpt\n")
        .findings();
    let codes = |findings: &[Finding]| -> Vec<&str> {
        findings.iter().map(|finding| finding.code).collect()
    };
    assert_eq!(
        codes(&introduced(&before, &after)),
        ["unknown-daemon", "unused-parameter"]
    );
    assert_eq!(codes(&refusals(&before, &after)), ["unknown-daemon"]);
    assert_eq!(codes(&refusals(&after, &after)), [""; 0]);
    // The same fault a second time is new.
    let twice = [before.clone(), before.clone()].concat();
    assert_eq!(introduced(&before, &twice).len(), 1);
    // What cannot be parsed forbids a plan even if it was so before.
    let broken = stock().main("no setting\n").findings();
    assert_eq!(codes(&refusals(&broken, &broken)), ["not-a-setting"]);
}

#[test]
fn checks_have_names_of_their_own() {
    let names: BTreeSet<&str> = all().iter().map(|check| check.name).collect();
    assert_eq!(names.len(), all().len());
    assert!(all().iter().all(|check| !check.about.is_empty()));
}

#[test]
fn a_fix_names_the_command_where_one_mends_it() {
    let fix = |planted: Planted| planted.findings()[0].fix.clone().unwrap_or_default();
    let ends = |planted: Planted, expected: &str| {
        let fix = fix(planted);
        let expected = format!("{expected}, then `postfix -c /etc/postfix reload`");
        assert!(fix.ends_with(&expected), "{fix}");
    };
    let main = |text: &str| stock().main(text);
    let master = |text: &str| stock().master(text);
    ends(
        main("smtp_bind_address6 = mail.example.org\n"),
        "`postconf -c /etc/postfix -X smtp_bind_address6`",
    );
    ends(
        main("smtpd_hard_error_limit = 20 # was 10\n"),
        "`postconf -c /etc/postfix -e 'smtpd_hard_error_limit = 20'`",
    );
    ends(
        master("smtp4 unix - - n - - smtp\n  -o smtp_helo_name=\n"),
        "`postconf -c /etc/postfix -PX smtp4/unix/smtp_helo_name`",
    );
    ends(
        master("smtp4 unix - - n - 9 smtp\n  -o inet_protocols = ipv4 -v\n"),
        "`postconf -c /etc/postfix -M 'smtp4/unix=smtp4 unix - - n - 9 smtp -o inet_protocols=ipv4 -v'`",
    );
    ends(
        master(
            "smtp4 unix - - n - - smtp\n  -o a= b -o { syslog_name = x y } -o c =d -o inet_protocols=ipv4\n",
        ),
        "`postconf -c /etc/postfix -M 'smtp4/unix=smtp4 unix - - n - - smtp -o a=b -o { syslog_name = x y } -o c=d -o inet_protocols=ipv4'`",
    );
    ends(
        main("mailbox_transport = paper:\n"),
        "`postconf -c /etc/postfix -M 'paper/unix=paper unix - - n - - smtp'`",
    );
    ends(
        main("mailbox_transport = out-ipv4:\n"),
        "`postconf -c /etc/postfix -M 'out-ipv4/unix=out-ipv4 unix - - n - - smtp -o inet_protocols=ipv4'`",
    );
    // What a shell would read otherwise gets none.
    for planted in [
        main("mailbox_transport = it's:\n"),
        main("mailbox_transport = $(reboot):\n"),
        master("smtp4 unix - - n - - smtp\n  -o inet_protocols = ipv4'`reboot`\n"),
        master("smtp4 unix - - n - - smtp\n  -o inet_protocols = ipv4 -o\n"),
    ] {
        let fix = fix(planted);
        assert!(!fix.contains("`postconf"), "{fix}");
    }
}

#[test]
fn addresses_to_bind_to_are_no_names() {
    for right in ["", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
        expect(
            &stock().main(&format!("smtp_bind_address6 = {right}\n")),
            &[],
        );
    }
    expect(
        &stock().main("smtp_bind_address = mail.example.org\n"),
        &["error bad-value"],
    );
}

#[test]
fn ways_out_that_lead_nowhere_are_found() {
    let through = |relay: &str| Planted {
        main: MAIN.replace("relayhost =", &format!("relayhost = {relay}")),
        ..stock()
    };
    for itself in [
        "[mail.example.org]",
        "mail.example.org:25",
        "[127.0.0.1]:smtp",
        "[::1]",
        "localhost",
    ] {
        expect(&through(itself), &["error relayhost-itself"]);
    }
    for other in [
        "",
        "[127.0.0.1]:10025",
        "mx.example.net",
        "[mail.example.org]:587",
        "[",
        "[]:",
    ] {
        expect(&through(other), &[]);
    }
    expect(
        &stock().main("defer_transports = smtp\n"),
        &["warning deferred-transport"],
    );
    expect(&stock().main("defer_transports =\n"), &[]);
}

#[test]
fn networks_of_strangers_that_may_relay_are_found() {
    let networks = |list: &str| {
        let main = MAIN.replace(
            "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
            &format!("mynetworks = {list}"),
        );
        Planted { main, ..stock() }
    };
    for open in [
        "0.0.0.0/0",
        "127.0.0.0/8, 0.0.0.0/0",
        "[::]/0",
        "::/0",
        "[2000::]/3",
        "0.0.0.0/1 128.0.0.0/1",
        "!192.0.2.0/24 0.0.0.0/0",
    ] {
        expect(&networks(open), &["error open-relay"]);
    }
    for closed in [
        "",
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 [fc00::]/7 [fe80::]/10 [2001:db8::]/32",
        "127.0.0.0/8 !0.0.0.0/0 0.0.0.0/0",
        "cidr:/etc/postfix/clients",
    ] {
        expect(&networks(closed), &[]);
    }
    let open = || networks("127.0.0.0/8 0.0.0.0/0");
    let [finding] = &open().findings()[..] else {
        panic!("one fault");
    };
    assert_eq!(
        finding.fix.as_deref(),
        Some(
            "name only networks whose hosts are yours, and let others log in: `postconf -c \
             /etc/postfix -e 'mynetworks = 127.0.0.0/8'`, then `postfix -c /etc/postfix reload`"
        )
    );
    // Nobody else reaches it, or it lets nobody in by where they are.
    for harmless in [
        "inet_interfaces = loopback-only\n",
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n",
        "smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
    ] {
        let planted = open();
        let main = format!("{}{harmless}", planted.main);
        let found = Planted { main, ..planted }.findings();
        assert!(
            !found.iter().any(|one| one.code == "open-relay"),
            "{harmless}: {found:?}"
        );
    }
    // One service has its own, and only that one is told of.
    let own = stock().master("2525 inet n - n - - smtpd\n  -o mynetworks=0.0.0.0/0\n");
    expect(&own, &["error open-relay"]);
    let own = stock().master("127.0.0.1:2525 inet n - n - - smtpd\n  -o mynetworks=0.0.0.0/0\n");
    expect(&own, &[]);
}
