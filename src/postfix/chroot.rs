//! Daemons in a jail: which services are locked into the queue directory, and what their
//! programs look for once they are.
//!
//! Owns the meaning of the chroot field, and [`Need`]. Tables, keys and `CAfile`s are opened
//! before the door closes and are no need. Must not know what a jail holds.
//! Follows master(5), "chroot", and what the programs open when traced.

use super::{CompatibilityLevel, Service, Version, split_list};

/// The first version that knows the ports of mail without `etc/services`.
const KNOWS_PORTS: Version = Version::new(3, 6, 0);

/// Tells whether a service runs chrooted, given its field.
///
/// `-` means yes in every 2.x, and from 3.0 on while `compatibility_level` is below 1.
// master(5), "chroot"
#[must_use]
pub fn effective_chroot(chroot: Option<bool>, version: Version, level: CompatibilityLevel) -> bool {
    chroot.unwrap_or_else(|| version.major < 3 || level < CompatibilityLevel::new(1, 0, 0))
}

/// Something a program looks for after it was locked in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// `etc/resolv.conf`: without it DNS is asked at 127.0.0.1.
    Resolver,
    /// `etc/services`: without it a client of Postfix before 3.6 dies.
    Ports,
    /// `etc/hosts`, for names that only that file knows.
    Hosts,
    /// The library through which an older C library asks DNS for `native` lookups.
    NameService,
    /// A directory of certificates that partners are verified with.
    Authorities(String),
    /// A socket named by its whole path.
    Socket(String),
}

impl Need {
    /// Where it is looked for, relative to the jail.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Resolver => "etc/resolv.conf",
            Self::Ports => "etc/services",
            Self::Hosts => "etc/hosts",
            Self::NameService => "libnss_dns.so.2",
            Self::Authorities(path) | Self::Socket(path) => path.trim_start_matches('/'),
        }
    }
}

/// Tables a client may have behind a socket.
const CLIENT_TABLES: [&str; 6] = [
    "smtp_tls_policy_maps",
    "smtp_generic_maps",
    "smtp_sasl_password_maps",
    "lmtp_tls_policy_maps",
    "lmtp_generic_maps",
    "lmtp_sasl_password_maps",
];

/// Transports whose next hop may be a socket.
const TRANSPORTS: [&str; 5] = [
    "virtual_transport",
    "mailbox_transport",
    "local_transport",
    "fallback_transport",
    "relay_transport",
];

/// Where smtpd(8) may be told of milters and policy services.
const SERVER_SOCKETS: [&str; 9] = [
    "smtpd_milters",
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
];

/// Lists what a service looks for in its jail; `value` gives a parameter as the service
/// has it, with every `$name` replaced.
#[must_use]
pub fn needs(service: &Service, version: Version, value: &dyn Fn(&str) -> String) -> Vec<Need> {
    let program = service.command.rsplit('/').next().unwrap_or_default();
    let is_yes = |name: &str| value(name).eq_ignore_ascii_case("yes");
    let mut needs = Vec::new();
    match program {
        "smtp" => {
            let asks_dns =
                !is_yes("disable_dns_lookups") && value("smtp_dns_support_level") != "disabled";
            if asks_dns && !is_literal(&value("relayhost")) {
                needs.push(Need::Resolver);
            }
            if version < KNOWS_PORTS {
                needs.push(Need::Ports);
            }
            let ways = split_list(&value("smtp_host_lookup"));
            if ways.iter().any(|way| way == "native") {
                needs.extend([Need::Hosts, Need::NameService]);
            }
            let verifies = matches!(
                value("smtp_tls_security_level").as_str(),
                "verify" | "secure"
            );
            if verifies && value("smtp_tls_CAfile").is_empty() {
                needs.extend(authorities(&value("smtp_tls_CApath")));
            }
            needs.extend(CLIENT_TABLES.iter().flat_map(|name| sockets(&value(name))));
        }
        "lmtp" => {
            let own = format!("{}:", service.name);
            let next_hops = TRANSPORTS.iter().filter_map(|name| {
                let transport = value(name);
                transport.strip_prefix(&own).map(str::to_owned)
            });
            needs.extend(next_hops.flat_map(|next_hop| sockets(&next_hop)));
            needs.extend(CLIENT_TABLES.iter().flat_map(|name| sockets(&value(name))));
        }
        "smtpd" => {
            needs.push(Need::Resolver);
            if (is_yes("smtpd_tls_ask_ccert") || is_yes("smtpd_tls_req_ccert"))
                && value("smtpd_tls_CAfile").is_empty()
            {
                needs.extend(authorities(&value("smtpd_tls_CApath")));
            }
            needs.extend(SERVER_SOCKETS.iter().flat_map(|name| sockets(&value(name))));
            if is_yes("smtpd_sasl_auth_enable") && value("smtpd_sasl_type") == "dovecot" {
                let path = value("smtpd_sasl_path");
                needs.extend(absolute(path.strip_prefix("unix:").unwrap_or(&path)));
            }
        }
        "cleanup" => needs.extend(sockets(&value("non_smtpd_milters"))),
        "dnsblog" => needs.push(Need::Resolver),
        _ => {}
    }
    needs.sort();
    needs.dedup();
    needs
}

/// Tells whether a relay host is an address, which nobody has to look up.
fn is_literal(relayhost: &str) -> bool {
    relayhost
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .is_some_and(|host| {
            let host = host.strip_prefix("ipv6:").unwrap_or(host);
            host.parse::<std::net::IpAddr>().is_ok()
        })
}

fn authorities(path: &str) -> Option<Need> {
    (!path.is_empty()).then(|| Need::Authorities(path.to_owned()))
}

fn absolute(path: &str) -> Option<Need> {
    path.starts_with('/').then(|| Need::Socket(path.to_owned()))
}

/// Sockets named by their whole path; those relative to the queue directory are in the jail.
fn sockets(value: &str) -> Vec<Need> {
    value
        .split(|c: char| c.is_ascii_whitespace() || matches!(c, ',' | '{' | '}'))
        .filter_map(|word| {
            let is_table = word.starts_with("socketmap:");
            let word = word.strip_prefix("socketmap:").unwrap_or(word);
            let path = ["unix:", "local:"]
                .into_iter()
                .find_map(|kind| word.strip_prefix(kind))?;
            // socketmap_table(5): behind the path stands the name of the map.
            let path = if is_table {
                path.rsplit_once(':').map_or(path, |(path, _)| path)
            } else {
                path
            };
            absolute(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postfix::{MainCf, MasterCf};

    #[test]
    fn the_letter_means_what_version_and_level_make_of_it() {
        // A version, a level, and whether `-` locks in there.
        const TABLE: [(&str, &str, bool); 16] = [
            // Versions 2 have no level, and read as 0.
            ("2.6.0", "0", true),
            ("2.8.0", "0", true),
            ("2.10.1", "0", true),
            ("2.11.11", "0", true),
            // A level somebody wrote into the main.cf of a version that does not know it.
            ("2.11.11", "2", true),
            ("3.0.0", "0", true),
            ("3.0.0", "1", false),
            ("3.5.25", "0", true),
            ("3.5.25", "2", false),
            ("3.5.25", "3.6", false),
            ("3.7.11", "0", true),
            ("3.7.11", "0.9", true),
            ("3.7.11", "1", false),
            ("3.7.11", "3.6", false),
            ("3.10.13", "3.9", false),
            ("3.11.7", "3.11", false),
        ];
        for (version, level, dash) in TABLE {
            let version = Version::parse(version).unwrap();
            let level = CompatibilityLevel::read(level, version).unwrap();
            for (letter, expected) in [("y", true), ("n", false), ("-", dash)] {
                let line = format!("smtp unix - - {letter} - - smtp\n");
                let master = MasterCf::parse(line.as_bytes());
                let chroot = master.services().next().unwrap().chroot;
                let got = effective_chroot(chroot, version, level);
                assert_eq!(got, expected, "{letter} on {version} at level {level}");
            }
        }
    }

    /// A version, settings, the name and command of a service, and the needs it has.
    #[track_caller]
    fn check(version: &str, main: &str, service: &str, expected: &[&str]) {
        let line = format!("{service}\n");
        let master = MasterCf::parse(line.as_bytes());
        let service = master.services().next().unwrap();
        let main = MainCf::parse(main.as_bytes());
        let value = |name: &str| {
            let own = service.option(name).map(str::to_owned);
            own.or_else(|| main.get(name)).unwrap_or_default()
        };
        let needs = needs(service, Version::parse(version).unwrap(), &value);
        let paths: Vec<&str> = needs.iter().map(Need::path).collect();
        assert_eq!(paths, expected);
    }

    const SMTP: &str = "smtp unix - - y - - smtp";
    const SMTPD: &str = "smtp inet n - y - - smtpd";

    #[test]
    fn a_client_needs_a_resolver_and_before_3_6_the_ports() {
        check("3.6.0", "", SMTP, &["etc/resolv.conf"]);
        check("3.11.7", "", SMTP, &["etc/resolv.conf"]);
        for old in ["2.6.0", "2.11.11", "3.0.0", "3.5.25"] {
            check(old, "", SMTP, &["etc/resolv.conf", "etc/services"]);
        }
        check(
            "3.7.11",
            "",
            "relay unix - - y - - smtp",
            &["etc/resolv.conf"],
        );
        check("3.7.11", "disable_dns_lookups = yes\n", SMTP, &[]);
        check("3.7.11", "smtp_dns_support_level = disabled\n", SMTP, &[]);
        // To an address there is nothing to look up.
        check("3.7.11", "relayhost = [192.0.2.1]:587\n", SMTP, &[]);
        check("3.7.11", "relayhost = [ipv6:2001:db8::1]\n", SMTP, &[]);
        check(
            "3.7.11",
            "relayhost = [mx.example]\n",
            SMTP,
            &["etc/resolv.conf"],
        );
    }

    #[test]
    fn native_lookups_read_hosts_and_may_need_a_library() {
        let all: &[&str] = &["etc/resolv.conf", "etc/hosts", "libnss_dns.so.2"];
        check("3.7.11", "smtp_host_lookup = dns\n", SMTP, &all[..1]);
        check("3.7.11", "smtp_host_lookup = dns, native\n", SMTP, all);
        let own = format!("{SMTP} -o smtp_host_lookup=native");
        check("3.7.11", "", &own, all);
    }

    #[test]
    fn certificates_are_needed_where_partners_are_verified_with_a_directory() {
        let path = "smtp_tls_CApath = /etc/ssl/certs\n";
        let level = |level: &str| format!("{path}smtp_tls_security_level = {level}\n");
        check("3.7.11", &level("may"), SMTP, &["etc/resolv.conf"]);
        check("3.7.11", &level("dane"), SMTP, &["etc/resolv.conf"]);
        let both = ["etc/resolv.conf", "etc/ssl/certs"];
        check("3.7.11", &level("secure"), SMTP, &both);
        let file = format!("{}smtp_tls_CAfile = /etc/ssl/ca.pem\n", level("verify"));
        check("3.7.11", &file, SMTP, &["etc/resolv.conf"]);
        let asked = "smtpd_tls_ask_ccert = yes\nsmtpd_tls_CApath = /etc/ssl/certs\n";
        check("3.7.11", asked, SMTPD, &both);
    }

    #[test]
    fn sockets_with_a_whole_path_are_needed_and_others_are_there() {
        check(
            "3.7.11",
            "smtpd_milters = inet:localhost:8891, unix:opendkim/sock\n",
            SMTPD,
            &["etc/resolv.conf"],
        );
        check(
            "3.7.11",
            "smtpd_milters = unix:/run/a, { local:/run/b, default_action=accept }\n\
             smtpd_recipient_restrictions = check_policy_service unix:/run/c, permit\n\
             smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
             smtpd_sasl_path = /run/dovecot/auth-client\n",
            SMTPD,
            &[
                "etc/resolv.conf",
                "run/a",
                "run/b",
                "run/c",
                "run/dovecot/auth-client",
            ],
        );
        check(
            "3.7.11",
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n",
            SMTPD,
            &["etc/resolv.conf"],
        );
        check(
            "3.7.11",
            "smtp_tls_policy_maps = socketmap:unix:/run/sts:postfix\n",
            SMTP,
            &["etc/resolv.conf", "run/sts"],
        );
        check(
            "3.7.11",
            "smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix\n",
            SMTP,
            &["etc/resolv.conf"],
        );
        check(
            "3.7.11",
            "non_smtpd_milters = unix:/run/a\n",
            "cleanup unix n - y - 0 cleanup",
            &["run/a"],
        );
        let lmtp = "lmtp unix - - y - - lmtp";
        check(
            "3.7.11",
            "virtual_transport = lmtp:unix:/run/dovecot/lmtp\n",
            lmtp,
            &["run/dovecot/lmtp"],
        );
        check(
            "3.7.11",
            "virtual_transport = lmtp:unix:private/dovecot-lmtp\n",
            lmtp,
            &[],
        );
        check(
            "3.7.11",
            "virtual_transport = other:unix:/run/dovecot/lmtp\n",
            lmtp,
            &[],
        );
    }

    #[test]
    fn other_programs_need_nothing_or_dns() {
        check("2.6.0", "", "qmgr unix n - y 300 1 qmgr", &[]);
        check(
            "3.7.11",
            "",
            "dnsblog unix - - y - 0 dnsblog",
            &["etc/resolv.conf"],
        );
    }
}
