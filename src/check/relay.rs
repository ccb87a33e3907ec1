//! Strangers who may send mail through this host to anywhere.
//!
//! Owns which networks of `mynetworks` are nobody's own, and whether a service that they reach
//! lets them relay. Must not know what a firewall keeps away. Follows postconf(5), "mynetworks" and
//! "`smtpd_relay_restrictions`"; what is looked up in a table or by a restriction class is not seen.

use ipnet::IpNet;

use super::{Check, Subject, mend};
use crate::finding::Finding;
use crate::postfix::{Service, ServiceType, split_list};

pub(super) const CHECK: Check = Check {
    name: "relay",
    about: "networks of strangers that may send mail to anywhere",
    run,
};

/// The parameter that names the hosts which may.
const TRUSTED: &str = "mynetworks";

/// What lets or keeps a client, in the order smtpd(8) asks; all have to let it.
const STAGES: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

/// What is left of the list where nothing else is.
const OWN: &str = "127.0.0.0/8 [::1]/128";

fn run(subject: &Subject) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for service in subject
        .services()
        .filter(|service| is_reached(subject, service))
    {
        let Some(list) = subject.effective(TRUSTED, Some(service)) else {
            continue;
        };
        let list = split_list(&list);
        let Some(stranger) = strangers(&list) else {
            continue;
        };
        if !lets_relay(subject, service) {
            continue;
        }
        let finding = finding(subject, service, &list, stranger);
        // What main.cf says, it says to each service.
        if !findings.iter().any(|known| known.same_fault(&finding)) {
            findings.push(finding);
        }
    }
    findings
}

fn finding(subject: &Subject, service: &Service, list: &[String], stranger: &str) -> Finding {
    let finding = Finding::error(
        "open-relay",
        format!(
            "`{TRUSTED}` has `{stranger}`: strangers may send mail to anywhere through this host"
        ),
    )
    .because(
        "who sends spam looks for such hosts all the time; blocklists name this one within days, \
         and then nobody takes its mail",
    );
    let own = service.option(TRUSTED).is_some();
    let assignment = subject.assignments().into_iter().find(|assignment| {
        assignment.name == TRUSTED
            && assignment.service.is_some() == own
            && (!own || assignment.service.is_some_and(|of| of == service))
    });
    let finding = match &assignment {
        Some(assignment) => finding.at(subject.place_of_word(assignment, stranger)),
        None => finding,
    };
    let command = if own {
        mend::unset_option(subject, service, TRUSTED)
    } else {
        let kept: Vec<&str> = list
            .iter()
            .map(String::as_str)
            .filter(|item| !is_strangers(item))
            .collect();
        let kept = if kept.is_empty() {
            OWN.to_owned()
        } else {
            kept.join(" ")
        };
        mend::set(subject, TRUSTED, &kept)
    };
    let named = "name only networks whose hosts are yours, and let others log in";
    finding.mend(command.map_or_else(|| named.to_owned(), |command| format!("{named}: {command}")))
}

/// The first network of a list that is nobody's own. What stands before an item counts first, so
/// a `!` that takes everybody out ends the list.
fn strangers(list: &[String]) -> Option<&str> {
    let items = list.iter().map(String::as_str);
    items
        .take_while(|item| !item.strip_prefix('!').is_some_and(is_strangers))
        .find(|item| is_strangers(item))
}

/// Tells whether a network is larger than any that somebody could have: none is handed out above
/// these lengths, and those for use at home are not longer.
fn is_strangers(item: &str) -> bool {
    match item.replace(['[', ']'], "").parse::<IpNet>() {
        Ok(IpNet::V4(network)) => network.prefix_len() < 8,
        Ok(IpNet::V6(network)) => {
            let first = network.trunc().addr().segments()[0];
            // fc00::/7, fe80::/10 and ff00::/8
            let is_home = network.prefix_len() >= 7 && first >= 0xfc00;
            network.prefix_len() < 16 && !is_home
        }
        Err(_) => false,
    }
}

/// Tells whether others than this host itself can connect to a service that takes mail.
fn is_reached(subject: &Subject, service: &Service) -> bool {
    if service.command != "smtpd" {
        return false;
    }
    match service.kind {
        // postscreen(8) hands over who has connected to it.
        ServiceType::Pass => true,
        ServiceType::Inet => {
            let host = service.name.rsplit_once(':').map(|(host, _)| host);
            if let Some(host) = host.filter(|host| !host.is_empty()) {
                return !is_loopback(host);
            }
            let interfaces = subject.effective("inet_interfaces", Some(service));
            interfaces.is_none_or(|list| !split_list(&list).iter().all(|item| is_loopback(item)))
        }
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    matches!(bare, "loopback-only" | "localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Tells whether a service lets `mynetworks` relay.
fn lets_relay(subject: &Subject, service: &Service) -> bool {
    let mut is_let_as_ours = false;
    for stage in STAGES {
        // An older Postfix does not have them all.
        let list = subject.effective(stage, Some(service)).unwrap_or_default();
        match verdict(&split_list(&list)) {
            Some(Verdict::Refused) => return false,
            Some(Verdict::Ours) => is_let_as_ours = true,
            None => {}
        }
    }
    is_let_as_ours
}

/// What a list comes to, for a host of `mynetworks` that has not logged in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ours,
    Refused,
}

fn verdict(list: &[String]) -> Option<Verdict> {
    let mut words = list.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            // What follows is only written to the log.
            "warn_if_reject" => {
                words.next();
            }
            "permit_mynetworks" => return Some(Verdict::Ours),
            "permit" => return None,
            "reject" | "defer" | "reject_unauth_destination" | "defer_unauth_destination" => {
                return Some(Verdict::Refused);
            }
            _ => {}
        }
    }
    None
}
