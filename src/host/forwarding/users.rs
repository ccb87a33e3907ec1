//! Files in which users forward their mail themselves: `.forward`, or what `forward_path` says.
//!
//! Follows local(8): what local(8) would not read is not read here either, so that nobody has
//! root look at a file by a link to it.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::host::Facts;
use crate::system::{Kind, System};

/// Most users whose files are looked at, and the largest file.
const MOST: usize = 5_000;
const LARGEST: u64 = 64 * 1024;

/// Permission bits that let anybody change a file.
const WRITABLE: u32 = 0o002;

/// Where users are listed.
const PASSWD: &str = "/etc/passwd";

/// What a look at users' files brings.
pub(super) enum Told<'a> {
    /// What a user has written.
    Forward {
        /// The user.
        user: &'a str,
        /// The text.
        text: &'a str,
    },
    /// Files that were not read, and why.
    Unread(String, String),
}

/// Reads the files of all users, where this host delivers mail to users at all.
pub(super) fn read(system: &dyn System, facts: &Facts, tell: &mut dyn FnMut(Told<'_>)) {
    if facts.parameters.list("mydestination").is_empty() {
        return;
    }
    let place = || "users' own `.forward` files".to_owned();
    let passwd = match system.read(Utf8Path::new(PASSWD)) {
        Ok(Some(file)) => file.bytes,
        Ok(None) => return,
        Err(error) => return tell(Told::Unread(place(), error.to_string())),
    };
    let templates = templates(facts);
    let text = String::from_utf8_lossy(&passwd);
    let mut seen: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    let (mut closed, mut first) = (0_usize, None);
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let &[user, _, uid, _, _, home, ..] = fields.as_slice() else {
            continue;
        };
        let Ok(uid) = uid.parse::<u32>() else {
            continue;
        };
        if !home.starts_with('/') || home == "/" {
            continue;
        }
        for template in &templates {
            let path = template.replace("$home", home).replace("$user", user);
            let path = Utf8PathBuf::from(path);
            if !path.is_absolute() || seen.contains(&path) {
                continue;
            }
            if seen.len() >= MOST {
                let why = format!("there are more than {MOST} users");
                return tell(Told::Unread(place(), why));
            }
            seen.insert(path.clone());
            match forward(system, &path, uid) {
                Ok(Some(text)) => tell(Told::Forward { user, text: &text }),
                Ok(None) => {}
                Err(error) => {
                    closed += 1;
                    first.get_or_insert(error);
                }
            }
        }
    }
    if let Some(first) = first {
        let more = match closed {
            1 => String::new(),
            _ => format!(", and {} more", closed - 1),
        };
        tell(Told::Unread(place(), format!("{first}{more}")));
    }
}

/// The paths that `forward_path` has, as far as they do not depend on the address.
fn templates(facts: &Facts) -> Vec<String> {
    let own = facts.parameters.raw("forward_path").unwrap_or_default();
    let own = if own.is_empty() {
        "$home/.forward"
    } else {
        own
    };
    let plain = |item: String| {
        let item = item
            .replace("${home}", "$home")
            .replace("$(home)", "$home")
            .replace("${user}", "$user")
            .replace("$(user)", "$user");
        let rest = item.replace("$home", "").replace("$user", "");
        (!rest.contains('$')).then_some(item)
    };
    crate::postfix::split_list(own)
        .into_iter()
        .filter_map(plain)
        .collect()
}

fn forward(system: &dyn System, path: &Utf8Path, uid: u32) -> Result<Option<String>, String> {
    let in_words = |error: crate::system::SystemError| error.to_string();
    let Some(stat) = system.stat(path).map_err(in_words)? else {
        return Ok(None);
    };
    let is_link = stat.real.file_name() != path.file_name();
    let is_trusted = (stat.uid == uid || stat.uid == 0) && stat.mode & WRITABLE == 0;
    if stat.kind != Kind::File || is_link || !is_trusted || stat.size > LARGEST {
        return Ok(None);
    }
    let file = system.read(path).map_err(in_words)?;
    Ok(file.map(|file| {
        let text = String::from_utf8_lossy(&file.bytes);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    }))
}
