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
}

impl Table {
    pub(super) fn new(columns: Vec<&'static Column>, style: Style, limit: Option<usize>) -> Self {
        Self { columns, style, limit, waiting: Vec::new(), widths: None, rows: 0, shown: Vec::new() }
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
        if self.widths.is_none() && self.rows > 0 { self.settle(out) } else { Ok(()) }
    }

    fn settle(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.drop_empty();
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
        if let Some(limit) = self.limit {
            self.fit(&mut widths, limit);
        }
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        self.line(out, &titles, Tone::Head, &widths)?;
        for (texts, tone) in std::mem::take(&mut self.waiting) {
            self.line(out, &texts, tone, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// Leaves out the optional columns in which no row of the sample has anything.
    fn drop_empty(&mut self) {
        let has_any = |i: usize| self.waiting.iter().any(|(texts, _)| !texts[i].is_empty());
        self.shown = (0..self.columns.len()).map(|i| !self.columns[i].optional || has_any(i)).collect();
        self.columns = pick(std::mem::take(&mut self.columns), &self.shown);
        for (texts, _) in &mut self.waiting {
            *texts = pick(std::mem::take(texts), &self.shown);
        }
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

/// The items at the places that are shown.
fn pick<T>(items: Vec<T>, shown: &[bool]) -> Vec<T> {
    items.into_iter().zip(shown).filter_map(|(item, shown)| shown.then_some(item)).collect()
}
