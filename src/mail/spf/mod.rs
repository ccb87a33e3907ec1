//! SPF: which hosts may send mail for a domain.
//!
//! Owns the record ([`Spf`]), what a receiver makes of it ([`check_host`]) and the adding of
//! senders to it ([`merge`]).
//! Must not know where records come from or go to.
//! Follows RFC 7208.

mod evaluate;
mod identity;
mod macros;
mod merge;
mod published;
mod record;
mod survey;
mod unite;

pub use evaluate::{
    Judgement, Lookup, MAX_LOOKUPS, MAX_NAMES, MAX_VOID_LOOKUPS, Matched, MessageTerm, Status,
    Unconfirmed, check_host,
};
pub use identity::Identity;
pub use merge::{Closing, Wanted, merge};
pub use published::{as_if, is_spf, published, spf_texts};
pub use record::{
    Content, Directive, DomainSpec, Mechanism, Modifier, Oddity, Qualifier, Spf, SpfError,
    SpfFault, Term,
};
pub use survey::{
    Branch, Costs, Fault, MAX_QUESTIONS, MAX_TERMS, NotFlat, Saving, Survey, Tree, Waste, survey,
};
pub use unite::{NotUnited, unite};

/// A text of a record as it is shown: hostile ones are as long as a record.
fn cut(text: &str) -> String {
    /// More than any term needs: a name has 253 characters at most.
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
