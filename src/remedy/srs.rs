//! Sender rewriting (SRS): how forwarded mail comes to carry a sender whose SPF covers this host.
//!
//! Owns the question whether `PostSRSd` can be wired here, and with which words. The parameters it
//! takes are the administrator's too: where they are in use otherwise, it does not fit.
//! Must not know whether it is wanted. Follows canonical(5), cleanup(8) and postsrsd(8).

use crate::host::{Facts, Forwarding, Installed, Origin, Served};
use crate::rewriter::Rewriter;
use crate::site::Site;
use crate::spelling::listed;
use crate::target::Setting;

/// The parameters by which it is wired.
const SENDERS: &str = "sender_canonical_maps";
const SENDER_CLASSES: &str = "sender_canonical_classes";
const RECIPIENTS: &str = "recipient_canonical_maps";
const RECIPIENT_CLASSES: &str = "recipient_canonical_classes";

/// Of senders only the envelope is rewritten: who wrote a message stays as it is.
const ENVELOPE_SENDER: &str = "envelope_sender";

/// Of recipients also the header, where a reply to a bounce quotes one.
const BOTH_RECIPIENTS: [&str; 2] = ["envelope_recipient", "header_recipient"];

/// Types of tables that other programs serve, which may rewrite senders too.
const SERVED: [&str; 2] = ["tcp:", "socketmap:"];

/// Longest list of domains in its settings: the kernel has a limit for one word of a command.
// execve(2), MAX_ARG_STRLEN
const LONGEST: usize = 100_000;

/// A program that rewrites senders as it shall be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewriterWanted {
    /// Which.
    pub rewriter: Rewriter,
    /// Settings that change: name, words, whether it is a list.
    pub words: Vec<(String, Vec<String>, bool)>,
    /// Whether it is newly asked, and so has to run.
    pub is_new: bool,
}

/// What wires it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The domain of rewritten addresses.
    pub domain: String,
    /// Parameters of main.cf.
    pub settings: Vec<Setting>,
    /// The program's own settings.
    pub wanted: RewriterWanted,
}

/// The table by which senders are rewritten already, if they are.
#[must_use]
pub fn wired(facts: &Facts, forwarding: &Forwarding) -> Option<String> {
    if let Some(installed) = &forwarding.installed
        && let Ok([senders, _]) = &installed.tables
        && let Some(item) = senders.named(facts, SENDERS)
    {
        return Some(item);
    }
    let mut items = facts.parameters.list(SENDERS).into_iter();
    items.find(|item| SERVED.iter().any(|kind| item.starts_with(kind)))
}

/// The domain that rewritten addresses have, or would have.
#[must_use]
pub fn domain(site: &Site, forwarding: &Forwarding) -> Option<String> {
    let configured = forwarding.installed.as_ref();
    let configured = configured.and_then(|installed| installed.domain.clone().ok().flatten());
    let mut candidates = configured.iter().chain(&site.domains);
    let domain = candidates.find(|domain| is_taken(forwarding, domain));
    domain.map(|domain| domain.to_ascii_lowercase())
}

/// Mail to it is taken here: a name that is only this host's own is not enough.
fn is_taken(forwarding: &Forwarding, domain: &str) -> bool {
    forwarding.own.asked.contains(&domain.to_ascii_lowercase())
}

/// Says how it is wired, or why it cannot be.
///
/// # Errors
/// With the reason.
pub fn fit(site: &Site, facts: &Facts, forwarding: &Forwarding) -> Result<Wiring, String> {
    match facts.origin {
        Origin::Machine | Origin::Tree => {}
        Origin::Collected | Origin::Stock => {
            return Err(
                "a program has to be installed and started on the server: do that there, and wire it by hand as README of PostSRSd says".to_owned(),
            );
        }
    }
    let Some(installed) = &forwarding.installed else {
        return Err(format!(
            "PostSRSd is not installed, or its settings are in no place that mailfix knows ({}): {} brings it",
            places(),
            installer(facts)
        ));
    };
    let rewriter = &installed.rewriter;
    if !facts.table_types.contains(&rewriter.kind) {
        return Err(format!(
            "this Postfix has no `{}` tables (`postconf -m`), and {} serves no others",
            rewriter.kind, rewriter.title
        ));
    }
    let [senders, recipients] = installed.tables.as_ref().map_err(Clone::clone)?;
    overridden(facts)?;
    let domain = domain(site, forwarding).ok_or_else(|| {
        format!(
            "bounces must come back here, and mail is taken for none of {}: `[[domain]]` in mailfix.toml has to name a domain that `mydestination` or a list of virtual domains has",
            listed(site.domains.iter().map(String::as_str))
        )
    })?;
    if let Some((list, why)) = forwarding.own.unlisted.first() {
        return Err(format!(
            "senders of this host's own domains must stay as they are, and these cannot all be listed: `{list}`: {why}"
        ));
    }
    let settings = settings(facts, senders, recipients)?;
    let words = words(site, installed, forwarding, &domain)?;
    let is_new = senders.named(facts, SENDERS).is_none();
    Ok(Wiring {
        domain,
        settings,
        wanted: RewriterWanted {
            rewriter: rewriter.clone(),
            words,
            is_new,
        },
    })
}

/// What brings it.
fn installer(facts: &Facts) -> String {
    let packages = facts.packages.as_ref();
    match packages.and_then(|packages| packages.bring("postsrsd")) {
        Some(command) => format!("`{command}`"),
        None => "its package".to_owned(),
    }
}

fn places() -> String {
    let all = Rewriter::all();
    listed(all.iter().map(|one| one.config.as_str()))
}

/// Options of services would win over what is wired in main.cf.
fn overridden(facts: &Facts) -> Result<(), String> {
    for service in &facts.services {
        for name in [SENDERS, SENDER_CLASSES, RECIPIENTS, RECIPIENT_CLASSES] {
            if service.option(name).is_some() {
                return Err(format!(
                    "the service `{}` in master.cf has `-o {name}` of its own, so that mail through it would be rewritten otherwise",
                    service.name
                ));
            }
        }
    }
    Ok(())
}

/// The settings of main.cf, or what they would change for tables of the administrator's.
fn settings(facts: &Facts, senders: &Served, recipients: &Served) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    let mut add = |table: &Served, maps: &str, classes: &str, wanted: &[&str], exact: bool| {
        let named = table.named(facts, maps);
        let others: Vec<String> = facts
            .parameters
            .list(maps)
            .into_iter()
            .filter(|item| Some(item) != named.as_ref())
            .collect();
        let present = facts.parameters.list(classes);
        let has = |word: &&str| present.iter().any(|one| one == word);
        let is_right = wanted.iter().all(has) && (!exact || present.len() == wanted.len());
        // What the other tables need of it is theirs.
        let will_do = !others.is_empty() && !exact && has(&wanted[0]);
        if !is_right && !will_do {
            if !others.is_empty() {
                return Err(format!(
                    "`{maps}` is in use already ({}) and rewrites {}; SRS needs `{classes} = {}`, and that would change what it rewrites",
                    listed(others.iter().map(String::as_str)),
                    listed(present.iter().map(String::as_str)),
                    wanted.join(", ")
                ));
            }
            settings.push(Setting::Is {
                name: classes.to_owned(),
                value: wanted.join(", "),
            });
        }
        settings.push(Setting::Has {
            name: maps.to_owned(),
            item: named.unwrap_or_else(|| table.item.clone()),
        });
        Ok(())
    };
    add(senders, SENDERS, SENDER_CLASSES, &[ENVELOPE_SENDER], true)?;
    add(
        recipients,
        RECIPIENTS,
        RECIPIENT_CLASSES,
        &BOTH_RECIPIENTS,
        false,
    )?;
    Ok(settings)
}

/// The program's settings that are not as they should be.
fn words(
    site: &Site,
    installed: &Installed,
    forwarding: &Forwarding,
    domain: &str,
) -> Result<Vec<(String, Vec<String>, bool)>, String> {
    let rewriter = &installed.rewriter;
    let unreadable =
        |error: &crate::rewriter::Unreadable| format!("`{}`: {error}", rewriter.config);
    let configured = installed.domain.as_ref().map_err(unreadable)?;
    let mut words = Vec::new();
    if configured.as_deref() != Some(domain) {
        let value = vec![domain.to_owned()];
        words.push((rewriter.domain.clone(), value, false));
    }
    let present = installed.exempt.as_ref().map_err(unreadable)?;
    let elsewhere = installed.exempt_file.iter().flat_map(|(_, list)| list);
    let known: Vec<String> = present
        .iter()
        .chain(elsewhere)
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let own = forwarding.own.names.iter().chain(&site.domains);
    let mut missing: Vec<String> = Vec::new();
    for name in own.chain([&site.server.hostname]) {
        if !known.contains(name) && !missing.contains(name) {
            missing.push(name.clone());
        }
    }
    if !missing.is_empty() {
        let all: Vec<String> = present.iter().cloned().chain(missing).collect();
        if all.iter().map(|name| name.len() + 1).sum::<usize>() > LONGEST {
            return Err(format!(
                "this host has {} domains of its own, more than fit into `{}`",
                all.len(),
                rewriter.exempt
            ));
        }
        words.push((rewriter.exempt.clone(), all, true));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::host::{Files, OwnDomains, example, observe_rewriter};
    use crate::remedy::shown;
    use crate::system::MemorySystem;

    const CONFIG: &str = "/etc/default/postsrsd";

    /// Lines of main.cf and master.cf, the program's settings, an own list that cannot be read;
    /// settings of main.cf and of the program, or why it does not fit.
    #[track_caller]
    fn check_with(
        (main, master): (&str, &str),
        system: &MemorySystem,
        own: &OwnDomains,
        expected: Result<&[&str], &str>,
    ) {
        let mut facts = example::host("3.7.11", main, master).facts;
        facts.origin = Origin::Machine;
        facts.table_types.insert("tcp".to_owned());
        let forwarding = Forwarding {
            own: own.clone(),
            installed: observe_rewriter(system, &facts, &mut Files::default()),
            ..Forwarding::default()
        };
        let found = fit(&shown::site(""), &facts, &forwarding).map(|wiring| {
            let mut lines = shown::lines(&wiring.settings, &[], &[], &[]);
            let words = wiring.wanted.words.iter();
            lines.extend(words.map(|(name, words, _)| format!("{name}: {}", words.join(" "))));
            lines
        });
        let expected = expected
            .map(|lines| lines.iter().map(ToString::to_string).collect())
            .map_err(str::to_owned);
        assert_eq!(found, expected);
    }

    fn system(config: &str) -> MemorySystem {
        MemorySystem::new()
            .file("/usr/sbin/postsrsd", "")
            .file(CONFIG, config)
    }

    fn own() -> OwnDomains {
        let names = ["example.org", "mail.example.org"].map(str::to_owned);
        OwnDomains {
            names: names.clone().into(),
            asked: BTreeSet::from(names),
            unlisted: Vec::new(),
        }
    }

    #[track_caller]
    fn check(main: &str, config: &str, expected: Result<&[&str], &str>) {
        check_with((main, ""), &system(config), &own(), expected);
    }

    const MAPS: [&str; 2] = [
        "sender_canonical_maps += tcp:127.0.0.1:10001",
        "recipient_canonical_maps += tcp:127.0.0.1:10002",
    ];
    const CLASSES: &str = "sender_canonical_classes = envelope_sender";
    const RIGHT: &str =
        "SRS_DOMAIN=example.org\nSRS_EXCLUDE_DOMAINS=example.org,mail.example.org\n";

    #[test]
    fn it_is_wired_where_nothing_else_is() {
        check(
            "",
            "",
            Ok(&[
                CLASSES,
                MAPS[0],
                MAPS[1],
                "SRS_DOMAIN: example.org",
                "SRS_EXCLUDE_DOMAINS: example.org mail.example.org",
            ]),
        );
        check("", RIGHT, Ok(&[CLASSES, MAPS[0], MAPS[1]]));
        // Domains that the administrator exempts stay exempt, and so does a domain of his.
        check(
            "",
            "SRS_DOMAIN=mail.example.org\nSRS_EXCLUDE_DOMAINS=.partner.example,example.org\n",
            Ok(&[
                CLASSES,
                MAPS[0],
                MAPS[1],
                "SRS_EXCLUDE_DOMAINS: .partner.example example.org mail.example.org",
            ]),
        );
        // One to which no mail comes does not.
        check(
            "",
            &RIGHT.replace("DOMAIN=example.org", "DOMAIN=elsewhere.example"),
            Ok(&[CLASSES, MAPS[0], MAPS[1], "SRS_DOMAIN: example.org"]),
        );
    }

    #[test]
    fn what_is_wired_already_stays_as_it_is_written() {
        check(
            "sender_canonical_maps = tcp:localhost:10001\nsender_canonical_classes = envelope_sender\nrecipient_canonical_maps = tcp:localhost:10002",
            RIGHT,
            Ok(&[
                "sender_canonical_maps += tcp:localhost:10001",
                "recipient_canonical_maps += tcp:localhost:10002",
            ]),
        );
        check(
            "sender_canonical_classes = header_sender\nrecipient_canonical_classes = header_recipient",
            RIGHT,
            Ok(&[
                CLASSES,
                MAPS[0],
                "recipient_canonical_classes = envelope_recipient, header_recipient",
                MAPS[1],
            ]),
        );
    }

    #[test]
    fn maps_in_use_for_something_else_are_left_alone() {
        check(
            "sender_canonical_maps = hash:/x",
            RIGHT,
            Err(
                "`sender_canonical_maps` is in use already (`hash:/x`) and rewrites `envelope_sender`, `header_sender`; SRS needs `sender_canonical_classes = envelope_sender`, and that would change what it rewrites",
            ),
        );
        let same = "sender_canonical_maps = hash:/x\nsender_canonical_classes = envelope_sender\nrecipient_canonical_maps = hash:/y";
        check(same, RIGHT, Ok(&MAPS));
        check(
            "recipient_canonical_maps = hash:/y\nrecipient_canonical_classes = envelope_recipient",
            RIGHT,
            Ok(&[CLASSES, MAPS[0], MAPS[1]]),
        );
        check_with(
            (
                "",
                "other unix n - n - 0 cleanup\n  -o sender_canonical_maps=",
            ),
            &system(RIGHT),
            &own(),
            Err(
                "the service `other` in master.cf has `-o sender_canonical_maps` of its own, so that mail through it would be rewritten otherwise",
            ),
        );
    }

    #[test]
    fn why_it_cannot_be_is_said() {
        let main = ("", "");
        check_with(
            main,
            &MemorySystem::new(),
            &own(),
            Err(
                "PostSRSd is not installed, or its settings are in no place that mailfix knows (`/etc/default/postsrsd`, `/etc/postsrsd.conf`): its package brings it",
            ),
        );
        let two = MemorySystem::new()
            .file("/usr/sbin/postsrsd", "")
            .file("/etc/postsrsd.conf", "");
        check_with(
            main,
            &two,
            &own(),
            Err(
                "this Postfix has no `socketmap` tables (`postconf -m`), and PostSRSd 2 serves no others",
            ),
        );
        check(
            "",
            "SRS_DOMAIN=$(hostname)\n",
            Err(
                "`/etc/default/postsrsd`: `SRS_DOMAIN` in it is written in a way that mailfix does not read",
            ),
        );
        let list = (
            "virtual_mailbox_domains = mysql:/m".to_owned(),
            "x".to_owned(),
        );
        let unlisted = OwnDomains {
            unlisted: vec![list],
            ..own()
        };
        check_with(
            main,
            &system(RIGHT),
            &unlisted,
            Err(
                "senders of this host's own domains must stay as they are, and these cannot all be listed: `virtual_mailbox_domains = mysql:/m`: x",
            ),
        );
        check_with(
            main,
            &system(""),
            &OwnDomains::default(),
            Err(
                "bounces must come back here, and mail is taken for none of `example.org`: `[[domain]]` in mailfix.toml has to name a domain that `mydestination` or a list of virtual domains has",
            ),
        );
    }
}
