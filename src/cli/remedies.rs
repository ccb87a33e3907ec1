//! `mailfix remedies`: the remedies side by side, for this host.

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::cli::{Failure, Session, json};
use crate::draft::{DraftError, Wish, compare};
use crate::remedy_sheet::{RemedyId, Sheet};
use crate::spelling::{listed, near_miss};
use crate::target::{Comparison, Row};

/// Compare the remedies for this host, or describe one
#[derive(Debug, Args)]
pub struct Remedies {
    /// Describe this one
    #[arg(value_name = "REMEDY")]
    name: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

impl Remedies {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let one = self.name.as_deref().map(named).transpose()?;
        let (site, chosen) = session.site()?;
        let resolver = session.resolver()?;
        let config = session.config_directory(&chosen.profile)?;
        session.note_config(&chosen.profile, &config);
        let providers = site.receivers();
        let wish = Wish::new(&site, &chosen.profile, &providers);
        let comparison = compare(session.system.as_ref(), resolver.as_ref(), &config, &wish)
            .map_err(|error: DraftError| Failure::from(error))?;
        if self.json {
            let object = json::object("comparison", &as_json(&comparison, one));
            session.ui.data(&json::text(&object));
            return Ok(0);
        }
        match one.and_then(|id| comparison.rows.iter().find(|row| row.id == id)) {
            Some(row) => describe(session, row, &comparison),
            None => show(session, &comparison),
        }
        Ok(0)
    }
}

fn named(name: &str) -> Result<RemedyId, Failure> {
    let words = || RemedyId::ALL.iter().map(|id| id.word());
    RemedyId::of(name).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no remedy `{name}`"));
        match near_miss(name, words()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(format!("the remedies are {}", listed(words()))),
        }
    })
}

fn show(session: &mut Session, comparison: &Comparison) {
    let ui = &mut session.ui;
    let whom = comparison.providers.join(", ");
    ui.heading(&format!("Remedies for mail to {whom}, on this host"));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = [
        "",
        "remedy",
        "own",
        "hosted",
        "reworded",
        "others v6",
        "here",
    ];
    table.set_header(header);
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    for row in &comparison.rows {
        let covers = &row.sheet.covers;
        table.add_row([
            mark(row.id, comparison),
            row.id.word(),
            yes(covers.own_domains),
            yes(covers.hosted_domains),
            yes(covers.any_wording),
            yes(covers.keeps_ipv6),
            state(row),
        ]);
    }
    for line in table.to_string().lines() {
        ui.data(&format!("{}\n", line.trim_end()));
    }
    ui.data("\n");
    for text in [
        "own, hosted: it cures mail to the provider's own domains, and to domains that it hosts for others",
        "reworded: it still works when the provider words its refusal anew",
        "others v6: mail to all other receivers goes over IPv6 as before",
    ] {
        ui.point("-", text);
    }
    ui.data("\n");
    let words = |ids: &[RemedyId]| {
        let words: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        words.join(", ")
    };
    match comparison.recommended.as_slice() {
        [] => ui.heading("None is needed"),
        ids => ui.heading(&format!("Recommended (*): {}", words(ids))),
    }
    for why in &comparison.reason {
        ui.point("-", why);
    }
    for id in &comparison.recommended {
        let sheet = id.sheet();
        ui.point("-", &format!("`{id}` costs: {}", sheet.cost));
    }
    if let Some(chosen) = &comparison.chosen {
        ui.data("\n");
        ui.heading(&format!("Chosen in mailfix.toml (+): {}", words(chosen)));
    }
    let unfit: Vec<(&Row, &String)> = comparison
        .rows
        .iter()
        .filter_map(|row| Some((row, row.here.as_ref().err()?)))
        .collect();
    if !unfit.is_empty() {
        ui.data("\n");
        ui.heading("What does not fit here");
        for (row, why) in unfit {
            ui.point("-", &format!("`{}`: {why}", row.id));
        }
    }
    let describe = session.common.command("remedies REMEDY");
    session.ui.say(&format!(
        "`{describe}` describes one; `[remedies] use = [\"…\"]` in mailfix.toml chooses"
    ));
}

fn mark(id: RemedyId, comparison: &Comparison) -> &'static str {
    let chosen = comparison.chosen.as_ref();
    match (
        comparison.recommended.contains(&id),
        chosen.is_some_and(|chosen| chosen.contains(&id)),
    ) {
        (true, true) => "*+",
        (true, false) => "*",
        (false, true) => "+",
        (false, false) => "",
    }
}

fn state(row: &Row) -> &'static str {
    match (&row.here, row.in_place) {
        (_, true) => "in place",
        (Ok(_), false) => "fits",
        (Err(_), false) => "does not fit",
    }
}

fn describe(session: &mut Session, row: &Row, comparison: &Comparison) {
    let sheet = &row.sheet;
    let ui = &mut session.ui;
    ui.heading(&format!("{}: {}", row.id, sheet.title));
    let covers = &sheet.covers;
    let domains = match (covers.own_domains, covers.hosted_domains) {
        (true, true) => "the provider's own domains and those it hosts for others",
        (true, false) => "the provider's own domains, not those it hosts for others",
        _ => "domains that the provider hosts for others",
    };
    let others = if covers.keeps_ipv6 {
        "keep IPv6"
    } else {
        "lose IPv6"
    };
    let here = match &row.here {
        Ok(outcome) => format!("{}; {outcome}", state(row)),
        Err(why) => format!("{}: {why}", state(row)),
    };
    let recommended = if comparison.recommended.contains(&row.id) {
        "yes"
    } else {
        "no"
    };
    for (name, text) in [
        ("what becomes of mail", sheet.outcome.as_str()),
        ("changes", &sheet.changes),
        ("needs", &needs(sheet)),
        ("covers", domains),
        ("at", &covers.stage),
        ("other receivers", others),
        ("costs", &sheet.cost),
        ("verified by", &sheet.verify),
        ("unnecessary when", &sheet.until),
        ("on this host", &here),
        ("recommended", recommended),
    ] {
        ui.point("-", &format!("{name}: {text}"));
    }
}

fn needs(sheet: &Sheet) -> String {
    let version = sheet.since.map_or_else(
        || "any Postfix".to_owned(),
        |since| format!("Postfix {since}"),
    );
    if sheet.tables.is_empty() {
        version
    } else {
        let tables = sheet.tables.iter().map(String::as_str);
        format!("{version}, and one of the table types {}", listed(tables))
    }
}

fn as_json(comparison: &Comparison, one: Option<RemedyId>) -> Value {
    let rows: Vec<Value> = comparison
        .rows
        .iter()
        .filter(|row| one.is_none_or(|id| id == row.id))
        .map(|row| {
            json!({
                "id": row.id,
                "title": row.sheet.title,
                "outcome": row.sheet.outcome,
                "changes": row.sheet.changes,
                "since": row.sheet.since.map(|since| since.to_string()),
                "tables": row.sheet.tables,
                "covers": row.sheet.covers,
                "cost": row.sheet.cost,
                "verify": row.sheet.verify,
                "until": row.sheet.until,
                "fits": row.here.is_ok(),
                "why_not": row.here.as_ref().err(),
                "in_place": row.in_place,
                "recommended": comparison.recommended.contains(&row.id),
            })
        })
        .collect();
    json!({
        "providers": comparison.providers,
        "recommended": comparison.recommended,
        "chosen": comparison.chosen,
        "reason": comparison.reason,
        "remedies": rows,
    })
}
