//! Receipts of updates: what a push is about to send, on disk before it sends anything.
//!
//! Owns their format. A receipt holds the sets before and after, the server, and where the key
//! lies; never the key. Must not know where receipts lie.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Seen, Standing, present, standing};
use crate::dns::update::{UpdateError, UpdateServer, ZoneChange};
use crate::receipt::{ReceiptError, Receipts, UPDATES, read_versioned};
use crate::system::{System, SystemError};

/// The one format written, and the newest read.
const FORMAT: u32 = 1;

/// What one update did, or was about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReceipt {
    /// Its name, of the same kind as that of a [`crate::receipt::Receipt`].
    #[serde(skip)]
    pub id: String,
    format: u32,
    /// The version that wrote it.
    pub mailfix: String,
    /// When.
    pub created: Timestamp,
    /// The server, as the site file or the command line names it.
    pub server: String,
    /// The file of the key.
    pub key: Utf8PathBuf,
    /// The receipt that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The zones, in order.
    pub zones: Vec<ZoneChange>,
}

/// How much of an update holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Applied,
    /// Some of it.
    PartlyApplied,
    /// Nothing: it was undone, or never got that far.
    Undone,
    /// Someone else has changed some of it since.
    Drifted,
    /// The server did not say.
    Unknown,
}

impl UpdateReceipt {
    /// Writes down what is about to be sent.
    #[must_use]
    pub fn new(
        id: String,
        created: Timestamp,
        server: String,
        key: Utf8PathBuf,
        zones: Vec<ZoneChange>,
    ) -> Self {
        Self {
            id,
            format: FORMAT,
            mailfix: env!("CARGO_PKG_VERSION").to_owned(),
            created,
            server,
            key,
            undoes: None,
            zones,
        }
    }

    /// Saves it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, receipts: &Receipts, system: &mut dyn System) -> Result<(), ReceiptError> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|source| ReceiptError::Malformed {
                id: self.id.clone(),
                source,
            })?;
        json.push(b'\n');
        receipts.write(system, UPDATES, &self.id, json)
    }

    /// Throws it away: nothing of it came to be.
    ///
    /// # Errors
    /// When it stays.
    pub fn discard(&self, receipts: &Receipts, system: &mut dyn System) -> Result<(), SystemError> {
        receipts.discard(system, UPDATES, &self.id)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be understood.
    pub fn load(receipts: &Receipts, system: &dyn System, id: &str) -> Result<Self, ReceiptError> {
        let bytes = receipts.read(system, UPDATES, id)?;
        Self::from_json(id, &bytes)
    }

    /// Reads all, newest first; a broken one does not hide the others.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(
        receipts: &Receipts,
        system: &dyn System,
    ) -> Result<Vec<Result<Self, ReceiptError>>, SystemError> {
        let ids = receipts.ids(system, UPDATES)?;
        Ok(ids
            .iter()
            .rev()
            .map(|id| Self::load(receipts, system, id))
            .collect())
    }

    /// Reads a receipt's bytes.
    ///
    /// # Errors
    /// When they are no receipt, or one of a newer format.
    pub fn from_json(id: &str, bytes: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self = read_versioned(id, bytes, FORMAT)?;
        Ok(Self {
            id: id.to_owned(),
            ..receipt
        })
    }
}

/// Tells how much of each receipt holds, newest first; each is compared with the zones as they
/// would be if all that came after it were undone.
///
/// `reach` gives the server of a receipt, or nothing where it cannot be asked.
pub fn states<'a>(
    receipts: &[UpdateReceipt],
    mut reach: impl FnMut(&UpdateReceipt) -> Option<&'a UpdateServer>,
) -> Vec<State> {
    let mut seen = Seen::new();
    let mut silent = false;
    let mut states = Vec::new();
    for receipt in receipts {
        let server = if silent { None } else { reach(receipt) };
        let state = server.map(|server| state(receipt, server, &mut seen));
        // One that does not answer is waited for once.
        silent |= matches!(&state, Some(Err(error)) if error.is_unasked());
        states.push(match state {
            Some(Ok(state)) => state,
            Some(Err(_)) | None => State::Unknown,
        });
    }
    states
}

fn state(
    receipt: &UpdateReceipt,
    server: &UpdateServer,
    seen: &mut Seen,
) -> Result<State, UpdateError> {
    let mut found = Vec::new();
    for set in receipt.zones.iter().flat_map(|zone| &zone.sets) {
        let place = (set.name.clone(), set.kind);
        let now = match seen.get(&place) {
            Some(now) => now.clone(),
            None => present(set, server)?,
        };
        let standing = standing(set, now.as_ref());
        let undone = standing == Standing::After && receipt.undoes.is_none();
        seen.insert(place, if undone { set.before.clone() } else { now });
        found.push(standing);
    }
    let all = |wanted| found.iter().all(|standing| *standing == wanted);
    Ok(if found.contains(&Standing::Drifted) {
        State::Drifted
    } else if all(Standing::Before) {
        State::Undone
    } else if all(Standing::After) {
        State::Applied
    } else {
        State::PartlyApplied
    })
}
