//! What most commands begin with: profile, site file, resolver, draft.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalogue::{Catalogue, CatalogueError};
use crate::cli::{Failure, FailureKind, Session};
use crate::data_file::DataError;
use crate::dns::{OfflineResolver, Resolver, UnhurriedResolver};
use crate::draft::{Draft, DraftError, Wish, check_unreadable, draft, stock_draft};
use crate::host::{Call, HostError};
use crate::plan::SavedPlanError;
use crate::postfix::{CompatibilityLevel, MasterCf, ServiceType, Version, effective_chroot};
use crate::profile::{Observed, Profile};
use crate::provider::Provider;
use crate::receipt::ReceiptError;
use crate::site::Site;
use crate::spelling::near_miss;
use crate::system::{Query, System, SystemError};

/// All lookups for one purpose together, a plan or the records, take no longer than this.
const DNS_DEADLINE: Duration = Duration::from_secs(2);

/// The domains mail goes to may be thousands: how long asking for the mail hosts of all of them
/// takes at most, and of one. Even with the first of two servers dead five hundred are done by then.
const MANY_DEADLINE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3));

/// Where a plan's own files go when there is no Postfix to write to, or no right to.
pub const OUT: &str = "mailfix-out";

/// What the site file is called there.
pub const SITE: &str = "mailfix.toml";

/// A profile, and why it was chosen.
pub struct Chosen {
    /// The profile.
    pub profile: Profile,
    /// Why; `None` when it was named.
    pub reason: Option<String>,
}

/// What a site file wishes for, with all it is read by.
pub struct Wished {
    site: Site,
    /// The kind of host.
    pub profile: Profile,
    providers: Vec<Provider>,
    call: Option<Call>,
}

impl Wished {
    /// Puts it together.
    pub fn new(site: Site, profile: Profile, call: Option<Call>) -> Self {
        Self {
            providers: site.receivers(),
            site,
            profile,
            call,
        }
    }

    /// The wish for all of it.
    pub fn wish(&self) -> Wish<'_> {
        Wish {
            call: self.call.as_ref(),
            ..Wish::new(&self.site, &self.profile, &self.providers)
        }
    }
}

impl Session {
    /// Takes the profile named on the command line, else in the site file, else the best match.
    pub fn choose_profile(&self, in_site: Option<&str>) -> Result<Chosen, Failure> {
        if let Some(name) = self.common.profile.as_deref().or(in_site) {
            return Ok(Chosen {
                profile: self.named_profile(name)?,
                reason: None,
            });
        }
        let observed = self.observe_kind()?;
        let (profile, reason) = Profile::best_match(&observed);
        Ok(Chosen {
            profile,
            reason: Some(reason),
        })
    }

    /// Finds a profile by its name, or reads one of the person's own by its path.
    pub fn named_profile(&self, name: &str) -> Result<Profile, Failure> {
        if let Some(profile) = Profile::built_in(name) {
            return Ok(profile);
        }
        if !Profile::is_path(name) {
            let names: Vec<&str> = Profile::names().collect();
            let failure = Failure::usage(format!("there is no profile `{name}`"));
            return Err(match near_miss(name, Profile::names()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!(
                    "the profiles are {}; a path names one of your own",
                    names.join(", ")
                )),
            });
        }
        let path = Utf8Path::new(name);
        let Some(file) = self.outside.read(path)? else {
            return Err(Failure::usage(format!(
                "the profile `{path}` does not exist"
            )));
        };
        Ok(Profile::parse(&file.bytes, path)?)
    }

    /// What tells kinds of hosts apart.
    fn observe_kind(&self) -> Result<Observed, Failure> {
        let mut files_present = Vec::new();
        for path in Profile::probes() {
            if self.system.stat(&path).is_ok_and(|stat| stat.is_some()) {
                files_present.push(path);
            }
        }
        let mut config_dir = None;
        if self.system.root().is_none() {
            // Without a main.cf postconf says no more than where it looks for one.
            let query = Query::Postconf {
                config: None,
                arguments: vec!["-d".into(), "-h".into(), "config_directory".into()],
            };
            config_dir = match self.system.query(&query) {
                Ok(output) => {
                    let text = output.text();
                    let line = text.lines().next().unwrap_or_default().trim();
                    (!line.is_empty()).then(|| Utf8PathBuf::from(line))
                }
                Err(SystemError::Missing { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        let known = |directory: &Utf8PathBuf| {
            self.system
                .stat(&directory.join("main.cf"))
                .is_ok_and(|stat| stat.is_some())
        };
        let config_dir = config_dir.filter(known).or_else(|| {
            Profile::all()
                .map(|profile| profile.paths.config)
                .find(known)
        });
        let smtp_chrooted = config_dir
            .as_deref()
            .and_then(|directory| self.smtp_chrooted(directory));
        Ok(Observed {
            kernel: self.kernel.clone(),
            config_dir,
            smtp_chrooted,
            files_present,
        })
    }

    fn smtp_chrooted(&self, directory: &Utf8Path) -> Option<bool> {
        let file = self.system.read(&directory.join("master.cf")).ok()??;
        let master = MasterCf::parse(&file.bytes);
        let smtp = master.get("smtp", &ServiceType::Unix)?;
        let query = Query::Postconf {
            config: Some(directory.to_owned()),
            arguments: vec![
                "-h".into(),
                "mail_version".into(),
                "compatibility_level".into(),
            ],
        };
        let text = self.system.query(&query).ok()?.text();
        let mut lines = text.lines();
        let version = Version::parse(lines.next()?)?;
        let level = CompatibilityLevel::read(lines.next().unwrap_or("0"), version).ok()?;
        Some(effective_chroot(smtp.chroot, version, level))
    }

    /// All that is known of receivers and causes, the administrator's own files included.
    pub fn catalogue(&mut self) -> Result<Catalogue, Failure> {
        let (path, _) = self.find_site()?;
        let directory = path.parent().unwrap_or(Utf8Path::new("/"));
        Ok(Catalogue::of(self.system.as_ref(), directory)?)
    }

    /// The path of the site file; within the tree, if one is worked on.
    pub fn site_path(&self, profile: &Profile) -> Utf8PathBuf {
        match &self.common.site {
            Some(path) => self.inside(path),
            None => profile.paths.site.clone(),
        }
    }

    /// A path typed with the tree in front of it is meant within the tree.
    pub fn inside(&self, path: &Utf8Path) -> Utf8PathBuf {
        let stripped = self
            .common
            .root
            .as_deref()
            .and_then(|root| path.strip_prefix(root).ok());
        match stripped {
            Some(rest) => Utf8Path::new("/").join(rest),
            None => path.to_owned(),
        }
    }

    /// Reads the site file.
    pub fn site(&mut self) -> Result<(Site, Chosen), Failure> {
        self.site_with_path()
            .map(|(site, chosen, _)| (site, chosen))
    }

    /// Reads the site file, and says where it lies.
    pub fn site_with_path(&mut self) -> Result<(Site, Chosen, Utf8PathBuf), Failure> {
        let (path, mut chosen) = self.find_site()?;
        let Some(file) = self.system.read(&path)? else {
            return Err(
                Failure::new(FailureKind::Site, format!("there is no site file `{path}`"))
                    .hint("`mailfix init` asks what it needs to know and writes it"),
            );
        };
        let site = Site::parse_with(&file.bytes, &path, self.common.allow_non_global)?;
        if self.common.profile.is_none() && site.profile.is_some() {
            chosen = None;
        }
        let chosen = match chosen {
            Some(chosen) => chosen,
            None => self.choose_profile(site.profile.as_deref())?,
        };
        Ok((site, chosen, path))
    }

    /// Finds the site file's path, and the profile where it had to be known for that.
    ///
    /// The file may name the profile, and the profile says where the file lies. So a file is
    /// first looked for in the places of all profiles; only where that does not decide is the
    /// host looked at.
    fn find_site(&mut self) -> Result<(Utf8PathBuf, Option<Chosen>), Failure> {
        if let Some(path) = &self.common.site {
            return Ok((self.inside(path), None));
        }
        if self.common.profile.is_none() {
            let mut places: Vec<Utf8PathBuf> =
                Profile::all().map(|profile| profile.paths.site).collect();
            places.sort();
            places.dedup();
            let mut found = Vec::new();
            for place in places {
                if self.system.stat(&place)?.is_some() {
                    found.push(place);
                }
            }
            if let [path] = found.as_slice() {
                return Ok((path.clone(), None));
            }
        }
        let chosen = self.choose_profile(None)?;
        let path = chosen.profile.paths.site.clone();
        if self.system.root().is_none() && self.system.stat(&path)?.is_none() {
            // What `init` wrote where it could not write to the right place.
            let elsewhere = Utf8Path::new(OUT).join(SITE);
            if self.outside.stat(&elsewhere)?.is_some() {
                self.ui.say(&format!(
                    "note: the site file is `{elsewhere}`, there is no `{path}`"
                ));
                return Ok((elsewhere, Some(chosen)));
            }
        }
        Ok((path, Some(chosen)))
    }

    /// A resolver; its time begins with its first question.
    pub fn resolver(&self) -> Result<Arc<dyn Resolver>, Failure> {
        if self.common.offline {
            return Ok(Arc::new(OfflineResolver));
        }
        if let Some(resolver) = self.asked.as_ref().or(self.resolver.as_ref()) {
            return Ok(Arc::clone(resolver));
        }
        let text = self.resolv_conf()?;
        let (all, each) = MANY_DEADLINE;
        let resolver =
            UnhurriedResolver::from_resolv_conf(text, DNS_DEADLINE).allowing_many(all, each);
        Ok(Arc::new(resolver))
    }

    /// The text that names the DNS servers of this machine.
    pub fn resolv_conf(&self) -> Result<Vec<u8>, Failure> {
        let file = self.outside.read(Utf8Path::new("/etc/resolv.conf"))?;
        Ok(file.map(|file| file.bytes).unwrap_or_default())
    }

    /// Reads what is wished for: the site file, with all it is read by.
    pub fn wished(&mut self) -> Result<Wished, Failure> {
        let (site, chosen, path) = self.site_with_path()?;
        let call = self.call(&path, site.profile.as_deref());
        Ok(Wished::new(site, chosen.profile, call))
    }

    /// How a job that is run every day calls us, for the same files; none where nobody knows
    /// where our program lies. `profile` is the one that the site file names.
    pub fn call(&self, site: &Utf8Path, profile: Option<&str>) -> Option<Call> {
        let program = self.program.as_ref()?;
        let mut words = vec![program.to_string()];
        words.extend(["refresh", "--yes", "--no-input", "--quiet"].map(ToOwned::to_owned));
        words.extend(self.common.paths());
        if self.common.allow_non_global {
            words.push("--allow-non-global".to_owned());
        }
        Some(Call {
            words,
            site: site.to_owned(),
            profile: profile
                .filter(|name| self.common.profile.is_none() && Profile::is_path(name))
                .map(Utf8PathBuf::from),
        })
    }

    /// Drafts the plan for a wish; against the stock configuration where there is no Postfix.
    pub fn draft(&mut self, wish: &Wish<'_>) -> Result<Draft, Failure> {
        let profile = wish.profile;
        let resolver = self.resolver()?;
        let config = self.config_directory(profile)?;
        self.note_config(profile, &config);
        match draft(self.system.as_ref(), resolver.as_ref(), &config, wish) {
            Err(DraftError::Host(HostError::NoPostfix { reason })) => {
                self.ui.say(&format!(
                    "note: there is no Postfix to look at ({reason}); planning for the stock configuration of `{}`",
                    profile.name
                ));
                Ok(stock_draft(resolver.as_ref(), wish)?)
            }
            Err(DraftError::Host(error @ HostError::Unreadable { .. })) => {
                let findings = check_unreadable(self.system.as_ref(), profile, &config)?;
                let mut failure = Failure::from(error);
                failure.findings = findings;
                Err(failure)
            }
            other => Ok(other?),
        }
    }

    /// The profile's directory, or where Postfix itself says it is if nothing is there.
    pub fn config_directory(&self, profile: &Profile) -> Result<Utf8PathBuf, Failure> {
        let there = |directory: &Utf8Path| -> Result<bool, Failure> {
            Ok(self.system.stat(&directory.join("main.cf"))?.is_some())
        };
        let stated = &profile.paths.config;
        if there(stated)? || self.system.root().is_some() {
            return Ok(stated.clone());
        }
        match self.observe_kind()?.config_dir {
            Some(found) if there(&found)? => Ok(found),
            _ => Ok(stated.clone()),
        }
    }

    /// Says so where the configuration is not in the profile's directory.
    pub fn note_config(&mut self, profile: &Profile, config: &Utf8Path) {
        if config != profile.paths.config && !self.is_config_noted {
            self.is_config_noted = true;
            self.ui.say(&format!(
                "note: Postfix has its configuration in `{config}`, not in the `{}` of the profile `{}`",
                profile.paths.config, profile.name
            ));
        }
    }

    /// The state directory, for commands that need no more than the places of things.
    pub fn state(&mut self) -> Result<Utf8PathBuf, Failure> {
        let profile = match self.site_with_path() {
            Ok((_, chosen, site)) => {
                let beside = self.state_beside(&site, &chosen.profile);
                if self.system.stat(&beside)?.is_some() {
                    return Ok(beside);
                }
                chosen.profile
            }
            Err(failure) if failure.kind == FailureKind::Site => self.choose_profile(None)?.profile,
            Err(failure) => return Err(failure),
        };
        Ok(profile.paths.state)
    }

    /// The state directory, or one beside the site file where the right place is not ours to write.
    pub fn state_beside(&self, site: &Utf8Path, profile: &Profile) -> Utf8PathBuf {
        if self.may_write() {
            return profile.paths.state.clone();
        }
        site.parent().unwrap_or(Utf8Path::new("")).join("state")
    }

    /// Refuses to change the machine without the right to.
    pub fn require_root(&self, verb: &str) -> Result<(), Failure> {
        if self.system.root().is_some() || self.system.is_root() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "`mailfix {verb}` changes files of Postfix, and only root may"
        ))
        .hint(format!("`sudo mailfix {verb}`; `mailfix plan` only looks")))
    }
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Host(error) => error.into(),
            DraftError::System(error) => error.into(),
            DraftError::Build(error) => Self::failed(error.to_string()),
            DraftError::Template(error) => Self::new(FailureKind::Bug, error.to_string()),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let mut failure = Self::new(FailureKind::Site, format!("`{}` is wrong", error.path));
        failure.findings = error.findings;
        failure
    }
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Data(error) => error.into(),
            CatalogueError::System(error) => error.into(),
        }
    }
}

impl From<SavedPlanError> for Failure {
    fn from(error: SavedPlanError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        let failure = Self::failed(error.to_string());
        match error {
            ReceiptError::Unknown { .. } => {
                failure.hint("`mailfix history` lists what was applied")
            }
            _ => failure,
        }
    }
}
