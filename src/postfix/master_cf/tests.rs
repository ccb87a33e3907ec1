use super::*;

const UNIX: ServiceType = ServiceType::Unix;
const INET: ServiceType = ServiceType::Inet;

fn edit(before: &str, after: &str, edit: impl Fn(&mut MasterCf) -> Result<(), EditError>) {
    let mut file = MasterCf::parse(before.as_bytes());
    edit(&mut file).unwrap();
    assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), after);
    edit(&mut file).unwrap();
    assert_eq!(file.to_bytes(), after.as_bytes(), "a second time");
}

#[test]
fn services_are_read_as_postfix_reads_them() {
    let text = b"# c\nsmtp\tinet  n - y - 10 smtpd\n  -v\n#  -o a=b\n\n  -o x=1,2 -oy=$z\n\t-o { s = a b }\n  -o e=\n";
    let file = MasterCf::parse(text);
    let service = file.get("25", &INET).unwrap();
    assert_eq!((service.name.as_str(), &service.kind), ("smtp", &INET));
    assert_eq!(
        (service.private, service.unprivileged, service.chroot),
        (Some(false), None, Some(true))
    );
    assert_eq!(
        (service.wakeup.as_str(), service.process_limit.as_str()),
        ("-", "10")
    );
    assert_eq!(service.command, "smtpd");
    assert_eq!(service.arguments[0].kind, ArgumentKind::Option("-v".into()));
    assert_eq!(
        service.overrides().collect::<Vec<_>>(),
        [("x", "1,2"), ("y", "$z"), ("s", "a b"), ("e", "")]
    );
    assert_eq!(&text[service.field_span(Field::ProcessLimit)], b"10");
    assert_eq!(&text[service.arguments[3].span.clone()], b"-o { s = a b }");
    assert!(
        text[service.span.clone()].starts_with(b"smtp\tinet")
            && text[service.span.clone()].ends_with(b"-o e=")
    );
}

#[test]
fn words_end_the_options() {
    let file = MasterCf::parse(
        b"p unix - n n - - pipe -vo a=b\n  flags=R user=x argv=/bin/y -o c=d {z w}\n",
    );
    let kinds: Vec<_> = file
        .get("p", &UNIX)
        .unwrap()
        .arguments
        .iter()
        .map(|a| a.kind.clone())
        .collect();
    let word = |text: &str| ArgumentKind::Word(text.into());
    assert_eq!(
        kinds,
        [
            ArgumentKind::Option("-v".into()),
            ArgumentKind::Override {
                name: "a".into(),
                value: "b".into()
            },
            word("flags=R"),
            word("user=x"),
            word("argv=/bin/y"),
            word("-o"),
            word("c=d"),
            word("z w"),
        ]
    );
    assert_eq!(file.problems(), []);
}

#[test]
fn the_last_service_of_a_name_wins() {
    let text = b"s unix - - n - - smtp\ns unix - - y - - lmtp\nsmtp inet n - n - - smtpd\n25 inet n - n - 1 smtpd\na unix n - n - - x\na unix - - n - - y\n";
    let file = MasterCf::parse(text);
    assert_eq!(file.get("s", &UNIX).unwrap().command, "lmtp");
    assert_eq!(file.get("smtp", &INET).unwrap().process_limit, "1");
    assert_eq!(file.get("s", &INET), None);
    let duplicates: Vec<_> = file.duplicates().map(|s| s.name.as_str()).collect();
    assert_eq!(
        duplicates,
        ["s", "smtp"],
        "a private and a public socket are two services"
    );
}

#[test]
fn hosts_and_ports_are_one_key() {
    let same = |a: &str, b: &str| canonical_name(a, &INET) == canonical_name(b, &INET);
    assert!(same("localhost:submission", "LOCALHOST:587"));
    assert!(same("[::1]:smtp", "[::1]:25"));
    assert!(!same("127.0.0.1:25", "25"));
    assert_ne!(canonical_name("smtp", &UNIX), canonical_name("25", &UNIX));
}

#[test]
fn services_are_added_at_the_end() {
    let new = b"# why\nnew unix - - n - - smtp\n  -o a=b\n";
    edit("", "new unix - - n - - smtp\n  -o a=b\n", |file| {
        file.add(new)
    });
    edit(
        "a unix - - n - - x",
        "a unix - - n - - x\nnew unix - - n - - smtp\n  -o a=b\n",
        |file| file.add(new),
    );
    edit(
        "a unix - - n - - x\r\n",
        "a unix - - n - - x\r\nnew unix - - n - - smtp\r\n  -o a=b\r\n",
        |file| file.add(new),
    );
    // A carriage return here would make the last word another one.
    edit(
        "a unix - - n - - x\r\n\t{",
        "a unix - - n - - x\r\n\t{\nnew unix - - n - - smtp\r\n  -o a=b\r\n",
        |file| file.add(new),
    );
    edit(
        "a unix - - n - - x\n",
        "a unix - - n - - x\nb unix - - n - - y\n",
        |file| file.add(b"b unix - - n - - y"),
    );
}

#[test]
fn services_of_the_same_name_are_replaced_only_if_they_differ() {
    let new = b"new unix - - n - - smtp -o a=b\n";
    let same = "new  unix\t- - n - - smtp\n    -o { a = b }\nz unix - - n - - x\n";
    edit(same, same, |file| file.add(new));
    edit(
        "new unix - - y - - smtp\n#  -o c=d\n  -o a=c\nz unix - - n - - x\n",
        "new unix - - n - - smtp -o a=b\n#  -o c=d\nz unix - - n - - x\n",
        |file| file.add(new),
    );
}

#[test]
fn fragments_must_be_services() {
    let mut file = MasterCf::parse(b"");
    for fragment in [
        &b"new unix - - n - smtp"[..],
        b" new unix - - n - - smtp",
        b"new inet - - n - - smtpd",
        b"new unix - - n - - smtp -o a = b",
        b"a/b unix - - n - - smtp",
        b"new unox - - n - - smtp",
    ] {
        assert!(
            file.add(fragment).is_err(),
            "{}",
            String::from_utf8_lossy(fragment)
        );
    }
    assert_eq!(file.to_bytes(), b"");
}

#[test]
fn removing_a_service_keeps_comments() {
    edit(
        "a unix - - n - - x\n# in\n  -o a=b\n# after\nb unix - - n - - y\na unix - - n - - z",
        "# in\n# after\nb unix - - n - - y\n",
        |file| {
            file.remove("a", &UNIX);
            Ok(())
        },
    );
}

#[test]
fn options_are_set_where_they_stand_or_behind_the_others() {
    let set = |before, option: &str, value: &str, after| {
        edit(before, after, |file| {
            file.set_option("a", &UNIX, option, value)
        });
    };
    set(
        "a unix - - n - - x\n  -o b=1\n  -o b=2\n",
        "b",
        "3",
        "a unix - - n - - x\n  -o b=1\n  -o b=3\n",
    );
    set(
        "a unix - - n - - x -o { b = 1 2 }\n",
        "b",
        "3",
        "a unix - - n - - x -o b=3\n",
    );
    set(
        "a unix - - n - - x -ob=1 -v\n",
        "b",
        "3 4",
        "a unix - - n - - x -o { b = 3 4 } -v\n",
    );
    set(
        "a unix - - n - - x\n",
        "b",
        "",
        "a unix - - n - - x\n    -o b=\n",
    );
    set(
        "a unix - - n - - x",
        "b",
        "1",
        "a unix - - n - - x\n    -o b=1",
    );
    set(
        "a unix - - n - - x\n\t-o c=1\n# d\n",
        "b",
        "1",
        "a unix - - n - - x\n\t-o c=1\n\t-o b=1\n# d\n",
    );
    set(
        "a unix - - n - - x\r\n  -o c=1\r\n",
        "b",
        "1",
        "a unix - - n - - x\r\n  -o c=1\r\n  -o b=1\r\n",
    );
    set(
        "a unix - n n - - pipe user=x\n",
        "b",
        "1",
        "a unix - n n - - pipe -o b=1 user=x\n",
    );
    set(
        "a unix - n n - - pipe\n  user=x\n",
        "b",
        "1",
        "a unix - n n - - pipe\n  -o b=1\n  user=x\n",
    );
}

#[test]
fn options_are_removed_with_their_line() {
    let unset = |before, after| edit(before, after, |file| file.unset_option("a", &UNIX, "b"));
    unset(
        "a unix - - n - - x\n  -o b=1\n#  -o b=2\n  -o c=1\n",
        "a unix - - n - - x\n#  -o b=2\n  -o c=1\n",
    );
    unset(
        "a unix - - n - - x -o b=1 -v -ob=2\n",
        "a unix - - n - - x -v\n",
    );
    unset(
        "a unix - - n - - x\r\n  -o\r\n  b=1\r\n  -v\r\n",
        "a unix - - n - - x\r\n  -v\r\n",
    );
    unset("a unix - - n - - x\n  -o { b = 1 }", "a unix - - n - - x\n");
}

#[test]
fn fields_are_set_in_place() {
    edit(
        "a   unix  -  -  -  - - x\n",
        "a   unix  -  -  n  - - x\n",
        |file| file.set_field("a", &UNIX, Field::Chroot, "n"),
    );
    let mut file = MasterCf::parse(b"a unix - - - - - x\n");
    assert!(file.set_field("a", &UNIX, Field::Chroot, "no").is_err());
    assert!(
        file.set_field("a", &UNIX, Field::ProcessLimit, "-1")
            .is_err()
    );
    assert!(file.set_field("b", &UNIX, Field::Chroot, "n").is_err());
    assert!(file.set_option("a", &UNIX, "b", "{").is_err());
    assert!(file.set_option("a", &UNIX, "b c", "1").is_err());
    assert_eq!(file.to_bytes(), b"a unix - - - - - x\n");
}

#[test]
fn odd_lines_are_reported_where_they_stand() {
    use ProblemKind::{
        BadBoolean, BadProcessLimit, BadWakeup, CommentAfterText, DuplicateService, FieldCount,
        LeadingBlank, OverrideAfterWords, OverrideWithoutEquals, PrivateInet, SlashInName,
        SpacedOverride, UnbalancedBrace, UnknownType,
    };
    let check = |text: &[u8], expected: &[(ProblemKind, &[u8])]| {
        let problems = MasterCf::parse(text).problems();
        let got: Vec<_> = problems
            .iter()
            .map(|p| (p.kind, &text[p.span.clone()]))
            .collect();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(text));
    };
    check(b"a unix - n y 60? 0 x -o a=b {c d}\n", &[]);
    check(
        b"a unix - - n - smtp\n",
        &[(FieldCount, b"a unix - - n - smtp")],
    );
    check(
        b"  a unix - - n - - smtp\n",
        &[(LeadingBlank, b"  a unix - - n - - smtp")],
    );
    check(b"a unox - - n - - x\n", &[(UnknownType, b"unox")]);
    check(b"a unix - - no - - x\n", &[(BadBoolean, b"no")]);
    check(b"a unix - - n 1m - x\n", &[(BadWakeup, b"1m")]);
    check(b"a unix - - n - -1 x\n", &[(BadProcessLimit, b"-1")]);
    check(b"a inet - - n - - x\n", &[(PrivateInet, b"-")]);
    check(b"a/b unix - - n - - x\n", &[(SlashInName, b"a/b")]);
    check(
        b"a unix - - n - - x\na unix y - n - - y",
        &[(DuplicateService, b"a unix - - n - - x")],
    );
    check(
        b"a unix - - n - - x\n -o b = c\n",
        &[(SpacedOverride, b"-o b = c")],
    );
    check(
        b"a unix - - n - - x\n -o b =c\n",
        &[(SpacedOverride, b"-o b =c")],
    );
    check(
        b"a unix - - n - - x\n -o b= c\n",
        &[(SpacedOverride, b"-o b= c")],
    );
    check(
        b"a unix - - n - - x\n -o b\n",
        &[(OverrideWithoutEquals, b"-o b")],
    );
    check(
        b"a unix - - n - - x -o\n",
        &[(OverrideWithoutEquals, b"-o")],
    );
    check(
        b"a unix - - n - - x y -o b=c\n",
        &[(OverrideAfterWords, b"-o b=c")],
    );
    check(
        b"a unix - - n - - x -o { b = c\n",
        &[
            (OverrideWithoutEquals, b"-o { b = c"),
            (UnbalancedBrace, b"{ b = c"),
        ],
    );
    check(
        b"a unix - - n - - x -o b=c # d\n",
        &[(CommentAfterText, b"#")],
    );
}

#[test]
fn parts_of_an_option_are_replaced_in_place() {
    let check = |option: &str, after: &str| {
        let before = format!("smtp inet n - y - - smtpd\n  -v\n# hash:/z\n  {option}\n");
        let mut file = MasterCf::parse(before.as_bytes());
        let value = file.services().next().unwrap().option("a").unwrap();
        let at = value.find("hash").unwrap();
        file.replace_in_option("smtp", &ServiceType::Inet, "a", &[(at..at + 4, "lmdb")])
            .unwrap();
        let expected = format!("smtp inet n - y - - smtpd\n  -v\n# hash:/z\n  {after}\n");
        assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), expected);
    };
    check("-o a=hash:/x", "-o a=lmdb:/x");
    check("-oa=b,hash:/x -o c=hash:/x", "-oa=b,lmdb:/x -o c=hash:/x");
    check("-o { a = b hash:/x }", "-o { a = b lmdb:/x }");
    check(
        "-o { a = b\n# hash:/y\n   hash:/x }",
        "-o { a = b\n# hash:/y\n   lmdb:/x }",
    );
    check("-o a=hash:/1 -o a=hash:/2", "-o a=hash:/1 -o a=lmdb:/2");
    let mut file = MasterCf::parse(b"smtp inet n - y - - smtpd -o a=b\n");
    for option in ["a", "c"] {
        let parts = [(0..1, " ")];
        let edited = file.replace_in_option("smtp", &ServiceType::Inet, option, &parts);
        assert!(edited.is_err());
    }
}
