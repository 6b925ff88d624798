//! A filter made ready: its nodes and how they are evaluated at an event.

use afterimage_format::{BootNanos, ContainerRecord, Event, EventCode, layout::exec};

use crate::{
    compare::{Comparison, compare_values, ordered},
    context::{EventContext, Frame},
    needle::Needle,
    shared::Shared,
    survey::Survey,
    syntax::{
        ast::{Op, TimeTest},
        instant::{Base, Instant},
    },
    term::Source,
    value::Multi,
};

/// One node.
#[derive(Debug)]
pub(crate) enum Node {
    Const(bool),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Codes(CodeTest),
    Check(Box<Check>),
    Fields(Box<FieldsCheck>),
    Exists(Box<Source>),
    Within(bool, Box<Node>),
    Survey(Box<Survey>),
    Time(TimeTest),
    Around { at: i64, distance: u64 },
    Life(Op, u64),
    Text(Box<Needle>),
}

/// The event's code is one of these.
#[derive(Debug)]
pub(crate) struct CodeTest {
    /// Sorted.
    pub(crate) codes: Vec<u16>,
    /// An exec by path counts, one by descriptor counts.
    pub(crate) execs: [bool; 2],
}

/// A term compared with constants.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) source: Source,
    pub(crate) multi: Multi,
    pub(crate) op: Op,
    pub(crate) comparison: Comparison,
    /// Where its result at an event is remembered, when several rules ask the same.
    pub(crate) shared: Option<Shared>,
}

impl Check {
    fn holds(&self, cx: &EventContext<'_>) -> bool {
        let Some(shared) = self.shared else { return self.evaluate(cx) };
        cx.shared().get(shared).unwrap_or_else(|| {
            let holds = self.evaluate(cx);
            cx.shared().set(shared, holds);
            holds
        })
    }

    fn evaluate(&self, cx: &EventContext<'_>) -> bool {
        self.source.get(cx).is_some_and(|value| self.comparison.holds(&value, self.multi, self.op))
    }
}

/// A term compared with another.
#[derive(Debug)]
pub(crate) struct FieldsCheck {
    pub(crate) left: Source,
    pub(crate) op: Op,
    pub(crate) right: Source,
}

impl CodeTest {
    fn holds(&self, event: &Event<'_>) -> bool {
        if event.code == EventCode::EXEC {
            let by_descriptor = event.number(exec::EXE_FLAGS).is_some_and(|flags| flags & exec::EXE_FD != 0);
            return self.execs[usize::from(by_descriptor)];
        }
        self.codes.binary_search(&event.code.0).is_ok()
    }
}

impl Node {
    /// Whether the event passes.
    pub(crate) fn holds(&self, cx: &EventContext<'_>) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::And(nodes) => nodes.iter().all(|node| node.holds(cx)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(cx)),
            Self::Not(node) => !node.holds(cx),
            Self::Codes(test) => test.holds(cx.event()),
            Self::Check(check) => check.holds(cx),
            Self::Fields(check) => check.holds(cx),
            Self::Exists(source) => source.exists(cx),
            Self::Within(inclusive, node) => within(*inclusive, node, cx),
            Self::Survey(survey) => survey.holds(cx),
            Self::Time(test) => time_holds(test, cx.event().time, cx.frame(), cx.record()),
            Self::Around { at, distance } => {
                cx.wall(cx.event().time).is_some_and(|wall| wall.abs_diff(*at) <= *distance)
            }
            Self::Life(op, nanos) => {
                life(cx.frame(), cx.record()).is_some_and(|life| ordered(*op, life.cmp(nanos)))
            }
            Self::Text(needle) => needle.is_in(cx.row().as_str().as_bytes()),
        }
    }

    /// Calls `visit` with every survey in it, the inner ones first.
    pub(crate) fn surveys<'n>(&'n mut self, visit: &mut dyn FnMut(&'n mut Survey)) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter_mut().for_each(|node| node.surveys(visit)),
            Self::Not(node) => node.surveys(visit),
            Self::Survey(survey) => visit(survey),
            _ => {}
        }
    }

    /// Calls `visit` with every check that is asked of the event itself, not of its surroundings.
    pub(crate) fn checks(&mut self, visit: &mut dyn FnMut(&mut Check)) {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter_mut().for_each(|node| node.checks(visit)),
            Self::Not(node) => node.checks(visit),
            Self::Check(check) => visit(check),
            _ => {}
        }
    }

    /// Whether anything in it passes the test.
    pub(crate) fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.any(test)),
                Self::Not(node) | Self::Within(_, node) => node.any(test),
                Self::Survey(survey) => survey.any(test),
                _ => false,
            }
    }

    /// Whether anything in it has a field of such a name.
    pub(crate) fn asks(&self, is: impl Fn(&str) -> bool) -> bool {
        self.any(&|node| {
            let mut any = false;
            node.sources(&mut |source| source.each_field(&mut |field| any |= is(field.def().name)));
            any
        })
    }

    /// Calls `visit` with every term of the node itself.
    pub(crate) fn sources(&self, visit: &mut dyn FnMut(&Source)) {
        match self {
            Self::Check(check) => visit(&check.source),
            Self::Fields(check) => {
                visit(&check.left);
                visit(&check.right);
            }
            Self::Exists(source) => visit(source),
            Self::Survey(survey) => survey.by().into_iter().for_each(visit),
            _ => {}
        }
    }

    /// How many nodes it has.
    pub(crate) fn size(&self) -> usize {
        1 + match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().map(Self::size).sum(),
            Self::Not(node) | Self::Within(_, node) => node.size(),
            _ => 0,
        }
    }
}

impl FieldsCheck {
    fn holds(&self, cx: &EventContext<'_>) -> bool {
        let (Some(left), Some(right)) = (self.left.get(cx), self.right.get(cx)) else { return false };
        let one = |value| right.each().iter().any(|other| compare_values(self.op, value, other));
        let all = self.left.multi() == Multi::List && self.op == Op::In;
        if all { left.each().iter().all(one) } else { left.each().iter().any(one) }
    }
}

/// Whether the event's process, or one above it, passes.
fn within(inclusive: bool, node: &Node, cx: &EventContext<'_>) -> bool {
    if inclusive && node.holds(cx) {
        return true;
    }
    let mut found = false;
    cx.ancestors(|ancestor| {
        found = node.holds(&cx.seen_from(*ancestor));
        !found
    });
    found
}

/// Whether a moment is in the time that is asked for. A moment whose base is not known is in none.
pub(crate) fn time_holds(
    test: &TimeTest,
    at: BootNanos,
    frame: &Frame,
    record: Option<&ContainerRecord>,
) -> bool {
    match test {
        TimeTest::In(low, high) => {
            let (low, high) = (resolve(low, frame, record), resolve(high, frame, record));
            low.is_some_and(|low| low <= at) && high.is_some_and(|high| at <= high)
        }
        TimeTest::Compare(op, instant) => {
            resolve(instant, frame, record).is_some_and(|instant| ordered(*op, at.cmp(&instant)))
        }
    }
}

/// A moment as boot time.
pub(crate) fn resolve(
    instant: &Instant,
    frame: &Frame,
    record: Option<&ContainerRecord>,
) -> Option<BootNanos> {
    let first = || frame.range.map(|(first, _)| first);
    let base = match instant.base {
        Base::Utc(nanos) => frame.clock.boot(nanos),
        Base::Clock(of_day) => {
            const DAY: i64 = 86_400_000_000_000;
            let begin = frame.clock.real(first()?)?;
            let of_day = i64::try_from(of_day).ok()?;
            let ahead = (of_day - begin.rem_euclid(DAY)).rem_euclid(DAY);
            frame.clock.boot(begin.checked_add(ahead)?)
        }
        Base::Start => record.map(|r| r.started.unwrap_or(r.first_seen)).or_else(first),
        Base::End => {
            let last = || frame.range.map(|(_, last)| last);
            record.and_then(|r| r.exited.map(|(at, _)| at).or(r.removed)).or_else(last)
        }
        Base::Alert(number) => frame.alert(number),
        Base::Mark(letter) => frame.mark(letter),
    }?;
    let at = i128::from(base.0) + i128::from(instant.offset);
    Some(BootNanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX)))
}

/// How long the container lived, until the recording's end when it still does.
pub(crate) fn life(frame: &Frame, record: Option<&ContainerRecord>) -> Option<u64> {
    let record = record?;
    let begin = record.started.unwrap_or(record.first_seen);
    let last = frame.range.map(|(_, last)| last);
    // Nobody looked behind that.
    let last = if frame.follows(record) { last } else { last.min(frame.followed_from) };
    let end = record.exited.map(|(at, _)| at).or(record.removed).or(last)?;
    end.0.checked_sub(begin.0)
}
