//! Remedies: one file each, saying when it fits, what it adds to the target and why.
//!
//! Must not know files, and a remedy does not know another.

pub mod dns_filter;
pub mod ipv4_transport;

use crate::finding::Finding;
use crate::target::{ServiceWanted, Setting, TableWanted};

/// What a remedy adds to the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// Services of master.cf.
    pub services: Vec<ServiceWanted>,
    /// Tables of our own.
    pub tables: Vec<TableWanted>,
    /// What it does, in a phrase.
    pub outcome: String,
    /// Why so, a sentence each.
    pub reasons: Vec<String>,
    /// What it leaves alone.
    pub findings: Vec<Finding>,
}
