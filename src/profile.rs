//! Profiles: what a kind of host is like.
//!
//! Owns [`Profile`], read from `profiles/*.toml`: where Postfix keeps its files, whether its
//! daemons run in a jail, which table types it has, and by what such a host is recognised.
//! What tells hosts apart is a key there, never an `if` on a platform.
//! Must not know this very host, nor what is to be changed on it.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use toml::Spanned;

use crate::data_file::{self, DataError, Faults};
use crate::embedded::{PROFILES, STOCK};
use crate::finding::Finding;

/// A kind of host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name of its data file.
    pub name: String,
    /// Its title in lists.
    pub title: String,
    /// What it is, in a phrase.
    pub about: String,
    /// Where things are.
    pub paths: Paths,
    /// Whether the daemons run chrooted, as the file says with `y` or `n`.
    ///
    /// The letter `-` means different things to different versions, so no file has it.
    pub chroot: bool,
    /// Lookup table types, the preferred first.
    pub tables: Vec<String>,
    /// Postfix's `mail_owner`.
    pub owner: String,
    /// Directories that hold Postfix's programs.
    pub programs: Vec<Utf8PathBuf>,
    /// The words with which Postfix checks its configuration and takes it up.
    pub commands: Commands,
    /// What Postfix is like there when freshly installed.
    pub stock: Stock,
    /// By what such a host is recognised.
    pub rules: Vec<Rule>,
}

/// Where a kind of host keeps things.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Paths {
    /// Postfix's `config_directory`.
    pub config: Utf8PathBuf,
    /// Postfix's `queue_directory`.
    pub queue: Utf8PathBuf,
    /// Postfix's `data_directory`.
    pub data: Utf8PathBuf,
    /// Our receipts and copies.
    pub state: Utf8PathBuf,
    /// Our site file.
    pub site: Utf8PathBuf,
    /// Files that the mail log may be in, where main.cf names none.
    #[serde(default)]
    pub logs: Vec<Utf8PathBuf>,
}

/// The words of Postfix's own commands, `{config}` standing for the configuration directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Commands {
    /// Checks the configuration.
    pub check: Vec<String>,
    /// Has the running Postfix read it again.
    pub reload: Vec<String>,
}

/// A freshly installed Postfix: what a plan is made against where none is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Its version, such as `3.7.11`.
    pub version: String,
    /// Its `compatibility_level`; `0` before Postfix 3.0, which behaves so.
    pub compatibility_level: String,
    /// Its `main.cf`.
    pub main_cf: &'static str,
    /// Its `master.cf`.
    pub master_cf: &'static str,
}

/// One sign by which a kind of host is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Rule {
    /// How much it says.
    pub weight: u32,
    /// The sign in words.
    pub reason: String,
    /// The kernel's name, as `uname -s` gives it.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The configuration directory that Postfix has.
    #[serde(default)]
    pub config: Option<Utf8PathBuf>,
    /// Whether the `smtp` service runs chrooted.
    #[serde(default)]
    pub chrooted: Option<bool>,
    /// A path that is there.
    #[serde(default)]
    pub file: Option<Utf8PathBuf>,
}

/// What is seen of a host before its profile is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Observed {
    /// The kernel's name, as `uname -s` gives it.
    pub kernel: String,
    /// The configuration directory of the Postfix found, if one was.
    pub config_dir: Option<Utf8PathBuf>,
    /// Whether the `smtp` service there runs chrooted, if there is one.
    pub smtp_chrooted: Option<bool>,
    /// Those of [`Profile::probes`] that are there.
    pub files_present: Vec<Utf8PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Data {
    title: String,
    about: String,
    chroot: Spanned<String>,
    tables: Spanned<Vec<String>>,
    owner: String,
    programs: Vec<Utf8PathBuf>,
    paths: Paths,
    commands: Commands,
    stock: StockData,
    #[serde(default, rename = "match")]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct StockData {
    configuration: Spanned<String>,
    version: String,
    compatibility_level: String,
}

impl Profile {
    /// Reads a profile's file; its name is the file's.
    ///
    /// # Errors
    /// When the file is wrong.
    pub fn parse(bytes: impl AsRef<[u8]>, path: &Utf8Path) -> Result<Self, DataError> {
        let text = data_file::text(bytes.as_ref(), path)?;
        let data: Data = data_file::parse(text, path)?;
        let mut faults = Faults::new(path, text);
        let chroot = data.chroot.get_ref() == "y";
        if !chroot && data.chroot.get_ref() != "n" {
            let finding =
                data_file::unknown("unknown-value", "value", data.chroot.get_ref(), ["y", "n"]);
            faults.add(data.chroot.span(), finding);
        }
        if data.tables.get_ref().is_empty() {
            let finding = Finding::error("missing-value", "no lookup table type is named");
            faults.add(data.tables.span(), finding);
        }
        let named = data.stock.configuration.get_ref();
        let (_, main_cf, master_cf) = STOCK
            .iter()
            .find(|(name, ..)| name == named)
            .copied()
            .unwrap_or_else(|| {
                let all = STOCK.iter().map(|(name, ..)| *name);
                let finding =
                    data_file::unknown("unknown-value", "stock configuration", named, all);
                faults.add(data.stock.configuration.span(), finding);
                Default::default()
            });
        faults.finish(Self {
            name: path.file_stem().unwrap_or_default().to_owned(),
            title: data.title,
            about: data.about,
            paths: data.paths,
            chroot,
            tables: data.tables.into_inner(),
            owner: data.owner,
            programs: data.programs,
            commands: data.commands,
            stock: Stock {
                version: data.stock.version,
                compatibility_level: data.stock.compatibility_level,
                main_cf,
                master_cf,
            },
            rules: data.rules,
        })
    }

    /// Lists the names of the profiles that mailfix brings.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        PROFILES.iter().map(|(name, _)| *name)
    }

    /// Gives the profile of that name, if mailfix brings it.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        Self::all().find(|profile| profile.name == name)
    }

    /// Gives every profile that mailfix brings, by name.
    ///
    /// # Panics
    /// Never: the files are part of the program, and a test reads each.
    pub fn all() -> impl Iterator<Item = Self> {
        PROFILES.iter().map(|(name, text)| {
            Self::parse(text, Utf8Path::new(&format!("{name}.toml")))
                .expect("a test reads every embedded profile")
        })
    }

    /// Tells whether a word names a file rather than a profile that mailfix brings.
    #[must_use]
    pub fn is_path(word: &str) -> bool {
        word.contains('/') || Utf8Path::new(word).extension() == Some("toml")
    }

    /// Makes the finding for a profile name that mailfix does not know.
    #[must_use]
    pub fn unknown(name: &str) -> Finding {
        let mut finding = data_file::unknown("unknown-profile", "profile", name, Self::names());
        if let Some(why) = &mut finding.why {
            why.push_str(", or the path of a profile's file");
        }
        finding
    }

    /// Lists the files that the mail log may be in, on any kind of host that mailfix knows.
    #[must_use]
    pub fn all_logs() -> Vec<Utf8PathBuf> {
        let mut paths: Vec<_> = Self::all().flat_map(|profile| profile.paths.logs).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Lists the paths that tell kinds of host apart by being there.
    #[must_use]
    pub fn probes() -> Vec<Utf8PathBuf> {
        let mut paths: Vec<_> = Self::all()
            .flat_map(|profile| profile.rules)
            .filter_map(|rule| rule.file)
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Finds the profile that a host fits best, and says why.
    ///
    /// The weights of the signs that are seen add up; of equals the first by name is taken.
    ///
    /// # Panics
    /// Never: mailfix brings profiles.
    #[must_use]
    pub fn best_match(observed: &Observed) -> (Self, String) {
        let mut best: Option<(u32, Self)> = None;
        for profile in Self::all() {
            let weight = profile.signs(observed).map(|rule| rule.weight).sum();
            if best.as_ref().is_none_or(|(most, _)| weight > *most) {
                best = Some((weight, profile));
            }
        }
        let (_, profile) = best.expect("mailfix brings profiles");
        // A sign that holds everywhere explains only where there is no other.
        let signs: Vec<&Rule> = profile.signs(observed).collect();
        let telling = signs.iter().any(|rule| !rule.holds_always());
        let reasons: Vec<&str> = signs
            .iter()
            .filter(|rule| !telling || !rule.holds_always())
            .map(|rule| rule.reason.as_str())
            .collect();
        let reason = reasons.join(", and ");
        (profile, reason)
    }

    fn signs<'a>(&'a self, observed: &Observed) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(|rule| rule.holds(observed))
    }
}

impl Rule {
    /// Tells whether everything the rule names is seen; a rule that names nothing always holds.
    fn holds(&self, observed: &Observed) -> bool {
        fn agrees<T: PartialEq>(named: Option<&T>, seen: Option<&T>) -> bool {
            named.is_none() || named == seen
        }
        agrees(self.kernel.as_ref(), Some(&observed.kernel))
            && agrees(self.config.as_ref(), observed.config_dir.as_ref())
            && agrees(self.chrooted.as_ref(), observed.smtp_chrooted.as_ref())
            && self
                .file
                .as_ref()
                .is_none_or(|file| observed.files_present.contains(file))
    }

    fn holds_always(&self) -> bool {
        self.kernel.is_none()
            && self.config.is_none()
            && self.chrooted.is_none()
            && self.file.is_none()
    }
}

impl Commands {
    /// Puts the configuration directory into the words of a command.
    #[must_use]
    pub fn fill(words: &[String], config: &Utf8Path) -> Vec<String> {
        words
            .iter()
            .map(|word| word.replace("{config}", config.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_profile_is_read_and_whole() {
        for profile in Profile::all() {
            let name = &profile.name;
            for path in [
                &profile.paths.config,
                &profile.paths.queue,
                &profile.paths.data,
                &profile.paths.state,
                &profile.paths.site,
            ] {
                assert!(path.is_absolute(), "{name}: {path}");
            }
            assert!(!profile.rules.is_empty(), "{name}");
            let main_cf = profile.stock.main_cf;
            for (parameter, value) in [
                ("queue_directory", profile.paths.queue.as_str()),
                ("data_directory", profile.paths.data.as_str()),
                ("mail_owner", &profile.owner),
            ] {
                assert!(
                    main_cf.contains(&format!("{parameter} = {value}\n")),
                    "{name}: {parameter}"
                );
            }
            let level = format!(
                "compatibility_level = {}\n",
                profile.stock.compatibility_level
            );
            assert_eq!(
                main_cf.contains(&level),
                profile.stock.version.starts_with('3'),
                "{name}"
            );
            let letter = if profile.chroot { "y" } else { "n" };
            let smtp = profile
                .stock
                .master_cf
                .lines()
                .find(|line| line.starts_with("smtp ") && line.contains(" unix "))
                .unwrap();
            assert_eq!(smtp.split_whitespace().nth(4), Some(letter), "{name}");
            for line in profile.stock.master_cf.lines() {
                if !line.starts_with(['#', ' ']) {
                    assert!(
                        ["y", "n"].contains(&line.split_whitespace().nth(4).unwrap()),
                        "{name}: {line}"
                    );
                }
            }
        }
        assert_eq!(
            Profile::names().collect::<Vec<_>>(),
            [
                "freebsd",
                "linux",
                "linux-chroot",
                "osx-server",
                "osx-server-chroot"
            ]
        );
    }

    #[track_caller]
    fn check(observed: &Observed, name: &str, reason: &str) {
        let (profile, why) = Profile::best_match(observed);
        assert_eq!((profile.name.as_str(), why.as_str()), (name, reason));
    }

    #[test]
    fn hosts_are_recognised() {
        let seen = |kernel: &str, config: &str, chrooted| Observed {
            kernel: kernel.to_owned(),
            config_dir: (!config.is_empty()).then(|| config.into()),
            smtp_chrooted: chrooted,
            files_present: Vec::new(),
        };
        check(
            &seen("Linux", "/etc/postfix", Some(true)),
            "linux-chroot",
            "the kernel is Linux, and `smtp` runs in a chroot",
        );
        check(
            &seen("Linux", "/etc/postfix", Some(false)),
            "linux",
            "the kernel is Linux, and `smtp` runs outside a chroot",
        );
        check(&seen("Linux", "", None), "linux", "the kernel is Linux");
        check(
            &seen("Darwin", "/Library/Server/Mail/Config/postfix", Some(false)),
            "osx-server",
            "the kernel is Darwin, and Postfix is configured in \
             `/Library/Server/Mail/Config/postfix`, and `smtp` runs outside a chroot",
        );
        check(
            &seen("Darwin", "/Library/Server/Mail/Config/postfix", Some(true)),
            "osx-server-chroot",
            "the kernel is Darwin, and Postfix is configured in \
             `/Library/Server/Mail/Config/postfix`, and `smtp` runs in a chroot",
        );
        check(
            &seen("FreeBSD", "/usr/local/etc/postfix", Some(false)),
            "freebsd",
            "the kernel is FreeBSD, and Postfix is configured in `/usr/local/etc/postfix`",
        );
        check(
            &seen("Plan9", "", None),
            "linux",
            "it is the most common kind of host",
        );
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        let path = Utf8Path::new("mine.toml");
        let text = PROFILES
            .iter()
            .find(|(name, _)| *name == "linux")
            .unwrap()
            .1
            .replace("chroot = \"n\"", "chroot = \"-\"");
        let error = Profile::parse(text, path).unwrap_err();
        assert_eq!(error.to_string(), "`mine.toml`, line 5: unknown value `-`");
        assert_eq!(
            error.findings[0].why.as_deref(),
            Some("allowed here: `y`, `n`")
        );
    }

    #[test]
    fn unknown_names_come_with_the_near_miss() {
        assert_eq!(Profile::built_in("linx"), None);
        let finding = Profile::unknown("linx");
        assert_eq!(finding.title, "unknown profile `linx`");
        assert_eq!(finding.fix.as_deref(), Some("did you mean `linux`?"));
        assert_eq!(
            finding.why.as_deref(),
            Some(
                "allowed here: `freebsd`, `linux`, `linux-chroot`, `osx-server`, \
                 `osx-server-chroot`, or the path of a profile's file"
            )
        );
    }

    #[test]
    fn commands_are_filled_in() {
        let profile = Profile::built_in("osx-server").unwrap();
        assert_eq!(
            Commands::fill(&profile.commands.reload, &profile.paths.config).join(" "),
            "postfix -c /Library/Server/Mail/Config/postfix reload"
        );
    }
}
