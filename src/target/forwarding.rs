//! Mail that is forwarded to the outside: what receivers make of it, and what rewrites its sender.
//!
//! Owns whether senders are rewritten, which the site file alone decides, and the words for what
//! can pass without. Must not know how it is wired.

use crate::finding::Finding;
use crate::host::{Bounces, Facts, Forwarding, MailHosts, Origin};
use crate::provider::Provider;
use crate::remedy::srs;
use crate::site::{Site, Srs};
use crate::spelling::listed;

use super::Target;

/// Receiving domains that are named one by one.
const NAMED: usize = 8;

/// Places that were not read which are named one by one.
const UNREAD: usize = 3;

/// Parameters whose work may touch header or body of a message, and with them its signature.
const CHANGING: [&str; 4] = [
    "content_filter",
    "header_checks",
    "body_checks",
    "smtp_header_checks",
];

/// Decides, and tells what leads outside.
pub(super) fn decide(target: &mut Target, site: &Site, providers: &[Provider], facts: &Facts) {
    let Some(forwarding) = &facts.forwarding else {
        return;
    };
    if facts.origin == Origin::Stock && site.srs != Some(Srs::Postsrsd) {
        return;
    }
    let wired = srs::wired(facts, forwarding);
    let kept = kept(forwarding);
    match site.srs {
        Some(Srs::Postsrsd) => wire(target, site, facts, forwarding, kept),
        Some(Srs::None) => {
            if let Some(item) = &wired {
                let why = format!(
                    "`sender_canonical_maps` names `{item}`; whether it is yours or came with an earlier apply cannot be told, so it stays: delete it, or `mailfix undo` that apply"
                );
                target.decide("Sender rewriting (SRS)", "left as it is", vec![why]);
            }
        }
        None => {}
    }
    if forwarding.ways.is_empty() {
        return;
    }
    let mut why = outlook(target, providers, forwarding);
    if wired.is_none() && target.rewriter.is_none() {
        why.extend(alone(facts, kept));
        target.findings.extend(without_srs(site, facts));
    } else if wired.is_some() && site.srs.is_none() {
        let table = wired.unwrap_or_default();
        why.push(format!("`{table}` rewrites their senders"));
    }
    why.extend(unread(forwarding));
    target.decide("Forwards that lead outside", &count(forwarding), why);
}

/// Tells that mail is forwarded with senders whose SPF does not cover this host, if nobody has
/// said that this is known.
#[must_use]
pub fn without_srs(site: &Site, facts: &Facts) -> Option<Finding> {
    warning(facts, Some(site))
}

/// The same where there is no site file.
#[must_use]
pub fn warning(facts: &Facts, site: Option<&Site>) -> Option<Finding> {
    let forwarding = facts.forwarding.as_ref()?;
    let is_known = site.is_some_and(|site| site.srs.is_some());
    if is_known || kept(forwarding) == 0 || srs::wired(facts, forwarding).is_some() {
        return None;
    }
    Some(
        Finding::warning(
            "forwards-without-srs",
            format!("mail is forwarded to the outside under its original sender: {}", count(forwarding)),
        )
        .because("SPF of the original sender does not cover this host; receivers that go by it, or by DMARC where no DKIM signature has survived, refuse such mail")
        .mend("`srs = \"postsrsd\"` below `[forwarding]` in mailfix.toml has senders rewritten, `srs = \"none\"` says that it is known"),
    )
}

/// How many forwards keep the sender.
fn kept(forwarding: &Forwarding) -> usize {
    let mut ways = forwarding.ways.iter();
    ways.by_ref().filter(|way| way.keeps_sender).count()
}

/// How many lead where.
fn count(forwarding: &Forwarding) -> String {
    let number = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let from: std::collections::BTreeSet<_> = forwarding.ways.iter().map(|way| &way.from).collect();
    let receivers = forwarding.by_domain();
    let addresses = receivers.iter().map(|(_, count)| count).sum();
    let more = match forwarding.left_out {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(
        "{} to {} at {}{more}",
        number(from.len(), "alias", "aliases"),
        number(addresses, "address", "addresses"),
        number(receivers.len(), "domain", "domains"),
    )
}

/// The receiving domains, those of a known provider together.
fn outlook(target: &Target, providers: &[Provider], forwarding: &Forwarding) -> Vec<String> {
    let domains = forwarding.by_domain();
    let is_of = |provider: &Provider, domain: &str| {
        let hosts = forwarding.hosts.get(domain);
        provider.domains.iter().any(|one| one == domain)
            || hosts.and_then(|hosts| hosts.are_all_below(&provider.mx_suffixes)) == Some(true)
    };
    let mut why = Vec::new();
    let mut rest = domains.clone();
    for provider in providers {
        let (of, others): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|(domain, _)| is_of(provider, domain));
        rest = others;
        if let Some(list) = counted(&of) {
            let demand = provider
                .demands
                .ipv6
                .as_ref()
                .or(provider.demands.ipv4.as_ref());
            // Once is enough.
            let is_said = |why: &String| {
                let mut decisions = target.decisions.iter();
                decisions.any(|one| one.about == provider.name && one.why.contains(why))
            };
            let demand = demand.filter(|demand| !is_said(&demand.why));
            let demand = demand.map(|demand| format!("; {}", demand.why));
            why.push(format!(
                "{}: {list}{}",
                provider.name,
                demand.unwrap_or_default()
            ));
        }
    }
    if let Some(list) = counted(&rest) {
        let others = if why.is_empty() { "to" } else { "others:" };
        why.push(format!("{others} {list}"));
    }
    let unknown = forwarding
        .hosts
        .values()
        .filter(|hosts| matches!(hosts, MailHosts::Unknown(_)))
        .count();
    if unknown > 0 {
        why.push(format!(
            "DNS did not say who takes the mail of {unknown} of these domains"
        ));
    }
    why
}

fn counted(domains: &[(&str, usize)]) -> Option<String> {
    let first: Vec<String> = domains
        .iter()
        .take(NAMED)
        .map(|(domain, count)| match count {
            1 => (*domain).to_owned(),
            count => format!("{domain} ({count})"),
        })
        .collect();
    let list = first.join(", ");
    match domains.len().saturating_sub(NAMED) {
        0 => (!first.is_empty()).then_some(list),
        1 => Some(format!("{list} and one more domain")),
        more => Some(format!("{list} and {more} more domains")),
    }
}

/// What can pass under the original sender.
fn alone(facts: &Facts, kept: usize) -> Vec<String> {
    if kept == 0 {
        return vec![
            "each of these lists has an `owner-` alias, and its mail goes out under that sender"
                .to_owned(),
        ];
    }
    let changing: Vec<&str> = CHANGING
        .into_iter()
        .filter(|name| !facts.parameters.get(name).is_empty())
        .collect();
    let signature = if changing.is_empty() {
        "its DKIM signature passes, as nothing here is known to change header or body".to_owned()
    } else {
        format!(
            "its DKIM signature passes only where {} changes nothing of header or body",
            listed(changing)
        )
    };
    vec![
        format!(
            "receivers judge such a message by its original sender: SPF does not pass, since it does not cover this host; {signature}; DMARC hangs on that signature alone"
        ),
        "a message that is not signed reaches only receivers that do not go by SPF".to_owned(),
    ]
}

fn unread(forwarding: &Forwarding) -> Vec<String> {
    let places = forwarding.unread.iter();
    let mut lines: Vec<String> = places
        .clone()
        .take(UNREAD)
        .map(|(place, why)| format!("not read: {place}: {why}"))
        .collect();
    let more = places.count().saturating_sub(UNREAD);
    if more > 0 {
        lines.push(format!("not read: {more} more places"));
    }
    lines
}

/// Wires it, or says why not.
fn wire(target: &mut Target, site: &Site, facts: &Facts, forwarding: &Forwarding, kept: usize) {
    let about = "Sender rewriting (SRS)";
    let wiring = match srs::fit(site, facts, forwarding) {
        Ok(wiring) => wiring,
        Err(why) => {
            target.findings.push(
                Finding::error(
                    "srs-unfit",
                    "mailfix.toml asks for `srs = \"postsrsd\"`, which cannot be wired here",
                )
                .because(why.clone())
                .mend("mend that, or say `srs = \"none\"`"),
            );
            target.decide(about, "left out", vec![why]);
            return;
        }
    };
    let domain = &wiring.domain;
    let mut why = vec![
        format!(
            "an envelope sender from outside becomes `SRS0=…@{domain}`, whose SPF record is yours; a bounce to it comes back here and goes on to the original sender"
        ),
        "`From:` stays, and with it the signature of its domain: DMARC of that domain still hangs on DKIM alone".to_owned(),
        "senders of this host's own domains stay as they are".to_owned(),
        "the cost: every message from outside is rewritten, also those that stay here (`Return-Path:` shows it), and while PostSRSd does not answer all mail waits".to_owned(),
    ];
    if kept == 0 {
        why.push(
            "no forward that needs it was found; it is set up as mailfix.toml says".to_owned(),
        );
    }
    if let Some(bounces) = &forwarding.bounces {
        target.findings.extend(doubts(bounces));
    }
    let outcome = format!("by {}", wiring.wanted.rewriter.title);
    target.decide(about, &outcome, why);
    target.settings.extend(wiring.settings);
    target.rewriter = Some(wiring.wanted);
}

/// What DNS has against the domain of rewritten addresses.
fn doubts(bounces: &Bounces) -> Vec<Finding> {
    let domain = &bounces.domain;
    let mut findings = Vec::new();
    let mx = match &bounces.come_back {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "no mail host of `{domain}` is this one, so bounces of forwarded mail may never come back"
        )),
        Err(why) => Some(format!(
            "whether bounces to `{domain}` come back here is not known: {why}"
        )),
    };
    findings.extend(mx.map(|title| {
        Finding::warning("srs-domain", title)
            .because("senders of forwarded mail are rewritten to addresses of this domain")
            .mend("let its MX record name this host, or one that hands its mail on to it")
    }));
    let mut uncovered: Vec<String> = bounces.spf.problem.iter().cloned().collect();
    for (address, covers) in &bounces.spf.covers {
        match covers {
            Ok(true) => {}
            Ok(false) => uncovered.push(format!("it does not cover {address}")),
            Err(why) => uncovered.push(format!("{address}: {why}")),
        }
    }
    if !uncovered.is_empty() {
        findings.push(
            Finding::warning(
                "srs-domain",
                format!(
                    "SPF of `{domain}` is not as rewritten senders need it: {}",
                    uncovered.join(", ")
                ),
            )
            .because("rewritten senders are judged by the SPF record of this domain")
            .mend("`mailfix dns show` has the record"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{DomainFacts, Way, example};
    use crate::remedy::shown;

    /// What the site file says, a forward or none, lines of main.cf, what DNS says of the domain
    /// of rewritten senders; decisions and findings.
    #[track_caller]
    fn check(
        site: &str,
        (from, keeps_sender): (&str, bool),
        main: &str,
        bounces: Option<Bounces>,
        expected: &[&str],
    ) {
        let mut facts = example::host("3.7.11", main, "").facts;
        facts.origin = Origin::Machine;
        let mut forwarding = Forwarding {
            bounces,
            ..Forwarding::default()
        };
        if !from.is_empty() {
            forwarding.ways.insert(Way {
                domain: "far.example".to_owned(),
                to: "x@far.example".to_owned(),
                from: from.to_owned(),
                place: "hash:/etc/aliases".to_owned(),
                keeps_sender,
            });
        }
        facts.forwarding = Some(forwarding);
        let mut target = Target::default();
        decide(&mut target, &shown::site(site), &[], &facts);
        let decisions = target.decisions.iter();
        let said = decisions.map(|one| format!("{}: {}", one.about, one.outcome));
        let found = target.findings.iter().map(|one| one.code.to_owned());
        assert_eq!(said.chain(found).collect::<Vec<_>>(), expected);
    }

    const TOLD: &str = "Forwards that lead outside: 1 alias to 1 address at 1 domain";
    const NOTHING: (&str, bool) = ("", true);
    const LIST: (&str, bool) = ("list", true);

    #[test]
    fn it_is_told_until_somebody_says_that_it_is_known() {
        check("", NOTHING, "", None, &[]);
        check("", LIST, "", None, &[TOLD, "forwards-without-srs"]);
        check("[forwarding]\nsrs = \"none\"", LIST, "", None, &[TOLD]);
        // Such a list has a sender of its own.
        check("", ("list", false), "", None, &[TOLD]);
        // So does what another program rewrites.
        let other = "sender_canonical_maps = tcp:127.0.0.1:9";
        check("", LIST, other, None, &[TOLD]);
        check(
            "[forwarding]\nsrs = \"none\"",
            NOTHING,
            other,
            None,
            &["Sender rewriting (SRS): left as it is"],
        );
    }

    #[test]
    fn what_cannot_be_wired_is_an_error() {
        check(
            "[forwarding]\nsrs = \"postsrsd\"",
            NOTHING,
            "",
            None,
            &["Sender rewriting (SRS): left out", "srs-unfit"],
        );
    }

    #[test]
    fn doubts_about_the_domain_are_told() {
        let bounces = |come_back: Result<bool, String>, covers: Result<bool, String>| Bounces {
            domain: "example.org".to_owned(),
            come_back,
            spf: DomainFacts {
                covers: [("192.0.2.25".parse().unwrap(), covers)].into(),
                ..DomainFacts::default()
            },
        };
        let said = |bounces: Bounces| -> Vec<String> {
            doubts(&bounces).into_iter().map(|one| one.title).collect()
        };
        assert_eq!(said(bounces(Ok(true), Ok(true))), [""; 0]);
        assert_eq!(
            said(bounces(Ok(false), Ok(false))),
            [
                "no mail host of `example.org` is this one, so bounces of forwarded mail may never come back",
                "SPF of `example.org` is not as rewritten senders need it: it does not cover 192.0.2.25",
            ]
        );
        let unknown = || Err("SERVFAIL".to_owned());
        assert_eq!(
            said(bounces(unknown(), unknown())),
            [
                "whether bounces to `example.org` come back here is not known: SERVFAIL",
                "SPF of `example.org` is not as rewritten senders need it: 192.0.2.25: SERVFAIL",
            ]
        );
    }
}
