//! What rewrites the senders of forwarded mail, if something known is installed.
//!
//! Owns its settings as they stand, and the names Postfix has for its tables. Its secret is never
//! read. Must not know whether it is wanted.

use std::net::IpAddr;

use camino::Utf8Path;

use super::below;
use crate::host::{Facts, Files, Origin, signing};
use crate::rewriter::{Rewriter, Unreadable};
use crate::system::{Query, System};

/// The services that look into its tables: of recipients smtpd(8) wants to know whether there is
/// such a one.
const READERS: [&str; 2] = ["cleanup", "smtpd"];

/// An installed program that rewrites senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Which.
    pub rewriter: Rewriter,
    /// The domain it rewrites to, if its settings name one.
    pub domain: Result<Option<String>, Unreadable>,
    /// The domains whose addresses it leaves as they are.
    pub exempt: Result<Vec<String>, Unreadable>,
    /// A file of more such domains, with what it lists.
    pub exempt_file: Option<(String, Vec<String>)>,
    /// Its tables, senders first; or why Postfix cannot use them.
    pub tables: Result<[Served; 2], String>,
    /// Whether it is started at every boot, where that can be told.
    pub enabled: Option<bool>,
}

/// A table it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its name for Postfix's daemons, in a jail or not.
    pub item: String,
    /// Its name for programs that stand elsewhere.
    pub absolute: String,
    /// Other names that main.cf may have for it.
    pub aliases: Vec<String>,
}

impl Served {
    /// Finds what a parameter calls it, if it names it.
    #[must_use]
    pub fn named(&self, facts: &Facts, parameter: &str) -> Option<String> {
        let mut items = facts.parameters.list(parameter).into_iter();
        items.find(|item| {
            *item == self.item || *item == self.absolute || self.aliases.contains(item)
        })
    }
}

/// Looks for the first that is installed; its settings go to `files`.
pub fn observe(system: &dyn System, facts: &Facts, files: &mut Files) -> Option<Installed> {
    let is_there = |path: &Utf8Path| system.stat(path).ok().flatten().is_some();
    let rewriter = Rewriter::all().into_iter().find(|one| {
        one.needs.iter().all(|path| is_there(path))
            && !one.without.iter().any(|path| is_there(path))
    })?;
    let file = system.read(&rewriter.config).ok().flatten()?;
    let text = file.bytes.clone();
    files.insert(rewriter.config.clone(), Some(file));
    let words = |name: &str| rewriter.get(&text, name);
    let exempt_file = rewriter.exempt_file.as_ref().and_then(|name| {
        let path = words(name).ok()??.into_iter().next()?;
        let bytes = system.read(Utf8Path::new(&path)).ok().flatten()?.bytes;
        let list = String::from_utf8_lossy(&bytes);
        let list = list.split_whitespace().map(str::to_owned).collect();
        Some((path, list))
    });
    let is_asked =
        facts.origin == Origin::Machine && signing::has_systemd(system).is_ok_and(|has| has);
    let enabled = is_asked
        .then(|| signing::is_enabled(system, rewriter.unit.clone()))
        .flatten();
    Some(Installed {
        enabled,
        domain: words(&rewriter.domain)
            .map(|words| words.and_then(|words| words.into_iter().next())),
        exempt: words(&rewriter.exempt).map(Option::unwrap_or_default),
        exempt_file,
        tables: tables(&rewriter, &text, facts),
        rewriter,
    })
}

/// A sender that is nobody's, and so is rewritten.
const STRANGER: &str = "mailfix-asks-for-anybody@mailfix.invalid";

/// Asks whether what main.cf names answers, and says what is wrong if it does not; nothing where
/// main.cf does not name it, or nobody can be asked.
#[must_use]
pub fn silence(system: &dyn System, facts: &Facts, installed: &Installed) -> Option<String> {
    let [senders, _] = installed.tables.as_ref().ok()?;
    senders.named(facts, "sender_canonical_maps")?;
    if facts.origin != Origin::Machine {
        return None;
    }
    let query = Query::Lookup {
        config: facts.config.clone(),
        table: senders.absolute.clone(),
        keys: vec![STRANGER.to_owned()],
    };
    let said = match system.query(&query) {
        Ok(output) if output.text().contains('\t') => return None,
        Ok(output) => output.errors(),
        Err(error) => error.to_string(),
    };
    let last = said.lines().last().unwrap_or_default();
    Some(match last.split_once(": ") {
        Some((_, said)) => said.to_owned(),
        None if last.is_empty() => "it leaves every sender as it is".to_owned(),
        None => last.to_owned(),
    })
}

fn tables(rewriter: &Rewriter, text: &[u8], facts: &Facts) -> Result<[Served; 2], String> {
    let table = |template: &str| {
        let mut name = template.to_owned();
        for (setting, default) in &rewriter.defaults {
            let hole = format!("{{{setting}}}");
            if name.contains(&hole) {
                let words = rewriter.get(text, setting);
                let words = words.map_err(|error| format!("{error} (`{}`)", rewriter.config))?;
                let word = words.and_then(|words| words.into_iter().next());
                name = name.replace(&hole, word.as_ref().unwrap_or(default));
            }
        }
        served(&name, facts)
    };
    Ok([table(&rewriter.forward)?, table(&rewriter.reverse)?])
}

/// Names a table so that a daemon in the jail finds it too.
fn served(name: &str, facts: &Facts) -> Result<Served, String> {
    let plain = |item: String| Served {
        absolute: item.clone(),
        item,
        aliases: Vec::new(),
    };
    if let Some((path, map)) = name
        .strip_prefix("socketmap:unix:")
        .and_then(|rest| rest.rsplit_once(':'))
    {
        let queue = facts.parameters.get("queue_directory");
        if let Some(inside) = below(Utf8Path::new(path), &queue) {
            return Ok(Served {
                item: format!("socketmap:unix:{inside}:{map}"),
                absolute: name.to_owned(),
                aliases: Vec::new(),
            });
        }
        let is_jailed = |reader: &str| {
            facts.services.iter().any(|service| {
                let program = service.command.split_whitespace().next();
                program == Some(reader) && facts.is_chrooted(service)
            })
        };
        if let Some(reader) = READERS.iter().find(|reader| is_jailed(reader)) {
            return Err(format!(
                "its socket `{path}` is out of reach for `{reader}`, which runs in the jail `{queue}`: put the socket in there"
            ));
        }
        return Ok(plain(name.to_owned()));
    }
    // `HOST:PORT`, with the map behind it where one socket serves several.
    let (kind, rest) = match name.strip_prefix("socketmap:inet:") {
        Some(rest) => ("socketmap:inet:", rest),
        None => ("tcp:", name.strip_prefix("tcp:").unwrap_or(name)),
    };
    let parts = if kind == "tcp:" {
        rest.rsplit_once(':')
            .map(|(host, port)| (host, port.to_owned()))
    } else {
        let mut parts = rest.rsplitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(map), Some(port), Some(host)) => Some((host, format!("{port}:{map}"))),
            _ => None,
        }
    };
    let Some((host, rest)) = parts else {
        return Err(format!("`{name}` is no table that Postfix could ask"));
    };
    // In a jail there may be nothing to look `localhost` up in.
    let host = host.trim_matches(['[', ']']);
    let numeric = match host {
        "localhost" | "*" | "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host => match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => host.to_owned(),
        },
    };
    let mut table = plain(format!("{kind}{numeric}:{rest}"));
    if matches!(numeric.as_str(), "127.0.0.1" | "[::1]") {
        table.aliases.push(format!("{kind}localhost:{rest}"));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::postfix::ServiceType;
    use crate::system::{MemorySystem, Output};

    /// What Postfix calls the table of senders, or why it cannot use it.
    #[track_caller]
    fn check(files: &[(&str, &str)], main: &str, expected: Option<Result<&str, &str>>) {
        let mut system = MemorySystem::new();
        for (path, text) in files {
            system = system.file(path, text);
        }
        let facts = example::host("3.7.11", main, "").facts;
        let found = observe(&system, &facts, &mut Files::default());
        let tables = found.as_ref().map(|found| {
            found
                .tables
                .as_ref()
                .map(|[forward, _]| forward.item.as_str())
                .map_err(String::as_str)
        });
        assert_eq!(tables, expected);
    }

    const ONE: &str = "/etc/default/postsrsd";
    const TWO: &str = "/etc/postsrsd.conf";
    const PROGRAM: (&str, &str) = ("/usr/sbin/postsrsd", "");

    #[test]
    fn the_version_is_told_by_what_is_there() {
        let one = Some(Ok("tcp:127.0.0.1:10001"));
        let two = Some(Ok("socketmap:unix:srs:forward"));
        check(&[], "", None);
        check(&[PROGRAM], "", None);
        check(&[(ONE, "")], "", None);
        check(&[(TWO, "")], "", None);
        check(&[PROGRAM, (ONE, "")], "", one);
        check(&[PROGRAM, (ONE, ""), (TWO, "")], "", two);
        check(&[PROGRAM, (TWO, "")], "", two);
    }

    #[test]
    fn tables_are_named_so_that_a_jailed_daemon_finds_them() {
        let one = |text, expected| check(&[PROGRAM, (ONE, text)], "", Some(expected));
        one("SRS_FORWARD_PORT=9001\n", Ok("tcp:127.0.0.1:9001"));
        one("SRS_LISTEN_ADDR=localhost\n", Ok("tcp:127.0.0.1:10001"));
        one("SRS_LISTEN_ADDR=::1\n", Ok("tcp:[::1]:10001"));
        one(
            "SRS_FORWARD_PORT=$PORT\n",
            Err(
                "`SRS_FORWARD_PORT` in it is written in a way that mailfix does not read (`/etc/default/postsrsd`)",
            ),
        );
        let two = |text, main, expected| check(&[PROGRAM, (TWO, text)], main, Some(expected));
        two(
            "socketmap = inet:localhost:10003\n",
            "",
            Ok("socketmap:inet:127.0.0.1:10003:forward"),
        );
        two(
            "socketmap = \"unix:/run/srs\"\n",
            "",
            Ok("socketmap:unix:/run/srs:forward"),
        );
    }

    #[test]
    fn a_socket_outside_of_the_jail_is_told() {
        let system = MemorySystem::new()
            .file(PROGRAM.0, PROGRAM.1)
            .file(TWO, "socketmap = unix:/run/srs\n");
        let mut facts = example::host("3.7.11", "", "").facts;
        for service in &mut facts.services {
            if service.is("cleanup", &ServiceType::Unix) {
                service.chroot = Some(true);
            }
        }
        let found = observe(&system, &facts, &mut Files::default()).unwrap();
        let why = found.tables.unwrap_err();
        assert!(
            why.contains("`/run/srs` is out of reach for `cleanup`"),
            "{why}"
        );
    }

    #[test]
    fn whether_it_is_started_at_every_boot_is_asked_where_systemd_runs() {
        let disabled = Output {
            status: 1,
            stdout: b"disabled\n".to_vec(),
            stderr: Vec::new(),
        };
        let unit = "postsrsd.service".to_owned();
        let bare = MemorySystem::new()
            .file(PROGRAM.0, PROGRAM.1)
            .file(ONE, "")
            .answer(Query::UnitEnabled { unit }, disabled);
        let booted = bare.clone().directory("/run/systemd/system");
        let mut facts = example::host("3.7.11", "", "").facts;
        facts.origin = Origin::Machine;
        let enabled = |system: &MemorySystem, facts: &Facts| {
            let found = observe(system, facts, &mut Files::default());
            found.unwrap().enabled
        };
        assert_eq!(enabled(&booted, &facts), Some(false));
        assert_eq!(enabled(&bare, &facts), None);
        facts.origin = Origin::Collected;
        assert_eq!(enabled(&booted, &facts), None);
    }
}
