//! Long readings: they look now and then whether anybody still waits, and tell how far they are.

use std::ops::ControlFlow;

use afterimage_format::{ContainerUid, Event, EventId, Query, ReadError};

use super::{
    Job,
    page::{anchor, is_process},
};
use crate::{
    trace::Trace,
    tui::feed::{Count, CountKey, Reply, SeekKey, Sought},
};

/// Events between two looks.
pub(super) const STRIDE: u64 = 4_096;
/// Looks between two reports.
const REPORTS: u64 = 64;

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

/// Counts the events that a filter keeps, telling now and then how far it is.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn count(trace: &Trace, key: CountKey, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let total = trace.recording.count_hint(&query).max(1);
    let (mut matched, mut seen) = (0_u64, 0_u64);
    let mut over = false;
    trace.recording.for_each(&query, &mut |_, event| {
        seen += 1;
        matched += u64::from(key.filter.keeps(event));
        if seen.is_multiple_of(STRIDE) {
            over = (job.over)();
            if seen.is_multiple_of(STRIDE * REPORTS) {
                (job.tell)(Reply::Count(key.clone(), Count { matched, reading: Some(percent(seen, total)) }));
            }
        }
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        (job.tell)(Reply::Count(key, Count { matched, reading: None }));
    }
    Ok(())
}

/// How much of `total` was seen, at most 99: what is whole is told otherwise.
pub(super) fn percent(seen: u64, total: u64) -> u8 {
    let percent = u128::from(seen) * 100 / u128::from(total.max(1));
    u8::try_from(percent.min(99)).unwrap_or(99)
}
