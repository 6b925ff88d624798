//! Moments as the screens show them: since the container's start, UTC, local, or since the row before.

use afterimage_format::{BootNanos, ClockMap};
use afterimage_model::text::Safe;

use crate::{
    time::{Clock, offset},
    tui::text::safe,
};

/// How times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeStyle {
    Start,
    Utc,
    Local,
    Delta,
}

impl TimeStyle {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Start => Self::Utc,
            Self::Utc => Self::Local,
            Self::Local => Self::Delta,
            Self::Delta => Self::Start,
        }
    }

    /// The heading of a column of such times.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Start => "TIME",
            Self::Utc => "UTC",
            Self::Local => "LOCAL",
            Self::Delta => "DELTA",
        }
    }
}

/// Both clocks of a recording.
#[derive(Debug, Clone)]
pub(crate) struct Clocks {
    utc: Clock,
    local: Clock,
}

impl Clocks {
    pub(crate) fn new(map: &ClockMap) -> Self {
        Self { utc: Clock::new(map, false), local: Clock::new(map, true) }
    }

    /// The clock that people mean when they type a time in this style.
    pub(crate) fn typed(&self, style: TimeStyle) -> &Clock {
        if style == TimeStyle::Local { &self.local } else { &self.utc }
    }

    /// Time of the day to the millisecond, with the zone's word; the boot time where there is no clock reading.
    pub(crate) fn day_time(&self, style: TimeStyle, at: BootNanos) -> Safe {
        let clock = self.typed(style);
        match clock.clock(at) {
            Some(time) => {
                let short = time.as_str().get(..12).unwrap_or(time.as_str());
                safe!("{short} {}", if style == TimeStyle::Local { "local" } else { "UTC" })
            }
            None => safe!("boot {}", offset(i128::from(at.0))),
        }
    }

    /// Date and time to the second.
    pub(crate) fn date_time(&self, style: TimeStyle, at: BootNanos) -> Option<Safe> {
        let full = self.typed(style).full(at)?;
        Some(safe!("{}", full.as_str().get(..19).unwrap_or(full.as_str())))
    }

    /// The whole moment, for files and commands.
    pub(crate) fn rfc3339(&self, at: BootNanos) -> Safe {
        self.utc.rfc3339(at).unwrap_or_else(|| safe!("boot{}", offset(i128::from(at.0))))
    }

    /// `at` in a column: since `start`, as a time of the day, or since `before`.
    pub(crate) fn column(
        &self,
        style: TimeStyle,
        at: BootNanos,
        start: BootNanos,
        before: Option<BootNanos>,
    ) -> Safe {
        let since = |from: BootNanos| safe!("{}", offset(i128::from(at.0) - i128::from(from.0)));
        match style {
            TimeStyle::Start => since(start),
            TimeStyle::Delta => since(before.unwrap_or(at)),
            TimeStyle::Utc => self.utc.clock(at).unwrap_or_else(|| since(start)),
            TimeStyle::Local => self.local.clock(at).unwrap_or_else(|| since(start)),
        }
    }

    /// Columns that times of a life of `length` nanoseconds take.
    pub(crate) fn width(style: TimeStyle, length: u64) -> u16 {
        match style {
            TimeStyle::Utc | TimeStyle::Local => 15,
            TimeStyle::Start | TimeStyle::Delta => {
                let digits = (length / 1_000_000_000).max(1).ilog10() + 1;
                u16::try_from(digits).unwrap_or(20).max(2) + 8
            }
        }
    }
}

/// `+19.292 s`: an offset for headings.
pub(crate) fn since(at: BootNanos, start: BootNanos) -> Safe {
    let nanos = i128::from(at.0) - i128::from(start.0);
    let text = offset(nanos);
    safe!("{}s", text.get(..text.len().saturating_sub(3)).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use afterimage_format::ClockPair;

    use super::*;

    #[test]
    fn every_style_shows_the_same_moment() {
        let map = ClockMap::new(vec![ClockPair { boot: BootNanos(0), real: 1_795_262_301_410_331_902 }]);
        let clocks = Clocks::new(&map);
        let show = |style| {
            clocks.column(style, BootNanos(2_000_000_000), BootNanos(0), Some(BootNanos(1_500_000_000)))
        };
        assert_eq!(show(TimeStyle::Start).as_str(), "+2.000000");
        assert_eq!(show(TimeStyle::Delta).as_str(), "+0.500000");
        assert_eq!(show(TimeStyle::Utc).as_str(), "11:58:23.410331");
        assert_eq!(clocks.day_time(TimeStyle::Utc, BootNanos(0)).as_str(), "11:58:21.410 UTC");
        assert_eq!(since(BootNanos(19_292_101_000), BootNanos(0)).as_str(), "+19.292s");
    }

    #[test]
    fn without_a_clock_reading_the_boot_time_is_named_as_such() {
        let clocks = Clocks::new(&ClockMap::default());
        assert_eq!(clocks.day_time(TimeStyle::Utc, BootNanos(1_000)).as_str(), "boot +0.000001");
    }
}
