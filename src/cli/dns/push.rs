//! `mailfix dns push`: writes what is missing into zones of one's own, by signed updates.

use std::net::SocketAddr;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use zeroize::Zeroizing;

use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, FailureKind, Session};
use crate::diff;
use crate::dns::update::{
    KeyFileError, ServerHost, ServerName, TsigKey, UpdateError, UpdateServer, ZoneChange,
};
use crate::dns::{DnsError, Record, RecordData, RecordType, Resolver, zone};
use crate::push::{self, Draft, DraftError, FirstHand, SendError, UpdateReceipt};
use crate::receipt::Receipts;
use crate::records::live::{Live, RrsetChange, Standing};
use crate::records::{Needed, Role};
use crate::site::{Control, Site, UpdateBy};

/// Permission bits of everybody, none of which a key file may have.
const WORLD: u32 = 0o007;

/// Write missing records into your own zones, by signed updates, after asking
///
/// The server and the file of its key stand in the site file, below `[dns.update]`; the zones
/// are those that DNS control `self` is declared for. `mailfix undo` takes it back.
#[derive(Debug, Args)]
pub struct Push {
    /// The server that takes the updates [default: the site file's]
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<ServerName>,
    /// The file of the key, as `tsig-keygen` writes it [default: the site file's]
    #[arg(long, value_name = "FILE")]
    key: Option<Utf8PathBuf>,
}

/// Consent to a push.
pub const PUSH: Asking<'_> = Asking {
    prompt: "Write it?",
    yes: "send one signed update for each zone",
    explanation: &[
        "a receipt of what stands there and what is written goes to the state directory first; the key is not in it",
        "each zone changes as a whole or not at all, and only if the records shown still stand there: the server sees to that",
        "after each zone its records are read back from the server",
        "records of the same name that are not ours stay as they are, byte for byte",
        "`mailfix undo` takes it back in the same way, unless somebody has changed these records since",
    ],
};

impl Push {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let (site, chosen, site_path) = session.site_with_path()?;
        let by = self.update_by(session, &site)?;
        let server = Arc::new(session.update_server(&by)?);
        let plan = session.update_plan(&site, &server)?;
        plan.tell(session);
        if plan.draft.zones.is_empty() {
            session
                .ui
                .say("nothing was written: the zones on the server have all they need");
            return Ok(0);
        }
        show(session, &plan.draft.zones, &server);
        for why in plan.why() {
            session.ui.point("-", &why);
        }
        session.ui.data("\n");
        if session.consent(&PUSH)? == Consent::No {
            return Err(declined());
        }
        let state = session.state_beside(&site_path, &chosen.profile);
        let id = session.send(&state, &by, &server, plan.draft.zones, None)?;
        session.ui.say(&format!(
            "done; `{}` takes it back, `{}` looks how the world sees it",
            session.common.command(&format!("undo {id}")),
            session.common.command("dns check --wait 10m"),
        ));
        Ok(0)
    }

    /// The server and the key: the command line's, else the site file's.
    fn update_by(&self, session: &Session, site: &Site) -> Result<UpdateBy, Failure> {
        let update = site.dns.update.as_ref();
        let server = self.server.clone();
        let key = self.key.as_deref().map(|path| session.inside(path));
        let server = server.or_else(|| update.map(|update| update.server.clone()));
        let key = key.or_else(|| update.map(|update| update.key.clone()));
        match (server, key) {
            (Some(server), Some(key)) => Ok(UpdateBy { server, key }),
            (server, _) => {
                let what = if server.is_some() {
                    "no key is named for it"
                } else {
                    "no server is named that takes updates"
                };
                Err(Failure::usage(what)
                    .hint("write `server` and `key` below `[dns.update]` in the site file, or give `--server` and `--key`")
                    .hint(format!("without such a server: `{}`", session.common.command("dns show --format panel"))))
            }
        }
    }
}

/// What of the wanted records is for the server, and what is not.
pub struct UpdatePlan {
    /// What would be written.
    pub draft: Draft,
    changes: Vec<RrsetChange>,
    /// Sets in zones of others, or whose name is an alias.
    others: Vec<String>,
    warnings: Vec<String>,
}

impl UpdatePlan {
    /// Why, a line each.
    fn why(&self) -> Vec<String> {
        let is_pushed = |change: &&RrsetChange| {
            let mut sets = self.draft.zones.iter().flat_map(|zone| &zone.sets);
            sets.any(|set| set.name == change.owner && set.kind == change.kind)
        };
        let changes = self.changes.iter().filter(is_pushed);
        let mut why: Vec<String> = Vec::new();
        for line in changes.flat_map(|change| change.why.lines()) {
            if !why.iter().any(|known| known == line) {
                why.push(line.to_owned());
            }
        }
        why
    }

    /// Says what is not written, and why.
    pub fn tell(&self, session: &mut Session) {
        for warning in &self.warnings {
            session.ui.say(&format!("warning: {warning}"));
        }
        for change in &self.draft.elsewhere {
            session.ui.say(&format!(
                "warning: the server has no zone for {} of `{}`; set it where that zone is kept",
                change.kind,
                change.owner.host()
            ));
        }
        if !self.others.is_empty() {
            session.ui.say(&format!(
                "note: in zones of others, so not written: {}; `{}` writes the request",
                self.others.join(", "),
                session.common.command("dns request")
            ));
        }
    }
}

impl Session {
    /// Reads the key and finds the server.
    pub fn update_server(&mut self, by: &UpdateBy) -> Result<UpdateServer, Failure> {
        if self.common.offline {
            return Err(Failure::usage("`--offline` forbids to ask a DNS server"));
        }
        let key = self.tsig_key(&by.key)?;
        let addresses = self.addresses_of(&by.server)?;
        Ok(UpdateServer::new(
            by.server.to_string(),
            addresses,
            key,
            self.now,
        ))
    }

    fn tsig_key(&self, path: &Utf8Path) -> Result<TsigKey, Failure> {
        let Some(file) = self.system.read(path)? else {
            return Err(Failure::failed(format!("there is no key file `{path}`"))
                .hint("make the key on the name server, `tsig-keygen -a hmac-sha256 mailfix`, allow it to update the zones, and copy its text here with mode 0600"));
        };
        let text = Zeroizing::new(file.bytes);
        if file.mode & WORLD != 0 {
            return Err(Failure::failed(format!(
                "everybody on this machine can read the key file `{path}` (mode {:04o}), so it is not used",
                file.mode
            ))
            .hint(format!("`chmod o= {path}`; make a new key if others may have read it")));
        }
        TsigKey::parse(&text).map_err(|error| no_key(path, &error))
    }

    fn addresses_of(&self, server: &ServerName) -> Result<Vec<SocketAddr>, Failure> {
        let name = match &server.host {
            ServerHost::Address(address) => return Ok(vec![(*address, server.port).into()]),
            ServerHost::Name(name) => name,
        };
        let resolver = self.resolver()?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        let mut failure = None;
        for kind in [RecordType::Aaaa, RecordType::A] {
            match resolver.lookup(name, kind) {
                Ok(answer) => {
                    for record in answer.records() {
                        match record.data {
                            RecordData::A(v4) => addresses.push((v4, server.port).into()),
                            RecordData::Aaaa(v6) => addresses.push((v6, server.port).into()),
                            _ => {}
                        }
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        match (addresses.is_empty(), failure) {
            (false, _) => Ok(addresses),
            (true, Some(error)) => Err(unasked(&error)),
            (true, None) => Err(Failure::failed(format!(
                "the name server `{}` has no address",
                name.host()
            ))),
        }
    }

    /// Compares what the site needs with what the server has, and plans what to write.
    pub fn update_plan(
        &mut self,
        site: &Site,
        server: &Arc<UpdateServer>,
    ) -> Result<UpdatePlan, Failure> {
        self.update_plan_of(site, server, |session| session.records(site))
    }

    /// Compares records with what the server has, and plans what to write; while they are made,
    /// the session hears of the server's zones from the server itself.
    pub fn update_plan_of(
        &mut self,
        site: &Site,
        server: &Arc<UpdateServer>,
        needed: impl FnOnce(&mut Self) -> Result<Vec<Needed>, Failure>,
    ) -> Result<UpdatePlan, Failure> {
        // A wrong key, or a server that is away, is told before anything else.
        let host = site.server.hostname.parse()?;
        match server.zone_of(&host) {
            Ok(_) | Err(UpdateError::NoZone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let first_hand: Arc<dyn Resolver> = Arc::new(FirstHand {
            server: Arc::clone(server),
            elsewhere: self.resolver()?,
        });
        let before = self.asked.replace(Arc::clone(&first_hand));
        let needed = needed(self);
        self.asked = before;
        let live = Live::ask(&needed?, first_hand.as_ref());
        let control = |record: &Record| site.control_of(&record.owner);
        let (mut changes, mut others, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for change in live.changes() {
            if control_of(&live, change, site) == Control::Own {
                changes.push(change.clone());
            } else {
                others.push(format!("{} of `{}`", change.kind, change.owner.host()));
            }
        }
        for blocked in live.blocked() {
            warnings.push(format!(
                "`{}` is an alias, beside which nothing can stand: its {} record is not written",
                blocked.alias.owner.host(),
                blocked.kind
            ));
        }
        for (needed, standing) in live.iter() {
            if let Standing::CouldNotAsk(error) = standing {
                if control(&needed.record) == Control::Own {
                    return Err(unasked(error));
                }
                warnings.push(error.to_string());
            }
        }
        Ok(UpdatePlan {
            draft: push::draft(&changes, server)?,
            changes,
            others,
            warnings,
        })
    }

    /// Saves the receipt, sends the updates, and tells what came of them; gives the receipt's id.
    pub fn send(
        &mut self,
        state: &Utf8Path,
        by: &UpdateBy,
        server: &UpdateServer,
        zones: Vec<ZoneChange>,
        undoes: Option<String>,
    ) -> Result<String, Failure> {
        let receipts = Receipts::new(state);
        let id = receipts.free_id(self.system.as_ref(), self.now)?;
        let mut receipt = UpdateReceipt::new(
            id.clone(),
            self.now,
            by.server.to_string(),
            by.key.clone(),
            zones,
        );
        receipt.undoes = undoes;
        receipt.save(&receipts, self.system.as_mut())?;
        let ui = &mut self.ui;
        let mut report = |change: &ZoneChange| {
            ui.say(&format!(
                "- wrote and read back the zone `{}`",
                change.zone.host()
            ));
        };
        let Err(error) = push::send(&receipt.zones, server, &mut report) else {
            return Ok(id);
        };
        if let SendError::Nothing(error) = error {
            // Nothing is there to be taken back.
            receipt.discard(&receipts, self.system.as_mut())?;
            let mut failure = Failure::from(error);
            failure.message.push_str("; nothing was written");
            return Err(failure);
        }
        let mut failure = Failure::new(FailureKind::Stopped, error.to_string());
        failure = match &error {
            SendError::NotThere { .. } => failure.hint("the log of the name server may say why"),
            _ => failure,
        };
        let again = if receipt.undoes.is_some() {
            self.common.command(&format!(
                "undo {}",
                receipt.undoes.as_deref().unwrap_or_default()
            ))
        } else {
            self.common.command("dns push")
        };
        failure = failure.hint(format!(
            "once that is mended, `{again}` looks again and does the rest"
        ));
        if receipt.undoes.is_none() {
            let undo = self.common.command(&format!("undo {id}"));
            failure = failure.hint(format!("`{undo}` takes back what was written"));
        }
        Err(failure)
    }
}

/// Tells who controls the zone of a set.
///
/// Where an alias of a reverse name was followed (RFC 2317), whose the place is says the name
/// that leads there.
pub fn control_of(live: &Live, change: &RrsetChange, site: &Site) -> Control {
    let leads_there = |needed: &Needed| {
        let mut wanted = change.wanted.iter();
        needed.role == Role::Reverse && wanted.any(|record| record.data == needed.record.data)
    };
    let needed: Vec<&Needed> = live.iter().map(|(needed, _)| needed).collect();
    let is_named = needed
        .iter()
        .any(|needed| needed.record.owner == change.owner);
    let mut owners = needed
        .iter()
        .filter(|needed| !is_named && leads_there(needed))
        .map(|needed| site.control_of(&needed.record.owner));
    owners
        .next()
        .map_or(site.control_of(&change.owner), |first| {
            // Several addresses may lead to one name; the one that is not one's own is not meant.
            owners
                .find(|control| *control == Control::Own)
                .unwrap_or(first)
        })
}

/// Shows what becomes of each zone.
pub fn show(session: &mut Session, zones: &[ZoneChange], server: &UpdateServer) {
    for change in zones {
        session.ui.heading(&format!(
            "Zone {} on {}, signed with the key {}",
            change.zone.host(),
            server.called(),
            server.key_name()
        ));
        let text = |side: usize| {
            let lines = change
                .sets
                .iter()
                .flat_map(|set| lines(&set.records()[side]));
            lines.collect::<String>()
        };
        let lines = diff::texts(
            &format!("{} now", change.zone.host()),
            &format!("{} wanted", change.zone.host()),
            &text(0),
            &text(1),
        );
        session.ui.diff(&lines);
    }
}

/// Records a line each, without columns: what stays must look the same on both sides.
fn lines(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        format!(
            "{} {} IN {} {}\n",
            record.owner.fully_qualified(),
            record.ttl,
            record.data.kind(),
            zone::value(&record.data)
        )
    };
    records.iter().map(line).collect()
}

fn no_key(path: &Utf8Path, error: &KeyFileError) -> Failure {
    let failure = Failure::failed(format!("`{path}` is no key file: {error}"));
    match error {
        KeyFileError::Several { .. } => {
            failure.hint("keep the one for these zones in a file of its own")
        }
        _ => failure.hint("it must be as `tsig-keygen -a hmac-sha256 NAME` writes it"),
    }
}

/// A record that is needed could not be asked for.
pub fn unasked(error: &DnsError) -> Failure {
    Failure::new(FailureKind::Unasked, error.to_string())
}

impl From<UpdateError> for Failure {
    fn from(error: UpdateError) -> Self {
        let kind = if error.is_unasked() {
            FailureKind::Unasked
        } else {
            FailureKind::Failed
        };
        let failure = Self::new(kind, error.to_string());
        match error {
            UpdateError::UnknownKey { key, .. } => failure.hint(format!(
                "the name and the algorithm must be those on the server; in BIND: `key \"{key}\" {{ … }};` in its named.conf"
            )),
            UpdateError::WrongSecret { .. } => failure
                .hint("the secret differs from the server's under this name: copy the key file again"),
            UpdateError::Clock { .. } => failure.hint(
                "set the clock that is wrong (`timedatectl` shows this one's); 5 minutes are allowed",
            ),
            UpdateError::Refused { .. } => failure.hint(
                "the server must let this key change these records; in BIND: `update-policy { grant KEY zonesub ANY; };` or `allow-update { key KEY; };` in the zone",
            ),
            UpdateError::NotPrimary { .. } => {
                failure.hint("name the primary server of the zone: the first name in its SOA record")
            }
            UpdateError::Changed { .. } => failure.hint("look again at what is there now, with the same command"),
            UpdateError::Unreachable { .. } => failure.hint(
                "updates go over TCP: the server must listen there, and no firewall may be in between",
            ),
            UpdateError::Failed { .. } => failure.hint("the log of the name server says why"),
            _ => failure,
        }
    }
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Server(error) => error.into(),
            DraftError::Unsteady { .. } => Self::failed(error.to_string()).hint("try again"),
        }
    }
}
