//! Which containers a filter keeps: what it says of a container before any event is read. Bare words are looked
//! for in what the list shows.

use afterimage_detect::{Filter, Frame, Verdict};

use crate::{
    events::frame_of,
    trace::{self, Life, Trace},
    tui::{
        feed::Kept,
        filter::{Library, words},
    },
};

/// For each container of the recording whether the filter keeps it; all, where it is not understood.
pub(super) fn keep(trace: &Trace, text: &str, library: &Library) -> Kept {
    let containers = trace.recording.containers();
    if let Some(words) = words(text) {
        let rows = containers.iter().map(|summary| has_words(trace, summary, &words)).collect();
        return Kept { rows, asks_events: false };
    }
    let ready = library.compile(text).ok().map(|filter| (frame_of(trace, &filter, None), filter));
    match ready {
        Some((frame, filter)) if filter.check_moments(&frame).is_ok() => admitted(trace, &filter, &frame),
        _ => Kept { rows: vec![true; containers.len()], asks_events: false },
    }
}

fn admitted(trace: &Trace, filter: &Filter, frame: &Frame) -> Kept {
    let before = filter.prefilter(frame);
    let containers = trace.recording.containers().iter().map(|summary| &summary.record);
    let verdicts: Vec<Verdict> =
        containers.map(|record| before.container(record.uid, Some(record))).collect();
    Kept {
        rows: verdicts.iter().map(|verdict| *verdict != Verdict::Never).collect(),
        asks_events: verdicts.contains(&Verdict::Maybe),
    }
}

fn has_words(trace: &Trace, summary: &afterimage_format::ContainerSummary, words: &[String]) -> bool {
    let record = &summary.record;
    let shown = [
        Some(trace::id(record)),
        trace::name(record),
        trace::image(record),
        trace::pod(record),
        Some(afterimage_model::text::escape(&record.cgroup_path)),
    ];
    let texts: Vec<String> = shown.into_iter().flatten().map(|text| text.as_str().to_lowercase()).collect();
    let state = Life::of(trace, summary).state.as_str();
    let engine = record.engine.as_str();
    words.iter().all(|word| word == state || word == engine || texts.iter().any(|text| text.contains(word)))
}
