//! mailfix

pub mod address;
pub mod apply;
pub mod ask;
pub mod check;
pub mod data_file;
pub mod diff;
pub mod dns;
pub mod embedded;
pub mod finding;
pub mod mail;
pub mod plan;
pub mod postfix;
pub mod profile;
pub mod provider;
pub mod receipt;
pub mod records;
pub mod site;
pub mod spelling;
pub mod system;
pub mod template;
pub mod undo;
pub mod wizard;
