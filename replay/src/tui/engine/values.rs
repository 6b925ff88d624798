//! Values of fields: those of one event, and how often each occurs in a container.

use std::{collections::HashMap, ops::ControlFlow};

use afterimage_detect::{EventContext, FieldRef, Tracker};
use afterimage_format::{Query, ReadError};

use super::{
    Job,
    film::Film,
    moment::event,
    reading::{Looks, Step, walk},
    scan::percent,
    whole::with_wholes,
};
use crate::{
    events::{frame, is_shown, with_images},
    trace::Trace,
    tui::feed::{Center, MomentKey, Purpose, Reply, Values, ValuesKey},
};

/// Most different values that are counted.
const MOST: usize = 20_000;
/// Values that are told.
const TOLD: usize = 500;

/// The fields that one keeps or drops events by, the most telling first.
const FIELDS: [&str; 12] = [
    "proc.name",
    "fd.name",
    "evt.type",
    "proc.pid",
    "proc.exepath",
    "proc.cmdline",
    "fd.rip",
    "fd.rport",
    "evt.res",
    "evt.category",
    "proc.pname",
    "user.uid",
];

/// Tells the values of one event.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn cells(
    trace: &Trace,
    film: &mut Film,
    key: &MomentKey,
    purpose: Purpose,
    job: &Job<'_>,
) -> Result<(), ReadError> {
    let Center::Event(id) = key.at else { return Ok(()) };
    let Some(owned) = event(trace, key.uid, id)? else { return Ok(()) };
    let Some(world) = film.after(trace, (key.uid, key.generation), id, job)? else { return Ok(()) };
    let tracker = Tracker::from_world(world.clone());
    let frame = frame(trace);
    let record = trace.recording.containers().iter().find(|c| c.record.uid == key.uid).map(|c| &c.record);
    let mut cells = Vec::new();
    owned.with(|event| {
        let cx = EventContext::new(event, (key.uid, record), &tracker, &frame, 0);
        for name in FIELDS {
            let value = FieldRef::named(name).and_then(|field| Some(field.get(&cx)?.to_bytes().into_owned()));
            cells.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
        }
    });
    (job.tell)(Reply::Cells(purpose, cells));
    Ok(())
}

/// Counts the values of a field, telling those so far now and then.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn values(trace: &Trace, key: ValuesKey, job: &Job<'_>) -> Result<(), ReadError> {
    let Some(field) = FieldRef::named(key.field) else { return Ok(()) };
    let total = trace.recording.count_hint(&Query { containers: vec![key.uid], ..Query::default() });
    let mut counts = HashMap::<Vec<u8>, u64>::new();
    let frame = if field.asks_images() { with_images(trace, frame(trace)) } else { frame(trace) };
    let whole = (&[key.uid][..], field.asks_whole());
    let Some(frame) = with_wholes(trace, whole, frame, job)? else { return Ok(()) };
    let looks = Looks::Everywhere;
    let over = walk(trace, (key.uid, None), (&frame, looks), job, &mut |step| {
        let cx = match step {
            Step::Event(cx, ..) if !is_shown(cx.event(), key.setup) => {
                return ControlFlow::Continue(());
            }
            Step::Event(cx, ..) => cx,
            Step::Lacking => return ControlFlow::Continue(()),
            Step::Read(seen) => {
                (job.tell)(Reply::Values(key, sorted(&counts, Some(percent(seen, total)))));
                return ControlFlow::Continue(());
            }
        };
        if let Some(value) = field.get(cx) {
            for one in value.each() {
                let bytes = one.to_bytes();
                if let Some(count) = counts.get_mut(bytes.as_ref()) {
                    *count += 1;
                } else if counts.len() < MOST {
                    counts.insert(bytes.into_owned(), 1);
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    if !over {
        (job.tell)(Reply::Values(key, sorted(&counts, None)));
    }
    Ok(())
}

fn sorted(counts: &HashMap<Vec<u8>, u64>, reading: Option<u8>) -> Values {
    let mut counts: Vec<(Vec<u8>, u64)> =
        counts.iter().map(|(value, count)| (value.clone(), *count)).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(TOLD);
    Values { counts, reading }
}
