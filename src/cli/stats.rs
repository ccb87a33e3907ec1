//! `mailfix stats`: what became of mail, in numbers.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::moment::{Moment, moment};
use crate::cli::{Failure, FailureKind, Session, json};
use crate::finding::escape;
use crate::log_files;
use crate::provider::Provider;
use crate::stats::{self, By, Ends, LastMonth, MailHosts, Row, Source, Span, Tally};

/// How long a log must take before a bar is drawn.
const PATIENCE: Duration = Duration::from_millis(300);

/// The heights of a small bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most bars in a row.
const MOST_BARS: usize = 60;

/// Count what was sent, deferred and bounced: by instance, provider, domain, over time
#[derive(Debug, Args)]
pub struct Stats {
    /// Logs to read, packed (gzip, zstd, xz) or not; `-` is standard input [default: the mail log
    /// and its rotations]
    #[arg(value_name = "LOG")]
    logs: Vec<Utf8PathBuf>,
    /// Tell deliveries apart by this; can be given several times [default: instance, provider and
    /// domain]
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Vec<What>,
    /// Count from then on: a date such as 2026-11-20 or 2026-11-20T10:30, or how long ago, 7d
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    since: Option<Moment>,
    /// Count until then
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    until: Option<Moment>,
    /// The most domains to show; 0 shows all
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    top: usize,
    /// Print it as JSON
    #[arg(long, conflicts_with_all = ["csv", "plain"])]
    pub json: bool,
    /// Print it as comma-separated values
    #[arg(long, conflicts_with = "plain")]
    csv: bool,
    /// Print `NAME:WHAT:NUMBER` lines, for scripts
    #[arg(long)]
    plain: bool,
    /// Write the counts as OpenMetrics text too, for the textfile collector of a node exporter
    #[arg(long, value_name = "FILE")]
    openmetrics: Option<Utf8PathBuf>,
}

/// A way to tell deliveries apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The `syslog_name`
    Instance,
    /// The receiver's provider, by its mail hosts
    Provider,
    /// The recipient's domain
    Domain,
    /// IPv4 or IPv6
    Protocol,
    /// The hour
    Hour,
    /// The day
    Day,
}

impl What {
    fn by(self) -> By {
        match self {
            Self::Instance => By::Instance,
            Self::Provider => By::Provider,
            Self::Domain => By::Domain,
            Self::Protocol => By::Protocol,
            Self::Hour => By::Hour,
            Self::Day => By::Day,
        }
    }

    fn word(self) -> String {
        let value = self.to_possible_value();
        value
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// A way to tell deliveries apart, and the rows of it.
struct Section {
    what: What,
    rows: Vec<Row>,
    /// Rows that were left out.
    more: usize,
}

impl Stats {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let span = Span {
            since: self.since.map(|since| since.stamp(session.now)),
            until: self.until.map(|until| until.stamp(session.now)),
        };
        let sources = session.logs(&self.logs)?;
        let hosts = MailHosts::new(&Provider::all());
        let tally = session.count(&sources, &hosts, span)?;
        let all = tally.all();
        let whats = match self.by.as_slice() {
            [] if self.plain => vec![What::Instance],
            [] => vec![What::Instance, What::Provider, What::Domain],
            given => given.to_vec(),
        };
        let sections: Vec<Section> = whats
            .into_iter()
            .map(|what| {
                let mut rows = tally.rows(what.by(), &hosts);
                let kept = match (what, self.top) {
                    (What::Domain, 1..) => rows.len().min(self.top),
                    _ => rows.len(),
                };
                let more = rows.len() - kept;
                rows.truncate(kept);
                Section { what, rows, more }
            })
            .collect();
        let text = if self.json {
            json::text(&json::object("stats", &as_json(&all, &sections, &tally)))
        } else if self.csv {
            as_csv(&sections)
        } else if self.plain {
            as_lines(&sections)
        } else {
            as_tables(&all, &sections)
        };
        session.ui.data(&text);
        if tally.odd > 0 && !self.json {
            session.ui.say(&format!(
                "note: {} with `status=` could not be understood and are not counted",
                lines(tally.odd)
            ));
        }
        if let Some(path) = &self.openmetrics {
            session.write_whole(path, &as_openmetrics(&tally, &hosts))?;
        }
        Ok(0)
    }
}

impl Session {
    /// Opens the logs that were named, or else the mail log of this host with its rotations.
    pub fn logs(&mut self, named: &[Utf8PathBuf]) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        let last = LastMonth::of(self.now.as_second());
        if !named.is_empty() {
            for path in named {
                sources.push(if path == "-" {
                    let input = self.input.take().ok_or_else(|| {
                        Failure::usage("standard input was named twice".to_owned())
                    })?;
                    log_files::stream(input, last).map_err(|error| cannot_read("-", error))?
                } else {
                    log_files::open(&self.outside, path)?
                });
            }
            return Ok(sources);
        }
        let profile = self.choose_profile(None)?.profile;
        let config = self.config_directory(&profile)?;
        let named = self.maillog_file(&config);
        let usual = profile.paths.logs.iter();
        let mut looked = Vec::new();
        for path in named.iter().chain(usual) {
            if looked.contains(path) {
                continue;
            }
            looked.push(path.clone());
            for file in log_files::with_rotations(self.system.as_ref(), path)? {
                sources.push(log_files::open(self.system.as_ref(), &file)?);
            }
        }
        if sources.is_empty() {
            let looked: Vec<String> = looked.iter().map(|path| format!("`{path}`")).collect();
            return Err(Failure::failed(format!("there is no mail log: {}", looked.join(", ")))
                .hint("name the files, or pipe the journal in: `journalctl -o short-iso | mailfix stats -`"));
        }
        Ok(sources)
    }

    /// What `maillog_file` of main.cf says, where there is a Postfix to ask.
    fn maillog_file(&self, config: &Utf8Path) -> Option<Utf8PathBuf> {
        let query = crate::system::Query::Postconf {
            config: Some(config.to_owned()),
            arguments: vec!["-h".to_owned(), "maillog_file".to_owned()],
        };
        let output = self
            .system
            .query(&query)
            .ok()
            .filter(|output| output.success())?;
        let text = output.text();
        let path = text.trim();
        (path.starts_with('/') && !path.starts_with("/dev/")).then(|| path.into())
    }

    fn count<'a>(
        &mut self,
        sources: &[Source],
        hosts: &'a MailHosts,
        span: Span,
    ) -> Result<Tally<'a>, Failure> {
        let length: u64 = sources.iter().map(Source::length).sum();
        let bar = self.progress(length);
        let counted = stats::read(sources, hosts, span, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        counted.map_err(|error| cannot_read("the log", error))
    }

    /// A bar for long work over so many bytes; only on a terminal, and not at once.
    fn progress(&self, length: u64) -> ProgressBar {
        if !self.is_terminal {
            return ProgressBar::hidden();
        }
        let bar =
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) =
            ProgressStyle::with_template("reading {bar:40} {bytes}/{total_bytes} {eta}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(PATIENCE);
        bar
    }

    /// Writes a file that the person asked for, whole or not at all.
    fn write_whole(&mut self, path: &Utf8Path, text: &str) -> Result<(), Failure> {
        let (uid, gid) = self.user;
        let file = crate::system::File::new(text, 0o644, uid, gid);
        Ok(crate::system::System::write(
            &mut self.outside,
            path,
            &file,
        )?)
    }
}

fn cannot_read(what: &str, error: io::Error) -> Failure {
    Failure::new(
        FailureKind::Failed,
        format!("cannot read {what} to its end: {error}"),
    )
}

fn lines(count: u64) -> String {
    if count == 1 {
        "1 line".to_owned()
    } else {
        format!("{} lines", grouped(count))
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn as_tables(all: &Row, sections: &[Section]) -> String {
    let mut text = String::new();
    let hours = all.hours.keys();
    if let (Some(first), Some(last)) = (hours.clone().next(), hours.clone().next_back()) {
        let _ = writeln!(
            text,
            "{} deliveries, {} {:02}:00 to {} {:02}:59",
            grouped(all.counted.ends.total()),
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
            "sent",
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
        for line in table.to_string().lines() {
            let _ = writeln!(text, "{}", line.trim_end());
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

/// The longest name that leaves room for the numbers.
const NAME: usize = 26;

fn cells(row: &Row) -> [String; 8] {
    let ends = row.counted.ends;
    let delay = |share| {
        row.counted
            .delays
            .percentile(share)
            .map_or_else(|| "-".to_owned(), duration)
    };
    let mut name = escape(&row.name);
    if name.chars().count() > NAME {
        name = name.chars().take(NAME - 1).chain(['…']).collect();
    }
    [
        name,
        grouped(ends.total()),
        grouped(ends.sent),
        grouped(ends.deferred),
        grouped(ends.bounced),
        percent(ends),
        delay(0.5),
        delay(0.95),
    ]
}

fn percent(ends: Ends) -> String {
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

fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds < 9.95 => format!("{seconds:.1}s"),
        _ if seconds < 99.5 => format!("{seconds:.0}s"),
        _ if seconds < 5940.0 => format!("{:.0}m", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.0}h", seconds / 3600.0),
        _ => format!("{:.0}d", seconds / 86_400.0),
    }
}

/// The course of a row as small bars, each for the same number of hours.
fn bars(row: &Row) -> String {
    let hours: Vec<(usize, u64)> = {
        let first = row.hours.keys().next();
        row.hours
            .iter()
            .map(|(hour, ends)| (first.map_or(0, |first| hour.since(*first)), ends.total()))
            .collect()
    };
    let span = hours.last().map_or(0, |(at, _)| at + 1);
    let step = span.div_ceil(MOST_BARS).max(1);
    let mut sums = vec![0_u64; span.div_ceil(step)];
    for (at, count) in hours {
        if let Some(sum) = sums.get_mut(at / step) {
            *sum += count;
        }
    }
    let most = sums.iter().copied().max().unwrap_or_default().max(1);
    sums.into_iter()
        .map(|sum| {
            let height = (sum * BARS.len() as u64).div_ceil(most).max(1) - 1;
            let height = usize::try_from(height).unwrap_or_default();
            if sum == 0 {
                ' '
            } else {
                BARS.get(height).copied().unwrap_or('█')
            }
        })
        .collect()
}

fn as_lines(sections: &[Section]) -> String {
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

fn as_csv(sections: &[Section]) -> String {
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

/// RFC 4180, 2; a spreadsheet takes what begins with these signs for a formula.
fn csv_field(text: &str) -> String {
    let text = escape(text);
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains(['"', ',', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
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

fn as_json(all: &Row, sections: &[Section], tally: &Tally<'_>) -> Value {
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

/// The text exposition format of OpenMetrics 1.0: counters since the logs begin.
fn as_openmetrics(tally: &Tally<'_>, hosts: &MailHosts) -> String {
    let mut counts: std::collections::BTreeMap<[String; 4], u64> =
        std::collections::BTreeMap::new();
    for (cell, ends) in &tally.cells {
        let instance = tally.instances.get(usize::from(cell.instance));
        let instance = String::from_utf8_lossy(instance.map(Vec::as_slice).unwrap_or_default());
        for (status, count) in [
            ("sent", ends.sent),
            ("deferred", ends.deferred),
            ("bounced", ends.bounced),
        ] {
            let labels = [
                label(&instance),
                label(hosts.id(cell.provider)),
                label(cell.family.word()),
                status.to_owned(),
            ];
            *counts.entry(labels).or_default() += count;
        }
    }
    let mut text = String::from(
        "# TYPE mailfix_deliveries counter\n# HELP mailfix_deliveries Deliveries in the mail log, by how they ended.\n",
    );
    for ([instance, provider, protocol, status], count) in counts {
        let _ = writeln!(
            text,
            "mailfix_deliveries_total{{instance=\"{instance}\",provider=\"{provider}\",protocol=\"{protocol}\",status=\"{status}\"}} {count}"
        );
    }
    text.push_str("# EOF\n");
    text
}

/// A label's value, escaped as the format wants it.
fn label(text: &str) -> String {
    escape(text).replace('\\', "\\\\").replace('"', "\\\"")
}
