//! Long readings: they look now and then whether anybody still waits, and tell how far they are.

use afterimage_format::{ContainerUid, Event, EventId, Query, ReadError};

use super::{
    Job,
    page::{anchor, is_process},
};
use crate::{
    trace::Trace,
    tui::feed::{SeekKey, Sought},
};

/// Events between two looks.
pub(super) const STRIDE: u64 = 4_096;

/// The next or previous event of a kind; none where there is none, or nobody waits any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn seek(trace: &Trace, key: &SeekKey, job: &Job<'_>) -> Result<Option<EventId>, ReadError> {
    use afterimage_format::Direction;
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let direction = if key.forward { Direction::Forward } else { Direction::Backward };
    let mut seen = 0_u64;
    // The page ends with its first row; a reading that nobody waits for is ended by keeping any row.
    let mut ended = false;
    let mut keep = |_: ContainerUid, event: &Event<'_>| {
        seen += 1;
        ended = ended || (seen.is_multiple_of(STRIDE) && (job.over)());
        ended
            || match key.sought {
                Sought::Process => is_process(event),
            }
    };
    let found = trace.recording.page(&query, anchor(key.from), direction, 1, &mut keep)?;
    Ok(found.first().filter(|_| !ended).map(|(id, ..)| *id))
}

/// How much of `total` was seen, at most 99: what is whole is told otherwise.
pub(super) fn percent(seen: u64, total: u64) -> u8 {
    let percent = u128::from(seen) * 100 / u128::from(total.max(1));
    u8::try_from(percent.min(99)).unwrap_or(99)
}
