//! Which containers have events that a filter keeps: one container after the other, the newest first, telling what is known
//! so far.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use afterimage_detect::{Filter, Frame, Sieve, Verdict};
use afterimage_format::{ContainerSummary, ContainerUid, ReadError};
use afterimage_model::text::escape;

use super::{
    Job,
    reading::{Looks, Step, walk, walk_with},
    scan::percent,
    whole::{LACKED, doubt, with_whole},
};
use crate::{
    events::{frame_of, is_shown},
    trace::Trace,
    tui::{
        feed::{Found, Reply, Sweep, SweepKey},
        filter::Library,
    },
};

/// What is known so far is told so often at most.
const OFTEN: Duration = Duration::from_millis(100);

/// Searches all containers.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn sweep(trace: &Trace, key: SweepKey, library: &Library, job: &Job<'_>) -> Result<(), ReadError> {
    if key.text.is_empty() {
        // Asked so that a search under way ends.
        return Ok(());
    }
    let checked = |filter: Filter| {
        let frame = frame_of(trace, &filter, None);
        filter.check_moments(&frame).map(|()| (filter, frame))
    };
    let (filter, frame) = match library.compile(&key.text).and_then(checked) {
        Ok(ready) => ready,
        Err(error) => {
            (job.tell)(Reply::Failed(escape(error.to_string().as_bytes())));
            return Ok(());
        }
    };
    let Some(frame) = with_whole(trace, (&filter, None), frame, job)? else { return Ok(()) };
    let wanted = wanted(trace, &filter, &frame);
    let total: u64 = wanted.iter().map(|(container, _)| container.events).sum();
    let mut sweeper = Sweeper { trace, key, library, frame, job, found: Sweep::default(), told: None };
    let (mut before, total) = (0, total.max(1));
    let mut sieve = Sieve::of([&filter]);
    for (container, blocks) in wanted {
        if sweeper.container(&mut sieve, container.record.uid, blocks, (before, total))? {
            return Ok(());
        }
        before += container.events;
        sweeper.tell(percent(before, total));
    }
    sweeper.found.reading = None;
    (job.tell)(Reply::Sweep(sweeper.key, sweeper.found));
    Ok(())
}

/// The containers that can have events that the filter keeps, the newest first, and the blocks that these can be in; none
/// where the state has to be known to tell.
fn wanted<'t>(
    trace: &'t Trace,
    filter: &Filter,
    frame: &Frame,
) -> Vec<(&'t ContainerSummary, Option<Vec<usize>>)> {
    let recording = &trace.recording;
    let before = filter.prefilter(frame);
    let surveyed = filter.needs_survey();
    let mut blocks: HashMap<ContainerUid, Vec<usize>> = HashMap::new();
    if !surveyed {
        for index in before.blocks(recording) {
            if let Some(block) = recording.blocks().get(index) {
                blocks.entry(block.container).or_default().push(index);
            }
        }
    }
    let of = |container: &'t ContainerSummary| {
        let record = &container.record;
        if before.container(record.uid, Some(record)) == Verdict::Never {
            return None;
        }
        if surveyed { Some((container, None)) } else { Some((container, Some(blocks.remove(&record.uid)?))) }
    };
    let mut all: Vec<_> = recording.containers().iter().filter_map(of).collect();
    all.sort_by_key(|(container, _)| std::cmp::Reverse(container.record.first_seen));
    all
}

struct Sweeper<'s> {
    trace: &'s Trace,
    key: SweepKey,
    library: &'s Library,
    frame: Frame,
    job: &'s Job<'s>,
    found: Sweep,
    told: Option<Instant>,
}

impl Sweeper<'_> {
    /// Searches one container; whether nobody waits any more.
    fn container(
        &mut self,
        sieve: &mut Sieve,
        uid: ContainerUid,
        blocks: Option<Vec<usize>>,
        (before, total): (u64, u64),
    ) -> Result<bool, ReadError> {
        if (self.job.over)() {
            return Ok(true);
        }
        // What a filter remembers on its way is of one container.
        let Ok(mut filter) = self.library.compile(&self.key.text) else { return Ok(false) };
        let frame = self.frame.clone();
        if filter.needs_survey() {
            let over = walk(self.trace, (uid, None), (&frame, Looks::Everywhere), self.job, &mut |step| {
                if let Step::Event(cx, ..) = step {
                    filter.survey(cx);
                }
                ControlFlow::Continue(())
            })?;
            if over {
                return Ok(true);
            }
        }
        self.found.doubt = self.found.doubt.or_else(|| doubt(&filter, &frame));
        let looks = blocks.map_or(Looks::For(&filter), |blocks| Looks::In(&filter, blocks));
        let (trace, job, setup) = (self.trace, self.job, self.key.setup);
        walk_with(sieve, trace, (uid, vec![uid], None), (&frame, looks), job, &mut |step| {
            match step {
                Step::Event(cx, id, _) if is_shown(cx.event(), setup) && filter.matches(cx) => {
                    let found = self.found.by_container.entry(uid).or_insert(Found { count: 0, first: id });
                    found.count += 1;
                }
                Step::Event(..) => {}
                Step::Read(seen) => self.tell(percent(before + seen, total)),
                Step::Lacking => self.found.doubt = self.found.doubt.or(Some(LACKED)),
            }
            ControlFlow::Continue(())
        })
    }

    /// Tells what is known so far, now and then.
    fn tell(&mut self, percent: u8) {
        if self.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            self.told = Some(Instant::now());
            self.found.reading = Some(percent);
            (self.job.tell)(Reply::Sweep(self.key.clone(), self.found.clone()));
        }
    }
}
