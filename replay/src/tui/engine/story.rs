//! A whole life in a few lines: what was executed, what of it was not part of the image, and what it came to.

use std::ops::ControlFlow;

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, Query, ReadError, layout::exec};
use afterimage_model::{World, describe, text::Safe};

use super::{
    Job,
    scan::{STRIDE, percent},
};
use crate::{
    trace::Trace,
    tui::{
        feed::{Reply, Story, StoryKey, StoryRow, Weight},
        text::{bytes, grouped, safe},
    },
};

/// Most lines: a container that executes without end is not a story.
const LINES: usize = 1_000;
/// Looks between two reports.
const REPORTS: u64 = 32;

/// Reads the whole life, telling the story so far now and then.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn story(trace: &Trace, key: StoryKey, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let total = trace.recording.count_hint(&query).max(1);
    let mut world = World::new();
    let mut rows = Vec::new();
    let (mut seen, mut over) = (0_u64, false);
    trace.recording.for_each(&query, &mut |uid, event| {
        seen += 1;
        world.apply(uid, event);
        if rows.len() < LINES {
            rows.extend(line(event));
        }
        if seen.is_multiple_of(STRIDE) {
            over = (job.over)();
            if seen.is_multiple_of(STRIDE * REPORTS) {
                let part =
                    Story { rows: rows.clone(), summary: Vec::new(), reading: Some(percent(seen, total)) };
                (job.tell)(Reply::Story(key, part));
            }
        }
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        (job.tell)(Reply::Story(key, Story { rows, summary: summary(&world, key.uid), reading: None }));
    }
    Ok(())
}

/// The line that an event is worth, if any.
fn line(event: &Event<'_>) -> Option<StoryRow> {
    if event.code != EventCode::EXEC {
        return None;
    }
    let flags = event.number(exec::EXE_FLAGS).unwrap_or(0);
    let foreign = flags & (exec::EXE_UPPER_LAYER | exec::EXE_MEMFD) != 0;
    let what = if foreign { " executed, not part of the image" } else { " executed" };
    Some(StoryRow {
        time: event.time,
        id: None,
        weight: if foreign { Weight::Alert } else { Weight::Note },
        text: safe!("{}{what}", describe::command_line(event)),
        tag: Safe::default(),
    })
}

fn summary(world: &World, uid: ContainerUid) -> Vec<(Safe, Safe)> {
    let processes = world.processes(uid);
    let executed: usize = processes.iter().map(|p| p.execs.len()).sum();
    let sum =
        |part: fn(&afterimage_model::process::Process) -> u64| processes.iter().map(|p| part(p)).sum::<u64>();
    let first = processes.iter().map(|p| p.began()).min().unwrap_or(BootNanos(0));
    let late = processes.iter().filter(|p| p.parent.is_none() && p.began() > first).count();
    let entered = if late == 0 { Safe::default() } else { safe!(", {late} came from outside") };
    vec![
        (
            Safe::literal("processes"),
            safe!(
                "{}, {} programs executed{entered}",
                grouped(processes.len() as u64),
                grouped(executed as u64)
            ),
        ),
        (Safe::literal("written"), safe!("{} to files", bytes(sum(|p| p.bytes_written)))),
        (
            Safe::literal("network"),
            safe!("{} sent, {} received", bytes(sum(|p| p.bytes_sent)), bytes(sum(|p| p.bytes_received))),
        ),
    ]
}
