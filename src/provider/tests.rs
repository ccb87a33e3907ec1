use camino::Utf8Path;

use super::*;
use crate::embedded::PROVIDERS;
use crate::finding::Finding;

#[test]
fn every_embedded_provider_is_read() {
    let all = Provider::demanding();
    assert!(all.iter().any(|provider| provider.id == "google"));
    assert!(all.iter().all(Provider::has_demands));
    for provider in Provider::known() {
        assert!(!provider.domains.is_empty() || !provider.mx_suffixes.is_empty());
        // A process limit of 0 is none (master(5)).
        assert!(provider.limits.is_none() || provider.pace().is_some());
        let connections = provider.limits.as_ref().map(|limits| limits.connections);
        assert_ne!(connections, Some(Some(0)), "{}", provider.id);
        let demands = [provider.demands.ipv6, provider.demands.ipv4];
        for demand in demands.into_iter().flatten() {
            assert!(demand.date.parse::<jiff::civil::Date>().is_ok());
            assert!(demand.source.starts_with("https://"));
            assert!(!demand.why.ends_with('.'));
        }
        let rules = provider.rules.iter().map(|rule| &rule.says);
        let forms = provider.forms.iter().map(|form| &form.says);
        let limits = provider
            .limits
            .iter()
            .filter_map(|limits| limits.says.as_ref());
        let signatures = provider.signatures.iter();
        let steps = signatures.flat_map(|signature| signature.steps.iter().chain(&signature.not));
        for phrase in rules.chain(forms).chain(limits).chain(steps) {
            assert!(!phrase.ends_with('.'), "{}: {phrase}", provider.id);
        }
        for signature in &provider.signatures {
            let says = signature.says.as_ref();
            assert!(
                says.is_none_or(|says| says.ends_with('.')),
                "{}: {says:?}",
                provider.id
            );
        }
    }
}

#[test]
fn google_is_strict_over_ipv6() {
    let google = Provider::demanding()
        .into_iter()
        .find(|provider| provider.id == "google")
        .unwrap();
    assert!(google.owns("GMail.com") && !google.owns("example.org"));
    let demand = google.demands.ipv6.unwrap();
    assert!(demand.ptr && demand.authentication);
}

#[test]
fn a_refusal_is_known_by_its_code_and_its_last_words() {
    let google = Provider::parse(
        PROVIDERS.iter().find(|(id, _)| *id == "google").unwrap().1,
        Utf8Path::new("google.toml"),
    );
    let refusals = google.unwrap().demands.ipv6.unwrap().refusals;
    let check = |line: &str, expected: &str| {
        let taken = refusals.iter().find(|refusal| refusal.is(line));
        assert_eq!(
            taken.map_or("", |refusal| &refusal.code),
            expected,
            "{line}"
        );
    };
    check("550 5.7.25", "5.7.25");
    check("550 5.7.25 whatever", "5.7.25");
    check("550 5.7.250 whatever", "");
    check("550 5.7.2", "");
    check("550-5.7.25 whatever", "");
    check("554 5.7.25 whatever", "");
    check("450 4.7.25 whatever", "");
    check("550 5.7.1 information. x - gsmtp", "5.7.1");
    check("550 5.7.1  for more INFORMATION. x - gsmtp", "5.7.1");
    check("550 5.7.1 for more information . x - gsmtp", "5.7.1");
    check("550 5.7.1 . x - gsmtp", "5.7.1");
    check("550 5.7.1 misinformation. x - gsmtp", "");
    check("550 5.7.1 initiative. x - gsmtp", "");
    check("550 5.7.1 information.  - gsmtp", "");
    check("550 5.7.1 information. x y - gsmtp", "");
    check("550 5.7.1 information. x - gsmtp later", "");
    check("550 5.7.1 information.", "");
    check("550 5.7.1", "");
    check("550-5.7.1 information. x - gsmtp", "");
}

#[test]
fn refusals_that_contradict_themselves_are_refused() {
    let check = |refusals: &str, expected: &[&str]| {
        let text = format!(
            "name = 'x'\nabout = 'x'\ndomains = []\nmx_suffixes = ['x.example']\n[ipv6]\nptr = true\nauthentication = true\nwhy = 'x'\nsource = 'x'\ndate = 'x'\n{refusals}"
        );
        let found = Provider::parse(&text, Utf8Path::new("x.toml")).map_or_else(
            |error| {
                let line = |finding: &Finding| {
                    let place = finding.place.as_ref().unwrap();
                    format!("{} {}: {}", place.line, finding.code, finding.title)
                };
                error.findings.iter().map(line).collect()
            },
            |_| Vec::new(),
        );
        assert_eq!(found, expected);
    };
    let good = "[[ipv6.refusal]]\ncode = '5.7.1'\nendings = ['in * end']\nsamples = [{ since = '2020-01', line = '550 5.7.1 in the end' }]\n";
    check(good, &[]);
    check(
        &format!("other_refusals = ['550 5.7.1 in no end', '550 5.7.1 in']\n{good}"),
        &["11 other-refusal-taken: this line is taken for the refusal `5.7.1`"],
    );
    check(
        &good.replace("'5.7.1'", "'4.7.1'"),
        &[
            "12 bad-status-code: `4.7.1` is no status code of a refusal",
            "14 sample-not-taken: this line is not taken for the refusal",
        ],
    );
    check(
        &good.replace("'in * end'", "'in * end', 'no  words'"),
        &[
            "12 no-sample: no sample of the refusal ends in `no  words`",
            "13 bad-ending: `no  words` is no ending of a line",
        ],
    );
    check(
        &good.replace("550 5", "550-5"),
        &["14 sample-not-taken: this line is not taken for the refusal"],
    );
    check(
        &good.replace("2020-01", "2020"),
        &["14 bad-month: `2020` is no month"],
    );
    check(
        "[[ipv6.refusal]]\ncode = '5.7.1'\nsamples = []\n",
        &["12 no-sample: no sample of the refusal"],
    );
}

#[test]
fn wrong_files_are_refused_with_the_place() {
    let path = Utf8Path::new("other.toml");
    let text = "name = 'x'\nabout = 'x'\ndomains = ['a.example', 'B.example']\nmx_suffixes = []\n";
    let error = Provider::parse(text, path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`other.toml`, line 3: `B.example` is not a domain in lower case"
    );
    let error = Provider::parse("[ipv6]\nprt = true\n", path).unwrap_err();
    assert_eq!(error.to_string(), "`other.toml`, line 2: unknown key `prt`");
    assert_eq!(
        error.findings[0].fix.as_deref(),
        Some("did you mean `ptr`?")
    );
}

#[test]
fn every_key_is_read_and_every_fault_has_its_line() {
    let good = "name = 'x'\nabout = 'x'\ndomains = []\nmx_suffixes = []\nmx_prefixes = ['ironport']\nmarks = [' - gsmtp']\n\
        [limits]\nconnections = 5\nmessages = 50\ndelay = '5s'\nsays = 'stop'\nsource = 'https://a.example'\ndate = '2026-08-04'\n\
        [[rule]]\nwhat = 'spf-or-dkim'\nfamily = 6\nbulk = 5000\nsince = '2024-02-01'\nsays = 'one'\nsource = 'https://b.example'\ndate = '2026-03-21'\n\
        [[form]]\ncauses = ['ip-blocklist']\nplace = 'mailto:a@example.org'\nsays = 'the address'\nsource = 'https://c.example'\ndate = '2026-03-21'\n\
        [[signature]]\ncause = 'ip-blocklist'\nsign = { dsn = ['5.7.1', '4.'], all = ['on', 'list'] }\nsays = 'This.'\nsteps = ['ask']\nnot = ['content']\nsamples = [{ reply = '550 5.7.1 on a list', family = 6, source = 'https://d.example', date = '2026-02-15' }]\n";
    let path = Utf8Path::new("x.toml");
    let provider = Provider::parse(good, path).unwrap();
    assert_eq!(provider.mx_prefixes, ["ironport"]);
    assert_eq!(provider.marks, [" - gsmtp"]);
    assert_eq!(provider.limits.as_ref().unwrap().messages, Some(50));
    assert_eq!(provider.rules[0].what, Wanted::SpfOrDkim);
    assert_eq!(provider.forms_for("ip-blocklist").count(), 1);
    assert_eq!(provider.forms_for("no-ptr").count(), 0);
    assert_eq!(provider.signatures[0].sign.all, ["on", "list"]);
    for (from, to, expected) in [
        ("'ironport'", "'Iron.port'", "5 bad-label"),
        ("' - gsmtp'", "'GSMTP'", "6 bad-mark"),
        ("' - gsmtp'", "'x'", "6 bad-mark"),
        ("'5s'", "'soon'", "10 bad-time"),
        ("'https://a.example'", "'a page'", "12 bad-source"),
        ("'2026-08-04'", "'2026-08'", ""),
        ("'2026-08-04'", "'2026'", ""),
        ("'2026-08-04'", "'undated'", ""),
        ("'2026-08-04'", "'2026-13'", "13 bad-date"),
        ("'2026-08-04'", "''", "13 bad-date"),
        ("'spf-or-dkim'", "'spv'", "15 unknown-value"),
        ("family = 6\nbulk", "family = 5\nbulk", "16 bad-family"),
        ("'2024-02-01'", "'2024-02-31'", "18 bad-date"),
        ("'2024-02-01'", "'2024-02'", "18 bad-date"),
        ("causes = ['ip-bl", "causes = ['ip-kl", "23 unknown-cause"),
        ("'mailto:", "'", "24 bad-place"),
        ("cause = 'ip-bl", "cause = 'ip-kl", "29 unknown-cause"),
        ("'5.7.1', '4.'", "'5.7.'", ""),
        ("'5.7.1', '4.'", "'5.7'", "30 bad-status-code"),
        ("['on', 'list']", "['On']", "30 bad-phrase"),
        (
            "dsn = ['5.7.1', '4.'], all = ['on', 'list']",
            "",
            "30 empty-sign",
        ),
        (
            "all = ['on'",
            "code = [55], all = ['on'",
            "30 bad-reply-code",
        ),
        ("family = 6, source", "family = 5, source", "34 bad-family"),
        ("'2026-02-15'", "'soon'", "34 bad-date"),
    ] {
        assert!(good.contains(from), "{from}");
        let found = Provider::parse(good.replacen(from, to, 1), path).map_or_else(
            |error| {
                let finding = &error.findings[0];
                format!("{} {}", finding.place.as_ref().unwrap().line, finding.code)
            },
            |_| String::new(),
        );
        assert_eq!(found, expected, "{from} -> {to}");
    }
}

#[test]
fn what_can_be_demanded_is_told_as_it_is_written() {
    for word in ["spf-or-dkim", "static-ip", "helo", "unsubscribe"] {
        let text = format!(
            "what = '{word}'\nsays = 'x'\nsource = 'https://x.example'\ndate = '2026-03-21'"
        );
        let text =
            format!("name = 'x'\nabout = 'x'\ndomains = []\nmx_suffixes = []\n[[rule]]\n{text}\n");
        let provider = Provider::parse(text, Utf8Path::new("x.toml")).unwrap();
        assert_eq!(provider.rules[0].what.word(), word);
    }
}
