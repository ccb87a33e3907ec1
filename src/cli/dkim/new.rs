//! `mailfix dkim new`: a key that mail is signed with.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::apply::Options;
use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, Session, dns, show};
use crate::data_file;
use crate::mail::dkim::{Algorithm, PrivateKey, PrivateKeyError};
use crate::plan::{FileChange, Nature, NewDirectory, Plan, Step};
use crate::system::File;
use crate::wizard::{Answers, Id, site_file};

/// Permission bits of a directory that only leads to others.
const PARENT_MODE: u32 = 0o755;

/// The selector of a first key.
const SELECTOR: &str = "mail";

/// Make an RSA-2048 key pair and print the record to publish; the key is never shown
#[derive(Debug, Args)]
pub struct New {
    /// The selector the record is published under [default: the site file's, else `mail`]
    #[arg(long, value_name = "NAME")]
    selector: Option<String>,
    /// The file of the private key [default: the site file's, else below `dkim/` beside it]
    #[arg(long, value_name = "FILE")]
    key: Option<Utf8PathBuf>,
}

const MAKE: Asking<'_> = Asking {
    prompt: "Make it?",
    yes: "write the key and name it in the site file",
    explanation: &[
        "the private key is made here and never shown; its file can be read by its owner only",
        "the receipt has the key's digest, not the key; `mailfix undo` removes it",
        "nothing signs with it yet: publish the record first",
    ],
};

impl New {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let Self { selector, key } = self;
        let (site, chosen, site_path) = session.site_with_path()?;
        let selector = selector
            .or_else(|| site.dkim.as_ref().map(|dkim| dkim.selector.clone()))
            .unwrap_or_else(|| SELECTOR.to_owned());
        let key = key
            .map(|path| session.inside(&path))
            .or_else(|| site.dkim.as_ref().map(|dkim| dkim.key.clone()))
            .unwrap_or_else(|| {
                let beside = site_path.parent().unwrap_or(Utf8Path::new("/"));
                beside.join("dkim").join(format!("{selector}.private"))
            });
        if session.system.stat(&key)?.is_some() {
            return Err(Failure::failed(format!(
                "`{key}` exists, and a key that signs mail is not overwritten"
            ))
            .hint(
                "`--selector NAME --key FILE` makes a second one, to change over without a gap",
            ));
        }
        let private = PrivateKey::generate(Algorithm::Rsa)?;
        let pem = private.to_pem()?;
        let (uid, gid) = session.user;
        let mut steps = vec![Step {
            title: format!("the private key `{key}`, which only its owner can read"),
            directories: session.missing_directories(&key, 0o700)?,
            files: vec![FileChange {
                path: key.clone(),
                before: None,
                after: Some(File::new(pem.as_bytes(), 0o600, uid, gid)),
                nature: Nature::Secret,
            }],
            ..Step::default()
        }];
        let before = session.system.read(&site_path)?;
        if let Some(before) = before {
            let mut answers = Answers::of_site(&site);
            answers.insert(Id::DkimSelector, selector.clone());
            answers.insert(Id::DkimKey, key.as_str());
            let old = data_file::text(&before.bytes, &site_path)?;
            let text = site_file(&answers, Some(old), &site_path, site.allow_non_global)?;
            if text.as_bytes() != before.bytes {
                let after = File {
                    bytes: text.into(),
                    ..before.clone()
                };
                steps.push(Step {
                    title: format!("the site file `{site_path}` names it"),
                    files: vec![FileChange {
                        path: site_path.clone(),
                        before: Some(before),
                        after: Some(after),
                        nature: Nature::Text,
                    }],
                    ..Step::default()
                });
            }
        }
        let plan = Plan { steps };
        show::plan(&mut session.ui, &plan);
        if session.consent(&MAKE)? == Consent::No {
            return Err(declined());
        }
        let options = Options {
            state: session.state_beside(&site_path, &chosen.profile),
            config: chosen.profile.paths.config.clone(),
            running: false,
            undoes: None,
        };
        let applied = session.apply(&plan, &options, &mut |_| Vec::new())?;
        session.report_applied(&applied);
        session.ui.data("\n");
        session.ui.heading("Publish this record");
        for needed in dns::key_records(&site, &selector, &private.record()?)? {
            session.ui.data(&crate::dns::zone::write(&[needed]));
        }
        session.ui.say(&format!(
            "`{}` prints it with all the others, also for web panels",
            session.common.alike("dns show")
        ));
        Ok(0)
    }
}

impl Session {
    /// The directories that have to be made for a file, parents first; `mode` is that of the last.
    pub fn missing_directories(
        &self,
        path: &Utf8Path,
        mode: u32,
    ) -> Result<Vec<NewDirectory>, Failure> {
        let (uid, gid) = self.user;
        let mut directories = Vec::new();
        let mut missing = path.parent();
        while let Some(directory) = missing {
            if directory.as_str().is_empty() || self.system.stat(directory)?.is_some() {
                break;
            }
            let mode = if directories.is_empty() {
                mode
            } else {
                PARENT_MODE
            };
            directories.insert(
                0,
                NewDirectory {
                    path: directory.to_owned(),
                    mode,
                    uid,
                    gid,
                },
            );
            missing = directory.parent();
        }
        Ok(directories)
    }
}

impl From<PrivateKeyError> for Failure {
    fn from(error: PrivateKeyError) -> Self {
        Self::failed(error.to_string())
    }
}
