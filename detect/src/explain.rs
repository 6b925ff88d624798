//! `--explain`: what a filter asks for, and what of a recording has to be read for it.

use std::collections::HashSet;

use afterimage_format::{BlockInfo, BootNanos, ContainerRecord, ContainerUid};

use crate::{
    context::Frame,
    filter::Filter,
    prefilter::{Prefilter, Verdict},
};

/// What a filter costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The filter as it was understood.
    pub filter: String,
    /// Checks and connectives left after what is decided already was left out.
    pub parts: usize,
    /// Types of events that can match, each once; `None` for all.
    pub types: Option<Vec<String>>,
    /// The earliest and latest moment that can match.
    pub range: (Option<BootNanos>, Option<BootNanos>),
    /// Parts that columns of rows answer, of how many.
    pub vectorised: (usize, usize),
    /// The columns that are asked for it.
    pub columns: Vec<&'static str>,
    /// How often the events are read: twice for `near` and `seq`.
    pub passes: u32,
    /// Blocks to read, of how many.
    pub blocks: (usize, usize),
    /// Bytes of these blocks, of how many.
    pub bytes: (u64, u64),
    /// What may not mean what its writer thinks.
    pub warnings: Vec<String>,
}

impl Prefilter<'_> {
    /// The blocks that have to be read, by their positions.
    pub fn select<'r>(
        &self,
        blocks: &[BlockInfo],
        record: impl Fn(ContainerUid) -> Option<&'r ContainerRecord>,
    ) -> Vec<usize> {
        let may = |block: &&BlockInfo| self.block(block, record(block.container)) != Verdict::Never;
        blocks.iter().filter(may).map(|block| block.index).collect()
    }
}

impl Filter {
    /// What the filter asks for and what has to be read for it, when these of the blocks are selected.
    pub fn explain(&self, frame: &Frame, blocks: &[BlockInfo], selected: &[usize]) -> Explanation {
        let prefilter = self.prefilter(frame);
        let rows = self.row_filter(frame);
        let read: HashSet<usize> = selected.iter().copied().collect();
        let stored = |block: &BlockInfo| block.stored;
        let types = prefilter.codes().map(|codes| {
            let mut names: Vec<String> =
                codes.into_iter().map(|code| crate::shape::of(code).name.to_owned()).collect();
            names.sort_unstable();
            names.dedup();
            names
        });
        Explanation {
            filter: self.to_string(),
            parts: self.size(),
            types,
            range: prefilter.range(),
            vectorised: rows.parts(),
            columns: if rows.is_any() { rows.columns() } else { Vec::new() },
            passes: if self.needs_survey() { 2 } else { 1 },
            blocks: (selected.len(), blocks.len()),
            bytes: (
                blocks.iter().filter(|block| read.contains(&block.index)).map(stored).sum(),
                blocks.iter().map(stored).sum(),
            ),
            warnings: self.warnings().iter().map(|warning| warning.message.clone()).collect(),
        }
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Names listed before the rest is counted.
        const LISTED: usize = 12;
        writeln!(f, "filter   {}", self.filter)?;
        match &self.types {
            None => writeln!(f, "types    all")?,
            Some(names) => {
                let more = names.len().saturating_sub(LISTED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                writeln!(f, "types    {}{more}", names[..names.len().min(LISTED)].join(", "))?;
            }
        }
        let seconds = |at: BootNanos| format!("{}.{:09}", at.0 / 1_000_000_000, at.0 % 1_000_000_000);
        let bound = |at: Option<BootNanos>, open: &str| at.map_or_else(|| open.to_owned(), seconds);
        if self.range != (None, None) {
            writeln!(f, "boottime {} .. {}", bound(self.range.0, "start"), bound(self.range.1, "end"))?;
        }
        writeln!(f, "parts    {}", self.parts)?;
        let from = if self.columns.is_empty() { "" } else { ": " };
        let (known, all) = self.vectorised;
        writeln!(f, "columns  answer {known} of {all} checks{from}{}", self.columns.join(", "))?;
        writeln!(f, "passes   {}", self.passes)?;
        writeln!(
            f,
            "reads    {} of {} blocks, {} of {} bytes",
            self.blocks.0, self.blocks.1, self.bytes.0, self.bytes.1
        )?;
        for warning in &self.warnings {
            writeln!(f, "warning  {warning}")?;
        }
        Ok(())
    }
}
