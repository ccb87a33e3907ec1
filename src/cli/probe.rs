//! `mailfix probe`: sends a test message and tells what became of it.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::cli::apply::{Asking, Consent};
use crate::cli::{Failure, FailureKind, Session, json};
use crate::host::{self, Facts, Interest, Running};
use crate::mail::Mailbox;
use crate::maillog::{MailLog, MailLogError};
use crate::postfix::log::{Answer, Manner};
use crate::probe::{self, Ending, KnownBy, MOST, Outcome, Report, Sender, Told};
use crate::system::SystemError;

/// Send a test message to an address of yours, and tell what becomes of it
#[derive(Debug, Args)]
pub struct ProbeCommand {
    /// Where to: addresses that are yours, or whose owner knows of it
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The sender [default: postmaster at the site's first domain]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// How long to wait for the end of each message
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    wait: u64,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

const SEND: Asking<'_> = Asking {
    prompt: "Send?",
    yes: "send one message to each address",
    explanation: &[
        "each address gets one short message that says it is a test by mailfix, asked for by the administrator of this host",
        "it goes the way of all mail: through `sendmail` into the queue of this Postfix",
        "the log is read until it says what became of the message",
        "a message cannot be taken back; one that waits in the queue can be removed there",
    ],
};

impl ProbeCommand {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        if session.system.root().is_some() {
            return Err(Failure::usage("a tree sends no mail").hint("leave `--root` out"));
        }
        let recipients = recipients(&self.addresses)?;
        // A site file is no condition: it may only say who sends.
        let (site, profile) = match session.site() {
            Ok((site, chosen)) => (Some(site), chosen.profile),
            Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
                (None, session.choose_profile(None)?.profile)
            }
            Err(failure) => return Err(failure),
        };
        let config = session.config_directory(&profile)?;
        session.note_config(&profile, &config);
        let host = host::observe(session.system.as_ref(), &config, &Interest::default())?;
        let facts = host.facts;
        let domain = site.as_ref().and_then(|site| site.domains.first());
        let from = match &self.from {
            Some(text) => mailbox(text)?,
            None => default_sender(session, &facts, domain.map(String::as_str))?,
        };
        if facts.running == Running::No {
            return Err(Failure::failed(format!(
                "Postfix does not run, so nothing was sent (its configuration is in `{config}`)"
            ))
            .hint(format!("`postfix -c {config} start` starts it")));
        }
        let named = facts.parameters.get("maillog_file");
        let mut log = MailLog::mark(session.system.as_ref(), &named, &profile.paths.logs)?;
        let sender = Sender {
            sendmail: Utf8PathBuf::from(facts.parameters.get("sendmail_path")),
            host: host_name(&facts, &from),
            config,
            from,
            now: session.now,
        };
        announce(session, &sender, &recipients, &log, self.wait);
        if session.consent_before(&SEND, "sent")? == Consent::No {
            return Err(Failure::failed("not agreed to; nothing was sent"));
        }
        let sent = match probe::send(session.system.as_mut(), &sender, &recipients) {
            Ok(sent) => sent,
            Err(SystemError::Missing { program }) => {
                return Err(Failure::failed(format!(
                    "`{program}` is not there, so nothing was sent"
                ))
                .hint("`sendmail_path` in main.cf says where Postfix has it"));
            }
            Err(error) => return Err(error.into()),
        };
        session.ui.say("sent; waiting for what the log says of it");
        let wait = Duration::from_secs(self.wait);
        let mut reports = probe::follow(session.system.as_ref(), &facts, &mut log, &sent, wait)?;
        if site.is_some() {
            // What init would ask is answered already.
            for words in reports.iter_mut().flat_map(Report::mend_mut) {
                if words == "init" {
                    "apply".clone_into(words);
                }
            }
        }
        if self.json {
            let value = serde_json::json!({
                "from": sender.from.to_string(),
                "host": sender.host,
                "config": sender.config,
                "messages": reports,
            });
            session.ui.data(&json::text(&json::object("probe", &value)));
        } else {
            for report in &reports {
                tell(session, report, &facts, self.wait);
            }
        }
        let all = reports
            .iter()
            .all(|report| report.outcome == Outcome::Delivered);
        Ok(u8::from(!all))
    }
}

/// Says what will be done.
fn announce(session: &mut Session, sender: &Sender, to: &[Mailbox], log: &MailLog, wait: u64) {
    let messages = if to.len() == 1 {
        "one test message".to_owned()
    } else {
        format!("{} test messages", to.len())
    };
    session.ui.say(&format!(
        "to send: {messages} as {}, through the Postfix of `{}`",
        sender.from, sender.config
    ));
    for address in to {
        session.ui.say(&format!("  to {address}"));
    }
    session.ui.say(&format!(
        "to read: {}, until each has come to an end, for {wait} s at most",
        log.places().join(" and ")
    ));
}

/// Reads the addresses; each gets one message however often it is named.
fn recipients(texts: &[String]) -> Result<Vec<Mailbox>, Failure> {
    let mut all: Vec<Mailbox> = Vec::new();
    for text in texts {
        let address = mailbox(text)?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    if all.len() > MOST {
        return Err(Failure::usage(format!(
            "{} addresses are too many: {MOST} at a time are enough for a test",
            all.len()
        ))
        .hint("one address at each receiver says as much"));
    }
    Ok(all)
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    Mailbox::parse(text).map_err(|error| {
        Failure::usage(format!("`{text}` is no address to send a test to: {error}"))
            .hint("a plain address such as `bob@example.org`")
    })
}

/// The sender, where none is named: what the receiver looks at shall be the domain that mail
/// really comes from, and every domain has to have a postmaster (RFC 5321, 4.5.1).
fn default_sender(
    session: &Session,
    facts: &Facts,
    domain: Option<&str>,
) -> Result<Mailbox, Failure> {
    let mut origin = facts.parameters.get("myorigin");
    if origin.starts_with('/') {
        // Debian has a file name there.
        let file = session.system.read(Utf8Path::new(&origin))?;
        let bytes = file.map(|file| file.bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines()
            .next()
            .unwrap_or_default()
            .trim()
            .clone_into(&mut origin);
    }
    let name = facts.parameters.get("myhostname");
    let mut domains = domain.into_iter().chain([origin.as_str(), name.as_str()]);
    domains
        .find_map(|domain| Mailbox::parse(&format!("postmaster@{domain}")).ok())
        .ok_or_else(|| {
            Failure::failed("there is no domain to send from: neither a site file nor `myorigin` in main.cf has one")
                .hint("`--from ADDRESS` names the sender")
        })
}

/// The host's name, as it stands in the message; that of the sender's domain where it has none.
fn host_name(facts: &Facts, from: &Mailbox) -> String {
    let name = facts.parameters.get("myhostname");
    match Mailbox::parse(&format!("postmaster@{name}")) {
        Ok(mailbox) => mailbox.domain().to_owned(),
        Err(_) => from.domain().to_owned(),
    }
}

/// Tells what became of one message.
fn tell(session: &mut Session, report: &Report, facts: &Facts, wait: u64) {
    let word = match report.outcome {
        Outcome::Delivered => "delivered",
        Outcome::Deferred => "deferred, Postfix tries again later",
        Outcome::Bounced => "bounced, refused for good",
        Outcome::Stuck => "stuck",
        Outcome::Unsent => "not sent",
    };
    session.ui.heading(&format!("{}: {word}", report.address));
    if let Some(said) = &report.refused {
        session.ui.point("-", &format!("sendmail says: {said}"));
    }
    for ending in &report.deliveries {
        if report.deliveries.len() > 1 || ending.recipient != report.address {
            let outcome = format!("{:?}", ending.outcome).to_lowercase();
            let text = format!("for {}: {outcome}", ending.recipient);
            session.ui.point("-", &text);
        }
        tell_ending(session, ending);
        let relayhost = facts.parameters.get("relayhost");
        if !relayhost.is_empty() && ending.family.is_some() {
            let text = format!(
                "`relayhost = {relayhost}` hands mail on: what becomes of it there, only the log of that host says"
            );
            session.ui.point("-", &text);
        }
    }
    if let Some(stuck) = &report.stuck {
        let silence = match (report.queue_ids.is_empty(), stuck.in_queue) {
            (true, _) => {
                "the log says nothing of it: neither pickup nor cleanup took it, or the log is elsewhere"
            }
            (false, Some(true)) => "it lies in the queue, and the log says nothing of a delivery",
            (false, Some(false)) => "it has left the queue, and the log says nothing of a delivery",
            (false, None) => "the log says nothing of a delivery, and the queue cannot be asked",
        };
        session.ui.point("-", silence);
        if let Some(reason) = &stuck.reason {
            session.ui.point("-", &format!("the queue says: {reason}"));
        }
        for death in &stuck.deaths {
            session.ui.point("-", &format!("the log says: {death}"));
        }
        if stuck.deaths.is_empty() {
            let text = format!(
                "nothing is known to have died; perhaps {wait} s were too short (`--wait`)"
            );
            session.ui.point("-", &text);
        }
        if let Some(cause) = &stuck.cause {
            tell_cause(session, cause);
        }
    }
    let waits = report.stuck.as_ref().and_then(|stuck| stuck.in_queue) == Some(true)
        || report.outcome == Outcome::Deferred;
    if waits {
        for id in &report.queue_ids {
            let text = format!(
                "it waits in the queue; `postsuper -c {} -d {id}` takes it out",
                facts.config
            );
            session.ui.point("-", &text);
        }
    }
}

fn tell_ending(session: &mut Session, ending: &Ending) {
    let way = match ending.family {
        Some(family) => {
            let from = ending.source.map_or_else(String::new, |source| {
                let how = match source.known_by {
                    KnownBy::Reply => "the receiver names it",
                    KnownBy::Bound => "Postfix binds to it",
                    KnownBy::Route => "the kernel takes it",
                };
                format!(" from {} ({how})", source.address)
            });
            format!("over IPv{family}{from} to {}", ending.relay)
        }
        None if ending.relay == "none" => "no host was reached".to_owned(),
        None if ending.outcome != Outcome::Delivered => {
            format!("not taken by `{}` on this host", ending.relay)
        }
        None => format!(
            "taken by `{}` on this host: it says nothing of mail to others",
            ending.relay
        ),
    };
    session.ui.point("-", &way);
    for tried in &ending.tried {
        let text = format!("before that {} was tried: {}", tried.host, tried.reply);
        session.ui.point("-", &text);
    }
    if ending.address.is_some() {
        let tls = ending
            .tls
            .as_deref()
            .unwrap_or("not known (`smtp_tls_loglevel = 1` has the log say it)");
        session.ui.point("-", &format!("TLS: {tls}"));
    }
    session
        .ui
        .point("-", &format!("reply: {}", readable(&ending.reply)));
    match &ending.cause {
        Some(cause) => tell_cause(session, cause),
        None if ending.outcome == Outcome::Delivered => {}
        None => session
            .ui
            .point("-", "cause: the reply is none that mailfix knows"),
    }
}

/// A reply without what every line of it repeats; all else as the log has it.
fn readable(reply: &str) -> String {
    let answer = Answer::parse(reply.as_bytes());
    let (Manner::Said | Manner::RefusedToTalk, Some(code)) = (answer.manner, answer.code()) else {
        return reply.to_owned();
    };
    let enhanced = answer.enhanced().map(String::from_utf8_lossy);
    let enhanced = enhanced.map_or_else(String::new, |status| format!(" {status}"));
    let stage = answer.stage.map(String::from_utf8_lossy);
    let stage = stage.map_or_else(String::new, |stage| format!(" (in reply to {stage})"));
    format!("{code}{enhanced} {}{stage}", answer.plain())
}

fn tell_cause(session: &mut Session, cause: &Told) {
    let text = format!("cause: {} [{}]", cause.says, cause.code);
    session.ui.point("-", &text);
    for words in &cause.mend {
        let about = match words.as_str() {
            "check" => "shows what is wrong in the configuration",
            "dkim new" => "makes the key that mail is signed with",
            "dns show" => "shows the records that are wanted",
            _ => "mends it on this host, after asking",
        };
        let command = session.common.command(words);
        session.ui.point("-", &format!("`{command}` {about}"));
    }
    if let Some(advice) = &cause.advice {
        session.ui.point("-", advice);
    }
}

impl From<MailLogError> for Failure {
    fn from(error: MailLogError) -> Self {
        let message = format!("{error}, so nothing was sent");
        match error {
            MailLogError::System(error) => error.into(),
            MailLogError::Stream { .. } => Self::failed(message)
                .hint("`maillog_file` with a file name lets the log be read"),
            MailLogError::Refused { .. } => {
                Self::failed(message).hint("run it as root (`sudo mailfix …`), or as a member of the log's group (`adm` on Debian)")
            }
            MailLogError::None { .. } => Self::failed(message).hint(
                "install a syslog daemon, or (Postfix 3.4 and later) set `maillog_file` in main.cf",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use clap::Parser;

    #[test]
    fn what_mends_a_cause_is_a_command() {
        for cause in Cause::all() {
            for words in &cause.mend {
                let all = ["mailfix"].into_iter().chain(words.split(' '));
                let parsed = crate::cli::Arguments::try_parse_from(all);
                assert!(
                    parsed.is_ok(),
                    "{}: {words}: {:?}",
                    cause.code,
                    parsed.err()
                );
            }
        }
    }

    #[test]
    fn replies_are_made_readable() {
        for (reply, shown) in [
            (
                "host mx[192.0.2.1] said: 550-5.7.1 not 550 5.7.1 now (in reply to RCPT TO command)",
                "550 5.7.1 not now (in reply to RCPT TO command)",
            ),
            (
                "host mx[192.0.2.1] refused to talk to me: 554-mx 554 no",
                "554 mx no",
            ),
            ("250 2.0.0 ok", "250 2.0.0 ok"),
            (
                "connect to mx[192.0.2.1]:25: Connection refused",
                "connect to mx[192.0.2.1]:25: Connection refused",
            ),
        ] {
            assert_eq!(readable(reply), shown);
        }
    }

    #[test]
    fn each_address_is_written_to_once_and_few_at_a_time() {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found = recipients(&texts(&["a@b.example", "a@B.example", "c@b.example"])).unwrap();
        assert_eq!(found.len(), 2);
        let many: Vec<String> = (0..=MOST)
            .map(|number| format!("a{number}@b.example"))
            .collect();
        let failure = recipients(&many).unwrap_err();
        assert_eq!(
            failure.message,
            "11 addresses are too many: 10 at a time are enough for a test"
        );
        let failure = recipients(&texts(&["a@b.example\nBcc: c@d.example"])).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Usage);
    }
}
