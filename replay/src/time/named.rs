//! A moment that something gives a name to: `alert:2`, `mark:a`, `alert:1-30s`.

use super::moment::{shift, signed};

/// What names the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namer {
    /// An alert, by its number in the container or the beginning of its id.
    Alert,
    /// A mark of the case, by its letter.
    Mark,
}

/// A moment by name, and how far from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// What names it.
    pub by: Namer,
    /// The name.
    pub name: &'a str,
    /// Nanoseconds after it; before it where negative.
    pub offset: i128,
}

impl<'a> Named<'a> {
    /// Reads such a moment; nothing where the text is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (by, rest) = match text.split_once(':')? {
            ("alert", rest) => (Namer::Alert, rest),
            ("mark", rest) => (Namer::Mark, rest),
            _ => return None,
        };
        // Ids have dashes in them: what follows a sign is an offset only where it is a duration to the end. A number alone is seconds
        // behind what is no id.
        for (at, _) in rest.match_indices(['+', '-']) {
            let (name, offset) = rest.split_at_checked(at)?;
            let is_number = by == Namer::Mark || name.bytes().all(|byte| byte.is_ascii_digit());
            if let Some(offset) = if is_number { shift(offset) } else { signed(offset) }
                && !name.is_empty()
            {
                return Some(Self { by, name, offset });
            }
        }
        Some(Self { by, name: rest, offset: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_offsets_are_told_apart() {
        let check = |text, by, name, offset| {
            assert_eq!(Named::parse(text), Some(Named { by, name, offset }), "{text}");
        };
        check("alert:2", Namer::Alert, "2", 0);
        check(" alert:2-30s ", Namer::Alert, "2", -30_000_000_000);
        check("alert:t-5f0c", Namer::Alert, "t-5f0c", 0);
        check("alert:t-5f0c+1s", Namer::Alert, "t-5f0c", 1_000_000_000);
        check("alert:2-30", Namer::Alert, "2", -30_000_000_000);
        check("alert:t-5", Namer::Alert, "t-5", 0);
        check("mark:a+0.5", Namer::Mark, "a", 500_000_000);
        check("mark:a+5ms", Namer::Mark, "a", 5_000_000);
        for text in ["12:03:11", "mark", "+19s", "start", "2026-11-21T12:03:11Z"] {
            assert_eq!(Named::parse(text), None, "{text}");
        }
    }
}
