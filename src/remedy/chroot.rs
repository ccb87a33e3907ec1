//! The jail of the clients that mail leaves through: which letter a service of ours gets in its
//! chroot column, and what the jail is given.
//!
//! `n` always works. `y` is taken over from the host's own client only where the jail does what
//! that client needs; where the profile says that daemons are locked in, what is missing there
//! is copied, and what cannot be copied refuses the plan. Must not know files.

use crate::finding::Finding;
use crate::host::{Facts, State};
use crate::postfix::{Need, Service, ServiceType};
use crate::profile::Profile;
use crate::target::CopyWanted;

/// How the jail stands for a client that is locked in.
enum Standing {
    /// It does what the client needs.
    Works,
    /// It cannot be seen.
    Unknown,
    /// It asks other name servers than the host.
    Stale,
    /// It lacks what can be copied.
    CanBeFilled(Vec<CopyWanted>),
    /// It lacks this.
    Lacks(Vec<String>),
}

/// What a jail that lacks something makes of a plan.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    /// What is copied into it.
    pub copies: Vec<CopyWanted>,
    /// Why it cannot be helped.
    pub refusal: Option<Finding>,
}

/// Tells what the jail is given, where the profile says that daemons are locked in there.
pub(crate) fn filling(profile: &Profile, facts: &Facts) -> Filling {
    let mut filling = Filling::default();
    let client = facts.service("smtp", &ServiceType::Unix);
    let Some(client) = client.filter(|client| profile.chroot && facts.is_chrooted(client)) else {
        return filling;
    };
    match standing(client, facts) {
        Standing::CanBeFilled(copies) => filling.copies = copies,
        Standing::Lacks(missing) => {
            filling.refusal = Some(refusal(client, &missing, profile, facts));
        }
        Standing::Works | Standing::Unknown | Standing::Stale => {}
    }
    filling
}

/// The letter for a service like the host's own client, and why.
pub(super) fn letter(smtp: Option<&Service>, profile: &Profile, facts: &Facts) -> (char, String) {
    let Some(smtp) = smtp else {
        return (
            'n',
            "the chroot column is `n`, as there is no `smtp` service to take after".to_owned(),
        );
    };
    if !facts.is_chrooted(smtp) {
        let why = if smtp.chroot.is_none() {
            format!(
                "the chroot column is `n`: the `-` of the `smtp` service means `n` with Postfix {} at compatibility level {}, and something else in other versions",
                facts.version, facts.level
            )
        } else {
            "the chroot column is `n`, as the `smtp` service does not run chrooted".to_owned()
        };
        return ('n', why);
    }
    let means = if smtp.chroot.is_none() {
        format!(", whose `-` means `y` with Postfix {}", facts.version)
    } else {
        String::new()
    };
    match standing(smtp, facts) {
        Standing::Works => (
            'y',
            format!(
                "the chroot column is `y`, as that of `smtp`{means}, and its jail has what it needs"
            ),
        ),
        Standing::CanBeFilled(copies) if profile.chroot => (
            'y',
            format!(
                "the chroot column is `y`, as that of `smtp`{means}; its jail lacks {}, and gets a copy ({})",
                paths(&copies),
                facts.jail.keeping()
            ),
        ),
        Standing::CanBeFilled(copies) => (
            'n',
            format!(
                "the chroot column is `n`: `smtp` runs chrooted{means}, and its jail lacks {}",
                paths(&copies)
            ),
        ),
        Standing::Lacks(missing) => (
            'n',
            format!(
                "the chroot column is `n`: `smtp` runs chrooted{means}, and its jail lacks {}",
                missing.join(", ")
            ),
        ),
        Standing::Stale => (
            'n',
            format!(
                "the chroot column is `n`: `smtp` runs chrooted{means}, and the name servers in its jail are none of this host's"
            ),
        ),
        Standing::Unknown => (
            'n',
            format!(
                "the chroot column is `n`: `smtp` runs chrooted{means}, and its jail cannot be seen from here"
            ),
        ),
    }
}

/// What is wrong with the jail of a service that is there already, in a phrase; `None` where
/// the service is not locked in, works, or fares no worse than the host's own client.
pub(super) fn missed(service: &Service, profile: &Profile, facts: &Facts) -> Option<String> {
    if !facts.is_chrooted(service) {
        return None;
    }
    let client = facts.service("smtp", &ServiceType::Unix);
    let is_alone = !client.is_some_and(|client| facts.is_chrooted(client));
    match standing(service, facts) {
        Standing::Lacks(missing) => Some(format!("and its jail lacks {}", missing.join(", "))),
        // The jail is filled for the host's own client, if that is locked in too.
        Standing::CanBeFilled(copies) => {
            let given = filling(profile, facts).copies;
            let is_given = copies.iter().all(|copy| given.contains(copy));
            (!is_given).then(|| format!("and its jail lacks {}", paths(&copies)))
        }
        Standing::Unknown if is_alone => {
            Some("`smtp` does not, and its jail cannot be seen from here".to_owned())
        }
        Standing::Stale if is_alone => Some(
            "`smtp` does not, and the name servers in its jail are none of this host's".to_owned(),
        ),
        Standing::Works | Standing::Unknown | Standing::Stale => None,
    }
}

fn standing(client: &Service, facts: &Facts) -> Standing {
    let (mut copies, mut missing) = (Vec::new(), Vec::new());
    let (mut unknown, mut stale) = (false, false);
    for (need, state) in facts.needs(client) {
        match state {
            State::Works => {}
            State::Unknown => unknown = true,
            State::Differs { .. } => stale = true,
            // Names that /etc/hosts alone knows are none of a provider's.
            State::Lacks { .. } if need == Need::Hosts => {}
            State::Lacks { copy, .. } => {
                missing.push(format!("`{}`", need.path()));
                copies.extend(copy.as_ref().map(|bytes| CopyWanted {
                    path: facts.jail.path(&need),
                    from: camino::Utf8Path::new("/").join(need.path()),
                    bytes: bytes.clone(),
                }));
            }
        }
    }
    if !missing.is_empty() && copies.len() == missing.len() {
        Standing::CanBeFilled(copies)
    } else if !missing.is_empty() {
        Standing::Lacks(missing)
    } else if unknown {
        Standing::Unknown
    } else if stale {
        Standing::Stale
    } else {
        Standing::Works
    }
}

fn paths(copies: &[CopyWanted]) -> String {
    let paths: Vec<String> = copies
        .iter()
        .map(|copy| format!("`{}`", copy.from.as_str().trim_start_matches('/')))
        .collect();
    paths.join(", ")
}

fn refusal(client: &Service, missing: &[String], profile: &Profile, facts: &Facts) -> Finding {
    let directory = &facts.jail.directory;
    let fix = format!(
        "put it there, or write `n` into the chroot column of `{}`; with a profile that is not chrooted, mailfix leaves it alone",
        client.name
    );
    Finding::error(
        "jail-unfit",
        format!(
            "`{}` is locked into `{directory}`, which lacks {}",
            client.name,
            missing.join(", ")
        ),
    )
    .because(format!(
        "the profile `{}` says that clients run chrooted, and no new copy mends what is wrong there: mail to all others would stay where it is",
        profile.name
    ))
    .mend(fix)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::host::{Lack, example};
    use crate::postfix::MasterCf;

    /// How the needs of a client stand.
    #[derive(Clone, Copy, Debug)]
    enum Jailed {
        Works,
        /// Files that are not there and can be copied.
        Without(&'static [Need]),
        /// The same, and no copy can be made.
        Hopeless,
        Stale,
        Unseen,
    }

    fn host(version: &str, level: &str, letter: &str, jailed: Jailed) -> Facts {
        let main = format!("compatibility_level = {level}");
        let master = format!("smtp unix - - {letter} - - smtp");
        let mut facts = example::host(version, &main, &master).facts;
        let states: Vec<(Need, State)> = match jailed {
            Jailed::Works => Vec::new(),
            Jailed::Without(needs) => needs
                .iter()
                .map(|need| {
                    let copy = Some(need.path().as_bytes().to_vec());
                    let why = Lack::Absent;
                    (need.clone(), State::Lacks { why, copy })
                })
                .collect(),
            Jailed::Hopeless => vec![(
                Need::Resolver,
                State::Lacks {
                    why: Lack::Closed,
                    copy: None,
                },
            )],
            Jailed::Stale => vec![(
                Need::Resolver,
                State::Differs {
                    jail: vec!["192.0.2.1".to_owned()],
                    host: vec!["192.0.2.53".to_owned()],
                },
            )],
            Jailed::Unseen => vec![(Need::Resolver, State::Unknown)],
        };
        for (need, state) in states {
            facts.jail.set(need, state);
        }
        facts
    }

    fn profile(chroot: bool) -> Profile {
        let name = if chroot { "linux-chroot" } else { "linux" };
        let profile = Profile::built_in(name).unwrap();
        assert_eq!(profile.chroot, chroot);
        profile
    }

    /// The letter of ours, what the jail gets and whether the plan is refused.
    fn outcome(facts: &Facts, chroot: bool) -> (char, Vec<String>, bool) {
        let profile = profile(chroot);
        let smtp = facts.service("smtp", &ServiceType::Unix);
        let filling = filling(&profile, facts);
        let copies = filling.copies.iter().map(|copy| copy.path.to_string());
        (
            letter(smtp, &profile, facts).0,
            copies.collect(),
            filling.refusal.is_some(),
        )
    }

    const RESOLVER: &[Need] = &[Need::Resolver];
    const BOTH: &[Need] = &[Need::Resolver, Need::Ports];

    #[test]
    fn ours_never_depends_on_luck() {
        const VERSIONS: [(&str, &str); 10] = [
            ("2.6.0", "0"),
            ("2.10.1", "0"),
            ("2.11.11", "0"),
            ("3.0.0", "0"),
            ("3.0.0", "2"),
            ("3.5.25", "0"),
            ("3.5.25", "2"),
            ("3.7.11", "0"),
            ("3.7.11", "3.6"),
            ("3.11.7", "3.11"),
        ];
        let jails = [
            Jailed::Works,
            Jailed::Without(RESOLVER),
            Jailed::Without(BOTH),
            Jailed::Hopeless,
            Jailed::Stale,
            Jailed::Unseen,
        ];
        for (version, level) in VERSIONS {
            for letter in ["y", "n", "-"] {
                let dash_is_y = version.starts_with('2') || level == "0";
                let is_jailed = letter == "y" || (letter == "-" && dash_is_y);
                for jailed in jails {
                    for chroot in [true, false] {
                        let facts = host(version, level, letter, jailed);
                        let (ours, copies, refused) = outcome(&facts, chroot);
                        let case = format!("{letter} on {version}, {level}, {jailed:?}, {chroot}");
                        let fillable = matches!(jailed, Jailed::Without(_));
                        let expected = match jailed {
                            Jailed::Works if is_jailed => 'y',
                            Jailed::Without(_) if is_jailed && chroot => 'y',
                            _ => 'n',
                        };
                        assert_eq!(ours, expected, "{case}");
                        let is_filled = is_jailed && chroot && fillable;
                        assert_eq!(!copies.is_empty(), is_filled, "{case}");
                        let hopeless = matches!(jailed, Jailed::Hopeless);
                        assert_eq!(refused, is_jailed && chroot && hopeless, "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_missing_is_copied_whole() {
        let facts = host("3.5.25", "2", "y", Jailed::Without(BOTH));
        let copies = filling(&profile(true), &facts).copies;
        let queue = Utf8Path::new("/var/spool/postfix/etc");
        let copy = |name: &str| CopyWanted {
            path: queue.join(name),
            from: Utf8Path::new("/etc").join(name),
            bytes: format!("etc/{name}").into_bytes(),
        };
        assert_eq!(copies, [copy("resolv.conf"), copy("services")]);
    }

    #[test]
    fn a_refusal_names_what_is_missing() {
        let facts = host("3.7.11", "3.6", "y", Jailed::Hopeless);
        let refusal = filling(&profile(true), &facts).refusal.unwrap();
        assert_eq!(refusal.code, "jail-unfit");
        assert_eq!(
            refusal.title,
            "`smtp` is locked into `/var/spool/postfix`, which lacks `etc/resolv.conf`"
        );
    }

    #[test]
    fn the_letter_is_explained() {
        let check = |version, level, letter_of_smtp, jailed, chroot, expected: &str| {
            let facts = host(version, level, letter_of_smtp, jailed);
            let smtp = facts.service("smtp", &ServiceType::Unix);
            let (_, why) = letter(smtp, &profile(chroot), &facts);
            assert!(why.contains(expected), "{why}");
        };
        check(
            "2.10.1",
            "0",
            "-",
            Jailed::Works,
            false,
            "whose `-` means `y` with Postfix 2.10.1",
        );
        check(
            "3.7.11",
            "3.6",
            "-",
            Jailed::Works,
            false,
            "means `n` with Postfix 3.7.11 at compatibility level 3.6",
        );
        check(
            "3.7.11",
            "3.6",
            "y",
            Jailed::Without(RESOLVER),
            true,
            "lacks `etc/resolv.conf`, and gets a copy (nothing that mailfix knows",
        );
        check(
            "3.7.11",
            "3.6",
            "y",
            Jailed::Without(RESOLVER),
            false,
            "its jail lacks `etc/resolv.conf`",
        );
        check(
            "3.7.11",
            "3.6",
            "y",
            Jailed::Stale,
            true,
            "none of this host's",
        );
        check("3.7.11", "3.6", "y", Jailed::Unseen, true, "cannot be seen");
    }

    #[test]
    fn a_service_that_is_there_is_mended_only_where_it_dies() {
        let check = |jailed, chroot, expected: Option<&str>| {
            let facts = host("3.7.11", "3.6", "y", jailed);
            let smtp = facts.service("smtp", &ServiceType::Unix).unwrap();
            assert_eq!(missed(smtp, &profile(chroot), &facts).as_deref(), expected);
        };
        check(Jailed::Works, false, None);
        check(Jailed::Stale, false, None);
        check(Jailed::Unseen, false, None);
        let lacks = Some("and its jail lacks `etc/resolv.conf`");
        check(Jailed::Hopeless, false, lacks);
        check(Jailed::Without(RESOLVER), false, lacks);
        check(Jailed::Without(RESOLVER), true, None);
        // By hand with `-`, next to a client that is not locked in.
        let alone = |jailed| {
            let mut facts = host("2.11.0", "0", "n", jailed);
            let line = b"v4 unix - - - - - smtp\n";
            let own = MasterCf::parse(line).services().next().unwrap().clone();
            facts.services.push(own.clone());
            missed(&own, &profile(true), &facts)
        };
        assert_eq!(alone(Jailed::Works), None);
        assert_eq!(
            alone(Jailed::Without(BOTH)).as_deref(),
            Some("and its jail lacks `etc/resolv.conf`, `etc/services`")
        );
        assert!(alone(Jailed::Unseen).unwrap().contains("cannot be seen"));
        assert!(
            alone(Jailed::Stale)
                .unwrap()
                .contains("none of this host's")
        );
    }
}
