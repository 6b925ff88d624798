//! A moment as the user writes it: RFC 3339, a clock time, `3m ago`, `+19s`, `-5s`, `start`, `end-2s`.

use afterimage_format::BootNanos;
use clap::Args;
use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::{Clock, Named, duration};
use crate::{failure::Failure, output::terminal::defused};

/// What `--begin` and `--end` take, for their help.
const MOMENT: &str = "TIME";

/// The range of time that a verb looks at.
#[derive(Debug, Clone, Default, Args)]
pub struct RangeArgs {
    /// From here: RFC 3339, `12:03:11.5`, `3m ago`, `+19s` after the start, `-5s` before the end, `alert:1-30s`,
    /// `mark:a`
    #[arg(short, long, value_name = MOMENT, allow_hyphen_values = true)]
    pub begin: Option<String>,
    /// To here, written like --begin
    #[arg(short, long, value_name = MOMENT, allow_hyphen_values = true)]
    pub end: Option<String>,
    /// Show and read clock times in the local time zone instead of UTC
    #[arg(long)]
    pub local: bool,
}

/// A range of boot time; both ends inclusive, open where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub begin: Option<BootNanos>,
    /// To.
    pub end: Option<BootNanos>,
}

impl Span {
    /// Whether `at` is in it.
    pub fn contains(&self, at: BootNanos) -> bool {
        self.begin.is_none_or(|b| b <= at) && self.end.is_none_or(|e| at <= e)
    }

    /// Whether any of `from..=to` is in it.
    pub fn overlaps(&self, from: BootNanos, to: BootNanos) -> bool {
        self.begin.is_none_or(|b| b <= to) && self.end.is_none_or(|e| from <= e)
    }
}

/// What moments refer to: a container's or a recording's own start and end, and its clock.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// Boot time to wall clock and zone.
    pub clock: &'a Clock,
    /// `start` and `+`.
    pub start: BootNanos,
    /// `end` and `-`.
    pub end: BootNanos,
    /// Wall clock now, for `ago`; nanoseconds since 1970.
    pub now: i64,
}

impl RangeArgs {
    /// The range in boot time; `named` knows the moments that have names.
    ///
    /// # Errors
    /// A moment that cannot be read, or a name that nothing has; wall-clock time in a recording without a clock
    /// reading; an end before the begin.
    pub fn span(
        &self,
        frame: &Frame<'_>,
        named: &dyn Fn(&Named<'_>) -> Result<BootNanos, Failure>,
    ) -> Result<Span, Failure> {
        let moment = |text: &str| match Named::parse(text) {
            Some(name) => named(&name),
            None => Moment::parse(text)?.resolve(frame),
        };
        let resolve = |text: &Option<String>| text.as_deref().map(moment).transpose();
        let span = Span { begin: resolve(&self.begin)?, end: resolve(&self.end)? };
        match (span.begin, span.end) {
            (Some(begin), Some(end)) if end < begin => {
                Err(Failure::Usage("--end lies before --begin; swap them".to_owned()))
            }
            _ => Ok(span),
        }
    }
}

/// A moment as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// A point in wall-clock time, nanoseconds since 1970.
    Real(i64),
    /// Date and time in the shown zone.
    Civil(DateTime),
    /// A time of the day in the shown zone: its first occurrence not before the start's day.
    Clock(Time),
    /// Before now.
    Ago(u64),
    /// After the start.
    Start(i128),
    /// After the end (negative: before).
    End(i128),
}

impl Moment {
    /// Reads a moment.
    ///
    /// # Errors
    /// Text that is none.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let trimmed = text.trim();
        Self::read(trimmed).ok_or_else(|| {
            Failure::Usage(format!(
                "`{}` is no moment; write `2026-11-21T12:03:11Z`, `12:03:11.5`, `3m ago`, `+19s`, `-5s`, `start`, \
                 `end-2s`, `alert:1` or `mark:a`",
                defused(text)
            ))
        })
    }

    fn read(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_suffix("ago") {
            return duration::parse(rest).map(Self::Ago);
        }
        if let Some(rest) = text.strip_prefix("start") {
            return signed(rest).map(Self::Start);
        }
        if let Some(rest) = text.strip_prefix("end") {
            return signed(rest).map(Self::End);
        }
        if text.starts_with('+') {
            return signed(text).map(Self::Start);
        }
        if text.starts_with('-') {
            return signed(text).map(Self::End);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return i64::try_from(time.as_nanosecond()).ok().map(Self::Real);
        }
        if let Ok(time) = text.parse::<Time>() {
            return Some(Self::Clock(time));
        }
        let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
        civil.ok().map(Self::Civil)
    }

    /// The moment in boot time.
    ///
    /// # Errors
    /// Wall-clock time in a recording without a clock reading.
    pub fn resolve(&self, frame: &Frame<'_>) -> Result<BootNanos, Failure> {
        let real = match self {
            Self::Start(offset) => return Ok(shifted(frame.start, *offset)),
            Self::End(offset) => return Ok(shifted(frame.end, *offset)),
            Self::Real(real) => Some(*real),
            Self::Ago(nanos) => frame.now.checked_sub_unsigned(*nanos),
            Self::Civil(civil) => nanos(*civil, frame.clock.zone()),
            Self::Clock(time) => first_occurrence(*time, frame),
        };
        real.and_then(|real| frame.clock.map().boot(real)).ok_or_else(|| {
            Failure::Usage(
                "the recording has no clock reading for this time; write it as `+19s` after the start"
                    .to_owned(),
            )
        })
    }
}

/// `+1s`, `-1s`, or nothing for 0.
pub(super) fn signed(text: &str) -> Option<i128> {
    match text.split_at_checked(1) {
        None => Some(0),
        Some(("+", rest)) => duration::parse(rest).map(i128::from),
        Some(("-", rest)) => duration::parse(rest).map(|n| -i128::from(n)),
        Some(_) => None,
    }
}

pub(crate) fn shifted(at: BootNanos, by: i128) -> BootNanos {
    let moved = (i128::from(at.0) + by).clamp(0, i128::from(u64::MAX));
    BootNanos(u64::try_from(moved).unwrap_or(u64::MAX))
}

fn nanos(civil: DateTime, zone: &TimeZone) -> Option<i64> {
    let zoned = civil.to_zoned(zone.clone()).ok()?;
    i64::try_from(zoned.timestamp().as_nanosecond()).ok()
}

/// The time of the day on the day of the start; on the next day when that day's lies before the start and the
/// next one's not after the end.
fn first_occurrence(time: Time, frame: &Frame<'_>) -> Option<i64> {
    let zone = frame.clock.zone();
    let start = frame.clock.map().real(frame.start)?;
    let end = frame.clock.map().real(frame.end)?;
    let day = Timestamp::from_nanosecond(i128::from(start)).ok()?.to_zoned(zone.clone()).date();
    let same = nanos(day.to_datetime(time), zone)?;
    let next = nanos(day.checked_add(1.day()).ok()?.to_datetime(time), zone)?;
    Some(if same < start && next <= end { next } else { same })
}

#[cfg(test)]
mod tests {
    use afterimage_format::{ClockMap, ClockPair};

    use super::*;

    /// 2026-11-21T11:58:02Z.
    const START: i64 = 1_795_262_282_000_000_000;

    fn resolve(text: &str) -> Result<i64, Failure> {
        resolve_in(text, 12)
    }

    /// Nanoseconds after the start of a recording of this many hours.
    fn resolve_in(text: &str, hours: u64) -> Result<i64, Failure> {
        let map = ClockMap::new(vec![ClockPair { boot: BootNanos(1_000_000_000_000), real: START }]);
        let clock = Clock::new(&map, false);
        let frame = Frame {
            clock: &clock,
            start: BootNanos(1_000_000_000_000),
            end: BootNanos(1_000_000_000_000 + hours * 3_600_000_000_000),
            now: START + 600_000_000_000,
        };
        let at = Moment::parse(text)?.resolve(&frame)?;
        Ok((i128::from(at.0) - 1_000_000_000_000) as i64)
    }

    #[test]
    fn every_way_to_write_a_moment_is_resolved() {
        let check = |text: &str, seconds: f64| {
            let found = resolve(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(found, (seconds * 1e9) as i64, "{text}");
        };
        check("2026-11-21T11:58:03.5Z", 1.5);
        check("2026-11-21T12:58:03.5+01:00", 1.5);
        check("2026-11-21 11:58:12", 10.0);
        check("2026-11-22", 43_318.0);
        check("11:58:12", 10.0);
        check("11:58:12.25", 10.25);
        check("12:03", 298.0);
        check("3m ago", 420.0);
        check("+19s", 19.0);
        check("-2h", 36_000.0);
        check("start", 0.0);
        check("start+1s", 1.0);
        check("end-1h", 39_600.0);
        check("end", 43_200.0);
    }

    #[test]
    fn clock_time_before_the_start_is_the_next_day_where_that_is_recorded() {
        assert_eq!(resolve_in("00:00", 13).expect("a moment"), 43_318_000_000_000);
        assert_eq!(resolve_in("11:58", 12).expect("a moment"), -2_000_000_000);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "yesterday", "+", "25:00", "end2s", "2026-13-01", "ago", "+5"] {
            assert_eq!(resolve(text).expect_err(text).exit().code(), 2, "{text}");
        }
    }
}
