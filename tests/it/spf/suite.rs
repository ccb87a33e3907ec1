//! The public test suite of RFC 7208.

use mailfix::mail::spf::{Identity, check_host};
use serde_json::Value;

use super::python;
use super::zone::Zone;

/// What the suite calls an explanation that the domain did not give.
const DEFAULT: &str = "DEFAULT";

/// How many cases the suite has: should half of it get lost on the way here, this tells.
const CASES: usize = 203;

#[test]
fn the_public_suite_passes() {
    let file = "target/python/pyspf/test/rfc7208-tests.yml";
    let Some(output) = python("spf_suite.py", &[file], b"") else {
        return;
    };
    let scenarios: Value = serde_json::from_slice(&output).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for scenario in scenarios.as_array().unwrap() {
        let zone = Zone::from_json(&scenario["zone"]);
        for case in scenario["cases"].as_array().unwrap() {
            count += 1;
            let text = |key: &str| case[key].as_str().unwrap();
            let address = text("host").parse().unwrap();
            let identity = Identity::mail_from(address, text("helo"), text("sender"));
            let judgement = check_host(&identity, &|name, kind| zone.lookup(name, kind));
            let status = judgement.status.to_string();
            let explanation = judgement.explanation.as_deref().unwrap_or(DEFAULT);
            let results = case["results"].as_array().unwrap();
            let expected = case["explanation"].as_str().unwrap_or(explanation);
            if !results.iter().any(|result| result == status.as_str()) || explanation != expected {
                wrong.push(format!(
                    "{}: {status}, {explanation:?}, expected {results:?}, {expected:?}; {:?}",
                    text("name"),
                    judgement.why
                ));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(count, CASES);
}
