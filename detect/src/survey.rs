//! `near` and `seq`: what can only be told after a first pass over the events.
//!
//! The first pass ([`Survey::observe`] for every event, in order of time) finds the matches; in the second one,
//! [`Survey::holds`] answers from what was found. Both keep bounded state: where a bound is reached, `near` joins
//! neighbouring intervals (it then keeps more, never less) and `seq` forgets the oldest unfinished sequences; both
//! are told by [`Survey::saturated`].

use std::collections::{HashMap, HashSet};

use afterimage_format::BootNanos;

use crate::{context::EventContext, program::Node, term::Source};

/// Most intervals of all keys together.
const MAX_INTERVALS: usize = 1 << 20;
/// Most keys with unfinished sequences.
const MAX_KEYS: usize = 1 << 16;
/// Most events in finished sequences.
const MAX_HITS: usize = 1 << 22;

/// A scope that needs a first pass.
#[derive(Debug)]
pub(crate) struct Survey {
    kind: Kind,
    by: Option<Source>,
    saturated: bool,
}

#[derive(Debug)]
enum Kind {
    Near {
        inner: Node,
        distance: u64,
        found: HashMap<Vec<u8>, Vec<(u64, u64)>>,
        intervals: usize,
    },
    Seq {
        steps: Vec<Node>,
        limit: u64,
        open: HashMap<Vec<u8>, Vec<Option<Partial>>>,
        hits: HashSet<Identity>,
    },
}

/// An unfinished sequence.
#[derive(Debug, Clone)]
struct Partial {
    begin: u64,
    events: Vec<Identity>,
}

/// Tells events apart: two of one thread never have the same time and code.
type Identity = (BootNanos, u32, u16);

impl Survey {
    pub(crate) fn near(inner: Node, distance: u64, by: Option<Source>) -> Self {
        let kind = Kind::Near { inner, distance, found: HashMap::new(), intervals: 0 };
        Self { kind, by, saturated: false }
    }

    pub(crate) fn seq(steps: Vec<Node>, limit: u64, by: Option<Source>) -> Self {
        let kind = Kind::Seq { steps, limit, open: HashMap::new(), hits: HashSet::new() };
        Self { kind, by, saturated: false }
    }

    /// What those that belong together have in common.
    pub(crate) fn by(&self) -> Option<&Source> {
        self.by.as_ref()
    }

    /// Whether anything that it looks for passes the test.
    pub(crate) fn any(&self, test: &dyn Fn(&Node) -> bool) -> bool {
        match &self.kind {
            Kind::Near { inner, .. } => inner.any(test),
            Kind::Seq { steps, .. } => steps.iter().any(|step| step.any(test)),
        }
    }

    /// The first pass's part at one event.
    pub(crate) fn observe(&mut self, cx: &EventContext<'_>) {
        let key = key(self.by.as_ref(), cx);
        let Some(key) = key else { return };
        match &mut self.kind {
            Kind::Near { inner, distance, found, intervals } => {
                if !inner.holds(cx) {
                    return;
                }
                let at = cx.event().time.0;
                let (low, high) = (at.saturating_sub(*distance), at.saturating_add(*distance));
                let list = found.entry(key).or_default();
                match list.last_mut() {
                    Some(last) if low <= last.1 => last.1 = last.1.max(high),
                    Some(last) if *intervals >= MAX_INTERVALS => {
                        last.1 = high;
                        self.saturated = true;
                    }
                    _ => {
                        list.push((low, high));
                        *intervals += 1;
                    }
                }
            }
            Kind::Seq { steps, limit, open, hits } => {
                if open.len() > MAX_KEYS {
                    forget(open, cx.event().time.0, *limit);
                    self.saturated |= open.is_empty();
                }
                let slots = open.entry(key).or_insert_with(|| vec![None; steps.len()]);
                if advance(steps, *limit, slots, hits, cx) && hits.len() > MAX_HITS {
                    self.saturated = true;
                }
            }
        }
    }

    /// Whether the event is kept, by what the first pass found.
    pub(crate) fn holds(&self, cx: &EventContext<'_>) -> bool {
        match &self.kind {
            Kind::Near { found, .. } => {
                let at = cx.event().time.0;
                let list = key(self.by.as_ref(), cx).and_then(|key| found.get(&key));
                list.is_some_and(|list| {
                    let after = list.partition_point(|(low, _)| *low <= at);
                    after.checked_sub(1).and_then(|i| list.get(i)).is_some_and(|(_, high)| at <= *high)
                })
            }
            Kind::Seq { hits, .. } => hits.contains(&identity(cx)),
        }
    }

    /// A bound was reached.
    pub(crate) fn saturated(&self) -> bool {
        self.saturated
    }
}

fn identity(cx: &EventContext<'_>) -> Identity {
    let event = cx.event();
    (event.time, event.task.tid, event.code.0)
}

/// The value that matches must share; `None` where the event has none.
fn key(by: Option<&Source>, cx: &EventContext<'_>) -> Option<Vec<u8>> {
    match by {
        None => Some(Vec::new()),
        Some(source) => source.shown(cx).map(|value| value.to_bytes().into_owned()),
    }
}

/// Drops what can no longer be finished; everything, when all can.
fn forget(open: &mut HashMap<Vec<u8>, Vec<Option<Partial>>>, now: u64, limit: u64) {
    open.retain(|_, slots| slots.iter().flatten().any(|p| now.saturating_sub(p.begin) <= limit));
    if open.len() > MAX_KEYS {
        open.clear();
    }
}

/// Moves unfinished sequences on by this event, the furthest first, so that one event is one step. A newer sequence
/// takes the place of an older one that waits for the same step. Whether one was finished.
fn advance(
    steps: &[Node],
    limit: u64,
    slots: &mut [Option<Partial>],
    hits: &mut HashSet<Identity>,
    cx: &EventContext<'_>,
) -> bool {
    let now = cx.event().time.0;
    let mut finished = false;
    for (at, step) in steps.iter().enumerate().rev() {
        let before = match at.checked_sub(1) {
            None => Some(Partial { begin: now, events: Vec::new() }),
            Some(before) => slots[before].clone().filter(|p| now.saturating_sub(p.begin) <= limit),
        };
        let Some(mut partial) = before else { continue };
        if !step.holds(cx) {
            continue;
        }
        if let Some(before) = at.checked_sub(1) {
            slots[before] = None;
        }
        partial.events.push(identity(cx));
        if at + 1 == steps.len() {
            if hits.len() <= MAX_HITS {
                hits.extend(partial.events);
            }
            finished = true;
        } else {
            slots[at] = Some(partial);
        }
    }
    finished
}
