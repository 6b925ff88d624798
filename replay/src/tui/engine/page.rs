//! A page of the event list, read around a moment.

use std::ops::ControlFlow;

use afterimage_format::{
    Anchor, BlockInfo, ContainerUid, Direction, Event, EventFlags, EventId, FieldFlags, FieldTag, OwnedEvent,
    Query, ReadError,
};
use afterimage_model::{
    World, class,
    describe::{self, FdNames},
    event_name,
    process::Process,
    text::{Safe, escape},
};

use super::{
    Job,
    film::{Film, LOOK},
};
use crate::{
    events::is_shown,
    trace::Trace,
    tui::{
        feed::{Center, EventRow, Page, PageKey},
        hits::Hits,
        text::safe,
    },
};

/// Most events that are read to tell what the rows' processes and descriptors were.
const NAMING: u64 = 400_000;
/// Most events that are read in one go to find those of a page among them.
const CLOSE: u64 = 100_000;

/// Reads the rows before and after the centre that the filter keeps. With a film, rows tell what their processes
/// and descriptors were; that may need a longer reading, which ends with `None` when nobody waits for it any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn page(
    trace: &Trace,
    film: Option<(&mut Film, &Job<'_>)>,
    key: &PageKey,
    hits: &Hits,
) -> Result<Option<Page>, ReadError> {
    let (events, at_start, at_end) =
        if key.filter.is_some() { of_hits(trace, key, hits)? } else { around(trace, key)? };
    let mut rows: Vec<EventRow> = events.iter().map(|(id, event)| row(*id, event, None)).collect();
    if key.filter.is_some() {
        for row in &mut rows {
            let hit = hits.get(hits.partition(|id| id < row.id));
            row.process = hit.and_then(|hit| hits.name(hit)).cloned().unwrap_or_default();
        }
    }
    let named = film.is_some();
    if let Some((film, job)) = film
        && !name(trace, (film, job), key, &mut rows)?
    {
        return Ok(None);
    }
    let first = rows.first().filter(|_| key.filter.is_none());
    let first_number = first.map(|row| number(trace, key.uid, row.id)).transpose()?;
    Ok(Some(Page { rows, at_start, at_end, first_number, named }))
}

/// An event as it was read.
type Found = (EventId, OwnedEvent);

/// All events around the centre; whether there are none before and none after.
fn around(trace: &Trace, key: &PageKey) -> Result<(Vec<Found>, bool, bool), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let mut keep = |_: ContainerUid, event: &Event<'_>| is_shown(event, key.setup);
    let mut read = |from, direction| trace.recording.page(&query, from, direction, key.reach, &mut keep);
    // The centre's own time is read backwards with what is before it, so that no event of it is missed or doubled.
    let before = read(Anchor::Time(key.center.time()), Direction::Backward)?;
    let from = before.first().map_or(Anchor::Time(key.center.time()), |(id, ..)| Anchor::Event(*id));
    let after = read(from, Direction::Forward)?;
    let (at_start, at_end) = (before.len() < key.reach, after.len() < key.reach);
    let events = before.into_iter().rev().chain(after).map(|(id, _, event)| (id, event));
    Ok((events.collect(), at_start, at_end))
}

/// The hits around the centre.
fn of_hits(trace: &Trace, key: &PageKey, hits: &Hits) -> Result<(Vec<Found>, bool, bool), ReadError> {
    let middle = match key.center {
        Center::Time(time) => hits.partition(|id| id.time <= time),
        Center::Event(event) => hits.partition(|id| id <= event),
    };
    let first = middle.saturating_sub(key.reach);
    let last = (middle + key.reach).min(hits.len());
    let ids: Vec<EventId> = (first..last).filter_map(|at| hits.get(at)).map(|hit| hit.id).collect();
    let complete = hits.reading.is_none();
    Ok((fetch(trace, key.uid, &ids)?, first == 0, last == hits.len() && complete))
}

/// Reads the events of these ids: in one go where they lie close, else one by one.
fn fetch(trace: &Trace, uid: ContainerUid, ids: &[EventId]) -> Result<Vec<Found>, ReadError> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(Vec::new()) };
    let span = |begin, end| Query { containers: vec![uid], begin: Some(begin), end: Some(end) };
    let mut found = Vec::with_capacity(ids.len());
    let whole = span(first.time, last.time);
    if trace.recording.count_hint(&whole) <= CLOSE {
        take(trace, &whole, ids, &mut found)?;
        return Ok(found);
    }
    for id in ids {
        take(trace, &span(id.time, id.time), std::slice::from_ref(id), &mut found)?;
    }
    Ok(found)
}

fn take(trace: &Trace, query: &Query, ids: &[EventId], found: &mut Vec<Found>) -> Result<(), ReadError> {
    let mut wanted = ids.iter().peekable();
    trace.recording.walk(query, None, Direction::Forward, &mut |id, _, event| {
        while wanted.next_if(|next| **next < id).is_some() {}
        if wanted.next_if(|next| **next == id).is_some() {
            found.push((id, OwnedEvent::from_event(event)));
        }
        if wanted.peek().is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

/// Describes the rows again, each by the state that its event found. What lies too far apart stays as it is. `false` when
/// nobody waits for it any more.
fn name(
    trace: &Trace,
    (film, job): (&mut Film, &Job<'_>),
    key: &PageKey,
    rows: &mut [EventRow],
) -> Result<bool, ReadError> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(true) };
    let between = Query { containers: vec![key.uid], begin: Some(first.id.time), end: Some(last.id.time) };
    if trace.recording.count_hint(&between) > NAMING {
        return Ok(true);
    }
    if film.before(trace, (key.uid, key.generation), first.id, job)?.is_none() {
        return Ok(false);
    }
    // The playhead is on this page, and goes back and forth on it.
    film.mark();
    let mut wanted = rows.iter_mut().peekable();
    let (mut over, mut number) = (false, 0_u64);
    trace.recording.walk(&between, None, Direction::Forward, &mut |id, uid, event| {
        number += 1;
        over = over || number.is_multiple_of(LOOK) && (job.over)();
        if over {
            return ControlFlow::Break(());
        }
        // The film has seen what is before the first row.
        if film.at().is_some_and(|at| id <= at) {
            return ControlFlow::Continue(());
        }
        if let Some(slot) = wanted.next_if(|row| row.id == id) {
            *slot = row(id, &OwnedEvent::from_event(event), Some(film.world()));
        }
        film.apply(id, uid, event);
        if wanted.peek().is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(!over)
}

/// The event's number among all of its container, from 1. Rows of a block are in the order of their recording and blocks
/// of a container may overlap: what lies wholly before is counted, the rest is looked at.
fn number(trace: &Trace, uid: ContainerUid, id: EventId) -> Result<u64, ReadError> {
    let is_before = |block: &&BlockInfo| block.last < id.time;
    let (before, begin) = trace.recording.events_before(uid, id.time);
    let mut number = 1 + before;
    let query = Query { containers: vec![uid], begin: Some(begin.unwrap_or(id.time)), end: Some(id.time) };
    trace.recording.walk(&query, None, Direction::Forward, &mut |other, _, _| {
        let block = trace.recording.blocks().get(other.block as usize);
        number += u64::from(other < id && !block.as_ref().is_some_and(is_before));
        ControlFlow::Continue(())
    })?;
    Ok(number)
}

/// Whether an event tells the end or the beginning of a process.
pub(super) fn is_process(event: &Event<'_>) -> bool {
    use afterimage_format::EventCode;
    matches!(event.code, EventCode::FORK | EventCode::EXEC | EventCode::EXIT | EventCode::PROCESS)
}

/// Where in time a centre is, as an anchor that leaves the centre's own event out.
pub(super) fn anchor(center: Center) -> Anchor {
    match center {
        Center::Time(time) => Anchor::Time(time),
        Center::Event(id) => Anchor::Event(id),
    }
}

fn row(id: EventId, owned: &OwnedEvent, world: Option<&World>) -> EventRow {
    let process = world.and_then(|world| world.process_of_task(owned.task)).and_then(Process::comm);
    let process = owned.bytes(FieldTag::COMM).or(process).map_or_else(Safe::default, escape);
    owned.with(|event| EventRow {
        id,
        pid: event.task.tgid,
        process,
        name: safe!("{}", event_name(event.code)),
        detail: describe::detail(event, world.map(|world| world as &dyn FdNames)),
        result: describe::result(event),
        failed: event.ret < 0,
        class: class::classify(event),
        truncated: event.fields.iter().any(|f| f.flags.contains(FieldFlags::TRUNCATED)),
        incomplete: event.flags.contains(EventFlags::INCOMPLETE),
        differs: event.flags.contains(EventFlags::DIFFERS),
        setup: event.flags.contains(EventFlags::SETUP),
    })
}
