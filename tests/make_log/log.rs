//! Mail logs of any length with known truth, the same for the same seed.
//!
//! Owns what a made-up Postfix with several instances writes, and the counts that a reader must
//! come to. Hosts, addresses and ids are made up; the forms are Postfix's.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Lines, at least; the last message is finished.
    pub lines: u64,
    /// ISO times instead of RFC 3164's.
    pub iso: bool,
    /// Long queue ids instead of short ones.
    pub long_ids: bool,
    /// Messages that are in the queue at the same time.
    pub open: usize,
    /// What the pseudo-random numbers begin with.
    pub seed: u64,
}

/// How many deliveries ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// `status=sent`
    pub sent: u64,
    /// `status=deferred`
    pub deferred: u64,
    /// `status=bounced`
    pub bounced: u64,
}

impl Ends {
    /// All of them.
    pub fn total(self) -> u64 {
        self.sent + self.deferred + self.bounced
    }
}

/// What a reader must come to.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Lines written.
    pub lines: u64,
    /// Messages.
    pub messages: u64,
    /// By `syslog_name`.
    pub instances: BTreeMap<&'static str, Ends>,
    /// By the recipient's domain.
    pub domains: BTreeMap<String, Ends>,
    /// By the id of the provider.
    pub providers: BTreeMap<&'static str, Ends>,
    /// By the hour since the log began.
    pub hours: BTreeMap<u64, Ends>,
}

/// `syslog_name`s of a relay server with an instance a provider.
const INSTANCES: [&str; 5] = [
    "postfix",
    "postfix-aol-a",
    "postfix-msn-a",
    "postfix-msn-b",
    "postfix-therest-a",
];

/// A destination: domain, mail host with its address, the provider.
const DESTINATIONS: [(&str, &str, &str, &str); 6] = [
    (
        "gmail.com",
        "gmail-smtp-in.l.google.com",
        "2001:db8:1::1b",
        "google",
    ),
    (
        "googlemail.com",
        "alt1.gmail-smtp-in.l.google.com",
        "192.0.2.26",
        "google",
    ),
    (
        "hosted.example",
        "ASPMX.L.GOOGLE.com",
        "192.0.2.27",
        "google",
    ),
    ("example.org", "mx.example.org", "198.51.100.7", "other"),
    ("example.net", "mail.example.net", "2001:db8:2::25", "other"),
    ("list.example", "mx2.list.example", "203.0.113.9", "other"),
];

/// Words of a refusal for good, as Google has them.
const BOUNCE: &str = "said: 550-5.7.1 [2001:db8::10      16] Our system has detected that this 550-5.7.1 message does not meet IPv6 sending guidelines regarding PTR records 550-5.7.1 and authentication. Please review 550-5.7.1  https://support.google.com/mail/?p=IPv6AuthError for more information 550 5.7.1 . q43si37022102eeo.243 - gsmtp (in reply to end of DATA command)";

/// Words of a refusal for now.
const DEFERRAL: &str = "said: 421-4.7.28 [192.0.2.10      15] Our system has detected an unusual rate of 421-4.7.28 unsolicited mail originating from your IP address. 421 4.7.28 mz9si1019871pdb.205 - gsmtp (in reply to end of DATA command)";

/// Words of another host's refusal of a recipient.
const UNKNOWN: &str = "said: 550 5.1.1 <{}>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)";

/// Pseudo-random numbers that are the same everywhere (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.roll() >> 32) % end
    }
}

/// A message in the queue.
struct Message {
    id: String,
    instance: &'static str,
    recipients: Vec<(String, usize)>,
    /// What it still has to write.
    stage: usize,
}

/// Writes a log.
///
/// # Errors
/// When the target takes no more.
pub fn write(shape: Shape, out: &mut dyn Write) -> io::Result<Truth> {
    let mut truth = Truth::default();
    let mut dice = Dice(shape.seed | 1);
    let mut open: Vec<Message> = Vec::new();
    // Microseconds since the log began.
    let mut now: u64 = 0;
    let mut host = 0;
    while truth.lines < shape.lines || !open.is_empty() {
        now += dice.below(80_000);
        if open.len() < shape.open && truth.lines < shape.lines {
            open.push(message(&mut dice, &shape, now, &mut host));
            truth.messages += 1;
        }
        let at = usize::try_from(dice.below(open.len() as u64)).unwrap_or_default();
        let message = &mut open[at];
        line(&mut dice, &shape, now, message, &mut truth, out)?;
        truth.lines += 1;
        if message.stage == 4 + message.recipients.len() {
            open.swap_remove(at);
        }
    }
    Ok(truth)
}

fn message(dice: &mut Dice, shape: &Shape, now: u64, host: &mut u64) -> Message {
    const LETTERS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    // Short ids are used again: five digits of microseconds and an inode that is free again.
    let id = if shape.long_ids {
        let mut id = String::new();
        let mut rest = now + (1 << 40);
        while rest > 0 {
            let at = usize::try_from(rest % 51).unwrap_or_default();
            id.insert(0, char::from(LETTERS[at]));
            rest /= 51;
        }
        format!("{id}z{}", 100 + dice.below(900))
    } else {
        format!("{:05X}{:X}", now % 1_000_000, 0x100 + dice.below(0x4000))
    };
    let recipients = (0..=dice.below(3).saturating_sub(1))
        .map(|_| {
            let destination = usize::try_from(dice.below(8)).unwrap_or_default();
            *host += 1;
            let user = dice.below(100_000);
            // Two of eight go to one of very many small domains.
            let domain = match DESTINATIONS.get(destination) {
                Some((domain, ..)) => (*domain).to_owned(),
                None => format!("d{}.example.com", dice.below(20_000)),
            };
            (format!("user{user}@{domain}"), destination)
        })
        .collect();
    let instance = INSTANCES[usize::try_from(dice.below(5)).unwrap_or_default()];
    Message {
        id,
        instance,
        recipients,
        stage: 0,
    }
}

fn line(
    dice: &mut Dice,
    shape: &Shape,
    now: u64,
    message: &mut Message,
    truth: &mut Truth,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (id, instance) = (&message.id, message.instance);
    let pid = 1000 + dice.below(30_000);
    time(shape, now, out)?;
    let last = 3 + message.recipients.len();
    match message.stage {
        0 => writeln!(
            out,
            "{instance}/pickup[{pid}]: {id}: uid=33 from=<www-data>"
        )?,
        1 => writeln!(
            out,
            "{instance}/cleanup[{pid}]: {id}: message-id=<{now}.{id}@sender.example>"
        )?,
        2 => writeln!(
            out,
            "{instance}/qmgr[812]: {id}: from=<news@sender.example>, size={}, nrcpt={} (queue active)",
            500 + dice.below(40_000),
            message.recipients.len()
        )?,
        stage if stage == last => writeln!(out, "{instance}/qmgr[812]: {id}: removed")?,
        stage => {
            let (to, destination) = &message.recipients[stage - 3];
            let small;
            let known = DESTINATIONS.get(*destination);
            let (relay, address, provider) = if let Some((_, relay, address, provider)) = known {
                (*relay, *address, *provider)
            } else {
                small = format!("mx.{}", to.rsplit('@').next().unwrap_or_default());
                (small.as_str(), "203.0.113.50", "other")
            };
            let delay = dice.below(9000);
            let head = format!(
                "{instance}/smtp[{pid}]: {id}: to=<{to}>, relay={relay}[{address}]:25, delay={}.{}, delays={}.1/0.01/0.5/{}, ",
                delay / 100,
                delay % 100 / 10,
                delay / 200,
                delay % 7
            );
            let domain = to.rsplit('@').next().unwrap_or_default();
            let mut count = |add: fn(&mut Ends)| {
                add(truth.instances.entry(instance).or_default());
                add(truth.providers.entry(provider).or_default());
                add(truth.hours.entry(now / 3_600_000_000).or_default());
                match truth.domains.get_mut(domain) {
                    Some(ends) => add(ends),
                    None => add(truth.domains.entry(domain.to_owned()).or_default()),
                }
            };
            let google = provider == "google";
            match dice.below(20) {
                0 if google => {
                    count(|ends| ends.bounced += 1);
                    writeln!(
                        out,
                        "{head}dsn=5.7.1, status=bounced (host {relay}[{address}] {BOUNCE})"
                    )?;
                }
                0 => {
                    count(|ends| ends.bounced += 1);
                    writeln!(
                        out,
                        "{head}dsn=5.1.1, status=bounced (host {relay}[{address}] {})",
                        UNKNOWN.replace("{}", to)
                    )?;
                }
                1 if google => {
                    count(|ends| ends.deferred += 1);
                    writeln!(
                        out,
                        "{head}dsn=4.7.28, status=deferred (host {relay}[{address}] {DEFERRAL})"
                    )?;
                }
                1 => {
                    count(|ends| ends.deferred += 1);
                    writeln!(
                        out,
                        "{head}dsn=4.4.1, status=deferred (connect to {relay}[{address}]:25: Connection timed out)"
                    )?;
                }
                _ => {
                    count(|ends| ends.sent += 1);
                    writeln!(
                        out,
                        "{head}dsn=2.0.0, status=sent (250 2.0.0 OK  {now} 5c084fsi8261151lab.{} - gsmtp)",
                        dice.below(1000)
                    )?;
                }
            }
        }
    }
    message.stage += 1;
    Ok(())
}

/// Days before each month of a year that is no leap year.
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 0),
    ("Feb", 31),
    ("Mar", 59),
    ("Apr", 90),
    ("May", 120),
    ("Jun", 151),
    ("Jul", 181),
    ("Aug", 212),
    ("Sep", 243),
    ("Oct", 273),
    ("Nov", 304),
    ("Dec", 334),
];

/// The head of a line; the log begins on 3 March 2026 at midnight.
fn time(shape: &Shape, now: u64, out: &mut dyn Write) -> io::Result<()> {
    let seconds = now / 1_000_000;
    let day_of_year = 61 + seconds / 86_400;
    let (month, (name, before)) = MONTHS
        .iter()
        .enumerate()
        .rfind(|(_, (_, before))| *before <= day_of_year)
        .unwrap_or((0, &MONTHS[0]));
    let day = day_of_year - before + 1;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    if shape.iso {
        write!(
            out,
            "2026-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}+00:00 relay ",
            month + 1,
            now % 1_000_000
        )
    } else {
        write!(
            out,
            "{name} {day:2} {hour:02}:{minute:02}:{second:02} relay "
        )
    }
}
