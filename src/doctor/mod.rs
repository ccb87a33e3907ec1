//! What ails a mail server: all that can be known without changing anything, in one ranked list.
//!
//! Owns the [`Witness`], one thing that one look shows, and the [`Trouble`] that witnesses come
//! down to: which of them tell of the same cause is data (`profiles/ailments/*.toml`, read by
//! [`ailment`]), and so is what explains what. One file a look. Must not know how a list is
//! printed, and nothing here changes the machine.
//!
//! The order is what a postmaster would mend first: errors before warnings, then by what it does
//! to mail: nothing goes at all, a fault of this host holds mail up, others refuse it, and so
//! down to what is merely untidy. What is explained by something else stands below that as its
//! evidence.

pub mod ailment;
pub mod applies;
pub mod configuration;
mod fix;
pub mod log;
pub mod port25;
pub mod queue;
pub mod told;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use jiff::ToSpan;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::cause::Cause;
use crate::finding::{Finding, Place, Severity};

use ailment::{Ailment, Mend, Over, holds_up, stands_for};
use fix::{typed, without_commands};

/// Who looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The checks of this host's configuration.
    Host,
    /// What was applied here, against the files now.
    Receipts,
    /// DNS, as receivers ask it.
    Dns,
    /// Connections to port 25 elsewhere.
    Port25,
    /// The messages that wait.
    Queue,
    /// The mail log.
    Log,
    /// The site file, against the host.
    Plan,
}

impl By {
    /// What it is called before what it says.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Receipts => "history",
            Self::Dns => "DNS",
            Self::Port25 => "port 25",
            Self::Queue => "queue",
            Self::Log => "log",
            Self::Plan => "plan",
        }
    }
}

/// What something does to mail, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Harm {
    /// No mail goes at all.
    Everything,
    /// Mail is refused or lost.
    Lost,
    /// Mail stays in the queue.
    Stuck,
    /// Mail comes late.
    Delayed,
    /// Nothing yet.
    Risk,
    /// Nothing; it is untidy.
    Hygiene,
}

/// One thing that one look shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Who looked.
    pub by: By,
    /// What it is: the code of a finding or of a cause.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is so, a phrase.
    pub says: String,
    /// Where it stands, if in a file.
    pub place: Option<Place>,
    /// How many messages tell of it.
    pub count: Option<u64>,
    /// When it was seen first, in this machine's time.
    pub first: Option<DateTime>,
    /// When it was seen last.
    pub last: Option<DateTime>,
    /// Why it matters.
    #[serde(skip)]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(skip)]
    pub fix: Option<String>,
    /// The protocol it is about, 4 or 6.
    #[serde(skip)]
    pub family: Option<u8>,
    /// What it did to mail, where that was seen.
    #[serde(skip)]
    pub harm: Option<Harm>,
    /// Commands for where no look at this host names one.
    #[serde(skip)]
    pub commands: Vec<String>,
    /// What else there is to do for the cause.
    #[serde(skip)]
    pub steps: Vec<String>,
}

impl Witness {
    /// Takes a finding of a look.
    #[must_use]
    pub fn of(by: By, finding: Finding) -> Self {
        let family = family(&finding.title);
        Self {
            by,
            code: finding.code.to_owned(),
            severity: finding.severity,
            says: finding.title,
            place: finding.place,
            count: None,
            first: None,
            last: None,
            why: finding.why,
            fix: finding.fix,
            family,
            harm: None,
            commands: Vec::new(),
            steps: Vec::new(),
        }
    }
}

impl Witness {
    /// Whether it shows mail that waits for a fault of this host.
    fn is_held_up(&self) -> bool {
        let waits = self.by == By::Queue || self.by == By::Log && self.harm == Some(Harm::Stuck);
        waits && self.severity == Severity::Error && holds_up(&self.code)
    }

    /// A fix that names what it is for, unless the title does.
    fn names(&self, fix: &str, title: &str) -> String {
        let is_title = title
            .strip_prefix(self.says.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(", and "));
        if is_title {
            fix.to_owned()
        } else {
            format!("{}: {fix}", self.says)
        }
    }
}

/// The protocol of the addresses that a text names, where it is one.
fn family(text: &str) -> Option<u8> {
    let is_edge = |c: char| !c.is_ascii_hexdigit() && c != ':';
    let mut families = text.split_whitespace().filter_map(|word| {
        let word = word.trim_matches(is_edge).trim_end_matches(':');
        let address = word.parse::<IpAddr>().ok()?;
        Some(address::family(address))
    });
    let first = families.next()?;
    families.all(|other| other == first).then_some(first)
}

/// What is wrong, with all that tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its place in the list, from 1.
    pub rank: usize,
    /// How much it matters.
    pub severity: Severity,
    /// What it does to mail.
    pub harm: Harm,
    /// The cause, or the finding's own code.
    pub code: String,
    /// What is wrong, a phrase.
    pub title: String,
    /// Why it matters.
    pub why: Option<String>,
    /// Who tells of it, and of what it explains.
    pub evidence: Vec<Witness>,
    /// What to type, in order.
    pub commands: Vec<String>,
    /// What there is to do beside that, or where no command does it.
    pub steps: Vec<String>,
    /// The codes of what follows from it.
    pub explains: Vec<String>,
    /// The codes of what would.
    #[serde(skip)]
    may_explain: Vec<String>,
    #[serde(skip)]
    weight: u32,
    #[serde(skip)]
    over: Over,
}

/// How much of what it was asked DNS answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dns {
    /// Nothing was asked.
    #[default]
    Unasked,
    /// Nothing.
    Silent,
    /// Some of it.
    Partly,
    /// All of it.
    Wholly,
}

/// What has to be known beside the witnesses.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether there is a site file.
    pub has_site: bool,
    /// Whether the plan of the site file would change something.
    pub is_pending: bool,
    /// Whether a cure for what receivers refuse is in place, and what it does.
    pub cure: Option<String>,
    /// When something was applied or undone last, in this machine's time.
    pub applied: Option<DateTime>,
    /// When the configuration was changed last, by anybody.
    pub changed: Option<DateTime>,
    /// How much of what DNS was asked it answered.
    pub dns: Dns,
    /// When it is, in this machine's time; none where what is old counts as what is new.
    pub now: Option<DateTime>,
    /// The configuration, where there is one alone.
    pub config: Option<Utf8PathBuf>,
    /// The words behind `mailfix` and a command that mean the same files.
    pub options: Vec<String>,
}

impl Standing {
    /// A command of ours as it has to be typed here.
    fn own(&self, words: &str) -> String {
        let words = std::iter::once("mailfix").chain(words.split(' '));
        let options = self.options.iter().map(String::as_str);
        words.chain(options).collect::<Vec<_>>().join(" ")
    }

    /// Has Postfix read its files again and try all that waits.
    fn afresh(&self) -> String {
        let of = self.config.as_ref();
        let of = of.map_or_else(String::new, |config| format!(" -c {config}"));
        // The queue manager that a reload ends would take the order with it.
        format!("postfix{of} reload && sleep 2 && postqueue{of} -f")
    }

    /// Any command as it has to be typed here.
    fn typed(&self, command: &str) -> String {
        match command.strip_prefix("mailfix ") {
            Some(words) => self.own(words),
            None => command.to_owned(),
        }
    }
}

/// The list, and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong or worth knowing, ranked.
    pub troubles: Vec<Trouble>,
    /// What the log tells from before the last change of the configuration, and nothing else does.
    pub past: Vec<Witness>,
}

/// Puts together what tells of the same, and ranks it.
#[must_use]
pub fn rank(witnesses: Vec<Witness>, standing: &Standing, causes: &[Cause]) -> Findings {
    let mut left = witnesses;
    let mut troubles = Vec::new();
    let ailments = Ailment::all();
    for ailment in &ailments {
        let told = ailment.take(&mut left);
        // What others have refused without harm is no news.
        let is_harmless =
            |witness: &Witness| witness.severity == Severity::Note && is_of_mail(witness.by);
        if !told.iter().all(is_harmless) {
            troubles.push(of_ailment(ailment, told, standing, causes));
        }
    }
    let mut codes: Vec<String> = Vec::new();
    for witness in &left {
        if !codes.contains(&witness.code) {
            codes.push(witness.code.clone());
        }
    }
    for code in codes {
        let told: Vec<Witness> = left
            .iter()
            .filter(|witness| witness.code == code)
            .cloned()
            .collect();
        // What is merely worth knowing is for the command that looks there.
        if told
            .iter()
            .all(|witness| witness.severity == Severity::Note)
        {
            continue;
        }
        troubles.push(of_code(&code, told, standing, causes));
    }
    for ailment in &ailments {
        let causes = troubles.iter_mut().filter(|trouble| {
            let mut codes = ailment.explained_by.iter();
            let is_certain = !trouble.evidence.iter().all(|one| is_of_mail(one.by));
            trouble.severity == Severity::Error
                && is_certain
                && codes.any(|code| stands_for(code, &trouble.code))
        });
        causes.for_each(|cause| cause.may_explain.push(ailment.code.clone()));
    }
    sort(&mut troubles);
    let mut troubles = explained(troubles);
    let mut past = Vec::new();
    troubles.retain(|trouble| {
        let is_past = |witness: &Witness| standing.is_past(trouble.over, witness);
        // What waits since then, and may, is about to be tried again.
        let may_wait =
            |witness: &Witness| witness.by == By::Queue && witness.severity == Severity::Note;
        let mut evidence = trouble.evidence.iter();
        let is_over = evidence.all(|witness| is_past(witness) || may_wait(witness));
        if is_over {
            past.extend(trouble.evidence.iter().cloned());
        }
        !is_over
    });
    // Where something names the apply as its cure, that there is one goes without saying.
    let apply = standing.own("apply");
    let is_plan = |trouble: &Trouble| trouble.code == "plan-pending";
    let is_named =
        |trouble: &Trouble| !is_plan(trouble) && trouble.commands.first() == Some(&apply);
    if troubles.iter().any(is_named) {
        troubles.retain(|trouble| !is_plan(trouble));
    }
    sort(&mut troubles);
    for (at, trouble) in troubles.iter_mut().enumerate() {
        trouble.rank = at + 1;
        trouble.has_tried_again(standing);
    }
    Findings { troubles, past }
}

fn sort(troubles: &mut [Trouble]) {
    troubles.sort_by_key(|trouble| {
        let mails: u64 = trouble.evidence.iter().filter_map(|one| one.count).sum();
        let (severity, mails) = (
            std::cmp::Reverse(trouble.severity),
            std::cmp::Reverse(mails),
        );
        // Nobody else can end what this host's own fault holds up, and one command does.
        let is_held_up = trouble.evidence.iter().any(Witness::is_held_up);
        (
            severity,
            trouble.harm != Harm::Everything,
            !is_held_up,
            trouble.harm,
            trouble.weight,
            mails,
            trouble.code.clone(),
        )
    });
}

/// Puts what follows from something below that.
fn explained(troubles: Vec<Trouble>) -> Vec<Trouble> {
    let mut left: Vec<Option<Trouble>> = troubles.into_iter().map(Some).collect();
    for at in 0..left.len() {
        let Some(mut cause) = left.get_mut(at).and_then(Option::take) else {
            continue;
        };
        let explains = std::mem::take(&mut cause.may_explain);
        let family = common_family(&cause.evidence);
        for other in &mut left {
            let Some(symptom) = other.take_if(|other| {
                explains.contains(&other.code)
                    // What says more than a symptom does stands for itself.
                    && other.evidence.iter().all(|witness| follows(witness.by))
                    // What is dealt with does no more harm, and IPv6 none to what goes over IPv4.
                    && (cause.severity > Severity::Note || other.severity == Severity::Note)
                    && common_family(&other.evidence).is_none_or(|of| family.is_none_or(|by| by == of))
            }) else {
                continue;
            };
            // What has come to a stop has to be started once it is mended.
            if symptom.code == "postfix-stopped" {
                cause.commands.extend(symptom.commands);
            }
            cause.severity = cause.severity.max(symptom.severity);
            cause.harm = cause.harm.min(symptom.harm);
            cause.evidence.extend(symptom.evidence);
            cause.explains.push(symptom.code);
            cause.explains.extend(symptom.explains);
        }
        if let Some(place) = left.get_mut(at) {
            *place = Some(cause);
        }
    }
    left.into_iter().flatten().collect()
}

/// Whether such a look shows what became of mail, rather than why.
fn is_of_mail(by: By) -> bool {
    matches!(by, By::Log | By::Queue | By::Port25)
}

/// The protocol that all of it is about.
fn common_family(evidence: &[Witness]) -> Option<u8> {
    let first = evidence.first()?.family?;
    let is_same = |witness: &Witness| witness.family == Some(first);
    evidence.iter().all(is_same).then_some(first)
}

/// Whether what such a look shows may be no more than a consequence.
fn follows(by: By) -> bool {
    !matches!(by, By::Receipts | By::Plan)
}

fn of_ailment(
    ailment: &Ailment,
    mut told: Vec<Witness>,
    standing: &Standing,
    causes: &[Cause],
) -> Trouble {
    let cure = standing.cure.as_ref().filter(|_| {
        // What the log tells from after the cure says that it does not help, unless the mail has
        // got through all the same: the reply filter lets IPv6 be tried first.
        let is_helped = |witness: &Witness| {
            witness.by != By::Log
                || witness.severity == Severity::Note
                || standing.is_past(Over::Apply, witness)
        };
        ailment.mend == Mend::Plan && !standing.is_pending && told.iter().all(is_helped)
    });
    if cure.is_some() {
        for witness in &mut told {
            witness.severity = Severity::Note;
        }
    }
    told.sort_by_key(|witness| ailment.place(witness));
    // What is advised for a cause of another name goes by less than is known here.
    for witness in &mut told {
        if witness.code != ailment.code {
            witness.commands.clear();
            witness.steps.clear();
        }
    }
    let is_planned = ailment.mend == Mend::Plan && (standing.is_pending || !standing.has_site);
    let cause = causes.iter().find(|cause| cause.code == ailment.code);
    let is_of_others = told.iter().all(|witness| is_of_mail(witness.by));
    let said = cause.filter(|_| is_of_others).map(|cause| &cause.says);
    // What is advised for the cause is what the plan does.
    let causes = if is_planned || cure.is_some() {
        for witness in &mut told {
            witness.steps = Vec::new();
        }
        &[]
    } else {
        causes
    };
    let mut trouble = of_code(&ailment.code, told, standing, causes);
    trouble.weight = ailment.weight;
    trouble.harm = ailment.harm;
    if is_foreseen(&trouble.evidence) {
        trouble.harm = trouble.harm.max(Harm::Risk);
    }
    trouble.over = ailment.over;
    trouble.may_explain.clone_from(&ailment.explains);
    if let Some(title) = ailment.title.as_ref().or(said) {
        trouble.title.clone_from(title);
    }
    if let Some(why) = &ailment.why {
        trouble.why = Some(why.clone());
    }
    trouble.steps.extend(ailment.steps.iter().cloned());
    let commands = ailment.commands.iter().cloned();
    match ailment.mend {
        Mend::Plan if standing.is_pending => trouble.commands = vec![standing.own("apply")],
        Mend::Plan if !standing.has_site => trouble.commands = vec![standing.own("init")],
        _ => {}
    }
    for command in commands.rev() {
        trouble.first(standing.typed(&command));
    }
    // A program that runs goes by what it read as it began.
    let is_held_up = trouble
        .evidence
        .iter()
        .any(|one| one.by == By::Queue && one.is_held_up());
    if is_of_others && is_held_up && ailment.harm == Harm::Stuck && trouble.commands.is_empty() {
        trouble.first(standing.afresh());
        trouble.why = Some(SEEN_NOWHERE.to_owned());
    }
    if let Some(cure) = cure {
        trouble.harm = Harm::Hygiene;
        trouble.commands = Vec::new();
        trouble.steps = Vec::new();
        trouble.why = Some(format!("it does no harm at present: {cure}"));
    }
    if let Some(cleared) = &ailment.cleared
        && standing.dns >= cleared.from
        && is_of_others
    {
        trouble.severity = trouble.severity.min(Severity::Warning);
        trouble.harm = cleared.harm.unwrap_or(trouble.harm);
        if let Some(title) = &cleared.title {
            trouble.title.clone_from(title);
        }
        trouble.why = Some(cleared.why.clone());
        let commands = cleared.commands.iter();
        trouble.commands = commands.map(|command| standing.typed(command)).collect();
        trouble.steps = Vec::new();
        match Standing::last_refusal(&trouble.evidence) {
            Some(last) if standing.is_forgotten(last) => {
                trouble.severity = Severity::Note;
                trouble.harm = Harm::Hygiene;
                trouble.why = Some(format!(
                    "DNS is right by now, and the log has no such refusal since {}",
                    last.strftime("%Y-%m-%d %H:%M")
                ));
            }
            // Which of them has taken mail since, the counts of its log tell.
            Some(last) => trouble.steps.push(format!(
                "see whether mail has got through since: `mailfix stats --by provider --since {}`",
                last.strftime("%Y-%m-%dT%H:%M")
            )),
            None => {}
        }
    }
    trouble
}

/// How long receivers may go by what DNS said before, in hours: names are rarely kept for more
/// than a day, and they were asked some time before they refused.
const REMEMBERED: i64 = 48;

impl Standing {
    /// When mail was refused last, where only the log tells of it.
    fn last_refusal(told: &[Witness]) -> Option<DateTime> {
        let all = told
            .iter()
            .map(|one| one.last.filter(|_| one.by == By::Log));
        all.collect::<Option<Vec<DateTime>>>()?.into_iter().max()
    }

    /// Whether nobody goes by what DNS said then any more.
    fn is_forgotten(&self, last: DateTime) -> bool {
        let now = self
            .now
            .and_then(|now| now.checked_sub(REMEMBERED.hours()).ok());
        now.is_some_and(|since| last < since)
    }

    /// Tells whether the log tells of something that may have been mended since.
    fn is_past(&self, over: Over, witness: &Witness) -> bool {
        let mended = match over {
            Over::Never => None,
            Over::Apply => self.applied,
            Over::Change => self.applied.max(self.changed),
        };
        let last = witness.last.filter(|_| witness.by == By::Log);
        mended
            .zip(last)
            .is_some_and(|(mended, last)| last <= mended)
    }
}

impl Trouble {
    /// Says how what waits is tried at once, where a command ends what holds it up.
    fn has_tried_again(&mut self, standing: &Standing) {
        let waits = self
            .evidence
            .iter()
            .any(|one| one.by == By::Queue && one.is_held_up());
        let is_said = |text: &String| text.contains("postqueue") || text.contains("postsuper");
        if !waits
            || self.commands.is_empty()
            || self.commands.iter().chain(&self.steps).any(is_said)
        {
            return;
        }
        let of = standing.config.as_ref();
        let of = of.map_or_else(String::new, |config| format!(" -c {config}"));
        self.steps.push(format!(
            "then `postqueue{of} -f` has what waits tried at once; by itself it may take an hour"
        ));
    }

    /// Puts a command before all others.
    fn first(&mut self, command: String) {
        self.commands.retain(|other| *other != command);
        self.commands.insert(0, command);
    }
}

/// Whether only DNS tells of harm: what nobody has refused anything for yet, but that it took
/// another way, stands behind what holds mail up now.
fn is_foreseen(told: &[Witness]) -> bool {
    let did_no_harm =
        |witness: &Witness| is_of_mail(witness.by) && witness.severity == Severity::Note;
    let mut all = told.iter();
    all.all(|witness| witness.by == By::Dns || did_no_harm(witness))
}

/// Whether only what the site file asks for, and is not so, tells of it.
fn is_wish(told: &[Witness]) -> bool {
    told.iter().all(|witness| witness.by == By::Plan)
}

/// What witnesses of one code come down to, by what they say themselves.
fn of_code(code: &str, mut told: Vec<Witness>, standing: &Standing, causes: &[Cause]) -> Trouble {
    told.sort_by_key(|witness| (std::cmp::Reverse(witness.severity), witness.by));
    let cause = causes.iter().find(|cause| cause.code == code);
    let severity = told.iter().map(|witness| witness.severity).max();
    let severity = severity.unwrap_or(Severity::Note);
    let title = title(&told, cause);
    let (commands, steps) = mended_by(&told, &title, standing, cause);
    let harm = told.iter().filter_map(|witness| witness.harm).min();
    let why = told.iter().find_map(|witness| witness.why.clone());
    // The title has said as much.
    let is_said = |why: &String| *why == title;
    let why = match why {
        Some(why) if is_said(&why) => cause.map(|cause| cause.means.clone()),
        other => other,
    };
    Trouble {
        rank: 0,
        severity,
        harm: harm.unwrap_or(match severity {
            Severity::Error if is_foreseen(&told) || is_wish(&told) => Harm::Risk,
            Severity::Error => Harm::Stuck,
            Severity::Warning => Harm::Risk,
            Severity::Note => Harm::Hygiene,
        }),
        code: code.to_owned(),
        title,
        why,
        evidence: told,
        commands,
        steps,
        explains: Vec::new(),
        may_explain: Vec::new(),
        weight: DEFAULT_WEIGHT,
        over: Over::Never,
    }
}

/// The commands and steps that mend what witnesses of one code tell of.
fn mended_by(
    told: &[Witness],
    title: &str,
    standing: &Standing,
    cause: Option<&Cause>,
) -> (Vec<String>, Vec<String>) {
    let mut commands: Vec<String> = Vec::new();
    let mut steps: Vec<String> = Vec::new();
    for (witness, fix) in told.iter().filter_map(|one| Some((one, one.fix.as_ref()?))) {
        let (typed, is_all) = typed(fix);
        // What is not in the title has to be named.
        let fix = witness.names(fix, title);
        for command in typed {
            let command = standing.typed(&command);
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        let step = without_commands(&fix);
        if !is_all && !steps.contains(&step) {
            steps.push(step);
        }
    }
    // What a witness names itself is about just this host.
    let advised = told.iter().flat_map(|witness| witness.steps.clone());
    let mut advised: Vec<String> = advised.collect();
    let mut mend: Vec<String> = told
        .iter()
        .flat_map(|witness| witness.commands.clone())
        .collect();
    // Nor is what goes for everybody wanted where a look says what is to be done on just this host.
    let is_said = told
        .iter()
        .any(|one| one.by == By::Host && one.fix.is_some());
    if is_said || !commands.is_empty() {
        advised.clear();
    }
    if let Some(cause) = cause.filter(|_| !is_said) {
        if commands.is_empty() && advised.is_empty() {
            advised.extend(cause.steps.iter().chain(&cause.advice).cloned());
        }
        mend.extend(cause.mend.iter().map(|words| format!("mailfix {words}")));
    }
    // What the checks show has been looked at.
    advised.retain(|step| !step.contains("`mailfix check`"));
    for step in advised {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    if commands.is_empty() {
        for words in mend {
            let command = standing.typed(&words);
            let is_for_others = words == "mailfix init" && standing.has_site;
            let is_done = words == "mailfix check";
            if !is_for_others && !is_done && !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    let needs_site = |command: &String| {
        [
            "mailfix dns show",
            "mailfix dns push",
            "mailfix dns request",
        ]
        .iter()
        .any(|words| command.starts_with(words))
    };
    if !standing.has_site && commands.iter().any(needs_site) {
        let init = standing.own("init");
        commands.retain(|command| *command != init);
        commands.insert(0, init);
    }
    (commands, steps)
}

/// What witnesses of one code say, in a phrase.
fn title(told: &[Witness], cause: Option<&Cause>) -> String {
    // A log quotes what others say; what it comes down to is the cause's to say.
    let is_own = |witness: &&Witness| !matches!(witness.by, By::Log | By::Queue);
    let leading = told.iter().find(is_own);
    match (leading, cause) {
        (Some(leading), _) => {
            let same = told.iter().filter(is_own);
            let is_other =
                |witness: &&Witness| witness.code == leading.code && witness.says != leading.says;
            match same.filter(is_other).count() {
                0 => leading.says.clone(),
                more => format!("{}, and {more} more", leading.says),
            }
        }
        (None, Some(cause)) => cause.says.clone(),
        (None, None) => told.first().map(|one| one.says.clone()).unwrap_or_default(),
    }
}

/// Why it may be that mail waits for a fault of this host that no look finds.
const SEEN_NOWHERE: &str = "nothing on this host shows it, so it may be mended by now: what runs \
                            learns of that by a reload";

/// The weight of what no file of an ailment names.
const DEFAULT_WEIGHT: u32 = 500;

/// The codes among all troubles, for those who ask whether something is there.
#[must_use]
pub fn codes(troubles: &[Trouble]) -> BTreeSet<&str> {
    troubles.iter().map(|one| one.code.as_str()).collect()
}
