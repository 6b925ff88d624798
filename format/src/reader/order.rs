//! Which blocks a question touches, without a look at all of them: a large recording has hundreds of thousands.

use super::{BlockInfo, Query};
use crate::{BootNanos, ContainerUid};

/// A block in the order of its container's time.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Position among [`super::Recording::blocks`].
    index: u32,
    /// The latest event of the container's blocks up to here: blocks of a container may overlap.
    latest: BootNanos,
    /// Rows of the container's blocks before this one.
    before: u64,
}

/// All blocks by container and first event.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<Stop>);

impl Order {
    pub(super) fn of(blocks: &[BlockInfo]) -> Self {
        let mut places: Vec<u32> = (0..u32::try_from(blocks.len()).unwrap_or(u32::MAX)).collect();
        places.sort_by_key(|&index| blocks.get(index as usize).map(|block| (block.container, block.first)));
        let mut stops: Vec<Stop> = Vec::with_capacity(places.len());
        let mut own: Option<(ContainerUid, BootNanos, u64)> = None;
        for index in places {
            let Some(block) = blocks.get(index as usize) else { continue };
            let (latest, before) = match own {
                Some((uid, latest, rows)) if uid == block.container => (latest.max(block.last), rows),
                _ => (block.last, 0),
            };
            stops.push(Stop { index, latest, before });
            own = Some((block.container, latest, before.saturating_add(block.rows.into())));
        }
        Self(stops)
    }

    /// A container's blocks, and from which of them on one can end at `begin` or later.
    fn own<'o>(
        &'o self,
        blocks: &[BlockInfo],
        uid: ContainerUid,
        begin: BootNanos,
        end: BootNanos,
    ) -> (&'o [Stop], usize) {
        let is = |stop: &Stop, wanted: &dyn Fn(&BlockInfo) -> bool| {
            blocks.get(stop.index as usize).is_some_and(wanted)
        };
        let from = self.0.partition_point(|stop| is(stop, &|block| block.container < uid));
        let all = self.0.get(from..).unwrap_or_default();
        let to = all.partition_point(|stop| is(stop, &|b| b.container == uid && b.first <= end));
        let begun = all.get(..to).unwrap_or_default();
        (begun, begun.partition_point(|stop| stop.latest < begin))
    }

    /// The blocks that a query of one container touches, by position.
    pub(super) fn touched<'b>(
        &self,
        blocks: &'b [BlockInfo],
        uid: ContainerUid,
        query: &Query,
    ) -> Vec<&'b BlockInfo> {
        let (begin, end) = (query.begin.unwrap_or(BootNanos(0)), query.end.unwrap_or(BootNanos(u64::MAX)));
        let (begun, from) = self.own(blocks, uid, begin, end);
        let late = begun.get(from..).unwrap_or_default();
        let mut touched: Vec<&BlockInfo> = late
            .iter()
            .filter_map(|stop| blocks.get(stop.index as usize))
            .filter(|block| query.touches(block))
            .collect();
        touched.sort_unstable_by_key(|block| block.index);
        touched
    }

    /// How many rows of a container are in blocks that end before `time`, and where the first of its others begins.
    pub(super) fn rows_before(
        &self,
        blocks: &[BlockInfo],
        uid: ContainerUid,
        time: BootNanos,
    ) -> (u64, Option<BootNanos>) {
        let (begun, from) = self.own(blocks, uid, time, time);
        let late = begun.get(from..).unwrap_or_default();
        let over = from.checked_sub(1).and_then(|at| begun.get(at));
        let rows_of = |stop: &Stop| blocks.get(stop.index as usize).map_or(0, |block| u64::from(block.rows));
        let mut rows = over.map_or(0, |stop| stop.before.saturating_add(rows_of(stop)));
        let mut begin: Option<BootNanos> = None;
        for block in late.iter().filter_map(|stop| blocks.get(stop.index as usize)) {
            if block.last < time {
                rows = rows.saturating_add(block.rows.into());
            } else {
                begin = Some(begin.map_or(block.first, |begin| begin.min(block.first)));
            }
        }
        (rows, begin)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks of a few containers, in any order and overlapping.
    fn any_blocks() -> impl Strategy<Value = Vec<BlockInfo>> {
        prop::collection::vec((0_u64..4, 0_u64..100, 0_u64..30, 0_u32..9), 0..40).prop_map(|all| {
            let block = |(index, (uid, first, long, rows))| BlockInfo {
                index,
                container: ContainerUid(uid),
                first_row: 0,
                rows,
                first: BootNanos(first),
                last: BootNanos(first + long),
                stored: 0,
            };
            all.into_iter().enumerate().map(block).collect()
        })
    }

    proptest! {
        #[test]
        fn the_same_blocks_are_touched_as_by_a_look_at_all(
            blocks in any_blocks(),
            uid in 0_u64..5,
            begin in prop::option::of(0_u64..140),
            end in prop::option::of(0_u64..140),
        ) {
            let uid = ContainerUid(uid);
            let query = Query {
                containers: vec![uid],
                begin: begin.map(BootNanos),
                end: end.map(BootNanos),
            };
            let all: Vec<&BlockInfo> = blocks.iter().filter(|block| query.touches(block)).collect();
            prop_assert_eq!(Order::of(&blocks).touched(&blocks, uid, &query), all);
        }

        #[test]
        fn the_same_rows_are_before_a_moment_as_by_a_look_at_all(
            blocks in any_blocks(),
            uid in 0_u64..5,
            time in 0_u64..140,
        ) {
            let (uid, time) = (ContainerUid(uid), BootNanos(time));
            let own = || blocks.iter().filter(|block| block.container == uid);
            let rows = own().filter(|block| block.last < time).map(|block| u64::from(block.rows)).sum();
            let others = own().filter(|block| block.last >= time && block.first <= time);
            let begin = others.map(|block| block.first).min();
            prop_assert_eq!(Order::of(&blocks).rows_before(&blocks, uid, time), (rows, begin));
        }
    }
}
