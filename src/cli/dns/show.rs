//! `mailfix dns show`: the records the site needs, in the form wanted.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use super::Asking;
use crate::cli::out::OutFile;
use crate::cli::ui::fold;
use crate::cli::{Failure, Session, json};
use crate::dns::{Name, Record, panel, zone};
use crate::records::Needed;
use crate::site::{Control, Site};

/// Print the records
#[derive(Debug, Args)]
pub struct Show {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Zone)]
    format: Format,
    /// Print them as JSON
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    #[command(flatten)]
    asking: Asking,
}

/// A form of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Zone text as BIND reads it
    Zone,
    /// What to type into a web form
    Panel,
}

impl Show {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        self.asking.begin(session)?;
        let (site, _) = session.site()?;
        let records = session.records(&site)?;
        let text = if self.json {
            json::text(&json::object("records", &as_json(&records)))
        } else {
            match self.format {
                Format::Zone => zone_text(&records, &site),
                Format::Panel => panel_text(&records, &site),
            }
        };
        session.ui.data(&text);
        Ok(0)
    }
}

/// The files of the records, for a server elsewhere.
pub fn files(session: &mut Session, site: &Site) -> Result<Vec<OutFile>, Failure> {
    let records = session.records(site)?;
    Ok(vec![
        OutFile::text("records.zone", zone_text(&records, site)),
        OutFile::text("records.txt", panel_text(&records, site)),
    ])
}

/// Who has to do it, in words.
fn who(record: &Record, site: &Site) -> &'static str {
    match site.control_of(&record.owner) {
        Control::Own => "yours to set",
        Control::Provider => "ask the provider for it",
        Control::None => "nobody here can set it",
    }
}

fn zone_text(records: &[Needed], site: &Site) -> String {
    let mut text = String::new();
    for needed in records {
        let remark = format!("{} ({})", needed.why, who(&needed.record, site));
        let _ = writeln!(text, "; {}", fold(&remark, 78, "; "));
        text.push_str(&zone::write(std::slice::from_ref(&needed.record)));
        text.push('\n');
    }
    text
}

fn panel_text(records: &[Needed], site: &Site) -> String {
    let mut text = String::new();
    for needed in records {
        let remark = format!("{} ({})", needed.why, who(&needed.record, site));
        let _ = writeln!(text, "{}", fold(&remark, 78, ""));
        text.push_str(&panel::write(
            &needed.record,
            &zone_of(&needed.record, site),
        ));
        text.push('\n');
    }
    text
}

/// The zone a panel most likely edits: the sending domain above the record, else its parent.
fn zone_of(record: &Record, site: &Site) -> Name {
    let domains = site
        .domains
        .iter()
        .filter_map(|domain| domain.parse::<Name>().ok());
    let zone = domains
        .filter(|domain| record.owner.is_subdomain_of(domain))
        .max_by_key(|name| name.labels().count());
    zone.or_else(|| record.owner.parent())
        .unwrap_or_else(Name::root)
}

fn as_json(records: &[Needed]) -> Vec<serde_json::Value> {
    records
        .iter()
        .map(|needed| {
            serde_json::json!({
                "name": needed.record.owner.fully_qualified(),
                "type": needed.record.data.kind().to_string(),
                "ttl": needed.record.ttl,
                "value": panel::value(&needed.record.data),
                "why": needed.why,
            })
        })
        .collect()
}
