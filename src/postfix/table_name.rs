//! `type:name` in the values of parameters, with its place.
//!
//! Owns finding table names wherever they stand: in lists, behind `proxy:`, in braces, in the
//! branches of a `${…}`. Must not know what a type is or whether the table exists.
//! Follows postconf(5).

use std::ops::Range;

use super::logical_line::{is_blank, split_outside_braces};

/// What separates the items of a list.
const SEPARATORS: &[u8] = b", \t\r\n";

/// Types that hand every lookup to the table named behind them.
const WRAPPERS: [&[u8]; 2] = [b"proxy", b"debug"];

/// Types whose name is a list of tables in braces.
const COMBINATIONS: [&[u8]; 2] = [b"unionmap", b"pipemap"];

/// A `type:name`, by where its parts stand in the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The type.
    pub kind: Range<usize>,
    /// What stands behind it.
    pub name: Range<usize>,
}

/// Lists every word of the form `type:name` in a value that is not expanded, in order.
///
/// Also words that are no tables, such as `inet:host:port`: what is a type the caller knows.
/// What stands in `inline:{…}` and the like is data and no name.
#[must_use]
pub fn table_names(value: &[u8]) -> Vec<TableName> {
    let mut names = Vec::new();
    list(value, 0..value.len(), &mut names);
    names
}

fn list(value: &[u8], range: Range<usize>, names: &mut Vec<TableName>) {
    for found in split_outside_braces(&value[range.clone()], SEPARATORS) {
        word(
            value,
            range.start + found.start..range.start + found.end,
            names,
        );
    }
}

fn word(value: &[u8], mut range: Range<usize>, names: &mut Vec<TableName>) {
    while value[range.clone()].starts_with(b"!") {
        range.start += 1;
    }
    let text = &value[range.clone()];
    if let [b'{', .., b'}'] = text {
        list(value, range.start + 1..range.end - 1, names);
        return;
    }
    if text.starts_with(b"$") {
        reference(value, range, names);
        return;
    }
    let Some(length) = text.iter().position(|byte| *byte == b':') else {
        return;
    };
    let kind = range.start..range.start + length;
    let name = kind.end + 1..range.end;
    let is_type = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if kind.is_empty() || !value[kind.clone()].iter().all(is_type) {
        return;
    }
    if WRAPPERS.contains(&&value[kind.clone()]) {
        word(value, name, names);
    } else if COMBINATIONS.contains(&&value[kind.clone()]) {
        if let [b'{', .., b'}'] = &value[name.clone()] {
            list(value, name.start + 1..name.end - 1, names);
        }
    } else {
        names.push(TableName { kind, name });
    }
}

/// Reads the branches of `${name?…}`, `${name:…}` and their kin at the start of a word.
fn reference(value: &[u8], range: Range<usize>, names: &mut Vec<TableName>) {
    let (open, close) = match value.get(range.start + 1) {
        Some(b'{') => (b'{', b'}'),
        Some(b'(') => (b'(', b')'),
        _ => return,
    };
    let mut depth = 0_usize;
    // Where a branch begins: behind the first `?` or `:` outside of inner braces.
    let mut branch = None;
    for at in range.start + 1..range.end {
        let byte = value[at];
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth -= 1;
            if depth == 0 {
                if let Some(start) = branch {
                    branches(value, start..at, names);
                }
                return;
            }
        } else if depth == 1 && branch.is_none() && matches!(byte, b'?' | b':') {
            branch = Some(at + 1);
        }
    }
}

/// Reads `{…}:{…}`, or a text that goes on to the end.
fn branches(value: &[u8], range: Range<usize>, names: &mut Vec<TableName>) {
    let blanks = value[range.clone()]
        .iter()
        .take_while(|byte| is_blank(**byte))
        .count();
    let start = range.start + blanks;
    if value.get(start) != Some(&b'{') {
        list(value, range, names);
        return;
    }
    let mut depth = 0_usize;
    for at in start..range.end {
        match value[at] {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            list(value, start + 1..at, names);
            let rest = &value[at + 1..range.end];
            if let Some(colon) = rest.iter().position(|byte| *byte == b':') {
                branches(value, at + 2 + colon..range.end, names);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &[&str]) {
        let names = table_names(value.as_bytes());
        let found: Vec<String> = names
            .iter()
            .map(|found| {
                let text = |range: &Range<usize>| value.get(range.clone()).unwrap();
                format!("{} {}", text(&found.kind), text(&found.name))
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        check("hash:/a", &["hash /a"]);
        check(
            "hash:/a, btree:/b\n lmdb:/c",
            &["hash /a", "btree /b", "lmdb /c"],
        );
        check("proxy:hash:/a !hash:/b", &["hash /a", "hash /b"]);
        check(
            "check_client_access hash:$config_directory/a reject",
            &["hash $config_directory/a"],
        );
        check(
            "pipemap:{hash:/a, proxy:btree:/b}, unionmap:{ hash:/c }",
            &["hash /a", "btree /b", "hash /c"],
        );
        check("{ check_sender_access hash:/a }, x", &["hash /a"]);
        check("inet:host:1, host:25", &["inet host:1", "host 25"]);
    }

    #[test]
    fn data_and_paths_are_no_names() {
        check("inline:{ a=hash:/x }", &["inline { a=hash:/x }"]);
        check("/etc/hash:x, [::1]/128, $a:/b, :x", &[]);
        check("pipemap:hash:/a", &[]);
    }

    #[test]
    fn branches_of_references_are_read() {
        check("${a?hash:/a}", &["hash /a"]);
        check("${a:hash:/a, btree:/b}", &["hash /a", "btree /b"]);
        check("${a?{hash:/a}:{btree:/b}}", &["hash /a", "btree /b"]);
        check("$(a?hash:/a)", &["hash /a"]);
        check(
            "${{$x} == {y} ? {hash:/a} : {lmdb:/b}}",
            &["hash /a", "lmdb /b"],
        );
        check("${a} $b ${unclosed?hash:/a", &[]);
    }
}
