//! A machine in memory: the stand-in for every test that needs one.
//!
//! Owns a tree with modes, owners and symbolic links, scripted answers of
//! programs, a count of the calls that change something, and [`Fault`]s: the
//! disk is full, or the process is killed, at any of these calls.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::tree::{follow, way};
use super::{
    Command, File, Greeting, Kind, Letter, Output, Query, Rehearsal, Rehearsed, Stat, System,
    SystemError,
};

/// What a path of the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File(File),
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link.
    Link(Utf8PathBuf),
    /// What a killed write left: its name is nobody's business, so it is kept by its file's.
    Leftover,
}

/// What goes wrong, at which of the calls that change something (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This call fails, as on a full disk; later ones work.
    Fails(usize),
    /// The process is killed before this call: neither it nor any later one does anything.
    Killed(usize),
    /// The process is killed in the middle of this call: a write leaves its unfinished file.
    KilledWithin(usize),
}

/// A [`System`] in memory.
#[derive(Clone, Debug)]
pub struct MemorySystem {
    nodes: BTreeMap<Utf8PathBuf, Node>,
    leftovers: BTreeMap<Utf8PathBuf, Node>,
    answers: Vec<(Query, Output)>,
    replies: HashMap<String, VecDeque<Output>>,
    users: HashMap<String, (u32, u32)>,
    rehearse: fn(&Rehearsal) -> Rehearsed,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// How many calls have asked for a change.
    pub calls: usize,
    /// The commands that were run.
    pub ran: Vec<Command>,
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// Whether another process holds the lock.
    pub locked: bool,
    /// Processes that live.
    pub alive: Vec<i32>,
    /// Whether we are root on it.
    pub is_root: bool,
    /// The letters that were sent.
    pub sent: Vec<Letter>,
    /// What `sendmail` says to each.
    pub sendmail: Output,
    /// The addresses that mail to a destination leaves from.
    pub sources: BTreeMap<IpAddr, IpAddr>,
    /// What mail servers say; one that is not named cannot be reached.
    pub greetings: BTreeMap<SocketAddr, Greeting>,
    inodes: BTreeMap<Utf8PathBuf, u64>,
}

impl Default for MemorySystem {
    fn default() -> Self {
        Self::new()
    }
}

impl MemorySystem {
    /// Makes a machine with an empty `/`, on which we are root.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: BTreeMap::from([("/".into(), root_directory())]),
            leftovers: BTreeMap::new(),
            answers: Vec::new(),
            replies: HashMap::new(),
            users: HashMap::from([("root".to_owned(), (0, 0))]),
            rehearse: all_is_well,
            fault: None,
            calls: 0,
            ran: Vec::new(),
            addresses: Vec::new(),
            locked: false,
            alive: Vec::new(),
            is_root: true,
            sent: Vec::new(),
            sendmail: Output::default(),
            sources: BTreeMap::new(),
            greetings: BTreeMap::new(),
            inodes: BTreeMap::new(),
        }
    }

    /// Adds a file of root's, mode 0644, and the directories above it.
    #[must_use]
    pub fn file(self, path: impl AsRef<Utf8Path>, bytes: impl AsRef<[u8]>) -> Self {
        let file = File::new(bytes.as_ref(), 0o644, 0, 0);
        self.node(path, Node::File(file))
    }

    /// Adds a directory of root's, mode 0755, and those above it.
    #[must_use]
    pub fn directory(self, path: impl AsRef<Utf8Path>) -> Self {
        self.node(path, root_directory())
    }

    /// Adds a symbolic link and the directories above it.
    #[must_use]
    pub fn link(self, path: impl AsRef<Utf8Path>, target: impl Into<Utf8PathBuf>) -> Self {
        self.node(path, Node::Link(target.into()))
    }

    /// Adds anything, and the directories above it.
    #[must_use]
    pub fn node(mut self, path: impl AsRef<Utf8Path>, node: Node) -> Self {
        let path = path.as_ref();
        for above in path.ancestors().skip(1) {
            self.nodes
                .entry(above.to_owned())
                .or_insert_with(root_directory);
        }
        self.nodes.insert(path.to_owned(), node);
        self
    }

    /// Gives a file a number of its own; all others have 0.
    #[must_use]
    pub fn with_inode(mut self, path: impl AsRef<Utf8Path>, inode: u64) -> Self {
        self.inodes.insert(path.as_ref().to_owned(), inode);
        self
    }

    /// Adds a user.
    #[must_use]
    pub fn with_user(mut self, name: &str, uid: u32, gid: u32) -> Self {
        self.users.insert(name.to_owned(), (uid, gid));
        self
    }

    /// Scripts the answer to a question. What has no answer is a program that is not installed.
    #[must_use]
    pub fn answer(mut self, query: Query, output: Output) -> Self {
        self.answers.push((query, output));
        self
    }

    /// Scripts the next answer to a command, given as [`Command::words`] joined. What has no
    /// answer succeeds.
    #[must_use]
    pub fn reply(mut self, command: &str, status: i32, errors: &str) -> Self {
        let output = Output {
            status,
            stdout: Vec::new(),
            stderr: errors.as_bytes().to_vec(),
        };
        self.replies
            .entry(command.to_owned())
            .or_default()
            .push_back(output);
        self
    }

    /// Sets what rehearsals show; without it all is well and nothing is collected.
    #[must_use]
    pub fn rehearsing(mut self, rehearse: fn(&Rehearsal) -> Rehearsed) -> Self {
        self.rehearse = rehearse;
        self
    }

    /// Everything that stands on the machine outside a directory, leftovers included.
    #[must_use]
    pub fn tree_without(&self, directory: impl AsRef<Utf8Path>) -> BTreeMap<Utf8PathBuf, Node> {
        let directory = directory.as_ref();
        let leftovers = self
            .leftovers
            .keys()
            .map(|path| (path.join("leftover"), Node::Leftover));
        self.nodes
            .iter()
            .map(|(path, node)| (path.clone(), node.clone()))
            .chain(leftovers)
            .filter(|(path, _)| !path.starts_with(directory))
            .collect()
    }

    fn link_at(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        match self.nodes.get(path) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        }
    }

    fn resolve(&self, path: &Utf8Path) -> Result<Utf8PathBuf, SystemError> {
        follow(path, |path| Ok(self.link_at(path))).map_err(|source| SystemError::Read {
            path: path.to_owned(),
            source,
        })
    }

    /// Counts a change, and fails it if that is due. `unfinished` is what a kill within leaves.
    fn change(&mut self, path: &Utf8Path, unfinished: Option<Node>) -> Result<(), SystemError> {
        self.calls += 1;
        let full = |kind: io::ErrorKind| SystemError::Write {
            path: path.to_owned(),
            source: kind.into(),
        };
        match self.fault {
            Some(Fault::Fails(at)) if self.calls == at => Err(full(io::ErrorKind::StorageFull)),
            Some(Fault::Killed(at)) if self.calls >= at => Err(full(io::ErrorKind::Interrupted)),
            Some(Fault::KilledWithin(at)) if self.calls >= at => {
                if self.calls == at
                    && let Some(node) = unfinished
                {
                    let real = self.resolve(path)?;
                    self.leftovers.insert(real, node);
                }
                Err(full(io::ErrorKind::Interrupted))
            }
            _ => Ok(()),
        }
    }

    fn needs_parent(&self, real: &Utf8Path, path: &Utf8Path) -> Result<(), SystemError> {
        match real.parent().and_then(|parent| self.nodes.get(parent)) {
            Some(Node::Directory { .. }) => Ok(()),
            _ => Err(SystemError::Write {
                path: path.to_owned(),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn is_empty(&self, directory: &Utf8Path) -> bool {
        let is_within = |path: &&Utf8PathBuf| path.parent() == Some(directory);
        !self.nodes.keys().any(|path| is_within(&path))
            && !self.leftovers.keys().any(|path| is_within(&path))
    }
}

impl System for MemorySystem {
    fn read(&self, path: &Utf8Path) -> Result<Option<File>, SystemError> {
        match self.nodes.get(&self.resolve(path)?) {
            Some(Node::File(file)) => Ok(Some(file.clone())),
            Some(_) => Err(SystemError::NotAFile { path: path.into() }),
            None => Ok(None),
        }
    }

    fn read_after(&self, path: &Utf8Path, offset: u64) -> Result<Option<Vec<u8>>, SystemError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let file = self.read(path)?;
        Ok(file.map(|file| match file.bytes.get(start..) {
            Some(end) => end.to_vec(),
            None => file.bytes,
        }))
    }

    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>, SystemError> {
        let real = self.resolve(path)?;
        let (kind, mode, uid, gid, size) = match self.nodes.get(&real) {
            Some(Node::File(file)) => {
                let size = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
                (Kind::File, file.mode, file.uid, file.gid, size)
            }
            Some(&Node::Directory { mode, uid, gid }) => (Kind::Directory, mode, uid, gid, 0),
            Some(Node::Link(_) | Node::Leftover) | None => return Ok(None),
        };
        Ok(Some(Stat {
            kind,
            mode,
            uid,
            gid,
            inode: self.inodes.get(&real).copied().unwrap_or_default(),
            real,
            modified: 0,
            size,
        }))
    }

    fn way(&self, path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, SystemError> {
        way(path, |path| Ok(self.link_at(path))).map_err(|source| SystemError::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn list(&self, path: &Utf8Path) -> Result<Vec<String>, SystemError> {
        let real = self.resolve(path)?;
        Ok(self
            .nodes
            .keys()
            .filter(|path| path.parent() == Some(&real))
            .filter_map(|path| path.file_name().map(str::to_owned))
            .collect())
    }

    fn query(&self, query: &Query) -> Result<Output, SystemError> {
        let answer = self.answers.iter().find(|(asked, _)| asked == query);
        answer
            .map(|(_, output)| output.clone())
            .ok_or_else(|| SystemError::Missing {
                program: match query {
                    Query::Postconf { .. } => "postconf".to_owned(),
                    Query::Lookup { .. } | Query::Dump { .. } => "postmap".to_owned(),
                    Query::Status { .. } => "postfix".to_owned(),
                    Query::Queue { .. } => "postqueue".to_owned(),
                    Query::Journal { .. } => "journalctl".to_owned(),
                    Query::UnitRuns { .. } | Query::UnitEnabled { .. } => "systemctl".to_owned(),
                    Query::ServiceRuns { .. } => "service".to_owned(),
                },
            })
    }

    fn rehearse(&self, rehearsal: &Rehearsal) -> Result<Rehearsed, SystemError> {
        Ok((self.rehearse)(rehearsal))
    }

    fn addresses(&self) -> Result<Vec<IpAddr>, SystemError> {
        Ok(self.addresses.clone())
    }

    fn user(&self, name: &str) -> Result<Option<(u32, u32)>, SystemError> {
        Ok(self.users.get(name).copied())
    }

    fn source(&self, destination: IpAddr) -> Result<Option<IpAddr>, SystemError> {
        Ok(self.sources.get(&destination).copied())
    }

    fn greet(&self, servers: &[SocketAddr], _: Duration) -> Result<Vec<Greeting>, SystemError> {
        let said = servers.iter().map(|server| {
            let said = self.greetings.get(server);
            said.cloned().unwrap_or(Greeting::Unreachable)
        });
        Ok(said.collect())
    }

    fn is_root(&self) -> bool {
        self.is_root
    }

    fn is_alive(&self, process: i32) -> bool {
        self.alive.contains(&process)
    }

    fn root(&self) -> Option<&Utf8Path> {
        None
    }

    fn write(&mut self, path: &Utf8Path, file: &File) -> Result<(), SystemError> {
        self.change(path, Some(Node::File(file.clone())))?;
        let real = self.resolve(path)?;
        self.needs_parent(&real, path)?;
        match self.nodes.get(&real) {
            Some(Node::File(_)) | None => {
                self.leftovers.remove(&real);
                self.nodes.insert(real, Node::File(file.clone()));
                Ok(())
            }
            Some(_) => Err(SystemError::NotAFile { path: path.into() }),
        }
    }

    fn remove(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        self.change(path, None)?;
        let real = self.resolve(path)?;
        match self.nodes.get(&real) {
            Some(Node::File(_)) | None => {
                self.nodes.remove(&real);
                Ok(())
            }
            Some(_) => Err(SystemError::NotAFile { path: path.into() }),
        }
    }

    fn make_directory(
        &mut self,
        path: &Utf8Path,
        mode: u32,
        uid: u32,
        gid: u32,
    ) -> Result<(), SystemError> {
        let directory = Node::Directory { mode, uid, gid };
        self.change(path, Some(directory.clone()))?;
        let real = self.resolve(path)?;
        self.needs_parent(&real, path)?;
        if self.nodes.contains_key(&real) {
            return Err(SystemError::Write {
                path: path.to_owned(),
                source: io::ErrorKind::AlreadyExists.into(),
            });
        }
        self.leftovers.remove(&real);
        self.nodes.insert(real, directory);
        Ok(())
    }

    fn remove_directory(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        self.change(path, None)?;
        let real = self.resolve(path)?;
        match self.nodes.get(&real) {
            None => Ok(true),
            Some(Node::Directory { .. }) if self.is_empty(&real) => {
                self.nodes.remove(&real);
                Ok(true)
            }
            Some(Node::Directory { .. }) => Ok(false),
            Some(_) => Err(SystemError::Write {
                path: path.to_owned(),
                source: io::ErrorKind::NotADirectory.into(),
            }),
        }
    }

    fn remove_leftover(&mut self, path: &Utf8Path) -> Result<bool, SystemError> {
        let real = self.resolve(path)?;
        if !self.leftovers.contains_key(&real) {
            return Ok(false);
        }
        self.change(path, None)?;
        Ok(self.leftovers.remove(&real).is_some())
    }

    fn lock(&mut self, path: &Utf8Path) -> Result<(), SystemError> {
        if self.locked {
            return Err(SystemError::Locked { path: path.into() });
        }
        Ok(())
    }

    fn run(&mut self, command: &Command) -> Result<Output, SystemError> {
        let words = command.to_string();
        self.change(Utf8Path::new(&words), None)?;
        self.ran.push(command.clone());
        let reply = self.replies.get_mut(&words).and_then(VecDeque::pop_front);
        Ok(reply.unwrap_or_default())
    }

    fn send(&mut self, letter: &Letter) -> Result<Output, SystemError> {
        self.change(&letter.sendmail, None)?;
        self.sent.push(letter.clone());
        Ok(self.sendmail.clone())
    }
}

fn root_directory() -> Node {
    Node::Directory {
        mode: 0o755,
        uid: 0,
        gid: 0,
    }
}

fn all_is_well(rehearsal: &Rehearsal) -> Rehearsed {
    Rehearsed {
        outputs: vec![Output::default(); rehearsal.runs.len()],
        collected: vec![None; rehearsal.collect.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MemorySystem {
        MemorySystem::new()
            .file("/srv/main.cf", "a = 1\n")
            .link("/etc/postfix/main.cf", "../../srv/main.cf")
    }

    #[test]
    fn links_are_written_through() {
        let mut system = machine();
        let file = File::new("a = 2\n", 0o600, 1, 2);
        system.write("/etc/postfix/main.cf".into(), &file).unwrap();
        assert_eq!(system.read("/srv/main.cf".into()).unwrap(), Some(file));
        let stat = system.stat("/etc/postfix/main.cf".into()).unwrap().unwrap();
        assert_eq!((stat.real.as_str(), stat.size), ("/srv/main.cf", 6));
    }

    #[test]
    fn a_kill_leaves_the_old_file_and_stays() {
        let mut system = machine();
        let before = system.tree_without("/nothing");
        system.fault = Some(Fault::KilledWithin(1));
        let file = File::new("", 0o600, 1, 2);
        system.write("/srv/main.cf".into(), &file).unwrap_err();
        system.remove("/srv/main.cf".into()).unwrap_err();
        assert_ne!(system.tree_without("/nothing"), before);
        system.fault = None;
        assert!(system.remove_leftover("/srv/main.cf".into()).unwrap());
        assert_eq!(system.tree_without("/nothing"), before);
    }

    #[test]
    fn a_full_disk_fails_once() {
        let mut system = machine();
        system.fault = Some(Fault::Fails(1));
        system.remove("/srv/main.cf".into()).unwrap_err();
        system.remove("/srv/main.cf".into()).unwrap();
        assert_eq!(system.list("/srv".into()).unwrap(), Vec::<String>::new());
        assert!(system.remove_directory("/srv".into()).unwrap());
    }
}
