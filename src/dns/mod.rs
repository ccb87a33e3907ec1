//! DNS: names, records, zone text and the asking of servers.
//!
//! Owns the [`Resolver`] boundary, the types that cross it, and the forms records are written
//! in. A name is absolute inside; a failed lookup is an error and never "no record".
//! Must not know mail: what a record is good for is said elsewhere.
//! Follows RFC 1034, RFC 1035, RFC 2308 and RFC 3597.

pub mod cut;
pub mod format;
mod message;
mod name;
mod record;
mod resolver;
mod reverse;
pub mod update;
pub mod zone;

pub use format::panel;
pub use name::{Name, NameError};
pub use record::{Record, RecordData, RecordType, StartOfAuthority};
pub use resolver::{
    Answer, AuthoritativeResolver, CachedResolver, Difference, DnsError, FixedResolver, NameServer,
    OfflineResolver, RealResolver, Resolver, ServerFault, UnhurriedResolver, Version, negative_ttl,
    server_address, side_by_side,
};
pub use reverse::{MOST_NAMES, Reverse, addresses_of};
