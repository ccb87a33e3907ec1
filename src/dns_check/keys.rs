//! The keys mail is signed with, as the site file or OpenDKIM's own configuration names them.
//!
//! Owns what is read of it. The site file wins; without one OpenDKIM is believed where Postfix
//! hands it mail. What cannot be read is kept with the reason, and never shown.
//! Must not know what DNS says. Follows opendkim.conf(5).

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Key;
use crate::dns::Name;
use crate::host::Facts;
use crate::mail::dkim::{KeyRecord, PrivateKey};
use crate::site::{Dkim, Site};
use crate::system::System;

/// Where OpenDKIM's configuration lies, by packaging.
const OPENDKIM: [&str; 2] = ["/etc/opendkim.conf", "/usr/local/etc/mail/opendkim.conf"];

/// Gathers the keys.
#[must_use]
pub fn gather(system: &dyn System, instances: &[Facts], site: Option<&Site>) -> Vec<Key> {
    if let Some((site, dkim)) = site.and_then(|site| Some((site, site.dkim.as_ref()?))) {
        // Elsewhere than on the server nobody expects its keys.
        return declared(system, site, dkim, !instances.is_empty());
    }
    let is_milter = |facts: &Facts| {
        ["smtpd_milters", "non_smtpd_milters"]
            .iter()
            .any(|name| !facts.parameters.list(name).is_empty())
    };
    if !instances.iter().any(is_milter) {
        return Vec::new();
    }
    let read = |path: &str| {
        let file = system.read(Utf8Path::new(path)).ok().flatten()?;
        Some(String::from_utf8_lossy(&file.bytes).into_owned())
    };
    OPENDKIM
        .iter()
        .find_map(|path| read(path))
        .map_or_else(Vec::new, |text| of_opendkim(system, &text))
}

/// Each key of the site file, for every domain of it.
fn declared(system: &dyn System, site: &Site, dkim: &Dkim, is_server: bool) -> Vec<Key> {
    let mut keys = Vec::new();
    for (selector, path) in dkim.keys() {
        let record = record(system, path);
        let is_unmade = is_server && matches!(system.read(path), Ok(None));
        let domains = site.domains.iter().filter_map(|domain| domain.parse().ok());
        keys.extend(domains.map(|domain| Key {
            selector: selector.to_owned(),
            domain: Some(domain),
            path: path.to_owned(),
            record: record.clone(),
            is_unmade,
        }));
    }
    keys
}

/// The public half of a key.
fn record(system: &dyn System, path: &Utf8Path) -> Result<KeyRecord, String> {
    match system.read(path) {
        Ok(Some(file)) => PrivateKey::from_pem(&file.bytes)
            .and_then(|key| key.record())
            .map_err(|error| format!("`{path}`: {error}")),
        Ok(None) => Err(format!(
            "there is no key `{path}`; `mailfix dkim new` makes it"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The keys that OpenDKIM's configuration names: by a table, or one for some domains.
fn of_opendkim(system: &dyn System, text: &str) -> Vec<Key> {
    // The last of several lines counts; names are compared without case.
    let value = |wanted: &str| {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'));
        let mut found = lines.filter_map(|line| {
            let (name, value) = line.split_once([' ', '\t'])?;
            name.eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        });
        found.next_back()
    };
    let mut named: BTreeSet<(Option<Name>, String, Utf8PathBuf)> = BTreeSet::new();
    if let Some(table) = value("KeyTable") {
        let path = ["refile:", "file:"]
            .iter()
            .find_map(|kind| table.strip_prefix(kind));
        let path = path.unwrap_or(&table);
        let file = system.read(Utf8Path::new(path)).ok().flatten();
        let text = file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        for line in text.iter().flat_map(|text| text.lines()) {
            // NAME DOMAIN:SELECTOR:FILE, where `%` stands for whatever domain signs.
            let Some((_, rest)) = line.trim().split_once([' ', '\t']) else {
                continue;
            };
            let mut parts = rest.trim().splitn(3, ':');
            if let (Some(domain), Some(selector), Some(file)) =
                (parts.next(), parts.next(), parts.next())
                && !line.trim().starts_with('#')
                && file.starts_with('/')
            {
                let domain = if domain == "%" {
                    None
                } else {
                    domain.parse().ok()
                };
                named.insert((domain, selector.to_owned(), file.into()));
            }
        }
    } else if let (Some(domains), Some(selector), Some(file)) =
        (value("Domain"), value("Selector"), value("KeyFile"))
    {
        let domains = domains
            .split([',', ' ', '\t'])
            .filter_map(|word| word.trim().parse::<Name>().ok());
        named.extend(domains.map(|domain| (Some(domain), selector.clone(), file.clone().into())));
    }
    named
        .into_iter()
        .map(|(domain, selector, path)| Key {
            record: record(system, &path),
            selector,
            domain,
            path,
            is_unmade: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::mail::dkim::Algorithm;
    use crate::system::MemorySystem;

    #[track_caller]
    fn check(main: &str, config: &str, table: &str, expected: &[&str]) {
        let key = PrivateKey::generate(Algorithm::Rsa).unwrap();
        let system = MemorySystem::new()
            .file("/etc/opendkim.conf", config)
            .file("/etc/opendkim/keys", table)
            .file("/k/one", key.to_pem().unwrap().as_str());
        let facts = example::host("3.7.11", main, "").facts;
        let keys = gather(&system, &[facts], None);
        let shown: Vec<String> = keys
            .iter()
            .map(|key| {
                let domain = key.domain.as_ref().map_or("any".to_owned(), Name::host);
                let state = if key.record.is_ok() { "read" } else { "unread" };
                format!("{domain} {} {} {state}", key.selector, key.path)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_the_server_misses_a_key_that_nobody_has_made() {
        let site = "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"192.0.2.1\"]\n[[domain]]\nname = \"example.org\"\n\
                    [dkim]\nselector = \"s1\"\nkey = \"/k/one\"\n";
        let site = Site::parse_with(site, "mailfix.toml".into(), true).unwrap();
        let facts = [example::host("3.7.11", "", "").facts];
        let unmade = |system: &MemorySystem, instances: &[Facts]| {
            gather(system, instances, Some(&site))
                .iter()
                .map(|key| key.is_unmade)
                .collect::<Vec<_>>()
        };
        let empty = MemorySystem::new();
        assert_eq!(unmade(&empty, &facts), [true]);
        assert_eq!(unmade(&empty, &[]), [false]);
        // One that cannot be read as a key is there all the same.
        assert_eq!(unmade(&empty.file("/k/one", "x"), &facts), [false]);
    }

    #[test]
    fn opendkim_is_believed_where_mail_goes_through_it() {
        let milter = "smtpd_milters = inet:localhost:8891";
        let one = "Mode sv\nDomain a.example, b.example\nselector s1\nKeyFile /k/one\n";
        check("", one, "", &[]);
        check(
            milter,
            one,
            "",
            &["a.example s1 /k/one read", "b.example s1 /k/one read"],
        );
        check(
            milter,
            "#KeyTable /x\nKeyTable refile:/etc/opendkim/keys\nDomain a.example\n",
            "# comment a:b:/c\nk1 a.example:s1:/k/one\nk2  %:s2:/k/none\nbroken\n",
            &["any s2 /k/none unread", "a.example s1 /k/one read"],
        );
    }
}
