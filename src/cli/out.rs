//! Files for a server elsewhere: fragments, tables, DNS records and what to do with them.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::cli::{Failure, FailureKind, Session};
use crate::draft::Draft;
use crate::host::Origin;
use crate::postfix::{Field, MainCf, MasterCf, Need, ServiceType};
use crate::profile::{Commands, Profile};
use crate::system::{File, System};
use crate::target::{Ensure, Setting};
use crate::template::{self, TemplateError};

/// One file of the directory.
pub struct OutFile {
    /// Its name, or its path below the directory.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

impl OutFile {
    /// Makes a text that everybody may read.
    pub fn text(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: text.into().into_bytes(),
            mode: 0o644,
        }
    }
}

#[derive(Serialize)]
struct Variables {
    profile: String,
    stock: bool,
    nothing: bool,
    site: Utf8PathBuf,
    config: Utf8PathBuf,
    kind: String,
    service: bool,
    chroot: String,
    jail: Vec<Copy>,
    tables: Vec<Table>,
    check: String,
    reload: String,
}

/// What a client that is locked in looks for.
#[derive(Serialize)]
struct Copy {
    from: Utf8PathBuf,
    directory: Utf8PathBuf,
    to: Utf8PathBuf,
}

#[derive(Serialize)]
struct Table {
    file: String,
    kind: String,
    indexed: bool,
    sample: Option<String>,
}

/// Makes the files of a draft.
///
/// # Errors
/// When a template of ours is broken.
pub fn files(draft: &Draft, profile: &Profile) -> Result<Vec<OutFile>, TemplateError> {
    let mut files = vec![
        OutFile::text("master.cf.fragment", service_fragment(draft)),
        OutFile::text("main.cf.fragment", setting_fragment(draft)),
    ];
    files.extend(
        draft
            .target
            .tables
            .iter()
            .map(|table| OutFile::text(&table.file, table.text.as_str())),
    );
    files.retain(|file| !file.bytes.is_empty());
    files.push(OutFile::text(INSTALL, install_text(draft, profile)?));
    Ok(files)
}

fn service_fragment(draft: &Draft) -> String {
    let mut text = String::new();
    for service in &draft.target.services {
        match &service.ensure {
            Ensure::Whole(whole) => text.push_str(whole),
            Ensure::Absent => {
                let _ = writeln!(text, "# remove the service `{}`", service.name);
            }
            Ensure::Words { chroot, options } => {
                if let Some(letter) = chroot {
                    let name = &service.name;
                    let _ = writeln!(text, "# `{name}`: make the chroot column `{letter}`");
                }
                for (name, value) in options {
                    let _ = writeln!(text, "# `{}`: add `-o {name}={value}`", service.name);
                }
            }
        }
    }
    text
}

fn setting_fragment(draft: &Draft) -> String {
    let path = draft.host.facts.config.join("main.cf");
    let file = draft.host.files.get(&path);
    let main = MainCf::parse(file.map(|file| file.bytes.as_slice()).unwrap_or_default());
    let mut text = String::new();
    for setting in &draft.target.settings {
        let _ = match setting {
            Setting::Is { name, value } => writeln!(text, "{name} = {value}"),
            Setting::Has { name, item } => match main.get(name).filter(|value| !value.is_empty()) {
                Some(value) => writeln!(text, "{name} = {value}, {item}"),
                None => writeln!(text, "{name} = {item}"),
            },
            Setting::Lacks { name, item } => {
                writeln!(text, "# take `{item}` out of `{name}`")
            }
            Setting::Unset { name } => writeln!(text, "# remove `{name}`"),
        };
    }
    text
}

fn install_text(draft: &Draft, profile: &Profile) -> Result<String, TemplateError> {
    let target = &draft.target;
    let services = service_fragment(draft);
    let chroot = MasterCf::parse(services.as_bytes())
        .services()
        .next()
        .map_or("n", |service| service.field(Field::Chroot))
        .to_owned();
    let facts = &draft.host.facts;
    let smtp = facts.service("smtp", &ServiceType::Unix);
    let jail = smtp
        .filter(|_| chroot == "y")
        .into_iter()
        .flat_map(|smtp| facts.needs(smtp))
        .filter(|(need, _)| matches!(need, Need::Resolver | Need::Ports))
        .map(|(need, _)| {
            let to = facts.jail.path(&need);
            Copy {
                from: Utf8Path::new("/").join(need.path()),
                directory: to.parent().unwrap_or(&to).to_owned(),
                to,
            }
        })
        .collect();
    let tables: Vec<Table> = target
        .tables
        .iter()
        .map(|table| Table {
            file: table.file.clone(),
            kind: table.kind.clone(),
            indexed: table.is_indexed(),
            sample: table
                .samples
                .first()
                .map(|(key, _)| key.clone())
                .filter(|key| !key.contains(' ')),
        })
        .collect();
    let config = draft.host.facts.config.clone();
    let words = |words: &[String]| Commands::fill(words, &config).join(" ");
    let indexed = tables.iter().find(|table| table.indexed);
    let variables = Variables {
        profile: profile.name.clone(),
        stock: draft.host.facts.origin == Origin::Stock,
        nothing: target.is_empty(),
        kind: indexed
            .map_or("hash", |table| table.kind.as_str())
            .to_owned(),
        service: !services.is_empty(),
        chroot,
        jail,
        check: words(&profile.commands.check),
        reload: words(&profile.commands.reload),
        tables,
        site: profile.paths.site.clone(),
        config,
    };
    template::render(INSTALL, &variables)
}

/// The one file that every directory of ours has.
pub const INSTALL: &str = "INSTALL.txt";

impl Session {
    /// Refuses to overwrite what somebody else put into a directory that is none of ours.
    pub fn refuse_foreign(&self, directory: &Utf8Path, files: &[OutFile]) -> Result<(), Failure> {
        if self.outside.stat(&directory.join(INSTALL))?.is_some() {
            return Ok(());
        }
        for file in files {
            let path = directory.join(&file.name);
            let old = self.outside.read(&path)?;
            if old.is_some_and(|old| old.bytes != file.bytes) {
                return Err(Failure::failed(format!(
                    "`{path}` is there already, and mailfix did not write it"
                ))
                .hint("`--out DIR` with a new directory keeps it"));
            }
        }
        Ok(())
    }

    /// Writes files below a directory, which is made; says which. What is there already and
    /// the same is left alone.
    pub fn write_out(&mut self, directory: &Utf8Path, files: &[OutFile]) -> Result<(), Failure> {
        let (uid, gid) = self.user;
        for file in files {
            let path = directory.join(&file.name);
            for folder in self.folders(directory, &path)? {
                self.outside.make_directory(&folder, 0o755, uid, gid)?;
            }
            let old = self.outside.read(&path)?;
            if old.as_ref().is_some_and(|old| old.bytes == file.bytes) {
                continue;
            }
            let new = match old {
                Some(old) => File {
                    bytes: file.bytes.clone(),
                    ..old
                },
                None => File::new(file.bytes.clone(), file.mode, uid, gid),
            };
            self.outside.write(&path, &new)?;
            self.ui.say(&format!("wrote {path}"));
        }
        Ok(())
    }

    /// The folders above a file that are not there yet, from the directory down.
    fn folders(&self, directory: &Utf8Path, file: &Utf8Path) -> Result<Vec<Utf8PathBuf>, Failure> {
        let mut folders = Vec::new();
        for above in file.ancestors().skip(1) {
            if !above.starts_with(directory) || self.outside.stat(above)?.is_some() {
                break;
            }
            folders.insert(0, above.to_owned());
        }
        Ok(folders)
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(FailureKind::Bug, error.to_string())
    }
}
