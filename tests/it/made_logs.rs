//! Made-up logs themselves: that they hold what real ones do, and that others who know what to do
//! with a log come to the counts that are said to be true of them.

use std::collections::BTreeMap;
use std::process::Command;

use mailfix::diagnose::{Knowledge, Seen};
use mailfix::postfix::log::{Event, Line, lines};

use crate::made::{self, Ends, Failures, Shape, Truth};
use crate::stats::{ends, make, shape, stats};

/// What made-up logs are for: a reader that is wrong somewhere must come to other counts.
#[test]
fn made_up_logs_hold_what_real_ones_do() {
    let mut bytes = Vec::new();
    let truth = made::write(shape(100_000), &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let count = |words: &str| text.matches(words).count() as u64;
    assert_eq!(truth.lines, text.lines().count() as u64);
    assert_eq!(truth.unreachable, count(": Network is unreachable\n"));
    assert_eq!(truth.suspended, count("(delivery temporarily suspended: "));
    let troubles = [
        ": fatal: ",
        "/master[810]: warning: ",
        "/qmgr[812]: warning: ",
    ];
    assert_eq!(truth.troubles, troubles.map(count).iter().sum::<u64>());
    assert!(truth.messages > 10_000 && truth.reused > 1000 && truth.waiting > 100);
    let mut sum = Failures::default();
    for (kind, failures) in &truth.failures {
        let ends = failures.delivered + failures.waiting + failures.given_up + failures.elsewhere;
        assert_eq!(ends, failures.recipients, "{kind:?}");
        assert!(failures.messages <= failures.recipients, "{kind:?}");
        sum.tries += failures.tries;
        sum.delivered += failures.delivered;
        sum.waiting += failures.waiting;
        sum.given_up += failures.given_up;
        sum.elsewhere += failures.elsewhere;
    }
    let least = [sum.delivered, sum.waiting, sum.given_up, sum.elsewhere];
    assert!(least.into_iter().all(|count| count > 0), "{sum:?}");
    let ends = truth.instances.values().copied();
    let not_sent: u64 = ends.map(|ends| ends.deferred + ends.bounced).sum();
    let detours = count(": host ") - truth.suspended;
    assert_eq!(sum.tries, not_sent - truth.suspended + detours);
}

#[test]
fn every_refusal_of_made_up_logs_is_known_for_what_it_is() {
    let mut bytes = Vec::new();
    let truth = made::write(shape(100_000), &mut bytes).unwrap();
    let knowledge = Knowledge::built_in();
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in lines(&bytes) {
        let Some(line) = Line::parse(line) else {
            continue;
        };
        let seen = match line.record().event {
            Event::Delivery(delivery) if !delivery.answer().suspended => {
                Seen::in_delivery(&delivery)
            }
            // What has no queue id is about an address of several.
            Event::Attempt(answer) if line.record().queue_id.is_some() => {
                Seen::in_answer(&answer, b"")
            }
            _ => continue,
        };
        let verdict = knowledge.judge(&seen);
        let key = (verdict.provider.to_owned(), verdict.code().to_owned());
        *found.entry(key).or_default() += 1;
    }
    for ((provider, cause), tries) in tries_by_cause(&truth) {
        // A dead program's own line says why; that of the delivery only that it died.
        if provider != "local" {
            let key = (provider.to_owned(), cause.to_owned());
            assert_eq!(found.get(&key), Some(&tries), "{key:?}");
        }
    }
}

fn tries_by_cause(truth: &Truth) -> BTreeMap<(&str, &str), u64> {
    let mut tries = BTreeMap::new();
    for (kind, failures) in &truth.failures {
        *tries.entry((kind.provider, kind.cause)).or_default() += failures.tries;
    }
    tries
}

/// Both count lines by their `status`: then they must agree, whoever is right about the rest.
#[test]
fn pflogsumm_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for iso in [false, true] {
        let path = folder.path().join("mail.log");
        make(
            &path,
            Shape {
                iso,
                ..shape(100_000)
            },
        );
        let report = Command::new("pflogsumm")
            .args(["--syslog-name=postfix[-a-z]*", "-h", "0", "-u", "0"])
            .arg(&path)
            .output();
        let Ok(report) = report else {
            println!("skipped: `pflogsumm` is not installed");
            assert!(std::env::var_os("CI").is_none(), "`pflogsumm` is missing");
            return;
        };
        let report = String::from_utf8(report.stdout).unwrap();
        let number = |before: &str, after: &str| {
            let line = report.lines().find(|line| line.contains(after));
            let line = line.unwrap_or_else(|| panic!("no {after} in {report}"));
            let text = line.split(after).next().unwrap();
            let text = text.rsplit(before).next().unwrap();
            text.trim().parse::<u64>().unwrap()
        };
        let theirs = Ends {
            sent: number("^", "delivered"),
            deferred: number("(", "deferrals)"),
            bounced: number("^", "bounced"),
        };
        let ours = stats(folder.path(), &["mail.log"]);
        assert_eq!(ends(&ours["all"]), theirs);
    }
}
