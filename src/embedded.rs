//! The data files that ship inside the program.
//!
//! Owns the tables that the build lists from `profiles/` and `templates/`:
//! names and texts, nothing read of them. Must not know what they mean.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
