use super::*;

#[track_caller]
fn check(text: &str, provider: &str, cause: &str) -> Explanation<'static> {
    let knowledge = Box::leak(Box::new(Knowledge::built_in()));
    let found = explain(knowledge, text.as_bytes());
    let code = found.cause.map_or("", |cause| cause.code.as_str());
    assert_eq!(
        (found.provider.unwrap_or_default(), code),
        (provider, cause),
        "{text}\n{found:#?}"
    );
    found
}

#[test]
fn of_several_lines_that_counts_which_explains_the_failure() {
    let host = "gmail-smtp-in.l.google.com";
    // An attempt that failed is the way to what became of the message.
    check(
        &format!(
            "A1B2C3D: lost connection with {host}[192.0.2.1] while receiving the initial server greeting\n\
                  A1B2C3D: to=<a@gmail.com>, relay={host}[192.0.2.2]:25, dsn=4.7.28, status=deferred (host {host}[192.0.2.2] said: 421 4.7.28 an unusual rate of mail (in reply to end of DATA command))"
        ),
        "google",
        "rate-limited",
    );
    // A refusal that was followed by a delivery is a refusal still.
    let found = check(
        &format!(
            "A1B2C3D: host {host}[2001:db8::1] said: 421-4.7.0 [2001:db8::25 15] an unusual rate of unsolicited mail (in reply to end of DATA command)\n\
                  A1B2C3D: to=<a@gmail.com>, relay={host}[192.0.2.2]:25, dsn=2.0.0, status=sent (250 2.0.0 OK)"
        ),
        "google",
        "rate-limited",
    );
    assert!(found.delivered);
    // So is a protocol that does not work; that it does no harm is told beside it.
    let found = check(
        &format!(
            "A1B2C3D: connect to {host}[2001:db8::1]:25: Network is unreachable\n\
                  A1B2C3D: to=<a@gmail.com>, relay={host}[192.0.2.2]:25, dsn=2.0.0, status=sent (250 2.0.0 OK)"
        ),
        "google",
        "ipv6-unreachable",
    );
    assert!(found.delivered);
    // Another message's delivery is not that of this one.
    let found = check(
        &format!(
            "A1B2C3D: connect to {host}[2001:db8::1]:25: Network is unreachable\n\
                  B1B2C3D: to=<a@gmail.com>, relay={host}[192.0.2.2]:25, dsn=2.0.0, status=sent (250 2.0.0 OK)"
        ),
        "google",
        "ipv6-unreachable",
    );
    assert!(!found.delivered);
    // Of recipients the one that did not get it.
    check(
        &format!(
            "A1B2C3D: to=<a@gmail.com>, relay={host}[192.0.2.2]:25, dsn=2.0.0, status=sent (250 2.0.0 OK)\n\
                  A1B2C3D: to=<b@example.org>, relay=mx.example.org[192.0.2.9]:25, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.9] said: 550 5.1.1 <b@example.org>: user unknown (in reply to RCPT TO command))"
        ),
        "other",
        "mailbox-unknown",
    );
}

#[test]
fn why_a_service_died_is_told_where_it_stands() {
    let died = "Mar  1 10:00:01 mx postfix/qmgr[2]: warning: private/smtp socket: malformed response\n\
                Mar  1 10:00:01 mx postfix/error[3]: A1B2C3D: to=<a@example.org>, relay=none, dsn=4.3.0, status=deferred (unknown mail transport error)";
    check(died, "local", "transport-broken");
    let why = "Mar  1 10:00:00 mx postfix/smtp[1]: fatal: open database /etc/postfix/transport.db: No such file or directory";
    check(&format!("{why}\n{died}"), "local", "hash-map-missing");
}

#[test]
fn what_a_program_says_of_its_end_is_read_without_its_head() {
    for (text, cause) in [
        (
            "warning: connect to transport private/smtp-ipv4: No such file or directory",
            "transport-missing",
        ),
        (
            "fatal: bad numerical configuration: smtp_connect_timeout = soon",
            "local-misconfig",
        ),
        (
            "error: open database /etc/postfix/transport.db: No such file or directory",
            "hash-map-missing",
        ),
    ] {
        let found = check(text, LOCAL, cause);
        let kind = found.sighting().map(|one| one.kind);
        assert!(matches!(kind, Some(Kind::Trouble(_))), "{kind:?}");
    }
    let died = "warning: connect to private/smtp-ipv4: No such file or directory";
    let found = explain(&Knowledge::built_in(), died.as_bytes()).seen;
    assert_eq!(
        (found.len(), found[0].kind),
        (1, Kind::Trouble(Severity::Warning))
    );
    let sent = check("status=sent (250 2.0.0 OK)", OTHER, DELIVERED);
    assert!(sent.delivered);
}

#[test]
fn what_befalls_all_destinations_lies_behind_them() {
    let text = |names: &[&str], words: &str| {
        let lines = names.iter().map(|name| {
            let words = words.replace("NAME", name);
            format!("A1B2C3D: to=<a@{name}>, relay=none, dsn=4.4.3, status=deferred ({words})\n")
        });
        lines.collect::<String>()
    };
    let names = ["one.example", "two.example", "three.example"];
    let nameless = "Host or domain name not found. Name service error for name=NAME type=MX: Host not found, try again";
    check(&text(&names, nameless), "local", "chroot-dns");
    check(&text(&names[..1], nameless), "other", "dns-tempfail");
    let silent = "connect to mx.NAME[192.0.2.1]:25: Connection timed out";
    check(&text(&names, silent), "other", "port25-blocked");
    check(&text(&names[..2], silent), "other", "connect-timeout");
    let google = ["one.example", "gmail.com", "two.example"];
    check(&text(&google, silent), "google", "port25-blocked");
    let sent = "A1B2C3D: to=<a@four.example>, relay=mx.four.example[192.0.2.4]:25, dsn=2.0.0, status=sent (250 ok)";
    check(
        &format!("{}{sent}", text(&names, silent)),
        "other",
        "connect-timeout",
    );
}

#[test]
fn other_mail_systems_are_read_too() {
    check(
        "2026-03-01 10:00:00 1wbi1J-0000 ** bob@gmail.com R=dnslookup T=remote_smtp H=gmail-smtp-in.l.google.com [2001:db8::1]: SMTP error from remote mail server after end of data: 550-5.7.1 [2001:db8::25 12] Our system has detected that this 550-5.7.1 message is likely unsolicited mail.",
        "google",
        "content-spam",
    );
    check(
        "Mar  1 10:00:00 mx sendmail[123]: x21A00: to=<bob@gmail.com>, delay=00:00:02, mailer=esmtp, relay=gmail-smtp-in.l.google.com. [192.0.2.1], dsn=4.7.28, stat=Deferred: 421-4.7.28 an unusual rate of mail",
        "google",
        "rate-limited",
    );
    check(
        "   ----- Transcript of session follows -----\n... while talking to gmail-smtp-in.l.google.com.:\n>>> DATA\n<<< 550 5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 bob@gmail.com... User unknown",
        "google",
        "mailbox-unknown",
    );
    check(
        "Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.7.26\nRemote-MTA: dns; gmail-smtp-in.l.google.com\nDiagnostic-Code: smtp; 550-5.7.26 Your email has been blocked because the sender is unauthenticated.",
        "google",
        "unauthenticated",
    );
}

#[test]
fn our_own_refusals_are_ours() {
    let refused = |name: &str, words: &str| {
        format!(
            "Mar  1 10:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from mail.example.net[192.0.2.7]: 450 4.7.1 <{name}>: {words} not found; from=<a@example.net> to=<b@example.org> proto=ESMTP helo=<{name}>\n"
        )
    };
    let helo = "Helo command rejected: Host";
    // One client that names what is not there is every day's business.
    let found = check(&refused("mail.example.net", helo), "local", "dns-tempfail");
    assert_eq!(found.confidence, Confidence::Guess);
    // A name that is surely there, or none of several, is not.
    let sender = "Sender address rejected: Domain";
    let found = check(&refused("anna@gmail.com", sender), "local", "chroot-dns");
    assert_eq!(found.confidence, Confidence::Likely);
    let several: String = ["mx.one.example", "mx.two.example", "mx.three.example"]
        .iter()
        .map(|name| refused(name, helo))
        .collect();
    let found = check(&several, "local", "chroot-dns");
    assert_eq!(found.confidence, Confidence::Likely);
}

#[test]
fn what_was_cut_off_is_less_sure() {
    let whole = "A1B2C3D: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, dsn=4.7.28, status=deferred (host gmail-smtp-in.l.google.com[192.0.2.1] said: 421 4.7.28 an unusual rate of mail (in reply to end of DATA command))";
    let found = check(whole, "google", "rate-limited");
    assert_eq!(found.confidence, Confidence::Certain);
    let cut = whole.split(" (in reply").next().unwrap();
    let found = check(cut, "google", "rate-limited");
    assert_eq!(found.confidence, Confidence::Likely);
}

#[test]
fn what_says_nothing_is_not_guessed_at() {
    for text in [
        "",
        "\n\n",
        "hello",
        "\u{0}\u{1b}[31m",
        "Dear sir, the weather is fine",
    ] {
        let knowledge = Knowledge::built_in();
        let found = explain(&knowledge, text.as_bytes());
        assert!(
            found.cause.is_none() && found.provider.is_none(),
            "{text:?}: {found:#?}"
        );
    }
}

const REFUSED: &str = "Feb 26 21:58:24 mx postfix/smtp[10251]: 2F6FA6AB68: to=<anna@gmail.com>, relay=gmail-smtp-in.l.google.com[2001:db8:400d::1a]:25, delay=8.7, delays=8/0.01/0.06/0.58, dsn=5.7.1, status=bounced (host gmail-smtp-in.l.google.com[2001:db8:400d::1a] said: 550-5.7.1 [2001:db8::423f 12] Our system has detected that 550-5.7.1 this message is likely unsolicited mail. To reduce the amount of spam 550-5.7.1 sent to Gmail, this message has been blocked. Please visit 550-5.7.1 http://support.google.com/mail/bin/answer.py?hl=en&answer=188131 for 550 5.7.1 more information. r6si610718qcl.69 - gsmtp (in reply to end of DATA command))";
const LIMITED: &str = "Jan 27 19:51:31 web01 postfix/smtp[5111]: EB2FEA0216: host ASPMX.L.GOOGLE.com[2001:db8:4008::1b] said: 421-4.7.0 [2001:db8:102:2b04:111:222:333:444      15] Our system has detected an 421-4.7.0 unusual rate of unsolicited mail originating from your IP address. To 421-4.7.0 protect our users from spam, mail sent from your IP address has been 421-4.7.0 temporarily rate limited. (in reply to end of DATA command)";
const DIED: &str = "Dec 26 09:29:07 mx postfix/qmgr[7900]: warning: transport smtp failure -- see a previous warning/fatal/panic logfile record for the problem description\nDec 26 09:29:07 mx postfix/error[29553]: EE035601FA2: to=<user@gmail.com>, relay=none, delay=4.5, delays=0.04/4.4/0/0.02, dsn=4.3.0, status=deferred (unknown mail transport error)";

/// Puts something before each line, which is broken as mail programs do.
fn each(text: &str, before: &str, width: usize) -> String {
    let mut all = String::new();
    for line in text.lines() {
        for part in crate::finding::folds(line, width) {
            all.extend([before, line.get(part).unwrap(), "\n"]);
        }
    }
    all
}

fn quoted_printable(text: &str) -> String {
    let text = text.replace('=', "=3D");
    let chars: Vec<char> = text.chars().collect();
    let lines: Vec<String> = chars.chunks(70).map(|line| line.iter().collect()).collect();
    // No code is broken there.
    lines
        .join("=\n")
        .replace("==\n3D", "=\n=3D")
        .replace("=3=\nD", "=\n=3D")
}

#[test]
fn what_a_text_went_through_changes_nothing() {
    let knowledge = Knowledge::built_in();
    let of_page = |text: &str| {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        format!("<p>{}</p>", text.replace('\n', "<br>\n"))
    };
    let numbered = |text: &str| {
        let lines = text.lines().enumerate();
        let lines = lines.map(|(at, line)| format!("/var/log/mail.log:{}:{line}", at + 7));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (text, cause) in [
        (REFUSED, "content-spam"),
        (LIMITED, "rate-limited"),
        (DIED, "transport-broken"),
    ] {
        let mut shapes: Vec<Vec<u8>> = [
            text.replace('\n', "\r\n"),
            each(text, "> ", 66),
            each(text, "> > ", 72),
            each(text, "| ", 60),
            each(text, "\t", 76),
            each(text, "postfix-1  | ", 9000),
            each(text, "+", 9000),
            each(text, "", 72).replace('\n', " \n"),
            numbered(text),
            of_page(text),
            format!("<pre><code>{text}</code></pre>"),
            text.replace(' ', "\u{a0}"),
            text.replace(' ', "\u{202f}"),
            text.replace('.', ".\u{200b}"),
            text.replace('-', "\u{2011}"),
            text.replace(' ', "\t"),
            text.replace("status", "\u{1b}[1;31mstatus\u{1b}[0m")
                .replace('5', "\u{1b}[32m5\u{1b}[m"),
            text.replace('\n', "\\n"),
            format!("```\n{text}\n```"),
            format!("[code]{text}[/code]"),
            format!("\u{feff}{text}"),
            format!("エラーが出ます。\n{text}\n原因は何でしょうか。"),
            quoted_printable(text),
            quoted_printable(text).replace('\n', "\r\n"),
        ]
        .into_iter()
        .map(String::into_bytes)
        .collect();
        let units = || text.encode_utf16();
        shapes.push(
            [
                vec![0xff, 0xfe],
                units().flat_map(u16::to_le_bytes).collect(),
            ]
            .concat(),
        );
        shapes.push(units().flat_map(u16::to_be_bytes).collect());
        // Japanese in the ways of mail (ISO-2022-JP) and of old systems (Shift_JIS).
        shapes.push(
            [
                b"\x1b$B%(%i!<\x1b(B\n",
                text.as_bytes(),
                b"\n\x1b$B86\x1b(B",
            ]
            .concat(),
        );
        shapes.push(
            [
                b"\x83G\x83\x89\x81[\n",
                text.as_bytes(),
                b"\n\x8c\xb4\x88\xf6",
            ]
            .concat(),
        );
        for shape in shapes {
            let found = explain(&knowledge, &shape);
            let shape = String::from_utf8_lossy(&shape);
            assert_eq!(
                found.cause.map(|cause| cause.code.as_str()),
                Some(cause),
                "{shape}"
            );
        }
    }
}

#[test]
fn a_text_cut_anywhere_is_not_surely_something_else() {
    let knowledge = Knowledge::built_in();
    for (text, cause, provider) in [
        (REFUSED, "content-spam", "google"),
        (LIMITED, "rate-limited", "google"),
        (DIED, "transport-broken", LOCAL),
    ] {
        for at in 0..text.len() {
            for part in text
                .split_at_checked(at)
                .map_or([""; 2], |(one, other)| [one, other])
            {
                let found = explain(&knowledge, part.as_bytes());
                let code = found.cause.map_or("", |cause| cause.code.as_str());
                let right = code == cause || code.is_empty();
                assert!(
                    right || found.confidence < Confidence::Certain,
                    "{code}: {part}"
                );
                let who = found.provider.unwrap_or(OTHER);
                assert!(
                    [OTHER, LOCAL, "google", provider].contains(&who),
                    "{who}: {part}"
                );
            }
        }
    }
}

#[test]
fn codes_are_read_and_told() {
    let check = |text: &str, expected: &str| {
        let code = Code::parse(text);
        let says = code.as_ref().map(|code| {
            (
                code.text(),
                code.says().last().map(|(code, _)| code.clone()),
            )
        });
        let says = says.map(|(text, last)| format!("{text}: {}", last.unwrap_or_default()));
        assert_eq!(says.unwrap_or_default(), expected, "{text}");
    };
    check("550", "550: 550");
    check(" 5.7.26 ", "5.7.26: x.7.26");
    check("421 4.7.28", "421 4.7.28: x.7.28");
    check("550-5.7.1", "550 5.7.1: x.7.1");
    check("5.9.9", "5.9.9: 5.x.x");
    check("599", "599: 599");
    check("192.0.2.1", "");
    check("5.7.26.1", "");
    check("550 no", "");
    check("", "");
}

#[test]
fn whatever_the_words_they_are_no_reason_to_look_at_a_foreign_address() {
    let knowledge = Knowledge::built_in();
    let text = "host gmail-smtp-in.l.google.com[2001:db8::1] said: 550 5.7.1 [2001:db8::1] likely unsolicited mail (in reply to end of DATA command)";
    let found = explain(&knowledge, text.as_bytes());
    let commands: Vec<_> = found
        .advice
        .steps
        .iter()
        .filter_map(|step| step.command.as_ref())
        .collect();
    assert!(
        !commands
            .iter()
            .any(|command| command.contains("2001:db8::1")),
        "{commands:?}"
    );
}

#[test]
fn of_whom_a_text_tells_is_read_however_it_is_written() {
    let line = |to: &str, relay: &str, words: &str| {
        format!("A1B2C3D: to=<{to}>, relay={relay}, dsn=4.7.5, status=deferred ({words})")
    };
    for (text, provider, cause) in [
        // A blank stands before the bracket.
        (
            "A1B2C3D: lost connection with mx2.hotmail.com [192.0.2.1] while sending RCPT TO".to_owned(),
            "microsoft-consumer",
            "connection-lost",
        ),
        // Words stand in place of the address, and the host is a relay of ours.
        (
            line("a@gmx.de", "isp.server[IP address]:587", "Server certificate not trusted"),
            OTHER,
            "tls-untrusted",
        ),
        // A relay of ours is not found, and not the recipient's host.
        (
            line(
                "a@gmail.com",
                "none",
                "Host or domain name not found. Name service error for name=smtp.intranet.example type=A: Host not found",
            ),
            OTHER,
            "dns-nxdomain",
        ),
        (
            line(
                "a@gmail.com",
                "none",
                "Host or domain name not found. Name service error for name=gmail-smtp-in.l.google.com type=A: Host not found, try again",
            ),
            "google",
            "dns-tempfail",
        ),
        // A report names what Postfix itself met.
        (
            "Final-Recipient: rfc822; bob@example.org\nStatus: 4.2.0\nDiagnostic-Code: X-Postfix; maildir delivery failed: create maildir file\n    /home/bob/Maildir/tmp/1.x: Permission denied".to_owned(),
            LOCAL,
            "local-misconfig",
        ),
        // The one address of a reply is the recipient's, unless the sender is what is refused.
        (
            "(552 5.2.2 <bob@icloud.com>: user is over quota)".to_owned(),
            "apple",
            "mailbox-full",
        ),
        (
            "550 5.1.8 <bob@icloud.com>: Sender address rejected: Domain not found".to_owned(),
            OTHER,
            "sender-domain-invalid",
        ),
        // At the greeting nobody has named a recipient.
        (
            "A1B2C3D: host mx.example.org[192.0.2.1] refused to talk to me: 554 mx.example.org ESMTP not accepting messages".to_owned(),
            OTHER,
            "ip-reputation",
        ),
        // What the table lacks says more than that it could not be asked.
        (
            "A1B2C3D: to=<root@example.org>, relay=local, dsn=4.3.0, status=deferred (alias database unavailable)\n\
             warning: hash:/etc/aliases is unavailable. open database /etc/aliases.db: No such file or directory".to_owned(),
            LOCAL,
            "hash-map-missing",
        ),
    ] {
        check(&text, provider, cause);
    }
}

#[test]
fn who_comes_too_fast_is_told_the_key_or_what_to_do_by_hand() {
    let steps = |host: &str, reply: &str, provider, cause| {
        let line = format!(
            "A1B2C3D: to=<a@example.org>, relay={host}[192.0.2.9]:25, dsn=4.7.0, status=deferred (host {host}[192.0.2.9] said: {reply} (in reply to MAIL FROM command))"
        );
        let advice = check(&line, provider, cause).advice;
        let says = advice.steps.iter().map(|step| step.says.clone());
        let says = says.collect::<Vec<_>>().join("\n");
        let is_planned = advice.commands().contains(&"mailfix diagnose --plan");
        (is_planned, says)
    };
    let by_hand = "give the receiver a client of its own";
    let (is_planned, says) = steps(
        "mx.example.org",
        "421 4.7.0 too many connections",
        "other",
        "rate-limited",
    );
    assert!(!is_planned && says.contains(by_hand), "{says}");
    // Of Fastmail nobody knows how much it takes.
    let (is_planned, says) = steps(
        "in1-smtp.messagingengine.com",
        "421 4.7.0 too many connections",
        "fastmail",
        "rate-limited",
    );
    assert!(!is_planned && says.contains(by_hand), "{says}");
    let key = "`pace = \"gentle\"` below `[providers.yahoo]`";
    let yahoo = "mta5.am0.yahoodns.net";
    let (is_planned, says) = steps(
        yahoo,
        "421 4.7.0 too many connections",
        "yahoo",
        "rate-limited",
    );
    assert!(
        is_planned && says.contains(key) && !says.contains(by_hand),
        "{says}"
    );
    // A bad opinion that is said to pass, and one that is not.
    let (is_planned, says) = steps(
        yahoo,
        "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to user complaints",
        "yahoo",
        "ip-reputation",
    );
    assert!(is_planned && says.contains(key), "{says}");
    let (is_planned, _) = steps(
        yahoo,
        "421 4.7.1 [TS03] All messages from 192.0.2.25 will be permanently deferred; Retrying will NOT succeed",
        "yahoo",
        "ip-reputation",
    );
    assert!(!is_planned);
}

#[test]
fn who_said_so_is_known_by_words_where_no_host_is_named() {
    for (text, provider, cause) in [
        // As programs print the parts of a reply.
        (
            "err: &textproto.Error{Code: 550, Msg: \"User not found: b@163.com\"},",
            "netease",
            "mailbox-unknown",
        ),
        (
            "{'b@example.org': (550, b'5.7.1 Mail from IP 192.0.2.25 was rejected due to listing in Spamhaus SBL.')}",
            "apple",
            "ip-blocklist",
        ),
        (
            "{\"code\": 421, \"message\": \"4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred\"}",
            "yahoo",
            "ip-reputation",
        ),
        (
            "{ code: \"552\", detail: \"552 1 Requested mail action aborted, mailbox not found\" }",
            "yahoo",
            "mailbox-unknown",
        ),
        // The name of a machine within.
        (
            "452 4.5.3 Recipients belong to multiple regions ATTR38 [AMS1EPF0000008F.eurprd05.prod.outlook.com]",
            "microsoft-consumer",
            "remote-temporary",
        ),
        (
            "554 5.2.2 mailbox full [AM0PR0102MB1.eurprd01.prod.exchangelabs.com]",
            "microsoft-eop",
            "mailbox-full",
        ),
        (
            "552 5.2.2 user quota exceeded (UserSearch)",
            "free",
            "mailbox-full",
        ),
        (
            "554 IP=192.0.2.25 - None/bad reputation. (Ask your postmaster for help)",
            "t-online",
            "ip-reputation",
        ),
        (
            "550 5.7.1 No such user! 1700000000-kwTVGUHdeiE0-huj9x1Wr",
            "yandex",
            "mailbox-unknown",
        ),
        // What thousands of hosts say is no mark, nor is what leads to a reply a part of it.
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org",
            OTHER,
            "ip-blocklist",
        ),
        (
            "[address] does not like recipient.\nRemote host said: 554 5.7.1 Rejected - your IP address was found in a blacklist",
            OTHER,
            "ip-blocklist",
        ),
        (
            "<b@example.org>:\nSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)",
            OTHER,
            "dns-no-data",
        ),
        (
            "<b@example.org>:\nSorry, I couldn't find any host by that name.",
            OTHER,
            "dns-nxdomain",
        ),
        // This host's own, whoever the mail is for.
        (
            "A1B2C3D: to=<b@gmail.com>, relay=none, dsn=5.4.6, status=bounced (mail for box.example.org loops back to myself)",
            LOCAL,
            "local-misconfig",
        ),
        (
            "A1B2C3D: to=<b@aol.com>, relay=none, dsn=4.3.0, status=deferred (mail transport unavailable)",
            LOCAL,
            "transport-missing",
        ),
    ] {
        check(text, provider, cause);
    }
}

#[test]
fn steps_of_certain_words_are_told_where_these_were_said() {
    let is_told = |reply: &str| {
        let line = format!("host mx.example.org[192.0.2.1] refused to talk to me: 554 {reply}");
        let advice = check(&line, OTHER, "ip-reputation").advice;
        let mut steps = advice.steps.iter();
        steps.any(|step| step.says.contains("talosintelligence.com"))
    };
    assert!(is_told(
        "Your access to this mail system has been rejected due to the sending MTA's poor reputation."
    ));
    assert!(!is_told("5.7.1 Your address has a bad reputation"));
}
