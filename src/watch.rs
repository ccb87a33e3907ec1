//! Watching the mail system for a moment after it was told to read its files again.
//!
//! Owns the proof that master(8) lives and no service dies: a reload returns 0 whatever
//! happens next, and an agent that dies leaves no more than a line in the log.
//! Must not know what was changed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::finding::{self, Finding, escape};
use crate::host::{Facts, Running};
use crate::maillog::{MailLog, MailLogError};
use crate::postfix::log::{self, Event, Line, Severity, Sign};
use crate::profile::Profile;
use crate::system::{System, SystemError};

/// How long it is watched: master and its services fail within a second or two, if they do.
pub const WATCHED: Duration = Duration::from_secs(3);

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Programs that people start: that one of them stops says nothing of the mail system.
const COMMANDS: [&[u8]; 7] = [
    b"sendmail",
    b"postqueue",
    b"postmap",
    b"postalias",
    b"postcat",
    b"postsuper",
    b"postconf",
];

/// How much of a log before the mark is read for what was wrong already.
const PAST: u64 = 256 * 1024;

/// A place in the log, from which on it is read.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// None where there is no log that could be read.
    log: Option<MailLog>,
    /// What died before: that it dies again is not our doing.
    known: Vec<Finding>,
    /// Names that faults of the old files are about: a program that now reads those files for
    /// the first time and stops at one of them does so without us.
    faulty: Vec<String>,
}

impl Mark {
    /// Marks the present end of the log.
    ///
    /// # Errors
    /// When the machine cannot be looked at.
    pub fn set(system: &dyn System, facts: &Facts) -> Result<Self, SystemError> {
        let named = facts.parameters.get("maillog_file");
        let log = match MailLog::mark(system, &named, &Profile::all_logs()) {
            Ok(log) => log,
            Err(MailLogError::System(error)) => return Err(error),
            // Master can be watched all the same.
            Err(_) => return Ok(Self::default()),
        };
        let past = log.before(system, PAST)?;
        Ok(Self {
            log: Some(log),
            known: signs_of_death(&past),
            faulty: Vec::new(),
        })
    }

    /// Takes note of the errors that the files had before.
    #[must_use]
    pub fn expecting(mut self, before: &[Finding]) -> Self {
        let errors = before
            .iter()
            .filter(|finding| finding.severity == finding::Severity::Error);
        // A title puts names between backticks; the first is what the fault is about.
        let names = errors.filter_map(|finding| finding.title.split('`').nth(1));
        self.faulty
            .extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
        self
    }

    /// What died and would not have without us.
    fn news(&self, signs: Vec<Finding>) -> Vec<Finding> {
        let is_own_end = |sign: &Finding| {
            ["fatal: ", "panic: "]
                .iter()
                .any(|word| sign.title.contains(word))
        };
        let is_expected = |sign: &Finding| {
            is_own_end(sign) && self.faulty.iter().any(|name| sign.title.contains(name))
        };
        // master(8) and clients only tell of the end of a program that has said why it ends.
        let are_explained = signs.iter().any(is_expected)
            && !signs
                .iter()
                .any(|sign| is_own_end(sign) && !is_expected(sign));
        signs
            .into_iter()
            .filter(|sign| !self.known.iter().any(|known| known.same_fault(sign)))
            .filter(|sign| {
                if is_own_end(sign) {
                    !is_expected(sign)
                } else {
                    !are_explained
                }
            })
            .collect()
    }

    /// Tells whether there is a log to read.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }
}

/// Watches master(8) and the logs; ends early when something is wrong.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn watch(system: &dyn System, facts: &Facts, mark: &Mark) -> Result<Vec<Finding>, SystemError> {
    let Running::Yes(process) = facts.running else {
        return Ok(Vec::new());
    };
    let began = Instant::now();
    let mut log = mark.log.clone().unwrap_or_default();
    let mut text = Vec::new();
    loop {
        let mut findings = Vec::new();
        if !system.is_alive(process) {
            // Who takes the files back also starts it again.
            findings.push(Finding::error(
                "master-died",
                format!("master (process {process}) died after the reload"),
            ));
        }
        text.append(&mut log.added(system)?);
        findings.extend(mark.news(signs_of_death(&text)));
        if !findings.is_empty() || began.elapsed() >= WATCHED {
            return Ok(findings);
        }
        sleep(PAUSE);
    }
}

/// Finds what tells that something died, each once.
fn signs_of_death(log: &[u8]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for line in log::lines(log).filter_map(Line::parse) {
        // The words of a stranger, a reply of a mail host or a subject, are no trouble of ours.
        let Event::Trouble(trouble) = line.record().event else {
            continue;
        };
        if line.syslog_name().is_empty() || COMMANDS.contains(&line.daemon()) {
            continue;
        }
        let meaning = match (trouble.sign, trouble.severity) {
            (Sign::Throttled { .. }, _) => {
                "a service dies at its start, and master waits a minute before it tries again"
            }
            (Sign::MalformedResponse { .. }, _) => "a service dies before it answers",
            (_, Severity::Fatal) => "a program of Postfix gave up",
            (_, Severity::Panic) => "a program of Postfix broke down",
            _ => continue,
        };
        let said = String::from_utf8_lossy(line.text);
        let finding = Finding::error("service-died", format!("the log says: {}", escape(&said)))
            .because(meaning);
        if !findings.iter().any(|known| known.same_fault(&finding)) {
            findings.push(finding);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_dies_is_seen_once() {
        let line = "Nov 25 10:00:00 mx postfix/master[7]: warning: /usr/lib/postfix/smtp: bad command startup -- throttling\n";
        let findings = signs_of_death(line.repeat(3).as_bytes());
        assert_eq!(findings.len(), 1);
        assert!(findings[0].title.contains("bad command startup"));
    }

    #[test]
    fn a_command_somebody_mistyped_is_no_sign() {
        let line = "Nov 25 10:00:00 mx postfix/sendmail[9]: fatal: usage: sendmail [options]\n";
        assert!(signs_of_death(line.as_bytes()).is_empty());
    }

    #[test]
    fn each_way_to_die_is_seen() {
        for said in [
            "fatal: open /etc/postfix/main.cf: Permission denied",
            "panic: myfree: corrupt or unallocated memory block",
            "warning: private/smtp-ipv4 socket: malformed response",
        ] {
            let line = format!("Nov 25 10:00:00 mx postfix/qmgr[9]: {said}\n");
            assert_eq!(signs_of_death(line.as_bytes()).len(), 1, "{said}");
        }
    }

    #[test]
    fn ordinary_lines_are_no_sign() {
        for said in [
            "A1B2C3: to=<a@b>, status=sent (250 ok)",
            // What a stranger says brings nothing back.
            "A1B2C3: to=<a@b>, status=deferred (host b said: 450 fatal: malformed response)",
            "A1B2C3: warning: header Subject: panic: throttling from b",
        ] {
            let line = format!("Nov 25 10:00:00 mx postfix/smtp[9]: {said}\n");
            assert!(signs_of_death(line.as_bytes()).is_empty(), "{said}");
        }
    }

    use crate::host::example;
    use crate::system::MemorySystem;

    const LOG: &str = "/var/log/mail.log";
    const DIES: &str = "Nov 25 10:00:00 mx postfix/master[7]: warning: /usr/lib/postfix/smtp: bad command startup -- throttling\n";
    const PANICS: &str = "Nov 25 10:00:00 mx postfix/qmgr[8]: panic: myfree: corrupt\n";
    const SENT: &str = "Nov 25 10:00:00 mx postfix/smtp[9]: A1B2C3: status=sent (250 ok)\n";

    /// What is found in the log as it is after, when it was as before at the mark.
    #[track_caller]
    fn check(path: &str, before: &str, after: &str, alive: bool, expected: &[&str]) {
        let mut facts = example::host("3.7.11", "maillog_file = /var/log/own", "").facts;
        facts.running = Running::Yes(7);
        let mark = Mark::set(&MemorySystem::new().file(path, before), &facts).unwrap();
        assert!(mark.has_log());
        let mut system = MemorySystem::new().file(path, after);
        if alive {
            system.alive = vec![7];
        }
        let findings = watch(&system, &facts, &mark).unwrap();
        let titles: Vec<&str> = findings.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, expected);
    }

    const DIED: &str =
        "the log says: warning: /usr/lib/postfix/smtp: bad command startup -- throttling";
    const PANICKED: &str = "the log says: panic: myfree: corrupt";
    const NO_MASTER: &str = "master (process 7) died after the reload";

    #[test]
    fn what_dies_after_the_mark_is_found() {
        for path in [LOG, "/var/log/maillog", "/var/log/own"] {
            check(path, SENT, &format!("{SENT}{DIES}"), true, &[DIED]);
        }
        let both = format!("{SENT}{DIES}{SENT}{PANICS}{DIES}");
        check(LOG, SENT, &both, true, &[DIED, PANICKED]);
    }

    #[test]
    fn what_died_before_the_mark_is_not_our_doing() {
        // It dies again, and something else does too.
        let after = format!("{DIES}{DIES}{PANICS}");
        check(LOG, DIES, &after, true, &[PANICKED]);
        check(LOG, DIES, &format!("{DIES}{DIES}"), false, &[NO_MASTER]);
    }

    #[test]
    fn what_old_faults_explain_is_not_our_doing() {
        let old = Finding::error(
            "bad-value",
            "`smtp_helo_name` cannot be ``: it must not be empty",
        );
        let mark = Mark::default().expecting(std::slice::from_ref(&old));
        let says = |said: &str| format!("Nov 25 10:00:00 mx postfix/smtp[9]: fatal: {said}\n");
        let news = |text: &str| mark.news(signs_of_death(text.as_bytes())).len();
        let expected = says("bad string length 0 < 1: smtp_helo_name =");
        assert_eq!(news(&expected), 0);
        // master says no more than that it ended.
        assert_eq!(news(&format!("{expected}{DIES}")), 0);
        assert_eq!(news(DIES), 1);
        let other = says("config variable inet_interfaces: host not found: ::1");
        assert_eq!(news(&format!("{expected}{other}{DIES}")), 2);
        // A fault worth a warning stops no program.
        let mild = Finding::warning("x", old.title.clone());
        assert!(Mark::default().expecting(&[mild]).faulty.is_empty());
    }

    #[test]
    fn a_log_that_was_rotated_is_read_from_its_start() {
        check(LOG, &SENT.repeat(9), DIES, true, &[DIED]);
    }

    #[test]
    fn a_master_that_died_is_found_without_a_log() {
        let mut facts = example::host("3.7.11", "", "").facts;
        facts.running = Running::Yes(7);
        let system = MemorySystem::new();
        let mark = Mark::set(&system, &facts).unwrap();
        assert!(!mark.has_log());
        let findings = watch(&system, &facts, &mark).unwrap();
        assert_eq!(findings[0].title, NO_MASTER);
        // One that did not run is not watched.
        for running in [Running::No, Running::Unknown] {
            facts.running = running;
            assert!(watch(&system, &facts, &mark).unwrap().is_empty());
        }
    }

    #[test]
    fn lines_of_others_are_no_sign() {
        assert!(signs_of_death(b"x kernel: fatal: y\n").is_empty());
        let line = "Nov 25 10:00:00 mx postfix-out/smtp[9]: fatal: no\x1b[31m\n";
        assert_eq!(
            signs_of_death(line.as_bytes())[0].title,
            "the log says: fatal: no\\u{1b}[31m"
        );
    }
}
