//! Services that are locked into a jail which lacks what they look for, or holds an old copy.
//!
//! Owns what a need that is not met means for each program, and the command that meets it.
//! Must not know how a jail is looked at. Follows master(5), "chroot", and what the programs
//! do when traced.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::{Check, Presence, Subject};
use crate::finding::{Finding, Severity};
use crate::host::{Jail, Lack, State};
use crate::postfix::{Field, Need, Service, effective_chroot, needs};

pub(super) const CHECK: Check = Check {
    name: "jail",
    about: "services locked into a jail that lacks what they look for, or holds an old copy",
    run,
};

/// Restrictions with which smtpd(8) refuses everybody while no name can be looked up.
const ASK_FOR_NAMES: [&str; 5] = [
    "reject_unknown_sender_domain",
    "reject_unknown_recipient_domain",
    "reject_unknown_helo_hostname",
    "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname",
];

/// Where such restrictions stand.
const RESTRICTIONS: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

fn run(subject: &Subject) -> Vec<Finding> {
    let Some(jail) = subject.jail else {
        return Vec::new();
    };
    // Services of one program miss the same thing for the same reason.
    let mut unmet: BTreeMap<(Need, &str), Vec<&Service>> = BTreeMap::new();
    let mut stale: Vec<&Service> = Vec::new();
    for service in subject.services() {
        if !effective_chroot(service.chroot, subject.version, subject.level) {
            continue;
        }
        let value = |name: &str| subject.effective(name, Some(service)).unwrap_or_default();
        for need in needs(service, subject.version, &value) {
            match jail.state(&need) {
                State::Works | State::Unknown => {}
                State::Differs { .. } => stale.push(service),
                State::Lacks { .. } => {
                    let program = service.command.rsplit('/').next().unwrap_or_default();
                    unmet.entry((need, program)).or_default().push(service);
                }
            }
        }
    }
    let mut findings: Vec<Finding> = unmet
        .iter()
        .filter_map(|((need, program), services)| {
            let State::Lacks { why, .. } = jail.state(need) else {
                return None;
            };
            let (severity, effect) = effect(subject, need, program, services);
            let title = match why {
                Lack::Absent => "is missing in the jail of",
                Lack::Empty => "is empty in the jail of",
                Lack::Closed => "may not be read in the jail of",
                Lack::LeadsOut => "is a link to nothing in the jail of",
            };
            let title = format!("`{}` {title} {}", need.path(), names(services));
            let finding = Finding::new(severity, "jail-incomplete", title)
                .because(effect)
                .mend(mend(subject.directory, jail, need, *why));
            Some(at(subject, services, finding))
        })
        .collect();
    if let State::Differs { jail: there, host } = jail.state(&Need::Resolver)
        && !stale.is_empty()
    {
        let title = format!("the jail of {} names other name servers", names(&stale));
        let finding = Finding::warning("jail-stale", title)
            .because(format!(
                "in `{}` {} is asked, outside {}: where nobody answers any more, all mail is deferred; {}",
                jail.directory,
                there.join(", "),
                host.join(", "),
                jail.keeping()
            ))
            .mend(mend(subject.directory, jail, &Need::Resolver, Lack::Absent));
        findings.push(at(subject, &stale, finding));
    }
    findings.extend(saslauthd(subject, jail));
    findings
}

/// Where Cyrus SASL looks for its files unless `cyrus_sasl_config_path` names other places.
const SASL_DIRECTORIES: [&str; 5] = [
    "/etc/postfix/sasl",
    "/etc/sasl2",
    "/usr/lib/sasl2",
    "/usr/lib64/sasl2",
    "/usr/local/lib/sasl2",
];

/// Where saslauthd(8) listens unless a file says otherwise.
const SASLAUTHD: &str = "/var/run/saslauthd/mux";

/// The door of saslauthd(8), which smtpd(8) knocks at from within; a file of Cyrus SASL and no
/// parameter says where it is.
fn saslauthd(subject: &Subject, jail: &Jail) -> Option<Finding> {
    let asks = |service: &&Service| {
        let value = |name: &str| subject.effective(name, Some(service)).unwrap_or_default();
        service.command.ends_with("smtpd")
            && effective_chroot(service.chroot, subject.version, subject.level)
            && value("smtpd_sasl_auth_enable") == "yes"
            && value("smtpd_sasl_type") == "cyrus"
    };
    let servers: Vec<&Service> = subject.services().filter(asks).collect();
    let value = |name: &str| {
        let value = subject.effective(name, servers.first().copied());
        value.unwrap_or_default()
    };
    let named = value("cyrus_sasl_config_path");
    let places: Vec<&str> = if named.is_empty() {
        SASL_DIRECTORIES.to_vec()
    } else {
        named.split(':').collect()
    };
    let application = value("smtpd_sasl_path");
    let text = places.iter().find_map(|place| {
        let path = Utf8Path::new(place).join(format!("{application}.conf"));
        subject.files.read(&path)
    })?;
    let text = String::from_utf8_lossy(&text);
    let set = |name: &str| {
        let mut settings = text.lines().filter_map(|line| line.split_once(':'));
        let found = settings.find(|(key, _)| key.trim() == name);
        found.map(|(_, value)| value.trim())
    };
    let methods = set("pwcheck_method").unwrap_or_default();
    if servers.is_empty() || !methods.split_whitespace().any(|word| word == "saslauthd") {
        return None;
    }
    let path = Utf8Path::new(set("saslauthd_path").unwrap_or(SASLAUTHD));
    let inside = jail.directory.join(path.strip_prefix("/").unwrap_or(path));
    let is = |path: &Utf8Path, presence| subject.files.presence(path) == presence;
    // Where it does not run, nobody can log in either way.
    if !is(path, Presence::There) || !is(&inside, Presence::Absent) {
        return None;
    }
    let title = format!("`{path}` is missing in the jail of {}", names(&servers));
    let finding = Finding::error("jail-incomplete", title)
        .because("passwords are asked of saslauthd(8) there: nobody can log in")
        .mend(format!(
            "have saslauthd(8) listen in `{}` (its option `-m`) and let Postfix's user into it, or write `n` into the chroot column",
            parent(&inside)
        ));
    Some(at(subject, &servers, finding))
}

fn names(services: &[&Service]) -> String {
    let names: Vec<String> = services
        .iter()
        // One and the same name is often a client's and a server's.
        .map(|service| format!("`{}/{}`", service.name, service.kind))
        .collect();
    names.join(", ")
}

fn at(subject: &Subject, services: &[&Service], finding: Finding) -> Finding {
    match services.first() {
        Some(first) => finding.at(subject.master.place(first.field_span(Field::Chroot))),
        None => finding,
    }
}

/// What becomes of mail, and how bad that is.
fn effect(
    subject: &Subject,
    need: &Need,
    program: &str,
    services: &[&Service],
) -> (Severity, String) {
    let any = |name: &str, found: &dyn Fn(&str) -> bool| {
        services.iter().any(|service| {
            let value = subject.effective(name, Some(service)).unwrap_or_default();
            found(&value)
        })
    };
    match (need, program) {
        (Need::Resolver, "smtpd") => {
            let asks = |value: &str| ASK_FOR_NAMES.iter().any(|word| value.contains(word));
            if RESTRICTIONS.iter().any(|name| any(name, &asks)) {
                (
                    Severity::Error,
                    "no name can be looked up there, and the restrictions that ask for one refuse mail from everybody with a 450".to_owned(),
                )
            } else {
                (
                    Severity::Warning,
                    "no name can be looked up there: clients are `unknown`, and no list in DNS is asked".to_owned(),
                )
            }
        }
        (Need::Resolver, "dnsblog") => (
            Severity::Warning,
            "no name can be looked up there: no list in DNS is asked".to_owned(),
        ),
        (Need::Resolver, _) => (
            Severity::Error,
            "no name can be looked up there: all mail is deferred with `Host or domain name not found`".to_owned(),
        ),
        (Need::Ports, _) => (
            Severity::Error,
            "before Postfix 3.6 a client without it dies, and its mail stays in the queue without a word why".to_owned(),
        ),
        (Need::Hosts, _) => (
            Severity::Warning,
            "names that only `/etc/hosts` knows are not found there".to_owned(),
        ),
        (Need::NameService, _) => (
            Severity::Error,
            "with `native` in `smtp_host_lookup` this C library asks DNS through it: no name is found there".to_owned(),
        ),
        (Need::Authorities(_), "smtpd") => (
            Severity::Warning,
            "no certificate of a client is trusted there".to_owned(),
        ),
        (Need::Authorities(_), _) => (
            Severity::Error,
            "no certificate is trusted there, and mail to whom must be verified is deferred".to_owned(),
        ),
        (Need::Socket(path), _) => {
            let is_waved_through = any("milter_default_action", &|value| value == "accept");
            let severity = if is_waved_through {
                Severity::Warning
            } else {
                Severity::Error
            };
            let directory = subject.jail.map(|jail| jail.directory.as_str());
            (
                severity,
                format!(
                    "from within, `{path}` is `{}{path}`, where no socket can be",
                    directory.unwrap_or_default()
                ),
            )
        }
    }
}

/// The command that puts a file into the jail, or what to do where none does.
fn mend(config: &Utf8Path, jail: &Jail, need: &Need, why: Lack) -> String {
    let path = jail.path(need);
    let reload = format!("`postfix -c {config} reload`");
    let unlocked = "write `n` into the chroot column";
    match need {
        Need::Resolver | Need::Ports | Need::Hosts => match (why, &jail.kept) {
            (Lack::Closed, _) => {
                format!("`chmod a+rX {} {path}`, then {reload}", parent(&path))
            }
            (Lack::LeadsOut, _) => {
                format!("`rm {path} && cp /{} {path}`, then {reload}", need.path())
            }
            (_, Some(kept)) if kept.fill.is_some() => {
                let fill = kept.fill.as_deref().unwrap_or_default();
                format!("`{fill}`, then {reload}; or {unlocked}")
            }
            _ => format!(
                "`mkdir -p {} && cp /{} {path}`, then {reload}; or {unlocked}",
                parent(&path),
                need.path()
            ),
        },
        Need::NameService => {
            format!("set `smtp_host_lookup = dns`, or {unlocked}")
        }
        Need::Authorities(_) => format!(
            "name a file with `CAfile` instead, which is read before the door closes, or {unlocked}"
        ),
        Need::Socket(_) => format!(
            "have the socket made below `{}` and name it relative to that, or {unlocked}",
            jail.directory
        ),
    }
}

fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or(path)
}
