//! What people paste: from any text to what was seen of a message.
//!
//! Lines of logs with or without their heads, `mailq`, reports to the sender, replies and codes
//! alone; cut off, wrapped at any column, quoted, with a page around them. Owns how they are told
//! from the text around them and read ([`Sighting`]). Must not know of causes, nor who a host
//! belongs to.
//!
//! Follows `bounce(8)` and smtp(8) for Postfix's own forms, RFC 3464 for reports, RFC 5321, 4.2
//! for replies, RFC 2045 for what mail encodes; Exim and Sendmail as they print theirs. Any bytes are taken, and nothing panics.

mod clean;
mod encoded;
mod read;
#[cfg(test)]
mod tests;
mod wrap;

use std::net::IpAddr;

use crate::postfix::log::{Manner, Severity};

/// The most of a text that is read: what people paste is shorter.
pub const MOST: usize = 4 * 1024 * 1024;

/// The ports on which clients submit mail (RFC 8314, 3.3).
const SUBMISSION: [u16; 2] = [465, 587];

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What kind of text it was.
    pub kind: Kind,
    /// The message's queue id.
    pub queue_id: Option<String>,
    /// The recipient.
    pub recipient: Option<String>,
    /// The name of the host that spoke, or was spoken to.
    pub host: Option<String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The protocol, 4 or 6, also where the address was made unreadable.
    pub family: Option<u8>,
    /// Whether the message was handed to a service of this host, and to no other one.
    pub here: bool,
    /// Its port, where one is told.
    pub port: Option<u16>,
    /// Our address, as the reply names it.
    pub client: Option<Client>,
    /// The reply's code.
    pub code: Option<u16>,
    /// The enhanced status code of the reply itself.
    pub enhanced: Option<String>,
    /// The enhanced status code that the log or the report gives.
    pub dsn: String,
    /// How the words came about.
    pub manner: Manner,
    /// The words as a person reads them: codes that every line repeats left out.
    pub words: String,
    /// At which stage.
    pub stage: Option<String>,
    /// Whether nothing was tried: an earlier message met this.
    pub suspended: bool,
    /// Whether the words go on where the text does not.
    pub is_cut: bool,
}

/// An address that mail left from, as a reply names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// As it was written.
    pub text: String,
    /// The address, where it is one.
    pub address: Option<IpAddr>,
    /// The protocol, 4 or 6.
    pub family: u8,
}

/// What kind of text something was seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A delivery line: this became of a recipient.
    Delivery(Ending),
    /// A host did not take the message; what followed is another line.
    Attempt,
    /// A report to the sender, or `mailq`.
    Report,
    /// This host refused somebody.
    Refusal,
    /// A program warns, or ends.
    Trouble(Severity),
    /// A reply without anything around it.
    Reply,
    /// Words of Postfix's own without anything around them.
    Own,
    /// Words that look like nothing known.
    Loose,
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Another host, or a mailbox, has it.
    Sent,
    /// It is tried again.
    Deferred,
    /// It was given up, or anything else but the above.
    Failed,
}

/// Reads a text.
///
/// Everything that was seen, in the order of the text; one [`Kind::Loose`] where nothing was
/// recognized, and nothing for a text without words.
#[must_use]
pub fn read(text: &[u8]) -> Vec<Sighting> {
    let text = text.get(..MOST).unwrap_or(text);
    let text = encoded::text(text);
    let whole = wrap::whole(&clean::clean(&encoded::decoded(&text)));
    read::sightings(&whole)
}

impl Default for Sighting {
    fn default() -> Self {
        Self {
            kind: Kind::Loose,
            queue_id: None,
            recipient: None,
            host: None,
            address: None,
            family: None,
            here: false,
            port: None,
            client: None,
            code: None,
            enhanced: None,
            dsn: String::new(),
            manner: Manner::Own,
            words: String::new(),
            stage: None,
            suspended: false,
            is_cut: false,
        }
    }
}

impl Sighting {
    /// Tells whether the host takes mail of its own clients, so that it is a relay of ours and none
    /// of the recipient's.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.host.is_some() && self.port.is_some_and(|port| SUBMISSION.contains(&port))
    }

    /// The recipient's domain.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        let (_, domain) = self.recipient.as_deref()?.rsplit_once('@')?;
        Some(domain).filter(|domain| !domain.is_empty())
    }
}
