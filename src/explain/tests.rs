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
    let found = check(
        "Mar  1 10:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from mail.example.net[192.0.2.7]: 450 4.7.1 <mail.example.net>: Helo command rejected: Host not found; from=<a@example.net> to=<b@example.org> proto=ESMTP helo=<mail.example.net>",
        "local",
        "chroot-dns",
    );
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
