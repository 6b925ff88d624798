//! Moments and lengths of time as a filter writes them.
//!
//! A length is one or more numbers with units (`1m30s`, `1.5s`); a moment is a base (`start`, `end`, a clock time,
//! RFC 3339, a date, a date and a time in UTC, `alert:2`, `mark:a`) and an offset from it. `+19s` alone counts from the
//! container's start, `-5s` from the recording's end. An offset that is a number alone is seconds, as offsets are printed, but
//! behind a date or a time, where it could be a part of these. There is no `now`: a filter means the same whenever it is asked.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::ast::Span;

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instant {
    /// From what.
    pub base: Base,
    /// How much later (or, negative, earlier), nanoseconds.
    pub offset: i64,
    /// Where it stands.
    pub span: Span,
}

/// What a moment is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nanoseconds since 1970 UTC.
    Utc(i64),
    /// A time of day, nanoseconds since midnight UTC: the first such moment not before the recording's start.
    Clock(u64),
    /// The container's start.
    Start,
    /// The container's end, or the recording's.
    End,
    /// An alert by its number, from 1.
    Alert(u32),
    /// A mark by its letter.
    Mark(char),
}

/// Length units, the longest first: the order in which [`print_duration`] tries them.
const UNITS: [(&str, u64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of sizes.
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
];

/// Reads a length of time; `None` when it is not one or too long for 64 bits.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, tail) = number_with_unit(rest, &UNITS)?;
        total = total.checked_add(nanos)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Reads a number with an optional unit of time or size; without one it is the number itself.
pub fn parse_quantity(text: &str) -> Option<u64> {
    parse_duration(text).or_else(|| {
        let (value, rest) = number_with_unit(text, &SIZES)?;
        rest.is_empty().then_some(value)
    })
}

/// Splits off `12.5ms`: its value, and what follows.
fn number_with_unit<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(u64, &'t str)> {
    let whole_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let whole: u64 = text.get(..whole_len)?.parse().ok()?;
    let mut rest = &text[whole_len..];
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let len = after.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            return None;
        }
        (fraction, rest) = after.split_at(len);
    }
    let unit_len = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (unit, rest) = rest.split_at(unit_len);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    let mut value = whole.checked_mul(*scale)?;
    let mut digit_scale = *scale;
    for digit in fraction.bytes() {
        digit_scale /= 10;
        value = value.checked_add(u64::from(digit - b'0') * digit_scale)?;
    }
    Some((value, rest))
}

/// Writes a length of time in the longest unit that says it exactly.
pub fn print_duration(nanos: u64) -> String {
    let (unit, scale) =
        UNITS.iter().find(|(_, scale)| nanos != 0 && nanos.is_multiple_of(*scale)).unwrap_or(&("ns", 1));
    format!("{}{unit}", nanos / scale)
}

impl Instant {
    /// Reads a moment; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(base) = Base::parse(text) {
            return Some(Self { base, offset: 0, span: Span::default() });
        }
        let at = text.rfind(['+', '-'])?;
        let (head, tail) = text.split_at(at);
        let (sign, default) = if tail.starts_with('+') { (1, Base::Start) } else { (-1, Base::End) };
        let base = if head.is_empty() { default } else { Base::parse(head)? };
        let bare = || (!base.is_clock()).then(|| parse_duration(&format!("{}s", &tail[1..]))).flatten();
        let offset = sign * i64::try_from(parse_duration(&tail[1..]).or_else(bare)?).ok()?;
        Some(Self { base, offset, span: Span::default() })
    }
}

impl Base {
    /// Whether it is written in digits itself.
    fn is_clock(self) -> bool {
        matches!(self, Self::Utc(_) | Self::Clock(_))
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "start" => return Some(Self::Start),
            "end" => return Some(Self::End),
            _ => {}
        }
        if let Some(number) = text.strip_prefix("alert:") {
            return number.parse().ok().map(Self::Alert);
        }
        if let Some(letter) = text.strip_prefix("mark:") {
            let mut chars = letter.chars();
            let mark = chars.next().filter(char::is_ascii_alphabetic)?;
            return chars.next().is_none().then_some(Self::Mark(mark));
        }
        if let Some(clock) = parse_clock(text) {
            return Some(Self::Clock(clock));
        }
        let stamp = text.parse().ok().or_else(|| in_utc(text))?;
        i64::try_from(stamp.as_nanosecond()).ok().map(Self::Utc)
    }
}

/// A date, or a date and a time without a zone.
fn in_utc(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok().or_else(|| text.parse().ok().map(Date::into))?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Whether a text is a date alone: a time of day may follow.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == "2026-11-22".len() && text.parse::<Date>().is_ok()
}

/// Reads `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`: nanoseconds since midnight.
fn parse_clock(text: &str) -> Option<u64> {
    let two = |part: &str, below: u64| -> Option<u64> {
        let value = part.parse().ok().filter(|v| *v < below)?;
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then_some(value)
    };
    let mut parts = text.splitn(3, ':');
    let hours = two(parts.next()?, 24)?;
    let minutes = two(parts.next()?, 60)?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(rest) => {
            let (whole, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
            if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let scale = 10u64.pow(9 - u32::try_from(fraction.len()).ok()?);
            (two(whole, 60)?, fraction.parse::<u64>().ok()? * scale)
        }
    };
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + fraction)
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Utc(nanos) => match Timestamp::from_nanosecond(i128::from(*nanos)) {
                Ok(stamp) => write!(f, "{stamp:.9}"),
                Err(_) => write!(f, "{nanos}"),
            },
            Self::Clock(nanos) => {
                let seconds = nanos / 1_000_000_000;
                let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                write!(f, "{h:02}:{m:02}:{s:02}.{:09}", nanos % 1_000_000_000)
            }
            Self::Start => f.write_str("start"),
            Self::End => f.write_str("end"),
            Self::Alert(number) => write!(f, "alert:{number}"),
            Self::Mark(letter) => write!(f, "mark:{letter}"),
        }
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.base.fmt(f)?;
        if self.offset != 0 {
            let sign = if self.offset < 0 { '-' } else { '+' };
            write!(f, "{sign}{}", print_duration(self.offset.unsigned_abs()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_all_units() {
        for (text, nanos) in [
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            ("250ms", 250_000_000),
            ("7us", 7_000),
            ("0ns", 0),
            ("2d", 172_800_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in ["", "5", "s", "5 s", "5x", "1.s", "99999999999999999999s", "300000000000d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_quantity("4Ki"), Some(4096));
        assert_eq!(parse_quantity("1.5M"), Some(1_500_000));
    }

    #[test]
    fn moments_have_a_base_and_an_offset() {
        let at = |text: &str| Instant::parse(text).map(|i| (i.base, i.offset));
        assert_eq!(at("+19s"), Some((Base::Start, 19_000_000_000)));
        assert_eq!(at("-5s"), Some((Base::End, -5_000_000_000)));
        assert_eq!(at("alert:1-30s"), Some((Base::Alert(1), -30_000_000_000)));
        assert_eq!(at("mark:a"), Some((Base::Mark('a'), 0)));
        assert_eq!(at("12:03:11.5"), Some((Base::Clock(43_391_500_000_000), 0)));
        assert_eq!(at("1970-01-01T00:00:01Z"), Some((Base::Utc(1_000_000_000), 0)));
        assert_eq!(at("1970-01-01T01:00:01+01:00"), Some((Base::Utc(1_000_000_000), 0)));
        assert_eq!(at("1970-01-01T00:00:01Z+2s"), Some((Base::Utc(1_000_000_000), 2_000_000_000)));
        assert_eq!(at("1970-01-01T00:00:01"), Some((Base::Utc(1_000_000_000), 0)));
        assert_eq!(at("1970-01-02"), Some((Base::Utc(86_400_000_000_000), 0)));
        assert_eq!(at("1970-01-02-1h"), Some((Base::Utc(86_400_000_000_000), -3_600_000_000_000)));
        assert_eq!(at("+0.235824"), Some((Base::Start, 235_824_000)));
        assert_eq!(at("-5"), Some((Base::End, -5_000_000_000)));
        assert_eq!(at("start+1"), Some((Base::Start, 1_000_000_000)));
        assert_eq!(at("alert:2-30"), Some((Base::Alert(2), -30_000_000_000)));
        assert_eq!(at("mark:a+0"), Some((Base::Mark('a'), 0)));
        assert_eq!(at("end-1w"), Some((Base::End, -604_800_000_000_000)));
        assert!(is_date("2026-11-22") && !is_date("2026-13-22") && !is_date("2026-11-22T00"));
        for text in
            ["", "25:00", "12:60", "soon", "mark:ab", "alert:x", "+", "+.", "+1.", "12:00:00.", "2026-13-01"]
        {
            assert_eq!(at(text), None, "{text}");
        }
        // A zone, a day or a length?
        for text in ["12:03:11+2", "1970-01-02-5", "1970-01-01T00:00:01Z+2"] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
