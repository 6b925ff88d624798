//! A page of the event list, read around a moment.

use std::ops::ControlFlow;

use afterimage_format::{
    Anchor, ContainerUid, Direction, Event, EventFlags, EventId, FieldFlags, FieldTag, OwnedEvent, Query,
    ReadError,
};
use afterimage_model::{
    World, class,
    describe::{self, FdNames},
    event_name,
    process::Process,
    text::{Safe, escape},
};

use super::film::Film;

use crate::{
    trace::Trace,
    tui::{
        feed::{Center, EventRow, Page, PageKey},
        text::safe,
    },
};

/// Most events that are read to tell what the rows' processes and descriptors were.
const NAMING: u64 = 400_000;

/// Reads the rows before and after the centre that the filter keeps. With a film, rows tell what their processes
/// and descriptors were; that may need a longer reading.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn page(trace: &Trace, film: Option<&mut Film>, key: &PageKey) -> Result<Page, ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let mut keep = |_: ContainerUid, event: &Event<'_>| key.filter.keeps(event);
    let mut read = |from, direction| trace.recording.page(&query, from, direction, key.reach, &mut keep);
    // The centre's own time is read backwards with what is before it, so that no event of it is missed or doubled.
    let before = read(Anchor::Time(key.center.time()), Direction::Backward)?;
    let from = before.first().map_or(Anchor::Time(key.center.time()), |(id, ..)| Anchor::Event(*id));
    let after = read(from, Direction::Forward)?;
    let (at_start, at_end) = (before.len() < key.reach, after.len() < key.reach);
    let events: Vec<Found> = before.into_iter().rev().chain(after).collect();
    let mut rows: Vec<EventRow> = events.iter().map(|(id, _, event)| row(*id, event, None)).collect();
    let named = film.is_some();
    if let Some(film) = film {
        name(trace, film, key, &events, &mut rows)?;
    }
    let first = rows.first().filter(|_| key.filter.is_empty());
    let first_number = first.map(|row| number(trace, key.uid, row.id));
    Ok(Page { rows, at_start, at_end, first_number, named })
}

/// An event as it was read.
type Found = (EventId, ContainerUid, OwnedEvent);

/// Describes the rows again, each by the state that its event found. What lies too far apart stays as it is.
fn name(
    trace: &Trace,
    film: &mut Film,
    key: &PageKey,
    events: &[Found],
    rows: &mut [EventRow],
) -> Result<(), ReadError> {
    let (Some((first, ..)), Some((last, ..))) = (events.first(), events.last()) else { return Ok(()) };
    let query = Query { containers: vec![key.uid], begin: Some(first.time), end: Some(last.time) };
    if trace.recording.count_hint(&query) > NAMING {
        return Ok(());
    }
    film.before(trace, (key.uid, key.generation), *first)?;
    let mut next = 0;
    trace.recording.for_each(&query, &mut |uid, event| {
        // The film has seen everything before the first row; rows are found by being equal, in order.
        let is_row = events.get(next).is_some_and(|(_, _, owned)| owned.with(|wanted| wanted == event));
        if !is_row && next == 0 {
            return ControlFlow::Continue(());
        }
        if is_row && let (Some((id, ..)), Some(slot)) = (events.get(next), rows.get_mut(next)) {
            *slot = row(*id, &OwnedEvent::from_event(event), Some(film.world()));
            next += 1;
        }
        film.apply(uid, event);
        if next < events.len() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

/// The event's number among all of its container, from 1: rows of the blocks before its own, and its row.
fn number(trace: &Trace, uid: ContainerUid, id: EventId) -> u64 {
    let blocks = trace.recording.blocks().iter().filter(|block| block.container == uid);
    let before =
        blocks.take_while(|block| block.index < id.block as usize).map(|block| u64::from(block.rows));
    before.sum::<u64>() + u64::from(id.row) + 1
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
