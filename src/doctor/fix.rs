//! Commands within the words of a fix.
//!
//! Owns which words between backticks are a command, and what is left of a fix without those that
//! stand on lines of their own. Must not know what is mended.

/// The programs whose names make words between backticks a command.
const PROGRAMS: [&str; 23] = [
    "apk",
    "apt-get",
    "chmod",
    "cp",
    "dnf",
    "env",
    "mailfix",
    "mkdir",
    "newaliases",
    "pacman",
    "pkg",
    "port",
    "postalias",
    "postconf",
    "postfix",
    "postmap",
    "postqueue",
    "postsuper",
    "rm",
    "service",
    "systemctl",
    "yum",
    "zypper",
];

/// The words of a fix before the commands that it ends with, which stand on lines of their own.
pub(super) fn without_commands(fix: &str) -> String {
    let is_of_commands = |rest: &str| {
        let (commands, is_all) = typed(rest);
        is_all && !commands.is_empty()
    };
    match fix.rsplit_once(": `") {
        Some((words, rest)) if is_of_commands(&format!("`{rest}")) => words.to_owned(),
        _ => fix.to_owned(),
    }
}

/// The commands that the words of a fix name, and whether they are all it says.
pub(super) fn typed(fix: &str) -> (Vec<String>, bool) {
    let mut commands: Vec<String> = Vec::new();
    let mut rest = String::new();
    let parts: Vec<&str> = fix.split('`').collect();
    for (at, part) in parts.iter().copied().enumerate() {
        let first = part.split(' ').next().unwrap_or_default();
        let is_whole = part == "newaliases" || part.contains(' ');
        if at % 2 == 1 && is_whole && PROGRAMS.contains(&first) {
            // One does not mend without the other.
            let goes_on = parts.get(at - 1) == Some(&", then ");
            match commands.last_mut().filter(|_| goes_on) {
                Some(last) => *last = format!("{last} && {part}"),
                None => commands.push(part.to_owned()),
            }
        } else {
            rest.push_str(part);
        }
    }
    let small = ["run", "then", "and"];
    let mut words = rest.split(|c: char| !c.is_alphanumeric());
    let is_all = words.all(|word| word.is_empty() || small.contains(&word));
    let is_all = is_all && (!commands.is_empty() || fix.is_empty());
    (commands, is_all)
}
