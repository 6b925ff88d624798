//! Reads events and turns them into rows.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use afterimage_detect::{Bits, Filter, OfProcess};
use afterimage_format::{
    BlockInfo, Columns, ContainerUid, Event, EventFlags, EventId, Loss, OwnedEvent, Query, Visitor,
};
use afterimage_model::{
    describe, event_name,
    process::Process,
    text::{Safe, escape},
};

use super::{
    Asked, EventRow, Filters, GapRow, Teller,
    fold::{Emit, Folder},
    is_shown,
    row::Whose,
    rows::RowSelection,
    selection::Selection,
};
use crate::{
    failure::Failure,
    progress::Progress,
    time::{Clock, Span},
    trace::{self, Gaps, Life, Trace},
};

/// What comes out.
#[derive(Debug, Clone)]
pub enum Item {
    /// An event.
    Event(Box<EventRow>),
    /// A gap, at its position.
    Gap(GapRow),
}

/// What to read and how.
pub struct Options<'a> {
    /// Only this container; all where absent.
    pub container: Option<ContainerUid>,
    /// Only events in it.
    pub span: Span,
    /// Also the events of the container's set-up by its runtime.
    pub setup: bool,
    /// Every event as recorded: restarted calls are not folded.
    pub raw: bool,
    /// Blocks in which nothing can be wanted are not read; hidden events in them are not counted.
    pub skip: bool,
    /// At most so many events.
    pub limit: u64,
    /// Rows are printed to a terminal as they come: progress would stand between them.
    pub streams: bool,
    /// Rows tell their meaning too.
    pub facts: bool,
    /// Which events are wanted.
    pub filters: &'a mut Filters,
}

/// What was met on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events handed on.
    pub shown: u64,
    /// Events of the set-up that were hidden.
    pub setup: u64,
    /// The limit was reached, and there was more.
    pub more: bool,
    /// What is to be told when the state of all did not fit.
    pub lacking: Option<&'static str>,
}

/// What of [`Options`] holds for every event.
#[derive(Clone, Copy)]
struct Asks {
    container: Option<ContainerUid>,
    span: Span,
    setup: bool,
    raw: bool,
    limit: u64,
}

struct Walk<'a, 'b> {
    trace: &'a Trace,
    options: Asks,
    filters: &'b Filters,
    of_process: Vec<OfProcess<'b>>,
    clock: Arc<Clock>,
    whose: HashMap<ContainerUid, Arc<Whose>>,
    asked: Asked<'a>,
    teller: Option<Teller<'a>>,
    folder: Folder,
    gaps: std::vec::IntoIter<Loss>,
    next_gap: Option<Loss>,
    seen: Seen,
}

/// Hands every wanted event to `emit` in order of time, gaps in their places, until it says stop.
///
/// # Errors
/// [`Failure::Read`].
pub fn walk(trace: &Trace, options: Options<'_>, emit: &mut Emit<'_>) -> Result<Seen, Failure> {
    walk_for(trace, options, Some(emit))
}

/// As [`walk`], where nobody looks at the rows.
pub(super) fn walk_counting(trace: &Trace, options: Options<'_>) -> Result<Seen, Failure> {
    walk_for(trace, options, None)
}

fn walk_for(trace: &Trace, options: Options<'_>, emit: Option<&mut Emit<'_>>) -> Result<Seen, Failure> {
    let gaps = match options.container {
        Some(uid) => Gaps::of_container(trace, uid, options.span),
        None => Gaps::of_all(trace, options.span),
    };
    let mut losses = gaps.list;
    losses.sort_by_key(|l| l.from);
    let mut gaps = losses.into_iter();
    let query = query(trace, &options);
    options.filters.survey((trace, options.container), &query)?;
    let selection = if options.skip { options.filters.select(trace, options.container) } else { None };
    let Options { container, span, setup, raw, skip, limit, streams, facts, filters } = options;
    let filters: &Filters = filters;
    let frame = filters.ready(trace, container)?;
    let rows = if skip && selection.is_some() { RowSelection::new(trace, filters, &frame) } else { None };
    let asked = Asked::new(trace, frame.clone());
    let asked = if emit.is_none() { asked.only_for(filters.iter()) } else { asked };
    let mut walk = Walk {
        trace,
        options: Asks { container, span, setup, raw, limit },
        filters,
        of_process: filters.of_process(),
        clock: Arc::new(trace.clock.clone()),
        whose: HashMap::new(),
        asked,
        teller: facts.then(|| Teller::new(trace)),
        folder: Folder::default(),
        next_gap: gaps.next(),
        gaps,
        seen: Seen::default(),
    };
    if filters.iter().any(Filter::asks_greetings) {
        walk.asked.tracker.listen_to_all();
    }
    let progress = Progress::new(trace.recording.count_hint(&query), streams);
    let reads = |block: &BlockInfo| selection.as_ref().is_none_or(|selection| selection.reads(block));
    let mut nobody = |_| ControlFlow::Continue(());
    let emit = emit.unwrap_or(&mut nobody);
    let mut reading =
        Reading { walk: &mut walk, selection: selection.as_ref(), rows, progress, emit, stopped: false };
    trace.recording.show_blocks(&query, &reads, &mut reading)?;
    if !reading.stopped {
        let _ = reading.walk.finish(reading.emit);
    }
    Ok(Seen { lacking: walk.asked.lacking(), ..walk.seen })
}

/// A walk over blocks: what no filter can want and the state does not need is passed over.
struct Reading<'w, 'a, 'b, 'e> {
    walk: &'w mut Walk<'a, 'b>,
    selection: Option<&'w Selection>,
    rows: Option<RowSelection<'b>>,
    progress: Progress,
    emit: &'w mut Emit<'e>,
    stopped: bool,
}

impl Visitor for Reading<'_, '_, '_, '_> {
    fn open(&mut self, block: u32, columns: &Columns) {
        let mut wanted = match (self.selection, &self.rows) {
            (Some(selection), _) if !selection.wants(block) => Bits::none(columns.len()),
            (_, Some(rows)) => rows.may(columns),
            (_, None) => Bits::all(columns.len()),
        };
        // A restarted call is folded with its continuation, whichever of the two is wanted.
        let flags = columns.flags().iter().enumerate();
        for (row, _) in flags.filter(|(_, flags)| EventFlags(**flags).contains(EventFlags::RESTART)) {
            wanted.insert(row);
        }
        self.walk.asked.open(block, columns, wanted);
    }

    fn passes(&mut self, id: EventId) -> bool {
        self.progress.tick();
        !self.walk.folder.is_waiting() && self.walk.asked.passes(id)
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        let flow = self.walk.event(id, uid, event, self.emit);
        self.stopped = flow.is_break();
        flow
    }

    fn close(&mut self, block: u32) {
        self.walk.asked.close(block);
    }
}

/// What has to be read: state needs what came before the range, and a filter's ancestors may be the host's.
pub(super) fn query(trace: &Trace, options: &Options<'_>) -> Query {
    let containers = match options.container {
        Some(uid) if options.filters.is_empty() || uid == ContainerUid::HOST => vec![uid],
        Some(uid) => vec![ContainerUid::HOST, uid],
        None => options.filters.containers(trace).unwrap_or_default(),
    };
    Query { containers, begin: None, end: options.span.end }
}

impl Walk<'_, '_> {
    fn event(
        &mut self,
        id: EventId,
        uid: ContainerUid,
        event: &Event<'_>,
        emit: &mut Emit<'_>,
    ) -> ControlFlow<()> {
        let can = self.asked.apply_row(id, uid, event);
        let is_asked_for = self.options.container.is_none_or(|wanted| wanted == uid);
        if !is_asked_for || !self.options.span.contains(event.time) {
            return ControlFlow::Continue(());
        }
        while let Some(loss) = self.next_gap.filter(|l| l.from <= event.time) {
            self.gap(loss, emit)?;
        }
        if !is_shown(event, self.options.setup) {
            self.seen.setup += 1;
            return ControlFlow::Continue(());
        }
        let filters = self.filters;
        let mut wanted = filters.is_empty();
        if can && !wanted {
            let cx = self.asked.context(uid, event);
            wanted = filters.matches(&cx);
            if !wanted && self.of_process.iter().any(|of| of.fails(&cx)) {
                self.asked.misses(id);
            }
        }
        // Both returns of a restarted call are one row, whichever of them the filter wants.
        let folds = event.flags.contains(EventFlags::RESTART) || self.folder.waits_for(event.task.tid);
        if !wanted && (self.options.raw || !folds) {
            return ControlFlow::Continue(());
        }
        let row = Box::new(EventRow { wanted, ..self.row(uid, event) });
        if self.options.raw {
            return self.seen.count(Item::Event(row), self.options.limit, emit);
        }
        self.push(Item::Event(row), emit)
    }

    fn gap(&mut self, loss: Loss, emit: &mut Emit<'_>) -> ControlFlow<()> {
        self.next_gap = self.gaps.next();
        let whose = self.options.container.map(|uid| self.whose(uid));
        let facts = self.teller.as_mut().map(|teller| teller.loss(&loss, self.options.container));
        self.push(Item::Gap(GapRow { loss, whose, clock: Arc::clone(&self.clock), facts }), emit)
    }

    fn push(&mut self, item: Item, emit: &mut Emit<'_>) -> ControlFlow<()> {
        let (seen, limit) = (&mut self.seen, self.options.limit);
        self.folder.push(item, &mut |item| seen.count(item, limit, emit))
    }

    fn finish(&mut self, emit: &mut Emit<'_>) -> ControlFlow<()> {
        while let Some(loss) = self.next_gap {
            self.gap(loss, emit)?;
        }
        let (seen, limit) = (&mut self.seen, self.options.limit);
        self.folder.finish(&mut |item| seen.count(item, limit, emit))
    }

    fn row(&mut self, uid: ContainerUid, event: &Event<'_>) -> EventRow {
        EventRow {
            process: self
                .asked
                .tracker
                .world()
                .process_of_task(event.task)
                .and_then(Process::comm)
                .map(escape),
            name: Safe::format(format_args!("{}", event_name(event.code))),
            detail: describe::detail(event, Some(self.asked.tracker.world())),
            tasks: describe::tasks(event, self.asked.tracker.world()),
            whose: self.whose(uid),
            clock: Arc::clone(&self.clock),
            facts: self.teller.as_mut().map(|teller| teller.event(self.asked.tracker.world(), uid, event)),
            wanted: true,
            event: OwnedEvent::from_event(event),
        }
    }

    fn whose(&mut self, uid: ContainerUid) -> Arc<Whose> {
        let trace = self.trace;
        Arc::clone(self.whose.entry(uid).or_insert_with(|| {
            let summary = trace.recording.containers().iter().find(|s| s.record.uid == uid);
            let id = summary.map(|s| trace::id(&s.record));
            let life = summary.map(|s| Life::of(trace, s));
            let (start, end) = life.map_or_else(|| trace.range(), |l| (l.begin, l.last));
            let day = |at| trace.clock.full(at).map(|t| t.as_str().get(..10).map(str::to_owned));
            let days = self.options.container.is_none() || day(start) != day(end);
            let label = summary.map(|s| trace::label(&s.record));
            Arc::new(Whose { uid, id: id.unwrap_or_default(), label: label.unwrap_or_default(), start, days })
        }))
    }
}

impl Seen {
    /// Hands an item on, unless the limit is reached.
    fn count(&mut self, item: Item, limit: u64, emit: &mut Emit<'_>) -> ControlFlow<()> {
        if let Item::Event(row) = &item {
            if !row.wanted {
                return ControlFlow::Continue(());
            }
            if self.shown >= limit {
                self.more = true;
                return ControlFlow::Break(());
            }
            self.shown += 1;
        }
        emit(item)
    }
}
