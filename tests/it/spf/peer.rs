//! Random records, judged by mailfix and by pyspf.
//!
//! A case is a small zone and a message. What the records ask for is put into the zone by
//! chance, so that macros lead somewhere. Where pyspf itself parts from RFC 7208,
//! `tests/python/spf_peer.py` puts it right and names the paragraph; nothing else may differ.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mailfix::dns::{Name, RecordType};
use mailfix::mail::spf::{Identity, Judgement, check_host};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Value, json};

use super::python;
use super::zone::Zone;

/// How many cases are judged; `MAILFIX_SPF_CASES` asks for more.
const CASES: usize = 2000;

/// What pyspf calls an explanation that the domain did not give.
const DEFAULT: &str = "DEFAULT";

#[derive(Clone, Debug)]
struct Case {
    zone: Zone,
    address: String,
    helo: String,
    sender: String,
}

impl Case {
    fn identity(&self) -> Identity {
        Identity::mail_from(self.address.parse().unwrap(), &self.helo, &self.sender)
    }

    fn judge(&self) -> Judgement {
        check_host(&self.identity(), &|name, kind| self.zone.lookup(name, kind))
    }

    fn to_json(&self) -> Value {
        json!({
            "zone": self.zone.to_json(),
            "host": self.address,
            "helo": self.helo,
            "sender": self.sender,
        })
    }
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (1..4u8).prop_map(|end| format!("192.0.2.{end}")),
        2 => (1..4u8).prop_map(|end| format!("2001:db8::{end}")),
    ]
}

fn ipv4() -> impl Strategy<Value = String> {
    (1..6u8).prop_map(|end| format!("192.0.2.{end}"))
}

fn ipv6() -> impl Strategy<Value = String> {
    (1..6u8).prop_map(|end| format!("2001:db8::{end}"))
}

/// Names that hosts, domains and targets share.
fn name() -> impl Strategy<Value = String> {
    (0..5u8, prop::bool::weighted(0.3)).prop_map(|(number, below)| {
        if below {
            format!("mail.d{number}.example")
        } else {
            format!("d{number}.example")
        }
    })
}

fn macros() -> impl Strategy<Value = String> {
    let one = (
        prop::sample::select("slodiphvSLODIPHV".chars().collect::<Vec<_>>()),
        prop_oneof![4 => Just(""), 1 => Just("1"), 1 => Just("2"), 1 => Just("9")],
        prop_oneof![2 => Just(""), 1 => Just("r"), 1 => Just("R")],
        prop_oneof![4 => Just(""), 1 => Just("-"), 1 => Just(".-"), 1 => Just("+_"), 1 => Just("=")],
    )
        .prop_map(|(letter, keep, reverse, delimiters)| {
            format!("%{{{letter}{keep}{reverse}{delimiters}}}")
        });
    prop_oneof![10 => one, 1 => Just("%%".to_owned()), 1 => Just("%_".to_owned()), 1 => Just("%-".to_owned())]
}

/// A target: mostly a name, sometimes macros with or without one behind.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => name(),
        2 => (macros(), name()).prop_map(|(macros, name)| format!("{macros}.{name}")),
        1 => (macros(), macros()).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => name().prop_map(|name| format!("{name}.")),
    ]
}

fn lengths() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        1 => prop::sample::select(vec!["/24", "/0", "/31", "//64", "/32//128", "/24//0"]).prop_map(str::to_owned),
    ]
}

fn term() -> impl Strategy<Value = String> {
    let sign = || prop::sample::select(vec!["", "", "", "", "+", "-", "~", "?"]);
    let mechanism = prop_oneof![
        2 => ipv4().prop_map(|address| format!("ip4:{address}")),
        1 => (ipv4(), 24..=32u8).prop_map(|(address, bits)| format!("ip4:{address}/{bits}")),
        2 => ipv6().prop_map(|address| format!("ip6:{address}")),
        1 => (ipv6(), 120..=128u8).prop_map(|(address, bits)| format!("ip6:{address}/{bits}")),
        2 => lengths().prop_map(|lengths| format!("a{lengths}")),
        3 => (target(), lengths()).prop_map(|(target, lengths)| format!("a:{target}{lengths}")),
        2 => lengths().prop_map(|lengths| format!("mx{lengths}")),
        3 => (target(), lengths()).prop_map(|(target, lengths)| format!("MX:{target}{lengths}")),
        1 => Just("ptr".to_owned()),
        1 => target().prop_map(|target| format!("ptr:{target}")),
        3 => target().prop_map(|target| format!("exists:{target}")),
        6 => target().prop_map(|target| format!("include:{target}")),
    ];
    prop_oneof![
        24 => (sign(), mechanism).prop_map(|(sign, mechanism)| format!("{sign}{mechanism}")),
        1 => (sign(), Just("all")).prop_map(|(sign, all)| format!("{sign}{all}")),
        1 => macros().prop_map(|macros| format!("x-{}={macros}", "y")),
        1 => "[+?~-]?(a|mx|ip4|ip6|all|exists|include|ptr|exp|redirect|ip|x)[:=/]{0,2}[a-z0-9.:/%{}]{0,8}",
    ]
}

fn record() -> impl Strategy<Value = String> {
    let end = prop_oneof![
        4 => prop::sample::select(vec!["-all", "~all", "?all", "", "all"]).prop_map(str::to_owned),
        1 => target().prop_map(|target| format!("redirect={target}")),
    ];
    let explanation = prop_oneof![
        5 => Just(String::new()),
        // pyspf looks for the name of the address before it is asked to.
        1 => target().prop_filter("`p`", |target| !target.to_lowercase().contains("%{p"))
            .prop_map(|target| format!("exp={target}")),
        2 => Just("exp=why.example".to_owned()),
    ];
    (prop::collection::vec(term(), 0..7), end, explanation).prop_map(|(terms, end, explanation)| {
        format!("v=spf1 {} {end} {explanation}", terms.join(" "))
    })
}

fn entry() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        20 => record().prop_map(|text| ("TXT", text.into())),
        1 => Just(("TXT", "something else".into())),
        6 => ipv4().prop_map(|address| ("A", address.into())),
        6 => ipv6().prop_map(|address| ("AAAA", address.into())),
        6 => (0..20u8, name()).prop_map(|(preference, name)| ("MX", json!([preference, name]))),
        1 => Just(("TIMEOUT", Value::Null)),
    ]
}

fn case() -> impl Strategy<Value = (Case, u64)> {
    let name_entries = (name(), prop::collection::vec(entry(), 1..3));
    let pointers = (address(), prop::collection::vec(name(), 1..3));
    let zone = (
        prop::collection::vec(record(), 5),
        prop::collection::vec(name_entries, 3..10),
        prop::collection::vec(pointers, 0..3),
        prop::option::of((name(), name())),
        prop_oneof![
            Just("see %{i} %{p}"),
            Just("%{L} %{t1r} at %{d}"),
            Just("%{x}"),
            Just("no")
        ],
    )
        .prop_map(|(records, entries, pointers, alias, why)| {
            let mut zone = Zone::default();
            for (at, record) in records.into_iter().enumerate() {
                zone.add(&format!("d{at}.example"), "TXT", record);
            }
            zone.add("why.example", "TXT", why);
            for (name, entries) in entries {
                for (kind, value) in entries {
                    // Two records would hide all else.
                    if kind != "TXT" || !zone.has(&name, "TXT") {
                        zone.add(&name, kind, value);
                    }
                }
            }
            for (address, names) in pointers {
                let owner = Name::reverse_of(address.parse().unwrap()).host();
                for name in names {
                    zone.add(&owner, "PTR", name);
                }
            }
            if let Some((from, to)) = alias
                && from != to
                && !zone.knows(&from)
            {
                zone.add(&from, "CNAME", to);
            }
            zone
        });
    let helo = prop::sample::select(vec![
        "mail.d0.example",
        "d1.example",
        "[192.0.2.1]",
        "a_b+c.d e",
        "localhost",
    ]);
    let sender = prop::sample::select(vec![
        "",
        "bob@d0.example",
        "strong-bad+x@d0.example",
        "a=b_c@mail.d0.example",
        "@d1.example",
        "x@d2.example",
        "y@d3.example",
        "bob@nobody.example",
    ]);
    (zone, address(), helo, sender, any::<u64>()).prop_map(
        |(zone, address, helo, sender, chance)| {
            let (helo, sender) = (helo.to_owned(), sender.to_owned());
            let case = Case {
                zone,
                address,
                helo,
                sender,
            };
            (case, chance)
        },
    )
}

/// Puts some of what the records ask for, and the zone lacks, into the zone.
fn fill(case: &mut Case, mut chance: u64) {
    let asked: RefCell<BTreeMap<String, RecordType>> = RefCell::default();
    let _ = check_host(&case.identity(), &|name: &Name, kind| {
        let answer = case.zone.lookup(name, kind);
        let labels: Vec<_> = name.labels().map(String::from_utf8_lossy).collect();
        if answer
            .as_ref()
            .is_ok_and(|answer| answer.records().is_empty())
        {
            asked.borrow_mut().insert(labels.join("."), kind);
        }
        answer
    });
    for (name, kind) in asked.into_inner() {
        chance = chance.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if chance & 1 == 0 {
            continue;
        }
        match kind {
            RecordType::A => case.zone.add(&name, "A", "192.0.2.2"),
            RecordType::Aaaa => case.zone.add(&name, "AAAA", "2001:db8::2"),
            RecordType::Txt => case.zone.add(&name, "TXT", "v=spf1 ip4:192.0.2.1 ?all"),
            RecordType::Mx => case.zone.add(&name, "MX", json!([0, "mail.d0.example"])),
            _ => {}
        }
    }
}

#[test]
fn random_records_are_judged_alike() {
    let count = std::env::var("MAILFIX_SPF_CASES")
        .map_or(CASES, |text| text.parse().expect("it is a number"));
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(7208),
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let strategy = case();
    let cases: Vec<Case> = (0..count)
        .map(|_| {
            let (mut case, chance) = strategy.new_tree(&mut runner).unwrap().current();
            fill(&mut case, chance);
            case
        })
        .collect();
    let input: Vec<Value> = cases.iter().map(Case::to_json).collect();
    let Some(output) = python("spf_peer.py", &[], json!(input).to_string().as_bytes()) else {
        return;
    };
    let answers: Vec<(String, String, String)> = serde_json::from_slice(&output).unwrap();
    assert_eq!(answers.len(), cases.len());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut wrong, mut parted) = (Vec::new(), 0);
    for (case, (result, explanation, as_it_comes)) in cases.iter().zip(answers) {
        let judgement = case.judge();
        let status = judgement.status.to_string();
        *seen.entry(status.clone()).or_default() += 1;
        parted += usize::from(status != as_it_comes);
        let ours = judgement.explanation.unwrap_or_else(|| DEFAULT.to_owned());
        if status != result || status == "fail" && ours != explanation {
            wrong.push(format!(
                "{status} {ours:?} ({:?}), pyspf {result} {explanation:?}: {}",
                judgement.why,
                case.to_json()
            ));
        }
    }
    let left = wrong.len();
    wrong.truncate(5);
    assert_eq!(wrong, [""; 0], "{left} of {count} cases differ");
    println!("{count} cases, {seen:?}; pyspf as it comes parts from the standard in {parted}");
    assert!(seen.len() == 7, "every result comes up: {seen:?}");
}
