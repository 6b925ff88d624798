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

    /// Boot time at wall-clock `real`: the inverse of [`Self::real`] by the reading nearest in wall-clock time.
    pub fn boot(&self, real: i64) -> Option<BootNanos> {
        let pair = self.pairs.iter().min_by_key(|p| p.real.abs_diff(real))?;
        let at = i128::from(pair.boot.0) + i128::from(real) - i128::from(pair.real);
        Some(BootNanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX)))
    }

    /// All readings, in order.
    pub fn pairs(&self) -> &[ClockPair] {
        &self.pairs
    }
}
