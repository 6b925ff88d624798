//! A whole life in a few lines: its findings, and what it came to.

use std::{ops::ControlFlow, sync::Arc};

use afterimage_format::{BootNanos, ContainerUid, Direction, EventFlags, EventId, Query, ReadError};
use afterimage_model::{
    World,
    files::Files,
    findings::{self, Finding},
    net::Network,
    text::Safe,
};

use super::{
    Job,
    moment::tree,
    scan::{STRIDE, percent},
};
use crate::{
    trace::Trace,
    tui::{
        feed::{Reply, Story, StoryKey, StoryRow, Tally},
        text::{bytes, grouped, safe},
        whole::Whole,
    },
};

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
    let (mut files, mut network) = (Files::new(), Network::new());
    let mut findings = findings::Story::new();
    let mut rows = Vec::new();
    let (mut seen, mut setup, mut over) = (0_u64, 0_u64, false);
    trace.recording.walk(&query, None, Direction::Forward, &mut |id, uid, event| {
        seen += 1;
        world.apply(uid, event);
        // What a runtime does to set a container up is none of its own acts.
        if event.flags.contains(EventFlags::SETUP) {
            setup += 1;
        } else {
            files.apply(&world, uid, event);
            network.apply(&world, uid, event);
        }
        rows.extend(findings.apply(&world, uid, event).map(|found| line(id, found)));
        if seen.is_multiple_of(STRIDE) {
            over = (job.over)();
            if seen.is_multiple_of(STRIDE * REPORTS) {
                let reading = Some(percent(seen, total));
                let part = Story { rows: rows.clone(), reading, ..Story::default() };
                (job.tell)(Reply::Story(key, part));
            }
        }
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        let summary = summary(&world, key.uid);
        let tree = tree(&world, key.uid);
        let whole = Arc::new(Whole::new(key.uid, world, files, network, tree));
        (job.tell)(Reply::Story(key, Story { rows, summary, setup, reading: None, whole: Some(whole) }));
    }
    Ok(())
}

/// Counts the findings of a container.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn tally(trace: &Trace, key: StoryKey, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let (mut world, mut findings, mut tally) = (World::new(), findings::Story::new(), Tally::default());
    trace.recording.walk(&query, None, Direction::Forward, &mut |_, uid, event| {
        world.apply(uid, event);
        if let Some(found) = findings.apply(&world, uid, event) {
            tally.add(found.severity);
        }
        ControlFlow::Continue(())
    })?;
    (job.tell)(Reply::Tally(key, tally));
    Ok(())
}

fn line(id: EventId, found: Finding) -> StoryRow {
    let text = match found.detail.as_str() {
        "" => Safe::literal(found.title),
        _ => safe!("{}: {}", found.title, found.detail),
    };
    StoryRow {
        time: id.time,
        id: Some(id),
        severity: found.severity,
        text,
        pid: found.task.tgid,
        tag: Safe::literal(found.attack),
    }
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
