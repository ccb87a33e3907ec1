use super::*;
use crate::host::{Lack, State, example};
use crate::postfix::Need;
use crate::remedy::shown;

/// What differs from a stock host.
#[derive(Clone, Copy)]
struct Given {
    version: &'static str,
    main: &'static str,
    master: &'static str,
    /// Domain, table, key, value.
    routes: &'static [[&'static str; 4]],
    missing: &'static [Need],
    types: &'static [&'static str],
    hosted: &'static [&'static str],
}

const STOCK: Given = Given {
    version: "3.7.11",
    main: "",
    master: "",
    routes: &[],
    missing: &[],
    types: &["hash", "texthash", "regexp"],
    hosted: &[],
};

const LINE: &str = "smtp-ipv4 unix - - n - - smtp -o inet_protocols=ipv4";
const ITEM: &str = "transport_maps += hash:/etc/postfix/mailfix/transport";
/// What an administrator has made by hand.
const TABLE: &str = "hash:/etc/postfix/transport";
const V4: &str = "v4 unix - - n - - smtp\n -o inet_protocols=ipv4";

const BOTH: &str = "hash:transport: gmail.com smtp-ipv4:, googlemail.com smtp-ipv4:";

fn facts(given: &Given) -> Facts {
    let mut facts = example::host(given.version, given.main, given.master).facts;
    for need in given.missing {
        let (why, copy) = (Lack::Absent, None);
        facts.jail.set(need.clone(), State::Lacks { why, copy });
    }
    facts.table_types = given.types.iter().map(ToString::to_string).collect();
    for [domain, table, key, value] in given.routes {
        let route = Route {
            table: (*table).to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        facts.routes.domains.insert((*domain).to_owned(), route);
    }
    facts
}

fn fitted(given: &Given) -> Result<Contribution, String> {
    shown::fitted(|case| ipv4(case, given.hosted), &facts(given))
}

/// What the remedy does that needs no more than a client without IPv6.
fn ipv4(case: &Case<'_>, hosted: &[&str]) -> Fit {
    let hosted: Vec<String> = hosted.iter().map(ToString::to_string).collect();
    let wanted = case.providers.iter();
    let wanted = wanted.map(|provider| Wanted::of(provider, hosted.clone(), true, case));
    fit(case, wanted.collect(), &[])
}

fn lines(given: &Given) -> Vec<String> {
    match fitted(given) {
        Ok(fitted) => shown::lines(
            &fitted.settings,
            &fitted.services,
            &fitted.tables,
            &fitted.findings,
        ),
        Err(why) => vec![why],
    }
}

#[track_caller]
fn check(given: Given, expected: &[&str]) {
    let mut given = lines(&given);
    let mut expected = expected.to_vec();
    given.sort_unstable();
    expected.sort_unstable();
    assert_eq!(given, expected);
}

#[test]
fn the_stock_host_gets_a_service_a_table_and_its_name() {
    check(STOCK, &[LINE, ITEM, BOTH]);
}

#[test]
fn hosted_domains_are_listed_once() {
    let hosted = |hosted| Given { hosted, ..STOCK };
    let with = |more: &str| format!("{BOTH}{more}");
    let one = with(", example.com smtp-ipv4:");
    check(hosted(&["example.com"]), &[LINE, ITEM, &one]);
    check(
        hosted(&["example.com", "gmail.com", "example.com"]),
        &[LINE, ITEM, &one],
    );
}

#[test]
fn what_chooses_the_way_already_is_not_overridden() {
    for (main, why) in [
        (
            "sender_dependent_default_transport_maps = hash:/etc/postfix/by",
            "`sender_dependent_default_transport_maps = hash:/etc/postfix/by` chooses the way by sender, and a transport entry would override it",
        ),
        (
            "sender_dependent_relayhost_maps = hash:/etc/postfix/by",
            "`sender_dependent_relayhost_maps = hash:/etc/postfix/by` chooses the way by sender, and a transport entry would override it",
        ),
        (
            "content_filter = scan:[127.0.0.1]:10025",
            "`content_filter = scan:[127.0.0.1]:10025` decides the way of mail, and a transport entry would meddle with it",
        ),
        (
            "default_transport = slow",
            "`default_transport` sends mail through the service `slow`, and a transport entry would override it",
        ),
        (
            "default_transport = slow:",
            "`default_transport` sends mail through the service `slow`, and a transport entry would override it",
        ),
    ] {
        check(Given { main, ..STOCK }, &[why]);
    }
    for main in [
        "sender_dependent_relayhost_maps =",
        "content_filter =",
        "default_transport = smtp:",
        "outer = smtp\ndefault_transport = $outer",
    ] {
        check(Given { main, ..STOCK }, &[LINE, ITEM, BOTH]);
    }
}

#[test]
fn the_table_has_a_type_of_the_host_and_of_the_profile() {
    let check_type = |main, types, expected: &str| {
        let given = Given {
            main,
            types,
            ..STOCK
        };
        let kind = fitted(&given).map(|fitted| fitted.tables[0].kind.clone());
        assert_eq!(kind.unwrap_or_else(|why| why), expected);
    };
    let all = &["texthash", "cdb", "lmdb", "hash", "regexp"];
    check_type("", all, "hash");
    check_type("default_database_type = cdb", all, "cdb");
    // Not among the profile's, or not among the host's.
    check_type("default_database_type = dbm", &["dbm", "lmdb"], "lmdb");
    check_type("default_database_type = cdb", &["texthash"], "texthash");
    check_type(
        "",
        &["regexp", "pcre"],
        "none of the table types hash, lmdb, cdb, btree, texthash works here",
    );
}

#[test]
fn a_table_of_ours_stays_named_as_it_is() {
    let check_item = |present: &str, default: &str, kind: &str, item: &str| {
        let main = format!("default_database_type = {default}\ntransport_maps = {present}");
        let given = Given {
            main: main.leak(),
            types: &["hash", "lmdb"],
            ..STOCK
        };
        let fitted = fitted(&given).unwrap();
        let wanted = Setting::Has {
            name: "transport_maps".to_owned(),
            item: item.to_owned(),
        };
        assert_eq!(fitted.tables[0].kind, kind);
        assert_eq!(fitted.settings, [wanted]);
    };
    let ours = |kind: &str| format!("{kind}:/etc/postfix/mailfix/transport");
    let (hash, lmdb, proxy) = (ours("hash"), ours("lmdb"), ours("proxy:hash"));
    check_item("", "lmdb", "lmdb", &lmdb);
    check_item(&format!("hash:/a, {hash}"), "lmdb", "hash", &hash);
    check_item(&proxy, "hash", "hash", &proxy);
    check_item(&ours("gone"), "hash", "hash", &hash);
    let variable = "hash:$config_directory/mailfix/transport";
    check_item(variable, "lmdb", "hash", &hash);
}

#[test]
fn the_name_is_one_that_is_free_or_means_the_same() {
    let check_name = |master, expected: &str| {
        assert_eq!(
            free_name(IPV4_ONLY, &facts(&Given { master, ..STOCK })),
            expected
        );
    };
    check_name("", "smtp-ipv4");
    check_name("smtp-ipv4 inet n - n - - smtpd", "smtp-ipv4");
    check_name(
        "smtp-ipv4 unix - - n - - smtp\n -o inet_protocols=ipv4",
        "smtp-ipv4",
    );
    check_name("smtp-ipv4 unix - - n - - smtp", "smtp-ipv4-2");
    check_name(
        "smtp-ipv4 unix - - n - - lmtp\n -o inet_protocols=ipv4",
        "smtp-ipv4-2",
    );
    check_name(
        "smtp-ipv4 unix - - n - - smtp\nsmtp-ipv4-2 unix - - n - - smtp\n -o inet_protocols=all",
        "smtp-ipv4-3",
    );
    check_name(
        "smtp-ipv4 unix - - n - - smtp\nsmtp-ipv4-2 unix - - n - - smtp\n -o inet_protocols=ipv4",
        "smtp-ipv4-2",
    );
}

#[test]
fn a_service_made_by_hand_is_taken_as_it_is() {
    let by_hand = "smtp-ipv4 unix - - n - 5 smtp\n -o inet_protocols=ipv4\n -o x=y";
    let given = Given {
        master: by_hand,
        ..STOCK
    };
    check(given, &[ITEM, BOTH]);
}

#[test]
fn a_service_made_by_hand_is_mended_where_it_would_die() {
    let given = Given {
        master: "smtp-ipv4 unix - - y - - smtp\n -o inet_protocols=ipv4",
        ..STOCK
    };
    check(given, &[ITEM, BOTH]);
    let missing = Given {
        missing: &[Need::Resolver],
        ..given
    };
    check(
        missing,
        &["smtp-ipv4: chroot Some('n'), options []", ITEM, BOTH],
    );
    let interfaces = Given {
        main: "inet_interfaces = 192.0.2.1, [2001:db8::1]\nproxy_interfaces = 2001:db8::2",
        ..given
    };
    check(
        interfaces,
        &[
            "smtp-ipv4: chroot None, options [(\"inet_interfaces\", \"192.0.2.1\"), (\"proxy_interfaces\", \"\")]",
            ITEM,
            BOTH,
        ],
    );
}

#[test]
fn routes_that_lead_to_an_ipv4_only_service_are_completed() {
    let routed = |routes| Given {
        master: V4,
        routes,
        ..STOCK
    };
    let note =
        |domain: &str| format!("already-routed: `{TABLE}` sends `{domain}` over IPv4 only already");
    // One of the two: the other follows through the same service.
    check(
        routed(&[["gmail.com", TABLE, "gmail.com", "v4:"]]),
        &[
            ITEM,
            "hash:transport: googlemail.com v4:",
            &note("gmail.com"),
        ],
    );
    // Both, in the ways transport(5) has of saying it.
    check(
        routed(&[
            ["gmail.com", TABLE, "gmail.com", "v4:gmail.com"],
            ["googlemail.com", TABLE, ".com", "v4"],
        ]),
        &[&note("gmail.com"), &note("googlemail.com")],
    );
}

#[test]
fn a_route_of_the_administrators_wins() {
    let check_route = |master, value: &'static str| {
        let routes: &'static [[&str; 4]] = vec![["gmail.com", TABLE, "gmail.com", value]].leak();
        let left =
            format!("own-route: `{TABLE}` routes `gmail.com` to `{value}`, which stays as it is");
        let given = Given {
            master,
            routes,
            ..STOCK
        };
        let rest = "hash:transport: googlemail.com smtp-ipv4:";
        check(given, &[LINE, ITEM, rest, &left]);
    };
    check_route("", "relay:[mx.example]");
    check_route("", "smtp:");
    check_route("", ":");
    check_route("", "v4:"); // which is not there
    check_route(V4, "v4:[mx.example]"); // another host
    let both = Given {
        routes: &[
            ["gmail.com", TABLE, ".com", "smtp:"],
            ["googlemail.com", TABLE, ".com", "smtp:"],
        ],
        ..STOCK
    };
    let fitted = fitted(&both).unwrap();
    assert_eq!(fitted.outcome, "your own entries decide");
    assert!(fitted.services.is_empty() && fitted.settings.is_empty());
    assert_eq!(fitted.findings.len(), 2);
}

#[test]
fn a_wildcard_to_a_service_of_ones_own_is_not_overridden() {
    let check_rest = |value: &str, fits: bool| {
        let mut facts = facts(&STOCK);
        facts.routes.rest = Some(Route {
            table: TABLE.to_owned(),
            key: "*".to_owned(),
            value: value.to_owned(),
        });
        let why = format!(
            "`*` in `{TABLE}` sends mail through the service `slow`, and a transport entry would override it"
        );
        assert_eq!(overrides(&facts), (!fits).then_some(why), "{value}");
    };
    check_rest("slow:", false);
    check_rest("slow", false);
    check_rest("smtp:", true);
    check_rest(":", true);
}

#[test]
fn a_route_to_a_missing_service_of_our_name_is_half_of_the_cure() {
    let given = Given {
        routes: &[["gmail.com", TABLE, "gmail.com", "smtp-ipv4:"]],
        ..STOCK
    };
    let half = format!(
        "half-routed: `{TABLE}` sends `gmail.com` to `smtp-ipv4`, a service that is missing and is made"
    );
    let rest = "hash:transport: googlemail.com smtp-ipv4:";
    check(given, &[LINE, ITEM, rest, &half]);
}

#[test]
fn options_of_the_hosts_own_client_are_copied() {
    let check_line = |version, smtp: &str, expected: &str| {
        let master = format!("smtp unix {smtp}").leak();
        let given = Given {
            version,
            master,
            ..STOCK
        };
        check(given, &[expected, ITEM, BOTH]);
    };
    check_line(
        "3.7.11",
        "- - n - 7 smtp\n -o smtp_helo_name=a.example -v",
        "smtp-ipv4 unix - - n - 7 smtp -o smtp_helo_name=a.example -o inet_protocols=ipv4",
    );
    check_line(
        "3.7.11",
        "y n n 9 - smtp\n -o inet_protocols=all -o smtp_bind_address=192.0.2.1\n -o smtp_bind_address6=2001:db8::1 -o smtp_address_preference=ipv6",
        "smtp-ipv4 unix y n n 9 - smtp -o smtp_bind_address=192.0.2.1 -o inet_protocols=ipv4",
    );
    check_line(
        "3.7.11",
        "- - n - - smtp\n -o { smtp_tls_mandatory_ciphers = high }\n -o { smtp_header_checks = regexp:/a, regexp:/b }",
        "smtp-ipv4 unix - - n - - smtp -o smtp_tls_mandatory_ciphers=high -o { smtp_header_checks = regexp:/a, regexp:/b } -o inet_protocols=ipv4",
    );
    check_line(
        "2.10.1",
        "- - n - - smtp\n -o smtp_header_checks=regexp:/a,regexp:/b",
        "smtp-ipv4 unix - - n - - smtp -o smtp_header_checks=regexp:/a,regexp:/b -o inet_protocols=ipv4",
    );
}

#[test]
fn it_is_chrooted_only_as_the_hosts_own_client_is_and_only_if_it_works() {
    let check_letter = |letter: &str, missing, expected: &str| {
        let given = Given {
            master: format!("smtp unix - - {letter} - - smtp").leak(),
            missing,
            ..STOCK
        };
        let line = format!("smtp-ipv4 unix - - {expected} - - smtp -o inet_protocols=ipv4");
        check(given, &[&line, ITEM, BOTH]);
    };
    check_letter("y", &[], "y");
    check_letter("y", &[Need::Resolver], "n");
    check_letter("n", &[Need::Resolver], "n");
    check_letter("-", &[], "n");
}

#[test]
fn interfaces_of_ipv6_are_kept_from_it() {
    let check_interfaces = |main, expected: &str| {
        let line = format!("{LINE}{expected}");
        check(Given { main, ..STOCK }, &[&line, ITEM, BOTH]);
    };
    check_interfaces("inet_interfaces = 192.0.2.1", "");
    check_interfaces("inet_interfaces = loopback-only", "");
    check_interfaces(
        "inet_interfaces = 192.0.2.1, 2001:db8::1, localhost",
        " -o inet_interfaces=192.0.2.1,localhost",
    );
    check_interfaces("inet_interfaces = [2001:db8::1]", " -o inet_interfaces=all");
    check_interfaces("proxy_interfaces = 2001:db8::1", " -o proxy_interfaces=");
    check_interfaces(
        "own = 2001:db8::1\nproxy_interfaces = $own 198.51.100.1",
        " -o proxy_interfaces=198.51.100.1",
    );
}

#[test]
fn interfaces_of_the_hosts_own_client_are_copied_unless_they_are_ipv6() {
    let check_option = |option: &str, expected: &str| {
        let given = Given {
            main: "inet_interfaces = 192.0.2.1, [2001:db8::1]",
            master: format!("smtp unix - - n - - smtp -o inet_interfaces={option}").leak(),
            ..STOCK
        };
        let line = format!("smtp-ipv4 unix - - n - - smtp {expected}");
        check(given, &[&line, ITEM, BOTH]);
    };
    check_option(
        "192.0.2.7",
        "-o inet_interfaces=192.0.2.7 -o inet_protocols=ipv4",
    );
    check_option(
        "192.0.2.7,2001:db8::7",
        "-o inet_protocols=ipv4 -o inet_interfaces=192.0.2.7",
    );
}

#[test]
fn limits_of_the_hosts_own_client_are_followed() {
    let check_limits = |main, expected: &[&str]| {
        let given = facts(&Given { main, ..STOCK });
        let given = shown::lines(&limits("smtp-ipv4", IPV4_ONLY, &given), &[], &[], &[]);
        assert_eq!(given, expected);
    };
    check_limits("", &[]);
    check_limits("default_destination_concurrency_limit = 3", &[]);
    let follows = "smtp-ipv4_destination_concurrency_limit = $smtp_destination_concurrency_limit";
    check_limits("smtp_destination_concurrency_limit = 3", &[follows]);
    check_limits(
        "smtp_destination_concurrency_limit = 3\nsmtp_destination_rate_delay = 1s",
        &[
            follows,
            "smtp-ipv4_destination_rate_delay = $smtp_destination_rate_delay",
        ],
    );
    check_limits(
        "smtp_destination_concurrency_limit = 3\nsmtp-ipv4_destination_concurrency_limit = 9",
        &[],
    );
    check_limits(
        "smtp_destination_concurrency_limit = 3\nsmtp-ipv4_destination_concurrency_limit = $smtp_destination_concurrency_limit",
        &[follows],
    );
}

#[test]
fn a_default_of_our_transport_is_no_value_of_the_administrators() {
    let given = Given {
        main: "smtp_destination_concurrency_limit = 3",
        ..STOCK
    };
    let mut facts = facts(&given);
    // So postconf(1) shows it as soon as master.cf has the service.
    facts.parameters.set(
        "smtp-ipv4_destination_concurrency_limit",
        "$default_destination_concurrency_limit",
    );
    assert_eq!(limits("smtp-ipv4", IPV4_ONLY, &facts).len(), 1);
}

/// What mail to a provider gets at a gentle pace.
#[track_caller]
fn check_paced(id: &str, ipv4_only: bool, given: Given, expected: &[&str]) {
    let site = shown::site(&format!("[providers.{id}]\npace = \"gentle\"\n"));
    let provider = Provider::by_id(id).unwrap();
    let facts = facts(&given);
    let case = Case {
        providers: &[provider],
        site: &site,
        profile: &Profile::built_in("linux").unwrap(),
        facts: &facts,
    };
    let mut wanted = Wanted::of(provider, Vec::new(), ipv4_only, &case);
    wanted.domains.truncate(2);
    let fitted = fit(&case, vec![wanted], &[]).unwrap().unwrap();
    let (table, _) = table(&fitted.routes, case.profile, &facts)
        .unwrap()
        .unwrap();
    let given = shown::lines(
        &fitted.settings,
        &fitted.services,
        &[table],
        &fitted.findings,
    );
    assert_eq!(given, expected);
}

const FREE: &str = "hash:transport: free.fr smtp-free:, aliceadsl.fr smtp-free:";

#[test]
fn a_provider_is_held_to_what_it_takes_by_the_number_of_clients() {
    check_paced(
        "google",
        false,
        STOCK,
        &[
            "smtp-google_destination_concurrency_limit = 5",
            "smtp-google unix - - n - 5 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            "hash:transport: gmail.com smtp-google:, googlemail.com smtp-google:",
        ],
    );
    check_paced(
        "google",
        true,
        STOCK,
        &[
            "smtp-google-ipv4_destination_concurrency_limit = 5",
            "smtp-google-ipv4 unix - - n - 5 smtp -o inet_protocols=ipv4 -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            "hash:transport: gmail.com smtp-google-ipv4:, googlemail.com smtp-google-ipv4:",
        ],
    );
}

#[test]
fn each_version_is_told_what_it_knows() {
    let check = |version, main, expected: &[&str]| {
        let line = "smtp-free unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no";
        let expected = [expected, &[line, FREE]].concat();
        let given = Given {
            version,
            main,
            ..STOCK
        };
        check_paced("free", false, given, &expected);
    };
    let patience = "smtp-free_destination_concurrency_failed_cohort_limit = 10";
    let limit = "smtp-free_destination_concurrency_limit = 1";
    let pause = "smtp-free_transport_rate_delay = 5s";
    let pause_of_domain = "smtp-free_destination_rate_delay = 5s";
    check("3.7.11", "", &[patience, limit, pause]);
    check("2.11.6", "", &[patience, limit, pause_of_domain]);
}

#[test]
fn of_two_limits_the_stricter_one_holds() {
    let check = |main: &'static str, columns: &str, expected: &[&str]| {
        let given = Given {
            main,
            master: format!("smtp unix {columns}").leak(),
            ..STOCK
        };
        check_paced("orange", false, given, expected);
    };
    let table = "hash:transport: orange.fr smtp-orange:, wanadoo.fr smtp-orange:";
    let line = "smtp-orange unix - - n - 2 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no";
    let pause = "smtp-orange_transport_rate_delay = 1s";
    let limit = "smtp-orange_destination_concurrency_limit = 2";
    let own = "- - n - - smtp";
    check("", own, &[limit, pause, line, table]);
    check(
        "smtp_destination_concurrency_limit = 9\nsmtp_transport_rate_delay = 0s",
        own,
        &[limit, pause, line, table],
    );
    check(
        "smtp_destination_concurrency_limit = 1\nsmtp_transport_rate_delay = 1m",
        own,
        &[
            "smtp-orange_destination_concurrency_limit = $smtp_destination_concurrency_limit",
            "smtp-orange_transport_rate_delay = $smtp_transport_rate_delay",
            line,
            table,
        ],
    );
    // Whoever holds all clients back holds this one too.
    check(
        "default_destination_concurrency_limit = 1\ndefault_transport_rate_delay = 1m\ndefault_process_limit = 1",
        own,
        &[
            "smtp-orange_destination_concurrency_limit = $default_destination_concurrency_limit",
            "smtp-orange_transport_rate_delay = $default_transport_rate_delay",
            "smtp-orange unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            table,
        ],
    );
    check(
        "default_destination_concurrency_limit = 1\nsmtp_destination_concurrency_limit = 9\ndefault_process_limit = 1",
        "- - n - 9 smtp",
        &[limit, pause, line, table],
    );
    check(
        "smtp_connection_cache_on_demand = no\nsmtp_connection_cache_destinations = orange.fr\nsmtp_skip_quit_response = no",
        "- - n - 1 smtp",
        &[
            limit,
            pause,
            "smtp-orange unix - - n - 1 smtp -o smtp_connection_cache_destinations=",
            table,
        ],
    );
    check(
        "",
        "- - n - - smtp -o smtp_skip_quit_response=yes -o smtp_bind_address6=2001:db8::1",
        &[
            limit,
            pause,
            "smtp-orange unix - - n - 2 smtp -o smtp_bind_address6=2001:db8::1 -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            table,
        ],
    );
}

#[test]
fn a_limit_of_ours_follows_when_that_of_the_hosts_own_client_changes() {
    let check = |main, expected: &str| {
        let given = facts(&Given { main, ..STOCK });
        let client = Client {
            ipv4_only: false,
            paced: Provider::by_id("google"),
        };
        let lines = shown::lines(&limits("smtp-google", client, &given), &[], &[], &[]);
        assert_eq!(lines, [expected]);
    };
    let set = "smtp-google_destination_concurrency_limit = 5";
    let follows = "smtp-google_destination_concurrency_limit = $smtp_destination_concurrency_limit";
    check("smtp-google_destination_concurrency_limit = 5", set);
    check(
        "smtp-google_destination_concurrency_limit = 5\nsmtp_destination_concurrency_limit = 3",
        follows,
    );
    check(
        "smtp-google_destination_concurrency_limit = $smtp_destination_concurrency_limit\nsmtp_destination_concurrency_limit = 30",
        set,
    );
}

#[test]
fn figures_changed_by_hand_stay_and_are_named() {
    let given = Given {
        main: "smtp-free_destination_concurrency_limit = 4",
        master: "smtp-free unix - - n - 3 smtp",
        ..STOCK
    };
    check_paced(
        "free",
        false,
        given,
        &[
            "smtp-free_destination_concurrency_failed_cohort_limit = 10",
            "smtp-free_transport_rate_delay = 5s",
            FREE,
            "own-pace: `smtp-free` may run 3 times at once, and Free takes one connection at a time, a delivery every 5s",
            "own-pace: main.cf sets `smtp-free_destination_concurrency_limit = 4`, not `1`",
        ],
    );
    // Without a limit it does not do it, nor without IPv6.
    for master in [
        "smtp-free unix - - n - - smtp",
        "smtp-free unix - - n - 0 smtp",
        "smtp-free unix - - n - 1 smtp -o inet_protocols=ipv4",
    ] {
        let facts = facts(&Given { master, ..STOCK });
        let client = Client {
            ipv4_only: false,
            paced: Provider::by_id("free"),
        };
        assert_eq!(free_name(client, &facts), "smtp-free-2", "{master}");
    }
}

#[test]
fn a_client_made_by_hand_is_taken_with_its_own_figures() {
    let given = Given {
        master: "slow unix - - n - 4 smtp",
        routes: &[["free.fr", TABLE, "free.fr", "slow:"]],
        ..STOCK
    };
    check_paced(
        "free",
        false,
        given,
        &[
            "hash:transport: aliceadsl.fr slow:",
            "already-routed: `hash:/etc/postfix/transport` sends `free.fr` through a client that runs only so often already",
        ],
    );
    let unlimited = Given {
        master: "slow unix - - n - - smtp",
        ..given
    };
    check_paced(
        "free",
        false,
        unlimited,
        &[
            "smtp-free_destination_concurrency_failed_cohort_limit = 10",
            "smtp-free_destination_concurrency_limit = 1",
            "smtp-free_transport_rate_delay = 5s",
            "smtp-free unix - - n - 1 smtp -o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no",
            "hash:transport: aliceadsl.fr smtp-free:",
            "own-route: `hash:/etc/postfix/transport` routes `free.fr` to `slow:`, which stays as it is",
        ],
    );
}

#[test]
fn a_client_is_known_by_its_name_and_by_being_as_it_is_made() {
    let named = |service| {
        let clients = clients_named(service).into_iter();
        let names = clients.map(Client::name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(named("smtp-yahoo"), ["smtp-yahoo"]);
    assert_eq!(named("smtp-yahoo-3"), ["smtp-yahoo"]);
    assert_eq!(named("smtp-yahoo-jp"), ["smtp-yahoo-jp"]);
    assert_eq!(named("smtp-yahoo-ipv4-2"), ["smtp-yahoo-ipv4"]);
    for none in ["smtp-yahoo2", "smtp-yahoos", "smtp-fastmail", "smtp-ipv4"] {
        assert!(named(none).is_empty(), "{none}");
    }
    let check = |name: &str, columns: &str, expected: bool| {
        let master = format!("{name} unix {columns}").leak();
        let facts = facts(&Given { master, ..STOCK });
        assert_eq!(is_as_made(name, &facts).unwrap(), expected, "{master}");
    };
    let reuse = "-o smtp_connection_cache_on_demand=no -o smtp_skip_quit_response=no";
    check("smtp-yahoo", &format!("- - n - 10 smtp {reuse}"), true);
    check("smtp-yahoo", &format!("- - y - 10 smtp {reuse}"), true);
    check("smtp-yahoo-2", &format!("- - n - 10 smtp {reuse}"), true);
    check("smtp-yahoo", &format!("- - n - 11 smtp {reuse}"), false);
    check("smtp-yahoo", "- - n - 10 smtp", false);
    check("smtp-google", &format!("- - n - 10 smtp {reuse}"), false);
    let both = format!("- - n - 10 smtp -o inet_protocols=ipv4 {reuse}");
    check("smtp-yahoo-ipv4", &both, true);
    check("smtp-yahoo", &both, false);
}

#[test]
fn settings_that_went_with_a_client_are_those_of_its_provider() {
    let main = "smtp-free_destination_concurrency_limit = 1\nsmtp-free_transport_rate_delay = 5s\nsmtp-free_destination_rate_delay = 5s\nsmtp-free_initial_destination_concurrency = $smtp_initial_destination_concurrency\nsmtp-free_destination_recipient_limit = 3\nsmtp-free_destination_concurrency_failed_cohort_limit = 11\nsmtp-orange_destination_concurrency_limit = 1";
    let facts = facts(&Given { main, ..STOCK });
    assert_eq!(
        own_limits("smtp-free", &facts),
        [
            "smtp-free_destination_concurrency_limit",
            "smtp-free_destination_rate_delay",
            "smtp-free_initial_destination_concurrency",
            "smtp-free_transport_rate_delay",
        ]
    );
    assert!(own_limits("smtp-orange", &facts).is_empty());
}
