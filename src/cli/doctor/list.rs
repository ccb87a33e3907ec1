//! The list, for people.

use crate::cli::ui::Ui;
use crate::doctor::{By, Trouble, Witness};
use crate::finding::Severity;

use super::Outcome;
use super::look::Looked;

/// The most witnesses of one trouble that are shown.
const SHOWN: usize = 6;

/// Shows what is wrong.
pub fn show(ui: &mut Ui, troubles: &[Trouble]) {
    for trouble in troubles {
        ui.trouble(
            trouble.rank,
            trouble.severity,
            &trouble.code,
            &trouble.title,
        );
        if let Some(why) = &trouble.why {
            ui.point(" ", why);
        }
        let mut lines: Vec<String> = Vec::new();
        for witness in &trouble.evidence {
            // What the title has said is not said again.
            let is_title = witness.says == trouble.title;
            let line = line(witness, is_title);
            if !line.is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        let more = lines.len().saturating_sub(SHOWN);
        for line in lines.iter().take(SHOWN) {
            ui.point("-", line);
        }
        if more > 0 {
            ui.point("-", &format!("and {more} more; `--json` has them all"));
        }
        for step in &trouble.steps {
            ui.point("*", step);
        }
        for command in &trouble.commands {
            ui.command(command);
        }
        ui.data("\n");
    }
}

fn line(witness: &Witness, is_title: bool) -> String {
    let says = if is_title { "" } else { &witness.says };
    let place = witness.place.as_ref().map(|place| {
        let place = format!("`{}`, line {}", place.path, place.line);
        if is_title {
            place
        } else {
            format!(" ({place})")
        }
    });
    let last = witness.last.filter(|_| witness.by == By::Log);
    let last = last.map(|last| format!(", last {}", last.strftime("%Y-%m-%d %H:%M")));
    let line = format!(
        "{says}{}{}",
        place.unwrap_or_default(),
        last.unwrap_or_default()
    );
    match line.trim_start_matches(", ") {
        "" => String::new(),
        line => format!("{}: {line}", witness.by.label()),
    }
}

/// Says what was looked at, and what was not.
pub fn show_looked(ui: &mut Ui, looked: &Looked) {
    let at = &looked.at;
    ui.heading("Looked at");
    for config in &at.configurations {
        let postfix = if at.postfix_check {
            " and Postfix's own"
        } else {
            ""
        };
        let checks = if at.unreadable.contains(config) {
            "its syntax alone".to_owned()
        } else {
            format!("{} checks{postfix}", at.checks)
        };
        ui.point("-", &format!("`{config}`: {checks}"));
    }
    if let Some(queue) = at.queue {
        ui.point("-", &format!("the queue: {}", many(queue, "message")));
    }
    if let Some(log) = &at.log {
        let lines = counted(log.lines, "line", "lines");
        ui.point("-", &format!("the mail log since {}: {lines}", log.since));
    }
    if let (Some(addresses), Some(domains)) = (at.addresses, at.domains) {
        let addresses = u64::try_from(addresses).unwrap_or(u64::MAX);
        let addresses = counted(addresses, "address", "addresses");
        let domains = many(domains, "domain");
        ui.point("-", &format!("DNS: {addresses}, {domains}"));
    }
    let applies = match at.applies {
        0 => "nothing was applied here".to_owned(),
        1 => "1 apply".to_owned(),
        more => format!("{more} applies"),
    };
    ui.point("-", &format!("the history: {applies}"));
    if at.plan {
        ui.point("-", "the plan of the site file");
    }
    for attempt in &at.port25 {
        let says = attempt
            .banner
            .as_ref()
            .map_or_else(String::new, |banner| format!(": {banner}"));
        let address = attempt.address.ip();
        ui.point(
            "-",
            &format!(
                "port {} of `{}` ({address}): {}{says}",
                attempt.address.port(),
                attempt.host,
                attempt.outcome.replace('-', " ")
            ),
        );
    }
    if !looked.past.is_empty() {
        let times: u64 = looked.past.iter().filter_map(|one| one.count).sum();
        let last = looked.past.iter().filter_map(|one| one.last).max();
        let last = last.map_or_else(String::new, |last| {
            format!(", last at {}", last.strftime("%Y-%m-%d %H:%M:%S"))
        });
        ui.point(
            "-",
            &format!(
                "left out: {} of the log from before the last change here{last}",
                counted(times, "failure", "failures")
            ),
        );
    }
    if !looked.skipped.is_empty() {
        ui.data("\n");
        ui.heading("Not looked at");
        for skipped in &looked.skipped {
            ui.point("-", &format!("{}: {}", name(skipped.what), skipped.why));
        }
    }
    ui.data("\n");
}

/// What a look is called.
fn name(what: &str) -> &str {
    match what {
        "host" => "configuration",
        "postfix-check" => "Postfix's own check",
        "dns" => "DNS",
        "port25" => "port 25",
        other => other,
    }
}

/// Says how it ended, in a line.
pub fn summary(ui: &mut Ui, looked: &Looked, outcome: Outcome) {
    let count = |severity| {
        let of = looked
            .troubles
            .iter()
            .filter(|one| one.severity == severity);
        of.count()
    };
    let is_whole = looked.missed().next().is_none();
    let verdict = match outcome {
        Outcome::Wrong => "",
        Outcome::Unasked if looked.is_unasked => {
            "; DNS did not answer everything, so try again later"
        }
        Outcome::Unasked => "; the configuration could not be looked at",
        Outcome::Right if count(Severity::Warning) > 0 => ": mail goes, as far as can be known",
        Outcome::Right if is_whole => ": nothing is wrong",
        Outcome::Right => ": nothing is wrong in what could be looked at",
    };
    let errors = many(count(Severity::Error), "error");
    let warnings = many(count(Severity::Warning), "warning");
    ui.say(&format!("{errors}, {warnings}{verdict}"));
}

fn many(count: usize, what: &str) -> String {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    counted(count, what, &format!("{what}s"))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
