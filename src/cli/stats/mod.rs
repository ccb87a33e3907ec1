//! `mailfix stats`: what became of mail, in numbers.

mod forms;
mod page;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};

use crate::cli::moment::When;
use crate::cli::{Failure, Session, json, logs};
use crate::departure::Departures;
use crate::stats::{self, By, MailHosts, Row, Source, Span, Tally};
use crate::system::File;

/// Count what was sent, deferred and bounced: by instance, provider, domain, over time
#[derive(Debug, Args)]
pub struct Stats {
    /// Logs to read, packed (gzip, zstd, xz) or not, or the journal as `journalctl -o export` and
    /// `-o json` write it; `-` is standard input [default: the mail log and its rotations, or the
    /// journal]
    #[arg(value_name = "LOG")]
    logs: Vec<Utf8PathBuf>,
    /// Tell deliveries apart by this; several with commas between them [default: instance, provider
    /// and domain]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    by: Vec<What>,
    #[command(flatten)]
    when: When,
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
    /// Write a page with plots too, which needs no network; for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<Utf8PathBuf>,
    /// Write the counts as OpenMetrics text too, for the textfile collector of a node exporter; to
    /// `-`, standard output, and nothing else
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
    /// The address of ours it left from, as far as configuration and replies tell
    Source,
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
            Self::Source => By::Source,
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
        let span = self.when.span(session.now);
        let sources = session.logs(&self.logs, self.when.since)?;
        let hosts = MailHosts::new(&session.catalogue()?.providers);
        let departures = if self.by.contains(&What::Source) {
            Some(session.departures()?)
        } else {
            None
        };
        let tally = session.count(&sources, &hosts, span, departures.as_ref())?;
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
        let metrics = self.openmetrics.as_ref();
        let metrics = metrics.map(|path| {
            (
                path,
                forms::as_openmetrics(&tally, &hosts, departures.is_some()),
            )
        });
        let text = if let Some((_, text)) = metrics.as_ref().filter(|(path, _)| *path == "-") {
            text.clone()
        } else if self.json {
            json::text(&json::object(
                "stats",
                &forms::as_json(&all, &sections, &tally),
            ))
        } else if self.csv {
            forms::as_csv(&sections)
        } else if self.plain {
            forms::as_lines(&sections)
        } else {
            forms::as_tables(&all, &sections)
        };
        session.ui.data(&text);
        if tally.odd > 0 && !self.json {
            session.ui.say(&format!(
                "note: {} with `status=` could not be understood and are not counted",
                forms::lines(tally.odd)
            ));
        }
        if let strangers @ [_, ..] = tally.strangers().as_slice() {
            let names: Vec<String> = strangers.iter().map(|name| format!("`{name}`")).collect();
            session.ui.say(&format!(
                "note: of lines that another machine wrote ({}) only replies tell the address",
                names.join(", ")
            ));
        }
        if let Some((path, text)) = metrics.filter(|(path, _)| *path != "-") {
            session.write_whole(path, &text)?;
        }
        if let Some(path) = &self.html {
            let text = page::page(&all, &sections)?;
            session.write_whole(path, &text)?;
        }
        Ok(0)
    }
}

impl Session {
    fn count<'a>(
        &mut self,
        sources: &[Source],
        hosts: &'a MailHosts,
        span: Span,
        departures: Option<&'a Departures>,
    ) -> Result<Tally<'a>, Failure> {
        let progress = self.progress(logs::measure(sources));
        let counted = stats::read(sources, hosts, span, departures, &|bytes| {
            progress.more(bytes);
        });
        counted.map_err(|error| logs::cannot_read("the log", &error))
    }

    /// Writes a file that the person asked for, whole or not at all.
    fn write_whole(&mut self, path: &Utf8Path, text: &str) -> Result<(), Failure> {
        let (uid, gid) = self.user;
        let file = File::new(text, 0o644, uid, gid);
        Ok(crate::system::System::write(
            &mut self.outside,
            path,
            &file,
        )?)
    }
}
