//! `mailfix dns request`: what to ask whom for, where somebody else keeps the zone.

use std::net::IpAddr;

use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use super::{Servers, push};
use crate::cli::out::OutFile;
use crate::cli::{Failure, FailureKind, Session};
use crate::dns::{Name, Record, RecordData, RecordType, panel, zone};
use crate::finding::fold;
use crate::provider::{Demand, Provider};
use crate::records::Needed;
use crate::records::live::{Live, RrsetChange};
use crate::site::{Control, Site};
use crate::template::{self, TemplateError};

/// Columns of a text in a mail.
const WIDTH: usize = 72;

/// Write ready requests for the records that others have to set
///
/// One text for each addressee, to be sent as it is: to the registrar or DNS provider of a
/// domain, and to whoever provides an address, for its PTR record. Only what is missing is asked
/// for. Where the zone is yours and takes no updates, it is what to type into its panel.
#[derive(Debug, Args)]
pub struct Request {
    /// Ask for all records, not only for those that are missing or wrong
    #[arg(long)]
    all: bool,
    /// Write each text to a file in DIR
    #[arg(long, short, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    #[command(flatten)]
    servers: Servers,
}

/// One text.
struct Letter {
    file: String,
    text: String,
}

/// To whom a change belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Addressee {
    /// Who keeps a zone of domains; the operator's own panel, if so.
    Zone { zone: Name, own: bool },
    /// Who provides addresses, by what the site file calls them.
    Addresses { called: String },
}

/// One set that shall change, in words.
#[derive(Clone, Serialize)]
struct Change {
    title: String,
    removed: Vec<String>,
    added: Vec<Vec<String>>,
    why: Vec<String>,
}

#[derive(Serialize)]
struct Variables {
    zone: String,
    server: String,
    own: bool,
    all: bool,
    addresses: Vec<String>,
    changes: Vec<Change>,
    forward: String,
    demands: Vec<Quoted>,
    zone_text: String,
}

/// A provider's demand as it is quoted.
#[derive(Serialize)]
struct Quoted {
    text: String,
    source: String,
}

impl Request {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        self.servers.begin(session)?;
        let (site, _) = session.site()?;
        let needed = session.records(&site)?;
        let live = Live::ask(&needed, session.resolver()?.as_ref());
        let changes = if self.all || session.common.offline {
            whole(&needed)
        } else {
            live.changes().to_vec()
        };
        let unasked = if self.all || session.common.offline {
            &[]
        } else {
            live.failures()
        };
        for error in unasked {
            session
                .ui
                .say(&format!("warning: {error}, so nothing is asked for there"));
        }
        for blocked in live.blocked() {
            session.ui.say(&format!(
                "warning: `{}` is an alias, beside which nothing can stand: see to its {} record yourself",
                blocked.alias.owner.host(),
                blocked.kind
            ));
        }
        let letters = self.letters(session, &site, &live, &changes)?;
        if let Some(directory) = self.out.clone().filter(|_| !letters.is_empty()) {
            let files: Vec<OutFile> = letters
                .iter()
                .map(|letter| OutFile::text(&letter.file, letter.text.as_str()))
                .collect();
            session.refuse_foreign(&directory, &files)?;
            session.write_out(&directory, &files)?;
        } else {
            for (number, letter) in letters.iter().enumerate() {
                if number > 0 {
                    session.ui.data(&format!("\n{}\n\n", "-".repeat(WIDTH)));
                }
                session.ui.data(&letter.text);
            }
        }
        let check = session.common.command("dns check --wait 10m");
        session.ui.say(&match letters.is_empty() {
            true if !unasked.is_empty() => "no request could be made".to_owned(),
            true => "nobody has to be asked for anything".to_owned(),
            false => format!("once it is done, `{check}` looks until it shows"),
        });
        Ok(if unasked.is_empty() {
            0
        } else {
            FailureKind::Unasked.status()
        })
    }

    /// The texts, one for each addressee, in the order of their records.
    fn letters(
        &self,
        session: &mut Session,
        site: &Site,
        live: &Live,
        changes: &[RrsetChange],
    ) -> Result<Vec<Letter>, Failure> {
        let mut by_addressee: Vec<(Addressee, Vec<&RrsetChange>)> = Vec::new();
        let (mut pushed, mut nobody) = (false, false);
        for change in changes {
            let control = push::control_of(live, change, site);
            // What a push writes is asked of nobody.
            if control == Control::Own && site.dns.update.is_some() {
                pushed = true;
                continue;
            }
            nobody |= control == Control::None;
            let addressee = addressee(change, control, site);
            match by_addressee
                .iter_mut()
                .find(|(known, _)| *known == addressee)
            {
                Some((_, changes)) => changes.push(change),
                None => by_addressee.push((addressee, vec![change])),
            }
        }
        if pushed {
            let push = session.common.command("dns push");
            session.ui.say(&format!(
                "note: `{push}` writes what is missing in your own zones"
            ));
        }
        if nobody {
            session.ui.say(
                "note: by the site file nobody sets some of these (`\"none\"`); asking is worth a try",
            );
        }
        let letters = by_addressee.iter().map(|(addressee, changes)| {
            let live = if self.all { None } else { Some(live) };
            letter(addressee, changes, site, live)
        });
        Ok(letters.collect::<Result<_, _>>()?)
    }
}

/// All needed records as if none were there.
fn whole(needed: &[Needed]) -> Vec<RrsetChange> {
    let mut sets: Vec<RrsetChange> = Vec::new();
    for one in needed {
        let (owner, kind) = (&one.record.owner, one.record.data.kind());
        let known = sets
            .iter_mut()
            .find(|set| set.owner == *owner && set.kind == kind);
        match known {
            Some(set) => {
                set.wanted.push(one.record.clone());
                if !set.why.lines().any(|why| why == one.why) {
                    set.why = format!("{}\n{}", set.why, one.why);
                }
            }
            None => sets.push(RrsetChange {
                owner: owner.clone(),
                kind,
                present: Vec::new(),
                wanted: vec![one.record.clone()],
                why: one.why.clone(),
            }),
        }
    }
    sets
}

fn addressee(change: &RrsetChange, control: Control, site: &Site) -> Addressee {
    if change.kind == RecordType::Ptr {
        let address = address_of(change, site);
        let network = address.and_then(|address| {
            let networks = site.dns.reverse.iter().map(|reverse| reverse.network);
            networks
                .filter(|network| network.contains(&address))
                .max_by_key(ipnet::IpNet::prefix_len)
        });
        let called = match (network, address) {
            (Some(network), _) => network.to_string(),
            (None, Some(IpAddr::V6(_))) => "ipv6".to_owned(),
            (None, _) => "ipv4".to_owned(),
        };
        return Addressee::Addresses { called };
    }
    Addressee::Zone {
        zone: zone_of(&change.owner, site),
        own: control == Control::Own,
    }
}

/// The address whose PTR record changes; none where an alias was followed.
fn address_of(change: &RrsetChange, site: &Site) -> Option<IpAddr> {
    let mut addresses = site.sending_addresses();
    addresses.find(|address| Name::reverse_of(*address) == change.owner)
}

/// The zone somebody most likely keeps: the sending domain above the name, else its parent.
fn zone_of(owner: &Name, site: &Site) -> Name {
    let domains = site
        .domains
        .iter()
        .filter_map(|domain| domain.parse::<Name>().ok());
    let zone = domains
        .filter(|domain| owner.is_subdomain_of(domain))
        .max_by_key(|name| name.labels().count());
    zone.or_else(|| owner.parent()).unwrap_or_else(Name::root)
}

fn letter(
    addressee: &Addressee,
    changes: &[&RrsetChange],
    site: &Site,
    live: Option<&Live>,
) -> Result<Letter, TemplateError> {
    let zone = match addressee {
        Addressee::Zone { zone, .. } => zone.clone(),
        Addressee::Addresses { .. } => Name::root(),
    };
    let provided: Vec<IpAddr> = changes
        .iter()
        .filter_map(|change| address_of(change, site))
        .collect();
    let is_reverse = matches!(addressee, Addressee::Addresses { .. });
    let added: Vec<Record> = changes.iter().flat_map(|change| added(change)).collect();
    let variables = Variables {
        zone: zone.host(),
        server: site.server.hostname.clone(),
        own: matches!(addressee, Addressee::Zone { own: true, .. }),
        all: live.is_none(),
        addresses: if provided.is_empty() {
            changes.iter().map(|change| change.owner.host()).collect()
        } else {
            provided.iter().map(ToString::to_string).collect()
        },
        changes: changes
            .iter()
            .map(|change| in_words(change, &zone, live.is_none()))
            .collect(),
        forward: fold(&forward(site, live, &provided), WIDTH, ""),
        demands: demands(is_reverse, &provided),
        zone_text: zone::write(&added),
    };
    let (template, file) = match addressee {
        Addressee::Zone { zone, .. } => ("request-zone.txt", zone.host()),
        Addressee::Addresses { called } => ("request-reverse.txt", format!("ptr-{called}")),
    };
    Ok(Letter {
        file: format!("request-{}.txt", file.replace(['/', ':'], "-")),
        text: template::render(template, &variables)?,
    })
}

/// The records that come.
fn added(change: &RrsetChange) -> Vec<Record> {
    let is_new = |record: &&Record| {
        let mut present = change.present.iter();
        !present.any(|old| old.data == record.data)
    };
    change.wanted.iter().filter(is_new).cloned().collect()
}

fn in_words(change: &RrsetChange, zone: &Name, all: bool) -> Change {
    let is_gone = |record: &&Record| {
        let mut wanted = change.wanted.iter();
        !wanted.any(|new| new.data == record.data)
    };
    let removed: Vec<&Record> = change.present.iter().filter(is_gone).collect();
    let added = added(change);
    let records = |count: usize| match count {
        1 => format!("the {} record", change.kind),
        _ => format!("the {} records", change.kind),
    };
    let (these, owner) = (
        if added.len() == 1 { "this" } else { "these" },
        change.owner.host(),
    );
    let title = match (removed.len(), added.len()) {
        (0, 1) if all => format!("This {} record of {owner}:", change.kind),
        (0, _) if all => format!("These {} records of {owner}:", change.kind),
        (0, count) => format!(
            "Please add {these} {} record{}:",
            change.kind,
            if count == 1 { "" } else { "s" }
        ),
        (count, 0) => format!("Please remove {} of {owner}:", records(count)),
        (count, _) => format!("Please replace {} of {owner}:", records(count)),
    };
    let form = |record: &Record| -> Vec<String> {
        let text = panel::form(record, zone);
        // Which part of a reverse name is the host part, only its owner knows.
        let lines = text
            .lines()
            .filter(|line| !zone.is_root() || !line.starts_with("Host "));
        lines.map(str::to_owned).collect()
    };
    let why = fold(
        &change.why.lines().collect::<Vec<_>>().join("; "),
        WIDTH - 8,
        "     ",
    );
    Change {
        title,
        removed: removed
            .iter()
            .map(|record| panel::value(&record.data))
            .collect(),
        added: added.iter().map(form).collect(),
        why: format!("Why: {why}").lines().map(str::to_owned).collect(),
    }
}

/// What the other side will look at first: whether the name leads back already.
fn forward(site: &Site, live: Option<&Live>, addresses: &[IpAddr]) -> String {
    let server = &site.server.hostname;
    let is_missing = |needed: &Needed| {
        let address = match needed.record.data {
            RecordData::A(v4) => IpAddr::V4(v4),
            RecordData::Aaaa(v6) => IpAddr::V6(v6),
            _ => return false,
        };
        addresses.contains(&address)
    };
    match live {
        Some(live) if live.missing().iter().any(is_missing) => format!(
            "The name {server} will lead back to it; that record is being set at the same time."
        ),
        Some(_) => format!("The name {server} leads back to it already."),
        None => format!("The name {server} leads back to it."),
    }
}

/// What providers demand, in their own words.
fn demands(reverse: bool, addresses: &[IpAddr]) -> Vec<Quoted> {
    let concerns = |demand: &Demand| {
        if reverse {
            demand.ptr
        } else {
            demand.authentication
        }
    };
    let only_v4 = reverse && addresses.iter().all(IpAddr::is_ipv4);
    let mut quoted = Vec::new();
    for provider in Provider::demanding() {
        let demands = [&provider.demands.ipv6, &provider.demands.ipv4];
        let skipped = usize::from(only_v4);
        let mut demands = demands.into_iter().skip(skipped).flatten();
        if let Some(demand) = demands.find(|demand| concerns(demand)) {
            let text = if demand.why.starts_with(&provider.name) {
                demand.why.clone()
            } else {
                format!("{}: {}", provider.name, demand.why)
            };
            quoted.push(Quoted {
                text: fold(&text, WIDTH - 2, "  "),
                source: demand.source.clone(),
            });
        }
    }
    quoted
}
