//! `mailfix dns`: the records the site needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::out::OutFile;
use crate::cli::ui::fold;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::{Name, NameError, Record, RecordData, panel, zone};
use crate::host::DnsFacts;
use crate::mail::dkim::{KeyRecord, PrivateKey};
use crate::mail::dmarc::{self, Dmarc};
use crate::mail::spf::Closing;
use crate::records::{Needed, RecordsWanted, SigningKey, records};
use crate::site::{All, Control, Policy, Site};

/// How long the records may be cached, in seconds: short enough to mend a mistake the same hour.
const TTL: u32 = 3600;

/// Show the DNS records this site needs
#[derive(Debug, Args)]
pub struct Dns {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the records
    Show {
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Zone)]
        format: Format,
        /// Print them as JSON
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
}

/// A form of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Zone text as BIND reads it
    Zone,
    /// What to type into a web form
    Panel,
}

impl Dns {
    /// Tells whether the answer is for a program.
    pub fn is_json(&self) -> bool {
        let Verb::Show { json, .. } = self.verb;
        json
    }

    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let Verb::Show { format, json } = self.verb;
        let (site, _) = session.site()?;
        let records = session.records(&site)?;
        let text = if json {
            json::text(&json::object("records", &as_json(&records)))
        } else {
            match format {
                Format::Zone => zone_text(&records, &site),
                Format::Panel => panel_text(&records, &site),
            }
        };
        session.ui.data(&text);
        Ok(0)
    }
}

impl Session {
    /// The records of a site: merged with the SPF records that are published, where DNS can be asked.
    pub fn records(&mut self, site: &Site) -> Result<Vec<Needed>, Failure> {
        let key = match &site.dkim {
            Some(dkim) => {
                if let Some(file) = self.system.read(&dkim.key)? {
                    Some(SigningKey {
                        selector: dkim.selector.clone(),
                        record: PrivateKey::from_pem(&file.bytes)?.record()?,
                    })
                } else {
                    self.ui.say(&format!(
                        "note: there is no key `{}` yet; `{}` makes it",
                        dkim.key,
                        self.common.alike("dkim new")
                    ));
                    None
                }
            }
            None => None,
        };
        let published = if self.common.offline {
            DnsFacts::default()
        } else {
            let senders: Vec<IpAddr> = site.sending_addresses().collect();
            crate::host::observe_dns(self.resolver()?.as_ref(), &senders, &site.domains)
        };
        let wanted = wanted(site, &published, key)?;
        let records = records(&wanted);
        for refused in &records.refused {
            self.ui.say(&format!("warning: {refused}"));
        }
        Ok(records.needed)
    }
}

/// What the records are computed from.
fn wanted(
    site: &Site,
    published: &DnsFacts,
    dkim: Option<SigningKey>,
) -> Result<RecordsWanted, Failure> {
    let name = |text: &String| text.parse::<Name>();
    let names = |texts: &[String]| texts.iter().map(name).collect::<Result<Vec<_>, _>>();
    let mut existing_spf = BTreeMap::new();
    let mut covered = BTreeMap::new();
    for (domain, facts) in &published.domains {
        if let Some(text) = &facts.spf {
            existing_spf.insert(name(domain)?, text.clone());
            let passing = facts
                .covers
                .iter()
                .filter(|(_, passes)| **passes == Ok(true));
            let passing: BTreeSet<IpAddr> = passing.map(|(address, _)| *address).collect();
            covered.insert(name(domain)?, passing);
        }
    }
    let own: BTreeSet<IpAddr> = site.addresses().collect();
    Ok(RecordsWanted {
        server: name(&site.server.hostname)?,
        addresses: site.addresses().collect(),
        domains: names(&site.domains)?,
        others: site
            .sending_addresses()
            .filter(|address| !own.contains(address))
            .collect(),
        includes: names(&site.spf_includes)?,
        existing_spf,
        covered,
        dkim,
        dmarc: Some(dmarc_policy(site)?),
        ttl: TTL,
        spf_all: match site.spf_all {
            All::SoftFail => Closing::SoftFail,
            All::Fail => Closing::Fail,
        },
    })
}

fn dmarc_policy(site: &Site) -> Result<Dmarc, Failure> {
    let policy = match site.dmarc.policy {
        Policy::None => dmarc::Policy::None,
        Policy::Quarantine => dmarc::Policy::Quarantine,
        Policy::Reject => dmarc::Policy::Reject,
    };
    let reports = site.dmarc.reports.iter().flat_map(|list| list.split(','));
    let reports = reports
        .map(|uri| uri.trim().parse().map_err(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Dmarc {
        policy: Some(policy),
        aggregate_reports: reports,
        ..Dmarc::default()
    })
}

/// The site file says something no record can say.
fn wrong(error: impl std::error::Error) -> Failure {
    Failure::new(FailureKind::Site, error.to_string())
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        wrong(error)
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

/// The records of a key, one a sending domain.
pub fn key_records(site: &Site, selector: &str, key: &KeyRecord) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for domain in &site.domains {
        let owner = KeyRecord::owner(selector, &domain.parse()?)?;
        records.push(Record {
            owner,
            ttl: TTL,
            data: RecordData::Txt(key.to_string().into()),
        });
    }
    Ok(records)
}

/// Who has to do it, in words.
fn who(record: &Record, site: &Site) -> &'static str {
    let reversed = site
        .addresses()
        .find(|&address| Name::reverse_of(address) == record.owner);
    let control = reversed.map_or(site.dns.forward, |address| site.reverse_control(address));
    match control {
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
