use super::*;
use crate::host::{self, FilterSource, Origin, REPLY_FILTER_FILE, ReplyFilter, example};
use crate::remedy::shown;
use camino::Utf8Path;
use std::collections::BTreeMap;

/// All is right with `::25`; `::26` has no PTR, `::27` an unconfirmed one, `::28` fails.
const ZONE: &str = "\
5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
7.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
$SERVFAIL 8.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.
mail.example.org. 60 IN AAAA 2001:db8::25
example.org. 60 IN TXT \"v=spf1 ip6:2001:db8::/64 -all\"
narrow.example. 60 IN TXT \"v=spf1 ip6:2001:db8::26 -all\"
twice.example. 60 IN TXT \"v=spf1 -all\"
twice.example. 60 IN TXT \"v=spf1 mx -all\"
none.example. 60 IN TXT \"hello\"
";

/// The same once `::26` has all it takes.
const ZONE_OF_26: &str = "\
6.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.
mail.example.org. 60 IN AAAA 2001:db8::26
example.org. 60 IN TXT \"v=spf1 ip6:2001:db8::/64 -all\"
";

/// What differs from a stock host with one IPv6 address that is all right.
#[derive(Clone, Copy)]
struct Given {
    version: &'static str,
    main: &'static str,
    master: &'static str,
    ipv4: &'static [&'static str],
    ipv6: &'static [&'static str],
    /// What the interfaces have beyond that.
    found: &'static [&'static str],
    domains: &'static [&'static str],
    /// More of the site file.
    site: &'static str,
    /// What `*` gives in a table of the administrator's.
    rest: &'static str,
}

const RIGHT: Given = Given {
    version: "3.7.11",
    main: "",
    master: "",
    ipv4: &["192.0.2.25"],
    ipv6: &["2001:db8::25"],
    found: &[],
    domains: &["example.org"],
    site: "",
    rest: "",
};

/// The same with an address that has no PTR.
const NO_PTR: Given = Given {
    ipv6: &["2001:db8::26"],
    ..RIGHT
};

const KEPT: &str = "Google: keep IPv6";
const BOUND: &str = "Google: keep IPv6, from an address whose records are right";
const CURED: &str = "Google: send over IPv4 only, keep IPv6 for all others";

fn site(given: &Given) -> Site {
    let domains: Vec<String> = given
        .domains
        .iter()
        .map(|name| format!("[[domain]]\nname = \"{name}\"\n"))
        .collect();
    let domains = domains.concat();
    let text = format!(
        "allow_non_global = true\n[server]\nhostname = \"mail.example.org\"\nipv4 = {:?}\nipv6 = {:?}\n{domains}{}",
        given.ipv4, given.ipv6, given.site
    );
    Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
}

fn facts(given: &Given) -> Facts {
    let mut facts = example::host(given.version, given.main, given.master).facts;
    let addresses = [given.ipv6, given.found].concat();
    facts.dns = example::dns(ZONE, &addresses, given.domains);
    facts.addresses = given
        .found
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    if !given.rest.is_empty() {
        facts.routes.rest = Some(crate::host::Route {
            table: "hash:/etc/postfix/transport".to_owned(),
            key: "*".to_owned(),
            value: given.rest.to_owned(),
        });
    }
    facts
}

fn decided(given: &Given) -> Target {
    let profile = Profile::built_in("linux").unwrap();
    let site = site(given);
    decide(&site, &profile, &site.receivers(), &facts(given)).unwrap()
}

/// The first decision, and the reasons for it that are the test's business.
#[track_caller]
fn check(given: Given, outcome: &str, why: &[&str]) {
    let target = decided(&given);
    let first = &target.decisions[0];
    assert_eq!(format!("{}: {}", first.about, first.outcome), outcome);
    for (given, expected) in first.why.iter().zip(why) {
        assert_eq!(given, expected);
    }
    assert!(first.why.len() >= why.len(), "{:?}", first.why);
    let cured = outcome == CURED || outcome == BOUND;
    assert_eq!(target.is_empty(), !cured, "{target:?}");
}

#[test]
fn mail_sent_elsewhere_is_none_of_our_business() {
    let check = |main, rest, why: &str| {
        let given = Given {
            main,
            rest,
            ..NO_PTR
        };
        check(given, "all mail: nothing to change here", &[why]);
    };
    check(
        "relayhost = [smart.example]",
        "",
        "`relayhost = [smart.example]` hands all mail to that host: what receivers see is its address, and the cure belongs there",
    );
    for (main, shown) in [
        ("default_transport = error:no", "error:no"),
        ("default_transport = retry", "retry"),
        ("default_transport = discard:", "discard:"),
    ] {
        check(
            main,
            "",
            &format!("`default_transport = {shown}` sends nothing to the outside"),
        );
    }
    check(
        "default_transport = smtp:[smart.example]",
        "",
        "`default_transport = smtp:[smart.example]` hands all mail to that host: the cure belongs there",
    );
    for rest in [
        "smtp:[smart.example]",
        ":[smart.example]",
        "error:no",
        "discard:",
    ] {
        check(
            "",
            rest,
            &format!(
                "`hash:/etc/postfix/transport` sends all other mail to `{rest}`: the cure belongs on that host"
            ),
        );
    }
}

#[test]
fn a_cure_that_is_not_wanted_any_more_goes_or_is_named() {
    let ours = "transport_maps = hash:/etc/postfix/mailfix/transport";
    let left = |main: &str| {
        let given = NO_PTR;
        let mut facts = facts(&given);
        for line in main.lines().chain([ours]) {
            let (name, value) = line.split_once(" = ").unwrap();
            facts.parameters.set(name, value);
        }
        let profile = Profile::built_in("linux").unwrap();
        let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
        let last = target.decisions.last().unwrap().clone();
        (last.about == "what mailfix set up before")
            .then(|| format!("{}: {}", last.outcome, last.why[0]))
    };
    let gone = Some(
        "taken away again: `hash:/etc/postfix/mailfix/transport` leaves `transport_maps`"
            .to_owned(),
    );
    assert_eq!(left(""), None);
    // It would send mail past the relay host, or through a filter's back door.
    assert_eq!(left("relayhost = [smart.example]"), gone);
    assert_eq!(left("content_filter = scan:[127.0.0.1]:10024"), gone);
    assert_eq!(
        left("inet_protocols = ipv4").unwrap(),
        "left as it is: `transport_maps` still names a table of an earlier apply, which works as before; `mailfix undo` takes it away",
    );
}

#[test]
fn ways_that_lead_to_the_receivers_are_looked_at() {
    for (main, rest) in [
        ("relayhost =", ""),
        ("default_transport = smtp:", ""),
        ("", ":"),
        ("", "smtp:"),
        ("", "smtp"),
    ] {
        let given = Given {
            main,
            rest,
            ..NO_PTR
        };
        check(given, CURED, &["2001:db8::26 has no PTR record"]);
    }
}

#[test]
fn without_ipv6_there_is_nothing_to_change() {
    let check = |main, master, why: &str| {
        let given = Given {
            main,
            master,
            ..NO_PTR
        };
        check(given, "all mail: nothing to change", &[why]);
    };
    let left_out = "`inet_protocols` leaves IPv6 out: mail goes over IPv4 only";
    check("inet_protocols = ipv4", "", left_out);
    check("own = ipv4\ninet_protocols = $own", "", left_out);
    let option = "the `smtp` service has `-o inet_protocols=ipv4`: mail goes over IPv4 only";
    let master = "smtp unix - - n - - smtp\n -o inet_protocols=ipv4";
    check("", master, option);
    check("inet_protocols = all", master, option);
    let master = "smtp unix - - n - - smtp\n -o inet_protocols=$own";
    check("own = ipv4", master, option);
    let none = Given { ipv6: &[], ..RIGHT };
    self::check(
        none,
        "all mail: nothing to change",
        &["this host has no IPv6 address: mail goes over IPv4 only"],
    );
}

#[test]
fn with_ipv6_there_may_be() {
    for (main, master) in [
        ("inet_protocols = all", ""),
        ("inet_protocols = ipv6, ipv4", ""),
        ("inet_protocols = ipv4 ipv6", ""),
        // The option wins over main.cf.
        (
            "inet_protocols = all",
            "smtp unix - - n - - smtp\n -o inet_protocols=ipv6",
        ),
    ] {
        let given = Given {
            main,
            master,
            ..NO_PTR
        };
        check(given, CURED, &["2001:db8::26 has no PTR record"]);
    }
    let option = Given {
        main: "inet_protocols = ipv4",
        master: "smtp unix - - n - - smtp\n -o inet_protocols=all",
        ..NO_PTR
    };
    assert_eq!(
        ipv6_sources(&site(&option), &facts(&option)).unwrap().len(),
        1
    );
}

#[test]
fn without_ipv4_there_is_no_cure() {
    for given in [
        Given {
            main: "inet_protocols = ipv6",
            ..NO_PTR
        },
        Given {
            ipv4: &[],
            ..NO_PTR
        },
    ] {
        let target = decided(&given);
        assert!(target.is_empty());
        assert_eq!(target.findings[0].code, "no-ipv4");
    }
    let option = Given {
        main: "inet_protocols = ipv6",
        master: "smtp unix - - n - - smtp\n -o inet_protocols=all",
        ..NO_PTR
    };
    assert!(!decided(&option).is_empty());
    let found = Given {
        ipv4: &[],
        found: &["192.0.2.25"],
        ..NO_PTR
    };
    assert!(!decided(&found).is_empty());
}

#[test]
fn an_address_bound_to_is_the_only_source() {
    let check_sources = |main, master, expected: &[&str]| {
        let given = Given {
            main,
            master,
            found: &["2001:db8::27", "192.0.2.25"],
            ..RIGHT
        };
        let sources = ipv6_sources(&site(&given), &facts(&given)).unwrap();
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        assert_eq!(sources, expected);
    };
    check_sources("", "", &["2001:db8::25", "2001:db8::27"]);
    check_sources(
        "smtp_bind_address6 =",
        "",
        &["2001:db8::25", "2001:db8::27"],
    );
    check_sources("smtp_bind_address6 = 2001:db8::9", "", &["2001:db8::9"]);
    check_sources("smtp_bind_address6 = [2001:db8::9]", "", &["2001:db8::9"]);
    let master = "smtp unix - - n - - smtp\n -o smtp_bind_address6=[2001:db8::8]";
    check_sources("", master, &["2001:db8::8"]);
    check_sources("smtp_bind_address6 = 2001:db8::9", master, &["2001:db8::8"]);
}

#[test]
fn an_address_bound_to_must_be_here() {
    let check = |main, found, origin, expected: Option<&str>| {
        let given = Given {
            main,
            found,
            ..RIGHT
        };
        let mut facts = facts(&given);
        facts.origin = origin;
        let profile = Profile::built_in("linux").unwrap();
        let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
        let found = target
            .findings
            .iter()
            .find(|finding| finding.code == "bound-elsewhere");
        let why = found.and_then(|finding| finding.why.as_deref());
        assert_eq!(why, expected);
    };
    let bound = "smtp_bind_address6 = 2001:db8::25";
    let insists = "smtp_bind_address6 = 2001:db8::25\nsmtp_bind_address_enforce = yes";
    let here: &[&str] = &["2001:db8::25"];
    let elsewhere: &[&str] = &["2001:db8::27"];
    check(bound, here, Origin::Machine, None);
    check("", elsewhere, Origin::Machine, None);
    check(bound, elsewhere, Origin::Tree, None);
    check(
        bound,
        elsewhere,
        Origin::Machine,
        Some("Postfix warns of it in the log and lets the mail leave from any other address"),
    );
    check(
        insists,
        elsewhere,
        Origin::Machine,
        Some(
            "with `smtp_bind_address_enforce = yes` mail goes over IPv4, and to receivers that have IPv6 only it waits",
        ),
    );
}

#[test]
fn only_addresses_that_the_world_can_reach_count() {
    let given = Given {
        found: &["fe80::1", "fd00::1", "::1", "2a00:1450::1", "2001:db8::27"],
        ..RIGHT
    };
    let mut strict = site(&given);
    strict.allow_non_global = false;
    let sources = ipv6_sources(&strict, &facts(&given)).unwrap();
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["2001:db8::25", "2a00:1450::1"]);
}

#[test]
fn wishes_decide_whatever_dns_says() {
    let wish = |given: Given, site| Given { site, ..given };
    let keep = "[providers.google]\nipv6 = \"keep\"";
    let avoid = "[providers.google]\nipv6 = \"avoid\"";
    let auto = "[providers.google]\nipv6 = \"auto\"";
    for given in [RIGHT, NO_PTR] {
        check(
            wish(given, keep),
            KEPT,
            &["mailfix.toml says `ipv6 = \"keep\"` for google"],
        );
        check(
            wish(given, avoid),
            CURED,
            &["mailfix.toml says `ipv6 = \"avoid\"` for google"],
        );
    }
    check(wish(RIGHT, auto), KEPT, &[]);
    check(wish(NO_PTR, auto), CURED, &[]);
}

#[test]
fn every_address_must_be_right_for_every_domain() {
    let check = |ipv6: &'static [&'static str], domains, why: &[&str]| {
        let given = Given {
            ipv6,
            domains,
            ..RIGHT
        };
        let outcome = match (why, ipv6.len()) {
            ([], _) => KEPT,
            (_, 1) => CURED,
            _ => BOUND,
        };
        check(given, outcome, why);
    };
    let org: &[&str] = &["example.org"];
    check(&["2001:db8::25"], org, &[]);
    check(&["2001:db8::26"], org, &["2001:db8::26 has no PTR record"]);
    check(
        &["2001:db8::27"],
        org,
        &[
            "2001:db8::27 has the PTR `mail.example.org`, but `mail.example.org` does not have that address",
        ],
    );
    check(
        &["2001:db8::28"],
        org,
        &[
            "the PTR of 2001:db8::28 could not be confirmed: the zone text failed (SERVFAIL) on PTR of `8.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa`",
        ],
    );
    // One of several is wrong.
    check(
        &["2001:db8::25", "2001:db8::26"],
        org,
        &["2001:db8::26 has no PTR record"],
    );
    let spf = |domain: &str, problem: &str| {
        format!("SPF of `{domain}` could not be confirmed for 2001:db8::25: {problem}")
    };
    for (domains, why) in [
        (
            &["none.example"][..],
            spf("none.example", "it has no SPF record"),
        ),
        (
            &["absent.example"],
            spf("absent.example", "the domain does not exist in DNS"),
        ),
        (
            &["twice.example"],
            spf("twice.example", "it has 2 SPF records, and only one may be"),
        ),
        (
            &["example.org", "narrow.example"],
            "SPF of `narrow.example` does not cover 2001:db8::25".to_owned(),
        ),
    ] {
        check(&["2001:db8::25"], domains, &[&why]);
    }
}

#[test]
fn the_outlook_goes_by_who_controls_the_reverse_zone() {
    let check_outlook = |ipv6, domains, site, expected: &str| {
        let given = Given {
            ipv6,
            domains,
            site,
            ..RIGHT
        };
        let target = decided(&given);
        assert_eq!(target.decisions[0].why.last().unwrap(), expected);
    };
    let org: &[&str] = &["example.org"];
    let wrong: &[&str] = &["2001:db8::26"];
    let ask = "ask the provider of the address for the PTR record that `mailfix dns show` prints";
    let publish = "publish the records that `mailfix dns show` prints";
    check_outlook(wrong, org, "", ask);
    check_outlook(wrong, org, "[dns]\nreverse6 = \"self\"", publish);
    check_outlook(
        wrong,
        org,
        "[dns]\nreverse6 = \"none\"",
        "nobody here can set that PTR record (`reverse6 = \"none\"`), so IPv4 is the way to stay",
    );
    // The PTR is right, SPF is not.
    let spf: &[&str] = &["none.example"];
    check_outlook(
        &["2001:db8::25"],
        spf,
        "[dns]\nreverse6 = \"none\"",
        publish,
    );
}

#[test]
fn an_old_postfix_goes_without_the_filter_and_says_so() {
    let given = Given {
        version: "2.10.1",
        site: "[providers.google]\nhosted_domains = [\"hosted.example\"]",
        ..NO_PTR
    };
    let target = decided(&given);
    let left = &target.decisions[2];
    assert_eq!(
        (left.about.as_str(), left.outcome.as_str()),
        ("DNS reply filter", "left out")
    );
    assert!(left.why[0].starts_with("Postfix 2.10.1 has no `smtp_dns_reply_filter`"));
    let lines = shown::lines(&[], &[], &target.tables[..1], &[]);
    assert_eq!(
        lines,
        [
            "hash:transport: gmail.com smtp-ipv4:, googlemail.com smtp-ipv4:, hosted.example smtp-ipv4:"
        ]
    );
    // What is not listed is caught by the refusal, but not on the client without IPv6.
    assert_eq!(target.tables[1].file, "reply_filter");
    assert_eq!(
        shown::lines(&target.settings[1..], &target.services, &[], &[]),
        [
            "smtp_mx_session_limit = 5",
            "smtp_reply_filter = regexp:/etc/postfix/mailfix/reply_filter",
            "smtp-ipv4 unix - - n - - smtp -o inet_protocols=ipv4 -o smtp_reply_filter=",
        ]
    );
    // With the filter they need not be listed.
    let given = Given {
        version: "3.7.11",
        ..given
    };
    assert!(!decided(&given).tables[0].text.contains("hosted.example"));
}

#[test]
fn where_no_cure_fits_it_is_an_error() {
    let given = Given {
        main: "content_filter = scan:\nsmtp_dns_support_level = disabled",
        ..NO_PTR
    };
    let target = decided(&Given {
        version: "2.6.6",
        ..given
    });
    assert!(target.is_empty());
    assert_eq!(target.findings[0].code, "no-cure");
    // A refusal is the same whatever way the mail came.
    let target = decided(&given);
    assert_eq!(target.tables[0].file, "reply_filter");
    assert_eq!(target.tables.len(), 1);
}

#[test]
fn a_service_that_only_the_reply_filter_touches_goes() {
    let given = Given {
        master: "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4",
        site: "[remedies]\nuse = [\"reply-filter\"]",
        ..NO_PTR
    };
    let mut facts = facts(&given);
    facts.own.transport = [("gmail.com".to_owned(), "smtp-ipv4:".to_owned())].into();
    let profile = Profile::built_in("linux").unwrap();
    let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
    assert_eq!(
        shown::lines(&[], &target.services, &[], &[]),
        ["smtp-ipv4 absent"]
    );
}

#[test]
fn the_administrator_gets_the_reply_filter_back() {
    let ours = "regexp:/etc/postfix/mailfix/reply_filter";
    let retired = |is_gone| {
        let given = Given {
            main: "smtp_reply_filter = regexp:/etc/postfix/mailfix/reply_filter",
            ..RIGHT
        };
        let mut facts = facts(&given);
        facts.own.files = ["reply_filter".to_owned()].into();
        facts.reply_filter = Some(ReplyFilter {
            table: "pcre:/etc/own".to_owned(),
            source: Ok(FilterSource {
                kind: "pcre".to_owned(),
                text: String::new(),
                is_public: true,
            }),
            answers: Ok(BTreeMap::new()),
            is_gone,
        });
        let profile = Profile::built_in("linux").unwrap();
        let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
        let lines = shown::lines(&target.settings, &[], &[], &target.findings);
        (lines, target.leftovers.len())
    };
    assert_eq!(
        retired(false),
        (vec!["smtp_reply_filter = pcre:/etc/own".to_owned()], 1)
    );
    let kept = format!("left-copy: `smtp_reply_filter` goes on naming `{ours}`, and that stays");
    assert_eq!(retired(true), (vec![kept], 0));
}

#[test]
fn a_cure_that_is_no_longer_needed_is_named() {
    let given = Given {
        main: "transport_maps = hash:/etc/postfix/mailfix/transport",
        ..RIGHT
    };
    let target = decided(&given);
    assert_eq!(
        target.settings,
        [Setting::Lacks {
            name: "transport_maps".to_owned(),
            item: "hash:/etc/postfix/mailfix/transport".to_owned(),
        }]
    );
    assert_eq!(target.decisions[1].outcome, "taken away again");
    assert_eq!(decided(&RIGHT).decisions.len(), 1);
}

#[test]
fn what_cannot_be_told_from_the_administrators_is_named() {
    let codes = |given: Given| {
        let findings = decided(&given).findings;
        findings
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    let off = Given {
        master: "smtp unix - - n - - smtp\n -o inet_protocols=ipv4",
        ..RIGHT
    };
    let asks = |site| Given { site, ..off };
    assert!(codes(off).is_empty());
    assert!(codes(asks("[remedies]\nuse = [\"ipv4-only\"]")).is_empty());
    assert_eq!(
        codes(asks("[remedies]\nuse = [\"mx-filter\"]")),
        ["ipv6-off"]
    );
    assert_eq!(
        codes(asks("[providers.google]\nipv6 = \"keep\"")),
        ["ipv6-off"]
    );
    let first = Given {
        main: "smtp_address_preference = ipv4",
        ..RIGHT
    };
    assert_eq!(codes(first), ["ipv4-first"]);
}

#[test]
fn options_that_a_reply_filter_may_have_set_are_named_when_it_goes() {
    let given = Given {
        main: "smtp_mx_session_limit = 5",
        master: "smtp unix - - n - - smtp -o smtp_mx_session_limit=5\nv4 unix - - n - - smtp -o inet_protocols=ipv4 -o smtp_reply_filter=",
        ..RIGHT
    };
    let mut facts = facts(&given);
    facts.own.files = ["reply_filter".to_owned()].into();
    facts.own.before = [("smtp_mx_session_limit".to_owned(), Some("3".to_owned()))].into();
    let profile = Profile::built_in("linux").unwrap();
    let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
    let shown = shown::lines(&target.settings, &[], &[], &target.findings);
    assert_eq!(
        shown,
        [
            "smtp_mx_session_limit = 3",
            "left-option: `-o smtp_mx_session_limit=5` of the service `smtp` in master.cf stays",
            "left-option: `-o smtp_reply_filter=` of the service `v4` in master.cf stays",
        ]
    );
}

#[test]
fn a_service_that_was_changed_by_hand_stays() {
    let retired = |master| {
        let given = Given { master, ..RIGHT };
        let mut facts = facts(&given);
        facts.own.transport = [("gmail.com".to_owned(), "smtp-ipv4:".to_owned())].into();
        let profile = Profile::built_in("linux").unwrap();
        let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
        (
            target.services.len(),
            target.findings.first().map(|finding| finding.code),
        )
    };
    let made = "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4";
    assert_eq!(retired(made), (1, None));
    let spared = "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4 -o smtp_reply_filter=";
    assert_eq!(retired(spared), (1, None));
    let changed = "smtp-ipv4 unix - - n - 5 smtp\n -o inet_protocols=ipv4";
    assert_eq!(retired(changed), (0, Some("left-service")));
    assert_eq!(retired(""), (0, None));
}

#[test]
fn a_service_that_the_operator_uses_stays() {
    let given = Given {
        master: "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4",
        ..RIGHT
    };
    let mut facts = facts(&given);
    facts.own.transport = [("gmail.com".to_owned(), "smtp-ipv4:".to_owned())].into();
    facts.own.in_use = ["smtp-ipv4".to_owned()].into();
    let profile = Profile::built_in("linux").unwrap();
    let target = decide(&site(&given), &profile, &Provider::demanding(), &facts).unwrap();
    assert_eq!(target.services, []);
    assert_eq!(target.findings[0].code, "left-service");
}

#[test]
fn ipv4_that_is_refused_as_well_is_no_cure() {
    let check = |zone: &str, doubts: &[&str]| {
        let mut facts = facts(&NO_PTR);
        let zone = format!("{ZONE}{zone}");
        facts.dns = example::dns(&zone, &["192.0.2.25", "2001:db8::26"], &["example.org"]);
        let profile = Profile::built_in("linux").unwrap();
        let target = decide(&site(&NO_PTR), &profile, &Provider::demanding(), &facts).unwrap();
        let titles: Vec<&str> = target
            .findings
            .iter()
            .filter(|finding| finding.code == "ipv4-doubtful")
            .map(|finding| finding.title.as_str())
            .collect();
        assert_eq!(titles, doubts);
    };
    let ptr = "25.2.0.192.in-addr.arpa. 60 IN PTR mail.example.org.\n";
    let confirmed = format!("{ptr}mail.example.org. 60 IN A 192.0.2.25\n");
    let spf =
        "Google may refuse mail over IPv4 too: SPF of `example.org` does not cover 192.0.2.25";
    check(&confirmed, &[spf]);
    check(
        "",
        &[
            "Google may refuse mail over IPv4 too: 192.0.2.25 has no PTR record, SPF of `example.org` does not cover 192.0.2.25",
        ],
    );
    check(
        ptr,
        &[
            "Google may refuse mail over IPv4 too: 192.0.2.25 has the PTR `mail.example.org`, but `mail.example.org` does not have that address, SPF of `example.org` does not cover 192.0.2.25",
        ],
    );
    // Nobody could say.
    check("$SERVFAIL 25.2.0.192.in-addr.arpa.\n", &[spf]);
}

#[test]
fn mailfix_toml_chooses_the_remedies() {
    let check = |site, given: Given, lines: &[&str]| {
        let target = decided(&Given { site, ..given });
        let shown = shown::lines(
            &target.settings,
            &target.services,
            &target.tables,
            &target.findings,
        );
        assert_eq!(shown, lines);
    };
    check(
        "[remedies]\nuse = [\"mx-filter\"]",
        NO_PTR,
        &[
            "smtp_dns_reply_filter += regexp:/etc/postfix/mailfix/dns_reply_filter",
            "regexp:dns_reply_filter: mx.google.com. 300 IN AAAA 2001:db8::1 IGNORE, mx.googlemail.com. 300 IN AAAA 2001:db8::1 IGNORE",
        ],
    );
    // Where none is needed, none is used.
    check("[remedies]\nuse = [\"mx-filter\"]", RIGHT, &[]);
    check("[remedies]\nuse = [\"reverse-dns\"]", NO_PTR, &[]);
    check(
        "[remedies]\nuse = [\"source-address\"]",
        NO_PTR,
        &[
            "remedy-unfit: mailfix.toml asks for `source-address`, which does not fit",
            "no-cure: none of the cures fits this configuration",
        ],
    );
}

#[test]
fn other_instances_are_named() {
    let mut facts = facts(&RIGHT);
    assert!(other_instances(&facts).is_none());
    facts.instances = vec!["/etc/postfix".into(), "/etc/postfix-out".into()];
    assert_eq!(
        other_instances(&facts).unwrap().title,
        "Postfix has more instances: `/etc/postfix-out`"
    );
}

#[test]
fn a_second_run_decides_the_same_and_changes_nothing() {
    use crate::plan::build::build;
    for (version, main, master) in [
        ("3.7.11", "", ""),
        ("2.10.1", "transport_maps = hash:/etc/postfix/transport", ""),
        (
            "3.7.11",
            "inet_interfaces = 192.0.2.25, 2001:db8::26\nsmtp_destination_rate_delay = 1s",
            "smtp-ipv4 unix - - n - - smtp\nsmtp unix - - y - - smtp\n -o { smtp_header_checks = a, b }",
        ),
    ] {
        let given = Given {
            version,
            main,
            master,
            ..NO_PTR
        };
        let (site, profile) = (site(&given), Profile::built_in("linux").unwrap());
        let decide =
            |facts: &Facts| decide(&site, &profile, &Provider::demanding(), facts).unwrap();
        let first = example::host(version, main, master);
        let mut facts = first.facts.clone();
        facts.dns = self::facts(&given).dns;
        let target = decide(&facts);
        let plan = build(&target, &facts, &first.files).unwrap();
        assert!(!plan.is_empty());

        let after = |path: &Utf8Path| {
            let change = plan.changes().find(|change| change.path == path);
            change.map_or_else(
                || first.files.get(path).unwrap().clone(),
                |change| change.after.clone().unwrap(),
            )
        };
        let mut second = example::again(version, |name| {
            after(&Utf8Path::new("/etc/postfix").join(name))
        });
        second.facts.dns = facts.dns.clone();
        for table in &target.tables {
            let path = table_path(&facts, table);
            second.files.insert(path.clone(), Some(after(&path)));
            if table.file == REPLY_FILTER_FILE {
                let limit = "smtp_mx_session_limit".to_owned();
                assert!(table.text.contains(&host::note(&limit, None)));
                second.facts.own.before.insert(limit, None);
            }
        }
        let again = decide(&second.facts);
        assert_eq!(again.settings, target.settings);
        assert_eq!(again.tables, target.tables);
        assert!(again.services.is_empty());
        assert!(
            build(&again, &second.facts, &second.files)
                .unwrap()
                .is_empty()
        );

        // Once DNS is right all of it goes, without a trace.
        let mut third = second.facts.clone();
        third.dns = example::dns(ZONE_OF_26, &["2001:db8::26"], given.domains);
        third.own.files = target
            .tables
            .iter()
            .map(|table| table.file.clone())
            .collect();
        let samples = target.tables.iter().find(|table| table.file == "transport");
        third.own.transport = samples.unwrap().samples.iter().cloned().collect();
        second.files.insert_directory(
            "/etc/postfix/mailfix",
            example::directory("/etc/postfix/mailfix"),
        );
        let back = build(&decide(&third), &third, &second.files).unwrap();
        let mut left: BTreeMap<_, _> = BTreeMap::new();
        for change in back.changes() {
            left.insert(change.path.as_str(), change.after.clone());
        }
        for name in ["main.cf", "master.cf"] {
            let path = Utf8Path::new("/etc/postfix").join(name);
            let now = left.remove(path.as_str()).flatten();
            let now = now.unwrap_or_else(|| second.files.get(&path).unwrap().clone());
            assert_eq!(
                String::from_utf8(now.bytes).unwrap(),
                String::from_utf8(first.files.get(&path).unwrap().bytes.clone()).unwrap()
            );
        }
        assert_eq!(left.len(), target.tables.len());
        assert!(left.values().all(Option::is_none));
        assert_eq!(
            back.steps.iter().flat_map(|step| &step.abandoned).count(),
            1
        );
    }
}

/// Postfix ignores what it does not know without a word, so a cure made of that is none.
#[test]
fn nothing_is_written_that_this_version_does_not_know() {
    use crate::postfix::{ArgumentKind, MasterCf, Version, parameter};

    const SEVERAL: Given = Given {
        ipv6: &["2001:db8::25", "2001:db8::26"],
        found: &["2001:db8::27"],
        ..RIGHT
    };
    const OWN_SERVICE: Given = Given {
        master: "smtp-ipv4 unix - - n - - smtp",
        ..NO_PTR
    };
    let versions = [
        "2.6.6", "2.7.16", "2.8.20", "2.11.11", "3.0.15", "3.5.25", "3.7.11", "3.11.7",
    ];
    let chosen = RemedyId::ALL.map(|id| format!("[remedies]\nuse = [\"{id}\"]"));
    let listed = "[providers.google]\nhosted_domains = [\"hosted.example\"]\npace = \"gentle\"\n[providers.free]\npace = \"gentle\"\n";
    let mut written = BTreeSet::new();
    for version in versions {
        let number = Version::parse(version).unwrap();
        let known = |name: &str, value: Option<&str>| {
            let parameter = parameter::lookup(name).unwrap_or_else(|| panic!("{name}"));
            assert!(parameter.exists_in(number), "{name} in {version}");
            if let Some(value) = value {
                assert_eq!(parameter.check(value), Ok(()), "{name} in {version}");
            }
        };
        for (given, chosen) in [NO_PTR, SEVERAL, OWN_SERVICE]
            .iter()
            .flat_map(|given| chosen.iter().map(move |chosen| (given, chosen.as_str())))
            .chain([(&NO_PTR, ""), (&SEVERAL, ""), (&OWN_SERVICE, "")])
        {
            let site = format!("{listed}{chosen}").leak();
            let target = decided(&Given {
                version,
                site,
                ..*given
            });
            for setting in &target.settings {
                match setting {
                    Setting::Is { name, value } => known(name, Some(value)),
                    Setting::Has { name, .. } => known(name, None),
                    Setting::Lacks { .. } | Setting::Unset { .. } => continue,
                }
                written.insert(setting.name().to_owned());
            }
            for service in &target.services {
                let options = match &service.ensure {
                    Ensure::Whole(text) => MasterCf::parse(text.as_bytes())
                        .services()
                        .flat_map(|service| service.arguments.clone())
                        .filter_map(|argument| match argument.kind {
                            ArgumentKind::Override { name, value } => Some((name, value)),
                            _ => None,
                        })
                        .collect(),
                    Ensure::Words { options, .. } => options.clone(),
                    Ensure::Absent => Vec::new(),
                };
                for (name, value) in options {
                    known(&name, Some(&value));
                    written.insert(name);
                }
            }
        }
    }
    // The remedies did take part.
    for name in [
        "inet_protocols",
        "smtp-free_destination_rate_delay",
        "smtp-free_transport_rate_delay",
        "smtp_address_preference",
        "smtp_bind_address6",
        "smtp_connection_cache_on_demand",
        "smtp_dns_reply_filter",
        "smtp_mx_session_limit",
        "smtp_reply_filter",
        "smtp_skip_quit_response",
        "transport_maps",
    ] {
        assert!(written.contains(name), "{name}: {written:?}");
    }
}

/// What a host of this kind comes to with a gentle pace, its table as it stands.
fn paced(given: Given, table: &[(&str, &str)]) -> Target {
    let mut facts = facts(&given);
    if !table.is_empty() {
        let owned = |(domain, route): &(&str, &str)| ((*domain).to_owned(), (*route).to_owned());
        facts.own.transport = table.iter().map(owned).collect();
        facts.own.files = ["transport".to_owned()].into();
        let ours = "hash:/etc/postfix/mailfix/transport";
        facts.parameters.set("transport_maps", ours);
        facts.explicit.insert("transport_maps".to_owned());
    }
    let site = site(&given);
    let profile = Profile::built_in("linux").unwrap();
    decide(&site, &profile, &site.receivers(), &facts).unwrap()
}

/// All that a target of one provider's changes.
#[track_caller]
fn check_paced(given: Given, table: &[(&str, &str)], expected: &[&str]) {
    let target = paced(given, table);
    let lines = shown::lines(
        &target.settings,
        &target.services,
        &target.tables,
        &target.findings,
    );
    assert_eq!(lines, expected);
}

const ITEM: &str = "transport_maps += hash:/etc/postfix/mailfix/transport";
const GENTLE_TO_FREE: &str = "[providers.free]\npace = \"gentle\"\n";
const GENTLE_TO_GOOGLE: &str =
    "[providers.google]\npace = \"gentle\"\n[remedies]\nuse = [\"ipv4-transport\"]\n";
const FREE: &str = "hash:transport: free.fr smtp-free:, aliceadsl.fr smtp-free:, libertysurf.fr smtp-free:, online.fr smtp-free:";
const OF_FREE: [&str; 4] = [
    "smtp-free_destination_concurrency_failed_cohort_limit = 10",
    "smtp-free_destination_concurrency_limit = 1",
    "smtp-free_transport_rate_delay = 5s",
    ITEM,
];

#[test]
fn a_gentle_pace_is_kept_over_either_protocol() {
    let line = "smtp-free unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no";
    let expected = [&OF_FREE[..], &[line, FREE]].concat();
    for given in [
        RIGHT,
        Given { ipv6: &[], ..RIGHT },
        Given {
            main: "inet_protocols = ipv4",
            ..RIGHT
        },
    ] {
        let site = GENTLE_TO_FREE;
        check_paced(Given { site, ..given }, &[], &expected);
    }
    // Whoever is told to use IPv4 only has a name that says so.
    let given = Given {
        master: "smtp unix - - n - - smtp -o inet_protocols=ipv4",
        site: GENTLE_TO_FREE,
        ..RIGHT
    };
    let target = paced(given, &[]);
    assert_eq!(target.services[0].name, "smtp-free-ipv4");
}

#[test]
fn one_client_does_all_that_is_wanted_for_a_providers_mail() {
    let limit = "_destination_concurrency_limit = 5";
    let check = |given: Given, name: &str, option: &str| {
        let site = GENTLE_TO_GOOGLE;
        let expected = [
            format!("{name}{limit}"),
            ITEM.to_owned(),
            format!(
                "{name} unix - - n - 5 smtp{option} -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no"
            ),
            format!("hash:transport: gmail.com {name}:, googlemail.com {name}:"),
        ];
        let expected = expected.each_ref().map(String::as_str);
        check_paced(Given { site, ..given }, &[], &expected);
    };
    check(NO_PTR, "smtp-google-ipv4", " -o inet_protocols=ipv4");
    check(RIGHT, "smtp-google", "");
}

#[test]
fn a_pace_that_does_not_fit_is_an_error() {
    let unfit = "pace-unfit: mailfix.toml asks for `pace = \"gentle\"`, which does not fit";
    for main in [
        "relayhost = [smart.example]",
        "content_filter = scan:[127.0.0.1]:10024",
        "default_transport = slow",
    ] {
        let given = Given {
            main,
            site: GENTLE_TO_FREE,
            ..RIGHT
        };
        check_paced(given, &[], &[unfit]);
        let last = paced(given, &[]).decisions.pop().unwrap();
        assert_eq!(
            (last.about.as_str(), last.outcome.as_str()),
            ("Gentle pace", "left out")
        );
    }
}

#[test]
fn without_its_key_a_client_goes_with_all_its_settings() {
    let given = Given {
        main: "smtp-free_destination_concurrency_limit = 1\nsmtp-free_transport_rate_delay = 5s",
        master: "smtp-free unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
        ..RIGHT
    };
    let table = [("free.fr", "smtp-free:")];
    let gone = [
        "transport_maps -= hash:/etc/postfix/mailfix/transport",
        "smtp-free_destination_concurrency_limit unset",
        "smtp-free_transport_rate_delay unset",
        "smtp-free absent",
    ];
    check_paced(given, &table, &gone);
    // Also where nobody can judge about IPv6.
    check_paced(Given { ipv6: &[], ..given }, &table, &gone);
    // With the key nothing is left to do.
    let site = GENTLE_TO_FREE;
    let kept = [&OF_FREE[..], &[FREE]].concat();
    check_paced(Given { site, ..given }, &table, &kept);
    let relayed = Given {
        main: "relayhost = [smart.example]\nsmtp-free_destination_concurrency_limit = 1",
        site,
        ..given
    };
    let target = paced(relayed, &table);
    assert_eq!(target.leftovers, ["transport"]);
    assert!(
        target
            .services
            .iter()
            .all(|one| one.ensure == Ensure::Absent)
    );
}

#[test]
fn what_takes_ipv4_stays_so_while_nobody_can_judge() {
    let cured = "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4";
    let table = [
        ("gmail.com", "smtp-ipv4:"),
        ("hosted.example", "smtp-ipv4:"),
    ];
    let off = Given {
        ipv6: &[],
        master: cured,
        ..RIGHT
    };
    // Nothing is wished: the table is none of the target's.
    check_paced(off, &table, &[]);
    let line = "smtp-free unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no";
    let kept = format!("{FREE}, gmail.com smtp-ipv4:, hosted.example smtp-ipv4:");
    let expected = [&OF_FREE[..], &[line, &kept]].concat();
    let site = GENTLE_TO_FREE;
    check_paced(Given { site, ..off }, &table, &expected);
    // Its own wish moves a provider's domains, and leaves them on IPv4.
    let site = GENTLE_TO_GOOGLE;
    check_paced(
        Given { site, ..off },
        &table,
        &[
            "smtp-google-ipv4_destination_concurrency_limit = 5",
            ITEM,
            "smtp-google-ipv4 unix - - n - 5 smtp -o inet_protocols=ipv4 -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            "hash:transport: gmail.com smtp-google-ipv4:, googlemail.com smtp-google-ipv4:, hosted.example smtp-ipv4:",
        ],
    );
    // And taken back, they stay there.
    let back = Given {
        main: "smtp-google-ipv4_destination_concurrency_limit = 5",
        master: "smtp-google-ipv4 unix - - n - 5 smtp\n -o inet_protocols=ipv4 -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
        ..off
    };
    check_paced(
        back,
        &[("gmail.com", "smtp-google-ipv4:")],
        &[
            ITEM,
            "smtp-google-ipv4_destination_concurrency_limit unset",
            "smtp-ipv4 unix - - n - - smtp -o inet_protocols=ipv4",
            "smtp-google-ipv4 absent",
            "hash:transport: gmail.com smtp-ipv4:",
        ],
    );
}

#[test]
fn a_copy_of_a_client_is_one_of_what_the_same_plan_makes_of_it() {
    let given = Given {
        ipv6: &["2001:db8::25", "2001:db8::26"],
        site: GENTLE_TO_FREE,
        ..RIGHT
    };
    let lines = |target: &Target| shown::lines(&[], &target.services, &[], &[]);
    let bound = "-o smtp_bind_address6=2001:db8::25 -o smtp_bind_address_enforce=yes";
    let copy = format!(
        "smtp-free unix - - n - 1 smtp {bound} -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no"
    );
    let first = paced(given, &[]);
    assert!(lines(&first).contains(&copy), "{:?}", lines(&first));
    let only_ipv4 = Given {
        site: "[providers.free]\npace = \"gentle\"\n[remedies]\nuse = [\"ipv4-only\"]\n",
        ..NO_PTR
    };
    let copy = "smtp-free-ipv4 unix - - n - 1 smtp -o inet_protocols=ipv4 -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no".to_owned();
    let first = paced(only_ipv4, &[]);
    assert!(lines(&first).contains(&copy), "{:?}", lines(&first));
}
