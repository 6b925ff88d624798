//! Filters over a recording's events: what the user wrote, with everything it needs to be asked.

use std::ops::ControlFlow;

use afterimage_detect::{
    Bits, Ended, EventContext, Filter, Frame, OfProcess, Sieve, Told, Tracker, Verdict, WholeAsks,
};
use afterimage_format::{
    BootNanos, Columns, ContainerRecord, ContainerUid, Event, EventId, Query, ReadError,
};
use afterimage_model::text::{Safe, unescape};

use super::{SHIPPED, trees};
use crate::{
    failure::Failure,
    output::terminal::defused,
    progress::Progress,
    trace::{
        Trace,
        alerts::{Alert, alerts, numbered},
        followed_from, marks,
    },
};

/// Filters that must all hold.
#[derive(Debug, Default)]
pub struct Filters {
    list: Vec<Filter>,
    /// What each was read from: columns of errors count in it.
    texts: Vec<String>,
}

impl Filters {
    /// Reads filters.
    ///
    /// # Errors
    /// The first that is none: where in it, what, and what to write instead.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, Failure> {
        let saved = trees(SHIPPED);
        let read = |text: &T| {
            let text = text.as_ref();
            Filter::parse_with(text, &saved)
                .map_err(|e| Failure::Usage(format!("filter `{}`: {e}", defused(text))))
        };
        Ok(Self {
            list: texts.iter().map(read).collect::<Result<_, _>>()?,
            texts: texts.iter().map(|text| text.as_ref().to_owned()).collect(),
        })
    }

    /// Whether there is none: everything passes.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each filter.
    pub fn iter(&self) -> impl Iterator<Item = &Filter> {
        self.list.iter()
    }

    /// What works but may not mean what its writer thinks, a sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.list.iter().flat_map(|filter| {
            filter.warnings().iter().map(move |w| format!("filter `{filter}`: {}", w.message))
        })
    }

    /// A bound was reached: see [`Filter::saturated`].
    pub fn saturated(&self) -> bool {
        self.list.iter().any(Filter::saturated)
    }

    /// The first pass, where one is needed.
    ///
    /// # Errors
    /// [`Failure::Read`].
    pub(super) fn survey(
        &mut self,
        (trace, of): (&Trace, Option<ContainerUid>),
        query: &Query,
    ) -> Result<(), Failure> {
        if !self.list.iter().any(Filter::needs_survey) {
            return Ok(());
        }
        let mut asked = Asked::new(trace, self.ready(trace, of)?);
        trace.recording.for_each(query, &mut |uid, event| {
            asked.apply(uid, event);
            let cx = asked.context(uid, event);
            self.list.iter_mut().filter(|f| f.needs_survey()).for_each(|f| f.survey(&cx));
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// The containers of which any event can pass, besides the host, whose processes are the ancestors of all.
    /// `None` where that is no restriction.
    pub(super) fn containers(&self, trace: &Trace) -> Option<Vec<ContainerUid>> {
        if self.list.is_empty() {
            return None;
        }
        let frame = self.frame(trace, None);
        let filters: Vec<_> = self.list.iter().map(|f| f.prefilter(&frame)).collect();
        let all = trace.recording.containers();
        let may = |uid, record| filters.iter().all(|f| f.container(uid, Some(record)) != Verdict::Never);
        let mut kept: Vec<ContainerUid> =
            all.iter().filter(|s| may(s.record.uid, &s.record)).map(|s| s.record.uid).collect();
        if kept.len() == all.len() {
            return None;
        }
        if !kept.contains(&ContainerUid::HOST) {
            kept.push(ContainerUid::HOST);
        }
        Some(kept)
    }

    /// What holds for the whole recording but for whole lives, as far as these filters ask; where they are asked of one container, alerts and marks are
    /// its own, as they are for `--begin` and `--end`.
    pub fn frame(&self, trace: &Trace, of: Option<ContainerUid>) -> Frame {
        let asks = |ask: fn(&Filter) -> bool| self.list.iter().any(ask);
        let frame =
            if asks(Filter::asks_alerts) { told_frame((trace, of), &self.list) } else { frame(trace) };
        if asks(Filter::asks_images) { with_images(trace, frame) } else { frame }
    }

    /// The same with what they ask of whole lives, which are read for it.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn ready(&self, trace: &Trace, of: Option<ContainerUid>) -> Result<Frame, ReadError> {
        let frame = self.frame(trace, of);
        let all: Vec<&Filter> = self.list.iter().collect();
        let asks = all.iter().map(|filter| filter.asks_whole()).fold(WholeAsks::default(), WholeAsks::with);
        if !asks.is_any() {
            return Ok(frame);
        }
        with_whole(trace, (&trace.asked_whole(&all, &frame, of), of), asks, frame)
    }

    /// Looks up the alerts and marks that filters name, and what else they ask of the whole recording.
    ///
    /// # Errors
    /// A name that means nothing in this recording; the files with the names, or the recording, cannot be read.
    pub fn check(&self, trace: &Trace, of: Option<ContainerUid>) -> Result<(), Failure> {
        if self.list.iter().any(Filter::asks_images) {
            trace.images()?;
        }
        if !self.list.iter().any(Filter::asks_alerts) {
            return Ok(());
        }
        let frame = with_names((trace, of), &self.list, alerts(trace)?, marks(trace, of)?);
        self.list.iter().zip(&self.texts).try_for_each(|(filter, text)| {
            let refused = |e| Failure::Usage(format!("filter `{}`: {e}", defused(text)));
            filter.check_moments(&frame).map_err(refused)
        })
    }

    pub(super) fn matches(&self, cx: &EventContext<'_>) -> bool {
        self.list.iter().all(|f| f.matches(cx))
    }

    /// What they ask of nothing but who the event's process is.
    pub(super) fn of_process(&self) -> Vec<OfProcess<'_>> {
        self.list.iter().map(Filter::of_process).collect()
    }
}

/// What is to be told where [`Filter::saturated`].
pub const SATURATED: &str = "`near` or `seq` reached its bound in memory; the result may not be exact";

/// What holds for a whole recording, without the names of moments.
pub fn frame(trace: &Trace) -> Frame {
    Frame {
        clock: trace.recording.clock().clone(),
        range: trace.recording.time_range(),
        hostname: trace.recording.origin().hostname.clone(),
        lost: Some(lost(trace)),
        rooted: trace.rooted(),
        followed_from: followed_from(&trace.recording),
        ..Frame::default()
    }
}

fn lost(trace: &Trace) -> Vec<(ContainerUid, u64)> {
    let all = trace.recording.containers().iter().map(|container| (container.record.uid, container.lost));
    all.filter(|(_, lost)| *lost > 0).collect()
}

/// The same with alerts and marks of a container, or of all, which lie in files of their own: those that can be read.
pub fn frame_with_names(trace: &Trace, of: Option<ContainerUid>) -> Frame {
    told_frame((trace, of), &[])
}

/// As [`frame_with_names`]; the alerts that these filters name are where ranges begin that have what tripped them.
fn told_frame(whose: (&Trace, Option<ContainerUid>), filters: &[Filter]) -> Frame {
    let (trace, of) = whose;
    with_names(whose, filters, alerts(trace).unwrap_or_default(), marks(trace, of).unwrap_or_default())
}

/// What holds for a whole recording, as far as a filter that may name moments can ask of a container, or of all.
pub fn frame_of(trace: &Trace, filter: &Filter, of: Option<ContainerUid>) -> Frame {
    let frame = told_frame((trace, of), std::slice::from_ref(filter));
    if filter.asks_images() { with_images(trace, frame) } else { frame }
}

/// The same with the hashes of programs, where they can be read.
pub fn with_images(trace: &Trace, frame: Frame) -> Frame {
    Frame { images: trace.images().unwrap_or_default(), ..frame }
}

/// The same with what the whole lives of these containers tell, asked as all, or as one.
///
/// # Errors
/// The recording cannot be read.
pub fn with_whole(
    trace: &Trace,
    (uids, of): (&[ContainerUid], Option<ContainerUid>),
    asks: WholeAsks,
    frame: Frame,
) -> Result<Frame, ReadError> {
    let besides = trace.besides(uids, of);
    let query = Query { containers: [uids, &besides].concat(), ..Query::default() };
    let mut progress = Progress::new(trace.recording.count_hint(&query), false);
    let wholes = trace.wholes((uids, &besides), asks, &mut || {
        progress.tick();
        ControlFlow::Continue(())
    })?;
    Ok(Frame { whole: wholes.unwrap_or_default().into(), ..frame })
}

fn with_names(
    (trace, of): (&Trace, Option<ContainerUid>),
    filters: &[Filter],
    alerts: Vec<Alert>,
    marks: Vec<(char, BootNanos)>,
) -> Frame {
    let bytes = |text: &Safe| unescape(text.as_str()).unwrap_or_default();
    let told = |alert: &Alert| Told {
        containers: alert.containers.iter().map(|covered| covered.uid).collect(),
        rule: bytes(&alert.title),
        source: bytes(&alert.source),
        priority: bytes(&alert.priority),
    };
    let told = alerts.iter().map(told).collect();
    let at = |(number, alert): (u32, &Alert)| {
        let is_named = filters.iter().any(|filter| filter.names_alert(number));
        if is_named { alert.begin(trace) } else { alert.at }
    };
    Frame { alerts: numbered(&alerts, of).map(at).collect(), marks, told, ..frame(trace) }
}

/// What is to be told where the state lacked room for what filters ask, or the frame does.
pub(super) fn lacking(lacked: bool, frame: &Frame) -> Option<&'static str> {
    let lacked = lacked.then_some(
        "not all processes and descriptors fitted into memory: what asks for them may have been missed; ask for one \
         container or a shorter range",
    );
    lacked.or_else(|| frame.lacking())
}

/// The state that filters and rules ask, rolled forward event by event.
pub(crate) struct Asked<'a> {
    trace: &'a Trace,
    frame: Frame,
    pub(crate) tracker: Tracker,
    sieve: Sieve,
    ended: Ended,
    number: u64,
    /// The last container's record: events of one come in runs.
    last: Option<(ContainerUid, Option<&'a ContainerRecord>)>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(trace: &'a Trace, frame: Frame) -> Self {
        let ended = Ended::new(&trace.recording);
        Self { trace, frame, tracker: Tracker::new(), sieve: Sieve::new(), ended, number: 0, last: None }
    }

    /// The state is asked by these filters and by nobody else: no row of an event is made.
    pub(super) fn only_for<'f>(self, filters: impl IntoIterator<Item = &'f Filter>) -> Self {
        Self { sieve: Sieve::of(filters), ..self }
    }

    pub(crate) fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        self.ended.make_room(&mut self.tracker, event.time);
        self.tracker.apply(uid, event);
        self.count(uid);
    }

    fn count(&mut self, uid: ContainerUid) {
        self.number += 1;
        if self.last.is_none_or(|(known, _)| known != uid) {
            self.last = Some((uid, self.record(uid)));
        }
    }

    /// A block whose rows are about to come, and which of them have to be seen: see [`Sieve`].
    pub(crate) fn open(&mut self, block: u32, columns: &Columns, wanted: Bits) {
        self.sieve.open(block, columns, wanted);
    }

    /// No more rows of a block come.
    pub(crate) fn close(&mut self, block: u32) {
        self.sieve.close(block);
    }

    /// Whether a row tells nothing and nobody has to see it: it is counted then.
    pub(crate) fn passes(&mut self, id: EventId) -> bool {
        let passes = self.sieve.passes(id, &self.tracker);
        self.number += u64::from(passes);
        passes
    }

    /// Takes in an event of an open block; whether it has to be seen.
    pub(crate) fn apply_row(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> bool {
        self.ended.make_room(&mut self.tracker, event.time);
        let wanted = self.sieve.apply(id, uid, event, &mut self.tracker);
        self.count(uid);
        wanted
    }

    /// The process of the event that was taken in last is none that is looked for.
    pub(super) fn misses(&mut self, id: EventId) {
        self.sieve.misses(id, &self.tracker);
    }

    /// What is known of a container.
    pub(crate) fn record(&self, uid: ContainerUid) -> Option<&'a ContainerRecord> {
        self.trace.recording.containers().iter().find(|s| s.record.uid == uid).map(|s| &s.record)
    }

    /// What is to be told when something was not known for lack of room.
    pub(crate) fn lacking(&self) -> Option<&'static str> {
        lacking(self.ended.lacked(self.tracker.world()), &self.frame)
    }

    /// The surroundings of the event that was applied last.
    pub(crate) fn context<'c>(&'c self, uid: ContainerUid, event: &'c Event<'c>) -> EventContext<'c> {
        let record = self.last.and_then(|(_, record)| record);
        EventContext::new(event, (uid, record), &self.tracker, &self.frame, self.number)
    }
}
