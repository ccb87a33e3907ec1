//! Writes a made-up mail log to standard output and what is true of it, as JSON, to standard
//! error.
//!
//! usage: make-log LINES [iso] [long] [OPEN]

#![expect(clippy::print_stderr, reason = "a program of the tests")]

#[path = "log.rs"]
mod log;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use log::{Ends, Family, Shape};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.iter().filter_map(|word| word.parse().ok()).nth(at);
    let shape = Shape {
        lines: number(0).unwrap_or(100_000),
        iso: words.iter().any(|word| word == "iso"),
        long_ids: words.iter().any(|word| word == "long"),
        open: number(1)
            .and_then(|open| usize::try_from(open).ok())
            .unwrap_or(1000),
        seed: 7,
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let truth = log::write(shape, &mut out)?;
    out.flush()?;
    let mut all = Ends::default();
    for ends in truth.instances.values() {
        all.sent += ends.sent;
        all.deferred += ends.deferred;
        all.bounced += ends.bounced;
    }
    let failures: Vec<Value> = truth
        .failures
        .iter()
        .map(|(kind, count)| {
            let family = match kind.family {
                Family::V4 => "IPv4",
                Family::V6 => "IPv6",
                Family::None => "none",
            };
            json!({
                "provider": kind.provider,
                "cause": kind.cause,
                "protocol": family,
                "from": kind.from,
                "detour": kind.is_detour,
                "tries": count.tries,
                "messages": count.messages,
                "recipients": count.recipients,
                "delivered": count.delivered,
                "waiting": count.waiting,
                "given_up": count.given_up,
                "elsewhere": count.elsewhere,
            })
        })
        .collect();
    let told = json!({
        "lines": truth.lines,
        "messages": truth.messages,
        "reused": truth.reused,
        "waiting": truth.waiting,
        "unreachable": truth.unreachable,
        "suspended": truth.suspended,
        "troubles": truth.troubles,
        "all": ends(all),
        "instance": named(&truth.instances),
        "provider": named(&truth.providers),
        "domain": named(&truth.domains),
        "hours": truth.hours.values().map(|hour| ends(*hour)).collect::<Vec<_>>(),
        "failures": failures,
    });
    eprintln!("{told}");
    Ok(())
}

fn ends(ends: Ends) -> Value {
    json!({
        "total": ends.total(),
        "sent": ends.sent,
        "deferred": ends.deferred,
        "bounced": ends.bounced,
    })
}

fn named<K: ToString>(rows: &BTreeMap<K, Ends>) -> Value {
    let rows = rows.iter();
    rows.map(|(name, row)| (name.to_string(), ends(*row)))
        .collect()
}
