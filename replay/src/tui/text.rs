//! Safe text cut to columns, and numbers in words: the same everywhere on the screen.

use afterimage_model::{symbols::capabilities, text::Safe};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Text that may be drawn: escaped, or our own.
pub(crate) trait Shown {
    fn shown(&self) -> &str;
}

impl Shown for &Safe {
    fn shown(&self) -> &str {
        self.as_str()
    }
}

impl Shown for &'static str {
    fn shown(&self) -> &str {
        self
    }
}

/// Builds safe text as `format!` does a `String`.
macro_rules! safe {
    ($($args:tt)*) => { afterimage_model::text::Safe::format(format_args!($($args)*)) };
}
pub(crate) use safe;

/// Capabilities by name: what a process with nearly all has not is told, not what it has.
pub(crate) fn capabilities_held(bits: u64) -> Safe {
    /// All that kernels know, `CAP_CHOWN` to `CAP_CHECKPOINT_RESTORE`.
    const ALL: u64 = (1 << 41) - 1;
    /// Missing ones that are named at most.
    const FEW: u32 = 12;
    let missing = ALL & !bits;
    match missing.count_ones() {
        0 => Safe::literal("all"),
        1..=FEW => safe!("all but {}", capabilities(missing).replace('|', " ")),
        _ => safe!("{}", capabilities(bits).replace('|', " ")),
    }
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text in pieces of at most so many cells, cut at spaces where there are any.
pub(crate) fn wrapped(text: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let part = head(rest, width);
        let cut = part.rfind(' ').filter(|at| part.len() < rest.len() && *at > 0).unwrap_or(part.len());
        let (part, behind) = rest.split_at_checked(cut)?;
        rest = behind.trim_start();
        (!part.is_empty()).then_some(part)
    })
}

/// The longest beginning of `text` that takes at most `columns`.
pub(crate) fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return text.get(..at).unwrap_or("");
        }
    }
    text
}

/// The longest end of `text` that takes at most `columns`.
fn tail(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return text.get(at + c.len_utf8()..).unwrap_or("");
        }
    }
    text
}

/// `text` in at most `columns`, its middle cut.
pub(crate) fn fit_middle(text: &str, columns: usize, mark: &'static str) -> Safe {
    if width(text) <= columns {
        return safe!("{text}");
    }
    let room = columns.saturating_sub(width(mark));
    let left = room / 3;
    safe!("{}{mark}{}", head(text, left), tail(text, room - left))
}

/// `text` in at most `columns`, its end cut and marked by `mark` where it is longer.
pub(crate) fn fit(text: &str, columns: usize, mark: &'static str) -> Safe {
    if width(text) <= columns {
        return safe!("{text}");
    }
    safe!("{}{mark}", head(text, columns.saturating_sub(width(mark))))
}

/// `184201` as `184,201`.
pub(crate) fn grouped(number: u64) -> Safe {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    safe!("{out}")
}

/// `1 call`, `2 calls`.
pub(crate) fn counted(number: u64, one: &'static str) -> Safe {
    safe!("{} {one}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A count in at most five columns: `184k`, `9.1M`.
pub(crate) fn short_count(number: u64) -> Safe {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    if number < 10_000 {
        return safe!("{number}");
    }
    let (unit, name) = UNITS.iter().find(|(unit, _)| number >= *unit).copied().unwrap_or((1, ""));
    if number / unit >= 100 {
        safe!("{}{name}", number / unit)
    } else {
        safe!("{}.{}{name}", number / unit, number % unit * 10 / unit)
    }
}

/// Bytes with a binary unit: `1.2 GiB`.
pub(crate) fn bytes(number: u64) -> Safe {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return safe!("{number} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(number) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    safe!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_and_nearly_all_are_told_by_what_is_missing() {
        assert_eq!(capabilities_held(0).as_str(), "none");
        assert_eq!(capabilities_held(0x1ff_ffff_ffff).as_str(), "all");
        assert_eq!(capabilities_held(0x1ff_feff_ffff).as_str(), "all but CAP_SYS_RESOURCE");
        assert_eq!(capabilities_held(1 << 13 | 1 << 21).as_str(), "CAP_NET_RAW CAP_SYS_ADMIN");
    }

    #[test]
    fn cuts_by_columns_and_says_so() {
        assert_eq!(fit("abcdef", 6, "…").as_str(), "abcdef");
        assert_eq!(fit("abcdef", 4, "…").as_str(), "abc…");
        assert_eq!(fit("日本語", 5, "…").as_str(), "日本…");
        assert_eq!(fit("日本語", 4, "…").as_str(), "日…");
        assert_eq!(fit("ab", 0, "…").as_str(), "…");
        assert_eq!(fit_middle("/very/long/path/name.txt", 12, "…").as_str(), "/ve…name.txt");
    }

    #[test]
    fn numbers_and_sizes() {
        assert_eq!(grouped(1_184_201).as_str(), "1,184,201");
        assert_eq!(grouped(999).as_str(), "999");
        assert_eq!(short_count(9_999).as_str(), "9999");
        assert_eq!(short_count(184_201).as_str(), "184k");
        assert_eq!(short_count(18_420).as_str(), "18.4k");
        assert_eq!(bytes(1023).as_str(), "1023 B");
        assert_eq!(bytes(1536).as_str(), "1.5 KiB");
        assert_eq!(bytes(u64::MAX).as_str(), "16383.9 PiB");
    }
}
