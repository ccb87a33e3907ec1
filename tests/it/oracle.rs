//! The fourth law: the real Postfix reads what we read, and what we write.
//!
//! Asks `postconf` and `postmap` of this machine, in private directories; those of another
//! system's root if `MAILFIX_TEST_POSTFIX` names one.
//! Without them a test says that it is skipped; with `CI=true` that is a failure.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use crate::samples::{self, Sample, Syntax};
use mailfix::host::{self, FilterSource, ReplyFilter};
use mailfix::postfix::{
    ArgumentKind, Engine, Field, MainCf, MasterCf, PatternTable, ProblemKind, Service, Table,
    ValueKind, Version, expand, parameter, split_list,
};
use mailfix::profile::Profile;
use mailfix::provider::Provider;
use mailfix::remedy::Case;
use mailfix::site::Site;
use mailfix::target::TableWanted;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

const PROGRAMS: &str = "/usr/sbin";

/// Names the root of the system whose Postfix is asked.
const ROOT: &str = "MAILFIX_TEST_POSTFIX";

/// Gives the root of the system whose Postfix is asked.
fn root() -> PathBuf {
    std::env::var_os(ROOT).map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// Gives the version that is asked.
fn version() -> Version {
    let output = Etc::new(b"", b"").run("postconf", &["-dh", "mail_version"]);
    Version::parse(&text(&output.stdout)).unwrap()
}

/// Tells whether the version that is asked is an older one.
fn is_before(other: &str) -> bool {
    version() < Version::parse(other).unwrap()
}

/// A `main.cf` that reads tables as a new installation does.
fn modern() -> &'static [u8] {
    static LEVEL: OnceLock<&[u8]> = OnceLock::new();
    LEVEL.get_or_init(|| {
        // Levels were plain numbers before.
        if is_before("3.6") {
            b"compatibility_level = 2\n"
        } else {
            b"compatibility_level = 3.6\n"
        }
    })
}

/// Tells whether Postfix is there; says so if not.
fn postfix() -> bool {
    let there = root()
        .join(PROGRAMS.trim_start_matches('/'))
        .join("postconf")
        .exists();
    if !there {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI needs Postfix"
        );
        eprintln!("skipped: no {PROGRAMS}/postconf");
    }
    there
}

/// A private configuration directory.
struct Etc {
    folder: tempfile::TempDir,
}

impl Etc {
    fn new(main_cf: &[u8], master_cf: &[u8]) -> Self {
        let folder = match std::env::var_os(ROOT) {
            Some(_) => tempfile::tempdir_in(root().join("tmp")),
            None => tempfile::tempdir(),
        };
        let folder = folder.unwrap();
        let etc = Self { folder };
        etc.write("main.cf", main_cf);
        etc.write("master.cf", master_cf);
        etc
    }

    /// Gives the folder as the programs see it.
    fn place(&self) -> PathBuf {
        let path = self.folder.path();
        Path::new("/").join(path.strip_prefix(root()).unwrap())
    }

    /// Gives a file of it as the programs see it.
    fn path(&self, name: &str) -> PathBuf {
        self.place().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        // Programs wait while main.cf is younger than two seconds.
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = Path::new(PROGRAMS).join(program);
        let mut command = if root() == Path::new("/") {
            Command::new(program)
        } else {
            let mut command = Command::new("/usr/sbin/chroot");
            command.arg(root()).arg(program);
            command
        };
        command
            .arg("-c")
            .arg(self.place())
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Gives every parameter and its value, or what postconf stopped with.
    fn parameters(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
        let output = self.run("postconf", &[]);
        if !output.status.success() {
            return Err(stderr(&output));
        }
        let lines = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| {
                let at = line.windows(2).position(|pair| pair == b" =").unwrap();
                (line[..at].to_vec(), words(&line[at + 2..]))
            })
            .filter(|(name, _)| !NOT_FROM_THE_FILE.contains(&text(name).as_str()))
            .collect())
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Joins words by one blank, as postconf prints values.
fn words(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(&b' ')
}

/// The parameters postconf shows without being told to.
fn built_in() -> &'static HashSet<String> {
    static NAMES: OnceLock<HashSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let output = Etc::new(modern(), b"").run("postconf", &["-d"]);
        let lines = text(&output.stdout);
        lines
            .lines()
            .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
            .collect()
    })
}

/// The other parameters of a file that can be referred to without breaking anything.
fn referable(file: &MainCf) -> Vec<&str> {
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let expands = |name: &str| {
        let value = file.get(name).unwrap_or_default();
        expand(&value, &|name| file.get(name).map(Into::into)).is_ok()
    };
    file.names()
        .filter(|name| plain(name) && !built_in().contains(*name) && expands(name))
        .collect()
}

/// A service that refers to what a file sets, so that postconf shows it.
fn master_cf_naming(file: &MainCf) -> Vec<u8> {
    let names = referable(file).join("$");
    let mut text = b"witness unix - - n - - smtp".to_vec();
    if !names.is_empty() {
        text.extend_from_slice(format!(" -o mail_name=${names}").as_bytes());
    }
    text.push(b'\n');
    // Parameters that begin with the name of a service are used if the service is there.
    for name in file.names().filter_map(parameter::service_of) {
        text.extend_from_slice(format!("{name} unix - - n - - smtp\n").as_bytes());
    }
    text
}

/// Parameters that postconf works out by itself.
const NOT_FROM_THE_FILE: [&str; 3] = ["config_directory", "process_name", "process_id"];

#[test]
fn parameters_are_what_postconf_says() {
    if postfix() {
        samples::each(&samples::of(Syntax::MainCf), parameters_agree);
    }
}

fn parameters_agree(sample: &Sample) {
    let place = &sample.name;
    let file = MainCf::parse(&sample.bytes);
    let etc = Etc::new(&sample.bytes, &master_cf_naming(&file));
    let problems = file.problems();
    let has = |kind| problems.iter().any(|problem| problem.kind == kind);
    let before = match etc.parameters() {
        Ok(parameters) => parameters,
        Err(error) => {
            let refused = has(ProblemKind::MissingEquals) || has(ProblemKind::MissingName);
            // Of what it stops for, these are about syntax; a bad value is another matter.
            let about_syntax =
                error.contains("missing '='") || error.contains("missing attribute name");
            assert_eq!(about_syntax, refused, "{place}: {error}");
            return;
        }
    };
    assert!(
        !has(ProblemKind::MissingEquals) && !has(ProblemKind::MissingName),
        "{place}"
    );
    let referable = referable(&file);
    for name in file
        .names()
        .filter(|name| !NOT_FROM_THE_FILE.contains(name))
    {
        let shown = before.get(name.as_bytes());
        if shown.is_none() && !built_in().contains(name) && !referable.contains(&name) {
            continue;
        }
        let ours = words(file.get_bytes(name).unwrap());
        assert_eq!(shown, Some(&ours), "{place}: {name}");
    }
    let warnings = stderr(&etc.run("postconf", &["mail_version"]));
    let warned = |text: &str| warnings.contains(text);
    assert_eq!(
        warned("logical line must not start with whitespace"),
        has(ProblemKind::LeadingBlank),
        "{place}: {warnings}"
    );
    // Its `-c` counts as an earlier setting of config_directory.
    if file.get("config_directory").is_none() {
        assert_eq!(
            warned("overriding earlier entry"),
            has(ProblemKind::Overridden),
            "{place}: {warnings}"
        );
    }
    edits_agree(place, &file, &etc, &before);
}

fn edits_agree(place: &str, file: &MainCf, etc: &Etc, before: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let check = |edited: &MainCf, name: &str, value: Option<&str>| {
        etc.write("main.cf", &edited.to_bytes());
        let mut after = etc
            .parameters()
            .unwrap_or_else(|error| panic!("{place}: {name}: {error}"));
        let mut kept = before.clone();
        let old = kept.remove(name.as_bytes());
        let new = after.remove(name.as_bytes());
        if let Some(value) = value {
            assert_eq!(
                new,
                Some(words(value.as_bytes())),
                "{place}: {name}, which was {old:?}"
            );
        }
        // A value that is gone may have been the only use of another name.
        after.retain(|name, _| kept.contains_key(name));
        kept.retain(|name, _| {
            after.contains_key(name) || parameter::lookup(&String::from_utf8_lossy(name)).is_some()
        });
        // postconf derives these from other parameters while the file does not set them.
        kept.retain(|name, _| {
            let derived = ["myhostname", "mydomain", "mynetworks", "inet_interfaces"];
            !derived.contains(&text(name).as_str()) || edited.get(&text(name)).is_some()
        });
        let differ = kept
            .iter()
            .find(|(name, value)| after.get(*name) != Some(value));
        let differ = differ.map(|(name, value)| {
            (
                text(name),
                text(value),
                after.get(name).map(|value| text(value)),
            )
        });
        assert_eq!(differ, None, "{place}: {name}");
    };
    let value_of = |file: &MainCf, name: &str| match file.get(name) {
        Some(value) => value,
        None => String::from_utf8_lossy(before.get(name.as_bytes()).map_or(b"", Vec::as_slice))
            .into_owned(),
    };
    for (name, value) in [
        ("relayhost", "[oracle.example]:587"),
        ("smtp_helo_name", "oracle.example"),
        ("mynetworks", ""),
        ("smtpd_banner", "#one  two, three"),
    ] {
        let mut edited = file.clone();
        edited.set(name, value).unwrap();
        check(&edited, name, Some(value));
    }
    for name in [
        "transport_maps",
        "smtpd_recipient_restrictions",
        "mydestination",
    ] {
        let item = "regexp:/etc/postfix/oracle";
        let mut edited = file.clone();
        let old = value_of(file, name);
        edited.add_item(name, item, Some(&old)).unwrap();
        let mut wanted = split_list(&old);
        wanted.push(item.to_owned());
        etc.write("main.cf", &edited.to_bytes());
        let shown = etc.parameters().unwrap()[name.as_bytes()].clone();
        assert_eq!(
            split_list(&String::from_utf8_lossy(&shown)),
            wanted,
            "{place}: {name}"
        );
        check(&edited, name, None);
        if let Some(first) = wanted.first().filter(|_| file.get(name).is_some()) {
            let mut edited = file.clone();
            edited.remove_item(name, first);
            check(&edited, name, Some(&value_of(&edited, name)));
        }
    }
    if let Some(name) = file
        .names()
        .find(|name| before.contains_key(name.as_bytes()))
    {
        let mut edited = file.clone();
        edited.unset(name);
        check(&edited, name, None);
    }
}

#[test]
fn values_are_expanded_as_postconf_expands_them() {
    if !postfix() {
        return;
    }
    for value in [
        "${relayhost ?x}",
        "${{1} < level {2} ? {y}:{n}}",
        "${{1} <level {2} ? {y}:{n}}",
        "${{3.6} ==level {3.6.0} ? {y}:{n}}",
        "${{3.6} < {3.11} ? {y}:{n}}",
        "${{2} < {10} ? {y}:{n}}",
        "${{2} == {02} ? {y}:{n}}",
        "${{x2} < {x10} ? {y}:{n}}",
        "${{} < {1} ? {y}:{n}}",
        "${{a}}",
        "${{a}=={a}}",
        "${{a}=={a}:{n}}",
        "a$",
        "a $ b",
        "${}",
        "${relayhost?{b}c}",
        "${relayhost?x:y} ${relayhost??foo}",
        "${ relayhost}",
        "x${mydestination? {yes} : {no} }",
        "${mydestination: {no}  }",
        "${{a} <= {b}?{z}}",
        "${{a} >= {b}:{z}}",
        "$(relayhost?{x})",
        "${{a} == {b} ? c : d}",
        "${{a} != {b} ? c : d}",
        "${relayhost?{x}:}",
        "${relayhost?{x} y}",
        "$$x $$",
        "-${relayhost:y}-${mydestination:y}-",
        "${relayhost?{$}}",
        "${{1.x} <level {2} ? {y}:{n}}",
        "${{} <level {2} ? {y}:{n}}",
        "$mail_name",
        "${relayhost?{a}{b}}",
        "${{$mynetworks}>{1}?{>$mynetworks}}",
        "(${relayhost",
        "${relayhost",
        "$(relayhost}",
        "${smtp-ipv4_x}",
        "${{a}\t==\t{a} ? {t}}",
        "$relayhost.$mynetworks",
    ] {
        // Compatibility levels became something to compare in 3.6.
        if value.contains("level") && is_before("3.6") {
            continue;
        }
        let text = format!("relayhost = A\nmydestination =\nmynetworks = 2\nmail_name = {value}\n");
        let file = MainCf::parse(text.as_bytes());
        let etc = Etc::new(text.as_bytes(), b"");
        let output = etc.run("postconf", &["-xh", "mail_name"]);
        let theirs = output.status.success().then(|| words(&output.stdout));
        let ours = expand(value, &|name| file.get(name).map(Into::into));
        assert_eq!(
            ours.ok().map(|text| words(text.as_bytes())),
            theirs,
            "{value}: {}",
            stderr(&output)
        );
    }
}

/// Parameters whose defaults hang on how Postfix was built or on the host.
const OWN_DEFAULT: [&str; 8] = [
    "alias_database",
    "alias_maps",
    "mydomain",
    "myhostname",
    "mynetworks",
    "process_id",
    "process_name",
    "service_name",
];

/// The table of parameters knows this Postfix: its names, its defaults, and that these are good
/// values.
#[test]
fn known_parameters_are_those_of_this_version() {
    if !postfix() {
        return;
    }
    let etc = Etc::new(modern(), b"");
    let version = version();
    let defaults = String::from_utf8(etc.run("postconf", &["-dx"]).stdout).unwrap();
    let mut theirs = Vec::new();
    for line in defaults.lines() {
        let (name, value) = line.split_once(" =").unwrap();
        let parameter = parameter::lookup(name).unwrap_or_else(|| panic!("{name} is not known"));
        assert!(parameter.exists_in(version), "{name} in {version}");
        assert_eq!(parameter.check(value.trim()), Ok(()), "{name}");
        theirs.push(name);
    }
    for parameter in parameter::all() {
        let old_name = parameter.replacement.is_some();
        // These come and go with the service they are named after.
        let of_a_service = parameter::all().iter().any(|template| {
            let suffix = template.name.strip_prefix("<transport>");
            suffix.is_some_and(|suffix| parameter.name.ends_with(suffix))
        });
        if of_a_service {
            continue;
        }
        if parameter.exists_in(version) && !parameter.name.starts_with('<') && !old_name {
            assert!(
                theirs.contains(&parameter.name),
                "{} in {version}",
                parameter.name
            );
        }
    }
    let defaults = String::from_utf8(etc.run("postconf", &["-d"]).stdout).unwrap();
    for line in defaults.lines() {
        let (name, value) = line.split_once(" =").unwrap();
        let parameter = parameter::lookup(name).unwrap();
        let ours = parameter.default_in(version);
        // Of a service's own parameters the table has the pattern only.
        if parameter.name == name && !OWN_DEFAULT.contains(&name) && !ours.contains("build") {
            assert_eq!(value.trim(), ours, "{name} in {version}");
        }
    }
    // What the daemons fill in themselves is not expanded.
    let values: Vec<String> = theirs
        .iter()
        .filter(|name| **name != "mail_name" && !NOT_FROM_THE_FILE.contains(name))
        .map(|name| format!("{name} = X$mail_name\n"))
        .collect();
    let values = values.concat();
    let etc = Etc::new(format!("{values}mail_name = Q\n").as_bytes(), b"");
    let shown = String::from_utf8(etc.run("postconf", &["-xn"]).stdout).unwrap();
    for line in shown.lines().filter(|line| line.contains(" = X")) {
        let (name, value) = line.split_once(" = ").unwrap();
        let raw = parameter::lookup(name).unwrap().kind == ValueKind::Raw;
        assert_eq!(raw, value == "X$mail_name", "{name}");
    }
}

/// Prints a service as `postconf -M` does, one blank between columns.
fn line(service: &Service) -> String {
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
    let mut line = fields
        .map(|field| service.field(field).to_owned())
        .join(" ");
    let braced = |word: &str| {
        if word.contains([' ', '\t', '\r']) {
            format!("{{{word}}}")
        } else {
            word.to_owned()
        }
    };
    for argument in &service.arguments {
        line.push(' ');
        let word = match &argument.kind {
            ArgumentKind::Override { name, value } => {
                format!("-o {}", braced(&format!("{name}={value}")))
            }
            ArgumentKind::BareOverride(word) => format!("-o {}", braced(word)),
            ArgumentKind::Option(word) => word.clone(),
            ArgumentKind::Word(word) => braced(word),
        };
        line.push_str(&word);
    }
    line.trim_end().to_owned()
}

/// Takes the padding out of the columns of a line of `postconf -M`.
fn without_padding(line: &str) -> String {
    let mut rest = line;
    let mut fields = Vec::new();
    for _ in 0..8 {
        let trimmed = rest.trim_start();
        let (field, after) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        fields.push(field);
        rest = after;
    }
    format!("{} {rest}", fields.join(" ")).trim_end().to_owned()
}

/// What postconf refuses to read; a brace that is never closed is refused as well.
const REFUSED: [ProblemKind; 6] = [
    ProblemKind::FieldCount,
    ProblemKind::UnknownType,
    ProblemKind::BadBoolean,
    ProblemKind::BadWakeup,
    ProblemKind::BadProcessLimit,
    ProblemKind::UnbalancedBrace,
];

/// Tells whether `postconf -M` reads `-oname=value` in another way than the daemons do.
///
/// It splits such a word at every further `o`, and takes braces off.
fn is_misread(service: &Service, bytes: &[u8]) -> bool {
    service.arguments.iter().any(|argument| {
        let text = &bytes[argument.span.clone()];
        let attached = text
            .strip_prefix(b"-o")
            .filter(|rest| !rest.is_empty() && !rest[0].is_ascii_whitespace());
        attached.is_some_and(|rest| rest[0] == b'{' || rest.contains(&b'o'))
    })
}

fn services(etc: &Etc) -> Result<Vec<String>, String> {
    let output = etc.run("postconf", &["-M"]);
    if !output.status.success() {
        return Err(stderr(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(without_padding)
        .collect())
}

#[test]
fn services_are_what_postconf_says() {
    if postfix() {
        samples::each(&samples::of(Syntax::MasterCf), services_agree);
    }
}

fn services_agree(sample: &Sample) {
    let place = &sample.name;
    let file = MasterCf::parse(&sample.bytes);
    let etc = Etc::new(modern(), &sample.bytes);
    let ours = |file: &MasterCf| file.services().map(line).collect::<Vec<_>>();
    let refused = file
        .problems()
        .into_iter()
        .find(|problem| REFUSED.contains(&problem.kind));
    let before = match services(&etc) {
        Ok(before) => before,
        Err(error) => {
            assert!(refused.is_some(), "{place}: {error}");
            return;
        }
    };
    assert_eq!(refused, None, "{place}");
    if file
        .services()
        .any(|service| is_misread(service, &sample.bytes))
    {
        assert_eq!(file.services().count(), before.len(), "{place}");
        return;
    }
    assert_eq!(ours(&file), before, "{place}");
    let check = |edited: &MasterCf| {
        etc.write("master.cf", &edited.to_bytes());
        let after = services(&etc).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(ours(edited), after, "{place}");
        after
    };
    let mut edited = file.clone();
    edited
        .add(b"oracle unix - - n - - smtp\n  -o inet_protocols=ipv4\n")
        .unwrap();
    let mut wanted = before.clone();
    wanted.push("oracle unix - - n - - smtp -o inet_protocols=ipv4".to_owned());
    assert_eq!(check(&edited), wanted, "{place}");
    for (index, service) in file
        .services()
        .enumerate()
        .filter(|(_, service)| !service.overridden)
        .take(6)
    {
        let (name, kind) = (&service.name, &service.kind);
        if file
            .get(name, kind)
            .is_none_or(|found| found.span != service.span)
        {
            continue;
        }
        let others = |mut all: Vec<String>| {
            all.remove(index);
            all
        };
        for value in ["ipv4", "a b", ""] {
            let mut edited = file.clone();
            edited
                .set_option(name, kind, "inet_protocols", value)
                .unwrap();
            edited.set_field(name, kind, Field::Chroot, "n").unwrap();
            let after = check(&edited);
            let word = format!("inet_protocols={value}");
            let word = if value.contains(' ') {
                format!("-o {{{word}}}")
            } else {
                format!("-o {word}")
            };
            assert!(after[index].contains(&word), "{place}: {}", after[index]);
            assert_eq!(after[index].split(' ').nth(4), Some("n"), "{place}");
            assert_eq!(others(after), others(before.clone()), "{place}: {name}");
        }
        let mut edited = file.clone();
        edited.remove(name, kind);
        let kept: Vec<_> = file
            .services()
            .filter(|other| !other.is(name, kind))
            .map(line)
            .collect();
        assert_eq!(check(&edited), kept, "{place}: {name}");
    }
}

#[test]
fn entries_are_what_postmap_says() {
    if postfix() {
        samples::each(&samples::of(Syntax::Table), entries_agree);
    }
}

/// Gives what postmap stores, and what it warned about.
fn stored(etc: &Etc, table: &Table) -> (BTreeMap<Vec<u8>, Vec<u8>>, String) {
    etc.write("table", &table.to_bytes());
    let name = format!("hash:{}", etc.path("table").display());
    let built = etc.run("postmap", &[&name]);
    assert!(built.status.success(), "{}", stderr(&built));
    let dump = etc.run("postmap", &["-s", &name]);
    assert!(dump.status.success(), "{}", stderr(&dump));
    let lines = dump
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let entries = lines.map(|line| {
        let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
        (line[..tab].to_vec(), line[tab + 1..].to_vec())
    });
    (entries.collect(), stderr(&built))
}

/// Gives what we say that postmap stores.
fn expected(table: &Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for entry in table.entries().filter(|entry| entry.is_utf8) {
        let key = mailfix::postfix::table::fold_key(&entry.key).into_owned();
        entries
            .entry(key.into_bytes())
            .or_insert_with(|| entry.value.as_bytes().to_vec());
    }
    entries
}

fn entries_agree(sample: &Sample) {
    let place = &sample.name;
    let table = Table::parse(&sample.bytes);
    let etc = Etc::new(modern(), b"");
    let (before, warnings) = stored(&etc, &table);
    assert_eq!(before, expected(&table), "{place}");
    for (key, value) in &before {
        let key = String::from_utf8_lossy(key);
        assert_eq!(
            table.get(&key).map(String::into_bytes).as_ref(),
            Some(value),
            "{place}: {key}"
        );
    }
    let problems = table.problems();
    for (text, kind) in [
        (
            "expected format: key whitespace value",
            ProblemKind::MissingValue,
        ),
        ("unbalanced '\"'", ProblemKind::UnbalancedQuote),
        ("duplicate entry", ProblemKind::DuplicateKey),
        ("non-UTF-8 input", ProblemKind::NotUtf8),
        ("record is in \"key: value\" format", ProblemKind::ColonKey),
        (
            "logical line must not start with whitespace",
            ProblemKind::LeadingBlank,
        ),
    ] {
        let ours = problems
            .iter()
            .filter(|problem| problem.kind == kind)
            .count();
        assert_eq!(
            ours,
            warnings.matches(text).count(),
            "{place}: {kind:?}: {warnings}"
        );
    }
    let mut edited = table.clone();
    edited.set("oracle.example", "smtp-ipv4:").unwrap();
    edited.set("Gmail.com", "smtp-ipv4:").unwrap();
    let first = before
        .keys()
        .find(|key| key.is_ascii())
        .map(|key| String::from_utf8(key.clone()).unwrap());
    let mut wanted = before.clone();
    wanted.insert(b"oracle.example".to_vec(), b"smtp-ipv4:".to_vec());
    wanted.insert(b"gmail.com".to_vec(), b"smtp-ipv4:".to_vec());
    if let Some(first) = &first {
        edited.set(first, "error:5.1.2 no  such host").unwrap();
        wanted.insert(
            first.clone().into_bytes(),
            b"error:5.1.2 no  such host".to_vec(),
        );
    }
    assert_eq!(stored(&etc, &edited).0, wanted, "{place}");
    if let Some(first) = &first {
        edited.remove(first);
        wanted.remove(first.as_bytes());
        assert_eq!(stored(&etc, &edited).0, wanted, "{place}");
    }
    let name = format!("hash:{}", etc.path("table").display());
    let found = etc.run("postmap", &["-q", "GMAIL.COM", &name]);
    let ours = edited.get("GMAIL.COM").map(|value| format!("{value}\n"));
    assert_eq!(
        ours.as_deref(),
        found
            .status
            .success()
            .then(|| String::from_utf8_lossy(&found.stdout))
            .as_deref()
    );
}

#[test]
fn pattern_faults_are_what_postmap_says() {
    if !postfix() {
        return;
    }
    let types = Etc::new(modern(), b"").run("postconf", &["-m"]).stdout;
    let types = String::from_utf8_lossy(&types).into_owned();
    for (name, engine) in [("regexp", Engine::Regexp), ("pcre", Engine::Pcre)] {
        if types.lines().any(|line| line == name) {
            samples::each(&samples::of(Syntax::Pattern), |sample| {
                patterns_agree(sample, name, engine);
            });
        } else {
            eprintln!("skipped: this Postfix has no {name}");
        }
    }
}

/// Lines that a reply filter of ours must leave as they are, whoever says them.
const NO_REFUSALS: [&str; 9] = [
    "250 2.0.0 OK  1764100000 x - gsmtp",
    "450 4.2.1 information. x - gsmtp",
    "421-4.7.0 information. x - gsmtp",
    "550-5.7.25 information. x - gsmtp",
    "550-5.7.1 information. x - gsmtp",
    "550 5.7.250 information. x - gsmtp",
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. (S3150)",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1",
    "554 5.7.1 information. x - gsmtp",
];

/// Gives the reply filter that mailfix makes for a stock host, with a copy of this one in it.
fn reply_filter(copied: Option<(&str, &str)>) -> TableWanted {
    let profile = Profile::built_in("linux").unwrap();
    let mut facts = host::stock(&profile).unwrap().facts;
    facts.reply_filter = copied.map(|(kind, text)| ReplyFilter {
        table: format!("{kind}:/etc/postfix/own"),
        source: Ok(FilterSource {
            kind: kind.to_owned(),
            text: text.to_owned(),
            is_public: true,
        }),
        answers: Ok(BTreeMap::new()),
        is_gone: false,
    });
    let site = "[server]\nhostname = \"mail.example.org\"\nipv4 = [\"198.41.0.4\"]\n[[domain]]\nname = \"example.org\"\n";
    let providers = Provider::demanding();
    let providers: Vec<&Provider> = providers.iter().collect();
    let case = Case {
        providers: &providers,
        site: &Site::parse(site, "mailfix.toml".into()).unwrap(),
        profile: &profile,
        facts: &facts,
    };
    let fitted = mailfix::remedy::reply_filter::fit(&case).unwrap().unwrap();
    fitted.tables.into_iter().next().unwrap()
}

#[test]
fn the_reply_filter_turns_refusals_over_and_leaves_all_else() {
    if !postfix() {
        return;
    }
    let demands: Vec<_> = Provider::demanding()
        .into_iter()
        .filter_map(|provider| provider.demands.ipv6)
        .collect();
    let others = demands.iter().flat_map(|demand| &demand.other_refusals);
    let left: Vec<&str> = others.map(String::as_str).chain(NO_REFUSALS).collect();
    let own = "if /^250/\n/never/ y\nendif\n/^550 5\\.7\\.8 (.*)/ 450 4.7.8 $1";
    for copied in [None, Some(("regexp", own)), Some(("pcre", own))] {
        let table = reply_filter(copied);
        let etc = Etc::new(modern(), b"");
        etc.write("table", table.text.as_bytes());
        let name = format!("{}:{}", table.kind, etc.path("table").display());
        let asked = |line: &str| {
            let output = etc.run("postmap", &["-q", line, &name]);
            assert_eq!(stderr(&output), "", "{line}");
            text(&output.stdout).trim_end().to_owned()
        };
        for (line, given) in &table.samples {
            assert_eq!(asked(line), *given, "{name}");
            // What is turned over differs in two digits, and the reply still ends with the line.
            assert_eq!(line.replacen("550 5", "450 4", 1), *given);
        }
        for line in &left {
            assert_eq!(asked(line), "", "{line}");
        }
        let theirs = asked("550 5.7.8 x");
        assert_eq!(theirs == "450 4.7.8 x", copied.is_some(), "{theirs}");
    }
}

/// Tells what a warning of postmap is about; nothing for those that come along with another.
fn warned_of(text: &str) -> Option<ProblemKind> {
    let known = [
        ("no replacement text", ProblemKind::MissingResult),
        ("no closing regexp delimiter", ProblemKind::MissingDelimiter),
        ("no regexp", ProblemKind::MissingDelimiter),
        (
            "$number found in negative match",
            ProblemKind::NegatedSubstitution,
        ),
        ("bad replacement syntax", ProblemKind::BadSubstitution),
        (
            "out of range replacement index",
            ProblemKind::BadSubstitution,
        ),
        ("unknown regexp option", ProblemKind::UnknownFlag),
        ("ignoring extra text after IF", ProblemKind::TextAfterIf),
        (
            "ignoring extra text after ENDIF",
            ProblemKind::TextAfterEndif,
        ),
        (
            "ignoring ENDIF without matching IF",
            ProblemKind::EndifWithoutIf,
        ),
        ("ignoring unrecognized request", ProblemKind::UnknownRequest),
        ("IF has no matching ENDIF", ProblemKind::IfWithoutEndif),
    ];
    let along = [
        "non-numeric replacement",
        "out-of-range replacement",
        "do not prepend whitespace",
        "obsolete regexp option",
    ];
    if along.iter().any(|start| text.contains(start)) {
        return None;
    }
    let kind = known
        .iter()
        .find(|(start, _)| text.contains(start))
        .map(|(_, kind)| *kind);
    // What is left comes from the engine itself.
    Some(kind.unwrap_or(ProblemKind::BrokenPattern))
}

fn patterns_agree(sample: &Sample, kind: &str, engine: Engine) {
    let place = &sample.name;
    let etc = Etc::new(modern(), b"");
    etc.write("table", &sample.bytes);
    let name = format!("{kind}:{}", etc.path("table").display());
    let warnings = stderr(&etc.run("postmap", &["-q", "a key that nothing matches", &name]));
    let mut theirs = Vec::new();
    for warning in warnings.lines() {
        let Some((_, rest)) = warning.split_once(", line ") else {
            continue;
        };
        let (line, text) = rest.split_once(": ").unwrap();
        if let Some(kind) = warned_of(text) {
            theirs.push((line.parse::<usize>().unwrap(), kind));
        }
    }
    let table = PatternTable::parse(&sample.bytes, engine);
    let mut ours: Vec<_> = table
        .problems()
        .iter()
        .map(|problem| {
            let before = &sample.bytes[..problem.span.start];
            (before.split(|byte| *byte == b'\n').count(), problem.kind)
        })
        .filter(|(_, kind)| {
            // These are about bytes, and come without a line there.
            !matches!(
                kind,
                ProblemKind::LeadingBlank
                    | ProblemKind::ByteOrderMark
                    | ProblemKind::NulByte
                    | ProblemKind::LoneCarriageReturn
                    | ProblemKind::Backslash
            )
        })
        .collect();
    // The engine may know more faults of a pattern than we look for, never fewer.
    let broken = |(_, kind): &(usize, ProblemKind)| *kind == ProblemKind::BrokenPattern;
    // Postfix learned PCRE2 in 3.7; the library before it takes more for a pattern.
    let lenient = engine == Engine::Pcre && is_before("3.7");
    for found in ours.iter().filter(|found| broken(found) && !lenient) {
        assert!(
            theirs.contains(found),
            "{place}: {kind}: {found:?}: {warnings}"
        );
    }
    let unseen: Vec<usize> = theirs
        .iter()
        .filter(|found| broken(found) && !ours.contains(found))
        .map(|(line, _)| *line)
        .collect();
    let blocks = |kind: ProblemKind| {
        matches!(
            kind,
            ProblemKind::EndifWithoutIf | ProblemKind::IfWithoutEndif
        )
    };
    let compared = |(line, kind): &(usize, ProblemKind)| {
        *kind != ProblemKind::BrokenPattern
            && !unseen.contains(line)
            && (unseen.is_empty() || !blocks(*kind))
    };
    ours.retain(compared);
    theirs.retain(compared);
    ours.sort_by_key(|(line, kind)| (*line, format!("{kind:?}")));
    theirs.sort_by_key(|(line, kind)| (*line, format!("{kind:?}")));
    assert_eq!(ours, theirs, "{place}: {kind}: {warnings}");
}
