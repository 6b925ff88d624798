//! Counts over time as one row of glyphs: nothing averaged away, zero and unknown never alike.

use afterimage_format::Class;

use crate::tui::symbols::Symbols;

/// Counts by class in each column.
pub(crate) type Columns = [[u32; Class::COUNT]];

/// A row of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// All classes together.
    All,
    One(Class),
}

impl Lane {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::One(class) => class.as_str(),
        }
    }

    fn count(self, column: &[u32; Class::COUNT]) -> u32 {
        match self {
            Self::All => column.iter().fold(0, |sum, n| sum.saturating_add(*n)),
            Self::One(class) => column.get(class as usize).copied().unwrap_or(0),
        }
    }

    /// The counts of this lane.
    pub(crate) fn counts(self, columns: &Columns) -> Vec<u32> {
        columns.iter().map(|column| self.count(column)).collect()
    }

    /// The lanes that fit into `rows`: the most telling first, in the order of the classes; those without any
    /// event last.
    pub(crate) fn chosen(columns: &Columns, rows: usize) -> Vec<Self> {
        const ORDER: [Class; Class::COUNT] = [
            Class::Exec,
            Class::Net,
            Class::FileWrite,
            Class::File,
            Class::Priv,
            Class::Dns,
            Class::Signal,
            Class::Mem,
            Class::Other,
        ];
        if rows < 3 {
            return vec![Self::All].into_iter().take(rows).collect();
        }
        let some = |class: &Class| Self::One(*class).counts(columns).iter().any(|n| *n > 0);
        let (busy, idle): (Vec<Class>, Vec<Class>) = ORDER.into_iter().partition(some);
        let mut chosen: Vec<Class> = busy.into_iter().chain(idle).take(rows).collect();
        chosen.sort();
        chosen.into_iter().map(Self::One).collect()
    }
}

/// The glyph for one count, on a logarithmic scale up to `top`: any event shows, none is a dot.
pub(crate) fn glyph(count: u32, top: u32, symbols: &Symbols) -> &'static str {
    let level = level(count, top, symbols.bars.len() - 1);
    symbols.bars.get(level).copied().unwrap_or("")
}

/// 0 for nothing, else 1 to `levels`, by the logarithm.
fn level(count: u32, top: u32, levels: usize) -> usize {
    if count == 0 {
        return 0;
    }
    let top = f64::from(top.max(count).max(32));
    let part = f64::from(count).ln() / top.ln();
    let steps = u32::try_from(levels.saturating_sub(1)).unwrap_or(0);
    let step = (part * f64::from(steps)).round();
    1 + (0..=steps).rev().find(|s| f64::from(*s) <= step).map_or(0, |s| s as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::symbols::{ASCII, UNICODE};

    fn glyphs(counts: &[u32], top: u32, symbols: &Symbols) -> String {
        counts.iter().map(|n| glyph(*n, top, symbols)).collect()
    }

    #[test]
    fn one_event_among_millions_is_seen_and_nothing_is_a_dot() {
        assert_eq!(glyphs(&[0, 1, 1_000_000, 1_000], 1_000_000, &UNICODE), "·▁█▅");
        assert_eq!(glyphs(&[0, 1, 1_000_000, 1_000], 1_000_000, &ASCII), "._@+");
    }

    #[test]
    fn a_few_events_do_not_fill_the_row() {
        assert_eq!(glyphs(&[1, 2, 4], 4, &UNICODE), "▁▂▄");
        assert_eq!(level(u32::MAX, 1, 8), 8);
    }

    #[test]
    fn lanes_without_events_give_way() {
        let mut column = [0; Class::COUNT];
        column[Class::Mem as usize] = 3;
        column[Class::Exec as usize] = 1;
        let lanes = Lane::chosen(&[column], 3);
        assert_eq!(lanes, [Lane::One(Class::Exec), Lane::One(Class::Net), Lane::One(Class::Mem)]);
        assert_eq!(Lane::chosen(&[column], 2), [Lane::All]);
        assert_eq!(Lane::All.counts(&[column]), [4]);
    }
}
