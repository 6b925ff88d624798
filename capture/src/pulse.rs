//! Whether the programs still run: the recorder's own calls are counted by them, and it makes some all the time.

use afterimage_format::{BootNanos, Loss, LossCause};

/// Looks no more often than this. Nanoseconds.
const PERIOD: u64 = 1_000_000_000;

/// The count of the recorder's own calls as last seen.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    own: u64,
    seen: BootNanos,
    /// Nothing has been counted since `seen`.
    told: bool,
}

impl Pulse {
    /// Begins at `now`.
    pub fn new(now: BootNanos) -> Self {
        Self { own: 0, seen: now, told: false }
    }

    /// Takes a later count; tells of a gap once when it begins and once more when it has ended.
    pub fn look(&mut self, now: BootNanos, own: u64) -> Option<Loss> {
        let gap = |from| Loss {
            container: None,
            cause: LossCause::Detached,
            cpu: None,
            from,
            to: now,
            count: None,
        };
        if own != self.own {
            let ended = self.told.then(|| gap(self.seen));
            *self = Self { own, seen: now, told: false };
            return ended;
        }
        if self.told || now.0.saturating_sub(self.seen.0) < PERIOD {
            return None;
        }
        self.told = true;
        Some(gap(self.seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_stands_still_is_a_gap_with_a_beginning_and_an_end() {
        let mut pulse = Pulse::new(BootNanos(0));
        let second = |n: u64| BootNanos(n * PERIOD);
        assert_eq!(pulse.look(second(1), 5), None);
        assert_eq!(pulse.look(BootNanos(PERIOD + 5), 5), None, "not long enough to tell");
        let gap = pulse.look(second(3), 5).unwrap();
        assert_eq!(
            (gap.cause, gap.from, gap.to, gap.count),
            (LossCause::Detached, second(1), second(3), None)
        );
        assert_eq!(pulse.look(second(4), 5), None, "told");
        let gap = pulse.look(second(9), 6).unwrap();
        assert_eq!((gap.from, gap.to), (second(1), second(9)));
        assert_eq!(pulse.look(second(10), 7), None);
    }
}
