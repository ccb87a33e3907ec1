//! mailfix

pub mod finding;
pub mod plan;
pub mod system;
