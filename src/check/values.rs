//! Values that the program reading them refuses.
//!
//! Owns the question put to each parameter about its value, in `main.cf` and after `-o`.
//! Must not know which values a parameter takes. Follows postconf(5).

use std::net::IpAddr;

use super::{Check, Subject, mend};
use crate::finding::{Finding, escape};
use crate::postfix::{CompatibilityLevel, Parameter, ValueKind, parameter};

pub(super) const CHECK: Check = Check {
    name: "values",
    about: "values that the program which reads them refuses",
    run,
};

/// Text parameters whose readers stop at the empty value, though not at any other.
// Asked of postmap 3.7 one by one; smtp(8) for `smtp_helo_name`.
const NEVER_EMPTY: [&str; 27] = [
    "command_directory",
    "daemon_directory",
    "data_directory",
    "default_database_type",
    "default_privs",
    "default_verp_delimiters",
    "double_bounce_sender",
    "hash_queue_names",
    "mail_name",
    "mail_owner",
    "mail_release_date",
    "mail_version",
    "maillog_file_compressor",
    "maillog_file_prefixes",
    "maillog_file_rotate_suffix",
    "meta_directory",
    "mydomain",
    "myhostname",
    "myorigin",
    "process_id_directory",
    "queue_directory",
    "setgid_group",
    "smtp_helo_name",
    "smtputf8_autodetect_classes",
    "syslog_facility",
    "syslog_name",
    "verp_delimiter_filter",
];

/// Parameters that smtp(8) reads as an address, and dies of if it is none.
const BOUND_TO: [&str; 4] = [
    "lmtp_bind_address",
    "lmtp_bind_address6",
    "smtp_bind_address",
    "smtp_bind_address6",
];

fn run(subject: &Subject) -> Vec<Finding> {
    subject
        .assignments()
        .into_iter()
        .filter_map(|assignment| {
            let parameter = parameter::lookup(&assignment.name)?;
            let value = subject.expand(&assignment)?;
            let fault = if assignment.name == "compatibility_level" {
                CompatibilityLevel::read(&value, subject.version)
                    .err()
                    .map(|error| error.to_string())
            } else if BOUND_TO.contains(&parameter.name) && !is_address(&value) {
                Some("it must be an IP address, not a name".to_owned())
            } else if value.trim().is_empty() && is_never_empty(parameter) {
                Some("it must not be empty".to_owned())
            } else {
                parameter.check(&value).err().map(|error| error.to_string())
            }?;
            let who = assignment.service.map_or_else(
                || "the programs that read it stop as they start".to_owned(),
                |service| {
                    format!(
                        "the service `{}` stops as it starts, and its mail is stuck",
                        service.name
                    )
                },
            );
            let finding = Finding::error(
                "bad-value",
                format!(
                    "`{}` cannot be `{}`: {fault}",
                    assignment.name,
                    escape(&value)
                ),
            )
            .at(subject.place_of(&assignment))
            .because(format!("{who}; `postfix check` looks at few values"));
            let unset = match assignment.service {
                None => mend::unset(subject, &assignment.name),
                Some(service) => mend::unset_option(subject, service, &assignment.name),
            };
            Some(match (value.split_once(" #"), unset) {
                (Some((bare, _)), _) => {
                    let is_right =
                        assignment.service.is_none() && parameter.check(bare.trim()).is_ok();
                    let written = assignment.value.split_once(" #").filter(|_| is_right);
                    let set = written
                        .and_then(|(bare, _)| mend::set(subject, &assignment.name, bare.trim()));
                    let own = "a comment needs a line of its own";
                    finding.mend(set.map_or(own.to_owned(), |set| format!("{own}: {set}")))
                }
                (None, Some(unset)) => {
                    let other = match assignment.service {
                        None => "Postfix's own value",
                        Some(_) => "the one in main.cf",
                    };
                    finding.mend(format!(
                        "write another value, or go back to {other}: {unset}"
                    ))
                }
                (None, None) => finding,
            })
        })
        .collect()
}

/// Whether there is nothing to bind to, or an address; postconf(5) allows brackets.
fn is_address(value: &str) -> bool {
    let bare = value.trim().trim_start_matches('[').trim_end_matches(']');
    bare.is_empty() || bare.parse::<IpAddr>().is_ok()
}

fn is_never_empty(parameter: &Parameter) -> bool {
    parameter.kind == ValueKind::Service || NEVER_EMPTY.contains(&parameter.name)
}
