//! `mailfix init`: looks, asks what it cannot know, shows everything, and does it.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::ask::TerminalAsker;
use crate::cli::apply::{Asking, Consent, carry_out, declined};
use crate::cli::plan::refused;
use crate::cli::prepare::{OUT, SITE, Wished};
use crate::cli::{Failure, FailureKind, GlobalOptions, Session, dns, out, show};
use crate::data_file;
use crate::dns::CachedResolver;
use crate::draft::redraft;
use crate::host::Origin;
use crate::plan::{FileChange, Nature, Step};
use crate::profile::Profile;
use crate::site::Site;
use crate::system::{File, Query, System, SystemError};
use crate::wizard::{Answers, Detected, Id, Wizard, WizardError, quoted, site_file};

/// Look at this host, ask what cannot be known, show every change, and apply it
#[derive(Debug, Args)]
pub struct Init {
    /// The name the server gives itself (HELO), such as mail.example.org
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The IPv4 addresses mail leaves from
    #[arg(long, value_name = "ADDRESS,…")]
    ipv4: Option<String>,
    /// The IPv6 addresses mail leaves from, or `none`
    #[arg(long, value_name = "ADDRESS,…")]
    ipv6: Option<String>,
    /// The domains mail is sent for (repeatable)
    #[arg(long, value_name = "DOMAIN,…")]
    domain: Vec<String>,
    /// Who controls the domains' zones: self, update (self, by RFC 2136), provider (by
    /// request), none
    #[arg(long, value_name = "WHO")]
    forward_dns: Option<String>,
    /// The server that takes updates of the domains' zones, and the file of the key
    #[arg(long, value_name = "SERVER FILE")]
    dns_update: Option<String>,
    /// Who controls the reverse zones of the IPv4 addresses: self, provider, none
    #[arg(long, value_name = "WHO")]
    reverse_dns4: Option<String>,
    /// Who controls the reverse zones of the IPv6 addresses: self, provider, none
    #[arg(long, value_name = "WHO")]
    reverse_dns6: Option<String>,
    /// Whether a daily job makes the list of hosted domains anew, where one is in use: yes, no
    #[arg(long, value_name = "YES|NO")]
    timer: Option<String>,
    /// Answer any question by its id (repeatable)
    #[arg(long, value_name = "ID=VALUE")]
    set: Vec<String>,
    /// Write files for a server elsewhere to DIR instead of changing this machine
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

const WRITE: Asking<'_> = Asking {
    prompt: "Write these files?",
    yes: "write the files listed",
    explanation: &[
        "nothing of this machine's Postfix is touched",
        "the fragments, tables and records are for the server; INSTALL.txt there says what to do with them",
        "mailfix.toml is what you answered; with it `mailfix apply` does it all on the server by itself",
    ],
};

impl Init {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let mut given = self.answers()?;
        if let Some(name) = &session.common.profile {
            given.insert(Id::Profile, name.clone());
        }
        let chosen = session.choose_profile(None)?;
        let here = session.has_postfix(&chosen.profile)?;
        let apply_here = here && self.out.is_none() && session.may_write();
        let directory = self.out.clone().unwrap_or_else(|| OUT.into());
        // A file named with `--site` is one of the tree; our own lies beside the other files.
        let is_beside = !apply_here && session.common.site.is_none();
        let site_path = if is_beside {
            directory.join(SITE)
        } else {
            session.site_path(&chosen.profile)
        };
        let before = if is_beside {
            session.outside.read(&site_path)?
        } else {
            session.system.read(&site_path)?
        };
        let existing = match &before {
            Some(file) => Some(Site::parse_with(
                &file.bytes,
                &site_path,
                session.common.allow_non_global,
            )?),
            None => None,
        };
        let detected = session.detect(&chosen.profile, chosen.reason.as_deref(), here)?;
        let own_profile = session
            .common
            .profile
            .as_deref()
            .filter(|name| Profile::is_path(name))
            .map(|_| &chosen.profile);
        let allow_non_global = session.common.allow_non_global
            || existing.as_ref().is_some_and(|site| site.allow_non_global);
        let resolver = CachedResolver::new(session.resolver()?);
        let look_up = |domain: &str| dns::published(&resolver, domain);
        let wizard = Wizard {
            given,
            detected: &detected,
            existing: existing.as_ref(),
            own_profile,
            allow_non_global,
            look_up: (!session.common.offline).then_some(&look_up),
        };
        let is_silent = session.common.no_input || !session.is_terminal;
        let mut answers = self.ask(session, &wizard, is_silent)?;
        let old = match &before {
            Some(file) => Some(data_file::text(&file.bytes, &site_path)?),
            None => None,
        };
        let mut text = site_file(&answers, old, &site_path, allow_non_global)?;
        let site = Site::parse_with(&text, &site_path, allow_non_global)?;
        if !is_silent && !session.common.offline {
            dns::preview(session, &site, &resolver);
        }
        let profile = match &site.profile {
            Some(name) if session.common.profile.is_none() => {
                session.choose_profile(Some(name))?.profile
            }
            _ => chosen.profile.clone(),
        };
        let call = session.call(&site_path, site.profile.as_deref());
        let mut wished = Wished::new(site.clone(), profile.clone(), call.clone());
        let mut draft = session.draft(&wished.wish())?;
        if apply_here && draft.target.lists_hosted_domains() && site.timer.is_none() {
            ask_timer(&wizard, &mut answers, is_silent)?;
            text = site_file(&answers, old, &site_path, allow_non_global)?;
            let site = Site::parse_with(&text, &site_path, allow_non_global)?;
            wished = Wished::new(site, profile.clone(), call);
            draft = redraft(session.system.as_ref(), &wished.wish(), draft)?;
        }
        if !apply_here {
            let site_file = SiteFile {
                path: &site_path,
                before,
                text: &text,
                is_beside,
            };
            return elsewhere(session, &site, &profile, &draft, &directory, site_file);
        }
        if let Some(step) = session.site_step(&site_path, before.clone(), &text)? {
            draft.plan.steps.insert(0, step);
        }
        show::draft(&mut session.ui, &draft);
        session.ui.remarks(&draft.findings);
        if !draft.refusals.is_empty() {
            return Err(refused(&draft.refusals));
        }
        let carried = carry_out(session, &wished.wish(), &draft, false)?;
        session.ui.say(&format!(
            "`{}` prints the DNS records this server needs",
            session.common.alike("dns show")
        ));
        Ok(carried.status(false))
    }

    /// Gets the answers: from the person, or where nobody is to be asked, from what is known.
    fn ask(
        &self,
        session: &mut Session,
        wizard: &Wizard<'_>,
        is_silent: bool,
    ) -> Result<Answers, Failure> {
        if is_silent {
            return Ok(wizard.answer_silently(&self.typed(&session.common))?);
        }
        session
            .ui
            .say("mailfix looks at this host and asks what it cannot know. Nothing is written");
        session
            .ui
            .say("before you have seen every change and said yes; Ctrl-C leaves nothing behind.\n");
        Ok(wizard.ask(&mut TerminalAsker::new()?)?)
    }

    /// The command as it was typed, without the answers in it.
    fn typed(&self, common: &GlobalOptions) -> String {
        let mut command = "mailfix init --no-input".to_owned();
        for (flag, given) in [
            (" --yes", common.yes),
            (" --offline", common.offline),
            (" --allow-non-global", common.allow_non_global),
        ] {
            if given {
                command.push_str(flag);
            }
        }
        for (flag, path) in [
            (" --site ", &common.site),
            (" --root ", &common.root),
            (" --out ", &self.out),
        ] {
            if let Some(path) = path {
                command.push_str(flag);
                command.push_str(&quoted(path.as_str()));
            }
        }
        command
    }

    fn answers(&self) -> Result<Answers, Failure> {
        let mut answers = Answers::default();
        for assignment in &self.set {
            answers.set(assignment)?;
        }
        for (id, value) in [
            (Id::Hostname, &self.hostname),
            (Id::Ipv4, &self.ipv4),
            (Id::Ipv6, &self.ipv6),
            (Id::ForwardDns, &self.forward_dns),
            (Id::DnsUpdate, &self.dns_update),
            (Id::ReverseDns4, &self.reverse_dns4),
            (Id::ReverseDns6, &self.reverse_dns6),
            (Id::Timer, &self.timer),
        ] {
            if let Some(value) = value {
                answers.insert(id, value.clone());
            }
        }
        if !self.domain.is_empty() {
            answers.insert(Id::Domain, self.domain.join(","));
        }
        Ok(answers)
    }
}

/// Asks whether a daily job shall make the list of hosted domains anew: only now it is known
/// that there is to be one.
fn ask_timer(wizard: &Wizard<'_>, answers: &mut Answers, is_silent: bool) -> Result<(), Failure> {
    if is_silent {
        return Ok(wizard.ask_further(Id::Timer, answers, None)?);
    }
    let mut asker = TerminalAsker::new()?;
    Ok(wizard.ask_further(Id::Timer, answers, Some(&mut asker))?)
}

/// The site file for a server elsewhere.
struct SiteFile<'a> {
    path: &'a Utf8Path,
    before: Option<File>,
    text: &'a str,
    /// Whether it lies in the folder of the other files, not where `--site` says.
    is_beside: bool,
}

/// Shows and writes the files for a server elsewhere.
fn elsewhere(
    session: &mut Session,
    site: &Site,
    profile: &Profile,
    draft: &crate::draft::Draft,
    directory: &Utf8Path,
    site_file: SiteFile<'_>,
) -> Result<u8, Failure> {
    show::draft(&mut session.ui, draft);
    session.ui.remarks(&draft.findings);
    if !draft.refusals.is_empty() {
        return Err(refused(&draft.refusals));
    }
    let mut files = out::files(draft, profile)?;
    files.extend(dns::files(session, site)?);
    let why = match draft.host.facts.origin {
        Origin::Stock => "there is no Postfix on this machine",
        _ if session.may_write() => "`--out` was given",
        _ => "only root may change Postfix",
    };
    session.ui.data("\n");
    session.ui.heading("Files that will be written");
    session.ui.point("-", site_file.path.as_str());
    for file in &files {
        session.ui.point("-", directory.join(&file.name).as_str());
    }
    session.refuse_foreign(directory, &files)?;
    session
        .ui
        .say(&format!("note: {why}, so everything goes to `{directory}`"));
    if session.consent(&WRITE)? == Consent::No {
        return Err(declined());
    }
    let now = if site_file.is_beside {
        session.outside.read(site_file.path)?
    } else {
        session.system.read(site_file.path)?
    };
    if now != site_file.before {
        return Err(Failure::failed(format!(
            "`{}` was changed meanwhile, so nothing was written",
            site_file.path
        ))
        .hint("begin again with what it says now"));
    }
    if site_file.is_beside {
        files.insert(0, out::OutFile::text(SITE, site_file.text));
    } else {
        session.write_site(site_file)?;
    }
    session.write_out(directory, &files)?;
    session.ui.say(&format!(
        "done; {} says what to do on the server",
        directory.join(out::INSTALL)
    ));
    Ok(0)
}

impl Session {
    /// The place and the text of a site file for this host, where there is none yet: by what can be
    /// known, by defaults, and by what the person says where somebody can be asked. `missing` is how
    /// its lack was told.
    ///
    /// # Errors
    /// When there is no Postfix here that it would be for, or something cannot be known.
    pub fn first_site(&mut self, missing: Failure) -> Result<(Utf8PathBuf, String), Failure> {
        let chosen = self.choose_profile(None)?;
        if !self.has_postfix(&chosen.profile)? {
            return Err(missing);
        }
        let path = self.site_path(&chosen.profile);
        let detected = self.detect(&chosen.profile, chosen.reason.as_deref(), true)?;
        let allow_non_global = self.common.allow_non_global;
        let resolver = CachedResolver::new(self.resolver()?);
        let look_up = |domain: &str| dns::published(&resolver, domain);
        let mut given = Answers::default();
        if let Some(name) = &self.common.profile {
            given.insert(Id::Profile, name.clone());
        }
        let own_profile = self.common.profile.as_deref();
        let own_profile = own_profile.filter(|name| Profile::is_path(name));
        let wizard = Wizard {
            given,
            detected: &detected,
            existing: None,
            own_profile: own_profile.map(|_| &chosen.profile),
            allow_non_global,
            look_up: (!self.common.offline).then_some(&look_up),
        };
        self.ui.say(&format!(
            "note: there is no `{path}` yet; the plan begins one"
        ));
        let answers = if self.common.no_input || !self.is_terminal {
            let command = self.common.alike("init --no-input");
            wizard.answer_silently(&command)?
        } else {
            wizard.ask(&mut TerminalAsker::new()?)?
        };
        let text = site_file(&answers, None, &path, allow_non_global)?;
        Ok((path, text))
    }

    /// Writes the site file where `--site` says.
    fn write_site(&mut self, site_file: SiteFile<'_>) -> Result<(), Failure> {
        let SiteFile {
            path, before, text, ..
        } = site_file;
        if before
            .as_ref()
            .is_some_and(|before| before.bytes == text.as_bytes())
        {
            return Ok(());
        }
        let (uid, gid) = self.user;
        let new = match before {
            Some(before) => File {
                bytes: text.into(),
                ..before
            },
            None => File::new(text, 0o644, uid, gid),
        };
        self.system.write(path, &new)?;
        self.ui.say(&format!("wrote {path}"));
        Ok(())
    }

    fn has_postfix(&mut self, profile: &Profile) -> Result<bool, Failure> {
        let config = self.config_directory(profile)?;
        if self.system.stat(&config.join("main.cf"))?.is_none() {
            return Ok(false);
        }
        // A package that was removed leaves its configuration behind.
        let query = Query::Postconf {
            config: None,
            arguments: vec!["-d".into(), "-h".into(), "mail_version".into()],
        };
        match self.system.query(&query) {
            Err(SystemError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(true),
        }
    }

    /// What can be known without asking.
    fn detect(
        &mut self,
        profile: &Profile,
        reason: Option<&str>,
        here: bool,
    ) -> Result<Detected, Failure> {
        let mut detected = Detected {
            is_the_server: here,
            profile: reason.map(|reason| (profile.name.clone(), reason.to_owned())),
            addresses: if self.system.root().is_some() {
                Vec::new()
            } else {
                self.system.addresses()?
            },
            ..Detected::default()
        };
        if !here {
            return Ok(detected);
        }
        let config = self.config_directory(profile)?;
        let names = ["myhostname", "mydomain"];
        let arguments = std::iter::once("-h")
            .chain(names)
            .map(str::to_owned)
            .collect();
        let output = self.system.query(&Query::Postconf {
            config: Some(config),
            arguments,
        })?;
        if output.success() {
            let text = output.text();
            let mut lines = text.lines().map(str::trim);
            detected.hostname = lines
                .next()
                .filter(|name| name.contains('.'))
                .map(str::to_owned);
            // `localdomain` is what Postfix takes where it knows none.
            let known = |name: &&str| name.contains('.') && !name.ends_with("localdomain");
            detected.domains = lines
                .next()
                .filter(known)
                .map(str::to_owned)
                .into_iter()
                .collect();
        }
        Ok(detected)
    }

    /// The step that writes the site file, if it changes.
    pub fn site_step(
        &self,
        path: &Utf8PathBuf,
        before: Option<File>,
        text: &str,
    ) -> Result<Option<Step>, Failure> {
        if before
            .as_ref()
            .is_some_and(|file| file.bytes == text.as_bytes())
        {
            return Ok(None);
        }
        let (uid, gid) = self.user;
        let directories = self.missing_directories(path, 0o755)?;
        let after = match &before {
            Some(before) => File {
                bytes: text.into(),
                ..before.clone()
            },
            None => File::new(text, 0o644, uid, gid),
        };
        let change = FileChange {
            path: path.clone(),
            before,
            after: Some(after),
            nature: Nature::Text,
        };
        Ok(Some(Step {
            title: format!("the site file `{path}`"),
            directories,
            files: vec![change],
            ..Step::default()
        }))
    }
}

impl From<WizardError> for Failure {
    fn from(error: WizardError) -> Self {
        let hints = error.hints();
        let kind = match &error {
            WizardError::UnknownQuestion { .. } | WizardError::NoAssignment { .. } => {
                FailureKind::Usage
            }
            _ => FailureKind::Failed,
        };
        match error {
            WizardError::Existing(error) => error.into(),
            WizardError::Ask(error) => error.into(),
            other => Self {
                hints,
                ..Self::new(kind, other.to_string())
            },
        }
    }
}
