//! The state of one container at an instant: from its nearest keyframe where it has one, else from its first event.

use std::ops::ControlFlow;

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::{World, budget::Limits, nearest};

use super::roll;
use crate::{failure::Failure, progress::Progress, trace::Trace};

/// The state of a container after its events up to and including `until`, or after all.
///
/// # Errors
/// [`Failure::Read`].
pub fn state_at(trace: &Trace, uid: ContainerUid, until: Option<BootNanos>) -> Result<World, Failure> {
    let behind = until.map_or(BootNanos(u64::MAX), |until| BootNanos(until.0.saturating_add(1)));
    let nearest = nearest(&trace.recording, uid, behind, Limits::default())?;
    // The recorder has less room than a reader: what did not fit there the events still tell.
    let Some((keyframe, mut world)) = nearest.filter(|(_, world)| !world.overflow(uid).any()) else {
        return roll(trace, Some(uid), until, &mut |_, _, _| {});
    };
    let rows: u64 = trace
        .recording
        .blocks()
        .iter()
        .filter(|block| block.container == uid && block.first_row >= keyframe.row && block.first < behind)
        .map(|block| u64::from(block.rows))
        .sum();
    let mut progress = Progress::new(rows, false);
    trace.recording.walk_behind(&keyframe, until, &mut |_, uid, event| {
        progress.tick();
        world.apply(uid, event);
        ControlFlow::Continue(())
    })?;
    Ok(world)
}
