//! The host: what is really there, found by looking only.
//!
//! Owns [`Host`]: [`Facts`] (versions, parameters, services, table types, what
//! routes mail now, addresses) and [`Files`] (bytes, mode, owner). Programs are
//! asked, names of distributions are not.
//! Must not know the site file and must not judge.

mod classes;
mod destinations;
mod dns;
#[cfg(test)]
pub(crate) mod example;
mod forwarding;
mod interfaces;
mod jail;
mod jobs;
mod reply_filter;
mod routes;
mod signing;
mod table_types;
mod way_out;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};

use crate::package::Packages;
use crate::postfix::expand;
use crate::postfix::parameter;
use crate::postfix::table::DATABASES;
use crate::postfix::{
    CompatibilityLevel, MainCf, MasterCf, Need, Service, ServiceType, Table, Version,
};
use crate::profile::Profile;
use crate::system::{File, Kind, Query, Stat, System, SystemError};

pub use destinations::{
    Destination, Destinations, MailHosts, Places, Seen, ask_mail_hosts,
    observe as observe_destinations,
};
pub use dns::{
    AddressFacts, Confirmation, DnsFacts, DomainFacts, Published, observe_dns, observe_keys,
};
pub use forwarding::{
    Bounces, Forwarding, Installed, OwnDomains, Served, Way, ask_bounces, ask_receivers,
    observe as observe_forwarding, observe_rewriter, silence,
};
pub use interfaces::IF_INET6;
pub use jail::{Jail, Kept, Lack, State};
pub use jobs::{Call, Jobs, observe as observe_jobs};
pub use reply_filter::{
    BEHIND_COPY, COPY_OF, FilterSource, REPLY_FILTER, REPLY_FILTER_FILE, ReplyFilter, note,
};
pub use routes::{ANYBODY, Questions, Route, Routes};
pub use signing::{NoKey, SignerFacts, Signing, Starts};
pub use table_types::main_cf_of_copy;
use table_types::{TableTypes, Tried};

/// The folder below the configuration directory that is ours entirely.
pub const OWN_FOLDER: &str = "mailfix";

/// The name of the transport table in it.
pub const TRANSPORT: &str = "transport";

/// Everything observed.
#[derive(Clone, Debug)]
pub struct Host {
    /// What is so.
    pub facts: Facts,
    /// What the files hold.
    pub files: Files,
}

/// Where the facts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The running machine.
    Machine,
    /// A tree worked on instead of `/`.
    Tree,
    /// Another machine, as it was packed there.
    Collected,
    /// A profile's stock configuration, because there is no Postfix here.
    Stock,
}

/// What is so on the host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where they come from.
    pub origin: Origin,
    /// The configuration directory.
    pub config: Utf8PathBuf,
    /// The version of Postfix.
    pub version: Version,
    /// Which old defaults are kept.
    pub level: CompatibilityLevel,
    /// Every parameter's value as Postfix uses it.
    pub parameters: Parameters,
    /// The names that main.cf itself sets.
    pub explicit: BTreeSet<String>,
    /// Table types that work here.
    pub table_types: BTreeSet<String>,
    /// Table types this Postfix names (`postconf -m`) that do not work, each with what is wrong.
    pub broken_types: BTreeMap<String, String>,
    /// The package manager, if a known one is here.
    pub packages: Option<Packages>,
    /// The services of master.cf; of duplicates the last, which is the one that counts.
    pub services: Vec<Service>,
    /// Programs in `daemon_directory`; `None` where they cannot be listed.
    pub daemons: Option<BTreeSet<String>>,
    /// What the queue directory holds of what chrooted daemons look for.
    pub jail: Jail,
    /// What decides the way of mail today.
    pub routes: Routes,
    /// The administrator's reply filter.
    pub reply_filter: Option<ReplyFilter>,
    /// Whether the mail system runs.
    pub running: Running,
    /// Other configuration directories of this machine's Postfix.
    pub instances: Vec<Utf8PathBuf>,
    /// Addresses of the network interfaces; empty for a tree or a stock configuration.
    pub addresses: Vec<IpAddr>,
    /// Those of them that come and go: temporary ones (RFC 8981), and deprecated ones.
    pub passing: BTreeSet<IpAddr>,
    /// What our own folder holds.
    pub own: Own,
    /// What DNS says of the addresses and domains.
    pub dns: DnsFacts,
    /// The domains mail goes to; `None` where nothing depends on them and nobody looked.
    pub destinations: Option<Destinations>,
    /// What is forwarded to the outside; `None` where nobody looked.
    pub forwarding: Option<Forwarding>,
    /// What there is for a job that is run every day.
    pub jobs: Jobs,
    /// What signs mail, or could; `None` where nothing depends on it and nobody looked.
    pub signing: Option<Signing>,
}

/// What an earlier apply left in our own folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The tables there, by the names of their files.
    pub files: BTreeSet<String>,
    /// The entries of the transport table.
    pub transport: BTreeMap<String, String>,
    /// What parameters were before an apply set them, as the tables there note it; `None`: not set.
    pub before: BTreeMap<String, Option<String>>,
    /// Services that the configuration goes on naming when all of ours is taken out of it.
    pub in_use: BTreeSet<String>,
}

impl Own {
    /// The services that the transport table sends mail to.
    #[must_use]
    pub fn services(&self) -> BTreeSet<String> {
        self.transport
            .values()
            .filter_map(|value| value.split(':').next())
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }
}

/// Whether master(8) lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// With this process id.
    Yes(i32),
    /// It does not.
    No,
    /// It cannot be told (not root, or a tree).
    Unknown,
}

/// The files read, by the path an administrator knows.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: BTreeMap<Utf8PathBuf, Option<File>>,
    directories: BTreeMap<Utf8PathBuf, Stat>,
}

impl Files {
    /// The file, if it was there when looked at.
    #[must_use]
    pub fn get(&self, path: &Utf8Path) -> Option<&File> {
        self.files.get(path)?.as_ref()
    }

    /// Tells whether a directory was there when looked at.
    #[must_use]
    pub fn has_directory(&self, path: &Utf8Path) -> bool {
        self.directories.contains_key(path)
    }

    /// The directory, if it was there when looked at.
    #[must_use]
    pub fn directory(&self, path: &Utf8Path) -> Option<&Stat> {
        self.directories.get(path)
    }

    /// Adds a file as it is found.
    pub fn insert(&mut self, path: impl Into<Utf8PathBuf>, file: Option<File>) {
        self.files.insert(path.into(), file);
    }

    /// Adds a directory as it is found.
    pub fn insert_directory(&mut self, path: impl Into<Utf8PathBuf>, stat: Stat) {
        self.directories.insert(path.into(), stat);
    }

    fn look(&mut self, system: &dyn System, path: &Utf8Path) -> Result<(), SystemError> {
        let file = system.read(path)?;
        self.insert(path, file);
        Ok(())
    }
}

/// Values of parameters: what main.cf says, else what Postfix takes by itself.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Makes the values from pairs; later ones win.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The value as written, `$name` and all.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value with every `$name` replaced; empty where nothing is set or it cannot be expanded.
    #[must_use]
    pub fn get(&self, name: &str) -> String {
        let Some(raw) = self.raw(name) else {
            return String::new();
        };
        self.expand(raw)
    }

    /// Replaces every `$name` in a text; what cannot be expanded stays as it is.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand::expand(text, &|name: &str| self.raw(name).map(Into::into))
            .unwrap_or_else(|_| text.to_owned())
    }

    /// Lists every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value as a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        crate::postfix::split_list(&self.get(name))
    }
}

/// A host that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The machine failed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// There is no Postfix to look at.
    #[error("there is no Postfix here: {reason}")]
    NoPostfix {
        /// What is missing.
        reason: String,
    },
    /// There is a `main.cf` and no `master.cf`.
    #[error("`{path}` does not exist, and without it Postfix does not run")]
    NoMaster {
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// Something else stands where our own folder has to be.
    #[error("`{path}` is in the way: it is no directory")]
    InTheWay {
        /// Which.
        path: Utf8PathBuf,
    },
    /// Postfix cannot read its own configuration.
    #[error("Postfix cannot read its configuration in `{config}`: {message}")]
    Unreadable {
        /// The configuration directory.
        config: Utf8PathBuf,
        /// What it said.
        message: String,
    },
    /// It says a version nobody can read.
    #[error("cannot make sense of the version `{version}` of Postfix")]
    Version {
        /// What it said.
        version: String,
    },
    /// It says a compatibility level nobody can read.
    #[error("main.cf sets `compatibility_level = {level}`, which this version of Postfix refuses")]
    Level {
        /// What it said.
        level: String,
    },
}

/// What shall be found out beyond the configuration itself.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Recipient domains whose way is asked of every transport table.
    pub domains: Vec<String>,
    /// Suffixes of mail hosts whose IPv6 addresses a filter may drop already.
    pub suffixes: Vec<String>,
    /// Lines of replies that a reply filter is asked about.
    pub replies: Vec<String>,
    /// Names of files in our own folder.
    pub own_files: Vec<String>,
    /// How a job would call us.
    pub call: Option<Call>,
    /// The keys that mail shall be signed with, selector and file; none where that is not asked.
    pub keys: Vec<(String, Utf8PathBuf)>,
    /// Table types to be tried out if Postfix names them; of others the name is believed.
    pub table_types: Vec<String>,
    /// Whether it is enough to know one type that works, for a table of ours.
    pub one_will_do: bool,
}

impl Interest {
    /// What is of interest to whoever only looks into tables: whether they can be.
    #[must_use]
    pub fn in_tables() -> Self {
        Self {
            table_types: DATABASES.map(str::to_owned).into(),
            ..Self::default()
        }
    }
}

/// Looks at a host.
///
/// # Errors
/// [`HostError::NoPostfix`] when there is none, others when it cannot be read.
pub fn observe(
    system: &dyn System,
    config: &Utf8Path,
    interest: &Interest,
) -> Result<Host, HostError> {
    let main_path = config.join("main.cf");
    let master_path = config.join("master.cf");
    let mut files = Files::default();
    files.look(system, &main_path)?;
    files.look(system, &master_path)?;
    let Some(main) = files.get(&main_path).map(|file| MainCf::parse(&file.bytes)) else {
        return Err(HostError::NoPostfix {
            reason: format!("`{main_path}` does not exist"),
        });
    };
    let Some(master) = files
        .get(&master_path)
        .map(|file| MasterCf::parse(&file.bytes))
    else {
        return Err(HostError::NoMaster { path: master_path });
    };
    let dump = postconf(system, config, &[])?;
    let mut parameters = Parameters::new(logical_values(&dump));
    let tree = system.root().is_some();
    // What nothing uses is left out of the dump, and is still there for `$name` in an option.
    // Of a tree the dump says of users and interfaces what holds on this machine.
    for setting in main.settings().filter(|setting| !setting.overridden) {
        if tree || parameters.raw(setting.name).is_none() {
            parameters.set(setting.name, &setting.value);
        }
    }
    parameters.set("config_directory", config.as_str());
    let types = table_types(system, config, &main.to_bytes(), &parameters, interest)?;

    let own = own_folder(system, config, interest, &mut files)?;
    let (version, level) = version_of(&parameters)?;
    let queue = Utf8PathBuf::from(parameters.get("queue_directory"));
    let daemons = system.list(Utf8Path::new(&parameters.get("daemon_directory")))?;
    let services = effective_services(&master);
    let running = if tree {
        Running::Unknown
    } else {
        running(system, &queue)?
    };
    let jail = jail::observe(
        system,
        &jail::Looked {
            directory: &queue,
            services: &services,
            parameters: &parameters,
            version,
            running,
        },
    );
    // Both files that may be copied into it stand there.
    let above = queue.join("etc");
    if let Ok(Some(stat)) = system.stat(&above)
        && stat.kind == Kind::Directory
    {
        files.insert_directory(above, stat);
    }
    let facts = Facts {
        origin: origin(system),
        config: config.to_owned(),
        version,
        level,
        explicit: main.names().map(ToOwned::to_owned).collect(),
        table_types: types.working,
        broken_types: types.broken,
        packages: Packages::find(system),
        services,
        daemons: if daemons.is_empty() {
            None
        } else {
            Some(daemons.into_iter().collect())
        },
        jail,
        routes: routes::observe(system, config, &parameters, interest)?,
        reply_filter: reply_filter::observe(system, config, &parameters, interest)?,
        running,
        instances: parameters
            .list("multi_instance_directories")
            .into_iter()
            .map(Into::into)
            .collect(),
        addresses: if tree {
            Vec::new()
        } else {
            system.addresses()?
        },
        passing: if tree {
            BTreeSet::new()
        } else {
            interfaces::passing(system)?
        },
        own,
        dns: DnsFacts::default(),
        destinations: None,
        forwarding: None,
        // A machine that cannot run mailfix has no job that calls it.
        jobs: if system.is_collected() {
            Jobs::default()
        } else {
            jobs::observe(system, "refresh", interest.call.as_ref(), &mut files)?
        },
        signing: signing::observe(system, &interest.keys, &mut files)?,
        parameters,
    };
    Ok(Host { facts, files })
}

/// Looks into our own folder.
fn own_folder(
    system: &dyn System,
    config: &Utf8Path,
    interest: &Interest,
    files: &mut Files,
) -> Result<Own, HostError> {
    let own = config.join(OWN_FOLDER);
    match system.stat(&own)? {
        None => {}
        Some(stat) if stat.kind == Kind::Directory => {
            files.insert_directory(own.clone(), stat);
        }
        Some(_) => return Err(HostError::InTheWay { path: own }),
    }
    let mut found = Own::default();
    for name in &interest.own_files {
        let path = own.join(name);
        files.look(system, &path)?;
        let Some(file) = files.get(&path) else {
            continue;
        };
        // A database made of a table is no table.
        if !name.contains('.') {
            found.files.insert(name.clone());
        }
        if name == TRANSPORT {
            found.transport = Table::parse(&file.bytes)
                .entries()
                .map(|entry| (entry.key.into_owned(), entry.value.into_owned()))
                .collect();
        }
        if name == REPLY_FILTER_FILE {
            found.before = reply_filter::noted(&String::from_utf8_lossy(&file.bytes));
        }
    }
    Ok(found)
}

/// Looks at the way that mail to further domains takes today.
///
/// # Errors
/// When the machine cannot be asked.
pub fn observe_ways(
    system: &dyn System,
    facts: &mut Facts,
    domains: &BTreeSet<String>,
) -> Result<(), HostError> {
    if facts.origin == Origin::Stock {
        return Ok(());
    }
    routes::observe_further(system, facts, domains)
}

/// Asks Postfix for the table types it names, and finds out which of them work.
fn table_types(
    system: &dyn System,
    config: &Utf8Path,
    main: &[u8],
    parameters: &Parameters,
    interest: &Interest,
) -> Result<TableTypes, HostError> {
    let named = postconf(system, config, &["-m"])?;
    let named = named.split_whitespace().map(ToOwned::to_owned).collect();
    let mut kinds = interest.table_types.clone();
    let tried = if interest.one_will_do {
        // The one that is in use goes on; a new table gets the host's own type if that works.
        let default = parameters.get("default_database_type");
        kinds.sort_by_key(|kind| *kind != default);
        if names_ours(parameters, config) {
            kinds.clear();
        }
        Tried::UntilOneWorks(&kinds)
    } else {
        Tried::All(&kinds)
    };
    Ok(table_types::observe(
        system, main, parameters, named, tried,
    )?)
}

/// Tells whether a text names a table in our own folder, as `type:path`.
#[must_use]
pub fn is_own_table(config: &Utf8Path, text: &str) -> bool {
    text.contains(&format!(":{}/", config.join(OWN_FOLDER)))
}

/// Tells whether `transport_maps` names a table of ours already.
fn names_ours(parameters: &Parameters, config: &Utf8Path) -> bool {
    is_own_table(config, &parameters.get("transport_maps"))
}

/// Takes a profile's stock configuration for a host, where there is none to look at.
///
/// # Errors
/// When the profile's stock version or level cannot be read.
pub fn stock(profile: &Profile) -> Result<Host, HostError> {
    let main = MainCf::parse(profile.stock.main_cf.as_bytes());
    let master = MasterCf::parse(profile.stock.master_cf.as_bytes());
    let version = Version::parse(&profile.stock.version).ok_or_else(|| HostError::Version {
        version: profile.stock.version.clone(),
    })?;
    let mut parameters = Parameters::new(
        parameter::all()
            .iter()
            .filter(|parameter| parameter.exists_in(version))
            .map(|parameter| {
                (
                    parameter.name.to_owned(),
                    parameter.default_in(version).to_owned(),
                )
            }),
    );
    for setting in main.settings() {
        parameters.set(setting.name, &setting.value);
    }
    parameters.set("config_directory", profile.paths.config.as_str());
    parameters.set("queue_directory", profile.paths.queue.as_str());
    parameters.set("mail_version", &profile.stock.version);
    let (_, level) = version_of(&parameters)?;
    let mut files = Files::default();
    for (name, text) in [
        ("main.cf", &profile.stock.main_cf),
        ("master.cf", &profile.stock.master_cf),
    ] {
        let file = File {
            bytes: text.as_bytes().to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            attributes: Vec::new(),
        };
        files.insert(profile.paths.config.join(name), Some(file));
    }
    let services = effective_services(&master);
    // The profile says whether its smtp is chrooted; it then also says its jail works.
    let needs = services
        .iter()
        .flat_map(|service| jail::needs_of(service, &parameters, version))
        .collect();
    let facts = Facts {
        origin: Origin::Stock,
        config: profile.paths.config.clone(),
        version,
        level,
        explicit: main.names().map(ToOwned::to_owned).collect(),
        table_types: profile
            .tables
            .iter()
            .cloned()
            .chain(["regexp".to_owned()])
            .collect(),
        broken_types: BTreeMap::new(),
        packages: None,
        services,
        daemons: None,
        jail: Jail::assumed(&profile.paths.queue, needs),
        routes: Routes::default(),
        reply_filter: None,
        running: Running::Unknown,
        instances: Vec::new(),
        addresses: Vec::new(),
        passing: BTreeSet::new(),
        own: Own::default(),
        dns: DnsFacts::default(),
        destinations: None,
        forwarding: None,
        jobs: Jobs::default(),
        signing: None,
        parameters,
    };
    Ok(Host { facts, files })
}

impl Facts {
    /// Finds a service by name and type.
    #[must_use]
    pub fn service(&self, name: &str, kind: &ServiceType) -> Option<&Service> {
        self.services.iter().find(|service| service.is(name, kind))
    }

    /// The transport that carries mail about which no table says anything else.
    #[must_use]
    pub fn default_transport(&self) -> String {
        let default = self.parameters.get("default_transport");
        let rest = self.routes.rest.as_ref().map(|route| route.value.as_str());
        // transport(5): an empty transport leaves the choice as it was.
        [rest.unwrap_or_default(), &default, "smtp"]
            .into_iter()
            .filter_map(|value| value.split(':').next())
            .find(|transport| !transport.is_empty())
            .unwrap_or_default()
            .to_owned()
    }

    /// The service behind [`Self::default_transport`], if master.cf has it.
    #[must_use]
    pub fn client(&self) -> Option<&Service> {
        self.service(&self.default_transport(), &ServiceType::Unix)
    }

    /// A parameter's value as that client uses it, its own options included.
    #[must_use]
    pub fn of_client(&self, name: &str) -> String {
        match self.client().and_then(|client| client.option(name)) {
            Some(value) => self.parameters.expand(value),
            None => self.parameters.get(name),
        }
    }

    /// Tells whether a service really runs in the jail.
    #[must_use]
    pub fn is_chrooted(&self, service: &Service) -> bool {
        crate::postfix::effective_chroot(service.chroot, self.version, self.level)
    }

    /// What a service looks for in the jail, and how it stands there.
    #[must_use]
    pub fn needs(&self, service: &Service) -> Vec<(Need, &State)> {
        let needs = jail::needs_of(service, &self.parameters, self.version).into_iter();
        needs
            .map(|need| {
                let state = self.jail.state(&need);
                (need, state)
            })
            .collect()
    }

    /// Our own folder below the configuration directory.
    #[must_use]
    pub fn own_folder(&self) -> Utf8PathBuf {
        self.config.join(OWN_FOLDER)
    }
}

fn origin(system: &dyn System) -> Origin {
    match system.root() {
        Some(_) => Origin::Tree,
        None if system.is_collected() => Origin::Collected,
        None => Origin::Machine,
    }
}

fn postconf(
    system: &dyn System,
    config: &Utf8Path,
    arguments: &[&str],
) -> Result<String, HostError> {
    let query = Query::Postconf {
        config: Some(config.to_owned()),
        arguments: arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect(),
    };
    let output = match system.query(&query) {
        Err(SystemError::Missing { program }) => {
            return Err(HostError::NoPostfix {
                reason: format!("`{program}` is not installed"),
            });
        }
        other => other?,
    };
    if output.success() {
        return Ok(output.text());
    }
    let errors = output.errors();
    let message = errors
        .lines()
        .find(|line| line.contains("fatal:"))
        .or_else(|| errors.lines().next())
        .unwrap_or("it says nothing")
        .split_once("fatal: ")
        .map_or_else(|| errors.trim().to_owned(), |(_, said)| said.to_owned());
    // It names files where they really lie.
    let message = match system.root() {
        Some(root) => message.replace(root.as_str(), ""),
        None => message,
    };
    Err(HostError::Unreadable {
        config: config.to_owned(),
        message,
    })
}

/// Reads `name = value` lines; versions before 2.11 fold them as the file does.
fn logical_values(dump: &str) -> Vec<(String, String)> {
    let document = MainCf::parse(dump.as_bytes());
    document
        .settings()
        .map(|setting| (setting.name.to_owned(), setting.value.into_owned()))
        .collect()
}

fn version_of(parameters: &Parameters) -> Result<(Version, CompatibilityLevel), HostError> {
    let text = parameters.get("mail_version");
    let version = Version::parse(&text).ok_or(HostError::Version { version: text })?;
    let text = parameters.get("compatibility_level");
    // Before 3.0 nothing reads it, whatever it says.
    let text = if text.is_empty() || version.major < 3 {
        "0".to_owned()
    } else {
        text
    };
    let level =
        CompatibilityLevel::read(&text, version).map_err(|_| HostError::Level { level: text })?;
    Ok((version, level))
}

fn effective_services(master: &MasterCf) -> Vec<Service> {
    master
        .services()
        .filter(|service| !service.overridden)
        .cloned()
        .collect()
}

/// Looks for master(8) where Postfix cannot say itself where its queue is: `main.cf` names the
/// queue directory, or it is where the profiles of that configuration directory have it.
///
/// # Errors
/// When the machine cannot be looked at.
pub fn running_unasked(system: &dyn System, config: &Utf8Path) -> Result<Running, HostError> {
    if system.root().is_some() {
        return Ok(Running::Unknown);
    }
    let main = system.read(&config.join("main.cf"))?;
    let main = MainCf::parse(&main.map(|file| file.bytes).unwrap_or_default());
    let stated = main.get("queue_directory");
    let usual = || {
        Profile::all()
            .find(|profile| profile.paths.config == config)
            .map(|profile| profile.paths.queue.into_string())
    };
    match stated.or_else(usual) {
        Some(queue) => running(system, Utf8Path::new(&queue)),
        None => Ok(Running::Unknown),
    }
}

/// Looks for master(8) by the process id it leaves in the queue directory.
///
/// `postfix status` would say it too, but it writes a line to the mail log, and looking changes nothing.
fn running(system: &dyn System, queue: &Utf8Path) -> Result<Running, HostError> {
    let path = queue.join("pid/master.pid");
    let file = match system.read(&path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Running::No),
        Err(SystemError::Read { .. }) if !system.is_root() => return Ok(Running::Unknown),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&file.bytes);
    let Ok(process) = text.trim().parse() else {
        return Ok(Running::No);
    };
    // After a crash another process may have got the number (proc(5), "comm").
    let name = system.read(&Utf8PathBuf::from(format!("/proc/{process}/comm")));
    let is_other = name
        .ok()
        .flatten()
        .is_some_and(|name| name.bytes.trim_ascii() != b"master");
    Ok(if system.is_alive(process) && !is_other {
        Running::Yes(process)
    } else {
        Running::No
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{MemorySystem, Output};

    const CONFIG: &str = "/etc/postfix";
    const DUMP: &str = "mail_version = 3.7.11\ncompatibility_level = 3.6\n\
                        queue_directory = /q\ndaemon_directory = /d\n";

    fn answers(system: MemorySystem, arguments: &[&str], status: i32, text: &str) -> MemorySystem {
        let query = Query::Postconf {
            config: Some(CONFIG.into()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let (stdout, stderr) = if status == 0 { (text, "") } else { ("", text) };
        let output = Output {
            status,
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        system.answer(query, output)
    }

    /// A machine with these files and this answer of postconf(1).
    fn system(main: &str, master: &str, dump: &str) -> MemorySystem {
        let system = MemorySystem::new()
            .file("/etc/postfix/main.cf", main)
            .file("/etc/postfix/master.cf", master);
        answers(answers(system, &["-m"], 0, "hash\nregexp\n"), &[], 0, dump)
    }

    fn observed(system: &MemorySystem) -> Result<Host, HostError> {
        let interest = Interest {
            own_files: vec!["transport".to_owned()],
            ..Interest::default()
        };
        observe(system, CONFIG.into(), &interest)
    }

    #[track_caller]
    fn check(system: &MemorySystem, expected: &str) {
        assert_eq!(observed(system).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            &MemorySystem::new(),
            "there is no Postfix here: `/etc/postfix/main.cf` does not exist",
        );
        let half = MemorySystem::new().file("/etc/postfix/main.cf", "");
        check(
            &half,
            "`/etc/postfix/master.cf` does not exist, and without it Postfix does not run",
        );
        check(
            &half.file("/etc/postfix/master.cf", ""),
            "there is no Postfix here: `postconf` is not installed",
        );
    }

    #[test]
    fn postfix_runs_if_master_does() {
        for (comm, alive, expected) in [
            ("master\n", true, Running::Yes(77)),
            ("sshd\n", true, Running::No),
            ("", false, Running::No),
        ] {
            let mut system = MemorySystem::new()
                .file("/q/pid/master.pid", "      77\n")
                .file("/etc/postfix/main.cf", "nonsense\nqueue_directory = /q\n");
            if !comm.is_empty() {
                system = system.file("/proc/77/comm", comm);
            }
            if alive {
                system.alive = vec![77];
            }
            let found = running_unasked(&system, "/etc/postfix".into()).unwrap();
            assert_eq!(found, expected, "{comm}");
        }
    }

    #[test]
    fn a_file_where_our_folder_goes_is_in_the_way() {
        check(
            &system("", "", DUMP).file("/etc/postfix/mailfix", ""),
            "`/etc/postfix/mailfix` is in the way: it is no directory",
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_as_postfix_says_it() {
        let files = MemorySystem::new()
            .file("/etc/postfix/main.cf", "x")
            .file("/etc/postfix/master.cf", "");
        let said = |text| answers(files.clone(), &[], 1, text);
        let error = "Postfix cannot read its configuration in `/etc/postfix`: ";
        check(
            &said("postconf: warning: a\npostconf: fatal: missing '=': x\nb\n"),
            &format!("{error}missing '=': x"),
        );
        check(&said("odd\n"), &format!("{error}odd"));
        check(
            &system("", "", "mail_version = soon\n"),
            "cannot make sense of the version `soon` of Postfix",
        );
        check(
            &system("", "", "mail_version = 3.7.11\ncompatibility_level = x\n"),
            "main.cf sets `compatibility_level = x`, which this version of Postfix refuses",
        );
    }

    #[test]
    fn a_level_counts_from_3_0_on() {
        let level = |version: &str| {
            let dump = format!("mail_version = {version}\ncompatibility_level = 3.6\n");
            observed(&system("", "", &dump)).map(|host| host.facts.level)
        };
        assert_eq!(level("3.7.11").unwrap(), CompatibilityLevel::new(3, 6, 0));
        assert_eq!(level("2.11.6").unwrap(), CompatibilityLevel::new(0, 0, 0));
    }

    #[test]
    fn values_come_from_postconf_and_what_it_leaves_out_from_main_cf() {
        let host = observed(&system(
            "a = b\nunused = first\nunused = c\nmyhostname = written\n",
            "",
            &format!("{DUMP}myhostname = used\nlong = one,\n    two\nboth = $myhostname $unused\n"),
        ))
        .unwrap();
        let parameters = &host.facts.parameters;
        assert_eq!(parameters.get("myhostname"), "used");
        assert_eq!(parameters.list("long"), ["one", "two"]);
        assert_eq!(parameters.get("both"), "used c");
        assert_eq!(parameters.get("nothing"), "");
        assert_eq!(parameters.get("config_directory"), CONFIG);
        let explicit: Vec<&str> = host.facts.explicit.iter().map(String::as_str).collect();
        assert_eq!(explicit, ["a", "myhostname", "unused"]);
        assert!(host.facts.table_types.contains("regexp"));
        assert_eq!(host.facts.origin, Origin::Machine);
    }

    #[test]
    fn of_services_given_twice_the_last_counts() {
        let master =
            "smtp unix - - n - - smtp\nsmtp unix - - y - - smtp\nsmtp inet n - n - - smtpd\n";
        let facts = observed(&system("", master, DUMP)).unwrap().facts;
        assert_eq!(facts.services.len(), 2);
        let smtp = facts.service("smtp", &ServiceType::Unix).unwrap();
        assert!(facts.is_chrooted(smtp));
    }

    #[test]
    fn master_runs_if_the_process_it_noted_lives() {
        let check_running = |pid: Option<&str>, expected| {
            let mut system = system("", "", DUMP);
            system.alive = vec![77];
            if let Some(pid) = pid {
                system = system.file("/q/pid/master.pid", pid);
            }
            assert_eq!(observed(&system).unwrap().facts.running, expected);
        };
        check_running(Some("        77\n"), Running::Yes(77));
        check_running(Some("78\n"), Running::No);
        check_running(Some(""), Running::No);
        check_running(None, Running::No);
    }

    #[test]
    fn files_and_directories_are_known_as_they_are() {
        let bare = observed(&system("", "", DUMP)).unwrap();
        let folder = bare.facts.own_folder();
        assert!(!bare.files.has_directory(&folder));
        assert!(bare.files.get(&folder.join("transport")).is_none());
        assert_eq!(bare.facts.daemons, None);
        let full = system("", "", DUMP)
            .file(folder.join("transport"), "x")
            .file("/d/smtp", "");
        let full = observed(&full).unwrap();
        assert!(full.files.has_directory(&folder));
        assert_eq!(
            full.files.get(&folder.join("transport")).unwrap().bytes,
            b"x"
        );
        assert!(full.facts.daemons.unwrap().contains("smtp"));
    }

    #[test]
    fn every_profile_has_a_stock_host_of_its_kind() {
        for profile in Profile::all() {
            let facts = stock(&profile).unwrap().facts;
            let smtp = facts.service("smtp", &ServiceType::Unix).unwrap();
            assert_eq!(facts.is_chrooted(smtp), profile.chroot, "{}", profile.name);
            assert_eq!(facts.origin, Origin::Stock);
        }
    }
}
