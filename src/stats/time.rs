//! The time of a line, to the second, from either form.
//!
//! Owns [`Stamp`] and the year that RFC 3164 leaves out. Must not know the clock: the time a log
//! was last written is handed in.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time of a line as the log has it, in the log's own zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The hour.
    pub hour: Hour,
    /// Seconds since it began.
    pub second: u16,
}

/// An hour of a calendar; as a number, hours of equal months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(u32);

/// The day a log ends on, by which a year is told where lines have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDay {
    year: u32,
    month: u32,
    day: u32,
}

/// Reads the times of lines, which are mostly that of the line before.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    time: Vec<u8>,
    last: Option<LastDay>,
    stamp: Option<Stamp>,
}

impl Clock {
    /// Reads a time as [`Stamp::parse`] does.
    pub fn read(&mut self, time: &[u8], last: LastDay) -> Option<Stamp> {
        if self.time != time || self.last != Some(last) {
            time.clone_into(&mut self.time);
            self.last = Some(last);
            self.stamp = Stamp::parse(time, last);
        }
        self.stamp
    }
}

/// How far the clock of whoever wrote a log may be ahead of ours: another zone of time.
const AHEAD: i64 = 24 * 60 * 60;

impl LastDay {
    /// Takes the day of the time a log was last written, seconds since 1970, as a clock on this
    /// machine shows it, and one day more.
    #[must_use]
    pub fn of(seconds: i64) -> Self {
        let time = Timestamp::from_second(seconds.saturating_add(AHEAD));
        let time = time.unwrap_or(Timestamp::UNIX_EPOCH);
        let local = time.to_zoned(TimeZone::system());
        Self {
            year: u32::try_from(local.year()).unwrap_or_default(),
            month: u32::try_from(local.month()).unwrap_or(1),
            day: u32::try_from(local.day()).unwrap_or(1),
        }
    }

    /// The year of a day: a log holds no lines of the future.
    fn year_of(self, month: u32, day: u32) -> u32 {
        self.year
            .saturating_sub(u32::from((month, day) > (self.month, self.day)))
    }
}

impl Hour {
    /// Makes an hour; parts that no calendar has are cut to what it has.
    #[must_use]
    pub fn new(year: u32, month: u32, day: u32, hour: u32) -> Self {
        let (month, day) = (month.clamp(1, 12), day.clamp(1, 31));
        Self(((year.min(9999) * 12 + month - 1) * 31 + day - 1) * 24 + hour.min(23))
    }

    /// The day it is of, as its first hour.
    #[must_use]
    pub fn day(self) -> Self {
        Self(self.0 - self.0 % 24)
    }

    /// The day as `2026-03-21`.
    #[must_use]
    pub fn date(self) -> String {
        let days = self.0 / 24;
        let (months, day) = (days / 31, days % 31 + 1);
        let (year, month) = (months / 12, months % 12 + 1);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Hours since another, earlier one.
    #[must_use]
    pub fn since(self, earlier: Self) -> usize {
        let between = self.on().zip(earlier.on());
        let days = between.map(|(day, first)| day.since(first).map_or(0, |span| span.get_days()));
        let hours = i64::from(days.unwrap_or_default()) * 24 + i64::from(self.of_day())
            - i64::from(earlier.of_day());
        usize::try_from(hours).unwrap_or_default()
    }

    /// The hour so many hours later.
    #[must_use]
    pub fn later(self, hours: usize) -> Self {
        let hours = i64::from(self.of_day()) + i64::try_from(hours).unwrap_or_default();
        let days = jiff::Span::new().try_days(hours / 24).unwrap_or_default();
        let Some(day) = self.on().and_then(|day| day.checked_add(days).ok()) else {
            return self;
        };
        let part = |part: i8| u32::try_from(part).unwrap_or_default();
        let year = u32::try_from(day.year()).unwrap_or_default();
        let of_day = u32::try_from(hours % 24).unwrap_or_default();
        Self::new(year, part(day.month()), part(day.day()), of_day)
    }

    /// The day it is of; one that its month does not have counts as the last that all have.
    fn on(self) -> Option<jiff::civil::Date> {
        let days = self.0 / 24;
        let (months, day) = (days / 31, days % 31 + 1);
        let year = i16::try_from(months / 12).ok()?;
        let small = |part: u32| i8::try_from(part).unwrap_or(1);
        let (month, day) = (small(months % 12 + 1), small(day));
        let date = jiff::civil::Date::new(year, month, day);
        date.or_else(|_| jiff::civil::Date::new(year, month, 28))
            .ok()
    }

    /// The hour of the day.
    #[must_use]
    pub fn of_day(self) -> u32 {
        self.0 % 24
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minute, second) = (self.second / 60, self.second % 60);
        let (date, hour) = (self.hour.date(), self.hour.of_day());
        write!(f, "{date} {hour:02}:{minute:02}:{second:02}")
    }
}

impl Stamp {
    /// Reads a time as [`Line::time`](crate::postfix::log::Line::time) has it: `Mar  3 10:00:00`,
    /// `2026-03-03T10:00:00.5+01:00`, or with other words around them.
    #[must_use]
    pub fn parse(time: &[u8], last: LastDay) -> Option<Self> {
        Self::of_words(time, last).or_else(|| {
            // A weekday, or what stands before a container's bar.
            let blank = time.iter().position(|&byte| byte == b' ')?;
            Self::of_words(time.get(blank + 1..)?.trim_ascii_start(), last)
        })
    }

    fn of_words(time: &[u8], last: LastDay) -> Option<Self> {
        let (year, month, day, clock) = if let Some(month) = month(time) {
            let day = two(time, 4)?;
            (last.year_of(month, day), month, day, 7)
        } else {
            let is_date = time.get(4) == Some(&b'-') && time.get(7) == Some(&b'-');
            let century = two(time, 0).filter(|_| is_date)?;
            let year = century * 100 + two(time, 2)?;
            (year, two(time, 5)?, two(time, 8)?, 11)
        };
        let in_hour = two(time, clock + 3)? * 60 + two(time, clock + 6).unwrap_or_default();
        Some(Self {
            hour: Hour::new(year, month, day, two(time, clock)?),
            second: u16::try_from(in_hour).ok()?,
        })
    }
}

/// Two digits; a day below ten has a blank for the first.
fn two(time: &[u8], at: usize) -> Option<u32> {
    let [tens, ones] = *time.get(at..)?.first_chunk()?;
    let tens = if tens == b' ' { b'0' } else { tens };
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// The month that a time begins with.
fn month(time: &[u8]) -> Option<u32> {
    let number = match time.first_chunk()? {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(time: &str, expected: Option<(&str, u32, u16)>) {
        let last = LastDay {
            year: 2026,
            month: 3,
            day: 4,
        };
        let found = Stamp::parse(time.as_bytes(), last);
        let found = found.map(|stamp| (stamp.hour.date(), stamp.hour.of_day(), stamp.second));
        let expected = expected.map(|(date, hour, second)| (date.to_owned(), hour, second));
        assert_eq!(found, expected);
    }

    #[test]
    fn both_forms_are_read() {
        check("Mar  3 10:01:02", Some(("2026-03-03", 10, 62)));
        check("Mar 03 10:01:02.123", Some(("2026-03-03", 10, 62)));
        check(
            "2026-02-28T23:59:59.5+01:00",
            Some(("2026-02-28", 23, 3599)),
        );
        check("Wed 2026-11-25 10:00:00 UTC", Some(("2026-11-25", 10, 0)));
        check("", None);
        check("Foo  3 10:01:02", None);
    }

    #[test]
    fn a_day_to_come_was_last_year() {
        check("Dec 31 23:00:00", Some(("2025-12-31", 23, 0)));
        check("Mar  5 00:00:00", Some(("2025-03-05", 0, 0)));
        check("Mar  4 23:59:59", Some(("2026-03-04", 23, 3599)));
        check("Feb 29 00:00:00", Some(("2026-02-29", 0, 0)));
    }

    #[test]
    fn a_log_over_new_year_has_two_years() {
        // Rotated at 2026-01-01T00:00:05Z; whoever wrote it may be a zone ahead or behind.
        let at = "2026-01-01T00:00:05Z".parse::<Timestamp>().unwrap();
        let last = LastDay::of(at.as_second());
        for (time, date) in [
            ("Dec 31 23:59:59", "2025-12-31"),
            ("Jan  1 00:00:04", "2026-01-01"),
            ("Jan  1 13:00:00", "2026-01-01"),
            ("Jan 15 13:00:00", "2025-01-15"),
        ] {
            let stamp = Stamp::parse(time.as_bytes(), last).unwrap();
            assert_eq!(stamp.hour.date(), date, "{time}");
        }
        let at = "2025-12-31T23:30:00Z".parse::<Timestamp>().unwrap();
        let last = LastDay::of(at.as_second());
        let stamp = Stamp::parse(b"Jan  1 00:30:00", last).unwrap();
        assert_eq!(stamp.hour.date(), "2026-01-01");
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        let last = LastDay::of(0);
        let stamp = Stamp::parse(b"2026-02-28T09:59:07", last).unwrap();
        assert_eq!(stamp.to_string(), "2026-02-28 09:59:07");
    }

    #[test]
    fn hours_pass() {
        let hour = Hour::new(2026, 2, 27, 22);
        for (later, date, of_day) in [
            (0, "2026-02-27", 22),
            (3, "2026-02-28", 1),
            (26, "2026-03-01", 0),
            (24 * 365, "2027-02-27", 22),
        ] {
            let found = hour.later(later);
            assert_eq!((found.date().as_str(), found.of_day()), (date, of_day));
            assert_eq!(found.since(hour), later);
        }
    }

    #[test]
    fn hours_are_in_order() {
        let hours = [
            (2025, 12, 31, 23),
            (2026, 1, 1, 0),
            (2026, 1, 31, 5),
            (2026, 2, 1, 4),
        ];
        let hours = hours.map(|(year, month, day, hour)| Hour::new(year, month, day, hour));
        assert!(hours.is_sorted());
        assert_eq!(hours[2].day().of_day(), 0);
        assert_eq!(hours[2].date(), "2026-01-31");
    }
}
