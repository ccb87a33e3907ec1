//! The DMARC record that counts for a domain, and the organization it belongs to.
//!
//! Owns the walk up the tree of names. Must not know what a message says. Lookups are handed in.
//! Follows RFC 9989, 4.10 ("DNS Tree Walk"), which needs no list of public suffixes.

use super::dmarc::Dmarc;
use super::tag_list::TagError;
use crate::dns::{Answer, DnsError, Name, RecordData, RecordType};

/// Names of more labels are cut to one label less than this: no walk asks more often.
const MOST_LABELS: usize = 8;

/// Asks DNS; aliases are followed.
type Lookup<'a> = dyn Fn(&Name, RecordType) -> Result<Answer, DnsError> + 'a;

/// The records from a domain up to its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    domain: Name,
    /// Nearest first; names without a record left out.
    found: Vec<(Name, Published)>,
    /// The first name that nobody could say anything of.
    failure: Option<(Name, DnsError)>,
}

/// What stands at `_dmarc` below a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// One record, or why it is none that receivers can go by.
    One {
        /// The text.
        text: String,
        /// What it says.
        record: Result<Dmarc, TagError>,
    },
    /// So many; receivers then take none of them.
    Several(usize),
}

/// Walks from a domain up to its top. What could not be asked is kept, and named by what needs it.
#[must_use]
pub fn walk(domain: &Name, lookup: &Lookup<'_>) -> Walk {
    let mut walk = Walk {
        domain: domain.clone(),
        found: Vec::new(),
        failure: None,
    };
    let mut next = Some(domain.clone());
    while let Some(name) = next.filter(|name| !name.is_root()) {
        match published(&name, lookup) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let ends = match found.psd() {
                    Some(true) => name != *domain,
                    Some(false) => true,
                    None => false,
                };
                walk.found.push((name.clone(), found));
                if ends {
                    break;
                }
            }
            Err(error) => {
                walk.failure.get_or_insert((name.clone(), error));
            }
        }
        next = above(&name);
    }
    walk
}

/// The name that is asked after another one.
fn above(name: &Name) -> Option<Name> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let cut = labels.len().saturating_sub(MOST_LABELS - 1).max(1);
    Name::from_labels(labels.get(cut..)?).ok()
}

/// Looks at `_dmarc` below a name.
///
/// # Errors
/// When nobody could say.
pub fn published(name: &Name, lookup: &Lookup<'_>) -> Result<Option<Published>, DnsError> {
    // A name that is too long for it has none.
    let Ok(owner) = Dmarc::owner(name) else {
        return Ok(None);
    };
    let answer = lookup(&owner, RecordType::Txt)?;
    let mut texts: Vec<String> = answer
        .records()
        .iter()
        .filter_map(|record| match &record.data {
            RecordData::Txt(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
        .filter(|text| is_dmarc(text))
        .collect();
    Ok(match (texts.pop(), texts.len()) {
        (None, _) => None,
        (Some(text), 0) => Some(Published::One {
            record: Dmarc::parse(&text),
            text,
        }),
        (Some(_), more) => Some(Published::Several(more + 1)),
    })
}

/// Tells whether a text is meant as a record: others at the name are passed over (RFC 9989, 4.10).
fn is_dmarc(text: &str) -> bool {
    let Some((name, rest)) = text.split_once('=') else {
        return false;
    };
    let value = rest.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("v") && value.trim() == "DMARC1"
}

impl Published {
    fn psd(&self) -> Option<bool> {
        let Self::One {
            record: Ok(record), ..
        } = self
        else {
            return None;
        };
        let mut tags = record.other.iter();
        let (_, value) = tags.find(|(tag, _)| tag.eq_ignore_ascii_case("psd"))?;
        match value.to_ascii_lowercase().as_str() {
            "y" => Some(true),
            "n" => Some(false),
            _ => None,
        }
    }

    fn is_valid(&self) -> bool {
        matches!(self, Self::One { record: Ok(_), .. })
    }
}

impl Walk {
    /// What stands at the domain itself.
    #[must_use]
    pub fn own(&self) -> Option<&Published> {
        let (name, found) = self.found.first()?;
        (*name == self.domain).then_some(found)
    }

    /// The organizational domain (RFC 9989, 4.10.2).
    ///
    /// # Errors
    /// When a name on the way could not be asked about.
    pub fn organization(&self) -> Result<Name, &DnsError> {
        if let Some((_, error)) = &self.failure {
            return Err(error);
        }
        let valid: Vec<&(Name, Published)> = self
            .found
            .iter()
            .filter(|(_, found)| found.is_valid())
            .collect();
        for (name, found) in &valid {
            match found.psd() {
                Some(false) => return Ok(name.clone()),
                Some(true) if *name != self.domain => return Ok(self.one_below(name)),
                _ => {}
            }
        }
        Ok(valid
            .last()
            .map_or_else(|| self.domain.clone(), |(name, _)| name.clone()))
    }

    /// The name and the record that say what is done with mail of the domain (RFC 9989, 4.10.1):
    /// its own, else its organization's, else that of the public suffix.
    ///
    /// # Errors
    /// When it could not be found out.
    pub fn policy(&self) -> Result<Option<(&Name, &Dmarc)>, &DnsError> {
        let valid = self.found.iter().filter_map(|(name, found)| match found {
            Published::One {
                record: Ok(record), ..
            } => Some((name, record)),
            _ => None,
        });
        let mut valid: Vec<_> = valid.collect();
        if let Some(first) = valid.first().filter(|(name, _)| **name == self.domain) {
            return Ok(Some(*first));
        }
        let organization = self.organization()?;
        let at = valid.iter().position(|(name, _)| **name == organization);
        Ok(match at {
            Some(at) => Some(valid.swap_remove(at)),
            None => valid.pop(),
        })
    }

    /// The domain, or the name above it, that stands right below another one.
    fn one_below(&self, parent: &Name) -> Name {
        let labels: Vec<&[u8]> = self.domain.labels().collect();
        let keep = parent.labels().count() + 1;
        let at = labels.len().saturating_sub(keep);
        let kept = labels.get(at..).unwrap_or_default();
        Name::from_labels(kept).unwrap_or_else(|_| self.domain.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{FixedResolver, Resolver};
    use std::cell::RefCell;

    fn walked(zone: &str, domain: &str) -> (Walk, Vec<String>) {
        let resolver = FixedResolver::from_zone(zone).unwrap();
        let asked = RefCell::new(Vec::new());
        let lookup = |name: &Name, kind: RecordType| {
            asked.borrow_mut().push(name.host());
            resolver.lookup(name, kind)
        };
        let walk = walk(&domain.parse().unwrap(), &lookup);
        (walk, asked.into_inner())
    }

    #[track_caller]
    fn check(zone: &[(&str, &str)], domain: &str, organization: &str, policy: Option<&str>) {
        let line = |(name, text): &(&str, &str)| format!("_dmarc.{name}. 60 IN TXT \"{text}\"");
        let lines: Vec<String> = zone.iter().map(line).collect();
        let (walk, _) = walked(&lines.join("\n"), domain);
        assert_eq!(walk.organization().unwrap().host(), organization);
        let found = walk.policy().unwrap().map(|(name, _)| name.host());
        assert_eq!(found.as_deref(), policy);
    }

    // The examples of RFC 9989, appendix B.1.
    #[test]
    fn the_organization_is_found_by_records() {
        let example = ("example.com", "v=DMARC1; p=none");
        check(&[], "a.example.com", "a.example.com", None);
        check(
            &[example],
            "example.com",
            "example.com",
            Some("example.com"),
        );
        check(
            &[example],
            "a.b.example.com",
            "example.com",
            Some("example.com"),
        );
        check(
            &[example, ("a.example.com", "v=DMARC1; p=reject")],
            "a.example.com",
            "example.com",
            Some("a.example.com"),
        );
        check(
            &[("com", "v=DMARC1; p=none; psd=y")],
            "a.example.com",
            "example.com",
            Some("com"),
        );
        check(
            &[("a.example.com", "v=DMARC1; p=none; psd=n"), example],
            "b.a.example.com",
            "a.example.com",
            Some("a.example.com"),
        );
        // What is no record, or not the only one, does not count.
        check(
            &[("example.com", "v=DMARC2; p=none")],
            "example.com",
            "example.com",
            None,
        );
        check(&[example, example], "a.example.com", "a.example.com", None);
    }

    #[test]
    fn long_names_are_cut() {
        let (_, asked) = walked("", "a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(asked.len(), 8);
        assert_eq!(asked[1], "_dmarc.g.h.i.j.mail.example.com");
        assert_eq!(asked[7], "_dmarc.com");
    }

    #[test]
    fn what_could_not_be_asked_is_no_answer() {
        let (walk, _) = walked("$SERVFAIL _dmarc.example.com.\n", "a.example.com");
        assert!(walk.organization().is_err());
        assert!(walk.policy().is_err());
        let own = "$SERVFAIL _dmarc.com.\n_dmarc.example.com. 60 IN TXT \"v=DMARC1; p=none\"\n";
        let (walk, _) = walked(own, "example.com");
        assert!(walk.policy().unwrap().is_some());
        assert!(walk.organization().is_err());
    }
}
