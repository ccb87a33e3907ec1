//! Values that the program reading them refuses.
//!
//! Owns the question put to each parameter about its value, in `main.cf` and after `-o`.
//! Must not know which values a parameter takes. Follows postconf(5).

use super::{Check, Subject};
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
            Some(if value.contains(" #") {
                finding.mend("a comment needs a line of its own")
            } else {
                finding
            })
        })
        .collect()
}

fn is_never_empty(parameter: &Parameter) -> bool {
    parameter.kind == ValueKind::Service || NEVER_EMPTY.contains(&parameter.name)
}
