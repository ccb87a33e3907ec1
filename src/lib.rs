//! mailfix

pub mod finding;
pub mod system;
