use std::time::Duration;

use super::*;
use crate::host::{Running, example};
use crate::system::{Fault, Letter, MemorySystem, Output};

const LOG: &str = "/var/log/mail.log";

fn sender() -> Sender {
    Sender {
        config: "/etc/postfix".into(),
        sendmail: "/usr/sbin/sendmail".into(),
        host: "mail.example.org".to_owned(),
        from: Mailbox::parse("postmaster@example.org").unwrap(),
        now: "2026-11-25T10:00:00Z".parse().unwrap(),
    }
}

fn addresses(all: &[&str]) -> Vec<Mailbox> {
    all.iter()
        .map(|text| Mailbox::parse(text).unwrap())
        .collect()
}

fn facts(main: &str) -> Facts {
    let mut facts = example::host("3.7.11", main, "").facts;
    facts.running = Running::Yes(7);
    facts
}

/// Sends to these, has the log say this (`@ID0@` is the first message's `Message-ID`, and every
/// line gets its head), and gives what is reported.
fn reports(system: MemorySystem, to: &[&str], log: &str) -> Vec<Report> {
    let mut system = system.file(
        LOG,
        "Nov 25 09:00:00 mx postfix/master[1]: daemon started\n",
    );
    let mut mark = MailLog::mark(&system, "", &[LOG.into()]).unwrap();
    let sent = send(&mut system, &sender(), &addresses(to)).unwrap();
    assert_eq!(system.sent.len(), to.len());
    let mut text = String::from_utf8(system.read(LOG.into()).unwrap().unwrap().bytes).unwrap();
    for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut line = line.to_owned();
        for (number, message) in sent.iter().enumerate() {
            line = line.replace(&format!("@ID{number}@"), &message.message_id);
        }
        text.push_str("Nov 25 10:00:00 mx postfix/");
        text.push_str(&line);
        text.push('\n');
    }
    let system = system.file(LOG, text);
    let facts = facts("smtp_tls_loglevel = 1");
    follow(&system, &facts, &mut mark, &sent, Duration::ZERO).unwrap()
}

fn report(to: &str, log: &str) -> Report {
    reports(MemorySystem::new(), &[to], log).remove(0)
}

const DELIVERED: &str = "
    pickup[1]: A1B2C3D: uid=0 from=<postmaster@example.org>
    cleanup[2]: A1B2C3D: message-id=@ID0@
    qmgr[3]: A1B2C3D: from=<postmaster@example.org>, size=900, nrcpt=1 (queue active)
    smtp[4]: connect to mx1.example.net[2001:db8::1]:25: Network is unreachable
    smtp[5]: connect to other.example[192.0.2.9]:25: Connection refused
    smtp[4]: Trusted TLS connection established to mx2.example.net[192.0.2.2]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
    smtp[4]: A1B2C3D: to=<bob@example.net>, relay=mx2.example.net[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)
    qmgr[3]: A1B2C3D: removed
";

#[test]
fn a_delivery_is_told_with_all_there_is_to_know() {
    let report = report("bob@example.net", DELIVERED);
    assert_eq!(report.outcome, Outcome::Delivered);
    assert_eq!(report.queue_ids, ["A1B2C3D"]);
    let ending = &report.deliveries[0];
    assert_eq!(ending.relay, "mx2.example.net[192.0.2.2]");
    assert_eq!(
        (ending.family, ending.address),
        (Some(4), "192.0.2.2".parse().ok())
    );
    assert_eq!(
        ending.tls.as_deref(),
        Some("TLSv1.3 with TLS_AES_256_GCM_SHA384, certificate: trusted")
    );
    assert_eq!(
        (ending.reply.as_str(), &ending.cause),
        ("250 2.0.0 Ok", &None)
    );
    let tried = [Tried {
        host: "mx1.example.net[2001:db8::1]".to_owned(),
        reply: "Network is unreachable".to_owned(),
    }];
    assert_eq!(ending.tried, tried);
    assert!(report.stuck.is_none() && report.refused.is_none());
}

#[test]
fn lines_that_come_twice_are_told_once() {
    let once = report("bob@example.net", DELIVERED);
    let deferred = "
        cleanup[2]: A1B2C3D: message-id=@ID0@
        qmgr[3]: A1B2C3D: from=<a@b>, size=900, nrcpt=1 (queue active)
        smtp[4]: connect to mx1[192.0.2.1]:25: Connection refused
        smtp[4]: A1B2C3D: to=<bob@example.net>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to mx2[192.0.2.2]:25: Connection refused)
    ";
    // From a file and from the journal: one behind the other, or each line at once.
    let doubled = |log: &str| -> String {
        log.lines()
            .flat_map(|line| [line, "\n", line, "\n"])
            .collect()
    };
    assert_eq!(report("bob@example.net", &DELIVERED.repeat(2)), once);
    assert_eq!(report("bob@example.net", &doubled(DELIVERED)), once);
    let once = report("bob@example.net", deferred);
    assert_eq!(once.deliveries[0].tried.len(), 1);
    assert_eq!(report("bob@example.net", &deferred.repeat(2)), once);
    assert_eq!(report("bob@example.net", &doubled(deferred)), once);
}

/// The way of one message up to its delivery line.
fn one(line: &str) -> Report {
    report(
        "bob@gmail.com",
        &format!(
            "cleanup[2]: A1B2C3D: message-id=@ID0@
             qmgr[3]: A1B2C3D: from=<postmaster@example.org>, size=900, nrcpt=1 (queue active)
             smtp[4]: A1B2C3D: to=<bob@gmail.com>, {line}"
        ),
    )
}

#[test]
fn a_refusal_has_its_cause() {
    let host = "gmail-smtp-in.l.google.com[2001:db8::100]";
    let found = one(&format!(
        "relay={host}:25, delay=1, dsn=5.7.1, status=bounced (host {host} said: 550-5.7.1 [2001:db8::10      16] message does not meet IPv6 550 5.7.1 sending guidelines - gsmtp (in reply to end of DATA command))"
    ));
    assert_eq!(found.outcome, Outcome::Bounced);
    let ending = &found.deliveries[0];
    let cause = ending.cause.as_ref().unwrap();
    assert_eq!(
        (cause.code.as_str(), cause.provider.as_deref()),
        ("ipv6-no-ptr", Some("google"))
    );
    assert_eq!(
        (ending.tls.as_deref(), ending.family),
        (Some("none"), Some(6))
    );
    let found = one(
        "relay=none, delay=30, dsn=4.4.1, status=deferred (connect to mx[192.0.2.1]:25: Connection timed out)",
    );
    assert_eq!(found.outcome, Outcome::Deferred);
    let ending = &found.deliveries[0];
    assert_eq!(ending.cause.as_ref().unwrap().code, "connect-timeout");
    assert_eq!((ending.tls.as_deref(), ending.source), (None, None));
}

#[test]
fn postfix_3_11_tells_of_tls_itself() {
    for (field, told) in [
        ("may", "at level may"),
        ("may:none", "none"),
        ("none", "none"),
        ("dane!/requiretls", "at level dane"),
        ("dane:encrypt", "at level encrypt"),
    ] {
        let found = one(&format!(
            "relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, tls={field}, dsn=2.0.0, status=sent (250 ok)"
        ));
        assert_eq!(found.deliveries[0].tls.as_deref(), Some(told));
    }
}

#[test]
fn several_messages_are_kept_apart() {
    let found = reports(
        MemorySystem::new(),
        &["bob@example.net", "eve@example.net"],
        "cleanup[2]: A1B2C3D: message-id=@ID0@
         cleanup[2]: B1B2C3D: message-id=@ID1@
         cleanup[2]: C1B2C3D: message-id=<of.somebody@else>
         qmgr[3]: A1B2C3D: from=<a@b>, size=900, nrcpt=1 (queue active)
         qmgr[3]: B1B2C3D: from=<a@b>, size=900, nrcpt=1 (queue active)
         smtp[4]: C1B2C3D: to=<bob@example.net>, relay=mx[192.0.2.1]:25, delay=1, dsn=5.0.0, status=bounced (no)
         smtp[4]: B1B2C3D: host mx[192.0.2.3] said: 450 4.2.0 later (in reply to RCPT TO command)
         smtp[4]: B1B2C3D: to=<eve@example.net>, relay=mx[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))
         smtp[5]: A1B2C3D: to=<bob@example.net>, relay=mx[192.0.2.2]:25, delay=1, dsn=2.0.0, status=sent (250 ok)",
    );
    let outcomes: Vec<_> = found.iter().map(|report| report.outcome).collect();
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::Bounced]);
    assert_eq!(found[1].deliveries[0].tried[0].reply, "450 4.2.0 later");
    assert!(found[0].deliveries[0].tried.is_empty());
}

#[test]
fn a_message_is_followed_through_aliases_and_filters() {
    let found = report(
        "bob@example.net",
        "cleanup[2]: A1B2C3D: message-id=@ID0@
         qmgr[3]: A1B2C3D: from=<a@b>, size=900, nrcpt=1 (queue active)
         cleanup[2]: B1B2C3D: message-id=@ID0@
         smtp[4]: A1B2C3D: to=<bob@example.net>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B2C3D)
         qmgr[3]: A1B2C3D: removed
         qmgr[3]: B1B2C3D: from=<a@b>, size=950, nrcpt=2 (queue active)
         smtp[4]: B1B2C3D: to=<one@example.net>, orig_to=<bob@example.net>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
         smtp[4]: B1B2C3D: to=<two@example.net>, orig_to=<bob@example.net>, relay=mx[192.0.2.1]:25, delay=1, dsn=4.2.0, status=deferred (host mx[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command))",
    );
    assert_eq!(found.queue_ids, ["A1B2C3D", "B1B2C3D"]);
    let recipients: Vec<_> = found
        .deliveries
        .iter()
        .map(|ending| ending.recipient.as_str())
        .collect();
    assert_eq!(recipients, ["one@example.net", "two@example.net"]);
    assert_eq!(found.outcome, Outcome::Deferred);
}

fn listing(text: &str) -> MemorySystem {
    let query = Query::Queue {
        config: "/etc/postfix".into(),
    };
    let output = Output {
        stdout: text.as_bytes().to_vec(),
        ..Output::default()
    };
    MemorySystem::new().answer(query, output)
}

#[test]
fn an_agent_that_dies_is_named() {
    let system = listing(
        "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\nA1B2C3D      900 Wed Nov 25 10:00:00  postmaster@example.org\n                                         bob@gmail.com\n\n-- 0 Kbytes in 1 Request.\n",
    );
    let found = reports(
        system,
        &["bob@gmail.com"],
        "cleanup[2]: A1B2C3D: message-id=@ID0@
         qmgr[3]: A1B2C3D: from=<a@b>, size=900, nrcpt=1 (queue active)
         smtp[4]: fatal: unknown service: smtp/tcp
         qmgr[3]: warning: private/smtp-ipv4 socket: malformed response
         master[1]: warning: process /usr/lib/postfix/sbin/smtp pid 4 exit status 1
         master[1]: warning: /usr/lib/postfix/sbin/smtp: bad command startup -- throttling
         smtpd[9]: fatal: of no matter here",
    )
    .remove(0);
    assert_eq!(found.outcome, Outcome::Stuck);
    let stuck = found.stuck.unwrap();
    assert_eq!((stuck.in_queue, &stuck.reason), (Some(true), &None));
    assert_eq!(stuck.cause.unwrap().code, "transport-broken");
    assert_eq!(
        stuck.deaths,
        [
            "postfix/smtp: fatal: unknown service: smtp/tcp",
            "postfix/qmgr: warning: private/smtp-ipv4 socket: malformed response",
            "postfix/master: warning: process /usr/lib/postfix/sbin/smtp pid 4 exit status 1",
            "postfix/master: warning: /usr/lib/postfix/sbin/smtp: bad command startup -- throttling",
        ]
    );
}

#[test]
fn an_agent_that_rests_since_before_is_named() {
    let mut system = MemorySystem::new().file(
        LOG,
        "Nov 25 09:59:30 mx postfix/qmgr[3]: warning: private/smtp socket: malformed response\n",
    );
    let mut mark = MailLog::mark(&system, "", &[LOG.into()]).unwrap();
    let sent = send(&mut system, &sender(), &addresses(&["bob@gmail.com"])).unwrap();
    let found = follow(&system, &facts(""), &mut mark, &sent, Duration::ZERO).unwrap();
    let stuck = found[0].stuck.as_ref().unwrap();
    assert_eq!(
        stuck.deaths,
        ["postfix/qmgr: warning: private/smtp socket: malformed response"]
    );
    // Nobody could be asked about the queue.
    assert_eq!(stuck.in_queue, None);
    assert!(found[0].queue_ids.is_empty());
}

#[test]
fn the_queue_is_read() {
    let listing = "\
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
A1B2C3D*     900 Wed Nov 25 10:00:00  a@example.org
                                         bob@gmail.com

B1B2C3D      900 Wed Nov 25 10:00:00  a@example.org
      (connect to mx[192.0.2.1]:25: Connection timed out)
                                         bob@gmail.com

C1B2C3D!     900 Wed Nov 25 10:00:00  a@example.org
                                         bob@gmail.com

-- 2 Kbytes in 3 Requests.
";
    let find = |id: &str| {
        let found = in_queue(listing, &[id.to_owned()])?;
        Some(found.reason.unwrap_or_default())
    };
    assert_eq!(find("A1B2C3D").as_deref(), Some(""));
    let reason = "connect to mx[192.0.2.1]:25: Connection timed out";
    assert_eq!(find("B1B2C3D").as_deref(), Some(reason));
    assert_eq!(find("C1B2C3D").as_deref(), Some("it is on hold"));
    assert_eq!(find("D1B2C3D"), None);
    assert_eq!(
        in_queue("Mail queue is empty\n", &["A1B2C3D".to_owned()]),
        None
    );
}

#[test]
fn what_sendmail_does_not_take_is_told() {
    let mut system = MemorySystem::new();
    system.sendmail = Output {
        status: 75,
        stderr: b"sendmail: fatal: no\n".to_vec(),
        ..Output::default()
    };
    let sent = send(&mut system, &sender(), &addresses(&["bob@gmail.com"])).unwrap();
    assert_eq!(sent[0].refused.as_deref(), Some("sendmail: fatal: no"));
    let system = system.file(LOG, "");
    let mut mark = MailLog::mark(&system, "", &[LOG.into()]).unwrap();
    let found = follow(
        &system,
        &facts(""),
        &mut mark,
        &sent,
        Duration::from_secs(60),
    )
    .unwrap();
    assert_eq!(found[0].outcome, Outcome::Unsent);
}

#[test]
fn one_that_cannot_be_sent_at_all_is_an_error_and_a_later_one_is_told() {
    let mut system = MemorySystem::new();
    system.fault = Some(Fault::Fails(1));
    send(&mut system, &sender(), &addresses(&["bob@gmail.com"])).unwrap_err();
    let mut system = MemorySystem::new();
    system.fault = Some(Fault::Fails(2));
    let sent = send(
        &mut system,
        &sender(),
        &addresses(&["a@gmail.com", "b@gmail.com"]),
    )
    .unwrap();
    assert!(sent[0].refused.is_none() && sent[1].refused.is_some());
    let recipients: Vec<&str> = system
        .sent
        .iter()
        .map(|letter: &Letter| letter.recipient.as_str())
        .collect();
    assert_eq!(recipients, ["a@gmail.com"]);
}

#[test]
fn programs_get_stable_names() {
    let value = serde_json::to_value(report("bob@example.net", DELIVERED)).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "address": "bob@example.net",
            "message_id": "<mailfix-probe.1795600800000000000.0@mail.example.org>",
            "queue_ids": ["A1B2C3D"],
            "outcome": "delivered",
            "refused": null,
            "stuck": null,
            "deliveries": [{
                "queue_id": "A1B2C3D",
                "recipient": "bob@example.net",
                "outcome": "delivered",
                "dsn": "2.0.0",
                "relay": "mx2.example.net[192.0.2.2]",
                "address": "192.0.2.2",
                "family": 4,
                "source": null,
                "tls": "TLSv1.3 with TLS_AES_256_GCM_SHA384, certificate: trusted",
                "reply": "250 2.0.0 Ok",
                "cause": null,
                "tried": [{
                    "host": "mx1.example.net[2001:db8::1]",
                    "reply": "Network is unreachable",
                }],
            }],
        })
    );
}
