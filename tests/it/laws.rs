//! The four laws of documents, on our own odd files, on real ones, and on generated ones.
//!
//! 1. Printing what was read gives back every byte.
//! 2. What was set is what is read again.
//! 3. An edit changes one item only, and never a comment.
//! 4. Postfix reads the same: `oracle.rs`.

use crate::samples::{self, Sample, Syntax};
use mailfix::postfix::{
    ArgumentKind, Engine, Field, MainCf, MasterCf, PatternTable, Problem, Service, Table,
    split_list,
};
use proptest::prelude::*;

use crate::support::properties;

#[test]
fn files_obey_the_laws() {
    samples::each(&samples::all(), |sample| {
        let Sample {
            name,
            syntax,
            bytes,
        } = sample;
        match syntax {
            Syntax::MainCf => main_cf(name, bytes),
            Syntax::MasterCf => master_cf(name, bytes),
            Syntax::Table => table(name, bytes),
            Syntax::Pattern => patterns(name, bytes),
        }
        // Every syntax takes every file.
        assert_eq!(MainCf::parse(bytes).to_bytes(), *bytes, "{name}");
        assert_eq!(MasterCf::parse(bytes).to_bytes(), *bytes, "{name}");
        assert_eq!(Table::parse(bytes).to_bytes(), *bytes, "{name}");
        patterns(name, bytes);
    });
}

/// Keeps a few of many, from all over: every edit is checked against the whole file.
fn spread<T>(all: &mut Vec<T>, most: usize) {
    let step = all.len().div_ceil(most).max(1);
    let mut index = 0;
    all.retain(|_| {
        index += 1;
        (index - 1) % step == 0
    });
}

fn in_bounds(name: &str, problems: &[Problem], bytes: &[u8]) {
    for problem in problems {
        assert!(
            problem.span.start <= problem.span.end && problem.span.end <= bytes.len(),
            "{name}: {problem:?}"
        );
    }
}

/// Gives the comment lines of a text, in order; a missing final newline is made up for.
fn comments(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| line.trim_ascii_start().starts_with(b"#"))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
        .collect()
}

/// Gives what is set, without one name: each definition and what it is worth.
fn others(file: &MainCf, name: &str) -> Vec<(String, Vec<u8>)> {
    file.settings()
        .filter(|setting| setting.name != name)
        .map(|setting| (setting.name.to_owned(), setting.bytes.to_vec()))
        .collect()
}

fn main_cf(place: &str, bytes: &[u8]) {
    let file = MainCf::parse(bytes);
    assert_eq!(file.to_bytes(), bytes, "{place}");
    in_bounds(place, &file.problems(), bytes);
    for setting in file.settings() {
        let (span, value) = (&bytes[setting.span], &bytes[setting.value_span]);
        assert!(span.ends_with(value), "{place}: {}", setting.name);
        assert!(
            value.is_empty() == setting.bytes.is_empty(),
            "{place}: {}",
            setting.name
        );
    }
    let mut names: Vec<String> = file.names().map(str::to_owned).collect();
    names.retain(|name| file.clone().set(name, "x").is_ok());
    spread(&mut names, 16);
    names.push("parameter_of_ours".to_owned());
    for name in &names {
        let old = file.get(name);
        for value in ["", "one", "$a, two  three", "#four"] {
            let mut edited = file.clone();
            edited.set(name, value).unwrap();
            let after = edited.to_bytes();
            let read = MainCf::parse(&after);
            assert_eq!(
                read.get(name).as_deref(),
                Some(value),
                "{place}: {name} = {value}"
            );
            assert_eq!(
                edited.get(name).as_deref(),
                Some(value),
                "{place}: {name} = {value}"
            );
            assert_eq!(
                others(&read, name),
                others(&file, name),
                "{place}: {name} = {value}"
            );
            assert_eq!(
                comments(&after),
                comments(bytes),
                "{place}: {name} = {value}"
            );
            unchanged_around(place, &file, name, bytes, &after);
            // The same again writes nothing.
            edited.set(name, value).unwrap();
            assert_eq!(edited.to_bytes(), after, "{place}: {name} = {value}");
        }
        list_edits(place, &file, name, bytes);
        let mut edited = file.clone();
        edited.unset(name);
        let read = MainCf::parse(&edited.to_bytes());
        assert_eq!(read.get(name), None, "{place}: {name}");
        assert_eq!(others(&read, name), others(&file, name), "{place}: {name}");
        assert_eq!(
            comments(&edited.to_bytes()),
            comments(bytes),
            "{place}: {name}"
        );
        if let Some(old) = old.filter(|_| std::str::from_utf8(bytes).is_ok()) {
            let mut edited = file.clone();
            if edited.set(name, &old).is_ok() {
                assert_eq!(edited.to_bytes(), bytes, "{place}: {name} to what it is");
            }
        }
    }
}

/// Everything before the setting that changed, and from the next setting on, is as it was.
fn unchanged_around(place: &str, file: &MainCf, name: &str, before: &[u8], after: &[u8]) {
    let Some(setting) = file.setting(name) else {
        let kept = after.get(..before.len()) == Some(before);
        assert!(kept, "{place}: {name} is added at the end");
        return;
    };
    assert_eq!(
        after[..setting.span.start],
        before[..setting.span.start],
        "{place}: {name}"
    );
    let next = file
        .settings()
        .map(|other| other.span.start)
        .find(|start| *start > setting.span.start);
    if let Some(next) = next {
        assert!(after.ends_with(&before[next..]), "{place}: {name}");
    }
}

fn ends_in_braces(text: &[u8]) -> bool {
    let mut depth = 0_u32;
    for byte in text {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth > 0
}

fn list_edits(place: &str, file: &MainCf, name: &str, bytes: &[u8]) {
    let item = "regexp:/etc/postfix/ours";
    let before = split_list(&file.get(name).unwrap_or_default());
    if before.iter().any(|present| present == item)
        || before.iter().any(|item| item.contains('\u{fffd}'))
    {
        return;
    }
    // These two count as blanks at the ends of a value, but separate no items.
    if before.iter().any(|item| item.contains(['\x0b', '\x0c'])) {
        return;
    }
    // A brace that is never closed makes one item of all that follows.
    let open = |text: &str| ends_in_braces(text.as_bytes());
    if before.iter().any(|item| open(item)) {
        assert!(
            file.clone().add_item(name, item, None).is_err(),
            "{place}: {name}"
        );
        return;
    }
    let mut edited = file.clone();
    edited.add_item(name, item, None).unwrap();
    let after = edited.to_bytes();
    let read = MainCf::parse(&after);
    let mut wanted = before.clone();
    wanted.push(item.to_owned());
    assert_eq!(
        split_list(&read.get(name).unwrap()),
        wanted,
        "{place}: {name}"
    );
    assert_eq!(others(&read, name), others(file, name), "{place}: {name}");
    assert_eq!(comments(&after), comments(bytes), "{place}: {name}");
    unchanged_around(place, file, name, bytes, &after);
    edited.add_item(name, item, None).unwrap();
    assert_eq!(edited.to_bytes(), after, "{place}: {name}, added twice");
    edited.remove_item(name, item);
    let again = MainCf::parse(&edited.to_bytes());
    assert_eq!(
        split_list(&again.get(name).unwrap()),
        before,
        "{place}: {name}"
    );
    let mut items = before.clone();
    spread(&mut items, 8);
    for item in &items {
        let mut edited = file.clone();
        edited.remove_item(name, item);
        let read = MainCf::parse(&edited.to_bytes());
        let mut wanted = before.clone();
        wanted.retain(|present| present != item);
        assert_eq!(
            split_list(&read.get(name).unwrap()),
            wanted,
            "{place}: {name} without {item}"
        );
        assert_eq!(
            others(&read, name),
            others(file, name),
            "{place}: {name} without {item}"
        );
        assert_eq!(
            comments(&edited.to_bytes()),
            comments(bytes),
            "{place}: {name} without {item}"
        );
    }
}

/// Gives what every service says.
fn meanings(file: &MasterCf) -> Vec<(Vec<String>, Vec<ArgumentKind>)> {
    file.services().map(meaning).collect()
}

fn meaning(service: &Service) -> (Vec<String>, Vec<ArgumentKind>) {
    let fields = [
        Field::Name,
        Field::Type,
        Field::Private,
        Field::Unprivileged,
        Field::Chroot,
        Field::Wakeup,
        Field::ProcessLimit,
        Field::Command,
    ];
    (
        fields
            .iter()
            .map(|field| service.field(*field).to_owned())
            .collect(),
        service
            .arguments
            .iter()
            .map(|argument| argument.kind.clone())
            .collect(),
    )
}

fn master_cf(place: &str, bytes: &[u8]) {
    services(place, bytes);
    new_service(place, bytes);
}

fn services(place: &str, bytes: &[u8]) {
    let file = MasterCf::parse(bytes);
    assert_eq!(file.to_bytes(), bytes, "{place}");
    in_bounds(place, &file.problems(), bytes);
    let before = meanings(&file);
    for (index, service) in file.services().enumerate() {
        let (name, kind) = (&service.name, &service.kind);
        let text = &bytes[service.field_span(Field::Name)];
        if !text.contains(&b'\n') {
            assert_eq!(String::from_utf8_lossy(text), *name, "{place}");
        }
        if file
            .get(name, kind)
            .is_none_or(|found| found.span != service.span)
        {
            continue;
        }
        let check = |edited: &MasterCf, wanted: &dyn Fn(&Service) -> bool| {
            let after = edited.to_bytes();
            let read = MasterCf::parse(&after);
            let mut rest = meanings(&read);
            assert_eq!(rest.len(), before.len(), "{place}: {name}");
            let changed = rest.remove(index);
            let mut kept = before.clone();
            kept.remove(index);
            assert_eq!(rest, kept, "{place}: {name}");
            assert!(
                wanted(read.get(name, kind).unwrap()),
                "{place}: {name}: {changed:?}"
            );
            assert_eq!(comments(&after), comments(bytes), "{place}: {name}");
            assert_eq!(
                after[..service.span.start],
                bytes[..service.span.start],
                "{place}: {name}"
            );
            if let Some(next) = file.services().nth(index + 1) {
                assert!(
                    after.ends_with(&bytes[next.span.start..]),
                    "{place}: {name}"
                );
            }
        };
        let closed = !ends_in_braces(&bytes[service.span.clone()]);
        for value in ["", "one", "$a, two  three", "inet:{x y}"] {
            let mut edited = file.clone();
            if !closed {
                let error = edited.set_option(name, kind, "parameter_of_ours", value);
                assert!(
                    error.is_err() || service.option("parameter_of_ours").is_some(),
                    "{place}: {name}"
                );
                continue;
            }
            edited
                .set_option(name, kind, "parameter_of_ours", value)
                .unwrap();
            check(&edited, &|service| {
                service.option("parameter_of_ours") == Some(value)
            });
            let after = edited.to_bytes();
            edited
                .set_option(name, kind, "parameter_of_ours", value)
                .unwrap();
            assert_eq!(edited.to_bytes(), after, "{place}: {name}");
            edited
                .unset_option(name, kind, "parameter_of_ours")
                .unwrap();
            assert_eq!(meanings(&edited), before, "{place}: {name}");
        }
        let overrides: Vec<String> = service
            .overrides()
            .map(|(name, _)| name.to_owned())
            .collect();
        for option in overrides {
            let mut edited = file.clone();
            if edited.set_option(name, kind, &option, "x,y").is_ok() {
                check(&edited, &|service| service.option(&option) == Some("x,y"));
            }
            let mut edited = file.clone();
            edited.unset_option(name, kind, &option).unwrap();
            check(&edited, &|service| service.option(&option).is_none());
        }
        for letter in ["y", "n", "-"] {
            let mut edited = file.clone();
            edited.set_field(name, kind, Field::Chroot, letter).unwrap();
            check(&edited, &|service| service.field(Field::Chroot) == letter);
        }
        removal(place, &file, service);
    }
}

fn removal(place: &str, file: &MasterCf, service: &Service) {
    let (name, kind) = (&service.name, &service.kind);
    let mut edited = file.clone();
    edited.remove(name, kind);
    assert!(edited.get(name, kind).is_none(), "{place}: {name}");
    assert_eq!(
        comments(&edited.to_bytes()),
        comments(&file.to_bytes()),
        "{place}: {name}"
    );
    let kept: Vec<_> = file
        .services()
        .filter(|other| !other.is(name, kind))
        .map(meaning)
        .collect();
    assert_eq!(
        meanings(&MasterCf::parse(&edited.to_bytes())),
        kept,
        "{place}: {name}"
    );
}

fn new_service(place: &str, bytes: &[u8]) {
    let file = MasterCf::parse(bytes);
    let before = meanings(&file);
    let fragment = b"service-of-ours unix - - n - - smtp\n  -o inet_protocols=ipv4\n";
    let mut edited = file.clone();
    edited.add(fragment).unwrap();
    let after = edited.to_bytes();
    assert_eq!(after.get(..bytes.len()), Some(bytes), "{place}");
    let mut wanted = before.clone();
    wanted.extend(meanings(&MasterCf::parse(fragment)));
    assert_eq!(meanings(&MasterCf::parse(&after)), wanted, "{place}");
    edited.add(fragment).unwrap();
    assert_eq!(edited.to_bytes(), after, "{place}");
}

fn entries(table: &Table, without: &str) -> Vec<(String, String)> {
    table
        .entries()
        .filter(|entry| !entry.key.eq_ignore_ascii_case(without))
        .map(|entry| (entry.key.into_owned(), entry.value.into_owned()))
        .collect()
}

fn table(place: &str, bytes: &[u8]) {
    let table = Table::parse(bytes);
    assert_eq!(table.to_bytes(), bytes, "{place}");
    in_bounds(place, &table.problems(), bytes);
    let mut keys: Vec<String> = table
        .entries()
        .filter(|entry| entry.is_utf8 && entry.key.is_ascii())
        .map(|entry| entry.key.into_owned())
        .collect();
    keys.dedup();
    spread(&mut keys, 16);
    keys.push("key.of.ours".to_owned());
    for key in &keys {
        for value in ["smtp-ipv4:", "error:5.1.2 no  such host", "#x"] {
            let mut edited = table.clone();
            edited.set(key, value).unwrap();
            let after = edited.to_bytes();
            let read = Table::parse(&after);
            assert_eq!(read.get(key).as_deref(), Some(value), "{place}: {key}");
            assert_eq!(edited.get(key).as_deref(), Some(value), "{place}: {key}");
            assert_eq!(entries(&read, key), entries(&table, key), "{place}: {key}");
            assert_eq!(comments(&after), comments(bytes), "{place}: {key}");
            match table.entry(key) {
                Some(entry) => assert_eq!(after[..entry.span.start], bytes[..entry.span.start]),
                None => assert_eq!(after.get(..bytes.len()), Some(bytes), "{place}: {key}"),
            }
        }
        let mut edited = table.clone();
        edited.remove(key);
        let read = Table::parse(&edited.to_bytes());
        assert_eq!(read.get(key), None, "{place}: {key}");
        assert_eq!(entries(&read, key), entries(&table, key), "{place}: {key}");
        assert_eq!(
            comments(&edited.to_bytes()),
            comments(bytes),
            "{place}: {key}"
        );
    }
}

fn patterns(place: &str, bytes: &[u8]) {
    for engine in [Engine::Regexp, Engine::Pcre] {
        let table = PatternTable::parse(bytes, engine);
        assert_eq!(table.to_bytes(), bytes, "{place}");
        in_bounds(place, table.problems(), bytes);
        for rule in table.rules() {
            assert!(
                bytes
                    .get(rule.span.clone())
                    .is_some_and(|text| !text.is_empty()),
                "{place}"
            );
        }
    }
}

/// Joins pieces of text that are each odd in some way.
fn text(pieces: Vec<&'static [u8]>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(pieces), 0..24);
    pieces.prop_map(|pieces| pieces.concat())
}

const COMMON: [&[u8]; 16] = [
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b" \n",
    b"# c\n",
    b"  # indented\n",
    b"\t",
    b" ",
    b"\r",
    b"\x0b",
    b"\0",
    b"\xe9",
    b"\xef\xbb\xbf",
    b"#",
    b"\\\n",
];

const MAIN_CF: [&[u8]; 21] = [
    b"a = 1\n",
    b"a = x, y\n",
    b"a=x y",
    b"b =\n",
    b"b = ",
    b"  x,\n",
    b"  , y\n",
    b"\ty #z\n",
    b"c\t= {p, q}\r\n",
    b"a",
    b"b",
    b"=",
    b"= ",
    b",",
    b"x",
    b"y, ",
    b"{",
    b"}",
    b"\n  x y\r\n",
    b"#a = 1\n",
    b"parameter_of_ours = ",
];

const MASTER_CF: [&[u8]; 18] = [
    b"a unix - - n - - smtp\n",
    b"a unix - - n - - smtp",
    b"b inet n - - 5 10? x -v\n",
    b"  -o a=b\n",
    b"\t-o { a = b c }\r\n",
    b"  -ob=\n",
    b" -vo a=1\n",
    b"  -o\n",
    b"  a=b\n",
    b"p unix - n n - - pipe\n",
    b"  flags=R user=x\n",
    b"{ x y }",
    b"{",
    b"}",
    b" -o a = b\n",
    b"25 inet n - n - - smtpd\r\n",
    b"smtp inet n - n - - smtpd\n",
    b"#  -o c=d\n",
];

const TABLE: [&[u8]; 13] = [
    b"a 1\n",
    b"A\t2\n",
    b"b\n",
    b"  3\n",
    b"\"x y\"@z v\n",
    b"\"",
    b"k: v\n",
    b"c",
    b" ",
    b"4  5 \n",
    b"\\ ",
    b"d 1\r\n",
    b"key.of.ours x\n",
];

const PATTERN: [&[u8]; 18] = [
    b"/a/ x\n",
    b"!/b/i y $1\n",
    b"if /c/\n",
    b"endif\n",
    b"/(d)/ ${1}\n",
    b"/",
    b"(",
    b"[",
    b"]",
    b")",
    b"*",
    b"-",
    b"\\",
    b"$",
    b"/e[[:alpha:]-]+/x z\n",
    b"  more\n",
    b"!",
    b"a",
];

fn with_common(own: &[&'static [u8]]) -> Vec<&'static [u8]> {
    own.iter().chain(own).chain(&COMMON).copied().collect()
}

proptest! {
    #![proptest_config(properties(400))]

    #[test]
    fn generated_main_cf(bytes in text(with_common(&MAIN_CF))) {
        main_cf("generated", &bytes);
    }

    #[test]
    fn generated_master_cf(mut bytes in text(with_common(&MASTER_CF))) {
        // It continues a line and separates no words; taking the line above away may join two.
        bytes.retain(|byte| *byte != b'\x0b');
        master_cf("generated", &bytes);
    }

    #[test]
    fn generated_tables(bytes in text(with_common(&TABLE))) {
        table("generated", &bytes);
    }

    #[test]
    fn generated_patterns(bytes in text(with_common(&PATTERN))) {
        patterns("generated", &bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        main_cf("any", &bytes);
        let mut plain = bytes.clone();
        plain.retain(|byte| !matches!(byte, b'\x0b' | b'\x0c'));
        master_cf("any", &plain);
        table("any", &bytes);
        patterns("any", &bytes);
    }
}

/// Reading is linear: a long table takes no longer than its length.
#[test]
fn a_million_entries_are_read_in_no_time() {
    let mut text = Vec::new();
    for number in 0..1_000_000 {
        text.extend_from_slice(
            format!("domain{number}.example relay:[mx{number}.example]\n").as_bytes(),
        );
    }
    let start = std::time::Instant::now();
    let table = Table::from(text);
    assert_eq!(table.entries().count(), 1_000_000);
    assert_eq!(
        table.get("DOMAIN999999.example").as_deref(),
        Some("relay:[mx999999.example]")
    );
    // Generous: tests are not optimized, and machines are busy.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
