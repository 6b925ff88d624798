//! What filters ask of containers' whole lives: read before they are asked, as long as anybody waits.

use std::ops::ControlFlow;

use afterimage_detect::{Filter, Frame, WholeAsks};
use afterimage_format::{ContainerUid, ReadError};

use super::{Job, scan::STRIDE};
use crate::{events::SATURATED, trace::Trace};

/// Why what a filter keeps or rules match may be less, or more, than there is.
pub(super) const LACKED: &str =
    "not all processes and descriptors fitted into memory: what asks for them may have been missed";

/// Why what a filter keeps may be more or less than it should be, of one that was shown all that it has to see first.
pub(super) fn doubt(filter: &Filter, frame: &Frame) -> Option<&'static str> {
    filter.saturated().then_some(SATURATED).or_else(|| frame.lacking())
}

/// The frame with what a filter asks of a container's whole life, or of those of all where none is named; none where nobody
/// waits any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn with_whole(
    trace: &Trace,
    (filter, uid): (&Filter, Option<ContainerUid>),
    frame: Frame,
    job: &Job<'_>,
) -> Result<Option<Frame>, ReadError> {
    let asks = filter.asks_whole();
    if !asks.is_any() {
        return Ok(Some(frame));
    }
    let uids = uid.map_or_else(|| trace.asked_whole(&[filter], &frame, None), |uid| vec![uid]);
    with_wholes(trace, (&uids, asks), frame, job)
}

/// The same of named containers.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn with_wholes(
    trace: &Trace,
    (uids, asks): (&[ContainerUid], WholeAsks),
    frame: Frame,
    job: &Job<'_>,
) -> Result<Option<Frame>, ReadError> {
    if !asks.is_any() {
        return Ok(Some(frame));
    }
    let mut number = 0_u64;
    let wholes = trace.wholes((uids, &[]), asks, &mut || {
        number += 1;
        let is_over = number.is_multiple_of(STRIDE) && (job.over)();
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(wholes.map(|wholes| Frame { whole: wholes.into(), ..frame }))
}
