//! Which events a filter keeps: one reading from the first event on, telling what is known so far.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use afterimage_detect::{EventContext, Filter, Frame, Tracker};
use afterimage_format::{ContainerUid, EventId, FieldTag, Query, ReadError};
use afterimage_model::{
    process::Process,
    text::{Safe, escape},
};

use super::{
    Job,
    reading::{Looks, Step, walk},
    scan::percent,
    whole::{LACKED, doubt, with_whole},
};
use crate::{
    events::{frame_of, is_shown},
    trace::Trace,
    tui::{
        feed::{HitsKey, Reply},
        filter::Library,
        hits::{Hit, Hits, MOST, Touched},
    },
};

/// Most things of a kind that are remembered as touched.
const MOST_TOUCHED: usize = 100_000;

/// Reads a container's events and tells which the filter keeps.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn hits(trace: &Trace, key: HitsKey, library: &Library, job: &Job<'_>) -> Result<(), ReadError> {
    let Some((filter, frame)) = ready(trace, (key.uid, &key.text), library, job)? else { return Ok(()) };
    let mut found = Finder {
        filter: &filter,
        hits: Hits::default(),
        chunk: Vec::new(),
        names: Names::default(),
        touched: Touched::default(),
    };
    found.hits.doubt = doubt(&filter, &frame);
    let total = trace.recording.count_hint(&Query { containers: vec![key.uid], ..Query::default() });
    let over = walk(trace, (key.uid, None), (&frame, Looks::For(&filter)), job, &mut |step| {
        match step {
            Step::Event(cx, ..) if !is_shown(cx.event(), key.setup) => {}
            Step::Event(cx, id, tracker) => found.look(cx, id, tracker),
            Step::Read(seen) => {
                found.hand_over(Some(percent(seen, total)));
                (job.tell)(Reply::Hits(key.clone(), found.hits.clone()));
            }
            Step::Lacking => found.hits.doubt = found.hits.doubt.or(Some(LACKED)),
        }
        if found.hits.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if !over {
        found.hand_over(None);
        found.hits.touched = Arc::new(found.touched);
        (job.tell)(Reply::Hits(key, found.hits));
    }
    Ok(())
}

/// A filter that is ready to be asked of a container's events, with what it asks of the whole recording; none where it cannot
/// be asked, which is told, or where nobody waits any more.
pub(super) fn ready(
    trace: &Trace,
    (uid, text): (ContainerUid, &str),
    library: &Library,
    job: &Job<'_>,
) -> Result<Option<(Filter, Frame)>, ReadError> {
    let checked = |filter: Filter| {
        let frame = frame_of(trace, &filter, Some(uid));
        filter.check_moments(&frame).map(|()| (filter, frame))
    };
    let (mut filter, frame) = match library.compile(text).and_then(checked) {
        Ok(ready) => ready,
        Err(error) => {
            (job.tell)(Reply::Failed(escape(error.to_string().as_bytes())));
            return Ok(None);
        }
    };
    let Some(frame) = with_whole(trace, (&filter, Some(uid)), frame, job)? else { return Ok(None) };
    if filter.needs_survey() {
        let looks = Looks::Everywhere;
        let over = walk(trace, (uid, None), (&frame, looks), job, &mut |step| {
            if let Step::Event(cx, ..) = step {
                filter.survey(cx);
            }
            ControlFlow::Continue(())
        })?;
        if over {
            return Ok(None);
        }
    }
    Ok(Some((filter, frame)))
}

/// Names, each kept once.
#[derive(Default)]
struct Names {
    places: HashMap<Vec<u8>, u32>,
    texts: Vec<Safe>,
}

impl Names {
    fn place(&mut self, name: &[u8]) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.places.insert(name.to_vec(), place);
        self.texts.push(escape(name));
        place
    }
}

struct Finder<'f> {
    filter: &'f Filter,
    hits: Hits,
    chunk: Vec<Hit>,
    names: Names,
    touched: Touched,
}

impl Finder<'_> {
    fn look(&mut self, cx: &EventContext<'_>, id: EventId, tracker: &Tracker) {
        if !self.filter.matches(cx) {
            return;
        }
        if self.hits.len() + self.chunk.len() >= MOST {
            self.hits.full = true;
            return;
        }
        let process = tracker.world().process_of_task(cx.task());
        let name = self.names.place(process.and_then(Process::comm).unwrap_or_default());
        self.chunk.push(Hit { id, name });
        self.touch(cx, tracker);
    }

    /// Remembers what the event was about.
    fn touch(&mut self, cx: &EventContext<'_>, tracker: &Tracker) {
        let touched = &mut self.touched;
        if touched.pids.len() < MOST_TOUCHED {
            touched.pids.insert(cx.task().tgid);
        }
        let info = cx.fd_number().and_then(|fd| tracker.world().fd(cx.task(), fd));
        if touched.paths.len() < MOST_TOUCHED {
            let kernel = tracker.world().kernel_path_of(cx.event());
            let claimed = cx.event().bytes(FieldTag::PATH);
            touched.paths.extend(kernel);
            touched.paths.extend(claimed.map(|path| tracker.world().resolve(cx.task(), None, path)));
            touched.paths.extend(info.and_then(|info| info.kind.path()).map(<[u8]>::to_vec));
        }
        if touched.peers.len() < MOST_TOUCHED
            && let Some(peer) =
                info.and_then(|info| info.kind.socket()).and_then(|socket| socket.peer.as_ref())
        {
            touched.peers.insert(peer.to_string());
        }
    }

    /// Moves what was found since the last report to the hits.
    fn hand_over(&mut self, reading: Option<u8>) {
        self.hits.push(std::mem::take(&mut self.chunk));
        if self.hits.names.len() != self.names.texts.len() {
            self.hits.names = Arc::new(self.names.texts.clone());
        }
        self.hits.reading = reading;
    }
}
