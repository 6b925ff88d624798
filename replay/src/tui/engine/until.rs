//! A life up to a moment, and nothing of what comes later: what lists that follow the clock show.
//!
//! Going forward, the reading goes on from where it stands; going back, it begins anew.

use std::{ops::ControlFlow, sync::Arc};

use afterimage_format::{Anchor, ContainerUid, Direction, EventId, Query, ReadError};

use super::{Job, film::LOOK, life::Life};
use crate::{
    analysis::images::Images,
    trace::Trace,
    tui::feed::{Center, MomentKey, Reply},
};

/// How far a life was read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    of: Option<(ContainerUid, u64)>,
    at: Option<EventId>,
    life: Life,
}

/// Reads up to the moment of the key. `images` are those of the whole life: each file has those that were executed while it
/// was there, so that none of later is shown.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn until(
    trace: &Trace,
    reader: &mut Reader,
    key: MomentKey,
    images: Arc<Images>,
    job: &Job<'_>,
) -> Result<(), ReadError> {
    let of = (key.uid, key.generation);
    let is_wanted = |id: EventId| match key.at {
        Center::Event(last) => id <= last,
        Center::Time(last) => id.time <= last,
    };
    if reader.of != Some(of) || reader.at.is_some_and(|at| !is_wanted(at)) {
        *reader = Reader { of: Some(of), ..Reader::default() };
    }
    let query = Query { containers: vec![key.uid], begin: None, end: Some(key.at.time()) };
    let (mut over, mut number) = (false, 0_u64);
    trace.recording.walk(
        &query,
        reader.at.map(Anchor::Event),
        Direction::Forward,
        &mut |id, uid, event| {
            number += 1;
            over = over || number.is_multiple_of(LOOK) && (job.over)();
            if over || !is_wanted(id) {
                return ControlFlow::Break(());
            }
            reader.at = Some(id);
            reader.life.apply(uid, event);
            ControlFlow::Continue(())
        },
    )?;
    if !over {
        (job.tell)(Reply::Until(
            key,
            Arc::new(reader.life.clone().whole(key.uid, Some(key.at.time()), images)),
        ));
    }
    Ok(())
}
