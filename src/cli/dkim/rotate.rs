//! `mailfix dkim rotate`: another key in place of the one that signs, without a gap.
//!
//! Owns the order of the steps. How far a rotation came is read off the world: the key files
//! beside the one in use, the records in DNS, the site file; and when it changed over, off the
//! receipts. So a run that was interrupted, or that waited in vain, is taken up by the next.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::apply::Options;
use crate::cli::apply::{Asking, Consent, carry_out, declined};
use crate::cli::dns::{self, Servers, push, wait};
use crate::cli::plan::refused;
use crate::cli::prepare::{Chosen, Wished};
use crate::cli::{Failure, Session, show};
use crate::data_file;
use crate::dns::update::UpdateServer;
use crate::dns::{Name, Record, RecordData, RecordType, zone};
use crate::finding::Severity;
use crate::host::Origin;
use crate::mail::dkim::{Algorithm, KeyRecord, PrivateKey, PublicKey};
use crate::plan::{FileChange, Nature, Plan, Step};
use crate::receipt::Receipts;
use crate::records::live::{Live, RrsetChange, Standing};
use crate::records::{Needed, Role};
use crate::site::{Control, Dkim, SignerWish, Site};
use crate::system::File;
use crate::undo::{History, State};
use crate::wizard::{Answers, Id, site_file};

/// The end of a key file's name.
const KEY_FILE: &str = ".private";

/// How many days an old record may be told to stay.
const MAX_DAYS: i64 = 3650;

/// The permission bits that the file of a new key may take over from the old one's.
const KEY_MODE: u32 = 0o640;

/// Change over to a new signing key without a gap: publish, wait, sign, tidy up
///
/// Makes a key under a new selector, publishes its record (by `dns push` where a server takes
/// updates, else by showing what to set), waits until all name servers have it, and only then
/// signs with it. The old record stays for some days, for mail on its way; the next run removes
/// it after that. A run that was interrupted goes on where it was when it is repeated.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The selector of the new key [default: the present one with today's date]
    #[arg(long, value_name = "NAME")]
    selector: Option<String>,
    /// How long to wait for the record, such as `30s`, `10m`, `2h`
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = wait::duration)]
    wait: Duration,
    /// How many days the old record stays after the change
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=MAX_DAYS))]
    keep_days: u32,
    /// Only remove the old record, if its days are over; where mailfix does not set the signer
    /// up, this says that it signs with the new key
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    servers: Servers,
}

const MAKE: Asking<'_> = Asking {
    prompt: "Make it?",
    yes: "write the new key beside the one in use",
    explanation: &[
        "the private key is made here, never leaves this machine and is never shown; the receipt has its digest only, that of an undo keeps the key it removes (mode 0600)",
        "nothing signs with it yet: its record is published first, and seen on all name servers",
        "each step asks on its own, and `mailfix undo` takes each back",
    ],
};

const REMOVE: Asking<'_> = Asking {
    prompt: "Remove it?",
    yes: "remove the old record, by one signed update for each zone",
    explanation: &[
        "signatures of the old key cannot be checked any more then; mail is seldom on its way for longer than five days",
        "`mailfix undo` brings the record back",
    ],
};

const SWITCH: Asking<'_> = Asking {
    prompt: "Write it?",
    yes: "name the new key in the site file",
    explanation: &["`mailfix undo` names the old one again"],
};

/// A key that signed before the present one.
struct Former {
    selector: String,
    /// Its file, as the site file named it.
    key: Utf8PathBuf,
    /// When the present one took over.
    until: Timestamp,
}

/// What a rotation works with.
struct Rotation<'a> {
    options: &'a Rotate,
    site: Site,
    dkim: Dkim,
    chosen: Chosen,
    site_path: Utf8PathBuf,
}

impl Rotate {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let (site, chosen, site_path) = session.site_with_path()?;
        let Some(dkim) = site.dkim.clone() else {
            return Err(
                Failure::failed("no key signs mail yet, so none can be changed").hint(format!(
                    "`{}` makes the first one",
                    session.common.command("dkim new")
                )),
            );
        };
        if session.common.offline {
            return Err(Failure::usage(
                "`--offline` forbids to ask whether the record is there",
            ));
        }
        let servers = self.servers.clone().for_waiting();
        servers.begin(session)?;
        let rotation = Rotation {
            options: &self,
            site,
            dkim,
            chosen,
            site_path,
        };
        let stays = rotation.retire(session)?;
        let begun = rotation.begun(session)?;
        if self.finish || (stays && begun.is_none() && self.selector.is_none()) {
            return Ok(0);
        }
        let next = rotation.next(session, begun)?;
        let key = rotation.make(session, &next)?;
        rotation.publish(session, &next, &key)?;
        rotation.await_record(session, &servers, &next, &key)?;
        rotation.switch(session, &next)?;
        let until = session.now + SignedDuration::from_hours(24 * i64::from(self.keep_days));
        session.ui.say(&format!(
            "done; the record of `{}` stays for mail on its way; from {} on `{}` removes it",
            rotation.dkim.selector,
            day(until),
            session.common.command("dkim rotate --finish")
        ));
        Ok(0)
    }
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// A selector without the date that a rotation put behind it.
fn base(selector: &str) -> &str {
    match selector.rsplit_once('-') {
        Some((base, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => selector,
    }
}

/// The public part of the key that a file holds, if it holds one.
fn public_key(pem: &[u8]) -> Option<PublicKey> {
    let record = PrivateKey::from_pem(pem).ok()?.record().ok()?;
    Some(record.key)
}

/// The record sets with the records of this key taken out; a set that has none is left out.
fn without(published: &[Record], key: Option<&PublicKey>) -> Vec<RrsetChange> {
    let is_of_key = |record: &Record| {
        let RecordData::Txt(text) = &record.data else {
            return false;
        };
        let parsed = std::str::from_utf8(text).ok().map(KeyRecord::parse);
        matches!(parsed, Some(Ok(found)) if Some(&found.key) == key)
    };
    let mut changes: Vec<RrsetChange> = Vec::new();
    for record in published {
        let index = changes
            .iter()
            .position(|change| change.owner == record.owner);
        let index = index.unwrap_or_else(|| {
            changes.push(RrsetChange {
                owner: record.owner.clone(),
                kind: RecordType::Txt,
                present: Vec::new(),
                wanted: Vec::new(),
                why: String::new(),
            });
            changes.len() - 1
        });
        let change = &mut changes[index];
        change.present.push(record.clone());
        if !is_of_key(record) {
            change.wanted.push(record.clone());
        }
    }
    changes.retain(|change| change.present != change.wanted);
    changes
}

/// The records that a change takes away.
fn removed(change: &RrsetChange) -> impl Iterator<Item = &Record> {
    let present = change.present.iter();
    present.filter(|record| !change.wanted.contains(record))
}

impl Rotation<'_> {
    /// The selector of a key that an earlier run made beside the one in use.
    fn begun(&self, session: &Session) -> Result<Option<String>, Failure> {
        let present = &self.dkim.selector;
        let folder = self.dkim.key.parent().unwrap_or(Utf8Path::new("/"));
        let names = session.system.list(folder)?;
        let dated = names
            .iter()
            .filter_map(|name| name.strip_suffix(KEY_FILE))
            .filter(|name| base(name) == base(present) && *name != base(name));
        // One without a date is older than all others.
        let newer = dated.filter(|name| present == base(present) || **name > **present);
        Ok(newer.max().map(str::to_owned))
    }

    /// The selector of the new key.
    ///
    /// The name keeps what stands before the date: with several servers each has its own.
    fn next(&self, session: &Session, begun: Option<String>) -> Result<String, Failure> {
        let present = &self.dkim.selector;
        if let Some(selector) = &self.options.selector {
            let selector = crate::site::selector(selector)
                .map_err(|finding| Failure::usage(finding.in_words()))?;
            if selector == *present {
                return Err(
                    Failure::usage(format!("`{selector}` is the selector that signs now"))
                        .hint("a new key needs another one"),
                );
            }
            return Ok(selector);
        }
        if let Some(selector) = begun {
            return Ok(selector);
        }
        let selector = format!("{}-{}", base(present), session.now.strftime("%Y%m%d"));
        if selector == *present {
            return Err(
                Failure::failed(format!("`{selector}` was changed over to today"))
                    .hint("`--selector NAME` names another one"),
            );
        }
        Ok(selector)
    }

    fn key_path(&self, selector: &str) -> Utf8PathBuf {
        let folder = self.dkim.key.parent().unwrap_or(Utf8Path::new("/"));
        folder.join(format!("{selector}{KEY_FILE}"))
    }

    fn state(&self, session: &Session) -> Utf8PathBuf {
        session.state_beside(&self.site_path, &self.chosen.profile)
    }

    /// Makes the key, or reads the one that an earlier run has made; gives its record.
    fn make(&self, session: &mut Session, selector: &str) -> Result<KeyRecord, Failure> {
        let path = self.key_path(selector);
        if let Some(file) = session.system.read(&path)? {
            session.ui.say(&format!("- the key `{path}` is there"));
            return Ok(PrivateKey::from_pem(&file.bytes)?.record()?);
        }
        let Some(present) = session.system.read(&self.dkim.key)? else {
            return Err(
                Failure::failed(format!("there is no key `{}`", self.dkim.key))
                    .hint(format!("`{}` makes it", session.common.command("dkim new"))),
            );
        };
        let private = PrivateKey::generate(Algorithm::Rsa)?;
        let pem = private.to_pem()?;
        let plan = Plan {
            steps: vec![Step {
                title: format!("the private key `{path}`, with owner and mode of the one in use"),
                files: vec![FileChange {
                    path,
                    before: None,
                    // Whoever signs now must be able to read it, and nobody else.
                    after: Some(File {
                        bytes: pem.as_bytes().to_vec(),
                        mode: present.mode & KEY_MODE,
                        ..present
                    }),
                    nature: Nature::Secret,
                }],
                ..Step::default()
            }],
        };
        self.apply(session, &plan, &MAKE)?;
        Ok(private.record()?)
    }

    /// Shows a plan, asks and applies it; nothing that runs is touched.
    fn apply(
        &self,
        session: &mut Session,
        plan: &Plan,
        consenting: &Asking<'_>,
    ) -> Result<(), Failure> {
        show::plan(&mut session.ui, plan);
        if session.consent(consenting)? == Consent::No {
            return Err(declined());
        }
        let options = Options {
            state: self.state(session),
            config: self.chosen.profile.paths.config.clone(),
            running: false,
            undoes: None,
        };
        let applied = session.apply(plan, &options, &mut |_| Vec::new())?;
        session.report_applied(&applied);
        Ok(())
    }

    /// The records of a key, one a domain.
    fn needed(&self, selector: &str, key: &KeyRecord) -> Result<Vec<Needed>, Failure> {
        let records = dns::key_records(&self.site, selector, key)?;
        let why = "lets receivers check the signatures of the new key";
        Ok(records
            .into_iter()
            .map(|record| Needed::new(Role::Dkim, record, why))
            .collect())
    }

    fn server(&self, session: &mut Session) -> Result<Option<Arc<UpdateServer>>, Failure> {
        let is_own = self.site.dns.forward == Control::Own;
        match self.site.dns.update.as_ref().filter(|_| is_own) {
            Some(by) => Ok(Some(Arc::new(session.update_server(by)?))),
            None => Ok(None),
        }
    }

    /// Publishes what is not there yet: by updates, else by saying what has to be set.
    fn publish(
        &self,
        session: &mut Session,
        selector: &str,
        key: &KeyRecord,
    ) -> Result<(), Failure> {
        let needed = self.needed(selector, key)?;
        let mut left = needed.clone();
        if let Some(server) = self.server(session)? {
            let plan = session.update_plan_of(&self.site, &server, |_| Ok(needed.clone()))?;
            plan.tell(session);
            left.retain(|one| {
                plan.draft
                    .elsewhere
                    .iter()
                    .any(|other| other.owner == one.record.owner)
            });
            self.send(session, &server, plan.draft.zones, &push::PUSH)?;
        }
        let live = Live::ask(&left, session.resolver()?.as_ref());
        let missing: Vec<Record> = live
            .iter()
            .filter(|(_, standing)| **standing != Standing::Present)
            .map(|(needed, _)| needed.record.clone())
            .collect();
        if !missing.is_empty() {
            session.ui.heading("Publish this");
            session.ui.data(&zone::write(&missing));
            session.ui.data("\n");
            session.ui.say(
                "note: nothing signs with it before it is seen; an interrupted wait loses nothing",
            );
        }
        Ok(())
    }

    /// Shows updates, asks and sends them, if there are any.
    fn send(
        &self,
        session: &mut Session,
        server: &UpdateServer,
        zones: Vec<crate::dns::update::ZoneChange>,
        consenting: &Asking<'_>,
    ) -> Result<(), Failure> {
        let Some(by) = self.site.dns.update.as_ref().filter(|_| !zones.is_empty()) else {
            return Ok(());
        };
        push::show(session, &zones, server);
        if session.consent(consenting)? == Consent::No {
            return Err(declined());
        }
        let state = self.state(session);
        let id = session.send(&state, by, server, zones, None)?;
        let undo = session.common.command(&format!("undo {id}"));
        session.ui.say(&format!("- `{undo}` takes that back"));
        Ok(())
    }

    /// Waits until every name server of every domain has the record.
    fn await_record(
        &self,
        session: &mut Session,
        servers: &Servers,
        selector: &str,
        key: &KeyRecord,
    ) -> Result<(), Failure> {
        let needed = self.needed(selector, key)?;
        let names: Vec<Name> = needed.iter().map(|one| one.record.owner.clone()).collect();
        let look = |session: &mut Session| {
            let asked = servers.begin(session)?;
            let live = Live::ask(&needed, session.resolver()?.as_ref());
            let lacking = live.iter().filter_map(|(needed, standing)| match standing {
                Standing::Present => None,
                Standing::CouldNotAsk(error) => Some(error.to_string()),
                _ => Some(format!("`{}` is not there yet", needed.record.owner.host())),
            });
            let mut left: Vec<String> = lacking.collect();
            let findings = asked.findings(&names);
            let errors = findings
                .iter()
                .filter(|one| one.severity == Severity::Error);
            left.extend(errors.map(|finding| finding.title.clone()));
            Ok(wait::Look { found: (), left })
        };
        let seen = wait::until_right(session, self.options.wait, &names, look)?;
        if seen.left.is_empty() {
            session.ui.say("- all name servers have the record");
            return Ok(());
        }
        Err(Failure::failed(format!(
            "the record of `{selector}` is not everywhere, so nothing signs with the new key yet: {}",
            seen.left.join("; ")
        ))
        .hint("publish it, or wait longer (`--wait 2h`); the same command goes on from here"))
    }

    /// Has the new key sign: names it in the site file, and has the signer take it up.
    fn switch(&self, session: &mut Session, selector: &str) -> Result<(), Failure> {
        let before = session.system.read(&self.site_path)?;
        let old = before.clone().unwrap_or_else(|| File::new("", 0o644, 0, 0));
        let mut answers = Answers::of_site(&self.site);
        answers.insert(Id::DkimSelector, selector);
        answers.insert(Id::DkimKey, self.key_path(selector).as_str());
        let text = data_file::text(&old.bytes, &self.site_path)?;
        let text = site_file(
            &answers,
            Some(text),
            &self.site_path,
            self.site.allow_non_global,
        )?;
        let site = Site::parse_with(&text, &self.site_path, self.site.allow_non_global)?;
        let call = session.call(&self.site_path, site.profile.as_deref());
        let wished = Wished::new(site, self.chosen.profile.clone(), call);
        let Some(step) = session.site_step(&self.site_path, before, &text)? else {
            return Ok(());
        };
        let mut draft = session.draft(&wished.wish())?;
        if draft.host.facts.origin == Origin::Stock {
            return self.apply(session, &Plan { steps: vec![step] }, &SWITCH);
        }
        draft.plan.steps.insert(0, step);
        show::draft(&mut session.ui, &draft);
        session.ui.remarks(&draft.findings);
        if !draft.refusals.is_empty() {
            return Err(refused(&draft.refusals));
        }
        carry_out(session, &wished.wish(), &draft, false)?;
        if self
            .dkim
            .signer
            .as_ref()
            .is_none_or(|signer| *signer == crate::site::SignerWish::Other)
        {
            session.ui.say(&format!(
                "left to do: have your signer sign with `{}` as `{selector}`",
                self.key_path(selector)
            ));
        }
        Ok(())
    }

    /// Removes the records of keys that signed before, once their days are over; tells whether
    /// one has to stay for now.
    fn retire(&self, session: &mut Session) -> Result<bool, Failure> {
        let keep = SignedDuration::from_hours(24 * i64::from(self.options.keep_days));
        let mut stays = false;
        for former in self.former(session)? {
            let published = self.published(session, &former.selector)?;
            if published.is_empty() {
                continue;
            }
            // A site file may have been copied: then another host may sign with that key.
            let key = match session.system.read(&former.key)? {
                Some(file) => public_key(&file.bytes),
                None => None,
            };
            let changes = without(&published, key.as_ref());
            let is_left = |owner: &Name| !changes.iter().any(|change| change.owner == *owner);
            if published.iter().any(|record| is_left(&record.owner)) {
                session.ui.say(&format!(
                    "the record of `{}` is not of a key of this host; it stays",
                    former.selector
                ));
            }
            if changes.is_empty() {
                continue;
            }
            let over = former.until + keep;
            if session.now < over {
                stays = true;
                session.ui.say(&format!(
                    "the record of `{}` stays until {}: it signed until {}, and mail on its way is still checked against it",
                    former.selector,
                    day(over),
                    day(former.until)
                ));
                continue;
            }
            let is_set_up = matches!(self.dkim.signer, Some(SignerWish::SetUp(_)));
            if !is_set_up && !self.options.finish {
                stays = true;
                session.ui.say(&format!(
                    "the record of `{}` may go once your signer signs with `{}`; `{}` removes it then",
                    former.selector,
                    self.dkim.selector,
                    session.common.command("dkim rotate --finish")
                ));
                continue;
            }
            self.remove(session, &former, &changes)?;
        }
        if self.options.finish && !stays {
            session
                .ui
                .say("no record of an old key of this host is left");
        }
        Ok(stays)
    }

    /// The keys that signed before, the last one first, by the receipts of their change.
    fn former(&self, session: &mut Session) -> Result<Vec<Former>, Failure> {
        let receipts = Receipts::new(self.state(session));
        let history = History::read(&receipts, session.system.as_ref())?;
        let mut former: Vec<Former> = Vec::new();
        for past in &history.past {
            if past.receipt.undoes.is_some() || past.state == State::Undone {
                continue;
            }
            let mut entries = past.receipt.entries();
            let entry = entries.find(|entry| entry.path == self.site_path);
            let before = entry.and_then(|entry| entry.before.as_ref());
            let site = before.and_then(|file| {
                Site::parse_with(&file.bytes, &self.site_path, self.site.allow_non_global).ok()
            });
            let Some(dkim) = site.and_then(|site| site.dkim) else {
                continue;
            };
            let is_known = former.iter().any(|known| known.selector == dkim.selector);
            if dkim.selector != self.dkim.selector && !is_known {
                former.push(Former {
                    selector: dkim.selector,
                    key: dkim.key,
                    until: past.receipt.created,
                });
            }
        }
        Ok(former)
    }

    /// The records of a selector that are in DNS, and hold a key.
    fn published(&self, session: &mut Session, selector: &str) -> Result<Vec<Record>, Failure> {
        let resolver = session.resolver()?;
        let mut published = Vec::new();
        for domain in &self.site.domains {
            let owner = KeyRecord::owner(selector, &domain.parse()?)?;
            let answer = resolver
                .lookup(&owner, RecordType::Txt)
                .map_err(|error| push::unasked(&error))?;
            let records = answer
                .records()
                .iter()
                .filter(|record| record.owner == owner);
            published.extend(records.cloned());
        }
        Ok(published)
    }

    fn remove(
        &self,
        session: &mut Session,
        former: &Former,
        changes: &[RrsetChange],
    ) -> Result<(), Failure> {
        session.ui.say(&format!(
            "the days of `{}` are over: its record may go",
            former.selector
        ));
        let removed: Vec<Record> = changes.iter().flat_map(removed).cloned().collect();
        let Some(server) = self.server(session)? else {
            session.ui.heading("Remove this");
            session.ui.data(&zone::write(&removed));
            return Ok(());
        };
        let draft = crate::push::draft(changes, &server)?;
        if !draft.elsewhere.is_empty() {
            session.ui.heading("Remove this");
            session.ui.data(&zone::write(&removed));
        }
        self.send(session, &server, draft.zones, &REMOVE)?;
        session.ui.say(&format!(
            "the key `{}` is of no use any more and may be deleted",
            former.key
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_put_behind_what_stands_before_the_last_one() {
        let check = |selector: &str, expected: &str| assert_eq!(base(selector), expected);
        check("mail", "mail");
        check("mx1-20261126", "mx1");
        check("mx-1", "mx-1");
        check("mx1-2026112x", "mx1-2026112x");
        check("a-20261126-20270101", "a-20261126");
    }

    #[test]
    fn only_records_of_the_key_are_taken_out() {
        let key = |bytes: &[u8]| KeyRecord::rsa(bytes.to_vec());
        let record = |owner: &str, text: String| Record {
            owner: owner.parse().unwrap(),
            ttl: 300,
            data: RecordData::Txt(text.into()),
        };
        let (ours, other) = (key(b"ours"), key(b"other"));
        let published = [
            record("mail._domainkey.example.org", format!("{ours}; n=note")),
            record("mail._domainkey.example.org", "no key".to_owned()),
            record("mail._domainkey.example.com", other.to_string()),
            record("mail._domainkey.example.net", "v=DKIM1; p=".to_owned()),
        ];
        assert_eq!(without(&published, None), []);
        let changes = without(&published, Some(&ours.key));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].present, published[..2]);
        assert_eq!(changes[0].wanted, published[1..2]);
        assert_eq!(removed(&changes[0]).collect::<Vec<_>>(), [&published[0]]);
    }
}
