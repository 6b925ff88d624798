//! Boot time and wall-clock time.

use crate::BootNanos;

/// One reading of both clocks at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPair {
    /// `CLOCK_BOOTTIME`.
    pub boot: BootNanos,
    /// `CLOCK_REALTIME`, nanoseconds since 1970-01-01 UTC.
    pub real: i64,
}

/// Readings in order of boot time; turns boot time into wall-clock time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockMap {
    pairs: Vec<ClockPair>,
}

impl ClockMap {
    /// Sorts the readings by boot time.
    pub fn new(mut pairs: Vec<ClockPair>) -> Self {
        pairs.sort_by_key(|p| p.boot);
        Self { pairs }
    }

    /// Wall-clock nanoseconds since 1970 at `at`, by the latest reading not after it (the first reading for
    /// earlier moments); `None` without any reading.
    pub fn real(&self, at: BootNanos) -> Option<i64> {
        let after = self.pairs.partition_point(|p| p.boot <= at);
        let pair = self.pairs.get(after.saturating_sub(1))?;
        let delta = i128::from(at.0) - i128::from(pair.boot.0);
        i64::try_from(i128::from(pair.real) + delta).ok()
    }

    /// Boot time at wall-clock `real`: the inverse of [`Self::real`], so that a time that was shown leads back to
    /// where it was shown. The first such moment where the clock was set back; by the reading nearest in wall-clock
    /// time where it was set past `real`.
    pub fn boot(&self, real: i64) -> Option<BootNanos> {
        let by = |pair: &ClockPair| {
            let at = i128::from(pair.boot.0) + i128::from(real) - i128::from(pair.real);
            BootNanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
        };
        let exact = self.pairs.iter().map(by).find(|&at| self.real(at) == Some(real));
        exact.or_else(|| self.pairs.iter().min_by_key(|p| p.real.abs_diff(real)).map(by))
    }

    /// All readings, in order.
    pub fn pairs(&self) -> &[ClockPair] {
        &self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(readings: &[(u64, i64)]) -> ClockMap {
        ClockMap::new(
            readings.iter().map(|&(boot, real)| ClockPair { boot: BootNanos(boot), real }).collect(),
        )
    }

    #[test]
    fn a_time_that_was_shown_leads_back_to_where_it_was_shown() {
        // Drift by a nanosecond, and a step of 50 ahead.
        let map = map(&[(1_000, 5_000), (1_100, 5_101), (1_200, 5_251)]);
        for boot in 990..1_300 {
            let real = map.real(BootNanos(boot)).expect("a reading");
            assert_eq!(map.boot(real), Some(BootNanos(boot)), "{boot} is {real}");
        }
        // Times that the clock leapt over lie nowhere; something near has to do.
        assert!(map.boot(5_225).is_some_and(|at| (1_150..1_250).contains(&at.0)));
    }

    #[test]
    fn where_the_clock_was_set_back_the_first_moment_counts() {
        let map = map(&[(1_000, 5_000), (1_100, 5_050)]);
        assert_eq!(map.boot(5_060), Some(BootNanos(1_060)));
        assert_eq!(map.real(BootNanos(1_110)), Some(5_060));
    }
}
