//! Counts in the forms that are printed: tables, JSON, CSV, plain lines, OpenMetrics.
#![expect(clippy::cast_precision_loss, reason = "shares, for the eye")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::Section;
use crate::cli::ui::csv_field;
use crate::finding::{columns, cut, escape};
use crate::stats::{Ends, Hour, MailHosts, Row, Tally};

/// The heights of a small bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most bars in a row.
const MOST_BARS: usize = 60;

/// The most bars behind a row of a table, and the fewest that tell anything.
const MOST_COURSE: usize = 24;
const LEAST_COURSE: usize = 4;

/// How wide every terminal is.
const SCREEN: usize = 80;

/// The longest name that leaves room for the numbers.
const NAME: usize = 26;

pub fn lines(count: u64) -> String {
    if count == 1 {
        "1 line".to_owned()
    } else {
        format!("{} lines", grouped(count))
    }
}

fn deliveries(count: u64) -> String {
    if count == 1 {
        "1 delivery".to_owned()
    } else {
        format!("{} deliveries", grouped(count))
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn as_tables(all: &Row, sections: &[Section]) -> String {
    let mut text = String::new();
    let hours = all.hours.keys();
    if let (Some(first), Some(last)) = (hours.clone().next(), hours.clone().next_back()) {
        let _ = writeln!(
            text,
            "{}, {} {:02}:00 to {} {:02}:59",
            deliveries(all.counted.ends.total()),
            first.date(),
            first.of_day(),
            last.date(),
            last.of_day()
        );
        let bars = bars(all);
        if bars.chars().count() > 1 {
            let _ = writeln!(text, "{bars}");
        }
    } else {
        text.push_str("no deliveries\n");
        return text;
    }
    for section in sections {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let word = section.what.word();
        table.set_header([
            word.as_str(),
            "total",
            "sent",
            "deferred",
            "bounced",
            "sent %",
            "p50",
            "p95",
        ]);
        for row in &section.rows {
            table.add_row(cells(row));
        }
        if section.rows.len() > 1 && section.more == 0 {
            table.add_row(cells(all));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push('\n');
        let table = table.to_string();
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        let width = lines.iter().map(|line| columns(line)).max();
        let width = width.unwrap_or_default() + 2;
        let most = SCREEN.saturating_sub(width).min(MOST_COURSE);
        // The header has none; behind the rows stands that of all.
        let courses = std::iter::once(String::new()).chain(
            section
                .rows
                .iter()
                .chain([all])
                .map(|row| course(row, all, most)),
        );
        for (line, course) in lines.iter().zip(courses) {
            if course.is_empty() {
                let _ = writeln!(text, "{line}");
            } else {
                let blank = " ".repeat(width.saturating_sub(columns(line)));
                let _ = writeln!(text, "{line}{blank}{course}");
            }
        }
        if section.more > 0 {
            let _ = writeln!(
                text,
                " and {} more; `--top 0` shows all",
                grouped(section.more as u64)
            );
        }
    }
    text
}

fn cells(row: &Row) -> [String; 8] {
    let ends = row.counted.ends;
    let delay = |share| {
        row.counted
            .delays
            .percentile(share)
            .map_or_else(|| "-".to_owned(), duration)
    };
    [
        cut(&escape(&row.name), NAME),
        grouped(ends.total()),
        grouped(ends.sent),
        grouped(ends.deferred),
        grouped(ends.bounced),
        percent(ends),
        delay(0.5),
        delay(0.95),
    ]
}

pub fn percent(ends: Ends) -> String {
    match ends.total() {
        0 => "-".to_owned(),
        total => {
            let share = ends.sent as f64 / total as f64 * 100.0;
            // What is not all of it must not read so.
            let shown = if ends.sent < total {
                share.min(99.9)
            } else {
                share
            };
            format!("{shown:.1}%")
        }
    }
}

pub fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 9.95 => format!("{seconds:.1}s"),
        _ if seconds < 99.5 => format!("{seconds:.0}s"),
        _ if seconds < 5940.0 => format!("{:.0}m", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.0}h", seconds / 3600.0),
        _ => format!("{:.0}d", seconds / 86_400.0),
    }
}

/// What ended when: as many slots as there is room for, each of the same number of hours.
pub fn slots(row: &Row, most: usize) -> Vec<(Hour, Ends)> {
    let Some((&first, _)) = row.hours.first_key_value() else {
        return Vec::new();
    };
    let at = |hour: &Hour| hour.since(first);
    let span = row.hours.keys().next_back().map_or(0, at) + 1;
    let step = span.div_ceil(most).max(1);
    let hours = (0..span.div_ceil(step)).map(|slot| first.later(slot * step));
    let mut slots: Vec<(Hour, Ends)> = hours.map(|hour| (hour, Ends::default())).collect();
    for (hour, ends) in &row.hours {
        if let Some((_, slot)) = slots.get_mut(at(hour) / step) {
            *slot += *ends;
        }
    }
    slots
}

/// The course of a row as small bars.
fn bars(row: &Row) -> String {
    let slots = slots(row, MOST_BARS);
    let totals: Vec<u64> = slots.iter().map(|(_, ends)| ends.total()).collect();
    heights(&totals)
}

/// Counts as small bars; the highest is that of the largest.
fn heights(counts: &[u64]) -> String {
    let most = counts.iter().max().copied().unwrap_or_default().max(1);
    let bar = |count: &u64| {
        let height = (count * BARS.len() as u64).div_ceil(most);
        let height = usize::try_from(height).unwrap_or_default().checked_sub(1);
        height.map_or(' ', |height| BARS.get(height).copied().unwrap_or('█'))
    };
    counts.iter().map(bar).collect()
}

/// The course of a row within the time of all, as few small bars; empty where it has none.
fn course(row: &Row, all: &Row, most: usize) -> String {
    if most < LEAST_COURSE {
        return String::new();
    }
    let hours = (all.hours.first_key_value(), all.hours.last_key_value());
    let (Some((&first, _)), Some((last, _))) = hours else {
        return String::new();
    };
    let step = (last.since(first) + 1).div_ceil(most).max(1);
    let mut slots = vec![0; (last.since(first) + 1).div_ceil(step)];
    for (hour, ends) in &row.hours {
        if let Some(slot) = slots.get_mut(hour.since(first) / step) {
            *slot += ends.total();
        }
    }
    if row.hours.is_empty() || slots.len() < 2 {
        return String::new();
    }
    heights(&slots).trim_end().to_owned()
}

pub fn as_lines(sections: &[Section]) -> String {
    let mut text = String::new();
    for row in sections.iter().flat_map(|section| &section.rows) {
        let ends = row.counted.ends;
        let name = escape(&row.name);
        for (what, count) in [
            ("total", ends.total()),
            ("bounced", ends.bounced),
            ("deferred", ends.deferred),
            ("sent", ends.sent),
        ] {
            let _ = writeln!(text, "{name}:{what}:{count}");
        }
        text.push('\n');
    }
    text
}

pub fn as_csv(sections: &[Section]) -> String {
    let mut text = String::from("by,name,total,sent,deferred,bounced,p50_seconds,p95_seconds\n");
    for section in sections {
        for row in &section.rows {
            let ends = row.counted.ends;
            let delay = |share| {
                let delay = row.counted.delays.percentile(share);
                delay.map(|delay| format!("{delay:.3}")).unwrap_or_default()
            };
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{}",
                section.what.word(),
                csv_field(&row.name),
                ends.total(),
                ends.sent,
                ends.deferred,
                ends.bounced,
                delay(0.5),
                delay(0.95)
            );
        }
    }
    text
}

fn row_json(row: &Row) -> Value {
    let ends = row.counted.ends;
    let delays = &row.counted.delays;
    let hours = row.hours.iter().map(|(hour, ends)| {
        json!({
            "hour": format!("{}T{:02}", hour.date(), hour.of_day()),
            "sent": ends.sent,
            "deferred": ends.deferred,
            "bounced": ends.bounced,
        })
    });
    json!({
        "name": row.name,
        "total": ends.total(),
        "sent": ends.sent,
        "deferred": ends.deferred,
        "bounced": ends.bounced,
        "delay": { "p50": delays.percentile(0.5), "p95": delays.percentile(0.95), "p99": delays.percentile(0.99) },
        "hours": hours.collect::<Vec<_>>(),
    })
}

pub fn as_json(all: &Row, sections: &[Section], tally: &Tally<'_>) -> Value {
    let by: serde_json::Map<String, Value> = sections
        .iter()
        .map(|section| {
            let rows: Vec<Value> = section.rows.iter().map(row_json).collect();
            (
                section.what.word(),
                json!({ "rows": rows, "more": section.more }),
            )
        })
        .collect();
    json!({ "all": row_json(all), "by": by, "not_understood": tally.odd })
}

/// The text exposition format of OpenMetrics 1.0, such that a node exporter reads the same of it.
///
/// A gauge: what logs hold shrinks when the oldest of them is removed, which Prometheus would take
/// for a counter that begins anew, and add all of it once more. And the name of a counter differs
/// between the two formats, so that type and help of it are lost in one of them.
pub fn as_openmetrics(tally: &Tally<'_>, hosts: &MailHosts, by_source: bool) -> String {
    let mut counts: BTreeMap<Vec<(&str, String)>, u64> = BTreeMap::new();
    for (cell, ends) in tally.cells() {
        let instance = String::from_utf8_lossy(tally.instance_name(cell.instance));
        let mut labels = vec![
            ("instance", label(&instance)),
            ("provider", label(hosts.id(cell.provider))),
            ("protocol", label(cell.family.word())),
        ];
        if by_source {
            labels.push(("source", label(&tally.departure(&cell))));
        }
        for (status, count) in [
            ("sent", ends.sent),
            ("deferred", ends.deferred),
            ("bounced", ends.bounced),
        ] {
            let mut labels = labels.clone();
            labels.push(("status", status.to_owned()));
            *counts.entry(labels).or_default() += count;
        }
    }
    let mut text = String::from(
        "# HELP mailfix_deliveries Deliveries in the logs that were read, by how they ended.\n# TYPE mailfix_deliveries gauge\n",
    );
    for (labels, count) in counts {
        let labels: Vec<String> = labels
            .into_iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let _ = writeln!(text, "mailfix_deliveries{{{}}} {count}", labels.join(","));
    }
    text.push_str("# EOF\n");
    text
}

/// A label's value, escaped as the format wants it.
fn label(text: &str) -> String {
    escape(text).replace('\\', "\\\\").replace('"', "\\\"")
}
