//! A table for people: columns as wide as their widest cell among the first rows, streamed after that.

use std::io::{self, Write};

use super::{
    Cell, Column, Tone,
    terminal::Style,
    width::{cut, display_width},
};

/// Rows that are looked at before the widths are settled.
const SAMPLE: usize = 200;
/// Widest a column gets from the sample alone; a wider cell pushes its row's rest to the right.
const WIDEST: usize = 64;
/// A flexible column is never cut below this.
const NARROWEST: usize = 12;
/// Rather than cutting flexible columns below this, spare ones are left out.
const COMFORTABLE: usize = 20;
const GAP: &str = "  ";

/// Streams a table.
pub(super) struct Table {
    columns: Vec<&'static Column>,
    style: Style,
    /// Width of the terminal; `None` never cuts.
    limit: Option<usize>,
    waiting: Vec<(Vec<String>, Tone)>,
    widths: Option<Vec<usize>>,
    rows: u64,
    /// Which of the columns that came are in `columns`.
    shown: Vec<bool>,
    /// Titles of those that there was no room for.
    left_out: Vec<&'static str>,
}

impl Table {
    pub(super) fn new(columns: Vec<&'static Column>, style: Style, limit: Option<usize>) -> Self {
        let shown = vec![true; columns.len()];
        Self {
            columns,
            style,
            limit,
            waiting: Vec::new(),
            widths: None,
            rows: 0,
            shown,
            left_out: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, cells: &[Cell], tone: Tone) -> io::Result<()> {
        let texts: Vec<String> = cells.iter().map(|c| c.text().to_owned()).collect();
        self.rows += 1;
        match &self.widths {
            Some(widths) => {
                let texts: Vec<String> = pick(texts, &self.shown);
                self.line(out, &texts, tone, widths)
            }
            None => {
                self.waiting.push((texts, tone));
                if self.waiting.len() >= SAMPLE { self.settle(out) } else { Ok(()) }
            }
        }
    }

    /// Writes what waits.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.widths.is_none() && self.rows > 0 {
            self.settle(out)?;
        }
        if self.left_out.is_empty() {
            return Ok(());
        }
        let titles = self.left_out.join(", ");
        let text = format!("no room for {titles}; --no-trunc shows all");
        for line in filled(&text, self.limit.unwrap_or(usize::MAX)) {
            writeln!(out, "{}", self.style.paint(Tone::Dim, &line))?;
        }
        Ok(())
    }

    fn settle(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.drop_empty();
        let mut widths = self.wanted();
        if let Some(limit) = self.limit {
            while let Some(spare) = self.spare(&widths, limit) {
                self.left_out.insert(0, self.columns[spare].title);
                self.drop(|i| i != spare);
                widths = self.wanted();
            }
            self.fit(&mut widths, limit);
            while let Some(over) = self.over(&widths, limit) {
                self.left_out.insert(0, self.columns[over].title);
                self.drop(|i| i != over);
                widths = self.wanted();
                self.fit(&mut widths, limit);
            }
        }
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        self.line(out, &titles, Tone::Head, &widths)?;
        for (texts, tone) in std::mem::take(&mut self.waiting) {
            self.line(out, &texts, tone, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// As wide as the columns would be in the sample.
    fn wanted(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|c| display_width(c.title)).collect();
        for (texts, _) in &self.waiting {
            for (width, text) in widths.iter_mut().zip(texts) {
                *width = (*width).max(display_width(text));
            }
        }
        let last = widths.len().saturating_sub(1);
        for (i, width) in widths.iter_mut().enumerate() {
            if i != last {
                *width = (*width).min(WIDEST);
            }
        }
        widths
    }

    /// Leaves out the optional columns in which no row of the sample has anything.
    fn drop_empty(&mut self) {
        let has_any = |i: usize| self.waiting.iter().any(|(texts, _)| !texts[i].is_empty());
        let kept: Vec<bool> =
            (0..self.columns.len()).map(|i| !self.columns[i].optional || has_any(i)).collect();
        self.drop(|i| kept[i]);
    }

    /// Leaves out columns.
    fn drop(&mut self, keeps: impl Fn(usize) -> bool) {
        let kept: Vec<bool> = (0..self.columns.len()).map(keeps).collect();
        self.columns = pick(std::mem::take(&mut self.columns), &kept);
        for (texts, _) in &mut self.waiting {
            *texts = pick(std::mem::take(texts), &kept);
        }
        let mut kept = kept.into_iter();
        for shown in self.shown.iter_mut().filter(|shown| **shown) {
            *shown = kept.next().unwrap_or(false);
        }
    }

    /// The column that is left out next, where the line does not fit without cutting the others short.
    fn spare(&self, widths: &[usize], limit: usize) -> Option<usize> {
        let needed = |i: usize| match self.columns[i].flexible {
            true => widths[i].min(COMFORTABLE),
            false => widths[i],
        };
        let total = (0..widths.len()).map(needed).sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        (0..widths.len()).rev().find(|&i| total > limit && self.columns[i].spare)
    }

    /// The column that is left out next, where the line does not fit though all that can be cut short is: the last that
    /// cannot, else the last. The first stays, and as many as fit.
    fn over(&self, widths: &[usize], limit: usize) -> Option<usize> {
        let total = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let others = || (1..widths.len()).rev();
        others().find(|&i| !self.columns[i].flexible).or_else(|| others().next()).filter(|_| total > limit)
    }

    /// Takes width from the flexible columns, the widest first, until the line fits.
    fn fit(&self, widths: &mut [usize], limit: usize) {
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        loop {
            let total = widths.iter().sum::<usize>() + gaps;
            let widest = (0..widths.len())
                .filter(|&i| self.columns[i].flexible && widths[i] > NARROWEST)
                .max_by_key(|&i| widths[i]);
            match widest {
                Some(i) if total > limit => {
                    let floor = (0..widths.len())
                        .filter(|&j| j != i && self.columns[j].flexible)
                        .map(|j| widths[j])
                        .max()
                        .map_or(NARROWEST, |next| next.clamp(NARROWEST, widths[i] - 1));
                    widths[i] = floor.max(widths[i].saturating_sub(total - limit)).max(NARROWEST);
                }
                _ => return,
            }
        }
    }

    fn line(&self, out: &mut dyn Write, texts: &[String], tone: Tone, widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        let last = widths.len().saturating_sub(1);
        for (i, ((column, text), &width)) in self.columns.iter().zip(texts).zip(widths).enumerate() {
            let cuttable = self.limit.is_some() && column.flexible;
            let text = if cuttable { cut(text, width) } else { text.clone() };
            let pad = width.saturating_sub(display_width(&text));
            if i > 0 {
                line.push_str(GAP);
            }
            if column.right {
                line.extend(std::iter::repeat_n(' ', pad));
            }
            line.push_str(&text);
            if !column.right && i != last {
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        writeln!(out, "{}", self.style.paint(tone, line.trim_end()))
    }
}

/// A text in lines of at most this width, broken between words.
pub(crate) fn filled(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if display_width(line) + 1 + display_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The items at the places that are shown.
fn pick<T>(items: Vec<T>, shown: &[bool]) -> Vec<T> {
    items.into_iter().zip(shown).filter_map(|(item, shown)| shown.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use afterimage_model::text::escape;

    use super::*;

    static COLUMNS: [Column; 4] = [
        Column::new("time", "TIME", ""),
        Column::new("offset", "OFFSET", "").right().spare(),
        Column::new("detail", "DETAIL", "").flexible(),
        Column::new("hash", "HASH", "").spare(),
    ];

    fn printed(limit: Option<usize>) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(COLUMNS.iter().collect(), Style::PLAIN, limit);
        for detail in ["/bin/sh", "/a/path/that/is/long/enough/to/be/cut"] {
            let texts = ["11:58:02.410", "+0.000405", detail, "d3e1e420312f7bfaba48fb6a9765ea3b"];
            let cells: Vec<Cell> = texts.iter().map(|text| Cell::safe(escape(text.as_bytes()))).collect();
            table.row(&mut out, &cells, Tone::Plain).unwrap();
        }
        table.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_that_fits_has_all_columns() {
        assert!(!printed(None).contains("no room"));
        let wide = printed(Some(200));
        assert_eq!(wide, printed(None));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_however_narrow_that_is() {
        for limit in 20..80 {
            let narrow = printed(Some(limit));
            let rows: Vec<&str> = narrow.lines().collect();
            assert!(
                rows.len() >= 3 && rows.iter().all(|line| display_width(line) <= limit),
                "{limit}: {narrow}"
            );
            let has_all = COLUMNS.iter().all(|column| rows[0].contains(column.title));
            assert_eq!(narrow.contains("no room for "), !has_all, "what is left out is said: {narrow}");
        }
    }

    #[test]
    fn where_room_is_short_spare_columns_go_before_others_are_cut_and_that_is_said() {
        let narrow = printed(Some(60));
        assert!(narrow.contains("OFFSET") && !narrow.contains("HASH\n"), "{narrow}");
        assert!(narrow.contains("no room for HASH; "), "{narrow}");
        let narrower = printed(Some(40));
        assert!(narrower.contains("no room for OFFSET, HASH; "), "{narrower}");
        let rows = narrower.lines().filter(|line| line.contains("11:58"));
        assert!(
            rows.clone().count() == 2 && rows.clone().all(|line| display_width(line) <= 40),
            "{narrower}"
        );
    }
}
