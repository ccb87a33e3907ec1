use super::*;
use crate::ask::ScriptedAsker;
use proptest::prelude::*;

const PATH: &str = "/etc/mailfix/mailfix.toml";

fn given(assignments: &[&str]) -> Answers {
    let mut answers = Answers::default();
    for assignment in assignments {
        answers.set(assignment).unwrap();
    }
    answers
}

fn server() -> Detected {
    Detected {
        is_the_server: true,
        profile: Some((
            "linux-chroot".to_owned(),
            "`smtp` runs in a chroot".to_owned(),
        )),
        hostname: Some("mail.example.org".to_owned()),
        addresses: ["8.8.4.4", "10.0.0.1", "2001:470::7", "fe80::1"]
            .map(|address| address.parse().unwrap())
            .to_vec(),
        domains: Vec::new(),
    }
}

fn wizard<'a>(assignments: &[&str], detected: &'a Detected) -> Wizard<'a> {
    Wizard {
        given: given(assignments),
        detected,
        existing: None,
        own_profile: None,
        allow_non_global: false,
        look_up: None,
    }
}

fn shown(answers: &Answers) -> Vec<String> {
    answers
        .iter()
        .map(|(id, value)| format!("{}={value}", id.as_str()))
        .collect()
}

#[test]
fn only_what_is_not_known_is_asked() {
    let detected = server();
    let mut asker = ScriptedAsker::new(&[
        ("found", ""),
        ("domain", ""),
        ("forward-dns", ""),
        ("reverse-dns4", ""),
        ("reverse-dns6", "none"),
        ("other-servers", ""),
        ("third-parties", "_spf.example.net"),
        ("dmarc", ""),
    ]);
    let answers = wizard(&[], &detected).ask(&mut asker).unwrap();
    assert_eq!(
        shown(&answers),
        [
            "profile=linux-chroot",
            "hostname=mail.example.org",
            "ipv4=8.8.4.4",
            "ipv6=2001:470::7",
            "domain=example.org",
            "forward-dns=self",
            "reverse-dns4=provider",
            "reverse-dns6=none",
            "other-servers=none",
            "third-parties=_spf.example.net",
            "dmarc=none",
            "dmarc-reports=mailto:postmaster@example.org",
            "dkim-selector=mail",
            "dkim-key=/etc/mailfix/dkim/mail.private",
            "spf-all=~all",
        ]
    );
}

#[test]
fn what_was_found_can_be_corrected() {
    let detected = server();
    let mut asker = ScriptedAsker::new(&[
        ("found", "no"),
        ("profile", "linux"),
        ("hostname", "mx.example.org."),
        ("hostname", "mx.example.org"),
        ("ipv4", ""),
        ("ipv6", "none"),
        ("domain", "example.org, example.net"),
        ("forward-dns", "p"),
        ("reverse-dns4", ""),
        ("other-servers", "backup.example.org"),
        ("other-servers", "backup.example.org=8.8.8.8+2001:470::8"),
        ("third-parties", ""),
        ("dmarc", ""),
    ]);
    let answers = wizard(&[], &detected).ask(&mut asker).unwrap();
    assert_eq!(
        asker.refusals,
        [
            "`mx.example.org.` ends in a dot; write `mx.example.org`",
            "`backup.example.org` names no address: write `backup.example.org=ADDRESS`, \
             several with `+` between them",
        ]
    );
    assert_eq!(answers.get(Id::Profile), Some("linux"));
    assert_eq!(answers.get(Id::ForwardDns), Some("provider"));
    assert_eq!(answers.get(Id::ReverseDns6), None);
    assert_eq!(
        answers.get(Id::OtherServers),
        Some("backup.example.org=8.8.8.8+2001:470::8")
    );
}

#[test]
fn what_is_given_is_not_asked_and_no_ipv6_asks_nothing_of_it() {
    let mut detected = server();
    detected.addresses.retain(IpAddr::is_ipv4);
    let mut asker = ScriptedAsker::new(&[
        ("found", "yes"),
        ("forward-dns", ""),
        ("reverse-dns4", ""),
        ("other-servers", ""),
        ("third-parties", ""),
        ("dmarc", ""),
    ]);
    let given = ["domain=Example.org", "hostname=mx.example.org"];
    let answers = wizard(&given, &detected).ask(&mut asker).unwrap();
    assert_eq!(answers.get(Id::Domain), Some("example.org"));
    assert_eq!(answers.get(Id::Hostname), Some("mx.example.org"));
    assert_eq!(answers.get(Id::Ipv6), Some("none"));
}

#[test]
fn where_no_address_was_seen_ipv6_is_asked_for() {
    let mut detected = server();
    detected.addresses = Vec::new();
    let mut asker = ScriptedAsker::new(&[
        ("found", ""),
        ("ipv4", "8.8.4.4"),
        ("ipv6", ""),
        ("domain", ""),
        ("forward-dns", ""),
        ("reverse-dns4", ""),
        ("other-servers", ""),
        ("third-parties", ""),
        ("dmarc", ""),
    ]);
    let answers = wizard(&[], &detected).ask(&mut asker).unwrap();
    assert_eq!(answers.get(Id::Ipv6), Some("none"));
}

#[test]
fn behind_a_nat_the_public_address_is_asked_for() {
    let mut detected = server();
    detected.addresses = vec!["10.0.0.1".parse().unwrap()];
    let wizard = wizard(&[], &detected);
    let question = wizard.question(Id::Ipv4, &Answers::default());
    assert_eq!(question.default, None);
    assert_eq!(
        question.why,
        "The addresses that other servers see mail come from, or `none`; `10.0.0.1` of this \
         host is hidden behind a NAT"
    );
    let refused = question.read("10.0.0.1").unwrap_err();
    assert!(
        refused.starts_with("`10.0.0.1` is a private address"),
        "{refused}"
    );
}

#[test]
fn laboratories_take_the_addresses_there_are() {
    let mut detected = server();
    detected.addresses = ["192.0.2.1", "2001:db8::1", "fe80::1"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    let mut wizard = wizard(&["domain=example.org", "reverse-dns6=none"], &detected);
    wizard.allow_non_global = true;
    let answers = wizard.answer_silently("mailfix init").unwrap();
    assert_eq!(answers.get(Id::Ipv4), Some("192.0.2.1"));
    assert_eq!(answers.get(Id::Ipv6), Some("2001:db8::1"));
    let text = site_file(&answers, None, Utf8Path::new(PATH), true).unwrap();
    assert!(text.contains("\nallow_non_global = true\n"), "{text}");
    assert!(Site::parse(&text, Utf8Path::new(PATH)).is_ok());
}

#[test]
fn a_server_has_an_address() {
    let detected = Detected::default();
    let mut asker = ScriptedAsker::new(&[
        ("ipv4", "none"),
        ("ipv6", ""),
        ("ipv6", "none"),
        ("ipv6", "2001:470::7"),
        ("forward-dns", ""),
        ("reverse-dns6", ""),
        ("other-servers", ""),
        ("third-parties", ""),
        ("dmarc", ""),
    ]);
    let set = [
        "profile=linux",
        "hostname=mail.example.org",
        "domain=example.org",
    ];
    wizard(&set, &detected).ask(&mut asker).unwrap();
    assert_eq!(
        asker.refusals,
        [
            "an answer is needed",
            "the server needs an address of one kind or the other"
        ]
    );
    let error = wizard(&["ipv4=none", "ipv6=none"], &detected)
        .answer_silently("mailfix init")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`ipv6` cannot be `none`: the server needs an address of one kind or the other"
    );
}

#[test]
fn without_a_terminal_every_missing_key_is_named_with_the_command() {
    let detected = Detected::default();
    let error = wizard(
        &["third-parties=_spf.example.net", "profile=linux"],
        &detected,
    )
    .answer_silently("mailfix init --no-input --yes")
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer for `hostname`, `ipv4`, `domain`"
    );
    assert_eq!(
        error.hints(),
        [
            "`hostname`: Receivers look this name up and compare it with the address.",
            "`ipv4`: The addresses that other servers see mail come from, or `none`",
            "`domain`: Each domain in senders' addresses needs SPF, DKIM and DMARC records.",
            "type `mailfix init --no-input --yes --profile linux \
             --set third-parties=_spf.example.net --hostname HOSTNAME --ipv4 IPV4 \
             --domain DOMAIN`",
        ]
    );
}

#[test]
fn unknown_questions_and_refused_answers_are_told() {
    let error = Answers::default().set("hostnam=x").unwrap_err();
    assert_eq!(error.to_string(), "there is no question `hostnam`");
    assert_eq!(
        error.hints(),
        [
            "did you mean `hostname`?",
            "the questions are `profile`, `hostname`, `ipv4`, `ipv6`, `domain`, `forward-dns`, `dns-update`, \
             `reverse-dns4`, `reverse-dns6`, `other-servers`, `third-parties`, `dmarc`, \
             `dmarc-reports`, `dkim-selector`, `dkim-key`, \
             `dkim-signer`, `ed25519-selector`, `ed25519-key`, `spf-all`, `timer`",
        ]
    );
    let error = Answers::default().set("hostname").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`hostname` answers nothing: write `--set ID=VALUE`"
    );
    let detected = server();
    for (assignment, message) in [
        (
            "reverse-dns6=nome",
            "`reverse-dns6` cannot be `nome`: unknown answer `nome`; \
             allowed here: `self`, `provider`, `none`; did you mean `none`?",
        ),
        (
            "domain=example",
            "`domain` cannot be `example`: `example` is not a full domain name; \
             write all of it, such as `example.org`",
        ),
        (
            "ipv6=8.8.8.8",
            "`ipv6` cannot be `8.8.8.8`: `8.8.8.8` is not an IPv6 address; \
             it is an IPv4 address: it belongs to `ipv4`",
        ),
        (
            "domain=example.org example.org",
            "`domain` cannot be `example.org example.org`: `example.org` stands there twice",
        ),
    ] {
        let error = wizard(&[assignment], &detected)
            .answer_silently("mailfix init")
            .unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn domains_are_guessed_from_the_host_name() {
    for (host, domain) in [
        ("mail.example.org", Some("example.org")),
        ("a.b.example.org", Some("b.example.org")),
        ("example.org", None),
        ("example.co.uk", Some("example.co.uk")),
        ("mail.example.co.uk", Some("example.co.uk")),
    ] {
        assert_eq!(domain_of(host).as_deref(), domain, "{host}");
    }
}

fn complete(assignments: &[&str]) -> Answers {
    let detected = server();
    wizard(assignments, &detected)
        .answer_silently("mailfix init")
        .unwrap()
}

#[track_caller]
fn write(answers: &Answers, existing: Option<&str>) -> String {
    let text = site_file(answers, existing, Utf8Path::new(PATH), false).unwrap();
    let site = Site::parse(&text, Utf8Path::new(PATH)).unwrap();
    let read = Answers::of_site(&site);
    for (id, value) in answers.iter() {
        let sorted = |text: &str| {
            let mut items: Vec<String> = text.split(", ").map(str::to_owned).collect();
            items.sort();
            items
        };
        assert_eq!(
            read.get(id).map(sorted),
            Some(sorted(value)),
            "{}\n{text}",
            id.as_str()
        );
    }
    assert_eq!(write_again(answers, &text), text);
    text
}

fn write_again(answers: &Answers, text: &str) -> String {
    site_file(answers, Some(text), Utf8Path::new(PATH), false).unwrap()
}

#[test]
fn a_new_file_has_comments_and_the_answers() {
    let answers = complete(&[
        "domain=example.org, example.net",
        "reverse-dns6=none",
        "other-servers=backup.example.org=8.8.8.8",
        "third-parties=_spf.example.net",
    ]);
    insta::with_settings!({ snapshot_path => "../../snapshots/wizard", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("new-site-file", write(&answers, None));
    });
    let none = complete(&["dkim-selector=none", "dmarc-reports=none"]);
    let text = write(&none, None);
    assert!(
        !text.contains("[dkim]") && !text.contains("\nreports"),
        "{text}"
    );
}

const KEPT: &str = r#"# my server
profile = 'linux-chroot' # as it is

[server] # the one
hostname = "Mail.example.org"   # big letter
ipv4 = [
  "8.8.4.4", # first
  "8.8.8.8", # second
]
ipv6 = [ "2001:470:0::7" ]

# main
[[domain]]
name = "example.org" # ours

# side
[[domain]]
name = "example.net"

[checks]
# loud
silence = ["no-ptr"]
# the end
"#;

fn kept() -> Answers {
    Answers::of_site(&Site::parse(KEPT, Utf8Path::new(PATH)).unwrap())
}

#[track_caller]
fn check(assignments: &[&str], changes: &[(&str, &str)]) {
    let mut answers = kept();
    for assignment in assignments {
        answers.set(assignment).unwrap();
    }
    let mut expected = KEPT.to_owned();
    for (old, new) in changes {
        assert!(expected.contains(old), "{old}");
        expected = expected.replacen(old, new, 1);
    }
    assert_eq!(write(&answers, Some(KEPT)), expected);
}

#[test]
fn only_changed_values_change_in_a_file_that_is_there() {
    check(&[], &[]);
    check(
        &["hostname=mx.example.org"],
        &[("\"Mail.example.org\"", "\"mx.example.org\"")],
    );
    check(&["profile=linux"], &[("'linux-chroot'", "\"linux\"")]);
    check(
        &["ipv4=8.8.4.4, 9.9.9.9"],
        &[("\"8.8.8.8\"", "\"9.9.9.9\"")],
    );
    check(
        &["ipv4=8.8.4.4, 8.8.8.8, 9.9.9.9"],
        &[("# second\n", "# second\n  \"9.9.9.9\",\n")],
    );
    check(
        &["ipv4=8.8.8.8"],
        &[("  \"8.8.4.4\", # first", "  # first")],
    );
    check(
        &["ipv6=2001:470::7, 2001:470::8"],
        &[("\"2001:470:0::7\" ", "\"2001:470:0::7\", \"2001:470::8\" ")],
    );
    check(
        &["domain=example.org"],
        &[
            ("# side\n[[domain]]\nname = \"example.net\"\n\n", ""),
            ("# the end\n", "# the end\n\n# side\n"),
        ],
    );
    check(
        &["domain=example.net"],
        &[("[[domain]]\nname = \"example.org\" # ours\n", "")],
    );
    check(
        &["domain=example.org, example.net, example.com"],
        &[(
            "\"example.net\"\n",
            "\"example.net\"\n\n[[domain]]\nname = \"example.com\"\n",
        )],
    );
    check(
        &["dmarc=reject"],
        &[("# the end\n", "\n[dmarc]\npolicy = \"reject\"\n# the end\n")],
    );
}

#[test]
fn zones_that_take_updates_have_a_server_and_a_key() {
    let text = "[server]\nhostname = 'mail.example.org'\nipv4 = ['8.8.4.4']\n\
                [dns]\nforward = 'self'\n[[domain]]\nname = 'example.org'\n";
    let answers = given(&["dns-update=192.0.2.53:53   /etc/mailfix/tsig.key"]);
    let detected = server();
    let mut wizard = wizard(&["domain=example.org"], &detected);
    wizard
        .given
        .insert(Id::DnsUpdate, answers.get(Id::DnsUpdate).unwrap());
    let answers = wizard.answer_silently("").unwrap();
    assert_eq!(answers.get(Id::ForwardDns), Some("update"));
    assert_eq!(
        answers.get(Id::DnsUpdate),
        Some("192.0.2.53 /etc/mailfix/tsig.key")
    );
    let mut these = Answers::default();
    for id in [Id::ForwardDns, Id::DnsUpdate] {
        these.insert(id, answers.get(id).unwrap());
    }
    let written = write(&these, Some(text));
    let expected = "forward = \"self\"\n\n[dns.update]\nserver = \"192.0.2.53\"\n\
                    key = \"/etc/mailfix/tsig.key\"\n";
    assert!(written.contains(expected), "{written}");
    assert_eq!(write(&these, Some(&written)), written);
    let back = write(&given(&["forward-dns=self"]), Some(&written));
    assert!(!back.contains("update"), "{back}");

    wizard.given = given(&["domain=example.org", "forward-dns=update"]);
    let error = wizard.answer_silently("mailfix init").unwrap_err();
    assert_eq!(error.to_string(), "no answer for `dns-update`");
}

#[test]
fn what_dns_says_is_not_asked_again() {
    let detected = server();
    let look_up = |domain: &str| Published {
        includes: match domain {
            "example.org" => vec!["_spf.google.com".to_owned(), "spf.example.net".to_owned()],
            _ => Vec::new(),
        },
        dmarc: Some("reject".to_owned()),
    };
    let mut wizard = wizard(&["domain=example.org, example.net"], &detected);
    wizard.look_up = Some(&look_up);
    let answers = wizard.answer_silently("").unwrap();
    // A policy that stands there is not weakened by a default.
    assert_eq!(answers.get(Id::Dmarc), Some("reject"));
    assert_eq!(answers.get(Id::ThirdParties), Some(NONE));
    let why = wizard.question(Id::ThirdParties, &answers).why;
    assert!(
        why.ends_with(
            "\n`example.org` includes `_spf.google.com`, `spf.example.net` already; that stays."
        ),
        "{why}"
    );
    let dmarc = wizard.question(Id::Dmarc, &answers);
    assert_eq!(dmarc.default.as_deref(), Some("reject"));
    assert!(
        dmarc.why.ends_with("\nIn DNS stands `reject`."),
        "{}",
        dmarc.why
    );

    let differing = |domain: &str| Published {
        dmarc: (domain == "example.org").then(|| "reject".to_owned()),
        ..Published::default()
    };
    wizard.look_up = Some(&differing);
    let answers = wizard.answer_silently("").unwrap();
    assert_eq!(answers.get(Id::Dmarc), Some(NONE));
}

#[test]
fn names_that_send_nothing_are_not_asked_about_and_stay() {
    let text = "[server]\nhostname = 'mail.example.org'\nipv4 = ['8.8.4.4']\n\
                [[domain]]\nname = 'www.example.org'\nsends = false\n\
                [[domain]]\nname = 'example.org'\n";
    let written = write(&given(&["domain=example.net"]), Some(text));
    assert_eq!(written, text.replace("'example.org'", "\"example.net\""));
}

const OTHER_STYLE: &str = "server.hostname = 'mail.example.org'\nserver.ipv4 = ['8.8.4.4']\n\
    domain = [{ name = 'example.org' }]\ndns = { forward = 'self' }\n";

#[test]
fn files_in_other_styles_are_edited_too() {
    let text = OTHER_STYLE;
    let mut answers = Answers::of_site(&Site::parse(text, Utf8Path::new(PATH)).unwrap());
    answers.insert(Id::ForwardDns, "none");
    answers.insert(Id::Hostname, "mx.example.org");
    answers.insert(Id::ReverseDns4, "self");
    let new = write(&answers, Some(text));
    assert_eq!(
        new,
        "server.hostname = \"mx.example.org\"\nserver.ipv4 = ['8.8.4.4']\n\
         domain = [{ name = 'example.org' }]\ndns = { forward = \"none\" , reverse4 = \"self\" }\n"
    );
    answers.insert(Id::Domain, "example.org, example.net");
    write(&answers, Some(text));
}

#[test]
fn line_ends_and_the_mark_at_the_beginning_are_kept() {
    let text = format!("\u{feff}{}", KEPT.replace('\n', "\r\n"));
    let mut answers = kept();
    assert_eq!(write(&answers, Some(&text)), text);
    answers.insert(Id::Hostname, "mx.example.org");
    assert_eq!(
        write(&answers, Some(&text)),
        text.replace("Mail.example", "mx.example")
    );
}

#[test]
fn a_wrong_file_is_not_touched() {
    let error = site_file(
        &kept(),
        Some("[server]\nhostnam = 'x'\n"),
        Utf8Path::new(PATH),
        false,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/etc/mailfix/mailfix.toml`, line 2: unknown key `hostnam`"
    );
}

#[test]
fn a_second_run_takes_what_the_file_says() {
    let detected = server();
    let text = KEPT.replace("[checks]", "[dmarc]\npolicy = 'reject'\n[checks]");
    let site = Site::parse(&text, Utf8Path::new(PATH)).unwrap();
    let mut wizard = wizard(&[], &detected);
    wizard.existing = Some(&site);
    let silent = wizard.answer_silently("mailfix init").unwrap();
    assert_eq!(write(&silent, Some(&text)), text);
    let mut asker = ScriptedAsker::new(&[("found", "")]);
    assert_eq!(wizard.ask(&mut asker).unwrap(), silent);
}

prop_compose! {
    fn names()(names in proptest::collection::btree_set("[a-z]{1,6}\\.(org|net)", 1..4)) -> String {
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

prop_compose! {
    fn v4()(last in proptest::collection::btree_set(1u8..12, 0..4)) -> String {
        let list: Vec<String> = last.into_iter().map(|n| format!("8.8.{}.{n}", n / 8 * 4 + 4)).collect();
        if list.is_empty() { NONE.to_owned() } else { list.join(", ") }
    }
}

prop_compose! {
    fn v6()(last in proptest::collection::btree_set(1u8..12, 1..4)) -> String {
        let list: Vec<String> = last.into_iter().map(|n| format!("2001:470::{n}")).collect();
        list.join(", ")
    }
}

prop_compose! {
    fn any_answers()(
        hostname in "[a-z]{1,6}\\.example\\.org",
        domain in names(),
        v4 in v4(),
        v6 in v6(),
        forward in "self|provider|none",
        reverse in "self|provider|none",
        dmarc in "none|quarantine|reject",
        selector in "none|[a-z]{1,5}",
        third in prop_oneof![Just("none".to_owned()), names()],
        others in proptest::collection::btree_set(1u8..9, 0..3),
        all in "[~-]all",
    ) -> Answers {
        let others = others.into_iter()
            .map(|n| format!("b{n}.example.org=9.9.8.{n}+2001:470:1::{n}"))
            .collect::<Vec<_>>();
        let others = if others.is_empty() { NONE.to_owned() } else { others.join(", ") };
        complete(&[
            &format!("hostname={hostname}"),
            &format!("domain={domain}"),
            &format!("ipv4={v4}"),
            &format!("ipv6={v6}"),
            &format!("forward-dns={forward}"),
            &format!("reverse-dns6={reverse}"),
            &format!("dmarc={dmarc}"),
            &format!("dkim-selector={selector}"),
            &format!("third-parties={third}"),
            &format!("other-servers={others}"),
            &format!("spf-all={all}"),
        ])
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(first in any_answers(), second in any_answers()) {
        let text = write(&first, None);
        write(&second, Some(&text));
        let other = write(&first, Some(OTHER_STYLE));
        write(&second, Some(&other));
        let kept = write(&first, Some(KEPT));
        let kept = write(&second, Some(&kept));
        for comment in ["# my server", "# as it is", "# the one", "# big letter", "# first",
            "# second", "# main", "# loud", "# the end"] {
            prop_assert!(kept.contains(comment), "{} is lost:\n{}", comment, kept);
        }
    }
}

#[test]
fn changes_keep_all_else() {
    let text = "# ours\n[server]\nhostname = \"mail.example.org\"\nipv4 = [\"8.8.4.4\"]\n\n[[domain]] # one\nname = \"example.org\"\n";
    let changes = [
        SiteChange::AvoidIpv6("google".to_owned()),
        SiteChange::RewriteSenders,
        SiteChange::PublishDmarc,
    ];
    let path = Utf8Path::new(PATH);
    let new = changed(text, path, &changes, false).unwrap();
    assert_eq!(
        new,
        format!(
            "{text}\n[providers.google]\nipv6 = \"avoid\"\n\n[forwarding]\nsrs = \"postsrsd\"\n\n[dmarc]\npolicy = \"none\"\n"
        )
    );
    assert_eq!(changed(&new, path, &changes, false).unwrap(), new);
    let nobody = [SiteChange::AvoidIpv6("nobody".to_owned())];
    assert!(changed(text, path, &nobody, false).is_err());
}
