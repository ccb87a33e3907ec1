use super::*;
use crate::finding::Finding;
use proptest::prelude::*;

const WHOLE: &str = r#"profile = "linux"
[server]
hostname = "Mail.Example.org"
ipv4 = ["8.8.4.4"]
ipv6 = ["2001:470::7"]
[dns]
forward = "self"
reverse4 = "provider"
reverse6 = "none"
[[dns.reverse]]
network = "2001:470:1::/48"
control = "self"
[[dns.reverse]]
network = "2001:470:1:8000::/49"
control = "provider"
[[domain]]
name = "Example.org"
[[domain]]
name = "example.net"
[[other_server]]
name = "backup.example.org"
ipv4 = ["8.8.8.8"]
[third_parties]
spf_includes = ["_spf.example.net"]
[dkim]
selector = "mail"
key = "/etc/mailfix/dkim/mail.private"
signer = "opendkim"
beside = ["inet:127.0.0.1:8893"]
ed25519 = { selector = "mail-ed", key = "/etc/mailfix/dkim/mail-ed.private" }
[dmarc]
policy = "quarantine"
reports = "mailto:postmaster@example.org"
[spf]
all = "-all"
[providers.google]
ipv6 = "avoid"
hosted_domains = ["example.com"]
[remedies]
use = ["reply-filter", "mx-filter"]
[refresh]
timer = true
[forwarding]
srs = "postsrsd"
[checks]
silence = ["some-code"]
[dns.update]
server = "NS1.example.org:5353"
key = "/srv/tsig.key"
"#;

const SMALL: &str = "[server]\nhostname = 'mail.example.org'\nipv4 = ['8.8.4.4']\n\
                     [[domain]]\nname = 'example.org'\n";

fn parse(text: &str) -> Result<Site, SiteError> {
    Site::parse(text, Utf8Path::new("mailfix.toml"))
}

#[test]
fn every_key_is_read() {
    let site = parse(WHOLE).unwrap();
    assert_eq!(site.profile.as_deref(), Some("linux"));
    assert_eq!(site.server.hostname, "mail.example.org");
    assert_eq!(site.domains, ["example.org", "example.net"]);
    assert_eq!(site.spf_includes, ["_spf.example.net"]);
    assert_eq!(site.spf_all, All::Fail);
    assert_eq!(site.dmarc.policy, Some(Policy::Quarantine));
    let dkim = site.dkim.as_ref().unwrap();
    let keys: Vec<_> = dkim.keys().map(|(selector, _)| selector).collect();
    assert_eq!(keys, ["mail", "mail-ed"]);
    assert_eq!(dkim.signer, Some(SignerWish::SetUp("opendkim".to_owned())));
    assert_eq!(dkim.beside, ["inet:127.0.0.1:8893"]);
    assert_eq!(site.wish("google").ipv6, Ipv6Wish::Avoid);
    assert_eq!(site.wish("yahoo").ipv6, Ipv6Wish::Auto);
    assert_eq!(
        site.remedies.clone().unwrap(),
        [RemedyId::MxFilter, RemedyId::ReplyFilter]
    );
    let update = site.dns.update.as_ref().unwrap();
    assert_eq!(update.server.to_string(), "ns1.example.org:5353");
    assert_eq!(update.key, "/srv/tsig.key");
    assert_eq!(site.timer, Some(true));
    assert_eq!(site.srs, Some(Srs::Postsrsd));
    assert_eq!(site.silence, ["some-code"]);
    assert_eq!(site.addresses().count(), 2);
    assert_eq!(site.sending_addresses().count(), 3);
}

#[test]
fn little_is_needed() {
    let site = parse(SMALL).unwrap();
    assert_eq!(site.dns.forward, Control::Own);
    assert_eq!(site.dns.reverse4, Control::Provider);
    assert_eq!(site.dns.reverse6, Control::Provider);
    assert_eq!(site.dkim, None);
    assert_eq!(site.spf_all, All::SoftFail);
    assert_eq!(site.remedies, None);
    assert_eq!(site.timer, None);
    assert_eq!(site.srs, None);
}

#[test]
fn remedies_are_chosen_by_their_words() {
    check(
        "\"mx-filter\"",
        "\"mxfilter\"",
        &[
            "40 [unknown-remedy] \"\\\"mxfilter\\\"\": unknown remedy `mxfilter`; \
           allowed here: `reverse-dns`, `source-address`, `mx-filter`, `ipv4-transport`, \
           `hosted-domains`, `reply-filter`, `address-preference`, `ipv4-only`; \
           did you mean `mx-filter`?",
        ],
    );
    check(
        "[\"reply-filter\", \"mx-filter\"]",
        "[]",
        &["40 [no-remedy] \"[]\": no remedy is named; \
           leave `use` out, and mailfix chooses; `mailfix remedies` compares them"],
    );
}

#[test]
fn the_smallest_network_says_who_controls_a_reverse_zone() {
    let site = parse(WHOLE).unwrap();
    for (address, control) in [
        ("8.8.4.4", Control::Provider),
        ("2001:470::7", Control::None),
        ("2001:470:1::7", Control::Own),
        ("2001:470:1:8000::7", Control::Provider),
    ] {
        assert_eq!(site.reverse_control(address.parse().unwrap()), control);
    }
}

fn shown(finding: &Finding) -> String {
    let place = finding.place.as_ref().unwrap();
    let marked = place.source.get(place.span.clone()).unwrap();
    let mut text = format!(
        "{} [{}] {marked:?}: {}",
        place.line, finding.code, finding.title
    );
    for more in [&finding.why, &finding.fix].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

/// Replaces one line of the whole example and compares the faults found.
#[track_caller]
fn check(line: &str, by: &str, faults: &[&str]) {
    assert!(WHOLE.contains(line));
    let error = parse(&WHOLE.replacen(line, by, 1)).unwrap_err();
    let found: Vec<String> = error.findings.iter().map(shown).collect();
    assert_eq!(found, faults);
}

#[test]
fn names_are_validated() {
    for (name, fault) in [
        ("", "the host name is empty"),
        (
            "mail",
            "`mail` is not a full host name; write all of it, such as `mail.example.org`",
        ),
        (
            "mail.example.org.",
            "`mail.example.org.` ends in a dot; write `mail.example.org`",
        ),
        ("8.8.8.8", "`8.8.8.8` is an address, not a host name"),
        (
            "mäil.example.org",
            "`mäil.example.org` is not ASCII; write it in the form that DNS has, as `xn--…`",
        ),
        (
            "a_b.example.org",
            "`a_b.example.org` is no host name: `_` cannot stand in one",
        ),
        (
            "a..example.org",
            "`a..example.org` is no host name: nothing stands between two dots",
        ),
        (
            "-a.example.org",
            "`-a.example.org` is no host name: `-a` begins or ends with a hyphen",
        ),
        (
            "a.300",
            "`a.300` is no host name: its last part is a number",
        ),
        (
            "a b.org",
            "`a b.org` is no host name: ` ` cannot stand in one",
        ),
    ] {
        check(
            "\"Mail.Example.org\"",
            &format!("{name:?}"),
            &[&format!("3 [bad-name] {:?}: {fault}", format!("{name:?}"))],
        );
    }
    let long = "a".repeat(64);
    assert!(host_name(&format!("{long}.example.org")).is_err());
    assert!(host_name(&format!("{}org", "ab.".repeat(100))).is_err());
}

#[test]
fn unknown_words_come_with_the_near_miss() {
    check(
        "hostname",
        "hostnam",
        &["3 [unknown-key] \"hostnam\": unknown key `hostnam`; \
           allowed here: `hostname`, `shared_name`, `ipv4`, `ipv6`; did you mean `hostname`?"],
    );
    check(
        "profile = \"linux\"",
        "profile = \"linus\"",
        &[
            "1 [unknown-profile] \"\\\"linus\\\"\": unknown profile `linus`; \
           allowed here: `freebsd`, `linux`, `linux-chroot`, `osx-server`, `osx-server-chroot`, \
           or the path of a profile's file; did you mean `linux`?",
        ],
    );
    check(
        "[providers.google]",
        "[providers.gogle]",
        &["36 [unknown-provider] \"gogle\": unknown provider `gogle`; did you mean `google`?"],
    );
    check(
        "reverse6 = \"none\"",
        "reverse6 = \"nome\"",
        &["9 [unknown-value] \"\\\"nome\\\"\": unknown value `nome`; \
           allowed here: `self`, `provider`, `none`; did you mean `none`?"],
    );
    check(
        "all = \"-all\"",
        "all = \"+all\"",
        &[
            "35 [unknown-value] \"\\\"+all\\\"\": unknown value `+all`; \
           allowed here: `~all`, `-all`; did you mean `~all`?",
        ],
    );
}

#[test]
fn a_wish_that_nothing_would_come_of_is_refused() {
    let check = |id: &str, wish: &str, fault: Option<&str>| {
        let text = format!("{SMALL}[providers.{id}]\n{wish}\n");
        let found = match parse(&text) {
            Ok(_) => Vec::new(),
            Err(error) => error.findings.iter().map(shown).collect(),
        };
        assert_eq!(
            found,
            fault.map(ToOwned::to_owned).into_iter().collect::<Vec<_>>()
        );
    };
    check(
        "yahoo",
        "pace = 'gentle'\nhosted_domains = ['a.example']",
        None,
    );
    check("fastmail", "pace = 'normal'", None);
    let site =
        format!("{SMALL}[providers.yahoo]\npace = 'gentle'\n[providers.free]\npace = 'normal'\n");
    let receivers = parse(&site).unwrap().receivers();
    let receivers: Vec<&str> = receivers.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(receivers, ["google", "yahoo"]);
    check(
        "fastmail",
        "pace = 'gentle'",
        Some(
            "7 [no-pace] \"'gentle'\": nobody knows a pace that is gentle to `fastmail`; \
             its file has no limits: Fastmail does not say how much it takes at a time; \
             take the key out; `mailfix providers` shows whose limits are known",
        ),
    );
    check(
        "yahoo",
        "ipv6 = 'avoid'",
        Some(
            "7 [idle-wish] \"'avoid'\": `ipv6` does nothing for `yahoo`; \
             nothing is known that Yahoo refuses over IPv6 alone; take the key out",
        ),
    );
    check(
        "fastmail",
        "hosted_domains = ['a.example']",
        Some(
            "7 [idle-wish] \"'a.example'\": `hosted_domains` does nothing for `fastmail`; \
             mail to Fastmail needs no way of its own; take the key out",
        ),
    );
}

#[test]
fn addresses_are_validated() {
    for (key, address, fault) in [
        (
            "ipv6",
            "8.8.8.8",
            "[bad-address] \"\\\"8.8.8.8\\\"\": `8.8.8.8` is not an IPv6 address; \
             it is an IPv4 address: it belongs to `ipv4`",
        ),
        (
            "ipv6",
            "fd00::1",
            "[not-public] \"\\\"fd00::1\\\"\": `fd00::1` is a unique local address (RFC 4193); \
             the address must be the one that other mail servers see; in a laboratory, set \
             `allow_non_global = true` or give `--allow-non-global`",
        ),
        (
            "ipv6",
            "::ffff:8.8.8.8",
            "[not-public] \"\\\"::ffff:8.8.8.8\\\"\": `::ffff:8.8.8.8` is an IPv4 address \
             written as IPv6; the address must be the one that other mail servers see; \
             write it as IPv4, under `ipv4`",
        ),
        (
            "ipv6",
            "fe80::1%eth0",
            "[bad-address] \"\\\"fe80::1%eth0\\\"\": `fe80::1%eth0` is not an IPv6 address; \
             write it without the interface",
        ),
        (
            "ipv6",
            "2001:470::/32",
            "[bad-address] \"\\\"2001:470::/32\\\"\": `2001:470::/32` is not an IPv6 address; \
             it is a network: write the single addresses that mail leaves from",
        ),
    ] {
        check(
            "ipv6 = [\"2001:470::7\"]",
            &format!("{key} = [\"{address}\"]"),
            &[&format!("5 {fault}")],
        );
    }
    check(
        "ipv4 = [\"8.8.4.4\"]",
        "ipv4 = [\"10.0.0.1\", \"8.8.4.4\", \"8.8.4.4\"]",
        &[
            "4 [not-public] \"\\\"10.0.0.1\\\"\": `10.0.0.1` is a private address (RFC 1918); \
             the address must be the one that other mail servers see; write the public address \
             before the NAT; in a laboratory, set `allow_non_global = true` or give \
             `--allow-non-global`",
            "4 [duplicate] \"\\\"8.8.4.4\\\"\": the address `8.8.4.4` stands here a second time; \
             remove one of the two",
        ],
    );
}

#[test]
fn laboratories_may_have_addresses_that_are_not_public() {
    let text = SMALL.replace("8.8.4.4", "192.0.2.1");
    let path = Utf8Path::new("mailfix.toml");
    assert!(parse(&text).is_err());
    assert!(
        Site::parse_with(&text, path, true)
            .unwrap()
            .allow_non_global
    );
    let allowing = format!("allow_non_global = true\n{text}");
    assert!(parse(&allowing).unwrap().allow_non_global);
    assert!(parse(&allowing.replace("192.0.2.1", "224.0.0.1")).is_err());
}

#[test]
fn what_must_be_there_is_asked_for() {
    let error = parse("[server]\nhostname = 'mail.example.org'\n").unwrap_err();
    let titles: Vec<_> = error.findings.iter().map(|f| f.title.as_str()).collect();
    assert_eq!(titles, ["the server has no address", "no domain is named"]);
    let error = parse("").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`mailfix.toml`, line 1: the key `server` is missing"
    );
    check(
        "ipv4 = [\"8.8.8.8\"]\n",
        "",
        &[
            "20 [no-address] \"[[other_server]]\": the server `backup.example.org` has no address; \
           name the addresses that its mail leaves from in `ipv4` and `ipv6`",
        ],
    );
}

#[test]
fn the_rest_is_validated() {
    check(
        "name = \"example.net\"",
        "name = \"EXAMPLE.org\"",
        &[
            "19 [duplicate] \"\\\"EXAMPLE.org\\\"\": the domain `EXAMPLE.org` stands here a second \
           time; remove one of the two",
        ],
    );
    check(
        "key = \"/etc/",
        "key = \"etc/",
        &[
            "27 [relative-path] \"\\\"etc/mailfix/dkim/mail.private\\\"\": \
           `etc/mailfix/dkim/mail.private` is not an absolute path; write it from the root, \
           beginning with `/`",
        ],
    );
    check(
        "signer = \"opendkim\"",
        "signer = \"open-dkim\"",
        &[
            "28 [unknown-signer] \"\\\"open-dkim\\\"\": there is no signer `open-dkim`; did you \
             mean `opendkim`?",
        ],
    );
    check(
        "\"mail-ed\"",
        "\"mail\"",
        &[
            "30 [same-key] \"\\\"mail\\\"\": both keys have the same selector; give each key its own",
        ],
    );
    check(
        "server = \"NS1.example.org:5353\"\nkey = \"/srv",
        "server = \"ns1:\"\nkey = \"srv",
        &[
            "48 [bad-server] \"\\\"ns1:\\\"\": `ns1:` names no name server: write an address or \
             a name, and `:PORT` where it is not 53",
            "49 [relative-path] \"\\\"srv/tsig.key\\\"\": `srv/tsig.key` is not an absolute path; \
             write it from the root, beginning with `/`",
        ],
    );
    check(
        "selector = \"mail\"",
        "selector = \"ma il\"",
        &[
            "26 [bad-selector] \"\\\"ma il\\\"\": `ma il` is no DKIM selector; letters, digits, \
           `-` and dots between them, such as `mail` or `2026a`",
        ],
    );
    check(
        "reports = \"mailto:",
        "reports = \"",
        &[
            "33 [bad-address] \"\\\"postmaster@example.org\\\"\": `postmaster@example.org` is no \
           place for reports; write `mailto:postmaster@example.org`",
        ],
    );
    check(
        "network = \"2001:470:1::/48\"",
        "network = \"2001:470:1::1/48\"",
        &[
            "11 [bad-network] \"\\\"2001:470:1::1/48\\\"\": `2001:470:1::1/48` has bits set beyond \
           its length; write `2001:470:1::/48`",
        ],
    );
    check(
        "network = \"2001:470:1::/48\"",
        "network = \"2001:470:1::1\"",
        &[
            "11 [bad-network] \"\\\"2001:470:1::1\\\"\": `2001:470:1::1` is not a network; write \
           `2001:470:1::1/128` for the one address",
        ],
    );
}

#[test]
fn files_that_are_not_utf8_are_refused_with_the_line() {
    let mut bytes = SMALL.as_bytes().to_vec();
    bytes.extend(b"# caf\xe9\n");
    let error = Site::parse(bytes, Utf8Path::new("mailfix.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`mailfix.toml`, line 6: byte 0xe9 is not UTF-8"
    );
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Site::parse(bytes, Utf8Path::new("mailfix.toml"));
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_with_places(at in 0..WHOLE.len(), byte in any::<u8>()) {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(error) = Site::parse(bytes, Utf8Path::new("mailfix.toml")) {
            prop_assert!(!error.findings.is_empty());
            for finding in error.findings {
                let place = finding.place.unwrap();
                prop_assert!(place.source.get(place.span).is_some());
            }
        }
    }

    #[test]
    fn what_is_accepted_as_a_name_has_only_its_letters(text in "[a-z0-9._ -]{0,20}|\\PC{0,20}") {
        if let Ok(name) = host_name(&text) {
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()
                || b == b'-' || b == b'.'));
            prop_assert_eq!(host_name(&name), Ok(name.clone()));
        }
    }
}
