//! Postfix's files as documents that print back every byte.
//!
//! Owns the syntax of `main.cf`, `master.cf` and lookup-table sources, the
//! knowledge of their parameters, `$name` expansion, what versions mean, and the
//! lines of the mail log.
//! Must not know any word of the rest of this crate: it uses the standard library
//! (and `memchr`), and others turn a [`Problem`] into what they show.
//! Follows postconf(5), master(5), postmap(1), `regexp_table(5)` and what the
//! programs do where the manuals are silent.
//!
//! Parsing never fails. A line Postfix would refuse is kept as it is and
//! reported by `problems()`.

mod chroot;
pub mod expand;
pub mod log;
mod logical_line;
pub mod main_cf;
pub mod master_cf;
mod milter;
pub mod parameter;
pub mod pattern;
mod problem;
pub mod table;
mod table_name;
pub mod version;

pub use chroot::{Need, effective_chroot, needs};
pub use expand::{ExpandError, expand};
pub use main_cf::{MainCf, Setting, split_list};
pub use master_cf::{Argument, ArgumentKind, Field, MasterCf, Service, ServiceType};
pub use milter::Milter;
pub use parameter::{Parameter, ValueKind, ValueProblem};
pub use pattern::{Engine, PatternTable};
pub use problem::{EditError, Problem, ProblemKind};
pub use table::{Entry, Table};
pub use table_name::{TableName, table_names};
pub use version::{CompatibilityLevel, Version};
