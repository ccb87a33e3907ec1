//! From what a log says to a plan: changes of the site file, and the ordinary plan with them.

use camino::Utf8PathBuf;

use super::cure::{Fit, Ground, afterwards, holds, only_eases};
use crate::cli::apply::{Carried, carry_out as apply};
use crate::cli::plan::refused;
use crate::cli::prepare::Wished;
use crate::cli::{Failure, FailureKind, Session, show};
use crate::data_file;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{Group, Options, Report};
use crate::draft::{self, Draft, compare, stock_draft};
use crate::finding::Severity;
use crate::host::{Call, Origin};
use crate::mask::Mask;
use crate::profile::Profile;
use crate::site::Site;
use crate::system::File;
use crate::wizard::{SiteChange, changed};

/// The site file, as it is or as it would be begun.
struct Begun {
    path: Utf8PathBuf,
    /// The file that is there.
    before: Option<File>,
    text: String,
    site: Site,
    profile: Profile,
}

/// What a log comes to.
struct Drawn {
    wished: Wished,
    draft: Draft,
    /// Changes of the site file, and the groups that ask for each.
    changes: Vec<(SiteChange, Vec<usize>)>,
    /// Groups that the plan cures without any change.
    cured: Vec<usize>,
    /// Whether there was no site file.
    is_first: bool,
}

impl Drawn {
    /// Tells whether a plan has anything to do with what was found.
    fn mends(&self) -> bool {
        !self.changes.is_empty() || !self.cured.is_empty()
    }

    fn is_planned(&self, group: usize) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|(_, groups)| groups.contains(&group)) || self.cured.contains(&group)
    }
}

/// Plans by what logs say, for `mailfix plan`; shows what no plan mends.
pub fn from_log(
    session: &mut Session,
    logs: &[Utf8PathBuf],
    is_shown: bool,
) -> Result<Draft, Failure> {
    let knowledge = session.knowledge()?;
    let mut report = session.report(logs, None, &knowledge, Options::default())?;
    session.locate(&mut report)?;
    let drawn = draw(session, &report, &knowledge)?;
    if is_shown {
        reasons(session, &report, &knowledge, &drawn);
    }
    Ok(drawn.draft)
}

/// Plans by what was found, shows it, asks, and applies it. What was found is masked already, if
/// `mask` is there; the rest is masked here.
pub fn carry_out(
    session: &mut Session,
    report: &Report,
    knowledge: &Knowledge,
    mask: Option<Mask>,
) -> Result<u8, Failure> {
    let has_cure = |group: &Group| !group.cures(knowledge).is_empty();
    if !report.groups.iter().any(has_cure) {
        unmended(session, report, knowledge, |_| false);
        session.ui.say(if report.groups.is_empty() {
            "nothing was refused, lost or stuck, so there is nothing to plan"
        } else {
            "no plan mends any of it; nothing was changed"
        });
        return Ok(0);
    }
    let drawn = draw(session, report, knowledge)?;
    reasons(session, report, knowledge, &drawn);
    session.ui.mask(mask);
    if drawn.is_first && !drawn.mends() {
        session
            .ui
            .say("no plan mends any of it, so no mailfix.toml is written either");
        return Ok(0);
    }
    show::draft(&mut session.ui, &drawn.draft);
    session.ui.remarks(&drawn.draft.findings);
    if !drawn.draft.refusals.is_empty() {
        return Err(refused(&drawn.draft.refusals));
    }
    if drawn.draft.host.facts.origin == Origin::Stock {
        return Err(
            Failure::failed("there is no Postfix here to apply anything to")
                .hint("`mailfix init` writes the files for a server elsewhere"),
        );
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
    let begun = session.begun()?;
    let call = session.call(&begun.path, begun.site.profile.as_deref());
    let mut wished = Wished::new(begun.site.clone(), begun.profile.clone(), call.clone());
    let mut draft = session.draft(&wished.wish())?;
    let ill = session.ill(&wished)?;
    let ground = Ground {
        site: &begun.site,
        profile: &begun.profile,
        is_profile_fixed: session.common.profile.is_some(),
        draft: &draft,
        ill: &ill,
        knowledge,
    };
    let mut cured = Vec::new();
    let mut changes: Vec<(SiteChange, Vec<usize>)> = Vec::new();
    for (number, group) in report.groups.iter().enumerate() {
        match ground.fit(group) {
            None => {}
            Some(Fit::Seen) => cured.push(number),
            Some(Fit::Changes(wanted)) => {
                for change in wanted {
                    match changes.iter_mut().find(|(known, _)| *known == change) {
                        Some((_, groups)) => groups.push(number),
                        None => changes.push((change, vec![number])),
                    }
                }
            }
        }
    }
    let mut text = begun.text.clone();
    // What does not do what it is for, once all is drawn with it, is left out.
    while !changes.is_empty() {
        (text, wished, draft) = session.with(&begun, &changes, call.clone(), &draft)?;
        let before = changes.clone();
        changes.retain_mut(|(change, _)| holds(change, &draft));
        if changes == before {
            break;
        }
        if changes.is_empty() {
            (text, wished, draft) = session.with(&begun, &changes, call.clone(), &draft)?;
        }
    }
    let is_first = begun.before.is_none();
    let is_wanted = !is_first || !changes.is_empty() || !cured.is_empty();
    if is_wanted && let Some(step) = session.site_step(&begun.path, begun.before, &text)? {
        draft.plan.steps.insert(0, step);
    }
    Ok(Drawn {
        wished,
        draft,
        changes,
        cured,
        is_first,
    })
}

fn reason(group: &Group, knowledge: &Knowledge) -> String {
    let last = group.last.map(|last| format!(", last at {last}"));
    format!("{}{}", group.headline(knowledge), last.unwrap_or_default())
}

/// Says what is planned for what, and what no plan mends.
fn reasons(session: &mut Session, report: &Report, knowledge: &Knowledge, drawn: &Drawn) {
    let ui = &mut session.ui;
    let why = |at: &usize| report.groups.get(*at).map(|group| reason(group, knowledge));
    if !drawn.changes.is_empty() {
        ui.heading("What mailfix.toml shall say, and why");
        for (change, groups) in &drawn.changes {
            let mut whys = groups.iter().filter_map(why);
            let first = whys.next().unwrap_or_default();
            ui.point("-", &format!("`{}`: {first}", change.in_words()));
            for more in whys.chain(afterwards(change).map(ToOwned::to_owned)) {
                ui.point("  -", &more);
            }
            let eased = groups.iter().filter(|_| only_eases(change));
            let eased = eased.filter_map(|at| report.groups.get(*at));
            let mut steps: Vec<String> = Vec::new();
            for step in eased.flat_map(|group| group.by_hand(knowledge)) {
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
            if !steps.is_empty() {
                ui.point("  -", "it eases that; what is left to do by hand:");
            }
            for step in &steps {
                ui.point("    -", step);
            }
        }
        ui.data("\n");
    }
    if !drawn.cured.is_empty() {
        ui.heading("What the plan sees to; mailfix.toml says enough for it");
        for why in drawn.cured.iter().filter_map(why) {
            ui.point("-", &why);
        }
        ui.data("\n");
    }
    unmended(session, report, knowledge, |number| {
        drawn.is_planned(number)
    });
}

/// Says what no plan mends, and what does.
fn unmended(
    session: &mut Session,
    report: &Report,
    knowledge: &Knowledge,
    is_planned: impl Fn(usize) -> bool,
) {
    let ui = &mut session.ui;
    let left = report
        .groups
        .iter()
        .enumerate()
        .filter(|(number, group)| group.severity() > Severity::Note && !is_planned(*number));
    let left: Vec<&Group> = left.map(|(_, group)| group).collect();
    if left.is_empty() {
        return;
    }
    ui.heading("What no plan mends");
    for group in left {
        let (headline, meaning) = (group.headline(knowledge), group.meaning(knowledge));
        ui.point("-", &format!("{headline}: {meaning}"));
        for fix in group.by_hand(knowledge) {
            ui.point("  -", &fix);
        }
    }
    ui.data("\n");
}

impl Session {
    /// The site file, or where there is none one by what can be known and asked.
    fn begun(&mut self) -> Result<Begun, Failure> {
        let allow = self.common.allow_non_global;
        match self.site_with_path() {
            Ok((site, chosen, path)) => {
                let before = self.system.read(&path)?;
                let bytes = before.as_ref().map(|file| file.bytes.clone());
                let bytes = bytes.unwrap_or_default();
                Ok(Begun {
                    text: data_file::text(&bytes, &path)?.to_owned(),
                    path,
                    before,
                    site,
                    profile: chosen.profile,
                })
            }
            Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
                let (path, text) = self.first_site(failure)?;
                let site = Site::parse_with(&text, &path, allow)?;
                let chosen = self.choose_profile(site.profile.as_deref())?;
                Ok(Begun {
                    path,
                    before: None,
                    text,
                    site,
                    profile: chosen.profile,
                })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The site file with changes, and the plan by it.
    fn with(
        &mut self,
        begun: &Begun,
        changes: &[(SiteChange, Vec<usize>)],
        call: Option<Call>,
        before: &Draft,
    ) -> Result<(String, Wished, Draft), Failure> {
        let allow = self.common.allow_non_global;
        let wanted: Vec<SiteChange> = changes.iter().map(|(change, _)| change.clone()).collect();
        let text = changed(&begun.text, &begun.path, &wanted, allow)?;
        let site = Site::parse_with(&text, &begun.path, allow)?;
        let profile = self.choose_profile(site.profile.as_deref())?.profile;
        let profile = if site.profile == begun.site.profile {
            begun.profile.clone()
        } else {
            profile
        };
        let wished = Wished::new(site, profile, call);
        let resolver = self.resolver()?;
        // A site file that says more asks more of the host and of DNS.
        let draft = if before.host.facts.origin == Origin::Stock {
            stock_draft(resolver.as_ref(), &wished.wish())?
        } else {
            let config = before.host.facts.config.clone();
            draft::draft(
                self.system.as_ref(),
                resolver.as_ref(),
                &config,
                &wished.wish(),
            )?
        };
        Ok((text, wished, draft))
    }

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
