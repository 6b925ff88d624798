//! The way to an instant: the newest keyframe before it, with what the earlier ones tell.

use afterimage_format::{BootNanos, ContainerUid, Keyframe, ReadError, Recording};

use super::{Restoring, World};
use crate::budget::Limits;

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
