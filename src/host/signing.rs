//! What signs mail on this host, or could.
//!
//! Owns what is seen of each signer that is known: whether it is installed, whom it runs as, what
//! its configuration says, whether it runs and how it is told to; and the public halves of the
//! keys. Must not know what shall sign, nor which milters Postfix names.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::Files;
use crate::mail::dkim::{KeyRecord, PrivateKey};
use crate::postfix::Milter;
use crate::signer::{MARK, Signer};
use crate::system::{Kind, Query, System, SystemError};

/// `sd_booted(3)`: the directory is there where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

/// Where the scripts lie that service(8) runs.
const SCRIPTS: [&str; 3] = ["/etc/init.d", "/usr/local/etc/rc.d", "/etc/rc.d"];

/// What signs mail on this host, or could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signing {
    /// The signers that are known, installed or not.
    pub signers: Vec<SignerFacts>,
    /// What the record of each key says, by the key's file, or why there is none.
    pub keys: BTreeMap<Utf8PathBuf, Result<KeyRecord, NoKey>>,
}

/// Why a key says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// There is no such file.
    Absent,
    /// It is no key, or cannot be read.
    Unusable(String),
}

/// What is seen of one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerFacts {
    /// Which.
    pub signer: Signer,
    /// Whether its program is there.
    pub installed: bool,
    /// Whom it runs as: user and group, by number.
    pub owner: Option<(u32, u32)>,
    /// Where its configuration says that it listens.
    pub socket: Option<String>,
    /// What its file says, by the names that matter; of several lines the last.
    pub said: BTreeMap<String, String>,
    /// Files that stand where ours would, and are somebody else's.
    pub foreign: BTreeSet<Utf8PathBuf>,
    /// Files that would win over what is set up.
    pub in_the_way: BTreeSet<Utf8PathBuf>,
    /// What only others may read.
    pub unread: Option<Utf8PathBuf>,
    /// How it is started.
    pub starts: Option<Starts>,
    /// Whether it runs, where that can be told.
    pub runs: Option<bool>,
    /// Whether it is started at every boot, where that can be told.
    pub enabled: Option<bool>,
}

/// How a host starts its daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// systemctl(1).
    Systemd,
    /// service(8).
    Service,
}

impl SignerFacts {
    /// Where it listens, as Postfix would name it.
    #[must_use]
    pub fn milter(&self) -> Option<Milter> {
        let socket = &self.signer.socket;
        let said = self.socket.as_ref().or(socket.default.as_ref())?;
        socket.syntax.milter(said)
    }
}

impl Signing {
    /// Finds what is seen of a signer.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&SignerFacts> {
        self.signers.iter().find(|facts| facts.signer.id == id)
    }
}

/// Looks at every signer and at these keys (selector and file), if there are any; what is read
/// goes to `files`.
pub(super) fn observe(
    system: &dyn System,
    keys: &[(String, Utf8PathBuf)],
    files: &mut Files,
) -> Result<Option<Signing>, SystemError> {
    // Keys stay on their machine, so what was packed says nothing of who signs with them.
    if keys.is_empty() || system.is_collected() {
        return Ok(None);
    }
    let mut signing = Signing::default();
    for (_, path) in keys {
        signing.keys.insert(path.clone(), key(system, path, files));
    }
    for signer in Signer::all() {
        signing.signers.push(look(system, signer, keys, files)?);
    }
    Ok(Some(signing))
}

fn key(system: &dyn System, path: &Utf8Path, files: &mut Files) -> Result<KeyRecord, NoKey> {
    let unusable = |error: &dyn std::fmt::Display| NoKey::Unusable(error.to_string());
    let file = system.read(path).map_err(|error| unusable(&error))?;
    let key = PrivateKey::from_pem(&file.as_ref().ok_or(NoKey::Absent)?.bytes);
    files.insert(path, file);
    key.and_then(|key| key.record())
        .map_err(|error| unusable(&error))
}

fn look(
    system: &dyn System,
    signer: Signer,
    keys: &[(String, Utf8PathBuf)],
    files: &mut Files,
) -> Result<SignerFacts, SystemError> {
    let mut facts = SignerFacts {
        installed: first(system, &signer.programs)?.is_some(),
        owner: None,
        socket: None,
        said: BTreeMap::new(),
        foreign: BTreeSet::new(),
        in_the_way: BTreeSet::new(),
        unread: None,
        starts: None,
        runs: None,
        enabled: None,
        signer,
    };
    let signer = &facts.signer;
    for path in &signer.socket.files {
        if let Some(file) = system.read(path)? {
            let text = String::from_utf8_lossy(&file.bytes);
            let found = signer.socket.syntax.values(&text, &signer.socket.key).pop();
            facts.socket = facts.socket.or(found);
        }
    }
    let mut users = signer.users.clone();
    if let Some(conf) = &signer.conf {
        let file = system.read(&conf.path)?;
        let bytes = file.as_ref().map(|file| file.bytes.as_slice());
        let text = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let names = conf.against.iter().chain(conf.allowed.keys());
        let ours = conf.ours.keys().chain(conf.unless_set.keys());
        for name in names.chain(ours) {
            if let Some(value) = signer.socket.syntax.values(&text, name).pop() {
                facts.said.insert(name.clone(), value);
            }
        }
        if let Some(user) = signer.socket.syntax.values(&text, &conf.user).pop() {
            // `user:group`
            let user = user.split(':').next().unwrap_or_default().to_owned();
            users = vec![user];
        }
        files.insert(conf.path.clone(), file);
    }
    for user in &users {
        if facts.owner.is_none() {
            facts.owner = system.user(user)?;
        }
    }
    let copies = keys.iter().map(|(selector, _)| signer.key_file(selector));
    for path in copies {
        match system.read(&path) {
            Ok(file) => files.insert(path.clone(), file),
            Err(_) => facts.unread = Some(path.clone()),
        }
        look_above(system, &path, files)?;
    }
    for (path, _) in signer.files() {
        let file = system.read(path)?;
        if let Some(file) = &file
            && !String::from_utf8_lossy(&file.bytes).contains(MARK)
        {
            facts.foreign.insert(path.to_owned());
        }
        files.insert(path, file);
        look_above(system, path, files)?;
    }
    for path in &signer.in_the_way {
        if system.stat(path)?.is_some() {
            facts.in_the_way.insert(path.clone());
        }
    }
    if facts.installed && system.root().is_none() {
        facts.starts = starts(system, signer)?;
        (facts.runs, facts.enabled) = state(system, &facts);
    }
    Ok(facts)
}

/// Notes which directories above a path are there.
fn look_above(system: &dyn System, path: &Utf8Path, files: &mut Files) -> Result<(), SystemError> {
    for above in path.ancestors().skip(1) {
        if let Some(stat) = system.stat(above)?
            && stat.kind == Kind::Directory
        {
            files.insert_directory(above, stat);
        }
    }
    Ok(())
}

fn first<'a>(
    system: &dyn System,
    paths: &'a [Utf8PathBuf],
) -> Result<Option<&'a Utf8PathBuf>, SystemError> {
    for path in paths {
        if system.stat(path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn starts(system: &dyn System, signer: &Signer) -> Result<Option<Starts>, SystemError> {
    if has_systemd(system)? {
        return Ok(Some(Starts::Systemd));
    }
    let scripts = SCRIPTS.map(|folder| Utf8Path::new(folder).join(&signer.service));
    Ok(first(system, &scripts)?.map(|_| Starts::Service))
}

/// Whether it runs, and whether it is started at every boot; what nobody says is not known.
fn state(system: &dyn System, facts: &SignerFacts) -> (Option<bool>, Option<bool>) {
    let unit = || facts.signer.unit.clone();
    let runs = match facts.starts {
        Some(Starts::Systemd) => Query::UnitRuns { unit: unit() },
        Some(Starts::Service) => Query::ServiceRuns {
            service: facts.signer.service.clone(),
        },
        None => return (None, None),
    };
    let runs = system.query(&runs).ok().map(|output| output.success());
    let enabled = (facts.starts == Some(Starts::Systemd))
        .then(|| is_enabled(system, unit()))
        .flatten();
    (runs, enabled)
}

/// Tells whether systemd runs here.
pub(super) fn has_systemd(system: &dyn System) -> Result<bool, SystemError> {
    Ok(system.stat(Utf8Path::new(SYSTEMD))?.is_some())
}

/// Whether systemd starts a unit at every boot; what it does not say is not known.
pub(super) fn is_enabled(system: &dyn System, unit: String) -> Option<bool> {
    let output = system.query(&Query::UnitEnabled { unit }).ok()?;
    // Units that others start are `static`, `alias` and more.
    Some(output.text().trim() != "disabled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dkim::Algorithm;
    use crate::system::{File, MemorySystem, Node, Output};

    const KEY: &str = "/etc/mailfix/dkim/mail.private";

    fn looked(system: &MemorySystem) -> (Signing, Files) {
        let mut files = Files::default();
        let keys = [("mail".to_owned(), KEY.into())];
        let signing = observe(system, &keys, &mut files).unwrap();
        (signing.unwrap(), files)
    }

    fn debian() -> MemorySystem {
        MemorySystem::new()
            .file("/usr/sbin/opendkim", "")
            .file(
                "/etc/opendkim.conf",
                "Syslog yes\n#Domain example.com\nUserID opendkim:postfix\nSocket local:/run/opendkim/opendkim.sock\n",
            )
            .directory("/run/systemd/system")
            .with_user("opendkim", 105, 109)
    }

    #[test]
    fn an_installed_signer_is_seen_with_what_its_file_says() {
        let status = |status, said: &str| Output {
            status,
            stdout: said.into(),
            stderr: Vec::new(),
        };
        let unit = || "opendkim.service".to_owned();
        let system = debian()
            .answer(Query::UnitRuns { unit: unit() }, status(3, "inactive\n"))
            .answer(Query::UnitEnabled { unit: unit() }, status(1, "disabled\n"));
        let (signing, files) = looked(&system);
        let seen = signing.of("opendkim").unwrap();
        assert!(seen.installed);
        assert_eq!(seen.owner, Some((105, 109)));
        assert_eq!(
            seen.milter().unwrap().to_string(),
            "unix:/run/opendkim/opendkim.sock"
        );
        assert_eq!(seen.starts, Some(Starts::Systemd));
        assert_eq!((seen.runs, seen.enabled), (Some(false), Some(false)));
        assert!(seen.said.is_empty(), "{:?}", seen.said);
        assert!(files.get(Utf8Path::new("/etc/opendkim.conf")).is_some());
        let other = signing.of("rspamd").unwrap();
        assert!(!other.installed);
        // What it does by itself tells its port from others all the same.
        assert_eq!(other.milter().unwrap().to_string(), "inet:127.0.0.1:11332");
        assert_eq!(signing.keys[Utf8Path::new(KEY)], Err(NoKey::Absent));
    }

    #[test]
    fn keys_give_their_public_half() {
        let pem = PrivateKey::generate(Algorithm::Ed25519)
            .unwrap()
            .to_pem()
            .unwrap();
        let file = |text: &str| Node::File(File::new(text.as_bytes(), 0o600, 0, 0));
        let (signing, _) = looked(&MemorySystem::new().node(KEY, file(&pem)));
        let record = signing.keys[Utf8Path::new(KEY)].as_ref().unwrap();
        assert!(record.to_string().contains("k=ed25519"));
        let (signing, _) = looked(&MemorySystem::new().node(KEY, file("x")));
        let why = signing.keys[Utf8Path::new(KEY)].clone().unwrap_err();
        assert!(matches!(why, NoKey::Unusable(_)), "{why:?}");
    }

    #[test]
    fn what_others_wrote_is_told_from_ours() {
        let ours = "/etc/opendkim/mailfix/key.table";
        let other = "/etc/rspamd/local.d/dkim_signing.conf";
        let winning = "/etc/rspamd/override.d/dkim_signing.conf";
        let system = debian()
            .file(ours, "# Written by mailfix: x\n")
            .file(other, "enabled = true;\n")
            .file(winning, "")
            .file(
                "/etc/rspamd/local.d/worker-proxy.inc",
                "bind_socket = \"*:11400\";\n",
            );
        let (signing, _) = looked(&system);
        assert!(signing.of("opendkim").unwrap().foreign.is_empty());
        let rspamd = signing.of("rspamd").unwrap();
        assert_eq!(rspamd.foreign, [other.into()].into());
        assert_eq!(rspamd.in_the_way, [winning.into()].into());
        assert_eq!(rspamd.milter().unwrap().to_string(), "inet:127.0.0.1:11400");
    }

    #[test]
    fn without_systemd_there_may_be_a_script() {
        let system = MemorySystem::new()
            .file("/usr/bin/rspamd", "")
            .file("/etc/init.d/rspamd", "");
        let (signing, _) = looked(&system);
        assert_eq!(signing.of("rspamd").unwrap().starts, Some(Starts::Service));
        assert_eq!(signing.of("opendkim").unwrap().starts, None);
    }
}
