//! What the rules of a file match in a container.

use std::{ops::ControlFlow, path::Path};

use afterimage_detect::{
    RuleSet,
    rules::{Priority, RuleWarning},
};
use afterimage_format::ReadError;
use afterimage_model::{
    findings::Severity,
    text::{Safe, escape},
};

use super::{
    Job,
    reading::{Looks, Step, walk},
    story::as_it_is,
    whole::{LACKED, with_wholes},
};
use crate::{
    events::{frame, frame_with_names, with_images},
    trace::Trace,
    tui::{
        case::is_technique,
        feed::{Reply, StoryKey, StoryRow},
        text::{grouped, safe},
    },
};

/// Most hits that are told.
const MOST: usize = 10_000;
/// Most warnings of a file that are told.
const WARNINGS: usize = 20;

/// Runs the rules and tells what they match.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn rules(trace: &Trace, key: StoryKey, file: &Path, job: &Job<'_>) -> Result<(), ReadError> {
    let rules = match RuleSet::load(&[file]) {
        Ok(rules) => rules,
        Err(error) => {
            (job.tell)(Reply::Failed(escape(error.to_string().as_bytes())));
            return Ok(());
        }
    };
    let mut frame = if rules.asks_alerts() { frame_with_names(trace, Some(key.uid)) } else { frame(trace) };
    if rules.asks_images() {
        frame = with_images(trace, frame);
    }
    let whole = (&[key.uid][..], rules.asks_whole());
    let Some(frame) = with_wholes(trace, whole, frame, job)? else { return Ok(()) };
    let mut notes = warnings(&rules);
    notes.extend(frame.lacking().map(uncertain));
    let mut rows = Vec::new();
    walk(trace, (key.uid, None), (&frame, Looks::Rules(&rules)), job, &mut |step| {
        let (cx, id, tracker) = match step {
            Step::Event(cx, id, tracker) => (cx, id, tracker),
            Step::Read(_) => return ControlFlow::Continue(()),
            Step::Lacking => {
                notes.push(uncertain(LACKED));
                return ControlFlow::Continue(());
            }
        };
        for hit in rules.evaluate(cx) {
            let tag = hit.tags.iter().find(|tag| is_technique(tag));
            rows.push(StoryRow {
                time: id.time,
                id: Some(id),
                severity: severity(hit.priority),
                text: safe!("rule {}: {}", escape(hit.name.as_bytes()), escape(hit.message.as_bytes())),
                pid: cx.task().tgid,
                process: tracker.world().process_of_task(cx.task()).map_or_else(Safe::default, as_it_is),
                tag: tag.map_or_else(Safe::default, |tag| escape(tag.as_bytes())),
            });
        }
        if rows.len() >= MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if rows.len() >= MOST {
        notes.push(safe!("only the first {} matches are told", grouped(rows.len() as u64)));
    }
    (job.tell)(Reply::Rules(key.uid, rows, notes));
    Ok(())
}

/// What the file's author should know.
fn warnings(rules: &RuleSet) -> Vec<Safe> {
    let all = rules.warnings();
    let told = |warning: &RuleWarning| escape(warning.to_string().as_bytes());
    let mut lines: Vec<Safe> = all.iter().take(WARNINGS).map(told).collect();
    if all.len() > WARNINGS {
        lines.push(safe!("and {} more warnings: `afterimage hunt` tells all", all.len() - WARNINGS));
    }
    lines
}

fn uncertain(why: &'static str) -> Safe {
    safe!("not certain: {why}")
}

fn severity(priority: Priority) -> Severity {
    match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical => Severity::Critical,
        Priority::Error | Priority::Warning => Severity::Warning,
        Priority::Notice => Severity::Notice,
        Priority::Informational | Priority::Debug => Severity::Info,
    }
}
