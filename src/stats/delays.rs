//! How long mail took, as percentiles in little room.
//!
//! Owns [`Delays`]: counts by steps of an eighth of a doubling, so a percentile is right to 6 %.

/// Steps a doubling.
const STEPS: u32 = 8;

/// Delays, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// The step of the first count.
    first: u16,
    counts: Vec<u32>,
}

impl Delays {
    /// Adds one.
    pub fn add(&mut self, milliseconds: u64) {
        self.add_step(step(milliseconds), 1);
    }

    /// Adds all of another's.
    pub fn join(&mut self, other: &Self) {
        for (at, &count) in (other.first..).zip(&other.counts) {
            if count > 0 {
                self.add_step(at, count);
            }
        }
    }

    fn add_step(&mut self, at: u16, count: u32) {
        if self.counts.is_empty() {
            self.first = at;
        }
        if at < self.first {
            let more = usize::from(self.first - at);
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = at;
        }
        let place = usize::from(at - self.first);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        if let Some(held) = self.counts.get_mut(place) {
            *held = held.saturating_add(count);
        }
    }

    /// The delay that a share of all (0 to 1) did not pass, in seconds; none of nothing.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "no log has that many deliveries"
    )]
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let mut left = all as f64 * share;
        for (at, &count) in (self.first..).zip(&self.counts) {
            left -= f64::from(count);
            if count > 0 && left <= 0.0 {
                return Some(middle(at));
            }
        }
        None
    }
}

/// The step of a delay: whole doublings, and eighths by the three bits behind the first.
fn step(milliseconds: u64) -> u16 {
    let value = milliseconds.max(1) * u64::from(STEPS);
    let doublings = value.ilog2() - STEPS.ilog2();
    let eighths = (value >> doublings) - u64::from(STEPS);
    u16::try_from(u64::from(doublings * STEPS) + eighths).unwrap_or(u16::MAX)
}

/// The middle of a step, in seconds.
fn middle(step: u16) -> f64 {
    let (doublings, eighths) = (u32::from(step) / STEPS, u32::from(step) % STEPS);
    let low = (1.0 + f64::from(eighths) / f64::from(STEPS))
        * 2_f64.powi(i32::try_from(doublings).unwrap_or(i32::MAX));
    let width = 2_f64.powi(i32::try_from(doublings).unwrap_or(i32::MAX)) / f64::from(STEPS);
    (low + width / 2.0) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near() {
        let mut delays = Delays::default();
        assert_eq!(delays.percentile(0.5), None);
        for milliseconds in (1..=1000).rev() {
            delays.add(milliseconds);
        }
        for (share, seconds) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (0.01, 0.01)] {
            let found = delays.percentile(share).unwrap();
            assert!((found / seconds - 1.0).abs() < 0.13, "{share}: {found}");
        }
    }

    #[test]
    fn joined_is_as_added() {
        let (mut one, mut two, mut both) =
            (Delays::default(), Delays::default(), Delays::default());
        for (at, milliseconds) in [5, 0, 70_000, 432_000_000, 30].into_iter().enumerate() {
            both.add(milliseconds);
            if at % 2 == 0 { &mut one } else { &mut two }.add(milliseconds);
        }
        one.join(&two);
        assert_eq!(one, both);
    }
}
