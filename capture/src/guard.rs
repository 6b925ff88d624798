//! Whether something that the recorder owns in the kernel is as it left it: who may use bpf(2) can open its maps by their
//! numbers, and write to those that cannot be frozen.

use afterimage_format::{BootNanos, Loss, LossCause};

use crate::programs::Found;

/// Since when it was good.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    good: BootNanos,
    /// It could not be mended, and a gap was told that goes on.
    open: bool,
}

impl Guard {
    /// Good at `now`.
    pub fn new(now: BootNanos) -> Self {
        Self { good: now, open: false }
    }

    /// Takes a later look, which lasted from one time to the other. Tells of a gap when it is over; of one that cannot be mended
    /// when it is seen first, and once more when it is over.
    pub fn look(&mut self, found: Found, (from, to): (BootNanos, BootNanos)) -> Option<Loss> {
        let gap = self.gap(to);
        if found == Found::Refused {
            return (!std::mem::replace(&mut self.open, true)).then_some(gap);
        }
        let is_over = std::mem::take(&mut self.open) || found == Found::Restored;
        self.good = if is_over { to } else { from };
        is_over.then_some(gap)
    }

    /// The gap that is still there when recording ends.
    pub fn end(&self, now: BootNanos) -> Option<Loss> {
        self.open.then(|| self.gap(now))
    }

    fn gap(&self, to: BootNanos) -> Loss {
        let cause = LossCause::MapsChanged;
        Loss { container: None, cause, cpu: None, from: self.good, to, count: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_reaches_from_the_last_good_look_to_the_mending() {
        let mut guard = Guard::new(BootNanos(10));
        let mut look = |found, from| {
            let gap = guard.look(found, (BootNanos(from), BootNanos(from + 1)));
            gap.map(|gap| (gap.from.0, gap.to.0, gap.count))
        };
        assert_eq!(look(Found::AsLeft, 20), None);
        assert_eq!(look(Found::Restored, 30), Some((20, 31, None)));
        assert_eq!(look(Found::AsLeft, 40), None);
        assert_eq!(look(Found::Refused, 50), Some((40, 51, None)), "told at once");
        assert_eq!(look(Found::Refused, 60), None, "and not every time");
        assert_eq!(look(Found::AsLeft, 70), Some((40, 71, None)), "and when it is over");
        assert_eq!(look(Found::AsLeft, 80), None);
    }

    #[test]
    fn what_cannot_be_mended_is_a_gap_to_the_end() {
        let mut guard = Guard::new(BootNanos(10));
        assert_eq!(guard.end(BootNanos(15)), None);
        guard.look(Found::Refused, (BootNanos(20), BootNanos(21)));
        let gap = guard.end(BootNanos(90)).unwrap();
        assert_eq!((gap.from, gap.to), (BootNanos(10), BootNanos(90)));
    }
}
