//! SPF: which hosts may send mail for a domain.
//!
//! Owns the record ([`Spf`]), what it says of an address ([`evaluate`]) and
//! the adding of senders to it ([`merge`]).
//! Must not know where records come from or go to.
//! Follows RFC 7208.

mod evaluate;
mod merge;
mod record;

pub use evaluate::{
    Lookup, MAX_LOOKUPS, Matched, Status, Unconfirmed, Verdict, evaluate, is_spf, published,
    spf_texts,
};
pub use merge::{Closing, Wanted, merge};
pub use record::{
    Content, Directive, DomainSpec, Mechanism, Modifier, Oddity, Qualifier, Spf, SpfError,
    SpfFault, Term,
};
