//! A whole life in a few lines: its findings, and what it came to.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use afterimage_format::{BootNanos, ContainerUid, Direction, EventId, Query, ReadError};
use afterimage_model::{
    World,
    findings::{self, Finding},
    process::Process,
    text::{Safe, escape},
};

use super::{
    Job,
    life::Life,
    scan::{STRIDE, percent},
};
use crate::{
    analysis::images::Images,
    trace::Trace,
    tui::{
        feed::{Reply, Story, StoryKey, StoryRow, Tally},
        text::{bytes, grouped, safe},
    },
};

/// Room for the bytes of executed images.
const IMAGE_ROOM: usize = 64 << 20;
/// Looks between two reports.
const REPORTS: u64 = 32;
/// Findings of a kind that are listed: whoever makes many of one hides none of another behind them.
const MOST_OF_KIND: u64 = 1000;

/// The findings so far, the first ones of each kind.
#[derive(Default)]
struct Lines {
    rows: Vec<StoryRow>,
    /// How many there were of each kind, by its title.
    seen: HashMap<&'static str, u64>,
    left_out: u64,
}

impl Lines {
    fn add(&mut self, id: EventId, found: Finding, process: Option<Safe>) {
        let seen = self.seen.entry(found.title).or_default();
        *seen += 1;
        if *seen > MOST_OF_KIND {
            self.left_out += 1;
        } else {
            self.rows.push(line(id, found, process));
        }
    }
}

/// Reads the whole life, telling the story so far now and then.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn story(trace: &Trace, key: StoryKey, job: &Job<'_>) -> Result<(), ReadError> {
    let query = Query { containers: vec![key.uid], ..Query::default() };
    let total = trace.recording.count_hint(&query).max(1);
    let mut life = Life::default();
    let mut images = Images::new(IMAGE_ROOM);
    let mut findings = findings::Story::new();
    let (mut lines, mut told) = (Lines::default(), (0, None));
    let (mut seen, mut over) = (0_u64, false);
    trace.recording.walk(&query, None, Direction::Forward, &mut |id, uid, event| {
        seen += 1;
        life.apply(uid, event);
        images.apply(Some(&life.world), event);
        if let Some(found) = findings.apply(&life.world, uid, event) {
            let process = life.world.process_of_task(found.task).map(as_it_is);
            lines.add(id, found, process);
        }
        if seen.is_multiple_of(STRIDE) {
            over = (job.over)();
            if seen.is_multiple_of(STRIDE * REPORTS) {
                let reading = Some(percent(seen, total));
                let now = (lines.rows.len(), reading);
                if std::mem::replace(&mut told, now) != now {
                    let (rows, left_out) = (lines.rows.clone(), lines.left_out);
                    (job.tell)(Reply::Story(key, Story { rows, left_out, reading, ..Story::default() }));
                }
            }
        }
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        let (summary, setup) = (summary(&life.world, key.uid), life.setup);
        images.check();
        let whole = Arc::new(life.whole(key.uid, None, Arc::new(images)));
        let Lines { rows, left_out, .. } = lines;
        let story = Story { rows, left_out, summary, setup, reading: None, whole: Some(whole) };
        (job.tell)(Reply::Story(key, story));
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

fn line(id: EventId, found: Finding, process: Option<Safe>) -> StoryRow {
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
        process: process.unwrap_or_else(|| safe!("{}", found.task.tgid)),
        tag: Safe::literal(found.attack),
    }
}

/// A process as it is now: `412 sh sh -c id`.
pub(super) fn as_it_is(process: &Process) -> Safe {
    let name = process.comm().map_or_else(Safe::default, escape);
    safe!("{} {name} {}", process.key.tgid, process.title())
}

fn summary(world: &World, uid: ContainerUid) -> Vec<(Safe, Safe)> {
    // Those of the tree: what only set the container up is none of its own.
    let processes: Vec<&Process> = world.tree(uid).into_iter().map(|row| row.process.as_ref()).collect();
    let executed: usize = processes.iter().map(|p| p.execs.len()).sum();
    let sum = |part: fn(&Process) -> u64| processes.iter().map(|p| part(p)).sum::<u64>();
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

#[cfg(test)]
mod tests {
    use afterimage_format::{EventCode, TaskKey};
    use afterimage_model::findings::Severity;

    use super::*;

    #[test]
    fn many_findings_of_a_kind_hide_none_of_another() {
        let mut lines = Lines::default();
        let mut add = |at: u64, title| {
            let found = Finding {
                time: BootNanos(at),
                container: ContainerUid(1),
                task: TaskKey::default(),
                code: EventCode::EXEC,
                severity: Severity::Notice,
                title,
                detail: Safe::default(),
                attack: "",
            };
            lines.add(EventId { time: BootNanos(at), block: 0, row: at as u32 }, found, None);
        };
        (0..5 * MOST_OF_KIND).for_each(|at| add(at, "noise"));
        add(5 * MOST_OF_KIND, "the one");
        assert_eq!((lines.rows.len() as u64, lines.left_out), (MOST_OF_KIND + 1, 4 * MOST_OF_KIND));
        assert_eq!(lines.rows.last().map(|row| row.text.as_str()), Some("the one"));
    }
}
