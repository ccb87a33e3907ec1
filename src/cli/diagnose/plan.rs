//! From what a log says to a plan: changes of the site file, and the ordinary plan with them.

use camino::Utf8PathBuf;

use crate::cli::apply::{Carried, carry_out as apply};
use crate::cli::plan::refused;
use crate::cli::prepare::Wished;
use crate::cli::{Failure, Session, show};
use crate::data_file;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{Group, Options, Report};
use crate::draft::{Draft, compare, redraft};
use crate::finding::Severity;
use crate::site::{Ipv6Wish, Site};
use crate::wizard::{SiteChange, changed};

/// What a log comes to.
struct Drawn {
    wished: Wished,
    draft: Draft,
    /// Changes of the site file, and the groups that ask for them.
    changes: Vec<(SiteChange, String)>,
    /// Groups that the plan cures without any change, and those that a change is for.
    cured: Vec<usize>,
    planned: Vec<usize>,
}

/// Plans by what logs say, for `mailfix plan`; shows what no plan mends.
pub fn from_log(
    session: &mut Session,
    logs: &[Utf8PathBuf],
    is_shown: bool,
) -> Result<Draft, Failure> {
    let knowledge = session.knowledge()?;
    let report = session.report(logs, None, &knowledge, Options::default())?;
    let drawn = draw(session, &report, &knowledge)?;
    if is_shown {
        reasons(session, &report, &knowledge, &drawn);
    }
    Ok(drawn.draft)
}

/// Plans by what was found, shows it, asks, and applies it.
pub fn carry_out(
    session: &mut Session,
    report: &Report,
    knowledge: &Knowledge,
) -> Result<u8, Failure> {
    let drawn = draw(session, report, knowledge)?;
    reasons(session, report, knowledge, &drawn);
    show::draft(&mut session.ui, &drawn.draft);
    session.ui.remarks(&drawn.draft.findings);
    if !drawn.draft.refusals.is_empty() {
        return Err(refused(&drawn.draft.refusals));
    }
    let can_ask = session.is_terminal && !session.common.no_input;
    if !drawn.draft.plan.is_empty() && !session.common.yes && !can_ask {
        session
            .ui
            .say("nothing was changed; the same with `--yes` does it");
        return Ok(0);
    }
    let carried: Carried = apply(session, &drawn.wished.wish(), &drawn.draft, false)?;
    Ok(carried.status(false))
}

/// Draws the plan.
fn draw(session: &mut Session, report: &Report, knowledge: &Knowledge) -> Result<Drawn, Failure> {
    let (site, chosen, path) = session.site_with_path()?;
    let call = session.call(&path, site.profile.as_deref());
    let mut wished = Wished::new(site.clone(), chosen.profile.clone(), call.clone());
    let mut draft = session.draft(&wished.wish())?;
    let ill = session.ill(&wished)?;
    let (mut cured, mut planned) = (Vec::new(), Vec::new());
    let mut changes: Vec<(SiteChange, String)> = Vec::new();
    for (number, group) in report.groups.iter().enumerate() {
        let receiver = group.receiver(knowledge);
        let is_seen_to = match site.wish(&group.provider).ipv6 {
            Ipv6Wish::Keep => false,
            Ipv6Wish::Avoid => true,
            Ipv6Wish::Auto => ill.iter().any(|name| name == receiver),
        };
        if group.may_be_planned(knowledge) && is_seen_to {
            cured.push(number);
            continue;
        }
        let Some(change) = change(group, knowledge, &site, &draft) else {
            continue;
        };
        planned.push(number);
        if changes.iter().all(|(known, _)| *known != change) {
            changes.push((change, reason(group, knowledge)));
        }
    }
    if !changes.is_empty() {
        let before = session.system.read(&path)?;
        let bytes = before.as_ref().map(|file| file.bytes.clone());
        let bytes = bytes.unwrap_or_default();
        let old = data_file::text(&bytes, &path)?;
        let allow = session.common.allow_non_global;
        let wanted: Vec<SiteChange> = changes.iter().map(|(change, _)| change.clone()).collect();
        let text = changed(old, &path, &wanted, allow)?;
        let site = Site::parse_with(&text, &path, allow)?;
        wished = Wished::new(site, chosen.profile, call);
        draft = redraft(session.system.as_ref(), &wished.wish(), draft)?;
        if let Some(step) = session.site_step(&path, before, &text)? {
            draft.plan.steps.insert(0, step);
        }
    }
    Ok(Drawn {
        wished,
        draft,
        changes,
        cured,
        planned,
    })
}

/// The change of the site file that a group asks for.
fn change(group: &Group, knowledge: &Knowledge, site: &Site, draft: &Draft) -> Option<SiteChange> {
    if group.may_be_planned(knowledge) {
        return Some(SiteChange::AvoidIpv6(group.provider.clone()));
    }
    match group.cause.as_str() {
        "spf-fail" if site.srs.is_none() => {
            let forwarding = draft.host.facts.forwarding.as_ref()?;
            let mut ways = forwarding.ways.iter();
            ways.any(|way| way.keeps_sender)
                .then_some(SiteChange::RewriteSenders)
        }
        "dmarc-missing" if site.dmarc.policy.is_none() => Some(SiteChange::PublishDmarc),
        _ => None,
    }
}

fn reason(group: &Group, knowledge: &Knowledge) -> String {
    let last = group.last.map(|last| format!(", last at {last}"));
    format!("{}{}", group.headline(knowledge), last.unwrap_or_default())
}

/// Says what is planned for what, and what no plan mends.
fn reasons(session: &mut Session, report: &Report, knowledge: &Knowledge, drawn: &Drawn) {
    let ui = &mut session.ui;
    if !drawn.changes.is_empty() {
        ui.heading("What mailfix.toml shall say, and why");
        for (change, why) in &drawn.changes {
            ui.point("-", &format!("`{}`: {why}", change.in_words()));
        }
        ui.data("\n");
    }
    if !drawn.cured.is_empty() {
        ui.heading("What the plan sees to; mailfix.toml says enough for it");
        for group in drawn.cured.iter().filter_map(|&at| report.groups.get(at)) {
            ui.point("-", &reason(group, knowledge));
        }
        ui.data("\n");
    }
    let left = report.groups.iter().enumerate().filter(|(number, group)| {
        group.severity() > Severity::Note
            && !drawn.cured.contains(number)
            && !drawn.planned.contains(number)
    });
    let left: Vec<&Group> = left.map(|(_, group)| group).collect();
    if left.is_empty() {
        return;
    }
    ui.heading("What no plan mends");
    for group in left {
        let (headline, meaning) = (group.headline(knowledge), group.meaning(knowledge));
        ui.point("-", &format!("{headline}: {meaning}"));
        for fix in group.fixes(knowledge) {
            ui.point("  -", &fix);
        }
    }
    ui.data("\n");
}

impl Session {
    /// The names of the providers that the plan takes for needing a cure.
    fn ill(&mut self, wished: &Wished) -> Result<Vec<String>, Failure> {
        let resolver = self.resolver()?;
        let config = self.config_directory(&wished.profile)?;
        let comparison = compare(
            self.system.as_ref(),
            resolver.as_ref(),
            &config,
            &wished.wish(),
        )?;
        Ok(comparison.providers)
    }
}
