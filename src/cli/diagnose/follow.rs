//! `mailfix diagnose --follow`: what goes wrong, told as the log grows.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use super::forms::count;
use crate::cli::logs::cannot_read;
use crate::cli::{Failure, FailureKind, Session};
use crate::diagnose::Knowledge;
use crate::diagnose::log::{From, Group, Options, Reading, Report};
use crate::finding::Severity;
use crate::log_files;
use crate::maillog::{self, MailLog};
use crate::mask::Mask;
use crate::stats::{Family, LastDay, Source};
use crate::system::{Attention, JournalPart, System};

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

/// Follows the logs that were named, or the one of this host, until told to stop.
pub fn follow(
    session: &mut Session,
    logs: &[Utf8PathBuf],
    knowledge: &Knowledge,
    options: Options,
    mask: Option<Mask>,
) -> Result<u8, Failure> {
    let attention = Attention::new()
        .map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))?;
    let mut coming = Coming::of(session, logs)?;
    session.ui.say(&format!(
        "following {}; Ctrl-C ends it with a summary",
        coming.names.join(", ")
    ));
    let begun = Instant::now();
    let mut reading = Reading::new(knowledge, options);
    let mut told = Told {
        mask,
        ..Told::default()
    };
    let (mut summed_up, mut counted) = (begun, begun);
    let mut is_new = false;
    loop {
        let more = match coming.more(session) {
            Err(failure) if attention.is_called() => {
                drop(failure);
                None
            }
            other => other?,
        };
        let is_over = more.is_none() || attention.is_called() || session.ui.is_unread();
        let more = more.unwrap_or_default();
        if !more.is_empty() {
            let elapsed = i64::try_from(begun.elapsed().as_secs()).unwrap_or_default();
            reading.feed(&more, LastDay::of(session.now.as_second() + elapsed));
            is_new = true;
        }
        if is_new && (is_over || summed_up.elapsed() >= SUM_UP) {
            told.tell(session, &reading.report(), knowledge);
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
    summary(session, &report);
    Ok(if report.has_errors() {
        FailureKind::Failed.status()
    } else {
        0
    })
}

/// What was told already.
#[derive(Default)]
struct Told {
    severities: BTreeMap<Key, Severity>,
    /// How often each was tried when it was counted last.
    tries: BTreeMap<Key, u64>,
    mask: Option<Mask>,
}

impl Told {
    /// Tells what is new.
    fn tell(&mut self, session: &mut Session, report: &Report, knowledge: &Knowledge) {
        for group in &report.groups {
            let severity = group.severity();
            match self.severities.insert(key(group), severity) {
                None => {
                    let mut group = group.clone();
                    if let Some(mask) = &mut self.mask {
                        group.mask(mask);
                    }
                    session.ui.findings(&[group.finding(knowledge)]);
                    session.ui.data("\n");
                    self.tries.insert(key(&group), group.tries);
                }
                Some(before) if severity > before => session.ui.say(&format!(
                    "{}: more than {} by now: {}",
                    group.code(),
                    word(before),
                    group.title(knowledge)
                )),
                Some(_) => {}
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
        if let Some(line) = counts(&more) {
            session.ui.say(&line);
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
}

/// The main.cf whose `maillog_file` counts.
struct Configuration {
    main: Utf8PathBuf,
    modified: i64,
    looked: Instant,
}

impl Coming {
    fn of(session: &mut Session, logs: &[Utf8PathBuf]) -> Result<Self, Failure> {
        let mut coming = Self {
            files: None,
            is_own: logs.is_empty(),
            journal: None,
            input: None,
            part: Vec::new(),
            is_in_line: false,
            names: logs.iter().map(|path| format!("`{path}`")).collect(),
            configuration: None,
        };
        if logs.is_empty() {
            coming.take_own(session)?;
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
    fn take_own(&mut self, session: &mut Session) -> Result<(), Failure> {
        let profile = session.choose_profile(None)?.profile;
        let places = session.log_places(&profile)?;
        let main = session.config_directory(&profile)?.join("main.cf");
        let system = session.system.as_ref();
        let stat = system.stat(&main)?;
        self.configuration = stat.map(|stat| Configuration {
            main,
            modified: stat.modified,
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
                Ok(true) => self.journal = Some(system.journal(JournalPart::Coming)?),
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
        let modified = stat.map_or(configuration.modified, |stat| stat.modified);
        if modified == configuration.modified {
            return Ok(());
        }
        configuration.modified = modified;
        let profile = session.choose_profile(None)?.profile;
        let places = session.log_places(&profile)?;
        if let (Some(files), Some(named)) = (&mut self.files, places.first()) {
            let before = files.places().len();
            files.follow(session.system.as_ref(), named)?;
            if files.places().len() > before {
                session
                    .ui
                    .say(&format!("following `{named}` too: main.cf was changed"));
            }
        }
        Ok(())
    }
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
