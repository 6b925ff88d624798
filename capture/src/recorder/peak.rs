//! The most that something was in the last while.

use std::time::{Duration, Instant};

/// What was seen is forgotten after this and twice this.
const WHILE: Duration = Duration::from_secs(10);

/// The largest of the values seen in the last ten to twenty seconds; 0 where there was none.
#[derive(Debug)]
pub(super) struct Peak {
    now: f64,
    before: f64,
    since: Instant,
}

impl Peak {
    pub(super) fn new(at: Instant) -> Self {
        Self { now: 0.0, before: 0.0, since: at }
    }

    /// A value of this moment.
    pub(super) fn see(&mut self, at: Instant, value: f64) {
        let age = at.saturating_duration_since(self.since);
        if age >= WHILE {
            self.before = if age >= WHILE * 2 { 0.0 } else { self.now };
            (self.now, self.since) = (0.0, at);
        }
        self.now = self.now.max(value);
    }

    pub(super) fn most(&self) -> f64 {
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_told_for_a_while_and_then_forgotten() {
        let begin = Instant::now();
        let mut peak = Peak::new(begin);
        assert_eq!(peak.most(), 0.0);
        let mut at = |seconds, value| {
            peak.see(begin + Duration::from_secs(seconds), value);
            peak.most()
        };
        assert_eq!(at(1, 0.25), 0.25);
        assert_eq!(at(2, 0.75), 0.75);
        assert_eq!(at(9, 0.5), 0.75);
        assert_eq!(at(12, 0.125), 0.75, "of the while before");
        assert_eq!(at(23, 0.25), 0.25, "0.75 is long ago");
        assert_eq!(at(60, 0.0), 0.0);
    }
}
