//! The state of a container as its recorder had it when it was killed, from what it had recorded: the newest keyframe, and what
//! followed.

use std::{collections::HashMap, ops::ControlFlow, time::Instant};

use afterimage_format::{BootNanos, ContainerUid, Direction, Query, ReadError, Recording};

use super::{Restoring, World};
use crate::budget::Limits;

/// What a recorder knew.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// The state, in the times of the recorder's boot.
    pub(crate) world: World,
    /// Time of the latest event, in the same.
    pub(crate) latest: BootNanos,
}

/// How many events [`crate::keeper::Keeper::resume`] reads for each of these, the fewest first; those whose events are not all there any more, as far
/// as no keyframe tells of them, are left out.
pub fn resumable(
    recording: &Recording,
    uids: impl Iterator<Item = ContainerUid>,
) -> Vec<(u64, ContainerUid)> {
    let mut rows: HashMap<ContainerUid, (u64, u64)> = HashMap::new();
    for block in recording.blocks() {
        let end = block.first_row.saturating_add(block.rows.into());
        let own = rows.entry(block.container).or_insert((block.first_row, end));
        *own = (own.0.min(block.first_row), own.1.max(end));
    }
    let behind = uids.filter_map(|uid| {
        let known = recording.keyframes_of(uid).last().map_or(0, |newest| newest.row);
        let (first, end) = rows.get(&uid).copied().unwrap_or((known, known));
        (first <= known).then_some((end.saturating_sub(known), uid))
    });
    let mut behind: Vec<_> = behind.collect();
    behind.sort_unstable();
    behind
}

/// The state behind everything that is recorded of a container; `None` where the recording does not tell it, or not `until`
/// then. To the times of its boot the writer adds `base`.
///
/// # Errors
/// [`ReadError`] only for I/O failures.
pub(crate) fn resumed(
    recording: &Recording,
    uid: ContainerUid,
    base: u64,
    limits: Limits,
    until: Instant,
) -> Result<Option<Resumed>, ReadError> {
    /// Events between two looks at the clock.
    const LOOK: u32 = 1024;
    let keyframes = recording.keyframes_of(uid);
    let mut world = match keyframes.split_last() {
        None => World::with_limits(limits),
        Some((newest, _)) if newest.base != base => return Ok(None),
        Some((newest, earlier)) => {
            let Some(bytes) = recording.state(newest)? else { return Ok(None) };
            let Ok(mut restoring) = Restoring::begin(limits, &bytes, 0) else { return Ok(None) };
            for keyframe in earlier.iter().rev() {
                if !restoring.lacks_mounts() {
                    break;
                }
                let Some(bytes) = recording.state(keyframe)? else { return Ok(None) };
                if restoring.earlier_mounts(&bytes, 0).is_err() {
                    return Ok(None);
                }
            }
            if restoring.lacks_mounts() {
                return Ok(None);
            }
            restoring.finish_as_kept()
        }
    };
    let mut latest = keyframes.last().map_or(0, |newest| newest.at.0.saturating_sub(base));
    let mut rows = 0_u32;
    let mut is_late = false;
    let mut apply = |of: ContainerUid, event: &afterimage_format::Event<'_>| {
        rows = rows.wrapping_add(1);
        if rows % LOOK == 1 && Instant::now() >= until {
            is_late = true;
            return ControlFlow::Break(());
        }
        event.without_base(base, |event| {
            latest = latest.max(event.time.0);
            world.apply(of, event);
        });
        ControlFlow::Continue(())
    };
    match keyframes.last() {
        Some(newest) => recording.walk_behind(newest, None, &mut |_, of, event| apply(of, event))?,
        None => {
            let query = Query { containers: vec![uid], ..Query::default() };
            recording.walk(&query, None, Direction::Forward, &mut |_, of, event| apply(of, event))?;
        }
    }
    Ok((!is_late && world.events(uid) > 0).then_some(Resumed { world, latest: BootNanos(latest) }))
}
