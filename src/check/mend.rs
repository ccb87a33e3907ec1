//! Commands that take a fault out of Postfix's files.
//!
//! Owns how postconf(1) is told to, and that Postfix has to hear of it. Must not know which faults
//! there are. What would not survive a shell as it stands gets no command.

use camino::Utf8Path;

use super::Subject;
use crate::postfix::{Argument, ArgumentKind, Service, Version};

/// The first version whose postconf(1) takes parameters away.
const REMOVES: Version = Version::new(2, 10, 0);

/// The first version whose postconf(1) takes options of services away.
const REMOVES_OPTIONS: Version = Version::new(3, 0, 0);

/// What has Postfix read its files again, and its programs open their tables again.
pub(super) fn reload(subject: &Subject) -> String {
    reload_of(subject.directory)
}

fn reload_of(directory: &Utf8Path) -> String {
    format!("`postfix -c {directory} reload`")
}

/// Sets a parameter of main.cf.
pub(super) fn set(subject: &Subject, name: &str, value: &str) -> Option<String> {
    postconf(subject.directory, "-e", &format!("{name} = {value}"))
}

/// Takes a parameter out of main.cf, so that Postfix's own value counts.
pub(super) fn unset(subject: &Subject, name: &str) -> Option<String> {
    (subject.version >= REMOVES)
        .then(|| postconf(subject.directory, "-X", name))
        .flatten()
}

/// Takes an option from a service, so that main.cf counts.
pub(super) fn unset_option(subject: &Subject, service: &Service, name: &str) -> Option<String> {
    let option = format!("{}/{}/{name}", service.name, service.kind);
    (subject.version >= REMOVES_OPTIONS)
        .then(|| postconf(subject.directory, "-PX", &option))
        .flatten()
}

/// Writes a client of its own that is not there yet.
#[must_use]
pub fn add_client(directory: &Utf8Path, name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // Such a name is given to a client that leaves IPv6 out.
    let option = if name.contains("ipv4") {
        " -o inet_protocols=ipv4"
    } else {
        ""
    };
    let entry = format!("{name}/unix={name} unix - - n - - smtp{option}");
    (!name.is_empty() && name.chars().all(is_plain))
        .then(|| postconf(directory, "-M", &entry))
        .flatten()
}

/// Writes a service anew, with no blanks around the `=` of an `-o`.
pub(super) fn join_overrides(subject: &Subject, service: &Service) -> Option<String> {
    let mut words: Vec<String> = service.fields().map(str::to_owned).collect();
    let mut arguments = service.arguments.iter().flat_map(written);
    let mut next = arguments.next();
    while let Some(word) = next {
        next = arguments.next();
        if word != "-o" {
            words.push(word);
            continue;
        }
        let mut option = next?;
        next = arguments.next();
        // `NAME =` or `NAME =VALUE`
        if !option.contains('=') {
            option.push_str(&next.filter(|word| word.starts_with('='))?);
            next = arguments.next();
        }
        let is_value = |word: &mut String| !word.starts_with('-') && !word.contains('=');
        if option.ends_with('=')
            && let Some(value) = next.take_if(is_value)
        {
            option.push_str(&value);
            next = arguments.next();
        }
        words.push(format!("-o {option}"));
    }
    let entry = words.join(" ");
    let key = format!("{}/{}", service.name, service.kind);
    postconf(subject.directory, "-M", &format!("{key}={entry}"))
}

/// The words of an argument as they may be written.
fn written(argument: &Argument) -> Vec<String> {
    let whole = |word: &str| {
        if word.contains([' ', '\t']) {
            format!("{{ {word} }}")
        } else {
            word.to_owned()
        }
    };
    match &argument.kind {
        ArgumentKind::BareOverride(name) => vec!["-o".to_owned(), whole(name)],
        ArgumentKind::Override { name, value } if value.contains([' ', '\t']) => {
            vec!["-o".to_owned(), format!("{{ {name} = {value} }}")]
        }
        ArgumentKind::Override { name, value } => vec!["-o".to_owned(), format!("{name}={value}")],
        ArgumentKind::Option(word) | ArgumentKind::Word(word) => vec![whole(word)],
    }
}

fn postconf(directory: &Utf8Path, option: &str, word: &str) -> Option<String> {
    let is_unsafe = |c: char| c.is_control() || "'`\u{fffd}".contains(c);
    if word.contains(is_unsafe) {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let word = if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{word}'")
    };
    Some(format!(
        "`postconf -c {directory} {option} {word}`, then {}",
        reload_of(directory)
    ))
}
