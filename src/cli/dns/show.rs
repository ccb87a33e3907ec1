//! `mailfix dns show`: the records the site needs, in the form wanted.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use super::servers::names_of;
use super::{Servers, wanted};
use crate::cli::out::OutFile;
use crate::cli::plan::PENDING;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::dns::cut::{Cuts, guess};
use crate::dns::format::{
    self, Cut, Wanted, Written, Zone, bind, dnscontrol, nsupdate, octodns, panel,
    terraform_cloudflare, terraform_route53, zones,
};
use crate::dns::{Name, Record, RecordData};
use crate::records::live::{Asked, Live};
use crate::records::{Needed, Records};
use crate::site::{Control, Site};

/// Print the records
#[derive(Debug, Args)]
pub struct Show {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Zone)]
    format: Format,
    /// Print those of one zone only, for tools that keep a file a zone
    #[arg(long, value_name = "NAME")]
    zone: Option<Name>,
    /// Print only what DNS lacks or has wrong
    #[arg(long, conflicts_with = "offline")]
    missing: bool,
    /// End with status 2 when something is missing
    #[arg(long, requires = "missing")]
    detailed_exitcode: bool,
    /// Print the MTA-STS policy that the web server of a domain has to give, and no records
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["format", "zone", "missing", "json"])]
    policy_file: Option<Name>,
    /// Print them as JSON, as `--format json` does
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    #[command(flatten)]
    servers: Servers,
}

/// A form of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Zone text as BIND reads it
    Zone,
    /// What to type into a web form
    Panel,
    /// YAML of octoDNS, a document a zone
    #[value(name = "octodns")]
    OctoDns,
    /// JavaScript of dnscontrol
    #[value(name = "dnscontrol")]
    DnsControl,
    /// Terraform, `cloudflare_dns_record` of version 5
    TerraformCloudflare,
    /// Terraform, `aws_route53_record`
    #[value(name = "terraform-route53")]
    TerraformRoute53,
    /// Commands of nsupdate (RFC 2136)
    Nsupdate,
    /// JSON
    Json,
}

impl Show {
    /// Tells whether the answer is for a program.
    pub fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }

    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let asked = self.servers.begin(session)?;
        let (site, _) = session.site()?;
        let mut records = session.all_records(&site)?;
        let mut status = wanted::status(&records);
        if let Some(domain) = &self.policy_file {
            session.ui.data(&policy(&records, domain)?);
            return Ok(status);
        }
        if self.missing {
            let resolver = session.resolver()?;
            let live = Live::ask(&records.needed, resolver.as_ref());
            for failure in live.failures() {
                session.ui.say(&format!("warning: {failure}"));
            }
            records.needed = live.missing();
            status = match status {
                0 if !live.failures().is_empty() => FailureKind::Unasked.status(),
                0 if self.detailed_exitcode && !records.needed.is_empty() => PENDING,
                status => status,
            };
            if records.needed.is_empty() && status == 0 {
                session.ui.say("nothing is missing");
            }
        }
        session.remarks(&records)?;
        let mut zones = in_zones(session, &site, records.needed)?;
        session.ui.remarks(&asked.findings(&names_of(&site)));
        if let Some(name) = &self.zone {
            zones = only(zones, name)?;
        }
        let written = if self.is_json() {
            let records = format::json::write(&zones);
            Written {
                text: json::text(&json::object("records", &records)),
                ..Written::default()
            }
        } else {
            self.format.write(&zones, &site)
        };
        for left_out in &written.left_out {
            session.ui.say(&format!("warning: {left_out}"));
        }
        if matches!(status, 0 | PENDING) && !written.left_out.is_empty() {
            status = FailureKind::Failed.status();
        }
        session.ui.data(&written.text);
        Ok(status)
    }
}

impl Format {
    /// Writes all but JSON.
    fn write(self, zones: &[Zone], site: &Site) -> Written {
        match self {
            Self::Zone | Self::Json => bind::write(zones),
            Self::Panel => panel::write(zones),
            Self::OctoDns => octodns::write(zones),
            Self::DnsControl => dnscontrol::write(zones),
            Self::TerraformCloudflare => terraform_cloudflare::write(zones),
            Self::TerraformRoute53 => terraform_route53::write(zones),
            Self::Nsupdate => {
                let update = site.dns.update.as_ref();
                nsupdate::write(zones, update.map(|update| &update.server))
            }
        }
    }
}

/// The files of the records, for a server elsewhere.
pub fn files(session: &mut Session, site: &Site) -> Result<Vec<OutFile>, Failure> {
    let records = session.all_records(site)?;
    let zones = in_zones(session, site, records.needed)?;
    let mut files = vec![
        OutFile::text("records.zone", bind::write(&zones).text),
        OutFile::text("records.txt", panel::write(&zones).text),
    ];
    for (domain, policy) in &records.policies {
        let name = format!("mta-sts.{}.txt", domain.host());
        files.push(OutFile::text(&name, policy.to_string()));
    }
    Ok(files)
}

/// The text of the policy of a domain.
fn policy(records: &Records, domain: &Name) -> Result<String, Failure> {
    if let Some((_, policy)) = records.policies.iter().find(|(name, _)| name == domain) {
        return Ok(policy.to_string());
    }
    let message = format!("there is no MTA-STS policy of `{}`", domain.host());
    let failure = Failure::usage(message);
    if records.policies.is_empty() {
        return Err(failure.hint("`[mta_sts]` in the site file says that there is to be one"));
    }
    let names = records.policies.iter();
    let names: Vec<String> = names
        .map(|(name, _)| format!("`{}`", name.host()))
        .collect();
    Err(failure.hint(format!("there are those of {}", names.join(", "))))
}

impl Session {
    /// Says what has to be done beside the records.
    fn remarks(&mut self, records: &Records) -> Result<(), Failure> {
        for (domain, _) in &records.policies {
            let host = domain.host();
            self.ui.say(&format!(
                "note: `https://mta-sts.{host}/.well-known/mta-sts.txt` has to give the policy \
                 that `{}` prints",
                self.common.alike(&format!("dns show --policy-file {host}"))
            ));
        }
        if self.common.offline || records.elsewhere.is_empty() {
            return Ok(());
        }
        let live = Live::ask(&records.elsewhere, self.resolver()?.as_ref());
        for needed in live.missing() {
            let owner = needed.record.owner.host();
            self.ui.say(&format!(
                "note: whoever runs DNS there has to publish TXT `v=DMARC1` at `{owner}`: {}",
                needed.why
            ));
        }
        Ok(())
    }
}

/// Puts the records into their zones: as DNS has them, or as is most likely where it cannot be
/// asked.
fn in_zones(
    session: &mut Session,
    site: &Site,
    records: Vec<Needed>,
) -> Result<Vec<Zone>, Failure> {
    let domains = site.domains.iter();
    let domains: Vec<Name> = domains.filter_map(|domain| domain.parse().ok()).collect();
    let resolver = session.resolver()?;
    let cuts = Cuts::new(resolver.as_ref());
    let live = (!session.common.offline).then(|| Live::ask(&records, resolver.as_ref()));
    if let Some(failure) = live.as_ref().and_then(|live| live.failures().first()) {
        session.ui.say(&format!(
            "note: the records could not all be compared with those in DNS: {failure}"
        ));
    }
    let wanted = records.into_iter().map(|needed| {
        let who = who(&needed.record, site).to_owned();
        let asked = live.as_ref().and_then(|live| live.asked(&needed.record));
        let mut record = needed.record.clone();
        let mut why = needed.why.clone();
        if let Some(asked) = asked {
            if asked.alias.is_none() && asked.place != record.owner {
                // RFC 2317
                let _ = write!(why, "; `{}` is an alias for this name", record.owner.host());
                record.owner.clone_from(&asked.place);
            }
            // One that says the same in other words stays as it is.
            let same = asked.present.iter().find(|one| needed.is_met_by(&one.data));
            if let Some(same) = same {
                record.data = same.data.clone();
            }
        }
        let found = cuts.zone_of(&record.owner);
        let cut = Cut {
            is_guess: found.is_none(),
            zone: found.unwrap_or_else(|| guess(&record.owner, &domains)),
        };
        Wanted {
            record,
            why,
            who,
            cut,
            live: asked.map(as_live),
        }
    });
    Ok(zones(wanted))
}

fn as_live(asked: &Asked) -> format::Live {
    let data = |records: &[Record]| records.iter().map(|one| one.data.clone()).collect();
    format::Live {
        members: data(&asked.present),
        stale: data(&asked.replaced),
        alias: asked.alias.as_ref().and_then(|alias| match &alias.data {
            RecordData::Cname(target) => Some(target.clone()),
            _ => None,
        }),
    }
}

/// The one zone asked for.
fn only(zones: Vec<Zone>, name: &Name) -> Result<Vec<Zone>, Failure> {
    let names: Vec<String> = zones
        .iter()
        .map(|zone| format!("`{}`", zone.cut.zone.host()))
        .collect();
    let found: Vec<Zone> = zones
        .into_iter()
        .filter(|zone| zone.cut.zone == *name)
        .collect();
    if found.is_empty() {
        let message = format!("no record is needed in a zone `{}`", name.host());
        let hint = format!("the records lie in {}", names.join(", "));
        return Err(Failure::usage(message).hint(hint));
    }
    Ok(found)
}

/// Who has to do it, in words.
fn who(record: &Record, site: &Site) -> &'static str {
    match site.control_of(&record.owner) {
        Control::Own => "yours to set",
        Control::Provider => "ask the provider for it",
        Control::None => "nobody here can set it",
    }
}
