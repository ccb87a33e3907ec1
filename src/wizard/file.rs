//! From answers to `mailfix.toml`.
//!
//! Owns the editing of the file in place: what an answer does not change keeps its bytes,
//! comments stay where they are, and the same answers again change nothing.

use std::net::IpAddr;

use camino::Utf8Path;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, RawString, Table, TableLike, Value};

use super::answers::{UPDATE, dns_update};
use super::{Answers, Id, NONE, WizardError, YES};
use crate::data_file::{DataError, Faults};
use crate::finding::Finding;
use crate::site::Site;

/// The file that a new site begins with.
const START: &str = include_str!("start.toml");

/// What some editors put before UTF-8 text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Writes the answers into the text of a site file, or into a new one.
///
/// # Errors
/// When the text that is there is no site file, or the answers do not make one.
pub fn site_file(
    answers: &Answers,
    existing: Option<&str>,
    path: &Utf8Path,
    allow_non_global: bool,
) -> Result<String, WizardError> {
    let text = existing.unwrap_or(START);
    // The start has addresses for documentation, as examples.
    let allowing = allow_non_global || existing.is_none();
    let before = Site::parse_with(text, path, allowing)?;
    let old = Answers::of_site(&before);
    let mut document = parse(text, path)?;
    let mut changed = false;
    for (id, value) in answers.iter() {
        if old.get(id) != Some(value) {
            edit(&mut document, id, value, answers);
            changed = true;
        }
    }
    let stored = document.get("allow_non_global").and_then(Item::as_bool);
    if allow_non_global && stored != Some(true) {
        set(document.as_table_mut(), "allow_non_global", true);
        changed = true;
    }
    if !changed {
        return Ok(text.to_owned());
    }
    let text = like(text, document.to_string());
    Site::parse_with(&text, path, allow_non_global)?;
    Ok(text)
}

/// What may be changed in a site file beside answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteChange {
    /// No mail goes over IPv6 to a provider, by its id.
    AvoidIpv6(String),
    /// Mail goes to a provider no faster than it takes it, by its id.
    GentlePace(String),
    /// Domains that a provider hosts, beside those that are named already.
    ListDomains(String, Vec<String>),
    /// An address that mail leaves from, beside those that are named already.
    NameAddress(IpAddr),
    /// Who signs, by its id.
    Sign(String),
    /// Envelope senders of forwarded mail are rewritten.
    RewriteSenders,
    /// The DMARC record asks for nothing, but is there.
    PublishDmarc,
    /// What kind of host it is, by the profile's name.
    Profile(String),
}

impl SiteChange {
    /// What it comes to, as the file has it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::AvoidIpv6(provider) => format!("[providers.{provider}] ipv6 = \"avoid\""),
            Self::GentlePace(provider) => format!("[providers.{provider}] pace = \"gentle\""),
            Self::ListDomains(provider, domains) => format!(
                "[providers.{provider}] hosted_domains = [\"{}\"]",
                domains.join("\", \"")
            ),
            Self::NameAddress(address) => {
                format!("[server] {} = [\"{address}\"]", addresses_of(*address))
            }
            Self::Sign(signer) => format!("[dkim] signer = \"{signer}\""),
            Self::Profile(name) => format!("profile = \"{name}\""),
            Self::RewriteSenders => "[forwarding] srs = \"postsrsd\"".to_owned(),
            Self::PublishDmarc => "[dmarc] policy = \"none\"".to_owned(),
        }
    }
}

/// Puts changes into the text of a site file; all else keeps its bytes.
///
/// # Errors
/// When the text is no site file, or is none any more with them.
pub fn changed(
    text: &str,
    path: &Utf8Path,
    changes: &[SiteChange],
    allow_non_global: bool,
) -> Result<String, WizardError> {
    let mut document = parse(text, path)?;
    for change in changes {
        match change {
            SiteChange::AvoidIpv6(id) => set(provider(&mut document, id), "ipv6", "avoid"),
            SiteChange::GentlePace(id) => set(provider(&mut document, id), "pace", "gentle"),
            SiteChange::ListDomains(id, domains) => {
                let domains = domains.iter().map(String::as_str);
                add_to_list(provider(&mut document, id), "hosted_domains", domains);
            }
            SiteChange::NameAddress(address) => {
                let text = address.to_string();
                let server = table(&mut document, "server");
                add_to_list(server, addresses_of(*address), [text.as_str()].into_iter());
            }
            SiteChange::Sign(signer) => set(table(&mut document, "dkim"), "signer", signer),
            SiteChange::Profile(name) => set(document.as_table_mut(), "profile", name),
            SiteChange::RewriteSenders => {
                set(table(&mut document, "forwarding"), "srs", "postsrsd");
            }
            SiteChange::PublishDmarc => set(table(&mut document, "dmarc"), "policy", "none"),
        }
    }
    let text = like(text, document.to_string());
    Site::parse_with(&text, path, allow_non_global)?;
    Ok(text)
}

/// The list that an address of ours stands in.
fn addresses_of(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    }
}

/// The table of what is wished about one provider.
fn provider<'a>(document: &'a mut DocumentMut, id: &str) -> &'a mut dyn TableLike {
    if document.get("providers").is_none() {
        // `[providers.google]` alone: above it nothing is said.
        let mut providers = Table::new();
        providers.set_implicit(true);
        document.insert("providers", Item::Table(providers));
    }
    inner(table(document, "providers"), id)
}

/// Adds values to a list, those that it has not yet.
fn add_to_list<'a>(table: &mut dyn TableLike, key: &str, more: impl Iterator<Item = &'a str>) {
    let held = table.get(key).and_then(Item::as_array);
    let held: Vec<String> = held
        .into_iter()
        .flat_map(Array::iter)
        .filter_map(|value| value.as_str().map(ToOwned::to_owned))
        .collect();
    let more: Vec<&str> = more.collect();
    let all = held.iter().map(String::as_str).chain(more);
    set_list(table, key, all);
}

fn parse(text: &str, path: &Utf8Path) -> Result<DocumentMut, DataError> {
    text.parse::<DocumentMut>().or_else(|error| {
        let mut faults = Faults::new(path, text);
        let span = error.span().unwrap_or(0..0);
        faults.add(span, Finding::error("syntax", error.message()));
        faults.finish(DocumentMut::new())
    })
}

/// Gives new text the line ends and the mark at the beginning that the old one has.
fn like(old: &str, new: String) -> String {
    let mut new = new;
    if old.contains("\r\n") {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if old.starts_with(BYTE_ORDER_MARK) && !new.starts_with(BYTE_ORDER_MARK) {
        new.insert(0, BYTE_ORDER_MARK);
    }
    new
}

/// Puts one answer into the document.
fn edit(document: &mut DocumentMut, id: Id, value: &str, answers: &Answers) {
    match id {
        Id::Profile => set(document.as_table_mut(), "profile", value),
        Id::Hostname => set(table(document, "server"), "hostname", value),
        Id::Ipv4 => set_list(table(document, "server"), "ipv4", answers.list(id)),
        Id::Ipv6 => set_list(table(document, "server"), "ipv6", answers.list(id)),
        Id::Domain => set_tables(document, "domain", answers.list(id), sends),
        Id::ForwardDns if value == UPDATE => set(table(document, "dns"), "forward", "self"),
        Id::ForwardDns => {
            let dns = table(document, "dns");
            set(dns, "forward", value);
            if value == "self" {
                dns.remove("update");
            }
        }
        Id::DnsUpdate => {
            let Ok((server, key)) = dns_update(value) else {
                return;
            };
            let dns = table(document, "dns");
            let update = dns.entry("update").or_insert(toml_edit::table());
            if let Some(update) = update.as_table_like_mut() {
                set(update, "server", server);
                set(update, "key", key);
            }
        }
        Id::ReverseDns4 => set(table(document, "dns"), "reverse4", value),
        Id::ReverseDns6 => set(table(document, "dns"), "reverse6", value),
        Id::OtherServers => set_other_servers(document, answers),
        Id::ThirdParties => {
            let third_parties = table(document, "third_parties");
            set_list(third_parties, "spf_includes", answers.list(id));
        }
        Id::Dmarc => set(table(document, "dmarc"), "policy", value),
        Id::DmarcReports if value == NONE => {
            table(document, "dmarc").remove("reports");
        }
        Id::DmarcReports => set(table(document, "dmarc"), "reports", value),
        Id::DkimSelector if value == NONE => {
            if let Some(Item::Table(dkim)) = document.remove("dkim") {
                keep_comments(document, &dkim);
            }
        }
        Id::DkimSelector => set(table(document, "dkim"), "selector", value),
        Id::DkimKey => set(table(document, "dkim"), "key", value),
        Id::DkimSigner | Id::Ed25519Selector if value == NONE => {
            let key = if id == Id::DkimSigner {
                "signer"
            } else {
                "ed25519"
            };
            if let Some(dkim) = document.get_mut("dkim").and_then(Item::as_table_like_mut) {
                dkim.remove(key);
            }
        }
        Id::DkimSigner => set(table(document, "dkim"), "signer", value),
        Id::Ed25519Selector => set(inner(table(document, "dkim"), "ed25519"), "selector", value),
        Id::Ed25519Key => set(inner(table(document, "dkim"), "ed25519"), "key", value),
        Id::SpfAll => set(table(document, "spf"), "all", value),
        Id::Timer => set(table(document, "refresh"), "timer", value == YES),
    }
}

/// Finds a table of the document, however it is written; makes it where it is missing.
fn table<'a>(document: &'a mut DocumentMut, key: &str) -> &'a mut dyn TableLike {
    let item = document.entry(key).or_insert_with(toml_edit::table);
    if !item.is_table_like() {
        *item = toml_edit::table();
    }
    item.as_table_like_mut()
        .expect("what is no table was made one")
}

/// Finds a table within a table; makes it where it is missing.
fn inner<'a>(outer: &'a mut dyn TableLike, key: &str) -> &'a mut dyn TableLike {
    if outer.get(key).is_none_or(|item| !item.is_table_like()) {
        outer.insert(key, toml_edit::table());
    }
    outer
        .get_mut(key)
        .and_then(Item::as_table_like_mut)
        .expect("what is no table was made one")
}

/// Sets one value; blanks and comments around an old one stay.
fn set(table: &mut dyn TableLike, key: &str, value: impl Into<Value>) {
    let mut value = value.into();
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// Tells whether two values of a list mean the same name or address.
fn same(a: &str, b: &str) -> bool {
    use std::net::IpAddr;
    a.eq_ignore_ascii_case(b)
        || matches!((a.parse::<IpAddr>(), b.parse::<IpAddr>()), (Ok(a), Ok(b)) if a == b)
}

/// Makes a list hold the wanted values; those that it has already stay as they are written.
fn set_list<'a>(table: &mut dyn TableLike, key: &str, wanted: impl Iterator<Item = &'a str>) {
    let wanted: Vec<&str> = wanted.collect();
    let Some(list) = table.get_mut(key).and_then(Item::as_array_mut) else {
        set(table, key, wanted.into_iter().collect::<Array>());
        return;
    };
    let written: Vec<String> = list
        .iter()
        .map(|value| value.as_str().unwrap_or_default().to_owned())
        .collect();
    let mut missing = wanted
        .iter()
        .filter(|value| !written.iter().any(|old| same(old, value)));
    let mut superfluous = Vec::new();
    for (index, old) in written.iter().enumerate() {
        if wanted.iter().any(|value| same(old, value)) {
            continue;
        }
        match missing.next() {
            Some(value) => {
                list.replace(index, *value);
            }
            None => superfluous.push(index),
        }
    }
    for value in missing {
        push(list, value);
    }
    for index in superfluous.into_iter().rev() {
        remove(list, index);
    }
}

/// Adds a value at the end of a list, on a line of its own where the others have one.
fn push(list: &mut Array, value: &str) {
    let neighbour = list.iter().last().map(|value| raw(value.decor().prefix()));
    let Some(prefix) = neighbour else {
        list.push(value);
        return;
    };
    let mut value = Value::from(value);
    let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
    match prefix.rsplit_once('\n') {
        // A comment after the last comma is about the value before it.
        Some((_, indent)) if list.trailing_comma() && trailing.contains('#') => {
            let (comments, end) = trailing.rsplit_once('\n').unwrap_or((&trailing, ""));
            value
                .decor_mut()
                .set_prefix(format!("{comments}\n{indent}"));
            list.set_trailing(format!("\n{end}"));
        }
        Some((_, indent)) => value.decor_mut().set_prefix(format!("\n{indent}")),
        None => {
            value.decor_mut().set_prefix(" ");
            // The blank before the bracket stays before the bracket.
            if let Some(neighbour) = list.len().checked_sub(1).and_then(|at| list.get_mut(at))
                && !raw(neighbour.decor().suffix()).contains('#')
            {
                value
                    .decor_mut()
                    .set_suffix(raw(neighbour.decor().suffix()));
                neighbour.decor_mut().set_suffix("");
            }
        }
    }
    list.push_formatted(value);
}

/// Removes a value from a list, but no comment.
fn remove(list: &mut Array, index: usize) {
    let removed = list.remove(index);
    let before = raw(removed.decor().prefix());
    let after = raw(removed.decor().suffix());
    let comments = if before.contains('#') || after.contains('#') {
        format!("{before}{after}")
    } else {
        String::new()
    };
    match list.get_mut(index) {
        // What comes first in the list takes the place of what did.
        Some(next) if index == 0 && comments.is_empty() => {
            let prefix = raw(next.decor().prefix());
            let prefix = if prefix.contains('#') {
                before + prefix.trim_start()
            } else {
                before
            };
            next.decor_mut().set_prefix(prefix);
        }
        Some(next) => {
            let prefix = comments + &raw(next.decor().prefix());
            next.decor_mut().set_prefix(prefix);
        }
        None if comments.is_empty() => {}
        None => {
            let trailing = comments + list.trailing().as_str().unwrap_or_default();
            list.set_trailing(trailing);
        }
    }
}

fn raw(text: Option<&RawString>) -> String {
    text.and_then(RawString::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Finds an array of tables of the document; makes it where it is missing.
fn tables<'a>(document: &'a mut DocumentMut, key: &str) -> &'a mut ArrayOfTables {
    let item = document
        .entry(key)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if !item.is_array_of_tables() {
        // Written as a list of tables in braces.
        *item = std::mem::take(item).into_array_of_tables().map_or_else(
            |_| Item::ArrayOfTables(ArrayOfTables::new()),
            Item::ArrayOfTables,
        );
    }
    item.as_array_of_tables_mut()
        .expect("what is no array of tables was made one")
}

/// Tells whether the table of a domain is one of those that mail is sent for.
fn sends(table: &Table) -> bool {
    table.get("sends").and_then(Item::as_bool) != Some(false)
}

fn name_of(table: &Table) -> String {
    let name = table.get("name").and_then(Item::as_str);
    name.unwrap_or_default().to_owned()
}

/// Makes an array hold one table for each wanted name.
/// Only tables that are `asked` about are touched.
fn set_tables<'a>(
    document: &mut DocumentMut,
    key: &str,
    wanted: impl Iterator<Item = &'a str>,
    asked: fn(&Table) -> bool,
) {
    let wanted: Vec<&str> = wanted.collect();
    let tables = tables(document, key);
    let written: Vec<String> = tables.iter().map(name_of).collect();
    let mut missing = wanted
        .iter()
        .filter(|name| !written.iter().any(|old| same(old, name)));
    let mut superfluous = Vec::new();
    for (index, old) in written.iter().enumerate() {
        let is_other = tables.get(index).is_some_and(|table| !asked(table));
        if is_other || wanted.iter().any(|name| same(old, name)) {
            continue;
        }
        match (missing.next(), tables.get_mut(index)) {
            (Some(name), Some(table)) => set(table, "name", *name),
            _ => superfluous.push(index),
        }
    }
    for name in missing {
        let mut table = Table::new();
        set(&mut table, "name", *name);
        tables.push(table);
    }
    let mut homeless = Vec::new();
    for index in superfluous.into_iter().rev() {
        let removed = tables.remove(index);
        let comments = raw(removed.decor().prefix());
        match tables.get_mut(index) {
            Some(next) if comments.contains('#') => {
                let prefix = comments + &raw(next.decor().prefix());
                next.decor_mut().set_prefix(prefix);
            }
            Some(_) => {}
            None => homeless.push(removed),
        }
    }
    if tables.is_empty() {
        document.remove(key);
    }
    for table in homeless.into_iter().rev() {
        keep_comments(document, &table);
    }
}

fn set_other_servers(document: &mut DocumentMut, answers: &Answers) {
    let servers = answers.other_servers();
    let names = servers.iter().map(|server| server.name.as_str());
    set_tables(document, "other_server", names, |_| true);
    let Some(tables) = document
        .get_mut("other_server")
        .and_then(Item::as_array_of_tables_mut)
    else {
        return;
    };
    for table in tables.iter_mut() {
        let name = name_of(table);
        if let Some(server) = servers.iter().find(|server| same(&server.name, &name)) {
            let v4: Vec<String> = server.ipv4.iter().map(ToString::to_string).collect();
            let v6: Vec<String> = server.ipv6.iter().map(ToString::to_string).collect();
            set_list(table, "ipv4", v4.iter().map(String::as_str));
            set_list(table, "ipv6", v6.iter().map(String::as_str));
        }
    }
}

/// Moves the comments before a removed table to the end of the document.
fn keep_comments(document: &mut DocumentMut, removed: &Table) {
    let comments = raw(removed.decor().prefix());
    if comments.contains('#') {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{trailing}{comments}"));
    }
}
