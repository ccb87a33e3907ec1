//! `mailfix dns spf` over zones in text.

use crate::support::{Snapshots, run};

const ZONE: &str = "\
example.org.            300 IN TXT  \"v=spf1 a mx include:spf.service.example include:mail.example.net -all exp=why.example.org\"
example.org.            300 IN A    192.0.2.1
example.org.            300 IN MX   10 mail.example.org.
mail.example.org.       300 IN A    192.0.2.1
mail.example.org.       300 IN AAAA 2001:db8::1
why.example.org.        300 IN TXT  \"%{i} is none of ours, %{s}\"
spf.service.example.    300 IN TXT  \"v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/25 ip4:198.51.100.128/26 ip6:2001:db8:a::/48 include:more.service.example -all\"
more.service.example.   300 IN TXT  \"v=spf1 ip4:203.0.112.0/24 -all\"
mail.example.net.       300 IN TXT  \"v=spf1 a:one.example.net -all\"
one.example.net.        300 IN A    192.0.2.77
heavy.example.          300 IN TXT  \"v=spf1 include:example.org include:example.org include:spf.service.example a mx:example.org ptr ~all\"
heavy.example.          300 IN A    192.0.2.99
odd.example.            300 IN TXT  \"v=spf1 ip:192.0.2.1 include: \\027[31m\"
macro.example.          300 IN TXT  \"v=spf1 include:example.org exists:%{l}.macro.example +all\"
unasked.example.        300 IN TXT  \"v=spf1 include:broken.example -all\"
two.example.            300 IN TXT  \"v=spf1 -all\"
two.example.            300 IN TXT  \"v=spf1 a -all\"
$SERVFAIL broken.example.
";

#[test]
fn the_command_shows_judges_and_flattens() {
    let snapshots = Snapshots::new("spf");
    let now = "2026-11-25T19:30:00Z".parse().unwrap();
    let check = |name: &str, words: &str, status: i32| {
        let words: Vec<&str> = ["dns", "spf"].into_iter().chain(words.split(' ')).collect();
        let shown = run(&words, now, Some(ZONE));
        assert_eq!(shown.status, status, "{words:?} {shown}");
        for line in shown.to_string().lines() {
            // Sources of findings and data to be copied stay on one line.
            let is_drawn = line.starts_with("error") || line.starts_with("warning");
            let is_data = line.starts_with("v=spf1") || line.trim_start().starts_with('"');
            assert!(line.chars().count() <= 80 || is_drawn || is_data, "{line}");
        }
        snapshots.check(name, &format!("$ mailfix {}\n{shown}", words.join(" ")));
    };
    check("tree", "example.org", 0);
    check("tree-json", "example.org --json", 0);
    check("over-limits", "heavy.example", 1);
    check("wrong-record", "odd.example", 1);
    check("several", "two.example", 1);
    check("no-record", "nobody.example", 1);
    check("unasked", "unasked.example", 75);
    check("no-domain", "localhost", 64);
    check("pass", "example.org --address 2001:db8::1", 0);
    check("fail", "--address 192.0.2.9 --sender bob@example.org", 1);
    check(
        "bounce",
        "--address 192.0.2.77 --helo example.org --sender=",
        0,
    );
    check("bounce-unnamed", "--address 192.0.2.77 --sender=", 64);
    check("temperror", "unasked.example --address 192.0.2.9", 75);
    check("fail-json", "example.org --address 192.0.2.9 --json", 1);
    check("flatten", "example.org --flatten", 0);
    check("flatten-json", "example.org --flatten --json", 0);
    check("flatten-macro", "macro.example --flatten", 1);
    check("flatten-unasked", "unasked.example --flatten", 75);
    snapshots.end();
}
