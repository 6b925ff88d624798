//! Durations: `1h30m`, `19.5s`, `3d`.

/// Units from large to small.
const UNITS: [(&str, u64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Nanoseconds of a duration: numbers with units, the largest first or not; `None` where it is none.
pub fn parse(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (unit, nanos) = unit(tail)?;
        total = total.checked_add(scaled(number, nanos)?)?;
        rest = tail.get(unit..)?.trim_start();
    }
    Some(total)
}

/// Length of the unit's name at the start of `text`, and its nanoseconds. Long names count as their short ones.
fn unit(text: &str) -> Option<(usize, u64)> {
    let text = text.strip_prefix(' ').map_or((0, text), |t| (1, t));
    let (skipped, text) = text;
    let word = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let name = &text[..word];
    let short = match name {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        other => other,
    };
    let (_, nanos) = UNITS.iter().find(|(u, _)| *u == short)?;
    Some((skipped + word, *nanos))
}

/// `number` times `nanos`, exact for decimal fractions.
fn scaled(number: &str, nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 12 || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(nanos)?;
    if !fraction.is_empty() {
        let part: u128 = fraction.parse().ok()?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(u64::try_from(part * u128::from(nanos) / scale).ok()?)?;
    }
    Some(total)
}

/// A duration in two units at most: `39.4s`, `4m02s`, `2h03m`, `3d4h`.
pub fn human(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    match nanos {
        0..=999 => format!("{nanos}ns"),
        1_000..=999_999 => format!("{}us", nanos / 1_000),
        1_000_000..=999_999_999 => format!("{}ms", nanos / 1_000_000),
        _ if seconds < 60 => format!("{}.{}s", seconds, nanos / 100_000_000 % 10),
        _ if seconds < 3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// An offset with sign and microseconds: `+19.292101`.
pub fn offset(nanos: i128) -> String {
    let sign = if nanos < 0 { '-' } else { '+' };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:06}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        let check = |text, expected: Option<u64>| assert_eq!(parse(text), expected, "{text}");
        check("19s", Some(19_000_000_000));
        check("19.000000001s", Some(19_000_000_001));
        check("1h30m", Some(5_400_000_000_000));
        check("1h 30m", Some(5_400_000_000_000));
        check("3 minutes", Some(180_000_000_000));
        check("2d", Some(172_800_000_000_000));
        check("500ms", Some(500_000_000));
        check(".5s", Some(500_000_000));
        for bad in ["", "s", "5", "5x", "-5s", "1.2.3s", ".s", "99999999999999999999s", "999999999w"] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_are_shown_in_two_units() {
        let check = |nanos, expected: &str| assert_eq!(human(nanos), expected);
        check(0, "0ns");
        check(1_500, "1us");
        check(39_480_000_000, "39.4s");
        check(242_000_000_000, "4m02s");
        check(7_380_000_000_000, "2h03m");
        check(273_600_000_000_000, "3d4h");
        assert_eq!(offset(-1_500_000), "-0.001500");
        assert_eq!(offset(19_292_101_999), "+19.292101");
    }
}
