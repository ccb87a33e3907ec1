//! What an earlier apply brought and nothing wants any more.
//!
//! Owns how it is told from the administrator's: by our own folder, and a service by meaning
//! just what we would write. Must not know why it is not wanted.

use crate::finding::Finding;
use crate::host::{Facts, REPLY_FILTER, REPLY_FILTER_FILE, is_own_table};
use crate::postfix::{ServiceType, split_list};
use crate::remedy::{self, CONTRIBUTED, own_transport};
use crate::template::TemplateError;

use super::{Ensure, ServiceWanted, Setting, Target};

/// The names main.cf has for tables of ours that the target does not want.
pub(super) fn left(target: &Target, facts: &Facts) -> Vec<(&'static str, String)> {
    let mut left = Vec::new();
    for parameter in CONTRIBUTED {
        for item in split_list(&facts.parameters.get(parameter)) {
            if is_own_table(&facts.config, &item) && !target.wants(parameter, &item) {
                left.push((parameter, item));
            }
        }
    }
    left
}

/// Adds to the target that all of it goes but for the tables that `stay`, and says what does.
pub(super) fn retire(
    target: &mut Target,
    facts: &Facts,
    stay: &[&str],
) -> Result<Vec<String>, TemplateError> {
    let mut gone = Vec::new();
    let mut kept = None;
    let stays = |name: &str| stay.contains(&name);
    for (parameter, item) in left(target, facts) {
        if item.rsplit('/').next().is_some_and(stays) {
            continue;
        }
        let name = parameter.to_owned();
        let is_filter = parameter == REPLY_FILTER;
        let copied = facts.reply_filter.as_ref();
        match copied.filter(|_| is_filter) {
            None => {
                gone.push(format!("`{item}` leaves `{parameter}`"));
                target.settings.push(Setting::Lacks { name, item });
            }
            Some(filter) if filter.is_gone => {
                kept = Some(REPLY_FILTER_FILE);
                target.findings.push(
                    Finding::note(
                        "left-copy",
                        format!("`{parameter}` goes on naming `{item}`, and that stays"),
                    )
                    .because(format!("it holds all that is left of `{}`", filter.table)),
                );
            }
            Some(filter) => {
                let value = filter.table.clone();
                gone.push(format!("`{parameter}` names `{value}` again, not `{item}`"));
                target.settings.push(Setting::Is { name, value });
            }
        }
    }
    for name in &facts.own.files {
        if kept != Some(name.as_str())
            && !stays(name)
            && target.tables.iter().all(|table| table.file != *name)
        {
            gone.push(format!("`{}` goes", facts.own_folder().join(name)));
            target.leftovers.push(name.clone());
        }
    }
    // Whatever main.cf names by now: with the table goes the note of what was before.
    if target
        .leftovers
        .iter()
        .any(|name| name == REPLY_FILTER_FILE)
    {
        let back = remedy::reply_filter::taken_back(facts);
        gone.extend(back.iter().map(|setting| match setting {
            Setting::Is { name, value } => format!("`{name}` is {value} again"),
            other => format!("`{}` is as Postfix has it again", other.name()),
        }));
        target.settings.extend(back);
        let options = remedy::reply_filter::options_left(facts);
        target.findings.extend(options);
    }
    for name in facts.own.services() {
        if target.uses_service(&name) {
            continue;
        }
        let kind = ServiceType::Unix;
        if facts.service(&name, &kind).is_none() {
            continue;
        }
        if facts.own.in_use.contains(&name) {
            target.findings.push(
                Finding::note(
                    "left-service",
                    format!("the service `{name}` stays in master.cf"),
                )
                .because("an entry of your own sends mail to it"),
            );
            continue;
        }
        if !own_transport::is_as_made(&name, facts)? {
            target.findings.push(Finding::note(
                "left-service",
                format!("the service `{name}` in master.cf is not as mailfix makes it, and stays"),
            ));
            continue;
        }
        gone.push(format!("the service `{name}` leaves master.cf"));
        let limits = own_transport::own_limits(&name, facts);
        let unset = |name| Setting::Unset { name };
        target.settings.extend(limits.into_iter().map(unset));
        target.services.retain(|service| service.name != name);
        target.services.push(ServiceWanted {
            name,
            kind,
            ensure: Ensure::Absent,
        });
    }
    Ok(gone)
}
