//! Counts as rows: by whatever is asked for, the largest first, or in the order of time.
//!
//! Owns what a row is. Must not know how rows are shown.

use std::collections::BTreeMap;

use super::{Cell, Counted, Ends, Family, Hour, MailHosts, Tally};

/// By what deliveries are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `syslog_name`.
    Instance,
    /// The receiver's provider.
    Provider,
    /// The recipient's domain.
    Domain,
    /// IPv4, IPv6 or neither.
    Protocol,
    /// The address of ours it left from, where it was asked how that is known.
    Source,
    /// The hour.
    Hour,
    /// The day.
    Day,
}

/// Deliveries of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Which kind.
    pub name: String,
    /// Counts and delays; an hour or a day has no delays of its own.
    pub counted: Counted,
    /// The same over time; empty by domain and by time itself.
    pub hours: BTreeMap<Hour, Ends>,
}

impl Tally<'_> {
    /// All deliveries together.
    #[must_use]
    pub fn all(&self) -> Row {
        let mut row = Row {
            name: "all".to_owned(),
            ..Row::default()
        };
        for (cell, ends) in self.cells() {
            row.counted.ends += ends;
            *row.hours.entry(cell.hour).or_default() += ends;
        }
        for (_, delays) in self.delays() {
            row.counted.delays.join(delays);
        }
        row
    }

    /// The rows of one way to tell deliveries apart.
    #[must_use]
    pub fn rows(&self, by: By, hosts: &MailHosts) -> Vec<Row> {
        let instance = |number: u16| {
            let name = self.instance_name(number);
            let name = String::from_utf8_lossy(name);
            if name.is_empty() {
                "(none)".to_owned()
            } else {
                name.into_owned()
            }
        };
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        if by == By::Domain {
            return self.domains();
        }
        let name = |cell: &Cell| match by {
            By::Instance => instance(cell.instance),
            By::Provider => hosts.id(cell.provider).to_owned(),
            By::Protocol => cell.family.word().to_owned(),
            By::Source => self.departure(cell),
            By::Hour => format!("{} {:02}", cell.hour.date(), cell.hour.of_day()),
            By::Day | By::Domain => cell.hour.date(),
        };
        let is_time = matches!(by, By::Hour | By::Day);
        for (cell, ends) in self.cells() {
            let row = rows.entry(name(&cell)).or_default();
            row.counted.ends += ends;
            if !is_time {
                *row.hours.entry(cell.hour).or_default() += ends;
            }
        }
        for (cell, delays) in self.delays().filter(|_| !is_time) {
            let row = rows.entry(name(&cell)).or_default();
            row.counted.delays.join(delays);
        }
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|(name, row)| Row { name, ..row })
            .collect();
        // By time they are in order already, as names are.
        if matches!(by, By::Provider | By::Protocol | By::Source) {
            largest_first(&mut rows);
        }
        rows
    }

    fn domains(&self) -> Vec<Row> {
        let named = self.counted_domains().map(|(name, counted)| Row {
            name: String::from_utf8_lossy(name).into_owned(),
            counted: counted.clone(),
            hours: BTreeMap::new(),
        });
        let mut rows: Vec<Row> = named.collect();
        largest_first(&mut rows);
        if self.further.ends.total() > 0 {
            rows.push(Row {
                name: "(further domains)".to_owned(),
                counted: self.further.clone(),
                hours: BTreeMap::new(),
            });
        }
        rows
    }
}

impl Family {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::None => "none",
        }
    }
}

fn largest_first(rows: &mut [Row]) {
    rows.sort_by(|one, two| {
        let total = |row: &Row| row.counted.ends.total();
        total(two)
            .cmp(&total(one))
            .then_with(|| one.name.cmp(&two.name))
    });
}
