//! Near misses: which allowed word somebody meant.
//!
//! Owns [`near_miss`] and [`listed`], the two halves of every "unknown word" message.
//! Must not know what the words stand for.

/// Finds the allowed word that a mistyped one is closest to, if any is close.
///
/// Close is one wrong, missing, extra or swapped letter in every three; case and the kind
/// of dash do not count.
#[must_use]
pub fn near_miss<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word);
    allowed
        .into_iter()
        .filter_map(|candidate| {
            let other = folded(candidate);
            let limit = (word.len().max(other.len()) / 3).max(1);
            let distance = distance(&word, &other);
            // Two words of one or two letters are always "close"; half must be right.
            (distance <= limit && distance * 2 <= other.len()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lists words for a message: "`a`, `b`, `c`".
#[must_use]
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn folded(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| {
            if c == '_' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Counts the edits between two words; a swap of neighbours is one (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let allowed = ["hostname", "ipv4", "ipv6", "reverse-dns6"];
        for (word, meant) in [
            ("hostnam", Some("hostname")),
            ("hsotname", Some("hostname")),
            ("HostName", Some("hostname")),
            ("ip6", Some("ipv6")),
            ("reverse_dns6", Some("reverse-dns6")),
            ("kitchen", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(near_miss(word, allowed), meant, "{word}");
        }
    }

    #[test]
    fn short_words_are_not_taken_for_one_another() {
        assert_eq!(near_miss("x", ["y", "n"]), None);
    }
}
