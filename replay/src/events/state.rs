//! The state of one container at an instant: from its nearest keyframe where it has one, else from its first event.

use std::ops::ControlFlow;

use afterimage_format::{BootNanos, ContainerUid, Keyframe, ReadError, Recording};
use afterimage_model::{Restoring, World, budget::Limits};

use super::roll;
use crate::{failure::Failure, progress::Progress, trace::Trace};

/// The newest keyframe of a container that knows nothing of `time` and later, and the state that it and those before it
/// tell; `None` where there is none, or one of them cannot be read: then only the events tell everything.
///
/// # Errors
/// [`ReadError`] only for I/O failures.
pub fn nearest(
    recording: &Recording,
    uid: ContainerUid,
    time: BootNanos,
    limits: Limits,
) -> Result<Option<(Keyframe, World)>, ReadError> {
    let Some((newest, earlier)) = recording.keyframes_before(uid, time).split_last() else { return Ok(None) };
    let Some(bytes) = recording.state(newest)? else { return Ok(None) };
    let Ok(mut restoring) = Restoring::begin(limits, &bytes, newest.base) else { return Ok(None) };
    for keyframe in earlier.iter().rev() {
        if !restoring.wants_earlier() {
            break;
        }
        let Some(bytes) = recording.state(keyframe)? else { return Ok(None) };
        if restoring.earlier(&bytes, keyframe.base).is_err() {
            return Ok(None);
        }
    }
    let world = restoring.finish();
    // What a hostile file says of other containers is no state of this one.
    Ok((world.containers().collect::<Vec<_>>() == [uid]).then_some((*newest, world)))
}

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
