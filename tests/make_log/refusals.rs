//! Receivers of made-up logs, and how they refuse: real replies, around made-up addresses.
//!
//! Owns what is said, why, and what becomes of a recipient after it ([`Fate`]).

use super::Family;

/// Why mail did not get through: what a reader of the log must find.
#[derive(Debug)]
pub struct Refusal {
    /// The code of the cause.
    pub cause: &'static str,
    /// The code Postfix makes of it.
    pub dsn: &'static str,
    /// What was said; `{ours}` is our address, `{to}` the recipient, `{n}` a number.
    pub said: &'static str,
    /// At which stage.
    pub stage: &'static str,
}

/// What becomes of one try.
#[derive(Debug)]
pub enum Step {
    /// It is taken.
    Sent(Family),
    /// There is no way to the IPv6 address; the IPv4 address takes it.
    Unreachable,
    /// The IPv6 address refuses for now; the IPv4 address takes it.
    Detour(&'static Refusal),
    /// The IPv6 address refuses for now, and the IPv4 address for something else.
    Both(&'static Refusal, &'static Refusal),
    /// It is refused for now.
    Deferred(Family, &'static Refusal),
    /// The greeting is a refusal for good, of which Postfix makes one for now.
    Greeting(&'static Refusal),
    /// It is refused for good.
    Bounced(Family, &'static Refusal),
    /// There is no connection: why, and its cause.
    Silent(&'static str, &'static str),
    /// Nothing is tried, because of a [`Step::Greeting`] that another message met.
    Suspended(&'static Refusal),
    /// The delivery agent dies before it can do anything.
    Broken,
}

/// What becomes of a recipient, try by try; behind the last it is finished, or given up for its
/// age if that was a refusal for now.
#[derive(Debug)]
pub struct Fate {
    /// How many of all have it.
    pub weight: u64,
    /// The tries.
    pub steps: &'static [Step],
}

/// Where mail goes.
#[derive(Debug)]
pub struct Destination {
    /// Of whom; `other` are those that nobody knows.
    pub provider: &'static str,
    /// The recipient's domain; an empty one is one of very many small ones.
    pub domain: &'static str,
    /// The mail host.
    pub host: &'static str,
    /// Its IPv4 address.
    pub v4: &'static str,
    /// Its IPv6 address.
    pub v6: &'static str,
    /// How it takes mail in the end.
    pub accepts: &'static str,
    /// What becomes of recipients.
    pub fates: &'static [Fate],
}

const fn fate(weight: u64, steps: &'static [Step]) -> Fate {
    Fate { weight, steps }
}

const DATA: &str = "end of DATA command";
const MAIL: &str = "MAIL FROM command";
const RCPT: &str = "RCPT TO command";

const PTR6: Refusal = Refusal {
    cause: "ipv6-no-ptr",
    dsn: "5.7.1",
    said: "550-5.7.1 [{ours}      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . f188si{n}wme.109 - gsmtp",
    stage: DATA,
};

const RATE6: Refusal = Refusal {
    cause: "rate-limited",
    dsn: "4.7.28",
    said: "421-4.7.28 [{ours}      16] Our system has detected an unusual rate of 421-4.7.28 unsolicited mail originating from your IP address. To protect our 421-4.7.28 users from spam, mail sent from your IP address has been temporarily 421-4.7.28 rate limited. Please visit 421-4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError to 421 4.7.28 review our Bulk Email Senders Guidelines. mz9si{n}pdb.205 - gsmtp",
    stage: DATA,
};

const SPAM: Refusal = Refusal {
    cause: "content-spam",
    dsn: "5.7.1",
    said: "550-5.7.1 [{ours}      12] Our system has detected that 550-5.7.1 this message is likely unsolicited mail. To reduce the amount of spam 550-5.7.1 sent to Gmail, this message has been blocked. Please visit 550-5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError 550 5.7.1  for more information. b14si{n}bka.19 - gsmtp",
    stage: DATA,
};

const NOBODY: Refusal = Refusal {
    cause: "mailbox-unknown",
    dsn: "5.1.1",
    said: "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. Learn more at 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser d65si{n}ybd.234 - gsmtp",
    stage: RCPT,
};

const TSS04: Refusal = Refusal {
    cause: "ip-reputation",
    dsn: "4.7.0",
    said: "421 4.7.0 [TSS04] Messages from {ours} temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
    stage: MAIL,
};

const S3150: Refusal = Refusal {
    cause: "ip-blocklist",
    dsn: "5.7.1",
    said: "550 5.7.1 Unfortunately, messages from [{ours}] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [DB5EUR01FT031.eop-EUR01.prod.protection.outlook.com]",
    stage: MAIL,
};

const S775: Refusal = Refusal {
    cause: "ip-reputation",
    dsn: "4.7.650",
    said: "451 4.7.650 The mail server [{ours}] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775) [DB5EUR01FT031.eop-EUR01.prod.protection.outlook.com]",
    stage: MAIL,
};

const EOP_PTR6: Refusal = Refusal {
    cause: "ipv6-no-ptr",
    dsn: "4.7.25",
    said: "450 4.7.25 Service unavailable, sending IPv6 address [{ours}] must have reverse DNS record. [DB5EUR01FT031.eop-EUR01.prod.protection.outlook.com]",
    stage: RCPT,
};

const BUSY: Refusal = Refusal {
    cause: "ip-reputation",
    dsn: "4.7.500",
    said: "451 4.7.500 Server busy. Please try again later from [{ours}]. (AS77712344) [DB5EUR01FT031.eop-EUR01.prod.protection.outlook.com]",
    stage: RCPT,
};

const NEMESIS: Refusal = Refusal {
    cause: "ip-blocklist",
    dsn: "4.0.0",
    said: "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is block listed. 554 For explanation visit https://postmaster.gmx.net/en/case?c=r0201&i=ip&v={ours}&r=1MNcgj-1ue23t3pyV-00S2YR",
    stage: "",
};

const NOWL: Refusal = Refusal {
    cause: "ip-reputation",
    dsn: "4.0.0",
    said: "554 IP={ours} - None/bad reputation. Ask your postmaster for help or to contact tobr@rx.t-online.de for reset. (NOWL)",
    stage: "",
};

const OVERQUOTA: Refusal = Refusal {
    cause: "mailbox-full",
    dsn: "5.2.2",
    said: "552 5.2.2 <{to}>: user is overquota",
    stage: RCPT,
};

const UNKNOWN: Refusal = Refusal {
    cause: "mailbox-unknown",
    dsn: "5.1.1",
    said: "550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table",
    stage: RCPT,
};

const GREYLISTED: Refusal = Refusal {
    cause: "greylisted",
    dsn: "4.2.0",
    said: "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{domain}.html",
    stage: RCPT,
};

const V4: Family = Family::V4;
const V6: Family = Family::V6;
const GSMTP: &str = "250 2.0.0 OK  {n} 5c084fsi8261151lab.49 - gsmtp";
const POSTFIX: &str = "250 2.0.0 Ok: queued as 4F9D{n}";
const EXCHANGE: &str = "250 2.6.0 <{n}@sender.example> [InternalId=116{n}] 12345 bytes in 0.123, 98.765 KB/sec Queued mail for delivery";

/// Google's, over either protocol.
const GOOGLE: &[Fate] = &[
    fate(700, &[Step::Sent(V6)]),
    fate(200, &[Step::Unreachable]),
    fate(20, &[Step::Detour(&RATE6)]),
    fate(16, &[Step::Bounced(V6, &PTR6)]),
    fate(20, &[Step::Bounced(V6, &NOBODY)]),
    fate(20, &[Step::Deferred(V6, &RATE6), Step::Sent(V6)]),
    fate(6, &[Step::Deferred(V6, &RATE6), Step::Unreachable]),
    fate(4, &[Step::Deferred(V6, &RATE6), Step::Bounced(V6, &SPAM)]),
];

/// Everybody else's, who has one address.
const SMALL: &[Fate] = &[
    fate(900, &[Step::Sent(V4)]),
    fate(30, &[Step::Bounced(V4, &UNKNOWN)]),
    fate(30, &[Step::Deferred(V4, &GREYLISTED), Step::Sent(V4)]),
    fate(
        20,
        &[
            Step::Silent("Connection refused", "connect-refused"),
            Step::Sent(V4),
        ],
    ),
    fate(
        5,
        &[
            Step::Silent("Connection refused", "connect-refused"),
            Step::Silent("Connection refused", "connect-refused"),
            Step::Silent("Connection refused", "connect-refused"),
        ],
    ),
];

/// All destinations; each takes as much as any other.
pub const DESTINATIONS: &[Destination] = &[
    Destination {
        provider: "google",
        domain: "gmail.com",
        host: "gmail-smtp-in.l.google.com",
        v4: "198.51.100.26",
        v6: "2001:db8:1::1b",
        accepts: GSMTP,
        fates: GOOGLE,
    },
    Destination {
        provider: "google",
        domain: "hosted.example",
        host: "ASPMX.L.GOOGLE.com",
        v4: "198.51.100.27",
        v6: "2001:db8:1::1c",
        accepts: GSMTP,
        fates: GOOGLE,
    },
    Destination {
        provider: "yahoo",
        domain: "yahoo.com",
        host: "mta5.am0.yahoodns.net",
        v4: "198.51.100.40",
        v6: "",
        accepts: "250 ok dirdel",
        fates: &[
            fate(800, &[Step::Sent(V4)]),
            fate(60, &[Step::Deferred(V4, &TSS04), Step::Sent(V4)]),
            fate(
                10,
                &[
                    Step::Deferred(V4, &TSS04),
                    Step::Deferred(V4, &TSS04),
                    Step::Deferred(V4, &TSS04),
                ],
            ),
        ],
    },
    Destination {
        provider: "microsoft-consumer",
        domain: "outlook.com",
        host: "outlook-com.olc.protection.outlook.com",
        v4: "198.51.100.51",
        v6: "",
        accepts: EXCHANGE,
        fates: &[
            fate(800, &[Step::Sent(V4)]),
            fate(40, &[Step::Deferred(V4, &S775), Step::Sent(V4)]),
            fate(30, &[Step::Bounced(V4, &S3150)]),
        ],
    },
    Destination {
        provider: "microsoft-eop",
        domain: "contoso.example",
        host: "contoso-example.mail.protection.outlook.com",
        v4: "198.51.100.52",
        v6: "2001:db8:5::52",
        accepts: EXCHANGE,
        fates: &[
            fate(500, &[Step::Sent(V6)]),
            fate(300, &[Step::Sent(V4)]),
            fate(60, &[Step::Detour(&EOP_PTR6)]),
            fate(
                15,
                &[
                    Step::Both(&EOP_PTR6, &BUSY),
                    Step::Both(&EOP_PTR6, &BUSY),
                    Step::Detour(&EOP_PTR6),
                ],
            ),
            fate(
                5,
                &[Step::Both(&EOP_PTR6, &BUSY), Step::Both(&EOP_PTR6, &BUSY)],
            ),
        ],
    },
    Destination {
        provider: "unitedinternet",
        domain: "gmx.de",
        host: "mx00.gmx.net",
        v4: "198.51.100.60",
        v6: "",
        accepts: "250 Requested mail action okay, completed: id=1MNcgj-1ue{n}-00S2YR",
        fates: &[
            fate(800, &[Step::Sent(V4)]),
            fate(30, &[Step::Greeting(&NEMESIS), Step::Sent(V4)]),
            fate(
                30,
                &[
                    Step::Greeting(&NEMESIS),
                    Step::Suspended(&NEMESIS),
                    Step::Greeting(&NEMESIS),
                ],
            ),
        ],
    },
    Destination {
        provider: "t-online",
        domain: "t-online.de",
        host: "mx03.t-online.de",
        v4: "198.51.100.70",
        v6: "",
        accepts: "250 2.0.0 Message accepted.",
        fates: &[
            fate(800, &[Step::Sent(V4)]),
            fate(
                40,
                &[
                    Step::Greeting(&NOWL),
                    Step::Suspended(&NOWL),
                    Step::Sent(V4),
                ],
            ),
        ],
    },
    Destination {
        provider: "apple",
        domain: "icloud.com",
        host: "mx01.mail.icloud.com",
        v4: "198.51.100.80",
        v6: "",
        accepts: "250 2.0.0 Ok: queued as 4{n}",
        fates: &[
            fate(900, &[Step::Sent(V4)]),
            fate(20, &[Step::Bounced(V4, &OVERQUOTA)]),
        ],
    },
    Destination {
        provider: "other",
        domain: "example.org",
        host: "mx.example.org",
        v4: "198.51.100.7",
        v6: "",
        accepts: POSTFIX,
        fates: SMALL,
    },
    Destination {
        provider: "other",
        domain: "partner.example",
        host: "mx.partner.example",
        v4: "198.51.100.9",
        v6: "2001:db8:2::25",
        accepts: POSTFIX,
        fates: &[
            fate(500, &[Step::Sent(V6)]),
            fate(1, &[Step::Broken, Step::Sent(V6)]),
            fate(
                20,
                &[
                    Step::Silent("Connection timed out", "connect-timeout"),
                    Step::Sent(V4),
                ],
            ),
        ],
    },
    Destination {
        provider: "other",
        domain: "",
        host: "",
        v4: "203.0.113.50",
        v6: "",
        accepts: POSTFIX,
        fates: SMALL,
    },
    Destination {
        provider: "other",
        domain: "",
        host: "",
        v4: "203.0.113.51",
        v6: "",
        accepts: POSTFIX,
        fates: SMALL,
    },
];
