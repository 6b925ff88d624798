//! What two containers did differently.

use afterimage_format::{ContainerUid, ReadError};

use super::Job;
use crate::{
    analysis::behaviour::Behaviour,
    failure::Failure,
    time::Span,
    trace::{Target, Trace},
    tui::{
        feed::{DiffKey, DiffRow, Reply},
        text::safe,
    },
};

/// Compares the whole lives; what both did is left out.
///
/// # Errors
/// None: what cannot be read is told.
pub(super) fn diff(trace: &Trace, key: DiffKey, job: &Job<'_>) -> Result<(), ReadError> {
    let of = |uid: ContainerUid| {
        let summary = trace.recording.containers().iter().find(|c| c.record.uid == uid);
        summary.map_or_else(
            || Ok(Behaviour::default()),
            |summary| Behaviour::of(&Target { trace, summary }, Span::default()),
        )
    };
    let compared = of(key.a).and_then(|a| Ok::<_, Failure>(a.compare(of(key.b)?)));
    match compared {
        Ok(all) => {
            let rows = all.iter().filter(|row| row.is_one_sided()).map(|row| DiffRow {
                what: row.kind(),
                item: row.item().clone(),
                counts: row.counts(),
            });
            (job.tell)(Reply::Diff(key, rows.collect()));
        }
        Err(error) => (job.tell)(Reply::Failed(safe!("{error}"))),
    }
    Ok(())
}
