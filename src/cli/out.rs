//! Files for a server elsewhere: fragments, tables, DNS records and what to do with them.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::cli::{Failure, FailureKind, Session};
use crate::draft::Draft;
use crate::host::Origin;
use crate::postfix::{MainCf, MasterCf};
use crate::profile::Profile;
use crate::system::{File, System};
use crate::target::{Ensure, Setting};
use crate::template::{self, TemplateError};

/// One file of the directory.
pub struct OutFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

#[derive(Serialize)]
struct Variables {
    profile: String,
    stock: bool,
    nothing: bool,
    config: Utf8PathBuf,
    kind: String,
    service: bool,
    chroot: String,
    tables: Vec<Table>,
    check: String,
    reload: String,
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
    let mut files = Vec::new();
    let mut services = String::new();
    let mut chroot = String::from("n");
    for service in &draft.target.services {
        match &service.ensure {
            Ensure::Whole(text) => {
                let document = MasterCf::parse(text.as_bytes());
                if let Some(service) = document.services().next() {
                    service
                        .field(crate::postfix::Field::Chroot)
                        .clone_into(&mut chroot);
                }
                services.push_str(text);
            }
            Ensure::Words {
                chroot: letter,
                options,
            } => {
                if let Some(letter) = letter {
                    chroot = letter.to_string();
                    services.push_str(&format!(
                        "# `{}`: make the chroot column `{letter}`\n",
                        service.name
                    ));
                }
                for (name, value) in options {
                    services.push_str(&format!("# `{}`: add `-o {name}={value}`\n", service.name));
                }
            }
        }
    }
    if !services.is_empty() {
        files.push(OutFile {
            name: "master.cf.fragment".to_owned(),
            text: services.clone(),
        });
    }
    let main = draft
        .host
        .files
        .get(&draft.host.facts.config.join("main.cf"));
    let main = MainCf::parse(main.map(|file| file.bytes.as_slice()).unwrap_or_default());
    let mut settings = String::new();
    for setting in &draft.target.settings {
        match setting {
            Setting::Is { name, value } => settings.push_str(&format!("{name} = {value}\n")),
            Setting::Has { name, item } => match main.get(name).filter(|value| !value.is_empty()) {
                Some(value) => settings.push_str(&format!("{name} = {value}, {item}\n")),
                None => settings.push_str(&format!("{name} = {item}\n")),
            },
            Setting::Unset { name } => settings.push_str(&format!("# remove `{name}`\n")),
        }
    }
    if !settings.is_empty() {
        files.push(OutFile {
            name: "main.cf.fragment".to_owned(),
            text: settings,
        });
    }
    for table in &draft.target.tables {
        files.push(OutFile {
            name: table.file.clone(),
            text: table.text.clone(),
        });
    }
    let tables: Vec<Table> = draft
        .target
        .tables
        .iter()
        .map(|table| Table {
            file: table.file.clone(),
            kind: table.kind.clone(),
            indexed: table.index_suffix().is_some(),
            sample: table
                .samples
                .first()
                .map(|(key, _)| key.clone())
                .filter(|key| !key.contains(' ')),
        })
        .collect();
    let config = draft.host.facts.config.clone();
    let words = |words: &[String]| words.join(" ").replace("{config}", config.as_str());
    let variables = Variables {
        profile: profile.name.clone(),
        stock: draft.host.facts.origin == Origin::Stock,
        nothing: draft.target.is_empty(),
        kind: tables
            .iter()
            .find(|table| table.indexed)
            .map_or("hash", |table| table.kind.as_str())
            .to_owned(),
        service: !services.is_empty(),
        chroot,
        tables,
        check: words(&profile.commands.check),
        reload: words(&profile.commands.reload),
        config,
    };
    files.push(OutFile {
        name: "INSTALL.txt".to_owned(),
        text: template::render("INSTALL.txt", &variables)?,
    });
    Ok(files)
}

impl Session {
    /// Writes files below a directory, which is made; says which. What is there already and
    /// the same is left alone.
    pub fn write_out(&mut self, directory: &Utf8Path, files: &[OutFile]) -> Result<(), Failure> {
        let (uid, gid) = self.user;
        if self.outside.stat(directory)?.is_none() {
            self.outside.make_directory(directory, 0o755, uid, gid)?;
        }
        for file in files {
            let path = directory.join(&file.name);
            let old = self.outside.read(&path)?;
            if old
                .as_ref()
                .is_some_and(|old| old.bytes == file.text.as_bytes())
            {
                continue;
            }
            let new = match old {
                Some(old) => File {
                    bytes: file.text.clone().into_bytes(),
                    ..old
                },
                None => File::new(file.text.clone(), 0o644, uid, gid),
            };
            self.outside.write(&path, &new)?;
            self.ui.say(&format!("wrote {path}"));
        }
        Ok(())
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::new(FailureKind::Bug, error.to_string())
    }
}
