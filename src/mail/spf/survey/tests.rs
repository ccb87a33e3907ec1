//! Trees over a zone in text.

use super::*;
use crate::dns::{FixedResolver, Resolver};
use crate::mail::spf::as_if;

const ZONE: &str = "\
example.org.       300 IN A    192.0.2.1
example.org.       300 IN MX   10 mail.example.org.
mail.example.org.  300 IN A    192.0.2.1
mail.example.org.  300 IN AAAA 2001:db8::1
mail2.example.org. 300 IN A    192.0.2.2
big.example.       300 IN TXT  \"v=spf1 include:a.big.example include:b.big.example ~all\"
a.big.example.     300 IN TXT  \"v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/25 ip6:2001:db8:a::/48 ip4:203.0.113.128/25 -all\"
b.big.example.     300 IN TXT  \"v=spf1 ip6:2001:db8:b::/48 -all a:never.example\"
empty.example.     300 IN TXT  \"v=spf1 -all\"
loop.example.      300 IN TXT  \"v=spf1 include:back.example -all\"
back.example.      300 IN TXT  \"v=spf1 redirect=loop.example\"
two.example.       300 IN TXT  \"v=spf1 -all\"
two.example.       300 IN TXT  \"v=spf1 a -all\"
bad.example.       300 IN TXT  \"v=spf1 ip:192.0.2.1 -all\"
$SERVFAIL broken.example.
fan.example.       300 IN TXT  \"v=spf1 include:%{d} include:1.fan.example include:1.fan.example -all\"
1.fan.example.     300 IN TXT  \"v=spf1 include:2.fan.example include:2.fan.example include:2.fan.example -all\"
2.fan.example.     300 IN TXT  \"v=spf1 include:3.fan.example include:3.fan.example include:3.fan.example -all\"
3.fan.example.     300 IN TXT  \"v=spf1 include:4.fan.example include:4.fan.example include:4.fan.example -all\"
4.fan.example.     300 IN TXT  \"v=spf1 a:x.example a:y.example a:z.example -all\"
";

fn surveyed(text: &str) -> Survey {
    let resolver = FixedResolver::from_zone(ZONE).unwrap();
    let domain = "example.org".parse().unwrap();
    let lookup = |name: &Name, kind| resolver.lookup(name, kind);
    survey(&domain, &as_if(&domain, text, &lookup))
}

fn check(text: &str, expected: &str) {
    assert_eq!(surveyed(text).to_string(), expected, "{text}");
}

fn findings(text: &str) -> Vec<String> {
    let found = surveyed(text).findings();
    let words =
        |finding: &crate::finding::Finding| format!("{}: {}", finding.code, finding.in_words());
    found.iter().map(words).collect()
}

#[test]
fn trees_are_drawn_with_counts() {
    check(
        "v=spf1 a mx -ptr include:big.example exists:%{i}.example.org a:nobody.example.org -all mx",
        "\
example.org
  1  a  = 192.0.2.1
  2  mx  = 192.0.2.1, 2001:db8::1
  3  -ptr  (depends on the message)
  4  include:big.example
  5    include:a.big.example
         (3 ip4, 1 ip6)
         -all
  6    include:b.big.example
         ip6:2001:db8:b::/48
         -all
         a:never.example  (never reached)
       ~all
  7  exists:%{i}.example.org  (depends on the message)
  8  a:nobody.example.org  = nothing
     -all
     mx  (never reached)
8 of 10 lookups; of 2 that may find nothing 1 over IPv4, 2 over IPv6",
    );
    check(
        "v=spf1 include:bad.example include:broken.example include:loop.example redirect=two.example",
        "\
example.org
  1  include:bad.example
       ! the SPF record of `bad.example` is wrong: `ip` is no mechanism; there
           are all, include, a, mx, ptr, ip4, ip6, exists
  2  include:broken.example
       ! the zone text failed (SERVFAIL) on TXT of `broken.example`
  3  include:loop.example
  4    include:back.example
  5      redirect=loop.example
           ! `loop.example` leads back to itself: loop.example > back.example >
               loop.example
       -all
  6  redirect=two.example
       ! `two.example` has 2 SPF records; receivers take that for an error
a record leads back to itself: receivers stop with an error
6 of 10 lookups; of 2 that may find nothing 0 over IPv4, 0 over IPv6",
    );
}

#[test]
fn a_receiver_whose_mail_nothing_matches_counts_the_same() {
    use crate::mail::spf::{Identity, check_host};
    let resolver = FixedResolver::from_zone(ZONE).unwrap();
    let domain = "example.org".parse().unwrap();
    let lookup = |name: &Name, kind| resolver.lookup(name, kind);
    let text = "v=spf1 a mx include:big.example a:nobody.example.org redirect=empty.example";
    let known = as_if(&domain, text, &lookup);
    let costs = survey(&domain, &known).costs;
    for (address, void) in [
        ("192.0.2.99", costs.void_ipv4),
        ("2001:db8:99::1", costs.void_ipv6),
    ] {
        let identity = Identity::mail_from(address.parse().unwrap(), "x", "bob@example.org");
        let judgement = check_host(&identity, &known);
        assert_eq!(judgement.lookups, costs.lookups);
        assert_eq!(judgement.void_lookups, void);
    }
}

#[test]
fn what_could_be_dropped() {
    let check = |text: &str, expected: &[&str]| {
        let savings: Vec<String> = surveyed(text)
            .savings()
            .iter()
            .map(|saving| format!("{} ({}): {}", saving.term, saving.saves, saving.waste))
            .collect();
        assert_eq!(savings, expected, "{text}");
    };
    check("v=spf1 include:big.example ip4:192.0.2.1 -all", &[]);
    check(
        "v=spf1 include:empty.example include:big.example include:a.big.example ptr -all",
        &[
            "include:empty.example (1): it names no address",
            "include:a.big.example (1): `include:big.example` includes the same record",
            "ptr (1): it is slow and unreliable, and some receivers ignore it",
        ],
    );
    check(
        "v=spf1 a mx a:mail.example.org ?a:mail2.example.org a:nobody.example.org ip4:192.0.2.0/24 -all",
        &[
            "a (1): all it names is named by `ip4:192.0.2.0/24` too",
            "a:mail.example.org (1): all it names is named by `mx` too",
            "a:nobody.example.org (1): it names no address",
            "mx (1): written as `ip4:192.0.2.1 ip6:2001:db8::1` it needs no lookup, but has to \
             follow when they change",
            "?a:mail2.example.org (1): written as `?ip4:192.0.2.2` it needs no lookup, but has to \
             follow when they change",
        ],
    );
    check("v=spf1 redirect=big.example", &[]);
}

#[test]
fn limits_are_findings_that_say_what_to_drop() {
    let terms = "include:big.example a mx ".repeat(3);
    assert_eq!(
        findings(&format!("v=spf1 {terms}-all"))[0],
        "spf-lookups: the SPF record of `example.org` causes 15 lookups, and receivers stop at 10; \
         beyond that the result is `permerror`, and no sender of the domain passes; \
         drop or rewrite `include:big.example` of `example.org` (saves 3): it stands there twice; `a` of \
         `example.org` (saves 1): it stands there twice; `mx` of `example.org` (saves 1): it \
         stands there twice; `include:big.example` of `example.org` (saves 3): it stands there \
         twice; `a` of `example.org` (saves 1): it stands there twice"
    );
    assert_eq!(
        findings("v=spf1 a:mail2.example.org a:mail2.example.org a:mail2.example.org -all")[0],
        "spf-void-lookups: the SPF record of `example.org` causes 3 lookups that find nothing for \
         mail over IPv6, and many receivers stop at 2; \
         beyond that the result is `permerror`, and no sender of the domain passes; \
         drop terms that name nothing, or write addresses in place of names that lack one of A and \
         AAAA: `a:mail2.example.org` of `example.org`, `a:mail2.example.org` of `example.org`, \
         `a:mail2.example.org` of `example.org`"
    );
    assert!(surveyed(&format!("v=spf1 {terms}-all")).is_wrong());
    assert!(!surveyed("v=spf1 a mx -all").is_wrong());
    assert!(surveyed("v=spf1 include:loop.example -all").is_wrong());
    let unasked = surveyed("v=spf1 include:broken.example -all");
    assert!(!unasked.is_wrong() && unasked.unasked().is_some());
}

#[test]
fn long_and_open_records_are_told_of() {
    let long = "ip4:192.0.2.200 ".repeat(30);
    let codes: Vec<&str> = surveyed(&format!("v=spf1 {long}+all"))
        .findings()
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes.first(), Some(&"spf-long"));
    assert_eq!(codes.last(), Some(&"spf-open"));
}

#[test]
fn hostile_records_end() {
    let survey = surveyed("v=spf1 include:fan.example -all");
    assert!(!survey.complete && survey.endless);
    assert!(survey.costs.lookups <= MAX_TERMS, "{:?}", survey.costs);
    assert!(survey.to_string().lines().count() < 500);
}

#[test]
fn long_records_make_few_findings_and_few_lines() {
    for (text, findings_at_most) in [
        (format!("v=spf1{}", " a".repeat(20_000)), 12),
        (format!("v=spf1{} -all", " ip4:192.0.2.1".repeat(4000)), 7),
        (format!("v=spf1 -all{}", " mx".repeat(15_000)), 7),
        (format!("v=spf1{}", " wrong".repeat(8000)), 6),
        (format!("v=spf1 {}", "w".repeat(60_000)), 1),
        (format!("v=spf1{}", " x=1".repeat(15_000)), 1),
    ] {
        let shown = text.get(..20).unwrap_or(&text);
        let survey = surveyed(&text);
        let drawn = survey.to_string();
        assert!(drawn.lines().count() < 450, "{shown}");
        assert!(drawn.len() < 30_000, "{shown}");
        let findings = survey.findings();
        assert!(findings.len() <= findings_at_most, "{shown} {findings:#?}");
        let length = |finding: &crate::finding::Finding| {
            let place = finding.place.as_ref();
            finding.in_words().len() + place.map_or(0, |place| place.source.len())
        };
        assert!(findings.iter().map(length).max() < Some(2000), "{shown}");
    }
    assert_eq!(
        findings(&format!("v=spf1{} -all", " ip4:192.0.2.1".repeat(4000))).last(),
        Some(&"spf-odd: and 3994 more of these in the SPF record of `example.org`".to_owned())
    );
}

#[test]
fn programs_read_it_too() {
    let json = serde_json::to_value(surveyed("v=spf1 mx include:two.example -all")).unwrap();
    assert_eq!(json["costs"]["lookups"], 2);
    assert_eq!(json["tree"]["domain"], "example.org");
    assert_eq!(json["tree"]["branches"][0]["networks"][0], "192.0.2.1/32");
    assert_eq!(
        json["tree"]["branches"][1]["tree"]["fault"],
        "`two.example` has 2 SPF records; receivers take that for an error"
    );
}

#[test]
fn dead_servers_are_not_waited_for_again_and_again() {
    let asked = Cell::new(0);
    let domain: Name = "example.org".parse().unwrap();
    let silence = |name: &Name, kind| {
        asked.set(asked.get() + 1);
        let (name, server) = (name.clone(), "192.0.2.53".to_owned());
        Err(DnsError::Timeout { name, kind, server })
    };
    let terms: Vec<String> = (0..9).map(|at| format!("a:h{at}.example")).collect();
    let text = format!("v=spf1 {} -all", terms.join(" "));
    let survey = survey(&domain, &as_if(&domain, &text, &silence));
    assert_eq!(asked.get(), MAX_SILENT);
    assert!(!survey.complete && !survey.is_wrong());
    assert!(survey.unasked().is_some());
    let codes: Vec<&str> = survey
        .findings()
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes[..MAX_SILENT], ["dns-unasked"; MAX_SILENT]);
}
