//! Who signs mail, and how that is set up.
//!
//! Owns whether a signer fits this host: nothing else may sign already or change what was
//! signed, and the daemons of Postfix must reach it. Must not know files.

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::IpNet;
use serde::Serialize;

use crate::finding::{Finding, Severity};
use crate::host::{Facts, NoKey, Origin, Published, SignerFacts, Signing};
use crate::mail::dkim::{Algorithm, PublicKey};
use crate::postfix::{Milter, Service, split_list};
use crate::signer::{Conf, Signer};
use crate::site::{Dkim, SignerWish, Site};
use crate::template::{self, TemplateError};

use super::{Setting, Target};

/// The word for it in explanations.
const ABOUT: &str = "DKIM signing";

/// The lists that name milters: for mail that comes by SMTP, and for all other.
const LISTS: [(&str, &str); 2] = [("smtpd_milters", "smtpd"), ("non_smtpd_milters", "cleanup")];

/// What becomes of mail while a milter is down.
const DEFAULT_ACTION: &str = "milter_default_action";

/// What a signer needs to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningWanted {
    /// The signer.
    pub signer: Signer,
    /// Where it listens: under its own name, as a socket may have another one in the queue.
    pub milter: Milter,
    /// Whom its keys belong to: user and group, by number.
    pub owner: (u32, u32),
    /// The texts of its files, in the signer's order.
    pub texts: Vec<String>,
    /// What the administrator's file shall say, by name.
    pub words: Vec<(String, String)>,
    /// The keys, each a copy that only the signer can read.
    pub keys: Vec<KeyWanted>,
    /// Whether Postfix names it already: then it must not be away for a moment.
    pub in_use: bool,
}

/// A copy of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWanted {
    /// The file it is a copy of.
    pub from: Utf8PathBuf,
    /// Where the copy lies.
    pub to: Utf8PathBuf,
    /// Whether it is written as bytes in base64.
    pub in_base64: bool,
}

#[derive(Serialize)]
struct Variables<'a> {
    keys: Vec<KeyVariables<'a>>,
    domains: &'a [String],
    networks: Vec<String>,
}

#[derive(Serialize)]
struct KeyVariables<'a> {
    selector: &'a str,
    file: &'a str,
}

/// Why a signer is not set up: an error for who asked for it.
type Unfit = Box<Finding>;

/// Decides, where the site file says who signs.
pub(super) fn decide(target: &mut Target, site: &Site, facts: &Facts) -> Result<(), TemplateError> {
    let Some(dkim) = &site.dkim else {
        return Ok(());
    };
    let Some(signing) = &facts.signing else {
        if facts.origin == Origin::Collected && matches!(dkim.signer, Some(SignerWish::SetUp(_))) {
            let why = "a key stays on its machine, and so nothing was collected of who signs with it: set it up there";
            target.decide(ABOUT, "left out", vec![why.to_owned()]);
        }
        return Ok(());
    };
    match &dkim.signer {
        Some(SignerWish::Other) => {}
        None => {
            let is_there = signing.keys.get(&dkim.key).is_some_and(Result::is_ok);
            if is_there {
                let why = vec![unsaid(signing, facts)];
                target.decide(ABOUT, "not set up", why);
            }
        }
        Some(SignerWish::SetUp(id)) => {
            let Some(seen) = signing.of(id) else {
                return Ok(());
            };
            match fit(dkim, seen, signing, facts) {
                Err(finding) => {
                    let why = vec![finding.in_words()];
                    target.decide(ABOUT, "left out", why);
                    target.findings.push(*finding);
                }
                Ok(milter) => set_up(target, site, dkim, seen, milter, facts)?,
            }
        }
    }
    Ok(())
}

/// What to do where nobody has said who signs.
fn unsaid(signing: &Signing, facts: &Facts) -> String {
    let named = signing.signers.iter().find(|seen| {
        let lists = LISTS.iter();
        seen.milter()
            .is_some_and(|milter| lists.clone().any(|(list, _)| names(list, &milter, facts)))
    });
    let how = match named {
        Some(seen) => format!(
            "Postfix hands mail to {}: `signer = \"{}\"` below `[dkim]` in mailfix.toml has mailfix see to it that it signs",
            seen.signer.title, seen.signer.id
        ),
        None => format!(
            "`signer = \"opendkim\"` (or `\"rspamd\"`) below `[dkim]` in mailfix.toml has mailfix set it up; `signer = \"{}\"` says that you see to it",
            SignerWish::OTHER
        ),
    };
    format!("there is a key, and nothing says who signs with it; {how}")
}

/// Tells where the signer listens for Postfix, or why it cannot be set up.
fn fit(dkim: &Dkim, seen: &SignerFacts, signing: &Signing, facts: &Facts) -> Result<Milter, Unfit> {
    let title = &seen.signer.title;
    keys_are_there(dkim, signing)?;
    if !seen.installed {
        let finding = unfit(format!("{title} is not installed"));
        let packages = facts.packages.as_ref();
        let command = packages.and_then(|packages| packages.bring(&seen.signer.id));
        return Err(Box::new(match command {
            Some(command) => finding.mend(format!("install it: `{command}`")),
            None => finding.mend("install its package"),
        }));
    }
    if let Some(path) = &seen.unread {
        let finding = unfit(format!("`{path}` cannot be read"));
        return Err(Box::new(finding.mend("run mailfix as root")));
    }
    if seen.owner.is_none() {
        let users = seen.signer.users.join("`, `");
        let finding = unfit(format!("no user is known that {title} runs as"))
            .because(format!("there is none of `{users}`"));
        return Err(Box::new(finding));
    }
    can_be_started(seen, facts)?;
    configuration_is_free(seen)?;
    let milter = reachable(seen, facts)?;
    nothing_else_signs(dkim, seen, &milter, signing, facts)?;
    Ok(milter)
}

fn unfit(title: impl Into<String>) -> Finding {
    Finding::error("signer-unfit", title)
}

fn keys_are_there(dkim: &Dkim, signing: &Signing) -> Result<(), Unfit> {
    for (number, (selector, file)) in dkim.keys().enumerate() {
        let option = if number == 0 { "" } else { " --ed25519" };
        let record = match signing.keys.get(file) {
            Some(Ok(record)) => record,
            Some(Err(NoKey::Unusable(why))) => {
                let finding = unfit(format!("`{file}` cannot be signed with: {why}"));
                return Err(Box::new(finding));
            }
            Some(Err(NoKey::Absent)) | None => {
                let finding = unfit(format!("there is no key `{file}` to sign with"));
                return Err(Box::new(
                    finding.mend(format!("`mailfix dkim new{option}` makes it")),
                ));
            }
        };
        let is_rsa = matches!(record.key, PublicKey::Rsa(_));
        if is_rsa != (number == 0) {
            let (place, algorithm) = if is_rsa {
                ("[dkim.ed25519]", Algorithm::Ed25519)
            } else {
                ("[dkim]", Algorithm::Rsa)
            };
            let finding = unfit(format!(
                "the key `{selector}` below `{place}` is not of {algorithm}"
            ));
            return Err(Box::new(finding.because(
                "every receiver checks RSA, and not all check Ed25519: so that is the second key",
            )));
        }
    }
    Ok(())
}

/// On a machine that runs, mail is handed only to a milter that can be started and told.
fn can_be_started(seen: &SignerFacts, facts: &Facts) -> Result<(), Unfit> {
    if facts.origin != Origin::Machine || (seen.starts.is_some() && seen.runs.is_some()) {
        return Ok(());
    }
    let (title, other) = (&seen.signer.title, SignerWish::OTHER);
    let by_hand = format!("set it up by hand, and say `signer = \"{other}\"` below `[dkim]`");
    let finding = unfit(format!("how {title} is started here is not known"))
        .because("Postfix would hand its mail to a milter that may not run");
    Err(Box::new(finding.mend(by_hand)))
}

/// Nothing of the administrator's in the signer's own files is overruled.
fn configuration_is_free(seen: &SignerFacts) -> Result<(), Unfit> {
    let title = &seen.signer.title;
    let by_hand = by_hand(&seen.signer);
    let yours = format!(
        "if it signs as you want it, `signer = \"{}\"` says so; else {by_hand}",
        SignerWish::OTHER
    );
    let standing = seen.foreign.iter().chain(&seen.in_the_way).next();
    if let Some(path) = standing {
        let finding = unfit(format!("`{path}` is there, and mailfix did not write it"))
            .because(format!("it says what {title} signs"));
        return Err(Box::new(finding.mend(yours)));
    }
    let Some(conf) = &seen.signer.conf else {
        return Ok(());
    };
    for (name, value) in &seen.said {
        let signs =
            conf.against.contains(name) || conf.ours.get(name).is_some_and(|ours| ours != value);
        if signs {
            let finding = unfit(format!("`{}` sets `{name} {value}`", conf.path))
                .because(format!("so {title} is set up to sign already"));
            return Err(Box::new(finding.mend(yours)));
        }
        if let Some(allowed) = conf.allowed.get(name)
            && !allowed.contains(value)
        {
            let finding = unfit(format!("`{}` sets `{name} {value}`", conf.path));
            let lines: Vec<String> = allowed.iter().map(|it| format!("`{name} {it}`")).collect();
            return Err(Box::new(finding.mend(format!(
                "with {} mailfix can set it up",
                lines.join(" or ")
            ))));
        }
    }
    Ok(())
}

/// The lines that a person would write.
fn by_hand(signer: &Signer) -> String {
    match &signer.conf {
        Some(conf) => {
            let lines: Vec<String> = conf
                .ours
                .iter()
                .map(|(name, value)| format!("`{name} {value}`"))
                .collect();
            format!(
                "take out what of it stands in `{}`, and mailfix writes {}",
                conf.path,
                lines.join(", ")
            )
        }
        None => "move it elsewhere, and mailfix writes its own".to_owned(),
    }
}

/// Where the signer listens, or shall.
fn reachable(seen: &SignerFacts, facts: &Facts) -> Result<Milter, Unfit> {
    let signer = &seen.signer;
    let found = seen.milter();
    if let Some(milter) = &found
        && LISTS.iter().any(|(list, _)| names(list, milter, facts))
    {
        // Postfix reaches it already, whatever way that is.
        let items = LISTS
            .iter()
            .flat_map(|(list, _)| facts.parameters.list(list));
        let queue = facts.parameters.get("queue_directory");
        let named = items
            .filter_map(|item| Milter::parse(&item))
            .find(|item| item.is_same(milter, &queue));
        return Ok(named.unwrap_or_else(|| milter.clone()));
    }
    let is_ours = match (&seen.socket, &signer.socket.ours) {
        (_, None) => false,
        (None, Some(_)) => signer.socket.default.is_none(),
        (Some(said), Some(ours)) => said == ours || signer.socket.shipped.contains(said),
    };
    let ours = signer.socket.ours.as_ref().filter(|_| is_ours);
    let milter = ours.map_or(found, |ours| signer.socket.syntax.milter(ours));
    match milter {
        Some(milter @ Milter::Inet { .. }) if milter.is_local() => Ok(milter),
        other => {
            let title = &signer.title;
            let said = seen.socket.clone().unwrap_or_default();
            let finding = unfit(format!("{title} listens on `{said}`"));
            let why = match other {
                Some(Milter::Unix { .. }) => {
                    "whether `smtpd` and `cleanup` may use that socket, in their jail or out of it, only they can tell"
                }
                _ => "mail would be handed to another host, or to nobody",
            };
            let ours = signer.socket.ours.as_deref().unwrap_or("localhost:11332");
            let lists = LISTS.map(|(list, _)| list).join("` and `");
            Err(Box::new(finding.because(why).mend(format!(
                "have it listen on `{ours}`, or name its socket in `{lists}` yourself; then run mailfix again"
            ))))
        }
    }
}

/// Tells whether a list of main.cf names a milter.
fn names(list: &str, milter: &Milter, facts: &Facts) -> bool {
    has(&facts.parameters.list(list), milter, facts)
}

fn has(items: &[String], milter: &Milter, facts: &Facts) -> bool {
    let queue = facts.parameters.get("queue_directory");
    let mut items = items.iter().filter_map(|item| Milter::parse(item));
    items.any(|item| item.is_same(milter, &queue))
}

/// Whoever else looks at mail has to be known not to sign, nor to change what was signed.
fn nothing_else_signs(
    dkim: &Dkim,
    seen: &SignerFacts,
    milter: &Milter,
    signing: &Signing,
    facts: &Facts,
) -> Result<(), Unfit> {
    let title = &seen.signer.title;
    let queue = facts.parameters.get("queue_directory");
    let is_known = |item: &str| dkim.beside.iter().any(|known| known == item);
    let otherwise = |what: &str| {
        format!(
            "if it signs, `signer = \"{}\"` below `[dkim]` says so; if it neither signs nor changes what is signed, `beside = [\"{what}\"]` does; by hand, put `{milter}` last into `{}` and `{}`",
            SignerWish::OTHER,
            LISTS[0].0,
            LISTS[1].0
        )
    };
    for (place, items) in milters(facts) {
        for item in items {
            let parsed = Milter::parse(&item);
            let is = |other: &Milter| parsed.as_ref().is_some_and(|it| it.is_same(other, &queue));
            if is(milter) || is_known(&item) {
                continue;
            }
            let other = signing.signers.iter().find(|other| {
                other.signer.id != seen.signer.id
                    && other.installed
                    && other.milter().as_ref().is_some_and(is)
            });
            return Err(Box::new(match other {
                Some(other) => {
                    let (id, other) = (&other.signer.id, &other.signer.title);
                    unfit(format!("{place} hands mail to {other} already"))
                        .because(format!("two signers would get in each other's way: {other} may sign, and may change what {title} has signed"))
                        .mend(format!("`signer = \"{id}\"` has {other} sign; if it neither signs nor changes what is signed, `beside = [\"{item}\"]` below `[dkim]` says so"))
                }
                None => unfit(format!(
                    "{place} names `{item}`, which mailfix does not know"
                ))
                .because("it may sign already, or change what was signed")
                .mend(otherwise(&item)),
            }));
        }
    }
    for (place, filter) in filters(facts) {
        if !is_known(&filter) {
            let finding = unfit(format!("{place} sends mail through `{filter}`"));
            return Err(Box::new(
                finding
                    .because("a content filter sees mail after it was signed: it may sign as well, or change what was signed")
                    .mend(otherwise(&filter)),
            ));
        }
    }
    let options = facts.parameters.list("receive_override_options");
    if options.iter().any(|option| option == "no_milters") {
        return Err(Box::new(
            unfit("`receive_override_options` says `no_milters`")
                .because("so Postfix hands no mail to any milter")
                .mend("take that word out of it, or say it only for the services that are meant"),
        ));
    }
    Ok(())
}

/// The lists of milters, in main.cf and in options of services, each with its place.
fn milters(facts: &Facts) -> Vec<(String, Vec<String>)> {
    let mut lists: Vec<(String, Vec<String>)> = LISTS
        .iter()
        .map(|(list, _)| (format!("`{list}`"), facts.parameters.list(list)))
        .collect();
    for (list, daemon) in LISTS {
        for service in facts.services.iter().filter(|one| one.command == daemon) {
            if let Some(value) = service.option(list) {
                let place = format!("`{list}` of the service `{}`", service.name);
                lists.push((place, split_list(&facts.parameters.expand(value))));
            }
        }
    }
    lists
}

/// The content filters, each with its place.
fn filters(facts: &Facts) -> Vec<(String, String)> {
    const FILTER: &str = "content_filter";
    let mut filters = vec![(format!("`{FILTER}`"), facts.parameters.get(FILTER))];
    for service in &facts.services {
        if let Some(value) = service.option(FILTER) {
            let place = format!("`{FILTER}` of the service `{}`", service.name);
            filters.push((place, facts.parameters.expand(value)));
        }
    }
    filters.retain(|(_, filter)| !filter.is_empty());
    filters
}

fn set_up(
    target: &mut Target,
    site: &Site,
    dkim: &Dkim,
    seen: &SignerFacts,
    milter: Milter,
    facts: &Facts,
) -> Result<(), TemplateError> {
    let signer = &seen.signer;
    let pairs = keys_for(dkim, signer);
    let files: Vec<_> = pairs
        .iter()
        .map(|(selector, _)| signer.key_file(selector))
        .collect();
    let variables = Variables {
        keys: pairs
            .iter()
            .zip(&files)
            .map(|((selector, _), file)| KeyVariables {
                selector,
                file: file.as_str(),
            })
            .collect(),
        domains: &site.domains,
        networks: networks(facts),
    };
    let texts = signer
        .files()
        .map(|(_, template)| template::render(template, &variables))
        .collect::<Result<_, _>>()?;
    let keys = pairs
        .iter()
        .zip(files)
        .enumerate()
        .map(|(number, ((_, from), to))| KeyWanted {
            from: (*from).to_owned(),
            to,
            in_base64: number > 0 && signer.ed25519_in_base64,
        })
        .collect();
    let mut why = vec![format!(
        "it signs mail of {} that comes from this host, from `mynetworks` or from users who have logged in; all other is left unsigned",
        site.domains.join(", ")
    )];
    let named = LISTS.map(|(list, _)| names(list, &milter, facts));
    let in_use = named == [true; 2];
    contribute(target, seen, &milter, facts, &mut why);
    if dkim.ed25519.is_some() && pairs.len() == 1 {
        why.push(format!(
            "it signs with RSA alone: {} has one algorithm for all keys, so the key below `[dkim.ed25519]` is not used",
            signer.title
        ));
    }
    let words = words(seen, &milter);
    let moves = words.iter().any(|(name, _)| *name == signer.socket.key);
    if let Some(conf) = &signer.conf {
        target.findings.extend(not_all_networks(seen, conf));
    }
    target.findings.extend(passed_by(&milter, facts));
    target
        .findings
        .extend(unpublished(site, &pairs, named.contains(&true), facts));
    target.decide(ABOUT, &format!("by {}", signer.title), why);
    target.signing = Some(SigningWanted {
        signer: signer.clone(),
        // What Postfix calls a socket file may lie below the queue directory.
        milter: seen.milter().filter(|_| !moves).unwrap_or(milter),
        owner: seen.owner.unwrap_or_default(),
        texts,
        words,
        keys,
        in_use,
    });
    Ok(())
}

/// The keys that sign: selector and file.
fn keys_for<'a>(dkim: &'a Dkim, signer: &Signer) -> Vec<(&'a str, &'a Utf8Path)> {
    let both = signer.algorithms.contains(&Algorithm::Ed25519);
    dkim.keys().take(if both { 2 } else { 1 }).collect()
}

/// Has Postfix hand its mail to the signer, and says why so.
fn contribute(
    target: &mut Target,
    seen: &SignerFacts,
    milter: &Milter,
    facts: &Facts,
    why: &mut Vec<String>,
) {
    let title = &seen.signer.title;
    for (list, _) in LISTS {
        if !names(list, milter, facts) {
            target.settings.push(Setting::Has {
                name: list.to_owned(),
                item: milter.to_string(),
            });
        }
    }
    let in_use = LISTS.iter().any(|(list, _)| names(list, milter, facts));
    if !in_use {
        why.push(format!(
            "`{milter}`: a port of this host, which `smtpd` and `cleanup` reach in their jail and out of it; a socket file has another name in there"
        ));
        why.extend(seen.signer.also.clone());
    }
    let action = facts.parameters.get(DEFAULT_ACTION);
    let others = LISTS
        .iter()
        .flat_map(|(list, _)| facts.parameters.list(list))
        .any(|item| {
            let queue = facts.parameters.get("queue_directory");
            Milter::parse(&item).is_none_or(|item| !item.is_same(milter, &queue))
        });
    if facts.explicit.contains(DEFAULT_ACTION) {
        why.push(format!(
            "`{DEFAULT_ACTION} = {action}`, as it is set, says what becomes of mail while {title} is down"
        ));
    } else if others {
        why.push(format!(
            "`{DEFAULT_ACTION}` stays as Postfix has it, as it is about the other milters too: while {title} is down, mail waits"
        ));
    } else {
        target.settings.push(Setting::Is {
            name: DEFAULT_ACTION.to_owned(),
            value: "accept".to_owned(),
        });
        why.push(format!(
            "`{DEFAULT_ACTION} = accept`: while {title} is down, mail leaves unsigned rather than not at all"
        ));
    }
}

/// What the administrator's file shall say that it does not say yet.
fn words(seen: &SignerFacts, milter: &Milter) -> Vec<(String, String)> {
    let Some(conf) = &seen.signer.conf else {
        return Vec::new();
    };
    let is_unset = |name: &String| !seen.said.contains_key(name);
    let unset = conf.unless_set.iter().filter(|(name, _)| is_unset(name));
    let mut words: Vec<(String, String)> = conf
        .ours
        .iter()
        .chain(unset)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let socket = &seen.signer.socket;
    if let Some(ours) = &socket.ours
        && socket.syntax.milter(ours).as_ref() == Some(milter)
        && seen.milter().as_ref() != Some(milter)
    {
        words.push((socket.key.clone(), ours.clone()));
    }
    words
}

/// The hosts whose mail is signed, as a signer reads them: those of `mynetworks` that are
/// networks, and this one.
fn networks(facts: &Facts) -> Vec<String> {
    let mut networks = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    for item in facts.parameters.list("mynetworks") {
        let plain = item.replace(['[', ']'], "");
        let network = plain.parse::<IpNet>().or_else(|_| {
            plain
                .parse()
                .map(|address: std::net::IpAddr| address.into())
        });
        // `::ffff:127.0.0.0/104` is 127.0.0.0/8, which stands beside it wherever it stands.
        if let Ok(network) = network
            && !plain.to_ascii_lowercase().contains("::ffff:")
        {
            let text = if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.trunc().to_string()
            };
            if !networks.contains(&text) {
                networks.push(text);
            }
        }
    }
    networks
}

/// Tells that the administrator has said already whose mail is signed.
fn not_all_networks(seen: &SignerFacts, conf: &Conf) -> Option<Finding> {
    let (name, value) = conf.unless_set.iter().find_map(|(name, ours)| {
        let said = seen.said.get(name)?;
        (said != ours).then_some((name, said))
    })?;
    Some(
        Finding::note(
            "own-networks",
            format!("`{}` sets `{name} {value}`, and that stays", conf.path),
        )
        .because("it says whose mail is signed; hosts of `mynetworks` that it leaves out are not"),
    )
}

/// Services whose mail does not come by the signer.
fn passed_by(milter: &Milter, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in facts.services.iter().filter(|one| one.command == "smtpd") {
        if is_inside(service) {
            continue;
        }
        let own = service.option(LISTS[0].0).map(|value| {
            // What main.cf will say is not what it says.
            let inherits = value.contains(LISTS[0].0);
            inherits || has(&split_list(&facts.parameters.expand(value)), milter, facts)
        });
        let options = service.option("receive_override_options");
        let skips = options.is_some_and(|options| options.contains("no_milters"));
        if own == Some(false) || skips {
            let option = if skips {
                "receive_override_options"
            } else {
                LISTS[0].0
            };
            findings.push(
                Finding::warning(
                    "unsigned-service",
                    format!(
                        "mail that comes in by the service `{}` is not signed",
                        service.name
                    ),
                )
                .because(format!("it has `-o {option}` of its own in master.cf"))
                .mend(format!("have it name `{milter}` too, if its mail is yours")),
            );
        }
    }
    findings
}

/// Tells whether only this host reaches a service, as content filters do that bring mail back.
fn is_inside(service: &Service) -> bool {
    let host = service.name.rsplit_once(':').map(|(host, _)| host);
    host.is_some_and(|host| {
        host == "localhost" || host.starts_with("127.") || host.trim_matches(['[', ']']) == "::1"
    })
}

/// Keys whose record is not in DNS yet: what they sign nobody can check. Where mail is handed to
/// the signer already, that is wrong from now on.
fn unpublished(
    site: &Site,
    pairs: &[(&str, &Utf8Path)],
    signs: bool,
    facts: &Facts,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (selector, _) in pairs {
        let of = |wanted: fn(&Published) -> bool| -> Vec<&str> {
            let domains = site.domains.iter().map(String::as_str);
            domains
                .filter(|domain| facts.dns.key(selector, domain).is_some_and(wanted))
                .collect()
        };
        let missing = of(|published| *published == Published::Missing);
        let other = of(|published| *published == Published::Other);
        let unknown = of(|published| matches!(published, Published::Unknown(_)));
        let publish =
            "publish the records first (`mailfix dns show`), and apply this once they are seen";
        if !missing.is_empty() {
            let title = format!(
                "the key `{selector}` is not in DNS yet for {}",
                missing.join(", ")
            );
            let mut finding = Finding::warning("key-unpublished", title)
                .because("a signature that nobody can check counts as none, or as a broken one")
                .mend(publish);
            if signs {
                finding.severity = Severity::Error;
            }
            findings.push(finding);
        }
        if !other.is_empty() {
            let title = format!(
                "DNS has another key under `{selector}` for {}",
                other.join(", ")
            );
            findings.push(
                Finding::error("key-differs", title)
                    .because("signatures of the key here fail against it")
                    .mend(publish),
            );
        }
        if !unknown.is_empty() {
            let title = format!(
                "whether the key `{selector}` is in DNS for {} could not be found out",
                unknown.join(", ")
            );
            findings.push(Finding::warning("key-unknown", title));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::host::{Starts, example};
    use crate::mail::dkim::KeyRecord;

    const KEY: &str = "/etc/mailfix/dkim/mail.private";
    const SECOND: &str = "/etc/mailfix/dkim/mail-ed.private";

    fn site(dkim: &str) -> Site {
        let text = format!(
            "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"9.9.9.9\"]\n[[domain]]\nname = \"example.org\"\n[dkim]\nselector = \"mail\"\nkey = \"{KEY}\"\n{dkim}\n"
        );
        Site::parse(text, Utf8Path::new("mailfix.toml")).unwrap()
    }

    fn seen(id: &str, socket: Option<&str>) -> SignerFacts {
        SignerFacts {
            signer: Signer::named(id).unwrap(),
            installed: true,
            owner: Some((105, 109)),
            socket: socket.map(str::to_owned),
            said: BTreeMap::new(),
            foreign: BTreeSet::new(),
            in_the_way: BTreeSet::new(),
            unread: None,
            starts: Some(Starts::Systemd),
            runs: Some(true),
            enabled: Some(true),
        }
    }

    /// A host with both signers, as Debian installs them, and both keys.
    fn facts(main: &str, master: &str) -> Facts {
        let mut facts = example::host("3.7.11", main, master).facts;
        let ed25519 = KeyRecord {
            key: PublicKey::Ed25519([7; 32]),
            other: Vec::new(),
        };
        facts.signing = Some(Signing {
            signers: vec![
                seen("opendkim", Some("local:/run/opendkim/opendkim.sock")),
                seen("rspamd", None),
            ],
            keys: BTreeMap::from([
                (KEY.into(), Ok(KeyRecord::rsa(vec![1]))),
                (SECOND.into(), Ok(ed25519)),
            ]),
        });
        facts
    }

    fn decided(site: &Site, facts: &Facts) -> Target {
        let mut target = Target::default();
        decide(&mut target, site, facts).unwrap();
        target
    }

    fn settings(target: &Target) -> Vec<String> {
        let written = |setting: &Setting| match setting {
            Setting::Is { name, value } => format!("{name} = {value}"),
            Setting::Has { name, item } => format!("{name} + {item}"),
            other => other.name().to_owned(),
        };
        target.settings.iter().map(written).collect()
    }

    const OPENDKIM: &str = "signer = \"opendkim\"";

    #[test]
    fn opendkim_as_it_comes_is_moved_to_a_port_and_named_in_both_lists() {
        let target = decided(&site(OPENDKIM), &facts("", ""));
        assert_eq!(
            settings(&target),
            [
                "smtpd_milters + inet:127.0.0.1:8891",
                "non_smtpd_milters + inet:127.0.0.1:8891",
                "milter_default_action = accept",
            ]
        );
        let wanted = target.signing.unwrap();
        let words: Vec<&str> = wanted.words.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            words,
            ["KeyTable", "SigningTable", "InternalHosts", "Socket"]
        );
        assert!(wanted.texts[0].contains("example.org:mail:/etc/opendkim/mailfix/mail.private"));
        assert!(wanted.texts[1].contains("*@example.org mail._domainkey.example.org"));
        assert!(!wanted.in_use);
    }

    #[test]
    fn a_second_key_signs_where_the_signer_can() {
        let second = format!("ed25519 = {{ selector = \"ed\", key = \"{SECOND}\" }}");
        let target = decided(&site(&format!("{OPENDKIM}\n{second}")), &facts("", ""));
        let said = target.decisions[0].why.join("\n");
        assert!(said.contains("RSA alone"), "{said}");
        assert_eq!(target.signing.unwrap().keys.len(), 1);
        let rspamd = site(&format!("signer = \"rspamd\"\n{second}"));
        let wanted = decided(&rspamd, &facts("", "")).signing.unwrap();
        let forms: Vec<bool> = wanted.keys.iter().map(|key| key.in_base64).collect();
        assert_eq!(forms, [false, true]);
        assert!(wanted.texts[0].contains("selector = \"ed\""));
    }

    /// The title of what keeps OpenDKIM from being set up; nothing when it is.
    #[track_caller]
    fn unfit(dkim: &str, main: &str, master: &str, edit: impl Fn(&mut SignerFacts), said: &str) {
        let mut facts = facts(main, master);
        edit(&mut facts.signing.as_mut().unwrap().signers[0]);
        let target = decided(&site(&format!("{OPENDKIM}\n{dkim}")), &facts);
        let errors = target
            .findings
            .iter()
            .filter(|one| one.code == "signer-unfit");
        let titles: Vec<&str> = errors.map(|one| one.title.as_str()).collect();
        assert_eq!(titles.join("; "), said);
        assert_eq!(target.signing.is_none(), !said.is_empty());
        assert_eq!(target.settings.is_empty(), !said.is_empty());
    }

    #[test]
    fn what_is_not_known_is_refused_until_it_is_named() {
        let same = |_: &mut SignerFacts| ();
        let milter = "smtpd_milters = inet:localhost:8893";
        unfit(
            "",
            milter,
            "",
            same,
            "`smtpd_milters` names `inet:localhost:8893`, which mailfix does not know",
        );
        unfit("beside = [\"inet:localhost:8893\"]", milter, "", same, "");
        let filter = "content_filter = amavis:[127.0.0.1]:10024";
        unfit(
            "",
            filter,
            "",
            same,
            "`content_filter` sends mail through `amavis:[127.0.0.1]:10024`",
        );
        unfit(
            "beside = [\"amavis:[127.0.0.1]:10024\"]",
            filter,
            "",
            same,
            "",
        );
        let submission = "submission inet n - y - - smtpd\n  -o smtpd_milters=unix:/run/x\n";
        unfit(
            "",
            "",
            submission,
            same,
            "`smtpd_milters` of the service `submission` names `unix:/run/x`, which mailfix does not know",
        );
        let rspamd = "smtpd_milters = inet:localhost:11332";
        unfit(
            "",
            rspamd,
            "",
            same,
            "`smtpd_milters` hands mail to rspamd already",
        );
        unfit(
            "",
            "receive_override_options = no_milters",
            "",
            same,
            "`receive_override_options` says `no_milters`",
        );
    }

    #[test]
    fn what_the_administrator_has_set_up_is_not_overruled() {
        let say = |name: &'static str, value: &'static str| {
            move |seen: &mut SignerFacts| {
                seen.said.insert(name.to_owned(), value.to_owned());
            }
        };
        unfit(
            "",
            "",
            "",
            say("Domain", "example.org"),
            "`/etc/opendkim.conf` sets `Domain example.org`",
        );
        unfit(
            "",
            "",
            "",
            say("KeyTable", "/etc/k"),
            "`/etc/opendkim.conf` sets `KeyTable /etc/k`",
        );
        unfit(
            "",
            "",
            "",
            say("Mode", "v"),
            "`/etc/opendkim.conf` sets `Mode v`",
        );
        unfit("", "", "", say("Mode", "s"), "");
        unfit("", "", "", say("InternalHosts", "/etc/hosts.signed"), "");
        let listen = |socket: &'static str| {
            move |seen: &mut SignerFacts| seen.socket = Some(socket.to_owned())
        };
        unfit(
            "",
            "",
            "",
            listen("local:/srv/sock"),
            "OpenDKIM listens on `local:/srv/sock`",
        );
        unfit("", "", "", listen("inet:12345@localhost"), "");
        let named = "smtpd_milters = unix:/srv/sock";
        unfit("", named, "", listen("local:/srv/sock"), "");
        let foreign = |seen: &mut SignerFacts| {
            seen.foreign
                .insert("/etc/opendkim/mailfix/key.table".into());
        };
        unfit(
            "",
            "",
            "",
            foreign,
            "`/etc/opendkim/mailfix/key.table` is there, and mailfix did not write it",
        );
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_it() {
        let absent = |seen: &mut SignerFacts| seen.installed = false;
        unfit("", "", "", absent, "OpenDKIM is not installed");
        let stranger = |seen: &mut SignerFacts| seen.owner = None;
        unfit(
            "",
            "",
            "",
            stranger,
            "no user is known that OpenDKIM runs as",
        );
        let mut facts = facts("", "");
        let keys = &mut facts.signing.as_mut().unwrap().keys;
        keys.insert(KEY.into(), Err(NoKey::Absent));
        let target = decided(&site(OPENDKIM), &facts);
        assert_eq!(
            target.findings[0].title,
            format!("there is no key `{KEY}` to sign with")
        );
        // Without a key there is nothing to say where nobody has asked.
        assert_eq!(decided(&site(""), &facts), Target::default());
    }

    #[test]
    fn what_is_set_already_is_left_alone() {
        let main = "smtpd_milters = inet:localhost:8891, inet:localhost:8893\nmilter_default_action = tempfail";
        let mut facts = facts(main, "");
        facts.signing.as_mut().unwrap().signers[0].socket = Some("inet:8891@localhost".to_owned());
        let known = site(&format!("{OPENDKIM}\nbeside = [\"inet:localhost:8893\"]"));
        let target = decided(&known, &facts);
        // The other list names it as this one does.
        assert_eq!(
            settings(&target),
            ["non_smtpd_milters + inet:localhost:8891"]
        );
        // Of other milters more than the signer's is decided by it.
        facts.explicit.remove(DEFAULT_ACTION);
        assert_eq!(settings(&decided(&known, &facts)), settings(&target));
    }

    #[test]
    fn mail_that_passes_the_signer_by_is_named() {
        let master = "submission inet n - y - - smtpd\n  -o smtpd_milters=\n\
                      127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_milters=\n\
                      smtps inet n - y - - smtpd\n  -o smtpd_milters=$smtpd_milters\n";
        let target = decided(&site(OPENDKIM), &facts("", master));
        let titles: Vec<&str> = target
            .findings
            .iter()
            .map(|one| one.title.as_str())
            .collect();
        assert_eq!(
            titles,
            ["mail that comes in by the service `submission` is not signed"]
        );
    }

    #[test]
    fn a_key_that_nobody_can_look_up_is_told_of() {
        let found = |main, published| {
            let mut facts = facts(main, "");
            let name = ("mail".to_owned(), "example.org".to_owned());
            facts.dns.keys.insert(name, published);
            facts.signing.as_mut().unwrap().signers[0].socket =
                Some("inet:8891@localhost".to_owned());
            let target = decided(&site(OPENDKIM), &facts);
            let found = target.findings.first();
            found.map(|one| (one.severity, one.code))
        };
        let (error, warning) = (Severity::Error, Severity::Warning);
        let unpublished = |severity| Some((severity, "key-unpublished"));
        assert_eq!(found("", Published::Missing), unpublished(warning));
        // What Postfix hands it is signed at once.
        let named = "smtpd_milters = inet:localhost:8891";
        assert_eq!(found(named, Published::Missing), unpublished(error));
        assert_eq!(found("", Published::Other), Some((error, "key-differs")));
        let unknown = Published::Unknown("x".to_owned());
        assert_eq!(found("", unknown), Some((warning, "key-unknown")));
        assert_eq!(found(named, Published::Yes), None);
    }

    #[test]
    fn a_socket_in_the_queue_is_waited_for_under_its_own_name() {
        let path = "/var/spool/postfix/opendkim/opendkim.sock";
        let list = "local:opendkim/opendkim.sock";
        let mut facts = facts(
            &format!("smtpd_milters = {list}\nnon_smtpd_milters = {list}"),
            "",
        );
        facts.signing.as_mut().unwrap().signers[0].socket = Some(format!("local:{path}"));
        let wanted = decided(&site(OPENDKIM), &facts).signing.unwrap();
        assert_eq!(wanted.milter.to_string(), format!("unix:{path}"));
        assert!(wanted.in_use);
        // One that is moved is waited for where it goes.
        let facts = self::facts("", "");
        let wanted = decided(&site(OPENDKIM), &facts).signing.unwrap();
        assert_eq!(wanted.milter.to_string(), "inet:127.0.0.1:8891");
    }

    #[test]
    fn nobody_is_handed_mail_who_cannot_be_started() {
        let refused = |origin, starts, runs| {
            let mut facts = facts("", "");
            facts.origin = origin;
            let seen = &mut facts.signing.as_mut().unwrap().signers[0];
            (seen.starts, seen.runs) = (starts, runs);
            let target = decided(&site(OPENDKIM), &facts);
            assert_eq!(target.signing.is_none(), target.settings.is_empty());
            target.findings.first().map(|one| one.title.clone())
        };
        let said = Some("how OpenDKIM is started here is not known".to_owned());
        let service = Some(Starts::Service);
        assert_eq!(refused(Origin::Machine, None, None), said);
        assert_eq!(refused(Origin::Machine, service, None), said);
        assert_eq!(refused(Origin::Machine, service, Some(false)), None);
        // A tree does not run.
        assert_eq!(refused(Origin::Tree, None, None), None);
    }

    #[test]
    fn a_signer_that_would_refuse_mail_is_not_set_up() {
        let set = |name: &'static str, value: &'static str| {
            move |seen: &mut SignerFacts| {
                seen.said.insert(name.to_owned(), value.to_owned());
            }
        };
        let said = "`/etc/opendkim.conf` sets `On-BadSignature reject`";
        unfit("", "", "", set("On-BadSignature", "reject"), said);
        unfit("", "", "", set("On-BadSignature", "accept"), "");
        unfit("", "", "", set("On-DNSError", "tempfail"), "");
    }

    #[test]
    fn who_has_a_key_and_no_signer_is_told_of_it() {
        let target = decided(&site(""), &facts("", ""));
        assert_eq!(target.decisions[0].outcome, "not set up");
        let target = decided(&site("signer = \"other\""), &facts("", ""));
        assert_eq!(target, Target::default());
        let mut collected = facts("", "");
        collected.signing = None;
        collected.origin = Origin::Collected;
        let target = decided(&site(OPENDKIM), &collected);
        assert_eq!(target.decisions[0].outcome, "left out");
        let wired = facts("smtpd_milters = inet:localhost:11332", "");
        let target = decided(&site(""), &wired);
        assert!(target.decisions[0].why[0].contains("`signer = \"rspamd\"`"));
    }

    #[test]
    fn networks_are_written_as_signers_read_them() {
        let facts = facts(
            "mynetworks = 127.0.0.0/8, [::ffff:127.0.0.0]/104 [::1]/128 [2001:db8::]/32 192.0.2.7 !10.0.0.1 hash:/etc/n",
            "",
        );
        assert_eq!(
            networks(&facts),
            [
                "127.0.0.1",
                "::1",
                "127.0.0.0/8",
                "2001:db8::/32",
                "192.0.2.7"
            ]
        );
    }
}
