//! Moments as a person types them: `2026-11-20`, `2026-11-20T10:30`, or `7d` ago.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use clap::Args;

use crate::stats::{Hour, Span, Stamp};

/// From when to when a log is read.
#[derive(Clone, Copy, Debug, Args)]
pub struct When {
    /// Only what came from then on: a date such as 2026-11-20 or 2026-11-20T10:30, or how long ago,
    /// 7d
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    pub since: Option<Moment>,
    /// Only what came before then
    #[arg(long, value_parser = moment, value_name = "WHEN")]
    pub until: Option<Moment>,
}

impl When {
    /// The same in the time of the log.
    pub fn span(self, now: Timestamp) -> Span {
        Span {
            since: self.since.map(|since| since.stamp(now)),
            until: self.until.map(|until| until.stamp(now)),
        }
    }
}

/// A moment, as the clock of this machine shows it, or how long before now it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A date, perhaps with a time.
    At(DateTime),
    /// So long ago.
    Ago(SignedDuration),
}

impl Moment {
    /// The same as seconds since 1970.
    pub fn second(self, now: Timestamp) -> i64 {
        let then = match self {
            Self::At(at) => {
                let zoned = at.to_zoned(TimeZone::system());
                zoned.map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
            }
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
        };
        then.as_second()
    }

    /// So much earlier.
    pub fn before(self, span: SignedDuration) -> Self {
        match self {
            Self::At(at) => Self::At(at.checked_sub(span).unwrap_or(at)),
            Self::Ago(ago) => Self::Ago(ago.saturating_add(span)),
        }
    }

    /// The time of the log it stands for.
    pub fn stamp(self, now: Timestamp) -> Stamp {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let then = now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
                then.to_zoned(TimeZone::system()).datetime()
            }
        };
        let part = |part: i8| u32::try_from(part).unwrap_or_default();
        let hour = Hour::new(
            u32::try_from(at.year()).unwrap_or_default(),
            part(at.month()),
            part(at.day()),
            part(at.hour()),
        );
        let second = part(at.minute()) * 60 + part(at.second());
        Stamp {
            hour,
            second: u16::try_from(second).unwrap_or_default(),
        }
    }
}

/// Reads a moment; for the command line.
pub fn moment(text: &str) -> Result<Moment, String> {
    const UNITS: [(char, i64); 5] = [
        ('s', 1),
        ('m', 60),
        ('h', 3600),
        ('d', 86_400),
        ('w', 604_800),
    ];
    for (unit, seconds) in UNITS {
        if let Some(count) = text
            .strip_suffix(unit)
            .and_then(|count| count.parse::<u32>().ok())
        {
            return Ok(Moment::Ago(SignedDuration::from_secs(
                i64::from(count) * seconds,
            )));
        }
    }
    let spaced = text.replacen(' ', "T", 1);
    // A date alone is its first moment.
    let at = spaced.parse::<DateTime>().or_else(|_| {
        let date: jiff::civil::Date = spaced.parse()?;
        Ok::<_, jiff::Error>(date.to_datetime(jiff::civil::Time::midnight()))
    });
    at.map(Moment::At).map_err(|_| {
        "a date such as 2026-11-20 or 2026-11-20T10:30, or how long ago: 12h, 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let at = |text: &str| match moment(text) {
            Ok(Moment::At(at)) => at.to_string(),
            Ok(Moment::Ago(ago)) => format!("{} s ago", ago.as_secs()),
            Err(why) => why,
        };
        assert_eq!(at("2026-11-20"), "2026-11-20T00:00:00");
        assert_eq!(at("2026-11-20 10:30"), "2026-11-20T10:30:00");
        assert_eq!(at("7d"), "604800 s ago");
        assert!(at("yesterday").starts_with("a date such as"));
    }
}
