//! One record out of several.
//!
//! Owns what is left where a domain has more SPF records than the one it may have: whoever one
//! of them lets send, may. Receivers that find several go by none.
//! Follows RFC 7208, 3.2 and 4.5.

use super::record::VERSION;
use super::{Content, Mechanism, Modifier, Qualifier, Spf, SpfError, cut};

/// Why records cannot be united.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnited {
    /// The record would be wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<SpfError>),
    /// A term takes senders out of those behind it, and would take out those of others too.
    #[error(
        "`{term}` turns senders away that terms behind it in its record let send; in one record \
         with others it would mean something else"
    )]
    Order {
        /// The term.
        term: String,
    },
}

/// Unites records, in the order of their texts: that of answers changes. Terms that do not pass
/// come behind all that do.
///
/// The mildest end stays, but none that lets everybody send: then the record has no end, and
/// [`merge`](super::merge) gives it one. A record that another one decides for is included. One
/// alone keeps its order.
///
/// # Errors
/// When a `redirect=` cannot be written as `include:`, which takes the same names, and when a
/// term would turn away others than it does, or fewer.
pub fn unite(records: &[Spf]) -> Result<Spf, NotUnited> {
    let mut passing: Vec<String> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let mut modifiers: Vec<String> = Vec::new();
    let mut end: Option<Qualifier> = None;
    let mut records: Vec<&Spf> = records.iter().collect();
    records.sort_by_cached_key(ToString::to_string);
    let alone = records.len() == 1;
    let add = |list: &mut Vec<String>, text: String| {
        if !list.iter().any(|other| other.eq_ignore_ascii_case(&text)) {
            list.push(text);
        }
    };
    for record in records {
        if !alone && let Some(term) = taken_out(record) {
            return Err(NotUnited::Order { term: cut(term) });
        }
        let ends = record.all().is_some();
        let mut ended = false;
        for term in record.terms() {
            match &term.content {
                Content::Directive(directive) if directive.mechanism == Mechanism::All => {
                    if !ended && directive.qualifier != Qualifier::Pass {
                        end = Some(milder(end, directive.qualifier));
                    }
                    ended = true;
                }
                // Behind `all` nothing is looked at.
                Content::Directive(_) if ended => {}
                Content::Directive(directive) => {
                    let passes = alone || directive.qualifier == Qualifier::Pass;
                    let list = if passes { &mut passing } else { &mut others };
                    add(list, term.text.clone());
                }
                Content::Modifier(Modifier::Redirect(_)) if ends => {}
                Content::Modifier(Modifier::Redirect(target)) if !alone => {
                    add(&mut passing, format!("include:{}", target.text()));
                }
                Content::Modifier(Modifier::Explanation(_)) => {
                    if !modifiers.iter().any(|other| is_explanation(other)) {
                        modifiers.push(term.text.clone());
                    }
                }
                Content::Modifier(_) => add(&mut modifiers, term.text.clone()),
            }
        }
    }
    let end = end.map(|qualifier| format!("{}all", qualifier.sign()));
    let all = std::iter::once(VERSION.to_owned())
        .chain(passing)
        .chain(others)
        .chain(end)
        .chain(modifiers);
    Spf::parse(&all.collect::<Vec<_>>().join(" ")).map_err(NotUnited::Wrong)
}

/// The first term that does not pass and may match a sender that one behind it lets send.
fn taken_out(record: &Spf) -> Option<&str> {
    let directives: Vec<_> = record
        .directives()
        .take_while(|(_, directive)| directive.mechanism != Mechanism::All)
        .collect();
    let goes_on = record.all().is_none() && record.redirect().is_some();
    let refuses = |at: usize, mechanism: &Mechanism| {
        let behind = directives.get(at + 1..).unwrap_or_default();
        goes_on
            || behind.iter().any(|(_, other)| {
                other.qualifier == Qualifier::Pass && may_meet(mechanism, &other.mechanism)
            })
    };
    let mut all = directives.iter().enumerate();
    let (_, (term, _)) = all.find(|(at, (_, directive))| {
        directive.qualifier != Qualifier::Pass && refuses(*at, &directive.mechanism)
    })?;
    Some(&term.text)
}

/// Tells whether two mechanisms may match one address; written networks may only if one holds
/// the other.
fn may_meet(one: &Mechanism, other: &Mechanism) -> bool {
    match (one.network(), other.network()) {
        (Some(one), Some(other)) => one.contains(&other) || other.contains(&one),
        _ => true,
    }
}

fn is_explanation(term: &str) -> bool {
    let name = term.split('=').next().unwrap_or_default();
    name.eq_ignore_ascii_case("exp")
}

/// The one of two ends that says less about others.
fn milder(a: Option<Qualifier>, b: Qualifier) -> Qualifier {
    let rank = |qualifier| match qualifier {
        Qualifier::Fail => 0,
        Qualifier::SoftFail => 1,
        Qualifier::Neutral | Qualifier::Pass => 2,
    };
    a.map_or(b, |a| if rank(a) >= rank(b) { a } else { b })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, Name, RecordType, Resolver};
    use crate::mail::spf::{Identity, Status, as_if, check_host};
    use proptest::prelude::*;
    use std::net::IpAddr;

    #[track_caller]
    fn check(records: &[&str], expected: &str) {
        let records: Vec<Spf> = records
            .iter()
            .map(|text| Spf::parse(text).unwrap())
            .collect();
        assert_eq!(unite(&records).unwrap().to_string(), expected);
    }

    #[test]
    fn whoever_may_send_by_one_may_by_all() {
        check(
            &["v=spf1 ip4:192.0.2.1 -all", "v=spf1 IP4:192.0.2.1 mx ~all"],
            "v=spf1 IP4:192.0.2.1 mx ~all",
        );
        check(
            &["v=spf1 a ~all mx", "v=spf1 include:spf.example.net"],
            "v=spf1 a include:spf.example.net ~all",
        );
        check(&["v=spf1 mx +all", "v=spf1 a -all"], "v=spf1 a mx -all");
        check(&["v=spf1 mx +all", "v=spf1 a"], "v=spf1 a mx");
    }

    #[test]
    fn a_record_that_decides_for_another_is_included() {
        check(
            &[
                "v=spf1 redirect=_spf.example.org",
                "v=spf1 mx -all exp=why.example.org",
            ],
            "v=spf1 mx include:_spf.example.org -all exp=why.example.org",
        );
        check(
            &["v=spf1 -all redirect=_spf.example.org", "v=spf1 mx"],
            "v=spf1 mx -all",
        );
        check(
            &["v=spf1 mx redirect=_spf.example.org"],
            "v=spf1 mx redirect=_spf.example.org",
        );
    }

    #[test]
    fn one_explanation_is_left() {
        check(
            &[
                "v=spf1 exp=a.example x=1 -all",
                "v=spf1 EXP=b.example x=1 -all",
            ],
            "v=spf1 -all EXP=b.example x=1",
        );
    }

    #[test]
    fn what_one_turns_away_another_may_let_send() {
        check(
            &[
                "v=spf1 a -ip4:192.0.2.1 -all",
                "v=spf1 ip4:192.0.2.0/24 -all",
            ],
            "v=spf1 a ip4:192.0.2.0/24 -ip4:192.0.2.1 -all",
        );
        check(
            &[
                "v=spf1 -ip4:192.0.2.1 ip4:198.51.100.1 -all",
                "v=spf1 mx -all",
            ],
            "v=spf1 ip4:198.51.100.1 mx -ip4:192.0.2.1 -all",
        );
        let taken_out = "v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all";
        let records = [taken_out, "v=spf1 mx -all"].map(|text| Spf::parse(text).unwrap());
        let term = "-ip4:192.0.2.1".to_owned();
        assert_eq!(unite(&records), Err(NotUnited::Order { term }));
        check(&[taken_out], taken_out);
    }

    const ZONE: &str = "\
example.org.      300 IN A   192.0.2.1
example.org.      300 IN MX  10 mail.example.org.
mail.example.org. 300 IN A   192.0.2.2
a.example.        300 IN TXT \"v=spf1 ip4:192.0.2.3 -all\"
b.example.        300 IN TXT \"v=spf1 ip4:192.0.2.4 ~all\"
c.example.        300 IN TXT \"v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/29 -all\"
d.example.        300 IN TXT \"v=spf1 ip4:192.0.2.6 ?all\"
";

    /// Whether a record lets an address send other than by an `all` of its own; `None` where
    /// that is an error.
    fn lets_send(record: &Spf, address: IpAddr) -> Option<bool> {
        let resolver = FixedResolver::from_zone(ZONE).unwrap();
        let domain: Name = "example.org".parse().unwrap();
        let lookup = |name: &Name, kind: RecordType| resolver.lookup(name, kind);
        let text = record.to_string();
        let identity = Identity::mail_from(address, "x", "bob@example.org");
        let judgement = check_host(&identity, &as_if(&domain, &text, &lookup));
        let by_all = judgement
            .by
            .is_some_and(|by| by.mechanism == Mechanism::All);
        (judgement.why.is_none()).then_some(judgement.status == Status::Pass && !by_all)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nobody_else_let_in(
            texts in prop::collection::vec(
                prop::collection::vec(
                    "[?~-]?(a|mx|ip4:192\\.0\\.2\\.[0-9]|include:[ab]\\.example|all|redirect=[cd]\\.example)",
                    0..5,
                ),
                1..4,
            ),
        ) {
            let records: Vec<Spf> = texts
                .iter()
                .filter_map(|terms| Spf::parse(&format!("v=spf1 {}", terms.join(" "))).ok())
                .collect();
            let united = match unite(&records) {
                Err(NotUnited::Order { .. }) => return Ok(()),
                united => united.unwrap(),
            };
            let backwards: Vec<Spf> = records.iter().rev().cloned().collect();
            prop_assert_eq!(&unite(&backwards).unwrap(), &united);
            for end in 0..10 {
                let address = IpAddr::from([192, 0, 2, end]);
                let each: Option<Vec<bool>> = records
                    .iter()
                    .map(|record| lets_send(record, address))
                    .collect();
                // Several within the limits may be beyond them together.
                if let (Some(each), Some(all)) = (each, lets_send(&united, address)) {
                    prop_assert_eq!(all, each.contains(&true), "{} {}", united, address);
                }
            }
            prop_assert_ne!(united.all(), Some(Qualifier::Pass));
            prop_assert_eq!(unite(std::slice::from_ref(&united)).unwrap(), united.clone());
            for record in &records {
                for (term, directive) in record.directives() {
                    if directive.mechanism == Mechanism::All {
                        break;
                    }
                    let stays = united.terms().iter().any(|other| other.text == term.text);
                    prop_assert!(stays, "{} lost {}", united, term);
                }
            }
        }
    }
}
