//! What the queue directory holds of what chrooted daemons look for there.
//!
//! Owns [`Jail`]: the state of each thing the services of this host need in it, who keeps it
//! filled here, and which running daemons really are in it. A path is followed as a process
//! locked in there would follow it. Must not judge whether anything should be chrooted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::host::{Parameters, Running};
use crate::jail_keeper::Keeper;
use crate::postfix::{Need, Service, Version, needs};
use crate::system::{Kind, Stat, System, SystemError};

/// Whom a resolver without a file asks (resolv.conf(5)).
const DEFAULT_SERVER: &str = "127.0.0.1";

/// How many children of master(8) are looked at: one of each kind is enough.
const MOST_CHILDREN: usize = 200;

/// The queue directory as a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jail {
    /// The queue directory.
    pub directory: Utf8PathBuf,
    /// Who keeps it filled, if anybody known.
    pub kept: Option<Kept>,
    states: BTreeMap<Need, State>,
    inmates: BTreeMap<String, bool>,
}

/// How a keeper that was found on this host works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it copies, in a phrase.
    pub when: String,
    /// The command by which it copies at once, if there is one.
    pub fill: Option<String>,
}

/// How something that is needed stands in the jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what it does outside.
    Works,
    /// The name servers of the jail are none of the host's.
    Differs {
        /// Those of the jail.
        jail: Vec<String>,
        /// Those of the host.
        host: Vec<String>,
    },
    /// It is missed.
    Lacks {
        /// How.
        why: Lack,
        /// What a copy would hold; `None` where a copy cannot be made just so.
        copy: Option<Vec<u8>>,
    },
    /// It cannot be seen from here.
    Unknown,
}

/// How something is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nothing is there.
    Absent,
    /// Nothing is in it.
    Empty,
    /// The daemons may not read it.
    Closed,
    /// It is a symbolic link to the outside, or to nothing.
    LeadsOut,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "is not there",
            Self::Empty => "is empty",
            Self::Closed => "may not be read by Postfix's user",
            Self::LeadsOut => "is a link to nothing within the jail",
        })
    }
}

impl Jail {
    /// A jail in which everything works, as a stock configuration is taken to have.
    pub(super) fn assumed(directory: &Utf8Path, needs: BTreeSet<Need>) -> Self {
        Self {
            directory: directory.to_owned(),
            states: needs.into_iter().map(|need| (need, State::Works)).collect(),
            ..Self::default()
        }
    }

    /// How something stands there.
    #[must_use]
    pub fn state(&self, need: &Need) -> &State {
        self.states.get(need).unwrap_or(&State::Unknown)
    }

    /// Where something would be, as seen from outside.
    #[must_use]
    pub fn path(&self, need: &Need) -> Utf8PathBuf {
        self.directory.join(need.path())
    }

    /// Tells whether running daemons of a program are in the jail; `None` where none runs, or
    /// some are and some are not.
    #[must_use]
    pub fn holds(&self, program: &str) -> Option<bool> {
        self.inmates.get(program).copied()
    }

    /// Says who keeps copies up to date.
    #[must_use]
    pub fn keeping(&self) -> &str {
        match &self.kept {
            Some(kept) => &kept.when,
            None => "nothing that mailfix knows keeps the copy up to date here",
        }
    }

    /// The jail once these files stand in it.
    #[must_use]
    pub fn with<'a>(mut self, files: impl IntoIterator<Item = &'a Utf8Path>) -> Self {
        for path in files {
            let Ok(inside) = path.strip_prefix(&self.directory) else {
                continue;
            };
            for (need, state) in &mut self.states {
                if need.path() == inside {
                    *state = State::Works;
                }
            }
        }
        self
    }

    /// Makes the state of one need as a test wants it.
    #[cfg(test)]
    pub(crate) fn set(&mut self, need: Need, state: State) {
        self.states.insert(need, state);
    }

    /// Has a daemon of a program run inside or outside, as a test wants it.
    #[cfg(test)]
    pub(crate) fn run(&mut self, program: &str, inside: bool) {
        self.inmates.insert(program.to_owned(), inside);
    }
}

/// Lists what a service needs in the jail, its own options included.
pub(super) fn needs_of(service: &Service, parameters: &Parameters, version: Version) -> Vec<Need> {
    needs(service, version, &|name| match service.option(name) {
        Some(own) => parameters.expand(own),
        None => parameters.get(name),
    })
}

/// What a jail is looked at for.
pub(super) struct Looked<'a> {
    pub directory: &'a Utf8Path,
    pub services: &'a [Service],
    pub parameters: &'a Parameters,
    pub version: Version,
    pub running: Running,
}

/// Looks what is there; what is closed to us is unknown, not missing.
pub(super) fn observe(system: &dyn System, looked: &Looked<'_>) -> Jail {
    let parameters = looked.parameters;
    let needs: BTreeSet<Need> = looked
        .services
        .iter()
        .flat_map(|service| needs_of(service, parameters, looked.version))
        .collect();
    let mut jail = Jail {
        directory: looked.directory.to_owned(),
        kept: kept(system, parameters),
        states: BTreeMap::new(),
        inmates: match looked.running {
            Running::Yes(master) => inmates(system, looked.directory, master),
            Running::No | Running::Unknown => BTreeMap::new(),
        },
    };
    // A tree may be a part of a machine, and Postfix makes the directory at its first start:
    // without one nothing is known of the jail.
    let Ok(Some(there)) = system.stat(looked.directory) else {
        return jail;
    };
    let owner = system.user(&parameters.get("mail_owner")).ok().flatten();
    let inside = Inside {
        system,
        real: there.real,
        owner,
        is_tree: system.root().is_some(),
    };
    for need in needs {
        let state = inside.state(&need).unwrap_or(State::Unknown);
        jail.states.insert(need, state);
    }
    jail
}

/// Finds who keeps the jail of this host filled.
fn kept(system: &dyn System, parameters: &Parameters) -> Option<Kept> {
    let config = parameters.get("config_directory");
    let daemon = parameters.get("daemon_directory");
    let filled = |text: &str| Keeper::filled(text, &daemon, Utf8Path::new(&config));
    // A file that may not be read is no sign of anything.
    let text = |path: &Utf8Path| {
        let file = system.read(Utf8Path::new(&filled(path.as_str())));
        let bytes = file.ok().flatten()?.bytes;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let is_off = |keeper: &Keeper| {
        keeper.off.as_ref().is_some_and(|off| {
            let settings = text(&off.file).unwrap_or_default();
            let mut lines = settings.lines();
            lines.any(|line| off.lines.iter().any(|known| known == line.trim()))
        })
    };
    let keeper = Keeper::all().find(|keeper| {
        text(&keeper.file).is_some_and(|script| script.contains(&keeper.has)) && !is_off(keeper)
    })?;
    Some(Kept {
        fill: keeper.fill.as_deref().map(filled),
        when: keeper.when,
    })
}

/// Which programs run in the jail and which outside, as the kernel says (proc(5), "root").
fn inmates(system: &dyn System, directory: &Utf8Path, master: i32) -> BTreeMap<String, bool> {
    let text = |path: String| {
        let file = system.read(Utf8Path::new(&path)).ok().flatten()?;
        Some(String::from_utf8_lossy(&file.bytes).trim().to_owned())
    };
    let real = |path: &Utf8Path| Some(system.stat(path).ok().flatten()?.real);
    let Some(jail) = real(directory) else {
        return BTreeMap::new();
    };
    let children = text(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
    let mut found: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for child in children.split_whitespace().take(MOST_CHILDREN) {
        let (Some(program), Some(root)) = (
            text(format!("/proc/{child}/comm")),
            real(Utf8Path::new(&format!("/proc/{child}/root"))),
        ) else {
            continue;
        };
        found.entry(program).or_default().insert(root == jail);
    }
    found
        .into_iter()
        .filter(|(_, roots)| roots.len() == 1)
        .filter_map(|(program, roots)| Some((program, roots.into_iter().next()?)))
        .collect()
}

/// The jail, looked at as from within.
struct Inside<'a> {
    system: &'a dyn System,
    real: Utf8PathBuf,
    owner: Option<(u32, u32)>,
    is_tree: bool,
}

impl Inside<'_> {
    fn state(&self, need: &Need) -> Result<State, SystemError> {
        let inside = Utf8Path::new(need.path());
        Ok(match need {
            Need::Resolver => self.resolver(inside)?,
            Need::Ports => {
                let host = self.outside("/etc/services")?;
                match self.find(inside)? {
                    Ok(_) => State::Works,
                    Err(why) => State::Lacks {
                        why,
                        copy: host.filter(|_| why == Lack::Absent),
                    },
                }
            }
            Need::Hosts => match (self.outside("/etc/hosts")?, self.find(inside)?) {
                (None, _) | (Some(_), Ok(_)) => State::Works,
                (Some(_), Err(why)) => State::Lacks { why, copy: None },
            },
            Need::NameService => self.name_service()?,
            Need::Authorities(_) => match self.find(inside)? {
                Ok(stat) if stat.kind == Kind::Directory => State::Works,
                Ok(_) => State::Lacks {
                    why: Lack::Empty,
                    copy: None,
                },
                Err(why) => State::Lacks { why, copy: None },
            },
            Need::Socket(path) => self.socket(inside, Utf8Path::new(path))?,
        })
    }

    /// Compares the name servers: other lines of the file mean nothing to Postfix, which gives
    /// whole names and its own options.
    fn resolver(&self, inside: &Utf8Path) -> Result<State, SystemError> {
        let outside = self.outside("/etc/resolv.conf")?;
        let found = self.find(inside)?;
        let host = match &outside {
            Some(text) => servers(text),
            // Of a tree that lacks the file nothing can be compared.
            None if self.is_tree => {
                return Ok(match found {
                    Ok(_) => State::Works,
                    Err(why) => State::Lacks { why, copy: None },
                });
            }
            None => vec![DEFAULT_SERVER.to_owned()],
        };
        let (jail, why) = match found {
            Ok(_) => {
                let file = self.system.read(&self.real.join(inside))?;
                (
                    servers(&file.map(|file| file.bytes).unwrap_or_default()),
                    None,
                )
            }
            Err(why) => (vec![DEFAULT_SERVER.to_owned()], Some(why)),
        };
        if jail.iter().any(|server| host.contains(server)) {
            return Ok(State::Works);
        }
        Ok(match why {
            Some(why) if !self.has_local_resolver() => State::Lacks {
                why,
                copy: outside.filter(|_| why == Lack::Absent),
            },
            _ => State::Differs { jail, host },
        })
    }

    /// Tells whether somebody answers at the address that is asked without a file.
    fn has_local_resolver(&self) -> bool {
        // proc(5), "/proc/net/udp": hexadecimal, port 53.
        const LISTENING: [&str; 2] = ["0100007F:0035", "00000000:0035"];
        let file = self.system.read(Utf8Path::new("/proc/net/udp"));
        let text = file
            .ok()
            .flatten()
            .map(|file| file.bytes)
            .unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(|line| {
            let local = line.split_whitespace().nth(1).unwrap_or_default();
            LISTENING.contains(&local)
        })
    }

    /// glibc loads its part for DNS after the door is closed; since 2.34 it is built in, and
    /// `libc.so.6` is no link to a file with the version in its name any more.
    fn name_service(&self) -> Result<State, SystemError> {
        let mut directories: Vec<Utf8PathBuf> = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]
            .map(Utf8PathBuf::from)
            .to_vec();
        for above in ["/lib", "/usr/lib"] {
            let names = self.system.list(Utf8Path::new(above))?;
            let wanted = names.iter().filter(|name| name.contains("-linux-gnu"));
            directories.extend(wanted.map(|name| Utf8Path::new(above).join(name)));
        }
        let name = "libnss_dns.so.2";
        let mut is_missed = false;
        for directory in directories {
            let library = self.system.stat(&directory.join("libc.so.6"))?;
            let is_old = library.is_some_and(|stat| {
                stat.real
                    .file_name()
                    .is_some_and(|name| name.starts_with("libc-2."))
            });
            if !is_old {
                continue;
            }
            let below = directory.strip_prefix("/").unwrap_or(&directory);
            let twin = below
                .strip_prefix("usr")
                .map_or_else(|_| Utf8Path::new("usr").join(below), Utf8Path::to_owned);
            if self.find(&below.join(name))?.is_ok() || self.find(&twin.join(name))?.is_ok() {
                return Ok(State::Works);
            }
            is_missed = true;
        }
        Ok(if is_missed {
            State::Lacks {
                why: Lack::Absent,
                copy: None,
            }
        } else {
            State::Works
        })
    }

    fn socket(&self, inside: &Utf8Path, path: &Utf8Path) -> Result<State, SystemError> {
        if self.find(inside)?.is_ok() {
            return Ok(State::Works);
        }
        // Who makes the socket may not run just now: it is missed only where it could not be.
        let is_outside = self.system.stat(path)?.is_some();
        let directory = inside.parent().unwrap_or(inside);
        let has_place = self.find(directory)?.is_ok();
        Ok(if self.is_tree || (has_place && !is_outside) {
            State::Unknown
        } else {
            State::Lacks {
                why: Lack::Absent,
                copy: None,
            }
        })
    }

    /// A file of the host, if there is something in it.
    fn outside(&self, path: &str) -> Result<Option<Vec<u8>>, SystemError> {
        let file = self.system.read(Utf8Path::new(path))?;
        Ok(file
            .map(|file| file.bytes)
            .filter(|bytes| !bytes.is_empty()))
    }

    /// Finds a path as a daemon in the jail does, which is not root any more.
    fn find(&self, inside: &Utf8Path) -> Result<Result<Stat, Lack>, SystemError> {
        let path = self.real.join(inside);
        let Some(stat) = self.system.stat(&path)? else {
            // What is written to a link that leads to nothing is written where it leads.
            let way = self.system.way(&path)?;
            let is_link = way.iter().any(|step| !path.starts_with(step));
            return Ok(Err(if is_link {
                Lack::LeadsOut
            } else {
                Lack::Absent
            }));
        };
        let stat = if stat.real.starts_with(&self.real) {
            stat
        } else {
            // A link with a whole path leads to the same path within the jail.
            let again = stat.real.strip_prefix("/").unwrap_or(&stat.real).to_owned();
            let within = self.system.stat(&self.real.join(&again))?;
            match within {
                Some(within) if again != inside && within.real.starts_with(&self.real) => within,
                _ => return Ok(Err(Lack::LeadsOut)),
            }
        };
        let mut above = stat.real.parent();
        while let Some(directory) = above.filter(|path| path.starts_with(&self.real)) {
            if directory != self.real
                && let Some(stat) = self.system.stat(directory)?
                && !self.may(&stat, 0o1)
            {
                return Ok(Err(Lack::Closed));
            }
            above = directory.parent();
        }
        if !self.may(&stat, 0o4) {
            return Ok(Err(Lack::Closed));
        }
        let is_empty = match stat.kind {
            // The size of a directory says nothing of what is in it.
            Kind::Directory => self.system.list(&stat.real)?.is_empty(),
            Kind::File => stat.size == 0,
            Kind::Other => false,
        };
        Ok(if is_empty { Err(Lack::Empty) } else { Ok(stat) })
    }

    /// Tells whether Postfix's user has a right (a bit of those of others).
    fn may(&self, stat: &Stat, right: u32) -> bool {
        match self.owner {
            Some((uid, _)) if uid == stat.uid => stat.mode & (right << 6) != 0,
            Some((_, gid)) if gid == stat.gid => stat.mode & (right << 3) != 0,
            _ => stat.mode & right != 0,
        }
    }
}

/// The name servers that a file gives.
fn servers(text: &[u8]) -> Vec<String> {
    let (config, _faults) = resolv_conf::Config::parse_with_errors(text);
    let mut servers: Vec<String> = config.nameservers.iter().map(ToString::to_string).collect();
    if servers.is_empty() {
        servers.push(DEFAULT_SERVER.to_owned());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postfix::MasterCf;
    use crate::system::{File, MemorySystem, Node};

    const QUEUE: &str = "/var/spool/postfix";
    const NEW: Version = Version::new(3, 7, 11);
    const OLD: Version = Version::new(3, 5, 25);
    const SERVER: &str = "nameserver 192.0.2.53\n";

    /// A machine with these files; a path without a leading `/` is in the queue directory.
    fn machine(files: &[(&str, &str)]) -> MemorySystem {
        let queue = Utf8Path::new(QUEUE);
        let system = MemorySystem::new()
            .directory(queue)
            .with_user("postfix", 102, 105);
        files.iter().fold(system, |system, (path, text)| {
            system.file(queue.join(path), text)
        })
    }

    fn looked(system: &MemorySystem, version: Version, main: &str, master: &str) -> Jail {
        let master = MasterCf::parse(master.as_bytes());
        let services: Vec<Service> = master.services().cloned().collect();
        let main = crate::postfix::MainCf::parse(main.as_bytes());
        let mut parameters = Parameters::new([
            ("mail_owner".to_owned(), "postfix".to_owned()),
            (
                "daemon_directory".to_owned(),
                "/usr/lib/postfix/sbin".to_owned(),
            ),
            ("config_directory".to_owned(), "/etc/postfix".to_owned()),
        ]);
        for setting in main.settings() {
            parameters.set(setting.name, &setting.value);
        }
        let looked = Looked {
            directory: Utf8Path::new(QUEUE),
            services: &services,
            parameters: &parameters,
            version,
            running: Running::Yes(77),
        };
        observe(system, &looked)
    }

    const SMTP: &str = "smtp unix - - y - - smtp\n";

    /// What the client of such a machine misses, in words.
    #[track_caller]
    fn check(system: &MemorySystem, version: Version, main: &str, expected: &[&str]) {
        let jail = looked(system, version, main, SMTP);
        let told: Vec<String> = jail
            .states
            .iter()
            .filter_map(|(need, state)| match state {
                State::Works => None,
                State::Differs { jail, host } => Some(format!(
                    "{} asks {}, not {}",
                    need.path(),
                    jail.join(" "),
                    host.join(" ")
                )),
                State::Lacks { why, copy } => Some(format!(
                    "{} {why}{}",
                    need.path(),
                    if copy.is_some() {
                        ", can be copied"
                    } else {
                        ""
                    }
                )),
                State::Unknown => Some(format!("{} unknown", need.path())),
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_client_misses_what_its_version_looks_for() {
        let host = [
            ("/etc/resolv.conf", SERVER),
            ("/etc/services", "smtp 25/tcp\n"),
        ];
        let empty = machine(&host);
        let resolver = "etc/resolv.conf is not there, can be copied";
        let ports = "etc/services is not there, can be copied";
        check(&empty, NEW, "", &[resolver]);
        check(&empty, OLD, "", &[resolver, ports]);
        check(&empty, Version::new(2, 6, 0), "", &[resolver, ports]);
        let half = empty
            .clone()
            .file(format!("{QUEUE}/etc/resolv.conf"), SERVER);
        check(&half, NEW, "", &[]);
        check(&half, OLD, "", &[ports]);
        let full = half.file(format!("{QUEUE}/etc/services"), "smtp 25/tcp\n");
        check(&full, OLD, "", &[]);
    }

    #[test]
    fn without_a_file_the_resolver_of_the_machine_itself_is_asked() {
        let local = machine(&[("/etc/resolv.conf", "nameserver 127.0.0.1\n")]);
        check(&local, NEW, "", &[]);
        check(
            &machine(&[("/etc/resolv.conf", "# nothing\n")]),
            NEW,
            "",
            &[],
        );
        let stub = machine(&[("/etc/resolv.conf", "nameserver 127.0.0.53\n")]);
        check(
            &stub,
            NEW,
            "",
            &["etc/resolv.conf is not there, can be copied"],
        );
        // One answers there, whatever /etc/resolv.conf says.
        let udp = |address: &str| {
            let text = format!("  sl  local_address rem_address\n 1: {address} 00000000:0000 07\n");
            stub.clone().file("/proc/net/udp", text)
        };
        let differs = "etc/resolv.conf asks 127.0.0.1, not 127.0.0.53";
        check(&udp("0100007F:0035"), NEW, "", &[differs]);
        check(&udp("00000000:0035"), NEW, "", &[differs]);
        check(
            &udp("3500007F:0035"),
            NEW,
            "",
            &["etc/resolv.conf is not there, can be copied"],
        );
    }

    #[test]
    fn a_copy_is_stale_when_it_names_none_of_the_hosts_servers() {
        let check_copy = |host: &str, copy: &str, expected: &[&str]| {
            let system = machine(&[("/etc/resolv.conf", host), ("etc/resolv.conf", copy)]);
            check(&system, NEW, "", expected);
        };
        check_copy(SERVER, SERVER, &[]);
        check_copy(
            SERVER,
            "search example\nnameserver 192.0.2.53\noptions edns0\n",
            &[],
        );
        check_copy(
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\n",
            "nameserver 192.0.2.2\n",
            &[],
        );
        check_copy(
            SERVER,
            "nameserver 10.0.0.1\n",
            &["etc/resolv.conf asks 10.0.0.1, not 192.0.2.53"],
        );
        check_copy(
            SERVER,
            "something\n",
            &["etc/resolv.conf asks 127.0.0.1, not 192.0.2.53"],
        );
    }

    #[test]
    fn what_a_daemon_in_the_jail_cannot_open_is_none() {
        let host = machine(&[("/etc/resolv.conf", SERVER)]);
        let copy = format!("{QUEUE}/etc/resolv.conf");
        let owned = |mode: u32, uid: u32| Node::File(File::new(SERVER, mode, uid, 0));
        check(
            &host.clone().file(&copy, ""),
            NEW,
            "",
            &["etc/resolv.conf is empty"],
        );
        let closed = "etc/resolv.conf may not be read by Postfix's user";
        check(
            &host.clone().node(&copy, owned(0o600, 0)),
            NEW,
            "",
            &[closed],
        );
        check(&host.clone().node(&copy, owned(0o600, 102)), NEW, "", &[]);
        check(&host.clone().node(&copy, owned(0o644, 0)), NEW, "", &[]);
        let shut = host
            .clone()
            .node(
                format!("{QUEUE}/etc"),
                Node::Directory {
                    mode: 0o700,
                    uid: 0,
                    gid: 0,
                },
            )
            .file(&copy, SERVER);
        check(&shut, NEW, "", &[closed]);
    }

    #[test]
    fn links_are_followed_as_from_within() {
        let copy = format!("{QUEUE}/etc/resolv.conf");
        let outside = "etc/resolv.conf is a link to nothing within the jail";
        let host = machine(&[("/etc/resolv.conf", SERVER)]);
        // A copy would be written through the link.
        for dangling in ["/run/stub.conf", "../run/stub.conf", "stub.conf"] {
            let linked = host.clone().link(&copy, dangling);
            check(&linked, NEW, "", &[outside]);
        }
        let above = host.clone().link(format!("{QUEUE}/etc"), "/srv/none");
        check(&above, NEW, "", &[outside]);
        check(
            &host.clone().link(&copy, "/etc/resolv.conf"),
            NEW,
            "",
            &[outside],
        );
        check(
            &host.clone().link(&copy, "../../../../etc/resolv.conf"),
            NEW,
            "",
            &[outside],
        );
        let stub = machine(&[("/run/stub.conf", SERVER)])
            .link("/etc/resolv.conf", "/run/stub.conf")
            .link(&copy, "/run/stub.conf");
        check(&stub, NEW, "", &[outside]);
        check(
            &stub.file(format!("{QUEUE}/run/stub.conf"), SERVER),
            NEW,
            "",
            &[],
        );
        let within = host
            .link(&copy, "own.conf")
            .file(format!("{QUEUE}/etc/own.conf"), SERVER);
        check(&within, NEW, "", &[]);
        // The queue directory itself may be a link.
        let moved = MemorySystem::new()
            .file("/etc/resolv.conf", SERVER)
            .file("/srv/queue/etc/resolv.conf", SERVER)
            .link(QUEUE, "/srv/queue");
        check(&moved, NEW, "", &[]);
    }

    #[test]
    fn native_lookups_need_a_library_of_older_c_libraries() {
        let native = "smtp_host_lookup = native, dns\n";
        let system = machine(&[
            ("/etc/resolv.conf", SERVER),
            ("etc/resolv.conf", SERVER),
            ("/etc/hosts", "192.0.2.1 mx\n"),
            ("etc/hosts", "192.0.2.1 mx\n"),
        ]);
        // musl, BSD, or a C library that has it built in.
        check(&system, NEW, native, &[]);
        let multiarch = "/lib/x86_64-linux-gnu";
        let built_in = system.clone().file(format!("{multiarch}/libc.so.6"), "elf");
        check(&built_in, NEW, native, &[]);
        let older = system
            .file(format!("{multiarch}/libc-2.31.so"), "elf")
            .link(format!("{multiarch}/libc.so.6"), "libc-2.31.so");
        check(&older, NEW, native, &["libnss_dns.so.2 is not there"]);
        check(&older, NEW, "", &[]);
        for place in ["lib", "usr/lib"] {
            let path = format!("{QUEUE}/{place}/x86_64-linux-gnu/libnss_dns.so.2");
            check(&older.clone().file(path, "elf"), NEW, native, &[]);
        }
        let no_hosts = machine(&[("/etc/hosts", "192.0.2.1 mx\n")]);
        check(&no_hosts, NEW, native, &["etc/hosts is not there"]);
    }

    #[test]
    fn certificates_and_sockets_are_looked_for_in_the_jail() {
        let secure = "smtp_tls_security_level = secure\nsmtp_tls_CApath = /etc/certs\n";
        let bare = machine(&[]);
        check(&bare, NEW, secure, &["etc/certs is not there"]);
        let empty = bare.clone().directory(format!("{QUEUE}/etc/certs"));
        check(&empty, NEW, secure, &["etc/certs is empty"]);
        let filled = empty.file(format!("{QUEUE}/etc/certs/a.0"), "pem");
        check(&filled, NEW, secure, &[]);

        let socket = "smtp_tls_policy_maps = socketmap:unix:/run/sts:postfix\n";
        check(&bare, NEW, socket, &["run/sts is not there"]);
        let outside = bare.clone().file("/run/sts", "");
        check(&outside, NEW, socket, &["run/sts is not there"]);
        let open = || Node::File(File::new("socket", 0o666, 0, 0));
        let inside = bare.clone().node(format!("{QUEUE}/run/sts"), open());
        check(&inside, NEW, socket, &[]);
        // Nobody listens just now.
        let place = bare.file(format!("{QUEUE}/run/other"), "");
        check(&place, NEW, socket, &["run/sts unknown"]);
    }

    #[test]
    fn who_keeps_it_filled_is_told_by_files() {
        let check_kept = |files: &[(&str, &str)], expected: Option<&str>| {
            let jail = looked(&machine(files), NEW, "", SMTP);
            assert_eq!(
                jail.kept
                    .map(|kept| kept.fill.unwrap_or(kept.when))
                    .as_deref(),
                expected
            );
        };
        let script = "/usr/lib/postfix/configure-instance.sh";
        let older = (script, "#! /bin/sh -e\nINSTANCE=\"$1\"\n");
        let later = [
            (script, "#! /bin/sh -e\n[ $# = 0 ]\n"),
            (
                "/usr/lib/postfix/sbin/post-install",
                "/usr/lib/postfix/configure-instance.sh || exit 1\n",
            ),
        ];
        check_kept(&[], None);
        check_kept(
            &[older],
            Some("env MAIL_CONFIG=/etc/postfix /usr/lib/postfix/configure-instance.sh"),
        );
        check_kept(&later, Some("postfix -c /etc/postfix check"));
        check_kept(
            &[("/usr/lib/postfix/sbin/post-install", "as upstream\n")],
            None,
        );
        check_kept(
            &[older, ("/etc/default/postfix", "# no\nSYNC_CHROOT=\n")],
            None,
        );
        check_kept(
            &[older, ("/etc/default/postfix", "SYNC_CHROOT=y\n")],
            Some("env MAIL_CONFIG=/etc/postfix /usr/lib/postfix/configure-instance.sh"),
        );
        check_kept(
            &[("/usr/libexec/postfix/chroot-update", "#!/bin/sh\n")],
            Some("the start of the service runs `/usr/libexec/postfix/chroot-update` for that"),
        );
    }

    #[test]
    fn running_daemons_show_where_they_are() {
        let system = machine(&[
            ("/proc/77/task/77/children", "78 79 80 81 82 \n"),
            ("/proc/78/comm", "pickup\n"),
            ("/proc/79/comm", "qmgr\n"),
            ("/proc/80/comm", "smtp\n"),
            ("/proc/81/comm", "smtp\n"),
        ])
        .link("/proc/78/root", QUEUE)
        .link("/proc/79/root", "/")
        .link("/proc/80/root", "/")
        .link("/proc/81/root", QUEUE);
        let jail = looked(&system, NEW, "", SMTP);
        assert_eq!(jail.holds("pickup"), Some(true));
        assert_eq!(jail.holds("qmgr"), Some(false));
        assert_eq!(jail.holds("smtp"), None, "some here, some there");
        assert_eq!(jail.holds("cleanup"), None);
    }

    #[test]
    fn files_of_a_plan_count_as_there() {
        let host = machine(&[("/etc/resolv.conf", SERVER)]);
        let jail = looked(&host, NEW, "", SMTP);
        assert_ne!(*jail.state(&Need::Resolver), State::Works);
        let path = jail.path(&Need::Resolver);
        assert_eq!(path, "/var/spool/postfix/etc/resolv.conf");
        let jail = jail.with([path.as_path(), Utf8Path::new("/etc/postfix/main.cf")]);
        assert_eq!(*jail.state(&Need::Resolver), State::Works);
        assert_eq!(*jail.state(&Need::Ports), State::Unknown);
    }
}
