use std::fmt::Write as _;
use std::net::IpAddr;

use camino::Utf8Path;

use super::*;
use crate::dns::{FixedResolver, zone};
use crate::mail::spf::{Identity, check_host};

const SITE: &str = r#"
allow_non_global = true
[server]
hostname = "mail.example.org"
ipv4 = ["192.0.2.25"]
ipv6 = ["2001:db8::25"]
[[other_server]]
name = "backup.example.org"
ipv4 = ["198.51.100.7"]
[[domain]]
name = "example.org"
[dmarc]
reports = "mailto:dmarc@example.org"
"#;

fn site(text: &str) -> Site {
    Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
}

/// The site with more in it: `more` goes in front of the first table.
fn with(more: &str) -> Site {
    site(&format!("{SITE}{more}"))
}

fn key() -> SigningKey {
    SigningKey {
        selector: "s1".to_owned(),
        record: KeyRecord::parse("v=DKIM1; k=rsa; p=AAAA").unwrap(),
    }
}

fn zone_of(text: &str) -> FixedResolver {
    FixedResolver::from_zone(text).unwrap()
}

/// The records as lines of zone text with single blanks, the TTL left out.
fn lines(needed: &[Needed]) -> Vec<String> {
    let records: Vec<Record> = needed.iter().map(|one| one.record.clone()).collect();
    zone::write(&records)
        .lines()
        .map(|line| {
            let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            line.replace(" 3600 IN", "")
        })
        .collect()
}

/// The text of the one record of a role at a name, and why it is there.
#[track_caller]
fn text(records: &Records, role: Role, owner: &str) -> (String, String) {
    let owner: Name = owner.parse().unwrap();
    let mut found = records
        .needed
        .iter()
        .filter(|one| one.role == role && one.record.owner == owner);
    let one = found.next().expect("it is there");
    assert!(found.next().is_none(), "one is enough");
    let RecordData::Txt(text) = &one.record.data else {
        panic!("it is text");
    };
    (String::from_utf8(text.clone()).unwrap(), one.why.clone())
}

fn refused(records: &Records) -> Vec<String> {
    records.refused.iter().map(ToString::to_string).collect()
}

/// The SPF record of `example.org`, where one stands there.
#[track_caller]
fn spf(site: &Site, zone: &str, expected: &str) -> String {
    let found = records(site, &[], Some(&zone_of(zone)));
    assert_eq!(refused(&found), [""; 0]);
    let (spf, why) = text(&found, Role::Spf, "example.org");
    assert_eq!(spf, expected);
    why
}

#[test]
fn the_whole_set() {
    let site = with(
        "[third_parties]\nspf_includes = ['_spf.example.com']\n\
         [tls_rpt]\nreports = 'mailto:tls@example.org'\n\
         [mta_sts]\nmode = 'enforce'\n\
         [[domain]]\nname = 'example.net'\nmx = ['10 mail.example.org']\n\
         [[domain]]\nname = 'www.example.org'\nsends = false\nmx = []\n",
    );
    let found = records(&site, &[key()], None);
    let shown = lines(&found.needed);
    assert_eq!(
        shown[..15],
        [
            "mail.example.org. A 192.0.2.25",
            "mail.example.org. AAAA 2001:db8::25",
            "backup.example.org. A 198.51.100.7",
            "25.2.0.192.in-addr.arpa. PTR mail.example.org.",
            "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mail.example.org.",
            "7.100.51.198.in-addr.arpa. PTR backup.example.org.",
            "mail.example.org. TXT \"v=spf1 a -all\"",
            "backup.example.org. TXT \"v=spf1 a -all\"",
            "example.org. TXT \"v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 include:_spf.example.com ~all\"",
            "s1._domainkey.example.org. TXT \"v=DKIM1; k=rsa; p=AAAA\"",
            "_dmarc.example.org. TXT \"v=DMARC1; p=none; rua=mailto:dmarc@example.org\"",
            "_smtp._tls.example.org. TXT \"v=TLSRPTv1; rua=mailto:tls@example.org\"",
            "example.net. MX 10 mail.example.org.",
            "example.net. TXT \"v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 include:_spf.example.com ~all\"",
            "s1._domainkey.example.net. TXT \"v=DKIM1; k=rsa; p=AAAA\"",
        ]
    );
    let (domain, policy) = &found.policies[0];
    assert_eq!(domain.host(), "example.net");
    let announced = crate::mail::mta_sts::MtaSts::of(policy).to_string();
    assert_eq!(
        shown[15..],
        [
            "_dmarc.example.net. TXT \"v=DMARC1; p=none; rua=mailto:dmarc@example.org\"".to_owned(),
            "example.net._report._dmarc.example.org. TXT \"v=DMARC1\"".to_owned(),
            "_smtp._tls.example.net. TXT \"v=TLSRPTv1; rua=mailto:tls@example.org\"".to_owned(),
            format!("_mta-sts.example.net. TXT \"{announced}\""),
            "www.example.org. MX 0 .".to_owned(),
            "www.example.org. TXT \"v=spf1 -all\"".to_owned(),
            "_dmarc.www.example.org. TXT \"v=DMARC1; p=reject\"".to_owned(),
        ]
    );
    assert_eq!(
        policy.to_string(),
        "version: STSv1\nmode: enforce\nmx: mail.example.org\nmax_age: 604800\n"
    );
    assert_eq!(
        refused(&found),
        [
            "the MTA-STS policy of `example.org` has to name the hosts that take its mail, and there \
          are none"
        ]
    );
    assert_eq!(found.elsewhere, []);
}

#[test]
fn reasons_say_what_happens_to_a_record_that_stands_there() {
    let site = site(SITE);
    assert_eq!(
        spf(
            &site,
            "",
            "v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 ~all"
        ),
        "names the hosts that may send mail for `example.org`"
    );
    assert_eq!(
        spf(
            &site,
            "example.org. 60 IN TXT \"v=spf1 mx -all\"\n",
            "v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 mx -all"
        ),
        "replaces the SPF record of `example.org`, which lacks some of its senders"
    );
    let whole = "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 -all";
    assert_eq!(
        spf(
            &site,
            &format!("example.org. 60 IN TXT \"{whole}\"\n"),
            whole
        ),
        "stands there and names every host that sends mail for `example.org`"
    );
    assert_eq!(
        spf(
            &site,
            "example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.25 -all\"\n\
             example.org. 60 IN TXT \"site-verification=1\"\n\
             example.org. 60 IN TXT \"v=spf1 ip4:198.51.100.7 ~all\"\n",
            "v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 ~all"
        ),
        "unites the 2 SPF records of `example.org`; receivers go by none of several"
    );
}

#[test]
fn what_a_mechanism_will_cover_is_not_named_again() {
    // Neither AAAA nor MX stand there yet: they are planned.
    let site = site(&SITE.replace(
        "name = \"example.org\"\n",
        "name = \"example.org\"\nmx = [\"10 mail.example.org\", \"20 backup.example.org\"]\n",
    ));
    let why = spf(
        &site,
        "example.org. 60 IN TXT \"v=spf1 mx -all\"\nmail.example.org. 60 IN A 192.0.2.25\n",
        "v=spf1 mx -all",
    );
    assert_eq!(
        why,
        "stands there and names every host that sends mail for `example.org`"
    );
}

#[test]
fn a_server_that_is_a_domain_too_has_one_record() {
    let site = site(&SITE.replace("mail.example.org", "example.org"));
    let found = records(&site, &[], Some(&zone_of("")));
    let (spf, _) = text(&found, Role::Spf, "example.org");
    assert_eq!(
        spf,
        "v=spf1 ip4:192.0.2.25 ip4:198.51.100.7 ip6:2001:db8::25 ~all"
    );
}

#[test]
fn the_record_of_a_servers_own_name_is_added_to() {
    let found = records(
        &site(SITE),
        &[],
        Some(&zone_of(
            "mail.example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.25 -all\"\n",
        )),
    );
    let (spf, why) = text(&found, Role::Spf, "mail.example.org");
    assert_eq!(spf, "v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all");
    assert_eq!(
        why,
        "bounces have no sender, so the name that the server says, `mail.example.org`, is judged"
    );
}

/// A web server, two application servers and a balancer that all send for one domain.
const FOUR: &str = r#"
[server]
hostname = "hoge.com"
shared_name = "mail.hoge.com"
ipv4 = ["1.1.1.1"]
ipv6 = ["2401:2500:100:2200:1:1:1:1"]
[[other_server]]
name = "web01.hoge.com"
ipv4 = ["1.1.1.2"]
ipv6 = ["2401:2500:100:2200:1:1:1:2"]
[[other_server]]
name = "app01.hoge.com"
ipv4 = ["1.1.1.3"]
ipv6 = ["2401:2500:100:2200:1:1:1:3"]
[[other_server]]
name = "app02.hoge.com"
ipv4 = ["1.1.1.4"]
ipv6 = ["2401:2500:100:2200:1:1:1:4"]
[[domain]]
name = "hoge.com"
[third_parties]
spf_includes = ["_spf.google.com"]
"#;

const GOOGLE: &str = "_spf.google.com. 60 IN TXT \"v=spf1 ip4:35.190.247.0/24 ~all\"\n";

#[test]
fn four_servers_share_a_name_and_pass_from_all_eight_addresses() {
    let site = site(FOUR);
    for (existing, expected) in [
        ("", "v=spf1 a:mail.hoge.com include:_spf.google.com ~all"),
        (
            "hoge.com. 60 IN TXT \"v=spf1 include:_spf.google.com a:mail.hoge.com ~all\"\n\
             mail.hoge.com. 60 IN A 1.1.1.1\n",
            "v=spf1 include:_spf.google.com a:mail.hoge.com ~all",
        ),
        (
            "hoge.com. 60 IN TXT \"v=spf1 +a:hoge.com +a:web01.hoge.com +a:app01.hoge.com \
             +a:app02.hoge.com include:_spf.google.com ~all\"\n",
            "v=spf1 +a:hoge.com +a:web01.hoge.com +a:app01.hoge.com +a:app02.hoge.com \
             include:_spf.google.com ~all",
        ),
    ] {
        let live = zone_of(&format!("{GOOGLE}{existing}"));
        let found = records(&site, &[], Some(&live));
        assert_eq!(refused(&found), [""; 0]);
        assert_eq!(text(&found, Role::Spf, "hoge.com").0, expected);
        let shared: Name = "mail.hoge.com".parse().unwrap();
        let of_shared = |one: &&Needed| one.record.owner == shared;
        assert_eq!(found.needed.iter().filter(of_shared).count(), 8);

        let written: Vec<Record> = found.needed.iter().map(|one| one.record.clone()).collect();
        let after = zone_of(&format!("{GOOGLE}{}", zone::write(&written)));
        assert!(Live::ask(&found.needed, &after).changes().is_empty());
        let lookup = |name: &Name, kind| after.lookup(name, kind);
        let addresses: Vec<IpAddr> = site.sending_addresses().collect();
        assert_eq!(addresses.len(), 8);
        for address in addresses {
            let identity = Identity::mail_from(address, "web01.hoge.com", "nginx@hoge.com");
            assert_eq!(
                check_host(&identity, &lookup).status,
                Status::Pass,
                "{address}"
            );
            let ptr = after
                .lookup(&Name::reverse_of(address), RecordType::Ptr)
                .unwrap();
            let [record] = ptr.records() else {
                panic!("one name an address");
            };
            let RecordData::Ptr(name) = &record.data else {
                panic!("PTR was asked for");
            };
            let bounce = Identity::helo(address, &name.host());
            assert_eq!(
                check_host(&bounce, &lookup).status,
                Status::Pass,
                "{name:?}"
            );
        }
        let again = records(&site, &[], Some(&after));
        assert_eq!(lines(&again.needed), lines(&found.needed));
    }
}

#[test]
fn third_parties_are_merged_into_the_record_that_stands_there() {
    let live = zone_of(
        "slightlysauced.example. 60 IN TXT \"v=spf1 a mx ~all\"\n\
         slightlysauced.example. 60 IN A 192.0.2.25\n\
         slightlysauced.example. 60 IN AAAA 2001:db8::25\n\
         slightlysauced.example. 60 IN MX 10 mail.example.org.\n\
         spf.protection.outlook.com. 60 IN TXT \"v=spf1 ip4:40.92.0.0/15 -all\"\n\
         example.com. 60 IN TXT \"v=spf1 a -all\"\n",
    );
    let site = site(
        r#"
allow_non_global = true
[server]
hostname = "mail.example.org"
ipv4 = ["192.0.2.25"]
ipv6 = ["2001:db8::25"]
[[domain]]
name = "slightlysauced.example"
[third_parties]
spf_includes = ["spf.protection.outlook.com", "example.com"]
"#,
    );
    let found = records(&site, &[], Some(&live));
    assert_eq!(refused(&found), [""; 0]);
    assert_eq!(
        text(&found, Role::Spf, "slightlysauced.example").0,
        "v=spf1 a mx include:spf.protection.outlook.com include:example.com ~all"
    );
}

#[test]
fn one_faulty_domain_does_not_hide_the_rest() {
    let site = with(
        "[[domain]]\nname = 'example.net'\n[[domain]]\nname = 'example.com'\n\
         [mta_sts]\n",
    );
    let live = zone_of(
        "example.net. 60 IN TXT \"v=spf1 ip:192.0.2.1 -all\"\n\
         example.net. 60 IN MX 5 mx.example.net.\n\
         $SERVFAIL example.com.\n$SERVFAIL _dmarc.example.org.\n",
    );
    let mut odd = key();
    odd.selector = "a..b".to_owned();
    let found = records(&site, &[odd], Some(&live));
    let no_place = |domain: &str| {
        format!(
            "the DKIM record of `{domain}` has no place: `a..b` has an empty label: two dots in a \
             row, or one at the start"
        )
    };
    let unasked = |record: &str, kind: &str, domain: &str, name: &str| {
        format!(
            "the {record} record of `{domain}` was not made, for nobody could say what stands \
             there: the zone text failed (SERVFAIL) on {kind} of `{name}`"
        )
    };
    assert_eq!(
        refused(&found),
        [
            no_place("example.org"),
            unasked("DMARC", "TXT", "example.org", "_dmarc.example.org"),
            "the MTA-STS policy of `example.org` has to name the hosts that take its mail, and \
             there are none"
                .to_owned(),
            "the SPF record of `example.net` is wrong and cannot be added to: `ip` is no \
             mechanism; there are all, include, a, mx, ptr, ip4, ip6, exists"
                .to_owned(),
            no_place("example.net"),
            unasked("SPF", "TXT", "example.com", "example.com"),
            no_place("example.com"),
            unasked("MTA-STS", "MX", "example.com", "example.com"),
        ]
    );
    assert_eq!(found.policies[0].1.hosts, ["mx.example.net"]);
    assert_eq!(
        found.refused.iter().filter(|one| one.is_unasked()).count(),
        3
    );
}

#[test]
fn a_record_that_turns_a_sender_away_in_any_case_is_refused() {
    let found = records(
        &site(SITE),
        &[],
        Some(&zone_of(
            "example.org. 60 IN TXT \"v=spf1 include:nobody.example.com -all\"\n",
        )),
    );
    // Addresses stand in front of it: they pass.
    assert_eq!(refused(&found), [""; 0]);
    let found = records(
        &site(SITE),
        &[],
        Some(&zone_of(
            "example.org. 60 IN TXT \"v=spf1 ip4:192.0.2.0/24 include:nobody.example.com -all\"\n",
        )),
    );
    assert_eq!(refused(&found), [""; 0]);
    let (spf, _) = text(&found, Role::Spf, "example.org");
    assert_eq!(
        spf,
        "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 ip6:2001:db8::25 include:nobody.example.com -all"
    );
}

#[test]
fn a_policy_that_stands_there_keeps_what_the_site_says_nothing_of() {
    let site = with("policy = 'quarantine'\n");
    let check = |text_there: &str, expected: &str| {
        let zone = format!("_dmarc.example.org. 60 IN TXT \"{text_there}\"\n");
        let found = records(&site, &[], Some(&zone_of(&zone)));
        let (policy, why) = text(&found, Role::Dmarc, "_dmarc.example.org");
        assert_eq!(policy, expected);
        why
    };
    assert_eq!(
        check(
            "v=DMARC1; p=none; pct=50; sp=reject; adkim=s; rua=mailto:x@reports.example; fo=1",
            "v=DMARC1; p=quarantine; sp=reject; adkim=s; \
             rua=mailto:x@reports.example,mailto:dmarc@example.org; fo=1"
        ),
        "replaces the DMARC record of `example.org`, which says something else"
    );
    let whole = "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.org";
    assert_eq!(
        check(whole, whole),
        "tells receivers what to do with forged mail of `example.org`"
    );
    check("v=DMARC1; p=nome", whole);
}

#[test]
fn a_policy_that_the_site_says_nothing_of_is_not_weakened() {
    let there = "v=DMARC1; p=reject; rua=mailto:dmarc@example.org";
    let zone = format!("_dmarc.example.org. 60 IN TXT \"{there}\"\n");
    let found = records(&with(""), &[], Some(&zone_of(&zone)));
    let (policy, _) = text(&found, Role::Dmarc, "_dmarc.example.org");
    assert_eq!(policy, there);
}

#[test]
fn a_policy_that_gets_weaker_is_said_to() {
    let there = "v=DMARC1; p=reject; rua=mailto:dmarc@example.org";
    let zone = format!("_dmarc.example.org. 60 IN TXT \"{there}\"\n");
    let found = records(&with("policy = 'none'\n"), &[], Some(&zone_of(&zone)));
    let (_, why) = text(&found, Role::Dmarc, "_dmarc.example.org");
    assert_eq!(
        why,
        "replaces the DMARC record of `example.org`: the site file asks for `p=none`, which is \
         weaker than the `p=reject` that stands there"
    );
}

#[test]
fn a_name_that_sends_nothing_keeps_what_else_its_policy_says() {
    let silent = SITE.replacen(
        "[dmarc]",
        "[[domain]]\nname = 'quiet.example'\nsends = false\n[dmarc]",
        1,
    );
    let zone = "_dmarc.quiet.example. 60 IN TXT \"v=DMARC1; p=none; sp=none; rua=mailto:x@quiet.example; pct=5\"\n";
    let found = records(&site(&silent), &[], Some(&zone_of(zone)));
    let (policy, _) = text(&found, Role::Dmarc, "_dmarc.quiet.example");
    assert_eq!(
        policy,
        "v=DMARC1; p=reject; sp=none; rua=mailto:x@quiet.example"
    );
}

#[test]
fn who_gets_reports_from_elsewhere_has_to_agree() {
    let site = site(&SITE.replace(
        "mailto:dmarc@example.org",
        "mailto:a@sub.example.org,mailto:b@reports.example",
    ));
    let found = records(&site, &[], None);
    let is_consent = |one: &&Needed| one.role == Role::ReportsTaken;
    assert_eq!(found.needed.iter().find(is_consent), None);
    assert_eq!(
        lines(&found.elsewhere),
        ["example.org._report._dmarc.reports.example. TXT \"v=DMARC1\""]
    );
    assert_eq!(
        found.elsewhere[0].why,
        "without it receivers send no DMARC reports about `example.org` to `reports.example`"
    );
}

#[test]
fn a_record_over_ten_lookups_is_refused_with_its_tree_and_what_to_drop() {
    let mut zone = String::new();
    let mut terms = String::new();
    for number in 0..10 {
        write!(terms, " include:s{number}.example").unwrap();
        writeln!(
            zone,
            "s{number}.example. 60 IN TXT \"v=spf1 ip4:203.0.113.{number} -all\""
        )
        .unwrap();
    }
    writeln!(
        zone,
        "example.org. 60 IN TXT \"v=spf1{terms} include:S0.example ~all\""
    )
    .unwrap();
    let found = records(&site(SITE), &[], Some(&zone_of(&zone)));
    assert_eq!(
        refused(&found),
        [
            "the SPF record of `example.org` would be an error to receivers: 11 of 10 lookups; of 2 \
          that may find nothing 0 over IPv4, 0 over IPv6"
        ]
    );
    let hints = found.refused[0].hints();
    let named = |number: usize| {
        let term = format!("include:s{number}.example");
        hints.iter().skip(1).any(|line| line.contains(&term))
    };
    assert!((0..10).all(named), "{hints:#?}");
    assert_eq!(
        hints.last().map(String::as_str),
        Some(
            "drop `include:S0.example` from the record of `example.org`: `include:s0.example` includes the same record; 1 less"
        )
    );
}
