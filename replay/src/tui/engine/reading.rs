//! One reading of a container's life with the state: what nobody looks for and the state does not need is passed over, and
//! nothing is read behind the last block that can have what is looked for.

use std::ops::ControlFlow;

use super::{Job, scan::STRIDE};
use crate::trace::Trace;
use afterimage_detect::{
    Bits, EventContext, Filter, Frame, OfProcess, RowFilter, RuleRows, RuleSet, Sieve, Tracker,
};
use afterimage_format::{
    BootNanos, Columns, ContainerRecord, ContainerUid, Event, EventId, Query, ReadError, Visitor,
};

/// Looks whether anybody waits between two reports.
const REPORTS: u64 = 16;

/// What is looked for.
pub(super) enum Looks<'l> {
    /// Every event.
    Everywhere,
    /// What a filter keeps.
    For(&'l Filter),
    /// The same, where the blocks are known that can have it, in order.
    In(&'l Filter, Vec<usize>),
    /// What any rule matches.
    Rules(&'l RuleSet),
}

/// What a reading comes across.
pub(super) enum Step<'s> {
    /// An event that may be what is looked for, with the state after it.
    Event(&'s EventContext<'s>, EventId, &'s Tracker),
    /// So many were read.
    Read(u64),
    /// At the end: not all of the state fitted into memory.
    Lacking,
}

/// Who is told.
type Look<'l> = dyn FnMut(Step<'_>) -> ControlFlow<()> + 'l;

/// Which rows can be what is looked for.
enum Rows<'r> {
    All,
    Filter(RowFilter<'r>),
    Rules(RuleRows<'r>),
}

/// Shows the events of a container, up to and including `end`, that can be what is looked for to `look`; whether nobody
/// waits any more.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn walk(
    trace: &Trace,
    (uid, end): (ContainerUid, Option<BootNanos>),
    asked: (&Frame, Looks<'_>),
    job: &Job<'_>,
    look: &mut Look<'_>,
) -> Result<bool, ReadError> {
    let asks_around = match &asked.1 {
        Looks::Everywhere => false,
        Looks::For(filter) | Looks::In(filter, _) => filter.asks_ancestors() || filter.counts_events(),
        Looks::Rules(rules) => rules.asks_ancestors(),
    };
    // The host's events are as many as it likes, and little is asked that they tell.
    let around = Some(ContainerUid::HOST).filter(|host| asks_around && *host != uid);
    let read = around.into_iter().chain([uid]).collect();
    walk_with(&mut Sieve::new(), trace, (uid, read, end), asked, job, look)
}

/// As [`walk`], for many containers one after the other, with the state that the events of some containers tell: a sieve is made
/// once, which takes longer than a short life.
///
/// # Errors
/// The recording cannot be read.
pub(super) fn walk_with(
    sieve: &mut Sieve,
    trace: &Trace,
    (uid, read, end): (ContainerUid, Vec<ContainerUid>, Option<BootNanos>),
    (frame, looks): (&Frame, Looks<'_>),
    job: &Job<'_>,
    look: &mut Look<'_>,
) -> Result<bool, ReadError> {
    let recording = &trace.recording;
    let mut query = Query { containers: read, begin: None, end };
    let mut blocks = match &looks {
        Looks::For(filter) => Some(filter.prefilter(frame).blocks(recording)),
        Looks::In(_, blocks) => Some(blocks.clone()),
        _ => None,
    };
    if let Some(wanted) = &mut blocks {
        let own = |index: &usize| recording.blocks().get(*index).filter(|block| block.container == uid);
        wanted.retain(|index| own(index).is_some());
        let Some(last) = wanted.iter().filter_map(|index| Some(own(index)?.last)).max() else {
            return Ok(false);
        };
        query.end = Some(end.map_or(last, |end| end.min(last)));
    }
    let greets = match &looks {
        Looks::Everywhere => false,
        Looks::For(filter) | Looks::In(filter, _) => filter.asks_greetings(),
        Looks::Rules(rules) => rules.asks_greetings(),
    };
    let (rows, of_process) = match looks {
        Looks::Everywhere => (Rows::All, None),
        Looks::For(filter) | Looks::In(filter, _) => {
            (Rows::Filter(filter.row_filter(frame)), Some(filter.of_process()))
        }
        Looks::Rules(rules) => (Rows::Rules(rules.rows(frame)), None),
    };
    let record = recording.containers().iter().find(|c| c.record.uid == uid).map(|c| &c.record);
    let mut reading = Reading {
        frame,
        uid,
        record,
        blocks,
        rows,
        of_process,
        job,
        look,
        tracker: Tracker::new(),
        sieve,
        number: 0,
        ended: Ended::No,
    };
    if greets {
        reading.tracker.listen_to_all();
    }
    recording.show_blocks(&query, &|_| true, &mut reading)?;
    if reading.tracker.world().lacks_room() {
        // The reading is over, whatever is said to that.
        let _ = (reading.look)(Step::Lacking);
    }
    Ok(reading.ended == Ended::NobodyWaits)
}

/// Why a reading ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    NobodyWaits,
    Enough,
}

struct Reading<'r> {
    frame: &'r Frame,
    uid: ContainerUid,
    record: Option<&'r ContainerRecord>,
    /// The blocks that can have it, in order; nothing where all can.
    blocks: Option<Vec<usize>>,
    rows: Rows<'r>,
    of_process: Option<OfProcess<'r>>,
    job: &'r Job<'r>,
    look: &'r mut Look<'r>,
    tracker: Tracker,
    sieve: &'r mut Sieve,
    number: u64,
    ended: Ended,
}

impl Visitor for Reading<'_> {
    fn open(&mut self, block: u32, columns: &Columns) {
        let is_wanted = |blocks: &Vec<usize>| blocks.binary_search(&(block as usize)).is_ok();
        let wanted = match &self.rows {
            _ if columns.container() != self.uid => Bits::none(columns.len()),
            _ if !self.blocks.as_ref().is_none_or(is_wanted) => Bits::none(columns.len()),
            Rows::All => Bits::all(columns.len()),
            Rows::Filter(filter) => filter.rows(columns, self.record).may,
            Rows::Rules(rules) => rules.may(columns, self.record),
        };
        self.sieve.open(block, columns, wanted);
    }

    fn passes(&mut self, id: EventId) -> bool {
        self.number += 1;
        if self.number.is_multiple_of(STRIDE) {
            if (self.job.over)() {
                self.ended = Ended::NobodyWaits;
            } else if self.number.is_multiple_of(STRIDE * REPORTS)
                && (self.look)(Step::Read(self.number)).is_break()
            {
                self.ended = Ended::Enough;
            }
        }
        self.ended == Ended::No && self.sieve.passes(id, &self.tracker)
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        if self.ended != Ended::No {
            return ControlFlow::Break(());
        }
        if !self.sieve.apply(id, uid, event, &mut self.tracker) || uid != self.uid {
            return ControlFlow::Continue(());
        }
        let cx = EventContext::new(event, (uid, self.record), &self.tracker, self.frame, self.number);
        if self.of_process.as_ref().is_some_and(|of| of.fails(&cx)) {
            self.sieve.misses(id, &self.tracker);
            return ControlFlow::Continue(());
        }
        (self.look)(Step::Event(&cx, id, &self.tracker))
    }

    fn close(&mut self, block: u32) {
        self.sieve.close(block);
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{Direction, EventCode, FieldTag, TaskKey, layout};

    use super::*;
    use crate::{events::frame_with_names, tui::fixture};

    const NOBODY: Job<'static> = Job { over: &|| false, tell: &|_| {} };

    fn staged() -> (tempfile::TempDir, Trace) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut staged = fixture::staged();
        let (_, first) =
            staged.events.iter().find(|(uid, _)| *uid == fixture::INCIDENT).expect("its first event");
        assert_eq!(first.code, EventCode::EXEC);
        // Who made the container's first process.
        let mut outer = first.clone();
        let parent = u32::try_from(outer.args[layout::exec::PPID]).expect("a number");
        let start = BootNanos(outer.args[layout::exec::PPID_START]);
        (outer.task, outer.time) = (TaskKey { tgid: parent, tid: parent, start }, start);
        outer
            .fields
            .iter_mut()
            .filter(|own| own.tag == FieldTag::COMM)
            .for_each(|own| own.bytes = b"shim".to_vec());
        staged.events.insert(0, (ContainerUid::HOST, outer));
        fixture::write_store(dir.path(), &staged);
        let trace = Trace::open(dir.path().to_owned(), false).expect("a recording");
        (dir, trace)
    }

    /// What a filter keeps, event by event, and how many events were looked at by a reading that finds the same.
    fn looked_at(trace: &Trace, text: &str) -> (Vec<EventId>, usize) {
        let frame = frame_with_names(trace, None);
        let mut filter = Filter::parse(text).expect("a filter");
        let uid = fixture::INCIDENT;
        let query = Query { containers: vec![ContainerUid::HOST, uid], ..Query::default() };
        let record = trace.recording.containers().iter().find(|c| c.record.uid == uid).map(|c| &c.record);
        let all = |each: &mut dyn FnMut(EventId, &EventContext<'_>)| {
            let (mut tracker, mut number) = (Tracker::new(), 0);
            let mut visit = |id, of, event: &Event<'_>| {
                tracker.apply(of, event);
                number += 1;
                if of == uid {
                    each(id, &EventContext::new(event, (uid, record), &tracker, &frame, number));
                }
                ControlFlow::Continue(())
            };
            trace.recording.walk(&query, None, Direction::Forward, &mut visit).expect("read");
        };
        if filter.needs_survey() {
            all(&mut |_, cx| filter.survey(cx));
        }
        let mut expected = Vec::new();
        all(&mut |id, cx| expected.extend(filter.matches(cx).then_some(id)));
        let (mut found, mut looked) = (Vec::new(), 0);
        let over = walk(trace, (uid, None), (&frame, Looks::For(&filter)), &NOBODY, &mut |step| {
            if let Step::Event(cx, id, _) = step {
                looked += 1;
                found.extend(filter.matches(cx).then_some(id));
            }
            ControlFlow::Continue(())
        });
        assert!(!over.expect("read"));
        assert_eq!(found, expected, "{text}");
        (found, looked)
    }

    #[test]
    fn a_filter_finds_the_same_whatever_is_passed_over() {
        let (_dir, trace) = staged();
        for text in [
            "curl",
            "proc.name = sh",
            "evt.type = openat and fd.name startswith /etc",
            "evt.type in (read, write)",
            "not evt.type = close",
            "fd.rport exists",
            "within proc.name = sh",
            "proc.pname exists",
            "near(evt.type = connect, 1s)",
            "evt.num < 20",
            "evt.failed = true",
            "fd.sni exists",
        ] {
            looked_at(&trace, text);
        }
    }

    #[test]
    fn ancestors_of_the_host_are_known() {
        let (_dir, trace) = staged();
        for text in ["proc.aname = shim", "within proc.name = shim", "proc.pname = shim"] {
            assert!(!looked_at(&trace, text).0.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_what_is_looked_for_is_not_looked_at() {
        let (_dir, trace) = staged();
        assert_eq!(looked_at(&trace, "evt.type = ptrace and evt.type = close"), (Vec::new(), 0));
        let (opens, looked) = looked_at(&trace, "evt.type = openat");
        assert!(!opens.is_empty() && looked == opens.len(), "{looked} were looked at for {}", opens.len());
        let (named, looked) = looked_at(&trace, "no-such-name-anywhere");
        assert!(named.is_empty() && looked > 0, "bare text is in the state's words");
    }

    #[test]
    fn rules_match_the_same_whatever_is_passed_over() {
        let rule = "- rule: r\n  desc: d\n  condition: evt.type in (execve, connect) and proc.name exists\n  \
                    output: x\n  priority: INFO\n";
        let rules = RuleSet::parse(&[("rules", rule)]).expect("a rule");
        let (_dir, trace) = staged();
        let frame = frame_with_names(&trace, None);
        let count = |looks: Looks<'_>| {
            let (mut hits, mut execs, mut looked) = (0, 0, 0);
            let walked = walk(&trace, (fixture::INCIDENT, None), (&frame, looks), &NOBODY, &mut |step| {
                if let Step::Event(cx, ..) = step {
                    looked += 1;
                    hits += rules.evaluate(cx).len();
                    execs += usize::from(cx.event().code == EventCode::EXEC);
                }
                ControlFlow::Continue(())
            });
            assert!(!walked.expect("read"));
            (hits, execs, looked)
        };
        let (all, some) = (count(Looks::Everywhere), count(Looks::Rules(&rules)));
        assert!(all.1 > 0 && (all.0, all.1) == (some.0, some.1), "{all:?} {some:?}");
        assert!(some.2 < all.2, "{} of {} events were looked at", some.2, all.2);
    }
}
