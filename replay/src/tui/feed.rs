//! What the background hands the screens, and what the screens ask of it. All text is safe.

use std::{collections::BTreeMap, sync::Arc};

use afterimage_format::{BlockInfo, BootNanos, Class, ContainerUid, DefectKind, EventId, Loss, layout::exec};
use afterimage_model::{
    findings::Severity,
    process::{End, Process, ProcessKey},
    text::Safe,
};

use crate::{
    analysis::images::Images,
    trace::{Ended, Life, alerts::Alert},
    tui::{
        filter::Library,
        hits::Hits,
        moment::Clocks,
        stream::{Stream, Target},
        text::safe,
        whole::Whole,
    },
};

/// A recording as its index tells it.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    /// File or directory.
    pub(crate) place: Safe,
    pub(crate) host: Safe,
    /// Kernel and machine.
    pub(crate) kernel: Safe,
    pub(crate) recorder: Safe,
    /// A recorder has it open, or left it without closing it.
    pub(crate) unsealed: bool,
    pub(crate) clocks: Clocks,
    pub(crate) range: (BootNanos, BootNanos),
    pub(crate) containers: Vec<ContainerRow>,
    pub(crate) losses: Vec<Loss>,
    /// Damage that is known by now, a sentence each.
    pub(crate) damage: Vec<(DefectKind, Safe)>,
    /// Blocks that could not be read: what happened in their time cannot be known.
    pub(crate) unread: Vec<BlockInfo>,
    /// [`afterimage_format::Recording::damage_known`] when this was made.
    pub(crate) damage_known: usize,
    /// What could not be recorded, a sentence each.
    pub(crate) degraded: Vec<Safe>,
    /// Counts up whenever the recording was found to have grown.
    pub(crate) generation: u64,
    /// Blocks with events, and their bytes on disk.
    pub(crate) blocks: u64,
    pub(crate) stored: u64,
}

impl Catalog {
    /// How many containers' recordings are not complete.
    pub(crate) fn incomplete(&self) -> u64 {
        let all = self.containers.iter().filter(|row| row.is_container);
        all.filter(|row| !row.life.partial.is_empty()).count() as u64
    }

    /// How many containers there are. The host is not one.
    pub(crate) fn count(&self) -> u64 {
        self.containers.iter().filter(|row| row.is_container).count() as u64
    }

    /// Whether the list has the host too.
    pub(crate) fn has_host(&self) -> bool {
        self.container(ContainerUid::HOST).is_some()
    }

    /// The blocks that could not be read, of a container or of any.
    pub(crate) fn unread_of(&self, uid: Option<ContainerUid>) -> impl Iterator<Item = &BlockInfo> {
        self.unread.iter().filter(move |block| uid.is_none_or(|uid| uid == block.container))
    }

    /// How many events of a container were recorded and cannot be read.
    pub(crate) fn corrupt(&self, uid: ContainerUid) -> u64 {
        self.unread_of(Some(uid)).map(|block| u64::from(block.rows)).sum()
    }

    /// How much damage of each kind there is: `corrupt: 2`. The kinds are never one word.
    pub(crate) fn damage_words(&self) -> Vec<Safe> {
        let kinds = [DefectKind::Torn, DefectKind::Corrupt, DefectKind::Missing, DefectKind::Unknown];
        let count = |kind| self.damage.iter().filter(|(of, _)| *of == kind).count();
        let word = |kind: DefectKind| Some((kind, count(kind))).filter(|(_, count)| *count > 0);
        kinds.into_iter().filter_map(word).map(|(kind, n)| safe!("{}: {n}", kind.as_str())).collect()
    }

    pub(crate) fn container(&self, uid: ContainerUid) -> Option<&ContainerRow> {
        self.containers.iter().find(|row| row.uid == uid)
    }

    /// What was lost of a container, or of any; what nobody knows the owner of counts for all.
    pub(crate) fn losses_of(&self, uid: Option<ContainerUid>) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(move |l| uid.is_none() || l.container.is_none() || l.container == uid)
    }
}

/// A container of the list.
#[derive(Debug, Clone)]
pub(crate) struct ContainerRow {
    pub(crate) uid: ContainerUid,
    /// Not the host and no engine's helper, which are listed and not counted.
    pub(crate) is_container: bool,
    /// Name, else the short id.
    pub(crate) name: Safe,
    pub(crate) short_id: Safe,
    pub(crate) id: Safe,
    pub(crate) image: Option<Safe>,
    pub(crate) pod: Option<Safe>,
    pub(crate) engine: &'static str,
    pub(crate) cgroup: Safe,
    /// Everything else that was learnt: what, value, source.
    pub(crate) facts: Vec<(&'static str, Safe, &'static str)>,
    pub(crate) life: Life,
    pub(crate) removed: Option<BootNanos>,
    pub(crate) events: u64,
    pub(crate) lost: u64,
    /// First and last event.
    pub(crate) range: Option<(BootNanos, BootNanos)>,
}

impl ContainerRow {
    /// From its first sign to its last.
    pub(crate) fn whole(&self) -> (BootNanos, BootNanos) {
        let (first, last) = self.range.unwrap_or((self.life.begin, self.life.last));
        (first.min(self.life.begin), last.max(self.life.last))
    }
}

/// An event of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) id: EventId,
    pub(crate) pid: u32,
    /// The process's name at that moment, where it is known.
    pub(crate) process: Safe,
    pub(crate) name: Safe,
    pub(crate) detail: Safe,
    pub(crate) result: Safe,
    pub(crate) failed: bool,
    pub(crate) class: Class,
    /// A payload or a path of it was truncated.
    pub(crate) truncated: bool,
    /// Something of it could not be read.
    pub(crate) incomplete: bool,
    /// What the program claimed and what the kernel did differ.
    pub(crate) differs: bool,
    /// It belongs to the setting up of the container.
    pub(crate) setup: bool,
}

/// Consecutive rows of the event list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) rows: Vec<EventRow>,
    /// No earlier row exists.
    pub(crate) at_start: bool,
    /// No later row exists.
    pub(crate) at_end: bool,
    /// Number of the first row among all, counted from 1, where the index tells it.
    pub(crate) first_number: Option<u64>,
    /// Rows tell what their processes and descriptors were.
    pub(crate) named: bool,
}

/// The lines that lead past a row of a tree: for each level above, whether a later sibling follows. The last is its own;
/// of those above, so many are known as are ever drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Branches {
    levels: usize,
    /// The row's own level is the lowest bit.
    more: u64,
}

impl Branches {
    /// Levels that are known.
    const KNOWN: usize = u64::BITS as usize;

    /// Of a row so deep; `open` says of each depth whether a sibling follows.
    pub(crate) fn new(depth: usize, open: &[bool]) -> Self {
        let is_open = |level: usize| open.get(depth - level).copied().unwrap_or(false);
        let bits = (0..depth.min(Self::KNOWN)).map(|level| u64::from(is_open(level)) << level);
        Self { levels: depth, more: bits.sum() }
    }

    /// The last so many levels, the row's own at the end.
    pub(crate) fn last(self, levels: usize) -> impl DoubleEndedIterator<Item = bool> {
        (0..self.levels.min(levels).min(Self::KNOWN)).rev().map(move |level| self.more >> level & 1 == 1)
    }
}

/// A process of the tree, as it was at its moment: what is to be said of it is found out when it is drawn, which few of
/// many are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessRow {
    pub(crate) process: Arc<Process>,
    pub(crate) pid: u32,
    /// It had not ended.
    pub(crate) alive: bool,
    /// Others follow that it started.
    pub(crate) children: bool,
    pub(crate) depth: usize,
    pub(crate) more: Branches,
}

/// A line of the detail pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DetailLine {
    Section(&'static str),
    Pair(Safe, Safe),
    /// Something to be wary of.
    Warn(Safe),
}

/// The state at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) tree: Vec<ProcessRow>,
    /// Processes that are not in it for lack of room: those that ended first.
    pub(crate) forgotten: u64,
    pub(crate) detail: Vec<DetailLine>,
    /// Process of the event at the playhead.
    pub(crate) pid: Option<u32>,
}

/// A line of the storyline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoryRow {
    pub(crate) time: BootNanos,
    pub(crate) id: Option<EventId>,
    pub(crate) severity: Severity,
    pub(crate) text: Safe,
    pub(crate) pid: u32,
    /// Whose it is, as that process was then: it can have executed anything else later. Empty where nobody's.
    pub(crate) process: Safe,
    /// ATT&CK technique or another tag; may be empty.
    pub(crate) tag: Safe,
}

/// How many findings of each severity a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tally {
    pub(crate) critical: u32,
    pub(crate) warning: u32,
    pub(crate) notice: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::Warning => self.warning += 1,
            Severity::Notice => self.notice += 1,
            Severity::Info => {}
        }
    }
}

/// What a whole life comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    pub(crate) rows: Vec<StoryRow>,
    /// Findings that are not among them: there were too many of their kind.
    pub(crate) left_out: u64,
    pub(crate) summary: Vec<(Safe, Safe)>,
    /// Events of the container's set-up, once all was read.
    pub(crate) setup: u64,
    /// Percent read so far; `None` when all was read.
    pub(crate) reading: Option<u8>,
    /// What was read, when all was.
    pub(crate) whole: Option<Arc<Whole>>,
}

impl Story {
    /// Where to begin: at the first of the weightiest lines.
    pub(crate) fn beginning(&self) -> Option<&StoryRow> {
        let worst = self.rows.iter().map(|row| row.severity).max()?;
        self.rows.iter().find(|row| row.severity == worst)
    }
}

/// Where a page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Center {
    Time(BootNanos),
    Event(EventId),
}

impl Center {
    pub(crate) const fn time(self) -> BootNanos {
        match self {
            Self::Time(time) => time,
            Self::Event(id) => id.time,
        }
    }
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageKey {
    pub(crate) uid: ContainerUid,
    pub(crate) center: Center,
    /// Of a filter's hits, and how many of them were known; `None` without a filter.
    pub(crate) filter: Option<(Arc<str>, usize)>,
    pub(crate) setup: bool,
    pub(crate) reach: usize,
    pub(crate) generation: u64,
}

/// Which counts over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DensityKey {
    /// `None`: of all containers.
    pub(crate) uid: Option<ContainerUid>,
    pub(crate) begin: BootNanos,
    pub(crate) end: BootNanos,
    pub(crate) columns: usize,
    pub(crate) generation: u64,
}

/// Which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MomentKey {
    pub(crate) uid: ContainerUid,
    pub(crate) at: Center,
    pub(crate) generation: u64,
}

/// Which life, and how much of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoryKey {
    pub(crate) uid: ContainerUid,
    pub(crate) events: u64,
    pub(crate) generation: u64,
}

impl StoryKey {
    /// The life of a row of the list.
    pub(crate) fn of(row: &ContainerRow, generation: u64) -> Self {
        Self { uid: row.uid, events: row.events, generation }
    }
}

/// Which filter's hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HitsKey {
    pub(crate) uid: ContainerUid,
    pub(crate) text: Arc<str>,
    /// Events of the container's set-up too.
    pub(crate) setup: bool,
    pub(crate) generation: u64,
}

/// Which filter's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeepKey {
    pub(crate) text: String,
    pub(crate) generation: u64,
}

/// Which events are looked for in all containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SweepKey {
    /// A filter; empty where nothing is looked for any more.
    pub(crate) text: Arc<str>,
    /// Events of the containers' set-up too.
    pub(crate) setup: bool,
    pub(crate) generation: u64,
}

/// What was found in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) count: u64,
    pub(crate) first: EventId,
}

/// The containers in which something was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    pub(crate) by_container: BTreeMap<ContainerUid, Found>,
    /// Percent read so far; `None` when all was read.
    pub(crate) reading: Option<u8>,
    /// Why it may be more or less than it should be.
    pub(crate) doubt: Option<&'static str>,
}

/// The streams of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamList {
    /// By their numbers.
    pub(crate) rows: Vec<StreamRow>,
    /// Streams for which there was no room.
    pub(crate) left_out: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamRow {
    /// As `afterimage follow` has it.
    pub(crate) number: usize,
    /// What it is: `tcp 10.0.0.1:443`, `pipe`, ...
    pub(crate) label: Safe,
    /// First bytes.
    pub(crate) first: BootNanos,
    /// Bytes that processes read and wrote.
    pub(crate) bytes: (u64, u64),
    /// Who did first, as it was called then.
    pub(crate) by: Safe,
}

/// Which stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamKey {
    pub(crate) uid: ContainerUid,
    pub(crate) target: Target,
    pub(crate) generation: u64,
}

impl ProcessRow {
    /// Its identity.
    pub(crate) fn key(&self) -> ProcessKey {
        self.process.key
    }

    /// When it began.
    pub(crate) fn began(&self) -> BootNanos {
        self.process.began()
    }

    /// What it ran.
    pub(crate) fn command(&self) -> Safe {
        self.process.title_with_past()
    }

    /// When it ended, and how where that was seen.
    pub(crate) fn ended(&self) -> Option<(BootNanos, Option<Ended>)> {
        match self.process.end {
            End::Running => None,
            End::Exited { time, raw, .. } => Some((time, Some(Ended::from_raw(raw)))),
            End::Unseen { before } => Some((before, None)),
        }
    }

    /// Whether its program is not part of the image.
    pub(crate) fn is_foreign(&self) -> bool {
        let flags = self.process.exec().map_or(0, |run| run.flags);
        flags & (exec::EXE_UPPER_LAYER | exec::EXE_MEMFD) != 0
    }

    /// Whether it has a terminal.
    pub(crate) fn has_tty(&self) -> bool {
        self.process.tty.is_some_and(|tty| tty != 0)
    }

    /// Its threads that live, the first included.
    pub(crate) fn threads(&self) -> usize {
        self.process.threads.len() + 1
    }
}

/// Which way in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    Forward,
    Backward,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sought {
    /// A process starts, executes or ends.
    Process,
    /// A filter keeps it.
    Filter(Arc<str>),
}

/// The next or previous event of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeekKey {
    pub(crate) uid: ContainerUid,
    pub(crate) from: Center,
    pub(crate) heading: Heading,
    pub(crate) sought: Sought,
    /// The how manyth, from 1; the last where there are fewer.
    pub(crate) nth: usize,
    /// Among the events of the container's set-up too.
    pub(crate) setup: bool,
}

/// Which field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValuesKey {
    pub(crate) uid: ContainerUid,
    pub(crate) field: &'static str,
    /// Of the events of the container's set-up too.
    pub(crate) setup: bool,
    pub(crate) generation: u64,
}

/// The values of a field in a container, the most frequent first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) counts: Vec<(Vec<u8>, u64)>,
    /// Percent read so far; `None` when all was read.
    pub(crate) reading: Option<u8>,
}

/// Why an event's values are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Keep,
    Drop,
    Copy,
}

/// Which two containers: what only the second did is what is looked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiffKey {
    pub(crate) a: ContainerUid,
    pub(crate) b: ContainerUid,
}

/// Something that only one of two containers did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiffRow {
    pub(crate) what: &'static str,
    pub(crate) item: Safe,
    /// How often in the first and in the second.
    pub(crate) counts: (u64, u64),
}

/// A moment of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportItem {
    pub(crate) time: BootNanos,
    pub(crate) id: Option<EventId>,
    pub(crate) title: Safe,
    /// Severity and technique, where it is a finding.
    pub(crate) about: Safe,
    /// Notes on it, each with its author.
    pub(crate) notes: Vec<Safe>,
}

/// A question to the background.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// With the hits of the filter in force.
    Page(PageKey, Hits),
    /// The same page, its rows telling what their processes and descriptors were.
    Names(PageKey, Hits),
    Density(DensityKey),
    Moment(MomentKey),
    Story(StoryKey),
    /// With the filters that it may use by name.
    Seek(SeekKey, Library),
    Values(ValuesKey),
    Diff(DiffKey),
    /// The values of an event's fields.
    Cells(MomentKey, Purpose),
    Report(StoryKey, Vec<ReportItem>),
    /// What the rules of a file match.
    Rules(StoryKey, std::path::PathBuf),
    /// What a filter reads of a container, with the filters that it may use by name.
    Explain(ContainerUid, String, Library),
    /// With the filters that it may use by name.
    Hits(HitsKey, Library),
    Keep(KeepKey, Library),
    Stream(StreamKey),
    /// The streams of a container.
    Streams(ContainerUid),
    /// Lists as they were at a moment; with the images of the whole life.
    Until(MomentKey, Arc<Images>),
    /// With the filters that it may use by name.
    Sweep(SweepKey, Library),
    /// The findings of a container, as numbers only.
    Tally(StoryKey),
    /// The alerts that came to the recorder, as of a generation.
    Alerts(u64),
}

/// What a filter says of the containers, before any event is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Of each container of the catalog, whether it stays in the list.
    pub(crate) rows: Vec<bool>,
    /// Some stay because only their events could tell.
    pub(crate) asks_events: bool,
}

/// Counts of one column, by class.
pub(crate) type Column = [u32; Class::COUNT];

/// An answer. A story, hits and a sweep may come several times, each more complete.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Page(PageKey, Page),
    Density(DensityKey, Vec<Column>),
    Moment(MomentKey, Moment),
    Story(StoryKey, Story),
    Seek(SeekKey, Option<EventId>),
    Values(ValuesKey, Values),
    Diff(DiffKey, Vec<DiffRow>),
    /// Field and value.
    Cells(Purpose, Vec<(&'static str, Vec<u8>)>),
    /// A report, as Markdown.
    Report(ContainerUid, String),
    /// What rules matched, and what is to be said of them.
    Rules(ContainerUid, Vec<StoryRow>, Vec<Safe>),
    Hits(HitsKey, Hits),
    Keep(KeepKey, Kept),
    Explain(Vec<Safe>),
    Stream(StreamKey, Stream),
    Streams(ContainerUid, StreamList),
    Until(MomentKey, Arc<Whole>),
    Sweep(SweepKey, Sweep),
    Tally(StoryKey, Tally),
    Alerts(u64, Arc<Vec<Alert>>),
    /// The recording could not be read, or the question not understood.
    Failed(Safe),
    /// The question that is meant by that.
    Unanswered(Box<Request>),
}
