//! Records in many spellings, right and wrong.

use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Spf {
    Spf::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

#[test]
fn good_records_print_as_they_were_read() {
    for text in [
        "v=spf1",
        "v=spf1 -all",
        "V=SPF1 +A -MX ?pTr ~All",
        "v=spf1 a/24 a//64 a/24//64 a:mail.example.org/24//64 mx/0 mx:example.org -all",
        "v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 ip6:2001:db8::1 ip6:2001:db8::/32 ~all",
        "v=spf1 ip6:::ffff:192.0.2.1 -all",
        "v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all",
        "v=spf1 include:_spf.google.com include:spf.example.org. -all",
        "v=spf1 redirect=_spf.example.org",
        "v=spf1 exists:%{ir}.%{l1r-}._spf.%{d2} exp=explain.%{d} -all",
        "v=spf1 exists:%{i}.%% exists:%{i} exists:x%_y%-z.example.org -all",
        "v=spf1 a:foo.example.xn--zckzah -all",
        "v=spf1 a:foo:bar/baz.example.com -all",
        "v=spf1 moo.cow-far_out=man:dog/cat ip4:1.2.3.4 -all",
        "v=spf1 ptr:example.org ?all",
    ] {
        let printed = parsed(text).to_string();
        let terms = |text: &str| text.get(6..).map(str::to_owned);
        assert_eq!(terms(&printed), terms(text));
        assert_eq!(parsed(&printed).terms(), parsed(text).terms());
    }
    assert_eq!(parsed("v=spf1   a  -all  ").to_string(), "v=spf1 a -all");
}

fn check(text: &str, expected: &[(&str, &str)]) {
    let errors = Spf::parse(text).expect_err(text);
    let found: Vec<_> = errors
        .iter()
        .map(|error| {
            let place = text.get(error.span.clone()).unwrap();
            (place.to_owned(), error.to_string())
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(place, message)| ((*place).to_owned(), (*message).to_owned()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn faults_have_places() {
    let none = "an SPF record begins with `v=spf1` and a space";
    check("", &[("", none)]);
    check("v=spf10 -all", &[("v=spf10", none)]);
    check("v=spf2.0/pra -all", &[("v=spf2.0/pra", none)]);
    check(
        "v=spf1 ip:192.0.2.1 ipv4:192.0.2.1 -all",
        &[
            (
                "ip:192.0.2.1",
                "`ip` is no mechanism; there are all, include, a, mx, ptr, ip4, ip6, exists",
            ),
            (
                "ipv4:192.0.2.1",
                "`ipv4` is no mechanism; there are all, include, a, mx, ptr, ip4, ip6, exists",
            ),
        ],
    );
    check(
        "v=spf1 ip4:192.0.2.0/33 -all",
        &[("ip4:192.0.2.0/33", "`/33` is no prefix length; 0 to 32 are")],
    );
    check(
        "v=spf1 ip6:2001:db8::/129",
        &[(
            "ip6:2001:db8::/129",
            "`/129` is no prefix length; 0 to 128 are",
        )],
    );
    check(
        "v=spf1 ip4:2001:db8::1",
        &[("ip4:2001:db8::1", "`2001:db8::1` belongs to `ip6:`")],
    );
    check(
        "v=spf1 ip6:192.0.2.1/32",
        &[("ip6:192.0.2.1/32", "`192.0.2.1/32` belongs to `ip4:`")],
    );
    check(
        "v=spf1 include",
        &[("include", "`include` needs `:` and a value")],
    );
    check("v=spf1 all:foo", &[("all:foo", "`all` takes no value")]);
    check(
        "v=spf1 redirect:example.org",
        &[(
            "redirect:example.org",
            "`redirect` is a modifier; write `redirect=`",
        )],
    );
    check(
        "v=spf1 -redirect=example.org",
        &[(
            "-redirect=example.org",
            "`-redirect=example.org` is a modifier and takes no qualifier",
        )],
    );
    check(
        "v=spf1 redirect=a.example redirect=b.example",
        &[("redirect=b.example", "`redirect=` stands there twice")],
    );
    check(
        "v=spf1 a:mail\u{1b}[31m.example",
        &[(
            "a:mail\u{1b}[31m.example",
            "`\\u{1b}` cannot stand in an SPF record; terms are printable ASCII, with spaces between",
        )],
    );
    check(
        "v=spf1 a:%{z}.example",
        &[(
            "a:%{z}.example",
            "`%{z}.example` has a bad macro; `%` begins `%{letter}`, `%%`, `%_` or `%-`",
        )],
    );
}

#[test]
fn what_the_grammar_refuses() {
    for term in [
        "ip4",
        "ip4:",
        "ip4:192.0.2",
        "ip4:192.0.2.1/",
        "ip4:192.0.2.1/032",
        "ip4:192.0.2.1//32",
        "ip4:192.0.2.256",
        "ip6:",
        "ip6:2001:db8::1//64",
        "ip6:1200",
        "ip6",
        "a:",
        "a:/24",
        "a/33",
        "a//129",
        "a/24/64",
        "a/",
        "a//",
        "a:museum",
        "a:museum.",
        "a:example.com:8080",
        "a:111.222.33.44",
        "a:abc.123",
        "a:foo.-com",
        "a:foo.com-",
        "mx:",
        "mx/24/24",
        "mx/-1",
        "include:",
        "include:example.com/24",
        "ptr:",
        "ptr:example.com/24",
        "ptr/0",
        "exists",
        "exists:",
        "exists:example.com/24",
        "exists:%{i",
        "exists:%",
        "exists:%(x).example",
        "exists:%{d0}.example",
        "exists:%{c}.example",
        "redirect=",
        "redirect",
        "exp=",
        "all.",
        "all/8",
        "-",
        "+",
        "--all",
        "=x",
        "1x=y",
        "foo=%",
        "foo=%{c}",
        "foo",
        "a=b:%{x}",
        "@",
        "al\u{fc}",
        "exists:%{d2x}.example",
        "exists:%{}.example",
    ] {
        let text = format!("v=spf1 {term} -all");
        assert!(Spf::parse(&text).is_err(), "{text}");
    }
    assert!(Spf::parse("v=spf1\ta -all").is_err());
    assert!(Spf::parse("v=spf1 a\t-all").is_err());
}

#[test]
fn mechanisms_mean_what_they_say() {
    let spf = parsed("v=spf1 ?a:mail.example.org/24//64 -all");
    assert_eq!(
        spf.terms()[0].content,
        Content::Directive(Directive {
            qualifier: Qualifier::Neutral,
            mechanism: Mechanism::A {
                domain: Some(DomainSpec::parse("mail.example.org").unwrap()),
                ipv4_bits: 24,
                ipv6_bits: 64,
            },
        })
    );
    assert_eq!(spf.all(), Some(Qualifier::Fail));
    assert_eq!(spf.terms()[1].span, 34..38);
}

#[test]
fn literal_coverage() {
    let check = |text: &str, address: &str, expected: bool| {
        let covered = parsed(text).covers_literal(address.parse().unwrap());
        assert_eq!(covered, expected, "{text} {address}");
    };
    let text = "v=spf1 -ip4:192.0.2.9 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all ip4:198.51.100.1";
    check(text, "192.0.2.1", true);
    check(text, "::ffff:192.0.2.1", true);
    check(text, "192.0.2.9", false);
    check(text, "192.0.3.1", false);
    check(text, "2001:db8:1::1", true);
    check(text, "2001:db9::1", false);
    check(text, "198.51.100.1", false); // behind `all`
    check("v=spf1 ip4:192.0.2.77/24", "192.0.2.1", true); // host bits do not matter
    check("v=spf1 +all", "192.0.2.1", false);
    check("v=spf1 ip4:0.0.0.0/0", "2001:db8::1", false);
}

#[test]
fn costs_are_counted() {
    let check = |text: &str, expected| assert_eq!(parsed(text).lookup_terms(), expected, "{text}");
    check("v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", 0);
    check("v=spf1 a mx ptr include:a.example exists:b.example -all", 5);
    check("v=spf1 a redirect=a.example", 2);
    check("v=spf1 a redirect=a.example exp=b.example -all", 1);
}

#[test]
fn oddities() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = parsed(text)
            .oddities()
            .iter()
            .map(Oddity::to_string)
            .collect();
        assert_eq!(found, expected, "{text}");
    };
    check("v=spf1 a mx -all", &[]);
    check(
        "v=spf1 -all a ~all",
        &[
            "`a` stands behind `all` and is never looked at",
            "`~all` stands behind `all` and is never looked at",
        ],
    );
    check(
        "v=spf1 ip4=192.0.2.1 ptr redirect=a.example +all",
        &[
            "`ip4=192.0.2.1` does nothing; a mechanism takes `:`",
            "`ptr` is slow and unreliable; some receivers ignore it",
            "`redirect=a.example` is ignored because there is an `all`",
            "`+all` lets every host in the world send for the domain",
        ],
    );
    check("v=spf1 a +A -all", &["`+A` stands there twice"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(v=spf1)?[ -~\u{fc}\u{0}]{0,60}") {
        if let Ok(spf) = Spf::parse(&text) {
            let printed = spf.to_string();
            let again = Spf::parse(&printed).unwrap();
            prop_assert_eq!(again.to_string(), printed);
        }
    }

    #[test]
    fn no_terms_panic(terms in prop::collection::vec(
        "[+?~-]?(a|mx|ip4|ip6|all|exists|include|ptr|exp|redirect)[:=/]{0,2}[a-z0-9.:/%{}]{0,12}",
        0..5,
    )) {
        let text = format!("v=spf1 {}", terms.join(" "));
        match Spf::parse(&text) {
            Ok(spf) => {
                let _ = spf.oddities();
                prop_assert_eq!(Spf::parse(&spf.to_string()).unwrap().to_string(), spf.to_string());
            }
            Err(errors) => {
                for error in errors {
                    prop_assert!(text.get(error.span).is_some());
                }
            }
        }
    }
}
