//! Turn a provider's refusal over IPv6 into a temporary one, so that smtp(8) tries IPv4 next.
//!
//! Fits Postfix 2.7 and later (`smtp_reply_filter`, postconf(5)). It goes by what the last line of
//! a reply says, so it needs no list of domains and sees every stage from MAIL on; what the
//! provider words anew under another code, it misses. The parameter takes one table: where the
//! administrator has one, ours holds a copy of it in front of our rules.

use serde::Serialize;

use crate::finding::Finding;
use crate::host::{
    BEHIND_COPY, COPY_OF, Facts, FilterSource, REPLY_FILTER, REPLY_FILTER_FILE, ReplyFilter, note,
};
use crate::postfix::{Service, ServiceType, Version};
use crate::provider::{ANY_WORD, Provider, Refusal, Sample};
use crate::remedy::{Case, Contribution, Fit, Named, named};
use crate::target::{self, Ensure, ServiceWanted, Setting, TableWanted};
use crate::template;

/// The first version that has the filter.
const SINCE: Version = Version::new(2, 7, 0);

/// `regexp` is compiled into every Postfix; `pcre` is a package of its own in most systems.
const KIND: &str = "regexp";

/// How many sessions of one attempt may come as far as MAIL.
const SESSION_LIMIT: &str = "smtp_mx_session_limit";

/// Sessions in one attempt: two mail hosts of one preference with two IPv6 addresses each, and
/// one session left for IPv4.
const SESSIONS: u32 = 5;

#[derive(Serialize)]
struct Variables<'a> {
    copy: Option<Copied<'a>>,
    copy_of: &'a str,
    behind_copy: &'a str,
    sessions: Option<String>,
    providers: Vec<Entry>,
}

#[derive(Serialize)]
struct Copied<'a> {
    table: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    patterns: Vec<String>,
}

/// Gives what the remedy adds, or why it does not fit.
///
/// # Errors
/// When its template cannot be rendered.
pub fn fit(case: &Case<'_>) -> Fit {
    let facts = case.facts;
    if let Some(why) = unfit(case) {
        return Ok(Err(why));
    }
    let mut contribution = Contribution {
        findings: judged(case),
        ..Contribution::default()
    };
    let Sessions {
        setting,
        service,
        note,
        reason,
    } = sessions(facts);
    contribution.settings.extend(setting);
    contribution.services.extend(service);
    let path = facts.own_folder().join(REPLY_FILTER_FILE);
    let present = named(facts, REPLY_FILTER, &path);
    let filter = facts.reply_filter.as_ref();
    if present.is_none()
        && let Some(filter) = filter
        && samples(case).all(|(_, sample)| softens(filter, &sample.line))
    {
        contribution.outcome = format!("`{}` does it already", filter.table);
        contribution.reasons.extend(reason);
        return Ok(Ok(contribution));
    }
    let copy = match filter.map(|filter| (filter, &filter.source)) {
        None => None,
        Some((filter, Ok(source))) if !source.is_public && present.is_none() => {
            return Ok(Err(format!(
                "`{REPLY_FILTER}` takes one table and names `{}`, which is yours and stays as it is: not everyone may read it, and everyone could read a copy with more rules",
                filter.table
            )));
        }
        Some((filter, Ok(source))) => Some((filter, source)),
        Some((filter, Err(why))) => {
            return Ok(Err(format!(
                "`{REPLY_FILTER}` takes one table and names `{}`, which is yours and stays as it is: {why}, so a copy with more rules cannot be made",
                filter.table
            )));
        }
    };
    let kind = copy.map_or(KIND, |(_, source)| source.kind.as_str());
    let Named { kind, item } = present
        .filter(|present| copy.is_none() || present.kind == kind)
        .unwrap_or_else(|| Named {
            kind: kind.to_owned(),
            item: format!("{kind}:{path}"),
        });
    contribution.tables.push(TableWanted {
        file: REPLY_FILTER_FILE.to_owned(),
        kind,
        text: template::render(REPLY_FILTER_FILE, &variables(case, copy, note))?,
        samples: samples(case)
            .map(|(_, sample)| (sample.line.clone(), expected(filter, &sample.line)))
            .collect(),
    });
    contribution.settings.push(Setting::Is {
        name: REPLY_FILTER.to_owned(),
        value: item,
    });
    let (known, unknown): (Vec<&Provider>, Vec<&Provider>) = case
        .providers
        .iter()
        .copied()
        .partition(|provider| refusals(provider).next().is_some());
    contribution
        .findings
        .extend(unknown.into_iter().map(unknown_refusal));
    let names: Vec<&str> = known
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    contribution.outcome = format!(
        "what {} refuses over IPv6 is tried over IPv4 next",
        names.join(" and ")
    );
    contribution.reasons = reasons(case);
    contribution.reasons.extend(reason);
    if let Some((filter, _)) = copy {
        contribution.reasons.push(format!(
            "`{REPLY_FILTER}` takes one table: ours begins with a copy of `{}`, whose rules come first; edit yours, and `mailfix apply` copies it again",
            filter.table
        ));
    }
    spare(facts, &mut contribution);
    Ok(Ok(contribution))
}

fn unknown_refusal(provider: &Provider) -> Finding {
    Finding::warning(
        "unknown-refusal",
        format!("nobody knows how {} words a refusal", provider.name),
    )
    .because("the reply filter has no rule for it: what it refuses over IPv6 bounces as before")
}

/// Keeps our rules away from the clients that never use IPv6.
fn spare(facts: &Facts, contribution: &mut Contribution) {
    let spared: Vec<&Service> = facts
        .services
        .iter()
        .filter(|service| is_ipv4_only(service, facts))
        .filter(|service| service.option(REPLY_FILTER).is_none())
        .collect();
    if spared.is_empty() {
        return;
    }
    let names: Vec<&str> = spared.iter().map(|service| service.name.as_str()).collect();
    contribution.reasons.push(format!(
        "`{}` sends over IPv4 only, where a refusal made temporary would just come back later: our rules do not hold there",
        names.join("`, `")
    ));
    let options = spared
        .iter()
        .map(|service| wanted(&service.name, REPLY_FILTER, without_ipv6(facts)));
    contribution.services.extend(options);
}

/// Says what is wrong with the filter that the administrator has, whether or not ours is used.
#[must_use]
pub fn judged(case: &Case<'_>) -> Vec<Finding> {
    let Some(filter) = &case.facts.reply_filter else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for provider in case.providers {
        let lines = || refusals(provider).flat_map(|refusal| &refusal.samples);
        let (softened, missed): (Vec<&Sample>, Vec<&Sample>) =
            lines().partition(|sample| softens(filter, &sample.line));
        let since = missed.iter().map(|sample| sample.since.as_str()).min();
        if let Some(since) = since.filter(|_| !softened.is_empty()) {
            findings.push(
                Finding::warning(
                    "outdated-reply-filter",
                    format!(
                        "`{}` misses how {} has worded refusals since {since}",
                        filter.table, provider.name
                    ),
                )
                .because("it goes by words that have changed: mail so refused over IPv6 bounces, as if there were no filter")
                .mend("go by the codes, as the reply filter of mailfix does, or remove it where another cure holds"),
            );
        }
        let others = provider.demands.ipv6.iter();
        let broad = others
            .flat_map(|demand| &demand.other_refusals)
            .find(|line| softens(filter, line));
        if let Some(line) = broad {
            findings.push(
                Finding::warning(
                    "broad-reply-filter",
                    format!("`{}` makes `{line}` temporary", filter.table),
                )
                .because(format!(
                    "that is no refusal of the address mail comes from: such mail stays in the queue for {} instead of bouncing at once",
                    lifetime(case.facts)
                ))
                .mend("let the rule match the codes of the refusals it is meant for"),
            );
        }
    }
    findings
}

/// The filter of a client that never uses IPv6: without our rules, but with the administrator's.
#[must_use]
pub fn without_ipv6(facts: &Facts) -> &str {
    let own = facts.reply_filter.as_ref();
    own.map_or("", |filter| filter.table.as_str())
}

fn wanted(name: &str, option: &str, value: &str) -> ServiceWanted {
    ServiceWanted {
        name: name.to_owned(),
        kind: ServiceType::Unix,
        ensure: Ensure::Words {
            chroot: None,
            options: vec![(option.to_owned(), value.to_owned())],
        },
    }
}

/// Why the filter would do nothing here, if so.
fn unfit(case: &Case<'_>) -> Option<String> {
    let facts = case.facts;
    if facts.version < SINCE {
        return Some(format!(
            "Postfix {} has no `{REPLY_FILTER}` (2.7 and later)",
            facts.version
        ));
    }
    if let Some(client) = facts.client()
        && client.option(REPLY_FILTER).is_some()
    {
        return Some(format!(
            "the `{}` service sets its own `-o {REPLY_FILTER}`, which stays as it is",
            client.name
        ));
    }
    if samples(case).next().is_none() {
        return Some("nobody knows how these receivers word a refusal".to_owned());
    }
    if facts.of_client("smtp_mx_address_limit") == "1" {
        return Some(
            "`smtp_mx_address_limit = 1`: no second address of a receiver is ever tried".to_owned(),
        );
    }
    let sources = target::ipv6_sources(case.site, facts).unwrap_or_default();
    let is_confirmed = |&address| facts.dns.objections(address, true, false).is_empty();
    if !sources.is_empty() && sources.iter().all(is_confirmed) {
        return Some(
            "every IPv6 address mail leaves from has its PTR record, and a refusal for want of SPF or DKIM is none that a filter should make temporary"
                .to_owned(),
        );
    }
    if let Some(filter) = &facts.reply_filter
        && let Err(said) = &filter.answers
    {
        return Some(format!(
            "`{}` is your own reply filter and could not be asked: {said}",
            filter.table
        ));
    }
    None
}

fn refusals(provider: &Provider) -> impl Iterator<Item = &Refusal> {
    let demand = provider.demands.ipv6.iter();
    demand.flat_map(|demand| &demand.refusals)
}

fn samples<'a>(case: &Case<'a>) -> impl Iterator<Item = (&'a Refusal, &'a Sample)> + use<'a> {
    let refusals = case
        .providers
        .iter()
        .flat_map(|provider| refusals(provider));
    refusals.flat_map(|refusal| refusal.samples.iter().map(move |sample| (refusal, sample)))
}

/// Tells whether a filter makes a refusal temporary.
fn softens(filter: &ReplyFilter, line: &str) -> bool {
    let answers = filter.answers.as_ref().ok();
    answers
        .and_then(|answers| answers.get(line))
        .is_some_and(|answer| answer.starts_with('4'))
}

/// What the table gives for a refusal: rules of the administrator's come first.
fn expected(filter: Option<&ReplyFilter>, line: &str) -> String {
    let answers = filter.and_then(|filter| filter.answers.as_ref().ok());
    let own = answers.and_then(|answers| answers.get(line)).cloned();
    own.unwrap_or_else(|| softened(line))
}

/// The line as our rules make it: a 4 for the 5 of both codes, and the rest as it was.
fn softened(line: &str) -> String {
    let (code, rest) = line.split_once(" 5").unwrap_or((line, ""));
    format!("4{} 4{rest}", code.strip_prefix('5').unwrap_or(code))
}

fn variables<'a>(
    case: &Case<'a>,
    copy: Option<(&'a ReplyFilter, &'a FilterSource)>,
    sessions: Option<String>,
) -> Variables<'a> {
    let copy = copy.map(|(filter, source)| Copied {
        table: &filter.table,
        text: source.text.strip_suffix('\n').unwrap_or(&source.text),
    });
    let entry = |provider: &&Provider| Entry {
        name: provider.name.clone(),
        patterns: refusals(provider).flat_map(patterns).collect(),
    };
    Variables {
        copy,
        copy_of: COPY_OF,
        behind_copy: BEHIND_COPY,
        sessions,
        providers: case
            .providers
            .iter()
            .map(entry)
            .filter(|entry| !entry.patterns.is_empty())
            .collect(),
    }
}

/// Patterns that both `regexp` and `pcre` read alike. What is captured is put back: the reply
/// code but for its first digit, and all behind the first digit of the status code.
fn patterns(refusal: &Refusal) -> Vec<String> {
    let code = escaped(refusal.code.strip_prefix('5').unwrap_or(&refusal.code));
    if refusal.endings.is_empty() {
        return vec![format!("^5(50 )5({code}( .*)?)$")];
    }
    let words = |ending: &String| {
        let word = |word| match word {
            ANY_WORD => "[^ ]+".to_owned(),
            word => escaped(word),
        };
        let words: Vec<String> = ending.split(' ').map(word).collect();
        format!("^5(50 )5({code} (.* )?{})$", words.join(" "))
    };
    refusal.endings.iter().map(words).collect()
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| [r"\.[]{}()*+?^$|/".contains(c).then_some('\\'), Some(c)])
        .flatten()
        .collect()
}

/// What an attempt needs of sessions, and has not or has from us.
#[derive(Default)]
struct Sessions {
    setting: Option<Setting>,
    service: Option<ServiceWanted>,
    /// What main.cf said before, for the comment that notes it.
    note: Option<String>,
    reason: Option<String>,
}

/// With two sessions, two mail hosts with IPv6 use up an attempt before IPv4 has its turn.
fn sessions(facts: &Facts) -> Sessions {
    let value = facts.of_client(SESSION_LIMIT);
    let limit = value.parse().unwrap_or(0);
    // 0 is no limit.
    let is_low = limit != 0 && limit < SESSIONS;
    let noted = facts.own.before.get(SESSION_LIMIT);
    let is_ours = limit == SESSIONS && noted.is_some();
    if !is_low && !is_ours {
        return Sessions::default();
    }
    let reason = is_low.then(|| {
        format!(
            "`{SESSION_LIMIT}` becomes {SESSIONS}: with {value}, mail hosts with IPv6 use up the attempt, and IPv4 has no turn"
        )
    });
    if let Some(client) = facts.client()
        && client.option(SESSION_LIMIT).is_some()
    {
        return Sessions {
            service: Some(wanted(&client.name, SESSION_LIMIT, &SESSIONS.to_string())),
            reason,
            ..Sessions::default()
        };
    }
    let is_set = facts.explicit.contains(SESSION_LIMIT);
    let now = facts
        .parameters
        .raw(SESSION_LIMIT)
        .filter(|_| is_set)
        .map(ToOwned::to_owned);
    let before = if is_ours {
        noted.cloned().flatten()
    } else {
        now
    };
    Sessions {
        setting: Some(Setting::Is {
            name: SESSION_LIMIT.to_owned(),
            value: SESSIONS.to_string(),
        }),
        note: Some(note(SESSION_LIMIT, before.as_deref())),
        service: None,
        reason,
    }
}

/// What has to be set again when our filter goes: what it took the place of.
#[must_use]
pub fn taken_back(facts: &Facts) -> Vec<Setting> {
    let is_ours =
        |name: &str| name == SESSION_LIMIT && facts.parameters.get(name) == SESSIONS.to_string();
    let before = facts.own.before.iter().filter(|(name, _)| is_ours(name));
    before
        .map(|(name, before)| {
            let name = name.clone();
            match before.clone() {
                Some(value) => Setting::Is { name, value },
                None => Setting::Unset { name },
            }
        })
        .collect()
}

/// Names the options of the administrator's services that this remedy may have set: they look
/// like anybody's, so they stay.
#[must_use]
pub fn options_left(facts: &Facts) -> Vec<Finding> {
    let without = without_ipv6(facts);
    let made = facts.own.services();
    let mut findings = Vec::new();
    for service in facts.services.iter().filter(|service| {
        service.kind == ServiceType::Unix
            && service.command == "smtp"
            && !made.contains(&service.name)
    }) {
        let spared = is_ipv4_only(service, facts) && service.option(REPLY_FILTER) == Some(without);
        let raised = service.option(SESSION_LIMIT) == Some(SESSIONS.to_string().as_str());
        for (option, value) in [
            (REPLY_FILTER, spared.then(|| without.to_owned())),
            (SESSION_LIMIT, raised.then(|| SESSIONS.to_string())),
        ] {
            let Some(value) = value else { continue };
            findings.push(
                Finding::note(
                    "left-option",
                    format!(
                        "`-o {option}={value}` of the service `{}` in master.cf stays",
                        service.name
                    ),
                )
                .because("whether it is yours or came with the reply filter cannot be told")
                .mend("delete it if you did not set it; `mailfix undo` of the apply that did brings back what was there"),
            );
        }
    }
    findings
}

fn is_ipv4_only(service: &Service, facts: &Facts) -> bool {
    service.kind == ServiceType::Unix
        && service.command == "smtp"
        && service
            .option("inet_protocols")
            .is_some_and(|protocols| facts.parameters.expand(protocols).trim() == "ipv4")
}

fn lifetime(facts: &Facts) -> String {
    match facts.parameters.get("maximal_queue_lifetime") {
        unset if unset.is_empty() => "days".to_owned(),
        lifetime => format!("`maximal_queue_lifetime` ({lifetime})"),
    }
}

fn reasons(case: &Case<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    for provider in case.providers {
        let codes: Vec<&str> = refusals(provider)
            .map(|refusal| refusal.code.as_str())
            .collect();
        if codes.is_empty() {
            continue;
        }
        reasons.push(format!(
            "the refusals {} of {} count as temporary, whatever domain it hosts, so Postfix goes on to the next address in the same attempt; unknown users (5.1.1) still bounce at once",
            codes.join(" and "),
            provider.name
        ));
        for refusal in refusals(provider) {
            if let Some(shared) = &refusal.shared {
                reasons.push(format!(
                    "{} says {} in the same words about {shared}: such mail may stay in the queue for {} before it comes back",
                    provider.name,
                    refusal.code,
                    lifetime(case.facts)
                ));
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::example;
    use crate::remedy::shown;
    use std::collections::BTreeMap;

    const SET: &str = "smtp_reply_filter = regexp:/etc/postfix/mailfix/reply_filter";
    const SESSIONS: &str = "smtp_mx_session_limit = 5";
    /// The samples of Google, as far as a test tells them apart.
    const LINES: [&str; 7] = [
        "550 5.7.25 information. s12si10692358edy.381 - gsmtp",
        "550 5.7.25  https://support.google.com/mail/answer/81126#ip-practices neko-1785a7g6767a6agg.2 - gsmtp",
        "550 5.7.25  https://support.google.com/a?p=sender-guidelines. d9443c01a7336-1fed7ee81f0si149452475ad.272 - gsmtp",
        "550 5.7.1 https://support.google.com/mail/answer/81126for more information. ea8si3107268bkc.295 - gsmtp",
        "550 5.7.1 information. q43si37022102eeo.243 - gsmtp",
        "550 5.7.1 . f188si464031wme.109 - gsmtp",
        "550 5.7.1  https://support.google.com/mail/?p=IPv6AuthError v5si749738wrb.38 - gsmtp",
    ];
    /// What the filter of 2013 matches.
    const WORDS: [&str; 3] = [LINES[0], LINES[3], LINES[4]];
    const UNKNOWN: &str = "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser d65-20020a251d44000000b006f3cdde5cb1si3303772ybd.234 - gsmtp";

    /// A filter of the administrator's that softens these lines.
    fn own(table: &str, source: Result<&str, &str>, softened: &[&str]) -> ReplyFilter {
        let answer = |line: &&str| ((*line).to_owned(), super::softened(line));
        let kind = table.split(':').next().unwrap_or_default();
        ReplyFilter {
            table: table.to_owned(),
            source: source
                .map(|text| FilterSource {
                    kind: kind.to_owned(),
                    text: text.to_owned(),
                    is_public: true,
                })
                .map_err(ToOwned::to_owned),
            answers: Ok(softened.iter().map(answer).collect()),
            is_gone: false,
        }
    }

    fn fitted(
        version: &str,
        main: &str,
        master: &str,
        filter: Option<ReplyFilter>,
    ) -> Result<Contribution, String> {
        let mut facts = example::host(version, main, master).facts;
        facts.table_types.insert("pcre".to_owned());
        if let Some(filter) = &filter
            && main.is_empty()
        {
            facts.parameters.set(REPLY_FILTER, &filter.table);
        }
        facts.reply_filter = filter;
        shown::fitted(fit, &facts)
    }

    /// Settings, services and findings; of a table its type and name.
    #[track_caller]
    fn check(given: (&str, &str, &str, Option<ReplyFilter>), expected: Result<&[&str], &str>) {
        let (version, main, master, filter) = given;
        let given = fitted(version, main, master, filter).map(|fitted| {
            let mut lines = shown::lines(&fitted.settings, &fitted.services, &[], &fitted.findings);
            lines.extend(
                fitted
                    .tables
                    .iter()
                    .map(|table| format!("{}:{}", table.kind, table.file)),
            );
            lines
        });
        let expected = expected
            .map(|lines| lines.iter().map(ToString::to_string).collect())
            .map_err(ToOwned::to_owned);
        assert_eq!(given, expected);
    }

    const TABLE: &str = "regexp:reply_filter";

    #[test]
    fn it_fits_from_2_7_on_and_raises_the_sessions() {
        check(("3.7.11", "", "", None), Ok(&[SESSIONS, SET, TABLE]));
        check(("2.7.0", "", "", None), Ok(&[SESSIONS, SET, TABLE]));
        check(
            ("2.6.6", "", "", None),
            Err("Postfix 2.6.6 has no `smtp_reply_filter` (2.7 and later)"),
        );
        for (limit, raised) in [("4", true), ("5", false), ("50", false), ("0", false)] {
            let main = format!("smtp_mx_session_limit = {limit}");
            let expected: &[&str] = if raised {
                &[SESSIONS, SET, TABLE]
            } else {
                &[SET, TABLE]
            };
            check(("3.7.11", &main, "", None), Ok(expected));
        }
        check(
            (
                "3.7.11",
                "",
                "smtp unix - - n - - smtp -o smtp_mx_session_limit=3",
                None,
            ),
            Ok(&[
                SET,
                "smtp: chroot None, options [(\"smtp_mx_session_limit\", \"5\")]",
                TABLE,
            ]),
        );
    }

    #[test]
    fn what_the_limit_was_is_noted_for_the_way_back() {
        let noted = |main: &str, before: Option<Option<&str>>| {
            let mut facts = example::host("3.7.11", main, "").facts;
            if let Some(before) = before {
                let before = before.map(ToOwned::to_owned);
                facts.own.before.insert(SESSION_LIMIT.to_owned(), before);
            }
            let fitted = shown::fitted(fit, &facts).unwrap();
            let text = fitted.tables[0].text.clone();
            let note = text
                .lines()
                .find(|line| line.starts_with("# Before mailfix"));
            (note.map(ToOwned::to_owned), taken_back(&facts))
        };
        let unset = "# Before mailfix: smtp_mx_session_limit not set".to_owned();
        let three = "# Before mailfix: smtp_mx_session_limit = 3".to_owned();
        let (note, back) = noted("", None);
        assert_eq!((note, back.len()), (Some(unset.clone()), 0));
        let (note, back) = noted("smtp_mx_session_limit = 3", None);
        assert_eq!((note, back.len()), (Some(three.clone()), 0));
        let name = SESSION_LIMIT.to_owned();
        let (note, back) = noted("smtp_mx_session_limit = 5", Some(None));
        assert_eq!((note, back), (Some(unset), vec![Setting::Unset { name }]));
        let (note, back) = noted("smtp_mx_session_limit = 5", Some(Some("3")));
        let (name, value) = (SESSION_LIMIT.to_owned(), "3".to_owned());
        assert_eq!(
            (note, back),
            (Some(three), vec![Setting::Is { name, value }])
        );
        // The administrator has thought again since.
        let (note, back) = noted("smtp_mx_session_limit = 50", Some(Some("3")));
        assert_eq!((note, back.len()), (None, 0));
    }

    #[test]
    fn it_does_not_fit_where_it_would_do_nothing() {
        let own = "smtp unix - - n - - smtp -o smtp_reply_filter=";
        check(
            ("3.7.11", "", own, None),
            Err("the `smtp` service sets its own `-o smtp_reply_filter`, which stays as it is"),
        );
        check(
            ("3.7.11", "smtp_mx_address_limit = 1", "", None),
            Err("`smtp_mx_address_limit = 1`: no second address of a receiver is ever tried"),
        );
        let mut facts = example::host("3.7.11", "", "").facts;
        let zone = "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR mail.example.org.\nmail.example.org. 60 IN AAAA 2001:db8::25\n";
        facts.dns = example::dns(zone, &["2001:db8::25"], &["example.org"]);
        assert_eq!(
            shown::fitted(fit, &facts).unwrap_err(),
            "every IPv6 address mail leaves from has its PTR record, and a refusal for want of SPF or DKIM is none that a filter should make temporary"
        );
    }

    #[test]
    fn the_table_says_what_it_does() {
        let fitted = fitted("2.10.1", "", "", None).unwrap();
        let rules: Vec<&str> = fitted.tables[0]
            .text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .collect();
        assert_eq!(
            rules,
            [
                r"/^5(50 )5(\.7\.25( .*)?)$/ 4${1}4$2",
                r"/^5(50 )5(\.7\.1 (.* )?information\. [^ ]+ - gsmtp)$/ 4${1}4$2",
                r"/^5(50 )5(\.7\.1 (.* )?\. [^ ]+ - gsmtp)$/ 4${1}4$2",
                r"/^5(50 )5(\.7\.1 (.* )?https:\/\/support\.google\.com\/mail\/\?p=IPv6AuthError [^ ]+ - gsmtp)$/ 4${1}4$2",
            ]
        );
        let keys: Vec<&str> = fitted.tables[0]
            .samples
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(keys, LINES);
        assert_eq!(
            fitted.tables[0].samples[5].1,
            "450 4.7.1 . f188si464031wme.109 - gsmtp"
        );
    }

    #[test]
    fn a_receiver_whose_refusals_nobody_knows_is_named() {
        let facts = example::host("3.7.11", "", "").facts;
        let mut google = Provider::demanding().remove(0);
        let mut other = google.clone();
        "Other".clone_into(&mut other.name);
        other.demands.ipv6.as_mut().unwrap().refusals.clear();
        let fitted = |providers: &[&Provider]| {
            let site = shown::site("");
            let profile = crate::profile::Profile::built_in("linux").unwrap();
            let case = Case {
                providers,
                site: &site,
                profile: &profile,
                facts: &facts,
            };
            fit(&case).unwrap()
        };
        let both = fitted(&[&google, &other]).unwrap();
        assert_eq!(
            both.outcome,
            "what Google refuses over IPv6 is tried over IPv4 next"
        );
        assert_eq!(both.findings[0].code, "unknown-refusal");
        assert_eq!(both.findings.len(), 1);
        google.demands.ipv6 = None;
        assert_eq!(
            fitted(&[&google, &other]).unwrap_err(),
            "nobody knows how these receivers word a refusal"
        );
    }

    #[test]
    fn the_reasons_name_what_it_may_delay() {
        let reasons = fitted("2.10.1", "", "", None).unwrap().reasons;
        assert_eq!(
            reasons,
            [
                "the refusals 5.7.25 and 5.7.1 of Google count as temporary, whatever domain it hosts, so Postfix goes on to the next address in the same attempt; unknown users (5.1.1) still bounce at once",
                "Google says 5.7.1 in the same words about mail it takes for unsolicited, or whose sender has a very low reputation there: such mail may stay in the queue for `maximal_queue_lifetime` (5d) before it comes back",
                "`smtp_mx_session_limit` becomes 5: with 2, mail hosts with IPv6 use up the attempt, and IPv4 has no turn",
            ]
        );
    }

    #[test]
    fn on_clients_without_ipv6_it_is_emptied() {
        let v4 = "v4 unix - - n - - smtp -o inet_protocols=ipv4\n\
                  own unix - - n - - smtp -o inet_protocols=ipv4 -o smtp_reply_filter=regexp:/x\n\
                  in inet n - n - - smtpd -o inet_protocols=ipv4\n\
                  all unix - - n - - smtp -o inet_protocols=ipv4,ipv6";
        check(
            ("3.7.11", "", v4, None),
            Ok(&[
                SESSIONS,
                SET,
                "v4: chroot None, options [(\"smtp_reply_filter\", \"\")]",
                TABLE,
            ]),
        );
        // What the administrator wants of every reply holds there too.
        let filter = own("pcre:/etc/own", Ok("/a/ b\n"), &[]);
        check(
            (
                "3.7.11",
                "",
                "v4 unix - - n - - smtp -o inet_protocols=ipv4",
                Some(filter),
            ),
            Ok(&[
                SESSIONS,
                "smtp_reply_filter = pcre:/etc/postfix/mailfix/reply_filter",
                "v4: chroot None, options [(\"smtp_reply_filter\", \"pcre:/etc/own\")]",
                "pcre:reply_filter",
            ]),
        );
    }

    #[test]
    fn a_filter_of_the_administrator_is_copied_in_front() {
        let text = "# mine\n/^5(\\d\\d )5(.*information. \\S+ - gsmtp.*)/ 4${1}4$2";
        let outdated = "outdated-reply-filter: `pcre:/etc/own` misses how Google has worded refusals since 2016-09";
        let pcre = "smtp_reply_filter = pcre:/etc/postfix/mailfix/reply_filter";
        let filter = || own("pcre:/etc/own", Ok(text), &WORDS);
        check(
            ("3.7.11", "", "", Some(filter())),
            Ok(&[SESSIONS, pcre, outdated, "pcre:reply_filter"]),
        );
        let fitted = fitted("3.7.11", "", "", Some(filter())).unwrap();
        let beginning =
            format!("# Copy of pcre:/etc/own\n{text}\n# End of the copy.\n# postconf(5)");
        assert!(
            fitted.tables[0].text.starts_with(&beginning),
            "{}",
            fitted.tables[0].text
        );
        assert!(
            fitted
                .reasons
                .iter()
                .any(|reason| reason.contains("a copy of `pcre:/etc/own`"))
        );
        // Run again, when ours stands in main.cf, it is the same.
        let main = pcre;
        check(
            ("3.7.11", main, "", Some(filter())),
            Ok(&[SESSIONS, pcre, outdated, "pcre:reply_filter"]),
        );
        // Also when theirs has learnt everything since.
        check(
            (
                "3.7.11",
                main,
                "",
                Some(own("pcre:/etc/own", Ok(text), &LINES)),
            ),
            Ok(&[SESSIONS, pcre, "pcre:reply_filter"]),
        );
    }

    #[test]
    fn answers_of_the_administrator_come_first() {
        let mut filter = own("regexp:/etc/own", Ok("/x/ y\n"), &[]);
        filter.answers = Ok(BTreeMap::from([(
            LINES[5].to_owned(),
            "550 5.7.1 no".to_owned(),
        )]));
        let fitted = fitted("3.7.11", "", "", Some(filter)).unwrap();
        assert_eq!(fitted.tables[0].samples[5].1, "550 5.7.1 no");
        assert!(fitted.tables[0].samples[4].1.starts_with("450 4.7.1 "));
    }

    #[test]
    fn a_filter_that_does_it_already_stays() {
        let all = || own("hash:/etc/own", Err("no copy"), &LINES);
        check(("3.7.11", "", "", Some(all())), Ok(&[SESSIONS]));
        let broad: Vec<&str> = LINES.into_iter().chain([UNKNOWN]).collect();
        check(
            (
                "3.7.11",
                "",
                "",
                Some(own("regexp:/etc/own", Ok(""), &broad)),
            ),
            Ok(&[
                SESSIONS,
                &format!("broad-reply-filter: `regexp:/etc/own` makes `{UNKNOWN}` temporary"),
            ]),
        );
    }

    #[test]
    fn a_filter_that_cannot_be_copied_or_asked_stays() {
        check(
            (
                "3.7.11",
                "",
                "",
                Some(own("hash:/etc/own", Err("it is odd"), &[])),
            ),
            Err(
                "`smtp_reply_filter` takes one table and names `hash:/etc/own`, which is yours and stays as it is: it is odd, so a copy with more rules cannot be made",
            ),
        );
        let mut closed = own("pcre:/etc/own", Ok(""), &[]);
        if let Ok(source) = &mut closed.source {
            source.is_public = false;
        }
        check(
            ("3.7.11", "", "", Some(closed)),
            Err(
                "`smtp_reply_filter` takes one table and names `pcre:/etc/own`, which is yours and stays as it is: not everyone may read it, and everyone could read a copy with more rules",
            ),
        );
        let mut filter = own("pcre:/etc/own", Ok(""), &[]);
        filter.answers = Err("unsupported dictionary type: pcre".to_owned());
        check(
            ("3.7.11", "", "", Some(filter)),
            Err(
                "`pcre:/etc/own` is your own reply filter and could not be asked: unsupported dictionary type: pcre",
            ),
        );
    }
}
