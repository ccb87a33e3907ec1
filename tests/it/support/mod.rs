//! What the tests of the whole program share: trees, runs, and how both are written down.
//!
//! Must not know what is tested.

mod run;
mod snapshot;
mod tree;

pub use run::{Shown, binary, run};
pub use snapshot::{Snapshots, normalized};
pub use tree::{Entry, Tree, has_postfix, postmap};
