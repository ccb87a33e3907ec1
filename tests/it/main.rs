//! The one integration test binary; one module a subject.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs under test and look at their files"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skipped"
)]

mod authoritative;
mod cases;
mod check;
mod cli;
mod collected;
mod diagnose;
mod dns_check;
mod dns_list;
mod doctor;
mod explain;
mod follow;
mod formats;
mod journal;
mod kill;
mod lab;
mod laws;
mod log;
#[path = "../make_log/log.rs"]
mod made;
mod made_logs;
mod move_tables;
mod oracle;
mod page;
mod plan_changes_nothing;
mod plan_from_log;
mod providers;
mod push;
mod receipts;
mod records_are_right;
mod refusals;
mod request;
mod resolver;
mod rotate;
mod samples;
mod spf;
mod stats;
mod support;
mod system;
mod tidy;
mod timer;
mod trace;
mod wizard;
