//! Planning for a machine that was collected: `mailfix plan --from FILE`.
//!
//! Nothing of this machine counts but its DNS, and nothing of it is changed but the directory of
//! what is carried back.

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::apply::{Asking, Consent, declined};
use crate::cli::failure::COLLECT_AGAIN;
use crate::cli::plan::{PENDING, refused};
use crate::cli::prepare::{OUT, SITE};
use crate::cli::{Failure, FailureKind, Session, carry, dns, json, out, show};
use crate::draft::{Draft, Wish};
use crate::host::Origin;
use crate::site::Site;
use crate::system::{LARGEST_ARCHIVE, PackedError, PackedSystem, System};
use crate::wizard::quoted;

/// A plan for a machine elsewhere.
pub struct Elsewhere<'a> {
    /// What was collected there.
    pub archive: &'a Utf8Path,
    /// Where to write what is carried there, if it was said.
    pub out: Option<&'a Utf8Path>,
    /// Whether the plan is printed as JSON.
    pub json: bool,
    /// Whether pending changes have a status of their own.
    pub detailed: bool,
}

const WRITE: Asking<'_> = Asking {
    prompt: "Write these files?",
    yes: "write the files listed",
    explanation: &[
        "nothing but these files is written, and nothing on the server is touched before `apply.sh` is run there",
        "`apply.sh` compares every file with what was collected and stops if one differs; it keeps copies, lays every file out beside its place, renames it into it, checks and reloads",
        "if any of it fails, it brings everything back at once; `undo.sh` brings it back later, byte for byte",
    ],
};

impl Elsewhere<'_> {
    /// Plans, shows the plan, and writes what is carried back.
    pub fn plan(&self, session: &mut Session) -> Result<u8, Failure> {
        let packed = session.open(self.archive)?;
        let Some((site, _)) = session.site_elsewhere()? else {
            return Err(
                Failure::new(FailureKind::Site, "there is no site file for that server").hint(
                    format!("`--site FILE` names it; `mailfix init --out {OUT}` asks what it needs to know and writes one"),
                ),
            );
        };
        packed.kernel().clone_into(&mut session.kernel);
        session.system = Box::new(packed.clone());
        let mut profile = session.choose_profile(site.profile.as_deref())?.profile;
        let known: Vec<&Utf8Path> = packed.configurations().collect();
        if let ([only], false) = (
            known.as_slice(),
            known.contains(&profile.paths.config.as_path()),
        ) {
            session.note_config(&profile, only);
            (*only).clone_into(&mut profile.paths.config);
        }
        let providers = site.receivers();
        let draft = session.draft(&Wish::new(&site, &profile, &providers))?;
        if draft.host.facts.origin != Origin::Collected {
            return Err(Failure::failed(format!(
                "`{}` holds no configuration of Postfix",
                self.archive
            ))
            .hint(COLLECT_AGAIN));
        }
        if self.json {
            session.ui.data(&json::text(&json::draft(&draft)));
        } else {
            session.ui.say(&format!(
                "note: planning for {}, as it was collected at {}",
                packed.host(),
                packed.time()
            ));
            show::draft(&mut session.ui, &draft);
            session.ui.remarks(&draft.findings);
        }
        if !draft.refusals.is_empty() {
            if self.json {
                return Ok(FailureKind::Failed.status());
            }
            return Err(refused(&draft.refusals));
        }
        if !draft.is_empty() {
            self.write(session, &site, &draft, &packed, &profile)?;
        }
        Ok(if draft.falls_short() {
            FailureKind::Failed.status()
        } else if self.detailed && !draft.is_empty() {
            PENDING
        } else {
            0
        })
    }

    fn write(
        &self,
        session: &mut Session,
        site: &Site,
        draft: &Draft,
        packed: &PackedSystem,
        profile: &crate::profile::Profile,
    ) -> Result<(), Failure> {
        let can_ask = session.is_terminal && !session.common.no_input && !self.json;
        if self.out.is_none() && !session.common.yes && !can_ask {
            if !self.json {
                session
                    .ui
                    .say("nothing was written; `--out DIR --yes` writes what to carry there");
            }
            return Ok(());
        }
        let directory = self.out.map_or_else(|| OUT.into(), Utf8Path::to_owned);
        let id = session.now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut files = carry::files(draft, profile, packed, &id)?;
        files.extend(dns::files(session, site)?);
        if !self.json {
            session.ui.data("\n");
            session.ui.heading("Files that will be written");
            for file in &files {
                session.ui.point("-", directory.join(&file.name).as_str());
            }
        }
        session.refuse_foreign(&directory, &files)?;
        if session.consent(&WRITE)? == Consent::No {
            return Err(declined());
        }
        session.write_out(&directory, &files)?;
        session.ui.say(&format!(
            "done; copy `{directory}` to the server and run `sh {}` there as root ({} says more)",
            carry::APPLY,
            quoted(out::INSTALL)
        ));
        Ok(())
    }
}

impl Session {
    /// Reads an archive.
    fn open(&self, path: &Utf8Path) -> Result<PackedSystem, Failure> {
        let Some(stat) = self.outside.stat(path)? else {
            return Err(
                Failure::usage(format!("the archive `{path}` does not exist"))
                    .hint("`mailfix collect` prints the script that makes one"),
            );
        };
        if stat.size > LARGEST_ARCHIVE {
            return Err(Failure::failed(format!(
                "`{path}` is too large to have been packed by `mailfix collect`"
            )));
        }
        let file = self.outside.read(path)?.unwrap_or_default();
        PackedSystem::read(&file.bytes).map_err(|error| {
            let failure = Failure::failed(format!("cannot plan from `{path}`: {error}"));
            match error {
                PackedError::Newer { .. } => failure,
                _ => failure.hint(COLLECT_AGAIN),
            }
        })
    }

    /// Reads the site file of a server elsewhere: `--site`, or what `mailfix init` wrote here.
    pub fn site_elsewhere(&self) -> Result<Option<(Site, Utf8PathBuf)>, Failure> {
        let named = self.common.site.is_some();
        let path = match &self.common.site {
            Some(path) => path.clone(),
            None => Utf8Path::new(OUT).join(SITE),
        };
        match self.outside.read(&path)? {
            Some(file) => {
                let site = Site::parse_with(&file.bytes, &path, self.common.allow_non_global)?;
                Ok(Some((site, path)))
            }
            None if named => Err(Failure::new(
                FailureKind::Site,
                format!("there is no site file `{path}`"),
            )),
            None => Ok(None),
        }
    }
}
