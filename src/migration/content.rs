//! What a table holds, as postmap(1) lists it.
//!
//! Owns the comparison of two tables by key and value. A table may have a million entries, so
//! the listing is kept as it is and only the places of its lines are sorted.

/// What postalias(1) adds of itself, for NIS: its time and place.
const OF_THE_BUILD: [&[u8]; 2] = [b"YP_LAST_MODIFIED", b"YP_MASTER_NAME"];

/// The entries of a table, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    listed: Vec<u8>,
    /// Start, tab and end of each line, by key.
    lines: Vec<(usize, usize, usize)>,
}

impl Content {
    /// Reads `key<TAB>value` lines, without what tells of the build alone.
    pub fn read(listed: Vec<u8>) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in listed.split(|byte| *byte == b'\n') {
            let end = start + line.len();
            if let Some(tab) = line.iter().position(|byte| *byte == b'\t')
                && !OF_THE_BUILD.contains(&&line[..tab])
            {
                lines.push((start, start + tab, end));
            }
            start = end + 1;
        }
        lines.sort_unstable_by(|one, other| listed[one.0..one.1].cmp(&listed[other.0..other.1]));
        Self { listed, lines }
    }

    /// Lists keys and values, by key.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .iter()
            .map(|&(start, tab, end)| (&self.listed[start..tab], &self.listed[tab + 1..end]))
    }

    /// Lists the keys that only one of two tables has, or that give different values.
    pub fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a [u8]> {
        let (mut left, mut right) = (self.entries().peekable(), other.entries().peekable());
        let mut keys = Vec::new();
        loop {
            match (left.peek(), right.peek()) {
                (None, None) => return keys,
                (Some(one), Some(two)) if one == two => {
                    left.next();
                    right.next();
                }
                (Some(one), Some(two)) if one.0 == two.0 => {
                    keys.push(one.0);
                    left.next();
                    right.next();
                }
                (Some(one), two) if two.is_none_or(|two| one.0 < two.0) => {
                    keys.push(one.0);
                    left.next();
                }
                (_, Some(two)) => {
                    keys.push(two.0);
                    right.next();
                }
                (Some(_), None) => unreachable!("taken above"),
            }
        }
    }

    /// The same table with only these keys.
    pub fn only(mut self, keys: &[String]) -> Self {
        let mut sorted: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        sorted.sort_unstable();
        let listed = std::mem::take(&mut self.listed);
        self.lines
            .retain(|&(start, tab, _)| sorted.binary_search(&&listed[start..tab]).is_ok());
        self.listed = listed;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expected: &[&str]) {
        let (one, other) = (Content::read(one.into()), Content::read(other.into()));
        for keys in [one.differing(&other), other.differing(&one)] {
            let keys: Vec<_> = keys.into_iter().map(String::from_utf8_lossy).collect();
            assert_eq!(keys, expected);
        }
    }

    #[test]
    fn tables_are_compared_by_key_and_value() {
        check("", "", &[]);
        check("b\t2\na\t1\n", "a\t1\nb\t2\n", &[]);
        check("a\t1\nb\t2\n", "a\t1\nb\t3\nc\t4\n", &["b", "c"]);
        check("a\t1\n", "", &["a"]);
        check("a b\t1\t2\n", "a b\t1 2\n", &["a b"]);
        check(
            "YP_LAST_MODIFIED\t1\na\t1\n",
            "YP_LAST_MODIFIED\t2\na\t1\n",
            &[],
        );
    }

    #[test]
    fn some_keys_of_a_table_are_a_table() {
        let content = Content::read(b"b\t2\na\t1\nc\t3\n".to_vec());
        let keys = ["c".to_owned(), "a".to_owned(), "x".to_owned()];
        let entries: Vec<_> = content
            .only(&keys)
            .entries()
            .map(|(key, _)| key.to_vec())
            .collect();
        assert_eq!(entries, [b"a", b"c"]);
    }
}
