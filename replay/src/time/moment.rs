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
    /// From here, what is at this moment included: RFC 3339, `12:03:11.5`, `3m ago`, `+19s` (or `+19.25`) after the start, `-5s` before
    /// the end, `alert:1-30s`, `mark:a`
    #[arg(short, long, value_name = MOMENT, allow_hyphen_values = true)]
    pub begin: Option<String>,
    /// To here, what is at this moment left out, so that ranges which meet have nothing in common; written like --begin,
    /// and `end` is behind all
    #[arg(short, long, value_name = MOMENT, allow_hyphen_values = true)]
    pub end: Option<String>,
    /// Show and read clock times in the local time zone instead of UTC
    #[arg(long)]
    pub local: bool,
}

/// A range of boot time; both ends inclusive, open where absent. What users write has its end excluded:
/// [`RangeArgs::span`] makes the one of the other.
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

/// Nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

impl Frame<'_> {
    /// The date of a moment, as it is shown.
    fn day(&self, at: BootNanos) -> Option<String> {
        self.clock.full(at).and_then(|text| text.as_str().get(..10).map(str::to_owned))
    }
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
        let resolve = |text: &str| moment(text, frame, named);
        let begin = self.begin.as_deref().map(resolve).transpose()?;
        // A time of the day is looked for behind the begin: `-b 23:30 -e 00:30` goes over midnight.
        let goes_over = begin.is_some_and(|begin| frame.day(begin) != frame.day(frame.end));
        let end = shifted(frame.end, if goes_over { DAY } else { 0 });
        let behind = Frame { start: begin.unwrap_or(frame.start), end, ..frame.clone() };
        let until = self.end.as_deref().map(|text| moment(text, frame, named)).transpose()?;
        let until = match (begin, until, self.end.as_deref().and_then(Moment::read)) {
            (Some(begin), Some(until), Some(clock @ Moment::Clock { .. })) if until <= begin => {
                Some(clock.resolve(&behind)?)
            }
            _ => until,
        };
        // `end` is behind all, also behind what comes after a container's first process has ended: nothing is cut there.
        let until = until.filter(|_| self.end.as_deref().is_none_or(|text| text.trim() != "end"));
        match (begin, until) {
            (Some(begin), Some(until)) if until < begin => {
                return Err(backwards(frame, begin, until));
            }
            // Both lie before the machine was started, where boot time has no moments: nothing was recorded then.
            (Some(BootNanos(0)), Some(BootNanos(0))) if self.begin != self.end => {
                return Ok(Span { begin: Some(BootNanos(0)), end: Some(BootNanos(0)) });
            }
            (Some(begin), Some(until)) if until == begin => {
                return Err(Failure::Usage(
                    "--begin and --end are the same moment, and what is at --end is left out".to_owned(),
                ));
            }
            _ => {}
        }
        Ok(Span { begin, end: until.map(|until| BootNanos(until.0.saturating_sub(1))) })
    }
}

impl RangeArgs {
    /// For people: which day was meant by a time of the day, where the recording is of several.
    pub fn days(&self, frame: &Frame<'_>, span: Span) -> Vec<String> {
        if frame.day(frame.start) == frame.day(frame.end) {
            return Vec::new();
        }
        let until = span.end.map(|end| BootNanos(end.0.saturating_add(1)));
        let ends = [(&self.begin, span.begin), (&self.end, until)];
        let written = ends.into_iter().filter_map(|(text, at)| Some((text.as_deref()?, at?)));
        let clocks =
            written.filter(|(text, _)| matches!(Moment::read(text.trim()), Some(Moment::Clock { .. })));
        let told = clocks.filter_map(|(text, at)| {
            let full = frame.clock.full(at)?;
            let zone = frame.clock.zone_word();
            Some(format!("`{}` is {full} {zone}; write the date for another day", defused(text)))
        });
        told.collect()
    }
}

/// A moment as written, in boot time; `named` knows those that have names.
///
/// # Errors
/// A moment that cannot be read, or a name that nothing has; wall-clock time in a recording without a clock reading.
pub(crate) fn moment(
    text: &str,
    frame: &Frame<'_>,
    named: &dyn Fn(&Named<'_>) -> Result<BootNanos, Failure>,
) -> Result<BootNanos, Failure> {
    match Named::parse(text) {
        Some(name) => named(&name),
        None => Moment::parse(text)?.resolve(frame),
    }
}

/// A moment as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// A point in wall-clock time, nanoseconds since 1970.
    Real(i64),
    /// Date and time in the shown zone.
    Civil(DateTime),
    /// A time of the day in the shown zone, or in UTC where `utc`: its first occurrence not before the start's day.
    Clock {
        /// The time.
        time: Time,
        /// It was written with a `Z`.
        utc: bool,
    },
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
            return shift(rest).map(Self::Start);
        }
        if let Some(rest) = text.strip_prefix("end") {
            return shift(rest).map(Self::End);
        }
        if text.starts_with('+') {
            return shift(text).map(Self::Start);
        }
        if text.starts_with('-') {
            return shift(text).map(Self::End);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return i64::try_from(time.as_nanosecond()).ok().map(Self::Real);
        }
        // The date first: a time of the day is read out of a text that has one too.
        let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
        civil.ok().map(Self::Civil).or_else(|| clock(text))
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
            Self::Clock { time, utc } => first_occurrence(*time, *utc, frame),
        };
        real.and_then(|real| frame.clock.map().boot(real)).ok_or_else(|| {
            Failure::Usage(
                "the recording has no clock reading for this time; write it as `+19s` after the start"
                    .to_owned(),
            )
        })
    }
}

/// `12:03:11.5`, also `9:03` and `12:03:11Z`.
fn clock(text: &str) -> Option<Moment> {
    let (text, utc) = text.strip_suffix('Z').map_or((text, false), |text| (text, true));
    let is_short = text.find(':') == Some(1);
    let time = if is_short { format!("0{text}").parse::<Time>() } else { text.parse::<Time>() };
    time.ok().filter(|_| text.contains(':') || !utc).map(|time| Moment::Clock { time, utc })
}

/// As [`signed`]; a number alone is seconds, as offsets are printed.
pub(super) fn shift(text: &str) -> Option<i128> {
    let is_number = text.len() > 1 && text[1..].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    signed(text).or_else(|| signed(&format!("{text}s")).filter(|_| is_number))
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

/// An end before its begin, with what they were read as: a time of the day may have been meant of another day.
fn backwards(frame: &Frame<'_>, begin: BootNanos, until: BootNanos) -> Failure {
    let read = frame.clock.full(until).zip(frame.clock.full(begin));
    Failure::Usage(match read {
        Some((until, begin)) => {
            format!(
                "--end lies before --begin: {until} before {begin}; swap them, or write the date with the time"
            )
        }
        None => "--end lies before --begin; swap them".to_owned(),
    })
}

/// The time of the day on the day of the start; on the next day when that day's lies before the start and the
/// next one's not after the end.
fn first_occurrence(time: Time, utc: bool, frame: &Frame<'_>) -> Option<i64> {
    let zone = if utc { &TimeZone::UTC } else { frame.clock.zone() };
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
        check("2026-11-22 11:58:12", 86_410.0);
        check("2026-11-22", 43_318.0);
        check("11:58:12", 10.0);
        check("11:58:12.25", 10.25);
        check("12:03", 298.0);
        check("11:58:12Z", 10.0);
        check("+19", 19.0);
        check("+0.235824", 0.235_824);
        check("end-2", 43_198.0);
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
        assert_eq!(resolve_in("0:00:00", 13).expect("a moment"), 43_318_000_000_000);
    }

    #[test]
    fn an_end_whose_time_of_the_day_is_before_the_begins_is_on_the_next_day() {
        let map = ClockMap::new(vec![ClockPair { boot: BootNanos(1_000_000_000_000), real: START }]);
        let clock = Clock::new(&map, false);
        let (start, end) =
            (BootNanos(1_000_000_000_000), BootNanos(1_000_000_000_000 + 72 * 3_600_000_000_000));
        let frame = Frame { clock: &clock, start, end, now: START };
        let nobody = |_: &Named<'_>| Err(Failure::Usage("none".to_owned()));
        let range = |begin: &str, end: &str| RangeArgs {
            begin: Some(begin.to_owned()),
            end: Some(end.to_owned()),
            local: false,
        };
        let over = range("23:30", "00:30");
        let span = over.span(&frame, &nobody).expect("a range");
        let full = |at: Option<BootNanos>| clock.full(at.expect("an end")).expect("a reading").into_string();
        assert_eq!(full(span.begin), "2026-11-21 23:30:00.000");
        assert_eq!(full(span.end), "2026-11-22 00:29:59.999", "the end itself is left out");
        let days = over.days(&frame, span);
        assert_eq!(days[1], "`00:30` is 2026-11-22 00:30:00.000 UTC; write the date for another day");
        let later = range("2026-11-22 23:30", "00:30").span(&frame, &nobody).expect("a range");
        assert_eq!(full(later.end), "2026-11-23 00:29:59.999");
        assert!(range("+2s", "+1s").span(&frame, &nobody).is_err());
        let same = range("+1s", "+1s").span(&frame, &nobody).expect_err("nothing lies between").to_string();
        assert!(same.contains("same moment"), "{same}");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "yesterday", "+", "25:00", "end2s", "2026-13-01", "ago", "+5x", "+.", "12Z"] {
            assert_eq!(resolve(text).expect_err(text).exit().code(), 2, "{text}");
        }
    }
}
