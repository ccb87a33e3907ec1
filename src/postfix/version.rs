//! Versions of Postfix and the compatibility level.
//!
//! Owns their spelling and order. Must not know which feature came with which
//! version: that stands with the feature.

use std::fmt;

/// A version of Postfix, such as 3.7.11.
///
/// A snapshot (`3.11-20260101`) counts as the first release of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number; a series is named by the first two.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
}

impl Version {
    /// Makes a version.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads what `mail_version` says, such as `3.7.11`, `3.11-20260101` or `3.8.0-RC1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.trim().split('-').next()?;
        let mut parts = numbers.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        });
        let version = Self::new(
            parts.next()??,
            parts.next()??,
            parts.next().unwrap_or(Some(0))?,
        );
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What `compatibility_level` says: below which changes of defaults the old default is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompatibilityLevel {
    major: u64,
    minor: u64,
    patch: u64,
}

/// A compatibility level that the version refuses: every program of it stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no compatibility level for Postfix {version}")]
pub struct BadLevel {
    /// What the file says.
    pub text: String,
    /// Who would read it.
    pub version: Version,
}

impl CompatibilityLevel {
    /// Makes a level.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads the expanded value of `compatibility_level` as `version` does.
    ///
    /// Since 3.6 a level looks like a version. Before, it is an integer; the
    /// last patch releases of 3.3 to 3.5 read up to the first dot, so that
    /// one file suits both.
    ///
    /// # Errors
    /// Fails where Postfix stops with a bad number.
    pub fn read(text: &str, version: Version) -> Result<Self, BadLevel> {
        let bad = || BadLevel {
            text: text.to_owned(),
            version,
        };
        let mut numbers = text.trim().split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let mut next = || numbers.next().unwrap_or(Some(0)).ok_or_else(bad);
        let level = Self::new(next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(bad());
        }
        if version >= Version::new(3, 6, 0) {
            return Ok(level);
        }
        let cuts_at_dot = match (version.major, version.minor) {
            (3, 3) => version.patch >= 18,
            (3, 4) => version.patch >= 21,
            (3, 5) => version.patch >= 11,
            _ => false,
        };
        if !cuts_at_dot && text.contains('.') {
            return Err(bad());
        }
        Ok(Self::new(level.major, 0, 0))
    }
}

impl fmt::Display for CompatibilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.minor, self.patch) {
            (0, 0) => write!(f, "{}", self.major),
            (minor, 0) => write!(f, "{}.{minor}", self.major),
            (minor, patch) => write!(f, "{}.{minor}.{patch}", self.major),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_postfix_prints_them() {
        let check = |text, expected: Option<(u16, u16, u16)>| {
            let expected = expected.map(|(a, b, c)| Version::new(a, b, c));
            assert_eq!(Version::parse(text), expected, "{text}");
        };
        check("3.7.11", Some((3, 7, 11)));
        check("3.7.11\n", Some((3, 7, 11)));
        check("3.11-20260101", Some((3, 11, 0)));
        check("3.8.0-RC1", Some((3, 8, 0)));
        check("2.11", Some((2, 11, 0)));
        check("3", None);
        check("", None);
        check("3.x", None);
        check("3.7.11.1", None);
        check("3.+7", None);
    }

    #[test]
    fn versions_order_by_number() {
        assert!(Version::new(3, 11, 0) > Version::new(3, 7, 11));
        assert!(Version::new(2, 11, 9) < Version::new(3, 0, 0));
    }

    #[test]
    fn levels_are_integers_before_3_6() {
        let check = |text, version, expected: Option<(u64, u64, u64)>| {
            let version = Version::parse(version).unwrap();
            let expected = expected.map(|(a, b, c)| CompatibilityLevel::new(a, b, c));
            assert_eq!(
                CompatibilityLevel::read(text, version).ok(),
                expected,
                "{text} on {version}"
            );
        };
        check("2", "3.0.0", Some((2, 0, 0)));
        check("3.6", "3.0.0", None);
        check("3.6", "3.3.17", None);
        check("3.6", "3.3.18", Some((3, 0, 0)));
        check("3.6", "3.4.20", None);
        check("3.6", "3.4.21", Some((3, 0, 0)));
        check("3.6", "3.5.10", None);
        check("3.6", "3.5.11", Some((3, 0, 0)));
        check("3.6", "3.7.11", Some((3, 6, 0)));
        check("9.9", "3.7.11", Some((9, 9, 0)));
        check("3.x", "3.7.11", None);
        check("", "3.7.11", None);
    }
}
