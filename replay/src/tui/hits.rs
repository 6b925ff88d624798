//! The events that a filter keeps, as they become known.

use std::{collections::HashSet, sync::Arc};

use afterimage_format::EventId;
use afterimage_model::text::Safe;

/// Most events remembered: beyond it the list ends, and says so.
pub(crate) const MOST: usize = 4_000_000;

/// One event that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) id: EventId,
    /// Its process's name, by its place among the names.
    pub(crate) name: u32,
}

/// What the kept events were about: what other screens show of a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) pids: HashSet<u32>,
    pub(crate) paths: HashSet<Vec<u8>>,
    /// Addresses, as text.
    pub(crate) peers: HashSet<String>,
}

/// Kept events in order of time. Cloning is cheap: what is known does not change any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hits {
    chunks: Vec<(usize, Arc<Vec<Hit>>)>,
    len: usize,
    pub(crate) names: Arc<Vec<Safe>>,
    pub(crate) touched: Arc<Touched>,
    /// Percent read so far; `None` when all was read.
    pub(crate) reading: Option<u8>,
    /// There are more than are remembered: nothing behind the last was read.
    pub(crate) full: bool,
    /// Why it may be more or less than it should be.
    pub(crate) doubt: Option<&'static str>,
}

impl Hits {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds the next hits, all later than those before.
    pub(crate) fn push(&mut self, chunk: Vec<Hit>) {
        if !chunk.is_empty() {
            let before = self.len;
            self.len += chunk.len();
            self.chunks.push((before, Arc::new(chunk)));
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Hit> {
        let after = self.chunks.partition_point(|(before, _)| *before <= at);
        let (before, chunk) = self.chunks.get(after.checked_sub(1)?)?;
        chunk.get(at - before).copied()
    }

    /// How many hits satisfy `early`, which holds for the first ones only.
    pub(crate) fn partition(&self, early: impl Fn(EventId) -> bool) -> usize {
        let chunk = self.chunks.partition_point(|(_, chunk)| chunk.first().is_some_and(|hit| early(hit.id)));
        let Some((before, chunk)) = chunk.checked_sub(1).and_then(|at| self.chunks.get(at)) else { return 0 };
        before + chunk.partition_point(|hit| early(hit.id))
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = Hit> {
        self.chunks.iter().flat_map(|(_, chunk)| chunk.iter().copied())
    }

    /// The process's name of a hit.
    pub(crate) fn name(&self, hit: Hit) -> Option<&Safe> {
        self.names.get(hit.name as usize)
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::BootNanos;

    use super::*;

    fn hits(chunks: &[&[u64]]) -> Hits {
        let mut hits = Hits::default();
        for chunk in chunks {
            let hit = |time: &u64| Hit { id: EventId { time: BootNanos(*time), block: 0, row: 0 }, name: 0 };
            hits.push(chunk.iter().map(hit).collect());
        }
        hits
    }

    #[test]
    fn chunks_are_one_list() {
        let hits = hits(&[&[1, 2], &[], &[5], &[7, 7, 9]]);
        assert_eq!(hits.len(), 6);
        let times: Vec<u64> = (0..6).filter_map(|at| hits.get(at)).map(|hit| hit.id.time.0).collect();
        assert_eq!(times, [1, 2, 5, 7, 7, 9]);
        assert_eq!(hits.get(6), None);
        for (time, count) in [(0, 0), (1, 1), (4, 2), (5, 3), (7, 5), (8, 5), (99, 6)] {
            assert_eq!(hits.partition(|id| id.time.0 <= time), count, "{time}");
        }
        assert_eq!(hits.iter().count(), 6);
        assert_eq!(Hits::default().partition(|_| true), 0);
    }
}
