//! Counts as one page for a browser: no network, no script, light and dark.
#![expect(clippy::cast_precision_loss, reason = "places and shares, for the eye")]

use serde::Serialize;

use super::Section;
use super::forms::{duration, grouped, percent, slots};
use crate::cli::Failure;
use crate::finding::escape;
use crate::stats::{Ends, Row};
use crate::template::{TemplateError, render};

/// The plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;

/// The most bars in the plot.
const MOST_BARS: usize = 120;

/// Times written below the plot.
const TICKS: usize = 6;

#[derive(Serialize)]
struct Page {
    version: &'static str,
    period: String,
    total: String,
    sent: String,
    deferred: String,
    bounced: String,
    percent: String,
    width: f64,
    height: f64,
    most: String,
    bars: Vec<Bar>,
    ticks: Vec<Tick>,
    sections: Vec<Table>,
}

/// One bar of the plot: three parts, the sent ones at the foot.
#[derive(Serialize)]
struct Bar {
    x: String,
    width: String,
    parts: Vec<Part>,
    label: String,
}

#[derive(Serialize)]
struct Part {
    class: &'static str,
    y: String,
    height: String,
}

#[derive(Serialize)]
struct Tick {
    x: String,
    label: String,
}

#[derive(Serialize)]
struct Table {
    what: String,
    rows: Vec<Line>,
    more: usize,
}

#[derive(Serialize)]
struct Line {
    name: String,
    numbers: Vec<String>,
    /// Shares in percent, for the bar in the row.
    shares: Vec<Share>,
}

#[derive(Serialize)]
struct Share {
    class: &'static str,
    percent: String,
}

/// Writes the page.
pub fn page(all: &Row, sections: &[Section]) -> Result<String, Failure> {
    let ends = all.counted.ends;
    let slots = slots(all, MOST_BARS);
    let most = slots
        .iter()
        .map(|(_, ends)| ends.total())
        .max()
        .unwrap_or_default();
    let step = WIDTH / (slots.len().max(1) as f64);
    let mut bars = Vec::new();
    for (at, (hour, ends)) in slots.iter().enumerate() {
        let mut top = HEIGHT;
        let mut parts = Vec::new();
        for (class, count) in counts(*ends) {
            let height = HEIGHT * count as f64 / most.max(1) as f64;
            top -= height;
            if count > 0 {
                parts.push(Part {
                    class,
                    y: number(top),
                    height: number(height),
                });
            }
        }
        bars.push(Bar {
            x: number(step * at as f64),
            width: number((step - 1.0).max(step * 0.8)),
            parts,
            label: format!(
                "{} {:02}:00: {} sent, {} deferred, {} bounced",
                hour.date(),
                hour.of_day(),
                grouped(ends.sent),
                grouped(ends.deferred),
                grouped(ends.bounced)
            ),
        });
    }
    let every = slots.len().div_ceil(TICKS).max(1);
    let ticks = slots.iter().enumerate().step_by(every);
    let hours = all.hours.keys();
    let period = match (hours.clone().next(), hours.clone().next_back()) {
        (Some(first), Some(last)) => format!(
            "{} {:02}:00 to {} {:02}:59",
            first.date(),
            first.of_day(),
            last.date(),
            last.of_day()
        ),
        _ => "no deliveries".to_owned(),
    };
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        period,
        total: grouped(ends.total()),
        sent: grouped(ends.sent),
        deferred: grouped(ends.deferred),
        bounced: grouped(ends.bounced),
        percent: percent(ends),
        width: WIDTH,
        height: HEIGHT,
        most: grouped(most),
        ticks: ticks
            .map(|(at, (hour, _))| Tick {
                x: number(step * at as f64),
                label: format!("{} {:02}h", hour.date(), hour.of_day()),
            })
            .collect(),
        bars,
        sections: sections.iter().map(table).collect(),
    };
    render("stats.html", &page).map_err(|error: TemplateError| Failure::from(error))
}

fn counts(ends: Ends) -> [(&'static str, u64); 3] {
    [
        ("sent", ends.sent),
        ("deferred", ends.deferred),
        ("bounced", ends.bounced),
    ]
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

fn table(section: &Section) -> Table {
    let line = |row: &Row| {
        let ends = row.counted.ends;
        let delay = |share| {
            let delay = row.counted.delays.percentile(share);
            delay.map_or_else(|| "–".to_owned(), duration)
        };
        let share = |(class, count): (&'static str, u64)| Share {
            class,
            percent: number(count as f64 * 100.0 / ends.total().max(1) as f64),
        };
        Line {
            name: escape(&row.name),
            numbers: vec![
                grouped(ends.total()),
                grouped(ends.sent),
                grouped(ends.deferred),
                grouped(ends.bounced),
                percent(ends),
                delay(0.5),
                delay(0.95),
            ],
            shares: counts(ends).map(share).into(),
        }
    };
    Table {
        what: section.what.word(),
        rows: section.rows.iter().map(line).collect(),
        more: section.more,
    }
}
