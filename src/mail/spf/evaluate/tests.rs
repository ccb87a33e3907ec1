//! Verdicts over a zone in text.

use super::*;
use crate::dns::{FixedResolver, Resolver};
use crate::mail::spf::{as_if, is_spf, published};

const ZONE: &str = "\
mail.example.org.  300 IN A    192.0.2.1
mail.example.org.  300 IN AAAA 2001:db8::1
example.org.       300 IN MX   10 mail.example.org.
v4.example.org.    300 IN A    192.0.2.1
v4.example.org.    300 IN MX   10 v4.example.org.
null.example.org.  300 IN MX   0 .
inc.example.org.   300 IN TXT  \"v=spf1 ip6:2001:db8:1::/48 -all\"
open.example.org.  300 IN TXT  \"v=spf1 +all\"
loop.example.org.  300 IN TXT  \"v=spf1 include:loop.example.org -all\"
two.example.org.   300 IN TXT  \"v=spf1 -all\"
two.example.org.   300 IN TXT  \"v=spf1 a -all\"
bad.example.org.   300 IN TXT  \"v=spf1 ip:192.0.2.1 -all\"
text.example.org.  300 IN TXT  \"v=spf10 is something else\"
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR mail.example.org.
$SERVFAIL broken.example.org.
";

fn judge(text: &str, address: &str) -> Result<Judgement, Unconfirmed> {
    let resolver = FixedResolver::from_zone(ZONE).unwrap();
    let domain = "example.org".parse().unwrap();
    let lookup = |name: &Name, kind| resolver.lookup(name, kind);
    let identity = Identity::mail_from(
        address.parse().unwrap(),
        "mail.example.org",
        "bob@example.org",
    );
    let judgement = check_host(&identity, &as_if(&domain, text, &lookup));
    match &judgement.why {
        Some(why) => {
            assert_eq!(judgement.status, why.status());
            Err(why.clone())
        }
        None => Ok(judgement),
    }
}

/// Expected: status, deciding term, whether the address counts as named.
fn check(text: &str, address: &str, status: Status, by: Option<&str>, covers: bool) {
    let verdict = judge(text, address).unwrap();
    assert_eq!(verdict.status, status, "{text} {address}");
    assert_eq!(verdict.by.as_ref().map(|by| by.term.as_str()), by, "{text}");
    assert_eq!(verdict.covers(), covers, "{text}");
}

#[test]
fn verdicts() {
    use Status::{Fail, Neutral, Pass, SoftFail};
    let (v6, v4) = ("2001:db8::1", "192.0.2.1");
    check(
        "v=spf1 ip6:2001:db8::1 -all",
        v6,
        Pass,
        Some("ip6:2001:db8::1"),
        true,
    );
    check("v=spf1 ip4:192.0.2.1 -all", v6, Fail, Some("-all"), false);
    check(
        "v=spf1 ip4:192.0.2.1 ~all",
        v6,
        SoftFail,
        Some("~all"),
        false,
    );
    check("v=spf1 ip4:192.0.2.1", v6, Neutral, None, false);
    check("v=spf1", v6, Neutral, None, false);
    check(
        "v=spf1 ?ip6:2001:db8::1 -all",
        v6,
        Neutral,
        Some("?ip6:2001:db8::1"),
        false,
    );
    check(
        "v=spf1 a:mail.example.org -all",
        v6,
        Pass,
        Some("a:mail.example.org"),
        true,
    );
    check(
        "v=spf1 a:mail.example.org//64 -all",
        "2001:db8::9",
        Pass,
        Some("a:mail.example.org//64"),
        true,
    );
    check(
        "v=spf1 a:v4.example.org/24 -all",
        "192.0.2.200",
        Pass,
        Some("a:v4.example.org/24"),
        true,
    );
    check("v=spf1 a -all", v6, Fail, Some("-all"), false);
    check("v=spf1 mx -all", v6, Pass, Some("mx"), true);
    check(
        "v=spf1 mx:v4.example.org -all",
        v6,
        Fail,
        Some("-all"),
        false,
    );
    check(
        "v=spf1 mx:null.example.org -all",
        v6,
        Fail,
        Some("-all"),
        false,
    );
    check("v=spf1 +all", v6, Pass, Some("+all"), false);
    check("v=spf1 ptr -all", v6, Pass, Some("ptr"), false);
    check(
        "v=spf1 exists:mail.example.org -all",
        v6,
        Pass,
        Some("exists:mail.example.org"),
        false,
    );
    check(
        "v=spf1 ip4:192.0.2.1 -all",
        "::ffff:192.0.2.1",
        Pass,
        Some("ip4:192.0.2.1"),
        true,
    );
    check(
        "v=spf1 ip4:192.0.2.1 -all",
        v4,
        Pass,
        Some("ip4:192.0.2.1"),
        true,
    );
}

#[test]
fn other_records_are_followed() {
    use Status::{Fail, Pass, SoftFail};
    let inside = "2001:db8:1::5";
    check(
        "v=spf1 include:inc.example.org ~all",
        inside,
        Pass,
        Some("ip6:2001:db8:1::/48"),
        true,
    );
    // A fail inside does not decide outside.
    check(
        "v=spf1 include:inc.example.org ~all",
        "2001:db8::1",
        SoftFail,
        Some("~all"),
        false,
    );
    check(
        "v=spf1 include:open.example.org -all",
        "2001:db8::1",
        Pass,
        Some("+all"),
        false,
    );
    check(
        "v=spf1 -include:inc.example.org ~all",
        inside,
        Fail,
        Some("ip6:2001:db8:1::/48"),
        false,
    );
    check(
        "v=spf1 redirect=inc.example.org",
        inside,
        Pass,
        Some("ip6:2001:db8:1::/48"),
        true,
    );
    check(
        "v=spf1 redirect=inc.example.org",
        "2001:db8::1",
        Fail,
        Some("-all"),
        false,
    );
    check(
        "v=spf1 ~all redirect=inc.example.org",
        inside,
        SoftFail,
        Some("~all"),
        false,
    );
}

#[test]
fn what_cannot_be_confirmed() {
    let check = |text: &str, expected: &str| {
        let error = judge(text, "2001:db8::1").expect_err(text).to_string();
        assert_eq!(error, expected, "{text}");
    };
    check(
        "v=spf1 a:broken.example.org ip6:2001:db8::1 -all",
        "the zone text failed (SERVFAIL) on AAAA of `broken.example.org`",
    );
    check(
        "v=spf1 include:text.example.org -all",
        "`text.example.org` has no SPF record, and `include:text.example.org` needs one",
    );
    check(
        "v=spf1 redirect=nobody.example.org",
        "`nobody.example.org` has no SPF record, and `redirect=nobody.example.org` needs one",
    );
    check(
        "v=spf1 include:two.example.org -all",
        "`two.example.org` has 2 SPF records; receivers take that for an error",
    );
    check(
        "v=spf1 include:bad.example.org -all",
        "the SPF record of `bad.example.org` is wrong: `ip` is no mechanism; there are all, \
             include, a, mx, ptr, ip4, ip6, exists",
    );
    check(
        "v=spf1 include:loop.example.org -all",
        "the SPF record of `example.org` causes more than 10 lookups",
    );
    check(
        "v=spf1 a:x.example.org a:y.example.org a:z.example.org ip6:2001:db8::1 -all",
        "the SPF record of `example.org` causes more than 2 lookups that find nothing",
    );
    check(
        "v=spf1 include:%{l}..example.org -all",
        "`include:%{l}..example.org` leads to `bob..example.org`, which is no domain that DNS could \
         hold",
    );
}

#[test]
fn a_match_ends_the_walk() {
    // What stands behind the match is not looked up, as receivers do.
    let verdict = judge(
        "v=spf1 ip6:2001:db8::1 a:broken.example.org -all",
        "2001:db8::1",
    );
    assert!(verdict.unwrap().covers());
}

#[test]
fn exactly_ten_terms_are_allowed() {
    let terms = |count| {
        let term = "a:v4.example.org/32 ".repeat(count);
        judge(&format!("v=spf1 {term}-all"), "192.0.2.77").map(|verdict| verdict.status)
    };
    assert_eq!(terms(10), Ok(Status::Fail));
    assert!(terms(11).is_err());
}

#[test]
fn published_records() {
    let resolver = FixedResolver::from_zone(ZONE).unwrap();
    let fetch = |domain: &str| {
        published(&domain.parse().unwrap(), &|name, kind| {
            resolver.lookup(name, kind)
        })
    };
    let found = fetch("inc.example.org").unwrap().unwrap();
    assert_eq!(found.to_string(), "v=spf1 ip6:2001:db8:1::/48 -all");
    assert_eq!(fetch("text.example.org"), Ok(None));
    assert_eq!(fetch("mail.example.org"), Ok(None));
    assert_eq!(fetch("nobody.example.org"), Ok(None));
    let fails = |domain: &str| fetch(domain).unwrap_err();
    assert!(matches!(
        fails("two.example.org"),
        Unconfirmed::SeveralRecords { count: 2, .. }
    ));
    assert!(matches!(
        fails("bad.example.org"),
        Unconfirmed::Syntax { .. }
    ));
    assert!(matches!(
        fails("broken.example.org"),
        Unconfirmed::Lookup(_)
    ));
}

#[test]
fn spf_records_are_told_from_other_text() {
    for text in ["v=spf1", "v=spf1 -all", "V=SPF1 a"] {
        assert!(is_spf(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        "v=spf10",
        "v=spf1\t-all",
        "spf1",
        " v=spf1",
        "v=DKIM1",
        "v=sp\u{fc}f",
    ] {
        assert!(!is_spf(text.as_bytes()), "{text}");
    }
}

#[test]
fn results_that_depend_on_the_message_say_so() {
    let judgement = judge("v=spf1 exists:%{l}.example.org -all", "192.0.2.1").unwrap();
    assert_eq!(
        judgement.message_term.unwrap().to_string(),
        "`exists:%{l}.example.org` in the SPF record of `example.org` depends on the message"
    );
    let judgement = judge("v=spf1 exists:%{i}.example.org -all", "192.0.2.1").unwrap();
    assert_eq!(judgement.message_term, None);
}

#[test]
fn senders_without_a_record_get_none() {
    let resolver = FixedResolver::from_zone(ZONE).unwrap();
    let status = |sender: &str| {
        let identity = Identity::mail_from("192.0.2.1".parse().unwrap(), "localhost", sender);
        let judgement = check_host(&identity, &|name, kind| resolver.lookup(name, kind));
        (judgement.status, judgement.why.map(|why| why.to_string()))
    };
    let none = |why: &str| (Status::None, Some(why.to_owned()));
    assert_eq!(
        status(""),
        none("`localhost` is no domain that SPF could be asked of")
    );
    assert_eq!(
        status("bob@[192.0.2.1]"),
        none("`[192.0.2.1]` is no domain that SPF could be asked of")
    );
    assert_eq!(
        status("bob@nobody.example.org"),
        none("`nobody.example.org` has no SPF record")
    );
    assert_eq!(status("bob@broken.example.org").0, Status::TempError);
}
