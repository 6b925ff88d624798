//! The recording as its index tells it: what the first screen shows.

use afterimage_format::{ContainerSummary, FactKey};
use afterimage_model::text::{Safe, escape};

use crate::{
    trace::{self, Life, Trace},
    tui::{
        feed::{Catalog, ContainerRow},
        moment::Clocks,
        text::safe,
    },
};

/// Makes the catalog.
pub(crate) fn catalog(trace: &Trace, generation: u64) -> Catalog {
    let recording = &trace.recording;
    let origin = recording.origin();
    Catalog {
        place: escape(trace.path.as_os_str().as_encoded_bytes()),
        host: escape(&origin.hostname),
        kernel: safe!("{} {}", escape(&origin.kernel), escape(&origin.machine)),
        recorder: escape(&origin.recorder),
        unsealed: recording.unsealed(),
        clocks: Clocks::new(recording.clock()),
        range: trace.range(),
        containers: recording.containers().iter().map(|summary| row(trace, summary)).collect(),
        losses: recording.losses().to_vec(),
        damage: recording
            .defects()
            .iter()
            .map(|defect| (defect.kind, escape(defect.to_string().as_bytes())))
            .collect(),
        unread: recording.unread(),
        damage_known: recording.damage_known(),
        degraded: origin.degraded.iter().map(|text| escape(text)).collect(),
        generation,
        blocks: recording.blocks().len() as u64,
        stored: recording.blocks().iter().map(|block| block.stored).sum(),
    }
}

fn row(trace: &Trace, summary: &ContainerSummary) -> ContainerRow {
    let record = &summary.record;
    let short_id = trace::short_id(record);
    ContainerRow {
        uid: record.uid,
        is_container: record.is_container(),
        name: trace::name(record).unwrap_or_else(|| short_id.clone()),
        short_id,
        id: trace::id(record),
        image: trace::image(record),
        pod: trace::pod(record),
        engine: record.engine.as_str(),
        cgroup: escape(&record.cgroup_path),
        facts: facts(summary),
        life: Life::of(trace, summary),
        removed: record.removed,
        events: summary.events,
        lost: summary.lost,
        range: summary.range,
    }
}

/// The latest of each kind that has no place of its own on the screen.
fn facts(summary: &ContainerSummary) -> Vec<(&'static str, Safe, &'static str)> {
    const SHOWN: [FactKey; 4] =
        [FactKey::Image, FactKey::PodName, FactKey::PodNamespace, FactKey::PodContainer];
    let facts =
        summary.record.facts.iter().filter(|fact| !SHOWN.contains(&fact.key) && !fact.value.is_empty());
    facts.map(|fact| (fact.key.as_str(), escape(&fact.value), fact.source.as_str())).collect()
}
