//! What an apply set in `main.cf` and `master.cf`, so that it can be looked for again.
//!
//! Owns the comparison of such a file before and after, and whether what was set still holds in a
//! file that somebody else has written since. Must not know what a parameter does.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::postfix::{ArgumentKind, MainCf, MasterCf, split_list};
use crate::system::File;

/// How many fields a service has before its arguments (master(5)).
const FIELDS: usize = 8;

/// A parameter of `main.cf` or a service of `master.cf` that was set or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The parameter, or the service with its type: `smtp/unix`.
    pub name: String,
    /// What it was set to; none where it was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// One of the two files, by what it sets.
enum Settings {
    Main(MainCf),
    Master(MasterCf),
}

impl Settings {
    /// Reads a file; nothing where it is neither of the two.
    fn read(path: &Utf8Path, file: Option<&File>) -> Option<Self> {
        let bytes = file.map(|file| file.bytes.as_slice()).unwrap_or_default();
        match path.file_name()? {
            "main.cf" => Some(Self::Main(MainCf::parse(bytes))),
            "master.cf" => Some(Self::Master(MasterCf::parse(bytes))),
            _ => None,
        }
    }

    fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Main(main) => main.names().map(ToOwned::to_owned).collect(),
            Self::Master(master) => {
                let services = master.services();
                services
                    .map(|service| format!("{}/{}", service.name, service.kind))
                    .collect()
            }
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Main(main) => main.get(name),
            Self::Master(master) => {
                let mut services = master.services().filter(|service| !service.overridden);
                let service = services.find(|service| {
                    name.strip_prefix(service.name.as_str())
                        .and_then(|rest| rest.strip_prefix('/'))
                        .is_some_and(|kind| kind == service.kind.to_string())
                })?;
                let fields = service.fields().map(ToOwned::to_owned);
                let arguments = service
                    .arguments
                    .iter()
                    .map(|argument| match &argument.kind {
                        ArgumentKind::Override { name, value } => format!("-o {name}={value}"),
                        ArgumentKind::BareOverride(word) => format!("-o {word}"),
                        ArgumentKind::Option(word) | ArgumentKind::Word(word) => word.clone(),
                    });
                Some(fields.chain(arguments).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// The parts of a value that may be changed each for itself.
    fn parts(&self, value: &str) -> BTreeSet<(usize, String)> {
        match self {
            Self::Main(_) => split_list(value)
                .into_iter()
                .map(|item| (0, item))
                .collect(),
            // Fields mean something by their place, options do not.
            Self::Master(_) => {
                let words = value.split_whitespace().enumerate();
                words
                    .map(|(at, word)| (at.min(FIELDS), word.to_owned()))
                    .collect()
            }
        }
    }
}

/// What one file sets that the other did not.
pub(super) fn between(
    path: &Utf8Path,
    before: Option<&File>,
    after: Option<&File>,
) -> Vec<Setting> {
    let (Some(old), Some(new)) = (Settings::read(path, before), Settings::read(path, after)) else {
        return Vec::new();
    };
    let names: BTreeSet<String> = old.names().union(&new.names()).cloned().collect();
    names
        .into_iter()
        .filter(|name| old.get(name) != new.get(name))
        .map(|name| Setting {
            value: new.get(&name),
            name,
        })
        .collect()
}

/// The names of those that do not hold in the file that stands there now. What somebody added to
/// a list of ours, or to a service, takes nothing of ours away.
pub(super) fn gone(
    path: &Utf8Path,
    settings: &[Setting],
    before: Option<&File>,
    now: Option<&File>,
) -> Vec<String> {
    let (Some(old), Some(now)) = (Settings::read(path, before), Settings::read(path, now)) else {
        return Vec::new();
    };
    let is_gone = |setting: &&Setting| {
        let (was, is) = (old.get(&setting.name), now.get(&setting.name));
        if is == setting.value {
            return false;
        }
        let (Some(wanted), Some(found)) = (&setting.value, &is) else {
            return setting.value.is_some() || is == was;
        };
        let mut ours = now.parts(wanted);
        if let Some(was) = &was {
            let theirs = now.parts(was);
            ours.retain(|part| !theirs.contains(part));
        }
        if ours.is_empty() {
            return is == was;
        }
        !ours.is_subset(&now.parts(found))
    };
    let gone = settings.iter().filter(is_gone);
    gone.map(|setting| setting.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File::new(text, 0o644, 0, 0)
    }

    /// What is gone of the way from `before` to `after` in `now`.
    fn left(name: &str, before: &str, after: &str, now: &str) -> Vec<String> {
        let path = Utf8Path::new("/etc/postfix").join(name);
        let (before, after, now) = (file(before), file(after), file(now));
        let settings = between(&path, Some(&before), Some(&after));
        assert!(gone(&path, &settings, Some(&before), Some(&after)).is_empty());
        gone(&path, &settings, Some(&before), Some(&now))
    }

    #[test]
    fn a_parameter_that_is_not_ours_any_more_is_named() {
        let (before, after) = ("a = 1\nb = x\n", "a = 1\nb = x, y\nc = 2\n");
        assert_eq!(left("main.cf", before, after, before), ["b", "c"]);
        assert_eq!(left("main.cf", before, after, "b = y\nc = 3\n"), ["c"]);
        // Others may add to a list, and set what they like beside.
        assert!(left("main.cf", before, after, "a = 9\nb = z y x\nc = 2\n").is_empty());
        assert_eq!(left("main.cf", "a = 1\n", "", "a = 1\n"), ["a"]);
        assert!(left("main.cf", "a = 1\n", "", "a = 2\n").is_empty());
        assert_eq!(
            left("main.cf", "b = x, y\n", "b = x\n", "b = x y\n"),
            [""; 0]
        );
        assert_eq!(
            left("main.cf", "b = x, y\n", "b = x\n", "b = x, y\n"),
            ["b"]
        );
    }

    #[test]
    fn a_service_that_is_not_ours_any_more_is_named() {
        let before = "smtp unix - - y - - smtp\n";
        let after = "smtp unix - - n - - smtp\nslow unix - - n - 1 smtp\n  -o syslog_name=slow\n";
        assert_eq!(
            left("master.cf", before, after, before),
            ["slow/unix", "smtp/unix"]
        );
        let other = "smtp unix - - n - 9 smtp -v\nslow unix - - n - 1 smtp\n";
        assert_eq!(left("master.cf", before, after, other), ["slow/unix"]);
    }

    #[test]
    fn another_file_sets_nothing() {
        let path = Utf8Path::new("/etc/postfix/transport");
        assert!(between(path, None, Some(&file("a = 1\n"))).is_empty());
    }
}
