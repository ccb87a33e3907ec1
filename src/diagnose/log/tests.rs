use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::cause::Recipient;
use crate::finding::Severity;
use crate::system::{MemorySystem, System};

const G6: &str = "gmail-smtp-in.l.google.com[2001:db8:1::1b]";
const G4: &str = "gmail-smtp-in.l.google.com[192.0.2.26]";
const PTR: &str = "550-5.7.1 [2001:db8::10      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . q43si37022102eeo.243 - gsmtp";
const RATE: &str = "421-4.7.28 [2001:db8::10      15] Our system has detected an unusual rate of 421-4.7.28 unsolicited mail originating from your IP address. 421 4.7.28 mz9si1019871pdb.205 - gsmtp";

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(Knowledge::built_in);

/// Lines of a log, a second apart.
#[derive(Default)]
struct Log(String, u32);

impl Log {
    fn say(mut self, tag: &str, pid: u32, said: &str) -> Self {
        let (minute, second) = (self.1 / 60, self.1 % 60);
        let line = format!("Mar  3 10:{minute:02}:{second:02} mx {tag}[{pid}]: {said}\n");
        self.0.push_str(&line);
        self.1 += 1;
        self
    }

    fn later(mut self, seconds: u32) -> Self {
        self.1 += seconds;
        self
    }

    fn smtp(self, said: &str) -> Self {
        self.say("postfix/smtp", 7, said)
    }

    fn sent(self, id: &str, to: &str) -> Self {
        self.smtp(&format!("{id}: to=<{to}>, relay={G4}:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK 1 - gsmtp)"))
    }

    fn bounced(self, id: &str, to: &str) -> Self {
        self.smtp(&format!("{id}: to=<{to}>, relay={G6}:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host {G6} said: {PTR} (in reply to end of DATA command))"))
    }

    fn deferred(self, id: &str, to: &str) -> Self {
        self.smtp(&format!("{id}: to=<{to}>, relay={G6}:25, delay=1, delays=0/0/0/1, dsn=4.7.28, status=deferred (host {G6} said: {RATE} (in reply to end of DATA command))"))
    }

    fn removed(self, id: &str) -> Self {
        self.say("postfix/qmgr", 2, &format!("{id}: removed"))
    }

    fn report(&self) -> Report {
        self.with(Options::default())
    }

    fn with(&self, options: Options) -> Report {
        let knowledge = &*KNOWLEDGE;
        let mut reading = Reading::new(knowledge, options);
        reading.feed(self.0.as_bytes(), last());
        reading.report()
    }

    /// A line for each group.
    #[track_caller]
    fn check(&self, expected: &[&str]) {
        assert_eq!(told(&self.report()), expected, "{}", self.0);
    }
}

fn last() -> LastDay {
    // 1 April 2026
    LastDay::of(1_775_000_000)
}

fn told(report: &Report) -> Vec<String> {
    let groups = report.groups.iter().map(|group| {
        let from = match &group.from {
            From::Address(address) => address.to_string(),
            From::Program(tag) => tag.clone(),
        };
        let detour = if group.is_detour { " detour" } else { "" };
        let Ends {
            delivered,
            waiting,
            given_up,
            elsewhere,
        } = group.ends;
        format!(
            "{} {}{detour} {from} {} {}/{}/{} {delivered}+{waiting}+{given_up}+{elsewhere}",
            group.provider,
            group.code(),
            group.family.word(),
            group.tries,
            group.messages,
            group.recipients,
        )
    });
    groups.collect()
}

fn log() -> Log {
    Log::default()
}

#[test]
fn delivered_mail_is_no_finding() {
    log()
        .sent("A1B2C3", "a@gmail.com")
        .removed("A1B2C3")
        .check(&[]);
}

#[test]
fn every_line_is_counted_wherever_the_log_is_cut() {
    let text = log().deferred("A1B2C3", "a@gmail.com").removed("A1B2C3").0;
    let text = text.repeat(50) + "\nnothing of Postfix\n" + &"x".repeat(600_000) + "\nno end";
    let mut system = MemorySystem::new();
    system = system.file("/var/log/mail.log", text.as_str());
    for range in [700, 4096, RANGE] {
        let pieces = system.pieces("/var/log/mail.log".into()).unwrap().unwrap();
        let sources = [Source::File(pieces)];
        let report = read_in_ranges(&sources, &KNOWLEDGE, Options::default(), &|_| {}, range);
        assert_eq!(report.unwrap().lines, 104, "in ranges of {range}");
    }
    let report = log().removed("A1B2C3").removed("A1B2C4").report();
    assert_eq!(report.lines, 2, "of a log that grows");
}

#[test]
fn counts_are_of_tries_messages_and_recipients() {
    log()
        .bounced("A1B2C3", "a@gmail.com")
        .bounced("A1B2C3", "b@gmail.com")
        .removed("A1B2C3")
        .bounced("A1B2C4", "a@gmail.com")
        .check(&["google ipv6-no-ptr 2001:db8::10 IPv6 3/2/3 0+0+3+0"]);
}

#[test]
fn what_becomes_of_it_is_told() {
    let log = log()
        .deferred("A1B2C3", "a@gmail.com")
        .deferred("A1B2C3", "b@gmail.com")
        .deferred("A1B2C3", "c@gmail.com")
        .deferred("A1B2C4", "a@gmail.com")
        .later(600)
        .deferred("A1B2C3", "b@gmail.com")
        .sent("A1B2C3", "a@gmail.com")
        .bounced("A1B2C3", "c@gmail.com");
    log.check(&[
        "google ipv6-no-ptr 2001:db8::10 IPv6 1/1/1 0+0+1+0",
        "google rate-limited 2001:db8::10 IPv6 5/2/4 1+2+0+1",
    ]);
    let report = log.report();
    assert_eq!(report.groups[1].domains, [("gmail.com".to_owned(), 4)]);
    assert_eq!(report.groups[1].first.unwrap().second, 0);
    assert_eq!(report.groups[1].last.unwrap().second, 604);
}

#[test]
fn a_message_that_is_too_old_is_given_up() {
    log()
        .deferred("A1B2C3", "a@gmail.com")
        .say(
            "postfix/qmgr",
            2,
            "A1B2C3: from=<x@sender.example>, status=expired, returned to sender",
        )
        .removed("A1B2C3")
        .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 0+0+1+0"]);
    // Somebody removed it by hand.
    log()
        .deferred("A1B2C3", "a@gmail.com")
        .say("postfix/postsuper", 3, "A1B2C3: removed")
        .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 0+0+1+0"]);
}

#[test]
fn an_id_ends_where_the_message_is_removed() {
    log()
        .deferred("A1B2C3", "a@gmail.com")
        .removed("A1B2C3")
        .deferred("A1B2C3", "a@gmail.com")
        .sent("A1B2C3", "a@gmail.com")
        .check(&["google rate-limited 2001:db8::10 IPv6 2/2/2 1+0+1+0"]);
    // Without the line, too.
    log()
        .bounced("A1B2C3", "a@gmail.com")
        .bounced("A1B2C3", "a@gmail.com")
        .check(&["google ipv6-no-ptr 2001:db8::10 IPv6 2/2/2 0+0+2+0"]);
    let long = "4Wd0Xz2L4wz1Qf";
    log()
        .deferred(long, "a@gmail.com")
        .sent(long, "a@gmail.com")
        .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 1+0+0+0"]);
}

#[test]
fn one_id_of_two_instances_is_two_messages() {
    let other = format!(
        "A1B2C3: to=<a@gmail.com>, relay={G4}:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)"
    );
    log()
        .deferred("A1B2C3", "a@gmail.com")
        .say("postfix-out/smtp", 9, &other)
        .say("postfix-out/qmgr", 8, "A1B2C3: removed")
        .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 0+1+0+0"]);
    // Of one instance with a service that has a name of its own it is one.
    for service in ["postfix/slow/smtp", "postfix-slow/smtp"] {
        log()
            .removed("FFFFFF")
            .deferred("A1B2C3", "a@gmail.com")
            .say(service, 9, &other)
            .removed("A1B2C3")
            .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 1+0+0+0"]);
    }
}

#[test]
fn ipv6_that_cannot_be_reached_is_nothing_where_ipv4_follows() {
    let unreachable = format!("connect to {G6}:25: Network is unreachable");
    log()
        .smtp(&unreachable)
        .sent("A1B2C3", "a@gmail.com")
        .check(&[]);
    // Where nothing follows it is the matter.
    log()
        .smtp(&format!("A1B2C3: to=<a@gmail.com>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred ({unreachable})"))
        .check(&["google ipv6-unreachable postfix/smtp IPv6 1/1/1 0+1+0+0"]);
}

#[test]
fn the_address_that_was_passed_over_last_is_not_the_reason() {
    log()
        .smtp(&format!("connect to {G4}:25: Connection timed out"))
        .smtp(&format!("A1B2C3: to=<a@gmail.com>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to {G6}:25: Network is unreachable)"))
        .check(&["google connect-timeout postfix/smtp IPv4 1/1/1 0+1+0+0"]);
}

#[test]
fn a_refusal_over_ipv6_before_delivery_over_ipv4_is_a_detour() {
    let refused = format!("A1B2C3: host {G6} said: {RATE} (in reply to end of DATA command)");
    log()
        .smtp(&refused)
        .sent("A1B2C3", "a@gmail.com")
        .sent("A1B2C3", "b@gmail.com")
        .check(&["google rate-limited detour 2001:db8::10 IPv6 1/1/2 2+0+0+0"]);
    // Another process has another message at hand.
    log()
        .smtp(&refused)
        .say(
            "postfix/smtp",
            8,
            &format!(
                "A1B2C4: to=<a@gmail.com>, relay={G4}:25, delay=1, dsn=2.0.0, status=sent (250 ok)"
            ),
        )
        .check(&[]);
    // What the result repeats is counted once.
    log()
        .smtp(&refused)
        .deferred("A1B2C3", "a@gmail.com")
        .check(&["google rate-limited 2001:db8::10 IPv6 1/1/1 0+1+0+0"]);
    // What it does not repeat is told beside it.
    log()
        .smtp(&refused)
        .bounced("A1B2C3", "a@gmail.com")
        .check(&[
            "google ipv6-no-ptr 2001:db8::10 IPv6 1/1/1 0+0+1+0",
            "google rate-limited detour 2001:db8::10 IPv6 1/1/1 0+0+0+1",
        ]);
}

#[test]
fn a_process_that_tries_a_message_again_later_has_met_nothing_yet() {
    let silent = format!("connect to {G6}:25: Connection timed out");
    let waiting = |to: &str| {
        format!(
            "A1B2C3: to=<{to}>, relay=none, delay=2, delays=0/0/2/0, dsn=4.4.1, status=deferred (connect to {G4}:25: Connection timed out)"
        )
    };
    log()
        .smtp(&silent)
        .smtp(&waiting("a@gmail.com"))
        .smtp(&waiting("b@gmail.com"))
        .later(300)
        .sent("A1B2C3", "a@gmail.com")
        .sent("A1B2C3", "b@gmail.com")
        .removed("A1B2C3")
        .check(&["google connect-timeout postfix/smtp IPv4 2/1/2 2+0+0+0"]);
}

#[test]
fn a_detour_that_is_taken_again_counts_nobody_twice() {
    let refused = format!("A1B2C3: host {G6} said: {RATE} (in reply to end of DATA command)");
    let greylisted = |to: &str| {
        format!(
            "A1B2C3: to=<{to}>, relay={G4}:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host {G4} said: 450 4.2.0 <{to}>: Recipient address rejected: Greylisted (in reply to RCPT TO command))"
        )
    };
    let waits = log()
        .smtp(&refused)
        .smtp(&greylisted("a@gmail.com"))
        .later(300)
        .smtp(&refused)
        .smtp(&greylisted("a@gmail.com"));
    let greylist =
        |tries: u32, ends: &str| format!("google greylisted postfix/smtp IPv4 {tries}/1/1 {ends}");
    let detour = |tries: u32, recipients: u32, ends: &str| {
        format!("google rate-limited detour 2001:db8::10 IPv6 {tries}/1/{recipients} {ends}")
    };
    waits.check(&[&greylist(2, "0+1+0+0"), &detour(2, 1, "0+1+0+0")]);
    let sent = waits
        .later(300)
        .smtp(&refused)
        .sent("A1B2C3", "a@gmail.com");
    sent.check(&[&detour(3, 1, "1+0+0+0"), &greylist(2, "1+0+0+0")]);
    // Whoever got it at once is one, and the message is the same.
    log()
        .smtp(&refused)
        .sent("A1B2C3", "a@gmail.com")
        .smtp(&greylisted("b@gmail.com"))
        .later(300)
        .smtp(&refused)
        .sent("A1B2C3", "b@gmail.com")
        .check(&[&detour(2, 2, "2+0+0+0"), &greylist(1, "1+0+0+0")]);
}

#[test]
fn what_is_suspended_was_not_tried() {
    let refused = "host mx1.mail.icloud.com[192.0.2.40] refused to talk to me: 550 5.7.0 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.10";
    let log = log()
        .smtp(&format!("A1B2C3: to=<a@icloud.com>, relay=none, delay=1, dsn=4.7.0, status=deferred ({refused})"))
        .say("postfix/error", 6, &format!("A1B2C4: to=<b@icloud.com>, relay=none, delay=1, dsn=4.7.0, status=deferred (delivery temporarily suspended: {refused})"));
    let report = log.report();
    assert_eq!(report.groups.len(), 1, "{:?}", told(&report));
    let group = &report.groups[0];
    assert_eq!((group.tries, group.messages), (1, 2));
    // The greeting is for good, though Postfix goes on.
    assert!(group.is_greeting);
    assert_eq!(group.harm, crate::cause::Harm::Stuck);
    assert_eq!(group.from, From::Address("192.0.2.10".parse().unwrap()));
}

#[test]
fn a_dead_program_explains_what_waits_for_it() {
    let waits = "A1B2C3: to=<a@gmail.com>, relay=none, delay=1, dsn=4.3.0, status=deferred (unknown mail transport error)";
    let fatal = "fatal: SMTPS wrappermode (TCP port 465) requires setting \"smtp_tls_security_level = encrypt\" (or stronger)";
    let log = log()
        .say("postfix/smtp", 9, fatal)
        .say(
            "postfix/master",
            1,
            "warning: process /usr/lib/postfix/sbin/smtp pid 9 exit status 1",
        )
        .say(
            "postfix/master",
            1,
            "warning: /usr/lib/postfix/sbin/smtp: bad command startup -- throttling",
        )
        .say(
            "postfix/qmgr",
            2,
            "warning: private/smtp socket: malformed response",
        )
        .say("postfix/error", 4, waits);
    log.check(&["local local-misconfig postfix/smtp none 1/1/1 0+1+0+0"]);
    // Nobody said why.
    Log::default()
        .say("postfix/error", 4, waits)
        .check(&["local transport-broken postfix/error none 1/1/1 0+1+0+0"]);
    // Postfix 3 writes no line for the messages at all.
    let groups = Log::default()
        .say("postfix/smtp", 9, "fatal: something that nobody ever said")
        .report()
        .groups;
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].cause, "transport-broken");
    assert_eq!(groups[0].severity(), Severity::Error);
    assert_eq!(groups[0].words, "something that nobody ever said");
}

#[test]
fn a_transport_that_is_nowhere_is_one_finding() {
    log()
        .say("postfix/qmgr", 2, "warning: connect to transport private/slow: No such file or directory")
        .say("postfix/error", 4, "A1B2C3: to=<a@gmail.com>, relay=none, delay=1, dsn=4.3.0, status=deferred (mail transport unavailable)")
        .check(&["local transport-missing postfix/qmgr none 1/1/1 0+1+0+0"]);
}

#[test]
fn strangers_and_mistyped_commands_are_no_faults_of_ours() {
    log()
        .say(
            "postfix/smtpd",
            5,
            "warning: hostname x.example does not resolve to address 192.0.2.9",
        )
        .say(
            "postfix/smtpd",
            5,
            "warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
        )
        .say("postfix/sendmail", 5, "fatal: usage: sendmail [options]")
        .say("dovecot", 5, "fatal: nothing of Postfix")
        .check(&[]);
}

#[test]
fn what_strangers_make_a_program_warn_of_is_no_fault_of_ours() {
    for (daemon, said) in [
        (
            "smtpd",
            "unknown[192.0.2.9]: SASL LOGIN authentication failed: authentication failure",
        ),
        (
            "smtpd",
            "unknown[192.0.2.9]: SASL PLAIN authentication failed: Connection lost to authentication server",
        ),
        (
            "smtpd",
            "SASL authentication failure: Password verification failed",
        ),
        (
            "smtpd",
            "SASL authentication failure: no secret in database",
        ),
        (
            "smtpd",
            "hostname x.example does not resolve to address 192.0.2.9: Name or service not known",
        ),
        (
            "smtpd",
            "non-SMTP command from unknown[192.0.2.9]: GET / HTTP/1.1",
        ),
        (
            "smtpd",
            "Connection rate limit exceeded: 61 from unknown[192.0.2.9] for service smtp",
        ),
        (
            "smtpd",
            "TLS library problem: error:0A000102:SSL routines::unsupported protocol:ssl/statem/statem_srvr.c:1657:",
        ),
        (
            "smtpd",
            "Illegal address syntax from unknown[192.0.2.9] in MAIL command: <x@>",
        ),
        (
            "smtpd",
            "malformed domain name in resource data of MX record for x.example: ",
        ),
        (
            "smtpd",
            "Unable to look up MX host for x.example: Host not found",
        ),
        (
            "smtpd",
            "9.2.0.192.dnsbl.example: RBL lookup error: Host or domain name not found. Name service error for name=9.2.0.192.dnsbl.example type=A: Host not found, try again",
        ),
        (
            "dnsblog",
            "dnsblog_query: lookup error for DNS query 9.2.0.192.dnsbl.example: Host or domain name not found. Name service error for name=9.2.0.192.dnsbl.example type=A: Host not found, try again",
        ),
        ("postscreen", "dnsblog reply timeout 10s for dnsbl.example"),
        (
            "cleanup",
            "header Subject: Server configuration error, permission denied from x[192.0.2.9]; from=<a@x.example> to=<b@sender.example>",
        ),
        (
            "cleanup",
            "body lookup failure from x[192.0.2.9]; from=<a@x.example> to=<b@sender.example>",
        ),
    ] {
        let warning = format!("warning: {said}");
        log()
            .say(&format!("postfix/{daemon}"), 5, &warning)
            .check(&[]);
        log()
            .say(
                &format!("postfix/{daemon}"),
                5,
                &format!("A1B2C3: {warning}"),
            )
            .check(&[]);
    }
}

#[test]
fn when_no_destination_answers_it_is_port_25() {
    let deferred = |log: Log, at: u32| {
        log.smtp(&format!("A1B2C{at}: to=<a@d{at}.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to mx.d{at}.example[192.0.2.{at}]:25: Connection timed out)"))
    };
    let two = (1..3).fold(log(), deferred);
    two.check(&["other connect-timeout postfix/smtp IPv4 2/2/2 0+2+0+0"]);
    let three = (1..4).fold(log(), deferred);
    three.check(&["local port25-blocked postfix/smtp IPv4 3/3/3 0+3+0+0"]);
    // One that answers shows that it is not.
    let three = (1..4).fold(log(), deferred);
    three
        .sent("A1B2FF", "a@gmail.com")
        .check(&["other connect-timeout postfix/smtp IPv4 3/3/3 0+3+0+0"]);
}

#[test]
fn when_no_domain_is_found_it_is_the_jail_or_the_resolver() {
    let lost = |log: Log, at: u32| {
        log.smtp(&format!("A1B2C{at}: to=<a@d{at}.example>, relay=none, delay=1, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=d{at}.example type=MX: Host not found, try again)"))
    };
    (1..4)
        .fold(log(), lost)
        .check(&["local chroot-dns postfix/smtp none 3/3/3 0+3+0+0"]);
    let turned_away = |log: Log, at: u32| {
        log.say("postfix/smtpd", 5, &format!("NOQUEUE: reject: RCPT from unknown[192.0.2.{at}]: 450 4.7.1 <mx.d{at}.example>: Helo command rejected: Host not found; from=<a@d{at}.example> to=<b@sender.example> proto=ESMTP helo=<mx.d{at}.example>"))
    };
    (1..4)
        .fold(log(), turned_away)
        .check(&["local chroot-dns postfix/smtpd none 3/0/0 0+0+0+0"]);
    // One that is found shows that it is theirs.
    (1..4)
        .fold(log(), turned_away)
        .say("postfix/smtpd", 5, "connect from mx.example.org[192.0.2.7]")
        .check(&[]);
}

#[test]
fn what_a_known_receiver_never_said_before_is_told_as_such() {
    let said = |id: &str, words: &str| {
        format!(
            "{id}: to=<a@gmail.com>, relay={G4}:25, delay=1, dsn=5.9.9, status=bounced (host {G4} said: 550 5.9.9 {words} (in reply to MAIL FROM command))"
        )
    };
    let report = log()
        .smtp(&said("A1B2C3", "the moon x1 is in the wrong house"))
        .smtp(&said("A1B2C4", "the moon x2 is in the wrong house"))
        .smtp(&said("A1B2C5", "the sun is in the wrong house"))
        .report();
    let codes: Vec<(&str, u64)> = report
        .groups
        .iter()
        .map(|group| (group.code(), group.messages))
        .collect();
    assert_eq!(codes, [(group::UNKNOWN, 2), (group::UNKNOWN, 1)]);
    assert_eq!(
        report.groups[0].words,
        "550 5.9.9 the moon x1 is in the wrong house"
    );
}

#[test]
fn addresses_are_listed_where_they_are_wanted() {
    let log = log()
        .bounced("A1B2C3", "a@gmail.com")
        .removed("A1B2C3")
        .bounced("A1B2C4", "a@gmail.com")
        .deferred("A1B2C5", "b@gmail.com")
        .removed("A1B2C5")
        .deferred("A1B2C6", "c@gmail.com");
    assert_eq!(log.report().bounced, []);
    let bounced = log
        .with(Options {
            recipients: true,
            ..Options::default()
        })
        .bounced;
    let told: Vec<String> = bounced
        .iter()
        .map(|one| {
            let since = one.first.unwrap().second;
            format!(
                "{} {} {} {since} {}",
                one.address, one.cause, one.times, one.is_gone
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "a@gmail.com ipv6-no-ptr 2 0 false",
            "b@gmail.com rate-limited 1 4 false"
        ]
    );
    assert!(bounced[0].reply.starts_with("550-5.7.1 "));
}

#[test]
fn any_bytes_are_survived() {
    let knowledge = &*KNOWLEDGE;
    let mut reading = Reading::new(knowledge, Options::default());
    let long = b"x".repeat(1 << 20);
    for text in [
        &b" status=\n: removed\n: host \n: fatal: \n\x00\xff: warning: \x1b[2J\n"[..],
        b"Mar  3 10:00:00 mx postfix/smtp[1]: A1B2C3: to=<\xff\xfe>, relay=none, status=bounced (\x1b[2J)\n",
        b"Mar  3 10:00:00 mx postfix/smtp[1]: A1B2C3: to=<a@b>, status=bounced (host x[y said: 550\n",
        &long,
    ] {
        reading.feed(text, last());
    }
    assert!(reading.report().groups.len() <= 3);
}

/// A line of some log, by chance.
fn some_line() -> impl Strategy<Value = String> {
    let id = prop_oneof![Just("A1B2C3"), Just("A1B2C4"), Just("A1B2C5")];
    let tag = prop_oneof![Just("postfix"), Just("postfix-out"), Just("postfix/slow")];
    let to = prop_oneof![
        Just("a@gmail.com"),
        Just("b@example.org"),
        Just("c@d1.example")
    ];
    let form = 0_usize..11;
    (id, tag, to, form, 1_u32..4, 0_u32..60).prop_map(|(id, tag, to, form, pid, minute)| {
        let head = |program: &str| format!("Mar  3 10:{minute:02}:00 mx {tag}/{program}[{pid}]: ");
        match form {
            0 => format!("{}{id}: removed", head("qmgr")),
            1 => format!("{}{id}: to=<{to}>, relay={G4}:25, delay=1, dsn=2.0.0, status=sent (250 ok)", head("smtp")),
            2 => format!("{}{id}: to=<{to}>, relay={G6}:25, dsn=5.7.1, status=bounced (host {G6} said: {PTR} (in reply to end of DATA command))", head("smtp")),
            3 => format!("{}{id}: to=<{to}>, relay={G6}:25, dsn=4.7.28, status=deferred (host {G6} said: {RATE} (in reply to end of DATA command))", head("smtp")),
            4 => format!("{}{id}: host {G6} said: {RATE} (in reply to end of DATA command)", head("smtp")),
            5 => format!("{}connect to {G6}:25: Connection timed out", head("smtp")),
            6 => format!("{}{id}: to=<{to}>, relay=none, dsn=4.4.1, status=deferred (connect to mx{pid}.x.example[192.0.2.9]:25: Connection timed out)", head("smtp")),
            7 => format!("{}fatal: open database /etc/postfix/x{pid}.db: No such file or directory", head("smtp")),
            8 => format!("{}{id}: to=<{to}>, relay=none, dsn=4.3.0, status=deferred (unknown mail transport error)", head("error")),
            9 => format!("{}{id}: from=<x@y.example>, status=expired, returned to sender", head("qmgr")),
            _ => format!("{}connect to {G6}:25: Network is unreachable", head("smtp")),
        }
    })
}

proptest! {
    #[test]
    fn wherever_a_log_is_cut_it_comes_to_the_same(
        lines in proptest::collection::vec(some_line(), 0..60),
        range in 50_u64..4000,
        cut in 0_usize..60,
    ) {
        let text = lines.join("\n") + "\n";
        let knowledge = &*KNOWLEDGE;
        let options = Options { recipients: true, ..Options::default() };
        let mut reading = Reading::new(knowledge, options);
        reading.feed(text.as_bytes(), last());
        let whole = reading.report();

        let system = MemorySystem::new().file("/log", text.as_bytes());
        let file = || system.pieces(camino::Utf8Path::new("/log")).unwrap().unwrap();
        let sources = [Source::File(file())];
        let ranged = read_in_ranges(&sources, knowledge, options, &|_| {}, range).unwrap();
        // A file in memory has another time.
        let years = |report: &Report| format!("{:?} {:?}", told(report), report.bounced.len());
        prop_assert_eq!(years(&ranged), years(&whole));

        let mut reading = Reading::new(knowledge, options);
        let (before, after) = lines.split_at(cut.min(lines.len()));
        for part in [before, after] {
            reading.feed((part.join("\n") + "\n").as_bytes(), last());
        }
        let parts = reading.report();
        prop_assert_eq!(&parts.groups, &whole.groups);
        prop_assert_eq!(parts.last, whole.last);

        // Lines of containers have a head that no line is passed over for.
        let contained: Vec<String> = lines.iter().map(|line| format!("web-1 | {line}")).collect();
        let contained = contained.join("\n") + "\n";
        let mut reading = Reading::new(knowledge, options);
        reading.feed(contained.as_bytes(), last());
        let full = reading.report();
        prop_assert_eq!(told(&full), told(&whole));
        prop_assert_eq!((full.last, full.bounced.len()), (whole.last, whole.bounced.len()));
        prop_assert_eq!(parts.bounced, whole.bounced);
    }
}

#[test]
fn only_what_is_gone_for_good_is_struck_off() {
    for (cause, whose) in [
        ("mailbox-unknown", Some(Recipient::Gone)),
        ("mailbox-disabled", Some(Recipient::Gone)),
        ("dns-nxdomain", Some(Recipient::Gone)),
        // It is emptied some day.
        ("mailbox-full", Some(Recipient::Concerned)),
        // It may be our own `inet_protocols`.
        ("dns-no-data", Some(Recipient::Concerned)),
        ("rate-limited", None),
        ("ipv6-no-ptr", None),
    ] {
        assert_eq!(KNOWLEDGE.recipients_matter(cause), whose, "{cause}");
    }
    let gone = "550 5.1.1 no such user";
    let log = log().smtp(&format!(
        "A1B2C3: to=<a@example.org>, relay=mx.example.org[192.0.2.9]:25, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.9] said: {gone} (in reply to RCPT TO command))"
    ));
    let bounced = log
        .with(Options {
            recipients: true,
            ..Options::default()
        })
        .bounced;
    assert!(bounced[0].is_gone, "{bounced:?}");
}
