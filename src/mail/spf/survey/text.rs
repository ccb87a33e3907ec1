//! The tree as text, eighty columns wide.
//!
//! Owns how it is drawn: every term with a lookup has the number a receiver counts at that
//! point, and what it names beside it.

use std::fmt::{self, Write as _};

use ipnet::IpNet;

use super::{Branch, Costs, Survey, Tree};
use crate::finding::escape;
use crate::mail::spf::{MAX_LOOKUPS, MAX_VOID_LOOKUPS, cut};

/// The width that lines are folded to.
const WIDTH: usize = 80;

/// The columns that numbers take.
const MARGIN: usize = 3;

/// Most rows; behind them, what is left of a record is only counted.
const MOST: usize = 400;

/// As many networks beside one another are drawn term by term.
const FEW: usize = 3;

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut drawn = Drawing {
            text: &mut text,
            count: 0,
            rows: 0,
        };
        drawn.line("", 0, &self.tree.domain.host());
        drawn.tree(&self.tree, 1);
        if self.tree.fault.is_some() {
            return f.write_str(text.trim_end());
        }
        f.write_str(&text)?;
        if self.endless {
            f.write_str("a record leads back to itself: receivers stop with an error\n")?;
        }
        write!(f, "{}", self.costs)
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {MAX_LOOKUPS} lookups; of {MAX_VOID_LOOKUPS} that may find nothing {} over \
             IPv4, {} over IPv6",
            self.lookups, self.void_ipv4, self.void_ipv6
        )
    }
}

struct Drawing<'a> {
    text: &'a mut String,
    /// Lookups so far.
    count: usize,
    /// Rows so far, folded ones once.
    rows: usize,
}

impl Drawing<'_> {
    fn tree(&mut self, tree: &Tree, depth: usize) {
        if let Some(fault) = &tree.fault {
            self.line("", depth, &format!("! {fault}"));
        }
        let mut rest = tree.branches.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            if self.rows >= MOST {
                self.line("", depth, &format!("(and {} more terms)", rest.len()));
                return;
            }
            let literal = |branch: &&Branch| branch.is_literal() && branch.reached;
            let run = rest.iter().take_while(literal).count();
            if run > FEW {
                let (networks, tail) = rest.split_at(run);
                self.networks(networks, depth);
                rest = tail;
            } else {
                self.branch(first, depth);
                rest = tail;
            }
        }
    }

    fn branch(&mut self, branch: &Branch, depth: usize) {
        let mut number = String::new();
        if branch.costs.lookups > 0 {
            self.count += 1;
            let mark = if self.count > MAX_LOOKUPS { "!" } else { "" };
            number = format!("{mark}{}", self.count);
        }
        let term = escape(&branch.term);
        match beside(branch) {
            Some(remark) => self.line(&number, depth, &format!("{term}  {remark}")),
            None => self.line(&number, depth, &term),
        }
        if let Some(fault) = &branch.fault {
            self.line("", depth + 1, &format!("! {fault}"));
        }
        if let Some(tree) = &branch.tree {
            self.tree(tree, depth + 1);
        }
    }

    /// Many networks in a row, which nobody reads one by one.
    fn networks(&mut self, branches: &[Branch], depth: usize) {
        let ipv4 = branches
            .iter()
            .filter(|branch| {
                branch
                    .networks
                    .iter()
                    .any(|network| network.addr().is_ipv4())
            })
            .count();
        let count = |count: usize, kind: &str| match count {
            0 => None,
            count => Some(format!("{count} {kind}")),
        };
        let counts = [count(ipv4, "ip4"), count(branches.len() - ipv4, "ip6")];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        self.line("", depth, &format!("({})", counts.join(", ")));
    }

    /// A line: number, indent and words, folded behind the indent.
    fn line(&mut self, number: &str, depth: usize, words: &str) {
        self.rows += 1;
        let indent = match depth {
            0 => 0,
            depth => MARGIN + 2 * depth,
        };
        let mut line = format!("{number:>MARGIN$}");
        line.truncate(indent);
        line.push_str(&" ".repeat(indent.saturating_sub(line.len())));
        let mut column = indent;
        for (at, word) in words.split(' ').enumerate() {
            let word = cut(word);
            let length = word.chars().count();
            if at > 0 && column + 1 + length > WIDTH {
                line.push('\n');
                line.push_str(&" ".repeat(indent + 4));
                column = indent + 4;
            } else if at > 0 {
                line.push(' ');
                column += 1;
            }
            line.push_str(&word);
            column += length;
        }
        let _ = writeln!(self.text, "{line}");
    }
}

/// What stands beside a term: what it names.
fn beside(branch: &Branch) -> Option<String> {
    if !branch.reached {
        return Some("(never reached)".to_owned());
    }
    if branch.by_message {
        return Some("(depends on the message)".to_owned());
    }
    if branch.is_literal() || branch.fault.is_some() {
        return None;
    }
    let mut networks: Vec<String> = branch.networks.iter().map(network_text).collect();
    networks.dedup();
    if !networks.is_empty() {
        return Some(format!("= {}", networks.join(", ")));
    }
    let is_void = branch.costs.void_ipv4 + branch.costs.void_ipv6 > 0;
    is_void.then(|| "= nothing".to_owned())
}

/// A network, an address alone where it is one.
pub(super) fn network_text(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}
