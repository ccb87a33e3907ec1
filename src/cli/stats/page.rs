//! Counts as one page for a browser: no network, no script, light and dark.
#![expect(clippy::cast_precision_loss, reason = "places and shares, for the eye")]

use serde::Serialize;

use super::Section;
use super::forms::{duration, grouped, percent, slots};
use crate::cli::Failure;
use crate::finding::escape;
use crate::stats::{Ends, Hour, Row};
use crate::template::{TemplateError, render};

/// The plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;

/// The most bars in the plot.
const MOST_BARS: usize = 120;

/// Times written below the plot, none so far right that it would end beyond it.
const TICKS: usize = 6;
const LAST_TICK: f64 = 0.83;

/// What the numbers of a row are.
const COLUMNS: [&str; 7] = [
    "total", "sent", "deferred", "bounced", "sent %", "p50", "p95",
];

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
    columns: [&'static str; 7],
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
    let hours: Vec<Hour> = slots.iter().map(|(hour, _)| *hour).collect();
    let ticks = ticks(&hours).into_iter();
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
            .map(|(at, label)| (step * at as f64 / WIDTH, label))
            .filter(|(share, _)| *share <= LAST_TICK)
            .map(|(share, label)| Tick {
                x: number(share * 100.0),
                label,
            })
            .collect(),
        bars,
        columns: COLUMNS,
        sections: sections.iter().map(table).collect(),
    };
    render("stats.html", &page).map_err(|error: TemplateError| Failure::from(error))
}

/// Places and labels of times: days where there are some, else hours that divide one.
fn ticks(hours: &[Hour]) -> Vec<(usize, String)> {
    let Some((first, last)) = hours.first().zip(hours.last()) else {
        return Vec::new();
    };
    let span = last.since(*first) + 1;
    // The period above the plot has the year.
    let date = |hour: &Hour| hour.date().split_off(5);
    if span > 48 {
        let begins = |(at, hour): &(usize, &Hour)| {
            let before = at.checked_sub(1).and_then(|at| hours.get(at));
            before.map_or(hour.of_day() == 0, |before| before.day() != hour.day())
        };
        let days: Vec<_> = hours.iter().enumerate().filter(begins).collect();
        let every = days.len().div_ceil(TICKS).max(1);
        let days = days.into_iter().step_by(every);
        return days.map(|(at, hour)| (at, date(hour))).collect();
    }
    let every = [1, 2, 3, 6, 12]
        .into_iter()
        .find(|every| span <= TICKS * every)
        .and_then(|every| u32::try_from(every).ok());
    let every = every.unwrap_or(12);
    let places = hours.iter().enumerate();
    let places = places.filter(|(_, hour)| hour.of_day() % every == 0);
    places
        .map(|(at, hour)| (at, format!("{} {:02}h", date(hour), hour.of_day())))
        .collect()
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
