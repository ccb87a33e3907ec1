use std::net::IpAddr;

use super::{Departure, Departures, FAR, addresses_named};
use crate::host::{Facts, Origin, example};
use crate::postfix::log::{Event, Line};
use crate::site::Site;
use crate::system::MemorySystem;

/// One Postfix on a machine called `mail`.
fn instance(main: &str, master: &str, addresses: &[&str]) -> Facts {
    let main = format!("inet_protocols = all\nmyhostname = mail.example.org\n{main}");
    let mut facts = example::host("3.7.11", &main, master).facts;
    facts.origin = Origin::Machine;
    facts.addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    facts
}

fn machine(routes: &[(&str, &str)]) -> MemorySystem {
    let mut system = MemorySystem::new().file("/etc/hostname", "node7\n");
    for (to, from) in routes {
        system
            .sources
            .insert(to.parse().unwrap(), from.parse().unwrap());
    }
    system
}

/// Where the delivery of a line left from.
fn of(departures: &Departures, line: &str) -> String {
    let line = Line::parse(line.as_bytes()).unwrap();
    let Event::Delivery(delivery) = line.record().event else {
        panic!("no delivery");
    };
    let named = addresses_named(&delivery.answer());
    departures.of(&line, delivery.relay.ip(), &named).label()
}

/// A line of some host and `syslog_name`, of a delivery to an address.
fn line(host: &str, name: &str, relay: &str) -> String {
    format!(
        "Nov 25 10:00:00 {host} {name}/smtp[9]: A1B2C3: to=<a@b.example>, relay={relay}, delay=1, \
         delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
    )
}

const V4: &str = "mx.b.example[198.51.100.25]:25";
const V6: &str = "mx.b.example[2001:db8:9::25]:25";

#[test]
fn each_instance_and_service_has_its_own_way() {
    let main = instance(
        "smtp_bind_address = 192.0.2.10",
        "bulk unix - - n - - smtp -o syslog_name=postfix/$service_name -o smtp_bind_address=192.0.2.12",
        &["192.0.2.10", "192.0.2.11", "192.0.2.12", "2001:db8::10"],
    );
    let other = instance(
        "multi_instance_name = postfix-out\nsyslog_name = postfix-out\nsmtp_bind_address = 192.0.2.11",
        "",
        &["192.0.2.10", "192.0.2.11", "192.0.2.12", "2001:db8::10"],
    );
    let found = Departures::gather(&machine(&[]), &[main, other], None).unwrap();
    for (name, relay, expected) in [
        ("postfix", V4, "192.0.2.10"),
        // The only address of its protocol.
        ("postfix", V6, "2001:db8::10"),
        ("postfix/bulk", V4, "192.0.2.12"),
        ("postfix-out", V4, "192.0.2.11"),
        ("postfix-gone", V4, "unknown IPv4"),
        ("postfix-gone", V6, "unknown IPv6"),
        ("postfix", "none", "none"),
        ("postfix", "local", "none"),
        ("postfix", "127.0.0.1[127.0.0.1]:10024", "none"),
        ("postfix", "filter[::1]:10024", "none"),
        ("postfix", "dovecot[private/lmtp]", "none"),
    ] {
        for host in ["mail", "MAIL.example.org", "node7"] {
            assert_eq!(
                of(&found, &line(host, name, relay)),
                expected,
                "{name} {relay}"
            );
        }
    }
    // Another machine's log says nothing of this one's configuration.
    assert_eq!(
        of(&found, &line("elsewhere", "postfix", V4)),
        "unknown IPv4"
    );
    assert!(found.is_own_host(b"") && !found.is_own_host(b"\xff"));
}

#[test]
fn what_two_services_of_one_name_do_differently_is_unknown() {
    let facts = instance(
        "smtp_bind_address = 192.0.2.10",
        "slow unix - - n - - smtp -o smtp_bind_address=192.0.2.11\n\
         only6 unix - - n - - smtp -o inet_protocols=ipv6 -o smtp_bind_address=192.0.2.12",
        &["192.0.2.10", "192.0.2.11"],
    );
    let found = Departures::gather(&machine(&[]), &[facts], None).unwrap();
    assert_eq!(of(&found, &line("mail", "postfix", V4)), "unknown IPv4");
    assert_eq!(of(&found, &line("mail", "postfix", V6)), "unknown IPv6");
    // A receiver that names one of ours was there.
    let said = line("mail", "postfix", V4).replace(
        "sent (250 ok)",
        "bounced (host mx.b.example[198.51.100.25] said: 550 5.7.1 [192.0.2.11] no, as [203.0.113.5] said (in reply to MAIL FROM command))",
    );
    assert_eq!(of(&found, &said), "192.0.2.11");
    // An address that is not ours is somebody else's.
    assert_eq!(
        of(&found, &said.replace("[192.0.2.11]", "")),
        "unknown IPv4"
    );
}

#[test]
fn the_kernels_choice_counts_where_it_is_one() {
    let all: Vec<String> = FAR.iter().map(ToString::to_string).collect();
    let v4: Vec<(&str, &str)> = all
        .iter()
        .filter(|to| !to.contains(':'))
        .map(|to| (to.as_str(), "192.0.2.11"))
        .collect();
    let facts = || {
        let addresses = ["192.0.2.10", "192.0.2.11", "2001:db8::1", "2001:db8::2"];
        instance("", "", &addresses)
    };
    let found = Departures::gather(&machine(&v4), &[facts()], None).unwrap();
    assert_eq!(of(&found, &line("mail", "postfix", V4)), "192.0.2.11");
    // It chooses by the destination.
    let v6: Vec<(&str, &str)> = all
        .iter()
        .filter(|to| to.contains(':'))
        .map(|to| {
            let near = to.starts_with("2001");
            (
                to.as_str(),
                if near { "2001:db8::1" } else { "2001:db8::2" },
            )
        })
        .collect();
    let found = Departures::gather(&machine(&v6), &[facts()], None).unwrap();
    assert_eq!(of(&found, &line("mail", "postfix", V6)), "unknown IPv6");
    // Nor is the route to the world that to a network of one's own.
    let found = Departures::gather(&machine(&v4), &[facts()], None).unwrap();
    let inside = line("mail", "postfix", "relay[10.0.0.9]:25");
    assert_eq!(of(&found, &inside), "unknown IPv4");
}

#[test]
fn behind_a_translator_receivers_and_the_site_file_know() {
    let facts = || instance("", "", &["10.0.0.5"]);
    let hidden = Departures::gather(&machine(&[]), &[facts()], None).unwrap();
    let sent = line("mail", "postfix", V4);
    assert_eq!(of(&hidden, &sent), "unknown IPv4");
    let relay: IpAddr = "198.51.100.25".parse().unwrap();
    let parsed = Line::parse(sent.as_bytes()).unwrap();
    assert_eq!(hidden.of(&parsed, Some(relay), &[]), Departure::Hidden(4));
    let said = sent.replace(
        "sent (250 ok)",
        "deferred (host mx.b.example[198.51.100.25] said: 421 4.7.28 [8.8.4.4      15] unusual rate (in reply to end of DATA command))",
    );
    assert_eq!(of(&hidden, &said), "8.8.4.4");
    let outside = Departure::From("8.8.4.4".parse().unwrap());
    let mut all = vec![Departure::Hidden(4), outside, Departure::Stayed];
    assert_eq!(hidden.unhidden(Departure::Hidden(4), &all), outside);
    assert_eq!(
        hidden.unhidden(Departure::Hidden(6), &all).label(),
        "unknown IPv6"
    );
    all.push(Departure::From("8.8.8.8".parse().unwrap()));
    assert_eq!(
        hidden.unhidden(Departure::Hidden(4), &all),
        Departure::Hidden(4)
    );
    // To a host of the same network nothing is translated.
    let inside = line("mail", "postfix", "relay[10.0.0.9]:25");
    assert_eq!(of(&hidden, &inside), "10.0.0.5");
    let site = "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"198.51.100.7\"]\n[[domain]]\nname = \"example.org\"\n";
    let mut site = Site::parse_with(site, "mailfix.toml".into(), true).unwrap();
    site.allow_non_global = false;
    let found = Departures::gather(&machine(&[]), &[facts()], Some(&site)).unwrap();
    assert_eq!(of(&found, &sent), "198.51.100.7");
}

#[test]
fn without_a_postfix_only_replies_tell() {
    let nothing = Departures::default();
    let sent = line("mail", "postfix", V4);
    assert_eq!(of(&nothing, &sent), "unknown IPv4");
    let said = sent.replace(
        "sent (250 ok)",
        "bounced (host mx.b.example[198.51.100.25] said: 550 5.7.1 [8.8.4.4] no (in reply to MAIL FROM command))",
    );
    assert_eq!(of(&nothing, &said), "8.8.4.4");
}
