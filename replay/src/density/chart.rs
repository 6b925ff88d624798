//! The counts as rows of glyphs, one row per class. The scale is logarithmic, so that a single event is seen
//! beside a million.

use afterimage_format::Class;

use super::{Column, Density};

/// Glyphs of a chart: zero, rising levels, gap, what cannot be read.
struct Glyphs {
    zero: char,
    levels: &'static [char],
    gap: char,
    corrupt: char,
}

const UNICODE: Glyphs =
    Glyphs {
        zero: '·', levels: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'], gap: '×', corrupt: '░'
    };
const ASCII: Glyphs =
    Glyphs { zero: '.', levels: &[':', '-', '=', '+', '*', '#', '%', '@'], gap: 'x', corrupt: '?' };

/// Lines of `label` and one glyph per part: the classes that occur, then what was lost, and what is corrupt
/// where anything is.
pub fn text(density: &Density, ascii: bool) -> Vec<(&'static str, String)> {
    let glyphs = if ascii { &ASCII } else { &UNICODE };
    let top = density.columns.iter().flat_map(|c| c.counts).max().unwrap_or(0);
    let row = |class: Class| {
        let glyph = |c: &Column| count_glyph(c, c.counts[class as usize], top, glyphs);
        (class.as_str(), density.columns.iter().map(glyph).collect())
    };
    let occurs = |class: &Class| density.columns.iter().any(|c| c.counts[*class as usize] > 0);
    let mut lines: Vec<_> = Class::ALL.into_iter().filter(occurs).map(row).collect();
    let lost = |c: &Column| if c.gaps > 0 { glyphs.gap } else { glyphs.zero };
    lines.push(("lost", density.columns.iter().map(lost).collect()));
    if density.columns.iter().any(|c| c.corrupt) {
        let corrupt = |c: &Column| if c.corrupt { glyphs.corrupt } else { glyphs.zero };
        lines.push(("corrupt", density.columns.iter().map(corrupt).collect()));
    }
    lines
}

fn count_glyph(column: &Column, count: u32, top: u32, glyphs: &Glyphs) -> char {
    match count {
        0 if column.corrupt => glyphs.corrupt,
        0 if column.blind => ' ',
        0 => glyphs.zero,
        n => glyphs.levels[level(n, top, glyphs.levels.len())],
    }
}

/// Which of `levels` a count reaches: 0 for one event, the last for `top`, by the logarithm between them.
pub(super) fn level(count: u32, top: u32, levels: usize) -> usize {
    if top <= 1 || levels <= 1 {
        return 0;
    }
    let part = f64::from(count.max(1)).ln() / f64::from(top.max(count)).ln();
    let highest = levels - 1;
    // The factor is between 0 and 1, so the result fits.
    ((part * highest as f64).round() as usize).min(highest)
}

#[cfg(test)]
mod tests {
    use afterimage_format::BootNanos;

    use super::*;

    fn column(exec: u32, gaps: u32, blind: bool) -> Column {
        let mut counts = [0; Class::COUNT];
        counts[Class::Exec as usize] = exec;
        Column {
            from: BootNanos(0),
            to: BootNanos(1),
            counts,
            gaps,
            blind,
            corrupt: false,
            approximate: false,
        }
    }

    #[test]
    fn one_event_shows_beside_a_million_and_zero_is_not_unknown() {
        let columns =
            vec![column(1, 0, false), column(1_000_000, 0, false), column(0, 0, false), column(0, 1, true)];
        let density = Density { begin: BootNanos(0), end: BootNanos(4), columns };
        let lines = text(&density, false);
        assert_eq!(lines, [("exec", "▁█· ".to_owned()), ("lost", "···×".to_owned())]);
        assert_eq!(text(&density, true)[0].1, ":@. ");
        let columns = vec![column(1, 0, false), Column { corrupt: true, ..column(0, 0, false) }];
        let density = Density { begin: BootNanos(0), end: BootNanos(2), columns };
        let lines = text(&density, false);
        assert_eq!(
            lines,
            [("exec", "▁░".to_owned()), ("lost", "··".to_owned()), ("corrupt", "·░".to_owned())],
            "what cannot be read is not without events"
        );
    }
}
