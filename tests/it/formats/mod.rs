//! Every form of `dns show`, fed to the tool it is for, must read back as the same records.
//!
//! BIND's own programs, nsupdate with a real BIND, and octoDNS are those of everybody. Terraform
//! text is read by an HCL library and its values decoded as the providers do. dnscontrol comes in
//! no package: node runs the text with functions of ours in its place. Without a tool a test says
//! that it skipped; `CI=true` makes that a failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailfix::dns::format::{
    Cut, Live, Set, Wanted, Written, Zone, bind, dnscontrol, json, nsupdate, octodns, panel,
    terraform_cloudflare, terraform_route53, zones,
};
use mailfix::dns::{Name, Record, RecordData, RecordType, zone};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::support::{self, Named, Snapshots, Tree, normalized, run, skip};

/// The zones that records are made for: one of hosts, and one of addresses as RFC 2317 has it.
const ZONES: [&str; 2] = ["example.org", "24-29.2.0.192.in-addr.arpa"];

/// How many records are made at once; a tool is started once for all of them.
const MANY: usize = 160;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

// What is written: random records.

fn any_label() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9]{0,6}",
        1 => "_[a-z]{1,9}",
        1 => "[0-9]{1,3}",
        1 => "[a-z]-[a-z0-9]{1,4}",
    ]
}

fn any_owner() -> impl Strategy<Value = String> {
    let labels = prop::collection::vec(any_label(), 0..3);
    let zone = prop::sample::select(ZONES.to_vec());
    (labels, zone).prop_map(|(labels, zone)| {
        labels
            .into_iter()
            .rev()
            .fold(zone.to_owned(), |below, label| format!("{label}.{below}"))
    })
}

fn any_target() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9-]{0,5}[a-z]){1,2}".prop_map(|text| name(&text))
}

/// Texts with all that means something in some syntax, and long ones.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        "\"",
        "\\",
        ";",
        "\\;",
        "\" \"",
        "\"\"",
        "${",
        "$${",
        "%{",
        "%%{",
        "{",
        "}",
        "$",
        "%",
        "'",
        "`",
        "#",
        "//",
        " ",
        "  ",
        "\\\"",
        "\\010",
        "\t",
        "\n",
        "\u{fc}",
        "\u{2028}",
        "\u{1f4e7}",
        "a",
        "v=spf1 ",
        "p=",
        "\\n",
        "<",
        ",",
        ":",
        "- ",
        "@",
        "(",
        ")",
    ]);
    prop_oneof![
        3 => prop::collection::vec(odd, 0..12).prop_map(|parts| parts.concat().into_bytes()),
        2 => "[A-Za-z0-9+/]{300,600}".prop_map(|key| format!("v=DKIM1; k=rsa; p={key}").into_bytes()),
        2 => "v=DMARC1; p=(none|reject); rua=mailto:[a-z]{1,9}@example\\.org".prop_map(String::into_bytes),
        1 => "[ -~]{0,600}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..600),
    ]
}

fn any_data() -> impl Strategy<Value = RecordData> {
    prop_oneof![
        2 => any::<[u8; 4]>().prop_map(|octets| RecordData::A(octets.into())),
        2 => any::<[u8; 16]>().prop_map(|octets| RecordData::Aaaa(octets.into())),
        1 => any_target().prop_map(RecordData::Ptr),
        1 => any_target().prop_map(RecordData::Cname),
        2 => (any::<u16>(), any_target())
            .prop_map(|(preference, exchange)| RecordData::Mx { preference, exchange }),
        1 => Just(RecordData::Mx { preference: 0, exchange: Name::root() }),
        8 => any_text().prop_map(RecordData::Txt),
    ]
}

/// What is said beside a record must not leave its comment.
fn any_remark() -> impl Strategy<Value = String> {
    "([a-z]{1,9}|`a b`|\n|\t|\\*/|update delete example\\.org|\u{1b}\\[31m|[ -_a-~]){0,12}"
}

/// What stands in DNS already, made of what is wanted and of others'.
#[derive(Clone, Debug)]
enum Before {
    Unknown,
    Known {
        has_ours: bool,
        others: usize,
        stale: usize,
    },
}

fn any_before() -> impl Strategy<Value = Before> {
    prop_oneof![
        1 => Just(Before::Unknown),
        2 => (any::<bool>(), 0..3_usize, 0..2_usize)
            .prop_map(|(has_ours, others, stale)| Before::Known { has_ours, others, stale }),
    ]
}

/// The same records in every run; `PROPTEST_RNG_SEED=random` goes looking for others.
fn random_zones() -> Vec<Zone> {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let mut runner = TestRunner::new(config);
    let one = (any_owner(), any_data(), any_remark(), any_remark());
    let strategy = prop::collection::vec(one, MANY);
    let all = strategy.new_tree(&mut runner).unwrap().current();
    // Nothing stands beside an alias, and there is none at the top of a zone.
    let mut taken: BTreeSet<String> = ZONES.map(str::to_owned).into();
    let mut aliases = BTreeSet::new();
    let mut wanted = Vec::new();
    for (owner, data, why, who) in all {
        let is_alias = data.kind() == RecordType::Cname;
        let is_free = if is_alias {
            taken.insert(owner.clone())
        } else {
            !aliases.contains(&owner)
        };
        if !is_free {
            continue;
        }
        taken.insert(owner.clone());
        if is_alias {
            aliases.insert(owner.clone());
        }
        let zone = ZONES
            .into_iter()
            .find(|zone| owner.ends_with(zone))
            .unwrap();
        let record = Record {
            owner: name(&owner),
            ttl: 60 + 7 * u32::try_from(owner.len()).unwrap(),
            data,
        };
        let cut = Cut {
            zone: name(zone),
            is_guess: false,
        };
        wanted.push(Wanted {
            record,
            why,
            who,
            cut,
            live: None,
        });
    }
    let mut made = zones(wanted);
    for set in made.iter_mut().flat_map(|zone| &mut zone.sets) {
        let before = any_before().new_tree(&mut runner).unwrap().current();
        let Before::Known {
            has_ours,
            others,
            stale,
        } = before
        else {
            continue;
        };
        let mut one = || {
            let alike = any_data().prop_filter("type", |data| data.kind() == set.kind);
            alike.new_tree(&mut runner).unwrap().current()
        };
        // An alias has no company.
        let is_alias = set.kind == RecordType::Cname;
        let stale: Vec<RecordData> = (0..stale).map(|_| one()).collect();
        let others = (0..if is_alias { 0 } else { others }).map(|_| one());
        let mut members: Vec<RecordData> = others.chain(stale.iter().cloned()).collect();
        if has_ours && (!is_alias || members.is_empty()) {
            members.push(set.members[0].data.clone());
        }
        members.sort();
        members.dedup();
        set.live = Some(Live {
            members,
            stale,
            alias: None,
        });
    }
    made
}

/// What is wanted.
fn ours(zones: &[Zone]) -> Vec<Record> {
    let sets = zones.iter().flat_map(|zone| &zone.sets);
    sorted(sets.flat_map(Set::records))
}

/// What is wanted, and what stands beside it and stays.
fn whole(zones: &[Zone]) -> Vec<Record> {
    let sets = zones.iter().flat_map(|zone| &zone.sets);
    let kept = sets.flat_map(|set| {
        let live = set.live.clone().unwrap_or_default();
        let kept = live
            .members
            .into_iter()
            .filter(move |data| !live.stale.contains(data));
        let (owner, ttl) = (set.owner.clone(), set.ttl);
        kept.map(move |data| Record {
            owner: owner.clone(),
            ttl,
            data,
        })
    });
    sorted(ours(zones).into_iter().chain(kept))
}

fn sorted(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let set: BTreeSet<Record> = records.into_iter().collect();
    set.into_iter().collect()
}

/// Compares, naming only what differs.
#[track_caller]
fn same(found: &[Record], expected: &[Record]) {
    let (found, expected): (BTreeSet<_>, BTreeSet<_>) =
        (found.iter().collect(), expected.iter().collect());
    let text = |records: Vec<&&Record>| -> String {
        let records: Vec<Record> = records
            .into_iter()
            .map(|record| (*record).clone())
            .collect();
        zone::write(&records)
    };
    let lost = text(expected.difference(&found).collect());
    let new = text(found.difference(&expected).collect());
    assert!(
        lost.is_empty() && new.is_empty(),
        "lost:\n{lost}new:\n{new}"
    );
}

// Tools.

fn tool(path: &str, package: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("there is no `{}` ({package})", path.display()));
    None
}

fn python(program: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/python/bin")
        .join(program);
    tool(&path.display().to_string(), "`script/python` makes it")
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Records of zone text, without what every zone begins with.
fn read(text: &str) -> Vec<Record> {
    let records = zone::read(text).unwrap();
    let is_top = |record: &Record| {
        matches!(record.data, RecordData::Soa(_)) || record.data == RecordData::Ns(name("ns.test"))
    };
    sorted(records.into_iter().filter(|record| !is_top(record)))
}

/// Records as the scripts beside this file print them.
fn from_lines(printed: &str) -> Vec<Record> {
    let lines: Vec<serde_json::Value> = serde_json::from_str(printed).unwrap();
    let records = lines.iter().map(|line| {
        let word = |key: &str| line[key].as_str().unwrap();
        if let Some(hex) = line["text"].as_str() {
            return Record {
                owner: name(word("name")),
                ttl: line["ttl"].as_u64().unwrap().try_into().unwrap(),
                data: RecordData::Txt(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()),
            };
        }
        let text = format!(
            "{} {} IN {} {}",
            word("name"),
            line["ttl"],
            word("type"),
            word("value")
        );
        zone::read(&text).unwrap().remove(0)
    });
    sorted(records)
}

/// What a text that states whole sets must hold; what it says it leaves out must be just what
/// its tool cannot hold. A set of which nothing wanted is left is left alone, and so is one in
/// which something stands that would be lost.
#[track_caller]
fn whole_but(zones: &[Zone], written: &Written, cannot: impl Fn(&[u8]) -> bool) -> Vec<Record> {
    let is_lost = |record: &Record| match &record.data {
        RecordData::Txt(text) => cannot(text),
        _ => false,
    };
    let (mut expected, mut lost) = (Vec::new(), BTreeSet::new());
    for zone in zones {
        for set in &zone.sets {
            let one = Zone {
                cut: zone.cut.clone(),
                sets: vec![set.clone()],
            };
            let one = std::slice::from_ref(&one);
            let is_stated = !ours(one).iter().all(is_lost);
            let all = if is_stated { whole(one) } else { ours(one) };
            let (out, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_lost);
            let live = set.live.clone().unwrap_or_default();
            let is_kept = |record: &Record| {
                let data = &record.data;
                let is_wanted = set.members.iter().any(|member| member.data == *data);
                live.members.contains(data) && (is_wanted || !live.stale.contains(data))
            };
            if !(is_stated && out.iter().any(is_kept)) {
                expected.extend(rest);
            }
            lost.extend(out.into_iter().map(|record| record.owner));
        }
    }
    let named: BTreeSet<Name> = written
        .left_out
        .iter()
        .map(|one| one.owner.clone())
        .collect();
    assert_eq!(named, lost);
    assert!(!lost.is_empty(), "the random texts have such ones");
    expected
}

#[test]
fn zone_text_is_what_bind_reads() {
    let Some(compiler) = tool("/usr/bin/named-compilezone", "bind9-utils") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("a"), folder.path().join("b"));
    let zones = random_zones();
    for one in &zones {
        let one = std::slice::from_ref(one);
        let origin = one[0].cut.zone.fully_qualified();
        let written = bind::write(one);
        assert_eq!(written.left_out, []);
        let top = "@ 60 IN SOA ns.test. a.test. 1 2 3 4 5\n@ 60 IN NS ns.test.\n";
        std::fs::write(&before, format!("{top}{}", written.text)).unwrap();
        let lenient = [
            "-i", "none", "-k", "ignore", "-n", "ignore", "-r", "ignore", "-o",
        ];
        output(
            Command::new(&compiler)
                .args(lenient)
                .arg(&after)
                .arg(&origin)
                .arg(&before),
        );
        same(&read(&std::fs::read_to_string(&after).unwrap()), &ours(one));
    }
}

#[test]
fn octodns_reads_its_yaml() {
    let Some(octodns_sync) = python("octodns-sync") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("in")).unwrap();
    let mut config = format!(
        "providers:\n  yaml:\n    class: octodns.provider.yaml.YamlProvider\n    directory: {0}/in\n    \
         escaped_semicolons: true\n  bind:\n    class: octodns_bind.ZoneFileProvider\n    \
         directory: {0}/out\n    file_extension: .zone\nzones:\n",
        folder.path().display()
    );
    let zones = random_zones();
    let mut expected = Vec::new();
    for one in &zones {
        let one = std::slice::from_ref(one);
        let origin = one[0].cut.zone.fully_qualified();
        let written = octodns::write(one);
        expected.extend(whole_but(one, &written, |text| {
            let plain = text.iter().all(|byte| matches!(byte, 32..127));
            let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
            text.is_empty() || !plain || holds(b"\\") || holds(b"\" \"")
        }));
        std::fs::write(path("in").join(format!("{origin}yaml")), written.text).unwrap();
        writeln!(
            config,
            "  {origin}:\n    sources: [yaml]\n    targets: [bind]"
        )
        .unwrap();
    }
    std::fs::write(path("config.yaml"), config).unwrap();
    output(
        Command::new(octodns_sync)
            .arg("--config-file")
            .arg(path("config.yaml"))
            .args(["--doit", "--force"]),
    );
    let mut found = Vec::new();
    for zone in ZONES {
        let text = std::fs::read_to_string(path("out").join(format!("{zone}.zone"))).unwrap();
        found.extend(read(&text));
    }
    same(&found, &expected);
}

#[test]
fn dnscontrol_text_is_javascript_that_calls_for_the_records() {
    let Some(node) = tool("/usr/bin/node", "nodejs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dnsconfig.js");
    let zones = random_zones();
    let written = dnscontrol::write(&zones);
    std::fs::write(&file, &written.text).unwrap();
    let expected = whole_but(&zones, &written, |text| str::from_utf8(text).is_err());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formats/dnscontrol.js");
    let printed = output(Command::new(node).arg(script).arg(&file));
    same(&from_lines(&printed), &expected);
}

fn terraform(written: &Written) -> Option<Vec<Record>> {
    let python = python("python")?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("main.tf");
    std::fs::write(&file, &written.text).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formats/terraform.py");
    Some(from_lines(&output(
        Command::new(python).arg(script).arg(&file),
    )))
}

#[test]
fn terraform_for_cloudflare_means_the_records() {
    let zones = random_zones();
    let written = terraform_cloudflare::write(&zones);
    assert_eq!(written.left_out, []);
    let Some(found) = terraform(&written) else {
        return;
    };
    same(&found, &ours(&zones));
}

#[test]
fn terraform_for_route53_means_the_sets() {
    let zones = random_zones();
    let written = terraform_route53::write(&zones);
    assert_eq!(written.left_out, []);
    let Some(found) = terraform(&written) else {
        return;
    };
    same(&found, &whole(&zones));
}

#[test]
fn json_is_exact() {
    let zones = random_zones();
    let text = serde_json::to_string(&json::write(&zones)).unwrap();
    let read: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let found = read.iter().map(|record| {
        let word = |key: &str| record[key].as_str().unwrap();
        let line = format!(
            "{} {} IN {} {}",
            word("name"),
            record["ttl"],
            word("type"),
            word("data")
        );
        let made = zone::read(&line).unwrap().remove(0);
        assert!(made.owner.is_subdomain_of(&name(word("zone"))));
        if let (RecordData::Txt(text), Some(strings)) = (&made.data, record["strings"].as_array()) {
            assert_eq!(strings.len(), text.len().div_ceil(255));
            let joined: String = strings
                .iter()
                .map(|string| string.as_str().unwrap())
                .collect();
            assert_eq!(joined, word("value"));
        }
        made
    });
    same(&sorted(found), &ours(&zones));
}

#[test]
fn a_form_holds_all_there_is_to_type() {
    let zones = random_zones();
    // What no keyboard has cannot be typed.
    let is_plain = |record: &Record| match &record.data {
        RecordData::Txt(text) => text.iter().all(|byte| matches!(byte, 32..127)),
        _ => true,
    };
    let mut found = Vec::new();
    for one in &zones {
        for record in one.sets.iter().flat_map(Set::records).filter(is_plain) {
            let form = panel::form(&record, &one.cut.zone);
            let field = |label: &str| {
                let line = form
                    .lines()
                    .find(|line| line.starts_with(&format!("{label:<6} ")))?;
                line.get(7..)
            };
            let host = field("Host").unwrap();
            let zone = one.cut.zone.host();
            let full = if host == "@" {
                zone
            } else {
                format!("{host}.{zone}")
            };
            assert_eq!(Some(full.as_str()), field("Name"));
            let value = field("Value").unwrap();
            let data = match field("Type").unwrap() {
                "TXT" => RecordData::Txt(value.into()),
                "MX" => RecordData::Mx {
                    preference: field("Prio").unwrap().parse().unwrap(),
                    exchange: name(value),
                },
                "PTR" => RecordData::Ptr(name(value)),
                "CNAME" => RecordData::Cname(name(value)),
                "A" => RecordData::A(value.parse().unwrap()),
                "AAAA" => RecordData::Aaaa(value.parse().unwrap()),
                other => panic!("{other}"),
            };
            let ttl = field("TTL").unwrap().parse().unwrap();
            found.push(Record {
                owner: name(&full),
                ttl,
                data,
            });
        }
    }
    let expected = ours(&zones)
        .into_iter()
        .filter(is_plain)
        .collect::<Vec<_>>();
    same(&sorted(found), &expected);
    // All but the values keeps to the width of a terminal.
    let text = panel::write(&zones).text;
    let is_value = |line: &&str| {
        ["Value ", "Split ", "now: "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let long: Vec<&str> = text
        .lines()
        .filter(|line| !is_value(line))
        .filter(|line| line.chars().count() > 80)
        .collect();
    assert_eq!(long, [""; 0]);
    assert!(!text.contains('\u{1b}'));
}

// Updates, with a real BIND.

/// Serves zones with what stands in them before, open to updates from this machine.
fn serve(zones: &[Zone]) -> Option<Named> {
    let texts: Vec<String> = zones
        .iter()
        .map(|zone| {
            let mut records = Vec::new();
            for set in &zone.sets {
                let members = set.live.iter().flat_map(|live| live.members.clone());
                records.extend(members.map(|data| Record {
                    owner: set.owner.clone(),
                    ttl: set.ttl,
                    data,
                }));
            }
            mailfix::dns::zone::write(&records)
        })
        .collect();
    let origins: Vec<String> = zones.iter().map(|zone| zone.cut.zone.host()).collect();
    let served: Vec<support::Zone> = origins
        .iter()
        .zip(&texts)
        .map(|(name, text)| support::Zone {
            name,
            text,
            options: "allow-update { 127.0.0.1; }; check-mx ignore; check-names ignore; check-integrity no;",
        })
        .collect();
    let named = Named::start("", &served);
    if named.is_none() {
        skip("there is no `named`");
    }
    named
}

fn transferred(named: &Named, zones: &[Zone]) -> Vec<Record> {
    let port = named.address.port().to_string();
    let mut found = Vec::new();
    for zone in zones {
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "-p", &port, &zone.cut.zone.host(), "AXFR"]);
        dig.args(["+noall", "+answer", "+onesoa", "+tries=1"]);
        found.extend(read(&output(&mut dig)));
    }
    sorted(found)
}

fn update(named: &Named, text: &str) -> std::process::Output {
    let script = named.path("update");
    // Random owners are no host names; those that mailfix makes are.
    std::fs::write(&script, format!("check-names no\n{text}")).unwrap();
    let mut command = Command::new("nsupdate");
    command.arg(script).output().expect("`nsupdate` starts")
}

fn commands(named: &Named, zones: &[Zone]) -> Written {
    let server = named.address.to_string().parse().unwrap();
    nsupdate::write(zones, Some(&server))
}

#[test]
fn an_update_makes_the_records_and_spares_those_of_others() {
    let zones = random_zones();
    let Some(named) = serve(&zones) else { return };
    let written = commands(&named, &zones);
    assert_eq!(written.left_out, []);
    let done = update(&named, &written.text);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    same(&transferred(&named, &zones), &whole(&zones));
    // What the second one demands is not there any more.
    let before = transferred(&named, &zones);
    assert!(!update(&named, &written.text).status.success());
    same(&transferred(&named, &zones), &before);
}

/// One set, seen by us as `seen` says while `there` is what stands in the zone.
fn one_set(
    wanted: &str,
    seen: Option<&[&str]>,
    stale: &[&str],
    there: &[&str],
) -> (Vec<Zone>, Vec<Zone>) {
    let data = |lines: &[&str]| -> Vec<RecordData> {
        let records = lines.iter().flat_map(|line| zone::read(line).unwrap());
        records.map(|record| record.data).collect()
    };
    let make = |live| {
        zones([Wanted {
            record: zone::read(wanted).unwrap().remove(0),
            why: String::new(),
            who: String::new(),
            cut: Cut {
                zone: name("example.org"),
                is_guess: seen.is_none(),
            },
            live,
        }])
    };
    let live = |members| Live {
        members,
        stale: data(stale),
        alias: None,
    };
    (
        make(seen.map(|seen| live(data(seen)))),
        make(Some(live(data(there)))),
    )
}

#[test]
fn an_update_of_what_changed_meanwhile_does_nothing() {
    const SPF: &str = "example.org. 60 TXT \"v=spf1 mx -all\"";
    const OLD: &str = "example.org. 60 TXT \"v=spf1 a -all\"";
    const OTHER: &str = "example.org. 60 TXT \"google-site-verification=x\"";
    const NEWER: &str = "example.org. 60 TXT \"v=spf1 a mx ~all\"";
    const PTR: &str = "25.example.org. 60 PTR mail.example.org.";
    const OLD_PTR: &str = "25.example.org. 60 PTR old.example.org.";
    let check_of =
        |wanted: &str, seen: Option<&[&str]>, stale: &[&str], there: &[&str], after: &[&str]| {
            let (zones, present) = one_set(wanted, seen, stale, there);
            let Some(named) = serve(&present) else { return };
            let done = update(&named, &commands(&named, &zones).text);
            let lines =
                |lines: &[&str]| sorted(lines.iter().flat_map(|line| zone::read(line).unwrap()));
            same(&transferred(&named, &zones), &lines(after));
            assert_eq!(done.status.success(), there != after, "{done:?}");
        };
    let check = |seen: Option<&[&str]>, stale: &[&str], there: &[&str], after: &[&str]| {
        check_of(SPF, seen, stale, there, after);
    };
    check(Some(&[OLD, OTHER]), &[OLD], &[OLD, OTHER], &[SPF, OTHER]);
    check(
        Some(&[OLD, OTHER]),
        &[OLD],
        &[NEWER, OTHER],
        &[NEWER, OTHER],
    );
    check(Some(&[]), &[], &[OLD], &[OLD]);
    check(Some(&[]), &[], &[], &[SPF]);
    // Unseen, and the zone left for nsupdate to find: nothing of others goes.
    check(None, &[], &[OLD, OTHER], &[SPF, OLD, OTHER]);
    check_of(PTR, None, &[], &[OLD_PTR], &[OLD_PTR]);
    check_of(PTR, None, &[], &[], &[PTR]);
}

/// A site with a key, a second server and one domain whose records stand in DNS, some of them
/// wrong, and one whose do not.
const SITE: &str = "\
allow_non_global = true

[server]
hostname = \"mail.example.org\"
ipv4 = [\"192.0.2.25\"]
ipv6 = [\"2001:db8::25\"]

[dns]
reverse4 = \"provider\"

[dkim]
selector = \"s1\"
key = \"/s1.pem\"

[dmarc]
policy = \"none\"
reports = \"mailto:dmarc@example.org\"

[[domain]]
name = \"example.org\"

[[domain]]
name = \"example.net\"
";

/// A key for these tests alone.
const KEY: &str = include_str!("key-of-tests.pem");

/// What stands in DNS: an SPF record that lacks senders, beside somebody else's text; one address
/// of two; DMARC of another mind; an alias where a key is wanted; a reverse zone of one's own.
const PRESENT: &str = "\
example.org. 3600 IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
example.org. 3600 IN TXT \"v=spf1 mx include:_spf.example.com -all\"
example.org. 3600 IN TXT \"site-verification=\\\"a;b\\\"\"
example.org. 3600 IN MX 10 mail.example.org.
mail.example.org. 3600 IN A 192.0.2.25
_spf.example.com. 3600 IN TXT \"v=spf1 ip4:198.51.100.0/24 -all\"
_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=reject\"
example.net. 3600 IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
s1._domainkey.example.net. 3600 IN CNAME s1.keys.example.com.
25.2.0.192.in-addr.arpa. 3600 IN CNAME 25.24-29.2.0.192.in-addr.arpa.
24-29.2.0.192.in-addr.arpa. 3600 IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
25.24-29.2.0.192.in-addr.arpa. 3600 IN PTR old.example.org.
";

#[test]
fn a_whole_site_in_every_form() {
    let snapshots = Snapshots::new("formats");
    let tree = Tree::new();
    tree.write("/s1.pem", KEY);
    tree.write("/etc/mailfix/mailfix.toml", SITE);
    let root = tree.path().display().to_string();
    for form in [
        "zone",
        "panel",
        "octodns",
        "dnscontrol",
        "terraform-cloudflare",
        "terraform-route53",
        "nsupdate",
        "json",
    ] {
        let words = [
            "--root",
            &root,
            "--profile",
            "linux",
            "dns",
            "show",
            "--format",
            form,
        ];
        let shown = run(&words, jiff::Timestamp::UNIX_EPOCH, Some(PRESENT));
        // An alias stands where nsupdate would have to put a key.
        assert_eq!(shown.status, i32::from(form == "nsupdate"), "{shown}");
        snapshots.check(form, &normalized(&shown.to_string(), tree.path()));
    }
    snapshots.end();
}
