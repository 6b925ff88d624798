//! Long readings: they look now and then whether anybody still waits, and tell how far they are.

use std::{collections::VecDeque, ops::ControlFlow};

use afterimage_format::{ContainerUid, Event, EventId, Query, ReadError};

use super::{
    Job,
    hits::ready,
    page::{anchor, is_process},
    reading::{Looks, Step, walk},
};
use crate::{
    events::is_shown,
    trace::Trace,
    tui::{
        feed::{Center, Heading, SeekKey, Sought},
        filter::Library,
    },
};

/// Events between two looks.
pub(super) const STRIDE: u64 = 4_096;

/// The next or previous event of a kind, or the how manyth; none where there is none, or nobody waits any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn seek(
    trace: &Trace,
    key: &SeekKey,
    library: &Library,
    job: &Job<'_>,
) -> Result<Option<EventId>, ReadError> {
    use afterimage_format::Direction;
    if let Sought::Filter(text) = &key.sought {
        return matching(trace, key, text, library, job);
    }
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let direction = if key.heading == Heading::Forward { Direction::Forward } else { Direction::Backward };
    let mut seen = 0_u64;
    // The page ends with its last row; a reading that nobody waits for is ended by keeping any row.
    let mut ended = false;
    let mut keep = |_: ContainerUid, event: &Event<'_>| {
        seen += 1;
        ended = ended || (seen.is_multiple_of(STRIDE) && (job.over)());
        let shown = is_shown(event, key.setup);
        ended || (shown && is_process(event))
    };
    let found = trace.recording.page(&query, anchor(key.from), direction, key.nth, &mut keep)?;
    Ok(found.last().filter(|_| !ended).map(|(id, ..)| *id))
}

/// The next or previous event that a filter keeps. What an event means depends on what was before it, so the
/// reading begins with the first one, forwards and backwards alike.
fn matching(
    trace: &Trace,
    key: &SeekKey,
    text: &str,
    library: &Library,
    job: &Job<'_>,
) -> Result<Option<EventId>, ReadError> {
    let Some((filter, frame)) = ready(trace, (key.uid, text), library, job)? else { return Ok(None) };
    let is_after = |id: EventId| match key.from {
        Center::Event(from) => id > from,
        Center::Time(time) => id.time > time,
    };
    let is_before = |id: EventId| match key.from {
        Center::Event(from) => id < from,
        Center::Time(time) => id.time < time,
    };
    // Forwards the last one found, backwards the last `nth` of them.
    let mut found: VecDeque<EventId> = VecDeque::new();
    let mut left = key.nth;
    let end = (key.heading == Heading::Backward).then(|| key.from.time());
    let over = walk(trace, (key.uid, end), (&frame, Looks::For(&filter)), job, &mut |step| {
        let Step::Event(cx, id, _) = step else { return ControlFlow::Continue(()) };
        let shown = is_shown(cx.event(), key.setup);
        let matches = filter.matches(cx) && shown;
        match key.heading {
            Heading::Forward if matches && is_after(id) => {
                found.clear();
                found.push_back(id);
                left = left.saturating_sub(1);
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            Heading::Backward if !is_before(id) => ControlFlow::Break(()),
            Heading::Backward if matches => {
                if found.len() >= key.nth {
                    found.pop_front();
                }
                found.push_back(id);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    })?;
    Ok(found.front().copied().filter(|_| !over))
}

/// How much of `total` was seen, at most 99: what is whole is told otherwise.
pub(super) fn percent(seen: u64, total: u64) -> u8 {
    let percent = u128::from(seen) * 100 / u128::from(total.max(1));
    u8::try_from(percent.min(99)).unwrap_or(99)
}
