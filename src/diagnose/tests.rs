//! What is made of lines and replies.

use std::sync::LazyLock;

use super::*;
use crate::postfix::log::{Event, Line};
use crate::provider::Reply;
use crate::stats::LastDay;

const GOOGLE: &str = "gmail-smtp-in.l.google.com[2001:db8::100]";

/// What mailfix brings, read once.
fn knowledge() -> &'static Knowledge {
    static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(Knowledge::built_in);
    &KNOWLEDGE
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let line = format!("A1B2C3D: to=<b@example.org>, {line}");
    let Event::Delivery(delivery) = Line::bare(line.as_bytes()).record().event else {
        panic!("no delivery: {line}");
    };
    let found = knowledge().of_delivery(&delivery);
    let found = found.map(|found| {
        let by = found.provider.map(|id| format!(" ({id})"));
        format!("{}{}", found.cause.code, by.unwrap_or_default())
    });
    assert_eq!(found.unwrap_or_default(), expected, "{line}");
}

#[track_caller]
fn google(dsn: &str, reply: &str, expected: &str) {
    let line = format!(
        "relay={GOOGLE}:25, dsn={dsn}, status=bounced (host {GOOGLE} said: {reply} x1 - gsmtp (in reply to end of DATA command))"
    );
    check(&line, expected);
}

/// What becomes of a reply that a host of the receiver gives.
fn said(knowledge: &Knowledge, suffix: &str, reply: &Reply) -> Option<Diagnosis> {
    with_line(suffix, reply, |delivery| knowledge.of_delivery(delivery))
}

/// The words of a reply as signs are tried on them: codes and blanks that fill up left out.
fn words(reply: &Reply) -> String {
    let words = with_line("example.org", reply, |delivery| delivery.answer().plain());
    words.to_lowercase()
}

fn with_line<T>(suffix: &str, reply: &Reply, then: impl FnOnce(&Delivery<'_>) -> T) -> T {
    let line = format!("A1B2C3D: {}", with_text(suffix, reply));
    let Event::Delivery(delivery) = Line::bare(line.as_bytes()).record().event else {
        panic!("no delivery: {line}");
    };
    then(&delivery)
}

/// What a line says of a reply that a host of the receiver gives.
fn with_text(suffix: &str, reply: &Reply) -> String {
    let address = if reply.family == Some(6) {
        "2001:db8::1"
    } else {
        "192.0.2.1"
    };
    let host = format!("mx1.{suffix}[{address}]");
    let words: Vec<&str> = reply.reply.split(' ').collect();
    let dsn = words.get(1).filter(|word| word.split('.').count() == 3);
    let dsn = dsn.map_or_else(
        || format!("{}.0.0", reply.reply.chars().next().unwrap_or('5')),
        |dsn| (*dsn).to_owned(),
    );
    format!(
        "to=<b@example.org>, relay={host}:25, dsn={dsn}, status=bounced (host {host} said: {} (in \
         reply to end of DATA command))",
        reply.reply
    )
}

#[test]
fn every_signature_is_known_by_its_samples() {
    let knowledge = knowledge();
    for provider in &knowledge.providers {
        let suffix = &provider.mx_suffixes[0];
        for signature in &provider.signatures {
            let what = format!("{}: {:?}", provider.id, signature.sign);
            assert!(!signature.samples.is_empty(), "{what}");
            let replies: Vec<String> = signature.samples.iter().map(words).collect();
            for phrase in signature.sign.has.iter().chain(&signature.sign.all) {
                assert!(
                    replies.iter().any(|words| words.contains(phrase)),
                    "{what}: no sample has `{phrase}`"
                );
            }
            for reply in &signature.samples {
                let found = said(knowledge, suffix, reply)
                    .map(|found| (found.cause.code, found.provider.unwrap_or_default()));
                let expected = (signature.cause.clone(), provider.id.clone());
                assert_eq!(found, Some(expected), "{}", reply.reply);
            }
        }
    }
}

#[test]
fn no_signature_takes_what_another_receiver_says_for_something_else() {
    let knowledge = knowledge();
    let said = knowledge.providers.iter().flat_map(|provider| {
        let signatures = provider.signatures.iter();
        let all = signatures.flat_map(|one| one.samples.iter().map(|reply| (&one.cause, reply)));
        all.map(|(cause, reply)| (&provider.id, cause, reply))
    });
    for (id, cause, reply) in said {
        with_line("example.org", reply, |delivery| {
            let seen = Seen::in_delivery(delivery);
            let mut found = Found::default();
            knowledge.phrases.find(&seen.words, &mut found);
            for (other, own) in knowledge.providers.iter().zip(&knowledge.own) {
                let taken = best(own, &seen.evidence, &found);
                let taken = taken.map(|rule| &knowledge.causes[rule.cause].code);
                // A code alone means the same wherever it is used.
                assert!(
                    taken.is_none_or(|taken| taken == cause),
                    "{} takes what {id} says for {taken:?}: {}",
                    other.id,
                    reply.reply
                );
            }
        });
    }
}

#[test]
fn google_is_understood_whatever_the_year() {
    for text in [
        "550-5.7.1 [2001:db8::10] The sender does not meet basic ipv6 550 5.7.1 sending guidelines of authentication and rdns resolution",
        "550-5.7.1 [2001:db8::10      16] message does not meet IPv6 sending guidelines 550 5.7.1 regarding PTR records",
    ] {
        google("5.7.1", text, "ipv6-no-ptr (google)");
    }
    let text = "550-5.7.25 The IP address sending this message does not have a 550 5.7.25 PTR record setup";
    google("5.7.25", text, "ipv6-no-ptr (google)");
    google(
        "5.7.26",
        "550 5.7.26 the sender is unauthenticated",
        "unauthenticated (google)",
    );
    google(
        "5.7.26",
        "550 5.7.26 has an SPF record with a hard fail policy (-all)",
        "spf-fail (google)",
    );
    google(
        "5.7.26",
        "550 5.7.26 is not accepted due to domain's DMARC policy",
        "dmarc-fail (google)",
    );
    google(
        "4.7.28",
        "421 4.7.28 an unusual rate of mail",
        "rate-limited (google)",
    );
    google(
        "5.7.1",
        "550 5.7.1 this message is likely unsolicited mail",
        "content-spam (google)",
    );
    google(
        "4.7.0",
        "421 4.7.0 This message does not pass authentication checks",
        "unauthenticated (google)",
    );
    google(
        "4.2.1",
        "450 4.2.1 receiving mail at a rate that prevents more",
        "recipient-rate (google)",
    );
    google(
        "5.1.1",
        "550 5.1.1 The email account does not exist",
        "mailbox-unknown",
    );
    google("5.7.99", "550 5.7.99 no", "policy-reject");
}

#[test]
fn what_others_say_is_understood_by_code_and_phrase() {
    let host = "mx.example.org[192.0.2.1]";
    for (dsn, words, cause) in [
        ("5.7.25", "550 5.7.25 reverse DNS failed", "no-ptr"),
        ("5.7.23", "550 5.7.23 no", "spf-fail"),
        (
            "4.7.1",
            "450 4.7.1 Greylisted, see http://example.org",
            "greylisted",
        ),
        (
            "5.7.1",
            "554 5.7.1 Service unavailable; blocked using zen.spamhaus.org",
            "ip-blocklist",
        ),
        ("5.0.0", "550 no", "policy-reject"),
        ("4.3.0", "451 4.3.0 later", "remote-temporary"),
        ("5.2.2", "552 5.2.2 over quota", "mailbox-full"),
    ] {
        let line = format!(
            "relay={host}:25, dsn={dsn}, status=bounced (host {host} said: {words} (in reply to RCPT TO command))"
        );
        check(&line, cause);
    }
    // Somebody who only looks like Google is not asked as Google is.
    check(
        "relay=mx.notgoogle.com[2001:db8::1]:25, dsn=5.7.1, status=bounced (host mx.notgoogle.com[2001:db8::1] said: 550 5.7.1 this message is likely unsolicited mail (in reply to end of DATA command))",
        "content-spam",
    );
}

#[test]
fn faults_on_the_way_and_at_home_are_understood() {
    for (dsn, words, cause) in [
        (
            "4.4.1",
            "connect to mx[192.0.2.1]:25: Connection timed out",
            "connect-timeout",
        ),
        (
            "4.4.2",
            "conversation with mx[192.0.2.1] timed out while sending RCPT TO",
            "connect-timeout",
        ),
        (
            "4.4.1",
            "connect to mx[192.0.2.1]:25: Connection refused",
            "connect-refused",
        ),
        (
            "4.4.1",
            "connect to mx[192.0.2.1]:25: No route to host",
            "connect-refused",
        ),
        (
            "4.4.1",
            "connect to mx[2001:db8::1]:25: Network is unreachable",
            "ipv6-unreachable",
        ),
        (
            "4.4.1",
            "connect to mx[192.0.2.1]:25: Network is unreachable",
            "network-unreachable",
        ),
        (
            "4.4.2",
            "lost connection with mx[192.0.2.1] while receiving the initial server greeting",
            "connection-lost",
        ),
        (
            "4.4.3",
            "Host or domain name not found. Name service error for name=example.org type=MX: Host not found, try again",
            "dns-tempfail",
        ),
        (
            "5.4.4",
            "Host or domain name not found. Name service error for name=example.org type=A: Host not found",
            "dns-nxdomain",
        ),
        (
            "5.4.4",
            "Host or domain name not found. Name service error for name=example.org type=AAAA: Host found but no data record of requested type",
            "dns-no-data",
        ),
        ("4.3.0", "mail transport unavailable", "transport-missing"),
        ("4.3.0", "unknown mail transport error", "transport-broken"),
        (
            "4.7.4",
            "TLS is required, but was not offered by host mx[192.0.2.1]",
            "tls-not-offered",
        ),
        (
            "5.4.6",
            "mail for example.org loops back to myself",
            "local-misconfig",
        ),
        ("4.3.0", "alias database unavailable", "local-misconfig"),
        (
            "4.3.0",
            "local data error while talking to mx[192.0.2.1]",
            "local-misconfig",
        ),
        (
            "4.4.1",
            "delivery temporarily suspended: connect to mx[192.0.2.1]:25: Connection timed out",
            "connect-timeout",
        ),
    ] {
        check(
            &format!("relay=none, dsn={dsn}, status=deferred ({words})"),
            cause,
        );
    }
    check(
        "relay=mx[192.0.2.1]:25, dsn=2.0.0, status=sent (250 ok)",
        "",
    );
    check(
        "relay=none, dsn=4.9.9, status=deferred (nobody ever said this)",
        "",
    );
}

/// A reply of a host, or of one that nobody named.
fn reply<'a>(
    host: &'a str,
    domain: &'a str,
    code: u16,
    enhanced: &'a str,
    words: &'a str,
) -> Seen<'a> {
    let named = |text: &'a str| Some(Cow::Borrowed(text)).filter(|text| !text.is_empty());
    Seen {
        host: named(host),
        domain: named(domain),
        here: false,
        evidence: Evidence {
            dsn: "",
            enhanced: Some(enhanced).filter(|code| !code.is_empty()),
            code: Some(code),
            family: None,
            manner: Manner::Said,
        },
        words: words.into(),
    }
}

#[test]
fn a_verdict_says_who_how_sure_and_why() {
    let knowledge = knowledge();
    let check = |seen: &Seen<'_>, expected: (&str, &str, Confidence), because: &[&str]| {
        let verdict = knowledge.judge(seen);
        let found = (verdict.provider, verdict.code(), verdict.confidence);
        assert_eq!(found, expected, "{}", seen.words);
        assert_eq!(verdict.because, because, "{}", seen.words);
        verdict.is_new
    };
    let google = "gmail-smtp-in.l.google.com";
    let words = "this message is Likely Unsolicited mail";
    check(
        &reply(google, "", 550, "5.7.1", words),
        ("google", "content-spam", Confidence::Certain),
        &["Likely Unsolicited mail"],
    );
    // No host is named: by whose domain it was meant for, or by words that only one says.
    check(
        &reply("", "GMAIL.com", 550, "5.7.1", words),
        ("google", "content-spam", Confidence::Certain),
        &["Likely Unsolicited mail"],
    );
    let marked = format!("{words} abc - gsmtp");
    check(
        &reply("", "", 550, "5.7.1", &marked),
        ("google", "content-spam", Confidence::Certain),
        &["Likely Unsolicited mail"],
    );
    // A relay of somebody else's is not Google because the recipient is.
    check(
        &reply("relay.example", "gmail.com", 550, "5.7.1", "no"),
        (OTHER, "policy-reject", Confidence::Guess),
        &["5.7.1"],
    );
    // Unless it speaks as Google does; and where it did not speak, mail for Google was not taken.
    check(
        &reply("old-mx.example", "gmail.com", 550, "5.7.1", words),
        ("google", "content-spam", Confidence::Certain),
        &["Likely Unsolicited mail"],
    );
    let lost = Seen {
        evidence: Evidence {
            manner: Manner::LostConnection,
            dsn: "4.4.2",
            enhanced: None,
            code: None,
            family: None,
        },
        ..reply("127.0.0.1", "", 0, "", "lost connection")
    };
    check(&lost, (LOCAL, "connection-lost", Confidence::Certain), &[]);
    let lost = Seen {
        host: Some("old-mx.example".into()),
        domain: Some("gmail.com".into()),
        ..lost
    };
    check(
        &lost,
        ("google", "connection-lost", Confidence::Certain),
        &[],
    );
    let mx = "mx.example.org";
    let mut refused = reply(mx, "", 554, "", "mx.example.org");
    refused.evidence.manner = Manner::RefusedToTalk;
    check(
        &refused,
        (OTHER, "ip-reputation", Confidence::Guess),
        &["554"],
    );
    check(
        &reply(mx, "", 554, "", "blocked using zen.spamhaus.org"),
        (OTHER, "ip-blocklist", Confidence::Likely),
        &["blocked using"],
    );
    let unknown = reply(google, "", 550, "5.7.99", "a wording of tomorrow");
    let is_new = check(
        &unknown,
        ("google", "policy-reject", Confidence::Guess),
        &["5.7.99"],
    );
    assert!(is_new, "what a receiver that we know has never said");
    let own = Seen {
        evidence: Evidence {
            manner: Manner::Own,
            dsn: "4.3.0",
            enhanced: None,
            code: None,
            family: None,
        },
        ..reply("", "", 0, "", "mail transport unavailable")
    };
    check(
        &own,
        (LOCAL, "transport-missing", Confidence::Certain),
        &["mail transport unavailable"],
    );
}

#[test]
fn a_domain_that_everybody_finds_was_not_found_because_of_us() {
    let knowledge = knowledge();
    let unfound = Seen {
        host: None,
        domain: None,
        words: "<b@gmail.com>: Recipient address rejected: Domain not found".into(),
        ..reply("", "", 450, "4.1.2", "")
    };
    let verdict = knowledge.judge(&unfound);
    let found = (verdict.provider, verdict.code(), verdict.confidence);
    assert_eq!(found, ("google", "chroot-dns", Confidence::Likely));
    let because = ["Recipient address rejected: Domain not found"];
    assert_eq!(verdict.because, because);
}

/// What hosts of all makes say, each behind the cause that it is.
const REPLIES: &str = include_str!("replies.txt");

#[test]
fn what_servers_of_all_makes_say_is_understood() {
    let knowledge = knowledge();
    let mut wrong = Vec::new();
    for line in REPLIES.lines() {
        let (cause, reply) = line.split_once('|').unwrap();
        let reply = Reply {
            reply: reply.to_owned(),
            family: None,
            source: String::new(),
            date: String::new(),
        };
        let found = said(knowledge, "example.org", &reply);
        let found = found.map_or_else(String::new, |found| found.cause.code);
        if found != cause {
            wrong.push(format!("{found} instead of {line}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lines of Postfix's own, each with the cause that it names.
const WARNINGS: &[(&str, &str)] = &[
    (
        "warning: connect to transport private/smtp-ipv4: No such file or directory",
        "transport-missing",
    ),
    (
        "warning: connect to transport private/smtp-ipv4: Connection refused",
        "transport-broken",
    ),
    (
        "warning: process /usr/lib/postfix/sbin/smtp pid 1234 exit status 1",
        "transport-broken",
    ),
    (
        "warning: /usr/lib/postfix/sbin/smtp: bad command startup -- throttling",
        "transport-broken",
    ),
    (
        "error: open database /etc/postfix/transport.db: No such file or directory",
        "hash-map-missing",
    ),
    (
        "warning: hash:/etc/postfix/transport is unavailable. open database /etc/postfix/transport.db: No such file or directory",
        "hash-map-missing",
    ),
    (
        "warning: hash:/etc/postfix/virtual lookup error for \"b@example.org\"",
        "hash-map-missing",
    ),
    (
        "warning: btree:/var/lib/postfix/smtpd_scache is unavailable. open database /var/lib/postfix/smtpd_scache.db: File exists",
        "local-misconfig",
    ),
    (
        "fatal: unsupported dictionary type: hash",
        "map-type-unsupported",
    ),
    (
        "error: unsupported dictionary type: lmdb. Is the postfix-lmdb package installed?",
        "map-type-unsupported",
    ),
    (
        "postalias: fatal: unsupported map type for this operation: lmdb",
        "map-type-unsupported",
    ),
    (
        "fatal: main.cf configuration error: expecting \"type:name\" form instead of \"x\"",
        "local-misconfig",
    ),
    (
        "SMTPS wrappermode (TCP port 465) requires setting \"smtp_tls_wrappermode = yes\"",
        "local-misconfig",
    ),
    (
        "warning: /var/spool/postfix/etc/resolv.conf and /etc/resolv.conf differ",
        "chroot-dns",
    ),
    (
        "SSL_connect error to smtp.example.org[192.0.2.1]:587: -1",
        "tls-handshake",
    ),
    ("Cannot start TLS: handshake failure", "tls-handshake"),
    ("Server certificate not verified", "tls-untrusted"),
    (
        "certificate verification failed for mx.example.org[192.0.2.1]:25: self-signed certificate",
        "tls-untrusted",
    ),
    (
        "Host or domain name not found. Name service error for name=example.org type=MX: Malformed or unexpected name server reply",
        "dns-malformed",
    ),
    (
        "SASL authentication failed; server mx.example.org[192.0.2.1] said: 535 5.7.8 Error: authentication failed",
        "relay-denied",
    ),
    (
        "SASL authentication failed; cannot authenticate to server mx.example.org[192.0.2.1]: no mechanism available",
        "local-misconfig",
    ),
    (
        "450 4.7.1 <mail.example.org>: Helo command rejected: Host not found",
        "dns-tempfail",
    ),
    (
        "Domain example.org does not accept mail (nullMX)",
        "dns-no-data",
    ),
];

#[test]
fn a_number_of_the_receivers_own_says_more_than_its_words() {
    let orange = |number: &str| {
        let words = format!("Mail rejete. Mail rejected. OFR_{number} [{number}]");
        let seen = reply("smtp-in.orange.fr", "", 550, "5.7.1", &words);
        knowledge().judge(&seen).code().to_owned()
    };
    assert_eq!(orange("506"), "content-spam");
    assert_eq!(orange("535"), "unauthenticated");
}

#[test]
fn what_a_service_of_this_host_says_is_no_receivers() {
    let judged = |line: &str| {
        let line = format!("A1B2C3D: {line}");
        let Event::Delivery(delivery) = Line::bare(line.as_bytes()).record().event else {
            panic!("no delivery: {line}");
        };
        let verdict = knowledge().judge(&Seen::in_delivery(&delivery));
        (verdict.provider.to_owned(), verdict.code().to_owned())
    };
    let check = |line: &str, provider: &str, cause: &str| {
        assert_eq!(
            judged(line),
            (provider.to_owned(), cause.to_owned()),
            "{line}"
        );
    };
    let socket = "mail.example.org[private/dovecot-lmtp]";
    check(
        "to=<b@gmail.com>, relay=local, dsn=5.1.1, status=bounced (unknown user: \"b\")",
        LOCAL,
        "mailbox-unknown",
    );
    check(
        &format!(
            "to=<b@example.org>, relay={socket}, dsn=5.2.2, status=bounced (host {socket} said: 552 5.2.2 <b@example.org> Quota exceeded (in reply to end of DATA command))"
        ),
        LOCAL,
        "mailbox-full",
    );
    check(
        &format!(
            "to=<b@example.org>, relay=none, dsn=4.4.1, status=deferred (connect to {socket}: No such file or directory)"
        ),
        LOCAL,
        "local-misconfig",
    );
    check(
        &format!(
            "to=<b@example.org>, relay={socket}, dsn=4.3.0, status=deferred (host {socket} said: 451 4.3.0 Temporary internal failure (in reply to end of DATA command))"
        ),
        LOCAL,
        "local-misconfig",
    );
    // Tables of this host, whoever it was for; and what only looks as if it were a service.
    check(
        "to=<b@gmail.com>, relay=none, dsn=5.1.1, status=bounced (User unknown in virtual alias table)",
        LOCAL,
        "mailbox-unknown",
    );
    check(
        "to=<b@gmail.com>, relay=none, dsn=4.3.0, status=deferred (unknown mail transport error)",
        "google",
        "transport-broken",
    );
    // Whose host it was that DNS was asked for.
    check(
        "to=<b@example.org>, relay=none, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=example-org.mail.protection.outlook.com type=A: Host not found, try again)",
        "microsoft-eop",
        "dns-tempfail",
    );
    check(
        "to=<b@e.mail.com>, relay=none, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=e.mail.com type=A: Host not found, try again)",
        OTHER,
        "dns-tempfail",
    );
}

#[test]
fn a_list_that_is_asked_wrongly_lists_nobody() {
    let words = "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org";
    let judged = |words: &str| {
        let seen = reply("mx.example.org", "", 554, "5.7.1", words);
        knowledge().judge(&seen).code().to_owned()
    };
    assert_eq!(judged(words), "ip-blocklist");
    let wrongly =
        format!("{words}; Error: open resolver; https://check.spamhaus.org/returnc/pub/192.0.2.1/");
    assert_eq!(judged(&wrongly), "policy-reject");
}

#[test]
fn the_recipient_says_more_than_words_that_others_quote() {
    let words = "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.25";
    for (domain, provider) in [("icloud.com", "apple"), ("example.org", "proofpoint")] {
        let seen = reply("", domain, 554, "5.7.0", words);
        assert_eq!(knowledge().judge(&seen).provider, provider, "{domain}");
    }
}

#[test]
fn a_session_that_cannot_be_encrypted_is_somebody_elses_too() {
    let mut seen = reply("", "", 0, "", "Cannot start TLS: handshake failure");
    seen.evidence.manner = Manner::Own;
    assert_eq!(knowledge().judge(&seen).provider, OTHER);
    seen.words = "mail transport unavailable".into();
    assert_eq!(knowledge().judge(&seen).provider, LOCAL);
}

#[test]
fn warnings_of_postfix_name_its_own_faults() {
    let knowledge = knowledge();
    for &(words, cause) in WARNINGS {
        let verdict = knowledge.judge(&Seen {
            host: None,
            domain: None,
            here: false,
            evidence: Evidence {
                dsn: "",
                enhanced: None,
                code: None,
                family: None,
                manner: Manner::Own,
            },
            words: words.into(),
        });
        assert_eq!(verdict.code(), cause, "{words}");
    }
}

/// Lines with every sample of every receiver: from its own host, from another receiver's, from one
/// of nobody's, for a domain of its own and for another; and names that were not found. An address
/// is `TO`.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let providers = &knowledge().providers;
    let mut lines = Vec::new();
    for (number, provider) in providers.iter().enumerate() {
        let other = providers.get(number + 1).unwrap_or(&providers[0]);
        let suffixes = [&provider.mx_suffixes, &other.mx_suffixes];
        let suffixes = suffixes.into_iter().filter_map(|suffixes| suffixes.first());
        let suffixes: Vec<&str> = suffixes
            .map(String::as_str)
            .chain(["example.org"])
            .collect();
        let own = provider.domains.first().map(String::as_str);
        for reply in provider.signatures.iter().flat_map(|one| &one.samples) {
            for suffix in &suffixes {
                for domain in own.into_iter().chain(["example.org"]) {
                    let line = with_text(suffix, reply);
                    lines.push(line.replace("b@example.org", &format!("TO@{domain}")));
                }
            }
        }
    }
    for name in ["gmail.com", "nowhere.example"] {
        lines.push(format!(
            "to=<TO@{name}>, relay=none, dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name={name} type=A: Host not found)"
        ));
    }
    lines
});

/// What a log of these lines gives for each, and what each alone is judged to be.
fn remembered(picked: &[&String]) -> Vec<((String, String), (String, String))> {
    let knowledge = knowledge();
    let options = log::Options {
        recipients: true,
        ..log::Options::default()
    };
    let mut reading = log::Reading::new(knowledge, options);
    let mut alone = Vec::new();
    for (number, line) in picked.iter().enumerate() {
        let text = format!(
            "{number:X}ABCDE: {}",
            line.replace("TO@", &format!("u{number}@"))
        );
        let Event::Delivery(delivery) = Line::bare(text.as_bytes()).record().event else {
            panic!("no delivery: {text}");
        };
        let verdict = knowledge.judge(&Seen::in_delivery(&delivery));
        let is_here = knowledge.is_here(verdict.code());
        let provider = if is_here { LOCAL } else { verdict.provider };
        alone.push((provider.to_owned(), verdict.code().to_owned()));
        // Mail that gets through between them, so that they are not many faults of one reason.
        let sent = format!(
            "{number:X}FFFFF: to=<x@example.org>, relay=mx.example.org[192.0.2.7]:25, dsn=2.0.0, status=sent (250 ok)"
        );
        let head = "2026-03-03T10:00:00+00:00 m postfix/smtp[9]: ";
        let lines = format!("{head}{text}\n{head}{sent}\n");
        reading.feed(lines.as_bytes(), LastDay::of(1_775_000_000));
    }
    let report = reading.report();
    let given = |number: usize| {
        let name = format!("u{number}@");
        let one = report
            .bounced
            .iter()
            .find(|one| one.address.starts_with(&name));
        let one = one.unwrap_or_else(|| panic!("u{number} is not there"));
        (one.provider.clone(), one.cause.clone())
    };
    let all = alone.into_iter().enumerate();
    all.map(|(number, alone)| (given(number), alone)).collect()
}

#[test]
fn what_is_remembered_is_what_would_be_judged() {
    let all: Vec<&String> = LINES.iter().collect();
    assert!(all.len() > 500, "{}", all.len());
    // Each is met twice: made, and remembered.
    for part in all.chunks(500) {
        let twice: Vec<&String> = part.iter().chain(part).copied().collect();
        for (line, (given, alone)) in twice.iter().zip(remembered(&twice)) {
            assert_eq!(given, alone, "{line}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn whatever_was_met_before_changes_no_verdict(
        picked in proptest::collection::vec(0..LINES.len(), 1..60),
    ) {
        let lines: Vec<&String> = picked.iter().map(|&at| &LINES[at]).collect();
        for (line, (given, alone)) in lines.iter().zip(remembered(&lines)) {
            proptest::prop_assert_eq!(given, alone, "{}", line);
        }
    }
}
