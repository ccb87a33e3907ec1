//! What is to be checked: asked of the host, the log and the site file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::{Failure, FailureKind, Session};
use crate::dns::Name;
use crate::dns_check::senders::{KnownBy, Logged};
use crate::dns_check::{self, Sender, Source, Subject, keys, sources};
use crate::host::{self, Facts, HostError};
use crate::maillog::{MailLog, MailLogError};
use crate::profile::Profile;
use crate::site::Site;

/// How much of the end of each log file is read.
const READ: u64 = 16 * 1024 * 1024;

/// What a rotated log is called.
const ROTATED: [&str; 2] = [".1", ".0"];

/// Finds out what there is to check; `asked` are domains to check instead of those found, and
/// `addresses` those mail leaves from, instead of this host's.
pub fn gather(
    session: &mut Session,
    asked: Vec<Name>,
    addresses: &[IpAddr],
) -> Result<(Option<Site>, Subject), Failure> {
    // A site file is no condition: host and log alone say a lot.
    let (site, profile) = match session.site() {
        Ok((site, chosen)) => (Some(site), chosen.profile),
        Err(failure) if failure.kind == FailureKind::Site && failure.findings.is_empty() => {
            (None, session.choose_profile(None)?.profile)
        }
        Err(failure) => return Err(failure),
    };
    if !addresses.is_empty() && !asked.is_empty() {
        // Nothing of the host is in question.
        let subject = Subject {
            sources: addresses.iter().copied().map(Source::asked).collect(),
            senders: senders(asked, site.as_ref()),
            keys: keys::gather(session.system.as_ref(), &[], site.as_ref()),
            ..Subject::default()
        };
        return Ok((site, subject));
    }
    let mut instances = instances(session, &profile, site.is_some() || !asked.is_empty())?;
    let logged = Logged::read(&log(session, &instances, &profile)?);
    let own = own_domains(session, &mut instances, &logged)?;
    let origins = origins(session, &instances)?;
    let found = sources::gather(session.system.as_ref(), &instances, site.as_ref(), &logged)?;
    let mut subject = Subject {
        sources: found.sources,
        unknown: found.unknown,
        ..Subject::default()
    };
    if !addresses.is_empty() {
        subject.sources = addresses.iter().copied().map(Source::asked).collect();
        subject.unknown.clear();
    }
    if asked.is_empty() {
        let found = dns_check::senders::gather(site.as_ref(), &origins, &own, &logged);
        if found.left_out > 0 {
            session.ui.say(&format!(
                "note: {} more sending domains in the log, the least used, are not looked at",
                found.left_out
            ));
        }
        subject.bad_origin = found.no_origin;
        subject.senders = found.ours;
        subject.strangers = found.strangers;
    } else {
        subject.senders = senders(asked, site.as_ref());
    }
    subject.keys = keys::gather(session.system.as_ref(), &instances, site.as_ref());
    Ok((site, subject))
}

/// The domains asked about, as senders.
fn senders(asked: Vec<Name>, site: Option<&Site>) -> Vec<Sender> {
    let declared = |name: &Name| site.filter(|site| site.domains.contains(&name.host()));
    asked
        .into_iter()
        .map(|name| {
            let control = declared(&name).map(|site| site.dns.forward);
            let mut sender = Sender::new(name, KnownBy::Asked);
            sender.control = control;
            sender
        })
        .collect()
}

/// The domains typed.
pub fn names(asked: &[String]) -> Result<Vec<Name>, Failure> {
    let mut names = Vec::new();
    for text in asked {
        match text.parse::<Name>() {
            Ok(name) if !name.is_root() => names.push(name),
            Ok(_) => return Err(Failure::usage("`.` is no domain that mail is sent for")),
            Err(error) => return Err(Failure::usage(error.to_string())),
        }
    }
    Ok(names)
}

/// All of this machine's Postfix; none is needed where something else says what to check.
fn instances(
    session: &mut Session,
    profile: &Profile,
    is_optional: bool,
) -> Result<Vec<Facts>, Failure> {
    let config = session.config_directory(profile)?;
    match session.instances(&config) {
        Ok(all) => {
            session.note_config(profile, &config);
            Ok(all)
        }
        Err(HostError::NoPostfix { .. }) if is_optional => Ok(Vec::new()),
        Err(error @ HostError::NoPostfix { .. }) => Err(Failure::from(error).hint(
            "say what to check: `mailfix dns check --address IP DOMAIN`, or name a site file",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The end of the mail log; empty where it cannot be read.
fn log(session: &mut Session, instances: &[Facts], profile: &Profile) -> Result<Vec<u8>, Failure> {
    let named = instances
        .first()
        .map(|facts| facts.parameters.get("maillog_file"));
    let named = named.unwrap_or_default();
    let usual: Vec<Utf8PathBuf> = profile
        .paths
        .logs
        .iter()
        .map(|path| path.as_str())
        .chain([named.as_str()])
        .filter(|path| !path.is_empty())
        .flat_map(|path| {
            std::iter::once("")
                .chain(ROTATED)
                .map(move |end| Utf8PathBuf::from(format!("{path}{end}")))
        })
        .collect();
    let system = session.system.as_ref();
    match MailLog::mark(system, &named, &usual) {
        Ok(log) => Ok(log.before(system, READ)?),
        // A tree's log often was not brought along.
        Err(_) if session.system.root().is_some() => Ok(Vec::new()),
        Err(mut error) => {
            // That the rotations of what is not there are missing too goes without saying.
            if let MailLogError::None { looked } = &mut error {
                looked.retain(|path| !ROTATED.iter().any(|end| path.as_str().ends_with(end)));
            }
            session.ui.say(&format!(
                "note: senders and replies in the log are not known: {error}"
            ));
            Ok(Vec::new())
        }
    }
}

/// Which domains of the log are the host's own.
fn own_domains(
    session: &Session,
    instances: &mut [Facts],
    logged: &Logged,
) -> Result<BTreeSet<String>, Failure> {
    let domains: BTreeSet<String> = logged.senders.keys().cloned().collect();
    let mut own = BTreeSet::new();
    if domains.is_empty() {
        return Ok(own);
    }
    for facts in instances {
        host::observe_ways(session.system.as_ref(), facts, &domains)?;
        own.extend(facts.routes.own.keys().cloned());
    }
    Ok(own)
}

/// What is added to senders without a domain, by each instance.
fn origins(session: &Session, instances: &[Facts]) -> Result<BTreeSet<String>, Failure> {
    let mut origins = BTreeSet::new();
    for facts in instances {
        let mut origin = facts.parameters.get("myorigin");
        // postconf(5): the name of a file stands for its first line.
        if origin.starts_with('/') {
            let file = session.system.read(Utf8Path::new(&origin))?;
            let text = file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
            let text = text.unwrap_or_default();
            text.lines()
                .next()
                .unwrap_or_default()
                .trim()
                .clone_into(&mut origin);
        }
        origins.extend(sources::said(facts, &origin));
    }
    Ok(origins)
}
