use super::ailment::{Ailment, holds_up};
use super::told::Told;
use super::*;
use crate::cause::Cause;
use crate::system::MemorySystem;

fn host(code: &'static str, title: &str, fix: &str) -> Witness {
    Witness::of(By::Host, Finding::error(code, title).mend(fix))
}

fn dns(code: &'static str, title: &str) -> Witness {
    Witness::of(By::Dns, Finding::error(code, title))
}

fn logged(code: &str, count: u64, last: &str) -> Witness {
    Witness {
        by: By::Log,
        code: code.to_owned(),
        severity: Severity::Error,
        says: format!("`google` refused {count}"),
        place: None,
        count: Some(count),
        first: None,
        last: Some(last.parse().unwrap()),
        why: None,
        fix: None,
        family: None,
        harm: None,
        commands: Vec::new(),
        steps: Vec::new(),
    }
}

fn ranked(witnesses: Vec<Witness>, standing: &Standing) -> Vec<Trouble> {
    rank(witnesses, standing, &Cause::all()).troubles
}

/// Codes in their order, each with what it explains and the first command.
#[track_caller]
fn check(witnesses: Vec<Witness>, standing: &Standing, expected: &[&str]) {
    let found: Vec<String> = ranked(witnesses, standing)
        .iter()
        .map(|one| {
            let explains = match one.explains.len() {
                0 => String::new(),
                _ => format!(" > {}", one.explains.join(" ")),
            };
            let command = one.commands.first();
            let command = command.map_or_else(String::new, |command| format!(": {command}"));
            format!("{}{explains}{command}", one.code)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_ailment_is_read_and_explains_what_there_is() {
    let all = Ailment::all();
    let codes: BTreeSet<&str> = all.iter().map(|one| one.code.as_str()).collect();
    let causes: BTreeSet<&str> = Cause::codes().collect();
    let is_sign = |code: &str| {
        let lines = crate::embedded::AILMENTS
            .iter()
            .flat_map(|(_, text)| text.lines());
        let mut signs = lines.filter(|line| line.starts_with("codes"));
        signs.any(|line| line.contains(&format!("\"{code}\"")))
    };
    for ailment in &all {
        for code in &ailment.explains {
            let code = code.as_str();
            let is_known = codes.contains(code) || causes.contains(code) || is_sign(code);
            assert!(is_known, "{} explains `{code}`", ailment.code);
        }
        assert!(!ailment.signs.is_empty(), "{}", ailment.code);
    }
    assert!(holds_up("transport-broken") && !holds_up("greylisted"));
}

#[test]
fn several_witnesses_of_one_cause_are_one_trouble() {
    let witnesses = || {
        vec![
            dns(
                "spf-not-covered",
                "SPF of `example.org` does not let 2001:db8::10 send",
            ),
            logged("ipv6-no-ptr", 12, "2026-11-25T10:00:00"),
            dns("no-ptr", "2001:db8::10 has no PTR record"),
            dns("no-ptr", "192.0.2.10 has no PTR record"),
        ]
    };
    let found = ranked(witnesses(), &Standing::default());
    assert_eq!(found[0].code, "ipv6-no-ptr");
    assert_eq!(found[0].rank, 1);
    assert_eq!(found[0].title, "2001:db8::10 has no PTR record");
    assert_eq!(found[0].harm, Harm::Lost);
    let by: Vec<By> = found[0].evidence.iter().map(|one| one.by).collect();
    assert_eq!(by, [By::Dns, By::Log]);
    check(
        witnesses(),
        &Standing::default(),
        &[
            "ipv6-no-ptr: mailfix init",
            "no-ptr: mailfix init",
            "spf-fail: mailfix init",
        ],
    );
    let pending = Standing {
        has_site: true,
        is_pending: true,
        options: vec!["--root".to_owned(), "/x".to_owned()],
        ..Standing::default()
    };
    check(
        witnesses(),
        &pending,
        &[
            "ipv6-no-ptr: mailfix apply --root /x",
            "no-ptr: mailfix dns show --root /x",
            "spf-fail: mailfix dns show --root /x",
        ],
    );
}

#[test]
fn what_explains_the_rest_comes_first_and_takes_it_in() {
    let jail = "`etc/resolv.conf` is missing in the jail of `smtp`";
    check(
        vec![
            logged("dns-tempfail", 900, "2026-11-25T10:00:00"),
            dns("no-ptr", "2001:db8::10 has no PTR record"),
            host(
                "jail-incomplete",
                jail,
                "`cp /etc/resolv.conf /x`, then `postfix -c /etc/postfix reload`; or write `n`",
            ),
        ],
        &Standing::default(),
        &[
            "chroot-dns > dns-tempfail: cp /etc/resolv.conf /x && postfix -c /etc/postfix reload",
            "ipv6-no-ptr: mailfix init",
        ],
    );
    check(
        vec![
            logged("transport-broken", 3, "2026-11-25T10:00:00"),
            host("bad-value", "`inet_protocols = ipv9`", "`ipv4` is one"),
        ],
        &Standing::default(),
        &["bad-value > transport-broken"],
    );
    // Once it is mended it has to be started.
    check(
        vec![
            host(
                "no-master",
                "`/etc/postfix/master.cf` does not exist",
                "bring it back",
            ),
            host(
                "postfix-stopped",
                "Postfix does not run",
                "run `postfix start`",
            ),
        ],
        &Standing::default(),
        &["postfix-unreadable > postfix-stopped: postfix start"],
    );
    let gone = Finding::error("apply-gone", "what was applied is gone again");
    let standing = Standing {
        has_site: true,
        is_pending: true,
        ..Standing::default()
    };
    check(
        vec![
            dns("no-ptr", "2001:db8::10 has no PTR record"),
            Witness::of(By::Receipts, gone),
        ],
        &standing,
        &["apply-gone > ipv6-no-ptr: mailfix apply"],
    );
}

#[test]
fn what_was_mended_since_is_past() {
    let at = |text: &str| Some(text.parse().unwrap());
    let standing = Standing {
        applied: at("2026-11-25T12:00:00"),
        changed: at("2026-11-25T13:00:00"),
        ..Standing::default()
    };
    let witnesses = |last: &str| vec![logged("transport-broken", 3, last)];
    check(witnesses("2026-11-25T12:30:00"), &standing, &[]);
    let found = rank(witnesses("2026-11-25T12:30:00"), &standing, &[]);
    assert_eq!(found.past.len(), 1);
    assert_eq!(ranked(witnesses("2026-11-25T13:00:01"), &standing).len(), 1);
    // What a receiver holds against an address is not over because somebody edited a file.
    let remote = vec![logged("ip-blocklist", 3, "2026-11-20T00:00:00")];
    assert_eq!(ranked(remote, &standing).len(), 1);
    // Nor does what waits since then make it present, while it may wait.
    let waiting = Witness {
        by: By::Queue,
        severity: Severity::Note,
        ..logged("dns-tempfail", 1, "2026-11-25T12:30:00")
    };
    let told = vec![logged("dns-tempfail", 1, "2026-11-25T12:30:00"), waiting];
    check(told, &standing, &[]);
    // What a check still shows is not past, and takes the log in.
    let both = vec![
        logged("hash-map-missing", 1, "2026-11-20T00:00:00"),
        host(
            "table-not-indexed",
            "`/etc/postfix/x` has no index",
            "run `postmap hash:/x`",
        ),
    ];
    check(both, &standing, &["hash-map-missing: postmap hash:/x"]);
}

#[test]
fn a_cure_in_place_makes_a_note_of_it_until_the_log_says_otherwise() {
    let at = |text: &str| Some(text.parse().unwrap());
    let standing = Standing {
        has_site: true,
        cure: Some("Google: IPv4".to_owned()),
        applied: at("2026-11-25T12:00:00"),
        ..Standing::default()
    };
    let no_ptr = || dns("no-ptr", "2001:db8::10 has no PTR record");
    let before = logged("ipv6-no-ptr", 2, "2026-11-25T11:00:00");
    let found = ranked(vec![no_ptr(), before], &standing);
    assert_eq!(
        (found[0].severity, found[0].harm),
        (Severity::Note, Harm::Hygiene)
    );
    let after = logged("ipv6-no-ptr", 2, "2026-11-25T12:30:00");
    let found = ranked(vec![no_ptr(), after], &standing);
    assert_eq!(found[0].severity, Severity::Error);
}

#[test]
fn dns_that_is_right_by_now_takes_the_edge_off_an_old_refusal() {
    let standing = Standing {
        dns: Dns::Wholly,
        ..Standing::default()
    };
    let found = ranked(
        vec![logged("ipv6-no-ptr", 2, "2026-11-25T11:00:00")],
        &standing,
    );
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(found[0].commands, ["mailfix probe ADDRESS"]);
    let at_time = |now: &str| {
        let standing = Standing {
            now: Some(now.parse().unwrap()),
            ..standing.clone()
        };
        let told = vec![logged("ipv6-no-ptr", 2, "2026-11-25T11:00:00")];
        ranked(told, &standing).remove(0)
    };
    let young = at_time("2026-11-26T11:00:00");
    assert_eq!(young.severity, Severity::Warning);
    assert_eq!(
        young.steps,
        [
            "see whether mail has got through since: `mailfix stats --by provider --since \
          2026-11-25T11:00`"
        ]
    );
    // Nobody remembers the old records any more, and nothing was refused since.
    let old = at_time("2026-11-27T11:01:00");
    assert_eq!((old.severity, old.harm), (Severity::Note, Harm::Hygiene));
    assert!(
        old.why
            .as_deref()
            .unwrap()
            .ends_with("since 2026-11-25 11:00"),
        "{:?}",
        old.why
    );
}

#[test]
fn without_a_fault_of_a_jail_it_is_the_name_servers() {
    let nameless = || logged("chroot-dns", 4, "2026-11-25T11:00:00");
    let waiting = || Witness {
        by: By::Queue,
        ..logged("dns-tempfail", 4, "2026-11-25T11:00:00")
    };
    let told = || vec![nameless(), waiting()];
    let silent = Finding::warning("resolver-silent", "no question was answered");
    let mut asked = told();
    asked.push(Witness::of(By::Dns, silent));
    let standing = |dns| Standing {
        dns,
        ..Standing::default()
    };
    check(asked, &standing(Dns::Silent), &["resolver-silent"]);
    check(told(), &standing(Dns::Unasked), &["resolver-silent"]);
    let again = "resolver-silent: postfix reload && sleep 2 && postqueue -f";
    check(told(), &standing(Dns::Partly), &[again]);
    let found = ranked(told(), &standing(Dns::Wholly));
    assert_eq!(found[0].severity, Severity::Warning);
    let jail = "`etc/resolv.conf` is missing in the jail of `smtp`";
    let mut jailed = told();
    jailed.push(host("jail-incomplete", jail, "`cp /etc/resolv.conf /x`"));
    let command = "chroot-dns > dns-tempfail: cp /etc/resolv.conf /x";
    check(jailed, &standing(Dns::Wholly), &[command]);
    // One domain alone may be at fault itself.
    check(vec![waiting()], &standing(Dns::Wholly), &["dns-tempfail"]);
}

#[test]
fn a_fault_that_the_files_do_not_show_may_be_one_that_postfix_has_not_been_told_is_mended() {
    let waiting = || Witness {
        by: By::Queue,
        ..logged("transport-missing", 1, "2026-11-25T11:00:00")
    };
    let standing = Standing {
        config: Some("/etc/postfix".into()),
        ..Standing::default()
    };
    let afresh = "transport-missing: postfix -c /etc/postfix reload && sleep 2 && postqueue -c /etc/postfix -f";
    check(vec![waiting()], &standing, &[afresh]);
    let missing = host(
        "unknown-transport",
        "`slow` is no service",
        "`postconf -M x`",
    );
    let shown = vec![waiting(), missing];
    check(
        shown.clone(),
        &standing,
        &["transport-missing: postconf -M x"],
    );
    let steps = ranked(shown, &standing).remove(0).steps;
    assert!(
        steps
            .iter()
            .any(|step| step.contains("`postqueue -c /etc/postfix -f`")),
        "{steps:?}"
    );
    // Of what does not wait nothing need be sent again.
    let past = vec![logged("transport-missing", 1, "2026-11-25T11:00:00")];
    check(past, &standing, &["transport-missing"]);
}

#[test]
fn what_this_host_holds_up_goes_before_what_others_refuse() {
    let refused = || Witness {
        harm: Some(Harm::Lost),
        ..logged("ipv6-no-ptr", 90, "2026-11-25T11:00:00")
    };
    let held = || Witness {
        harm: Some(Harm::Stuck),
        ..logged("transport-missing", 1, "2026-11-25T11:00:00")
    };
    let order = |witnesses| {
        let found = ranked(witnesses, &Standing::default());
        let codes = found.into_iter().map(|one| one.code);
        codes.collect::<Vec<_>>()
    };
    assert_eq!(
        order(vec![refused(), held()]),
        ["transport-missing", "ipv6-no-ptr"]
    );
    // Who took another way at once has lost nothing.
    let detour = Witness {
        severity: Severity::Note,
        ..refused()
    };
    let no_ptr = dns("no-ptr", "2001:db8::10 has no PTR record");
    let slowed = Witness {
        harm: Some(Harm::Stuck),
        ..logged("ip-reputation", 1, "2026-11-25T11:00:00")
    };
    assert_eq!(
        order(vec![detour, no_ptr, slowed]),
        ["ip-reputation", "ipv6-no-ptr"]
    );
    // What has held up nothing yet stands behind it.
    let idle = host(
        "table-not-indexed",
        "`/x` has no index",
        "run `postmap hash:/x`",
    );
    assert_eq!(
        order(vec![refused(), idle]),
        ["ipv6-no-ptr", "hash-map-missing"]
    );
}

#[test]
fn commands_are_taken_out_of_the_words_of_a_fix() {
    assert_eq!(
        typed("run `postmap hash:/etc/x`"),
        (vec!["postmap hash:/etc/x".to_owned()], true)
    );
    let (commands, is_all) = typed("`chmod a+rX /x`, then `postfix -c /y reload`; or write `n`");
    assert_eq!(commands, ["chmod a+rX /x && postfix -c /y reload"]);
    assert!(!is_all);
    assert_eq!(typed("`smtp-ipv4` is a service"), (Vec::new(), false));
    let step = |fix: &'static str| without_commands(fix);
    assert_eq!(
        step("take it away: `postconf -X x`, then `postfix reload`"),
        "take it away"
    );
    for whole in [
        "see: `postconf -n`, which tells",
        "x: `relayhost`",
        "add it",
    ] {
        assert_eq!(step(whole), whole);
    }
}

#[test]
fn only_what_is_new_is_told_and_what_comes_back_is_new_again() {
    let standing = Standing::default();
    let no_ptr = || dns("no-ptr", "192.0.2.10 has no PTR record");
    let other = || dns("no-ptr", "192.0.2.11 has no PTR record");
    let refused = |count| logged("ip-blocklist", count, "2026-11-25T11:00:00");
    let news = |told: &Told, witnesses: Vec<Witness>| {
        let troubles = ranked(witnesses, &standing);
        let codes: Vec<String> = told
            .news(&troubles)
            .into_iter()
            .map(|one| one.code)
            .collect();
        (codes, told.after(&troubles, &[]))
    };
    let mut told = Told::default();
    for (witnesses, expected) in [
        (vec![no_ptr(), refused(1)], &["ip-blocklist", "no-ptr"][..]),
        (vec![no_ptr(), refused(7)], &[]),
        (vec![no_ptr(), other(), refused(7)], &["no-ptr"]),
        (vec![other()], &[]),
        (vec![], &[]),
        (vec![other(), refused(1)], &["ip-blocklist", "no-ptr"]),
    ] {
        let (codes, after) = news(&told, witnesses);
        assert_eq!(codes, expected);
        told = after;
    }
    // Who could not be asked has not said that it is gone.
    assert_eq!(told.after(&[], &[By::Dns, By::Log]), told);
    // Nor is what another run has told meanwhile.
    let other = Told::default().after(&ranked(vec![no_ptr()], &standing), &[]);
    let both = Told::default().after(&[], &[]).beside(&other);
    assert_eq!(both.news(&ranked(vec![no_ptr()], &standing)), []);
    let mut system = MemorySystem::new();
    let state = camino::Utf8Path::new("/var/lib/mailfix");
    told::hold(&mut system, state).unwrap();
    told.write(&mut system, state).unwrap();
    assert_eq!(Told::read(&system, state).unwrap(), told);
    let broken = system.file(told::path(state), "{");
    assert!(Told::read(&broken, state).is_err());
    let newer = MemorySystem::new().file(told::path(state), "{\"format\":9,\"marks\":[]}");
    assert!(Told::read(&newer, state).is_err());
}
