//! The alerts that came to the recorder. Read again only where their files have grown.

use std::{path::PathBuf, sync::Arc};

use super::Job;
use crate::{
    trace::{
        Trace,
        alerts::{self, Alert},
    },
    tui::{feed::Reply, text::safe},
};

/// The alerts read last, and the lengths of the files that they are from.
#[derive(Debug, Default)]
pub(crate) struct Known(Option<(Extent, Arc<Vec<Alert>>)>);

/// Files and their lengths.
type Extent = Vec<(PathBuf, u64)>;

/// Tells the alerts; where they cannot be read, that, and none.
pub(super) fn alerts(trace: &Trace, known: &mut Known, generation: u64, job: &Job<'_>) {
    let extent = alerts::extent(&trace.path);
    if let Some((_, all)) = known.0.as_ref().filter(|(before, _)| *before == extent) {
        return (job.tell)(Reply::Alerts(generation, Arc::clone(all)));
    }
    let all = alerts::alerts(trace).unwrap_or_else(|error| {
        (job.tell)(Reply::Failed(safe!("{error}")));
        Vec::new()
    });
    let all = Arc::new(all);
    known.0 = Some((extent, Arc::clone(&all)));
    (job.tell)(Reply::Alerts(generation, all));
}
