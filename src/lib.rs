//! mailfix

pub mod diff;
pub mod finding;
pub mod plan;
pub mod system;
pub mod template;
