use proptest::prelude::*;

use super::*;

/// Lines as they stand in logs, reports and queues.
const KNOWN: [&str; 18] = [
    "Feb 26 21:58:24 services02 postfix/smtp[10251]: 2F6FA6AB68: to=<recipient3@gmail.example.com>, orig_to=<distribution@example.com>, relay=gmail-smtp-in.l.google.com[2001:db8:400d:c00::1a]:25, delay=8.7, delays=8/0.01/0.06/0.58, dsn=5.7.1, status=bounced (host gmail-smtp-in.l.google.com[2001:db8:400d:c00::1a] said: 550-5.7.1 [2001:db8::f03c:91ff:fe6e:423f 12] Our system has detected that 550-5.7.1 this message is likely unsolicited mail. To reduce the amount of spam 550-5.7.1 sent to Gmail, this message has been blocked. Please visit 550-5.7.1 http://support.google.com/mail/bin/answer.py?hl=en&answer=188131 for 550 5.7.1 more information. r6si610718qcl.69 - gsmtp (in reply to end of DATA command))",
    "Jan 27 19:51:31 web01 postfix/smtp[5111]: EB2FEA0216: host ASPMX.L.GOOGLE.com[2001:db8:4008:c01::1b] said: 421-4.7.0 [2001:db8:102:2b04:111:222:333:444 15] Our system has detected an 421-4.7.0 unusual rate of unsolicited mail originating from your IP address. To 421-4.7.0 protect our users from spam, mail sent from your IP address has been 421-4.7.0 temporarily rate limited. Please visit 421-4.7.0 http://www.google.com/mail/help/bulk_mail.html to review our Bulk 421 4.7.0 Email Senders Guidelines. mz9si1019871pdb.205 - gsmtp (in reply to end of DATA command)",
    "2026-06-22T17:01:14.999216+00:00 mail postfix/smtp[54675]: BCC9083ED5: to=<user@example.ru>, relay=mxs.example.ru[192.0.2.180]:25, delay=1.2, delays=0.11/0.01/0.02/1.1, dsn=2.0.0, status=sent (250 OK id=1wbi1J-00000000BmK-3yPw)",
    "2026-06-22T17:01:14+00:00 mail postfix/smtp[54675]: BCC9083ED5: to=<user@example.org>, relay=none, delay=30, delays=0.1/0/30/0, dsn=4.4.1, status=deferred (connect to mx.example.org[192.0.2.25]:25: Connection timed out)",
    "Jul 10 07:05:24 mail postfix/smtp[22780]: 2241C417F7: to=<a@example.es>, relay=none, delay=168374, delays=168364/0.04/10/0, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=example.es type=MX: Host not found, try again)",
    "Oct 11 03:58:22 box postfix/error[1885]: 7356ABD12E: to=<b@example.com>, relay=none, delay=21537, delays=21536/0.08/0.72/0, dsn=4.3.0, status=deferred (unknown mail transport error)",
    "Nov 2 15:24:25 smtp2.example.com postfix/smtp[6922]: 6D21E11F76A: lost connection with mx3.example.cn[192.0.2.40] while performing the HELO handshake",
    "Nov 2 15:24:25 smtp2.example.com postfix/smtp[6922]: 6D21E11F76A: conversation with mx3.example.cn[192.0.2.40] timed out while sending RCPT TO",
    "<kijitora@example.br>: host here-br.mail.protection.outlook.com[192.0.2.74] said: 550 5.4.1 <kijitora@example.br>: Recipient address rejected: Access denied [BL2NAM02FT061.eop-nam02.prod.protection.outlook.com] (in reply to RCPT TO command)",
    "<xxxx@example.fr>: host smtp-in.orange.fr[192.0.2.65] refused to talk to me: 550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102 Ref http://csi.cloudmark.com/reset-request/?ip=192.0.2.1 [102]",
    "<user@example.net>: delivery temporarily suspended: connect to mx2.example.net[192.0.2.30]: server refused to talk to me: 554 IMTA01.example.net 192.0.2.142 all mail servers must have a PTR record with a valid Reverse DNS entry",
    "Diagnostic-Code: smtp; 550 5.7.515 Access denied, sending domain EXAMPLE.JP doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender.",
    "(host mail2.example.fr[192.0.2.121] said: 421 4.7.0 mail2.example.fr Error: too many errors (in reply to MAIL FROM command))",
    "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org",
    "<b@example.net>: host mx.example.net[192.0.2.30] said: 450 4.1.7 <a@example.org>: Sender address rejected: unverified address: connect to mail.example.org[192.0.2.25]:25: Connection timed out (in reply to RCPT TO command)",
    "Oct 11 03:58:22 box postfix/lmtp[1885]: 7356ABD12E: to=<b@example.org>, relay=box.example.org[private/dovecot-lmtp], delay=1, delays=0.8/0.08/0.02/0.1, dsn=5.2.2, status=bounced (host box.example.org[private/dovecot-lmtp] said: 552 5.2.2 <b@example.org> Quota exceeded (mailbox for user is full) (in reply to end of DATA command))",
    "<b@yahoo.com>: host mta7.am0.yahoodns.net[192.0.2.26] said: 554 delivery error: dd This account has been disabled or discontinued [#102]. - mta1234.mail.sp2.yahoo.com (in reply to end of DATA command)",
    "<b@example.net>: host mx.example.net[192.0.2.30] said: 554 5.4.4 <b@example.net>: Recipient address rejected: undeliverable address: host mail.example.net[192.0.2.31] said: 550 5.1.1 User doesn't exist (in reply to RCPT TO command)",
];

/// Wraps as mail programs do: at blanks.
fn softly(line: &str, width: usize, indent: &str) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for word in line.split(' ') {
        if used > 0 && used + 1 + word.len() > width {
            text.push('\n');
            text.push_str(indent);
            used = indent.len();
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.len();
    }
    text
}

/// Wraps as terminals do: anywhere.
fn anywhere(line: &str, width: usize) -> String {
    let lines: Vec<&str> = line
        .as_bytes()
        .chunks(width)
        .map(|chunk| std::str::from_utf8(chunk).unwrap())
        .collect();
    lines.join("\n")
}

/// Takes the words of others for those found.
fn without_words(found: Vec<Sighting>, others: &[Sighting]) -> Vec<Sighting> {
    let pairs = found.into_iter().zip(others);
    let mixed = pairs.map(|(found, other)| Sighting {
        words: other.words.clone(),
        client: other.client.clone(),
        ..found
    });
    mixed.collect()
}

#[test]
fn a_host_that_a_reply_tells_of_said_nothing() {
    let unverified = KNOWN[14];
    let (_, reply) = unverified.split_once(" said: ").unwrap();
    let (reply, _) = reply.split_once(" (in reply").unwrap();
    let report = format!("Remote-MTA: dns; mx.example.net\nDiagnostic-Code: smtp; {reply}");
    for text in [unverified, &report] {
        let found = read(text.as_bytes());
        assert_eq!(found.len(), 1, "{found:?}");
        let one = &found[0];
        assert_eq!(one.host.as_deref(), Some("mx.example.net"));
        assert_eq!((one.code, one.manner), (Some(450), Manner::Said));
        assert!(one.words.ends_with("Connection timed out"), "{one:?}");
    }
}

#[test]
fn a_service_of_this_host_is_none_of_another() {
    let here = |text: &str| read(text.as_bytes())[0].here;
    assert!(here(KNOWN[15]));
    let line = |relay: &str| {
        format!(
            "to=<b@example.org>, relay={relay}, dsn=5.1.1, status=bounced (unknown user: \"b\")"
        )
    };
    assert!(here(&line("local")) && here(&line("dovecot")));
    for other in ["none", "mx.example.org", "mx.example.org[192.0.2.1]:25"] {
        assert!(!here(&line(other)), "{other}");
    }
}

#[test]
fn wrapping_changes_nothing() {
    let mut wrong = Vec::new();
    for line in KNOWN {
        let whole = read(line.as_bytes());
        for width in 20..=240 {
            let ways = [
                ("softly", softly(line, width, "")),
                ("indented", softly(line, width, "    ")),
                ("quoted", format!("> {}", softly(line, width, "> "))),
                ("anywhere", anywhere(line, width)),
            ];
            for (way, text) in ways {
                let found = read(text.as_bytes());
                let found = if way == "anywhere" && text.lines().count() == 2 {
                    // One break inside a name or a word that nobody knows may take a blank's
                    // place as well; what counts is told all the same.
                    without_words(found, &whole)
                } else {
                    found
                };
                if found != whole {
                    wrong.push(format!("{way} at {width}: {text}\n{found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_mixture_of_forms_is_taken(
        pieces in proptest::collection::vec(
            prop_oneof![
                (0..KNOWN.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>())
                    .prop_map(|(at, from, to)| {
                        let line = KNOWN[at];
                        let (from, to) = (from.index(line.len()), to.index(line.len()));
                        line.get(from.min(to)..from.max(to)).unwrap_or_default().to_owned()
                    }),
                "[\\[\\]()<>:@ \n=é日]{0,12}",
                prop_oneof![
                    Just("status="), Just("host "), Just(" said:"), Just("connect to "),
                    Just("lost connection with "), Just("conversation with "), Just("stat="),
                    Just("reject: "), Just("NOQUEUE: "), Just("SMTP error from remote mail server after "),
                    Just("delivery temporarily suspended:"), Just("to=<"), Just("(in reply to "),
                ].prop_map(str::to_owned),
            ],
            0..12,
        )
    ) {
        let _ = read(pieces.concat().as_bytes());
    }
}
