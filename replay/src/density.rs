//! How many events of each class fell into each part of a range, with what was lost and what was not recorded.
//!
//! Zero and unknown are never shown alike: `·` is no event, blank is not recorded, `×` is a loss, `░` is
//! corrupt.
//!
//! Counts come from the index, whose counters are of short times of their own: where these lie across the border of a part, the
//! events are read and counted, up to [`ROWS`] of them; what is an estimate then says so.

mod chart;
mod svg;

pub use chart::text;
pub use svg::svg;

use afterimage_format::{BootNanos, Class, ContainerUid, LossCause};

use crate::{time::Span, trace::Trace};

/// The counts of one recording's range.
#[derive(Debug, Clone)]
pub struct Density {
    /// First moment.
    pub begin: BootNanos,
    /// Last moment.
    pub end: BootNanos,
    /// Equal parts of the range.
    pub columns: Vec<Column>,
}

/// One part of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// From, inclusive.
    pub from: BootNanos,
    /// To, exclusive.
    pub to: BootNanos,
    /// Events, by [`Class::ALL`].
    pub counts: [u32; Class::COUNT],
    /// Gaps that touch it.
    pub gaps: u32,
    /// Nothing was recorded in it: the recorder was not running.
    pub blind: bool,
    /// Some events near its borders may be counted in its neighbour, or the other way round.
    pub approximate: bool,
    /// Events in its time were recorded and cannot be read, so far as counting has found.
    pub corrupt: bool,
}

/// Events that are read at most to count exactly at the borders of parts.
const ROWS: u64 = 4_000_000;

impl Column {
    /// Events of all classes.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&n| u64::from(n)).sum()
    }
}

impl Density {
    /// Of one container or of all, in `columns` parts.
    pub fn of(trace: &Trace, container: Option<ContainerUid>, range: Span, columns: usize) -> Self {
        let (first, last) = trace.range();
        let begin = range.begin.unwrap_or(first);
        let end = range.end.unwrap_or(last);
        // A range that lies wholly before or after what there is: its parts are empty, wherever they are drawn.
        let is_empty = end < begin;
        let end = end.max(begin);
        // One past the last moment, so that the last event falls into the last part.
        let stop = BootNanos(end.0.saturating_add(1));
        // No part is shorter than the clock can tell: of fewer nanoseconds there are fewer parts.
        let length = usize::try_from(stop.0 - begin.0).unwrap_or(usize::MAX);
        let columns = columns.clamp(1, 10_000).min(length.max(1));
        let found =
            trace.recording.histogram(container, begin, if is_empty { begin } else { stop }, columns, ROWS);
        let width = stop.0 - begin.0;
        let edge = |i: usize| {
            let part = u128::from(width) * i as u128 / columns as u128;
            BootNanos(begin.0.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)))
        };
        let build = |(i, (counts, approximate)): (usize, ([u32; Class::COUNT], bool))| {
            let (from, to) = (edge(i), edge(i + 1));
            let mut column = Column { from, to, counts, gaps: 0, blind: false, corrupt: false, approximate };
            column.mark(trace, container);
            column
        };
        let parts = found.counts.into_iter().zip(found.approximate);
        Self { begin, end, columns: parts.enumerate().map(build).collect() }
    }

    /// Nanoseconds of one part.
    pub fn step(&self) -> u64 {
        self.columns.first().map_or(0, |c| c.to.0 - c.from.0)
    }
}

impl Column {
    /// Marks what is missing in it.
    fn mark(&mut self, trace: &Trace, container: Option<ContainerUid>) {
        let span = Span { begin: Some(self.from), end: Some(BootNanos(self.to.0.saturating_sub(1))) };
        let mine = |uid: Option<ContainerUid>| container.is_none() || uid.is_none() || uid == container;
        for loss in trace.recording.losses().iter().filter(|l| mine(l.container)) {
            if span.overlaps(loss.from, loss.to) {
                if loss.cause.is_damage() {
                    self.corrupt = true;
                    continue;
                }
                self.gaps = self.gaps.saturating_add(1);
                let down = matches!(loss.cause, LossCause::RecorderDown | LossCause::Detached);
                self.blind |= down && loss.from <= self.from && self.to <= loss.to;
            }
        }
        for block in trace.recording.unread() {
            self.corrupt |=
                container.is_none_or(|uid| uid == block.container) && span.overlaps(block.first, block.last);
        }
        let (first, last) = trace.range();
        self.blind |= self.to <= first || last < self.from;
    }
}
