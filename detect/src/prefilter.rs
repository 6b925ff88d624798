//! What a filter can say of a container or block before any event of it is read.
//!
//! The filter is evaluated in three values: what is not known yet is "maybe", and what comes out as "false" need not
//! be read. That is never wrong in the other direction: a block that is skipped has no match.

use afterimage_format::{BlockInfo, BootNanos, ContainerRecord, ContainerUid, Event, EventCode, TaskKey};
use afterimage_model::syscalls;

use crate::{
    codes::Codes,
    context::{EventContext, Frame, Image},
    facts::{Account, Descriptor, Facts, Process},
    fields::FieldRef,
    program::{Node, resolve},
    syntax::ast::{Op, TimeTest},
    term::Source,
    whole,
};

/// The answer before everything is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No event passes.
    Never,
    /// Some may.
    Maybe,
    /// All do.
    Always,
}

impl Verdict {
    fn of(value: bool) -> Self {
        if value { Self::Always } else { Self::Never }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Maybe => Self::Maybe,
            Self::Always => Self::Never,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Always, Self::Always) => Self::Always,
            _ => Self::Maybe,
        }
    }
}

/// What is known already.
#[derive(Default, Clone, Copy)]
struct Known<'k> {
    container: Option<(ContainerUid, Option<&'k ContainerRecord>)>,
    range: Option<(BootNanos, BootNanos)>,
    frame: Option<&'k Frame>,
    /// What the block says of a part of the filter, by its place.
    leaf: Option<&'k dyn Fn(usize) -> Verdict>,
}

impl<'k> Known<'k> {
    /// What the container's whole life tells, and of which part of it.
    fn whole(&self) -> Option<whole::Part<'k>> {
        let (uid, _) = self.container?;
        Some((self.frame?.whole.get(&uid)?, self.range))
    }
}

/// What a filter says of containers, times and codes.
#[derive(Debug)]
pub struct Prefilter<'f> {
    node: &'f Node,
    frame: &'f Frame,
    codes: Codes,
}

impl<'f> Prefilter<'f> {
    pub(crate) fn new(node: &'f Node, frame: &'f Frame) -> Self {
        Self { node, frame, codes: Codes::of(node) }
    }

    /// The codes that can match, as far as they have a name; `None` for all.
    pub fn codes(&self) -> Option<Vec<EventCode>> {
        listed(&self.codes)
    }

    /// Whether an event of this code can match.
    pub fn admits_code(&self, code: EventCode) -> bool {
        self.codes.has(code)
    }

    /// Whether any event of a container can match.
    pub fn container(&self, uid: ContainerUid, record: Option<&ContainerRecord>) -> Verdict {
        self.verdict(uid, record, None, None)
    }

    /// Whether any event of a block can match.
    pub fn block(&self, block: &BlockInfo, record: Option<&ContainerRecord>) -> Verdict {
        self.verdict(block.container, record, Some((block.first, block.last)), None)
    }

    /// As [`Self::block`], with what is known of the filter's parts ([`crate::blocks`]).
    pub(crate) fn block_with(
        &self,
        block: &BlockInfo,
        record: Option<&ContainerRecord>,
        leaf: &dyn Fn(usize) -> Verdict,
    ) -> Verdict {
        self.verdict(block.container, record, Some((block.first, block.last)), Some(leaf))
    }

    pub(crate) fn node(&self) -> &'f Node {
        self.node
    }

    fn verdict(
        &self,
        uid: ContainerUid,
        record: Option<&ContainerRecord>,
        range: Option<(BootNanos, BootNanos)>,
        leaf: Option<&dyn Fn(usize) -> Verdict>,
    ) -> Verdict {
        let known = Known { container: Some((uid, record)), range, frame: Some(self.frame), leaf };
        bound(self.node, known)
    }

    /// The earliest and latest moment that can match, as far as the filter says so without a container.
    pub fn range(&self) -> (Option<BootNanos>, Option<BootNanos>) {
        range(self.node, self.frame)
    }
}

/// The codes of a set that have a name; `None` for all.
pub(crate) fn listed(codes: &Codes) -> Option<Vec<EventCode>> {
    let all = syscalls::all().map(|(code, _)| code).chain(OTHERS);
    (!codes.is_all()).then(|| all.filter(|code| codes.has(*code)).collect())
}

/// Codes that are no system calls.
const OTHERS: [EventCode; 12] = [
    EventCode::FORK,
    EventCode::EXEC,
    EventCode::EXIT,
    EventCode::CGROUP_MKDIR,
    EventCode::CGROUP_RMDIR,
    EventCode::CGROUP_ATTACH,
    EventCode::PROCESS,
    EventCode::OPEN_FD,
    EventCode::IN_CALL,
    EventCode::ARTIFACT,
    EventCode::URING_SUBMIT,
    EventCode::URING_COMPLETE,
];

fn bound(node: &Node, known: Known<'_>) -> Verdict {
    match node {
        Node::Const(value) => Verdict::of(*value),
        Node::And(nodes) => nodes.iter().fold(Verdict::Always, |so_far, node| so_far.and(bound(node, known))),
        Node::Or(nodes) => {
            nodes.iter().fold(Verdict::Always, |so_far, node| so_far.and(bound(node, known).not())).not()
        }
        Node::Not(node) => bound(node, known).not(),
        Node::Codes(test) if test.codes.is_empty() && test.execs == [false; 2] => Verdict::Never,
        Node::Check(check) if of_container(&check.source) => settle(node, known),
        Node::Exists(source) if of_container(source) => settle(node, known),
        Node::Check(check) if of_image(&check.source) => images(node, known),
        Node::Exists(source) if of_image(source) => images(node, known),
        Node::Check(check) if whole::is_asked(&check.source) => whole::of_check(check, known.whole()),
        Node::Exists(source) if whole::is_asked(source) => whole::of_exists(source, known.whole()),
        Node::Life(..) => settle(node, known),
        Node::Time(test) => time(test, known),
        node => match (known.leaf, crate::blocks::place(node)) {
            (Some(leaf), Some(place)) => leaf(place),
            _ => Verdict::Maybe,
        },
    }
}

/// Whether a term is a property of the container that does not change with its events.
pub(crate) fn of_container(source: &Source) -> bool {
    let fixed = |field: &FieldRef| {
        let name = field.def().name;
        ["container.", "k8s.", "alert."].iter().any(|family| name.starts_with(family))
            && !matches!(name, "container.duration" | "container.host_pid" | "container.start_ts")
    };
    let mut all = true;
    let mut any = false;
    source.each_field(&mut |field| {
        any = true;
        all &= fixed(field);
    });
    any && all
}

/// Whether a field is what [`Frame::images`] answers.
pub(crate) fn is_of_image(field: &str) -> bool {
    field == "proc.exe_sha256"
}

/// Whether a term asks a process's program for nothing but what [`Frame::images`] has.
fn of_image(source: &Source) -> bool {
    matches!(source, Source::Field(field) if is_of_image(field.def().name))
}

/// Programs of a container that a filter is asked of before its events are.
const MOST_IMAGES: usize = 1000;

/// Evaluates a node that asks for a program's hash: of each that the container executed, and of one without a hash.
fn images(node: &Node, known: Known<'_>) -> Verdict {
    let (Some((uid, record)), Some(frame)) = (known.container, known.frame) else { return Verdict::Maybe };
    let images = frame.images_of(uid);
    if images.len() > MOST_IMAGES {
        return Verdict::Maybe;
    }
    let event = no_event();
    let (mut any, mut all) = (false, true);
    for process in images.iter().map(|image| Some(runs(image))).chain([None]) {
        let facts = Only(process);
        let holds = node.holds(&EventContext::new(&event, (uid, record), &facts, frame, 1));
        any |= holds;
        all &= holds;
    }
    if any == all { Verdict::of(all) } else { Verdict::Maybe }
}

/// A process of which nothing is known but what it executed.
fn runs(image: &Image) -> Process<'_> {
    Process { executed: Some(image.executed), exe_path: Some(&image.path), ..Process::default() }
}

/// Evaluates a node that asks for the container alone.
fn settle(node: &Node, known: Known<'_>) -> Verdict {
    let (Some((uid, record)), Some(frame)) = (known.container, known.frame) else { return Verdict::Maybe };
    if record.is_none() && uid != ContainerUid::HOST {
        return Verdict::Maybe;
    }
    let event = no_event();
    let cx = EventContext::new(&event, (uid, record), &NOTHING, frame, 1);
    Verdict::of(node.holds(&cx))
}

/// An event of which nothing is known.
pub(crate) fn no_event() -> Event<'static> {
    Event {
        time: BootNanos(0),
        duration: None,
        task: TaskKey::default(),
        code: EventCode(u16::MAX),
        flags: afterimage_format::EventFlags::default(),
        cpu: 0,
        ret: 0,
        args: &[],
        fields: &[],
    }
}

fn time(test: &TimeTest, known: Known<'_>) -> Verdict {
    let (Some((_, record)), Some((first, last)), Some(frame)) = (known.container, known.range, known.frame)
    else {
        return Verdict::Maybe;
    };
    let at = |instant| resolve(instant, frame, record);
    let (low, high) = match test {
        TimeTest::In(low, high) => (at(low), at(high)),
        TimeTest::Compare(Op::Lt | Op::Le, high) => (Some(BootNanos(0)), at(high)),
        TimeTest::Compare(Op::Gt | Op::Ge, low) => (at(low), Some(BootNanos(u64::MAX))),
        TimeTest::Compare(Op::Eq, instant) => (at(instant), at(instant)),
        TimeTest::Compare(..) => return Verdict::Maybe,
    };
    let (Some(low), Some(high)) = (low, high) else { return Verdict::Never };
    if last < low || high < first {
        Verdict::Never
    } else if low < first && last < high {
        Verdict::Always
    } else {
        Verdict::Maybe
    }
}

/// The range of times that a conjunction asks for.
fn range(node: &Node, frame: &Frame) -> (Option<BootNanos>, Option<BootNanos>) {
    let at = |instant| resolve(instant, frame, None);
    let free = |instant: &crate::syntax::instant::Instant| {
        use crate::syntax::instant::Base;
        !matches!(instant.base, Base::Start | Base::End)
    };
    match node {
        Node::And(nodes) => nodes.iter().fold((None, None), |(low, high), node| {
            let (own_low, own_high) = range(node, frame);
            let high = match (high, own_high) {
                (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
                (a, b) => a.or(b),
            };
            (low.max(own_low), high)
        }),
        Node::Time(TimeTest::In(low, high)) if free(low) && free(high) => (at(low), at(high)),
        Node::Time(TimeTest::Compare(Op::Gt | Op::Ge, low)) if free(low) => (at(low), None),
        Node::Time(TimeTest::Compare(Op::Lt | Op::Le, high)) if free(high) => (None, at(high)),
        _ => (None, None),
    }
}

/// No state, but for the event's process where that is there.
pub(crate) struct Only<'p>(Option<Process<'p>>);

/// No state at all.
pub(crate) const NOTHING: Only<'static> = Only(None);

impl Facts for Only<'_> {
    fn process(&self, _: TaskKey) -> Option<Process<'_>> {
        self.0
    }

    fn process_by_pid(&self, _: u32) -> Option<Process<'_>> {
        None
    }

    fn descriptor(&self, _: TaskKey, _: i32) -> Option<Descriptor<'_>> {
        None
    }

    fn descriptors(&self, _: TaskKey, _: &mut dyn FnMut(i32, &Descriptor<'_>)) {}

    fn threads(&self, _: TaskKey) -> Option<u64> {
        None
    }

    fn account(&self, _: ContainerUid, _: Account) -> Option<&[u8]> {
        None
    }

    fn domains(&self, _: ContainerUid, _: std::net::IpAddr, _: &mut dyn FnMut(&[u8])) {}
}
