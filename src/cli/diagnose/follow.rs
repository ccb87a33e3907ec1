//! `mailfix diagnose --follow`: what goes wrong, told as the log grows.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use serde_json::Value;

use super::forms::{self, count};
use super::shown;
use crate::cli::logs::{cannot_read, measure};
use crate::cli::moment::Moment;
use crate::cli::{Failure, FailureKind, Session, json};
use crate::departure::Departures;
use crate::diagnose::Knowledge;
use crate::diagnose::log::{From, Group, Options, Reading, Report};
use crate::finding::Severity;
use crate::log_files;
use crate::maillog::{self, MailLog};
use crate::mask::Mask;
use crate::stats::{Family, LastDay, Source};
use crate::system::{Attention, JournalPart, Stat, System};

/// How long to wait between two looks at a log that does not grow.
const PAUSE: Duration = Duration::from_millis(200);

/// How often what has come is summed up.
const SUM_UP: Duration = Duration::from_millis(500);

/// How often is told how much more of the same came.
const COUNT: Duration = Duration::from_secs(60);

/// How often is looked whether main.cf names another file.
const CONFIGURATION: Duration = Duration::from_secs(5);

/// How many kinds a line of counts names.
const NAMED: usize = 3;

/// The longest line that is waited for; Postfix's are shorter.
const LINE: usize = 1 << 20;

/// How many parts of standard input may wait to be read.
const WAITING: usize = 16;

/// What tells a group from the others.
type Key = (String, String, From, Family, [bool; 3]);

fn key(group: &Group) -> Key {
    (
        group.provider.clone(),
        group.code().to_owned(),
        group.from.clone(),
        group.family,
        [group.is_detour, group.is_greeting, group.is_new],
    )
}

/// How a log is followed.
pub struct Wanted {
    pub options: Options,
    /// What was there before is told too, from then on.
    pub since: Option<Moment>,
    /// How many kinds the summary has; 0 is all.
    pub top: usize,
    /// A line of JSON each in place of text.
    pub is_json: bool,
    pub mask: Option<Mask>,
}

/// Follows the logs that were named, or the one of this host, until told to stop.
pub fn follow(
    session: &mut Session,
    logs: &[Utf8PathBuf],
    knowledge: &Knowledge,
    wanted: Wanted,
) -> Result<u8, Failure> {
    let attention = Attention::new()
        .map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))?;
    let past = Past::of(session, logs, wanted.since)?;
    let mut coming = Coming::of(session, logs, wanted.since)?;
    let departures = session.departures_if_known()?;
    session.ui.say(&format!(
        "following {}; Ctrl-C ends it with a summary",
        coming.names.join(", ")
    ));
    let begun = Instant::now();
    let mut reading = Reading::new(knowledge, wanted.options);
    let mut told = Told {
        knowledge,
        departures,
        top: wanted.top,
        is_json: wanted.is_json,
        mask: wanted.mask,
        severities: BTreeMap::new(),
        tries: BTreeMap::new(),
    };
    let (mut summed_up, mut counted) = (begun, begun);
    let mut is_new = past.read(session, &mut reading, &mut coming)?;
    loop {
        let more = match coming.more(session) {
            Err(failure) if attention.is_called() => {
                drop(failure);
                None
            }
            other => other?,
        };
        if std::mem::take(&mut coming.is_configured_anew) {
            told.departures = session.departures_if_known()?;
        }
        let is_over = more.is_none() || attention.is_called() || session.ui.is_unread();
        let more = more.unwrap_or_default();
        if !more.is_empty() {
            let elapsed = i64::try_from(begun.elapsed().as_secs()).unwrap_or_default();
            reading.feed(&more, LastDay::of(session.now.as_second() + elapsed));
            is_new = true;
        }
        if is_new && (is_over || summed_up.elapsed() >= SUM_UP) {
            told.tell(session, reading.report());
            (summed_up, is_new) = (Instant::now(), false);
        }
        if is_over {
            break;
        }
        if counted.elapsed() >= COUNT {
            told.count(session, &reading.report());
            counted = Instant::now();
        }
        if more.is_empty() && !coming.is_in_line {
            thread::sleep(PAUSE);
        }
    }
    let report = reading.report();
    told.sum_up(session, report.clone());
    Ok(if report.has_errors() {
        FailureKind::Failed.status()
    } else {
        0
    })
}

/// What was there before, and is told too.
struct Past {
    sources: Vec<Source>,
    /// How far each file is read by that which is followed as well.
    read: Vec<(Utf8PathBuf, u64)>,
}

impl Past {
    /// Opens it, where it is asked for. What comes of the journal begins there by itself.
    fn of(
        session: &mut Session,
        logs: &[Utf8PathBuf],
        since: Option<Moment>,
    ) -> Result<Self, Failure> {
        let mut past = Self {
            sources: Vec::new(),
            read: Vec::new(),
        };
        if since.is_none() {
            return Ok(past);
        }
        let files = session.files_since(logs, since)?;
        past.sources.extend(files.rotated);
        for (path, source) in files.growing {
            // Nobody writes to what is packed.
            if let Source::File(file) = &source {
                past.read.push((path, file.length()));
            }
            past.sources.push(source);
        }
        Ok(past)
    }

    /// Reads it; gives whether there was any.
    fn read(
        self,
        session: &mut Session,
        reading: &mut Reading<'_>,
        coming: &mut Coming,
    ) -> Result<bool, Failure> {
        let progress = session.progress(measure(&self.sources));
        let read = reading.feed_all(&self.sources, &|bytes| progress.more(bytes));
        read.map_err(|error| cannot_read("the log", &error))?;
        for (path, length) in &self.read {
            if let Some(files) = &mut coming.files {
                files.is_read(path, *length);
            }
        }
        Ok(!self.sources.is_empty())
    }
}

/// What was told already, and how it is told.
struct Told<'k> {
    knowledge: &'k Knowledge,
    departures: Departures,
    top: usize,
    is_json: bool,
    mask: Option<Mask>,
    severities: BTreeMap<Key, Severity>,
    /// How often each was tried when it was counted last.
    tries: BTreeMap<Key, u64>,
}

impl Told<'_> {
    /// Tells what is new.
    fn tell(&mut self, session: &mut Session, mut report: Report) {
        report.locate(&self.departures);
        for mut group in report.groups {
            let (key, severity) = (key(&group), group.severity());
            let before = self.severities.insert(key.clone(), severity);
            if before.is_some_and(|before| severity <= before) {
                continue;
            }
            if let Some(mask) = &mut self.mask {
                group.mask(mask);
            }
            match before {
                None => {
                    if self.is_json {
                        line(session, "finding", &forms::of_group(&group, self.knowledge));
                    } else {
                        session.ui.findings(&[group.finding(self.knowledge)]);
                        session.ui.data("\n");
                    }
                    self.tries.insert(key, group.tries);
                }
                Some(_) if self.is_json => {
                    line(session, "worse", &forms::of_group(&group, self.knowledge));
                }
                Some(before) => session.ui.say(&format!(
                    "{}: more than {} by now: {}",
                    group.code(),
                    word(before),
                    group.title(self.knowledge)
                )),
            }
        }
    }

    /// Tells how much more of the same came since this was last asked.
    fn count(&mut self, session: &mut Session, report: &Report) {
        let mut more: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for group in &report.groups {
            let before = self.tries.insert(key(group), group.tries);
            let since = group.tries.saturating_sub(before.unwrap_or_default());
            if since > 0 {
                *more.entry((group.code(), &group.provider)).or_default() += since;
            }
        }
        if more.is_empty() {
            return;
        }
        if self.is_json {
            let all = more.iter().map(|((code, provider), tries)| {
                serde_json::json!({ "code": code, "provider": provider, "tries": tries })
            });
            line(session, "more", &all.collect());
        } else if let Some(line) = counts(&more) {
            session.ui.say(&line);
        }
    }

    /// Tells what all of it came to.
    fn sum_up(&mut self, session: &mut Session, mut report: Report) {
        if let Some(mask) = &mut self.mask {
            report.mask(mask);
        }
        report.locate_all(&self.departures);
        let all = report.groups.len();
        report.groups.truncate(shown(all, self.top));
        if self.is_json {
            line(session, "summary", &forms::as_json(&report, self.knowledge));
            return;
        }
        summary(session, &report);
        if report.groups.len() < all {
            let left = all - report.groups.len();
            session.ui.say(&format!("{left} more; `--top 0` shows all"));
        }
    }
}

/// `12 more: 9 ipv6-no-ptr (google), 3 greylisted (other)`.
fn counts(more: &BTreeMap<(&str, &str), u64>) -> Option<String> {
    let total: u64 = more.values().sum();
    if total == 0 {
        return None;
    }
    let mut kinds: Vec<_> = more.iter().collect();
    kinds.sort_by_key(|&(names, count)| (std::cmp::Reverse(*count), *names));
    let named: Vec<String> = kinds
        .iter()
        .take(NAMED)
        .map(|((code, provider), count)| format!("{count} {code} ({provider})"))
        .collect();
    let rest = kinds.len().saturating_sub(NAMED);
    let rest = if rest > 0 {
        format!(", and {}", count(rest, "other kind"))
    } else {
        String::new()
    };
    Some(format!("{total} more: {}{rest}", named.join(", ")))
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "an error",
        Severity::Warning => "a warning",
        Severity::Note => "a note",
    }
}

/// Tells what all of it came to.
fn summary(session: &mut Session, report: &Report) {
    if report.groups.is_empty() {
        session.ui.say("nothing was refused, lost or stuck");
        return;
    }
    let mut rows: Vec<[String; 4]> = Vec::new();
    for group in &report.groups {
        let severity = match group.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        rows.push([
            group.tries.to_string(),
            severity.to_owned(),
            group.code().to_owned(),
            group.provider.clone(),
        ]);
    }
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths.map(String::len).max().unwrap_or_default()
    };
    let (tries, code) = (width(0), width(2));
    let line = |[number, severity, cause, provider]: &[String; 4]| {
        format!("  {number:>tries$}  {severity:<7}  {cause:<code$}  {provider}\n")
    };
    let lines: String = rows.iter().map(line).collect();
    let text = format!("summary\n{lines}");
    session.ui.data(&text);
}

/// Tells something to a program.
fn line(session: &mut Session, what: &str, value: &Value) {
    let object = json::object(what, value);
    session.ui.data(&json::line(&object));
}

/// What grows.
struct Coming {
    /// The files, and who has them: this host's are those of the tree that is worked on.
    files: Option<MailLog>,
    is_own: bool,
    journal: Option<Box<dyn Read + Send>>,
    input: Option<Receiver<io::Result<Vec<u8>>>>,
    /// The last line, which is not whole yet.
    part: Vec<u8>,
    /// More of that line came just now: nobody waits for the rest of a long one.
    is_in_line: bool,
    /// What it is called.
    names: Vec<String>,
    configuration: Option<Configuration>,
    /// That changed just now.
    is_configured_anew: bool,
}

/// The main.cf whose `maillog_file` counts.
struct Configuration {
    main: Utf8PathBuf,
    /// See [`mark`].
    mark: (u64, i64, u64),
    looked: Instant,
}

impl Coming {
    fn of(
        session: &mut Session,
        logs: &[Utf8PathBuf],
        since: Option<Moment>,
    ) -> Result<Self, Failure> {
        let mut coming = Self {
            files: None,
            is_own: logs.is_empty(),
            journal: None,
            input: None,
            part: Vec::new(),
            is_in_line: false,
            names: logs.iter().map(|path| format!("`{path}`")).collect(),
            configuration: None,
            is_configured_anew: false,
        };
        if logs.is_empty() {
            coming.take_own(session, since)?;
            return Ok(coming);
        }
        let (inputs, files): (Vec<_>, Vec<_>) = logs.iter().cloned().partition(|log| log == "-");
        if !inputs.is_empty() {
            coming.input = Some(read_beside(session)?);
        }
        for path in &files {
            if session.outside.stat(path)?.is_none() {
                session.ui.say(&format!("note: `{path}` is not there yet"));
            }
        }
        if !files.is_empty() {
            coming.files = Some(MailLog::of_files(&session.outside, &files)?);
        }
        Ok(coming)
    }

    /// Takes this host's own log: its files, or the journal where there is none.
    fn take_own(&mut self, session: &mut Session, since: Option<Moment>) -> Result<(), Failure> {
        let profile = session.choose_profile(None)?.profile;
        let places = session.log_places(&profile)?;
        let main = session.config_directory(&profile)?.join("main.cf");
        let system = session.system.as_ref();
        let stat = system.stat(&main)?;
        self.configuration = stat.map(|stat| Configuration {
            main,
            mark: mark(&stat),
            looked: Instant::now(),
        });
        let mut there = Vec::new();
        for path in places {
            if system.stat(&path)?.is_some() {
                there.push(path);
            }
        }
        self.names = there.iter().map(|path| format!("`{path}`")).collect();
        if there.is_empty() {
            match maillog::has_journal(system) {
                Ok(true) => {
                    let since = since.map(|since| since.second(session.now));
                    self.journal = Some(system.journal(JournalPart::Coming(since))?);
                }
                Ok(false) => return Err(Failure::failed("there is no mail log to follow")),
                Err(why) => {
                    return Err(Failure::failed(format!(
                        "there is no mail log to follow: {why}"
                    )));
                }
            }
            self.names.push("the journal".to_owned());
        }
        self.files = Some(MailLog::of_files(system, &there)?);
        Ok(())
    }

    /// The whole lines that have come; none where nobody will write any more.
    fn more(&mut self, session: &mut Session) -> Result<Option<Vec<u8>>, Failure> {
        self.look_at_configuration(session)?;
        let mut lines = Vec::new();
        let mut is_open = false;
        self.is_in_line = false;
        if let Some(files) = &mut self.files {
            let system: &dyn System = if self.is_own {
                session.system.as_ref()
            } else {
                &session.outside
            };
            lines = files.added(system)?;
            is_open = !files.places().is_empty() || self.journal.is_none();
        }
        if let Some(journal) = &mut self.journal {
            let mut buffer = vec![0; 1 << 16];
            match journal.read(&mut buffer) {
                Ok(0) => self.journal = None,
                Ok(length) => {
                    self.part
                        .extend_from_slice(buffer.get(..length).unwrap_or_default());
                    is_open = true;
                    self.is_in_line = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => is_open = true,
                Err(error) => return Err(cannot_read("the journal", &error)),
            }
        }
        if let Some(input) = &self.input {
            match input.try_recv() {
                Ok(bytes) => {
                    let bytes = bytes.map_err(|error| cannot_read("-", &error))?;
                    self.part.extend_from_slice(&bytes);
                    is_open = true;
                    self.is_in_line = true;
                }
                Err(TryRecvError::Empty) => is_open = true,
                Err(TryRecvError::Disconnected) => {
                    // The last line may lack its end.
                    self.part.push(b'\n');
                    self.input = None;
                }
            }
        }
        let whole = self.part.iter().rposition(|&byte| byte == b'\n');
        if let Some(end) = whole {
            lines.extend(self.part.drain(..=end));
        } else if self.part.len() > LINE {
            self.part.clear();
        }
        Ok((is_open || !lines.is_empty()).then_some(lines))
    }

    /// Takes up the file that main.cf names by now.
    fn look_at_configuration(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some(configuration) = &mut self.configuration else {
            return Ok(());
        };
        if configuration.looked.elapsed() < CONFIGURATION {
            return Ok(());
        }
        configuration.looked = Instant::now();
        let stat = session.system.stat(&configuration.main)?;
        let Some(mark) = stat.map(|stat| mark(&stat)) else {
            return Ok(());
        };
        if mark == configuration.mark {
            return Ok(());
        }
        configuration.mark = mark;
        self.is_configured_anew = true;
        session.observed.clear();
        let profile = session.choose_profile(None)?.profile;
        let places = session.log_places(&profile)?;
        if let (Some(files), Some(named)) = (&mut self.files, places.first())
            && files.follow(session.system.as_ref(), named)?
        {
            session
                .ui
                .say(&format!("following `{named}` too: main.cf was changed"));
        }
        Ok(())
    }
}

/// What tells a file from what it was a moment ago.
fn mark(stat: &Stat) -> (u64, i64, u64) {
    (stat.inode, stat.modified, stat.size)
}

/// Reads standard input beside us, so that Ctrl-C is heard meanwhile.
fn read_beside(session: &mut Session) -> Result<Receiver<io::Result<Vec<u8>>>, Failure> {
    let input = session
        .input
        .take()
        .ok_or_else(|| Failure::usage("standard input was named twice"))?;
    let last = LastDay::of(session.now.as_second());
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || {
        let read = || -> io::Result<()> {
            let Source::Stream { bytes, .. } = log_files::stream(input, last)? else {
                return Ok(());
            };
            let mut bytes = bytes.into_inner().map_err(|_| ErrorKind::Other)?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let length = bytes.read(&mut buffer)?;
                let part = buffer.get(..length).unwrap_or_default().to_vec();
                if length == 0 || sender.send(Ok(part)).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read() {
            // Whoever would hear of it may be gone.
            let _ = sender.send(Err(error));
        }
    });
    Ok(receiver)
}
