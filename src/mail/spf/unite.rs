//! One record out of several.
//!
//! Owns what is left where a domain has more SPF records than the one it may have: whoever one
//! of them lets send, may. Receivers that find several go by none.
//! Follows RFC 7208, 3.2 and 4.5.

use super::record::VERSION;
use super::{Content, Mechanism, Modifier, Qualifier, Spf, SpfError};

/// Unites records, the terms of the first in front.
///
/// The mildest end stays, but none that lets everybody send: then the record has no end, and
/// [`merge`](super::merge) gives it one. A record that another one decides for is included.
///
/// # Errors
/// When a `redirect=` cannot be written as `include:`, which takes the same names.
pub fn unite(records: &[Spf]) -> Result<Spf, Vec<SpfError>> {
    let mut terms: Vec<String> = Vec::new();
    let mut modifiers: Vec<String> = Vec::new();
    let mut end: Option<Qualifier> = None;
    let alone = records.len() == 1;
    let add = |list: &mut Vec<String>, text: String| {
        if !list.iter().any(|other| other.eq_ignore_ascii_case(&text)) {
            list.push(text);
        }
    };
    for record in records {
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
                Content::Directive(_) => add(&mut terms, term.text.clone()),
                Content::Modifier(Modifier::Redirect(_)) if ends => {}
                Content::Modifier(Modifier::Redirect(target)) if !alone => {
                    add(&mut terms, format!("include:{}", target.text()));
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
        .chain(terms)
        .chain(end)
        .chain(modifiers);
    Spf::parse(&all.collect::<Vec<_>>().join(" "))
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
    use proptest::prelude::*;

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
            "v=spf1 ip4:192.0.2.1 mx ~all",
        );
        check(
            &["v=spf1 a ~all mx", "v=spf1 include:spf.example.net"],
            "v=spf1 a include:spf.example.net ~all",
        );
        check(&["v=spf1 mx +all", "v=spf1 a -all"], "v=spf1 mx a -all");
        check(&["v=spf1 mx +all", "v=spf1 a"], "v=spf1 mx a");
    }

    #[test]
    fn a_record_that_decides_for_another_is_included() {
        check(
            &[
                "v=spf1 redirect=_spf.example.org",
                "v=spf1 mx -all exp=why.example.org",
            ],
            "v=spf1 include:_spf.example.org mx -all exp=why.example.org",
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
            "v=spf1 -all exp=a.example x=1",
        );
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
            let united = unite(&records).unwrap();
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
