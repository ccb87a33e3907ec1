//! `mailfix dkim new`: a key that mail is signed with.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::apply::Options;
use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::{Failure, Session, dns, show};
use crate::data_file;
use crate::mail::dkim::{Algorithm, PrivateKey, PrivateKeyError};
use crate::plan::{FileChange, Nature, NewDirectory, Plan, Step};
use crate::site::Site;
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
    /// Make a second key, of Ed25519, which some receivers check beside that of RSA
    #[arg(long)]
    ed25519: bool,
    /// Who signs with it, for `mailfix plan` to set up: `opendkim`, `rspamd`, or `other`
    #[arg(long, value_name = "NAME", conflicts_with = "ed25519")]
    signer: Option<String>,
}

/// What the name of a second key's selector ends in.
const SECOND: &str = "-ed25519";

const MAKE: Asking<'_> = Asking {
    prompt: "Make it?",
    yes: "write the key and name it in the site file",
    explanation: &[
        "the private key is made here and never shown; its file can be read by its owner only",
        "the receipt has the key's digest, not the key; `mailfix undo` removes the key, and its own receipt keeps it (mode 0600)",
        "nothing signs with it yet: publish the record first; `signer` below `[dkim]` in the site file has `mailfix apply` set a signer up",
    ],
};

impl New {
    /// Runs the command.
    pub fn run(self, session: &mut Session) -> Result<u8, Failure> {
        let (site, chosen, site_path) = session.site_with_path()?;
        let declared = self.declared(&site)?;
        let signer = match &self.signer {
            Some(word) => {
                let judged = Id::DkimSigner.judge(word, false);
                Some(judged.map_err(|why| Failure::usage(format!("`--signer`: {why}")))?)
            }
            None => None,
        };
        let selector = self.selector.clone().unwrap_or_else(|| {
            declared
                .as_ref()
                .map_or_else(|| self.own_selector(&site), |one| one.0.clone())
        });
        let key = self
            .key
            .as_ref()
            .map(|path| session.inside(path))
            .or(declared.map(|(_, file)| file))
            .unwrap_or_else(|| {
                let beside = site_path.parent().unwrap_or(Utf8Path::new("/"));
                beside.join("dkim").join(format!("{selector}.private"))
            });
        if session.system.stat(&key)?.is_some() {
            let hint = if site.dkim.is_some() && !self.ed25519 {
                format!(
                    "`{}` changes over to another one without a gap",
                    session.common.alike("dkim rotate")
                )
            } else {
                "`--selector NAME --key FILE` makes another one, which the site file names from then on".to_owned()
            };
            return Err(Failure::failed(format!(
                "`{key}` exists, and a key that signs mail is not overwritten"
            ))
            .hint(hint));
        }
        let private = PrivateKey::generate(self.algorithm())?;
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
        steps.extend(self.named(
            session,
            &site,
            &site_path,
            (&selector, &key),
            signer.as_deref(),
        )?);
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
        let signs = signer.is_some() || site.dkim.is_some_and(|dkim| dkim.signer.is_some());
        session.ui.say(&if signs {
            format!(
                "once it is published, `{}` has it signed with",
                session.common.alike("apply")
            )
        } else {
            format!(
                "nothing signs with it yet: `signer = \"opendkim\"` below `[dkim]` in {site_path} has `{}` set OpenDKIM up",
                session.common.alike("apply")
            )
        });
        Ok(0)
    }

    /// The step that names the key in the site file, if there is one and it does not yet.
    fn named(
        &self,
        session: &Session,
        site: &Site,
        site_path: &Utf8Path,
        (selector, key): (&str, &Utf8Path),
        signer: Option<&str>,
    ) -> Result<Option<Step>, Failure> {
        let Some(before) = session.system.read(site_path)? else {
            return Ok(None);
        };
        let mut answers = Answers::of_site(site);
        let (selector_of, key_of) = match self.algorithm() {
            Algorithm::Rsa => (Id::DkimSelector, Id::DkimKey),
            Algorithm::Ed25519 => (Id::Ed25519Selector, Id::Ed25519Key),
        };
        answers.insert(selector_of, selector);
        answers.insert(key_of, key.as_str());
        if let Some(signer) = signer {
            answers.insert(Id::DkimSigner, signer);
        }
        let old = data_file::text(&before.bytes, site_path)?;
        let text = site_file(&answers, Some(old), site_path, site.allow_non_global)?;
        if text.as_bytes() == before.bytes {
            return Ok(None);
        }
        let after = File {
            bytes: text.into(),
            ..before.clone()
        };
        Ok(Some(Step {
            title: format!("the site file `{site_path}` names it"),
            files: vec![FileChange {
                path: site_path.to_owned(),
                before: Some(before),
                after: Some(after),
                nature: Nature::Text,
            }],
            ..Step::default()
        }))
    }

    fn algorithm(&self) -> Algorithm {
        if self.ed25519 {
            Algorithm::Ed25519
        } else {
            Algorithm::Rsa
        }
    }

    /// Selector and file of such a key, as the site file has them.
    fn declared(&self, site: &Site) -> Result<Option<(String, Utf8PathBuf)>, Failure> {
        let Some(dkim) = &site.dkim else {
            return if self.ed25519 {
                Err(Failure::failed("a key of Ed25519 signs beside one of RSA, and there is none")
                    .hint("not every receiver checks it: make that of RSA first, without `--ed25519`"))
            } else {
                Ok(None)
            };
        };
        let first = (dkim.selector.clone(), dkim.key.clone());
        let second = dkim.ed25519.as_ref();
        Ok(if self.ed25519 {
            second.map(|second| (second.selector.clone(), second.key.clone()))
        } else {
            Some(first)
        })
    }

    /// A selector where the site file has none.
    fn own_selector(&self, site: &Site) -> String {
        let first = site.dkim.as_ref().map(|dkim| dkim.selector.as_str());
        match first.filter(|_| self.ed25519) {
            Some(first) => format!("{first}{SECOND}"),
            None => SELECTOR.to_owned(),
        }
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
