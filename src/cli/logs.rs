//! The logs a command reads: those that were named, or else the mail log of this host.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::SignedDuration;

use crate::cli::moment::Moment;
use crate::cli::progress::Measure;
use crate::cli::{Failure, FailureKind, Session};
use crate::departure::Departures;
use crate::host::{self, Facts, HostError, Interest};
use crate::log_files::{self, Damaged};
use crate::maillog;
use crate::profile::Profile;
use crate::site::Site;
use crate::stats::{LastDay, Source, Stamp};
use crate::system::{JournalPart, System, SystemError};
use crate::wizard::quoted;

/// The time of a file and that of its last line may differ: clocks, and zones of other machines.
const DAY: i64 = 24 * 60 * 60;

/// How long after its last line a log counts as one that nobody writes any more.
const LEFT: i64 = 7 * DAY;

/// The files of logs.
#[derive(Default)]
pub struct LogFiles {
    /// Those that are written to, by their paths.
    pub growing: Vec<(Utf8PathBuf, Source)>,
    /// Those that are not any more, the oldest first.
    pub rotated: Vec<Source>,
}

/// The site file where there is one, and all of this machine's Postfix.
type Servers = (Option<Site>, Result<Vec<Facts>, HostError>);

impl Session {
    /// Opens the logs that were named, or else the mail log of this host with its rotations, or
    /// the journal where there is none. What was last written before `since` is left alone.
    ///
    /// # Errors
    /// When one cannot be opened, or there is none.
    pub fn logs(
        &mut self,
        named: &[Utf8PathBuf],
        since: Option<Moment>,
    ) -> Result<Vec<Source>, Failure> {
        // Lines come late, and from machines with other clocks.
        let margin = SignedDuration::from_secs(DAY);
        let from = since.map(|since| since.before(margin).stamp(self.now));
        let since = since.map(|since| since.second(self.now));
        let last = LastDay::of(self.now.as_second());
        let mut sources = Vec::new();
        for path in named {
            if path == "-" {
                let input = self
                    .input
                    .take()
                    .ok_or_else(|| Failure::usage("standard input was named twice".to_owned()))?;
                let opened = log_files::stream(input, last);
                sources.push(opened.map_err(|error| cannot_read("-", &error))?);
            } else if !is_over(&self.outside, path, since)? {
                sources.push(open(&self.outside, path, from)?);
            }
        }
        if !named.is_empty() {
            return Ok(sources);
        }
        let profile = self.choose_profile(None)?.profile;
        let places = self.log_places(&profile)?;
        let mut written = None;
        for path in &places {
            for file in log_files::with_rotations(self.system.as_ref(), path)? {
                let stat = self.system.stat(&file)?;
                written = written.max(stat.map(|stat| stat.modified));
                if !is_over(self.system.as_ref(), &file, since)? {
                    sources.push(open(self.system.as_ref(), &file, from)?);
                }
            }
        }
        match written {
            None => sources.push(self.own_journal(&places, since, last)?),
            // Nobody writes the files any more: what has come since may be in the journal.
            Some(written) if written < self.now.as_second() - LEFT => {
                let since = since.max(Some(written + 1));
                sources.extend(self.own_journal(&places, since, last).ok());
            }
            Some(_) => {}
        }
        Ok(sources)
    }

    /// The files of logs that were named, or else of this host, as they are: those that grow, and
    /// those that were rotated away; what was last written before `since` is left alone.
    pub fn files_since(
        &mut self,
        named: &[Utf8PathBuf],
        since: Option<Moment>,
    ) -> Result<LogFiles, Failure> {
        let since = since.map(|since| since.second(self.now));
        let mut files = LogFiles::default();
        for path in named.iter().filter(|path| *path != "-") {
            if self.outside.stat(path)?.is_some() && !is_over(&self.outside, path, since)? {
                let source = open(&self.outside, path, None)?;
                files.growing.push((path.clone(), source));
            }
        }
        if !named.is_empty() {
            return Ok(files);
        }
        let profile = self.choose_profile(None)?.profile;
        for path in self.log_places(&profile)? {
            for file in log_files::with_rotations(self.system.as_ref(), &path)? {
                if is_over(self.system.as_ref(), &file, since)? {
                    continue;
                }
                let source = open(self.system.as_ref(), &file, None)?;
                if file == path {
                    files.growing.push((file, source));
                } else {
                    files.rotated.push(source);
                }
            }
        }
        Ok(files)
    }

    /// Where this host's log may be: the files that the instances of Postfix name, and those of
    /// syslog daemons.
    pub fn log_places(&mut self, profile: &Profile) -> Result<Vec<Utf8PathBuf>, Failure> {
        let config = self.config_directory(profile)?;
        // Without a Postfix that can be asked there may still be a log.
        let instances = self.instances(&config).unwrap_or_default();
        let mut places: Vec<Utf8PathBuf> = Vec::new();
        let named = instances
            .iter()
            .map(|facts| Utf8PathBuf::from(facts.parameters.get("maillog_file")))
            .filter(|path| path.is_absolute() && !path.starts_with("/dev"));
        for path in named.chain(profile.paths.logs.iter().cloned()) {
            if !places.contains(&path) {
                places.push(path);
            }
        }
        Ok(places)
    }

    fn own_journal(
        &self,
        looked: &[Utf8PathBuf],
        since: Option<i64>,
        last: LastDay,
    ) -> Result<Source, Failure> {
        let system = self.system.as_ref();
        let why = match maillog::has_journal(system) {
            Ok(true) => {
                let lines = system.journal(JournalPart::Since(since))?;
                return log_files::stream(lines, last)
                    .map_err(|error| cannot_read("the journal", &error));
            }
            Ok(false) => String::new(),
            Err(why) => format!(" ({why})"),
        };
        let looked: Vec<String> = looked.iter().map(|path| format!("`{path}`")).collect();
        Err(Failure::failed(format!(
            "there is no mail log: neither {} nor a journal{why}",
            looked.join(", ")
        ))
        .hint("name the files, or pipe one in: `journalctl -o export | mailfix stats -`"))
    }

    /// From which addresses mail leaves, as far as this host and the site file tell.
    pub fn departures(&mut self) -> Result<Departures, Failure> {
        let (site, instances) = self.servers(|failure| failure.findings.is_empty())?;
        let instances = match instances {
            Ok(instances) => instances,
            Err(error) => {
                self.ui.say(&format!(
                    "note: which addresses mail leaves from is known by replies alone: {error}"
                ));
                Vec::new()
            }
        };
        let system = self.system.as_ref();
        Ok(Departures::gather(system, &instances, site.as_ref())?)
    }

    /// The same, for who shows with each address whether it is known: what cannot be read, be it
    /// the site file, tells nothing.
    pub fn departures_if_known(&mut self) -> Result<Departures, Failure> {
        let (site, instances) = self.servers(|_| true)?;
        let system = self.system.as_ref();
        let instances = instances.unwrap_or_default();
        Ok(Departures::gather(system, &instances, site.as_ref())?)
    }

    /// The site file and the Postfix it is for; a fault of the file may be one that it is done
    /// without for.
    fn servers(&mut self, is_let_pass: impl Fn(&Failure) -> bool) -> Result<Servers, Failure> {
        let (site, profile) = match self.site() {
            Ok((site, chosen)) => (Some(site), chosen.profile),
            Err(failure) if failure.kind == FailureKind::Site && is_let_pass(&failure) => {
                (None, self.choose_profile(None)?.profile)
            }
            Err(failure) => return Err(failure),
        };
        let config = self.config_directory(&profile)?;
        Ok((site, self.instances(&config)))
    }

    /// All of this machine's Postfix, the one with the given configuration first.
    pub fn instances(&mut self, config: &Utf8Path) -> Result<Vec<Facts>, HostError> {
        let is_known = |first: &Facts| first.config == config;
        if self.observed.first().is_some_and(is_known) {
            return Ok(self.observed.clone());
        }
        let interest = Interest::default();
        let first = host::observe(self.system.as_ref(), config, &interest)?.facts;
        let mut all = vec![first];
        let further: Vec<Utf8PathBuf> = all
            .iter()
            .flat_map(|facts| facts.instances.clone())
            .collect();
        for directory in further {
            match host::observe(self.system.as_ref(), &directory, &interest) {
                Ok(host) => all.push(host.facts),
                Err(error) => self.ui.say(&format!(
                    "warning: the instance in `{directory}` is left out: {error}"
                )),
            }
        }
        Ok(all)
    }
}

/// Opens a log, and leaves out what was written long before a moment.
fn open(system: &dyn System, path: &Utf8Path, from: Option<Stamp>) -> Result<Source, Failure> {
    let opened = log_files::open(system, path);
    let source = opened.map_err(|error| match &error {
        // What is damaged at its very beginning is told as what is so later.
        SystemError::Read { source, .. } if damage(source).is_some() => {
            cannot_read(&format!("`{path}`"), source)
        }
        _ => error.into(),
    })?;
    match from {
        Some(from) => source
            .from(from)
            .map_err(|error| cannot_read(&format!("`{path}`"), &error)),
        None => Ok(source),
    }
}

/// Tells whether nothing was written to a file since then.
fn is_over(system: &dyn System, path: &Utf8Path, since: Option<i64>) -> Result<bool, Failure> {
    let Some(since) = since else {
        return Ok(false);
    };
    let stat = system.stat(path)?;
    // An archive may have set no time at all.
    Ok(stat.is_some_and(|stat| stat.modified > 0 && stat.modified < since - DAY))
}

/// How many bytes there are to read, where that is known.
pub fn measure(sources: &[Source]) -> Measure {
    let mut all = 0;
    for source in sources {
        match source {
            Source::File(file) => all += file.length(),
            Source::Stream { .. } => return Measure::Bytes(None),
        }
    }
    Measure::Bytes(Some(all))
}

/// What is wrong with an archive, where that is the error.
fn damage(error: &io::Error) -> Option<&Damaged> {
    error.get_ref()?.downcast_ref()
}

/// That a log could not be read to its end.
pub fn cannot_read(what: &str, error: &io::Error) -> Failure {
    let damaged = damage(error);
    let path = damaged.and_then(|damaged| damaged.path.as_ref());
    let what = path.map_or_else(|| what.to_owned(), |path| format!("`{path}`"));
    let failure = Failure::failed(format!("cannot read {what} to its end: {error}"));
    match damaged {
        Some(damaged) => {
            let name = path.map_or("FILE", |path| path.as_str());
            failure.hint(format!(
                "`{} {} | mailfix … -` reads as much of it as is whole",
                damaged.unpacker,
                quoted(name)
            ))
        }
        None => failure,
    }
}
