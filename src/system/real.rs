//! The machine itself, or a tree of files that looks like one.
//!
//! Owns which of them is looked at: paths are found in the tree, and what a tree cannot do is
//! refused or done with a copy. How a file is replaced is next door.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the machine is touched"
)]

use std::cell::OnceCell;
use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::signal::kill;
use nix::unistd::{Pid, User, geteuid};

use super::borrowed::Borrowed;
use super::greeting::{self, Greeting};
use super::journal;
use super::milter;
use super::pieces::{Opened, open_regular};
use super::program::{Program, Programs};
use super::rehearsal::{Copy, rehearse, replace};
use super::replace::{
    attributes, make_directory, mode, parent, put, remove_unfinished, sync_directory, unfinished,
};
use super::restart;
use super::signal::Hold;
use super::tree::{Tree, is_absent};
use super::unopened::unopened;
use super::{
    Command, File, JournalPart, Kind, Letter, Output, Pieces, Query, Rehearsal, Rehearsed, Stat,
    System, SystemError, Trial,
};

/// The files that Postfix's programs read of a configuration directory.
const CONFIGURATION: [&str; 2] = [MAIN, "master.cf"];

/// The one of them that holds parameters.
const MAIN: &str = "main.cf";

/// The port that mail goes to.
const SMTP: u16 = 25;

/// The real [`System`].
#[derive(Debug)]
pub struct RealSystem {
    tree: Tree,
    rooted: bool,
    programs: Programs,
    /// Asked for once, where a tree needs it.
    borrowed: OnceCell<Borrowed>,
    lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    path: Utf8PathBuf,
    /// The lock lasts as long as the open file.
    _file: std::fs::File,
    _hold: Hold,
}

impl RealSystem {
    /// Takes this machine, or with a root the tree below it instead of `/`.
    ///
    /// # Errors
    /// When the root is no directory.
    pub fn new(root: Option<Utf8PathBuf>) -> Result<Self, SystemError> {
        let rooted = root.is_some();
        let top = root.unwrap_or_else(|| "/".into());
        Ok(Self {
            tree: Tree::new(&top).map_err(cannot_read(&top))?,
            rooted,
            programs: Programs::new(),
            borrowed: OnceCell::new(),
            lock: None,
        })
    }

    /// Finds a path for reading: its real name in the tree, and where the kernel has it.
    fn find(&self, path: &Utf8Path) -> Result<(Utf8PathBuf, Utf8PathBuf), SystemError> {
        let real = self.tree.resolve(path).map_err(cannot_read(path))?;
        let outside = self.tree.outside(&real);
        Ok((real, outside))
    }

    /// Opens a regular file for reading; `None` when nothing is there.
    fn open(
        &self,
        path: &Utf8Path,
    ) -> Result<Option<(std::fs::File, std::fs::Metadata)>, SystemError> {
        let (_, outside) = self.find(path)?;
        open_regular(&outside, path)
    }

    /// Finds a path for writing.
    fn place(&self, path: &Utf8Path) -> Result<Utf8PathBuf, SystemError> {
        let real = self.tree.resolve(path).map_err(cannot_write(path))?;
        Ok(self.tree.outside(&real))
    }

    fn program(&self, name: &str) -> Result<Program, SystemError> {
        let program = self.programs.program(name)?;
        Ok(program.interruptible(self.lock.is_none()))
    }

    /// Asks a program that needs nothing but its arguments.
    fn asked(&self, name: &str, arguments: &[&str]) -> Result<Output, SystemError> {
        self.program(name)?.arguments(arguments).run()
    }

    /// What a tree borrows; nothing on the machine itself.
    fn borrowed(&self) -> Result<Option<&Borrowed>, SystemError> {
        if !self.rooted {
            return Ok(None);
        }
        if self.borrowed.get().is_none() {
            let asked = Borrowed::ask(&self.programs)?;
            let _ = self.borrowed.set(asked);
        }
        Ok(self.borrowed.get())
    }

    /// Runs a program on a configuration directory. For a tree it is given a copy: a symbolic
    /// link would lead it out of the tree, and the tree may be another machine's.
    fn configured(
        &self,
        config: &Utf8Path,
        program: Program,
        further: impl FnOnce(Program) -> Program,
    ) -> Result<Output, SystemError> {
        let (_, outside) = self.find(config)?;
        let Some(borrowed) = self.borrowed()? else {
            return further(program.argument("-c").argument(outside)).run();
        };
        let copy = Copy::new()?;
        for name in CONFIGURATION {
            if let Some(mut file) = self.read(&config.join(name))? {
                if name == MAIN {
                    file.bytes = borrowed.to(&file.bytes);
                }
                copy.file(name.into(), &file.bytes, 0o600)?;
            }
        }
        let mut output = further(program.argument("-c").argument(copy.top())).run()?;
        for said in [&mut output.stdout, &mut output.stderr] {
            *said = replace(
                said,
                copy.top().as_str().as_bytes(),
                outside.as_str().as_bytes(),
            );
        }
        Ok(output)
    }

    /// Maps the file of `type:name` into the tree.
    fn table(&self, table: &str) -> Result<String, SystemError> {
        if !self.rooted {
            return Ok(table.to_owned());
        }
        let refused = || SystemError::Rooted {
            command: format!("postmap -q - {table}"),
        };
        // A proxied table is read by the running system's proxymap(8); its file is the same.
        let direct = table.strip_prefix("proxy:").unwrap_or(table);
        let (kind, name) = direct.split_once(':').ok_or_else(refused)?;
        if matches!(kind, "unionmap" | "pipemap" | "randmap") && name.contains(":/") {
            return Err(refused());
        }
        if !name.starts_with('/') {
            return Ok(direct.to_owned());
        }
        // The index may be a symbolic link of its own, so it is what has to be found.
        let suffix = match kind {
            "hash" | "btree" => ".db",
            "lmdb" => ".lmdb",
            "cdb" => ".cdb",
            _ => "",
        };
        let (_, outside) = self.find(Utf8Path::new(&format!("{name}{suffix}")))?;
        let found = match outside.as_str().strip_suffix(suffix) {
            Some(found) => found.to_owned(),
            None => self.find(Utf8Path::new(name))?.1.into_string(),
        };
        Ok(format!("{kind}:{found}"))
    }
}

impl System for RealSystem {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>, SystemError> {
        let Some((mut opened, metadata)) = self.open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(cannot_read(path))?;
        Ok(Some(File {
            bytes,
            mode: mode(&metadata),
            uid: metadata.uid(),
            gid: metadata.gid(),
            attributes: attributes(&opened).map_err(cannot_read(path))?,
        }))
    }

    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>, SystemError> {
        let (real, outside) = self.find(path)?;
        let metadata = match std::fs::symlink_metadata(outside) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(cannot_read(path)(error)),
        };
        Ok(Some(Stat {
            kind: if metadata.is_file() {
                Kind::File
            } else if metadata.is_dir() {
                Kind::Directory
            } else {
                Kind::Other
            },
            mode: mode(&metadata),
            uid: metadata.uid(),
            gid: metadata.gid(),
            real,
            modified: metadata.mtime(),
            size: metadata.size(),
            inode: metadata.ino(),
        }))
    }

    fn way(&self, path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, SystemError> {
        self.tree.way(path).map_err(cannot_read(path))
    }

    fn list(&self, path: &Utf8Path) -> Result<Vec<String>, SystemError> {
        let (_, outside) = self.find(path)?;
        let entries = match std::fs::read_dir(outside) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot_read(path)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(cannot_read(path))?.file_name();
            // Names that are not UTF-8 are none that we could have made or could open.
            names.extend(name.into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read_after(&self, path: &Utf8Path, offset: u64) -> Result<Option<Vec<u8>>, SystemError> {
        let Some((mut opened, metadata)) = self.open(path)? else {
            return Ok(None);
        };
        let start = if metadata.size() < offset { 0 } else { offset };
        let mut bytes = Vec::new();
        opened
            .seek(io::SeekFrom::Start(start))
            .and_then(|_| opened.read_to_end(&mut bytes))
            .map_err(cannot_read(path))?;
        Ok(Some(bytes))
    }

    fn pieces(&self, path: &Utf8Path) -> Result<Option<Box<dyn Pieces>>, SystemError> {
        let opened = self.open(path)?;
        Ok(opened
            .map(|(file, metadata)| -> Box<dyn Pieces> { Box::new(Opened::new(file, metadata)) }))
    }

    fn query(&self, query: &Query) -> Result<Output, SystemError> {
        match query {
            Query::Postconf {
                config: None,
                arguments,
            } => self.program("postconf")?.arguments(arguments).run(),
            Query::Postconf {
                config: Some(config),
                arguments,
            } => self.configured(config, self.program("postconf")?, |program| {
                program.arguments(arguments)
            }),
            Query::Lookup {
                config,
                table,
                keys,
            } => {
                let table = self.table(table)?;
                if let Some(why) = unopened(&table) {
                    return Ok(why);
                }
                self.configured(config, self.program("postmap")?, |program| {
                    program.arguments(&["-q", "-", &table]).lines(keys)
                })
            }
            Query::Dump { config, table } => {
                let table = self.table(table)?;
                self.configured(config, self.program("postmap")?, |program| {
                    program.argument("-s").argument(table)
                })
            }
            // A tree does not run.
            Query::Status { .. }
            | Query::UnitRuns { .. }
            | Query::UnitEnabled { .. }
            | Query::ServiceRuns { .. }
                if self.rooted =>
            {
                Ok(Output {
                    status: 1,
                    ..Output::default()
                })
            }
            Query::Status { config } => self
                .program("postfix")?
                .on_terminal()
                .argument("-c")
                .argument(config)
                .argument("status")
                .run(),
            Query::Queue { config } => self.asked("postqueue", &["-c", config.as_str(), "-p"]),
            Query::UnitRuns { unit } => self.asked("systemctl", &["is-active", unit]),
            Query::UnitEnabled { unit } => self.asked("systemctl", &["is-enabled", unit]),
            Query::ServiceRuns { service } => self.asked("service", &[service, "status"]),
            // A tree has no journal of its own.
            Query::Journal { .. } if self.rooted => Err(SystemError::Rooted {
                command: "journalctl".to_owned(),
            }),
            Query::Journal { after } => {
                let words = journal::words(after.as_deref());
                self.asked("journalctl", &words.each_ref().map(String::as_str))
            }
        }
    }

    fn journal(&self, part: JournalPart) -> Result<Box<dyn Read + Send>, SystemError> {
        if self.rooted {
            return Err(SystemError::Rooted {
                command: "journalctl".to_owned(),
            });
        }
        journal::stream(self.program("journalctl")?, part)
    }

    fn rehearse(&self, rehearsal: &Rehearsal) -> Result<Rehearsed, SystemError> {
        if self.rooted
            && rehearsal
                .runs
                .iter()
                .any(|trial| matches!(trial, Trial::Check { .. }))
        {
            return Err(SystemError::Rooted {
                command: "postfix check".to_owned(),
            });
        }
        let interruptible = self.lock.is_none();
        let Some(borrowed) = self.borrowed()? else {
            return rehearse(&self.programs, rehearsal, interruptible);
        };
        let mut rehearsal = rehearsal.clone();
        for (path, file) in &mut rehearsal.files {
            if path.file_name() == Some(MAIN) {
                file.bytes = borrowed.to(&file.bytes);
            }
        }
        rehearse(&self.programs, &rehearsal, interruptible)
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, SystemError> {
        let interfaces =
            getifaddrs().map_err(|error| cannot_read("the network interfaces")(error.into()))?;
        let mut addresses: Vec<IpAddr> = interfaces
            .filter(|interface| {
                interface.flags.contains(InterfaceFlags::IFF_UP)
                    && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
            })
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
            })
            .filter(|address| match address {
                IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
                IpAddr::V6(v6) => {
                    !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified()
                }
            })
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    fn user(&self, name: &str) -> Result<Option<(u32, u32)>, SystemError> {
        if !self.rooted {
            let user = User::from_name(name)
                .map_err(|error| cannot_read("the user database")(error.into()))?;
            return Ok(user.map(|user| (user.uid.as_raw(), user.gid.as_raw())));
        }
        // passwd(5): name:password:uid:gid:…
        let passwd = self.read("/etc/passwd".into())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&passwd.bytes)
            .lines()
            .find_map(|line| {
                let mut fields = line.split(':');
                if fields.next() != Some(name) {
                    return None;
                }
                let uid = fields.nth(1)?.parse().ok()?;
                Some((uid, fields.next()?.parse().ok()?))
            }))
    }

    fn source(&self, destination: IpAddr) -> Result<Option<IpAddr>, SystemError> {
        let any: IpAddr = match destination {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let failed = |error| cannot_read("the routes")(error);
        // connect(2) of a datagram socket chooses the route, and sends nothing.
        let socket = match UdpSocket::bind((any, 0)) {
            Ok(socket) => socket,
            Err(error) if error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        if socket.connect((destination, SMTP)).is_err() {
            return Ok(None);
        }
        Ok(Some(socket.local_addr().map_err(failed)?.ip()))
    }

    fn greet(&self, to: &[SocketAddr], patience: Duration) -> Result<Vec<Greeting>, SystemError> {
        greeting::greet(to, patience, self.rooted)
    }

    fn is_root(&self) -> bool {
        geteuid().is_root()
    }

    fn is_alive(&self, process: i32) -> bool {
        // kill(2): 0 and negative numbers mean groups of processes.
        !self.rooted
            && process > 0
            && matches!(
                kill(Pid::from_raw(process), None),
                Ok(()) | Err(Errno::EPERM)
            )
    }

    fn root(&self) -> Option<&Utf8Path> {
        self.rooted.then(|| self.tree.top())
    }

    fn write(&mut self, path: &Utf8Path, file: &File) -> Result<(), SystemError> {
        let place = self.place(path)?;
        match std::fs::symlink_metadata(&place) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(SystemError::NotAFile { path: path.into() });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot_write(path)(error));
            }
            _ => {}
        }
        put(&place, file).map_err(cannot_write(path))
    }

    fn remove(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        let place = self.place(path)?;
        match std::fs::symlink_metadata(&place) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(SystemError::NotAFile { path: path.into() });
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(cannot_write(path)(error)),
        }
        std::fs::remove_file(&place)
            .and_then(|()| sync_directory(parent(&place)))
            .map_err(cannot_write(path))
    }

    fn make_directory(
        &mut self,
        path: &Utf8Path,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<(), SystemError> {
        let place = self.place(path)?;
        make_directory(&place, mode, uid, gid).map_err(cannot_write(path))
    }

    fn remove_directory(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        let place = self.place(path)?;
        match std::fs::remove_dir(&place) {
            Ok(()) => {
                sync_directory(parent(&place)).map_err(cannot_write(path))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(cannot_write(path)(error)),
        }
    }

    fn remove_leftover(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        let place = self.place(path)?;
        let Some(unfinished) = unfinished(&place) else {
            return Ok(false);
        };
        remove_unfinished(&unfinished).map_err(cannot_write(path))
    }

    fn lock(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        let place = self.place(path)?;
        if self.lock.as_ref().is_some_and(|lock| lock.path == place) {
            return Ok(());
        }
        let file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&place)
            .map_err(cannot_write(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(SystemError::Locked { path: path.into() });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(cannot_write(path)(error)),
        }
        self.lock = Some(Lock {
            path: place,
            _file: file,
            _hold: Hold::new().map_err(cannot_write(path))?,
        });
        Ok(())
    }

    fn run(&mut self, command: &Command) -> Result<Output, SystemError> {
        if self.rooted {
            return Err(SystemError::Rooted {
                command: command.to_string(),
            });
        }
        if let Command::AwaitMilter { milter } = command {
            return Ok(milter::wait(milter));
        }
        let words = command.words();
        let run = || {
            let mut program = self.program(command.program())?;
            if command.is_of_postfix() {
                program = program.on_terminal();
            }
            program
                .uninterrupted()
                .arguments(words.get(1..).unwrap_or_default())
                .run()
        };
        match command {
            Command::RestartService { .. } => restart::tried(&restart::PAUSES, run),
            _ => run(),
        }
    }

    fn send(&mut self, letter: &Letter) -> Result<Output, SystemError> {
        if self.rooted {
            return Err(SystemError::Rooted {
                command: letter.sendmail.to_string(),
            });
        }
        self.programs
            .at("sendmail", &letter.sendmail)?
            // Half a message must not be left in the way of a Ctrl-C.
            .uninterrupted()
            .arguments(&letter.arguments())
            .input(letter.text.clone())
            .run()
    }
}

pub(super) fn cannot_read(path: impl AsRef<Utf8Path>) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.as_ref().to_owned();
    |source| SystemError::Read { path, source }
}

fn cannot_write(path: impl AsRef<Utf8Path>) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.as_ref().to_owned();
    |source| SystemError::Write { path, source }
}
