//! Boot time shown as wall-clock time, in UTC or the local zone.

use afterimage_format::{BootNanos, ClockMap};
use afterimage_model::text::{Safe, escape};
use jiff::{Timestamp, tz::TimeZone};

/// Shows moments of one recording.
#[derive(Debug, Clone)]
pub struct Clock {
    map: ClockMap,
    zone: TimeZone,
}

impl Clock {
    /// Of a recording with these readings; local time where `local`.
    pub fn new(map: &ClockMap, local: bool) -> Self {
        Self { map: map.clone(), zone: if local { TimeZone::system() } else { TimeZone::UTC } }
    }

    /// The time zone that times are read and shown in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The readings.
    pub fn map(&self) -> &ClockMap {
        &self.map
    }

    /// Wall-clock time for programs: RFC 3339 with nanoseconds, always UTC.
    pub fn rfc3339(&self, at: BootNanos) -> Option<Safe> {
        let time = timestamp(self.map.real(at)?)?;
        Some(made(&time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()))
    }

    /// Wall-clock time for people: date and time to the millisecond.
    pub fn full(&self, at: BootNanos) -> Option<Safe> {
        self.format(at, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// Wall-clock time for people: time of the day to the microsecond.
    pub fn clock(&self, at: BootNanos) -> Option<Safe> {
        self.format(at, "%H:%M:%S%.6f")
    }

    /// The zone's short name for a heading: `UTC` or `local`.
    pub fn zone_word(&self) -> &'static str {
        if self.zone == TimeZone::UTC { "UTC" } else { "local time" }
    }

    fn format(&self, at: BootNanos, format: &str) -> Option<Safe> {
        let time = timestamp(self.map.real(at)?)?.to_zoned(self.zone.clone());
        Some(made(&time.strftime(format).to_string()))
    }
}

fn timestamp(real: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(real)).ok()
}

/// Our own text as [`Safe`].
fn made(text: &str) -> Safe {
    escape(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use afterimage_format::ClockPair;

    use super::*;

    #[test]
    fn boot_time_becomes_utc() {
        let map = ClockMap::new(vec![ClockPair {
            boot: BootNanos(5_000_000_000),
            real: 1_795_262_301_410_331_000,
        }]);
        let clock = Clock::new(&map, false);
        let text = clock.rfc3339(BootNanos(5_000_000_001)).expect("a reading");
        assert_eq!(text.as_str(), "2026-11-21T11:58:21.410331001Z");
        assert_eq!(
            clock.full(BootNanos(6_000_000_000)).expect("a reading").as_str(),
            "2026-11-21 11:58:22.410"
        );
        assert_eq!(Clock::new(&ClockMap::default(), false).full(BootNanos(1)), None);
    }
}
