use super::*;
use crate::dns::{DnsError, FixedResolver, RecordType};
use crate::mail::dkim::{Algorithm, KeyRecord, PrivateKey};
use crate::site::Control;
use std::fmt::Write as _;
use std::sync::OnceLock;

const V4: &str = "192.0.2.10";
const V6: &str = "2001:db8::10";

/// A zone in which all is right.
const RIGHT: &str = "\
10.2.0.192.in-addr.arpa. 60 IN PTR mail.example.org.
0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
mail.example.org. 60 IN A 192.0.2.10
mail.example.org. 60 IN AAAA 2001:db8::10
mail.example.org. 60 IN TXT \"v=spf1 a -all\"
example.org. 60 IN MX 10 mail.example.org.
example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all\"
_dmarc.example.org. 60 IN TXT \"v=DMARC1; p=reject; rua=mailto:d@example.org\"
";

fn key() -> &'static KeyRecord {
    static KEY: OnceLock<KeyRecord> = OnceLock::new();
    KEY.get_or_init(|| {
        PrivateKey::generate(Algorithm::Rsa)
            .unwrap()
            .record()
            .unwrap()
    })
}

/// The right zone with lines taken out (those that hold a text) and others put in; `KEY` stands
/// for the key record.
fn zone(without: &[&str], with: &str) -> String {
    let mut zone = String::new();
    let published = format!("s1._domainkey.example.org. 60 IN TXT \"{}\"\n", key())
        .replace("; p=", "; \" \"p=");
    for line in RIGHT.lines().chain(published.lines()) {
        let strings: Vec<String> = line.split('"').map(str::to_owned).collect();
        if !without.iter().any(|text| line.contains(text)) {
            // A string of a TXT record holds 255 bytes.
            let cut: Vec<String> = strings
                .iter()
                .map(|text| {
                    text.as_bytes()
                        .chunks(250)
                        .map(|part| String::from_utf8_lossy(part).into_owned())
                        .collect::<Vec<_>>()
                        .join("\" \"")
                })
                .collect();
            zone.push_str(&cut.join("\""));
            zone.push('\n');
        }
    }
    zone.push_str(&with.replace('|', "\n"));
    zone.push('\n');
    zone
}

fn subject() -> Subject {
    let source = |address: &str| Source {
        address: address.parse().unwrap(),
        known_by: [sources::KnownBy::Interface].into(),
        server: None,
        hello: ["mail.example.org".to_owned()].into(),
        passing: false,
        control: Some(Control::Provider),
        forward_control: Some(Control::Own),
    };
    Subject {
        sources: [V4, V6].map(source).into(),
        senders: vec![Sender::new(
            "example.org".parse().unwrap(),
            senders::KnownBy::Site,
        )],
        keys: vec![Key {
            selector: "s1".to_owned(),
            domain: None,
            path: "/etc/mailfix/key".into(),
            record: Ok(key().clone()),
            is_unmade: false,
        }],
        ..Subject::default()
    }
}

fn checked(zone: &str) -> Report {
    let resolver = FixedResolver::from_zone(zone).unwrap();
    check(&resolver, &subject(), &Provider::demanding())
}

/// A report in a few words: a line an address, a line a domain, then the codes.
fn words(report: &Report) -> String {
    let mut text = String::new();
    for address in &report.addresses {
        let hello: Vec<String> = address
            .hello
            .iter()
            .map(|one| format!("{} {}", one.cell.says, one.spf.says))
            .collect();
        let spf: Vec<&str> = address
            .spf
            .values()
            .map(|cell| cell.says.as_str())
            .collect();
        let google = address
            .receivers
            .iter()
            .find(|one| one.id == "google")
            .unwrap();
        let _ = writeln!(
            text,
            "{}: {} {} | {} | {} | {}",
            address.source.address,
            address.ptr.says,
            address.forward.says,
            hello.join(","),
            spf.join(","),
            google.verdict.word()
        );
    }
    for domain in &report.domains {
        let keys: Vec<&str> = domain
            .dkim
            .iter()
            .map(|key| key.cell.says.as_str())
            .collect();
        let _ = writeln!(
            text,
            "{}: mx {}, dkim {}, dmarc {}, reports {}",
            domain.sender.name,
            domain.mx.cell.says,
            keys.join(","),
            domain.dmarc.cell.says,
            domain.dmarc.reports.says
        );
    }
    let mut codes: Vec<&str> = report.findings.iter().map(|finding| finding.code).collect();
    codes.dedup();
    let outcome = match report.outcome() {
        Outcome::Right => "right",
        Outcome::Wrong => "wrong",
        Outcome::Unasked => "unasked",
    };
    let _ = write!(text, "{outcome}: {}", codes.join(" "));
    text
}

const FINE4: &str = "192.0.2.10: yes yes | yes pass | pass | takes";
const FINE6: &str = "2001:db8::10: yes yes | yes pass | pass | takes";
const FINE: &str = "example.org: mx yes, dkim yes, dmarc reject, reports yes";

/// What a changed zone gives; the lines that are as they should be need not be repeated.
#[track_caller]
fn check_zone(without: &[&str], with: &str, expected: &[&str]) {
    let found = words(&checked(&zone(without, with)));
    let found: Vec<&str> = found
        .lines()
        .filter(|line| ![FINE4, FINE6, FINE].contains(line))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_right_is_found_right() {
    check_zone(&[], "", &["right: "]);
}

#[test]
fn reverse_names_are_followed() {
    check_zone(
        &["ip6.arpa"],
        "",
        &[
            "2001:db8::10: none no | yes pass | pass | refuses",
            "wrong: no-ptr",
        ],
    );
    check_zone(
        &["in-addr.arpa"],
        "",
        &[
            "192.0.2.10: none no | yes pass | pass | may refuse",
            "wrong: no-ptr",
        ],
    );
    let reverse =
        "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR";
    let unconfirmed = [
        "2001:db8::10: yes no | yes pass | pass | refuses",
        "wrong: ptr-unconfirmed",
    ];
    check_zone(
        &["ip6.arpa"],
        &format!("{reverse} other.example."),
        &unconfirmed,
    );
    check_zone(
        &["ip6.arpa"],
        &format!(
            "{reverse} other.example.|other.example. 60 IN A 192.0.2.10|other.example. 60 IN AAAA 2001:db8::99"
        ),
        &unconfirmed,
    );
    // One of several confirms.
    check_zone(
        &[],
        &format!("{reverse} other.example.|{reverse} third.example."),
        &["right: "],
    );
    check_zone(
        &["IN AAAA"],
        "",
        &[
            "2001:db8::10: yes no | other fail | pass | refuses",
            "wrong: ptr-unconfirmed helo-spf helo-elsewhere",
        ],
    );
}

#[test]
fn the_name_in_hello_is_looked_up() {
    let mut subject = subject();
    subject.sources[0].hello = ["mail.local".to_owned()].into();
    subject.sources[1].hello = ["localhost".to_owned()].into();
    let resolver = FixedResolver::from_zone(&zone(&[], "")).unwrap();
    let report = check(&resolver, &subject, &Provider::demanding());
    assert_eq!(
        words(&report),
        "192.0.2.10: yes yes | none none | pass | takes\n\
         2001:db8::10: yes yes | no name - | pass | takes\n\
         example.org: mx yes, dkim yes, dmarc reject, reports yes\n\
         wrong: helo-no-name helo-unresolved"
    );
    // A name without SPF is no fault.
    check_zone(
        &["v=spf1 a -all"],
        "",
        &[
            "192.0.2.10: yes yes | yes none | pass | takes",
            "2001:db8::10: yes yes | yes none | pass | takes",
            "right: ",
        ],
    );
}

/// What SPF records of the domain give for both addresses, the key being right.
#[track_caller]
fn check_spf(records: &str, of_v4: &str, of_v6: &str, end: &str) {
    let report = checked(&zone(&["ip4:192.0.2.10"], records));
    let said: Vec<&str> = report
        .addresses
        .iter()
        .map(|address| address.spf["example.org"].says.as_str())
        .collect();
    assert_eq!(said, [of_v4, of_v6], "{records}");
    let text = words(&report);
    assert_eq!(text.lines().last(), Some(end), "{records}");
}

#[test]
fn spf_is_followed_for_each_address() {
    let own = |text: &str| format!("example.org. 60 IN TXT \"v=spf1 {text}\"");
    check_spf("", "none", "none", "wrong: no-spf");
    // The IPv4 address only.
    check_spf(
        &own("ip4:192.0.2.10 ~all"),
        "pass",
        "softfail",
        "wrong: spf-not-covered",
    );
    check_spf(
        &own("ip4:192.0.2.10 -all"),
        "pass",
        "fail",
        "wrong: spf-not-covered",
    );
    check_spf(
        &own("ip4:192.0.2.10"),
        "pass",
        "neutral",
        "wrong: spf-not-covered",
    );
    check_spf(
        &format!("{}|{}", own("a:mail.example.org -all"), own("mx -all")),
        "permerror",
        "permerror",
        "wrong: spf-several",
    );
    let mut eleven = own(&"include:n?.example ".repeat(11));
    for number in 1..=11 {
        eleven = eleven.replacen('?', &number.to_string(), 1);
    }
    for number in 1..=11 {
        let _ = write!(eleven, "|n{number}.example. 60 IN TXT \"v=spf1 ?all\"");
    }
    check_spf(&eleven, "permerror", "permerror", "wrong: spf-lookups");
    check_spf(
        &own("a:x1.example.org a:x2.example.org a:x3.example.org a:mail.example.org -all"),
        "permerror",
        "permerror",
        "wrong: spf-void-lookups",
    );
    check_spf(
        &format!(
            "{}|a.example.org. 60 IN TXT \"v=spf1 include:example.org -all\"",
            own("include:a.example.org -all")
        ),
        "permerror",
        "permerror",
        "wrong: spf-loop",
    );
    check_spf(
        &format!(
            "{}|$SERVFAIL a.example.org.",
            own("include:a.example.org -all")
        ),
        "temperror",
        "temperror",
        "unasked: dns-unasked",
    );
}

/// What a DKIM record gives; `KEY` is the right one.
#[track_caller]
fn check_key(record: &str, word: &str, end: &str) {
    let (before, after) = record.split_once("KEY").unwrap_or((record, ""));
    let text = if record.contains("KEY") {
        format!("{before}{}{after}", key().key.base64())
    } else {
        record.to_owned()
    };
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(150)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    let line = if record.is_empty() {
        String::new()
    } else {
        format!("s1._domainkey.example.org. 60 IN TXT {}", strings.join(" "))
    };
    let report = checked(&zone(&["s1._domainkey"], &line));
    assert_eq!(report.domains[0].dkim[0].cell.says, word, "{record}");
    let text = words(&report);
    assert_eq!(text.lines().last(), Some(end), "{record}");
}

#[test]
fn keys_are_compared_with_the_one_on_disk() {
    const SMALL: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCZVsGulE+P51Bs4/GzUk9ay22vWfiLoODj\
        06Bs7+nPKwvQZexSb6WvhSS2F8zDD1ROlx72+qT298/v+DdSwCIeKwvDIaQpLRUP1nkd+Cj6djnAGpLxawFl2x7N3N\
        LyrTyW/LJh27tEHVQKSexkw2Y8TwqeFX8cv4TAXDPC9a0NLQIDAQAB";
    // Three strings, joined.
    check_key("v=DKIM1; k=rsa; p=KEY", "yes", "right: ");
    check_key(
        "v=DKIM1; k=rsa; t=s; h=sha1:sha256; s=email; p=KEY",
        "yes",
        "right: ",
    );
    check_key("", "none", "wrong: dkim-missing");
    check_key("v=DKIM1; k=rsa; p=", "revoked", "wrong: dkim-revoked");
    check_key(
        &format!("v=DKIM1; k=rsa; p={SMALL}"),
        "other",
        "wrong: dkim-mismatch",
    );
    check_key("v=DKIM1; k=rsa; p=AAAA", "no key", "wrong: dkim-no-key");
    check_key("k=rsa; v=DKIM1; p=KEY", "no key", "wrong: dkim-no-key");
    check_key("hello", "no key", "wrong: dkim-no-key");
    check_key("v=DKIM1; t=y; p=KEY", "testing", "right: dkim-testing");
    check_key("v=DKIM1; h=sha1; p=KEY", "no sha256", "wrong: dkim-hash");
    check_key("v=DKIM1; s=tlsrpt; p=KEY", "no mail", "wrong: dkim-service");
}

#[test]
fn the_key_may_stand_elsewhere() {
    let moved = zone(&[], "").replace("s1._domainkey.example.org.", "s1.keys.example.");
    let alias = "s1._domainkey.example.org. 60 IN CNAME s1.keys.example.\n";
    let report = checked(&(moved + alias));
    assert_eq!(report.outcome(), Outcome::Right);
    assert_eq!(
        report.domains[0].dkim[0].alias_of.as_deref(),
        Some("s1.keys.example")
    );
    check_zone(
        &[],
        "s1._domainkey.example.org. 60 IN TXT \"v=DKIM1; p=\"",
        &[
            "example.org: mx yes, dkim several, dmarc reject, reports yes",
            "wrong: dkim-several",
        ],
    );
}

/// What a DMARC record gives.
#[track_caller]
fn check_dmarc(record: &str, with: &str, expected: (&str, &str, &str)) {
    let line = format!("_dmarc.example.org. 60 IN TXT \"{record}\"|{with}");
    let report = checked(&zone(&["_dmarc"], &line));
    let dmarc = &report.domains[0].dmarc;
    let text = words(&report);
    let end = text.lines().last().unwrap();
    assert_eq!(
        (dmarc.cell.says.as_str(), dmarc.reports.says.as_str(), end),
        expected,
        "{record}"
    );
}

#[test]
fn the_policy_is_read() {
    check_dmarc("v=DMARC1; p=none", "", ("none", "-", "right: "));
    check_dmarc("v=DMARC1", "", ("wrong", "-", "wrong: dmarc-wrong"));
    check_dmarc(
        "v=DMARC1; rua=mailto:a@example.org",
        "",
        ("none", "yes", "right: dmarc-odd"),
    );
    check_dmarc(
        "v=DMARC1; p=none; pct=50",
        "",
        ("none", "-", "right: dmarc-odd"),
    );
    check_dmarc(
        "v=DMARC1; p=none; rua=mailto:a@other.example",
        "",
        ("none", "refused", "right: dmarc-reports-refused"),
    );
    check_dmarc(
        "v=DMARC1; p=none; rua=mailto:a@other.example!10m",
        "example.org._report._dmarc.other.example. 60 IN TXT \"v=DMARC1\"",
        ("none", "yes", "right: dmarc-odd"),
    );
    check_dmarc(
        "v=DMARC1; p=none; rua=mailto:a@reports.example.org",
        "",
        ("none", "yes", "right: "),
    );
    check_dmarc(
        "v=DMARC1; p=none",
        "_dmarc.example.org. 60 IN TXT \"v=DMARC1; p=reject\"",
        ("several", "-", "wrong: dmarc-several"),
    );
    check_dmarc("v=spf1 -all", "", ("none", "-", "right: no-dmarc"));
    check_zone(
        &["_dmarc"],
        "_dmarc.org. 60 IN TXT \"v=DMARC1; p=quarantine; sp=none; psd=y\"",
        &[
            "example.org: mx yes, dkim yes, dmarc none, reports -",
            "right: ",
        ],
    );
}

#[test]
fn a_policy_turns_against_mail_that_nothing_proves() {
    check_zone(
        &["ip4:192.0.2.10", "s1._domainkey"],
        "example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.10 -all\"",
        &[
            "2001:db8::10: yes yes | yes pass | fail | refuses",
            "example.org: mx yes, dkim none, dmarc reject, reports yes",
            "wrong: spf-not-covered dkim-missing dmarc-refuses",
        ],
    );
}

#[test]
fn a_key_that_nobody_has_made_signs_nothing_and_lacks_no_record() {
    let words_of = |zone: &str, is_unmade: bool| {
        let mut subject = subject();
        subject.keys[0].is_unmade = is_unmade;
        let resolver = FixedResolver::from_zone(zone).unwrap();
        let text = words(&check(&resolver, &subject, &Provider::demanding()));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        lines.join("; ")
    };
    let without = zone(&["s1._domainkey"], "");
    assert_eq!(
        words_of(&without, true),
        "example.org: mx yes, dkim , dmarc reject, reports yes; right: dkim-unknown"
    );
    assert_eq!(
        words_of(&without, false),
        "example.org: mx yes, dkim none, dmarc reject, reports yes; wrong: dkim-missing"
    );
    assert_eq!(
        words_of(&zone(&[], ""), true),
        "example.org: mx yes, dkim yes, dmarc reject, reports yes; right: "
    );
}

#[test]
fn a_domain_nobody_can_answer_is_found() {
    let mx = |word: &str| format!("example.org: mx {word}, dkim yes, dmarc reject, reports yes");
    check_zone(
        &["IN MX"],
        "example.org. 60 IN MX 0 .",
        &[&mx("null"), "wrong: null-mx"],
    );
    check_zone(
        &["IN MX"],
        "",
        &[&mx("none"), "wrong: sender-domain-no-mail"],
    );
    check_zone(
        &["IN MX"],
        "example.org. 60 IN A 192.0.2.1",
        &[&mx("host"), "right: no-mx"],
    );
    check_zone(
        &["IN MX"],
        "example.org. 60 IN MX 5 gone.example.",
        &[&mx("wrong"), "wrong: mx-unresolved"],
    );
    check_zone(
        &[],
        "example.org. 60 IN MX 5 gone.example.",
        &[&mx("some"), "right: mx-unresolved"],
    );
    check_zone(
        &["IN MX"],
        "example.org. 60 IN MX 5 192.0.2.1.",
        &[&mx("wrong"), "wrong: mx-address"],
    );
    check_zone(
        &["IN MX"],
        "example.org. 60 IN MX 5 alias.example.|alias.example. 60 IN CNAME mail.example.org.",
        &[&mx("some"), "right: mx-alias"],
    );
    check_zone(
        &["IN MX"],
        "example.org. 60 IN MX 5 a.example.|$SERVFAIL a.example.",
        &[&mx("?"), "unasked: dns-unasked"],
    );
}

#[test]
fn what_is_said_of_tls_need_not_be_there_and_must_not_be_wrong() {
    let check = |with: &str, expected: (&str, &str, &str)| {
        let report = checked(&zone(&[], with));
        let tls = &report.domains[0].tls;
        let text = words(&report);
        let end = text.lines().last().unwrap();
        assert_eq!(
            (tls.tls_rpt.says.as_str(), tls.mta_sts.says.as_str(), end),
            expected,
            "{with}"
        );
    };
    let rpt = |text: &str| format!("_smtp._tls.example.org. 60 IN TXT \"{text}\"");
    let sts = |text: &str| format!("_mta-sts.example.org. 60 IN TXT \"{text}\"");
    let host = "mta-sts.example.org. 60 IN A 192.0.2.80";
    check("", ("-", "-", "right: "));
    check(
        &rpt("v=TLSRPTv1; rua=mailto:t@example.org"),
        ("yes", "-", "right: "),
    );
    check(&rpt("v=TLSRPTv1"), ("wrong", "-", "wrong: tls-rpt-wrong"));
    check(&rpt("something else"), ("-", "-", "right: "));
    let good = sts("v=STSv1; id=1");
    check(&format!("{good}|{host}"), ("-", "yes", "right: "));
    check(&good, ("-", "no host", "wrong: mta-sts-no-host"));
    check(&sts("v=STSv1"), ("-", "wrong", "wrong: mta-sts-wrong"));
    check(
        &format!("{good}|{}", sts("v=STSv1; id=2")),
        ("-", "several", "wrong: mta-sts-wrong"),
    );
    check(
        &format!("{good}|$SERVFAIL mta-sts.example.org."),
        ("-", "?", "unasked: dns-unasked"),
    );
}

#[test]
fn strangers_only_have_to_exist() {
    let resolver =
        FixedResolver::from_zone(&zone(&[], "there.example. 60 IN A 192.0.2.1")).unwrap();
    let stranger = |name: &str, by: senders::KnownBy| Sender::new(name.parse().unwrap(), by);
    let mut subject = subject();
    subject.strangers = vec![
        stranger("there.example", senders::KnownBy::Logged),
        stranger("gone.example", senders::KnownBy::Logged),
    ];
    let report = check(&resolver, &subject, &[]);
    assert_eq!(report.outcome(), Outcome::Right);
    let [finding] = report.findings.as_slice() else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(
        finding.title,
        "mail is sent for `gone.example`, and there is no such domain"
    );
    subject.strangers[1]
        .known_by
        .insert(senders::KnownBy::Submitted);
    assert_eq!(check(&resolver, &subject, &[]).outcome(), Outcome::Wrong);
}

/// Answers nothing in time.
struct Silent;

impl Resolver for Silent {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<crate::dns::Answer, DnsError> {
        Err(DnsError::Timeout {
            name: name.clone(),
            kind,
            server: "192.0.2.53:53".to_owned(),
        })
    }
}

#[test]
fn what_nobody_answers_is_never_missing() {
    let report = check(&Silent, &subject(), &Provider::demanding());
    assert_eq!(
        words(&report),
        "192.0.2.10: ? ? | ? temperror | temperror | ?\n\
         2001:db8::10: ? ? | ? temperror | temperror | ?\n\
         example.org: mx ?, dkim ?, dmarc ?, reports -\n\
         unasked: dns-unasked"
    );
    // A fault that is known is one, whatever else could not be asked.
    let broken = zone(&["ip6.arpa"], "$SERVFAIL 10.2.0.192.in-addr.arpa.");
    assert_eq!(checked(&broken).outcome(), Outcome::Wrong);
    let lame = zone(&[], "$SERVFAIL mail.example.org.");
    assert_eq!(checked(&lame).outcome(), Outcome::Unasked);
}

#[test]
fn hostile_text_is_harmless() {
    let hostile = "\\027[2J\\007`rm -rf`";
    let report = checked(&zone(
        &["ip6.arpa", "v=spf1 ip4", "_dmarc", "s1._domainkey"],
        &format!(
            "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR evil\\027\\091.example.|\
             example.org. 60 IN TXT \"v=spf1 {hostile}:x -all\"|\
             s1._domainkey.example.org. 60 IN TXT \"{hostile}\"|\
             _dmarc.example.org. 60 IN TXT \"v=DMARC1; p={hostile}\""
        ),
    ));
    let json = serde_json::to_string(&report).unwrap();
    assert!(
        !json.contains('\u{1b}') && !json.contains('\u{7}'),
        "{json}"
    );
    for finding in &report.findings {
        assert!(
            !finding.in_words().chars().any(char::is_control),
            "{finding:?}"
        );
    }
    assert_eq!(report.outcome(), Outcome::Wrong);
}
