//! The records of mail authentication: SPF, DKIM, DMARC, TLS-RPT and MTA-STS, parsed and printed;
//! mail addresses.
//!
//! Owns what stands in them and the keys behind DKIM. A record that is read is
//! read strictly and with places, for faults in it are what is looked for.
//! Must not know Postfix, and asks DNS nothing itself: where a lookup is
//! needed, the caller hands it in.
//! Follows RFC 7208 (SPF), RFC 6376 and RFC 8463 (DKIM), RFC 9989 (DMARC),
//! RFC 8460 (TLS-RPT), RFC 8461 (MTA-STS).

pub mod dkim;
pub mod dmarc;
mod mailbox;
pub mod mta_sts;
pub mod organization;
pub mod spf;
mod tag_list;
pub mod tls_rpt;

pub use mailbox::{Mailbox, MailboxError};
pub use tag_list::{TagError, TagFault};
