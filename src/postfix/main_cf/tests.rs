use super::*;

fn set(before: &str, name: &str, value: &str, after: &str) {
    let mut file = MainCf::parse(before.as_bytes());
    file.set(name, value).unwrap();
    assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), after);
    assert_eq!(
        MainCf::parse(&file.to_bytes()).get(name).as_deref(),
        Some(value.trim())
    );
}

fn add(before: &str, item: &str, after: &str) {
    let mut file = MainCf::parse(before.as_bytes());
    file.add_item("l", item, None).unwrap();
    assert_eq!(
        String::from_utf8(file.to_bytes()).unwrap(),
        after,
        "adding {item} to {before:?}"
    );
    file.add_item("l", item, None).unwrap();
    assert_eq!(file.to_bytes(), after.as_bytes(), "adding {item} again");
}

fn remove(before: &str, item: &str, after: &str) {
    let mut file = MainCf::parse(before.as_bytes());
    file.remove_item("l", item);
    assert_eq!(
        String::from_utf8(file.to_bytes()).unwrap(),
        after,
        "removing {item} from {before:?}"
    );
}

#[test]
fn values_are_read_as_postfix_reads_them() {
    let get = |text: &[u8], name| MainCf::parse(text).get(name);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(get(b"a = 1\n# c\n\n  2\n", "a"), some("1  2"));
    assert_eq!(get(b"a=b=c", "a"), some("b=c"));
    assert_eq!(get(b"a\t =\n", "a"), some(""));
    assert_eq!(get(b"a = 1\na = 2\n", "a"), some("2"));
    assert_eq!(get(b"A = 1\n", "a"), None);
    assert_eq!(get(b"a = [b] # c\n", "a"), some("[b] # c"));
    assert_eq!(get(b"a\n = 1\n", "a"), some("1"));
    assert_eq!(get(b"a = 1,\r\n  2\r\n", "a"), some("1,\r  2"));
    assert_eq!(get(b" a = 1\nb = 2", "a"), None);
    assert_eq!(get(b"\xef\xbb\xbfa = 1\n", "a"), None);
    assert_eq!(get(b"a = 1\0 2\nb = 3\n", "a"), some("1"));
    assert_eq!(get(b"a = \xe9\n", "a"), some("\u{fffd}"));
}

#[test]
fn setting_changes_one_value_and_keeps_the_style() {
    set("a = 1\nb = 2\n", "a", "3", "a = 3\nb = 2\n");
    set("a=1", "a", "3", "a=3");
    set("a  =\t1  \n", "a", "3", "a  =\t3\n");
    set("a =\n", "a", "3", "a = 3\n");
    set("a=\n", "a", "3", "a=3\n");
    set("a = 1\r\n", "a", "3", "a = 3\r\n");
    set("a = 1\r\n", "a", "", "a =\r\n");
    set("a =\n  1\n", "a", "3", "a =\n  3\n");
    set("a =\n  1\n", "a", "#3", "a = #3\n");
    set(
        "a =\n  1,\n# c\n\n  2\nb = 1\n",
        "a",
        "",
        "a =\n# c\n\nb = 1\n",
    );
    set("a = 1\n# c\n\n  2\n# d\n", "a", "3", "a = 3\n# c\n\n# d\n");
    set("a = 1\na = 2\n", "a", "3", "a = 1\na = 3\n");
}

#[test]
fn new_settings_are_never_joined_to_what_stands_above() {
    set("", "a", "1", "a = 1\n");
    set("b = 2", "a", "1", "b = 2\na = 1\n");
    set("b = 2,\r\n c", "a", "1", "b = 2,\r\n c\na = 1\r\n");
    set("b = 2 \\", "a", "1", "b = 2 \\\na = 1\n");
    set("# end", "a", "", "# end\na =\n");
    set("  orphan", "a", "1", "  orphan\na = 1\n");
    set("b", "a", "1", "b\na = 1\n");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut file = MainCf::parse(b"a = 1\n");
    for name in ["", "#a", "a b", "a=", "a\n", " a"] {
        assert!(file.set(name, "1").is_err(), "{name:?}");
    }
    for value in ["1\n2", "1\0"] {
        assert!(file.set("a", value).is_err(), "{value:?}");
    }
    for item in ["", "a b", "a,b", "{ a", "a}", "a\n"] {
        assert!(file.add_item("a", item, None).is_err(), "{item:?}");
    }
    assert_eq!(file.to_bytes(), b"a = 1\n");
}

#[test]
fn unsetting_removes_every_definition_and_no_comment() {
    let mut file = MainCf::parse(b"a = 1\n# c\n  2\nb = 3\na = 4");
    file.unset("a");
    assert_eq!(file.to_bytes(), b"# c\nb = 3\n");
    assert_eq!(file.get("a"), None);
}

#[test]
fn items_are_added_the_way_the_others_are_written() {
    add("l = a\n", "x", "l = a, x\n");
    add("l = a,b\n", "x", "l = a,b,x\n");
    add("l = a b\n", "x", "l = a b x\n");
    add("l = a, , b\n", "x", "l = a, , b, x\n");
    add("l = a, b,\n", "x", "l = a, b, x,\n");
    add("l =\n", "x", "l = x\n");
    add("l = a", "x", "l = a, x");
    add("l =\n    a\n", "x", "l =\n    a,\n    x\n");
    add("l = a,\n\tb\n", "x", "l = a,\n\tb,\n\tx\n");
    add("l = a,\r\n  b\r\n", "x", "l = a,\r\n  b,\r\n  x\r\n");
    add(
        "l = a\n  b\n# after\nm = 1\n",
        "x",
        "l = a\n  b\n  x\n# after\nm = 1\n",
    );
    add(
        "l = a,\n# why b\n  b,\n",
        "x",
        "l = a,\n# why b\n  b,\n  x,\n",
    );
    add("l = a,\n  b", "x", "l = a,\n  b,\n  x");
    add("l = a,\n  b\n", "#x", "l = a,\n  b, #x\n");
    add(
        "l = inline:{ a=b, c=d }\n",
        "x",
        "l = inline:{ a=b, c=d }, x\n",
    );
    add("l = a\n", "static:{ x, y }", "l = a, static:{ x, y }\n");
    add("k = 1\n", "x", "k = 1\nl = x\n");
}

#[test]
fn adding_keeps_the_default() {
    let mut file = MainCf::parse(b"");
    file.add_item("l", "x", Some("$a, b,")).unwrap();
    assert_eq!(file.to_bytes(), b"l = $a, b, x\n");
    let mut file = MainCf::parse(b"");
    file.add_item("l", "x", Some("a x")).unwrap();
    assert_eq!(file.to_bytes(), b"");
    let mut file = MainCf::parse(b"l =\n");
    file.add_item("l", "x", Some("a")).unwrap();
    assert_eq!(file.to_bytes(), b"l = x\n", "the empty value is a value");
}

#[test]
fn items_are_removed_with_their_separator() {
    remove("l = a, x, b\n", "x", "l = a, b\n");
    remove("l = a, x\n", "x", "l = a\n");
    remove("l = x, a\n", "x", "l = a\n");
    remove("l = x\n", "x", "l =\n");
    remove("l = x x a x x\n", "x", "l = a\n");
    remove(
        "l = a,\n# why x\n  x,\n  b\n",
        "x",
        "l = a,\n# why x\n  b\n",
    );
    remove("l = a,\r\n  x\r\n", "x", "l = a\r\n");
    remove("l = x,\n  a\n", "x", "l = \n  a\n");
    remove("l = a\n  x #b\n", "x", "l = a, #b\n");
    remove("l = a, xx\n", "x", "l = a, xx\n");
}

#[test]
fn spans_point_at_what_they_name() {
    let text = b"# c\na =\n  1,\n  2\nb=\nc = \xe9\n";
    let file = MainCf::parse(text);
    let spans: Vec<_> = file
        .settings()
        .map(|setting| (&text[setting.span], &text[setting.value_span]))
        .collect();
    assert_eq!(
        spans,
        [
            (&b"a =\n  1,\n  2"[..], &b"1,\n  2"[..]),
            (b"b=", b""),
            (b"c = \xe9", b"\xe9"),
        ]
    );
}

#[test]
fn names_come_once() {
    let file = MainCf::parse(b"a = 1\nb = 2\na = 3\n");
    assert_eq!(file.names().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn odd_lines_are_reported_where_they_stand() {
    use ProblemKind::{
        Backslash, ByteOrderMark, CommentAfterText, LeadingBlank, LoneCarriageReturn,
        LostContinuation, MissingEquals, MissingName, NulByte, Overridden, SwallowedSetting,
    };
    let check = |text: &[u8], expected: &[(ProblemKind, &[u8])]| {
        let problems = MainCf::parse(text).problems();
        let got: Vec<_> = problems
            .iter()
            .map(|p| (p.kind, &text[p.span.clone()]))
            .collect();
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(text));
    };
    check(b"a = 1\n# b\n\n  c,\n", &[]);
    check(
        b"smtp_bind_address 192.0.2.1\n",
        &[(MissingEquals, b"smtp_bind_address 192.0.2.1")],
    );
    check(b"= 1\n", &[(MissingName, b"= 1")]);
    check(b"  a = 1\n", &[(LeadingBlank, b"  a = 1")]);
    check(b"\xef\xbb\xbfa = 1\n", &[(ByteOrderMark, b"\xef\xbb\xbf")]);
    check(b"a = 1\0\n", &[(NulByte, b"\0")]);
    check(b"# \0\n", &[]);
    check(b"a = 1\rb = 2\r\n", &[(LoneCarriageReturn, b"\r")]);
    check(b"a = 1 \\\n  2\n", &[(Backslash, b"\\")]);
    check(b"a = 20 # was 10\n", &[(CommentAfterText, b"# was 10")]);
    check(b"a = !\"#$%&\n", &[]);
    check(
        b"a = 1\n  relayhost = [b]\n",
        &[(SwallowedSetting, b"relayhost = [b]")],
    );
    check(b"a =\n  inline:{x=y}\n  x=y\n", &[]);
    check(b"a = 1\n#b = 2,\n  3\n", &[(LostContinuation, b"3")]);
    check(
        b"a = 1\na = 1\na = 2\na = 2\n",
        &[(Overridden, b"a = 1"), (Overridden, b"a = 1")],
    );
}

#[test]
fn parts_of_a_value_are_replaced_in_place() {
    let check = |before: &str, part: &str, after: &str| {
        let mut file = MainCf::parse(before.as_bytes());
        let value = file.get("a").unwrap();
        let at = value.find(part).unwrap();
        file.replace_in("a", &[(at..at + part.len(), "lmdb")])
            .unwrap();
        assert_eq!(String::from_utf8(file.to_bytes()).unwrap(), after);
    };
    check("a = hash:/x", "hash", "a = lmdb:/x");
    check(
        "a = 1\r\na =\r\n  b,\r\n# hash:/z\r\n  hash:/x\r\nc = 2\r\n",
        "hash",
        "a = 1\r\na =\r\n  b,\r\n# hash:/z\r\n  lmdb:/x\r\nc = 2\r\n",
    );
    check("a=hash\nb = hash\n", "hash", "a=lmdb\nb = hash\n");
    let mut file = MainCf::parse(b"a = 1 hash:/x hash:/y\n");
    file.replace_in("a", &[(2..6, "lmdb"), (10..14, "cdb")])
        .unwrap();
    assert_eq!(file.get("a").unwrap(), "1 lmdb:/x cdb:/y");
    assert!(file.replace_in("b", &[]).is_err());
    assert!(file.replace_in("a", &[(0..1, "\n")]).is_err());
}
