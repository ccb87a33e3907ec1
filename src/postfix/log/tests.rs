use proptest::prelude::*;

use super::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn parsed(line: &str) -> Line<'_> {
    Line::parse(line.as_bytes()).expect("the line has a head")
}

/// Time, host, tag and text of a line.
#[track_caller]
fn check_head(line: &str, expected: [&str; 4]) {
    let line = parsed(line);
    let found = [line.time, line.host, line.tag, line.text].map(text);
    assert_eq!(found, expected);
}

#[test]
fn every_head_is_read() {
    let (tag, said) = ("postfix/smtp", "A1B2C3D: removed");
    let iso = "2026-11-25T10:00:00.123456+00:00";
    for (line, time, host) in [
        // RFC 3164, as syslogd and `journalctl -o short` write it.
        (
            "Nov  5 10:00:00 mx postfix/smtp[7]: A1B2C3D: removed",
            "Nov  5 10:00:00",
            "mx",
        ),
        // maillog_file.
        (
            "Nov 05 10:00:00 mx postfix/smtp[7]: A1B2C3D: removed",
            "Nov 05 10:00:00",
            "mx",
        ),
        (
            "Nov 05 10:00:00.5 mx postfix/smtp[7]: A1B2C3D: removed",
            "Nov 05 10:00:00.5",
            "mx",
        ),
        (
            "Nov  5 10:00:00 <mail.info> mx postfix/smtp[7]: A1B2C3D: removed",
            "Nov  5 10:00:00 <mail.info>",
            "mx",
        ),
        (
            "2026-11-25T10:00:00.123456+00:00 mx postfix/smtp[7]: A1B2C3D: removed",
            iso,
            "mx",
        ),
        (
            "2026-11-25T10:00:00.123456+00:00 postfix/smtp[7]: A1B2C3D: removed",
            iso,
            "",
        ),
        (
            "Nov 25 10:00:00 postfix/smtp[7]: A1B2C3D: removed",
            "Nov 25 10:00:00",
            "",
        ),
        // `journalctl -o short-full`.
        (
            "Wed 2026-11-25 10:00:00 UTC mx postfix/smtp[7]: A1B2C3D: removed",
            "Wed 2026-11-25 10:00:00 UTC",
            "mx",
        ),
        (
            "mail-1  | Nov  5 10:00:00 mx postfix/smtp[7]: A1B2C3D: removed",
            "Nov  5 10:00:00",
            "mx",
        ),
        ("postfix/smtp[7]: A1B2C3D: removed", "", ""),
        (
            "Nov  5 10:00:00 mx postfix/smtp[7]: [ID 197553 mail.info] A1B2C3D: removed",
            "Nov  5 10:00:00",
            "mx",
        ),
        (
            "Nov  5 10:00:00 2001:db8::1 postfix/smtp: A1B2C3D: removed\r",
            "Nov  5 10:00:00",
            "2001:db8::1",
        ),
    ] {
        check_head(line, [time, host, tag, said]);
    }
}

#[test]
fn programs_have_an_instance_and_a_name() {
    let line = parsed("Nov 25 10:00:00 mx postfix-out/relay/smtp[12]: hello");
    assert_eq!(text(line.syslog_name()), "postfix-out/relay");
    assert_eq!((text(line.daemon()), line.pid), ("smtp", Some(12)));
    let line = parsed("Nov 25 10:00:00 mx opendkim[3]: A1B2C3D: DKIM-Signature field added");
    assert_eq!(
        (text(line.syslog_name()), text(line.daemon())),
        ("", "opendkim")
    );
}

#[test]
fn what_has_no_program_is_no_line() {
    for line in [
        "",
        "-- Boot 5f0c --",
        "Nov 25 10:00:00 mx last message repeated 3 times",
        "to=<a@example.org>, relay=none, status=sent (ok)",
        "Nov 25 10:00:00 mx a b c d e f g postfix/smtp[1]: too late",
        "/etc/postfix/main.cf: no program",
        "postfix[x]: no process",
    ] {
        assert_eq!(Line::parse(line.as_bytes()), None, "{line}");
    }
}

#[track_caller]
fn record(said: &str) -> Record<'_> {
    Line::bare(said.as_bytes()).record()
}

#[track_caller]
fn delivery(said: &str) -> Delivery<'_> {
    match record(said).event {
        Event::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

#[test]
fn queue_ids_are_short_or_long() {
    for (said, expected) in [
        ("A1B2C3: removed", Some("A1B2C3")),
        ("4gdXkL4H5jz1TpwJ: removed", Some("4gdXkL4H5jz1TpwJ")),
        ("NOQUEUE: removed", None),
    ] {
        let record = record(said);
        assert_eq!(record.queue_id.map(text), expected);
        assert_eq!(record.event, Event::Removed, "{said}");
    }
    for said in [
        "warning: a",
        "A1B2: removed",
        "statistics: b",
        "ABCDEFG: removed",
    ] {
        assert_eq!(record(said).queue_id, None, "{said}");
    }
}

#[test]
fn deliveries_have_all_their_fields() {
    let found = delivery(
        "A1B2C3D: to=<b@example.org>, orig_to=<\"x>, relay=y\"@example.net>, relay=mx.example.org[2001:db8::1]:25, conn_use=2, delay=1.5, delays=0.1/0/0.4/1, tls=may, dsn=5.7.1, status=bounced (host mx.example.org[2001:db8::1] said: 550-5.7.1 not 550 5.7.1 now (in reply to end of DATA command))",
    );
    assert_eq!(text(found.to), "b@example.org");
    assert_eq!(found.orig_to.map(text), Some("\"x>, relay=y\"@example.net"));
    assert_eq!(text(found.relay.name), "mx.example.org");
    assert_eq!(found.relay.ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!((found.relay.port, found.conn_use), (Some(25), Some(2)));
    assert_eq!(
        [found.delay, found.delays].map(text),
        ["1.5", "0.1/0/0.4/1"]
    );
    assert_eq!(found.tls.map(text), Some("may"));
    assert_eq!((text(found.dsn), found.status), ("5.7.1", Status::Bounced));
    let answer = found.answer();
    assert_eq!(answer.manner, Manner::Said);
    assert_eq!(answer.peer.unwrap().ip(), found.relay.ip());
    assert_eq!(text(answer.said), "550-5.7.1 not 550 5.7.1 now");
    assert_eq!(answer.stage.map(text), Some("end of DATA command"));
}

#[test]
fn deliveries_of_every_kind_are_read() {
    for (said, to, relay, dsn, status) in [
        (
            "A1B2C3D: to=<r@example.org>, relay=none, delay=3, delays=0/0/3/0, dsn=4.4.1, status=deferred (connect to mx[192.0.2.1]:25: Connection timed out)",
            "r@example.org",
            "none",
            "4.4.1",
            Status::Deferred,
        ),
        (
            "A1B2C3D: to=<r@example.org>, relay=local, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered to mailbox)",
            "r@example.org",
            "local",
            "2.0.0",
            Status::Sent,
        ),
        // Before 2.3 there was no dsn, and no port.
        (
            "A1B2C3D: to=<r@example.org>, relay=mx[192.0.2.1], delay=1, status=sent (250 ok)",
            "r@example.org",
            "mx",
            "",
            Status::Sent,
        ),
        (
            "A1B2C3D: to=, relay=none, delay=1, status=SOFTBOUNCE (no",
            "",
            "none",
            "",
            Status::SoftBounce,
        ),
        (
            "A1B2C3D: to=<\"a b\"@example.org>, relay=mx[private/lmtp], delay=1, dsn=2.0.0, status=new",
            "\"a b\"@example.org",
            "mx",
            "2.0.0",
            Status::Other(b"new"),
        ),
        // Before 3.5 addresses were not quoted.
        (
            "A1B2C3D: to=<\"a@example.org>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (ok)",
            "\"a@example.org",
            "mx",
            "2.0.0",
            Status::Sent,
        ),
    ] {
        let found = delivery(said);
        assert_eq!(
            (text(found.to), text(found.relay.name), text(found.dsn)),
            (to, relay, dsn)
        );
        assert_eq!(found.status, status);
    }
}

#[test]
fn what_a_host_says_is_told_from_what_happened_to_it() {
    let check = |words: &str, manner, host: &str, said: &str, stage: Option<&str>| {
        let answer = Answer::parse(words.as_bytes());
        assert_eq!(answer.manner, manner, "{words}");
        let peer = answer.peer.map(|peer| text(peer.name).to_owned());
        assert_eq!(peer.unwrap_or_default(), host);
        assert_eq!((text(answer.said), answer.stage.map(text)), (said, stage));
    };
    check(
        "host mx[192.0.2.1] refused to talk to me: 554 no",
        Manner::RefusedToTalk,
        "mx",
        "554 no",
        None,
    );
    check(
        "connect to mx[192.0.2.1]:25: No route to host",
        Manner::NotConnected,
        "mx",
        "No route to host",
        None,
    );
    let lost = "lost connection with mx[192.0.2.1] while sending RCPT TO";
    check(
        lost,
        Manner::LostConnection,
        "mx",
        lost,
        Some("sending RCPT TO"),
    );
    let silent = "conversation with mx[192.0.2.1] timed out while sending message body";
    check(
        silent,
        Manner::TimedOut,
        "mx",
        silent,
        Some("sending message body"),
    );
    check(
        "250 2.0.0 Ok: queued",
        Manner::Own,
        "",
        "250 2.0.0 Ok: queued",
        None,
    );
    let earlier = Answer::parse(
        b"delivery temporarily suspended: connect to mx[192.0.2.1]:25: Connection refused",
    );
    assert!(earlier.suspended && earlier.manner == Manner::NotConnected);
    assert!(
        Answer::parse(b"delivery temporarily suspended: unknown mail transport error").suspended
    );
}

#[test]
fn of_a_reply_the_last_line_counts() {
    for (words, code, enhanced) in [
        (
            "550-5.7.1 a 550-5.7.1 b 550 5.7.25 c",
            Some(550),
            Some("5.7.25"),
        ),
        ("421 4.7.0 a", Some(421), Some("4.7.0")),
        ("554-mx.example Service 554 no", Some(554), None),
        ("550 5.1.1 no 550 here", Some(550), Some("5.1.1")),
        ("Connection refused", None, None),
        ("1234 no code", None, None),
        ("", None, None),
        ("550", Some(550), None),
    ] {
        let answer = Answer::parse(words.as_bytes());
        assert_eq!(answer.code(), code, "{words}");
        assert_eq!(answer.enhanced().map(text), enhanced, "{words}");
    }
}

#[test]
fn phrases_are_whole_whatever_the_lines_were() {
    for (words, plain) in [
        (
            "550-5.7.1 [2001:db8::1      16] does not meet IPv6 550-5.7.1 sending 550 5.7.1 guidelines. 5.7.1",
            "[2001:db8::1 16] does not meet IPv6 sending guidelines. 5.7.1",
        ),
        (
            "554-mx.example 554-No SMTP 554 service",
            "mx.example No SMTP service",
        ),
        ("Connection timed out", "Connection timed out"),
        ("421 4.7.0 try later", "try later"),
    ] {
        assert_eq!(Answer::parse(words.as_bytes()).plain(), plain);
    }
}

#[test]
fn other_lines_are_told_apart() {
    let queued = Event::Queued {
        from: b"a@example.org",
        size: Some(277),
        recipients: Some(2),
    };
    let tls = Event::Tls(Tls {
        trust: b"Trusted",
        outgoing: true,
        peer: Peer::parse(b"mx.example.org[192.0.2.1]:25"),
        protocol: b"TLSv1.3",
        cipher: b"TLS_AES_256_GCM_SHA384",
    });
    let submitted = Event::Submitted {
        uid: Some(0),
        from: b"a@example.org",
    };
    for (said, expected) in [
        (
            "A1B2C3D: from=<a@example.org>, size=277, nrcpt=2 (queue active)",
            queued,
        ),
        (
            "A1B2C3D: from=<>, status=expired, returned to sender",
            Event::Expired { from: b"" },
        ),
        ("A1B2C3D: uid=0 from=<a@example.org>", submitted),
        ("A1B2C3D: removed (canceled)", Event::Removed),
        ("A1B2C3D: message-id=<1@x>", Event::MessageId(b"<1@x>")),
        (
            "A1B2C3D: resent-message-id=<1@x>",
            Event::MessageId(b"<1@x>"),
        ),
        (
            "A1B2C3D: sender non-delivery notification: B1B2C3D",
            Event::Notified(b"B1B2C3D"),
        ),
        (
            "Trusted TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
            tls,
        ),
        (
            "disconnect from mx[192.0.2.1]",
            Event::Other(b"disconnect from mx[192.0.2.1]"),
        ),
        ("", Event::Other(b"")),
    ] {
        assert_eq!(record(said).event, expected, "{said}");
    }
}

#[test]
fn attempts_are_told_from_the_end() {
    let said = "A1B2C3D: host mx[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)";
    let Event::Attempt(answer) = record(said).event else {
        panic!("{said}");
    };
    let stage = answer.stage.map(text);
    assert_eq!((answer.code(), stage), (Some(450), Some("RCPT TO command")));
    let Event::Attempt(answer) =
        record("connect to mx[2001:db8::1]:25: Network is unreachable").event
    else {
        panic!("no attempt");
    };
    assert_eq!(answer.manner, Manner::NotConnected);
}

#[test]
fn signs_of_death_are_told_apart() {
    const PROGRAM: &[u8] = b"/usr/lib/postfix/sbin/smtp";
    for (said, severity, sign) in [
        (
            "warning: private/smtp-ipv4 socket: malformed response",
            Severity::Warning,
            Sign::MalformedResponse {
                socket: b"private/smtp-ipv4",
            },
        ),
        (
            "warning: /usr/lib/postfix/sbin/smtp: bad command startup -- throttling",
            Severity::Warning,
            Sign::Throttled { program: PROGRAM },
        ),
        (
            "warning: process /usr/lib/postfix/sbin/smtp pid 9 exit status 1",
            Severity::Warning,
            Sign::Exited {
                program: PROGRAM,
                pid: Some(9),
                status: Some(1),
            },
        ),
        (
            "warning: process /usr/lib/postfix/sbin/smtp pid 9 killed by signal 11",
            Severity::Warning,
            Sign::Killed {
                program: PROGRAM,
                pid: Some(9),
                signal: Some(11),
            },
        ),
        (
            "warning: connect to transport private/x: No such file or directory",
            Severity::Warning,
            Sign::NoTransport {
                socket: b"private/x",
            },
        ),
        (
            "warning: transport smtp failure -- see a previous warning",
            Severity::Warning,
            Sign::TransportFailed { transport: b"smtp" },
        ),
        (
            "fatal: unknown service: smtp/tcp",
            Severity::Fatal,
            Sign::None,
        ),
        ("panic: myfree: corrupt", Severity::Panic, Sign::None),
        ("error: open database x.db", Severity::Error, Sign::None),
    ] {
        let Event::Trouble(trouble) = record(said).event else {
            panic!("{said}");
        };
        assert_eq!((trouble.severity, trouble.sign), (severity, sign), "{said}");
        assert!(said.ends_with(text(trouble.said)), "{said}");
    }
}

const LOG: &str = "\
Nov 25 10:00:00 mx postfix/qmgr[7]: A1B2C3D: from=<\"x\\\">\"@example.org>, size=277, nrcpt=2 (queue active)
Nov 25 10:00:00 mx postfix/smtp[7]: A1B2C3D: to=<b@example.org>, orig_to=<c@d>, relay=mx[2001:db8::1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx[2001:db8::1] said: 550-5.7.1 no 550 5.7.1 no (in reply to end of DATA command))
Nov 25 10:00:00 mx postfix/smtp[7]: Untrusted TLS connection established to mx[192.0.2.1]:25: TLSv1.3 with cipher X (256/256 bits)
Nov 25 10:00:00 mx postfix/master[7]: warning: process /usr/lib/postfix/smtp pid 4 exit status 1
Nov 25 10:00:00 mx postfix/pickup[7]: 4gdXkL4H5jz1TpwJ: uid=0 from=<root>
Nov 25 10:00:00 mx postfix/smtp[7]: 4gdXkL4H5jz1TpwJ: conversation with mx[192.0.2.1] timed out while sending RCPT TO
";

/// Reads all that can be read of a line, of bytes that may be anything.
fn read_all(line: &[u8]) {
    for line in [Line::parse(line), Some(Line::bare(line))]
        .into_iter()
        .flatten()
    {
        let _ = (line.daemon(), line.syslog_name());
        let record = line.record();
        let answer = match record.event {
            Event::Delivery(delivery) => delivery.answer(),
            Event::Attempt(answer) => answer,
            _ => Answer::parse(line.text),
        };
        let _ = (answer.code(), answer.enhanced(), answer.plain());
        let _ = answer.peer.and_then(|peer| peer.ip());
    }
}

#[test]
fn every_part_of_a_line_is_taken() {
    for line in lines(LOG.as_bytes()) {
        for start in 0..line.len() {
            read_all(&line[start..]);
            read_all(&line[..start]);
        }
    }
}

#[test]
fn lines_are_found_by_what_they_hold() {
    let log = LOG.as_bytes();
    assert_eq!(lines(log).count(), 6);
    assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    for (marker, count) in [
        ("status=", 1),
        ("postfix/", 6),
        ("4gdXk", 2),
        ("", 0),
        ("\n", 0),
        ("zz", 0),
    ] {
        let marker = Marker::new(marker.as_bytes());
        let found: Vec<_> = marker.lines(log).collect();
        assert_eq!(found.len(), count, "{marker:?}");
        assert!(
            found
                .iter()
                .all(|found| lines(log).any(|line| line == *found))
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        for line in lines(&bytes) {
            read_all(line);
        }
        let marker = Marker::new(b"a");
        for line in marker.lines(&bytes) {
            prop_assert!(line.contains(&b'a') && !line.contains(&b'\n'));
        }
    }

    /// A line with a few bytes changed is as near to a line as strangers come.
    #[test]
    fn changed_lines_are_taken(which in 0_usize..6, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut line = lines(LOG.as_bytes()).nth(which).unwrap().to_vec();
        for (place, byte) in changes {
            let at = place.index(line.len());
            line[at] = byte;
        }
        read_all(&line);
    }

    /// What is read at a glance is what a closer look finds, in lines put together of pieces that
    /// are as they should be or not.
    #[test]
    fn a_glance_and_a_closer_look_find_the_same(
        head in sample(&["Mar  3 10:00:00 mx ", "Mar 13 10:00:00 mx ", "2026-03-03T10:00:00.5+01:00 mx ",
            "Mar  3 10:00:00 ", "web-1 | Mar  3 10:00:00 mx ", "Mar  3 10:00:00 a|b ", "Mar  3 10:00:00 10:00:00 ",
            "Mar  3 10:00:00 mx: ", "Mär  3 10:00:00 mx ", "", " "]),
        tag in sample(&["postfix/smtp[7]: ", "postfix-a/smtp[4294967295]: ", "postfix/smtp[77777777777]: ",
            "postfix/smtp: ", "postfix/smtp[7] : ", "smtp[a]: ", "a[b[7]: ", "[7]: ", "postfix/smtp[7]:", ""]),
        id in sample(&["A1B2C3: ", "4bDZnx0Zxz9q: ", "NOQUEUE: ", "warning: ", "A B: ", ""]),
        to in sample(&["to=<a@b.example>, ", "to=<\"a, status=sent (b\"@c>, ", "to=<a, status=sent (b@c>, ", "to=a, ",
            "to=<a@b>, orig_to=<c@d>, ", "to=<a@b>, orig_to=<\"x, status=sent (\"@d>, ", "to=<a@b>,  ", "from=<a@b>, ", ""]),
        relay in sample(&["relay=mx.example[192.0.2.1]:25, ", "relay=mx.example[2001:db8::1]:25, ", "relay=local, ",
            "relay=none, ", "relay=mx.example[private/lmtp], ", "relay=a b[192.0.2.1]:25, ", "relay=a, b[192.0.2.1]:25, ",
            "relay=a,b[192.0.2.1], ", "relay=mx[192.0.2.1]:99999999999, ", "relay=mx[192.0.2.1]x, ", "relay=mx[192.0.2.1, ", ""]),
        times in sample(&["delay=1, delays=0/0/0/1, dsn=2.0.0, ", "conn_use=2, delay=1, delays=0/0/0/1, dsn=2.0.0, ",
            "tls=may:none, delay=0.07, delays=0/0/0/1, dsn=4.0.0, ", "conn_use=x, tls=a, delay=1, delays=1, dsn=2.0.0, ",
            "delay=1, ", "delay=1, new=2, dsn=2.0.0, ", "delay=1,delays=2, dsn=3, ", ""]),
        status in sample(&["status=sent (250 ok)", "status=sent", "status=deferred (host a[192.0.2.1] said: 450 no)",
            "status=bounced (x) ", "status=sent  (a) (b", "status=expired", "status=SENT (x)", "status=", "", "removed"]),
    ) {
        let line = [head, tag, id, to, relay, times, status].concat();
        let line = line.as_bytes();
        if let Some(usual) = Line::usual(line) {
            prop_assert_eq!(Some(usual), Line::any(line));
        }
        let mut heads = Heads::default();
        for line in [&b"Mar  3 10:00:00 mx postfix/qmgr[1]: "[..], line, b"Mar  3 10:00:00 m", line, line] {
            let is_same = heads.read(line);
            if let Some(usual) = Line::usual(line) {
                prop_assert!(is_same.is_some());
                prop_assert_eq!((heads.time(), heads.host()), (usual.time, usual.host));
            }
        }
        let Some(read) = Line::parse(line) else {
            return Ok(());
        };
        let (_, said) = queue_id(read.text);
        if let Some(usual) = Delivery::usual(said) {
            prop_assert_eq!(Some(usual), Delivery::any(said));
        }
        let told = match read.record().event {
            Event::Delivery(delivery) => Some(delivery),
            _ => None,
        };
        prop_assert_eq!(read.delivery(), told);
        let marker = memchr::memmem::find(read.text, b" status=");
        if let Some(id) = marker.and_then(|marker| read.plainly_sent(marker)) {
            prop_assert_eq!(read.record().queue_id, Some(id));
            prop_assert!(told.is_none_or(|told| told.status == Status::Sent));
        }
    }
}

fn sample(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts)
}
