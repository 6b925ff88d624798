//! What has to be read of a container for a filter: what `afterimage grep --explain` says.

use afterimage_format::ContainerUid;
use afterimage_model::text::{Safe, escape};

use super::Job;
use crate::{
    events::frame_of,
    trace::Trace,
    tui::{feed::Reply, filter::Library, text::safe},
};

/// Tells what a filter asks for and how much of the container may have it, line by line.
pub(super) fn explain(trace: &Trace, uid: ContainerUid, text: &str, library: &Library, job: &Job<'_>) {
    let filter = match library.compile(text) {
        Ok(filter) => filter,
        Err(error) => return (job.tell)(Reply::Failed(escape(error.to_string().as_bytes()))),
    };
    let frame = frame_of(trace, &filter, Some(uid));
    let recording = &trace.recording;
    let all: Vec<_> = recording.blocks().iter().filter(|block| block.container == uid).cloned().collect();
    let mut selected = filter.prefilter(&frame).blocks(recording);
    selected.retain(|at| all.iter().any(|block| block.index == *at));
    let explained = filter.explain(&frame, &all, &selected).to_string();
    let lines = explained.lines().map(|line| escape(line.as_bytes()));
    let note =
        safe!("so `afterimage grep` reads it; the screens read the whole life once, to tell the state too");
    (job.tell)(Reply::Explain(lines.chain([Safe::default(), note]).collect()));
}
