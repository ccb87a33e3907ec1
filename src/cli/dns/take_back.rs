//! Taking a DNS update back, and telling how much of each still holds.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::push::show;
use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, Session};
use crate::dns::Record;
use crate::dns::update::{ServerName, UpdateServer};
use crate::dns::zone;
use crate::push::{self, Drift, State, UpdateReceipt, states};
use crate::receipt::{ReceiptError, Receipts, rank};
use crate::site::UpdateBy;
use crate::undo;

const TAKE_BACK: Asking<'_> = Asking {
    prompt: "Undo?",
    yes: "send one signed update for each zone",
    explanation: &[
        "what the update left is turned back to what stood there before it, byte for byte",
        "each zone changes as a whole or not at all, and only if the records shown still stand there: the server sees to that",
        "the undo has a receipt of its own in `mailfix history`",
    ],
};

impl Session {
    /// The DNS updates sent from here, newest first, and how much of each holds.
    pub fn updates(&mut self, receipts: &Receipts) -> Result<Vec<(UpdateReceipt, State)>, Failure> {
        let mut updates = Vec::new();
        for receipt in UpdateReceipt::all(receipts, self.system.as_ref())? {
            match receipt {
                Ok(receipt) => updates.push(receipt),
                Err(error) => self.ui.say(&format!("warning: {error}")),
            }
        }
        // One that cannot be asked, because its key is gone or for another reason, is unknown.
        let mut servers: BTreeMap<(String, String), Option<UpdateServer>> = BTreeMap::new();
        for receipt in &updates {
            let place = (receipt.server.clone(), receipt.key.to_string());
            servers
                .entry(place)
                .or_insert_with(|| self.server_of(receipt).ok());
        }
        let states = states(&updates, |receipt| {
            let place = (receipt.server.clone(), receipt.key.to_string());
            servers.get(&place)?.as_ref()
        });
        Ok(updates.into_iter().zip(states).collect())
    }

    /// The update to undo: the one that is named, or, if none is, the newest that holds where no
    /// apply came after it.
    pub fn update_to_undo(
        &mut self,
        receipts: &Receipts,
        id: Option<&str>,
    ) -> Result<Option<UpdateReceipt>, Failure> {
        if let Some(id) = id {
            return match UpdateReceipt::load(receipts, self.system.as_ref(), id) {
                Ok(receipt) => Ok(Some(receipt)),
                Err(ReceiptError::Unknown { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let history = undo::History::read(receipts, self.system.as_ref())?;
        let newest = history.to_undo().map(|receipt| receipt.id.clone());
        let is_later = |update: &UpdateReceipt| match &newest {
            Some(id) => rank(&update.id) > rank(id),
            None => true,
        };
        let ids = receipts.ids(self.system.as_ref(), crate::receipt::UPDATES)?;
        let latest = ids
            .last()
            .is_some_and(|id| newest.as_ref().is_none_or(|newest| rank(id) > rank(newest)));
        if !latest {
            return Ok(None);
        }
        let updates = self.updates(receipts)?;
        let holds = |(update, state): &(UpdateReceipt, State)| {
            update.undoes.is_none() && *state != State::Undone && is_later(update)
        };
        let found = updates.into_iter().find(holds);
        Ok(found.map(|(update, _)| update))
    }

    /// Takes an update back, after asking.
    pub fn take_back(&mut self, state: &Utf8Path, receipt: &UpdateReceipt) -> Result<u8, Failure> {
        let server = self.server_of(receipt)?;
        let zones = match push::take_back(&receipt.zones, &server)? {
            Ok(zones) => zones,
            Err(drift) => return Err(drifted(receipt, &drift)),
        };
        if zones.is_empty() {
            self.ui.say(&format!("`{}` is undone already", receipt.id));
            return Ok(0);
        }
        let when = receipt.created.strftime("%Y-%m-%d %H:%M:%S UTC");
        self.ui.heading(&format!("Undo of {} ({when})", receipt.id));
        self.ui.data("\n");
        show(self, &zones, &server);
        if self.consent(&TAKE_BACK)? == Consent::No {
            return Err(declined());
        }
        let by = by(receipt)?;
        self.send(state, &by, &server, zones, Some(receipt.id.clone()))?;
        self.ui.say(&format!("done; `{}` is undone", receipt.id));
        Ok(0)
    }

    fn server_of(&mut self, receipt: &UpdateReceipt) -> Result<UpdateServer, Failure> {
        self.update_server(&by(receipt)?)
    }
}

fn by(receipt: &UpdateReceipt) -> Result<UpdateBy, Failure> {
    let server: ServerName = receipt
        .server
        .parse()
        .map_err(|error| Failure::failed(format!("receipt `{}`: {error}", receipt.id)))?;
    let key = receipt.key.clone();
    Ok(UpdateBy { server, key })
}

/// Somebody else has changed some of it since: nothing is taken back.
fn drifted(receipt: &UpdateReceipt, drift: &[Drift]) -> Failure {
    let names: Vec<String> = drift
        .iter()
        .map(|drift| format!("{} of `{}`", drift.set.kind, drift.set.name.host()))
        .collect();
    let mut failure = Failure::failed(format!(
        "changed since `{}` was sent, so nothing is taken back: {}",
        receipt.id,
        names.join(", ")
    ));
    for drift in drift {
        let now = match &drift.now {
            Some(set) => set.records(&drift.set.name, drift.set.kind),
            None => Vec::new(),
        };
        let values: Vec<String> = now
            .iter()
            .map(|record: &Record| format!("`{}`", zone::value(&record.data)))
            .collect();
        let now = if values.is_empty() {
            "nothing".to_owned()
        } else {
            values.join(", ")
        };
        failure = failure.hint(format!(
            "now there is at `{}`: {now}; a later update may have to be undone first (`mailfix history`)",
            drift.set.name.host()
        ));
    }
    failure
}
